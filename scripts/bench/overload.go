package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/gpu"
)

// point is what one offered load gave, the medians of the rounds.
type point struct {
	load             float64 // of the capacity
	offered, goodput float64 // texts per second, tokens answered in time per second
	p50, p99         time.Duration
	refused, cpu     float64 // shares: of the texts, of one processor
}

const deadline = 250 * time.Millisecond

// loads are multiples of the capacity, and what the goodput must be of the peak.
var loads = []struct{ load, bound float64 }{{0.5, 0}, {0.8, 0}, {1, 0}, {2, 0.95}, {5, 0.9}, {10, 0.85}}

// overload offers mixed texts at multiples of the capacity, on the CPU provider
// and with the plan free.
func overload(ctx context.Context, cfg *config, out *report) error {
	return withText(cfg, out, "overload", func(rt *gpu.Runtime) error {
		return errors.Join(overloadOn(ctx, cfg, out, rt, gpu.CPU), overloadOn(ctx, cfg, out, rt, ""))
	})
}
func overloadOn(ctx context.Context, cfg *config, out *report, rt *gpu.Runtime, provider string) error {
	d, to, err := textDaemon(ctx, cfg, rt, provider)
	if err != nil {
		return err
	}
	defer d.stop()
	defer to.close()
	g, err := d.graph(ctx, "texts")
	if err != nil {
		return err
	}
	from := textSource("texts", lengthAt)
	if _, err := closed(ctx, to, 64, cfg.round, cfg.fresh(), from); err != nil { // the queue learns its costs
		return err
	}
	var rates, sums []float64
	for range cfg.rounds {
		o, err := closed(ctx, to, 64, cfg.round, cfg.fresh(), from)
		if err != nil {
			return err
		}
		rates, sums = append(rates, o.perSecond()), append(sums, o.tokensPerSecond(0))
	}
	capacity, tokens := median(rates), median(sums)
	loads := loads
	if cfg.short {
		loads = loads[2:4]
	}
	peaks, allowed := make([]float64, cfg.rounds), make([]float64, cfg.rounds)
	runs := make([]overloaded, len(loads))
	for k := range cfg.rounds {
		for i, l := range loads {
			if err := runs[i].round(ctx, d, to, l.load*capacity, cfg, from); err != nil {
				return fmt.Errorf("at %v times the capacity: %w", l.load, err)
			}
			peaks[k] = max(peaks[k], runs[i].goodput[k])
			allowed[k] = max(allowed[k], runs[i].allowed[k])
		}
	}
	for i, l := range loads {
		p := runs[i].point(l.load, l.load*capacity)
		out.sweep = append(out.sweep, p)
		if l.bound > 0 {
			runs[i].lines(out, place(g), p, peaks, allowed, l.bound, tokens)
		}
	}
	return d.uncached(ctx)
}

// overloaded gathers the rounds of one load.
type overloaded struct {
	goodput         []float64
	allowed         []float64 // goodput, had the generator left all processors to the server
	samples         []sample
	cpu             []float64
	atOnce, waiting histogram // refusals on the server
}

func (r *overloaded) round(ctx context.Context, d *daemon, to conns, perSecond float64, cfg *config, from source) error {
	before, err := d.metrics(ctx)
	if err != nil {
		return err
	}
	o, err := open(ctx, to, perSecond, cfg.round, deadline, cfg.fresh(), from)
	if err != nil {
		return err
	}
	after, err := d.metrics(ctx)
	if err != nil {
		return err
	}
	r.atOnce.add(before, after, "scry_refusal_seconds", `queued="false"`)
	r.waiting.add(before, after, "scry_refusal_seconds", `queued="true"`)
	r.goodput = append(r.goodput, o.tokensPerSecond(deadline))
	r.samples = append(r.samples, o.samples...)
	share := o.cpu.Seconds() / o.round.Seconds()
	r.cpu = append(r.cpu, share)
	r.allowed = append(r.allowed, o.tokensPerSecond(deadline)/(1-share/float64(runtime.NumCPU())))
	return nil
}

// accepted were not refused; among them are those that expired.
func accepted(s sample) bool { return s.counted && s.code != codes.ResourceExhausted }

func inTime(s sample) bool { return s.code == codes.OK && s.took <= deadline }

// lost is the share of the samples that were not answered in time.
func lost(s []sample) float64 {
	n, all := 0, 0
	for _, one := range s {
		if one.counted {
			all++
			if !inTime(one) {
				n++
			}
		}
	}
	return float64(n) / float64(max(all, 1))
}

func (r *overloaded) point(load, offered float64) point {
	times := outcome{samples: r.samples}.times(accepted)
	return point{
		load: load, offered: offered, goodput: median(r.goodput), p50: quantile(times, 0.5), p99: quantile(times, 0.99),
		refused: lost(r.samples), cpu: median(r.cpu),
	}
}

// lines reports the promises for one load. The generator takes processors from
// the server, the more the more it sends: the bound is on what is left without
// that, and the figure as it was stands beside.
func (r *overloaded) lines(out *report, where string, p point, peaks, allowed []float64, bound, capacity float64) {
	work := fmt.Sprintf("overload, %v times the capacity", p.load)
	out.add(line{
		work: work, where: where, served: fmt.Sprintf("%.0f tokens/s in time", p.goodput),
		beside: fmt.Sprintf("peak %.0f, capacity %.0f tokens/s, as they were %.2f", median(peaks), capacity, median(over(r.goodput, peaks))),
		times:  fmt.Sprintf("generator %.0f %% of one processor, allowed for", 100*p.cpu),
	}.least(over(r.allowed, allowed), bound))

	parts, spread := r.quartiles()
	out.add(line{
		work: work + ", share refused", where: where, served: fmt.Sprintf("%.0f %%", 100*p.refused),
		beside: "by length quartile " + strings.Join(parts, ", "), ratio: fmt.Sprintf("spread %.1f points", spread),
		bound: "≤ 10 points", met: spread <= 10,
	})
	out.add(line{
		work: work + ", p99 of the accepted", where: where, served: short(p.p99), times: "p50 " + short(p.p50),
		bound: "≤ " + short(deadline), met: p.p99 <= deadline,
	})
	if r.atOnce.count() == 0 {
		out.skip(work+", time of a refusal on the server", "scry_refusal_seconds counts none")
		return
	}
	q := r.atOnce.quantile(0.99)
	out.add(line{
		work: work + ", refusals on the server", where: where, served: "p99 " + short(q),
		times: fmt.Sprintf("%.0f at once; %.0f after waiting, p99 %s", r.atOnce.count(), r.waiting.count(), short(r.waiting.quantile(0.99))),
		bound: "≤ 5ms", met: q <= 5*time.Millisecond,
	})
}

// quartiles are the shares lost by quarter of the texts, shortest first, and
// the distance of the largest from the smallest in points.
func (r *overloaded) quartiles() (parts []string, spread float64) {
	s := slices.DeleteFunc(slices.Clone(r.samples), func(s sample) bool { return !s.counted })
	slices.SortStableFunc(s, func(a, b sample) int { return int(a.length - b.length) })
	low, high := math.Inf(1), 0.0
	for k := range 4 {
		share := 100 * lost(s[len(s)*k/4:len(s)*(k+1)/4])
		low, high = min(low, share), max(high, share)
		parts = append(parts, fmt.Sprintf("%.0f %%", share))
	}
	return parts, high - low
}

// histogram sums Prometheus histograms: counts by upper bound in seconds.
type histogram map[float64]float64

var lessEqual = regexp.MustCompile(`le="([^"]+)"`)

// add adds what the histograms of that name and label have grown by.
func (h *histogram) add(before, after map[string]float64, name, label string) {
	if *h == nil {
		*h = histogram{}
	}
	for key, v := range after {
		if !strings.HasPrefix(key, name+"_bucket{") || !strings.Contains(key, label) {
			continue
		}
		if m := lessEqual.FindStringSubmatch(key); m != nil {
			bound, _ := strconv.ParseFloat(m[1], 64) // +Inf included
			(*h)[bound] += v - before[key]
		}
	}
}

func (h histogram) count() float64 { return h[math.Inf(1)] }

// quantile is within the bucket of the quantile, by a straight line.
func (h histogram) quantile(q float64) time.Duration {
	bounds := make([]float64, 0, len(h))
	for b := range h {
		bounds = append(bounds, b)
	}
	slices.Sort(bounds)
	rank, below, from := q*h.count(), 0.0, 0.0
	for _, b := range bounds {
		if n := h[b]; n >= rank && n > below {
			if math.IsInf(b, 1) {
				return time.Duration(from * float64(time.Second))
			}
			return time.Duration((from + (b-from)*(rank-below)/(n-below)) * float64(time.Second))
		}
		below, from = h[b], b
	}
	return 0
}
