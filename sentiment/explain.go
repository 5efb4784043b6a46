package sentiment

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/scry-ml/scry/pipeline"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

const (
	// defaultEvaluations is how many texts the model is asked for one text, unless
	// the call says.
	defaultEvaluations = 256
	// waveVariants are so few that others' texts wait for one run at most, and so
	// many that a run is worth it.
	waveVariants = 32
)

// Explainable is what Explain needs of a loaded version.
type Explainable interface {
	Model
	// Yielding returns a context whose runs give way to those of other calls.
	Yielding(ctx context.Context) context.Context
}

// Explain tells how each word moved a number of a text: by how much it changes
// when the word is left out. results[i] and errs[i] belong to the request's
// texts[i]; a result whose error is set holds id and index only. err is set when
// the call as a whole cannot be answered: overload, or a target that the model
// does not have.
func Explain(ctx context.Context, m Explainable, req *sentimentv1.ExplainTextRequest) (results []*sentimentv1.TextExplanation, errs []error, err error) {
	target, err := newTarget(ctx, m, req.GetTarget())
	if err != nil {
		return nil, nil, err
	}
	most := int(req.GetMaxEvaluations())
	switch most {
	case 0:
		most = defaultEvaluations
	case 1:
		return nil, nil, &pipeline.InputError{Field: "max_evaluations", Reason: "TOO_FEW_EVALUATIONS", Message: "the text itself and one without a word are 2 at least"}
	}
	if err := m.Pipeline().CheckCount("texts", len(req.GetTexts())); err != nil {
		return nil, nil, err
	}
	ctx = m.Yielding(ctx)
	results, errs = make([]*sentimentv1.TextExplanation, len(req.GetTexts())), make([]error, len(req.GetTexts()))
	for i, t := range req.GetTexts() {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		x := explainer{model: m, target: target, most: most, unit: req.GetOffsets()}
		r := &sentimentv1.TextExplanation{}
		err := x.explain(ctx, r, t, fmt.Sprintf("texts[%d]", i))
		if pipeline.Overload(err) {
			return nil, nil, err
		}
		if errs[i] = err; err != nil {
			r = &sentimentv1.TextExplanation{}
		}
		r.Id, r.Index = t.GetId(), int64(i)
		results[i] = r
	}
	return results, errs, nil
}

// explainer explains one text.
type explainer struct {
	model  Explainable
	target *target
	most   int // evaluations
	unit   sentimentv1.OffsetUnit

	subject
	words []wordSpan // what is left out at a time; several words where there are many
}

// explain fills r.
func (x *explainer) explain(ctx context.Context, r *sentimentv1.TextExplanation, t *sentimentv1.TextItem, at string) error {
	repaired, err := x.take(t, math.MaxInt)
	if err != nil {
		return err
	}
	if err := x.model.Pipeline().CheckText(x.field, x.sent); err != nil {
		return err
	}
	whole, cut, err := x.model.Pipeline().AppendText(nil, x.field, x.text)
	if err != nil {
		return err
	}
	x.words = grouped(words(x.text), x.most-1)

	n, tokens := 1+len(x.words), 0
	for _, item := range whole {
		tokens += item.Length
	}
	most := max(1, waveVariants/len(whole)) // a long text is several rows
	first := min(n, most)
	if err := x.model.Admit(ctx, first*len(whole), int64(first*tokens)); err != nil {
		return err
	}
	waves := pipeline.Cut(n, most, func(int) int64 { return int64(len(x.text) + 24*tokens) })
	values, stats := make([]float64, n), make([]pipeline.Stats, len(waves))
	err = pipeline.Waves(ctx, waves, func(ctx context.Context, k int, w pipeline.Wave) error {
		return x.wave(ctx, w, values[w.From:w.To], &stats[k])
	})
	if err != nil {
		return err
	}
	for _, s := range stats[1:] {
		stats[0].Merge(s)
	}
	places := newOffsets(x.text, x.unit)
	r.Target, r.Value, r.Evaluations = x.target.name, values[0], int32(n)
	r.Words = make([]*sentimentv1.WordContribution, len(x.words))
	for k, p := range x.words {
		r.Words[k] = &sentimentv1.WordContribution{Span: places.span(p.begin, p.end), Contribution: values[0] - values[1+k]}
	}
	warn := func(code servingv1.WarningCode, message string) {
		r.Warnings = append(r.Warnings, &servingv1.Warning{Code: code, Field: at + "." + x.field, Message: message})
	}
	if repaired {
		warn(servingv1.WarningCode_WARNING_CODE_TEXT_REPAIRED, "invalid UTF-8 was replaced by U+FFFD")
	}
	if blank(x.text) {
		warn(servingv1.WarningCode_WARNING_CODE_EMPTY_INPUT, "holds nothing but white space")
	}
	if cut {
		warn(servingv1.WarningCode_WARNING_CODE_TRUNCATED, fmt.Sprintf("the model reads %d tokens of it", tokens))
	}
	r.PredictionId = pipeline.NewPredictionID()
	r.ServedBy = append(r.ServedBy, stats[0].ServedBy(x.model.Identity(), []string{x.target.head}))
	return nil
}

// wave asks the model for the texts [From, To): the first of all is the whole
// text, the others lack a part each.
func (x *explainer) wave(ctx context.Context, w pipeline.Wave, values []float64, stats *pipeline.Stats) error {
	texts := make([]string, len(values))
	for k := range texts {
		texts[k] = x.text
		if n := w.From + k; n > 0 {
			texts[k] = without(x.text, x.words[n-1])
		}
	}
	passages, read, err := readAll(ctx, x.model, x.target.view, texts, func(int) string { return x.field })
	if err != nil {
		return err
	}
	*stats = read
	for k := range passages {
		if values[k], err = x.target.of(passages[k].of(x.target.view)); err != nil {
			return err
		}
	}
	return nil
}

// grouped joins neighbouring words so that at most most groups of about equal
// numbers of words remain.
func grouped(words []wordSpan, most int) []wordSpan {
	if len(words) <= most {
		return words
	}
	out := make([]wordSpan, most)
	for k := range out {
		out[k] = wordSpan{words[k*len(words)/most].begin, words[(k+1)*len(words)/most-1].end}
	}
	return out
}

// without returns the text less a part of it, and less the blank before it where
// there is one on both sides or at its end. What would be empty is a blank, for
// models are not asked about nothing.
func without(text string, p wordSpan) string {
	before, after := text[:p.begin], text[p.end:]
	if trimmed := strings.TrimRight(before, " "); after == "" || strings.HasPrefix(after, " ") {
		before = trimmed
	}
	if before == "" {
		after = strings.TrimLeft(after, " ")
	}
	if before == "" && after == "" {
		return " "
	}
	return before + after
}

// target is a number of a text's answer that can be explained.
type target struct {
	name, head string
	view       *view
	of         func(scores []float64) (float64, error) // the number, of the view's
}

// polarities are the targets of a sentiment head.
var polarities = map[string]func(*sentimentv1.Sentiment) float64{
	"score": (*sentimentv1.Sentiment).GetScore, "positive": (*sentimentv1.Sentiment).GetPositive,
	"neutral": (*sentimentv1.Sentiment).GetNeutral, "negative": (*sentimentv1.Sentiment).GetNegative,
}

// newTarget finds the number that a call names, by the features that AnalyzeText
// answers.
func newTarget(ctx context.Context, m Model, name string) (*target, error) {
	q, err := (&Call{}).question(ctx, m, nil)
	if err != nil {
		return nil, err
	}
	var known []string
	if p, err := q.polarity(); err == nil {
		if read, ok := polarities[cmp.Or(name, "score")]; ok {
			return &target{name: cmp.Or(name, "score"), head: q.names[0], view: p.view, of: func(scores []float64) (float64, error) {
				s, err := polarity(scores, p.spec)
				return read(s), err
			}}, nil
		}
		known = append(known, "score", "positive", "neutral", "negative")
	}
	if c, err := q.classes(); err == nil {
		f := c.(*classesFeature)
		for k, head := range f.names {
			for at, label := range f.labels[k] {
				if name == head+"."+label {
					return &target{name: name, head: head, view: f.views[k], of: func(scores []float64) (float64, error) {
						if at >= len(scores) {
							return 0, fmt.Errorf("%w: head %s has %d columns", pipeline.ErrOutput, head, len(scores))
						}
						return scores[at], nil
					}}, nil
				}
				known = append(known, head+"."+label)
			}
		}
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("%w: %s has no head of which a number could be explained", ErrUnsupported, m.Identity().Model)
	}
	reason, message := "TARGET_UNKNOWN", "the model has no such number; it has "
	if name == "" {
		reason, message = "TARGET_REQUIRED", "the model has several: "
	}
	return nil, &pipeline.InputError{Field: "target", Reason: reason, Message: message + strings.Join(known[:min(len(known), 12)], ", ")}
}
