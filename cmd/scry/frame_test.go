package main

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

func TestFrame(t *testing.T) {
	feature := func(name string, kind bundlev1.FeatureType) *bundlev1.Feature {
		return &bundlev1.Feature{Name: name, Type: kind}
	}
	const (
		float, truth, text = bundlev1.FeatureType_FEATURE_TYPE_FLOAT, bundlev1.FeatureType_FEATURE_TYPE_BOOL, bundlev1.FeatureType_FEATURE_TYPE_STRING
	)
	path := feature("path", bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE)
	path.Fields = []*bundlev1.Feature{feature("amount", float), feature("item", text)}
	named := feature("kind", text)
	named.Aliases = []string{"Kind"}
	f := newFrame([]*bundlev1.Feature{feature("age", float), feature("new", truth), named, path, feature("gone", float)}, []string{"gone"})
	for _, row := range []map[string]any{
		{"age": 3, "new": true, "Kind": "a", "path": []any{map[string]any{"amount": 1, "item": "tea"}, map[string]any{"item": "tea"}}},
		{"age": nil, "kind": "b", "path": []any{}},
		{"age": "old", "new": false, "kind": "a", "path": []any{map[string]any{"amount": 2}, 7}},
		{"age": 4, "new": false, "kind": "a", "path": []any{map[string]any{"amount": 5, "item": "milk"}}},
	} {
		s, err := structpb.NewStruct(row)
		if err != nil {
			t.Fatal(err)
		}
		f.add(&scoringv1.Instance{Features: s})
	}
	want := &scoringv1.Table{Rows: 4, Columns: []*scoringv1.Column{
		{Name: "age", Validity: []byte{0b1001}, Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: []float64{3, 0, 0, 4}}}},
		{Name: "new", Validity: []byte{0b1101}, Data: &scoringv1.Column_Bools{Bools: &scoringv1.Bools{Values: []bool{true, false, false, false}}}},
		{Name: "kind", Data: &scoringv1.Column_Strings{Strings: &scoringv1.Strings{Dictionary: []string{"a", "b"}, Indices: []uint32{0, 1, 0, 0}}}},
		{Name: "path", Validity: []byte{0b1011}, Data: &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{
			Offsets: []uint32{0, 2, 2, 3, 4},
			Fields: []*scoringv1.Column{
				{Name: "amount", Validity: []byte{0b1101}, Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: []float64{1, 0, 2, 5}}}},
				{Name: "item", Validity: []byte{0b1011}, Data: &scoringv1.Column_Strings{Strings: &scoringv1.Strings{Dictionary: []string{"tea", "", "milk"}, Indices: []uint32{0, 0, 1, 2}}}},
			},
		}}},
	}}
	if got := f.table(); !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if len(f.bad) != 1 || f.bad[2] == "" {
		t.Errorf("bad rows %v, want row 2 alone", f.bad)
	}
}
