package client_test

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/client"
	"github.com/scry-ml/scry/client/clienttest"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

func TestStreamScore(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	withModels(t, c)
	rows := instances(t, 2000)
	seen := make(map[string]int64)
	for r, err := range c.StreamScore(t.Context(), &scoringv1.ScoreRequest{Model: "churn"}, slices.Values(rows)) {
		if err != nil {
			t.Fatal(err)
		}
		seen[r.GetId()] = r.GetIndex()
	}
	if len(seen) != len(rows) {
		t.Fatalf("%d of %d rows were answered", len(seen), len(rows))
	}
	for i, row := range rows {
		if seen[row.GetId()] != int64(i) {
			t.Errorf("row %d was answered as %d", i, seen[row.GetId()])
		}
	}
	sizes := s.Sizes("StreamScore")
	if slices.Max(sizes) > 256 || len(sizes) > 1000 {
		t.Errorf("%d messages, the largest of %d rows", len(sizes), slices.Max(sizes))
	}
}

// Breaking the loop ends the call and both goroutines (TestMain looks for leaks),
// and does not read the endless sequence on.
func TestStreamBreak(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	withModels(t, c)
	var read atomic.Int64
	var endless iter.Seq[*sentimentv1.TextItem] = func(yield func(*sentimentv1.TextItem) bool) {
		for yield(&sentimentv1.TextItem{Content: &sentimentv1.TextItem_Text{Text: "good"}}) {
			read.Add(1)
		}
	}
	n := 0
	for r, err := range c.StreamAnalyzeText(t.Context(), &sentimentv1.AnalyzeTextRequest{}, endless) {
		if err != nil {
			t.Fatal(err)
		}
		if r.GetSentiment().GetPolarity() != sentimentv1.Polarity_POLARITY_POSITIVE {
			t.Errorf("got %v", r)
		}
		if n++; n == 100 {
			break
		}
	}
	after := read.Load()
	if n != 100 || after < 100 {
		t.Errorf("%d results of %d texts", n, after)
	}
	if read.Load() != after {
		t.Error("the sequence was read on after the loop")
	}
}

func TestStreamErrors(t *testing.T) {
	s := clienttest.New()
	s.Info.Limits.MaxMessageBytes = 1 << 20
	c := s.Dial(t)
	last := func(results iter.Seq2[*imageanalysisv1.ImageResult, error]) (n int, err error) {
		for r, e := range results {
			if err != nil {
				t.Error("a pair after the error")
			}
			if err = e; err == nil && client.ItemError(r) == nil {
				n++
			}
		}
		return n, err
	}
	png := &imageanalysisv1.ImageItem{Content: []byte("\x89PNG")}
	huge := &imageanalysisv1.ImageItem{Content: make([]byte, 2<<20)}
	req := &imageanalysisv1.AnalyzeImagesRequest{}

	_, err := last(c.StreamAnalyzeImages(t.Context(), req, slices.Values([]*imageanalysisv1.ImageItem{png})))
	if client.ReasonOf(err) != "NOT_FOUND" {
		t.Errorf("without a model: %v", err)
	}
	withModels(t, c)
	n, err := last(c.StreamAnalyzeImages(t.Context(), req, slices.Values([]*imageanalysisv1.ImageItem{png, png})))
	if n != 2 || err != nil {
		t.Errorf("%d results, %v", n, err)
	}
	_, err = last(c.StreamAnalyzeImages(t.Context(), req, slices.Values([]*imageanalysisv1.ImageItem{png, huge, png})))
	if client.ReasonOf(err) != client.ReasonItemTooLarge {
		t.Errorf("with a picture beyond the message limit: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var endless iter.Seq[*imageanalysisv1.ImageItem] = func(yield func(*imageanalysisv1.ImageItem) bool) {
		for i := 0; yield(png); i++ {
			if i == 50 {
				cancel()
			}
		}
	}
	if _, err = last(c.StreamAnalyzeImages(ctx, req, endless)); client.CodeOf(err) != codes.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	// An empty sequence is no error.
	if n, err := last(c.StreamAnalyzeImages(t.Context(), req, slices.Values[[]*imageanalysisv1.ImageItem](nil))); n != 0 || err != nil {
		t.Errorf("%d results, %v of nothing", n, err)
	}
}
