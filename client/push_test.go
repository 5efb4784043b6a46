package client_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/scry-ml/scry/client"
	"github.com/scry-ml/scry/client/clienttest"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

type files map[string]string

func (f files) fs() fs.FS {
	m := fstest.MapFS{}
	for name, content := range f {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

// large returns content that no two offsets have in common.
func large(n int) string {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		b.WriteString(strings.Repeat(string(rune('a'+i%26)), 1000))
		b.WriteByte(byte(i))
	}
	return b.String()[:n]
}

func TestPush(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	content := files{"model.onnx": large(3 << 20), "sub/labels.txt": "a\nb\n", "copy.onnx": large(3 << 20), "empty": ""}
	var phases []client.Phase
	var last client.Progress
	o := client.PushOptions{Model: "m", Activate: true, Progress: func(p client.Progress) {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
		if p.Done > p.Total {
			t.Errorf("%d of %d bytes in phase %d", p.Done, p.Total, p.Phase)
		}
		if p.Phase == client.PhaseTransfer {
			last = p
		}
	}}
	r, err := c.Push(t.Context(), content.fs(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Created || r.Version.GetVersion() != 1 || len(r.Version.GetFiles()) != 4 || r.Route.GetEntries()[0].GetVersion() != 1 {
		t.Errorf("got %+v", r)
	}
	if want := int64(3<<20 + 4); r.Sent != want {
		t.Errorf("%d bytes were sent, want %d: equal files once", r.Sent, want)
	}
	if last.Done != last.Total || last.Total != 2*(3<<20)+4 {
		t.Errorf("the transfer ended at %d of %d", last.Done, last.Total)
	}
	if want := []client.Phase{client.PhaseHash, client.PhaseTransfer, client.PhaseCommit, client.PhaseLoad, client.PhaseActivate}; !slices.Equal(phases, want) {
		t.Errorf("phases %v", phases)
	}
	again, err := c.Push(t.Context(), content.fs(), client.PushOptions{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if again.Created || again.Sent != 0 || again.Version.GetVersion() != 1 {
		t.Errorf("the same content again: %+v", again)
	}
	some, err := c.Push(t.Context(), content.fs(), client.PushOptions{Model: "m", Files: []string{"sub/labels.txt"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(some.Version.GetFiles()) != 1 || some.Version.GetVersion() != 2 {
		t.Errorf("one file: %+v", some)
	}
}

// A new version of files that the store has sends what is new, and reads nothing
// of the rest.
func TestPushStored(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	first, err := c.Push(t.Context(), files{"model.onnx": large(1 << 20), "notes": "old"}.fs(), client.PushOptions{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	stored := slices.DeleteFunc(slices.Clone(first.Version.GetFiles()), func(f *modelstorev1.File) bool { return f.GetPath() == "notes" })
	second, err := c.Push(t.Context(), files{"notes": "new!"}.fs(), client.PushOptions{Model: "m", Stored: stored})
	if err != nil {
		t.Fatal(err)
	}
	if second.Sent != 4 || !second.Created || second.Version.GetVersion() != 2 || len(second.Version.GetFiles()) != 2 {
		t.Errorf("sent %d bytes for %v", second.Sent, second.Version)
	}
	stored[0].Sha256 = strings.Repeat("0", 64)
	if _, err := c.Push(t.Context(), files{"notes": "newer"}.fs(), client.PushOptions{Model: "m", Stored: stored}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that the store lacks: %v", err)
	}
}

func TestPushResumes(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	content := files{"a.onnx": large(8 << 20), "b.onnx": large(4<<20) + "b"}
	total := int64(12<<20 + 1)
	s.DropUploads(7 << 20)
	var most int64
	r, err := c.Push(t.Context(), content.fs(), client.PushOptions{Model: "m", Progress: func(p client.Progress) {
		if p.Phase == client.PhaseTransfer {
			most = max(most, p.Done)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Version.GetSizeBytes() != total || r.Sent != total || most != total {
		t.Errorf("%d bytes stored, %d counted, progress up to %d, want %d", r.Version.GetSizeBytes(), r.Sent, most, total)
	}
	complete := 0
	for _, n := range s.Sizes("UploadFile") {
		complete += n
	}
	// Calls that were cut are not counted: what came after them is less than all.
	if int64(complete) >= total {
		t.Errorf("%d bytes came in calls that were not cut: everything was sent again", complete)
	}
}

func TestPushIsTakenUpByAnotherProcess(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	content := files{"a.onnx": large(6 << 20)}
	ctx, cancel := context.WithCancel(t.Context())
	begun := ""
	_, err := c.Push(ctx, content.fs(), client.PushOptions{
		Model: "m",
		Begun: func(id string) { begun = id },
		Progress: func(p client.Progress) {
			if p.Phase == client.PhaseTransfer && p.Done > 4<<20 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || begun == "" {
		t.Fatalf("a cancelled push of upload %q gives %v", begun, err)
	}
	// An upload of other files, or one that is gone, is left alone.
	for _, resume := range []string{begun, "gone"} {
		other, err := c.Push(t.Context(), files{"a.onnx": large(1 << 20)}.fs(), client.PushOptions{Model: "other", Resume: resume})
		if err != nil || other.Version.GetSizeBytes() != 1<<20 {
			t.Errorf("other files with Resume %q: %v", resume, err)
		}
	}
	again := ""
	r, err := c.Push(t.Context(), content.fs(), client.PushOptions{Model: "m", Resume: begun, Begun: func(id string) { again = id }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent >= 6<<20 || r.Sent == 0 || again != "" {
		t.Errorf("the second push sent %d bytes, in upload %q", r.Sent, again)
	}
}

func TestPushGivesUp(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	gone := status.Error(codes.Unavailable, "gone")
	s.Fail("UploadFile", slices.Repeat([]error{gone}, 100)...)
	began := time.Now()
	_, err := c.Push(t.Context(), files{"a": "b"}.fs(), client.PushOptions{Model: "m", Patience: 200 * time.Millisecond})
	if client.CodeOf(err) != codes.Unavailable || time.Since(began) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	s2 := clienttest.New()
	c2 := s2.Dial(t)
	s2.Fail("UploadFile", clienttest.Error(codes.PermissionDenied, "NO_TOKEN", "token needed"))
	if _, err := c2.Push(t.Context(), files{"a": "b"}.fs(), client.PushOptions{Model: "m"}); client.CodeOf(err) != codes.PermissionDenied {
		t.Errorf("got %v", err)
	}
	for name, content := range map[string]fs.FS{"nothing": files{}.fs()} {
		if _, err := c2.Push(t.Context(), content, client.PushOptions{Model: "m"}); err == nil {
			t.Errorf("%s was pushed", name)
		}
	}
}

func TestPull(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	content := files{"model.onnx": large(2 << 20), "sub/labels.txt": "a\nb\n", "other": "o"}
	if _, err := c.Push(t.Context(), content.fs(), client.PushOptions{Model: "m"}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("model.onnx.part", content["model.onnx"][:1<<20]) // received in part before
	write("other", "o")                                     // there already
	s.Fail("DownloadFile", status.Error(codes.Unavailable, "gone"))
	v, err := c.Pull(t.Context(), dir, client.PullOptions{Model: "m", Version: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range content {
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, want %d; %v", name, len(got), len(want), err)
		}
	}
	if parts, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(parts) != 0 || v.GetVersion() != 1 {
		t.Errorf("left behind: %v", parts)
	}
	got := s.Sizes("DownloadFile")
	slices.Sort(got)
	if want := []int{4, 1 << 20}; !slices.Equal(got, want) {
		t.Errorf("downloads of %v bytes, want %v", got, want)
	}
	write("model.onnx.part", "not the beginning of it")
	if err := os.Remove(filepath.Join(dir, "model.onnx")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pull(t.Context(), dir, client.PullOptions{Model: "m", Version: "1"}); err == nil {
		t.Error("a file with the wrong digest was accepted")
	}
	if _, err := os.Stat(filepath.Join(dir, "model.onnx")); err == nil {
		t.Error("a file with the wrong digest has its name")
	}
}

func TestWaitLoaded(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	withModels(t, c)
	var states []modelstorev1.LoadState
	err := c.WaitLoaded(t.Context(), "churn", "", func(r *modelstorev1.WatchVersionResponse) { states = append(states, r.GetState()) })
	if err != nil || len(states) != 2 {
		t.Errorf("%v, %v", states, err)
	}
	if err := c.WaitLoaded(t.Context(), "churn", "9", nil); client.CodeOf(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}
}
