package gputest

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/tensor"
)

// graph is as much of an ONNX GraphProto as the fake evaluates.
type graph struct {
	nodes           []node
	weights         map[string]tensor.Tensor
	inputs, outputs []graphValue
	dir             string // of external data
}

// graphValue is an input or output; tensor is false for sequences and maps.
type graphValue struct {
	gpu.Value
	tensor bool
}

type node struct {
	op      string
	in, out []string
	attrs   map[string]attribute
}

type attribute struct {
	i       int64
	ints    []int64
	strings []string
	body    *graph
}

var errFormat = errors.New("malformed protobuf")

// onnxTypes are TensorProto.DataType's numbers.
var onnxTypes = map[uint64]tensor.DType{
	1: tensor.Float32, 2: tensor.Uint8, 3: tensor.Int8, 4: tensor.Uint16, 5: tensor.Int16, 6: tensor.Int32,
	7: tensor.Int64, 8: tensor.String, 9: tensor.Bool, 10: tensor.Float16, 11: tensor.Float64, 12: tensor.Uint32,
	13: tensor.Uint64, 16: tensor.BFloat16,
}

// message calls f for each field; number holds varints and fixed 32-bit words.
func message(b []byte, f func(field protowire.Number, bytes []byte, number uint64) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errFormat
		}
		b = b[n:]
		var value []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			number = uint64(v)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return errFormat
		}
		if err := f(field, value, number); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func readGraph(path string) (*graph, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: there is no such file", gpu.ErrModel)
	}
	g := &graph{weights: map[string]tensor.Tensor{}, dir: filepath.Dir(path)}
	err = message(data, func(field protowire.Number, b []byte, _ uint64) error {
		if field == 7 {
			return g.read(b)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gpu.ErrModel, err)
	}
	return g, nil
}

func (g *graph) read(b []byte) error {
	return message(b, func(field protowire.Number, b []byte, _ uint64) error {
		switch field {
		case 1:
			n, err := g.readNode(b)
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			return g.readWeight(b)
		case 11, 12:
			v, err := readValue(b)
			if field == 11 {
				g.inputs = append(g.inputs, v)
			} else {
				g.outputs = append(g.outputs, v)
			}
			return err
		}
		return nil
	})
}

func (g *graph) readNode(b []byte) (n node, err error) {
	n.attrs = map[string]attribute{}
	err = message(b, func(field protowire.Number, b []byte, _ uint64) error {
		switch field {
		case 1:
			n.in = append(n.in, string(b))
		case 2:
			n.out = append(n.out, string(b))
		case 4:
			n.op = string(b)
		case 5:
			return g.readAttribute(b, n.attrs)
		}
		return nil
	})
	return n, err
}

func (g *graph) readAttribute(b []byte, to map[string]attribute) error {
	var name string
	var a attribute
	err := message(b, func(field protowire.Number, b []byte, number uint64) error {
		switch field {
		case 1:
			name = string(b)
		case 3:
			a.i = int64(number)
		case 6:
			a.body = &graph{weights: map[string]tensor.Tensor{}, dir: g.dir}
			return a.body.read(b)
		case 8:
			return appendInts(&a.ints, b, number)
		case 9:
			a.strings = append(a.strings, string(b))
		}
		return nil
	})
	to[name] = a
	return err
}

// appendInts reads a repeated integer field, packed or not.
func appendInts(to *[]int64, packed []byte, number uint64) error {
	if packed == nil {
		*to = append(*to, int64(number))
		return nil
	}
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return errFormat
		}
		*to = append(*to, int64(v))
		packed = packed[n:]
	}
	return nil
}

// readWeight reads an initializer whose data are raw or external, as all
// exporters write them.
func (g *graph) readWeight(b []byte) error {
	var name, location string
	shape := []int64{}
	var elem uint64
	var raw []byte
	err := message(b, func(field protowire.Number, b []byte, number uint64) error {
		switch field {
		case 1:
			return appendInts(&shape, b, number)
		case 2:
			elem = number
		case 8:
			name = string(b)
		case 9:
			raw = slices.Clone(b)
		case 13:
			var key, value string
			err := message(b, func(field protowire.Number, b []byte, _ uint64) error {
				if field == 1 {
					key = string(b)
				} else {
					value = string(b)
				}
				return nil
			})
			if key == "location" {
				location = value
			}
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if location != "" {
		if raw, err = os.ReadFile(filepath.Join(g.dir, location)); err != nil {
			return fmt.Errorf("external data %q is missing", location)
		}
	}
	t := tensor.Tensor{DType: onnxTypes[elem], Shape: shape, Data: raw}
	if err := t.Validate(); err != nil {
		return fmt.Errorf("weight %q: %w", name, err)
	}
	g.weights[name] = t
	return nil
}

func readValue(b []byte) (v graphValue, err error) {
	err = message(b, func(field protowire.Number, b []byte, _ uint64) error {
		switch field {
		case 1:
			v.Name = string(b)
		case 2:
			return message(b, func(field protowire.Number, b []byte, _ uint64) error {
				if field != 1 {
					return nil
				}
				v.tensor = true
				return message(b, func(field protowire.Number, b []byte, number uint64) error {
					if field == 1 {
						v.DType = onnxTypes[number]
					}
					if field == 2 {
						v.Shape = tensor.Shape{}
						return message(b, func(_ protowire.Number, b []byte, _ uint64) error {
							v.Shape = append(v.Shape, readAxis(b))
							return nil
						})
					}
					return nil
				})
			})
		}
		return nil
	})
	return v, err
}

func readAxis(b []byte) int64 {
	axis := int64(-1)
	_ = message(b, func(field protowire.Number, _ []byte, number uint64) error {
		if field == 1 && number <= math.MaxInt64 {
			axis = int64(number)
		}
		return nil
	})
	return axis
}

// signature selects the outputs wanted; empty means all.
func (g *graph) signature(wanted []string) (gpu.Signature, error) {
	var sig gpu.Signature
	for _, v := range g.inputs {
		sig.Inputs = append(sig.Inputs, v.Value)
	}
	if len(wanted) == 0 {
		for _, v := range g.outputs {
			wanted = append(wanted, v.Name)
		}
	}
	for _, name := range wanted {
		at := slices.IndexFunc(g.outputs, func(v graphValue) bool { return v.Name == name })
		if at < 0 {
			return sig, fmt.Errorf("%w: no output %q", gpu.ErrModel, name)
		}
		if !g.outputs[at].tensor {
			return sig, fmt.Errorf("%w: output %q is no tensor (export with zipmap off)", gpu.ErrModel, name)
		}
		sig.Outputs = append(sig.Outputs, g.outputs[at].Value)
	}
	return sig, nil
}

// stepsFor returns the nodes that the outputs need, in the graph's order.
func (g *graph) stepsFor(outputs []gpu.Value) ([]node, error) {
	needed := map[string]bool{}
	for _, v := range outputs {
		needed[v.Name] = true
	}
	var steps []node
	for _, n := range slices.Backward(g.nodes) {
		if !slices.ContainsFunc(n.out, func(name string) bool { return needed[name] }) {
			continue
		}
		if _, ok := operators[n.op]; !ok && n.op != "Loop" {
			return nil, fmt.Errorf("%w: the fake does not know the operator %q", gpu.ErrModel, n.op)
		}
		for _, name := range n.in {
			needed[name] = true
		}
		steps = append(steps, n)
	}
	slices.Reverse(steps)
	return steps, nil
}
