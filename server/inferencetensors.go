package server

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/proto/inference"
	"github.com/scry-ml/scry/tensor"
)

// datatypes are the protocol's names of element types.
var datatypes = map[string]tensor.DType{
	"BOOL": tensor.Bool, "BYTES": tensor.String,
	"INT8": tensor.Int8, "INT16": tensor.Int16, "INT32": tensor.Int32, "INT64": tensor.Int64,
	"UINT8": tensor.Uint8, "UINT16": tensor.Uint16, "UINT32": tensor.Uint32, "UINT64": tensor.Uint64,
	"FP16": tensor.Float16, "BF16": tensor.BFloat16, "FP32": tensor.Float32, "FP64": tensor.Float64,
}

// datatypeNames is the inverse of datatypes, by element type.
var datatypeNames = func() (names [tensor.String + 1]string) {
	for name, t := range datatypes {
		names[t] = name
	}
	return names
}()

// inputError blames a part of a named input. The name stands in the path, so
// that callers see it whatever the order of their inputs.
func inputError(name, part, reason, format string, args ...any) error {
	field := fmt.Sprintf("inputs[%q]", name)
	if part != "" {
		field += "." + part
	}
	return &pipeline.InputError{Field: field, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// inputTensors lays a request's inputs out in the order of the signature. Raw
// contents are not copied. Errors are a *pipeline.InputError, or a status.
func inputTensors(req *inference.ModelInferRequest, want []gpu.Value) ([]tensor.Tensor, error) {
	raw := req.GetRawInputContents()
	if n := len(req.GetInputs()); len(raw) > 0 && len(raw) != n {
		return nil, &pipeline.InputError{
			Field: "raw_input_contents", Reason: "INPUT_SIZE", Message: fmt.Sprintf("has %d entries for %d inputs", len(raw), n),
		}
	}
	inputs := make([]tensor.Tensor, len(want))
	for i, in := range req.GetInputs() {
		name := in.GetName()
		at := slices.IndexFunc(want, func(v gpu.Value) bool { return v.Name == name })
		if at < 0 {
			return nil, inputError(name, "", "INPUT_UNKNOWN", "the graph has no such input; it has %s", valueNames(want))
		}
		if inputs[at].DType != tensor.Invalid {
			return nil, inputError(name, "", "INPUT_TWICE", "is given twice")
		}
		if err := refuseParameters(in.GetParameters(), "inputs", name); err != nil {
			return nil, err
		}
		n, err := checkDeclared(in, &want[at])
		if err != nil {
			return nil, err
		}
		if len(raw) == 0 {
			inputs[at], err = typedTensor(in, want[at].DType, n)
		} else if empty(in.GetContents()) {
			inputs[at], err = rawTensor(in, want[at].DType, n, raw[i])
		} else {
			err = inputError(name, "contents", "INPUT_TWICE", "must be empty beside raw_input_contents")
		}
		if err != nil {
			return nil, err
		}
	}
	for i, t := range inputs {
		if t.DType == tensor.Invalid {
			return nil, inputError(want[i].Name, "", "INPUT_MISSING", "the graph needs it")
		}
	}
	return inputs, nil
}

// checkDeclared compares an input's type and shape with the graph's and
// returns the number of elements.
func checkDeclared(in *inference.ModelInferRequest_InferInputTensor, want *gpu.Value) (int, error) {
	shape := tensor.Shape(in.GetShape())
	if t, ok := datatypes[in.GetDatatype()]; !ok || t != want.DType {
		return 0, inputError(want.Name, "datatype", "INPUT_TYPE", "is %q, the graph takes %s", in.GetDatatype(), datatypeNames[want.DType])
	}
	if want.Shape != nil {
		fits := len(shape) == len(want.Shape)
		for axis := 0; fits && axis < len(shape); axis++ {
			fits = want.Shape[axis] < 0 || want.Shape[axis] == shape[axis]
		}
		if !fits {
			return 0, inputError(want.Name, "shape", "INPUT_SHAPE", "is %v, the graph takes %v", shape, want.Shape)
		}
	}
	n, err := shape.Elements()
	if err != nil {
		return 0, inputError(want.Name, "shape", "INPUT_SHAPE", "%v", err)
	}
	return n, nil
}

// rawTensor wraps raw contents, whose memory it shares.
func rawTensor(in *inference.ModelInferRequest_InferInputTensor, t tensor.DType, n int, raw []byte) (tensor.Tensor, error) {
	out := tensor.Tensor{DType: t, Shape: in.GetShape()}
	if t == tensor.String {
		var err error
		out.Strings, err = readStrings(raw, n)
		if err != nil {
			return out, inputError(in.GetName(), "contents", "INPUT_SIZE", "%v", err)
		}
		return out, nil
	}
	// n is bounded by 2⁵⁹, so the product cannot overflow.
	if want := n * t.Size(); len(raw) != want {
		return out, inputError(in.GetName(), "contents", "INPUT_SIZE", "has %d bytes, %s%v takes %d", len(raw), in.GetDatatype(), out.Shape, want)
	}
	out.Data = raw
	return out, checkBools(in, out)
}

func checkBools(in *inference.ModelInferRequest_InferInputTensor, t tensor.Tensor) error {
	if t.DType == tensor.Bool {
		if i := slices.IndexFunc(t.Data, func(b byte) bool { return b > 1 }); i >= 0 {
			return inputError(in.GetName(), "contents", "INPUT_RANGE", "element %d is %d, which is no BOOL", i, t.Data[i])
		}
	}
	return nil
}

// readStrings splits n strings, each behind its length in 4 bytes.
func readStrings(raw []byte, n int) ([]string, error) {
	if n > len(raw)/4 {
		return nil, fmt.Errorf("has %d bytes, which cannot hold %d strings", len(raw), n)
	}
	out := make([]string, n)
	for i := range out {
		if len(raw) < 4 {
			return nil, fmt.Errorf("ends before string %d of %d", i, n)
		}
		size := uint64(binary.LittleEndian.Uint32(raw))
		if size > uint64(len(raw)-4) {
			return nil, fmt.Errorf("ends within string %d of %d", i, n)
		}
		out[i] = string(raw[4 : 4+size])
		raw = raw[4+size:]
	}
	if len(raw) > 0 {
		return nil, fmt.Errorf("has %d bytes after string %d", len(raw), n)
	}
	return out, nil
}

// appendStrings is the inverse of readStrings.
func appendStrings(strings []string) []byte {
	size := 0
	for _, s := range strings {
		size += 4 + len(s)
	}
	out := make([]byte, 0, size)
	for _, s := range strings {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(s)))
		out = append(out, s...)
	}
	return out
}

// typedTensor builds a tensor from typed contents, which must lie in the field
// of its type and in no other.
func typedTensor(in *inference.ModelInferRequest_InferInputTensor, t tensor.DType, n int) (out tensor.Tensor, err error) {
	c := in.GetContents()
	given := 0
	switch t {
	case tensor.Bool:
		given = len(c.GetBoolContents())
	case tensor.Int8, tensor.Int16, tensor.Int32:
		given = len(c.GetIntContents())
	case tensor.Int64:
		given = len(c.GetInt64Contents())
	case tensor.Uint8, tensor.Uint16, tensor.Uint32:
		given = len(c.GetUintContents())
	case tensor.Uint64:
		given = len(c.GetUint64Contents())
	case tensor.Float32:
		given = len(c.GetFp32Contents())
	case tensor.Float64:
		given = len(c.GetFp64Contents())
	case tensor.String:
		given = len(c.GetBytesContents())
	}
	switch {
	case t.Size() == 2 && t.IsFloat() && n > 0:
		return out, inputError(in.GetName(), "contents", "INPUT_SIZE", "%s has no typed contents: send raw_input_contents", in.GetDatatype())
	case elements(c) != given:
		return out, inputError(in.GetName(), "contents", "INPUT_TYPE", "holds elements of another type than %s", in.GetDatatype())
	case given != n:
		return out, inputError(in.GetName(), "contents", "INPUT_SIZE", "has %d elements, the shape %v takes %d", given, tensor.Shape(in.GetShape()), n)
	}
	// All elements are there, so the shape asks for no more memory than the
	// message has.
	shape := in.GetShape()
	bad := -1
	switch t {
	case tensor.Bool:
		out, err = tensor.From(c.GetBoolContents(), shape...)
	case tensor.Int8:
		out, bad, err = narrow[int8](c.GetIntContents(), shape)
	case tensor.Int16:
		out, bad, err = narrow[int16](c.GetIntContents(), shape)
	case tensor.Int32:
		out, err = tensor.From(c.GetIntContents(), shape...)
	case tensor.Int64:
		out, err = tensor.From(c.GetInt64Contents(), shape...)
	case tensor.Uint8:
		out, bad, err = narrow[uint8](c.GetUintContents(), shape)
	case tensor.Uint16:
		out, bad, err = narrow[uint16](c.GetUintContents(), shape)
	case tensor.Uint32:
		out, err = tensor.From(c.GetUintContents(), shape...)
	case tensor.Uint64:
		out, err = tensor.From(c.GetUint64Contents(), shape...)
	case tensor.Float32:
		out, err = tensor.From(c.GetFp32Contents(), shape...)
	case tensor.Float64:
		out, err = tensor.From(c.GetFp64Contents(), shape...)
	case tensor.String:
		strings := make([]string, n)
		for i, b := range c.GetBytesContents() {
			strings[i] = string(b)
		}
		out, err = tensor.FromStrings(strings, shape...)
	default: // 16-bit floats of no element
		out, err = tensor.New(t, shape...)
	}
	switch {
	case bad >= 0:
		return out, inputError(in.GetName(), "contents", "INPUT_RANGE", "element %d does not fit %s", bad, in.GetDatatype())
	case err != nil:
		return out, inputError(in.GetName(), "shape", "INPUT_SHAPE", "%v", err)
	}
	return out, nil
}

// narrow copies numbers into a smaller type. bad is the first that does not
// fit, -1 when all do.
func narrow[T int8 | int16 | uint8 | uint16, F int32 | uint32](in []F, shape []int64) (t tensor.Tensor, bad int, err error) {
	out := make([]T, len(in))
	for i, v := range in {
		if out[i] = T(v); F(out[i]) != v {
			return t, i, nil
		}
	}
	t, err = tensor.From(out, shape...)
	return t, -1, err
}

// elements counts the elements of all types.
func elements(c *inference.InferTensorContents) int {
	return len(c.GetBoolContents()) + len(c.GetIntContents()) + len(c.GetInt64Contents()) + len(c.GetUintContents()) +
		len(c.GetUint64Contents()) + len(c.GetFp32Contents()) + len(c.GetFp64Contents()) + len(c.GetBytesContents())
}

func empty(c *inference.InferTensorContents) bool { return elements(c) == 0 }

// refuseParameters refuses what a tensor's parameters may ask for and scry
// does not do. Others are remarks, and ignored.
func refuseParameters(params map[string]*inference.InferParameter, list, tensor string) error {
	if len(params) == 0 {
		return nil
	}
	for _, p := range []struct{ name, why string }{
		{"shared_memory_region", "tensors travel in the messages: shared memory is not offered"},
		{"classification", "the classification extension is not offered"},
	} {
		if params[p.name] != nil {
			return failed(codes.Unimplemented, "NOT_OFFERED", fmt.Sprintf("%s[%q].parameters[%q]", list, tensor, p.name), "%s", p.why)
		}
	}
	return nil
}

// wantedOutputs returns the places of the outputs that a request names, nil
// for all.
func wantedOutputs(asked []*inference.ModelInferRequest_InferRequestedOutputTensor, have []gpu.Value) ([]int, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	places := make([]int, 0, min(len(asked), len(have)))
	for _, out := range asked {
		name := out.GetName()
		at := slices.IndexFunc(have, func(v gpu.Value) bool { return v.Name == name })
		if at < 0 {
			return nil, outputError(name, "OUTPUT_UNKNOWN", "the graph offers no such output; it offers "+valueNames(have))
		}
		if slices.Contains(places, at) {
			return nil, outputError(name, "OUTPUT_TWICE", "is named twice")
		}
		if err := refuseParameters(out.GetParameters(), "outputs", name); err != nil {
			return nil, err
		}
		places = append(places, at)
	}
	return places, nil
}

func outputError(name, reason, message string) error {
	return &pipeline.InputError{Field: fmt.Sprintf("outputs[%q]", name), Reason: reason, Message: message}
}

// answer is a response with room for the outputs of most graphs, so that it is
// one allocation.
type answer struct {
	resp     inference.ModelInferResponse
	outputs  [2]*inference.ModelInferResponse_InferOutputTensor
	contents [2][]byte
	tensors  [2]inference.ModelInferResponse_InferOutputTensor
}

// newResponse returns a response with n empty outputs.
func newResponse(n int) *inference.ModelInferResponse {
	a := new(answer)
	tensors := a.tensors[:]
	if n > len(tensors) {
		tensors = make([]inference.ModelInferResponse_InferOutputTensor, n)
		a.resp.Outputs = make([]*inference.ModelInferResponse_InferOutputTensor, n)
		a.resp.RawOutputContents = make([][]byte, n)
	} else {
		a.resp.Outputs = a.outputs[:n]
		a.resp.RawOutputContents = a.contents[:n]
	}
	for i := range a.resp.Outputs {
		a.resp.Outputs[i] = &tensors[i]
	}
	return &a.resp
}

// setOutput fills in output i and its raw contents, which share the tensor's
// memory.
func setOutput(resp *inference.ModelInferResponse, i int, name string, t tensor.Tensor) {
	raw := t.Data
	if t.DType == tensor.String {
		raw = appendStrings(t.Strings)
	}
	out := resp.Outputs[i]
	out.Name, out.Datatype, out.Shape = name, datatypeNames[t.DType], t.Shape
	resp.RawOutputContents[i] = raw
}

// valueNames lists names for a message.
func valueNames(values []gpu.Value) string {
	out := ""
	for i, v := range values {
		if i > 0 {
			out += ", "
		}
		if len(out) > 256 {
			return out + "…"
		}
		out += v.Name
	}
	return out
}

// dataTypes are the types as a ModelConfig names them.
var dataTypes = map[tensor.DType]inference.DataType{
	tensor.Bool: inference.DataType_TYPE_BOOL, tensor.String: inference.DataType_TYPE_STRING,
	tensor.Int8: inference.DataType_TYPE_INT8, tensor.Int16: inference.DataType_TYPE_INT16,
	tensor.Int32: inference.DataType_TYPE_INT32, tensor.Int64: inference.DataType_TYPE_INT64,
	tensor.Uint8: inference.DataType_TYPE_UINT8, tensor.Uint16: inference.DataType_TYPE_UINT16,
	tensor.Uint32: inference.DataType_TYPE_UINT32, tensor.Uint64: inference.DataType_TYPE_UINT64,
	tensor.Float16: inference.DataType_TYPE_FP16, tensor.BFloat16: inference.DataType_TYPE_BF16,
	tensor.Float32: inference.DataType_TYPE_FP32, tensor.Float64: inference.DataType_TYPE_FP64,
}

// rowsAsInt32 keeps a count within the protocol's type.
func rowsAsInt32(n int) int32 { return int32(min(n, math.MaxInt32)) }
