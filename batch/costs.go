package batch

import (
	"math"
	"slices"
	"time"
)

// costTable predicts how long a run of a shape takes, in nanoseconds, from the
// runs seen so far: one smoothed figure per (rows, length) step. Steps never run
// lie between those of the same length with fewer and with more rows, or on a
// straight line through everything seen. It is not safe for concurrent use.
type costTable struct {
	rows, lengths []int // steps; lengths[0] is 0, for runs without the axis
	rowStep       []int // by rows up to the last step: index into rows
	cells         []float64

	// noise is the usual deviation of a run from its step's figure, relative.
	noise float64

	// Exponentially decayed sums of a regression of time (y) over padded
	// cells (x), and its line time = fixed + slope × cells.
	n, sx, sy, sxx, sxy float64
	fixed, slope        float64
}

const (
	// How much one run weighs in its step's figure, in the noise, and in the
	// regression.
	costWeight  = 1.0 / 8
	noiseWeight = 1.0 / 64
	lineWeight  = 1.0 / 64
	// overheadCells is the fixed part of a run in terms of cells, as long as
	// nothing is known.
	overheadCells = 32
)

// newCostTable makes a table over the steps that cfg, which has its defaults,
// pads to; where it has none, over half-octaves of rows and quarter-octaves of
// lengths.
func newCostTable(cfg *Config) *costTable {
	t := &costTable{rows: cfg.RowSteps, lengths: append([]int{0}, cfg.LengthSteps...)}
	if len(t.rows) == 0 {
		for s := 1; s < cfg.MaxRows; s *= 2 {
			t.rows = append(t.rows, s)
			if half := s + s/2; half > s && half < cfg.MaxRows {
				t.rows = append(t.rows, half)
			}
		}
	}
	if len(t.rows) == 0 || t.rows[len(t.rows)-1] < cfg.MaxRows {
		t.rows = append(slices.Clip(t.rows), cfg.MaxRows)
	}
	if len(cfg.LengthSteps) == 0 {
		for s := 8; s <= 1<<16; s += max(8, octave(s)/4) {
			t.lengths = append(t.lengths, s)
		}
	}
	t.rowStep = make([]int, cfg.MaxRows+1)
	for n := range t.rowStep {
		t.rowStep[n], _ = slices.BinarySearch(t.rows, n)
	}
	t.cells = make([]float64, len(t.rows)*len(t.lengths))
	for _, c := range cfg.Costs {
		t.observe(c.Shape, float64(c.Time))
	}
	return t
}

// octave returns the largest power of two that is at most n.
func octave(n int) int {
	p := 1
	for p*2 <= n {
		p *= 2
	}
	return p
}

// lengthStep returns the column of a length.
func (t *costTable) lengthStep(length int) int {
	i, _ := slices.BinarySearch(t.lengths, length)
	return min(i, len(t.lengths)-1)
}

func (t *costTable) known() bool { return t.n > 0 }

// observe learns from one run.
func (t *costTable) observe(s Shape, ns float64) {
	if s.Rows < 1 || s.Rows >= len(t.rowStep) || ns <= 0 {
		return // another configuration's shape
	}
	cell := &t.cells[t.rowStep[s.Rows]*len(t.lengths)+t.lengthStep(s.Length)]
	switch old := *cell; {
	case old == 0:
		*cell = ns
	case ns < old/2: // the old was a first run, or a stall
		*cell = (old + ns) / 2
	default:
		off := min(ns, 2*old) - old // a stall is not the shape's price
		*cell += off * costWeight
		t.noise += (math.Abs(off)/old - t.noise) * noiseWeight
	}

	x, keep := float64(s.Rows*max(s.Length, 1)), 1-lineWeight
	t.n = t.n*keep + 1
	t.sx = t.sx*keep + x
	t.sy = t.sy*keep + ns
	t.sxx = t.sxx*keep + x*x
	t.sxy = t.sxy*keep + x*ns
	mx, my := t.sx/t.n, t.sy/t.n
	if spread := t.sxx/t.n - mx*mx; spread > mx*mx*1e-3 {
		t.slope = (t.sxy/t.n - mx*my) / spread
		t.fixed = my - t.slope*mx
	} else {
		t.slope, t.fixed = 0, -1
	}
	if t.slope <= 0 || t.fixed < 0 { // no line to speak of: through the mean, with the usual overhead
		t.slope = my / (mx + overheadCells)
		t.fixed = t.slope * overheadCells
	}
}

// margin is by how much a run may exceed its prediction without making anyone
// late who counted on it.
func (t *costTable) margin() float64 { return 1 + max(0.05, 2*t.noise) }

// at returns the predicted nanoseconds of a run of rows rows in the given
// column, whose extent is length. Before anything was observed it is a mere
// weight, good for comparing.
func (t *costTable) at(rows, column, length int) float64 {
	if rows < len(t.rowStep) {
		if ns := t.cell(t.rowStep[rows], column); ns > 0 && length <= t.lengths[column] {
			return ns
		}
	}
	x := float64(rows * max(length, 1))
	if t.n == 0 {
		return x + overheadCells
	}
	line := t.fixed + t.slope*x
	if rows >= len(t.rowStep) || length > t.lengths[column] {
		return line
	}
	less, more := t.rowStep[rows]-1, t.rowStep[rows]+1
	for less >= 0 && t.cell(less, column) == 0 {
		less--
	}
	for more < len(t.rows) && t.cell(more, column) == 0 {
		more++
	}
	switch {
	case less >= 0 && more < len(t.rows):
		low, high := t.cell(less, column), t.cell(more, column)
		return low + (high-low)*float64(rows-t.rows[less])/float64(t.rows[more]-t.rows[less])
	case less >= 0:
		return max(line, t.cell(less, column))
	case more < len(t.rows):
		return min(line, t.cell(more, column))
	}
	return line
}

func (t *costTable) cell(row, column int) float64 { return t.cells[row*len(t.lengths)+column] }

// predict returns the expected duration of a run, 0 if nothing is known.
func (t *costTable) predict(s Shape) time.Duration {
	if t.n == 0 {
		return 0
	}
	return time.Duration(t.at(s.Rows, t.lengthStep(s.Length), s.Length))
}

// list returns the measured steps by rows, then length.
func (t *costTable) list() []Cost {
	var out []Cost
	for i, ns := range t.cells {
		if ns > 0 {
			s := Shape{Rows: t.rows[i/len(t.lengths)], Length: t.lengths[i%len(t.lengths)]}
			out = append(out, Cost{s, time.Duration(ns)})
		}
	}
	return out
}
