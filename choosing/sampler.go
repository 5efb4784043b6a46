package choosing

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// sampler draws success rates from posteriors. The posterior of an action is
// Beta(w p + successes, w (1 - p) + failures) with the model's probability p for
// the customer and its weight w; of a treatment p is the outcome, and the
// baseline is taken off what was drawn. An effect without an outcome is not drawn:
// it counts as it is. The posterior of a creative is its prior with its counts.
type sampler struct {
	seed   uint64
	draws  int
	weight float64
	arms   []arm // like the candidates

	rates []beta // of one customer's ranked actions
}

// arm is what is known of a candidate.
type arm struct {
	drawn               bool // else its effect counts as it is
	successes, failures float64
	creatives           []beta

	// Of one customer: what is taken off the outcome, what was drawn, and how often
	// each creative (or the action, where it has none) came first.
	baseline float64
	rate     float64
	creative int
	first    []int
}

// newSampler reads the counts that a call passes.
func newSampler(actions []bundle.Action, c *chooser, t *scoringv1.ThompsonSampling) (*sampler, error) {
	s := &sampler{draws: int(t.GetDraws()), weight: t.GetModelWeight(), seed: t.GetSeed(), arms: make([]arm, len(c.candidates))}
	if s.draws == 0 {
		s.draws = defaultDraws
	}
	switch {
	case s.weight == 0:
		s.weight = defaultModelWeight
	case s.weight < leastWeight:
		s.weight = leastWeight
	}
	if t.Seed == nil {
		s.seed = rand.Uint64()
	}
	known := make(map[string]*bundlev1.Action, len(actions))
	for _, a := range actions {
		known[a.GetName()] = a.Action
	}
	type key struct{ action, creative string }
	counts := make(map[key]int, len(t.GetPosteriors())) // places among the posteriors
	for i, p := range t.GetPosteriors() {
		field := fmt.Sprintf("options.thompson.posteriors[%d]", i)
		a := known[p.GetAction()]
		if a == nil {
			return nil, unknownAction(field + ".action")
		}
		if p.GetCreative() != "" && creativeOf(a, p.GetCreative()) < 0 {
			return nil, &pipeline.InputError{Field: field + ".creative", Reason: "CREATIVE_UNKNOWN", Message: "the action has no such creative"}
		}
		k := key{p.GetAction(), p.GetCreative()}
		if _, twice := counts[k]; twice {
			return nil, &pipeline.InputError{Field: field, Reason: "POSTERIOR_TWICE", Message: "the action or creative is counted twice"}
		}
		counts[k] = i
	}
	for i := range c.candidates {
		k, arm := &c.candidates[i], &s.arms[i]
		arm.drawn = k.GetTreatment() == "" || k.baseline >= 0
		if at, ok := counts[key{k.GetName(), ""}]; ok {
			if !arm.drawn && k.excluded == 0 {
				return nil, &pipeline.InputError{
					Field: fmt.Sprintf("options.thompson.posteriors[%d]", at), Reason: "POSTERIOR_UNUSABLE",
					Message: "the model gives this action's effect without an outcome of which successes could be counted",
				}
			}
			p := t.GetPosteriors()[at]
			arm.successes, arm.failures = p.GetSuccesses(), p.GetFailures()
		}
		for _, creative := range k.GetCreatives() {
			rate := priorOf(creative)
			if at, ok := counts[key{k.GetName(), creative.GetName()}]; ok {
				p := t.GetPosteriors()[at]
				rate = newBeta(rate.a.shape+p.GetSuccesses(), rate.b.shape+p.GetFailures())
			}
			arm.creatives = append(arm.creatives, rate)
		}
		arm.first = make([]int, max(len(arm.creatives), 1))
	}
	return s, nil
}

func creativeOf(a *bundlev1.Action, name string) int {
	for i, c := range a.GetCreatives() {
		if c.GetName() == name {
			return i
		}
	}
	return -1
}

// admit refuses a call that would draw without end.
func (s *sampler) admit(customers int) error {
	arms := 0
	for i := range s.arms {
		arms += 1 + len(s.arms[i].creatives)
	}
	if total := float64(customers) * float64(arms) * float64(s.draws); total > mostDraws {
		return &pipeline.InputError{
			Field: "options.thompson.draws", Reason: "TOO_MANY_DRAWS",
			Message: fmt.Sprintf("%d for each of %d customers with %d actions and creatives, the limit is %d in all; fewer customers or draws would do", s.draws, customers, arms, mostDraws),
		}
	}
	return nil
}

// draw ranks one customer's actions by rates drawn, and counts how often each
// comes first. The first draw is the one that counts.
func (s *sampler) draw(ctx context.Context, c *chooser, r *rand.Rand, values []float64) error {
	s.rates = s.rates[:0]
	for _, i := range c.ranked {
		k, arm := &c.candidates[i], &s.arms[i]
		clear(arm.first)
		outcome := k.probability
		arm.baseline = 0
		if k.baseline >= 0 {
			arm.baseline = values[k.baseline]
			outcome += arm.baseline
		}
		outcome = min(max(outcome, 0), 1)
		rate := newBeta(s.weight*outcome+arm.successes, s.weight*(1-outcome)+arm.failures)
		if arm.drawn {
			k.estimate = k.expect(rate.mean() - arm.baseline)
		}
		s.rates = append(s.rates, rate)
	}
	for n := range s.draws {
		if n%1000 == 999 && ctx.Err() != nil {
			return ctx.Err()
		}
		best, most := -1, 0.0
		for at, i := range c.ranked {
			k, arm := &c.candidates[i], &s.arms[i]
			e := k.estimate
			if arm.drawn {
				e = k.expect(s.rates[at].draw(r) - arm.baseline)
			}
			if n == 0 {
				arm.rate, arm.creative, k.rank = e.probability, arm.draw(r), e.profit
			}
			if (best < 0 || e.profit > most) && (e.profit > 0 || c.unprofitable) {
				best, most = i, e.profit
			}
		}
		if best < 0 {
			continue // doing nothing comes first
		}
		creative := s.arms[best].creative
		if n > 0 {
			creative = s.arms[best].draw(r)
		}
		s.arms[best].first[creative]++
	}
	return nil
}

// draw chooses a creative: the one of the highest rate drawn.
func (a *arm) draw(r *rand.Rand) int {
	best, most := 0, -1.0
	for i := range a.creatives {
		if rate := a.creatives[i].draw(r); rate > most {
			best, most = i, rate
		}
	}
	return best
}

// tell completes the answer of a candidate.
func (s *sampler) tell(a *scoringv1.ChosenAction, i int, creatives []*bundlev1.Creative) {
	arm := &s.arms[i]
	rate, propensity := arm.rate, float64(arm.first[arm.creative])/float64(s.draws)
	a.SampledProbability, a.Propensity = &rate, &propensity
	if len(creatives) > 0 {
		a.Creative = creatives[arm.creative].GetName()
	}
}
