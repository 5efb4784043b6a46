package sentiment

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/scry-ml/scry/language"
	"github.com/scry-ml/scry/personal"
	"github.com/scry-ml/scry/pipeline"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tokenizer"
)

// Call is the texts of one call, and what was found in them so far. NewCall finds
// what needs no model, Analyze what one model answers, Results ends it.
type Call struct {
	// Labels keeps what models make of labels between calls; nil keeps nothing.
	Labels *Labels

	items    []*sentimentv1.TextItem
	options  *sentimentv1.TextOptions
	subjects []subject
	results  []*sentimentv1.TextResult
	errs     []error
	read     [][]string // languages, by model that was asked
}

// NeedsModel tells whether a feature is answered by a model.
func NeedsModel(f sentimentv1.TextFeature) bool {
	return f != sentimentv1.TextFeature_TEXT_FEATURE_PERSONAL_DATA && f != sentimentv1.TextFeature_TEXT_FEATURE_LANGUAGE
}

// NewCall repairs texts, finds and replaces personal data as asked, and answers
// the features that need no model. limit is the most bytes of a text. A text that
// cannot be read fails alone, see Results. first is the place of the first text
// in a stream.
func NewCall(items []*sentimentv1.TextItem, features []sentimentv1.TextFeature, options *sentimentv1.TextOptions, first int64, limit int) *Call {
	c := &Call{
		items: items, options: options, subjects: make([]subject, len(items)),
		results: make([]*sentimentv1.TextResult, len(items)), errs: make([]error, len(items)),
	}
	private := slices.Contains(features, sentimentv1.TextFeature_TEXT_FEATURE_PERSONAL_DATA)
	told := slices.Contains(features, sentimentv1.TextFeature_TEXT_FEATURE_LANGUAGE)
	kinds := personalKinds(options.GetPersonalData())
	for i, t := range items {
		s, r := &c.subjects[i], &sentimentv1.TextResult{Id: t.GetId(), Index: first + int64(i)}
		c.results[i] = r
		repaired, err := s.take(t, limit)
		if c.errs[i] = err; err != nil {
			continue
		}
		r.PredictionId = pipeline.NewPredictionID()
		if repaired {
			c.warn(i, servingv1.WarningCode_WARNING_CODE_TEXT_REPAIRED, "invalid UTF-8 was replaced by U+FFFD")
		}
		if blank(s.text) {
			c.warn(i, servingv1.WarningCode_WARNING_CODE_EMPTY_INPUT, "holds nothing but white space")
		}
		if private || options.GetRedact() {
			c.protect(i, kinds, private)
		}
		if told {
			s.detect()
			r.Language = &sentimentv1.Language{Code: s.language, Probability: s.sure}
		}
	}
	return c
}

// take reads the text of an item.
func (s *subject) take(t *sentimentv1.TextItem, limit int) (repaired bool, err error) {
	switch content := t.GetContent().(type) {
	case *sentimentv1.TextItem_Text:
		s.field, s.text = "text", content.Text
	case *sentimentv1.TextItem_TextBytes:
		s.field, s.text = "text_bytes", string(content.TextBytes)
	default:
		return false, &pipeline.InputError{Field: "text", Reason: "TEXT_EMPTY", Message: "neither text nor text_bytes is given"}
	}
	s.sent, s.targets = len(s.text), t.GetTargets()
	if err := pipeline.CheckTextSize(s.field, s.sent, limit); err != nil {
		return false, err
	}
	s.text, repaired = tokenizer.Repair(s.text)
	return repaired, nil
}

// protect finds personal data and, if asked, replaces it.
func (c *Call) protect(i int, kinds []personal.Type, answer bool) {
	s, r := &c.subjects[i], c.results[i]
	matches := personal.Find(s.text, kinds)
	if answer {
		at := s.places(c.options)
		for _, m := range matches {
			r.PersonalData = append(r.PersonalData, &sentimentv1.PersonalData{Type: personalTypes[m.Type], Span: at.span(m.Begin, m.End)})
		}
	}
	if c.options.GetRedact() {
		r.RedactedText = personal.Redact(s.text, matches)
		if len(matches) > 0 {
			s.text, s.offsets = r.RedactedText, nil
		}
	}
}

func blank(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !unicode.IsSpace(r) }) < 0
}

// places converts places in the subject's text.
func (s *subject) places(options *sentimentv1.TextOptions) *offsets {
	if s.offsets == nil {
		s.offsets = newOffsets(s.text, options.GetOffsets())
	}
	return s.offsets
}

// detect finds the language, once.
func (s *subject) detect() {
	if s.language == "" {
		s.language, s.sure = language.Detect(s.text)
	}
}

// Reads notes the languages that a model reads, for what is said of support.
// Analyze does so by itself.
func (c *Call) Reads(languages []string) { c.read = append(c.read, languages) }

// support tells of a text's language whether the models read it.
func (c *Call) support(i int) {
	s, r := &c.subjects[i], c.results[i]
	if r.Language != nil {
		r.Language.Supported = len(c.read) > 0
	}
	for _, languages := range c.read {
		if r.Language != nil && !slices.Contains(languages, s.language) {
			r.Language.Supported = false
		}
		if len(languages) == 0 || len(r.GetServedBy()) == 0 {
			continue
		}
		if s.detect(); s.sure >= foreign && !slices.Contains(languages, s.language) {
			c.warn(i, servingv1.WarningCode_WARNING_CODE_UNSUPPORTED_LANGUAGE, fmt.Sprintf("it seems to be in %q, which the model does not say it reads", s.language))
			return
		}
	}
}

// foreign is how sure it must be that a text is in a language that a model does
// not read to warn of it: a few words tell little.
const foreign = 0.9

// personalTypes are the names of the contract.
var personalTypes = map[personal.Type]sentimentv1.PersonalDataType{
	personal.Phone:    sentimentv1.PersonalDataType_PERSONAL_DATA_TYPE_PHONE,
	personal.Email:    sentimentv1.PersonalDataType_PERSONAL_DATA_TYPE_EMAIL,
	personal.Card:     sentimentv1.PersonalDataType_PERSONAL_DATA_TYPE_CARD,
	personal.INN:      sentimentv1.PersonalDataType_PERSONAL_DATA_TYPE_INN,
	personal.SNILS:    sentimentv1.PersonalDataType_PERSONAL_DATA_TYPE_SNILS,
	personal.Passport: sentimentv1.PersonalDataType_PERSONAL_DATA_TYPE_PASSPORT,
}

// personalKinds are those asked for; none = all.
func personalKinds(asked []sentimentv1.PersonalDataType) []personal.Type {
	return slices.DeleteFunc(personal.All(), func(t personal.Type) bool {
		return len(asked) > 0 && !slices.Contains(asked, personalTypes[t])
	})
}

// warn adds a warning about text i.
func (c *Call) warn(i int, code servingv1.WarningCode, message string) {
	c.results[i].Warnings = append(c.results[i].Warnings, &servingv1.Warning{
		Code: code, Field: fmt.Sprintf("texts[%d].%s", i, c.subjects[i].field), Message: message,
	})
}

// Results returns the answers, and for each text the error with which it failed.
func (c *Call) Results() ([]*sentimentv1.TextResult, []error) {
	for i, r := range c.results {
		if c.errs[i] == nil {
			weigh(r)
			c.support(i)
		}
	}
	return c.results, c.errs
}

// weigh lets the sentences tell whether the opinion of a text is mixed and how
// much of it there is.
func weigh(r *sentimentv1.TextResult) {
	s := r.GetSentiment()
	if s == nil || len(r.GetSentences()) == 0 {
		return
	}
	positive, negative := false, false
	s.Magnitude = 0
	for _, part := range r.GetSentences() {
		positive = positive || part.GetSentiment().GetPolarity() == sentimentv1.Polarity_POLARITY_POSITIVE
		negative = negative || part.GetSentiment().GetPolarity() == sentimentv1.Polarity_POLARITY_NEGATIVE
		s.Magnitude += math.Abs(part.GetSentiment().GetScore())
	}
	if positive && negative {
		s.Polarity = sentimentv1.Polarity_POLARITY_MIXED
	}
}

// Bounds of one run of rows, whose outputs are held until they are read: enough
// to keep a device busy.
const (
	runRows   = pipeline.WaveItems
	runTokens = 1 << 16
)

// Analyze fills in the features that one model answers; texts that failed before
// are left out. The error that it returns concerns the whole call: overload, an
// option that a feature needs, or a feature that the model does not have.
func (c *Call) Analyze(ctx context.Context, m Model, features []sentimentv1.TextFeature) error {
	p := m.Pipeline()
	if err := p.CheckCount("texts", len(c.items)); err != nil {
		return err
	}
	q, err := c.question(ctx, m, features)
	if err != nil {
		return err
	}
	c.Reads(m.Bundle().Manifest.GetText().GetLanguages())
	waves := p.TextWaves(len(c.items), func(i int) int { return c.subjects[i].sent })
	if err := c.admit(ctx, m, waves); err != nil {
		return err
	}
	return pipeline.Waves(ctx, waves, func(ctx context.Context, _ int, w pipeline.Wave) error {
		return q.wave(ctx, w)
	})
}

// admit refuses a call whose first wave cannot be answered in time before any
// text is tokenised. Later waves meet the queue as it is then.
func (c *Call) admit(ctx context.Context, m Model, waves []pipeline.Wave) error {
	if len(waves) == 0 {
		return nil
	}
	cost, count := int64(0), 0
	for i := waves[0].From; i < waves[0].To; i++ {
		tokens, rows := m.Pipeline().EstimateTokens(c.subjects[i].sent)
		cost += int64(tokens)
		count += rows
	}
	return m.Admit(ctx, count, cost)
}

// question is what a call asks of one model.
type question struct {
	call     *Call
	model    Model
	features []feature
	heads    []string         // of the manifest, sorted
	views    map[string]*view // by head
	names    []string         // of heads that answer
}

// feature answers one TextFeature. Its methods are called for many texts at once.
type feature interface {
	// ask tells what of a text must be read.
	ask(s *subject) error
	// answer fills the feature in once it was.
	answer(s *subject, r *sentimentv1.TextResult) error
}

// row is where the answer to an item of a run belongs.
type row struct {
	text    int
	passage *passage
}

// wave answers some texts: all that is to be read of them goes through the
// model's queue together.
func (q *question) wave(ctx context.Context, w pipeline.Wave) error {
	c, p := q.call, q.model.Pipeline()
	var (
		items  []pipeline.Item
		rows   []row
		tokens int
	)
	run := func() error {
		if len(items) == 0 {
			return ctx.Err()
		}
		err := q.run(ctx, items, rows)
		items, rows, tokens = items[:0], rows[:0], 0
		return err
	}
	for i := w.From; i < w.To; i++ {
		if c.errs[i] != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		s := &c.subjects[i]
		s.forget()
		if c.errs[i] = q.ask(s); c.errs[i] != nil {
			continue
		}
		for _, part := range s.asked {
			var err error
			from := len(items)
			if items, part.cut, err = p.AppendText(items, s.field, s.text[part.begin:part.end]); err != nil {
				c.errs[i] = err
				break
			}
			for _, item := range items[from:] {
				rows = append(rows, row{i, part})
				tokens += item.Length
			}
			if len(items) >= runRows || tokens >= runTokens {
				if err := run(); err != nil {
					return err
				}
			}
		}
	}
	if err := run(); err != nil {
		return err
	}
	q.answer(w)
	return nil
}

func (q *question) ask(s *subject) error {
	if err := q.model.Pipeline().CheckText(s.field, s.sent); err != nil {
		return err
	}
	for _, f := range q.features {
		if err := f.ask(s); err != nil {
			return err
		}
	}
	return nil
}

// run runs items, in bounds of a queue, and reads their answers.
func (q *question) run(ctx context.Context, items []pipeline.Item, rows []row) error {
	for from := 0; from < len(items); from += runRows {
		to := min(from+runRows, len(items))
		for k, a := range q.model.Run(ctx, items[from:to]) {
			at := rows[from+k]
			if pipeline.Overload(a.Err) {
				return a.Err
			}
			failed := &q.call.errs[at.text]
			if *failed == nil {
				*failed = a.Err
			}
			if *failed == nil {
				*failed = at.passage.add(a.Outputs, items[from+k].Length)
			}
			q.call.subjects[at.text].stats.Merge(a.Stats)
		}
	}
	return ctx.Err()
}

// answer fills in the features of a wave's texts.
func (q *question) answer(w pipeline.Wave) {
	c := q.call
	for i := w.From; i < w.To; i++ {
		for _, f := range q.features {
			if c.errs[i] == nil {
				c.errs[i] = f.answer(&c.subjects[i], c.results[i])
			}
		}
		if c.errs[i] == nil {
			q.tell(i)
		}
	}
}

// tell adds how a text was read, and forgets what was.
func (q *question) tell(i int) {
	c := q.call
	s, r := &c.subjects[i], c.results[i]
	tokens, chunks, cut := 0, 0, false
	for _, p := range s.asked {
		tokens += p.tokens
		chunks = max(chunks, p.rows)
		cut = cut || p.cut
	}
	if cut {
		c.warn(i, servingv1.WarningCode_WARNING_CODE_TRUNCATED, fmt.Sprintf("the model reads %d tokens of it", q.model.Bundle().Manifest.GetText().GetMaxLength()))
	}
	if chunks > 0 {
		if len(r.GetServedBy()) == 0 {
			r.Tokens = int32(tokens)
		}
		r.Chunks = max(r.Chunks, int32(chunks))
		r.ServedBy = append(r.ServedBy, s.stats.ServedBy(q.model.Identity(), q.names))
	}
	s.forget()
}
