package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/scry-ml/scry/client"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// scoreCmd scores rows.
type scoreCmd struct {
	File       string    `arg:"" optional:"" help:"CSV or JSON Lines file; \"-\" or nothing for standard input."`
	Model      modelRef  `short:"m" placeholder:"MODEL[@VERSION]" help:"The model (default: the server's default for scoring)."`
	Heads      []string  `placeholder:"HEAD" help:"Which of the model's answers to ask for, as \"scry show\" lists them (default: all)."`
	Reasons    int       `short:"r" placeholder:"N" help:"How many of the strongest reasons of each probability and value to tell. Where the model does not compute them itself, it is asked some hundred times for each row."`
	Language   string    `placeholder:"TAG" help:"Language of the reasons' texts, such as ru."`
	Actionable bool      `help:"Leave out reasons that the company cannot change."`
	Horizon    int       `placeholder:"N" help:"Points of each forecast (default: all that the model gives)."`
	Quantiles  []float64 `placeholder:"LEVEL" help:"Levels of the forecasts' quantiles, such as 0.1,0.5,0.9 (default: the model's)."`
	Treatments []string  `placeholder:"NAME[=COST]" help:"Treatments to compare, with what they cost (default: all of the model)."`
	To         string    `placeholder:"FILE" help:"Write the answers to a new file, as CSV or, with -o json, JSON Lines."`
	Resume     bool      `help:"With --to: go on with a file that was interrupted. Its whole rows are kept, the input's others scored."`
	rowsFlags
	servedFlag
}

func (c *scoreCmd) Run(ctx context.Context, app *app) (err error) {
	if c.Resume && c.To == "" {
		return wrongUse("--resume needs --to, the file to go on with")
	}
	server, version, rows, err := c.rows(ctx, app, c.Model, c.File)
	if err != nil {
		return err
	}
	defer rows.Close()
	treatments, err := treatmentOptions(c.Treatments)
	if err != nil {
		return err
	}
	if c.To != "" {
		if err := app.output.into(c.To, c.Resume); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, app.output.target.close()) }()
	}
	req := &scoringv1.ScoreRequest{
		// The version is pinned, so that one file is scored by one version.
		Model: version.GetModel(), Version: fmt.Sprint(version.GetVersion()),
		Options: &scoringv1.ScoreOptions{
			Heads: c.Heads, Reasons: int32(c.Reasons), Language: c.Language, ActionableOnly: c.Actionable,
			Horizon: int32(c.Horizon), Quantiles: c.Quantiles, Treatments: treatments,
		},
	}
	metered := newMeter(rows.ReadCloser)
	rows.ReadCloser = metered
	results := server.StreamScore(ctx, req, app.output.target.rest(rows.all()))
	return c.print(app.output, version, metered, req.GetOptions(), results, rows.rowReader)
}

// treatmentOptions reads NAME or NAME=COST.
func treatmentOptions(texts []string) ([]*scoringv1.TreatmentOption, error) {
	var out []*scoringv1.TreatmentOption
	for _, text := range texts {
		name, cost, priced := strings.Cut(text, "=")
		t := &scoringv1.TreatmentOption{Name: name}
		if priced {
			x, err := strconv.ParseFloat(cost, 64)
			if err != nil {
				return nil, wrongUse("--treatments %s: the cost is no number", text)
			}
			t.Cost = &x
		}
		out = append(out, t)
	}
	return out, nil
}

// rowModel finds the version that a reference names, or the server's default for
// scoring, and what rows it takes.
func rowModel(ctx context.Context, server *client.Client, ref modelRef) (*modelstorev1.Version, *bundlev1.Row, error) {
	if ref.Model == "" {
		info, err := server.ServerInfo(ctx)
		if err != nil {
			return nil, nil, err
		}
		if ref.Model = info.GetDefaultModels()["scoring"]; ref.Model == "" {
			return nil, nil, wrongUse("the server has no default model for scoring; name one with --model")
		}
	}
	r, err := server.ModelStore().GetVersion(ctx, &modelstorev1.GetVersionRequest{Model: ref.Model, Version: ref.Version})
	if err != nil {
		return nil, nil, err
	}
	version := r.GetVersion()
	row := version.GetManifest().GetRow()
	if row == nil && graphless(version.GetManifest()) {
		return version, &bundlev1.Row{}, nil // actions of constants: rows are ids
	}
	if row == nil {
		return nil, nil, fmt.Errorf("%s takes %s, not rows", modelRefText(version.GetModel(), version.GetVersion()), takes(version.GetManifest()))
	}
	return version, row, nil
}

// print writes the answers to the reader's rows as they come.
func (c *scoreCmd) print(o *output, version *modelstorev1.Version, in *meter, opts *scoringv1.ScoreOptions, results iter.Seq2[*scoringv1.ScoreResult, error], reader *rowReader) error {
	write, flush, err := scorePrinter(o, version.GetManifest(), opts, c.servedFlag)
	if err != nil {
		return err
	}
	before, err := o.target.begin(o, version)
	if err != nil {
		return err
	}
	bar := o.progress("scoring", "rows")
	bar.start(before, 0)
	watched := !isTerminal(o.out) // a table on the same terminal is progress enough
	t := &tally{items: "rows"}
	err = each(in, results, t, func(r *scoringv1.ScoreResult, failed error) error {
		r.Index += before // among all rows of the input
		if watched {
			bar.total = in.total(r.GetIndex() + 1)
			bar.set(r.GetIndex() + 1)
		}
		return write(r, failed)
	})
	bar.end()
	t.absent = reader.absent
	input := reader.err
	if o.target != nil && o.target.err != nil {
		input = o.target.err
	}
	err = t.finish(o, err, input, flush)
	if err != nil && !errors.Is(err, errSomeFailed) && o.target != nil && o.target.err == nil {
		o.hint("%s keeps what was answered; the same command with --resume goes on with it", c.To)
	}
	return err
}
