package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/scry-ml/scry/pixel"
	"github.com/scry-ml/scry/tensor"
)

// Coverable is a prepared picture whose parts can be covered.
type Coverable struct {
	Picture
	// Width and Height of what the model sees, in its pixels.
	Width, Height int
	// Small is the picture at a bounded size, View the part of it that the model
	// sees.
	Small *pixel.RGB
	View  pixel.View

	prepare pixel.Preprocess
}

// Coverable prepares a picture as Image does, and keeps it at a size of at most
// side pixels a side.
func (p *Pipeline) Coverable(ctx context.Context, data []byte, side int) (*Coverable, error) {
	start := time.Now()
	if p.image == nil {
		return nil, fmt.Errorf("%w: the model takes no pictures", ErrInput)
	}
	c := &Coverable{prepare: p.image.prepare}
	var err error
	c.Info, err = p.limits.Decode(ctx, data, false, func(full *pixel.RGB, _ pixel.Info) (err error) {
		if c.Item, err = p.Prepare(full, len(data)); err != nil {
			return err
		}
		if c.Width, c.Height, err = c.prepare.Size(c.Item.Inputs[0]); err != nil {
			return err
		}
		if c.View, err = c.prepare.View(full.W, full.H); err != nil {
			return err
		}
		w, h := full.W, full.H
		if longest := max(w, h); longest > side {
			w, h = max(1, w*side/longest), max(1, h*side/longest)
		}
		c.Small = pixel.Resize(full, w, h, pixel.Box) // a copy: full is lent
		sx, sy := float64(w)/float64(full.W), float64(h)/float64(full.H)
		c.View.X0, c.View.X1 = c.View.X0*sx, c.View.X1*sx
		c.View.Y0, c.View.Y1 = c.View.Y0*sy, c.View.Y1*sy
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.Item.Prepared = time.Since(start)
	return c, nil
}

// Cover returns the picture with the pixels [x0, x1) × [y0, y1) of what the model
// sees hidden under the colour that tells it least.
func (c *Coverable) Cover(x0, y0, x1, y1 int) (Item, error) {
	whole := c.Item.Inputs[0]
	t, err := tensor.New(whole.DType, whole.Shape...)
	if err != nil {
		return Item{}, err
	}
	copy(t.Data, whole.Data)
	if err := c.prepare.Cover(t, x0, y0, x1, y1); err != nil {
		return Item{}, err
	}
	return Item{Inputs: []tensor.Tensor{t}, Rows: 1}, nil
}
