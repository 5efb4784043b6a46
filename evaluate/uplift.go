package evaluate

// Metrics of an Uplift.
const (
	Qini   = "Qini"
	Effect = "mean effect"
)

// Uplift is predicted effects of a treatment on rows of which some, chosen by
// chance, were treated and the others were not. It keeps 21 bytes a row.
type Uplift struct {
	rows    []int32 // by effect, ascending
	effects []float64
	outcome []float64
	treated []bool
}

// NewUplift takes the given rows of all effects, outcomes and treatments. The
// slices are kept.
func NewUplift(rows []int32, effects, outcomes []float64, treated []bool) *Uplift {
	return &Uplift{rows: ordered(rows, effects), effects: effects, outcome: outcomes, treated: treated}
}

// Rows is their number.
func (u *Uplift) Rows() int { return len(u.rows) }

// Treated is how many of the rows were.
func (u *Uplift) Treated() int {
	n := 0
	for _, row := range u.rows {
		if u.treated[row] {
			n++
		}
	}
	return n
}

// Metrics implements Sample.
func (u *Uplift) Metrics() []string { return []string{Qini, Effect} }

// Measure implements Sample. Qini is the area between the curve of what
// treating the highest effects first brought and the line of treating at random
// (Radcliffe, "Using Control Groups to Target on Predicted Lift", 2007), in
// outcomes for each treated row; 0 is no better than chance. The mean effect is
// the difference of the mean outcomes: what was observed, whatever is predicted.
func (u *Uplift) Measure(weights []float64) []float64 {
	var area, before Point
	var total, treated, control, gained, lost float64
	u.curve(weights, func(rows, gain, t, c, yt, yc float64) {
		area.X += (rows - before.X) * (gain + before.Y) / 2
		before = Point{rows, gain}
		total, treated, control, gained, lost = rows, t, c, yt, yc
	})
	random := total * before.Y / 2
	return []float64{ratio(area.X-random, total*treated), ratio(gained, treated) - ratio(lost, control)}
}

// curve walks from the highest effect down and tells after each group of equal
// ones how many rows there were, what treating them gained (Yt - Yc × Nt / Nc),
// and Nt, Nc, Yt, Yc.
func (u *Uplift) curve(weights []float64, at func(rows, gain, nt, nc, yt, yc float64)) {
	var nt, nc, yt, yc float64
	for i := len(u.rows) - 1; i >= 0; {
		for e := u.effects[u.rows[i]]; i >= 0 && u.effects[u.rows[i]] == e; i-- {
			row := u.rows[i]
			w := weightOf(weights, row)
			if u.treated[row] {
				nt += w
				yt += w * u.outcome[row]
			} else {
				nc += w
				yc += w * u.outcome[row]
			}
		}
		gain := yt
		if nc > 0 {
			gain -= yc * nt / nc
		}
		at(nt+nc, gain, nt, nc, yt, yc)
	}
}

// Curve is Radcliffe's: what was gained for each treated row (Y) over the share
// of rows treated (X), thinned out to so many points.
func (u *Uplift) Curve(points int) []Point {
	n := float64(len(u.rows))
	treated := float64(u.Treated())
	step := max(1, n/float64(max(points, 1)))
	curve := []Point{{}}
	next := step
	u.curve(nil, func(rows, gain, _, _, _, _ float64) {
		if rows >= next || rows == n {
			curve = append(curve, Point{rows / n, ratio(gain, treated)})
			next = rows + step
		}
	})
	return curve
}
