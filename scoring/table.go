package scoring

import (
	"context"
	"fmt"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// ScoreTable answers a table by columns. errs holds the rows that could not be
// scored; they are zero in every column. err is set when the call as a whole
// cannot be answered.
func ScoreTable(ctx context.Context, m Model, t *scoringv1.Table, opts *scoringv1.ScoreOptions, first int64) (result *scoringv1.TableResult, errs map[int64]error, err error) {
	heads, err := newHeads(m, opts)
	if err != nil {
		return nil, nil, err
	}
	item, report, err := m.Pipeline().Table(t)
	if err != nil {
		return nil, nil, err
	}
	errs = report.Errors
	result = &scoringv1.TableResult{
		Rows: t.GetRows(), Ids: t.GetIds(), FirstIndex: first, Heads: map[string]*scoringv1.HeadColumns{},
		PredictionId: pipeline.NewPredictionID(), Warnings: report.Warnings,
	}
	var got answers
	if int64(len(errs)) < t.GetRows() {
		got, err = run(ctx, m, item, func(row int) bool { return errs[int64(row)] == nil })
		if err != nil {
			return nil, nil, err
		}
		answer, _ := got.of(0)
		result.ServedBy = []*servingv1.ServedBy{answer.Stats.ServedBy(m.Identity(), heads.names)}
	}
	rows := int(t.GetRows())
	columns := make([]columnWriter, 0, len(heads.names))
	for _, name := range heads.names {
		w := heads.columns(name, rows)
		columns = append(columns, w)
		result.Heads[name] = w.out
	}
	for row := range rows {
		if errs[int64(row)] != nil {
			continue
		}
		answer, at := got.of(row)
		if answer.Err != nil {
			errs[int64(row)] = answer.Err
			continue
		}
		for _, w := range columns {
			if err := w.write(answer.Outputs, row, at); err != nil {
				errs[int64(row)] = err
				break
			}
		}
	}
	for row := range errs {
		for _, w := range columns {
			w.clear(int(row))
		}
	}
	return result, errs, nil
}

// columnWriter fills one head's columns.
type columnWriter struct {
	out   *scoringv1.HeadColumns
	write func(out pipeline.Outputs, row, at int) error
	clear func(row int)
}

// columns makes the columns of a head.
func (h *heads) columns(name string, rows int) columnWriter {
	spec := h.manifest.GetHeads()[name]
	read := func(out pipeline.Outputs, at int) ([]float32, error) {
		values, columns, err := out.Columns(spec.GetSource())
		if err != nil {
			return nil, fmt.Errorf("head %s: %w", name, err)
		}
		if len(values) < (at+1)*columns {
			return nil, fmt.Errorf("head %s: %w: there is no row %d", name, pipeline.ErrOutput, at)
		}
		return values[at*columns : (at+1)*columns], nil
	}
	switch k := spec.GetKind().(type) {
	case *bundlev1.Head_Probability:
		return h.probabilityColumns(k.Probability, rows, read)
	case *bundlev1.Head_Value:
		c := &scoringv1.ValueColumn{Values: make([]float64, rows), Unit: k.Value.GetUnit()}
		return columnWriter{
			out: &scoringv1.HeadColumns{Kind: &scoringv1.HeadColumns_Value{Value: c}},
			write: func(out pipeline.Outputs, row, place int) error {
				mine, err := read(out, place)
				if err == nil {
					c.Values[row], err = at(mine, k.Value.GetColumn())
				}
				return err
			},
			clear: func(row int) { c.Values[row] = 0 },
		}
	case *bundlev1.Head_Classes:
		names := h.labels[name]
		c := &scoringv1.ClassesColumns{Names: names, Probabilities: make([]float64, rows*len(names))}
		return columnWriter{
			out: &scoringv1.HeadColumns{Kind: &scoringv1.HeadColumns_Classes{Classes: c}},
			write: func(out pipeline.Outputs, row, place int) error {
				mine, err := read(out, place)
				if err != nil {
					return err
				}
				if len(mine) != len(names) {
					return fmt.Errorf("%w: %d columns for %d classes", pipeline.ErrOutput, len(mine), len(names))
				}
				return pipeline.Activate(c.Probabilities[row*len(names):(row+1)*len(names)], mine, k.Classes.GetActivation(), 0)
			},
			clear: func(row int) { clear(c.Probabilities[row*len(names) : (row+1)*len(names)]) },
		}
	}
	c := &scoringv1.EmbeddingColumn{}
	return columnWriter{
		out: &scoringv1.HeadColumns{Kind: &scoringv1.HeadColumns_Embedding{Embedding: c}},
		write: func(out pipeline.Outputs, row, place int) error {
			mine, err := read(out, place)
			if err != nil {
				return err
			}
			if c.Size == 0 {
				c.Size = int32(len(mine))
				c.Values = make([]float32, rows*len(mine))
			}
			v, err := pipeline.Vector(mine, spec.GetEmbedding().GetNormalize())
			copy(c.Values[row*int(c.GetSize()):], v)
			return err
		},
		clear: func(row int) {
			if n := int(c.GetSize()); n > 0 {
				clear(c.Values[row*n : (row+1)*n])
			}
		},
	}
}

func (h *heads) probabilityColumns(spec *bundlev1.Probability, rows int, read func(pipeline.Outputs, int) ([]float32, error)) columnWriter {
	c := &scoringv1.ProbabilityColumns{
		Event: spec.GetEvent(), Threshold: threshold(spec),
		Probability: make([]float64, rows), RawScore: make([]float64, rows),
	}
	if len(spec.GetQuantiles()) > 1 {
		c.Percentile = make([]float64, rows)
	}
	for _, b := range spec.GetBands() {
		c.BandNames = append(c.BandNames, b.GetName())
	}
	if len(c.BandNames) > 0 {
		c.Band = make([]uint32, rows)
	}
	if spec.GetReasons() != nil {
		features := h.manifest.GetRow().GetFeatures()
		names, codes := make([]string, len(features)), make([]string, len(features))
		for i, f := range features {
			names[i], codes[i] = f.GetName(), codeOf(spec.GetReasons(), f.GetName()).GetCode()
		}
		for range min(int(h.opts.GetReasons()), len(features)) {
			c.Reasons = append(c.Reasons, &scoringv1.ReasonColumn{
				Feature: make([]uint32, rows), Contribution: make([]float64, rows), FeatureNames: names, Codes: codes,
			})
		}
	}
	return columnWriter{
		out: &scoringv1.HeadColumns{Kind: &scoringv1.HeadColumns_Probability{Probability: c}},
		write: func(out pipeline.Outputs, row, place int) error {
			mine, err := read(out, place)
			if err != nil {
				return err
			}
			e, err := estimateOf(out, place, spec, mine)
			if err != nil {
				return err
			}
			c.Probability[row], c.RawScore[row] = e.probability, e.raw
			if c.Percentile != nil {
				c.Percentile[row] = percentile(spec.GetQuantiles(), e.probability)
			}
			if c.Band != nil {
				c.Band[row] = uint32(max(bandOf(spec.GetBands(), e.probability), 0))
			}
			if len(c.Reasons) == 0 {
				return nil
			}
			strongest, err := h.strongest(out, place, spec.GetReasons())
			if err != nil {
				return err
			}
			for rank, s := range strongest {
				c.Reasons[rank].Feature[row] = uint32(s.feature)
				c.Reasons[rank].Contribution[row] = s.contribution
			}
			return nil
		},
		clear: func(row int) {
			c.Probability[row], c.RawScore[row] = 0, 0
			if c.Percentile != nil {
				c.Percentile[row] = 0
			}
			if c.Band != nil {
				c.Band[row] = 0
			}
			for _, r := range c.Reasons {
				r.Feature[row], r.Contribution[row] = 0, 0
			}
		},
	}
}
