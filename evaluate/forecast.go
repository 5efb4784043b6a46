package evaluate

import "math"

// Metrics of Forecasts.
const (
	WAPE    = "WAPE"
	Pinball = "pinball loss"
)

// PinballLoss is the loss of a quantile of a level, which its expectation over
// the truth makes smallest (Koenker and Bassett, "Regression Quantiles", 1978).
func PinballLoss(truth, quantile, level float64) float64 {
	if truth >= quantile {
		return level * (truth - quantile)
	}
	return (1 - level) * (quantile - truth)
}

// Forecasts is errors of series, summed over the points of each: however long
// the series are, it keeps 36 bytes a row, 28 without quantiles.
type Forecasts struct {
	rows                           []int32
	errors, truths, losses, points []float64 // losses is nil without quantiles
}

// NewForecasts takes the given rows of all: sums over the points of a row of the
// absolute errors, of the absolute truths and of the mean pinball loss over the
// levels, and the number of points. Without quantiles, losses is nil. The slices
// are kept.
func NewForecasts(rows []int32, errors, truths, losses, points []float64) *Forecasts {
	return &Forecasts{rows: rows, errors: errors, truths: truths, losses: losses, points: points}
}

// Rows is their number.
func (f *Forecasts) Rows() int { return len(f.rows) }

// Metrics implements Sample.
func (f *Forecasts) Metrics() []string {
	if f.losses == nil {
		return []string{WAPE, MAE}
	}
	return []string{WAPE, MAE, Pinball}
}

// Measure implements Sample: the sum of absolute errors over that of absolute
// truths (Kolassa and Schütz, "Advantages of the MAD/Mean Ratio over the MAPE",
// 2007), the mean absolute error, and the mean pinball loss over points and
// levels.
func (f *Forecasts) Measure(weights []float64) []float64 {
	var errors, truths, losses, points float64
	for _, row := range f.rows {
		w := weightOf(weights, row)
		errors += w * f.errors[row]
		truths += w * f.truths[row]
		points += w * f.points[row]
		if f.losses != nil {
			losses += w * f.losses[row]
		}
	}
	out := []float64{ratio(errors, truths), ratio(errors, points)}
	if f.losses != nil {
		out = append(out, ratio(losses, points))
	}
	return out
}

// SeriesErrors sums one series: absolute errors, absolute truths, the mean
// pinball loss over the levels, and how many points there are. values has a
// number for each point, quantiles [points, levels] numbers; points whose truth
// is NaN are left out.
func SeriesErrors(truth, values, quantiles, levels []float64) (errors, truths, losses, points float64) {
	for i, y := range truth {
		if math.IsNaN(y) {
			continue
		}
		points++
		errors += math.Abs(y - values[i])
		truths += math.Abs(y)
		for k, level := range levels {
			losses += PinballLoss(y, quantiles[i*len(levels)+k], level) / float64(len(levels))
		}
	}
	return errors, truths, losses, points
}
