package serving

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// trial makes inputs for one graph while it is loaded, and finds out by running
// it what its manifest does not say.
type trial struct {
	pipeline *pipeline.Pipeline
	form     form
	feeds    map[string]bundle.Feed // by input
	crop     bool                   // fed by parts of pictures
	ids      int                    // whole numbers are drawn below, where no weights bound them
	longest  int                    // what is known of the longest sequence, 0 = nothing
	limited  bool                   // a longer one is refused
}

func newTrial(p *pipeline.Pipeline, f form) *trial {
	t := &trial{pipeline: p, form: f, feeds: map[string]bundle.Feed{}, ids: p.Vocabulary()}
	if f.sequence {
		t.longest = f.longest
	}
	for _, s := range p.Bundle().Steps {
		if s.Graph == f.name {
			t.crop = s.Crop != nil
			for _, feed := range s.Feeds {
				t.feeds[feed.Input] = feed
			}
		}
	}
	return t
}

// errUntried says that no inputs of a graph could be made up.
var errUntried = errors.New("no inputs can be made up for it")

// inputs makes up so many rows of a length, others for each seed.
func (t *trial) inputs(rows, length int, seed uint64) ([]tensor.Tensor, error) {
	b := t.pipeline.Bundle()
	isRow := b.Manifest.GetRow() != nil
	made := rows
	if isRow {
		made += int(seed % 5) // features differ from row to row already
	}
	var item pipeline.Item
	var err error
	if !t.crop { // whole pictures would be made for nothing
		if item, err = t.pipeline.Synthetic(made, length); err != nil {
			return nil, fmt.Errorf("%w: %w", errUntried, err)
		}
	}
	place := map[string]int{}
	for i, in := range b.Inputs() {
		place[in.Name] = i
	}
	_, mask, types := b.TextInputs()
	out := make([]tensor.Tensor, len(t.form.sig.Inputs))
	for i, v := range t.form.sig.Inputs {
		if shape := t.pipeline.CropShape(t.form.name); shape != nil {
			v.Shape = append(tensor.Shape{-1}, shape[1:]...)
		}
		if at, ok := place[v.Name]; ok && !t.crop && t.feeds[v.Name].Source == (bundle.Source{}) {
			out[i] = item.Inputs[at]
			if isRow {
				n := out[i].Rows()
				if out[i], err = out[i].Slice(n-int64(rows), n); err != nil {
					return nil, fmt.Errorf("%w: %w", errUntried, err)
				}
				continue
			}
		} else if out[i], err = blank(v, rows, length); err != nil {
			return nil, err
		}
		switch v.Name {
		case "position_ids":
			count(out[i])
		case mask, "attention_mask":
			fillInts(out[i], func(int) int64 { return 1 })
		case types, "token_type_ids":
			fillInts(out[i], func(int) int64 { return 0 })
		default:
			most := t.ids
			if limit := t.form.limits[i]; limit > 0 {
				most = int(limit)
			}
			vary(out[i], most, seed*31+uint64(i))
		}
	}
	return out, nil
}

// blank makes the tensor of an input that an earlier graph feeds.
func blank(v gpu.Value, rows, length int) (tensor.Tensor, error) {
	if v.Shape == nil {
		return tensor.Tensor{}, fmt.Errorf("%w: the input %q has no shape", errUntried, v.Name)
	}
	shape := append(tensor.Shape{}, v.Shape...)
	for axis, d := range shape {
		switch {
		case d >= 0:
		case axis == 0:
			shape[axis] = int64(rows)
		default:
			shape[axis] = int64(max(length, 1))
		}
	}
	t, err := tensor.New(v.DType, shape...)
	if err != nil {
		return t, fmt.Errorf("%w: %w", errUntried, err)
	}
	return t, nil
}

// vary fills a tensor with numbers that look random: floats in [-1, 1), whole
// numbers in [0, ids). Other types stay as they are.
func vary(t tensor.Tensor, ids int, seed uint64) {
	word := func(i int) uint64 { // splitmix64
		z := seed + uint64(i+1)*0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	float := func(i int) float64 { return float64(int64(word(i))) / (1 << 63) }
	switch t.DType {
	case tensor.Float32:
		for i, v := 0, tensor.View[float32](t); i < len(v); i++ {
			v[i] = float32(float(i))
		}
	case tensor.Float64:
		for i, v := 0, tensor.View[float64](t); i < len(v); i++ {
			v[i] = float(i)
		}
	case tensor.Int32, tensor.Int64:
		fillInts(t, func(i int) int64 { return int64(word(i) % uint64(max(ids, 1))) })
	}
}

func fillInts(t tensor.Tensor, f func(i int) int64) {
	switch t.DType {
	case tensor.Int32:
		for i, v := 0, tensor.View[int32](t); i < len(v); i++ {
			v[i] = int32(f(i))
		}
	case tensor.Int64:
		for i, v := 0, tensor.View[int64](t); i < len(v); i++ {
			v[i] = f(i)
		}
	}
}

// count writes 0, 1, 2, … along the last axis.
func count(t tensor.Tensor) {
	if n := len(t.Shape); n > 0 && t.Shape[n-1] > 0 {
		width := int(t.Shape[n-1])
		fillInts(t, func(i int) int64 { return int64(i % width) })
	}
}

// usualIDs are tried where nothing tells which whole numbers an input takes, and
// usualLength is the longest sequence that is tried where nothing tells how long
// one may be.
var usualIDs = []int{1000, 100, 10, 2, 1}

const usualLength = 512

// learn finds out, on the CPU, whose provider refuses what a graph has no room
// for, what inputs the graph takes: which token ids, and how long a sequence may
// be. It answers errUntried when it takes none that can be made up.
func (t *trial) learn(ctx context.Context, s gpu.Session) error {
	if t.ids == 0 {
		err := errUntried
		for _, t.ids = range usualIDs {
			if err = t.run(ctx, s, 1, min(8, t.most())); err == nil || ctx.Err() != nil {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	if !t.form.sequence || t.longest > 0 {
		return t.run(ctx, s, 1, min(8, t.most()))
	}
	low, high := 8, 16 // low runs
	for high <= usualLength && t.run(ctx, s, 1, high) == nil {
		low, high = high, high*2
	}
	if high > usualLength {
		high = usualLength + 1
		t.limited = t.run(ctx, s, 1, high) != nil
	} else {
		t.limited = true
	}
	for t.limited && low+1 < high && ctx.Err() == nil { // high does not run
		if middle := (low + high) / 2; t.run(ctx, s, 1, middle) == nil {
			low = middle
		} else {
			high = middle
		}
	}
	t.longest = low
	return ctx.Err()
}

// most is the longest sequence that may be tried.
func (t *trial) most() int {
	if t.longest > 0 {
		return t.longest
	}
	return usualLength
}

func (t *trial) run(ctx context.Context, s gpu.Session, rows, length int) error {
	in, err := t.inputs(rows, length, 1)
	if err != nil {
		return err
	}
	if _, err = s.Run(ctx, in); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errUntried, err)
	}
	return err
}

// trialItems is how many made-up items are run together and alone. Their answers
// are equal within sameAnswer: what float32 loses by summing in another order is
// below 1e-5 of an output's largest value (docs/gpu.md).
const trialItems = 5

var sameAnswer = tolerance{absolute: 1e-4, relative: 1e-4, scaled: true}

// joins says why items must not be joined, and why not those of different
// lengths: made-up items are run alone and together, where the manifest states
// nothing, or no tolerance that would show it. Empty answers are good ones.
func (t *trial) joins(ctx context.Context, s gpu.Session, stated bool) (apart, unpadded string, err error) {
	f := t.form
	if f.apart != "" || f.batching.GetAllowBatchDrift() {
		return f.apart, f.unpadded, nil
	}
	g := &graph{form: f, session: s}
	if !(stated && f.batching.GetMaxRows() > 1) {
		lengths := make([]int, trialItems)
		for i := range lengths {
			lengths[i] = min(13, t.most())
		}
		if apart, err = t.compare(ctx, g, lengths, 0); apart != "" || err != nil {
			if apart != "" {
				apart = fmt.Sprintf("an answer depends on its neighbours: %s when %d items run together", apart, trialItems)
			}
			return apart, "", err
		}
	}
	if !f.sequence || stated && len(t.pipeline.Bundle().Guesses) == 0 {
		return "", "", nil
	}
	lengths := make([]int, trialItems)
	for i := range lengths {
		lengths[i] = min([trialItems]int{5, 24, 8, 16, 13}[i], t.most())
	}
	unpadded, err = t.compare(ctx, g, lengths, min(32, t.most()))
	if unpadded != "" {
		unpadded = "an answer depends on its padding: " + unpadded
	}
	return "", unpadded, err
}

// compare runs items of these lengths together, padded to at least a length, and
// each alone, and tells the first difference.
func (t *trial) compare(ctx context.Context, g *graph, lengths []int, padTo int) (string, error) {
	items := make([][]tensor.Tensor, len(lengths))
	alone := make([][]tensor.Tensor, len(lengths))
	longest := padTo
	for i, length := range lengths {
		var err error
		if items[i], err = t.inputs(1, length, uint64(i+2)); err != nil {
			return "", err
		}
		out, err := runTogether(ctx, g, items[i:i+1], batch.Shape{Rows: 1, Length: lengthOf(items[i], g.inputs)})
		if err != nil {
			return "", err
		}
		alone[i] = out[0]
		longest = max(longest, lengthOf(items[i], g.inputs))
	}
	joined, err := runTogether(ctx, g, items, batch.Shape{Rows: len(items), Length: longest})
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return err.Error(), nil // it runs alone and not together
	}
	for i := range items {
		if why := differ(g.sig, joined[i], alone[i], nil, sameAnswer, nil); why != "" {
			return why, nil
		}
	}
	return "", nil
}

// runTogether runs items as one batch.
func runTogether(ctx context.Context, g *graph, items [][]tensor.Tensor, shape batch.Shape) ([][]tensor.Tensor, error) {
	b := batch.Batch[[]tensor.Tensor, []tensor.Tensor]{
		Items: items, Rows: len(items), Shape: shape, Outputs: make([][]tensor.Tensor, len(items)), Errs: make([]error, len(items)),
	}
	err := g.run(ctx, &b)
	return b.Outputs, errors.Join(append(b.Errs, err)...)
}

// tolerance is how far two answers may be apart and count as equal.
type tolerance struct {
	absolute, relative float64
	// scaled measures absolute in units of an output's largest value; else only
	// where that is above 1.
	scaled bool
}

// admits returns how far a value may be off, of an output whose largest is
// scale.
func (t tolerance) admits(value, scale float64) float64 {
	if !t.scaled {
		scale = max(scale, 1)
	}
	return t.absolute*scale + t.relative*math.Abs(value)
}

// differ tells the first value of the outputs that is further off than either
// tolerance admits; empty when none is. Only outputs in of are looked at, all
// when it is empty. The largest difference of floating-point numbers goes to
// worst, which may be nil.
func differ(sig gpu.Signature, got, want []tensor.Tensor, of map[string]bool, first tolerance, worst *float64, more ...tolerance) string {
	if len(got) != len(want) {
		return fmt.Sprintf("there are %d outputs, not %d", len(got), len(want))
	}
	for i := range want {
		name := sig.Outputs[i].Name
		if len(of) > 0 && !of[name] {
			continue
		}
		if !got[i].Shape.Equal(want[i].Shape) || got[i].DType != want[i].DType {
			return fmt.Sprintf("%q has shape %v, not %v", name, got[i].Shape, want[i].Shape)
		}
		if want[i].DType == tensor.String {
			for k, s := range want[i].Strings {
				if got[i].Strings[k] != s {
					return fmt.Sprintf("%q is another string", name)
				}
			}
			continue
		}
		a, b, scale := float64s(got[i]), float64s(want[i]), 0.0
		for _, x := range b {
			if !math.IsNaN(x) && !math.IsInf(x, 0) {
				scale = max(scale, math.Abs(x))
			}
		}
		for k, w := range b {
			off := math.Abs(a[k] - w)
			switch {
			case math.IsNaN(w) && math.IsNaN(a[k]), w == a[k]:
				off = 0
			case math.IsNaN(off):
				off = math.MaxFloat64
			}
			if worst != nil {
				*worst = max(*worst, off)
			}
			limit := first.admits(w, scale)
			for _, t := range more {
				limit = max(limit, t.admits(w, scale))
			}
			if off > limit {
				return fmt.Sprintf("%q is off by %.3g where %.3g is admitted", name, off, limit)
			}
		}
	}
	return ""
}

// stated tells whether a bundle has golden samples with tolerances, which its
// axes were checked by when it was made.
func stated(b *bundlev1.Manifest) bool { return len(b.GetGoldens().GetTolerances()) > 0 }
