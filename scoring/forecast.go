package scoring

import (
	"fmt"
	"slices"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// chooseForecasts applies a call's horizon and quantiles to the heads that
// forecast.
func chooseForecasts(heads []*head, opts *scoringv1.ScoreOptions) error {
	asked := opts.GetQuantiles()
	for i := 1; i < len(asked); i++ {
		if asked[i] <= asked[i-1] {
			return &pipeline.InputError{Field: fmt.Sprintf("options.quantiles[%d]", i), Reason: "FIELD_INVALID", Message: "is not above the one before"}
		}
	}
	bare, given := "", false // a head without quantiles, which is an error where no head has any
	for _, h := range heads {
		if h.spec.GetForecast() == nil {
			continue
		}
		if n := int(opts.GetHorizon()); n > h.horizon {
			return &pipeline.InputError{Field: "options.horizon", Reason: "HORIZON_TOO_LONG", Message: fmt.Sprintf("the head %s gives %d points", h.name, h.horizon)}
		} else if n > 0 {
			h.horizon = n
		}
		if len(asked) == 0 {
			continue
		}
		levels := h.levels
		if len(levels) == 0 {
			bare = h.name
			continue
		}
		for i, q := range asked {
			if q < levels[0] || q > levels[len(levels)-1] {
				return &pipeline.InputError{
					Field: fmt.Sprintf("options.quantiles[%d]", i), Reason: "QUANTILE_UNKNOWN",
					Message: fmt.Sprintf("the head %s gives quantiles from %g to %g", h.name, levels[0], levels[len(levels)-1]),
				}
			}
		}
		h.levels = asked
		given = true
	}
	if bare != "" && !given {
		return &pipeline.InputError{Field: "options.quantiles", Reason: "QUANTILE_UNKNOWN", Message: fmt.Sprintf("the head %s gives no quantiles", bare)}
	}
	return nil
}

// series reads the points of one row of a forecast: it leaves them in r.points,
// and in r.quantiles the levels' numbers, row-major [points, levels]. Quantiles
// that cross are put in order (Chernozhukov, Fernández-Val and Galichon, 2010).
func (r *reader) series(b *boundHead, row int, spec *bundlev1.Forecast) (err error) {
	if r.numbers, err = b.source.Row(r.numbers, row); err != nil {
		return err
	}
	r.points, r.quantiles = r.points[:0], r.quantiles[:0]
	given := spec.GetQuantiles()
	for t := range b.horizon {
		if len(given) == 0 {
			r.points = append(r.points, r.numbers[t])
			continue
		}
		point := r.numbers[t*len(given) : (t+1)*len(given)]
		slices.Sort(point)
		if b.spec.GetForecast().GetMean() == "" {
			r.points = append(r.points, interpolate(given, point, 0.5))
		} else {
			x, err := b.mean.At(row, t)
			if err != nil {
				return err
			}
			r.points = append(r.points, x)
		}
		for _, q := range b.levels {
			r.quantiles = append(r.quantiles, interpolate(given, point, q))
		}
	}
	return nil
}

func (r *reader) forecast(b *boundHead, row int, spec *bundlev1.Forecast) (*scoringv1.Forecast, error) {
	if err := r.series(b, row, spec); err != nil {
		return nil, err
	}
	f := &scoringv1.Forecast{Points: make([]*scoringv1.ForecastPoint, len(r.points)), Levels: b.levels, Unit: spec.GetUnit(), Step: spec.GetStep()}
	n := len(b.levels)
	for t, x := range r.points {
		f.Points[t] = &scoringv1.ForecastPoint{Value: x, Quantiles: slices.Clone(r.quantiles[t*n : (t+1)*n])}
	}
	return f, nil
}

func forecastColumns(h *head, spec *bundlev1.Forecast, rows int) *scoringv1.ForecastColumns {
	return &scoringv1.ForecastColumns{
		Horizon: int32(h.horizon), Values: make([]float64, rows*h.horizon), Levels: h.levels,
		Quantiles: make([]float64, rows*h.horizon*len(h.levels)), Unit: spec.GetUnit(), Step: spec.GetStep(),
	}
}

func (r *reader) writeForecast(b *boundHead, row int, out *scoringv1.ForecastColumns, to int) error {
	if err := r.series(b, row, b.spec.GetForecast()); err != nil {
		return err
	}
	copy(out.GetValues()[to*len(r.points):], r.points)
	copy(out.GetQuantiles()[to*len(r.quantiles):], r.quantiles)
	return nil
}

func clearForecast(out *scoringv1.ForecastColumns, row int) {
	n := int(out.GetHorizon())
	clear(out.GetValues()[row*n : (row+1)*n])
	n *= len(out.GetLevels())
	clear(out.GetQuantiles()[row*n : (row+1)*n])
}
