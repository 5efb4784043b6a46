package serving

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// Version is a bundle in memory: its graphs on their devices, each behind a
// queue. It is safe for concurrent use.
type Version struct {
	id       pipeline.Identity
	bundle   *bundle.Bundle
	pipeline *pipeline.Pipeline
	graphs   map[string]*graph
	steps    []step
	index    map[bundle.Source]int // of what answers carry
	inputs   int                   // tensors that an item brings
	main     *graph                // the one with the most weights; nil without graphs, when nothing is run
	verified Verification
	loaded   time.Time
	meter    Meter
}

// step is one graph's run with its feeds by place: in an item's inputs, or in
// the outputs of earlier steps.
type step struct {
	graph *graph
	crop  bool // takes parts of pictures: RunCrops runs it, Run does not
	feeds []feed
	// gives are the places of this step's outputs among an answer's values.
	gives []int
}

type feed struct {
	input  int // place among the item's inputs, -1 when from is used
	source int // place among the answer's values
}

// Verification is what the golden samples found.
type Verification struct {
	Samples       int
	MaxDifference float64
	Output        string // "GRAPH.OUTPUT"
	Precision     string
}

// Recorder makes the meters of versions. A nil Recorder is allowed.
type Recorder interface {
	// Meter is called once for each version that is loaded.
	Meter(id pipeline.Identity) Meter
}

// Meter hears of every answered item of one version.
type Meter interface {
	// Item is called once for each item, a text, a picture or some rows, with
	// its error if it failed.
	Item(rows int, took Times, err error)
}

// Times are the parts of an item's way.
type Times struct {
	Prepared time.Duration // tokenising or decoding; 0 for calls with tensors
	Queue    time.Duration // in queues
	Compute  time.Duration // of the runs that it was part of
	Total    time.Duration // from the start of its preparation to its answer
}

// Stage is how far a version is on its way into memory.
type Stage int

// The stages in their order.
const (
	Preparing Stage = iota + 1
	Loading
	Checking
	Ready
	Failed
	Unloaded
)

// Progress is one step of loading.
type Progress struct {
	Stage    Stage
	Message  string
	Fraction float64 // 0 to 1
}

// LoadOptions say how a bundle is loaded.
type LoadOptions struct {
	Loader gpu.Loader
	Limits pipeline.Limits
	// Device forces every graph onto one device, such as "cpu" in a probe.
	Device string
	// Cold leaves out the first runs: nobody is going to call.
	Cold bool
	// Planner measures how each graph is served best. Nil, or with Device or
	// Cold, it is placed by rules.
	Planner  *Planner
	Recorder Recorder
	// Progress hears of the stages; may be nil.
	Progress func(Progress)

	devices   *devices   // shared with other versions; nil in a probe
	responses *responses // of the model; nil where none are kept
}

// Load reads a bundle's directory, places its graphs, runs its golden samples
// and warms it. On failure nothing is left behind. Errors wrap those of bundle,
// gpu and pipeline, or ErrGolden.
func Load(ctx context.Context, id pipeline.Identity, dir string, opts LoadOptions) (_ *Version, err error) {
	report := opts.Progress
	if report == nil {
		report = func(Progress) {}
	}
	report(Progress{Stage: Preparing, Message: "reading the bundle"})
	b, err := bundle.Open(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	p, err := pipeline.New(b, opts.Limits)
	if err != nil {
		return nil, err
	}
	goldens, err := b.Goldens()
	if err != nil {
		return nil, err
	}
	l := &loading{id: id, dir: dir, opts: opts, bundle: b, pipeline: p, goldens: goldens, report: report}
	v := &Version{id: id, bundle: b, pipeline: p, graphs: map[string]*graph{}}
	defer func() {
		if err != nil {
			_ = v.Close()
		}
	}()
	for i, s := range b.Steps {
		report(Progress{Stage: Loading, Message: "graph " + s.Graph, Fraction: 0.1 + 0.5*float64(i)/float64(len(b.Steps))})
		g, err := l.place(ctx, v, s.Graph)
		if err != nil {
			return nil, fmt.Errorf("graph %s: %w", s.Graph, err)
		}
		v.graphs[s.Graph] = g
	}
	if err := v.wire(); err != nil {
		return nil, err
	}
	report(Progress{Stage: Checking, Message: fmt.Sprintf("%d golden samples", len(goldens)), Fraction: 0.9})
	if err := l.verify(ctx, v); err != nil {
		return nil, err
	}
	v.loaded = time.Now()
	if opts.Recorder != nil { // from here on: goldens and warm-up are nobody's items
		v.meter = opts.Recorder.Meter(id)
	}
	for _, g := range v.graphs {
		g.tally.reset()
		g.responses, g.version = opts.responses, id.Version
	}
	report(Progress{Stage: Ready, Fraction: 1})
	return v, nil
}

// wire resolves every feed to a place, so that a request looks up no name.
func (v *Version) wire() error {
	v.index = map[bundle.Source]int{}
	v.steps = nil
	inputs := v.bundle.Inputs()
	v.inputs = len(inputs)
	place := map[string]int{}
	for i, in := range inputs {
		place[in.Name] = i
	}
	for _, s := range v.bundle.Steps {
		g := v.graphs[s.Graph]
		st := step{graph: g}
		byInput := map[string]bundle.Feed{}
		for _, f := range s.Feeds {
			byInput[f.Input] = f
		}
		for _, in := range g.sig.Inputs {
			f, ok := byInput[in.Name]
			if !ok {
				return fmt.Errorf("%w: graph %s has an input %q that the file does not declare", bundle.ErrGraph, s.Graph, in.Name)
			}
			if s.Crop != nil {
				st.feeds = append(st.feeds, feed{input: 0, source: -1})
				continue
			}
			if f.Source == (bundle.Source{}) {
				st.feeds = append(st.feeds, feed{input: place[in.Name], source: -1})
				continue
			}
			at, ok := v.index[f.Source]
			if !ok {
				return fmt.Errorf("%w: %s is not computed", bundle.ErrInvalid, f.Source)
			}
			st.feeds = append(st.feeds, feed{input: -1, source: at})
		}
		for _, out := range g.sig.Outputs {
			at := len(v.index)
			v.index[bundle.Source{Graph: s.Graph, Output: out.Name}] = at
			st.gives = append(st.gives, at)
		}
		st.crop = s.Crop != nil
		v.steps = append(v.steps, st)
		if st.crop {
			continue // calls are admitted before a graph that all run
		}
		if v.main == nil || v.bundle.Graphs[g.name].WeightBytes > v.bundle.Graphs[v.main.name].WeightBytes {
			v.main = g
		}
	}
	return nil
}

// wanted are the outputs of a graph that somebody reads: heads, later steps
// and golden samples. A bundle without heads gives all, for tensor calls.
func wanted(b *bundle.Bundle, goldens []*bundlev1.Golden, graph string) []string {
	if len(b.Manifest.GetHeads()) == 0 {
		return nil
	}
	seen := map[string]bool{}
	add := func(s string) {
		if src, err := bundle.ParseSource(s); err == nil && src.Graph == graph {
			seen[src.Output] = true
		}
	}
	for _, h := range b.Manifest.GetHeads() {
		for _, s := range bundle.Reads(h) {
			add(s)
		}
	}
	for _, s := range b.Steps {
		for _, f := range s.Feeds {
			if f.Source.Graph == graph {
				seen[f.Source.Output] = true
			}
		}
	}
	for _, g := range goldens {
		for out := range g.GetOutputs() {
			add(out)
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Bundle returns what is served.
func (v *Version) Bundle() *bundle.Bundle { return v.bundle }

// Pipeline returns the preprocessing of items.
func (v *Version) Pipeline() *pipeline.Pipeline { return v.pipeline }

// Identity returns the model's name and the version's number.
func (v *Version) Identity() pipeline.Identity { return v.id }

// Verification returns what the golden samples found.
func (v *Version) Verification() Verification { return v.verified }

// callKey carries a batch.Call in a context.
type callKey struct{}

// WithCall says on whose behalf the runs of this context are.
func WithCall(ctx context.Context, c batch.Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallOf returns what WithCall said; the zero Call when it was not called.
func CallOf(ctx context.Context) batch.Call {
	c, _ := ctx.Value(callKey{}).(batch.Call)
	return c
}

// Yielding returns a context whose runs give way to those of other calls, and
// whose items are not metered.
func (v *Version) Yielding(ctx context.Context) context.Context {
	call := CallOf(ctx)
	call.Priority = yielding
	return WithCall(ctx, call)
}

// yielding is the priority below every one that callers can ask for.
const yielding = -1000

// Run runs items through the graphs. answers[i] belongs to items[i]; an item's
// error never touches its neighbours. Priority and tenant come from WithCall.
func (v *Version) Run(ctx context.Context, items []pipeline.Item) []pipeline.Answer {
	call, start := CallOf(ctx), time.Now()
	answers := make([]pipeline.Answer, len(items))
	values := make([]tensor.Tensor, len(items)*len(v.index))
	live := make([]int, 0, len(items))
	for i := range items {
		a := &answers[i]
		a.Outputs = pipeline.Outputs{Index: v.index, Values: values[i*len(v.index) : (i+1)*len(v.index)]}
		a.Stats = pipeline.Stats{
			Device: v.main.place.Device, Provider: v.main.place.Provider,
			Precision: PrecisionName(v.main.place.Precision), Fallback: v.main.place.FallbackReason,
		}
		if len(items[i].Inputs) != v.inputs {
			a.Err = fmt.Errorf("%w: %d tensors for %d inputs", gpu.ErrInput, len(items[i].Inputs), v.inputs)
			continue
		}
		live = append(live, i)
	}
	for k := range v.steps {
		if v.steps[k].crop {
			continue
		}
		live = v.runStep(ctx, call, &v.steps[k], items, answers, live)
	}
	took := time.Since(start)
	for i := range answers {
		a := &answers[i]
		if a.Err != nil {
			a.Outputs = pipeline.Outputs{}
		}
		if v.meter != nil && call.Priority != yielding { // a mixed row is nobody's item
			v.meter.Item(max(items[i].Rows, 1), Times{
				Prepared: items[i].Prepared, Queue: a.Stats.Queue, Compute: a.Stats.Compute, Total: items[i].Prepared + took,
			}, a.Err)
		}
	}
	return answers
}

// RunCrops runs a graph that takes parts of pictures on some, which its queue
// batches with those of other calls. answers[i] belongs to items[i]; they are
// not metered, since they belong to pictures that are.
func (v *Version) RunCrops(ctx context.Context, graph string, items []pipeline.Item) []pipeline.Answer {
	answers := make([]pipeline.Answer, len(items))
	values := make([]tensor.Tensor, len(items)*len(v.index))
	live := make([]int, 0, len(items))
	k := slices.IndexFunc(v.steps, func(s step) bool { return s.crop && s.graph.name == graph })
	for i := range items {
		a := &answers[i]
		a.Outputs = pipeline.Outputs{Index: v.index, Values: values[i*len(v.index) : (i+1)*len(v.index)]}
		if k < 0 || len(items[i].Inputs) != 1 {
			a.Err = fmt.Errorf("%w: graph %q takes no crop of %d tensors", gpu.ErrInput, graph, len(items[i].Inputs))
			continue
		}
		live = append(live, i)
	}
	if len(live) > 0 {
		v.runStep(ctx, CallOf(ctx), &v.steps[k], items, answers, live)
	}
	for i := range answers {
		if answers[i].Err != nil {
			answers[i].Outputs = pipeline.Outputs{}
		}
	}
	return answers
}

// Admit reports the error with which the queue of the main graph would refuse
// so many rows of that cost (tokens where the graph has a sequence axis; 0:
// rows) at this moment, nil if it would not. It lets a task refuse a hopeless
// request before it prepares it. Priority and tenant come from WithCall.
func (v *Version) Admit(ctx context.Context, rows int, cost int64) error {
	g := v.main
	n := min(rows, g.maxQueuedRows)
	if n < 1 {
		return nil
	}
	it := batch.Item[[]tensor.Tensor]{Rows: 1}
	if g.sequence {
		it.Length = int(max(cost/int64(rows), 1))
	}
	if g.maxCost > 0 {
		it.Cost = min(int64(max(it.Length, 1)), g.maxCost)
	}
	return g.queue.Check(ctx, CallOf(ctx), it, n)
}

// runStep runs one graph for the items that are still live and returns those
// that remain so.
func (v *Version) runStep(ctx context.Context, call batch.Call, s *step, items []pipeline.Item, answers []pipeline.Answer, live []int) []int {
	inputs := make([][]tensor.Tensor, 0, len(live))
	kept := live[:0]
	flat := make([]tensor.Tensor, len(live)*len(s.feeds))
	for _, i := range live {
		in := flat[:len(s.feeds):len(s.feeds)]
		flat = flat[len(s.feeds):]
		for k, f := range s.feeds {
			if f.input >= 0 {
				in[k] = items[i].Inputs[f.input]
			} else {
				in[k] = answers[i].Outputs.Values[f.source]
			}
		}
		if err := s.graph.check(in); err != nil {
			answers[i].Err = err
			continue
		}
		inputs = append(inputs, in)
		kept = append(kept, i)
	}
	if len(kept) == 0 {
		return kept
	}
	results := s.graph.do(ctx, call, inputs)
	remain := kept[:0]
	for k, i := range kept {
		a, r := &answers[i], &results[k]
		a.Stats.Queue += r.Queue
		a.Stats.Compute += r.Compute
		if s.graph == v.main {
			a.Stats.BatchRows = r.Rows
		}
		if r.Err == nil && len(r.Value) != len(s.gives) {
			r.Err = fmt.Errorf("%w: %d outputs, want %d", gpu.ErrRun, len(r.Value), len(s.gives))
		}
		if r.Err != nil {
			a.Err = r.Err
			continue
		}
		for o, at := range s.gives {
			a.Outputs.Values[at] = r.Value[o]
		}
		remain = append(remain, i)
	}
	return remain
}

// Drain lets what waits finish and refuses what comes.
func (v *Version) Drain(ctx context.Context) error {
	for _, s := range v.steps {
		if err := s.graph.queue.Drain(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close fails what still waits and frees the memory.
func (v *Version) Close() error {
	var errs []error
	for _, g := range v.graphs {
		errs = append(errs, g.close())
	}
	return errors.Join(errs...)
}
