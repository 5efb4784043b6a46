package batch

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

// Device is what the queues of several models share, such as the processors of
// a machine: a number of permits, of which every run holds as many as it uses
// (Config.Width). A queue takes them before it forms its batch, so that its
// work goes on gathering while others run.
//
// Who is next among queues is decided as within one: the highest priority, then
// the queue that has had the least of the device lately, by measured time ×
// permits, then the earliest deadline. Small differences do not count, and
// greater ones not for what is due soon, so that among queues under like load
// deadlines decide, and what was accepted because it could be done in time is.
// Nobody passes a queue whose turn it is and that needs more permits than are
// free, but with a run that will have ended by the time they are: neither a wide
// run nor a narrow one starves.
//
// It is safe for concurrent use, and needs no end.
type Device struct {
	permits int
	short   time.Duration
	epoch   time.Time

	mu      sync.Mutex // guards what follows and the members; never held while a Queue's is taken
	free    int        // permits; below 0 by those of short runs that did not wait
	members []*member
	waiting []*member // for permits
	runs    []permit  // that hold some
	reserve reserve
}

const (
	// lately is how fast a queue's use is forgotten: in so long all but 1/e.
	lately = time.Second
	// A queue may have had so much more of all permits' time than another
	// without having to stand back; the second if it has something due within
	// urgently.
	drift       = 50 * time.Millisecond
	urgentDrift = 250 * time.Millisecond
	urgently    = time.Second
)

// NewDevice makes a device of so many permits, at least 1. A run that is
// predicted to take at most short does not wait for permits that longer runs
// hold, only for its turn: processors that an operating system shares do it
// sooner at once, at a delay of the long run by the short one. At most as many
// permits as there are can be exceeded so; 0 means never.
func NewDevice(permits int, short time.Duration) *Device {
	permits = max(permits, 1)
	return &Device{permits: permits, free: permits, short: short, epoch: time.Now(), reserve: reserveFirst}
}

// member is a queue on a device. Its fields are guarded by Device.mu.
type member struct {
	device *Device
	width  int     // permits of a run
	used   float64 // nanoseconds × permits, until asOf
	asOf   instant

	// What waits in the queue: its most urgent item, the predicted run of as
	// much of it as a batch holds (0: unknown), and what it costs.
	priority int
	due      instant
	run      time.Duration
	work     []backlog
	pace     float64 // nanoseconds × permits for a unit of cost

	slot int
	wake chan<- struct{} // of the slot for which permits are awaited; nil when none are
}

// backlog is what waits at one priority.
type backlog struct {
	priority int
	cost     int64
}

// permit is held by a run.
type permit struct {
	*member
	slot    int
	end     instant // predicted
	charged float64 // so far
}

func (d *Device) join(width int) *member {
	m := &member{device: d, width: min(width, d.permits)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.members = append(d.members, m)
	return m
}

func (m *member) leave() {
	d := m.device
	d.mu.Lock()
	defer d.mu.Unlock()
	d.members = slices.DeleteFunc(d.members, func(o *member) bool { return o == m })
}

// update takes in what waits in the queue. With a wake it asks for permits for
// a slot, which is sent a token when it has them. When nothing waits any more a
// claim under way is withdrawn; update reports whether it was.
func (m *member) update(s *scheduler, now instant, slot int, wake chan<- struct{}) (withdrawn bool) {
	d := m.device
	d.mu.Lock()
	defer d.mu.Unlock()
	m.pace = s.pace * float64(m.width)
	m.work = m.work[:0]
	for _, lv := range s.lanes.levels {
		if lv.cost > 0 {
			m.work = append(m.work, backlog{lv.priority, lv.cost})
		}
	}
	head := s.lanes.head()
	if head == nil {
		if withdrawn = m.wake != nil; withdrawn {
			m.unwait()
			d.grant(now) // perhaps it was in the way of others
		}
		return withdrawn
	}
	m.priority, m.due = head.priority, head.due
	m.run = s.alone(min(s.lanes.rows, s.cfg.MaxRows), head.length)
	if wake != nil {
		m.slot, m.wake = slot, wake
		m.arrive(now)
		d.waiting = append(d.waiting, m)
	}
	if m.wake != nil {
		d.grant(now)
	}
	return false
}

// use returns how much of the device the queue has had lately.
func (m *member) use(now instant) float64 {
	if since := now - m.asOf; since > lately/1000 {
		m.used *= math.Exp(-float64(since) / float64(lately))
		m.asOf = now
	}
	return m.used
}

// arrive bounds how far the queue is preferred to those that wait: after a time
// without work it would otherwise keep all of them waiting for about as long.
func (m *member) arrive(now instant) {
	least := math.Inf(1)
	for _, o := range m.device.waiting {
		least = min(least, o.use(now))
	}
	if least -= 2 * float64(urgentDrift) * float64(m.device.permits); !math.IsInf(least, 1) {
		m.used = max(m.use(now), least)
	}
}

func (m *member) unwait() {
	d := m.device
	d.waiting = slices.Delete(d.waiting, slices.Index(d.waiting, m), slices.Index(d.waiting, m)+1)
	m.wake = nil
}

// try takes permits for a run at once, if there are and it is the queue's turn.
func (m *member) try(t *ticket, now instant, slot int, run time.Duration) bool {
	d := m.device
	d.mu.Lock()
	defer d.mu.Unlock()
	m.priority, m.due, m.run = t.priority, t.due, run
	if !d.fits(m) {
		return false
	}
	if len(d.waiting) > 0 {
		m.arrive(now)
		d.waiting = append(d.waiting, m)
		first := d.next(now)
		d.waiting = d.waiting[:len(d.waiting)-1]
		if first != m {
			return false
		}
	}
	d.take(m, slot, now)
	d.predict(&d.runs[len(d.runs)-1], now, run)
	return true
}

// begin notes the predicted duration of a run that has its permits, and reports
// whether other queues wait.
func (m *member) begin(slot int, now instant, run time.Duration) (others bool) {
	d := m.device
	d.mu.Lock()
	defer d.mu.Unlock()
	d.predict(&d.runs[m.find(slot)], now, run)
	return len(d.waiting) > 0
}

// keeps reports that a slot whose run has ended may go on with its permits,
// because no queue waits for any.
func (m *member) keeps(slot int, now instant, took time.Duration) bool {
	d := m.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) > 0 || d.free < 0 {
		return false
	}
	p := &d.runs[m.find(slot)]
	d.charge(p, now, took)
	p.charged, p.end = 0, now
	return true
}

// end gives the permits of a slot back.
func (m *member) end(slot int, now instant, took time.Duration) {
	d := m.device
	d.mu.Lock()
	defer d.mu.Unlock()
	i, last := m.find(slot), len(d.runs)-1
	d.charge(&d.runs[i], now, took)
	d.runs[i] = d.runs[last]
	d.runs[last] = permit{}
	d.runs = d.runs[:last]
	d.free += m.width
	d.grant(now)
}

func (m *member) find(slot int) int {
	for i := range m.device.runs {
		if p := &m.device.runs[i]; p.member == m && p.slot == slot {
			return i
		}
	}
	panic("batch: a slot has no permits")
}

// spare is how many more runs of this queue could begin now.
func (m *member) spare() int {
	d := m.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) > 0 {
		return 0
	}
	return max(0, d.free) / m.width
}

// busyFor predicts the time until permits are free for a run that takes so
// long, if it is this queue's turn.
func (m *member) busyFor(now instant, run time.Duration) time.Duration {
	d := m.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.spares(m.width, run) {
		return 0
	}
	return d.freeIn(m.width, now)
}

// ahead predicts for how long work of other queues holds up a run of this one
// before which its own work takes need, in nanoseconds × permits. spare is the
// reserve to add, in runs.
func (m *member) ahead(now instant, priority int, due instant, need float64, run time.Duration) (others time.Duration, spare reserve) {
	d := m.device
	d.mu.Lock()
	defer d.mu.Unlock()
	need += m.use(now)
	sum := 0.0
	for _, o := range d.members {
		if o == m {
			continue
		}
		for _, w := range o.work {
			takes := float64(w.cost) * o.pace
			switch {
			case w.priority > priority:
				sum += takes
			case w.priority == priority:
				// The other goes first until it has had as much as this one
				// will have, and by the drift more if it is more urgent, or
				// less if it is not.
				most := need - o.use(now)
				if o.due <= due && !d.isShort(run) {
					most += d.drift(now, o.due)
				} else {
					most -= d.drift(now, due)
				}
				if most > 0 {
					sum += min(takes, max(most, float64(o.run)*float64(o.width)))
				}
			}
		}
	}
	return time.Duration(sum / float64(d.permits)), d.reserve
}

func (m *member) promises(kept, late int) {
	d := m.device
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reserve.learn(kept, late)
}

// grant gives permits to those whose turn it is, as far as they go.
func (d *Device) grant(now instant) {
	for len(d.waiting) > 0 {
		m := d.next(now)
		if !d.fits(m) {
			if m = d.between(m, now); m == nil {
				return
			}
		}
		wake := m.wake
		m.unwait()
		d.take(m, m.slot, now)
		wake <- struct{}{} // never blocks: a slot that waits has no token
	}
}

// next returns whose turn it is.
func (d *Device) next(now instant) *member {
	priority, least := d.waiting[0].priority, d.waiting[0].use(now)
	for _, m := range d.waiting[1:] {
		if m.priority > priority {
			priority, least = m.priority, m.use(now)
		} else if m.priority == priority {
			least = min(least, m.use(now))
		}
	}
	var first *member
	for _, m := range d.waiting {
		if m.priority != priority || m.use(now) > least+d.drift(now, m.due) {
			continue
		}
		if first == nil || d.sooner(m, first) {
			first = m
		}
	}
	return first
}

// drift is how much more than another a queue may have had and still go first.
func (d *Device) drift(now, due instant) float64 {
	if due-now < urgently {
		return float64(urgentDrift) * float64(d.permits)
	}
	return float64(drift) * float64(d.permits)
}

// sooner tells which of two queues with like shares is first: a short run, then
// the earlier deadline.
func (d *Device) sooner(a, b *member) bool {
	if short := d.isShort(a.run); short != d.isShort(b.run) {
		return short
	}
	return a.due < b.due
}

// between returns a queue whose run will have ended when the one whose turn it
// is gets its permits, nil if there is none.
func (d *Device) between(first *member, now instant) *member {
	start := d.freeIn(first.width, now)
	for _, m := range d.waiting {
		if m != first && m.run > 0 && m.run <= start && m.width <= d.free {
			return m
		}
	}
	return nil
}

func (d *Device) isShort(run time.Duration) bool { return run > 0 && run <= d.short }

// fits reports that there are permits for the next run of a queue.
func (d *Device) fits(m *member) bool { return d.spares(m.width, m.run) }

func (d *Device) spares(width int, run time.Duration) bool {
	return d.free >= width || d.isShort(run) && d.free-width >= -d.permits
}

// freeIn predicts the time until so many permits are free.
func (d *Device) freeIn(width int, now instant) time.Duration {
	slices.SortFunc(d.runs, func(a, b permit) int { return cmp.Compare(a.end, b.end) })
	free := d.free
	for i := 0; free < width; i++ {
		free += d.runs[i].width
		if free >= width {
			return max(0, d.runs[i].end-now)
		}
	}
	return 0
}

func (d *Device) take(m *member, slot int, now instant) {
	d.free -= m.width
	d.runs = append(d.runs, permit{member: m, slot: slot, end: now})
}

func (d *Device) predict(p *permit, now instant, run time.Duration) {
	p.end = now + run
	d.charge(p, now, run)
}

// charge makes a queue pay for a run that takes so long, as far as it has not.
func (d *Device) charge(p *permit, now instant, run time.Duration) {
	cost := float64(run) * float64(p.width)
	p.used = max(0, p.use(now)+cost-p.charged)
	p.charged = cost
}
