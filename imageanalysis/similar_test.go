package imageanalysis_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/imageanalysis"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/recommend"
	"github.com/scry-ml/scry/tensor"
)

const itemsManifest = `
heads:
  vector: {source: model.vector, embedding: {normalize: true}}
image: {resize: {width: 1, height: 1}}
catalogue:
  items:
    file: items.jsonl
    attributes: [{name: shelf, type: ATTRIBUTE_TYPE_STRING}, {name: until, type: ATTRIBUTE_TYPE_TIMESTAMP}]
    vectors: vectors.npy
    query_head: vector
    expiry: until
`

// catalogueModel sees the red and green of a picture; its items are red, yellow,
// green, and one that is red but was sold until 2020.
func catalogueModel(t testing.TB, manifest string) *pipelinetest.Model {
	t.Helper()
	value := pipelinetest.Value
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 1, 1)}, []bundle.Value{value("vector", tensor.Float32, -1, 2)})
	half := float32(math.Sqrt(0.5))
	files := map[string]string{
		"items.jsonl": `{"id": "red", "shelf": "a"}
{"id": "yellow", "shelf": "b"}
{"id": "green", "shelf": "a"}
{"id": "old", "until": "2020-01-01"}
`,
		"vectors.npy": pipelinetest.NPY([]float32{1, 0, half, half, 0, 1, 1, 0}, 4, 2),
	}
	return pipelinetest.NewModel(t, pipelinetest.Files(graph, manifest, files), func(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		x := tensor.View[float32](in[0])
		out, err := tensor.From([]float32{x[0], x[1]}, 1, 2)
		return []tensor.Tensor{out}, err
	})
}

func colored(id string, rgb int) *imageanalysisv1.ImageItem {
	return encoded(id, flat(rgb, 8))
}

func findSimilar(t testing.TB, m imageanalysis.Model, req *imageanalysisv1.FindSimilarRequest) (string, []error, error) {
	t.Helper()
	resp, errs, err := imageanalysis.Similar(t.Context(), m, req, pipeline.Limits{}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	var lines []string
	for i, r := range resp.GetResults() {
		if r.GetIndex() != int64(i) {
			t.Errorf("result %d has index %d", i, r.GetIndex())
		}
		if errs[i] == nil && (len(r.GetPredictionId()) != 36 || fmt.Sprint(r.GetServedBy()[0].GetHeads()) != "[vector]") {
			t.Errorf("result %d: %v", i, r)
		}
		var line strings.Builder
		line.WriteString(r.GetId() + ":")
		for _, item := range r.GetItems() {
			line.WriteString(fmt.Sprintf(" %s %.3f", item.GetItem(), item.GetScore()))
			if shelf, ok := item.GetAttributes().GetFields()["shelf"]; ok {
				line.WriteString(" on " + shelf.GetStringValue())
			}
		}
		lines = append(lines, line.String())
	}
	return strings.Join(lines, "; "), errs, err
}

func TestSimilar(t *testing.T) {
	m := catalogueModel(t, itemsManifest)
	red, lime := colored("r", 0xFF0000), colored("l", 0x80FF00)
	least := 0.8
	for name, c := range map[string]struct {
		req  *imageanalysisv1.FindSimilarRequest
		want string
	}{
		"all but what expired": {&imageanalysisv1.FindSimilarRequest{}, "r: red 1.000 yellow 0.707 green 0.000; l: yellow 0.949 green 0.894 red 0.449"},
		"one":                  {&imageanalysisv1.FindSimilarRequest{Count: 1}, "r: red 1.000; l: yellow 0.949"},
		"a filter":             {&imageanalysisv1.FindSimilarRequest{Filter: `shelf = "a"`, Attributes: []string{"*"}}, "r: red 1.000 on a green 0.000 on a; l: green 0.894 on a red 0.449 on a"},
		"by id":                {&imageanalysisv1.FindSimilarRequest{Filter: `id != "red"`, Count: 1}, "r: yellow 0.707; l: yellow 0.949"},
		"a least score":        {&imageanalysisv1.FindSimilarRequest{MinScore: &least}, "r: red 1.000; l: yellow 0.949 green 0.894"},
		"nothing is left":      {&imageanalysisv1.FindSimilarRequest{Filter: `shelf = "c"`}, "r:; l:"},
	} {
		c.req.Images = []*imageanalysisv1.ImageItem{red, lime}
		if got, errs, err := findSimilar(t, m, c.req); err != nil || errs[0] != nil || errs[1] != nil || got != c.want {
			t.Errorf("%s: %s, want %s (%v %v)", name, got, c.want, err, errs)
		}
	}
}

func TestSimilarErrors(t *testing.T) {
	m := catalogueModel(t, itemsManifest)
	red := colored("r", 0xFF0000)
	// A picture that cannot be read fails alone.
	got, errs, err := findSimilar(t, m, &imageanalysisv1.FindSimilarRequest{Count: 1, Images: []*imageanalysisv1.ImageItem{{Id: "x", Content: []byte("GIF89a")}, red}})
	if in, ok := errors.AsType[*pipeline.InputError](errs[0]); err != nil || !ok || in.Reason != "IMAGE_TRUNCATED" || got != "x:; r: red 1.000" {
		t.Errorf("%s, %v, %v", got, errs, err)
	}
	many := make([]*imageanalysisv1.ImageItem, 101)
	for name, c := range map[string]struct {
		req           *imageanalysisv1.FindSimilarRequest
		field, reason string
	}{
		"no such attribute":  {&imageanalysisv1.FindSimilarRequest{Attributes: []string{"shelf", "price"}}, "attributes[1]", "ATTRIBUTE_UNKNOWN"},
		"a filter of no one": {&imageanalysisv1.FindSimilarRequest{Filter: "price < 3"}, "filter", "FILTER_INVALID"},
		"too many items":     {&imageanalysisv1.FindSimilarRequest{Images: many, Count: 1000}, "count", "TOO_MANY_ITEMS"},
	} {
		if c.req.Images == nil {
			c.req.Images = []*imageanalysisv1.ImageItem{red}
		}
		_, _, err := findSimilar(t, m, c.req)
		if in, ok := errors.AsType[*pipeline.InputError](err); !ok || in.Field != c.field || in.Reason != c.reason {
			t.Errorf("%s: %v, want %s %s", name, err, c.field, c.reason)
		}
	}
	bare, _, _ := strings.Cut(itemsManifest, "catalogue:")
	for _, m := range []imageanalysis.Model{
		catalogueModel(t, bare),
		catalogueModel(t, strings.Replace(itemsManifest, "    query_head: vector\n", "", 1)),
		catalogueModel(t, strings.NewReplacer("image: {resize: {width: 1, height: 1}}", "", "    query_head: vector\n", "").Replace(itemsManifest)),
	} {
		if _, _, err := findSimilar(t, m, &imageanalysisv1.FindSimilarRequest{Images: []*imageanalysisv1.ImageItem{red}}); !errors.Is(err, imageanalysis.ErrUnsupported) {
			t.Errorf("%v, want ErrUnsupported", err)
		}
	}
	m.Compute = func(context.Context, []tensor.Tensor) ([]tensor.Tensor, error) {
		out, err := tensor.From([]float32{float32(math.NaN()), 1}, 1, 2)
		return []tensor.Tensor{out}, err
	}
	if _, errs, _ := findSimilar(t, m, &imageanalysisv1.FindSimilarRequest{Images: []*imageanalysisv1.ImageItem{red}}); !errors.Is(errs[0], pipeline.ErrOutput) {
		t.Errorf("NaN: %v", errs)
	}
}

// TestRecommendOfPictures: RecommendItems knows the items of such a model, and
// takes no features.
func TestRecommendOfPictures(t *testing.T) {
	m := catalogueModel(t, itemsManifest)
	features, err := structpb.NewStruct(map[string]any{"age": 3})
	if err != nil {
		t.Fatal(err)
	}
	req := &scoringv1.RecommendItemsRequest{Subjects: []*scoringv1.RecommendSubject{{History: []string{"red"}, Features: features}}}
	resp, errs, err := recommend.Items(t.Context(), m, req, 1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil || errs[0] != nil {
		t.Fatal(err, errs)
	}
	if r := resp.GetResults()[0]; len(r.GetItems()) != 2 || r.GetItems()[0].GetItem() != "yellow" || r.GetWarnings()[0].GetField() != "subjects[0].features" {
		t.Errorf("%v", r)
	}
}
