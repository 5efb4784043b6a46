package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/client"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// Bounds of texts: what all heads may cost beside one pass of the encoder, and
// how much longer a text of 64 KiB may take than one of 4.
const (
	allHeadsBound = 0.85
	growthBound   = 24
)

// analyzed is a workload of one text of one sentence a call.
func analyzed(name string, features []sentimentv1.TextFeature) workload {
	options := &sentimentv1.TextOptions{
		Topics: []string{"price", "delivery", "quality"}, Intents: []string{"asks for a refund", "recommends"},
		Targets: []*sentimentv1.Target{{Name: words[0]}, {Name: words[1]}},
	}
	return workload{
		name: name, model: "sentiment", callers: 16,
		call: func(ctx context.Context, d *daemon, rng *rand.Rand) (int, error) {
			resp, err := d.client.AnalyzeText(ctx, &sentimentv1.AnalyzeTextRequest{
				Features: features, Options: options, Texts: []*sentimentv1.TextItem{{Content: &sentimentv1.TextItem_Text{Text: text(rng)}}},
			})
			if err != nil {
				return 0, err
			}
			return check(resp.GetResults())
		},
	}
}

// textFeatures are the features that the starter model has.
func textFeatures(ctx context.Context, d *daemon) ([]sentimentv1.TextFeature, error) {
	var found []sentimentv1.TextFeature
	for n := range len(sentimentv1.TextFeature_name) - 1 {
		f := sentimentv1.TextFeature(n + 1)
		_, err := analyzed("", []sentimentv1.TextFeature{f}).call(ctx, d, rand.New(rand.NewPCG(1, 1)))
		if e, ok := errors.AsType[*client.Error](err); ok && e.Code == codes.FailedPrecondition {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%v: %w", f, err)
		}
		found = append(found, f)
	}
	return found, nil
}

// textHeads measures all features of texts in one call beside the embedding
// alone, which is one pass of the encoder.
func textHeads(ctx context.Context, d *daemon, cfg *config, out *report) error {
	features, err := textFeatures(ctx, d)
	if err != nil {
		return err
	}
	all := analyzed(fmt.Sprintf("sentiment, all %d features of one text a call, 16 callers", len(features)), features)
	one := analyzed("", []sentimentv1.TextFeature{sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING})
	if _, _, err := all.serve(ctx, d, all.callers, cfg.round/2); err != nil { // does not count
		return err
	}
	var (
		served, alone []float64
		r             ratios
		times         []time.Duration
	)
	for range cfg.rounds {
		rate, took, err := all.serve(ctx, d, all.callers, cfg.round)
		if err != nil {
			return err
		}
		pass, _, err := one.serve(ctx, d, one.callers, cfg.round)
		if err != nil {
			return err
		}
		served, alone, r = append(served, rate), append(alone, pass), append(r, rate/pass)
		times = append(times, took...)
	}
	out.add(line{
		work: all.name, served: fmt.Sprintf("%.0f/s", median(served)), beside: fmt.Sprintf("the embedding alone %.0f/s", median(alone)), times: percentiles(times),
	}.least(r, allHeadsBound))
	return nil
}

// kinds are texts that cost a tokenizer or a model in different ways, by what
// they repeat.
var kinds = []struct{ name, unit string }{
	{"words", "Чайник закипает быстро and does not leak. "},
	{"one word", "a"},
	{"accents", "\u0301"},
	{"joined emoji", "👩\u200d👧"},
	{"signs", ",!"},
	{"right to left", "שלום "},
}

// textGrowth measures how the time of a text grows with its length.
func textGrowth(ctx context.Context, d *daemon, cfg *config, out *report) error {
	took := func(unit string, size int, mark rune) (time.Duration, error) {
		// The first character makes the text new to caches.
		text := string(mark) + strings.Repeat(unit, size/len(unit))
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		start := time.Now()
		resp, err := d.client.AnalyzeText(ctx, &sentimentv1.AnalyzeTextRequest{Texts: []*sentimentv1.TextItem{{Content: &sentimentv1.TextItem_Text{Text: text}}}})
		if err == nil {
			_, err = check(resp.GetResults())
		}
		return time.Since(start), err
	}
	for _, k := range kinds {
		var (
			r             ratios
			short4, long4 []float64
		)
		for round := range cfg.rounds + 1 {
			short, err := took(k.unit, 4<<10, 'A'+rune(round%26))
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			long, err := took(k.unit, 64<<10, 'a'+rune(round%26))
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			if round > 0 { // the first does not count
				r, short4, long4 = append(r, long.Seconds()/short.Seconds()), append(short4, short.Seconds()), append(long4, long.Seconds())
			}
		}
		out.add(line{
			work: "sentiment, a text of 64 KiB: " + k.name, served: fmt.Sprintf("%.3g s", median(long4)), beside: fmt.Sprintf("4 KiB %.3g s", median(short4)),
		}.atMost(r, growthBound))
	}
	return nil
}
