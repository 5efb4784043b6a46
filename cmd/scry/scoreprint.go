package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// scoreColumn is one column of scored rows.
type scoreColumn struct {
	title string
	value func(*scoringv1.Head) string
	head  string
}

// scorePrinter returns what writes one result, and what ends the writing. The
// columns come from the manifest, so that the first row need not be waited for.
func scorePrinter(o *output, m *bundlev1.Manifest, opts *scoringv1.ScoreOptions, served servedFlag) (func(*scoringv1.ScoreResult, error) error, func() error, error) {
	if o.json() {
		return jsonPrinter[*scoringv1.ScoreResult](o)
	}
	heads := opts.GetHeads()
	if len(heads) == 0 {
		heads = slices.Sorted(maps.Keys(m.GetHeads()))
	}
	var columns []scoreColumn
	for _, name := range heads {
		head := m.GetHeads()[name]
		if head == nil {
			return nil, nil, wrongUse("the model has no head %q; it has %s", name, strings.Join(slices.Sorted(maps.Keys(m.GetHeads())), ", "))
		}
		columns = append(columns, headColumns(name, head, opts, o.format == "csv")...)
	}
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	if o.format == "csv" {
		w, err := o.csv(served.titles(o, append(append([]string{"id"}, titles...), "prediction_id", "model", "version", "error")...)...)
		if err != nil {
			return nil, nil, err
		}
		return func(r *scoringv1.ScoreResult, failed error) error {
			row := []string{r.GetId()}
			for _, c := range columns {
				row = append(row, c.read(r))
			}
			model, version := "", ""
			if by := r.GetServedBy(); len(by) > 0 {
				model, version = by[0].GetModel(), strconv.FormatInt(by[0].GetVersion(), 10)
			}
			row = append(row, r.GetPredictionId(), model, version, errText(failed))
			return w.row(append(row, served.cells(r.GetServedBy())...)...)
		}, w.flush, nil
	}
	for i := range titles {
		titles[i] = strings.ToUpper(titles[i])
	}
	t := o.table(served.titles(o, append([]string{"ID"}, titles...)...)...)
	return func(r *scoringv1.ScoreResult, failed error) error {
		if failed != nil {
			return t.failed(r.GetId(), failed)
		}
		row := []any{r.GetId()}
		for _, c := range columns {
			row = append(row, c.read(r))
		}
		t.row(append(row, values(served.cells(r.GetServedBy()))...)...)
		return t.err
	}, t.flush, nil
}

// read gives the column's cell of a result; "" where the head was not answered.
func (c scoreColumn) read(r *scoringv1.ScoreResult) string {
	h := r.GetHeads()[c.head]
	if h == nil {
		return ""
	}
	return c.value(h)
}

// headColumns are the columns of one head: rounded for people, or in full and
// with more detail for programs.
func headColumns(name string, h *bundlev1.Head, opts *scoringv1.ScoreOptions, full bool) []scoreColumn {
	c := columnsOf{name, full}
	reasons := int(opts.GetReasons())
	switch {
	case h.GetProbability() != nil:
		return c.probability(reasons)
	case h.GetClasses() != nil:
		return c.classes()
	case h.GetEmbedding() != nil:
		return c.embedding()
	case h.GetSegment() != nil:
		return c.segment()
	case h.GetUplift() != nil:
		return c.uplift(h.GetUplift(), opts.GetTreatments())
	case h.GetForecast() != nil:
		return c.forecast(h.GetForecast(), opts)
	}
	return c.value(h.GetValue(), reasons)
}

// columnsOf makes the columns of one head.
type columnsOf struct {
	name string
	full bool
}

func (c columnsOf) number(v float64) string {
	if c.full {
		return exact(v)
	}
	return fixed(v)
}

func (c columnsOf) truth(b bool) string {
	if !c.full {
		return map[bool]string{true: "yes", false: "no"}[b]
	}
	return strconv.FormatBool(b)
}

// percentile is empty where the model has no table.
func (c columnsOf) percentile(p *float64) string {
	switch {
	case p == nil:
		return ""
	case !c.full:
		return strconv.FormatFloat(*p, 'f', 1, 64)
	}
	return c.number(*p)
}

func (c columnsOf) column(suffix string, value func(*scoringv1.Head) string) scoreColumn {
	title := c.name
	if suffix != "" {
		title += "_" + suffix
	}
	if !c.full && suffix != "" {
		title = suffix
	}
	return scoreColumn{title: title, value: value, head: c.name}
}

func (c columnsOf) probability(reasons int) []scoreColumn {
	p := func(suffix string, f func(*scoringv1.Probability) string) scoreColumn {
		return c.column(suffix, func(h *scoringv1.Head) string { return f(h.GetProbability()) })
	}
	columns := []scoreColumn{
		p("", func(p *scoringv1.Probability) string { return c.number(p.GetProbability()) }),
		p("predicted", func(p *scoringv1.Probability) string { return c.truth(p.GetPredicted()) }),
		p("percentile", func(p *scoringv1.Probability) string { return c.percentile(p.Percentile) }),
		p("band", (*scoringv1.Probability).GetBand),
	}
	return append(columns, c.reasons(reasons, func(h *scoringv1.Head) []*scoringv1.Reason { return h.GetProbability().GetReasons() })...)
}

// reasons are one column for people, and two a reason for programs.
func (c columnsOf) reasons(n int, of func(*scoringv1.Head) []*scoringv1.Reason) []scoreColumn {
	if n <= 0 {
		return nil
	}
	if !c.full {
		return []scoreColumn{c.column("reasons", func(h *scoringv1.Head) string {
			texts := make([]string, len(of(h)))
			for i, r := range of(h) {
				texts[i] = fmt.Sprintf("%s (%+.2f)", reasonText(r), r.GetContribution())
			}
			return strings.Join(texts, "; ")
		})}
	}
	var columns []scoreColumn
	for i := range n {
		columns = append(columns,
			c.column(fmt.Sprint("reason_", i+1), func(h *scoringv1.Head) string {
				if i >= len(of(h)) {
					return ""
				}
				return reasonText(of(h)[i])
			}),
			c.column(fmt.Sprint("contribution_", i+1), func(h *scoringv1.Head) string {
				if i >= len(of(h)) {
					return ""
				}
				return c.number(of(h)[i].GetContribution())
			}))
	}
	return columns
}

func (c columnsOf) classes() []scoreColumn {
	best := func(h *scoringv1.Head) *scoringv1.ClassProbability {
		if classes := h.GetClasses().GetClasses(); len(classes) > 0 {
			return classes[0]
		}
		return nil
	}
	return []scoreColumn{
		c.column("", func(h *scoringv1.Head) string { return best(h).GetName() }),
		c.column("probability", func(h *scoringv1.Head) string { return c.number(best(h).GetProbability()) }),
	}
}

func (c columnsOf) embedding() []scoreColumn {
	return []scoreColumn{c.column("", func(h *scoringv1.Head) string {
		if !c.full {
			return counted(len(h.GetEmbedding().GetValues()), "numbers")
		}
		text, err := json.Marshal(h.GetEmbedding().GetValues())
		if err != nil { // NaN has no JSON
			return ""
		}
		return string(text)
	})}
}

func (c columnsOf) value(spec *bundlev1.Value, reasons int) []scoreColumn {
	v := func(suffix string, f func(*scoringv1.Value) string) scoreColumn {
		return c.column(suffix, func(h *scoringv1.Head) string {
			if h.GetValue() == nil {
				return ""
			}
			return f(h.GetValue())
		})
	}
	columns := []scoreColumn{v("", func(v *scoringv1.Value) string {
		text := c.number(v.GetValue())
		if !c.full && v.GetUnit() != "" {
			text += " " + v.GetUnit()
		}
		return text
	})}
	if spec.GetInterval() != nil {
		columns = append(columns,
			v("lower", func(v *scoringv1.Value) string { return c.number(v.GetInterval().GetLower()) }),
			v("upper", func(v *scoringv1.Value) string { return c.number(v.GetInterval().GetUpper()) }))
	}
	if spec.GetLogNormal() != nil && spec.GetLogNormal().ProbabilityColumn != nil {
		columns = append(columns, v("positive", func(v *scoringv1.Value) string { return c.number(v.GetPositiveProbability()) }))
	}
	if len(spec.GetQuantiles()) > 0 {
		columns = append(columns, v("percentile", func(v *scoringv1.Value) string { return c.percentile(v.Percentile) }))
	}
	if len(spec.GetBands()) > 0 {
		columns = append(columns, v("band", (*scoringv1.Value).GetBand))
	}
	if spec.GetReasons() == nil {
		return columns
	}
	return append(columns, c.reasons(reasons, func(h *scoringv1.Head) []*scoringv1.Reason { return h.GetValue().GetReasons() })...)
}

func (c columnsOf) segment() []scoreColumn {
	s := func(suffix string, f func(*scoringv1.Segment) string) scoreColumn {
		return c.column(suffix, func(h *scoringv1.Head) string { return f(h.GetSegment()) })
	}
	return []scoreColumn{
		s("", func(s *scoringv1.Segment) string {
			name := s.GetName()
			if !c.full {
				name = s.GetTitle()
			}
			if cell := s.GetCell(); cell != nil {
				name = fmt.Sprintf("%s (%d, %d)", name, cell.GetRow(), cell.GetColumn())
			}
			return name
		}),
		s("membership", func(s *scoringv1.Segment) string { return c.number(s.GetMembership()) }),
		s("distance", func(s *scoringv1.Segment) string { return c.number(s.GetDistance()) }),
		s("outlier", func(s *scoringv1.Segment) string { return c.truth(s.GetOutlier()) }),
	}
}

func (c columnsOf) uplift(spec *bundlev1.Uplift, asked []*scoringv1.TreatmentOption) []scoreColumn {
	effect := func(h *scoringv1.Head, name string) *scoringv1.TreatmentEffect {
		for _, t := range h.GetUplift().GetTreatments() {
			if t.GetName() == name {
				return t
			}
		}
		return nil
	}
	columns := []scoreColumn{c.column("", func(h *scoringv1.Head) string {
		best := h.GetUplift().GetBest()
		if best == "" && !c.full {
			return "none"
		}
		return best
	})}
	for _, t := range spec.GetTreatments() {
		name := t.GetName()
		if len(asked) > 0 && !slices.ContainsFunc(asked, func(o *scoringv1.TreatmentOption) bool { return o.GetName() == name }) {
			continue
		}
		columns = append(columns,
			c.column(name+"_effect", func(h *scoringv1.Head) string { return c.number(effect(h, name).GetEffect()) }),
			c.column(name+"_profit", func(h *scoringv1.Head) string { return c.number(effect(h, name).GetExpectedProfit()) }))
	}
	return columns
}

// forecast is one column of points for people, and one a point and quantile for
// programs.
func (c columnsOf) forecast(spec *bundlev1.Forecast, opts *scoringv1.ScoreOptions) []scoreColumn {
	if !c.full {
		return []scoreColumn{c.column("", func(h *scoringv1.Head) string {
			f := h.GetForecast()
			var points []string
			for _, p := range f.GetPoints() {
				points = append(points, strconv.FormatFloat(p.GetValue(), 'g', 4, 64))
			}
			return strings.TrimSpace(strings.Join(points, " ") + " " + f.GetUnit())
		})}
	}
	levels := opts.GetQuantiles()
	if len(levels) == 0 || len(spec.GetQuantiles()) == 0 {
		levels = spec.GetQuantiles()
	}
	points := int(spec.GetHorizon())
	if n := int(opts.GetHorizon()); n > 0 {
		points = min(points, n)
	}
	var columns []scoreColumn
	for i := range points {
		point := func(h *scoringv1.Head) *scoringv1.ForecastPoint {
			if points := h.GetForecast().GetPoints(); i < len(points) {
				return points[i]
			}
			return nil
		}
		columns = append(columns, c.column(fmt.Sprint(i+1), func(h *scoringv1.Head) string { return c.number(point(h).GetValue()) }))
		for k, level := range levels {
			columns = append(columns, c.column(fmt.Sprintf("%d_q%g", i+1, level), func(h *scoringv1.Head) string {
				if q := point(h).GetQuantiles(); k < len(q) {
					return c.number(q[k])
				}
				return ""
			}))
		}
	}
	return columns
}

// reasonText is the reason's text, or what stands for it.
func reasonText(r *scoringv1.Reason) string {
	switch {
	case r.GetText() != "":
		return r.GetText()
	case r.GetCode() != "":
		return r.GetCode()
	}
	return r.GetFeature()
}
