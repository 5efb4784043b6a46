package sentiment_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	"github.com/scry-ml/scry/sentiment"
	"github.com/scry-ml/scry/tensor"
)

const (
	polarity  = sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT
	embedding = sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING
)

const manifest = `
heads:
  mood: {source: model.scores, sentiment: {negative: 2, neutral: 0, positive: 1}}
  vector: {source: model.vector, embedding: {normalize: true}}
text: {tokenizer: tokenizer.json, max_length: 8}
`

// model answers scores, in the columns' order: neutral, positive, negative; its
// vector is (3, tokens).
func model(t testing.TB, manifest string, scores func(in []tensor.Tensor) ([]float32, error)) *pipelinetest.Model {
	t.Helper()
	graph := pipelinetest.Graph([]bundle.Value{pipelinetest.Value("input_ids", tensor.Int64, -1, -1)}, []bundle.Value{
		pipelinetest.Value("scores", tensor.Float32, -1, -1), pipelinetest.Value("vector", tensor.Float32, -1, 2),
	})
	return pipelinetest.NewModel(t, pipelinetest.Files(graph, manifest, map[string]string{"tokenizer.json": pipelinetest.Tokenizer}), func(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		s, err := scores(in)
		if err != nil {
			return nil, err
		}
		out := make([]tensor.Tensor, 2)
		out[0], _ = tensor.From(s, 1, int64(len(s)))
		out[1], _ = tensor.From([]float32{3, float32(in[0].Shape[1])}, 1, 2)
		return out, nil
	})
}

func always(scores ...float32) func([]tensor.Tensor) ([]float32, error) {
	return func([]tensor.Tensor) ([]float32, error) { return scores, nil }
}

func text(s string) *sentimentv1.TextItem {
	return &sentimentv1.TextItem{Content: &sentimentv1.TextItem_Text{Text: s}}
}

func analyze(t testing.TB, m sentiment.Model, texts []*sentimentv1.TextItem, features ...sentimentv1.TextFeature) ([]*sentimentv1.TextResult, []error, error) {
	t.Helper()
	call := sentiment.NewCall(texts, features, nil, 0, 1<<20)
	err := call.Analyze(t.Context(), m, features)
	results, errs := call.Results()
	return results, errs, err
}

func TestPolarity(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		name                        string
		neutral, positive, negative float32
		want                        string
		settings                    string
	}{
		{"positive", 0.2, 0.7, 0.1, "POSITIVE 0.70 0.20 0.10 0.60", ""},
		{"negative", 0.2, 0.1, 0.7, "NEGATIVE 0.10 0.20 0.70 -0.60", ""},
		{"neutral", 0.6, 0.3, 0.1, "NEUTRAL 0.30 0.60 0.10 0.20", ""},
		{"ties with neutral", 0.4, 0.4, 0.2, "NEUTRAL 0.40 0.40 0.20 0.20", ""},
		{"negative ties with neutral", 0.4, 0.2, 0.4, "NEUTRAL 0.20 0.40 0.40 -0.20", ""},
		{"positive ties with negative", 0.2, 0.4, 0.4, "POSITIVE 0.40 0.20 0.40 0.00", ""},
		{"all alike", 0.25, 0.25, 0.25, "NEUTRAL 0.33 0.33 0.33 0.00", ""},
		{"sum made 1", 0.2, 0.4, 0.2, "POSITIVE 0.50 0.25 0.25 0.25", ""},
		{"logits", 0, float32(math.Log(6)), float32(math.Log(3)), "POSITIVE 0.60 0.10 0.30 0.30", ", activation: ACTIVATION_SOFTMAX"},
		{"temperature", 0, float32(2 * math.Log(6)), float32(2 * math.Log(3)), "POSITIVE 0.60 0.10 0.30 0.30", ", activation: ACTIVATION_SOFTMAX, temperature: 2"},
		{"NaN", 0.2, nan, 0.1, "", ""},
		{"logits without activation", 2, -3, 1, "", ""},
		{"zeros", 0, 0, 0, "", ""},
	} {
		m := model(t, strings.Replace(manifest, "positive: 1", "positive: 1"+c.settings, 1), always(c.neutral, c.positive, c.negative))
		results, errs, err := analyze(t, m, []*sentimentv1.TextItem{text("so so")}, polarity)
		if err != nil {
			t.Fatal(err)
		}
		s := results[0].GetSentiment()
		got := fmt.Sprintf("%s %.2f %.2f %.2f %.2f", strings.TrimPrefix(s.GetPolarity().String(), "POLARITY_"), s.GetPositive(), s.GetNeutral(), s.GetNegative(), s.GetScore())
		switch {
		case c.want == "" && !errors.Is(errs[0], pipeline.ErrOutput):
			t.Errorf("%s: %s, %v", c.name, got, errs[0])
		case c.want != "" && (errs[0] != nil || got != c.want):
			t.Errorf("%s: %s, %v; want %s", c.name, got, errs[0], c.want)
		}
	}
	m := model(t, manifest, always(0.5, 0.5))
	if _, errs, _ := analyze(t, m, []*sentimentv1.TextItem{text("so so")}, polarity); !errors.Is(errs[0], pipeline.ErrOutput) {
		t.Errorf("two columns: %v", errs[0])
	}
}

func reasonOf(err error) string {
	in, ok := errors.AsType[*pipeline.InputError](err)
	if !ok {
		return fmt.Sprint(err)
	}
	return in.Reason + " " + in.Field
}

// TestTexts wants bad texts to fail alone and good ones answered in place.
func TestTexts(t *testing.T) {
	m := model(t, manifest, func(in []tensor.Tensor) ([]float32, error) {
		if tensor.View[int64](in[0])[1] == 8 { // "bad"
			return nil, errors.New("no such word")
		}
		return []float32{0.1, 0.8, 0.1}, nil
	})
	texts := []*sentimentv1.TextItem{
		{Id: "good", Content: &sentimentv1.TextItem_Text{Text: "fine"}},
		{Id: "nothing"},
		{Id: "empty", Content: &sentimentv1.TextItem_TextBytes{}},
		{Id: "bad", Content: &sentimentv1.TextItem_Text{Text: "bad"}},
		{Id: "bytes", Content: &sentimentv1.TextItem_TextBytes{TextBytes: []byte("caf\xe9")}},
		{Id: "long", Content: &sentimentv1.TextItem_Text{Text: strings.Repeat("fine ", 20)}},
	}
	results, errs, err := analyze(t, m, texts, polarity, embedding)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"<nil>", "TEXT_EMPTY text", "TEXT_EMPTY text_bytes", "no such word", "<nil>", "<nil>"}
	warns := map[int]string{4: "texts[4].text_bytes", 5: "texts[5].text"}
	for i, r := range results {
		if reasonOf(errs[i]) != want[i] || r.GetId() != texts[i].GetId() || r.GetIndex() != int64(i) {
			t.Errorf("text %d: %v (want %s), %v", i, errs[i], want[i], r)
		}
		if errs[i] != nil {
			continue
		}
		if r.GetSentiment().GetPolarity() != sentimentv1.Polarity_POLARITY_POSITIVE || len(r.GetPredictionId()) != 36 || len(r.GetServedBy()) != 1 ||
			fmt.Sprint(r.GetServedBy()[0].GetHeads()) != "[mood vector]" {
			t.Errorf("text %d: %v", i, r)
		}
		v, n := r.GetEmbedding().GetValues(), float64(r.GetTokens())
		if norm := math.Hypot(3, n); len(v) != 2 || math.Abs(float64(v[1])-n/norm) > 1e-6 {
			t.Errorf("text %d: embedding %v of %v tokens", i, v, n)
		}
		if w := r.GetWarnings(); (warns[i] == "") != (len(w) == 0) || len(w) > 0 && w[0].GetField() != warns[i] {
			t.Errorf("text %d: warnings %v", i, w)
		}
	}
	if results[5].GetTokens() != 8 {
		t.Errorf("%d tokens of a long text", results[5].GetTokens())
	}
}

// TestRefusedBeforeTokenising: that no density of tokens was measured shows that
// no tokenizer has seen a text.
func TestRefusedBeforeTokenising(t *testing.T) {
	m := model(t, manifest, always(0.2, 0.7, 0.1))
	texts := []*sentimentv1.TextItem{text(""), text("hello world"), text(strings.Repeat("long ", 100))}
	m.Refuse = &batch.DeadlineError{Predicted: 2, Remaining: 1}
	if _, _, err := analyze(t, m, texts); !errors.Is(err, batch.ErrDeadline) {
		t.Fatalf("%v, want ErrDeadline", err)
	}
	if tokens, _ := m.Pipeline().EstimateTokens(30); tokens != 6 || m.Items.Load() > 0 {
		t.Errorf("30 bytes are taken for %d tokens, %d items ran", tokens, m.Items.Load())
	}
	// Nothing was measured, so a token stands for five bytes, at least one beside
	// the special ones, at most what the model takes.
	if m.Admitted.Rows != 3 || m.Admitted.Cost != 3+3+8 {
		t.Errorf("asked for %+v", m.Admitted)
	}
	m.Refuse = nil
	if _, errs, err := analyze(t, m, texts); err != nil || !errors.Is(errs[0], pipeline.ErrInput) {
		t.Errorf("%v, %v", err, errs[0])
	}
}

// TestTwoModels wants each to add its part, and a text that the first refuses
// to be left out by the second.
func TestTwoModels(t *testing.T) {
	texts := []*sentimentv1.TextItem{text("fine"), text("")}
	call := sentiment.NewCall(texts, nil, nil, 10, 1<<20)
	a, b := model(t, manifest, always(0.1, 0.8, 0.1)), model(t, manifest, always(0.1, 0.8, 0.1))
	if err := call.Analyze(t.Context(), a, []sentimentv1.TextFeature{polarity}); err != nil {
		t.Fatal(err)
	}
	results, errs := call.Results()
	id := results[0].GetPredictionId()
	if err := call.Analyze(t.Context(), b, []sentimentv1.TextFeature{embedding}); err != nil {
		t.Fatal(err)
	}
	r := results[0]
	if r.GetSentiment() == nil || r.GetEmbedding() == nil || len(r.GetServedBy()) != 2 || r.GetPredictionId() != id || r.GetIndex() != 10 {
		t.Errorf("result %v", r)
	}
	if errs[1] == nil || b.Items.Load() != 1 {
		t.Errorf("error %v, %d items for the second model", errs[1], b.Items.Load())
	}
}

func TestUnsuitableModels(t *testing.T) {
	bare := model(t, strings.Replace(manifest, "vector: {source: model.vector, embedding: {normalize: true}}", "", 1), always(0.1, 0.8, 0.1))
	if _, _, err := analyze(t, bare, []*sentimentv1.TextItem{text("x")}, embedding); !errors.Is(err, sentiment.ErrUnsupported) {
		t.Errorf("no such head: %v", err)
	}
	graph := pipelinetest.Graph([]bundle.Value{pipelinetest.Value("x", tensor.Float32, -1)}, []bundle.Value{pipelinetest.Value("y", tensor.Float32, -1)})
	tensors := pipelinetest.NewModel(t, pipelinetest.Files(graph, "", nil), nil)
	if _, _, err := analyze(t, tensors, []*sentimentv1.TextItem{text("x")}, polarity); !errors.Is(err, sentiment.ErrUnsupported) {
		t.Errorf("no texts: %v", err)
	}
	few := model(t, manifest+"limits: {max_items: 1}\n", always(0.1, 0.8, 0.1))
	if _, _, err := analyze(t, few, []*sentimentv1.TextItem{text("x"), text("y")}, polarity); reasonOf(err) != "TOO_MANY_ITEMS texts" {
		t.Errorf("too many: %v", err)
	}
	full := model(t, manifest, func([]tensor.Tensor) ([]float32, error) { return nil, &batch.FullError{} })
	if _, _, err := analyze(t, full, []*sentimentv1.TextItem{text("x"), text("y")}, polarity); !errors.Is(err, batch.ErrFull) {
		t.Errorf("overload: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	call := sentiment.NewCall([]*sentimentv1.TextItem{text("x")}, nil, nil, 0, 1<<20)
	if err := call.Analyze(ctx, few, []sentimentv1.TextFeature{polarity}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestManyTexts wants more texts than a queue holds answered in waves.
func TestManyTexts(t *testing.T) {
	m := model(t, manifest, always(0.1, 0.8, 0.1))
	texts := make([]*sentimentv1.TextItem, 5000)
	for i := range texts {
		texts[i] = text("fine")
	}
	results, errs, err := analyze(t, m, texts, polarity)
	if err != nil || m.Items.Load() != 5000 {
		t.Fatal(err, m.Items.Load())
	}
	for i, r := range results {
		if errs[i] != nil || r.GetSentiment() == nil || r.GetIndex() != int64(i) {
			t.Fatalf("text %d: %v %v", i, errs[i], r)
		}
	}
}
