package server

import (
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/proto/inference"
	"github.com/scry-ml/scry/serving"
)

// inferenceService implements the Open Inference Protocol: tensors in, tensors
// out. Calls run in the same queues as those of the typed services.
type inferenceService struct {
	inference.UnimplementedGRPCInferenceServiceServer
	server *Server
}

// Values of the priority parameter: 1 is the most urgent. What is not among
// them stands for the default, as in Triton.
const (
	priorityLevels  = 5
	defaultPriority = 3
)

// streamAhead bounds the messages of one stream that are under way. None is
// read while they and their answers hold more bytes than the message limit.
const streamAhead = 64

// ModelInfer implements the RPC of that name.
func (s *inferenceService) ModelInfer(ctx context.Context, req *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	g, v, release, err := s.acquire(ctx, "model_name", req.GetModelName(), req.GetModelVersion())
	if err != nil {
		return nil, err
	}
	defer release()
	sig := g.Signature()
	inputs, err := inputTensors(req, sig.Inputs)
	if err != nil {
		return nil, err
	}
	wanted, err := wantedOutputs(req.GetOutputs(), sig.Outputs)
	if err != nil {
		return nil, err
	}
	ctx, cancel, err := scheduled(ctx, req.GetParameters())
	if err != nil {
		return nil, err
	}
	defer cancel()
	outputs, err := g.Infer(ctx, inputs)
	if err != nil {
		return nil, err
	}
	n := len(wanted)
	if wanted == nil {
		n = len(outputs)
	}
	resp := newResponse(n)
	resp.ModelName, resp.ModelVersion, resp.Id = req.GetModelName(), strconv.FormatInt(v.Identity().Version, 10), req.GetId()
	for k := range n {
		i := k
		if wanted != nil {
			i = wanted[k]
		}
		setOutput(resp, k, sig.Outputs[i].Name, outputs[i])
	}
	return resp, nil
}

// acquire finds the graph that a call names as NAME or NAME.GRAPH. field is
// the request's field that holds the name.
func (s *inferenceService) acquire(ctx context.Context, field, name, version string) (serving.Graph, *serving.Version, func(), error) {
	// Names of models have no dot.
	model, graph, _ := strings.Cut(name, ".")
	if model == "" {
		return serving.Graph{}, nil, nil, failed(codes.InvalidArgument, "MODEL_REQUIRED", field, "the call names no model")
	}
	v, release, err := s.server.cfg.Manager.Acquire(ctx, model, version)
	if err != nil {
		return serving.Graph{}, nil, nil, err
	}
	g, err := v.Graph(graph)
	if err != nil {
		release()
		return serving.Graph{}, nil, nil, err
	}
	return g, v, release, nil
}

// scheduled applies the parameters of the schedule policy extension.
func scheduled(ctx context.Context, params map[string]*inference.InferParameter) (context.Context, context.CancelFunc, error) {
	if p := params["priority"]; p != nil {
		level, ok := unsigned(p)
		if !ok {
			return nil, nil, parameterError("priority", "is no unsigned number")
		}
		if level > 0 && level <= priorityLevels && level != defaultPriority {
			call := serving.CallOf(ctx)
			call.Priority = defaultPriority - int(level)
			ctx = serving.WithCall(ctx, call)
		}
	}
	if p := params["timeout"]; p != nil {
		us, ok := unsigned(p)
		if !ok {
			return nil, nil, parameterError("timeout", "is no unsigned number of microseconds")
		}
		if us > 0 {
			us = min(us, math.MaxInt64/uint64(time.Microsecond))
			ctx, cancel := context.WithTimeout(ctx, time.Duration(us)*time.Microsecond)
			return ctx, cancel, nil
		}
	}
	return ctx, func() {}, nil
}

// unsigned reads a number from any of the forms in which clients send it.
func unsigned(p *inference.InferParameter) (uint64, bool) {
	switch p := p.GetParameterChoice().(type) {
	case *inference.InferParameter_Uint64Param:
		return p.Uint64Param, true
	case *inference.InferParameter_Int64Param:
		return uint64(p.Int64Param), p.Int64Param >= 0
	case *inference.InferParameter_StringParam:
		n, err := strconv.ParseUint(p.StringParam, 10, 64)
		return n, err == nil
	}
	return 0, false
}

func parameterError(name, message string) error {
	return &pipeline.InputError{Field: "parameters[" + strconv.Quote(name) + "]", Reason: "PARAMETER_INVALID", Message: message}
}

// ModelStreamInfer implements the RPC of that name. Messages are computed side
// by side and answered in their order, as Triton's clients expect.
func (s *inferenceService) ModelStreamInfer(stream grpc.BidiStreamingServer[inference.ModelInferRequest, inference.ModelStreamInferResponse]) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	type answer struct {
		resp *inference.ModelStreamInferResponse
		held int // bytes of request and response
	}
	var (
		answers = make(chan chan answer, streamAhead)
		room    = newByteBudget(s.server.cfg.Limits.MessageBytes)
		workers sync.WaitGroup
	)
	workers.Go(func() {
		for next := range answers {
			a := <-next
			if ctx.Err() != nil {
				continue // nobody listens; the workers end by themselves
			}
			if err := stream.Send(a.resp); err != nil {
				cancel(err)
			}
			room.give(a.held)
		}
	})
	var err error
	for ctx.Err() == nil {
		var req *inference.ModelInferRequest
		if req, err = stream.Recv(); err != nil {
			break
		}
		size := proto.Size(req)
		if err = room.take(ctx, size); err != nil {
			break
		}
		next := make(chan answer, 1)
		answers <- next
		workers.Go(func() {
			resp := s.streamed(ctx, req)
			answered(ctx, req)
			more := proto.Size(resp)
			room.add(more)
			next <- answer{resp, size + more}
		})
	}
	close(answers)
	workers.Wait()
	if err == nil || errors.Is(err, io.EOF) {
		return context.Cause(ctx)
	}
	return err
}

// streamed answers one message of a stream.
func (s *inferenceService) streamed(ctx context.Context, req *inference.ModelInferRequest) *inference.ModelStreamInferResponse {
	ctx, cancel := s.server.withDeadline(ctx, time.Now())
	defer cancel()
	resp, err := contained(ctx, 0, req, func(ctx context.Context, _ int64, req *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		return s.ModelInfer(ctx, req)
	})
	if err != nil {
		err = s.server.finish(ctx, inference.GRPCInferenceService_ModelStreamInfer_FullMethodName, err)
		return &inference.ModelStreamInferResponse{
			ErrorMessage:  toStatus(err, "").Message(),
			InferResponse: &inference.ModelInferResponse{ModelName: req.GetModelName(), ModelVersion: req.GetModelVersion(), Id: req.GetId()},
		}
	}
	if req.GetParameters()["triton_enable_empty_final_response"].GetBoolParam() {
		resp.Parameters = map[string]*inference.InferParameter{
			"triton_final_response": {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: true}},
		}
	}
	return &inference.ModelStreamInferResponse{InferResponse: resp}
}

// byteBudget bounds the bytes that are under way.
type byteBudget struct {
	limit int
	freed chan struct{} // holds one token after bytes were freed

	mu   sync.Mutex
	used int // guarded by mu
}

func newByteBudget(limit int) *byteBudget {
	return &byteBudget{limit: limit, freed: make(chan struct{}, 1)}
}

// take waits until n bytes fit, or nothing else is under way. There is one
// taker at a time.
func (b *byteBudget) take(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		if b.used == 0 || b.used+n <= b.limit {
			b.used += n
			b.mu.Unlock()
			return nil
		}
		b.mu.Unlock()
		select {
		case <-b.freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// add counts n bytes that are there already, whether they fit or not.
func (b *byteBudget) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
}

// give returns n bytes.
func (b *byteBudget) give(n int) {
	b.mu.Lock()
	b.used -= n
	b.mu.Unlock()
	select {
	case b.freed <- struct{}{}:
	default:
	}
}
