package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scry-ml/scry/gpu"
)

// replay is a bare session of the text model under the same closed loop as the
// server, without RPC, queue or threads between: callers are entries of a list.
// Whenever a run ends, it knows all that waits and what every (batch, length)
// costs, cuts the waiting texts, sorted by length, into the groups that take
// the least time in sum, and runs the group of the text that has waited
// longest. That is what batching can give on this machine at best, with nobody
// left behind.
type replay struct {
	session  gpu.Session
	parallel int  // runs side by side
	steps    bool // lengths are padded to steps of 8 and batches to powers of two, as OpenVINO wants it
	cost     [][]float64
	layout   string
}

const (
	replayBatch  = 32   // items of one run at most
	replayTokens = 2048 // cells of one run at most
)

// newReplay loads the session and measures its costs. A provider that computes
// on the processors themselves is tried with one run on all threads and with a
// run for each, and the better one stays.
func newReplay(ctx context.Context, rt *gpu.Runtime, provider string, precision gpu.Precision, quick bool) (*replay, error) {
	path, err := filepath.Abs(miniLM)
	if err != nil {
		return nil, err
	}
	type layout struct{ threads, parallel int }
	layouts := []layout{{runtime.NumCPU(), 1}}
	if provider == gpu.CPU && runtime.NumCPU() > 1 {
		layouts = append(layouts, layout{1, runtime.NumCPU()})
	}
	var best *replay
	bestRate := 0.0
	for _, l := range layouts {
		s, err := rt.Load(ctx, gpu.Spec{Path: path, Devices: []string{provider}, Precision: precision, Threads: l.threads, Outputs: []string{textOutput}})
		if err != nil {
			return nil, errors.Join(err, best.close())
		}
		r := &replay{session: s, parallel: l.parallel, steps: provider == gpu.OpenVINO, layout: fmt.Sprintf("%d × %d threads", l.parallel, l.threads)}
		rate := 0.0
		if err = r.measure(ctx, quick || len(layouts) > 1); err == nil && len(layouts) > 1 {
			rate, err = r.round(ctx, 16, 2*time.Second, 0)
		}
		if err != nil {
			return nil, errors.Join(err, r.close(), best.close())
		}
		if best != nil && rate <= bestRate {
			_ = r.close()
			continue
		}
		_ = best.close()
		best, bestRate = r, rate
	}
	if quick || len(layouts) == 1 {
		return best, nil
	}
	if err := best.measure(ctx, false); err != nil {
		return nil, errors.Join(err, best.close())
	}
	return best, nil
}

func (r *replay) close() error {
	if r == nil {
		return nil
	}
	return r.session.Close()
}

func (r *replay) shape(rows, length int) (int, int) {
	if !r.steps {
		return rows, length
	}
	p := 1
	for p < rows {
		p *= 2
	}
	return p, min((length+7)/8*8, longest)
}

// measure fills the cost table: the median of some runs of each shape on a
// grid, and lines between.
func (r *replay) measure(ctx context.Context, quick bool) error {
	rows, lens := []int{1, 2, 4, 6, 8, 12, 16, 24, 32}, []int{4, 8, 16, 24, 32, 48, 64, 96, 128}
	switch {
	case r.steps:
		rows, lens = []int{1, 2, 4, 8, 16, 32}, nil
		for n := 8; n <= longest; n += 8 {
			lens = append(lens, n)
		}
	case quick:
		rows, lens = []int{1, 4, 8, 16, 32}, []int{4, 16, 32, 64, 128}
	}
	grid := make([][]float64, len(rows))
	for i, n := range rows {
		grid[i] = make([]float64, len(lens))
		for j, l := range lens {
			if n*l > replayTokens {
				grid[i][j] = math.Inf(1)
				continue
			}
			ns, err := r.time(ctx, n, l, quick)
			if err != nil {
				return err
			}
			grid[i][j] = ns
		}
	}
	r.cost = make([][]float64, replayBatch+1)
	for n := 1; n <= replayBatch; n++ {
		r.cost[n] = make([]float64, longest+1)
		for l := 1; l <= longest; l++ {
			pn, pl := r.shape(n, l)
			r.cost[n][l] = interpolate(rows, lens, grid, pn, max(pl, lens[0]))
		}
	}
	return nil
}

// interpolate reads between the points of a grid, along both axes.
func interpolate(rows, lens []int, grid [][]float64, n, l int) float64 {
	i, _ := slices.BinarySearch(rows, n)
	j, _ := slices.BinarySearch(lens, l)
	if n*l > replayTokens {
		return math.Inf(1)
	}
	at := func(i int) float64 {
		if lens[j] == l {
			return grid[i][j]
		}
		return between(lens[j-1], lens[j], grid[i][j-1], grid[i][j], l)
	}
	if rows[i] == n {
		return at(i)
	}
	return between(rows[i-1], rows[i], at(i-1), at(i), n)
}

func between(x0, x1 int, y0, y1 float64, x int) float64 {
	if math.IsInf(y1, 1) { // beyond the largest run: as steep as what is known
		return y0 * float64(x) / float64(x0)
	}
	return y0 + (y1-y0)*float64(x-x0)/float64(x1-x0)
}

// time is the median of a shape's runs, with as many side by side as later.
func (r *replay) time(ctx context.Context, rows, length int, quick bool) (float64, error) {
	var (
		mu    sync.Mutex
		times []float64
	)
	first, runs := 0, 3
	if r.steps {
		first = -1 // it is compiled then
	}
	if quick {
		runs = 2
	}
	group, ctx := errgroup.WithContext(ctx)
	for range r.parallel {
		group.Go(func() error {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			numbers, lens := make([]uint64, rows), make([]int, rows)
			for i := range numbers {
				numbers[i], lens[i] = uint64(i), length
			}
			in, err := textTensors(numbers, lens, rows, length)
			if err != nil {
				return err
			}
			for k := first; k < runs; k++ {
				start := time.Now()
				if _, err := r.session.Run(ctx, in); err != nil {
					return err
				}
				if k >= 0 {
					mu.Lock()
					times = append(times, float64(time.Since(start)))
					mu.Unlock()
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return median(times), err
}

// entry is one caller's text.
type entry struct {
	number uint64
	length int
}

// round runs the loop of so many callers for a while and returns texts per
// second. Texts are numbered from first on, as the served round's are.
func (r *replay) round(ctx context.Context, callers int, length time.Duration, first uint64) (float64, error) {
	var (
		mu      sync.Mutex
		changed = sync.NewCond(&mu)
		waiting []entry // in order of arrival
		next    = first
		done    int
		failed  error
		start   = time.Now()
		finish  = start.Add(length)
		group   sync.WaitGroup
	)
	arrive := func() {
		waiting = append(waiting, entry{next, lengthAt(next)})
		next++
	}
	for range callers {
		arrive()
	}
	for range r.parallel {
		group.Go(func() {
			runtime.LockOSThread() // OpenVINO is slower where its caller wanders
			defer runtime.UnlockOSThread()
			var p packing
			for {
				mu.Lock()
				for len(waiting) == 0 && failed == nil {
					changed.Wait()
				}
				if failed != nil || !time.Now().Before(finish) {
					mu.Unlock()
					changed.Broadcast()
					return
				}
				batch := p.choose(waiting, r.cost)
				waiting = slices.DeleteFunc(waiting, func(t entry) bool { return slices.Contains(batch, t) })
				mu.Unlock()
				err := r.run(ctx, batch)
				end := time.Now()
				mu.Lock()
				if err != nil && failed == nil {
					failed = err
				}
				for range batch {
					arrive()
					if !end.After(finish) {
						done++
					}
				}
				mu.Unlock()
				changed.Broadcast()
			}
		})
	}
	group.Wait()
	return float64(done) / length.Seconds(), failed
}

// run computes a batch, joining its texts included.
func (r *replay) run(ctx context.Context, batch []entry) error {
	most := 0
	numbers, lens := make([]uint64, len(batch)), make([]int, len(batch))
	for i, t := range batch {
		numbers[i], lens[i], most = t.number, t.length, max(most, t.length)
	}
	rows, length := r.shape(len(batch), most)
	in, err := textTensors(numbers, lens, rows, length)
	if err != nil {
		return err
	}
	_, err = r.session.Run(ctx, in)
	return err
}

// packing is the scratch of choose.
type packing struct {
	sorted []entry
	best   []float64
	from   []int
}

// choose cuts what waits into the consecutive groups by length that take the
// least time in sum, and returns the group of the first arrival.
func (p *packing) choose(waiting []entry, cost [][]float64) []entry {
	p.sorted = append(p.sorted[:0], waiting...)
	slices.SortStableFunc(p.sorted, func(a, b entry) int { return a.length - b.length })
	n := len(p.sorted)
	p.best = slices.Grow(p.best[:0], n+1)[:n+1]
	p.from = slices.Grow(p.from[:0], n+1)[:n+1]
	p.best[0] = 0
	for j := 1; j <= n; j++ {
		p.best[j] = math.Inf(1)
		for i := j - 1; i >= 0 && j-i < len(cost); i-- {
			if sum := p.best[i] + cost[j-i][p.sorted[j-1].length]; sum < p.best[j] {
				p.best[j], p.from[j] = sum, i
			}
		}
	}
	at, j := slices.Index(p.sorted, waiting[0]), n
	for p.from[j] > at {
		j = p.from[j]
	}
	return slices.Clone(p.sorted[p.from[j]:j])
}

// sorted is the limit for somebody who has all texts at once: texts in order of
// length, in batches of one size, the best of 1 to 64. It returns texts per
// second and that size.
func (r *replay) sorted(ctx context.Context, length time.Duration) (best float64, bestSize int, err error) {
	all := make([]entry, 4096)
	for i := range all {
		all[i] = entry{uint64(i), lengthAt(uint64(i))}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.length - b.length })
	for size := 1; size <= 64; size *= 2 {
		// Batches evenly over the lengths, as many as take about this time: the
		// first few tell how many.
		probe, took, err := r.batches(ctx, all, size, 8*r.parallel)
		if err != nil {
			return 0, 0, err
		}
		if r.steps { // shapes are compiled when they are met first
			if _, took, err = r.batches(ctx, all, size, 8*r.parallel); err != nil {
				return 0, 0, err
			}
		}
		n := int(float64(length) / float64(took) * float64(probe/size))
		if r.steps {
			if _, _, err := r.batches(ctx, all, size, n); err != nil {
				return 0, 0, err
			}
		}
		items, took, err := r.batches(ctx, all, size, n)
		if err != nil {
			return 0, 0, err
		}
		if rate := float64(items) / took.Seconds(); rate > best {
			best, bestSize = rate, size
		}
	}
	return best, bestSize, nil
}

// batches runs n batches of one size, spread evenly over all, and returns the
// number of items and the time.
func (r *replay) batches(ctx context.Context, all []entry, size, n int) (items int, took time.Duration, err error) {
	chunks := len(all) / size
	n = min(max(n, 8), chunks)
	var next atomic.Int64
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range r.parallel {
		group.Go(func() error {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				at := (2*i + 1) * chunks / (2 * n) * size
				if err := r.run(ctx, all[at:at+size]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return n * size, time.Since(start), err
}
