package imageanalysis_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"sync/atomic"
	"testing"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/imageanalysis"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	"github.com/scry-ml/scry/tensor"
)

// side of what the linear model sees.
const side = 8

const linearManifest = `
heads:
  thing: {source: model.things, labels: {names: [cat, dog]}}
  tone: {source: model.tones, labels: {names: [dark, red]}}
image: {resize: {width: 8, height: 8}, scale: 0.00392156862745098, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
`

// weightOf is what a pixel adds to "cat" for each unit of red, which is -1 to 1.
func weightOf(x, y int) float64 { return float64(x-y*2) / 1000 }

// linear is a model whose score for "cat" is a weighted sum of pixels, so that
// what covering a part changes is known.
func linear(t testing.TB) *pipelinetest.Model {
	t.Helper()
	value := pipelinetest.Value
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, side, side)}, []bundle.Value{
		value("things", tensor.Float32, -1, 2), value("tones", tensor.Float32, -1, 2),
	})
	return pipelinetest.NewModel(t, pipelinetest.Files(graph, linearManifest, nil), func(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		if !pipelinetest.IsYielding(ctx) {
			return nil, errors.New("a run that gives way to nobody")
		}
		cat, red := 0.5, 0.0
		for i, v := range tensor.View[float32](in[0])[:side*side] {
			cat += weightOf(i%side, i/side) * float64(v)
			red += float64(v) / (side * side)
		}
		if red == 1 {
			return nil, errors.New("too red")
		}
		things, _ := tensor.From([]float32{float32(cat), float32(1 - cat)}, 1, 2)
		tones, err := tensor.From([]float32{float32(0.5 - red/2), float32(0.5 + red/2)}, 1, 2)
		return []tensor.Tensor{things, tones}, err
	})
}

// painted is a picture of the size that the model sees whose red is f.
func painted(t testing.TB, f func(x, y int) uint8) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			img.SetNRGBA(x, y, color.NRGBA{R: f(x, y), G: 40, B: 90, A: 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func red(x, y int) uint8 { return uint8(200 + 3*x - 11*y) }

func TestExplain(t *testing.T) {
	m := linear(t)
	for _, c := range []struct{ most, rows, columns int }{{2, 1, 1}, {5, 2, 2}, {17, 4, 4}, {20, 4, 4}, {0, 8, 8}, {65, 8, 8}} {
		m.Items.Store(0)
		results, errs, err := imageanalysis.Explain(t.Context(), m, &imageanalysisv1.ExplainImageRequest{
			Images: []*imageanalysisv1.ImageItem{{Id: "a", Content: painted(t, red)}}, Label: "cat", MaxEvaluations: int32(c.most),
		})
		if err := errors.Join(err, errors.Join(errs...)); err != nil {
			t.Fatal(err)
		}
		r := results[0]
		if r.GetId() != "a" || r.GetHead() != "thing" || r.GetLabel() != "cat" || int(r.GetRows()) != c.rows || int(r.GetColumns()) != c.columns ||
			int(r.GetEvaluations()) != 1+c.rows*c.columns || int64(r.GetEvaluations()) != m.Items.Load() || len(r.GetHeat()) != c.rows*c.columns || r.GetPredictionId() == "" || len(r.GetServedBy()) != 1 {
			t.Fatalf("at most %d: %v", c.most, r)
		}
		whole := 0.5
		want := make([]float64, len(r.GetHeat()))
		for y := range side {
			for x := range side {
				v := weightOf(x, y) * (float64(red(x, y))/255 - 0.5) / 0.5
				whole += v
				want[y*c.rows/side*c.columns+x*c.columns/side] += v
			}
		}
		if math.Abs(r.GetScore()-whole) > 1e-5 {
			t.Errorf("score %v, want %v", r.GetScore(), whole)
		}
		for i, v := range r.GetHeat() {
			if math.Abs(v-want[i]) > 1e-5 {
				t.Errorf("at most %d: part %d: %v, want %v", c.most, i, v, want[i])
			}
		}
	}

	// Without a label the picture's best is explained, of the head that is named.
	results, errs, err := imageanalysis.Explain(t.Context(), m, &imageanalysisv1.ExplainImageRequest{
		Images: []*imageanalysisv1.ImageItem{{Content: painted(t, red)}}, Head: "tone", MaxEvaluations: 5,
	})
	if err != nil || errs[0] != nil || results[0].GetHead() != "tone" || results[0].GetLabel() != "red" {
		t.Errorf("%v %v %v", results, errs, err)
	}
}

// The map is red where a part speaks for the label and blue where it speaks
// against it; the strongest part has the full colour.
func TestHeatMap(t *testing.T) {
	half := func(x, y int) uint8 { // for red above, against it below
		if y < side/2 {
			return 255
		}
		return 64
	}
	results, errs, err := imageanalysis.Explain(t.Context(), linear(t), &imageanalysisv1.ExplainImageRequest{
		Images: []*imageanalysisv1.ImageItem{{Content: painted(t, half)}}, Head: "tone", Label: "red",
	})
	if err != nil || errs[0] != nil {
		t.Fatal(err, errs)
	}
	img, err := png.Decode(bytes.NewReader(results[0].GetPng()))
	if err != nil || img.Bounds().Dx() != side || img.Bounds().Dy() != side {
		t.Fatal(err)
	}
	r, _, b, _ := img.At(2, 1).RGBA()
	if r>>8 < 180 || b>>8 > 80 {
		t.Errorf("for the label: red %d, blue %d", r>>8, b>>8)
	}
	if r, _, b, _ := img.At(2, 6).RGBA(); b>>8 < r>>8+40 {
		t.Errorf("against it: red %d, blue %d", r>>8, b>>8)
	}
}

// A large picture's map has 1,024 pixels at most, and lies where the model looks.
func TestHeatMapOfTheMiddle(t *testing.T) {
	manifest := `
heads: {thing: {source: model.things, labels: {names: [cat, dog]}}}
image: {resize: {mode: RESIZE_MODE_SHORTEST_EDGE, width: 8}, crop_width: 8, crop_height: 8}
`
	graph := pipelinetest.Graph([]bundle.Value{pipelinetest.Value("x", tensor.Float32, -1, 3, side, side)}, []bundle.Value{pipelinetest.Value("things", tensor.Float32, -1, 2)})
	m := pipelinetest.NewModel(t, pipelinetest.Files(graph, manifest, nil), func(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		sum := float32(0)
		for _, v := range tensor.View[float32](in[0])[:side*side] {
			sum += v / 255 / (side * side)
		}
		out, err := tensor.From([]float32{sum, 1 - sum}, 1, 2)
		return []tensor.Tensor{out}, err
	})
	img := image.NewNRGBA(image.Rect(0, 0, 2400, 600))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	results, errs, err := imageanalysis.Explain(t.Context(), m, &imageanalysisv1.ExplainImageRequest{Images: []*imageanalysisv1.ImageItem{{Content: b.Bytes()}}})
	if err != nil || errs[0] != nil {
		t.Fatal(err, errs)
	}
	for i, v := range results[0].GetHeat() { // white under mid-grey, where the model has no mean
		if math.Abs(v-0.5/64) > 1e-4 {
			t.Fatalf("part %d: %v", i, v)
		}
	}
	drawn, err := png.Decode(bytes.NewReader(results[0].GetPng()))
	if err != nil || drawn.Bounds() != image.Rect(0, 0, 1024, 256) {
		t.Fatal(err, drawn.Bounds())
	}
	for x, coloured := range map[int]bool{0: false, 380: false, 388: true, 512: true, 636: true, 644: false, 1023: false} {
		if r, g, _, _ := drawn.At(x, 128).RGBA(); (r != g) != coloured {
			t.Errorf("column %d: red %d, green %d", x, r>>8, g>>8)
		}
	}
}

func TestExplainBadInput(t *testing.T) {
	m := linear(t)
	tooRed := painted(t, func(int, int) uint8 { return 255 })
	good := painted(t, red)
	results, errs, err := imageanalysis.Explain(t.Context(), m, &imageanalysisv1.ExplainImageRequest{
		Images: []*imageanalysisv1.ImageItem{{Id: "none"}, {Id: "text", Content: []byte("no picture")}, {Id: "cut", Content: good[:len(good)-20]}, {Id: "red", Content: tooRed}, {Id: "good", Content: good}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"IMAGE_EMPTY", "IMAGE_FORMAT", "IMAGE_TRUNCATED"} {
		if e, ok := errors.AsType[*pipeline.InputError](errs[i]); !ok || e.Reason != want {
			t.Errorf("picture %d: %v, want %s", i, errs[i], want)
		}
	}
	if errs[3] == nil || results[3].GetId() != "red" || len(results[3].GetHeat()) != 0 || errs[4] != nil || len(results[4].GetHeat()) != 64 || results[4].GetIndex() != 4 {
		t.Errorf("%v %v", errs, results[4])
	}
	for _, c := range []struct {
		req           *imageanalysisv1.ExplainImageRequest
		field, reason string
	}{
		{&imageanalysisv1.ExplainImageRequest{Head: "mood"}, "head", "HEAD_UNKNOWN"},
		{&imageanalysisv1.ExplainImageRequest{Label: "red"}, "label", "TARGET_UNKNOWN"},
		{&imageanalysisv1.ExplainImageRequest{MaxEvaluations: 1}, "max_evaluations", "TOO_FEW_EVALUATIONS"},
	} {
		_, _, err := imageanalysis.Explain(t.Context(), m, c.req)
		if e, ok := errors.AsType[*pipeline.InputError](err); !ok || e.Field != c.field || e.Reason != c.reason {
			t.Errorf("%v: %v", c.req, err)
		}
	}
	m.Refuse = batch.ErrFull
	if _, _, err := imageanalysis.Explain(t.Context(), m, &imageanalysisv1.ExplainImageRequest{Images: []*imageanalysisv1.ImageItem{{Content: good}}}); !errors.Is(err, batch.ErrFull) {
		t.Error(err)
	}
}

// Who goes ends the work.
func TestExplainEnds(t *testing.T) {
	m := linear(t)
	ctx, cancel := context.WithCancel(t.Context())
	compute, runs := m.Compute, atomic.Int64{}
	m.Compute = func(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		if runs.Add(1) == 5 {
			cancel()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return compute(ctx, in)
	}
	pictures := make([]*imageanalysisv1.ImageItem, 20)
	for i := range pictures {
		pictures[i] = &imageanalysisv1.ImageItem{Content: painted(t, red)}
	}
	if _, _, err := imageanalysis.Explain(ctx, m, &imageanalysisv1.ExplainImageRequest{Images: pictures}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := runs.Load(); n > 5+2*32 {
		t.Errorf("%d runs after the caller went at the 5th", n)
	}
}
