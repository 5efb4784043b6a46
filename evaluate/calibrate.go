package evaluate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Map takes a score to a probability: by a logistic function, or by linear
// interpolation between points.
type Map struct {
	Slope, Intercept float64 // 1 / (1 + exp(-(Slope × score + Intercept)))

	// Scores ascend strictly; Probabilities do not descend. Outside their range
	// the end values hold. Both are nil for a logistic map.
	Scores, Probabilities []float64
}

// At is the probability of a score.
func (m Map) At(score float64) float64 {
	if m.Scores == nil {
		return sigmoid(m.Slope*score + m.Intercept)
	}
	i, found := slices.BinarySearch(m.Scores, score)
	switch {
	case found:
		return m.Probabilities[i]
	case i == 0:
		return m.Probabilities[0]
	case i == len(m.Scores):
		return m.Probabilities[i-1]
	}
	part := (score - m.Scores[i-1]) / (m.Scores[i] - m.Scores[i-1])
	return m.Probabilities[i-1] + part*(m.Probabilities[i]-m.Probabilities[i-1])
}

func sigmoid(z float64) float64 {
	if z < 0 {
		e := math.Exp(z)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-z))
}

// LogOdds is log(p / (1 - p)), finite for every p in [0, 1].
func LogOdds(p float64) float64 {
	const least = 1e-7
	p = min(max(p, least), 1-least)
	return math.Log(p / (1 - p))
}

// ErrScores is wrapped by errors about scores that no map can be fitted to.
var ErrScores = errors.New("evaluate: no calibration can be fitted")

// Platt fits a logistic map of scores, best log-odds (Platt, "Probabilistic
// Outputs for Support Vector Machines", 1999), by Newton's method as Lin, Lin and
// Weng give it ("A Note on Platt's Probabilistic Outputs", 2007). The targets are
// Platt's, just within 0 and 1, so that the fit ends where classes do not overlap.
func Platt(scores []float64, events []bool) (Map, error) {
	mean, deviation, err := spread(scores)
	if err != nil {
		return Map{}, err
	}
	n, positive := float64(len(events)), 0.0
	for _, y := range events {
		if y {
			positive++
		}
	}
	high, low := (positive+1)/(positive+2), 1/(n-positive+2)
	// deviance is -log of the likelihood of a slope and an intercept of scores
	// brought to mean 0 and deviation 1, with its derivatives.
	deviance := func(a, b float64) (f, da, db, aa, ab, bb float64) {
		for i, x := range scores {
			x = (x - mean) / deviation
			t := low
			if events[i] {
				t = high
			}
			z := a*x + b
			f += max(z, 0) + math.Log1p(math.Exp(-math.Abs(z))) - t*z
			p := sigmoid(z)
			d, curve := p-t, p*(1-p)
			da += d * x
			db += d
			aa += curve * x * x
			ab += curve * x
			bb += curve
		}
		return f, da, db, aa, ab, bb
	}
	a, b := 0.0, math.Log((positive+1)/(n-positive+1))
	f, da, db, aa, ab, bb := deviance(a, b)
	for range 100 {
		const ridge = 1e-12
		aa, bb = aa+ridge, bb+ridge
		determinant := aa*bb - ab*ab
		stepA, stepB := -(bb*da-ab*db)/determinant, -(aa*db-ab*da)/determinant
		promised := -(da*stepA + db*stepB) // twice what the step would gain
		if promised < 1e-9 {
			a, b = a+stepA, b+stepB
			break
		}
		for length := 1.0; length > 1e-6; length /= 2 {
			tried, tda, tdb, taa, tab, tbb := deviance(a+length*stepA, b+length*stepB)
			if tried <= f-1e-4*length*promised {
				a, b = a+length*stepA, b+length*stepB
				f, da, db, aa, ab, bb = tried, tda, tdb, taa, tab, tbb
				break
			}
		}
	}
	if a < 0 {
		return Map{}, fmt.Errorf("%w: higher scores go with fewer events; is the event the other class?", ErrScores)
	}
	return Map{Slope: a / deviation, Intercept: b - a*mean/deviation}, nil
}

func spread(scores []float64) (mean, deviation float64, err error) {
	for i, x := range scores {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return 0, 0, fmt.Errorf("%w: score %d is %g", ErrScores, i, x)
		}
		mean += x / float64(len(scores))
	}
	for _, x := range scores {
		deviation += (x - mean) * (x - mean) / float64(len(scores))
	}
	if !(deviation > 0) {
		return 0, 0, fmt.Errorf("%w: all scores are alike", ErrScores)
	}
	return mean, math.Sqrt(deviation), nil
}

// Isotonic fits the map that never descends and is closest to the events in
// least squares, by pooling neighbours (Ayer et al., "An Empirical Distribution
// Function for Sampling with Incomplete Information", 1955; for calibration,
// Zadrozny and Elkan, 2002). Nothing is certain: probabilities stay
// 1 / (rows + 2) within 0 and 1.
func Isotonic(scores []float64, events []bool) (Map, error) {
	if _, _, err := spread(scores); err != nil {
		return Map{}, err
	}
	type block struct {
		low, high   float64 // its first and last score
		rows, event float64
	}
	var blocks []block
	order := ordered(All(len(scores)), scores)
	for i := 0; i < len(order); {
		b := block{low: scores[order[i]], high: scores[order[i]]}
		for ; i < len(order) && scores[order[i]] == b.low; i++ {
			b.rows++
			if events[order[i]] {
				b.event++
			}
		}
		for len(blocks) > 0 {
			last := blocks[len(blocks)-1]
			if last.event*b.rows < b.event*last.rows {
				break
			}
			b = block{low: last.low, high: b.high, rows: last.rows + b.rows, event: last.event + b.event}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	edge := 1 / float64(len(scores)+2)
	m := Map{}
	for _, b := range blocks {
		p := min(max(b.event/b.rows, edge), 1-edge)
		m.Scores, m.Probabilities = append(m.Scores, b.low), append(m.Probabilities, p)
		if b.high > b.low {
			m.Scores, m.Probabilities = append(m.Scores, b.high), append(m.Probabilities, p)
		}
	}
	return m, nil
}

// PlattOfProbabilities fits Platt's map to the log-odds of probabilities and
// returns it as points of probabilities, a tenth of log-odds apart: for scores
// that are probabilities already.
func PlattOfProbabilities(probabilities []float64, events []bool) (Map, error) {
	scores := make([]float64, len(probabilities))
	for i, p := range probabilities {
		scores[i] = LogOdds(p)
	}
	fit, err := Platt(scores, events)
	if err != nil {
		return Map{}, err
	}
	m := Map{Scores: []float64{0}, Probabilities: []float64{fit.At(LogOdds(0))}}
	for z := -160; z <= 160; z++ {
		m.Scores = append(m.Scores, sigmoid(float64(z)/10))
		m.Probabilities = append(m.Probabilities, fit.At(float64(z)/10))
	}
	m.Scores, m.Probabilities = append(m.Scores, 1), append(m.Probabilities, fit.At(LogOdds(1)))
	return m, nil
}

// CrossFit returns for every row the probability of a map that was fitted
// without it: to the other parts of so many, into which rows with and without
// the event are dealt evenly, by chance (Stone, "Cross-Validatory Choice", 1974).
func CrossFit(fit func([]float64, []bool) (Map, error), scores []float64, events []bool, folds int, seed uint64) ([]float64, error) {
	random := rand.New(rand.NewPCG(seed, 0))
	fold := make([]int, len(scores))
	dealt := [2]int{}
	for _, row := range random.Perm(len(scores)) {
		kind := 0
		if events[row] {
			kind = 1
		}
		fold[row] = dealt[kind] % folds
		dealt[kind]++
	}
	if min(dealt[0], dealt[1]) < folds {
		return nil, fmt.Errorf("%w: %d rows with and %d without the event are too few for %d folds", ErrScores, dealt[1], dealt[0], folds)
	}
	out := make([]float64, len(scores))
	x, y := make([]float64, 0, len(scores)), make([]bool, 0, len(scores))
	for k := range folds {
		x, y = x[:0], y[:0]
		for i, f := range fold {
			if f != k {
				x, y = append(x, scores[i]), append(y, events[i])
			}
		}
		m, err := fit(x, y)
		if err != nil {
			return nil, err
		}
		for i, f := range fold {
			if f == k {
				out[i] = m.At(scores[i])
			}
		}
	}
	return out, nil
}

// Gain is by how much the losses of one probability are less than those of
// another on the same rows, in the mean, with its standard error.
func Gain(before, after []float64, events []bool) (mean, standardError float64) {
	n := float64(len(events))
	squares := 0.0
	for i, y := range events {
		d := Loss(before[i], y) - Loss(after[i], y)
		mean += d / n
		squares += d * d / n
	}
	return mean, math.Sqrt(max(squares-mean*mean, 0) / n)
}
