package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// textHeads asks the starter model for what its small heads say, and for labels
// that it was not trained on.
func (d *daemon) textHeads(t *testing.T) {
	const praise, blame = "Спасибо огромное, я в восторге от «Сбербанка»!", "Your courier was rude, and I want my money back for the Philips kettle."
	req := &sentimentv1.AnalyzeTextRequest{
		Texts: []*sentimentv1.TextItem{textOf(praise), textOf(blame), textOf("You are a stupid moron, shut up.")},
		Features: []sentimentv1.TextFeature{
			sentimentv1.TextFeature_TEXT_FEATURE_EMOTIONS, sentimentv1.TextFeature_TEXT_FEATURE_TARGETS, sentimentv1.TextFeature_TEXT_FEATURE_TOPICS,
			sentimentv1.TextFeature_TEXT_FEATURE_INTENT, sentimentv1.TextFeature_TEXT_FEATURE_TOXICITY,
		},
		Options: &sentimentv1.TextOptions{
			Topics:  []string{"погода", "refund", "батарея"},
			Intents: []string{"благодарит", "asks for a refund"},
			Targets: []*sentimentv1.Target{{Name: "Сбербанк"}, {Name: "Philips"}, {Name: "Sony"}},
		},
	}
	resp, err := d.texts.AnalyzeText(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	r := resp.GetResults()
	sum := 0.0
	for _, e := range r[0].GetEmotions() {
		sum += e.GetScore()
	}
	if len(r[0].GetEmotions()) != 7 || r[0].GetEmotions()[0].GetName() != "joy" || math.Abs(sum-1) > 1e-6 {
		t.Errorf("emotions of praise: %v", r[0].GetEmotions())
	}
	found := func(r *sentimentv1.TextResult, text string) string {
		var out []string
		for _, target := range r.GetTargets() {
			s := target.GetMentions()[0].GetSpan()
			out = append(out, fmt.Sprintf("%s at %s", target.GetName(), text[s.GetBegin():s.GetEnd()]))
		}
		return strings.Join(out, ", ")
	}
	if got := found(r[0], praise) + "; " + found(r[1], blame) + "; " + found(r[2], ""); got != "Сбербанк at Сбербанка; Philips at Philips; " {
		t.Errorf("targets: %s", got)
	}
	if s := r[0].GetTargets()[0].GetSentiment(); s.GetPositive() <= s.GetNegative() {
		t.Errorf("praise of a target: %v", s)
	}
	if r[0].GetIntents()[0].GetName() != "благодарит" || r[1].GetIntents()[0].GetName() != "asks for a refund" || r[1].GetTopics()[0].GetName() != "refund" {
		t.Errorf("intents %v, %v; topics %v", r[0].GetIntents(), r[1].GetIntents(), r[1].GetTopics())
	}
	if r[0].GetToxicity() > 0.3 || r[2].GetToxicity() < 0.7 {
		t.Errorf("toxicity %.2f and %.2f", r[0].GetToxicity(), r[2].GetToxicity())
	}
	if len(r[0].GetServedBy()) != 1 {
		t.Errorf("served by %v", r[0].GetServedBy())
	}

	// Bad input names its field; a label of 200 letters is none.
	for _, c := range []struct {
		reason, field string
		feature       sentimentv1.TextFeature
		options       *sentimentv1.TextOptions
	}{
		{"OPTION_MISSING", "options.topics", sentimentv1.TextFeature_TEXT_FEATURE_TOPICS, nil},
		{"FIELD_INVALID", "options.topics[0]", sentimentv1.TextFeature_TEXT_FEATURE_TOPICS, &sentimentv1.TextOptions{Topics: []string{""}}},
		{"FIELD_INVALID", "options.topics[0]", sentimentv1.TextFeature_TEXT_FEATURE_TOPICS, &sentimentv1.TextOptions{Topics: []string{strings.Repeat("ш", 201)}}},
		{"LABEL_BLANK", "options.intents[1]", sentimentv1.TextFeature_TEXT_FEATURE_INTENT, &sentimentv1.TextOptions{Intents: []string{"a", "  "}}},
		{"OPTION_MISSING", "options.targets", sentimentv1.TextFeature_TEXT_FEATURE_TARGETS, nil},
		{"TARGET_UNNAMED", "options.targets[0].name", sentimentv1.TextFeature_TEXT_FEATURE_TARGETS, &sentimentv1.TextOptions{Targets: []*sentimentv1.Target{{Name: "-"}}}},
		{"", "", sentimentv1.TextFeature_TEXT_FEATURE_TOPICS, &sentimentv1.TextOptions{Topics: []string{strings.Repeat("ш", 200)}}},
	} {
		_, err := d.texts.AnalyzeText(d.ctx(), &sentimentv1.AnalyzeTextRequest{
			Texts: []*sentimentv1.TextItem{textOf("fine")}, Features: []sentimentv1.TextFeature{c.feature}, Options: c.options,
		})
		if c.field == "" && err != nil {
			t.Error(err)
		}
		if c.field != "" {
			wantError(t, err, codes.InvalidArgument, c.reason, c.field)
		}
	}
}
