package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/selector"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/proto/inference"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	"github.com/scry-ml/scry/serving"
)

// tenantKey is the metadata key that names a caller's tenant.
const tenantKey = "scry-tenant"

// interceptors returns the chains that every call passes, outermost first:
// metrics, log, recovery, status mapping, authorisation, request checks,
// deadline and tenant.
func (s *Server) interceptors() []grpc.ServerOption {
	logger := logging.LoggerFunc(func(ctx context.Context, level logging.Level, msg string, fields ...any) {
		s.log.Log(ctx, slog.Level(level), msg, fields...)
	})
	// Payloads are never logged: only the end of a call, with code and time.
	logOpts := []logging.Option{
		logging.WithLogOnEvents(logging.FinishCall),
		logging.WithLevels(levelOf),
	}
	onPanic := recovery.WithRecoveryHandlerContext(func(_ context.Context, p any) error {
		s.log.Error("a call panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		return failed(codes.Internal, "INTERNAL", "", "internal error; the server's log has more")
	})
	admin := selector.MatchFunc(func(_ context.Context, c interceptors.CallMeta) bool { return s.needsToken(c.FullMethod()) })
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(
			s.metrics.grpc.UnaryServerInterceptor(),
			logging.UnaryServerInterceptor(logger, logOpts...),
			s.unaryStatus,
			recovery.UnaryServerInterceptor(onPanic),
			selector.UnaryServerInterceptor(auth.UnaryServerInterceptor(s.authorize), admin),
			s.unaryPrepare,
		),
		grpc.ChainStreamInterceptor(
			s.metrics.grpc.StreamServerInterceptor(),
			logging.StreamServerInterceptor(logger, logOpts...),
			s.streamStatus,
			recovery.StreamServerInterceptor(onPanic),
			selector.StreamServerInterceptor(auth.StreamServerInterceptor(s.authorize), admin),
			s.streamPrepare,
		),
	}
}

// levelOf keeps successful calls out of the log unless it is verbose.
func levelOf(c codes.Code) logging.Level {
	switch c {
	case codes.OK, codes.Canceled:
		return logging.LevelDebug
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return logging.LevelError
	}
	return logging.LevelInfo
}

// unaryStatus turns errors into statuses.
func (s *Server) unaryStatus(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	return resp, s.finish(ctx, info.FullMethod, err)
}

func (s *Server) streamStatus(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return s.finish(stream.Context(), info.FullMethod, next(srv, stream))
}

// finish maps an error and logs what the caller is not told.
func (s *Server) finish(ctx context.Context, method string, err error) error {
	if err == nil {
		return nil
	}
	st := toStatus(err, "")
	if st.Code() == codes.Internal {
		s.log.ErrorContext(ctx, "call failed", "method", method, "error", err)
	}
	return st.Err()
}

// needsToken tells whether a method changes the store, or what is loaded for
// everybody.
func (s *Server) needsToken(method string) bool {
	if s.cfg.AdminToken == "" && s.cfg.Trusted {
		return false
	}
	switch method {
	case inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName, inference.GRPCInferenceService_RepositoryModelUnload_FullMethodName:
		return true
	}
	name, ok := strings.CutPrefix(method, "/"+modelstorev1.ModelStoreService_ServiceDesc.ServiceName+"/")
	if !ok {
		return false
	}
	// Reading methods, DownloadFile among them, change nothing. WatchVersion
	// may begin to load a version, as any call that names one.
	for _, prefix := range []string{"Get", "List", "Watch", "Download"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// authorize checks the bearer token. A server that listens on loopback only
// needs none, unless it was given one.
func (s *Server) authorize(ctx context.Context) (context.Context, error) {
	if s.cfg.AdminToken == "" {
		return nil, failed(codes.PermissionDenied, "STORE_READ_ONLY", "", "the server listens beyond loopback without an admin token, so the model store cannot be changed")
	}
	token, err := auth.AuthFromMD(ctx, "bearer")
	if err != nil || subtle.ConstantTimeCompare([]byte(token), []byte(s.cfg.AdminToken)) != 1 {
		return nil, failed(codes.Unauthenticated, "TOKEN_REQUIRED", "", "calls that change the model store need the admin token as a bearer token")
	}
	return context.WithValue(ctx, callerKey{}, "admin"), nil
}

// unaryPrepare checks the request against the contract, sets the default
// deadline and notes the tenant.
func (s *Server) unaryPrepare(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if m, ok := req.(proto.Message); ok && hasRules(m) {
		if err := s.validator.Validate(m); err != nil {
			return nil, asValidation(err)
		}
	}
	ctx = withTenant(ctx)
	if !loadsVersion[info.FullMethod] {
		var cancel context.CancelFunc
		ctx, cancel = s.withDeadline(ctx)
		defer cancel()
	}
	return next(ctx, req)
}

// loadsVersion are the methods that take as long as a bundle takes to load,
// which the probe's limits bound: the default deadline, made for answers, does
// not hold for them.
var loadsVersion = map[string]bool{
	modelstorev1.ModelStoreService_CommitUpload_FullMethodName:    true,
	modelstorev1.ModelStoreService_ActivateVersion_FullMethodName: true,
	modelstorev1.ModelStoreService_Rollback_FullMethodName:        true,
}

func (s *Server) streamPrepare(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx := withTenant(stream.Context())
	if info.FullMethod == healthv1.Health_Watch_FullMethodName {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go s.endWatch(ctx, cancel)
	}
	return next(srv, &preparedStream{ServerStream: stream, ctx: ctx, validator: s.validator})
}

// watchGrace is how long a health watch goes on when the server stops, so that
// it tells NOT_SERVING.
const watchGrace = 100 * time.Millisecond

// endWatch ends a health watch, which never ends by itself and would hold up
// every drain, when the server stops. It returns with the stream.
func (s *Server) endWatch(ctx context.Context, cancel context.CancelFunc) {
	select {
	case <-s.closing:
	case <-ctx.Done():
		return
	}
	select {
	case <-time.After(watchGrace):
		cancel()
	case <-ctx.Done():
	}
}

// preparedStream checks every message that it receives.
type preparedStream struct {
	grpc.ServerStream
	ctx       context.Context // of this stream, as grpc.ServerStream has it
	validator protovalidate.Validator
}

func (p *preparedStream) Context() context.Context { return p.ctx }

func (p *preparedStream) RecvMsg(m any) error {
	if err := p.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if msg, ok := m.(proto.Message); ok && hasRules(msg) {
		if err := p.validator.Validate(msg); err != nil {
			return asValidation(err)
		}
	}
	return nil
}

// hasRules tells whether a contract has rules to check. The Open Inference
// Protocol's has none, and looking for them took a tenth of a small call.
func hasRules(m proto.Message) bool {
	return m.ProtoReflect().Descriptor().ParentFile() != inference.File_inference_inference_proto
}

// asValidation keeps findings about the request and hides failures of the
// rules themselves, which are ours.
func asValidation(err error) error {
	if _, ok := errors.AsType[*protovalidate.ValidationError](err); ok {
		return err
	}
	return fmt.Errorf("request rules: %w", err)
}

// withDeadline gives calls that set none the server's. A caller's own is moved
// forward a little, so that an answer made in time also arrives in time.
func (s *Server) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-min(time.Until(deadline)/20, 5*time.Millisecond)))
	}
	if s.cfg.DefaultDeadline <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.cfg.DefaultDeadline)
}

// withTenant notes on whose behalf a call is. The name is untrusted: it shares
// a queue fairly, and gives no rights.
func withTenant(ctx context.Context) context.Context {
	values := metadata.ValueFromIncomingContext(ctx, tenantKey)
	if len(values) == 0 {
		return ctx
	}
	tenant := values[0]
	if len(tenant) > 64 {
		tenant = tenant[:64]
	}
	return serving.WithCall(ctx, batch.Call{Tenant: tenant})
}

// callerKey carries the caller's name in a context.
type callerKey struct{}

// caller names who calls, for the store's records; empty when the caller is not
// authenticated.
func caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

// Loopback tells whether an address is reached from this machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return strings.HasPrefix(address, "unix:")
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

const defaultDeadline = 10 * time.Second
