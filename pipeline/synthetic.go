package pipeline

import (
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// Synthetic makes up a valid item, for warming and measuring: the same one for
// the same arguments. length is the extent of sequence axes where the model has
// any, at most what the model takes; 0 takes a usual one. An axis 0 that the
// graph fixes decides the number of rows.
func (p *Pipeline) Synthetic(rows, length int) (Item, error) {
	if length == 0 {
		length = 24
	}
	switch {
	case p.row != nil:
		return p.syntheticRows(rows, length)
	case p.text != nil:
		return p.text.synthetic(rows, length)
	}
	inputs := p.bundle.Inputs()
	item := Item{Inputs: make([]tensor.Tensor, len(inputs)), Rows: rows}
	for i, v := range inputs {
		if v.Shape == nil {
			return Item{}, fmt.Errorf("%w: the input %q has no shape", bundle.ErrInvalid, v.Name)
		}
		shape := append(tensor.Shape{}, v.Shape...)
		if p.image != nil {
			shape = p.image.prepare.Shape()
			shape[0] = v.Shape[0]
		}
		for axis, d := range shape {
			switch {
			case d >= 0:
			case axis == 0:
				shape[axis] = int64(rows)
			default:
				shape[axis] = int64(length)
				item.Length = length
			}
		}
		t, err := tensor.New(v.DType, shape...)
		if err != nil {
			return Item{}, err
		}
		if len(shape) > 0 {
			item.Rows = int(shape[0])
		}
		c := cellsOf(t)
		// Small numbers that differ are valid for most graphs, ids included.
		n, _ := shape.Elements()
		for k := range n {
			switch {
			case v.DType == tensor.String:
			case v.DType.IsFloat():
				c.float(k, float64(k%17)/17)
			case v.DType == tensor.Bool:
				c.bool(k, k%2 == 0)
			default:
				c.int(k, 1)
			}
		}
		item.Inputs[i] = t
	}
	return item, nil
}

func (p *Pipeline) syntheticRows(rows, length int) (Item, error) {
	made := make([]*structpb.Struct, rows)
	for i := range made {
		made[i] = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for k := range p.row.features {
			f := &p.row.features[k]
			made[i].Fields[f.name] = f.synthetic(i, length)
		}
	}
	item, reports, err := p.Rows(made)
	if err != nil {
		return Item{}, err
	}
	for _, r := range reports {
		if r.Err != nil {
			return Item{}, r.Err
		}
	}
	return item, nil
}

// synthetic makes up a value of the feature.
func (f *feature) synthetic(i, length int) *structpb.Value {
	low, high := f.spec.GetMin(), f.spec.GetMax()
	switch {
	case f.spec.Max == nil:
		high = low + 1
	case f.spec.Min == nil:
		low = min(0, high-1)
	}
	middle := low + (high-low)*float64(i%5)/5
	switch f.kind {
	case bundlev1.FeatureType_FEATURE_TYPE_FLOAT:
		return structpb.NewNumberValue(middle)
	case bundlev1.FeatureType_FEATURE_TYPE_INT:
		return structpb.NewNumberValue(float64(int64(middle)))
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		return structpb.NewBoolValue(i%2 == 0)
	case bundlev1.FeatureType_FEATURE_TYPE_STRING:
		if c := f.spec.GetCategories(); len(c) > 0 {
			return structpb.NewStringValue(c[i%len(c)])
		}
		return structpb.NewStringValue("")
	case bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
		return structpb.NewStringValue("2026-01-01T00:00:00Z")
	}
	events := &structpb.ListValue{}
	for e := range min(length, int(f.spec.GetMaxEvents())) {
		event := &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for k := range f.fields {
			event.Fields[f.fields[k].name] = f.fields[k].synthetic(i+e, length)
		}
		events.Values = append(events.Values, structpb.NewStructValue(event))
	}
	return structpb.NewListValue(events)
}
