package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

const (
	// countedRequest is the size from which a message counts: smaller ones hold
	// little and are answered soon.
	countedRequest = 64 << 10
	// requestWait is how long a call waits for room before it is refused. A stream
	// waits as long as it lives, which slows its writer.
	requestWait = time.Second
)

// errRequestsFull says that a large message found no room.
var errRequestsFull = errors.New("large requests hold all the memory that the server has for them")

// requests bounds the large messages of all calls that are decoded and not yet
// answered, by their bytes as they came.
type requests struct {
	codec codec
	most  int64
	room  *semaphore.Weighted
	used  atomic.Int64
}

func newRequests(codec codec, most int64, reg *prometheus.Registry) *requests {
	r := &requests{codec: codec, most: most, room: semaphore.NewWeighted(most)}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "scry_request_bytes", Help: "Bytes of the large requests that are being answered.",
	}, func() float64 { return float64(r.used.Load()) }))
	return r
}

// received is a message as it came. The codec decodes none itself: one for which
// there is no room is to be refused with a status of ours.
type received struct{ data mem.BufferSlice }

// decode makes a message of what came. It waits for room as long as the context
// lives, and returns what the message holds of it until it is answered.
func (r *requests) decode(ctx context.Context, from *received, into any) (held int64, err error) {
	defer from.data.Free()
	if n := int64(from.data.Len()); n >= countedRequest {
		held = min(n, r.most)
		if err := r.room.Acquire(ctx, held); err != nil {
			return 0, err
		}
		r.used.Add(held)
	}
	if err := r.codec.decode(from.data, into); err != nil {
		r.give(held)
		return 0, status.Errorf(codes.Internal, "grpc: failed to unmarshal the received message: %v", err)
	}
	return held, nil
}

// decodeSoon is decode for a call, which does not wait long.
func (r *requests) decodeSoon(ctx context.Context, from *received, into any) (held int64, err error) {
	if from.data.Len() < countedRequest {
		return r.decode(ctx, from, into)
	}
	waiting, cancel := context.WithTimeoutCause(ctx, requestWait, errRequestsFull)
	defer cancel()
	held, err = r.decode(waiting, from, into)
	if err != nil && err == waiting.Err() {
		err = context.Cause(waiting)
	}
	return held, err
}

// give returns what an answered message held.
func (r *requests) give(held int64) {
	if held > 0 {
		r.used.Add(-held)
		r.room.Release(held)
	}
}

// registrar registers services whose calls decode their requests when there is
// room. Streams do so in preparedStream.
type registrar struct{ *Server }

// RegisterService implements grpc.ServiceRegistrar.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	with := *desc
	with.Methods = make([]grpc.MethodDesc, len(desc.Methods))
	for i, m := range desc.Methods {
		with.Methods[i] = grpc.MethodDesc{MethodName: m.MethodName, Handler: r.roomy("/"+desc.ServiceName+"/"+m.MethodName, m.Handler)}
	}
	r.grpc.RegisterService(&with, impl)
}

func (s *Server) roomy(method string, handle grpc.MethodHandler) grpc.MethodHandler {
	return func(impl any, ctx context.Context, receive func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		var call struct {
			received
			held int64
		}
		defer func() { s.requests.give(call.held) }()
		return handle(impl, ctx, func(m any) (err error) {
			if err = receive(&call.received); err != nil {
				return err
			}
			call.held, err = s.requests.decodeSoon(ctx, &call.received, m)
			if errors.Is(err, errRequestsFull) {
				return s.turnedAway(ctx, method, err)
			}
			return err
		}, interceptor)
	}
}

// turnedAway counts and logs a call that reaches no interceptor, and returns its
// status.
func (s *Server) turnedAway(ctx context.Context, name string, err error) error {
	m := s.methods[name]
	m.metrics.started.Inc()
	m.metrics.received.Inc()
	answer := s.finish(ctx, name, err)
	s.ended(ctx, m, time.Now().Add(-requestWait), answer, s.metrics.refused(err, requestWait))
	return answer
}

// heldKey carries what a stream's messages hold in its context.
type heldKey struct{}

// heldMessages are the large messages of a stream that are not yet answered.
type heldMessages struct {
	requests *requests
	mu       sync.Mutex
	of       map[any]int64 // guarded by mu; nil once the stream has ended
}

func (h *heldMessages) note(message any, held int64) {
	if held == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.requests.give(held) // what was read too late is answered by nobody
		return
	}
	h.of[message] = held
}

// end gives back what the messages hold that were not answered.
func (h *heldMessages) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, held := range h.of {
		h.requests.give(held)
	}
	h.of = nil
}

// answered gives back what a message of a stream holds.
func answered(ctx context.Context, message any) {
	if h, ok := ctx.Value(heldKey{}).(*heldMessages); ok {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.requests.give(h.of[message])
		delete(h.of, message)
	}
}
