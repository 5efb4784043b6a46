package gputest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/tensor"
)

// secret matches what no error may show: paths of the host, C++ sources and
// stack texts.
var secret = regexp.MustCompile(`(^|[\s"'(=:])/[\w.-]+/|\.(cc|cpp|cu|h|hpp):\d+|onnxruntime_src|::|\[with |Stacktrace|hostname`)

func noSecrets(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if found := secret.FindString(err.Error()); found != "" {
		t.Errorf("the error shows %q: %v", found, err)
	}
	if dir := os.TempDir(); strings.Contains(err.Error(), dir+"/") {
		t.Errorf("the error shows a path: %v", err)
	}
}

func (s suite) wrongInputs(t *testing.T) {
	matmul, fixed, types := s.load(t, "matmul"), s.load(t, "fixed"), s.load(t, "types")
	good := of(t, []float32{1, 2, 3}, 1, 3)
	badBool := everyInput(t, 1, 1)
	badBool[12].Data = []byte{2}
	for _, c := range []struct {
		name    string
		session gpu.Session
		in      []tensor.Tensor
		says    []string
	}{
		{"none", matmul, nil, []string{"0 tensors for 1 inputs"}},
		{"too many", matmul, []tensor.Tensor{good, good}, []string{"2 tensors for 1 inputs"}},
		{"type", matmul, []tensor.Tensor{of(t, []float64{1, 2, 3}, 1, 3)}, []string{`"x"`, "float64", "float32"}},
		{"rank", matmul, []tensor.Tensor{of(t, []float32{1, 2, 3}, 3)}, []string{`"x"`, "[3]", "[-1,3]"}},
		{"axis", matmul, []tensor.Tensor{of(t, []float32{1, 2, 3, 4}, 1, 4)}, []string{`"x"`, "axis 1", "4", "3"}},
		{"fixed batch", fixed, []tensor.Tensor{good}, []string{`"x"`, "axis 0", "1", "2"}},
		{"short data", matmul, []tensor.Tensor{{DType: tensor.Float32, Shape: tensor.Shape{1, 3}, Data: make([]byte, 11)}}, []string{`"x"`, "11 bytes"}},
		{"no data", matmul, []tensor.Tensor{{DType: tensor.Float32, Shape: tensor.Shape{1, 3}}}, []string{`"x"`}},
		{"negative", matmul, []tensor.Tensor{{DType: tensor.Float32, Shape: tensor.Shape{-1, 3}}}, []string{`"x"`}},
		{"huge", matmul, []tensor.Tensor{{DType: tensor.Float32, Shape: tensor.Shape{1 << 62, 3}}}, []string{`"x"`}},
		{"invalid", matmul, []tensor.Tensor{{}}, []string{`"x"`, "invalid"}},
		{"bool", types, badBool, []string{`"bool"`, "bool element"}},
	} {
		_, err := c.session.Run(t.Context(), c.in)
		if !errors.Is(err, gpu.ErrInput) {
			t.Errorf("%s: %v, want ErrInput", c.name, err)
			continue
		}
		for _, want := range c.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", c.name, err, want)
			}
		}
	}
}

// wrongValues fit the signature but not the graph.
func (s suite) wrongValues(t *testing.T) {
	gather := s.load(t, "gather")
	if p := gather.Placement().Provider; p == gpu.CUDA || p == gpu.OpenVINO {
		t.Skip("the kernels of " + p + " do not check indices: the caller must")
	}
	_, err := gather.Run(t.Context(), []tensor.Tensor{of(t, []int64{1, 10}, 1, 2)})
	if !errors.Is(err, gpu.ErrRun) {
		t.Fatalf("index beyond the table: %v, want ErrRun", err)
	}
	noSecrets(t, err)
	out := run(t, gather, of(t, []int64{9, -10}, 1, 2))
	near(t, "y", out[0], of(t, []float32{18, 19, 0, 1}, 1, 2, 2), s.Tolerance)
}

// outOfMemory asks for more than any machine has, and then for a little.
func (s suite) outOfMemory(t *testing.T) {
	grow := s.load(t, "grow")
	if grow.Placement().Provider == gpu.OpenVINO {
		t.Skip("OpenVINO answers with an empty tensor when a shape is beyond memory")
	}
	_, err := grow.Run(t.Context(), []tensor.Tensor{of(t, []int64{1 << 42}, 1)})
	if !errors.Is(err, gpu.ErrOutOfMemory) {
		t.Errorf("16 TiB: %v, want ErrOutOfMemory", err)
	}
	noSecrets(t, err)
	var memory *gpu.MemoryError
	if errors.As(err, &memory) && memory.Needed != 0 && memory.Needed < 1<<44 {
		t.Errorf("16 TiB are told as %d bytes", memory.Needed)
	}
	same(t, "y", run(t, grow, of(t, []int64{3}, 1))[0], of(t, []float32{0, 0, 0}, 3))
}

func (s suite) badModels(t *testing.T) {
	whole, err := graphs.ReadFile("testdata/matmul.onnx")
	if err != nil {
		t.Fatal(err)
	}
	withoutData := filepath.Join(t.TempDir(), "external.onnx")
	data, err := graphs.ReadFile("testdata/external.onnx")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"empty", nil},
		{"text", []byte("this is no model\n")},
		{"zeros", make([]byte, 1000)},
		{"cut", whole[:len(whole)-20]},
		{"unknown operator", []byte(strings.Replace(string(whole), "MatMul", "MatMut", 1))},
		{"truncated weights", []byte(strings.Replace(string(whole), "\x4a\x18", "\x4a\x10", 1))},
	} {
		path := filepath.Join(t.TempDir(), "model.onnx")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		s.refused(t, c.name, path)
	}
	if err := os.WriteFile(withoutData, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s.refused(t, "no external data", withoutData)

	outside := filepath.Join(t.TempDir(), "outside.onnx")
	elsewhere := strings.Replace(string(data), "external.bin", "../etc/hosts", 1)
	if err := os.WriteFile(outside, []byte(elsewhere), 0o600); err != nil {
		t.Fatal(err)
	}
	s.refused(t, "external data outside", outside)
	s.refused(t, "missing", filepath.Join(t.TempDir(), "absent.onnx"))
	s.refused(t, "directory", t.TempDir())
}

func (s suite) refused(t *testing.T, name, path string) {
	t.Helper()
	session, err := s.Loader.Load(t.Context(), s.spec(path))
	if err == nil {
		_ = session.Close()
	}
	if !errors.Is(err, gpu.ErrModel) {
		t.Errorf("%s: %v, want ErrModel", name, err)
	}
	noSecrets(t, err)
}

// sequences: an output that is no tensor is refused when it is wanted.
func (s suite) sequences(t *testing.T) {
	spec := s.spec(Graph(t, "zipmap"))
	_, err := s.Loader.Load(t.Context(), spec)
	if !errors.Is(err, gpu.ErrModel) || !strings.Contains(err.Error(), `"maps"`) || !strings.Contains(err.Error(), "zipmap") {
		t.Errorf("ZipMap: %v, want ErrModel that names the output and the way out", err)
	}
	spec.Outputs = []string{"y"}
	out := run(t, s.loadSpec(t, spec), of(t, []float32{-1, 0.75}, 1, 2))
	near(t, "y", out[0], of(t, []float32{0, 0.75}, 1, 2), s.Tolerance)
}

func (s suite) loadCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Loader.Load(ctx, s.spec(Graph(t, "matmul"))); !errors.Is(err, context.Canceled) {
		t.Errorf("load with an ended context: %v, want context.Canceled", err)
	}
}
