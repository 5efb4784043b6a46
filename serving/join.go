package serving

import (
	"fmt"
	"hash/maphash"
	"math"

	"github.com/scry-ml/scry/tensor"
)

// axes says how one input or output of a graph is joined.
type axes struct {
	sequence int     // the axis that is padded; -1 when there is none
	pad      float64 // what padding is filled with
}

var kindSeed = maphash.MakeSeed()

// kindOf keeps apart items that cannot share a run: those with different
// extents beyond the batch and the sequence axis.
func kindOf(inputs []tensor.Tensor, ports []axes) uint64 {
	var h maphash.Hash
	h.SetSeed(kindSeed)
	for i, t := range inputs {
		for axis := 1; axis < len(t.Shape); axis++ {
			if axis != ports[i].sequence {
				_ = h.WriteByte(byte(axis))
				d := t.Shape[axis]
				for range 8 {
					_ = h.WriteByte(byte(d))
					d >>= 8
				}
			}
		}
	}
	return h.Sum64()
}

// lengthOf returns the extent of the sequence axis, 0 when no input has one.
func lengthOf(inputs []tensor.Tensor, ports []axes) int {
	n := 0
	for i, t := range inputs {
		if s := ports[i].sequence; s >= 0 && s < len(t.Shape) {
			n = max(n, int(t.Shape[s]))
		}
	}
	return n
}

// join lays the items' tensors of one input one below the other: rows of axis
// 0, the sequence axis padded at its end to length. rows beyond the items'
// repeat the last item's last row, so that they are valid inputs whatever the
// graph computes.
func join(parts []tensor.Tensor, port axes, rows, length int) (tensor.Tensor, error) {
	first := parts[0]
	if len(first.Shape) == 0 {
		return first, nil
	}
	shape := append(tensor.Shape{}, first.Shape...)
	shape[0] = int64(rows)
	if port.sequence >= 0 {
		shape[port.sequence] = int64(length)
	}
	if len(parts) == 1 && first.Shape.Equal(shape) {
		return first, nil
	}
	out, err := tensor.New(first.DType, shape...)
	if err != nil {
		return tensor.Tensor{}, err
	}
	// A row is outer blocks of inner elements; only the sequence axis differs
	// between item and batch, so outer counts what lies before it.
	at := 0
	for _, p := range parts {
		n, err := copyRows(out, at, p.Plain(), port)
		if err != nil {
			return tensor.Tensor{}, err
		}
		at += n
	}
	for at < rows {
		last, err := out.Slice(int64(at-1), int64(at))
		if err != nil {
			return tensor.Tensor{}, err
		}
		target, err := out.Slice(int64(at), int64(at+1))
		if err != nil {
			return tensor.Tensor{}, err
		}
		copy(target.Data, last.Data)
		copy(target.Strings, last.Strings)
		at++
	}
	return out, nil
}

// copyRows copies an item's rows into the batch tensor from row at on and pads
// its sequence axis. It returns the number of rows.
func copyRows(out tensor.Tensor, at int, p tensor.Tensor, port axes) (int, error) {
	rows := int(p.Shape[0])
	if port.sequence < 0 || p.Shape[port.sequence] == out.Shape[port.sequence] {
		target, err := out.Slice(int64(at), int64(at+rows))
		if err != nil {
			return 0, err
		}
		copy(target.Data, p.Data)
		copy(target.Strings, p.Strings)
		return rows, nil
	}
	outer, inner := rows, 1
	for axis := 1; axis < len(p.Shape); axis++ {
		switch {
		case axis < port.sequence:
			outer *= int(p.Shape[axis])
		case axis > port.sequence:
			inner *= int(p.Shape[axis])
		}
	}
	have, want := int(p.Shape[port.sequence])*inner, int(out.Shape[port.sequence])*inner
	start := at * (outer / max(rows, 1)) * want
	if p.DType == tensor.String {
		for b := range outer {
			copy(out.Strings[start+b*want:], p.Strings[b*have:(b+1)*have])
		}
		return rows, nil
	}
	size := p.DType.Size()
	for b := range outer {
		from := (start + b*want) * size
		copy(out.Data[from:], p.Data[b*have*size:(b+1)*have*size])
		if port.pad != 0 {
			if err := fill(out.DType, out.Data[from+have*size:from+want*size], port.pad); err != nil {
				return 0, err
			}
		}
	}
	return rows, nil
}

// fill writes a value to every element of data, which starts at an element.
func fill(t tensor.DType, data []byte, value float64) error {
	size := t.Size()
	one := make([]byte, 8)
	put := func(bits uint64) {
		for i := range size {
			one[i] = byte(bits >> (8 * i))
		}
	}
	switch t {
	case tensor.Float32:
		put(uint64(math.Float32bits(float32(value))))
	case tensor.Float64:
		put(math.Float64bits(value))
	case tensor.Float16:
		put(uint64(tensor.Float32ToFloat16(float32(value))))
	case tensor.BFloat16:
		put(uint64(tensor.Float32ToBFloat16(float32(value))))
	case tensor.String, tensor.Invalid:
		return fmt.Errorf("%w: %v is not padded with numbers", tensor.ErrShape, t)
	default:
		put(uint64(int64(value)))
	}
	for i := 0; i < len(data); i += size {
		copy(data[i:], one[:size])
	}
	return nil
}

// split takes an item's rows out of a batch output, its sequence axis cut to
// the item's own length. Without such a cut the memory is shared.
func split(out tensor.Tensor, port axes, from, rows, length int) (tensor.Tensor, error) {
	t, err := out.Slice(int64(from), int64(from+rows))
	if err != nil || port.sequence < 0 || port.sequence >= len(t.Shape) || t.Shape[port.sequence] <= int64(length) {
		return t, err
	}
	shape := append(tensor.Shape{}, t.Shape...)
	shape[port.sequence] = int64(length)
	cut, err := tensor.New(t.DType, shape...)
	if err != nil {
		return tensor.Tensor{}, err
	}
	outer, inner := 1, 1
	for axis := range t.Shape {
		switch {
		case axis < port.sequence:
			outer *= int(t.Shape[axis])
		case axis > port.sequence:
			inner *= int(t.Shape[axis])
		}
	}
	have, want := int(t.Shape[port.sequence])*inner, length*inner
	if t.DType == tensor.String {
		for b := range outer {
			copy(cut.Strings[b*want:(b+1)*want], t.Strings[b*have:])
		}
		return cut, nil
	}
	size := t.DType.Size()
	for b := range outer {
		copy(cut.Data[b*want*size:(b+1)*want*size], t.Data[b*have*size:])
	}
	return cut, nil
}
