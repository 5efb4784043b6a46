package recommend

import (
	"math"
	"math/rand/v2"
	"slices"
)

// candidate is an item that may get a place.
type candidate struct {
	scored
	promotions uint32  // bits of the promotions that promote it
	nearest    float64 // largest cosine with an item that has a place
	taken      bool
}

// placed is an item with its place in the list.
type placed struct {
	scored
	propensity float64 // 0 where nothing is drawn
	promotion  int     // that gave it its place, -1 = none
}

// mixing is how a list is made of candidates.
type mixing struct {
	page        int   // places of a page
	quotas      []int // of each page's places, for each promotion
	diversity   float64
	temperature float64 // 0 = nothing is drawn
	rng         *rand.Rand
	vector      func(place int32) []float32
}

// candidates joins a query's best items with those of the promotions, the best
// first.
func (s *search) candidates(t *tops) []candidate {
	all := slices.Clone(t.best.heap)
	for i := range t.promoted {
		all = append(all, t.promoted[i].heap...)
	}
	slices.SortFunc(all, compare)
	all = slices.Compact(all)
	out := make([]candidate, len(all))
	for i, x := range all {
		out[i].scored = x
		for p, b := range s.promoted {
			if b.has(int(x.place)) {
				out[i].promotions |= 1 << p
			}
		}
	}
	return out
}

// list gives places to candidates, which stand the best first, and returns the
// first so many.
func (m *mixing) list(candidates []candidate, places int) []placed {
	l := lister{mixing: m, from: candidates}
	if m.diversity > 0 && len(candidates) > 0 {
		l.low = float64(candidates[len(candidates)-1].score)
		l.spread = float64(candidates[0].score) - l.low
		l.norms = make([]float64, len(candidates))
		for i, c := range candidates {
			l.norms[i] = norm(m.vector(c.place))
			candidates[i].nearest = -1
		}
	}
	out := make([]placed, 0, min(places, len(candidates)))
	var got []int // places of this page that promoted items have, for each promotion
	for len(out) < places {
		at := len(out) % m.page
		if at == 0 {
			got = make([]int, len(m.quotas))
		}
		due := l.due(got, m.page-at)
		k, propensity := l.pick(due)
		if k < 0 && due != 0 { // no more of those
			due = 0
			k, propensity = l.pick(0)
		}
		if k < 0 {
			break
		}
		c := &candidates[k]
		c.taken = true
		p := placed{scored: c.scored, propensity: propensity, promotion: -1}
		for i := range got {
			if c.promotions>>i&1 != 0 {
				got[i]++
				if due>>i&1 != 0 && p.promotion < 0 {
					p.promotion = i
				}
			}
		}
		if m.diversity > 0 {
			l.near(k)
		}
		out = append(out, p)
	}
	return out
}

// lister is one list under way.
type lister struct {
	*mixing
	from        []candidate
	next        int // the first that has no place, where nothing reorders them
	low, spread float64
	norms       []float64
	utilities   []float64
	open        []int
}

// due are the promotions that must have the next place, so that each has its
// share of the page, of which so many places are left.
func (l *lister) due(got []int, left int) uint32 {
	missing, due := 0, uint32(0)
	for i, quota := range l.quotas {
		if got[i] < quota {
			missing += quota - got[i]
			due |= 1 << i
		}
	}
	if missing < left {
		return 0
	}
	return due
}

// pick chooses among the candidates of some promotions; 0 = among all. It returns
// -1 when there is none.
func (l *lister) pick(due uint32) (k int, propensity float64) {
	if l.diversity == 0 && l.temperature == 0 {
		for l.next < len(l.from) && l.from[l.next].taken {
			l.next++
		}
		for k := l.next; k < len(l.from); k++ {
			if c := &l.from[k]; !c.taken && (due == 0 || c.promotions&due != 0) {
				return k, 0
			}
		}
		return -1, 0
	}
	l.open, l.utilities = l.open[:0], l.utilities[:0]
	k, best := -1, 0.0
	for i := range l.from {
		if c := &l.from[i]; !c.taken && (due == 0 || c.promotions&due != 0) {
			u := l.utility(c)
			l.open, l.utilities = append(l.open, i), append(l.utilities, u)
			if k < 0 || u > best {
				k, best = i, u
			}
		}
	}
	if k < 0 || l.temperature == 0 {
		return k, 0
	}
	// The largest of utility + Gumbel noise is a draw from the softmax (Gumbel-max;
	// Yellott 1977); fresh noise for each place keeps it one whatever was drawn
	// before, also where a promotion restricted the choice.
	sum, chosen, most := 0.0, -1, math.Inf(-1)
	for i, u := range l.utilities {
		sum += math.Exp((u - best) / l.temperature)
		noisy := (u-best)/l.temperature - math.Log(l.rng.ExpFloat64())
		if chosen < 0 || noisy > most {
			chosen, most = i, noisy
		}
	}
	return l.open[chosen], math.Exp((l.utilities[chosen]-best)/l.temperature) / sum
}

// utility is by what a candidate is chosen, in the unit of the scores: its score,
// or its marginal relevance.
func (l *lister) utility(c *candidate) float64 {
	if l.diversity == 0 {
		return float64(c.score)
	}
	if l.spread == 0 { // all alike: only variety counts
		return -l.diversity * c.nearest
	}
	return (1-l.diversity)*(float64(c.score)-l.low) - l.diversity*c.nearest*l.spread
}

// near notes how alike the others are to the candidate that got a place.
func (l *lister) near(k int) {
	v := l.vector(l.from[k].place)
	for i := range l.from {
		c := &l.from[i]
		if c.taken {
			continue
		}
		cosine := 0.0
		if n := l.norms[i] * l.norms[k]; n > 0 {
			cosine = float64(dot(v, l.vector(c.place))) / n
		}
		c.nearest = max(c.nearest, cosine)
	}
}

func norm(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}
