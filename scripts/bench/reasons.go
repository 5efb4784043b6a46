package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/scry-ml/scry/bundle"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// dearest is how many times as long a row with reasons may take as one without.
const dearest = 20

// reasons measures a row's reasons beside its plain score, by one caller: those
// that churn's graph computes, and those of the same model when it computes none
// and is asked for rows mixed with typical ones.
func reasons(ctx context.Context, d *daemon, cfg *config, out *report) error {
	dir, err := withoutContributions(d.dir)
	if err != nil {
		return err
	}
	if err := d.push(ctx, "sampled", dir); err != nil {
		return err
	}
	for _, c := range []struct{ model, how string }{{"churn", "of the graph"}, {"sampled", "sampled"}} {
		var r ratios
		var plain, asked []float64
		var times []time.Duration
		for k := range cfg.rounds + 1 { // the first does not count
			without, err := d.oneRow(ctx, c.model, 0, cfg.round/4)
			if err != nil {
				return err
			}
			with, err := d.oneRow(ctx, c.model, 3, cfg.round/4)
			if err != nil {
				return err
			}
			if k == 0 {
				continue
			}
			a, b := float64(quantile(without, 0.5)), float64(quantile(with, 0.5))
			plain, asked, r = append(plain, a), append(asked, b), append(r, b/a)
			times = append(times, with...)
		}
		out.add(line{
			work: "churn, 3 reasons for one row, " + c.how, where: "cpu f32", served: "p50 " + medianTime(asked),
			beside: "a plain score p50 " + medianTime(plain), times: percentiles(times),
		}.atMost(r, dearest))
	}
	return nil
}

// oneRow calls with one row after the other and returns the time of each.
func (d *daemon) oneRow(ctx context.Context, model string, reasons int32, length time.Duration) ([]time.Duration, error) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(reasons)))
	var times []time.Duration
	for start := time.Now(); time.Since(start) < length || len(times) == 0; {
		req := &scoringv1.ScoreRequest{
			Model: model, Instances: []*scoringv1.Instance{{Features: pooledRow(rng)}},
			Options: &scoringv1.ScoreOptions{Reasons: reasons},
		}
		begin := time.Now()
		resp, err := d.client.Score(ctx, req)
		if err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin))
		if got := resp.GetResults()[0].GetHeads()["churn"].GetProbability().GetReasons(); len(got) != int(reasons) {
			return nil, fmt.Errorf("%s gave %d reasons, want %d", model, len(got), reasons)
		}
	}
	return times, nil
}

// withoutContributions writes churn's bundle without the contributions that its
// graph computes, so that they are sampled against its typical rows.
func withoutContributions(dir string) (string, error) {
	b, err := bundle.Open(os.DirFS("models/churn"))
	if err != nil {
		return "", err
	}
	m := b.Manifest
	m.GetHeads()["churn"].GetProbability().GetReasons().Contributions = ""
	m.Goldens = nil
	manifest, err := protojson.Marshal(m) // JSON is YAML
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "sampled")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"model.onnx", m.GetRow().GetBackground()} {
		if err := copyFile(filepath.Join("models/churn", name), filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, os.WriteFile(filepath.Join(dir, "bundle.yaml"), manifest, 0o644)
}
