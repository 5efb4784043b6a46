package gpu

// #include "ort.h"
import "C"

import (
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/scry-ml/scry/tensor"
)

// outputPlan resolves the shape of an output from those of the inputs, so that
// a run writes into memory that the caller gets. What a graph declares may be
// false: a plan is used after a first run has agreed with it, and never again
// after one that has not.
type outputPlan struct {
	dtype tensor.DType
	axes  []axisPlan
	trust *atomic.Int32
}

// axisPlan is a fixed extent, or that of an axis of an input.
type axisPlan struct {
	fixed       int64
	input, axis int // input -1: fixed
}

// Values of outputPlan.trust.
const (
	untried int32 = iota
	trusted
	refuted
)

// planOutput resolves what can be: fixed axes, those that share their name with
// an axis of an input, and an unnamed axis 0, which usually is the batch's.
func planOutput(v graphValue, inputs []Value, names [][]string) outputPlan {
	p := outputPlan{dtype: v.DType, trust: new(atomic.Int32)}
	if v.Shape == nil || v.DType == tensor.String || v.DType.Size() == 0 {
		p.trust.Store(refuted)
		return p
	}
	for axis, d := range v.Shape {
		a := axisPlan{fixed: d, input: -1}
		for i := range inputs {
			if d >= 0 || a.input >= 0 {
				break
			}
			at := slices.Index(names[i], v.axes[axis])
			if v.axes[axis] == "" {
				at = -1
				if axis == 0 && len(inputs[i].Shape) > 0 {
					at = 0
				}
			}
			if at >= 0 && inputs[i].Shape[at] < 0 {
				a.input, a.axis = i, at
			}
		}
		if d < 0 && a.input < 0 {
			p.trust.Store(refuted)
		}
		p.axes = append(p.axes, a)
	}
	return p
}

// extent returns the planned extent of an axis.
func (a axisPlan) extent(in []tensor.Tensor) int64 {
	if a.input < 0 {
		return a.fixed
	}
	return in[a.input].Shape[a.axis]
}

// learn compares the plan with the shape that a run gave.
func (p *outputPlan) learn(in []tensor.Tensor, got tensor.Shape) {
	if p.trust.Load() == refuted {
		return
	}
	agrees := len(got) == len(p.axes)
	for axis := 0; agrees && axis < len(got); axis++ {
		agrees = p.axes[axis].extent(in) == got[axis]
	}
	if agrees {
		p.trust.CompareAndSwap(untried, trusted)
	} else {
		p.trust.Store(refuted)
	}
}

// bind lets the run write the outputs whose shapes are known into tensors of
// out, and reports whether there are any.
func (s *session) bind(c *call, in, out []tensor.Tensor) bool {
	bound := false
	for i := range s.outputs {
		p, to := &s.outputs[i], &c.outputs[i]
		to.bound = 0
		if p.trust.Load() != trusted {
			continue
		}
		shape := make(tensor.Shape, len(p.axes))
		for axis, a := range p.axes {
			shape[axis] = a.extent(in)
		}
		t, err := tensor.New(p.dtype, shape...)
		if err != nil {
			continue // the run says what is wrong
		}
		out[i] = t
		to._type, to.rank, to.bytes = elementTypes[p.dtype], C.int32_t(len(shape)), C.size_t(len(t.Data))
		for axis, d := range shape {
			to.shape[axis] = C.int64_t(d)
		}
		if len(t.Data) > 0 {
			data := unsafe.Pointer(unsafe.SliceData(t.Data))
			c.pin.Pin(data)
			to.memory = C.uintptr_t(uintptr(data))
		}
		to.bound, bound = 1, true
	}
	return bound
}

// unbind leaves all outputs to ONNX Runtime.
func unbind(c *call, out []tensor.Tensor) {
	clear(out)
	for i := range c.outputs {
		c.outputs[i].bound = 0
	}
}
