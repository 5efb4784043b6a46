package pipeline

import (
	"fmt"
	"math"
	"slices"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pixel"
	"github.com/scry-ml/scry/tensor"
)

// cropEdge is the longer side of what is kept of a picture for its crops: it
// bounds their memory, and more than that no network looks at.
const cropEdge = 1280

// cropPlan is the preprocessing of the parts of pictures that a graph takes.
type cropPlan struct {
	*imagePlan
	margin float64
	square bool
	// longestLine is the most pixels that a line of text may be long; 0 = parts
	// are no lines.
	longestLine int
}

func newCropPlans(b *bundle.Bundle) (map[string]cropPlan, error) {
	plans := map[string]cropPlan{}
	for _, s := range b.Steps {
		if s.Crop == nil {
			continue
		}
		image, err := newImagePlan(s.Crop.GetImage(), b.Graphs[s.Graph].Inputs[0])
		if err != nil {
			return nil, fmt.Errorf("crop of graph %s: %w", s.Graph, err)
		}
		plans[s.Graph] = cropPlan{image, s.Crop.GetMargin(), s.Crop.GetSquare(), int(s.Crop.GetMaxLineWidth())}
	}
	return plans, nil
}

// Rect is a rectangle of a picture, in its pixels.
type Rect struct{ Left, Top, Right, Bottom float64 }

// Area is 0 for a rectangle that is none.
func (r Rect) Area() float64 { return max(0, r.Right-r.Left) * max(0, r.Bottom-r.Top) }

// Overlap is intersection over union.
func (r Rect) Overlap(o Rect) float64 {
	both := Rect{max(r.Left, o.Left), max(r.Top, o.Top), min(r.Right, o.Right), min(r.Bottom, o.Bottom)}.Area()
	if both == 0 {
		return 0
	}
	return both / (r.Area() + o.Area() - both)
}

// Crops is what is kept of a picture so that parts of it can be cut out, and
// where the model's input shows it.
type Crops struct {
	// Width and Height are the picture's, in pixels.
	Width, Height int

	plans map[string]cropPlan
	copy  *pixel.RGB
	view  pixel.View // what the input shows
}

// newCrops copies a picture, made smaller if need be.
func (p *Pipeline) newCrops(img *pixel.RGB) (*Crops, error) {
	view, err := p.image.prepare.View(img.W, img.H)
	if err != nil {
		return nil, err
	}
	c := &Crops{Width: img.W, Height: img.H, plans: p.crops, view: view}
	if long := max(img.W, img.H); long > cropEdge {
		c.copy = pixel.Resize(img, max(1, img.W*cropEdge/long), max(1, img.H*cropEdge/long), pixel.Bilinear)
	} else {
		c.copy = &pixel.RGB{W: img.W, H: img.H, Pix: append([]byte(nil), img.Pix...)}
	}
	return c, nil
}

// Point returns a place in the model's input, in fractions of its sides, as one in
// the picture, out of which it may reach.
func (c *Crops) Point(x, y float64) pixel.Point {
	return pixel.Point{X: c.view.X0 + x*(c.view.X1-c.view.X0), Y: c.view.Y0 + y*(c.view.Y1-c.view.Y0)}
}

// Clamp returns the place within the picture that is nearest.
func (c *Crops) Clamp(p pixel.Point) pixel.Point {
	return pixel.Point{X: min(max(p.X, 0), float64(c.Width)), Y: min(max(p.Y, 0), float64(c.Height))}
}

// Rect returns a rectangle of the model's input, in fractions of its sides, as
// one of the picture, of which it does not reach out.
func (c *Crops) Rect(left, top, right, bottom float64) Rect {
	p, q := c.Clamp(c.Point(left, top)), c.Clamp(c.Point(right, bottom))
	return Rect{p.X, p.Y, q.X, q.Y}
}

// Cuttable tells whether a part is neither empty nor too long and thin to be cut
// out.
func (r Rect) Cuttable() bool {
	w, h := r.Right-r.Left, r.Bottom-r.Top
	return w > 0 && h > 0 && max(w, h) <= longest*min(w, h)
}

// longest is how many times its shorter side a part may be long: a square
// around a longer one would take more memory than its picture.
const longest = 4

// Cut prepares a part of the picture for a graph that takes crops. at is what
// the graph sees, in the picture's pixels. Errors wrap ErrInput.
func (c *Crops) Cut(graph string, part Rect) (item Item, at Rect, err error) {
	plan, ok := c.plans[graph]
	if !ok || plan.longestLine > 0 {
		return Item{}, Rect{}, fmt.Errorf("%w: graph %s takes no such crops", ErrInput, graph)
	}
	sx, sy := float64(c.copy.W)/float64(c.Width), float64(c.copy.H)/float64(c.Height)
	w, h := (part.Right-part.Left)*sx, (part.Bottom-part.Top)*sy
	if !part.Cuttable() {
		return Item{}, Rect{}, fmt.Errorf("%w: a part of %.0f × %.0f pixels", ErrInput, w, h)
	}
	x, y := (part.Left+part.Right)/2*sx, (part.Top+part.Bottom)/2*sy
	grown := 2 * plan.margin * max(w, h)
	if plan.square {
		w, h = max(w, h), max(w, h)
	}
	w, h = w+grown, h+grown
	left, top := int(math.Round(x-w/2)), int(math.Round(y-h/2))
	right, bottom := max(left+1, int(math.Round(x+w/2))), max(top+1, int(math.Round(y+h/2)))
	t, err := plan.prepare.Apply(pixel.Crop(c.copy, left, top, right-left, bottom-top))
	if err != nil {
		return Item{}, Rect{}, imageError(err)
	}
	at = Rect{float64(left) / sx, float64(top) / sy, float64(right) / sx, float64(bottom) / sy}
	return Item{Inputs: []tensor.Tensor{t}, Rows: 1}, at, nil
}

// CutLine prepares a line of text for a graph that takes lines: the rectangle with
// these corners, in the picture's pixels, clockwise from the upper left of what is
// written. Errors wrap ErrInput.
func (c *Crops) CutLine(graph string, corners [4]pixel.Point) (Item, error) {
	plan, ok := c.plans[graph]
	if !ok || plan.longestLine == 0 {
		return Item{}, fmt.Errorf("%w: graph %s takes no lines", ErrInput, graph)
	}
	corners, w, h := c.inCopy(corners)
	if !(w > 0 && h > 0 && max(w, h) < math.Inf(1)) {
		return Item{}, fmt.Errorf("%w: a line of %g × %g pixels", ErrInput, w, h)
	}
	height, step := plan.prepare.Height, plan.prepare.Width
	length := plan.lineLength(w, h)
	line := pixel.Straighten(c.copy, corners, enough(w, length), enough(h, height))
	line = pixel.Resize(line, length, height, plan.prepare.Filter)

	prepare := plan.prepare
	prepare.Width = filled(length, step)
	canvas := pixel.NewRGB(prepare.Width, height)
	for y := range height {
		row := canvas.Pix[3*prepare.Width*y:][:3*prepare.Width]
		n := copy(row, line.Pix[3*length*y:][:3*length])
		for k := n; k < len(row); k++ {
			row[k] = 128
		}
	}
	t, err := prepare.Apply(canvas)
	if err != nil {
		return Item{}, imageError(err)
	}
	return Item{Inputs: []tensor.Tensor{t}, Rows: 1}, nil
}

// inCopy returns a line's corners in the copy's pixels, its width and its height.
func (c *Crops) inCopy(corners [4]pixel.Point) (_ [4]pixel.Point, w, h float64) {
	sx, sy := float64(c.copy.W)/float64(c.Width), float64(c.copy.H)/float64(c.Height)
	for i, p := range corners {
		corners[i] = pixel.Point{X: p.X * sx, Y: p.Y * sy}
	}
	return corners, corners[0].Distance(corners[1]), corners[0].Distance(corners[3])
}

// lineLength is how many pixels long a line of w × h becomes.
func (p cropPlan) lineLength(w, h float64) int {
	if length := math.Ceil(float64(p.prepare.Height) * w / h); length < float64(p.longestLine) {
		return max(1, int(length))
	}
	return p.longestLine
}

// filled is the multiple of step that is at least length.
func filled(length, step int) int { return (length + step - 1) / step * step }

// enough is how many of a line's pixels along one side are cut out before they are
// brought to so many: four times as many, or all if there are less. Large places that
// lie over each other would else take seconds.
func enough(have float64, want int) int {
	return int(min(max(1, math.Round(have)), 4*float64(want)))
}

// Bytes is the size of what Cut makes for a graph that takes crops.
func (c *Crops) Bytes(graph string) int64 { return c.plans[graph].bytes() }

// LineBytes is the size of what CutLine makes of a line for a graph that takes lines.
func (c *Crops) LineBytes(graph string, corners [4]pixel.Point) int64 {
	plan := c.plans[graph]
	_, w, h := c.inCopy(corners)
	step := plan.prepare.Width
	return plan.bytes() / int64(step) * int64(filled(plan.lineLength(w, h), step))
}

// PictureShape is the shape of a graph's input that shows a picture, or usually that
// of one cut from pictures; nil when it does neither.
func (p *Pipeline) PictureShape(graph, input string) tensor.Shape {
	if shape := p.CropShape(graph); shape != nil || p.image == nil {
		return shape
	}
	if !slices.ContainsFunc(p.bundle.Inputs(), func(v bundle.Value) bool { return v.Name == input }) {
		return nil // an earlier graph feeds it
	}
	return p.image.prepare.Shape()
}

// CropShape is the usual shape of an input that is cut from pictures; nil when the
// graph takes no crops.
func (p *Pipeline) CropShape(graph string) tensor.Shape {
	plan, ok := p.crops[graph]
	if !ok {
		return nil
	}
	return plan.prepare.Shape()
}
