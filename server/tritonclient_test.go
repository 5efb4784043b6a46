package server

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/proto/inference"
)

// TestTritonClient lets Triton's own Python client do everything that it can.
// scripts/inference/tritonclient.sh sets up an interpreter and runs it.
func TestTritonClient(t *testing.T) {
	python := os.Getenv("SCRY_TRITONCLIENT_PYTHON")
	if python == "" {
		t.Skip("SCRY_TRITONCLIENT_PYTHON names no Python that has tritonclient[grpc]: see scripts/inference/tritonclient.sh")
	}
	s := newLiveServer(t, gputest.OpenRuntime(t), Config{Trusted: true})
	for _, graph := range []string{"types", "matmul", "labels", "float16", "gather", "texts"} {
		s.serve(graph, graph)
	}
	s.push("matmul", map[string]string{
		"model.onnx": graphFile(t, "matmul"), "bundle.yaml": "description: two\ngraphs: {model: {file: model.onnx}}\n",
	})
	descriptors, err := proto.Marshal(&descriptorpb.FileDescriptorSet{
		File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(inference.File_inference_inference_proto)},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "inference.binpb")
	if err := os.WriteFile(file, descriptors, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, python, filepath.Join("..", "scripts", "inference", "tritonclient_check.py"), s.address, file).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
