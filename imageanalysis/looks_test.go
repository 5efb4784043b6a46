package imageanalysis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scry-ml/scry/imageanalysis"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pixel"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// flat is a picture of stripes, as many pixels wide as is said.
func flat(stripes ...any) *pixel.RGB {
	const h = 40
	w := 0
	for i := 1; i < len(stripes); i += 2 {
		w += stripes[i].(int)
	}
	img := pixel.NewRGB(w, h)
	x := 0
	for i := 0; i < len(stripes); i += 2 {
		rgb := stripes[i].(int)
		for range stripes[i+1].(int) {
			for y := range h {
				p := img.Pix[3*(y*w+x):]
				p[0], p[1], p[2] = byte(rgb>>16), byte(rgb>>8), byte(rgb)
			}
			x++
		}
	}
	return img
}

// encoded is a picture as a PNG.
func encoded(id string, img *pixel.RGB) *imageanalysisv1.ImageItem {
	out := image.NewRGBA(image.Rect(0, 0, img.W, img.H))
	for i := range img.W * img.H {
		copy(out.Pix[4*i:], img.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	var b bytes.Buffer
	if err := png.Encode(&b, out); err != nil {
		panic(err)
	}
	return &imageanalysisv1.ImageItem{Id: id, Content: b.Bytes()}
}

func showColors(list []*imageanalysisv1.Color) string {
	var out strings.Builder
	for _, c := range list {
		out.WriteString(fmt.Sprintf("%s %s %s %.2f; ", c.GetHex(), c.GetNameEn(), c.GetNameRu(), c.GetFraction()))
	}
	return out.String()
}

func TestColors(t *testing.T) {
	for name, c := range map[string]struct {
		img  *pixel.RGB
		most int
		want string
	}{
		"one":           {flat(0xFF0000, 10), 0, "#FF0000 red красный 1.00; "},
		"one pixel":     {&pixel.RGB{W: 1, H: 1, Pix: []byte{0, 0, 128}}, 0, "#000080 navy тёмно-синий 1.00; "},
		"a flag":        {flat(0x0055A4, 30, 0xFFFFFF, 30, 0xEF4135, 40), 0, "#EF4135 red красный 0.40; #0055A4 sapphire сапфировый 0.30; #FFFFFF white белый 0.30; "},
		"the first two": {flat(0x0055A4, 30, 0xFFFFFF, 30, 0xEF4135, 40), 2, "#EF4135 red красный 0.40; #0055A4 sapphire сапфировый 0.30; "},
		"alike are one": {flat(0x808080, 50, 0x848484, 50), 0, "#828282 gray серый 1.00; "},
		"wide":          {flat(0x008000, 3000, 0xFFFF00, 1000), 0, "#008000 green зелёный 0.75; #FFFF00 yellow жёлтый 0.25; "},
	} {
		if got := showColors(imageanalysis.Colors(c.img, c.most)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	// What is transparent is not seen, what is half so counts half.
	img := flat(0xFF0000, 20, 0x00FF00, 10, 0x0000FF, 10)
	img.A = make([]byte, 40*40)
	for i := range img.A {
		switch x := i % 40; {
		case x >= 30:
			img.A[i] = 128
		case x >= 20:
			img.A[i] = 255
		}
	}
	if got, want := showColors(imageanalysis.Colors(img, 0)), "#00FF00 bright green ярко-зелёный 0.67; #0000FF blue синий 0.33; "; got != want {
		t.Errorf("transparent: %s, want %s", got, want)
	}
	clear(img.A)
	if got := imageanalysis.Colors(img, 0); len(got) != 0 {
		t.Errorf("all transparent: %v", got)
	}
}

// A photograph has the same colours at every call, of which more contain fewer,
// and whose shares are at most the whole.
func TestColorsOfPhotographs(t *testing.T) {
	for _, name := range []string{"astronaut.png", "cat.png", "coffee.png"} {
		data, err := os.ReadFile(filepath.Join("..", "models", "products", "goldens", name))
		if err != nil {
			t.Fatal(err)
		}
		img, _, err := pixel.Decode(t.Context(), data, pixel.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		all := imageanalysis.Colors(img, 16)
		sum, last := 0.0, 1.0
		for _, c := range all {
			if sum += c.GetFraction(); c.GetFraction() > last || c.GetNameEn() == "" || c.GetNameRu() == "" {
				t.Errorf("%s: %v", name, all)
			}
			last = c.GetFraction()
		}
		if len(all) < 3 || math.Abs(sum-1) > 1e-9 {
			t.Errorf("%s: %d colours, %v together", name, len(all), sum)
		}
		if got := imageanalysis.Colors(img, 3); showColors(got) != showColors(all[:3]) {
			t.Errorf("%s: %s, want %s", name, showColors(got), showColors(all[:3]))
		}
	}
}

// Quality equals what NumPy makes of Pillow's pixels (scripts/pixel/make_looks.py).
func TestQualityEqualsReference(t *testing.T) {
	dir := filepath.Join("..", "pixel", "testdata")
	var list []struct {
		Name    string
		Quality *struct{ Sharpness, Brightness, Contrast, Underexposed, Overexposed, Megapixels float64 }
	}
	raw, err := os.ReadFile(filepath.Join(dir, "looks.json"))
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, c := range list {
		if c.Quality == nil {
			continue
		}
		compared++
		data, err := os.ReadFile(filepath.Join(dir, "pictures", c.Name))
		if err != nil {
			t.Fatal(err)
		}
		img, _, err := pixel.Decode(t.Context(), data, pixel.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got, want := imageanalysis.MeasureQuality(img), c.Quality
		for what, pair := range map[string][2]float64{
			"sharpness": {got.GetSharpness(), want.Sharpness}, "brightness": {got.GetBrightness(), want.Brightness},
			"contrast": {got.GetContrast(), want.Contrast}, "underexposed": {got.GetUnderexposed(), want.Underexposed},
			"overexposed": {got.GetOverexposed(), want.Overexposed}, "megapixels": {got.GetMegapixels(), want.Megapixels},
		} {
			if math.Abs(pair[0]-pair[1]) > 1e-9*max(1, math.Abs(pair[1])) {
				t.Errorf("%s: %s is %v, want %v", c.Name, what, pair[0], pair[1])
			}
		}
	}
	if compared < 50 {
		t.Errorf("%d pictures", compared)
	}
}

// TestLooksNeedNoModel: without parts nothing runs, and each picture has its own
// error.
func TestLooksNeedNoModel(t *testing.T) {
	var b bytes.Buffer
	img := image.NewNRGBA(image.Rect(0, 0, 4, 4))
	for i := range 16 {
		img.Set(i%4, i/4, color.NRGBA{B: 255, A: byte(255 * (i % 2))})
	}
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	images := []*imageanalysisv1.ImageItem{{Id: "a", Content: b.Bytes()}, {Id: "b", Content: []byte("GIF89a")}, {Id: "c"}}
	req := imageanalysis.Request{
		Images: images, Features: []imageanalysisv1.ImageFeature{colors}, Limits: pipeline.Limits{Decoding: pipeline.NewDecoding(1 << 20)},
	}
	results, errs := imageanalysis.NewResults(images, 0), make([]error, 3)
	if err := imageanalysis.Analyze(t.Context(), req, results, errs); err != nil {
		t.Fatal(err)
	}
	r := results[0]
	if errs[0] != nil || showColors(r.GetColors()) != "#0000FF blue синий 1.00; " || r.GetQuality() != nil || r.GetInfo().GetWidth() != 4 || len(r.GetPredictionId()) != 36 || r.GetServedBy() != nil {
		t.Errorf("%v %v", errs[0], r)
	}
	for i, want := range []string{1: "IMAGE_TRUNCATED", 2: "IMAGE_EMPTY"} {
		if want == "" {
			continue
		}
		if in, ok := errors.AsType[*pipeline.InputError](errs[i]); !ok || in.Reason != want {
			t.Errorf("picture %d: %v, want %s", i, errs[i], want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := imageanalysis.Analyze(ctx, req, results, make([]error, 3)); err == nil {
		t.Error("a cancelled call is answered")
	}
}

func BenchmarkLooks(b *testing.B) {
	data, err := os.ReadFile(filepath.Join("..", "models", "products", "goldens", "astronaut.png"))
	if err != nil {
		b.Fatal(err)
	}
	img, _, err := pixel.Decode(b.Context(), data, pixel.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("colors", func(b *testing.B) {
		for b.Loop() {
			imageanalysis.Colors(img, 0)
		}
	})
	b.Run("quality", func(b *testing.B) {
		for b.Loop() {
			imageanalysis.MeasureQuality(img)
		}
	})
}
