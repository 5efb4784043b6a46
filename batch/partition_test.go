package batch

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// linearCosts is a table that knows fixed + cell × cells for every step.
func linearCosts(cfg Config, fixed, cell float64) *costTable {
	cfg = cfg.withDefaults()
	t := newCostTable(&cfg)
	for _, rows := range t.rows {
		for _, length := range t.lengths[:min(17, len(t.lengths))] {
			t.observe(Shape{rows, length}, fixed+cell*float64(rows*max(length, 1)))
		}
	}
	return t
}

// TestPartitionIsBest compares the search with all ways to cut the sorted
// tickets into groups that keep the limits.
func TestPartitionIsBest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{MaxRows: 8, RowSteps: []int{1, 2, 4, 8}, LengthSteps: []int{8, 16, 24, 32, 48, 64}}
		costs := linearCosts(cfg, float64(rapid.IntRange(1, 2000).Draw(rt, "fixed")), float64(rapid.IntRange(1, 50).Draw(rt, "cell")))
		p := partition{costs: costs, rowSteps: cfg.RowSteps}
		lim := limits{
			rows:    8,
			items:   rapid.IntRange(1, 8).Draw(rt, "items"),
			cost:    rapid.SampledFrom([]int64{0, 300}).Draw(rt, "cost"),
			cells:   rapid.SampledFrom([]int{0, 100, 300}).Draw(rt, "cells"),
			padding: rapid.SampledFrom([]float64{0, 0.3, 0.9}).Draw(rt, "padding"),
		}
		var ts []*ticket
		for range rapid.IntRange(2, 9).Draw(rt, "n") {
			length := rapid.SampledFrom(cfg.LengthSteps).Draw(rt, "length")
			rows := rapid.IntRange(1, 3).Draw(rt, "rows")
			ts = append(ts, &ticket{rows: rows, length: length, column: costs.lengthStep(length), cost: int64(rows * length), deadline: never})
		}
		if uniform(ts) {
			return
		}
		got := p.choose(ts, lim, 0)
		if got[0] != ts[0] {
			rt.Fatal("the most urgent is not first")
		}
		if !allowed(&p, got, lim) {
			rt.Fatal("a limit is broken")
		}

		sorted := slices.Clone(ts)
		slices.SortStableFunc(sorted, func(a, b *ticket) int { return a.length - b.length })
		best := math.Inf(1)
		for cuts := range 1 << (len(sorted) - 1) {
			sum, from := 0.0, 0
			for i := range sorted {
				if i == len(sorted)-1 || cuts>>i&1 == 1 {
					g := sorted[from : i+1]
					if len(g) > 1 && !allowed(&p, g, lim) {
						sum = math.Inf(1)
						break
					}
					sum += groupCost(&p, g)
					from = i + 1
				}
			}
			best = min(best, sum)
		}
		if found := p.best[len(sorted)]; math.Abs(found-best) > 1e-6*best {
			rt.Fatalf("found %v, best is %v", found, best)
		}
	})
}

func allowed(p *partition, g []*ticket, lim limits) bool {
	rows, cells, longest, cost := 0, 0, 0, int64(0)
	for _, t := range g {
		rows += t.rows
		cells += t.rows * t.length
		longest = max(longest, t.length)
		cost += t.cost
	}
	return len(g) <= lim.items && rows <= lim.rows && (len(g) == 1 || lim.cost == 0 || cost <= lim.cost) &&
		(len(g) == 1 || lim.cells == 0 || p.step(rows)*longest <= lim.cells) &&
		float64(rows*longest-cells) <= lim.padding*float64(rows*longest)
}

func groupCost(p *partition, g []*ticket) float64 {
	rows, longest := 0, g[0]
	for _, t := range g {
		rows += t.rows
		if t.length > longest.length {
			longest = t
		}
	}
	return p.costs.at(p.step(rows), longest.column, longest.length)
}

func TestFillStopsWhereTheRateIsBest(t *testing.T) {
	cfg := Config{MaxRows: 64, RowSteps: []int{1, 2, 4, 8, 16, 32, 64}}
	full := cfg.withDefaults()
	costs := newCostTable(&full)
	for rows, us := range map[int]float64{1: 10, 2: 11, 4: 13, 8: 16, 16: 22, 32: 40, 64: 120} {
		costs.observe(Shape{Rows: rows}, us*1000)
	}
	p := partition{costs: costs, rowSteps: cfg.RowSteps}
	for _, c := range []struct{ waiting, want int }{
		{1, 1}, {2, 2}, {3, 3}, {16, 16}, {17, 16}, {20, 16}, {30, 30}, {32, 32}, {33, 32}, {64, 32}, {100, 32},
	} {
		var ts []*ticket
		for range c.waiting {
			ts = append(ts, &ticket{rows: 1, cost: 1, deadline: never})
		}
		if got := len(p.choose(ts, limits{rows: 64, items: 64}, 0)); got != c.want {
			t.Errorf("%d wait: a batch of %d, want %d", c.waiting, got, c.want)
		}
	}
}

func TestBatchMeetsTheDeadlinesInIt(t *testing.T) {
	costs := linearCosts(Config{MaxRows: 16}, 1e6, 1e5) // 1 ms + 0.1 ms a cell
	p := partition{costs: costs}
	var ts []*ticket
	for i := range 12 {
		ts = append(ts, &ticket{rows: 1, length: 8 + 8*(i%2), column: costs.lengthStep(8 + 8*(i%2)), cost: 8, deadline: never})
	}
	ts[0].deadline = 5 * time.Millisecond
	batch := p.choose(ts, limits{rows: 16, items: 16, padding: 0.9}, 0)
	rows, length := len(batch), 0
	for _, t := range batch {
		length = max(length, t.length)
	}
	if took := costs.predict(Shape{rows, length}); took > 5*time.Millisecond || rows < 2 {
		t.Errorf("%d×%d takes %v", rows, length, took)
	}
}

// BenchmarkPartition is the cost of a decision with 128 texts waiting.
func BenchmarkPartition(b *testing.B) {
	cfg := Config{MaxRows: 32, RowSteps: []int{1, 2, 4, 8, 16, 32}, LengthSteps: overloadConfig.LengthSteps}
	costs := linearCosts(cfg, 8e5, 1.1e5)
	rng := rand.New(rand.NewPCG(1, 2))
	var ts []*ticket
	for range 128 {
		n := stepUp(cfg.LengthSteps, textLength(rng))
		ts = append(ts, &ticket{rows: 1, length: n, column: costs.lengthStep(n), cost: int64(n), deadline: never})
	}
	p := partition{costs: costs, rowSteps: cfg.RowSteps}
	b.ReportAllocs()
	for b.Loop() {
		p.choose(ts, limits{rows: 32, items: 32, padding: 0.5}, 0)
	}
}
