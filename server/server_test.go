package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/modelstore/fsys"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/serving"
)

// pumped runs pump over messages that the test sends, and returns its answers
// and its error.
type pumped struct {
	in   chan *int
	out  chan int
	done chan error
}

func newPump(t *testing.T, ahead int, handle func(ctx context.Context, first int64, v *int) (*int, error)) *pumped {
	t.Helper()
	p := &pumped{in: make(chan *int), out: make(chan int), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	var handler sync.WaitGroup
	handler.Go(func() {
		p.done <- pump(ctx, ahead,
			func() (*int, error) {
				select {
				case v := <-p.in:
					if v == nil {
						return nil, io.EOF
					}
					return v, nil
				case <-ctx.Done(): // as gRPC does once the handler has returned
					return nil, ctx.Err()
				}
			},
			func(v *int) error {
				select {
				case p.out <- *v:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			},
			func(*int) int64 { return 10 },
			handle)
	})
	t.Cleanup(func() {
		cancel()
		handler.Wait()
	})
	return p
}

func (p *pumped) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("the stream did not end")
		return nil
	}
}

func TestPumpAnswersAll(t *testing.T) {
	const n, ahead = 50, 4
	var busy, most atomic.Int32
	p := newPump(t, ahead, func(_ context.Context, first int64, v *int) (*int, error) {
		most.Store(max(most.Load(), busy.Add(1)))
		defer busy.Add(-1)
		if first != int64(*v*10) {
			return nil, fmt.Errorf("message %d begins at item %d", *v, first)
		}
		return v, nil
	})
	go func() {
		for i := range n {
			p.in <- &i
		}
		p.in <- nil
	}()
	seen := map[int]bool{}
	for range n {
		seen[<-p.out] = true
	}
	if err := p.wait(t); err != nil || len(seen) != n {
		t.Errorf("%d answers, %v", len(seen), err)
	}
	if most.Load() > ahead {
		t.Errorf("%d messages at once, the bound is %d", most.Load(), ahead)
	}
}

// TestPumpBoundsReading leaves the answers unread: no more than so many messages
// are taken.
func TestPumpBoundsReading(t *testing.T) {
	const ahead = 3
	p := newPump(t, ahead, func(_ context.Context, _ int64, v *int) (*int, error) { return v, nil })
	taken := 0
	for one := 1; ; taken++ {
		select {
		case p.in <- &one:
			continue
		case <-time.After(200 * time.Millisecond):
		}
		break
	}
	if taken > ahead+1 {
		t.Errorf("%d messages were read for a reader who reads nothing, want at most %d", taken, ahead+1)
	}
}

// TestPumpFailsAtOnce has a handler fail, or panic, while nothing more is sent.
func TestPumpFailsAtOnce(t *testing.T) {
	bad := errors.New("bad message")
	for name, c := range map[string]struct {
		handle func() error
		says   string
	}{
		"error": {func() error { return bad }, "bad message"},
		"panic": {func() error { panic("boom") }, "boom"},
		"nil":   {func() error { var p *int; return fmt.Errorf("%d", *p) }, "nil pointer"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPump(t, 4, func(context.Context, int64, *int) (*int, error) { return nil, c.handle() })
			one := 1
			p.in <- &one
			err := p.wait(t)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v, want %q", err, c.says)
			}
			if name != "error" {
				st := toStatus(err, "")
				if st.Code() != codes.Internal || strings.Contains(st.Message(), c.says) || strings.Contains(st.Message(), "goroutine") {
					t.Errorf("the caller is told %v", st)
				}
			}
		})
	}
}

// TestPanicIsContained panics in a unary handler: the caller gets INTERNAL, the
// log gets the stack, and the server lives.
func TestPanicIsContained(t *testing.T) {
	s := newStoreServer(t, modelstore.Config{})
	v := s.push("churn", "content")
	s.live.onWarm = func(string, int64) error { panic("a secret in the panic") }
	activate := func() error {
		_, err := s.client.ActivateVersion(t.Context(), &modelstorev1.ActivateVersionRequest{Model: "churn", Version: fmt.Sprint(v.GetVersion())})
		return err
	}
	err := activate()
	wantStatus(t, err, codes.Internal, "INTERNAL", "")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the caller is told %v", err)
	}
	s.live.onWarm = nil
	if err := activate(); err != nil {
		t.Errorf("the call after it: %v", err)
	}
}

// TestDiskFull lets the disk fill up during an upload and during a commit.
// Nothing that was acknowledged is lost, and the same calls work once there is
// room.
func TestDiskFull(t *testing.T) {
	disk := fsys.NewMem()
	dir := t.TempDir()
	s := newStoreServer(t, modelstore.Config{FS: disk, Catalogue: dir + "/catalogue.db", SyncBytes: 1})
	content := strings.Repeat("0123456789", 1000)
	u := s.create("churn", content)
	disk.SetCapacity(5_000)
	_, err := s.send(u, 0, content)
	wantStatus(t, err, codes.ResourceExhausted, "DISK_FULL", "")
	got, err := s.client.GetUpload(t.Context(), &modelstorev1.GetUploadRequest{UploadId: u.GetUploadId()})
	if err != nil {
		t.Fatal(err)
	}
	offset := got.GetUpload().GetFiles()[0].GetOffset()
	if offset == 0 || offset > 5_000 {
		t.Errorf("%d bytes are stored on a disk of 5000", offset)
	}
	_, err = s.client.CommitUpload(t.Context(), &modelstorev1.CommitUploadRequest{UploadId: u.GetUploadId()})
	wantStatus(t, err, codes.FailedPrecondition, "UPLOAD_INCOMPLETE", "")
	disk.SetCapacity(1 << 30)
	if _, err := s.send(u, offset, content[offset:]); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	r, err := s.client.CommitUpload(t.Context(), &modelstorev1.CommitUploadRequest{UploadId: u.GetUploadId()})
	if err != nil || !r.GetCreated() {
		t.Errorf("with room again: %v, %v", r, err)
	}
}

// TestDefaultDeadline holds for calls that set none, except those that load a
// version.
func TestDefaultDeadline(t *testing.T) {
	s, err := New(Config{
		Store: nil, Manager: serving.New(serving.Config{Loader: &gputest.Fake{}}), Devices: &gputest.Fake{}, Trusted: true,
		DefaultDeadline: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop(t.Context())
	for method, want := range map[string]bool{
		scoringv1.ScoringService_Score_FullMethodName:                 true,
		modelstorev1.ModelStoreService_GetModel_FullMethodName:        true,
		modelstorev1.ModelStoreService_CommitUpload_FullMethodName:    false,
		modelstorev1.ModelStoreService_ActivateVersion_FullMethodName: false,
		modelstorev1.ModelStoreService_Rollback_FullMethodName:        false,
	} {
		_, err := s.unaryPrepare(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: method}, func(ctx context.Context, _ any) (any, error) {
			if _, has := ctx.Deadline(); has != want {
				t.Errorf("%s: deadline %v, want %v", method, has, want)
			}
			return nil, nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	// The caller's own is kept.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, stop := s.withDeadline(ctx, time.Now())
	defer stop()
	if at, _ := got.Deadline(); time.Until(at) > time.Minute {
		t.Errorf("the caller's deadline became %v", at)
	}
}

// TestHugeMetadata is refused before it costs much.
func TestHugeMetadata(t *testing.T) {
	store, err := modelstore.Open(t.Context(), modelstore.Config{Dir: t.TempDir(), SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s, err := New(Config{Store: store, Manager: serving.New(serving.Config{Loader: &gputest.Fake{}}), Devices: &gputest.Fake{}, Trusted: true})
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(1 << 20)
	var serve sync.WaitGroup
	serve.Go(func() {
		if err := s.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	defer serve.Wait()
	defer s.Stop(t.Context())
	conn, err := grpc.NewClient("passthrough:///", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := modelstorev1.NewModelStoreServiceClient(conn)
	for size, fine := range map[int]bool{1 << 10: true, 16 << 10: true, 1 << 20: false} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-note", strings.Repeat("x", size))
		_, err := client.ListModels(ctx, &modelstorev1.ListModelsRequest{})
		if (err == nil) != fine {
			t.Errorf("%d bytes of metadata: %v", size, err)
		}
	}
	// A tenant's name is cut, and is no reason to fail.
	ctx := metadata.AppendToOutgoingContext(t.Context(), tenantKey, strings.Repeat("t", 10_000))
	if _, err := client.ListModels(ctx, &modelstorev1.ListModelsRequest{}); err != nil {
		t.Error(err)
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8001": true, "127.9.9.9:1": true, "[::1]:8001": true, "localhost:8001": true,
		"0.0.0.0:8001": false, ":8001": false, "[::]:8001": false, "10.0.0.1:1": false, "example.com:1": false,
		"localhost.example.com:1": false, "": false, "127.0.0.1": false, "[::ffff:127.0.0.1]:1": true, "[::ffff:10.0.0.1]:1": false,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("Loopback(%q) = %v", address, got)
		}
	}
}

// TestNeedsToken holds for every method that is not known to read, also for one
// that is added later.
func TestNeedsToken(t *testing.T) {
	s := &Server{cfg: Config{AdminToken: "token"}}
	reads := map[string]bool{
		"GetUpload": true, "GetModel": true, "ListModels": true, "GetVersion": true, "ListVersions": true, "WatchVersion": true,
		"DownloadFile": true, "ListAliases": true, "ListRoutes": true,
	}
	desc := modelstorev1.ModelStoreService_ServiceDesc
	var methods []string
	for _, m := range desc.Methods {
		methods = append(methods, m.MethodName)
	}
	for _, m := range desc.Streams {
		methods = append(methods, m.StreamName)
	}
	for _, m := range methods {
		if got := s.needsToken("/" + desc.ServiceName + "/" + m); got == reads[m] {
			t.Errorf("%s needs a token: %v", m, got)
		}
	}
	if s.needsToken(scoringv1.ScoringService_Score_FullMethodName) {
		t.Error("scoring needs the admin token")
	}
}

// TestStatusOfStream keeps what gRPC itself says.
func TestStatusOfStream(t *testing.T) {
	s := &Server{}
	if err := s.finish(t.Context(), "", status.Error(codes.Canceled, "gone")); status.Code(err) != codes.Canceled {
		t.Errorf("%v", err)
	}
	if err := s.finish(t.Context(), "", nil); err != nil {
		t.Errorf("%v", err)
	}
}

// TestLog tells failed calls, and keeps successful ones and the flood of an
// overload for verbose logs; a full disk is no overload.
func TestLog(t *testing.T) {
	const method = scoringv1.ScoringService_Score_FullMethodName
	for _, c := range []struct {
		err     error
		level   slog.Level
		message string // "" = nothing is logged
	}{
		{nil, slog.LevelInfo, ""},
		{nil, slog.LevelDebug, "level=DEBUG msg=\"finished call\" grpc.service=scry.scoring.v1.ScoringService grpc.method=Score grpc.code=OK"},
		{&batch.FullError{}, slog.LevelInfo, ""},
		{&batch.DeadlineError{}, slog.LevelDebug, "grpc.code=ResourceExhausted"},
		{modelstore.ErrDiskFull, slog.LevelInfo, "level=INFO msg=\"finished call\" grpc.service=scry.scoring.v1.ScoringService grpc.method=Score grpc.code=ResourceExhausted"},
		{errors.New("secret"), slog.LevelInfo, "level=ERROR"},
	} {
		var out bytes.Buffer
		s, err := New(Config{
			Manager: serving.New(serving.Config{Loader: &gputest.Fake{}}), Devices: &gputest.Fake{}, Trusted: true,
			Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: c.level})),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.unaryStatus(t.Context(), &scoringv1.ScoreRequest{Instances: []*scoringv1.Instance{{}}}, &grpc.UnaryServerInfo{FullMethod: method},
			func(context.Context, any) (any, error) { return &scoringv1.ScoreResponse{}, c.err })
		s.Stop(t.Context())
		if got := out.String(); !strings.Contains(got, c.message) || c.message == "" && got != "" {
			t.Errorf("%v at %v logs %q, want %q", c.err, c.level, got, c.message)
		}
	}
}
