package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/scry-ml/scry/evaluate"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// evalReport is what was measured, as -o json prints it.
type evalReport struct {
	Versions  []string    `json:"versions"` // the measured one, and the one beside it
	Head      string      `json:"head"`
	Kind      string      `json:"kind"`
	Event     string      `json:"event,omitempty"`
	Unit      string      `json:"unit,omitempty"`
	Target    []string    `json:"target"`
	File      string      `json:"file"`
	Rows      int         `json:"rows"`      // read
	Evaluated int         `json:"evaluated"` // the others are left out
	LeftOut   []*leftOut  `json:"left_out"`
	Level     float64     `json:"interval_level"`
	Resamples int         `json:"resamples"`
	Seed      uint64      `json:"seed"`
	Overall   part        `json:"overall"`
	Slices    []part      `json:"slices"`
	Deciles   [][]decile  `json:"deciles,omitempty"` // by version, the highest first
	Classes   []classRow  `json:"classes,omitempty"`
	Steps     [][]numeric `json:"wape_by_step,omitempty"` // by version
}

// part is the rows, or a slice of them.
type part struct {
	Column      string        `json:"column,omitempty"`
	Value       string        `json:"value,omitempty"`
	Rows        int           `json:"rows"`
	Rate        *numeric      `json:"rate,omitempty"` // of a probability: the share with the event; of a value: the mean truth
	Predicted   []numeric     `json:"predicted,omitempty"`
	Metrics     []metric      `json:"metrics"`
	Calibration []calibration `json:"calibration,omitempty"` // by version
}

// metric is one number of each version.
type metric struct {
	Name       string     `json:"name"`
	About      string     `json:"about,omitempty"` // the treatment
	Values     []estimate `json:"values"`          // by version
	Difference *estimate  `json:"difference,omitempty"`
}

// estimate is a number with its interval.
type estimate struct {
	Value numeric `json:"value"`
	Low   numeric `json:"low"`
	High  numeric `json:"high"`
}

// calibration is a calibration error, with what a perfect model would show.
type calibration struct {
	Error      numeric `json:"error"`
	Chance     numeric `json:"chance"`
	ChanceHigh numeric `json:"chance_high"` // one in twenty is over it
}

// decile is a tenth of the rows by prediction.
type decile struct {
	Rows      int     `json:"rows"`
	From      numeric `json:"from"` // the lowest prediction
	Predicted numeric `json:"predicted"`
	Observed  numeric `json:"observed"`
	Lift      numeric `json:"lift"`  // observed over the mean of all rows
	Found     numeric `json:"found"` // the share of the sum in this and all higher deciles
}

// classRow is how well a class is found.
type classRow struct {
	Name      string  `json:"name"`
	Rows      int     `json:"rows"`
	Precision numeric `json:"precision"`
	Recall    numeric `json:"recall"`
	F1        numeric `json:"f1"`
}

// numeric is a number that may be undefined, which JSON calls null.
type numeric float64

// MarshalJSON implements json.Marshaler.
func (n numeric) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// text is the number with four digits, and four after the point at most.
func (n numeric) text() string {
	x := float64(n)
	size := math.Abs(x)
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "–"
	case size > 0 && size < 5e-5:
		return strconv.FormatFloat(x, 'g', 2, 64)
	case size < 1:
		return strconv.FormatFloat(x, 'f', 4, 64)
	}
	return strconv.FormatFloat(x, 'f', max(0, 3-int(math.Log10(size))), 64)
}

func (e estimate) text() string {
	if math.IsNaN(float64(e.Low)) {
		return e.Value.text()
	}
	return fmt.Sprintf("%s (%s to %s)", e.Value.text(), e.Low.text(), e.High.text())
}

// bins is how many parts of equal mass the calibration error and the lift take.
const bins = 10

// measure computes everything that is reported.
func (c *evalCmd) measure(ctx context.Context, run *tableRun, kind measuredHead, parts []*partition, rows []int32, versions []*modelstorev1.Version) (*evalReport, error) {
	head := versions[0].GetManifest().GetHeads()[run.head]
	r := &evalReport{
		Head: run.head, Kind: kindOf(head), Event: head.GetProbability().GetEvent(), Unit: unitOf(head), Target: c.Target, File: c.File,
		Rows: len(run.out), Evaluated: len(rows), LeftOut: run.reasons, Level: level, Resamples: c.Resamples, Seed: c.Seed,
		Slices: []part{},
	}
	if r.LeftOut == nil {
		r.LeftOut = []*leftOut{}
	}
	for _, v := range versions {
		r.Versions = append(r.Versions, versionText(v))
	}
	scopes := []slice{{rows: rows}}
	for _, p := range parts {
		scopes = append(scopes, p.slices(rows)...)
	}
	m := &measuring{kind: kind, versions: len(versions), seed: c.Seed}
	bar := run.output.progress("resampling", "")
	if c.Resamples > 0 {
		bar.say("measuring %s, %s", counted(len(rows), "rows"), counted(c.Resamples, "resamples"))
	}
	defer bar.end()
	for _, s := range scopes {
		m.take(s)
	}
	if err := m.resample(ctx, len(run.out), c.Resamples); err != nil {
		return nil, err
	}
	for k, s := range scopes {
		p := m.part(k, s)
		if k == 0 {
			r.Overall = p
		} else {
			r.Slices = append(r.Slices, p)
		}
	}
	r.detail(kind, rows)
	return r, nil
}

func unitOf(h *bundlev1.Head) string {
	switch {
	case h.GetValue() != nil:
		return h.GetValue().GetUnit()
	case h.GetForecast() != nil:
		return h.GetForecast().GetUnit()
	}
	return h.GetUplift().GetUnit()
}

// measuring is the samples of all versions and slices, which are resampled
// together.
type measuring struct {
	kind     measuredHead
	versions int
	seed     uint64

	samples []evaluate.Sample
	scopes  [][]scoped
	values  [][][]float64
}

// scoped is what one version answered to one slice, about one thing.
type scoped struct {
	about          string
	version, place int // among the samples
}

func (m *measuring) take(s slice) {
	var of []scoped
	for version := range m.versions {
		for _, sample := range m.kind.samples(version, s.rows) {
			of = append(of, scoped{sample.about, version, len(m.samples)})
			m.samples = append(m.samples, sample.Sample)
		}
	}
	m.scopes = append(m.scopes, of)
}

func (m *measuring) resample(ctx context.Context, rows, resamples int) (err error) {
	m.values, err = evaluate.Bootstrap(ctx, rows, resamples, m.seed, m.samples...)
	return err
}

// part reports one slice.
func (m *measuring) part(k int, s slice) part {
	p := part{Column: s.column, Value: s.value, Rows: len(s.rows), Metrics: []metric{}}
	measured := make(map[int][]float64)
	for _, o := range m.scopes[k] {
		measured[o.place] = m.samples[o.place].Measure(nil)
	}
	for _, first := range m.scopes[k] {
		if first.version > 0 {
			continue
		}
		for j, name := range m.samples[first.place].Metrics() {
			x := metric{Name: name, About: first.about}
			for version := range m.versions {
				value := estimate{numeric(math.NaN()), numeric(math.NaN()), numeric(math.NaN())}
				for _, o := range m.scopes[k] {
					if at := slices.Index(m.samples[o.place].Metrics(), name); o.version == version && o.about == first.about && at >= 0 {
						value = estimateOf(measured[o.place][at], m.values[o.place][at])
						if version > 0 {
							difference := estimateOf(measured[first.place][j]-measured[o.place][at], minus(m.values[first.place][j], m.values[o.place][at]))
							x.Difference = &difference
						}
					}
				}
				x.Values = append(x.Values, value)
			}
			p.Metrics = append(p.Metrics, x)
		}
	}
	m.means(&p, s.rows)
	return p
}

func estimateOf(value float64, resampled []float64) estimate {
	low, high := evaluate.Interval(resampled, level)
	return estimate{numeric(value), numeric(low), numeric(high)}
}

func minus(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range out {
		out[i] = a[i] - b[i]
	}
	return out
}

// means adds what is no sample's metric: means and calibration.
func (m *measuring) means(p *part, rows []int32) {
	for version := range m.versions {
		switch kind := m.kind.(type) {
		case *measuredProbability:
			b := kind.binary(version, rows)
			rate := numeric(b.Rate())
			p.Rate = &rate
			p.Predicted = append(p.Predicted, numeric(b.Predicted()))
			p.Calibration = append(p.Calibration, calibrationOf(b, m.seed))
		case *measuredValue:
			predicted, truth := kind.values(version, rows).Means()
			rate := numeric(truth)
			p.Rate = &rate
			p.Predicted = append(p.Predicted, numeric(predicted))
		case *measuredClasses:
			p.Calibration = append(p.Calibration, calibrationOf(kind.certainty(version, rows), m.seed))
		}
	}
}

// calibrationOf draws as often as takes about a second at most.
func calibrationOf(b *evaluate.Binary, seed uint64) calibration {
	draws := min(1000, max(100, 100_000_000/max(b.Rows(), 1)))
	mean, high := b.Chance(bins, draws, seed)
	return calibration{numeric(b.CalibrationError(bins)), numeric(mean), numeric(high)}
}

// detail adds deciles, classes or steps.
func (r *evalReport) detail(kind measuredHead, rows []int32) {
	for version := range r.Versions {
		switch kind := kind.(type) {
		case *measuredProbability:
			b := kind.binary(version, rows)
			var out []decile
			for _, bin := range b.Bins(bins) {
				out = append(out, decile{bin.Rows, numeric(bin.Low), numeric(bin.Predicted), numeric(bin.Rate), 0, 0})
			}
			r.Deciles = append(r.Deciles, lifted(out, b.Rate()*float64(b.Rows()), b.Rows()))
		case *measuredValue:
			v := kind.values(version, rows)
			_, mean := v.Means()
			var out []decile
			for _, bin := range v.Bins(bins) {
				out = append(out, decile{bin.Rows, numeric(bin.Low), numeric(bin.Predicted), numeric(bin.Truth), 0, 0})
			}
			r.Deciles = append(r.Deciles, lifted(out, mean*float64(v.Rows()), v.Rows()))
		case *measuredForecast:
			var steps []numeric
			for _, s := range kind.steps[version] {
				steps = append(steps, numeric(s.Y/s.X))
			}
			r.Steps = append(r.Steps, steps)
		case *measuredClasses:
			if version > 0 {
				break
			}
			for k, score := range kind.classes(version, rows).ByClass() {
				r.Classes = append(r.Classes, classRow{kind.names[k], score.Rows, numeric(score.Precision), numeric(score.Recall), numeric(score.F1)})
			}
		}
	}
}

// lifted turns ascending bins round and adds lift and share found.
func lifted(ascending []decile, total float64, rows int) []decile {
	slices.Reverse(ascending)
	found := 0.0
	for i := range ascending {
		d := &ascending[i]
		found += float64(d.Observed) * float64(d.Rows)
		d.Lift = numeric(float64(d.Observed) / (total / float64(rows)))
		d.Found = numeric(found / total)
	}
	return ascending
}

// print writes the report.
func (r *evalReport) print(o *output) error {
	switch o.format {
	case "json", "jsonl":
		return o.writeJSON(r)
	case "csv":
		return r.csv(o)
	}
	what := r.Kind
	if r.Event != "" {
		what += " of " + r.Event
	}
	if r.Unit != "" {
		what += " in " + r.Unit
	}
	fmt.Fprintln(o.out, o.bold.Render(clean(r.Versions[0]))+clean(fmt.Sprintf(": %s, %s, on %d of %s", r.Head, what, r.Evaluated, counted(r.Rows, "rows"))))
	fmt.Fprintln(o.out)
	if err := r.overall(o); err != nil {
		return err
	}
	for _, table := range []func(*output) error{r.deciles, r.classes, r.steps, r.slices} {
		if err := table(o); err != nil {
			return err
		}
	}
	if r.Resamples > 0 {
		fmt.Fprintln(o.out)
		fmt.Fprintln(o.out, o.faint.Render(fmt.Sprintf("in brackets: the middle %g%% of %s of the rows, seed %d", 100*r.Level, counted(r.Resamples, "resamples"), r.Seed)))
	}
	return nil
}

func (m metric) title() string {
	if m.About != "" {
		return m.Name + " " + m.About
	}
	return m.Name
}

// overall prints all rows' metrics, a column for each version.
func (r *evalReport) overall(o *output) error {
	titles := append([]string{"METRIC"}, r.Versions...)
	if len(r.Versions) > 1 {
		titles = append(titles, "DIFFERENCE")
	}
	t := o.table(titles...)
	pad := func(cells []any) []any {
		for len(cells) < len(titles) {
			cells = append(cells, "")
		}
		return cells
	}
	for _, m := range r.Overall.Metrics {
		cells := []any{m.title()}
		for _, v := range m.Values {
			cells = append(cells, v.text())
		}
		if d := m.Difference; d != nil {
			style := o.faint // the interval holds 0
			if d.Low > 0 || d.High < 0 {
				style = o.strong
			}
			cells = append(cells, cell{d.text(), style})
		}
		t.row(pad(cells)...)
	}
	if r.Overall.Calibration != nil {
		errors, chances := []any{"calibration error"}, []any{"  by chance"}
		if r.Kind == "classes" {
			errors[0] = "calibration error (likeliest class)"
		}
		for _, c := range r.Overall.Calibration {
			style := o.good
			if c.Error > c.ChanceHigh {
				style = o.strong
			}
			errors = append(errors, cell{c.Error.text(), style})
			chances = append(chances, fmt.Sprintf("%s, 1 in 20 over %s", c.Chance.text(), c.ChanceHigh.text()))
		}
		t.row(pad(errors)...)
		t.row(pad(chances)...)
	}
	if r.Overall.Rate != nil {
		cells := []any{"mean predicted / observed"}
		for _, p := range r.Overall.Predicted {
			cells = append(cells, p.text()+" / "+r.Overall.Rate.text())
		}
		t.row(pad(cells)...)
	}
	return t.flush()
}

func (r *evalReport) deciles(o *output) error {
	if r.Deciles == nil {
		return nil
	}
	fmt.Fprintln(o.out)
	titles := []string{"DECILE", "ROWS", "FROM", "PREDICTED", "OBSERVED", "LIFT", "FOUND"}
	if len(r.Versions) > 1 {
		titles = append(titles, "LIFT OF "+r.Versions[1], "FOUND")
	}
	t := o.table(titles...)
	for k, d := range r.Deciles[0] {
		cells := []any{k + 1, d.Rows, d.From.text(), d.Predicted.text(), d.Observed.text(), d.Lift.text(), percent(d.Found)}
		if len(r.Versions) > 1 {
			if k < len(r.Deciles[1]) {
				cells = append(cells, r.Deciles[1][k].Lift.text(), percent(r.Deciles[1][k].Found))
			} else {
				cells = append(cells, "", "")
			}
		}
		t.row(cells...)
	}
	return t.flush()
}

func percent(n numeric) string {
	if math.IsNaN(float64(n)) {
		return "–"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(n))
}

func (r *evalReport) classes(o *output) error {
	if r.Classes == nil {
		return nil
	}
	fmt.Fprintln(o.out)
	t := o.table("CLASS", "ROWS", "PRECISION", "RECALL", "F1")
	for _, c := range r.Classes {
		t.row(c.Name, c.Rows, c.Precision.text(), c.Recall.text(), c.F1.text())
	}
	return t.flush()
}

func (r *evalReport) steps(o *output) error {
	if r.Steps == nil {
		return nil
	}
	fmt.Fprintln(o.out)
	titles := []string{"POINT"}
	for _, v := range r.Versions {
		titles = append(titles, "WAPE OF "+v)
	}
	t := o.table(titles...)
	for k := range r.Steps[0] {
		cells := []any{k + 1}
		for _, steps := range r.Steps {
			cells = append(cells, steps[k].text())
		}
		t.row(cells...)
	}
	return t.flush()
}

// slices prints a line for each slice and version.
func (r *evalReport) slices(o *output) error {
	if len(r.Slices) == 0 {
		return nil
	}
	fmt.Fprintln(o.out)
	titles := []string{"SLICE", "ROWS"}
	if len(r.Versions) > 1 {
		titles = append(titles, "VERSION")
	}
	if r.Overall.Rate != nil {
		titles = append(titles, "OBSERVED", "PREDICTED")
	}
	var names []string // the slices may lack treatments
	for _, m := range r.Overall.Metrics {
		names = append(names, m.title())
		titles = append(titles, strings.ToUpper(m.title()))
	}
	if r.Overall.Calibration != nil {
		titles = append(titles, "CALIBRATION ERROR (CHANCE)")
	}
	t := o.table(titles...)
	for _, p := range r.Slices {
		for version := range r.Versions {
			cells := []any{p.Column + " " + p.Value, p.Rows}
			if len(r.Versions) > 1 {
				cells = append(cells, r.Versions[version])
			}
			if p.Rate != nil {
				cells = append(cells, p.Rate.text(), p.Predicted[version].text())
			}
			for _, name := range names {
				text := ""
				if i := slices.IndexFunc(p.Metrics, func(m metric) bool { return m.title() == name }); i >= 0 {
					text = p.Metrics[i].Values[version].text()
				}
				cells = append(cells, text)
			}
			if p.Calibration != nil {
				c := p.Calibration[version]
				cells = append(cells, fmt.Sprintf("%s (%s)", c.Error.text(), c.Chance.text()))
			}
			t.row(cells...)
		}
	}
	return t.flush()
}

// csv prints every number on a line of its own.
func (r *evalReport) csv(o *output) error {
	w, err := o.csv("column", "value", "rows", "version", "metric", "about", "estimate", "low", "high")
	if err != nil {
		return err
	}
	full := func(n numeric) string {
		if math.IsNaN(float64(n)) {
			return ""
		}
		return strconv.FormatFloat(float64(n), 'g', -1, 64)
	}
	line := func(p part, version, name, about string, e estimate) {
		err = errors.Join(err, w.row(p.Column, p.Value, strconv.Itoa(p.Rows), version, name, about, full(e.Value), full(e.Low), full(e.High)))
	}
	nan := numeric(math.NaN())
	for _, p := range append([]part{r.Overall}, r.Slices...) {
		for _, m := range p.Metrics {
			for k, v := range m.Values {
				line(p, r.Versions[k], m.Name, m.About, v)
			}
			if m.Difference != nil {
				line(p, "difference", m.Name, m.About, *m.Difference)
			}
		}
		for k, c := range p.Calibration {
			line(p, r.Versions[k], "calibration error", "", estimate{c.Error, nan, nan})
			line(p, r.Versions[k], "calibration error by chance", "", estimate{c.Chance, nan, c.ChanceHigh})
		}
		if p.Rate != nil {
			line(p, "", "observed", "", estimate{*p.Rate, nan, nan})
		}
		for k, x := range p.Predicted {
			line(p, r.Versions[k], "predicted", "", estimate{x, nan, nan})
		}
	}
	if err != nil {
		return err
	}
	return w.flush()
}
