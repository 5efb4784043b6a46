// Package sentiment reads opinion from texts: it tokenises them and turns a
// model's outputs into polarity and embeddings. It knows neither gRPC nor ONNX
// Runtime.
package sentiment

import (
	"context"
	"errors"
	"fmt"
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
	Run(ctx context.Context, items []pipeline.Item) []pipeline.Answer
}

// NewResults makes the results that Analyze fills, with ids and indices.
func NewResults(texts []*sentimentv1.TextItem, first int64) []*sentimentv1.TextResult {
	results := make([]*sentimentv1.TextResult, len(texts))
	for i, t := range texts {
		results[i] = &sentimentv1.TextResult{Id: t.GetId(), Index: first + int64(i)}
	}
	return results
}

// Analyze fills features that one model answers into results[i], or errs[i]
// where text i failed; texts whose error is set already are left out. The error
// that it returns concerns the whole call: overload, or a feature that the
// model does not have.
func Analyze(ctx context.Context, m Model, texts []*sentimentv1.TextItem, features []sentimentv1.TextFeature, results []*sentimentv1.TextResult, errs []error) error {
	heads, err := newHeads(m, features)
	if err != nil {
		return err
	}
	items := make([]pipeline.Item, 0, len(texts))
	places := make([]int, 0, len(texts))
	prepared := make([]pipeline.PreparedText, 0, len(texts))
	for i, t := range texts {
		if errs[i] != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := prepare(m.Pipeline(), t)
		if err != nil {
			errs[i] = err
			continue
		}
		items = append(items, p.Item)
		prepared = append(prepared, p)
		places = append(places, i)
	}
	if len(items) == 0 {
		return nil
	}
	for k, answer := range m.Run(ctx, items) {
		i := places[k]
		if pipeline.Overload(answer.Err) {
			return answer.Err
		}
		if errs[i] = answer.Err; errs[i] != nil {
			continue
		}
		if errs[i] = heads.fill(results[i], answer.Outputs); errs[i] != nil {
			continue
		}
		r := results[i]
		if r.GetPredictionId() == "" {
			r.PredictionId = pipeline.NewPredictionID()
			r.Warnings = prepared[k].Warnings
			r.Tokens = int32(prepared[k].Tokens)
		}
		r.ServedBy = append(r.ServedBy, answer.Stats.ServedBy(m.Identity(), heads.names))
	}
	return nil
}

func prepare(p *pipeline.Pipeline, t *sentimentv1.TextItem) (pipeline.PreparedText, error) {
	switch c := t.GetContent().(type) {
	case *sentimentv1.TextItem_Text:
		return p.Text(c.Text)
	case *sentimentv1.TextItem_TextBytes:
		prepared, err := p.Text(string(c.TextBytes))
		for _, w := range prepared.Warnings {
			w.Field = "text_bytes"
		}
		if in, ok := errors.AsType[*pipeline.InputError](err); ok {
			in.Field = "text_bytes"
		}
		return prepared, err
	}
	return pipeline.PreparedText{}, &pipeline.InputError{Field: "text", Reason: "TEXT_EMPTY", Message: "neither text nor text_bytes is given"}
}

// heads are the manifest's heads that answer a call's features.
type heads struct {
	names     []string
	sentiment *bundlev1.Head
	embedding *bundlev1.Head
}

func newHeads(m Model, features []sentimentv1.TextFeature) (*heads, error) {
	manifest := m.Bundle().Manifest
	if manifest.GetText() == nil {
		return nil, fmt.Errorf("%w: %s takes no texts", ErrUnsupported, m.Identity().Model)
	}
	var out heads
	names := make([]string, 0, len(manifest.GetHeads()))
	for name := range manifest.GetHeads() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, f := range features {
		found := ""
		for _, name := range names {
			h := manifest.GetHeads()[name]
			switch {
			case f == sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT && h.GetSentiment() != nil:
				out.sentiment, found = h, name
			case f == sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING && h.GetEmbedding() != nil:
				out.embedding, found = h, name
			}
			if found != "" {
				break
			}
		}
		if found == "" {
			return nil, fmt.Errorf("%w: %s has no head for %v", ErrUnsupported, m.Identity().Model, f)
		}
		out.names = append(out.names, found)
	}
	return &out, nil
}

// fill reads the heads of one text.
func (h *heads) fill(r *sentimentv1.TextResult, out pipeline.Outputs) error {
	if h.sentiment != nil {
		row, _, err := out.Columns(h.sentiment.GetSource())
		if err != nil {
			return err
		}
		if r.Sentiment, err = polarity(row, h.sentiment.GetSentiment()); err != nil {
			return err
		}
	}
	if h.embedding != nil {
		row, _, err := out.Columns(h.embedding.GetSource())
		if err != nil {
			return err
		}
		v, err := pipeline.Vector(row, h.embedding.GetEmbedding().GetNormalize())
		if err != nil {
			return err
		}
		r.Embedding = &sentimentv1.Embedding{Values: v}
	}
	return nil
}

// polarity reads a text's three probabilities; they are made to sum to 1, as
// rounding may leave them a hair off.
func polarity(row []float32, spec *bundlev1.Sentiment) (*sentimentv1.Sentiment, error) {
	scores := make([]float64, len(row))
	if err := pipeline.Activate(scores, row, spec.GetActivation(), spec.GetTemperature()); err != nil {
		return nil, err
	}
	if n := int32(len(scores)); spec.GetNegative() >= n || spec.GetNeutral() >= n || spec.GetPositive() >= n {
		return nil, fmt.Errorf("%w: it has %d columns", pipeline.ErrOutput, n)
	}
	s := &sentimentv1.Sentiment{Positive: scores[spec.GetPositive()], Neutral: scores[spec.GetNeutral()], Negative: scores[spec.GetNegative()]}
	sum := s.GetPositive() + s.GetNeutral() + s.GetNegative()
	if sum <= 0 {
		return nil, fmt.Errorf("%w: the probabilities sum to 0", pipeline.ErrOutput)
	}
	s.Positive, s.Neutral, s.Negative = s.GetPositive()/sum, s.GetNeutral()/sum, s.GetNegative()/sum
	s.Score = s.GetPositive() - s.GetNegative()
	switch {
	case s.GetPositive() > s.GetNeutral() && s.GetPositive() >= s.GetNegative():
		s.Polarity = sentimentv1.Polarity_POLARITY_POSITIVE
	case s.GetNegative() > s.GetNeutral():
		s.Polarity = sentimentv1.Polarity_POLARITY_NEGATIVE
	default:
		s.Polarity = sentimentv1.Polarity_POLARITY_NEUTRAL
	}
	return s, nil
}
