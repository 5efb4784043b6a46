package batch

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOverload offers texts of mixed length (log-normal, median 24 tokens,
// sigma 0.8, 4 to 128) at many times the capacity of a device in fake time,
// with a deadline of 250 ms: goodput stays near the peak, nobody is served
// late, and short and long texts are refused alike.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of calls")
	}
	const seconds = 8
	var peak float64 // tokens per second
	synctest.Test(t, func(t *testing.T) {
		peak = saturate(t, 64, seconds*time.Second)
	})
	for _, c := range []struct{ times, least float64 }{{0.7, 0.69}, {2, 0.94}, {5, 0.93}, {10, 0.93}} {
		t.Run(fmt.Sprintf("%vx", c.times), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := offer(t, c.times*peak, 250*time.Millisecond, seconds*time.Second)
				t.Logf("goodput %.3f of the peak %.0f tokens/s, p50 %v, p99 %v, %d of %d late, refused by quartile %.2f, of these at once %.2f",
					r.goodput/peak, peak, r.took[len(r.took)/2], r.took[len(r.took)*99/100], r.late, len(r.took), r.refused, r.atOnce)
				if r.goodput < c.least*peak {
					t.Errorf("goodput %.3f of the peak, want %v", r.goodput/peak, c.least)
				}
				if spread := slices.Max(r.refused[:]) - slices.Min(r.refused[:]); spread > 0.1 {
					t.Errorf("refused shares by quartile of length differ: %.2f", r.refused)
				}
				if r.late > len(r.took)/100 {
					t.Errorf("%d ran in vain for %d served", r.late, len(r.took))
				}
			})
		})
	}
}

var overloadConfig = Config{
	MaxRows: 32, MaxQueuedRows: 4096,
	RowSteps:    []int{1, 2, 4, 8, 16, 32},
	LengthSteps: []int{8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128},
}

// encoder is a run of a small text encoder on a CPU, with noise; large batches
// fall out of the cache.
func encoder(rng *rand.Rand) RunFunc[int, int] {
	return func(ctx context.Context, b *Batch[int, int]) error {
		cells := float64(b.Shape.Rows * b.Shape.Length)
		us := 800 + 110*cells
		if cells > 1024 {
			us += 40 * (cells - 1024)
		}
		us *= 1 + 0.1*rng.Float64()
		select {
		case <-time.After(time.Duration(us) * time.Microsecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		copy(b.Outputs, b.Items)
		return nil
	}
}

func textLength(rng *rand.Rand) int {
	return int(min(128, max(4, math.Exp(math.Log(24)+0.8*rng.NormFloat64()))))
}

// saturate returns the tokens per second under closed-loop callers without
// deadlines.
func saturate(t *testing.T, callers int, d time.Duration) float64 {
	q, err := New(overloadConfig, encoder(rand.New(rand.NewPCG(1, 1))))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var mu sync.Mutex
	tokens := 0
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			for ctx.Err() == nil {
				n := textLength(rng)
				if q.Do(t.Context(), Call{}, []Item[int]{{Value: n, Length: n}})[0].Err == nil {
					mu.Lock()
					tokens += n
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return float64(tokens) / d.Seconds()
}

type outcome struct {
	goodput float64         // tokens per second answered in time
	took    []time.Duration // of these, sorted
	late    int             // ran in vain
	refused [4]float64      // share by quartile of length
	atOnce  float64         // share of refusals made at submission
}

// offer brings Poisson arrivals of the given tokens per second.
func offer(t *testing.T, tokensPerSecond float64, deadline, d time.Duration) outcome {
	q, err := New(overloadConfig, encoder(rand.New(rand.NewPCG(3, 3))))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	rng := rand.New(rand.NewPCG(4, 4))
	const meanLength = 32.0
	var mu sync.Mutex
	var r outcome
	var all, failed [4]int
	atOnce, refusals := 0, 0
	tokens := 0
	var wg sync.WaitGroup
	start := time.Now()
	for time.Since(start) < d {
		time.Sleep(time.Duration(rng.ExpFloat64() * meanLength / tokensPerSecond * float64(time.Second)))
		n := textLength(rng)
		quartile := 0
		for quartile < 3 && n > []int{13, 23, 40}[quartile] {
			quartile++
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), deadline)
			defer cancel()
			from := time.Now()
			res := q.Do(ctx, Call{}, []Item[int]{{Value: n, Length: n}})[0]
			took := time.Since(from)
			mu.Lock()
			defer mu.Unlock()
			all[quartile]++
			if res.Err == nil && took <= deadline {
				tokens += n
				r.took = append(r.took, took)
				return
			}
			refusals++
			failed[quartile]++
			switch {
			case took == 0:
				atOnce++
			case res.Queue == 0 || res.Err == nil: // it had left the queue
				r.late++
			}
		})
	}
	wg.Wait()
	slices.Sort(r.took)
	r.goodput = float64(tokens) / d.Seconds()
	for i := range all {
		r.refused[i] = float64(failed[i]) / float64(all[i])
	}
	r.atOnce = float64(atOnce) / float64(max(refusals, 1))
	return r
}

// TestGreedyTenant: while one tenant offers many times the capacity, another
// who stays below its share is served as if it were alone.
func TestGreedyTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, err := New(overloadConfig, encoder(rand.New(rand.NewPCG(6, 6))))
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		var mu sync.Mutex
		offered, served := map[string]int{}, map[string]int{}
		var wg sync.WaitGroup
		tenant := func(name string, perSecond float64) {
			rng := rand.New(rand.NewPCG(7, uint64(perSecond)))
			for start := time.Now(); time.Since(start) < 8*time.Second; {
				time.Sleep(time.Duration(rng.ExpFloat64() / perSecond * float64(time.Second)))
				n := textLength(rng)
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
					defer cancel()
					r := q.Do(ctx, Call{Tenant: name}, []Item[int]{{Value: n, Length: n}})[0]
					mu.Lock()
					defer mu.Unlock()
					offered[name]++
					if r.Err == nil {
						served[name]++
					}
				})
			}
		}
		wg.Go(func() { tenant("greedy", 2000) })
		wg.Go(func() { tenant("modest", 70) })
		wg.Wait()
		t.Logf("of %v served %v", offered, served)
		if served["modest"] < offered["modest"]*97/100 {
			t.Errorf("the modest tenant got %d of %d", served["modest"], offered["modest"])
		}
		if served["greedy"] < 1000 {
			t.Errorf("the greedy tenant got only %d", served["greedy"])
		}
	})
}
