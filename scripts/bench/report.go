package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// line is one row of the table.
type line struct {
	work, where string // what was asked, and of which provider
	served      string // what the daemon does
	beside      string // what is measured beside it
	ratio       string // median of the rounds' ratios, smallest–largest
	times       string
	bound       string // empty where nothing is promised
	met         bool
}

func (l line) verdict() string {
	switch {
	case l.bound == "":
		return ""
	case l.met:
		return "met"
	}
	return "missed"
}

// report gathers what was measured and shows it line by line as it comes.
type report struct {
	lines   []line
	skipped []string // what was not measured, and why
	notes   []string
	sweep   []point // goodput and latency by offered load
}

var columns = []string{"work", "provider", "served", "beside", "ratio (min–max)", "times", "bound", ""}

func (l line) cells() []string {
	return []string{l.work, l.where, l.served, l.beside, l.ratio, l.times, l.bound, l.verdict()}
}

func (r *report) add(l line) {
	r.lines = append(r.lines, l)
	fmt.Println("  " + strings.Join(slices.DeleteFunc(l.cells(), func(s string) bool { return s == "" }), " | "))
}

func (r *report) skip(work, format string, args ...any) {
	r.skipped = append(r.skipped, work+": "+fmt.Sprintf(format, args...))
	fmt.Println("  skipped: " + r.skipped[len(r.skipped)-1])
}

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
	fmt.Println("  note: " + r.notes[len(r.notes)-1])
}

// print shows the whole table.
func (r *report) print(w io.Writer) error {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(columns, "\t"))
	met, bounds := 0, 0
	for _, l := range r.lines {
		fmt.Fprintln(t, strings.Join(l.cells(), "\t"))
		if l.bound != "" {
			bounds++
			if l.met {
				met++
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range r.skipped {
		fmt.Fprintln(w, "skipped:", s)
	}
	for _, s := range r.notes {
		fmt.Fprintln(w, "note:", s)
	}
	_, err := fmt.Fprintf(w, "%d of %d bounds met\n", met, bounds)
	return err
}

// head says where and how it was measured.
func head(cfg *config) string {
	return fmt.Sprintf("%s, %d processors, %s, ONNX Runtime %s, scry %s, %s; %d rounds of %v each, generator on the same processors, %d connections",
		cpuName(), runtime.NumCPU(), runtime.Version(), cfg.ort, cfg.revision, time.Now().UTC().Format(time.DateOnly), cfg.rounds, cfg.round, cfg.conns)
}

// write makes docs/bench.md and its plot.
func (r *report) write(dir string, cfg *config) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(page)
	fmt.Fprintf(&b, "\n## Measured\n\n%s.\n\n", head(cfg))
	row := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	row(columns)
	row(slices.Repeat([]string{"---"}, len(columns)))
	for _, l := range r.lines {
		row(l.cells())
	}
	for _, part := range []struct {
		title string
		lines []string
	}{{"Not measured", r.skipped}, {"Notes", r.notes}} {
		if len(part.lines) > 0 {
			fmt.Fprintf(&b, "\n%s:\n\n", part.title)
			for _, s := range part.lines {
				b.WriteString("- " + s + "\n")
			}
		}
	}
	if len(r.sweep) > 0 {
		b.WriteString("\n## Overload\n\n![Goodput and latency against offered load](bench.svg)\n\n")
		row([]string{"offered ÷ capacity", "offered texts/s", "goodput, tokens/s", "p50", "p99 of the accepted", "refused", "generator's CPU"})
		row(slices.Repeat([]string{"---"}, 7))
		for _, p := range r.sweep {
			row([]string{
				fmt.Sprintf("%.1f", p.load), fmt.Sprintf("%.0f", p.offered), fmt.Sprintf("%.0f", p.goodput),
				short(p.p50), short(p.p99), fmt.Sprintf("%.0f %%", 100*p.refused), fmt.Sprintf("%.0f %%", 100*p.cpu),
			})
		}
		if err := os.WriteFile(filepath.Join(dir, "bench.svg"), plot(r.sweep), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "bench.md"), []byte(b.String()), 0o644)
}

const page = "# Measurements\n\n" +
	"Written by `make bench BENCH_FLAGS=\"-write docs\"`; change the text in scripts/bench/report.go. Each line is a ratio of two\n" +
	"things measured in turn in one run on one machine, the load generator among them; the absolute figures are that\n" +
	"machine's. Inputs are unique, and the run fails if the daemon counts a cached answer.\n\n" +
	"- **tiny row**: 32 floats through three layers, a plain .onnx file without a manifest, by ModelInfer. Beside it a bare\n" +
	"  grpc-go server in a process of its own that answers the same bytes with the same bytes. *decoded* is the same server\n" +
	"  with the protocol's generated messages, which any server of it must read and write.\n" +
	"- **mixed texts**: MiniLM-L6 in float32, one text a call by ModelInfer, lengths log-normal with median 24 and sigma 0.8\n" +
	"  from 4 to 128 tokens. *replay* is a bare session driven by the same number of callers at no RPC cost, batched by a dynamic\n" +
	"  programme over what really waits and the measured cost of every shape, the longest waiting always served: what perfect\n" +
	"  batching gives. *sorted* is the best fixed batch over texts sorted by length: what somebody reaches who has them all\n" +
	"  beforehand. Both follow the served round's texts.\n" +
	"- **1,000 callers** beside 64; **20 loaded models** with traffic on all beside the same traffic on one of them.\n" +
	"- **overload**: Poisson arrivals of mixed texts at multiples of the capacity, deadline 250 ms counted from the scheduled\n" +
	"  arrival. Goodput counts the tokens of texts answered in time; the peak is the best goodput of any load. Accepted are\n" +
	"  the calls that were not refused, whether answered or expired. The shares refused include the expired.\n" +
	"  The generator takes processors from the server, the more the more it sends; the ratio is of what is left without its\n" +
	"  share, *as they were* without that allowance. What refusing costs the server is not allowed for.\n" +
	"- **pictures**, **churn**, **sentiment**: the starter models by their own services, beside a bare session fed by the same\n" +
	"  preprocessing, the best of a few batch sizes. For churn and sentiment its tensors are made beforehand: it does nothing but\n" +
	"  run, strings handed to ONNX Runtime one by one as tensors hold them. Tables reach the server encoded beforehand, as all\n" +
	"  requests here whose making is not what is measured; answers are decoded. The server hands a table's strings over by\n" +
	"  dictionary, which costs it less than it costs the bare session.\n" +
	"- **items**: RecommendItems over made-up vectors, one caller; a subject's query is the mean of three items. Beside it MatMul and\n" +
	"  TopK alone by ONNX Runtime on all processors, the vectors laid out for it beforehand. The ratio is of times: 1 is as fast.\n" +
	"- **all features** of texts: everything that the sentiment model answers about a text of one sentence, in one call, beside the\n" +
	"  embedding alone, which is one pass of the encoder. **A text of 64 KiB**: its time over that of one of 4 KiB, by what it repeats.\n" +
	"- **reasons**: a row with three of them beside the same without, one caller. *Sampled* is churn without the contributions that\n" +
	"  its graph computes: the server asks it for 512 rows mixed with typical ones.\n" +
	"- **references**: package tokenizer beside Hugging Face tokenizers, ids of texts of 3 to 40 words, half of them Russian; package pixel\n" +
	"  beside Pillow, JPEG photographs decoded and brought to 224 × 224 pixels. One thread each, in turn. `make differential` installs both.\n" +
	"- **crossed answers**: rows and short texts at the same time, each answer compared with a bare session's answer to that\n" +
	"  item alone.\n"

// ratios are those of the rounds.
type ratios []float64

func (r ratios) String() string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(r), slices.Min(r), slices.Max(r))
}

// least is the line's promise that the median is at least bound.
func (l line) least(r ratios, bound float64) line {
	l.ratio, l.bound, l.met = r.String(), fmt.Sprintf("≥ %.2f", bound), median(r) >= bound
	return l
}

// atMost is the promise that it is at most bound.
func (l line) atMost(r ratios, bound float64) line {
	l.ratio, l.bound, l.met = r.String(), fmt.Sprintf("≤ %.2f", bound), median(r) <= bound
	return l
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return 0
	}
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

// short writes a time with three digits or so.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 100*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// percentiles of a round's answered calls.
func percentiles(t []time.Duration) string {
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s", short(quantile(t, 0.5)), short(quantile(t, 0.9)), short(quantile(t, 0.99)))
}

// cpuInfo is the first value of a field of /proc/cpuinfo.
func cpuInfo(field string) string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func cpuName() string {
	if name := cpuInfo("model name"); name != "" {
		return name
	}
	return runtime.GOARCH
}
