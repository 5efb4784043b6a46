// Package gpu runs ONNX graphs: it opens the ONNX Runtime library, knows the
// devices of the machine and why one cannot be used, places a graph on the
// first device that takes it, and runs it.
//
// It is the only importer of the ONNX Runtime binding. What crosses its border
// are values: paths, names, tensor.Tensor. So a Loader can stand for another
// process, or for the fake in gpu/gputest that needs no ONNX Runtime.
//
// The binding opens the library, its environment, its providers and the
// sessions. A run itself goes through ort.c: the binding as of v1.35.0 refuses
// scalars and empty 16-bit tensors, sizes 16-bit outputs in elements instead of
// bytes, cuts strings at NUL, and its I/O binding cannot be terminated.
package gpu

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/scry-ml/scry/tensor"
)

// Names of execution providers, as Device.Provider and Placement.Provider give
// them.
const (
	CUDA     = "cuda"
	OpenVINO = "openvino"
	CPU      = "cpu"
)

// Device is a place where a graph can run, or the reason why it cannot.
type Device struct {
	ID       string // "cpu", "cuda:0", "openvino:cpu"; unique
	Provider string // CUDA, OpenVINO or CPU
	Name     string // the hardware's own name, such as "NVIDIA H100 80GB HBM3"
	// MemoryTotal and MemoryFree are bytes, 0 when unknown. For the CPU they are
	// what the machine and its control groups leave to this process.
	MemoryTotal, MemoryFree int64
	Available               bool
	Reason                  string // why it is not available; empty when it is
	// Precisions that the device offers beside F32, coarser ones last.
	Precisions []Precision
}

// Precision is the arithmetic of matrix products and convolutions. A graph
// that is written in float16 runs in float16 anywhere: precision says how far
// float32 operators may be coarsened.
type Precision string

const (
	F32  Precision = "f32"  // as the graph is written
	TF32 Precision = "tf32" // 10-bit mantissa: CUDA tensor cores
	BF16 Precision = "bf16" // 7-bit mantissa: OpenVINO on CPUs with AMX or AVX512-BF16
)

// Coarseness orders precisions from exact to coarse; -1 for an unknown one.
func (p Precision) Coarseness() int {
	if p == "" {
		p = F32
	}
	return slices.Index([]Precision{F32, TF32, BF16}, p)
}

// Coarsest returns the precision that the device uses where the caller admits
// as coarse a one as the argument.
func (d Device) Coarsest(admitted Precision) Precision {
	best := F32
	for _, p := range d.Precisions {
		if p.Coarseness() <= admitted.Coarseness() && p.Coarseness() > best.Coarseness() {
			best = p
		}
	}
	return best
}

// Spec says what to load and where it may run.
type Spec struct {
	// Path is the model file. External data must lie beside it, as plain files:
	// ONNX Runtime refuses symbolic links.
	Path string
	// Devices are tried in this order; an entry is a Device.ID or a provider's
	// name, which stands for all its devices. Empty means cuda, then openvino
	// (only with AllowOpenVINO), then cpu.
	Devices []string
	// AllowOpenVINO adds OpenVINO to the default order. Its answers differ from
	// the CPU provider's within a tolerance that the caller checks by samples.
	AllowOpenVINO bool
	// Precision is the coarsest arithmetic that the caller admits; a device uses
	// the coarsest that it offers within it. Empty means F32.
	Precision Precision
	// Threads that one run uses on a CPU; 0 means Config.ThreadsPerRun.
	Threads int
	// Runs is how many runs the session is meant to bear at once; 0 means 1. More
	// are correct, but may wait for each other. OpenVINO sets threads apart for
	// each of them; the other devices need not know.
	Runs int
	// Outputs are the graph outputs wanted, in this order; the others are not
	// copied out. Empty means all.
	Outputs []string
	// Owner names whom the session belongs to, such as "churn@3 model": errors of
	// memory say who holds it.
	Owner string
	// MemoryLimit bounds the device memory of a session on CUDA in bytes: weights
	// and arena. 0 means what the device has.
	MemoryLimit int64
}

// Candidates returns the devices that the spec names, in its order of
// preference and each once, and the names that stand for no device.
func (s Spec) Candidates(devices []Device) (out []Device, unknown []string) {
	order := s.Devices
	if len(order) == 0 {
		order = []string{CUDA, CPU}
		if s.AllowOpenVINO {
			order = []string{CUDA, OpenVINO, CPU}
		}
	}
	seen := map[string]bool{}
	for _, want := range order {
		found := false
		for _, d := range devices {
			if d.ID != want && d.Provider != want {
				continue
			}
			found = true
			if !seen[d.ID] {
				seen[d.ID] = true
				out = append(out, d)
			}
		}
		if !found {
			unknown = append(unknown, want)
		}
	}
	return out, unknown
}

// Placement says where a session runs.
type Placement struct {
	Provider  string
	Device    string // Device.ID
	Precision Precision
	Threads   int // per run, on a CPU; 0 elsewhere
	// FallbackReason joins why devices that were preferred did not take the
	// graph; empty when the first choice did.
	FallbackReason string
	// Nodes of the graph, and how many of them the device itself runs; the rest
	// run on the CPU provider. Both 0 when unknown.
	Nodes, NodesOnDevice int
	LoadTime             time.Duration
}

// Value describes one input or output of a graph.
type Value struct {
	Name  string
	DType tensor.DType
	// Shape has -1 for an axis known only at run time. A nil Shape means that
	// even the rank is unknown, an empty one a scalar.
	Shape tensor.Shape
}

// Signature lists inputs in the graph's order and outputs in Spec.Outputs'.
type Signature struct {
	Inputs, Outputs []Value
}

// Session is a graph that is loaded on one device. All methods may be called
// at the same time.
type Session interface {
	Signature() Signature
	Placement() Placement
	// Run computes the outputs, in the signature's order, from inputs in the
	// signature's order. Inputs are only read, and not after Run returns; the
	// outputs belong to the caller.
	//
	// Errors wrap ErrInput (an input does not fit the signature, or its values
	// do not fit the graph), ErrOutOfMemory, ErrTerminated with the context's
	// cause, ErrClosed, or ErrRun. Ending ctx ends the run at the next node of
	// the graph.
	Run(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error)
	// Close waits for runs in progress and frees the memory. Further calls do
	// nothing.
	Close() error
}

// Loader is what serving needs of this package. *Runtime and *gputest.Fake
// implement it.
type Loader interface {
	// Load places a graph on the first device of spec that takes it. Errors wrap
	// ErrModel (nothing can load this graph), ErrNoDevice (no device of the list
	// is usable), ErrOutOfMemory, ErrClosed, or are the context's cause: Load
	// returns when ctx ends.
	Load(ctx context.Context, spec Spec) (Session, error)
	// Devices lists every known device, the unavailable ones with their reason.
	Devices() []Device
}

// Check reports whether the inputs fit the signature: number, element type,
// rank, fixed axes, and data of the right size. Errors wrap ErrInput and name
// the input and the axis.
func (s Signature) Check(in []tensor.Tensor) error {
	if len(in) != len(s.Inputs) {
		return fmt.Errorf("%w: %d tensors for %d inputs", ErrInput, len(in), len(s.Inputs))
	}
	for i := range in {
		want, got := &s.Inputs[i], &in[i]
		if got.DType != want.DType {
			return fmt.Errorf("%w: input %q is %v, want %v", ErrInput, want.Name, got.DType, want.DType)
		}
		if err := got.Validate(); err != nil {
			return fmt.Errorf("%w: input %q: %w", ErrInput, want.Name, err)
		}
		if want.Shape == nil {
			if len(got.Shape) > maxRank {
				return fmt.Errorf("%w: input %q has %d axes, at most %d are possible", ErrInput, want.Name, len(got.Shape), maxRank)
			}
			continue
		}
		if len(got.Shape) != len(want.Shape) {
			return fmt.Errorf("%w: input %q has shape %v, want %d axes as in %v", ErrInput, want.Name, got.Shape, len(want.Shape), want.Shape)
		}
		for axis, d := range want.Shape {
			if d >= 0 && got.Shape[axis] != d {
				return fmt.Errorf("%w: input %q has %d on axis %d, want %d as in %v", ErrInput, want.Name, got.Shape[axis], axis, d, want.Shape)
			}
		}
	}
	return nil
}
