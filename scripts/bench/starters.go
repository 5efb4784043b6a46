package main

import (
	"context"
	"fmt"
	"time"
)

// starters measures the starter models by their own services, each beside a
// bare session of the same files on the same device.
func starters(ctx context.Context, cfg *config, out *report) error {
	d, err := startDaemon(ctx, cfg, "models")
	if err != nil {
		return err
	}
	defer d.stop()
	if err := d.wait(ctx, "churn", "sentiment", "products"); err != nil {
		return err
	}
	for _, w := range workloads() {
		l, err := w.measure(ctx, d, cfg)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		out.add(l)
	}
	if err := textHeads(ctx, d, cfg, out); err != nil {
		return fmt.Errorf("all features of texts: %w", err)
	}
	if err := textGrowth(ctx, d, cfg, out); err != nil {
		return fmt.Errorf("long texts: %w", err)
	}
	if err := reasons(ctx, d, cfg, out); err != nil {
		return fmt.Errorf("reasons: %w", err)
	}
	now, most := d.memory()
	out.note("the daemon with the starter models held %d MiB, %d at most", now>>20, most>>20)
	return d.uncached(ctx)
}

// measure runs one workload's rounds, daemon and bare session in turn.
func (w workload) measure(ctx context.Context, d *daemon, cfg *config) (line, error) {
	bare, err := newBare(ctx, d.client, w, cfg)
	if err != nil {
		return line{}, err
	}
	defer bare.close()
	var (
		served, alone []float64
		r             ratios
		times         []time.Duration
	)
	// One round that does not count: caches fill, queues learn their costs.
	if _, _, err := w.serve(ctx, d, w.callers, cfg.round/2); err != nil {
		return line{}, err
	}
	if _, err := bare.round(ctx, cfg.round/2); err != nil {
		return line{}, err
	}
	for range cfg.rounds {
		rate, took, err := w.serve(ctx, d, w.callers, cfg.round)
		if err != nil {
			return line{}, err
		}
		limit, err := bare.round(ctx, cfg.round)
		if err != nil {
			return line{}, err
		}
		served, alone, r = append(served, rate), append(alone, limit), append(r, rate/limit)
		times = append(times, took...)
	}
	_, single, err := w.serve(ctx, d, 1, cfg.round)
	if err != nil {
		return line{}, err
	}
	l := line{
		work: w.name, where: bare.provider(), served: fmt.Sprintf("%.0f/s", median(served)),
		beside: fmt.Sprintf("bare session %.0f/s (%s)", median(alone), bare.best), ratio: r.String(),
		times: percentiles(times) + ", one caller p50 " + short(quantile(single, 0.5)),
	}
	if w.bound > 0 {
		l = l.least(r, w.bound)
	}
	return l, nil
}
