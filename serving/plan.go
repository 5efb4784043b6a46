package serving

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/tensor"
)

// Plan says where one graph runs and how its items are put into runs. It is
// pure data: measuring makes it, a file keeps it, newGraph obeys it.
type Plan struct {
	Graph  string // its name in the manifest
	Source Source

	Device    string // gpu.Device.ID
	Provider  string
	Precision gpu.Precision
	Threads   int // of one run; 0 where the device has none to set
	Runs      int // side by side

	MaxRows int // of one run
	// MaxCells bounds rows × length of a run after padding; 0 means no bound. One
	// item may be larger: it runs alone.
	MaxCells int
	// RowSteps and LengthSteps are the extents that runs are padded to; none
	// means as they come.
	RowSteps, LengthSteps []int
	// MaxLength is the longest sequence that ran when it was tried, or what the
	// manifest admits; 0 when there is no sequence or nothing is known.
	MaxLength int
	// Limited says that a longer one is an error, found by trying. Devices that
	// look up without a check are spared it.
	Limited bool
	// WholeNumbers is how many are known to be valid, from 0 on, in inputs of which
	// the graph does not tell; 0 when nothing is known. Made-up inputs keep to it.
	WholeNumbers int
	// Apart says why items are not joined, Unpadded why only equal lengths are;
	// empty where they are.
	Apart, Unpadded string

	// Rate is how many items a second the graph sustains while 64 wait, and
	// Deadline within what time 99 of 100 are answered at 0.7 of that load: both
	// computed from Costs for typical items (Typical). 0 when not known.
	Rate     float64
	Deadline time.Duration
	Typical  string
	// Costs are the measured times of a run while all runs are busy.
	Costs []batch.Cost

	// Note tells what else went wrong, such as that the plan could not be kept;
	// empty when nothing did.
	Note string
	// Fallback says why devices that are preferred to this one cannot run the
	// graph; empty when it is the best there is, or the others were slower.
	Fallback string
	// Candidates are what was compared, in the order in which it was tried; none
	// where nothing was.
	Candidates []Candidate
	Measured   time.Time     // zero when it was not
	Took       time.Duration // to choose, loads included
}

// Source tells where a plan comes from.
type Source string

// The sources of plans.
const (
	// ByRules: not measured, because the daemon is told not to, or could not be.
	ByRules Source = "rules"
	// ByMeasure: the best of several candidates, measured at this load.
	ByMeasure Source = "measured"
	// ByCache: measured at an earlier load of the same graph on this machine.
	ByCache Source = "cached"
	// ByManifest: the manifest leaves one candidate. Its figures are measured.
	ByManifest Source = "pinned"
)

// Candidate is one way to run a graph that was looked at.
type Candidate struct {
	Device    string
	Precision gpu.Precision
	Threads   int
	Runs      int
	Rate      float64 // as in Plan, from fewer shapes
	Deadline  time.Duration
	// Difference is the largest one from the CPU provider's answer in float32.
	Difference float64
	// Rejected says why it was not to be had; empty when it only was slower.
	Rejected string
}

// Rows and cells of one run when the manifest leaves the choice to the server.
const (
	maxRowsHeavy   = 32   // sequences and pictures: more only costs cache
	maxRowsColumns = 1024 // rows of a table
	maxBatchTokens = 2048 // rows × length of one run
	// The same where each shape is compiled: a text costs no less in a larger run
	// (docs/gpu.md), and half of the bound is half of the shapes.
	maxCompiledTokens = 1024
	smallGraph        = 1 << 20
	// maxRunBytes of inputs: 32 pictures of 800 × 800 are less, 32 of 8,192 × 8,192
	// would be 26 GB.
	maxRunBytes = 256 << 20
)

// lay fills in how runs are formed, for the device and the limits that the plan
// has.
func (p *Plan) lay(f form) {
	p.MaxRows = int(f.batching.GetMaxRows())
	if p.MaxRows == 0 {
		p.MaxRows = maxRowsHeavy
		if f.columns {
			p.MaxRows = maxRowsColumns
		}
		for p.MaxRows > 1 && float64(p.MaxRows)*f.rowBytes > maxRunBytes {
			p.MaxRows /= 2
		}
	}
	if p.Apart != "" {
		p.MaxRows = 1
	}
	if !f.columns {
		p.MaxCells = max(maxBatchTokens, p.MaxLength)
	}
	if p.Provider != gpu.OpenVINO {
		return
	}
	if !f.columns {
		p.MaxCells = max(maxCompiledTokens, p.MaxLength)
	}
	// It compiles the graph for every shape that it meets, so it gets few, and
	// all of them before traffic.
	if p.Apart == "" {
		p.RowSteps = powers(p.MaxRows)
	}
	if f.sequence && p.Unpadded == "" && p.MaxLength > 0 {
		p.LengthSteps = lengthSteps(p.MaxLength)
	}
}

// powers are the powers of two up to high.
func powers(high int) (out []int) {
	for s := 1; s <= high; s *= 2 {
		out = append(out, s)
	}
	return out
}

// lengthSteps are multiples of 8 up to 64, of 16 up to 128, then coarser ones,
// never more than the model has positions for: steps of 32 cost texts of a median
// of 24 tokens a third of a prototype's rate (docs/gpu.md).
func lengthSteps(longest int) (out []int) {
	for s := 8; s < longest; {
		out = append(out, s)
		switch {
		case s < 64:
			s += 8
		case s < 128:
			s += 16
		case s < 256:
			s += 32
		default:
			s += s / 2 / 64 * 64
		}
	}
	return append(out, longest)
}

// shapes are those that are run before traffic: all that runs are padded to
// where the plan has steps, else a few typical ones.
func (p *Plan) shapes(f form) (out []batch.Shape) {
	rows, lengths, most := p.RowSteps, p.LengthSteps, p.MaxCells
	if len(rows) == 0 {
		for _, n := range []int{1, 2, 4, 8, 16, 32, 64, 256, 1024} {
			if n <= p.MaxRows {
				rows = append(rows, n)
			}
		}
	}
	switch {
	case !f.sequence || p.MaxLength == 0:
		lengths, most = []int{0}, 0
	case len(lengths) == 0:
		for n := 8; n < p.MaxLength; n *= 2 {
			lengths = append(lengths, n)
		}
		lengths = append(lengths, p.MaxLength)
		most /= 4 // nothing is compiled: the costs of larger runs lie on a line with these
	}
	for _, length := range lengths {
		for _, n := range rows {
			if n == 1 || most == 0 || n*length <= most {
				out = append(out, batch.Shape{Rows: n, Length: length})
			}
		}
	}
	return out
}

// option is one way to run a graph.
type option struct {
	device    gpu.Device
	precision gpu.Precision
	threads   int // 0 where the device has none to set
	runs      int
}

// plan begins the plan of an option.
func (o option) plan() Plan {
	return Plan{
		Device: o.device.ID, Provider: o.device.Provider, Precision: o.precision, Threads: o.threads, Runs: o.runs,
	}
}

// request is what a manifest and a machine leave to choose from.
type request struct {
	devices  []gpu.Device // as the machine lists them
	named    []string     // by the manifest; empty = all
	threads  int          // by the manifest; 0 = all
	cpus     int
	small    bool // less than 1 MiB of weights
	admitted func(gpu.Precision) bool
}

// options lists all ways to run a graph, in the order in which they are tried,
// and those that are out of the question, with the reason.
func (r request) options() (out []option, rejected []Candidate) {
	spec := gpu.Spec{Devices: r.named, AllowOpenVINO: true}
	candidates, unknown := spec.Candidates(r.devices)
	// The CPU is tried in any case, and first: should the time run out, there is
	// something to compare with.
	slices.SortStableFunc(candidates, func(a, b gpu.Device) int {
		switch {
		case (a.Provider == gpu.CPU) == (b.Provider == gpu.CPU):
			return 0
		case a.Provider == gpu.CPU:
			return -1
		}
		return 1
	})
	for _, name := range unknown {
		rejected = append(rejected, Candidate{Device: name, Rejected: "there is no such device"})
	}
	for _, d := range candidates {
		switch {
		case r.small && len(r.named) == 0 && d.Provider != gpu.CPU:
			rejected = append(rejected, Candidate{Device: d.ID, Rejected: tooSmall})
			continue
		case !d.Available:
			rejected = append(rejected, Candidate{Device: d.ID, Rejected: d.Reason})
			continue
		}
		precisions := slices.Clone(d.Precisions)
		if !slices.Contains(precisions, gpu.F32) {
			precisions = append(precisions, gpu.F32)
		}
		slices.Reverse(precisions) // coarse ones are faster
		for _, precision := range precisions {
			if precision != gpu.F32 && !r.admitted(precision) {
				rejected = append(rejected, Candidate{Device: d.ID, Precision: precision, Rejected: "the manifest states no tolerance for " + PrecisionName(precision)})
				continue
			}
			for _, pair := range r.pairs(d) {
				out = append(out, option{d, precision, pair[0], pair[1]})
			}
		}
	}
	return out, rejected
}

const tooSmall = "less than 1 MiB of weights: the way to the device costs more than the work"

// fallback says why the devices before the chosen one, in the order of
// preference, cannot run the graph at all.
func (r request) fallback(chosen string, candidates []Candidate) string {
	spec := gpu.Spec{Devices: r.named, AllowOpenVINO: true}
	known, order := spec.Candidates(r.devices)
	for _, d := range known {
		order = append(order, d.ID)
	}
	var reasons []string
	for _, id := range order {
		if id == chosen {
			break
		}
		why := ""
		for _, c := range candidates {
			if c.Device == id {
				if why = c.Rejected; why == "" || why == tooSmall {
					why = ""
					break
				}
			}
		}
		if why != "" {
			reasons = append(reasons, id+": "+why)
		}
	}
	return strings.Join(reasons, "; ")
}

// pairs are threads of a run × runs side by side: all processors for one run,
// one for each of as many runs, and what lies between in powers of two.
func (r request) pairs(d gpu.Device) (out [][2]int) {
	if d.Provider == gpu.CUDA {
		return [][2]int{{0, 1}, {0, 2}}
	}
	if r.threads > 0 {
		return [][2]int{{r.threads, max(1, r.cpus/r.threads)}}
	}
	for t := r.cpus; t > 1; t /= 2 {
		out = append(out, [2]int{t, r.cpus / t})
	}
	out = append(out, [2]int{1, r.cpus})
	if r.small { // no run of it is worth a second thread, most likely
		slices.Reverse(out)
	}
	return out
}

const (
	// worthwhile is by how much a candidate must be faster to be preferred to one
	// that is more exact, or has fewer threads a run: less is noise.
	worthwhile = 1.1
	// heldUp is by how much runs of several threads slow down for the server's own
	// work, which is not there while they are measured: the threads of a run wait
	// for each other, so that whatever takes one processor holds up all. Measured
	// with mixed texts, bf16 on two processors: 2 runs × 1 thread gave 1.1 times the
	// rate of 1 × 2 to 64 callers and twice its goodput at twice that load, though
	// 1 × 2 was the faster one alone.
	heldUp = 1.3
)

// worth is a candidate's rate while the server works.
func (c Candidate) worth() float64 {
	if c.Threads > 1 {
		return c.Rate / heldUp
	}
	return c.Rate
}

// choose returns the place of the best candidate, -1 when there is none: the
// highest rate while the server works, but what is within a tenth of it counts as
// equal, and then the more exact one is better, then the one of fewer threads a
// run, then the one that answers sooner.
func choose(candidates []Candidate) int {
	top := 0.0
	for _, c := range candidates {
		if c.Rejected == "" {
			top = max(top, c.worth())
		}
	}
	best := -1
	for i, c := range candidates {
		if c.Rejected != "" || c.Rate <= 0 || c.worth()*worthwhile < top {
			continue
		}
		if best < 0 {
			best = i
			continue
		}
		b := candidates[best]
		if cmp.Or(c.Precision.Coarseness()-b.Precision.Coarseness(), cmp.Compare(c.Threads, b.Threads), cmp.Compare(c.Deadline, b.Deadline)) < 0 {
			best = i
		}
	}
	return best
}

// processors is how many threads run Go at once, and so how many runs there are
// side by side at most.
func processors() int { return runtime.GOMAXPROCS(0) }

// round keeps three digits: more are noise, and pretend not to be.
func round(x float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(x)))-2)
	return math.Round(x/unit) * unit
}

// within refuses sequences that the CPU provider was found to refuse and other
// providers answer with whatever lies beyond their tables. The error wraps
// gpu.ErrInput.
func (p *Plan) within(f *form, inputs []tensor.Tensor) error {
	if p.Provider == gpu.CPU {
		return nil
	}
	if n := lengthOf(inputs, f.inputs); p.Limited && n > p.MaxLength {
		return fmt.Errorf("%w: a sequence of %d, the graph takes %d", gpu.ErrInput, n, p.MaxLength)
	}
	return nil
}
