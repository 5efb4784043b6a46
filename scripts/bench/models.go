package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/proto/inference"
	"github.com/scry-ml/scry/tensor"
)

// The tiny row: x float32 [N, 32] through layers of 64, 32 and 8.
const tinyInputs = 32

var tinyLayers = []int{tinyInputs, 64, 32, 8}

// message writes protobuf fields by hand: ONNX has no generated code here.
type message []byte

func (m message) num(field protowire.Number, v int) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), uint64(v))
}

func (m message) bytes(field protowire.Number, v []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

func (m message) str(field protowire.Number, v string) message { return m.bytes(field, []byte(v)) }

// tinyONNX is a network of three Gemm layers with weights of the seed.
func tinyONNX(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 3))
	weights := func(name string, spread float64, dims ...int) message {
		m, n := message{}, 1
		for _, d := range dims {
			m, n = m.num(1, d), n*d
		}
		raw := make([]byte, 0, 4*n)
		for range n {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(rng.NormFloat64()*spread)))
		}
		return m.num(2, 1).str(8, name).bytes(9, raw)
	}
	value := func(name string, width int) message {
		shape := message{}.bytes(1, message{}.str(2, "N")).bytes(1, message{}.num(1, width))
		return message{}.str(1, name).bytes(2, message{}.bytes(1, message{}.num(1, 1).bytes(2, shape)))
	}
	graph, at := message{}, "x"
	for i, out := range tinyLayers[1:] {
		in, w, b, sum := tinyLayers[i], fmt.Sprintf("w%d", i), fmt.Sprintf("b%d", i), fmt.Sprintf("s%d", i)
		last := i == len(tinyLayers)-2
		if last {
			sum = "y"
		}
		graph = graph.bytes(1, message{}.str(1, at).str(1, w).str(1, b).str(2, sum).str(3, sum).str(4, "Gemm")).
			bytes(5, weights(w, 1/math.Sqrt(float64(in)), in, out)).bytes(5, weights(b, 0.1, out))
		if at = sum; !last {
			at = fmt.Sprintf("r%d", i)
			graph = graph.bytes(1, message{}.str(1, sum).str(2, at).str(3, at).str(4, "Relu"))
		}
	}
	graph = graph.str(2, "tiny").bytes(11, value("x", tinyInputs)).bytes(12, value("y", tinyLayers[len(tinyLayers)-1]))
	return message{}.num(1, 8).str(2, "scry-bench").bytes(7, graph).bytes(8, message{}.str(1, "").num(2, 17))
}

// encoded is a request up to its raw contents, which are appended last.
func encoded(model, output string, inputs ...*inference.ModelInferRequest_InferInputTensor) []byte {
	req := &inference.ModelInferRequest{ModelName: model, Inputs: inputs}
	if output != "" {
		req.Outputs = []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: output}}
	}
	// A message of strings and numbers always encodes.
	out, _ := proto.Marshal(req)
	return out
}

const rawField = 7 // raw_input_contents

// tinySource makes rows of standard normal numbers; those of a number are always
// the same. Calls go round the models.
func tinySource(models ...string) source {
	heads := make([][]byte, len(models))
	for i, m := range models {
		heads[i] = encoded(m, "", &inference.ModelInferRequest_InferInputTensor{Name: "x", Datatype: "FP32", Shape: []int64{1, tinyInputs}})
		heads[i] = protowire.AppendVarint(protowire.AppendTag(heads[i], rawField, protowire.BytesType), 4*tinyInputs)
	}
	return func(number uint64) request {
		head := heads[number%uint64(len(heads))]
		body := append(make([]byte, 0, len(head)+4*tinyInputs), head...)
		return request{appendRow(body, number), 1}
	}
}

// appendRow appends the row of a number: 32 floats in [-2, 2).
func appendRow(to []byte, number uint64) []byte {
	var rng rand.PCG
	rng.Seed(number, 29)
	for range tinyInputs / 2 {
		bits := rng.Uint64()
		to = binary.LittleEndian.AppendUint32(to, math.Float32bits(float32(uint32(bits))/(1<<30)-2))
		to = binary.LittleEndian.AppendUint32(to, math.Float32bits(float32(uint32(bits>>32))/(1<<30)-2))
	}
	return to
}

// Mixed texts: lengths log-normal with median 24 and sigma 0.8, from 4 to 128.
const (
	textMedian, textSigma = 24, 0.8
	shortest, longest     = 4, 128
	firstToken            = 1000 // whole words of the vocabulary begin about here
	lastToken             = 30000
	textOutput            = "output_0" // float32 [N, tokens, 384]
)

var textInputs = []string{"input_ids", "attention_mask", "token_type_ids"}

// lengths is one long list that the served and the bare rounds both follow, so
// that a round does not win by having had shorter texts.
var lengths = func() []int {
	rng := rand.New(rand.NewPCG(31, 37))
	out := make([]int, 1<<16)
	for i := range out {
		n := int(math.Round(textMedian * math.Exp(rng.NormFloat64()*textSigma)))
		out[i] = min(max(n, shortest), longest)
	}
	return out
}()

func lengthAt(number uint64) int { return lengths[number%uint64(len(lengths))] }

// appendTokens appends the ids of a text as int64.
func appendTokens(to []byte, number uint64, n int) []byte {
	var rng rand.PCG
	rng.Seed(number, 41)
	for range n {
		to = binary.LittleEndian.AppendUint64(to, firstToken+rng.Uint64()%(lastToken-firstToken))
	}
	return to
}

// textSource makes texts of random ids; those of a number are always the same.
func textSource(model string, length func(number uint64) int) source {
	type form struct{ head, tail []byte }
	forms := make([]form, longest+1)
	for n := 1; n <= longest; n++ {
		var inputs []*inference.ModelInferRequest_InferInputTensor
		for _, name := range textInputs {
			inputs = append(inputs, &inference.ModelInferRequest_InferInputTensor{Name: name, Datatype: "INT64", Shape: []int64{1, int64(n)}})
		}
		head := encoded(model, textOutput, inputs...)
		head = protowire.AppendVarint(protowire.AppendTag(head, rawField, protowire.BytesType), uint64(8*n))
		ones := make([]byte, 8*n)
		for i := range n {
			ones[8*i] = 1
		}
		forms[n] = form{head, message{}.bytes(rawField, ones).bytes(rawField, make([]byte, 8*n))}
	}
	return func(number uint64) request {
		n := length(number)
		f := forms[n]
		body := append(make([]byte, 0, len(f.head)+len(f.tail)+8*n), f.head...)
		return request{append(appendTokens(body, number, n), f.tail...), n}
	}
}

// answerOf returns the first output's elements of an encoded answer.
func answerOf(body []byte) ([]float32, error) {
	resp := &inference.ModelInferResponse{}
	if err := proto.Unmarshal(body, resp); err != nil {
		return nil, err
	}
	raw := resp.GetRawOutputContents()
	if len(raw) == 0 || len(raw[0])%4 != 0 {
		return nil, fmt.Errorf("an answer without contents")
	}
	out := make([]float32, len(raw[0])/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[0][4*i:]))
	}
	return out, nil
}

// miniLM is where scripts/setup/minilm.py puts the text model.
const miniLM = ".bench/minilm/model.onnx"

// textBundle writes a bundle of MiniLM whose manifest allows the devices (empty
// = all) and, with coarse, bfloat16 within a tolerance: with goldens of the CPU
// provider.
func textBundle(ctx context.Context, rt *gpu.Runtime, dir, device string, coarse bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	model, err := filepath.Abs(miniLM)
	if err != nil {
		return err
	}
	if err := os.Link(model, filepath.Join(dir, "model.onnx")); err != nil { // another file system
		if err := copyFile(model, filepath.Join(dir, "model.onnx")); err != nil {
			return err
		}
	}
	s, err := rt.Load(ctx, gpu.Spec{Path: model, Devices: []string{gpu.CPU}, Outputs: []string{textOutput}})
	if err != nil {
		return err
	}
	defer s.Close()
	var goldens strings.Builder
	for number := range uint64(8) {
		n := []int{4, 8, 13, 24, 24, 32, 48, 70}[number]
		in, err := textTensors([]uint64{number}, []int{n}, 1, n)
		if err != nil {
			return err
		}
		out, err := s.Run(ctx, in)
		if err != nil {
			return err
		}
		inputs := map[string]any{}
		for i, name := range textInputs {
			inputs[name] = map[string]any{"shape": []int{1, n}, "values": tensor.View[int64](in[i])}
		}
		line, err := json.Marshal(map[string]any{
			"tensors": map[string]any{"inputs": inputs},
			"outputs": map[string]any{"model." + textOutput: map[string]any{"values": tensor.View[float32](out[0])}},
		})
		if err != nil {
			return err
		}
		goldens.Write(append(line, '\n'))
	}
	var b strings.Builder
	b.WriteString("graphs:\n  model:\n    file: model.onnx\n    inputs:\n")
	for _, name := range textInputs {
		fmt.Fprintf(&b, "      %s:\n        sequence_axis: 1\n", name)
	}
	fmt.Fprintf(&b, "    outputs:\n      %s:\n        sequence_axis: 1\n", textOutput)
	if device != "" {
		fmt.Fprintf(&b, "    execution:\n      devices: [%s]\n", device)
	}
	b.WriteString("goldens:\n  file: goldens.jsonl\n  tolerances:\n  - precision: PRECISION_FP32\n    absolute: 0.0001\n")
	if coarse {
		// Elements are of the size of 1; the cosine to the exact answer stays
		// above 0.999.
		b.WriteString("  - precision: PRECISION_BF16\n    absolute: 0.1\n    relative: 0.1\n  - precision: PRECISION_TF32\n    absolute: 0.01\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "goldens.jsonl"), []byte(goldens.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "bundle.yaml"), []byte(b.String()), 0o644)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// textTensors lays texts out as one run's inputs of rows × length, the missing
// rows repeating the last.
func textTensors(numbers []uint64, lens []int, rows, length int) ([]tensor.Tensor, error) {
	out := make([]tensor.Tensor, len(textInputs))
	for i := range out {
		var err error
		if out[i], err = tensor.New(tensor.Int64, int64(rows), int64(length)); err != nil {
			return nil, err
		}
	}
	ids, mask := out[0].Data, tensor.View[int64](out[1])
	for row := range rows {
		k := min(row, len(numbers)-1)
		appendTokens(ids[row*length*8:row*length*8], numbers[k], lens[k])
		for j := range lens[k] {
			mask[row*length+j] = 1
		}
	}
	return out, nil
}
