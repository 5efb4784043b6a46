package pixel

import (
	"fmt"

	"github.com/scry-ml/scry/tensor"
)

// View is a part of a picture, in its pixels. It goes beyond the picture's edges
// where a tensor has a border.
type View struct{ X0, Y0, X1, Y1 float64 }

// View returns the part of a picture of w × h pixels that its tensor shows.
func (p Preprocess) View(w, h int) (View, error) {
	if err := p.Validate(); err != nil {
		return View{}, err
	}
	win, err := p.window(w, h, Limits{})
	if err != nil {
		return View{}, err
	}
	sx, sy := float64(w)/float64(win.fullW), float64(h)/float64(win.fullH)
	return View{
		X0: float64(win.x) * sx, Y0: float64(win.y) * sy,
		X1: float64(win.x+win.w) * sx, Y1: float64(win.y+win.h) * sy,
	}, nil
}

// Size returns the width and height of the picture that a tensor of Tensor or
// Apply shows.
func (p Preprocess) Size(t tensor.Tensor) (w, h int, err error) {
	want := p.Shape()
	fits := len(t.Shape) == len(want) && t.DType == p.dtype()
	for i, d := range want {
		fits = fits && (d < 0 || t.Shape[i] == d)
	}
	if !fits {
		return 0, 0, fmt.Errorf("%w: %v%v is no picture of these settings", tensor.ErrShape, t.DType, t.Shape)
	}
	h, w = int(t.Shape[2]), int(t.Shape[3])
	if p.Layout == NHWC {
		h, w = int(t.Shape[1]), int(t.Shape[2])
	}
	return w, h, t.Validate()
}

// Cover hides the pixels [x0, x1) × [y0, y1) of a tensor of Tensor or Apply under
// the mean colour that the model was trained with, Mean, or under mid-grey where
// there is none.
func (p Preprocess) Cover(t tensor.Tensor, x0, y0, x1, y1 int) error {
	w, h, err := p.Size(t)
	if err != nil {
		return err
	}
	if x0 < 0 || y0 < 0 || x1 > w || y1 > h {
		return fmt.Errorf("%w: [%d, %d) × [%d, %d) of %d × %d pixels", tensor.ErrShape, x0, x1, y0, y1, w, h)
	}
	var values [3]float32 // by channel; a model's mean is what it sees as 0
	if p.Mean == [3]float32{} {
		for c, std := range p.std() {
			values[c] = 127.5 * p.scale() / std
		}
	}
	switch t.DType {
	case tensor.Float32:
		cover(p, tensor.View[float32](t), w, h, x0, y0, x1, y1, values)
	case tensor.Float16:
		var halves [3]uint16
		for c, v := range values {
			halves[c] = tensor.Float32ToFloat16(v)
		}
		cover(p, tensor.View[uint16](t), w, h, x0, y0, x1, y1, halves)
	case tensor.Uint8:
		cover(p, t.Data, w, h, x0, y0, x1, y1, [3]uint8{128, 128, 128})
	}
	return nil
}

func cover[T any](p Preprocess, dst []T, w, h, x0, y0, x1, y1 int, values [3]T) {
	channels := p.Channels.count()
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			for c := range channels {
				if p.Layout == NHWC {
					dst[(y*w+x)*channels+c] = values[c]
				} else {
					dst[(c*h+y)*w+x] = values[c]
				}
			}
		}
	}
}
