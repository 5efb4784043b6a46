package bundle

import (
	"bufio"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"sort"
	"strconv"
	"strings"

	"github.com/scry-ml/scry/tensor"
)

// ErrGraph is wrapped by every error about an ONNX file that cannot be read or
// must not reach ONNX Runtime.
var ErrGraph = errors.New("invalid ONNX graph")

// Bounds of a graph. They lie far above what exporters write and below what
// makes loading take minutes.
const (
	maxNodes     = 1_000_000
	maxDepth     = 16 // graphs within graphs (If, Loop, Scan)
	maxName      = 64 << 10
	maxValueName = 1 << 10 // longer names of values are not followed
	maxNestedLen = 64      // messages within messages
	maxClasses   = 65536   // more are not named
	maxZipMaps   = 64      // more are not cut
	maxRead      = 4 << 20 // values that nodes read; of more it is not kept who is read
)

// Graph is what scry must know of an ONNX file before ONNX Runtime sees it. It
// is read in one pass that skips the weights, so a file of gigabytes costs no
// memory.
type Graph struct {
	// IRVersion is the version of the file format.
	IRVersion int64
	// Producer is the exporter's name and version, such as "pytorch 2.9".
	Producer string
	// Opsets holds the operator set version by domain; "" is ai.onnx.
	Opsets map[string]int64
	// Inputs are the inputs that a caller must feed (initialisers excluded).
	Inputs []Value
	// Outputs are the outputs.
	Outputs []Value
	// Operators counts the nodes by domain and type, nested graphs included.
	Operators map[Operator]int
	// Classes are the names that a classifier of ai.onnx.ml gives its classes, in
	// the order of its probabilities; integers are written in decimals. nil when
	// there is none, or several.
	Classes []string
	// ExternalData are the files that hold weights, as the graph names them.
	ExternalData []string
	// WeightBytes is the size of all initialisers, external ones included.
	WeightBytes int64

	span    span // of the graph's message in the file, with its key
	content int64
	zipMaps []zipMap
}

// span is a range of bytes of a file.
type span struct{ from, to int64 }

// zipMap is a node that turns probabilities into maps from class to probability.
type zipMap struct {
	at            span // the node's field in the graph
	name, in, out string
	classes       []string
}

// mlDomain holds the operators of classical machine learning.
const mlDomain = "ai.onnx.ml"

// Operator is a node's type in its domain; "" is ai.onnx.
type Operator struct{ Domain, Type string }

// Value is an input or output of a graph.
type Value struct {
	// Name is the value's name.
	Name string
	// Kind is "tensor", "sequence", "map", "optional" or "sparse".
	Kind string
	// DType is the element type of a tensor.
	DType tensor.DType
	// Shape has -1 for symbolic axes; nil when the graph declares no shape.
	Shape tensor.Shape
	// Symbols holds the names of symbolic axes, "" for fixed or nameless ones.
	Symbols []string
	// Limit is the number of rows of the weights that an integer input picks
	// from, as token ids pick from an embedding: its elements lie in [0, Limit).
	// 0 when it picks from none, or from computed values.
	Limit int64
	// Unread tells that no node reads this input.
	Unread bool

	at   span // of an output's field in the graph
	made made
}

// made tells which node computes a value, whatever copies or reshapes it then.
type made struct {
	by    Operator
	place int // among the node's outputs
}

// Input returns the input of that name.
func (g *Graph) Input(name string) (Value, bool) { return find(g.Inputs, name) }

// Output returns the output of that name.
func (g *Graph) Output(name string) (Value, bool) { return find(g.Outputs, name) }

func find(values []Value, name string) (Value, bool) {
	for _, v := range values {
		if v.Name == name {
			return v, true
		}
	}
	return Value{}, false
}

// openGraph reads the graph of a file.
func openGraph(dir fs.FS, name string) (*Graph, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, invalid(name, "%v", cause(err))
	}
	defer f.Close()
	g, err := ReadGraph(f)
	if err != nil {
		return nil, within(name, err)
	}
	return g, nil
}

// ReadGraph reads an ONNX model. Errors wrap ErrGraph and never hold the
// content.
func ReadGraph(r io.Reader) (*Graph, error) {
	s := &graphReader{
		wireReader: wireReader{in: bufio.NewReaderSize(r, 64<<10)},
		graph: &Graph{
			Opsets:    map[string]int64{},
			Operators: map[Operator]int{},
		},
		external:  map[string]bool{},
		functions: map[Operator]map[Operator]bool{},
		same:      map[string]alias{},
		made:      map[string]made{},
		read:      map[uint64]struct{}{},
		seed:      maphash.MakeSeed(),
	}
	if err := s.model(); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the file ends early")
		}
		return nil, fmt.Errorf("%w: %w", ErrGraph, err)
	}
	return s.graph, nil
}

// graphReader walks an onnx.ModelProto.
type graphReader struct {
	wireReader
	nesting  int // graphs
	nodes    int
	graph    *Graph
	external map[string]bool
	// functions holds, for each model-local function, what it calls.
	functions map[Operator]map[Operator]bool
	calls     map[Operator]bool // of the function being read
	sawGraph  bool
	// classifiers counts the nodes that name classes.
	classifiers int
	// Of the main graph: what Gather nodes pick from what, and values that hold
	// the elements of others.
	picks []pick
	same  map[string]alias
	// made holds what nodes of ai.onnx.ml, or the last step of a classifier,
	// compute.
	made map[string]made
	// read holds hashes of the values that nodes read, those of nested graphs
	// included; nil when there are too many.
	read map[uint64]struct{}
	seed maphash.Seed
}

// pick is a Gather node on axis 0.
type pick struct{ data, indices string }

// alias names the value whose elements another one holds, perhaps in another
// shape.
type alias struct {
	of       string
	reshaped bool
}

func (s *graphReader) model() error {
	var producer, version string
	err := s.message(-1, func(f field) (bool, error) {
		switch f.number {
		case 1:
			s.graph.IRVersion = int64(f.value)
		case 2:
			return s.str(f, &producer)
		case 3:
			return s.str(f, &version)
		case 7:
			if f.wire != wireBytes {
				return false, errors.New("not an ONNX model")
			}
			s.sawGraph = true
			s.graph.span, s.graph.content = span{f.start, s.pos + f.n}, s.pos
			return true, s.subgraph(s.pos+f.n, true)
		case 8:
			return s.opset(f)
		case 25:
			return s.function(f)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if !s.sawGraph || s.graph.IRVersion <= 0 {
		return errors.New("not an ONNX model")
	}
	if producer != "" && version != "" {
		producer += " " + version
	}
	s.graph.Producer = producer
	for name := range s.external {
		s.graph.ExternalData = append(s.graph.ExternalData, name)
	}
	sort.Strings(s.graph.ExternalData)
	return s.recursion()
}

func (s *graphReader) opset(f field) (bool, error) {
	var domain string
	var version int64
	done, err := s.sub(f, func(f field) (bool, error) {
		switch f.number {
		case 1:
			return s.str(f, &domain)
		case 2:
			version = int64(f.value)
		}
		return false, nil
	})
	if domain == "ai.onnx" {
		domain = ""
	}
	s.graph.Opsets[domain] = max(s.graph.Opsets[domain], version)
	return done, err
}

func (s *graphReader) function(f field) (bool, error) {
	var self Operator
	calls := map[Operator]bool{}
	s.calls = calls
	defer func() { s.calls = nil }()
	done, err := s.sub(f, func(f field) (bool, error) {
		switch f.number {
		case 1:
			return s.str(f, &self.Type)
		case 7:
			return s.node(f, false)
		case 10:
			return s.str(f, &self.Domain)
		}
		return false, nil
	})
	s.functions[self] = calls
	return done, err
}

// recursion refuses functions that call themselves: inlining them never ends.
func (s *graphReader) recursion() error {
	state := map[Operator]int{}
	var visit func(Operator) error
	visit = func(op Operator) error {
		switch state[op] {
		case 1:
			return fmt.Errorf("the function %q calls itself", op.Type)
		case 2:
			return nil
		}
		state[op] = 1
		for callee := range s.functions[op] {
			if _, local := s.functions[callee]; local {
				if err := visit(callee); err != nil {
					return err
				}
			}
		}
		state[op] = 2
		return nil
	}
	for op := range s.functions {
		if err := visit(op); err != nil {
			return err
		}
	}
	return nil
}

func (s *graphReader) subgraph(end int64, top bool) error {
	s.nesting++
	defer func() { s.nesting-- }()
	if s.nesting > maxDepth {
		return fmt.Errorf("graphs are nested more than %d deep", maxDepth)
	}
	initialisers := map[string]int64{} // rows by name
	var inputs []Value
	err := s.message(end, func(f field) (bool, error) {
		switch f.number {
		case 1:
			return s.node(f, top)
		case 5:
			name, rows, done, err := s.weights(f)
			initialisers[name] = rows
			return done, err
		case 15:
			return s.sub(f, func(f field) (bool, error) {
				if f.number == 1 || f.number == 2 {
					_, _, done, err := s.weights(f)
					return done, err
				}
				return false, nil
			})
		case 11:
			if !top {
				return false, nil
			}
			v, done, err := s.value(f)
			inputs = append(inputs, v)
			return done, err
		case 12:
			if !top {
				return false, nil
			}
			v, done, err := s.value(f)
			v.at = span{f.start, s.pos}
			s.graph.Outputs = append(s.graph.Outputs, v)
			return done, err
		}
		return false, nil
	})
	if top {
		// Before IR version 4 initialisers were listed as inputs too.
		for _, v := range inputs {
			if _, ok := initialisers[v.Name]; !ok {
				v.Unread = s.unread(v.Name)
				s.graph.Inputs = append(s.graph.Inputs, v)
			}
		}
		s.limits(initialisers)
		for i := range s.graph.Outputs {
			s.graph.Outputs[i].made = s.made[s.origin(s.graph.Outputs[i].Name, true)]
		}
	}
	return err
}

// origin follows a value to the one whose elements it holds.
func (s *graphReader) origin(name string, anyShape bool) string {
	for range 16 { // a broken graph may go in circles
		from, ok := s.same[name]
		if !ok || from.reshaped && !anyShape {
			break
		}
		name = from.of
	}
	return name
}

// reads notes that a node reads a value.
func (s *graphReader) reads(name string) {
	if s.read == nil {
		return
	}
	if len(s.read) == maxRead {
		s.read = nil
		return
	}
	s.read[maphash.String(s.seed, name)] = struct{}{}
}

// unread tells whether no node reads an input, and no output is it.
func (s *graphReader) unread(name string) bool {
	if len(s.read) == 0 || len(name) > maxValueName { // too many, or no graph that does anything
		return false
	}
	_, read := s.read[maphash.String(s.seed, name)]
	_, output := s.graph.Output(name)
	return !read && !output
}

// limits finds the inputs that pick rows of weights.
func (s *graphReader) limits(rows map[string]int64) {
	for _, p := range s.picks {
		n, from := rows[s.origin(p.data, false)], s.origin(p.indices, true)
		for i, v := range s.graph.Inputs {
			if n > 0 && v.Name == from && (v.DType == tensor.Int32 || v.DType == tensor.Int64) && (v.Limit == 0 || n < v.Limit) {
				s.graph.Inputs[i].Limit = n
			}
		}
	}
}

// node reads a NodeProto; main tells that it is one of the main graph.
func (s *graphReader) node(f field, main bool) (bool, error) {
	s.nodes++
	if s.nodes > maxNodes {
		return false, fmt.Errorf("more than %d nodes", maxNodes)
	}
	var op Operator
	var node string
	var in, out []string
	axis := uint64(0)
	var classes []string
	done, err := s.sub(f, func(f field) (bool, error) {
		switch f.number {
		case 1:
			if f.wire != wireBytes || f.n > maxValueName {
				return false, nil
			}
			var name string
			done, err := s.str(f, &name)
			s.reads(name)
			if main && len(in) < 2 {
				in = append(in, name)
			}
			return done, err
		case 2:
			if !main || f.wire != wireBytes || f.n > maxValueName {
				return false, nil
			}
			out = append(out, "")
			return s.str(f, &out[len(out)-1])
		case 3:
			if !main || f.n > maxValueName {
				return false, nil
			}
			return s.str(f, &node)
		case 4:
			return s.str(f, &op.Type)
		case 7:
			return s.str(f, &op.Domain)
		case 5:
			var name string
			var value uint64
			done, err := s.sub(f, func(f field) (bool, error) {
				switch {
				case f.number == 1 && f.n <= maxValueName:
					return s.str(f, &name)
				case f.number == 3:
					value = f.value
				case f.number == 8 && strings.HasPrefix(name, "classlabels"):
					return s.ints(f, func(v uint64) {
						if len(classes) <= maxClasses {
							classes = append(classes, strconv.FormatInt(int64(v), 10))
						}
					})
				case f.number == 9 && strings.HasPrefix(name, "classlabels") && f.n <= maxValueName && len(classes) <= maxClasses:
					classes = append(classes, "")
					return s.str(f, &classes[len(classes)-1])
				}
				return s.attribute(f)
			})
			if name == "axis" || name == "gather_axis" {
				axis = value
			}
			return done, err
		}
		return false, nil
	})
	if op.Domain == "ai.onnx" {
		op.Domain = ""
	}
	s.graph.Operators[op]++
	if main && op == (Operator{mlDomain, "ZipMap"}) {
		if len(in) == 1 && len(out) == 1 && len(s.graph.zipMaps) < maxZipMaps {
			s.graph.zipMaps = append(s.graph.zipMaps, zipMap{span{f.start, s.pos}, node, in[0], out[0], classes})
		}
		classes = nil // a classifier before it names them, or an operator that cannot
	}
	if main && (op.Domain == mlDomain || op.Type == "Sigmoid" || op.Type == "Softmax") {
		for i, name := range out {
			s.made[name] = made{op, i}
		}
	}
	if len(classes) > 0 && len(classes) <= maxClasses {
		s.classifiers++
		if s.graph.Classes = classes; s.classifiers > 1 {
			s.graph.Classes = nil // whose are the graph's?
		}
	}
	switch op.Type {
	case "Gather", "GatherBlockQuantized":
		if len(in) == 2 && axis == 0 {
			s.picks = append(s.picks, pick{in[0], in[1]})
		}
	case "Identity", "Cast", "DequantizeLinear", "Squeeze", "Unsqueeze", "Reshape", "Flatten":
		if len(in) > 0 && len(out) == 1 {
			reshaped := op.Type != "Identity" && op.Type != "Cast" && op.Type != "DequantizeLinear"
			s.same[out[0]] = alias{in[0], reshaped}
		}
	}
	if s.calls != nil {
		s.calls[op] = true
	}
	return done, err
}

func (s *graphReader) attribute(f field) (bool, error) {
	switch f.number {
	case 5, 10:
		_, _, done, err := s.weights(f)
		return done, err
	case 6, 11:
		if f.wire != wireBytes {
			return false, errors.New("not an ONNX model")
		}
		return true, s.subgraph(s.pos+f.n, false)
	}
	return false, nil
}

// weights reads a TensorProto but for its data. rows is the extent of axis 0,
// -1 for a scalar.
func (s *graphReader) weights(f field) (name string, rows int64, done bool, err error) {
	external := false
	location := ""
	elements, elementType := int64(1), 0
	rows = -1
	extent := func(d uint64) {
		if rows < 0 {
			rows = product(1, d)
		}
		elements = product(elements, d)
	}
	done, err = s.sub(f, func(f field) (bool, error) {
		switch f.number {
		case 1:
			return s.ints(f, extent)
		case 2:
			elementType = int(f.value)
		case 8:
			return s.str(f, &name)
		case 13:
			var key, value string
			done, err := s.sub(f, func(f field) (bool, error) {
				switch f.number {
				case 1:
					return s.str(f, &key)
				case 2:
					return s.str(f, &value)
				}
				return false, nil
			})
			if key == "location" {
				location = value
			}
			return done, err
		case 14:
			external = f.value == 1
		}
		return false, nil
	})
	if external || location != "" {
		s.external[location] = true
	}
	size := int64(1)
	if t := dtypeOfONNX(elementType); t.Size() > 0 {
		size = int64(t.Size())
	}
	s.graph.WeightBytes = min(s.graph.WeightBytes+product(elements, uint64(size)), 1<<60)
	return name, rows, done, err
}

func product(a int64, b uint64) int64 {
	if b > 1<<40 || (b > 0 && a > (1<<60)/int64(b)) {
		return 1 << 60
	}
	return a * int64(b)
}

func (s *graphReader) value(f field) (Value, bool, error) {
	v := Value{Kind: "tensor"}
	done, err := s.sub(f, func(f field) (bool, error) {
		switch f.number {
		case 1:
			return s.str(f, &v.Name)
		case 2:
			return s.sub(f, func(f field) (bool, error) {
				switch f.number {
				case 1:
					return s.sub(f, s.tensorType(&v))
				case 4:
					v.Kind = "sequence"
				case 5:
					v.Kind = "map"
				case 8:
					v.Kind = "sparse"
				case 9:
					v.Kind = "optional"
				}
				return false, nil
			})
		}
		return false, nil
	})
	return v, done, err
}

func (s *graphReader) tensorType(v *Value) func(field) (bool, error) {
	return func(f field) (bool, error) {
		switch f.number {
		case 1:
			v.DType = dtypeOfONNX(int(f.value))
		case 2:
			v.Shape, v.Symbols = tensor.Shape{}, []string{}
			return s.sub(f, func(f field) (bool, error) {
				if f.number != 1 {
					return false, nil
				}
				extent, symbol := int64(-1), ""
				done, err := s.sub(f, func(f field) (bool, error) {
					switch f.number {
					case 1:
						extent = int64(f.value)
					case 2:
						return s.str(f, &symbol)
					}
					return false, nil
				})
				if extent < 0 {
					extent = -1
				}
				v.Shape = append(v.Shape, extent)
				v.Symbols = append(v.Symbols, symbol)
				if len(v.Shape) > 64 {
					return done, errors.New("a tensor of more than 64 axes")
				}
				return done, err
			})
		}
		return false, nil
	}
}

// dtypeOfONNX maps onnx.TensorProto.DataType.
func dtypeOfONNX(t int) tensor.DType {
	switch t {
	case 1:
		return tensor.Float32
	case 2:
		return tensor.Uint8
	case 3:
		return tensor.Int8
	case 4:
		return tensor.Uint16
	case 5:
		return tensor.Int16
	case 6:
		return tensor.Int32
	case 7:
		return tensor.Int64
	case 8:
		return tensor.String
	case 9:
		return tensor.Bool
	case 10:
		return tensor.Float16
	case 11:
		return tensor.Float64
	case 12:
		return tensor.Uint32
	case 13:
		return tensor.Uint64
	case 16:
		return tensor.BFloat16
	}
	return tensor.Invalid
}
