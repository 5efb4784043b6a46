package main

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

const exporters = "../../bundle/testdata/exporters/"

// pushHints makes a version of files without a manifest.
func (d *daemon) pushHints(model string, f files, hints *bundlev1.Hints) (*modelstorev1.Version, error) {
	id, err := d.upload(model, f)
	if err != nil {
		return nil, err
	}
	resp, err := d.store.CommitUpload(d.ctx(), &modelstorev1.CommitUploadRequest{UploadId: id, Hints: hints})
	return resp.GetVersion(), err
}

// Files as their exporters leave them are served, and answer what ONNX Runtime
// answered in Python where they were made.
func TestExporters(t *testing.T) {
	text, err := os.ReadFile(exporters + "answers.json")
	if err != nil {
		t.Fatal(err)
	}
	var made map[string]struct {
		Rows    [][]any
		Answers [][]float64
	}
	if err := json.Unmarshal(text, &made); err != nil {
		t.Fatal(err)
	}
	d := start(t)
	names := map[string][]string{"sklearn_columns": {"Monthly Charges ($)", "tenure", "Contract", "never read"}}
	hints := map[string]*bundlev1.Hints{
		"sklearn_columns": {Positive: "Retained", Columns: []*bundlev1.Column{{Name: "Monthly Charges ($)"}, {Name: "never read"}}},
	}
	for name, m := range made {
		f := files{}
		if name == "torch" {
			f = readFiles(t, exporters+name)
		} else if f["model.onnx"], err = os.ReadFile(exporters + name + ".onnx"); err != nil {
			t.Fatal(err)
		}
		v, err := d.pushHints(name, f, hints[name])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !slices.ContainsFunc(v.GetFiles(), func(f *modelstorev1.File) bool { return f.GetPath() == "bundle.yaml" }) || len(v.GetManifest().GetInferred()) == 0 {
			t.Errorf("%s: files %v, inferred %v", name, v.GetFiles(), v.GetManifest().GetInferred())
		}
		features := names[name]
		if features == nil {
			features = []string{"f0", "f1", "f2", "f3"}
		}
		req := &scoringv1.ScoreRequest{Model: name, Version: "1"}
		for _, row := range m.Rows {
			fields := map[string]*structpb.Value{}
			for i, value := range row {
				if features[i] == "never read" {
					continue
				}
				if fields[features[i]], err = structpb.NewValue(value); err != nil {
					t.Fatal(err)
				}
			}
			req.Instances = append(req.Instances, &scoringv1.Instance{Features: &structpb.Struct{Fields: fields}})
		}
		resp, err := d.scorer.Score(d.ctx(), req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, r := range resp.GetResults() {
			if r.GetError().GetCode() != 0 || len(r.GetWarnings()) > 0 {
				t.Errorf("%s: row %d: %v, warnings %v", name, i, r.GetError(), r.GetWarnings())
			}
			want := m.Answers[i]
			for _, h := range r.GetHeads() {
				var got []float64
				switch {
				case h.GetProbability() != nil:
					got, want = []float64{h.GetProbability().GetProbability()}, want[len(want)-1:]
				case h.GetValue() != nil:
					got = []float64{h.GetValue().GetValue()}
				case h.GetClasses() != nil:
					classes := slices.SortedFunc(slices.Values(h.GetClasses().GetClasses()), func(a, b *scoringv1.ClassProbability) int { return strings.Compare(a.GetName(), b.GetName()) })
					for _, c := range classes {
						got = append(got, c.GetProbability())
					}
				}
				if !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }) {
					t.Errorf("%s: row %d: %v, want %v", name, i, got, want)
				}
			}
			if len(r.GetHeads()) != 1 {
				t.Errorf("%s: heads %v", name, r.GetHeads())
			}
		}
	}

	lightgbm, err := os.ReadFile(exporters + "lightgbm_names.onnx")
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.pushHints("refused", files{"model.onnx": lightgbm}, &bundlev1.Hints{Positive: "Left"})
	wantError(t, err, codes.InvalidArgument, "BUNDLE_INVALID", "hints.positive")
	_, err = d.pushHints("refused", files{"model.onnx": lightgbm}, &bundlev1.Hints{Columns: []*bundlev1.Column{{Name: "a"}}})
	wantError(t, err, codes.InvalidArgument, "BUNDLE_INVALID", "hints.columns")
}
