package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tensor"
)

// rowPlan maps features to inputs; made once per version.
type rowPlan struct {
	features []feature
	byName   map[string]int
	inputs   []bundle.Value
	axes     []inputAxes // like inputs
	slots    int
	// Bytes that one row takes, and each event of its sequences.
	rowBytes, eventBytes int64
	sequences            []int // places among the features
	histories            int   // sequences that are not of steps to come
	maxEvents            int   // the manifest's limit of events that callers may send; 0 = none
	times                int   // fields whose times are written as differences
	players              []Player
	itemField            *bundlev1.Feature // whose categories are the items' ids; nil when there is none
	items                *bundle.Items
}

// defaultMaxEvents is how many events of one sequence callers may send, unless
// the model reads more.
const defaultMaxEvents = 100_000

// inputAxes are the axes of an input after the rows.
type inputAxes struct {
	columns  int  // extent of a second axis, 0 when there is none
	sequence bool // the second axis holds events
}

func newRowPlan(b *bundle.Bundle, items *bundle.Items) (*rowPlan, error) {
	row := b.Manifest.GetRow()
	p := &rowPlan{byName: map[string]int{}, inputs: b.Inputs(), itemField: bundle.ItemField(b.Manifest), items: items}
	p.axes = make([]inputAxes, len(p.inputs))
	p.maxEvents = int(b.Manifest.GetLimits().GetMaxEvents())
	place := map[string]int{}
	for i, v := range p.inputs {
		place[v.Name] = i
		if len(v.Shape) == 2 {
			p.axes[i].columns = 1
		}
	}
	matrix := row.GetMatrixInput()
	longest := int32(0)
	for i, spec := range row.GetFeatures() {
		f, err := p.feature(spec, place)
		if err != nil {
			return nil, err
		}
		if matrix != "" {
			f.input, f.column, f.width = place[matrix], i, len(row.GetFeatures())
			f.dtype = p.inputs[f.input].DType
			p.axes[f.input].columns = f.width
		}
		if f.isSequence() {
			longest = max(longest, spec.GetMaxEvents())
			p.sequences = append(p.sequences, i)
			if !spec.GetAhead() {
				p.histories++
			}
		} else if err := f.check(); err != nil {
			return nil, err
		}
		p.features = append(p.features, f)
		addNames(p.byName, spec, i)
	}
	p.players = playersOf(p, row)
	for i, v := range p.inputs {
		size := int64(max(v.DType.Size(), 1))
		if v.DType == tensor.String {
			size = 16
		}
		if p.axes[i].sequence {
			p.eventBytes += size
		} else {
			p.rowBytes += size * int64(max(p.axes[i].columns, 1))
		}
	}
	if n := p.rowBytes + p.eventBytes*int64(longest); n > WaveBytes {
		return nil, fmt.Errorf("%w: row.features: one row would take %d bytes, more than %d: fewer max_events would do", bundle.ErrInvalid, n, WaveBytes)
	}
	return p, nil
}

func addNames(byName map[string]int, spec *bundlev1.Feature, i int) {
	byName[spec.GetName()] = i
	for _, alias := range spec.GetAliases() {
		byName[alias] = i
	}
}

func (p *rowPlan) feature(spec *bundlev1.Feature, place map[string]int) (feature, error) {
	f := feature{spec: spec, name: spec.GetName(), path: path("features", spec.GetName()), kind: spec.GetType(), slot: p.slots, timed: -1, width: 1, length: -1, mask: -1}
	p.slots++
	if !isNull(spec.GetDefault()) {
		f.fallback = spec.GetDefault()
	}
	categories := spec.GetCategories()
	if spec == p.itemField && p.items != nil {
		categories = p.items.IDs
	}
	if len(categories) > 0 {
		f.categories = make(map[string]category, len(categories))
		for i, c := range categories {
			f.categories[c] = category{place: int64(i)}
		}
		for _, c := range spec.GetRareCategories() {
			f.categories[c] = category{place: f.categories[c].place, rare: true}
		}
		f.unseen = "is not one of the categories seen in training" + someOf(categories)
	}
	if !f.isSequence() {
		if i, ok := place[bundle.InputOf(spec)]; ok {
			f.input, f.dtype, f.unread = i, p.inputs[i].DType, p.inputs[i].Unread
		}
		return f, nil
	}
	f.byName = map[string]int{}
	for i, sub := range spec.GetFields() {
		field, err := p.feature(sub, place)
		if err != nil {
			return feature{}, err
		}
		field.path = path("", sub.GetName())
		if sub.GetTime() != 0 {
			field.timed = p.times
			p.times++
		}
		if err := field.check(); err != nil {
			return feature{}, err
		}
		p.axes[field.input] = inputAxes{sequence: true}
		f.fields = append(f.fields, field)
		addNames(f.byName, sub, i)
	}
	if name := spec.GetLengthInput(); name != "" {
		f.length = place[name]
	}
	if name := spec.GetMaskInput(); name != "" {
		f.mask = place[name]
		p.axes[f.mask] = inputAxes{sequence: true}
	}
	if f.limit = p.maxEvents; f.limit == 0 {
		f.limit = max(defaultMaxEvents, int(spec.GetMaxEvents()))
	}
	return f, nil
}

// RowReport tells what became of one row.
type RowReport struct {
	// Err is set when the row cannot be scored: an *InputError.
	Err error
	// Warnings are remarks on the row.
	Warnings []*Warning
}

// RowWaves cuts rows into waves, each of which Rows may take.
func (p *Pipeline) RowWaves(rows []*structpb.Struct) []Wave {
	if p.row == nil {
		return Cut(len(rows), WaveItems, func(int) int64 { return 0 })
	}
	return p.row.waves(len(rows), func(i int) int { return p.row.eventsOf(rows[i]) })
}

// waves cuts rows so that their inputs take at most WaveBytes; sequences are
// as wide as the longest one of a wave.
func (p *rowPlan) waves(n int, events func(row int) int) []Wave {
	most := int64(WaveItems)
	if p.eventBytes == 0 {
		return Cut(n, int(most), func(int) int64 { return p.rowBytes })
	}
	var waves []Wave
	for from := 0; from < n; {
		to, width := from+1, max(events(from), 1)
		for ; to < n && int64(to-from) < most; to++ {
			wider := max(width, events(to))
			if int64(to+1-from)*(p.rowBytes+int64(wider)*p.eventBytes) > WaveBytes {
				break
			}
			width = wider
		}
		waves = append(waves, Wave{from, to})
		from = to
	}
	return waves
}

// eventsOf returns the longest sequence of a row, as the model will see it.
func (p *rowPlan) eventsOf(row *structpb.Struct) int {
	n := 0
	for _, k := range p.sequences {
		f := &p.features[k]
		v, _, _ := f.lookup(row.GetFields())
		n = max(n, min(len(v.GetListValue().GetValues()), int(f.spec.GetMaxEvents())))
	}
	return n
}

// Rows maps rows, those of one wave, to one item of as many rows, each feature
// to its input. Null and absent values are missing: the manifest's default, NaN
// for floating inputs without one, else the row's error. A row with an error
// keeps its place, holding harmless values.
func (p *Pipeline) Rows(rows []*structpb.Struct) (Item, []RowReport, error) {
	if p.row == nil {
		return Item{}, nil, fmt.Errorf("%w: the model takes no rows", ErrInput)
	}
	start, events := time.Now(), 0
	for _, row := range rows {
		events = max(events, p.row.eventsOf(row))
	}
	item, into, err := p.row.empty(len(rows), events, nil)
	if err != nil {
		return Item{}, nil, err
	}
	w := rowWriter{plan: p.row, into: into, events: item.Length, names: suggestionsFor(p.row.byName)}
	w.times = make([][]int64, p.row.times)
	reports := make([]RowReport, len(rows))
	for i, row := range rows {
		w.write(i, row.GetFields(), &reports[i])
	}
	item.Prepared = time.Since(start)
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

// empty makes zeroed inputs; events is the extent of the sequence axis. Inputs
// that are given are taken as they are.
func (p *rowPlan) empty(rows, events int, given []tensor.Tensor) (Item, []cells, error) {
	item := Item{Inputs: make([]tensor.Tensor, len(p.inputs)), Rows: rows}
	into := make([]cells, len(p.inputs))
	shapes := make([]int64, 0, 2*len(p.inputs)) // of all inputs, one after the other
	if p.eventBytes > 0 {
		item.Length = max(events, 1)
	}
	for i, v := range p.inputs {
		shapes = append(shapes, int64(rows))
		from := len(shapes) - 1
		switch axes := p.axes[i]; {
		case axes.sequence:
			shapes = append(shapes, int64(item.Length))
		case axes.columns > 0:
			shapes = append(shapes, int64(axes.columns))
		}
		shape := shapes[from:len(shapes):len(shapes)]
		if i < len(given) && given[i].DType != tensor.Invalid {
			item.Inputs[i] = given[i]
			item.Inputs[i].Shape = shape
			continue
		}
		var err error
		if item.Inputs[i], err = tensor.New(v.DType, shape...); err != nil {
			return Item{}, nil, err
		}
		into[i] = cellsOf(item.Inputs[i])
	}
	return item, into, nil
}

// rowWriter writes the rows of one wave.
type rowWriter struct {
	plan   *rowPlan
	into   []cells // like the inputs
	events int     // extent of the sequence axis
	names  *suggestions
	times  [][]int64 // of one row's events, by the number of their field
}

func (w *rowWriter) write(row int, fields map[string]*structpb.Value, report *RowReport) {
	known, given, events := 0, 0, 0
	for k := range w.plan.features {
		f := &w.plan.features[k]
		v, n, twice := f.lookup(fields)
		known += n
		if !isNull(v) {
			given++
		}
		if twice {
			report.fail(f.path, f.givenTwice())
		}
		if f.isSequence() {
			w.sequence(f, row, v, report)
			if !f.spec.GetAhead() {
				events += len(v.GetListValue().GetValues())
			}
			continue
		}
		note, err := f.fill(&w.into[f.input], row*f.width+f.column, v)
		if err != nil {
			report.fail(f.path, err)
		}
		if note.code != 0 {
			report.warn(note, f.path)
		}
	}
	if note := w.plan.cold(given > 0, events > 0); note.code != 0 {
		report.warn(note, "features")
	}
	if known < len(fields) {
		for _, name := range unknown(fields, w.plan.byName) {
			if report.full() {
				break
			}
			report.warn(remark{servingv1.WarningCode_WARNING_CODE_UNKNOWN_FEATURE, w.names.unknown(name)}, path("features", name))
		}
	}
}

// unknown returns the names that are not known, in order.
func unknown(fields map[string]*structpb.Value, known map[string]int) []string {
	var names []string
	for name := range fields {
		if _, ok := known[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sequence writes one row's events.
func (w *rowWriter) sequence(f *feature, row int, v *structpb.Value, report *RowReport) {
	var events []*structpb.Value
	if isNull(v) {
		if f.spec.GetRequired() {
			report.fail(f.path, f.missing())
			return
		}
	} else {
		list, ok := v.GetKind().(*structpb.Value_ListValue)
		if !ok {
			report.fail(f.path, f.wrongType(v))
			return
		}
		events = list.ListValue.GetValues()
	}
	if len(events) > f.limit {
		report.fail(f.path, f.tooManyEvents(len(events)))
		return
	}
	skipped, to, note := f.window(len(events))
	events = events[skipped:to]
	if note.code != 0 {
		report.warn(note, f.path)
	}
	if f.length >= 0 {
		w.into[f.length].int(row, int64(len(events)))
	}
	if f.mask >= 0 {
		for at := range events {
			w.into[f.mask].bool(row*w.events+at, true)
		}
	}
	for k := range f.fields {
		if t := f.fields[k].timed; t >= 0 {
			w.times[t] = w.times[t][:0]
		}
	}
	// A remark that holds for many events is made on the first.
	said := make(map[remarkKey]struct{}, 4)
	for at, value := range events {
		event, ok := value.GetKind().(*structpb.Value_StructValue)
		if !ok {
			report.fail(fmt.Sprintf("%s[%d]", f.path, skipped+at), &InputError{Reason: "FEATURE_TYPE", Message: "is not an object with the event's fields"})
			return
		}
		fields := event.StructValue.GetFields()
		known := 0
		for k := range f.fields {
			sub := &f.fields[k]
			v, n, twice := sub.lookup(fields)
			known += n
			var note remark
			var err *InputError
			if sub.timed >= 0 {
				var micros int64
				micros, note, err = sub.fillTime(&w.into[sub.input], row*w.events+at, v)
				w.times[sub.timed] = append(w.times[sub.timed], micros)
			} else {
				note, err = sub.fill(&w.into[sub.input], row*w.events+at, v)
			}
			if twice {
				err = sub.givenTwice()
			}
			if err != nil {
				report.fail(fmt.Sprintf("%s[%d]%s", f.path, skipped+at, sub.path), err)
				return
			}
			if key := (remarkKey{sub.name, note.code}); note.code != 0 && first(said, key) {
				report.warn(note, fmt.Sprintf("%s[%d]%s", f.path, skipped+at, sub.path))
			}
		}
		if known == len(fields) {
			continue
		}
		for _, name := range unknown(fields, f.byName) {
			if report.full() {
				break
			}
			if first(said, remarkKey{name, servingv1.WarningCode_WARNING_CODE_UNKNOWN_FEATURE}) {
				report.warn(remark{servingv1.WarningCode_WARNING_CODE_UNKNOWN_FEATURE, "the model's events have no such field"}, fmt.Sprintf("%s[%d]%s", f.path, skipped+at, path("", name)))
			}
		}
	}
	for k := range f.fields {
		sub := &f.fields[k]
		if sub.timed < 0 {
			continue
		}
		if at, err := sub.writeTimes(&w.into[sub.input], row*w.events, w.times[sub.timed]); err != nil {
			report.fail(fmt.Sprintf("%s[%d]%s", f.path, skipped+at, sub.path), err)
			return
		}
	}
	f.pad(w.into, row*w.events+len(events), (row+1)*w.events)
}

type remarkKey struct {
	name string
	code servingv1.WarningCode
}

func first(said map[remarkKey]struct{}, key remarkKey) bool {
	_, again := said[key]
	said[key] = struct{}{}
	return !again
}

// window tells which of n events, [from, to), the model reads: the last ones, of
// steps to come the first.
func (f *feature) window(n int) (from, to int, note remark) {
	most, ahead := int(f.spec.GetMaxEvents()), f.spec.GetAhead()
	switch {
	case n > most && ahead:
		to = most
	case n > most:
		from, to = n-most, n
	case n < most && ahead:
		return 0, n, remark{servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, fmt.Sprintf("%d of %d steps to come are given", n, most)}
	default:
		return 0, n, remark{}
	}
	return from, to, remark{servingv1.WarningCode_WARNING_CODE_TRUNCATED, "the model reads " + f.kept()}
}

// kept says which events of many the model reads.
func (f *feature) kept() string {
	which := "last"
	if f.spec.GetAhead() {
		which = "first"
	}
	return fmt.Sprintf("the %s %d events", which, f.spec.GetMaxEvents())
}

// pad writes the fields' defaults to the places [from, to) after the events.
func (f *feature) pad(into []cells, from, to int) {
	for k := range f.fields {
		if f.fields[k].fallback == nil {
			continue
		}
		for at := from; at < to; at++ {
			f.fields[k].putDefault(&into[f.fields[k].input], at)
		}
	}
}

// padValue is the number that pads an input of events: its field's default.
func (p *rowPlan) padValue(input string) float64 {
	for _, k := range p.sequences {
		for _, f := range p.features[k].fields {
			switch d := f.fallback.GetKind().(type) {
			case *structpb.Value_NumberValue:
				if p.inputs[f.input].Name == input {
					return d.NumberValue
				}
			case *structpb.Value_BoolValue:
				if p.inputs[f.input].Name == input && d.BoolValue {
					return 1
				}
			}
		}
	}
	return 0
}

// path is the field path of a feature: `features["age"]`.
func path(of, name string) string { return fmt.Sprintf("%s[%q]", of, clip(name)) }

// clip keeps names in messages short.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// maxWarnings bounds the remarks on one row: a caller who sends thousands of
// unknown names needs no list of them.
const maxWarnings = 32

func (r *RowReport) full() bool { return len(r.Warnings) >= maxWarnings }

func (r *RowReport) warn(note remark, field string) {
	if !r.full() {
		r.Warnings = append(r.Warnings, &Warning{Code: note.code, Field: field, Message: note.message})
	}
}

// fail keeps a row's first error.
func (r *RowReport) fail(field string, err *InputError) {
	if r.Err == nil {
		err.Field = field
		r.Err = err
	}
}
