package gpu

// #include "ort.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/scry-ml/scry/tensor"
)

// session is a graph on one device.
type session struct {
	rt        *Runtime
	sig       Signature
	placement Placement
	owner     string // Spec.Owner
	bytes     int64  // of the device's memory, by estimate
	ort       *ort.DynamicAdvancedSession
	handle    *C.OrtSession
	names     cNames
	outputs   []outputPlan

	// live is read-locked by runs and locked by Close, which so waits for them.
	live   sync.RWMutex
	closed bool

	mu   sync.Mutex
	idle []*call // guarded by mu; as many as ever ran at once
}

// call is what one run needs, kept between runs.
type call struct {
	c       *C.scry_call
	inputs  []C.scry_tensor // in C memory
	outputs []C.scry_tensor
	options *ort.RunOptions
	handle  *C.OrtRunOptions
	pin     runtime.Pinner
	text    []byte     // the joined bytes of all string inputs
	lengths []C.size_t // of each of their elements
	watch   watch
}

// newSession wraps s, which it owns from now on, also when it fails.
func newSession(rt *Runtime, s *ort.DynamicAdvancedSession, outputs []string) (*session, error) {
	out := &session{rt: rt, ort: s, handle: sessionHandle(s)}
	var err error
	if out.sig, out.outputs, err = readSignature(out.handle, outputs); err != nil {
		_ = s.Destroy()
		return nil, err
	}
	out.names = newCNames(out.sig)
	return out, nil
}

func (s *session) Signature() Signature { return s.sig }
func (s *session) Placement() Placement { return s.placement }

func (s *session) Run(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
	if err := s.sig.Check(in); err != nil {
		return nil, err
	}
	s.live.RLock()
	defer s.live.RUnlock()
	if s.closed {
		return nil, fmt.Errorf("session: %w", ErrClosed)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrTerminated, context.Cause(ctx))
	}
	c, err := s.take()
	if err != nil {
		return nil, err
	}
	defer s.give(c)
	in = uncoded(in)
	c.setInputs(in)
	out := make([]tensor.Tensor, len(c.outputs))
	bound := s.bind(c, in, out)
	err = s.run(ctx, c)
	if bound && err != nil && !errors.Is(err, ErrTerminated) && !errors.Is(err, ErrOutOfMemory) {
		// Perhaps an output has another shape than the graph declares: readOutputs
		// finds out, and ONNX Runtime allocates that output from then on.
		unbind(c, out)
		err = s.run(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	if err := s.readOutputs(c, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// run is one run of ONNX Runtime, ended when ctx ends.
func (s *session) run(ctx context.Context, c *call) error {
	c.watch.begin(ctx)
	status := C.scry_call_run(c.c, s.handle, c.handle)
	terminated := c.watch.end()
	if terminated {
		_ = c.options.UnsetTerminate()
	}
	if status == nil {
		return nil
	}
	code, msg := takeStatus(status)
	if terminated {
		return fmt.Errorf("%w: %w", ErrTerminated, context.Cause(ctx))
	}
	s.rt.noteFailure(s.placement.Device, msg)
	return s.rt.blame(runError(s.placement.Device, code, msg))
}

// setInputs describes the inputs for C. Elements are not copied, but pinned
// until the run is over; strings are joined into one buffer.
func (c *call) setInputs(in []tensor.Tensor) {
	texts, bytes := 0, 0
	for i := range in {
		texts += len(in[i].Strings)
		for _, s := range in[i].Strings {
			bytes += len(s) + 1
		}
	}
	if cap(c.text) < bytes {
		c.text = make([]byte, 0, bytes)
	}
	if cap(c.lengths) < texts {
		c.lengths = make([]C.size_t, 0, texts)
	}
	c.text, c.lengths = c.text[:0], c.lengths[:0]
	if bytes > 0 {
		c.pin.Pin(unsafe.SliceData(c.text))
	}
	if texts > 0 {
		c.pin.Pin(unsafe.SliceData(c.lengths))
	}

	for i := range in {
		from, to := &in[i], &c.inputs[i]
		to._type = elementTypes[from.DType]
		to.rank = C.int32_t(len(from.Shape))
		for axis, d := range from.Shape {
			to.shape[axis] = C.int64_t(d)
		}
		if from.DType == tensor.String {
			c.setStrings(to, from)
			continue
		}
		data := from.Data
		if n := from.DType.Size(); n > 1 && uintptr(unsafe.Pointer(unsafe.SliceData(data)))%uintptr(n) != 0 {
			data = alignedCopy(data)
		}
		to.bytes = C.size_t(len(data))
		if len(data) > 0 {
			p := unsafe.Pointer(unsafe.SliceData(data))
			c.pin.Pin(p)
			to.memory = C.uintptr_t(uintptr(p))
		}
	}
}

// setStrings describes a string input.
func (c *call) setStrings(to *C.scry_tensor, from *tensor.Tensor) {
	textAt, lengthAt, longest := len(c.text), len(c.lengths), 0
	to.elements, to.entries, to.codes = C.size_t(len(from.Strings)), 0, 0
	byDictionary := len(from.Codes) > 0
	for _, s := range from.Strings {
		c.text = append(c.text, s...)
		n := len(s)
		if byDictionary {
			c.text = append(c.text, 0)
			n++
		}
		c.lengths = append(c.lengths, C.size_t(n))
		longest = max(longest, n)
	}
	if byDictionary {
		to.entries, to.elements = to.elements, C.size_t(len(from.Codes))
		codes := unsafe.Pointer(unsafe.SliceData(from.Codes))
		c.pin.Pin(codes)
		to.codes = C.uintptr_t(uintptr(codes))
		to.keep = 0
		if len(from.Codes) <= keptElements && longest <= keptLength {
			to.keep = 1
		}
	}
	data := c.text[textAt:]
	if len(from.Strings) > 0 {
		to.lengths = C.uintptr_t(uintptr(unsafe.Pointer(&c.lengths[lengthAt])))
	}
	to.bytes = C.size_t(len(data))
	to.memory = C.uintptr_t(uintptr(unsafe.Pointer(unsafe.SliceData(data))))
}

// A string tensor of so many elements, the longest of so many bytes, is kept
// between runs: at most half a MiB for each string input of each run side by side.
const keptElements, keptLength = 4096, 64

// uncoded writes dictionaries out that are not handed over as such.
func uncoded(in []tensor.Tensor) []tensor.Tensor {
	own := false
	for i := range in {
		if in[i].Codes == nil || coded(&in[i]) {
			continue
		}
		if !own {
			in, own = slices.Clone(in), true
		}
		in[i] = in[i].Plain()
	}
	return in
}

// coded tells whether a dictionary is worth handing over as one. C's strings end
// at a 0, so none may lie within.
func coded(t *tensor.Tensor) bool {
	if len(t.Strings) > len(t.Codes) {
		return false
	}
	for _, s := range t.Strings {
		if strings.IndexByte(s, 0) >= 0 {
			return false
		}
	}
	return true
}

// alignedCopy moves bytes that start at an odd address, such as a slice out of
// a network message.
func alignedCopy(data []byte) []byte {
	words := make([]uint64, (len(data)+7)/8)
	out := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(data))
	copy(out, data)
	return out
}

// readOutputs copies the outputs that were not bound.
func (s *session) readOutputs(c *call, in, out []tensor.Tensor) error {
	for i := range out {
		from, name := &c.outputs[i], s.sig.Outputs[i].Name
		if from.bound != 0 {
			continue
		}
		dtype, ok := dtypes[from._type]
		if !ok {
			return fmt.Errorf("%w: output %q is not a tensor that can be served", ErrRun, name)
		}
		shape := make(tensor.Shape, from.rank)
		for axis := range shape {
			shape[axis] = int64(from.shape[axis])
		}
		s.outputs[i].learn(in, shape)
		t, err := tensor.New(dtype, shape...)
		if err != nil {
			return fmt.Errorf("%w: output %q: %w", ErrRun, name, err)
		}
		switch {
		case dtype == tensor.String:
			err = copyStrings(t.Strings, from)
		case len(t.Data) != int(from.bytes):
			err = fmt.Errorf("%w: output %q has %d bytes for %v%v", ErrRun, name, int(from.bytes), dtype, shape)
		case len(t.Data) > 0:
			copy(t.Data, unsafe.Slice((*byte)(from.data), len(t.Data)))
		}
		if err != nil {
			return err
		}
		out[i] = t
	}
	return nil
}

func copyStrings(to []string, from *C.scry_tensor) error {
	if len(to) == 0 || from.bytes == 0 {
		return nil
	}
	joined := make([]byte, from.bytes)
	offsets := make([]C.size_t, len(to))
	st := C.scry_strings(from.value, unsafe.Pointer(&joined[0]), from.bytes, &offsets[0], C.size_t(len(offsets)))
	if err := statusError(st); err != nil {
		return fmt.Errorf("%w: %s", ErrRun, sanitize(err.Error()))
	}
	all := string(joined)
	for i := range to {
		end := len(all)
		if i+1 < len(offsets) {
			end = int(offsets[i+1])
		}
		// A short answer must not keep the text of its whole batch alive.
		to[i] = strings.Clone(all[offsets[i]:end])
	}
	return nil
}

// take returns an idle call or makes one.
func (s *session) take() (*call, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return c, nil
	}
	s.mu.Unlock()

	options, err := ort.NewRunOptions()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrRun, sanitize(err.Error()))
	}
	n := s.names
	cc := C.scry_call_new(C.size_t(n.inputs), n.array, C.size_t(n.outputs), n.outputArray())
	if cc == nil {
		_ = options.Destroy()
		return nil, &MemoryError{Device: CPU}
	}
	c := &call{
		c: cc, options: options, handle: runOptionsHandle(options),
		inputs:  unsafe.Slice(cc.inputs, n.inputs),
		outputs: unsafe.Slice(cc.outputs, n.outputs),
	}
	c.watch.terminate = func() { _ = options.Terminate() }
	return c, nil
}

// give frees what a run held and keeps the call for the next one.
func (s *session) give(c *call) {
	if c.c.held != 0 {
		C.scry_call_reset(c.c)
	}
	c.pin.Unpin()
	const keep = 1 << 20
	if cap(c.text) > keep {
		c.text = nil
	}
	s.mu.Lock()
	s.idle = append(s.idle, c)
	s.mu.Unlock()
}

func (s *session) Close() error {
	s.live.Lock()
	defer s.live.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, c := range s.idle {
		C.scry_call_free(c.c)
		_ = c.options.Destroy()
	}
	s.idle = nil
	err := s.ort.Destroy()
	s.names.free()
	s.rt.forget(s)
	return err
}

// cNames holds the names of inputs, then outputs, as C strings for the life of
// a session.
type cNames struct {
	inputs, outputs int
	array           **C.char
}

func newCNames(sig Signature) cNames {
	n := cNames{inputs: len(sig.Inputs), outputs: len(sig.Outputs)}
	n.array = (**C.char)(C.calloc(C.size_t(n.inputs+n.outputs+1), C.size_t(unsafe.Sizeof((*C.char)(nil)))))
	names := unsafe.Slice(n.array, n.inputs+n.outputs)
	for i, v := range sig.Inputs {
		names[i] = C.CString(v.Name)
	}
	for i, v := range sig.Outputs {
		names[n.inputs+i] = C.CString(v.Name)
	}
	return n
}

func (n cNames) outputArray() **C.char {
	return &unsafe.Slice(n.array, n.inputs+n.outputs+1)[n.inputs]
}

func (n cNames) free() {
	for _, p := range unsafe.Slice(n.array, n.inputs+n.outputs) {
		C.free(unsafe.Pointer(p))
	}
	C.free(unsafe.Pointer(n.array))
}
