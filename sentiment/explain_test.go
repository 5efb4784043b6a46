package sentiment_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	"github.com/scry-ml/scry/sentiment"
	"github.com/scry-ml/scry/tensor"
)

// weights of the tokens hello, world, the comma, fine and bad: what each adds to
// a text's score. That of "world" is 0.
var weights = map[int64]float32{4: 0.01, 6: -0.02, 7: 0.05, 8: -0.07}

const additiveManifest = `
heads:
  mood: {source: model.scores, sentiment: {negative: 2, neutral: 0, positive: 1}}
  intent: {source: model.scores, classes: {names: [none, buy, leave]}}
text: {tokenizer: tokenizer.json, max_length: 64}
`

// additive is a model whose score is the sum of its tokens' weights, so that what
// a word left out changes is known.
func additive(t testing.TB, manifest string) *pipelinetest.Model {
	t.Helper()
	graph := pipelinetest.Graph([]bundle.Value{pipelinetest.Value("input_ids", tensor.Int64, -1, -1)}, []bundle.Value{pipelinetest.Value("scores", tensor.Float32, -1, 3)})
	return pipelinetest.NewModel(t, pipelinetest.Files(graph, manifest, map[string]string{"tokenizer.json": pipelinetest.Tokenizer}), func(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		if !pipelinetest.IsYielding(ctx) {
			return nil, errors.New("a run that gives way to nobody")
		}
		sum := float32(0)
		for _, id := range tensor.View[int64](in[0]) {
			sum += weights[id]
		}
		out, err := tensor.From([]float32{0.5, 0.25 + sum/2, 0.25 - sum/2}, 1, 3)
		return []tensor.Tensor{out}, err
	})
}

func explained(t testing.TB, m sentiment.Explainable, req *sentimentv1.ExplainTextRequest) []*sentimentv1.TextExplanation {
	t.Helper()
	results, errs, err := sentiment.Explain(t.Context(), m, req)
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	return results
}

// print writes an explanation as "word contribution" by the offsets of a unit.
func printed(r *sentimentv1.TextExplanation, units []string) string {
	var b strings.Builder
	for _, w := range r.GetWords() {
		fmt.Fprintf(&b, "%s %.3f|", strings.Join(units[w.GetSpan().GetBegin():w.GetSpan().GetEnd()], ""), w.GetContribution())
	}
	return b.String()
}

func TestExplain(t *testing.T) {
	m := additive(t, additiveManifest)
	const said = "Hello, world! Fine, fine; not BAD."
	r := explained(t, m, &sentimentv1.ExplainTextRequest{Texts: []*sentimentv1.TextItem{text(said), text("bad")}})
	want := "Hello 0.010|, -0.020|world 0.000|! 0.000|Fine 0.050|, -0.020|fine 0.050|; 0.000|not 0.000|BAD -0.070|. 0.000|"
	if got := printed(r[0], strings.Split(said, "")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	sum := 0.01 - 0.02 + 0.05 - 0.02 + 0.05 - 0.07
	if r[0].GetTarget() != "score" || math.Abs(r[0].GetValue()-sum) > 1e-6 || r[0].GetEvaluations() != 12 || r[0].GetPredictionId() == "" ||
		len(r[0].GetServedBy()) != 1 || r[0].GetServedBy()[0].GetHeads()[0] != "mood" {
		t.Errorf("%v", r[0])
	}
	// The only word of a text is left out of it too.
	if got := printed(r[1], strings.Split("bad", "")); got != "bad -0.070|" || r[1].GetEvaluations() != 2 || r[1].GetIndex() != 1 {
		t.Errorf("%v", r[1])
	}

	for target, want := range map[string]string{
		"positive": "fine 0.025|bad -0.035|", "neutral": "fine 0.000|bad 0.000|", "negative": "fine -0.025|bad 0.035|",
		"intent.buy": "fine 0.025|bad -0.035|", "intent.leave": "fine -0.025|bad 0.035|",
	} {
		r := explained(t, m, &sentimentv1.ExplainTextRequest{Target: target, Texts: []*sentimentv1.TextItem{text("fine bad")}})
		if got := strings.ReplaceAll(printed(r[0], strings.Split("fine bad", "")), "-0.000", "0.000"); got != want || r[0].GetTarget() != target {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// The model is asked for no more texts than allowed; neighbours are left out
// together, and a group's contribution is the sum of its words'.
func TestExplainGroups(t *testing.T) {
	m := additive(t, additiveManifest)
	words := strings.Fields(strings.Repeat("bad fine hello ", 10))
	said := strings.Join(words, " ")
	for most := 2; most <= 40; most++ {
		m.Items.Store(0)
		r := explained(t, m, &sentimentv1.ExplainTextRequest{Texts: []*sentimentv1.TextItem{text(said)}, MaxEvaluations: int32(most)})[0]
		if want := min(most, len(words)+1); int(m.Items.Load()) != want || int(r.GetEvaluations()) != want || len(r.GetWords()) != want-1 {
			t.Fatalf("at most %d: %d runs, %d evaluations, %d words", most, m.Items.Load(), r.GetEvaluations(), len(r.GetWords()))
		}
		next, least, largest := 0, len(words), 0
		for _, w := range r.GetWords() {
			group := strings.Fields(said[w.GetSpan().GetBegin():w.GetSpan().GetEnd()])
			sum := 0.0
			for _, word := range group {
				if word != words[next] {
					t.Fatalf("at most %d: %q where %q was expected", most, word, words[next])
				}
				sum += map[string]float64{"bad": -0.07, "fine": 0.05, "hello": 0.01}[word]
				next++
			}
			least, largest = min(least, len(group)), max(largest, len(group))
			if math.Abs(w.GetContribution()-sum) > 1e-6 {
				t.Errorf("at most %d: %v for %q, want %v", most, w.GetContribution(), group, sum)
			}
		}
		if next != len(words) || largest-least > 1 {
			t.Errorf("at most %d: %d words, groups of %d to %d", most, next, least, largest)
		}
	}
}

func TestExplainOffsets(t *testing.T) {
	m := additive(t, additiveManifest)
	const said = "😀 плохо, bad — e\u0301t"
	want := "😀 0.000|плохо 0.000|, -0.020|bad -0.070|— 0.000|e\u0301t 0.000|"
	utf16 := []string{}
	for _, r := range said {
		if utf16 = append(utf16, string(r)); r > 0xFFFF {
			utf16 = append(utf16, "") // the second half
		}
	}
	bytes := make([]string, len(said))
	for i := range bytes {
		bytes[i] = said[i : i+1]
	}
	for unit, units := range map[sentimentv1.OffsetUnit][]string{
		sentimentv1.OffsetUnit_OFFSET_UNIT_UNSPECIFIED: bytes, sentimentv1.OffsetUnit_OFFSET_UNIT_UTF8_BYTES: bytes,
		sentimentv1.OffsetUnit_OFFSET_UNIT_UTF16: utf16, sentimentv1.OffsetUnit_OFFSET_UNIT_CODE_POINTS: strings.Split(said, ""),
	} {
		r := explained(t, m, &sentimentv1.ExplainTextRequest{Offsets: unit, Texts: []*sentimentv1.TextItem{text(said)}})
		if got := printed(r[0], units); got != want {
			t.Errorf("%v: got  %s\nwant %s", unit, got, want)
		}
	}
}

func TestExplainBadInput(t *testing.T) {
	m := additive(t, additiveManifest)
	broken := &sentimentv1.TextItem{Id: "broken", Content: &sentimentv1.TextItem_TextBytes{TextBytes: []byte("bad \xff fine")}}
	results, errs, err := sentiment.Explain(t.Context(), m, &sentimentv1.ExplainTextRequest{
		Texts: []*sentimentv1.TextItem{text(""), broken, {Id: "none"}, text(" \n "), text(strings.Repeat("я", 1<<20)), text("fine")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]string{0: "TEXT_EMPTY", 2: "TEXT_EMPTY", 4: "TEXT_TOO_LONG"} {
		if e, ok := errors.AsType[*pipeline.InputError](errs[i]); !ok || e.Reason != want || len(results[i].GetWords()) > 0 || results[i].GetPredictionId() != "" || results[i].GetIndex() != int64(i) {
			t.Errorf("text %d: %v, %v", i, errs[i], results[i])
		}
	}
	if got := printed(results[1], strings.Split("bad ...... fine", "")); errs[1] != nil || results[1].GetId() != "broken" || len(results[1].GetWords()) != 3 ||
		results[1].GetWords()[1].GetSpan().GetEnd() != 7 || len(results[1].GetWarnings()) != 1 || results[1].GetWarnings()[0].GetField() != "texts[1].text_bytes" {
		t.Errorf("%v %v %s", errs[1], results[1], got)
	}
	if errs[3] != nil || len(results[3].GetWords()) != 0 || results[3].GetEvaluations() != 1 || len(results[3].GetWarnings()) != 1 {
		t.Errorf("%v %v", errs[3], results[3])
	}
	if errs[5] != nil || len(results[5].GetWords()) != 1 {
		t.Errorf("%v %v", errs[5], results[5])
	}

	for _, c := range []struct {
		req           *sentimentv1.ExplainTextRequest
		field, reason string
	}{
		{&sentimentv1.ExplainTextRequest{Target: "joy"}, "target", "TARGET_UNKNOWN"},
		{&sentimentv1.ExplainTextRequest{Target: "intent.sell"}, "target", "TARGET_UNKNOWN"},
		{&sentimentv1.ExplainTextRequest{MaxEvaluations: 1}, "max_evaluations", "TOO_FEW_EVALUATIONS"},
	} {
		_, _, err := sentiment.Explain(t.Context(), m, c.req)
		if e, ok := errors.AsType[*pipeline.InputError](err); !ok || e.Field != c.field || e.Reason != c.reason {
			t.Errorf("%v: %v", c.req, err)
		}
	}
	labelled := additive(t, strings.Replace(additiveManifest, "  mood: {source: model.scores, sentiment: {negative: 2, neutral: 0, positive: 1}}\n", "", 1))
	_, _, err = sentiment.Explain(t.Context(), labelled, &sentimentv1.ExplainTextRequest{Texts: []*sentimentv1.TextItem{text("fine")}})
	if e, ok := errors.AsType[*pipeline.InputError](err); !ok || e.Reason != "TARGET_REQUIRED" || !strings.Contains(e.Message, "intent.none, intent.buy, intent.leave") {
		t.Error(err)
	}
}

// Who goes ends the work; overload and a full queue fail the call.
func TestExplainEnds(t *testing.T) {
	m := additive(t, additiveManifest)
	ctx, cancel := context.WithCancel(t.Context())
	compute, runs := m.Compute, atomic.Int64{}
	m.Compute = func(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		if runs.Add(1) == 40 {
			cancel()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return compute(ctx, in)
	}
	long := text(strings.Repeat("world ", 1000))
	if _, _, err := sentiment.Explain(ctx, m, &sentimentv1.ExplainTextRequest{Texts: []*sentimentv1.TextItem{long}, MaxEvaluations: 1000}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := runs.Load(); n > 40+2*32 {
		t.Errorf("%d runs after the caller went at the 40th", n)
	}
	m.Compute, m.Refuse = compute, batch.ErrDeadline
	if _, _, err := sentiment.Explain(t.Context(), m, &sentimentv1.ExplainTextRequest{Texts: []*sentimentv1.TextItem{long}}); !errors.Is(err, batch.ErrDeadline) {
		t.Error(err)
	}
	if m.Admitted.Rows != 32 || m.Admitted.Cost < 32*60 {
		t.Errorf("asked for %+v", m.Admitted)
	}
}

// A long text is read in chunks, whichever word is left out.
func TestExplainChunks(t *testing.T) {
	m := additive(t, strings.Replace(additiveManifest, "max_length: 64", "max_length: 12, stride: 2", 1))
	said := strings.Repeat("world ", 60) + "bad"
	r := explained(t, m, &sentimentv1.ExplainTextRequest{Texts: []*sentimentv1.TextItem{text(said)}})[0]
	if len(r.GetWords()) != 61 || len(r.GetWarnings()) != 0 || r.GetEvaluations() != 62 || m.Rows.Load() < 62*6 || m.Rows.Load() > 62*9 {
		t.Fatalf("%d words, %d rows, %v", len(r.GetWords()), m.Rows.Load(), r.GetWarnings())
	}
	for k, w := range r.GetWords() {
		if got := w.GetContribution(); (got < -0.005) != (k == 60) {
			t.Errorf("word %d: %v", k, got)
		}
	}
}
