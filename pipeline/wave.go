package pipeline

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Bounds of a wave: enough to keep a device busy, little enough to be held in
// memory many times over.
const (
	WaveItems = 2048
	WaveBytes = 32 << 20
)

// wavesAtOnce lets one wave be prepared while another computes.
const wavesAtOnce = 2

// Wave is a run of consecutive items, [From, To), of one call. A large call
// goes through a model in waves, so that its memory and its share of the queue
// are bounded whatever it holds.
type Wave struct{ From, To int }

// Cut divides n items into waves of at most most items and WaveBytes bytes; an
// item that is larger makes a wave of its own.
func Cut(n, most int, bytes func(i int) int64) []Wave {
	waves := make([]Wave, 0, 1+n/most)
	for from := 0; from < n; {
		to, sum := from+1, bytes(from)
		for to < n && to-from < most && sum+bytes(to) <= WaveBytes {
			sum += bytes(to)
			to++
		}
		waves = append(waves, Wave{from, to})
		from = to
	}
	return waves
}

// Waves calls work for every wave, two at a time. The first error ends the
// others' context and is returned. A panic of work comes out of Waves.
func Waves(ctx context.Context, waves []Wave, work func(ctx context.Context, k int, w Wave) error) error {
	if len(waves) == 1 {
		return work(ctx, 0, waves[0])
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	Parallel(wavesAtOnce, len(waves), func(k int) {
		if inner.Err() != nil {
			return
		}
		if err := work(inner, k, waves[k]); err != nil {
			cancel(err)
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.Cause(inner)
}

// Parallel calls work for 0 to n-1 from so many goroutines and returns when all
// calls have. A panic of work comes out of Parallel, where the caller of an RPC
// is shielded from it, and ends no process.
func Parallel(goroutines, n int, work func(i int)) {
	var (
		group    sync.WaitGroup
		next     atomic.Int64
		panicked atomic.Pointer[string]
	)
	for range min(goroutines, n) {
		group.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					text := fmt.Sprintf("%v\n\n%s", p, debug.Stack())
					panicked.CompareAndSwap(nil, &text)
				}
			}()
			for i := next.Add(1) - 1; i < int64(n) && panicked.Load() == nil; i = next.Add(1) - 1 {
				work(int(i))
			}
		})
	}
	group.Wait()
	if text := panicked.Load(); text != nil {
		panic(*text)
	}
}
