package pipeline

import (
	"math"

	"github.com/scry-ml/scry/tensor"
)

// cells writes the elements of one input by their flat places. The types that
// nearly all features have are viewed once, the others at every write.
type cells struct {
	tensor  tensor.Tensor
	float32 []float32
	int64   []int64
	strings []string
}

func cellsOf(t tensor.Tensor) cells {
	return cells{tensor: t, float32: tensor.View[float32](t), int64: tensor.View[int64](t), strings: t.Strings}
}

// float writes a number to a floating element; false when it is finite and the
// element cannot hold so large a number.
func (c *cells) float(at int, x float64) bool {
	var got float64
	switch c.tensor.DType {
	case tensor.Float32:
		c.float32[at] = float32(x)
		got = float64(c.float32[at])
	case tensor.Float64:
		tensor.View[float64](c.tensor)[at] = x
		return true
	case tensor.Float16:
		bits := tensor.Float32ToFloat16(float32(x))
		tensor.View[uint16](c.tensor)[at] = bits
		got = float64(tensor.Float16ToFloat32(bits))
	case tensor.BFloat16:
		bits := tensor.Float32ToBFloat16(float32(x))
		tensor.View[uint16](c.tensor)[at] = bits
		got = float64(tensor.BFloat16ToFloat32(bits))
	}
	return !math.IsInf(got, 0) || math.IsInf(x, 0)
}

// int writes an integer to an element of any number type; false when it lies
// outside the type's range. uint64 ends where int64 does.
func (c *cells) int(at int, n int64) bool {
	switch c.tensor.DType {
	case tensor.Int64:
		c.int64[at] = n
		return true
	case tensor.Int8:
		return narrow(tensor.View[int8](c.tensor), at, n)
	case tensor.Int16:
		return narrow(tensor.View[int16](c.tensor), at, n)
	case tensor.Int32:
		return narrow(tensor.View[int32](c.tensor), at, n)
	case tensor.Uint8:
		return narrow(tensor.View[uint8](c.tensor), at, n)
	case tensor.Uint16:
		return narrow(tensor.View[uint16](c.tensor), at, n)
	case tensor.Uint32:
		return narrow(tensor.View[uint32](c.tensor), at, n)
	case tensor.Uint64:
		return n >= 0 && narrow(tensor.View[uint64](c.tensor), at, n)
	}
	return c.float(at, float64(n))
}

func narrow[T int8 | int16 | int32 | uint8 | uint16 | uint32 | uint64](out []T, at int, n int64) bool {
	if int64(T(n)) != n {
		return false
	}
	out[at] = T(n)
	return true
}

func (c *cells) bool(at int, b bool) {
	n := int64(0)
	if b {
		n = 1
	}
	if c.tensor.DType == tensor.Bool {
		c.tensor.Data[at] = byte(n)
		return
	}
	c.int(at, n) // 0 and 1 fit every number type
}
