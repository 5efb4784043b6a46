package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"google.golang.org/protobuf/proto"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// exported is a directory with one file of an exporter.
func exported(t *testing.T, name string) fs.FS {
	t.Helper()
	content, err := os.ReadFile("testdata/exporters/" + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{"model.onnx": {Data: content, Mode: 0o444}}
}

func prepare(t *testing.T, dir fs.FS, hints *bundlev1.Hints) *Prepared {
	t.Helper()
	p, err := Prepare(dir, hints)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func columnsOf4(names ...string) []*bundlev1.Column {
	var columns []*bundlev1.Column
	for _, name := range names {
		columns = append(columns, &bundlev1.Column{Name: name})
	}
	return columns
}

// What real exporters write becomes rows with the right head.
func TestPrepareExporters(t *testing.T) {
	four := []string{"f0", "f1", "f2", "f3"}
	for _, c := range []struct {
		file     string
		hints    *bundlev1.Hints
		features []string
		matrix   string
		head     string
		kind     any
		source   string
		column   int32
		event    string
		classes  []string
		changes  int
	}{
		{file: "lightgbm", features: four, matrix: "float_input", head: "probability", kind: &bundlev1.Head_Probability{}, source: "model.probabilities", column: 1, changes: 2},
		{file: "lightgbm_names", features: four, matrix: "float_input", head: "classes", kind: &bundlev1.Head_Classes{}, source: "model.probabilities", classes: []string{"Churned", "Retained"}, changes: 2},
		{file: "lightgbm_names", hints: &bundlev1.Hints{Positive: "Churned"}, features: four, matrix: "float_input", head: "probability", kind: &bundlev1.Head_Probability{}, source: "model.probabilities", event: "Churned", changes: 2},
		{file: "lightgbm_names", hints: &bundlev1.Hints{Positive: "Retained", Target: &bundlev1.Column{Name: "Stays?"}}, features: four, matrix: "float_input", head: "stays", kind: &bundlev1.Head_Probability{}, source: "model.probabilities", column: 1, event: "Stays?", changes: 2},
		{file: "xgboost_classes", hints: &bundlev1.Hints{Columns: columnsOf4("a", "b", "c", "d")}, features: []string{"a", "b", "c", "d"}, matrix: "float_input", head: "classes", kind: &bundlev1.Head_Classes{}, source: "model.probabilities", classes: []string{"0", "1", "2"}},
		{file: "xgboost_value", features: four, matrix: "float_input", head: "value", kind: &bundlev1.Head_Value{}, source: "model.variable"},
		{file: "sklearn", features: four, matrix: "X", head: "probability", kind: &bundlev1.Head_Probability{}, source: "model.output_probability", column: 1, changes: 1},
		{file: "sklearn_columns", features: []string{"Monthly_Charges____", "tenure", "Contract", "never_read"}, head: "classes", kind: &bundlev1.Head_Classes{}, source: "model.output_probability", classes: []string{"Churned", "Retained"}, changes: 1},
		{file: "catboost", features: four, matrix: "features", head: "probability", kind: &bundlev1.Head_Probability{}, source: "model.probabilities", column: 1, changes: 1},
	} {
		dir := exported(t, c.file)
		p := prepare(t, dir, c.hints)
		row, h := p.Manifest.GetRow(), p.Manifest.GetHeads()[c.head]
		var features []string
		for _, f := range row.GetFeatures() {
			features = append(features, f.GetName())
		}
		if !slices.Equal(features, c.features) || row.GetMatrixInput() != c.matrix {
			t.Errorf("%s: features %q, matrix %q", c.file, features, row.GetMatrixInput())
		}
		if h.GetSource() != c.source || h.GetProbability().GetColumn() != c.column || h.GetProbability().GetEvent() != c.event || !slices.Equal(h.GetClasses().GetNames(), c.classes) {
			t.Errorf("%s: heads %v", c.file, p.Manifest.GetHeads())
		}
		if len(p.Manifest.GetInferred()) < 3 {
			t.Errorf("%s: inferred %v", c.file, p.Manifest.GetInferred())
		}
		if !slices.Equal(p.Uploads(), []string{"model.onnx"}) {
			t.Errorf("%s: to be sent are %q", c.file, p.Uploads())
		}

		// What is kept is a bundle by itself, of which nothing is to be changed.
		kept := fstest.MapFS{}
		for _, name := range p.Files() {
			content, err := fs.ReadFile(p.FS, name)
			if err != nil {
				t.Fatal(err)
			}
			info, err := fs.Stat(p.FS, name)
			if err != nil || info.Size() != int64(len(content)) {
				t.Errorf("%s: %s has %d bytes, Stat says %v, %v", c.file, name, len(content), info, err)
			}
			kept[name] = &fstest.MapFile{Data: content, Mode: 0o444}
		}
		again := prepare(t, kept, nil)
		if len(again.Changed) > 0 || !proto.Equal(again.Manifest, p.Manifest) {
			t.Errorf("%s: kept and pushed again, changed %q:\n%v\n%v", c.file, again.Changed, again.Manifest, p.Manifest)
		}
		opened, err := Open(kept)
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		for _, v := range opened.Graphs["model"].Outputs {
			if v.Kind != "tensor" || v.Shape[0] != -1 {
				t.Errorf("%s: the output %q is a %s %v", c.file, v.Name, v.Kind, v.Shape)
			}
		}

		origin := p.Manifest.GetGraphs()["model"].GetOrigin()
		if len(origin.GetChanges()) != c.changes {
			t.Errorf("%s: changes %q", c.file, origin.GetChanges())
		}
		if c.changes > 0 && (origin.GetPushedSha256() != sha(t, dir) || origin.GetKeptSha256() != sha(t, kept) || sha(t, dir) == sha(t, kept)) {
			t.Errorf("%s: origin %v", c.file, origin)
		}
	}
}

func sha(t *testing.T, dir fs.FS) string {
	t.Helper()
	content, err := fs.ReadFile(dir, "model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// PyTorch writes two files, and says nothing of what they mean but for a sigmoid.
func TestPrepareTorch(t *testing.T) {
	dir := os.DirFS("testdata/exporters/torch")
	p := prepare(t, dir, &bundlev1.Hints{Target: &bundlev1.Column{Name: "churn", Categories: []string{"no", "yes"}}})
	if !slices.Equal(p.Uploads(), []string{"model.onnx", "model.onnx.data"}) {
		t.Errorf("to be sent are %q", p.Uploads())
	}
	h := p.Manifest.GetHeads()["churn"]
	if p.Manifest.GetRow().GetMatrixInput() == "" || h.GetProbability().GetEvent() != "churn" || h.GetProbability().GetCalibration() != nil {
		t.Errorf("manifest %v", p.Manifest)
	}
	if _, err := Prepare(dir, &bundlev1.Hints{Positive: "no", Target: &bundlev1.Column{Name: "churn", Categories: []string{"no", "yes"}}}); err == nil {
		t.Error("the sigmoid was taken for the first class")
	}

	// A number without a sigmoid is what the target says.
	plain := fstest.MapFS{"m.onnx": {Data: model(message{}.bytes(1, nodeOf("Gemm").str(1, "x").str(2, "y")).
		bytes(11, value("x", 1, -1, 3)).bytes(12, value("y", 1, -1, 1)))}}
	if p := prepare(t, plain, nil); len(p.Manifest.GetHeads()) > 0 {
		t.Errorf("without a target: %v", p.Manifest.GetHeads())
	}
	p = prepare(t, plain, &bundlev1.Hints{Target: &bundlev1.Column{Name: "churn", Categories: []string{"0", "1"}}})
	if l := p.Manifest.GetHeads()["churn"].GetProbability().GetCalibration().GetLogistic(); l.GetSlope() != 1 || l.GetIntercept() != 0 {
		t.Errorf("a target of two values: %v", p.Manifest.GetHeads())
	}
	p = prepare(t, plain, &bundlev1.Hints{Target: &bundlev1.Column{Name: "spend", Quantiles: []float64{0, 5, 9}}})
	if v := p.Manifest.GetHeads()["spend"].GetValue(); len(v.GetQuantiles()) != 3 {
		t.Errorf("a target of numbers: %v", p.Manifest.GetHeads())
	}
}

// Names, types, ranges and categories come from the training data.
func TestPrepareColumns(t *testing.T) {
	low, high := 1.5, 99.5
	p := prepare(t, exported(t, "sklearn_columns"), &bundlev1.Hints{Source: "train.csv", Columns: []*bundlev1.Column{
		{Name: "Contract", Type: bundlev1.FeatureType_FEATURE_TYPE_STRING, Categories: []string{"One year", "Two year"}},
		{Name: "Monthly Charges ($)", Min: &low, Max: &high},
		{Name: "region"},
	}})
	features := p.Manifest.GetRow().GetFeatures()
	charges, contract, unread := features[0], features[2], features[3]
	if charges.GetName() != "Monthly Charges ($)" || charges.GetInput() != "Monthly_Charges____" || !slices.Equal(charges.GetAliases(), []string{"Monthly_Charges____"}) ||
		charges.GetMin() != low || charges.GetMax() != high {
		t.Errorf("a renamed column: %v", charges)
	}
	if !slices.Equal(contract.GetCategories(), []string{"One year", "Two year"}) || unread.GetDescription() == "" {
		t.Errorf("columns %v, %v", contract, unread)
	}
	if v, _ := p.Graphs["model"].Input("never_read"); !v.Unread {
		t.Error("never_read is read")
	}
	if v, _ := p.Graphs["model"].Input("tenure"); v.Unread {
		t.Error("tenure is not read")
	}
	var said strings.Builder
	for _, i := range p.Manifest.GetInferred() {
		said.WriteString(i.GetWhy() + "\n")
	}
	for _, want := range []string{`other names for "Monthly Charges ($)"`, `no column of train.csv is called as "tenure"`, `no input takes "region" of train.csv`, `no node reads "never_read"`} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it is not said: %s\n%s", want, said.String())
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	columns := &bundlev1.Hints{Columns: columnsOf4("a", "b", "c")}
	for name, c := range map[string]struct {
		dir   fs.FS
		hints *bundlev1.Hints
		want  string
	}{
		"too few columns": {exported(t, "lightgbm"), columns, "3 columns, but the matrix \"float_input\" of the graph has 4"},
		"texts in a matrix": {exported(t, "lightgbm"), &bundlev1.Hints{Columns: append(columnsOf4("a", "b", "c"),
			&bundlev1.Column{Name: "plan", Type: bundlev1.FeatureType_FEATURE_TYPE_STRING, Categories: []string{"gold"}})}, `the column "plan" holds texts, such as "gold"`},
		"no such class":        {exported(t, "lightgbm_names"), &bundlev1.Hints{Positive: "churned"}, `"churned" is none of the classes, which are "Churned" and "Retained"`},
		"an event of a number": {exported(t, "xgboost_value"), &bundlev1.Hints{Positive: "1"}, "gives no probabilities of classes"},
		"names twice":          {exported(t, "lightgbm"), &bundlev1.Hints{Columns: columnsOf4("a", "b", "a", "c")}, `the name "a" is taken`},
		"a manifest": {fstest.MapFS{"model.onnx": exported(t, "lightgbm").(fstest.MapFS)["model.onnx"],
			ManifestFile: {Data: []byte("graphs: {model: {file: model.onnx}}\n")}}, columns, "there is a bundle.yaml"},
	} {
		if _, err := Prepare(c.dir, c.hints); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Which of two classes is the event is asked for where nothing tells it.
func TestUndecided(t *testing.T) {
	classes, named := prepare(t, exported(t, "lightgbm_names"), nil).Undecided()
	if !slices.Equal(classes, []string{"Churned", "Retained"}) || !named {
		t.Errorf("Churned and Retained: %q, %v", classes, named)
	}
	for _, file := range []string{"lightgbm", "xgboost_classes", "xgboost_value"} {
		if classes, _ := prepare(t, exported(t, file), nil).Undecided(); classes != nil {
			t.Errorf("%s: %q", file, classes)
		}
	}
	nameless := fstest.MapFS{"m.onnx": {Data: model(message{}.bytes(1, nodeOf("Softmax").str(1, "x").str(2, "probabilities")).
		bytes(11, value("x", 1, -1, 3)).bytes(12, value("probabilities", 1, -1, 2)))}}
	if classes, named := prepare(t, nameless, nil).Undecided(); !slices.Equal(classes, []string{"0", "1"}) || named {
		t.Errorf("classes without names: %q, %v", classes, named)
	}
	if h := prepare(t, nameless, &bundlev1.Hints{Positive: "0"}).Manifest.GetHeads()["probability"]; h == nil || h.GetProbability().GetColumn() != 0 {
		t.Errorf("the first column is the event: %v", h)
	}
}

// A manifest that somebody wrote keeps its text; the graph is changed all the
// same.
func TestPrepareWritten(t *testing.T) {
	const text = `# mine
graphs:
  model:
    file: model.onnx # as exported
heads:
  p:
    source: model.probabilities
    probability: {column: 1}
`
	dir := fstest.MapFS{"model.onnx": exported(t, "lightgbm").(fstest.MapFS)["model.onnx"], ManifestFile: {Data: []byte(text), Mode: 0o444}}
	p := prepare(t, dir, nil)
	if !slices.Equal(p.Changed, []string{ManifestFile, "model.onnx"}) {
		t.Errorf("changed %q", p.Changed)
	}
	kept, err := fs.ReadFile(p.FS, ManifestFile)
	if err != nil || !bytes.Contains(kept, []byte("# mine")) || !bytes.Contains(kept, []byte("# as exported")) {
		t.Errorf("%v\n%s", err, kept)
	}
	if origin := p.Manifest.GetGraphs()["model"].GetOrigin(); origin.GetPushedSha256() != sha(t, dir) || origin.GetKeptSha256() != sha(t, p.FS) {
		t.Errorf("origin %v", origin)
	}
}

// Declared shapes are corrected where they cannot be true, and left where they
// may be.
func TestTrueShape(t *testing.T) {
	ml := func(op string, out ...string) message {
		n := message{}.str(1, "x")
		for _, name := range out {
			n = n.str(2, name)
		}
		return n.str(4, op).str(7, mlDomain).bytes(5, message{}.str(1, "classlabels_int64s").num(8, 0).num(8, 1))
	}
	for name, c := range map[string]struct {
		graph message
		want  tensor.Shape
	}{
		"one row, one column too few": {message{}.bytes(1, ml("LinearClassifier", "label", "p")).bytes(11, value("x", 1, -1, 3)).bytes(12, value("p", 1, 1, 1)), tensor.Shape{-1, 2}},
		"[1,2]":                       {message{}.bytes(1, ml("LinearClassifier", "label", "p")).bytes(11, value("x", 1, -1, 3)).bytes(12, value("p", 1, 1, 2)), tensor.Shape{-1, 2}},
		"one row is all it takes":     {message{}.bytes(1, ml("LinearClassifier", "label", "p")).bytes(11, value("x", 1, 1, 3)).bytes(12, value("p", 1, 1, 2)), nil},
		"a network":                   {message{}.bytes(1, nodeOf("ReduceMean").str(1, "x").str(2, "p")).bytes(11, value("x", 1, -1, 3)).bytes(12, value("p", 1, 1, 2)), nil},
		"true":                        {message{}.bytes(1, ml("LinearClassifier", "label", "p")).bytes(11, value("x", 1, -1, 3)).bytes(12, value("p", 1, -1, 2)), nil},
	} {
		g, err := ReadGraph(bytes.NewReader(model(c.graph)))
		if err != nil {
			t.Fatal(err)
		}
		if got := trueShape(g, g.Outputs[0]); !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Edits stand at any place, read in pieces of any size.
func TestSplice(t *testing.T) {
	const was, want = "0123456789", "ab12-5678!9end"
	edits := []edit{{span{0, 1}, []byte("ab")}, {span{3, 5}, []byte("-")}, {span{9, 9}, []byte("!")}, {span{10, 10}, []byte("end")}}
	for _, in := range []io.Reader{strings.NewReader(was), iotest.OneByteReader(strings.NewReader(was)), iotest.DataErrReader(strings.NewReader(was))} {
		got, err := io.ReadAll(iotest.HalfReader(&splice{in: in, edits: slices.Clone(edits)}))
		if string(got) != want || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if _, err := io.ReadAll(&splice{in: strings.NewReader("01"), edits: edits}); err == nil {
		t.Error("a file that became shorter was read without an error")
	}
}

// FuzzMend changes whatever reads as a graph; the result must read as one, with
// the same weights, and need no change.
func FuzzMend(f *testing.F) {
	for _, name := range []string{"lightgbm", "sklearn_columns", "catboost", "xgboost_classes"} {
		content, err := os.ReadFile("testdata/exporters/" + name + ".onnx")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		g, err := ReadGraph(bytes.NewReader(content))
		if err != nil {
			return
		}
		m, err := mend(g)
		if err != nil || len(m.edits) == 0 {
			return
		}
		over := &overlay{FS: fstest.MapFS{"m": {Data: content, Mode: 0o444}}, edited: map[string][]edit{"m": m.edits}}
		mended, err := fs.ReadFile(over, "m")
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadGraph(bytes.NewReader(mended))
		if err != nil {
			t.Fatalf("what was mended does not read: %v", err)
		}
		if again.WeightBytes != g.WeightBytes || len(again.Outputs) != len(g.Outputs) {
			t.Error("more was changed than was to be")
		}
		if rest, err := mend(again); err != nil || len(rest.edits) > 0 {
			t.Errorf("it is to be mended again: %v, %v", rest.changes, err)
		}
	})
}
