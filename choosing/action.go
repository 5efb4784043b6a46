package choosing

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/filter"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/scoring"
)

const (
	// mostExcluded is how many excluded actions are answered for one customer.
	mostExcluded = 100
	// mostDraws bounds what one call may draw, over customers, actions and draws.
	mostDraws = 100_000_000

	defaultDraws       = 1000
	defaultModelWeight = 10
	leastWeight        = 1e-6
)

// ChooseAction answers the best actions for customers: by probability × value −
// cost, or by a draw from posteriors (Thompson, "On the Likelihood that One
// Unknown Probability Exceeds Another", 1933). resp.Results[i] and errs[i] belong
// to instances[i]; a result whose error is set holds id and index only. err is
// set when the call as a whole cannot be answered.
func ChooseAction(ctx context.Context, m scoring.Model, instances []*scoringv1.Instance, opts *scoringv1.ChooseActionOptions, now time.Time) (resp *scoringv1.ChooseActionResponse, errs []error, err error) {
	c, err := newChooser(m, opts, now)
	if err != nil {
		return nil, nil, err
	}
	resp = &scoringv1.ChooseActionResponse{Results: make([]*scoringv1.ActionChoice, len(instances))}
	if c.thompson != nil {
		if err := c.thompson.admit(len(instances)); err != nil {
			return nil, nil, err
		}
		resp.Seed = c.thompson.seed
	}
	rows, errs, err := scoring.Numbers(ctx, m, instances, c.numbers)
	if err != nil {
		return nil, nil, err
	}
	features := m.Pipeline().Features()
	for i, in := range instances {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		out := &scoringv1.ActionChoice{Id: in.GetId(), Index: int64(i)}
		resp.Results[i] = out
		if errs[i] != nil {
			continue
		}
		if err := c.choose(ctx, out, features.Of(in.GetFeatures()), rows[i].Values); err != nil {
			return nil, nil, err
		}
		out.PredictionId, out.ServedBy, out.Warnings = pipeline.NewPredictionID(), rows[i].ServedBy, rows[i].Warnings
	}
	return resp, errs, nil
}

// chooser is one call of ChooseAction.
type chooser struct {
	count        int
	unprofitable bool // actions without profit are answered too
	language     string
	candidates   []candidate
	numbers      []scoring.Number
	thompson     *sampler // nil where nothing is drawn

	ranked []int // candidates of one customer
}

// candidate is an action that a call asks for.
type candidate struct {
	bundle.Action
	// excluded is why nobody gets it; 0 = some may.
	excluded scoringv1.ExclusionReason
	// number and baseline are places among the numbers, -1 for a constant and for
	// what has no baseline.
	number, baseline int

	// Of one customer: what is expected, and by which it is ranked.
	estimate
	rank float64
}

// estimate is what is expected of an action.
type estimate struct{ probability, profit float64 }

func newChooser(m scoring.Model, opts *scoringv1.ChooseActionOptions, now time.Time) (*chooser, error) {
	actions := m.Bundle().Actions
	if len(actions) == 0 {
		return nil, fmt.Errorf("%w: %s has no actions in its catalogue", ErrUnsupported, m.Identity().Model)
	}
	now, err := pipeline.TimeOr(opts.GetTime(), "options.time", now)
	if err != nil {
		return nil, err
	}
	asked, err := namedActions(actions, opts.GetActions())
	if err != nil {
		return nil, err
	}
	admits, err := filter.Compile(opts.GetFilter(), actionAttributes)
	if err != nil {
		return nil, &pipeline.InputError{Field: "options.filter", Reason: "FILTER_INVALID", Message: err.Error()}
	}
	c := &chooser{count: max(int(opts.GetCount()), 1), unprofitable: opts.GetIncludeUnprofitable(), language: opts.GetLanguage()}
	for i := range actions {
		if asked != nil && !asked[actions[i].GetName()] {
			continue
		}
		k := candidate{Action: actions[i], number: -1, baseline: -1}
		switch {
		case !admits.Match(&actionRow{k.Action.Action}):
			k.excluded = scoringv1.ExclusionReason_EXCLUSION_REASON_FILTERED
		case now.Before(k.Starts):
			k.excluded = scoringv1.ExclusionReason_EXCLUSION_REASON_NOT_STARTED
		case !k.Expires.IsZero() && !now.Before(k.Expires):
			k.excluded = scoringv1.ExclusionReason_EXCLUSION_REASON_EXPIRED
		default:
			c.read(m, &k, opts.GetThompson() != nil)
		}
		c.candidates = append(c.candidates, k)
	}
	if t := opts.GetThompson(); t != nil {
		if c.thompson, err = newSampler(actions, c, t); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// namedActions is the set of actions that a call names; nil for all.
func namedActions(actions []bundle.Action, names []string) (map[string]bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	known := make(map[string]bool, len(actions))
	for _, a := range actions {
		known[a.GetName()] = true
	}
	asked := make(map[string]bool, len(names))
	for i, name := range names {
		if !known[name] {
			return nil, unknownAction(fmt.Sprintf("options.actions[%d]", i))
		}
		asked[name] = true
	}
	return asked, nil
}

func unknownAction(field string) error {
	return &pipeline.InputError{Field: field, Reason: "ACTION_UNKNOWN", Message: "the model's catalogue has no such action"}
}

// read notes the numbers that a candidate needs: several may share one.
func (c *chooser) read(m scoring.Model, k *candidate, drawn bool) {
	if k.Head == "" {
		return
	}
	k.number = c.place(scoring.Number{Head: k.Head, Of: k.Of})
	// A draw is of the outcome, from which the effect follows, where the head
	// gives outcomes that are probabilities.
	if u := m.Bundle().Manifest.GetHeads()[k.Head].GetUplift(); drawn && u != nil && u.ControlColumn != nil && u.GetUnit() == "" {
		k.baseline = c.place(scoring.Number{Head: k.Head})
	}
}

// place is a number's place among those that are asked for.
func (c *chooser) place(n scoring.Number) int {
	at := slices.Index(c.numbers, n)
	if at < 0 {
		at = len(c.numbers)
		c.numbers = append(c.numbers, n)
	}
	return at
}

// choose fills in the choice for one customer of whom heads say values.
func (c *chooser) choose(ctx context.Context, out *scoringv1.ActionChoice, row filter.Row, values []float64) error {
	exclude := func(k *candidate, reason scoringv1.ExclusionReason) {
		if len(out.Excluded) < mostExcluded {
			out.Excluded = append(out.Excluded, &scoringv1.ExcludedAction{Name: k.GetName(), Reason: reason})
		}
	}
	c.ranked = c.ranked[:0]
	for i := range c.candidates {
		k := &c.candidates[i]
		if k.excluded != 0 {
			exclude(k, k.excluded)
			continue
		}
		if !k.Eligible.Match(row) {
			exclude(k, scoringv1.ExclusionReason_EXCLUSION_REASON_NOT_ELIGIBLE)
			continue
		}
		p := k.GetConstant()
		if k.number >= 0 {
			p = values[k.number]
		}
		k.estimate = k.expect(p)
		k.rank = k.profit
		c.ranked = append(c.ranked, i)
	}
	if c.thompson != nil {
		if err := c.thompson.draw(ctx, c, pipeline.Generator(c.thompson.seed, out.GetId(), out.GetIndex()), values); err != nil {
			return err
		}
	}
	if !c.unprofitable {
		c.ranked = slices.DeleteFunc(c.ranked, func(i int) bool {
			k := &c.candidates[i]
			if k.rank > 0 {
				return false
			}
			exclude(k, scoringv1.ExclusionReason_EXCLUSION_REASON_UNPROFITABLE)
			return true
		})
	}
	slices.SortStableFunc(c.ranked, func(a, b int) int { return cmp.Compare(c.candidates[b].rank, c.candidates[a].rank) })
	for _, i := range c.ranked[:min(c.count, len(c.ranked))] {
		k := &c.candidates[i]
		a := &scoringv1.ChosenAction{
			Name: k.GetName(), Title: scoring.TextIn(c.language, k.GetTitle(), k.GetName()),
			Probability: k.probability, ExpectedProfit: k.profit, Value: k.GetValue(), Cost: k.GetCost(),
		}
		if c.thompson != nil {
			c.thompson.tell(a, i, k.GetCreatives())
		} else if best := likeliest(k.GetCreatives()); best >= 0 {
			a.Creative = k.GetCreatives()[best].GetName()
		}
		out.Actions = append(out.Actions, a)
	}
	return nil
}

// expect is what a probability or an effect lets expect.
func (k *candidate) expect(p float64) estimate {
	return estimate{p, p*k.GetValue() - k.GetCost()}
}

// likeliest is the creative whose prior has the highest mean; -1 when there is
// none.
func likeliest(creatives []*bundlev1.Creative) int {
	best, most := -1, 0.0
	for i, c := range creatives {
		prior := priorOf(c)
		if mean := prior.mean(); best < 0 || mean > most {
			best, most = i, mean
		}
	}
	return best
}

// priorOf is a creative's prior; one success and one failure where the manifest
// has none.
func priorOf(c *bundlev1.Creative) beta {
	if p := c.GetPrior(); p != nil {
		return newBeta(p.GetAlpha(), p.GetBeta())
	}
	return newBeta(1, 1)
}

// actionAttributes are what a request's filter may ask of an action.
var actionAttributes = []filter.Attribute{
	{Name: "name", Kind: filter.String}, {Name: "value", Kind: filter.Number}, {Name: "cost", Kind: filter.Number}, {Name: "attributes", Kind: filter.Map},
}

// actionRow gives filters an action.
type actionRow struct{ action *bundlev1.Action }

func (r *actionRow) String(int) (string, bool) { return r.action.GetName(), true }

func (r *actionRow) Number(i int) (float64, bool) {
	if actionAttributes[i].Name == "value" {
		return r.action.GetValue(), true
	}
	return r.action.GetCost(), true
}

func (r *actionRow) Entry(_ int, key string) (string, bool) {
	if key == "" {
		return "", len(r.action.GetAttributes()) > 0
	}
	v, ok := r.action.GetAttributes()[key]
	return v, ok
}

func (r *actionRow) Bool(int) (value, ok bool)    { return false, false }
func (r *actionRow) Timestamp(int) (int64, bool)  { return 0, false }
func (r *actionRow) Strings(int) ([]string, bool) { return nil, false }
