package imageanalysis_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"slices"
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

const textManifest = `
graphs: {model: {file: model.onnx}, read: {file: read.onnx}}
steps:
- graph: model
- graph: read
  crop: {max_line_width: 64, image: {resize: {width: 16, height: 8, filter: FILTER_BILINEAR}, mean: [0], std: [255]}}
heads:
  text:
    source: model.map
    text_lines: {readers: [{characters: read.characters, scores: read.scores, characters_file: letters.txt}], widening: 0.001}
image: {resize: {mode: RESIZE_MODE_LETTERBOX, width: 64, height: 64, filter: FILTER_NEAREST}, mean: [0], std: [255]}
`

func textBundle(manifest string) fstest.MapFS {
	value := pipelinetest.Value
	return fstest.MapFS{
		bundle.ManifestFile: {Data: []byte(manifest)},
		"letters.txt":       {Data: []byte("I\n \n")},
		"model.onnx": {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 64, 64)},
			[]bundle.Value{value("map", tensor.Float32, -1, 1, -1, -1), value("flat", tensor.Float32, -1, 9)})},
		"read.onnx": {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 8, -1)},
			[]bundle.Value{value("characters", tensor.Int64, -1, -1), value("scores", tensor.Float32, -1, -1), value("best", tensor.Float32, -1), value("last", tensor.Int64, -1)})},
		"narrow.onnx": {Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 8, 16)},
			[]bundle.Value{value("characters", tensor.Int64, -1, -1), value("scores", tensor.Float32, -1, -1)})},
		"empty.txt":   {},
		"blank.txt":   {Data: []byte("I\n\nJ\n")},
		"latin.txt":   {Data: []byte("I\n\xe9\n")},
		"control.txt": {Data: []byte("I\n\x1b\n")},
		"novel.txt":   {Data: bytes.Repeat([]byte("I"), 65)},
		"line.txt":    {Data: bytes.Repeat([]byte("I"), 1<<20)},
		"many.txt":    {Data: bytes.Repeat([]byte("I\n"), 65537)},
		"windows.txt": {Data: []byte("I\r\n \r\n")},
	}
}

// reader finds text where a picture is red, and reads an I for each bar of green.
// Lines are blue at their top, or read with a score of 0.6.
func reader(t *testing.T) *pipelinetest.Model {
	t.Helper()
	m := pipelinetest.NewModel(t, textBundle(textManifest), func(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		red, err := tensor.From(tensor.View[float32](in[0])[:64*64], 1, 1, 64, 64)
		return []tensor.Tensor{red, red}, err
	})
	m.Crop = func(_ context.Context, _ string, in []tensor.Tensor) ([]tensor.Tensor, error) {
		w := int(in[0].Shape[3])
		at := func(channel, y, x int) float32 { return tensor.View[float32](in[0])[(channel*8+y)*w+x] }
		characters, scores := make([]int64, w), make([]float32, w)
		for x := range w {
			if scores[x] = 0.6; at(2, 1, 3) > at(2, 6, 3) {
				scores[x] = 0.95
			}
			if at(1, 4, x) > 0.75 {
				characters[x] = 1
			}
		}
		c, err := tensor.From(characters, 1, int64(w))
		if err != nil {
			return nil, err
		}
		s, err := tensor.From(scores, 1, int64(w))
		return []tensor.Tensor{c, s}, err
	}
	return m
}

// sign is a picture of w × h pixels with lines of as many bars as told. A line is
// 32 × 10 pixels; turns are quarters, clockwise.
type sign struct{ x, y, bars, turns int }

func signs(w, h int, all ...sign) *imageanalysisv1.ImageItem {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, color.RGBA{A: 255})
	}
	for _, s := range all {
		for v := range 10 {
			for u := range 32 {
				c := color.RGBA{R: 255, A: 255}
				if v < 5 {
					c.B = 255
				}
				if u%8 >= 4 && u/8 < s.bars {
					c.G = 255
				}
				x, y := u, v
				for range s.turns {
					x, y = -y, x
				}
				img.Set(s.x+x, s.y+y, c)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return &imageanalysisv1.ImageItem{Content: b.Bytes()}
}

func readText(t *testing.T, m imageanalysis.Model, images ...*imageanalysisv1.ImageItem) ([]*imageanalysisv1.ImageResult, []error) {
	t.Helper()
	results, errs, err := analyze(t, m, images, nil, imageanalysisv1.ImageFeature_IMAGE_FEATURE_TEXT)
	if err != nil {
		t.Fatal(err)
	}
	return results, errs
}

// TestText reads lines in their order, whichever way they are turned, and tells
// where what is written begins.
func TestText(t *testing.T) {
	for name, c := range map[string]struct {
		w, h int
		all  []sign
		want string
		// corners of the first line that is wanted: upper left and lower right.
		from, to [2]float64
	}{
		"none":        {w: 64, h: 64},
		"one":         {64, 64, []sign{{8, 20, 3, 0}}, "III", [2]float64{8, 20}, [2]float64{40, 30}},
		"letterboxed": {64, 32, []sign{{8, 10, 2, 0}}, "II", [2]float64{8, 10}, [2]float64{40, 20}},
		"larger":      {128, 128, []sign{{64, 100, 4, 0}}, "IIII", [2]float64{64, 100}, [2]float64{96, 110}},
		"below":       {64, 64, []sign{{8, 40, 1, 0}, {8, 10, 2, 0}}, "II I", [2]float64{8, 10}, [2]float64{40, 20}},
		"beside":      {128, 128, []sign{{80, 50, 1, 0}, {20, 54, 2, 0}}, "II I", [2]float64{20, 54}, [2]float64{52, 64}},
		"upside down": {64, 64, []sign{{50, 40, 3, 2}}, "III", [2]float64{51, 41}, [2]float64{19, 31}},
		"clockwise":   {64, 64, []sign{{30, 10, 3, 1}}, "III", [2]float64{31, 10}, [2]float64{21, 42}},
		"counter":     {64, 64, []sign{{30, 50, 3, 3}}, "III", [2]float64{30, 51}, [2]float64{40, 19}},
	} {
		results, errs := readText(t, reader(t), signs(c.w, c.h, c.all...))
		if errs[0] != nil {
			t.Errorf("%s: %v", name, errs[0])
			continue
		}
		var texts []string
		for _, l := range results[0].GetText() {
			texts = append(texts, l.GetText())
			if math.Abs(l.GetScore()-0.95) > 1e-6 {
				t.Errorf("%s: the score %v", name, l)
			}
		}
		if got := strings.Join(texts, " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
			continue
		}
		if c.want == "" {
			continue
		}
		corners := results[0].GetText()[0].GetCorners()
		for k, want := range map[int][2]float64{0: c.from, 2: c.to} {
			if math.Abs(corners[k].GetX()-want[0]) > 1.1 || math.Abs(corners[k].GetY()-want[1]) > 1.1 {
				t.Errorf("%s: corner %d is %v, want %v", name, k, corners[k], want)
			}
		}
	}
}

// TestTextFails: what cannot be read fails its picture and no other.
func TestTextFails(t *testing.T) {
	good, empty := signs(64, 64, sign{8, 20, 3, 0}), signs(64, 64)
	for name, crop := range map[string]func(characters []int64, scores []float32){
		"unknown character":  func(c []int64, _ []float32) { c[0] = 3 },
		"negative character": func(c []int64, _ []float32) { c[0] = -1 },
		"score of NaN":       func(c []int64, s []float32) { c[0], s[0] = 1, float32(math.NaN()) },
		"score of 2":         func(c []int64, s []float32) { c[0], s[0] = 1, 2 },
	} {
		m := reader(t)
		m.Crop = func(context.Context, string, []tensor.Tensor) ([]tensor.Tensor, error) {
			characters, scores := make([]int64, 4), make([]float32, 4)
			crop(characters, scores)
			c, _ := tensor.From(characters, 1, 4)
			s, _ := tensor.From(scores, 1, 4)
			return []tensor.Tensor{c, s}, nil
		}
		if _, errs := readText(t, m, good, empty); !errors.Is(errs[0], pipeline.ErrOutput) || errs[1] != nil {
			t.Errorf("%s: %v, want the first picture alone to fail", name, errs)
		}
	}
	m := reader(t)
	m.Compute = func(context.Context, []tensor.Tensor) ([]tensor.Tensor, error) {
		flat, err := tensor.New(tensor.Float32, 1, 4096)
		return []tensor.Tensor{flat, flat}, err
	}
	if _, errs := readText(t, m, good); !errors.Is(errs[0], pipeline.ErrOutput) {
		t.Errorf("a map of one row: %v", errs[0])
	}
	m = reader(t)
	m.Crop = func(context.Context, string, []tensor.Tensor) ([]tensor.Tensor, error) {
		return nil, context.DeadlineExceeded
	}
	if _, _, err := analyze(t, m, []*imageanalysisv1.ImageItem{good}, nil, imageanalysisv1.ImageFeature_IMAGE_FEATURE_TEXT); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the whole call to fail", err)
	}
}

// TestTextOfTwoAlphabets: the second reader is heard where it reads Cyrillic letters
// and no fewer.
func TestTextOfTwoAlphabets(t *testing.T) {
	files := textBundle(strings.Replace(textManifest, "}],", "}, {characters: read.other, scores: read.sure, characters_file: cyrillic.txt}],", 1))
	value := pipelinetest.Value
	files["cyrillic.txt"] = &fstest.MapFile{Data: []byte("Ж\nО\n")}
	files["read.onnx"] = &fstest.MapFile{Data: pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3, 8, -1)}, []bundle.Value{
		value("characters", tensor.Int64, -1, -1), value("scores", tensor.Float32, -1, -1), value("other", tensor.Int64, -1, -1), value("sure", tensor.Float32, -1, -1)})}
	for _, c := range []struct {
		other []int64
		sure  float32
		want  string
	}{
		{[]int64{1, 0, 2}, 0.95, "ЖО"},
		{[]int64{1, 0, 2}, 0.52, "ЖО"}, // more, if less surely
		{[]int64{1, 0, 0}, 0.88, "Ж"},
		{[]int64{1, 0, 0}, 0.82, "I"},
		{[]int64{2, 0, 2}, 0.99, "I"}, // as well two Latin letters
		{[]int64{0, 0, 0}, 0.99, "I"},
	} {
		m := pipelinetest.NewModel(t, files, reader(t).Compute)
		m.Crop = func(context.Context, string, []tensor.Tensor) ([]tensor.Tensor, error) {
			characters, _ := tensor.From([]int64{1, 0, 0}, 1, 3)
			scores, _ := tensor.From([]float32{0.95, 0.9, 0.9}, 1, 3)
			other, _ := tensor.From(c.other, 1, 3)
			sure, err := tensor.From([]float32{c.sure, c.sure, c.sure}, 1, 3)
			return []tensor.Tensor{characters, scores, other, sure}, err
		}
		results, errs := readText(t, m, signs(64, 64, sign{8, 20, 3, 0}))
		if errs[0] != nil || len(results[0].GetText()) != 1 || results[0].GetText()[0].GetText() != c.want {
			t.Errorf("%v with %g: %v, %v, want %s", c.other, c.sure, results[0].GetText(), errs[0], c.want)
		}
	}
}

// TestTextThatCannotBeServed wants the manifest's field named.
func TestTextThatCannotBeServed(t *testing.T) {
	for _, c := range []struct{ old, new, field string }{
		{"source: model.map", "source: read.scores", `heads["text"].source`},
		{"source: model.map", "source: model.flat", `heads["text"].source`},
		{"characters: read.characters", "characters: read.scores", `heads["text"].text_lines.readers[0].characters`},
		{"characters: read.characters", "characters: read.none", `heads["text"].text_lines.readers[0].characters`},
		{"scores: read.scores", "scores: model.map", `heads["text"].text_lines.readers[0].scores`},
		{"scores: read.scores", "scores: read.characters", `heads["text"].text_lines.readers[0].scores`},
		{"characters: read.characters", "characters: read.last", `heads["text"].text_lines.readers[0].characters`},
		{"scores: read.scores", "scores: read.best", `heads["text"].text_lines.readers[0].scores`},
		{"}],", "}, {characters: model.map, scores: read.scores, characters_file: letters.txt}],", `heads["text"].text_lines.readers[1].characters`},
		{"}],", "}, {characters: read.characters, scores: read.none, characters_file: letters.txt}],", `heads["text"].text_lines.readers[1].scores`},
		{"letters.txt", "none.txt", `heads["text"].text_lines.readers[0].characters_file`},
		{"letters.txt", "empty.txt", `heads["text"].text_lines.readers[0].characters_file`},
		{"letters.txt", "blank.txt", `heads["text"].text_lines.readers[0].characters_file`},
		{"letters.txt", "latin.txt", `heads["text"].text_lines.readers[0].characters_file`},
		{"letters.txt", "control.txt", `heads["text"].text_lines.readers[0].characters_file`},
		{"letters.txt", "novel.txt", `heads["text"].text_lines.readers[0].characters_file`},
		{"letters.txt", "line.txt", `heads["text"].text_lines.readers[0].characters_file`},
		{"letters.txt", "many.txt", `heads["text"].text_lines.readers[0].characters_file`},
		{"read.onnx", "narrow.onnx", "steps[1].crop.max_line_width"},
		{"max_line_width: 64", "max_line_width: 63", "steps[1].crop.max_line_width"},
		{"max_line_width: 64", "max_line_width: 64, square: true", "steps[1].crop.max_line_width"},
		{"max_line_width: 64", "max_line_width: 0", `heads["text"].text_lines.readers[0].characters`},
		{"resize: {width: 16, height: 8,", "resize: {mode: RESIZE_MODE_LETTERBOX, width: 16, height: 8,", "steps[1].crop.image"},
		{"height: 8,", "height: 9,", "steps[1].crop.image"},
		{"", "", ""},
		{"letters.txt", "windows.txt", ""},
	} {
		b, err := bundle.Open(textBundle(strings.Replace(textManifest, c.old, c.new, 1)))
		var at *bundle.FieldError
		switch {
		case c.field == "" && (err != nil || !slices.Equal(b.Alphabets[cmp.Or(c.new, "letters.txt")], []string{"I", " "})):
			t.Errorf("%q: %v", c.new, err)
		case c.field != "" && (!errors.As(err, &at) || at.Field != c.field):
			t.Errorf("%q: %v, want an error about %s", c.new, err, c.field)
		}
	}
}
