package serving

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/scry-ml/scry/batch"
)

// What a plan is judged by: so many callers wait, each for one typical item.
const (
	callers    = 64
	loadShare  = 0.7 // of the sustained rate, at which Plan.Deadline is met
	estimated  = 768 // items that an estimate plays through
	medianText = 24  // tokens
	sigmaText  = 0.8
	leastText  = 4
)

// estimate is a queue before a device, in made-up time: what batch does, in
// short, on a cost table.
type estimate struct {
	costs    *surface
	plan     *Plan
	sequence bool
}

// newEstimate prices a plan by measured costs.
func newEstimate(p *Plan, f form, costs []batch.Cost) *estimate {
	return &estimate{costs: newSurface(costs), plan: p, sequence: f.sequence}
}

// typical says which items an estimate is about.
func (e *estimate) typical() string {
	if !e.sequence {
		return fmt.Sprintf("single rows, %d callers", callers)
	}
	return fmt.Sprintf("lengths log-normal, median %d, sigma %g, %d to %d, %d callers", medianText, sigmaText, leastText, e.longest(), callers)
}

func (e *estimate) longest() int {
	if e.plan.MaxLength == 0 {
		return 128
	}
	return e.plan.MaxLength
}

// length draws the length of a typical item; 0 where items have none.
func (e *estimate) length(r *rand.Rand) int {
	if !e.sequence {
		return 0
	}
	n := int(math.Round(medianText * math.Exp(sigmaText*r.NormFloat64())))
	return min(max(n, min(leastText, e.longest())), e.longest())
}

// price is the time of a run, in nanoseconds.
func (e *estimate) price(rows, length int) float64 {
	return e.costs.at(stepUp(e.plan.RowSteps, rows), stepUp(e.plan.LengthSteps, length))
}

func stepUp(steps []int, n int) int {
	if i, _ := slices.BinarySearch(steps, n); i < len(steps) {
		return steps[i]
	}
	return n
}

// waiting is an item of an estimate.
type waiting struct {
	length  int
	arrived float64
}

// next takes out of the items that wait, the oldest first, those to run
// together: sorted by length and cut into the groups of least time in sum, of
// which the oldest item's is next. It returns them and the price of the run.
func (e *estimate) next(queue []waiting, free int) (run, rest []waiting, ns float64) {
	most := min(e.plan.MaxRows, (len(queue)+free-1)/free)
	if e.plan.Apart != "" {
		most = 1
	}
	order := make([]int, len(queue))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return queue[a].length - queue[b].length })
	best, from := make([]float64, len(queue)+1), make([]int, len(queue)+1)
	for j := 1; j <= len(queue); j++ {
		length := queue[order[j-1]].length
		best[j] = math.Inf(1)
		for i := j - 1; i >= 0 && j-i <= most; i-- {
			rows := j - i
			if rows > 1 && (e.plan.MaxCells > 0 && stepUp(e.plan.RowSteps, rows)*stepUp(e.plan.LengthSteps, length) > e.plan.MaxCells ||
				e.plan.Unpadded != "" && queue[order[i]].length != length) {
				break
			}
			if sum := best[i] + e.price(rows, length); sum < best[j] {
				best[j], from[j] = sum, i
			}
		}
	}
	at, j := slices.Index(order, 0), len(queue)
	for from[j] > at {
		j = from[j]
	}
	taken := order[from[j]:j]
	ns = best[j] - best[from[j]]
	for i, w := range queue {
		if slices.Contains(taken, i) {
			run = append(run, w)
		} else {
			rest = append(rest, w)
		}
	}
	return run, rest, ns
}

// rate is how many items a second are answered while 64 callers each wait for
// one at any time.
func (e *estimate) rate() float64 {
	r := rand.New(rand.NewPCG(1, 1))
	queue := make([]waiting, callers)
	for i := range queue {
		queue[i].length = e.length(r)
	}
	_, end := e.play(queue, estimated, func(now float64) (waiting, bool) { return waiting{e.length(r), now}, true }, nil)
	return estimated / end * 1e9
}

// deadline is the time within which 99 of 100 items are answered that come at
// random at a share of a rate.
func (e *estimate) deadline(rate float64) time.Duration {
	r := rand.New(rand.NewPCG(2, 2))
	now := 0.0
	arrivals := make([]waiting, estimated)
	for i := range arrivals {
		now += r.ExpFloat64() / (loadShare * rate) * 1e9
		arrivals[i] = waiting{e.length(r), now}
	}
	took, _ := e.play(nil, estimated, nil, arrivals)
	slices.Sort(took)
	return time.Duration(took[len(took)*99/100])
}

// play runs the device until n items are answered. again makes the next item of
// a caller who was answered; arrivals come by themselves. It returns the times
// that items took, and when the last was answered.
func (e *estimate) play(queue []waiting, n int, again func(float64) (waiting, bool), arrivals []waiting) (took []float64, now float64) {
	type slot struct {
		until float64
		run   []waiting
	}
	slots := make([]slot, e.plan.Runs)
	for len(took) < n {
		free := 0
		for i := range slots {
			if slots[i].run == nil {
				free++
			}
		}
		for i := range slots {
			if slots[i].run == nil && len(queue) > 0 {
				var ns float64
				slots[i].run, queue, ns = e.next(queue, free)
				slots[i].until = now + ns
				free--
			}
		}
		// The next thing that happens: an arrival, or the end of a run.
		at, ends := math.Inf(1), -1
		for i := range slots {
			if slots[i].run != nil && slots[i].until < at {
				at, ends = slots[i].until, i
			}
		}
		if len(arrivals) > 0 && arrivals[0].arrived <= at {
			now = arrivals[0].arrived
			queue, arrivals = append(queue, arrivals[0]), arrivals[1:]
			continue
		}
		if ends < 0 {
			return took, now // nothing waits and nothing comes
		}
		now = at
		for _, w := range slots[ends].run {
			took = append(took, now-w.arrived)
			if again != nil {
				if next, ok := again(now); ok {
					queue = append(queue, next)
				}
			}
		}
		slots[ends].run = nil
	}
	return took, now
}

// judge computes a plan's figures from its costs.
func (p *Plan) judge(f form) {
	if len(p.Costs) == 0 {
		return
	}
	e := newEstimate(p, f, p.Costs)
	p.Typical, p.Rate = e.typical(), e.rate()
	p.Deadline = e.deadline(p.Rate)
	p.Rate = round(p.Rate)
}

// surface reads run times between the shapes that were measured: along straight
// lines in rows, then in length. Beyond the last, time grows with the cells.
type surface struct {
	lengths []int
	columns [][]batch.Cost // by length, ascending in rows
}

func newSurface(costs []batch.Cost) *surface {
	s := &surface{}
	sorted := slices.Clone(costs)
	slices.SortFunc(sorted, func(a, b batch.Cost) int {
		if a.Shape.Length != b.Shape.Length {
			return a.Shape.Length - b.Shape.Length
		}
		return a.Shape.Rows - b.Shape.Rows
	})
	for _, c := range sorted {
		if n := len(s.lengths); n == 0 || s.lengths[n-1] != c.Shape.Length {
			s.lengths = append(s.lengths, c.Shape.Length)
			s.columns = append(s.columns, nil)
		}
		last := &s.columns[len(s.columns)-1]
		*last = append(*last, c)
	}
	return s
}

func (s *surface) at(rows, length int) float64 {
	i, found := slices.BinarySearch(s.lengths, length)
	switch {
	case len(s.lengths) == 0:
		return 0
	case found || i == 0:
		return column(s.columns[i], rows)
	case i == len(s.lengths):
		return column(s.columns[i-1], rows) * float64(length) / float64(max(s.lengths[i-1], 1))
	}
	return between(float64(length), float64(s.lengths[i-1]), column(s.columns[i-1], rows), float64(s.lengths[i]), column(s.columns[i], rows))
}

// column reads the time of so many rows at one length.
func column(costs []batch.Cost, rows int) float64 {
	i, found := slices.BinarySearchFunc(costs, rows, func(c batch.Cost, n int) int { return c.Shape.Rows - n })
	switch {
	case found:
		return float64(costs[i].Time)
	case i == 0:
		return float64(costs[0].Time) * float64(rows) / float64(costs[0].Shape.Rows)
	case i == len(costs):
		last := costs[i-1]
		return float64(last.Time) * float64(rows) / float64(last.Shape.Rows)
	}
	a, b := costs[i-1], costs[i]
	return between(float64(rows), float64(a.Shape.Rows), float64(a.Time), float64(b.Shape.Rows), float64(b.Time))
}

func between(x, x0, y0, x1, y1 float64) float64 { return y0 + (x-x0)/(x1-x0)*(y1-y0) }
