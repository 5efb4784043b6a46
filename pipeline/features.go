package pipeline

import (
	"google.golang.org/protobuf/types/known/structpb"
)

// Features gives filters over Bundle.Attributes the values of one row: what the
// caller sent, under whatever name, else the manifest's default. It satisfies
// filter.Row. Its rows must be some that Rows has taken.
type Features struct {
	plan   *rowPlan
	places []int // of the attributes, among the features
	fields map[string]*structpb.Value
}

// Features returns what gives rows to filters; Of chooses the row.
func (p *Pipeline) Features() *Features {
	f := &Features{plan: p.row}
	if p.row == nil {
		return f
	}
	for i := range p.row.features {
		if !p.row.features[i].isSequence() {
			f.places = append(f.places, i)
		}
	}
	return f
}

// Of chooses the row that is asked from now on.
func (f *Features) Of(row *structpb.Struct) *Features {
	f.fields = row.GetFields()
	return f
}

func (f *Features) value(i int) *structpb.Value {
	feature := &f.plan.features[f.places[i]]
	v, _, _ := feature.lookup(f.fields)
	if isNull(v) {
		return feature.fallback
	}
	return v
}

// String returns the value of a STRING.
func (f *Features) String(i int) (string, bool) {
	v, ok := f.value(i).GetKind().(*structpb.Value_StringValue)
	if !ok {
		return "", false
	}
	return v.StringValue, true
}

// Number returns the value of a FLOAT or an INT.
func (f *Features) Number(i int) (float64, bool) {
	v, ok := f.value(i).GetKind().(*structpb.Value_NumberValue)
	if !ok {
		return 0, false
	}
	return v.NumberValue, true
}

// Bool returns the value of a BOOL.
func (f *Features) Bool(i int) (value, ok bool) {
	v, ok := f.value(i).GetKind().(*structpb.Value_BoolValue)
	if !ok {
		return false, false
	}
	return v.BoolValue, true
}

// Timestamp returns the value of a TIMESTAMP, in microseconds since 1970.
func (f *Features) Timestamp(i int) (int64, bool) {
	v, ok := f.value(i).GetKind().(*structpb.Value_StringValue)
	if !ok {
		return 0, false
	}
	return parseTime(v.StringValue)
}

// Strings returns false: no feature is a list of strings.
func (f *Features) Strings(int) ([]string, bool) { return nil, false }

// Entry returns false: no feature is a map.
func (f *Features) Entry(int, string) (string, bool) { return "", false }
