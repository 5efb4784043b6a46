package batch

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// slot is one place on the device. Whoever holds it forms and runs batches
// there: its goroutine, or a caller who found it free.
type slot[I, O any] struct {
	index int
	wake  chan struct{} // cap 1: a token hands the slot to its goroutine

	// The holder's alone.
	batch Batch[I, O]
	err   error // of the last run
	took  time.Duration

	// Guarded by Queue.mu.
	entries      []*entry[I, O] // that run here now
	live         int            // of these, still waited for
	started      instant
	predictedEnd instant
	cost         int64
	inline       bool
	loaded       bool            // more waited when the run began, here or on the device
	ctx          context.Context // of runs by the loop; cancelled by Close or the last caller to leave
	cancel       context.CancelCauseFunc
}

func newSlot[I, O any](index int) *slot[I, O] {
	s := &slot[I, O]{index: index, wake: make(chan struct{}, 1)}
	s.batch.Slot = index
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// loop is the slot's goroutine. It ends when Close closes wake.
func (q *Queue[I, O]) loop(s *slot[I, O]) {
	if q.cfg.LockThreads {
		runtime.LockOSThread() // held to the end: the thread dies with the goroutine
	}
	var answered []*call[I, O] // their callers are woken without the mutex
	for range s.wake {
		q.mu.Lock()
		q.claimed, s.took = nil, 0
		for q.form(s, &answered) {
			q.mu.Unlock()
			notify(&answered)
			q.execute(s.ctx, s)
			q.mu.Lock()
			q.finish(s, &answered)
			if q.member != nil {
				if !q.member.keeps(s.index, q.now(), s.took) {
					break
				}
				s.took = 0
			}
		}
		q.release(s)
		q.mu.Unlock()
		notify(&answered)
	}
}

// form makes the next batch of what waits; false if there is nothing to run
// now. Calls that are complete thereby are appended to answered.
func (q *Queue[I, O]) form(s *slot[I, O], answered *[]*call[I, O]) bool {
	now := q.now()
	for q.ready(now) {
		spare := len(q.free)
		if spare > 0 && q.member != nil {
			spare = min(spare, q.member.spare())
		}
		tickets, refused := q.sched.next(now, 1+spare)
		q.sched.promises(0, len(refused))
		for _, t := range refused {
			e := t.owner.(*entry[I, O])
			e.result.Queue = now - e.arrived
			var err error = context.DeadlineExceeded
			if e.deadline > now {
				err = &DeadlineError{q.sched.alone(e.rows, e.length), e.deadline - now, now - e.arrived}
			}
			q.fail(e, err, answered)
		}
		// Callers who are gone but have not withdrawn yet do not run either.
		kept := tickets[:0]
		for _, t := range tickets {
			e := t.owner.(*entry[I, O])
			select {
			case <-e.call.gone:
				e.result.Queue = now - e.arrived
				q.fail(e, context.Canceled, answered) // what is overdue was refused above
			default:
				kept = append(kept, t)
			}
		}
		if len(kept) > 0 {
			q.begin(s, kept, now, false)
			q.sched.forget()
			q.windowEnd = now // what is left has waited long enough
			q.dispatch(now)
			return true
		}
	}
	return false
}

// begin makes tickets, which wait no more, the batch of s.
func (q *Queue[I, O]) begin(s *slot[I, O], tickets []*ticket, now instant, inline bool) {
	b := &s.batch
	b.Shape, b.Rows = q.sched.shape(tickets)
	s.cost, b.Waited = 0, 0
	for _, t := range tickets {
		e := t.owner.(*entry[I, O])
		e.slot = s
		s.entries = append(s.entries, e)
		b.Items = append(b.Items, e.value)
		s.cost += t.cost
		b.Waited = max(b.Waited, now-t.arrived)
	}
	var zero O
	for range tickets {
		b.Outputs = append(b.Outputs, zero)
		b.Errs = append(b.Errs, nil)
	}
	s.live = len(tickets)
	s.inline = inline
	s.loaded = q.sched.lanes.tickets > 0
	s.started = now
	predicted := q.sched.costs.predict(b.Shape)
	s.predictedEnd = now + predicted
	if q.member != nil && !inline {
		s.loaded = q.member.begin(s.index, now, predicted) || s.loaded
	}
	q.sched.running++
	if s.ctx.Err() != nil && q.state != closed {
		s.ctx, s.cancel = context.WithCancelCause(context.Background())
	}
}

// execute runs the batch of s, without the mutex.
func (q *Queue[I, O]) execute(ctx context.Context, s *slot[I, O]) {
	from := q.now()
	s.err = q.contain(ctx, s)
	s.took = q.now() - from
	if gone := ctx.Err(); s.err != nil && gone != nil {
		s.err = gone // however the run says it
	}
}

func (q *Queue[I, O]) contain(ctx context.Context, s *slot[I, O]) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	b, n := &s.batch, len(s.batch.Items)
	err = q.run(ctx, b)
	if err == nil && (len(b.Outputs) != n || len(b.Errs) != n) {
		err = fmt.Errorf("batch: run of %d items left %d outputs and %d errors", n, len(b.Outputs), len(b.Errs))
	}
	return err
}

// finish distributes the answers of the run that s has ended; the items of a
// batch that failed as a whole wait again, to be run alone.
func (q *Queue[I, O]) finish(s *slot[I, O], answered *[]*call[I, O]) {
	b := &s.batch
	again := s.err != nil && len(s.entries) > 1 && !q.cfg.NoRetry && q.state != closed
	served, now := false, q.now()
	kept, late := 0, 0
	for i, e := range s.entries {
		e.slot = nil
		switch {
		case e.deadline == never:
		case now < e.deadline:
			kept++
		default:
			late++
		}
		if e.answered { // its caller is gone
			continue
		}
		if again {
			e.alone = true
			q.stats.Retried++
			q.sched.lanes.add(&e.ticket, e.call.tenant)
			continue
		}
		r := &e.result
		r.Queue, r.Compute = s.started-e.arrived, s.took
		r.Shape, r.Rows, r.Items = b.Shape, b.Rows, len(s.entries)
		r.Slot, r.Inline = s.index, s.inline
		switch {
		case s.err != nil:
			r.Err = s.err
		case b.Errs[i] != nil:
			r.Err = b.Errs[i]
		default:
			r.Value = b.Outputs[i]
			served = true
		}
		q.answer(e, answered)
	}
	q.sched.promises(kept, late)
	q.sched.running--
	q.sched.lastRun = now
	if served {
		q.sched.learn(b.Shape, s.cost, s.took, s.loaded)
	}
	q.countRun(s, b)
	s.reset()
}

// reset drops every reference to the items of the run.
func (s *slot[I, O]) reset() {
	b := &s.batch
	clear(s.entries)
	clear(b.Items)
	clear(b.Outputs)
	clear(b.Errs)
	s.entries, s.live, s.err = s.entries[:0], 0, nil
	b.Items, b.Outputs, b.Errs = b.Items[:0], b.Outputs[:0], b.Errs[:0]
}
