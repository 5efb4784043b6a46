package serving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// ErrGolden is wrapped by the error of a version whose answers are further from
// its golden samples than the manifest allows.
var ErrGolden = errors.New("golden samples are not met")

// loading is one Load under way.
type loading struct {
	id       pipeline.Identity
	dir      string
	opts     LoadOptions
	bundle   *bundle.Bundle
	pipeline *pipeline.Pipeline
	goldens  []*bundlev1.Golden
	report   func(Progress)
}

// place loads a graph where it is to run: as it was measured to be best, now or
// at an earlier load, or by rules where nothing is to be measured.
func (l *loading) place(ctx context.Context, v *Version, name string) (*graph, error) {
	p := l.opts.Planner
	if p == nil || l.opts.Cold || l.opts.Device != "" {
		return l.byRules(ctx, name)
	}
	key, err := l.key(name)
	if err != nil {
		return nil, err
	}
	if plan, ok := p.recall(key); ok {
		g, err := l.open(ctx, name, plan)
		if err == nil || ctx.Err() != nil {
			return g, err
		}
		// The device has gone, or its memory is taken: what is best now?
	}
	quiet := p.quiet()
	plan, err := l.measure(ctx, v, name)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil: // the rules find the same error, or manage without the CPU
		g, rerr := l.byRules(ctx, name)
		if g != nil {
			g.plan.Note = "not measured: " + err.Error()
		}
		return g, rerr
	}
	g, err := l.open(ctx, name, plan)
	if err != nil {
		return nil, err
	}
	if !quiet || !p.quiet() {
		g.plan.Note = "other work took the processors meanwhile: the figures are not kept, but measured again at the next load"
	} else if err := p.keep(key, g.plan); err != nil {
		g.plan.Note = "it could not be kept: " + systemError(err)
	}
	return g, nil
}

// byRules loads a graph on the first device that takes it.
func (l *loading) byRules(ctx context.Context, name string) (*graph, error) {
	spec := l.rules(name)
	s, err := l.opts.Loader.Load(ctx, spec)
	if err != nil {
		return nil, err
	}
	return l.queue(ctx, name, s, rulesPlan(s.Placement()))
}

// rulesPlan is the plan of a session that is placed by rules: a small graph runs
// on one thread, as many runs side by side as there are processors; a large one
// uses them all for one run.
func rulesPlan(place gpu.Placement) Plan {
	plan := Plan{
		Source: ByRules, Device: place.Device, Provider: place.Provider, Precision: place.Precision, Threads: place.Threads, Runs: 1,
	}
	if place.Threads == 1 {
		plan.Runs = processors()
	}
	return plan
}

// spec is what all sessions of a graph have in common.
func (l *loading) spec(name string) gpu.Spec {
	return gpu.Spec{
		Path:    filepath.Join(l.dir, filepath.FromSlash(l.bundle.Manifest.GetGraphs()[name].GetFile())),
		Outputs: wanted(l.bundle, l.goldens, name),
		Owner:   fmt.Sprintf("%s@%d %s", l.id.Model, l.id.Version, name),
	}
}

// planned is how a graph's session is loaded by its plan.
func (l *loading) planned(name string, p *Plan) gpu.Spec {
	spec := l.spec(name)
	spec.Devices, spec.Precision, spec.Threads, spec.Runs = []string{p.Device}, p.Precision, p.Threads, p.Runs
	return spec
}

// rules say where a graph may be placed that is not measured.
func (l *loading) rules(name string) gpu.Spec {
	e := l.bundle.Manifest.GetGraphs()[name].GetExecution()
	spec := l.spec(name)
	spec.Threads, spec.Devices, spec.Precision = int(e.GetThreads()), e.GetDevices(), gpu.F32
	small := l.bundle.Graphs[name].WeightBytes < smallGraph
	if small && spec.Threads == 0 {
		spec.Threads = 1
	}
	switch {
	case l.opts.Device != "" && !small:
		spec.Devices = []string{l.opts.Device}
	case len(spec.Devices) > 0 && l.opts.Device == "":
	case small:
		// The way to another device costs more than a small graph's work.
		spec.Devices = []string{gpu.CPU}
	default:
		spec.AllowOpenVINO = l.openVINOPays()
	}
	for _, p := range []gpu.Precision{gpu.TF32, gpu.BF16} {
		if _, _, ok := l.bundle.Tolerance(precisionOf(p)); ok {
			spec.Precision = p
		}
	}
	return spec
}

// openVINOPays tells whether OpenVINO may be chosen where nothing is measured:
// the bundle admits bfloat16 and this machine computes it. In float32 it is not
// faster than the CPU provider for every graph (docs/gpu.md).
func (l *loading) openVINOPays() bool {
	if _, _, admitted := l.bundle.Tolerance(bundlev1.Precision_PRECISION_BF16); !admitted {
		return false
	}
	return slices.ContainsFunc(l.opts.Loader.Devices(), func(d gpu.Device) bool {
		return d.Provider == gpu.OpenVINO && d.Available && slices.Contains(d.Precisions, gpu.BF16)
	})
}

// mayLeaveCPU tells whether place could try a graph of this bundle elsewhere.
func (v *Version) mayLeaveCPU() bool {
	for name, m := range v.bundle.Manifest.GetGraphs() {
		devices := m.GetExecution().GetDevices()
		if len(devices) == 0 && v.bundle.Graphs[name].WeightBytes >= smallGraph || slices.Contains(devices, gpu.OpenVINO) {
			return true
		}
	}
	return false
}

// open loads a graph as its plan says.
func (l *loading) open(ctx context.Context, name string, plan Plan) (*graph, error) {
	s, err := l.opts.Loader.Load(ctx, l.planned(name, &plan))
	if err != nil {
		return nil, err
	}
	if got := s.Placement().Precision; got != plan.Precision {
		_ = s.Close()
		return nil, fmt.Errorf("%w: %s computes in %s", gpu.ErrNoDevice, plan.Device, PrecisionName(got))
	}
	return l.queue(ctx, name, s, plan)
}

// queue runs a loaded graph for the first times, so that no caller does and its
// queue knows what runs cost, and makes that queue. It owns the session, also
// when it fails.
func (l *loading) queue(ctx context.Context, name string, s gpu.Session, plan Plan) (_ *graph, err error) {
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	f, err := newForm(name, s.Signature(), l.pipeline)
	if err != nil {
		return nil, err
	}
	plan.Graph = name
	t := newTrial(l.pipeline, f)
	if plan.Source == ByRules {
		plan.Apart, plan.Unpadded, plan.MaxLength = f.apart, f.unpadded, t.longest
		plan.lay(f)
	} else {
		t.ids, t.longest = plan.WholeNumbers, plan.MaxLength
	}
	if !l.opts.Cold {
		l.report(Progress{Stage: Loading, Message: "graph " + name + ": first runs"})
		t.warm(ctx, s, &plan)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return newGraph(f, s, plan, l.opts.devices)
}

// warmBudget is how long the costs of a plan are measured: what is left then is
// run once.
const warmBudget = 10 * time.Second

// warm runs every shape of a plan: one that has no costs yet learns them, and a
// provider that compiles does it now. What does not run with made-up inputs is
// left to the first caller.
func (t *trial) warm(ctx context.Context, s gpu.Session, plan *Plan) {
	shapes := plan.shapes(t.form)
	if len(plan.Costs) == 0 {
		plan.Costs, shapes = t.priceAll(ctx, s, plan.Runs, shapes, time.Now().Add(warmBudget))
		if plan.Source != ByRules {
			plan.judge(t.form)
		}
	}
	if plan.Provider != gpu.OpenVINO {
		shapes = shapes[:min(len(shapes), 1)] // nothing is compiled
	}
	for _, shape := range shapes {
		if t.run(ctx, s, shape.Rows, shape.Length); ctx.Err() != nil {
			return
		}
	}
}

// verify runs the golden samples. Where a device other than the CPU is too far
// off, its graphs fall back to the CPU and are checked again.
func (l *loading) verify(ctx context.Context, v *Version) error {
	err := l.golden(ctx, v)
	if err == nil || !errors.Is(err, ErrGolden) {
		return err
	}
	fell := false
	for name, g := range v.graphs {
		if g.place.Provider == gpu.CPU {
			continue
		}
		m := l.bundle.Manifest.GetGraphs()[name]
		if pinned := m.GetExecution().GetDevices(); len(pinned) > 0 && !slices.Contains(pinned, gpu.CPU) {
			return err
		}
		reason := fmt.Sprintf("%s in %s: %v", g.place.Device, PrecisionName(g.place.Precision), err)
		if cerr := g.close(); cerr != nil {
			return cerr
		}
		delete(v.graphs, name)
		onCPU, lerr := l.onCPU(ctx, name)
		if lerr != nil {
			return lerr
		}
		onCPU.place.FallbackReason = strings.Trim(g.place.FallbackReason+"; "+reason, "; ")
		v.graphs[name] = onCPU
		fell = true
	}
	if !fell {
		return err
	}
	v.main = nil
	if err := v.wire(); err != nil {
		return err
	}
	return l.golden(ctx, v)
}

// onCPU loads a graph on the CPU provider, by rules.
func (l *loading) onCPU(ctx context.Context, name string) (*graph, error) {
	spec := l.rules(name)
	spec.Devices, spec.Precision = []string{gpu.CPU}, gpu.F32
	s, err := l.opts.Loader.Load(ctx, spec)
	if err != nil {
		return nil, err
	}
	return l.queue(ctx, name, s, rulesPlan(s.Placement()))
}

// golden compares the version's answers with the golden samples, each alone.
// All of them are run, so that the error tells the largest difference and how
// many samples are off.
func (l *loading) golden(ctx context.Context, v *Version) error {
	coarsest := gpu.F32
	for _, g := range v.graphs {
		if g.place.Precision != gpu.F32 {
			coarsest = g.place.Precision
		}
	}
	v.verified = Verification{Precision: PrecisionName(coarsest)}
	if len(l.goldens) == 0 {
		return nil
	}
	absolute, relative, admitted := l.bundle.Tolerance(precisionOf(coarsest))
	if !admitted {
		return fmt.Errorf("%w: the manifest states no tolerance for %s", ErrGolden, PrecisionName(coarsest))
	}
	c := comparison{absolute: absolute, relative: relative, result: &v.verified}
	for i, sample := range l.goldens {
		item, err := l.pipeline.Golden(ctx, sample)
		if err != nil {
			return fmt.Errorf("golden sample %d: %w", i+1, err)
		}
		answer := v.Run(ctx, []pipeline.Item{item})[0]
		if answer.Err != nil {
			return fmt.Errorf("golden sample %d: %w", i+1, answer.Err)
		}
		off := c.off
		for name, want := range sample.GetOutputs() {
			src, err := bundle.ParseSource(name)
			if err != nil {
				return err
			}
			got, ok := answer.Outputs.Get(src)
			if !ok {
				return fmt.Errorf("%w: sample %d: %s is not computed", ErrGolden, i+1, name)
			}
			if err := c.compare(i+1, name, got, want); err != nil {
				return fmt.Errorf("%w: sample %d: %w", ErrGolden, i+1, err)
			}
		}
		if c.off > off {
			c.samples++
		}
		v.verified.Samples++
	}
	if c.samples > 0 {
		return fmt.Errorf("%w: %d of %d samples are off, most of all %s", ErrGolden, c.samples, len(l.goldens), c.worst)
	}
	return nil
}

// comparison gathers how far answers are from golden samples.
type comparison struct {
	absolute, relative float64
	result             *Verification
	off                int // values beyond the tolerance
	samples            int // samples that have any
	excess             float64
	worst              string // the value with the largest excess
}

// compare notes every difference. Its error is about answers that cannot be
// compared at all.
func (c *comparison) compare(sample int, name string, got tensor.Tensor, want *bundlev1.Values) error {
	if got.DType == tensor.String {
		if len(want.GetStrings()) != len(got.Strings) {
			return fmt.Errorf("%s has %d strings, want %d", name, len(got.Strings), len(want.GetStrings()))
		}
		for i, s := range want.GetStrings() {
			if got.Strings[i] != s {
				return fmt.Errorf("%s[%d] is another string", name, i)
			}
		}
		return nil
	}
	values := float64s(got)
	if len(values) != len(want.GetValues()) {
		return fmt.Errorf("%s has %d values, want %d", name, len(values), len(want.GetValues()))
	}
	for i, w := range want.GetValues() {
		off := math.Abs(values[i] - w)
		switch {
		case math.IsNaN(w) && math.IsNaN(values[i]), w == values[i]:
			off = 0
		case math.IsNaN(off):
			off = math.MaxFloat64 // NaN or an infinity against a number
		}
		if off > c.result.MaxDifference || c.result.Output == "" {
			c.result.MaxDifference, c.result.Output = off, name
		}
		admitted := c.absolute + c.relative*math.Abs(w)
		if off <= admitted {
			continue
		}
		c.off++
		if excess := off - admitted; excess > c.excess {
			c.excess = excess
			c.worst = fmt.Sprintf("sample %d: %s[%d] is %g, want %g ± %g", sample, name, i, values[i], w, admitted)
		}
	}
	return nil
}

// float64s widens a tensor without going through float32.
func float64s(t tensor.Tensor) []float64 {
	if t.DType == tensor.Float64 {
		return tensor.View[float64](t)
	}
	if t.DType == tensor.Int64 {
		in := tensor.View[int64](t)
		out := make([]float64, len(in))
		for i, v := range in {
			out[i] = float64(v)
		}
		return out
	}
	in := t.Float32s()
	out := make([]float64, len(in))
	for i, v := range in {
		out[i] = float64(v)
	}
	return out
}
