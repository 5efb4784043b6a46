package imageanalysis

import (
	"cmp"
	"math"
	"slices"

	"github.com/scry-ml/scry/pixel"
)

// region holds the corners of a rectangle, which may be turned, of a map of
// probabilities: clockwise from the upper left, in the map's pixels.
type region [4]pixel.Point

const (
	// maxRegions of a map are looked at, the largest.
	maxRegions = 1000
	// thinnest is the shorter side, in the map's pixels, of a rectangle that may
	// hold text.
	thinnest = 3
)

// findRegions finds the rectangles around connected pixels that are likelier than
// least, as Differentiable Binarization's authors do (Liao et al., 2020, section
// 3.5): those with a lower mean than leastMean are left out, the others widened.
// probabilities are w × h numbers, row by row. The largest come first where
// there are more than can be looked at; cut tells.
func findRegions(probabilities []float32, w, h int, least, leastMean, widening float64) (found []region, cut bool) {
	var all []rectangle
	for _, shape := range connected(probabilities, w, h, float32(least)) {
		r, ok := smallestRectangle(hull(shape))
		if !ok || min(r.width, r.height) < thinnest {
			continue
		}
		if r.mean(probabilities, w, h) >= leastMean { // NaN is not
			all = append(all, r)
		}
	}
	if cut = len(all) > maxRegions; cut {
		slices.SortStableFunc(all, func(a, b rectangle) int { return cmp.Compare(b.width*b.height, a.width*a.height) })
		all = all[:maxRegions]
	}
	found = make([]region, len(all))
	for i, r := range all {
		more := widening * r.width * r.height / (2 * (r.width + r.height))
		r.width, r.height = r.width+2*more, r.height+2*more
		found[i] = r.corners()
	}
	return found, cut
}

// run is a row's pixels [from, to) that are likely, and the shape they belong to.
type run struct{ from, to, y, parent int }

// connected returns, for each group of likely pixels that touch, also at their
// corners, the ends of its runs. Likely pixels are taken as one larger to the
// right and below, which joins what a hair parts, and lets the outermost centres
// lie on the edges of what is likely.
func connected(probabilities []float32, w, h int, least float32) [][]pixel.Point {
	var runs []run
	root := func(i int) int {
		for runs[i].parent != i {
			runs[i].parent = runs[runs[i].parent].parent
			i = runs[i].parent
		}
		return i
	}
	above := 0 // the first run of the row above
	for y := range h {
		first := len(runs)
		row, before := probabilities[y*w:][:w], probabilities[max(0, y-1)*w:][:w]
		was := false // the column to the left is likely, in either row
		for x := range w {
			is := row[x] > least || before[x] > least
			if !is && !was {
				continue
			}
			was = is
			if last := len(runs) - 1; last >= first && runs[last].to == x {
				runs[last].to++
				continue
			}
			runs = append(runs, run{x, x + 1, y, len(runs)})
		}
		k := above
		for i := first; i < len(runs); i++ {
			for k < first && runs[k].to < runs[i].from {
				k++
			}
			for j := k; j < first && runs[j].from <= runs[i].to; j++ {
				runs[root(j)].parent = root(i)
			}
		}
		above = first
	}
	places, shapes := map[int]int{}, [][]pixel.Point{}
	for i, r := range runs {
		place, ok := places[root(i)]
		if !ok {
			place = len(shapes)
			places[root(i)], shapes = place, append(shapes, nil)
		}
		shapes[place] = append(shapes[place], pixel.Point{X: float64(r.from), Y: float64(r.y)}, pixel.Point{X: float64(r.to - 1), Y: float64(r.y)})
	}
	return shapes
}

// hull returns the corners of the smallest convex shape around points (Andrew's
// monotone chain, 1979), counterclockwise in a system whose y points up.
func hull(points []pixel.Point) []pixel.Point {
	slices.SortFunc(points, func(a, b pixel.Point) int { return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.Y, b.Y)) })
	points = slices.Compact(points)
	if len(points) < 3 {
		return points
	}
	var out []pixel.Point
	half := func(p pixel.Point, base int) {
		for len(out) >= base+2 {
			a, b := out[len(out)-2], out[len(out)-1]
			if (b.X-a.X)*(p.Y-a.Y)-(b.Y-a.Y)*(p.X-a.X) > 0 {
				break
			}
			out = out[:len(out)-1]
		}
		out = append(out, p)
	}
	for _, p := range points {
		half(p, 0)
	}
	base := len(out) - 1
	for _, p := range slices.Backward(points[:len(points)-1]) {
		half(p, base)
	}
	return out[:len(out)-1]
}

// rectangle may be turned: along is the direction of its width, of length 1.
type rectangle struct {
	center, along pixel.Point
	width, height float64
}

// smallestRectangle returns the rectangle of the least area around a convex shape,
// one of whose edges lies on one of its sides (Freeman and Shapira, 1975).
func smallestRectangle(shape []pixel.Point) (best rectangle, ok bool) {
	least := math.Inf(1)
	for i, p := range shape {
		q := shape[(i+1)%len(shape)]
		length := p.Distance(q)
		if length == 0 {
			continue
		}
		u := pixel.Point{X: (q.X - p.X) / length, Y: (q.Y - p.Y) / length}
		from, to := math.Inf(1), math.Inf(-1)    // along u
		bottom, top := math.Inf(1), math.Inf(-1) // across it
		for _, s := range shape {
			a, b := s.X*u.X+s.Y*u.Y, s.Y*u.X-s.X*u.Y
			from, to, bottom, top = min(from, a), max(to, a), min(bottom, b), max(top, b)
		}
		if area := (to - from) * (top - bottom); area < least {
			least, ok = area, true
			a, b := (from+to)/2, (bottom+top)/2
			best = rectangle{
				center: pixel.Point{X: a*u.X - b*u.Y, Y: a*u.Y + b*u.X}, along: u, width: to - from, height: top - bottom,
			}
		}
	}
	return best, ok
}

// corners are clockwise from the upper left one, where that is the upper one of the
// two on the left.
func (r rectangle) corners() region {
	var out region
	for k, side := range [4][2]float64{{-1, -1}, {1, -1}, {1, 1}, {-1, 1}} {
		a, b := side[0]*r.width/2, side[1]*r.height/2
		out[k] = pixel.Point{X: r.center.X + a*r.along.X - b*r.along.Y, Y: r.center.Y + a*r.along.Y + b*r.along.X}
	}
	byX := out
	slices.SortStableFunc(byX[:], func(a, b pixel.Point) int { return cmp.Compare(a.X, b.X) })
	left, right := byX[:2], byX[2:]
	if left[0].Y > left[1].Y {
		left[0], left[1] = left[1], left[0]
	}
	if right[0].Y > right[1].Y {
		right[0], right[1] = right[1], right[0]
	}
	return region{left[0], right[0], right[1], left[1]}
}

// mean is that of the probabilities of the pixels whose centres lie within.
func (r rectangle) mean(probabilities []float32, w, h int) float64 {
	const hair = 1e-6 // corners are pixels' centres
	half := math.Abs(r.along.Y)*r.width/2 + math.Abs(r.along.X)*r.height/2
	sum, n := 0.0, 0
	for y := max(0, int(math.Ceil(r.center.Y-half-hair))); y <= min(h-1, int(math.Floor(r.center.Y+half+hair))); y++ {
		// The row's pixels that are within both pairs of sides.
		dy := float64(y) - r.center.Y
		from, to := 0.0, float64(w-1)
		clip := func(slope, offset, side float64) { // |slope × dx + offset| ≤ side
			if math.Abs(slope) < 1e-9 {
				if math.Abs(offset) > side {
					to = -1
				}
				return
			}
			a, b := (-side-offset)/slope, (side-offset)/slope
			from, to = max(from, r.center.X+min(a, b)), min(to, r.center.X+max(a, b))
		}
		clip(r.along.X, r.along.Y*dy, r.width/2+hair)
		clip(-r.along.Y, r.along.X*dy, r.height/2+hair)
		for x := int(math.Ceil(from)); float64(x) <= to; x++ {
			sum, n = sum+float64(probabilities[y*w+x]), n+1
		}
	}
	return sum / float64(n)
}
