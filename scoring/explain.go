package scoring

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/explain"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

const (
	// reasonEvaluations is how many rows a model is asked for to find the reasons
	// of one row, unless it has so many features that it takes more.
	reasonEvaluations = 512
	// defaultEvaluations is the same for Explain.
	defaultEvaluations = 4096
)

// quantity is a number of a row's answer that can be explained.
type quantity struct {
	head  *head
	place int // the class, the cluster, or the treatment among the head's
	scale scoringv1.Scale
}

// read reads the quantity of one row. Errors wrap pipeline.ErrOutput.
func (q *quantity) read(r *reader, b *boundHead, row int) (float64, error) {
	switch k := q.head.spec.GetKind().(type) {
	case *bundlev1.Head_Probability:
		e, err := b.estimate(row, k.Probability)
		switch q.scale {
		case scoringv1.Scale_SCALE_PROBABILITY:
			return e.probability, err
		case scoringv1.Scale_SCALE_LOG_ODDS:
			const least = 1e-9 // a calibration may say 0 or 1, whose log-odds are no numbers
			p := min(max(e.probability, least), 1-least)
			return math.Log(p / (1 - p)), err
		}
		return e.raw, err
	case *bundlev1.Head_Value:
		a, err := b.amount(row, k.Value)
		return a.value, err
	case *bundlev1.Head_Classes:
		if err := r.classes(b, row, k.Classes); err != nil {
			return 0, err
		}
		return r.numbers[q.place], nil
	case *bundlev1.Head_Segment:
		if _, err := r.memberships(b, row, k.Segment); err != nil {
			return 0, err
		}
		return r.numbers[q.place], nil
	case *bundlev1.Head_Uplift:
		baseline, err := b.baseline(row)
		if err != nil {
			return 0, err
		}
		e, err := b.effect(row, &q.head.treatments[q.place], baseline)
		return e.effect, err
	case *bundlev1.Head_Forecast:
		if err := r.series(b, row, k.Forecast); err != nil {
			return 0, err
		}
		sum := 0.0
		for _, x := range r.points {
			sum += x
		}
		return sum / float64(len(r.points)), nil
	}
	return 0, fmt.Errorf("%w: the head %s is no number", pipeline.ErrOutput, q.head.name)
}

// evaluator asks a model for mixed rows, in runs that give way to others'.
type evaluator struct {
	ctx        context.Context // of one call, which the evaluator does not outlive
	model      Model
	mixer      *pipeline.Mixer
	quantities []*quantity
	stats      pipeline.Stats
}

// game is what package explain asks.
func (e *evaluator) game() explain.Game {
	return explain.Game{Players: len(e.mixer.Players), Others: e.mixer.Others(), Outputs: len(e.quantities), Evaluate: e.evaluate}
}

func (e *evaluator) evaluate(rows []explain.Row) ([]float64, error) {
	heads := make([]*head, len(e.quantities))
	for k, q := range e.quantities {
		heads[k] = q.head
	}
	out := make([]float64, 0, len(rows)*len(heads))
	for part := range slices.Chunk(rows, e.mixer.RoomRows()) {
		item, err := e.mixer.Room(len(part))
		if err != nil {
			return nil, err
		}
		for at, row := range part {
			switch {
			case row.Other < 0:
				e.mixer.PutRow(item, at)
			case at > 0 && row.Follows(part[at-1]):
				e.mixer.PutNext(item, at, row.Take[len(row.Take)-1])
			default:
				e.mixer.PutMixed(item, at, row.Other, row.Take)
			}
		}
		answer := e.model.Run(e.model.Yielding(e.ctx), []pipeline.Item{item})[0]
		if answer.Err != nil {
			return nil, answer.Err
		}
		e.stats.Merge(answer.Stats)
		read, err := bind(heads, answer.Outputs)
		if err != nil {
			return nil, err
		}
		for at := range part {
			for k, q := range e.quantities {
				x, err := q.read(read, &read.heads[k], at)
				if err != nil {
					return nil, fmt.Errorf("head %s, for a row mixed with the background's: %w", q.head.name, err)
				}
				out = append(out, x)
			}
		}
	}
	return out, nil
}

// sample finds the contributions that the graph does not give, for the rows of
// an answer: row from + i of the item has errs[i], which is set where it fails.
// The error that it returns concerns the whole call.
func (r *reader) sample(ctx context.Context, m Model, item pipeline.Item, from int, errs []error) error {
	var heads []*boundHead
	var quantities []*quantity
	for i := range r.heads {
		if b := &r.heads[i]; b.reasons != nil && b.reasons.sampled {
			b.sampled = make([][]float64, len(errs))
			heads = append(heads, b)
			quantities = append(quantities, &quantity{head: b.head})
		}
	}
	if len(heads) == 0 {
		return nil
	}
	for i := range errs {
		if errs[i] != nil {
			continue
		}
		mixer, err := m.Pipeline().Mixer(item, from+i)
		if err != nil {
			return err
		}
		e := &evaluator{ctx: ctx, model: m, mixer: mixer, quantities: quantities}
		o := explain.Options{Seed: mixer.Sum(), NoBase: true}
		o.MaxEvaluations = max(reasonEvaluations, explain.Needs(len(mixer.Players), mixer.Others(), o))
		got, err := explain.Shapley(e.game(), o)
		if err != nil {
			if pipeline.Overload(err) {
				return err
			}
			errs[i] = err
			continue
		}
		for k, b := range heads {
			b.sampled[i] = got.Outputs[k].Contributions
		}
	}
	return nil
}

// Explain tells why rows are scored as they are. results[i] and errs[i] belong to
// instances[i]; a result whose error is set holds id and index only. err is set
// when the call as a whole cannot be answered.
func Explain(ctx context.Context, m Model, instances []*scoringv1.Instance, opts *scoringv1.ExplainOptions) (results []*scoringv1.Explanation, errs []error, err error) {
	x, err := newExplainer(m, opts)
	if err != nil {
		return nil, nil, err
	}
	if err := m.Pipeline().CheckCount("instances", len(instances)); err != nil {
		return nil, nil, err
	}
	results, errs = make([]*scoringv1.Explanation, len(instances)), make([]error, len(instances))
	for i, in := range instances {
		results[i] = &scoringv1.Explanation{Id: in.GetId(), Index: int64(i)}
		errs[i] = x.row(ctx, results[i], in, fmt.Sprintf("instances[%d]", i))
		if pipeline.Overload(errs[i]) {
			return nil, nil, errs[i]
		}
	}
	return results, errs, nil
}

// explainer is one call of Explain.
type explainer struct {
	model    Model
	opts     *scoringv1.ExplainOptions
	head     *head
	target   int // -1 = the row's own
	reasons  *reasons
	budget   explain.Options
	targeted bool // the head has several numbers
}

func newExplainer(m Model, opts *scoringv1.ExplainOptions) (*explainer, error) {
	known, err := headsOf(m)
	if err != nil {
		return nil, err
	}
	known = slices.DeleteFunc(known, func(name string) bool { return m.Bundle().Manifest.GetHeads()[name].GetEmbedding() != nil })
	name := opts.GetHead()
	switch {
	case len(known) == 0:
		return nil, fmt.Errorf("%w: %s answers embeddings only", ErrUnexplained, m.Identity().Model)
	case name == "" && len(known) == 1:
		name = known[0]
	case name == "":
		return nil, &pipeline.InputError{Field: "options.head", Reason: "HEAD_REQUIRED", Message: "the model has several: " + strings.Join(known, ", ")}
	case !slices.Contains(known, name):
		return nil, &pipeline.InputError{Field: "options.head", Reason: "HEAD_UNKNOWN", Message: "the model has no such head that can be explained; it has " + strings.Join(known, ", ")}
	}
	others := m.Pipeline().Background()
	if others == 0 {
		return nil, fmt.Errorf("%w: %s has no typical rows to compare with (row.background)", ErrUnexplained, m.Identity().Model)
	}
	h := newHead(m, name, &scoringv1.ScoreOptions{Language: opts.GetLanguage()})
	x := &explainer{model: m, opts: opts, head: h, target: -1}
	if x.target, err = x.place(opts.GetTarget()); err != nil {
		return nil, err
	}
	x.reasons = newReasons(m, bundle.ReasonsOf(h.spec), true)
	needs := explain.Needs(len(x.reasons.names), others, explain.Options{}) + 1 // the row itself
	x.budget.MaxEvaluations = int(opts.GetMaxEvaluations())
	if x.budget.MaxEvaluations == 0 {
		x.budget.MaxEvaluations = max(defaultEvaluations, needs)
	} else if x.budget.MaxEvaluations < needs {
		return nil, &pipeline.InputError{Field: "options.max_evaluations", Reason: "TOO_FEW_EVALUATIONS", Message: fmt.Sprintf("this model needs at least %d", needs)}
	}
	x.budget.MaxEvaluations--
	return x, nil
}

// targets are the names of a head's numbers; nil for a head of one number.
func (h *head) targets() []string {
	switch h.spec.GetKind().(type) {
	case *bundlev1.Head_Classes:
		return h.labels
	case *bundlev1.Head_Segment:
		names := make([]string, len(h.spec.GetSegment().GetClusters()))
		for i, c := range h.spec.GetSegment().GetClusters() {
			names[i] = c.GetName()
		}
		return names
	case *bundlev1.Head_Uplift:
		names := make([]string, len(h.treatments))
		for i, t := range h.treatments {
			names[i] = t.spec.GetName()
		}
		return names
	}
	return nil
}

// place finds the number that a call names; -1 when it names none.
func (x *explainer) place(target string) (int, error) {
	names := x.head.targets()
	x.targeted = names != nil
	if target == "" {
		return -1, nil
	}
	if at := slices.Index(names, target); at >= 0 {
		return at, nil
	}
	message := "the head has one number only"
	if x.targeted {
		message = "the head has no such number; it has " + strings.Join(names[:min(len(names), 12)], ", ")
	}
	return 0, &pipeline.InputError{Field: "options.target", Reason: "TARGET_UNKNOWN", Message: message}
}

// row explains one row into out.
func (x *explainer) row(ctx context.Context, out *scoringv1.Explanation, in *scoringv1.Instance, at string) error {
	item, warnings, err := x.model.Pipeline().Row(in.GetFeatures())
	if err != nil {
		return err
	}
	mixer, err := x.model.Pipeline().Mixer(item, 0)
	if err != nil {
		return err
	}
	q := &quantity{head: x.head, scale: x.opts.GetScale()}
	e := &evaluator{ctx: ctx, model: x.model, mixer: mixer, quantities: []*quantity{q}}
	if q.place, err = x.ownTarget(ctx, item, &e.stats); err != nil {
		return err
	}
	budget := x.budget
	budget.Seed = mixer.Sum()
	if x.opts != nil && x.opts.Seed != nil {
		budget.Seed = x.opts.GetSeed()
	}
	got, err := explain.Shapley(e.game(), budget)
	if err != nil {
		return err
	}
	r := &got.Outputs[0]
	out.Head, out.Value, out.BaseValue, out.AdditivityError = x.head.name, r.Value, r.Base, r.AdditivityError()
	out.Exact, out.Evaluations, out.BackgroundRows, out.Seed = got.Exact, int32(got.Evaluations), int32(mixer.Others()), budget.Seed
	if x.targeted {
		out.Target = x.head.targets()[q.place]
		if x.target < 0 {
			out.Evaluations++ // the row, to find its target
		}
	}
	if x.head.spec.GetProbability() != nil {
		if out.Scale = q.scale; out.GetScale() == scoringv1.Scale_SCALE_UNSPECIFIED {
			out.Scale = scoringv1.Scale_SCALE_RAW_SCORE
		}
	}
	for k, p := range mixer.Players {
		c := x.reasons.codes[k]
		if x.opts.GetActionableOnly() && !c.GetActionable() {
			continue
		}
		out.Contributions = append(out.Contributions, &scoringv1.Contribution{
			Feature: p.Name, Members: p.Members, Contribution: r.Contributions[k], StandardError: r.StandardErrors[k],
			Code: c.GetCode(), Text: TextIn(x.opts.GetLanguage(), c.GetText(), p.Name), Actionable: c.GetActionable(),
		})
	}
	slices.SortStableFunc(out.GetContributions(), func(a, b *scoringv1.Contribution) int {
		return cmp.Compare(math.Abs(b.GetContribution()), math.Abs(a.GetContribution()))
	})
	out.PredictionId = pipeline.NewPredictionID()
	out.ServedBy = []*servingv1.ServedBy{e.stats.ServedBy(x.model.Identity(), []string{x.head.name})}
	out.Warnings = pipeline.Within(at, warnings)
	return nil
}

// ownTarget returns the number that is explained: the one that the call names,
// or the row's own.
func (x *explainer) ownTarget(ctx context.Context, item pipeline.Item, stats *pipeline.Stats) (int, error) {
	if !x.targeted {
		return 0, nil
	}
	if x.target >= 0 {
		return x.target, nil
	}
	answer := x.model.Run(x.model.Yielding(ctx), []pipeline.Item{item})[0]
	if answer.Err != nil {
		return 0, answer.Err
	}
	stats.Merge(answer.Stats)
	read, err := bind([]*head{x.head}, answer.Outputs)
	if err != nil {
		return 0, err
	}
	b := &read.heads[0]
	switch k := x.head.spec.GetKind().(type) {
	case *bundlev1.Head_Classes:
		if err := read.classes(b, 0, k.Classes); err != nil {
			return 0, err
		}
		return pipeline.Top(read.numbers, 1, 0)[0], nil
	case *bundlev1.Head_Segment:
		nearest, err := read.memberships(b, 0, k.Segment)
		if err != nil {
			return 0, err
		}
		return nearest[0], nil
	}
	u, err := read.uplift(b, 0, x.head.spec.GetUplift())
	if err != nil {
		return 0, err
	}
	return slices.Index(x.head.targets(), u.GetTreatments()[0].GetName()), nil
}
