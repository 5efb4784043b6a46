package pipeline_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

func outputs(t *testing.T, values map[string]tensor.Tensor) pipeline.Outputs {
	t.Helper()
	out := pipeline.Outputs{Index: map[bundle.Source]int{}}
	for name, v := range values {
		out.Index[bundle.Source{Graph: "model", Output: name}] = len(out.Values)
		out.Values = append(out.Values, v)
	}
	return out
}

func must(t *testing.T) func(v tensor.Tensor, err error) tensor.Tensor {
	return func(v tensor.Tensor, err error) tensor.Tensor {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestColumns(t *testing.T) {
	m := must(t)
	nan := float32(math.NaN())
	out := outputs(t, map[string]tensor.Tensor{
		"wide":  m(tensor.From([]float64{1, 1 + 1e-12, 3, 4}, 2, 2)),
		"flat":  m(tensor.From([]float32{5, 6}, 2)),
		"deep":  m(tensor.From([]float32{1, 2, 3, 4}, 1, 2, 2, 1)),
		"bits":  m(tensor.FromBits(tensor.Float16, []uint16{0x3c00, 0xc000}, 1, 2)),
		"nan":   m(tensor.From([]float32{1, nan}, 2, 1)),
		"text":  m(tensor.FromStrings([]string{"a"}, 1)),
		"empty": m(tensor.New(tensor.Float32, 2, 0)),
	})
	for source, want := range map[string]string{
		"wide": "[[1 1.000000000001] [3 4]]", "flat": "[[5] [6]]", "deep": "[[1 2 3 4]]", "bits": "[[1 -2]]",
	} {
		c, err := out.Columns("model." + source)
		if err != nil {
			t.Fatal(err)
		}
		var rows [][]float64
		for i := range c.Rows {
			r, err := c.Row(nil, i)
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, r)
			if x, err := c.At(i, c.Columns-1); err != nil || x != r[len(r)-1] {
				t.Errorf("%s: At gives %v, %v", source, x, err)
			}
		}
		if fmt.Sprint(rows) != want {
			t.Errorf("%s is %v, want %s", source, rows, want)
		}
		if _, err := c.Row(nil, c.Rows); !errors.Is(err, pipeline.ErrOutput) {
			t.Errorf("%s: a row beyond: %v", source, err)
		}
		if _, err := c.At(0, c.Columns); !errors.Is(err, pipeline.ErrOutput) {
			t.Errorf("%s: a column beyond: %v", source, err)
		}
	}
	for _, source := range []string{"model.text", "model.empty", "model.none"} {
		if _, err := out.Columns(source); !errors.Is(err, pipeline.ErrOutput) {
			t.Errorf("%s: %v", source, err)
		}
	}
	c, err := out.Columns("model.nan")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.At(0, 0); err != nil {
		t.Errorf("the row before NaN: %v", err)
	}
	if _, err := c.At(1, 0); !errors.Is(err, pipeline.ErrOutput) {
		t.Errorf("NaN: %v", err)
	}
	if _, err := c.Row(nil, 1); !errors.Is(err, pipeline.ErrOutput) {
		t.Errorf("a row of NaN: %v", err)
	}
}

func TestActivate(t *testing.T) {
	for name, c := range map[string]struct {
		row, want   []float64
		activation  bundlev1.Activation
		temperature float64
	}{
		"softmax":     {row: []float64{math.Log(1), math.Log(3)}, want: []float64{0.25, 0.75}, activation: bundlev1.Activation_ACTIVATION_SOFTMAX},
		"large":       {row: []float64{1e30, 1e30}, want: []float64{0.5, 0.5}, activation: bundlev1.Activation_ACTIVATION_SOFTMAX},
		"temperature": {row: []float64{0, 2 * math.Log(3)}, want: []float64{0.25, 0.75}, activation: bundlev1.Activation_ACTIVATION_SOFTMAX, temperature: 2},
		"sigmoid":     {row: []float64{0, math.Log(3), -1e9}, want: []float64{0.5, 0.75, 0}, activation: bundlev1.Activation_ACTIVATION_SIGMOID},
		"none":        {row: []float64{0.25, 1.0000001, -1e-9}, want: []float64{0.25, 1, 0}},
		"logits":      {row: []float64{0.25, 1.5}},
		"negative":    {row: []float64{-0.5}},
	} {
		err := pipeline.Activate(c.row, c.activation, c.temperature)
		if c.want == nil {
			if !errors.Is(err, pipeline.ErrOutput) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.want {
			if math.Abs(c.row[i]-c.want[i]) > 1e-12 {
				t.Errorf("%s: %v, want %v", name, c.row, c.want)
			}
		}
	}
	if _, err := pipeline.Unit(math.NaN()); !errors.Is(err, pipeline.ErrOutput) {
		t.Errorf("NaN: %v", err)
	}
}

// TestTop compares with a stable sort.
func TestTop(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		scores := rapid.SliceOfN(rapid.SampledFrom([]float64{0, 0.1, 0.2, 0.2000001, 0.5, 0.9}), 0, 30).Draw(rt, "scores")
		k := rapid.IntRange(0, 40).Draw(rt, "k")
		least := rapid.SampledFrom([]float64{0, 0.2, 0.95}).Draw(rt, "least")
		var want []int
		for i, s := range scores {
			if s >= least {
				want = append(want, i)
			}
		}
		slices.SortStableFunc(want, func(a, b int) int {
			switch {
			case scores[a] > scores[b]:
				return -1
			case scores[a] < scores[b]:
				return 1
			}
			return 0
		})
		want = want[:min(k, len(want))]
		if got := pipeline.Top(scores, k, least); !slices.Equal(got, want) {
			rt.Fatalf("%v, want %v", got, want)
		}
	})
}

func TestVector(t *testing.T) {
	if got := pipeline.Vector([]float64{3, 4}, true); fmt.Sprint(got) != "[0.6 0.8]" {
		t.Errorf("normalised %v", got)
	}
	if got := pipeline.Vector([]float64{3, 4}, false); fmt.Sprint(got) != "[3 4]" {
		t.Errorf("as it is %v", got)
	}
	if got := pipeline.Vector([]float64{0, 0}, true); fmt.Sprint(got) != "[0 0]" {
		t.Errorf("zero %v", got)
	}
}

func TestPredictionIDs(t *testing.T) {
	seen := map[string]bool{}
	last := ""
	for range 10_000 {
		id := pipeline.NewPredictionID()
		if seen[id] || len(id) != 36 || id[14] != '7' || id <= last {
			t.Fatalf("%s after %s", id, last)
		}
		seen[id], last = true, id
	}
}
