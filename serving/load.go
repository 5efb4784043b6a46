package serving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// ErrGolden is wrapped by the error of a version whose answers are further from
// its golden samples than the manifest allows.
var ErrGolden = errors.New("golden samples are not met")

// loading is one Load under way.
type loading struct {
	dir      string
	opts     LoadOptions
	bundle   *bundle.Bundle
	pipeline *pipeline.Pipeline
	goldens  []*bundlev1.Golden
	report   func(Progress)
}

// place loads a graph where it is to run.
func (l *loading) place(ctx context.Context, name string) (*graph, error) {
	m := l.bundle.Manifest.GetGraphs()[name]
	spec := gpu.Spec{
		Path:      filepath.Join(l.dir, filepath.FromSlash(m.GetFile())),
		Outputs:   wanted(l.bundle, l.goldens, name),
		Threads:   int(m.GetExecution().GetThreads()),
		Devices:   m.GetExecution().GetDevices(),
		Precision: gpu.F32,
	}
	small := l.bundle.Graphs[name].WeightBytes < smallGraph
	if small && spec.Threads == 0 {
		spec.Threads = 1
	}
	switch {
	case l.opts.Device != "" && !small:
		spec.Devices = []string{l.opts.Device}
	case len(spec.Devices) > 0 && l.opts.Device == "":
	case small:
		// The way to another device costs more than a small graph's work.
		spec.Devices = []string{gpu.CPU}
	default:
		spec.AllowOpenVINO = l.openVINOPays()
	}
	for _, p := range []gpu.Precision{gpu.TF32, gpu.BF16} {
		if _, _, ok := l.bundle.Tolerance(precisionOf(p)); ok {
			spec.Precision = p
		}
	}
	return l.load(ctx, name, spec)
}

// openVINOPays tells whether OpenVINO may be chosen where nobody asks for it:
// the bundle admits bfloat16 and this machine computes it. In float32 it is no
// faster than the CPU provider, and slower when shapes change (docs/gpu.md).
func (l *loading) openVINOPays() bool {
	if _, _, admitted := l.bundle.Tolerance(bundlev1.Precision_PRECISION_BF16); !admitted {
		return false
	}
	return slices.ContainsFunc(l.opts.Loader.Devices(), func(d gpu.Device) bool {
		return d.Provider == gpu.OpenVINO && d.Available && slices.Contains(d.Precisions, gpu.BF16)
	})
}

// mayLeaveCPU tells whether place could put a graph of this bundle elsewhere.
func (v *Version) mayLeaveCPU() bool {
	_, _, admitted := v.bundle.Tolerance(bundlev1.Precision_PRECISION_BF16)
	for name, m := range v.bundle.Manifest.GetGraphs() {
		devices := m.GetExecution().GetDevices()
		if len(devices) == 0 && admitted && v.bundle.Graphs[name].WeightBytes >= smallGraph || slices.Contains(devices, gpu.OpenVINO) {
			return true
		}
	}
	return false
}

func (l *loading) load(ctx context.Context, name string, spec gpu.Spec) (*graph, error) {
	s, err := l.opts.Loader.Load(ctx, spec)
	if err != nil {
		return nil, err
	}
	g, err := newGraph(name, l.bundle.Manifest.GetGraphs()[name], l.bundle.Graphs[name], s, l.pipeline, l.opts.devices)
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return g, nil
}

// verify runs the golden samples. Where a device other than the CPU is too far
// off, its graphs fall back to the CPU and are checked again.
func (l *loading) verify(ctx context.Context, v *Version) error {
	err := l.golden(ctx, v)
	if err == nil || !errors.Is(err, ErrGolden) {
		return err
	}
	fell := false
	for name, g := range v.graphs {
		if g.place.Provider == gpu.CPU {
			continue
		}
		m := l.bundle.Manifest.GetGraphs()[name]
		if pinned := m.GetExecution().GetDevices(); len(pinned) > 0 && !slices.Contains(pinned, gpu.CPU) {
			return err
		}
		reason := fmt.Sprintf("%s in %s: %v", g.place.Device, precisionName(g.place.Precision), err)
		if cerr := g.close(); cerr != nil {
			return cerr
		}
		delete(v.graphs, name)
		onCPU, lerr := l.load(ctx, name, gpu.Spec{
			Path:    filepath.Join(l.dir, filepath.FromSlash(m.GetFile())),
			Outputs: wanted(l.bundle, l.goldens, name),
			Threads: int(m.GetExecution().GetThreads()),
			Devices: []string{gpu.CPU},
		})
		if lerr != nil {
			return lerr
		}
		onCPU.place.FallbackReason = strings.Trim(g.place.FallbackReason+"; "+reason, "; ")
		v.graphs[name] = onCPU
		fell = true
	}
	if !fell {
		return err
	}
	v.main = nil
	if err := v.wire(); err != nil {
		return err
	}
	return l.golden(ctx, v)
}

// golden compares the version's answers with the golden samples, each alone.
// All of them are run, so that the error tells the largest difference and how
// many samples are off.
func (l *loading) golden(ctx context.Context, v *Version) error {
	coarsest := gpu.F32
	for _, g := range v.graphs {
		if g.place.Precision != gpu.F32 {
			coarsest = g.place.Precision
		}
	}
	v.verified = Verification{Precision: precisionName(coarsest)}
	if len(l.goldens) == 0 {
		return nil
	}
	absolute, relative, admitted := l.bundle.Tolerance(precisionOf(coarsest))
	if !admitted {
		return fmt.Errorf("%w: the manifest states no tolerance for %s", ErrGolden, precisionName(coarsest))
	}
	c := comparison{absolute: absolute, relative: relative, result: &v.verified}
	for i, sample := range l.goldens {
		item, err := l.pipeline.Golden(ctx, sample)
		if err != nil {
			return fmt.Errorf("golden sample %d: %w", i+1, err)
		}
		answer := v.Run(ctx, []pipeline.Item{item})[0]
		if answer.Err != nil {
			return fmt.Errorf("golden sample %d: %w", i+1, answer.Err)
		}
		off := c.off
		for name, want := range sample.GetOutputs() {
			src, err := bundle.ParseSource(name)
			if err != nil {
				return err
			}
			got, ok := answer.Outputs.Get(src)
			if !ok {
				return fmt.Errorf("%w: sample %d: %s is not computed", ErrGolden, i+1, name)
			}
			if err := c.compare(i+1, name, got, want); err != nil {
				return fmt.Errorf("%w: sample %d: %w", ErrGolden, i+1, err)
			}
		}
		if c.off > off {
			c.samples++
		}
		v.verified.Samples++
	}
	if c.samples > 0 {
		return fmt.Errorf("%w: %d of %d samples are off, most of all %s", ErrGolden, c.samples, len(l.goldens), c.worst)
	}
	return nil
}

// comparison gathers how far answers are from golden samples.
type comparison struct {
	absolute, relative float64
	result             *Verification
	off                int // values beyond the tolerance
	samples            int // samples that have any
	excess             float64
	worst              string // the value with the largest excess
}

// compare notes every difference. Its error is about answers that cannot be
// compared at all.
func (c *comparison) compare(sample int, name string, got tensor.Tensor, want *bundlev1.Values) error {
	if got.DType == tensor.String {
		if len(want.GetStrings()) != len(got.Strings) {
			return fmt.Errorf("%s has %d strings, want %d", name, len(got.Strings), len(want.GetStrings()))
		}
		for i, s := range want.GetStrings() {
			if got.Strings[i] != s {
				return fmt.Errorf("%s[%d] is another string", name, i)
			}
		}
		return nil
	}
	values := float64s(got)
	if len(values) != len(want.GetValues()) {
		return fmt.Errorf("%s has %d values, want %d", name, len(values), len(want.GetValues()))
	}
	for i, w := range want.GetValues() {
		off := math.Abs(values[i] - w)
		switch {
		case math.IsNaN(w) && math.IsNaN(values[i]), w == values[i]:
			off = 0
		case math.IsNaN(off):
			off = math.MaxFloat64 // NaN or an infinity against a number
		}
		if off > c.result.MaxDifference || c.result.Output == "" {
			c.result.MaxDifference, c.result.Output = off, name
		}
		admitted := c.absolute + c.relative*math.Abs(w)
		if off <= admitted {
			continue
		}
		c.off++
		if excess := off - admitted; excess > c.excess {
			c.excess = excess
			c.worst = fmt.Sprintf("sample %d: %s[%d] is %g, want %g ± %g", sample, name, i, values[i], w, admitted)
		}
	}
	return nil
}

// float64s widens a tensor without going through float32.
func float64s(t tensor.Tensor) []float64 {
	if t.DType == tensor.Float64 {
		return tensor.View[float64](t)
	}
	if t.DType == tensor.Int64 {
		in := tensor.View[int64](t)
		out := make([]float64, len(in))
		for i, v := range in {
			out[i] = float64(v)
		}
		return out
	}
	in := t.Float32s()
	out := make([]float64, len(in))
	for i, v := range in {
		out[i] = float64(v)
	}
	return out
}

// prime runs every shape once, past the queues: a provider that compiles a
// graph for a shape does so here, and no queue takes that time for the cost of a
// run.
func (l *loading) prime(ctx context.Context, v *Version) error {
	for _, shape := range l.shapes(v) {
		item, err := l.pipeline.Synthetic(shape.rows, shape.length)
		if err != nil {
			// A graph whose inputs cannot be made up is warmed by its golden
			// samples alone.
			return nil
		}
		if err := v.runDirectly(ctx, item); err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// warm sends made-up items of the shapes that requests will have through the
// queues, so that they know the costs before the first request.
func (l *loading) warm(ctx context.Context, v *Version) error {
	for _, shape := range l.shapes(v) {
		items := make([]pipeline.Item, shape.rows)
		for i := range items {
			item, err := l.pipeline.Synthetic(1, shape.length)
			if err != nil {
				return nil
			}
			items[i] = item
		}
		for _, a := range v.Run(ctx, items) {
			if a.Err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

type warmShape struct{ rows, length int }

// shapes are those that are warmed: all steps where the device has any, else a
// few typical ones.
func (l *loading) shapes(v *Version) []warmShape {
	rows := v.main.rowSteps
	if len(rows) == 0 {
		rows = []int{1, 8, v.main.maxRows}
	}
	if v.main.apart != "" {
		rows = []int{1}
	}
	lengths := []int{0}
	if t := l.bundle.Manifest.GetText(); t != nil {
		lengths = []int{8, 32, 128, int(t.GetMaxLength())}
		if len(v.main.lengthSteps) > 0 {
			lengths = v.main.lengthSteps
		}
	}
	var out []warmShape
	for _, length := range lengths {
		for _, n := range rows {
			if n == 1 || n*length <= maxBatchTokens {
				out = append(out, warmShape{n, length})
			}
		}
	}
	return out
}
