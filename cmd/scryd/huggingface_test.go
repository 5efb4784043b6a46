package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// exportedAnswers is what Python's pipelines answered for a folder that an
// exporter of Hugging Face wrote.
type exportedAnswers struct {
	Kind       string
	Texts      []string
	Pictures   []string
	Logits     [][]float64
	Scores     []map[string]float64
	Embeddings [][]float64
	Tolerance  float64
}

// pushExported pushes a folder as it lies there, with the logits of Python as
// golden samples.
func (d *daemon) pushExported(t *testing.T, dir, name string, a exportedAnswers) *bundlev1.Manifest {
	t.Helper()
	p, err := bundle.Prepare(os.DirFS(filepath.Join(dir, name)), nil)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	f := files{}
	for _, file := range p.Uploads() {
		if f[file], err = fs.ReadFile(os.DirFS(filepath.Join(dir, name)), file); err != nil {
			t.Fatal(err)
		}
	}
	var hints *bundlev1.Hints
	if a.Logits != nil {
		var lines strings.Builder
		for i, text := range a.Texts {
			line, err := json.Marshal(map[string]any{"text": text, "outputs": map[string]any{"model.logits": map[string]any{"values": a.Logits[i]}}})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&lines, string(line))
		}
		f["goldens.jsonl"] = []byte(lines.String())
		hints = &bundlev1.Hints{Goldens: &bundlev1.Goldens{File: "goldens.jsonl", Tolerances: []*bundlev1.Tolerance{{
			Precision: bundlev1.Precision_PRECISION_FP32, Absolute: a.Tolerance, Relative: a.Tolerance,
		}}}}
	}
	v, err := d.pushHints(name, f, hints)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return nil
	}
	if a.Logits != nil && v.GetVerification().GetSamples() != int32(len(a.Texts)) {
		t.Errorf("%s: verified by %v", name, v.GetVerification())
	}
	return v.GetManifest()
}

// Folders of optimum and sentence-transformers answer as Python does.
func TestHuggingFace(t *testing.T) {
	d := start(t)
	for _, dir := range []string{"../../bundle/testdata/hf", os.Getenv("SCRY_HF")} {
		if dir == "" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "answers.json"))
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]exportedAnswers
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		for name, a := range all {
			m := d.pushExported(t, dir, name, a)
			if m == nil {
				continue
			}
			var got []map[string]float64
			var vectors [][]float64
			if a.Kind == "image" {
				got = d.labels(t, dir, name, a)
			} else {
				got, vectors = d.read(t, name, a, m)
			}
			for i, want := range a.Scores {
				if len(got[i]) != len(want) {
					t.Errorf("%s: item %d has the classes %v, want %v", name, i, got[i], want)
				}
				for class, score := range want {
					if math.Abs(got[i][class]-score) > a.Tolerance {
						t.Errorf("%s: item %d: %q has %v, want %v", name, i, class, got[i][class], score)
					}
				}
			}
			for i, want := range a.Embeddings {
				if !slices.EqualFunc(vectors[i], want, func(x, y float64) bool { return math.Abs(x-y) <= a.Tolerance }) {
					t.Errorf("%s: item %d has the vector %v, want %v", name, i, vectors[i], want)
				}
			}
			t.Logf("%s: %v", name, m.GetInferred())
		}
	}
}

// read asks for the classes or the vectors of texts, and for polarity where
// there is a head for it.
func (d *daemon) read(t *testing.T, name string, a exportedAnswers, m *bundlev1.Manifest) ([]map[string]float64, [][]float64) {
	t.Helper()
	req := &sentimentv1.AnalyzeTextRequest{Features: []sentimentv1.TextFeature{sentimentv1.TextFeature_TEXT_FEATURE_CLASSES}}
	if a.Kind == "embedding" {
		req.Features[0] = sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING
	}
	columns := m.GetHeads()["sentiment"].GetSentiment().GetColumns()
	if columns != nil {
		req.Features = append(req.Features, sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT)
	}
	for _, f := range req.Features {
		req.Models = append(req.Models, &sentimentv1.FeatureModel{Feature: f, Model: name, Version: "1"})
	}
	for _, text := range a.Texts {
		req.Texts = append(req.Texts, &sentimentv1.TextItem{Content: &sentimentv1.TextItem_Text{Text: text}})
	}
	resp, err := d.texts.AnalyzeText(d.ctx(), req)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var got []map[string]float64
	var vectors [][]float64
	for i, r := range resp.GetResults() {
		if r.GetError().GetCode() != 0 {
			t.Fatalf("%s: item %d: %v", name, i, r.GetError())
		}
		scores := map[string]float64{}
		for _, set := range r.GetClasses() {
			for _, s := range set.GetClasses() {
				scores[s.GetName()] = s.GetScore()
			}
		}
		var vector []float64
		for _, x := range r.GetEmbedding().GetValues() {
			vector = append(vector, float64(x))
		}
		got, vectors = append(got, scores), append(vectors, vector)
		if columns == nil {
			continue
		}
		sum := map[bundlev1.Polarity]float64{}
		for k, class := range m.GetHeads()["classes"].GetClasses().GetNames() {
			sum[columns[k]] += a.Scores[i][class]
		}
		s := r.GetSentiment()
		for _, c := range []struct {
			got  float64
			want bundlev1.Polarity
		}{
			{s.GetPositive(), bundlev1.Polarity_POLARITY_POSITIVE},
			{s.GetNeutral(), bundlev1.Polarity_POLARITY_NEUTRAL},
			{s.GetNegative(), bundlev1.Polarity_POLARITY_NEGATIVE},
		} {
			if math.Abs(c.got-sum[c.want]) > a.Tolerance {
				t.Errorf("%s: item %d: %v has %v, want %v", name, i, c.want, c.got, sum[c.want])
			}
		}
	}
	return got, vectors
}

// labels asks for the labels of pictures.
func (d *daemon) labels(t *testing.T, dir, name string, a exportedAnswers) []map[string]float64 {
	t.Helper()
	feature := imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS
	req := &imageanalysisv1.AnalyzeImagesRequest{
		Features: []imageanalysisv1.ImageFeature{feature},
		Models:   []*imageanalysisv1.FeatureModel{{Feature: feature, Model: name, Version: "1"}},
	}
	for _, file := range a.Pictures {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		req.Images = append(req.Images, &imageanalysisv1.ImageItem{Content: content})
	}
	resp, err := d.images.AnalyzeImages(d.ctx(), req)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var got []map[string]float64
	for i, r := range resp.GetResults() {
		if r.GetError().GetCode() != 0 {
			t.Fatalf("%s: item %d: %v", name, i, r.GetError())
		}
		scores := map[string]float64{}
		for _, set := range r.GetLabels() {
			for _, l := range set.GetLabels() {
				scores[l.GetName()] = l.GetScore()
			}
		}
		got = append(got, scores)
	}
	return got
}
