// Package gputest holds the conformance suite that every gpu.Loader passes, the
// small graphs that it uses, and a fake Loader for tests that must run without
// ONNX Runtime.
package gputest

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/tensor"
)

// Target is an implementation under test.
type Target struct {
	// Loader is used by all tests and is not closed by them.
	Loader gpu.Loader
	// Devices go into every Spec; the first must be where plain graphs run.
	Devices []string
	// Precision is admitted in every Spec, and must be what plain graphs get.
	Precision gpu.Precision
	// Tolerance is the relative error allowed in products; 0 means 1e-6.
	Tolerance float64
}

//go:embed testdata/*.onnx testdata/external.bin
var graphs embed.FS

// Graph writes one of the suite's graphs (testdata/make.py says what they
// compute) to a directory of its own and returns its path.
func Graph(t testing.TB, name string) string {
	t.Helper()
	dir := t.TempDir()
	files := []string{name + ".onnx"}
	if name == "external" {
		files = append(files, "external.bin")
	}
	for _, f := range files {
		data, err := graphs.ReadFile("testdata/" + f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

// Run checks everything that gpu.Loader and gpu.Session promise.
func Run(t *testing.T, target Target) {
	if target.Tolerance == 0 {
		target.Tolerance = 1e-6
	}
	if target.Precision == "" {
		target.Precision = gpu.F32
	}
	s := suite{target}
	for _, c := range []struct {
		name string
		f    func(*testing.T)
	}{
		{"Devices", s.devices},
		{"Signature", s.signature},
		{"Placement", s.placement},
		{"Fallback", s.fallback},
		{"Outputs", s.outputs},
		{"Elementwise", s.elementwise},
		{"MatMul", s.matmul},
		{"DynamicBatch", s.dynamicBatch},
		{"ZeroRows", s.zeroRows},
		{"Strings", s.strings},
		{"Dictionaries", s.dictionaries},
		{"EveryType", s.everyType},
		{"Scalars", s.scalars},
		{"Float16", func(t *testing.T) { s.halves(t, "float16", tensor.Float16, tensor.Float32ToFloat16) }},
		{"BFloat16", func(t *testing.T) { s.halves(t, "bfloat16", tensor.BFloat16, tensor.Float32ToBFloat16) }},
		{"SeveralOutputs", s.severalOutputs},
		{"UnknownShapes", s.unknownShapes},
		{"FalseShapes", s.falseShapes},
		{"UnknownRank", s.unknownRank},
		{"Unaligned", s.unaligned},
		{"ExternalData", s.externalData},
		{"WrongInputs", s.wrongInputs},
		{"WrongValues", s.wrongValues},
		{"InputsAreOnlyRead", s.inputsAreOnlyRead},
		{"OutOfMemory", s.outOfMemory},
		{"BadModels", s.badModels},
		{"Sequences", s.sequences},
		{"Terminate", s.terminate},
		{"TerminateThenRun", s.terminateThenRun},
		{"LoadCancelled", s.loadCancelled},
		{"Concurrent", s.concurrent},
		{"CloseWaits", s.closeWaits},
		{"RunAfterClose", s.runAfterClose},
	} {
		t.Run(c.name, c.f)
	}
}

type suite struct{ Target }

func (s suite) spec(path string) gpu.Spec {
	return gpu.Spec{Path: path, Devices: s.Target.Devices, Precision: s.Precision}
}

// load loads a graph of the suite and closes it after the test.
func (s suite) load(t *testing.T, name string) gpu.Session {
	t.Helper()
	return s.loadSpec(t, s.spec(Graph(t, name)))
}

func (s suite) loadSpec(t *testing.T, spec gpu.Spec) gpu.Session {
	t.Helper()
	session, err := s.Loader.Load(t.Context(), spec)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return session
}

func run(t *testing.T, s gpu.Session, in ...tensor.Tensor) []tensor.Tensor {
	t.Helper()
	out, err := s.Run(t.Context(), in)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	if want := len(s.Signature().Outputs); len(out) != want {
		t.Fatalf("%d outputs, want %d", len(out), want)
	}
	for i, o := range out {
		if err := o.Validate(); err != nil {
			t.Fatalf("output %d: %v", i, err)
		}
	}
	return out
}

// of makes a tensor or ends the test.
func of[T tensor.Element](t testing.TB, values []T, shape ...int64) tensor.Tensor {
	t.Helper()
	x, err := tensor.From(values, shape...)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func texts(t testing.TB, values []string, shape ...int64) tensor.Tensor {
	t.Helper()
	x, err := tensor.FromStrings(values, shape...)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// same fails unless got has the type, the shape and exactly the data of want.
func same(t *testing.T, what string, got, want tensor.Tensor) {
	t.Helper()
	if got.DType != want.DType || !got.Shape.Equal(want.Shape) {
		t.Fatalf("%s is %v%v, want %v%v", what, got.DType, got.Shape, want.DType, want.Shape)
	}
	if !bytes.Equal(got.Data, want.Data) {
		t.Fatalf("%s = % x, want % x", what, got.Data, want.Data)
	}
	for i := range want.Strings {
		if got.Strings[i] != want.Strings[i] {
			t.Fatalf("%s[%d] = %q, want %q", what, i, got.Strings[i], want.Strings[i])
		}
	}
}

// near is same within a relative error.
func near(t *testing.T, what string, got, want tensor.Tensor, tolerance float64) {
	t.Helper()
	if got.DType != want.DType || !got.Shape.Equal(want.Shape) {
		t.Fatalf("%s is %v%v, want %v%v", what, got.DType, got.Shape, want.DType, want.Shape)
	}
	g, w := got.Float32s(), want.Float32s()
	for i := range w {
		if math.Abs(float64(g[i]-w[i])) > tolerance*math.Max(1, math.Abs(float64(w[i]))) {
			t.Fatalf("%s[%d] = %v, want %v within %g", what, i, g[i], w[i], tolerance)
		}
	}
}

func (s suite) devices(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range s.Loader.Devices() {
		if d.ID == "" || d.Provider == "" || !strings.HasPrefix(d.ID, d.Provider) {
			t.Errorf("device %+v has no proper ID", d)
		}
		if seen[d.ID] {
			t.Errorf("device %s is listed twice", d.ID)
		}
		seen[d.ID] = true
		if d.Available == (d.Reason != "") {
			t.Errorf("device %s: available %t with the reason %q", d.ID, d.Available, d.Reason)
		}
		if d.Available && (len(d.Precisions) == 0 || d.Precisions[0] != gpu.F32) {
			t.Errorf("device %s offers %v, want f32 first", d.ID, d.Precisions)
		}
		noSecrets(t, errors.New(d.Reason))
	}
	if !seen[s.Target.Devices[0]] {
		t.Errorf("the device under test, %s, is not listed", s.Target.Devices[0])
	}
}

func (s suite) signature(t *testing.T) {
	sig := s.load(t, "gather").Signature()
	want := gpu.Signature{
		Inputs:  []gpu.Value{{Name: "ids", DType: tensor.Int64, Shape: tensor.Shape{-1, -1}}},
		Outputs: []gpu.Value{{Name: "y", DType: tensor.Float32, Shape: tensor.Shape{-1, -1, 2}}},
	}
	if fmt.Sprintf("%v", sig) != fmt.Sprintf("%v", want) {
		t.Errorf("gather: %v, want %v", sig, want)
	}
	if in := s.load(t, "scalars").Signature().Inputs[0]; in.Shape == nil || len(in.Shape) != 0 {
		t.Errorf("a scalar has the shape %#v, want an empty one", in.Shape)
	}
	if in := s.load(t, "norank").Signature().Inputs[0]; in.Shape != nil {
		t.Errorf("an input of unknown rank has the shape %#v, want nil", in.Shape)
	}
}

func (s suite) placement(t *testing.T) {
	p := s.load(t, "matmul").Placement()
	if p.Device != s.Target.Devices[0] || p.Precision != s.Precision {
		t.Errorf("placed on %s with %s, want %s with %s", p.Device, p.Precision, s.Target.Devices[0], s.Precision)
	}
	if p.FallbackReason != "" {
		t.Errorf("the first choice has the fall-back reason %q", p.FallbackReason)
	}
	if p.Nodes > 0 && p.NodesOnDevice == 0 {
		t.Errorf("no node of %d runs on the device", p.Nodes)
	}
}

func (s suite) fallback(t *testing.T) {
	spec := s.spec(Graph(t, "matmul"))
	spec.Devices = append([]string{"abacus:0"}, spec.Devices...)
	p := s.loadSpec(t, spec).Placement()
	if p.Device != s.Target.Devices[0] || !strings.Contains(p.FallbackReason, "abacus:0") {
		t.Errorf("placed on %s because of %q", p.Device, p.FallbackReason)
	}
	spec.Devices = []string{"abacus:0"}
	if _, err := s.Loader.Load(t.Context(), spec); !errors.Is(err, gpu.ErrNoDevice) {
		t.Errorf("with no device: %v, want ErrNoDevice", err)
	}
}

func (s suite) outputs(t *testing.T) {
	spec := s.spec(Graph(t, "multi"))
	spec.Outputs = []string{"total", "rows"}
	session := s.loadSpec(t, spec)
	out := run(t, session, of(t, []float32{1, 2, 3, 4}, 2, 2))
	near(t, "total", out[0], of(t, []float32{10}), s.Tolerance)
	near(t, "rows", out[1], of(t, []float32{3, 7}, 2), s.Tolerance)

	spec.Outputs = []string{"absent"}
	if _, err := s.Loader.Load(t.Context(), spec); !errors.Is(err, gpu.ErrModel) || !strings.Contains(err.Error(), "absent") {
		t.Errorf("unknown output: %v", err)
	}
}

func (s suite) elementwise(t *testing.T) {
	x := of(t, []float32{1, 2, 3, 4, 5, 6, 7, 8}, 2, 4)
	y := of(t, []float32{8, 7, 6, 5, 4, 3, 2, -8}, 2, 4)
	near(t, "sum", run(t, s.load(t, "add"), x, y)[0], of(t, []float32{9, 9, 9, 9, 9, 9, 9, 0}, 2, 4), s.Tolerance)
}

func (s suite) matmul(t *testing.T) {
	x := of(t, []float32{1, 2, 3, -1, 0.5, 0}, 2, 3)
	want := of(t, []float32{22.5, 27.5, 1, -0.5}, 2, 2)
	near(t, "y", run(t, s.load(t, "matmul"), x)[0], want, s.Tolerance)
}

// dynamicBatch runs many batch sizes and holds each row to its answer alone.
func (s suite) dynamicBatch(t *testing.T) {
	session := s.load(t, "matmul")
	for _, n := range []int64{1, 2, 7, 64, 3, 1} {
		x, err := tensor.New(tensor.Float32, n, 3)
		if err != nil {
			t.Fatal(err)
		}
		v := tensor.View[float32](x)
		for i := range v {
			v[i] = float32(i%11) / 4
		}
		y := run(t, session, x)[0]
		if !y.Shape.Equal(tensor.Shape{n, 2}) {
			t.Fatalf("%d rows gave %v", n, y.Shape)
		}
		for _, i := range []int64{0, n - 1} {
			row, _ := x.Slice(i, i+1)
			together, _ := y.Slice(i, i+1)
			near(t, "row", together, run(t, session, row)[0], s.Tolerance)
		}
	}
}

func (s suite) zeroRows(t *testing.T) {
	out := run(t, s.load(t, "matmul"), of(t, []float32{}, 0, 3))
	same(t, "matmul", out[0], of(t, []float32{}, 0, 2))
	for _, name := range []string{"float16", "bfloat16"} {
		session := s.load(t, name)
		x, err := tensor.New(session.Signature().Inputs[0].DType, 0, 3)
		if err != nil {
			t.Fatal(err)
		}
		same(t, name, run(t, session, x)[0], x)
	}
	out = run(t, s.load(t, "labels"), texts(t, []string{}, 0, 1))
	same(t, "id", out[0], of(t, []int64{}, 0, 1))
	same(t, "echo", out[1], texts(t, []string{}, 0, 1))
}

func (s suite) strings(t *testing.T) {
	session := s.load(t, "labels")
	in := []string{"yes", "no", "ещё", "", "yes\x00", "unknown", strings.Repeat("long ", 10_000), "\U0001F600"}
	out := run(t, session, texts(t, in, int64(len(in)), 1))
	same(t, "id", out[0], of(t, []int64{1, 0, 7, -1, -1, -1, -1, -1}, int64(len(in)), 1))
	same(t, "echo", out[1], texts(t, in, int64(len(in)), 1))

	empty := []string{"", ""}
	same(t, "echo", run(t, session, texts(t, empty, 2, 1))[1], texts(t, empty, 2, 1))
}

// dictionaries runs one session on dictionaries of many kinds, one after the
// other: none may see the strings of another.
func (s suite) dictionaries(t *testing.T) {
	session := s.load(t, "labels")
	long := strings.Repeat("long ", 10_000)
	for _, c := range []struct {
		dictionary []string
		codes      []uint32
	}{
		{[]string{"yes", "no", "ещё"}, []uint32{0, 1, 2, 2, 1, 0}},
		{[]string{"no", "yes"}, []uint32{0, 1, 0, 1, 1, 1}},           // the same shape
		{[]string{"", "a category of many bytes"}, []uint32{1, 0, 1}}, // another
		{[]string{"", "yes"}, []uint32{0, 0, 1}},
		{[]string{"yes", long}, []uint32{0, 1, 0}},
		{[]string{"yes\x00", "yes"}, []uint32{0, 1, 0}},
		{[]string{"never", "no", "used", "so", "many"}, []uint32{1}},
		{[]string{"yes", "no"}, []uint32{}},
	} {
		x, err := tensor.FromDictionary(c.dictionary, c.codes, int64(len(c.codes)), 1)
		if err != nil {
			t.Fatal(err)
		}
		want := run(t, session, x.Plain())
		for i, got := range run(t, session, x) {
			same(t, fmt.Sprintf("%.40q output %d", c.dictionary, i), got, want[i])
		}
		if x.Codes == nil {
			t.Error("the caller's tensor was changed")
		}
	}
	bad := tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{2, 1}, Strings: []string{"yes"}, Codes: []uint32{0, 1}}
	if _, err := session.Run(t.Context(), []tensor.Tensor{bad}); !errors.Is(err, gpu.ErrInput) {
		t.Errorf("a place beyond the dictionary: %v", err)
	}
}

func bits(t testing.TB, dtype tensor.DType, values []uint16, shape ...int64) tensor.Tensor {
	t.Helper()
	x, err := tensor.FromBits(dtype, values, shape...)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// everyInput are the inputs of the graphs "types" and "scalars": the first n
// of three hard values of each type.
func everyInput(t testing.TB, n int, shape ...int64) []tensor.Tensor {
	return []tensor.Tensor{
		of(t, []float32{-1.5, math.MaxFloat32, 1e-45}[:n], shape...),
		of(t, []float64{math.Pi, -math.MaxFloat64, 5e-324}[:n], shape...),
		bits(t, tensor.Float16, []uint16{0x3c01, 0xfbff, 0x0001}[:n], shape...),
		bits(t, tensor.BFloat16, []uint16{0x3f81, 0xff7f, 0x0001}[:n], shape...),
		of(t, []int8{-128, 127, 1}[:n], shape...),
		of(t, []int16{-32768, 32767, 1}[:n], shape...),
		of(t, []int32{math.MinInt32, math.MaxInt32, 1}[:n], shape...),
		of(t, []int64{math.MinInt64, math.MaxInt64, 1<<53 + 1}[:n], shape...),
		of(t, []uint8{255, 0, 1}[:n], shape...),
		of(t, []uint16{65535, 0, 1}[:n], shape...),
		of(t, []uint32{math.MaxUint32, 0, 1}[:n], shape...),
		of(t, []uint64{math.MaxUint64, 0, 1<<53 + 1}[:n], shape...),
		of(t, []bool{true, false, true}[:n], shape...),
		texts(t, []string{"Ω", "", "b"}[:n], shape...),
	}
}

func (s suite) everyType(t *testing.T) {
	session := s.load(t, "types")
	for n := range 4 {
		in := everyInput(t, n, int64(n))
		for i, out := range run(t, session, in...) {
			same(t, session.Signature().Outputs[i].Name, out, in[i])
		}
	}
}

func (s suite) scalars(t *testing.T) {
	session := s.load(t, "scalars")
	in := everyInput(t, 1)
	for i, out := range run(t, session, in...) {
		same(t, session.Signature().Outputs[i].Name, out, in[i])
	}
}

func (s suite) halves(t *testing.T, graph string, dtype tensor.DType, round func(float32) uint16) {
	var x, y []uint16
	for _, v := range []float32{0, 1, -2.5, 0.125, 96, -0.0078125} {
		x, y = append(x, round(v)), append(y, round(2*v))
	}
	out := run(t, s.load(t, graph), bits(t, dtype, x, 2, 3))
	near(t, "y", out[0], bits(t, dtype, y, 2, 3), s.Tolerance)
}

func (s suite) severalOutputs(t *testing.T) {
	out := run(t, s.load(t, "multi"), of(t, []float32{1, 2, 3, 4, 6, 5}, 2, 3))
	near(t, "rows", out[0], of(t, []float32{6, 15}, 2), s.Tolerance)
	near(t, "max", out[1], of(t, []float32{3, 6}, 2, 1), s.Tolerance)
	near(t, "total", out[2], of(t, []float32{21}), s.Tolerance)
}

func (s suite) unknownShapes(t *testing.T) {
	session := s.load(t, "filter")
	for _, c := range []struct{ in, want []float32 }{
		{[]float32{1, -1, 2, 0, 3}, []float32{1, 2, 3}},
		{[]float32{-1, -2}, []float32{}},
		{[]float32{4}, []float32{4}},
	} {
		out := run(t, session, of(t, c.in, int64(len(c.in))))
		n := int64(len(c.want))
		near(t, "y", out[0], of(t, c.want, n), s.Tolerance)
		half := make([]uint16, n)
		for i, v := range c.want {
			half[i] = tensor.Float32ToFloat16(v)
		}
		same(t, "y16", out[1], bits(t, tensor.Float16, half, n))
	}
}

// falseShapes runs a graph whose output is as long as it declares for a while,
// and then is not.
func (s suite) falseShapes(t *testing.T) {
	session := s.load(t, "liar")
	for i, c := range []struct{ in, y, twice []float32 }{
		{[]float32{1, 2}, []float32{1, 2}, []float32{2, 4}},
		{[]float32{3, 4, 5}, []float32{3, 4, 5}, []float32{6, 8, 10}},
		{[]float32{1, -1, 2, 0, 3}, []float32{1, 2, 3}, []float32{2, -2, 4, 0, 6}},
		{[]float32{-1, 7}, []float32{7}, []float32{-2, 14}},
		{[]float32{5, 6}, []float32{5, 6}, []float32{10, 12}},
		{[]float32{-5}, []float32{}, []float32{-10}},
	} {
		out := run(t, session, of(t, c.in, int64(len(c.in))))
		near(t, fmt.Sprintf("run %d: y", i), out[0], of(t, c.y, int64(len(c.y))), s.Tolerance)
		near(t, fmt.Sprintf("run %d: twice", i), out[1], of(t, c.twice, int64(len(c.twice))), s.Tolerance)
	}
}

func (s suite) unknownRank(t *testing.T) {
	session := s.load(t, "norank")
	near(t, "y", run(t, session, of(t, []float32{-1, 2}, 2))[0], of(t, []float32{0, 2}, 2), s.Tolerance)
	near(t, "y", run(t, session, of(t, []float32{-1, 2}, 1, 1, 2))[0], of(t, []float32{0, 2}, 1, 1, 2), s.Tolerance)
	axes := make([]int64, 40)
	for i := range axes {
		axes[i] = 1
	}
	if _, err := session.Run(t.Context(), []tensor.Tensor{of(t, []float32{1}, axes...)}); !errors.Is(err, gpu.ErrInput) {
		t.Errorf("40 axes: %v, want ErrInput", err)
	}
}

// unaligned feeds data that begins at an odd address, as network buffers do.
func (s suite) unaligned(t *testing.T) {
	session := s.load(t, "matmul")
	x := of(t, []float32{1, 2, 3}, 1, 3)
	buffer := make([]byte, len(x.Data)+8)
	for offset := range 8 {
		copy(buffer[offset:], x.Data)
		odd := tensor.Tensor{DType: x.DType, Shape: x.Shape, Data: buffer[offset : offset+len(x.Data)]}
		near(t, "y", run(t, session, odd)[0], of(t, []float32{22.5, 27.5}, 1, 2), s.Tolerance)
	}
}

func (s suite) externalData(t *testing.T) {
	x := of(t, []float32{1, 1, 1, 2}, 1, 4)
	near(t, "y", run(t, s.load(t, "external"), x)[0], of(t, []float32{1, 2, 3, 8}, 1, 4), s.Tolerance)
}

func (s suite) inputsAreOnlyRead(t *testing.T) {
	x := of(t, []float32{-1, 2, -3, 4, -5, 6}, 2, 3)
	before := bytes.Clone(x.Data)
	y := run(t, s.load(t, "fixed"), x)[0]
	if !bytes.Equal(x.Data, before) {
		t.Error("the run has changed its input")
	}
	clear(x.Data)
	near(t, "y", y, of(t, []float32{0, 2, 0, 4, 0, 6}, 2, 3), s.Tolerance)
}

// concurrent runs one session from many goroutines, each with its own answer.
func (s suite) concurrent(t *testing.T) {
	session := s.load(t, "matmul")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				v := float32(g*100 + i)
				x, _ := tensor.From([]float32{v, 0, 0}, 1, 3)
				out, err := session.Run(context.Background(), []tensor.Tensor{x})
				if err != nil {
					t.Error(err)
					return
				}
				got, want := tensor.View[float32](out[0])[0], v+0.5
				if math.Abs(float64(got-want)) > math.Max(s.Tolerance, 1e-6)*math.Max(1, float64(want)) {
					t.Errorf("row of %v answered with %v", v, got)
					return
				}
			}
		})
	}
	wg.Wait()
}

// endless are the inputs of "loop" for a run of about 10^18 steps.
func endless(t *testing.T) []tensor.Tensor {
	return []tensor.Tensor{of(t, []int64{1 << 60}), of(t, []float32{1}, 1)}
}

func (s suite) terminate(t *testing.T) {
	session := s.load(t, "loop")
	near(t, "v", run(t, session, of(t, []int64{10}), of(t, []float32{0.5}, 1))[0], of(t, []float32{5}, 1), s.Tolerance)

	cause := errors.New("the caller went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	start := time.Now()
	_, err := session.Run(ctx, endless(t))
	if !errors.Is(err, gpu.ErrTerminated) || !errors.Is(err, cause) {
		t.Errorf("ended run: %v, want ErrTerminated with the cause", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v to end", took)
	}
	if _, err := session.Run(ctx, endless(t)); !errors.Is(err, gpu.ErrTerminated) {
		t.Errorf("run with an ended context: %v, want ErrTerminated", err)
	}
}

// terminateThenRun makes sure that an ended run leaves nothing behind.
func (s suite) terminateThenRun(t *testing.T) {
	session := s.load(t, "loop")
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := session.Run(ctx, endless(t)); !errors.Is(err, gpu.ErrTerminated) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("timed out run: %v", err)
		}
		cancel()
		near(t, "v", run(t, session, of(t, []int64{4}), of(t, []float32{2}, 1))[0], of(t, []float32{8}, 1), s.Tolerance)
	}
}

func (s suite) closeWaits(t *testing.T) {
	session := s.load(t, "loop")
	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan error, 1)
	go func() {
		_, err := session.Run(ctx, endless(t))
		running <- err
	}()
	time.Sleep(20 * time.Millisecond)
	closed := make(chan error, 1)
	go func() { closed <- session.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("Close returned (%v) while a run was in progress", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := <-running; !errors.Is(err, gpu.ErrTerminated) {
		t.Errorf("the run ended with %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (s suite) runAfterClose(t *testing.T) {
	session := s.load(t, "matmul")
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := session.Run(t.Context(), []tensor.Tensor{of(t, []float32{1, 2, 3}, 1, 3)})
	if !errors.Is(err, gpu.ErrClosed) {
		t.Errorf("run after Close: %v, want ErrClosed", err)
	}
	if err := session.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
