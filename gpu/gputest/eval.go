package gputest

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/tensor"
)

// operator computes one output from its inputs. Arithmetic is done in float64
// and rounded to the type of the first input.
type operator func(n node, in []tensor.Tensor) (tensor.Tensor, error)

// operators that the fake knows, beside Loop.
var operators = map[string]operator{
	"Add":             binary(func(a, b float64) float64 { return a + b }),
	"Sub":             binary(func(a, b float64) float64 { return a - b }),
	"Mul":             binary(func(a, b float64) float64 { return a * b }),
	"Div":             binary(func(a, b float64) float64 { return a / b }),
	"Greater":         greater,
	"Relu":            unary(func(a float64) float64 { return max(a, 0) }),
	"Sigmoid":         unary(func(a float64) float64 { return 1 / (1 + math.Exp(-a)) }),
	"Identity":        func(_ node, in []tensor.Tensor) (tensor.Tensor, error) { return in[0], nil },
	"Cast":            cast,
	"MatMul":          matmul,
	"ReduceSum":       reduce(0, func(a, b float64) float64 { return a + b }),
	"ReduceMax":       reduce(math.Inf(-1), math.Max),
	"Expand":          expand,
	"Compress":        compress,
	"ConstantOfShape": zeros,
	"Gather":          gather,
	"LabelEncoder":    labelEncoder,
}

// evaluate runs steps over values, which holds the inputs and receives every
// result.
func (g *graph) evaluate(ctx context.Context, steps []node, values map[string]tensor.Tensor) error {
	for _, n := range steps {
		if ctx.Err() != nil {
			return terminated(ctx)
		}
		in := make([]tensor.Tensor, len(n.in))
		for i, name := range n.in {
			v, ok := values[name]
			if !ok {
				v, ok = g.weights[name]
			}
			if !ok && name != "" {
				return fmt.Errorf("%w: %s has no input %q", gpu.ErrRun, n.op, name)
			}
			in[i] = v
		}
		var out tensor.Tensor
		var err error
		if n.op == "Loop" {
			out, err = loop(ctx, n, in, values)
		} else {
			out, err = operators[n.op](n, in)
		}
		if err != nil {
			return err
		}
		values[n.out[0]] = out
	}
	return nil
}

// loop is ONNX's Loop with one carried value.
func loop(ctx context.Context, n node, in []tensor.Tensor, outer map[string]tensor.Tensor) (tensor.Tensor, error) {
	body := n.attrs["body"].body
	if body == nil || len(in) != 3 || len(body.outputs) != 2 {
		return tensor.Tensor{}, fmt.Errorf("%w: the fake runs loops that carry one value", gpu.ErrRun)
	}
	carried := in[2]
	for i := range tensor.View[int64](in[0])[0] {
		step, err := tensor.From([]int64{i})
		if err != nil {
			return tensor.Tensor{}, err
		}
		values := maps.Clone(outer)
		values[body.inputs[0].Name], values[body.inputs[1].Name], values[body.inputs[2].Name] = step, in[1], carried
		if err := body.evaluate(ctx, body.nodes, values); err != nil {
			return tensor.Tensor{}, err
		}
		carried = values[body.outputs[1].Name]
		if values[body.outputs[0].Name].Data[0] == 0 {
			break
		}
	}
	return carried, nil
}

// numbers widens a tensor.
func numbers(t tensor.Tensor) []float64 {
	switch t.DType {
	case tensor.Float64:
		return slices.Clone(tensor.View[float64](t))
	case tensor.Int64:
		return widen(tensor.View[int64](t))
	}
	return widen(t.Float32s())
}

func widen[T int64 | float32](in []T) []float64 {
	out := make([]float64, len(in))
	for i, v := range in {
		out[i] = float64(v)
	}
	return out
}

// fromNumbers rounds values to an element type.
func fromNumbers(dtype tensor.DType, values []float64, shape tensor.Shape) (tensor.Tensor, error) {
	t, err := tensor.New(dtype, shape...)
	if err != nil {
		return t, fmt.Errorf("%w: %w", gpu.ErrRun, err)
	}
	for i, v := range values {
		switch dtype {
		case tensor.Float32:
			tensor.View[float32](t)[i] = float32(v)
		case tensor.Float64:
			tensor.View[float64](t)[i] = v
		case tensor.Float16:
			tensor.View[uint16](t)[i] = tensor.Float32ToFloat16(float32(v))
		case tensor.BFloat16:
			tensor.View[uint16](t)[i] = tensor.Float32ToBFloat16(float32(v))
		case tensor.Int64:
			tensor.View[int64](t)[i] = int64(v)
		case tensor.Int32:
			tensor.View[int32](t)[i] = int32(v)
		case tensor.Bool:
			if v != 0 {
				t.Data[i] = 1
			}
		default:
			return t, fmt.Errorf("%w: the fake does not compute in %v", gpu.ErrRun, dtype)
		}
	}
	return t, nil
}

func unary(f func(float64) float64) operator {
	return func(_ node, in []tensor.Tensor) (tensor.Tensor, error) {
		v := numbers(in[0])
		for i := range v {
			v[i] = f(v[i])
		}
		return fromNumbers(in[0].DType, v, in[0].Shape)
	}
}

func binary(f func(a, b float64) float64) operator {
	return func(_ node, in []tensor.Tensor) (tensor.Tensor, error) {
		v, shape, err := broadcast(in[0], in[1], f)
		if err != nil {
			return tensor.Tensor{}, err
		}
		return fromNumbers(in[0].DType, v, shape)
	}
}

func greater(_ node, in []tensor.Tensor) (tensor.Tensor, error) {
	v, shape, err := broadcast(in[0], in[1], func(a, b float64) float64 {
		if a > b {
			return 1
		}
		return 0
	})
	if err != nil {
		return tensor.Tensor{}, err
	}
	return fromNumbers(tensor.Bool, v, shape)
}

// broadcast applies f by NumPy's rule: axes are aligned at the end, and an axis
// of 1 is repeated.
func broadcast(a, b tensor.Tensor, f func(a, b float64) float64) ([]float64, tensor.Shape, error) {
	rank := max(len(a.Shape), len(b.Shape))
	shape := make(tensor.Shape, rank)
	axis := func(s tensor.Shape, i int) int64 {
		if i -= rank - len(s); i < 0 {
			return 1
		}
		return s[i]
	}
	for i := range shape {
		da, db := axis(a.Shape, i), axis(b.Shape, i)
		switch {
		case da == db || db == 1:
			shape[i] = da
		case da == 1:
			shape[i] = db
		default:
			return nil, nil, fmt.Errorf("%w: %w: shapes %v and %v do not go together", gpu.ErrRun, gpu.ErrInput, a.Shape, b.Shape)
		}
	}
	n, err := shape.Elements()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", gpu.ErrRun, err)
	}
	va, vb := numbers(a), numbers(b)
	out := make([]float64, n)
	for at := range out {
		// The place in each input, axis by axis from the last.
		ia, ib, sa, sb, rest := 0, 0, 1, 1, at
		for i := rank - 1; i >= 0; i-- {
			k := rest % int(shape[i])
			rest /= int(shape[i])
			if d := int(axis(a.Shape, i)); d > 1 {
				ia += k * sa
				sa *= d
			}
			if d := int(axis(b.Shape, i)); d > 1 {
				ib += k * sb
				sb *= d
			}
		}
		out[at] = f(va[ia], vb[ib])
	}
	return out, shape, nil
}

func cast(n node, in []tensor.Tensor) (tensor.Tensor, error) {
	return fromNumbers(onnxTypes[uint64(n.attrs["to"].i)], numbers(in[0]), in[0].Shape)
}

// matmul multiplies the rows of a by a matrix.
func matmul(_ node, in []tensor.Tensor) (tensor.Tensor, error) {
	a, b := in[0], in[1]
	if len(a.Shape) < 1 || len(b.Shape) != 2 || a.Shape[len(a.Shape)-1] != b.Shape[0] {
		return tensor.Tensor{}, fmt.Errorf("%w: %w: %v does not multiply %v", gpu.ErrRun, gpu.ErrInput, a.Shape, b.Shape)
	}
	k, m := int(b.Shape[0]), int(b.Shape[1])
	va, vb := numbers(a), numbers(b)
	rows := len(va) / max(k, 1)
	out := make([]float64, rows*m)
	for r := range rows {
		for c := range m {
			for i := range k {
				out[r*m+c] += va[r*k+i] * vb[i*m+c]
			}
		}
	}
	shape := slices.Clone(a.Shape)
	shape[len(shape)-1] = int64(m)
	return fromNumbers(a.DType, out, shape)
}

// reduce folds the axes given as an attribute or a second input, or all.
func reduce(start float64, f func(a, b float64) float64) operator {
	return func(n node, in []tensor.Tensor) (tensor.Tensor, error) {
		x, axes, keep := in[0], n.attrs["axes"].ints, true
		if a, ok := n.attrs["keepdims"]; ok {
			keep = a.i != 0
		}
		if len(in) > 1 {
			axes = tensor.View[int64](in[1])
		}
		folded := func(i int) bool {
			return len(axes) == 0 || slices.Contains(axes, int64(i)) || slices.Contains(axes, int64(i-len(x.Shape)))
		}
		shape := tensor.Shape{}
		size := 1
		for i, d := range x.Shape {
			if !folded(i) {
				shape = append(shape, d)
				size *= int(d)
			} else if keep {
				shape = append(shape, 1)
			}
		}
		out := make([]float64, size)
		for i := range out {
			out[i] = start
		}
		for at, v := range numbers(x) {
			to, stride, rest := 0, 1, at
			for i := len(x.Shape) - 1; i >= 0; i-- {
				d := int(x.Shape[i])
				if !folded(i) {
					to += rest % d * stride
					stride *= d
				}
				rest /= d
			}
			out[to] = f(out[to], v)
		}
		return fromNumbers(x.DType, out, shape)
	}
}

// expand repeats x to a shape.
func expand(_ node, in []tensor.Tensor) (tensor.Tensor, error) {
	like, err := tensor.New(tensor.Float32, tensor.View[int64](in[1])...)
	if err != nil {
		return like, fmt.Errorf("%w: %w", gpu.ErrRun, err)
	}
	v, shape, err := broadcast(in[0], like, func(a, _ float64) float64 { return a })
	if err != nil {
		return like, err
	}
	return fromNumbers(in[0].DType, v, shape)
}

// zeros makes a float32 tensor of the shape that its input tells.
func zeros(_ node, in []tensor.Tensor) (tensor.Tensor, error) {
	shape := tensor.Shape(slices.Clone(tensor.View[int64](in[0])))
	n, err := shape.Elements()
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("%w: %w", gpu.ErrRun, err)
	}
	const limit = 1 << 30
	if n > limit {
		return tensor.Tensor{}, &gpu.MemoryError{Device: gpu.CPU, Needed: 4 * int64(n), Available: limit}
	}
	return fromNumbers(tensor.Float32, make([]float64, n), shape)
}

// compress keeps the rows whose condition is true.
func compress(_ node, in []tensor.Tensor) (tensor.Tensor, error) {
	parts := []tensor.Tensor{}
	none, err := in[0].Slice(0, 0)
	if err != nil {
		return none, fmt.Errorf("%w: %w", gpu.ErrRun, err)
	}
	parts = append(parts, none)
	for i, keep := range in[1].Data {
		if keep == 0 || int64(i) >= in[0].Shape[0] {
			continue
		}
		row, err := in[0].Slice(int64(i), int64(i)+1)
		if err != nil {
			return row, fmt.Errorf("%w: %w", gpu.ErrRun, err)
		}
		parts = append(parts, row)
	}
	return tensor.Concat(parts...)
}

// gather picks rows of a table; negative indices count from its end.
func gather(_ node, in []tensor.Tensor) (tensor.Tensor, error) {
	table, ids := in[0], in[1]
	var data []byte
	for _, id := range tensor.View[int64](ids) {
		if id < 0 {
			id += table.Shape[0]
		}
		if id < 0 || id >= table.Shape[0] {
			return tensor.Tensor{}, fmt.Errorf("%w: %w: an index lies outside a table of %d rows", gpu.ErrRun, gpu.ErrInput, table.Shape[0])
		}
		row, err := table.Slice(id, id+1)
		if err != nil {
			return row, fmt.Errorf("%w: %w", gpu.ErrRun, err)
		}
		data = append(data, row.Data...)
	}
	shape := append(slices.Clone(ids.Shape), table.Shape[1:]...)
	return tensor.Tensor{DType: table.DType, Shape: shape, Data: data}, nil
}

func labelEncoder(n node, in []tensor.Tensor) (tensor.Tensor, error) {
	keys, values := n.attrs["keys_strings"].strings, n.attrs["values_int64s"].ints
	if in[0].DType != tensor.String || len(keys) != len(values) {
		return tensor.Tensor{}, fmt.Errorf("%w: the fake encodes strings to integers", gpu.ErrRun)
	}
	texts := in[0].Plain().Strings
	out := make([]int64, len(texts))
	for i, s := range texts {
		out[i] = n.attrs["default_int64"].i
		if at := slices.Index(keys, s); at >= 0 {
			out[i] = values[at]
		}
	}
	return tensor.From(out, in[0].Shape...)
}
