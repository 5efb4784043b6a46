package gpu

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/scry-ml/scry/tensor"
)

// benchRuntime opens ONNX Runtime for the tests inside this package, which
// cannot import gputest.
func benchRuntime(tb testing.TB) *Runtime {
	tb.Helper()
	dir := os.Getenv("SCRY_RUNTIME_DIR")
	if dir == "" {
		dir = filepath.Join("..", ".runtime")
	}
	c := FindRuntime(dir)
	if library := os.Getenv("SCRY_ORT_LIBRARY"); library != "" {
		c.Library = library
	}
	if c.Library == "" {
		if os.Getenv("SCRY_REQUIRE_ORT") == "1" {
			tb.Fatal("ONNX Runtime is not there")
		}
		tb.Skip("ONNX Runtime is not there: run `make setup` or set SCRY_ORT_LIBRARY")
	}
	r, err := Open(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

func graphPath(name string) string { return filepath.Join("gputest", "testdata", name+".onnx") }

func mustLoad(tb testing.TB, r *Runtime, spec Spec) Session {
	tb.Helper()
	s, err := r.Load(context.Background(), spec)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// BenchmarkRun measures a run of a three-layer network of 32 units on one row:
// nearly all of it is the cost of running anything.
func BenchmarkRun(b *testing.B) {
	r := benchRuntime(b)
	x, _ := tensor.New(tensor.Float32, 1, 32)
	in := []tensor.Tensor{x}
	for _, d := range []string{CPU, "openvino:cpu"} {
		b.Run(d, func(b *testing.B) {
			s := mustLoad(b, r, Spec{Path: graphPath("mlp"), Devices: []string{d}, Threads: 1})
			if s.Placement().Device != d {
				b.Skip(s.Placement().FallbackReason)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Run(context.Background(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("cpu with deadline", func(b *testing.B) {
		s := mustLoad(b, r, Spec{Path: graphPath("mlp"), Devices: []string{CPU}, Threads: 1})
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Run(ctx, in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cpu parallel", func(b *testing.B) {
		s := mustLoad(b, r, Spec{Path: graphPath("mlp"), Devices: []string{CPU}, Threads: 1})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Run(context.Background(), in); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	// The same by the binding's own calls, with fixed tensors: what is left to win.
	b.Run("cpu binding", func(b *testing.B) {
		o, err := sessionOptions(1)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = o.Destroy() }()
		s, err := ort.NewDynamicAdvancedSession(graphPath("mlp"), []string{"x"}, []string{"y"}, o)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = s.Destroy() }()
		b.ReportAllocs()
		for b.Loop() {
			x, err := ort.NewTensor(ort.NewShape(1, 32), make([]float32, 32))
			if err != nil {
				b.Fatal(err)
			}
			out := []ort.Value{nil}
			if err := s.Run([]ort.Value{x}, out); err != nil {
				b.Fatal(err)
			}
			_ = x.Destroy()
			_ = out[0].Destroy()
		}
	})
}
