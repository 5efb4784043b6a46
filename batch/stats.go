package batch

import (
	"context"
	"errors"
	"time"
)

// Stats counts what a queue has done since it was made, and what it holds now.
type Stats struct {
	// Now.
	QueuedItems, QueuedRows int
	QueuedCost              int64
	BusySlots               int
	// Backlog predicts the time until everything that waits has run, 0 if
	// unknown.
	Backlog time.Duration

	// Runs, of which Inline in a caller's goroutine and Panics ended in one.
	Runs, Inline, Panics uint64
	// Items, Rows and Cells (rows × length) that were run; PaddedRows and
	// PaddedCells count them after padding, so that the padding ratio is
	// 1 − Cells ÷ PaddedCells. Length is after its own step.
	Items, Rows, PaddedRows, Cells, PaddedCells uint64
	// Busy is the sum of the durations of all runs.
	Busy time.Duration

	// Items by how they ended: answered without and with an error of the run;
	// expired or cancelled before their answer; failed by Close.
	OK, Failed, Expired, Cancelled, Closed uint64
	// Retried items were run again alone.
	Retried uint64
	// Items refused with ErrFull and ErrDeadline.
	RefusedFull, RefusedDeadline uint64
}

// Stats returns the counts of this moment.
func (q *Queue[I, O]) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	st, ls := q.stats, &q.sched.lanes
	st.QueuedItems, st.QueuedRows, st.QueuedCost = ls.tickets, ls.rows, ls.cost
	st.BusySlots = len(q.slots) - len(q.free)
	if q.claimed != nil {
		st.BusySlots--
	}
	st.Backlog = q.sched.drainTime(ls.cost)
	return st
}

func (q *Queue[I, O]) countRun(s *slot[I, O], b *Batch[I, O]) {
	st := &q.stats
	st.Runs++
	st.Busy += s.took
	st.Items += uint64(len(s.entries))
	st.Rows += uint64(b.Rows)
	st.PaddedRows += uint64(b.Shape.Rows)
	for _, e := range s.entries {
		st.Cells += uint64(e.rows * max(e.length, 1))
	}
	st.PaddedCells += uint64(b.Shape.Rows * max(b.Shape.Length, 1))
	if _, ok := errors.AsType[*PanicError](s.err); ok {
		st.Panics++
	}
}

func (q *Queue[I, O]) countEnd(err error) {
	st := &q.stats
	switch {
	case err == nil:
		st.OK++
	case errors.Is(err, ErrDeadline):
		st.RefusedDeadline++
	case errors.Is(err, ErrFull):
		st.RefusedFull++
	case errors.Is(err, ErrClosed):
		st.Closed++
	case errors.Is(err, context.DeadlineExceeded):
		st.Expired++
	case errors.Is(err, context.Canceled):
		st.Cancelled++
	default:
		st.Failed++
	}
}

func (q *Queue[I, O]) countRefusal(err error, items int) {
	switch {
	case errors.Is(err, ErrFull):
		q.stats.RefusedFull += uint64(items)
	case errors.Is(err, ErrDeadline):
		q.stats.RefusedDeadline += uint64(items)
	}
}
