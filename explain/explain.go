// Package explain computes Shapley values (Shapley, 1953): how much each player,
// a feature or a group of features, moved a model's number for one row, against
// typical rows. A coalition's worth is the mean number of the typical rows in
// which the coalition's players are the explained row's (the interventional
// expectation; Janzing, Minorics and Blöbaum, 2020). It knows no models.
package explain

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// ErrBudget is wrapped by the error of a budget that is too small for any
// answer.
var ErrBudget = errors.New("too few evaluations")

// Row is a row to evaluate: a typical one in which some players are the
// explained row's.
type Row struct {
	// Other is the typical row; -1 for the explained row itself.
	Other int
	// Take are the players that are the explained row's. It is read only.
	Take []int
}

// Follows tells whether a row is another one with one player more, the last of
// Take. It finds the steps of a walk, not every such pair.
func (r Row) Follows(before Row) bool {
	n := len(before.Take)
	return r.Other == before.Other && n > 0 && len(r.Take) == n+1 && &r.Take[0] == &before.Take[0]
}

// Game is what is explained.
type Game struct {
	// Players and Others are the numbers of players and of typical rows, at least
	// one each.
	Players, Others int
	// Outputs are the numbers that every row has, each explained by itself.
	Outputs int
	// Evaluate returns the outputs of rows in row-major order [rows, Outputs].
	Evaluate func(rows []Row) ([]float64, error)
}

// Options bound an answer.
type Options struct {
	// MaxEvaluations is the number of rows that Evaluate may be given in all.
	MaxEvaluations int
	// Seed of what is sampled.
	Seed uint64
	// NoBase leaves out the typical rows that no sample needs: there is no base
	// then, and more of the budget is left for samples.
	NoBase bool
}

// Result explains one output.
type Result struct {
	// Value is the output for the explained row, Base its mean over the typical
	// rows; NaN when it was not asked for.
	Value, Base float64
	// Contributions are the players' Shapley values.
	Contributions []float64
	// StandardErrors are what sampling leaves uncertain of each; 0 when exact. They
	// are rather too large where the typical rows took one turn or none.
	StandardErrors []float64
}

// AdditivityError is what contributions do not explain of a value's distance
// from the base.
func (r *Result) AdditivityError() float64 {
	rest := r.Value - r.Base
	for _, c := range r.Contributions {
		rest -= c
	}
	return rest
}

// Results explain all outputs.
type Results struct {
	Outputs     []Result
	Exact       bool
	Evaluations int
}

// Needs returns the smallest budget of a game.
func Needs(players, others int, o Options) int {
	return min(sampled(players, others, o).cost(2), exactCost(players, others))
}

// Shapley explains the outputs of a game. When the budget is enough for every
// coalition with every typical row, the answer is exact. Else permutations are
// sampled (Castro, Gómez and Tejada, 2009), each with its reverse (antithetic
// pairs; Mitchell et al., 2022) and one typical row, which take turns in random
// order.
func Shapley(g Game, o Options) (*Results, error) {
	if exactCost(g.Players, g.Others) <= o.MaxEvaluations {
		return exact(g)
	}
	plan := sampled(g.Players, g.Others, o)
	pairs := plan.pairs(o.MaxEvaluations)
	if pairs < 2 {
		return nil, fmt.Errorf("%w: %d, this model needs at least %d", ErrBudget, o.MaxEvaluations, Needs(g.Players, g.Others, o))
	}
	return sample(g, o, pairs)
}

// maxExact is the number of players beyond which coalitions are not counted.
const maxExact = 24

func exactCost(players, others int) int {
	if players > maxExact {
		return math.MaxInt
	}
	return (1<<players-1)*others + 1
}

// exact evaluates every coalition with every typical row.
func exact(g Game) (*Results, error) {
	coalitions := 1 << g.Players
	rows := make([]Row, 0, exactCost(g.Players, g.Others))
	for set := range coalitions - 1 {
		take := make([]int, 0, bits.OnesCount(uint(set)))
		for p := range g.Players {
			if set>>p&1 == 1 {
				take = append(take, p)
			}
		}
		for other := range g.Others {
			rows = append(rows, Row{other, take})
		}
	}
	rows = append(rows, Row{Other: -1})
	values, err := g.evaluate(rows)
	if err != nil {
		return nil, err
	}
	// weights[s] is that of a coalition of s players that another joins.
	weights := make([]float64, g.Players)
	for s := range weights {
		weights[s] = 1 / (float64(g.Players) * binomial(g.Players-1, s))
	}
	out := g.results(len(rows), true)
	worth := make([]float64, coalitions)
	for k := range out.Outputs {
		r := &out.Outputs[k]
		for set := range coalitions - 1 {
			sum := 0.0
			for other := range g.Others {
				sum += values[(set*g.Others+other)*g.Outputs+k]
			}
			worth[set] = sum / float64(g.Others)
		}
		worth[coalitions-1] = values[len(values)-g.Outputs+k]
		r.Base, r.Value = worth[0], worth[coalitions-1]
		for p := range g.Players {
			for set := range coalitions {
				if set>>p&1 == 0 {
					r.Contributions[p] += weights[bits.OnesCount(uint(set))] * (worth[set|1<<p] - worth[set])
				}
			}
		}
	}
	return out, nil
}

func binomial(n, k int) float64 {
	c := 1.0
	for i := range k {
		c = c * float64(n-i) / float64(i+1)
	}
	return c
}

// costs are the evaluations of sampling: those that come once, and those of each
// pair of permutations.
type costs struct{ once, pair, others int }

func sampled(players, others int, o Options) costs {
	// Of a permutation the first and the last row are the typical and the
	// explained one, which are evaluated once.
	if o.NoBase {
		return costs{1, 2*(players-1) + 1, others}
	}
	return costs{1 + others, 2 * (players - 1), others}
}

func (c costs) cost(pairs int) int { return c.once + pairs*c.pair }

// pairs is how many pairs a budget is enough for; more than one round of the
// typical rows is made of whole rounds, so that each counts alike.
func (c costs) pairs(budget int) int {
	if budget < c.once || c.pair == 0 { // a single player is exact, or too costly
		return 0
	}
	n := (budget - c.once) / c.pair
	if n > c.others {
		n -= n % c.others
	}
	return n
}

// sample evaluates pairs of permutations.
func sample(g Game, o Options, pairs int) (*Results, error) {
	random := rand.New(rand.NewPCG(o.Seed, 0x736372795f657870)) // the second word is any constant
	rows := []Row{{Other: -1}}
	at := make([]int, g.Others) // of the typical rows among rows
	for other := range at {
		at[other] = -1
		if !o.NoBase {
			at[other] = len(rows)
			rows = append(rows, Row{Other: other})
		}
	}
	type walk struct {
		other int
		order []int
		first int // place among rows of the first row between the ends
	}
	walks := make([]walk, 0, 2*pairs)
	turns := random.Perm(g.Others)
	for i := range pairs {
		if i > 0 && i%g.Others == 0 {
			random.Shuffle(len(turns), func(a, b int) { turns[a], turns[b] = turns[b], turns[a] })
		}
		other := turns[i%g.Others]
		if at[other] < 0 {
			at[other] = len(rows)
			rows = append(rows, Row{Other: other})
		}
		order := random.Perm(g.Players)
		back := slices.Clone(order)
		slices.Reverse(back)
		for _, order := range [][]int{order, back} {
			walks = append(walks, walk{other, order, len(rows)})
			for n := 1; n < g.Players; n++ {
				rows = append(rows, Row{other, order[:n]})
			}
		}
	}
	values, err := g.evaluate(rows)
	if err != nil {
		return nil, err
	}
	out := g.results(len(rows), false)
	// Several rounds of the typical rows are strata: what tells one typical row
	// from another is no uncertainty then, only what tells one order from another.
	strata := 1
	if pairs >= 2*g.Others {
		strata = g.Others
	}
	pair := make([]float64, g.Players)
	spread := make([]moments, strata*g.Players)
	for k := range out.Outputs {
		r := &out.Outputs[k]
		value := func(row int) float64 { return values[row*g.Outputs+k] }
		r.Value, r.Base = value(0), math.NaN()
		if !o.NoBase {
			r.Base = 0
			for other := range g.Others {
				r.Base += value(at[other]) / float64(g.Others)
			}
		}
		clear(spread)
		for i, w := range walks {
			if i%2 == 0 {
				clear(pair)
			}
			before := value(at[w.other])
			for n, p := range w.order {
				after := r.Value
				if n < g.Players-1 {
					after = value(w.first + n)
				}
				pair[p] += (after - before) / 2
				before = after
			}
			if i%2 == 0 {
				continue
			}
			stratum := w.other % strata
			for p, x := range pair {
				spread[stratum*g.Players+p].add(x)
			}
		}
		each := float64(pairs / strata)
		for p := range g.Players {
			variance := 0.0
			for stratum := range strata {
				m := &spread[stratum*g.Players+p]
				r.Contributions[p] += m.mean / float64(strata)
				variance += m.squares / (each - 1) / each
			}
			r.StandardErrors[p] = math.Sqrt(variance) / float64(strata)
		}
	}
	return out, nil
}

// moments are a running mean and sum of squares (Welford, 1962).
type moments struct{ n, mean, squares float64 }

func (m *moments) add(x float64) {
	m.n++
	d := x - m.mean
	m.mean += d / m.n
	m.squares += d * (x - m.mean)
}

// evaluate asks for the outputs of rows.
func (g Game) evaluate(rows []Row) ([]float64, error) {
	values, err := g.Evaluate(rows)
	if err == nil && len(values) != len(rows)*g.Outputs {
		err = fmt.Errorf("%d numbers for %d rows of %d outputs", len(values), len(rows), g.Outputs)
	}
	return values, err
}

func (g Game) results(evaluations int, exact bool) *Results {
	out := &Results{Outputs: make([]Result, g.Outputs), Exact: exact, Evaluations: evaluations}
	for k := range out.Outputs {
		out.Outputs[k].Contributions = make([]float64, g.Players)
		out.Outputs[k].StandardErrors = make([]float64, g.Players)
	}
	return out
}
