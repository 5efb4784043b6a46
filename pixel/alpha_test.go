package pixel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
)

// Opacities equal Pillow's (scripts/pixel/make_looks.py), the pixels those of
// Decode.
func TestAlphaEqualsPillow(t *testing.T) {
	var list []struct{ Name, Alpha string }
	if err := json.Unmarshal(readTestdata(t, "looks.json"), &list); err != nil {
		t.Fatal(err)
	}
	transparent := 0
	for _, p := range list {
		data := testPicture(t, p.Name)
		plain, info, err := Decode(context.Background(), data, Limits{})
		if err != nil {
			t.Fatal(p.Name, err)
		}
		img, _, err := decodeAlpha(context.Background(), data, Limits{})
		if err != nil {
			t.Fatal(p.Name, err)
		}
		if !bytes.Equal(img.Pix, plain.Pix) || plain.A != nil {
			t.Errorf("%s: alpha changes the pixels, or is there unasked", p.Name)
		}
		if p.Alpha == "" {
			if bytes.ContainsFunc(img.A, func(r rune) bool { return r != 255 && r != 0xfffd }) {
				t.Errorf("%s has opacities", p.Name)
			}
			continue
		}
		transparent++
		if img.A == nil || digest(img.A) != p.Alpha {
			t.Errorf("%s: opacities differ from Pillow's", p.Name)
		}
		got := allocatedBytes(func() { _, _, err = decodeAlpha(context.Background(), data, Limits{}) })
		if int64(got) > info.Memory+info.AlphaMemory {
			t.Errorf("%s: %d bytes allocated, %d + %d announced", p.Name, got, info.Memory, info.AlphaMemory)
		}
		limits := Limits{MaxMemory: info.Memory + info.AlphaMemory - 1}
		if _, _, err := decodeAlpha(context.Background(), data, limits); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", p.Name, err)
		}
	}
	if transparent < 8 {
		t.Errorf("%d transparent pictures", transparent)
	}
}

// Opacities turn with their pixels.
func TestOrientAlpha(t *testing.T) {
	const w, h = 5, 3
	for o := 1; o <= 8; o++ {
		src := NewRGB(w, h)
		src.A = make([]byte, w*h)
		for i := range src.A {
			src.A[i], src.Pix[3*i] = byte(i), byte(i)
		}
		dst := orient(src, o)
		for i, a := range dst.A {
			if a != dst.Pix[3*i] {
				t.Fatalf("orientation %d: the opacity at %d is that of %d, the pixel that of %d", o, i, a, dst.Pix[3*i])
			}
		}
	}
}

// Filters of alpha are undone; what they predicted is written here by hand.
func TestAlphaFilters(t *testing.T) {
	want := []byte{10, 20, 30, 15, 100, 200, 250, 3, 9}
	for filter, data := range [][]byte{
		{10, 20, 30, 15, 100, 200, 250, 3, 9},
		{10, 10, 10, 5, 85, 100, 235, 9, 6},
		{10, 10, 10, 5, 80, 170, 235, 159, 65},
		{10, 10, 10, 5, 75, 90, 235, 4, 162},
	} {
		got, err := decodeALPH(context.Background(), append([]byte{byte(filter << 2)}, data...), 3, 3)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("filter %d: %v, %v, want %v", filter, got, err, want)
		}
	}
	for _, bad := range [][]byte{nil, {0}, {0, 1, 2}, {1, 0xff}, {2}} {
		if _, err := decodeALPH(context.Background(), bad, 3, 3); err == nil {
			t.Errorf("%v is decoded", bad)
		}
	}
}

// decodeAlpha is Decode with the opacities.
func decodeAlpha(ctx context.Context, data []byte, limits Limits) (*RGB, Info, error) {
	return decodeInto(ctx, data, limits, &buffer{alpha: true})
}
