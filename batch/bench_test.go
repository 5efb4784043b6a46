//go:build unix

package batch

import (
	"context"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// device takes about as long as a 3-layer network on a tiny row.
func device(d time.Duration) RunFunc[int, int] {
	return func(_ context.Context, b *Batch[int, int]) error {
		spin(d + d*time.Duration(len(b.Items))/16)
		copy(b.Outputs, b.Items)
		return nil
	}
}

// spin computes for about d of CPU time, at a nanosecond a step.
func spin(d time.Duration) {
	x := uint64(d)
	for range d.Nanoseconds() {
		x = x*6364136223846793005 + 1
	}
	runtime.KeepAlive(x)
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLone is the overhead of a queue for one caller and a run of no time.
func BenchmarkLone(b *testing.B) {
	for name, cfg := range map[string]Config{
		"inline":  {Costs: []Cost{{Shape{Rows: 1}, time.Microsecond}}},
		"handoff": {Inline: -1},
		"shared":  {Device: NewDevice(2, time.Millisecond), Costs: []Cost{{Shape{Rows: 1}, time.Microsecond}}},
	} {
		b.Run(name, func(b *testing.B) {
			q, _ := New(cfg, echo)
			defer q.Close()
			ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
			defer cancel()
			items := []Item[int]{{Value: 1}}
			b.ReportAllocs()
			for b.Loop() {
				q.Do(ctx, Call{}, items)
			}
		})
	}
}

// BenchmarkCallers is the throughput of a tiny run under 64 closed-loop
// callers, each of whom also works as long as an RPC takes, beside the usual
// way: a goroutine that takes requests from a channel. On a machine that others
// use look at cpu-µs/op.
func BenchmarkCallers(b *testing.B) {
	const callers, run = 64, 6 * time.Microsecond
	for name, shared := range map[string]*Device{"queue": nil, "shared": NewDevice(1, time.Millisecond)} {
		b.Run(name, func(b *testing.B) {
			q, _ := New(Config{MaxRows: 64, Device: shared, Costs: []Cost{{Shape{Rows: 1}, run}}}, device(run))
			defer q.Close()
			b.ReportAllocs()
			closedLoop(b, callers, func(ctx context.Context, i int) int {
				items := [1]Item[int]{{Value: i}}
				return q.Do(ctx, Call{}, items[:])[0].Value
			})
			b.ReportMetric(float64(q.Stats().Items)/float64(q.Stats().Runs), "items/run")
		})
	}
	b.Run("channel", func(b *testing.B) {
		type request struct {
			in  int
			out chan int
		}
		requests := make(chan request, 1024)
		var wg sync.WaitGroup
		wg.Go(func() {
			d := device(run)
			var batch Batch[int, int]
			var waiting []request
			for r := range requests {
				waiting = append(waiting[:0], r)
			gather:
				for len(waiting) < 64 {
					select {
					case r, ok := <-requests:
						if !ok {
							break gather
						}
						waiting = append(waiting, r)
					default:
						break gather
					}
				}
				batch.Items = batch.Items[:0]
				for _, r := range waiting {
					batch.Items = append(batch.Items, r.in)
				}
				batch.Outputs = make([]int, len(batch.Items))
				d(context.Background(), &batch)
				for i, r := range waiting {
					r.out <- batch.Outputs[i]
				}
			}
		})
		b.ReportAllocs()
		closedLoop(b, callers, func(ctx context.Context, i int) int {
			r := request{i, make(chan int, 1)}
			requests <- r
			select {
			case v := <-r.out:
				return v
			case <-ctx.Done():
				return -1
			}
		})
		close(requests)
		wg.Wait()
	})
}

func closedLoop(b *testing.B, callers int, do func(context.Context, int) int) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	var wg sync.WaitGroup
	b.ResetTimer()
	from := cpuTime()
	for c := range callers {
		wg.Go(func() {
			for i := c; i < b.N; i += callers {
				spin(20 * time.Microsecond)
				if do(ctx, i) != i {
					b.Error("wrong answer")
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpuTime()-from).Microseconds())/float64(b.N), "cpu-µs/op")
}
