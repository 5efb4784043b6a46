// Package sentiment reads opinion from texts: it tokenises them and turns a
// model's outputs into polarity and embeddings. It knows neither gRPC nor ONNX
// Runtime.
package sentiment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// ErrUnsupported is wrapped by the error of a call that asks a model for a
// feature that it does not have.
var ErrUnsupported = errors.New("the model lacks the feature")

// Model is what sentiment needs of a loaded version.
type Model interface {
	Bundle() *bundle.Bundle
	Pipeline() *pipeline.Pipeline
	Identity() pipeline.Identity
	// Admit returns the error with which so many rows of that cost in tokens (0:
	// rows) would be refused now.
	Admit(ctx context.Context, rows int, cost int64) error
	Run(ctx context.Context, items []pipeline.Item) []pipeline.Answer
}

// question finds the features of a call that a model answers.
func (c *Call) question(ctx context.Context, m Model, features []sentimentv1.TextFeature) (*question, error) {
	manifest := m.Bundle().Manifest
	if manifest.GetText() == nil {
		return nil, fmt.Errorf("%w: %s takes no texts", ErrUnsupported, m.Identity().Model)
	}
	q := &question{call: c, model: m, views: map[string]*view{}}
	for name := range manifest.GetHeads() {
		q.heads = append(q.heads, name)
	}
	slices.Sort(q.heads)
	for _, f := range features {
		var (
			made feature
			err  error
		)
		switch f {
		case sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT:
			made, err = q.polarity()
		case sentimentv1.TextFeature_TEXT_FEATURE_SENTENCES:
			made, err = q.sentences()
		case sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING:
			made, err = q.embedding()
		case sentimentv1.TextFeature_TEXT_FEATURE_CLASSES:
			made, err = q.classes()
		case sentimentv1.TextFeature_TEXT_FEATURE_EMOTIONS:
			made, err = q.emotions()
		case sentimentv1.TextFeature_TEXT_FEATURE_TARGETS:
			made, err = q.targets()
		case sentimentv1.TextFeature_TEXT_FEATURE_TOPICS, sentimentv1.TextFeature_TEXT_FEATURE_INTENT, sentimentv1.TextFeature_TEXT_FEATURE_TOXICITY:
			made, err = q.zeroShot(ctx, f)
		default:
			err = q.lacks(f)
		}
		if err != nil {
			return nil, err
		}
		q.features = append(q.features, made)
	}
	return q, nil
}

// lacks is the error of a feature for which the model has no head.
func (q *question) lacks(f sentimentv1.TextFeature) error {
	return fmt.Errorf("%w: %s has no head for %v", ErrUnsupported, q.model.Identity().Model, f)
}

// head is the first head, by name, of a kind; false when the model has none.
func (q *question) head(is func(h *bundlev1.Head) bool) (string, *bundlev1.Head, bool) {
	for _, name := range q.heads {
		if h := q.model.Bundle().Manifest.GetHeads()[name]; is(h) {
			return name, h, true
		}
	}
	return "", nil, false
}

// view looks at a head's source, a row of which read may change and returns as
// scores. Features that look at the same head share the view.
func (q *question) view(name string, read func(row []float64) ([]float64, error)) *view {
	if v, ok := q.views[name]; ok {
		return v
	}
	h := q.model.Bundle().Manifest.GetHeads()[name]
	v := &view{read: func(out pipeline.Outputs) ([]float64, error) {
		row, err := out.Pooled(h, 0)
		if err != nil {
			return nil, err
		}
		return read(row)
	}}
	q.views[name] = v
	q.names = append(q.names, name)
	return v
}

// polarityFeature answers SENTIMENT.
type polarityFeature struct {
	*view
	spec *bundlev1.Sentiment
}

func (q *question) polarity() (*polarityFeature, error) {
	name, h, ok := q.head(func(h *bundlev1.Head) bool { return h.GetSentiment() != nil })
	if !ok {
		return nil, q.lacks(sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT)
	}
	spec := h.GetSentiment()
	return &polarityFeature{spec: spec, view: q.view(name, func(row []float64) ([]float64, error) {
		return row, pipeline.Activate(row, spec.GetActivation(), spec.GetTemperature())
	})}, nil
}

func (f *polarityFeature) ask(s *subject) error {
	s.all(f.view)
	return nil
}

func (f *polarityFeature) answer(s *subject, r *sentimentv1.TextResult) (err error) {
	r.Sentiment, err = polarity(s.whole.of(f.view), f.spec)
	return err
}

// sentencesFeature answers SENTENCES.
type sentencesFeature struct {
	*polarityFeature
	call *Call
}

func (q *question) sentences() (*sentencesFeature, error) {
	p, err := q.polarity()
	return &sentencesFeature{p, q.call}, err
}

func (f *sentencesFeature) ask(s *subject) error {
	for k := range s.spans() {
		s.part(k, f.view)
	}
	return nil
}

func (f *sentencesFeature) answer(s *subject, r *sentimentv1.TextResult) error {
	places := s.places(f.call.options)
	r.Sentences = make([]*sentimentv1.Sentence, len(s.spans()))
	for k, span := range s.spans() {
		p, err := polarity(s.part(k, f.view).of(f.view), f.spec)
		if err != nil {
			return err
		}
		r.Sentences[k] = &sentimentv1.Sentence{Span: places.span(span.Begin, span.End), Sentiment: p}
	}
	return nil
}

// embeddingFeature answers EMBEDDING.
type embeddingFeature struct {
	*view     // the head's numbers, and behind them their Euclidean norm
	head      string
	normalize bool
}

func (q *question) embedding() (*embeddingFeature, error) {
	name, h, ok := q.head(func(h *bundlev1.Head) bool { return h.GetEmbedding() != nil })
	if !ok {
		return nil, q.lacks(sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING)
	}
	return &embeddingFeature{head: name, normalize: h.GetEmbedding().GetNormalize(), view: q.view(name, func(row []float64) ([]float64, error) {
		return append(row, norm(row)), nil
	})}, nil
}

func norm(row []float64) float64 {
	sum := 0.0
	for _, x := range row {
		sum += x * x
	}
	return math.Sqrt(sum)
}

func (f *embeddingFeature) ask(s *subject) error {
	s.all(f.view)
	return nil
}

func (f *embeddingFeature) answer(s *subject, r *sentimentv1.TextResult) error {
	r.Embedding = &sentimentv1.Embedding{Values: pipeline.Vector(f.vector(s.whole), f.normalize)}
	return nil
}

// vector is that of a passage. The mean over several rows is made as long as
// these are on average, so that unit vectors give one.
func (f *embeddingFeature) vector(p *passage) []float64 {
	row := p.of(f.view)
	last := len(row) - 1
	row, long := row[:last:last], row[last]
	if short := norm(row); p.rows > 1 && short > 0 {
		row = slices.Clone(row)
		for i := range row {
			row[i] *= long / short
		}
	}
	return row
}

// classesFeature answers CLASSES: every head with labels of its own.
type classesFeature struct {
	views  []*view
	names  []string   // of heads
	labels [][]string // by head
}

func (q *question) classes() (feature, error) {
	f := &classesFeature{}
	for _, name := range q.heads {
		h := q.model.Bundle().Manifest.GetHeads()[name]
		activation := h.GetClasses().GetActivation()
		switch {
		case h.GetLabels() != nil:
			activation = h.GetLabels().GetActivation()
		case h.GetClasses() == nil:
			continue
		}
		f.names = append(f.names, name)
		f.labels = append(f.labels, q.model.Bundle().Labels[name])
		f.views = append(f.views, q.view(name, func(row []float64) ([]float64, error) {
			return row, pipeline.Activate(row, activation, 0)
		}))
	}
	if len(f.views) == 0 {
		return nil, q.lacks(sentimentv1.TextFeature_TEXT_FEATURE_CLASSES)
	}
	return f, nil
}

func (f *classesFeature) ask(s *subject) error {
	for _, v := range f.views {
		s.all(v)
	}
	return nil
}

func (f *classesFeature) answer(s *subject, r *sentimentv1.TextResult) error {
	for k, v := range f.views {
		classes, err := byScore(f.labels[k], s.whole.of(v))
		if err != nil {
			return err
		}
		r.Classes = append(r.Classes, &sentimentv1.ClassSet{Head: f.names[k], Classes: classes})
	}
	return nil
}

// byScore pairs names with scores, in descending order of these.
func byScore(names []string, scores []float64) ([]*sentimentv1.Score, error) {
	if len(names) != len(scores) {
		return nil, fmt.Errorf("%w: %d scores for %d names", pipeline.ErrOutput, len(scores), len(names))
	}
	out := make([]*sentimentv1.Score, 0, len(scores))
	for _, at := range pipeline.Top(scores, len(scores), math.Inf(-1)) {
		out = append(out, &sentimentv1.Score{Name: names[at], Score: scores[at]})
	}
	return out, nil
}

// polarity reads the three probabilities among a passage's scores; they are
// made to sum to 1, as rounding may leave them a hair off. The most probable one is the polarity; a
// tie with neutral is neutral, one of positive and negative positive.
func polarity(scores []float64, spec *bundlev1.Sentiment) (*sentimentv1.Sentiment, error) {
	positive, neutral, negative, err := byPolarity(scores, spec)
	if err != nil {
		return nil, err
	}
	sum := positive + neutral + negative
	if sum <= 0 {
		return nil, fmt.Errorf("%w: the probabilities sum to 0", pipeline.ErrOutput)
	}
	s := &sentimentv1.Sentiment{
		Positive: positive / sum, Neutral: neutral / sum, Negative: negative / sum,
		Score:     (positive - negative) / sum,
		Magnitude: math.Abs(positive-negative) / sum,
		Polarity:  sentimentv1.Polarity_POLARITY_NEUTRAL,
	}
	switch {
	case positive > neutral && positive >= negative:
		s.Polarity = sentimentv1.Polarity_POLARITY_POSITIVE
	case negative > neutral && negative > positive:
		s.Polarity = sentimentv1.Polarity_POLARITY_NEGATIVE
	}
	return s, nil
}
