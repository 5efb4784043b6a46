package main

import (
	"math"
	"os"
	"testing"

	"github.com/scry-ml/scry/bundle"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// TestStarterClassifiers scores the golden samples of the classifiers of trees
// in one call, histories of unequal length among them, with reasons, and
// explains the first.
func TestStarterClassifiers(t *testing.T) {
	d := start(t)
	for _, name := range []string{"purchase", "response", "credit"} {
		t.Run(name, func(t *testing.T) {
			dir := "../../models/" + name
			f := readFiles(t, dir)
			d.deploy(name, f)
			b, err := bundle.Open(os.DirFS(dir))
			if err != nil {
				t.Fatal(err)
			}
			rows, err := b.Background()
			if err != nil || len(rows) != 100 {
				t.Fatalf("%d typical rows, %v", len(rows), err)
			}
			samples := goldens(t, f)
			req := &scoringv1.ScoreRequest{Model: name, Options: &scoringv1.ScoreOptions{Reasons: 3, Language: "ru"}}
			for _, g := range samples {
				req.Instances = append(req.Instances, &scoringv1.Instance{Features: g.GetFeatures()})
			}
			resp, err := d.scorer.Score(d.ctx(), req)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range resp.GetResults() {
				p := r.GetHeads()[name].GetProbability()
				want := samples[i].GetOutputs()["model.log_odds"].GetValues()[0]
				if r.GetError() != nil || math.Abs(p.GetRawScore()-want) > 1e-4 || p.GetBand() == "" || len(p.GetReasons()) == 0 {
					t.Errorf("row %d: %v, want a raw score of %v", i, r, want)
				}
				for _, reason := range p.GetReasons() {
					if reason.GetCode() == "" || reason.GetText() == "" || reason.GetText() == reason.GetFeature() {
						t.Errorf("row %d: the reason %v has no code or text", i, reason)
					}
				}
			}

			typical := &scoringv1.ScoreRequest{Model: name}
			for _, row := range rows {
				typical.Instances = append(typical.Instances, &scoringv1.Instance{Features: row})
			}
			if resp, err = d.scorer.Score(d.ctx(), typical); err != nil {
				t.Fatal(err)
			}
			mean := 0.0
			for i, r := range resp.GetResults() {
				if r.GetError() != nil || len(r.GetWarnings()) > 1 {
					t.Errorf("typical row %d: %v", i+1, r)
				}
				mean += r.GetHeads()[name].GetProbability().GetRawScore() / float64(len(rows))
			}
			why, err := d.scorer.Explain(d.ctx(), &scoringv1.ExplainRequest{Model: name, Instances: req.GetInstances()[:1]})
			if err != nil {
				t.Fatal(err)
			}
			e := why.GetResults()[0]
			if e.GetError() != nil || math.Abs(e.GetBaseValue()-mean) > 1e-4 {
				t.Errorf("%v, the mean score of the typical rows is %v", e, mean)
			}
		})
	}
}
