package pixel_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/scry-ml/scry/pixel"
)

// slope is a picture whose values are linear: between its pixels, too, every
// place has a value of its own.
func slope(w, h int) *pixel.RGB {
	img := pixel.NewRGB(w, h)
	for i := range w * h {
		x, y := i%w, i/w
		img.Pix[3*i], img.Pix[3*i+1], img.Pix[3*i+2] = uint8(2*x), uint8(3*y), uint8(x+y)
	}
	return img
}

// TestStraighten: what lies straight is what Crop cuts; turned rectangles hold the
// values of the places that they show; the edges go on beyond the picture.
func TestStraighten(t *testing.T) {
	src := slope(60, 50)
	got := pixel.Straighten(src, [4]pixel.Point{{X: 10, Y: 5}, {X: 30, Y: 5}, {X: 30, Y: 15}, {X: 10, Y: 15}}, 20, 10)
	if want := pixel.Crop(src, 10, 5, 20, 10); !bytes.Equal(got.Pix, want.Pix) {
		t.Error("a straight rectangle is not what Crop cuts")
	}
	// A quarter turn: the upper left of what is written is at the upper right.
	got = pixel.Straighten(src, [4]pixel.Point{{X: 30, Y: 5}, {X: 30, Y: 25}, {X: 20, Y: 25}, {X: 20, Y: 5}}, 20, 10)
	for y := range 10 {
		for x := range 20 {
			if p := got.Pix[3*(y*20+x):]; p[0] != uint8(2*(29-y)) || p[1] != uint8(3*(5+x)) {
				t.Fatalf("pixel (%d, %d) is %v", x, y, p[:3])
			}
		}
	}
	sin, cos := math.Sincos(0.3)
	at := func(a, b float64) pixel.Point { return pixel.Point{X: 25 + a*cos - b*sin, Y: 12 + a*sin + b*cos} }
	got = pixel.Straighten(src, [4]pixel.Point{at(0, 0), at(24, 0), at(24, 12), at(0, 12)}, 48, 12)
	for y := range 12 {
		for x := range 48 {
			p := at((float64(x)+0.5)/2, float64(y)+0.5)
			want := [3]float64{2 * (p.X - 0.5), 3 * (p.Y - 0.5), p.X + p.Y - 1}
			for c := range 3 {
				if v := float64(got.Pix[3*(y*48+x)+c]); math.Abs(v-want[c]) > 0.51 {
					t.Fatalf("pixel (%d, %d) has %v in channel %d, want %v", x, y, v, c, want[c])
				}
			}
		}
	}
	got = pixel.Straighten(src, [4]pixel.Point{{X: -30, Y: -30}, {X: -10, Y: -30}, {X: -10, Y: -10}, {X: -30, Y: -10}}, 2, 2)
	if !bytes.Equal(got.Pix, make([]byte, 12)) {
		t.Errorf("beyond the corner there is %v, want the corner's black", got.Pix)
	}
}
