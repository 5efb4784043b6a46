package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// sentimentCmd finds the sentiment of texts.
type sentimentCmd struct {
	Texts  []string `arg:"" optional:"" help:"Texts; without any they are read from the file or standard input."`
	File   string   `short:"f" placeholder:"FILE" help:"A file with a text a line, a CSV file (with --column), or JSON Lines {\"id\": …, \"text\": …}; \"-\" for standard input."`
	Format string   `enum:",text,csv,jsonl" default:"" help:"The input's format, where its name does not tell: text, csv or jsonl."`
	Column string   `placeholder:"NAME" help:"The CSV column, or the JSON field, that holds the text."`
	ID     string   `name:"id" placeholder:"NAME" help:"The CSV column, or the JSON field, that names the text."`
	Model  modelRef `short:"m" placeholder:"MODEL[@VERSION]" help:"The model (default: the server's default for sentiment)."`
	servedFlag
}

func (c *sentimentCmd) Run(ctx context.Context, app *app) error {
	if len(c.Texts) > 0 && c.File != "" {
		return wrongUse("texts and --file exclude each other")
	}
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	source, in, err := c.source(ctx, app.output)
	if err != nil {
		return err
	}
	defer in.Close()
	req := &sentimentv1.AnalyzeTextRequest{Features: []sentimentv1.TextFeature{sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT}}
	if c.Model.Model != "" {
		req.Models = []*sentimentv1.FeatureModel{{
			Feature: sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT, Model: c.Model.Model, Version: c.Model.Version,
		}}
	}
	var sent pending[string]
	texts := func(yield func(*sentimentv1.TextItem) bool) {
		for item := range source.items {
			sent.put(shorten(item.GetText()+string(item.GetTextBytes()), maxCell))
			if !yield(item) {
				return
			}
		}
	}
	return printSentiment(app.output, in, server.StreamAnalyzeText(ctx, req, texts), source, &sent, c.servedFlag)
}

// textSource is texts, and why they ended early.
type textSource struct {
	items iter.Seq[*sentimentv1.TextItem]
	err   error
}

// textItem sends a text as it is: what is no UTF-8 goes as bytes, which the
// server repairs.
func textItem(id, text string) *sentimentv1.TextItem {
	if utf8.ValidString(text) {
		return &sentimentv1.TextItem{Id: id, Content: &sentimentv1.TextItem_Text{Text: text}}
	}
	return &sentimentv1.TextItem{Id: strings.ToValidUTF8(id, "\uFFFD"), Content: &sentimentv1.TextItem_TextBytes{TextBytes: []byte(text)}}
}

// source opens what the texts are read from.
func (c *sentimentCmd) source(ctx context.Context, o *output) (*textSource, io.Closer, error) {
	if len(c.Texts) > 0 {
		return &textSource{items: func(yield func(*sentimentv1.TextItem) bool) {
			for i, text := range c.Texts {
				if !yield(textItem(strconv.Itoa(i+1), text)) {
					return
				}
			}
		}}, io.NopCloser(nil), nil
	}
	in, format, err := o.open(ctx, c.File, c.Format)
	if err != nil {
		return nil, nil, err
	}
	if format == "csv" && c.Column == "" {
		return nil, nil, errors.Join(wrongUse("which column holds the text? Say --column NAME"), in.Close())
	}
	s := &textSource{}
	s.items = func(yield func(*sentimentv1.TextItem) bool) {
		buffered := bufio.NewReader(in)
		if start, _ := buffered.Peek(len(bom)); bytes.Equal(start, bom) {
			_, s.err = buffered.Discard(len(bom))
		}
		switch format {
		case "csv":
			s.err = c.readCSV(buffered, yield)
		default:
			s.err = c.readLines(buffered, format == "jsonl", yield)
		}
	}
	return s, in, nil
}

func (c *sentimentCmd) readCSV(in *bufio.Reader, yield func(*sentimentv1.TextItem) bool) error {
	records := csv.NewReader(in)
	records.Comma = sniffComma(in)
	records.ReuseRecord = true
	header, err := records.Read()
	if err != nil {
		return err
	}
	text, id := slices.Index(header, c.Column), slices.Index(header, c.ID)
	if text < 0 {
		return wrongUse("there is no column %q; the columns are %s", c.Column, strings.Join(header, ", "))
	}
	if c.ID != "" && id < 0 {
		return wrongUse("there is no column %q; the columns are %s", c.ID, strings.Join(header, ", "))
	}
	for row := 1; ; row++ {
		record, err := records.Read()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		name := strconv.Itoa(row)
		if id >= 0 {
			name = strings.Clone(record[id])
		}
		if !yield(textItem(name, strings.Clone(record[text]))) {
			return nil
		}
	}
}

// readLines reads a text a line, or a JSON object a line. Empty lines are left out.
func (c *sentimentCmd) readLines(in *bufio.Reader, objects bool, yield func(*sentimentv1.TextItem) bool) error {
	for line := 1; ; line++ {
		text, err := in.ReadString('\n')
		if err != nil && err != io.EOF {
			return err
		}
		last := err == io.EOF
		if text = strings.TrimRight(text, "\r\n"); strings.TrimSpace(text) != "" {
			item := textItem(strconv.Itoa(line), text)
			if objects {
				if item, err = c.jsonText(text, line); err != nil {
					return errLine(line, err)
				}
			}
			if !yield(item) {
				return nil
			}
		}
		if last {
			return nil
		}
	}
}

func (c *sentimentCmd) jsonText(line string, number int) (*sentimentv1.TextItem, error) {
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, err
	}
	field, id := c.Column, c.ID
	if field == "" {
		field = "text"
	}
	if id == "" {
		id = "id"
	}
	text, ok := object[field].(string)
	if !ok {
		return nil, errors.New("the object has no text in " + strconv.Quote(field))
	}
	name := jsonText(object[id])
	if name == "" {
		name = strconv.Itoa(number)
	}
	return textItem(name, text), nil
}

// printSentiment writes the answers as they come.
func printSentiment(o *output, in io.Closer, results iter.Seq2[*sentimentv1.TextResult, error], source *textSource, sent *pending[string], served servedFlag) error {
	write, flush, err := sentimentPrinter(o, sent, served)
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

func sentimentPrinter(o *output, sent *pending[string], served servedFlag) (func(*sentimentv1.TextResult, error) error, func() error, error) {
	switch o.format {
	case "json", "jsonl":
		return func(r *sentimentv1.TextResult, _ error) error {
			sent.take(r.GetIndex())
			raw, err := marshal(r)
			if err != nil {
				return err
			}
			return o.writeRaw(raw, false)
		}, func() error { return nil }, nil
	case "csv":
		w, err := o.csv(served.titles(o, "id", "polarity", "score", "positive", "neutral", "negative", "tokens", "prediction_id", "error")...)
		if err != nil {
			return nil, nil, err
		}
		number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
		return func(r *sentimentv1.TextResult, failed error) error {
			sent.take(r.GetIndex())
			s := r.GetSentiment()
			if s == nil {
				return w.row(append([]string{r.GetId(), "", "", "", "", "", "", r.GetPredictionId(), errText(failed)}, served.cells(r.GetServedBy())...)...)
			}
			return w.row(append([]string{r.GetId(), polarityText(s), number(s.GetScore()), number(s.GetPositive()), number(s.GetNeutral()),
				number(s.GetNegative()), strconv.Itoa(int(r.GetTokens())), r.GetPredictionId(), errText(failed)}, served.cells(r.GetServedBy())...)...)
		}, w.flush, nil
	}
	t := o.table(served.titles(o, "TEXT", "POLARITY", "SCORE", "POSITIVE", "NEUTRAL", "NEGATIVE")...)
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
	return func(r *sentimentv1.TextResult, failed error) error {
		text := sent.take(r.GetIndex())
		if failed != nil {
			t.line(text, cell{errText(failed), o.bad})
			return t.err
		}
		s := r.GetSentiment()
		polarity := cell{polarityText(s), o.strong}
		switch s.GetPolarity() {
		case sentimentv1.Polarity_POLARITY_POSITIVE:
			polarity.style = o.good
		case sentimentv1.Polarity_POLARITY_NEGATIVE:
			polarity.style = o.bad
		}
		row := []any{text, polarity, number(s.GetScore()), number(s.GetPositive()), number(s.GetNeutral()), number(s.GetNegative())}
		t.row(append(row, values(served.cells(r.GetServedBy()))...)...)
		return t.err
	}, t.flush, nil
}

func polarityText(s *sentimentv1.Sentiment) string {
	return strings.ToLower(strings.TrimPrefix(s.GetPolarity().String(), "POLARITY_"))
}
