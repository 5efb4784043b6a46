package serving

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/tensor"
)

// Tally counts what a graph has done since its version was loaded. A request
// is one item of a typed call, or one call with tensors.
type Tally struct {
	// Last is when the last request ended; zero when there was none.
	Last time.Time
	// Succeeded and Failed requests; refused ones have failed.
	Succeeded, Failed int64
	// Hits are those of the requests that were answered without a run of their
	// own, because the same had been asked before.
	Hits int64
	// Rows of the requests that succeeded.
	Rows int64
	// Success and Failure are the times from the queue's entrance to the
	// answer, Queue the times in the queue of those that succeeded: each the
	// sum over requests.
	Success, Failure, Queue time.Duration
	// Times of the runs, summed over the requests that each run answered.
	Times RunTimes
	// Runs that gave answers, by their rows before padding.
	Runs map[int]RunTally
	// Waited are the times that the first item of each run waited for it.
	Waited Distribution
	// Cells are rows × length of the items of all runs, PaddedCells those of the
	// runs' shapes: 1 − Cells ÷ PaddedCells of the work is padding.
	Cells, PaddedCells int64
}

// Bounds are the upper bounds of a Distribution's classes, in seconds: from
// 50 µs on, since a lone row takes that little.
var Bounds = [...]float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// Distribution counts durations by Bounds; what is longer is in the last class.
type Distribution struct {
	Counts [len(Bounds) + 1]uint64
	Sum    time.Duration
}

func (d *Distribution) add(t time.Duration) {
	i, _ := slices.BinarySearch(Bounds[:], t.Seconds())
	d.Counts[i]++
	d.Sum += t
}

// RunTimes are the parts of a run.
type RunTimes struct {
	Input  time.Duration // joining and padding the inputs
	Infer  time.Duration // on the device
	Output time.Duration // cutting the outputs
}

func (t *RunTimes) add(u RunTimes, times int) {
	n := time.Duration(times)
	t.Input += n * u.Input
	t.Infer += n * u.Infer
	t.Output += n * u.Output
}

// RunTally counts runs of one size and sums up their times.
type RunTally struct {
	Runs  int64
	Times RunTimes
}

// tally is a Tally under way.
type tally struct {
	mu  sync.Mutex
	sum Tally // guarded by mu
}

// reset forgets what was counted while the version was loaded.
func (t *tally) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum = Tally{}
}

// ran counts a run.
func (t *tally) ran(g *graph, b *batch.Batch[[]tensor.Tensor, []tensor.Tensor], took RunTimes) {
	rows, items, cells := b.Rows, len(b.Items), 0
	for _, item := range b.Items {
		if g.whole {
			cells++ // as the queue counts it
			continue
		}
		cells += max(rowsOf(item), 1) * max(lengthOf(item, g.inputs), 1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Waited.add(b.Waited)
	t.sum.Cells += int64(cells)
	t.sum.PaddedCells += int64(b.Shape.Rows * max(b.Shape.Length, 1))
	t.sum.Times.add(took, items)
	if t.sum.Runs == nil {
		t.sum.Runs = map[int]RunTally{}
	}
	r := t.sum.Runs[rows]
	r.Runs++
	r.Times.add(took, 1)
	t.sum.Runs[rows] = r
}

// answered counts the requests of one call, which took so long together.
func (t *tally) answered(g *graph, inputs [][]tensor.Tensor, results []batch.Result[[]tensor.Tensor], took time.Duration) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Last = now
	for i := range results {
		if results[i].Err != nil {
			t.sum.Failed++
			t.sum.Failure += took
			continue
		}
		t.sum.Succeeded++
		t.sum.Success += took
		t.sum.Queue += results[i].Queue
		t.sum.Rows += int64(g.requestRows(inputs[i]))
	}
}

func (t *tally) hit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Hits++
}

// read returns a copy.
func (t *tally) read() Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.sum
	out.Runs = maps.Clone(out.Runs)
	return out
}

// Sizes returns the row counts of the runs, ascending.
func (t Tally) Sizes() []int { return slices.Sorted(maps.Keys(t.Runs)) }
