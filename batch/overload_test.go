package batch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOverload offers texts of mixed length (log-normal, median 24 tokens,
// sigma 0.8, 4 to 128; Poisson arrivals) at many times the capacity of a device
// in fake time, with a deadline of 250 ms: goodput stays near the peak, those
// who are accepted are answered in time, those who are not hear it at once, and
// short and long texts are refused alike. The costs of runs are MiniLM's, with
// noise; disturbed they take half as long again for two seconds out of four,
// which nothing announces, and goodput is held to what that leaves.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of calls")
	}
	const seconds = 8
	for _, c := range []struct {
		name   string
		slower neighbour
		models int       // that share the device
		least  []float64 // goodput by load, of the peak
		late   float64   // share of the accepted, and of refusals that do not come at once
	}{
		{"steady", nil, 1, []float64{0.68, 0.95, 0.9, 0.85}, 0.015},
		{"disturbed", everyOtherSecond, 1, []float64{0.68, 0.85, 0.85, 0.85}, 0.02},
		{"20 models", nil, 20, []float64{0.68, 0.95, 0.9, 0.85}, 0.02},
	} {
		var peak float64 // tokens per second
		synctest.Test(t, func(t *testing.T) { peak = saturate(t, encoders(t, c.models, c.slower), 64, seconds*time.Second) })
		for i, times := range []float64{0.7, 2, 5, 10} {
			t.Run(fmt.Sprintf("%s/%vx", c.name, times), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := offer(encoders(t, c.models, c.slower), times*peak, 250*time.Millisecond, seconds*time.Second)
					r.judge(t, peak, c.least[i], c.late)
				})
			})
		}
	}
}

// TestManyModels: under the same 64 callers 20 models on one device do nearly as
// much together as one does.
func TestManyModels(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of calls")
	}
	rate := map[int]float64{}
	for _, n := range []int{1, 20} {
		synctest.Test(t, func(t *testing.T) { rate[n] = saturate(t, encoders(t, n, nil), 64, 8*time.Second) })
	}
	t.Logf("%.0f tokens/s of one model, %.3f of it from twenty", rate[1], rate[20]/rate[1])
	if rate[20] < 0.78*rate[1] { // each has but three waiting to choose from

		t.Errorf("20 models serve %.0f tokens/s, one %.0f", rate[20], rate[1])
	}
}

// neighbour says by how much runs are slower, by the time since the start.
type neighbour func(time.Duration) float64

// everyOtherSecond a neighbour takes a third of the device, two of them at a
// time.
func everyOtherSecond(at time.Duration) float64 {
	if at%(4*time.Second) >= 2*time.Second {
		return 1.5
	}
	return 1
}

var overloadConfig = Config{
	MaxRows: 32, MaxQueuedRows: 4096,
	RowSteps:    []int{1, 2, 4, 8, 16, 32},
	LengthSteps: []int{8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128},
}

// minilm are the microseconds of a run of MiniLM-L6 in float32 by rows (1, 2, 4,
// to 32) and tokens, as measured on one thread of a Xeon and halved for two.
var minilm = struct {
	lengths []int
	micros  [6][8]float64
}{
	[]int{8, 16, 24, 32, 48, 64, 96, 128},
	[6][8]float64{
		{1813, 2864, 3416, 3959, 5150, 6525, 9339, 12191},
		{2830, 4068, 5136, 6581, 8811, 11673, 15762, 22995},
		{4624, 5864, 7601, 9939, 16335, 21428, 34301, 43359},
		{5951, 11311, 14443, 20346, 29191, 40822, 63728, 98001},
		{11757, 21883, 32704, 42654, 68040, 93986, 150754, 213867},
		{20948, 42318, 65269, 88798, 142187, 203182, 322263, 455317},
	},
}

// encoder takes as long as MiniLM, between the lengths in a straight line, with
// noise and a stall now and then.
func encoder(rng *rand.Rand, slower neighbour) RunFunc[int, int] {
	start := time.Now()
	return func(ctx context.Context, b *Batch[int, int]) error {
		row := minilm.micros[bits.Len(uint(b.Shape.Rows))-1]
		i := max(1, slices.IndexFunc(minilm.lengths, func(l int) bool { return l >= b.Shape.Length }))
		low, high := minilm.lengths[i-1], minilm.lengths[i]
		us := row[i-1] + (row[i]-row[i-1])*float64(b.Shape.Length-low)/float64(high-low)
		us *= math.Exp(0.1 * rng.NormFloat64())
		if rng.IntN(100) == 0 {
			us *= 2
		}
		if slower != nil {
			us *= slower(time.Since(start))
		}
		select {
		case <-time.After(time.Duration(us) * time.Microsecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		copy(b.Outputs, b.Items)
		return nil
	}
}

// encoders makes queues of so many models, which share the device if there are
// several, and warms them as a server does.
func encoders(t *testing.T, n int, slower neighbour) []*Queue[int, int] {
	t.Helper()
	cfg := overloadConfig
	if n > 1 {
		cfg.Device, cfg.Width = NewDevice(2, time.Millisecond), 2
	}
	queues := make([]*Queue[int, int], n)
	for i := range queues {
		var err error
		if queues[i], err = New(cfg, encoder(rand.New(rand.NewPCG(3, uint64(i))), slower)); err != nil {
			t.Fatal(err)
		}
		for _, length := range []int{8, 32, 128} {
			for _, rows := range []int{1, 8, 32} {
				queues[i].Do(t.Context(), Call{}, slices.Repeat([]Item[int]{{Length: length}}, rows))
			}
		}
	}
	return queues
}

func textLength(rng *rand.Rand) int {
	return int(min(128, max(4, math.Exp(math.Log(24)+0.8*rng.NormFloat64()))))
}

// saturate returns the tokens per second under closed-loop callers without
// deadlines, each of whom takes the queues in a random order.
func saturate(t *testing.T, queues []*Queue[int, int], callers int, d time.Duration) float64 {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var mu sync.Mutex
	tokens := 0
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			for ctx.Err() == nil {
				q, n := queues[rng.IntN(len(queues))], textLength(rng)
				if q.Do(t.Context(), Call{}, []Item[int]{{Value: n, Length: n}})[0].Err == nil && ctx.Err() == nil {
					mu.Lock()
					tokens += n
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for _, q := range queues {
		q.Close()
	}
	return float64(tokens) / d.Seconds()
}

type outcome struct {
	goodput float64         // tokens per second answered in time
	took    []time.Duration // until an answer, of those accepted; sorted
	hold    []time.Duration // until a refusal; sorted
	late    int             // accepted, and not answered in time
	refused [4]float64      // share by quartile of length
}

func (r *outcome) judge(t *testing.T, peak, least, late float64) {
	t.Helper()
	p99 := func(d []time.Duration) time.Duration {
		if len(d) == 0 {
			return 0
		}
		return d[len(d)*99/100]
	}
	t.Logf("goodput %.3f of the peak %.0f tokens/s, answered in p50 %v, p99 %v, %d of %d late, refused by quartile %.2f, in p99 %v",
		r.goodput/peak, peak, r.took[len(r.took)/2], p99(r.took), r.late, len(r.took), r.refused, p99(r.hold))
	if r.goodput < least*peak {
		t.Errorf("goodput %.3f of the peak, want %v", r.goodput/peak, least)
	}
	if spread := slices.Max(r.refused[:]) - slices.Min(r.refused[:]); spread > 0.1 {
		t.Errorf("refused shares by quartile of length differ: %.2f", r.refused)
	}
	if float64(r.late) > late*float64(len(r.took)) {
		t.Errorf("%d of the accepted are late, %d in time", r.late, len(r.took))
	}
	if i := int(float64(len(r.hold)) * (1 - late)); len(r.hold) > 0 && r.hold[i] > 5*time.Millisecond {
		t.Errorf("a refusal takes %v for the slowest %v", r.hold[i], late)
	}
}

// offer brings Poisson arrivals of the given tokens per second, each to one of
// the queues.
func offer(queues []*Queue[int, int], tokensPerSecond float64, deadline, d time.Duration) outcome {
	rng := rand.New(rand.NewPCG(4, 4))
	const meanLength = 32.0
	var mu sync.Mutex
	var r outcome
	var all, failed [4]int
	tokens := 0
	var wg sync.WaitGroup
	start := time.Now()
	for time.Since(start) < d {
		time.Sleep(time.Duration(rng.ExpFloat64() * meanLength / tokensPerSecond * float64(time.Second)))
		q, n := queues[rng.IntN(len(queues))], textLength(rng)
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
			if res.Err == nil {
				r.took = append(r.took, took)
				if took <= deadline {
					if time.Since(start) <= d {
						tokens += n
					}
					return
				}
			} else {
				r.hold = append(r.hold, took)
			}
			failed[quartile]++
			if took > 0 {
				r.late++
			}
		})
	}
	wg.Wait()
	for _, q := range queues {
		q.Close()
	}
	slices.Sort(r.took)
	slices.Sort(r.hold)
	r.goodput = float64(tokens) / d.Seconds()
	for i := range all {
		r.refused[i] = float64(failed[i]) / float64(all[i])
	}
	return r
}

// TestGreedyTenant: while one tenant offers many times the capacity, another
// who stays below its share is served as if it were alone.
func TestGreedyTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, err := New(overloadConfig, encoder(rand.New(rand.NewPCG(6, 6)), nil))
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

// TestShares: two models that both have more to do than half the device can
// take get about equal time of it, however long their runs are and however near
// the deadlines of one; and one that wants less waits for no more than a run.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		name      string
		deadlines bool // of the light model's calls
		callers   int  // of the light model
		pause     time.Duration
		share     [2]float64 // of the light model, within
	}{
		{"both", false, 8, 0, [2]float64{0.38, 0.6}},
		{"deadlines", true, 8, 0, [2]float64{0.45, 0.65}},
		{"light", false, 1, 40 * time.Millisecond, [2]float64{0.05, 0.15}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := NewDevice(2, time.Millisecond)
				model := func(run time.Duration) *Queue[int, int] {
					q, err := New(Config{Device: shared, Width: 2, MaxRows: 1}, func(_ context.Context, b *Batch[int, int]) error {
						time.Sleep(run)
						return nil
					})
					if err != nil {
						t.Fatal(err)
					}
					return q
				}
				heavy, light := model(97*time.Millisecond), model(7*time.Millisecond)
				start, slowest := time.Now(), time.Duration(0)
				var mu sync.Mutex
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						for time.Since(start) < 20*time.Second {
							heavy.Do(t.Context(), Call{}, make([]Item[int], 1))
						}
					})
				}
				for range c.callers {
					wg.Go(func() {
						for time.Since(start) < 20*time.Second {
							ctx, cancel := t.Context(), context.CancelFunc(func() {})
							if c.deadlines {
								ctx, cancel = context.WithTimeout(ctx, time.Second)
							}
							from := time.Now()
							light.Do(ctx, Call{}, make([]Item[int], 1))
							mu.Lock()
							slowest = max(slowest, time.Since(from))
							mu.Unlock()
							cancel()
							time.Sleep(c.pause)
						}
					})
				}
				wg.Wait()
				heavy.Close()
				light.Close()
				l, h := light.Stats().Busy, heavy.Stats().Busy
				t.Logf("light %v, heavy %v, slowest of the light %v", l, h, slowest)
				if share := float64(l) / float64(l+h); share < c.share[0] || share > c.share[1] {
					t.Errorf("the light model got %.2f", share)
				}
				if c.pause > 0 && slowest > 120*time.Millisecond {
					t.Errorf("a modest model waited %v", slowest)
				}
			})
		})
	}
}

// TestCheckAgreesWithDo: what Check says of items at a moment is what Do does
// with them, whatever waits here and in the other queue of the device.
func TestCheckAgreesWithDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queues := encoders(t, 2, nil)
		rng := rand.New(rand.NewPCG(9, 9))
		said := map[bool]int{}
		var wg sync.WaitGroup
		for range 4000 {
			time.Sleep(time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond)))
			synctest.Wait()
			q := queues[rng.IntN(2)]
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rng.IntN(300))*time.Millisecond)
			n := textLength(rng)
			items := slices.Repeat([]Item[int]{{Value: n, Length: n}}, 1+rng.IntN(3))
			call := Call{Priority: rng.IntN(2)}
			err := q.Check(ctx, call, items[0], len(items))
			said[err == nil]++
			wg.Go(func() {
				defer cancel()
				from := time.Now()
				got := q.Do(ctx, call, items)[0].Err
				if refused := errors.Is(got, ErrDeadline) && time.Since(from) == 0; refused != errors.Is(err, ErrDeadline) {
					t.Errorf("Check said %v, Do %v after %v", err, got, time.Since(from))
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if said[true] < 500 || said[false] < 500 {
			t.Errorf("%v", said)
		}
		for _, q := range queues {
			q.Close()
		}
	})
}
