package gpu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"google.golang.org/protobuf/encoding/protowire"
)

// EstimateBytes returns about how many bytes of memory the model at path takes
// on the CPU provider while it is loaded: its weights, inside the file and
// beside it, times 1.25 (docs/gpu.md has the measurement). What a run needs
// for its activations comes on top and depends on the shapes of its inputs.
//
// Only the structure of the file is read, not its weights. Errors wrap
// ErrModel: no such file, not an ONNX model, external data missing or outside
// the model's directory.
func EstimateBytes(path string) (int64, error) {
	m, err := readModelFile(path)
	if err != nil {
		return 0, err
	}
	return cpuProvider{}.need(m), nil
}

// modelFile is what must be known of a model before ONNX Runtime sees it.
type modelFile struct {
	weights int64 // bytes of the file and of its external data
	inline  int64 // of those, in the file
	nodes   int   // operators, those of nested graphs too
	loops   bool  // has a Loop or Scan: a run may last for ever
	norank  bool  // has an input that says nothing of its shape
	text    bool  // has strings, or operators of classical learning, which may make them

	dir   string
	files map[string]bool // external files that are counted whole
}

func readModelFile(path string) (*modelFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: there is no such file", ErrModel)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil || !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: it is not a regular file", ErrModel)
	case info.Size() == 0:
		return nil, fmt.Errorf("%w: the file is empty", ErrModel)
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("%w: the file cannot be read", ErrModel)
	}
	defer func() { _ = syscall.Munmap(data) }()

	m := &modelFile{weights: info.Size(), inline: info.Size(), dir: filepath.Dir(path), files: map[string]bool{}}
	graphs := 0
	err = fields(data, func(field protowire.Number, value []byte) error {
		switch field {
		case 7: // ModelProto.graph
			graphs++
			return m.graph(value, 0)
		case 25: // ModelProto.functions: a FunctionProto's nodes are field 7
			return fields(value, func(field protowire.Number, value []byte) error {
				if field == 7 {
					return m.node(value, 0)
				}
				return nil
			})
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrModel):
		return nil, err
	case err != nil || graphs == 0:
		return nil, fmt.Errorf("%w: the file is not an ONNX model", ErrModel)
	}
	return m, nil
}

// maxDepth of nested graphs; protobuf itself stops at 100 nested messages,
// which is fewer graphs.
const maxDepth = 64

var errFormat = errors.New("malformed protobuf")

// fields calls f for each length-delimited field of a message.
func fields(b []byte, f func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errFormat
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
				return errFormat
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return errFormat
		}
		if err := f(field, value); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// varint returns the last value of a varint field of a message, 0 when it has
// none.
func varint(b []byte, want protowire.Number) (last uint64) {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return last
		}
		b = b[n:]
		if field == want && kind == protowire.VarintType {
			last, _ = protowire.ConsumeVarint(b)
		}
		if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
			return last
		}
		b = b[n:]
	}
	return last
}

func (m *modelFile) graph(b []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: graphs are nested more than %d deep", ErrModel, maxDepth)
	}
	return fields(b, func(field protowire.Number, value []byte) error {
		switch field {
		case 1: // node
			return m.node(value, depth)
		case 5: // initializer
			return m.tensor(value)
		case 11: // input
			return m.valueInfo(value, depth == 0)
		case 12, 13: // output, value_info
			return m.valueInfo(value, false)
		}
		return nil
	})
}

// stringType is TensorProto.DataType.STRING.
const stringType = 8

// valueInfo notes tensors of strings, and inputs of unknown rank.
func (m *modelFile) valueInfo(b []byte, input bool) error {
	return fields(b, func(field protowire.Number, value []byte) error {
		if field != 2 { // type
			return nil
		}
		return fields(value, func(field protowire.Number, value []byte) error {
			if field != 1 { // tensor_type
				return nil
			}
			m.text = m.text || varint(value, 1) == stringType // elem_type
			shaped := false
			err := fields(value, func(field protowire.Number, _ []byte) error {
				shaped = shaped || field == 2 // shape
				return nil
			})
			m.norank = m.norank || input && !shaped
			return err
		})
	})
}

func (m *modelFile) node(b []byte, depth int) error {
	m.nodes++
	return fields(b, func(field protowire.Number, value []byte) error {
		switch field {
		case 4: // op_type
			if op := string(value); op == "Loop" || op == "Scan" {
				m.loops = true
			}
		case 7: // domain
			m.text = m.text || string(value) == "ai.onnx.ml"
		case 5: // attribute
			if varint(value, 3) == stringType && attributeName(value) == "to" { // i: Cast to string
				m.text = true
			}
			return fields(value, func(field protowire.Number, value []byte) error {
				switch field {
				case 5, 10: // t, tensors
					return m.tensor(value)
				case 6, 11: // g, graphs
					return m.graph(value, depth+1)
				}
				return nil
			})
		}
		return nil
	})
}

func attributeName(b []byte) (name string) {
	_ = fields(b, func(field protowire.Number, value []byte) error {
		if field == 1 {
			name = string(value)
		}
		return nil
	})
	return name
}

// tensor counts external data; what lies in the file is counted by its size.
func (m *modelFile) tensor(b []byte) error {
	m.text = m.text || varint(b, 2) == stringType // data_type
	external := map[string]string{}
	err := fields(b, func(field protowire.Number, value []byte) error {
		if field != 13 { // external_data
			return nil
		}
		var key, v string
		err := fields(value, func(field protowire.Number, value []byte) error {
			switch field {
			case 1:
				key = string(value)
			case 2:
				v = string(value)
			}
			return nil
		})
		external[key] = v
		return err
	})
	location, ok := external["location"]
	if err != nil || !ok {
		return err
	}
	if !filepath.IsLocal(location) {
		return fmt.Errorf("%w: external data %q lies outside the model's directory", ErrModel, location)
	}
	info, err := os.Lstat(filepath.Join(m.dir, location))
	if err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%w: external data %q is missing", ErrModel, location)
	}
	if n, err := strconv.ParseInt(external["length"], 10, 64); err == nil && n >= 0 && n <= info.Size() {
		m.weights += n
	} else if !m.files[location] {
		m.files[location] = true
		m.weights += info.Size()
	}
	return nil
}
