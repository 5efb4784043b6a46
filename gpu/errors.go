package gpu

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Errors of this package, told apart by errors.Is. Their texts hold neither
// paths of this machine nor ONNX Runtime's stack texts.
var (
	ErrLibrary     = errors.New("ONNX Runtime cannot be opened")
	ErrNoDevice    = errors.New("no usable device")
	ErrModel       = errors.New("model cannot be loaded")
	ErrInput       = errors.New("invalid model input")
	ErrOutOfMemory = errors.New("out of memory")
	ErrRun         = errors.New("model run failed")
	ErrClosed      = errors.New("closed")
	ErrTerminated  = errors.New("model run terminated")
)

// MemoryError is an ErrOutOfMemory with figures.
type MemoryError struct {
	Device            string // Device.ID
	Needed, Available int64  // bytes; 0 when unknown
	// Held is what sessions hold of the device's memory, the largest first; empty
	// when nothing does or it is unknown.
	Held []Holding
}

// Holding is the memory that one session holds: its weights. What its runs take
// comes on top.
type Holding struct {
	Owner string // Spec.Owner
	Bytes int64
}

func (e *MemoryError) Error() string {
	s := "out of memory on " + e.Device
	if e.Needed > 0 {
		s += fmt.Sprintf(": needs %d bytes", e.Needed)
		if e.Available > 0 {
			s += fmt.Sprintf(", %d available", e.Available)
		}
	}
	const most = 5
	for i, h := range e.Held {
		switch i {
		case 0:
			s += "; held by "
		case most:
			return s + fmt.Sprintf(" and %d others", len(e.Held)-most)
		default:
			s += ", "
		}
		s += fmt.Sprintf("%s (%d)", h.Owner, h.Bytes)
	}
	return s
}

// Is makes errors.Is(err, ErrOutOfMemory) true.
func (e *MemoryError) Is(target error) bool { return target == ErrOutOfMemory }

// ONNX Runtime's status codes that are told apart here (onnxruntime_error_code.h).
const (
	codeInvalidArgument = 2
	codeLoadCanceled    = 12
)

// loadError turns ONNX Runtime's complaint about a graph into an error of this
// package.
func loadError(device, msg string) error {
	if err := memoryError(device, msg); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrModel, sanitize(msg))
}

// runError does the same for a failed run. Bad values (a token id out of
// range, say) are told by ONNX Runtime as an invalid argument.
func runError(device string, code int, msg string) error {
	if err := memoryError(device, msg); err != nil {
		return err
	}
	if code == codeInvalidArgument {
		return fmt.Errorf("%w: %w: %s", ErrRun, ErrInput, sanitize(msg))
	}
	return fmt.Errorf("%w: %s", ErrRun, sanitize(msg))
}

var (
	bufferSize = regexp.MustCompile(`(?:buffer of size|bytes requested|requested size|Available memory of \d+ is smaller than requested bytes of)[ :]+(\d+)`)
	outOf      = regexp.MustCompile(`(?i)failed to allocate memory|bad_alloc|out of memory|smaller than requested bytes|ALLOC_FAILED|cannot allocate`)
)

// memoryError recognises the ways in which providers say that memory is short;
// nil when msg says something else.
func memoryError(device, msg string) error {
	if !outOf.MatchString(msg) {
		return nil
	}
	e := &MemoryError{Device: device}
	if m := bufferSize.FindStringSubmatch(msg); m != nil {
		e.Needed, _ = strconv.ParseInt(m[1], 10, 64)
	}
	return e
}

var (
	// "[ONNXRuntimeError] : 1 : FAIL : " in front of the text.
	prefix = regexp.MustCompile(`\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : `)
	// "/onnxruntime_src/onnxruntime/core/framework/x.cc:368 void* onnxruntime::f(size_t, bool) "
	// before a message: a source position and the C++ function that spoke.
	position = regexp.MustCompile(`(?:/[\w.+-]+)+\.(?:cc|cpp|cxx|h|hpp|cu|cuh):\d+ [^\n]*?\) ?(?:const )?(?:\[with [^\]]*\] ?)?`)
	source   = regexp.MustCompile(`[\w./+-]*\.(?:cc|cpp|cxx|h|hpp|cu|cuh):\d+:?`)
	filePath = regexp.MustCompile(`(^|[\s"'\[(=:])(?:~|\.{1,2})?/(?:[^\s"'\])/]+/)*[^\s"'\]),;/]+`)
	// OpenVINO's assertions: "Exception from … Check 'C++' failed at … ".
	assertion = regexp.MustCompile(`(?:Exception from )*Check '[^']*' failed at(?: \(path\):?)?`)
	spaces    = regexp.MustCompile(`\s+`)
)

const maxMessage = 400

// sanitize keeps the sentence of an ONNX Runtime message that helps a caller
// and drops host paths, source positions and stack texts.
func sanitize(msg string) string {
	// The CUDA provider adds "; GPU=0 ; hostname=… ; file=… ; line=…".
	for _, mark := range []string{"Stacktrace:", "stacktrace:", "\nStack", "==== backtrace", "; GPU="} {
		if at := strings.Index(msg, mark); at >= 0 {
			msg = msg[:at]
		}
	}
	msg = prefix.ReplaceAllString(msg, "")
	msg = position.ReplaceAllString(msg, "")
	msg = source.ReplaceAllString(msg, "")
	msg = filePath.ReplaceAllString(msg, "${1}(path)")
	msg = spaces.ReplaceAllString(msg, " ")
	msg = strings.TrimSpace(assertion.ReplaceAllString(msg, ""))
	if len(msg) > maxMessage {
		msg = strings.ToValidUTF8(msg[:maxMessage], "") + "…"
	}
	if msg == "" {
		return "no reason given"
	}
	return strings.ToValidUTF8(msg, "�")
}
