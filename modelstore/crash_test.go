package modelstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/modelstore/fsys"
	"github.com/scry-ml/scry/modelstore/storetest"
)

// The story that the tests of this file interrupt at each of its file-system
// operations: two versions, one of them sent in two streams, a route, a
// deletion, a sweep, a working directory. Each step may be repeated until it
// succeeds, by a client that remembers only what was acknowledged.
type story struct {
	fs        *fsys.Mem
	catalogue string
	store     *modelstore.Store
	now       time.Time

	// What was acknowledged.
	versions map[int64]string // number → digest
	upload   string           // id of the upload of version 2
	offset   int64            // of its file "weights", when its first stream was closed
	route    int64            // version
	deleting bool             // version 1 was to be deleted
	deleted  bool             // and it was
}

var (
	firstFiles = storetest.Files{"graph": storetest.Random(1, 3000), "shared": storetest.Random(2, 2000), "empty": {}}
	nextFiles  = storetest.Files{"weights": storetest.Random(3, 5000), "sub/shared": storetest.Random(2, 2000)}
)

// madeFiles are in every version of the story, though nobody uploads them.
var madeFiles = fstest.MapFS{"made": {Data: storetest.Random(5, 3000)}, "empty": {Data: []byte("no more")}}

func newStory(t *testing.T) *story {
	t.Helper()
	// SQLite does its own work with the real file system, a whole transaction
	// between two operations of ours; in memory where there is such a place.
	dir, err := os.MkdirTemp("/dev/shm", "scry-modelstore-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &story{
		fs:        fsys.NewMem(),
		catalogue: filepath.Join(dir, "catalogue.db"),
		now:       time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		versions:  map[int64]string{},
	}
}

func (st *story) open(ctx context.Context) (err error) {
	st.store, err = modelstore.Open(ctx, modelstore.Config{
		Dir:           "/data/store",
		FS:            st.fs,
		Catalogue:     st.catalogue,
		SyncBytes:     2000,
		SweepInterval: -1,
		Now:           func() time.Time { return st.now },
		Prepare: func(context.Context, string, []byte) (modelstore.Prepared, error) {
			return modelstore.Prepared{Files: madeFiles, Changed: []string{"empty", "made"}}, nil
		},
		Probe: func(ctx context.Context, dir string) (modelstore.Probed, error) {
			_, err := st.fs.ReadDir(dir)
			return modelstore.Probed{Manifest: []byte("m")}, err
		},
	})
	return err
}

// steps are the story; story.open comes before.
var steps = []struct {
	name string
	do   func(context.Context, *story) error
}{
	{"first version", func(ctx context.Context, st *story) error {
		if st.deleting {
			return nil
		}
		v, _, err := storetest.Push(ctx, st.store, "churn", firstFiles)
		if err == nil {
			st.versions[v.Number] = v.Digest
		}
		return err
	}},
	{"half an upload", func(ctx context.Context, st *story) error {
		if st.upload == "" {
			u, err := st.store.CreateUpload(ctx, "churn", nextFiles.List(), "")
			if err != nil {
				return err
			}
			st.upload = u.ID
		}
		content := nextFiles["weights"]
		u, err := st.store.GetUpload(ctx, st.upload)
		if err != nil || u.Version != 0 {
			return err
		}
		at := offsetOf(u, "weights")
		if at < st.offset {
			return fmt.Errorf("%d bytes were acknowledged, %d are left", st.offset, at)
		}
		if at >= 3000 {
			return nil
		}
		w, err := st.store.OpenUploadFile(ctx, st.upload, storetest.Digest(content), at)
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(content[at:3000], 500) {
			if _, err := w.Write(chunk); err != nil {
				return errors.Join(err, w.Close())
			}
		}
		err = w.Close()
		if err == nil {
			st.offset = 3000
		}
		return err
	}},
	{"second version", func(ctx context.Context, st *story) error {
		u, err := st.store.GetUpload(ctx, st.upload)
		if err != nil {
			return err
		}
		if err := storetest.Send(ctx, st.store, u, nextFiles, 700); err != nil {
			return err
		}
		v, _, err := st.store.CommitUpload(ctx, st.upload)
		if err == nil {
			st.versions[v.Number] = v.Digest
		}
		return err
	}},
	{"route", func(ctx context.Context, st *story) error {
		v, err := st.store.Resolve(ctx, "churn", modelstore.Latest)
		if err != nil {
			return err
		}
		_, err = st.store.Activate(ctx, "churn", v, "", "")
		if err == nil {
			st.route = v
		}
		return err
	}},
	{"cancelled upload", func(ctx context.Context, st *story) error {
		content := storetest.Random(4, 1000)
		u, err := st.store.CreateUpload(ctx, "churn", storetest.Files{"x": content}.List(), "")
		if err != nil {
			return err
		}
		w, err := st.store.OpenUploadFile(ctx, u.ID, u.Files[0].SHA256, u.Files[0].Offset)
		if err != nil {
			return err
		}
		_, err = w.Write(content[u.Files[0].Offset:500])
		if err := errors.Join(err, w.Close()); err != nil {
			return err
		}
		return st.store.CancelUpload(ctx, u.ID)
	}},
	{"deletion", func(ctx context.Context, st *story) error {
		st.deleting = true
		err := st.store.DeleteVersion(ctx, "churn", 1)
		if err == nil || errors.Is(err, modelstore.ErrNotFound) {
			st.deleted = true
			return nil
		}
		return err
	}},
	{"sweep", func(ctx context.Context, st *story) error {
		if _, err := st.store.Sweep(ctx); err != nil {
			return err
		}
		st.now = st.now.Add(2 * time.Hour)
		_, err := st.store.Sweep(ctx)
		return err
	}},
	{"materialize", func(ctx context.Context, st *story) error {
		dir, err := st.store.Materialize(ctx, "churn", st.route)
		if err != nil {
			return err
		}
		return dir.Close()
	}},
}

func offsetOf(u modelstore.Upload, path string) int64 {
	for _, f := range u.Files {
		if f.Path == path {
			return f.Offset
		}
	}
	return -1
}

// verify holds the store against what was acknowledged.
func (st *story) verify(ctx context.Context, t *testing.T) {
	t.Helper()
	for number, digest := range st.versions {
		v, err := st.store.GetVersion(ctx, "churn", number)
		if number == 1 && st.deleting && errors.Is(err, modelstore.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatalf("acknowledged version %d: %v", number, err)
		}
		if v.Digest != digest || number == 1 && st.deleted {
			t.Fatalf("version %d has digest %s, deleted %v", number, v.Digest, st.deleted)
		}
	}
	versions, _, err := st.store.ListVersions(ctx, "churn", modelstore.Page{})
	if err != nil && !errors.Is(err, modelstore.ErrNotFound) {
		t.Fatal(err)
	}
	for _, v := range versions {
		if err := storetest.Check(ctx, st.store, "churn", v.Number); err != nil {
			t.Fatalf("a visible version is not whole: %v", err)
		}
		dir, err := st.store.Materialize(ctx, "churn", v.Number)
		if err != nil {
			t.Fatalf("a visible version cannot be laid out: %v", err)
		}
		if err := dir.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if st.route != 0 {
		if v, err := st.store.Resolve(ctx, "churn", ""); err != nil || v != st.route {
			t.Fatalf("route: got %d, %v, want %d", v, err, st.route)
		}
	}
}

// finish runs the story to its end and looks for what should not be there.
func (st *story) finish(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, step := range steps {
		if err := step.do(ctx, st); err != nil {
			t.Fatalf("%s, after the interruption: %v", step.name, err)
		}
	}
	st.verify(ctx, t)
	for range 3 { // uploads expire, blobs are marked, blobs go
		st.now = st.now.Add(48 * time.Hour)
		if _, err := st.store.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := st.open(ctx); err != nil {
		t.Fatal(err)
	}
	st.verify(ctx, t)
	want := map[string]bool{}
	for _, content := range nextFiles {
		want[storetest.Digest(content)] = true
	}
	for _, f := range madeFiles {
		want[storetest.Digest(f.Data)] = true
	}
	got := map[string]bool{}
	for _, e := range st.list(t, "blobs/sha256") {
		got[e] = true
	}
	if !maps.Equal(got, want) {
		t.Fatalf("blobs at the end: %d, want %d", len(got), len(want))
	}
	for _, dir := range []string{"partial", "live", "quarantine"} {
		if left := st.list(t, dir); len(left) > 0 {
			t.Fatalf("%s holds %v at the end", dir, left)
		}
	}
	if err := st.store.Close(); err != nil {
		t.Fatal(err)
	}
}

func (st *story) list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := st.fs.ReadDir(filepath.Join("/data/store", dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// operations counts the story's file-system operations.
func operations(t *testing.T) int {
	st := newStory(t)
	if err := st.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		if err := step.do(t.Context(), st); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
	n := st.fs.Ops()
	st.finish(t.Context(), t)
	return n
}

// TestPowerLoss cuts the power at every file-system operation: what was not
// synced is lost, or survives in part. What was acknowledged must be there,
// what is visible must be whole, and the story can go on.
func TestPowerLoss(t *testing.T) {
	n := operations(t)
	if n < 50 {
		t.Fatalf("the story has %d operations: is it still told?", n)
	}
	type crash struct{}
	for at := 1; at <= n; at += stride {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("operation %d seed %d", at, seed), func(t *testing.T) {
				t.Parallel()
				ctx := t.Context()
				st := newStory(t)
				st.fs.Inject(func(op fsys.Op) error {
					if op.Index >= at {
						panic(crash{})
					}
					return nil
				})
				where := func() (where string) {
					where = "open"
					defer func() {
						if p := recover(); p != nil && p != (crash{}) {
							panic(p)
						}
					}()
					if err := st.open(ctx); err != nil {
						t.Fatal(err)
					}
					for _, step := range steps {
						where = step.name
						if err := step.do(ctx, st); err != nil {
							t.Fatalf("%s: %v", step.name, err)
						}
					}
					return "nowhere"
				}()
				var random *rand.Rand
				if seed > 0 {
					random = rand.New(rand.NewPCG(seed, uint64(at)))
				}
				st.fs.Crash(random)
				st.fs.Inject(nil)
				if st.store != nil {
					_ = st.store.Close() // of the dead process: frees the database only
				}
				if where == "nowhere" {
					t.Fatal("the power was not cut")
				}
				if err := st.open(ctx); err != nil {
					t.Fatalf("cut in %s: cannot open: %v", where, err)
				}
				st.verify(ctx, t)
				st.finish(ctx, t)
			})
		}
	}
}

// TestFailingDisk fails every file-system operation once, with a full disk, a
// write that stops half way, and an I/O error. The step fails or gets by, it
// says which, and repeating it in the same process succeeds.
func TestFailingDisk(t *testing.T) {
	n := operations(t)
	faults := map[string]error{
		"full":  syscall.ENOSPC,
		"short": &fsys.ShortWrite{N: 250, Err: syscall.ENOSPC},
		"io":    syscall.EIO,
	}
	for name, fault := range faults {
		for at := 1; at <= n; at += stride {
			t.Run(fmt.Sprintf("%s %d", name, at), func(t *testing.T) {
				t.Parallel()
				ctx := t.Context()
				st := newStory(t)
				hit := false
				st.fs.Inject(func(op fsys.Op) error {
					if op.Index != at || name == "short" && op.Kind != "write" {
						return nil
					}
					hit = true
					return fault
				})
				try := func(what string, do func() error) {
					err := do()
					if err == nil {
						return
					}
					if !hit {
						t.Fatalf("%s: %v", what, err)
					}
					if name != "io" && !errors.Is(err, modelstore.ErrDiskFull) {
						t.Fatalf("%s on a full disk: got error %v, want ErrDiskFull", what, err)
					}
					if st.store != nil {
						st.verify(ctx, t)
					}
					if err := do(); err != nil {
						t.Fatalf("%s, repeated: %v", what, err)
					}
				}
				try("open", func() error { return st.open(ctx) })
				for _, step := range steps {
					try(step.name, func() error { return step.do(ctx, st) })
				}
				st.verify(ctx, t)
				st.finish(ctx, t)
			})
		}
	}
}

// TestFullDisk runs out of room in the middle of a file.
func TestFullDisk(t *testing.T) {
	ctx := t.Context()
	st := newStory(t)
	if err := st.open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := steps[0].do(ctx, st); err != nil {
		t.Fatal(err)
	}
	u, err := st.store.CreateUpload(ctx, "churn", nextFiles.List(), "")
	if err != nil {
		t.Fatal(err)
	}
	st.fs.SetCapacity(5000 + 3007 + 3300) // of version 1, of what was made for it, and of the new weights
	if _, err := st.store.CreateUpload(ctx, "churn", nextFiles.List(), ""); !errors.Is(err, modelstore.ErrDiskFull) {
		t.Fatalf("an upload that cannot fit: got error %v, want ErrDiskFull", err)
	}
	if err := storetest.Send(ctx, st.store, u, nextFiles, 1000); !errors.Is(err, modelstore.ErrDiskFull) {
		t.Fatalf("got error %v, want ErrDiskFull", err)
	}
	st.verify(ctx, t)
	got, err := st.store.GetUpload(ctx, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if at := offsetOf(got, "weights"); at != 3300 {
		t.Fatalf("offset on a full disk: got %d, want the 3300 bytes that fitted", at)
	}
	st.fs.SetCapacity(1 << 20)
	if err := storetest.Send(ctx, st.store, got, nextFiles, 1000); err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.store.CommitUpload(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	st.verify(ctx, t)
}
