package batch

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func echo(_ context.Context, b *Batch[int, int]) error {
	copy(b.Outputs, b.Items)
	return nil
}

// TestCancelAtTheLastMoment cancels callers while the run before theirs, or
// their own, ends: who is cancelled in the queue does not run, and nobody gets
// what was meant for an earlier user of a recycled call.
func TestCancelAtTheLastMoment(t *testing.T) {
	type job struct {
		id      int
		ctx     context.Context
		cancels []context.CancelFunc // called at the end of its run
	}
	var cancelledRuns int
	q, err := New(Config{Inline: -1, MaxItems: 1}, func(_ context.Context, b *Batch[*job, int]) error {
		j := b.Items[0]
		if j.ctx.Err() != nil {
			cancelledRuns++
		}
		b.Outputs[0] = j.id
		for range rand.IntN(50) {
			runtime.Gosched()
		}
		for _, c := range j.cancels {
			c()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	do := func(ctx context.Context, id int, cancels ...context.CancelFunc) {
		r := q.Do(ctx, Call{}, []Item[*job]{{Value: &job{id, ctx, cancels}}})[0]
		if r.Err == nil && r.Value != id || r.Err != nil && r.Err != context.Canceled {
			t.Errorf("%d got %d, %v", id, r.Value, r.Err)
		}
	}
	for i := range 2000 {
		own, cancelOwn := context.WithCancel(t.Context())
		next, cancelNext := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { do(own, 3*i, cancelOwn, cancelNext) })
		wg.Go(func() { do(next, 3*i+1) })
		wg.Go(func() { do(t.Context(), 3*i+2) })
		wg.Wait()
		cancelOwn()
		cancelNext()
	}
	if cancelledRuns > 0 {
		t.Errorf("%d items ran although they were cancelled", cancelledRuns)
	}
}

// TestRunMustKeepItsSlices: a run that resizes the slices it was given fails.
func TestRunMustKeepItsSlices(t *testing.T) {
	q, err := New(Config{}, func(_ context.Context, b *Batch[int, int]) error {
		b.Outputs = append(b.Outputs, 1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if err := q.Do(t.Context(), Call{}, make([]Item[int], 1))[0].Err; err == nil || !strings.Contains(err.Error(), "2 outputs") {
		t.Error(err)
	}
}

// TestNothingIsKept looks for values that an idle queue still refers to.
func TestNothingIsKept(t *testing.T) {
	type big struct{ _ [1 << 10]byte }
	q, err := New(Config{}, func(_ context.Context, b *Batch[*big, *big]) error {
		copy(b.Outputs, b.Items)
		b.Errs[0] = errors.New("x")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	q.Do(t.Context(), Call{}, []Item[*big]{{Value: new(big)}, {Value: new(big)}})
	b := &q.slots[0].batch
	for i := range 2 {
		if b.Items[:2][i] != nil || b.Outputs[:2][i] != nil || b.Errs[:2][i] != nil || q.slots[0].entries[:2][i] != nil {
			t.Errorf("item %d is kept", i)
		}
	}
	for _, k := range slices.Concat(q.sched.considered, q.sched.part.sorted) {
		if k != nil {
			t.Error("the scheduler keeps a ticket")
		}
	}
	if k := q.calls.Get().(*call[*big, *big]); cap(k.entries) > 0 {
		for _, e := range k.entries[:cap(k.entries)] {
			if e.value != nil || e.result.Value != nil || e.call != nil {
				t.Error("a recycled call keeps its items")
			}
		}
	}
}

// TestInlineCallKeepsTheLimits: what one caller brings to an idle device joins
// no more than what waits would.
func TestInlineCallKeepsTheLimits(t *testing.T) {
	for name, items := range map[string][]Item[int]{
		"kinds":   {{Kind: 1}, {Kind: 2}},
		"padding": {{Length: 8}, {Length: 64}},
		"rows":    {{Rows: 4}, {Rows: 5}},
		"cost":    {{Cost: 700}, {Cost: 700}},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := New(Config{MaxRows: 8, MaxCost: 1000, MaxPadding: 0.2, Inline: time.Hour, Costs: []Cost{{Shape{1, 8}, time.Microsecond}}},
				func(context.Context, *Batch[int, int]) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			if r := q.Do(t.Context(), Call{}, items[:1])[0]; r.Err != nil || !r.Inline {
				t.Fatalf("one alone: %+v", r)
			}
			for i, r := range q.Do(t.Context(), Call{}, items) {
				if r.Err != nil || r.Items != 1 {
					t.Errorf("item %d: %+v", i, r)
				}
			}
		})
	}
}

func TestSizesBeyondReason(t *testing.T) {
	q, err := New(Config{}, func(context.Context, *Batch[int, int]) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, it := range []Item[int]{{Rows: -1}, {Rows: math.MaxInt}, {Length: -1}, {Length: math.MaxInt}, {Length: math.MaxInt, Rows: 3}, {Cost: -1}, {Cost: math.MaxInt64}} {
		r := q.Do(t.Context(), Call{}, []Item[int]{it, {}})
		if !errors.Is(r[0].Err, ErrTooLarge) || r[1].Err != nil {
			t.Errorf("%+v: %v; its neighbour: %v", it, r[0].Err, r[1].Err)
		}
	}
}

func TestCheck(t *testing.T) {
	hold := make(chan struct{})
	q, err := New(Config{MaxQueuedRows: 4}, func(context.Context, *Batch[int, int]) error {
		<-hold
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	bring := func() { wg.Go(func() { q.Do(t.Context(), Call{}, make([]Item[int], 1)) }) }
	bring()
	for st := q.Stats(); st.BusySlots < 1 || st.QueuedRows > 0; st = q.Stats() {
		time.Sleep(time.Millisecond)
	}
	// The slot is held, so that these two wait.
	bring()
	bring()
	for q.Stats().QueuedRows < 2 {
		time.Sleep(time.Millisecond)
	}
	for rows, want := range map[int]error{1: nil, 2: nil, 3: ErrFull, 5: ErrTooLarge} {
		if err := q.Check(t.Context(), Call{}, Item[int]{Rows: rows}, 1); !errors.Is(err, want) {
			t.Errorf("%d rows: %v, want %v", rows, err, want)
		}
	}
	close(hold)
	wg.Wait()
	q.Close()
	if err := q.Check(t.Context(), Call{}, Item[int]{}, 1); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// TestStress is for the race detector: many callers, cancellations, two slots,
// a close in the middle.
func TestStress(t *testing.T) {
	q, err := New(Config{Slots: 2, MaxRows: 8, MaxQueuedRows: 64}, func(_ context.Context, b *Batch[int, int]) error {
		for i, v := range b.Items {
			if v%97 == 0 {
				return errors.New("bad")
			}
			b.Outputs[i] = -v
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(5, uint64(g)))
			for i := range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(2000))*time.Microsecond)
				items := make([]Item[int], 1+rng.IntN(4))
				for k := range items {
					items[k].Value = g*10000 + i*10 + k + 1
					items[k].Length = rng.IntN(100)
				}
				for k, r := range q.Do(ctx, Call{Priority: rng.IntN(2)}, items) {
					if r.Err == nil && r.Value != -items[k].Value {
						t.Errorf("%d got %d", items[k].Value, r.Value)
					}
				}
				cancel()
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	q.Close()
	wg.Wait()
	if st := q.Stats(); st.QueuedItems != 0 || st.BusySlots != 0 || st.OK == 0 {
		t.Errorf("%+v", st)
	}
}
