package batch

import (
	"hash/maphash"
	"math"
	"time"
)

// scheduler decides: what may wait, what runs next, and how long it will take.
// It is pure (time comes in as an argument) and not safe for concurrent use.
type scheduler struct {
	cfg   Config // with defaults
	costs *costTable
	lanes lanes
	part  partition
	// member is the queue's place on a shared device; nil when it has none.
	member *member

	considered []*ticket
	refused    []*ticket

	// running counts the runs under way, lastRun is when one last ended.
	running int
	lastRun instant

	// Runs under load: nanoseconds per unit of cost, and per run. 0: unknown.
	pace, spell float64

	measured bool // under load indeed; until then from runs without

	reserve reserve // of a queue with no member
}

// A reserve is how many runs under load are kept free between the predicted
// start of an item and its deadline, for its own run and for what the
// prediction misses. It is the same for long and short items, so that overload
// refuses them alike, and moves by experience from where TestOverload does well.
type reserve float64

// Each accepted item that is not answered in time adds lateStep runs, each that
// is takes lateStep × lateShare away, so that about lateShare of the accepted
// are late under overload.
const (
	reserveFirst, reserveLeast, reserveMost = 6, 4, 12

	lateStep, lateShare = 0.3, 0.003
)

func (r *reserve) learn(kept, late int) {
	*r = min(reserveMost, max(reserveLeast, *r+lateStep*(reserve(late)-lateShare*reserve(kept))))
}

// promises takes in how many accepted items with a deadline were answered
// before it, and how many not.
func (s *scheduler) promises(kept, late int) {
	switch {
	case kept+late == 0:
	case s.member != nil:
		s.member.promises(kept, late)
	default:
		s.reserve.learn(kept, late)
	}
}

// staleAfter is how long a device must be idle for predictions to refuse
// nothing: a bad measurement would otherwise shut the queue for ever, since
// only a run corrects it.
const staleAfter = time.Second

func newScheduler(cfg Config) *scheduler {
	costs := newCostTable(&cfg)
	s := &scheduler{
		cfg:     cfg,
		costs:   costs,
		part:    partition{costs: costs, rowSteps: cfg.RowSteps},
		lastRun: -staleAfter,
		reserve: reserveFirst,
	}
	s.lanes.weights = cfg.Weights
	s.lanes.seed = maphash.MakeSeed()
	return s
}

// fits reports whether a batch may hold the item, alone.
func (s *scheduler) fits(rows, length int, cost int64) bool {
	const most = 1 << 51 // 2²⁰ rows of the greatest length; no sum overflows
	return rows >= 1 && rows <= s.cfg.MaxRows && length >= 0 && length <= math.MaxInt32 && cost >= 0 && cost <= most &&
		(s.cfg.MaxCost == 0 || cost <= s.cfg.MaxCost)
}

// shape returns what a batch is padded to, and its real rows.
func (s *scheduler) shape(batch []*ticket) (sh Shape, rows int) {
	for _, t := range batch {
		rows += t.rows
		sh.Length = max(sh.Length, t.length)
	}
	sh.Rows = s.part.step(rows)
	return sh, rows
}

// joins reports whether a batch may hold all of ts, which wait nowhere. It is
// the quick way of a caller who found a slot free.
func (s *scheduler) joins(ts []*ticket) bool {
	if len(ts) > s.cfg.MaxItems {
		return false
	}
	rows, length, cells, cost := 0, 0, 0, int64(0)
	for _, t := range ts {
		if t.kind != ts[0].kind {
			return false
		}
		rows += t.rows
		length = max(length, t.length)
		cells += t.rows * t.length
		cost += t.cost
	}
	return rows <= s.cfg.MaxRows && (s.cfg.MaxCost == 0 || cost <= s.cfg.MaxCost) &&
		(s.cfg.MaxCells == 0 || len(ts) == 1 || s.part.step(rows)*length <= s.cfg.MaxCells) &&
		float64(rows*length-cells) <= s.cfg.MaxPadding*float64(rows*length)
}

// next takes the batch to run now out of what waits, nil if nothing does, and
// in refused the items whose deadline passed or can no longer be met.
// freeSlots, at least 1, is how many slots could share the work. Both results
// are valid until the next call.
func (s *scheduler) next(now instant, freeSlots int) (batch, refused []*ticket) {
	s.considered, s.refused = s.considered[:0], s.refused[:0]
	if s.lanes.tickets == 0 {
		return nil, nil
	}
	lim := limits{s.cfg.MaxRows, s.cfg.MaxItems, s.cfg.MaxCost, s.cfg.MaxPadding, s.cfg.MaxCells}
	if freeSlots > 1 {
		lim.rows = min(lim.rows, (s.lanes.rows+freeSlots-1)/freeSlots)
	}

	s.lanes.rewind()
	rows, plain := 0, true
	for seen := 0; seen < s.cfg.Lookahead; {
		t := s.lanes.next()
		if t == nil {
			break
		}
		if s.late(t, now) {
			s.lanes.pick(t, false)
			s.refused = append(s.refused, t)
			continue
		}
		seen++
		if len(s.considered) > 0 && (t.kind != s.considered[0].kind || t.alone) {
			continue
		}
		s.considered = append(s.considered, t)
		rows += t.rows
		plain = plain && t.length == 0
		if t.alone || plain && rows >= s.cfg.MaxRows {
			break // more would change nothing
		}
	}
	if len(s.considered) > 0 {
		batch = s.part.choose(s.considered, lim, now)
		for _, t := range batch {
			s.lanes.pick(t, true)
		}
	}
	s.lanes.commit()
	return batch, s.refused
}

// forget drops the references of the last selection.
func (s *scheduler) forget() {
	clear(s.considered)
	clear(s.refused)
	clear(s.part.sorted)
}

// stale reports that predictions were too old, when an item arrived, to refuse
// it for.
func (s *scheduler) stale(arrived instant) bool {
	return s.running == 0 && arrived-s.lastRun >= staleAfter
}

// late reports that a waiting item cannot be answered in time, even at once.
func (s *scheduler) late(t *ticket, now instant) bool {
	if t.deadline == never {
		return false
	}
	return t.deadline <= now || t.deadline-now < s.alone(t.rows, t.length) && !s.stale(t.arrived)
}

// alone predicts the run of an item by itself.
func (s *scheduler) alone(rows, length int) time.Duration {
	return s.costs.predict(Shape{s.part.step(rows), length})
}

// learn takes in a run that succeeded. loaded says that work was left waiting
// when it began.
func (s *scheduler) learn(sh Shape, cost int64, took time.Duration, loaded bool) {
	s.costs.observe(sh, float64(took))
	if cost <= 0 || took <= 0 {
		return
	}
	pace := float64(took) / float64(cost)
	switch {
	case s.pace == 0, loaded && !s.measured:
		s.pace, s.spell, s.measured = pace, float64(took), loaded
	case loaded:
		// Weighed by cost: a run of one short item says little of the rate.
		const decay = 1.0 / 16
		s.spell += (float64(took) - s.spell) * decay
		w := decay * min(2, float64(took)/s.spell)
		s.pace += (pace - s.pace) * w
	default:
		s.spell += min(0, (float64(took)-s.spell)/16)
		s.pace += min(0, (pace-s.pace)/16)
	}
}

// drainTime predicts how long the slots take for work of that cost; 0 if
// unknown.
func (s *scheduler) drainTime(cost int64) time.Duration {
	side := s.cfg.Slots
	if s.member != nil {
		side = min(side, s.member.device.permits/s.member.width)
	}
	return time.Duration(s.pace * float64(cost) / float64(side))
}

// demand is what a call asks for.
type demand struct {
	rows     int
	cost     int64
	rest     int64         // cost without the costliest item
	alone    time.Duration // predicted run of the costliest item by itself
	priority int
	tenant   string
	due      instant
	deadline instant
}

// admit reports why a call may not wait, nil if it may, and then which waiting
// tickets have to leave for it. busy is the time until the first slot frees.
func (s *scheduler) admit(d demand, now instant, busy time.Duration) (displaced []*ticket, err error) {
	if d.rows > s.cfg.MaxQueuedRows || s.cfg.MaxQueuedCost > 0 && d.cost > s.cfg.MaxQueuedCost {
		return nil, ErrTooLarge
	}
	if d.deadline != never && !(s.stale(now) && s.lanes.tickets == 0) {
		remaining := d.deadline - now
		// The first sum counts everything as ahead; only if that is too late
		// is it worth while to look at who really is.
		predicted := s.completion(d, s.lanes.cost, now, busy)
		if predicted > remaining {
			predicted = s.completion(d, s.lanes.ahead(d.cost, d.priority, d.tenant, d.due), now, busy)
		}
		if predicted > remaining {
			return nil, &DeadlineError{Predicted: predicted, Remaining: remaining}
		}
	}
	overRows := s.lanes.rows + d.rows - s.cfg.MaxQueuedRows
	overCost := int64(0)
	if s.cfg.MaxQueuedCost > 0 {
		overCost = s.lanes.cost + d.cost - s.cfg.MaxQueuedCost
	}
	if overRows > 0 || overCost > 0 {
		displaced = s.lanes.displaced(d.cost, d.priority, d.tenant, overRows, overCost)
		if displaced == nil {
			return nil, s.full(overRows, overCost)
		}
	}
	return displaced, nil
}

// full is the refusal of work that would put the queue so far over its bounds.
func (s *scheduler) full(overRows int, overCost int64) *FullError {
	const least, most, unknown = time.Millisecond, 30 * time.Second, 100 * time.Millisecond
	hint := unknown
	if s.pace > 0 && s.lanes.rows > 0 {
		share := max(float64(overRows)/float64(s.lanes.rows), float64(overCost)/float64(max(s.lanes.cost, 1)))
		hint = min(most, max(least, time.Duration(float64(s.drainTime(s.lanes.cost))*share)))
	}
	return &FullError{QueuedRows: s.lanes.rows, MaxQueuedRows: s.cfg.MaxQueuedRows, RetryAfter: hint}
}

// completion predicts the time until work is answered that waits behind so
// much cost.
func (s *scheduler) completion(d demand, ahead int64, now instant, busy time.Duration) time.Duration {
	others, spare := time.Duration(0), s.reserve
	if m := s.member; m != nil {
		others, spare = m.ahead(now, d.priority, d.due, float64(m.width)*s.pace*float64(ahead+d.rest), d.alone)
		busy += others
	}
	if ahead == 0 && others == 0 {
		return busy + d.alone + s.drainTime(d.rest)
	}
	return busy + s.drainTime(ahead+d.rest) + max(d.alone, time.Duration(float64(spare)*s.spell))
}
