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

// ran counts a run that answered so many items.
func (t *tally) ran(rows, items int, took RunTimes) {
	t.mu.Lock()
	defer t.mu.Unlock()
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
