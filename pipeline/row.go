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

// rowPlan maps features to inputs; made once per version.
type rowPlan struct {
	features []feature
	byName   map[string]int
	inputs   []bundle.Value
}

// feature is one feature with its place among the inputs.
type feature struct {
	spec       *bundlev1.Feature
	name       string
	kind       bundlev1.FeatureType
	input      int // place among the inputs
	column     int // in a matrix input
	width      int // columns of that input
	dtype      tensor.DType
	categories map[string]struct{}
	fields     []feature // of a sequence
	byName     map[string]int
	length     int // place of a sequence's length input, -1 when there is none
	fallback   *structpb.Value
}

func newRowPlan(b *bundle.Bundle) (*rowPlan, error) {
	row := b.Manifest.GetRow()
	p := &rowPlan{byName: map[string]int{}, inputs: b.Inputs()}
	place := map[string]int{}
	for i, v := range p.inputs {
		place[v.Name] = i
	}
	for i, spec := range row.GetFeatures() {
		f, err := newFeature(spec, place, p.inputs)
		if err != nil {
			return nil, err
		}
		if m := row.GetMatrixInput(); m != "" {
			f.input, f.column, f.width = place[m], i, len(row.GetFeatures())
			f.dtype = p.inputs[f.input].DType
		}
		if err := f.checkDefault(); err != nil {
			return nil, err
		}
		p.features = append(p.features, f)
		for _, name := range append([]string{spec.GetName()}, spec.GetAliases()...) {
			p.byName[name] = i
		}
	}
	return p, nil
}

func newFeature(spec *bundlev1.Feature, place map[string]int, inputs []bundle.Value) (feature, error) {
	f := feature{spec: spec, name: spec.GetName(), kind: spec.GetType(), width: 1, length: -1}
	if spec.GetDefault() != nil && !isNull(spec.GetDefault()) {
		f.fallback = spec.GetDefault()
	}
	if len(spec.GetCategories()) > 0 {
		f.categories = make(map[string]struct{}, len(spec.GetCategories()))
		for _, c := range spec.GetCategories() {
			f.categories[c] = struct{}{}
		}
	}
	if f.kind != bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE {
		if i, ok := place[bundle.InputOf(spec)]; ok {
			f.input, f.dtype = i, inputs[i].DType
		}
		return f, nil
	}
	f.byName = map[string]int{}
	for i, sub := range spec.GetFields() {
		field, err := newFeature(sub, place, inputs)
		if err != nil {
			return feature{}, err
		}
		if err := field.checkDefault(); err != nil {
			return feature{}, err
		}
		f.fields = append(f.fields, field)
		for _, name := range append([]string{sub.GetName()}, sub.GetAliases()...) {
			f.byName[name] = i
		}
	}
	if name := spec.GetLengthInput(); name != "" {
		f.length = place[name]
	}
	return f, nil
}

// checkDefault makes sure that the default is one that callers could send.
func (f *feature) checkDefault() error {
	if f.fallback == nil {
		return nil
	}
	t, err := tensor.New(f.dtype, 1)
	if err != nil {
		return fmt.Errorf("%w: feature %q: default: %w", bundle.ErrInvalid, f.name, err)
	}
	if err := f.put(t, 0, f.fallback, nil); err != nil {
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

// RowReport tells what became of one row.
type RowReport struct {
	// Err is set when the row cannot be scored: an *InputError.
	Err error
	// Warnings are remarks on the row.
	Warnings []*Warning
}

// Rows maps rows to one item of as many rows, each feature to its input. Null
// and absent values are missing: NaN for floating inputs, else the manifest's
// default, else the row's error. A row with an error keeps its place, holding
// harmless values.
func (p *Pipeline) Rows(rows []*structpb.Struct) (Item, []RowReport, error) {
	if p.row == nil {
		return Item{}, nil, fmt.Errorf("%w: the model takes no rows", ErrInput)
	}
	reports := make([]RowReport, len(rows))
	item, err := p.row.empty(len(rows), p.row.eventsOf(rows))
	if err != nil {
		return Item{}, nil, err
	}
	given := make([]*structpb.Value, len(p.row.features))
	for i, row := range rows {
		p.row.fillRow(item, i, row, given, &reports[i])
	}
	return item, reports, nil
}

// Row maps one row. See Rows.
func (p *Pipeline) Row(row *structpb.Struct) (Item, []*Warning, error) {
	item, reports, err := p.Rows([]*structpb.Struct{row})
	if err != nil {
		return Item{}, nil, err
	}
	return item, reports[0].Warnings, reports[0].Err
}

// empty makes zeroed inputs; events is the extent of the sequence axis.
func (p *rowPlan) empty(rows, events int) (Item, error) {
	item := Item{Inputs: make([]tensor.Tensor, len(p.inputs)), Rows: rows}
	sequence := map[int]bool{}
	width := map[int]int{}
	for _, f := range p.features {
		width[f.input] = f.width
		for _, sub := range f.fields {
			sequence[sub.input] = true
		}
	}
	for i, v := range p.inputs {
		shape := tensor.Shape{int64(rows)}
		switch {
		case sequence[i]:
			shape = append(shape, int64(max(events, 1)))
			item.Length = max(events, 1)
		case len(v.Shape) == 2:
			shape = append(shape, int64(max(width[i], 1)))
		}
		var err error
		if item.Inputs[i], err = tensor.New(v.DType, shape...); err != nil {
			return Item{}, err
		}
	}
	return item, nil
}

// eventsOf returns the longest sequence of the rows, as the model will see it.
func (p *rowPlan) eventsOf(rows []*structpb.Struct) int {
	n := 0
	for i := range p.features {
		f := &p.features[i]
		if f.kind != bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE {
			continue
		}
		for _, row := range rows {
			for _, name := range append([]string{f.name}, f.spec.GetAliases()...) {
				if v := row.GetFields()[name]; v != nil {
					n = max(n, min(len(v.GetListValue().GetValues()), int(f.spec.GetMaxEvents())))
				}
			}
		}
	}
	return n
}

// fillRow writes one row. given is scratch space.
func (p *rowPlan) fillRow(item Item, i int, row *structpb.Struct, given []*structpb.Value, report *RowReport) {
	clear(given)
	known := 0
	for name, v := range row.GetFields() {
		at, ok := p.byName[name]
		switch {
		case !ok:
			report.warn(servingv1.WarningCode_WARNING_CODE_UNKNOWN_FEATURE, path(name), "the model has no such feature"+p.similar(name))
		case given[at] != nil && !isNull(v) && !isNull(given[at]):
			report.fail(&InputError{Field: path(name), Reason: "FEATURE_TWICE", Message: fmt.Sprintf("the feature %q is given under two names", p.features[at].name)})
		default:
			if given[at] == nil || isNull(given[at]) {
				given[at] = v
			}
			known++
		}
	}
	for k := range p.features {
		f := &p.features[k]
		if f.kind == bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE {
			f.fillSequence(item, i, given[k], report)
			continue
		}
		if err := f.fill(item.Inputs[f.input], i*f.width+f.column, given[k], path(f.name), report); err != nil {
			report.fail(err)
		}
	}
}

// fill writes one value or what stands for a missing one.
func (f *feature) fill(t tensor.Tensor, at int, v *structpb.Value, field string, report *RowReport) error {
	if !isNull(v) {
		if err := f.put(t, at, v, func(code servingv1.WarningCode, message string) { report.warn(code, field, message) }); err != nil {
			err.Field = field
			return err
		}
		return nil
	}
	switch {
	case f.spec.GetRequired():
		return f.missing(field)
	case f.fallback != nil:
		report.warn(servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, field, "missing; the model's default is used")
		if err := f.put(t, at, f.fallback, nil); err != nil {
			return err
		}
	case f.dtype.IsFloat():
		report.warn(servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, field, "missing; the model imputes it")
		putFloat(t, at, math.NaN())
	default:
		return f.missing(field)
	}
	return nil
}

func (f *feature) missing(field string) *InputError {
	return &InputError{Field: field, Reason: "FEATURE_MISSING", Message: fmt.Sprintf("the model needs %s and has no default for it", f.want())}
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
// field; warn may be nil.
func (f *feature) put(t tensor.Tensor, at int, v *structpb.Value, warn func(servingv1.WarningCode, string)) *InputError {
	switch f.kind {
	case bundlev1.FeatureType_FEATURE_TYPE_FLOAT, bundlev1.FeatureType_FEATURE_TYPE_INT:
		n, ok := v.GetKind().(*structpb.Value_NumberValue)
		if !ok {
			return f.wrongType(v)
		}
		return f.putNumber(t, at, n.NumberValue, warn)
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		b, ok := v.GetKind().(*structpb.Value_BoolValue)
		if !ok {
			return f.wrongType(v)
		}
		putBool(t, at, b.BoolValue)
		return nil
	case bundlev1.FeatureType_FEATURE_TYPE_STRING:
		s, ok := v.GetKind().(*structpb.Value_StringValue)
		if !ok {
			return f.wrongType(v)
		}
		t.Strings[at] = s.StringValue
		return f.checkCategory(s.StringValue, warn)
	case bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
		s, ok := v.GetKind().(*structpb.Value_StringValue)
		if !ok {
			return f.wrongType(v)
		}
		micros, err := parseTime(s.StringValue)
		if err != nil {
			return err
		}
		putInt(t, at, micros)
		return nil
	}
	return f.wrongType(v)
}

func (f *feature) putNumber(t tensor.Tensor, at int, n float64, warn func(servingv1.WarningCode, string)) *InputError {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return &InputError{Reason: "FEATURE_RANGE", Message: "NaN and infinities can be given by a table only"}
	}
	if f.kind == bundlev1.FeatureType_FEATURE_TYPE_INT {
		if n != math.Trunc(n) {
			return &InputError{Reason: "FEATURE_TYPE", Message: "has a fraction, want a whole number"}
		}
		if math.Abs(n) > maxExact {
			return &InputError{Reason: "FEATURE_RANGE", Message: "integers beyond 2^53 can be given by a table only"}
		}
	}
	if warn != nil {
		f.checkRange(n, warn)
	}
	if f.dtype.IsFloat() {
		putFloat(t, at, n)
		return nil
	}
	return f.putWhole(t, at, int64(n))
}

// putWhole writes an integer to an input of any integer type, or a float.
func (f *feature) putWhole(t tensor.Tensor, at int, n int64) *InputError {
	if f.dtype.IsFloat() {
		putFloat(t, at, float64(n))
		return nil
	}
	low, high := intRange(f.dtype)
	if n < low || (n > 0 && uint64(n) > high) {
		return &InputError{Reason: "FEATURE_RANGE", Message: fmt.Sprintf("does not fit the model's %v input", f.dtype)}
	}
	putInt(t, at, n)
	return nil
}

func (f *feature) checkRange(n float64, warn func(servingv1.WarningCode, string)) {
	if (f.spec.Min != nil && n < f.spec.GetMin()) || (f.spec.Max != nil && n > f.spec.GetMax()) {
		warn(servingv1.WarningCode_WARNING_CODE_OUT_OF_RANGE, "lies outside the range seen in training")
	}
}

func (f *feature) checkCategory(s string, warn func(servingv1.WarningCode, string)) *InputError {
	if f.categories == nil {
		return nil
	}
	if _, ok := f.categories[s]; ok {
		return nil
	}
	if f.spec.GetUnknown() == bundlev1.UnknownPolicy_UNKNOWN_POLICY_ERROR {
		return &InputError{Reason: "CATEGORY_UNKNOWN", Message: "is not one of the model's categories" + someOf(f.spec.GetCategories())}
	}
	if warn != nil {
		warn(servingv1.WarningCode_WARNING_CODE_UNSEEN_CATEGORY, "is not one of the categories seen in training"+someOf(f.spec.GetCategories()))
	}
	return nil
}

// fillSequence writes one row's events.
func (f *feature) fillSequence(item Item, row int, v *structpb.Value, report *RowReport) {
	var events []*structpb.Value
	if isNull(v) {
		if f.spec.GetRequired() {
			report.fail(f.missing(path(f.name)))
			return
		}
	} else {
		list, ok := v.GetKind().(*structpb.Value_ListValue)
		if !ok {
			err := f.wrongType(v)
			err.Field = path(f.name)
			report.fail(err)
			return
		}
		events = list.ListValue.GetValues()
	}
	skipped := 0
	if n := int(f.spec.GetMaxEvents()); len(events) > n {
		skipped = len(events) - n
		events = events[skipped:]
		report.warn(servingv1.WarningCode_WARNING_CODE_TRUNCATED, path(f.name), fmt.Sprintf("the model reads the last %d events", n))
	}
	if f.length >= 0 {
		tensor.View[int64](item.Inputs[f.length])[row] = int64(len(events))
	}
	for k := range f.fields {
		sub := &f.fields[k]
		t := item.Inputs[sub.input]
		width := int(t.Shape[1])
		for at := range width {
			if at >= len(events) {
				if sub.fallback != nil {
					// A default that New has checked.
					_ = sub.put(t, row*width+at, sub.fallback, nil)
				}
				continue
			}
			field := fmt.Sprintf("%s[%d]", path(f.name), skipped+at)
			event, ok := events[at].GetKind().(*structpb.Value_StructValue)
			if !ok {
				report.fail(&InputError{Field: field, Reason: "FEATURE_TYPE", Message: "is not an object with the event's fields"})
				return
			}
			value := event.StructValue.GetFields()[sub.name]
			for _, alias := range sub.spec.GetAliases() {
				if value == nil {
					value = event.StructValue.GetFields()[alias]
				}
			}
			if err := sub.fill(t, row*width+at, value, fmt.Sprintf("%s[%q]", field, sub.name), report); err != nil {
				report.fail(err)
				return
			}
		}
	}
}

// path is the field path of a feature within its instance.
func path(name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	return fmt.Sprintf("features[%q]", name)
}

// maxWarnings bounds the remarks on one row: a caller who sends thousands of
// unknown names needs no list of them.
const maxWarnings = 64

func (r *RowReport) warn(code servingv1.WarningCode, field, message string) {
	if r == nil || len(r.Warnings) >= maxWarnings {
		return
	}
	r.Warnings = append(r.Warnings, &Warning{Code: code, Field: field, Message: message})
}

// fail keeps a row's first error.
func (r *RowReport) fail(err error) {
	if r.Err == nil {
		r.Err = err
	}
}

// similar proposes the feature whose name differs least, when it differs
// little.
func (p *rowPlan) similar(name string) string {
	best, found := 3, ""
	for known := range p.byName {
		if strings.EqualFold(known, name) {
			return fmt.Sprintf("; did you mean %q?", known)
		}
		if d := distance(known, name, best); d < best || (d == best && found != "" && known < found) {
			best, found = d, known
		}
	}
	if found == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", found)
}

// distance is the edit distance (Levenshtein, 1966) of short names, or limit
// when it is at least that.
func distance(a, b string, limit int) int {
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var rows [2][65]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		last, next := &rows[(i-1)%2], &rows[i%2]
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(last[j]+1, next[j-1]+1, last[j-1]+cost)
		}
	}
	return min(rows[len(a)%2][len(b)], limit)
}

func someOf(categories []string) string {
	const few = 8
	if len(categories) > few {
		return fmt.Sprintf(" (%d of them)", len(categories))
	}
	quoted := make([]string, len(categories))
	for i, c := range categories {
		quoted[i] = fmt.Sprintf("%q", c)
	}
	return ": " + strings.Join(quoted, ", ")
}

func parseTime(s string) (int64, *InputError) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, &InputError{Reason: "FEATURE_TYPE", Message: "is not a time in RFC 3339, such as 2026-01-31T12:00:00Z"}
	}
	return t.UnixMicro(), nil
}
