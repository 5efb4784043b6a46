package scoring

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// heads reads a call's heads from a model's outputs.
type heads struct {
	names    []string
	manifest *bundlev1.Manifest
	labels   map[string][]string
	opts     *scoringv1.ScoreOptions
}

func newHeads(m Model, opts *scoringv1.ScoreOptions) (*heads, error) {
	names, err := chosen(m, opts)
	if err != nil {
		return nil, err
	}
	return &heads{names: names, manifest: m.Bundle().Manifest, labels: m.Bundle().Labels, opts: opts}, nil
}

// row reads every head of one row.
func (h *heads) row(out pipeline.Outputs, row int) (map[string]*scoringv1.Head, error) {
	answer := make(map[string]*scoringv1.Head, len(h.names))
	for _, name := range h.names {
		spec := h.manifest.GetHeads()[name]
		values, columns, err := out.Columns(spec.GetSource())
		if err != nil {
			return nil, fmt.Errorf("head %s: %w", name, err)
		}
		if len(values) < (row+1)*columns {
			return nil, fmt.Errorf("head %s: %w: there is no row %d", name, pipeline.ErrOutput, row)
		}
		mine := values[row*columns : (row+1)*columns]
		head := &scoringv1.Head{}
		switch k := spec.GetKind().(type) {
		case *bundlev1.Head_Probability:
			p, err := h.probability(out, row, k.Probability, mine)
			if err != nil {
				return nil, fmt.Errorf("head %s: %w", name, err)
			}
			head.Kind = &scoringv1.Head_Probability{Probability: p}
		case *bundlev1.Head_Value:
			x, err := at(mine, k.Value.GetColumn())
			if err != nil {
				return nil, fmt.Errorf("head %s: %w", name, err)
			}
			head.Kind = &scoringv1.Head_Value{Value: &scoringv1.Value{Value: x, Unit: k.Value.GetUnit()}}
		case *bundlev1.Head_Classes:
			c, err := classes(mine, h.labels[name], k.Classes)
			if err != nil {
				return nil, fmt.Errorf("head %s: %w", name, err)
			}
			head.Kind = &scoringv1.Head_Classes{Classes: c}
		case *bundlev1.Head_Embedding:
			v, err := pipeline.Vector(mine, k.Embedding.GetNormalize())
			if err != nil {
				return nil, fmt.Errorf("head %s: %w", name, err)
			}
			head.Kind = &scoringv1.Head_Embedding{Embedding: &scoringv1.Embedding{Values: v}}
		}
		answer[name] = head
	}
	return answer, nil
}

// at reads a finite number.
func at(row []float32, column int32) (float64, error) {
	if int(column) >= len(row) {
		return 0, fmt.Errorf("%w: there is no column %d", pipeline.ErrOutput, column)
	}
	x := float64(row[column])
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("%w: it is not a finite number", pipeline.ErrOutput)
	}
	return x, nil
}

// estimate is a calibrated probability with what led to it.
type estimate struct {
	probability, raw float64
}

// estimateOf calibrates one row of a probability head.
func estimateOf(out pipeline.Outputs, row int, spec *bundlev1.Probability, mine []float32) (estimate, error) {
	x, err := at(mine, spec.GetColumn())
	if err != nil {
		return estimate{}, err
	}
	e := estimate{probability: x, raw: x}
	if spec.GetRawScore() != "" {
		values, columns, err := out.Columns(spec.GetRawScore())
		if err != nil {
			return estimate{}, err
		}
		column := spec.GetColumn()
		if columns == 1 {
			column = 0
		}
		if len(values) < (row+1)*columns {
			return estimate{}, fmt.Errorf("%w: there is no row %d", pipeline.ErrOutput, row)
		}
		if e.raw, err = at(values[row*columns:(row+1)*columns], column); err != nil {
			return estimate{}, err
		}
	}
	switch c := spec.GetCalibration().GetMap().(type) {
	case *bundlev1.Calibration_Logistic:
		e.probability = pipeline.Logistic(c.Logistic.GetSlope()*x + c.Logistic.GetIntercept())
	case *bundlev1.Calibration_Points:
		e.probability = interpolate(c.Points.GetScores(), c.Points.GetProbabilities(), x)
	}
	e.probability = math.Min(math.Max(e.probability, 0), 1)
	return e, nil
}

// interpolate is piecewise linear, constant outside the points.
func interpolate(xs, ys []float64, x float64) float64 {
	i := sort.SearchFloat64s(xs, x)
	switch {
	case i == 0:
		return ys[0]
	case i == len(xs):
		return ys[len(ys)-1]
	}
	part := (x - xs[i-1]) / (xs[i] - xs[i-1])
	return ys[i-1] + part*(ys[i]-ys[i-1])
}

// percentile is the share of the training population below p, 0 to 100, by
// linear interpolation in its quantiles; among equal quantiles the middle.
func percentile(quantiles []float64, p float64) float64 {
	n := len(quantiles)
	low := sort.SearchFloat64s(quantiles, p)
	high := low + sort.Search(n-low, func(i int) bool { return quantiles[low+i] > p })
	step := 100 / float64(n-1)
	switch {
	case high > low: // equal to some quantiles
		return float64(low+high-1) / 2 * step
	case low == 0:
		return 0
	case low == n:
		return 100
	}
	part := (p - quantiles[low-1]) / (quantiles[low] - quantiles[low-1])
	return (float64(low-1) + part) * step
}

// bandOf returns the index of the band that holds p; -1 without bands.
func bandOf(bands []*bundlev1.Band, p float64) int {
	found := -1
	for i, b := range bands {
		if p >= b.GetMinProbability() {
			found = i
		}
	}
	return found
}

func threshold(spec *bundlev1.Probability) float64 {
	if spec.Threshold == nil {
		return 0.5
	}
	return spec.GetThreshold()
}

func (h *heads) probability(out pipeline.Outputs, row int, spec *bundlev1.Probability, mine []float32) (*scoringv1.Probability, error) {
	e, err := estimateOf(out, row, spec, mine)
	if err != nil {
		return nil, err
	}
	p := &scoringv1.Probability{
		Event: spec.GetEvent(), Probability: e.probability, RawScore: e.raw,
		Threshold: threshold(spec), Predicted: e.probability >= threshold(spec),
	}
	if len(spec.GetQuantiles()) > 1 {
		q := percentile(spec.GetQuantiles(), e.probability)
		p.Percentile = &q
	}
	if i := bandOf(spec.GetBands(), e.probability); i >= 0 {
		p.Band = spec.GetBands()[i].GetName()
	}
	if h.opts.GetReasons() > 0 && spec.GetReasons() != nil {
		strongest, err := h.strongest(out, row, spec.GetReasons())
		if err != nil {
			return nil, err
		}
		for _, s := range strongest {
			p.Reasons = append(p.Reasons, h.reason(spec.GetReasons(), s))
		}
	}
	return p, nil
}

// part is one feature's contribution.
type part struct {
	feature      int
	contribution float64
}

// strongest returns the features that moved a row's score most.
func (h *heads) strongest(out pipeline.Outputs, row int, spec *bundlev1.Reasons) ([]part, error) {
	values, columns, err := out.Columns(spec.GetContributions())
	if err != nil {
		return nil, err
	}
	features := h.manifest.GetRow().GetFeatures()
	if columns != len(features) || len(values) < (row+1)*columns {
		return nil, fmt.Errorf("%w: %d contributions for %d features", pipeline.ErrOutput, columns, len(features))
	}
	parts := make([]part, 0, columns)
	for i, x := range values[row*columns : (row+1)*columns] {
		c := float64(x)
		if math.IsNaN(c) || math.IsInf(c, 0) {
			return nil, fmt.Errorf("%w: a contribution is not a finite number", pipeline.ErrOutput)
		}
		if c == 0 || (h.opts.GetActionableOnly() && !codeOf(spec, features[i].GetName()).GetActionable()) {
			continue
		}
		parts = append(parts, part{i, c})
	}
	slices.SortStableFunc(parts, func(a, b part) int {
		switch x, y := math.Abs(a.contribution), math.Abs(b.contribution); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return parts[:min(len(parts), int(h.opts.GetReasons()))], nil
}

func codeOf(spec *bundlev1.Reasons, feature string) *bundlev1.ReasonCode {
	for _, c := range spec.GetCodes() {
		if c.GetFeature() == feature {
			return c
		}
	}
	return nil
}

func (h *heads) reason(spec *bundlev1.Reasons, p part) *scoringv1.Reason {
	feature := h.manifest.GetRow().GetFeatures()[p.feature].GetName()
	c := codeOf(spec, feature)
	text := c.GetText()[h.opts.GetLanguage()]
	if text == "" {
		text = c.GetText()["en"]
	}
	if text == "" {
		text = feature
	}
	return &scoringv1.Reason{Feature: feature, Code: c.GetCode(), Text: text, Contribution: p.contribution, Actionable: c.GetActionable()}
}

func classes(row []float32, names []string, spec *bundlev1.Classes) (*scoringv1.Classes, error) {
	if len(row) != len(names) {
		return nil, fmt.Errorf("%w: %d columns for %d classes", pipeline.ErrOutput, len(row), len(names))
	}
	scores := make([]float64, len(row))
	if err := pipeline.Activate(scores, row, spec.GetActivation(), 0); err != nil {
		return nil, err
	}
	out := &scoringv1.Classes{Classes: make([]*scoringv1.ClassProbability, len(row))}
	for i, s := range scores {
		out.Classes[i] = &scoringv1.ClassProbability{Name: names[i], Probability: s}
	}
	slices.SortStableFunc(out.Classes, func(a, b *scoringv1.ClassProbability) int {
		switch {
		case a.GetProbability() > b.GetProbability():
			return -1
		case a.GetProbability() < b.GetProbability():
			return 1
		}
		return 0
	})
	return out, nil
}
