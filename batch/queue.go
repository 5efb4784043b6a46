package batch

import (
	"context"
	"sync"
	"time"
)

// Queue joins items into batches and runs them on the slots of one device. It
// is safe for concurrent use.
type Queue[I, O any] struct {
	run     RunFunc[I, O]
	cfg     Config
	epoch   time.Time
	calls   sync.Pool // of *call[I, O]
	loops   sync.WaitGroup
	stopped chan struct{} // closed when Close is done

	mu    sync.Mutex // guards what follows
	state state
	sched *scheduler
	slots []*slot[I, O]
	free  []*slot[I, O] // nobody holds these
	// Of a queue on a shared device: its place there, and the slot for which it
	// waits for permits, or that has been given them and does not know yet.
	member  *member
	claimed *slot[I, O]
	stats   Stats
	idle    chan struct{} // made by Drain or Close, closed when nothing waits or runs

	// While a slot is free work waits until windowEnd; timer then dispatches.
	windowEnd instant
	timer     *time.Timer
}

type state uint8

const (
	open state = iota
	draining
	closed
)

// New makes a queue and starts a goroutine per slot. Close must be called to
// end them.
func New[I, O any](cfg Config, run RunFunc[I, O]) (*Queue[I, O], error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	q := &Queue[I, O]{
		run:     run,
		cfg:     cfg,
		epoch:   time.Now(),
		stopped: make(chan struct{}),
		sched:   newScheduler(cfg),
	}
	if cfg.Device != nil {
		q.epoch = cfg.Device.epoch
		q.member = cfg.Device.join(cfg.Width)
		q.sched.member = q.member
	}
	q.calls.New = func() any { return &call[I, O]{done: make(chan struct{}, 1)} }
	for i := range cfg.Slots {
		s := newSlot[I, O](i)
		q.slots = append(q.slots, s)
		q.free = append(q.free, s)
		q.loops.Go(func() { q.loop(s) })
	}
	return q, nil
}

func (q *Queue[I, O]) now() instant { return time.Since(q.epoch) }

// call is one Do under way. Its fields are guarded by Queue.mu from the moment
// it waits or runs until pending is 0; then it is its caller's again.
type call[I, O any] struct {
	entries []entry[I, O]
	tickets []*ticket       // of the entries that fit, in order
	gone    <-chan struct{} // the context's Done
	tenant  string
	pending int            // entries without an answer
	done    chan struct{}  // cap 1: gets one token when pending becomes 0
	held    bool           // a run refers to an entry that was answered before its end
	self    [1]*call[I, O] // scratch: the calls that an inline run completes
}

// entry is one item under way.
type entry[I, O any] struct {
	ticket
	value    I
	call     *call[I, O]
	slot     *slot[I, O] // where it runs; nil otherwise
	answered bool
	result   Result[O]
}

// Do brings items and blocks until each is answered: results[i] belongs to
// items[i]. Items of one call may run in different batches. When ctx ends, Do
// returns at once with the context's error for what is not answered yet; what
// waits is withdrawn, and a run that nobody waits for any more is cancelled.
// Since such a run may take a while to end, values must not be changed after
// an early return.
//
// A call is refused as a whole with ErrFull, ErrDeadline or ErrClosed. Items
// that wait are refused with ErrFull later if the queue is full and they have
// to give way to a higher priority, or to a tenant who holds less than his
// share of the queue.
func (q *Queue[I, O]) Do(ctx context.Context, c Call, items []Item[I]) []Result[O] {
	results := make([]Result[O], len(items))
	if len(items) == 0 {
		return results
	}
	if err := ctx.Err(); err != nil {
		return refuseAll(results, err)
	}
	now := q.now()
	k := q.calls.Get().(*call[I, O])
	d := q.prepare(ctx, k, c, items, now)
	if k.pending == 0 { // nothing fits
		return q.collect(k, results)
	}

	q.mu.Lock()
	if s := q.inlineSlot(k); s != nil {
		q.begin(s, k.tickets, now, true)
		q.mu.Unlock()
		q.execute(ctx, s)
		answered := k.self[:0]
		q.mu.Lock()
		q.finish(s, &answered)
		q.release(s)
		q.mu.Unlock()
		notify(&answered)
	} else {
		var displaced []*call[I, O]
		err := q.enqueue(k, d, now, &displaced)
		q.mu.Unlock()
		notify(&displaced)
		if err != nil {
			q.recycle(k)
			return refuseAll(results, err)
		}
	}

	select {
	case <-k.done:
	case <-k.gone:
		q.abandon(k, ctx.Err())
	}
	return q.collect(k, results)
}

// Check reports the error with which Do would refuse a call of n such items at
// this moment, nil if it would not. It lets a caller who can estimate the size
// of an item refuse it before preparing it: the value is not looked at.
func (q *Queue[I, O]) Check(ctx context.Context, c Call, item Item[I], n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := q.now()
	d := q.demandOf(ctx, c, now)
	q.mu.Lock()
	defer q.mu.Unlock()
	rows, length, cost, ok := q.size(&item)
	switch {
	case !ok:
		return ErrTooLarge
	case q.state != open:
		return ErrClosed
	}
	d.rows += n * rows
	d.cost += int64(n) * cost
	d.alone = max(d.alone, q.sched.alone(rows, length))
	d.rest = d.cost - cost
	_, err := q.sched.admit(d, now, q.busyFor(now, d.alone))
	q.countRefusal(err, n)
	return err
}

// size returns what an item takes of a batch, its length after padding; false
// if no batch may hold it.
func (q *Queue[I, O]) size(it *Item[I]) (rows, length int, cost int64, ok bool) {
	rows, cost = max(it.Rows, 1), it.Cost
	if cost == 0 {
		cost = int64(rows) * int64(max(it.Length, 1))
	}
	if it.Length > 0 {
		length = stepUp(q.cfg.LengthSteps, it.Length)
	}
	return rows, length, cost, it.Rows >= 0 && q.sched.fits(rows, it.Length, cost)
}

// Drain stops accepting and returns when everything that waits has been run,
// or with the context's error when that ends first. The queue still has to be
// closed.
func (q *Queue[I, O]) Drain(ctx context.Context) error {
	q.mu.Lock()
	if q.state == open {
		q.state = draining
	}
	idle := q.whenIdle()
	q.dispatch(q.now())
	q.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops accepting, answers everything that waits or runs with ErrClosed,
// cancels the runs, and returns when they have ended; it waits for inline runs,
// which are short, without cancelling them. It may be called again.
func (q *Queue[I, O]) Close() {
	q.mu.Lock()
	if q.state == closed {
		q.mu.Unlock()
		<-q.stopped
		return
	}
	q.state = closed
	if q.timer != nil {
		q.timer.Stop()
	}
	var answered []*call[I, O]
	q.sched.lanes.rewind()
	for t := q.sched.lanes.next(); t != nil; t = q.sched.lanes.next() {
		q.sched.lanes.pick(t, false)
		q.fail(t.owner.(*entry[I, O]), ErrClosed, &answered)
	}
	q.sched.lanes.commit()
	q.dispatch(q.now())
	for _, s := range q.slots {
		s.cancel(ErrClosed)
		for _, e := range s.entries {
			if !e.answered {
				e.call.held = true
				q.fail(e, ErrClosed, &answered)
			}
		}
	}
	idle := q.whenIdle()
	q.mu.Unlock()
	notify(&answered)

	<-idle
	for _, s := range q.slots {
		close(s.wake)
	}
	q.loops.Wait()
	if q.member != nil {
		q.member.leave()
	}
	close(q.stopped)
}

// Costs returns the measured run times, by rows, then length.
func (q *Queue[I, O]) Costs() []Cost {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sched.costs.list()
}

// prepare fills k with the items and returns what they ask for.
func (q *Queue[I, O]) prepare(ctx context.Context, k *call[I, O], c Call, items []Item[I], now instant) demand {
	d, most := q.demandOf(ctx, c, now), int64(0)
	if cap(k.entries) < len(items) {
		k.entries = make([]entry[I, O], len(items))
		k.tickets = make([]*ticket, 0, len(items))
	}
	k.entries = k.entries[:len(items)]
	k.gone = ctx.Done()
	k.tenant = c.Tenant
	for i := range items {
		e, it := &k.entries[i], &items[i]
		rows, length, cost, ok := q.size(it)
		e.call = k
		if !ok {
			e.answered, e.result.Err = true, ErrTooLarge
			continue
		}
		e.value = it.Value
		e.ticket = ticket{
			rows: rows, length: length, column: q.sched.costs.lengthStep(length),
			cost: cost, kind: it.Kind, priority: c.Priority,
			due: d.due, deadline: d.deadline, arrived: now, owner: e,
		}
		k.tickets = append(k.tickets, &e.ticket)
		d.rows += rows
		d.cost += cost
		most = max(most, cost)
	}
	d.rest = d.cost - most
	k.pending = len(k.tickets)
	return d
}

// demandOf returns the part of a demand that does not depend on the items.
func (q *Queue[I, O]) demandOf(ctx context.Context, c Call, now instant) demand {
	d := demand{priority: c.Priority, tenant: c.Tenant, due: now + q.cfg.Patience, deadline: never}
	if at, ok := ctx.Deadline(); ok {
		d.deadline = at.Sub(q.epoch)
		d.due = d.deadline
	}
	return d
}

// inlineSlot returns a free slot for a call to be run at once by its caller,
// nil if it must wait or is better run by the slot's own goroutine.
func (q *Queue[I, O]) inlineSlot(k *call[I, O]) *slot[I, O] {
	n := len(q.free)
	if n == 0 || q.state != open || q.sched.lanes.tickets > 0 ||
		q.cfg.LockThreads || q.cfg.Window > 0 || !q.sched.joins(k.tickets) {
		return nil
	}
	sh, _ := q.sched.shape(k.tickets)
	took := q.sched.costs.predict(sh)
	if took == 0 || took > q.cfg.Inline || k.tickets[0].deadline-k.tickets[0].arrived < took {
		return nil
	}
	s := q.free[n-1]
	if q.member != nil && !q.member.try(k.tickets[0], k.tickets[0].arrived, s.index, took) {
		return nil
	}
	q.free = q.free[:n-1]
	q.stats.Inline++
	return s
}

// enqueue lets a call wait, or says why it may not. Calls that are complete
// because they gave way to it are appended to answered.
func (q *Queue[I, O]) enqueue(k *call[I, O], d demand, now instant, answered *[]*call[I, O]) error {
	if q.state != open {
		return ErrClosed
	}
	for _, t := range k.tickets {
		d.alone = max(d.alone, q.sched.alone(t.rows, t.length))
	}
	displaced, err := q.sched.admit(d, now, q.busyFor(now, d.alone))
	if err != nil {
		q.countRefusal(err, len(k.tickets))
		return err
	}
	for _, t := range displaced {
		e := t.owner.(*entry[I, O])
		e.result.Queue = now - e.arrived
		full := q.sched.full(t.rows, t.cost)
		full.Waited = e.result.Queue
		q.fail(e, full, answered)
		q.sched.lanes.remove(t)
	}
	if q.cfg.Window > 0 {
		if q.sched.lanes.tickets == 0 {
			q.windowEnd = now + q.cfg.Window
		}
		// Leave twice the time that the run needs.
		q.windowEnd = min(q.windowEnd, d.deadline-2*d.alone)
	}
	for _, t := range k.tickets {
		q.sched.lanes.add(t, k.tenant)
	}
	q.dispatch(now)
	return nil
}

// busyFor predicts the time until a run could begin that takes so long.
func (q *Queue[I, O]) busyFor(now instant, run time.Duration) time.Duration {
	busy := instant(0)
	if len(q.free) == 0 && q.claimed == nil {
		busy = never
		for _, s := range q.slots {
			busy = min(busy, max(0, s.predictedEnd-now))
		}
	}
	if q.member != nil {
		busy = max(busy, q.member.busyFor(now, run))
	}
	return busy
}

// ready reports whether what waits should run as soon as a slot is free.
func (q *Queue[I, O]) ready(now instant) bool {
	ls := &q.sched.lanes
	return ls.tickets > 0 &&
		(q.cfg.Window == 0 || q.state != open || now >= q.windowEnd || ls.rows >= q.cfg.MaxRows || ls.tickets >= q.cfg.MaxItems)
}

// dispatch hands a free slot to its goroutine if there is work for it, on a
// shared device as soon as it has permits.
func (q *Queue[I, O]) dispatch(now instant) {
	n := len(q.free)
	ready := n > 0 && q.ready(now)
	if q.member != nil {
		q.claim(now, ready)
	} else if ready {
		s := q.free[n-1]
		q.free = q.free[:n-1]
		s.wake <- struct{}{} // never blocks: a slot that was free has no token
	}
	if ready || n == 0 || q.sched.lanes.tickets == 0 {
		return
	}
	wait := q.windowEnd - now
	if q.timer == nil {
		q.timer = time.AfterFunc(wait, q.windowOver)
	} else {
		q.timer.Reset(wait)
	}
}

// claim tells the device what waits, and asks for permits if another run is
// ready to begin.
func (q *Queue[I, O]) claim(now instant, ready bool) {
	slot, wake := 0, chan struct{}(nil)
	if ready && q.claimed == nil {
		n := len(q.free)
		q.claimed = q.free[n-1]
		q.free = q.free[:n-1]
		slot, wake = q.claimed.index, q.claimed.wake
	}
	if q.member.update(q.sched, now, slot, wake) {
		q.free = append(q.free, q.claimed)
		q.claimed = nil
	}
}

func (q *Queue[I, O]) windowOver() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dispatch(q.now())
}

// release gives a slot back, or on to its goroutine if work waits.
func (q *Queue[I, O]) release(s *slot[I, O]) {
	q.free = append(q.free, s)
	now := q.now()
	q.dispatch(now) // first, so that what waits here competes for the permits that s gives back
	if q.member != nil {
		q.member.end(s.index, now, s.took)
	}
	q.checkIdle()
}

func (q *Queue[I, O]) whenIdle() <-chan struct{} {
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	q.checkIdle()
	return q.idle
}

// checkIdle closes the idle channel once nothing waits or runs and nothing can
// come any more.
func (q *Queue[I, O]) checkIdle() {
	if q.idle == nil || q.sched.lanes.tickets > 0 || len(q.free) < len(q.slots) {
		return
	}
	select {
	case <-q.idle:
	default:
		close(q.idle)
	}
}

// abandon answers with err what k still waits for.
func (q *Queue[I, O]) abandon(k *call[I, O], err error) {
	q.mu.Lock()
	if k.pending == 0 { // answered in the meantime: the token is on its way
		q.mu.Unlock()
		<-k.done
		return
	}
	now, late := q.now(), 0
	for i := range k.entries {
		e := &k.entries[i]
		if e.answered {
			continue
		}
		e.answered = true
		e.result.Err = err
		k.pending--
		if e.lane != nil {
			q.sched.lanes.remove(&e.ticket)
			e.result.Queue = now - e.arrived
			if now >= e.deadline {
				late++
			}
		}
		if s := e.slot; s != nil {
			k.held = true
			s.live--
			if s.live == 0 {
				s.cancel(context.Canceled)
			}
		}
		q.countEnd(err)
	}
	q.sched.promises(0, late)
	if q.member != nil {
		q.dispatch(now)
		q.checkIdle()
	}
	q.mu.Unlock()
}

// fail answers an entry with err, unless it has an answer.
func (q *Queue[I, O]) fail(e *entry[I, O], err error, answered *[]*call[I, O]) {
	if !e.answered {
		e.result.Err = err
		q.answer(e, answered)
	}
}

// answer marks an entry whose result is set. If that completes its call, the
// call is appended to answered.
func (q *Queue[I, O]) answer(e *entry[I, O], answered *[]*call[I, O]) {
	e.answered = true
	q.countEnd(e.result.Err)
	e.call.pending--
	if e.call.pending == 0 {
		*answered = append(*answered, e.call)
	}
}

// notify wakes the callers of complete calls and empties the list; the calls
// are theirs from then on.
func notify[I, O any](answered *[]*call[I, O]) {
	for _, k := range *answered {
		k.done <- struct{}{}
	}
	clear(*answered)
	*answered = (*answered)[:0]
}

// collect moves the answers to results and gives k back.
func (q *Queue[I, O]) collect(k *call[I, O], results []Result[O]) []Result[O] {
	for i := range results {
		results[i] = k.entries[i].result
	}
	q.recycle(k)
	return results
}

// recycle puts k back into the pool, unless something still refers to it or it
// is too big to keep.
func (q *Queue[I, O]) recycle(k *call[I, O]) {
	if k.held || cap(k.entries) > 1024 {
		return
	}
	clear(k.entries)
	clear(k.tickets)
	k.entries, k.tickets = k.entries[:0], k.tickets[:0]
	k.gone, k.tenant, k.pending = nil, "", 0
	q.calls.Put(k)
}

func refuseAll[O any](results []Result[O], err error) []Result[O] {
	for i := range results {
		results[i].Err = err
	}
	return results
}
