package recommend

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/filter"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

var kinds = map[bundlev1.AttributeType]filter.Kind{
	bundlev1.AttributeType_ATTRIBUTE_TYPE_STRING:    filter.String,
	bundlev1.AttributeType_ATTRIBUTE_TYPE_NUMBER:    filter.Number,
	bundlev1.AttributeType_ATTRIBUTE_TYPE_BOOL:      filter.Bool,
	bundlev1.AttributeType_ATTRIBUTE_TYPE_TIMESTAMP: filter.Timestamp,
	bundlev1.AttributeType_ATTRIBUTE_TYPE_STRINGS:   filter.Strings,
}

// attributesOf are what filters may ask: the attributes, and the id.
func attributesOf(items *bundle.Items) []filter.Attribute {
	out := make([]filter.Attribute, 0, len(items.Columns)+1)
	for i := range items.Columns {
		spec := items.Columns[i].Spec
		out = append(out, filter.Attribute{Name: spec.GetName(), Kind: kinds[spec.GetType()]})
	}
	return append(out, filter.Attribute{Name: "id", Kind: filter.String})
}

// row is an item as filters see it.
type row struct {
	items *bundle.Items
	place int
}

func (r *row) String(i int) (string, bool) {
	if i == len(r.items.Columns) {
		return r.items.IDs[r.place], true
	}
	c := &r.items.Columns[i]
	return c.Strings[r.place], c.Has(r.place)
}

func (r *row) Number(i int) (float64, bool) {
	c := &r.items.Columns[i]
	return c.Numbers[r.place], c.Has(r.place)
}

func (r *row) Bool(i int) (value, ok bool) {
	c := &r.items.Columns[i]
	return c.Bools[r.place], c.Has(r.place)
}

func (r *row) Timestamp(i int) (int64, bool) {
	c := &r.items.Columns[i]
	return c.Timestamps[r.place], c.Has(r.place)
}

func (r *row) Strings(i int) ([]string, bool) {
	c := &r.items.Columns[i]
	return c.Lists[r.place], c.Has(r.place)
}

// Entry answers nothing: items have no maps.
func (r *row) Entry(int, string) (string, bool) { return "", false }

// matching evaluates a filter for all items, those that have not expired at a
// time; nil when neither leaves any out.
func matching(ctx context.Context, items *bundle.Items, p *filter.Program, expiry int, now int64) bitmap {
	if p == nil && expiry < 0 {
		return nil
	}
	n := items.Len()
	b := newBitmap(n)
	const words = 1 << 9 // of a goroutine's share: 32,768 items
	pipeline.Parallel(runtime.GOMAXPROCS(0), (len(b)+words-1)/words, func(part int) {
		if ctx.Err() != nil {
			return
		}
		r := &row{items: items}
		for i := part * words * 64; i < min((part+1)*words*64, n); i++ {
			if r.place = i; expiry >= 0 {
				if t, ok := r.Timestamp(expiry); ok && t <= now {
					continue
				}
			}
			if p.Match(r) {
				b.set(i)
			}
		}
	})
	return b
}

// compile compiles a filter of the request.
func compile(field, text string, attributes []filter.Attribute) (*filter.Program, error) {
	p, err := filter.Compile(text, attributes)
	if err != nil {
		return nil, invalid(field, "FILTER_INVALID", "%s", err.Error())
	}
	return p, nil
}

// columnsFor finds the attributes that an answer is to hold.
func columnsFor(field string, items *bundle.Items, names []string) ([]int, error) {
	var out []int
	for i, name := range names {
		if name == "*" {
			out = out[:0]
			for k := range items.Columns {
				out = append(out, k)
			}
			return out, nil
		}
		k := items.Column(name)
		if k < 0 {
			return nil, invalid(fmt.Sprintf("%s[%d]", field, i), "ATTRIBUTE_UNKNOWN", "the items have no attribute %.80q", name)
		}
		out = append(out, k)
	}
	return out, nil
}

// attributes are an item's values as they are answered.
func attributes(items *bundle.Items, columns []int, place int) *structpb.Struct {
	if len(columns) == 0 {
		return nil
	}
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(columns))}
	for _, k := range columns {
		c := &items.Columns[k]
		if !c.Has(place) {
			continue
		}
		var v *structpb.Value
		switch {
		case c.Strings != nil:
			v = structpb.NewStringValue(c.Strings[place])
		case c.Numbers != nil:
			v = structpb.NewNumberValue(c.Numbers[place])
		case c.Bools != nil:
			v = structpb.NewBoolValue(c.Bools[place])
		case c.Timestamps != nil:
			v = structpb.NewStringValue(time.UnixMicro(c.Timestamps[place]).UTC().Format(time.RFC3339Nano))
		default:
			list := &structpb.ListValue{Values: make([]*structpb.Value, len(c.Lists[place]))}
			for i, text := range c.Lists[place] {
				list.Values[i] = structpb.NewStringValue(text)
			}
			v = structpb.NewListValue(list)
		}
		s.Fields[c.Spec.GetName()] = v
	}
	return s
}

// popularity are the scores of a subject of whom nothing is known; nil when the
// model has none.
func popularity(items *bundle.Items, spec *bundlev1.Items) []float32 {
	k := items.Column(spec.GetPopularity())
	if k < 0 {
		return items.Biases
	}
	const most = 1e30 // float32 holds it
	out := make([]float32, items.Len())
	for i, x := range items.Columns[k].Numbers {
		out[i] = float32(max(-most, min(most, x)))
	}
	return out
}
