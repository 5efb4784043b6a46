package imageanalysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/scry-ml/scry/pixel"
)

// drawMap is a map of 64 × 64 pixels that are likely where inside says.
func drawMap(inside func(x, y float64) bool) []float32 {
	m := make([]float32, 64*64)
	for i := range m {
		if inside(float64(i%64), float64(i/64)) {
			m[i] = 0.9
		}
	}
	return m
}

func box(left, top, right, bottom float64) func(x, y float64) bool {
	return func(x, y float64) bool { return x >= left && x <= right && y >= top && y <= bottom }
}

func TestFindRegions(t *testing.T) {
	turnedBy := func(degrees float64) func(x, y float64) bool { // 40 × 10 around the middle
		sin, cos := math.Sincos(degrees * math.Pi / 180)
		return func(x, y float64) bool {
			x, y = x-32, y-32
			return math.Abs(cos*x+sin*y) <= 20 && math.Abs(cos*y-sin*x) <= 5
		}
	}
	at := func(degrees, a, b float64) pixel.Point {
		sin, cos := math.Sincos(degrees * math.Pi / 180)
		return pixel.Point{X: 32 + a*cos - b*sin, Y: 32 + a*sin + b*cos}
	}
	for name, c := range map[string]struct {
		probabilities []float32
		widening      float64
		want          []region
		near          float64 // pixels
	}{
		"nothing":    {probabilities: drawMap(func(_, _ float64) bool { return false })},
		"everything": {drawMap(func(_, _ float64) bool { return true }), 0, []region{{{X: 0, Y: 0}, {X: 63, Y: 0}, {X: 63, Y: 63}, {X: 0, Y: 63}}}, 0.01},
		// Likely pixels count as one larger to the right and below.
		"a box":     {drawMap(box(10, 20, 49, 29)), 0, []region{{{X: 10, Y: 20}, {X: 50, Y: 20}, {X: 50, Y: 30}, {X: 10, Y: 30}}}, 0.01},
		"widened":   {drawMap(box(10, 20, 49, 29)), 0.5, []region{{{X: 8, Y: 18}, {X: 52, Y: 18}, {X: 52, Y: 32}, {X: 8, Y: 32}}}, 0.01},
		"too thin":  {probabilities: drawMap(box(10, 20, 49, 21))},
		"a pixel":   {probabilities: drawMap(box(10, 20, 10, 20))},
		"a hair":    {drawMap(func(x, y float64) bool { return box(10, 20, 49, 29)(x, y) && x != 30 }), 0, []region{{{X: 10, Y: 20}, {X: 50, Y: 20}, {X: 50, Y: 30}, {X: 10, Y: 30}}}, 0.01},
		"an L":      {probabilities: drawMap(func(x, y float64) bool { return box(5, 5, 8, 60)(x, y) || box(5, 57, 60, 60)(x, y) })}, // mostly not text
		"up 20°":    {drawMap(turnedBy(-20)), 0, []region{{at(-20, -20, -5), at(-20, 20, -5), at(-20, 20, 5), at(-20, -20, 5)}}, 2},
		"down 30°":  {drawMap(turnedBy(30)), 0, []region{{at(30, -20, -5), at(30, 20, -5), at(30, 20, 5), at(30, -20, 5)}}, 2},
		"two boxes": {drawMap(func(x, y float64) bool { return box(5, 5, 20, 10)(x, y) || box(5, 40, 20, 45)(x, y) }), 0, []region{{{X: 5, Y: 5}, {X: 21, Y: 5}, {X: 21, Y: 11}, {X: 5, Y: 11}}, {{X: 5, Y: 40}, {X: 21, Y: 40}, {X: 21, Y: 46}, {X: 5, Y: 46}}}, 0.01},
	} {
		got, cut := findRegions(c.probabilities, 64, 64, 0.3, 0.5, c.widening)
		if len(got) != len(c.want) || cut {
			t.Errorf("%s: %v %v, want %v", name, got, cut, c.want)
			continue
		}
		for i, r := range got {
			for k := range r {
				if r[k].Distance(c.want[i][k]) > c.near {
					t.Errorf("%s: corner %d of %d is %v, want %v", name, k, i, r[k], c.want[i][k])
				}
			}
		}
	}
	nan := drawMap(box(10, 20, 49, 29))
	nan[25*64+25] = float32(math.NaN())
	if got, _ := findRegions(nan, 64, 64, 0.3, 0.5, 0); len(got) > 0 {
		t.Errorf("a region with NaN in it: %v", got)
	}
	// A chequered map has a thousand places and more, of which most are read.
	grid := make([]float32, 320*320)
	for i := range grid {
		if x, y := i%320, i/320; x%8 < 5 && y%8 < 5 {
			grid[i] = 1
		}
	}
	if got, cut := findRegions(grid, 320, 320, 0.3, 0.5, 0); len(got) != maxRegions || !cut {
		t.Errorf("%d regions of 1,600, cut: %v", len(got), cut)
	}
}

// TestSmallestRectangle: no turned rectangle around random points, of 720, is
// smaller; all points lie within.
func TestSmallestRectangle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		points := make([]pixel.Point, 3+rng.IntN(40))
		for i := range points {
			points[i] = pixel.Point{X: float64(rng.IntN(30)), Y: float64(rng.IntN(30))}
		}
		extents := func(u pixel.Point) (from, to, bottom, top float64) {
			from, to, bottom, top = math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
			for _, p := range points {
				a, b := p.X*u.X+p.Y*u.Y, p.Y*u.X-p.X*u.Y
				from, to, bottom, top = min(from, a), max(to, a), min(bottom, b), max(top, b)
			}
			return from, to, bottom, top
		}
		r, ok := smallestRectangle(hull(slices.Clone(points)))
		if !ok {
			t.Fatalf("no rectangle around %v", points)
		}
		from, to, bottom, top := extents(r.along)
		if math.Abs(to-from-r.width) > 1e-9 || math.Abs(top-bottom-r.height) > 1e-9 ||
			math.Abs((from+to)/2-(r.center.X*r.along.X+r.center.Y*r.along.Y)) > 1e-9 ||
			math.Abs((bottom+top)/2-(r.center.Y*r.along.X-r.center.X*r.along.Y)) > 1e-9 {
			t.Errorf("%v is not around %v", r, points)
		}
		for k := range 720 {
			sin, cos := math.Sincos(float64(k) * math.Pi / 720)
			from, to, bottom, top := extents(pixel.Point{X: cos, Y: sin})
			if (to-from)*(top-bottom) < r.width*r.height-1e-9 {
				t.Fatalf("a rectangle turned by %d/4° is smaller than %v", k, r)
			}
		}
	}
}
