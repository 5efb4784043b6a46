package serving_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/serving"
	"github.com/scry-ml/scry/tensor"
)

// bundleDir makes a bundle of one graph of gputest and a manifest.
func bundleDir(t testing.TB, graph, manifest string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join("..", "gpu", "gputest", "testdata", graph+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("model.onnx", data)
	if manifest != "" {
		write(bundle.ManifestFile, []byte(manifest))
	}
	for name, text := range files {
		write(name, []byte(text))
	}
	return dir
}

// load loads a bundle with a loader and closes it after the test.
func load(t testing.TB, dir string, loader gpu.Loader) *serving.Version {
	t.Helper()
	v, err := serving.Load(context.Background(), pipeline.Identity{Model: "m", Version: 1}, dir, serving.LoadOptions{Loader: loader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// item makes an item of one row from float32 or int64 values.
func item[T float32 | int64](t testing.TB, values ...T) pipeline.Item {
	t.Helper()
	in, err := tensor.From(values, 1, int64(len(values)))
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Item{Inputs: []tensor.Tensor{in}, Rows: 1, Length: len(values)}
}

const sequenceManifest = `graphs:
  model:
    file: model.onnx
    inputs: {ids: {sequence_axis: 1, pad_value: 9}}
    outputs: {y: {sequence_axis: 1}}
`

// TestMixedLengthsShareARun holds the first run until many items of different
// lengths wait, then wants them joined, padded, cut again and right.
func TestMixedLengthsShareARun(t *testing.T) {
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
		for row := range in[0].Shape[0] {
			r, _ := in[0].Slice(row, row+1)
			padded := false
			for _, id := range tensor.View[int64](r) {
				padded = padded || id == 9
				if padded && id != 9 {
					return fmt.Errorf("%w: padding lies before an id", gpu.ErrInput)
				}
			}
		}
		return nil
	}}
	v := load(t, bundleDir(t, "gather", sequenceManifest, nil), fake)
	armed.Store(true)
	var callers sync.WaitGroup
	run := func(k int) {
		ids := make([]int64, 1+k%7)
		for i := range ids {
			ids[i] = int64((k + i) % 9)
		}
		a := v.Run(context.Background(), []pipeline.Item{item(t, ids...)})[0]
		if a.Err != nil {
			t.Errorf("item %d: %v", k, a.Err)
			return
		}
		out, ok := a.Outputs.Get(bundle.Source{Graph: "model", Output: "y"})
		if !ok || !out.Shape.Equal(tensor.Shape{1, int64(len(ids)), 2}) {
			t.Errorf("item %d: output %v", k, out.Shape)
			return
		}
		for i, x := range tensor.View[float32](out) {
			if want := float32(2*ids[i/2] + int64(i%2)); x != want {
				t.Errorf("item %d: element %d is %v, want %v", k, i, x, want)
			}
		}
	}
	// One item for each slot of the device, then those that must wait.
	slots := runtime.GOMAXPROCS(0)
	for k := range slots {
		callers.Go(func() { run(k) })
		eventually(t, func() bool { return running.Load() == int64(k+1) })
	}
	for k := slots; k < slots+40; k++ {
		callers.Go(func() { run(k) })
	}
	eventually(t, func() bool { return v.Graphs()[0].QueuedRows == 40 })
	close(hold)
	callers.Wait()
	if largest.Load() < 2 {
		t.Error("no two items shared a run")
	}
}

// eventually waits for a condition that must come true soon.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come true within 10 s")
		}
	}
}

// TestLargeItemIsCut runs an item of more rows than a run holds.
func TestLargeItemIsCut(t *testing.T) {
	v := load(t, bundleDir(t, "matmul", "graphs: {model: {file: model.onnx, batching: {max_rows: 16}}}\n", nil), &gputest.Fake{})
	values := make([]float32, 3*50)
	for i := range values {
		values[i] = float32(i)
	}
	in, err := tensor.From(values, 50, 3)
	if err != nil {
		t.Fatal(err)
	}
	a := v.Run(context.Background(), []pipeline.Item{{Inputs: []tensor.Tensor{in}, Rows: 50}})[0]
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	out, _ := a.Outputs.Get(bundle.Source{Graph: "model", Output: "y"})
	got := tensor.View[float32](out)
	if len(got) != 100 {
		t.Fatalf("%d values", len(got))
	}
	for row := range 50 {
		x, y, z := values[row*3], values[row*3+1], values[row*3+2]
		if want := x + 3*y + 5*z + 0.5; got[row*2] != want {
			t.Errorf("row %d: %v, want %v", row, got[row*2], want)
		}
	}
	if a.Stats.BatchRows != 16 {
		t.Errorf("largest run: %d rows, want 16", a.Stats.BatchRows)
	}
}

// TestBadItemHurtsNobody puts an index beyond the table among good ones.
func TestBadItemHurtsNobody(t *testing.T) {
	v := load(t, bundleDir(t, "gather", sequenceManifest, nil), &gputest.Fake{})
	items := []pipeline.Item{item[int64](t, 1, 2), item[int64](t, 77), item[int64](t, 3)}
	answers := v.Run(context.Background(), items)
	if answers[0].Err != nil || answers[2].Err != nil {
		t.Errorf("neighbours failed: %v, %v", answers[0].Err, answers[2].Err)
	}
	if !errors.Is(answers[1].Err, gpu.ErrInput) {
		t.Errorf("the bad item: %v, want ErrInput", answers[1].Err)
	}
	wrong := v.Run(context.Background(), []pipeline.Item{item[float32](t, 1), items[0], {}})
	if !errors.Is(wrong[0].Err, gpu.ErrInput) || wrong[1].Err != nil || !errors.Is(wrong[2].Err, gpu.ErrInput) {
		t.Errorf("wrong type, good, no tensors: %v, %v, %v", wrong[0].Err, wrong[1].Err, wrong[2].Err)
	}
}

const golden = `{"tensors": {"inputs": {"x": {"values": [1, 2, 3]}}}, "outputs": {"model.y": {"values": [22.5, %s]}}}`

func goldenManifest(tolerances string) string {
	return "graphs: {model: {file: model.onnx}}\ngoldens: {file: g.jsonl, tolerances: [" + tolerances + "]}\n"
}

func TestGoldenSamples(t *testing.T) {
	exact := "{precision: PRECISION_FP32, absolute: 0.001}"
	v := load(t, bundleDir(t, "matmul", goldenManifest(exact), map[string]string{"g.jsonl": fmt.Sprintf(golden, "27.5")}), &gputest.Fake{})
	if got := v.Verification(); got.Samples != 1 || got.Output != "model.y" || got.MaxDifference > 1e-6 {
		t.Errorf("verification: %+v", got)
	}
	fake := &gputest.Fake{}
	_, err := serving.Load(context.Background(), pipeline.Identity{Model: "m"}, bundleDir(t, "matmul", goldenManifest(exact), map[string]string{"g.jsonl": fmt.Sprintf(golden, "27.6")}), serving.LoadOptions{Loader: fake})
	if !errors.Is(err, serving.ErrGolden) || !strings.Contains(err.Error(), "1 of 1 samples are off, most of all sample 1: model.y[1] is 27.5, want 27.6 ± 0.001") {
		t.Errorf("error: %v", err)
	}
	if fake.Open() != 0 {
		t.Errorf("%d sessions are left of a failed load", fake.Open())
	}
}

// TestFixedBatchRunsAlone holds that a graph of a fixed batch is not joined, and
// says so.
func TestFixedBatchRunsAlone(t *testing.T) {
	v := load(t, bundleDir(t, "fixed", "", nil), &gputest.Fake{})
	if why := v.Graphs()[0].Apart; !strings.Contains(why, "fixed at 2") {
		t.Errorf("a graph of fixed batch is joined: %q", why)
	}
}
