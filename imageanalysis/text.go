package imageanalysis

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pixel"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// textLines is a head that finds lines of text: a map of the whole picture tells
// where they are, and a second graph reads each.
type textLines struct {
	regions bundle.Source // the map
	graph   string        // that reads
	readers []lineReader
	// As the manifest has them, or by default.
	leastProbability, leastMean, widening, leastScore float64
}

// lineReader is one of the alphabets in which a line may be read.
type lineReader struct {
	steps      bundle.Source
	scores     string
	characters []string // from 1 on
}

func newTextLines(h *bundlev1.Head, alphabets map[string][]string) (*textLines, error) {
	spec := h.GetTextLines()
	l := &textLines{
		leastProbability: cmp.Or(spec.GetMinProbability(), 0.3), leastMean: cmp.Or(spec.GetMinMean(), 0.5),
		widening: cmp.Or(spec.GetWidening(), 1.6), leastScore: cmp.Or(spec.GetMinScore(), 0.5),
	}
	var err error
	if l.regions, err = bundle.ParseSource(h.GetSource()); err != nil {
		return nil, err
	}
	for _, r := range spec.GetReaders() {
		steps, err := bundle.ParseSource(r.GetCharacters())
		if err != nil {
			return nil, err
		}
		l.graph = steps.Graph
		l.readers = append(l.readers, lineReader{steps, r.GetScores(), alphabets[r.GetCharactersFile()]})
	}
	return l, nil
}

// reading is what a line says when its corners, clockwise in the picture's pixels,
// begin at the upper left of what is written.
type reading struct {
	corners [4]pixel.Point
	text    string
	score   float64
}

const (
	// upright is how many times its width a line must be high to be taken for one
	// that is turned by a quarter.
	upright = 1.5
	// native is how much of what the first reader makes of a line a reader of its
	// alphabet must make of it: the first is surer of a wrong letter than that one
	// of the right one.
	native = 0.9
	// sure is the score at which a line is not also read upside down.
	sure = 0.9
)

// turned returns the corners from the k-th on.
func turned(corners [4]pixel.Point, k int) (out [4]pixel.Point) {
	for i := range out {
		out[i] = corners[(i+k)%4]
	}
	return out
}

// find fills the lines of the pictures that have no error.
func (l *textLines) find(ctx context.Context, m Model, pictures []*picture) error {
	lines := make([][]reading, len(pictures))
	pipeline.Parallel(runtime.GOMAXPROCS(0), len(pictures), func(i int) {
		if *pictures[i].err == nil && ctx.Err() == nil {
			lines[i], *pictures[i].err = l.lines(pictures[i])
		}
	})
	if err := l.read(ctx, m, pictures, lines); err != nil {
		return err
	}
	// What does not read well may stand on its head.
	again := make([][]reading, len(pictures))
	for i := range lines {
		for _, r := range lines[i] {
			if r.score < sure {
				again[i] = append(again[i], reading{corners: turned(r.corners, 2)})
			}
		}
	}
	if err := l.read(ctx, m, pictures, again); err != nil {
		return err
	}
	for i, p := range pictures {
		if *p.err != nil {
			continue
		}
		for _, r := range lines[i] {
			if r.score < sure {
				if again[i][0].score > r.score {
					r = again[i][0]
				}
				again[i] = again[i][1:]
			}
			if r.text == "" || r.score < l.leastScore {
				continue
			}
			line := &imageanalysisv1.TextLine{Text: r.text, Score: r.score}
			for _, c := range r.corners {
				c = p.crops.Clamp(c)
				line.Corners = append(line.Corners, &imageanalysisv1.Point{X: c.X, Y: c.Y})
			}
			p.result.Text = append(p.result.Text, line)
		}
		inReadingOrder(p.result.Text)
	}
	return nil
}

// read lets the second graph read the lines of all pictures.
func (l *textLines) read(ctx context.Context, m Model, pictures []*picture, lines [][]reading) error {
	var parts []part
	for i, p := range pictures {
		for k := range lines[i] {
			r := &lines[i][k]
			parts = append(parts, part{
				picture: p,
				bytes:   p.crops.LineBytes(l.graph, r.corners),
				cut:     func() (pipeline.Item, error) { return p.crops.CutLine(l.graph, r.corners) },
				read:    func(out pipeline.Outputs) error { return l.decode(r, out) },
			})
		}
	}
	return look(ctx, m, l.graph, parts)
}

// lines are the places that may be lines, not yet read.
func (l *textLines) lines(p *picture) ([]reading, error) {
	probabilities, w, h, err := p.answer.Outputs.Map(l.regions)
	if err != nil {
		return nil, err
	}
	regions, cut := findRegions(probabilities, w, h, l.leastProbability, l.leastMean, l.widening)
	if cut {
		p.result.Warnings = append(p.result.Warnings, &servingv1.Warning{
			Code: servingv1.WarningCode_WARNING_CODE_TRUNCATED, Field: "text",
			Message: fmt.Sprintf("only the %d largest places that may be text were read", maxRegions),
		})
	}
	lines := make([]reading, len(regions))
	for i, r := range regions {
		for k, c := range r {
			lines[i].corners[k] = p.crops.Point(c.X/float64(w), c.Y/float64(h))
		}
		if c := lines[i].corners; c[0].Distance(c[3]) >= upright*c[0].Distance(c[1]) {
			lines[i].corners = turned(c, 1)
		}
	}
	return lines, nil
}

// decode reads a line with each reader. All but the first are only heard in
// Cyrillic: the first knows more of Latin letters, such as those with accents. What
// a reader does not know it may leave out or take for something else, and be sure:
// the reading with more characters counts, each as far as it is sure.
func (l *textLines) decode(r *reading, out pipeline.Outputs) error {
	most := 0.0
	for i := range l.readers {
		text, score, err := l.readers[i].decode(out)
		if err != nil {
			return err
		}
		read := score * float64(utf8.RuneCountInString(text))
		if i > 0 {
			var cyrillic bool
			if text, cyrillic = spell(text); !cyrillic || read < native*most {
				continue
			}
		}
		r.text, r.score, most = text, score, read
	}
	return nil
}

// decode reads a line, step by step: what is repeated is one character, unless
// there is none in between (Graves et al., 2006, best path decoding).
func (l *lineReader) decode(out pipeline.Outputs) (string, float64, error) {
	steps, err := out.Integers(l.steps)
	if err != nil {
		return "", 0, err
	}
	columns, err := out.Columns(l.scores)
	if err != nil {
		return "", 0, err
	}
	if len(steps) != columns.Columns {
		return "", 0, fmt.Errorf("%w: %d characters with %d scores", pipeline.ErrOutput, len(steps), columns.Columns)
	}
	var text strings.Builder
	sum, n, last := 0.0, 0, int64(0)
	for k, c := range steps {
		switch {
		case c < 0 || c > int64(len(l.characters)):
			return "", 0, fmt.Errorf("%w: there is no character %d", pipeline.ErrOutput, c)
		case c != 0 && c != last:
			score, err := columns.At(0, k)
			if err == nil {
				score, err = pipeline.Unit(score)
			}
			if err != nil {
				return "", 0, err
			}
			text.WriteString(l.characters[c-1])
			sum, n = sum+score, n+1
		}
		last = c
	}
	return strings.TrimSpace(text.String()), sum / float64(max(n, 1)), nil
}

// inReadingOrder sorts lines from top to bottom, and from left to right those that
// stand beside each other: whose middles are less than half a line apart.
func inReadingOrder(lines []*imageanalysisv1.TextLine) {
	middle := func(l *imageanalysisv1.TextLine) (x, y, height float64) {
		low, high := math.Inf(1), math.Inf(-1)
		for _, c := range l.GetCorners() {
			x, y = x+c.GetX()/4, y+c.GetY()/4
			low, high = min(low, c.GetY()), max(high, c.GetY())
		}
		return x, y, high - low
	}
	slices.SortStableFunc(lines, func(a, b *imageanalysisv1.TextLine) int {
		_, ya, _ := middle(a)
		_, yb, _ := middle(b)
		return cmp.Compare(ya, yb)
	})
	for from := 0; from < len(lines); {
		_, y, height := middle(lines[from])
		to := from + 1
		for ; to < len(lines); to++ {
			if _, next, h := middle(lines[to]); next-y >= min(height, h)/2 {
				break
			}
		}
		slices.SortStableFunc(lines[from:to], func(a, b *imageanalysisv1.TextLine) int {
			xa, _, _ := middle(a)
			xb, _, _ := middle(b)
			return cmp.Compare(xa, xb)
		})
		from = to
	}
}
