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
	// The largest are those of the largest area: not the highest.
	for x := range 320 {
		for y := 312; y < 317; y++ {
			grid[y*320+x] = 1
		}
	}
	got, cut := findRegions(grid, 320, 320, 0.3, 0.5, 0)
	if wide := slices.ContainsFunc(got, func(r region) bool { return r[0].Distance(r[1]) > 300 }); len(got) != maxRegions || !cut || !wide {
		t.Errorf("%d regions, cut: %v, the widest among them: %v", len(got), cut, wide)
	}
	// What is too thin to be read is no place that was left out.
	for i := range grid {
		if grid[i] = 0; i%320%4 == 0 && i/320%4 == 0 {
			grid[i] = 1
		}
	}
	if got, cut := findRegions(grid, 320, 320, 0.3, 0.5, 0); len(got) != 0 || cut {
		t.Errorf("%d regions of dots, cut: %v", len(got), cut)
	}
}

// FuzzFindRegions: on any map, groups of likely pixels are those that a flood
// finds, and regions have finite corners and a right angle.
func FuzzFindRegions(f *testing.F) {
	f.Add([]byte{0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255}, uint8(6), 0.3, 0.5, 1.6)
	f.Add([]byte{200, 0, 200, 0, 200, 0, 1, 200, 1}, uint8(3), 0.0, 0.0, 10.0)
	f.Add(slices.Repeat([]byte{200, 200, 200, 200, 0, 0, 254}, 100), uint8(23), 0.3, 0.5, 1.6)
	f.Fuzz(func(t *testing.T, pixels []byte, width uint8, least, leastMean, widening float64) {
		w := int(width)
		if w == 0 || len(pixels) < w || !(least >= 0 && least < 1 && leastMean >= 0 && leastMean < 1 && widening >= 0 && widening <= 10) {
			return
		}
		h := len(pixels) / w
		m := make([]float32, w*h)
		for i := range m {
			switch p := pixels[i]; p {
			case 254:
				m[i] = float32(math.NaN())
			case 253:
				m[i] = float32(math.Inf(1))
			default:
				m[i] = float32(p) / 252
			}
		}
		var boxes []box4
		for _, s := range connected(m, w, h, float32(least)) {
			b := box4{w, h, -1, -1}
			for _, p := range s {
				b = b.with(int(p.X), int(p.Y))
			}
			boxes = append(boxes, b)
		}
		if want := flood(m, w, h, float32(least)); !slices.Equal(sorted(boxes), sorted(want)) {
			t.Fatalf("%v, want %v", boxes, want)
		}
		found, cut := findRegions(m, w, h, least, leastMean, widening)
		if len(found) > maxRegions || cut && len(found) != maxRegions || len(found) > len(boxes) {
			t.Errorf("%d regions of %d groups, cut: %v", len(found), len(boxes), cut)
		}
		for _, r := range found {
			a, b := r[0].Distance(r[1]), r[0].Distance(r[3])
			if !(a >= thinnest && b >= thinnest && a < 1e5 && b < 1e5) || math.Abs(math.Hypot(a, b)-r[0].Distance(r[2])) > 1e-6*(a+b) {
				t.Errorf("%v is no rectangle of some size", r)
			}
		}
	})
}

// box4 is left, top, right and bottom.
type box4 [4]int

func (b box4) with(x, y int) box4 {
	return box4{min(b[0], x), min(b[1], y), max(b[2], x), max(b[3], y)}
}

func sorted(b []box4) []box4 {
	slices.SortFunc(b, func(a, b box4) int { return slices.Compare(a[:], b[:]) })
	return b
}

// flood is connected by another way: the boxes of groups, pixel by pixel.
func flood(m []float32, w, h int, least float32) (boxes []box4) {
	likely := make([]bool, w*h)
	for i := range m {
		if m[i] > least {
			for y := i / w; y <= min(h-1, i/w+1); y++ {
				for x := i % w; x <= min(w-1, i%w+1); x++ {
					likely[y*w+x] = true
				}
			}
		}
	}
	for i := range likely {
		if !likely[i] {
			continue
		}
		b := box4{w, h, -1, -1}
		likely[i] = false
		for next := []int{i}; len(next) > 0; {
			x, y := next[0]%w, next[0]/w
			next, b = next[1:], b.with(x, y)
			for v := max(0, y-1); v <= min(h-1, y+1); v++ {
				for u := max(0, x-1); u <= min(w-1, x+1); u++ {
					if likely[v*w+u] {
						likely[v*w+u] = false
						next = append(next, v*w+u)
					}
				}
			}
		}
		boxes = append(boxes, b)
	}
	return boxes
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
