package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// plot draws goodput above and latency below, against the offered load on a
// logarithmic axis.
func plot(sweep []point) []byte {
	const left, width, panel, gap, top = 80.0, 520.0, 180.0, 50.0, 30.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`+"\n", left+width+40, top+2*panel+gap+50)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	low, high := math.Log(sweep[0].load), math.Log(sweep[len(sweep)-1].load)
	x := func(load float64) float64 { return left + width*(math.Log(load)-low)/max(high-low, 1e-9) }
	mostTokens, mostTime := 0.0, deadline
	for _, p := range sweep {
		mostTokens, mostTime = max(mostTokens, p.goodput), max(mostTime, p.p99)
	}
	type curve struct {
		name, colour string
		value        func(point) float64
	}
	draw := func(y0 float64, title string, most float64, label func(float64) string, curves ...curve) {
		y := func(v float64) float64 { return y0 + panel*(1-v/most) }
		fmt.Fprintf(&b, `<text x="%g" y="%g" font-weight="bold">%s</text>`+"\n", left, y0-10, title)
		for k := range 5 {
			v := most * float64(k) / 4
			fmt.Fprintf(&b, `<path d="M%g %.1fh%g" stroke="#ddd"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`+"\n", left, y(v), width, left-6, y(v)+4, label(v))
		}
		for _, p := range sweep {
			fmt.Fprintf(&b, `<path d="M%.1f %gv%g" stroke="#ddd"/><text x="%.1f" y="%g" text-anchor="middle">%g×</text>`+"\n", x(p.load), y0, panel, x(p.load), y0+panel+15, p.load)
		}
		for k, c := range curves {
			var points []string
			for _, p := range sweep {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(p.load), y(c.value(p))))
			}
			fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), c.colour)
			fmt.Fprintf(&b, `<text x="%g" y="%g" fill="%s" text-anchor="end">%s</text>`+"\n", left+width-110*float64(len(curves)-1-k), y0-10, c.colour, c.name)
		}
	}
	draw(top, "Goodput, tokens/s", nice(mostTokens), func(v float64) string { return fmt.Sprintf("%.0f", v) },
		curve{"in time", "#1668b0", func(p point) float64 { return p.goodput }})
	draw(top+panel+gap, "Latency of the accepted", nice(float64(mostTime)/1e6), func(v float64) string { return fmt.Sprintf("%.0f ms", v) },
		curve{"p50", "#3a923a", func(p point) float64 { return float64(p.p50) / 1e6 }},
		curve{"p99", "#c23b22", func(p point) float64 { return float64(p.p99) / 1e6 }},
		curve{"deadline", "#888", func(point) float64 { return float64(deadline / time.Millisecond) }})
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">offered load ÷ capacity</text>`+"\n</svg>\n", left+width/2, top+2*panel+gap+38)
	return []byte(b.String())
}

// nice rounds up to a number whose quarters are round.
func nice(v float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(max(v, 1))))
	for _, m := range []float64{1, 2, 4, 6, 8, 10} {
		if m*step >= v {
			return m * step
		}
	}
	return v
}
