package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// edit puts bytes in place of a range of a file.
type edit struct {
	span
	with []byte
}

// mending is what must be changed of an ONNX file before it can be served.
type mending struct {
	edits   []edit
	changes []string // for people
	// classes are those of the one ZipMap that was cut, in the order of its
	// tensor's columns.
	classes []string
}

// mend finds what exporters write that cannot be served: maps instead of
// tensors, and shapes of outputs that hold for a single row only. The file is
// changed in place on protobuf's wire, so weights are copied as they are.
func mend(g *Graph) (mending, error) {
	m := mending{}
	cut := map[string][]string{} // classes by output
	for _, z := range g.zipMaps {
		v, ok := g.Output(z.out)
		if !ok || v.Kind != "sequence" || len(z.classes) == 0 {
			continue
		}
		node := protowire.AppendTag(nil, 1, protowire.BytesType)
		m.edits = append(m.edits, edit{z.at, protowire.AppendBytes(node, identity(z))})
		cut[z.out] = z.classes
		m.classes = z.classes
	}
	if len(cut) != 1 {
		m.classes = nil
	}
	for _, v := range g.Outputs {
		want, change := v, ""
		if classes, ok := cut[v.Name]; ok {
			want = Value{Name: v.Name, DType: tensor.Float32, Shape: tensor.Shape{-1, int64(len(classes))}}
			change = fmt.Sprintf("the ZipMap before %q is cut: it is a tensor %s now", v.Name, shapeText(want.Shape))
		} else if shape := trueShape(g, v); shape != nil {
			want.Shape = shape
			change = fmt.Sprintf("%q is declared as %s, which holds for one row only: %s now", v.Name, shapeText(v.Shape), shapeText(shape))
		}
		if change == "" {
			continue
		}
		field := protowire.AppendTag(nil, 12, protowire.BytesType)
		m.edits = append(m.edits, edit{v.at, protowire.AppendBytes(field, valueInfo(want))})
		m.changes = append(m.changes, change)
	}
	if len(m.edits) == 0 {
		return m, nil
	}
	slices.SortFunc(m.edits, func(a, b edit) int { return int(a.from - b.from) })
	size := g.span.to - g.content
	for _, e := range m.edits {
		size += int64(len(e.with)) - (e.to - e.from)
	}
	if size > 1<<31-1 {
		return m, errors.New("the graph is larger than protobuf allows")
	}
	head := protowire.AppendTag(nil, 7, protowire.BytesType)
	m.edits = slices.Insert(m.edits, 0, edit{span{g.span.from, g.content}, protowire.AppendVarint(head, uint64(size))})
	if g.Opsets[""] == 0 && len(cut) > 0 { // as CatBoost writes them
		domain := protowire.AppendTag(nil, 1, protowire.BytesType)
		domain = protowire.AppendBytes(domain, nil)
		domain = protowire.AppendTag(domain, 2, protowire.VarintType)
		domain = protowire.AppendVarint(domain, identityOpset)
		field := protowire.AppendTag(nil, 8, protowire.BytesType)
		m.edits = append(m.edits, edit{span{g.span.to, g.span.to}, protowire.AppendBytes(field, domain)})
	}
	return m, nil
}

// identityOpset is an operator set that has Identity, and that every version of
// ONNX Runtime reads.
const identityOpset = 9

// identity is a NodeProto that hands on what a ZipMap read, under its name.
func identity(z zipMap) []byte {
	var b []byte
	for _, f := range []struct {
		number protowire.Number
		text   string
	}{{1, z.in}, {2, z.out}, {3, z.name}, {4, "Identity"}} {
		b = protowire.AppendTag(b, f.number, protowire.BytesType)
		b = protowire.AppendString(b, f.text)
	}
	return b
}

// valueInfo is a ValueInfoProto of a tensor.
func valueInfo(v Value) []byte {
	var shape []byte
	for axis, d := range v.Shape {
		var dim []byte
		switch {
		case d >= 0:
			dim = protowire.AppendTag(dim, 1, protowire.VarintType)
			dim = protowire.AppendVarint(dim, uint64(d))
		case axis < len(v.Symbols) && v.Symbols[axis] != "":
			dim = protowire.AppendTag(dim, 2, protowire.BytesType)
			dim = protowire.AppendString(dim, v.Symbols[axis])
		}
		shape = protowire.AppendTag(shape, 1, protowire.BytesType)
		shape = protowire.AppendBytes(shape, dim)
	}
	kind := protowire.AppendTag(nil, 1, protowire.VarintType)
	kind = protowire.AppendVarint(kind, uint64(onnxOf(v.DType)))
	kind = protowire.AppendTag(kind, 2, protowire.BytesType)
	kind = protowire.AppendBytes(kind, shape)
	tensorType := protowire.AppendTag(nil, 1, protowire.BytesType)
	tensorType = protowire.AppendBytes(tensorType, kind)
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendString(b, v.Name)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendBytes(b, tensorType)
}

// onnxOf is the inverse of dtypeOfONNX.
func onnxOf(d tensor.DType) int {
	for t := 1; t <= 16; t++ {
		if dtypeOfONNX(t) == d {
			return t
		}
	}
	return 0
}

// trueShape is the shape of an output of which the graph declares another: rows
// that are fixed at one although the inputs take any number, and a number of
// columns that is not that of the classes. nil where nothing is known to be
// wrong.
func trueShape(g *Graph, v Value) tensor.Shape {
	if v.Kind != "tensor" || len(v.Shape) == 0 || len(v.Shape) > 2 || v.DType == tensor.Invalid || !rowwise(g, v) {
		return nil
	}
	shape := slices.Clone(v.Shape)
	shape[0] = -1
	if n := int64(len(g.Classes)); n > 1 && len(shape) == 2 && v.made.place == 1 && strings.HasSuffix(v.made.by.Type, "Classifier") {
		shape[1] = n
	}
	if slices.Equal(shape, v.Shape) {
		return nil
	}
	return shape
}

// rowwise tells whether an output has surely as many rows as the inputs, of
// which all take any number: it is computed by, or with, a model of classical
// machine learning.
func rowwise(g *Graph, v Value) bool {
	for _, in := range g.Inputs {
		if len(in.Shape) == 0 || in.Shape[0] >= 0 {
			return false
		}
	}
	by := v.made.by
	return len(g.Inputs) > 0 && (by.Domain == mlDomain || classical(g))
}

// classical tells whether an exporter of classical models wrote the graph.
func classical(g *Graph) bool {
	for _, producer := range []string{"OnnxMLTools", "skl2onnx", "CatBoost"} {
		if strings.HasPrefix(g.Producer, producer) {
			return true
		}
	}
	return false
}

// shapeText writes a shape with N for the rows.
func shapeText(s tensor.Shape) string {
	parts := make([]string, len(s))
	for i, d := range s {
		switch {
		case d >= 0:
			parts[i] = fmt.Sprint(d)
		case i == 0:
			parts[i] = "N"
		default:
			parts[i] = "?"
		}
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// toMend reads a graph of dir and tells what is to be changed of it.
func toMend(dir fs.FS, name string) (mending, error) {
	g, err := openGraph(dir, name)
	if err != nil {
		return mending{}, err
	}
	m, err := mend(g)
	if err != nil {
		return mending{}, within(name, fmt.Errorf("%w: %w", ErrGraph, err))
	}
	return m, nil
}

// origin tells what a changed file was and is.
func (m mending) origin(was, is fs.FS, name string) (*bundlev1.Origin, error) {
	pushed, err := digestOf(was, name)
	if err != nil {
		return nil, err
	}
	kept, err := digestOf(is, name)
	return &bundlev1.Origin{PushedSha256: pushed, KeptSha256: kept, Changes: m.changes}, err
}

func digestOf(dir fs.FS, name string) (string, error) {
	f, err := dir.Open(name)
	if err != nil {
		return "", invalid(name, "%v", cause(err))
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", invalid(name, "%v", cause(err))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
