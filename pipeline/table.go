package pipeline

import (
	"fmt"
	"math"
	"time"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tensor"
)

// Table is a table that has been checked against itself and the model: every
// column has as many values as the table has rows, offsets and indices are
// within bounds, and types fit. Nothing was allocated for its rows yet.
type Table struct {
	plan    *rowPlan
	rows    int
	columns []column // like the features; one without data is absent
	unknown []*scoringv1.TableWarning
	warm    bool // something is known of every row
}

// column is one feature's column, or a field's over the events of all rows. Of
// the slices only the one that the request has is set.
type column struct {
	path     string
	have     bool
	validity []byte
	doubles  []float64
	ints     []int64
	bools    []bool

	dictionary []string
	indices    []uint32
	entries    []entry // by dictionary entry of a string; nil when there is nothing to know of them
	micros     []int64 // by dictionary entry of a time, else notMicros

	offsets []uint32
	fields  []column // like the feature's fields
}

// notMicros stands for a string that is no time.
const notMicros = math.MinInt64

// Table checks a table. One that contradicts itself or the model fails as a
// whole with an *InputError that names the column.
func (p *Pipeline) Table(t *scoringv1.Table) (*Table, error) {
	if p.row == nil {
		return nil, fmt.Errorf("%w: the model takes no rows", ErrInput)
	}
	rows := t.GetRows()
	switch {
	case rows < 1:
		return nil, bad("table.rows", "there are no rows")
	case len(t.GetColumns()) == 0:
		return nil, bad("table.columns", "there are no columns")
	case len(t.GetIds()) != 0 && int64(len(t.GetIds())) != rows:
		return nil, bad("table.ids", "there are %d ids for %d rows", len(t.GetIds()), rows)
	}
	out := &Table{plan: p.row, rows: int(rows)}
	match := matching{rows: rows}
	var err error
	if out.columns, err = match.columns(p.row.features, p.row.byName, t.GetColumns(), rows, "table.columns"); err != nil {
		return nil, err
	}
	out.unknown = match.unknown
	for _, c := range out.columns {
		out.warm = out.warm || len(p.row.sequences) == 0 && c.have && len(c.validity) == 0
	}
	return out, nil
}

func bad(field, format string, args ...any) *InputError {
	return &InputError{Field: field, Reason: "TABLE_INVALID", Message: fmt.Sprintf(format, args...)}
}

// matching finds the columns of features.
type matching struct {
	rows    int64 // of the table
	unknown []*scoringv1.TableWarning
}

// columns finds the column of each feature, or field, and checks that every
// column has n values.
func (m *matching) columns(features []feature, byName map[string]int, columns []*scoringv1.Column, n int64, at string) ([]column, error) {
	names := suggestionsFor(byName)
	out := make([]column, len(features))
	for i, c := range columns {
		field := fmt.Sprintf("%s[%d]", at, i)
		if err := checkLength(c, field, n); err != nil {
			return nil, err
		}
		k, ok := byName[c.GetName()]
		if !ok {
			m.unknown = append(m.unknown, &scoringv1.TableWarning{Count: m.rows, Warning: &Warning{
				Code: servingv1.WarningCode_WARNING_CODE_UNKNOWN_FEATURE, Field: field, Message: names.unknown(c.GetName()),
			}})
			continue
		}
		if out[k].have {
			return nil, &InputError{Field: field + ".name", Reason: "FEATURE_TWICE", Message: fmt.Sprintf("%q has a column already", features[k].name)}
		}
		var err error
		if out[k], err = m.column(&features[k], c, field); err != nil {
			return nil, err
		}
	}
	for k := range features {
		f, c := &features[k], &out[k]
		if c.have {
			continue
		}
		c.path = path(at, f.name)
		if n > 0 && !f.imputable() {
			err := f.missing()
			err.Field = c.path
			return nil, err
		}
		c.fields = make([]column, len(f.fields))
	}
	return out, nil
}

// column checks that a column's type fits its feature.
func (m *matching) column(f *feature, c *scoringv1.Column, field string) (column, error) {
	out := column{path: field, have: true, validity: c.GetValidity()}
	fits := false
	switch d := c.GetData().(type) {
	case *scoringv1.Column_Doubles:
		out.doubles = d.Doubles.GetValues()
		fits = f.kind == bundlev1.FeatureType_FEATURE_TYPE_FLOAT || f.kind == bundlev1.FeatureType_FEATURE_TYPE_INT
	case *scoringv1.Column_Int64S:
		out.ints = d.Int64S.GetValues()
		fits = f.kind == bundlev1.FeatureType_FEATURE_TYPE_FLOAT || f.kind == bundlev1.FeatureType_FEATURE_TYPE_INT ||
			f.kind == bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP
	case *scoringv1.Column_Bools:
		out.bools = d.Bools.GetValues()
		fits = f.kind == bundlev1.FeatureType_FEATURE_TYPE_BOOL
	case *scoringv1.Column_Strings:
		out.dictionary, out.indices = d.Strings.GetDictionary(), d.Strings.GetIndices()
		switch f.kind {
		case bundlev1.FeatureType_FEATURE_TYPE_STRING:
			fits = true
			out.entries = f.entriesOf(out.dictionary)
		case bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
			fits = true
			out.micros = make([]int64, len(out.dictionary))
			for i, s := range out.dictionary {
				var ok bool
				if out.micros[i], ok = parseTime(s); !ok {
					out.micros[i] = notMicros
				}
			}
		}
	case *scoringv1.Column_Sequences:
		if fits = f.isSequence(); !fits {
			break
		}
		out.offsets = d.Sequences.GetOffsets()
		events := int64(out.offsets[len(out.offsets)-1])
		if events > 0 && len(d.Sequences.GetFields()) == 0 {
			return column{}, bad(field+".sequences.fields", "%d events have no field", events)
		}
		var err error
		if out.fields, err = m.columns(f.fields, f.byName, d.Sequences.GetFields(), events, field+".sequences.fields"); err != nil {
			return column{}, err
		}
	}
	if !fits {
		return column{}, &InputError{Field: field, Reason: "FEATURE_TYPE", Message: fmt.Sprintf("%q takes %s", f.name, f.want())}
	}
	return out, nil
}

// entry is what is known of a string of a dictionary.
type entry struct {
	category
	seen   bool
	number int64 // in an input that takes numbers
}

// entriesOf looks the strings up among the categories; nil when all are common
// ones that are written as they are.
func (f *feature) entriesOf(dictionary []string) []entry {
	if f.categories == nil {
		return nil
	}
	out := make([]entry, len(dictionary))
	plain := f.spec.GetIndex() == nil
	for i, s := range dictionary {
		k, seen := f.categories[s]
		out[i] = entry{k, seen, f.indexOf(k, seen)}
		plain = plain && seen && !k.rare
	}
	if plain {
		return nil
	}
	return out
}

// checkLength checks that a column has n values, a validity bit for each, and
// no index or offset out of bounds.
func checkLength(c *scoringv1.Column, field string, n int64) error {
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
		size := uint64(len(d.Strings.GetDictionary()))
		for i, k := range d.Strings.GetIndices() {
			if uint64(k) >= size && isValid(c.GetValidity(), i) {
				return bad(fmt.Sprintf("%s.strings.indices[%d]", field, i), "%d is beyond the dictionary of %d", k, size)
			}
		}
	case *scoringv1.Column_Sequences:
		offsets := d.Sequences.GetOffsets()
		have, kind = int64(len(offsets))-1, "sequences"
		for i, o := range offsets {
			if i == 0 && o != 0 || i > 0 && o < offsets[i-1] {
				return bad(fmt.Sprintf("%s.sequences.offsets[%d]", field, i), "offsets ascend from 0")
			}
		}
	default:
		return bad(field, "has no data")
	}
	if have != n {
		return bad(field+"."+kind, "has %d values, want %d", max(have, 0), n)
	}
	if v := int64(len(c.GetValidity())); v != 0 && v != (n+7)/8 {
		return bad(field+".validity", "has %d bytes for %d values, want %d", v, n, (n+7)/8)
	}
	return nil
}

// isValid tells whether value i is there.
func isValid(validity []byte, i int) bool {
	return len(validity) == 0 || (i>>3 < len(validity) && validity[i>>3]>>(i&7)&1 == 1)
}

// Rows returns the number of rows.
func (t *Table) Rows() int { return t.rows }

// Waves cuts the rows into waves, each of which Item may take.
func (t *Table) Waves() []Wave { return t.plan.waves(t.rows, t.eventsOf) }

// eventsOf returns the longest sequence of a row, as the model will see it.
func (t *Table) eventsOf(row int) int {
	n := 0
	for _, k := range t.plan.sequences {
		from, to := t.columns[k].events(row)
		n = max(n, min(to-from, int(t.plan.features[k].spec.GetMaxEvents())))
	}
	return n
}

// events returns the places [from, to) of a row's events among those of all.
func (c *column) events(row int) (from, to int) {
	if !c.have || c.offsets == nil || !isValid(c.validity, row) {
		return 0, 0
	}
	return int(c.offsets[row]), int(c.offsets[row+1])
}

// Item maps the rows of one wave to one item, column by column. A bad value
// fails its row only; such a row keeps its place, holding harmless values.
func (t *Table) Item(wave Wave) (Item, *TableReport, error) {
	start, events := time.Now(), 0
	for row := wave.From; row < wave.To; row++ {
		events = max(events, t.eventsOf(row))
	}
	item, into, err := t.plan.empty(wave.To-wave.From, events, t.coded(wave))
	if err != nil {
		return Item{}, nil, err
	}
	w := tableWriter{wave: wave, into: into, events: item.Length, report: newTableReport(t)}
	for k := range t.plan.features {
		f, c := &t.plan.features[k], &t.columns[k]
		if f.isSequence() {
			w.sequences(f, c)
			continue
		}
		out := &into[f.input]
		if t.isCoded(k) {
			w.coded(f, c)
			continue
		}
		if w.plain(f, c, out) {
			continue
		}
		for row := wave.From; row < wave.To; row++ {
			w.cell(f, c, out, row, row, (row-wave.From)*f.width+f.column)
		}
	}
	if !t.warm {
		for row := wave.From; row < wave.To; row++ {
			if note := t.coldness(row); note.code != 0 {
				w.report.warn(t.plan.slots, row, "table", note)
			}
		}
	}
	item.Prepared = time.Since(start)
	return item, w.report, nil
}

// isCoded tells whether a feature's column goes to its input as it came: strings
// by dictionary, one for every row.
func (t *Table) isCoded(k int) bool {
	f, c := &t.plan.features[k], &t.columns[k]
	return c.indices != nil && c.micros == nil && len(c.validity) == 0 && f.dtype == tensor.String && f.width == 1
}

// coded returns the inputs that a wave's columns are as they came, by their
// places; zero tensors for the others.
func (t *Table) coded(wave Wave) []tensor.Tensor {
	out := make([]tensor.Tensor, len(t.plan.inputs))
	for k := range t.columns {
		if t.isCoded(k) {
			c := &t.columns[k]
			out[t.plan.features[k].input] = tensor.Tensor{DType: tensor.String, Strings: c.dictionary, Codes: c.indices[wave.From:wave.To]}
		}
	}
	return out
}

// coldness tells whether nothing is known of a row.
func (t *Table) coldness(row int) remark {
	given, events := false, false
	for k := range t.columns {
		c := &t.columns[k]
		if from, to := c.events(row); to > from && !t.plan.features[k].spec.GetAhead() {
			events = true
		}
		given = given || c.have && isValid(c.validity, row)
	}
	return t.plan.cold(given, events)
}

// tableWriter writes the rows of one wave.
type tableWriter struct {
	wave   Wave
	into   []cells // like the inputs
	events int     // extent of the sequence axis
	report *TableReport
	times  []int64 // of one row's events
}

// plain copies the common case of numbers without validity or ranges; false when
// the column is none.
func (w *tableWriter) plain(f *feature, c *column, out *cells) bool {
	if f.width != 1 || len(c.validity) != 0 || f.spec.Min != nil || f.spec.Max != nil {
		return false
	}
	switch {
	case c.doubles != nil && out.float32 != nil && f.kind == bundlev1.FeatureType_FEATURE_TYPE_FLOAT:
		for i, x := range c.doubles[w.wave.From:w.wave.To] {
			if row := w.wave.From + i; x-x != 0 || !out.float(i, x) { // NaN, an infinity, or too large
				w.cell(f, c, out, row, row, i)
			}
		}
		return true
	case c.ints != nil && out.int64 != nil:
		copy(out.int64, c.ints[w.wave.From:w.wave.To])
		return true
	}
	return false
}

// coded remarks on the strings of a column that is an input as it came.
func (w *tableWriter) coded(f *feature, c *column) {
	if c.entries == nil {
		return
	}
	for row := w.wave.From; row < w.wave.To; row++ {
		e := &c.entries[c.indices[row]]
		if e.seen && !e.rare {
			continue
		}
		note, err := f.remarkOn(e.category, e.seen)
		w.tell(f, c, row, note, err)
	}
}

// tell reports what was found at a value.
func (w *tableWriter) tell(f *feature, c *column, row int, note remark, err *InputError) {
	if err != nil {
		w.report.fail(row, c.path, err)
	}
	if note.code != 0 {
		w.report.warn(f.slot, row, c.path, note)
	}
}

// cell writes value i of a column, which belongs to a row of the table, to a
// flat place of the input.
func (w *tableWriter) cell(f *feature, c *column, out *cells, i, row, at int) {
	var note remark
	var err *InputError
	switch {
	case !c.have || !isValid(c.validity, i):
		note, err = f.fillMissing(out, at)
	case c.doubles != nil:
		note, err = f.putNumber(out, at, c.doubles[i])
	case c.ints != nil && f.kind == bundlev1.FeatureType_FEATURE_TYPE_FLOAT:
		note, err = f.putNumber(out, at, float64(c.ints[i]))
	case c.ints != nil:
		note, err = f.putWhole(out, at, c.ints[i])
	case c.bools != nil:
		out.bool(at, c.bools[i])
	case c.micros != nil:
		micros := c.micros[c.indices[i]]
		if micros == notMicros {
			err = notATime()
		} else {
			out.int(at, micros)
		}
	default:
		k := c.indices[i]
		if c.entries == nil {
			out.strings[at] = c.dictionary[k]
			break
		}
		e := &c.entries[k]
		f.writeString(out, at, c.dictionary[k], e.number)
		note, err = f.remarkOn(e.category, e.seen)
	}
	w.tell(f, c, row, note, err)
}

// sequences writes the events of every row.
func (w *tableWriter) sequences(f *feature, c *column) {
	for row := w.wave.From; row < w.wave.To; row++ {
		from, to := c.events(row)
		if f.spec.GetRequired() && !isValid(c.validity, row) {
			w.report.fail(row, c.path, f.missing())
		}
		if to-from > f.limit {
			w.report.fail(row, c.path, f.tooManyEvents(to-from))
			continue
		}
		first, last, note := f.window(to - from)
		from, to = from+first, from+last
		if note.code != 0 {
			w.report.warn(f.slot, row, c.path, note)
		}
		local := row - w.wave.From
		if f.length >= 0 {
			w.into[f.length].int(local, int64(to-from))
		}
		at := local * w.events
		for k := range f.fields {
			sub := &f.fields[k]
			if sub.timed >= 0 {
				w.differences(sub, &c.fields[k], from, to, row, at)
				continue
			}
			for i := from; i < to; i++ {
				w.cell(sub, &c.fields[k], &w.into[sub.input], i, row, at+i-from)
			}
		}
		if f.mask >= 0 {
			for i := range to - from {
				w.into[f.mask].bool(at+i, true)
			}
		}
		f.pad(w.into, at+to-from, at+w.events)
	}
}
