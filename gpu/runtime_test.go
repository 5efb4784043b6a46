package gpu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/scry-ml/scry/tensor"
)

func TestOpenOnce(t *testing.T) {
	r := benchRuntime(t)
	if _, err := Open(r.config); !errors.Is(err, ErrLibrary) {
		t.Errorf("second Open: %v, want ErrLibrary", err)
	}
	s := mustLoad(t, r, Spec{Path: graphPath("matmul"), Devices: []string{CPU}})
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	x, _ := tensor.From([]float32{1, 2, 3}, 1, 3)
	if _, err := s.Run(context.Background(), []tensor.Tensor{x}); !errors.Is(err, ErrClosed) {
		t.Errorf("run in a closed runtime: %v, want ErrClosed", err)
	}
	if _, err := r.Load(context.Background(), Spec{Path: graphPath("matmul")}); !errors.Is(err, ErrClosed) {
		t.Errorf("load in a closed runtime: %v, want ErrClosed", err)
	}
	for range 3 {
		again, err := Open(r.config)
		if err != nil {
			t.Fatalf("Open after Close: %v", err)
		}
		if got := again.Version(); !strings.HasPrefix(got, "1.") {
			t.Errorf("version %q", got)
		}
		if err := again.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// TestOpenFails leaves the process able to open a good library.
func TestOpenFails(t *testing.T) {
	text := filepath.Join(t.TempDir(), "libonnxruntime.so")
	write(t, text, "not a library")
	for _, library := range []string{"", "/absent/libonnxruntime.so", text, "/proc/self/exe"} {
		_, err := Open(Config{Library: library})
		if !errors.Is(err, ErrLibrary) {
			t.Errorf("Open(%q): %v, want ErrLibrary", library, err)
			continue
		}
		if strings.Contains(err.Error(), "/") {
			t.Errorf("the error shows a path: %v", err)
		}
	}
	r := benchRuntime(t)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestMissingProviders: what is configured but not there is a reason, not an
// error.
func TestMissingProviders(t *testing.T) {
	r := benchRuntime(t)
	c := r.config
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "plugin.so")
	write(t, broken, "not a library")
	for _, plugin := range []string{"", "/absent/plugin.so", broken} {
		c.OpenVINO = plugin
		r, err := Open(c)
		if err != nil {
			t.Fatalf("plugin %q: %v", plugin, err)
		}
		s := mustLoad(t, r, Spec{Path: graphPath("matmul"), AllowOpenVINO: true})
		p := s.Placement()
		if p.Device != CPU || !strings.Contains(p.FallbackReason, "openvino:cpu: the OpenVINO plugin") {
			t.Errorf("plugin %q: placed on %s because of %q", plugin, p.Device, p.FallbackReason)
		}
		if strings.Contains(p.FallbackReason, "/") {
			t.Errorf("the reason shows a path: %s", p.FallbackReason)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTooLarge offers a model of 2^42 bytes, in a sparse file.
func TestTooLarge(t *testing.T) {
	r := benchRuntime(t)
	data, err := os.ReadFile(graphPath("matmul"))
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 42
	data = protowire.AppendTag(data, 1000, protowire.BytesType)
	data = protowire.AppendVarint(data, uint64(size-len(data)-protowire.SizeVarint(size-1)))
	path := filepath.Join(t.TempDir(), "large.onnx")
	write(t, path, string(data))
	if err := os.Truncate(path, size); err != nil {
		t.Skip(err)
	}
	_, err = r.Load(context.Background(), Spec{Path: path, AllowOpenVINO: true})
	var memory *MemoryError
	if !errors.Is(err, ErrOutOfMemory) || !errors.As(err, &memory) {
		t.Fatalf("%v, want a MemoryError", err)
	}
	if memory.Needed < size || memory.Available <= 0 || memory.Available >= size || memory.Device != CPU {
		t.Errorf("%+v", memory)
	}
}

// TestLoadsAtOnce loads, runs and closes sessions from many goroutines while
// the runtime closes.
func TestLoadsAtOnce(t *testing.T) {
	r := benchRuntime(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 50 {
				s, err := r.Load(context.Background(), Spec{Path: graphPath("matmul"), Devices: []string{CPU}, Threads: 1})
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				x, _ := tensor.From([]float32{1, 2, 3}, 1, 3)
				if _, err := s.Run(context.Background(), []tensor.Tensor{x}); err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
				if i%2 == 0 {
					_ = s.Close()
				}
				if i == 30 {
					_ = r.Close()
				}
			}
		})
	}
	wg.Wait()
}

// TestAllocations bounds the garbage of a run: the list of outputs, a shape and
// the data of the one output.
func TestAllocations(t *testing.T) {
	r := benchRuntime(t)
	s := mustLoad(t, r, Spec{Path: graphPath("mlp"), Devices: []string{CPU}, Threads: 1})
	x, _ := tensor.New(tensor.Float32, 1, 32)
	in := []tensor.Tensor{x}
	if _, err := s.Run(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() { _, _ = s.Run(context.Background(), in) })
	if n > 3 {
		t.Errorf("%v allocations a run, want at most 3", n)
	}
}

// chain writes a graph of n additions, which takes ONNX Runtime long to load.
func chain(t *testing.T, n int) string {
	t.Helper()
	field := func(to []byte, number protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), value)
	}
	number := func(to []byte, n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(to, n, protowire.VarintType), v)
	}
	name := func(i int) []byte { return []byte("x" + strconv.Itoa(i)) }
	var graph []byte
	for i := range n {
		node := field(field(field(field(nil, 1, name(i)), 1, name(0)), 2, name(i+1)), 4, []byte("Add"))
		graph = field(graph, 1, node)
	}
	graph = field(graph, 2, []byte("chain"))
	shape := field(nil, 1, number(nil, 1, 1))                        // one axis of 1
	kind := field(nil, 1, field(number(nil, 1, 1), 2, shape))        // float32
	graph = field(graph, 11, field(field(nil, 1, name(0)), 2, kind)) // input
	graph = field(graph, 12, field(field(nil, 1, name(n)), 2, kind)) // output
	model := field(number(nil, 1, 8), 8, number(nil, 2, 17))         // IR version 8, opset 17
	path := filepath.Join(t.TempDir(), "chain.onnx")
	write(t, path, string(field(model, 7, graph)))
	return path
}

// TestLoadEnds: a load returns when its context ends, and Close waits for what
// ONNX Runtime is still doing.
func TestLoadEnds(t *testing.T) {
	r := benchRuntime(t)
	path := chain(t, 8_000)
	start := time.Now()
	s, err := r.Load(context.Background(), Spec{Path: path, AllowOpenVINO: true})
	if err != nil {
		t.Fatal(err)
	}
	whole := time.Since(start)
	if why := s.Placement().FallbackReason; s.Placement().Device != CPU || r.config.OpenVINO != "" && !strings.Contains(why, "operators") {
		t.Errorf("placed on %s because of %q", s.Placement().Device, why)
	}
	cause := errors.New("not wanted any more")
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(whole/20, func() { cancel(cause) })
	start = time.Now()
	if _, err := r.Load(ctx, Spec{Path: path, Devices: []string{CPU}}); !errors.Is(err, cause) {
		t.Errorf("ended load: %v, want the context's cause", err)
	}
	if took := time.Since(start); took > whole*3/4 {
		t.Errorf("it took %v to return, the whole load takes %v", took, whole)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
