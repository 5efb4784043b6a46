package gpu

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scry-ml/scry/tensor"
)

// TestOutputPlans says which outputs a run writes into the caller's memory: the
// conformance suite only sees that all are right.
func TestOutputPlans(t *testing.T) {
	r := benchRuntime(t)
	row, _ := tensor.New(tensor.Float32, 1, 32)
	positive, _ := tensor.From([]float32{1, 2}, 2)
	mixed, _ := tensor.From([]float32{1, -2, 3}, 3)
	two, _ := tensor.New(tensor.Float32, 2, 2)
	for _, c := range []struct {
		graph string
		runs  [][]tensor.Tensor
		want  []int32
	}{
		{"mlp", nil, []int32{untried}},
		{"mlp", [][]tensor.Tensor{{row}}, []int32{trusted}},
		{"multi", [][]tensor.Tensor{{two}, {two}}, []int32{trusted, trusted, trusted}},
		{"filter", [][]tensor.Tensor{{positive}}, []int32{refuted, refuted}}, // "m" is no input's axis
		{"liar", [][]tensor.Tensor{{positive}, {positive}}, []int32{trusted, trusted}},
		{"liar", [][]tensor.Tensor{{positive}, {mixed}, {positive}}, []int32{refuted, trusted}},
		{"liar", [][]tensor.Tensor{{mixed}, {positive}}, []int32{refuted, trusted}},
	} {
		s := mustLoad(t, r, Spec{Path: graphPath(c.graph), Devices: []string{CPU}, Threads: 1}).(*session)
		for _, in := range c.runs {
			if _, err := s.Run(context.Background(), in); err != nil {
				t.Fatalf("%s: %v", c.graph, err)
			}
		}
		for i, want := range c.want {
			if got := s.outputs[i].trust.Load(); got != want {
				t.Errorf("%s after %d runs: output %d is %d, want %d", c.graph, len(c.runs), i, got, want)
			}
		}
	}
}

// TestWatch has contexts end before, during and between runs.
func TestWatch(t *testing.T) {
	var ended atomic.Int32
	w := &watch{terminate: func() { ended.Add(1) }}
	for i := range 200 {
		ctx, cancel := context.WithCancelCause(context.Background())
		w.begin(ctx)
		if i%2 == 0 {
			// A short run whose caller leaves at its end.
			go cancel(errors.New("gone"))
			if w.end() && ended.Load() == 0 {
				t.Fatal("terminated without a call")
			}
			continue
		}
		before := ended.Load()
		go func() {
			time.Sleep(time.Duration(i) * 20 * time.Microsecond)
			cancel(errors.New("gone"))
		}()
		for ended.Load() == before {
			time.Sleep(100 * time.Microsecond)
		}
		if !w.end() {
			t.Fatal("a run that was terminated does not say so")
		}
	}
	w.begin(context.Background())
	if w.end() {
		t.Error("a run that nothing ends was terminated")
	}
}

// TestCollectedMeanwhile runs while the garbage collector works all the time:
// nothing of an earlier run may be left where it looks, or is told of.
func TestCollectedMeanwhile(t *testing.T) {
	r := benchRuntime(t)
	s := mustLoad(t, r, Spec{Path: graphPath("mlp"), Devices: []string{CPU}, Threads: 1})
	labels := mustLoad(t, r, Spec{Path: graphPath("labels"), Devices: []string{CPU}, Threads: 1})
	deadline := time.Now().Add(time.Second)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for time.Now().Before(deadline) {
				x, _ := tensor.New(tensor.Float32, 1, 32)
				if _, err := s.Run(context.Background(), []tensor.Tensor{x}); err != nil {
					t.Error(err)
				}
				words, _ := tensor.FromStrings([]string{"yes", "no", "long enough to be on the heap"}, 3, 1)
				if _, err := labels.Run(context.Background(), []tensor.Tensor{words}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for time.Now().Before(deadline) {
		runtime.GC()
	}
	all.Wait()
}
