package serving_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/tensor"
)

// loopSteps are the inputs of "loop" for n steps.
func loopSteps(t testing.TB, n int64) []tensor.Tensor {
	count, err := tensor.From([]int64{n})
	if err != nil {
		t.Fatal(err)
	}
	step, err := tensor.From([]float32{1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return []tensor.Tensor{count, step}
}

// TestRunEndsWithItsCallers has ONNX Runtime run for years for a caller who
// leaves. There is one slot, so that the next call is answered only if the run
// has ended.
func TestRunEndsWithItsCallers(t *testing.T) {
	const endless = 1 << 60
	v := load(t, bundleDir(t, "loop", "graphs: {model: {file: model.onnx, execution: {threads: 2, devices: [cpu]}}}\n", nil), gputest.OpenRuntime(t))
	g := graphOf(t, v)
	answered := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		out, err := g.Infer(ctx, loopSteps(t, 10))
		if err != nil || tensor.View[float32](out[0])[0] != 10 {
			t.Fatalf("the call after it: %v, %v", out, err)
		}
	}
	leave := func(how string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		start := time.Now()
		if _, err := g.Infer(ctx, loopSteps(t, endless)); !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v, want that it was cancelled", how, err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: the caller left after %v", how, took)
		}
		answered()
	}
	answered() // now the queue takes its runs for short ones
	leave("in the caller's goroutine")
	// A long run, so that the next ones are left to the slot's goroutine.
	for range 3 {
		if _, err := g.Infer(t.Context(), loopSteps(t, 100_000)); err != nil {
			t.Fatal(err)
		}
	}
	leave("in the slot's goroutine")
}

// TestAdmit refuses what the run under way makes hopeless, and nothing else.
func TestAdmit(t *testing.T) {
	const slow = 100 * time.Millisecond
	began := make(chan struct{}, 100)
	fake := &gputest.Fake{OnRun: func(context.Context, string, []tensor.Tensor) error {
		began <- struct{}{}
		time.Sleep(slow)
		return nil
	}}
	v := load(t, bundleDir(t, "matmul", "graphs: {model: {file: model.onnx, batching: {max_rows: 1}, execution: {threads: 2}}}\n", nil), fake)
	for len(began) > 0 {
		<-began // warm-up
	}
	admit := func(patience time.Duration, rows int) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return v.Admit(ctx, rows, int64(rows))
	}
	done := make(chan error, 1)
	x, _ := tensor.From([]float32{1, 2, 3}, 1, 3)
	go func() {
		_, err := graphOf(t, v).Infer(context.Background(), []tensor.Tensor{x})
		done <- err
	}()
	<-began
	if err := admit(slow/10, 1); !errors.Is(err, batch.ErrDeadline) {
		t.Errorf("a run takes %v, %v are left: %v", slow, slow/10, err)
	}
	if err := admit(10*slow, 1); err != nil {
		t.Errorf("with time enough: %v", err)
	}
	if err := v.Admit(t.Context(), 1<<30, 1); err != nil {
		t.Errorf("a call that is cut into waves: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st := v.Graphs()[0]; st.RefusedDeadline != 1 {
		t.Errorf("%d refusals are counted", st.RefusedDeadline)
	}
	_ = v.Close()
	if err := admit(time.Minute, 1); !errors.Is(err, batch.ErrClosed) {
		t.Errorf("a closed version: %v", err)
	}
}
