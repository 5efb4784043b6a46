package sentiment

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"unicode/utf8"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	"github.com/scry-ml/scry/sentence"
)

// targetsFeature answers TARGETS. Only the sentences that mention a target are
// read, each once, whatever it mentions.
type targetsFeature struct {
	*view  // a passage's logits, token by token
	call   *Call
	model  *pipeline.Pipeline
	spec   *bundlev1.Targets
	finder *finder // of the call's targets; nil where it has none
}

// place is a mention and the passage in which it was read.
type place struct {
	mention
	passage *passage
	tokens  []int // of the passage, those of the mention
}

func (q *question) targets() (*targetsFeature, error) {
	name, h, ok := q.head(func(h *bundlev1.Head) bool { return h.GetTargets() != nil })
	if !ok {
		return nil, q.lacks(sentimentv1.TextFeature_TEXT_FEATURE_TARGETS)
	}
	f := &targetsFeature{call: q.call, model: q.model.Pipeline(), spec: h.GetTargets()}
	f.view = q.view(name, func(row []float64) ([]float64, error) { return row, nil })
	var err error
	if f.finder, err = newFinder("options.targets", q.call.options.GetTargets()); err != nil {
		return nil, err
	}
	if f.finder == nil && !slices.ContainsFunc(q.call.items, func(t *sentimentv1.TextItem) bool { return len(t.GetTargets()) > 0 }) {
		return nil, missing("options.targets", "TARGETS")
	}
	return f, nil
}

// missing is the error of a feature without what it is to look for.
func missing(field, feature string) error {
	return &pipeline.InputError{Field: field, Reason: "OPTION_MISSING", Message: feature + " needs at least one"}
}

func (f *targetsFeature) ask(s *subject) error {
	own, err := newFinder("targets", s.targets)
	if err != nil || own == nil && f.finder == nil {
		return err
	}
	text := foldedWords(s.text)
	mentions := merge(own.find(text), f.finder.find(text))
	spans := s.spans()
	found := make([]place, 0, len(mentions))
	for len(mentions) > 0 {
		k := sort.Search(len(spans), func(k int) bool { return spans[k].End > mentions[0].begin })
		n := 1
		for n < len(mentions) && mentions[n].begin < spans[k].End {
			n++
		}
		if found, err = f.sentence(found, s, k, mentions[:n]); err != nil {
			return err
		}
		mentions = mentions[n:]
	}
	s.found = found
	return nil
}

// sentence asks for sentence k, which holds mentions; where the model does not
// take all of it at once, for the surroundings of each.
func (f *targetsFeature) sentence(found []place, s *subject, k int, mentions []mention) ([]place, error) {
	begin, end := s.spans()[k].Begin, s.spans()[k].End
	if len(s.spans()) == 1 {
		begin, end = 0, len(s.text)
	}
	tokens, fits, err := f.model.TokenSpans(s.field, s.text[begin:end])
	if err != nil {
		return found, err
	}
	if fits {
		p := s.part(k, f.view)
		for _, m := range mentions {
			found = append(found, place{m, p, inside(tokens, m.begin-begin, m.end-begin)})
		}
		return found, nil
	}
	for len(mentions) > 0 {
		w, err := f.around(s, s.spans()[k], mentions[0])
		if err != nil {
			return found, err
		}
		p := s.ask(w.begin, w.end)
		p.look(f.view)
		n := 1
		for n < len(mentions) && mentions[n].end <= w.reach {
			n++
		}
		for _, m := range mentions[:n] {
			found = append(found, place{m, p, inside(w.tokens, m.begin-w.begin, m.end-w.begin)})
		}
		mentions = mentions[n:]
	}
	return found, nil
}

// window is a part of a sentence that the model takes at once.
type window struct {
	begin, end int
	reach      int // mentions that end here or before have enough behind them
	tokens     []pipeline.TokenSpan
}

// widest is how many bytes on each side of a mention are read of a sentence that
// is longer than the model takes, at most. Mentions nearby share a window, so that
// a sentence is read a few times over however often it mentions something.
const widest = 1024

func (f *targetsFeature) around(s *subject, sentence sentence.Span, m mention) (w window, err error) {
	m.end = min(m.end, sentence.End)
	for width, fits := widest, false; ; width /= 2 {
		w.begin, w.end = max(m.begin-width, sentence.Begin), min(m.end+width, sentence.End)
		for !utf8.RuneStart(s.text[w.begin]) {
			w.begin++
		}
		for w.end < len(s.text) && !utf8.RuneStart(s.text[w.end]) {
			w.end--
		}
		if w.reach = w.end - width/2; w.end == sentence.End {
			w.reach = w.end
		}
		if w.tokens, fits, err = f.model.TokenSpans(s.field, s.text[w.begin:w.end]); fits || err != nil {
			return w, err
		}
		if width == 0 { // not even the mention fits: what does of its beginning
			if m.end = m.begin + (m.end-m.begin)/2; m.end == m.begin {
				return w, &pipeline.InputError{Field: s.field, Reason: "TEXT_UNREADABLE", Message: "mentions a target that has more tokens than the model takes"}
			}
		}
	}
}

// inside are the tokens that share a byte with [begin, end).
func inside(tokens []pipeline.TokenSpan, begin, end int) []int {
	var out []int
	for i, t := range tokens {
		if t.Begin < end && t.End > begin {
			out = append(out, i)
		}
	}
	return out
}

func (f *targetsFeature) answer(s *subject, r *sentimentv1.TextResult) error {
	places := s.places(f.call.options)
	byName := map[string]*sentimentv1.TargetSentiment{}
	for _, at := range s.found {
		scores, err := f.opinion(at)
		if err != nil {
			return err
		}
		t := byName[at.target]
		if t == nil {
			t = &sentimentv1.TargetSentiment{Name: at.target}
			byName[at.target] = t
			r.Targets = append(r.Targets, t)
		}
		t.Mentions = append(t.Mentions, &sentimentv1.Mention{Span: places.span(at.begin, at.end), Sentiment: scores})
	}
	for _, t := range r.Targets {
		t.Sentiment = overall(t.Mentions)
	}
	return nil
}

// opinion is what the passage thinks of a mention.
func (f *targetsFeature) opinion(at place) (*sentimentv1.Sentiment, error) {
	logits := at.passage.of(f.view)
	columns := int(max(f.spec.GetNegative(), f.spec.GetNeutral(), f.spec.GetPositive())) + 1
	if at.passage.tokens == 0 || len(logits)%at.passage.tokens != 0 || len(logits)/at.passage.tokens < columns {
		return nil, fmt.Errorf("%w: %d numbers for %d tokens", pipeline.ErrOutput, len(logits), at.passage.tokens)
	}
	columns = len(logits) / at.passage.tokens
	mean := make([]float64, 3)
	// A mention whose own tokens were not read is judged by all that were.
	tokens := at.tokens
	if len(tokens) == 0 {
		for i := range at.passage.tokens {
			tokens = append(tokens, i)
		}
	}
	for _, i := range tokens {
		if i >= at.passage.tokens {
			return nil, fmt.Errorf("%w: there is no token %d", pipeline.ErrOutput, i)
		}
		for k, column := range []int32{f.spec.GetNegative(), f.spec.GetNeutral(), f.spec.GetPositive()} {
			mean[k] += logits[i*columns+int(column)] / float64(len(tokens))
		}
	}
	if err := pipeline.Activate(mean, bundlev1.Activation_ACTIVATION_SOFTMAX, f.spec.GetTemperature()); err != nil {
		return nil, err
	}
	return polarity(mean, &bundlev1.Sentiment{Negative: 0, Neutral: 1, Positive: 2})
}

// overall is the mean of mentions. Opposite ones are mixed.
func overall(mentions []*sentimentv1.Mention) *sentimentv1.Sentiment {
	mean, magnitude := make([]float64, 3), 0.0
	positive, negative := false, false
	for _, m := range mentions {
		s := m.GetSentiment()
		for k, x := range []float64{s.GetNegative(), s.GetNeutral(), s.GetPositive()} {
			mean[k] += x / float64(len(mentions))
		}
		magnitude += math.Abs(s.GetScore())
		positive = positive || s.GetPolarity() == sentimentv1.Polarity_POLARITY_POSITIVE
		negative = negative || s.GetPolarity() == sentimentv1.Polarity_POLARITY_NEGATIVE
	}
	out, err := polarity(mean, &bundlev1.Sentiment{Negative: 0, Neutral: 1, Positive: 2})
	if err != nil { // the mean of distributions is one
		return nil
	}
	out.Magnitude = magnitude
	if positive && negative {
		out.Polarity = sentimentv1.Polarity_POLARITY_MIXED
	}
	return out
}
