// Command hugot serves the benchmark's texts with the hugot library
// (knights-analytics/hugot) on ONNX Runtime, as people write a service with it: a
// feature extraction pipeline, one text a call.
//
//	hugot MODEL.onnx PORT
//
// It answers ModelInfer of the Open Inference Protocol, and says "ready ADDRESS"
// when it listens. hugot takes texts, not ids: a request of n tokens becomes a
// text of n - 2 words that are one token each, to which it adds two. It answers the mean
// over the tokens, [1, 384], a smaller answer than the other servers'.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/knights-analytics/hugot"
	"github.com/knights-analytics/hugot/options"
	"github.com/knights-analytics/hugot/pipelines"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/scry-ml/scry/proto/inference"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(model, port string) error {
	dir := filepath.Dir(model)
	words, err := words(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		return err
	}
	session, err := hugot.NewORTSession(options.WithOnnxLibraryPath(os.Getenv("SCRY_ORT_LIBRARY")))
	if err != nil {
		return err
	}
	defer func() { _ = session.Destroy() }()
	pipeline, err := hugot.NewPipeline(session, hugot.FeatureExtractionConfig{ModelPath: dir, OnnxFilename: filepath.Base(model), Name: "texts"})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	inference.RegisterGRPCInferenceServiceServer(s, &server{pipeline: pipeline, words: words})
	fmt.Println("ready", l.Addr())
	return s.Serve(l)
}

// words are the vocabulary's pieces that are whole words.
func words(tokenizer string) ([]string, error) {
	data, err := os.ReadFile(tokenizer)
	if err != nil {
		return nil, err
	}
	var t struct {
		Model struct{ Vocab map[string]int }
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, err
	}
	whole := regexp.MustCompile(`^[a-z]{3,}$`)
	var found []string
	for piece := range t.Model.Vocab {
		if whole.MatchString(piece) {
			found = append(found, piece)
		}
	}
	slices.Sort(found)
	if len(found) == 0 {
		return nil, fmt.Errorf("%s holds no words", tokenizer)
	}
	return found, nil
}

type server struct {
	inference.UnimplementedGRPCInferenceServiceServer
	pipeline *pipelines.FeatureExtractionPipeline
	words    []string
}

// ModelInfer implements the RPC of that name.
func (s *server) ModelInfer(_ context.Context, req *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	if len(req.GetRawInputContents()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "raw_input_contents: empty")
	}
	ids := req.GetRawInputContents()[0]
	var text strings.Builder
	for i := 0; i+8 <= len(ids)-16; i += 8 {
		text.WriteString(s.words[binary.LittleEndian.Uint64(ids[i:])%uint64(len(s.words))])
		text.WriteByte(' ')
	}
	out, err := s.pipeline.RunPipeline([]string{text.String()})
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	values := out.Embeddings[0]
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return &inference.ModelInferResponse{
		ModelName: req.GetModelName(), Id: req.GetId(),
		Outputs: []*inference.ModelInferResponse_InferOutputTensor{{
			Name: "output_0", Datatype: "FP32", Shape: []int64{1, int64(len(values))},
		}},
		RawOutputContents: [][]byte{raw},
	}, nil
}
