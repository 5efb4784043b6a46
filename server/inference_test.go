package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/proto/inference"
	"github.com/scry-ml/scry/serving"
	"github.com/scry-ml/scry/tensor"
)

// liveServer is a whole server over a store of its own, behind a listener on
// loopback.
type liveServer struct {
	t       testing.TB
	store   *modelstore.Store
	manager *serving.Manager
	server  *Server
	address string
	inference.GRPCInferenceServiceClient
}

// storeCatalogue is what serving asks of a store.
type storeCatalogue struct{ store *modelstore.Store }

func (c storeCatalogue) Resolve(ctx context.Context, model, version string) (int64, error) {
	return c.store.Resolve(ctx, model, version)
}

func (c storeCatalogue) Routes(context.Context) ([]serving.Route, error) { return nil, nil }

func (c storeCatalogue) Materialize(ctx context.Context, model string, version int64) (string, func() error, error) {
	d, err := c.store.Materialize(ctx, model, version)
	if err != nil {
		return "", nil, err
	}
	return d.Path, d.Close, nil
}

func newLiveServer(t testing.TB, loader gpu.Loader, cfg Config) *liveServer {
	t.Helper()
	store, err := modelstore.Open(t.Context(), modelstore.Config{Dir: t.TempDir(), SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	s := &liveServer{t: t, store: store, manager: serving.New(serving.Config{
		Catalogue: storeCatalogue{store}, Loader: loader, Spare: 100, Recorder: NewRecorder(cfg.Registry),
	})}
	cfg.Store, cfg.Manager, cfg.Devices = store, s.manager, loader
	if s.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := s.manager.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	var serve sync.WaitGroup
	serve.Go(func() {
		if err := s.server.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	s.GRPCInferenceServiceClient = inference.NewGRPCInferenceServiceClient(conn)
	t.Cleanup(func() {
		_ = conn.Close()
		s.server.Stop(context.Background())
		serve.Wait()
		if err := errors.Join(s.manager.Close(context.Background()), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// graphFile reads a graph of the conformance suite.
func graphFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "gpu", "gputest", "testdata", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// push makes a version of files and returns its number.
func (s *liveServer) push(model string, files map[string]string) int64 {
	s.t.Helper()
	var list []modelstore.File
	for path, content := range files {
		sum := sha256.Sum256([]byte(content))
		list = append(list, modelstore.File{Path: path, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))})
	}
	upload, err := s.store.CreateUpload(s.t.Context(), model, list, "")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range upload.Files {
		w, err := s.store.OpenUploadFile(s.t.Context(), upload.ID, f.SHA256, f.Offset)
		if err == nil {
			_, err = w.Write([]byte(files[f.Path])[f.Offset:])
			err = errors.Join(err, w.Close())
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	v, _, err := s.store.CommitUpload(s.t.Context(), upload.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return v.Number
}

// serve pushes a plain graph, routes its model to it and waits until it is
// loaded.
func (s *liveServer) serve(model, graph string) {
	s.t.Helper()
	s.route(model, s.push(model, map[string]string{"model.onnx": graphFile(s.t, graph)}))
}

func (s *liveServer) route(model string, number int64) {
	s.t.Helper()
	if err := s.manager.Warm(s.t.Context(), model, number); err != nil {
		s.t.Fatal(err)
	}
	r, err := s.store.Activate(s.t.Context(), model, number, "", "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.manager.SetRoute(serving.Route{Model: model, Version: number, Revision: r.Revision})
}

// input is an input without contents.
func input(name, datatype string, shape ...int64) *inference.ModelInferRequest_InferInputTensor {
	return &inference.ModelInferRequest_InferInputTensor{Name: name, Datatype: datatype, Shape: shape}
}

// typed adds contents.
func typed(in *inference.ModelInferRequest_InferInputTensor, c *inference.InferTensorContents) *inference.ModelInferRequest_InferInputTensor {
	in.Contents = c
	return in
}

// raw is the little-endian layout of values.
func raw[T any](values ...T) []byte {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, values); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// row asks matmul for one row: y = x·[[1,2],[3,4],[5,6]] + [0.5,-0.5].
func row(x, y, z float32) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: "matmul", Id: "seven", RawInputContents: [][]byte{raw(x, y, z)},
		Inputs: []*inference.ModelInferRequest_InferInputTensor{input("x", "FP32", 1, 3)},
	}
}

// everyType holds two elements of each type, raw and typed.
var everyType = []struct {
	name, datatype string
	raw            []byte
	typed          *inference.InferTensorContents // nil where the protocol has none
}{
	{"f32", "FP32", raw[float32](1.5, -2), &inference.InferTensorContents{Fp32Contents: []float32{1.5, -2}}},
	{"f64", "FP64", raw(1.5, math.Inf(-1)), &inference.InferTensorContents{Fp64Contents: []float64{1.5, math.Inf(-1)}}},
	{"f16", "FP16", raw[uint16](0x3c00, 0xc000), nil},
	{"bf16", "BF16", raw[uint16](0x3f80, 0xc000), nil},
	{"i8", "INT8", raw[int8](-128, 127), &inference.InferTensorContents{IntContents: []int32{-128, 127}}},
	{"i16", "INT16", raw[int16](-32768, 32767), &inference.InferTensorContents{IntContents: []int32{-32768, 32767}}},
	{"i32", "INT32", raw[int32](math.MinInt32, 7), &inference.InferTensorContents{IntContents: []int32{math.MinInt32, 7}}},
	{"i64", "INT64", raw[int64](math.MinInt64, 7), &inference.InferTensorContents{Int64Contents: []int64{math.MinInt64, 7}}},
	{"u8", "UINT8", raw[uint8](0, 255), &inference.InferTensorContents{UintContents: []uint32{0, 255}}},
	{"u16", "UINT16", raw[uint16](0, 65535), &inference.InferTensorContents{UintContents: []uint32{0, 65535}}},
	{"u32", "UINT32", raw[uint32](0, math.MaxUint32), &inference.InferTensorContents{UintContents: []uint32{0, math.MaxUint32}}},
	{"u64", "UINT64", raw[uint64](0, math.MaxUint64), &inference.InferTensorContents{Uint64Contents: []uint64{0, math.MaxUint64}}},
	{"bool", "BOOL", []byte{1, 0}, &inference.InferTensorContents{BoolContents: []bool{true, false}}},
	{"text", "BYTES", appendStrings([]string{"ещё", "\xff\x00"}), &inference.InferTensorContents{BytesContents: [][]byte{[]byte("ещё"), []byte("\xff\x00")}}},
}

// inferEveryType sends all types through a graph that hands them on, raw and
// typed, inputs in reverse order.
func inferEveryType(t *testing.T, s *liveServer) {
	s.serve("types", "types")
	for _, asRaw := range []bool{true, false} {
		req := &inference.ModelInferRequest{ModelName: "types", Id: "an id"}
		want := map[string][]byte{}
		for _, e := range slices.Backward(everyType) {
			in := input(e.name, e.datatype, 2)
			data := e.raw
			if !asRaw && e.typed != nil {
				in.Contents = e.typed
			} else if !asRaw {
				in.Shape, data = []int64{2}, nil
			}
			want[e.name+"_out"] = data
			req.Inputs = append(req.Inputs, in)
			if asRaw {
				req.RawInputContents = append(req.RawInputContents, data)
			}
		}
		resp, err := s.ModelInfer(t.Context(), req)
		if !asRaw {
			wantStatus(t, err, codes.InvalidArgument, "INPUT_SIZE", `inputs["bf16"].contents`)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if resp.GetId() != "an id" || resp.GetModelName() != "types" || resp.GetModelVersion() != "1" {
			t.Errorf("answer is for %q version %q, id %q", resp.GetModelName(), resp.GetModelVersion(), resp.GetId())
		}
		if len(resp.GetOutputs()) != len(everyType) || len(resp.GetRawOutputContents()) != len(everyType) {
			t.Fatalf("%d outputs, %d contents", len(resp.GetOutputs()), len(resp.GetRawOutputContents()))
		}
		for i, out := range resp.GetOutputs() {
			e := everyType[i]
			if out.GetName() != e.name+"_out" || out.GetDatatype() != e.datatype || !slices.Equal(out.GetShape(), []int64{2}) {
				t.Errorf("output %d is %v", i, out)
			}
			if !bytes.Equal(resp.GetRawOutputContents()[i], want[out.GetName()]) {
				t.Errorf("%s: % x, want % x", out.GetName(), resp.GetRawOutputContents()[i], want[out.GetName()])
			}
		}
	}
}

func TestInferEveryType(t *testing.T) {
	inferEveryType(t, newLiveServer(t, &gputest.Fake{}, Config{Trusted: true}))
}

// TestTypedContents compares typed contents with raw ones, tensor by tensor.
func TestTypedContents(t *testing.T) {
	for _, e := range everyType {
		want := []gpu.Value{{Name: "x", DType: datatypes[e.datatype], Shape: tensor.Shape{-1}}}
		fromRaw, err := inputTensors(&inference.ModelInferRequest{
			Inputs:           []*inference.ModelInferRequest_InferInputTensor{input("x", e.datatype, 2)},
			RawInputContents: [][]byte{e.raw},
		}, want)
		if err != nil {
			t.Errorf("%s raw: %v", e.datatype, err)
			continue
		}
		if e.typed == nil {
			continue
		}
		fromTyped, err := inputTensors(&inference.ModelInferRequest{
			Inputs: []*inference.ModelInferRequest_InferInputTensor{typed(input("x", e.datatype, 2), e.typed)},
		}, want)
		if err != nil {
			t.Errorf("%s typed: %v", e.datatype, err)
			continue
		}
		a, b := fromRaw[0], fromTyped[0]
		if a.DType != b.DType || !a.Shape.Equal(b.Shape) || !bytes.Equal(a.Data, b.Data) || !slices.Equal(a.Strings, b.Strings) {
			t.Errorf("%s: raw %v, typed %v", e.datatype, a, b)
		}
	}
}

func TestInferBadInput(t *testing.T) {
	s := newLiveServer(t, &gputest.Fake{}, Config{Trusted: true})
	s.serve("matmul", "matmul")
	s.serve("labels", "labels")
	s.serve("add", "add")
	s.serve("types", "types")
	in := input
	type req = inference.ModelInferRequest
	type list = []*inference.ModelInferRequest_InferInputTensor
	output := func(name string) *inference.ModelInferRequest_InferRequestedOutputTensor {
		return &inference.ModelInferRequest_InferRequestedOutputTensor{Name: name}
	}
	param := func(n int64) map[string]*inference.InferParameter {
		return map[string]*inference.InferParameter{"p": {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: n}}}
	}
	shared := func(name string) map[string]*inference.InferParameter {
		return map[string]*inference.InferParameter{name: param(1)["p"]}
	}
	three := raw[float32](1, 2, 3)
	withParameters := in("x", "FP32", 1, 3)
	withParameters.Parameters = shared("shared_memory_region")
	classes := output("y")
	classes.Parameters = shared("classification")
	bools := make(list, 0, len(everyType))
	boolContents := make([][]byte, 0, len(everyType))
	for _, e := range everyType {
		bools, boolContents = append(bools, in(e.name, e.datatype, 2)), append(boolContents, e.raw)
		if e.name == "bool" {
			boolContents[len(boolContents)-1] = []byte{0, 2}
		}
	}
	for name, c := range map[string]struct {
		req           *req
		code          codes.Code
		reason, field string
	}{
		"no model":         {&req{}, codes.InvalidArgument, "MODEL_REQUIRED", "model_name"},
		"unknown model":    {&req{ModelName: "nothing"}, codes.NotFound, "NOT_FOUND", ""},
		"unknown version":  {&req{ModelName: "matmul", ModelVersion: "9"}, codes.NotFound, "NOT_FOUND", ""},
		"version overflow": {&req{ModelName: "matmul", ModelVersion: "99999999999999999999"}, codes.NotFound, "NOT_FOUND", ""},
		"unknown graph":    {&req{ModelName: "matmul.other"}, codes.NotFound, "GRAPH_NOT_FOUND", ""},
		"no input":         {&req{ModelName: "matmul"}, codes.InvalidArgument, "INPUT_MISSING", `inputs["x"]`},
		"one missing":      {&req{ModelName: "add", Inputs: list{in("x", "FP32", 1, 4)}, RawInputContents: [][]byte{raw[float32](1, 2, 3, 4)}}, codes.InvalidArgument, "INPUT_MISSING", `inputs["y"]`},
		"unknown input":    {&req{ModelName: "matmul", Inputs: list{in("ъ", "FP32", 1, 3)}, RawInputContents: [][]byte{three}}, codes.InvalidArgument, "INPUT_UNKNOWN", `inputs["ъ"]`},
		"twice":            {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", 1, 3), in("x", "FP32", 1, 3)}, RawInputContents: [][]byte{three, three}}, codes.InvalidArgument, "INPUT_TWICE", `inputs["x"]`},
		"wrong type":       {&req{ModelName: "matmul", Inputs: list{in("x", "FP64", 1, 3)}, RawInputContents: [][]byte{raw(1.0, 2, 3)}}, codes.InvalidArgument, "INPUT_TYPE", `inputs["x"].datatype`},
		"no such type":     {&req{ModelName: "matmul", Inputs: list{in("x", "float", 1, 3)}, RawInputContents: [][]byte{three}}, codes.InvalidArgument, "INPUT_TYPE", `inputs["x"].datatype`},
		"rank":             {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", 3)}, RawInputContents: [][]byte{three}}, codes.InvalidArgument, "INPUT_SHAPE", `inputs["x"].shape`},
		"fixed axis":       {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", 1, 4)}, RawInputContents: [][]byte{three}}, codes.InvalidArgument, "INPUT_SHAPE", `inputs["x"].shape`},
		"negative axis":    {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", -1, 3)}, RawInputContents: [][]byte{three}}, codes.InvalidArgument, "INPUT_SHAPE", `inputs["x"].shape`},
		"overflow":         {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", math.MaxInt64/2, 3)}, RawInputContents: [][]byte{three}}, codes.InvalidArgument, "INPUT_SHAPE", `inputs["x"].shape`},
		"huge":             {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", 1<<55, 3)}, RawInputContents: [][]byte{three}}, codes.InvalidArgument, "INPUT_SIZE", `inputs["x"].contents`},
		"no rows":          {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", 0, 3)}, RawInputContents: [][]byte{{}}}, codes.InvalidArgument, "INPUT_SHAPE", `inputs["x"].shape`},
		"rows differ":      {&req{ModelName: "add", Inputs: list{in("x", "FP32", 2, 4), in("y", "FP32", 1, 4)}, RawInputContents: [][]byte{make([]byte, 32), make([]byte, 16)}}, codes.InvalidArgument, "INPUT_SHAPE", `inputs["y"].shape`},
		"short":            {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", 1, 3)}, RawInputContents: [][]byte{three[:11]}}, codes.InvalidArgument, "INPUT_SIZE", `inputs["x"].contents`},
		"long":             {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", 1, 3)}, RawInputContents: [][]byte{append(slices.Clone(three), 0)}}, codes.InvalidArgument, "INPUT_SIZE", `inputs["x"].contents`},
		"raw and typed":    {&req{ModelName: "matmul", Inputs: list{typed(in("x", "FP32", 1, 3), &inference.InferTensorContents{Fp32Contents: []float32{1, 2, 3}})}, RawInputContents: [][]byte{three}}, codes.InvalidArgument, "INPUT_TWICE", `inputs["x"].contents`},
		"raw count":        {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", 1, 3)}, RawInputContents: [][]byte{three, three}}, codes.InvalidArgument, "INPUT_SIZE", "raw_input_contents"},
		"typed short":      {&req{ModelName: "matmul", Inputs: list{typed(in("x", "FP32", 1, 3), &inference.InferTensorContents{Fp32Contents: []float32{1, 2}})}}, codes.InvalidArgument, "INPUT_SIZE", `inputs["x"].contents`},
		"typed absent":     {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", 1, 3)}}, codes.InvalidArgument, "INPUT_SIZE", `inputs["x"].contents`},
		"typed huge":       {&req{ModelName: "matmul", Inputs: list{in("x", "FP32", 1<<55, 3)}}, codes.InvalidArgument, "INPUT_SIZE", `inputs["x"].contents`},
		"typed otherwise":  {&req{ModelName: "matmul", Inputs: list{typed(in("x", "FP32", 1, 3), &inference.InferTensorContents{Fp64Contents: []float64{1, 2, 3}})}}, codes.InvalidArgument, "INPUT_TYPE", `inputs["x"].contents`},
		"no BOOL":          {&req{ModelName: "types", Inputs: bools, RawInputContents: boolContents}, codes.InvalidArgument, "INPUT_RANGE", `inputs["bool"].contents`},
		"string too long":  {&req{ModelName: "labels", Inputs: list{in("text", "BYTES", 1, 1)}, RawInputContents: [][]byte{{255, 255, 255, 255, 'y'}}}, codes.InvalidArgument, "INPUT_SIZE", `inputs["text"].contents`},
		"strings left":     {&req{ModelName: "labels", Inputs: list{in("text", "BYTES", 1, 1)}, RawInputContents: [][]byte{appendStrings([]string{"yes", "no"})}}, codes.InvalidArgument, "INPUT_SIZE", `inputs["text"].contents`},
		"strings missing":  {&req{ModelName: "labels", Inputs: list{in("text", "BYTES", 1<<50, 1)}, RawInputContents: [][]byte{appendStrings([]string{"yes"})}}, codes.InvalidArgument, "INPUT_SIZE", `inputs["text"].contents`},
		"unknown output":   {&req{ModelName: "matmul", Inputs: row(1, 2, 3).Inputs, RawInputContents: [][]byte{three}, Outputs: []*inference.ModelInferRequest_InferRequestedOutputTensor{output("z")}}, codes.InvalidArgument, "OUTPUT_UNKNOWN", `outputs["z"]`},
		"output twice":     {&req{ModelName: "matmul", Inputs: row(1, 2, 3).Inputs, RawInputContents: [][]byte{three}, Outputs: []*inference.ModelInferRequest_InferRequestedOutputTensor{output("y"), output("y")}}, codes.InvalidArgument, "OUTPUT_TWICE", `outputs["y"]`},
		"classification":   {&req{ModelName: "matmul", Inputs: row(1, 2, 3).Inputs, RawInputContents: [][]byte{three}, Outputs: []*inference.ModelInferRequest_InferRequestedOutputTensor{classes}}, codes.Unimplemented, "NOT_OFFERED", `outputs["y"].parameters["classification"]`},
		"shared memory":    {&req{ModelName: "matmul", Inputs: list{withParameters}, RawInputContents: [][]byte{three}}, codes.Unimplemented, "NOT_OFFERED", `inputs["x"].parameters["shared_memory_region"]`},
		"priority":         {&req{ModelName: "matmul", Inputs: row(1, 2, 3).Inputs, RawInputContents: [][]byte{three}, Parameters: map[string]*inference.InferParameter{"priority": param(-1)["p"]}}, codes.InvalidArgument, "PARAMETER_INVALID", `parameters["priority"]`},
		"timeout":          {&req{ModelName: "matmul", Inputs: row(1, 2, 3).Inputs, RawInputContents: [][]byte{three}, Parameters: map[string]*inference.InferParameter{"timeout": {}}}, codes.InvalidArgument, "PARAMETER_INVALID", `parameters["timeout"]`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.ModelInfer(t.Context(), c.req)
			wantStatus(t, err, c.code, c.reason, c.field)
		})
	}
	// A number that its type cannot hold.
	_, err := inputTensors(&req{Inputs: list{typed(in("x", "INT8", 2), &inference.InferTensorContents{IntContents: []int32{1, 128}})}}, []gpu.Value{{Name: "x", DType: tensor.Int8}})
	wantStatus(t, toStatus(err, "").Err(), codes.InvalidArgument, "INPUT_RANGE", `inputs["x"].contents`)
	// After all that it still answers.
	if _, err := s.ModelInfer(t.Context(), row(1, 2, 3)); err != nil {
		t.Error(err)
	}
}

const twoGraphs = `graphs: {first: {file: first.onnx}, second: {file: second.onnx}}
steps: [{graph: first}, {graph: second, inputs: {x: first.y}}]
`

// TestInferByName names versions and graphs, and asks for some outputs.
func TestInferByName(t *testing.T) {
	s := newLiveServer(t, &gputest.Fake{}, Config{Trusted: true})
	number := s.push("chain", map[string]string{"bundle.yaml": twoGraphs, "first.onnx": graphFile(t, "matmul"), "second.onnx": graphFile(t, "multi")})
	s.route("chain", number)
	if _, err := s.store.SetAlias(t.Context(), "chain", "champion", number, ""); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"", "1", "champion", "latest"} {
		req := row(1, 2, 3)
		req.ModelName, req.ModelVersion = "chain.first", version
		resp, err := s.ModelInfer(t.Context(), req)
		if err != nil {
			t.Fatalf("version %q: %v", version, err)
		}
		if !bytes.Equal(resp.GetRawOutputContents()[0], raw[float32](22.5, 27.5)) || resp.GetModelVersion() != "1" || resp.GetModelName() != "chain.first" {
			t.Errorf("version %q: %v", version, resp)
		}
	}
	second := &inference.ModelInferRequest{
		ModelName: "chain.second", Inputs: []*inference.ModelInferRequest_InferInputTensor{input("x", "FP32", 2, 2)},
		RawInputContents: [][]byte{raw[float32](1, 2, 3, 4)},
		Outputs:          []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: "total"}, {Name: "rows"}},
	}
	resp, err := s.ModelInfer(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.GetOutputs()) != 2 || resp.GetOutputs()[0].GetName() != "total" || len(resp.GetOutputs()[0].GetShape()) != 0 ||
		!bytes.Equal(resp.GetRawOutputContents()[0], raw[float32](10)) || !bytes.Equal(resp.GetRawOutputContents()[1], raw[float32](3, 7)) {
		t.Errorf("some outputs: %v", resp)
	}
	second.ModelName = "chain"
	_, err = s.ModelInfer(t.Context(), second)
	wantStatus(t, err, codes.InvalidArgument, "GRAPH_REQUIRED", "")
	if !strings.Contains(status.Convert(err).Message(), "first, second") {
		t.Errorf("the error names no graph: %v", err)
	}
	stats, err := s.ModelStatistics(t.Context(), &inference.ModelStatisticsRequest{Name: "chain"})
	if err != nil {
		t.Fatal(err)
	}
	if len(stats.GetModelStats()) != 2 || stats.GetModelStats()[0].GetName() != "chain.first" || stats.GetModelStats()[1].GetInferenceStats().GetSuccess().GetCount() != 1 {
		t.Errorf("statistics: %v", stats)
	}
	// A model without route has no empty version.
	s.push("spare", map[string]string{"model.onnx": graphFile(t, "add")})
	_, err = s.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "spare"})
	wantStatus(t, err, codes.FailedPrecondition, "NO_ACTIVE_VERSION", "")
}

// TestSchedule holds the only slots and lets calls of different priority and
// patience wait.
func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		param    *inference.InferParameter
		priority int
	}{
		{&inference.InferParameter{ParameterChoice: &inference.InferParameter_Uint64Param{Uint64Param: 1}}, 2},
		{&inference.InferParameter{ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 5}}, -2},
		{&inference.InferParameter{ParameterChoice: &inference.InferParameter_StringParam{StringParam: "2"}}, 1},
		{&inference.InferParameter{ParameterChoice: &inference.InferParameter_Uint64Param{Uint64Param: 0}}, 0},
		{&inference.InferParameter{ParameterChoice: &inference.InferParameter_Uint64Param{Uint64Param: math.MaxUint64}}, 0},
	} {
		ctx, cancel, err := scheduled(t.Context(), map[string]*inference.InferParameter{"priority": c.param})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := serving.CallOf(ctx).Priority; got != c.priority {
			t.Errorf("%v: priority %d, want %d", c.param, got, c.priority)
		}
	}
	for us, want := range map[uint64]time.Duration{1_000_000: time.Second, math.MaxUint64: math.MaxInt64} {
		ctx, cancel, err := scheduled(t.Context(), map[string]*inference.InferParameter{"timeout": {ParameterChoice: &inference.InferParameter_Uint64Param{Uint64Param: us}}})
		if err != nil {
			t.Fatal(err)
		}
		at, ok := ctx.Deadline()
		cancel()
		if left := time.Until(at); !ok || left > want || left < want/2 {
			t.Errorf("timeout of %d µs leaves %v", us, left)
		}
	}
	fake := &gputest.Fake{}
	s := newLiveServer(t, fake, Config{Trusted: true})
	s.serve("matmul", "matmul")
	release := make(chan struct{})
	fake.OnRun = func(ctx context.Context, _ string, _ []tensor.Tensor) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	defer close(release)
	req := row(1, 2, 3)
	req.Parameters = map[string]*inference.InferParameter{"timeout": {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 20_000}}}
	start := time.Now()
	_, err := s.ModelInfer(t.Context(), req)
	wantStatus(t, err, codes.DeadlineExceeded, "DEADLINE_EXCEEDED", "")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("a timeout of 20 ms ended after %v", took)
	}
}

// TestDescriptions holds what load generators read before they send: shapes
// with the batch axis in the metadata, without it in the configuration.
func TestDescriptions(t *testing.T) {
	s := newLiveServer(t, &gputest.Fake{}, Config{Trusted: true, Info: Info{Version: "v9"}})
	s.serve("matmul", "matmul")
	s.serve("fixed", "fixed")
	s.serve("gather", "gather")
	s.serve("types", "types")
	meta, err := s.ServerMetadata(t.Context(), &inference.ServerMetadataRequest{})
	if err != nil || meta.GetName() != "scry" || meta.GetVersion() != "v9" || !slices.Contains(meta.GetExtensions(), "statistics") {
		t.Errorf("server: %v %v", meta, err)
	}
	// Only what works: no extension for what is refused.
	if want := []string{"model_configuration", "model_repository", "schedule_policy", "statistics"}; !slices.Equal(meta.GetExtensions(), want) {
		t.Errorf("extensions %v, want %v", meta.GetExtensions(), want)
	}
	for _, c := range []struct {
		model, input, datatype string
		whole, item            []int64
		batched                bool
	}{
		{"matmul", "x", "FP32", []int64{-1, 3}, []int64{3}, true},
		{"gather", "ids", "INT64", []int64{-1, -1}, []int64{-1}, true},
		{"fixed", "x", "FP32", []int64{2, 3}, []int64{2, 3}, false},
		// Nothing would be left without the batch axis, which perf_analyzer cannot send.
		{"types", "f32", "FP32", []int64{-1}, []int64{-1}, false},
	} {
		m, err := s.ModelMetadata(t.Context(), &inference.ModelMetadataRequest{Name: c.model})
		if err != nil {
			t.Fatal(err)
		}
		if in := m.GetInputs()[0]; in.GetName() != c.input || in.GetDatatype() != c.datatype || !slices.Equal(in.GetShape(), c.whole) {
			t.Errorf("%s: metadata %v", c.model, m)
		}
		if !slices.Equal(m.GetVersions(), []string{"1"}) || m.GetPlatform() != "onnxruntime_onnx" {
			t.Errorf("%s: metadata %v", c.model, m)
		}
		resp, err := s.ModelConfig(t.Context(), &inference.ModelConfigRequest{Name: c.model, Version: "1"})
		if err != nil {
			t.Fatal(err)
		}
		config := resp.GetConfig()
		if in := config.GetInput()[0]; in.GetName() != c.input || in.GetDataType().String() != "TYPE_"+c.datatype || !slices.Equal(in.GetDims(), c.item) {
			t.Errorf("%s: configuration %v", c.model, config)
		}
		if batched := config.GetMaxBatchSize() > 0; batched != c.batched || (config.GetDynamicBatching() != nil) != c.batched {
			t.Errorf("%s: configuration %v", c.model, config)
		}
	}
	_, err = s.ModelMetadata(t.Context(), &inference.ModelMetadataRequest{Name: "nothing"})
	wantStatus(t, err, codes.NotFound, "NOT_FOUND", "")
}

// TestPerfAnalyzerCalls makes perf_analyzer's calls in its order and does its
// sums: between two readings of the statistics every count grows by the number
// of requests that were answered.
func TestPerfAnalyzerCalls(t *testing.T) {
	s := newLiveServer(t, &gputest.Fake{}, Config{Trusted: true})
	s.serve("matmul", "matmul")
	ctx := t.Context()
	if live, err := s.ServerLive(ctx, &inference.ServerLiveRequest{}); err != nil || !live.GetLive() {
		t.Fatal(live, err)
	}
	if ready, err := s.ServerReady(ctx, &inference.ServerReadyRequest{}); err != nil || !ready.GetReady() {
		t.Fatal(ready, err)
	}
	if meta, err := s.ServerMetadata(ctx, &inference.ServerMetadataRequest{}); err != nil || !slices.Contains(meta.GetExtensions(), "statistics") {
		t.Fatal(meta, err)
	}
	if ready, err := s.ModelReady(ctx, &inference.ModelReadyRequest{Name: "matmul"}); err != nil || !ready.GetReady() {
		t.Fatal(ready, err)
	}
	if _, err := s.ModelMetadata(ctx, &inference.ModelMetadataRequest{Name: "matmul"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ModelConfig(ctx, &inference.ModelConfigRequest{Name: "matmul"}); err != nil {
		t.Fatal(err)
	}
	read := func() *inference.ModelStatistics {
		t.Helper()
		resp, err := s.ModelStatistics(ctx, &inference.ModelStatisticsRequest{Name: "matmul"})
		if err != nil || len(resp.GetModelStats()) != 1 {
			t.Fatal(resp, err)
		}
		return resp.GetModelStats()[0]
	}
	if st := read(); st.GetInferenceStats().GetSuccess().GetCount() != 0 || st.GetExecutionCount() != 0 || st.GetLastInference() != 0 {
		t.Errorf("warm-up counts as traffic: %v", st)
	}
	// Alone, so that runs are inline; then side by side, so that they are not.
	for _, callers := range []int{1, 16} {
		const each = 50
		before := read()
		var wait sync.WaitGroup
		for range callers {
			wait.Go(func() {
				for i := range each {
					if _, err := s.ModelInfer(ctx, row(float32(i), 2, 3)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		after := read()
		a, b := before.GetInferenceStats(), after.GetInferenceStats()
		for name, grown := range map[string]uint64{
			"success":        b.GetSuccess().GetCount() - a.GetSuccess().GetCount(),
			"queue":          b.GetQueue().GetCount() - a.GetQueue().GetCount(),
			"compute_input":  b.GetComputeInput().GetCount() - a.GetComputeInput().GetCount(),
			"compute_infer":  b.GetComputeInfer().GetCount() - a.GetComputeInfer().GetCount(),
			"compute_output": b.GetComputeOutput().GetCount() - a.GetComputeOutput().GetCount(),
			"inference":      after.GetInferenceCount() - before.GetInferenceCount(),
		} {
			if grown != uint64(callers*each) {
				t.Errorf("%d callers: %s grew by %d, want %d", callers, name, grown, callers*each)
			}
		}
		if b.GetComputeInfer().GetNs() <= a.GetComputeInfer().GetNs() || b.GetSuccess().GetNs()-a.GetSuccess().GetNs() < b.GetComputeInfer().GetNs()-a.GetComputeInfer().GetNs() {
			t.Errorf("%d callers: times %v after %v", callers, b, a)
		}
		runs, rows := uint64(0), uint64(0)
		for _, r := range after.GetBatchStats() {
			runs += r.GetComputeInfer().GetCount()
			rows += r.GetBatchSize() * r.GetComputeInfer().GetCount()
		}
		if runs != after.GetExecutionCount() || rows != after.GetInferenceCount() || runs > rows {
			t.Errorf("%d callers: %d runs of %d rows: %v", callers, runs, rows, after)
		}
	}
	failing := row(1, 2, 3)
	failing.Parameters = map[string]*inference.InferParameter{"timeout": {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 1}}}
	before := read()
	if _, err := s.ModelInfer(ctx, failing); err == nil {
		t.Fatal("answered within a microsecond")
	}
	if grown := read().GetInferenceStats().GetFail().GetCount() - before.GetInferenceStats().GetFail().GetCount(); grown != 1 {
		t.Errorf("failures grew by %d", grown)
	}
}

// TestStreamKeepsOrder holds the first message until the second is computed.
func TestStreamKeepsOrder(t *testing.T) {
	fake := &gputest.Fake{}
	s := newLiveServer(t, fake, Config{Trusted: true})
	s.serve("matmul", "matmul")
	s.serve("add", "add")
	addRan := make(chan struct{})
	fake.OnRun = func(ctx context.Context, _ string, in []tensor.Tensor) error {
		if len(in) == 2 {
			close(addRan)
			return nil
		}
		select {
		case <-addRan:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	stream, err := s.ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := row(1, 2, 3)
	first.Parameters = map[string]*inference.InferParameter{"triton_enable_empty_final_response": {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: true}}}
	bad := row(1, 2, 3)
	bad.Id, bad.Inputs[0].Datatype = "bad", "BOOL"
	four := raw[float32](1, 2, 3, 4)
	for _, req := range []*inference.ModelInferRequest{first, bad, {
		ModelName: "add", Id: "add", RawInputContents: [][]byte{four, four},
		Inputs: []*inference.ModelInferRequest_InferInputTensor{input("x", "FP32", 1, 4), input("y", "FP32", 1, 4)},
	}} {
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		resp, err := stream.Recv()
		if err != nil {
			if status.Code(err) != codes.Unknown || err.Error() != "EOF" {
				t.Error(err)
			}
			break
		}
		id := resp.GetInferResponse().GetId()
		if (resp.GetErrorMessage() != "") != (id == "bad") {
			t.Errorf("%s: %v", id, resp)
		}
		if final := resp.GetInferResponse().GetParameters()["triton_final_response"].GetBoolParam(); final != (id == "seven") {
			t.Errorf("%s: final %v", id, final)
		}
		got = append(got, id)
	}
	if !slices.Equal(got, []string{"seven", "bad", "add"}) {
		t.Errorf("answers in the order %v", got)
	}
}

// TestStreamIsBounded sends more than may be under way and lets the caller go.
func TestStreamIsBounded(t *testing.T) {
	fake := &gputest.Fake{}
	s := newLiveServer(t, fake, Config{Trusted: true, Limits: Limits{MessageBytes: 4096}})
	s.serve("matmul", "matmul")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := s.ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Far more bytes than the budget, all of which are answered in time.
	const messages = 500
	var sender sync.WaitGroup
	sender.Go(func() {
		for i := range messages {
			req := row(float32(i), 0, 0)
			req.Id = fmt.Sprint(i, " ", strings.Repeat("x", i%1000))
			if err := stream.Send(req); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range messages {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if want := raw(float32(i)+0.5, 2*float32(i)-0.5); !bytes.Equal(resp.GetInferResponse().GetRawOutputContents()[0], want) {
			t.Fatalf("message %d: %v", i, resp)
		}
	}
	sender.Wait()
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("after the caller has gone: %v", err)
	}
	huge := row(1, 2, 3)
	huge.Id = strings.Repeat("x", 5000)
	_, err = s.ModelInfer(t.Context(), huge)
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message beyond the limit: %v", err)
	}
}

func TestRepository(t *testing.T) {
	s := newLiveServer(t, &gputest.Fake{}, Config{Trusted: true})
	s.serve("matmul", "matmul")
	two := s.push("matmul", map[string]string{"model.onnx": graphFile(t, "add")})
	s.push("broken", map[string]string{"model.onnx": "no graph"})
	ctx := t.Context()
	index := func(ready bool) string {
		t.Helper()
		resp, err := s.RepositoryIndex(ctx, &inference.RepositoryIndexRequest{Ready: ready})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, m := range resp.GetModels() {
			if m.GetState() == "UNAVAILABLE" && m.GetReason() == "" {
				t.Errorf("no reason: %v", m)
			}
			out = append(out, fmt.Sprintf("%s:%s %s", m.GetName(), m.GetVersion(), m.GetState()))
		}
		return strings.Join(out, ", ")
	}
	isReady := func(name, version string) bool {
		t.Helper()
		resp, err := s.ModelReady(ctx, &inference.ModelReadyRequest{Name: name, Version: version})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetReady()
	}
	if got, want := index(false), "broken:1 UNAVAILABLE, matmul:1 READY, matmul:2 UNAVAILABLE"; got != want {
		t.Errorf("index %q, want %q", got, want)
	}
	if isReady("matmul", "2") || isReady("nothing", "") || isReady("matmul.other", "") || !isReady("matmul", "1") || !isReady("matmul.model", "") {
		t.Error("readiness is wrong before the load")
	}
	parameter := func(version string) map[string]*inference.ModelRepositoryParameter {
		return map[string]*inference.ModelRepositoryParameter{"version": {ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: version}}}
	}
	load := func(name string, params map[string]*inference.ModelRepositoryParameter) error {
		_, err := s.RepositoryModelLoad(ctx, &inference.RepositoryModelLoadRequest{ModelName: name, Parameters: params})
		return err
	}
	unload := func(name string, params map[string]*inference.ModelRepositoryParameter) error {
		_, err := s.RepositoryModelUnload(ctx, &inference.RepositoryModelUnloadRequest{ModelName: name, Parameters: params})
		return err
	}
	if err := errors.Join(load("matmul", nil), load("matmul", parameter("latest"))); err != nil {
		t.Fatal(err)
	}
	if got, want := index(true), "matmul:1 READY, matmul:2 READY"; got != want {
		t.Errorf("index %q, want %q", got, want)
	}
	wantStatus(t, unload("matmul", nil), codes.FailedPrecondition, "VERSION_ROUTED", "")
	wantStatus(t, unload("matmul", parameter("1")), codes.FailedPrecondition, "VERSION_ROUTED", "")
	if err := unload("matmul", parameter(fmt.Sprint(two))); err != nil {
		t.Fatal(err)
	}
	if got, want := index(true), "matmul:1 READY"; got != want {
		t.Errorf("index %q, want %q", got, want)
	}
	if got, want := index(false), "broken:1 UNAVAILABLE, matmul:1 READY, matmul:2 UNAVAILABLE"; got != want {
		t.Errorf("the catalogue changed: %q, want %q", got, want)
	}
	if v, err := s.store.GetVersion(ctx, "matmul", two); err != nil || v.Number != two {
		t.Errorf("an unloaded version is gone: %v", err)
	}
	wantStatus(t, load("nothing", nil), codes.NotFound, "NOT_FOUND", "")
	wantStatus(t, unload("nothing", nil), codes.NotFound, "NOT_FOUND", "")
	wantStatus(t, load("", nil), codes.InvalidArgument, "MODEL_REQUIRED", "model_name")
	wantStatus(t, load("matmul", map[string]*inference.ModelRepositoryParameter{"config": {}}), codes.InvalidArgument, "PARAMETER_INVALID", `parameters["config"]`)
	if err := load("broken", nil); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a broken model: %v", err)
	}
	_, err := s.RepositoryIndex(ctx, &inference.RepositoryIndexRequest{RepositoryName: "other"})
	wantStatus(t, err, codes.InvalidArgument, "REPOSITORY_UNKNOWN", "repository_name")
}

// TestRepositoryNeedsToken: what is loaded for everybody is the operator's.
func TestRepositoryNeedsToken(t *testing.T) {
	s := newLiveServer(t, &gputest.Fake{}, Config{AdminToken: "a token of some length"})
	s.serve("matmul", "matmul")
	ctx := t.Context()
	_, err := s.RepositoryModelUnload(ctx, &inference.RepositoryModelUnloadRequest{ModelName: "matmul"})
	wantStatus(t, err, codes.Unauthenticated, "TOKEN_REQUIRED", "")
	_, err = s.RepositoryModelLoad(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer a token of some length"), &inference.RepositoryModelLoadRequest{ModelName: "matmul"})
	if err != nil {
		t.Error(err)
	}
	if _, err := s.ModelInfer(ctx, row(1, 2, 3)); err != nil {
		t.Errorf("inference needs no token: %v", err)
	}
}

// TestInferenceRuntime runs the graphs on ONNX Runtime.
func TestInferenceRuntime(t *testing.T) {
	s := newLiveServer(t, gputest.OpenRuntime(t), Config{Trusted: true})
	inferEveryType(t, s)
	s.serve("matmul", "matmul")
	resp, err := s.ModelInfer(t.Context(), row(1, 2, 3))
	if err != nil || !bytes.Equal(resp.GetRawOutputContents()[0], raw[float32](22.5, 27.5)) {
		t.Errorf("matmul: %v %v", resp, err)
	}
	// Unaligned contents: a request's bytes lie where the decoder puts them.
	s.serve("labels", "labels")
	resp, err = s.ModelInfer(t.Context(), &inference.ModelInferRequest{
		ModelName: "labels", Inputs: []*inference.ModelInferRequest_InferInputTensor{input("text", "BYTES", 3, 1)},
		RawInputContents: [][]byte{appendStrings([]string{"yes", "ещё", ""})},
	})
	if err != nil || !bytes.Equal(resp.GetRawOutputContents()[0], raw[int64](1, 7, -1)) {
		t.Errorf("labels: %v %v", resp, err)
	}
	// A number that picks no row of the graph's weights stays off the device.
	s.serve("gather", "gather")
	_, err = s.ModelInfer(t.Context(), &inference.ModelInferRequest{
		ModelName: "gather", Inputs: []*inference.ModelInferRequest_InferInputTensor{input("ids", "INT64", 1, 2)},
		RawInputContents: [][]byte{raw[int64](3, 77)},
	})
	wantStatus(t, err, codes.InvalidArgument, "INPUT_RANGE", `inputs["ids"].contents`)
}

// TestInferenceCrossesNoAnswers sends rows of different lengths from many
// callers, by call and by stream, and wants everybody's own answer.
func TestInferenceCrossesNoAnswers(t *testing.T) {
	s := newLiveServer(t, gputest.OpenRuntime(t), Config{Trusted: true})
	s.route("gather", s.push("gather", map[string]string{
		"model.onnx": graphFile(t, "gather"),
		"bundle.yaml": `graphs: {model: {file: model.onnx, inputs: {ids: {sequence_axis: 1, pad_value: 9}}, outputs: {y: {sequence_axis: 1}}}}
`,
	}))
	const callers, each = 16, 100
	request := func(k, i int) (req *inference.ModelInferRequest, want []byte) {
		rows, length := 1+i%3, 1+(k*7+i*3)%11
		ids, values := make([]int64, rows*length), make([]float32, 0, 2*rows*length)
		for n := range ids {
			ids[n] = int64((k + i*5 + n*3) % 10)
			values = append(values, float32(2*ids[n]), float32(2*ids[n]+1))
		}
		return &inference.ModelInferRequest{
			ModelName: "gather", Id: fmt.Sprint(k, ".", i), RawInputContents: [][]byte{raw(ids...)},
			Inputs: []*inference.ModelInferRequest_InferInputTensor{input("ids", "INT64", int64(rows), int64(length))},
		}, raw(values...)
	}
	var wait sync.WaitGroup
	for k := range callers {
		wait.Go(func() {
			stream, err := s.ModelStreamInfer(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for i := range each {
				req, want := request(k, i)
				var resp *inference.ModelInferResponse
				if k%2 == 0 {
					resp, err = s.ModelInfer(t.Context(), req)
				} else if err = stream.Send(req); err == nil {
					var m *inference.ModelStreamInferResponse
					if m, err = stream.Recv(); m.GetErrorMessage() != "" {
						err = errors.New(m.GetErrorMessage())
					}
					resp = m.GetInferResponse()
				}
				if err != nil {
					t.Error(err)
					return
				}
				if resp.GetId() != req.GetId() || !bytes.Equal(resp.GetRawOutputContents()[0], want) {
					t.Errorf("%s: another answer: %v", req.GetId(), resp)
				}
			}
		})
	}
	wait.Wait()
	stats, err := s.ModelStatistics(t.Context(), &inference.ModelStatisticsRequest{Name: "gather"})
	if err != nil {
		t.Fatal(err)
	}
	if st := stats.GetModelStats()[0]; st.GetInferenceStats().GetSuccess().GetCount() != callers*each || st.GetExecutionCount() > callers*each {
		t.Errorf("statistics: %v", st)
	}
}

// BenchmarkModelInfer runs a row of 32 numbers through three layers on ONNX
// Runtime, over loopback, and tells what a request allocates on both sides.
func BenchmarkModelInfer(b *testing.B) {
	s := newLiveServer(b, gputest.OpenRuntime(b), Config{Trusted: true})
	s.serve("mlp", "mlp")
	req := &inference.ModelInferRequest{
		ModelName: "mlp", Inputs: []*inference.ModelInferRequest_InferInputTensor{input("x", "FP32", 1, 32)},
		RawInputContents: [][]byte{raw(make([]float32, 32)...)},
	}
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism((callers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			if callers == 1 {
				for b.Loop() {
					if _, err := s.ModelInfer(b.Context(), req); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := s.ModelInfer(b.Context(), req); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
