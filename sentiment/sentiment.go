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
	// Admit returns the error with which so many rows of that cost in tokens (0:
	// rows) would be refused now.
	Admit(ctx context.Context, rows int, cost int64) error
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
	if err := m.Pipeline().CheckCount("texts", len(texts)); err != nil {
		return err
	}
	size := func(i int) int { return len(texts[i].GetText()) + len(texts[i].GetTextBytes()) }
	waves := m.Pipeline().TextWaves(len(texts), size)
	if err := admit(ctx, m, waves, size); err != nil {
		return err
	}
	return pipeline.Waves(ctx, waves, func(ctx context.Context, _ int, w pipeline.Wave) error {
		return analyzeWave(ctx, m, heads, texts, w, results, errs)
	})
}

// admit refuses a call whose first wave cannot be answered in time before any
// text is tokenised. Later waves meet the queue as it is then.
func admit(ctx context.Context, m Model, waves []pipeline.Wave, size func(i int) int) error {
	if len(waves) == 0 {
		return nil
	}
	tokens, first := int64(0), waves[0]
	for i := first.From; i < first.To; i++ {
		tokens += int64(m.Pipeline().EstimateTokens(size(i)))
	}
	return m.Admit(ctx, first.To-first.From, tokens)
}

// analyzeWave answers the texts of one wave.
func analyzeWave(ctx context.Context, m Model, heads *heads, texts []*sentimentv1.TextItem, w pipeline.Wave, results []*sentimentv1.TextResult, errs []error) error {
	items := make([]pipeline.Item, 0, w.To-w.From)
	prepared := make([]pipeline.PreparedText, 0, w.To-w.From)
	places := make([]int, 0, w.To-w.From)
	for i := w.From; i < w.To; i++ {
		if errs[i] != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := prepare(m.Pipeline(), texts[i])
		if err != nil {
			errs[i] = err
			continue
		}
		items = append(items, p.Item)
		prepared = append(prepared, p)
		places = append(places, i)
	}
	if len(items) == 0 {
		return ctx.Err()
	}
	for k, answer := range m.Run(ctx, items) {
		i := places[k]
		if pipeline.Overload(answer.Err) {
			return answer.Err
		}
		if errs[i] = answer.Err; errs[i] != nil {
			continue
		}
		r := results[i]
		if errs[i] = heads.fill(r, answer.Outputs); errs[i] != nil {
			continue
		}
		if r.GetPredictionId() == "" {
			r.PredictionId = pipeline.NewPredictionID()
			r.Warnings = pipeline.Within(fmt.Sprintf("texts[%d]", i), prepared[k].Warnings)
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
		return p.TextBytes(c.TextBytes)
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
		row, err := rowOf(out, h.sentiment)
		if err != nil {
			return err
		}
		if r.Sentiment, err = polarity(row, h.sentiment.GetSentiment()); err != nil {
			return err
		}
	}
	if h.embedding != nil {
		row, err := rowOf(out, h.embedding)
		if err != nil {
			return err
		}
		r.Embedding = &sentimentv1.Embedding{Values: pipeline.Vector(row, h.embedding.GetEmbedding().GetNormalize())}
	}
	return nil
}

func rowOf(out pipeline.Outputs, h *bundlev1.Head) ([]float64, error) {
	c, err := out.Columns(h.GetSource())
	if err != nil {
		return nil, err
	}
	return c.Row(nil, 0)
}

// polarity reads a text's three probabilities; they are made to sum to 1, as
// rounding may leave them a hair off. The most probable one is the polarity; a
// tie with neutral is neutral, one of positive and negative positive.
func polarity(scores []float64, spec *bundlev1.Sentiment) (*sentimentv1.Sentiment, error) {
	if err := pipeline.Activate(scores, spec.GetActivation(), spec.GetTemperature()); err != nil {
		return nil, err
	}
	if n := int32(len(scores)); spec.GetNegative() >= n || spec.GetNeutral() >= n || spec.GetPositive() >= n {
		return nil, fmt.Errorf("%w: it has %d columns", pipeline.ErrOutput, n)
	}
	positive, neutral, negative := scores[spec.GetPositive()], scores[spec.GetNeutral()], scores[spec.GetNegative()]
	sum := positive + neutral + negative
	if sum <= 0 {
		return nil, fmt.Errorf("%w: the probabilities sum to 0", pipeline.ErrOutput)
	}
	s := &sentimentv1.Sentiment{
		Positive: positive / sum, Neutral: neutral / sum, Negative: negative / sum,
		Score:    (positive - negative) / sum,
		Polarity: sentimentv1.Polarity_POLARITY_NEUTRAL,
	}
	switch {
	case positive > neutral && positive >= negative:
		s.Polarity = sentimentv1.Polarity_POLARITY_POSITIVE
	case negative > neutral && negative > positive:
		s.Polarity = sentimentv1.Polarity_POLARITY_NEGATIVE
	}
	return s, nil
}
