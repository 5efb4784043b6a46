package pipeline

import (
	"fmt"
	"math"
	"strings"
	"time"

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
	input      int // place among the inputs
	column     int // in a matrix input
	width      int // columns of that input
	dtype      tensor.DType
	categories map[string]struct{}
	unseen     string // what is said of a string that is no category
	fields     []feature
	byName     map[string]int // of fields
	length     int            // place of a sequence's length input, -1 when there is none
	fallback   *structpb.Value
}

// remark is a warning about one value; its zero value is none.
type remark struct {
	code    servingv1.WarningCode
	message string
}

func (f *feature) isSequence() bool {
	return f.kind == bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE
}

// fits tells whether values of the feature can be written to its input.
func (f *feature) fits() bool {
	switch f.kind {
	case bundlev1.FeatureType_FEATURE_TYPE_FLOAT:
		return f.dtype.IsFloat()
	case bundlev1.FeatureType_FEATURE_TYPE_INT:
		return f.dtype != tensor.String && f.dtype != tensor.Bool
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		return f.dtype != tensor.String
	case bundlev1.FeatureType_FEATURE_TYPE_STRING:
		return f.dtype == tensor.String
	case bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
		// Microseconds since 1970 need 51 bits.
		return f.dtype == tensor.Int64 || f.dtype == tensor.Float64
	}
	return false
}

// check makes sure that the input takes the feature's values, and that the
// default is one that callers could send.
func (f *feature) check() error {
	if !f.fits() {
		return fmt.Errorf("%w: feature %q: %v does not fit an input of %v", bundle.ErrInvalid, f.name, f.kind, f.dtype)
	}
	if f.fallback == nil {
		return nil
	}
	t, err := tensor.New(f.dtype, 1)
	if err != nil {
		return fmt.Errorf("%w: feature %q: default: %w", bundle.ErrInvalid, f.name, err)
	}
	c := cellsOf(t)
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

// fillMissing writes what stands for a missing value: the default, NaN for a
// floating input, else nothing: it is an error.
func (f *feature) fillMissing(c *cells, at int) (remark, *InputError) {
	switch {
	case f.spec.GetRequired():
	case f.fallback != nil:
		f.putDefault(c, at)
		return remark{servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, "missing; the model's default is used"}, nil
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
			return remark{}, &InputError{Reason: "FEATURE_RANGE", Message: "NaN and infinities can be given by a table only"}
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
		c.strings[at] = s.StringValue
		if f.isUnseen(s.StringValue) {
			return f.unseenCategory()
		}
		return remark{}, nil
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

// putNumber writes a number, which only a FLOAT may be NaN or an infinity.
func (f *feature) putNumber(c *cells, at int, n float64) (remark, *InputError) {
	if f.kind == bundlev1.FeatureType_FEATURE_TYPE_INT {
		switch {
		case n != math.Trunc(n) || math.IsInf(n, 0):
			return remark{}, &InputError{Reason: "FEATURE_TYPE", Message: "has a fraction, want a whole number"}
		case math.Abs(n) > maxExact:
			return remark{}, &InputError{Reason: "FEATURE_RANGE", Message: "integers beyond 2^53 can be given by a table's int64s only"}
		}
		return f.putWhole(c, at, int64(n))
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
	if (f.spec.Min != nil && n < *f.spec.Min) || (f.spec.Max != nil && n > *f.spec.Max) {
		return remark{servingv1.WarningCode_WARNING_CODE_OUT_OF_RANGE, "lies outside the range seen in training"}
	}
	return remark{}
}

func (f *feature) isUnseen(s string) bool {
	if f.categories == nil {
		return false
	}
	_, seen := f.categories[s]
	return !seen
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

// parseTime returns microseconds since 1970.
func parseTime(s string) (int64, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UnixMicro(), err == nil
}

func notATime() *InputError {
	return &InputError{Reason: "FEATURE_TYPE", Message: "is not a time in RFC 3339, such as 2026-01-31T12:00:00Z"}
}
