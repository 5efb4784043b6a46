package tensor

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for name, c := range map[string]Tensor{
		"short data":    {DType: Float32, Shape: Shape{2}, Data: make([]byte, 7)},
		"negative axis": {DType: Float32, Shape: Shape{-1}, Data: nil},
		"overflow":      {DType: Uint8, Shape: Shape{1 << 40, 1 << 40}},
		"no type":       {Shape: Shape{1}, Data: make([]byte, 4)},
		"bool of 2":     {DType: Bool, Shape: Shape{1}, Data: []byte{2}},
		"few strings":   {DType: String, Shape: Shape{2}, Strings: []string{"a"}},
	} {
		if err := c.Validate(); !errors.Is(err, ErrShape) {
			t.Errorf("%s: %v, want ErrShape", name, err)
		}
	}
	for _, c := range []Tensor{
		{DType: Int64, Shape: Shape{}, Data: make([]byte, 8)},
		{DType: Int64, Shape: Shape{0, 5}, Data: nil},
		{DType: String, Shape: Shape{1}, Strings: []string{""}},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%v%v: %v", c.DType, c.Shape, err)
		}
	}
}

func TestSliceAndConcat(t *testing.T) {
	a, err := From([]int32{1, 2, 3, 4, 5, 6}, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	head, err := a.Slice(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	tail, err := a.Slice(1, 3)
	if err != nil {
		t.Fatal(err)
	}
	joined, err := Concat(tail, head)
	if err != nil {
		t.Fatal(err)
	}
	if got := View[int32](joined); !joined.Shape.Equal(Shape{3, 2}) || got[0] != 3 || got[4] != 1 {
		t.Errorf("%v %v", joined.Shape, got)
	}
	if _, err := a.Slice(2, 4); !errors.Is(err, ErrShape) {
		t.Errorf("beyond the end: %v", err)
	}
	other, _ := New(Int32, 1, 3)
	if _, err := Concat(a, other); !errors.Is(err, ErrShape) {
		t.Errorf("other columns: %v", err)
	}
	if View[int64](a) != nil {
		t.Error("an int32 tensor was viewed as int64")
	}
}

// TestDictionary wants a dictionary to be cut and joined as what it stands for.
func TestDictionary(t *testing.T) {
	x, err := FromDictionary([]string{"a", "b"}, []uint32{1, 0, 1, 1, 0}, 5, 1)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := x.Slice(1, 3)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := FromStrings([]string{"c", "d"}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	joined, err := Concat(cut, plain, x)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(joined.Plain().Strings, ""); got != "abcdbabba" || joined.Validate() != nil || cut.Validate() != nil {
		t.Errorf("%s %v %v", got, joined.Validate(), cut.Validate())
	}
	if p := x.Plain(); p.Codes != nil || p.Validate() != nil || len(x.Codes) != 5 {
		t.Errorf("%+v of %+v", p, x)
	}
	for at := range 6 { // wherever the bad place lies
		codes := make([]uint32, 6)
		codes[at] = 2
		if _, err := FromDictionary([]string{"a", "b"}, codes, 6); !errors.Is(err, ErrShape) {
			t.Errorf("place 2 of 2 at %d: %v", at, err)
		}
	}
	if _, err := FromDictionary([]string{"a"}, []uint32{0}, 2); !errors.Is(err, ErrShape) {
		t.Errorf("one place for two: %v", err)
	}
	if _, err := FromDictionary(nil, nil, 0, 1); err != nil {
		t.Error(err)
	}
}

func TestViewOfUnalignedData(t *testing.T) {
	raw := make([]byte, 17)
	raw[1] = 7
	got := View[int64](Tensor{DType: Int64, Shape: Shape{2}, Data: raw[1:]})
	if len(got) != 2 || got[0] != 7 {
		t.Errorf("%v", got)
	}
}

// TestFloat16 goes over every 16-bit pattern: widening and rounding back must
// return it.
func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		bits := uint16(h)
		f := Float16ToFloat32(bits)
		back := Float32ToFloat16(f)
		if math.IsNaN(float64(f)) {
			if !math.IsNaN(float64(Float16ToFloat32(back))) {
				t.Fatalf("%#04x: NaN became %v", bits, Float16ToFloat32(back))
			}
			continue
		}
		if back != bits {
			t.Fatalf("%#04x widened to %v and came back as %#04x", bits, f, back)
		}
		if b := BFloat16ToFloat32(bits); !math.IsNaN(float64(b)) && Float32ToBFloat16(b) != bits {
			t.Fatalf("bfloat16 %#04x came back as %#04x", bits, Float32ToBFloat16(b))
		}
	}
	for f, want := range map[float32]uint16{
		1: 0x3c00, -2: 0xc000, 65504: 0x7bff, 65519: 0x7bff, 65520: 0x7c00,
		5.9604645e-8: 1, 2.9802322e-8: 0, 2.9802326e-8: 1, // half of the least: ties to even
		1 + 1.0/2048: 0x3c00, 1 + 3.0/2048: 0x3c02,
	} {
		if got := Float32ToFloat16(f); got != want {
			t.Errorf("%v: %#04x, want %#04x", f, got, want)
		}
	}
}
