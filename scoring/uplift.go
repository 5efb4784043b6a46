package scoring

import (
	"fmt"
	"slices"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// treatment is one that a call compares.
type treatment struct {
	spec        *bundlev1.Treatment
	cost, value float64
}

func allTreatments(u *bundlev1.Uplift) []treatment {
	value := u.GetValue()
	if value == 0 {
		value = 1
	}
	out := make([]treatment, len(u.GetTreatments()))
	for i, t := range u.GetTreatments() {
		out[i] = treatment{t, t.GetCost(), value}
	}
	return out
}

// chooseTreatments leaves the treatments that a call asks for, in the model's
// order. Each must be one of some head.
func chooseTreatments(heads []*head, asked []*scoringv1.TreatmentOption) error {
	if len(asked) == 0 {
		return nil
	}
	byName := make(map[string]*scoringv1.TreatmentOption, len(asked))
	for i, o := range asked {
		field := fmt.Sprintf("options.treatments[%d].name", i)
		if byName[o.GetName()] != nil {
			return &pipeline.InputError{Field: field, Reason: "FEATURE_TWICE", Message: "the treatment is given twice"}
		}
		byName[o.GetName()] = o
		known := slices.ContainsFunc(heads, func(h *head) bool {
			return slices.ContainsFunc(h.treatments, func(t treatment) bool { return t.spec.GetName() == o.GetName() })
		})
		if !known {
			return &pipeline.InputError{Field: field, Reason: "TREATMENT_UNKNOWN", Message: "no head that is asked for has such a treatment"}
		}
	}
	for _, h := range heads {
		left := h.treatments[:0]
		for _, t := range h.treatments {
			o := byName[t.spec.GetName()]
			if o == nil {
				continue
			}
			if o.Cost != nil {
				t.cost = o.GetCost()
			}
			if o.Value != nil {
				t.value = o.GetValue()
			}
			left = append(left, t)
		}
		h.treatments = left
	}
	return nil
}

// effect is what one treatment would change.
type effect struct {
	effect, lower, upper, profit float64
}

// baseline reads the outcome without treatment; 0 for a head of effects.
func (b *boundHead) baseline(row int) (float64, error) {
	u := b.spec.GetUplift()
	if u.ControlColumn == nil {
		return 0, nil
	}
	return b.source.At(row, int(u.GetControlColumn()))
}

// effect reads one treatment's. One without an interval has its effect at both
// ends.
func (b *boundHead) effect(row int, t *treatment, baseline float64) (e effect, err error) {
	if e.effect, err = b.source.At(row, int(t.spec.GetColumn())); err != nil {
		return effect{}, err
	}
	e.effect -= baseline
	e.lower, e.upper = e.effect, e.effect
	if t.spec.LowerColumn != nil {
		if e.lower, err = b.source.At(row, int(t.spec.GetLowerColumn())); err != nil {
			return effect{}, err
		}
		if e.upper, err = b.source.At(row, int(t.spec.GetUpperColumn())); err != nil {
			return effect{}, err
		}
		e.lower, e.upper = min(e.lower, e.upper), max(e.lower, e.upper)
	}
	e.profit = e.effect*t.value - t.cost
	return e, nil
}

func (r *reader) uplift(b *boundHead, row int, spec *bundlev1.Uplift) (*scoringv1.Uplift, error) {
	baseline, err := b.baseline(row)
	if err != nil {
		return nil, err
	}
	u := &scoringv1.Uplift{Unit: spec.GetUnit(), Currency: spec.GetCurrency()}
	if spec.ControlColumn != nil {
		u.Baseline = &baseline
	}
	for i := range b.treatments {
		t := &b.treatments[i]
		e, err := b.effect(row, t, baseline)
		if err != nil {
			return nil, err
		}
		out := &scoringv1.TreatmentEffect{
			Name: t.spec.GetName(), Title: TextIn(b.opts.GetLanguage(), t.spec.GetTitle(), t.spec.GetName()),
			Effect: e.effect, ExpectedProfit: e.profit, Cost: t.cost,
		}
		if t.spec.LowerColumn != nil {
			out.Interval = &scoringv1.Interval{Lower: e.lower, Upper: e.upper, Level: spec.GetLevel()}
		}
		u.Treatments = append(u.Treatments, out)
	}
	slices.SortStableFunc(u.GetTreatments(), func(a, c *scoringv1.TreatmentEffect) int {
		switch {
		case a.GetExpectedProfit() > c.GetExpectedProfit():
			return -1
		case a.GetExpectedProfit() < c.GetExpectedProfit():
			return 1
		}
		return 0
	})
	if len(u.GetTreatments()) > 0 && u.GetTreatments()[0].GetExpectedProfit() > 0 {
		u.Best = u.GetTreatments()[0].GetName()
	}
	return u, nil
}

func upliftColumns(h *head, spec *bundlev1.Uplift, rows int) *scoringv1.UpliftColumns {
	n := rows * len(h.treatments)
	out := &scoringv1.UpliftColumns{
		Effects: make([]float64, n), ExpectedProfit: make([]float64, n), Best: make([]int32, rows),
		Level: spec.GetLevel(), Unit: spec.GetUnit(), Currency: spec.GetCurrency(),
	}
	for _, t := range h.treatments {
		out.Names = append(out.Names, t.spec.GetName())
		out.Costs = append(out.Costs, t.cost)
		if t.spec.LowerColumn != nil && out.Lower == nil {
			out.Lower, out.Upper = make([]float64, n), make([]float64, n)
		}
	}
	if spec.ControlColumn != nil {
		out.Baseline = make([]float64, rows)
	}
	return out
}

func (b *boundHead) writeUplift(row int, out *scoringv1.UpliftColumns, to int) error {
	baseline, err := b.baseline(row)
	if err != nil {
		return err
	}
	set(out.Baseline, to, baseline)
	out.Best[to] = -1
	most := 0.0
	for i := range b.treatments {
		e, err := b.effect(row, &b.treatments[i], baseline)
		if err != nil {
			return err
		}
		at := to*len(b.treatments) + i
		out.Effects[at], out.ExpectedProfit[at] = e.effect, e.profit
		set(out.Lower, at, e.lower)
		set(out.Upper, at, e.upper)
		if e.profit > most {
			most, out.Best[to] = e.profit, int32(i)
		}
	}
	return nil
}

func clearUplift(out *scoringv1.UpliftColumns, row int) {
	n := len(out.GetNames())
	for _, c := range [][]float64{out.GetEffects(), out.GetExpectedProfit(), out.GetLower(), out.GetUpper()} {
		if c != nil {
			clear(c[row*n : (row+1)*n])
		}
	}
	out.Best[row] = 0
	set(out.Baseline, row, 0)
}
