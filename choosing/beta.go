package choosing

import (
	"math"
	"math/rand/v2"
)

// beta draws from a Beta distribution, as the share of one gamma variate in the
// sum of two.
type beta struct{ a, b gamma }

func newBeta(successes, failures float64) beta { return beta{newGamma(successes), newGamma(failures)} }

// mean is the distribution's.
func (b *beta) mean() float64 { return b.a.shape / (b.a.shape + b.b.shape) }

// draw returns a number in [0, 1]. A shape of 0 is the limit: all mass lies at
// the other end.
func (b *beta) draw(r *rand.Rand) float64 {
	switch {
	case b.a.shape == 0:
		return 0
	case b.b.shape == 0:
		return 1
	case b.a.boost == 0 && b.b.boost == 0:
		x := b.a.draw(r)
		return x / (x + b.b.draw(r))
	}
	// Small shapes draw numbers that are too small for a float64, but not their
	// logarithms.
	x, y := b.a.log(r), b.b.log(r)
	return 1 / (1 + math.Exp(y-x))
}

// gamma draws from a gamma distribution of scale 1 (Marsaglia and Tsang, "A Simple
// Method for Generating Gamma Variables", 2000).
type gamma struct {
	shape float64
	d, c  float64
	// boost is 1/shape for shapes below 1, which are drawn as a shape one larger
	// times a uniform variate to this power; else 0.
	boost float64
}

func newGamma(shape float64) gamma {
	if shape < 1e-9 { // it makes no difference, and its inverse stays a number
		shape = 0
	}
	g := gamma{shape: shape, d: shape - 1.0/3}
	if shape < 1 {
		g.boost, g.d = 1/shape, shape+1-1.0/3
	}
	g.c = 1 / math.Sqrt(9*g.d)
	return g
}

// draw draws for shapes of at least 1.
func (g *gamma) draw(r *rand.Rand) float64 {
	for {
		x := r.NormFloat64()
		v := 1 + g.c*x
		if v <= 0 {
			continue
		}
		v *= v * v
		u := 1 - r.Float64() // in (0, 1]
		if u < 1-0.0331*x*x*x*x || math.Log(u) < x*x/2+g.d*(1-v+math.Log(v)) {
			return g.d * v
		}
	}
}

// log draws the logarithm, for any shape.
func (g *gamma) log(r *rand.Rand) float64 {
	x := math.Log(g.draw(r))
	if g.boost > 0 {
		x += g.boost * math.Log(1-r.Float64())
	}
	return x
}
