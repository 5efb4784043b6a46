package storetest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/scry-ml/scry/modelstore"
)

func sweep(t *testing.T, h *harness) {
	shared, own := Random(1, 1000), Random(2, 500)
	h.push("churn", Files{"shared": shared, "own": own})
	h.push("uplift", Files{"shared": shared})
	must(t, h.store.DeleteVersion(t.Context(), "churn", 1))
	swept, err := h.store.Sweep(t.Context())
	must(t, err)
	equal(t, "first sweep", swept, modelstore.Swept{Condemned: 1})
	swept, err = h.store.Sweep(t.Context())
	must(t, err)
	equal(t, "sweep within the grace", swept, modelstore.Swept{})
	h.advance(2 * time.Hour)
	h.reopen() // the mark is durable
	swept, err = h.store.Sweep(t.Context())
	must(t, err)
	equal(t, "sweep after the grace", swept, modelstore.Swept{Blobs: 1, Bytes: 500})
	equal(t, "own blob is there", h.blobExists(Digest(own)), false)
	must(t, Check(t.Context(), h.store, "uplift", 1))
	u := h.create("churn", Files{"shared": shared, "own": own})
	for _, f := range u.Files {
		want := int64(0)
		if f.Path == "shared" {
			want = f.Size
		}
		equal(t, "offset of "+f.Path, f.Offset, want)
	}
}

func sweepSparesLiving(t *testing.T, h *harness) {
	content := Random(1, 1000)
	// A blob of an open upload, long after it was stored.
	h.cfg.UploadExpiry = 1000 * time.Hour
	h.reopen()
	u := h.create("churn", Files{"a": content, "b": Random(2, 1000)})
	_, err := h.write(u.ID, Digest(content), 0, content)
	must(t, err)
	for range 3 {
		h.advance(2 * time.Hour)
		_, err := h.store.Sweep(t.Context())
		must(t, err)
	}
	equal(t, "blob of an open upload is there", h.blobExists(Digest(content)), true)
	must(t, h.store.CancelUpload(t.Context(), u.ID))
	_, err = h.store.Sweep(t.Context())
	must(t, err)

	// A condemned blob that an upload refers to again starts afresh.
	h.advance(2 * time.Hour)
	v := h.push("churn", Files{"a": content})
	_, err = h.store.Sweep(t.Context())
	must(t, err)
	equal(t, "blob that came back is there", h.blobExists(Digest(content)), true)
	must(t, h.store.DeleteVersion(t.Context(), "churn", v.Number))
	swept, err := h.store.Sweep(t.Context())
	must(t, err)
	equal(t, "condemned anew", swept.Condemned, 1)
	equal(t, "removed at once", swept.Blobs, 0)

	// A working directory keeps its files though the version goes.
	v = h.push("churn", Files{"a": content})
	dir, err := h.store.Materialize(t.Context(), "churn", v.Number)
	must(t, err)
	must(t, h.store.DeleteModel(t.Context(), "churn", true))
	for range 2 {
		_, err = h.store.Sweep(t.Context())
		must(t, err)
		h.advance(2 * time.Hour)
	}
	equal(t, "blob is there", h.blobExists(Digest(content)), false)
	got, err := os.ReadFile(filepath.Join(dir.Path, "a"))
	must(t, err)
	sameBytes(t, "file of the working directory", got, content)
	must(t, dir.Close())
}

func corruption(t *testing.T, h *harness) {
	files := Files{"a": Random(1, 1000), "sub/b": Random(2, 1000)}
	v := h.push("churn", files)
	digest := Digest(files["a"])
	damage := map[string]func(name string) error{
		"a flipped bit": func(name string) error {
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			content[10] ^= 4
			return os.WriteFile(name, content, 0o600)
		},
		"a cut file":  func(name string) error { return os.Truncate(name, 999) },
		"a lost file": os.Remove,
	}
	for what, do := range damage {
		must(t, do(h.blobFile(digest)))
		_, err := h.store.Materialize(t.Context(), "churn", v.Number)
		if !errors.Is(err, modelstore.ErrCorrupt) {
			t.Fatalf("%s: got error %v, want ErrCorrupt", what, err)
		}
		if left, err := os.ReadDir(filepath.Join(h.cfg.Dir, "live")); err != nil || len(left) > 0 {
			t.Fatalf("%s: working directories are left: %v, %v", what, left, err)
		}
		// The same content again repairs the version.
		again, created, err := Push(t.Context(), h.store, "churn", files)
		must(t, err)
		equal(t, what+": created", created, false)
		equal(t, what+": number", again.Number, v.Number)
		dir, err := h.store.Materialize(t.Context(), "churn", v.Number)
		must(t, err)
		must(t, dir.Close())
	}

	// Damage that nobody has noticed is found by the commit that would rely on
	// the blob, and the client is asked for the bytes.
	must(t, damage["a flipped bit"](h.blobFile(digest)))
	other := Files{"other": files["a"]}
	u := h.create("churn", other)
	equal(t, "offset", u.Files[0].Offset, 1000)
	_, _, err := h.store.CommitUpload(t.Context(), u.ID)
	wantError(t, err, modelstore.ErrIncomplete)
	u, err = h.store.GetUpload(t.Context(), u.ID)
	must(t, err)
	equal(t, "offset after the check", u.Files[0].Offset, 0)
	must(t, Send(t.Context(), h.store, u, other, 100))
	_, _, err = h.store.CommitUpload(t.Context(), u.ID)
	must(t, err)
	must(t, Check(t.Context(), h.store, "churn", v.Number))
}

func materialize(t *testing.T, h *harness) {
	files := Files{"bundle.yaml": []byte("x"), "deep/er/weights.bin": Random(1, 5000), "deep/same.bin": Random(1, 5000), "none": {}}
	v := h.push("churn", files)
	one, err := h.store.Materialize(t.Context(), "churn", v.Number)
	must(t, err)
	two, err := h.store.Materialize(t.Context(), "churn", v.Number)
	must(t, err)
	if one.Path == two.Path {
		t.Fatal("two working directories are one")
	}
	must(t, one.Close())
	must(t, one.Close())
	if _, err := os.Stat(one.Path); !os.IsNotExist(err) {
		t.Fatalf("a closed working directory is still there: %v", err)
	}
	for path, content := range files {
		name := filepath.Join(two.Path, filepath.FromSlash(path))
		info, err := os.Lstat(name)
		must(t, err)
		equal(t, path+" is a plain file", info.Mode().IsRegular(), true)
		got, err := os.ReadFile(name)
		must(t, err)
		sameBytes(t, path, got, content)
	}
	equal(t, "version", two.Version.Number, v.Number)
	h.reopen() // clears what an earlier process left
	if _, err := os.Stat(two.Path); !os.IsNotExist(err) {
		t.Fatalf("a working directory of an earlier process is still there: %v", err)
	}
	_, err = h.store.Materialize(t.Context(), "churn", 2)
	wantError(t, err, modelstore.ErrNotFound)
}

func download(t *testing.T, h *harness) {
	content := Random(1, 5000)
	h.push("churn", Files{"sub/a": content})
	for _, offset := range []int64{0, 1, 4999, 5000} {
		f, r, err := h.store.OpenFile(t.Context(), "churn", 1, "sub/a", offset)
		must(t, err)
		got, err := io.ReadAll(r)
		must(t, errors.Join(err, r.Close()))
		sameBytes(t, "file", got, content[offset:])
		equal(t, "digest", f.SHA256, Digest(content))
	}
	for _, offset := range []int64{-1, 5001} {
		_, _, err := h.store.OpenFile(t.Context(), "churn", 1, "sub/a", offset)
		wantError(t, err, modelstore.ErrInvalid)
	}
	for _, path := range []string{"a", "sub", "../a", "sub/A"} {
		_, _, err := h.store.OpenFile(t.Context(), "churn", 1, path, 0)
		wantError(t, err, modelstore.ErrNotFound)
	}
	_, _, err := h.store.OpenFile(t.Context(), "churn", 2, "sub/a", 0)
	wantError(t, err, modelstore.ErrNotFound)
}
