package gpu

// #cgo CFLAGS: -O2 -I${SRCDIR}/include
// #cgo linux LDFLAGS: -ldl
// #include <stdlib.h>
// #include "ort.h"
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/scry-ml/scry/tensor"
)

const maxRank = C.SCRY_MAX_RANK

// dtypes maps ONNX element types to ours; what is missing cannot be served.
var dtypes = map[C.int32_t]tensor.DType{
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:    tensor.Float32,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE:   tensor.Float64,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:  tensor.Float16,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16: tensor.BFloat16,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8:     tensor.Int8,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16:    tensor.Int16,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:    tensor.Int32,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:    tensor.Int64,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:    tensor.Uint8,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16:   tensor.Uint16,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32:   tensor.Uint32,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64:   tensor.Uint64,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL:     tensor.Bool,
	C.ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING:   tensor.String,
}

// elementTypes is the inverse of dtypes, indexed by tensor.DType.
var elementTypes = func() (out [tensor.String + 1]C.int32_t) {
	for c, t := range dtypes {
		out[t] = c
	}
	return out
}()

// handle reads a pointer that the binding keeps in an unexported field: what
// it wraps but has no call for. The path of field names is checked by Open
// (checkBinding), so that another version of the binding fails there and not
// later.
func handle(v any, fields ...string) unsafe.Pointer {
	r := reflect.ValueOf(v)
	for _, name := range fields {
		for r.Kind() == reflect.Pointer {
			r = r.Elem()
		}
		if r = r.FieldByName(name); !r.IsValid() {
			return nil
		}
	}
	return r.UnsafePointer()
}

func sessionHandle(s *ort.DynamicAdvancedSession) *C.OrtSession {
	return (*C.OrtSession)(handle(s, "s", "ortSession"))
}

func runOptionsHandle(o *ort.RunOptions) *C.OrtRunOptions {
	return (*C.OrtRunOptions)(handle(o, "o"))
}

// checkBinding makes sure that handle finds what it needs.
func checkBinding() error {
	for _, c := range []struct {
		in     any
		fields []string
	}{
		{ort.DynamicAdvancedSession{}, []string{"s"}},
		{ort.AdvancedSession{}, []string{"ortSession"}},
		{ort.RunOptions{}, []string{"o"}},
		{ort.SessionOptions{}, []string{"o"}},
		{ort.EpDevice{}, []string{"p"}},
	} {
		f, ok := reflect.TypeOf(c.in).FieldByName(c.fields[0])
		if !ok || f.Type.Kind() != reflect.Pointer {
			return fmt.Errorf("%w: the binding's %T has no field %q", ErrLibrary, c.in, c.fields[0])
		}
	}
	return nil
}

// openAPI finds the C API in the library that the binding has opened.
func openAPI(path string) error {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	if why := C.scry_ort_open(p); why != nil {
		return fmt.Errorf("%w: %s", ErrLibrary, C.GoString(why))
	}
	return nil
}

// takeStatus frees a status and returns its code and message.
func takeStatus(s *C.OrtStatus) (int, string) {
	code, msg := int(C.scry_error_code(s)), C.GoString(C.scry_error_message(s))
	C.scry_release_status(s)
	return code, msg
}

func statusError(s *C.OrtStatus) error {
	if s == nil {
		return nil
	}
	_, msg := takeStatus(s)
	return errors.New(msg)
}

// readSignature asks a session for its inputs and outputs. wanted selects and
// orders the outputs; empty means all.
func readSignature(s *C.OrtSession, wanted []string) (sig Signature, plans []outputPlan, err error) {
	var ins [][]string // the axes' names of each input
	var inputs, outputs C.size_t
	if err := statusError(C.scry_session_counts(s, &inputs, &outputs)); err != nil {
		return sig, nil, fmt.Errorf("%w: %s", ErrModel, sanitize(err.Error()))
	}
	for i := range inputs {
		v, err := readValue(s, false, i)
		if err == nil {
			err = v.refused
		}
		if err != nil {
			return sig, nil, err
		}
		sig.Inputs = append(sig.Inputs, v.Value)
		ins = append(ins, v.axes)
	}
	all := map[string]graphValue{}
	var names []string
	for i := range outputs {
		v, err := readValue(s, true, i)
		if err != nil {
			return sig, nil, err
		}
		all[v.Name] = v
		names = append(names, v.Name)
	}
	if len(wanted) == 0 {
		wanted = names
	}
	for _, name := range wanted {
		v, ok := all[name]
		if !ok {
			return sig, nil, fmt.Errorf("%w: no output %q, the graph has %q", ErrModel, name, names)
		}
		if v.refused != nil {
			return sig, nil, v.refused
		}
		sig.Outputs = append(sig.Outputs, v.Value)
		plans = append(plans, planOutput(v, sig.Inputs, ins))
	}
	if len(sig.Outputs) == 0 {
		return sig, nil, fmt.Errorf("%w: the graph has no outputs", ErrModel)
	}
	return sig, plans, nil
}

type graphValue struct {
	Value
	axes    []string // their symbolic names; empty = none
	refused error    // why it cannot be served; matters only when it is wanted
}

func readValue(s *C.OrtSession, output bool, i C.size_t) (graphValue, error) {
	var name *C.char
	var onnxType, elem, rank C.int32_t
	var dims [maxRank]C.int64_t
	var axes [maxRank]*C.char
	isOutput, side := C.int(0), "input"
	if output {
		isOutput, side = 1, "output"
	}
	st := C.scry_value_info(s, isOutput, i, &name, &onnxType, &elem, &rank, &dims[0], &axes[0])
	defer func() {
		for _, p := range axes {
			C.free(unsafe.Pointer(p))
		}
	}()
	if err := statusError(st); err != nil {
		return graphValue{}, fmt.Errorf("%w: %s %d: %s", ErrModel, side, i, sanitize(err.Error()))
	}
	v := graphValue{Value: Value{Name: C.GoString(name)}}
	C.scry_free_string(name)
	if onnxType != C.ONNX_TYPE_TENSOR {
		v.refused = fmt.Errorf("%w: %s %q is no tensor but a %s", ErrModel, side, v.Name, onnxKind(onnxType))
		return v, nil
	}
	var ok bool
	if v.DType, ok = dtypes[elem]; !ok {
		v.refused = fmt.Errorf("%w: %s %q has an element type that cannot be served (ONNX type %d)", ErrModel, side, v.Name, elem)
	}
	if rank >= 0 {
		v.Shape = make(tensor.Shape, rank)
		for axis := range v.Shape {
			v.Shape[axis] = max(int64(dims[axis]), -1)
			v.axes = append(v.axes, C.GoString(axes[axis]))
		}
	}
	return v, nil
}

func onnxKind(t C.int32_t) string {
	switch t {
	case C.ONNX_TYPE_SEQUENCE, C.ONNX_TYPE_MAP:
		return "sequence or map (scikit-learn's ZipMap: export with options={\"zipmap\": False})"
	case C.ONNX_TYPE_OPTIONAL:
		return "optional value"
	case C.ONNX_TYPE_SPARSETENSOR:
		return "sparse tensor"
	}
	return "value of a kind that cannot be served"
}

// assignedNodes counts a session's nodes, and those that the provider (by
// ONNX Runtime's name for it) runs. Zeros when ONNX Runtime does not say.
func assignedNodes(s *C.OrtSession, provider string) (on, all int) {
	name := C.CString(provider)
	defer C.free(unsafe.Pointer(name))
	var nOn, nAll C.size_t
	if err := statusError(C.scry_assigned_nodes(s, name, &nOn, &nAll)); err != nil {
		return 0, 0
	}
	return int(nOn), int(nAll)
}

func cancelLoad(o *ort.SessionOptions) {
	C.scry_cancel_load((*C.OrtSessionOptions)(handle(o, "o")))
}

// epDevice tells the kind of hardware behind a plugin's device ("cpu", "gpu",
// "npu"), its vendor, and OpenVINO's own name for it ("CPU", "GPU.0").
func epDevice(d ort.EpDevice) (kind, vendor, name string) {
	var t C.int32_t
	var v, n *C.char
	C.scry_ep_device((*C.OrtEpDevice)(handle(d, "p")), &t, &v, &n)
	switch t {
	case C.OrtHardwareDeviceType_CPU:
		kind = "cpu"
	case C.OrtHardwareDeviceType_GPU:
		kind = "gpu"
	default:
		kind = "npu"
	}
	return kind, C.GoString(v), strings.TrimSpace(C.GoString(n))
}
