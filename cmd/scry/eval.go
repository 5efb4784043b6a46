package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/scry-ml/scry/client"
	"github.com/scry-ml/scry/evaluate"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// evalCmd measures a version on rows of which it is known what came to pass.
type evalCmd struct {
	Model     modelRef `arg:"" placeholder:"MODEL[@VERSION]" help:"MODEL for the routed version, MODEL@VERSION for a number, an alias or latest."`
	File      string   `arg:"" help:"CSV or JSON Lines file with features and target. It is read once for each version."`
	Target    []string `required:"" placeholder:"COLUMN" help:"The column with what came to pass. Of a forecast: one column of JSON lists, or one for each point, the nearest first."`
	Head      string   `placeholder:"HEAD" help:"The answer to measure (default: the model's only one)."`
	Positive  string   `placeholder:"VALUE" help:"The target's value that is the event, where it is not 1, yes or true. Every other value is not."`
	Treatment string   `placeholder:"COLUMN" help:"Of an uplift: the column with the treatment that each row had by chance; empty, 0, none or control is none, and 1 the model's only one."`
	Slice     []string `placeholder:"COLUMN" help:"Measure the parts of the rows too: by the column's values, or quarters of its numbers."`
	Beside    modelRef `placeholder:"MODEL[@VERSION]" help:"The version to stand beside (default: the model's routed one)."`
	Alone     bool     `help:"Stand beside none."`
	Plot      string   `type:"path" placeholder:"FILE.svg" help:"Draw the curves."`
	Resamples int      `default:"200" help:"Resamples of the rows, from which the intervals are; 0 for none."`
	Seed      uint64   `default:"1" help:"Seed of what is drawn: the same seed gives the same numbers."`
	rowsFlags
}

// level is the share of resamples within an interval.
const level = 0.95

func (c *evalCmd) Run(ctx context.Context, app *app) error {
	if c.Resamples < 0 || c.Resamples > 100_000 {
		return wrongUse("--resamples is from 0 to 100000")
	}
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	versions, head, err := c.versions(ctx, app, server)
	if err != nil {
		return err
	}
	kind, err := c.newHead(versions[0].GetManifest().GetHeads()[head])
	if err != nil {
		return err
	}
	parts := make([]*partition, len(c.Slice))
	for i, name := range c.Slice {
		parts[i] = newPartition(name)
	}
	table := &tableRun{head: head, file: c.File, rowsFlags: c.rowsFlags, also: c.columns(), output: app.output}
	for k, version := range versions {
		err := table.run(ctx, app, server, version, func(row int, cells []string, answer *scoringv1.HeadColumns, i int) string {
			if k == 0 {
				for p, part := range parts {
					if err := part.add(cells[len(cells)-len(parts)+p]); err != nil {
						table.fail(err)
					}
				}
			}
			left := kind.add(k, row, cells, answer, i)
			if p, ok := kind.(*measuredProbability); ok && left != "" && left != noTarget {
				table.fail(p.unknown())
			}
			return left
		})
		if err != nil {
			return err
		}
	}
	rows, err := table.evaluated()
	if err != nil {
		return err
	}
	for _, part := range parts {
		if part.empty() {
			return wrongUse("--slice %s: no row has such a column", part.column)
		}
	}
	if err := kind.check(rows); err != nil {
		return err
	}
	report, err := c.measure(ctx, table, kind, parts, rows, versions)
	if err != nil {
		return err
	}
	if c.Plot != "" {
		if err := writePlot(c.Plot, report, kind, rows); err != nil {
			return err
		}
	}
	if err := report.print(app.output); err != nil {
		return err
	}
	return table.close(app.output)
}

// versions finds the version to measure and the one to stand beside it, and the
// head that both have.
func (c *evalCmd) versions(ctx context.Context, app *app, server *client.Client) ([]*modelstorev1.Version, string, error) {
	version, _, err := rowModel(ctx, server, c.Model)
	if err != nil {
		return nil, "", err
	}
	head, err := measurable(version.GetManifest(), c.Head)
	if err != nil {
		return nil, "", err
	}
	versions := []*modelstorev1.Version{version}
	if other, err := c.other(ctx, server, version); err != nil {
		return nil, "", err
	} else if other != nil {
		switch h := other.GetManifest().GetHeads()[head]; {
		case h == nil || kindOf(h) != kindOf(version.GetManifest().GetHeads()[head]):
			if c.Beside.Model != "" {
				return nil, "", fmt.Errorf("%s has no %s called %s", versionText(other), kindOf(version.GetManifest().GetHeads()[head]), head)
			}
			app.output.remark("%s, which is routed, has no %s called %s: %s stands alone", versionText(other), kindOf(version.GetManifest().GetHeads()[head]), head, versionText(version))
		case c.File == "-":
			return nil, "", wrongUse("the rows are read once for %s and once for %s: name a file, or say --alone", versionText(version), versionText(other))
		default:
			versions = append(versions, other)
		}
	}
	for _, v := range versions {
		if err := waitLoaded(ctx, app, server, modelRef{v.GetModel(), fmt.Sprint(v.GetVersion())}); err != nil {
			return nil, "", err
		}
	}
	return versions, head, nil
}

// other is the version to stand beside; nil for none.
func (c *evalCmd) other(ctx context.Context, server *client.Client, version *modelstorev1.Version) (*modelstorev1.Version, error) {
	if c.Alone && c.Beside.Model != "" {
		return nil, wrongUse("--alone and --beside exclude each other")
	}
	if c.Alone || c.Beside.Model == "" && version.GetRouted() {
		return nil, nil
	}
	ref := c.Beside
	if ref.Model == "" {
		ref.Model = version.GetModel()
	}
	r, err := server.ModelStore().GetVersion(ctx, &modelstorev1.GetVersionRequest{Model: ref.Model, Version: ref.Version})
	switch {
	case isNotRouted(err) && c.Beside.Model == "":
		return nil, nil
	case err != nil:
		return nil, err
	case r.GetVersion().GetModel() == version.GetModel() && r.GetVersion().GetVersion() == version.GetVersion():
		return nil, nil
	case r.GetVersion().GetManifest().GetRow() == nil:
		return nil, fmt.Errorf("%s takes %s, not rows", versionText(r.GetVersion()), takes(r.GetVersion().GetManifest()))
	}
	return r.GetVersion(), nil
}

func versionText(v *modelstorev1.Version) string { return modelRefText(v.GetModel(), v.GetVersion()) }

// columns are those that are read beside the features: targets, the treatment,
// and what the rows are divided by.
func (c *evalCmd) columns() []string {
	columns := slices.Clone(c.Target)
	if c.Treatment != "" {
		columns = append(columns, c.Treatment)
	}
	return append(columns, c.Slice...)
}

// kindOf names a head's kind, "" for one that has nothing to be measured.
func kindOf(h *bundlev1.Head) string {
	switch h.GetKind().(type) {
	case *bundlev1.Head_Probability:
		return "probability"
	case *bundlev1.Head_Value:
		return "value"
	case *bundlev1.Head_Classes:
		return "classes"
	case *bundlev1.Head_Forecast:
		return "forecast"
	case *bundlev1.Head_Uplift:
		return "uplift"
	}
	return ""
}

// measurable finds the head: the named one, or the only one that can be measured.
func measurable(m *bundlev1.Manifest, name string) (string, error) {
	var names []string
	for _, n := range slices.Sorted(maps.Keys(m.GetHeads())) {
		if kindOf(m.GetHeads()[n]) != "" {
			names = append(names, n)
		}
	}
	switch {
	case name != "" && m.GetHeads()[name] == nil:
		return "", wrongUse("the model has no head %q; it has %s", name, strings.Join(slices.Sorted(maps.Keys(m.GetHeads())), ", "))
	case name != "" && !slices.Contains(names, name):
		return "", wrongUse("%s is %s: there is no truth to measure it by", name, headText(m.GetHeads()[name]))
	case name != "":
		return name, nil
	case len(names) == 0:
		return "", fmt.Errorf("the model has no head that can be measured")
	case len(names) > 1:
		return "", wrongUse("which answer? Say --head %s", strings.Join(names, " or --head "))
	}
	return names[0], nil
}

// tableRun reads a file's rows and has versions answer them.
type tableRun struct {
	rowsFlags
	head   string
	file   string
	also   []string
	output *output

	read    int
	out     []bool // rows that are left out
	reasons []*leftOut
	err     error // of what was read
}

// leftOut is rows that could not be measured for one reason.
type leftOut struct {
	Reason string    `json:"reason"`
	Count  int       `json:"count"`
	First  []leftRow `json:"first"`
}

// leftRow is one of them.
type leftRow struct {
	ID  string `json:"id"`
	Why string `json:"why,omitempty"`
}

const (
	frameRows    = 2048 // rows of one call
	framesAtOnce = 4
	namedRows    = 5 // rows of one reason that are named
)

// fail ends the run with an error about what was read.
func (t *tableRun) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// leave leaves a row out. why is its reason, with details after a colon.
func (t *tableRun) leave(row int, id, why string) {
	t.out[row] = true
	reason, detail, _ := strings.Cut(why, ": ")
	i := slices.IndexFunc(t.reasons, func(l *leftOut) bool { return l.Reason == reason })
	if i < 0 {
		i = len(t.reasons)
		t.reasons = append(t.reasons, &leftOut{Reason: reason})
	}
	l := t.reasons[i]
	if l.Count++; len(l.First) < namedRows {
		l.First = append(l.First, leftRow{id, detail})
	}
}

// evaluated lists the rows that were not left out.
func (t *tableRun) evaluated() ([]int32, error) {
	var rows []int32
	for row, out := range t.out {
		if !out {
			rows = append(rows, int32(row))
		}
	}
	if len(rows) == 0 {
		for _, l := range t.reasons {
			t.tell(l)
		}
		return nil, fmt.Errorf("none of %s can be measured", counted(len(t.out), "rows"))
	}
	return rows, nil
}

// tell names the rows of a reason.
func (t *tableRun) tell(l *leftOut) {
	var named []string
	for _, r := range l.First {
		text := r.ID
		if r.Why != "" {
			text += " (" + shorten(r.Why, 100) + ")"
		}
		named = append(named, text)
	}
	more := ""
	if l.Count > len(l.First) {
		more = ", …"
	}
	t.output.remark("left out, %s: %s: %s%s", l.Reason, counted(l.Count, "rows"), strings.Join(named, "; "), more)
}

// close names the rows that were left out; those that a version failed to answer
// are an error.
func (t *tableRun) close(o *output) error {
	failed := 0
	for _, l := range t.reasons {
		t.tell(l)
		if l.Reason != noTarget {
			failed += l.Count
		}
	}
	if failed > 0 {
		return &someFailed{failed, len(t.out), "rows"}
	}
	return nil
}

// noTarget is the reason of rows of which it is not known what came to pass.
const noTarget = "no target"

// filled is a frame on its way through the server.
type filled struct {
	frame *frame
	first int
	ids   []string
	cells [][]string
	done  chan struct{}
	parts []*scoringv1.TableResult
	err   error
}

// take is told what was answered to a row, in order: answer is nil where nothing
// was. It returns why the row is to be left out, or "".
type take func(row int, cells []string, answer *scoringv1.HeadColumns, i int) string

// run has one version answer the rows. Frames are scored several at once, so
// that memory holds a few thousand rows of features at a time.
func (t *tableRun) run(ctx context.Context, app *app, server *client.Client, version *modelstorev1.Version, each take) error {
	features := version.GetManifest().GetRow()
	reader, err := t.open(ctx, app.output, t.file, features)
	if err != nil {
		return err
	}
	defer reader.Close()
	if t.read++; t.read > 1 {
		reader.remark = func(string, ...any) {} // it was told at the first reading
	}
	reader.also = t.also
	bar := app.output.progress("scoring with "+versionText(version), "rows")
	bar.start(0, 0)
	defer bar.end()

	work, workCtx := errgroup.WithContext(ctx)
	defer work.Wait()
	rows := 0
	var waiting []*filled
	finish := func() error {
		f := waiting[0]
		waiting = waiting[1:]
		<-f.done
		if f.err != nil {
			return work.Wait() // the first error, not what it ended
		}
		t.take(f, versionText(version), each)
		bar.set(int64(f.first + f.frame.rows))
		return t.err
	}
	var next *filled
	send := func() error {
		f := next
		next = nil
		work.Go(func() error {
			defer close(f.done)
			f.parts, f.err = server.ScoreTable(workCtx, &scoringv1.ScoreRequest{
				Model: version.GetModel(), Version: fmt.Sprint(version.GetVersion()), Table: f.frame.table(),
				Options: &scoringv1.ScoreOptions{Heads: []string{t.head}},
			})
			return f.err
		})
		if waiting = append(waiting, f); len(waiting) < framesAtOnce {
			return nil
		}
		return finish()
	}
	for row := range reader.all() {
		if next == nil {
			next = &filled{first: rows, frame: newFrame(features.GetFeatures(), reader.absent), done: make(chan struct{})}
		}
		next.frame.add(row)
		next.ids = append(next.ids, row.GetId())
		next.cells = append(next.cells, slices.Clone(reader.cells))
		if rows++; next.frame.rows == frameRows {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if reader.err != nil {
		return reader.err
	}
	if next != nil {
		if err := send(); err != nil {
			return err
		}
	}
	for len(waiting) > 0 {
		if err := finish(); err != nil {
			return err
		}
	}
	switch {
	case rows == 0:
		return fmt.Errorf("%s holds no rows", t.file)
	case rows != len(t.out):
		return fmt.Errorf("%s changed while it was read: it had %d rows, and now %d", t.file, len(t.out), rows)
	}
	return nil
}

// take hands a frame's answers on.
func (t *tableRun) take(f *filled, by string, each take) {
	for len(t.out) < f.first+f.frame.rows && t.read == 1 {
		t.out = append(t.out, false)
	}
	failed := make(map[int]string)
	maps.Copy(failed, f.frame.bad)
	for _, p := range f.parts {
		for _, e := range p.GetErrors() {
			if at := int(p.GetFirstIndex() + e.GetRow()); failed[at] == "" {
				failed[at] = e.GetError().GetMessage()
			}
		}
	}
	part := 0
	for i := range f.frame.rows {
		row := f.first + i
		if row >= len(t.out) {
			return // the file has grown: run says so
		}
		for part < len(f.parts) && int64(i) >= f.parts[part].GetFirstIndex()+f.parts[part].GetRows() {
			part++
		}
		var answer *scoringv1.HeadColumns
		at := 0
		why, bad := failed[i]
		if part < len(f.parts) && !bad {
			answer, at = f.parts[part].GetHeads()[t.head], i-int(f.parts[part].GetFirstIndex())
		}
		left := each(row, f.cells[i], answer, at)
		switch {
		case t.out[row]: // already, with another version
		case bad:
			t.leave(row, f.ids[i], "failed with "+by+": "+why)
		case answer == nil:
			t.leave(row, f.ids[i], "not answered by "+by)
		case left != "":
			t.leave(row, f.ids[i], left)
		}
	}
}

// number reads a cell as a finite number.
func number(cell string) (float64, bool) {
	x, err := strconv.ParseFloat(cell, 64)
	return x, err == nil && !math.IsInf(x, 0) && !math.IsNaN(x)
}

// partition divides rows by a column: by its values or, where it holds more than
// ten different numbers, into quarters. It keeps 12 bytes a row.
type partition struct {
	column  string
	numbers []float64 // NaN where there is none; nil once a cell is no number
	codes   []uint32  // nil once there are too many values
	place   map[string]uint32
	values  []string
}

const (
	fewNumbers = 10   // different numbers that are values by themselves
	mostValues = 1000 // different values of a column
	mostSlices = 20   // that are printed; the rest are one
)

func newPartition(column string) *partition {
	return &partition{column: column, numbers: []float64{}, codes: []uint32{}, place: make(map[string]uint32)}
}

func (p *partition) add(cell string) error {
	if p.numbers != nil {
		x, ok := number(cell)
		switch {
		case ok:
			p.numbers = append(p.numbers, x)
		case cell == "":
			p.numbers = append(p.numbers, math.NaN())
		default:
			p.numbers = nil
		}
	}
	if p.codes != nil {
		code, known := p.place[cell]
		if !known && len(p.values) < mostValues {
			code = uint32(len(p.values))
			p.place[cell] = code
			p.values = append(p.values, cell)
			known = true
		}
		if p.codes = append(p.codes, code); !known {
			p.codes = nil
		}
	}
	if p.numbers == nil && p.codes == nil {
		return fmt.Errorf("column %q has more than %d different texts: rows cannot be divided by it", p.column, mostValues)
	}
	return nil
}

// empty reports whether no row says anything.
func (p *partition) empty() bool { return len(p.values) == 1 && p.values[0] == "" }

// slice is a part of the rows.
type slice struct {
	column, value string
	rows          []int32
}

// slices divides rows.
func (p *partition) slices(rows []int32) []slice {
	if p.codes == nil || p.numbers != nil && len(p.values) > fewNumbers {
		return p.quarters(rows)
	}
	by := make([][]int32, len(p.values))
	for _, row := range rows {
		by[p.codes[row]] = append(by[p.codes[row]], row)
	}
	var out []slice
	for code, part := range by {
		if len(part) > 0 {
			value := p.values[code]
			if value == "" {
				value = "(none)"
			}
			out = append(out, slice{p.column, value, part})
		}
	}
	slices.SortStableFunc(out, func(a, b slice) int { return len(b.rows) - len(a.rows) })
	if len(out) > mostSlices {
		rest := slice{column: p.column, value: fmt.Sprintf("(%d others)", len(out)-mostSlices+1)}
		for _, s := range out[mostSlices-1:] {
			rest.rows = append(rest.rows, s.rows...)
		}
		out = append(out[:mostSlices-1], rest)
	}
	return out
}

// quarters divides rows by the quartiles of their numbers.
func (p *partition) quarters(rows []int32) []slice {
	var sorted []float64
	for _, row := range rows {
		if x := p.numbers[row]; !math.IsNaN(x) {
			sorted = append(sorted, x)
		}
	}
	slices.Sort(sorted)
	var ends []float64
	for k := 1; k <= 4 && len(sorted) > 0; k++ {
		if q := evaluate.Quantile(sorted, float64(k)/4); len(ends) == 0 || q > ends[len(ends)-1] {
			ends = append(ends, q)
		}
	}
	out := make([]slice, len(ends)+1)
	for k := range ends {
		low := fmt.Sprintf("over %.5g", ends[max(k-1, 0)])
		if k == 0 {
			low = fmt.Sprintf("%.5g", sorted[0])
		}
		out[k] = slice{column: p.column, value: fmt.Sprintf("%s to %.5g", low, ends[k])}
	}
	out[len(ends)] = slice{column: p.column, value: "(none)"}
	for _, row := range rows {
		k := len(ends)
		if x := p.numbers[row]; !math.IsNaN(x) {
			k, _ = slices.BinarySearch(ends, x)
		}
		out[k].rows = append(out[k].rows, row)
	}
	return slices.DeleteFunc(out, func(s slice) bool { return len(s.rows) == 0 })
}
