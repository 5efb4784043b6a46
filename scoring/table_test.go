package scoring_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/scoring"
	"github.com/scry-ml/scry/tensor"
)

func doubles(name string, values ...float64) *scoringv1.Column {
	return &scoringv1.Column{Name: name, Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: values}}}
}

func table(a, b, c []float64) *scoringv1.Table {
	return &scoringv1.Table{Rows: int64(len(a)), Columns: []*scoringv1.Column{doubles("a", a...), doubles("b", b...), doubles("c", c...)}}
}

// TestTableIsInstances wants every number of a table's answer to be that of the
// same rows sent as instances, and the same rows to fail.
func TestTableIsInstances(t *testing.T) {
	m := model(t)
	opts := &scoringv1.ScoreOptions{Reasons: 2}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "rows")
		var a, b, c []float64
		var rows []*scoringv1.Instance
		for range n {
			x := rapid.SampledFrom([]float64{0, 0.25, 0.5, 1, 7, 13, math.NaN()}).Draw(rt, "a")
			y := rapid.SampledFrom([]float64{-2, 0, 0.5, 3, math.NaN()}).Draw(rt, "b")
			z := rapid.Float64Range(-5, 1e6).Draw(rt, "c")
			a, b, c = append(a, x), append(b, y), append(c, z)
			row := abc(x, y, z)
			for name, v := range row.GetFeatures().GetFields() {
				if math.IsNaN(v.GetNumberValue()) {
					row.Features.Fields[name] = structpb.NewNullValue()
				}
			}
			rows = append(rows, row)
		}
		results, errs, err := scoring.Score(t.Context(), m, rows, opts, 0)
		if err != nil {
			rt.Fatal(err)
		}
		got, failed, err := scoring.ScoreTable(t.Context(), m, table(a, b, c), opts, 0, 0)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range rows {
			if (errs[i] == nil) != (failed[i] == nil) || errs[i] != nil && errs[i].Error() != failed[i].Error() {
				rt.Fatalf("row %d: %v as an instance, %v in a table", i, errs[i], failed[i])
			}
			for name, h := range got.GetHeads() {
				want := results[i].GetHeads()[name]
				switch k := h.GetKind().(type) {
				case *scoringv1.HeadColumns_Probability:
					compareProbability(rt, i, k.Probability, want.GetProbability())
				case *scoringv1.HeadColumns_Value:
					if k.Value.GetValues()[i] != want.GetValue().GetValue() {
						rt.Fatalf("row %d of %s: %v, want %v", i, name, k.Value.GetValues()[i], want)
					}
				case *scoringv1.HeadColumns_Classes:
					for j, class := range k.Classes.GetNames() {
						p := 0.0
						for _, w := range want.GetClasses().GetClasses() {
							if w.GetName() == class {
								p = w.GetProbability()
							}
						}
						if k.Classes.GetProbabilities()[i*3+j] != p {
							rt.Fatalf("row %d of %s: %v, want %v", i, name, k.Classes.GetProbabilities(), want)
						}
					}
				case *scoringv1.HeadColumns_Embedding:
					values := want.GetEmbedding().GetValues()
					if want == nil {
						values = make([]float32, k.Embedding.GetSize())
					}
					if mine := k.Embedding.GetValues()[i*int(k.Embedding.GetSize()):][:k.Embedding.GetSize()]; fmt.Sprint(mine) != fmt.Sprint(values) {
						rt.Fatalf("row %d of %s: %v, want %v", i, name, mine, values)
					}
				}
			}
		}
	})
}

func compareProbability(rt *rapid.T, i int, c *scoringv1.ProbabilityColumns, want *scoringv1.Probability) {
	if c.GetProbability()[i] != want.GetProbability() || c.GetRawScore()[i] != want.GetRawScore() {
		rt.Fatalf("row %d: %v from %v, want %v", i, c.GetProbability()[i], c.GetRawScore()[i], want)
	}
	if c.Percentile != nil && c.GetPercentile()[i] != want.GetPercentile() {
		rt.Fatalf("row %d: percentile %v, want %v", i, c.GetPercentile()[i], want.GetPercentile())
	}
	if c.Band != nil && want.GetBand() != "" && c.GetBandNames()[c.GetBand()[i]] != want.GetBand() {
		rt.Fatalf("row %d: band %v, want %v", i, c.GetBand()[i], want.GetBand())
	}
	for rank, r := range c.GetReasons() {
		feature, contribution, code := r.GetFeatureNames()[r.GetFeature()[i]], r.GetContribution()[i], r.GetCodes()[r.GetFeature()[i]]
		if rank >= len(want.GetReasons()) {
			if contribution != 0 {
				rt.Fatalf("row %d: %s moved it by %v", i, feature, contribution)
			}
			continue
		}
		if w := want.GetReasons()[rank]; feature != w.GetFeature() || contribution != w.GetContribution() || code != w.GetCode() {
			rt.Fatalf("row %d: reason %d is %s %s %v, want %v", i, rank, feature, code, contribution, w)
		}
	}
}

func TestTableAnswer(t *testing.T) {
	m := model(t)
	in := table([]float64{0.25, 13, 0.75}, []float64{0, 0, 0}, []float64{-1, 1, -1})
	in.Ids = []string{"x", "y", "z"}
	got, failed, err := scoring.ScoreTable(t.Context(), m, in, &scoringv1.ScoreOptions{Heads: []string{"churn", "place"}}, 40, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.GetRows() != 3 || fmt.Sprint(got.GetIds()) != "[x y z]" || got.GetFirstIndex() != 40 || len(got.GetPredictionId()) != 36 || len(got.GetHeads()) != 2 {
		t.Errorf("answer %v", got)
	}
	if len(failed) != 1 || failed[1] == nil {
		t.Errorf("failed rows %v", failed)
	}
	if p := got.GetHeads()["churn"].GetProbability(); fmt.Sprint(p.GetProbability()) != "[0.25 0 0.75]" || fmt.Sprint(p.GetBand()) != "[0 0 1]" || len(p.GetReasons()) != 0 {
		t.Errorf("columns %v", p)
	}
	if s := got.GetServedBy(); len(s) != 1 || s[0].GetDevice() != "cpu" || fmt.Sprint(s[0].GetHeads()) != "[churn place]" {
		t.Errorf("served by %v", s)
	}
	if w := got.GetWarnings(); len(w) != 1 || w[0].GetWarning().GetField() != "table.columns[2]" || w[0].GetCount() != 2 || fmt.Sprint(w[0].GetRows()) != "[0 2]" {
		t.Errorf("warnings %v", w)
	}
	// No row left to run: an answer without a device.
	got, failed, err = scoring.ScoreTable(t.Context(), m, table([]float64{1e300}, []float64{0}, []float64{0}), nil, 0, 0)
	if err != nil || len(failed) != 1 || got.GetServedBy() != nil || got.GetHeads()["place"].GetEmbedding().GetSize() != 0 {
		t.Errorf("%v, %v, %v", got, failed, err)
	}
}

// TestLargeTable wants 100,000 rows to go in waves, each answered in place.
func TestLargeTable(t *testing.T) {
	m := model(t)
	const rows = 100_000
	a, b, c := make([]float64, rows), make([]float64, rows), make([]float64, rows)
	for i := range a {
		a[i] = float64(i) / rows
	}
	a[70_000] = 13
	got, failed, err := scoring.ScoreTable(t.Context(), m, table(a, b, c), nil, 0, 64<<20)
	if err != nil || len(failed) != 1 || failed[70_000] == nil {
		t.Fatal(err, failed)
	}
	a[70_000] = 0
	for i, p := range got.GetHeads()["churn"].GetProbability().GetProbability() {
		if p != float64(float32(a[i])) {
			t.Fatalf("row %d has %v, want %v", i, p, a[i])
		}
	}
	if m.MostRows.Load() > pipeline.WaveItems {
		t.Errorf("%d rows at once", m.MostRows.Load())
	}
	if size := proto.Size(got); size > rows*150 {
		t.Errorf("an answer of %d bytes", size)
	}
}

// TestTableTooLarge wants an answer refused before it is computed, by a bound
// that is never below its true size.
func TestTableTooLarge(t *testing.T) {
	m := model(t)
	in := table(make([]float64, 3000), make([]float64, 3000), make([]float64, 3000))
	opts := &scoringv1.ScoreOptions{Reasons: 3}
	got, _, err := scoring.ScoreTable(t.Context(), m, in, opts, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	size := proto.Size(got)
	m.Items.Store(0)
	if _, _, err := scoring.ScoreTable(t.Context(), m, in, opts, 0, size/2); reasonOf(err) != "TABLE_TOO_LARGE table.rows" || m.Items.Load() != 0 {
		t.Errorf("%v after %d runs", err, m.Items.Load())
	}
	if _, _, err := scoring.ScoreTable(t.Context(), m, in, opts, 0, size*5/4); err != nil {
		t.Errorf("an answer of %d bytes: %v", size, err)
	}
	// What only the graph tells the size of is refused when it is known.
	place := &scoringv1.ScoreOptions{Heads: []string{"place"}}
	if _, _, err := scoring.ScoreTable(t.Context(), m, in, place, 0, 3000*4*3-1); reasonOf(err) != "TABLE_TOO_LARGE table.rows" {
		t.Errorf("an embedding: %v", err)
	}
	if _, _, err := scoring.ScoreTable(t.Context(), m, in, place, 0, 3000*4*3); err != nil {
		t.Errorf("an embedding: %v", err)
	}
}

func TestTableRefused(t *testing.T) {
	m := model(t)
	if _, _, err := scoring.ScoreTable(t.Context(), m, &scoringv1.Table{Rows: 5, Columns: []*scoringv1.Column{doubles("a", 1)}}, nil, 0, 0); reasonOf(err) != "TABLE_INVALID table.columns[0].doubles" {
		t.Errorf("error %v", err)
	}
	n := scoring.MaxRowErrors + 1
	bad := make([]float64, n)
	for i := range bad {
		bad[i] = 1e300
	}
	_, _, err := scoring.ScoreTable(t.Context(), m, table(bad, make([]float64, n), make([]float64, n)), nil, 0, 0)
	if !errors.Is(err, pipeline.ErrInput) || !strings.Contains(err.Error(), "more than 100000 rows") {
		t.Errorf("error %v", err)
	}
	m.Compute = func(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		out, err := compute(ctx, in)
		out[2], _ = tensor.New(tensor.Float32, out[2].Shape[0], 2)
		return out, err
	}
	if _, _, err := scoring.ScoreTable(t.Context(), m, table(bad[:1], bad[:1], bad[:1]), nil, 0, 0); err != nil {
		t.Errorf("no row to run: %v", err)
	}
	if _, _, err := scoring.ScoreTable(t.Context(), m, table([]float64{1}, []float64{1}, []float64{1}), &scoringv1.ScoreOptions{Reasons: 1}, 0, 0); !errors.Is(err, pipeline.ErrOutput) {
		t.Errorf("two contributions for three features: %v", err)
	}
	small := pipelinetest.NewModel(t, pipelinetest.Files(graph, everyHead+"limits: {max_items: 1}\n", nil), compute)
	if _, _, err := scoring.ScoreTable(t.Context(), small, table([]float64{1, 2}, []float64{1, 2}, []float64{1, 2}), nil, 0, 0); reasonOf(err) != "TOO_MANY_ITEMS table.rows" {
		t.Errorf("error %v", err)
	}
}

func BenchmarkScoreTable(b *testing.B) {
	m := model(b)
	const rows = 100_000
	x := make([]float64, rows)
	for i := range x {
		x[i] = float64(i%100) / 100
	}
	in := table(x, x, x)
	opts := &scoringv1.ScoreOptions{Heads: []string{"churn"}, Reasons: 3}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := scoring.ScoreTable(b.Context(), m, in, opts, 0, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}
