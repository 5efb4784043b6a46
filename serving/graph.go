package serving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// graph is one graph of a loaded version: its session and the queue before it.
type graph struct {
	name    string
	session gpu.Session
	sig     gpu.Signature
	place   gpu.Placement
	inputs  []axes
	outputs []axes
	maxRows int
	maxCost int64 // rows × length of one run; 0 = no bound
	// apart says why items are not joined; empty when they are.
	apart string
	// whole says that axis 0 is no batch axis: an item is never cut or padded.
	whole bool
	// tokens is the input that holds token ids, -1 when there is none.
	tokens int
	// limits holds, by input, the number of rows that its elements pick from; 0 =
	// they pick from none.
	limits               []int64
	tally                tally
	responses            *responses // nil until the version is ready, and where none are kept
	version              int64      // of which responses are kept
	slots, maxQueuedRows int
	queue                *batch.Queue[[]tensor.Tensor, []tensor.Tensor]
	// Extents that runs are padded to; none = as they come.
	rowSteps, lengthSteps []int
}

// Rows of one run when the manifest leaves the choice to the server.
const (
	maxRowsHeavy   = 32   // sequences and pictures: more only costs cache
	maxRowsColumns = 1024 // rows of a table
	maxBatchTokens = 2048 // rows × length of one run
	smallGraph     = 1 << 20
)

// steps are the powers of two from low to high.
func steps(low, high int) (out []int) {
	for s := low; s <= high; s *= 2 {
		out = append(out, s)
	}
	return out
}

// newGraph makes the queue of a loaded session.
func newGraph(name string, m *bundlev1.Graph, g *bundle.Graph, s gpu.Session, p *pipeline.Pipeline, shared *devices) (*graph, error) {
	out := &graph{name: name, session: s, sig: s.Signature(), place: s.Placement()}
	out.apart = apart(m, g)
	out.whole = noBatchAxis(m, g) != ""
	out.tokens = tokenInput(p.Bundle(), name, out.sig)
	columns := true
	for _, v := range out.sig.Inputs {
		port := m.GetInputs()[v.Name]
		a := axes{sequence: -1, pad: port.GetPadValue()}
		if port.GetPadValue() == 0 {
			a.pad = p.PadValue(v.Name)
		}
		if port != nil && port.SequenceAxis != nil {
			a.sequence = int(port.GetSequenceAxis())
		}
		if a.sequence == 0 || a.sequence >= len(v.Shape) && v.Shape != nil {
			return nil, fmt.Errorf("%w: graphs[%q].inputs[%q].sequence_axis: is not an axis after the first", bundle.ErrInvalid, name, v.Name)
		}
		limit := int64(0)
		if in, ok := g.Input(v.Name); ok {
			limit = in.Limit
		}
		if vocabulary := int64(p.Vocabulary()); len(out.inputs) == out.tokens && (limit == 0 || vocabulary < limit) {
			limit = vocabulary
		}
		out.limits = append(out.limits, limit)
		if len(v.Shape) > 2 || a.sequence >= 0 || (len(v.Shape) == 2 && v.Shape[1] < 0) {
			columns = false
		}
		out.inputs = append(out.inputs, a)
	}
	for _, v := range out.sig.Outputs {
		port := m.GetOutputs()[v.Name]
		a := axes{sequence: -1}
		if port != nil && port.SequenceAxis != nil {
			a.sequence = int(port.GetSequenceAxis())
		}
		out.outputs = append(out.outputs, a)
	}
	out.maxRows = int(m.GetBatching().GetMaxRows())
	if out.maxRows == 0 {
		out.maxRows = maxRowsHeavy
		if columns {
			out.maxRows = maxRowsColumns
		}
	}
	if out.apart != "" {
		out.maxRows = 1
	}
	// A small graph runs on one thread, as many runs side by side as there are
	// processors; a large one uses them all for one run.
	slots := 1
	if out.place.Threads == 1 {
		slots = runtime.GOMAXPROCS(0)
	}
	cfg := batch.Config{
		Slots:         slots,
		MaxRows:       out.maxRows,
		MaxQueuedRows: max(4096, 16*out.maxRows),
		Window:        m.GetBatching().GetWindow().AsDuration(),
	}
	if out.apart != "" {
		cfg.MaxItems = 1
	}
	longest := int(p.Bundle().Manifest.GetText().GetMaxLength())
	if !columns {
		out.maxCost = int64(max(maxBatchTokens, longest))
		cfg.MaxCost = out.maxCost
	}
	if out.place.Provider == gpu.OpenVINO {
		// It compiles a graph for every shape that it meets, so it gets few.
		if out.apart == "" {
			cfg.RowSteps = steps(1, out.maxRows)
		}
		if longest > 0 {
			// Never beyond what the model has positions for.
			cfg.LengthSteps = append(steps(8, longest-1), longest)
		}
		cfg.LockThreads = true
	}
	out.rowSteps, out.lengthSteps = cfg.RowSteps, cfg.LengthSteps
	out.slots, out.maxQueuedRows = cfg.Slots, cfg.MaxQueuedRows
	cfg.Device, cfg.Width = shared.share(out.place, cfg.Slots)
	var err error
	if out.queue, err = batch.New(cfg, out.run); err != nil {
		return nil, err
	}
	return out, nil
}

// apart says why items of this graph may not be joined.
func apart(m *bundlev1.Graph, g *bundle.Graph) string {
	if m.GetBatching().GetMaxRows() == 1 {
		return "the manifest says max_rows: 1"
	}
	if reason := noBatchAxis(m, g); reason != "" {
		return reason
	}
	if op := g.Drift(); op != "" && !m.GetBatching().GetAllowBatchDrift() {
		return op + " makes an answer depend on its neighbours (allow_batch_drift accepts that)"
	}
	return ""
}

// noBatchAxis says why axis 0 of this graph's values is no batch axis; empty
// when it is one.
func noBatchAxis(m *bundlev1.Graph, g *bundle.Graph) string {
	why := func(v bundle.Value, port *bundlev1.Port) string {
		switch {
		case port.GetBatchAxis() != 0:
			return fmt.Sprintf("the batch axis of %q is not 0", v.Name)
		case v.Shape != nil && len(v.Shape) == 0:
			return fmt.Sprintf("%q is a scalar", v.Name)
		case v.Shape != nil && v.Shape[0] >= 0:
			return fmt.Sprintf("axis 0 of %q is fixed at %d", v.Name, v.Shape[0])
		}
		return ""
	}
	for _, v := range g.Inputs {
		if v.Shape == nil {
			return fmt.Sprintf("the graph declares no shape for %q", v.Name)
		}
		if reason := why(v, m.GetInputs()[v.Name]); reason != "" {
			return reason
		}
	}
	for _, v := range g.Outputs {
		if reason := why(v, m.GetOutputs()[v.Name]); reason != "" {
			return reason
		}
	}
	return ""
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

// itemsFault tells whether an error may be the fault of one item.
func itemsFault(err error) bool {
	return errors.Is(err, gpu.ErrInput) || errors.Is(err, gpu.ErrRun)
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
	if g.maxCost == 0 || length*int64(g.maxRows) <= g.maxCost {
		return g.maxRows
	}
	return int(max(g.maxCost/length, 1))
}

// check refuses inputs that the graph cannot take before they are queued.
func (g *graph) check(inputs []tensor.Tensor) error { return g.sig.Check(inputs) }

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

// precisionName is how answers name a precision.
func precisionName(p gpu.Precision) string {
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
