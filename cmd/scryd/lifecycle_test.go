//lint:file-ignore SA1019 The old reflection service is tested because it is still offered.

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// Services by whether they answer with no model loaded.
var (
	taskServices  = []string{"scry.scoring.v1.ScoringService", "scry.sentiment.v1.SentimentService", "scry.imageanalysis.v1.ImageAnalysisService"}
	otherServices = []string{"scry.modelstore.v1.ModelStoreService", "scry.server.v1.ServerService"}
)

const (
	healthy   = healthv1.HealthCheckResponse_SERVING
	unhealthy = healthv1.HealthCheckResponse_NOT_SERVING
)

func (d *daemon) health(service string) healthv1.HealthCheckResponse_ServingStatus {
	d.t.Helper()
	resp, err := healthv1.NewHealthClient(d.conn).Check(d.ctx(), &healthv1.HealthCheckRequest{Service: service})
	if err != nil {
		d.t.Fatalf("health of %q: %v", service, err)
	}
	return resp.GetStatus()
}

// TestHealth checks what is told of an empty store, of a model that loads, of
// one that cannot be loaded, and of a server that ends.
func TestHealth(t *testing.T) {
	d := start(t)
	for _, service := range append(append([]string{""}, taskServices...), otherServices...) {
		eventually(t, "an empty store is serving", func() bool { return d.health(service) == healthy })
	}
	if code, body := d.get("/readyz"); code != 200 {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if code, _ := d.get("/healthz"); code != 200 {
		t.Errorf("/healthz: %d", code)
	}
	_, err := healthv1.NewHealthClient(d.conn).Check(d.ctx(), &healthv1.HealthCheckRequest{Service: "scry.none.v1"})
	wantError(t, err, codes.NotFound, "", "")
	v := d.deploy("churn", churn(t))

	// A second start finds the model routed and loads it. Its blobs are taken
	// away meanwhile, so that it never gets ready.
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	blobs := filepath.Join(d.dir, "blobs")
	if err := os.Rename(blobs, blobs+".away"); err != nil {
		t.Fatal(err)
	}
	broken := startAt(t, d.dir)
	eventually(t, "the failed load is told", func() bool { _, body := broken.get("/readyz"); return strings.Contains(body, "could not be loaded") })
	for _, service := range append([]string{""}, taskServices...) {
		if got := broken.health(service); got != unhealthy {
			t.Errorf("%q is %v with a model that cannot be loaded", service, got)
		}
	}
	for _, service := range otherServices {
		if got := broken.health(service); got != healthy {
			t.Errorf("%q is %v", service, got)
		}
	}
	if code, _ := broken.get("/healthz"); code != 200 {
		t.Errorf("/healthz: %d: a process that lives is to be left alone", code)
	}
	_, err = broken.score("churn", "", 1)
	wantError(t, err, codes.DataLoss, "STORED_DATA_CORRUPT", "")
	if err := broken.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(blobs); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(blobs+".away", blobs); err != nil {
		t.Fatal(err)
	}

	// A watch hears of readiness, and of the end, which it does not hold up.
	d = startAt(t, d.dir)
	watch, err := healthv1.NewHealthClient(d.conn).Watch(d.ctx(), &healthv1.HealthCheckRequest{Service: taskServices[0]})
	if err != nil {
		t.Fatal(err)
	}
	var heard []healthv1.HealthCheckResponse_ServingStatus
	for len(heard) == 0 || heard[len(heard)-1] != healthy {
		resp, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, resp.GetStatus())
	}
	if got, err := d.score("churn", "", 3); err != nil || got != v {
		t.Errorf("version %d, %v", got, err)
	}
	began := time.Now()
	d.cancel()
	resp, err := watch.Recv()
	if err != nil || resp.GetStatus() != unhealthy {
		t.Errorf("the end is told as %v, %v", resp, err)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("with a health watch the end took %v", took)
	}
}

// TestReflection lists the services by both versions of the protocol.
func TestReflection(t *testing.T) {
	d := start(t)
	v1, err := reflectionv1.NewServerReflectionClient(d.conn).ServerReflectionInfo(d.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := v1.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	resp, err := v1.Recv()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range resp.GetListServicesResponse().GetService() {
		names[s.GetName()] = true
	}
	for _, want := range append(append([]string{"grpc.health.v1.Health"}, taskServices...), otherServices...) {
		if !names[want] {
			t.Errorf("%s is not listed", want)
		}
	}
	alpha, err := reflectionv1alpha.NewServerReflectionClient(d.conn).ServerReflectionInfo(d.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := alpha.Send(&reflectionv1alpha.ServerReflectionRequest{
		MessageRequest: &reflectionv1alpha.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "scry.scoring.v1.ScoringService"},
	}); err != nil {
		t.Fatal(err)
	}
	if resp, err := alpha.Recv(); err != nil || len(resp.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("v1alpha: %v, %v", resp, err)
	}
	if err := alpha.CloseSend(); err != nil {
		t.Error(err)
	}
	if err := v1.CloseSend(); err != nil {
		t.Error(err)
	}
}

// TestDrain ends the server while it works. What it has taken on is answered.
func TestDrain(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	stream, err := d.scorer.StreamScore(d.ctx())
	if err != nil {
		t.Fatal(err)
	}
	table := customerTable(t, 20_000)
	const messages = 6
	if err := stream.Send(&scoringv1.StreamScoreRequest{Table: table}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil { // the call is under way
		t.Fatal(err)
	}
	d.cancel() // as SIGTERM does
	eventually(t, "the drain begins", func() bool { return strings.Contains(d.logs.String(), "draining") })
	go func() {
		for range messages - 1 {
			if err := stream.Send(&scoringv1.StreamScoreRequest{Table: table}); err != nil {
				return // Recv tells
			}
		}
		_ = stream.CloseSend()
	}()
	rows := int64(20_000)
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d rows: %v", rows, err)
		}
		if n := len(resp.GetTable().GetErrors()); n > 0 {
			t.Fatalf("%d rows failed: %v", n, resp.GetTable().GetErrors()[0])
		}
		rows += resp.GetTable().GetRows()
	}
	if rows != messages*20_000 {
		t.Errorf("%d rows were answered, want %d", rows, messages*20_000)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = d.scorer.Score(ctx, &scoringv1.ScoreRequest{Instances: []*scoringv1.Instance{customer(t, "late")}}, grpc.WaitForReady(false))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a call after the end: %v", err)
	}
}

// TestDrainTimeout ends the server under a caller who does not leave.
func TestDrainTimeout(t *testing.T) {
	d := start(t, "--drain-timeout", "500ms")
	d.deploy("churn", churn(t))
	stream, err := d.scorer.StreamScore(d.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&scoringv1.StreamScoreRequest{Instances: []*scoringv1.Instance{customer(t, "")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 400*time.Millisecond || took > 15*time.Second {
		t.Errorf("the end took %v", took)
	}
	if _, err := stream.Recv(); err == nil || err == io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestSwapUnderLoad activates and rolls back while calls are made: none fails,
// and after the acknowledgement no call is answered by the old version.
func TestSwapUnderLoad(t *testing.T) {
	d := start(t)
	first := d.deploy("churn", churn(t))
	second, err := d.push("churn", churn(t).with("note.md", "the same model once more"))
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var calls atomic.Int64
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := d.score("", "", 5); err != nil {
					t.Errorf("a call under load: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	const swaps = 20
	for i := range swaps {
		want := second
		if i%2 == 0 {
			err = d.activate("churn", second)
		} else {
			want = first
			_, err = d.store.Rollback(d.ctx(), &modelstorev1.RollbackRequest{Model: "churn"})
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.score("", "", 1); err != nil || got != want {
			t.Fatalf("swap %d to version %d was acknowledged; version %d answered, %v", i, want, got, err)
		}
	}
	before := calls.Load()
	eventually(t, "calls go on", func() bool { return calls.Load() > before+20 || t.Failed() })
	close(stop)
	load.Wait()
	t.Logf("%d calls through %d swaps", calls.Load(), swaps)
}

// TestRequiredDevice makes readiness fail, with the reason, where the device is
// not there, while the models are served all the same.
func TestRequiredDevice(t *testing.T) {
	d := start(t, "--require-device", "cuda")
	server := serverv1.NewServerServiceClient(d.conn)
	devices, err := server.ListDevices(d.ctx(), &serverv1.ListDevicesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	reason := ""
	for _, device := range devices.GetDevices() {
		if device.GetProvider() == "cuda" {
			if device.GetAvailable() {
				t.Skip("there is a GPU")
			}
			reason = device.GetReason()
		}
	}
	if reason == "" {
		t.Error("the device that cannot be used is listed without a reason")
	}
	d.deploy("churn", churn(t))
	code, body := d.get("/readyz")
	if code != 503 || !strings.Contains(body, "cuda") || !strings.Contains(body, reason) {
		t.Errorf("/readyz: %d %s, want 503 and %q", code, body, reason)
	}
	for _, service := range append([]string{""}, taskServices...) {
		if got := d.health(service); got != unhealthy {
			t.Errorf("health of %q: %v", service, got)
		}
	}
	if _, err := d.score("", "", 1); err != nil {
		t.Error(err)
	}
	// The fall-back of a graph that prefers the GPU is a metric and has a reason.
	d.deploy("gpu", graph(t, "matmul").with("bundle.yaml", "graphs: {model: {file: model.onnx, execution: {devices: [cuda, cpu]}}}\n"))
	eventually(t, "the fall-back is a metric", func() bool {
		_, metrics := d.get("/metrics")
		return strings.Contains(metrics, `scry_graph_fallback{device="cpu",graph="model",model="gpu",precision="fp32",version="1"} 1`) &&
			strings.Contains(metrics, `scry_graph_fallback{device="cpu",graph="model",model="churn",precision="fp32",version="1"} 0`)
	})
	loaded, err := server.ListLoadedVersions(d.ctx(), &serverv1.ListLoadedVersionsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range loaded.GetVersions() {
		if got := v.GetGraphs()[0].GetFallbackReason(); (v.GetModel() == "gpu") != strings.Contains(got, "cuda") {
			t.Errorf("%s: fall-back reason %q", v.GetModel(), got)
		}
	}
	// A pinned graph has nowhere to fall back to.
	_, err = d.push("pinned", graph(t, "matmul").with("bundle.yaml", "graphs: {model: {file: model.onnx, execution: {devices: [cuda]}}}\n"))
	if err == nil {
		err = d.activate("pinned", 1)
	}
	wantError(t, err, codes.FailedPrecondition, "NO_DEVICE", "")

	info, err := server.GetServerInfo(d.ctx(), &serverv1.GetServerInfoRequest{})
	if err != nil || info.GetLimits().GetMaxInstances() != 10_000 || info.GetDefaultModels()["scoring"] != "churn" || info.GetOnnxruntimeVersion() == "" {
		t.Errorf("%v, %v", info, err)
	}
}

// TestMetrics counts what was answered and refused.
func TestMetrics(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	if _, err := d.score("", "", 3); err != nil {
		t.Fatal(err)
	}
	if _, err := d.score("nobody", "", 1); err == nil {
		t.Fatal("a model that is not there answered")
	}
	_, metrics := d.get("/metrics")
	for _, want := range []string{
		`scry_items_total{model="churn",outcome="ok",version="1"} 3`,
		`scry_computed_rows_total{device="cpu",graph="model",model="churn",precision="fp32",version="1"}`,
		`scry_loaded_versions 1`,
		`scry_item_preprocess_seconds_count{model="churn",version="1"} 1`,
		`scry_item_compute_seconds_count{model="churn",version="1"} 1`,
		`scry_item_total_seconds_count{model="churn",version="1"} 1`,
		`grpc_server_handled_total{grpc_code="OK",grpc_method="Score",grpc_service="scry.scoring.v1.ScoringService",grpc_type="unary"} 1`,
		`grpc_server_handled_total{grpc_code="NotFound",grpc_method="Score",grpc_service="scry.scoring.v1.ScoringService",grpc_type="unary"} 1`,
		`go_goroutines`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestTLS speaks TLS only to those who do.
func TestTLS(t *testing.T) {
	cert, key, pool := certificate(t)
	d := startWith(t, t.TempDir(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})),
		"--tls-cert", cert, "--tls-key", key)
	d.wantAlive(0)
	plain := dial(t, d.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := modelstorev1.NewModelStoreServiceClient(plain).ListModels(ctx, &modelstorev1.ListModelsRequest{}, grpc.WaitForReady(false))
	if err == nil {
		t.Error("a plain call was answered")
	}
	untrusting := dial(t, d.app.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})))
	_, err = modelstorev1.NewModelStoreServiceClient(untrusting).ListModels(ctx, &modelstorev1.ListModelsRequest{}, grpc.WaitForReady(false))
	if err == nil {
		t.Error("a certificate that nobody signed was trusted")
	}
}

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "scry test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, data := range map[string][]byte{certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}

// TestAdminToken lets only those change the store who have the token.
func TestAdminToken(t *testing.T) {
	const token = "correct-horse-battery-staple"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, "--admin-token-file", file)
	wrong := map[string]context.Context{
		"none":   d.ctx(),
		"other":  metadata.AppendToOutgoingContext(d.ctx(), "authorization", "Bearer wrong"),
		"basic":  metadata.AppendToOutgoingContext(d.ctx(), "authorization", "Basic "+token),
		"prefix": metadata.AppendToOutgoingContext(d.ctx(), "authorization", "Bearer "+token[:8]),
	}
	right := metadata.AppendToOutgoingContext(d.ctx(), "authorization", "Bearer "+token)
	for name, call := range changes(d.store) {
		for how, ctx := range wrong {
			if err := call(ctx); status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s with token %q: %v", name, how, err)
			}
		}
		if err := call(right); status.Code(err) == codes.Unauthenticated || status.Code(err) == codes.PermissionDenied {
			t.Errorf("%s with the token: %v", name, err)
		}
	}
	wantError(t, changes(d.store)["DeleteModel"](d.ctx()), codes.Unauthenticated, "TOKEN_REQUIRED", "")
	d.wantAlive(0) // reading needs no token
}

// TestReadOnlyStore listens beyond loopback without a token: nobody changes the
// store.
func TestReadOnlyStore(t *testing.T) {
	d := start(t, "--grpc", "0.0.0.0:0", "--insecure")
	for name, call := range changes(d.store) {
		if err := call(d.ctx()); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantError(t, changes(d.store)["DeleteModel"](d.ctx()), codes.PermissionDenied, "STORE_READ_ONLY", "")
	d.wantAlive(0)
}

// changes are the calls that change the store.
func changes(store modelstorev1.ModelStoreServiceClient) map[string]func(context.Context) error {
	none := func(_ any, err error) error { return err }
	return map[string]func(context.Context) error{
		"CreateUpload": func(ctx context.Context) error {
			return none(store.CreateUpload(ctx, &modelstorev1.CreateUploadRequest{Model: "m", Files: []*modelstorev1.File{{Path: "a", Sha256: digest256(nil)}}}))
		},
		"UploadFile": func(ctx context.Context) error {
			stream, err := store.UploadFile(ctx)
			if err != nil {
				return err
			}
			return none(stream.CloseAndRecv())
		},
		"CommitUpload": func(ctx context.Context) error {
			return none(store.CommitUpload(ctx, &modelstorev1.CommitUploadRequest{UploadId: "u"}))
		},
		"CancelUpload": func(ctx context.Context) error {
			return none(store.CancelUpload(ctx, &modelstorev1.CancelUploadRequest{UploadId: "u"}))
		},
		"UpdateModel": func(ctx context.Context) error {
			return none(store.UpdateModel(ctx, &modelstorev1.UpdateModelRequest{Model: &modelstorev1.Model{Name: "m"}}))
		},
		"DeleteModel": func(ctx context.Context) error {
			return none(store.DeleteModel(ctx, &modelstorev1.DeleteModelRequest{Model: "m"}))
		},
		"DeleteVersion": func(ctx context.Context) error {
			return none(store.DeleteVersion(ctx, &modelstorev1.DeleteVersionRequest{Model: "m", Version: 1}))
		},
		"SetAlias": func(ctx context.Context) error {
			return none(store.SetAlias(ctx, &modelstorev1.SetAliasRequest{Model: "m", Alias: "a", Version: 1}))
		},
		"DeleteAlias": func(ctx context.Context) error {
			return none(store.DeleteAlias(ctx, &modelstorev1.DeleteAliasRequest{Model: "m", Alias: "a"}))
		},
		"ActivateVersion": func(ctx context.Context) error {
			return none(store.ActivateVersion(ctx, &modelstorev1.ActivateVersionRequest{Model: "m", Version: "1"}))
		},
		"Rollback": func(ctx context.Context) error {
			return none(store.Rollback(ctx, &modelstorev1.RollbackRequest{Model: "m"}))
		},
	}
}

// TestImport imports the bundles of a directory once, and finishes an import
// that was cut short.
func TestImport(t *testing.T) {
	from := t.TempDir()
	if err := os.CopyFS(filepath.Join(from, "churn"), os.DirFS("../../models/churn")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(from, "notes"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := start(t, "--import", from)
	if got, err := d.score("", "", 1); err != nil || got != 1 {
		t.Fatalf("version %d, %v", got, err)
	}
	d.deploy("churn", churn(t).with("note.md", "mine"))
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d = startAt(t, d.dir, "--import", from)
	if got, err := d.score("", "", 1); err != nil || got != 2 {
		t.Errorf("the second start: version %d, %v; what was activated stays", got, err)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	// Committed by an import that ended before it activated.
	d = start(t)
	b := os.DirFS(filepath.Join(from, "churn"))
	if _, err := importVersion(t.Context(), d.app.store, "churn", b); err != nil {
		t.Fatal(err)
	}
	if _, err := d.score("", "", 1); status.Code(err) != codes.FailedPrecondition {
		t.Fatalf("%v, want no active version", err)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d = startAt(t, d.dir, "--import", from)
	if got, err := d.score("", "", 1); err != nil || got != 1 {
		t.Errorf("the finished import: version %d, %v", got, err)
	}
	// A bundle that cannot be imported is named.
	if err := os.WriteFile(filepath.Join(from, "notes", "bundle.yaml"), []byte("graphs: {model: {file: none.onnx}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	_, err := NewApp(t.Context(), config(t, d.dir, "--import", from), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "notes") || !strings.Contains(err.Error(), "none.onnx") {
		t.Errorf("%v does not name the bundle and the file", err)
	}
	// One whose weights are to be fetched by whoever wants them is left out.
	if err := os.WriteFile(filepath.Join(from, "notes", fetchFile), []byte("make setup-extra\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = startAt(t, d.dir, "--import", from)
	if got, err := d.score("", "", 1); err != nil || got != 1 {
		t.Errorf("beside a bundle without its weights: version %d, %v", got, err)
	}
}

// TestStartFails starts the daemon with what cannot work; it says what, and
// leaves nothing open.
func TestStartFails(t *testing.T) {
	d := start(t)
	_, port, err := net.SplitHostPort(d.app.GRPCAddr())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Skip(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"port taken":       {[]string{"--grpc", taken.Addr().String()}, "--grpc"},
		"admin port taken": {[]string{"--admin", taken.Addr().String()}, "--admin"},
		"no certificate":   {[]string{"--tls-cert", "none.pem", "--tls-key", "none.pem"}, "--tls-cert"},
		"no token":         {[]string{"--admin-token-file", "none"}, "--admin-token-file"},
		"no library":       {[]string{"--ort-library", "/nowhere/libonnxruntime.so"}, "--ort-library is"},
		"no bundles":       {[]string{"--import", "/nowhere"}, "--import"},
	} {
		t.Run(name, func(t *testing.T) {
			app, err := NewApp(t.Context(), config(t, t.TempDir(), c.args...), io.Discard)
			if err == nil {
				t.Fatal(app.close(t.Context()), "it started")
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
		})
	}
	d = startAt(t, d.dir)
	d.wantAlive(0)
	_, err = NewApp(t.Context(), config(t, t.TempDir()), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "open already") {
		t.Errorf("a second ONNX Runtime in one process: %v", err)
	}
}
