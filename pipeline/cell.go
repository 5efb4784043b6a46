package pipeline

import (
	"math"

	"github.com/scry-ml/scry/tensor"
)

// putFloat writes a number to a floating element.
func putFloat(t tensor.Tensor, at int, f float64) {
	switch t.DType {
	case tensor.Float32:
		tensor.View[float32](t)[at] = float32(f)
	case tensor.Float64:
		tensor.View[float64](t)[at] = f
	case tensor.Float16:
		tensor.View[uint16](t)[at] = tensor.Float32ToFloat16(float32(f))
	case tensor.BFloat16:
		tensor.View[uint16](t)[at] = tensor.Float32ToBFloat16(float32(f))
	}
}

// putInt writes an integer that fits to an element of any number type.
func putInt(t tensor.Tensor, at int, n int64) {
	switch t.DType {
	case tensor.Int8:
		tensor.View[int8](t)[at] = int8(n)
	case tensor.Int16:
		tensor.View[int16](t)[at] = int16(n)
	case tensor.Int32:
		tensor.View[int32](t)[at] = int32(n)
	case tensor.Int64:
		tensor.View[int64](t)[at] = n
	case tensor.Uint8:
		tensor.View[uint8](t)[at] = uint8(n)
	case tensor.Uint16:
		tensor.View[uint16](t)[at] = uint16(n)
	case tensor.Uint32:
		tensor.View[uint32](t)[at] = uint32(n)
	case tensor.Uint64:
		tensor.View[uint64](t)[at] = uint64(n)
	default:
		putFloat(t, at, float64(n))
	}
}

func putBool(t tensor.Tensor, at int, b bool) {
	n := int64(0)
	if b {
		n = 1
	}
	if t.DType == tensor.Bool {
		t.Data[at] = byte(n)
		return
	}
	putInt(t, at, n)
}

// intRange returns the least and the greatest value of an integer type.
func intRange(t tensor.DType) (low int64, high uint64) {
	switch t {
	case tensor.Int8:
		return math.MinInt8, math.MaxInt8
	case tensor.Int16:
		return math.MinInt16, math.MaxInt16
	case tensor.Int32:
		return math.MinInt32, math.MaxInt32
	case tensor.Uint8:
		return 0, math.MaxUint8
	case tensor.Uint16:
		return 0, math.MaxUint16
	case tensor.Uint32:
		return 0, math.MaxUint32
	case tensor.Uint64:
		return 0, math.MaxInt64
	}
	return math.MinInt64, math.MaxInt64
}
