package main

import (
	"cmp"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// testGraph is an ONNX model with an Identity node: just enough to be read.
type testGraph struct {
	opset, ir        uint64
	domain, external string
	op               string   // "" = Identity
	inputs           []string // NAME:TYPE[:AXES], such as x:float:N,1
}

// The field numbers below are those of onnx.proto.
func (g testGraph) bytes() []byte {
	if len(g.inputs) == 0 {
		g.inputs = []string{"tenure:float:N,1"}
	}
	first, _, _ := strings.Cut(g.inputs[0], ":")
	var graph, node []byte
	node = addText(node, 1, first)
	node = addText(node, 2, "probability")
	node = addText(node, 4, cmp.Or(g.op, "Identity"))
	if g.domain != "" {
		node = addText(node, 7, g.domain)
	}
	graph = addBytes(graph, 1, node)
	graph = addText(graph, 2, "test")
	if g.external != "" {
		var location, initializer []byte
		location = addText(addText(location, 1, "location"), 2, g.external)
		initializer = addNumber(addNumber(initializer, 1, 1), 2, 1)
		initializer = addText(initializer, 8, "weight")
		initializer = addNumber(addBytes(initializer, 13, location), 14, 1)
		graph = addBytes(graph, 5, initializer)
	}
	for _, input := range g.inputs {
		graph = addBytes(graph, 11, valueInfo(input))
	}
	graph = addBytes(graph, 12, valueInfo("probability:float:N,1"))
	model := addNumber(nil, 1, g.ir)
	model = addBytes(model, 7, graph)
	model = addBytes(model, 8, addNumber(nil, 2, g.opset))
	if g.domain != "" {
		model = addBytes(model, 8, addNumber(addText(nil, 1, g.domain), 2, 1))
	}
	return model
}

func valueInfo(spec string) []byte {
	parts := strings.Split(spec, ":")
	types := map[string]uint64{"float": 1, "int64": 7, "string": 8}
	var shape []byte
	for axis := range strings.SplitSeq(parts[2], ",") {
		var dim []byte
		if axis >= "0" && axis <= "9999" {
			n := uint64(0)
			for _, d := range axis {
				n = 10*n + uint64(d-'0')
			}
			dim = addNumber(dim, 1, n)
		} else {
			dim = addText(dim, 2, axis)
		}
		shape = addBytes(shape, 1, dim)
	}
	tensor := addBytes(addNumber(nil, 1, types[parts[1]]), 2, shape)
	return addBytes(addText(nil, 1, parts[0]), 2, addBytes(nil, 1, tensor))
}

func addNumber(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func addText(b []byte, field protowire.Number, s string) []byte { return addBytes(b, field, []byte(s)) }

func addBytes(b []byte, field protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), content)
}
