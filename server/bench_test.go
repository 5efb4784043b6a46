package server

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/proto/inference"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
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

// loopResult is what a closed loop has measured.
type loopResult struct {
	rate   float64       // calls a second
	median time.Duration // of a call
	cpu    time.Duration // of the whole process, client and server, for a call
}

// closedLoop calls with the same bytes from so many callers, 16 to a connection.
func closedLoop(tb testing.TB, address string, message []byte, callers int, length time.Duration) loopResult {
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
		spent = processTime(tb)
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
	slices.Sort(times)
	return loopResult{
		rate:   float64(n.Load()) / time.Since(start).Seconds(),
		median: times[len(times)/2],
		cpu:    (processTime(tb) - spent) / time.Duration(n.Load()),
	}
}

// processTime is the processor time that this process has used.
func processTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTinyRow compares a row of 32 numbers through three layers with a
// bare echo of the same bytes: alternating rounds of one load, callers of the
// same process.
func BenchmarkTinyRow(b *testing.B) {
	s := newLiveServer(b, gputest.OpenRuntime(b), Config{Trusted: true})
	s.serve("mlp", "mlp")
	message, err := proto.Marshal(tinyRow())
	if err != nil {
		b.Fatal(err)
	}
	echo := echoServer(b)
	const round = 400 * time.Millisecond
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			var rate, echoRate, ofEcho, p50, cpu []float64
			for range b.N {
				ours := closedLoop(b, s.address, message, callers, round)
				bare := closedLoop(b, echo, message, callers, round)
				rate, echoRate = append(rate, ours.rate), append(echoRate, bare.rate)
				ofEcho = append(ofEcho, ours.rate/bare.rate)
				p50 = append(p50, float64(ours.median)/float64(bare.median))
				cpu = append(cpu, float64(bare.cpu)/float64(ours.cpu))
			}
			for _, m := range []struct {
				unit   string
				values []float64
			}{{"calls/s", rate}, {"echo/s", echoRate}, {"of-echo", ofEcho}, {"p50/echo", p50}, {"echo-cpu/cpu", cpu}} {
				slices.Sort(m.values)
				b.ReportMetric(m.values[len(m.values)/2], m.unit)
			}
		})
	}
}

// tinyRow is the tiny row's request.
func tinyRow() *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: "mlp", Inputs: []*inference.ModelInferRequest_InferInputTensor{input("x", "FP32", 1, 32)},
		RawInputContents: [][]byte{raw(make([]float32, 32)...)},
	}
}

// direct returns a function that decodes a request, calls a method through the
// interceptor and encodes the answer as gRPC would: what a call costs below
// gRPC.
func direct[Req, Resp any, PReq interface {
	*Req
	proto.Message
}, PResp interface {
	*Resp
	proto.Message
}](tb testing.TB, s *liveServer, method string, req PReq, call func(context.Context, PReq) (PResp, error)) func() {
	tb.Helper()
	message, err := proto.Marshal(req)
	if err != nil {
		tb.Fatal(err)
	}
	info := &grpc.UnaryServerInfo{FullMethod: method}
	handler := func(ctx context.Context, req any) (any, error) { return call(ctx, req.(PReq)) }
	prepared := func(ctx context.Context, req any) (any, error) { return s.server.unaryPrepare(ctx, req, info, handler) }
	ctx, cancel := context.WithCancel(metadata.NewIncomingContext(context.Background(), metadata.Pairs("user-agent", "test")))
	tb.Cleanup(cancel)
	return func() {
		req := PReq(new(Req))
		if err := proto.Unmarshal(message, req); err != nil {
			tb.Error(err)
		}
		resp, err := s.server.unaryStatus(ctx, req, info, prepared)
		if err != nil {
			tb.Error(err)
			return
		}
		if _, err := proto.Marshal(resp.(proto.Message)); err != nil {
			tb.Error(err)
		}
	}
}

// serveBundle pushes a starter bundle and routes its model to it. The test is
// skipped where a file of it has yet to be built.
func (s *liveServer) serveBundle(name string) {
	s.t.Helper()
	files := map[string]string{}
	dir := os.DirFS("../models/" + name)
	err := fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(dir, path)
		files[path] = string(data)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if name == "sentiment" && files["encoder.onnx"] == "" {
		s.t.Skip("the sentiment model is not built: make setup")
	}
	s.route(name, s.push(name, files))
}

// churnRow asks for one row of the churn model.
func churnRow(tb testing.TB) *scoringv1.ScoreRequest {
	features, err := structpb.NewStruct(map[string]any{
		"gender": "Female", "SeniorCitizen": 0, "Partner": "No", "Dependents": "No", "tenure": 1, "PhoneService": "Yes",
		"MultipleLines": "No", "InternetService": "Fiber optic", "OnlineSecurity": "No", "OnlineBackup": "No",
		"DeviceProtection": "No", "TechSupport": "No", "StreamingTV": "Yes", "StreamingMovies": "Yes",
		"Contract": "Month-to-month", "PaperlessBilling": "Yes", "PaymentMethod": "Electronic check",
		"MonthlyCharges": 91.5, "TotalCharges": 91.5,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &scoringv1.ScoreRequest{Model: "churn", Instances: []*scoringv1.Instance{{Features: features}}}
}

// directCalls makes one call of each kind; those whose model is not built are
// left out.
func directCalls(tb testing.TB, name string) func() {
	s := newLiveServer(tb, gputest.OpenRuntime(tb), Config{Trusted: true})
	switch name {
	case "ModelInfer":
		s.serve("mlp", "mlp")
		service := &inferenceService{server: s.server}
		return direct(tb, s, inference.GRPCInferenceService_ModelInfer_FullMethodName, tinyRow(), service.ModelInfer)
	case "Score":
		s.serveBundle("churn")
		service := &scoringService{server: s.server}
		return direct(tb, s, scoringv1.ScoringService_Score_FullMethodName, churnRow(tb), service.Score)
	default:
		s.serveBundle("sentiment")
		service := &sentimentService{server: s.server}
		return direct(tb, s, sentimentv1.SentimentService_AnalyzeText_FullMethodName, &sentimentv1.AnalyzeTextRequest{
			Texts:  []*sentimentv1.TextItem{{Content: &sentimentv1.TextItem_Text{Text: "Fast delivery, and the fabric is as soft as promised."}}},
			Models: []*sentimentv1.FeatureModel{{Feature: sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT, Model: "sentiment"}},
		}, service.AnalyzeText)
	}
}

// BenchmarkDirect is one item a call, without network and gRPC: its allocations
// are those of a request.
func BenchmarkDirect(b *testing.B) {
	for _, name := range []string{"ModelInfer", "Score", "AnalyzeText"} {
		b.Run(name, func(b *testing.B) {
			call := directCalls(b, name)
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}

// BenchmarkRefusal is what a call costs that the queue refuses.
func BenchmarkRefusal(b *testing.B) {
	for name, refusal := range map[string]error{
		"full":     &batch.FullError{QueuedRows: 4096, MaxQueuedRows: 4096, RetryAfter: 100 * time.Millisecond},
		"deadline": &batch.DeadlineError{Predicted: time.Second, Remaining: 250 * time.Millisecond},
	} {
		b.Run(name, func(b *testing.B) {
			s := newLiveServer(b, &gputest.Fake{}, Config{Trusted: true})
			info := &grpc.UnaryServerInfo{FullMethod: inference.GRPCInferenceService_ModelInfer_FullMethodName}
			b.ReportAllocs()
			for b.Loop() {
				_, err := s.server.unaryStatus(b.Context(), tinyRow(), info, func(context.Context, any) (any, error) { return nil, refusal })
				if status.Code(err) != codes.ResourceExhausted {
					b.Fatal(err)
				}
			}
		})
	}
}
