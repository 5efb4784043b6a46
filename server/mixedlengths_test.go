package server

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/proto/inference"
	"github.com/scry-ml/scry/tensor"
)

// textRequest is a text of that length for the graph texts, and its outputs:
// token i of text k is row (k+i) modulo 20 of the words, every third of the
// second type.
func textRequest(k, length int) (req *inference.ModelInferRequest, hidden, pooled []float32) {
	ids, mask, types := make([]int64, length), make([]int64, length), make([]int64, length)
	hidden, pooled = make([]float32, 2*length), make([]float32, 2)
	for i := range ids {
		ids[i], mask[i] = int64((k+i)%20), 1
		if i%3 == 0 {
			types[i] = 1
		}
		for c := range 2 {
			hidden[2*i+c] = float32(2*ids[i]+int64(c)+1) + float32(types[i])*100*float32(c+1)
			pooled[c] += hidden[2*i+c]
		}
	}
	for i := range hidden {
		hidden[i] += pooled[i%2]
	}
	n := int64(length)
	return &inference.ModelInferRequest{
		ModelName: "minilm",
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			input("input_ids", "INT64", 1, n), input("attention_mask", "INT64", 1, n), input("token_type_ids", "INT64", 1, n),
		},
		RawInputContents: [][]byte{raw(ids...), raw(mask...), raw(types...)},
	}, hidden, pooled
}

// checkText sends a text and wants the answer that it has alone.
func (s *liveServer) checkText(k, length int) {
	req, hidden, pooled := textRequest(k, length)
	resp, err := s.ModelInfer(s.t.Context(), req)
	if err != nil {
		s.t.Errorf("text %d: %v", k, err)
		return
	}
	for i, want := range []struct {
		name   string
		shape  []int64
		values []float32
	}{{"hidden", []int64{1, int64(length), 2}, hidden}, {"pooled", []int64{1, 2}, pooled}} {
		out := resp.GetOutputs()[i]
		if out.GetName() != want.name || !slices.Equal(out.GetShape(), want.shape) || string(resp.GetRawOutputContents()[i]) != string(raw(want.values...)) {
			s.t.Errorf("text %d of %d tokens: %v: another answer than alone", k, length, out)
		}
	}
}

// TestPlainGraphJoinsMixedLengths pushes an .onnx file without a word about it,
// its axes named as exporters do, holds the device until texts of many lengths
// wait, and wants them in few runs and each with the answer that it has alone.
func TestPlainGraphJoinsMixedLengths(t *testing.T) {
	const waiting = 40
	hold := make(chan struct{})
	var armed atomic.Bool
	var running atomic.Int64
	fake := &gputest.Fake{OnRun: func(context.Context, string, []tensor.Tensor) error {
		if armed.Load() {
			running.Add(1)
			<-hold
		}
		return nil
	}}
	s := newLiveServer(t, fake, Config{Trusted: true})
	s.serve("minilm", "texts")
	slots := int64(0)
	for _, v := range s.manager.Versions() {
		slots += int64(v.TensorGraphs()[0].Slots())
	}
	armed.Store(true)
	var callers sync.WaitGroup
	for k := range slots {
		callers.Go(func() { s.checkText(int(k), 3) })
	}
	eventually(t, func() bool { return running.Load() == slots })
	for k := range waiting {
		callers.Go(func() { s.checkText(k, 1+(k*7)%13) })
	}
	eventually(t, func() bool { return s.manager.Statuses()[0].Graphs[0].QueuedRows == waiting })
	close(hold)
	callers.Wait()
	// Thirteen lengths wait: that few runs can only come of padding.
	if n := running.Load() - slots; n >= 13 {
		t.Errorf("%d texts of 13 lengths took %d runs", waiting, n)
	}
}

// TestPlainGraphOnRuntime asks the same of ONNX Runtime, which answers such a
// small graph too soon for anybody to wait: a window makes texts meet.
func TestPlainGraphOnRuntime(t *testing.T) {
	s := newLiveServer(t, gputest.OpenRuntime(t), Config{Trusted: true})
	s.route("minilm", s.push("minilm", map[string]string{
		"model.onnx":  graphFile(t, "texts"),
		"bundle.yaml": "graphs: {model: {file: model.onnx, batching: {window: 0.002s}}}\n",
	}))
	var callers sync.WaitGroup
	for k := range 32 {
		callers.Go(func() {
			for i := range 50 {
				s.checkText(k, 1+(k*7+i*5)%29)
			}
		})
	}
	callers.Wait()
	joined := false
	for _, v := range s.manager.Versions() {
		for _, rows := range v.TensorGraphs()[0].Tally().Sizes() {
			joined = joined || rows > 1
		}
	}
	if !joined {
		t.Error("no two texts shared a run")
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for range 2000 {
		if done() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it did not come to pass")
}
