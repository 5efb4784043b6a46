package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/scry-ml/scry/client"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	"github.com/scry-ml/scry/tokenizer"
)

// explainTextFlags are what `scry sentiment` takes to tell why.
type explainTextFlags struct {
	Explain     bool   `help:"Tell how much each word moved the answer: green words raised it, red ones lowered it."`
	Target      string `placeholder:"NAME" help:"With --explain: score (default), positive, neutral, negative, or HEAD.LABEL."`
	Evaluations int    `placeholder:"N" help:"With --explain: texts that the model may be asked for each text (default: 256)."`
}

// shownWords is how many words of a text the table tells; JSON and CSV tell all.
const shownWords = 10

// explain tells why texts are read as they are, one text after the other: each
// takes the model a while.
func (c *sentimentCmd) explain(ctx context.Context, o *output, server *client.Client, in io.Closer, source *textSource) error {
	req := &sentimentv1.ExplainTextRequest{Model: c.Model.Model, Version: c.Model.Version, Target: c.Target, MaxEvaluations: int32(c.Evaluations)}
	var text string // the one that is explained, as the server sees it
	results := inParts(source.items, 1, func(item []*sentimentv1.TextItem) ([]*sentimentv1.TextExplanation, error) {
		text, _ = tokenizer.Repair(item[0].GetText() + string(item[0].GetTextBytes()))
		req.Texts = item
		resp, err := server.Sentiment().ExplainText(ctx, req)
		return resp.GetResults(), err
	}, func(r *sentimentv1.TextExplanation, place int64) { r.Index = place })
	write, flush, err := c.explanationPrinter(o, func() string { return text })
	if err != nil {
		return err
	}
	t := &tally{items: "texts"}
	err = each(in, results, t, write)
	return t.finish(o, err, source.err, flush)
}

func (c *sentimentCmd) explanationPrinter(o *output, text func() string) (func(*sentimentv1.TextExplanation, error) error, func() error, error) {
	switch {
	case o.json():
		return jsonPrinter[*sentimentv1.TextExplanation](o)
	case o.format == "csv": // one line a word
		w, err := o.csv(c.titles(o, "id", "target", "value", "begin", "end", "word", "contribution", "prediction_id", "error")...)
		if err != nil {
			return nil, nil, err
		}
		return func(r *sentimentv1.TextExplanation, failed error) error {
			if failed != nil {
				return w.failed(r.GetId(), failed)
			}
			for _, word := range r.GetWords() {
				row := []string{
					r.GetId(), r.GetTarget(), exact(r.GetValue()), strconv.FormatInt(word.GetSpan().GetBegin(), 10), strconv.FormatInt(word.GetSpan().GetEnd(), 10),
					cutText(text(), word.GetSpan()), exact(word.GetContribution()), r.GetPredictionId(), "",
				}
				if err := w.row(append(row, c.cells(r.GetServedBy())...)...); err != nil {
					return err
				}
			}
			return nil
		}, w.flush, nil
	}
	first := true
	return func(r *sentimentv1.TextExplanation, failed error) error {
		if !first {
			fmt.Fprintln(o.out)
		}
		first = false
		if failed != nil {
			_, err := fmt.Fprintln(o.out, clean(r.GetId())+"  "+o.bad.Render(clean(errText(failed))))
			return err
		}
		return writeTextExplanation(o, r, text())
	}, func() error { return nil }, nil
}

// writeTextExplanation prints a text, its words coloured by what they did, and
// the strongest of them as bars.
func writeTextExplanation(o *output, r *sentimentv1.TextExplanation, text string) error {
	most := 0.0
	for _, w := range r.GetWords() {
		most = max(most, math.Abs(w.GetContribution()))
	}
	fmt.Fprintln(o.out, o.bold.Render(clean(r.GetId()+"  "+r.GetTarget()))+fmt.Sprintf(": %.4g", r.GetValue()))
	var b strings.Builder
	at := 0
	for _, w := range r.GetWords() {
		word := cutText(text, w.GetSpan())
		begin := int(w.GetSpan().GetBegin())
		if word == "" || begin < at {
			continue
		}
		b.WriteString(clean(text[at:begin]))
		at = begin + len(word)
		style, share := o.good, w.GetContribution()/max(most, 1e-12)
		if share < 0 {
			style, share = o.bad, -share
		}
		switch {
		case share >= 0.5:
			b.WriteString(style.Bold(true).Render(clean(word)))
		case share >= 0.1:
			b.WriteString(style.Render(clean(word)))
		default:
			b.WriteString(clean(word))
		}
	}
	b.WriteString(clean(text[at:]))
	fmt.Fprintln(o.out, b.String())

	words := slices.Clone(r.GetWords())
	slices.SortStableFunc(words, func(a, b *sentimentv1.WordContribution) int {
		return cmp.Compare(math.Abs(b.GetContribution()), math.Abs(a.GetContribution()))
	})
	t := o.table("WORD", "CONTRIBUTION", "")
	for _, w := range words[:min(len(words), shownWords)] {
		style := o.good
		if w.GetContribution() < 0 {
			style = o.bad
		}
		t.row(shorten(cutText(text, w.GetSpan()), maxCell), fmt.Sprintf("%+.4f", w.GetContribution()), cell{bar(w.GetContribution(), most), style})
	}
	if err := t.flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(o.out, o.faint.Render(fmt.Sprintf("%s of %s, %s", counted(min(len(words), shownWords), "strongest"), counted(len(words), "words"), counted(r.GetEvaluations(), "evaluations"))))
	return err
}
