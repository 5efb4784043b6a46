package scoring

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// head is one head that a call asks for; it is read only.
type head struct {
	name     string
	spec     *bundlev1.Head
	labels   []string               // of classes
	features []*bundlev1.Feature    // of reasons
	codes    []*bundlev1.ReasonCode // of reasons, like features; nil for those without
	opts     *scoringv1.ScoreOptions
}

// newHeads returns the heads that a call asks for, in name order, all of which
// are of a kind that scoring answers.
func newHeads(m Model, opts *scoringv1.ScoreOptions) ([]*head, error) {
	manifest := m.Bundle().Manifest
	if manifest.GetRow() == nil {
		return nil, fmt.Errorf("%w: %s takes no features", ErrUnsupported, m.Identity().Model)
	}
	var known []string
	for name, h := range manifest.GetHeads() {
		if h.GetProbability() != nil || h.GetValue() != nil || h.GetClasses() != nil || h.GetEmbedding() != nil {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	if len(known) == 0 {
		return nil, fmt.Errorf("%w: %s has no head that scores", ErrUnsupported, m.Identity().Model)
	}
	for i, name := range opts.GetHeads() {
		if !slices.Contains(known, name) {
			return nil, &pipeline.InputError{
				Field: fmt.Sprintf("options.heads[%d]", i), Reason: "HEAD_UNKNOWN",
				Message: "the model has no such head; it has " + strings.Join(known, ", "),
			}
		}
	}
	heads := make([]*head, 0, len(known))
	for _, name := range known {
		if len(opts.GetHeads()) > 0 && !slices.Contains(opts.GetHeads(), name) {
			continue
		}
		h := &head{name: name, spec: manifest.GetHeads()[name], labels: m.Bundle().Labels[name], opts: opts}
		if reasons := h.spec.GetProbability().GetReasons(); reasons != nil && opts.GetReasons() > 0 {
			h.features = manifest.GetRow().GetFeatures()
			h.codes = codesOf(reasons, h.features)
		}
		heads = append(heads, h)
	}
	return heads, nil
}

func codesOf(spec *bundlev1.Reasons, features []*bundlev1.Feature) []*bundlev1.ReasonCode {
	byFeature := make(map[string]*bundlev1.ReasonCode, len(spec.GetCodes()))
	for _, c := range spec.GetCodes() {
		byFeature[c.GetFeature()] = c
	}
	out := make([]*bundlev1.ReasonCode, len(features))
	for i, f := range features {
		out[i] = byFeature[f.GetName()]
	}
	return out
}

func names(heads []*head) []string {
	out := make([]string, len(heads))
	for i, h := range heads {
		out[i] = h.name
	}
	return out
}

// reader reads heads from one answer, one row at a time. Its memory is used
// again for every row.
type reader struct {
	heads   []boundHead
	numbers []float64
	sizes   []float64
}

// boundHead is a head with the tensors that it reads.
type boundHead struct {
	*head
	source, raw, contributions pipeline.Columns
}

// bind finds the tensors that heads read. Errors wrap pipeline.ErrOutput.
func bind(heads []*head, out pipeline.Outputs) (*reader, error) {
	r := &reader{heads: make([]boundHead, len(heads))}
	for i, h := range heads {
		b := &r.heads[i]
		b.head = h
		err := b.bind(out)
		if err != nil {
			return nil, fmt.Errorf("head %s: %w", h.name, err)
		}
	}
	return r, nil
}

func (b *boundHead) bind(out pipeline.Outputs) (err error) {
	if b.source, err = out.Columns(b.spec.GetSource()); err != nil {
		return err
	}
	p := b.spec.GetProbability()
	if p.GetRawScore() != "" {
		if b.raw, err = out.Columns(p.GetRawScore()); err != nil {
			return err
		}
	}
	if b.codes != nil {
		if b.contributions, err = out.Columns(p.GetReasons().GetContributions()); err != nil {
			return err
		}
		if b.contributions.Columns != len(b.features) {
			return fmt.Errorf("%w: %d contributions for %d features", pipeline.ErrOutput, b.contributions.Columns, len(b.features))
		}
	}
	if b.spec.GetClasses() != nil && b.source.Columns != len(b.labels) {
		return fmt.Errorf("%w: %d columns for %d classes", pipeline.ErrOutput, b.source.Columns, len(b.labels))
	}
	return nil
}

// row reads every head of one row. Errors wrap pipeline.ErrOutput.
func (r *reader) row(row int) (map[string]*scoringv1.Head, error) {
	answer := make(map[string]*scoringv1.Head, len(r.heads))
	for i := range r.heads {
		b := &r.heads[i]
		h, err := r.head(b, row)
		if err != nil {
			return nil, fmt.Errorf("head %s: %w", b.name, err)
		}
		answer[b.name] = h
	}
	return answer, nil
}

func (r *reader) head(b *boundHead, row int) (*scoringv1.Head, error) {
	switch k := b.spec.GetKind().(type) {
	case *bundlev1.Head_Probability:
		p, err := r.probability(b, row, k.Probability)
		if err != nil {
			return nil, err
		}
		return &scoringv1.Head{Kind: &scoringv1.Head_Probability{Probability: p}}, nil
	case *bundlev1.Head_Value:
		x, err := b.source.At(row, int(k.Value.GetColumn()))
		if err != nil {
			return nil, err
		}
		return &scoringv1.Head{Kind: &scoringv1.Head_Value{Value: &scoringv1.Value{Value: x, Unit: k.Value.GetUnit()}}}, nil
	case *bundlev1.Head_Classes:
		if err := r.classes(b, row, k.Classes); err != nil {
			return nil, err
		}
		c := &scoringv1.Classes{Classes: make([]*scoringv1.ClassProbability, 0, len(r.numbers))}
		for _, i := range pipeline.Top(r.numbers, len(r.numbers), 0) {
			c.Classes = append(c.Classes, &scoringv1.ClassProbability{Name: b.labels[i], Probability: r.numbers[i]})
		}
		return &scoringv1.Head{Kind: &scoringv1.Head_Classes{Classes: c}}, nil
	}
	v, err := r.vector(b, row)
	if err != nil {
		return nil, err
	}
	return &scoringv1.Head{Kind: &scoringv1.Head_Embedding{Embedding: &scoringv1.Embedding{Values: v}}}, nil
}

// classes leaves a row's distribution, in the columns' order, in r.numbers.
func (r *reader) classes(b *boundHead, row int, spec *bundlev1.Classes) (err error) {
	if r.numbers, err = b.source.Row(r.numbers, row); err != nil {
		return err
	}
	return pipeline.Activate(r.numbers, spec.GetActivation(), 0)
}

func (r *reader) vector(b *boundHead, row int) (_ []float32, err error) {
	if r.numbers, err = b.source.Row(r.numbers, row); err != nil {
		return nil, err
	}
	return pipeline.Vector(r.numbers, b.spec.GetEmbedding().GetNormalize()), nil
}

func (r *reader) probability(b *boundHead, row int, spec *bundlev1.Probability) (*scoringv1.Probability, error) {
	e, err := b.estimate(row, spec)
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
	strongest, err := r.strongest(b, row)
	if err != nil {
		return nil, err
	}
	for _, i := range strongest {
		p.Reasons = append(p.Reasons, b.reason(i, r.numbers[i]))
	}
	return p, nil
}

// estimate is a calibrated probability with what led to it.
type estimate struct {
	probability, raw float64
}

// estimate calibrates one row of a probability head.
func (b *boundHead) estimate(row int, spec *bundlev1.Probability) (e estimate, err error) {
	column := int(spec.GetColumn())
	x, err := b.source.At(row, column)
	if err != nil {
		return estimate{}, err
	}
	e.raw = x
	if spec.GetRawScore() != "" {
		if b.raw.Columns == 1 {
			column = 0
		}
		if e.raw, err = b.raw.At(row, column); err != nil {
			return estimate{}, err
		}
	}
	switch c := spec.GetCalibration().GetMap().(type) {
	case *bundlev1.Calibration_Logistic:
		x = pipeline.Logistic(c.Logistic.GetSlope()*x + c.Logistic.GetIntercept())
	case *bundlev1.Calibration_Points:
		x = interpolate(c.Points.GetScores(), c.Points.GetProbabilities(), x)
	}
	e.probability, err = pipeline.Unit(x)
	return e, err
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

// percentile is the share of the training population with a probability lower
// than p, 0 to 100, by linear interpolation in its quantiles.
func percentile(quantiles []float64, p float64) float64 {
	n := len(quantiles)
	i := sort.SearchFloat64s(quantiles, p)
	switch i {
	case 0:
		return 0
	case n:
		return 100
	}
	// quantiles[i-1] < p ≤ quantiles[i], so equal quantiles divide nothing.
	part := (p - quantiles[i-1]) / (quantiles[i] - quantiles[i-1])
	return (float64(i-1) + part) * 100 / float64(n-1)
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

// strongest returns the features that moved a row's score most, and leaves the
// row's contributions in r.numbers. Features that moved nothing are left out.
func (r *reader) strongest(b *boundHead, row int) (_ []int, err error) {
	if b.codes == nil {
		return nil, nil
	}
	if r.numbers, err = b.contributions.Row(r.numbers, row); err != nil {
		return nil, err
	}
	r.sizes = r.sizes[:0]
	for i, x := range r.numbers {
		size := math.Abs(x)
		if b.opts.GetActionableOnly() && !b.codes[i].GetActionable() {
			size = 0
		}
		r.sizes = append(r.sizes, size)
	}
	return pipeline.Top(r.sizes, int(b.opts.GetReasons()), math.SmallestNonzeroFloat64), nil
}

// reason says in words what a feature did.
func (h *head) reason(feature int, contribution float64) *scoringv1.Reason {
	c := h.codes[feature]
	name := h.features[feature].GetName()
	return &scoringv1.Reason{
		Feature: name, Code: c.GetCode(), Text: textIn(h.opts.GetLanguage(), c.GetText(), name),
		Contribution: contribution, Actionable: c.GetActionable(),
	}
}

// textIn returns the text in a language, such as "ru-RU", else in its base
// language, "ru", else in English, else the fallback.
func textIn(language string, texts map[string]string, fallback string) string {
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	for _, tag := range []string{language, base, "en"} {
		if text := texts[tag]; text != "" {
			return text
		}
	}
	return fallback
}
