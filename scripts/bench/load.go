package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

const inferMethod = "/inference.GRPCInferenceService/ModelInfer"

// rawCodec hands messages over as the bytes that they are on the wire, so that
// the generator, which shares the processors with the server, costs little. The
// value is a *[]byte.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	to := v.(*[]byte)
	n := data.Len()
	*to = slices.Grow((*to)[:0], n)[:n]
	data.CopyTo(*to)
	return nil
}

var _ encoding.CodecV2 = rawCodec{}

var callOptions = []grpc.CallOption{grpc.ForceCodecV2(rawCodec{}), grpc.StaticMethod(), grpc.MaxCallRecvMsgSize(64 << 20)}

// conns are connections to one server; callers are spread over them.
type conns []*grpc.ClientConn

func dial(address string, n int) (conns, error) {
	out := make(conns, 0, n)
	for range n {
		c, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			out.close()
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (c conns) close() {
	for _, one := range c {
		_ = one.Close()
	}
}

// request is an encoded ModelInferRequest. It is never reused: the transport
// may hold its bytes after a call was given up.
type request struct {
	body   []byte
	length int // tokens of a text, 1 of anything else
}

// source makes the request of a number, whose contents no other has. It is safe
// for concurrent use.
type source func(number uint64) request

// sample is what became of one call.
type sample struct {
	took    time.Duration // in a closed loop from the sending, in an open one from the scheduled arrival
	length  int32
	code    codes.Code
	inside  bool // it ended within the round
	counted bool // it was to begin within the round
}

// outcome is one round of load.
type outcome struct {
	samples []sample
	round   time.Duration
	cpu     time.Duration // that this process used
}

// perSecond counts the calls that were answered within the round.
func (o outcome) perSecond() float64 {
	n := 0
	for _, s := range o.samples {
		if s.inside && s.code == codes.OK {
			n++
		}
	}
	return float64(n) / o.round.Seconds()
}

// tokensPerSecond sums the tokens of calls answered within limit and the round.
// 0 is no limit.
func (o outcome) tokensPerSecond(limit time.Duration) float64 {
	n := 0
	for _, s := range o.samples {
		if s.inside && s.code == codes.OK && (limit == 0 || s.took <= limit) {
			n += int(s.length)
		}
	}
	return float64(n) / o.round.Seconds()
}

// times are those of the samples that keep admits.
func (o outcome) times(keep func(sample) bool) []time.Duration {
	var out []time.Duration
	for _, s := range o.samples {
		if keep(s) {
			out = append(out, s.took)
		}
	}
	return out
}

func answered(s sample) bool { return s.code == codes.OK }

func unanswered(s sample) bool { return s.code != codes.OK }

// summary writes the percentiles of the answered calls of a closed loop, and
// how many were not answered, if any.
func summary(samples []sample) string {
	o := outcome{samples: samples}
	t := o.times(answered)
	out := fmt.Sprintf("p50 %s, p90 %s, p99 %s", short(quantile(t, 0.5)), short(quantile(t, 0.9)), short(quantile(t, 0.99)))
	if n := len(o.times(unanswered)); n > 0 {
		out += fmt.Sprintf(", %d of %d calls refused", n, len(samples))
	}
	return out
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// closed runs callers that each wait for their answer before they call again.
// Requests are numbered from first on. A caller who is refused pauses and goes
// on; any other error ends the round.
func closed(ctx context.Context, to conns, callers int, round time.Duration, first uint64, from source) (outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		group  sync.WaitGroup
		number atomic.Uint64
		mine   = make([][]sample, callers)
		cpu    = cpuTime()
		start  = time.Now()
		finish = start.Add(round)
	)
	number.Store(first - 1)
	for k := range callers {
		group.Go(func() {
			conn, reply := to[k%len(to)], []byte(nil)
			for begin := time.Now(); begin.Before(finish) && ctx.Err() == nil; {
				r := from(number.Add(1))
				err := conn.Invoke(ctx, inferMethod, &r.body, &reply, callOptions...)
				code, end := status.Code(err), time.Now()
				mine[k] = append(mine[k], sample{end.Sub(begin), int32(r.length), code, !end.After(finish), true})
				switch code {
				case codes.OK:
				case codes.ResourceExhausted, codes.DeadlineExceeded:
					time.Sleep(10 * time.Millisecond)
					end = time.Now()
				default:
					cancel(err)
					return
				}
				begin = end
			}
		})
	}
	group.Wait()
	out := outcome{samples: slices.Concat(mine...), round: round, cpu: cpuTime() - cpu}
	if err := context.Cause(ctx); err != nil {
		return out, err
	}
	if len(out.samples) == 0 {
		return out, errors.New("no call ended")
	}
	return out, nil
}

// Around the round of an open loop the load goes on, so that it begins and ends
// with the queue as it is under that load.
const (
	leadIn  = 500 * time.Millisecond
	leadOut = 300 * time.Millisecond
)

// open sends calls at the times of a Poisson process, whatever becomes of those
// before: latency counts from the scheduled time, so a late sending is not
// hidden. Each call must be answered within limit of it.
func open(ctx context.Context, to conns, perSecond float64, round, limit time.Duration, first uint64, from source) (outcome, error) {
	rng := rand.New(rand.NewPCG(first, 23))
	all := leadIn + round + leadOut
	samples := make([]sample, int(perSecond*all.Seconds()*1.5)+1000)
	var (
		group  sync.WaitGroup
		broken atomic.Pointer[error]
		cpu    = cpuTime()
		start  = time.Now()
		begin  = start.Add(leadIn)
		finish = begin.Add(round)
		within = func(t time.Time) bool { return t.After(begin) && !t.After(finish) }
		at     = start
		n      = 0
	)
	for ; n < len(samples) && broken.Load() == nil && ctx.Err() == nil; n++ {
		at = at.Add(time.Duration(rng.ExpFloat64() / perSecond * float64(time.Second)))
		if at.Sub(start) > all {
			break
		}
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait)
		}
		at, r, conn, mine := at, from(first+uint64(n)), to[n%len(to)], &samples[n]
		group.Go(func() {
			ctx, cancel := context.WithDeadline(ctx, at.Add(limit))
			defer cancel()
			var reply []byte
			err := conn.Invoke(ctx, inferMethod, &r.body, &reply, callOptions...)
			end := time.Now()
			*mine = sample{end.Sub(at), int32(r.length), status.Code(err), within(end), within(at)}
			switch mine.code {
			case codes.OK, codes.ResourceExhausted, codes.DeadlineExceeded:
			default:
				broken.CompareAndSwap(nil, &err)
			}
		})
	}
	group.Wait()
	// The generator's share is that of the round.
	used := time.Duration(float64(cpuTime()-cpu) * float64(round) / float64(time.Since(start)))
	out := outcome{samples: samples[:n], round: round, cpu: used}
	if err := broken.Load(); err != nil {
		return out, *err
	}
	if n == len(samples) {
		return out, fmt.Errorf("more than %d arrivals", n)
	}
	return out, context.Cause(ctx)
}
