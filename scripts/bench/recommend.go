package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/scry-ml/scry/gpu"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/tensor"
)

const (
	recommendSize = 64 // elements of a made-up item's vector
	recommendTop  = 10
)

// recommendations measures RecommendItems over catalogues of made-up vectors
// beside a bare session that multiplies the same and takes the largest, by ONNX
// Runtime on all processors.
func recommendations(ctx context.Context, cfg *config, out *report) error {
	sizes := []int{4_070, 1_000_000}
	if cfg.short {
		sizes[1] = 50_000
	}
	rt, err := gpu.Open(gpu.FindRuntime(cfg.runtimeDir))
	if err != nil {
		return err
	}
	defer rt.Close()
	d, err := startDaemon(ctx, cfg, "")
	if err != nil {
		return err
	}
	defer d.stop()
	for _, items := range sizes {
		vectors := make([]float32, items*recommendSize)
		rng := rand.New(rand.NewPCG(uint64(items), 1))
		for i := range vectors {
			vectors[i] = float32(rng.NormFloat64())
		}
		model := fmt.Sprintf("items-%d", items)
		start := time.Now()
		if err := d.pushItems(ctx, model, vectors); err != nil {
			return err
		}
		if items == sizes[1] {
			now, _ := d.memory()
			out.note("%d items of %d float32 were pushed, checked and loaded in %s; the daemon then held %d MiB", items, recommendSize, short(time.Since(start)), now>>20)
		}
		for _, subjects := range []int{1, 64} {
			l, err := d.recommend(ctx, cfg, rt, model, vectors, subjects)
			if err != nil {
				return err
			}
			out.add(l)
		}
	}
	return nil
}

// recommend compares the times of one caller's calls in turn.
func (d *daemon) recommend(ctx context.Context, cfg *config, rt *gpu.Runtime, model string, vectors []float32, subjects int) (line, error) {
	items := len(vectors) / recommendSize
	path := filepath.Join(d.dir, "product.onnx")
	if err := os.WriteFile(path, productONNX(vectors), 0o644); err != nil {
		return line{}, err
	}
	session, err := rt.Load(ctx, gpu.Spec{Path: path, Devices: []string{gpu.CPU}, Threads: runtime.NumCPU()})
	if err != nil {
		return line{}, err
	}
	defer session.Close()
	rng := rand.New(rand.NewPCG(7, uint64(items)))
	served := func() error {
		req := &scoringv1.RecommendItemsRequest{Model: model, PageSize: recommendTop}
		for range subjects {
			s := &scoringv1.RecommendSubject{}
			for range 3 {
				s.History = append(s.History, itemID(rng.IntN(items)))
			}
			req.Subjects = append(req.Subjects, s)
		}
		resp, err := d.client.RecommendItems(ctx, req)
		if err == nil && (len(resp.GetResults()) != subjects || len(resp.GetResults()[0].GetItems()) != recommendTop) {
			err = fmt.Errorf("%d answers", len(resp.GetResults()))
		}
		return err
	}
	query, err := tensor.New(tensor.Float32, int64(subjects), recommendSize)
	if err != nil {
		return line{}, err
	}
	alone := func() error {
		for i, q := 0, tensor.View[float32](query); i < len(q); i++ {
			q[i] = rng.Float32()
		}
		_, err := session.Run(ctx, []tensor.Tensor{query})
		return err
	}
	var times [2][]float64
	var all []time.Duration
	for k := range cfg.rounds + 1 { // the first does not count
		for i, call := range []func() error{served, alone} {
			took, err := timed(ctx, cfg.round/2, call)
			if err != nil {
				return line{}, err
			}
			if k == 0 {
				continue
			}
			times[i] = append(times[i], float64(quantile(took, 0.5)))
			if i == 0 {
				all = append(all, took...)
			}
		}
	}
	work := fmt.Sprintf("%d items × %d, best %d", items, recommendSize, recommendTop)
	if subjects > 1 {
		work += fmt.Sprintf(", %d subjects a call", subjects)
	}
	return line{
		work: work, where: "Go", served: "p50 " + medianTime(times[0]),
		beside: "bare product and top " + fmt.Sprint(recommendTop) + " p50 " + medianTime(times[1]), ratio: over(times[0], times[1]).String(),
		times: percentiles(all),
	}, nil
}

// timed calls for so long, three times at least, and returns what each took.
func timed(ctx context.Context, length time.Duration, call func() error) ([]time.Duration, error) {
	var took []time.Duration
	for end := time.Now().Add(length); len(took) < 3 || time.Now().Before(end); {
		start := time.Now()
		if err := call(); err != nil {
			return nil, err
		}
		if took = append(took, time.Since(start)); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return took, nil
}

func itemID(i int) string { return fmt.Sprintf("i%d", i) }

// pushItems makes a catalogue of items a model that knows items alone: a subject's
// query is the mean of its history's vectors.
func (d *daemon) pushItems(ctx context.Context, model string, vectors []float32) error {
	dir := filepath.Join(d.dir, "bundles", model)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	items := len(vectors) / recommendSize
	manifest := "catalogue: {items: {file: items.jsonl, vectors: vectors.npy}}\n"
	for name, data := range map[string][]byte{
		"bundle.yaml": []byte(manifest), "vectors.npy": npy(vectors, items, recommendSize),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(dir, "items.jsonl"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i := range items {
		fmt.Fprintf(w, "{\"id\":%q}\n", itemID(i))
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return d.push(ctx, model, dir)
}

// npy is a NumPy file of a matrix.
func npy(values []float32, rows, columns int) []byte {
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }\n", rows, columns)
	out := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	return appendFloats(append(out, header...), values)
}

func appendFloats(to []byte, values []float32) []byte {
	for _, x := range values {
		to = binary.LittleEndian.AppendUint32(to, math.Float32bits(x))
	}
	return to
}

// productONNX multiplies queries [N, size] with all items and takes the largest.
func productONNX(vectors []float32) []byte {
	items := len(vectors) / recommendSize
	turned := make([]float32, len(vectors)) // [size, items]
	for i := range items {
		for k := range recommendSize {
			turned[k*items+i] = vectors[i*recommendSize+k]
		}
	}
	value := func(name string, kind, width int) message {
		shape := message{}.bytes(1, message{}.str(2, "N")).bytes(1, message{}.num(1, width))
		return message{}.str(1, name).bytes(2, message{}.bytes(1, message{}.num(1, kind).bytes(2, shape)))
	}
	graph := message{}.
		bytes(1, message{}.str(1, "query").str(1, "items").str(2, "scores").str(3, "scores").str(4, "MatMul")).
		bytes(1, message{}.str(1, "scores").str(1, "k").str(2, "best").str(2, "places").str(3, "best").str(4, "TopK")).
		str(2, "product").
		bytes(5, message{}.num(1, recommendSize).num(1, items).num(2, 1).str(8, "items").bytes(9, appendFloats(nil, turned))).
		bytes(5, message{}.num(1, 1).num(2, 7).str(8, "k").bytes(9, binary.LittleEndian.AppendUint64(nil, recommendTop))).
		bytes(11, value("query", 1, recommendSize)).
		bytes(12, value("best", 1, recommendTop)).bytes(12, value("places", 7, recommendTop))
	return message{}.num(1, 8).str(2, "scry-bench").bytes(7, graph).bytes(8, message{}.str(1, "").num(2, 17))
}
