package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"google.golang.org/protobuf/encoding/protojson"

	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// TestTextFeaturesPrinted prints a text of which everything was asked, for people,
// in colours and without, and as CSV.
func TestTextFeaturesPrinted(t *testing.T) {
	const sent = "Чайник хорош. Доставка плоха!"
	r := &sentimentv1.TextResult{}
	if err := protojson.Unmarshal([]byte(`{"id": "1", "predictionId": "p", "tokens": 9, "chunks": 1,
		"sentiment": {"polarity": "POLARITY_MIXED", "positive": 0.4, "neutral": 0.3, "negative": 0.3, "score": 0.1, "magnitude": 1.5},
		"sentences": [{"span": {"begin": 0, "end": 24}, "sentiment": {"polarity": "POLARITY_POSITIVE", "positive": 0.9, "neutral": 0.05, "negative": 0.05, "score": 0.85}},
			{"span": {"begin": 25, "end": 53}, "sentiment": {"polarity": "POLARITY_NEGATIVE", "positive": 0.1, "neutral": 0.2, "negative": 0.7, "score": -0.6}}],
		"emotions": [{"name": "joy", "score": 0.5}, {"name": "anger", "score": 0.25}, {"name": "fear", "score": 0.25}],
		"targets": [{"name": "Acme", "sentiment": {"polarity": "POLARITY_POSITIVE", "score": 0.75}, "mentions": [{}]}],
		"language": {"code": "ru", "probability": 0.999}, "toxicity": 0.125,
		"personalData": [{"type": "PERSONAL_DATA_TYPE_PHONE", "span": {"begin": 1, "end": 2}}],
		"classes": [{"head": "kind", "classes": [{"name": "praise", "score": 0.5}, {"name": "=1+1", "score": 0.5}]}]}`), r); err != nil {
		t.Fatal(err)
	}
	var c sentimentCmd
	parser, err := kong.New(&c)
	if err == nil {
		_, err = parser.Parse([]string{"--features", "sentiment,sentences,emotions,language,toxicity,personal-data,classes", "--targets", "Acme=Акме,ACME Inc.", "x"})
	}
	if err != nil {
		t.Fatal(err)
	}
	req := c.request()
	if got := req.GetOptions().GetTargets()[0]; got.GetName() != "Acme" || fmt.Sprint(got.GetAliases()) != "[Акме ACME Inc.]" {
		t.Errorf("target %v", got)
	}
	print := func(format, color string) string {
		var out bytes.Buffer
		o := newOutput(nil, &out, &out, format, true)
		o.color(color)
		p := &sentimentPrinter{features: req.GetFeatures()}
		p.put(textItem("1", sent))
		write, flush, err := p.open(o)
		if err == nil {
			err = write(r, nil)
		}
		if err == nil {
			err = flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	lines := strings.Split(print("table", "never"), "\n")
	for i, want := range []string{
		"TEXT POLARITY SCORE POSITIVE NEUTRAL NEGATIVE EMOTIONS TOXICITY TARGETS LANGUAGE PERSONAL DATA CLASSES",
		sent + " mixed 0.100 0.400 0.300 0.300 joy 0.500, anger 0.250 0.125 Acme positive 0.750 ru 1.00 phone kind: praise 0.500",
		"Чайник хорош. positive 0.850 0.900 0.050 0.050",
		"Доставка плоха! negative -0.600 0.100 0.200 0.700",
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d is %q\nwant %q", i, got, want)
		}
	}
	if colored := print("table", "always"); !strings.Contains(colored, "\x1b[32m  Чайник хорош.") || !strings.Contains(colored, "\x1b[31mnegative") || !strings.Contains(colored, "\x1b[33mmixed") {
		t.Errorf("in colours: %q", colored)
	}
	records, err := csv.NewReader(strings.NewReader(print("csv", "auto"))).ReadAll()
	if err != nil || len(records) != 2 {
		t.Fatal(records, err)
	}
	for i, want := range map[int][2]string{
		0: {"id", "1"}, 1: {"polarity", "mixed"}, 2: {"score", "0.1"},
		6: {"sentences", `[{"begin":0,"end":24,"polarity":"positive","score":0.85},{"begin":25,"end":53,"polarity":"negative","score":-0.6}]`},
		7: {"emotions", `{"anger":0.25,"fear":0.25,"joy":0.5}`}, 10: {"language", "ru"},
	} {
		if records[0][i] != want[0] || records[1][i] != want[1] {
			t.Errorf("column %d is %s = %s, want %v", i, records[0][i], records[1][i], want)
		}
	}
}

// TestTextFlags refuses what is no feature and no target.
func TestTextFlags(t *testing.T) {
	for _, args := range [][]string{{"--features", "moods"}, {"--features", "unspecified"}, {"--targets", "=x"}, {"--targets", "Acme=a,,b"}} {
		var c sentimentCmd
		parser, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
	var c sentimentCmd
	parser, err := kong.New(&c)
	if err == nil {
		_, err = parser.Parse([]string{"--topics", "price, fees", "--topics", "delivery", "-m", "mine@2", "--features", "language"})
	}
	if req := c.request(); err != nil || len(req.GetOptions().GetTopics()) != 2 || len(req.GetModels()) != 1 ||
		fmt.Sprint(req.GetFeatures()) != "[TEXT_FEATURE_TOPICS TEXT_FEATURE_LANGUAGE]" {
		t.Errorf("%v, %v", req, err)
	}
}
