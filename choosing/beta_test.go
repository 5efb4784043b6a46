package choosing

import (
	"github.com/scry-ml/scry/pipeline"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestBetaMoments compares mean and variance of draws with those of the
// distribution.
func TestBetaMoments(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		alpha := math.Exp(rapid.Float64Range(-3, 7).Draw(rt, "alpha"))
		other := math.Exp(rapid.Float64Range(-3, 7).Draw(rt, "beta"))
		b := newBeta(alpha, other)
		r := pipeline.Generator(rapid.Uint64().Draw(rt, "seed"), "", 0)
		const n = 20_000
		sum, squares := 0.0, 0.0
		for range n {
			x := b.draw(r)
			if !(x >= 0 && x <= 1) {
				rt.Fatalf("drew %v", x)
			}
			sum, squares = sum+x, squares+x*x
		}
		mean := alpha / (alpha + other)
		variance := mean * (1 - mean) / (alpha + other + 1)
		if math.Abs(b.mean()-mean) > 1e-12 {
			rt.Fatalf("mean %v, want %v", b.mean(), mean)
		}
		got := sum / n
		if math.Abs(got-mean) > 6*math.Sqrt(variance/n) {
			rt.Fatalf("Beta(%v, %v): drawn mean %v, want %v", alpha, other, got, mean)
		}
		// The variance of a sample's variance is bounded by that of numbers in [0, 1].
		if v := squares/n - got*got; math.Abs(v-variance) > 6*math.Sqrt(variance/n) {
			rt.Fatalf("Beta(%v, %v): drawn variance %v, want %v", alpha, other, v, variance)
		}
	})
}

// TestBetaDistribution compares whole distributions, where they are simple, by
// the largest difference of the distribution functions (Kolmogorov and Smirnov).
func TestBetaDistribution(t *testing.T) {
	for name, c := range map[string]struct {
		alpha, beta float64
		function    func(x float64) float64
	}{
		"uniform": {1, 1, func(x float64) float64 { return x }},
		"rising":  {3, 1, func(x float64) float64 { return x * x * x }},
		"falling": {1, 2, func(x float64) float64 { return 1 - (1-x)*(1-x) }},
		"arcsine": {0.5, 0.5, func(x float64) float64 { return 2 / math.Pi * math.Asin(math.Sqrt(x)) }},
		"steep":   {0.01, 1, func(x float64) float64 { return math.Pow(x, 0.01) }},
		"bell":    {2, 2, func(x float64) float64 { return x * x * (3 - 2*x) }},
	} {
		b, r := newBeta(c.alpha, c.beta), rand.New(rand.NewPCG(1, 2))
		const n = 50_000
		xs := make([]float64, n)
		for i := range xs {
			xs[i] = b.draw(r)
		}
		slices.Sort(xs)
		most := 0.0
		for i, x := range xs {
			f := c.function(x)
			most = max(most, math.Abs(f-float64(i)/n), math.Abs(f-float64(i+1)/n))
		}
		if limit := 1.95 / math.Sqrt(n); most > limit { // one in a thousand is further off
			t.Errorf("%s: off by %v, limit %v", name, most, limit)
		}
	}
}

func TestBetaLimits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		if x := (&beta{newGamma(0), newGamma(3)}).draw(r); x != 0 {
			t.Fatalf("no successes: %v", x)
		}
		if x := (&beta{newGamma(3), newGamma(1e-12)}).draw(r); x != 1 {
			t.Fatalf("no failures: %v", x)
		}
		b := newBeta(1e-6, 1e-6)
		if x := b.draw(r); math.IsNaN(x) {
			t.Fatal("NaN of tiny shapes")
		}
		b = newBeta(1e12, 3e12)
		if x := b.draw(r); math.Abs(x-0.25) > 1e-5 {
			t.Fatalf("huge shapes: %v", x)
		}
	}
}

func BenchmarkBeta(b *testing.B) {
	d, r := newBeta(3, 7), rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		d.draw(r)
	}
}
