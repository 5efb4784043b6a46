package bundle

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// rowGraph takes age (float), plan (string) and gives p[N,2], why[N,2].
func rowGraph() []byte {
	return model(message{}.bytes(1, nodeOf("X")).
		bytes(11, value("age", 1, -1, 1)).bytes(11, value("plan", 8, -1, 1)).
		bytes(12, value("p", 1, -1, 2)).bytes(12, value("why", 1, -1, 2)))
}

const rowManifest = `description: test
graphs:
  model: {file: m.onnx}
heads:
  churn:
    source: model.p
    probability:
      column: 1
      quantiles: [0, 0.5, 1]
      bands: [{name: low, min_probability: 0}, {name: high, min_probability: 0.5}]
      reasons: {contributions: model.why, codes: [{feature: age, code: AGE}]}
row:
  features:
    - {name: age, type: FEATURE_TYPE_FLOAT}
    - {name: plan, type: FEATURE_TYPE_STRING, categories: [a, b]}
`

func dir(manifest string, files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{"m.onnx": {Data: rowGraph()}}
	if manifest != "" {
		fsys[ManifestFile] = &fstest.MapFile{Data: []byte(manifest)}
	}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestOpen(t *testing.T) {
	b, err := Open(dir(rowManifest, map[string]string{"README.md": "card", "notes.txt": "private"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.Files(), " "); got != "README.md bundle.yaml m.onnx" {
		t.Errorf("files: %s", got)
	}
	if in := b.Inputs(); len(in) != 2 || in[0].Name != "age" || in[1].Name != "plan" {
		t.Errorf("inputs: %+v", in)
	}
}

// TestOpenRefuses changes one thing at a time and wants the field to be named.
func TestOpenRefuses(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(rowManifest, old) {
			t.Fatalf("the manifest has no %q", old)
		}
		return strings.Replace(rowManifest, old, new, 1)
	}
	for name, c := range map[string]struct{ manifest, field string }{
		"unknown field":     {"colour: red\n" + rowManifest, "bundle.yaml:1"},
		"not yaml":          {"{", "bundle.yaml"},
		"no graph":          {replace("graphs:\n  model: {file: m.onnx}\n", ""), "graphs"},
		"missing file":      {replace("m.onnx", "n.onnx"), `graphs["model"].file`},
		"parent path":       {replace("m.onnx", "../m.onnx"), `graphs["model"].file`},
		"absolute path":     {replace("m.onnx", "/m.onnx"), `graphs["model"].file`},
		"no such output":    {replace("model.p\n", "model.q\n"), `heads["churn"].source`},
		"no such graph":     {replace("model.p\n", "other.p\n"), `heads["churn"].source`},
		"column beyond":     {replace("column: 1", "column: 2"), `heads["churn"].probability.column`},
		"quantiles descend": {replace("[0, 0.5, 1]", "[0, 1, 0.5]"), `quantiles[2]`},
		"bands gap":         {replace("min_probability: 0}", "min_probability: 0.1}"), `bands[0]`},
		"reason of nothing": {replace("{feature: age", "{feature: agee"), `codes[0].feature`},
		"unfed input":       {replace("    - {name: plan, type: FEATURE_TYPE_STRING, categories: [a, b]}\n", ""), `"plan"`},
		"no such input":     {replace("name: plan", "name: plam"), `row.features[1].input`},
		"wrong type":        {replace("FEATURE_TYPE_STRING", "FEATURE_TYPE_FLOAT"), `row.features[1].type`},
		"name twice":        {replace("name: plan", "name: age"), `row.features[1]`},
		"golden gone":       {rowManifest + "goldens: {file: g.jsonl, tolerances: [{precision: PRECISION_FP32}]}\n", "goldens.file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(dir(c.manifest, nil))
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error %v, want ErrInvalid", err)
			}
			if !strings.Contains(err.Error(), c.field) {
				t.Errorf("%q does not name %s", err, c.field)
			}
		})
	}
}

// TestOpenWithoutGraphs admits what has nothing to compute, and no more.
func TestOpenWithoutGraphs(t *testing.T) {
	sendTimes := "catalogue: {send_times: {prior_strength: 5, rates: [" + strings.Repeat("0.1,", 167) + "0.1]}}\n"
	b, err := Open(fstest.MapFS{ManifestFile: {Data: []byte(sendTimes)}})
	if err != nil || len(b.Steps) != 0 || strings.Join(b.Files(), " ") != ManifestFile {
		t.Fatal(err, b.Files())
	}
	for name, c := range map[string]struct{ manifest, want string }{
		"a head":       {sendTimes + "heads: {p: {source: model.p, probability: {}}}\n", "graphs"},
		"a step":       {sendTimes + "steps: [{graph: model}]\n", "graphs"},
		"a row":        {sendTimes + "row: {features: [{name: age, type: FEATURE_TYPE_FLOAT}]}\n", "graphs"},
		"goldens":      {sendTimes + "goldens: {file: g.jsonl, tolerances: [{precision: PRECISION_FP32}]}\n", "graphs"},
		"nothing":      {"description: empty\n", "graphs"},
		"a short week": {strings.Replace(sendTimes, "0.1,", "", 1), "catalogue.send_times.rates"},
		"no rate":      {strings.Replace(sendTimes, "0.1,", "1.1,", 1), "catalogue.send_times.rates[0]"},
		"no strength":  {strings.Replace(sendTimes, "prior_strength: 5, ", "", 1), "catalogue.send_times.prior_strength"},
		"no kernel":    {strings.Replace(sendTimes, "prior", "bandwidth: 0s, prior", 1), "catalogue.send_times.bandwidth"},
	} {
		if _, err := Open(fstest.MapFS{ManifestFile: {Data: []byte(c.manifest)}}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not name %s", name, err, c.want)
		}
	}
}

const actionManifest = rowManifest + `catalogue:
  actions:
  - {name: call, head: churn, value: 10, cost: 1, eligibility: 'age >= 18 AND plan = "a"', starts: '2026-01-01T00:00:00Z', expires: '2026-02-01T00:00:00+03:00'}
  - {name: mail, constant: 0.1, value: 5, creatives: [{name: red}, {name: blue, prior: {alpha: 2, beta: 8}}]}
`

func TestActions(t *testing.T) {
	b, err := Open(dir(actionManifest, nil))
	if err != nil {
		t.Fatal(err)
	}
	call := b.Actions[0]
	if call.Head != "churn" || call.Of != "" || call.GetValue() != 10 || !call.Expires.Equal(time.Date(2026, 1, 31, 21, 0, 0, 0, time.UTC)) || call.Eligible == nil {
		t.Errorf("%+v", call)
	}
	if mail := b.Actions[1]; mail.Head != "" || !mail.Starts.IsZero() || mail.Eligible != nil {
		t.Errorf("%+v", mail)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"name twice":         {"name: mail", "name: call", "catalogue.actions[1].name"},
		"no probability":     {"constant: 0.1, ", "", "catalogue.actions[1].probability"},
		"constant beyond 1":  {"constant: 0.1", "constant: 1.1", "catalogue.actions[1].constant"},
		"unknown head":       {"head: churn", "head: chrn", "catalogue.actions[0].head"},
		"no classes head":    {"head: churn", "class: churn.a", "catalogue.actions[0].class"},
		"no uplift head":     {"head: churn", "treatment: churn.call", "catalogue.actions[0].treatment"},
		"unknown feature":    {"age >= 18", "agee >= 18", "catalogue.actions[0].eligibility: line 1, column 1"},
		"wrong type":         {"age >= 18", "age >= \"old\"", "catalogue.actions[0].eligibility: line 1, column 8"},
		"open parenthesis":   {"age >= 18", "(age >= 18", "catalogue.actions[0].eligibility: line 1"},
		"no time":            {"2026-01-01T00:00:00Z", "2026-01-01", "catalogue.actions[0].starts"},
		"expired from birth": {"2026-02-01T00:00:00+03:00", "2026-01-01T00:00:00Z", "catalogue.actions[0].expires"},
		"creative twice":     {"name: blue", "name: red", "catalogue.actions[1].creatives[1].name"},
		"no prior":           {"alpha: 2", "alpha: 0", "catalogue.actions[1].creatives[1].prior.alpha"},
		"infinite value":     {"value: 10", "value: Infinity", "catalogue.actions[0].value"},
	} {
		text := strings.Replace(actionManifest, c.old, c.new, 1)
		if text == actionManifest {
			t.Fatalf("%s: the manifest has no %q", name, c.old)
		}
		if _, err := Open(dir(text, nil)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not name %s", name, err, c.want)
		}
	}
	several := strings.NewReplacer("    probability:\n      column: 1\n", "    classes: {names: [x, y.z]}\n", "head: churn", "class: churn.y.z").Replace(
		"description: test\ngraphs: {model: {file: m.onnx}}\nheads:\n  churn:\n    source: model.p\n    probability:\n      column: 1\nrow:\n" + actionManifest[strings.Index(actionManifest, "  features:"):])
	if b, err := Open(dir(several, nil)); err != nil || b.Actions[0].Head != "churn" || b.Actions[0].Of != "y.z" {
		t.Errorf("a class: %v", err)
	}
	if _, err := Open(dir(strings.Replace(several, "y.z,", "y,", 1), nil)); err == nil || !strings.Contains(err.Error(), "catalogue.actions[0].class") {
		t.Errorf("an unknown class: %v", err)
	}
	uplift := strings.NewReplacer("classes: {names: [x, y.z]}", "uplift: {treatments: [{name: call, column: 1}]}", "class: churn.y.z", "treatment: churn.call").Replace(several)
	if b, err := Open(dir(uplift, nil)); err != nil || b.Actions[0].Of != "call" {
		t.Errorf("a treatment: %v", err)
	}
	if _, err := Open(dir(strings.Replace(uplift, "churn.call", "churn.mail", 1), nil)); err == nil || !strings.Contains(err.Error(), "catalogue.actions[0].treatment") {
		t.Errorf("an unknown treatment: %v", err)
	}
	tensors := strings.Replace(several[:strings.Index(several, "row:")]+several[strings.Index(several, "catalogue:"):], ", eligibility: 'age >= 18 AND plan = \"a\"'", "", 1)
	if _, err := Open(dir(tensors, nil)); err == nil || !strings.Contains(err.Error(), "answers no rows") {
		t.Errorf("a head of a model of tensors: %v", err)
	}
}

func TestExternalDataStaysInTheBundle(t *testing.T) {
	for _, location := range []string{"../../etc/passwd", "/etc/passwd", "a/b", `a\b`, "..", ".", "", "c:x", "a\x00b"} {
		fsys := dir("", nil)
		fsys["m.onnx"].Data = model(plain().bytes(5, weights("w", "x")).bytes(5, message{}.str(8, "v").num(2, 1).
			bytes(13, message{}.str(1, "location").str(2, location)).num(14, 1)))
		fsys["x"] = &fstest.MapFile{Data: make([]byte, 48)}
		if _, err := Open(fsys); !errors.Is(err, ErrGraph) {
			t.Errorf("location %q: error %v, want ErrGraph", location, err)
		}
	}
	fsys := dir("", nil)
	fsys["m.onnx"].Data = model(plain().bytes(5, weights("w", "w.bin")))
	if _, err := Open(fsys); !errors.Is(err, ErrInvalid) {
		t.Errorf("missing external data: %v", err)
	}
	fsys["w.bin"] = &fstest.MapFile{Data: make([]byte, 48)}
	b, err := Open(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.Files(), " "); got != "m.onnx w.bin" {
		t.Errorf("files: %s", got)
	}
}

// TestPipesAreRefused opens bundles in which a file is a named pipe, which
// would be read for ever.
func TestPipesAreRefused(t *testing.T) {
	for _, name := range []string{"m.onnx", ManifestFile} {
		for _, manifest := range []string{"", rowManifest} {
			fsys := dir(manifest, nil)
			fsys[name] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
			if _, err := Open(fsys); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "regular file") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestSteps(t *testing.T) {
	two := `graphs: {a: {file: m.onnx}, b: {file: b.onnx}}
steps:
  - {graph: a}
  - {graph: b, inputs: {x: a.p}}
`
	fsys := dir(two, nil)
	fsys["b.onnx"] = &fstest.MapFile{Data: model(plain())}
	b, err := Open(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Steps[1].Feeds[0].Source.String(); got != "a.p" || len(b.Inputs()) != 2 {
		t.Errorf("feed %s, inputs %v", got, b.Inputs())
	}
	for name, c := range map[string][2]string{
		"before its source": {"  - {graph: a}\n  - {graph: b, inputs: {x: a.p}}\n", "  - {graph: b, inputs: {x: a.p}}\n  - {graph: a}\n"},
		"never runs":        {"  - {graph: a}\n", ""},
		"twice":             {"  - {graph: a}\n", "  - {graph: a}\n  - {graph: a}\n"},
		"no such output":    {"a.p", "a.z"},
		"no such input":     {"inputs: {x", "inputs: {z"},
	} {
		fsys[ManifestFile] = &fstest.MapFile{Data: []byte(strings.Replace(two, c[0], c[1], 1))}
		if _, err := Open(fsys); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "steps") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGoldens(t *testing.T) {
	with := rowManifest + "goldens: {file: g.jsonl, tolerances: [{precision: PRECISION_FP32, absolute: 1e-5}]}\n"
	good := `{"features": {"age": 3, "plan": "a"}, "outputs": {"model.p": {"values": [0.5, "NaN"]}}}` + "\n\n"
	b, err := Open(dir(with, map[string]string{"g.jsonl": good}))
	if err != nil {
		t.Fatal(err)
	}
	goldens, err := b.Goldens()
	if err != nil || len(goldens) != 1 {
		t.Fatalf("%v, %v", goldens, err)
	}
	if _, _, ok := b.Tolerance(bundlev1.Precision_PRECISION_BF16); ok {
		t.Error("a precision without tolerance is admitted")
	}
	for name, text := range map[string]string{
		"empty":       "\n",
		"not json":    "{",
		"no output":   `{"features": {}, "outputs": {}}`,
		"wrong kind":  `{"text": "a", "outputs": {"model.p": {"values": [1]}}}`,
		"no such":     `{"features": {}, "outputs": {"model.z": {"values": [1]}}}`,
		"unknown key": `{"features": {}, "expected": {}, "outputs": {"model.p": {"values": [1]}}}`,
	} {
		b, err := Open(dir(with, map[string]string{"g.jsonl": text}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Goldens(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInfer(t *testing.T) {
	b, err := Open(dir("", nil))
	if err != nil {
		t.Fatal(err)
	}
	if b.Manifest.GetRow() == nil || len(b.Guesses) < 2 {
		t.Fatalf("manifest %v, guesses %v", b.Manifest, b.Guesses)
	}
	text, err := Marshal(b.Manifest, b.Guesses)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "# guessed: every input is one column") {
		t.Errorf("the guesses are not in the comments:\n%s", text)
	}
	again, err := ParseManifest(text)
	if err != nil || again.GetRow() == nil {
		t.Errorf("what Marshal wrote does not parse: %v\n%s", err, text)
	}

	tokens := fstest.MapFS{
		"onnx/model.onnx": {Data: model(message{}.bytes(1, nodeOf("X")).
			bytes(11, value("input_ids", 7, -1, -1)).bytes(11, value("attention_mask", 7, -1, -1)).
			bytes(12, value("logits", 1, -1, 2)))},
		"tokenizer.json":        {Data: []byte("{}")},
		"config.json":           {Data: []byte(`{"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}`)},
		"tokenizer_config.json": {Data: []byte(`{"model_max_length": 1000000000000000019884624838656}`)},
	}
	b, err = Open(tokens)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Manifest.GetText().GetMaxLength(); got != 512 {
		t.Errorf("max_length %d, want 512", got)
	}
	if axis := b.Manifest.GetGraphs()["model"].GetInputs()["input_ids"].GetSequenceAxis(); axis != 1 {
		t.Errorf("sequence axis %d", axis)
	}
	tokens["second.onnx"] = tokens["onnx/model.onnx"]
	tokens["third.onnx"] = tokens["onnx/model.onnx"]
	if _, err := Open(tokens); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "second.onnx, third.onnx") {
		t.Errorf("two graphs: %v", err)
	}
	if _, err := Open(fstest.MapFS{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty directory: %v", err)
	}
}

// named is a ValueInfoProto whose axes are named as they are written; digits fix
// an extent.
func named(name string, elem uint64, dims ...string) message {
	shape := message{}
	for _, d := range dims {
		dim := message{}
		if n, err := strconv.ParseUint(d, 10, 32); err == nil {
			dim = dim.num(1, n)
		} else {
			dim = dim.str(2, d)
		}
		shape = shape.bytes(1, dim)
	}
	return message{}.str(1, name).bytes(2, message{}.bytes(1, message{}.num(1, elem).bytes(2, shape)))
}

// TestInferAxes holds what exporters write: their names of axes tell little.
func TestInferAxes(t *testing.T) {
	hf := func(batch, sequence string, outputs ...message) message {
		g := message{}.bytes(1, nodeOf("X"))
		for _, name := range []string{"input_ids", "attention_mask", "token_type_ids"} {
			g = g.bytes(11, named(name, 7, batch, sequence))
		}
		for _, o := range outputs {
			g = g.bytes(12, o)
		}
		return g
	}
	for name, c := range map[string]struct {
		graph   message
		yaml    string
		inputs  bool
		outputs map[string]int32
		remark  string
	}{
		"optimum": {
			graph:  hf("batch_size", "sequence_length", named("last_hidden_state", 1, "batch_size", "sequence_length", "384"), named("pooler_output", 1, "batch_size", "384")),
			inputs: true, outputs: map[string]int32{"last_hidden_state": 1},
		},
		"both axes of one name, as in MiniLM": {
			graph:  hf("batch", "batch", named("output_0", 1, "batch", "Addoutput_0_dim_1", "384"), named("882", 1, "batch", "384")),
			inputs: true, outputs: map[string]int32{"output_0": 1},
		},
		"torch's own names": {
			graph:  hf("s77", "s27", named("logits", 1, "s77", "s27", "9")),
			inputs: true, outputs: map[string]int32{"logits": 1},
		},
		"attention of length by length": {
			graph:  hf("batch", "sequence", named("attentions", 1, "batch", "12", "sequence", "sequence")),
			remark: `the output "attentions" has more than one open axis`,
		},
		"an output without a shape": {
			graph:  hf("batch", "sequence", message{}.str(1, "y").bytes(2, message{}.bytes(1, message{}.num(1, 1)))),
			remark: `no shape for the output "y"`,
		},
		"no mask": {
			graph:  message{}.bytes(1, nodeOf("X")).bytes(11, named("input_ids", 7, "batch", "sequence")).bytes(12, named("y", 1, "batch", "2")),
			remark: "no attention_mask",
		},
		"an unknown open axis": {
			graph:  hf("batch", "sequence", named("y", 1, "batch", "2")).bytes(11, named("pixels", 1, "batch", "3", "h", "w")),
			remark: `"pixels" has an open axis`,
		},
		"a batch of one": {
			graph:  hf("1", "sequence", named("y", 1, "1", "2")),
			remark: `axis 0 of "input_ids" is fixed at 1`,
		},
		"a manifest that says nothing of axes": {
			graph: hf("b", "s", named("y", 1, "b", "s")), yaml: "graphs: {model: {file: model.onnx}}\n",
			inputs: true, outputs: map[string]int32{"y": 1},
		},
		"a manifest that does": {
			graph: hf("b", "s", named("y", 1, "b", "s")), yaml: "graphs: {model: {file: model.onnx, outputs: {y: {}}}}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{"model.onnx": {Data: model(c.graph)}}
			if c.yaml != "" {
				files[ManifestFile] = &fstest.MapFile{Data: []byte(c.yaml)}
			}
			b, err := Open(files)
			if err != nil {
				t.Fatal(err)
			}
			m := b.Manifest.GetGraphs()["model"]
			for _, input := range []string{"input_ids", "attention_mask", "token_type_ids"} {
				if port := m.GetInputs()[input]; (port != nil) != c.inputs || c.inputs && port.GetSequenceAxis() != 1 {
					t.Errorf("%s: %v", input, port)
				}
			}
			for _, v := range b.Graphs["model"].Outputs {
				want, ok := c.outputs[v.Name]
				if port := m.GetOutputs()[v.Name]; (port.GetSequenceAxis() > 0) != ok || port.GetSequenceAxis() != want {
					t.Errorf("%s: %v, want axis %d", v.Name, port, want)
				}
			}
			remarks := strings.Join(b.Remarks(), "\n")
			if (c.remark == "") != (remarks == "") || !strings.Contains(remarks, c.remark) {
				t.Errorf("remarks %q, want %q", remarks, c.remark)
			}
		})
	}
}

// TestRemarks holds what is said of graphs that are not joined, and what is not
// said when their author knows.
func TestRemarks(t *testing.T) {
	fixed := message{}.bytes(1, nodeOf("Relu")).bytes(11, named("x", 1, "1", "8")).bytes(11, named("n", 7, "1", "k")).bytes(12, named("y", 1, "1", "4"))
	drifting := message{}.bytes(1, nodeOf("DynamicQuantizeLinear")).bytes(11, named("x", 1, "s77", "8")).bytes(12, named("y", 1, "s77", "8"))
	by := func(producer string, graph message) []byte {
		return message{}.num(1, 10).str(2, producer).bytes(7, graph).bytes(8, message{}.num(2, 17))
	}
	for name, c := range map[string]struct {
		file []byte
		yaml string
		want string
	}{
		"torch":     {by("pytorch", fixed), "", `torch.onnx.export(…, dynamic_axes={"x": {0: "batch"}, "n": {0: "batch", 1: "k"}, "y": {0: "batch"}})`},
		"sklearn":   {by("skl2onnx", fixed), "", `to_onnx(…, initial_types=[("x", FloatTensorType([None, 8])), ("n", Int64TensorType([None, None]))])`},
		"another":   {by("", fixed), "", "a symbolic axis 0 in every input and output"},
		"one row":   {by("", fixed), "max_rows: 1", ""},
		"quantised": {by("", drifting), "", "DynamicQuantizeLinear: answers depend on neighbours and on padding: never joined or padded unless the manifest says allow_batch_drift"},
		"accepted":  {by("", drifting), "allow_batch_drift: true", ""},
		"open":      {by("", plain()), "", ""},
	} {
		b, err := Open(fstest.MapFS{
			"m.onnx": {Data: c.file}, ManifestFile: {Data: []byte("graphs: {model: {file: m.onnx, batching: {" + c.yaml + "}}}\n")},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(b.Remarks(), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestInferClasses holds that an event is taken where the classes' names say
// which one it is, and only there.
func TestInferClasses(t *testing.T) {
	labels := func(names ...string) message {
		a := message{}.str(1, "classlabels_strings")
		for _, name := range names {
			a = a.str(9, name)
		}
		return a
	}
	numbers := func(values ...uint64) message {
		a := message{}.str(1, "classlabels_int64s")
		for _, v := range values {
			a = a.num(8, v)
		}
		return a
	}
	const text, number = 8, 7 // ONNX's element types
	for name, c := range map[string]struct {
		nodes  []message
		label  uint64
		column int32 // of the event; -1 = no event
		names  string
	}{
		"yes":             {[]message{nodeOf("LinearClassifier", labels("No", "Yes"))}, text, 1, ""},
		"yes comes first": {[]message{nodeOf("LinearClassifier", labels("YES", "no"))}, text, 0, ""},
		"numbers":         {[]message{nodeOf("TreeEnsembleClassifier", numbers(0, 1))}, number, 1, ""},
		"no words for it": {[]message{nodeOf("LinearClassifier", labels("Churned", "Retained"))}, text, -1, "Churned Retained"},
		"three":           {[]message{nodeOf("LinearClassifier", labels("a", "b", "c"))}, text, -1, "a b c"},
		"named elsewhere": {[]message{nodeOf("LinearClassifier", numbers(0, 1))}, text, -1, ""},
		"two classifiers": {[]message{nodeOf("LinearClassifier", labels("No", "Yes")), nodeOf("LinearClassifier", labels("No", "Yes"))}, text, -1, ""},
		"nameless":        {[]message{nodeOf("Softmax")}, number, -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g, columns := message{}, int64(2)
			if name == "three" {
				columns = 3
			}
			for _, n := range c.nodes {
				g = g.bytes(1, n)
			}
			g = g.bytes(11, value("age", 1, -1, 1)).bytes(12, value("label", c.label, -1)).bytes(12, value("probabilities", 1, -1, columns))
			b, err := Open(fstest.MapFS{"model.onnx": {Data: model(g)}})
			if err != nil {
				t.Fatal(err)
			}
			column := int32(-1)
			if p := b.Manifest.GetHeads()["probability"].GetProbability(); p != nil {
				column = p.GetColumn()
			}
			if column != c.column {
				t.Errorf("the event is in column %d, want %d", column, c.column)
			}
			if got := strings.Join(b.Manifest.GetHeads()["classes"].GetClasses().GetNames(), " "); got != c.names {
				t.Errorf("the classes are %q, want %q", got, c.names)
			}
		})
	}
}
