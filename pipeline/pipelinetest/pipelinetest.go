// Package pipelinetest makes bundles without weights and models in plain Go, so
// that tests of pipelines and tasks need no ONNX Runtime.
package pipelinetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/tensor"
)

// elements are the numbers of element types in ONNX (TensorProto.DataType).
var elements = map[tensor.DType]uint64{
	tensor.Float32: 1, tensor.Uint8: 2, tensor.Int8: 3, tensor.Uint16: 4, tensor.Int16: 5, tensor.Int32: 6,
	tensor.Int64: 7, tensor.String: 8, tensor.Bool: 9, tensor.Float16: 10, tensor.Float64: 11,
	tensor.Uint32: 12, tensor.Uint64: 13, tensor.BFloat16: 16,
}

// Value is an input or output of a graph; -1 is a free axis.
func Value(name string, t tensor.DType, shape ...int64) bundle.Value {
	return bundle.Value{Name: name, DType: t, Shape: shape}
}

// Graph returns an ONNX file that declares inputs and outputs and computes
// nothing.
func Graph(inputs, outputs []bundle.Value) []byte {
	bytes := func(m []byte, field protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
	}
	num := func(m []byte, field protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), v)
	}
	info := func(v bundle.Value) []byte {
		var shape []byte
		for i, d := range v.Shape {
			if d < 0 {
				shape = bytes(shape, 1, bytes(nil, 2, fmt.Appendf(nil, "d%d", i)))
			} else {
				shape = bytes(shape, 1, num(nil, 1, uint64(d)))
			}
		}
		kind := bytes(num(nil, 1, elements[v.DType]), 2, shape)
		return bytes(bytes(nil, 1, []byte(v.Name)), 2, bytes(nil, 1, kind))
	}
	graph := bytes(nil, 1, bytes(nil, 4, []byte("Identity")))
	for _, v := range inputs {
		graph = bytes(graph, 11, info(v))
	}
	for _, v := range outputs {
		graph = bytes(graph, 12, info(v))
	}
	model := bytes(num(nil, 1, 10), 7, graph)
	return bytes(model, 8, num(bytes(nil, 1, nil), 2, 17))
}

// NPY returns a .npy file of float32.
func NPY(values []float32, shape ...int) string {
	dims := strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]")
	if len(shape) == 1 {
		dims += ","
	}
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", dims)
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	out := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	out = append(out, header...)
	for _, x := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return string(out)
}

// Files returns a bundle of one graph, called "model", with a manifest whose
// graphs are left out, and other files.
func Files(graph []byte, manifest string, files map[string]string) fstest.MapFS {
	dir := fstest.MapFS{
		"model.onnx":        {Data: graph},
		bundle.ManifestFile: {Data: []byte("graphs: {model: {file: model.onnx}}\n" + manifest)},
	}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return dir
}

// Open opens a bundle and its pipeline.
func Open(dir fstest.MapFS, limits pipeline.Limits) (*pipeline.Pipeline, error) {
	b, err := bundle.Open(dir)
	if err != nil {
		return nil, err
	}
	return pipeline.New(b, limits)
}

// Model answers items in plain Go: it satisfies what the tasks ask of a loaded
// version.
type Model struct {
	pipeline *pipeline.Pipeline
	// Compute makes the outputs of the graph "model", in the order of its
	// declaration, of an item's inputs.
	Compute func(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error)

	// Refuse is what Admit returns. Admitted is what it was asked for last.
	Refuse   error
	Admitted struct {
		Rows int
		Cost int64
	}

	// Crop makes the outputs of another graph, of a part of a picture.
	Crop func(ctx context.Context, graph string, in []tensor.Tensor) ([]tensor.Tensor, error)

	index map[bundle.Source]int
	// Items and Rows count what was run; MostRows is the largest item, MostAtOnce
	// the most items of one run.
	Items, Rows, MostRows, MostAtOnce atomic.Int64
}

// NewModel opens a bundle or fails the test.
func NewModel(t testing.TB, dir fstest.MapFS, compute func(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error)) *Model {
	t.Helper()
	p, err := Open(dir, pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	m := &Model{pipeline: p, Compute: compute, index: map[bundle.Source]int{}}
	for i, v := range p.Bundle().Graphs["model"].Outputs {
		m.index[bundle.Source{Graph: "model", Output: v.Name}] = i
	}
	for name, g := range p.Bundle().Graphs {
		for i, v := range g.Outputs {
			if name != "model" {
				m.index[bundle.Source{Graph: name, Output: v.Name}] = i
			}
		}
	}
	return m
}

// Bundle returns the bundle.
func (m *Model) Bundle() *bundle.Bundle { return m.pipeline.Bundle() }

// Pipeline returns the preprocessing.
func (m *Model) Pipeline() *pipeline.Pipeline { return m.pipeline }

// Identity returns "test", version 7.
func (m *Model) Identity() pipeline.Identity { return pipeline.Identity{Model: "test", Version: 7} }

// Admit notes what it is asked for and returns m.Refuse.
func (m *Model) Admit(_ context.Context, rows int, cost int64) error {
	m.Admitted.Rows, m.Admitted.Cost = rows, cost
	return m.Refuse
}

// yieldingKey marks a context of Yielding.
type yieldingKey struct{}

// Yielding marks a context; IsYielding tells.
func (m *Model) Yielding(ctx context.Context) context.Context {
	return context.WithValue(ctx, yieldingKey{}, true)
}

// IsYielding tells whether a run is one that gives way to others.
func IsYielding(ctx context.Context) bool { return ctx.Value(yieldingKey{}) != nil }

// RunCrops computes items by Crop, one after the other.
func (m *Model) RunCrops(ctx context.Context, graph string, items []pipeline.Item) []pipeline.Answer {
	answers := make([]pipeline.Answer, len(items))
	for i, item := range items {
		out, err := m.Crop(ctx, graph, item.Inputs)
		answers[i] = pipeline.Answer{Err: err, Stats: pipeline.Stats{Device: "cpu", BatchRows: 1, Compute: time.Microsecond}}
		if err == nil {
			answers[i].Outputs = pipeline.Outputs{Index: m.index, Values: out}
		}
	}
	return answers
}

// Run answers items one by one.
func (m *Model) Run(ctx context.Context, items []pipeline.Item) []pipeline.Answer {
	answers := make([]pipeline.Answer, len(items))
	largest(&m.MostAtOnce, int64(len(items)))
	for i, item := range items {
		m.Items.Add(1)
		m.Rows.Add(int64(item.Rows))
		largest(&m.MostRows, int64(item.Rows))
		out, err := m.Compute(ctx, item.Inputs)
		answers[i] = pipeline.Answer{Err: err, Stats: pipeline.Stats{Device: "cpu", BatchRows: item.Rows, Compute: time.Microsecond}}
		if err == nil {
			answers[i].Outputs = pipeline.Outputs{Index: m.index, Values: out}
		}
	}
	return answers
}

// largest keeps the largest n.
func largest(kept *atomic.Int64, n int64) {
	for most := kept.Load(); n > most && !kept.CompareAndSwap(most, n); {
		most = kept.Load()
	}
}

// Tokenizer is a small tokenizer.json (WordPiece, lower case): [PAD] 0, [UNK] 1,
// [CLS] 2, [SEP] 3, then "hello" 4, "world" 5, "," 6, "fine" 7, "bad" 8. It asks
// for truncation and padding to 128, as many published ones do.
const Tokenizer = `{
  "version": "1.0",
  "truncation": {"max_length": 128, "strategy": "LongestFirst", "stride": 0},
  "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
  "added_tokens": [
    {"id": 0, "special": true, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
    {"id": 1, "special": true, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
    {"id": 2, "special": true, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
    {"id": 3, "special": true, "content": "[SEP]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
    "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
  "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
    "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "hello": 4, "world": 5, ",": 6, "fine": 7, "bad": 8}}
}`
