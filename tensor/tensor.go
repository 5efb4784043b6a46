// Package tensor is the word that every part of scry shares: a shape, an
// element type and the data, and nothing else. It imports only the standard
// library.
package tensor

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unsafe"
)

// ErrShape is wrapped by every error about a shape, a size or an element type
// that does not fit its data.
var ErrShape = errors.New("tensor shape mismatch")

// DType is the type of a tensor's elements.
type DType uint8

// The element types that ONNX graphs use at their inputs and outputs.
const (
	Invalid DType = iota
	Float32
	Float64
	Float16
	BFloat16
	Int8
	Int16
	Int32
	Int64
	Uint8
	Uint16
	Uint32
	Uint64
	Bool
	String
)

var dtypeNames = [...]string{
	"invalid", "float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64",
	"uint8", "uint16", "uint32", "uint64", "bool", "string",
}

var dtypeSizes = [...]int{0, 4, 8, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8, 1, 0}

// String returns the NumPy name of the type, such as "float32".
func (t DType) String() string {
	if int(t) < len(dtypeNames) {
		return dtypeNames[t]
	}
	return "dtype(" + strconv.Itoa(int(t)) + ")"
}

// Size returns the bytes of one element, 0 for String and Invalid.
func (t DType) Size() int {
	if int(t) < len(dtypeSizes) {
		return dtypeSizes[t]
	}
	return 0
}

// IsFloat reports whether the type can hold NaN.
func (t DType) IsFloat() bool {
	return t == Float32 || t == Float64 || t == Float16 || t == BFloat16
}

// Shape is the extent of each axis, in elements. In a signature -1 marks an
// axis that is only known at run time; in a Tensor every axis is ≥ 0.
type Shape []int64

// Elements returns the product of the axes; 1 for a scalar (an empty shape).
// It returns an error wrapping ErrShape when an axis is negative or the
// product does not fit an int.
func (s Shape) Elements() (int, error) {
	n := int64(1)
	for _, d := range s {
		if d < 0 {
			return 0, fmt.Errorf("%w: %v has an unknown or negative axis", ErrShape, s)
		}
		if d > 0 && n > math.MaxInt64/16/d {
			return 0, fmt.Errorf("%w: %v has too many elements", ErrShape, s)
		}
		n *= d
	}
	return int(n), nil
}

// Equal reports whether both shapes have the same axes.
func (s Shape) Equal(o Shape) bool {
	if len(s) != len(o) {
		return false
	}
	for i := range s {
		if s[i] != o[i] {
			return false
		}
	}
	return true
}

// String prints the shape as ONNX tools do: [1,-1,384].
func (s Shape) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(d, 10))
	}
	b.WriteByte(']')
	return b.String()
}

// Tensor is a dense, row-major array. Elements of fixed size lie in Data,
// little-endian (scry runs on little-endian machines only), aligned to 8
// bytes; String elements lie in Strings and Data is nil. A Tensor holds no
// reference to a device, so it can cross a process boundary.
//
// A column of a table has few strings that come again and again. Such inputs
// are dictionaries: where Codes is not nil, element i is Strings[Codes[i]].
// What a graph gives never is one.
type Tensor struct {
	DType   DType
	Shape   Shape
	Data    []byte
	Strings []string
	Codes   []uint32
}

// New returns a zeroed tensor. It returns an error wrapping ErrShape when the
// shape has negative axes or is too large.
func New(t DType, shape ...int64) (Tensor, error) {
	n, err := Shape(shape).Elements()
	if err != nil {
		return Tensor{}, err
	}
	if t == String {
		return Tensor{DType: t, Shape: shape, Strings: make([]string, n)}, nil
	}
	if t.Size() == 0 {
		return Tensor{}, fmt.Errorf("%w: no element type %v", ErrShape, t)
	}
	return Tensor{DType: t, Shape: shape, Data: aligned(n * t.Size())}, nil
}

// aligned returns n zero bytes that start at a multiple of 8, so that they can
// be read as any element type.
func aligned(n int) []byte {
	if n == 0 {
		return []byte{}
	}
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)[:n:n]
}

// Element lists the Go types that can view a tensor's data.
type Element interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | bool
}

// From wraps values (not copied) as a tensor of the given shape. 16-bit floats
// are built from uint16 bit patterns with FromBits.
func From[T Element](values []T, shape ...int64) (Tensor, error) {
	t := dtypeOf[T]()
	return fromBits(t, values, shape)
}

// FromBits wraps 16-bit patterns (not copied) as Float16 or BFloat16.
func FromBits(t DType, values []uint16, shape ...int64) (Tensor, error) {
	if t != Float16 && t != BFloat16 {
		return Tensor{}, fmt.Errorf("%w: %v is not a 16-bit float", ErrShape, t)
	}
	return fromBits(t, values, shape)
}

func fromBits[T Element](t DType, values []T, shape Shape) (Tensor, error) {
	n, err := shape.Elements()
	if err != nil {
		return Tensor{}, err
	}
	if n != len(values) {
		return Tensor{}, fmt.Errorf("%w: %d values for shape %v", ErrShape, len(values), shape)
	}
	if n == 0 {
		return Tensor{DType: t, Shape: shape, Data: []byte{}}, nil
	}
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), n*t.Size())
	return Tensor{DType: t, Shape: shape, Data: data}, nil
}

// FromStrings wraps values (not copied) as a String tensor.
func FromStrings(values []string, shape ...int64) (Tensor, error) {
	n, err := Shape(shape).Elements()
	if err != nil {
		return Tensor{}, err
	}
	if n != len(values) {
		return Tensor{}, fmt.Errorf("%w: %d strings for shape %v", ErrShape, len(values), Shape(shape))
	}
	return Tensor{DType: String, Shape: shape, Strings: values}, nil
}

// FromDictionary wraps a dictionary and one place in it for each element (not
// copied) as a String tensor.
func FromDictionary(dictionary []string, codes []uint32, shape ...int64) (Tensor, error) {
	if codes == nil {
		codes = []uint32{}
	}
	t := Tensor{DType: String, Shape: shape, Strings: dictionary, Codes: codes}
	return t, t.Validate()
}

// Plain returns a String tensor's elements written out, one string each; other
// tensors as they are.
func (t Tensor) Plain() Tensor {
	if t.Codes == nil {
		return t
	}
	out := make([]string, len(t.Codes))
	for i, k := range t.Codes {
		out[i] = t.Strings[k]
	}
	t.Strings, t.Codes = out, nil
	return t
}

// View returns the tensor's elements as a Go slice that shares its memory, or
// nil when T does not fit the element type. Float16 and BFloat16 are viewed as
// uint16. Data that came from elsewhere and is not aligned is copied first.
func View[T Element](t Tensor) []T {
	want := dtypeOf[T]()
	ok := want == t.DType || (want == Uint16 && (t.DType == Float16 || t.DType == BFloat16))
	if !ok || t.DType.Size() == 0 {
		return nil
	}
	if len(t.Data) == 0 {
		return []T{}
	}
	p := unsafe.Pointer(unsafe.SliceData(t.Data))
	if uintptr(p)%uintptr(t.DType.Size()) != 0 {
		c := aligned(len(t.Data))
		copy(c, t.Data)
		p = unsafe.Pointer(unsafe.SliceData(c))
	}
	return unsafe.Slice((*T)(p), len(t.Data)/t.DType.Size())
}

func dtypeOf[T Element]() DType {
	var z T
	switch any(z).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case int8:
		return Int8
	case int16:
		return Int16
	case int32:
		return Int32
	case int64:
		return Int64
	case uint8:
		return Uint8
	case uint16:
		return Uint16
	case uint32:
		return Uint32
	case uint64:
		return Uint64
	case bool:
		return Bool
	}
	return Invalid
}

// Validate checks that data and shape fit each other. Tensors from outside the
// process (requests, files) are validated before use.
func (t Tensor) Validate() error {
	n, err := t.Shape.Elements()
	if err != nil {
		return err
	}
	if t.DType == String {
		return t.validateStrings(n)
	}
	if t.DType.Size() == 0 {
		return fmt.Errorf("%w: no element type %v", ErrShape, t.DType)
	}
	if len(t.Data) != n*t.DType.Size() {
		return fmt.Errorf("%w: %d bytes for %v%v, want %d", ErrShape, len(t.Data), t.DType, t.Shape, n*t.DType.Size())
	}
	if t.DType == Bool {
		for _, b := range t.Data {
			if b > 1 {
				return fmt.Errorf("%w: a bool element is %d", ErrShape, b)
			}
		}
	}
	return nil
}

// validateStrings checks that there are n strings.
func (t Tensor) validateStrings(n int) error {
	have := len(t.Strings)
	if t.Codes != nil {
		have = len(t.Codes)
	}
	if have != n {
		return fmt.Errorf("%w: %d strings for shape %v", ErrShape, have, t.Shape)
	}
	if most := greatest(t.Codes); len(t.Codes) > 0 && int64(most) >= int64(len(t.Strings)) {
		return fmt.Errorf("%w: place %d in a dictionary of %d", ErrShape, most, len(t.Strings))
	}
	return nil
}

// greatest returns the largest of codes, four at a time: each run checks them.
func greatest(codes []uint32) uint32 {
	var a, b, c, d uint32
	for len(codes) >= 4 {
		a, b, c, d = max(a, codes[0]), max(b, codes[1]), max(c, codes[2]), max(d, codes[3])
		codes = codes[4:]
	}
	for _, k := range codes {
		a = max(a, k)
	}
	return max(a, b, c, d)
}

// Rows returns the extent of axis 0, or 1 for a scalar.
func (t Tensor) Rows() int64 {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[0]
}

// Slice returns rows [from, to) of axis 0, sharing memory.
func (t Tensor) Slice(from, to int64) (Tensor, error) {
	if len(t.Shape) == 0 || from < 0 || to < from || to > t.Shape[0] {
		return Tensor{}, fmt.Errorf("%w: rows %d:%d of %v", ErrShape, from, to, t.Shape)
	}
	shape := append(Shape{to - from}, t.Shape[1:]...)
	row := 1
	for _, d := range t.Shape[1:] {
		row *= int(d)
	}
	out := Tensor{DType: t.DType, Shape: shape}
	switch {
	case t.Codes != nil:
		out.Strings, out.Codes = t.Strings, t.Codes[int(from)*row:int(to)*row]
		return out, nil
	case t.DType == String:
		out.Strings = t.Strings[int(from)*row : int(to)*row]
		return out, nil
	}
	row *= t.DType.Size()
	out.Data = t.Data[int(from)*row : int(to)*row : int(to)*row]
	return out, nil
}

// Concat joins tensors along axis 0. All must have the same element type and
// the same remaining axes; a single tensor is returned as it is.
func Concat(parts ...Tensor) (Tensor, error) {
	if len(parts) == 0 {
		return Tensor{}, fmt.Errorf("%w: nothing to join", ErrShape)
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	first := parts[0]
	if len(first.Shape) == 0 {
		return Tensor{}, fmt.Errorf("%w: scalars have no axis to join", ErrShape)
	}
	rows := int64(0)
	for _, p := range parts {
		if p.DType != first.DType || len(p.Shape) != len(first.Shape) || !p.Shape[1:].Equal(first.Shape[1:]) {
			return Tensor{}, fmt.Errorf("%w: %v%v does not join %v%v", ErrShape, p.DType, p.Shape, first.DType, first.Shape)
		}
		rows += p.Shape[0]
	}
	out, err := New(first.DType, append(Shape{rows}, first.Shape[1:]...)...)
	if err != nil {
		return Tensor{}, err
	}
	at := 0
	for _, p := range parts {
		if first.DType == String {
			at += copy(out.Strings[at:], p.Plain().Strings)
		} else {
			at += copy(out.Data[at:], p.Data)
		}
	}
	return out, nil
}

// Float32s converts any numeric tensor to float32 values. It returns nil for
// String tensors.
func (t Tensor) Float32s() []float32 {
	switch t.DType {
	case Float32:
		return View[float32](t)
	case Float64:
		return convert(View[float64](t))
	case Float16:
		return mapBits(View[uint16](t), Float16ToFloat32)
	case BFloat16:
		return mapBits(View[uint16](t), BFloat16ToFloat32)
	case Int8:
		return convert(View[int8](t))
	case Int16:
		return convert(View[int16](t))
	case Int32:
		return convert(View[int32](t))
	case Int64:
		return convert(View[int64](t))
	case Uint8:
		return convert(View[uint8](t))
	case Uint16:
		return convert(View[uint16](t))
	case Uint32:
		return convert(View[uint32](t))
	case Uint64:
		return convert(View[uint64](t))
	case Bool:
		return convert(t.Data)
	}
	return nil
}

func convert[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float64](in []T) []float32 {
	out := make([]float32, len(in))
	for i, v := range in {
		out[i] = float32(v)
	}
	return out
}

func mapBits(in []uint16, f func(uint16) float32) []float32 {
	out := make([]float32, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
