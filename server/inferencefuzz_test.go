package server

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/proto/inference"
)

// FuzzInputTensors decodes arbitrary requests against signatures of every
// type: whatever is accepted is a valid tensor, and comes back as it went in.
func FuzzInputTensors(f *testing.F) {
	for i, e := range everyType {
		req := &inference.ModelInferRequest{
			Inputs:           []*inference.ModelInferRequest_InferInputTensor{input("x", e.datatype, 2)},
			RawInputContents: [][]byte{e.raw},
		}
		data, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), data)
		req.RawInputContents, req.Inputs[0].Contents = nil, e.typed
		if data, err = proto.Marshal(req); err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), data)
		req.Inputs[0].Shape = []int64{1 << 62, 1 << 62, 0}
		if data, err = proto.Marshal(req); err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), data)
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		req := &inference.ModelInferRequest{}
		if proto.Unmarshal(data, req) != nil {
			return
		}
		e := everyType[int(which)%len(everyType)]
		tensors, err := inputTensors(req, []gpu.Value{{Name: "x", DType: datatypes[e.datatype]}})
		if err != nil {
			return
		}
		if err := tensors[0].Validate(); err != nil {
			t.Fatalf("accepted: %v", err)
		}
		resp := newResponse(1)
		setOutput(resp, 0, "x", tensors[0])
		again, err := inputTensors(&inference.ModelInferRequest{
			Inputs:           []*inference.ModelInferRequest_InferInputTensor{input("x", resp.Outputs[0].Datatype, resp.Outputs[0].Shape...)},
			RawInputContents: resp.RawOutputContents,
		}, []gpu.Value{{Name: "x", DType: datatypes[e.datatype]}})
		if err != nil {
			t.Fatalf("its own answer is refused: %v", err)
		}
		a, b := tensors[0], again[0]
		if !a.Shape.Equal(b.Shape) || !bytes.Equal(a.Data, b.Data) || len(a.Strings) != len(b.Strings) {
			t.Fatalf("%v became %v", a, b)
		}
		for i := range a.Strings {
			if a.Strings[i] != b.Strings[i] {
				t.Fatalf("string %d differs", i)
			}
		}
	})
}
