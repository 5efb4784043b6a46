package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pixel"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/server"
	"github.com/scry-ml/scry/serving"
	"github.com/scry-ml/scry/turbojpeg"
)

// App is the daemon with everything that it owns.
type App struct {
	cfg     Config
	log     *slog.Logger
	runtime *gpu.Runtime
	store   *modelstore.Store
	manager *serving.Manager
	items   pipeline.Limits
	server  *server.Server
	grpc    net.Listener
	admin   net.Listener // nil when not wanted
	http    *http.Server
	probing chan struct{} // held while a probe runs: each may take half of the memory
}

// NewApp opens the store, ONNX Runtime and the listeners, and begins to load
// the routed versions.
func NewApp(ctx context.Context, cfg Config, logs io.Writer) (_ *App, err error) {
	a := &App{cfg: cfg, log: newLogger(cfg, logs), probing: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			a.close(context.WithoutCancel(ctx))
		}
	}()
	if cfg.JPEGLibrary != "" {
		l, err := turbojpeg.Open(cfg.JPEGLibrary)
		if err != nil {
			return nil, fmt.Errorf("--jpeg-library: %w", err)
		}
		pixel.UseJPEGLibrary(l.Decode)
	}
	if a.runtime, err = openRuntime(cfg, a.log); err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if a.store, err = modelstore.Open(ctx, modelstore.Config{
		Dir: cfg.Store, MaxVersionBytes: cfg.MaxUploadBytes, Logger: a.log,
		Prepare: prepareBundle,
		Probe: func(ctx context.Context, dir string) (modelstore.Probed, error) {
			return a.probe(ctx, exe, dir)
		},
	}); err != nil {
		return nil, fmt.Errorf("--store %s: %w", cfg.Store, err)
	}
	if cfg.Import != "" {
		if err := importBundles(ctx, a.store, cfg.Import, a.log); err != nil {
			return nil, fmt.Errorf("--import: %w", err)
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	kept, err := cfg.responseCache()
	if err != nil {
		return nil, err
	}
	var planner *serving.Planner
	if cfg.Plan == "measured" {
		planner = serving.NewPlanner(filepath.Join(cfg.Store, "plans"), a.runtime.Fingerprint())
	}
	a.items = itemLimits(cfg)
	a.manager = serving.New(serving.Config{
		Catalogue: catalogue{a.store}, Loader: a.runtime, Limits: a.items, Spare: cfg.SpareVersions,
		Planner: planner, Responses: kept,
		Recorder: server.NewRecorder(registry), Logger: a.log,
	})
	if err := a.listen(registry); err != nil {
		return nil, err
	}
	return a, a.manager.Start(ctx)
}

func (a *App) listen(registry *prometheus.Registry) error {
	cfg := a.cfg
	sc := server.Config{
		Store: a.store, Manager: a.manager, Devices: a.runtime,
		Info:   server.Info{Version: buildVersion(), Commit: buildCommit(), ONNXRuntime: a.runtime.Version()},
		Limits: requestLimits(cfg), RequestMemory: cfg.RequestMemory, Items: a.items,
		Models: server.DefaultModels{
			Scoring: cfg.ModelScoring, Recommendation: cfg.ModelRecommendation, Sentiment: cfg.ModelSentiment, TextEmbedding: cfg.ModelTextEmbedding,
			ImageLabels: cfg.ModelImageLabels, ImageEmbedding: cfg.ModelImageEmbedding,
			SafeSearch: cfg.ModelSafeSearch, Faces: cfg.ModelFaces, ImageText: cfg.ModelImageText,
		},
		Trusted: server.Loopback(cfg.GRPC), RequireDevice: cfg.RequireDevice,
		DefaultDeadline: cfg.DefaultDeadline, Registry: registry, Logger: a.log,
	}
	if cfg.AdminTokenFile != "" {
		token, err := os.ReadFile(cfg.AdminTokenFile)
		if err != nil {
			return fmt.Errorf("--admin-token-file: %w", err)
		}
		if sc.AdminToken = strings.TrimSpace(string(token)); len(sc.AdminToken) < 16 {
			return errors.New("--admin-token-file: the token has fewer than 16 characters")
		}
	}
	if cfg.TLSCert != "" {
		creds, err := credentials.NewServerTLSFromFile(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return fmt.Errorf("--tls-cert: %w", err)
		}
		sc.TLS = creds
	}
	var err error
	if a.server, err = server.New(sc); err != nil {
		return err
	}
	if a.grpc, err = net.Listen("tcp", cfg.GRPC); err != nil {
		return fmt.Errorf("--grpc: %w", err)
	}
	if cfg.Admin == "" {
		return nil
	}
	if a.admin, err = net.Listen("tcp", cfg.Admin); err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.server.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	a.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	return nil
}

// GRPCAddr is the address that gRPC is answered on.
func (a *App) GRPCAddr() string { return a.grpc.Addr().String() }

// AdminAddr is the address of the metrics; empty when there is none.
func (a *App) AdminAddr() string {
	if a.admin == nil {
		return ""
	}
	return a.admin.Addr().String()
}

// Run serves until ctx ends or a listener fails, then drains and closes.
func (a *App) Run(ctx context.Context) error {
	errs := make(chan error, 2)
	go func() { errs <- a.server.Serve(a.grpc) }() // ends with server.Stop
	if a.http != nil {
		go func() { // ends with http.Shutdown
			if err := a.http.Serve(a.admin); !errors.Is(err, http.ErrServerClosed) {
				errs <- err
			}
		}()
	}
	a.log.Info("serving", "grpc", a.GRPCAddr(), "admin", a.AdminAddr(), "store", a.cfg.Store, "version", buildVersion())
	var err error
	select {
	case <-ctx.Done():
		a.log.Info("draining; a second signal ends at once")
	case err = <-errs:
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.DrainTimeout)
	defer cancel()
	return errors.Join(err, a.close(deadline))
}

// close ends what NewApp has opened, in reverse order.
func (a *App) close(ctx context.Context) error {
	var errs []error
	if a.server != nil {
		a.server.Stop(ctx)
	}
	if a.manager != nil {
		// Nobody waits any more: what is left are runs whose callers were cut off.
		left, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		errs = append(errs, a.manager.Close(left))
		cancel()
	}
	if a.http != nil {
		errs = append(errs, a.http.Shutdown(ctx))
	}
	for _, l := range []net.Listener{a.grpc, a.admin} {
		if l != nil {
			_ = l.Close() // a second close after Stop says so; that is no failure
		}
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.runtime != nil {
		errs = append(errs, a.runtime.Close())
	}
	return errors.Join(errs...)
}

// prepareBundle infers the manifest of an upload that has none, and changes what
// cannot be served of its graphs.
func prepareBundle(_ context.Context, dir string, hints []byte) (modelstore.Prepared, error) {
	given := &bundlev1.Hints{}
	if err := proto.Unmarshal(hints, given); err != nil {
		return modelstore.Prepared{}, err
	}
	p, err := bundle.Prepare(os.DirFS(dir), given)
	if err != nil {
		return modelstore.Prepared{}, err
	}
	return modelstore.Prepared{Files: p.FS, Changed: p.Changed}, nil
}

// probe loads a bundle in a child process before it becomes a version.
func (a *App) probe(ctx context.Context, exe, dir string) (modelstore.Probed, error) {
	select {
	case a.probing <- struct{}{}:
		defer func() { <-a.probing }()
	case <-ctx.Done():
		return modelstore.Probed{}, ctx.Err()
	}
	argv := []string{exe, "probe", "--runtime-dir", a.cfg.runtimeDir(), "--ort-library", a.cfg.ORTLibrary,
		"--probe-memory", fmt.Sprint(a.cfg.ProbeMemory),
		"--max-text-bytes", fmt.Sprint(a.cfg.MaxTextBytes), "--max-image-bytes", fmt.Sprint(a.cfg.MaxImageBytes)}
	found, err := serving.Probe(ctx, argv, dir, serving.ProbeLimits{Time: a.cfg.ProbeTime, Memory: a.cfg.ProbeMemory})
	if crash, ok := errors.AsType[*serving.ProbeCrash](err); ok {
		a.log.Warn("the probe of a bundle crashed", "how", crash.How, "output", crash.Output)
	}
	if err != nil {
		return modelstore.Probed{}, err
	}
	manifest, err := proto.MarshalOptions{Deterministic: true}.Marshal(found.Manifest)
	if err != nil {
		return modelstore.Probed{}, err
	}
	v := found.Verification
	return modelstore.Probed{Manifest: manifest, Verification: modelstore.Verification{
		Samples: v.Samples, MaxDifference: v.MaxDifference, Output: v.Output, Precision: v.Precision,
	}}, nil
}

// catalogue is the model store as serving needs it.
type catalogue struct{ store *modelstore.Store }

func (c catalogue) Resolve(ctx context.Context, model, version string) (int64, error) {
	return c.store.Resolve(ctx, model, version)
}

func (c catalogue) Routes(ctx context.Context) ([]serving.Route, error) {
	var routes []serving.Route
	page := modelstore.Page{}
	for {
		models, next, err := c.store.ListModels(ctx, page)
		if err != nil {
			return nil, err
		}
		for _, m := range models {
			if len(m.Route.Entries) > 0 {
				routes = append(routes, serving.Route{Model: m.Name, Version: m.Route.Entries[0].Version, Revision: m.Route.Revision})
			}
		}
		if next == "" {
			return routes, nil
		}
		page.Token = next
	}
}

func (c catalogue) Materialize(ctx context.Context, model string, version int64) (string, func() error, error) {
	d, err := c.store.Materialize(ctx, model, version)
	if err != nil {
		return "", nil, err
	}
	return d.Path, d.Close, nil
}

func openRuntime(cfg Config, log *slog.Logger) (*gpu.Runtime, error) {
	gc := runtimeConfig(cfg)
	gc.Logger = log
	r, err := gpu.Open(gc)
	if errors.Is(err, gpu.ErrLibrary) {
		help := "run `make setup`, or give --ort-library"
		if cfg.ORTLibrary != "" {
			help = "--ort-library is " + cfg.ORTLibrary
		}
		return nil, fmt.Errorf("%w: %s; `scryd doctor` tells more", err, help)
	}
	return r, err
}

func runtimeConfig(cfg Config) gpu.Config {
	gc := gpu.FindRuntime(cfg.runtimeDir())
	if cfg.ORTLibrary != "" {
		gc.Library = cfg.ORTLibrary
	}
	gc.CUDAMemory = cfg.CUDAMemory
	return gc
}

func itemLimits(cfg Config) pipeline.Limits {
	return pipeline.Limits{
		TextBytes: cfg.MaxTextBytes, Image: pixel.Limits{MaxBytes: cfg.MaxImageBytes, MaxPixels: cfg.MaxImagePixels},
		Decoding: pipeline.NewDecoding(cfg.DecodeMemory),
	}
}

func requestLimits(cfg Config) server.Limits {
	return server.Limits{
		MessageBytes: cfg.MaxMessageBytes, Instances: cfg.MaxInstances, Texts: cfg.MaxTexts, TextBytes: cfg.MaxTextBytes,
		Images: cfg.MaxImages, ImageBytes: cfg.MaxImageBytes, ImagePixels: cfg.MaxImagePixels, UploadBytes: cfg.MaxUploadBytes,
	}
}

func newLogger(cfg Config, w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // Validate has checked it
	options := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// buildVersion is the module's version, or "devel" with the commit.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		if c := buildCommit(); c != "" {
			return "devel-" + c[:min(12, len(c))]
		}
		return "devel"
	}
	return info.Main.Version
}

func buildCommit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return ""
}
