// Package scoring answers rows about customers: it maps rows to a model's
// inputs and the model's outputs to heads. It knows neither gRPC nor ONNX
// Runtime.
package scoring

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// ErrUnsupported is wrapped by the error of a call to a model that scores no
// rows.
var ErrUnsupported = errors.New("the model does not score rows")

// ErrUnexplained is wrapped by the error of an explanation that a model is not
// made for.
var ErrUnexplained = errors.New("the model's scores cannot be explained")

// Model is what scoring needs of a loaded version.
type Model interface {
	Bundle() *bundle.Bundle
	Pipeline() *pipeline.Pipeline
	Identity() pipeline.Identity
	Run(ctx context.Context, items []pipeline.Item) []pipeline.Answer
	// Yielding returns a context whose runs give way to those of other calls.
	Yielding(ctx context.Context) context.Context
}

// Score answers rows. results[i] and errs[i] belong to instances[i], whose
// index is first + i; a result whose error is set holds id and index only. err
// is set when the call as a whole cannot be answered: overload, an unknown
// head, too many rows, or a model that scores no rows. Results that one run
// gave share their served_by.
func Score(ctx context.Context, m Model, instances []*scoringv1.Instance, opts *scoringv1.ScoreOptions, first int64) (results []*scoringv1.ScoreResult, errs []error, err error) {
	heads, err := newHeads(m, opts)
	if err != nil {
		return nil, nil, err
	}
	if err := m.Pipeline().CheckCount("instances", len(instances)); err != nil {
		return nil, nil, err
	}
	results = make([]*scoringv1.ScoreResult, len(instances))
	errs = make([]error, len(instances))
	rows := make([]*structpb.Struct, len(instances))
	for i, in := range instances {
		results[i] = &scoringv1.ScoreResult{Id: in.GetId(), Index: first + int64(i)}
		rows[i] = in.GetFeatures()
	}
	err = pipeline.Waves(ctx, m.Pipeline().RowWaves(rows), func(ctx context.Context, _ int, w pipeline.Wave) error {
		return scoreWave(ctx, m, heads, rows, w, results, errs)
	})
	if err != nil {
		return nil, nil, err
	}
	return results, errs, nil
}

// scoreWave answers the rows of one wave into results and errs.
func scoreWave(ctx context.Context, m Model, heads []*head, rows []*structpb.Struct, w pipeline.Wave, results []*scoringv1.ScoreResult, errs []error) error {
	item, reports, err := m.Pipeline().Rows(rows[w.From:w.To])
	if err != nil {
		return err
	}
	for i, r := range reports {
		errs[w.From+i] = r.Err
	}
	return runRows(ctx, m, item, errs[w.From:w.To], func(answer *pipeline.Answer, from, to int) error {
		read, err := bind(heads, answer.Outputs)
		if err == nil {
			if err := read.sample(ctx, m, item, from, errs[w.From+from:w.From+to]); err != nil {
				return err
			}
		}
		served := []*servingv1.ServedBy{answer.Stats.ServedBy(m.Identity(), names(heads))}
		for row := from; row < to; row++ {
			i := w.From + row
			if errs[i] != nil {
				continue
			}
			if errs[i] = err; err != nil {
				continue
			}
			r := results[i]
			answers, err := read.row(row - from)
			if err != nil {
				errs[i] = err
				continue
			}
			r.Heads = answers
			r.PredictionId = pipeline.NewPredictionID()
			r.ServedBy = served
			at := fmt.Sprintf("instances[%d]", i)
			r.Warnings = pipeline.Within(at, reports[row].Warnings)
			for _, h := range heads {
				if answers[h.name].GetSegment().GetOutlier() {
					r.Warnings = append(r.Warnings, lowSupport(h.name, at))
				}
			}
		}
		return nil
	})
}

// runRows runs the rows of an item that have no error yet. It hands each answer
// to read with the rows [from, to) that it holds; a row that fails gets its
// error in errs. All rows run as one; when that fails, each runs alone, so that
// the row at fault fails by itself. The error that it returns concerns the
// whole call.
func runRows(ctx context.Context, m Model, item pipeline.Item, errs []error, read func(a *pipeline.Answer, from, to int) error) error {
	var places []int
	for row, err := range errs {
		if err == nil {
			places = append(places, row)
		}
	}
	if len(places) == 0 {
		return ctx.Err()
	}
	joint := m.Run(ctx, []pipeline.Item{item})[0]
	switch {
	case joint.Err == nil:
		return read(&joint, 0, item.Rows)
	case pipeline.Overload(joint.Err):
		return joint.Err
	case item.Rows == 1:
		errs[0] = joint.Err
		return nil
	}
	alone := make([]pipeline.Item, len(places))
	for k, row := range places {
		var err error
		if alone[k], err = item.Row(row); err != nil {
			return err
		}
	}
	for k, a := range m.Run(ctx, alone) {
		row := places[k]
		switch {
		case a.Err == nil:
			if err := read(&a, row, row+1); err != nil {
				return err
			}
		case pipeline.Overload(a.Err):
			return a.Err
		default:
			errs[row] = a.Err
		}
	}
	return nil
}
