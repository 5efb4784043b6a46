package pixel

import (
	"fmt"
	"math"
	"sync"
)

// Filter is a resampling filter, numbered as Pillow's Image.Resampling (and so
// as "resample" in a preprocessor_config.json).
type Filter uint8

// The resampling filters. All but Nearest are antialiased: when a picture
// shrinks, the filter is widened to cover all source pixels.
const (
	Nearest  Filter = 0
	Lanczos  Filter = 1
	Bilinear Filter = 2
	Bicubic  Filter = 3
	Box      Filter = 4
	Hamming  Filter = 5
)

var filterNames = [...]string{"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"}

// String returns the name of the filter in lower case.
func (f Filter) String() string {
	if int(f) < len(filterNames) {
		return filterNames[f]
	}
	return fmt.Sprintf("filter(%d)", uint8(f))
}

// support is the half width of the filter, in source pixels at scale 1.
func (f Filter) support() float64 {
	switch f {
	case Lanczos:
		return 3
	case Bicubic:
		return 2
	case Bilinear, Hamming:
		return 1
	default:
		return 0.5
	}
}

// at is the filter's weight at distance x. The conversions keep the compiler
// from fusing products and sums, which would round otherwise on some machines.
func (f Filter) at(x float64) float64 {
	switch f {
	case Lanczos:
		if x < -3 || x >= 3 {
			return 0
		}
		return float64(sinc(x) * sinc(x/3))
	case Bicubic: // Keys' cubic with a = -0.5
		const a = -0.5
		x = math.Abs(x)
		switch {
		case x < 1:
			return float64(float64(float64(float64((a+2)*x)-(a+3))*x)*x) + 1
		case x < 2:
			return float64(float64(float64(float64(float64(x-5)*x)+8)*x)-4) * a
		}
		return 0
	case Bilinear:
		return max(0, 1-math.Abs(x))
	case Hamming:
		x = math.Abs(x)
		switch {
		case x == 0:
			return 1
		case x >= 1:
			return 0
		}
		x *= math.Pi
		const a, b = float32(0.54), float32(0.46) // Pillow's source has them in single precision
		return float64(math.Sin(x) / x * float64(float64(a)+float64(float64(b)*math.Cos(x))))
	default: // Box
		if x > -0.5 && x <= 0.5 {
			return 1
		}
		return 0
	}
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// weightBits is the precision of the fixed-point weights. With 8 bits of
// pixel and 2 of headroom for filters that overshoot, sums fit 32 bits.
const weightBits = 32 - 8 - 2

// axis says which source pixels make up each output pixel along one axis:
// output i is the sum of weights[i*size:][:count[i]] over the source pixels
// from first[i] on.
type axis struct {
	size         int
	first, count []int
	weights      []int32
}

// newAxis computes outputs [from, to) of a resize from in to out pixels. As in
// Pillow, weights are computed and normalised in float64 and then rounded to
// fixed point.
func newAxis(in, out, from, to int, f Filter) axis {
	scale := float64(in) / float64(out)
	stretch := max(scale, 1) // antialiasing
	support := float64(f.support() * stretch)
	inverse := 1 / stretch
	n := to - from
	a := axis{
		size:  int(math.Ceil(support))*2 + 1,
		first: make([]int, n),
		count: make([]int, n),
	}
	a.size = min(a.size, in)
	a.weights = make([]int32, n*a.size)
	exact := make([]float64, a.size)
	for i := range n {
		center := float64((float64(from+i) + 0.5) * scale)
		first := max(int(center-support+0.5), 0)
		last := min(int(center+support+0.5), in)
		count := last - first
		sum := 0.0
		for j := range count {
			w := float64(f.at(float64((float64(j+first) - center + 0.5) * inverse)))
			exact[j] = w
			sum += w
		}
		for j, w := range exact[:count] {
			if sum != 0 {
				w /= sum
			}
			w = float64(w * (1 << weightBits))
			if w < 0 {
				w -= 0.5
			} else {
				w += 0.5
			}
			a.weights[i*a.size+j] = int32(w)
		}
		a.first[i], a.count[i] = first, count
	}
	return a
}

// of returns the source pixels and weights of output i.
func (a *axis) of(i int) (first int, weights []int32) {
	return a.first[i], a.weights[i*a.size:][:a.count[i]]
}

// span returns the source pixels that any output needs.
func (a *axis) span() (first, end int) {
	n := len(a.first)
	return a.first[0], a.first[n-1] + a.count[n-1]
}

// Resize returns the picture scaled to w × h pixels, w and h ≥ 1, equal to
// Pillow's Image.resize in every pixel. Like it, it works on one axis after the
// other and rounds to 8 bits in between.
func Resize(src *RGB, w, h int, f Filter) *RGB {
	dst := NewRGB(w, h)
	resizeWindow(dst, src, w, h, 0, 0, f)
	return dst
}

// buffer is memory for a picture that does not outlive a call.
type buffer struct {
	bytes []byte
	alpha bool // the opacities are asked for
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

// putBuffer keeps the memory for the next picture, unless it is so much that
// one huge picture would be paid for long after.
func putBuffer(b *buffer) {
	const keep = 32 << 20
	b.alpha = false
	if cap(b.bytes) <= keep {
		buffers.Put(b)
	}
}

// grow returns n bytes of the buffer, with arbitrary contents.
func (b *buffer) grow(n int) []byte {
	if cap(b.bytes) < n {
		b.bytes = make([]byte, n)
	}
	return b.bytes[:n]
}

// rgb returns a picture in the buffer; its pixels are arbitrary.
func (b *buffer) rgb(w, h int) *RGB {
	return &RGB{W: w, H: h, Pix: b.grow(3 * w * h)}
}

// resizeWindow fills dst with the window of its size at (x, y) of src resized
// to w × h. Only what the window needs is computed.
func resizeWindow(dst, src *RGB, w, h, x, y int, f Filter) {
	if dst.W == 0 || dst.H == 0 || src.W == 0 || src.H == 0 {
		return
	}
	if f == Nearest {
		nearestWindow(dst, src, w, h, x, y)
		return
	}
	if src.H == h && src.W == w {
		for i := range dst.H {
			copy(dst.row(i), src.row(y + i)[3*x:])
		}
		return
	}
	if src.H == h { // horizontal only
		horizontal(dst, src, y, 0, newAxis(src.W, w, x, x+dst.W, f))
		return
	}
	rows := newAxis(src.H, h, y, y+dst.H, f)
	if src.W == w { // vertical only
		vertical(dst, src, 0, x, rows)
		return
	}
	cols := newAxis(src.W, w, x, x+dst.W, f)
	buf := getBuffer()
	defer putBuffer(buf)
	// Where the height loses more than twice the pixels that the width does,
	// the vertical pass comes first (since Pillow 13).
	if h < src.H && src.H-h > 2*(src.W-w) {
		first, end := cols.span()
		mid := buf.rgb(end-first, dst.H)
		vertical(mid, src, 0, first, rows)
		horizontal(dst, mid, 0, first, cols)
		return
	}
	first, end := rows.span()
	mid := buf.rgb(dst.W, end-first)
	horizontal(mid, src, first, 0, cols)
	vertical(dst, mid, first, 0, rows)
}

// horizontal resamples along the rows: row i of dst is made of row top+i of
// src. Column 0 of src is column base of the picture that cols counts in.
func horizontal(dst, src *RGB, top, base int, cols axis) {
	for i := range dst.H {
		in, out := src.row(top+i), dst.row(i)
		for o := range cols.first {
			first, weights := cols.of(o)
			p := in[3*(first-base):][:3*len(weights)]
			r, g, b := int32(1<<(weightBits-1)), int32(1<<(weightBits-1)), int32(1<<(weightBits-1))
			if len(weights)&1 != 0 {
				w := weights[0]
				r += w * int32(p[0])
				g += w * int32(p[1])
				b += w * int32(p[2])
				p, weights = p[3:], weights[1:]
			}
			for j := 0; j+1 < len(weights) && len(p) >= 6; j += 2 { // half the bounds checks
				v, w := weights[j], weights[j+1]
				r += v*int32(p[0]) + w*int32(p[3])
				g += v*int32(p[1]) + w*int32(p[4])
				b += v*int32(p[2]) + w*int32(p[5])
				p = p[6:]
			}
			q := out[3*o : 3*o+3 : 3*o+3]
			q[0], q[1], q[2] = clamp(r>>weightBits), clamp(g>>weightBits), clamp(b>>weightBits)
		}
	}
}

// vertical resamples along the columns: column i of dst is made of column
// left+i of src. Row 0 of src is row base of the picture that rows counts in.
func vertical(dst, src *RGB, base, left int, rows axis) {
	sums := make([]int32, 3*dst.W)
	for o := range dst.H {
		first, weights := rows.of(o)
		for i := range sums {
			sums[i] = 1 << (weightBits - 1)
		}
		for j, w := range weights {
			in := src.row(first - base + j)[3*left:][:len(sums)]
			for i, v := range in {
				sums[i] += w * int32(v)
			}
		}
		out := dst.row(o)[:len(sums)]
		for i, s := range sums {
			out[i] = clamp(s >> weightBits)
		}
	}
}

// nearestWindow takes for each output pixel the source pixel beneath its
// centre.
func nearestWindow(dst, src *RGB, w, h, x, y int) {
	cols, rows := nearestAxis(src.W, w, x, dst.W), nearestAxis(src.H, h, y, dst.H)
	for i, sy := range rows {
		in, out := src.row(sy), dst.row(i)
		for j, sx := range cols {
			copy(out[3*j:3*j+3], in[3*sx:3*sx+3])
		}
	}
}

// nearestAxis returns the source of outputs [from, from+n). Pillow finds them
// by adding up the scale; so do we, to be off by the same rounding.
func nearestAxis(in, out, from, n int) []int {
	scale := float64(in) / float64(out)
	at := float64(scale * 0.5)
	for range from {
		at += scale
	}
	sources := make([]int, n)
	for i := range sources {
		sources[i] = min(int(at), in-1)
		at += scale
	}
	return sources
}
