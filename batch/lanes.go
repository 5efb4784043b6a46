package batch

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"time"
)

// An instant is the time since the queue was made.
type instant = time.Duration

const never = instant(math.MaxInt64)

// ticket is what the scheduler knows of an item: everything but its value.
type ticket struct {
	rows, length int // length after padding to its step
	column       int // of length in the cost table
	cost         int64
	kind         uint64
	priority     int
	due          instant // orders: the deadline, or arrival + patience
	deadline     instant // expires: never if there is none
	arrived      instant
	seq          uint64
	alone        bool // to be run by itself, after a run of its batch failed

	lane   *lane // where it waits; nil otherwise
	picked bool  // leaves its lane at the end of the selection under way
	owner  any   // *entry[I, O]
}

func byUrgency(a, b *ticket) int {
	if c := cmp.Compare(a.due, b.due); c != 0 {
		return c
	}
	return cmp.Compare(a.seq, b.seq)
}

// lane holds what waits for one tenant at one priority, earliest deadline
// first, and how much of the device the tenant has had.
type lane struct {
	level  *level
	tenant string
	weight float64
	served float64 // cost ÷ weight

	cost int64 // of what waits

	// waiting is sorted[head:]: usually arrivals append and batches take from
	// the front, so that neither moves memory.
	sorted []*ticket
	head   int

	// cursor and tag stand for head and served in the selection under way.
	cursor int
	tag    float64
}

func (l *lane) waiting() []*ticket { return l.sorted[l.head:] }

func (l *lane) insert(t *ticket) {
	if n := len(l.sorted); n == cap(l.sorted) && l.head > n/2 {
		m := copy(l.sorted, l.sorted[l.head:])
		clear(l.sorted[m:])
		l.sorted, l.head = l.sorted[:m], 0
	}
	if w := l.waiting(); len(w) == 0 || byUrgency(w[len(w)-1], t) < 0 {
		l.sorted = append(l.sorted, t)
	} else {
		i, _ := slices.BinarySearchFunc(w, t, byUrgency)
		l.sorted = slices.Insert(l.sorted, l.head+i, t)
	}
	t.lane = l
}

func (l *lane) remove(t *ticket) {
	i, ok := slices.BinarySearchFunc(l.waiting(), t, byUrgency)
	if !ok {
		panic("batch: ticket is not where it waits")
	}
	t.lane = nil
	if i == 0 {
		l.sorted[l.head] = nil
		l.head++
		return
	}
	l.sorted = slices.Delete(l.sorted, l.head+i, l.head+i+1)
}

// takePicked removes the picked tickets among the first up to cursor.
func (l *lane) takePicked() {
	keep := l.cursor
	for i := l.cursor - 1; i >= l.head; i-- {
		t := l.sorted[i]
		if t.picked {
			t.picked, t.lane = false, nil
			continue
		}
		keep--
		l.sorted[keep] = t
	}
	clear(l.sorted[l.head:keep])
	l.head = keep
}

// maxLanes bounds the lanes of a level, since tenants' names are not trusted:
// beyond it unnamed tenants share lanes by the hash of their name.
const maxLanes = 64

// maxIdleLevels is how many priorities may be remembered beyond those at which
// something waits.
const maxIdleLevels = 16

// level is what waits at one priority.
type level struct {
	priority int
	clock    float64 // the served of the lane that went last
	cost     int64   // of what waits
	lanes    []*lane
}

func (lv *level) idle() bool {
	for _, l := range lv.lanes {
		if len(l.waiting()) > 0 {
			return false
		}
	}
	return true
}

// lanes is everything that waits, in order of urgency: priority, then the
// tenant that has had the least of its share (start-time fair queueing, Goyal,
// Vin and Cheng 1996), then the earliest deadline.
type lanes struct {
	levels  []*level // by priority, highest first
	weights map[string]float64
	seed    maphash.Seed
	seq     uint64

	tickets int // waiting, and the sums of their
	rows    int
	cost    int64
}

func (ls *lanes) add(t *ticket, tenant string) {
	if ls.tickets == 0 && (len(ls.levels) > 1 || len(ls.levels) == 1 && len(ls.levels[0].lanes) > 1) {
		ls.levels = nil // nobody is owed anything by an empty queue
	}
	if len(ls.levels) > maxIdleLevels {
		ls.levels = slices.DeleteFunc(ls.levels, (*level).idle)
	}
	if t.seq == 0 {
		ls.seq++
		t.seq = ls.seq
	}
	l := ls.lane(t.priority, tenant)
	if len(l.waiting()) == 0 {
		l.served = max(l.served, l.level.clock)
	}
	l.insert(t)
	ls.count(t, l, 1)
}

func (ls *lanes) remove(t *ticket) {
	ls.count(t, t.lane, -1)
	t.lane.remove(t)
}

func (ls *lanes) count(t *ticket, l *lane, sign int) {
	l.cost += int64(sign) * t.cost
	l.level.cost += int64(sign) * t.cost
	ls.tickets += sign
	ls.rows += sign * t.rows
	ls.cost += int64(sign) * t.cost
}

// weight returns a tenant's share and whether the configuration names it.
func (ls *lanes) weight(tenant string) (float64, bool) {
	if w, ok := ls.weights[tenant]; ok {
		return w, true
	}
	return 1, false
}

// lane finds or makes the lane of a tenant.
func (ls *lanes) lane(priority int, tenant string) *lane {
	at, ok := slices.BinarySearchFunc(ls.levels, priority, func(lv *level, p int) int { return cmp.Compare(p, lv.priority) })
	if !ok {
		ls.levels = slices.Insert(ls.levels, at, &level{priority: priority})
	}
	lv := ls.levels[at]
	for _, l := range lv.lanes {
		if l.tenant == tenant {
			return l
		}
	}
	weight, named := ls.weight(tenant)
	if len(lv.lanes) >= maxLanes {
		// Forget who neither waits nor has had more than his share.
		lv.lanes = slices.DeleteFunc(lv.lanes, func(l *lane) bool {
			return len(l.waiting()) == 0 && l.served <= lv.clock
		})
	}
	if n := len(lv.lanes); n >= maxLanes && !named {
		start := int(maphash.String(ls.seed, tenant) % uint64(n))
		for i := range n {
			l := lv.lanes[(start+i)%n]
			if _, named := ls.weight(l.tenant); !named {
				return l
			}
		}
	}
	l := &lane{level: lv, tenant: tenant, weight: weight}
	lv.lanes = append(lv.lanes, l)
	return l
}

// head returns what has the earliest due time at the highest priority, nil when
// nothing waits.
func (ls *lanes) head() (first *ticket) {
	for _, lv := range ls.levels {
		for _, l := range lv.lanes {
			if w := l.waiting(); len(w) > 0 && (first == nil || byUrgency(w[0], first) < 0) {
				first = w[0]
			}
		}
		if first != nil {
			return first
		}
	}
	return nil
}

// rewind starts a selection: next then yields the tickets in order of urgency.
func (ls *lanes) rewind() {
	for _, lv := range ls.levels {
		for _, l := range lv.lanes {
			l.cursor, l.tag = l.head, l.served
		}
	}
}

func (ls *lanes) next() *ticket {
	for _, lv := range ls.levels {
		var best *lane
		for _, l := range lv.lanes {
			if l.cursor == len(l.sorted) {
				continue
			}
			if best == nil || l.tag < best.tag ||
				l.tag == best.tag && byUrgency(l.sorted[l.cursor], best.sorted[best.cursor]) < 0 {
				best = l
			}
		}
		if best != nil {
			t := best.sorted[best.cursor]
			best.cursor++
			best.tag += float64(t.cost) / best.weight
			return t
		}
	}
	return nil
}

// pick marks a yielded ticket to be taken out by commit; charged says that its
// tenant pays for it.
func (ls *lanes) pick(t *ticket, charged bool) {
	t.picked = true
	if charged {
		l := t.lane
		l.level.clock = max(l.level.clock, l.served)
		l.served += float64(t.cost) / l.weight
	}
	ls.count(t, t.lane, -1)
}

// commit ends a selection: what was picked no longer waits.
func (ls *lanes) commit() {
	for _, lv := range ls.levels {
		for _, l := range lv.lanes {
			if l.cursor > l.head {
				l.takePicked()
			}
		}
	}
}

// ahead returns the cost of what goes before work of the given cost, priority,
// tenant and due time: everything more urgent, but of each other tenant no
// more than its share while this one is served.
func (ls *lanes) ahead(cost int64, priority int, tenant string, due instant) int64 {
	var higher, own int64
	weight, _ := ls.weight(tenant)
	var peers *level
	for _, lv := range ls.levels {
		if lv.priority < priority {
			break
		}
		for _, l := range lv.lanes {
			if lv.priority == priority && l.tenant != tenant {
				peers = lv
				continue
			}
			for _, t := range l.waiting() {
				if lv.priority > priority {
					higher += t.cost
				} else if t.due <= due {
					own += t.cost
				}
			}
		}
	}
	ahead := higher + own
	if peers == nil {
		return ahead
	}
	for _, l := range peers.lanes {
		if l.tenant == tenant {
			continue
		}
		ahead += min(l.cost, int64(float64(own+cost)*l.weight/weight))
	}
	return ahead
}

// displaced returns waiting tickets that give way to work of the given rows and
// cost, for a queue that is over its bounds by overRows and overCost with it:
// the least urgent of lower priorities, then of those tenants of the same
// priority who hold more than their share. It returns nil if that does not
// make room enough, and changes nothing.
func (ls *lanes) displaced(cost int64, priority int, tenant string, overRows int, overCost int64) []*ticket {
	weight, _ := ls.weight(tenant)
	share := float64(cost) // of the queue, by weight, once the work is in
	for _, lv := range ls.levels {
		for _, l := range lv.lanes {
			l.cursor, l.tag = len(l.sorted), float64(l.cost)/l.weight
			if lv.priority == priority && l.tenant == tenant {
				share += float64(l.cost)
			}
		}
	}
	share /= weight

	var out []*ticket
	for _, lv := range slices.Backward(ls.levels) {
		if lv.priority > priority {
			break
		}
		for overRows > 0 || overCost > 0 {
			var most *lane
			for _, l := range lv.lanes {
				if l.cursor > l.head && (most == nil || l.tag > most.tag) {
					most = l
				}
			}
			if most == nil {
				break
			}
			most.cursor--
			t := most.sorted[most.cursor]
			most.tag -= float64(t.cost) / most.weight
			if lv.priority == priority && (most.tenant == tenant || most.tag < share) {
				break
			}
			out = append(out, t)
			overRows -= t.rows
			overCost -= t.cost
		}
	}
	if overRows > 0 || overCost > 0 {
		return nil
	}
	return out
}
