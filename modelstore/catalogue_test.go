package modelstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/scry-ml/scry/modelstore/fsys"
)

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	cfg.SweepInterval = -1
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// push makes a version of one file.
func push(ctx context.Context, s *Store, content string) (Version, error) {
	f := File{Path: "sub/a", SHA256: sum(content), Size: int64(len(content))}
	u, err := s.CreateUpload(ctx, "churn", []File{f}, "")
	if err != nil {
		return Version{}, err
	}
	at := u.Files[0].Offset
	w, err := s.OpenUploadFile(ctx, u.ID, f.SHA256, at)
	if err != nil {
		return Version{}, err
	}
	_, err = w.Write([]byte(content)[at:])
	if err := errors.Join(err, w.Close()); err != nil {
		return Version{}, err
	}
	v, _, err := s.CommitUpload(ctx, u.ID)
	return v, err
}

func TestPragmas(t *testing.T) {
	s := open(t, Config{Dir: filepath.Join(t.TempDir(), "a dir?with%20odd#name")})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		for name, db := range map[string]*sql.DB{"write": s.db.write, "read": s.db.read} {
			var got string
			if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s of the %s connection: got %q, %v, want %q", pragma, name, got, err, want)
			}
		}
	}
	if _, err := s.db.read.ExecContext(t.Context(), "DELETE FROM models"); err == nil {
		t.Error("the reading connection writes")
	}
	if _, err := os.Stat(filepath.Join(s.cfg.Dir, "catalogue.db")); err != nil {
		t.Error(err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	if _, err := s.db.write.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and the lock is free again
		if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, ErrNewerSchema) {
			t.Fatalf("got error %v, want ErrNewerSchema", err)
		}
	}
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Fatalf("got error %v, want ErrLocked", err)
	}
	if _, err := push(t.Context(), s, "still works"); err != nil {
		t.Fatal(err)
	}
}

// TestFullCatalogue lets SQLite run out of room at every stage of a push.
func TestFullCatalogue(t *testing.T) {
	ctx := t.Context()
	s := open(t, Config{Dir: t.TempDir()})
	var pages int
	if err := s.db.write.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		t.Helper()
		if _, err := s.db.write.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	failed := 0
	for i := range 80 {
		limit(pages)
		content := strings.Repeat("x", i)
		v, err := push(ctx, s, content)
		if err != nil {
			failed++
			if !errors.Is(err, ErrDiskFull) {
				t.Fatalf("push %d: got error %v, want ErrDiskFull", i, err)
			}
			pages++
			limit(1 << 20)
			v, err = push(ctx, s, content)
		}
		if err != nil || v.Number != int64(i)+1 {
			t.Fatalf("push %d: version %d, %v", i, v.Number, err)
		}
		if err := s.db.write.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
			t.Fatal(err)
		}
	}
	if failed < 3 {
		t.Fatalf("the catalogue was full %d times only", failed)
	}
}

// noLinks is a file system that cannot make hard links.
type noLinks struct {
	fsys.OS
	why syscall.Errno
}

func (f noLinks) Link(oldName, newName string) error {
	return &os.LinkError{Op: "link", Old: oldName, New: newName, Err: f.why}
}

func TestCopiesWhereThereAreNoLinks(t *testing.T) {
	for _, why := range []syscall.Errno{syscall.EXDEV, syscall.EMLINK, syscall.EPERM, syscall.EOPNOTSUPP} {
		s := open(t, Config{Dir: t.TempDir(), FS: noLinks{why: why}})
		if _, err := push(t.Context(), s, "content"); err != nil {
			t.Fatal(err)
		}
		dir, err := s.Materialize(t.Context(), "churn", 1)
		if err != nil {
			t.Fatalf("%v: %v", why, err)
		}
		got, err := os.ReadFile(filepath.Join(dir.Path, "sub", "a"))
		if err != nil || string(got) != "content" {
			t.Fatalf("%v: got %q, %v", why, got, err)
		}
		if err := dir.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, Config{Dir: t.TempDir(), FS: noLinks{why: syscall.EIO}})
	if _, err := push(t.Context(), s, "content"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Materialize(t.Context(), "churn", 1)
	if !errors.Is(err, syscall.EIO) || strings.Contains(err.Error(), s.cfg.Dir) {
		t.Fatalf("got error %v, want EIO without the host's path", err)
	}
}

func TestRouteHistoryIsBounded(t *testing.T) {
	ctx := t.Context()
	s := open(t, Config{Dir: t.TempDir()})
	for _, content := range []string{"a", "b"} {
		if _, err := push(ctx, s, content); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Activate(ctx, "churn", 1, "", ""); err != nil {
		t.Fatal(err)
	}
	// As if there had been many since.
	if _, err := s.db.write.ExecContext(ctx, `UPDATE sequences SET last = ? WHERE kind = 'route'`, keptRoutes); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Activate(ctx, "churn", 2, "", ""); err != nil {
		t.Fatal(err)
	}
	list, _, err := s.ListRoutes(ctx, "churn", Page{})
	if err != nil || len(list) != 1 || list[0].Revision != keptRoutes+1 {
		t.Fatalf("got %v, %v, want the newest revision alone", list, err)
	}
	if _, err := s.Rollback(ctx, "churn", "", ""); !errors.Is(err, ErrNoEarlierRoute) {
		t.Fatalf("got error %v, want ErrNoEarlierRoute", err)
	}
}

func sum(content string) string {
	digest := sha256.Sum256([]byte(content))
	return hex.EncodeToString(digest[:])
}

// TestOddPlaces opens a store through a relative path and a symbolic link.
func TestOddPlaces(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("disk", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("disk", "data"); err != nil {
		t.Skip(err)
	}
	s := open(t, Config{Dir: "data/../data"})
	if _, err := push(t.Context(), s, "content"); err != nil {
		t.Fatal(err)
	}
	dir, err := s.Materialize(t.Context(), "churn", 1)
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(dir.Path) {
		t.Errorf("the working directory has the relative path %s", dir.Path)
	}
	if _, err := os.Stat("disk/catalogue.db"); err != nil {
		t.Error(err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
}
