package pipeline_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	"github.com/scry-ml/scry/pixel"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

func images(t testing.TB, limits pipeline.Limits, settings string) *pipeline.Pipeline {
	t.Helper()
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, -1, -1)}, []bundle.Value{value("y", tensor.Float32, -1, 3)})
	p, err := pipelinetest.Open(pipelinetest.Files(graph, "image: {"+settings+"}\n", nil), limits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// red is a picture of one colour, 40 × 20.
func red(t testing.TB, encode func(*bytes.Buffer, image.Image) error) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 20))
	for i := range 40 * 20 {
		img.Set(i%40, i/40, color.RGBA{R: 255, A: 255})
	}
	var b bytes.Buffer
	if err := encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(b *bytes.Buffer, img image.Image) error { return png.Encode(b, img) }

func TestImage(t *testing.T) {
	p := images(t, pipeline.Limits{}, `resize: {mode: RESIZE_MODE_STRETCH, width: 2, height: 3}, scale: 0.00392156862745098, mean: [0.5], std: [0.25, 0.5, 0.5]`)
	got, err := p.Image(t.Context(), red(t, asPNG))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Item.Inputs[0].Shape.Equal(tensor.Shape{1, 3, 3, 2}) || got.Item.Rows != 1 {
		t.Errorf("shape %v", got.Item.Inputs[0].Shape)
	}
	if want := "[2 2 2 2 2 2 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1]"; show(p, got.Item, "x") != want {
		t.Errorf("x is %s, want %s", show(p, got.Item, "x"), want)
	}
	if got.Info.Width != 40 || got.Info.Height != 20 || got.Info.Format != pixel.PNG {
		t.Errorf("info %+v", got.Info)
	}
	item, err := p.Synthetic(5, 0)
	if err != nil || !item.Inputs[0].Shape.Equal(tensor.Shape{5, 3, 3, 2}) || item.Rows != 5 {
		t.Errorf("a made-up picture of %v, %v", item.Inputs[0].Shape, err)
	}
}

func TestImageOrders(t *testing.T) {
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Uint8, -1, -1, -1, 3)}, []bundle.Value{value("y", tensor.Float32, -1, 3)})
	dir := pipelinetest.Files(graph, "image: {resize: {mode: RESIZE_MODE_SHORTEST_EDGE, width: 4}, crop_width: 2, crop_height: 1, layout: LAYOUT_NHWC, channels: CHANNELS_BGR}\n", nil)
	p, err := pipelinetest.Open(dir, pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Image(t.Context(), red(t, asPNG))
	if err != nil {
		t.Fatal(err)
	}
	if show(p, got.Item, "x") != "[0 0 255 0 0 255]" || !got.Item.Inputs[0].Shape.Equal(tensor.Shape{1, 1, 2, 3}) {
		t.Errorf("x is %s %v", show(p, got.Item, "x"), got.Item.Inputs[0].Shape)
	}
}

// TestImageFields: what preprocessors of Hugging Face say is what is done.
func TestImageFields(t *testing.T) {
	for settings, want := range map[string]string{
		// 40 × 20 becomes 2 × 1 in the middle of 2 × 4, on (1, 2, 3).
		`resize: {mode: RESIZE_MODE_LETTERBOX, width: 2, height: 4, pad_color: [1, 2, 3]}`: "[1 1 1 1 255 255 1 1 2 2 2 2 0 0 2 2 3 3 3 3 0 0 3 3]",
		// 40 × 20 becomes 8 × 4, but at most 6: 6 × 3, of which the middle is taken.
		`resize: {mode: RESIZE_MODE_SHORTEST_EDGE, width: 4, max_edge: 6}, crop_width: 6, crop_height: 5`: "[0 0 0 0 0 0 255 255 255 255 255 255 255 255 255 255 255 255 255 255 255 255 255 255 0 0 0 0 0 0 ",
		// A crop that is larger by one begins at -1 (floor) instead of 0.
		`resize: {mode: RESIZE_MODE_STRETCH, width: 2, height: 2}, crop_width: 3, crop_height: 3, crop_floor: true`: "[0 0 0 0 255 255 0 255 255 ",
		`resize: {mode: RESIZE_MODE_STRETCH, width: 2, height: 2}, crop_width: 3, crop_height: 3`:                   "[255 255 0 255 255 0 0 0 0 ",
	} {
		p := images(t, pipeline.Limits{}, settings)
		got, err := p.Image(t.Context(), red(t, asPNG))
		if err != nil {
			t.Fatal(settings, err)
		}
		if x := show(p, got.Item, "x"); !strings.HasPrefix(x, want) {
			t.Errorf("%s: x is %s, want %s", settings, x, want)
		}
	}
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, -1, -1)}, []bundle.Value{value("y", tensor.Float32, -1, 3)})
	for settings, want := range map[string]string{
		`resize: {width: 2, height: 2, max_edge: 6}`:                                                         "image.resize.max_edge",
		`resize: {mode: RESIZE_MODE_SHORTEST_EDGE, width: 8, max_edge: 6}, crop_width: 6, crop_height: 6`:    "image.resize.max_edge",
		`resize: {width: 2, height: 2, pad_color: [1, 2, 3]}`:                                                "image.resize.pad_color",
		`resize: {mode: RESIZE_MODE_LETTERBOX, width: 2, height: 2, pad_color: [1, 2]}`:                      "image.resize.pad_color",
		`resize: {mode: RESIZE_MODE_LETTERBOX, width: 2, height: 2, pad_color: [1, 2, 256]}`:                 "image.resize.pad_color[2]",
		`resize: {mode: RESIZE_MODE_LETTERBOX, width: 2, height: 2}, crop_width: 1, crop_height: 1`:          "image.crop_width",
		`resize: {width: 2, height: 2}, crop_floor: true`:                                                    "image.crop_floor",
		`resize: {mode: RESIZE_MODE_SHORTEST_EDGE, width: 2, max_edge: 8193}, crop_width: 1, crop_height: 1`: "image.resize.max_edge",
	} {
		_, err := pipelinetest.Open(pipelinetest.Files(graph, "image: {"+settings+"}\n", nil), pipeline.Limits{})
		if !errors.Is(err, bundle.ErrInvalid) || !strings.Contains(err.Error(), want+":") {
			t.Errorf("%s: %v, want an error about %s", settings, err, want)
		}
	}
}

// hugePNG is a header that claims 65535 × 65535 pixels.
func hugePNG() []byte {
	head := append([]byte("IHDR"), 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 8, 2, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	out = append(out, head...)
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(head))
	return append(out, "\x00\x00\x00\x00IDAT"...)
}

func TestImageRefused(t *testing.T) {
	good := red(t, func(b *bytes.Buffer, img image.Image) error { return jpeg.Encode(b, img, nil) })
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":     {nil, "IMAGE_EMPTY content"},
		"text":      {[]byte("hello, this is no picture"), "IMAGE_FORMAT content"},
		"truncated": {good[:len(good)-40], "IMAGE_TRUNCATED content"},
		"too large": {hugePNG(), "IMAGE_TOO_LARGE content"},
		"bytes":     {append(bytes.Clone(good), make([]byte, 1<<20)...), "IMAGE_TOO_LARGE content"},
	} {
		for _, decoding := range []*pipeline.Decoding{nil, pipeline.NewDecoding(1 << 20)} {
			p := images(t, pipeline.Limits{Image: pixel.Limits{MaxBytes: 1 << 20}, Decoding: decoding}, `resize: {mode: RESIZE_MODE_STRETCH, width: 2, height: 2}`)
			_, err := p.Image(t.Context(), c.data)
			if reasonOf(err) != c.want || !errors.Is(err, pipeline.ErrInput) {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
		}
	}
	p := images(t, pipeline.Limits{}, `resize: {mode: RESIZE_MODE_STRETCH, width: 2, height: 2}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Image(ctx, good); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
}

// TestGoldens wants every kind of golden input mapped as a request's is.
func TestGoldens(t *testing.T) {
	rows, words := open(t), texts(t, pipeline.Limits{}, "max_length: 8")
	for name, c := range map[string]struct {
		p      *pipeline.Pipeline
		golden *bundlev1.Golden
		input  string
		want   string
	}{
		"features": {rows, &bundlev1.Golden{Input: &bundlev1.Golden_Features{Features: row(t, `{"tenure": 4, "visits": 1}`)}}, "tenure", "[4]"},
		"bad row":  {rows, &bundlev1.Golden{Input: &bundlev1.Golden_Features{Features: row(t, `{"visits": 1}`)}}, "", `FEATURE_MISSING features["tenure"]`},
		"text":     {words, &bundlev1.Golden{Input: &bundlev1.Golden_Text{Text: "hello"}}, "input_ids", "[2 4 3]"},
		"nothing":  {words, &bundlev1.Golden{}, "", "a golden sample without input"},
	} {
		item, err := c.p.Golden(t.Context(), c.golden)
		switch {
		case c.input == "" && reasonOf(err) != c.want:
			t.Errorf("%s: %v, want %s", name, err, c.want)
		case c.input != "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.input != "" && show(c.p, item, c.input) != c.want:
			t.Errorf("%s: %s, want %s", name, show(c.p, item, c.input), c.want)
		}
	}
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, -1, -1)}, []bundle.Value{value("y", tensor.Float32, -1, 3)})
	p, err := pipelinetest.Open(pipelinetest.Files(graph, "image: {resize: {width: 1, height: 1}}\n", map[string]string{"a.png": string(red(t, asPNG))}), pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	item, err := p.Golden(t.Context(), &bundlev1.Golden{Input: &bundlev1.Golden_Image{Image: "a.png"}})
	if err != nil || show(p, item, "x") != "[255 0 0]" {
		t.Errorf("%v, %v", item, err)
	}
	if _, err := p.Golden(t.Context(), &bundlev1.Golden{Input: &bundlev1.Golden_Image{Image: "b.png"}}); !errors.Is(err, bundle.ErrInvalid) {
		t.Errorf("a picture that is not there: %v", err)
	}
}

func TestGoldenTensors(t *testing.T) {
	graph := pipelinetest.Graph([]bundle.Value{
		value("x", tensor.Float32, -1, 2), value("free", tensor.Int64, -1, -1), value("s", tensor.String, -1), value("b", tensor.Bool, -1),
	}, []bundle.Value{value("y", tensor.Float32, -1, 3)})
	p, err := pipelinetest.Open(pipelinetest.Files(graph, "", nil), pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	good := func() map[string]*bundlev1.Values {
		return map[string]*bundlev1.Values{
			"x": {Values: []float64{1, 2}}, "free": {Values: []float64{1, 2, 3}}, "s": {Strings: []string{"a"}}, "b": {Values: []float64{1}},
		}
	}
	run := func(change func(map[string]*bundlev1.Values)) (pipeline.Item, error) {
		in := good()
		change(in)
		return p.Golden(t.Context(), &bundlev1.Golden{Input: &bundlev1.Golden_Tensors{Tensors: &bundlev1.Tensors{Inputs: in}}})
	}
	item, err := run(func(map[string]*bundlev1.Values) {})
	if err != nil {
		t.Fatal(err)
	}
	var shapes []string
	for _, in := range item.Inputs {
		shapes = append(shapes, in.Shape.String())
	}
	if got := strings.Join(shapes, " "); got != "[1,2] [1,3] [1] [1]" || show(p, item, "free") != "[1 2 3]" {
		t.Errorf("shapes %s, free %s", got, show(p, item, "free"))
	}
	if item, err := run(func(in map[string]*bundlev1.Values) {
		in["x"] = &bundlev1.Values{Shape: []int64{2, 2}, Values: []float64{1, 2, 3, 4}}
	}); err != nil || !item.Inputs[0].Shape.Equal(tensor.Shape{2, 2}) {
		t.Errorf("a shape of its own: %v, %v", item.Inputs, err)
	}
	for name, change := range map[string]func(map[string]*bundlev1.Values){
		"INPUT_MISSING":          func(in map[string]*bundlev1.Values) { delete(in, "x") },
		"INPUT_INVALID count":    func(in map[string]*bundlev1.Values) { in["x"].Values = []float64{1, 2, 3} },
		"INPUT_INVALID claim":    func(in map[string]*bundlev1.Values) { in["x"].Shape = []int64{1 << 40, 2} },
		"INPUT_INVALID negative": func(in map[string]*bundlev1.Values) { in["x"].Shape = []int64{-1, -2} },
		"INPUT_INVALID fraction": func(in map[string]*bundlev1.Values) { in["free"].Values = []float64{1.5} },
		"INPUT_INVALID bool":     func(in map[string]*bundlev1.Values) { in["b"].Values = []float64{2} },
		"INPUT_INVALID string":   func(in map[string]*bundlev1.Values) { in["s"].Values = []float64{2} },
	} {
		if _, err := run(change); !strings.HasPrefix(reasonOf(err), strings.Fields(name)[0]+" tensors.inputs[") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if item, err := p.Synthetic(2, 5); err != nil || fmt.Sprint(item.Inputs[1].Shape) != "[2,5]" {
		t.Errorf("made up: %v %v", item.Inputs, err)
	}
}

// TestCropsOfExtremePictures cuts from pictures of one pixel and of one row,
// without memory beyond what is kept of a picture.
func TestCropsOfExtremePictures(t *testing.T) {
	p, err := pipelinetest.Open(fstest.MapFS{
		bundle.ManifestFile: {Data: []byte(`
graphs: {model: {file: model.onnx}, look: {file: look.onnx}, read: {file: read.onnx}}
steps:
- graph: model
- {graph: look, crop: {square: true, margin: 1, image: {resize: {width: 2, height: 2}}}}
- {graph: read, crop: {max_line_width: 24, image: {resize: {width: 8, height: 4}}}}
image: {resize: {mode: RESIZE_MODE_LETTERBOX, width: 8, height: 8}}
`)},
		"model.onnx": {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 8, 8)}, []bundle.Value{value("y", tensor.Float32, -1, 1)})},
		"read.onnx":  {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 4, -1)}, []bundle.Value{value("y", tensor.Float32, -1, 1)})},
		"look.onnx":  {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 2, 2)}, []bundle.Value{value("y", tensor.Float32, -1, 1)})},
	}, pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range [][2]int{{1, 1}, {30000, 1}, {1, 30000}, {3000, 2000}} {
		var b bytes.Buffer
		if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, size[0], size[1]))); err != nil {
			t.Fatal(err)
		}
		picture, err := p.Image(t.Context(), b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		whole := picture.Item.Crops.Rect(-1, -1, 2, 2)
		if whole != (pipeline.Rect{Right: float64(size[0]), Bottom: float64(size[1])}) {
			t.Errorf("%v: %v is not the whole picture", size, whole)
		}
		item, _, err := picture.Item.Crops.Cut("look", whole)
		if whole.Cuttable() != (err == nil) || err == nil && (!item.Inputs[0].Shape.Equal(tensor.Shape{1, 3, 2, 2}) || picture.Item.Crops.Bytes("look") != int64(len(item.Inputs[0].Data))) {
			t.Errorf("%v: %v %v", size, item, err)
		}
		if long := max(size[0], size[1]); whole.Cuttable() == (long == 30000) {
			t.Errorf("%v: cut: %v", size, whole.Cuttable())
		}
		for _, c := range []struct {
			w, h  float64 // of a line from the picture's corner on
			width int64   // of the input; 0 = an error
		}{
			{1.9, 1, 8}, {2.1, 1, 16}, {1e-3, 1e-3, 8}, {3, 0.001, 24}, {0.001, 3, 8}, {1e9, 1, 24}, {1, 1e9, 8}, {0, 1, 0}, {1, 0, 0}, {math.NaN(), 1, 0}, {math.Inf(1), 1, 0}, {1, math.Inf(1), 0},
		} {
			line := [4]pixel.Point{{}, {X: c.w}, {X: c.w, Y: c.h}, {Y: c.h}}
			item, err := picture.Item.Crops.CutLine("read", line)
			even := max(size[0], size[1]) < 30000 // both sides are made smaller alike
			if c.width == 0 != (err != nil) || even && err == nil && !item.Inputs[0].Shape.Equal(tensor.Shape{1, 3, 4, c.width}) {
				t.Errorf("%v: a line of %v × %v: %d inputs, %v", size, c.w, c.h, len(item.Inputs), err)
			}
			if err == nil && picture.Item.Crops.LineBytes("read", line) != int64(len(item.Inputs[0].Data)) {
				t.Errorf("%v: a line of %v × %v has %d bytes, not %d", size, c.w, c.h, len(item.Inputs[0].Data), picture.Item.Crops.LineBytes("read", line))
			}
		}
		if _, err := picture.Item.Crops.CutLine("look", [4]pixel.Point{{}, {X: 1}, {X: 1, Y: 1}, {Y: 1}}); err == nil {
			t.Error("a line was cut for a graph that takes none")
		}
	}
}
