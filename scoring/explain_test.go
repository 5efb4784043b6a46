package scoring_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/scoring"
	"github.com/scry-ml/scry/tensor"
)

// explained are the features of the models that Python's shap explained, two of
// them as a list of one event.
const explained = `
row:
  background: background.jsonl
  features: [{name: x0, type: FEATURE_TYPE_FLOAT}, {name: x1, type: FEATURE_TYPE_FLOAT}, {name: x2, type: FEATURE_TYPE_FLOAT},
    {name: s, type: FEATURE_TYPE_SEQUENCE, max_events: 3, fields: [{name: x3, type: FEATURE_TYPE_FLOAT}, {name: x4, type: FEATURE_TYPE_FLOAT}]}]
`

const explainedHeads = `
heads:
  odds:
    source: model.smooth
    probability:
      calibration: {logistic: {slope: 1, intercept: 0}}
      reasons:
        codes: [{feature: x0, code: X0, actionable: true, text: {en: "the x", ru: "икс"}}, {feature: s, code: S, text: {en: "the past"}}]
  amount: {source: model.smooth, value: {unit: EUR, reasons: {}}}
  next: {source: model.both, forecast: {horizon: 2}}
  which: {source: model.classes, classes: {names: [low, high]}}
  nearest: {source: model.smooth, segment: {nearest: {}, clusters: [{name: zero, centroid: [0]}, {name: two, centroid: [2]}]}}
  offers: {source: model.both, uplift: {treatments: [{name: call, column: 0}, {name: mail, column: 1, cost: 100}]}}
  place: {source: model.both, embedding: {}}
`

var explainedGraph = pipelinetest.Graph([]bundle.Value{
	value("x0", tensor.Float64, -1), value("x1", tensor.Float64, -1, 1), value("x2", tensor.Float64, -1), value("x3", tensor.Float64, -1, -1), value("x4", tensor.Float64, -1, -1),
}, []bundle.Value{value("smooth", tensor.Float64, -1, 1), value("both", tensor.Float64, -1, 2), value("classes", tensor.Float64, -1, 2)})

// smooth is the model of scripts/explain/make_testdata.py; of a sequence the
// first event counts.
func smooth(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
	x := func(k, row int) float64 {
		v := tensor.View[float64](in[k])
		return v[row*len(v)/int(in[0].Shape[0])]
	}
	n := in[0].Shape[0]
	var y, both, classes []float64
	for i := range int(n) {
		v := 0.3 + 1.5*x(0, i) - 2*x(1, i)*x(2, i) + max(x(3, i), 0.5)*x(0, i) + 0.25*x(4, i)*x(4, i)
		p := 1 / (1 + math.Exp(-v))
		y, both, classes = append(y, v), append(both, v, 3*v), append(classes, 1-p, p)
	}
	out := make([]tensor.Tensor, 3)
	out[0], _ = tensor.From(y, n, 1)
	out[1], _ = tensor.From(both, n, 2)
	out[2], _ = tensor.From(classes, n, 2)
	return out, nil
}

// shapData is what Python's shap says of the models "smooth" and "odds".
type shapData struct {
	Background, Rows [][]float64
	Models           map[string]struct {
		Base           float64
		Exact, Grouped [][]float64
	}
}

func features(x []float64) map[string]any {
	return map[string]any{"x0": x[0], "x1": x[1], "x2": x[2], "s": []any{map[string]any{"x3": x[3], "x4": x[4]}}}
}

func explainable(t testing.TB, rest string) (*pipelinetest.Model, shapData) {
	t.Helper()
	text, err := os.ReadFile("../explain/testdata/shap.json")
	if err != nil {
		t.Fatal(err)
	}
	var d shapData
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var background strings.Builder
	for _, row := range d.Background {
		line, err := json.Marshal(features(row))
		if err != nil {
			t.Fatal(err)
		}
		background.Write(append(line, '\n'))
	}
	return pipelinetest.NewModel(t, pipelinetest.Files(explainedGraph, explainedHeads+explained+rest, map[string]string{"background.jsonl": background.String()}), smooth), d
}

func why(t *testing.T, m scoring.Model, in *scoringv1.Instance, opts *scoringv1.ExplainOptions) *scoringv1.Explanation {
	t.Helper()
	results, errs, err := scoring.Explain(t.Context(), m, []*scoringv1.Instance{in}, opts)
	if err != nil || errs[0] != nil {
		t.Fatal(err, errs)
	}
	return results[0]
}

// groups make three players of five features: {x0}, {x1, x2} and the events.
const groups = "  groups: [{name: pair, features: [x2, x1]}]\n"

// TestExplainIsShap wants the numbers of Python's shap for groups of features, by
// every head.
func TestExplainIsShap(t *testing.T) {
	m, d := explainable(t, groups)
	for i, row := range d.Rows {
		in := instance("r", features(row))
		for name, c := range map[string]struct {
			opts   *scoringv1.ExplainOptions
			model  string
			factor float64
			target string
		}{
			"raw score":        {&scoringv1.ExplainOptions{Head: "odds"}, "smooth", 1, ""},
			"log-odds":         {&scoringv1.ExplainOptions{Head: "odds", Scale: scoringv1.Scale_SCALE_LOG_ODDS}, "smooth", 1, ""},
			"probability":      {&scoringv1.ExplainOptions{Head: "odds", Scale: scoringv1.Scale_SCALE_PROBABILITY}, "odds", 1, ""},
			"value":            {&scoringv1.ExplainOptions{Head: "amount"}, "smooth", 1, ""},
			"class":            {&scoringv1.ExplainOptions{Head: "which", Target: "high"}, "odds", 1, "high"},
			"other class":      {&scoringv1.ExplainOptions{Head: "which", Target: "low"}, "odds", -1, "low"},
			"treatment":        {&scoringv1.ExplainOptions{Head: "offers", Target: "mail"}, "smooth", 3, "mail"},
			"mean of forecast": {&scoringv1.ExplainOptions{Head: "next"}, "smooth", 2, ""},
		} {
			e := why(t, m, in, c.opts)
			want := d.Models[c.model]
			base := want.Base * c.factor
			if c.factor < 0 {
				base = 1 - want.Base
			}
			if !e.GetExact() || math.Abs(e.GetBaseValue()-base) > 1e-9 || math.Abs(e.GetAdditivityError()) > 1e-9 || e.GetBackgroundRows() != 7 || e.GetTarget() != c.target || e.GetHead() != c.opts.GetHead() {
				t.Errorf("row %d, %s: %v, want the base %v", i, name, e, base)
			}
			at := map[string]int{"x0": 0, "pair": 1, "s": 2}
			for _, got := range e.GetContributions() {
				w := want.Grouped[i][at[got.GetFeature()]] * c.factor
				if math.Abs(got.GetContribution()-w) > 1e-9 || got.GetStandardError() != 0 {
					t.Errorf("row %d, %s: %v, shap has %v", i, name, got, w)
				}
			}
			if len(e.GetContributions()) != 3 {
				t.Errorf("row %d, %s: %d contributions", i, name, len(e.GetContributions()))
			}
		}
	}
}

// TestExplainSamples wants a small budget kept, samples near the exact numbers,
// and the same row to have the same answer.
func TestExplainSamples(t *testing.T) {
	m, d := explainable(t, "")
	in := instance("r", features(d.Rows[0]))
	exact := why(t, m, in, &scoringv1.ExplainOptions{Head: "amount"}) // 15 coalitions of 4 players × 7 rows + 1
	if !exact.GetExact() || exact.GetEvaluations() != 106 {
		t.Errorf("%d evaluations, exact %v", exact.GetEvaluations(), exact.GetExact())
	}
	m.Rows.Store(0)
	const budget = 100
	e := why(t, m, in, &scoringv1.ExplainOptions{Head: "amount", MaxEvaluations: budget})
	if n := m.Rows.Load(); n > budget || int32(n) != e.GetEvaluations() || e.GetExact() {
		t.Errorf("%d rows were run, the answer says %d", n, e.GetEvaluations())
	}
	at := map[string]float64{}
	for _, c := range exact.GetContributions() {
		at[c.GetFeature()] = c.GetContribution()
	}
	sum := e.GetBaseValue() + e.GetAdditivityError()
	for _, c := range e.GetContributions() {
		if math.Abs(c.GetContribution()-at[c.GetFeature()]) > 4*c.GetStandardError()+1e-9 {
			t.Errorf("%v, exactly %v", c, at[c.GetFeature()])
		}
		sum += c.GetContribution()
	}
	if !near(sum, e.GetValue()) || math.Abs(e.GetAdditivityError()) > 1e-9 { // 14 pairs are two rounds of 7 rows
		t.Errorf("parts add up to %v, want %v; additivity error %v", sum, e.GetValue(), e.GetAdditivityError())
	}
	text := func(opts *scoringv1.ExplainOptions, id string) string {
		opts.Head, opts.MaxEvaluations = "amount", budget
		return fmt.Sprint(why(t, m, instance(id, features(d.Rows[0])), opts).GetContributions())
	}
	seed := uint64(0)
	if a := text(&scoringv1.ExplainOptions{}, "a"); a != text(&scoringv1.ExplainOptions{}, "b") {
		t.Error("the same row has two answers")
	} else if a == text(&scoringv1.ExplainOptions{Seed: &seed}, "a") {
		t.Error("the seed changes nothing")
	}
}

// TestExplainTargets wants the row's own class, segment and treatment explained
// where none is named.
func TestExplainTargets(t *testing.T) {
	m, d := explainable(t, "")
	for head, want := range map[string]string{"which": "low", "nearest": "zero", "offers": "call"} {
		e := why(t, m, instance("r", features(d.Rows[0])), &scoringv1.ExplainOptions{Head: head})
		if e.GetTarget() != want || e.GetEvaluations() != 107 || e.GetScale() != 0 {
			t.Errorf("%s: %v, want %s", head, e, want)
		}
	}
}

func TestExplainTexts(t *testing.T) {
	m, d := explainable(t, groups)
	show := func(opts *scoringv1.ExplainOptions) string {
		opts.Head = "odds"
		var out []string
		for _, c := range why(t, m, instance("r", features(d.Rows[0])), opts).GetContributions() {
			out = append(out, fmt.Sprint(c.GetFeature(), " ", c.GetMembers(), " ", c.GetCode(), " ", c.GetText(), " ", c.GetActionable()))
		}
		return strings.Join(out, "|")
	}
	if got := show(&scoringv1.ExplainOptions{Language: "ru"}); got != "pair [x2 x1]  pair false|x0 [] X0 икс true|s [] S the past false" {
		t.Errorf("%q", got)
	}
	if got := show(&scoringv1.ExplainOptions{ActionableOnly: true}); got != "x0 [] X0 the x true" {
		t.Errorf("%q", got)
	}
}

func TestExplainRefused(t *testing.T) {
	m, d := explainable(t, "")
	in := []*scoringv1.Instance{instance("r", features(d.Rows[0]))}
	for _, c := range []struct {
		opts *scoringv1.ExplainOptions
		want string
	}{
		{nil, "HEAD_REQUIRED options.head"},
		{&scoringv1.ExplainOptions{Head: "place"}, "HEAD_UNKNOWN options.head"},
		{&scoringv1.ExplainOptions{Head: "which", Target: "middle"}, "TARGET_UNKNOWN options.target"},
		{&scoringv1.ExplainOptions{Head: "odds", Target: "odds"}, "TARGET_UNKNOWN options.target"},
		// 1 + 1 + 7 + 2 × 6 are needed.
		{&scoringv1.ExplainOptions{Head: "odds", MaxEvaluations: 20}, "TOO_FEW_EVALUATIONS options.max_evaluations"},
	} {
		if _, _, err := scoring.Explain(t.Context(), m, in, c.opts); reasonOf(err) != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
	if _, errs, err := scoring.Explain(t.Context(), m, in, &scoringv1.ExplainOptions{Head: "odds", MaxEvaluations: 21}); err != nil || errs[0] != nil {
		t.Errorf("%v, %v", err, errs)
	}
	bare := pipelinetest.NewModel(t, pipelinetest.Files(graph, everyHead, nil), compute)
	if _, _, err := scoring.Explain(t.Context(), bare, in, &scoringv1.ExplainOptions{Head: "churn"}); !errors.Is(err, scoring.ErrUnexplained) {
		t.Errorf("a model without background: %v", err)
	}
}

// TestExplainBadRows wants a bad row to fail by itself, and an overload to fail
// the call.
func TestExplainBadRows(t *testing.T) {
	m, d := explainable(t, "")
	bad := features(d.Rows[1])
	bad["x1"] = "x"
	rows := []*scoringv1.Instance{instance("good", features(d.Rows[0])), instance("bad", bad), instance("last", features(d.Rows[2]))}
	results, errs, err := scoring.Explain(t.Context(), m, rows, &scoringv1.ExplainOptions{Head: "odds"})
	if err != nil || errs[0] != nil || errs[2] != nil || reasonOf(errs[1]) != `FEATURE_TYPE features["x1"]` {
		t.Fatalf("%v, %v", err, errs)
	}
	if results[2].GetId() != "last" || results[2].GetIndex() != 2 || len(results[2].GetContributions()) != 4 || results[1].GetContributions() != nil {
		t.Errorf("results %v", results)
	}
	m.Compute = func(context.Context, []tensor.Tensor) ([]tensor.Tensor, error) { return nil, &batch.FullError{} }
	if _, _, err := scoring.Explain(t.Context(), m, rows, &scoringv1.ExplainOptions{Head: "odds"}); !pipeline.Overload(err) {
		t.Errorf("error %v", err)
	}
	m.Compute = func(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		out, err := smooth(t.Context(), in)
		tensor.View[float64](out[0])[0] = math.NaN()
		return out, err
	}
	if _, errs, err := scoring.Explain(t.Context(), m, rows[:1], &scoringv1.ExplainOptions{Head: "odds"}); err != nil || !errors.Is(errs[0], pipeline.ErrOutput) {
		t.Errorf("NaN: %v, %v", err, errs)
	}
}

// TestSampledReasons wants reasons of a model that gives no contributions, alike
// for instances and tables, within their cost, and by runs that give way.
func TestSampledReasons(t *testing.T) {
	m, d := explainable(t, "")
	var yielding, plain atomic.Int64
	m.Compute = func(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		if pipelinetest.IsYielding(ctx) {
			yielding.Add(in[0].Shape[0])
		} else {
			plain.Add(in[0].Shape[0])
		}
		return smooth(ctx, in)
	}
	opts := &scoringv1.ScoreOptions{Heads: []string{"odds", "amount"}, Reasons: 2, Language: "ru"}
	var rows []*scoringv1.Instance
	for _, row := range d.Rows {
		rows = append(rows, instance("", features(row)))
	}
	bad := features(d.Rows[0])
	bad["x0"] = "x"
	rows = append(rows, instance("", bad))
	results, errs, err := scoring.Score(t.Context(), m, rows, opts, 0)
	if err != nil || errs[0] != nil || errs[3] == nil {
		t.Fatal(err, errs)
	}
	if plain.Load() != 4 || yielding.Load() != 3*106 { // both heads share the rows
		t.Errorf("%d rows and %d that give way", plain.Load(), yielding.Load())
	}
	for i := range d.Rows {
		exact := why(t, m, rows[i], &scoringv1.ExplainOptions{Head: "amount", Language: "ru"}).GetContributions()
		for _, reasons := range [][]*scoringv1.Reason{results[i].GetHeads()["odds"].GetProbability().GetReasons(), results[i].GetHeads()["amount"].GetValue().GetReasons()} {
			if len(reasons) != 2 {
				t.Fatalf("row %d: reasons %v", i, reasons)
			}
			for k, r := range reasons {
				if r.GetFeature() != exact[k].GetFeature() || !near(r.GetContribution(), exact[k].GetContribution()) {
					t.Errorf("row %d: reason %d is %v, want %v", i, k, r, exact[k])
				}
			}
		}
	}
	var seen bool
	for _, r := range results[0].GetHeads()["odds"].GetProbability().GetReasons() {
		seen = seen || r.GetCode() == "X0" && r.GetText() == "икс" && r.GetActionable()
	}
	if !seen {
		t.Errorf("reasons %v", results[0].GetHeads()["odds"])
	}

	table := &scoringv1.Table{Rows: 3}
	columns := make([][]float64, 5)
	for _, row := range d.Rows {
		for k, x := range row {
			columns[k] = append(columns[k], x)
		}
	}
	table.Columns = []*scoringv1.Column{doubles("x0", columns[0]...), doubles("x1", columns[1]...), doubles("x2", columns[2]...),
		{Name: "s", Data: &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{Offsets: []uint32{0, 1, 2, 3}, Fields: []*scoringv1.Column{doubles("x3", columns[3]...), doubles("x4", columns[4]...)}}}}}
	got, failed, err := scoring.ScoreTable(t.Context(), m, table, opts, 0, 0)
	if err != nil || len(failed) > 0 {
		t.Fatal(err, failed)
	}
	for i := range d.Rows {
		for name, c := range map[string]struct {
			columns []*scoringv1.ReasonColumn
			want    []*scoringv1.Reason
		}{
			"odds":   {got.GetHeads()["odds"].GetProbability().GetReasons(), results[i].GetHeads()["odds"].GetProbability().GetReasons()},
			"amount": {got.GetHeads()["amount"].GetValue().GetReasons(), results[i].GetHeads()["amount"].GetValue().GetReasons()},
		} {
			for k, want := range c.want {
				r := c.columns[k]
				if r.GetFeatureNames()[r.GetFeature()[i]] != want.GetFeature() || r.GetContribution()[i] != want.GetContribution() || r.GetCodes()[r.GetFeature()[i]] != want.GetCode() {
					t.Errorf("row %d of %s: reason %d is %v, want %v", i, name, k, r, want)
				}
			}
		}
	}
	// Overload of what gives way fails the call: it is a part of the answer.
	m.Compute = func(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		if pipelinetest.IsYielding(ctx) {
			return nil, &batch.FullError{}
		}
		return smooth(ctx, in)
	}
	if _, _, err := scoring.Score(t.Context(), m, rows, opts, 0); !pipeline.Overload(err) {
		t.Errorf("error %v", err)
	}
	if _, errs, err := scoring.Score(t.Context(), m, rows, &scoringv1.ScoreOptions{Heads: opts.Heads}, 0); err != nil || errs[0] != nil {
		t.Errorf("without reasons: %v, %v", err, errs)
	}
}

// TestReasonsOfManyFeatures wants reasons of a model with more features than the
// usual budget is enough for.
func TestReasonsOfManyFeatures(t *testing.T) {
	const n = 200
	var specs, row []string
	values := map[string]any{}
	for i := range n {
		specs = append(specs, fmt.Sprintf("{name: f%d, type: FEATURE_TYPE_FLOAT}", i))
		row = append(row, fmt.Sprintf(`"f%d": %d`, i, i%3))
		values[fmt.Sprintf("f%d", i)] = float64(i % 3)
	}
	values["f150"] = 50.0
	manifest := "heads: {sum: {source: model.y, value: {reasons: {}}}}\nrow: {background: b.jsonl, matrix_input: x, features: [" + strings.Join(specs, ", ") + "]}\n"
	g := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, n)}, []bundle.Value{value("y", tensor.Float32, -1)})
	m := pipelinetest.NewModel(t, pipelinetest.Files(g, manifest, map[string]string{"b.jsonl": "{" + strings.Join(row, ", ") + "}\n"}), func(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		x := tensor.View[float32](in[0])
		y := make([]float32, in[0].Shape[0])
		for i, v := range x {
			y[i/n] += v
		}
		out, err := tensor.From(y, int64(len(y)))
		return []tensor.Tensor{out}, err
	})
	r := one(t, m, instance("", values), &scoringv1.ScoreOptions{Reasons: 5}).GetHeads()["sum"].GetValue().GetReasons()
	if len(r) != 1 || r[0].GetFeature() != "f150" || !near(r[0].GetContribution(), 50) {
		t.Errorf("reasons %v", r)
	}
	if rows := m.Rows.Load(); rows > 1+4*n {
		t.Errorf("%d rows for one", rows)
	}
}

// BenchmarkSampledReasons finds reasons of one row of 20 features, each an input
// of its own.
func BenchmarkSampledReasons(b *testing.B) {
	const n = 20
	var specs []string
	var inputs []bundle.Value
	values := map[string]any{}
	for i := range n {
		name := fmt.Sprintf("f%d", i)
		specs = append(specs, fmt.Sprintf("{name: %s, type: FEATURE_TYPE_FLOAT}", name))
		inputs = append(inputs, value(name, tensor.Float32, -1, 1))
		values[name] = float64(i)
	}
	manifest := "heads: {sum: {source: model.y, value: {reasons: {}}}}\nrow: {background: b.jsonl, features: [" + strings.Join(specs, ", ") + "]}\n"
	m := pipelinetest.NewModel(b, pipelinetest.Files(pipelinetest.Graph(inputs, []bundle.Value{value("y", tensor.Float32, -1)}), manifest, map[string]string{"b.jsonl": strings.Repeat("{}\n{\"f0\": 1}\n", 50)}),
		func(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
			out, err := tensor.New(tensor.Float32, in[0].Shape[0])
			return []tensor.Tensor{out}, err
		})
	in := []*scoringv1.Instance{instance("", values)}
	opts := &scoringv1.ScoreOptions{Reasons: 3}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := scoring.Score(b.Context(), m, in, opts, 0); err != nil {
			b.Fatal(err)
		}
	}
}
