package serving

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/tensor"
)

// Errors of calls with tensors.
var (
	// ErrNoGraph answers calls for a graph that the bundle does not have.
	ErrNoGraph = errors.New("the bundle has no such graph")
	// ErrManyGraphs answers calls that name no graph of a bundle of several.
	ErrManyGraphs = errors.New("the bundle has several graphs, so the call must name one")
)

// Graph is one graph of a loaded version, for calls that bring tensors of
// their own. It is valid as long as its version.
type Graph struct {
	version *Version
	graph   *graph
}

// Graph returns the graph of that name, or the only one when name is empty.
// Errors wrap ErrNoGraph or ErrManyGraphs.
func (v *Version) Graph(name string) (Graph, error) {
	if name == "" && len(v.steps) == 1 {
		return Graph{v, v.steps[0].graph}, nil
	}
	if g := v.graphs[name]; g != nil {
		return Graph{v, g}, nil
	}
	names := make([]string, len(v.steps))
	for i, s := range v.steps {
		names[i] = s.graph.name
	}
	err := ErrNoGraph
	if name == "" && len(names) > 0 {
		err = ErrManyGraphs
	}
	if len(names) == 0 {
		names = []string{"none"}
	}
	return Graph{}, fmt.Errorf("%w: %s has %s", err, v.id.Model, strings.Join(names, ", "))
}

// TensorGraphs returns all graphs in the order in which they run.
func (v *Version) TensorGraphs() []Graph {
	out := make([]Graph, len(v.steps))
	for i, s := range v.steps {
		out[i] = Graph{v, s.graph}
	}
	return out
}

// Name returns the graph's name in the manifest.
func (g Graph) Name() string { return g.graph.name }

// Signature returns the inputs in the graph's order and the outputs that are
// computed: all of a bundle without heads, else those that the bundle reads.
func (g Graph) Signature() gpu.Signature { return g.graph.sig }

// Placement says where the graph runs.
func (g Graph) Placement() gpu.Placement { return g.graph.place }

// MaxRows returns how many rows one run takes, 0 when calls are not joined.
func (g Graph) MaxRows() int {
	if g.graph.apart != "" {
		return 0
	}
	return g.graph.maxRows
}

// Slots returns how many runs are side by side.
func (g Graph) Slots() int { return g.graph.slots }

// MaxQueuedRows returns how many rows may wait.
func (g Graph) MaxQueuedRows() int { return g.graph.maxQueuedRows }

// Window returns how long a call waits for others while the device is idle.
func (g Graph) Window() time.Duration {
	return g.version.bundle.Manifest.GetGraphs()[g.graph.name].GetBatching().GetWindow().AsDuration()
}

// Tally returns what the graph has done.
func (g Graph) Tally() Tally { return g.graph.tally.read() }

// Infer runs the graph on inputs in the signature's order and returns the
// outputs in the signature's order. Where calls are joined axis 0 of every
// input is the batch axis; a call of more rows than one run takes is run in
// parts. Priority and tenant come from WithCall. Inputs must not be changed
// after Infer has returned early because ctx ended. Errors are a
// *pipeline.InputError, or wrap those of gpu and batch.
func (g Graph) Infer(ctx context.Context, inputs []tensor.Tensor) ([]tensor.Tensor, error) {
	if err := g.graph.checkCall(inputs, g.version.pipeline); err != nil {
		return nil, err
	}
	start := time.Now()
	r := g.graph.do(ctx, CallOf(ctx), [][]tensor.Tensor{inputs})[0]
	if r.Err == nil && len(r.Value) != len(g.graph.sig.Outputs) {
		r.Err = fmt.Errorf("%w: %d outputs, want %d", gpu.ErrRun, len(r.Value), len(g.graph.sig.Outputs))
	}
	if m := g.version.meter; m != nil {
		m.Item(g.graph.requestRows(inputs), Times{Queue: r.Queue, Compute: r.Compute, Total: time.Since(start)}, r.Err)
	}
	return r.Value, r.Err
}

// checkCall refuses tensors that the graph cannot take: what preprocessing
// promises of typed items, a caller's own tensors may break.
func (g *graph) checkCall(inputs []tensor.Tensor, p *pipeline.Pipeline) error {
	if err := g.check(inputs); err != nil {
		return err
	}
	bad := func(i int, part, reason, format string, args ...any) error {
		return &pipeline.InputError{
			Field:  fmt.Sprintf("inputs[%q].%s", g.sig.Inputs[i].Name, part),
			Reason: reason, Message: fmt.Sprintf(format, args...),
		}
	}
	// A device may not check its indices, so a bad one must not get there.
	for i, limit := range g.limits {
		if limit == 0 {
			continue
		}
		if at := outside(inputs[i], limit); at >= 0 {
			if i == g.tokens || g.sig.Inputs[i].Name == "input_ids" {
				return bad(i, "contents", "TOKEN_UNKNOWN", "element %d is no token id: the vocabulary has %d", at, limit)
			}
			return bad(i, "contents", "INPUT_RANGE", "element %d is not from 0 to %d, the rows of the table that it picks from", at, limit-1)
		}
	}
	if g.whole {
		return nil
	}
	rows, length, first := int64(0), int64(-1), 0
	for i, t := range inputs { // every rank is ≥ 1 here
		switch {
		case t.Shape[0] == 0:
			return bad(i, "shape", "INPUT_SHAPE", "%v has no row: axis 0 is the batch axis", t.Shape)
		case i == 0:
			rows = t.Shape[0]
		case t.Shape[0] != rows:
			return bad(i, "shape", "INPUT_SHAPE", "%v has %d rows, %q has %d", t.Shape, t.Shape[0], g.sig.Inputs[0].Name, rows)
		}
		s := g.inputs[i].sequence
		if s < 0 {
			continue
		}
		switch {
		case s >= len(t.Shape):
			return bad(i, "shape", "INPUT_SHAPE", "%v has no axis %d, which is the sequence axis", t.Shape, s)
		case length < 0:
			length, first = t.Shape[s], i
		case t.Shape[s] != length:
			return bad(i, "shape", "INPUT_SHAPE", "%v has %d elements in sequence, %q has %d", t.Shape, t.Shape[s], g.sig.Inputs[first].Name, length)
		}
	}
	if length == 0 {
		return bad(first, "shape", "INPUT_SHAPE", "%v has no element in sequence", inputs[first].Shape)
	}
	if g.tokens < 0 {
		return nil
	}
	if longest := int64(p.Bundle().Manifest.GetText().GetMaxLength()); length > longest {
		return bad(first, "shape", "INPUT_TOO_LONG", "%v has %d tokens, the model takes %d", inputs[first].Shape, length, longest)
	}
	return nil
}

// outside returns the first element that is not in [0, limit), -1 when all are.
func outside(t tensor.Tensor, limit int64) int {
	switch t.DType {
	case tensor.Int32:
		return slices.IndexFunc(tensor.View[int32](t), func(v int32) bool { return v < 0 || int64(v) >= limit })
	case tensor.Int64:
		return slices.IndexFunc(tensor.View[int64](t), func(v int64) bool { return v < 0 || v >= limit })
	}
	return -1
}

// tokenInput returns the place of the input that preprocessing feeds with
// token ids, -1 when there is none.
func tokenInput(b *bundle.Bundle, graph string, sig gpu.Signature) int {
	if b.Manifest.GetText() == nil {
		return -1
	}
	ids, _, _ := b.TextInputs()
	for _, s := range b.Steps {
		if s.Graph != graph {
			continue
		}
		for _, f := range s.Feeds {
			if f.Input == ids && f.Source == (bundle.Source{}) {
				return slices.IndexFunc(sig.Inputs, func(v gpu.Value) bool { return v.Name == ids })
			}
		}
	}
	return -1
}
