// Package evaluate measures predictions against what came to pass: how well
// probabilities rank and how far they can be trusted, how far numbers and
// forecasts are off, what treatments changed. Metrics are pure functions of
// their arguments, and the same in every run; those that sample take a seed.
// Each names where it is defined.
//
// A sample is sorted once and then measured in one pass, as often as intervals
// ask for. It keeps a few numbers a row, see the types; nothing else grows with
// the rows.
package evaluate

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Sample is rows with what was predicted and what was observed. It is read only:
// several goroutines may measure it at once.
type Sample interface {
	// Metrics names what Measure returns, in its order.
	Metrics() []string
	// Measure computes the metrics. weights has one weight ≥ 0 for each row of the
	// whole, of which a sample may hold a part; nil weighs all alike. A metric that
	// is not defined, such as the area under a curve of one class, is NaN.
	Measure(weights []float64) []float64
}

// Bootstrap measures samples of the same whole of so many rows again and again,
// each time with other weights: those of Poisson(1), which do what drawing rows
// with replacement does (Efron and Tibshirani, "An Introduction to the
// Bootstrap", 1993; Chamandy et al., "Estimating Uncertainty for Massive Data
// Streams", 2012). In one resample all samples see the same weights, so that the
// difference of two is paired. It returns the values by sample, metric and
// resample, and fails only when ctx ends.
func Bootstrap(ctx context.Context, rows, resamples int, seed uint64, samples ...Sample) ([][][]float64, error) {
	out := make([][][]float64, len(samples))
	for s, sample := range samples {
		out[s] = make([][]float64, len(sample.Metrics()))
		for m := range out[s] {
			out[s][m] = make([]float64, resamples)
		}
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), resamples) {
		workers.Go(func() {
			weights := make([]float64, rows)
			for ctx.Err() == nil {
				k := int(next.Add(1)) - 1
				if k >= resamples {
					return
				}
				poisson(weights, seed, uint64(k))
				for s, sample := range samples {
					for m, x := range sample.Measure(weights) {
						out[s][m][k] = x
					}
				}
			}
		})
	}
	workers.Wait()
	return out, ctx.Err()
}

// poissonUpTo holds the probabilities of at most k events at mean 1, times 2^32.
var poissonUpTo = func() (table [12]uint32) {
	p, sum := math.Exp(-1), 0.0
	for k := range table {
		sum += p
		table[k] = uint32(min(math.Round(sum*(1<<32)), math.MaxUint32))
		p /= float64(k + 1)
	}
	return table
}()

func poisson(weights []float64, seed, stream uint64) {
	random := rand.New(rand.NewPCG(seed, stream))
	for i := range weights {
		u, k := random.Uint32(), 0
		for k < len(poissonUpTo)-1 && u >= poissonUpTo[k] {
			k++
		}
		weights[i] = float64(k)
	}
}

// Interval is the middle of resampled values that holds a share of them, such as
// 0.95 (the percentile interval of Efron). NaN where fewer than half of the
// values are defined.
func Interval(values []float64, level float64) (low, high float64) {
	defined := make([]float64, 0, len(values))
	for _, x := range values {
		if !math.IsNaN(x) {
			defined = append(defined, x)
		}
	}
	if len(defined) == 0 || 2*len(defined) < len(values) {
		return math.NaN(), math.NaN()
	}
	slices.Sort(defined)
	return Quantile(defined, (1-level)/2), Quantile(defined, (1+level)/2)
}

// Quantile is the value below which a share of the ascending values lies, by
// linear interpolation (type 7 of Hyndman and Fan, "Sample Quantiles in
// Statistical Packages", 1996; the default of NumPy and R). There is at least one
// value.
func Quantile(ascending []float64, share float64) float64 {
	at := share * float64(len(ascending)-1)
	i := min(int(at), len(ascending)-1)
	if i == len(ascending)-1 {
		return ascending[i]
	}
	return ascending[i] + (at-float64(i))*(ascending[i+1]-ascending[i])
}

// Quantiles are n quantiles in equal steps from the minimum to the maximum: a
// table of percentiles where n is 101. values are sorted.
func Quantiles(values []float64, n int) []float64 {
	slices.Sort(values)
	out := make([]float64, n)
	for i := range out {
		out[i] = Quantile(values, float64(i)/float64(n-1))
	}
	return out
}

// All lists the rows from 0 up to n.
func All(n int) []int32 {
	rows := make([]int32, n)
	for i := range rows {
		rows[i] = int32(i)
	}
	return rows
}

// ordered returns the rows by value, ascending, equal ones as they came.
func ordered(rows []int32, values []float64) []int32 {
	out := slices.Clone(rows)
	slices.SortFunc(out, func(a, b int32) int {
		if c := cmp.Compare(values[a], values[b]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	return out
}

// weightOf is a row's weight; 1 without weights.
func weightOf(weights []float64, row int32) float64 {
	if weights == nil {
		return 1
	}
	return weights[row]
}

// ratio is a / b; NaN where b is 0.
func ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}
