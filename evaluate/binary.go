package evaluate

import (
	"math"
	"math/rand/v2"
)

// Metrics of a Binary.
const (
	AUC     = "AUC"
	PRAUC   = "PR-AUC"
	LogLoss = "log-loss"
)

// Binary is probabilities of an event and whether it happened. It keeps 21 bytes
// a row.
type Binary struct {
	rows   []int32   // by probability, ascending
	p      []float64 // like rows
	y      []bool    // like rows
	losses []float64 // like rows
	events int
}

// NewBinary takes the given rows of all probabilities and events.
func NewBinary(rows []int32, probabilities []float64, events []bool) *Binary {
	b := &Binary{rows: ordered(rows, probabilities), p: make([]float64, len(rows)), y: make([]bool, len(rows)), losses: make([]float64, len(rows))}
	for i, row := range b.rows {
		b.p[i], b.y[i] = probabilities[row], events[row]
		b.losses[i] = Loss(b.p[i], b.y[i])
		if b.y[i] {
			b.events++
		}
	}
	return b
}

// leastProbability keeps losses finite, as scikit-learn's log_loss does.
const leastProbability = 0x1p-52

// Loss is the logarithmic loss of one probability (Good, "Rational Decisions",
// 1952), in nats.
func Loss(p float64, event bool) float64 {
	if !event {
		p = 1 - p
	}
	return -math.Log(min(max(p, leastProbability), 1-leastProbability))
}

// Rows is their number.
func (b *Binary) Rows() int { return len(b.rows) }

// Rate is the share of rows with the event.
func (b *Binary) Rate() float64 { return ratio(float64(b.events), float64(len(b.rows))) }

// Predicted is the mean probability.
func (b *Binary) Predicted() float64 {
	sum := 0.0
	for _, p := range b.p {
		sum += p
	}
	return ratio(sum, float64(len(b.p)))
}

// Metrics implements Sample.
func (b *Binary) Metrics() []string { return []string{AUC, PRAUC, LogLoss} }

// Measure implements Sample. The area under the ROC curve is the chance that a
// row with the event has the higher probability of two, ties counting half
// (Hanley and McNeil, "The Meaning and Use of the Area under a ROC Curve", 1982).
// That under the precision-recall curve is the average precision, without
// interpolation (Davis and Goadrich, "The Relationship between Precision-Recall
// and ROC Curves", 2006).
func (b *Binary) Measure(weights []float64) []float64 {
	var hits, misses, area, precision, loss float64 // hits and misses above the threshold
	for i := len(b.rows) - 1; i >= 0; {
		hitsBefore, missesBefore := hits, misses
		for at := b.p[i]; i >= 0 && b.p[i] == at; i-- {
			w := weightOf(weights, b.rows[i])
			loss += w * b.losses[i]
			if b.y[i] {
				hits += w
			} else {
				misses += w
			}
		}
		area += (misses - missesBefore) * (hits + hitsBefore) / 2
		if hits > hitsBefore {
			precision += (hits - hitsBefore) * hits / (hits + misses)
		}
	}
	return []float64{ratio(area, hits*misses), ratio(precision, hits), ratio(loss, hits+misses)}
}

// Point is a point of a curve.
type Point struct{ X, Y float64 }

// ROC is the curve of the share of events found (Y) over the share of the others
// found with them (X), by falling threshold, thinned out to so many points.
func (b *Binary) ROC(points int) []Point {
	curve := []Point{{}}
	hits, misses := 0.0, 0.0
	others := float64(len(b.rows) - b.events)
	step := len(b.rows) / max(points, 1)
	drawn := len(b.rows) // rows below the last point
	for i := len(b.rows) - 1; i >= 0; i-- {
		if b.y[i] {
			hits++
		} else {
			misses++
		}
		if i == 0 || b.p[i] != b.p[i-1] && drawn-i >= step {
			curve = append(curve, Point{misses / others, hits / float64(b.events)})
			drawn = i
		}
	}
	return curve
}

// Bin is rows of neighbouring probabilities.
type Bin struct {
	Rows      int
	Low, High float64 // the smallest and the largest probability
	Predicted float64 // the mean probability
	Rate      float64 // the share of rows with the event
}

// ends cuts the rows into bins of equal mass and returns where each ends. Equal
// probabilities are never divided: which bin a row is in would then depend on
// the order of the rows. So bins may be of different size, and fewer.
func (b *Binary) ends(bins int) []int {
	return equalMass(b.p, bins)
}

func equalMass(ascending []float64, bins int) []int {
	var ends []int
	n, last := len(ascending), 0
	for k := range bins {
		end := (k+1)*(n/bins) + min(k+1, n%bins) // as numpy.array_split
		for end < n && end > 0 && ascending[end] == ascending[end-1] {
			end++
		}
		if end > last {
			ends = append(ends, end)
			last = end
		}
	}
	return ends
}

// Bins cuts the rows into bins of equal mass by probability, ascending: what a
// reliability curve shows (Niculescu-Mizil and Caruana, "Predicting Good
// Probabilities with Supervised Learning", 2005) and, from the last to the
// first, the lift by decile.
func (b *Binary) Bins(bins int) []Bin {
	var out []Bin
	start := 0
	for _, end := range b.ends(bins) {
		bin := Bin{Rows: end - start, Low: b.p[start], High: b.p[end-1]}
		for i := start; i < end; i++ {
			bin.Predicted += b.p[i]
			if b.y[i] {
				bin.Rate++
			}
		}
		bin.Predicted /= float64(bin.Rows)
		bin.Rate /= float64(bin.Rows)
		out = append(out, bin)
		start = end
	}
	return out
}

// CalibrationError is the mean over the rows of how far the rate of their bin is
// from its mean probability (Naeini, Cooper and Hauskrecht, "Obtaining Well
// Calibrated Probabilities Using Bayesian Binning", 2015), over bins of equal
// mass.
func (b *Binary) CalibrationError(bins int) float64 {
	sum := 0.0
	for _, bin := range b.Bins(bins) {
		sum += math.Abs(bin.Rate-bin.Predicted) * float64(bin.Rows)
	}
	return ratio(sum, float64(len(b.rows)))
}

// Chance is the calibration error that a perfect model would show on so many
// rows with these probabilities, by drawing the events anew from them: the mean,
// and what one in twenty draws exceeds (Bröcker and Smith, "Increasing the
// Reliability of Reliability Diagrams", 2007).
func (b *Binary) Chance(bins, draws int, seed uint64) (mean, high float64) {
	random := rand.New(rand.NewPCG(seed, 0))
	ends := b.ends(bins)
	sums := make([]float64, len(ends))
	for k, start := 0, 0; k < len(ends); start, k = ends[k], k+1 {
		for _, p := range b.p[start:ends[k]] {
			sums[k] += p
		}
	}
	errors := make([]float64, draws)
	for d := range errors {
		start := 0
		for k, end := range ends {
			drawn := 0
			for _, p := range b.p[start:end] {
				if random.Float64() < p {
					drawn++
				}
			}
			errors[d] += math.Abs(float64(drawn)-sums[k]) / float64(len(b.rows))
			start = end
		}
		mean += errors[d] / float64(draws)
	}
	_, high = Interval(errors, 0.9)
	return mean, high
}
