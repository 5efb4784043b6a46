package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/scry-ml/scry/gpu"
)

// manyCallers compares 1,000 callers with 64, for tiny rows and, with what the
// daemon holds, for mixed texts.
func manyCallers(ctx context.Context, cfg *config, out *report) error {
	d, err := startDaemon(ctx, cfg, "")
	if err != nil {
		return err
	}
	defer d.stop()
	if err := d.pushTiny(ctx, "tiny"); err != nil {
		return err
	}
	to, err := dial(d.address, cfg.conns)
	if err != nil {
		return err
	}
	defer to.close()
	if err := crowd(ctx, cfg, out, d, to, "tiny row", "tiny", tinySource("tiny"), cfg.round); err != nil {
		return err
	}
	if cfg.short {
		out.skip("mixed texts, 1000 callers", "-short")
		return d.uncached(ctx)
	}
	return withText(cfg, out, "mixed texts, 1000 callers", func(rt *gpu.Runtime) error {
		d, to, err := textDaemon(ctx, cfg, rt, "")
		if err != nil {
			return err
		}
		defer d.stop()
		defer to.close()
		// A call's turn comes after some seconds.
		if err := crowd(ctx, cfg, out, d, to, "mixed texts", "texts", textSource("texts", lengthAt), max(cfg.round, 5*time.Second)); err != nil {
			return err
		}
		info, err := os.Stat(miniLM)
		if err != nil {
			return err
		}
		now, most := d.memory()
		bound := info.Size()*3/2 + 512<<20
		out.add(line{
			work: "mixed texts, 1000 callers, memory", served: fmt.Sprintf("%d MiB at most, %d MiB after", most>>20, now>>20),
			beside: fmt.Sprintf("weights %d MiB", info.Size()>>20),
			bound:  fmt.Sprintf("≤ %d MiB", bound>>20), met: most <= bound,
		})
		return d.uncached(ctx)
	})
}

// crowd runs rounds of 64 and of 1,000 callers in turn.
func crowd(ctx context.Context, cfg *config, out *report, d *daemon, to conns, work, model string, from source, round time.Duration) error {
	g, err := d.graph(ctx, model)
	if err != nil {
		return err
	}
	var few, many []float64
	var all []sample
	for k := range cfg.rounds + 1 { // the first does not count
		a, err := closed(ctx, to, 64, round, cfg.fresh(), from)
		if err != nil {
			return err
		}
		b, err := closed(ctx, to, 1000, round, cfg.fresh(), from)
		if err != nil {
			return err
		}
		if k > 0 {
			few, many = append(few, a.perSecond()), append(many, b.perSecond())
			all = append(all, b.samples...)
		}
	}
	out.add(line{
		work: work + ", 1000 callers", where: place(g), served: fmt.Sprintf("%.0f/s", median(many)),
		beside: fmt.Sprintf("64 callers %.0f/s", median(few)), times: summary(all),
	}.least(over(many, few), 0.8))
	return nil
}

// manyModels compares traffic over 20 loaded models with the same traffic on
// one of them.
func manyModels(ctx context.Context, cfg *config, out *report) error {
	d, err := startDaemon(ctx, cfg, "")
	if err != nil {
		return err
	}
	defer d.stop()
	var models []string
	for i := range 20 {
		models = append(models, fmt.Sprintf("tiny-%d", i))
	}
	if err := d.pushTiny(ctx, models...); err != nil {
		return err
	}
	to, err := dial(d.address, cfg.conns)
	if err != nil {
		return err
	}
	defer to.close()
	g, err := d.graph(ctx, models[0])
	if err != nil {
		return err
	}
	one, every := tinySource(models[0]), tinySource(models...)
	var alone, spread []float64
	var all []sample
	for k := range cfg.rounds + 1 { // the first does not count
		a, err := closed(ctx, to, 64, cfg.round, cfg.fresh(), one)
		if err != nil {
			return err
		}
		b, err := closed(ctx, to, 64, cfg.round, cfg.fresh(), every)
		if err != nil {
			return err
		}
		if k > 0 {
			alone, spread = append(alone, a.perSecond()), append(spread, b.perSecond())
			all = append(all, b.samples...)
		}
	}
	out.add(line{
		work: "tiny rows over 20 loaded models, 64 callers", where: place(g), served: fmt.Sprintf("%.0f/s", median(spread)),
		beside: fmt.Sprintf("one of them %.0f/s", median(alone)), times: summary(all),
	}.least(over(spread, alone), 0.8))
	return d.uncached(ctx)
}
