package imageanalysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/scry-ml/scry/pixel"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

const (
	// DefaultColors is the number of colours answered unless the call says.
	DefaultColors = 5
	// colorSide bounds the grid of pixels that are looked at.
	colorSide = 128
	// colorClusters are looked for, whatever is answered, so that asking for more
	// colours changes none.
	colorClusters = 16
	colorRounds   = 12
	// sameColor is the CIEDE2000 under which clusters are one.
	sameColor = 10
)

// lab is a colour in CIE LAB under D65.
type lab struct{ l, a, b float64 }

func (p lab) plus(q lab, w float64) lab { return lab{p.l + w*q.l, p.a + w*q.a, p.b + w*q.b} }

// distance is the square of the Euclidean distance (CIE76).
func (p lab) distance(q lab) float64 {
	dl, da, db := p.l-q.l, p.a-q.a, p.b-q.b
	return dl*dl + da*da + db*db
}

// linear are the 256 values of an sRGB channel, as light.
var linear = func() (out [256]float64) {
	for i := range out {
		if v := float64(i) / 255; v <= 0.04045 {
			out[i] = v / 12.92
		} else {
			out[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return out
}()

// The white of D65, 2°.
const whiteX, whiteZ = 0.95047, 1.08883

// labOf converts from sRGB.
func labOf(r, g, b byte) lab {
	lr, lg, lb := linear[r], linear[g], linear[b]
	x := (0.4124564*lr + 0.3575761*lg + 0.1804375*lb) / whiteX
	y := 0.2126729*lr + 0.7151522*lg + 0.0721750*lb
	z := (0.0193339*lr + 0.1191920*lg + 0.9503041*lb) / whiteZ
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	fx, fy, fz := f(x), f(y), f(z)
	return lab{116*fy - 16, 500 * (fx - fy), 200 * (fy - fz)}
}

// srgb converts to sRGB; what it cannot show is cut off.
func (p lab) srgb() [3]byte {
	fy := (p.l + 16) / 116
	f := func(t float64) float64 {
		if t3 := t * t * t; t3 > 216.0/24389 {
			return t3
		}
		return (116*t - 16) * 27 / 24389
	}
	x, y, z := whiteX*f(fy+p.a/500), f(fy), whiteZ*f(fy-p.b/200)
	channel := func(v float64) byte {
		if v <= 0.0031308 {
			v *= 12.92
		} else {
			v = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
		return byte(math.Round(255 * max(0, min(1, v))))
	}
	return [3]byte{
		channel(3.2404542*x - 1.5371385*y - 0.4985314*z),
		channel(-0.9692660*x + 1.8760108*y + 0.0415560*z),
		channel(0.0556434*x - 0.2040259*y + 1.0572252*z),
	}
}

// ciede2000 is how different two colours look (Sharma, Wu and Dalal, 2005).
func ciede2000(p, q lab) float64 {
	const pow25 = 25 * 25 * 25 * 25 * 25 * 25 * 25
	seventh := func(c float64) float64 { c7 := math.Pow(c, 7); return math.Sqrt(c7 / (c7 + pow25)) }
	g := 0.5 * (1 - seventh((math.Hypot(p.a, p.b)+math.Hypot(q.a, q.b))/2))
	a1, a2 := (1+g)*p.a, (1+g)*q.a
	c1, c2 := math.Hypot(a1, p.b), math.Hypot(a2, q.b)
	hue := func(b, a float64) float64 {
		if a == 0 && b == 0 {
			return 0
		}
		if h := math.Atan2(b, a); h >= 0 {
			return h
		} else {
			return h + 2*math.Pi
		}
	}
	h1, h2 := hue(p.b, a1), hue(q.b, a2)
	dl, dc := q.l-p.l, c2-c1
	dh, h := h2-h1, h1+h2
	switch {
	case c1*c2 == 0:
		dh = 0
	case math.Abs(h1-h2) <= math.Pi+1e-12: // opposite hues are so but for rounding
		h /= 2
	case h < 2*math.Pi:
		h = (h + 2*math.Pi) / 2
	default:
		h = (h - 2*math.Pi) / 2
	}
	if dh > math.Pi {
		dh -= 2 * math.Pi
	} else if dh < -math.Pi {
		dh += 2 * math.Pi
	}
	dH := 2 * math.Sqrt(c1*c2) * math.Sin(dh/2)
	l, c := (p.l+q.l)/2, (c1+c2)/2
	const degree = math.Pi / 180
	t := 1 - 0.17*math.Cos(h-30*degree) + 0.24*math.Cos(2*h) + 0.32*math.Cos(3*h+6*degree) - 0.20*math.Cos(4*h-63*degree)
	l50 := (l - 50) * (l - 50)
	sl := 1 + 0.015*l50/math.Sqrt(20+l50)
	sc, sh := 1+0.045*c, 1+0.015*c*t
	turn := (h/degree - 275) / 25
	rt := -math.Sin(60*degree*math.Exp(-turn*turn)) * 2 * seventh(c)
	dl, dc, dH = dl/sl, dc/sc, dH/sh
	return math.Sqrt(max(0, dl*dl+dc*dc+dH*dH+rt*dc*dH))
}

// cluster is a colour with its weight.
type cluster struct {
	lab
	weight float64
}

// colors finds the dominant colours of a picture, the largest first, with their
// shares of what is visible.
func colors(img *pixel.RGB) []cluster {
	points, total := bins(img)
	clusters := merge(kmeans(points))
	slices.SortStableFunc(clusters, func(p, q cluster) int { return cmp.Compare(q.weight, p.weight) })
	for i := range clusters {
		clusters[i].weight /= total
	}
	return clusters
}

// bins collects the pixels of a grid by the high 5 bits of their channels.
func bins(img *pixel.RGB) (points []cluster, total float64) {
	step := max(1, float64(max(img.W, img.H))/colorSide)
	w, h := max(1, int(float64(img.W)/step)), max(1, int(float64(img.H)/step))
	type bin struct {
		sum    lab
		weight float64
	}
	var index [1 << 15]uint16 // 1 + place in found
	found := make([]bin, 0, 1024)
	for y := range h {
		sy := (2*y + 1) * img.H / (2 * h)
		for x := range w {
			at := sy*img.W + (2*x+1)*img.W/(2*w)
			weight := 1.0
			if img.A != nil {
				if weight = float64(img.A[at]) / 255; weight == 0 {
					continue
				}
			}
			r, g, b := img.Pix[3*at], img.Pix[3*at+1], img.Pix[3*at+2]
			key := int(r)>>3<<10 | int(g)>>3<<5 | int(b)>>3
			if index[key] == 0 {
				found = append(found, bin{})
				index[key] = uint16(len(found))
			}
			k := &found[index[key]-1]
			k.sum, k.weight = k.sum.plus(labOf(r, g, b), weight), k.weight+weight
			total += weight
		}
	}
	for _, k := range found {
		points = append(points, cluster{lab{k.sum.l / k.weight, k.sum.a / k.weight, k.sum.b / k.weight}, k.weight})
	}
	return points, total
}

// kmeans finds at most colorClusters clusters. It begins with the heaviest point
// and goes on with those that are heavy and far from all so far (the square of
// the distance times the weight), so that it draws nothing by lot.
func kmeans(points []cluster) []cluster {
	if len(points) == 0 {
		return nil
	}
	far := make([]float64, len(points))
	first := 0
	for i := range points {
		far[i] = math.Inf(1)
		if points[i].weight > points[first].weight {
			first = i
		}
	}
	centres := []lab{points[first].lab}
	for len(centres) < colorClusters {
		next, best := -1, 0.0
		for i, p := range points {
			far[i] = min(far[i], p.distance(centres[len(centres)-1]))
			if x := far[i] * p.weight; x > best {
				next, best = i, x
			}
		}
		if next < 0 {
			break
		}
		centres = append(centres, points[next].lab)
	}
	out := make([]cluster, len(centres))
	for range colorRounds {
		clear(out)
		for _, p := range points {
			near, best := 0, math.Inf(1)
			for k, c := range centres {
				if d := p.distance(c); d < best {
					near, best = k, d
				}
			}
			out[near] = cluster{out[near].plus(p.lab, p.weight), out[near].weight + p.weight}
		}
		moved := false
		for k, c := range out {
			if c.weight > 0 {
				out[k].lab = lab{c.l / c.weight, c.a / c.weight, c.b / c.weight}
				moved = moved || out[k].distance(centres[k]) > 1e-6
				centres[k] = out[k].lab
			}
		}
		if !moved {
			break
		}
	}
	return slices.DeleteFunc(out, func(c cluster) bool { return c.weight == 0 })
}

// merge joins the two clusters that look most alike, until all differ.
func merge(clusters []cluster) []cluster {
	for {
		best, from, to := float64(sameColor), -1, -1
		for i := range clusters {
			for k := range i {
				if d := ciede2000(clusters[i].lab, clusters[k].lab); d < best {
					best, from, to = d, i, k
				}
			}
		}
		if from < 0 {
			return clusters
		}
		a, b := clusters[to], clusters[from]
		w := a.weight + b.weight
		clusters[to] = cluster{lab{
			(a.l*a.weight + b.l*b.weight) / w, (a.a*a.weight + b.a*b.weight) / w, (a.b*a.weight + b.b*b.weight) / w,
		}, w}
		clusters = slices.Delete(clusters, from, from+1)
	}
}

// Colors answers the dominant colours of a picture, most at most; 0 =
// DefaultColors.
func Colors(img *pixel.RGB, most int) []*imageanalysisv1.Color {
	if most == 0 {
		most = DefaultColors
	}
	found := colors(img)
	out := make([]*imageanalysisv1.Color, 0, most)
	for _, c := range found[:min(most, len(found))] {
		rgb := c.srgb()
		en, ru := nameOf(rgb)
		out = append(out, &imageanalysisv1.Color{
			Hex: fmt.Sprintf("#%02X%02X%02X", rgb[0], rgb[1], rgb[2]), NameEn: en, NameRu: ru, Fraction: c.weight,
		})
	}
	return out
}
