package batch

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("rapid.nofailfile", "true") // a schedule is not all that decides a run
	goleak.VerifyTestMain(m)
}

// step is one call of a random schedule.
type step struct {
	after     time.Duration // since the step before
	call      Call
	items     [2]Item[*probe] // taken in turn
	n         int
	deadline  time.Duration // 0: none
	cancel    time.Duration // 0: never
	behaviour int
	queue     int
}

// sharing is the device of a random schedule; none when permits is 0.
type sharing struct {
	permits int
	short   time.Duration
	widths  []int // of the queues
}

// probe is the value of an item: it notes what happens to it.
type probe struct {
	id        int
	behaviour int
	ctx       context.Context // for the test's check alone
	leaves    time.Time       // when its caller does; zero if he stays
	item      Item[*probe]
	runs      int
}

const (
	fine = iota
	failsAlone
	failsBatch
	panics
	waitsForCancel
)

// TestProperties plays random schedules: whatever comes, every item is
// answered once and with its own answer, no batch breaks a limit, nothing that
// expired or was cancelled runs, the queue stays within its bounds, and queues
// that share a device within its permits, all of which it has back in the end.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{
			Slots:         rapid.IntRange(1, 3).Draw(rt, "slots"),
			MaxRows:       rapid.IntRange(1, 12).Draw(rt, "rows"),
			MaxItems:      rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(rt, "items"),
			MaxCost:       rapid.SampledFrom([]int64{0, 0, 200}).Draw(rt, "cost"),
			MaxPadding:    rapid.SampledFrom([]float64{-1, 0, 0.2, 0.9}).Draw(rt, "padding"),
			MaxQueuedRows: rapid.IntRange(8, 40).Draw(rt, "queued"),
			Window:        rapid.SampledFrom([]time.Duration{0, 0, 0, 3 * time.Millisecond}).Draw(rt, "window"),
			Inline:        rapid.SampledFrom([]time.Duration{0, -1, time.Second}).Draw(rt, "inline"),
			Lookahead:     rapid.SampledFrom([]int{0, 1, 5}).Draw(rt, "lookahead"),
			Weights:       map[string]float64{"x": 3},
			NoRetry:       rapid.Bool().Draw(rt, "noretry"),
		}
		if rapid.Bool().Draw(rt, "steps") {
			cfg.RowSteps, cfg.LengthSteps = []int{1, 2, 4, 8, 16}, []int{8, 16, 32}
		}
		shared := sharing{widths: []int{1}}
		if rapid.Bool().Draw(rt, "shared") {
			shared.permits = rapid.IntRange(1, 3).Draw(rt, "permits")
			shared.short = rapid.SampledFrom([]time.Duration{0, 2 * time.Millisecond}).Draw(rt, "short")
			shared.widths = rapid.SliceOfN(rapid.IntRange(1, 4), 1, 3).Draw(rt, "widths")
		}
		ms := func(name string, values ...int) time.Duration {
			return time.Duration(rapid.SampledFrom(values).Draw(rt, name))*time.Millisecond + 37*time.Microsecond
		}
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			s := step{
				call:      Call{Priority: rapid.IntRange(0, 2).Draw(rt, "priority"), Tenant: rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "tenant")},
				queue:     rapid.IntRange(0, len(shared.widths)-1).Draw(rt, "queue"),
				n:         rapid.SampledFrom([]int{1, 1, 2, 7}).Draw(rt, "n"),
				behaviour: rapid.SampledFrom([]int{fine, fine, fine, fine, failsAlone, failsBatch, panics, waitsForCancel}).Draw(rt, "behaviour"),
			}
			for i := range s.items {
				s.items[i] = Item[*probe]{
					Rows:   rapid.IntRange(0, 4).Draw(rt, "rows"),
					Length: rapid.SampledFrom([]int{0, 5, 8, 11, 30, 50}).Draw(rt, "length"),
					Kind:   uint64(rapid.IntRange(0, 1).Draw(rt, "kind")),
				}
			}
			if rapid.Bool().Draw(rt, "wait") {
				s.after = time.Duration(rapid.IntRange(0, 4000).Draw(rt, "after")) * time.Microsecond
			}
			if rapid.Bool().Draw(rt, "has deadline") {
				s.deadline = ms("deadline", 1, 3, 10, 50)
			}
			if s.behaviour == waitsForCancel || rapid.IntRange(0, 4).Draw(rt, "cancels") == 0 {
				s.cancel = ms("cancel", 0, 1, 4, 20)
			}
			return s
		}), 1, 40).Draw(rt, "steps")
		end := rapid.SampledFrom([]string{"drain", "close"}).Draw(rt, "end")

		var faults []string
		synctest.Test(t, func(t *testing.T) { faults = playSteps(cfg, shared, steps, end) })
		if len(faults) > 0 {
			rt.Fatal(faults)
		}
	})
}

func overdue(ctx context.Context) bool {
	d, ok := ctx.Deadline()
	return ok && !d.After(time.Now())
}

func playSteps(cfg Config, shared sharing, steps []step, end string) (faults []string) {
	var mu sync.Mutex // guards what follows and the probes
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	type place struct{ queue, slot int }
	busy := map[place]bool{}
	permits := 0 // taken
	full := cfg.withDefaults()
	if shared.permits > 0 {
		cfg.Device = NewDevice(shared.permits, shared.short)
	}

	run := func(ctx context.Context, queue int, b *Batch[*probe, int]) error {
		mu.Lock()
		at, width := place{queue, b.Slot}, min(shared.widths[queue], max(shared.permits, 1))
		if busy[at] || b.Slot < 0 || b.Slot >= full.Slots {
			fault("slot %d is taken", b.Slot)
		}
		busy[at] = true
		permits += width
		if d := cfg.Device; d != nil && (permits > 2*d.permits || permits > d.permits && d.short == 0) {
			fault("%d of %d permits are taken", permits, d.permits)
		}
		rows, cells, cost, longest := 0, 0, int64(0), 0
		for _, p := range b.Items {
			r, l := max(p.item.Rows, 1), 0
			if p.item.Length > 0 {
				l = stepUp(full.LengthSteps, p.item.Length)
			}
			rows += r
			cells += r * l
			cost += int64(r * max(p.item.Length, 1))
			longest = max(longest, l)
			p.runs++
			if p.item.Kind != b.Items[0].item.Kind {
				fault("kinds joined")
			}
			if overdue(p.ctx) {
				fault("item %d ran after its deadline", p.id)
			}
			if !p.leaves.IsZero() && p.leaves.Before(time.Now()) { // at the same instant either may be first
				fault("item %d ran although it was cancelled", p.id)
			}
		}
		if len(b.Items) == 0 || rows != b.Rows || rows > full.MaxRows || len(b.Items) > full.MaxItems || full.MaxCost > 0 && cost > full.MaxCost {
			fault("batch of %d items, %d rows (said %d), cost %d", len(b.Items), rows, b.Rows, cost)
		}
		if b.Shape != (Shape{stepUp(full.RowSteps, rows), longest}) {
			fault("shape %v for %d rows of %d", b.Shape, rows, longest)
		}
		if float64(rows*longest-cells) > full.MaxPadding*float64(rows*longest)+1e-9 {
			fault("padding %d of %d", rows*longest-cells, rows*longest)
		}
		mu.Unlock()
		defer func() {
			mu.Lock()
			delete(busy, at)
			permits -= width
			mu.Unlock()
		}()
		time.Sleep(time.Millisecond + time.Duration(b.Shape.Rows*b.Shape.Length)*10*time.Microsecond)
		for i, p := range b.Items {
			switch p.behaviour {
			case failsAlone:
				b.Errs[i] = errors.New("item")
			case failsBatch:
				return errors.New("batch")
			case panics:
				panic("probe")
			case waitsForCancel:
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(100 * time.Millisecond): // a neighbour stays
					return errors.New("batch")
				}
			}
			b.Outputs[i] = p.id
		}
		return nil
	}
	var queues []*Queue[*probe, int]
	for i, width := range shared.widths {
		cfg.Width = width
		q, err := New(cfg, func(ctx context.Context, b *Batch[*probe, int]) error { return run(ctx, i, b) })
		if err != nil {
			return []string{err.Error()}
		}
		queues = append(queues, q)
	}

	var wg sync.WaitGroup
	submitted, tooLarge := 0, 0
	var count Stats
	id := 0
	for _, s := range steps {
		time.Sleep(s.after)
		q := queues[s.queue]
		if st := q.Stats(); st.QueuedRows > full.MaxQueuedRows+full.Slots*full.MaxRows || st.QueuedItems < 0 || st.BusySlots > full.Slots {
			mu.Lock()
			fault("%+v", st)
			mu.Unlock()
		}
		ctx, cancel := context.WithCancel(context.Background())
		if s.deadline > 0 {
			var done context.CancelFunc
			ctx, done = context.WithTimeout(ctx, s.deadline)
			cancel = both(cancel, done)
		}
		var leaves time.Time
		if s.cancel > 0 {
			leaves = time.Now().Add(s.cancel)
			time.AfterFunc(s.cancel, cancel)
		}
		items := make([]Item[*probe], s.n)
		for i := range items {
			id++
			items[i] = s.items[i%2]
			items[i].Value = &probe{id: id, ctx: ctx, leaves: leaves, item: items[i], behaviour: fine}
			if i == 0 {
				items[i].Value.behaviour = s.behaviour
			}
		}
		wg.Go(func() {
			defer cancel()
			results := q.Do(ctx, s.call, items)
			mu.Lock()
			defer mu.Unlock()
			submitted += len(items)
			if len(results) != len(items) {
				fault("%d results for %d items", len(results), len(items))
			}
			for i, r := range results {
				p := items[i].Value
				if r.Err == nil && r.Value != p.id {
					fault("item %d got the answer of %d", p.id, r.Value)
				}
				if r.Err == nil && p.behaviour != fine {
					fault("item %d should have failed", p.id)
				}
				if p.runs > 2 || full.NoRetry && p.runs > 1 {
					fault("item %d ran %d times", p.id, p.runs)
				}
				switch {
				case r.Err == nil:
					count.OK++
				case errors.Is(r.Err, ErrTooLarge):
					tooLarge++
				case errors.Is(r.Err, ErrFull), errors.Is(r.Err, ErrDeadline), errors.Is(r.Err, ErrClosed), ctx.Err() != nil:
				case errors.Is(r.Err, context.DeadlineExceeded) && overdue(ctx): // its timer is about to fire
				case p.behaviour == fine && !full.NoRetry:
					fault("item %d: %v", p.id, r.Err)
				}
			}
		})
	}
	for _, q := range queues {
		if end == "drain" {
			if err := q.Drain(context.Background()); err != nil {
				fault("drain: %v", err)
			}
			if st := q.Stats(); st.QueuedItems != 0 || st.BusySlots != 0 {
				fault("drained, yet %+v", st)
			}
		}
		q.Close()
	}
	wg.Wait()
	answered, ended := uint64(0), uint64(0)
	for _, q := range queues {
		st := q.Stats()
		if st.QueuedItems != 0 || st.QueuedRows != 0 || st.QueuedCost != 0 || st.BusySlots != 0 {
			fault("closed, yet %+v", st)
		}
		answered += st.OK
		ended += st.OK + st.Failed + st.Expired + st.Cancelled + st.Closed + st.RefusedFull + st.RefusedDeadline
	}
	if answered != uint64(count.OK) || ended > uint64(submitted-tooLarge) {
		fault("%d items ended, %d well, %d came, %d of them too large, %d were answered", ended, answered, submitted, tooLarge, count.OK)
	}
	if d := cfg.Device; d != nil && (d.free != d.permits || len(d.members)+len(d.waiting)+len(d.runs) > 0) {
		fault("the device keeps %+v", d)
	}
	time.Sleep(time.Second) // the last timers
	return faults
}
