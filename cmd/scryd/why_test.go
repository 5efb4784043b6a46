package main

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// TestExplainText asks the starter model why texts are read as they are, and
// checks each word against the model's own answer to the text without it.
func TestExplainText(t *testing.T) {
	d := start(t)
	d.deploy("mood", readFiles(t, "../../models/sentiment"))
	score := func(texts ...string) []float64 {
		t.Helper()
		req := &sentimentv1.AnalyzeTextRequest{Models: []*sentimentv1.FeatureModel{{Feature: sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT, Model: "mood"}}}
		for _, s := range texts {
			req.Texts = append(req.Texts, &sentimentv1.TextItem{Content: &sentimentv1.TextItem_Text{Text: s}})
		}
		resp, err := d.texts.AnalyzeText(d.ctx(), req)
		if err != nil {
			t.Fatal(err)
		}
		var out []float64
		for _, r := range resp.GetResults() {
			out = append(out, r.GetSentiment().GetScore())
		}
		return out
	}
	said := [][]string{
		{"Отличный", "телефон", ",", "но", "батарея", "ужасная"}, // the worst last
		{"The", "food", "was", "good", "and", "the", "courier", "rude"},
	}
	req := &sentimentv1.ExplainTextRequest{Model: "mood", Offsets: sentimentv1.OffsetUnit_OFFSET_UNIT_CODE_POINTS}
	for i, words := range said {
		req.Texts = append(req.Texts, &sentimentv1.TextItem{Id: fmt.Sprint(i), Content: &sentimentv1.TextItem_Text{Text: strings.Join(words, " ")}})
	}
	req.Texts = append(req.Texts, &sentimentv1.TextItem{Id: "empty", Content: &sentimentv1.TextItem_Text{}})
	resp, err := d.texts.ExplainText(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for i, words := range said {
		r, text := resp.GetResults()[i], []rune(strings.Join(words, " "))
		if r.GetError() != nil || r.GetTarget() != "score" || len(r.GetWords()) != len(words) || int(r.GetEvaluations()) != len(words)+1 || r.GetServedBy()[0].GetModel() != "mood" {
			t.Fatalf("%v", r)
		}
		variants := []string{string(text)}
		for k := range words {
			rest := append(append([]string(nil), words[:k]...), words[k+1:]...)
			variants = append(variants, strings.Join(rest, " "))
		}
		want := score(variants...)
		asked += len(variants)
		const tolerance = 2e-3 // rows of a batch and rows alone differ in the last bits
		worst := 0
		for k, w := range r.GetWords() {
			if got := string(text[w.GetSpan().GetBegin():w.GetSpan().GetEnd()]); got != words[k] {
				t.Errorf("word %d is %q, want %q", k, got, words[k])
			}
			if math.Abs(w.GetContribution()-(want[0]-want[1+k])) > tolerance {
				t.Errorf("%s: %v, want %v", words[k], w.GetContribution(), want[0]-want[1+k])
			}
			if w.GetContribution() < r.GetWords()[worst].GetContribution() {
				worst = k
			}
		}
		if math.Abs(r.GetValue()-want[0]) > tolerance || worst != len(words)-1 {
			t.Errorf("%v: score %v, want %v; the worst word is %q", words, r.GetValue(), want[0], words[worst])
		}
	}
	wantItemError(t, resp.GetResults()[2].GetError(), codes.InvalidArgument, "TEXT_EMPTY", "texts[2].text")

	// Texts that lack a word are nobody's items.
	if _, metrics := d.get("/metrics"); !strings.Contains(metrics, fmt.Sprintf(`scry_items_total{model="mood",outcome="ok",version="1"} %d`, asked)) {
		t.Errorf("more items than texts were analysed:\n%s", metrics)
	}

	one := func(change func(*sentimentv1.ExplainTextRequest)) error {
		req := &sentimentv1.ExplainTextRequest{Model: "mood", Texts: req.GetTexts()[:1]}
		change(req)
		_, err := d.texts.ExplainText(d.ctx(), req)
		return err
	}
	type request = *sentimentv1.ExplainTextRequest
	wantError(t, one(func(r request) { r.Texts = nil }), codes.InvalidArgument, "FIELD_INVALID", "texts")
	wantError(t, one(func(r request) { r.MaxEvaluations = 4097 }), codes.InvalidArgument, "FIELD_INVALID", "max_evaluations")
	wantError(t, one(func(r request) { r.MaxEvaluations = 1 }), codes.InvalidArgument, "TOO_FEW_EVALUATIONS", "max_evaluations")
	wantError(t, one(func(r request) { r.Target = "joy" }), codes.InvalidArgument, "TARGET_UNKNOWN", "target")
	wantError(t, one(func(r request) { r.Offsets = 9 }), codes.InvalidArgument, "FIELD_INVALID", "offsets")
	if err := one(func(r request) { r.Model = "gone" }); status.Code(err) != codes.NotFound {
		t.Error(err)
	}

	// A caller who goes gets nothing more, and the server is free at once.
	ctx, cancel := context.WithTimeout(d.ctx(), 300*time.Millisecond)
	defer cancel()
	long := &sentimentv1.TextItem{Content: &sentimentv1.TextItem_Text{Text: strings.Repeat("очень хорошо ", 400)}}
	begun := time.Now()
	_, err = d.texts.ExplainText(ctx, &sentimentv1.ExplainTextRequest{Model: "mood", Texts: []*sentimentv1.TextItem{long, long, long}, MaxEvaluations: 4096})
	if c := status.Code(err); c != codes.DeadlineExceeded && c != codes.ResourceExhausted && c != codes.Unavailable || time.Since(begun) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
	score("хорошо")
}

// TestExplainImage asks the starter model what in a photograph of a cat is a cat.
func TestExplainImage(t *testing.T) {
	d := start(t)
	d.deploy("look", readTree(t, "../../models/products"))
	cat, err := os.ReadFile("../../scripts/demo/cat.jpg")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.images.ExplainImage(d.ctx(), &imageanalysisv1.ExplainImageRequest{
		Model: "look", Head: "imagenet", MaxEvaluations: 26, Images: []*imageanalysisv1.ImageItem{{Id: "cat", Content: cat}, {Id: "none", Content: []byte("GIF89a")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := resp.GetResults()[0]
	if r.GetError() != nil || r.GetId() != "cat" || !strings.Contains(r.GetLabel(), "cat") || r.GetRows() != 5 || r.GetColumns() != 5 || len(r.GetHeat()) != 25 || r.GetEvaluations() != 26 {
		t.Fatalf("%v", r)
	}
	img, err := png.Decode(bytes.NewReader(r.GetPng()))
	if err != nil || img.Bounds().Dx() != 451 || img.Bounds().Dy() != 300 {
		t.Errorf("%v %v", err, img.Bounds())
	}
	for i, v := range r.GetHeat() {
		if v > r.GetScore() || v < r.GetScore()-1 {
			t.Errorf("part %d: the score %v falls by %v", i, r.GetScore(), v)
		}
	}
	wantItemError(t, resp.GetResults()[1].GetError(), codes.InvalidArgument, "IMAGE_TRUNCATED", "images[1].content")

	// The same picture, the same map.
	again, err := d.images.ExplainImage(d.ctx(), &imageanalysisv1.ExplainImageRequest{
		Model: "look", Head: "imagenet", Label: r.GetLabel(), MaxEvaluations: 26, Images: []*imageanalysisv1.ImageItem{{Content: cat}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range again.GetResults()[0].GetHeat() {
		if math.Abs(v-r.GetHeat()[i]) > 1e-2 {
			t.Errorf("part %d: %v, then %v", i, r.GetHeat()[i], v)
		}
	}
	_, err = d.images.ExplainImage(d.ctx(), &imageanalysisv1.ExplainImageRequest{Model: "look", Label: "unicorn horn", Images: []*imageanalysisv1.ImageItem{{Content: cat}}})
	wantError(t, err, codes.InvalidArgument, "TARGET_UNKNOWN", "label")
	_, err = d.images.ExplainImage(d.ctx(), &imageanalysisv1.ExplainImageRequest{Model: "look", Images: make([]*imageanalysisv1.ImageItem, 21)})
	wantError(t, err, codes.InvalidArgument, "FIELD_INVALID", "images")
}
