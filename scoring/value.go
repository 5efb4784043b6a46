package scoring

import (
	"fmt"
	"math"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// amount is a number with what is known of its distribution.
type amount struct {
	value        float64
	lower, upper float64 // where the head has an interval
	positive     float64 // where a log-normal head has a probability
}

// defaultLevel is the share of outcomes in the interval of a log-normal head
// that does not say.
const defaultLevel = 0.8

// levelOf is the share of outcomes in a head's interval; 0 when it has none.
func levelOf(spec *bundlev1.Value) float64 {
	switch k := spec.GetInterval().(type) {
	case *bundlev1.Value_QuantileInterval:
		return k.QuantileInterval.GetLevel()
	case *bundlev1.Value_LogNormal:
		if k.LogNormal.GetLevel() > 0 {
			return k.LogNormal.GetLevel()
		}
		return defaultLevel
	}
	return 0
}

// hasPositive tells whether a head gives the probability of being above zero.
func hasPositive(spec *bundlev1.Value) bool {
	return spec.GetLogNormal() != nil && spec.GetLogNormal().ProbabilityColumn != nil
}

// amount reads one row of a value head.
func (b *boundHead) amount(row int, spec *bundlev1.Value) (a amount, err error) {
	if n := spec.GetLogNormal(); n != nil {
		return b.logNormal(row, n, levelOf(spec))
	}
	if a.value, err = b.source.At(row, int(spec.GetColumn())); err != nil {
		return amount{}, err
	}
	if q := spec.GetQuantileInterval(); q != nil {
		if a.lower, err = b.source.At(row, int(q.GetLowerColumn())); err != nil {
			return amount{}, err
		}
		if a.upper, err = b.source.At(row, int(q.GetUpperColumn())); err != nil {
			return amount{}, err
		}
		a.lower, a.upper = min(a.lower, a.upper), max(a.lower, a.upper)
	}
	return a, nil
}

// logNormal computes mean and interval of a number that is zero with probability
// 1 - p and else log-normal.
func (b *boundHead) logNormal(row int, spec *bundlev1.LogNormal, level float64) (a amount, err error) {
	mu, err := b.source.At(row, int(spec.GetMuColumn()))
	if err != nil {
		return amount{}, err
	}
	sigma, err := b.source.At(row, int(spec.GetSigmaColumn()))
	if err != nil {
		return amount{}, err
	}
	if spec.GetSoftplusSigma() {
		sigma = max(sigma, 0) + math.Log1p(math.Exp(-math.Abs(sigma)))
	}
	if sigma < 0 {
		return amount{}, fmt.Errorf("%w: a standard deviation is %g; the head may lack softplus_sigma", pipeline.ErrOutput, sigma)
	}
	a.positive = 1
	if spec.ProbabilityColumn != nil {
		p, err := b.source.At(row, int(spec.GetProbabilityColumn()))
		if err != nil {
			return amount{}, err
		}
		if spec.GetProbabilityActivation() == bundlev1.Activation_ACTIVATION_SIGMOID {
			p = pipeline.Logistic(p)
		}
		if a.positive, err = pipeline.Unit(p); err != nil {
			return amount{}, err
		}
	}
	// quantile is the number below which a share of the outcomes lies.
	quantile := func(share float64) float64 {
		above := share - (1 - a.positive)
		if above <= 0 {
			return 0
		}
		return math.Exp(mu + sigma*math.Sqrt2*math.Erfinv(2*above/a.positive-1))
	}
	a.value = a.positive * math.Exp(mu+sigma*sigma/2)
	a.lower, a.upper = quantile((1-level)/2), quantile((1+level)/2)
	if math.IsInf(a.value, 0) || math.IsInf(a.upper, 0) {
		return amount{}, fmt.Errorf("%w: a log-normal value is beyond all numbers", pipeline.ErrOutput)
	}
	return a, nil
}

func (r *reader) value(b *boundHead, row int, spec *bundlev1.Value) (*scoringv1.Value, error) {
	a, err := b.amount(row, spec)
	if err != nil {
		return nil, err
	}
	v := &scoringv1.Value{Value: a.value, Unit: spec.GetUnit(), Band: b.bands.nameOf(a.value)}
	if level := levelOf(spec); level > 0 {
		v.Interval = &scoringv1.Interval{Lower: a.lower, Upper: a.upper, Level: level}
	}
	if hasPositive(spec) {
		v.PositiveProbability = &a.positive
	}
	if len(spec.GetQuantiles()) > 1 {
		p := percentile(spec.GetQuantiles(), a.value)
		v.Percentile = &p
	}
	v.Reasons, err = r.reasons(b, row)
	return v, err
}

func valueColumn(h *head, spec *bundlev1.Value, rows int) *scoringv1.ValueColumn {
	c := &scoringv1.ValueColumn{Values: make([]float64, rows), Unit: spec.GetUnit(), Level: levelOf(spec), BandNames: h.bands.names, Reasons: h.reasonColumns(rows)}
	if c.GetLevel() > 0 {
		c.Lower, c.Upper = make([]float64, rows), make([]float64, rows)
	}
	if hasPositive(spec) {
		c.PositiveProbability = make([]float64, rows)
	}
	if len(spec.GetQuantiles()) > 1 {
		c.Percentile = make([]float64, rows)
	}
	if len(h.bands.names) > 0 {
		c.Band = make([]uint32, rows)
	}
	return c
}

func (c *columns) writeValue(out *scoringv1.ValueColumn, r *reader, b *boundHead, row, to int) error {
	spec := b.spec.GetValue()
	a, err := b.amount(row, spec)
	if err != nil {
		return err
	}
	out.Values[to] = a.value
	set(out.Lower, to, a.lower)
	set(out.Upper, to, a.upper)
	set(out.PositiveProbability, to, a.positive)
	if out.Percentile != nil {
		out.Percentile[to] = percentile(spec.GetQuantiles(), a.value)
	}
	if out.Band != nil {
		out.Band[to] = uint32(c.bands.of(a.value))
	}
	return r.writeReasons(b, row, out.GetReasons(), to)
}

func clearValue(out *scoringv1.ValueColumn, row int) {
	for _, c := range [][]float64{out.GetValues(), out.GetLower(), out.GetUpper(), out.GetPositiveProbability(), out.GetPercentile()} {
		set(c, row, 0)
	}
	set(out.GetBand(), row, 0)
	clearReasons(out.GetReasons(), row)
}

// set writes a value to a column, where the answer has it.
func set[T any](column []T, row int, v T) {
	if column != nil {
		column[row] = v
	}
}
