package gpu_test

import (
	"testing"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/gpu/gputest"
)

// TestProviders holds every device of this machine to the conformance suite,
// at every precision that it offers.
func TestProviders(t *testing.T) {
	r := gputest.OpenRuntime(t)
	for _, d := range r.Devices() {
		t.Run(d.ID, func(t *testing.T) {
			if !d.Available {
				t.Skip(d.Reason)
			}
			for _, p := range d.Precisions {
				t.Run(string(p), func(t *testing.T) {
					target := gputest.Target{Loader: r, Devices: []string{d.ID}, Precision: p}
					switch p {
					case gpu.TF32:
						target.Tolerance = 2e-3
					case gpu.BF16:
						target.Tolerance = 1e-2
					}
					if d.Provider == gpu.OpenVINO {
						// It leaves loops to the CPU provider, which can end them.
						target.Devices = []string{d.ID, gpu.CPU}
					}
					gputest.Run(t, target)
				})
			}
		})
	}
}
