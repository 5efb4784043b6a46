package serving

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/tensor"
)

// sample is an input of a graph with the answer of the CPU provider in float32.
type sample struct {
	inputs, outputs []tensor.Tensor
	length          int
}

const (
	goldenSamples = 4 // of the bundle's, at most, that candidates are compared on
	madeUpSamples = 3
)

// measure chooses the plan of a graph: every candidate is loaded, compared with
// the CPU provider in float32, timed on a few shapes, and closed. The plan that
// it returns has no costs yet. It answers errUntried when no inputs of the graph
// can be made up, and errors of loading on the CPU.
func (l *loading) measure(ctx context.Context, v *Version, name string) (Plan, error) {
	start := time.Now()
	r := l.request(name)
	options, rejected := r.options()
	exact := l.spec(name)
	exact.Devices = []string{gpu.CPU}
	reference, err := l.opts.Loader.Load(ctx, exact)
	if err != nil {
		return Plan{}, err
	}
	found, t, samples, err := l.study(ctx, v, name, reference)
	if cerr := reference.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return Plan{}, err
	}
	if len(options) == 0 {
		return Plan{}, fmt.Errorf("%w: %s", errUntried, "no candidate")
	}
	at := 0
	var tried []Candidate
	source := ByManifest
	if len(options) > 1 {
		source = ByMeasure
		end := start.Add(l.opts.Planner.large)
		if r.small {
			end = start.Add(l.opts.Planner.small)
		}
		for i, o := range options {
			l.report(Progress{Stage: Loading, Message: fmt.Sprintf("graph %s: trying %s in %s, %d × %d threads", name, o.device.ID, PrecisionName(o.precision), o.runs, o.threads)})
			now := time.Now()
			tried = append(tried, l.try(ctx, t, o, found, samples, now.Add(end.Sub(now)/time.Duration(len(options)-i))))
			if ctx.Err() != nil {
				return Plan{}, context.Cause(ctx)
			}
		}
		if at = choose(tried); at < 0 {
			return Plan{}, fmt.Errorf("%w: no candidate is left", errUntried)
		}
	}
	plan := options[at].plan()
	plan.Source, plan.Apart, plan.Unpadded, plan.MaxLength, plan.WholeNumbers = source, found.Apart, found.Unpadded, t.longest, t.ids
	plan.Limited = t.limited
	plan.Candidates = append(tried, rejected...)
	plan.Fallback = r.fallback(plan.Device, plan.Candidates)
	plan.lay(t.form)
	plan.Measured, plan.Took = time.Now(), time.Since(start)
	return plan, nil
}

// request gathers what there is to choose from.
func (l *loading) request(name string) request {
	e := l.bundle.Manifest.GetGraphs()[name].GetExecution()
	return request{
		devices: l.opts.Loader.Devices(), named: e.GetDevices(), threads: int(e.GetThreads()), cpus: processors(),
		small: l.bundle.Graphs[name].WeightBytes < smallGraph,
		admitted: func(p gpu.Precision) bool {
			_, _, ok := l.bundle.Tolerance(precisionOf(p))
			return ok
		},
	}
}

// study finds out on the CPU what holds for every candidate: what may be joined
// and padded, how long sequences may be, and what the answers to samples are.
func (l *loading) study(ctx context.Context, v *Version, name string, s gpu.Session) (found Plan, t *trial, samples []sample, err error) {
	f, err := newForm(name, s.Signature(), l.pipeline)
	if err != nil {
		return found, nil, nil, err
	}
	t = newTrial(l.pipeline, f)
	if err := t.learn(ctx, s); err != nil {
		return found, t, nil, err
	}
	if found.Apart, found.Unpadded, err = t.joins(ctx, s, stated(l.bundle.Manifest)); err != nil {
		return found, t, nil, err
	}
	add := func(in []tensor.Tensor) error {
		out, err := s.Run(ctx, in)
		if err == nil {
			samples = append(samples, sample{in, out, lengthOf(in, f.inputs)})
		}
		return err
	}
	// Made-up pictures say nothing of the precision that real ones have.
	if l.bundle.Manifest.GetImage() == nil || len(l.goldens) == 0 || t.crop {
		for i, length := range []int{13, 24, 40}[:madeUpSamples] {
			in, err := t.inputs(1, min(length, t.most()), uint64(100+i))
			if err == nil {
				err = add(in)
			}
			if err != nil {
				return found, t, nil, err
			}
		}
	}
	for i := range min(goldenSamples, len(l.goldens)) {
		if t.crop {
			break // what would be cut out, a task decides
		}
		item, err := l.pipeline.Golden(ctx, l.goldens[i])
		if err != nil {
			return found, t, nil, fmt.Errorf("golden sample %d: %w", i+1, err)
		}
		in, err := l.feed(ctx, v, f, item.Inputs)
		if err == nil {
			err = add(in)
		}
		if err != nil {
			return found, t, nil, fmt.Errorf("golden sample %d: %w", i+1, err)
		}
	}
	return found, t, samples, nil
}

// feed computes the inputs of a graph from an item's, by the graphs before it.
func (l *loading) feed(ctx context.Context, v *Version, f form, item []tensor.Tensor) ([]tensor.Tensor, error) {
	byInput := map[string]tensor.Tensor{}
	for i, in := range l.bundle.Inputs() {
		byInput[in.Name] = item[i]
	}
	made := map[bundle.Source]tensor.Tensor{}
	for _, step := range l.bundle.Steps {
		if step.Crop != nil {
			continue
		}
		sig := f.sig
		if step.Graph != f.name {
			sig = v.graphs[step.Graph].sig
		}
		in := make([]tensor.Tensor, len(sig.Inputs))
		for _, feed := range step.Feeds {
			at := slices.IndexFunc(sig.Inputs, func(v gpu.Value) bool { return v.Name == feed.Input })
			if at < 0 {
				return nil, fmt.Errorf("%w: graph %s has no input %q", bundle.ErrGraph, step.Graph, feed.Input)
			}
			if in[at] = byInput[feed.Input]; feed.Source != (bundle.Source{}) {
				in[at] = made[feed.Source]
			}
		}
		if step.Graph == f.name {
			return in, nil
		}
		out, err := v.graphs[step.Graph].session.Run(ctx, in)
		if err != nil {
			return nil, err
		}
		for i, o := range sig.Outputs {
			made[bundle.Source{Graph: step.Graph, Output: o.Name}] = out[i]
		}
	}
	return nil, fmt.Errorf("%w: no step runs graph %s", bundle.ErrInvalid, f.name)
}

// try loads one candidate and measures it until a moment.
func (l *loading) try(ctx context.Context, t *trial, o option, found Plan, samples []sample, until time.Time) (c Candidate) {
	c = Candidate{Device: o.device.ID, Precision: o.precision, Threads: o.threads, Runs: o.runs}
	if time.Until(until) <= 0 {
		c.Rejected = "not tried: the time for choosing was over"
		return c
	}
	plan := o.plan()
	plan.Apart, plan.Unpadded, plan.MaxLength = found.Apart, found.Unpadded, t.longest
	if o.device.Provider == gpu.OpenVINO && t.form.sequence && (plan.Unpadded != "" || plan.MaxLength == 0) {
		c.Rejected = "it compiles the graph for every length, and lengths cannot be padded"
		return c
	}
	if o.device.Provider != gpu.CPU && t.form.sequence && t.form.longest == 0 && !t.limited {
		c.Rejected = fmt.Sprintf("sequences of more than %d run, where they end is not known, and it does not refuse what lies beyond", t.longest)
		return c
	}
	plan.lay(t.form)
	s, err := l.opts.Loader.Load(ctx, l.planned(t.form.name, &plan))
	if err != nil {
		c.Rejected = err.Error()
		return c
	}
	defer func() {
		if err := s.Close(); err != nil && c.Rejected == "" {
			c.Rejected = err.Error()
		}
	}()
	if got := s.Placement().Precision; got != o.precision {
		c.Rejected = "it computes in " + PrecisionName(got)
		return c
	}
	if c.Rejected = l.agrees(ctx, t, s, &plan, samples, &c.Difference); c.Rejected != "" {
		return c
	}
	costs, _ := t.priceAll(ctx, s, plan.Runs, coarse(&plan, t.form), until)
	if len(costs) == 0 {
		c.Rejected = "not measured: the time for choosing was over"
		return c
	}
	e := newEstimate(&plan, t.form, costs)
	c.Rate = e.rate()
	c.Deadline, c.Rate = e.deadline(c.Rate), round(c.Rate)
	return c
}

// agrees says how a candidate's answers differ from the CPU provider's in
// float32 by more than the manifest admits; empty when they do not. Only outputs
// that golden samples name count, where they name any of this graph.
func (l *loading) agrees(ctx context.Context, t *trial, s gpu.Session, plan *Plan, samples []sample, worst *float64) string {
	of := map[string]bool{}
	for _, g := range l.goldens {
		for out := range g.GetOutputs() {
			if src, err := bundle.ParseSource(out); err == nil && src.Graph == t.form.name {
				of[src.Output] = true
			}
		}
	}
	absolute, relative, ok := l.bundle.Tolerance(precisionOf(plan.Precision))
	limits := []tolerance{{absolute: absolute, relative: relative}}
	if plan.Precision == gpu.F32 || !ok {
		limits = append(limits, sameAnswer)
	}
	g := &graph{form: t.form, session: s}
	for _, want := range samples {
		shape := batch.Shape{Rows: 1, Length: stepUp(plan.LengthSteps, want.length)}
		var out [][]tensor.Tensor
		var err error
		if rows := rowsOf(want.inputs); rows != 1 || g.whole {
			out = make([][]tensor.Tensor, 1)
			out[0], err = s.Run(ctx, want.inputs)
		} else {
			out, err = runTogether(ctx, g, [][]tensor.Tensor{want.inputs}, shape)
		}
		if err != nil {
			return err.Error()
		}
		if why := differ(t.form.sig, out[0], want.outputs, of, limits[0], worst, limits[1:]...); why != "" {
			return "its answers differ: " + why
		}
	}
	return ""
}

// coarse are the shapes by which candidates are compared: one item, a few, and
// many, at lengths from short to long, the cheap ones first.
func coarse(p *Plan, f form) []batch.Shape {
	rows, lengths, most := []int{1, 4, 16}, []int{0}, 0
	if f.columns {
		rows = []int{1, 8, 64}
	}
	if f.sequence && p.MaxLength > 0 {
		lengths, most = nil, 512
		for _, n := range []int{8, 16, 32, 64, 128} {
			lengths = append(lengths, min(n, p.MaxLength))
		}
		lengths = slices.Compact(lengths)
	}
	var out []batch.Shape
	for _, length := range lengths {
		for _, n := range rows {
			if n <= p.MaxRows && (n == 1 || most == 0 || n*length <= most) {
				out = append(out, batch.Shape{Rows: stepUp(p.RowSteps, n), Length: stepUp(p.LengthSteps, length)})
			}
		}
	}
	return out
}

// priceAll measures shapes, until a moment or the end of ctx at the latest, and
// returns those that it did not come to. What does not run is left out.
//
// The goroutine keeps its thread, as those of a queue do: OpenVINO has what it
// needs for a run once for each thread that calls it.
func (t *trial) priceAll(ctx context.Context, s gpu.Session, runs int, shapes []batch.Shape, until time.Time) (out []batch.Cost, rest []batch.Shape) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i, shape := range shapes {
		if ctx.Err() != nil || i > 0 && time.Now().After(until) {
			rest = shapes[i:]
			break
		}
		in, err := t.inputs(shape.Rows, shape.Length, 7)
		if err != nil {
			continue
		}
		if took, err := price(ctx, s, in, runs); err == nil && took > 0 {
			out = append(out, batch.Cost{Shape: shape, Time: took})
		}
	}
	return steady(out), rest
}

// steady takes out stalls: no run costs more than one that holds it.
func steady(costs []batch.Cost) []batch.Cost {
	out := slices.Clone(costs)
	for i := range out {
		for _, c := range costs {
			if c.Shape.Rows >= out[i].Shape.Rows && c.Shape.Length >= out[i].Shape.Length {
				out[i].Time = min(out[i].Time, c.Time)
			}
		}
	}
	return out
}

// price returns how long one run takes while so many are under way: the quickest
// of up to three rounds, since a stall is not the shape's price. A first run is
// not counted: it may compile. Short runs are repeated within a round.
func price(ctx context.Context, s gpu.Session, in []tensor.Tensor, runs int) (time.Duration, error) {
	const round, enough, rounds = 200 * time.Microsecond, 3 * time.Millisecond, 3
	start := time.Now()
	if _, err := s.Run(ctx, in); err != nil {
		return 0, err
	}
	repeat := max(1, int(round/max(time.Since(start), time.Microsecond)))
	best := time.Duration(0)
	for spent, i := time.Duration(0), 0; i < rounds && (i == 0 || spent < enough); i++ {
		errs := make([]error, runs)
		var all sync.WaitGroup
		start := time.Now()
		for k := range runs - 1 {
			all.Go(func() { errs[k] = repeated(ctx, s, in, repeat) })
		}
		errs[runs-1] = repeated(ctx, s, in, repeat)
		all.Wait()
		took := time.Since(start)
		if err := errors.Join(errs...); err != nil {
			return 0, err
		}
		spent += took
		if took /= time.Duration(repeat); best == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

func repeated(ctx context.Context, s gpu.Session, in []tensor.Tensor, times int) error {
	for range times {
		if _, err := s.Run(ctx, in); err != nil {
			return err
		}
	}
	return nil
}
