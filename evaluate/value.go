package evaluate

import "math"

// Metrics of Values.
const (
	RMSE     = "RMSE"
	MAE      = "MAE"
	Gini     = "normalised Gini"
	Coverage = "in interval"
)

// Values is predicted and observed numbers. It keeps 25 bytes a row.
type Values struct {
	ranked    []int32 // by prediction, ascending
	perfect   []int32 // by truth, ascending
	predicted []float64
	truth     []float64
	inside    []bool // nil where there are no intervals
}

// NewValues takes the given rows of all predictions and truths. inside tells
// which truths lay in their interval; nil where there are none. The slices are
// kept.
func NewValues(rows []int32, predicted, truth []float64, inside []bool) *Values {
	return &Values{
		ranked: ordered(rows, predicted), perfect: ordered(rows, truth),
		predicted: predicted, truth: truth, inside: inside,
	}
}

// Rows is their number.
func (v *Values) Rows() int { return len(v.ranked) }

// Means are those of predictions and truths.
func (v *Values) Means() (predicted, truth float64) {
	for _, row := range v.ranked {
		predicted += v.predicted[row]
		truth += v.truth[row]
	}
	n := float64(len(v.ranked))
	return ratio(predicted, n), ratio(truth, n)
}

// Metrics implements Sample.
func (v *Values) Metrics() []string {
	if v.inside == nil {
		return []string{RMSE, MAE, Gini}
	}
	return []string{RMSE, MAE, Gini, Coverage}
}

// Measure implements Sample: root mean squared and mean absolute error; the Gini
// coefficient of the truths in the order of the predictions, divided by that in
// their own order (Frees, Meyers and Cummings, "Summarizing Insurance Scores
// Using a Gini Index", 2011): 1 for a perfect order, 0 for none; and the share of
// truths in their interval.
func (v *Values) Measure(weights []float64) []float64 {
	var sum, squares, absolutes, inside float64
	for _, row := range v.ranked {
		w := weightOf(weights, row)
		off := v.predicted[row] - v.truth[row]
		sum += w
		squares += w * off * off
		absolutes += w * math.Abs(off)
		if v.inside != nil && v.inside[row] {
			inside += w
		}
	}
	out := []float64{
		math.Sqrt(ratio(squares, sum)), ratio(absolutes, sum),
		ratio(v.gini(v.ranked, v.predicted, weights), v.gini(v.perfect, v.truth, weights)),
	}
	if v.inside != nil {
		out = append(out, ratio(inside, sum))
	}
	return out
}

// gini is twice the area between the diagonal and the curve of the truths' sum
// over the rows' weight, both as shares, from the highest key down. Rows of
// equal keys are a straight piece.
func (v *Values) gini(order []int32, keys, weights []float64) float64 {
	var rows, sum, area float64
	for i := len(order) - 1; i >= 0; {
		rowsBefore, sumBefore := rows, sum
		for at := keys[order[i]]; i >= 0 && keys[order[i]] == at; i-- {
			w := weightOf(weights, order[i])
			rows += w
			sum += w * v.truth[order[i]]
		}
		area += (rows - rowsBefore) * (sum + sumBefore) / 2
	}
	return 2*ratio(area, rows*sum) - 1
}

// Gains is the curve of the truths' sum (Y) over the rows (X), both as shares,
// from the highest prediction down, thinned out to so many points. Equal
// predictions are a straight piece.
func (v *Values) Gains(points int) []Point {
	_, mean := v.Means()
	total := mean * float64(len(v.ranked))
	curve := []Point{{}}
	sum := 0.0
	n := len(v.ranked)
	step := n / max(points, 1)
	drawn := n // rows below the last point
	for i := n - 1; i >= 0; i-- {
		row := v.ranked[i]
		sum += v.truth[row]
		if i == 0 || v.predicted[row] != v.predicted[v.ranked[i-1]] && drawn-i >= step {
			curve = append(curve, Point{float64(n-i) / float64(n), ratio(sum, total)})
			drawn = i
		}
	}
	return curve
}

// ValueBin is rows of neighbouring predictions.
type ValueBin struct {
	Rows      int
	Low, High float64 // the smallest and the largest prediction
	Predicted float64 // means
	Truth     float64
}

// Bins cuts the rows into bins of equal mass by prediction, ascending. Equal
// predictions are never divided.
func (v *Values) Bins(bins int) []ValueBin {
	p := make([]float64, len(v.ranked))
	for i, row := range v.ranked {
		p[i] = v.predicted[row]
	}
	var out []ValueBin
	start := 0
	for _, end := range equalMass(p, bins) {
		bin := ValueBin{Rows: end - start, Low: p[start], High: p[end-1]}
		for i := start; i < end; i++ {
			bin.Predicted += p[i] / float64(bin.Rows)
			bin.Truth += v.truth[v.ranked[i]] / float64(bin.Rows)
		}
		out = append(out, bin)
		start = end
	}
	return out
}
