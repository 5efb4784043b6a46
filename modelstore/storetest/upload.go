package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/scry-ml/scry/modelstore"
)

func pushAndReadBack(t *testing.T, h *harness) {
	files := Files{
		"bundle.yaml":         []byte("name: churn\n"),
		"graphs/encoder.onnx": Random(1, 3<<20),
		"graphs/copy.onnx":    Random(1, 3<<20), // one blob under two names
		"empty":               {},
		"метки.txt":           []byte("да\nнет\n"),
	}
	u := h.create("churn", files)
	equal(t, "files of the upload", len(u.Files), len(files))
	for _, f := range u.Files {
		equal(t, "offset of "+f.Path, f.Offset, 0)
	}
	must(t, Send(t.Context(), h.store, u, files, 64<<10))
	v, created, err := h.store.CommitUpload(t.Context(), u.ID)
	must(t, err)
	equal(t, "created", created, true)
	equal(t, "number", v.Number, 1)
	equal(t, "files", len(v.Files), len(files))
	equal(t, "creator", v.CreatedBy, "tester")
	equal(t, "created at", v.CreatedAt, h.time())
	var size int64
	for _, content := range files {
		size += int64(len(content))
	}
	equal(t, "size", v.Size, size)

	h.reopen()
	again, err := h.store.GetVersion(t.Context(), "churn", 1)
	must(t, err)
	equal(t, "digest after reopening", again.Digest, v.Digest)
	must(t, Check(t.Context(), h.store, "churn", 1))
	done, err := h.store.GetUpload(t.Context(), u.ID)
	must(t, err)
	equal(t, "version of the upload", done.Version, 1)
}

func sameContent(t *testing.T, h *harness) {
	files := Files{"a": Random(1, 1000), "b": Random(2, 1000)}
	first := h.push("churn", files)
	u := h.create("churn", files)
	for _, f := range u.Files {
		equal(t, "offset of "+f.Path, f.Offset, f.Size)
	}
	v, created, err := h.store.CommitUpload(t.Context(), u.ID)
	must(t, err)
	equal(t, "created", created, false)
	equal(t, "number", v.Number, first.Number)

	// A commit that is repeated answers the same, also whether it created.
	v, created, err = h.store.CommitUpload(t.Context(), u.ID)
	must(t, err)
	equal(t, "created, asked again", created, false)
	equal(t, "number, asked again", v.Number, first.Number)

	renamed := h.push("churn", Files{"a": files["a"], "c": files["b"]})
	equal(t, "number with another path", renamed.Number, 2)
	other := h.push("uplift", files)
	equal(t, "number in another model", other.Number, 1)
	equal(t, "digest in another model", other.Digest, first.Digest)
}

func numbersNeverReused(t *testing.T, h *harness) {
	h.small("churn", 1)
	h.small("churn", 2)
	must(t, h.store.DeleteVersion(t.Context(), "churn", 2))
	equal(t, "number after the newest was deleted", h.small("churn", 2).Number, 3)
	route, err := h.store.Activate(t.Context(), "churn", 3, "", "")
	must(t, err)
	must(t, h.store.DeleteModel(t.Context(), "churn", true))
	h.reopen()
	equal(t, "number after the model was deleted", h.small("churn", 2).Number, 4)
	again, err := h.store.Activate(t.Context(), "churn", 4, "", "")
	must(t, err)
	equal(t, "revision after the model was deleted", again.Revision, route.Revision+1)
	_, err = h.store.Activate(t.Context(), "churn", 4, route.Etag, "")
	wantError(t, err, modelstore.ErrConflict)
}

func incomplete(t *testing.T, h *harness) {
	files := Files{"a": Random(1, 1000), "b": Random(2, 1000), "sub/a": Random(1, 1000)}
	u := h.create("churn", files)
	_, err := h.write(u.ID, Digest(files["a"]), 0, files["a"][:990])
	must(t, err)
	_, _, err = h.store.CommitUpload(t.Context(), u.ID)
	wantError(t, err, modelstore.ErrIncomplete)
	var list *modelstore.IncompleteError
	if !errors.As(err, &list) || len(list.Paths) != 3 {
		t.Fatalf("got %v, want the three files", err)
	}
	_, err = h.store.GetModel(t.Context(), "churn")
	wantError(t, err, modelstore.ErrNotFound)

	got, err := h.store.GetUpload(t.Context(), u.ID)
	must(t, err)
	equal(t, "offset", got.Files[0].Offset, 990)
	must(t, Send(t.Context(), h.store, got, files, 7))
	v, created, err := h.store.CommitUpload(t.Context(), u.ID)
	must(t, err)
	equal(t, "created", created, true)
	must(t, Check(t.Context(), h.store, "churn", v.Number))
}

func commitsAtOnce(t *testing.T, h *harness) {
	files := Files{"a": Random(1, 200_000), "b": Random(2, 1000)}
	var uploads []modelstore.Upload
	for range 3 { // three uploads of one content, each committed by four
		u := h.create("churn", files)
		must(t, Send(t.Context(), h.store, u, files, 1<<16))
		uploads = append(uploads, u)
	}
	type answer struct {
		upload  int
		number  int64
		created bool
		err     error
	}
	answers := make(chan answer)
	for i := range 12 {
		go func() {
			v, created, err := h.store.CommitUpload(context.Background(), uploads[i%3].ID)
			answers <- answer{i % 3, v.Number, created, err}
		}()
	}
	creators := map[int]bool{}
	for range 12 {
		a := <-answers
		must(t, a.err)
		equal(t, "number", a.number, 1)
		if a.created {
			creators[a.upload] = true
		}
	}
	equal(t, "uploads that made the version", len(creators), 1)
	versions, _, err := h.store.ListVersions(t.Context(), "churn", modelstore.Page{})
	must(t, err)
	equal(t, "versions", len(versions), 1)
}

func wrongDigest(t *testing.T, h *harness) {
	files := Files{"a": Random(1, 1000)}
	digest := Digest(files["a"])
	u := h.create("churn", files)
	bad := append([]byte{}, files["a"]...)
	bad[500] ^= 1
	w, err := h.write(u.ID, digest, 0, bad)
	wantError(t, err, modelstore.ErrDigestMismatch)
	equal(t, "offset", w.Offset(), 0)
	_, _, err = h.store.CommitUpload(t.Context(), u.ID)
	wantError(t, err, modelstore.ErrIncomplete)
	_, err = h.write(u.ID, digest, 0, files["a"])
	must(t, err)
	_, _, err = h.store.CommitUpload(t.Context(), u.ID)
	must(t, err)
	must(t, Check(t.Context(), h.store, "churn", 1))
}

func offsets(t *testing.T, h *harness) {
	content := Random(1, 1000)
	files := Files{"a": content}
	digest := Digest(content)
	u := h.create("churn", files)
	_, err := h.write(u.ID, digest, 0, content[:400])
	must(t, err)
	for _, offset := range []int64{0, 399, 401, 1000, 5000} {
		_, err = h.store.OpenUploadFile(t.Context(), u.ID, digest, offset)
		var want *modelstore.OffsetError
		if !errors.As(err, &want) || want.Stored != 400 {
			t.Fatalf("offset %d: got error %v, want an OffsetError with 400", offset, err)
		}
	}
	_, err = h.write(u.ID, digest, 400, append(content[400:1000:1000], 1))
	wantError(t, err, modelstore.ErrInvalid)
	got, err := h.store.GetUpload(t.Context(), u.ID)
	must(t, err)
	equal(t, "offset after a write beyond the end", got.Files[0].Offset, 400)
	w, err := h.write(u.ID, digest, 400, content[400:])
	must(t, err)
	equal(t, "offset", w.Offset(), 1000)
	must(t, w.Close()) // twice

	w, err = h.store.OpenUploadFile(t.Context(), u.ID, digest, 1000)
	must(t, err)
	must(t, w.Close())
	_, err = h.store.OpenUploadFile(t.Context(), u.ID, Digest([]byte("other")), 0)
	wantError(t, err, modelstore.ErrNotFound)
	_, err = h.store.OpenUploadFile(t.Context(), "../../etc", digest, 0)
	wantError(t, err, modelstore.ErrNotFound)
	_, _, err = h.store.CommitUpload(t.Context(), u.ID)
	must(t, err)
	_, err = h.store.OpenUploadFile(t.Context(), u.ID, digest, 1000)
	wantError(t, err, modelstore.ErrCommitted)
}

func takeOver(t *testing.T, h *harness) {
	content := Random(1, 1000)
	digest := Digest(content)
	u := h.create("churn", Files{"a": content})
	stuck, err := h.store.OpenUploadFile(t.Context(), u.ID, digest, 0)
	must(t, err)
	_, err = stuck.Write(content[:700])
	must(t, err)
	w, err := h.store.OpenUploadFile(t.Context(), u.ID, digest, 700)
	must(t, err)
	_, err = stuck.Write(content[700:800])
	wantError(t, err, modelstore.ErrSuperseded)
	wantError(t, stuck.Close(), modelstore.ErrSuperseded)
	_, err = w.Write(content[700:])
	must(t, err)
	must(t, w.Close())
	_, _, err = h.store.CommitUpload(t.Context(), u.ID)
	must(t, err)
	must(t, Check(t.Context(), h.store, "churn", 1))
}

// shared: a push that was cut off is taken up by another push, even of another
// version or model, and two at once do not send the same bytes twice.
func shared(t *testing.T, h *harness) {
	big := Random(1, 100_000)
	digest := Digest(big)
	cut := h.create("churn", Files{"big": big, "bundle.yaml": []byte("v1")})
	_, err := h.write(cut.ID, digest, 0, big[:99_000])
	must(t, err)
	files := Files{"big": big, "bundle.yaml": []byte("v2")}
	next := h.create("uplift", files)
	equal(t, "offset", next.Files[0].Offset, 99_000)

	busy, err := h.store.OpenUploadFile(t.Context(), cut.ID, digest, 99_000)
	must(t, err)
	_, err = busy.Write(big[99_000:99_500])
	must(t, err)
	_, err = h.store.OpenUploadFile(t.Context(), next.ID, digest, 99_000)
	wantError(t, err, modelstore.ErrSuperseded)
	h.advance(time.Minute)
	w, err := h.store.OpenUploadFile(t.Context(), next.ID, digest, 99_500)
	must(t, err)
	_, err = busy.Write(big[99_500:])
	wantError(t, err, modelstore.ErrSuperseded)
	_, err = w.Write(big[99_500:])
	must(t, err)
	must(t, h.store.CancelUpload(t.Context(), cut.ID)) // takes nothing from the other
	must(t, w.Close())
	must(t, Send(t.Context(), h.store, mustUpload(t, h, next.ID), files, 100))
	_, _, err = h.store.CommitUpload(t.Context(), next.ID)
	must(t, err)
	must(t, Check(t.Context(), h.store, "uplift", 1))

	// A commit that is quicker than the stream that sent the last byte.
	h.cfg.SyncBytes = 1
	h.reopen()
	late := Random(2, 1000)
	one, two := h.create("churn", Files{"late": late}), h.create("churn", Files{"late": late})
	w, err = h.store.OpenUploadFile(t.Context(), one.ID, Digest(late), 0)
	must(t, err)
	_, err = w.Write(late)
	must(t, err)
	_, _, err = h.store.CommitUpload(t.Context(), two.ID)
	must(t, err)
	must(t, w.Close())
	must(t, Check(t.Context(), h.store, "churn", 1))

	// What nobody asks for any more goes.
	gone := h.create("churn", Files{"x": Random(3, 1000)})
	_, err = h.write(gone.ID, gone.Files[0].SHA256, 0, Random(3, 1000)[:500])
	must(t, err)
	must(t, h.store.CancelUpload(t.Context(), gone.ID))
	again := h.create("churn", Files{"x": Random(3, 1000)})
	equal(t, "offset after the cancellation", again.Files[0].Offset, 0)
}

func mustUpload(t *testing.T, h *harness, id string) modelstore.Upload {
	t.Helper()
	u, err := h.store.GetUpload(t.Context(), id)
	must(t, err)
	return u
}

func reopenKeepsProgress(t *testing.T, h *harness) {
	content := Random(1, 5_000_000)
	digest := Digest(content)
	files := Files{"a": content}
	u := h.create("churn", files)
	w, err := h.store.OpenUploadFile(t.Context(), u.ID, digest, 0)
	must(t, err)
	_, err = w.Write(content[:4_950_000]) // 99 %, and the stream is never closed
	must(t, err)
	h.reopen()
	if _, err := w.Write(content[4_950_000:]); err == nil {
		t.Fatal("a stream of the closed store still takes bytes")
	}
	got, err := h.store.GetUpload(t.Context(), u.ID)
	must(t, err)
	equal(t, "offset", got.Files[0].Offset, 4_950_000)
	must(t, Send(t.Context(), h.store, got, files, 1<<20))
	_, _, err = h.store.CommitUpload(t.Context(), u.ID)
	must(t, err)
	must(t, Check(t.Context(), h.store, "churn", 1))
}

func cancelUpload(t *testing.T, h *harness) {
	content := Random(1, 1000)
	u := h.create("churn", Files{"a": content})
	w, err := h.store.OpenUploadFile(t.Context(), u.ID, Digest(content), 0)
	must(t, err)
	_, err = w.Write(content[:500])
	must(t, err)
	must(t, h.store.CancelUpload(t.Context(), u.ID))
	if _, err := w.Write(content[500:]); err == nil {
		t.Fatal("a cancelled upload takes bytes")
	}
	if err := w.Close(); err == nil {
		t.Fatal("closing a stream of a cancelled upload says nothing")
	}
	_, err = h.store.GetUpload(t.Context(), u.ID)
	wantError(t, err, modelstore.ErrNotFound)
	wantError(t, h.store.CancelUpload(t.Context(), u.ID), modelstore.ErrNotFound)
	_, _, err = h.store.CommitUpload(t.Context(), u.ID)
	wantError(t, err, modelstore.ErrNotFound)
	if left, err := os.ReadDir(filepath.Join(h.cfg.Dir, "partial")); err != nil || len(left) > 0 {
		t.Fatalf("partial files are left: %v, %v", left, err)
	}

	done := h.create("churn", Files{"a": content})
	must(t, Send(t.Context(), h.store, done, Files{"a": content}, 100))
	_, _, err = h.store.CommitUpload(t.Context(), done.ID)
	must(t, err)
	wantError(t, h.store.CancelUpload(t.Context(), done.ID), modelstore.ErrCommitted)
}

func expiry(t *testing.T, h *harness) {
	content := Random(1, 1000)
	files := Files{"a": content}
	left, kept := h.create("churn", files), h.create("churn", files)
	h.advance(23 * time.Hour)
	_, err := h.write(kept.ID, Digest(content), 0, content[:500]) // puts the expiry off
	must(t, err)
	h.advance(2 * time.Hour)
	_, err = h.store.GetUpload(t.Context(), left.ID)
	wantError(t, err, modelstore.ErrExpired)
	_, err = h.write(left.ID, Digest(content), 0, content)
	wantError(t, err, modelstore.ErrExpired)
	_, _, err = h.store.CommitUpload(t.Context(), left.ID)
	wantError(t, err, modelstore.ErrExpired)
	swept, err := h.store.Sweep(t.Context())
	must(t, err)
	equal(t, "uploads swept", swept.Uploads, 1)
	_, err = h.store.GetUpload(t.Context(), left.ID)
	wantError(t, err, modelstore.ErrNotFound)

	got, err := h.store.GetUpload(t.Context(), kept.ID)
	must(t, err)
	equal(t, "offset", got.Files[0].Offset, 500)
	must(t, Send(t.Context(), h.store, got, files, 100))
	_, _, err = h.store.CommitUpload(t.Context(), kept.ID)
	must(t, err)
	h.advance(25 * time.Hour)
	_, err = h.store.Sweep(t.Context())
	must(t, err)
	_, err = h.store.GetUpload(t.Context(), kept.ID)
	wantError(t, err, modelstore.ErrNotFound)
	must(t, Check(t.Context(), h.store, "churn", 1)) // the version stays
}

func probe(t *testing.T, h *harness) {
	var mu sync.Mutex
	var calls int
	var refuse error
	h.cfg.Probe = func(ctx context.Context, dir string) (modelstore.Probed, error) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		content, err := os.ReadFile(filepath.Join(dir, "graphs", "a.onnx"))
		if err != nil || len(content) == 0 {
			t.Errorf("the probe does not see the file: %v", err)
		}
		if refuse != nil {
			return modelstore.Probed{}, fmt.Errorf("load %s: %w", filepath.Join(dir, "graphs", "a.onnx"), refuse)
		}
		return modelstore.Probed{
			Manifest:     []byte("manifest"),
			Verification: modelstore.Verification{Samples: 3, MaxDifference: 0.25, Output: "g.o", Precision: "fp32"},
		}, nil
	}
	h.reopen()
	files := Files{"graphs/a.onnx": Random(1, 100)}

	refuse = errors.New("the golden answers differ")
	_, _, err := Push(t.Context(), h.store, "churn", files)
	wantError(t, err, modelstore.ErrRejected)
	wantError(t, err, refuse)
	equal(t, "text of the refusal", err.Error(), "bundle rejected: load graphs/a.onnx: the golden answers differ")
	_, err = h.store.GetModel(t.Context(), "churn")
	wantError(t, err, modelstore.ErrNotFound)

	refuse = nil
	h.push("churn", files)
	v, err := h.store.GetVersion(t.Context(), "churn", 1)
	must(t, err)
	equal(t, "manifest", string(v.Manifest), "manifest")
	equal(t, "verification", v.Verification, modelstore.Verification{Samples: 3, MaxDifference: 0.25, Output: "g.o", Precision: "fp32"})
	h.push("churn", files)
	equal(t, "calls of the probe", calls, 2) // the known content was not probed again
	if left, err := os.ReadDir(filepath.Join(h.cfg.Dir, "live")); err != nil || len(left) > 0 {
		t.Fatalf("working directories are left: %v, %v", left, err)
	}
}

// prepared: a version may hold what was not uploaded, which is kept as well as
// what was.
func prepared(t *testing.T, h *harness) {
	made := fstest.MapFS{"a.onnx": {Data: []byte("changed")}, "bundle.yaml": {Data: []byte("inferred")}}
	var refuse error
	var probed int
	h.cfg.Prepare = func(_ context.Context, dir string, hints []byte) (modelstore.Prepared, error) {
		content, err := os.ReadFile(filepath.Join(dir, "a.onnx"))
		if err != nil || string(content) != "as exported" {
			t.Errorf("it is not prepared from what was uploaded: %q, %v", content, err)
		}
		if refuse != nil {
			return modelstore.Prepared{}, fmt.Errorf("%s: %w", filepath.Join(dir, "a.onnx"), refuse)
		}
		made["bundle.yaml"].Data = append([]byte("inferred "), hints...)
		return modelstore.Prepared{Files: made, Changed: []string{"a.onnx", "bundle.yaml"}}, nil
	}
	h.cfg.Probe = func(_ context.Context, dir string) (modelstore.Probed, error) {
		probed++
		for name, f := range made {
			if content, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(content) != string(f.Data) {
				t.Errorf("the probe sees %q as %s, %v", content, name, err)
			}
		}
		return modelstore.Probed{}, nil
	}
	h.reopen()
	files := Files{"a.onnx": []byte("as exported"), "weights": Random(1, 100)}
	push := func(hints string) (modelstore.Version, bool, error) {
		u, err := h.store.CreateUpload(t.Context(), "churn", files.List(), "tester")
		must(t, err)
		must(t, Send(t.Context(), h.store, u, files, 1<<20))
		return h.store.CommitWithHints(t.Context(), u.ID, []byte(hints))
	}

	refuse = errors.New("the event is not known")
	_, _, err := push("")
	wantError(t, err, modelstore.ErrRejected)
	wantError(t, err, refuse)
	equal(t, "text of the refusal", err.Error(), "bundle rejected: a.onnx: the event is not known")

	refuse = nil
	v, created, err := push("yes")
	must(t, err)
	equal(t, "created", created, true)
	var paths []string
	for _, f := range v.Files {
		paths = append(paths, f.Path)
	}
	equal(t, "files", strings.Join(paths, " "), "a.onnx bundle.yaml weights")
	equal(t, "size", v.Size, int64(len("changed")+len("inferred yes")+100))
	must(t, Check(t.Context(), h.store, "churn", 1))

	again, created, err := push("yes")
	must(t, err)
	equal(t, "the same content is the same version", fmt.Sprint(again.Number, created, probed), "1 false 1")
	other, created, err := push("no")
	must(t, err)
	equal(t, "other hints make another version", fmt.Sprint(other.Number, created), "2 true")

	// A blob that was made outlives what made it, and goes with its version.
	h.advance(48 * time.Hour)
	for range 3 {
		_, err := h.store.Sweep(t.Context())
		must(t, err)
		h.advance(2 * time.Hour)
	}
	must(t, Check(t.Context(), h.store, "churn", 1))
	must(t, Check(t.Context(), h.store, "churn", 2))
	if left, err := os.ReadDir(filepath.Join(h.cfg.Dir, "live")); err != nil || len(left) > 0 {
		t.Fatalf("working directories are left: %v, %v", left, err)
	}
}

func badNames(t *testing.T, h *harness) {
	content := []byte("x")
	file := func(path string) modelstore.File {
		return modelstore.File{Path: path, SHA256: Digest(content), Size: 1}
	}
	for _, model := range []string{"", "Churn", "-churn", "churn-", "a.b", "../x", "a/b", "чёрн", "a b", string(make([]byte, 65))} {
		_, err := h.store.CreateUpload(t.Context(), model, []modelstore.File{file("a")}, "")
		wantError(t, err, modelstore.ErrInvalid)
	}
	for _, path := range []string{
		"", "/etc/passwd", "../x", "a/../x", "a/..", "..", ".", "./a", "a//b", "a/", `a\b`, "C:x", "a\x00b", "a\nb", "a\u202eb",
		"\xff", "con", "sub/NUL.txt", "com1.onnx", "a.", "a /b", " a", "a?", "a*", string(Random(1, 600)),
	} {
		_, err := h.store.CreateUpload(t.Context(), "churn", []modelstore.File{file("good"), file(path)}, "")
		var bad *modelstore.InvalidError
		if !errors.As(err, &bad) || bad.Field != "files[1].path" {
			t.Errorf("path %q: got error %v, want one about files[1].path", path, err)
		}
	}
	for _, pair := range [][2]string{{"a", "a"}, {"a", "A"}, {"Straße", "STRASSE"}, {"\u00e9", "e\u0301"}, {"a", "a/b"}, {"A/b", "a"}, {"a/b/c", "a/B"}} {
		_, err := h.store.CreateUpload(t.Context(), "churn", []modelstore.File{file(pair[0]), file(pair[1])}, "")
		wantError(t, err, modelstore.ErrInvalid)
	}
	for _, files := range [][]modelstore.File{
		nil,
		{{Path: "a", SHA256: "abc", Size: 1}},
		{{Path: "a", SHA256: Digest(content)[:63] + "G", Size: 1}},
		{{Path: "a", SHA256: Digest(content), Size: -1}},
		{{Path: "a", SHA256: Digest(content), Size: 1}, {Path: "b", SHA256: Digest(content), Size: 2}},
		{{Path: "a", SHA256: Digest(content), Size: 1 << 62}, {Path: "b", SHA256: Digest([]byte("b")), Size: 1 << 62}},
		make([]modelstore.File, modelstore.MaxFiles+1),
	} {
		_, err := h.store.CreateUpload(t.Context(), "churn", files, "")
		wantError(t, err, modelstore.ErrInvalid)
	}
}

func uploadLimits(t *testing.T, h *harness) {
	h.cfg.MaxUploads = 2
	h.cfg.MaxVersionBytes = 1000
	h.reopen()
	_, err := h.store.CreateUpload(t.Context(), "churn", Files{"a": Random(1, 600), "b": Random(2, 600)}.List(), "")
	wantError(t, err, modelstore.ErrInvalid)
	h.create("churn", Files{"a": Random(1, 10)})
	second := h.create("churn", Files{"a": Random(2, 10)})
	_, err = h.store.CreateUpload(t.Context(), "churn", Files{"a": Random(3, 10)}.List(), "")
	wantError(t, err, modelstore.ErrTooMany)
	must(t, h.store.CancelUpload(t.Context(), second.ID))
	h.create("churn", Files{"a": Random(3, 10)})
}
