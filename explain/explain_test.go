package explain_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/scry-ml/scry/explain"
)

// shapData is testdata/shap.json: what Python's shap computed.
type shapData struct {
	Background [][]float64
	Rows       [][]float64
	Groups     [][]int
	Models     map[string]struct {
		Base           float64
		Exact, Grouped [][]float64
	}
}

func load(t testing.TB) shapData {
	t.Helper()
	text, err := os.ReadFile("testdata/shap.json")
	if err != nil {
		t.Fatal(err)
	}
	var d shapData
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func smooth(x []float64) float64 {
	return 0.3 + 1.5*x[0] - 2*x[1]*x[2] + max(x[3], 0.5)*x[0] + 0.25*x[4]*x[4]
}

// models are those of scripts/explain/make_testdata.py.
var models = map[string]func(x []float64) float64{
	"smooth": smooth,
	"odds":   func(x []float64) float64 { return 1 / (1 + math.Exp(-smooth(x))) },
	"tree": func(x []float64) float64 {
		switch {
		case x[0] > 0.2 && x[4] > 0.5:
			return 3
		case x[0] > 0.2:
			return -1
		case x[2] < 0:
			return x[1]
		}
		return 0.5 * x[3]
	},
}

// game explains models for a row; its players are groups of features. asked
// counts the rows that were evaluated.
func game(background [][]float64, row []float64, groups [][]int, asked *int, models ...func([]float64) float64) explain.Game {
	return explain.Game{
		Players: len(groups), Others: len(background), Outputs: len(models),
		Evaluate: func(rows []explain.Row) ([]float64, error) {
			*asked += len(rows)
			var out []float64
			for i, r := range rows {
				if i > 0 && r.Follows(rows[i-1]) && (len(r.Take) != len(rows[i-1].Take)+1 || fmt.Sprint(r.Take[:len(r.Take)-1]) != fmt.Sprint(rows[i-1].Take)) {
					return nil, fmt.Errorf("row %v does not follow %v", r, rows[i-1])
				}
				x := slices.Clone(row)
				if r.Other >= 0 {
					copy(x, background[r.Other])
					for _, p := range r.Take {
						for _, i := range groups[p] {
							x[i] = row[i]
						}
					}
				}
				for _, m := range models {
					out = append(out, m(x))
				}
			}
			return out, nil
		},
	}
}

func single(n int) [][]int {
	groups := make([][]int, n)
	for i := range groups {
		groups[i] = []int{i}
	}
	return groups
}

// TestExactIsShap wants the numbers of Python's shap, by feature and by group.
func TestExactIsShap(t *testing.T) {
	d := load(t)
	for name, want := range d.Models {
		for i, row := range d.Rows {
			for kind, c := range map[string]struct {
				groups [][]int
				want   []float64
			}{"features": {single(5), want.Exact[i]}, "groups": {d.Groups, want.Grouped[i]}} {
				asked := 0
				got, err := explain.Shapley(game(d.Background, row, c.groups, &asked, models[name]), explain.Options{MaxEvaluations: 218})
				if err != nil {
					t.Fatal(err)
				}
				r := got.Outputs[0]
				if !got.Exact || got.Evaluations != asked || asked > 218 {
					t.Errorf("%s, row %d, %s: exact %v after %d of %d evaluations", name, i, kind, got.Exact, asked, got.Evaluations)
				}
				if math.Abs(r.Base-want.Base) > 1e-12 || math.Abs(r.AdditivityError()) > 1e-12 || r.Value != models[name](row) {
					t.Errorf("%s, row %d, %s: base %v (shap %v), value %v, additivity error %v", name, i, kind, r.Base, want.Base, r.Value, r.AdditivityError())
				}
				for p, w := range c.want {
					// KernelExplainer solves a least-squares problem, which costs digits.
					if math.Abs(r.Contributions[p]-w) > 1e-9 || r.StandardErrors[p] != 0 {
						t.Errorf("%s, row %d, %s: player %d has %v ± %v, shap %v", name, i, kind, p, r.Contributions[p], r.StandardErrors[p], w)
					}
				}
			}
		}
	}
}

// TestSamplesComeNear wants samples within their standard errors of the exact
// values, more of them to come nearer, and whole rounds of the typical rows to
// leave no additivity error.
func TestSamplesComeNear(t *testing.T) {
	d := load(t)
	far, all := 0, 0
	for name, want := range d.Models {
		for i, row := range d.Rows {
			errorAt := map[int]float64{}
			for _, budget := range []int{100, 213} { // 217 are exact
				for seed := range uint64(20) {
					asked := 0
					got, err := explain.Shapley(game(d.Background, row, single(5), &asked, models[name]), explain.Options{MaxEvaluations: budget, Seed: seed})
					if err != nil {
						t.Fatal(err)
					}
					r := got.Outputs[0]
					if got.Exact || asked > budget || asked != got.Evaluations {
						t.Fatalf("%d evaluations for a budget of %d", asked, budget)
					}
					if math.Abs(r.Base-want.Base) > 1e-12 {
						t.Fatalf("base %v, want %v", r.Base, want.Base)
					}
					if budget == 213 && math.Abs(r.AdditivityError()) > 1e-12 {
						t.Errorf("whole rounds leave an additivity error of %v", r.AdditivityError())
					}
					for p, w := range want.Exact[i] {
						e := math.Abs(r.Contributions[p] - w)
						errorAt[budget] += e
						all++
						if e > 3*r.StandardErrors[p]+1e-12 {
							far++
						}
					}
				}
			}
			// Pairs cancel what two features do together, so some rows are exact at once.
			if errorAt[213] >= errorAt[100]+1e-9 {
				t.Errorf("%s, row %d: twice the budget changes the error from %v to %v", name, i, errorAt[100], errorAt[213])
			}
		}
	}
	if far*20 > all {
		t.Errorf("%d of %d samples lie further than 3 standard errors away", far, all)
	}
}

// TestAdditiveModels wants no uncertainty for a model in which no order matters,
// once the typical rows took turns.
func TestAdditiveModels(t *testing.T) {
	d := load(t)
	sum := func(x []float64) float64 { return x[0] + 2*x[1] - x[2] + 3*x[4] }
	for budget, certain := range map[int]bool{100: false, 213: true} {
		asked := 0
		got, err := explain.Shapley(game(d.Background, d.Rows[0], single(5), &asked, sum), explain.Options{MaxEvaluations: budget})
		if err != nil {
			t.Fatal(err)
		}
		if e := got.Outputs[0].StandardErrors[1]; (e < 1e-12) != certain {
			t.Errorf("%d evaluations leave ±%v", budget, e)
		}
	}
}

// TestSeeds wants one seed to give one answer, and another another.
func TestSeeds(t *testing.T) {
	d := load(t)
	ask := func(seed uint64) string {
		asked := 0
		got, err := explain.Shapley(game(d.Background, d.Rows[0], single(5), &asked, models["odds"]), explain.Options{MaxEvaluations: 80, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(got.Outputs[0].Contributions)
	}
	first := ask(1)
	if again := ask(1); again != first {
		t.Error("the same seed gives another answer")
	}
	if ask(2) == first {
		t.Error("the seed changes nothing")
	}
}

// TestOutputsShareRows wants several outputs explained for the price of one,
// each as if it were alone.
func TestOutputsShareRows(t *testing.T) {
	d := load(t)
	for _, budget := range []int{100, 1000} {
		one, two := 0, 0
		o := explain.Options{MaxEvaluations: budget, Seed: 3}
		alone, err := explain.Shapley(game(d.Background, d.Rows[1], single(5), &one, models["tree"]), o)
		if err != nil {
			t.Fatal(err)
		}
		both, err := explain.Shapley(game(d.Background, d.Rows[1], single(5), &two, models["odds"], models["tree"]), o)
		if err != nil {
			t.Fatal(err)
		}
		if one != two || fmt.Sprint(both.Outputs[1]) != fmt.Sprint(alone.Outputs[0]) {
			t.Errorf("%d and %d evaluations, %v and %v", one, two, alone.Outputs[0], both.Outputs[1])
		}
	}
}

// TestNoBase wants the typical rows that nothing needs left out.
func TestNoBase(t *testing.T) {
	background := make([][]float64, 500)
	for i := range background {
		background[i] = []float64{float64(i % 7), float64(i % 3), 0, 1, 2}
	}
	asked := 0
	got, err := explain.Shapley(game(background, []float64{1, 2, 3, 4, 5}, single(5), &asked, models["smooth"]), explain.Options{MaxEvaluations: 100, NoBase: true})
	if err != nil {
		t.Fatal(err)
	}
	if asked > 100 || asked < 90 || !math.IsNaN(got.Outputs[0].Base) {
		t.Errorf("%d evaluations, base %v", asked, got.Outputs[0].Base)
	}
}

// TestBudget wants the smallest budget that Needs tells to be enough, and one
// less not to be.
func TestBudget(t *testing.T) {
	for _, players := range []int{1, 2, 3, 5, 30} {
		for _, others := range []int{1, 2, 50} {
			for _, noBase := range []bool{false, true} {
				background := make([][]float64, others)
				for i := range background {
					background[i] = make([]float64, players)
					background[i][0] = float64(i)
				}
				row := make([]float64, players)
				row[players-1] = 100
				sum := func(x []float64) float64 {
					s := 0.0
					for _, v := range x {
						s += v
					}
					return s
				}
				asked := 0
				o := explain.Options{NoBase: noBase}
				o.MaxEvaluations = explain.Needs(players, others, o)
				g := game(background, row, single(players), &asked, sum)
				got, err := explain.Shapley(g, o)
				if err != nil || asked > o.MaxEvaluations {
					t.Errorf("%d players, %d others, %+v: %d evaluations, %v", players, others, o, asked, err)
					continue
				}
				// The model is additive, so every order tells the same.
				if c := got.Outputs[0].Contributions; players > 1 && math.Abs(c[players-1]-100) > 1e-9 {
					t.Errorf("%d players, %d others, %+v: contributions %v", players, others, o, c)
				}
				o.MaxEvaluations--
				if _, err := explain.Shapley(g, o); !errors.Is(err, explain.ErrBudget) {
					t.Errorf("%d players, %d others, %+v: error %v", players, others, o, err)
				}
			}
		}
	}
}

// TestErrors wants what Evaluate says to come out.
func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, players := range []int{2, 30} {
		g := explain.Game{Players: players, Others: 3, Outputs: 1, Evaluate: func([]explain.Row) ([]float64, error) { return nil, broken }}
		if _, err := explain.Shapley(g, explain.Options{MaxEvaluations: 1000}); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
		g.Evaluate = func([]explain.Row) ([]float64, error) { return nil, nil }
		if _, err := explain.Shapley(g, explain.Options{MaxEvaluations: 1000}); err == nil {
			t.Error("too few numbers are taken")
		}
	}
}

func BenchmarkShapley(b *testing.B) {
	background := make([][]float64, 100)
	for i := range background {
		background[i] = make([]float64, 19)
	}
	asked := 0
	g := game(background, make([]float64, 19), single(19), &asked, func(x []float64) float64 { return x[0] })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := explain.Shapley(g, explain.Options{MaxEvaluations: 512, NoBase: true}); err != nil {
			b.Fatal(err)
		}
	}
}
