package scoring

import (
	"fmt"
	"slices"
	"strings"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// head is one head that a call asks for; it is read only.
type head struct {
	name    string
	spec    *bundlev1.Head
	labels  []string // of classes
	opts    *scoringv1.ScoreOptions
	reasons *reasons // nil when none are asked for, or the model gives none
	bands   bands

	clusters   []float64   // of a mixture: what does not depend on the row, by cluster
	treatments []treatment // of an uplift
	horizon    int         // of a forecast: points to answer
	levels     []float64   // of a forecast: quantiles to answer
}

// answers tells whether scoring answers a head.
func answers(h *bundlev1.Head) bool {
	switch h.GetKind().(type) {
	case *bundlev1.Head_Probability, *bundlev1.Head_Value, *bundlev1.Head_Classes, *bundlev1.Head_Embedding,
		*bundlev1.Head_Segment, *bundlev1.Head_Uplift, *bundlev1.Head_Forecast:
		return true
	}
	return false
}

// headsOf returns the names of the heads that scoring answers, in order.
func headsOf(m Model) ([]string, error) {
	manifest := m.Bundle().Manifest
	if manifest.GetRow() == nil {
		return nil, fmt.Errorf("%w: %s takes no features", ErrUnsupported, m.Identity().Model)
	}
	var known []string
	for name, h := range manifest.GetHeads() {
		if answers(h) {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	if len(known) == 0 {
		return nil, fmt.Errorf("%w: %s has no head that scores", ErrUnsupported, m.Identity().Model)
	}
	return known, nil
}

// newHeads returns the heads that a call asks for, in name order, all of which
// are of a kind that scoring answers.
func newHeads(m Model, opts *scoringv1.ScoreOptions) ([]*head, error) {
	known, err := headsOf(m)
	if err != nil {
		return nil, err
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
		if len(opts.GetHeads()) == 0 || slices.Contains(opts.GetHeads(), name) {
			heads = append(heads, newHead(m, name, opts))
		}
	}
	if err := chooseTreatments(heads, opts.GetTreatments()); err != nil {
		return nil, err
	}
	return heads, chooseForecasts(heads, opts)
}

// newHead prepares a head for one call.
func newHead(m Model, name string, opts *scoringv1.ScoreOptions) *head {
	h := &head{name: name, spec: m.Bundle().Manifest.GetHeads()[name], labels: m.Bundle().Labels[name], opts: opts}
	if spec := bundle.ReasonsOf(h.spec); spec != nil && opts.GetReasons() > 0 {
		h.reasons = newReasons(m, spec, spec.GetContributions() == "")
	}
	switch k := h.spec.GetKind().(type) {
	case *bundlev1.Head_Probability:
		for _, b := range k.Probability.GetBands() {
			h.bands.add(b.GetName(), b.GetMinProbability())
		}
	case *bundlev1.Head_Value:
		for _, b := range k.Value.GetBands() {
			h.bands.add(b.GetName(), b.GetMinValue())
		}
	case *bundlev1.Head_Segment:
		h.clusters = logWeights(k.Segment)
	case *bundlev1.Head_Uplift:
		h.treatments = allTreatments(k.Uplift)
	case *bundlev1.Head_Forecast:
		h.horizon, h.levels = int(k.Forecast.GetHorizon()), k.Forecast.GetQuantiles()
	}
	return h
}

// bands are named ranges, each from its minimum on.
type bands struct {
	names    []string
	minimums []float64 // ascending
}

func (b *bands) add(name string, minimum float64) {
	b.names, b.minimums = append(b.names, name), append(b.minimums, minimum)
}

// of returns the place of the band that holds x, the first for what is below
// it; -1 without bands.
func (b *bands) of(x float64) int {
	found := min(0, len(b.minimums)-1)
	for i, least := range b.minimums {
		if x >= least {
			found = i
		}
	}
	return found
}

// nameOf returns the name of the band that holds x; "" without bands.
func (b *bands) nameOf(x float64) string {
	if i := b.of(x); i >= 0 {
		return b.names[i]
	}
	return ""
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
	heads     []boundHead
	numbers   []float64
	sizes     []float64
	distances []float64
	points    []float64
	quantiles []float64
}

// boundHead is a head with the tensors that it reads.
type boundHead struct {
	*head
	source, raw, contributions, mean pipeline.Columns

	sampled [][]float64 // by row: contributions that the graph does not give
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
	if b.reasons != nil && !b.reasons.sampled {
		if b.contributions, err = out.Columns(bundle.ReasonsOf(b.spec).GetContributions()); err != nil {
			return err
		}
		if b.contributions.Columns != len(b.reasons.names) {
			return fmt.Errorf("%w: %d contributions for %d features", pipeline.ErrOutput, b.contributions.Columns, len(b.reasons.names))
		}
	}
	want := b.source.Columns
	switch k := b.spec.GetKind().(type) {
	case *bundlev1.Head_Classes:
		want = len(b.labels)
	case *bundlev1.Head_Segment:
		want = len(k.Segment.GetClusters()[0].GetCentroid())
	case *bundlev1.Head_Forecast:
		want = int(k.Forecast.GetHorizon()) * max(len(k.Forecast.GetQuantiles()), 1)
		if k.Forecast.GetMean() == "" {
			break
		}
		if b.mean, err = out.Columns(k.Forecast.GetMean()); err != nil {
			return err
		}
		if b.mean.Columns != int(k.Forecast.GetHorizon()) {
			return fmt.Errorf("%w: %d means for %d points", pipeline.ErrOutput, b.mean.Columns, k.Forecast.GetHorizon())
		}
	}
	if b.source.Columns != want {
		return fmt.Errorf("%w: %d columns, want %d", pipeline.ErrOutput, b.source.Columns, want)
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
		v, err := r.value(b, row, k.Value)
		if err != nil {
			return nil, err
		}
		return &scoringv1.Head{Kind: &scoringv1.Head_Value{Value: v}}, nil
	case *bundlev1.Head_Segment:
		g, err := r.segment(b, row, k.Segment)
		if err != nil {
			return nil, err
		}
		return &scoringv1.Head{Kind: &scoringv1.Head_Segment{Segment: g}}, nil
	case *bundlev1.Head_Uplift:
		u, err := r.uplift(b, row, k.Uplift)
		if err != nil {
			return nil, err
		}
		return &scoringv1.Head{Kind: &scoringv1.Head_Uplift{Uplift: u}}, nil
	case *bundlev1.Head_Forecast:
		f, err := r.forecast(b, row, k.Forecast)
		if err != nil {
			return nil, err
		}
		return &scoringv1.Head{Kind: &scoringv1.Head_Forecast{Forecast: f}}, nil
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
	p.Band = b.bands.nameOf(e.probability)
	p.Reasons, err = r.reasons(b, row)
	return p, err
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
	i := search(xs, x)
	switch {
	case i == 0:
		return ys[0]
	case i == len(xs):
		return ys[len(ys)-1]
	case xs[i] == x:
		return ys[i]
	}
	part := (x - xs[i-1]) / (xs[i] - xs[i-1])
	return ys[i-1] + part*(ys[i]-ys[i-1])
}

// search is sort.SearchFloat64s without a branch that cannot be foretold.
func search(xs []float64, x float64) int {
	at, n := 0, len(xs)
	for n > 1 {
		half := n / 2
		if xs[at+half-1] < x {
			at += half
		}
		n -= half
	}
	if n == 1 && xs[at] < x {
		at++
	}
	return at
}

// percentile is the share of the training population with a probability lower
// than p, 0 to 100, by linear interpolation in its quantiles.
func percentile(quantiles []float64, p float64) float64 {
	n := len(quantiles)
	i := search(quantiles, p)
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

func threshold(spec *bundlev1.Probability) float64 {
	if spec.Threshold == nil {
		return 0.5
	}
	return spec.GetThreshold()
}

// TextIn returns the text in a language, such as "ru-RU", else in its base
// language, "ru", else in English, else the fallback.
func TextIn(language string, texts map[string]string, fallback string) string {
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	for _, tag := range []string{language, base, "en"} {
		if text := texts[tag]; text != "" {
			return text
		}
	}
	return fallback
}
