package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/modelstore"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	"github.com/scry-ml/scry/serving"
)

// fakeLive notes what the service asks of serving.
type fakeLive struct {
	mu     sync.Mutex
	calls  []string                          // guarded by mu
	onWarm func(model string, v int64) error // may be nil
	watch  []serving.Progress                // what Watch tells
}

func (f *fakeLive) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

// take returns the calls since the last take.
func (f *fakeLive) take() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := strings.Join(f.calls, ", ")
	f.calls = nil
	return calls
}

func (f *fakeLive) Warm(_ context.Context, model string, v int64) error {
	f.note("warm %s %d", model, v)
	if f.onWarm != nil {
		return f.onWarm(model, v)
	}
	return nil
}

func (f *fakeLive) SetRoute(r serving.Route) {
	f.note("route %s %d at %d", r.Model, r.Version, r.Revision)
}

func (f *fakeLive) Forget(model string, v int64) { f.note("forget %s %d", model, v) }

func (f *fakeLive) Watch(_ context.Context, _ string, _ int64, each func(serving.Progress) error) error {
	for _, p := range f.watch {
		if err := each(p); err != nil {
			return err
		}
	}
	return nil
}

// storeServer is a model store service on a connection in memory, behind the
// real interceptors.
type storeServer struct {
	t      *testing.T
	store  *modelstore.Store
	live   *fakeLive
	client modelstorev1.ModelStoreServiceClient
}

func newStoreServer(t *testing.T, cfg modelstore.Config) *storeServer {
	t.Helper()
	cfg.Dir, cfg.SweepInterval = t.TempDir(), -1
	store, err := modelstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	manager := serving.New(serving.Config{Loader: &gputest.Fake{}})
	s, err := New(Config{Store: store, Manager: manager, Devices: &gputest.Fake{}, Trusted: true})
	if err != nil {
		t.Fatal(err)
	}
	live := &fakeLive{}
	g := grpc.NewServer(s.interceptors()...)
	modelstorev1.RegisterModelStoreServiceServer(g, &modelStoreService{store: store, live: live})
	listener := bufconn.Listen(1 << 20)
	var serve sync.WaitGroup
	serve.Go(func() {
		if err := g.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient("passthrough:///", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		serve.Wait()
		s.Stop(context.Background())
		if err := errors.Join(manager.Close(context.Background()), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return &storeServer{t: t, store: store, live: live, client: modelstorev1.NewModelStoreServiceClient(conn)}
}

func file(path, content string) *modelstorev1.File {
	sum := sha256.Sum256([]byte(content))
	return &modelstorev1.File{Path: path, Sha256: hex.EncodeToString(sum[:]), Size: int64(len(content))}
}

func (s *storeServer) create(model, content string) *modelstorev1.Upload {
	s.t.Helper()
	resp, err := s.client.CreateUpload(s.t.Context(), &modelstorev1.CreateUploadRequest{
		Model: model, Files: []*modelstorev1.File{file("sub/graph.onnx", content)},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.GetUpload()
}

// send sends content in chunks of three bytes.
func (s *storeServer) send(u *modelstorev1.Upload, offset int64, content string) (*modelstorev1.UploadFileResponse, error) {
	stream, err := s.client.UploadFile(s.t.Context())
	if err != nil {
		return nil, err
	}
	req := &modelstorev1.UploadFileRequest{UploadId: u.GetUploadId(), Sha256: u.GetFiles()[0].GetFile().GetSha256(), Offset: offset}
	for chunk := range slices.Chunk([]byte(content), 3) {
		req.Chunk = chunk
		if err := stream.Send(req); err != nil {
			break // CloseAndRecv tells why
		}
		req = &modelstorev1.UploadFileRequest{}
	}
	return stream.CloseAndRecv()
}

// push makes a version.
func (s *storeServer) push(model, content string) *modelstorev1.Version {
	s.t.Helper()
	u := s.create(model, content)
	if u.GetFiles()[0].GetOffset() == 0 {
		if _, err := s.send(u, 0, content); err != nil {
			s.t.Fatal(err)
		}
	}
	resp, err := s.client.CommitUpload(s.t.Context(), &modelstorev1.CommitUploadRequest{UploadId: u.GetUploadId()})
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.GetVersion()
}

// wantStatus checks code, reason and the field that is blamed; empty for none.
func wantStatus(t *testing.T, err error, code codes.Code, reason, field string) {
	t.Helper()
	st := status.Convert(err)
	gotReason, gotField := "", ""
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			gotReason = d.GetReason()
		case *errdetails.BadRequest:
			gotField = d.GetFieldViolations()[0].GetField()
		}
	}
	if st.Code() != code || gotReason != reason || gotField != field {
		t.Errorf("got %v (%s, %s, field %q), want %v %s, field %q", st.Message(), st.Code(), gotReason, gotField, code, reason, field)
	}
}

func TestPushPullOverTheWire(t *testing.T) {
	manifest, err := proto.Marshal(&bundlev1.Manifest{Graphs: map[string]*bundlev1.Graph{"g": {File: "sub/graph.onnx"}}})
	if err != nil {
		t.Fatal(err)
	}
	s := newStoreServer(t, modelstore.Config{SyncBytes: 1, Probe: func(context.Context, string) (modelstore.Probed, error) {
		return modelstore.Probed{Manifest: manifest, Verification: modelstore.Verification{Samples: 2, MaxDifference: 0.5, Output: "g.y", Precision: "fp32"}}, nil
	}})
	ctx := t.Context()
	content := strings.Repeat("0123456789", 1000)
	u := s.create("churn", content)

	// A stream that breaks off at 99 %.
	broken, cut := context.WithCancel(ctx)
	stream, err := s.client.UploadFile(broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&modelstorev1.UploadFileRequest{
		UploadId: u.GetUploadId(), Sha256: u.GetFiles()[0].GetFile().GetSha256(), Chunk: []byte(content[:9900]),
	}); err != nil {
		t.Fatal(err)
	}
	var stored int64
	for until := time.Now().Add(10 * time.Second); stored == 0 && time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		got, err := s.client.GetUpload(ctx, &modelstorev1.GetUploadRequest{UploadId: u.GetUploadId()})
		if err != nil {
			t.Fatal(err)
		}
		stored = got.GetUpload().GetFiles()[0].GetOffset()
	}
	cut()
	if stored != 9900 {
		t.Fatalf("%d bytes are stored, 9900 were sent", stored)
	}
	_, err = s.send(u, 0, content)
	wantStatus(t, err, codes.FailedPrecondition, "OFFSET_MISMATCH", "")
	resp, err := s.send(u, 9900, content[9900:9950])
	if err != nil || resp.GetOffset() != 9950 || resp.GetComplete() {
		t.Fatalf("got %v, %v, want 9950 bytes and more to come", resp, err)
	}
	resp, err = s.send(u, 9950, content[9950:])
	if err != nil || resp.GetOffset() != 10000 || !resp.GetComplete() {
		t.Fatalf("got %v, %v, want the whole", resp, err)
	}
	for try, wantCreated := range []bool{true, true, false} {
		if try == 2 {
			u = s.create("churn", content)
		}
		done, err := s.client.CommitUpload(ctx, &modelstorev1.CommitUploadRequest{UploadId: u.GetUploadId()})
		if err != nil || done.GetVersion().GetVersion() != 1 || done.GetCreated() != wantCreated {
			t.Fatalf("commit %d: got %v, %v, want version 1, created %v", try, done, err, wantCreated)
		}
	}
	got, err := s.client.GetVersion(ctx, &modelstorev1.GetVersionRequest{Model: "churn", Version: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	v := got.GetVersion()
	if v.GetManifest().GetGraphs()["g"].GetFile() != "sub/graph.onnx" || v.GetVerification().GetSamples() != 2 || v.GetSizeBytes() != 10000 || len(v.GetDigest()) != 64 {
		t.Fatalf("got %v", v)
	}

	for _, offset := range []int64{0, 9999, 10000} {
		down, err := s.client.DownloadFile(ctx, &modelstorev1.DownloadFileRequest{Model: "churn", Version: "1", Path: "sub/graph.onnx", Offset: offset})
		if err != nil {
			t.Fatal(err)
		}
		var all []byte
		for first := true; ; first = false {
			part, err := down.Recv()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if (part.GetFile() != nil) != first {
				t.Fatalf("the file is told in the first message: %v, first %v", part.GetFile(), first)
			}
			all = append(all, part.GetChunk()...)
		}
		if string(all) != content[offset:] {
			t.Fatalf("offset %d: got %d bytes", offset, len(all))
		}
	}
}

func TestDownloadInChunks(t *testing.T) {
	s := newStoreServer(t, modelstore.Config{})
	content := strings.Repeat("abcdefgh", 300_000) // 2.4 MB
	f := file("big", content)
	u, err := s.store.CreateUpload(t.Context(), "churn", []modelstore.File{{Path: "big", SHA256: f.GetSha256(), Size: f.GetSize()}}, "")
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.store.OpenUploadFile(t.Context(), u.ID, f.GetSha256(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.store.CommitUpload(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	down, err := s.client.DownloadFile(t.Context(), &modelstorev1.DownloadFileRequest{Model: "churn", Version: "1", Path: "big", Offset: 3})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for {
		part, err := down.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(part.GetChunk()) > downloadChunk {
			t.Fatalf("a chunk of %d bytes", len(part.GetChunk()))
		}
		got.Write(part.GetChunk())
	}
	if got.String() != content[3:] {
		t.Fatal("other bytes came back")
	}
}

func TestActivateAndRollBack(t *testing.T) {
	s := newStoreServer(t, modelstore.Config{})
	ctx := t.Context()
	for _, content := range []string{"one", "two", "three"} {
		s.push("churn", content)
	}
	activate := func(version, etag string) (*modelstorev1.Route, error) {
		resp, err := s.client.ActivateVersion(ctx, &modelstorev1.ActivateVersionRequest{Model: "churn", Version: version, Etag: etag})
		return resp.GetRoute(), err
	}
	rollback := func(etag string) (*modelstorev1.Route, error) {
		resp, err := s.client.Rollback(ctx, &modelstorev1.RollbackRequest{Model: "churn", Etag: etag})
		return resp.GetRoute(), err
	}
	want := func(route *modelstorev1.Route, err error, version int64, calls string) {
		t.Helper()
		if err != nil || route.GetEntries()[0].GetVersion() != version {
			t.Fatalf("got %v, %v, want version %d", route, err, version)
		}
		if got := s.live.take(); got != calls {
			t.Fatalf("serving was asked: %s, want: %s", got, calls)
		}
	}
	first, err := activate("1", "")
	want(first, err, 1, "warm churn 1, route churn 1 at 1")
	second, err := activate("latest", first.GetEtag())
	want(second, err, 3, "warm churn 3, route churn 3 at 2")
	_, err = activate("2", first.GetEtag())
	wantStatus(t, err, codes.Aborted, "ETAG_MISMATCH", "")
	if got := s.live.take(); strings.Contains(got, "route") {
		t.Fatalf("a route that lost the race was swapped in: %s", got)
	}
	back, err := rollback(second.GetEtag())
	want(back, err, 1, "warm churn 1, route churn 1 at 3")
	if back.GetRolledBackTo() != 1 {
		t.Fatalf("got %v", back)
	}
	_, err = rollback("")
	wantStatus(t, err, codes.FailedPrecondition, "NO_EARLIER_ROUTE", "")
	s.live.take()

	// A version that cannot be loaded changes nothing.
	s.live.onWarm = func(string, int64) error { return fmt.Errorf("%w: no", serving.ErrLoad) }
	_, err = activate("2", "")
	wantStatus(t, err, codes.FailedPrecondition, "LOAD_FAILED", "")
	if got := s.live.take(); got != "warm churn 2" {
		t.Fatalf("serving was asked: %s", got)
	}
	s.live.onWarm = nil
	model, err := s.client.GetModel(ctx, &modelstorev1.GetModelRequest{Model: "churn"})
	if err != nil || model.GetModel().GetRoute().GetRevision() != 3 {
		t.Fatalf("got %v, %v, want revision 3", model, err)
	}

	// Somebody else activates while a rollback warms: without an etag it looks
	// again, with one it gives way.
	if _, err := activate("2", ""); err != nil {
		t.Fatal(err)
	}
	s.live.take()
	interrupt := func(version int64) func(string, int64) error {
		return func(string, int64) error {
			s.live.onWarm = nil
			_, err := s.store.Activate(ctx, "churn", version, "", "other")
			return err
		}
	}
	s.live.onWarm = interrupt(3)
	again, err := rollback("")
	want(again, err, 2, "warm churn 1, warm churn 2, route churn 2 at 6")
	s.live.onWarm = interrupt(3)
	_, err = rollback(again.GetEtag())
	wantStatus(t, err, codes.Aborted, "ETAG_MISMATCH", "")
	s.live.take()

	_, err = s.client.DeleteVersion(ctx, &modelstorev1.DeleteVersionRequest{Model: "churn", Version: 3})
	wantStatus(t, err, codes.FailedPrecondition, "VERSION_ROUTED", "")
	if _, err := s.client.DeleteVersion(ctx, &modelstorev1.DeleteVersionRequest{Model: "churn", Version: 2}); err != nil {
		t.Fatal(err)
	}
	_, err = s.client.DeleteModel(ctx, &modelstorev1.DeleteModelRequest{Model: "churn"})
	wantStatus(t, err, codes.FailedPrecondition, "VERSION_ROUTED", "")
	if _, err := s.client.DeleteModel(ctx, &modelstorev1.DeleteModelRequest{Model: "churn", Force: true}); err != nil {
		t.Fatal(err)
	}
	if got := s.live.take(); got != "forget churn 2, forget churn 0" {
		t.Fatalf("serving was asked: %s", got)
	}
}

func TestStoreLists(t *testing.T) {
	s := newStoreServer(t, modelstore.Config{})
	ctx := t.Context()
	for i := range 3 {
		s.push("churn", fmt.Sprint(i))
		s.push(fmt.Sprintf("other-%d", i), "x")
	}
	for i, name := range []string{"a", "b", "c"} {
		resp, err := s.client.SetAlias(ctx, &modelstorev1.SetAliasRequest{Model: "churn", Alias: name, Version: int64(i) + 1})
		if err != nil || resp.GetAlias().GetEtag() == "" {
			t.Fatalf("got %v, %v", resp, err)
		}
		if _, err := s.client.ActivateVersion(ctx, &modelstorev1.ActivateVersionRequest{Model: "churn", Version: name}); err != nil {
			t.Fatal(err)
		}
	}
	walk := func(what, want string, list func(token string) (keys []string, next string, err error)) {
		t.Helper()
		var all []string
		for token := ""; ; {
			keys, next, err := list(token)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, keys...)
			if token = next; token == "" {
				break
			}
		}
		if got := strings.Join(all, " "); got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	walk("models", "churn other-0 other-1 other-2", func(token string) (keys []string, next string, err error) {
		resp, err := s.client.ListModels(ctx, &modelstorev1.ListModelsRequest{PageSize: 3, PageToken: token})
		for _, m := range resp.GetModels() {
			keys = append(keys, m.GetName())
		}
		return keys, resp.GetNextPageToken(), err
	})
	walk("versions", "3c true 2b false 1a false", func(token string) (keys []string, next string, err error) {
		resp, err := s.client.ListVersions(ctx, &modelstorev1.ListVersionsRequest{Model: "churn", PageSize: 2, PageToken: token})
		for _, v := range resp.GetVersions() {
			keys = append(keys, fmt.Sprintf("%d%s %v", v.GetVersion(), strings.Join(v.GetAliases(), ""), v.GetRouted()))
		}
		return keys, resp.GetNextPageToken(), err
	})
	walk("aliases", "a1 b2 c3", func(token string) (keys []string, next string, err error) {
		resp, err := s.client.ListAliases(ctx, &modelstorev1.ListAliasesRequest{Model: "churn", PageSize: 2, PageToken: token})
		for _, a := range resp.GetAliases() {
			keys = append(keys, fmt.Sprint(a.GetAlias(), a.GetVersion()))
		}
		return keys, resp.GetNextPageToken(), err
	})
	walk("routes", "3 2 1", func(token string) (keys []string, next string, err error) {
		resp, err := s.client.ListRoutes(ctx, &modelstorev1.ListRoutesRequest{Model: "churn", PageSize: 2, PageToken: token})
		for _, r := range resp.GetRoutes() {
			keys = append(keys, fmt.Sprint(r.GetRevision()))
		}
		return keys, resp.GetNextPageToken(), err
	})
	if _, err := s.client.DeleteAlias(ctx, &modelstorev1.DeleteAliasRequest{Model: "churn", Alias: "a"}); err != nil {
		t.Fatal(err)
	}
}

func TestUpdateModel(t *testing.T) {
	s := newStoreServer(t, modelstore.Config{})
	ctx := t.Context()
	s.push("churn", "x")
	update := func(m *modelstorev1.Model, paths ...string) (*modelstorev1.Model, error) {
		resp, err := s.client.UpdateModel(ctx, &modelstorev1.UpdateModelRequest{Model: m, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
		return resp.GetModel(), err
	}
	m, err := update(&modelstorev1.Model{Name: "churn", Description: "who leaves", Labels: map[string]string{"team": "crm"}})
	if err != nil || m.GetDescription() != "who leaves" || m.GetLabels()["team"] != "crm" {
		t.Fatalf("got %v, %v", m, err)
	}
	old := m.GetEtag()
	m, err = update(&modelstorev1.Model{Name: "churn", Etag: old, Description: "ignored"}, "labels")
	if err != nil || m.GetDescription() != "who leaves" || len(m.GetLabels()) != 0 {
		t.Fatalf("got %v, %v", m, err)
	}
	_, err = update(&modelstorev1.Model{Name: "churn", Etag: old})
	wantStatus(t, err, codes.Aborted, "ETAG_MISMATCH", "")
	_, err = update(&modelstorev1.Model{Name: "churn"}, "labels", "route")
	wantStatus(t, err, codes.InvalidArgument, "FIELD_INVALID", "update_mask.paths[1]")
	_, err = update(&modelstorev1.Model{Name: "churn", Labels: map[string]string{"Team": "x"}}, "labels")
	wantStatus(t, err, codes.InvalidArgument, "ARGUMENT_INVALID", `model.labels["Team"]`)
}

func TestWatchVersion(t *testing.T) {
	s := newStoreServer(t, modelstore.Config{})
	s.push("churn", "x")
	s.live.watch = []serving.Progress{{Stage: serving.Preparing}, {Stage: serving.Loading, Message: "graph g", Fraction: 0.5}, {Stage: serving.Failed, Message: "no"}}
	stream, err := s.client.WatchVersion(t.Context(), &modelstorev1.WatchVersionRequest{Model: "churn", Version: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for {
		step, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, fmt.Sprintf("%s %g %d", step.GetState(), step.GetProgress(), step.GetVersion()))
	}
	if got := strings.Join(states, ", "); got != "LOAD_STATE_PREPARING 0 1, LOAD_STATE_LOADING 0.5 1, LOAD_STATE_FAILED 0 1" {
		t.Fatalf("got %s", got)
	}
}

func TestBadStoreCalls(t *testing.T) {
	ctx := t.Context()
	refused := fmt.Errorf("%w: golden 3", serving.ErrGolden)
	s := newStoreServer(t, modelstore.Config{Probe: func(_ context.Context, dir string) (modelstore.Probed, error) {
		return modelstore.Probed{}, refused
	}})
	one := []*modelstorev1.File{file("a", "x")}
	for _, c := range []struct {
		model  string
		files  []*modelstorev1.File
		reason string
		field  string
	}{
		{"Churn", one, "FIELD_INVALID", "model"},
		{"churn", nil, "FIELD_INVALID", "files"},
		{"churn", []*modelstorev1.File{file("a", "x"), file("../../etc/passwd", "y")}, "ARGUMENT_INVALID", "files[1].path"},
		{"churn", []*modelstorev1.File{file("a", "x"), file("A", "y")}, "ARGUMENT_INVALID", "files[1].path"},
		{"churn", []*modelstorev1.File{{Path: "a", Sha256: "zz", Size: 1}}, "FIELD_INVALID", "files[0].sha256"},
		{"churn", []*modelstorev1.File{{Path: "a", Sha256: one[0].GetSha256(), Size: -1}}, "FIELD_INVALID", "files[0].size"},
	} {
		_, err := s.client.CreateUpload(ctx, &modelstorev1.CreateUploadRequest{Model: c.model, Files: c.files})
		wantStatus(t, err, codes.InvalidArgument, c.reason, c.field)
	}

	u := s.create("churn", "content")
	sendRaw := func(messages ...*modelstorev1.UploadFileRequest) error {
		stream, err := s.client.UploadFile(ctx)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := stream.Send(m); err != nil {
				break
			}
		}
		_, err = stream.CloseAndRecv()
		return err
	}
	id, digest := u.GetUploadId(), u.GetFiles()[0].GetFile().GetSha256()
	wantStatus(t, sendRaw(), codes.InvalidArgument, "FIELD_INVALID", "upload_id")
	wantStatus(t, sendRaw(&modelstorev1.UploadFileRequest{Sha256: digest}), codes.InvalidArgument, "FIELD_INVALID", "upload_id")
	wantStatus(t, sendRaw(&modelstorev1.UploadFileRequest{UploadId: id}), codes.InvalidArgument, "FIELD_INVALID", "sha256")
	wantStatus(t, sendRaw(&modelstorev1.UploadFileRequest{UploadId: "../..", Sha256: digest}), codes.NotFound, "NOT_FOUND", "")
	wantStatus(t, sendRaw(&modelstorev1.UploadFileRequest{UploadId: id, Sha256: file("", "other").GetSha256()}), codes.NotFound, "NOT_FOUND", "")
	wantStatus(t, sendRaw(&modelstorev1.UploadFileRequest{UploadId: id, Sha256: digest, Chunk: []byte("content and more")}),
		codes.InvalidArgument, "ARGUMENT_INVALID", "chunk")
	wantStatus(t, sendRaw(&modelstorev1.UploadFileRequest{UploadId: id, Sha256: digest, Chunk: []byte("con")}, &modelstorev1.UploadFileRequest{UploadId: id}),
		codes.InvalidArgument, "FIELD_INVALID", "upload_id")
	wantStatus(t, sendRaw(&modelstorev1.UploadFileRequest{UploadId: id, Sha256: digest, Offset: 3, Chunk: []byte("xxxx")}),
		codes.InvalidArgument, "DIGEST_MISMATCH", "")
	commit := func() error {
		_, err := s.client.CommitUpload(ctx, &modelstorev1.CommitUploadRequest{UploadId: id})
		return err
	}
	wantStatus(t, commit(), codes.FailedPrecondition, "UPLOAD_INCOMPLETE", "")
	if err := sendRaw(&modelstorev1.UploadFileRequest{UploadId: id, Sha256: digest, Chunk: []byte("content")}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, commit(), codes.FailedPrecondition, "GOLDEN_MISMATCH", "")
	refused = errors.New("something else")
	wantStatus(t, commit(), codes.InvalidArgument, "BUNDLE_REJECTED", "")
	_, err := s.client.GetModel(ctx, &modelstorev1.GetModelRequest{Model: "churn"})
	wantStatus(t, err, codes.NotFound, "NOT_FOUND", "")
	if _, err := s.client.CancelUpload(ctx, &modelstorev1.CancelUploadRequest{UploadId: id}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, commit(), codes.NotFound, "NOT_FOUND", "")

	down, err := s.client.DownloadFile(ctx, &modelstorev1.DownloadFileRequest{Model: "churn", Path: "a"})
	if err == nil {
		_, err = down.Recv()
	}
	wantStatus(t, err, codes.NotFound, "NOT_FOUND", "")
	_, err = s.client.ListModels(ctx, &modelstorev1.ListModelsRequest{PageToken: "nonsense"})
	wantStatus(t, err, codes.InvalidArgument, "ARGUMENT_INVALID", "page_token")
	_, err = s.client.SetAlias(ctx, &modelstorev1.SetAliasRequest{Model: "churn", Alias: "latest", Version: 1})
	wantStatus(t, err, codes.InvalidArgument, "ARGUMENT_INVALID", "alias")
}
