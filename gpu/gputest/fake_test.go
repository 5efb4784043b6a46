package gputest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/tensor"
)

func TestFake(t *testing.T) {
	fake := &gputest.Fake{}
	t.Run("suite", func(t *testing.T) {
		gputest.Run(t, gputest.Target{Loader: fake, Devices: []string{gpu.CPU}})
	})
	if n := fake.Open(); n != 0 {
		t.Errorf("%d sessions are left open", n)
	}
}

func TestFakeHooks(t *testing.T) {
	broken := errors.New("broken")
	fake := &gputest.Fake{
		Machine: []gpu.Device{
			{ID: "cuda:0", Provider: gpu.CUDA, Reason: "no driver"},
			{ID: "openvino:cpu", Provider: gpu.OpenVINO, Available: true, Precisions: []gpu.Precision{gpu.F32, gpu.BF16}},
			{ID: gpu.CPU, Provider: gpu.CPU, Available: true, Precisions: []gpu.Precision{gpu.F32}},
		},
		OnLoad: func(d gpu.Device, _ gpu.Spec) error {
			if d.ID == "openvino:cpu" {
				return broken
			}
			return nil
		},
		OnRun: func(context.Context, string, []tensor.Tensor) error { return broken },
	}
	s, err := fake.Load(t.Context(), gpu.Spec{Path: gputest.Graph(t, "matmul"), AllowOpenVINO: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Placement().FallbackReason, "cuda:0: no driver; openvino:cpu: broken"; got != want {
		t.Errorf("fall-back reason %q, want %q", got, want)
	}
	x, _ := tensor.From([]float32{1, 2, 3}, 1, 3)
	if _, err := s.Run(t.Context(), []tensor.Tensor{x}); !errors.Is(err, broken) {
		t.Errorf("Run: %v, want what OnRun says", err)
	}
	if fake.Open() != 1 {
		t.Errorf("%d open sessions, want 1", fake.Open())
	}
	if err := s.Close(); err != nil || fake.Open() != 0 {
		t.Errorf("Close: %v, %d open", err, fake.Open())
	}
}
