package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pixel"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// Limits bound what an item may cost before it reaches a model. A zero field
// stands for its default.
type Limits struct {
	// TextBytes of one text; default 1 MiB.
	TextBytes int
	// Image bounds one picture.
	Image pixel.Limits
	// Decoding bounds all pictures together; nil for no bound.
	Decoding *Decoding
}

// DefaultTextBytes is the default of Limits.TextBytes.
const DefaultTextBytes = 1 << 20

// Pipeline turns what callers send into the inputs of one bundle. It is safe
// for concurrent use.
type Pipeline struct {
	bundle *bundle.Bundle
	limits Limits
	row    *rowPlan
	// The rows that explanations compare with; nil when there are none.
	background *Item
	typical    *Item // the background with its strings as dictionaries
	// The items of the catalogue; nil when there are none.
	items *bundle.Items
	text  *textPlan
	image *imagePlan
	crops map[string]cropPlan // by graph; empty when none takes parts of pictures
	parts bool                // whether a head finds parts of pictures, or a graph takes any
}

// New loads what a bundle's preprocessing needs. Errors wrap
// bundle.ErrInvalid.
func New(b *bundle.Bundle, limits Limits) (*Pipeline, error) {
	if limits.TextBytes == 0 {
		limits.TextBytes = DefaultTextBytes
	}
	if n := b.Manifest.GetLimits().GetMaxItemBytes(); n > 0 {
		limits.TextBytes = int(min(n, int64(limits.TextBytes)))
		bytes := limits.Image.MaxBytes
		if bytes == 0 {
			bytes = pixel.DefaultMaxBytes
		}
		limits.Image.MaxBytes = int(min(n, int64(bytes)))
	}
	p := &Pipeline{bundle: b, limits: limits}
	var err error
	if p.items, err = b.ReadItems(); err != nil {
		return nil, err
	}
	switch b.Manifest.GetPreprocessing().(type) {
	case *bundlev1.Manifest_Row:
		if p.row, err = newRowPlan(b, p.items); err == nil {
			p.background, err = p.newBackground()
		}
	case *bundlev1.Manifest_Text:
		p.text, err = newTextPlan(b)
	case *bundlev1.Manifest_Image:
		if p.image, err = newImagePlan(b.Manifest.GetImage(), b.Inputs()[0]); err == nil {
			p.crops, err = newCropPlans(b)
		}
		p.parts = len(p.crops) > 0
		for _, h := range b.Manifest.GetHeads() {
			p.parts = p.parts || h.GetFaces() != nil
		}
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Bundle returns the bundle.
func (p *Pipeline) Bundle() *bundle.Bundle { return p.bundle }

// Items are the items of the catalogue; nil when the bundle has none.
func (p *Pipeline) Items() *bundle.Items { return p.items }

// CheckCount refuses more items in one call than the manifest allows with an
// *InputError that names the field.
func (p *Pipeline) CheckCount(field string, n int) error {
	if most := int(p.bundle.Manifest.GetLimits().GetMaxItems()); most > 0 && n > most {
		return &InputError{Field: field, Reason: "TOO_MANY_ITEMS", Message: fmt.Sprintf("%d items, the model's limit is %d", n, most)}
	}
	return nil
}

// PadValue returns what the padding of an input's sequence axis is filled with.
func (p *Pipeline) PadValue(input string) float64 {
	for _, g := range p.bundle.Manifest.GetGraphs() {
		if port := g.GetInputs()[input]; port.GetPadValue() != 0 {
			return port.GetPadValue()
		}
	}
	if p.text != nil && input == p.text.ids {
		return float64(p.text.padID)
	}
	if p.row != nil {
		return p.row.padValue(input)
	}
	return 0
}

// Golden maps the input of a golden sample.
func (p *Pipeline) Golden(ctx context.Context, g *bundlev1.Golden) (Item, error) {
	switch in := g.GetInput().(type) {
	case *bundlev1.Golden_Features:
		item, _, err := p.Row(in.Features)
		return item, err
	case *bundlev1.Golden_Text:
		return p.Text(in.Text)
	case *bundlev1.Golden_Image:
		data, err := fs.ReadFile(p.bundle.FS, in.Image)
		if err != nil {
			return Item{}, fmt.Errorf("%w: golden picture cannot be read", bundle.ErrInvalid)
		}
		picture, err := p.Image(ctx, data)
		return picture.Item, err
	case *bundlev1.Golden_Tensors:
		return p.tensors(in.Tensors)
	}
	return Item{}, errors.New("a golden sample without input")
}

// tensors maps named values to inputs by the types that the graph declares.
func (p *Pipeline) tensors(t *bundlev1.Tensors) (Item, error) {
	inputs := p.bundle.Inputs()
	item := Item{Inputs: make([]tensor.Tensor, len(inputs)), Rows: 1}
	for i, v := range inputs {
		field := fmt.Sprintf("tensors.inputs[%q]", v.Name)
		values, ok := t.GetInputs()[v.Name]
		if !ok {
			return Item{}, &InputError{Field: field, Reason: "INPUT_MISSING", Message: "the graph needs it"}
		}
		var err error
		if item.Inputs[i], err = tensorOf(v, values); err != nil {
			return Item{}, &InputError{Field: field, Reason: "INPUT_INVALID", Message: err.Error()}
		}
		if len(item.Inputs[i].Shape) > 0 {
			item.Rows = int(item.Inputs[i].Shape[0])
		}
	}
	return item, nil
}

// tensorOf lays values out as an input's type.
func tensorOf(v bundle.Value, values *bundlev1.Values) (tensor.Tensor, error) {
	n := len(values.GetValues())
	if v.DType == tensor.String {
		n = len(values.GetStrings())
	}
	shape, err := fill(v, values.GetShape(), n)
	if err != nil {
		return tensor.Tensor{}, err
	}
	// Before memory is taken for it.
	if want, err := shape.Elements(); err != nil || want != n {
		return tensor.Tensor{}, fmt.Errorf("%w: %d values for shape %v", tensor.ErrShape, n, shape)
	}
	t, err := tensor.New(v.DType, shape...)
	if err != nil {
		return tensor.Tensor{}, err
	}
	copy(t.Strings, values.GetStrings())
	c := cellsOf(t)
	for k, x := range values.GetValues() {
		fits := true
		switch {
		case v.DType.IsFloat():
			fits = c.float(k, x)
		case v.DType == tensor.String:
			fits = false
		case v.DType == tensor.Bool:
			c.bool(k, x != 0)
			fits = x == 0 || x == 1
		default:
			fits = x == math.Trunc(x) && math.Abs(x) <= maxExact && c.int(k, int64(x))
		}
		if !fits {
			return tensor.Tensor{}, fmt.Errorf("%w: values[%d] does not fit %v", tensor.ErrShape, k, v.DType)
		}
	}
	return t, nil
}

// fill completes a declared shape: axis 0 is one item, and one other free axis
// takes what is left of n elements.
func fill(v bundle.Value, given []int64, n int) (tensor.Shape, error) {
	if len(given) > 0 {
		return append(tensor.Shape{}, given...), nil
	}
	shape := append(tensor.Shape{}, v.Shape...)
	free, known := -1, int64(1)
	for axis, d := range shape {
		switch {
		case d >= 0:
			known *= d
		case axis == 0:
			shape[0] = 1
		case free < 0:
			free = axis
		default:
			return nil, fmt.Errorf("%w: %v has several free axes, so the sample must give its shape", tensor.ErrShape, v.Shape)
		}
	}
	if free >= 0 {
		if known == 0 || int64(n)%known != 0 {
			return nil, fmt.Errorf("%w: %d values for shape %v", tensor.ErrShape, n, v.Shape)
		}
		shape[free] = int64(n) / known
	}
	return shape, nil
}
