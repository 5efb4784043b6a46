package main

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// frame gathers rows as columns, which a server scores many times faster than
// rows. A value that its column cannot hold makes its row a bad one: the row
// keeps its place, without the value, and what is answered to it counts nothing.
type frame struct {
	columns []*frameColumn
	rows    int
	bad     map[int]string // why, by row
}

// newFrame takes columns for the features that are not absent.
func newFrame(features []*bundlev1.Feature, absent []string) *frame {
	f := &frame{bad: make(map[int]string)}
	for _, feature := range features {
		if !slices.Contains(absent, feature.GetName()) {
			f.columns = append(f.columns, newFrameColumn(feature))
		}
	}
	return f
}

// add appends a row.
func (f *frame) add(row *scoringv1.Instance) {
	fields := row.GetFeatures().GetFields()
	for _, c := range f.columns {
		if err := c.add(c.find(fields)); err != nil {
			f.bad[f.rows] = fmt.Sprintf("features[%q]: %v", c.feature.GetName(), err)
		}
	}
	f.rows++
}

// table is what was gathered.
func (f *frame) table() *scoringv1.Table {
	return &scoringv1.Table{Rows: int64(f.rows), Columns: build(f.columns)}
}

// frameColumn is one feature, or one field of a sequence's events.
type frameColumn struct {
	feature *bundlev1.Feature
	rows    int
	valid   []byte
	gaps    bool // a value is missing

	numbers []float64
	truths  []bool
	texts   scoringv1.Strings
	place   map[string]uint32 // in the dictionary
	offsets []uint32
	fields  []*frameColumn
}

func newFrameColumn(f *bundlev1.Feature) *frameColumn {
	c := &frameColumn{feature: f, place: make(map[string]uint32), offsets: []uint32{0}}
	for _, field := range f.GetFields() {
		c.fields = append(c.fields, newFrameColumn(field))
	}
	return c
}

// find looks the feature's value up by its name and its aliases.
func (c *frameColumn) find(fields map[string]*structpb.Value) *structpb.Value {
	if v, ok := fields[c.feature.GetName()]; ok {
		return v
	}
	for _, alias := range c.feature.GetAliases() {
		if v, ok := fields[alias]; ok {
			return v
		}
	}
	return nil
}

// add appends a value; one that does not fit is missing, and an error.
func (c *frameColumn) add(v *structpb.Value) error {
	_, null := v.GetKind().(*structpb.Value_NullValue)
	missing := v == nil || null
	var err error
	number, text, truth := 0.0, "", false
	switch c.feature.GetType() {
	case bundlev1.FeatureType_FEATURE_TYPE_FLOAT, bundlev1.FeatureType_FEATURE_TYPE_INT:
		n, ok := v.GetKind().(*structpb.Value_NumberValue)
		if ok {
			number = n.NumberValue
		} else if !missing {
			err = wrongKind(v, "a number")
		}
		c.numbers = append(c.numbers, number)
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		b, ok := v.GetKind().(*structpb.Value_BoolValue)
		if ok {
			truth = b.BoolValue
		} else if !missing {
			err = wrongKind(v, "true or false")
		}
		c.truths = append(c.truths, truth)
	case bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE:
		err = c.addEvents(v, missing)
	default:
		s, ok := v.GetKind().(*structpb.Value_StringValue)
		if ok {
			text = s.StringValue
		} else if !missing {
			err = wrongKind(v, "a text")
		}
		at, known := c.place[text]
		if !known {
			at = uint32(len(c.texts.Dictionary))
			c.place[text] = at
			c.texts.Dictionary = append(c.texts.Dictionary, text)
		}
		c.texts.Indices = append(c.texts.Indices, at)
	}
	if c.rows%8 == 0 {
		c.valid = append(c.valid, 0)
	}
	if missing || err != nil {
		c.gaps = true
	} else {
		c.valid[c.rows/8] |= 1 << (c.rows % 8)
	}
	c.rows++
	return err
}

// addEvents appends a sequence. Of a wrong one some events may stay, which its
// row's missing value hides.
func (c *frameColumn) addEvents(v *structpb.Value, missing bool) (err error) {
	end := c.offsets[len(c.offsets)-1]
	list, ok := v.GetKind().(*structpb.Value_ListValue)
	switch {
	case ok:
		for i, event := range list.ListValue.GetValues() {
			s, ok := event.GetKind().(*structpb.Value_StructValue)
			if !ok {
				err = fmt.Errorf("[%d]: %w", i, wrongKind(event, "an event"))
				break
			}
			for _, field := range c.fields {
				if wrong := field.add(field.find(s.StructValue.GetFields())); wrong != nil {
					err = fmt.Errorf("[%d].%s: %w", i, field.feature.GetName(), wrong)
				}
			}
			end++
		}
	case !missing:
		err = wrongKind(v, "a list of events")
	}
	c.offsets = append(c.offsets, end)
	return err
}

// wrongKind says what a value is not.
func wrongKind(v *structpb.Value, want string) error {
	text, err := v.MarshalJSON()
	if err != nil {
		text = []byte("it")
	}
	return fmt.Errorf("%s is not %s", shorten(string(text), 40), want)
}

func build(columns []*frameColumn) []*scoringv1.Column {
	var out []*scoringv1.Column
	for _, c := range columns {
		column := &scoringv1.Column{Name: c.feature.GetName()}
		if c.gaps {
			column.Validity = c.valid
		}
		switch c.feature.GetType() {
		case bundlev1.FeatureType_FEATURE_TYPE_FLOAT, bundlev1.FeatureType_FEATURE_TYPE_INT:
			column.Data = &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: c.numbers}}
		case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
			column.Data = &scoringv1.Column_Bools{Bools: &scoringv1.Bools{Values: c.truths}}
		case bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE:
			column.Data = &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{Offsets: c.offsets, Fields: build(c.fields)}}
		default:
			column.Data = &scoringv1.Column_Strings{Strings: &scoringv1.Strings{Dictionary: c.texts.Dictionary, Indices: c.texts.Indices}}
		}
		out = append(out, column)
	}
	return out
}
