package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/client"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
	"github.com/scry-ml/scry/tensor"
)

// bare runs a model's first graph in this process, without queue or RPC: items
// prepared and joined beforehand into batches of one size as they come, the
// best of a few sizes tried, alone and with a run on every processor: what ONNX
// Runtime itself can do, without a server around it.
type bare struct {
	w        workload
	runtime  *gpu.Runtime
	session  gpu.Session
	pipeline *pipeline.Pipeline
	batch    int
	parallel int // runs side by side
	best     string
	pool     []pipeline.Item
	joined   [][]tensor.Tensor // batches ready to run; none for pictures, whose decoding counts
}

// newBare loads the graph where the daemon runs it.
func newBare(ctx context.Context, c *client.Client, w workload, cfg *config) (_ *bare, err error) {
	loaded, err := c.Server().ListLoadedVersions(ctx, &serverv1.ListLoadedVersionsRequest{})
	if err != nil {
		return nil, err
	}
	dir := filepath.Join("models", w.model)
	b, err := bundle.Open(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	features = b.Manifest.GetRow().GetFeatures()
	p, err := pipeline.New(b, pipeline.Limits{})
	if err != nil {
		return nil, err
	}
	first := b.Steps[0].Graph
	spec := gpu.Spec{Path: filepath.Join(dir, b.Manifest.GetGraphs()[first].GetFile()), Precision: gpu.F32}
	for _, v := range loaded.GetVersions() {
		if v.GetModel() != w.model {
			continue
		}
		for _, g := range v.GetGraphs() {
			if g.GetName() == first {
				spec.Devices, spec.AllowOpenVINO = []string{g.GetDevice()}, true
				if g.GetPrecision() == "bf16" {
					spec.Precision = gpu.BF16
				}
			}
		}
	}
	out := &bare{w: w, pipeline: p}
	defer func() {
		if err != nil {
			out.close()
		}
	}()
	if out.runtime, err = gpu.Open(gpu.FindRuntime(cfg.runtimeDir)); err != nil {
		return nil, err
	}
	if out.session, err = out.runtime.Load(ctx, spec); err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 4096 {
		if w.decoded && len(out.pool) == 64 {
			break
		}
		item, err := w.prepare(ctx, p, rng)
		if err != nil {
			return nil, err
		}
		out.pool = append(out.pool, item)
	}
	warm, trial := 500*time.Millisecond, time.Second
	if cfg.short {
		warm, trial = 50*time.Millisecond, 200*time.Millisecond
	}
	bestRate, bestBatch, bestParallel := 0.0, 0, 0
	for _, n := range w.batches {
		if err := out.size(ctx, n); err != nil {
			return nil, err
		}
		for _, p := range []int{1, runtime.NumCPU()} {
			out.parallel = p
			if _, err := out.round(ctx, warm); err != nil {
				return nil, err
			}
			rate, err := out.round(ctx, trial)
			if err != nil {
				return nil, err
			}
			if rate > bestRate {
				bestRate, bestBatch, bestParallel = rate, n, p
			}
		}
	}
	out.parallel = bestParallel
	if err := out.size(ctx, bestBatch); err != nil {
		return nil, err
	}
	out.best = fmt.Sprintf("batches of %d, %d side by side", bestBatch, bestParallel)
	return out, nil
}

// size prepares batches of n items.
func (b *bare) size(ctx context.Context, n int) error {
	b.batch, b.joined = n, nil
	if b.w.decoded {
		return nil
	}
	rng := rand.New(rand.NewPCG(5, uint64(n)))
	for range 64 {
		batch, err := b.next(ctx, rng)
		if err != nil {
			return err
		}
		in, err := b.join(batch)
		if err != nil {
			return err
		}
		b.joined = append(b.joined, in)
	}
	return nil
}

// inputs returns the tensors of one batch.
func (b *bare) inputs(ctx context.Context, rng *rand.Rand) ([]tensor.Tensor, error) {
	if len(b.joined) > 0 {
		return b.joined[rng.IntN(len(b.joined))], nil
	}
	batch, err := b.next(ctx, rng)
	if err != nil {
		return nil, err
	}
	return b.join(batch)
}

func (b *bare) provider() string {
	p := b.session.Placement()
	return p.Device + " " + string(p.Precision)
}

// round runs batches for a while and returns items per second.
func (b *bare) round(ctx context.Context, length time.Duration) (float64, error) {
	start := time.Now()
	var items atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for k := range b.parallel {
		group.Go(func() error {
			rng := rand.New(rand.NewPCG(uint64(k), uint64(start.UnixNano())))
			for time.Since(start) < length {
				in, err := b.inputs(ctx, rng)
				if err != nil {
					return err
				}
				if _, err := b.session.Run(ctx, in); err != nil {
					return err
				}
				items.Add(int64(b.batch))
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(items.Load()) / time.Since(start).Seconds(), err
}

// next takes the items of a batch: prepared ones, or for pictures fresh ones
// decoded on all processors.
func (b *bare) next(ctx context.Context, rng *rand.Rand) ([]pipeline.Item, error) {
	batch := make([]pipeline.Item, b.batch)
	if !b.w.decoded {
		for i := range batch {
			batch[i] = b.pool[rng.IntN(len(b.pool))]
		}
		return batch, nil
	}
	errs := make(chan error, len(batch))
	slots := make(chan struct{}, runtime.NumCPU())
	for i := range batch {
		seed := rng.Uint64()
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var err error
			batch[i], err = b.w.prepare(ctx, b.pipeline, rand.New(rand.NewPCG(seed, 1)))
			errs <- err
		}()
	}
	for range batch {
		if err := <-errs; err != nil {
			return nil, err
		}
	}
	return batch, nil
}

// join pads the items to the longest and lays them one below the other.
func (b *bare) join(batch []pipeline.Item) ([]tensor.Tensor, error) {
	out := make([]tensor.Tensor, len(batch[0].Inputs))
	longest := int64(0)
	for _, item := range batch {
		longest = max(longest, int64(item.Length))
	}
	for k := range out {
		first := batch[0].Inputs[k]
		if longest == 0 || len(first.Shape) != 2 {
			parts := make([]tensor.Tensor, len(batch))
			for i, item := range batch {
				parts[i] = item.Inputs[k]
			}
			var err error
			if out[k], err = tensor.Concat(parts...); err != nil {
				return nil, err
			}
			continue
		}
		t, err := tensor.New(first.DType, int64(len(batch)), longest)
		if err != nil {
			return nil, err
		}
		size := int(longest) * first.DType.Size()
		for i, item := range batch {
			copy(t.Data[i*size:], item.Inputs[k].Data)
		}
		out[k] = t
	}
	return out, nil
}

func (b *bare) close() {
	if b.session != nil {
		_ = b.session.Close()
	}
	if b.runtime != nil {
		_ = b.runtime.Close()
	}
}
