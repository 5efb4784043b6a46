// Package batch joins work that many callers bring at once into few runs of a
// device. It knows no tensors and no protocol: an item is a value with a size,
// a run is a function.
//
// A Queue is work-conserving. When a slot of the device is free the work runs
// now, in the caller's own goroutine if it is short; only while every slot is
// busy (or within a window, if one is configured) does work wait, and a batch
// is formed from what waits at the moment a slot frees, never before. The most
// urgent item is always in that batch; what rides with it is chosen by the
// measured cost of the shapes, see partition.
//
// Queues that run on the same processors share a Device, so that together they
// load it no more than one would, and each one's work gathers while others run.
//
// Urgency is priority first, then the tenant that has had the least of its
// share, then the earliest deadline. Nothing grows without a bound: a full
// queue, or a deadline that the work ahead makes hopeless, refuses a call at
// once. An item that expired or was cancelled while it waited is never run.
package batch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrFull refuses a call because too much waits already, or an item that
	// had to give way in a full queue. The error is a *FullError, which says
	// when to come back.
	ErrFull = errors.New("queue is full")
	// ErrDeadline refuses an item because its deadline is nearer than its
	// predicted completion. The error is a *DeadlineError. An item whose
	// deadline passes while it waits gets context.DeadlineExceeded instead.
	ErrDeadline = errors.New("deadline cannot be met")
	// ErrTooLarge refuses an item that no batch may hold, or a call that even
	// an empty queue may not hold. Coming back later does not help.
	ErrTooLarge = errors.New("item exceeds the limits of a batch")
	// ErrClosed answers every item brought to, or still waiting in, a queue
	// that drains or is closed.
	ErrClosed = errors.New("queue is closed")
)

// FullError says how full the queue was. It matches ErrFull.
type FullError struct {
	// QueuedRows wait already, of at most MaxQueuedRows.
	QueuedRows, MaxQueuedRows int
	// RetryAfter estimates, from the measured rate, when the call would fit.
	RetryAfter time.Duration
	// Waited is how long the item was in the queue before it had to give way; 0
	// when it was refused at once.
	Waited time.Duration
}

func (e *FullError) Error() string {
	return fmt.Sprintf("%v: %d of %d rows wait, retry in %v",
		ErrFull, e.QueuedRows, e.MaxQueuedRows, e.RetryAfter.Round(time.Millisecond))
}

// Is makes errors.Is(err, ErrFull) true.
func (e *FullError) Is(target error) bool { return target == ErrFull }

// DeadlineError says by how much a deadline would be missed. It matches
// ErrDeadline.
type DeadlineError struct {
	// Predicted is the time until the answer, Remaining the time that the
	// deadline leaves; both count from the refusal.
	Predicted, Remaining time.Duration
	// Waited is how long the item was in the queue; 0 when it was refused at
	// once.
	Waited time.Duration
}

func (e *DeadlineError) Error() string {
	return fmt.Sprintf("%v: %v needed, %v left", ErrDeadline,
		e.Predicted.Round(10*time.Microsecond), e.Remaining.Round(10*time.Microsecond))
}

// Is makes errors.Is(err, ErrDeadline) true.
func (e *DeadlineError) Is(target error) bool { return target == ErrDeadline }

// RetryAfter estimates when a call with the same deadline would be accepted.
func (e *DeadlineError) RetryAfter() time.Duration { return max(0, e.Predicted-e.Remaining) }

// PanicError is the error of a run that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("run panicked: %v", e.Value) }

// Item is one unit of work: never split, answered on its own.
type Item[I any] struct {
	Value I
	// Rows is how many rows the item brings to the batch axis; 0 means 1.
	Rows int
	// Length is the item's extent along the axis that is padded, such as
	// tokens; 0 when there is none, at most 2³¹−1.
	Length int
	// Cost is the item's share of every budget and of fairness, in any unit
	// that the queue's configuration uses too; 0 means Rows × max(Length, 1).
	Cost int64
	// Kind keeps apart what cannot share a run, such as items with other
	// extents along an axis that is not padded: only equal kinds join.
	Kind uint64
}

// Call says on whose behalf items come. Deadline and cancellation come from
// the context.
type Call struct {
	// Priority: waiting items of a higher priority always go first. 0 is usual.
	Priority int
	// Tenant shares the device by weight with the other tenants of equal
	// priority; see Config.Weights. The name is not trusted.
	Tenant string
}

// Shape is the extent of one run, after padding.
type Shape struct {
	Rows   int // rows of the batch axis, ≥ 1
	Length int // extent of the padded axis, 0 when there is none
}

// Result is the answer to one item.
type Result[O any] struct {
	Value O
	// Err is nil, what the run said of this item, ErrFull, ErrDeadline,
	// ErrTooLarge, ErrClosed, or the context's error.
	Err error
	// Queue is the time from Do to the start of the run that answered the
	// item, Compute the duration of that run. Both are 0 for an item that was
	// never run, but for Queue when it left the queue unserved.
	Queue, Compute time.Duration
	// Shape is the padded shape of that run, of which Rows and Items were
	// real.
	Shape Shape
	Rows  int
	Items int
	// Slot is where it ran.
	Slot int
	// Inline reports that it ran in the caller's own goroutine.
	Inline bool
}

// Batch is one run of the device. Everything in it belongs to the run and is
// reused after it: a RunFunc keeps none of the slices.
type Batch[I, O any] struct {
	// Slot in [0, Config.Slots) is held by this run alone.
	Slot int
	// Shape is what to pad to; Rows is the sum of the items' rows, at most
	// Shape.Rows.
	Shape Shape
	Rows  int
	// Waited is how long the first of the items to come has waited for the run.
	Waited time.Duration
	// Items are the values, the most urgent first.
	Items []I
	// Outputs and Errs have the length of Items and start zeroed; the run
	// fills Outputs[i], or Errs[i] when item i alone failed.
	Outputs []O
	Errs    []error
}

// RunFunc runs one batch. An error that concerns single items goes to Errs.
// The error returned concerns the whole batch: if it holds several items they
// are run again one by one (see Config.NoRetry), so that a bad item never fails
// its neighbours. A RunFunc that knows the device itself to be at fault spares
// the repetition by setting every Errs[i] and returning nil. A panic is
// contained and treated as a returned *PanicError.
//
// ctx is cancelled when the queue is closed or every caller of the batch is
// gone, and carries no values; that of an inline run is its caller's own. It
// must not be kept. RunFunc is called by up to Config.Slots goroutines at once,
// and must call neither Drain nor Close.
type RunFunc[I, O any] func(ctx context.Context, b *Batch[I, O]) error
