package serving_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/serving"
	"github.com/scry-ml/scry/tensor"
)

// graphOf returns the only graph of a version.
func graphOf(t testing.TB, v *serving.Version) serving.Graph {
	t.Helper()
	g, err := v.Graph("")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// tokens makes rows of ids.
func tokens(t testing.TB, rows int64, values ...int64) []tensor.Tensor {
	t.Helper()
	in, err := tensor.From(values, rows, int64(len(values))/rows)
	if err != nil {
		t.Fatal(err)
	}
	return []tensor.Tensor{in}
}

// TestInferJoinsMixedLengths holds the device until tensor calls of different
// lengths wait, then wants them joined, cut again and right.
func TestInferJoinsMixedLengths(t *testing.T) {
	hold := make(chan struct{})
	var armed atomic.Bool
	var largest, running atomic.Int64
	fake := &gputest.Fake{OnRun: func(_ context.Context, _ string, in []tensor.Tensor) error {
		if armed.Load() {
			running.Add(1)
			<-hold
		}
		if n := in[0].Rows(); n > largest.Load() {
			largest.Store(n)
		}
		return nil
	}}
	v := load(t, bundleDir(t, "gather", sequenceManifest, nil), fake)
	g := graphOf(t, v)
	armed.Store(true)
	var callers sync.WaitGroup
	call := func(k int) {
		ids := make([]int64, 1+k%5)
		for i := range ids {
			ids[i] = int64((k + i) % 9)
		}
		out, err := g.Infer(context.Background(), tokens(t, 1, ids...))
		if err != nil {
			t.Errorf("call %d: %v", k, err)
			return
		}
		if !out[0].Shape.Equal(tensor.Shape{1, int64(len(ids)), 2}) {
			t.Errorf("call %d: shape %v", k, out[0].Shape)
			return
		}
		for i, x := range tensor.View[float32](out[0]) {
			if want := float32(2*ids[i/2] + int64(i%2)); x != want {
				t.Errorf("call %d: element %d is %v, want %v", k, i, x, want)
			}
		}
	}
	slots := runtime.GOMAXPROCS(0)
	for k := range slots {
		callers.Go(func() { call(k) })
		eventually(t, func() bool { return running.Load() == int64(k+1) })
	}
	for k := slots; k < slots+20; k++ {
		callers.Go(func() { call(k) })
	}
	eventually(t, func() bool { return v.Graphs()[0].QueuedRows == 20 })
	close(hold)
	callers.Wait()
	if largest.Load() < 2 {
		t.Error("no two calls shared a run")
	}
	if n := g.Tally(); n.Succeeded != int64(slots+20) || n.Rows != n.Succeeded || n.Failed != 0 || n.Last.IsZero() {
		t.Errorf("tally %+v", n)
	}
}

// TestInferRunsWhole runs graphs whose axis 0 is no batch axis as they come.
func TestInferRunsWhole(t *testing.T) {
	g := graphOf(t, load(t, bundleDir(t, "fixed", "", nil), &gputest.Fake{}))
	in, err := tensor.From([]float32{-1, 2, -3, 4, -5, 6}, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	out, err := g.Infer(context.Background(), []tensor.Tensor{in})
	if err != nil {
		t.Fatal(err)
	}
	if got := tensor.View[float32](out[0]); !out[0].Shape.Equal(in.Shape) || got[1] != 2 || got[2] != 0 {
		t.Errorf("output %v %v", out[0].Shape, got)
	}
	if g.MaxRows() != 0 {
		t.Errorf("it says that it joins %d rows", g.MaxRows())
	}
	// A sum over all rows must see all rows, however many.
	g = graphOf(t, load(t, bundleDir(t, "multi", "", nil), &gputest.Fake{}))
	many := make([]float32, 3000)
	for i := range many {
		many[i] = 1
	}
	if in, err = tensor.From(many, 1500, 2); err != nil {
		t.Fatal(err)
	}
	if out, err = g.Infer(context.Background(), []tensor.Tensor{in}); err != nil {
		t.Fatal(err)
	}
	if total := tensor.View[float32](out[2]); total[0] != 3000 {
		t.Errorf("total %v, want 3000", total)
	}
	// Scalars have no rows.
	g = graphOf(t, load(t, bundleDir(t, "scalars", "", nil), &gputest.Fake{}))
	var scalars []tensor.Tensor
	for _, v := range g.Signature().Inputs {
		s, err := tensor.New(v.DType)
		if err != nil {
			t.Fatal(err)
		}
		scalars = append(scalars, s)
	}
	if _, err := g.Infer(context.Background(), scalars); err != nil {
		t.Error(err)
	}
}

// TestInferCutsLongCalls sends more tokens than a run takes, and one row that
// alone is longer.
func TestInferCutsLongCalls(t *testing.T) {
	var most atomic.Int64
	fake := &gputest.Fake{OnRun: func(_ context.Context, _ string, in []tensor.Tensor) error {
		n, err := in[0].Shape.Elements()
		if int64(n) > most.Load() {
			most.Store(int64(n))
		}
		return err
	}}
	g := graphOf(t, load(t, bundleDir(t, "gather", sequenceManifest, nil), fake))
	for _, shape := range [][2]int64{{32, 500}, {7, 2048}, {1, 5000}, {3, 5000}} {
		most.Store(0)
		ids := make([]int64, shape[0]*shape[1])
		for i := range ids {
			ids[i] = int64(i % 9)
		}
		out, err := g.Infer(context.Background(), tokens(t, shape[0], ids...))
		if err != nil {
			t.Errorf("%v: %v", shape, err)
			continue
		}
		if !out[0].Shape.Equal(tensor.Shape{shape[0], shape[1], 2}) {
			t.Errorf("%v: output %v", shape, out[0].Shape)
		}
		got := tensor.View[float32](out[0])
		for i, id := range ids {
			if got[2*i] != float32(2*id) {
				t.Fatalf("%v: element %d is %v, want %d", shape, i, got[2*i], 2*id)
			}
		}
		if limit := max(2048, shape[1]); most.Load() > limit {
			t.Errorf("%v: a run of %d tokens, the limit is %d", shape, most.Load(), limit)
		}
	}
}

// tokenizerFile is a real WordPiece tokenizer, of far more ids than gather has.
func tokenizerFile(t *testing.T) string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "tokenizer", "testdata", "minilm.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestInferChecksTokens: an id beyond the vocabulary, or more tokens than the
// model takes, never reach the device.
func TestInferChecksTokens(t *testing.T) {
	var loaded atomic.Bool
	var ran atomic.Int64
	fake := &gputest.Fake{OnRun: func(context.Context, string, []tensor.Tensor) error {
		if loaded.Load() {
			ran.Add(1)
		}
		return nil
	}}
	manifest := sequenceManifest + "text: {tokenizer: tokenizer.json, max_length: 8, input_ids: ids}\n"
	v := load(t, bundleDir(t, "gather", manifest, map[string]string{"tokenizer.json": tokenizerFile(t)}), fake)
	loaded.Store(true)
	g := graphOf(t, v)
	size := int64(v.Pipeline().Vocabulary())
	for name, c := range map[string]struct {
		in     []tensor.Tensor
		reason string
	}{
		"beyond":   {tokens(t, 2, 1, 2, 3, size), "TOKEN_UNKNOWN"},
		"negative": {tokens(t, 1, -1), "TOKEN_UNKNOWN"},
		"long":     {tokens(t, 1, make([]int64, 9)...), "INPUT_TOO_LONG"},
	} {
		_, err := g.Infer(context.Background(), c.in)
		bad, ok := errors.AsType[*pipeline.InputError](err)
		if !ok || bad.Reason != c.reason || !strings.HasPrefix(bad.Field, `inputs["ids"].`) {
			t.Errorf("%s: %v, want %s", name, err, c.reason)
		}
	}
	empty, err := tensor.New(tensor.Int64, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Infer(context.Background(), []tensor.Tensor{empty}); !errors.Is(err, pipeline.ErrInput) {
		t.Errorf("no token: %v", err)
	}
	if ran.Load() != 0 {
		t.Errorf("%d of them reached the device", ran.Load())
	}
	if _, err := g.Infer(context.Background(), tokens(t, 1, 1, 2, 3)); err != nil {
		t.Error(err)
	}
	if _, err := g.Infer(context.Background(), nil); !errors.Is(err, gpu.ErrInput) {
		t.Errorf("no tensors: %v", err)
	}
}

// TestUnload frees a spare version, keeps the routed one, and loads again what
// is asked for.
func TestUnload(t *testing.T) {
	fake := &gputest.Fake{}
	m, _ := newManager(t, fake)
	ctx := context.Background()
	m.SetRoute(serving.Route{Model: "m", Version: 1, Revision: 1})
	for _, v := range []int64{1, 2} {
		if err := m.Warm(ctx, "m", v); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.Versions()) != 2 || m.Loaded(ctx, "m", "2") == nil || m.Loaded(ctx, "m", "").Identity().Version != 1 {
		t.Error("both versions should be loaded")
	}
	for _, version := range []int64{0, 1} {
		if err := m.Unload("m", version); !errors.Is(err, serving.ErrRouted) {
			t.Errorf("unload of %d: %v, want ErrRouted", version, err)
		}
	}
	// A call in progress keeps its version.
	_, release, err := m.Acquire(ctx, "m", "2")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Unload("m", 2); err != nil {
		t.Fatal(err)
	}
	if m.Loaded(ctx, "m", "2") != nil || fake.Open() != 2 {
		t.Errorf("version 2 can still be found, or was freed in use: %d sessions", fake.Open())
	}
	release()
	eventually(t, func() bool { return fake.Open() == 1 })
	if n, err := score(t, m, "2"); n != 2 || err != nil {
		t.Errorf("after the unload version %d answers: %v", n, err)
	}
}
