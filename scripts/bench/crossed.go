package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/tensor"
)

// crossed sends unique rows and short texts at the same time and compares every
// answer with a bare session's answer to that item alone. Without the text model
// all items are rows.
func crossed(ctx context.Context, cfg *config, out *report) error {
	rt, err := gpu.Open(gpu.FindRuntime(cfg.runtimeDir))
	if err != nil {
		return err
	}
	defer rt.Close()
	d, err := startDaemon(ctx, cfg, "")
	if err != nil {
		return err
	}
	defer d.stop()
	if err := d.pushTiny(ctx, "tiny"); err != nil {
		return err
	}
	row, err := rt.Load(ctx, gpu.Spec{Path: filepath.Join(d.dir, "bundles", "tiny", "tiny.onnx"), Devices: []string{gpu.CPU}, Threads: 1})
	if err != nil {
		return err
	}
	defer row.Close()
	kinds := []kind{{name: "rows", model: "tiny", items: cfg.items, from: tinySource("tiny"), callers: 48, alone: func(ctx context.Context, r request, number uint64) ([]float32, error) {
		x, err := tensor.New(tensor.Float32, 1, tinyInputs)
		if err != nil {
			return nil, err
		}
		appendRow(x.Data[:0], number)
		return first(row.Run(ctx, []tensor.Tensor{x}))
	}}}
	if _, err := os.Stat(miniLM); err == nil {
		if err := d.pushTexts(ctx, rt, "texts", gpu.CPU); err != nil {
			return err
		}
		model, err := filepath.Abs(miniLM)
		if err != nil {
			return err
		}
		text, err := rt.Load(ctx, gpu.Spec{Path: model, Devices: []string{gpu.CPU}, Outputs: []string{textOutput}})
		if err != nil {
			return err
		}
		defer text.Close()
		// Short ones, or the answers alone would take longer than all the rest.
		some := cfg.items / 20
		kinds[0].items -= some
		kinds = append(kinds, kind{name: "texts of 4 to 19 tokens", model: "texts", items: some, from: textSource("texts", shortLength), callers: 16, alone: func(ctx context.Context, r request, number uint64) ([]float32, error) {
			in, err := textTensors([]uint64{number}, []int{r.length}, 1, r.length)
			if err != nil {
				return nil, err
			}
			return first(text.Run(ctx, in))
		}})
	} else {
		out.skip("crossed answers, texts", "there is no %s (make bench-models)", miniLM)
	}
	to, err := dial(d.address, cfg.conns)
	if err != nil {
		return err
	}
	defer to.close()

	before, err := d.metrics(ctx)
	if err != nil {
		return err
	}
	base := cfg.fresh()
	var group sync.WaitGroup
	errs := make([]error, len(kinds))
	for i := range kinds {
		group.Go(func() { errs[i] = kinds[i].send(ctx, to, base) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	after, err := d.metrics(ctx)
	if err != nil {
		return err
	}
	for i := range kinds {
		g, err := d.graph(ctx, kinds[i].model)
		if err != nil {
			return err
		}
		wrong, worst, err := kinds[i].compare(ctx, base)
		if err != nil {
			return err
		}
		out.add(line{
			work: "crossed answers, mixed load", where: place(g), served: fmt.Sprintf("%d of %d %s differ", wrong, kinds[i].items, kinds[i].name),
			beside: "each alone in a bare session", ratio: fmt.Sprintf("largest difference %.1e", worst), times: fmt.Sprintf("mean batch %.1f", meanBatch(before, after, kinds[i].model)),
			bound: "0 beyond 1e-05", met: wrong == 0,
		})
	}
	return d.uncached(ctx)
}

// kind is one kind of item.
type kind struct {
	name, model string
	items       int
	from        source
	alone       func(ctx context.Context, r request, number uint64) ([]float32, error)
	callers     int
	answers     [][]byte
}

// send sends all items, numbered from base on, and keeps the answers.
func (k *kind) send(ctx context.Context, to conns, base uint64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k.answers = make([][]byte, k.items)
	var (
		group sync.WaitGroup
		next  atomic.Int64
	)
	for c := range k.callers {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= k.items {
					return
				}
				r := k.from(base + uint64(i))
				if err := to[c%len(to)].Invoke(ctx, inferMethod, &r.body, &k.answers[i], callOptions...); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// compare counts the answers that are further from the item's own than 1e-5,
// and returns the largest difference.
func (k *kind) compare(ctx context.Context, base uint64) (wrong int, worst float64, err error) {
	for i, answer := range k.answers {
		number := base + uint64(i)
		want, err := k.alone(ctx, k.from(number), number)
		if err != nil {
			return 0, 0, err
		}
		got, err := answerOf(answer)
		if err != nil {
			return 0, 0, err
		}
		off := math.Inf(1)
		if len(got) == len(want) {
			off = 0
			for j := range want {
				off = max(off, math.Abs(float64(got[j]-want[j])))
			}
		}
		if !(off <= 1e-5) {
			wrong++
		}
		worst = max(worst, off)
	}
	return wrong, worst, nil
}

func shortLength(number uint64) int { return 4 + int(number%16) }

func first(out []tensor.Tensor, err error) ([]float32, error) {
	if err != nil {
		return nil, err
	}
	return tensor.View[float32](out[0]), nil
}
