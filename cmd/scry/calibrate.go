package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/client"
	"github.com/scry-ml/scry/evaluate"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// calibrateCmd makes a version with new calibration and percentiles.
type calibrateCmd struct {
	Model    modelRef `arg:"" placeholder:"MODEL[@VERSION]" help:"The version to begin with: MODEL for the routed version, MODEL@VERSION for a number, an alias or latest."`
	File     string   `arg:"" help:"CSV or JSON Lines file with features and target, of rows that training has not seen."`
	Target   string   `placeholder:"COLUMN" help:"The column with what came to pass. A value needs none: it has percentiles only."`
	Head     string   `placeholder:"HEAD" help:"The probability or value (default: the model's only one)."`
	Positive string   `placeholder:"VALUE" help:"The target's value that is the event, where it is not 1, yes or true. Every other value is not."`
	Method   string   `enum:"auto,platt,isotonic" default:"auto" help:"platt, isotonic, or auto: Platt's unless isotonic regression has the lower log-loss by more than two standard errors on rows that it was not fitted to."`
	Activate bool     `short:"a" help:"Route the model's calls to the new version once it is loaded and checked."`
	DryRun   bool     `help:"Fit and print, and make no version."`
	Seed     uint64   `default:"1" help:"Seed of the folds: the same seed gives the same version."`
	rowsFlags
}

const (
	folds       = 5
	percentiles = 101 // numbers of a table
)

func (c *calibrateCmd) Run(ctx context.Context, app *app) error {
	if err := app.output.noCSV(); err != nil {
		return err
	}
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	version, _, err := rowModel(ctx, server, c.Model)
	if err != nil {
		return err
	}
	manifest := proto.CloneOf(version.GetManifest())
	name, err := c.head(manifest)
	if err != nil {
		return err
	}
	if err := waitLoaded(ctx, app, server, modelRef{version.GetModel(), fmt.Sprint(version.GetVersion())}); err != nil {
		return err
	}
	run := &tableRun{head: name, file: c.File, rowsFlags: c.rowsFlags, output: app.output}
	report := &calibrateReport{From: versionText(version), Head: name, File: c.File}
	if head := manifest.GetHeads()[name]; head.GetValue() != nil {
		err = c.value(ctx, app, server, version, head.GetValue(), run, report)
	} else {
		err = c.probability(ctx, app, server, version, head, run, report)
	}
	if err != nil {
		return err
	}
	report.Rows, report.LeftOut = len(run.out), run.reasons
	if report.LeftOut == nil {
		report.LeftOut = []*leftOut{}
	}
	c.note(manifest, report)
	if !c.DryRun {
		if report.result, err = c.push(ctx, app, server, version, manifest); err != nil {
			return err
		}
	}
	if err := report.print(app.output, c.Method); err != nil {
		return err
	}
	return run.close(app.output)
}

// head finds the probability or the value.
func (c *calibrateCmd) head(m *bundlev1.Manifest) (string, error) {
	able := &bundlev1.Manifest{Heads: make(map[string]*bundlev1.Head)}
	for name, h := range m.GetHeads() {
		if h.GetProbability() != nil || h.GetValue() != nil || name == c.Head {
			able.Heads[name] = h
		}
	}
	if len(able.Heads) == 0 {
		return "", errors.New("the model has no probability and no value: nothing else has a calibration or percentiles")
	}
	name, err := measurable(able, c.Head)
	if err != nil {
		return "", err
	}
	switch kind := kindOf(m.GetHeads()[name]); {
	case kind != "probability" && kind != "value":
		return "", wrongUse("%s has neither a calibration nor percentiles: it is %s", name, headText(m.GetHeads()[name]))
	case kind == "probability" && c.Target == "":
		return "", wrongUse("a probability needs --target, the column with what came to pass")
	case kind == "value" && (c.Method != "auto" || c.Positive != "" || c.Target != ""):
		return "", wrongUse("%s is a value: it has percentiles, which need no target, and no calibration", name)
	}
	return name, nil
}

// value makes new percentiles of a value.
func (c *calibrateCmd) value(ctx context.Context, app *app, server *client.Client, version *modelstorev1.Version, spec *bundlev1.Value, run *tableRun, report *calibrateReport) error {
	var values []float64
	err := run.run(ctx, app, server, version, func(_ int, _ []string, answer *scoringv1.HeadColumns, i int) string {
		x := 0.0
		if v := answer.GetValue(); v != nil {
			x = v.GetValues()[i]
		}
		values = append(values, x)
		return ""
	})
	if err != nil {
		return err
	}
	rows, err := run.evaluated()
	if err != nil {
		return err
	}
	spec.Quantiles = evaluate.Quantiles(at(values, rows), percentiles)
	report.Evaluated = len(rows)
	return nil
}

// at are the values of some rows.
func at[T any](values []T, rows []int32) []T {
	out := make([]T, len(rows))
	for i, row := range rows {
		out[i] = values[row]
	}
	return out
}

// probability makes a new map from the raw score to the probability, and
// percentiles of what it then says.
func (c *calibrateCmd) probability(ctx context.Context, app *app, server *client.Client, version *modelstorev1.Version, head *bundlev1.Head, run *tableRun, report *calibrateReport) error {
	spec := head.GetProbability()
	kept := &measuredProbability{column: c.Target, positive: c.Positive, scored: true}
	run.also = []string{c.Target}
	err := run.run(ctx, app, server, version, func(row int, cells []string, answer *scoringv1.HeadColumns, i int) string {
		left := kept.add(0, row, cells, answer, i)
		if left != "" && left != noTarget {
			run.fail(kept.unknown())
		}
		return left
	})
	if err != nil {
		return err
	}
	rows, err := run.evaluated()
	if err != nil {
		return err
	}
	if err := kept.check(rows); err != nil {
		return err
	}
	report.Evaluated = len(rows)
	scores, events, present := at(kept.raw, rows), at(kept.events, rows), at(kept.p[0], rows)

	// A probability is best mapped by its log-odds. Where the graph has them they
	// are the raw score, which becomes the source.
	platt := evaluate.Platt
	if spec.GetRawScore() == "" && probabilities(scores) {
		platt = evaluate.PlattOfProbabilities
	}
	fits := []fit{{"platt", platt}, {"isotonic", evaluate.Isotonic}}
	report.add("present", present, events, c.Seed)
	chosen, best := fits[0], []float64(nil)
	for _, f := range fits {
		held, err := evaluate.CrossFit(f.fit, scores, events, folds, c.Seed)
		if err != nil {
			return err
		}
		report.add(f.name, held, events, c.Seed)
		switch {
		case c.Method == f.name:
			chosen = f
		case c.Method != "auto":
		case best == nil:
			best = held
		default:
			if gain, off := evaluate.Gain(best, held, events); gain > 2*off {
				chosen = f
			}
		}
	}
	m, err := chosen.fit(scores, events)
	if err != nil {
		return err
	}
	report.Method = chosen.name
	for i, x := range scores {
		scores[i] = m.At(x)
	}
	if err := c.source(ctx, server, version, head); err != nil {
		return err
	}
	spec.Calibration, spec.Quantiles = calibrationMap(m), evaluate.Quantiles(scores, percentiles)
	return nil
}

// fit is a way to make a map.
type fit struct {
	name string
	fit  func([]float64, []bool) (evaluate.Map, error)
}

// probabilities tells whether all scores are in [0, 1].
func probabilities(scores []float64) bool {
	return !slices.ContainsFunc(scores, func(x float64) bool { return !(x >= 0 && x <= 1) })
}

func calibrationMap(m evaluate.Map) *bundlev1.Calibration {
	if m.Scores == nil {
		return &bundlev1.Calibration{Map: &bundlev1.Calibration_Logistic{Logistic: &bundlev1.Logistic{Slope: m.Slope, Intercept: m.Intercept}}}
	}
	return &bundlev1.Calibration{Map: &bundlev1.Calibration_Points{Points: &bundlev1.Points{Scores: m.Scores, Probabilities: m.Probabilities}}}
}

// source makes the raw score what the calibration maps. A raw score of one column
// belongs to whatever column the probability was in; only the graph tells.
func (c *calibrateCmd) source(ctx context.Context, server *client.Client, version *modelstorev1.Version, head *bundlev1.Head) error {
	spec := head.GetProbability()
	raw := spec.GetRawScore()
	if raw == "" || raw == head.GetSource() {
		return nil
	}
	head.Source, spec.RawScore = raw, ""
	if spec.GetColumn() == 0 {
		return nil
	}
	columns, err := columnsOfOutput(ctx, server, version, raw)
	if err != nil {
		return err
	}
	if columns == 1 {
		spec.Column = 0
	}
	return nil
}

// columnsOfOutput reads the number of an output's columns from its graph.
func columnsOfOutput(ctx context.Context, server *client.Client, version *modelstorev1.Version, name string) (int64, error) {
	source, err := bundle.ParseSource(name)
	if err != nil {
		return 0, err
	}
	file := version.GetManifest().GetGraphs()[source.Graph].GetFile()
	call, err := server.ModelStore().DownloadFile(ctx, &modelstorev1.DownloadFileRequest{
		Model: version.GetModel(), Version: fmt.Sprint(version.GetVersion()), Path: file,
	})
	if err != nil {
		return 0, err
	}
	var content bytes.Buffer
	for {
		m, err := call.Recv()
		if err == io.EOF {
			break
		} else if err != nil {
			return 0, err
		}
		content.Write(m.GetChunk())
	}
	graph, err := bundle.ReadGraph(&content)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	v, ok := graph.Output(source.Output)
	switch {
	case ok && len(v.Shape) == 1:
		return 1, nil
	case !ok || len(v.Shape) != 2 || v.Shape[1] < 1:
		return 0, fmt.Errorf("%s does not tell how many columns %s has, which the calibration is to map: give it a shape, or the head a source of one column", file, name)
	}
	return v.Shape[1], nil
}

// note tells in the lineage what the tables come from. What was measured of the
// old ones is not true of the new.
func (c *calibrateCmd) note(m *bundlev1.Manifest, r *calibrateReport) {
	if m.Lineage == nil {
		m.Lineage = &bundlev1.Lineage{}
	}
	what := "percentiles"
	if r.Method != "" {
		what = "calibration (" + r.Method + ") and percentiles"
	}
	m.Lineage.Data = append(m.Lineage.Data, fmt.Sprintf("%s of %s: %s of %s", what, r.Head, counted(r.Evaluated, "rows"), filepath.Base(c.File)))
	for _, maker := range r.Maps {
		if maker.Name != r.Method {
			continue
		}
		if m.Lineage.Metrics == nil {
			m.Lineage.Metrics = make(map[string]float64)
		}
		m.Lineage.Metrics["log_loss"], m.Lineage.Metrics["ece"] = float64(maker.LogLoss), float64(maker.Calibration.Error)
	}
}

// push makes the version: the store has every file of it but the manifest.
func (c *calibrateCmd) push(ctx context.Context, app *app, server *client.Client, version *modelstorev1.Version, m *bundlev1.Manifest) (*client.PushResult, error) {
	text, err := bundle.Marshal(m, nil)
	if err != nil {
		return nil, err
	}
	stored := slices.DeleteFunc(slices.Clone(version.GetFiles()), func(f *modelstorev1.File) bool { return f.GetPath() == bundle.ManifestFile })
	bar := app.output.progress("sending", "")
	defer bar.end()
	files := &source{}
	files.add(bundle.ManifestFile, text)
	return server.Push(ctx, files, client.PushOptions{
		Model: version.GetModel(), Files: []string{bundle.ManifestFile}, Stored: stored, Activate: c.Activate, Wait: true,
		Progress: func(p client.Progress) {
			switch p.Phase {
			case client.PhaseCommit:
				bar.say("the server is checking %s", version.GetModel())
			case client.PhaseLoad:
				bar.say("%s", loadText(version.GetModel(), p.Load))
			case client.PhaseActivate:
				bar.say("activating %s", version.GetModel())
			}
		},
	})
}

// calibrateReport is what was fitted, as -o json prints it.
type calibrateReport struct {
	From      string      `json:"from"`
	To        string      `json:"to,omitempty"` // empty without a new version
	Head      string      `json:"head"`
	File      string      `json:"file"`
	Method    string      `json:"method,omitempty"`
	Maps      []fittedMap `json:"maps"`
	Rows      int         `json:"rows"`
	Evaluated int         `json:"evaluated"`
	LeftOut   []*leftOut  `json:"left_out"`
	Created   bool        `json:"created"`
	Sent      int64       `json:"sent_bytes"`
	Activated bool        `json:"activated"`

	result *client.PushResult
}

// fittedMap is the log-loss and the calibration of one map: the present one, or
// one that was fitted to other rows than it is measured on.
type fittedMap struct {
	Name        string      `json:"name"`
	LogLoss     numeric     `json:"log_loss"`
	Calibration calibration `json:"calibration"`
}

func (r *calibrateReport) add(name string, p []float64, events []bool, seed uint64) {
	b := evaluate.NewBinary(evaluate.All(len(p)), p, events)
	r.Maps = append(r.Maps, fittedMap{name, numeric(b.Measure(nil)[2]), calibrationOf(b, seed)})
}

func (r *calibrateReport) print(o *output, method string) error {
	if v := r.result; v != nil {
		r.To, r.Created, r.Sent, r.Activated = versionText(v.Version), v.Created, v.Sent, v.Route != nil
	}
	if o.json() {
		if r.Maps == nil {
			r.Maps = []fittedMap{}
		}
		return o.writeJSON(r)
	}
	fmt.Fprintln(o.out, o.bold.Render(clean(r.From))+clean(fmt.Sprintf(": %s, on %d of %s", r.Head, r.Evaluated, counted(r.Rows, "rows"))))
	if len(r.Maps) > 0 {
		fmt.Fprintln(o.out)
		t := o.table("MAP", "LOG-LOSS", "CALIBRATION ERROR", "BY CHANCE", "")
		chosen := r.Maps[0]
		for _, m := range r.Maps {
			name, note := m.Name, "on rows that it was not fitted to"
			if m.Name == "present" {
				note = "as it is served"
			}
			if m.Name == r.Method {
				chosen = m
				note = "chosen; " + note
				if method != "auto" {
					note = "as --method says; on rows that it was not fitted to"
				}
			}
			t.row(name, m.LogLoss.text(), m.Calibration.Error.text(), fmt.Sprintf("%s, 1 in 20 over %s", m.Calibration.Chance.text(), m.Calibration.ChanceHigh.text()), note)
		}
		if err := t.flush(); err != nil {
			return err
		}
		if chosen.LogLoss >= r.Maps[0].LogLoss {
			o.remark("the present map has a log-loss that is as low: there may be nothing to mend")
		}
	}
	fmt.Fprintln(o.out)
	v := r.result
	if v == nil {
		_, err := fmt.Fprintln(o.out, "no version was made (--dry-run)")
		return err
	}
	is := "stored as"
	if !r.Created {
		is = "the same content as"
	}
	fmt.Fprintf(o.out, "%s %s: %s sent\n", is, r.To, bytesText(r.Sent))
	if r.Activated {
		fmt.Fprintf(o.out, "activated: %s answers calls of %s\n", r.To, v.Version.GetModel())
	} else if !v.Version.GetRouted() {
		fmt.Fprintf(o.out, "not activated; \"scry activate %s\" does it\n", r.To)
	}
	return nil
}
