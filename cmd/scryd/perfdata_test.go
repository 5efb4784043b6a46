package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/scry-ml/scry/proto/inference"
)

// perfTensor is one input of an entry as perf_analyzer reads it.
type perfTensor struct {
	Content json.RawMessage
	Shape   []int64
}

// raw serialises the content as perf_analyzer does.
func (p perfTensor) raw(t *testing.T, datatype string) []byte {
	t.Helper()
	var encoded struct{ B64 []byte }
	if json.Unmarshal(p.Content, &encoded) == nil {
		return encoded.B64
	}
	var out bytes.Buffer
	fill := func(into any) any {
		if err := json.Unmarshal(p.Content, into); err != nil {
			t.Fatalf("%s: %v", datatype, err)
		}
		return into
	}
	var values any
	switch datatype {
	case "BYTES":
		for _, s := range *fill(&[]string{}).(*[]string) {
			_ = binary.Write(&out, binary.LittleEndian, uint32(len(s)))
			out.WriteString(s)
		}
		return out.Bytes()
	case "INT8":
		values = *fill(&[]int8{}).(*[]int8)
	case "INT16":
		values = *fill(&[]int16{}).(*[]int16)
	case "INT32":
		values = *fill(&[]int32{}).(*[]int32)
	case "INT64":
		values = *fill(&[]int64{}).(*[]int64)
	case "UINT8": // json takes []uint8 for base64
		for _, v := range *fill(&[]uint16{}).(*[]uint16) {
			out.WriteByte(byte(v))
		}
		return out.Bytes()
	case "UINT16":
		values = *fill(&[]uint16{}).(*[]uint16)
	case "UINT32":
		values = *fill(&[]uint32{}).(*[]uint32)
	case "UINT64":
		values = *fill(&[]uint64{}).(*[]uint64)
	case "FP32":
		values = *fill(&[]float32{}).(*[]float32)
	case "FP64":
		values = *fill(&[]float64{}).(*[]float64)
	default:
		t.Fatalf("%s is not written as numbers", datatype)
	}
	if err := binary.Write(&out, binary.LittleEndian, values); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestPerfData lets the built command line make requests up for models of every
// kind and sends them as perf_analyzer would: each must be answered.
func TestPerfData(t *testing.T) {
	program := filepath.Join(scratch, "scry")
	if out, err := exec.Command("go", "build", "-o", program, "../scry").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	d := start(t, runtimeFlags(t)...)
	server := inference.NewGRPCInferenceServiceClient(d.conn)
	sequences := graph(t, "gather").with("bundle.yaml", `
graphs: {model: {file: model.onnx, inputs: {ids: {sequence_axis: 1}}, outputs: {y: {sequence_axis: 1}}}}
row:
  features:
  - {name: visits, type: FEATURE_TYPE_SEQUENCE, max_events: 5, fields: [{name: page, type: FEATURE_TYPE_INT, input: ids, min: 2, max: 7}]}
`)
	matrix := graph(t, "matmul").with("bundle.yaml", `
graphs: {model: {file: model.onnx}}
row:
  matrix_input: x
  features:
  - {name: a, type: FEATURE_TYPE_FLOAT, min: -3, max: -2}
  - {name: b, type: FEATURE_TYPE_INT, min: 5, max: 9}
  - {name: c, type: FEATURE_TYPE_BOOL}
`)
	for _, c := range []struct {
		model string
		files files
		args  []string
		check func(t *testing.T, entry map[string]perfTensor)
	}{
		{model: "plaintext", files: graph(t, "texts"), check: checkTexts(20)},
		{model: "text", files: textBundle(t), check: checkTexts(0)},
		{model: "long", files: graph(t, "texts"), args: []string{"--min-length", "300", "--max-length", "300"}, check: func(t *testing.T, entry map[string]perfTensor) {
			if got := entry["input_ids"].Shape; !slices.Equal(got, []int64{300}) {
				t.Errorf("shape %v", got)
			}
		}},
		{model: "churn", files: churn(t), check: func(t *testing.T, entry map[string]perfTensor) {
			var tenure []float64
			var contract []string
			_ = json.Unmarshal(entry["tenure"].Content, &tenure)
			_ = json.Unmarshal(entry["Contract"].Content, &contract)
			if len(tenure) != 1 || tenure[0] < 0 || tenure[0] > 72 || len(contract) != 1 || !slices.Contains([]string{"Month-to-month", "One year", "Two year"}, contract[0]) {
				t.Errorf("tenure %v, contract %v", tenure, contract)
			}
		}},
		{model: "sequences", files: sequences, check: func(t *testing.T, entry map[string]perfTensor) {
			var ids []int64
			if err := json.Unmarshal(entry["ids"].Content, &ids); err != nil || len(ids) < 1 || len(ids) > 5 || slices.Min(ids) < 2 || slices.Max(ids) > 7 {
				t.Errorf("events %v %v", ids, err)
			}
		}},
		{model: "matrix", files: matrix, check: func(t *testing.T, entry map[string]perfTensor) {
			var x []float64
			if err := json.Unmarshal(entry["x"].Content, &x); err != nil || len(x) != 3 || x[0] < -3 || x[0] > -2 || x[1] < 5 || x[1] > 9 || x[2] != 0 && x[2] != 1 {
				t.Errorf("row %v %v", x, err)
			}
		}},
		{model: "picture", files: pictureBundle(t)},
		{model: "strings", files: graph(t, "labels")},
		{model: "known", files: graph(t, "labels"), args: []string{"--values", "text=yes,no,a,b,c,d,e,f,g,h,i,j,k,l,m"}, check: func(t *testing.T, entry map[string]perfTensor) {
			var word []string
			if err := json.Unmarshal(entry["text"].Content, &word); err != nil || len(word) != 1 || len(word[0]) > 3 {
				t.Errorf("%v %v", word, err)
			}
		}},
		{model: "types", files: graph(t, "types")},
		{model: "halves", files: graph(t, "float16")},
		{model: "fixed", files: graph(t, "fixed")},
		{model: "open", files: graph(t, "multi"), args: []string{"--shape", "x=7"}},
	} {
		t.Run(c.model, func(t *testing.T) {
			d.deploy(c.model, c.files)
			args := append([]string{"perf-data", c.model, "--count", "20", "--server", d.app.GRPCAddr()}, c.args...)
			cmd := exec.Command(program, args...)
			var complaint bytes.Buffer
			cmd.Stderr = &complaint
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("scry %s: %v\n%s", strings.Join(args, " "), err, &complaint)
			}
			lines := strings.Split(strings.TrimSpace(complaint.String()), "\n")
			if invented := strings.Contains(complaint.String(), "made-up words"); invented != (c.model == "strings" || c.model == "types") {
				t.Errorf("%q", &complaint)
			}
			if want := "perf_analyzer -m " + c.model + " -i grpc -u " + d.app.GRPCAddr() + " "; !strings.HasPrefix(lines[len(lines)-1], want) {
				t.Errorf("%q, want %q…", &complaint, want)
			}
			var file struct{ Data []map[string]perfTensor }
			if err := json.Unmarshal(out, &file); err != nil || len(file.Data) != 20 {
				t.Fatalf("%d entries: %v", len(file.Data), err)
			}
			metadata, err := server.ModelMetadata(d.ctx(), &inference.ModelMetadataRequest{Name: c.model})
			if err != nil {
				t.Fatal(err)
			}
			config, err := server.ModelConfig(d.ctx(), &inference.ModelConfigRequest{Name: c.model})
			if err != nil {
				t.Fatal(err)
			}
			seen := make(map[string]bool)
			for i, entry := range file.Data {
				seen[string(mustJSON(t, entry))] = true
				if len(entry) != len(metadata.GetInputs()) {
					t.Fatalf("entry %d has %d inputs, the model %d", i, len(entry), len(metadata.GetInputs()))
				}
				req := &inference.ModelInferRequest{ModelName: c.model}
				for _, in := range metadata.GetInputs() {
					tensor := entry[in.GetName()]
					shape := tensor.Shape
					if config.GetConfig().GetMaxBatchSize() > 0 {
						shape = append([]int64{1}, shape...)
					}
					req.Inputs = append(req.Inputs, &inference.ModelInferRequest_InferInputTensor{Name: in.GetName(), Datatype: in.GetDatatype(), Shape: shape})
					req.RawInputContents = append(req.RawInputContents, tensor.raw(t, in.GetDatatype()))
				}
				if _, err := server.ModelInfer(d.ctx(), req); err != nil {
					t.Fatalf("entry %d %s: %v", i, mustJSON(t, entry), err)
				}
				if c.check != nil {
					c.check(t, entry)
				}
			}
			if len(seen) < 10 {
				t.Errorf("of 20 entries only %d differ", len(seen))
			}
		})
	}
	d.deploy("scalars", graph(t, "scalars"))
	for model, want := range map[string]string{"open": "--shape x=", "scalars": "is a scalar"} {
		out, err := exec.Command(program, "perf-data", model, "--server", d.app.GRPCAddr()).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s", model, err, out)
		}
	}
}

// checkTexts wants masks of ones, no second text, and ids below the vocabulary
// where that is known here.
func checkTexts(vocabulary int64) func(t *testing.T, entry map[string]perfTensor) {
	return func(t *testing.T, entry map[string]perfTensor) {
		length := entry["input_ids"].Shape[0]
		if length < 4 || length > 128 {
			t.Errorf("%d tokens", length)
		}
		for name, in := range entry {
			var values []int64
			if err := json.Unmarshal(in.Content, &values); err != nil || int64(len(values)) != length {
				t.Fatalf("%s: %d values for %d tokens: %v", name, len(values), length, err)
			}
			for _, v := range values {
				switch {
				case name == "attention_mask" && v != 1,
					name == "token_type_ids" && v != 0,
					name == "input_ids" && (v < 0 || vocabulary > 0 && v >= vocabulary):
					t.Errorf("%s: %d", name, v)
				}
			}
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
