package scoring_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/scoring"
	"github.com/scry-ml/scry/tensor"
)

var value = pipelinetest.Value

// everyHead has a head of every kind over two features.
const everyHead = `
heads:
  churn:
    source: model.score
    probability:
      event: churn
      raw_score: model.logit
      threshold: 0.6
      quantiles: [0, 0.25, 0.25, 0.625, 1]
      bands: [{name: low, min_probability: 0}, {name: mid, min_probability: 0.5}, {name: high, min_probability: 0.9}]
      reasons:
        contributions: model.why
        codes:
        - {feature: a, code: A, actionable: true, text: {en: "an A", ru: "это А"}}
        - {feature: b, code: B, text: {en: "a B"}}
  platt: {source: model.logit, probability: {calibration: {logistic: {slope: 2, intercept: 1}}}}
  steps: {source: model.logit, probability: {calibration: {points: {scores: [-1, 0, 2], probabilities: [0.1, 0.5, 0.9]}}}}
  second: {source: model.value, probability: {column: 1, raw_score: model.value, calibration: {logistic: {slope: 0, intercept: 0}}}}
  spend: {source: model.value, value: {unit: EUR, column: 1}}
  tier: {source: model.tiers, classes: {names: [iron, gold, lead], activation: ACTIVATION_SOFTMAX}}
  place: {source: model.tiers, embedding: {normalize: true}}
row:
  features: [{name: a, type: FEATURE_TYPE_FLOAT}, {name: b, type: FEATURE_TYPE_FLOAT}, {name: c, type: FEATURE_TYPE_FLOAT, default: 0, min: 0}]
`

var graph = pipelinetest.Graph([]bundle.Value{value("a", tensor.Float32, -1), value("b", tensor.Float32, -1, 1), value("c", tensor.Float64, -1)}, []bundle.Value{
	value("score", tensor.Float32, -1, 1), value("logit", tensor.Float32, -1), value("why", tensor.Float32, -1, 3),
	value("value", tensor.Float64, -1, 2), value("tiers", tensor.Float32, -1, 3),
})

// compute gives score = a, logit = b, why = (a, -b, 0), value = (0, c), tiers =
// (a, b, 0). It fails items that hold a row of a = 13.
func compute(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
	a, b, c := tensor.View[float32](in[0]), tensor.View[float32](in[1]), tensor.View[float64](in[2])
	n := int64(len(a))
	var why, tiers []float32
	var values []float64
	for i := range a {
		if a[i] == 13 {
			return nil, errors.New("unlucky")
		}
		why = append(why, a[i], -b[i], 0)
		tiers = append(tiers, a[i], b[i], 0)
		values = append(values, 0, c[i])
	}
	out := make([]tensor.Tensor, 5)
	out[0], _ = tensor.From(a, n, 1)
	out[1], _ = tensor.From(b, n)
	out[2], _ = tensor.From(why, n, 3)
	out[3], _ = tensor.From(values, n, 2)
	out[4], _ = tensor.From(tiers, n, 3)
	return out, nil
}

func model(t testing.TB) *pipelinetest.Model {
	t.Helper()
	return pipelinetest.NewModel(t, pipelinetest.Files(graph, everyHead, nil), compute)
}

func instance(id string, features map[string]any) *scoringv1.Instance {
	s, err := structpb.NewStruct(features)
	if err != nil {
		panic(err)
	}
	return &scoringv1.Instance{Id: id, Features: s}
}

func abc(a, b, c float64) *scoringv1.Instance {
	return instance("", map[string]any{"a": a, "b": b, "c": c})
}

// one scores one row.
func one(t *testing.T, m scoring.Model, in *scoringv1.Instance, opts *scoringv1.ScoreOptions) *scoringv1.ScoreResult {
	t.Helper()
	results, errs, err := scoring.Score(t.Context(), m, []*scoringv1.Instance{in}, opts, 0)
	if err != nil || errs[0] != nil {
		t.Fatal(err, errs)
	}
	return results[0]
}

func reasonOf(err error) string {
	in, ok := errors.AsType[*pipeline.InputError](err)
	if !ok {
		return fmt.Sprint(err)
	}
	return in.Reason + " " + in.Field
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

func TestProbability(t *testing.T) {
	m := model(t)
	for _, c := range []struct {
		score, logit float64
		percentile   float64
		band         string
		predicted    bool
		platt, steps float64
	}{
		{0, -3, 0, "low", false, 1 / (1 + math.Exp(5)), 0.1},
		{0.1, -1, 10, "low", false, 1 / (1 + math.Exp(1)), 0.1},
		{0.25, -0.5, 25, "low", false, 0.5, 0.3}, // among equal quantiles: those below
		{0.3, 0, 25 * (2 + 0.05/0.375), "low", false, 1 / (1 + math.Exp(-1)), 0.5},
		{0.5, 1, 25 * (2 + 0.25/0.375), "mid", false, 1 / (1 + math.Exp(-3)), 0.7},
		{0.625, 2, 75, "mid", true, 1 / (1 + math.Exp(-5)), 0.9},
		{1, 50, 100, "high", true, 1, 0.9},
		{1.004, 50, 100, "high", true, 1, 0.9}, // a hair above
	} {
		got := one(t, m, abc(c.score, c.logit, 0), nil).GetHeads()
		p := got["churn"].GetProbability()
		if !near(p.GetProbability(), min(c.score, 1)) || !near(p.GetRawScore(), c.logit) || p.GetThreshold() != 0.6 || p.GetEvent() != "churn" {
			t.Errorf("score %v: %v", c.score, p)
		}
		if math.Abs(p.GetPercentile()-c.percentile) > 1e-5 || p.GetBand() != c.band || p.GetPredicted() != c.predicted {
			t.Errorf("score %v: percentile %v, band %s, predicted %v; want %v, %s, %v", c.score, p.GetPercentile(), p.GetBand(), p.GetPredicted(), c.percentile, c.band, c.predicted)
		}
		if x := got["platt"].GetProbability(); !near(x.GetProbability(), c.platt) || !near(x.GetRawScore(), c.logit) || x.GetThreshold() != 0.5 || x.Percentile != nil || x.GetBand() != "" {
			t.Errorf("logit %v: platt %v, want %v", c.logit, x, c.platt)
		}
		if x := got["steps"].GetProbability().GetProbability(); !near(x, c.steps) {
			t.Errorf("logit %v: points %v, want %v", c.logit, x, c.steps)
		}
	}
}

func TestOtherHeads(t *testing.T) {
	got := one(t, model(t), abc(0.3, 0.4, 123456789.25), nil).GetHeads()
	if v := got["spend"].GetValue(); v.GetValue() != 123456789.25 || v.GetUnit() != "EUR" {
		t.Errorf("value %v", v)
	}
	if p := got["second"].GetProbability(); p.GetProbability() != 0.5 || p.GetRawScore() != 123456789.25 {
		t.Errorf("the second column: %v", p)
	}
	sum := math.Exp(0.3) + math.Exp(0.4) + 1
	var names []string
	for _, c := range got["tier"].GetClasses().GetClasses() {
		names = append(names, c.GetName())
		want := map[string]float64{"iron": math.Exp(0.3), "gold": math.Exp(0.4), "lead": 1}[c.GetName()] / sum
		if !near(c.GetProbability(), want) {
			t.Errorf("%s has %v, want %v", c.GetName(), c.GetProbability(), want)
		}
	}
	if fmt.Sprint(names) != "[gold iron lead]" {
		t.Errorf("classes %v", names)
	}
	if v := got["place"].GetEmbedding().GetValues(); len(v) != 3 || !near(float64(v[0]), 0.6) || !near(float64(v[1]), 0.8) {
		t.Errorf("embedding %v", v)
	}
}

func TestReasons(t *testing.T) {
	m := model(t)
	for _, c := range []struct {
		name string
		a, b float64
		opts *scoringv1.ScoreOptions
		want string
	}{
		{"none asked", 0.5, 0.25, &scoringv1.ScoreOptions{}, ""},
		{"by size", 0.5, 0.75, &scoringv1.ScoreOptions{Reasons: 5}, "b B a B -0.75 false|a A an A 0.5 true"},
		{"ties keep the features' order", 0.5, 0.5, &scoringv1.ScoreOptions{Reasons: 5}, "a A an A 0.5 true|b B a B -0.5 false"},
		{"the strongest", 0.5, 0.75, &scoringv1.ScoreOptions{Reasons: 1}, "b B a B -0.75 false"},
		{"actionable", 0.5, 0.75, &scoringv1.ScoreOptions{Reasons: 5, ActionableOnly: true}, "a A an A 0.5 true"},
		{"language", 0.5, 0.75, &scoringv1.ScoreOptions{Reasons: 5, Language: "ru"}, "b B a B -0.75 false|a A это А 0.5 true"},
		{"region of a language", 0.5, 0, &scoringv1.ScoreOptions{Reasons: 5, Language: "RU-ru"}, "a A это А 0.5 true"},
		{"unknown language", 0.5, 0, &scoringv1.ScoreOptions{Reasons: 5, Language: "xx"}, "a A an A 0.5 true"},
		{"nothing moved", 0, 0, &scoringv1.ScoreOptions{Reasons: 5}, ""},
	} {
		var got []string
		for _, r := range one(t, m, abc(c.a, c.b, 0), c.opts).GetHeads()["churn"].GetProbability().GetReasons() {
			got = append(got, fmt.Sprint(r.GetFeature(), " ", r.GetCode(), " ", r.GetText(), " ", r.GetContribution(), " ", r.GetActionable()))
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestReasonsWithoutCodes names a feature that has no code as it is.
func TestReasonsWithoutCodes(t *testing.T) {
	manifest := strings.Replace(everyHead, "codes:", "codes: [] #", 1)
	manifest = manifest[:strings.Index(manifest, "        - {feature: a")] + manifest[strings.Index(manifest, "  platt:"):]
	m := pipelinetest.NewModel(t, pipelinetest.Files(graph, manifest, nil), compute)
	r := one(t, m, abc(0.5, 0, 0), &scoringv1.ScoreOptions{Reasons: 1}).GetHeads()["churn"].GetProbability().GetReasons()
	if len(r) != 1 || r[0].GetText() != "a" || r[0].GetCode() != "" || r[0].GetActionable() {
		t.Errorf("reasons %v", r)
	}
}

func TestHeadsOfACall(t *testing.T) {
	m := model(t)
	r := one(t, m, abc(0.5, 0, 0), &scoringv1.ScoreOptions{Heads: []string{"spend", "churn", "spend"}})
	if len(r.GetHeads()) != 2 || fmt.Sprint(r.GetServedBy()[0].GetHeads()) != "[churn spend]" {
		t.Errorf("heads %v, served by %v", r.GetHeads(), r.GetServedBy())
	}
	if s := r.GetServedBy()[0]; s.GetModel() != "test" || s.GetVersion() != 7 || s.GetDevice() != "cpu" || s.GetBatchSize() != 1 {
		t.Errorf("served by %v", s)
	}
	_, _, err := scoring.Score(t.Context(), m, []*scoringv1.Instance{abc(0, 0, 0)}, &scoringv1.ScoreOptions{Heads: []string{"churn", "chrun"}}, 0)
	if reasonOf(err) != "HEAD_UNKNOWN options.heads[1]" {
		t.Errorf("error %v", err)
	}
	for name, manifest := range map[string]string{
		"no rows":  "heads: {spend: {source: model.value, value: {}}}\n",
		"no heads": everyHead[strings.Index(everyHead, "row:"):],
	} {
		bare := pipelinetest.NewModel(t, pipelinetest.Files(graph, manifest, nil), compute)
		if _, _, err := scoring.Score(t.Context(), bare, []*scoringv1.Instance{abc(0, 0, 0)}, nil, 0); !errors.Is(err, scoring.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBadRowsFailAlone wants a row that preprocessing, the graph or a head
// refuses to fail by itself, and the others answered in their places.
func TestBadRowsFailAlone(t *testing.T) {
	m := model(t)
	rows := []*scoringv1.Instance{
		instance("first", map[string]any{"a": 0.25, "b": 1}),
		instance("bad", map[string]any{"a": "x"}),
		instance("unlucky", map[string]any{"a": 13, "b": 1}),
		instance("nan", map[string]any{"a": 0.5}), // b is NaN, so its logit is
		instance("logit", map[string]any{"a": 7, "b": 1}),
		instance("last", map[string]any{"a": 0.75, "b": 1, "c": -1}),
	}
	results, errs, err := scoring.Score(t.Context(), m, rows, nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"<nil>", `FEATURE_TYPE features["a"]`, "unlucky", "output", "output", "<nil>"}
	seen := map[string]bool{}
	for i, r := range results {
		got := reasonOf(errs[i])
		if errors.Is(errs[i], pipeline.ErrOutput) {
			got = "output"
		}
		if got != want[i] || r.GetId() != rows[i].GetId() || r.GetIndex() != 100+int64(i) {
			t.Errorf("row %d: %s (want %s), %v", i, got, want[i], r)
		}
		if bare := r.GetHeads() == nil && r.GetPredictionId() == "" && r.GetServedBy() == nil && r.GetWarnings() == nil; bare != (errs[i] != nil) {
			t.Errorf("row %d: error %v and result %v", i, errs[i], r)
		}
		if id := r.GetPredictionId(); id != "" && seen[id] {
			t.Errorf("prediction %s twice", id)
		} else {
			seen[id] = true
		}
	}
	if a := results[0].GetHeads()["churn"].GetProbability().GetProbability(); a != 0.25 {
		t.Errorf("the first row has %v", a)
	}
	if w := results[5].GetWarnings(); len(w) != 1 || w[0].GetField() != `instances[5].features["c"]` {
		t.Errorf("warnings %v", w)
	}
}

func TestNothingToRun(t *testing.T) {
	m := model(t)
	_, errs, err := scoring.Score(t.Context(), m, []*scoringv1.Instance{instance("", map[string]any{"a": true})}, nil, 0)
	if err != nil || errs[0] == nil || m.Items.Load() != 0 {
		t.Errorf("%v, %v, %d runs", err, errs, m.Items.Load())
	}
}

// TestOverload wants the whole call refused, alone or in the second attempt.
func TestOverload(t *testing.T) {
	rows := []*scoringv1.Instance{abc(0.5, 0, 0), abc(0.25, 0, 0)}
	for name, overloaded := range map[string]func(run int64) error{
		"at once": func(int64) error { return &batch.FullError{} },
		"after a bad row": func(run int64) error {
			if run == 1 {
				return errors.New("a bad row")
			}
			return &batch.DeadlineError{}
		},
	} {
		var runs atomic.Int64
		m := model(t)
		m.Compute = func(context.Context, []tensor.Tensor) ([]tensor.Tensor, error) { return nil, overloaded(runs.Add(1)) }
		if _, _, err := scoring.Score(t.Context(), m, rows, nil, 0); !pipeline.Overload(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManyInstances wants 10,000 rows to go in waves, each answered in place.
func TestManyInstances(t *testing.T) {
	m := model(t)
	rows := make([]*scoringv1.Instance, 10_000)
	for i := range rows {
		rows[i] = abc(float64(i)/10_000, 0, 0)
	}
	results, errs, err := scoring.Score(t.Context(), m, rows, &scoringv1.ScoreOptions{Heads: []string{"churn"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for i, r := range results {
		if errs[i] != nil || r.GetHeads()["churn"].GetProbability().GetProbability() != float64(float32(float64(i)/10_000)) {
			t.Fatalf("row %d: %v %v", i, errs[i], r)
		}
		ids[r.GetPredictionId()] = true
	}
	if len(ids) != len(rows) {
		t.Errorf("%d prediction ids", len(ids))
	}
	if m.MostRows.Load() > pipeline.WaveItems || m.Rows.Load() != 10_000 {
		t.Errorf("%d rows in all, at most %d at once", m.Rows.Load(), m.MostRows.Load())
	}
}

func TestMaxItems(t *testing.T) {
	m := pipelinetest.NewModel(t, pipelinetest.Files(graph, everyHead+"limits: {max_items: 1}\n", nil), compute)
	if _, _, err := scoring.Score(t.Context(), m, []*scoringv1.Instance{abc(0, 0, 0), abc(0, 0, 0)}, nil, 0); reasonOf(err) != "TOO_MANY_ITEMS instances" {
		t.Errorf("error %v", err)
	}
}

func BenchmarkScore(b *testing.B) {
	m := model(b)
	rows := make([]*scoringv1.Instance, 1000)
	for i := range rows {
		rows[i] = abc(float64(i)/1000, 1, 0)
	}
	opts := &scoringv1.ScoreOptions{Heads: []string{"churn"}, Reasons: 3}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := scoring.Score(b.Context(), m, rows, opts, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "rows/s")
}
