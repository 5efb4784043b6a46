package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/scry-ml/scry/tensor"
)

// message builds protobuf wire format.
type message []byte

func (m message) num(field protowire.Number, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), v)
}

func (m message) bytes(field protowire.Number, v []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

func (m message) str(field protowire.Number, v string) message { return m.bytes(field, []byte(v)) }

// value is a ValueInfoProto; an axis below 0 is symbolic.
func value(name string, elem uint64, dims ...int64) message {
	shape := message{}
	for i, d := range dims {
		dim := message{}
		if d < 0 {
			dim = dim.str(2, fmt.Sprintf("d%d", i))
		} else {
			dim = dim.num(1, uint64(d))
		}
		shape = shape.bytes(1, dim)
	}
	return message{}.str(1, name).bytes(2, message{}.bytes(1, message{}.num(1, elem).bytes(2, shape)))
}

func weights(name string, location string) message {
	t := message{}.num(1, 3).num(1, 4).num(2, 1).str(8, name)
	if location != "" {
		t = t.bytes(13, message{}.str(1, "location").str(2, location)).num(14, 1)
	}
	return t
}

func nodeOf(op string, attributes ...message) message {
	n := message{}.str(4, op)
	for _, a := range attributes {
		n = n.bytes(5, a)
	}
	return n
}

func subgraphAttribute(g message) message { return message{}.str(1, "body").bytes(6, g) }

// model is a ModelProto of IR version 10 with ai.onnx opset 17.
func model(graph message, more ...message) []byte {
	m := message{}.num(1, 10).str(2, "test").str(3, "1").bytes(7, graph).bytes(8, message{}.str(1, "").num(2, 17))
	for _, f := range more {
		m = m.bytes(25, f)
	}
	return m
}

// plain is a graph x[N,2] → y[N,2].
func plain() message {
	return message{}.bytes(1, nodeOf("Relu")).bytes(11, value("x", 1, -1, 2)).bytes(12, value("y", 1, -1, 2))
}

func TestReadGraph(t *testing.T) {
	inner := plain().bytes(1, nodeOf("Add")).bytes(5, weights("deep", "deep.bin"))
	g := plain().
		bytes(1, nodeOf("Loop", subgraphAttribute(inner))).
		bytes(1, nodeOf("Constant", message{}.str(1, "value").bytes(5, weights("", "")))).
		bytes(5, weights("w", "w.bin")).
		bytes(11, value("w", 1, 3, 4)) // initialisers listed as inputs are none
	got, err := ReadGraph(bytes.NewReader(model(g)))
	if err != nil {
		t.Fatal(err)
	}
	if got.IRVersion != 10 || got.Opsets[""] != 17 || got.Producer != "test 1" {
		t.Errorf("header: %+v", got)
	}
	if len(got.Inputs) != 1 || got.Inputs[0].Name != "x" || !got.Inputs[0].Shape.Equal(tensor.Shape{-1, 2}) || got.Inputs[0].Symbols[0] != "d0" || got.Inputs[0].DType != tensor.Float32 {
		t.Errorf("inputs: %+v", got.Inputs)
	}
	if strings.Join(got.ExternalData, " ") != "deep.bin w.bin" {
		t.Errorf("external data: %q", got.ExternalData)
	}
	if got.WeightBytes != 3*4*4*3 {
		t.Errorf("weights: %d bytes", got.WeightBytes)
	}
	for op, n := range map[string]int{"Relu": 2, "Add": 1, "Loop": 1, "Constant": 1} {
		if got.Operators[Operator{Type: op}] != n {
			t.Errorf("%s: %d nodes, want %d", op, got.Operators[Operator{Type: op}], n)
		}
	}
}

func TestReadGraphRefuses(t *testing.T) {
	deep := plain()
	for range maxDepth + 1 {
		deep = plain().bytes(1, nodeOf("If", subgraphAttribute(deep)))
	}
	recursive := message{}.str(1, "f").str(10, "local").bytes(7, message{}.str(4, "g").str(7, "local"))
	back := message{}.str(1, "g").str(10, "local").bytes(7, message{}.str(4, "f").str(7, "local"))
	whole := model(plain())
	for name, data := range map[string][]byte{
		"empty":              {},
		"text":               []byte("not a model at all, but a sentence of some length"),
		"cut":                whole[:len(whole)-3],
		"no graph":           message{}.num(1, 10),
		"nested too deep":    model(deep),
		"recursive function": model(plain(), recursive, back),
		"field beyond end":   message{}.num(1, 10).bytes(7, message{}.num(99, 0))[:4],
		"huge length":        append(message{}.num(1, 10), 0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
	} {
		t.Run(name, func(t *testing.T) {
			g, err := ReadGraph(bytes.NewReader(data))
			if !errors.Is(err, ErrGraph) {
				t.Fatalf("graph %+v, error %v; want ErrGraph", g, err)
			}
		})
	}
}

func TestReadGraphTakesConstantMemory(t *testing.T) {
	w := message{}.num(1, 1<<20).num(2, 1).str(8, "big").bytes(9, make([]byte, 4<<20))
	data := model(plain().bytes(5, w))
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ReadGraph(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 256<<10 {
		t.Errorf("%d bytes allocated for a graph of 4 MiB of weights", allocated)
	}
}

func FuzzReadGraph(f *testing.F) {
	f.Add(model(plain()))
	f.Add(model(plain().bytes(1, nodeOf("Loop", subgraphAttribute(plain())))))
	files, _ := filepath.Glob("../gpu/gputest/testdata/*.onnx")
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := ReadGraph(bytes.NewReader(data))
		if (g == nil) == (err == nil) {
			t.Fatalf("graph %v and error %v", g, err)
		}
	})
}

// TestLimits follows what picks from tables of weights, and nothing else.
func TestLimits(t *testing.T) {
	node := func(op string, out string, in ...string) message {
		n := message{}
		for _, name := range in {
			n = n.str(1, name)
		}
		return n.str(2, out).str(4, op)
	}
	axis := func(n message, i uint64) message { return n.bytes(5, message{}.str(1, "axis").num(3, i)) }
	table := func(name string, dims ...byte) message {
		return message{}.bytes(1, dims).num(2, 1).str(8, name)
	}
	g := message{}.
		bytes(5, table("words", 30, 4)).bytes(5, table("types", 2, 4)).bytes(5, table("wide", 4, 50)).bytes(5, table("half", 9, 4)).
		bytes(1, node("Gather", "a", "words", "ids")).
		bytes(1, node("Cast", "wider", "types_i32")).bytes(1, node("Unsqueeze", "deeper", "wider")).bytes(1, node("Gather", "b", "types", "deeper")).
		bytes(1, axis(node("Gather", "c", "wide", "columns"), 1)).
		bytes(1, node("Add", "sum", "shifted", "shifted")).bytes(1, node("Gather", "d", "words", "sum")).
		bytes(1, node("Gather", "e", "words", "twice")).bytes(1, node("DequantizeLinear", "f", "half")).bytes(1, node("Gather", "g", "f", "twice")).
		bytes(1, node("Reshape", "turned", "wide")).bytes(1, node("Gather", "h", "turned", "reshaped")).
		bytes(1, node("Identity", "circle", "circle")).bytes(1, node("Gather", "i", "circle", "circle"))
	want := map[string]int64{"ids": 30, "types_i32": 2, "columns": 0, "shifted": 0, "twice": 9, "reshaped": 0, "x": 0}
	for _, name := range []string{"ids", "columns", "shifted", "twice", "reshaped"} {
		g = g.bytes(11, value(name, 7, -1, -1))
	}
	g = g.bytes(11, value("types_i32", 6, -1, -1)).bytes(11, value("x", 1, -1, -1)).bytes(12, value("y", 1, -1))
	read, err := ReadGraph(bytes.NewReader(model(g)))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range read.Inputs {
		if v.Limit != want[v.Name] {
			t.Errorf("%s: limit %d, want %d", v.Name, v.Limit, want[v.Name])
		}
	}
}
