package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/scry-ml/scry/pipeline"
)

func TestCut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sizes := rapid.SliceOfN(rapid.Int64Range(0, 2*pipeline.WaveBytes), 0, 40).Draw(rt, "sizes")
		most := rapid.IntRange(1, 10).Draw(rt, "most")
		next := 0
		for _, w := range pipeline.Cut(len(sizes), most, func(i int) int64 { return sizes[i] }) {
			sum := int64(0)
			for _, s := range sizes[w.From:w.To] {
				sum += s
			}
			if n := w.To - w.From; w.From != next || n < 1 || n > most || (n > 1 && sum > pipeline.WaveBytes) {
				rt.Fatalf("wave %+v of %d bytes after %d", w, sum, next)
			}
			next = w.To
		}
		if next != len(sizes) {
			rt.Fatalf("waves end at %d of %d", next, len(sizes))
		}
	})
}

func cut(n int) []pipeline.Wave { return pipeline.Cut(n, 1, func(int) int64 { return 0 }) }

func TestWaves(t *testing.T) {
	var done [9]atomic.Int32
	var running, most atomic.Int32
	err := pipeline.Waves(t.Context(), cut(9), func(_ context.Context, k int, w pipeline.Wave) error {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if k != w.From {
			t.Errorf("wave %d is %+v", k, w)
		}
		done[k].Add(1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for k := range done {
		if done[k].Load() != 1 {
			t.Errorf("wave %d ran %d times", k, done[k].Load())
		}
	}
	if most.Load() > 2 {
		t.Errorf("%d waves at once", most.Load())
	}
	if err := pipeline.Waves(t.Context(), nil, nil); err != nil {
		t.Errorf("no waves: %v", err)
	}
}

func TestWavesEnd(t *testing.T) {
	broken := errors.New("broken")
	var ran atomic.Int32
	err := pipeline.Waves(t.Context(), cut(50), func(ctx context.Context, k int, _ pipeline.Wave) error {
		ran.Add(1)
		if k == 1 {
			return broken
		}
		<-ctx.Done() // a wave beside the broken one is told to stop
		return ctx.Err()
	})
	if !errors.Is(err, broken) || ran.Load() > 3 {
		t.Errorf("error %v after %d waves", err, ran.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = pipeline.Waves(ctx, cut(50), func(context.Context, int, pipeline.Wave) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
}

func TestParallelPanic(t *testing.T) {
	defer func() {
		if p := recover(); !strings.Contains(fmt.Sprint(p), "at 3") {
			t.Errorf("recovered %v", p)
		}
	}()
	pipeline.Parallel(4, 10, func(i int) {
		if i == 3 {
			panic("at 3")
		}
	})
	t.Error("the panic is lost")
}
