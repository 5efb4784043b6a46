package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scry-ml/scry/gpu"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// place names where a graph runs, and how.
func place(g *serverv1.LoadedGraph) string {
	p := g.GetPlan()
	return fmt.Sprintf("%s %s, %d × %d", g.GetDevice(), g.GetPrecision(), p.GetParallelRuns(), p.GetThreads())
}

// pushTexts makes MiniLM a model that runs on one provider, or with none on any.
func (d *daemon) pushTexts(ctx context.Context, rt *gpu.Runtime, model, provider string) error {
	dir := filepath.Join(d.dir, "bundles", model)
	if err := textBundle(ctx, rt, dir, provider, provider != gpu.CPU); err != nil {
		return err
	}
	return d.push(ctx, model, dir)
}

// providers are those that can be used here, and why the others cannot.
func providers(rt *gpu.Runtime, out *report, work string) []string {
	found := []string{}
	for _, provider := range []string{gpu.CPU, gpu.OpenVINO, gpu.CUDA} {
		why := "not in this build of ONNX Runtime"
		for _, dev := range rt.Devices() {
			if dev.Provider == provider && dev.Available {
				why = ""
			} else if dev.Provider == provider && why != "" {
				why = dev.Reason
			}
		}
		if why == "" {
			found = append(found, provider)
		} else {
			out.skip(work+" on "+provider, "%s", why)
		}
	}
	return found
}

// texts measures mixed texts on each provider beside the replay on the same
// provider, and with the plan free beside the CPU provider's replay.
func texts(ctx context.Context, cfg *config, out *report) error {
	return withText(cfg, out, "mixed texts", func(rt *gpu.Runtime) error {
		var onCPU *replay
		defer func() { _ = onCPU.close() }()
		for _, provider := range providers(rt, out, "mixed texts") {
			if cfg.short && provider != gpu.CPU {
				out.skip("mixed texts on "+provider, "-short")
				continue
			}
			r, err := textsOn(ctx, cfg, out, rt, provider)
			if err != nil {
				return fmt.Errorf("%s: %w", provider, err)
			}
			if provider == gpu.CPU {
				onCPU = r
			} else if err := r.close(); err != nil {
				return err
			}
		}
		switch {
		case cfg.short:
			out.skip("mixed texts, plan free", "-short")
			return nil
		case !strings.Contains(" "+cpuInfo("flags")+" ", " amx_bf16 "):
			out.skip("mixed texts, plan free, against the CPU provider", "this machine has no AMX")
			return nil
		}
		return textsFree(ctx, cfg, out, rt, onCPU)
	})
}

// textsOn measures one provider and returns its replay.
func textsOn(ctx context.Context, cfg *config, out *report, rt *gpu.Runtime, provider string) (_ *replay, err error) {
	d, to, err := textDaemon(ctx, cfg, rt, provider)
	if err != nil {
		return nil, err
	}
	defer d.stop()
	defer to.close()
	g, err := d.graph(ctx, "texts")
	if err != nil {
		return nil, err
	}
	precision := gpu.F32
	if g.GetPrecision() != "fp32" {
		precision = gpu.Precision(g.GetPrecision())
	}
	fmt.Printf("  measuring what runs of MiniLM cost on %s\n", place(g))
	r, err := newReplay(ctx, rt, provider, precision, cfg.short)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = r.close()
		}
	}()
	limit, size, err := r.sorted(ctx, cfg.round/2)
	if err != nil {
		return nil, err
	}
	for _, callers := range []int{16, 64} {
		served, alone, times, err := against(ctx, cfg, d, to, callers, r)
		if err != nil {
			return nil, err
		}
		l := line{
			work: fmt.Sprintf("mixed texts, %d callers", callers), where: place(g), served: fmt.Sprintf("%.0f/s", median(served)),
			beside: fmt.Sprintf("replay %.0f/s (%s), sorted %.0f/s (batches of %d)", median(alone), r.layout, limit, size), times: times,
		}
		out.add(l.least(over(served, alone), 0.85))
	}
	return r, d.uncached(ctx)
}

// textsFree lets the server choose and compares with the CPU provider's limit.
func textsFree(ctx context.Context, cfg *config, out *report, rt *gpu.Runtime, onCPU *replay) error {
	d, to, err := textDaemon(ctx, cfg, rt, "")
	if err != nil {
		return err
	}
	defer d.stop()
	defer to.close()
	g, err := d.graph(ctx, "texts")
	if err != nil {
		return err
	}
	for _, callers := range []int{16, 64} {
		served, alone, times, err := against(ctx, cfg, d, to, callers, onCPU)
		if err != nil {
			return err
		}
		l := line{
			work: fmt.Sprintf("mixed texts, plan free, %d callers", callers), where: place(g), served: fmt.Sprintf("%.0f/s", median(served)),
			beside: fmt.Sprintf("replay on the CPU provider %.0f/s", median(alone)), times: times,
		}
		out.add(l.least(over(served, alone), 2))
	}
	return d.uncached(ctx)
}

// textDaemon starts a daemon whose model "texts" is MiniLM on the provider.
func textDaemon(ctx context.Context, cfg *config, rt *gpu.Runtime, provider string) (*daemon, conns, error) {
	d, err := startDaemon(ctx, cfg, "")
	if err != nil {
		return nil, nil, err
	}
	if err := d.pushTexts(ctx, rt, "texts", provider); err != nil {
		d.stop()
		return nil, nil, err
	}
	to, err := dial(d.address, cfg.conns)
	if err != nil {
		d.stop()
		return nil, nil, err
	}
	return d, to, nil
}

// against runs rounds of the server and the replay in turn, over the same texts.
func against(ctx context.Context, cfg *config, d *daemon, to conns, callers int, r *replay) (served, alone []float64, times string, err error) {
	from := textSource("texts", lengthAt)
	var all []sample
	before, err := d.metrics(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	for k := range cfg.rounds + 1 { // the first does not count
		first, length := cfg.fresh(), cfg.round
		if k == 0 {
			length /= 2
		}
		o, err := closed(ctx, to, callers, length, first, from)
		if err != nil {
			return nil, nil, "", err
		}
		rate, err := r.round(ctx, callers, length, first)
		if err != nil {
			return nil, nil, "", err
		}
		if k == 0 {
			continue
		}
		served, alone = append(served, o.perSecond()), append(alone, rate)
		all = append(all, o.samples...)
	}
	after, err := d.metrics(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	limit := decile()
	long := outcome{samples: all}.times(func(s sample) bool { return answered(s) && s.length >= limit })
	return served, alone, fmt.Sprintf("%s, longest decile p99 %s; mean batch %.1f",
		summary(all), short(quantile(long, 0.99)), meanBatch(before, after, "texts")), nil
}

// decile is the length from which on the longest tenth of the texts is.
func decile() int32 {
	s := slices.Sorted(slices.Values(lengths))
	return int32(s[len(s)*9/10])
}
