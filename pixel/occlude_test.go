package pixel

import (
	"bytes"
	"errors"
	"testing"

	"github.com/scry-ml/scry/tensor"
)

// What is covered has the model's mean, or mid-grey; all else stays.
func TestCover(t *testing.T) {
	src := &RGB{W: 9, H: 7, Pix: noise(5, 3*9*7)}
	base := Preprocess{Width: 6, Height: 5}
	means := base
	means.Scale, means.Mean, means.Std = 1.0/255, [3]float32{0.5, 0.4, 0.3}, [3]float32{0.2, 0.2, 0.25}
	for name, c := range map[string]struct {
		change func(p *Preprocess)
		want   float32
	}{
		"mean":      {func(p *Preprocess) { *p = means }, 0},
		"mean BGR":  {func(p *Preprocess) { *p = means; p.Channels = ChannelsBGR }, 0},
		"NHWC":      {func(p *Preprocess) { p.Layout = NHWC }, 127.5},
		"no mean":   {func(*Preprocess) {}, 127.5},
		"scaled":    {func(p *Preprocess) { p.Scale = 1.0 / 255 }, 0.5},
		"grey":      {func(p *Preprocess) { p.Channels = ChannelsGray }, 127.5},
		"float16":   {func(p *Preprocess) { p.DType = tensor.Float16 }, 127.5},
		"uint8":     {func(p *Preprocess) { p.DType = tensor.Uint8 }, 128},
		"any sides": {func(p *Preprocess) { *p = Preprocess{Resize: KeepSize} }, 127.5},
	} {
		p := base
		c.change(&p)
		whole, err := p.Apply(src)
		if err != nil {
			t.Fatal(name, err)
		}
		covered, _ := p.Apply(src)
		if err := p.Cover(covered, 1, 2, 4, 5); err != nil {
			t.Fatal(name, err)
		}
		w, h, err := p.Size(covered)
		if err != nil {
			t.Fatal(name, err)
		}
		was, is, n := whole.Float32s(), covered.Float32s(), p.Channels.count()
		for y := range h {
			for x := range w {
				for ch := range n {
					i := (ch*h+y)*w + x
					if p.Layout == NHWC {
						i = (y*w+x)*n + ch
					}
					want := was[i]
					if x >= 1 && x < 4 && y >= 2 && y < 5 {
						want = c.want
					}
					if is[i] != want {
						t.Fatalf("%s: (%d, %d) channel %d is %v, want %v", name, x, y, ch, is[i], want)
					}
				}
			}
		}
		before := bytes.Clone(covered.Data)
		if err := p.Cover(covered, 0, 0, w+1, 1); !errors.Is(err, tensor.ErrShape) || !bytes.Equal(before, covered.Data) {
			t.Errorf("%s: beyond the edge: %v", name, err)
		}
	}
	other, _ := tensor.New(tensor.Float32, 1, 3, 4, 4)
	if err := base.Cover(other, 0, 0, 1, 1); !errors.Is(err, tensor.ErrShape) {
		t.Error(err)
	}
}

func TestView(t *testing.T) {
	for name, c := range map[string]struct {
		p    Preprocess
		w, h int
		want View
	}{
		"stretched":   {Preprocess{Width: 10, Height: 10}, 200, 100, View{0, 0, 200, 100}},
		"middle":      {Preprocess{Resize: ShortestEdge, Width: 50, CropWidth: 50, CropHeight: 50}, 200, 100, View{50, 0, 150, 100}},
		"smaller":     {Preprocess{Resize: ShortestEdge, Width: 50, CropWidth: 40, CropHeight: 40}, 100, 100, View{10, 10, 90, 90}},
		"letterboxed": {Preprocess{Resize: Letterbox, Width: 50, Height: 50}, 200, 100, View{0, -48, 200, 152}},
		"as it is":    {Preprocess{Resize: KeepSize}, 30, 20, View{0, 0, 30, 20}},
	} {
		if got, err := c.p.View(c.w, c.h); err != nil || got != c.want {
			t.Errorf("%s: %v %v, want %v", name, got, err, c.want)
		}
	}
}
