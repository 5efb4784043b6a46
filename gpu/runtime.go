package gpu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	ort "github.com/yalue/onnxruntime_go"
)

// Config says where the libraries are. FindRuntime fills it from a folder.
type Config struct {
	// Library is the path of libonnxruntime.so. Its CUDA provider, if any, is
	// looked for beside it.
	Library string
	// OpenVINO is the path of the OpenVINO plugin library; empty means not used.
	OpenVINO string
	// NVIDIA is the folder of the CUDA libraries, as pip's nvidia-* packages lay
	// them out (DIR/*/lib/*.so*); empty means the system's own.
	NVIDIA string
	// CPUOnly leaves all other providers alone: none of their libraries is loaded.
	CPUOnly bool
	// CUDAMemory bounds, in bytes, what the sessions on one CUDA device hold
	// together: weights, and the arena of each within what the weights of all leave
	// when it is loaded. 0 means what the device has.
	CUDAMemory int64
	// ThreadsPerRun that a run uses on a CPU when its Spec says nothing; 0 means
	// as many as this process may use.
	ThreadsPerRun int
	// Logger receives what is worth knowing about providers; nil means none.
	Logger *slog.Logger
}

// FindRuntime looks for the libraries in dir as set-up unpacks them:
// onnxruntime/libonnxruntime.so*, openvino/<plugin>, nvidia/*/lib. Fields of
// what is not there stay empty.
func FindRuntime(dir string) Config {
	var c Config
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	c.Library = newest(filepath.Join(dir, "onnxruntime", "libonnxruntime.so*"))
	c.OpenVINO = newest(filepath.Join(dir, "openvino", "libonnxruntime_providers_openvino_plugin.so"))
	if found, _ := filepath.Glob(filepath.Join(dir, "nvidia", "*", "lib")); len(found) > 0 {
		c.NVIDIA = filepath.Join(dir, "nvidia")
	}
	return c
}

// newest returns the last of the files that a pattern names, which for
// libraries is the one of the full version.
func newest(pattern string) string {
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// Runtime is the opened ONNX Runtime with its providers. It is safe for
// concurrent use.
type Runtime struct {
	config Config
	log    *slog.Logger

	mu       sync.Mutex
	devices  []*device             // fixed after Open but for the fields that say so
	sessions map[*session]struct{} // guarded by mu
	closed   bool                  // guarded by mu
	loads    sync.WaitGroup        // loads in progress; Add only under mu while not closed
}

// device is a Device and what its provider needs to use it.
type device struct {
	Device
	provider provider
	failed   string // guarded by Runtime.mu: why it was given up after Open
}

// provider places graphs on the devices of one kind.
type provider interface {
	// options adds the provider to the options of a session on d, and returns
	// the precision that it will use.
	options(o *ort.SessionOptions, d *device, spec Spec, m *modelFile, threads int) (Precision, error)
	// refuses says why m must not run on the provider; empty when it may.
	refuses(m *modelFile) string
	// need estimates the memory that loading m takes, in bytes of d's memory.
	need(m *modelFile) int64
	// refresh brings the memory figures of d up to date.
	refresh(d *Device)
	// name is ONNX Runtime's name of the provider.
	name() string
}

// process is what ONNX Runtime has only once in a process: its environment and
// the plugins in it. They stay when a Runtime closes, for the next one: to
// unload them while their threads end crashes the process.
var process struct {
	sync.Mutex                 // held by the one open Runtime
	library    string          // whose environment exists
	plugins    map[string]bool // paths of registered plugin libraries
}

// Open loads ONNX Runtime and its providers. There can be one Runtime in a
// process at a time: a second Open fails until Close. What an optional provider
// lacks is no error but the Reason of its devices; errors wrap ErrLibrary.
func Open(c Config) (*Runtime, error) {
	if !process.TryLock() {
		return nil, fmt.Errorf("%w: it is open already in this process", ErrLibrary)
	}
	r, err := openRuntime(c)
	if err != nil {
		process.Unlock()
		return nil, err
	}
	return r, nil
}

func openRuntime(c Config) (*Runtime, error) {
	if c.Library == "" {
		return nil, fmt.Errorf("%w: no library is configured", ErrLibrary)
	}
	if _, err := os.Stat(c.Library); err != nil {
		return nil, fmt.Errorf("%w: there is no file %s", ErrLibrary, filepath.Base(c.Library))
	}
	if err := checkBinding(); err != nil {
		return nil, err
	}
	if c.ThreadsPerRun <= 0 {
		c.ThreadsPerRun = runtime.GOMAXPROCS(0)
	}
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := openLibrary(c.Library); err != nil {
		return nil, err
	}
	r := &Runtime{config: c, log: log, sessions: map[*session]struct{}{}}
	if !c.CPUOnly {
		r.devices = append(r.devices, openCUDA(c)...)
		r.devices = append(r.devices, openOpenVINO(c)...)
	}
	r.devices = append(r.devices, openCPU()...)
	for _, d := range r.devices {
		log.Info("device", "id", d.ID, "name", d.Name, "available", d.Available, "reason", d.Reason)
	}
	return r, nil
}

// openLibrary loads ONNX Runtime and makes its environment, once in a process.
func openLibrary(path string) error {
	if process.library != "" {
		if process.library != path {
			return fmt.Errorf("%w: this process has used another library", ErrLibrary)
		}
		return nil
	}
	// Read by the library when it creates its environment; DisableTelemetry
	// would come after the first event.
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return fmt.Errorf("%w: %w", ErrLibrary, err)
	}
	if err := openAPI(path); err != nil {
		return err
	}
	ort.SetSharedLibraryPath(path)
	// Its messages go to standard error and may quote inputs: what matters comes
	// back as a status.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return fmt.Errorf("%w: %s", ErrLibrary, sanitize(err.Error()))
	}
	process.library, process.plugins = path, map[string]bool{}
	if err := ort.DisableTelemetry(); err != nil {
		return fmt.Errorf("%w: %s", ErrLibrary, sanitize(err.Error()))
	}
	return nil
}

// Version is ONNX Runtime's own, such as "1.31.1".
func (r *Runtime) Version() string { return ort.GetVersion() }

// Devices lists every known device, those that cannot be used with the reason.
func (r *Runtime) Devices() []Device {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Device, len(r.devices))
	for i, d := range r.devices {
		out[i] = d.Device
		if d.failed != "" {
			out[i].Available, out[i].Reason = false, d.failed
		}
		if out[i].Available && !r.closed {
			d.provider.refresh(&out[i])
		}
	}
	return out
}

// Close closes the sessions that are still open, waiting for their runs and for
// loads. The libraries stay loaded. Further calls do nothing.
func (r *Runtime) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.mu.Unlock()
	r.loads.Wait()

	r.mu.Lock()
	rest := make([]*session, 0, len(r.sessions))
	for s := range r.sessions {
		rest = append(rest, s)
	}
	r.mu.Unlock()
	var errs []error
	for _, s := range rest {
		errs = append(errs, s.Close())
	}
	process.Unlock()
	return errors.Join(errs...)
}

func (r *Runtime) forget(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s)
}

// noteFailure gives a device up when msg says that it cannot recover.
func (r *Runtime) noteFailure(id, msg string) {
	if !lostContext.MatchString(msg) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.devices {
		if d.ID == id && d.failed == "" {
			d.failed = "the device failed and this process cannot use it any more: " + sanitize(msg)
			r.log.Error("device lost", "id", id, "reason", d.failed)
		}
	}
}

// Load implements Loader.
func (r *Runtime) Load(ctx context.Context, spec Spec) (Session, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, fmt.Errorf("gpu: %w", ErrClosed)
	}
	r.loads.Add(1)
	r.mu.Unlock()
	defer r.loads.Done()

	if spec.Precision.Coarseness() < 0 {
		return nil, fmt.Errorf("%w: there is no precision %q", ErrModel, spec.Precision)
	}
	file, err := readModelFile(spec.Path)
	if err != nil {
		return nil, err
	}
	known := make([]Device, len(r.devices))
	byID := map[string]*device{}
	for i, d := range r.devices {
		known[i], byID[d.ID] = d.Device, d
	}
	candidates, unknown := spec.Candidates(known)
	var skipped []string
	if len(unknown) > 0 {
		skipped = append(skipped, "no device "+strings.Join(unknown, ", "))
	}
	var last error
	for _, c := range candidates {
		d := byID[c.ID]
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if reason := r.unusable(d); reason != "" {
			skipped = append(skipped, d.ID+": "+reason)
			continue
		}
		s, err := r.loadOn(ctx, d, spec, file)
		if err == nil {
			s.placement.FallbackReason = strings.Join(skipped, "; ")
			r.log.Info("graph loaded", "device", d.ID, "precision", s.placement.Precision,
				"took", s.placement.LoadTime, "fallback", s.placement.FallbackReason)
			return s, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		last = err
		skipped = append(skipped, d.ID+": "+err.Error())
	}
	if last != nil {
		if before := skipped[:len(skipped)-1]; len(before) > 0 {
			return nil, fmt.Errorf("%w (before that, %s)", last, strings.Join(before, "; "))
		}
		return nil, last
	}
	return nil, fmt.Errorf("%w: %s", ErrNoDevice, strings.Join(skipped, "; "))
}

func (r *Runtime) unusable(d *device) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.failed != "" {
		return d.failed
	}
	return d.Reason
}

// loadOn creates the session on one device.
func (r *Runtime) loadOn(ctx context.Context, d *device, spec Spec, file *modelFile) (*session, error) {
	start := time.Now()
	if why := d.provider.refuses(file); why != "" {
		return nil, fmt.Errorf("%w: %s", ErrModel, why)
	}
	now := d.Device
	d.provider.refresh(&now)
	free := now.MemoryFree
	held := r.held(d.ID)
	if d.Provider == CUDA {
		spec.MemoryLimit = r.budget(spec.MemoryLimit, held)
		if spec.MemoryLimit > 0 && (free == 0 || spec.MemoryLimit < free) {
			free = spec.MemoryLimit
		}
	}
	need := d.provider.need(file)
	if free > 0 && need > free {
		return nil, &MemoryError{Device: d.ID, Needed: need, Available: free, Held: held}
	}
	threads := spec.Threads
	if threads <= 0 {
		threads = r.config.ThreadsPerRun
	}
	options, err := sessionOptions(threads)
	if err != nil {
		return nil, err
	}
	precision, err := d.provider.options(options, d, spec, file, threads)
	if err != nil {
		_ = options.Destroy()
		return nil, fmt.Errorf("%w: %s", ErrNoDevice, sanitize(err.Error()))
	}

	raw, err := r.create(ctx, d, spec.Path, options)
	if err != nil {
		return nil, err
	}
	s, err := newSession(r, raw, spec.Outputs)
	if err != nil {
		return nil, err
	}
	s.owner, s.bytes = spec.Owner, need
	s.placement = Placement{Provider: d.Provider, Device: d.ID, Precision: precision, LoadTime: time.Since(start)}
	if d.Provider != CUDA {
		s.placement.Threads = threads
	}
	if d.Provider != CPU {
		on, all := assignedNodes(s.handle, d.provider.name())
		s.placement.NodesOnDevice, s.placement.Nodes = on, all
	}
	r.mu.Lock()
	r.sessions[s] = struct{}{}
	r.mu.Unlock()
	if s.placement.Nodes > 0 && s.placement.NodesOnDevice == 0 {
		_ = s.Close()
		return nil, fmt.Errorf("%w: it runs none of the graph's operators", ErrModel)
	}
	return s, nil
}

// held lists what sessions hold of a device's memory, the largest first.
func (r *Runtime) held(device string) (out []Holding) {
	r.mu.Lock()
	for s := range r.sessions {
		if s.placement.Device == device {
			out = append(out, Holding{s.owner, s.bytes})
		}
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b Holding) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Owner, b.Owner))
	})
	return out
}

// budget returns the bytes that another session may take of a CUDA device, limit
// at most; 0 means no bound.
func (r *Runtime) budget(limit int64, held []Holding) int64 {
	left := r.config.CUDAMemory
	if left == 0 {
		return limit
	}
	for _, h := range held {
		left -= h.Bytes
	}
	left = max(left, 1) // nothing fits, which is not the same as no bound
	if limit > 0 {
		left = min(left, limit)
	}
	return left
}

// blame adds to an error of memory who holds it.
func (r *Runtime) blame(err error) error {
	if m, ok := errors.AsType[*MemoryError](err); ok {
		m.Held = r.held(m.Device)
	}
	return err
}

// create makes the session and frees the options. When ctx ends it returns at
// once: ONNX Runtime stops at its next step, which for a provider's compiler
// can be minutes away, and what it makes then is thrown away.
func (r *Runtime) create(ctx context.Context, d *device, path string, options *ort.SessionOptions) (*ort.DynamicAdvancedSession, error) {
	type result struct {
		session *ort.DynamicAdvancedSession
		err     error
	}
	done, abandoned := make(chan result), make(chan struct{})
	r.loads.Go(func() { // Close waits for it
		var made result
		load := func() error {
			made.session, made.err = ort.NewDynamicAdvancedSession(path, nil, nil, options)
			return made.err
		}
		if d.Provider == CUDA {
			_ = keepSignals(load)
		} else {
			_ = load()
		}
		select {
		case done <- made:
		case <-abandoned:
			if made.session != nil {
				_ = made.session.Destroy()
			}
		}
		_ = options.Destroy()
	})
	select {
	case made := <-done:
		if made.err != nil {
			return nil, r.blame(loadError(d.ID, made.err.Error()))
		}
		return made.session, nil
	case <-ctx.Done():
		cancelLoad(options)
		close(abandoned)
		return nil, context.Cause(ctx)
	}
}

// sessionOptions are those that all providers share.
func sessionOptions(threads int) (*ort.SessionOptions, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrModel, sanitize(err.Error()))
	}
	err = errors.Join(
		o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		o.SetExecutionMode(ort.ExecutionModeSequential),
		o.SetIntraOpNumThreads(threads),
		o.SetInterOpNumThreads(1),
		o.SetLogSeverityLevel(ort.LoggingLevelFatal),
		// A pattern is kept for every shape that was ever seen: with texts of all
		// lengths that only grows.
		o.SetMemPattern(false),
		// Idle threads of ONNX Runtime must not take the CPU from Go's.
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		o.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"),
		// Weights are allocated by themselves, not rounded up by the arena.
		o.AddSessionConfigEntry("session.use_device_allocator_for_initializers", "1"),
		o.AddSessionConfigEntry("session.record_ep_graph_assignment_info", "1"),
	)
	if err != nil {
		_ = o.Destroy()
		return nil, fmt.Errorf("%w: %s", ErrModel, sanitize(err.Error()))
	}
	return o, nil
}
