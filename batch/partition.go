package batch

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// limits bound one batch.
type limits struct {
	rows, items int
	cost        int64   // 0: no bound
	padding     float64 // largest share of padded cells
	cells       int     // of the padded run; 0: no bound
}

// partition chooses, among waiting tickets of one kind, the batch to run now.
// Its scratch is reused from call to call.
//
// Tickets of one length, or of none, fill the batch in order of urgency, up to
// the number of rows that the cost table says is done at the best rate. Mixed
// lengths are sorted by length and cut into the consecutive groups that take
// the least time in sum (the dynamic programming of TurboTransformers, Fang et
// al., PPoPP 2021); the group of the most urgent ticket is the
// batch. No group takes longer than its nearest deadline allows.
type partition struct {
	costs    *costTable
	rowSteps []int

	sorted []*ticket
	best   []float64 // best[j]: least time for the j shortest
	from   []int     // from[j]: where the last group of that solution starts
	prices []float64 // by rows, at one length
}

// choose returns the batch: a part of ts, with the lead ts[0] always in it. ts
// is in order of urgency and is not changed; the result is valid until the
// next call. Every ticket alone is within the limits.
func (p *partition) choose(ts []*ticket, lim limits, now instant) []*ticket {
	p.sorted = p.sorted[:0]
	if uniform(ts) {
		p.sorted = p.packed(p.sorted, ts, lim)
		return p.sorted[:p.fill(p.sorted, now)]
	}

	lead := ts[0]
	p.sorted = append(p.sorted, ts...)
	slices.SortStableFunc(p.sorted, func(a, b *ticket) int { return cmp.Compare(a.length, b.length) })
	i, j := p.cut(lim, now, lead)
	group := p.sorted[i:j]
	at := slices.Index(group, lead)
	group[0], group[at] = group[at], group[0]
	return group
}

func uniform(ts []*ticket) bool {
	for _, t := range ts {
		if t.length != ts[0].length {
			return false
		}
	}
	return true
}

// packed appends to dst the tickets that fit into one batch, first come first.
func (p *partition) packed(dst, ts []*ticket, lim limits) []*ticket {
	rows, cost := 0, int64(0)
	for i, t := range ts {
		if i > 0 && (rows+t.rows > lim.rows || lim.cost > 0 && cost+t.cost > lim.cost ||
			lim.cells > 0 && p.step(rows+t.rows)*t.length > lim.cells) {
			continue
		}
		rows += t.rows
		cost += t.cost
		dst = append(dst, t)
		if rows >= lim.rows || len(dst) == lim.items {
			break
		}
	}
	return dst
}

// fill returns how many of ts, which have one length and fit into one batch,
// are done at the best rate.
func (p *partition) fill(ts []*ticket, now instant) int {
	known, margin := p.costs.known(), p.costs.margin()
	best, bestRate := 1, 0.0
	rows, slack := 0, never
	for n, t := range ts {
		rows += t.rows
		slack = min(slack, t.deadline-now)
		ns := p.costs.at(p.step(rows), t.column, t.length)
		if known && n > 0 && time.Duration(ns*margin) > slack {
			break
		}
		if rate := float64(rows) / ns; rate >= bestRate {
			best, bestRate = n+1, rate
		}
	}
	return best
}

func (p *partition) step(rows int) int { return stepUp(p.rowSteps, rows) }

// cut returns the bounds in p.sorted of the lead's group.
func (p *partition) cut(lim limits, now instant, lead *ticket) (int, int) {
	n := len(p.sorted)
	p.best = slices.Grow(p.best[:0], n+1)[:n+1]
	p.from = slices.Grow(p.from[:0], n+1)[:n+1]
	p.best[0] = 0
	maxCost, maxCells := lim.cost, lim.cells
	if maxCost == 0 {
		maxCost = math.MaxInt64
	}
	if maxCells == 0 {
		maxCells = math.MaxInt
	}
	known, margin := p.costs.known(), p.costs.margin()
	length := -1
	for j := 1; j <= n; j++ {
		last := p.sorted[j-1]
		if last.length != length {
			length = last.length
			p.price(lim.rows, last)
		}
		rows, cells, cost, slack := last.rows, last.rows*length, last.cost, last.deadline
		best, from := p.best[j-1]+p.prices[rows], j-1
		for i := j - 2; i >= 0 && j-i <= lim.items; i-- {
			t := p.sorted[i]
			rows += t.rows
			cells += t.rows * t.length
			cost += t.cost
			slack = min(slack, t.deadline)
			// Each of these only grows worse with more tickets.
			if rows > lim.rows || cost > maxCost || p.step(rows)*length > maxCells ||
				float64(rows*length-cells) > lim.padding*float64(rows*length) {
				break
			}
			ns := p.prices[rows]
			if known && instant(ns*margin) > slack-now {
				break
			}
			if sum := p.best[i] + ns; sum < best {
				best, from = sum, i
			}
		}
		p.best[j], p.from[j] = best, from
	}
	at := slices.Index(p.sorted, lead)
	j := n
	for p.from[j] > at {
		j = p.from[j]
	}
	return p.from[j], j
}

// price fills p.prices with the nanoseconds of a run by its rows, at the
// length of t; a ticket alone may have more rows than a batch is meant to have
// now.
func (p *partition) price(most int, t *ticket) {
	for _, u := range p.sorted {
		most = max(most, u.rows)
	}
	p.prices = slices.Grow(p.prices[:0], most+1)[:most+1]
	for rows := 1; rows <= most; {
		padded := p.step(rows)
		ns := p.costs.at(padded, t.column, t.length)
		for ; rows <= min(padded, most); rows++ {
			p.prices[rows] = ns
		}
	}
}
