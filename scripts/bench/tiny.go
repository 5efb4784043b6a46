package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// tiny measures a row so small that the call is the work, beside a server that
// does nothing but answer.
func tiny(ctx context.Context, cfg *config, out *report) error {
	d, err := startDaemon(ctx, cfg, "")
	if err != nil {
		return err
	}
	defer d.stop()
	if err := d.pushTiny(ctx, "tiny"); err != nil {
		return err
	}
	rows := tinySource("tiny")
	served, err := dial(d.address, cfg.conns)
	if err != nil {
		return err
	}
	defer served.close()
	answer, err := once(ctx, served, rows(cfg.fresh()))
	if err != nil {
		return err
	}
	e, err := startEcho(answer)
	if err != nil {
		return err
	}
	defer e.stop()
	raw, err := dial(e.raw, cfg.conns)
	if err != nil {
		return err
	}
	defer raw.close()
	decoded, err := dial(e.decoded, cfg.conns)
	if err != nil {
		return err
	}
	defer decoded.close()
	g, err := d.graph(ctx, "tiny")
	if err != nil {
		return err
	}
	size := len(rows(cfg.fresh()).body)

	for _, callers := range []int{64, 1} {
		sides := []conns{served, raw, decoded}
		var rates, medians [3][]float64
		var all []sample
		for k := range cfg.rounds + 1 { // the first does not count
			for i, to := range sides {
				length := cfg.round
				if k == 0 {
					length /= 3
				}
				o, err := closed(ctx, to, callers, length, cfg.fresh(), rows)
				if err != nil {
					return err
				}
				if k == 0 {
					continue
				}
				rates[i] = append(rates[i], o.perSecond())
				medians[i] = append(medians[i], float64(quantile(o.times(answered), 0.5)))
				if i == 0 {
					all = append(all, o.samples...)
				}
			}
		}
		what := fmt.Sprintf("tiny row, %d callers", callers)
		if callers == 1 {
			l := line{
				work: "tiny row, 1 caller", where: place(g), served: "p50 " + medianTime(medians[0]),
				beside: fmt.Sprintf("echo p50 %s (decoded %s)", medianTime(medians[1]), medianTime(medians[2])), times: summary(all),
			}
			out.add(l.atMost(over(medians[0], medians[1]), 1.4))
			continue
		}
		l := line{
			work: what, where: place(g), served: fmt.Sprintf("%.0f/s", median(rates[0])),
			beside: fmt.Sprintf("echo of the same %d and %d bytes %.0f/s", size, len(answer), median(rates[1])), times: summary(all),
		}
		out.add(l.least(over(rates[0], rates[1]), 0.75))
		out.add(line{
			work: what, where: place(g), served: fmt.Sprintf("%.0f/s", median(rates[0])),
			beside: fmt.Sprintf("echo, decoded %.0f/s", median(rates[2])), ratio: over(rates[0], rates[2]).String(),
		})
	}
	return d.uncached(ctx)
}

// once makes one call and returns its answer.
func once(ctx context.Context, to conns, r request) ([]byte, error) {
	var reply []byte
	err := to[0].Invoke(ctx, inferMethod, &r.body, &reply, callOptions...)
	return slices.Clone(reply), err
}

// over divides round by round.
func over(a, b []float64) ratios {
	out := make(ratios, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

// medianTime writes the median of nanoseconds.
func medianTime(ns []float64) string { return short(time.Duration(median(ns))) }
