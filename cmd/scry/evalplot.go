package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/scry-ml/scry/evaluate"
)

// writePlot draws the curves of a report into an SVG file that reads well on
// light and on dark pages.
func writePlot(file string, r *evalReport, kind measuredHead, rows []int32) error {
	return os.WriteFile(file, drawPlot(r, panelsOf(r, kind, rows)), 0o644)
}

// Measures of a plot in pixels.
const (
	panelSize   = 260
	panelLeft   = 56 // for the numbers of the y axis
	panelTop    = 64
	panelBottom = 92
	panelGap    = 28
	curvePoints = 200
)

// panel is one pair of axes.
type panel struct {
	title, x, y string
	xs, ys      [2]float64 // ends of the axes
	lines       []line
	bars        [][]float64 // by version
	reference   []evaluate.Point
}

// line is a curve of one version.
type line struct {
	version int
	points  []evaluate.Point
	dots    bool
	chance  []float64 // how far from the reference nineteen of twenty points of a perfect model are
}

// panelsOf chooses the panels by the kind of head.
func panelsOf(r *evalReport, kind measuredHead, rows []int32) []panel {
	diagonal := []evaluate.Point{{X: 0, Y: 0}, {X: 1, Y: 1}}
	unit := [2]float64{0, 1}
	var out []panel
	switch kind := kind.(type) {
	case *measuredProbability:
		reliability := panel{title: "Reliability", x: "predicted", y: "observed", xs: unit, ys: unit, reference: diagonal}
		roc := panel{title: "ROC", x: "others found with them", y: "events found", xs: unit, ys: unit, reference: diagonal}
		for v := range r.Versions {
			b := kind.binary(v, rows)
			reliability.lines = append(reliability.lines, reliabilityOf(b, v))
			roc.lines = append(roc.lines, line{version: v, points: b.ROC(curvePoints)})
		}
		out = append(out, reliability, roc, liftOf(r))
	case *measuredClasses:
		reliability := panel{title: "Reliability of the likeliest class", x: "predicted", y: "observed", xs: unit, ys: unit, reference: diagonal}
		for v := range r.Versions {
			reliability.lines = append(reliability.lines, reliabilityOf(kind.certainty(v, rows), v))
		}
		out = append(out, reliability)
	case *measuredValue:
		most, least := 0.0, 0.0
		deciles := panel{title: "Deciles", x: "predicted", y: "observed"}
		gains := panel{title: "Gains", x: "rows, the highest first", y: "of the sum", xs: unit, ys: unit, reference: diagonal}
		for v := range r.Versions {
			l := line{version: v, dots: true}
			for _, d := range r.Deciles[v] {
				l.points = append(l.points, evaluate.Point{X: float64(d.Predicted), Y: float64(d.Observed)})
				most = max(most, float64(d.Predicted), float64(d.Observed))
				least = min(least, float64(d.Predicted), float64(d.Observed))
			}
			deciles.lines = append(deciles.lines, l)
			gains.lines = append(gains.lines, line{version: v, points: kind.values(v, rows).Gains(curvePoints)})
		}
		deciles.xs, deciles.ys = [2]float64{least, most}, [2]float64{least, most}
		deciles.reference = []evaluate.Point{{X: least, Y: least}, {X: most, Y: most}}
		out = append(out, deciles, gains, liftOf(r))
	case *measuredForecast:
		p := panel{title: "Error by point", x: "point", y: "WAPE", xs: [2]float64{1, 2}}
		for v := range r.Versions {
			l := line{version: v, dots: true}
			for k, x := range r.Steps[v] {
				if !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) {
					l.points = append(l.points, evaluate.Point{X: float64(k + 1), Y: float64(x)})
					p.ys[1] = max(p.ys[1], float64(x))
				}
			}
			p.xs[1] = max(p.xs[1], float64(len(r.Steps[v])))
			p.lines = append(p.lines, l)
		}
		out = append(out, p)
	case *measuredUplift:
		for k, name := range kind.names {
			p := panel{title: "Qini of " + name, x: "rows treated, the highest effect first", y: "gained a treated row", xs: unit}
			for v := range r.Versions {
				u := kind.uplift(v, k, rows)
				if u.Treated() == 0 {
					continue
				}
				curve := u.Curve(curvePoints)
				p.lines = append(p.lines, line{version: v, points: curve})
				p.reference = []evaluate.Point{{}, curve[len(curve)-1]}
				for _, at := range curve {
					p.ys[0], p.ys[1] = min(p.ys[0], at.Y), max(p.ys[1], at.Y)
				}
			}
			if p.lines != nil {
				out = append(out, p)
			}
		}
	}
	return out
}

func reliabilityOf(b *evaluate.Binary, version int) line {
	l := line{version: version, dots: true}
	for _, bin := range b.Bins(bins) {
		l.points = append(l.points, evaluate.Point{X: bin.Predicted, Y: bin.Rate})
		l.chance = append(l.chance, 1.96*math.Sqrt(bin.Predicted*(1-bin.Predicted)/float64(bin.Rows)))
	}
	return l
}

func liftOf(r *evalReport) panel {
	p := panel{title: "Lift by decile", x: "decile, the highest first", y: "lift"}
	most := 1.0
	for _, deciles := range r.Deciles {
		var bars []float64
		for _, d := range deciles {
			bars = append(bars, float64(d.Lift))
			most = max(most, float64(d.Lift))
		}
		p.bars = append(p.bars, bars)
	}
	p.xs, p.ys = [2]float64{0.5, float64(len(p.bars[0])) + 0.5}, [2]float64{0, most}
	p.reference = []evaluate.Point{{X: p.xs[0], Y: 1}, {X: p.xs[1], Y: 1}}
	return p
}

// plotStyle is for both colour schemes. The two versions differ in more than
// colour: the second is dashed and its dots are hollow.
const plotStyle = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 13px }
  .page { fill: #ffffff } .axis { stroke: #57606a; fill: none } .grid { stroke: #d0d7de; fill: none }
  .reference { stroke: #8c959f; stroke-dasharray: 2 3; fill: none }
  .line0 { stroke: #0a5cc2; stroke-width: 2; fill: none } .dot0 { fill: #0a5cc2; stroke: #0a5cc2 } .bar0 { fill: #0a5cc2 }
  .line1 { stroke: #b35900; stroke-width: 2; fill: none; stroke-dasharray: 6 3 } .dot1 { fill: #ffffff; stroke: #b35900; stroke-width: 2 } .bar1 { fill: none; stroke: #b35900; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .page { fill: #0d1117 } .axis { stroke: #9198a1 } .grid { stroke: #30363d } .reference { stroke: #7d8590 }
    .line0 { stroke: #6cb6ff } .dot0 { fill: #6cb6ff; stroke: #6cb6ff } .bar0 { fill: #6cb6ff }
    .line1 { stroke: #f0a35e } .dot1 { fill: #0d1117; stroke: #f0a35e } .bar1 { stroke: #f0a35e }
  }
`

// drawPlot lays the panels out in a row.
func drawPlot(r *evalReport, panels []panel) []byte {
	var b bytes.Buffer
	width := panelGap + len(panels)*(panelLeft+panelSize+panelGap)
	height := panelTop + panelSize + panelBottom
	title := fmt.Sprintf("%s on %s: %s", strings.Join(r.Versions, " beside "), counted(r.Evaluated, "rows"), r.Head)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n", width, height, width, height, escape(title))
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", escape(title), plotStyle)
	fmt.Fprintf(&b, `<rect class="page" width="%d" height="%d"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="24">%s</text>`+"\n", panelGap, escape(title))
	for k, p := range panels {
		p.draw(&b, panelGap+panelLeft+k*(panelLeft+panelSize+panelGap), panelTop)
	}
	x := panelGap + panelLeft
	for v, name := range r.Versions {
		y := height - 16
		fmt.Fprintf(&b, `<path class="line%d" d="M%d %dh24"/><text x="%d" y="%d">%s</text>`+"\n", v, x, y-4, x+30, y, escape(name))
		x += 54 + 8*len(name)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace

// draw draws one panel with its upper left corner at (left, top).
func (p panel) draw(b *bytes.Buffer, left, top int) {
	at := func(q evaluate.Point) (float64, float64) {
		return float64(left) + panelSize*share(q.X, p.xs), float64(top) + panelSize*(1-share(q.Y, p.ys))
	}
	fmt.Fprintf(b, `<text class="title" x="%d" y="%d">%s</text>`+"\n", left, top-12, escape(p.title))
	for _, x := range ticks(p.xs) {
		px, _ := at(evaluate.Point{X: x, Y: p.ys[0]})
		fmt.Fprintf(b, `<path class="grid" d="M%.1f %dv%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", px, top, panelSize, px, top+panelSize+18, tickText(x))
	}
	for _, y := range ticks(p.ys) {
		_, py := at(evaluate.Point{X: p.xs[0], Y: y})
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fh%d"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left, py, panelSize, left-6, py+4, tickText(y))
	}
	fmt.Fprintf(b, `<path class="axis" d="M%d %dv%dh%d"/>`+"\n", left, top, panelSize, panelSize)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", left+panelSize/2, top+panelSize+38, escape(p.x))
	fmt.Fprintf(b, `<text transform="translate(%d %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", left-44, top+panelSize/2, escape(p.y))
	for v, bars := range p.bars {
		wide := 0.8 / float64(len(p.bars))
		for k, x := range bars {
			if math.IsNaN(x) {
				continue
			}
			from := float64(k) + 0.6 + float64(v)*wide
			x0, y0 := at(evaluate.Point{X: from, Y: x})
			x1, y1 := at(evaluate.Point{X: from + wide, Y: 0})
			fmt.Fprintf(b, `<rect class="bar%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", v, x0, y0, x1-x0, y1-y0)
		}
	}
	path := func(class string, points []evaluate.Point) {
		if len(points) == 0 {
			return
		}
		fmt.Fprintf(b, `<path class="%s" d="`, class)
		for i, q := range points {
			x, y := at(q)
			fmt.Fprintf(b, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[i == 0], x, y)
		}
		b.WriteString("\"/>\n")
	}
	path("reference", p.reference)
	for k := len(p.lines) - 1; k >= 0; k-- { // the first version on top
		l := p.lines[k]
		path(fmt.Sprintf("line%d", l.version), l.points)
		if !l.dots {
			continue
		}
		for i, q := range l.points {
			x, y := at(q)
			if l.chance != nil && l.version == 0 {
				_, high := at(evaluate.Point{Y: min(q.X+l.chance[i], 1)})
				_, low := at(evaluate.Point{Y: max(q.X-l.chance[i], 0)})
				fmt.Fprintf(b, `<path class="axis" d="M%.1f %.1fh8m-4 0V%.1fm-4 0h8"/>`+"\n", x-4, high, low)
			}
			fmt.Fprintf(b, `<circle class="dot%d" cx="%.1f" cy="%.1f" r="3.5"/>`+"\n", l.version, x, y)
		}
	}
}

func tickText(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

// share is where x lies between the ends.
func share(x float64, ends [2]float64) float64 {
	if ends[1] == ends[0] {
		return 0
	}
	return (x - ends[0]) / (ends[1] - ends[0])
}

// ticks are round numbers between the ends, about five.
func ticks(ends [2]float64) []float64 {
	span := ends[1] - ends[0]
	if !(span > 0) || math.IsInf(span, 0) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(span/4)))
	for _, factor := range []float64{5, 2} {
		if span/(step*factor) >= 3.5 {
			step *= factor
			break
		}
	}
	var out []float64
	for k := math.Ceil(ends[0]/step - 1e-9); k*step <= ends[1]+1e-9*span; k++ {
		out = append(out, k*step+0) // +0 for what Ceil makes -0
	}
	return out
}
