package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"google.golang.org/grpc/codes"

	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// starterTexts serves the starter model of texts.
func starterTexts(t *testing.T) *daemon {
	t.Helper()
	if _, err := os.Stat("../../models/sentiment/encoder.onnx"); err != nil {
		t.Skip("models/sentiment/encoder.onnx is not there: `make setup` builds it")
	}
	d := start(t, "--plan", "rules")
	d.deploy("sentiment", readFiles(t, "../../models/sentiment"))
	return d
}

func textOf(s string) *sentimentv1.TextItem {
	return &sentimentv1.TextItem{Content: &sentimentv1.TextItem_Text{Text: s}}
}

// TestStarterTexts asks the starter model for all that it reads of two reviews, in
// one call and in a stream.
func TestStarterTexts(t *testing.T) {
	d := starterTexts(t)
	t.Run("reviews", d.reviews)
	t.Run("long", d.longTexts)
	t.Run("heads", d.textHeads)
}

func (d *daemon) reviews(t *testing.T) {
	const mixed = "👍 Чайник отличный, закипает быстро и не шумит! Но доставка опоздала на неделю, коробка мятая, поддержка не отвечает. Мой e-mail: a.b@example.com"
	req := &sentimentv1.AnalyzeTextRequest{
		Texts: []*sentimentv1.TextItem{textOf(mixed), textOf("The headphones sound wonderful and the battery lasts for days.")},
		Features: []sentimentv1.TextFeature{
			sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT, sentimentv1.TextFeature_TEXT_FEATURE_SENTENCES,
			sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING, sentimentv1.TextFeature_TEXT_FEATURE_PERSONAL_DATA,
			sentimentv1.TextFeature_TEXT_FEATURE_LANGUAGE,
		},
		Options: &sentimentv1.TextOptions{Offsets: sentimentv1.OffsetUnit_OFFSET_UNIT_UTF16},
	}
	resp, err := d.texts.AnalyzeText(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	units := utf16.Encode([]rune(mixed))
	cut := func(s *sentimentv1.Span) string { return string(utf16.Decode(units[s.GetBegin():s.GetEnd()])) }
	check := func(r *sentimentv1.TextResult) {
		t.Helper()
		var got []string
		for _, s := range r.GetSentences() {
			got = append(got, fmt.Sprintf("%.8s… %s", cut(s.GetSpan()), strings.TrimPrefix(s.GetSentiment().GetPolarity().String(), "POLARITY_")))
		}
		if len(got) != 3 || got[0] != "👍 Чайник… POSITIVE" || !strings.HasSuffix(got[1], "NEGATIVE") {
			t.Errorf("sentences %q", got)
		}
		s := r.GetSentiment()
		if s.GetPolarity() != sentimentv1.Polarity_POLARITY_MIXED || s.GetMagnitude() <= math.Abs(s.GetScore()) {
			t.Errorf("the whole: %v", s)
		}
		if p := r.GetPersonalData(); len(p) != 1 || cut(p[0].GetSpan()) != "a.b@example.com" {
			t.Errorf("personal data %v", p)
		}
		if l := r.GetLanguage(); l.GetCode() != "ru" || !l.GetSupported() || len(r.GetWarnings()) != 0 {
			t.Errorf("language %v, warnings %v", l, r.GetWarnings())
		}
		if len(r.GetEmbedding().GetValues()) != 384 || r.GetChunks() != 1 || len(r.GetServedBy()) != 1 {
			t.Errorf("%d numbers, %d chunks, served by %v", len(r.GetEmbedding().GetValues()), r.GetChunks(), r.GetServedBy())
		}
	}
	check(resp.GetResults()[0])
	if s := resp.GetResults()[1].GetSentiment(); s.GetPolarity() != sentimentv1.Polarity_POLARITY_POSITIVE {
		t.Errorf("the second review: %v", s)
	}

	german, err := d.texts.AnalyzeText(d.ctx(), &sentimentv1.AnalyzeTextRequest{Texts: []*sentimentv1.TextItem{textOf("Dieser Wasserkocher gefällt mir überhaupt nicht, ich schicke ihn zurück.")}})
	if err != nil {
		t.Fatal(err)
	}
	if w := german.GetResults()[0].GetWarnings(); len(w) != 1 || w[0].GetCode() != servingv1.WarningCode_WARNING_CODE_UNSUPPORTED_LANGUAGE {
		t.Errorf("German: %v", german.GetResults()[0])
	}
	told, err := d.texts.AnalyzeText(d.ctx(), &sentimentv1.AnalyzeTextRequest{
		Texts: req.GetTexts(), Features: []sentimentv1.TextFeature{sentimentv1.TextFeature_TEXT_FEATURE_LANGUAGE},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := told.GetResults()[1]; r.GetLanguage().GetCode() != "en" || !r.GetLanguage().GetSupported() || r.GetServedBy() != nil {
		t.Errorf("the language alone: %v", r)
	}

	stream, err := d.texts.StreamAnalyzeText(d.ctx())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		m := &sentimentv1.StreamAnalyzeTextRequest{Texts: req.GetTexts()[:1]}
		if i == 0 {
			m.Features, m.Options = req.GetFeatures(), req.GetOptions()
		}
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		m, err := stream.Recv()
		if err == io.EOF && n == 3 {
			break
		}
		if err != nil {
			t.Fatal(n, err)
		}
		check(m.GetResults()[0])
	}

	second, err := d.texts.StreamAnalyzeText(d.ctx())
	if err == nil {
		_ = second.Send(&sentimentv1.StreamAnalyzeTextRequest{Texts: req.GetTexts()})
		_ = second.Send(&sentimentv1.StreamAnalyzeTextRequest{Texts: req.GetTexts(), Options: &sentimentv1.TextOptions{}})
		for err == nil {
			_, err = second.Recv()
		}
	}
	wantError(t, err, codes.InvalidArgument, "NOT_FIRST_MESSAGE", "")
}

// longTexts wants a text of more than a thousand tokens read to its end: what
// stands there moves the answer.
func (d *daemon) longTexts(t *testing.T) {
	dull := strings.Repeat("Магазин работает с девяти до шести, вход со двора. ", 50)
	bad := strings.Repeat("Ужасное качество, сломалось за два дня, деньги не вернули. ", 50)
	resp, err := d.texts.AnalyzeText(d.ctx(), &sentimentv1.AnalyzeTextRequest{
		Features: []sentimentv1.TextFeature{sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT, sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING},
		Texts:    []*sentimentv1.TextItem{textOf(dull), textOf(dull + bad), textOf(strings.Repeat("\u0301", 5000)), textOf(strings.Repeat("ы", 5000))},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range resp.GetResults() {
		length := 0.0
		for _, x := range r.GetEmbedding().GetValues() {
			length += float64(x) * float64(x)
		}
		if r.GetError() != nil || r.GetSentiment() == nil || math.Abs(math.Sqrt(length)-1) > 1e-3 {
			t.Errorf("text %d: %v, a vector of length %v", i, r.GetError(), math.Sqrt(length))
		}
		for _, w := range r.GetWarnings() {
			if w.GetCode() == servingv1.WarningCode_WARNING_CODE_TRUNCATED {
				t.Errorf("text %d: %v", i, w)
			}
		}
	}
	first, both := resp.GetResults()[0], resp.GetResults()[1]
	if first.GetChunks() < 2 || both.GetChunks() <= first.GetChunks() {
		t.Errorf("%d and %d chunks", first.GetChunks(), both.GetChunks())
	}
	if first.GetSentiment().GetNegative() > 0.5 || both.GetSentiment().GetNegative() < first.GetSentiment().GetNegative()+0.1 {
		t.Errorf("negative %.3f, with a bad end %.3f", first.GetSentiment().GetNegative(), both.GetSentiment().GetNegative())
	}
}

// TestTextsWithoutModel wants what needs no model answered by a server that has
// none.
func TestTextsWithoutModel(t *testing.T) {
	d := start(t)
	req := &sentimentv1.AnalyzeTextRequest{
		Texts:    []*sentimentv1.TextItem{textOf("Звоните: +7 912 345-67-89"), textOf("")},
		Features: []sentimentv1.TextFeature{sentimentv1.TextFeature_TEXT_FEATURE_PERSONAL_DATA},
		Options:  &sentimentv1.TextOptions{Redact: true},
	}
	resp, err := d.texts.AnalyzeText(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	r := resp.GetResults()
	if r[0].GetRedactedText() != "Звоните: [PHONE]" || len(r[0].GetPersonalData()) != 1 || len(r[0].GetPredictionId()) != 36 || r[0].GetServedBy() != nil {
		t.Errorf("%v", r[0])
	}
	if r[1].GetError() == nil || r[1].GetPredictionId() != "" {
		t.Errorf("an empty text: %v", r[1])
	}
	req.Models = []*sentimentv1.FeatureModel{{Feature: sentimentv1.TextFeature_TEXT_FEATURE_PERSONAL_DATA, Model: "x"}}
	_, err = d.texts.AnalyzeText(d.ctx(), req)
	wantError(t, err, codes.InvalidArgument, "FEATURE_NEEDS_NO_MODEL", "models[0].feature")
}
