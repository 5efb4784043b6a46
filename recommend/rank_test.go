package recommend

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/scry-ml/scry/bundle"
)

// made makes items of few different numbers, so that scores are often equal.
func made(rng *rand.Rand, n, size int, biases bool) *bundle.Items {
	it := &bundle.Items{IDs: make([]string, n), Size: size, Vectors: make([]float32, n*size)}
	for i := range it.Vectors {
		it.Vectors[i] = float32(rng.IntN(5)-2) / 2
	}
	if biases {
		it.Biases = make([]float32, n)
		for i := range it.Biases {
			it.Biases[i] = float32(rng.IntN(3))
		}
	}
	return it
}

// naive ranks one query by sorting every score.
func (s *search) naive(q *query, admits func(int) bool, k int) []scored {
	var all []scored
	for i := range s.items.Len() {
		if _, out := q.out[int32(i)]; out || (s.admitted != nil && !s.admitted.has(i)) || !admits(i) {
			continue
		}
		if q.only != nil && !slices.Contains(q.only, int32(i)) {
			continue
		}
		score := float32(0)
		if q.vector != nil {
			for j, x := range q.vector {
				score += float32(x * s.items.Vector(i)[j])
			}
			if s.items.Biases != nil {
				score += s.items.Biases[i]
			}
		} else {
			score = q.fixed[i]
		}
		all = append(all, scored{score + q.bonus[int32(i)], int32(i)})
	}
	slices.SortFunc(all, compare)
	return all[:min(k, len(all))]
}

func TestSearchIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		n := rapid.IntRange(1, 1500).Draw(t, "items")
		s := &search{items: made(rng, n, rapid.IntRange(1, 19).Draw(t, "size"), rng.IntN(2) == 0), k: rapid.IntRange(1, 40).Draw(t, "k")}
		if share := rapid.SampledFrom([]float64{0, 0.02, 0.5, 2}).Draw(t, "admitted"); share < 1 {
			s.admitted = newBitmap(n)
			for i := range n {
				if rng.Float64() < share {
					s.admitted.set(i)
				}
			}
		}
		for range rapid.IntRange(0, 2).Draw(t, "promotions") {
			b := newBitmap(n)
			for i := range n {
				if rng.IntN(7) == 0 {
					b.set(i)
				}
			}
			s.promoted, s.promoK = append(s.promoted, b), append(s.promoK, rng.IntN(5))
		}
		queries := make([]query, rapid.IntRange(1, 11).Draw(t, "queries"))
		for i := range queries {
			q := &queries[i]
			if rng.IntN(5) == 0 {
				q.fixed = make([]float32, n)
				for k := range q.fixed {
					q.fixed[k] = float32(rng.IntN(9))
				}
			} else {
				q.vector = make([]float32, s.items.Size)
				for k := range q.vector {
					q.vector[k] = float32(rng.NormFloat64())
				}
			}
			q.out, q.bonus = map[int32]struct{}{}, map[int32]float32{}
			for range rng.IntN(6) {
				q.out[int32(rng.IntN(n))] = struct{}{}
				q.bonus[int32(rng.IntN(n))] = float32(rng.IntN(4)) - 1
			}
			if rng.IntN(4) == 0 {
				q.only = []int32{}
				for k := range n {
					if rng.IntN(3) == 0 {
						q.only = append(q.only, int32(k))
					}
				}
			}
		}
		found, err := s.run(t.Context(), queries)
		if err != nil {
			t.Fatal(err)
		}
		for i := range queries {
			check := func(name string, got *top, admits func(int) bool, k int) {
				have := slices.Clone(got.heap)
				slices.SortFunc(have, compare)
				if want := s.naive(&queries[i], admits, k); !slices.Equal(have, want) {
					t.Fatalf("query %d, %s: %v, want %v", i, name, have, want)
				}
			}
			check("best", &found[i].best, func(int) bool { return true }, s.k)
			for p := range s.promoted {
				check("promoted", &found[i].promoted[p], s.promoted[p].has, s.promoK[p])
			}
		}
	})
}

func TestScoresDoNotDependOnTheOthers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	it := made(rng, 700, 33, false)
	for i := range it.Vectors {
		it.Vectors[i] = rng.Float32()
	}
	queries := make([]query, 6)
	for i := range queries {
		queries[i].vector = make([]float32, it.Size)
		for k := range queries[i].vector {
			queries[i].vector[k] = rng.Float32() - 0.5
		}
	}
	s := &search{items: it, k: 700}
	together, err := s.run(t.Context(), queries)
	if err != nil {
		t.Fatal(err)
	}
	for i := range queries {
		alone, err := s.run(t.Context(), queries[i:i+1])
		if err != nil {
			t.Fatal(err)
		}
		a, b := together[i].best.heap, alone[0].best.heap
		slices.SortFunc(a, compare)
		slices.SortFunc(b, compare)
		if !slices.Equal(a, b) {
			t.Fatalf("query %d is scored otherwise beside others", i)
		}
	}
}

// ladder are candidates with scores n, n-1, … 1; those of odd places are promoted
// by promotion 0, multiples of 5 by promotion 1.
func ladder(n int) []candidate {
	out := make([]candidate, n)
	for i := range out {
		out[i].scored = scored{float32(n - i), int32(i)}
		if i%2 == 1 {
			out[i].promotions |= 1
		}
		if i > 0 && i%5 == 0 {
			out[i].promotions |= 2
		}
	}
	return out
}

func places(list []placed) []int32 {
	out := make([]int32, len(list))
	for i, p := range list {
		out[i] = p.place
	}
	return out
}

func TestPromotions(t *testing.T) {
	// Nothing is due while the promoted rank high enough by themselves.
	m := &mixing{page: 4, quotas: []int{2}}
	if got := places(m.list(ladder(20), 8)); !slices.Equal(got, []int32{0, 1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("a quota that is met moves items: %v", got)
	}
	// The promoted take the last places of each page, and only as many as are due.
	m = &mixing{page: 4, quotas: []int{0, 2}}
	list := m.list(ladder(20), 8)
	for page := range 2 {
		n := 0
		for _, p := range list[page*4 : page*4+4] {
			if p.place%5 == 0 && p.place > 0 {
				n++
			}
		}
		if want := min(2, 3-2*page); n != want {
			t.Errorf("page %d has %d promoted items, want %d: %v", page, n, want, places(list))
		}
	}
	if list[2].promotion != 1 || list[0].promotion != -1 {
		t.Errorf("promotions %d, %d", list[2].promotion, list[0].promotion)
	}
	// Pages are parts of one list.
	whole := places((&mixing{page: 5, quotas: []int{1, 2}}).list(ladder(60), 25))
	for offset := 0; offset < 25; offset += 5 {
		if got := places((&mixing{page: 5, quotas: []int{1, 2}}).list(ladder(60), offset+5)); !slices.Equal(got, whole[:offset+5]) {
			t.Fatalf("to %d: %v, whole %v", offset+5, got, whole)
		}
	}
}

// TestDiversity holds the list against maximal marginal relevance as it is
// defined.
func TestDiversity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		n, weight := rapid.IntRange(1, 30).Draw(t, "candidates"), rapid.SampledFrom([]float64{0.1, 0.5, 0.9, 1}).Draw(t, "diversity")
		vectors := make([][]float32, n)
		candidates := make([]candidate, n)
		for i := range vectors {
			vectors[i] = []float32{rng.Float32() - 0.5, rng.Float32() - 0.5, rng.Float32()}
			candidates[i].scored = scored{float32(n - i), int32(i)}
		}
		cosine := func(a, b int32) float64 {
			return float64(dot(vectors[a], vectors[b])) / (norm(vectors[a]) * norm(vectors[b]))
		}
		m := &mixing{page: 10, diversity: weight, vector: func(p int32) []float32 { return vectors[p] }}
		list := m.list(slices.Clone(candidates), n)
		if len(list) != n {
			t.Fatalf("%d of %d", len(list), n)
		}
		mmr := func(c int32, chosen []placed) float64 {
			relevance := 0.0
			if n > 1 {
				relevance = float64(n-int(c)-1) / float64(n-1)
			}
			alike := -1.0
			for _, p := range chosen {
				alike = max(alike, cosine(c, p.place))
			}
			return (1-weight)*relevance - weight*alike
		}
		for k := range list {
			for _, later := range list[k:] {
				if mmr(later.place, list[:k]) > mmr(list[k].place, list[:k])+1e-6 {
					t.Fatalf("place %d: %d is chosen where %d is better", k, list[k].place, later.place)
				}
			}
		}
	})
}

// TestExploration draws many short lists and compares how often each comes with
// the propensities.
func TestExploration(t *testing.T) {
	scores := []float32{2, 1.5, 1, 0.2}
	for _, quotas := range [][]int{nil, {1}} {
		const draws = 200_000
		count := map[[3]int32]int{}
		chance := map[[3]int32]float64{}
		for seed := range uint64(draws) {
			candidates := make([]candidate, len(scores))
			for i, s := range scores {
				candidates[i].scored = scored{s, int32(i)}
				if i == 2 || i == 3 {
					candidates[i].promotions = 1
				}
			}
			m := &mixing{page: 3, quotas: quotas, temperature: 0.7, rng: rand.New(rand.NewPCG(seed, 0))}
			list := m.list(candidates, 3)
			key, p := [3]int32{}, 1.0
			for k, x := range list {
				key[k] = x.place
				p *= x.propensity
			}
			count[key]++
			if had, ok := chance[key]; ok && math.Abs(had-p) > 1e-12 {
				t.Fatalf("%v has the chances %v and %v", key, had, p)
			}
			chance[key] = p
		}
		sum := 0.0
		for key, p := range chance {
			sum += p
			got, deviation := float64(count[key])/draws, math.Sqrt(p*(1-p)/draws)
			if math.Abs(got-p) > 5*deviation {
				t.Errorf("quotas %v: %v came %.4f times, propensity %.4f ± %.4f", quotas, key, got, p, deviation)
			}
		}
		if math.Abs(sum-1) > 1e-3 {
			t.Errorf("quotas %v: the propensities of all lists sum to %v", quotas, sum)
		}
	}
}

func TestExplorationAtTheLimits(t *testing.T) {
	for _, temperature := range []float64{5e-324, 1e-300, 1e300} {
		m := &mixing{page: 10, temperature: temperature, rng: rand.New(rand.NewPCG(1, 1))}
		list := m.list(ladder(50), 50)
		if len(list) != 50 {
			t.Fatalf("%v: %d places", temperature, len(list))
		}
		for k, p := range list {
			if !(p.propensity > 0 && p.propensity <= 1) {
				t.Errorf("%v: propensity %v at place %d", temperature, p.propensity, k)
			}
			if temperature < 1 && p.place != int32(k) {
				t.Errorf("%v: place %d has item %d", temperature, k, p.place)
			}
		}
	}
}
