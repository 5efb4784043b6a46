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
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/selector"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/proto/inference"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	"github.com/scry-ml/scry/serving"
)

// tenantKey is the metadata key that names a caller's tenant.
const tenantKey = "scry-tenant"

// method is what every call of one method needs, looked up once.
type method struct {
	service, name string
	metrics       methodMetrics
	needsToken    bool
	// rules says that the contract has some for its messages. The Open Inference
	// Protocol's has none, and looking for them took a tenth of a small call.
	rules bool
	// loads says that the method takes as long as a bundle takes to load, which
	// the probe's limits bound: the default deadline, made for answers, does not
	// hold for it.
	loads bool
}

// noteMethods looks up what interceptors need of every registered method.
func (s *Server) noteMethods() {
	s.methods = map[string]*method{}
	for service, info := range s.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			full := "/" + service + "/" + m.Name
			s.methods[full] = &method{
				service: service, name: m.Name, metrics: s.metrics.method(service, m),
				needsToken: s.needsToken(full), rules: info.Metadata != inference.GRPCInferenceService_ServiceDesc.Metadata,
				loads: loadsVersion[full],
			}
		}
	}
}

// ruled are the requests of all methods for which the contract has rules: the
// rules are compiled at the start, and not at a first call's cost.
func (s *Server) ruled() []protoreflect.MessageDescriptor {
	var out []protoreflect.MessageDescriptor
	for _, m := range s.methods {
		name := protoreflect.FullName(m.service + "." + m.name)
		if d, err := protoregistry.GlobalFiles.FindDescriptorByName(name); err == nil && m.rules {
			out = append(out, d.(protoreflect.MethodDescriptor).Input())
		}
	}
	return out
}

// interceptors returns the chains that every call passes, outermost first:
// metrics with log and status mapping, recovery, authorisation, and what
// prepares the call: request checks, deadline and tenant. With them goes the
// codec that leaves the decoding of streams' messages to them.
func (s *Server) interceptors() []grpc.ServerOption {
	onPanic := recovery.WithRecoveryHandlerContext(func(_ context.Context, p any) error {
		s.log.Error("a call panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		return failed(codes.Internal, "INTERNAL", "", "internal error; the server's log has more")
	})
	admin := selector.MatchFunc(func(_ context.Context, c interceptors.CallMeta) bool { return s.methods[c.FullMethod()].needsToken })
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(s.requests.codec),
		grpc.ChainUnaryInterceptor(
			s.unaryStatus,
			recovery.UnaryServerInterceptor(onPanic),
			selector.UnaryServerInterceptor(auth.UnaryServerInterceptor(s.authorize), admin),
			s.unaryPrepare,
		),
		grpc.ChainStreamInterceptor(
			s.streamStatus,
			recovery.StreamServerInterceptor(onPanic),
			selector.StreamServerInterceptor(auth.StreamServerInterceptor(s.authorize), admin),
			s.streamPrepare,
		),
	}
}

// unaryStatus counts and logs a call and turns its error into a status. It does
// what the library's interceptors for metrics and logs do, without looking up
// labels and making fields for every call: those took a fifth of a small one.
func (s *Server) unaryStatus(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	m, start := s.methods[info.FullMethod], time.Now()
	m.metrics.started.Inc()
	m.metrics.received.Inc()
	resp, err := next(ctx, req)
	if err == nil {
		m.metrics.sent.Inc()
		s.ended(ctx, m, start, nil, false)
		return resp, nil
	}
	answer := s.finish(ctx, info.FullMethod, err)
	s.ended(ctx, m, start, answer, s.metrics.refused(err, time.Since(start)))
	return nil, answer
}

func (s *Server) streamStatus(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, m, start := stream.Context(), s.methods[info.FullMethod], time.Now()
	m.metrics.started.Inc()
	err := s.finish(ctx, info.FullMethod, next(srv, stream))
	s.ended(ctx, m, start, err, false)
	return err
}

// ended counts a call and logs it, without payload. A call that was refused for
// overload is one of a flood, which the metrics count: it is kept out of the
// log unless that is verbose.
func (s *Server) ended(ctx context.Context, m *method, start time.Time, err error, refused bool) {
	took := time.Since(start)
	code := codes.OK
	if err != nil {
		code = status.Code(err)
	}
	m.metrics.ended(code, took)
	level := levelOf(code)
	if refused {
		level = slog.LevelDebug
	}
	if s.log.Enabled(ctx, level) {
		s.logCall(ctx, m, level, code, took, err)
	}
}

func (s *Server) logCall(ctx context.Context, m *method, level slog.Level, code codes.Code, took time.Duration, err error) {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("grpc.service", m.service), slog.String("grpc.method", m.name),
		slog.String("grpc.code", code.String()), slog.Duration("took", took))
	if p, ok := peer.FromContext(ctx); ok {
		attrs = append(attrs, slog.String("peer.address", p.Addr.String()))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	s.log.LogAttrs(ctx, level, "finished call", attrs...)
}

// levelOf keeps successful calls out of the log unless it is verbose.
func levelOf(c codes.Code) slog.Level {
	switch c {
	case codes.OK, codes.Canceled:
		return slog.LevelDebug
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return slog.LevelError
	}
	return slog.LevelInfo
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
	m := s.methods[info.FullMethod]
	if msg, ok := req.(proto.Message); ok && m.rules {
		if err := s.validator.Validate(msg, rules); err != nil {
			return nil, asValidation(err)
		}
	}
	ctx = withTenant(ctx)
	if !m.loads {
		var cancel context.CancelFunc
		ctx, cancel = s.withDeadline(ctx, time.Now())
		defer cancel()
	}
	return next(ctx, req)
}

func (s *Server) streamPrepare(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx := withTenant(stream.Context())
	if info.FullMethod == healthv1.Health_Watch_FullMethodName {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go s.endWatch(ctx, cancel)
	}
	held := &heldMessages{requests: s.requests, of: map[any]int64{}}
	defer held.end()
	ctx = context.WithValue(ctx, heldKey{}, held)
	return next(srv, &preparedStream{ServerStream: stream, ctx: ctx, method: s.methods[info.FullMethod], validator: s.validator, held: held})
}

// loadsVersion are the methods that load one before they answer.
var loadsVersion = map[string]bool{
	modelstorev1.ModelStoreService_CommitUpload_FullMethodName:    true,
	modelstorev1.ModelStoreService_ActivateVersion_FullMethodName: true,
	modelstorev1.ModelStoreService_Rollback_FullMethodName:        true,
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

// preparedStream checks and counts every message that it receives.
type preparedStream struct {
	grpc.ServerStream
	ctx       context.Context // of this stream, as grpc.ServerStream has it
	method    *method
	validator protovalidate.Validator
	received  received // the message that is being read
	held      *heldMessages
}

func (p *preparedStream) Context() context.Context { return p.ctx }

func (p *preparedStream) SendMsg(m any) error {
	err := p.ServerStream.SendMsg(m)
	if err == nil {
		p.method.metrics.sent.Inc()
	}
	return err
}

func (p *preparedStream) RecvMsg(m any) error {
	if err := p.ServerStream.RecvMsg(&p.received); err != nil {
		return err
	}
	held, err := p.held.requests.decode(p.ctx, &p.received, m)
	if err != nil {
		return err
	}
	p.held.note(m, held)
	p.method.metrics.received.Inc()
	if msg, ok := m.(proto.Message); ok && p.method.rules {
		if err := p.validator.Validate(msg, rules); err != nil {
			return asValidation(err)
		}
	}
	return nil
}

// rules leaves rows out, for which the contract has none: protovalidate would look
// at every value of theirs, which took a fifth of a call with 100 rows.
var rules = protovalidate.WithFilter(protovalidate.FilterFunc(func(_ protoreflect.Message, d protoreflect.Descriptor) bool {
	field, ok := d.(protoreflect.FieldDescriptor)
	return !ok || field.Message() != rowType
}))

var rowType = (*structpb.Struct)(nil).ProtoReflect().Descriptor()

// asValidation keeps findings about the request and hides failures of the
// rules themselves, which are ours.
func asValidation(err error) error {
	if _, ok := errors.AsType[*protovalidate.ValidationError](err); ok {
		return err
	}
	return fmt.Errorf("request rules: %w", err)
}

// withDeadline gives calls that set none the server's. A caller's own is moved
// forward a little for the queues, so that an answer made in time also arrives
// in time.
func (s *Server) withDeadline(ctx context.Context, now time.Time) (context.Context, context.CancelFunc) {
	if at, ok := ctx.Deadline(); ok {
		return earlier{ctx, at.Add(-min(at.Sub(now)/20, 5*time.Millisecond))}, func() {}
	}
	if s.cfg.DefaultDeadline <= 0 {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, now.Add(s.cfg.DefaultDeadline))
}

// earlier is a context that names an earlier deadline than it ends at: what
// schedules by it leaves room for the way back, and no second timer is set.
type earlier struct {
	context.Context
	deadline time.Time
}

func (e earlier) Deadline() (time.Time, bool) { return e.deadline, true }

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
