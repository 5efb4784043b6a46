package serving_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/serving"
	"github.com/scry-ml/scry/tensor"
)

// keeper is a manager that keeps responses of model m, whose versions 1 and 2
// answer alike; rows counts what they compute once loaded.
type keeper struct {
	*serving.Manager
	rows  atomic.Int64
	onRun atomic.Pointer[func(context.Context) error]
}

func newKeeper(t *testing.T, bytes int64) *keeper {
	t.Helper()
	k := &keeper{}
	fake := &gputest.Fake{OnRun: func(ctx context.Context, _ string, in []tensor.Tensor) error {
		k.rows.Add(in[0].Rows())
		if f := k.onRun.Load(); f != nil {
			return (*f)(ctx)
		}
		return nil
	}}
	k.Manager = serving.New(serving.Config{
		Catalogue: &catalogue{dirs: map[int64]string{
			1: bundleDir(t, "matmul", "description: one\ngraphs: {model: {file: model.onnx}}\n", nil),
			2: bundleDir(t, "matmul", "description: two\ngraphs: {model: {file: model.onnx}}\n", nil),
		}},
		Loader: fake, Responses: map[string]int64{"m": bytes},
	})
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, v := range []int64{1, 2} {
		if err := k.Warm(t.Context(), "m", v); err != nil {
			t.Fatal(err)
		}
	}
	k.rows.Store(0)
	return k
}

// ask answers rows that begin with the numbers given, each an item of 3 values.
func (k *keeper) ask(t *testing.T, ctx context.Context, version string, first ...float32) []pipeline.Answer {
	t.Helper()
	v, release, err := k.Acquire(t.Context(), "m", version)
	if err != nil {
		t.Error(err)
		return make([]pipeline.Answer, len(first))
	}
	defer release()
	items := make([]pipeline.Item, len(first))
	for i, x := range first {
		items[i] = item[float32](t, x, 2, 3)
	}
	return v.Run(ctx, items)
}

func valueOf(a pipeline.Answer) []float32 {
	out, _ := a.Outputs.Get(bundle.Source{Graph: "model", Output: "y"})
	return tensor.View[float32](out)
}

func (k *keeper) hits(t *testing.T) int64 {
	t.Helper()
	n := int64(0)
	for _, v := range k.Versions() {
		for _, g := range v.Graphs() {
			n += g.Tally.Hits
		}
	}
	return n
}

func TestResponsesAreKept(t *testing.T) {
	k := newKeeper(t, 1<<20)
	tenant := func(name string) context.Context {
		return serving.WithCall(context.Background(), batch.Call{Tenant: name})
	}
	x := tenant("x")
	want := valueOf(k.ask(t, x, "1", 1)[0])[0]
	if k.rows.Load() != 1 {
		t.Fatalf("%d rows: the warm-up has answered it already, or nothing has", k.rows.Load())
	}
	for i, c := range []struct {
		ctx     context.Context
		version string
		first   []float32
		rows    int64 // computed
	}{
		{x, "1", []float32{1}, 0},
		{x, "1", []float32{5, 1, 5, 5}, 1}, // alike within one call
		{x, "1", []float32{1, 5}, 0},
		{tenant("y"), "1", []float32{1}, 1}, // nobody learns what others asked
		{x, "2", []float32{1}, 1},           // nor of another version
	} {
		k.rows.Store(0)
		before := k.hits(t)
		for j, a := range k.ask(t, c.ctx, c.version, c.first...) {
			got := valueOf(a)
			if a.Err != nil || len(got) == 0 || c.first[j] == 1 && got[0] != want || c.first[j] != 1 && got[0] == want {
				t.Errorf("case %d: %v, %v", i, got, a.Err)
				continue
			}
			clear(got) // an answer is its caller's
		}
		if n := k.rows.Load(); n != c.rows {
			t.Errorf("case %d: %d rows are computed, want %d", i, n, c.rows)
		}
		if n := k.hits(t) - before; n != int64(len(c.first))-c.rows {
			t.Errorf("case %d: %d hits", i, n)
		}
	}
}

func TestResponsesAreBounded(t *testing.T) {
	k := newKeeper(t, 2000) // a few
	for range 2 {
		for x := range 100 {
			k.ask(t, t.Context(), "1", float32(x))
		}
	}
	if k.rows.Load() != 200 || k.hits(t) != 0 {
		t.Errorf("%d rows are computed, %d hits: it keeps more than it may", k.rows.Load(), k.hits(t))
	}
}

func TestErrorsAreNoResponses(t *testing.T) {
	k := newKeeper(t, 1<<20)
	fail := func(context.Context) error { return fmt.Errorf("%w: once", gpu.ErrRun) }
	k.onRun.Store(&fail)
	if a := k.ask(t, t.Context(), "1", 1)[0]; !errors.Is(a.Err, gpu.ErrRun) {
		t.Fatal(a.Err)
	}
	k.onRun.Store(nil)
	if a := k.ask(t, t.Context(), "1", 1)[0]; a.Err != nil {
		t.Error(a.Err)
	}
}

// TestLeaderLeaves: who waits for another's run of the same is answered, once,
// even if that other leaves before.
func TestLeaderLeaves(t *testing.T) {
	k := newKeeper(t, 1<<20)
	entered := make(chan struct{}, 8)
	hold := make(chan struct{})
	wait := func(ctx context.Context) error {
		entered <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
		return nil
	}
	k.onRun.Store(&wait)
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if a := k.ask(t, ctx, "1", 1)[0]; !errors.Is(a.Err, context.Canceled) {
			t.Errorf("the leader got %v", a.Err)
		}
	})
	<-entered
	for range 5 {
		all.Go(func() {
			if a := k.ask(t, t.Context(), "1", 1)[0]; a.Err != nil {
				t.Error(a.Err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond) // most of them wait for the leader by now; either way is right
	leave()
	<-entered // one of them leads
	close(hold)
	all.Wait()
	if n := k.rows.Load(); n != 2 || k.hits(t) != 4 {
		t.Errorf("%d rows, %d hits, want 2 and 4", n, k.hits(t))
	}
}

// TestResponsesUnderLoad is for the race detector: many ask few questions, and
// some leave.
func TestResponsesUnderLoad(t *testing.T) {
	k := newKeeper(t, 3000)
	want := map[float32]float32{}
	for i := range 12 {
		x := float32(i)
		want[x] = valueOf(k.ask(t, t.Context(), "1", x)[0])[0]
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%50)*100*time.Microsecond)
				x, y := float32((i+g)%12), float32(i%7)
				for j, a := range k.ask(t, ctx, "1", x, y) {
					if a.Err == nil && valueOf(a)[0] != want[[]float32{x, y}[j]] {
						t.Errorf("%v was answered %v", []float32{x, y}[j], valueOf(a))
					}
				}
				cancel()
			}
		})
	}
	all.Wait()
}
