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
func scorePrinter(o *output, m *bundlev1.Manifest, heads []string, reasons int, served servedFlag) (func(*scoringv1.ScoreResult, error) error, func() error, error) {
	none := func() error { return nil }
	if o.json() {
		return func(r *scoringv1.ScoreResult, _ error) error {
			raw, err := marshal(r)
			if err != nil {
				return err
			}
			return o.writeRaw(raw, false) // one line a row, however many they are
		}, none, nil
	}
	if len(heads) == 0 {
		heads = slices.Sorted(maps.Keys(m.GetHeads()))
	}
	var columns []scoreColumn
	for _, name := range heads {
		head := m.GetHeads()[name]
		if head == nil {
			return nil, nil, wrongUse("the model has no head %q; it has %s", name, strings.Join(slices.Sorted(maps.Keys(m.GetHeads())), ", "))
		}
		columns = append(columns, headColumns(name, head, reasons, o.format == "csv")...)
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
			t.line(r.GetId(), cell{errText(failed), o.bad})
			return t.err
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
func headColumns(name string, h *bundlev1.Head, reasons int, full bool) []scoreColumn {
	number := func(v float64) string {
		if full {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
	column := func(suffix string, value func(*scoringv1.Head) string) scoreColumn {
		title := name
		if suffix != "" {
			title += "_" + suffix
		}
		if !full && suffix != "" {
			title = suffix
		}
		return scoreColumn{title: title, value: value, head: name}
	}
	switch {
	case h.GetProbability() != nil:
		p := func(f func(*scoringv1.Probability) string) func(*scoringv1.Head) string {
			return func(h *scoringv1.Head) string { return f(h.GetProbability()) }
		}
		columns := []scoreColumn{
			column("", p(func(p *scoringv1.Probability) string { return number(p.GetProbability()) })),
			column("predicted", p(func(p *scoringv1.Probability) string {
				if !full {
					return map[bool]string{true: "yes", false: "no"}[p.GetPredicted()]
				}
				return strconv.FormatBool(p.GetPredicted())
			})),
			column("percentile", p(func(p *scoringv1.Probability) string {
				if p.Percentile == nil {
					return ""
				}
				if !full {
					return strconv.FormatFloat(p.GetPercentile(), 'f', 1, 64)
				}
				return number(p.GetPercentile())
			})),
			column("band", p((*scoringv1.Probability).GetBand)),
		}
		if reasons > 0 && !full {
			columns = append(columns, column("reasons", p(func(p *scoringv1.Probability) string {
				texts := make([]string, len(p.GetReasons()))
				for i, r := range p.GetReasons() {
					texts[i] = fmt.Sprintf("%s (%+.2f)", reasonText(r), r.GetContribution())
				}
				return strings.Join(texts, "; ")
			})))
		}
		for i := 0; full && i < reasons; i++ {
			columns = append(columns,
				column(fmt.Sprint("reason_", i+1), p(func(p *scoringv1.Probability) string {
					if i >= len(p.GetReasons()) {
						return ""
					}
					return reasonText(p.GetReasons()[i])
				})),
				column(fmt.Sprint("contribution_", i+1), p(func(p *scoringv1.Probability) string {
					if i >= len(p.GetReasons()) {
						return ""
					}
					return number(p.GetReasons()[i].GetContribution())
				})))
		}
		return columns
	case h.GetClasses() != nil:
		best := func(h *scoringv1.Head) *scoringv1.ClassProbability {
			if classes := h.GetClasses().GetClasses(); len(classes) > 0 {
				return classes[0]
			}
			return nil
		}
		return []scoreColumn{
			column("", func(h *scoringv1.Head) string { return best(h).GetName() }),
			column("probability", func(h *scoringv1.Head) string { return number(best(h).GetProbability()) }),
		}
	case h.GetEmbedding() != nil:
		return []scoreColumn{column("", func(h *scoringv1.Head) string {
			if !full {
				return counted(len(h.GetEmbedding().GetValues()), "numbers")
			}
			text, err := json.Marshal(h.GetEmbedding().GetValues())
			if err != nil { // NaN has no JSON
				return ""
			}
			return string(text)
		})}
	}
	return []scoreColumn{column("", func(h *scoringv1.Head) string {
		if h.GetValue() == nil {
			return ""
		}
		text := number(h.GetValue().GetValue())
		if !full && h.GetValue().GetUnit() != "" {
			text += " " + h.GetValue().GetUnit()
		}
		return text
	})}
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
