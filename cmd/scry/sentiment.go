package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	Texts  []string `arg:"" optional:"" help:"Texts; without any they are read from the file or standard input. With --column, the file."`
	File   string   `short:"f" placeholder:"FILE" help:"A file with a text a line, a CSV file (with --column), or JSON Lines {\"id\": …, \"text\": …}; \"-\" for standard input."`
	Format string   `enum:",text,csv,jsonl" default:"" placeholder:"text|csv|jsonl" help:"The input's format, where its name does not tell."`
	Column string   `placeholder:"NAME" help:"The CSV column, or the JSON field, that holds the text (default: the field \"text\")."`
	ID     string   `name:"id" placeholder:"NAME" help:"The CSV column, or the JSON field, that names the text (default: the field \"id\", else the line's number)."`
	Model  modelRef `short:"m" placeholder:"MODEL[@VERSION]" help:"The model (default: the server's defaults)."`

	Features []textFeature `placeholder:"NAME" default:"sentiment" help:"What to find: sentiment, sentences, emotions, topics, toxicity, intent, targets, language, personal-data, classes, embedding (default: sentiment). Language and personal-data need no model."`
	Topics   []string      `sep:"none" placeholder:"TOPIC" help:"A topic to look for, once for each; implies the feature topics."`
	Intents  []string      `sep:"none" placeholder:"INTENT" help:"An intent to look for, once for each; implies the feature intent."`
	Targets  []textTarget  `sep:"none" placeholder:"NAME[=WORD,…]" help:"A brand, product or person towards whom opinion is read, with other words for it, once for each; implies the feature targets."`
	Redact   bool          `help:"Replace personal data before a model sees a text."`
	explainTextFlags
	servedFlag
}

// textFeature is a feature by its name on the command line.
type textFeature sentimentv1.TextFeature

// UnmarshalText reads a name such as "personal-data".
func (f *textFeature) UnmarshalText(text []byte) error {
	name := strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", "_"))
	n, ok := sentimentv1.TextFeature_value["TEXT_FEATURE_"+name]
	if !ok || n == 0 {
		return fmt.Errorf("%q is no feature", text)
	}
	*f = textFeature(n)
	return nil
}

// textTarget is a target with other words for it.
type textTarget struct{ *sentimentv1.Target }

// UnmarshalText reads NAME or NAME=WORD,….
func (t *textTarget) UnmarshalText(text []byte) error {
	name, words, given := strings.Cut(string(text), "=")
	t.Target = &sentimentv1.Target{Name: name}
	if given {
		t.Aliases = strings.Split(words, ",")
	}
	if name == "" || slices.Contains(t.Aliases, "") {
		return fmt.Errorf("%q is not NAME or NAME=WORD,…", text)
	}
	return nil
}

// request is what is asked of every text.
func (c *sentimentCmd) request() *sentimentv1.AnalyzeTextRequest {
	req := &sentimentv1.AnalyzeTextRequest{Options: &sentimentv1.TextOptions{Topics: c.Topics, Intents: c.Intents, Redact: c.Redact}}
	add := func(f sentimentv1.TextFeature) {
		if !slices.Contains(req.Features, f) {
			req.Features = append(req.Features, f)
		}
	}
	for _, f := range c.Features {
		add(sentimentv1.TextFeature(f))
	}
	for _, t := range c.Targets {
		req.Options.Targets = append(req.Options.Targets, t.Target)
	}
	for f, given := range map[sentimentv1.TextFeature]int{
		sentimentv1.TextFeature_TEXT_FEATURE_TOPICS: len(c.Topics), sentimentv1.TextFeature_TEXT_FEATURE_INTENT: len(c.Intents),
		sentimentv1.TextFeature_TEXT_FEATURE_TARGETS: len(c.Targets),
	} {
		if given > 0 {
			add(f)
		}
	}
	slices.Sort(req.Features)
	if c.Model.Model == "" {
		return req
	}
	for _, f := range req.Features {
		if f != sentimentv1.TextFeature_TEXT_FEATURE_LANGUAGE && f != sentimentv1.TextFeature_TEXT_FEATURE_PERSONAL_DATA {
			req.Models = append(req.Models, &sentimentv1.FeatureModel{Feature: f, Model: c.Model.Model, Version: c.Model.Version})
		}
	}
	return req
}

func (c *sentimentCmd) Run(ctx context.Context, app *app) error {
	if len(c.Texts) == 1 && c.File == "" && c.Column != "" { // a column is one of a file
		c.Texts, c.File = nil, c.Texts[0]
	}
	if len(c.Texts) > 0 && c.File != "" {
		return wrongUse("texts and --file exclude each other")
	}
	asked := len(c.Topics)+len(c.Intents)+len(c.Targets) > 0 || c.Redact || !slices.Equal(c.Features, []textFeature{textFeature(sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT)})
	switch {
	case c.Explain && asked:
		return wrongUse("--explain excludes --features, --topics, --intents, --targets and --redact; --target says what is explained")
	case !c.Explain && c.Target != "":
		return wrongUse("--target is for --explain; --targets names what opinion is read towards")
	case !c.Explain && c.Evaluations != 0:
		return wrongUse("--evaluations is for --explain")
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
	if c.Explain {
		return c.explain(ctx, app.output, server, in, source)
	}
	req := c.request()
	p := &sentimentPrinter{features: req.GetFeatures(), served: c.servedFlag}
	texts := func(yield func(*sentimentv1.TextItem) bool) {
		for item := range source.items {
			p.put(item)
			if !yield(item) {
				return
			}
		}
	}
	return printSentiment(app.output, in, server.StreamAnalyzeText(ctx, req, texts), source, p)
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
		switch format {
		case "csv":
			s.err = c.readCSV(buffered, yield)
		case "jsonl":
			s.err = readLines(buffered, c.jsonText, yield)
		default:
			s.err = readLines(buffered, func(text []byte, line int) (*sentimentv1.TextItem, error) {
				return textItem(strconv.Itoa(line), string(text)), nil
			}, yield)
		}
	}
	return s, in, nil
}

func (c *sentimentCmd) readCSV(in *bufio.Reader, yield func(*sentimentv1.TextItem) bool) error {
	records, header, err := openCSV(in)
	if err != nil {
		return err
	}
	text, err := placeOf(header, c.Column)
	if err != nil {
		return usageError{err}
	}
	id := -1
	if c.ID != "" {
		if id, err = placeOf(header, c.ID); err != nil {
			return usageError{err}
		}
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

func (c *sentimentCmd) jsonText(line []byte, number int) (*sentimentv1.TextItem, error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
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
