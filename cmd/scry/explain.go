package main

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"

	"github.com/scry-ml/scry/client"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// explainCmd tells why rows are scored as they are.
type explainCmd struct {
	Model       modelRef `arg:"" placeholder:"MODEL[@VERSION]" help:"MODEL for the routed version, MODEL@VERSION for a number, an alias or latest."`
	File        string   `arg:"" optional:"" help:"A row as JSON, or a JSON Lines or CSV file; \"-\" or nothing for standard input."`
	Head        string   `placeholder:"HEAD" help:"The answer to explain (default: the model's only one)."`
	Target      string   `placeholder:"NAME" help:"Which class, segment or treatment of it (default: the row's own)."`
	Scale       string   `enum:"raw-score,probability,log-odds" default:"raw-score" help:"The scale on which a probability is explained: raw-score, probability or log-odds."`
	Evaluations int      `placeholder:"N" help:"Rows that the model may be asked for each row (default: 4096)."`
	Seed        *uint64  `help:"Seed of the sampling (default: one made of the row)."`
	Top         int      `placeholder:"N" help:"Print so many contributions only, the strongest."`
	Language    string   `placeholder:"TAG" help:"Language of the texts, such as ru."`
	Actionable  bool     `help:"Leave out what the company cannot change."`
	rowsFlags
	servedFlag
}

var scales = map[string]scoringv1.Scale{
	"raw-score": scoringv1.Scale_SCALE_RAW_SCORE, "probability": scoringv1.Scale_SCALE_PROBABILITY, "log-odds": scoringv1.Scale_SCALE_LOG_ODDS,
}

func (c *explainCmd) Run(ctx context.Context, app *app) error {
	server, version, rows, err := c.rows(ctx, app, c.Model, c.File)
	if err != nil {
		return err
	}
	defer rows.Close()
	req := &scoringv1.ExplainRequest{
		Model: version.GetModel(), Version: fmt.Sprint(version.GetVersion()),
		Options: &scoringv1.ExplainOptions{
			Head: c.Head, Target: c.Target, Scale: scales[c.Scale], MaxEvaluations: int32(c.Evaluations), Seed: c.Seed,
			Language: c.Language, ActionableOnly: c.Actionable,
		},
	}
	write, flush, err := c.printer(app.output)
	if err != nil {
		return err
	}
	t := &tally{items: "rows"}
	err = each(rows, explanations(ctx, server, req, rows.all()), t, func(e *scoringv1.Explanation, failed error) error {
		c.cut(e)
		return write(e, failed)
	})
	t.absent = rows.absent
	return t.finish(app.output, err, rows.err, flush)
}

// explanations asks for one row after the other: each takes the model a while.
func explanations(ctx context.Context, server *client.Client, req *scoringv1.ExplainRequest, rows iter.Seq[*scoringv1.Instance]) iter.Seq2[*scoringv1.Explanation, error] {
	return inParts(rows, 1, func(row []*scoringv1.Instance) ([]*scoringv1.Explanation, error) {
		req.Instances = row
		resp, err := server.Scoring().Explain(ctx, req)
		return resp.GetResults(), err
	}, func(e *scoringv1.Explanation, place int64) { e.Index = place })
}

// printer returns what writes one explanation, and what ends the writing.
func (c *explainCmd) printer(o *output) (func(*scoringv1.Explanation, error) error, func() error, error) {
	switch {
	case o.json():
		return jsonPrinter[*scoringv1.Explanation](o)
	case o.format == "csv":
		w, err := o.csv(c.titles(o, "id", "head", "target", "value", "base_value", "feature", "code", "contribution", "standard_error", "additivity_error", "prediction_id", "error")...)
		if err != nil {
			return nil, nil, err
		}
		return func(e *scoringv1.Explanation, failed error) error {
			if failed != nil {
				return w.failed(e.GetId(), failed)
			}
			for _, p := range e.GetContributions() {
				row := []string{
					e.GetId(), e.GetHead(), e.GetTarget(), exact(e.GetValue()), exact(e.GetBaseValue()), p.GetFeature(), p.GetCode(),
					exact(p.GetContribution()), exact(p.GetStandardError()), exact(e.GetAdditivityError()), e.GetPredictionId(), "",
				}
				if err := w.row(append(row, c.cells(e.GetServedBy())...)...); err != nil {
					return err
				}
			}
			return nil
		}, w.flush, nil
	}
	first := true
	return func(e *scoringv1.Explanation, failed error) error {
		if !first {
			fmt.Fprintln(o.out)
		}
		first = false
		if failed != nil {
			_, err := fmt.Fprintln(o.out, clean(e.GetId())+"  "+o.bad.Render(clean(errText(failed))))
			return err
		}
		return writeExplanation(o, e)
	}, func() error { return nil }, nil
}

// cut leaves the strongest contributions.
func (c *explainCmd) cut(e *scoringv1.Explanation) {
	if c.Top > 0 && len(e.GetContributions()) > c.Top {
		e.Contributions = e.GetContributions()[:c.Top]
	}
}

// writeExplanation prints one row's contributions as bars.
func writeExplanation(o *output, e *scoringv1.Explanation) error {
	var what strings.Builder
	what.WriteString(e.GetHead())
	if e.GetTarget() != "" {
		what.WriteString(" " + e.GetTarget())
	}
	for name, scale := range scales {
		if e.GetScale() == scale {
			what.WriteString(", " + strings.ReplaceAll(name, "-", " "))
		}
	}
	fmt.Fprintln(o.out, o.bold.Render(clean(fmt.Sprintf("%s  %s", e.GetId(), what.String())))+
		fmt.Sprintf(": %.4g, %+.4g against the mean of %s, %.4g", e.GetValue(), e.GetValue()-e.GetBaseValue(), counted(e.GetBackgroundRows(), "typical rows"), e.GetBaseValue()))
	most := 0.0
	for _, p := range e.GetContributions() {
		most = max(most, math.Abs(p.GetContribution()))
	}
	t := o.table("FEATURE", "CONTRIBUTION", "±", "")
	for _, p := range e.GetContributions() {
		text := p.GetText()
		if text == "" {
			text = p.GetFeature()
		}
		uncertain := ""
		if !e.GetExact() {
			uncertain = fmt.Sprintf("%.2g", p.GetStandardError())
		}
		style := o.strong
		if p.GetContribution() < 0 {
			style = o.faint
		}
		t.row(text, fmt.Sprintf("%+.4f", p.GetContribution()), uncertain, cell{bar(p.GetContribution(), most), style})
	}
	if err := t.flush(); err != nil {
		return err
	}
	how := "sampled"
	if e.GetExact() {
		how = "exact"
	}
	_, err := fmt.Fprintln(o.out, o.faint.Render(fmt.Sprintf("%s, %s, additivity error %.2g", how, counted(e.GetEvaluations(), "evaluations"), e.GetAdditivityError())))
	return err
}

// halfBar is the longest bar to one side.
const halfBar = 16

// bar draws a number as a bar to the right of an axis, or to its left below 0.
func bar(x, most float64) string {
	if most == 0 {
		most = 1
	}
	n := int(math.Round(math.Abs(x) / most * halfBar))
	if n == 0 && x != 0 {
		n = 1
	}
	if x < 0 {
		return strings.Repeat(" ", halfBar-n) + strings.Repeat("█", n) + "│"
	}
	return strings.Repeat(" ", halfBar) + "│" + strings.Repeat("█", n)
}
