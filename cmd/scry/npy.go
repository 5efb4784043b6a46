package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/scry-ml/scry/tensor"
)

// npyTypes are NumPy's names of the element types that .npy files can hold.
var npyTypes = map[tensor.DType]string{
	tensor.Float32: "<f4", tensor.Float64: "<f8", tensor.Float16: "<f2",
	tensor.Int8: "|i1", tensor.Int16: "<i2", tensor.Int32: "<i4", tensor.Int64: "<i8",
	tensor.Uint8: "|u1", tensor.Uint16: "<u2", tensor.Uint32: "<u4", tensor.Uint64: "<u8", tensor.Bool: "|b1",
}

// writeNPY writes a tensor in NumPy's format 1.0, for numpy.load.
func writeNPY(w io.Writer, t tensor.Tensor) error {
	descr, ok := npyTypes[t.DType]
	if !ok {
		return fmt.Errorf("a tensor of %s cannot be written as .npy", t.DType)
	}
	axes := make([]string, len(t.Shape))
	for i, d := range t.Shape {
		axes[i] = fmt.Sprint(d)
	}
	shape := strings.Join(axes, ", ")
	if len(axes) == 1 {
		shape += ","
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape)
	const fixed = 10 // magic, version, length
	header += strings.Repeat(" ", (64-(fixed+len(header)+1)%64)%64) + "\n"
	head := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(header)))...)
	if _, err := w.Write(append(head, header...)); err != nil {
		return err
	}
	_, err := w.Write(t.Data)
	return err
}

// elements gives a tensor's elements as JSON can hold them.
func elements(t tensor.Tensor) []any {
	switch t.DType {
	case tensor.Float32:
		return list(tensor.View[float32](t), func(v float32) any { return jsonFloat(float64(v), 32) })
	case tensor.Float64:
		return list(tensor.View[float64](t), func(v float64) any { return jsonFloat(v, 64) })
	case tensor.Int8:
		return list(tensor.View[int8](t), asIs)
	case tensor.Int16:
		return list(tensor.View[int16](t), asIs)
	case tensor.Int32:
		return list(tensor.View[int32](t), asIs)
	case tensor.Int64:
		return list(tensor.View[int64](t), asIs)
	case tensor.Uint8:
		return list(tensor.View[uint8](t), asIs)
	case tensor.Uint16:
		return list(tensor.View[uint16](t), asIs)
	case tensor.Uint32:
		return list(tensor.View[uint32](t), asIs)
	case tensor.Uint64:
		return list(tensor.View[uint64](t), asIs)
	case tensor.Bool:
		return list(tensor.View[bool](t), asIs)
	case tensor.String:
		return list(t.Strings, asIs)
	}
	return list(t.Float32s(), func(v float32) any { return jsonFloat(float64(v), 32) }) // 16-bit floats
}

func list[T any](values []T, convert func(T) any) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = convert(v)
	}
	return out
}

func asIs[T any](v T) any { return v }

// jsonFloat keeps what JSON has no number for as a string.
func jsonFloat(v float64, bits int) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprint(v)
	}
	if bits == 32 {
		return float32(v) // encoding/json prints the shortest form of its type
	}
	return v
}
