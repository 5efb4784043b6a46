package imageanalysis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/imageanalysis"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	"github.com/scry-ml/scry/tensor"
)

const (
	labels    = imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS
	embedding = imageanalysisv1.ImageFeature_IMAGE_FEATURE_EMBEDDING
	colors    = imageanalysisv1.ImageFeature_IMAGE_FEATURE_COLORS
	quality   = imageanalysisv1.ImageFeature_IMAGE_FEATURE_QUALITY
)

const manifest = `
heads:
  thing: {source: model.things, labels: {names: [cat, dog, hat, mug, pen, tie, toy]}}
  mood: {source: model.moods, labels: {names_file: moods.txt, activation: ACTIVATION_SIGMOID}}
  vector: {source: model.vector, embedding: {}}
image: {resize: {width: 1, height: 1}}
`

// model sees the amount of red, r in [0, 1], of a picture: its things are
// scores, its moods logits, its vector (r, 1). r = 1 fails.
func model(t testing.TB, manifest string) *pipelinetest.Model {
	t.Helper()
	value := pipelinetest.Value
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 1, 1)}, []bundle.Value{
		value("things", tensor.Float32, -1, 7), value("moods", tensor.Float32, -1, 2, 1, 1), value("vector", tensor.Float32, -1, 2),
	})
	return pipelinetest.NewModel(t, pipelinetest.Files(graph, manifest, map[string]string{"moods.txt": "calm\nwild\n"}), func(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		r := tensor.View[float32](in[0])[0] / 255
		if r == 1 {
			return nil, errors.New("too red")
		}
		out := make([]tensor.Tensor, 3)
		out[0], _ = tensor.From([]float32{0.1, 0.3, 0.2, 0.3, r, 0, 0.05}, 1, 7)
		out[1], _ = tensor.From([]float32{0, float32(math.Log(3))}, 1, 2, 1, 1)
		out[2], _ = tensor.From([]float32{r, 1}, 1, 2)
		return out, nil
	})
}

func picture(id string, red uint8) *imageanalysisv1.ImageItem { return sized(id, red, 6) }

func sized(id string, red uint8, width int) *imageanalysisv1.ImageItem {
	img := image.NewRGBA(image.Rect(0, 0, width, 4))
	for i := range width * 4 {
		img.Set(i%width, i/width, color.RGBA{R: red, A: 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return &imageanalysisv1.ImageItem{Id: id, Content: b.Bytes()}
}

func request(m imageanalysis.Model, images []*imageanalysisv1.ImageItem, opts *imageanalysisv1.ImageOptions, features ...imageanalysisv1.ImageFeature) imageanalysis.Request {
	return imageanalysis.Request{Images: images, Parts: []imageanalysis.Part{{Model: m, Features: features}}, Options: opts}
}

func analyze(t testing.TB, m imageanalysis.Model, images []*imageanalysisv1.ImageItem, opts *imageanalysisv1.ImageOptions, features ...imageanalysisv1.ImageFeature) ([]*imageanalysisv1.ImageResult, []error, error) {
	t.Helper()
	results, errs := imageanalysis.NewResults(images, 0), make([]error, len(images))
	err := imageanalysis.Analyze(t.Context(), request(m, images, opts, features...), results, errs)
	return results, errs, err
}

func show(sets []*imageanalysisv1.LabelSet) string {
	var out []string
	for _, s := range sets {
		var line strings.Builder
		line.WriteString(s.GetHead() + ":")
		for _, l := range s.GetLabels() {
			line.WriteString(fmt.Sprintf(" %s %.2f", l.GetName(), l.GetScore()))
		}
		out = append(out, line.String())
	}
	return strings.Join(out, "; ")
}

func TestLabels(t *testing.T) {
	m := model(t, manifest)
	for name, c := range map[string]struct {
		opts *imageanalysisv1.ImageOptions
		want string
	}{
		"five by default, ties in the names' order": {nil, "mood: wild 0.75 calm 0.50; thing: dog 0.30 mug 0.30 hat 0.20 cat 0.10 toy 0.05"},
		"one":            {&imageanalysisv1.ImageOptions{MaxLabels: 1}, "mood: wild 0.75; thing: dog 0.30"},
		"all":            {&imageanalysisv1.ImageOptions{MaxLabels: 1000, Heads: []string{"thing"}}, "thing: dog 0.30 mug 0.30 hat 0.20 cat 0.10 toy 0.05 pen 0.00 tie 0.00"},
		"least":          {&imageanalysisv1.ImageOptions{MinScore: 0.2, Heads: []string{"thing", "thing"}}, "thing: dog 0.30 mug 0.30 hat 0.20"},
		"none is enough": {&imageanalysisv1.ImageOptions{MinScore: 0.7}, "mood: wild 0.75; thing:"},
	} {
		results, errs, err := analyze(t, m, []*imageanalysisv1.ImageItem{picture("", 0)}, c.opts, labels)
		if err != nil || errs[0] != nil {
			t.Fatal(err, errs)
		}
		// 0.2 as a float32 lies above 0.2, so that the hat stays.
		if got := show(results[0].GetLabels()); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	_, _, err := analyze(t, m, []*imageanalysisv1.ImageItem{picture("", 0)}, &imageanalysisv1.ImageOptions{Heads: []string{"thing", "vector"}}, labels)
	if in, ok := errors.AsType[*pipeline.InputError](err); !ok || in.Reason != "HEAD_UNKNOWN" || in.Field != "options.heads[1]" {
		t.Errorf("an unknown head: %v", err)
	}
}

// TestPictures wants bad pictures to fail alone and good ones answered in place.
func TestPictures(t *testing.T) {
	m := model(t, manifest)
	images := []*imageanalysisv1.ImageItem{
		picture("good", 51), {Id: "empty"}, {Id: "text", Content: []byte("hello")}, picture("red", 255), picture("last", 102),
	}
	images = append(images, &imageanalysisv1.ImageItem{Id: "cut", Content: images[0].GetContent()[:50]})
	results, errs, err := analyze(t, m, images, nil, labels, embedding)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"", "IMAGE_EMPTY", "IMAGE_FORMAT", "too red", "", "IMAGE_TRUNCATED"}
	for i, r := range results {
		got := ""
		if in, ok := errors.AsType[*pipeline.InputError](errs[i]); ok {
			got = in.Reason
		} else if errs[i] != nil {
			got = errs[i].Error()
		}
		if got != want[i] || r.GetId() != images[i].GetId() || r.GetIndex() != int64(i) {
			t.Errorf("picture %d: %v, want %q; %v", i, errs[i], want[i], r)
		}
		if errs[i] != nil {
			continue
		}
		if v := r.GetEmbedding().GetValues(); len(v) != 2 || math.Abs(float64(v[0])-[]float64{0.2, 0, 0, 0, 0.4}[i]) > 1e-6 || v[1] != 1 {
			t.Errorf("picture %d: embedding %v", i, v)
		}
		if info := r.GetInfo(); info.GetFormat() != "png" || info.GetWidth() != 6 || info.GetHeight() != 4 {
			t.Errorf("picture %d: %v", i, info)
		}
		if len(r.GetPredictionId()) != 36 || fmt.Sprint(r.GetServedBy()[0].GetHeads()) != "[mood thing vector]" {
			t.Errorf("picture %d: %v", i, r)
		}
	}
}

// TestRefusedBeforeDecoding: what is no picture shows whether anybody has looked
// at it.
func TestRefusedBeforeDecoding(t *testing.T) {
	m := model(t, manifest)
	m.Refuse = &batch.DeadlineError{Predicted: 2, Remaining: 1}
	images := []*imageanalysisv1.ImageItem{{Content: []byte("no picture")}, picture("a", 9)}
	_, errs, err := analyze(t, m, images, nil)
	if !errors.Is(err, batch.ErrDeadline) || errs[0] != nil || m.Items.Load() > 0 {
		t.Errorf("%v, item error %v, %d items ran", err, errs[0], m.Items.Load())
	}
	if m.Admitted.Rows != 2 || m.Admitted.Cost != 2 {
		t.Errorf("asked for %+v", m.Admitted)
	}
	m.Refuse = nil
	if _, errs, err = analyze(t, m, images, nil); err != nil || errs[0] == nil || errs[1] != nil {
		t.Errorf("%v, %v", err, errs)
	}
}

// TestTwoModels wants each to add its part, and so what needs no model.
func TestTwoModels(t *testing.T) {
	images := []*imageanalysisv1.ImageItem{picture("", 51), {}}
	results, errs := imageanalysis.NewResults(images, 5), make([]error, 2)
	second := model(t, manifest)
	req := request(model(t, manifest), images, nil, labels)
	req.Parts = append(req.Parts, imageanalysis.Part{Model: second, Features: []imageanalysisv1.ImageFeature{embedding}})
	req.Features = []imageanalysisv1.ImageFeature{colors, quality}
	if err := imageanalysis.Analyze(t.Context(), req, results, errs); err != nil {
		t.Fatal(err)
	}
	if r := results[0]; len(r.GetColors()) != 1 || r.GetColors()[0].GetHex() != "#330000" || r.GetQuality().GetMegapixels() != 24e-6 {
		t.Errorf("result %v", r)
	}
	if r := results[0]; len(r.GetLabels()) != 2 || r.GetEmbedding() == nil || len(r.GetServedBy()) != 2 || r.GetIndex() != 5 {
		t.Errorf("result %v", r)
	}
	if errs[1] == nil || second.Items.Load() != 1 {
		t.Errorf("error %v, %d items", errs[1], second.Items.Load())
	}
}

func TestUnsuitableModels(t *testing.T) {
	one := []*imageanalysisv1.ImageItem{picture("", 0)}
	bare := model(t, strings.Replace(manifest, "vector: {source: model.vector, embedding: {}}", "", 1))
	if _, _, err := analyze(t, bare, one, nil, embedding); !errors.Is(err, imageanalysis.ErrUnsupported) {
		t.Errorf("no such head: %v", err)
	}
	tensors := model(t, "")
	if _, _, err := analyze(t, tensors, one, nil, labels); !errors.Is(err, imageanalysis.ErrUnsupported) {
		t.Errorf("no pictures: %v", err)
	}
	few := model(t, manifest+"limits: {max_items: 1}\n")
	_, _, err := analyze(t, few, append(one, one...), nil, labels)
	if in, ok := errors.AsType[*pipeline.InputError](err); !ok || in.Reason != "TOO_MANY_ITEMS" {
		t.Errorf("too many: %v", err)
	}
	full := model(t, manifest)
	full.Compute = func(context.Context, []tensor.Tensor) ([]tensor.Tensor, error) { return nil, &batch.FullError{} }
	if _, _, err := analyze(t, full, one, nil, labels); !errors.Is(err, batch.ErrFull) {
		t.Errorf("overload: %v", err)
	}
	wrong := model(t, manifest)
	wrong.Compute = func(context.Context, []tensor.Tensor) ([]tensor.Tensor, error) {
		three, err := tensor.From([]float32{0.1, 0.2, 0.7}, 1, 3)
		return []tensor.Tensor{three, three, three}, err
	}
	if _, errs, _ := analyze(t, wrong, one, nil, labels); !errors.Is(errs[0], pipeline.ErrOutput) {
		t.Errorf("three columns for seven labels: %v", errs[0])
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := imageanalysis.Analyze(ctx, request(wrong, one, nil, labels), imageanalysis.NewResults(one, 0), make([]error, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestManyPictures(t *testing.T) {
	m := model(t, manifest)
	images := make([]*imageanalysisv1.ImageItem, 300)
	for i := range images {
		images[i] = sized(fmt.Sprint(i), uint8(i%200), 1+i%50)
	}
	results, errs, err := analyze(t, m, images, nil, embedding)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if errs[i] != nil || math.Abs(float64(r.GetEmbedding().GetValues()[0])*255-float64(i%200)) > 1e-3 || r.GetInfo().GetWidth() != int32(1+i%50) {
			t.Fatalf("picture %d: %v %v", i, errs[i], r)
		}
	}
}

// TestSafeSearch reads the column that the manifest names, activated.
func TestSafeSearch(t *testing.T) {
	m := model(t, manifest+"\n")
	if _, _, err := analyze(t, m, []*imageanalysisv1.ImageItem{picture("a", 0)}, nil, imageanalysisv1.ImageFeature_IMAGE_FEATURE_SAFE_SEARCH); !errors.Is(err, imageanalysis.ErrUnsupported) {
		t.Errorf("a model without such a head: %v", err)
	}
	m = model(t, strings.Replace(manifest, "heads:", "heads:\n  safe: {source: model.moods, safe_search: {adult_column: 1, activation: ACTIVATION_SOFTMAX}}", 1))
	results, errs, err := analyze(t, m, []*imageanalysisv1.ImageItem{picture("a", 0)}, nil, imageanalysisv1.ImageFeature_IMAGE_FEATURE_SAFE_SEARCH)
	if err != nil || errs[0] != nil || math.Abs(results[0].GetSafeSearch().GetAdult()-0.75) > 1e-6 || len(results[0].GetLabels()) > 0 {
		t.Errorf("%v %v %v, want 0.75 and no labels", results[0], errs[0], err)
	}
}
