package pipeline

import (
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tensor"
)

// maxExact is the largest integer up to which a float64, and so a Struct's
// number, holds every integer.
const maxExact = 1 << 53

// feature is one feature with its place among the inputs.
type feature struct {
	spec       *bundlev1.Feature
	name       string
	path       string // within an instance, or of a field within an event
	kind       bundlev1.FeatureType
	slot       int // number among all features and fields of the model
	timed      int // number among the fields whose times are written as differences, -1 for others
	input      int // place among the inputs
	column     int // in a matrix input
	width      int // columns of that input
	dtype      tensor.DType
	categories map[string]category
	unseen     string // what is said of a string that is no category
	fields     []feature
	byName     map[string]int // of fields
	length     int            // place of a sequence's length input, -1 when there is none
	mask       int            // place of a sequence's mask input, -1 when there is none
	limit      int            // events of a sequence that callers may send
	unread     bool           // no node of the graph reads the input
	fallback   *structpb.Value
}

// category is what is known of a category.
type category struct {
	place int64 // among all
	rare  bool
}

// remark is a warning about one value; its zero value is none.
type remark struct {
	code    servingv1.WarningCode
	message string
}

func (f *feature) isSequence() bool {
	return f.kind == bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE
}

// check makes sure that the input takes the feature's values, and that the
// default is one that callers could send.
func (f *feature) check() error {
	if !bundle.Accepts(f.spec, f.dtype) {
		return fmt.Errorf("%w: feature %q: %v does not fit an input of %v", bundle.ErrInvalid, f.name, f.kind, f.dtype)
	}
	t, err := tensor.New(f.dtype, 1)
	if err != nil {
		return fmt.Errorf("%w: feature %q: %w", bundle.ErrInvalid, f.name, err)
	}
	c := cellsOf(t)
	if index := f.spec.GetIndex(); index != nil {
		for _, n := range []int64{index.GetFirst(), index.GetFirst() + int64(len(f.categories)) - 1, index.GetUnknown()} {
			if !c.int(0, n) {
				return fmt.Errorf("%w: feature %q: index: %d does not fit an input of %v", bundle.ErrInvalid, f.name, n, f.dtype)
			}
		}
	}
	if f.fallback == nil {
		return nil
	}
	if _, err := f.put(&c, 0, f.fallback); err != nil {
		return fmt.Errorf("%w: feature %q: default %s", bundle.ErrInvalid, f.name, err.Message)
	}
	return nil
}

// isNull tells a missing value: null, or a Value without kind.
func isNull(v *structpb.Value) bool {
	switch v.GetKind().(type) {
	case nil, *structpb.Value_NullValue:
		return true
	}
	return false
}

// lookup finds the feature's value under its name or an alias. known is the
// number of names that are present, twice tells that more than one has a value.
func (f *feature) lookup(fields map[string]*structpb.Value) (v *structpb.Value, known int, twice bool) {
	v, ok := fields[f.name]
	if ok {
		known++
	}
	for _, alias := range f.spec.GetAliases() {
		other, ok := fields[alias]
		if !ok {
			continue
		}
		known++
		if isNull(v) {
			v = other
		} else if !isNull(other) {
			twice = true
		}
	}
	return v, known, twice
}

func (f *feature) givenTwice() *InputError {
	return &InputError{Reason: "FEATURE_TWICE", Message: fmt.Sprintf("%q is given under two names", f.name)}
}

// fill writes one value, or what stands for a missing one. The error lacks its
// field.
func (f *feature) fill(c *cells, at int, v *structpb.Value) (remark, *InputError) {
	if isNull(v) {
		return f.fillMissing(c, at)
	}
	return f.put(c, at, v)
}

// imputable tells whether a missing value is no error.
func (f *feature) imputable() bool {
	return !f.spec.GetRequired() && (f.unread || f.isSequence() || f.fallback != nil || f.spec.GetIndex() != nil || f.dtype.IsFloat())
}

// fillMissing writes what stands for a missing value: the default, the number of
// an unknown category, NaN for a floating input, else nothing: it is an error.
// Where no node reads the input there is nothing to remark on.
func (f *feature) fillMissing(c *cells, at int) (remark, *InputError) {
	switch {
	case f.spec.GetRequired():
	case f.unread: // whatever stands there
		f.putDefault(c, at)
		return remark{}, nil
	case f.fallback != nil:
		f.putDefault(c, at)
		return remark{servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, "missing; the model's default is used"}, nil
	case f.spec.GetIndex() != nil:
		c.int(at, f.spec.GetIndex().GetUnknown())
		return remark{servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, "missing; it counts as an unknown category"}, nil
	case f.dtype.IsFloat():
		c.float(at, math.NaN())
		return remark{servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, "missing; the model imputes it"}, nil
	}
	return remark{}, f.missing()
}

// putDefault writes the default, if there is one: check has seen that it fits.
func (f *feature) putDefault(c *cells, at int) {
	if f.fallback != nil {
		_, _ = f.put(c, at, f.fallback)
	}
}

func (f *feature) missing() *InputError {
	return &InputError{Reason: "FEATURE_MISSING", Message: fmt.Sprintf("%q is missing: the model needs %s and has no default for it", f.name, f.want())}
}

// want says in words what the feature takes.
func (f *feature) want() string {
	switch f.kind {
	case bundlev1.FeatureType_FEATURE_TYPE_FLOAT:
		return "a number"
	case bundlev1.FeatureType_FEATURE_TYPE_INT:
		return "a whole number"
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		return "true or false"
	case bundlev1.FeatureType_FEATURE_TYPE_STRING:
		return "a string"
	case bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
		return "a time in RFC 3339"
	}
	return "a list of events"
}

func (f *feature) wrongType(v *structpb.Value) *InputError {
	got := "null"
	switch v.GetKind().(type) {
	case *structpb.Value_NumberValue:
		got = "a number"
	case *structpb.Value_StringValue:
		got = "a string"
	case *structpb.Value_BoolValue:
		got = "true or false"
	case *structpb.Value_ListValue:
		got = "a list"
	case *structpb.Value_StructValue:
		got = "an object"
	}
	return &InputError{Reason: "FEATURE_TYPE", Message: fmt.Sprintf("is %s, want %s", got, f.want())}
}

// put writes a present value at a flat place of the input. The error lacks its
// field.
func (f *feature) put(c *cells, at int, v *structpb.Value) (remark, *InputError) {
	switch f.kind {
	case bundlev1.FeatureType_FEATURE_TYPE_FLOAT, bundlev1.FeatureType_FEATURE_TYPE_INT:
		n, ok := v.GetKind().(*structpb.Value_NumberValue)
		if !ok {
			break
		}
		if math.IsNaN(n.NumberValue) || math.IsInf(n.NumberValue, 0) {
			return remark{}, &InputError{Reason: "FEATURE_RANGE", Message: "is NaN or infinite; null is a missing value, and a table can hold infinities"}
		}
		return f.putNumber(c, at, n.NumberValue)
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		b, ok := v.GetKind().(*structpb.Value_BoolValue)
		if !ok {
			break
		}
		c.bool(at, b.BoolValue)
		return remark{}, nil
	case bundlev1.FeatureType_FEATURE_TYPE_STRING:
		s, ok := v.GetKind().(*structpb.Value_StringValue)
		if !ok {
			break
		}
		return f.putString(c, at, s.StringValue)
	case bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
		s, ok := v.GetKind().(*structpb.Value_StringValue)
		if !ok {
			break
		}
		micros, ok := parseTime(s.StringValue)
		if !ok {
			return remark{}, notATime()
		}
		c.int(at, micros)
		return remark{}, nil
	}
	return remark{}, f.wrongType(v)
}

// putNumber writes a number. NaN is a missing value, and only a FLOAT may be an
// infinity.
func (f *feature) putNumber(c *cells, at int, n float64) (remark, *InputError) {
	if math.IsNaN(n) {
		return f.fillMissing(c, at)
	}
	if f.kind == bundlev1.FeatureType_FEATURE_TYPE_INT {
		switch {
		case n != math.Trunc(n) || math.IsInf(n, 0):
			return remark{}, &InputError{Reason: "FEATURE_TYPE", Message: "has a fraction, want a whole number"}
		case math.Abs(n) > maxExact:
			return remark{}, &InputError{Reason: "FEATURE_RANGE", Message: "integers beyond 2^53 can be given by a table's int64s only"}
		}
		return f.putWhole(c, at, int64(n))
	}
	if math.IsInf(n, 0) && f.spec.GetInfinity() == bundlev1.InfinityPolicy_INFINITY_POLICY_ERROR {
		return remark{}, &InputError{Reason: "FEATURE_RANGE", Message: "is infinite"}
	}
	if !c.float(at, n) {
		return remark{}, f.tooLarge()
	}
	return f.ranged(n), nil
}

// putWhole writes an integer.
func (f *feature) putWhole(c *cells, at int, n int64) (remark, *InputError) {
	if !c.int(at, n) {
		return remark{}, f.tooLarge()
	}
	return f.ranged(float64(n)), nil
}

func (f *feature) tooLarge() *InputError {
	return &InputError{Reason: "FEATURE_RANGE", Message: fmt.Sprintf("does not fit the model's %v input", f.dtype)}
}

// ranged remarks on a number outside the range seen in training.
func (f *feature) ranged(n float64) remark {
	if (f.spec.Min != nil && n < *f.spec.Min) || (f.spec.Max != nil && n > *f.spec.Max) || math.IsInf(n, 0) {
		return remark{servingv1.WarningCode_WARNING_CODE_OUT_OF_RANGE, "lies outside the range seen in training"}
	}
	return remark{}
}

// putString writes a string, or the place of a category.
func (f *feature) putString(c *cells, at int, s string) (remark, *InputError) {
	k, seen := f.categories[s]
	f.writeString(c, at, s, f.indexOf(k, seen))
	return f.remarkOn(k, seen)
}

// indexOf is the number of a category in the input, where it takes numbers.
func (f *feature) indexOf(k category, seen bool) int64 {
	index := f.spec.GetIndex()
	if !seen {
		return index.GetUnknown()
	}
	return index.GetFirst() + k.place
}

// writeString writes a string or what stands for it; check has seen that every
// number fits.
func (f *feature) writeString(c *cells, at int, s string, number int64) {
	if c.strings != nil {
		c.strings[at] = s
	} else {
		c.int(at, number)
	}
}

// remarkOn is what is to be said of a category.
func (f *feature) remarkOn(k category, seen bool) (remark, *InputError) {
	switch {
	case f.categories == nil || seen && !k.rare:
		return remark{}, nil
	case seen:
		return remark{servingv1.WarningCode_WARNING_CODE_LOW_SUPPORT, "training saw this category seldom"}, nil
	}
	return f.unseenCategory()
}

// unseenCategory is what becomes of a string that is no category.
func (f *feature) unseenCategory() (remark, *InputError) {
	if f.spec.GetUnknown() == bundlev1.UnknownPolicy_UNKNOWN_POLICY_ERROR {
		return remark{}, &InputError{Reason: "CATEGORY_UNKNOWN", Message: f.unseen}
	}
	return remark{servingv1.WarningCode_WARNING_CODE_UNSEEN_CATEGORY, f.unseen}, nil
}

// someOf lists categories, if they are few.
func someOf(categories []string) string {
	const few = 8
	if len(categories) > few {
		return fmt.Sprintf(" (%d of them)", len(categories))
	}
	quoted := make([]string, len(categories))
	for i, c := range categories {
		quoted[i] = fmt.Sprintf("%q", clip(c))
	}
	return ": " + strings.Join(quoted, ", ")
}
