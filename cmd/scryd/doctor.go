package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/serving"
)

// doctor prints what was found of drivers, libraries and providers, and why
// each is or is not used.
func doctor(ctx context.Context, cfg Config, w io.Writer) error {
	gc := runtimeConfig(cfg)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	ok := true
	for _, c := range gpu.Diagnose(ctx, gc) {
		mark := "ok"
		if !c.OK {
			mark = "no"
		}
		if c.Required && !c.OK {
			ok = false
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", mark, c.Name, c.Detail)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !ok {
		return errors.New("nothing can be served: run `make setup`, or give --ort-library")
	}
	return nil
}

// probe is the child's side of the check that every new bundle passes.
func probe(ctx context.Context, cfg Config, dir string) error {
	// When memory runs out, the kernel is to end this process and not the
	// server. Without the right to say so it decides by itself.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0o600)
	r, err := gpu.Open(runtimeConfig(cfg))
	if err != nil {
		return err
	}
	defer r.Close()
	return serving.ProbeChild(ctx, r, itemLimits(cfg), serving.ProbeLimits{Memory: cfg.ProbeMemory}, dir)
}
