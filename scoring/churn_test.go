package scoring_test

import (
	"math"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/scoring"
	"github.com/scry-ml/scry/serving"
)

// churn loads the starter bundle with ONNX Runtime.
func churn(t testing.TB) (*serving.Version, []*bundlev1.Golden) {
	t.Helper()
	v, err := serving.Load(t.Context(), pipeline.Identity{Model: "churn", Version: 1}, filepath.Join("..", "models", "churn"), serving.LoadOptions{Loader: gputest.OpenRuntime(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	goldens, err := v.Bundle().Goldens()
	if err != nil {
		t.Fatal(err)
	}
	return v, goldens
}

// asTable puts n rows, taken round and round from the goldens, into columns.
func asTable(v *serving.Version, goldens []*bundlev1.Golden, n int) *scoringv1.Table {
	table := &scoringv1.Table{Rows: int64(n)}
	for _, f := range v.Bundle().Manifest.GetRow().GetFeatures() {
		c := &scoringv1.Column{Name: f.GetName()}
		var numbers []float64
		var indices []uint32
		var dictionary []string
		for i := range goldens {
			switch x := goldens[i].GetFeatures().GetFields()[f.GetName()].GetKind().(type) {
			case *structpb.Value_StringValue:
				dictionary = append(dictionary, x.StringValue)
			case *structpb.Value_NumberValue:
				numbers = append(numbers, x.NumberValue)
			default:
				numbers = append(numbers, math.NaN())
			}
		}
		values := make([]float64, n)
		for i := range n {
			if dictionary == nil {
				values[i] = numbers[i%len(goldens)]
			}
			indices = append(indices, uint32(i%len(goldens)))
		}
		if dictionary != nil {
			c.Data = &scoringv1.Column_Strings{Strings: &scoringv1.Strings{Dictionary: dictionary, Indices: indices}}
		} else {
			c.Data = &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: values}}
		}
		table.Columns = append(table.Columns, c)
	}
	return table
}

// usable are the goldens that can go into a table: every string is there.
func usable(goldens []*bundlev1.Golden, features []*bundlev1.Feature) (out []*bundlev1.Golden) {
next:
	for _, g := range goldens {
		for _, f := range features {
			if v := g.GetFeatures().GetFields()[f.GetName()]; f.GetType() != bundlev1.FeatureType_FEATURE_TYPE_FLOAT && v.GetKind() == nil {
				continue next
			}
		}
		out = append(out, g)
	}
	return out
}

// TestChurn scores more rows than a queue holds, as instances and as a table,
// and wants the trainer's numbers for each.
func TestChurn(t *testing.T) {
	v, goldens := churn(t)
	goldens = usable(goldens, v.Bundle().Manifest.GetRow().GetFeatures())
	instances := make([]*scoringv1.Instance, 5000)
	for i := range instances {
		instances[i] = &scoringv1.Instance{Features: goldens[i%len(goldens)].GetFeatures()}
	}
	want := func(i int) (probability, logOdds float64) {
		out := goldens[i%len(goldens)].GetOutputs()
		return out["model.probability"].GetValues()[0], out["model.log_odds"].GetValues()[0]
	}
	results, errs, err := scoring.Score(t.Context(), v, instances, &scoringv1.ScoreOptions{Reasons: 3}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		p, odds := want(i)
		got := r.GetHeads()["churn"].GetProbability()
		if errs[i] != nil || math.Abs(got.GetProbability()-p) > 1e-5 || math.Abs(got.GetRawScore()-odds) > 1e-5 || len(got.GetReasons()) != 3 || got.GetBand() == "" {
			t.Fatalf("row %d: %v %v, want %v from %v", i, errs[i], got, p, odds)
		}
	}
	const rows = 40_000
	table, failed, err := scoring.ScoreTable(t.Context(), v, asTable(v, goldens, rows), &scoringv1.ScoreOptions{Reasons: 3}, 0, 0)
	if err != nil || len(failed) != 0 {
		t.Fatal(err, failed)
	}
	columns := table.GetHeads()["churn"].GetProbability()
	for i := range rows {
		if p, odds := want(i); math.Abs(columns.GetProbability()[i]-p) > 1e-5 || math.Abs(columns.GetRawScore()[i]-odds) > 1e-5 {
			t.Fatalf("row %d: %v from %v, want %v from %v", i, columns.GetProbability()[i], columns.GetRawScore()[i], p, odds)
		}
	}
}

func BenchmarkChurnTable(b *testing.B) {
	v, goldens := churn(b)
	const rows = 100_000
	table := asTable(v, usable(goldens, v.Bundle().Manifest.GetRow().GetFeatures()), rows)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := scoring.ScoreTable(b.Context(), v, table, nil, 0, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkChurnInstances(b *testing.B) {
	v, goldens := churn(b)
	instances := make([]*scoringv1.Instance, 1000)
	for i := range instances {
		instances[i] = &scoringv1.Instance{Features: goldens[i%len(goldens)].GetFeatures()}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := scoring.Score(b.Context(), v, instances, nil, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(instances))/b.Elapsed().Seconds(), "rows/s")
}
