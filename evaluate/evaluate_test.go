package evaluate

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// reference is testdata/reference.json: samples with what scikit-learn and
// scikit-uplift measure on them (testdata/make.py).
type reference struct {
	Binary []struct {
		Name             string
		P, Weights       []float64
		Y                []int
		Plain, Weighted  []float64
		CalibrationError *float64 `json:"calibration_error"`
	}
	Values  struct{ Predicted, Truth, Weights, Plain, Weighted []float64 }
	Classes struct {
		Truth                    []int32
		P                        [][]float64
		Weights, Plain, Weighted []float64
	}
	Forecast struct {
		Truth, Values      [][]float64
		Quantiles          [][][]float64
		Levels             []float64
		Wape, Mae, Pinball float64
	}
	Uplift struct {
		Effects, Outcomes []float64
		Treated           []int
		Qini, Effect      float64
	}
	Calibration struct {
		Scores                  []float64
		Events                  []int
		Slope, Intercept        float64
		At, Isotonic, Quantiles []float64
	}
}

func readReference(t *testing.T) (r reference) {
	t.Helper()
	text, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) < len(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= tolerance) {
			t.Errorf("%s: [%d] is %.17g, want %.17g", what, i, got[i], w)
		}
	}
}

func truths(of []int) []bool {
	out := make([]bool, len(of))
	for i, y := range of {
		out[i] = y == 1
	}
	return out
}

func TestBinaryAgainstScikitLearn(t *testing.T) {
	for _, c := range readReference(t).Binary {
		b := NewBinary(All(len(c.P)), c.P, truths(c.Y))
		near(t, c.Name, b.Measure(nil), c.Plain, 1e-12)
		near(t, c.Name+", weighted", b.Measure(c.Weights), c.Weighted, 1e-12)
		if c.CalibrationError != nil {
			near(t, c.Name+", calibration error", []float64{b.CalibrationError(10)}, []float64{*c.CalibrationError}, 1e-12)
		}
	}
}

func TestValuesAgainstScikitLearn(t *testing.T) {
	r := readReference(t).Values
	v := NewValues(All(len(r.Truth)), r.Predicted, r.Truth, nil)
	near(t, "plain", v.Measure(nil), r.Plain, 1e-10)
	near(t, "weighted", v.Measure(r.Weights), r.Weighted, 1e-10)
}

func TestClassesAgainstScikitLearn(t *testing.T) {
	r := readReference(t).Classes
	predicted, losses := make([]int32, len(r.P)), make([]float64, len(r.P))
	for i, p := range r.P {
		for k := range p {
			if p[k] > p[predicted[i]] {
				predicted[i] = int32(k)
			}
		}
		losses[i] = Loss(p[r.Truth[i]], true)
	}
	c := NewClasses(All(len(r.P)), r.Truth, predicted, losses, 4)
	near(t, "plain", c.Measure(nil), r.Plain, 1e-12)
	near(t, "weighted", c.Measure(r.Weights), r.Weighted, 1e-12)
}

func TestForecastsAgainstScikitLearn(t *testing.T) {
	r := readReference(t).Forecast
	n := len(r.Truth)
	errors, truth, losses, points := make([]float64, n+1), make([]float64, n+1), make([]float64, n+1), make([]float64, n+1)
	for i := range r.Truth {
		errors[i], truth[i], losses[i], points[i] = SeriesErrors(r.Truth[i], r.Values[i], slices.Concat(r.Quantiles[i]...), r.Levels)
	}
	f := NewForecasts(All(n), errors, truth, losses, points)
	near(t, "forecast", f.Measure(nil), []float64{r.Wape, r.Mae, r.Pinball}, 1e-12)

	// A point whose truth is not known counts for nothing.
	unknown := slices.Clone(r.Truth[0])
	unknown[2] = math.NaN()
	_, _, _, left := SeriesErrors(unknown, r.Values[0], slices.Concat(r.Quantiles[0]...), r.Levels)
	if left != points[0]-1 {
		t.Errorf("%g points, want %g", left, points[0]-1)
	}
}

func TestUpliftAgainstScikitUplift(t *testing.T) {
	r := readReference(t).Uplift
	u := NewUplift(All(len(r.Effects)), r.Effects, r.Outcomes, truths(r.Treated))
	near(t, "uplift", u.Measure(nil), []float64{r.Qini, r.Effect}, 1e-12)
	curve := u.Curve(1000)
	if last := curve[len(curve)-1]; last.X != 1 || math.Abs(last.Y-r.Effect) > 1e-12 {
		t.Errorf("the curve ends at %v, want the mean effect", last)
	}
}

func TestCalibrationAgainstScikitLearn(t *testing.T) {
	r := readReference(t).Calibration
	events := truths(r.Events)
	platt, err := Platt(r.Scores, events)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "Platt", []float64{platt.Slope, platt.Intercept}, []float64{r.Slope, r.Intercept}, 1e-5) // L-BFGS stops there
	isotonic, err := Isotonic(r.Scores, events)
	if err != nil {
		t.Fatal(err)
	}
	at := make([]float64, len(r.At))
	for i, x := range r.At {
		at[i] = isotonic.At(x)
	}
	near(t, "isotonic", at, r.Isotonic, 1e-12)
	near(t, "quantiles", Quantiles(slices.Clone(r.Scores), 101), r.Quantiles, 1e-12)
}

// made returns probabilities that are right, in steps of 1/levels.
func made(n int, levels float64, seed uint64) ([]float64, []bool) {
	random := rand.New(rand.NewPCG(seed, 1))
	p, y := make([]float64, n), make([]bool, n)
	for i := range p {
		p[i] = math.Round(random.Float64()*levels) / levels
		y[i] = random.Float64() < p[i]
	}
	return p, y
}

// Whatever order the rows come in, the numbers are the same; and a weight of two
// is a row twice.
func TestOrderAndWeights(t *testing.T) {
	p, y := made(300, 20, 1)
	random := rand.New(rand.NewPCG(2, 2))
	weights := make([]float64, len(p))
	var p2, mixedP []float64
	var y2, mixedY []bool
	for i := range p {
		weights[i] = float64(random.IntN(3))
		for range int(weights[i]) {
			p2, y2 = append(p2, p[i]), append(y2, y[i])
		}
	}
	for _, i := range random.Perm(len(p)) {
		mixedP, mixedY = append(mixedP, p[i]), append(mixedY, y[i])
	}
	b := NewBinary(All(len(p)), p, y)
	near(t, "twice", b.Measure(weights), NewBinary(All(len(p2)), p2, y2).Measure(nil), 1e-12)
	mixed := NewBinary(All(len(p)), mixedP, mixedY)
	near(t, "mixed", mixed.Measure(nil), b.Measure(nil), 1e-12)
	near(t, "mixed", []float64{mixed.CalibrationError(10)}, []float64{b.CalibrationError(10)}, 1e-12)

	effects, outcomes := make([]float64, len(p)), make([]float64, len(p))
	var effects2, outcomes2 []float64
	var treated2 []bool
	for i := range p {
		effects[i], outcomes[i] = math.Round(10*random.NormFloat64()), random.Float64()
		for range int(weights[i]) {
			effects2, outcomes2, treated2 = append(effects2, effects[i]), append(outcomes2, outcomes[i]), append(treated2, y[i])
		}
	}
	near(t, "uplift", NewUplift(All(len(p)), effects, outcomes, y).Measure(weights), NewUplift(All(len(p2)), effects2, outcomes2, treated2).Measure(nil), 1e-12)
	var values2, truth2 []float64
	for i := range p {
		for range int(weights[i]) {
			values2, truth2 = append(values2, effects[i]), append(truth2, outcomes[i])
		}
	}
	near(t, "values", NewValues(All(len(p)), effects, outcomes, y).Measure(weights)[:3], NewValues(All(len(p2)), values2, truth2, nil).Measure(nil), 1e-12)
}

// The Gini coefficient of events is 2 AUC − 1.
func TestGiniOfEvents(t *testing.T) {
	p, y := made(500, 30, 3)
	truth := make([]float64, len(p))
	for i := range y {
		if y[i] {
			truth[i] = 1
		}
	}
	gini := NewValues(All(len(p)), p, truth, nil).Measure(nil)[2]
	near(t, "gini", []float64{gini}, []float64{2*NewBinary(All(len(p)), p, y).Measure(nil)[0] - 1}, 1e-12)
}

// The areas under the curves are the numbers, also where many rows are equal, and
// thinning out moves them little.
func TestCurves(t *testing.T) {
	under := func(curve []Point) (area float64) {
		for i := 1; i < len(curve); i++ {
			area += (curve[i].X - curve[i-1].X) * (curve[i].Y + curve[i-1].Y) / 2
		}
		return area
	}
	for _, levels := range []float64{8, 30, 1e9} {
		p, y := made(3000, levels, 6)
		truth := make([]float64, len(p))
		for i := range y {
			if y[i] {
				truth[i] = 3 * p[i]
			}
		}
		b, v := NewBinary(All(len(p)), p, y), NewValues(All(len(p)), p, truth, nil)
		for _, points := range []int{100, 10_000} {
			tolerance := 1e-12
			if points < len(p) {
				tolerance = 2e-3
			}
			auc, gains := b.ROC(points), v.Gains(points)
			near(t, "area", []float64{under(auc)}, b.Measure(nil)[:1], tolerance)
			near(t, "gains", []float64{2*under(gains) - 1}, []float64{v.gini(v.ranked, p, nil)}, tolerance)
			if len(auc) > points+2 || len(gains) > points+2 || auc[len(auc)-1] != (Point{1, 1}) {
				t.Errorf("%d and %d points, want %d", len(auc), len(gains), points)
			}
		}
	}
}

func TestPart(t *testing.T) {
	p, y := made(200, 50, 4)
	var rows []int32
	var partP []float64
	var partY []bool
	for i := 0; i < len(p); i += 3 {
		rows, partP, partY = append(rows, int32(i)), append(partP, p[i]), append(partY, y[i])
	}
	near(t, "part", NewBinary(rows, p, y).Measure(nil), NewBinary(All(len(partP)), partP, partY).Measure(nil), 0)
}

// What cannot be told is NaN, and not a number that looks like one.
func TestUndefined(t *testing.T) {
	b := NewBinary(All(3), []float64{0.1, 0.2, 0.3}, make([]bool, 3))
	if m := b.Measure(nil); !math.IsNaN(m[0]) || !math.IsNaN(m[1]) || math.IsNaN(m[2]) {
		t.Errorf("one class: %v", m)
	}
	if m := NewBinary(nil, nil, nil).Measure(nil); !math.IsNaN(m[2]) {
		t.Errorf("no rows: %v", m)
	}
	if m := NewValues(All(2), []float64{1, 2}, []float64{0, 0}, nil).Measure(nil); !math.IsNaN(m[2]) || m[0] == 0 {
		t.Errorf("zeros: %v", m)
	}
	if m := NewUplift(All(2), []float64{1, 2}, []float64{0, 1}, []bool{true, true}).Measure(nil); !math.IsNaN(m[1]) {
		t.Errorf("no control: %v", m)
	}
	if low, high := Interval([]float64{math.NaN(), math.NaN(), 1}, 0.95); !math.IsNaN(low) || !math.IsNaN(high) {
		t.Errorf("interval %g to %g of what is mostly undefined", low, high)
	}
}

// Bins cover all rows, in order, and never divide equal probabilities.
func TestBins(t *testing.T) {
	for _, levels := range []float64{1, 3, 40, 1e9} {
		p, y := made(997, levels, 5)
		b := NewBinary(All(len(p)), p, y)
		rows, last := 0, math.Inf(-1)
		for _, bin := range b.Bins(10) {
			if bin.Low <= last || bin.High < bin.Low || bin.Predicted < bin.Low-1e-12 || bin.Predicted > bin.High+1e-12 {
				t.Errorf("%g levels: %+v after %g", levels, bin, last)
			}
			last = bin.High
			rows += bin.Rows
		}
		if rows != len(p) || levels == 1e9 && len(b.Bins(10)) != 10 {
			t.Errorf("%g levels: %d rows in %d bins", levels, rows, len(b.Bins(10)))
		}
	}
}

// A model that is right is within what chance admits nineteen times of twenty,
// and one that overstates is not.
func TestChance(t *testing.T) {
	beyond := 0
	for seed := range uint64(100) {
		p, y := made(500, 1e9, 100+seed)
		b := NewBinary(All(len(p)), p, y)
		mean, high := b.Chance(10, 200, 7)
		if !(0 < mean && mean < high) {
			t.Fatalf("mean %g, high %g", mean, high)
		}
		if b.CalibrationError(10) > high {
			beyond++
		}
	}
	if beyond > 12 { // of 100 with 5 expected: one in a thousand
		t.Errorf("%d of 100 right models are beyond chance", beyond)
	}
	p, y := made(500, 1e9, 1)
	for i := range p {
		p[i] = math.Sqrt(p[i])
	}
	b := NewBinary(All(len(p)), p, y)
	if _, high := b.Chance(10, 200, 7); b.CalibrationError(10) < 2*high {
		t.Errorf("error %g of a wrong model, chance up to %g", b.CalibrationError(10), high)
	}
}

// An interval holds the truth about as often as it says.
func TestBootstrapCovers(t *testing.T) {
	big, bigY := made(200_000, 1e9, 9)
	truth := NewBinary(All(len(big)), big, bigY).Measure(nil)
	const tries = 60
	missed := make([]int, len(truth))
	for seed := range uint64(tries) {
		p, y := made(400, 1e9, 1000+seed)
		b := NewBinary(All(len(p)), p, y)
		values, err := Bootstrap(t.Context(), len(p), 200, 3, b)
		if err != nil {
			t.Fatal(err)
		}
		for m := range truth {
			if low, high := Interval(values[0][m], 0.95); truth[m] < low || truth[m] > high {
				missed[m]++
			}
		}
	}
	for m, n := range missed {
		if n > 11 { // of 60 with 3 expected
			t.Errorf("%s: %d of %d intervals miss", (&Binary{}).Metrics()[m], n, tries)
		}
	}
}

// The same seed gives the same values, however many goroutines there are; samples
// see the same weights, so that what is the same does not differ.
func TestBootstrapRepeats(t *testing.T) {
	p, y := made(100, 10, 1)
	b := NewBinary(All(len(p)), p, y)
	first, err := Bootstrap(t.Context(), len(p), 50, 1, b, b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Bootstrap(t.Context(), len(p), 50, 1, b)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Bootstrap(t.Context(), len(p), 50, 2, b)
	if err != nil {
		t.Fatal(err)
	}
	for m := range first[0] {
		if !slices.Equal(first[0][m], again[0][m]) || !slices.Equal(first[0][m], first[1][m]) {
			t.Errorf("metric %d differs between runs or samples", m)
		}
		if slices.Equal(first[0][m], other[0][m]) {
			t.Errorf("metric %d does not depend on the seed", m)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Bootstrap(ended, len(p), 50, 1, b); err == nil {
		t.Error("an ended context is no error")
	}
}

func TestPoisson(t *testing.T) {
	weights := make([]float64, 1_000_000)
	poisson(weights, 1, 2)
	var sum, squares float64
	for _, w := range weights {
		sum += w
		squares += w * w
	}
	mean := sum / 1e6
	if variance := squares/1e6 - mean*mean; math.Abs(mean-1) > 0.005 || math.Abs(variance-1) > 0.01 {
		t.Errorf("mean %g, variance %g", mean, variance)
	}
}

// Scores whose log-odds are off by a line are mended by Platt, and not by the
// points alone; what is of another form is mended by isotonic regression.
func TestCrossFitChooses(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	const n = 20_000
	line, step, p := make([]float64, n), make([]float64, n), make([]float64, n)
	linear, stepped := make([]bool, n), make([]bool, n)
	for i := range line {
		z := random.NormFloat64()
		line[i], step[i] = 3*z-1, 3*z-1
		p[i] = sigmoid(line[i])
		linear[i] = random.Float64() < sigmoid(z+0.5)
		stepped[i] = random.Float64() < []float64{0.1, 0.8}[min(int(max(z+1, 0)), 1)]
	}
	losses := func(scores []float64, y []bool, fit func([]float64, []bool) (Map, error)) []float64 {
		out, err := CrossFit(fit, scores, y, 5, 1)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	platt, isotonic := losses(line, linear, Platt), losses(line, linear, Isotonic)
	if gain, off := Gain(isotonic, platt, linear); gain < 0 || off <= 0 {
		t.Errorf("a line: Platt gains %g ± %g", gain, off)
	}
	platt, isotonic = losses(step, stepped, Platt), losses(step, stepped, Isotonic)
	if gain, off := Gain(platt, isotonic, stepped); gain < 5*off {
		t.Errorf("a step: isotonic gains %g ± %g", gain, off)
	}
	points := losses(p, linear, PlattOfProbabilities)
	direct := losses(line, linear, Platt)
	for i := range points {
		if math.Abs(points[i]-direct[i]) > 1e-3 {
			t.Fatalf("Platt in points says %g of %g, on log-odds %g", points[i], p[i], direct[i])
		}
	}
}

// A map never descends, and what it says adds up to the events.
func TestMaps(t *testing.T) {
	p, y := made(2000, 500, 11)
	events := 0.0
	for _, e := range y {
		if e {
			events++
		}
	}
	for name, fit := range map[string]func([]float64, []bool) (Map, error){"platt": Platt, "isotonic": Isotonic, "points": PlattOfProbabilities} {
		m, err := fit(p, y)
		if err != nil {
			t.Fatal(err)
		}
		last, sum := 0.0, 0.0
		for x := -0.5; x < 1.5; x += 1e-3 {
			if at := m.At(x); at < last || at > 1 {
				t.Fatalf("%s: %g at %g after %g", name, at, x, last)
			} else {
				last = at
			}
		}
		for _, x := range p {
			sum += m.At(x)
		}
		if math.Abs(sum-events) > 3 {
			t.Errorf("%s: %g events are expected of %g", name, sum, events)
		}
		for i := 1; i < len(m.Scores); i++ {
			if m.Scores[i] <= m.Scores[i-1] || m.Probabilities[i] < m.Probabilities[i-1] {
				t.Errorf("%s: point %d does not ascend", name, i)
			}
		}
	}
}

func TestUnfittable(t *testing.T) {
	same := make([]float64, 20)
	mixed := make([]bool, 20)
	for i := range mixed {
		mixed[i] = i%2 == 0
	}
	falling := make([]float64, 20)
	for i := range falling {
		falling[i] = float64(i%2) + float64(i)/100
	}
	for name, c := range map[string]struct {
		fit    func([]float64, []bool) (Map, error)
		scores []float64
		events []bool
	}{
		"alike":       {Platt, same, mixed},
		"alike too":   {Isotonic, same, mixed},
		"nan":         {Platt, append([]float64{math.NaN()}, falling[1:]...), mixed},
		"infinite":    {Isotonic, append([]float64{math.Inf(1)}, falling[1:]...), mixed},
		"upside down": {Platt, falling, mixed},
		"one class": {func(x []float64, y []bool) (Map, error) {
			_, err := CrossFit(Platt, x, y, 5, 1)
			return Map{}, err
		}, falling, make([]bool, 20)},
	} {
		if _, err := c.fit(c.scores, c.events); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Where classes do not overlap the fit still ends, at finite numbers.
func TestPlattSeparable(t *testing.T) {
	m, err := Platt([]float64{-3, -2, -1, 1, 2, 3}, []bool{false, false, false, true, true, true})
	if err != nil || !(m.Slope > 0) || math.IsInf(m.Slope, 0) || m.At(3) >= 1 || m.At(-3) <= 0 {
		t.Errorf("%+v, %v", m, err)
	}
}
