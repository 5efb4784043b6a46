// Package scoring answers rows about customers: it maps rows to a model's
// inputs and the model's outputs to heads. It knows neither gRPC nor ONNX
// Runtime.
package scoring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// ErrUnsupported is wrapped by the error of a call to a model that scores no
// rows.
var ErrUnsupported = errors.New("the model does not score rows")

// Model is what scoring needs of a loaded version.
type Model interface {
	Bundle() *bundle.Bundle
	Pipeline() *pipeline.Pipeline
	Identity() pipeline.Identity
	Run(ctx context.Context, items []pipeline.Item) []pipeline.Answer
}

// Score answers rows. results[i] and errs[i] belong to instances[i], whose
// index is first + i; a result whose error is set holds id and index only. err
// is set when the call as a whole cannot be answered: overload, an unknown
// head, or a model that scores no rows.
func Score(ctx context.Context, m Model, instances []*scoringv1.Instance, opts *scoringv1.ScoreOptions, first int64) (results []*scoringv1.ScoreResult, errs []error, err error) {
	heads, err := newHeads(m, opts)
	if err != nil {
		return nil, nil, err
	}
	rows := make([]*structpb.Struct, len(instances))
	for i, in := range instances {
		rows[i] = in.GetFeatures()
	}
	item, reports, err := m.Pipeline().Rows(rows)
	if err != nil {
		return nil, nil, err
	}
	results = make([]*scoringv1.ScoreResult, len(instances))
	errs = make([]error, len(instances))
	good := 0
	for i, in := range instances {
		results[i] = &scoringv1.ScoreResult{Id: in.GetId(), Index: first + int64(i)}
		if errs[i] = reports[i].Err; errs[i] == nil {
			good++
		}
	}
	if good == 0 {
		return results, errs, nil
	}
	answers, err := run(ctx, m, item, func(row int) bool { return errs[row] == nil })
	if err != nil {
		return nil, nil, err
	}
	for i := range results {
		if errs[i] != nil {
			continue
		}
		answer, row := answers.of(i)
		if answer.Err != nil {
			errs[i] = answer.Err
			continue
		}
		kinds, err := heads.row(answer.Outputs, row)
		if err != nil {
			errs[i] = err
			continue
		}
		results[i].Heads = kinds
		results[i].PredictionId = pipeline.NewPredictionID()
		results[i].ServedBy = []*servingv1.ServedBy{answer.Stats.ServedBy(m.Identity(), heads.names)}
		results[i].Warnings = reports[i].Warnings
	}
	return results, errs, nil
}

// answers of an item: one for all rows, or one a row.
type answers struct {
	joint  pipeline.Answer
	single []pipeline.Answer // nil when the joint answer stands
}

func (a answers) of(row int) (pipeline.Answer, int) {
	if a.single == nil {
		return a.joint, row
	}
	return a.single[row], 0
}

// run runs all rows as one item. When that fails, each row that is wanted runs
// alone, so that the row at fault fails by itself.
func run(ctx context.Context, m Model, item pipeline.Item, wanted func(row int) bool) (answers, error) {
	joint := m.Run(ctx, []pipeline.Item{item})[0]
	switch {
	case joint.Err == nil:
		return answers{joint: joint}, joint.Outputs.Widen()
	case pipeline.Overload(joint.Err):
		return answers{}, joint.Err
	case item.Rows == 1:
		return answers{joint: joint}, nil
	}
	out := answers{single: make([]pipeline.Answer, item.Rows)}
	var singles []pipeline.Item
	var places []int
	for row := range item.Rows {
		if !wanted(row) {
			continue
		}
		one, err := item.Row(row)
		if err != nil {
			return answers{}, err
		}
		singles = append(singles, one)
		places = append(places, row)
	}
	for i, a := range m.Run(ctx, singles) {
		if pipeline.Overload(a.Err) {
			return answers{}, a.Err
		}
		if err := a.Outputs.Widen(); err != nil {
			return answers{}, err
		}
		out.single[places[i]] = a
	}
	return out, nil
}

// chosen returns the names of the heads that a call asks for, in name order,
// all of which are of a kind that scoring answers.
func chosen(m Model, opts *scoringv1.ScoreOptions) ([]string, error) {
	if m.Bundle().Manifest.GetRow() == nil {
		return nil, fmt.Errorf("%w: %s takes no features", ErrUnsupported, m.Identity().Model)
	}
	var known []string
	for name, h := range m.Bundle().Manifest.GetHeads() {
		if h.GetProbability() != nil || h.GetValue() != nil || h.GetClasses() != nil || h.GetEmbedding() != nil {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	if len(known) == 0 {
		return nil, fmt.Errorf("%w: %s has no head that scores", ErrUnsupported, m.Identity().Model)
	}
	if len(opts.GetHeads()) == 0 {
		return known, nil
	}
	for i, name := range opts.GetHeads() {
		if !slices.Contains(known, name) {
			return nil, &pipeline.InputError{
				Field: fmt.Sprintf("options.heads[%d]", i), Reason: "HEAD_UNKNOWN",
				Message: "the model has no such head; it has " + strings.Join(known, ", "),
			}
		}
	}
	asked := slices.Clone(opts.GetHeads())
	slices.Sort(asked)
	return slices.Compact(asked), nil
}
