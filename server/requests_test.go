package server

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/proto/inference"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// TestRequestMemory fills the room for large requests. A small call passes, a
// large one is refused with a hint when to come back and counted, a stream waits;
// and whatever becomes of a message, its room is given back.
func TestRequestMemory(t *testing.T) {
	const most = 1 << 20
	reg := prometheus.NewRegistry()
	s := newLiveServer(t, &gputest.Fake{}, Config{Registry: reg, Trusted: true, RequestMemory: 1, Limits: Limits{MessageBytes: most}})
	s.serve("matmul", "matmul")
	conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	texts := sentimentv1.NewSentimentServiceClient(conn)
	features := []sentimentv1.TextFeature{sentimentv1.TextFeature_TEXT_FEATURE_LANGUAGE} // needs no model
	text := func(bytes int) []*sentimentv1.TextItem {
		return []*sentimentv1.TextItem{{Content: &sentimentv1.TextItem_Text{Text: strings.Repeat("word ", bytes/5)}}}
	}
	call := func(bytes int) error {
		_, err := texts.AnalyzeText(t.Context(), &sentimentv1.AnalyzeTextRequest{Texts: text(bytes), Features: features})
		return err
	}
	room := s.server.requests
	unheld := func(after string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); room.used.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s, %d bytes are held", after, room.used.Load())
			}
		}
		if !room.room.TryAcquire(most) {
			t.Fatalf("%s, there is no room", after)
		}
		room.room.Release(most)
	}
	if err := call(most - 100); err != nil {
		t.Fatal(err)
	}
	unheld("after a call")

	if !room.room.TryAcquire(most) {
		t.Fatal("no room")
	}
	if err := call(countedRequest / 2); err != nil {
		t.Errorf("a small call: %v", err)
	}
	err = call(2 * countedRequest)
	wantStatus(t, err, codes.ResourceExhausted, "REQUESTS_FULL", "")
	var retry *errdetails.RetryInfo
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			retry = r
		}
	}
	if retry.GetRetryDelay().AsDuration() != requestWait {
		t.Errorf("come back in %v", retry.GetRetryDelay())
	}
	got := metricsOf(t, reg)
	if n := got["scry_refusal_seconds{queued=true,reason=REQUESTS_FULL}"].GetHistogram().GetSampleCount(); n != 1 {
		t.Errorf("%d refusals are counted", n)
	}
	const handled = "grpc_server_handled_total{grpc_code=ResourceExhausted,grpc_method=AnalyzeText,grpc_service=scry.sentiment.v1.SentimentService,grpc_type=unary}"
	if n := got[handled].GetCounter().GetValue(); n != 1 {
		t.Errorf("%v calls are counted", n)
	}

	stream, err := texts.StreamAnalyzeText(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&sentimentv1.StreamAnalyzeTextRequest{Texts: text(2 * countedRequest), Features: features}); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 1)
	go func() { // ends with the stream
		_, err := stream.Recv()
		answers <- err
	}()
	select {
	case err := <-answers:
		t.Fatalf("a stream did not wait: %v", err)
	case <-time.After(requestWait + 200*time.Millisecond):
	}
	room.room.Release(most)
	if err := <-answers; err != nil {
		t.Fatal(err)
	}
	unheld("while a stream waits for messages")

	// The second message is refused, and the first may not have been answered yet.
	for range 2 {
		if err := stream.Send(&sentimentv1.StreamAnalyzeTextRequest{Texts: text(2 * countedRequest), Features: features}); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("features in the second message were taken")
	}
	unheld("after a broken stream")

	tensors, err := s.ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const rows = 1000
	large := &inference.ModelInferRequest{
		ModelName: "matmul", RawInputContents: [][]byte{raw(make([]float32, rows*3)...)},
		Inputs: []*inference.ModelInferRequest_InferInputTensor{input("x", "FP32", rows, 3)},
		Id:     strings.Repeat("x", countedRequest),
	}
	if err := tensors.Send(large); err != nil {
		t.Fatal(err)
	}
	if resp, err := tensors.Recv(); err != nil || resp.GetErrorMessage() != "" {
		t.Fatal(resp.GetErrorMessage(), err)
	}
	unheld("after a stream of tensors")

	// More than the room passes through one stream.
	chunk := make([]byte, most/2)
	file := modelstore.File{Path: "file", SHA256: fmt.Sprintf("%x", sha256.Sum256(bytes.Repeat(chunk, 4))), Size: 2 * most}
	upload, err := s.store.CreateUpload(t.Context(), "uploaded", []modelstore.File{file}, "")
	if err != nil {
		t.Fatal(err)
	}
	files, err := modelstorev1.NewModelStoreServiceClient(conn).UploadFile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		req := &modelstorev1.UploadFileRequest{Chunk: chunk}
		if i == 0 {
			req.UploadId, req.Sha256 = upload.ID, file.SHA256
		}
		if err := files.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	if resp, err := files.CloseAndRecv(); err != nil || !resp.GetComplete() {
		t.Fatal(resp, err)
	}
	unheld("after an upload")
}
