// Command bench measures what the daemon serves beside what the machine can do:
// alternating rounds of both in one run, ratios with their spread, and for each
// promise whether it is met. docs/bench.md says what the lines mean. Run it by
// `make bench`; BENCH_FLAGS="-run texts -rounds 3" passes flags on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/scry-ml/scry/gpu"
)

// config is what the flags say.
type config struct {
	scryd, runtimeDir string
	rounds            int
	round             time.Duration
	conns             int
	items             int
	short             bool
	ort, revision     string // versions
	numbers           uint64 // of the requests made so far
}

// fresh returns the first of numbers that no request had yet.
func (c *config) fresh() uint64 {
	c.numbers += 1<<24 + 4096
	return c.numbers
}

// suite is one kind of work.
type suite struct {
	name string
	run  func(ctx context.Context, cfg *config, out *report) error
	// asked: it runs only where -run names it.
	asked bool
}

var suites = []suite{
	{name: "starters", run: starters},
	{name: "recommend", run: recommendations},
	{name: "tiny", run: tiny},
	{name: "texts", run: texts},
	{name: "overload", run: overload},
	{name: "callers", run: manyCallers},
	{name: "models", run: manyModels},
	{name: "crossed", run: crossed},
	{name: "references", run: references},
	{name: "peers", run: peers, asked: true},
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == echoArgument {
		if err := serveEcho(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench: echo:", err)
			os.Exit(1)
		}
		return
	}
	cfg := &config{}
	var names []string
	for _, s := range suites {
		names = append(names, s.name)
	}
	flag.BoolVar(&cfg.short, "short", false, "one short round each, to see that it runs; for less than a minute")
	flag.IntVar(&cfg.rounds, "rounds", 5, "alternating rounds of each side")
	flag.DurationVar(&cfg.round, "round", 3*time.Second, "length of one round")
	only := flag.String("run", "", "regular expression over "+strings.Join(names, ", "))
	flag.IntVar(&cfg.conns, "conns", runtime.NumCPU(), "connections that the callers share")
	flag.IntVar(&cfg.items, "items", 100_000, "unique items checked for crossed answers")
	write := flag.String("write", "", "directory for bench.md and bench.svg")
	flag.StringVar(&cfg.scryd, "scryd", "bin/scryd", "the daemon")
	flag.StringVar(&cfg.runtimeDir, "runtime-dir", ".runtime", "ONNX Runtime")
	flag.Parse()
	if cfg.short {
		cfg.rounds, cfg.round, cfg.items = 1, 500*time.Millisecond, min(cfg.items, 5_000)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, cfg, *only, *write); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cfg *config, only, write string) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if err := cfg.versions(ctx); err != nil {
		return err
	}
	out := &report{}
	fmt.Println(head(cfg))
	for _, s := range suites {
		if !wanted.MatchString(s.name) || s.asked && only == "" {
			continue
		}
		fmt.Println(s.name)
		if err := s.run(ctx, cfg, out); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if err := out.print(os.Stdout); err != nil {
		return err
	}
	if write == "" {
		return nil
	}
	return out.write(write, cfg)
}

// versions finds out what is measured.
func (c *config) versions(ctx context.Context) error {
	rt, err := gpu.Open(gpu.FindRuntime(c.runtimeDir))
	if err != nil {
		return err
	}
	c.ort = rt.Version()
	c.revision = "of an unknown commit"
	if text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		c.revision = strings.TrimSpace(string(text))
	}
	return rt.Close()
}

// withText opens ONNX Runtime in this process and calls f, or says why there
// are no texts.
func withText(cfg *config, out *report, work string, f func(rt *gpu.Runtime) error) error {
	if _, err := os.Stat(miniLM); err != nil {
		out.skip(work, "there is no %s (make bench-models)", miniLM)
		return nil
	}
	rt, err := gpu.Open(gpu.FindRuntime(cfg.runtimeDir))
	if err != nil {
		return err
	}
	defer rt.Close()
	return f(rt)
}
