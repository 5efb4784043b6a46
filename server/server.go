// Package server answers gRPC calls: every method converts, calls, and converts
// back. It holds the interceptors, the mapping of errors to statuses, health,
// metrics, and nothing of models.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"buf.build/go/protovalidate"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/proto/inference"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
	"github.com/scry-ml/scry/serving"
)

// Config of a Server.
type Config struct {
	Store   *modelstore.Store
	Manager *serving.Manager
	Devices gpu.Loader
	// Info is what GetServerInfo tells of the build and of ONNX Runtime.
	Info Info
	// Limits bound requests; zero fields stand for their defaults.
	Limits Limits
	// RequestMemory bounds the large requests of all calls that are being answered,
	// by their bytes as they came; default 512 MiB, at least one message.
	RequestMemory int64
	// Items bounds pictures that are read without a model; the same as that of
	// Manager, so that they share its memory.
	Items pipeline.Limits
	// Models names the model of each feature for calls that name none.
	Models DefaultModels
	// AdminToken is needed as a bearer token by calls that change the store.
	// Trusted says that without one such calls are allowed: the server listens
	// on loopback only.
	AdminToken string
	Trusted    bool
	// RequireDevice is a provider without which the server is not ready; empty
	// = fall back.
	RequireDevice string
	// TLS of the listener; nil for plain text.
	TLS credentials.TransportCredentials
	// DefaultDeadline of calls that set none; default 10 s, negative for none.
	DefaultDeadline time.Duration
	Registry        *prometheus.Registry
	Logger          *slog.Logger
}

// Info tells about the build.
type Info struct {
	Version, Commit, ONNXRuntime string
}

// DefaultModels are model names by feature; empty = the call must name one.
type DefaultModels struct {
	Scoring, Recommendation, Sentiment, TextEmbedding, ImageLabels, ImageEmbedding, SafeSearch, Faces, ImageText string
}

// Limits of one request. Zero fields stand for the defaults below.
type Limits struct {
	MessageBytes int   // 64 MiB
	Instances    int   // 10,000
	TableRows    int64 // 1,000,000
	Texts        int   // 10,000
	TextBytes    int   // 1 MiB
	Images       int   // 1,000
	ImageBytes   int   // 20 MiB
	ImagePixels  int   // 64 Mi
	UploadBytes  int64 // 64 GiB
	UploadFiles  int   // 10,000
	ReadAhead    int   // messages of one stream under way: 4
}

// WithDefaults returns a copy in which every field has its effective value.
func (l Limits) WithDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.MessageBytes, 64<<20)
	set(&l.Instances, 10_000)
	set(&l.Texts, 10_000)
	set(&l.TextBytes, 1<<20)
	set(&l.Images, 1_000)
	set(&l.ImageBytes, 20<<20)
	set(&l.ImagePixels, 64<<20)
	set(&l.UploadFiles, 10_000)
	set(&l.ReadAhead, 4)
	if l.TableRows == 0 {
		l.TableRows = 1_000_000
	}
	if l.UploadBytes == 0 {
		l.UploadBytes = 64 << 30
	}
	return l
}

// Server is the gRPC side of the daemon.
type Server struct {
	cfg       Config
	log       *slog.Logger
	validator protovalidate.Validator
	metrics   *metrics
	requests  *requests
	methods   map[string]*method // by full name; filled before the first call
	health    *health.Server
	grpc      *grpc.Server
	started   time.Time

	closing chan struct{} // closed by Stop: ends the health watch
	once    sync.Once
	watch   sync.WaitGroup
}

// What one connection may have open, and one call may send as metadata.
const (
	maxStreams = 1000
	maxHeaders = 64 << 10 // bytes
)

// streamWorkers is how many goroutines wait for calls. While all are busy a
// call gets one of its own.
const streamWorkers = 256

// services are the names that health is reported for, beside "" for all.
var services = []string{
	scoringv1.ScoringService_ServiceDesc.ServiceName,
	sentimentv1.SentimentService_ServiceDesc.ServiceName,
	imageanalysisv1.ImageAnalysisService_ServiceDesc.ServiceName,
	inference.GRPCInferenceService_ServiceDesc.ServiceName,
	modelstorev1.ModelStoreService_ServiceDesc.ServiceName,
	serverv1.ServerService_ServiceDesc.ServiceName,
}

// New makes a server; nothing listens before Serve.
func New(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	if cfg.DefaultDeadline == 0 {
		cfg.DefaultDeadline = defaultDeadline
	}
	if cfg.RequestMemory == 0 {
		cfg.RequestMemory = 512 << 20
	}
	cfg.Limits = cfg.Limits.WithDefaults()
	s := &Server{
		cfg: cfg, log: cfg.Logger, metrics: newMetrics(cfg.Registry, cfg.Manager),
		health: health.NewServer(), started: time.Now(), closing: make(chan struct{}),
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	s.requests = newRequests(codec, max(cfg.RequestMemory, int64(cfg.Limits.MessageBytes)), cfg.Registry)
	options := append(s.interceptors(),
		grpc.MaxRecvMsgSize(cfg.Limits.MessageBytes),
		grpc.MaxSendMsgSize(cfg.Limits.MessageBytes),
		grpc.WaitForHandlers(true), // Stop joins them
		// A goroutine made for each call would grow its stack anew each time.
		grpc.NumStreamWorkers(streamWorkers),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		// A peer that is gone without a word is noticed, and its streams freed.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	if cfg.TLS != nil {
		options = append(options, grpc.Creds(cfg.TLS))
	}
	s.grpc = grpc.NewServer(options...)
	services := registrar{s}
	scoringv1.RegisterScoringServiceServer(services, &scoringService{server: s})
	sentimentv1.RegisterSentimentServiceServer(services, &sentimentService{server: s})
	imageanalysisv1.RegisterImageAnalysisServiceServer(services, &imageAnalysisService{server: s})
	modelstorev1.RegisterModelStoreServiceServer(services, newModelStoreService(s))
	serverv1.RegisterServerServiceServer(services, &serverService{server: s})
	inference.RegisterGRPCInferenceServiceServer(services, &inferenceService{server: s})
	healthv1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc) // v1 and v1alpha
	s.noteMethods()
	if s.validator, err = protovalidate.New(protovalidate.WithMessageDescriptors(s.ruled()...)); err != nil {
		s.grpc.Stop()
		return nil, fmt.Errorf("request rules: %w", err)
	}
	s.setHealth(healthv1.HealthCheckResponse_NOT_SERVING)
	s.watch.Go(s.watchHealth)
	return s, nil
}

// Serve answers calls on a listener until Stop.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// Stop reports NOT_SERVING, lets calls in progress finish until ctx ends, then
// cuts what is left.
func (s *Server) Stop(ctx context.Context) {
	s.once.Do(func() { close(s.closing) })
	s.watch.Wait()
	s.health.Shutdown()
	done := make(chan struct{})
	go func() { // ends with GracefulStop, which Stop below ends at the latest
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
}

// Ready returns nil once every routed version is loaded, and else what is
// lacking: a version that loads or has failed to, or the required device. A
// server that shuts down is not ready.
func (s *Server) Ready() error {
	select {
	case <-s.closing:
		return errors.New("the server is shutting down")
	default:
	}
	if want := s.cfg.RequireDevice; want != "" {
		reason := "there is no such device"
		for _, d := range s.cfg.Devices.Devices() {
			if d.Provider == want && d.Available {
				reason = ""
				break
			}
			if d.Provider == want && d.Reason != "" {
				reason = d.Reason
			}
		}
		if reason != "" {
			return fmt.Errorf("the required device %s cannot be used: %s", want, reason)
		}
		for _, v := range s.cfg.Manager.Statuses() {
			for _, g := range v.Graphs {
				if v.Routed && g.Provider != want && g.Fallback != "" {
					return fmt.Errorf("%s version %d fell back from %s: %s", v.Identity.Model, v.Identity.Version, want, g.Fallback)
				}
			}
		}
	}
	ready, failed := s.cfg.Manager.Ready()
	switch {
	case failed > 0:
		return fmt.Errorf("%d routed versions could not be loaded", failed)
	case !ready:
		return errors.New("routed versions are being loaded")
	}
	return nil
}

// watchHealth reports SERVING once the routed versions are loaded. An empty
// store is ready at once. It runs in a goroutine owned by s.watch.
func (s *Server) watchHealth() {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last := healthv1.HealthCheckResponse_NOT_SERVING
	for {
		now := healthv1.HealthCheckResponse_NOT_SERVING
		if s.Ready() == nil {
			now = healthv1.HealthCheckResponse_SERVING
		}
		if now != last {
			s.setHealth(now)
			last = now
		}
		select {
		case <-tick.C:
		case <-s.closing:
			return
		}
	}
}

// setHealth reports one status for all task services. The store and the server
// service answer whatever is loaded.
func (s *Server) setHealth(status healthv1.HealthCheckResponse_ServingStatus) {
	s.health.SetServingStatus("", status)
	for _, name := range services {
		st := status
		if name == modelstorev1.ModelStoreService_ServiceDesc.ServiceName || name == serverv1.ServerService_ServiceDesc.ServiceName {
			st = healthv1.HealthCheckResponse_SERVING
		}
		s.health.SetServingStatus(name, st)
	}
}
