// Package storetest is the conformance suite of a model store: whatever
// catalogue and blob storage lie beneath, these are the promises.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/scry-ml/scry/modelstore"
)

// Open opens the store under test on a configuration that the suite has filled
// in. It is called again on the same Dir to reopen a store.
type Open func(t *testing.T, cfg modelstore.Config) *modelstore.Store

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, *harness){
		"push and read back":           pushAndReadBack,
		"same content, same version":   sameContent,
		"numbers are never reused":     numbersNeverReused,
		"commit before all bytes":      incomplete,
		"commits at once":              commitsAtOnce,
		"wrong digest":                 wrongDigest,
		"offsets and resuming":         offsets,
		"take-over of a stuck stream":  takeOver,
		"uploads share partial files":  shared,
		"reopening keeps the progress": reopenKeepsProgress,
		"cancel":                       cancelUpload,
		"expiry":                       expiry,
		"probe":                        probe,
		"prepare":                      prepared,
		"bad names":                    badNames,
		"upload limits":                uploadLimits,
		"models":                       models,
		"aliases":                      aliases,
		"references":                   references,
		"routes":                       routes,
		"rolling back":                 rollback,
		"rollback past deleted":        rollbackPastDeleted,
		"deleting":                     deleting,
		"pages":                        pages,
		"sweep":                        sweep,
		"sweep spares the living":      sweepSparesLiving,
		"corruption and repair":        corruption,
		"materialize":                  materialize,
		"download":                     download,
		"watch":                        watch,
		"closed":                       closed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &harness{t: t, open: open, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
			h.cfg = modelstore.Config{Dir: t.TempDir(), Now: h.time, SweepInterval: -1}
			h.reopen()
			t.Cleanup(func() {
				if err := h.store.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test(t, h)
		})
	}
}

type harness struct {
	t     *testing.T
	open  Open
	cfg   modelstore.Config
	store *modelstore.Store

	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (h *harness) time() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *harness) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *harness) reopen() {
	h.t.Helper()
	if h.store != nil {
		must(h.t, h.store.Close())
	}
	h.store = h.open(h.t, h.cfg)
}

// Files are a version's files by path.
type Files map[string][]byte

// List describes files to CreateUpload.
func (f Files) List() (list []modelstore.File) {
	for path, content := range f {
		list = append(list, modelstore.File{Path: path, SHA256: Digest(content), Size: int64(len(content))})
	}
	return list
}

// Digest is the sha256 of content in hexadecimal.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Random makes n reproducible bytes.
func Random(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1], key[2], key[3] = byte(seed), byte(seed>>8), byte(seed>>16), byte(seed>>24)
	content := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(content) // never fails
	return content
}

// Send sends an upload's missing bytes in chunks.
func Send(ctx context.Context, s *modelstore.Store, u modelstore.Upload, files Files, chunk int) error {
	for _, f := range u.Files {
		if f.Offset == f.Size {
			continue
		}
		w, err := s.OpenUploadFile(ctx, u.ID, f.SHA256, f.Offset)
		if errors.Is(err, modelstore.ErrOffset) {
			continue // the same content under another path was sent a moment ago
		}
		if err != nil {
			return err
		}
		rest := files[f.Path][f.Offset:]
		for len(rest) > 0 {
			n := min(chunk, len(rest))
			if _, err := w.Write(rest[:n]); err != nil {
				return errors.Join(err, w.Close())
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Push makes a version.
func Push(ctx context.Context, s *modelstore.Store, model string, files Files) (modelstore.Version, bool, error) {
	u, err := s.CreateUpload(ctx, model, files.List(), "tester")
	if err != nil {
		return modelstore.Version{}, false, err
	}
	if err := Send(ctx, s, u, files, 1<<20); err != nil {
		return modelstore.Version{}, false, err
	}
	return s.CommitUpload(ctx, u.ID)
}

// Check reads a whole version and compares digests: what is listed must be
// there.
func Check(ctx context.Context, s *modelstore.Store, model string, number int64) error {
	v, err := s.GetVersion(ctx, model, number)
	if err != nil {
		return err
	}
	if len(v.Files) == 0 {
		return fmt.Errorf("version %d has no files", number)
	}
	for _, f := range v.Files {
		_, r, err := s.OpenFile(ctx, model, number, f.Path, 0)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		if Digest(content) != f.SHA256 || int64(len(content)) != f.Size {
			return fmt.Errorf("version %d: %s has other bytes than its digest says", number, f.Path)
		}
	}
	return nil
}

func (h *harness) push(model string, files Files) modelstore.Version {
	h.t.Helper()
	v, _, err := Push(h.t.Context(), h.store, model, files)
	must(h.t, err)
	return v
}

// small makes a version with content of its own.
func (h *harness) small(model string, seed uint64) modelstore.Version {
	h.t.Helper()
	return h.push(model, Files{"graph.onnx": Random(seed, 100)})
}

func (h *harness) create(model string, files Files) modelstore.Upload {
	h.t.Helper()
	u, err := h.store.CreateUpload(h.t.Context(), model, files.List(), "tester")
	must(h.t, err)
	return u
}

// write sends bytes and closes the stream.
func (h *harness) write(upload, digest string, offset int64, content []byte) (*modelstore.FileWriter, error) {
	w, err := h.store.OpenUploadFile(h.t.Context(), upload, digest, offset)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(content)
	return w, errors.Join(err, w.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func sameBytes(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: got %d bytes with sha256 %s, want %d bytes with %s", what, len(got), Digest(got), len(want), Digest(want))
	}
}

// blobFile is where the directory store keeps a content; the suite damages it.
func (h *harness) blobFile(digest string) string {
	return filepath.Join(h.cfg.Dir, "blobs", "sha256", digest)
}

func (h *harness) blobExists(digest string) bool {
	_, err := os.Stat(h.blobFile(digest))
	return err == nil
}
