package pixel

import "math"

// Point is a place in a picture, in its pixels; (0, 0) is the upper left corner of
// the first one, (0.5, 0.5) its centre.
type Point struct{ X, Y float64 }

// Distance is that between two places, in pixels.
func (p Point) Distance(q Point) float64 { return math.Hypot(p.X-q.X, p.Y-q.Y) }

// Straighten cuts a rectangle, which may be turned, out of a picture and brings it
// to w × h pixels, both ≥ 1. corners are clockwise from the one that becomes the
// upper left. Each pixel is interpolated between its four neighbours; beyond the
// picture's edges the pixels there are repeated.
func Straighten(src *RGB, corners [4]Point, w, h int) *RGB {
	dst := NewRGB(w, h)
	origin := corners[0]
	right := Point{(corners[1].X - origin.X) / float64(w), (corners[1].Y - origin.Y) / float64(w)}
	down := Point{(corners[3].X - origin.X) / float64(h), (corners[3].Y - origin.Y) / float64(h)}
	for y := range h {
		out := dst.row(y)
		for x := range w {
			u, v := float64(x)+0.5, float64(y)+0.5
			// Centres of pixels are half a pixel from their corners.
			sx := min(max(origin.X+u*right.X+v*down.X-0.5, 0), float64(src.W-1))
			sy := min(max(origin.Y+u*right.Y+v*down.Y-0.5, 0), float64(src.H-1))
			x0, y0 := int(sx), int(sy)
			fx, fy := sx-float64(x0), sy-float64(y0)
			a, b := src.row(y0), src.row(min(y0+1, src.H-1))
			i, j := 3*x0, 3*min(x0+1, src.W-1)
			for c := range 3 {
				top := float64(a[i+c])*(1-fx) + float64(a[j+c])*fx
				bottom := float64(b[i+c])*(1-fx) + float64(b[j+c])*fx
				out[3*x+c] = uint8(top*(1-fy) + bottom*fy + 0.5)
			}
		}
	}
	return dst
}
