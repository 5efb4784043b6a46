package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// ErrProbeKilled is wrapped by the error of a bundle whose loading crashed, ran
// too long or took too much memory. It happened in a child process: the server
// is unharmed.
var ErrProbeKilled = errors.New("loading the bundle was stopped")

// ProbeLimits bound the child process that loads a bundle first.
type ProbeLimits struct {
	// Time is how long it may take; default 2 min.
	Time time.Duration
	// Memory is how many bytes it may hold; default half of what the machine
	// has.
	Memory int64
}

func (l ProbeLimits) withDefaults() ProbeLimits {
	if l.Time == 0 {
		l.Time = 2 * time.Minute
	}
	if l.Memory == 0 {
		l.Memory = machineMemory() / 2
	}
	return l
}

// Probed is what loading a bundle in a child process found.
type Probed struct {
	Manifest     *bundlev1.Manifest
	Verification Verification
}

// report is what the child prints: one line of JSON.
type report struct {
	Manifest     json.RawMessage `json:"manifest,omitempty"`
	Verification *Verification   `json:"verification,omitempty"`
	Error        string          `json:"error,omitempty"`
	Kind         string          `json:"kind,omitempty"`
	Field        string          `json:"field,omitempty"` // of a bundle.FieldError
	Needed       int64           `json:"needed,omitempty"`
	Available    int64           `json:"available,omitempty"`
}

// kinds are the errors that keep their identity on the way from the child.
var kinds = map[string]error{
	"golden": ErrGolden, "bundle": bundle.ErrInvalid, "graph": bundle.ErrGraph,
	"model": gpu.ErrModel, "memory": gpu.ErrOutOfMemory, "device": gpu.ErrNoDevice,
	"input": pipeline.ErrInput, "tensor": gpu.ErrInput, "library": gpu.ErrLibrary,
}

// Probe loads the bundle in dir in a child process: argv, to which dir is
// added, must run ProbeChild. Errors are those of Load, or wrap ErrProbeKilled.
func Probe(ctx context.Context, argv []string, dir string, limits ProbeLimits) (Probed, error) {
	limits = limits.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, limits.Time)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:], dir)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &limited{&out, 8 << 20}, &limited{&errOut, 64 << 10}
	cmd.SysProcAttr = childAttributes()
	// A probe needs no GPU, whose memory the server may have filled. What it is
	// to know of the server's configuration, argv says.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SCRY_") }), "CUDA_VISIBLE_DEVICES=")
	cmd.WaitDelay = time.Second
	// The child ends with the thread that started it (see childAttributes),
	// which must not end before.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return Probed{}, fmt.Errorf("probe: %w", err)
	}
	exceeded := make(chan bool, 1)
	watching, stop := context.WithCancel(ctx)
	go func() { exceeded <- watchMemory(watching, cmd.Process, limits.Memory) }()
	err := cmd.Wait()
	stop()
	if <-exceeded {
		return Probed{}, &gpu.MemoryError{Device: "probe", Needed: limits.Memory + 1, Available: limits.Memory}
	}
	var r report
	if jerr := json.Unmarshal(out.Bytes(), &r); jerr == nil && (r.Error != "" || r.Verification != nil) {
		return r.result()
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Probed{}, fmt.Errorf("%w: it took more than %v", ErrProbeKilled, limits.Time)
	case ctx.Err() != nil:
		return Probed{}, ctx.Err()
	}
	return Probed{}, &ProbeCrash{How: how(err, errOut.String()), Output: errOut.String()}
}

// ProbeCrash is the ErrProbeKilled of a child that ended without an answer.
type ProbeCrash struct {
	How    string
	Output string // what the child wrote to its standard error; for the server's log
}

func (e *ProbeCrash) Error() string { return ErrProbeKilled.Error() + ": " + e.How }

// Unwrap returns ErrProbeKilled.
func (e *ProbeCrash) Unwrap() error { return ErrProbeKilled }

// how tells a crash in C, at which Go's runtime names the signal and exits with
// 2, from other ends.
func how(err error, output string) string {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		if ws, ok := e.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return fmt.Sprintf("ONNX Runtime crashed on it (%v)", ws.Signal())
		}
	}
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "SIG") && len(line) < 80 {
			return fmt.Sprintf("ONNX Runtime crashed on it (%s)", line)
		}
	}
	return "it ended without an answer"
}

func (r *report) result() (Probed, error) {
	if r.Error != "" {
		if r.Kind == "memory" {
			return Probed{}, &gpu.MemoryError{Device: "cpu", Needed: r.Needed, Available: r.Available}
		}
		if is, ok := kinds[r.Kind]; ok {
			return Probed{}, &ProbeError{Field: r.Field, is: is, text: r.Error}
		}
		return Probed{}, fmt.Errorf("%w: %s", ErrLoad, r.Error)
	}
	p := Probed{Manifest: &bundlev1.Manifest{}, Verification: *r.Verification}
	if err := protojson.Unmarshal(r.Manifest, p.Manifest); err != nil {
		return Probed{}, fmt.Errorf("probe: %w", err)
	}
	return p, nil
}

// ProbeError is an error of the child with the text that it had there.
type ProbeError struct {
	// Field is the part of the bundle that is to blame; empty when unknown.
	Field string
	is    error
	text  string
}

func (e *ProbeError) Error() string { return e.text }

// Unwrap returns the sentinel that the error wrapped in the child.
func (e *ProbeError) Unwrap() error { return e.is }

// ProbeChild is the child's side of Probe: it loads the bundle on the CPU, runs
// its golden samples and prints what it found. limits.Memory is checked against
// what the graphs will need; the parent enforces it. Where the server may choose
// OpenVINO it loads the bundle there too: not for its answers, which the server
// checks itself, but so that a crash happens here. The caller exits after it.
func ProbeChild(ctx context.Context, loader gpu.Loader, items pipeline.Limits, limits ProbeLimits, dir string) error {
	r := report{}
	opts := LoadOptions{Loader: loader, Limits: items, Device: gpu.CPU, Cold: true}
	var v *Version
	err := checkMemory(dir, limits.withDefaults().Memory)
	if err == nil {
		v, err = Load(ctx, pipeline.Identity{Model: "probe"}, dir, opts)
	}
	if err == nil && v.mayLeaveCPU() {
		opts.Device = gpu.OpenVINO
		if other, oerr := Load(ctx, pipeline.Identity{Model: "probe"}, dir, opts); oerr == nil {
			_ = other.Close()
		}
	}
	if err != nil {
		r.Error = err.Error()
		if f, ok := errors.AsType[*bundle.FieldError](err); ok {
			r.Field = f.Field
		}
		if errors.Is(err, ErrGolden) {
			r.Field = "goldens.file"
		}
		for kind, is := range kinds {
			if errors.Is(err, is) {
				r.Kind = kind
			}
		}
		// A golden mismatch wraps nothing else; an invalid graph may be both.
		if errors.Is(err, gpu.ErrOutOfMemory) {
			r.Kind = "memory"
			if m, ok := errors.AsType[*gpu.MemoryError](err); ok {
				r.Needed, r.Available = m.Needed, m.Available
			}
		}
	} else {
		defer v.Close()
		text, err := protojson.Marshal(v.bundle.Manifest)
		if err != nil {
			return err
		}
		verified := v.verified
		r.Manifest, r.Verification = text, &verified
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// checkMemory refuses a bundle whose graphs need more than limit bytes before
// they take them, so that the error tells how many.
func checkMemory(dir string, limit int64) error {
	b, err := bundle.Open(os.DirFS(dir))
	if err != nil {
		return err
	}
	var need int64
	for _, g := range b.Manifest.GetGraphs() {
		n, err := gpu.EstimateBytes(filepath.Join(dir, filepath.FromSlash(g.GetFile())))
		if err != nil {
			return err
		}
		need += n
	}
	if items := b.Manifest.GetCatalogue().GetItems(); items != nil {
		// As they lie in memory: float16 takes twice its file, a line of JSON no more
		// than three times.
		for file, times := range map[string]int64{items.GetFile(): 3, items.GetVectors(): 2, items.GetBiases(): 2} {
			if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(file))); file != "" && err == nil {
				need += times * info.Size()
			}
		}
	}
	if need > limit {
		return &gpu.MemoryError{Device: "probe", Needed: need, Available: limit}
	}
	return nil
}

// watchMemory kills a process that holds more than limit bytes. It returns
// true if it did.
func watchMemory(ctx context.Context, p *os.Process, limit int64) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if residentBytes(p.Pid) > limit {
			_ = p.Kill()
			return true
		}
	}
}

// residentBytes reads a process's resident memory; 0 when it is gone.
func residentBytes(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func machineMemory() int64 {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 4 << 30
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// childAttributes make the child die with the server and be the first that the
// kernel picks when memory runs out (see ProbeChild's caller for the latter).
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// limited keeps the first bytes that are written to it.
type limited struct {
	to   *bytes.Buffer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.left -= n
	l.to.Write(b[:n])
	return len(b), nil
}
