// Command bench measures, for each starter model, what the daemon serves beside
// what a bare ONNX Runtime session of the same file on the same provider does
// in the same run: alternating rounds, ratio of medians, p50 and p99 of the
// calls, and the daemon's memory. Inputs are unique. Run it by `make bench`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/scry-ml/scry/client"
)

func main() {
	short := flag.Bool("short", false, "one short round each, to see that it runs")
	rounds := flag.Int("rounds", 5, "alternating rounds of each side")
	length := flag.Duration("round", 3*time.Second, "length of one round")
	only := flag.String("only", "", "churn, sentiment or products")
	scryd := flag.String("scryd", "bin/scryd", "the daemon")
	runtimeDir := flag.String("runtime-dir", ".runtime", "ONNX Runtime")
	flag.Parse()
	if *short {
		*rounds, *length = 1, time.Second
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *scryd, *runtimeDir, *only, *rounds, *length); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, scryd, runtimeDir, only string, rounds int, length time.Duration) error {
	d, err := startDaemon(ctx, scryd, runtimeDir)
	if err != nil {
		return err
	}
	defer d.stop()
	c, err := client.Dial(ctx, d.address)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Printf("%s, %d processors, %s, %d rounds of %v each\n", cpuName(), runtime.NumCPU(), runtime.Version(), rounds, length)
	t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "workload\tprovider\tserved/s\tbare/s\tratio (min–max)\tp50\tp99\tone caller p50\tdaemon memory")
	for _, w := range workloads() {
		if only != "" && w.model != only {
			continue
		}
		line, err := measure(ctx, c, d, w, runtimeDir, rounds, length)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		fmt.Fprintln(t, line)
	}
	return t.Flush()
}

// measure runs one workload's rounds, daemon and bare session in turn.
func measure(ctx context.Context, c *client.Client, d *daemon, w workload, runtimeDir string, rounds int, length time.Duration) (string, error) {
	bare, err := newBare(ctx, c, w, runtimeDir)
	if err != nil {
		return "", err
	}
	defer bare.close()
	var served, alone, ratios []float64
	var times []time.Duration
	// One round that does not count: caches fill, queues learn their costs.
	if _, _, err := w.serve(ctx, c, w.callers, length/2); err != nil {
		return "", err
	}
	if _, err := bare.round(ctx, length/2); err != nil {
		return "", err
	}
	for range rounds {
		rate, took, err := w.serve(ctx, c, w.callers, length)
		if err != nil {
			return "", err
		}
		limit, err := bare.round(ctx, length)
		if err != nil {
			return "", err
		}
		served, alone, ratios = append(served, rate), append(alone, limit), append(ratios, rate/limit)
		times = append(times, took...)
	}
	_, single, err := w.serve(ctx, c, 1, length)
	if err != nil {
		return "", err
	}
	slices.Sort(ratios)
	return strings.Join([]string{
		w.name, bare.provider(),
		fmt.Sprintf("%.0f", median(served)), fmt.Sprintf("%.0f (%s)", median(alone), bare.best),
		fmt.Sprintf("%.2f (%.2f–%.2f)", median(ratios), ratios[0], ratios[len(ratios)-1]),
		round(quantile(times, 0.5)), round(quantile(times, 0.99)), round(quantile(single, 0.5)),
		fmt.Sprintf("%d MiB", d.residentBytes()>>20),
	}, "\t"), nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

func quantile(v []time.Duration, q float64) time.Duration {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func round(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 100*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func cpuName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
