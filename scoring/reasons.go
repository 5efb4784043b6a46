package scoring

import (
	"math"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// reasons are what contributions are about, and what to say of them.
type reasons struct {
	names   []string               // of features, or of players where sampled
	codes   []*bundlev1.ReasonCode // like names; nil for those without
	sampled bool                   // the graph gives no contributions
}

func newReasons(m Model, spec *bundlev1.Reasons, sampled bool) *reasons {
	r := &reasons{sampled: sampled}
	if sampled {
		for _, p := range m.Pipeline().Players() {
			r.names = append(r.names, p.Name)
		}
	} else {
		for _, f := range m.Bundle().Manifest.GetRow().GetFeatures() {
			r.names = append(r.names, f.GetName())
		}
	}
	byName := make(map[string]*bundlev1.ReasonCode, len(spec.GetCodes()))
	for _, c := range spec.GetCodes() {
		byName[c.GetFeature()] = c
	}
	r.codes = make([]*bundlev1.ReasonCode, len(r.names))
	for i, name := range r.names {
		r.codes[i] = byName[name]
	}
	return r
}

// strongest returns the features that moved a row's score most, and leaves the
// row's contributions in r.numbers. Features that moved nothing are left out.
func (r *reader) strongest(b *boundHead, row int) (_ []int, err error) {
	if b.reasons == nil {
		return nil, nil
	}
	if b.reasons.sampled {
		r.numbers = append(r.numbers[:0], b.sampled[row]...)
	} else if r.numbers, err = b.contributions.Row(r.numbers, row); err != nil {
		return nil, err
	}
	r.sizes = r.sizes[:0]
	for i, x := range r.numbers {
		size := math.Abs(x)
		if b.opts.GetActionableOnly() && !b.reasons.codes[i].GetActionable() {
			size = 0
		}
		r.sizes = append(r.sizes, size)
	}
	return pipeline.Top(r.sizes, int(b.opts.GetReasons()), math.SmallestNonzeroFloat64), nil
}

// reasons returns a row's strongest reasons.
func (r *reader) reasons(b *boundHead, row int) ([]*scoringv1.Reason, error) {
	strongest, err := r.strongest(b, row)
	if err != nil || len(strongest) == 0 {
		return nil, err
	}
	out := make([]*scoringv1.Reason, len(strongest))
	for k, i := range strongest {
		c := b.reasons.codes[i]
		out[k] = &scoringv1.Reason{
			Feature: b.reasons.names[i], Code: c.GetCode(), Text: TextIn(b.opts.GetLanguage(), c.GetText(), b.reasons.names[i]),
			Contribution: r.numbers[i], Actionable: c.GetActionable(),
		}
	}
	return out, nil
}

// ranks is the number of reasons for each row.
func (h *head) ranks() int {
	if h.reasons == nil {
		return 0
	}
	return min(int(h.opts.GetReasons()), len(h.reasons.names))
}

// reasonColumns makes room for the reasons of every row.
func (h *head) reasonColumns(rows int) []*scoringv1.ReasonColumn {
	if h.reasons == nil {
		return nil
	}
	codes := make([]string, len(h.reasons.codes))
	for i, code := range h.reasons.codes {
		codes[i] = code.GetCode()
	}
	var out []*scoringv1.ReasonColumn
	for range h.ranks() {
		out = append(out, &scoringv1.ReasonColumn{
			Feature: make([]uint32, rows), Contribution: make([]float64, rows), FeatureNames: h.reasons.names, Codes: codes,
		})
	}
	return out
}

// writeReasons writes a row's reasons to row to of the columns.
func (r *reader) writeReasons(b *boundHead, row int, out []*scoringv1.ReasonColumn, to int) error {
	strongest, err := r.strongest(b, row)
	for rank, feature := range strongest {
		out[rank].Feature[to] = uint32(feature)
		out[rank].Contribution[to] = r.numbers[feature]
	}
	return err
}

func clearReasons(out []*scoringv1.ReasonColumn, row int) {
	for _, r := range out {
		r.Feature[row], r.Contribution[row] = 0, 0
	}
}
