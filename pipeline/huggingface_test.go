package pipeline_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// huggingFace are folders that bundle/testdata/hf/make.py wrote: the committed
// one and, in make hf-test, a larger one.
func huggingFace() []string {
	return slices.DeleteFunc([]string{"../bundle/testdata/hf", os.Getenv("SCRY_HF")}, func(dir string) bool { return dir == "" })
}

// Pictures become what the image processors of transformers make of them, to 3
// of 255.
func TestHuggingFacePixels(t *testing.T) {
	graph := pipelinetest.Graph([]bundle.Value{value("pixel_values", tensor.Float32, -1, 3, -1, -1)}, []bundle.Value{value("logits", tensor.Float32, -1, 2)})
	for _, dir := range huggingFace() {
		text, err := os.ReadFile(filepath.Join(dir, "pixels.json"))
		if err != nil {
			t.Fatal(err)
		}
		var processors map[string]struct {
			Config     json.RawMessage
			Preprocess string // instead of a config
			Tensors    map[string]struct {
				Shape   []int64
				Float16 string
			}
		}
		if err := json.Unmarshal(text, &processors); err != nil {
			t.Fatal(err)
		}
		if len(processors) < 20 {
			t.Errorf("%s has %d processors", dir, len(processors))
		}
		for name, p := range processors {
			files := fstest.MapFS{"model.onnx": {Data: graph}, "config.json": {Data: []byte("{}")}}
			if p.Preprocess == "" {
				files["preprocessor_config.json"] = &fstest.MapFile{Data: p.Config}
			}
			prepared, err := bundle.Prepare(files, &bundlev1.Hints{Preprocess: p.Preprocess})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			pipe, err := pipeline.New(prepared.Bundle, pipeline.Limits{})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			m := prepared.Manifest.GetImage()
			for file, want := range p.Tensors {
				picture, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				got, err := pipe.Image(t.Context(), picture)
				if err != nil {
					t.Errorf("%s: %s: %v", name, file, err)
					continue
				}
				in := got.Item.Inputs[0]
				if !in.Shape.Equal(append(tensor.Shape{1}, want.Shape...)) {
					t.Errorf("%s: %s has the shape %v, want %v", name, file, in.Shape, want.Shape)
					continue
				}
				raw, err := base64.StdEncoding.DecodeString(want.Float16)
				if err != nil {
					t.Fatal(err)
				}
				scale, plane := m.GetScale(), int(want.Shape[1]*want.Shape[2])
				if scale == 0 {
					scale = 1
				}
				worst := 0.0 // in steps of 255
				for i, x := range tensor.View[float32](in) {
					std := 1.0
					if s := m.GetStd(); len(s) > 0 {
						std = s[min(i/plane, len(s)-1)]
					}
					y := tensor.Float16ToFloat32(binary.LittleEndian.Uint16(raw[2*i:]))
					worst = max(worst, math.Abs(float64(x)-float64(y))*std/scale)
				}
				if worst > 3 {
					t.Errorf("%s: %s is off by %.3g of 255", name, file, worst)
				}
				t.Logf("%s: %s is off by %.3g of 255", name, file, worst)
			}
		}
	}
}
