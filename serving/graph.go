package serving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/gpu"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// graph is one graph of a loaded version: its session and the queue before it.
type graph struct {
	form
	session              gpu.Session
	place                gpu.Placement
	plan                 Plan
	maxRows              int
	maxCost              int64 // rows × length of one run; 0 = no bound
	tally                tally
	responses            *responses // nil until the version is ready, and where none are kept
	version              int64      // of which responses are kept
	slots, maxQueuedRows int
	queue                *batch.Queue[[]tensor.Tensor, []tensor.Tensor]
}

// newGraph makes the queue of a loaded session, as its plan says.
func newGraph(f form, s gpu.Session, p Plan, shared *devices) (*graph, error) {
	out := &graph{
		form: f, session: s, place: s.Placement(), plan: p,
		maxRows: p.MaxRows, maxCost: int64(p.MaxCells), slots: p.Runs, maxQueuedRows: max(4096, 16*p.MaxRows),
	}
	out.apart = p.Apart
	if out.place.FallbackReason == "" {
		out.place.FallbackReason = p.Fallback
	}
	cfg := batch.Config{
		Slots: p.Runs, MaxRows: p.MaxRows, MaxCost: int64(p.MaxCells), MaxCells: p.MaxCells,
		RowSteps: p.RowSteps, LengthSteps: p.LengthSteps, MaxQueuedRows: out.maxQueuedRows,
		Window: f.batching.GetWindow().AsDuration(), LockThreads: p.Provider == gpu.OpenVINO, Costs: p.Costs,
	}
	if p.Apart != "" {
		cfg.MaxItems = 1
	}
	if p.Unpadded != "" {
		cfg.MaxPadding = -1
	}
	cfg.Device, cfg.Width = shared.share(out.place, cfg.Slots)
	var err error
	out.queue, err = batch.New(cfg, out.run)
	return out, err
}

// run computes one batch and counts it. It is the queue's RunFunc.
func (g *graph) run(ctx context.Context, b *batch.Batch[[]tensor.Tensor, []tensor.Tensor]) error {
	start := time.Now()
	joined, err := g.join(b)
	if err != nil {
		return err
	}
	entered := time.Now()
	outputs, err := g.session.Run(ctx, joined)
	if err != nil {
		if errors.Is(err, gpu.ErrOutOfMemory) {
			err = fmt.Errorf("%w: %w", ErrNoRoom, err)
		}
		if len(b.Items) > 1 && !itemsFault(err) {
			// The device is at fault: running again one by one would only
			// hold everybody up.
			for i := range b.Errs {
				b.Errs[i] = err
			}
			return nil
		}
		return err
	}
	left := time.Now()
	if err := g.split(b, outputs); err != nil {
		return err
	}
	g.tally.ran(g, b, RunTimes{Input: entered.Sub(start), Infer: left.Sub(entered), Output: time.Since(left)})
	return nil
}

// alone tells whether a run is of one item as it came: nothing to join, to pad
// or to cut.
func (g *graph) alone(b *batch.Batch[[]tensor.Tensor, []tensor.Tensor]) bool {
	if len(b.Items) != 1 || b.Shape.Rows != b.Rows {
		return false
	}
	for i, t := range b.Items[0] {
		if s := g.inputs[i].sequence; s >= 0 && s < len(t.Shape) && t.Shape[s] != int64(b.Shape.Length) {
			return false
		}
	}
	return true
}

// join lays the items' inputs into one run's.
func (g *graph) join(b *batch.Batch[[]tensor.Tensor, []tensor.Tensor]) ([]tensor.Tensor, error) {
	if g.whole || g.alone(b) {
		return b.Items[0], nil
	}
	joined := make([]tensor.Tensor, len(g.inputs))
	parts := make([]tensor.Tensor, len(b.Items))
	for i, port := range g.inputs {
		for k, item := range b.Items {
			parts[k] = item[i]
		}
		var err error
		if joined[i], err = join(parts, port, b.Shape.Rows, b.Shape.Length); err != nil {
			return nil, err
		}
	}
	return joined, nil
}

// split gives every item its part of a run's outputs.
func (g *graph) split(b *batch.Batch[[]tensor.Tensor, []tensor.Tensor], outputs []tensor.Tensor) error {
	if g.whole || g.alone(b) {
		b.Outputs[0] = outputs
		return nil
	}
	for i, out := range outputs {
		if len(out.Shape) == 0 || out.Shape[0] != int64(b.Shape.Rows) {
			return fmt.Errorf("%w: output %q has shape %v for %d rows", gpu.ErrRun, g.sig.Outputs[i].Name, out.Shape, b.Shape.Rows)
		}
	}
	from := 0
	for k, item := range b.Items {
		rows := rowsOf(item)
		length := lengthOf(item, g.inputs)
		mine := make([]tensor.Tensor, len(outputs))
		for i, out := range outputs {
			var err error
			if mine[i], err = split(out, g.outputs[i], from, rows, length); err != nil {
				return err
			}
		}
		b.Outputs[k] = mine
		from += rows
	}
	return nil
}

// ErrNoRoom is wrapped by the error of a run whose intermediate values do not
// fit into what the device's memory has left beside the weights. The error says
// who holds it, where that is known (gpu.MemoryError).
var ErrNoRoom = errors.New("the run does not fit into the device's memory")

// itemsFault tells whether an error may be the fault of one item: what does not
// fit together may fit alone.
func itemsFault(err error) bool {
	return errors.Is(err, gpu.ErrInput) || errors.Is(err, gpu.ErrRun) || errors.Is(err, ErrNoRoom)
}

func rowsOf(inputs []tensor.Tensor) int {
	for _, t := range inputs {
		if len(t.Shape) > 0 {
			return int(t.Shape[0])
		}
	}
	return 1
}

// requestRows is how many rows a request brings: 1 where axis 0 is no batch
// axis.
func (g *graph) requestRows(inputs []tensor.Tensor) int {
	if g.whole {
		return 1
	}
	return rowsOf(inputs)
}

// item wraps inputs for the queue.
func (g *graph) item(inputs []tensor.Tensor) batch.Item[[]tensor.Tensor] {
	if g.whole {
		return batch.Item[[]tensor.Tensor]{Value: inputs}
	}
	it := batch.Item[[]tensor.Tensor]{
		Value:  inputs,
		Rows:   max(rowsOf(inputs), 1),
		Length: lengthOf(inputs, g.inputs),
		Kind:   kindOf(inputs, g.inputs),
	}
	if g.maxCost > 0 {
		// One row that is longer than a usual run runs alone.
		it.Cost = min(int64(it.Rows)*int64(max(it.Length, 1)), g.maxCost)
	}
	return it
}

// rowsPerRun is how many rows of an item one run takes.
func (g *graph) rowsPerRun(inputs []tensor.Tensor) int {
	if g.whole {
		return math.MaxInt
	}
	length := int64(max(lengthOf(inputs, g.inputs), 1))
	most := g.maxRows
	if g.maxCost > 0 {
		most = min(most, int(max(g.maxCost/length, 1)))
	}
	// Padded to a step, a part must not be larger than the bound either.
	for i, step := range g.plan.RowSteps {
		if step > most && i > 0 {
			return g.plan.RowSteps[i-1]
		}
	}
	return most
}

// check refuses inputs that the graph cannot take before they are queued.
func (g *graph) check(inputs []tensor.Tensor) error {
	if err := g.sig.Check(inputs); err != nil {
		return err
	}
	return g.plan.within(&g.form, inputs)
}

// do answers the inputs of many items with outputs, errors and times in their
// order.
func (g *graph) do(ctx context.Context, call batch.Call, inputs [][]tensor.Tensor) []batch.Result[[]tensor.Tensor] {
	if g.responses != nil {
		return g.cached(ctx, call, inputs)
	}
	return g.compute(ctx, call, inputs)
}

// compute does so by runs. An item of more rows than one run holds is cut and
// put together again.
func (g *graph) compute(ctx context.Context, call batch.Call, inputs [][]tensor.Tensor) []batch.Result[[]tensor.Tensor] {
	items := make([]batch.Item[[]tensor.Tensor], 0, len(inputs))
	var pieces []int // pieces[i] is the number of parts of item i; nil when all are 1
	for i, in := range inputs {
		rows, most := rowsOf(in), g.rowsPerRun(in)
		if rows <= most {
			items = append(items, g.item(in))
			continue
		}
		if pieces == nil {
			pieces = make([]int, len(inputs))
			for k := range pieces {
				pieces[k] = 1
			}
		}
		pieces[i] = 0
		for from := 0; from < rows; from += most {
			part := make([]tensor.Tensor, len(in))
			for k, t := range in {
				part[k] = t
				if len(t.Shape) > 0 {
					// The bounds hold by construction.
					part[k], _ = t.Slice(int64(from), int64(min(from+most, rows)))
				}
			}
			items = append(items, g.item(part))
			pieces[i]++
		}
	}
	start := time.Now()
	results := g.queue.Do(ctx, call, items)
	if pieces != nil {
		joined := make([]batch.Result[[]tensor.Tensor], len(inputs))
		at := 0
		for i, n := range pieces {
			joined[i] = together(results[at : at+n])
			at += n
		}
		results = joined
	}
	g.tally.answered(g, inputs, results, time.Since(start))
	return results
}

// together puts the results of an item's parts into one.
func together(parts []batch.Result[[]tensor.Tensor]) batch.Result[[]tensor.Tensor] {
	out := parts[0]
	for _, p := range parts[1:] {
		if p.Err != nil && out.Err == nil {
			out.Err = p.Err
		}
		out.Queue = max(out.Queue, p.Queue)
		out.Compute += p.Compute
		out.Rows = max(out.Rows, p.Rows)
	}
	if out.Err != nil || len(parts) == 1 {
		return out
	}
	out.Value = make([]tensor.Tensor, len(parts[0].Value))
	for i := range out.Value {
		tensors := make([]tensor.Tensor, len(parts))
		for k, p := range parts {
			tensors[k] = p.Value[i]
		}
		if out.Value[i], out.Err = tensor.Concat(tensors...); out.Err != nil {
			return out
		}
	}
	return out
}

// close ends the queue, then frees the session.
func (g *graph) close() error {
	if g.queue != nil {
		g.queue.Close()
	}
	return g.session.Close()
}

// PrecisionName is how answers name a precision, such as "fp32".
func PrecisionName(p gpu.Precision) string {
	switch p {
	case gpu.TF32:
		return "tf32"
	case gpu.BF16:
		return "bf16"
	}
	return "fp32"
}

// precisionOf is how manifests name it.
func precisionOf(p gpu.Precision) bundlev1.Precision {
	switch p {
	case gpu.TF32:
		return bundlev1.Precision_PRECISION_TF32
	case gpu.BF16:
		return bundlev1.Precision_PRECISION_BF16
	}
	return bundlev1.Precision_PRECISION_FP32
}
