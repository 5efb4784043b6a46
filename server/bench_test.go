package server

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/proto/inference"
)

// bytesCodec sends and receives messages as the bytes that they are, so that
// neither the load nor the echo pays for protobuf.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (bytesCodec) Name() string { return "proto" }

var _ encoding.CodecV2 = bytesCodec{}

// echoServer answers every call with the bytes that it brings.
func echoServer(tb testing.TB) string {
	tb.Helper()
	s := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: inference.GRPCInferenceService_ServiceDesc.ServiceName, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "ModelInfer", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in []byte
			if err := decode(&in); err != nil {
				return nil, err
			}
			return &in, nil
		}}},
	}, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var serve sync.WaitGroup
	serve.Go(func() { _ = s.Serve(listener) })
	tb.Cleanup(func() { s.Stop(); serve.Wait() })
	return listener.Addr().String()
}

// closedLoop calls with the same bytes from so many callers over one
// connection each 16 of them, and returns calls a second and the median.
func closedLoop(tb testing.TB, address string, message []byte, callers int, length time.Duration) (float64, time.Duration) {
	tb.Helper()
	conns := make([]*grpc.ClientConn, (callers+15)/16)
	for i := range conns {
		var err error
		if conns[i], err = grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{}))); err != nil {
			tb.Fatal(err)
		}
		defer conns[i].Close()
	}
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		times []time.Duration
		n     atomic.Int64
		start = time.Now()
	)
	for k := range callers {
		all.Go(func() {
			var mine []time.Duration
			for time.Since(start) < length {
				from := time.Now()
				var out []byte
				if err := conns[k%len(conns)].Invoke(context.Background(), inference.GRPCInferenceService_ModelInfer_FullMethodName, &message, &out); err != nil {
					tb.Error(err)
					return
				}
				mine = append(mine, time.Since(from))
				n.Add(1)
			}
			mu.Lock()
			times = append(times, mine...)
			mu.Unlock()
		})
	}
	all.Wait()
	rate := float64(n.Load()) / time.Since(start).Seconds()
	slices.Sort(times)
	return rate, times[len(times)/2]
}

// BenchmarkTinyRow compares a row of 32 numbers through three layers with a
// bare echo of the same bytes: alternating rounds of one load, callers of the
// same process.
func BenchmarkTinyRow(b *testing.B) {
	s := newLiveServer(b, gputest.OpenRuntime(b), Config{Trusted: true})
	s.serve("mlp", "mlp")
	message, err := proto.Marshal(&inference.ModelInferRequest{
		ModelName: "mlp", Inputs: []*inference.ModelInferRequest_InferInputTensor{input("x", "FP32", 1, 32)},
		RawInputContents: [][]byte{raw(make([]float32, 32)...)},
	})
	if err != nil {
		b.Fatal(err)
	}
	echo := echoServer(b)
	const round = 400 * time.Millisecond
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			var ours, theirs, ratios, p50s []float64
			for range b.N {
				rate, mine := closedLoop(b, s.address, message, callers, round)
				bare, its := closedLoop(b, echo, message, callers, round)
				ours, theirs = append(ours, rate), append(theirs, bare)
				ratios, p50s = append(ratios, rate/bare), append(p50s, float64(mine)/float64(its))
			}
			for _, v := range [][]float64{ours, theirs, ratios, p50s} {
				slices.Sort(v)
			}
			b.ReportMetric(ours[len(ours)/2], "calls/s")
			b.ReportMetric(theirs[len(theirs)/2], "echo/s")
			b.ReportMetric(ratios[len(ratios)/2], "of-echo")
			b.ReportMetric(p50s[len(p50s)/2], "p50/echo")
		})
	}
}
