package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// customerTable is a table of so many customers, all alike.
func customerTable(t *testing.T, rows int) *scoringv1.Table {
	t.Helper()
	features := customer(t, "").GetFeatures().AsMap()
	table := &scoringv1.Table{Rows: int64(rows)}
	for _, name := range slices.Sorted(maps.Keys(features)) {
		c := &scoringv1.Column{Name: name}
		switch v := features[name].(type) {
		case string:
			c.Data = &scoringv1.Column_Strings{Strings: &scoringv1.Strings{Dictionary: []string{v}, Indices: make([]uint32, rows)}}
		case float64:
			if v == math.Trunc(v) {
				c.Data = &scoringv1.Column_Int64S{Int64S: &scoringv1.Int64S{Values: slices.Repeat([]int64{int64(v)}, rows)}}
			} else {
				c.Data = &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: slices.Repeat([]float64{v}, rows)}}
			}
		}
		table.Columns = append(table.Columns, c)
	}
	return table
}

// TestStreamScore scores 10,000 rows, one of them bad, in messages of 500.
func TestStreamScore(t *testing.T) {
	const rows, size, bad = 10_000, 500, 4_321
	d := start(t)
	d.deploy("churn", churn(t))
	stream, err := d.scorer.StreamScore(d.ctx())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for first := 0; first < rows; first += size {
			req := &scoringv1.StreamScoreRequest{}
			for i := range size {
				row := customer(t, fmt.Sprint(first+i))
				if first+i == bad {
					row.Features.Fields["tenure"] = structpb.NewStringValue("long")
				}
				req.Instances = append(req.Instances, row)
			}
			if first == 0 {
				req.Model, req.Version = "churn", "1"
			}
			if err := stream.Send(req); err != nil {
				return // Recv tells
			}
		}
		_ = stream.CloseSend()
	}()
	seen := make([]bool, rows)
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range resp.GetResults() {
			if seen[r.GetIndex()] || r.GetId() != fmt.Sprint(r.GetIndex()) {
				t.Fatalf("row %d has id %q, seen %v", r.GetIndex(), r.GetId(), seen[r.GetIndex()])
			}
			seen[r.GetIndex()] = true
			if r.GetIndex() == bad {
				// The path is within its message.
				wantItemError(t, r.GetError(), codes.InvalidArgument, "FEATURE_TYPE", fmt.Sprintf(`instances[%d].features["tenure"]`, bad%size))
			} else if err := checkScore(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if i := slices.Index(seen, false); i >= 0 {
		t.Errorf("row %d was not answered", i)
	}
}

// TestStreamFailsAtOnce sends a message that fails, and nothing more: the caller
// who waits hears of it.
func TestStreamFailsAtOnce(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	for name, c := range map[string]struct {
		messages []*scoringv1.StreamScoreRequest
		code     codes.Code
		reason   string
	}{
		"unknown model":   {[]*scoringv1.StreamScoreRequest{{Model: "nobody", Instances: []*scoringv1.Instance{customer(t, "")}}}, codes.NotFound, "NOT_FOUND"},
		"rows and table":  {[]*scoringv1.StreamScoreRequest{{Instances: []*scoringv1.Instance{customer(t, "")}, Table: customerTable(t, 1)}}, codes.InvalidArgument, "FIELD_INVALID"},
		"second model":    {[]*scoringv1.StreamScoreRequest{{}, {Model: "churn"}}, codes.InvalidArgument, "NOT_FIRST_MESSAGE"},
		"broken contract": {[]*scoringv1.StreamScoreRequest{{Model: strings.Repeat("m", 200)}}, codes.InvalidArgument, "FIELD_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := d.scorer.StreamScore(d.ctx())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range c.messages {
				if err := stream.Send(m); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			for err == nil {
				_, err = stream.Recv()
			}
			st := status.Convert(err)
			if st.Code() != c.code || !strings.Contains(fmt.Sprint(st.Details()), c.reason) {
				t.Errorf("%v, want %v %s", err, c.code, c.reason)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("told after %v", took)
			}
		})
	}
}

// TestTable scores a table with a missing and a bad cell.
func TestTable(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	table := customerTable(t, 100)
	table.Ids = make([]string, 100)
	for i := range table.Ids {
		table.Ids[i] = fmt.Sprint("row", i)
	}
	for _, c := range table.GetColumns() {
		switch c.GetName() {
		case "tenure": // row 9 lacks it, and the model has no default
			c.Validity = slices.Repeat([]byte{0xff}, 13)
			c.Validity[1] &^= 1 << 1
		case "TotalCharges": // row 10 lacks it, which the graph imputes
			c.Validity = slices.Repeat([]byte{0xff}, 13)
			c.Validity[1] &^= 1 << 2
		}
	}
	resp, err := d.scorer.Score(d.ctx(), &scoringv1.ScoreRequest{Table: table, Options: &scoringv1.ScoreOptions{Reasons: 2}})
	if err != nil {
		t.Fatal(err)
	}
	got := resp.GetTable()
	p := got.GetHeads()["churn"].GetProbability()
	if got.GetRows() != 100 || len(p.GetProbability()) != 100 || len(p.GetReasons()) != 2 || got.GetIds()[99] != "row99" {
		t.Fatalf("%d rows, %d probabilities, %d reasons", got.GetRows(), len(p.GetProbability()), len(p.GetReasons()))
	}
	if len(got.GetErrors()) != 1 || got.GetErrors()[0].GetRow() != 9 {
		t.Fatalf("errors %v, want one of row 9", got.GetErrors())
	}
	st := status.FromProto(got.GetErrors()[0].GetError())
	if st.Code() != codes.InvalidArgument || !strings.Contains(fmt.Sprint(st.Details()), "FEATURE_MISSING") {
		t.Errorf("row 9: %v", st)
	}
	for i, v := range p.GetProbability() {
		if i == 9 || i == 10 {
			continue
		}
		if !isGolden(v) {
			t.Fatalf("row %d: probability %v is not the golden sample's", i, v)
		}
	}
	if v := p.GetProbability()[10]; math.IsNaN(v) || v <= 0 || v >= 1 {
		t.Errorf("row 10: probability %v", v)
	}
}

// TestDefaults calls every task without naming a model, by alias and by
// "latest".
func TestDefaults(t *testing.T) {
	d := start(t, "--model-scoring", "leave", "--model-sentiment", "mood", "--model-text-embedding", "mood", "--model-image-labels", "look")
	d.deploy("leave", churn(t))
	d.deploy("mood", textBundle(t))
	d.deploy("look", pictureBundle(t))
	if got, err := d.score("", "", 1); err != nil || got != 1 {
		t.Errorf("version %d, %v", got, err)
	}
	// A newer version is not the route's until it is activated.
	if _, err := d.push("leave", churn(t).with("note.md", "newer")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.store.SetAlias(d.ctx(), &modelstorev1.SetAliasRequest{Model: "leave", Alias: "candidate", Version: 2}); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]int64{"": 1, "1": 1, "2": 2, "latest": 2, "candidate": 2} {
		if got, err := d.score("leave", version, 1); err != nil || got != want {
			t.Errorf("version %q: %d answered, %v", version, got, err)
		}
	}
	resp, err := d.texts.AnalyzeText(d.ctx(), &sentimentv1.AnalyzeTextRequest{
		Features: []sentimentv1.TextFeature{sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT, sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING},
		Texts: []*sentimentv1.TextItem{
			{Id: "g", Content: &sentimentv1.TextItem_Text{Text: "good good good fine"}},
			{Id: "b", Content: &sentimentv1.TextItem_TextBytes{TextBytes: []byte("bad bad bad")}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []sentimentv1.Polarity{sentimentv1.Polarity_POLARITY_POSITIVE, sentimentv1.Polarity_POLARITY_NEGATIVE} {
		r := resp.GetResults()[i]
		if r.GetSentiment().GetPolarity() != want || len(r.GetEmbedding().GetValues()) != 3 || len(r.GetServedBy()) != 1 || r.GetServedBy()[0].GetModel() != "mood" {
			t.Errorf("text %d: %v", i, r)
		}
	}
	pictures, err := d.images.AnalyzeImages(d.ctx(), &imageanalysisv1.AnalyzeImagesRequest{Images: []*imageanalysisv1.ImageItem{{Content: redPicture(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	if r := pictures.GetResults()[0]; r.GetError() != nil || r.GetLabels()[0].GetLabels()[0].GetName() != "red" {
		t.Errorf("the red picture: %v", r)
	}
	// Colours and quality need no model.
	pictures, err = d.images.AnalyzeImages(d.ctx(), &imageanalysisv1.AnalyzeImagesRequest{
		Images:   []*imageanalysisv1.ImageItem{{Content: redPicture(t)}},
		Features: []imageanalysisv1.ImageFeature{imageanalysisv1.ImageFeature_IMAGE_FEATURE_COLORS, imageanalysisv1.ImageFeature_IMAGE_FEATURE_QUALITY},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := pictures.GetResults()[0]; r.GetError() != nil || r.GetColors()[0].GetNameEn() != "red" || r.GetQuality() == nil || len(r.GetServedBy()) > 0 {
		t.Errorf("the red picture's colours: %v", r)
	}
	// No default and no name.
	_, err = d.images.AnalyzeImages(d.ctx(), &imageanalysisv1.AnalyzeImagesRequest{
		Images:   []*imageanalysisv1.ImageItem{{Content: redPicture(t)}},
		Features: []imageanalysisv1.ImageFeature{imageanalysisv1.ImageFeature_IMAGE_FEATURE_EMBEDDING},
	})
	wantError(t, err, codes.NotFound, "NOT_FOUND", "")
}
