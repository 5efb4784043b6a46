package pipeline

import (
	"fmt"
	"math"
	"sort"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tensor"
)

// TableReport tells what became of a table's rows.
type TableReport struct {
	// Errors holds an *InputError for every row that cannot be scored. Such a
	// row keeps its place in the item, holding harmless values.
	Errors map[int64]error
	// Warnings are joined over rows.
	Warnings []*scoringv1.TableWarning
}

// maxWarnedRows bounds the rows that a joined warning names.
const maxWarnedRows = 100

// Table maps a table to one item, column by column. A table that contradicts
// itself (lengths, offsets, indices, types) fails as a whole with an
// *InputError that names the column; a bad value fails its row only.
func (p *Pipeline) Table(t *scoringv1.Table) (Item, TableReport, error) {
	if p.row == nil {
		return Item{}, TableReport{}, fmt.Errorf("%w: the model takes no rows", ErrInput)
	}
	w := &tableWriter{plan: p.row, rows: t.GetRows(), report: TableReport{Errors: map[int64]error{}}, joined: map[warningKey]*scoringv1.TableWarning{}}
	if n := int64(len(t.GetIds())); n != 0 && n != w.rows {
		return Item{}, TableReport{}, w.bad("table.ids", "there are %d ids for %d rows", n, w.rows)
	}
	columns, err := w.match(t.GetColumns())
	if err != nil {
		return Item{}, TableReport{}, err
	}
	events, err := w.events(columns)
	if err != nil {
		return Item{}, TableReport{}, err
	}
	item, err := p.row.empty(int(w.rows), events)
	if err != nil {
		return Item{}, TableReport{}, err
	}
	for i := range p.row.features {
		f := &p.row.features[i]
		if f.kind == bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE {
			err = w.sequence(item, f, columns[i])
		} else {
			err = w.column(item.Inputs[f.input], f, columns[i], rowPlaces{rows: w.rows, width: f.width, column: f.column})
		}
		if err != nil {
			return Item{}, TableReport{}, err
		}
	}
	return item, w.done(), nil
}

// tableWriter writes one table.
type tableWriter struct {
	plan   *rowPlan
	rows   int64
	report TableReport
	joined map[warningKey]*scoringv1.TableWarning
}

type warningKey struct {
	code  servingv1.WarningCode
	field string
}

// given is a column of the request with its field path; nil column = absent.
type given struct {
	column *scoringv1.Column
	field  string
}

func (w *tableWriter) bad(field, format string, args ...any) error {
	return &InputError{Field: field, Reason: "TABLE_INVALID", Message: fmt.Sprintf(format, args...)}
}

// match finds the column of every feature.
func (w *tableWriter) match(columns []*scoringv1.Column) ([]given, error) {
	out := make([]given, len(w.plan.features))
	for i, c := range columns {
		field := fmt.Sprintf("table.columns[%d]", i)
		at, ok := w.plan.byName[c.GetName()]
		if !ok {
			w.warnAll(servingv1.WarningCode_WARNING_CODE_UNKNOWN_FEATURE, field, "the model has no such feature"+w.plan.similar(c.GetName()))
			continue
		}
		if out[at].column != nil {
			return nil, w.bad(field+".name", "the feature %q has a column already", w.plan.features[at].name)
		}
		out[at] = given{c, field}
		if err := w.checkLength(c, field, w.rows); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// checkLength checks that a column has n values and a validity bit for each.
func (w *tableWriter) checkLength(c *scoringv1.Column, field string, n int64) error {
	have, kind := int64(0), ""
	switch d := c.GetData().(type) {
	case *scoringv1.Column_Doubles:
		have, kind = int64(len(d.Doubles.GetValues())), "doubles"
	case *scoringv1.Column_Int64S:
		have, kind = int64(len(d.Int64S.GetValues())), "int64s"
	case *scoringv1.Column_Bools:
		have, kind = int64(len(d.Bools.GetValues())), "bools"
	case *scoringv1.Column_Strings:
		have, kind = int64(len(d.Strings.GetIndices())), "strings"
		for i, k := range d.Strings.GetIndices() {
			if int(k) >= len(d.Strings.GetDictionary()) && valid(c, int64(i)) {
				return w.bad(fmt.Sprintf("%s.strings.indices[%d]", field, i), "%d is beyond the dictionary of %d", k, len(d.Strings.GetDictionary()))
			}
		}
	case *scoringv1.Column_Sequences:
		have, kind = int64(len(d.Sequences.GetOffsets()))-1, "sequences"
		if have >= 0 {
			last := uint32(0)
			for i, o := range d.Sequences.GetOffsets() {
				if o < last || (i == 0 && o != 0) {
					return w.bad(fmt.Sprintf("%s.sequences.offsets[%d]", field, i), "offsets ascend from 0")
				}
				last = o
			}
		}
	default:
		return w.bad(field, "has no data")
	}
	if have != n {
		return w.bad(field+"."+kind, "has %d values for %d rows", have, n)
	}
	if v := int64(len(c.GetValidity())); v != 0 && v != (n+7)/8 {
		return w.bad(field+".validity", "has %d bytes for %d rows, want %d", v, n, (n+7)/8)
	}
	return nil
}

// valid tells whether row i of a column has a value.
func valid(c *scoringv1.Column, i int64) bool {
	v := c.GetValidity()
	return len(v) == 0 || (int(i>>3) < len(v) && v[i>>3]>>(i&7)&1 == 1)
}

// rowPlaces maps the values of a column to rows and to flat places of an input.
type rowPlaces struct {
	rows          int64
	width, column int
	// Of a sequence's field: value i belongs to the row at[i] and the place
	// to[i]; a negative place is not read.
	at []int64
	to []int
}

func (r rowPlaces) place(i int64) (row int64, at int) {
	if r.at != nil {
		return r.at[i], r.to[i]
	}
	return i, int(i)*r.width + r.column
}

// column writes one feature's values.
func (w *tableWriter) column(t tensor.Tensor, f *feature, g given, places rowPlaces) error {
	c := g.column
	if c == nil {
		if f.spec.GetRequired() || (f.fallback == nil && !f.dtype.IsFloat()) {
			return &InputError{Field: "table.columns", Reason: "FEATURE_MISSING", Message: fmt.Sprintf("there is no column for the feature %q: the model needs %s and has no default for it", f.name, f.want())}
		}
		for i := range places.rows {
			row, at := places.place(i)
			if at >= 0 {
				w.absent(t, f, fmt.Sprintf("table.columns[%q]", f.name), row, at)
			}
		}
		return nil
	}
	put, err := w.putter(t, f, g)
	if err != nil {
		return err
	}
	for i := range places.rows {
		row, at := places.place(i)
		switch {
		case at < 0:
		case !valid(c, i):
			w.absent(t, f, g.field, row, at)
		default:
			put(i, row, at)
		}
	}
	return nil
}

// absent writes what stands for a missing value.
func (w *tableWriter) absent(t tensor.Tensor, f *feature, field string, row int64, at int) {
	switch {
	case f.spec.GetRequired():
		w.fail(row, f.missing(field))
	case f.fallback != nil:
		w.warn(row, servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, field, "missing; the model's default is used")
		_ = f.put(t, at, f.fallback, nil) // a default that New has checked
	case f.dtype.IsFloat():
		w.warn(row, servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, field, "missing; the model imputes it")
		putFloat(t, at, math.NaN())
	default:
		w.fail(row, f.missing(field))
	}
}

// putter returns the function that writes value i of a column; a column whose
// type does not fit the feature fails the table.
func (w *tableWriter) putter(t tensor.Tensor, f *feature, g given) (func(i, row int64, at int), error) {
	wrong := &InputError{Field: g.field, Reason: "FEATURE_TYPE", Message: fmt.Sprintf("the feature %q takes %s", f.name, f.want())}
	note := func(row int64) func(servingv1.WarningCode, string) {
		return func(code servingv1.WarningCode, message string) { w.warn(row, code, g.field, message) }
	}
	ranged := f.spec.Min != nil || f.spec.Max != nil
	switch f.kind {
	case bundlev1.FeatureType_FEATURE_TYPE_FLOAT:
		return w.floatPutter(t, f, g, ranged, wrong)
	case bundlev1.FeatureType_FEATURE_TYPE_INT:
		switch d := g.column.GetData().(type) {
		case *scoringv1.Column_Int64S:
			return func(i, row int64, at int) {
				n := d.Int64S.GetValues()[i]
				if ranged {
					f.checkRange(float64(n), note(row))
				}
				w.failWith(row, g.field, f.putWhole(t, at, n))
			}, nil
		case *scoringv1.Column_Doubles:
			return func(i, row int64, at int) {
				var warn func(servingv1.WarningCode, string)
				if ranged {
					warn = note(row)
				}
				w.failWith(row, g.field, f.putNumber(t, at, d.Doubles.GetValues()[i], warn))
			}, nil
		}
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		if d, ok := g.column.GetData().(*scoringv1.Column_Bools); ok {
			return func(i, _ int64, at int) { putBool(t, at, d.Bools.GetValues()[i]) }, nil
		}
	case bundlev1.FeatureType_FEATURE_TYPE_STRING:
		if d, ok := g.column.GetData().(*scoringv1.Column_Strings); ok {
			unseen := f.unseen(d.Strings.GetDictionary())
			return func(i, row int64, at int) {
				k := d.Strings.GetIndices()[i]
				t.Strings[at] = d.Strings.GetDictionary()[k]
				if unseen != nil && unseen[k] {
					w.failWith(row, g.field, f.checkCategory(t.Strings[at], note(row)))
				}
			}, nil
		}
	case bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
		switch d := g.column.GetData().(type) {
		case *scoringv1.Column_Int64S:
			return func(i, _ int64, at int) { putInt(t, at, d.Int64S.GetValues()[i]) }, nil
		case *scoringv1.Column_Strings:
			return func(i, row int64, at int) {
				micros, err := parseTime(d.Strings.GetDictionary()[d.Strings.GetIndices()[i]])
				w.failWith(row, g.field, err)
				putInt(t, at, micros)
			}, nil
		}
	}
	return nil, wrong
}

func (w *tableWriter) floatPutter(t tensor.Tensor, f *feature, g given, ranged bool, wrong error) (func(i, row int64, at int), error) {
	var value func(i int64) float64
	switch d := g.column.GetData().(type) {
	case *scoringv1.Column_Doubles:
		values := d.Doubles.GetValues()
		value = func(i int64) float64 { return values[i] }
	case *scoringv1.Column_Int64S:
		values := d.Int64S.GetValues()
		value = func(i int64) float64 { return float64(values[i]) }
	default:
		return nil, wrong
	}
	out := tensor.View[float32](t) // nil for other types
	return func(i, row int64, at int) {
		x := value(i)
		if out != nil {
			out[at] = float32(x)
		} else {
			putFloat(t, at, x)
		}
		if ranged {
			f.checkRange(x, func(code servingv1.WarningCode, message string) { w.warn(row, code, g.field, message) })
		}
	}, nil
}

// unseen marks the dictionary's strings that are no known category; nil when
// the feature has no categories.
func (f *feature) unseen(dictionary []string) []bool {
	if f.categories == nil {
		return nil
	}
	out := make([]bool, len(dictionary))
	for i, s := range dictionary {
		_, known := f.categories[s]
		out[i] = !known
	}
	return out
}

// events returns the longest sequence, as the model will see it.
func (w *tableWriter) events(columns []given) (int, error) {
	n := 0
	for i, g := range columns {
		f := &w.plan.features[i]
		if f.kind != bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE || g.column == nil {
			continue
		}
		s, ok := g.column.GetData().(*scoringv1.Column_Sequences)
		if !ok {
			return 0, &InputError{Field: g.field, Reason: "FEATURE_TYPE", Message: fmt.Sprintf("the feature %q takes %s", f.name, f.want())}
		}
		offsets := s.Sequences.GetOffsets()
		for k := 1; k < len(offsets); k++ {
			n = max(n, min(int(offsets[k]-offsets[k-1]), int(f.spec.GetMaxEvents())))
		}
	}
	return n, nil
}

// sequence writes the events of every row.
func (w *tableWriter) sequence(item Item, f *feature, g given) error {
	offsets := make([]uint32, w.rows+1)
	var fields []*scoringv1.Column
	if g.column != nil {
		s := g.column.GetSequences()
		offsets, fields = s.GetOffsets(), s.GetFields()
	} else if f.spec.GetRequired() {
		return &InputError{Field: "table.columns", Reason: "FEATURE_MISSING", Message: fmt.Sprintf("there is no column for the feature %q", f.name)}
	}
	total := int64(offsets[len(offsets)-1])
	width := item.Length
	places := rowPlaces{rows: total, at: make([]int64, total), to: make([]int, total)}
	for row := range w.rows {
		from, to := int64(offsets[row]), int64(offsets[row+1])
		if g.column != nil && !valid(g.column, row) {
			to = from
			if f.spec.GetRequired() {
				w.fail(row, f.missing(g.field))
			}
		}
		for i := int64(offsets[row]); i < int64(offsets[row+1]); i++ {
			places.at[i], places.to[i] = row, -1
		}
		if n := to - from; n > int64(f.spec.GetMaxEvents()) {
			from = to - int64(f.spec.GetMaxEvents())
			w.warn(row, servingv1.WarningCode_WARNING_CODE_TRUNCATED, g.field, fmt.Sprintf("the model reads the last %d events", f.spec.GetMaxEvents()))
		}
		for i := from; i < to; i++ {
			places.to[i] = int(row)*width + int(i-from)
		}
		if f.length >= 0 {
			tensor.View[int64](item.Inputs[f.length])[row] = to - from
		}
		for k := range f.fields {
			sub := &f.fields[k]
			for at := int(to - from); at < width && sub.fallback != nil; at++ {
				_ = sub.put(item.Inputs[sub.input], int(row)*width+at, sub.fallback, nil)
			}
		}
	}
	columns := make([]given, len(f.fields))
	for i, c := range fields {
		field := fmt.Sprintf("%s.sequences.fields[%d]", g.field, i)
		at, ok := f.byName[c.GetName()]
		if !ok {
			w.warnAll(servingv1.WarningCode_WARNING_CODE_UNKNOWN_FEATURE, field, "the model's events have no such field")
			continue
		}
		if columns[at].column != nil {
			return w.bad(field+".name", "the field has a column already")
		}
		if err := w.checkLength(c, field, total); err != nil {
			return err
		}
		columns[at] = given{c, field}
	}
	for k := range f.fields {
		if total == 0 {
			continue
		}
		if err := w.column(item.Inputs[f.fields[k].input], &f.fields[k], columns[k], places); err != nil {
			return err
		}
	}
	return nil
}

func (w *tableWriter) fail(row int64, err error) {
	if _, have := w.report.Errors[row]; !have {
		w.report.Errors[row] = err
	}
}

func (w *tableWriter) failWith(row int64, field string, err *InputError) {
	if err != nil {
		err.Field = field
		w.fail(row, err)
	}
}

func (w *tableWriter) warn(row int64, code servingv1.WarningCode, field, message string) {
	k := warningKey{code, field}
	t := w.joined[k]
	if t == nil {
		t = &scoringv1.TableWarning{Warning: &Warning{Code: code, Field: field, Message: message}}
		w.joined[k] = t
	}
	t.Count++
	if len(t.Rows) < maxWarnedRows {
		t.Rows = append(t.Rows, row)
	}
}

// warnAll notes a remark that holds for every row.
func (w *tableWriter) warnAll(code servingv1.WarningCode, field, message string) {
	w.joined[warningKey{code, field}] = &scoringv1.TableWarning{
		Warning: &Warning{Code: code, Field: field, Message: message}, Count: w.rows,
	}
}

func (w *tableWriter) done() TableReport {
	for _, t := range w.joined {
		w.report.Warnings = append(w.report.Warnings, t)
	}
	sort.Slice(w.report.Warnings, func(i, j int) bool {
		a, b := w.report.Warnings[i].GetWarning(), w.report.Warnings[j].GetWarning()
		return a.GetField() < b.GetField() || a.GetField() == b.GetField() && a.GetCode() < b.GetCode()
	})
	return w.report
}
