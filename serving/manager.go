// Package serving keeps model versions in memory: it loads, checks, warms,
// swaps, drains and frees them, and runs items through the one that a model's
// route names. What is loaded is this process's state, never the catalogue's.
package serving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/cache"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/tensor"
)

// Errors of this package.
var (
	// ErrNoRoute answers a call that names no version of a model of which none
	// was activated.
	ErrNoRoute = errors.New("no version of the model is active")
	// ErrLoad is wrapped by the error of a version that could not be loaded.
	ErrLoad = errors.New("the version could not be loaded")
	// ErrLoading answers a call whose time ran out while the version was still
	// on its way into memory: it will be there later.
	ErrLoading = errors.New("the version is still being loaded")
	// ErrRouted refuses to unload the version that a route names.
	ErrRouted = errors.New("the version is routed")
	// ErrClosed answers calls to a manager that shuts down.
	ErrClosed = errors.New("the server is shutting down")
)

// Catalogue is what serving asks of the model store.
type Catalogue interface {
	// Resolve returns the number of a version that is named by number, alias
	// or "latest".
	Resolve(ctx context.Context, model, version string) (int64, error)
	// Routes returns the routed version of every model that has one.
	Routes(ctx context.Context) ([]Route, error)
	// Materialize lays a version's files out in a private directory.
	Materialize(ctx context.Context, model string, version int64) (dir string, release func() error, err error)
}

// Route is the routed version of a model.
type Route struct {
	Model    string
	Version  int64
	Revision int64
}

// Config of a Manager.
type Config struct {
	Catalogue Catalogue
	Loader    gpu.Loader
	Limits    pipeline.Limits
	// Spare versions stay loaded though no route holds them: those that were
	// asked for by number or alias last. Default 2.
	Spare int
	// RetryAfter is how long a version that failed to load is left alone
	// before a call makes another attempt. Default 10 s.
	RetryAfter time.Duration
	// Planner measures how graphs are served best; nil places them by rules.
	Planner *Planner
	// Responses are the bytes of answers that are kept, by model; nothing is
	// kept of the models that it does not name.
	Responses map[string]int64
	Recorder  Recorder
	Logger    *slog.Logger
}

// Manager owns the loaded versions. It is safe for concurrent use.
type Manager struct {
	cfg       Config
	devices   *devices
	responses map[string]*responses // of all versions of a model
	closing   chan struct{}         // closed by Close
	loads     sync.WaitGroup        // loads and frees, which outlive the call that began them
	turns     chan struct{}         // held while a version loads

	mu     sync.Mutex // guards what follows
	routes map[string]Route
	loaded map[key]*entry
	began  bool // Start has read the routes
	closed bool
}

type key struct {
	model   string
	version int64
}

// entry is a version on its way into, in, or out of memory. Its fields are
// guarded by Manager.mu.
type entry struct {
	key      key
	version  *Version // set when ready
	err      error    // set when failed
	failed   time.Time
	users    int
	used     time.Time
	gone     bool // no longer in Manager.loaded; freed when users is 0
	progress Progress
	changed  chan struct{} // closed and replaced at every change of progress
}

// devices are what the queues of all versions share, so that many models use a
// device no harder than one.
type devices struct {
	mu   sync.Mutex
	byID map[string]*batch.Device // guarded by mu
}

const (
	// parts of a device that is no processor: a graph that has n runs side by
	// side there takes 1/n of it for each.
	parts = 12
	// shortRun is how long a run may be to share a processor with others
	// instead of waiting for them.
	shortRun = time.Millisecond
)

// share returns the device of a graph that is placed there with so many slots,
// and the permits of a run. Without devices, as in a probe, it returns nil.
func (d *devices) share(p gpu.Placement, slots int) (device *batch.Device, width int) {
	if d == nil {
		return nil, 0
	}
	id, permits, width, short := p.Device, parts, max(1, parts/slots), time.Duration(0)
	if p.Threads > 0 { // whatever the provider, the processors are the same
		id, permits, width, short = "", runtime.GOMAXPROCS(0), p.Threads, shortRun
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byID[id] == nil {
		if d.byID == nil {
			d.byID = map[string]*batch.Device{}
		}
		d.byID[id] = batch.NewDevice(permits, short)
	}
	return d.byID[id], width
}

// loadsAtOnce is how many versions load at the same time: one, so that what is
// measured has the processors, and what is asked for at once need not fit into
// memory at once.
const loadsAtOnce = 1

// New makes a manager. Nothing is loaded before Start or a first call.
func New(cfg Config) *Manager {
	if cfg.Spare == 0 {
		cfg.Spare = 2
	}
	if cfg.RetryAfter == 0 {
		cfg.RetryAfter = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	kept := map[string]*responses{}
	for model, bytes := range cfg.Responses {
		kept[model] = cache.New[[]tensor.Tensor](bytes)
	}
	return &Manager{cfg: cfg, devices: &devices{}, responses: kept, closing: make(chan struct{}), turns: make(chan struct{}, loadsAtOnce), routes: map[string]Route{}, loaded: map[key]*entry{}}
}

// Start reads the routes and begins to load every routed version. It returns
// before they are ready; Ready tells.
func (m *Manager) Start(ctx context.Context) error {
	routes, err := m.cfg.Catalogue.Routes(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.began = true
	for _, r := range routes {
		m.routes[r.Model] = r
		m.entry(key{r.Model, r.Version})
	}
	return nil
}

// Ready reports whether every routed version was loaded or has failed to, and
// how many have failed. Nothing is ready before Start.
func (m *Manager) Ready() (ready bool, failed int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ready = m.began
	for _, r := range m.routes {
		e := m.loaded[key{r.Model, r.Version}]
		switch {
		case e == nil || (e.version == nil && e.err == nil):
			ready = false
		case e.err != nil:
			failed++
		}
	}
	return ready, failed
}

// Acquire returns the version that answers for a model: the routed one when
// version is empty, else the one named by number, alias or "latest", which is
// loaded if it is not. The caller must call release when it is done. Errors
// wrap ErrNoRoute, ErrLoad, ErrClosed, the catalogue's or the context's.
func (m *Manager) Acquire(ctx context.Context, model, version string) (v *Version, release func(), err error) {
	if v, release, ok := m.loadedNumber(model, version); ok {
		return v, release, nil
	}
	k := key{model: model}
	if version != "" {
		if k.version, err = m.cfg.Catalogue.Resolve(ctx, model, version); err != nil {
			return nil, nil, err
		}
	}
	for {
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			return nil, nil, ErrClosed
		}
		if version == "" {
			route, ok := m.routes[model]
			if !ok {
				m.mu.Unlock()
				return nil, nil, m.noRoute(ctx, model)
			}
			k.version = route.Version
		}
		e := m.entry(k)
		if e.version != nil {
			e.users++
			e.used = time.Now()
			v := e.version
			m.mu.Unlock()
			return v, func() { m.release(e) }, nil
		}
		if e.err != nil {
			m.mu.Unlock()
			return nil, nil, fmt.Errorf("%w: %w", ErrLoad, e.err)
		}
		// Who waits is a user already: a version that is taken out of use as
		// soon as it is loaded, because many are asked for at once, still
		// answers those who have waited for it.
		e.users++
		m.mu.Unlock()
		if err := m.wait(ctx, e); err != nil {
			m.release(e)
			return nil, nil, err
		}
		m.mu.Lock()
		v, failure := e.version, e.err
		m.mu.Unlock()
		if v != nil {
			return v, func() { m.release(e) }, nil
		}
		m.release(e)
		if failure != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrLoad, failure)
		}
	}
}

// wait returns once an entry is no longer on its way into memory.
func (m *Manager) wait(ctx context.Context, e *entry) error {
	for {
		m.mu.Lock()
		stage, changed := e.progress.Stage, e.changed
		m.mu.Unlock()
		if stage >= Ready {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%w: %s version %d", ErrLoading, e.key.model, e.key.version)
			}
			return ctx.Err()
		case <-m.closing:
			return ErrClosed
		}
	}
}

// loadedNumber returns a version that is named by its number and ready, so that
// such calls ask nothing of the catalogue. One that is deleted there is
// forgotten here.
func (m *Manager) loadedNumber(model, version string) (*Version, func(), bool) {
	if version == "" {
		return nil, nil, false
	}
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		return nil, nil, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.loaded[key{model, n}]
	if e == nil || e.version == nil {
		return nil, nil, false
	}
	e.users++
	e.used = time.Now()
	return e.version, func() { m.release(e) }, true
}

// Loaded returns the version that Acquire would, nil when it is not ready. It
// loads nothing. The version is only to be looked at: it may be freed at any
// time.
func (m *Manager) Loaded(ctx context.Context, model, version string) *Version {
	k := key{model: model}
	if version != "" {
		var err error
		if k.version, err = m.cfg.Catalogue.Resolve(ctx, model, version); err != nil {
			return nil
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if version == "" {
		k.version = m.routes[model].Version
	}
	if e := m.loaded[k]; e != nil {
		return e.version
	}
	return nil
}

// Versions returns all that are ready, by model and number, only to be looked
// at: they may be freed at any time.
func (m *Manager) Versions() []*Version {
	m.mu.Lock()
	var out []*Version
	for _, e := range m.loaded {
		if e.version != nil {
			out = append(out, e.version)
		}
	}
	m.mu.Unlock()
	slices.SortFunc(out, func(a, b *Version) int {
		return cmp.Or(cmp.Compare(a.id.Model, b.id.Model), cmp.Compare(a.id.Version, b.id.Version))
	})
	return out
}

// noRoute tells a model without a route from one that does not exist.
func (m *Manager) noRoute(ctx context.Context, model string) error {
	if _, err := m.cfg.Catalogue.Resolve(ctx, model, "latest"); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrNoRoute, model)
}

// entry returns the entry of a version and begins to load it when there is
// none, or when its last attempt failed long enough ago. The caller holds mu.
func (m *Manager) entry(k key) *entry {
	e := m.loaded[k]
	if e != nil && (e.err == nil || time.Since(e.failed) < m.cfg.RetryAfter) {
		return e
	}
	if e == nil {
		e = &entry{key: k, changed: make(chan struct{})}
		m.loaded[k] = e
	}
	e.err = nil
	e.used = time.Now()
	e.progress = Progress{Stage: Preparing, Message: "waiting"}
	m.loads.Go(func() { m.load(e) })
	return e
}

// load runs in a goroutine of its own, owned by m.loads.
func (m *Manager) load(e *entry) {
	start := time.Now()
	v, err := m.loadFiles(e)
	m.mu.Lock()
	defer m.mu.Unlock()
	log := m.cfg.Logger.With("model", e.key.model, "version", e.key.version)
	if err != nil {
		e.err, e.failed = err, time.Now()
		m.advance(e, Progress{Stage: Failed, Message: err.Error()})
		log.Error("version failed to load", "error", err)
		return
	}
	e.version = v
	if g := v.main; g != nil {
		log = log.With("plan", g.plan.Source, "device", g.place.Device, "precision", PrecisionName(g.place.Precision), "fallback", g.place.FallbackReason)
	}
	log.Info("version loaded", "took", time.Since(start).Round(time.Millisecond))
	m.advance(e, Progress{Stage: Ready, Fraction: 1})
	if e.gone {
		m.freeIfUnused(e)
		return
	}
	m.evict()
}

func (m *Manager) loadFiles(e *entry) (*Version, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with this load
		select {
		case <-m.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	select {
	case m.turns <- struct{}{}:
		defer func() { <-m.turns }()
	case <-ctx.Done():
		return nil, ErrClosed
	}
	dir, release, err := m.cfg.Catalogue.Materialize(ctx, e.key.model, e.key.version)
	if err != nil {
		return nil, err
	}
	v, err := Load(ctx, pipeline.Identity{Model: e.key.model, Version: e.key.version}, dir, LoadOptions{
		Loader: m.cfg.Loader, Limits: m.cfg.Limits, Recorder: m.cfg.Recorder, Planner: m.cfg.Planner,
		devices: m.devices, responses: m.responses[e.key.model],
		Progress: func(p Progress) {
			if p.Stage == Ready { // load says so, once the entry holds the version
				return
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			m.advance(e, p)
		},
	})
	// What was read, compared and timed on the way can be as large as the weights.
	debug.FreeOSMemory()
	// Weights are in memory; the files are needed no more. Golden pictures and
	// labels were read while loading.
	if rerr := release(); rerr != nil && err == nil {
		m.cfg.Logger.Warn("private directory not removed", "model", e.key.model, "error", rerr)
	}
	return v, err
}

// advance tells watchers. The caller holds mu.
func (m *Manager) advance(e *entry, p Progress) {
	e.progress = p
	close(e.changed)
	e.changed = make(chan struct{})
}

func (m *Manager) release(e *entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.users--
	if e.gone {
		m.freeIfUnused(e)
	}
}

// evict frees spare versions beyond Config.Spare, those used longest ago first.
// The caller holds mu.
func (m *Manager) evict() {
	var spare []*entry
	for k, e := range m.loaded {
		if m.routes[k.model].Version != k.version && (e.version != nil || e.err != nil) {
			spare = append(spare, e)
		}
	}
	sort.Slice(spare, func(i, j int) bool { return spare[i].used.After(spare[j].used) })
	for i := m.cfg.Spare; i < len(spare); i++ {
		m.retire(spare[i])
	}
}

// retire takes an entry out of use; its memory is freed by its last user. The
// caller holds mu.
func (m *Manager) retire(e *entry) {
	delete(m.loaded, e.key)
	e.gone = true
	m.freeIfUnused(e)
}

// freeIfUnused frees a retired version in a goroutine: closing waits for runs
// in progress. The caller holds mu.
func (m *Manager) freeIfUnused(e *entry) {
	if e.users > 0 || e.version == nil {
		return
	}
	v := e.version
	e.version = nil
	m.advance(e, Progress{Stage: Unloaded})
	m.loads.Go(func() {
		if err := v.Close(); err != nil {
			m.cfg.Logger.Error("version not freed", "model", e.key.model, "version", e.key.version, "error", err)
			return
		}
		m.cfg.Logger.Info("version freed", "model", e.key.model, "version", e.key.version)
	})
}

// Warm loads a version and returns when it is ready to answer.
func (m *Manager) Warm(ctx context.Context, model string, version int64) error {
	m.mu.Lock()
	if e := m.loaded[key{model, version}]; e != nil && e.err != nil {
		e.failed = time.Time{} // whoever asks for it by name gets a new attempt
	}
	m.mu.Unlock()
	_, release, err := m.Acquire(ctx, model, fmt.Sprint(version))
	if err != nil {
		return err
	}
	release()
	return nil
}

// SetRoute sends a model's calls to a version from now on. A revision that is
// not above the present one is ignored, so that acknowledgements that overtake
// each other do no harm.
func (m *Manager) SetRoute(r Route) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.routes[r.Model].Revision >= r.Revision {
		return
	}
	m.routes[r.Model] = r
	m.entry(key{r.Model, r.Version})
	m.evict()
}

// Forget unloads a deleted version, or all of a deleted model's when version is
// 0. Calls that it is answering are answered.
func (m *Manager) Forget(model string, version int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if version == 0 {
		delete(m.routes, model)
	}
	for k, e := range m.loaded {
		if k.model == model && (version == 0 || k.version == version) {
			m.retire(e)
		}
	}
}

// Unload frees a version, or all of a model's when version is 0. Calls that it
// is answering are answered; the next that names it loads it again. It returns
// an error wrapping ErrRouted, and frees nothing, when a route names one of
// them.
func (m *Manager) Unload(model string, version int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.routes[model]; ok && (version == 0 || version == r.Version) {
		return fmt.Errorf("%w: %s version %d", ErrRouted, model, r.Version)
	}
	for k, e := range m.loaded {
		if k.model == model && (version == 0 || k.version == version) {
			m.retire(e)
		}
	}
	return nil
}

// Watch calls each with a version's progress, now and at every change, until
// the version is ready or failed, each returns an error, or ctx ends. It begins
// to load the version when nothing else has.
func (m *Manager) Watch(ctx context.Context, model string, version int64, each func(Progress) error) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	e := m.entry(key{model, version})
	m.mu.Unlock()
	for {
		m.mu.Lock()
		p, changed := e.progress, e.changed
		m.mu.Unlock()
		if err := each(p); err != nil {
			return err
		}
		if p.Stage >= Ready {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-m.closing:
			return ErrClosed
		}
	}
}

// Close stops loading, drains the queues until ctx ends, and frees everything.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	var versions []*Version
	for _, e := range m.loaded {
		if e.version != nil {
			versions = append(versions, e.version)
			e.version = nil
			m.advance(e, Progress{Stage: Unloaded})
		}
		e.gone = true
	}
	m.loaded = map[key]*entry{}
	m.mu.Unlock()
	close(m.closing)
	var errs []error
	for _, v := range versions {
		if err := v.Drain(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s version %d: %w", v.id.Model, v.id.Version, err))
		}
		errs = append(errs, v.Close())
	}
	m.loads.Wait()
	return errors.Join(errs...)
}
