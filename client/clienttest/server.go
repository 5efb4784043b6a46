// Package clienttest is a scry server that lives in memory and answers by simple
// rules, for tests of programs that use package client. It keeps models as the
// real one does, and can be told to refuse calls and to cut connections.
package clienttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/scry-ml/scry/client"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// Epoch is the time of everything that a Server records.
var Epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Server is the fake. Info and GoldenDifference may be changed before it serves,
// and by Change while it does.
type Server struct {
	// Info is what GetServerInfo answers.
	Info *serverv1.GetServerInfoResponse
	// GoldenDifference is what every check of goldens finds.
	GoldenDifference float64

	grpc  *grpc.Server
	store *store

	mu     sync.Mutex // guards the rest
	faults map[string][]error
	sizes  map[string][]int
	heads  map[string]metadata.MD
	conns  map[net.Conn]struct{}
}

// New returns an empty server with generous limits.
func New() *Server {
	s := &Server{
		Info: &serverv1.GetServerInfoResponse{
			Version:            "1.2.3",
			Commit:             "0123456789ab",
			GoVersion:          "go1.26.0",
			OnnxruntimeVersion: "1.31.1",
			MaxOpset:           26,
			MaxIrVersion:       13,
			OperatorDomains:    []string{"", "ai.onnx.ml", "com.microsoft"},
			StartTime:          timestamppb.New(Epoch),
			Limits: &serverv1.Limits{
				MaxMessageBytes: 64 << 20, MaxInstances: 10_000, MaxTableRows: 1_000_000,
				MaxTexts: 10_000, MaxTextBytes: 1 << 20, MaxImages: 1000, MaxImageBytes: 32 << 20,
				MaxImagePixels: 64 << 20, MaxUploadBytes: 1 << 40, MaxUploadFiles: 1000,
			},
			DefaultModels: map[string]string{"scoring": "churn", "sentiment": "sentiment", "image_labels": "products"},
		},
		faults: make(map[string][]error),
		sizes:  make(map[string][]int),
		heads:  make(map[string]metadata.MD),
		conns:  make(map[net.Conn]struct{}),
	}
	s.store = newStore(s)
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(64<<20), grpc.MaxSendMsgSize(64<<20),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := s.fault(ctx, info.FullMethod); err != nil {
				return nil, err
			}
			return handle(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if err := s.fault(ss.Context(), info.FullMethod); err != nil {
				return err
			}
			return handle(srv, ss)
		}),
	)
	scoringv1.RegisterScoringServiceServer(s.grpc, &scoring{server: s})
	sentimentv1.RegisterSentimentServiceServer(s.grpc, &sentiment{server: s})
	imageanalysisv1.RegisterImageAnalysisServiceServer(s.grpc, &images{server: s})
	modelstorev1.RegisterModelStoreServiceServer(s.grpc, s.store)
	serverv1.RegisterServerServiceServer(s.grpc, &about{server: s})
	healthpb.RegisterHealthServer(s.grpc, health.NewServer())
	return s
}

// Change changes Info and GoldenDifference while the server serves.
func (s *Server) Change(change func(*Server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// goldenDifference reads the field of that name.
func (s *Server) goldenDifference() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.GoldenDifference
}

// Serve answers on lis until Stop.
func (s *Server) Serve(lis net.Listener) error {
	err := s.grpc.Serve(&listener{lis, s})
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Stop ends Serve and drops every connection.
func (s *Server) Stop() { s.grpc.Stop() }

// Dial serves in memory and returns a client; both end with the test.
func (s *Server) Dial(t testing.TB, opts ...client.Option) *client.Client {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	opts = append([]client.Option{client.WithDialOptions(
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
	)}, opts...)
	c, err := client.Dial(t.Context(), "passthrough:///localhost", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

// Fail makes the next calls of a method, such as "Score", fail with the errors,
// one each; nil lets one pass.
func (s *Server) Fail(method string, errs ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[method] = append(s.faults[method], errs...)
}

// Waiting returns how many errors of Fail are left for a method.
func (s *Server) Waiting(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.faults[method])
}

// Hang makes the next call of a method wait until its caller gives up.
func (s *Server) Hang(method string) { s.Fail(method, errHang) }

var errHang = errors.New("hang")

// Sizes returns how many items or, for UploadFile, bytes each call of a method
// held, in the order in which they were answered.
func (s *Server) Sizes(method string) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.sizes[method]...)
}

// Header returns a header of the last call of a method.
func (s *Server) Header(method, name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heads[method].Get(name)
}

// DropConnections closes every connection, as a lost network does.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
	clear(s.conns)
}

// DropUploads closes every connection once, when that many bytes of files have
// arrived.
func (s *Server) DropUploads(after int64) { s.store.dropAfter(after) }

func (s *Server) fault(ctx context.Context, method string) error {
	err := s.nextFault(ctx, path.Base(method))
	if err == errHang {
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	return err
}

func (s *Server) nextFault(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heads[name], _ = metadata.FromIncomingContext(ctx)
	waiting := s.faults[name]
	if len(waiting) == 0 {
		return nil
	}
	s.faults[name] = waiting[1:]
	return waiting[0]
}

func (s *Server) count(method string, items int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes[method] = append(s.sizes[method], items)
}

// listener remembers connections, so that they can be dropped.
type listener struct {
	net.Listener
	s *Server
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.conns[c] = struct{}{}
	return c, nil
}

// about answers what the server tells of itself.
type about struct {
	serverv1.UnimplementedServerServiceServer
	server *Server
}

func (a *about) GetServerInfo(context.Context, *serverv1.GetServerInfoRequest) (*serverv1.GetServerInfoResponse, error) {
	a.server.count("GetServerInfo", 1)
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	return proto.Clone(a.server.Info).(*serverv1.GetServerInfoResponse), nil
}

func (a *about) ListDevices(context.Context, *serverv1.ListDevicesRequest) (*serverv1.ListDevicesResponse, error) {
	return &serverv1.ListDevicesResponse{Devices: []*serverv1.Device{
		{Id: "cuda:0", Provider: "CUDAExecutionProvider", Reason: "no NVIDIA driver"},
		{Id: "cpu", Provider: "CPUExecutionProvider", Name: "test processor", MemoryTotalBytes: 8 << 30, MemoryFreeBytes: 4 << 30, Available: true},
	}}, nil
}

func (a *about) ListLoadedVersions(context.Context, *serverv1.ListLoadedVersionsRequest) (*serverv1.ListLoadedVersionsResponse, error) {
	return &serverv1.ListLoadedVersionsResponse{Versions: a.server.store.loaded()}, nil
}

func notFound(format string, args ...any) error {
	return Error(codes.NotFound, "NOT_FOUND", fmt.Sprintf(format, args...))
}

// Error makes an error with one of scry's own reasons and further details, as the
// server does.
func Error(code codes.Code, reason, message string, details ...protoadapt.MessageV1) error {
	s, err := status.New(code, message).WithDetails(append(details,
		&errdetails.ErrorInfo{Reason: reason, Domain: "scry"})...)
	if err != nil {
		panic(err) // of the code OK
	}
	return s.Err()
}
