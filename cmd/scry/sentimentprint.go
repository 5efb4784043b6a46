package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/lipgloss"

	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	"github.com/scry-ml/scry/tokenizer"
)

// printSentiment writes the answers as they come.
func printSentiment(o *output, in io.Closer, results iter.Seq2[*sentimentv1.TextResult, error], source *textSource, p *sentimentPrinter) error {
	write, flush, err := p.open(o)
	if err != nil {
		return err
	}
	bar := o.progress("reading", "texts")
	bar.start(0, 0)
	watched := !isTerminal(o.out)
	t := &tally{items: "texts"}
	err = each(in, results, t, func(r *sentimentv1.TextResult, failed error) error {
		if watched {
			bar.set(r.GetIndex() + 1)
		}
		return write(r, failed)
	})
	bar.end()
	return t.finish(o, err, source.err, flush)
}

// sentimentPrinter prints what was found in texts.
type sentimentPrinter struct {
	sent     pending[string] // texts whose answers are still to come
	features []sentimentv1.TextFeature
	served   servedFlag
}

// put keeps what is printed of a text.
func (p *sentimentPrinter) put(t *sentimentv1.TextItem) {
	text, _ := tokenizer.Repair(t.GetText() + string(t.GetTextBytes()))
	if !slices.Contains(p.features, sentimentv1.TextFeature_TEXT_FEATURE_SENTENCES) {
		text = shorten(text, maxCell)
	}
	p.sent.put(text)
}

// textColumn is what is printed of a feature: a cell of a table, and of CSV.
type textColumn struct {
	title string // as in CSV
	cell  func(o *output, r *sentimentv1.TextResult) any
	csv   func(r *sentimentv1.TextResult) string
}

// polarityColumns are those of SENTIMENT, and of sentences below their text.
var polarityColumns = []textColumn{
	{"polarity", func(o *output, r *sentimentv1.TextResult) any { return o.polarity(r.GetSentiment()) },
		func(r *sentimentv1.TextResult) string { return polarityText(r.GetSentiment()) }},
	polarityColumn("score", (*sentimentv1.Sentiment).GetScore),
	polarityColumn("positive", (*sentimentv1.Sentiment).GetPositive),
	polarityColumn("neutral", (*sentimentv1.Sentiment).GetNeutral),
	polarityColumn("negative", (*sentimentv1.Sentiment).GetNegative),
}

func polarityColumn(title string, of func(*sentimentv1.Sentiment) float64) textColumn {
	return textColumn{title, func(_ *output, r *sentimentv1.TextResult) any {
		if r.GetSentiment() == nil {
			return ""
		}
		return fixed(of(r.GetSentiment()))
	}, func(r *sentimentv1.TextResult) string {
		if r.GetSentiment() == nil {
			return ""
		}
		return exact(of(r.GetSentiment()))
	}}
}

// featureColumns are those of the other features. What is no single number is
// JSON in CSV.
var featureColumns = map[sentimentv1.TextFeature][]textColumn{
	sentimentv1.TextFeature_TEXT_FEATURE_SENTENCES: {{"sentences", nil, func(r *sentimentv1.TextResult) string {
		return jsonList(r.GetSentences(), func(s *sentimentv1.Sentence) any {
			return map[string]any{"begin": s.GetSpan().GetBegin(), "end": s.GetSpan().GetEnd(), "polarity": polarityText(s.GetSentiment()), "score": s.GetSentiment().GetScore()}
		})
	}}},
	sentimentv1.TextFeature_TEXT_FEATURE_LANGUAGE: {
		{"language", func(_ *output, r *sentimentv1.TextResult) any {
			if r.GetLanguage() == nil {
				return ""
			}
			return fmt.Sprintf("%s %.2f", r.GetLanguage().GetCode(), r.GetLanguage().GetProbability())
		}, func(r *sentimentv1.TextResult) string { return r.GetLanguage().GetCode() }},
		{"language_probability", nil, func(r *sentimentv1.TextResult) string { return exact(r.GetLanguage().GetProbability()) }},
	},
	sentimentv1.TextFeature_TEXT_FEATURE_EMOTIONS: scoreColumns("emotions", 2, (*sentimentv1.TextResult).GetEmotions),
	sentimentv1.TextFeature_TEXT_FEATURE_TOPICS:   scoreColumns("topics", 3, (*sentimentv1.TextResult).GetTopics),
	sentimentv1.TextFeature_TEXT_FEATURE_INTENT:   scoreColumns("intents", 2, (*sentimentv1.TextResult).GetIntents),
	sentimentv1.TextFeature_TEXT_FEATURE_TOXICITY: {{"toxicity", func(_ *output, r *sentimentv1.TextResult) any { return fixed(r.GetToxicity()) },
		func(r *sentimentv1.TextResult) string { return exact(r.GetToxicity()) }}},
	sentimentv1.TextFeature_TEXT_FEATURE_TARGETS: {{"targets", func(_ *output, r *sentimentv1.TextResult) any {
		return joined(r.GetTargets(), func(t *sentimentv1.TargetSentiment) string {
			return fmt.Sprintf("%s %s %s", t.GetName(), polarityText(t.GetSentiment()), fixed(t.GetSentiment().GetScore()))
		})
	}, func(r *sentimentv1.TextResult) string {
		return jsonList(r.GetTargets(), func(t *sentimentv1.TargetSentiment) any {
			return map[string]any{"name": t.GetName(), "polarity": polarityText(t.GetSentiment()), "score": t.GetSentiment().GetScore(), "mentions": len(t.GetMentions())}
		})
	}}},
	sentimentv1.TextFeature_TEXT_FEATURE_PERSONAL_DATA: {{"personal_data", func(_ *output, r *sentimentv1.TextResult) any {
		return joined(r.GetPersonalData(), personalText)
	}, func(r *sentimentv1.TextResult) string {
		return jsonList(r.GetPersonalData(), func(p *sentimentv1.PersonalData) any {
			return map[string]any{"type": personalText(p), "begin": p.GetSpan().GetBegin(), "end": p.GetSpan().GetEnd()}
		})
	}}},
	sentimentv1.TextFeature_TEXT_FEATURE_CLASSES: {{"classes", func(_ *output, r *sentimentv1.TextResult) any {
		return joined(r.GetClasses(), func(s *sentimentv1.ClassSet) string {
			if len(s.GetClasses()) == 0 {
				return s.GetHead()
			}
			return fmt.Sprintf("%s: %s %s", s.GetHead(), s.GetClasses()[0].GetName(), fixed(s.GetClasses()[0].GetScore()))
		})
	}, func(r *sentimentv1.TextResult) string {
		return jsonList(r.GetClasses(), func(s *sentimentv1.ClassSet) any {
			return map[string]any{"head": s.GetHead(), "classes": scoresObject(s.GetClasses())}
		})
	}}},
	sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING: {{"embedding", func(_ *output, r *sentimentv1.TextResult) any {
		return fmt.Sprintf("%d numbers", len(r.GetEmbedding().GetValues()))
	}, func(r *sentimentv1.TextResult) string {
		return jsonList(r.GetEmbedding().GetValues(), func(x float32) any { return x })
	}}},
}

// scoreColumns shows the first few of named scores.
func scoreColumns(title string, most int, of func(*sentimentv1.TextResult) []*sentimentv1.Score) []textColumn {
	return []textColumn{{title, func(_ *output, r *sentimentv1.TextResult) any {
		scores := of(r)
		return joined(scores[:min(most, len(scores))], func(s *sentimentv1.Score) string { return s.GetName() + " " + fixed(s.GetScore()) })
	}, func(r *sentimentv1.TextResult) string {
		raw, _ := json.Marshal(scoresObject(of(r))) // names and numbers
		return string(raw)
	}}}
}

func scoresObject(scores []*sentimentv1.Score) map[string]float64 {
	out := make(map[string]float64, len(scores))
	for _, s := range scores {
		out[s.GetName()] = s.GetScore()
	}
	return out
}

func personalText(p *sentimentv1.PersonalData) string {
	return strings.ToLower(strings.TrimPrefix(p.GetType().String(), "PERSONAL_DATA_TYPE_"))
}

func joined[T any](items []T, text func(T) string) string {
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = text(item)
	}
	return strings.Join(parts, ", ")
}

func jsonList[T any](items []T, value func(T) any) string {
	values := make([]any, len(items))
	for i, item := range items {
		values[i] = value(item)
	}
	raw, _ := json.Marshal(values) // of strings and finite numbers
	return string(raw)
}

// columns are those of the features asked for; a table's hold no sentences, which
// have rows of their own.
func (p *sentimentPrinter) columns(table bool) []textColumn {
	var out []textColumn
	for _, f := range p.features {
		switch {
		case f == sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT:
			out = append(slices.Clone(polarityColumns), out...)
		case f == sentimentv1.TextFeature_TEXT_FEATURE_SENTENCES && table && !slices.Contains(p.features, sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT):
			out = append(slices.Clone(polarityColumns), out...)
		default:
			for _, c := range featureColumns[f] {
				if !table || c.cell != nil {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// open begins the printing in the output's format.
func (p *sentimentPrinter) open(o *output) (func(*sentimentv1.TextResult, error) error, func() error, error) {
	switch o.format {
	case "json", "jsonl":
		write, flush, err := jsonPrinter[*sentimentv1.TextResult](o)
		return func(r *sentimentv1.TextResult, failed error) error {
			p.sent.take(r.GetIndex())
			return write(r, failed)
		}, flush, err
	case "csv":
		return p.csv(o)
	}
	return p.table(o)
}

func (p *sentimentPrinter) csv(o *output) (func(*sentimentv1.TextResult, error) error, func() error, error) {
	columns, titles := p.columns(false), []string{"id"}
	for _, c := range columns {
		titles = append(titles, c.title)
	}
	w, err := o.csv(p.served.titles(o, append(titles, "tokens", "prediction_id", "error")...)...)
	if err != nil {
		return nil, nil, err
	}
	return func(r *sentimentv1.TextResult, failed error) error {
		p.sent.take(r.GetIndex())
		row := []string{r.GetId()}
		for _, c := range columns {
			if failed != nil {
				row = append(row, "")
			} else {
				row = append(row, c.csv(r))
			}
		}
		tokens := ""
		if failed == nil {
			tokens = strconv.Itoa(int(r.GetTokens()))
		}
		return w.row(append(append(row, tokens, r.GetPredictionId(), errText(failed)), p.served.cells(r.GetServedBy())...)...)
	}, w.flush, nil
}

func (p *sentimentPrinter) table(o *output) (func(*sentimentv1.TextResult, error) error, func() error, error) {
	columns, titles := p.columns(true), []string{"TEXT"}
	for _, c := range columns {
		titles = append(titles, strings.ToUpper(strings.ReplaceAll(c.title, "_", " ")))
	}
	t := o.table(p.served.titles(o, titles...)...)
	return func(r *sentimentv1.TextResult, failed error) error {
		text := p.sent.take(r.GetIndex())
		if failed != nil {
			return t.failed(shorten(text, maxCell), failed)
		}
		if r.GetRedactedText() != "" {
			text = r.GetRedactedText()
		}
		row := []any{shorten(text, maxCell)}
		for _, c := range columns {
			row = append(row, c.cell(o, r))
		}
		t.row(append(row, values(p.served.cells(r.GetServedBy()))...)...)
		if len(r.GetSentences()) > 1 || r.GetSentiment() == nil { // one alone is the text
			for _, s := range r.GetSentences() {
				part := &sentimentv1.TextResult{Sentiment: s.GetSentiment()}
				row := []any{cell{"  " + shorten(cutText(text, s.GetSpan()), maxCell-2), o.polarityStyle(s.GetSentiment())}}
				for _, c := range polarityColumns {
					row = append(row, c.cell(o, part))
				}
				t.row(row...)
			}
		}
		return t.err
	}, t.flush, nil
}

// cutText is the part of a text that a span of bytes names.
func cutText(text string, s *sentimentv1.Span) string {
	b, e := s.GetBegin(), s.GetEnd()
	if b < 0 || b > e || e > int64(len(text)) {
		return ""
	}
	return text[b:e]
}

// polarity is a polarity in its colour.
func (o *output) polarity(s *sentimentv1.Sentiment) cell {
	return cell{polarityText(s), o.polarityStyle(s)}
}

func (o *output) polarityStyle(s *sentimentv1.Sentiment) lipgloss.Style {
	switch s.GetPolarity() {
	case sentimentv1.Polarity_POLARITY_POSITIVE:
		return o.good
	case sentimentv1.Polarity_POLARITY_NEGATIVE:
		return o.bad
	case sentimentv1.Polarity_POLARITY_MIXED:
		return o.strong
	}
	return o.faint
}

func polarityText(s *sentimentv1.Sentiment) string {
	if s == nil {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(s.GetPolarity().String(), "POLARITY_"))
}
