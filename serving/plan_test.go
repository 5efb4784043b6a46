package serving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

var machine = []gpu.Device{
	{ID: "cuda:0", Provider: gpu.CUDA, Reason: "no driver"},
	{ID: "openvino:cpu", Provider: gpu.OpenVINO, Available: true, Precisions: []gpu.Precision{gpu.F32, gpu.BF16}},
	{ID: "cpu", Provider: gpu.CPU, Available: true, Precisions: []gpu.Precision{gpu.F32}},
}

func TestOptions(t *testing.T) {
	all := func(gpu.Precision) bool { return true }
	none := func(gpu.Precision) bool { return false }
	for _, c := range []struct {
		name     string
		request  request
		options  string // device precision threads×runs
		rejected string
	}{
		{"all", request{devices: machine, cpus: 4, admitted: all},
			"cpu f32 4×1, cpu f32 2×2, cpu f32 1×4, openvino:cpu bf16 4×1, openvino:cpu bf16 2×2, openvino:cpu bf16 1×4, openvino:cpu f32 4×1, openvino:cpu f32 2×2, openvino:cpu f32 1×4",
			"cuda:0: no driver"},
		{"no tolerance", request{devices: machine, cpus: 2, admitted: none},
			"cpu f32 2×1, cpu f32 1×2, openvino:cpu f32 2×1, openvino:cpu f32 1×2",
			"cuda:0: no driver, openvino:cpu: the manifest states no tolerance for bf16"},
		{"small", request{devices: machine, cpus: 2, small: true, admitted: all},
			"cpu f32 1×2, cpu f32 2×1",
			"cuda:0: " + tooSmall + ", openvino:cpu: " + tooSmall},
		{"pinned", request{devices: machine, named: []string{"cpu"}, threads: 1, cpus: 2, admitted: all}, "cpu f32 1×2", ""},
		{"pinned threads", request{devices: machine, named: []string{"cpu"}, threads: 3, cpus: 2, admitted: all}, "cpu f32 3×1", ""},
		{"unknown", request{devices: machine[1:], named: []string{"cuda", "cpu"}, cpus: 1, admitted: all}, "cpu f32 1×1", "cuda: there is no such device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			options, rejected := c.request.options()
			var got, why []string
			for _, o := range options {
				got = append(got, fmt.Sprintf("%s %s %d×%d", o.device.ID, o.precision, o.threads, o.runs))
			}
			for _, r := range rejected {
				why = append(why, r.Device+": "+r.Rejected)
			}
			if s := strings.Join(got, ", "); s != c.options {
				t.Errorf("options: %s", s)
			}
			if s := strings.Join(why, ", "); s != c.rejected {
				t.Errorf("rejected: %s", s)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name       string
		candidates []Candidate
		want       int
	}{
		{"none", nil, -1},
		{"all rejected", []Candidate{{Rate: 5, Precision: gpu.F32, Rejected: "no"}}, -1},
		{"fastest", []Candidate{{Rate: 100, Precision: gpu.F32}, {Rate: 200, Precision: gpu.BF16}}, 1},
		{"fastest is rejected", []Candidate{{Rate: 100, Precision: gpu.F32}, {Rate: 200, Precision: gpu.BF16, Rejected: "no"}}, 0},
		{"a tenth is noise, the exact one wins", []Candidate{{Rate: 105, Precision: gpu.BF16, Deadline: 1 * ms}, {Rate: 100, Precision: gpu.F32, Deadline: 9 * ms}}, 1},
		{"a tenth is noise, the sooner one wins", []Candidate{{Rate: 105, Precision: gpu.F32, Deadline: 9 * ms}, {Rate: 100, Precision: gpu.F32, Deadline: 1 * ms}}, 1},
	} {
		if got := choose(c.candidates); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestFallbackIsTold(t *testing.T) {
	r := request{devices: machine, named: []string{"cuda", "openvino", "cpu"}}
	slower := []Candidate{{Device: "cuda:0", Rejected: "no driver"}, {Device: "openvino:cpu", Rejected: "too far off"}, {Device: "openvino:cpu"}, {Device: "cpu"}}
	if got := r.fallback("cpu", slower); got != "cuda:0: no driver" {
		t.Errorf("a slower device counts as unusable: %q", got)
	}
	slower[2].Rejected = "no memory"
	if got := r.fallback("cpu", slower); got != "cuda:0: no driver; openvino:cpu: no memory" {
		t.Errorf("%q", got)
	}
	if got := (request{devices: machine, named: []string{"cpu", "cuda"}}).fallback("cpu", slower); got != "" {
		t.Errorf("the first choice has a reason: %q", got)
	}
}

// TestShapesAreFew holds that a device that compiles gets a bounded number of
// shapes, none beyond what the model takes, and that no run has another.
func TestShapesAreFew(t *testing.T) {
	for _, longest := range []int{5, 8, 20, 100, 128, 256, 512, 2048} {
		p := Plan{Provider: gpu.OpenVINO, MaxLength: longest, Runs: 1}
		f := form{sequence: true}
		p.lay(f)
		if last := p.LengthSteps[len(p.LengthSteps)-1]; last != longest || !ascending(p.LengthSteps) || !ascending(p.RowSteps) {
			t.Errorf("longest %d: steps %v", longest, p.LengthSteps)
		}
		shapes := p.shapes(f)
		if len(shapes) > 100 {
			t.Errorf("longest %d: %d shapes", longest, len(shapes))
		}
		for rows := 1; rows <= p.MaxRows; rows++ {
			for length := 1; length <= longest; length++ {
				s := batch.Shape{Rows: stepUp(p.RowSteps, rows), Length: stepUp(p.LengthSteps, length)}
				if (rows == 1 || s.Rows*s.Length <= p.MaxCells) && !slices.Contains(shapes, s) {
					t.Fatalf("longest %d: %d rows of %d make %v, which is not warmed", longest, rows, length, s)
				}
			}
		}
	}
	padded := Plan{Provider: gpu.OpenVINO, MaxLength: 128, Unpadded: "why", Runs: 1}
	if padded.lay(form{sequence: true}); padded.LengthSteps != nil {
		t.Errorf("lengths are padded to %v though they must not be", padded.LengthSteps)
	}
}

// TestLargeRowsAreFew bounds what the inputs of a run take, of pictures and of what
// is cut from them, unless the manifest says how many rows it has.
func TestLargeRowsAreFew(t *testing.T) {
	for _, c := range []struct {
		edge, stated int
		want         int
	}{{224, 0, 32}, {800, 0, 32}, {1600, 0, 8}, {8192, 0, 1}, {8192, 4, 4}} {
		size := fmt.Sprintf("resize: {width: %d, height: %d}", c.edge, c.edge)
		batching := fmt.Sprintf("batching: {max_rows: %d}", c.stated)
		p, err := pipelinetest.Open(fstest.MapFS{
			bundle.ManifestFile: {Data: []byte("graphs: {whole: {file: g.onnx, " + batching + "}, part: {file: g.onnx, " + batching + "}}\n" +
				"steps: [{graph: whole}, {graph: part, crop: {image: {" + size + "}}}]\nimage: {" + size + "}\n")},
			"g.onnx": {Data: pipelinetest.Graph([]bundle.Value{pipelinetest.Value("x", tensor.Float32, -1, 3, -1, -1)}, []bundle.Value{pipelinetest.Value("y", tensor.Float32, -1, 1)})},
		}, pipeline.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		open := gpu.Value{Name: "x", DType: tensor.Float32, Shape: tensor.Shape{-1, 3, -1, -1}} // the manifest tells
		for _, name := range []string{"whole", "part"} {
			f, err := newForm(name, gpu.Signature{Inputs: []gpu.Value{open}}, p)
			if err != nil {
				t.Fatal(err)
			}
			var plan Plan
			if plan.lay(f); plan.MaxRows != c.want {
				t.Errorf("%s of %d × %d: %d rows, want %d", name, c.edge, c.edge, plan.MaxRows, c.want)
			}
		}
	}
}

// TestPartsAreMadeUpAlone: the inputs of a graph that takes parts of pictures are
// made up without pictures of 50 MB each.
func TestPartsAreMadeUpAlone(t *testing.T) {
	p, err := pipelinetest.Open(fstest.MapFS{
		bundle.ManifestFile: {Data: []byte(`graphs: {whole: {file: g.onnx}, part: {file: g.onnx}}
steps: [{graph: whole}, {graph: part, crop: {image: {resize: {width: 8, height: 8}}}}]
image: {resize: {width: 2048, height: 2048}}
`)},
		"g.onnx": {Data: pipelinetest.Graph([]bundle.Value{pipelinetest.Value("x", tensor.Float32, -1, 3, -1, -1)}, []bundle.Value{pipelinetest.Value("y", tensor.Float32, -1, 1)})},
	}, pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := newForm("part", gpu.Signature{Inputs: []gpu.Value{{Name: "x", DType: tensor.Float32, Shape: tensor.Shape{-1, 3, -1, -1}}}}, p)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	in, err := newTrial(p, f).inputs(8, 0, 1)
	runtime.ReadMemStats(&after)
	if err != nil || !in[0].Shape.Equal(tensor.Shape{8, 3, 8, 8}) || after.TotalAlloc-before.TotalAlloc > 16<<20 {
		t.Errorf("%d bytes for %v, %v", after.TotalAlloc-before.TotalAlloc, in[0].Shape, err)
	}
}

// TestEstimate compares estimates with what can be computed by hand.
func TestEstimate(t *testing.T) {
	const ms = time.Millisecond
	alone := Plan{Runs: 2, MaxRows: 1, Apart: "why"}
	e := newEstimate(&alone, form{}, []batch.Cost{{Shape: batch.Shape{Rows: 1}, Time: 4 * ms}})
	if got := e.rate(); math.Abs(got-500) > 5 {
		t.Errorf("two runs of 4 ms side by side: %v items/s, want 500", got)
	}
	if d := e.deadline(500); d < 4*ms || d > 40*ms {
		t.Errorf("the deadline is %v", d)
	}
	// 10 ms and 1 ms for each row: 16 rows take 26 ms, 32 in two runs 52 ms.
	joined := Plan{Runs: 1, MaxRows: 16}
	e = newEstimate(&joined, form{}, []batch.Cost{{Shape: batch.Shape{Rows: 1}, Time: 11 * ms}, {Shape: batch.Shape{Rows: 16}, Time: 26 * ms}})
	if got, want := e.rate(), 16/0.026; math.Abs(got-want) > want/20 {
		t.Errorf("joined: %v items/s, want %v", got, want)
	}
	// Half of the cells are padding when a length is rounded up to twice itself.
	var exact, stepped []batch.Cost
	for length := 4; length <= 128; length *= 2 {
		exact = append(exact, batch.Cost{Shape: batch.Shape{Rows: 1, Length: length}, Time: time.Duration(length) * ms})
	}
	stepped = append(stepped, batch.Cost{Shape: batch.Shape{Rows: 1, Length: 128}, Time: 128 * ms})
	text := form{sequence: true}
	fine := newEstimate(&Plan{Runs: 1, MaxRows: 1, MaxLength: 128, Apart: "why"}, text, exact).rate()
	rough := newEstimate(&Plan{Runs: 1, MaxRows: 1, MaxLength: 128, Apart: "why", LengthSteps: []int{128}}, text, stepped).rate()
	if math.Abs(rough-1/0.128) > 0.1 || fine < 3*rough {
		t.Errorf("exact lengths %v items/s, all padded to 128 %v", fine, rough)
	}
}

func TestSurface(t *testing.T) {
	at := func(rows, length int) batch.Shape { return batch.Shape{Rows: rows, Length: length} }
	s := newSurface([]batch.Cost{{Shape: at(4, 16), Time: 40}, {Shape: at(1, 8), Time: 10}, {Shape: at(1, 16), Time: 20}, {Shape: at(4, 8), Time: 22}})
	for _, c := range []struct {
		rows, length int
		want         float64
	}{{1, 8, 10}, {4, 16, 40}, {2, 8, 14}, {1, 12, 15}, {8, 8, 44}, {1, 32, 40}, {1, 2, 10}} {
		if got := s.at(c.rows, c.length); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%d × %d: %v, want %v", c.rows, c.length, got, c.want)
		}
	}
}

// TestStallsAreTakenOut holds that a run is never thought to cost more than one
// that holds it.
func TestStallsAreTakenOut(t *testing.T) {
	at := func(rows, length int, took time.Duration) batch.Cost {
		return batch.Cost{Shape: batch.Shape{Rows: rows, Length: length}, Time: took}
	}
	got := steady([]batch.Cost{at(1, 8, 900), at(2, 8, 20), at(1, 16, 30), at(2, 16, 500), at(4, 8, 40)})
	want := []batch.Cost{at(1, 8, 20), at(2, 8, 20), at(1, 16, 30), at(2, 16, 500), at(4, 8, 40)}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// lab is a Loader of a made-up machine: the fake's graphs, with delays and
// errors of computation by device and precision.
type lab struct {
	gputest.Fake
	delay func(gpu.Placement) time.Duration
	skew  map[gpu.Precision]float32

	mu    sync.Mutex
	loads []string
}

func (d *lab) Load(ctx context.Context, spec gpu.Spec) (gpu.Session, error) {
	s, err := d.Fake.Load(ctx, spec)
	if err != nil {
		return nil, err
	}
	place := s.Placement()
	d.mu.Lock()
	d.loads = append(d.loads, fmt.Sprintf("%s %s %d", place.Device, place.Precision, place.Threads))
	d.mu.Unlock()
	return &slowed{s, d}, nil
}

type slowed struct {
	gpu.Session
	lab *lab
}

func (s *slowed) Run(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
	out, err := s.Session.Run(ctx, in)
	if s.lab.delay != nil {
		time.Sleep(s.lab.delay(s.Placement()))
	}
	for i := range out {
		if out[i].DType == tensor.Float32 {
			for k, v := 0, tensor.View[float32](out[i]); k < len(v); k++ {
				v[k] += s.lab.skew[s.Placement().Precision]
			}
		}
	}
	return out, err
}

// testDir makes a bundle of one graph of gputest.
func testDir(t *testing.T, graph, manifest, goldens string) string {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(gputest.Graph(t, graph))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"model.onnx": string(data), bundle.ManifestFile: manifest, "g.jsonl": goldens} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// testPlanner has time, and is never disturbed.
func testPlanner(t *testing.T) *Planner {
	p := NewPlanner(filepath.Join(t.TempDir(), "plans"), "this machine")
	p.quiet = func() bool { return true }
	p.small, p.large = time.Minute, time.Minute
	return p
}

func loadPlanned(t *testing.T, dir string, loader gpu.Loader, p *Planner) *Version {
	t.Helper()
	v, err := Load(context.Background(), pipeline.Identity{Model: "m", Version: 1}, dir, LoadOptions{Loader: loader, Planner: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

const (
	anyDevice   = "graphs: {model: {file: model.onnx, execution: {devices: [openvino, cpu]}}}\n"
	withGoldens = "goldens: {file: g.jsonl, tolerances: [{precision: PRECISION_FP32, absolute: 0.001}%s]}\n"
	admitBF16   = ", {precision: PRECISION_BF16, absolute: 0.1}"
	sampleOf    = `{"tensors": {"inputs": {"x": {"values": [1, 2, 3]}}}, "outputs": {"model.y": {"values": [22.5, 27.5]}}}`
)

// openVINOQuick makes OpenVINO in bfloat16 the fastest, then in float32.
func openVINOQuick(p gpu.Placement) time.Duration {
	switch {
	case p.Provider == gpu.CPU:
		return 8 * time.Millisecond
	case p.Precision == gpu.BF16:
		return 500 * time.Microsecond
	}
	return 3 * time.Millisecond
}

func TestPlanIsChosenByMeasure(t *testing.T) {
	quickCPU := func(p gpu.Placement) time.Duration {
		if p.Provider == gpu.CPU {
			return 500 * time.Microsecond
		}
		return 8 * time.Millisecond
	}
	for _, c := range []struct {
		name      string
		manifest  string
		delay     func(gpu.Placement) time.Duration
		skew      float32 // of bfloat16
		refuse    error   // of OpenVINO's loads
		device    string
		precision gpu.Precision
		source    Source
		rejected  string // of some candidate
	}{
		{name: "fastest", manifest: anyDevice + fmt.Sprintf(withGoldens, admitBF16), delay: openVINOQuick, skew: 0.01, device: "openvino:cpu", precision: gpu.BF16, source: ByMeasure},
		{name: "too far off", manifest: anyDevice + fmt.Sprintf(withGoldens, admitBF16), delay: openVINOQuick, skew: 5, device: "openvino:cpu", precision: gpu.F32, source: ByMeasure,
			rejected: "its answers differ: \"y\" is off by 5 where"},
		{name: "no tolerance", manifest: anyDevice + fmt.Sprintf(withGoldens, ""), delay: openVINOQuick, device: "openvino:cpu", precision: gpu.F32, source: ByMeasure,
			rejected: "the manifest states no tolerance for bf16"},
		{name: "no golden samples", manifest: anyDevice, delay: openVINOQuick, device: "openvino:cpu", precision: gpu.F32, source: ByMeasure},
		{name: "slower", manifest: anyDevice + fmt.Sprintf(withGoldens, admitBF16), delay: quickCPU, device: "cpu", precision: gpu.F32, source: ByMeasure},
		{name: "no memory", manifest: anyDevice, delay: openVINOQuick, refuse: &gpu.MemoryError{Device: "openvino:cpu", Needed: 9, Available: 1}, device: "cpu", precision: gpu.F32, source: ByMeasure,
			rejected: "out of memory on openvino:cpu: needs 9 bytes, 1 available"},
		{name: "error", manifest: anyDevice, delay: openVINOQuick, refuse: fmt.Errorf("%w: an operator", gpu.ErrModel), device: "cpu", precision: gpu.F32, source: ByMeasure, rejected: "an operator"},
		{name: "small", manifest: "", delay: openVINOQuick, device: "cpu", precision: gpu.F32, source: ByMeasure, rejected: "less than 1 MiB"},
		{name: "pinned", manifest: strings.Replace(anyDevice, "[openvino, cpu]", "[cpu], threads: 1", 1), delay: openVINOQuick, device: "cpu", precision: gpu.F32, source: ByManifest},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &lab{delay: c.delay, skew: map[gpu.Precision]float32{gpu.BF16: c.skew}}
			d.Machine = machine
			d.OnLoad = func(dev gpu.Device, _ gpu.Spec) error {
				if dev.Provider == gpu.OpenVINO {
					return c.refuse
				}
				return nil
			}
			v := loadPlanned(t, testDir(t, "matmul", c.manifest, sampleOf), d, testPlanner(t))
			p := v.Plans()[0]
			if p.Device != c.device || p.Precision != c.precision || p.Source != c.source {
				t.Errorf("%s %s (%s); candidates %+v", p.Device, p.Precision, p.Source, p.Candidates)
			}
			if place := v.steps[0].graph.place; place.Device != p.Device || place.Precision != p.Precision || place.Threads != p.Threads {
				t.Errorf("the plan is %+v, the session %+v", p, place)
			}
			if !slices.ContainsFunc(p.Candidates, func(x Candidate) bool { return c.rejected == "" || strings.Contains(x.Rejected, c.rejected) }) && c.source != ByManifest {
				t.Errorf("candidates %+v", p.Candidates)
			}
			if p.Rate <= 0 || p.Deadline <= 0 || len(p.Costs) == 0 || p.Typical == "" {
				t.Errorf("figures of the plan: %+v", p)
			}
			if known := v.steps[0].graph.queue.Costs(); len(known) == 0 {
				t.Error("the queue knows no costs")
			}
			if open := d.Open(); open != 1 {
				t.Errorf("%d sessions are open, want the chosen one", open)
			}
		})
	}
}

func TestPlanIsKept(t *testing.T) {
	d := &lab{delay: openVINOQuick}
	d.Machine = machine
	dir, p := testDir(t, "matmul", anyDevice+fmt.Sprintf(withGoldens, admitBF16), sampleOf), testPlanner(t)
	first := loadPlanned(t, dir, d, p).Plans()[0]
	again := func(p *Planner) (Plan, []string) {
		d.loads = nil
		return loadPlanned(t, dir, d, p).Plans()[0], d.loads
	}
	cached, loads := again(p)
	if cached.Source != ByCache || len(loads) != 1 {
		t.Errorf("the second load is %s, of %v", cached.Source, loads)
	}
	if cached.Source = first.Source; !cached.Measured.Equal(first.Measured) || cached.Device != first.Device || !reflect.DeepEqual(cached.Costs, first.Costs) || len(cached.Candidates) != len(first.Candidates) {
		t.Errorf("kept %+v\nread %+v", first, cached)
	}
	// Another machine measures itself.
	elsewhere := testPlanner(t)
	elsewhere.dir, elsewhere.machine = p.dir, "another machine"
	if plan, _ := again(elsewhere); plan.Source != ByMeasure {
		t.Errorf("on another machine the plan is %s", plan.Source)
	}
	// A corrupt file, an empty one and one with nonsense are as good as none.
	files, err := filepath.Glob(filepath.Join(p.dir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v %v", files, err)
	}
	for _, text := range []string{"{", "", `{"Format":1,"Plan":{"Device":"cpu","Precision":"f32","Runs":-1}}`} {
		for _, f := range files {
			if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if plan, _ := again(p); plan.Source != ByMeasure {
			t.Errorf("with a file of %q the plan is %s", text, plan.Source)
		}
		if plan, _ := again(p); plan.Source != ByCache {
			t.Errorf("after that it is %s", plan.Source)
		}
	}
	// The device of the plan is gone: measured again, without it.
	d.Machine = machine[2:]
	if plan, _ := again(p); plan.Device != "cpu" || plan.Source != ByMeasure {
		t.Errorf("without the device the plan is %s, %s", plan.Device, plan.Source)
	}
	// What was measured while other work took the processors is not kept.
	busy := testPlanner(t)
	busy.quiet = func() bool { return false }
	for range 2 {
		if plan, _ := again(busy); plan.Source != ByMeasure || !strings.Contains(plan.Note, "not kept") {
			t.Errorf("on a busy machine the plan is %s %q", plan.Source, plan.Note)
		}
	}
}

// TestPlanFallsBack holds that golden samples have the last word.
func TestPlanFallsBack(t *testing.T) {
	d := &lab{delay: openVINOQuick, skew: map[gpu.Precision]float32{}}
	d.Machine = machine
	dir, p := testDir(t, "matmul", anyDevice+fmt.Sprintf(withGoldens, admitBF16), sampleOf), testPlanner(t)
	loadPlanned(t, dir, d, p)
	d.skew[gpu.BF16] = 5 // since it was measured, a new driver
	v := loadPlanned(t, dir, d, p)
	plan := v.Plans()[0]
	if plan.Device != "cpu" || plan.Source != ByRules || !strings.Contains(v.Graphs()[0].Fallback, "golden samples are not met") {
		t.Errorf("%s %s, %q", plan.Device, plan.Source, v.Graphs()[0].Fallback)
	}
}

// TestPlanEndsWithItsLoad wants a load that is cancelled while it measures to
// end, and to leave nothing open.
func TestPlanEndsWithItsLoad(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	d := &lab{delay: func(p gpu.Placement) time.Duration {
		if p.Provider == gpu.OpenVINO {
			cancel()
		}
		return time.Millisecond
	}}
	d.Machine = machine
	_, err := Load(ctx, pipeline.Identity{Model: "m"}, testDir(t, "matmul", anyDevice, ""), LoadOptions{Loader: d, Planner: testPlanner(t)})
	if !errors.Is(err, context.Canceled) || d.Open() != 0 {
		t.Errorf("error %v, %d sessions open", err, d.Open())
	}
}

// TestTimeForChoosing holds that a choice ends when its time is over, with what
// was measured until then.
func TestTimeForChoosing(t *testing.T) {
	d := &lab{delay: func(gpu.Placement) time.Duration { return 30 * time.Millisecond }}
	d.Machine = machine
	p := testPlanner(t)
	p.small = 100 * time.Millisecond
	start := time.Now()
	plan := loadPlanned(t, testDir(t, "matmul", anyDevice, ""), d, p).Plans()[0]
	if took := plan.Took; took > 2*time.Second {
		t.Errorf("it took %v of %v", took, time.Since(start))
	}
	if !slices.ContainsFunc(plan.Candidates, func(c Candidate) bool { return strings.Contains(c.Rejected, "time for choosing") }) && plan.Source != ByRules {
		t.Errorf("%s: %+v", plan.Source, plan.Candidates)
	}
}

// sequences is the manifest of a graph that gives the meaning of axes and no
// golden samples: nobody has shown that it is true.
func sequences(inputs ...string) string {
	var text strings.Builder
	text.WriteString("graphs: {model: {file: model.onnx, inputs: {")
	for i, name := range inputs {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(name + ": {sequence_axis: 1}")
	}
	text.WriteString("}")
	if len(inputs) > 1 {
		text.WriteString(", outputs: {y: {sequence_axis: 1}}")
	}
	return text.String() + "}}\n"
}

// TestSafeByMeasurement loads graphs of which nothing is stated that golden
// samples would show.
func TestSafeByMeasurement(t *testing.T) {
	loaders := map[string]func() gpu.Loader{
		"fake":    func() gpu.Loader { return &gputest.Fake{} },
		"runtime": func() gpu.Loader { return gputest.OpenRuntime(t) },
	}
	for _, loader := range []string{"fake", "runtime"} {
		t.Run(loader, func(t *testing.T) {
			l := loaders[loader]()
			for _, c := range []struct {
				graph, manifest string
				apart, unpadded string
				longest         int
			}{
				{"matmul", "", "", "", 0},
				{"centred", "", "depends on its neighbours: \"y\" is off by", "", 0},
				{"leaky", sequences("input_ids"), "", "depends on its padding: \"y\" is off by", 512},
				{"masked", "", "", "", 512},
				{"positions", sequences("input_ids", "position_ids"), "", "", 20},
			} {
				p := testPlanner(t)
				dir := testDir(t, c.graph, c.manifest, "")
				for _, source := range []Source{ByMeasure, ByCache} {
					v := loadPlanned(t, dir, l, p)
					plan := v.Plans()[0]
					if processors() == 1 && source == ByMeasure {
						source = ByManifest // there is nothing to choose from
					}
					if plan.Source != source || plan.MaxLength != c.longest || plan.Limited != (c.longest == 20) {
						t.Errorf("%s: %s, longest %d, want %s, %d; %s", c.graph, plan.Source, plan.MaxLength, source, c.longest, plan.Note)
					}
					if !strings.Contains(plan.Apart, c.apart) || (plan.Apart == "") != (c.apart == "") {
						t.Errorf("%s is not joined: %q", c.graph, plan.Apart)
					}
					if !strings.Contains(plan.Unpadded, c.unpadded) || (plan.Unpadded == "") != (c.unpadded == "") {
						t.Errorf("%s is not padded: %q", c.graph, plan.Unpadded)
					}
					g := v.steps[0].graph
					if (g.maxRows == 1) != (c.apart != "") {
						t.Errorf("%s: %d rows a run", c.graph, g.maxRows)
					}
				}
			}
		})
	}
}

// TestPositionsAreKept holds that a device that looks up without a check gets no
// sequence beyond the model's positions.
func TestPositionsAreKept(t *testing.T) {
	on := func(devices, manifest string) string {
		return strings.Replace(manifest, "model.onnx", "model.onnx, execution: {devices: ["+devices+"]}", 1)
	}
	d := &lab{delay: openVINOQuick}
	d.Machine = machine
	v := loadPlanned(t, testDir(t, "positions", on("openvino", sequences("input_ids", "position_ids")), ""), d, testPlanner(t))
	if p := v.Plans()[0]; p.Device != "openvino:cpu" || p.LengthSteps[len(p.LengthSteps)-1] != 20 {
		t.Fatalf("plan: %+v", p)
	}
	g, err := v.Graph("")
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int64{1, 20, 21} {
		zeros, _ := tensor.New(tensor.Int64, 1, length)
		ran := false
		d.OnRun = func(context.Context, string, []tensor.Tensor) error {
			ran = true
			return nil
		}
		ok := length <= 20
		if _, err := g.Infer(context.Background(), []tensor.Tensor{zeros, zeros}); (err == nil) != ok || !ok && !errors.Is(err, gpu.ErrInput) || ran != ok {
			t.Errorf("length %d: %v, ran %t", length, err, ran)
		}
	}
	d.OnRun = nil
	// A graph that takes any length does not go where nothing would stop one.
	p := loadPlanned(t, testDir(t, "masked", on("openvino, cpu", strings.Replace(sequences("input_ids", "attention_mask"), ", outputs: {y: {sequence_axis: 1}}", "", 1)), ""), d, testPlanner(t)).Plans()[0]
	unbounded := func(c Candidate) bool { return strings.Contains(c.Rejected, "where they end is not known") }
	if p.Device != "cpu" || !slices.ContainsFunc(p.Candidates, unbounded) {
		t.Errorf("plan: %+v", p)
	}
}

// TestUnpaddedAnswers sends items of different lengths together through a graph
// that counts padding: each must answer as if alone.
func TestUnpaddedAnswers(t *testing.T) {
	hold := make(chan struct{})
	fake := &gputest.Fake{}
	v := loadPlanned(t, testDir(t, "leaky", sequences("input_ids"), ""), fake, testPlanner(t))
	fake.OnRun = func(context.Context, string, []tensor.Tensor) error {
		<-hold
		return nil
	}
	var callers sync.WaitGroup
	for i := range 40 {
		callers.Go(func() {
			ids := make([]int64, 1+i%4)
			want := float32(0)
			for k := range ids {
				ids[k] = int64((i + k) % 10)
				want += float32(ids[k] + 1)
			}
			in, err := tensor.From(ids, 1, int64(len(ids)))
			if err != nil {
				t.Error(err)
				return
			}
			g, err := v.Graph("")
			if err != nil {
				t.Error(err)
				return
			}
			out, err := g.Infer(context.Background(), []tensor.Tensor{in})
			if err != nil || tensor.View[float32](out[0])[0] != want {
				t.Errorf("ids %v: %v %v, want %v", ids, out, err, want)
			}
		})
	}
	g := v.steps[0].graph
	for deadline := time.Now().Add(10 * time.Second); g.queue.Stats().QueuedRows < 40-g.slots && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	callers.Wait()
	runs := g.tally.read().Runs
	joined := false
	for rows := range runs {
		joined = joined || rows > 1
	}
	if !joined {
		t.Errorf("no items of equal length shared a run: %v", runs)
	}
}

// TestRunWithoutRoom wants items that do not fit into a device's memory together
// to be answered alone, and one that does not fit alone to say who holds it.
func TestRunWithoutRoom(t *testing.T) {
	fake := &gputest.Fake{}
	v := loadPlanned(t, testDir(t, "matmul", "", ""), fake, testPlanner(t))
	fake.OnRun = func(_ context.Context, _ string, in []tensor.Tensor) error {
		if in[0].Rows() > 1 || tensor.View[float32](in[0])[0] < 0 {
			return &gpu.MemoryError{Device: "cuda:0", Needed: 4096, Held: []gpu.Holding{{Owner: "m@1 model", Bytes: 24}}}
		}
		return nil
	}
	var items []pipeline.Item
	for _, first := range []float32{1, 2, -1, 3} {
		in, err := tensor.From([]float32{first, 0, 0}, 1, 3)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, pipeline.Item{Inputs: []tensor.Tensor{in}, Rows: 1})
	}
	for i, a := range v.Run(context.Background(), items) {
		if i != 2 {
			if a.Err != nil {
				t.Errorf("item %d: %v", i, a.Err)
			}
			continue
		}
		if !errors.Is(a.Err, ErrNoRoom) || !errors.Is(a.Err, gpu.ErrOutOfMemory) || !strings.Contains(a.Err.Error(), "held by m@1 model (24)") {
			t.Errorf("the item that does not fit: %v", a.Err)
		}
	}
}

// TestDriftIsNotPadded wants a graph whose answers depend on their padding to be
// left unpadded also where each shape is compiled.
func TestDriftIsNotPadded(t *testing.T) {
	g := &bundle.Graph{Operators: map[bundle.Operator]int{{Type: "DynamicQuantizeLinear"}: 1}}
	for _, accepted := range []bool{false, true} {
		m := &bundlev1.Graph{Batching: &bundlev1.Batching{AllowBatchDrift: accepted}}
		op := drift(m, g)
		if (op == "") != accepted {
			t.Errorf("with allow_batch_drift %v the operator is %q", accepted, op)
		}
		p := Plan{Provider: gpu.OpenVINO, Unpadded: op, MaxLength: 128}
		p.lay(form{sequence: true, batching: m.GetBatching()})
		if (len(p.LengthSteps) > 0) != accepted {
			t.Errorf("with allow_batch_drift %v lengths are padded to %v", accepted, p.LengthSteps)
		}
	}
}
