package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/gpu/gputest"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// crashFile makes the probe of a bundle that holds it die as ONNX Runtime could:
// by a signal.
const crashFile = "crash-the-probe"

// TestMain lets the test binary be the child in which the daemon probes bundles.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "probe" {
		dir := os.Args[len(os.Args)-1]
		if _, err := os.Stat(filepath.Join(dir, crashFile)); err == nil {
			_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
			select {}
		}
		if err := run(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	var err error
	if scratch, err = os.MkdirTemp("", "scryd-test"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(code)
}

// scratch is a directory that lasts as long as the tests.
var scratch string

// daemon is the real program in this process, with a client's connection to it.
type daemon struct {
	t    *testing.T
	app  *App
	dir  string // of the store
	logs *syncBuffer
	conn *grpc.ClientConn

	store  modelstorev1.ModelStoreServiceClient
	scorer scoringv1.ScoringServiceClient
	texts  sentimentv1.SentimentServiceClient
	images imageanalysisv1.ImageAnalysisServiceClient

	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
}

// start runs the daemon with a store of its own until the test ends. ONNX
// Runtime is there once in a process: no two daemons run at a time.
func start(t *testing.T, args ...string) *daemon {
	t.Helper()
	return startAt(t, t.TempDir(), args...)
}

func startAt(t *testing.T, dir string, args ...string) *daemon {
	t.Helper()
	return startWith(t, dir, grpc.WithTransportCredentials(insecure.NewCredentials()), args...)
}

func startWith(t *testing.T, dir string, creds grpc.DialOption, args ...string) *daemon {
	t.Helper()
	cfg := config(t, dir, args...)
	d := &daemon{t: t, dir: dir, logs: &syncBuffer{}, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	app, err := NewApp(ctx, cfg, d.logs)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	d.app = app
	go func() { d.ended <- app.Run(ctx) }()
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", d.logs)
		}
	})
	d.conn = dial(t, app.GRPCAddr(), creds)
	d.store = modelstorev1.NewModelStoreServiceClient(d.conn)
	d.scorer = scoringv1.NewScoringServiceClient(d.conn)
	d.texts = sentimentv1.NewSentimentServiceClient(d.conn)
	d.images = imageanalysisv1.NewImageAnalysisServiceClient(d.conn)
	return d
}

// config is what arguments say, with the test's ONNX Runtime and free ports.
func config(t *testing.T, dir string, args ...string) Config {
	t.Helper()
	args = append(append([]string{"--store", dir, "--grpc", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, runtimeFlags(t)...), args...)
	cfg, _, err := loadConfig("scryd", args, func(string) string { return "" }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// runtimeFlags name the ONNX Runtime of the tests, the CPU only: what providers
// do is the matter of package gpu's tests.
func runtimeFlags(t *testing.T) []string {
	t.Helper()
	return []string{"--runtime-dir", t.TempDir(), "--ort-library", gputest.RuntimeConfig(t).Library}
}

func dial(t *testing.T, address string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, append(opts, grpc.WithDefaultCallOptions(
		grpc.MaxCallSendMsgSize(128<<20), grpc.MaxCallRecvMsgSize(128<<20), grpc.WaitForReady(true)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// stop ends the daemon as a signal does and returns what Run returned.
func (d *daemon) stop() (err error) {
	d.once.Do(func() {
		d.cancel()
		select {
		case err = <-d.ended:
		case <-time.After(time.Minute):
			err = fmt.Errorf("Run did not return within a minute")
		}
	})
	return err
}

// ctx bounds what one step of a test may take.
func (d *daemon) ctx() context.Context {
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	d.t.Cleanup(cancel)
	return ctx
}

// get returns status and body of a page of the admin listener.
func (d *daemon) get(path string) (int, string) {
	d.t.Helper()
	resp, err := http.Get("http://" + d.app.AdminAddr() + path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// eventually polls until ok, for as long as a test may wait.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// files are a bundle's, by path.
type files map[string][]byte

func (f files) with(path string, content string) files {
	out := maps.Clone(f)
	out[path] = []byte(content)
	return out
}

// readFiles reads the files of a directory.
func readFiles(t *testing.T, dir string) files {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := files{}
	for _, e := range entries {
		if f[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// churn is the starter bundle of that name.
func churn(t *testing.T) files { return readFiles(t, "../../models/churn") }

// graph is a graph of the conformance suite, as a bundle without manifest.
func graph(t *testing.T, name string) files {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../gpu/gputest/testdata", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return files{"model.onnx": data}
}

func digest256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (d *daemon) create(model string, f files) (*modelstorev1.Upload, error) {
	req := &modelstorev1.CreateUploadRequest{Model: model}
	for _, path := range slices.Sorted(maps.Keys(f)) {
		req.Files = append(req.Files, &modelstorev1.File{Path: path, Sha256: digest256(f[path]), Size: int64(len(f[path]))})
	}
	resp, err := d.store.CreateUpload(d.ctx(), req)
	return resp.GetUpload(), err
}

// send sends content[from:to] of a file.
func (d *daemon) send(upload string, content []byte, from, to int64) (*modelstorev1.UploadFileResponse, error) {
	stream, err := d.store.UploadFile(d.ctx())
	if err != nil {
		return nil, err
	}
	req := &modelstorev1.UploadFileRequest{UploadId: upload, Sha256: digest256(content), Offset: from}
	for at := from; ; {
		n := min(to-at, 1<<20)
		req.Chunk = content[at : at+n]
		if err := stream.Send(req); err != nil {
			break // CloseAndRecv tells why
		}
		if at += n; at == to {
			break
		}
		req = &modelstorev1.UploadFileRequest{}
	}
	return stream.CloseAndRecv()
}

func (d *daemon) commit(upload string) (*modelstorev1.CommitUploadResponse, error) {
	return d.store.CommitUpload(d.ctx(), &modelstorev1.CommitUploadRequest{UploadId: upload})
}

// upload sends the files of a version and returns the upload's id.
func (d *daemon) upload(model string, f files) (string, error) {
	u, err := d.create(model, f)
	if err != nil {
		return "", err
	}
	for _, p := range u.GetFiles() {
		if p.GetOffset() < p.GetFile().GetSize() {
			if _, err := d.send(u.GetUploadId(), f[p.GetFile().GetPath()], p.GetOffset(), p.GetFile().GetSize()); err != nil {
				return "", err
			}
		}
	}
	return u.GetUploadId(), nil
}

// push makes a version, or says why there is none.
func (d *daemon) push(model string, f files) (int64, error) {
	id, err := d.upload(model, f)
	if err != nil {
		return 0, err
	}
	resp, err := d.commit(id)
	return resp.GetVersion().GetVersion(), err
}

func (d *daemon) activate(model string, version int64) error {
	_, err := d.store.ActivateVersion(d.ctx(), &modelstorev1.ActivateVersionRequest{Model: model, Version: fmt.Sprint(version)})
	return err
}

// deploy pushes and activates.
func (d *daemon) deploy(model string, f files) int64 {
	d.t.Helper()
	v, err := d.push(model, f)
	if err == nil {
		err = d.activate(model, v)
	}
	if err != nil {
		d.t.Fatalf("%s: %v", model, err)
	}
	return v
}

// golden is the first golden sample of the churn model, whose answers change
// whenever it is trained anew.
var golden = sync.OnceValue(func() (g struct {
	Features map[string]any
	Outputs  map[string]struct{ Values []float64 }
}) {
	text, err := os.ReadFile("../../models/churn/goldens.jsonl")
	if err == nil {
		line, _, _ := bytes.Cut(text, []byte("\n"))
		err = json.Unmarshal(line, &g)
	}
	if err != nil {
		panic(err)
	}
	return g
})

// customer is the row of the golden sample.
func customer(t *testing.T, id string) *scoringv1.Instance {
	t.Helper()
	s, err := structpb.NewStruct(golden().Features)
	if err != nil {
		t.Fatal(err)
	}
	return &scoringv1.Instance{Id: id, Features: s}
}

// isGolden tells the golden sample's probability.
func isGolden(probability float64) bool {
	return math.Abs(probability-golden().Outputs["model.probability"].Values[0]) < 1e-4
}

// score scores customers and fails unless each has the golden answer. It returns
// the version that answered.
func (d *daemon) score(model, version string, n int) (int64, error) {
	req := &scoringv1.ScoreRequest{Model: model, Version: version}
	for i := range n {
		req.Instances = append(req.Instances, customer(d.t, fmt.Sprint(i)))
	}
	resp, err := d.scorer.Score(d.ctx(), req)
	if err != nil {
		return 0, err
	}
	if len(resp.GetResults()) != n {
		return 0, fmt.Errorf("%d results for %d rows", len(resp.GetResults()), n)
	}
	for _, r := range resp.GetResults() {
		if err := checkScore(r); err != nil {
			return 0, err
		}
	}
	return resp.GetResults()[0].GetServedBy()[0].GetVersion(), nil
}

func checkScore(r *scoringv1.ScoreResult) error {
	if r.GetError() != nil {
		return status.FromProto(r.GetError()).Err()
	}
	p := r.GetHeads()["churn"].GetProbability()
	if !isGolden(p.GetProbability()) {
		return fmt.Errorf("row %d: probability %v is not the golden sample's", r.GetIndex(), p.GetProbability())
	}
	if len(r.GetServedBy()) != 1 || r.GetPredictionId() == "" {
		return fmt.Errorf("row %d: served_by %v, prediction_id %q", r.GetIndex(), r.GetServedBy(), r.GetPredictionId())
	}
	return nil
}

// wantError checks code, reason and the first field that is blamed, and that
// nothing of this machine is told.
func wantError(t *testing.T, err error, code codes.Code, reason, field string) map[string]string {
	t.Helper()
	st := status.Convert(err)
	var gotReason, gotDomain, gotField string
	var metadata map[string]string
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			gotReason, gotDomain, metadata = detail.GetReason(), detail.GetDomain(), detail.GetMetadata()
		case *errdetails.BadRequest:
			gotField = detail.GetFieldViolations()[0].GetField()
		}
	}
	if st.Code() != code || gotReason != reason || gotField != field || (reason != "" && gotDomain != "scry") {
		t.Errorf("got %v %s.%s, field %q (%v), want %v %s, field %q", st.Code(), gotDomain, gotReason, gotField, st.Message(), code, reason, field)
	}
	for _, secret := range []string{os.TempDir(), ".cc:", "goroutine"} {
		if strings.Contains(st.Message(), secret) {
			t.Errorf("the message tells %q: %s", secret, st.Message())
		}
	}
	return metadata
}

// wantItemError is wantError for the error within an answer.
func wantItemError(t *testing.T, s *spb.Status, code codes.Code, reason, field string) {
	t.Helper()
	wantError(t, status.FromProto(s).Err(), code, reason, field)
}

// wantAlive fails unless the daemon still answers, and holds the given number of
// models.
func (d *daemon) wantAlive(models int) {
	d.t.Helper()
	list, err := d.store.ListModels(d.ctx(), &modelstorev1.ListModelsRequest{})
	if err != nil {
		d.t.Fatalf("the server is gone: %v", err)
	}
	if len(list.GetModels()) != models {
		d.t.Fatalf("%d models in the store, want %d", len(list.GetModels()), models)
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, "live", "*")); len(left) > 0 {
		d.t.Errorf("private directories are left: %v", left)
	}
}

// syncBuffer is a log that is written and read at once.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// textBundle and pictureBundle are made by testdata/make.py.
func textBundle(t *testing.T) files    { return readFiles(t, "testdata/text") }
func pictureBundle(t *testing.T) files { return readFiles(t, "testdata/picture") }

// raw is a message as bytes, for calls that no client would make.
type rawCodec struct{}

func (rawCodec) Name() string                  { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

// invoke calls a method with bytes instead of a message.
func (d *daemon) invoke(method string, req []byte) (resp []byte, err error) {
	err = d.conn.Invoke(d.ctx(), method, &req, &resp, grpc.ForceCodec(rawCodec{}))
	return resp, err
}

// redPicture is a PNG that is red all over.
func redPicture(t *testing.T) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, 20, 30))
	draw.Draw(picture, picture.Bounds(), image.NewUniform(color.RGBA{R: 255, A: 255}), image.Point{}, draw.Src)
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// describe lists the methods of a service.
func describe(s grpc.ServiceDesc) (d struct {
	name    string
	unary   []string
	streams []string
}) {
	d.name = s.ServiceName
	for _, m := range s.Methods {
		d.unary = append(d.unary, m.MethodName)
	}
	for _, m := range s.Streams {
		d.streams = append(d.streams, m.StreamName)
	}
	return d
}

// children counts the processes that this one has started and that still run.
func children(t *testing.T) (n int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
	if err != nil || len(tasks) == 0 {
		t.Skip("this kernel does not list children")
	}
	for _, task := range tasks {
		if list, err := os.ReadFile(task); err == nil {
			n += len(strings.Fields(string(list)))
		}
	}
	return n
}
