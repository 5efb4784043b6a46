package imageanalysis_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/imageanalysis"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	"github.com/scry-ml/scry/tensor"
)

const facesManifest = `
graphs: {model: {file: model.onnx}, look: {file: look.onnx}}
steps:
- graph: model
- graph: look
  crop: {square: true, image: {resize: {width: 1, height: 1, filter: FILTER_BOX}, mean: [0], std: [255]}}
heads:
  faces:
    source: model.boxes
    faces:
      scores: model.scores
      min_score: 0.5
      check: {source: look.p, min_score: 0.4, points: look.at, names: [nose]}
      expressions: {source: look.mood, names: [calm, wild], allowed: true}
image: {resize: {mode: RESIZE_MODE_LETTERBOX, width: 8, height: 8}}
`

// finder finds the given boxes in every picture; a part is a face as sure as it
// is red, its nose is in the middle, and it is wild.
func finder(t *testing.T, boxes []float32, scores ...float32) *pipelinetest.Model {
	t.Helper()
	value, n := pipelinetest.Value, int64(len(scores))
	m := pipelinetest.NewModel(t, fstest.MapFS{
		bundle.ManifestFile: {Data: []byte(facesManifest)},
		"model.onnx": {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 8, 8)},
			[]bundle.Value{value("boxes", tensor.Float32, -1, n, 4), value("scores", tensor.Float32, -1, n)})},
		"look.onnx": {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 1, 1)},
			[]bundle.Value{value("p", tensor.Float32, -1, 1), value("at", tensor.Float32, -1, 2), value("mood", tensor.Float32, -1, 2)})},
	}, func(context.Context, []tensor.Tensor) ([]tensor.Tensor, error) {
		b, _ := tensor.From(boxes, 1, n, 4)
		s, _ := tensor.From(scores, 1, n)
		return []tensor.Tensor{b, s}, nil
	})
	m.Crop = func(_ context.Context, _ string, in []tensor.Tensor) ([]tensor.Tensor, error) {
		p, _ := tensor.From([]float32{tensor.View[float32](in[0])[0]}, 1, 1)
		at, _ := tensor.From([]float32{0.5, 0.5}, 1, 2)
		mood, _ := tensor.From([]float32{0.25, 0.75}, 1, 2)
		return []tensor.Tensor{p, at, mood}, nil
	}
	return m
}

// redLeft is a picture of 40 × 20 pixels whose left half is red.
func redLeft() *imageanalysisv1.ImageItem {
	img := image.NewRGBA(image.Rect(0, 0, 40, 20))
	for i := range 40 * 20 {
		c := color.RGBA{A: 255}
		if i%40 < 20 {
			c.R = 255
		}
		img.Set(i%40, i/40, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return &imageanalysisv1.ImageItem{Content: b.Bytes()}
}

func findFaces(t *testing.T, m imageanalysis.Model, opts *imageanalysisv1.ImageOptions) ([]*imageanalysisv1.Face, error) {
	t.Helper()
	results, errs, err := analyze(t, m, []*imageanalysisv1.ImageItem{redLeft()}, opts, imageanalysisv1.ImageFeature_IMAGE_FEATURE_FACES)
	if err != nil {
		t.Fatal(err)
	}
	return results[0].GetFaces(), errs[0]
}

// TestFaces: the letterbox shows the picture in rows 2 to 6 of 8, so a quarter
// of its height is where the picture begins.
func TestFaces(t *testing.T) {
	boxes := []float32{
		0.25, 0.25, 0.5, 0.5, // left 10, top 0 of the picture, 10 × 10, red
		0.25, 0.25, 0.5, 0.52, // nearly the same
		0, 0.3, 0.4, 0.75, // 16 × 18, red
		0.6, 0.3, 0.9, 0.7, // where there is no red
		0, 0.4, 0.5, 0.45, // ten times as wide as high
		0, 0.25, 0.2, 0.4, // not sure enough
	}
	m := finder(t, boxes, 0.9, 0.8, 0.7, 0.99, 0.95, 0.4)
	got, err := findFaces(t, m, &imageanalysisv1.ImageOptions{Expressions: true})
	if err != nil || len(got) != 2 {
		t.Fatalf("%v %v, want two faces", got, err)
	}
	small := got[1] // the largest comes first
	for k, off := range []float64{small.GetBox().GetLeft() - 10, small.GetBox().GetTop(), small.GetBox().GetWidth() - 10, small.GetBox().GetHeight() - 10,
		small.GetScore() - 0.9, small.GetLandmarks()[0].GetPoint().GetX() - 15, small.GetLandmarks()[0].GetPoint().GetY() - 5} {
		if math.Abs(off) > 1e-5 {
			t.Errorf("%v: number %d is off by %v", small, k, off)
		}
	}
	if e := small.GetExpressions(); len(e) != 2 || e[0].GetName() != "wild" || e[0].GetScore() != 0.75 {
		t.Errorf("the expressions %v", e)
	}
	if got, err := findFaces(t, m, &imageanalysisv1.ImageOptions{MaxFaces: 1}); err != nil || len(got) != 1 || math.Abs(got[0].GetBox().GetWidth()-16) > 1e-5 || len(got[0].GetExpressions()) > 0 {
		t.Errorf("%v %v, want the larger face alone, without expressions", got, err)
	}
}

// TestFacesOfADetectorAlone: without a second look there is no graph that takes
// parts, and boxes are places of the picture all the same.
func TestFacesOfADetectorAlone(t *testing.T) {
	value := pipelinetest.Value
	m := pipelinetest.NewModel(t, fstest.MapFS{
		bundle.ManifestFile: {Data: []byte(`
graphs: {model: {file: model.onnx}}
heads: {faces: {source: model.boxes, faces: {scores: model.scores, min_score: 0.5}}}
image: {resize: {mode: RESIZE_MODE_LETTERBOX, width: 8, height: 8}}
`)},
		"model.onnx": {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 8, 8)},
			[]bundle.Value{value("boxes", tensor.Float32, -1, 1, 4), value("scores", tensor.Float32, -1, 1)})},
	}, func(context.Context, []tensor.Tensor) ([]tensor.Tensor, error) {
		b, _ := tensor.From([]float32{0.25, 0.25, 0.5, 0.5}, 1, 1, 4)
		s, _ := tensor.From([]float32{0.9}, 1, 1)
		return []tensor.Tensor{b, s}, nil
	})
	got, err := findFaces(t, m, nil)
	if err != nil || len(got) != 1 || got[0].GetBox().GetLeft() != 10 || got[0].GetBox().GetTop() != 0 || got[0].GetBox().GetWidth() != 10 {
		t.Errorf("%v %v, want the box in the picture's pixels", got, err)
	}
}

// TestFacesFail: a picture whose boxes or parts cannot be read fails alone; a
// queue that is full fails the call.
func TestFacesFail(t *testing.T) {
	nan := finder(t, []float32{0, 0.3, float32(math.NaN()), 0.7}, 0.9)
	if _, err := findFaces(t, nan, nil); !errors.Is(err, pipeline.ErrOutput) {
		t.Errorf("a box of NaN: %v", err)
	}
	m := finder(t, []float32{0, 0.3, 0.4, 0.7}, 0.9)
	broken := errors.New("broken")
	m.Crop = func(context.Context, string, []tensor.Tensor) ([]tensor.Tensor, error) { return nil, broken }
	if got, err := findFaces(t, m, nil); !errors.Is(err, broken) || len(got) > 0 {
		t.Errorf("%v %v, want the error of the part", got, err)
	}
	m.Crop = func(context.Context, string, []tensor.Tensor) ([]tensor.Tensor, error) {
		return nil, context.DeadlineExceeded
	}
	_, _, err := analyze(t, m, []*imageanalysisv1.ImageItem{redLeft()}, nil, imageanalysisv1.ImageFeature_IMAGE_FEATURE_FACES)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the whole call to fail", err)
	}
}

// TestFacesThatCannotBeServed wants the manifest's field named.
func TestFacesThatCannotBeServed(t *testing.T) {
	value := pipelinetest.Value
	for _, c := range []struct{ old, new, field string }{
		{"  crop: {square: true, image: {resize: {width: 1, height: 1, filter: FILTER_BOX}, mean: [0], std: [255]}}\n", "  inputs: {x: model.picture}\n", `heads["faces"].faces.check.source`},
		{"source: model.boxes", "source: look.p", `heads["faces"].source`},
		{"names: [nose]", "names: [nose, chin]", `heads["faces"].faces.check.names`},
		{"names: [calm, wild]", "names: [calm]", `heads["faces"].faces.expressions.names`},
		{"scores: model.scores", "scores: model.boxes", `heads["faces"].faces.scores`},
		{"source: look.p, min_score", "source: look.p, column: 1, min_score", `heads["faces"].faces.check.column`},
		{"{width: 1, height: 1,", "{width: 2, height: 1,", "steps[1].crop.image"},
		{"  crop:", "  inputs: {x: model.picture}\n  crop:", "steps[1].crop"},
		{"std: [255]", "std: [0]", "steps[1].crop.image.std"},
		{"", "", ""},
	} {
		manifest := strings.Replace(facesManifest, c.old, c.new, 1)
		_, err := bundle.Open(fstest.MapFS{
			bundle.ManifestFile: {Data: []byte(manifest)},
			"model.onnx": {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 8, 8)},
				[]bundle.Value{value("boxes", tensor.Float32, -1, 5, 4), value("scores", tensor.Float32, -1, 5), value("picture", tensor.Float32, -1, 3, 1, 1)})},
			"look.onnx": {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 1, 1)},
				[]bundle.Value{value("p", tensor.Float32, -1, 1), value("at", tensor.Float32, -1, 2), value("mood", tensor.Float32, -1, 2)})},
		})
		var at *bundle.FieldError
		switch {
		case c.field == "" && err != nil:
			t.Error(err)
		case c.field != "" && (!errors.As(err, &at) || at.Field != c.field):
			t.Errorf("%q: %v, want an error about %s", c.new, err, c.field)
		}
	}
}
