package fsys_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/scry-ml/scry/modelstore/fsys"
)

// TestSame holds the file system in memory against the real one.
func TestSame(t *testing.T) {
	mem := fsys.NewMem()
	if err := fsys.MkdirAll(mem, "/root", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]struct {
		fs   fsys.FS
		root string
	}{"os": {fsys.OS{}, t.TempDir()}, "mem": {mem, "/root"}} {
		t.Run(name, func(t *testing.T) { same(t, at.fs, at.root) })
	}
}

func same(t *testing.T, f fsys.FS, root string) {
	in := func(name string) string { return filepath.Join(root, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(err, target error) {
		t.Helper()
		if !errors.Is(err, target) {
			t.Fatalf("got error %v, want %v", err, target)
		}
	}
	must(fsys.MkdirAll(f, in("a/b/c"), 0o700))
	must(fsys.MkdirAll(f, in("a/b/c"), 0o700))
	want(f.Mkdir(in("a"), 0o700), fs.ErrExist)
	want(f.Mkdir(in("x/y"), 0o700), fs.ErrNotExist)
	_, err := f.OpenFile(in("a/none"), os.O_RDONLY, 0)
	want(err, fs.ErrNotExist)
	_, err = f.OpenFile(in("x/none"), os.O_RDWR|os.O_CREATE, 0o600)
	want(err, fs.ErrNotExist)

	file, err := f.OpenFile(in("a/file"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	must(err)
	_, err = f.OpenFile(in("a/file"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	want(err, fs.ErrExist)
	_, err = file.WriteAt([]byte("world"), 6)
	must(err)
	_, err = file.WriteAt([]byte("hello"), 0)
	must(err)
	must(file.Sync())
	content, err := io.ReadAll(file)
	must(err)
	if string(content) != "hello\x00world" {
		t.Fatalf("got %q", content)
	}
	if at, err := file.Seek(-5, io.SeekEnd); err != nil || at != 6 {
		t.Fatalf("got %d, %v", at, err)
	}
	part := make([]byte, 9)
	if n, err := file.ReadAt(part, 6); n != 5 || err != io.EOF {
		t.Fatalf("reading behind the end: got %d, %v", n, err)
	}
	info, err := file.Stat()
	must(err)
	if info.Size() != 11 || info.Name() != "file" || !info.Mode().IsRegular() {
		t.Fatalf("got %v", info)
	}
	must(file.Close())
	want(file.Close(), fs.ErrClosed)
	_, err = file.WriteAt([]byte("x"), 0)
	want(err, fs.ErrClosed)

	reader, err := f.OpenFile(in("a/file"), os.O_RDONLY, 0)
	must(err)
	if _, err := reader.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("a file opened for reading takes bytes")
	}
	must(f.Link(in("a/file"), in("a/b/link")))
	want(f.Link(in("a/file"), in("a/b/link")), fs.ErrExist)
	want(f.Link(in("a/none"), in("a/b/other")), fs.ErrNotExist)
	must(f.Remove(in("a/file")))
	want(f.Remove(in("a/file")), fs.ErrNotExist)
	if content, err := io.ReadAll(reader); err != nil || len(content) != 11 {
		t.Fatalf("an open file that was removed: %d bytes, %v", len(content), err)
	}
	must(reader.Close())
	want(f.Remove(in("a/b")), syscall.ENOTEMPTY)
	must(f.Rename(in("a/b/link"), in("a/moved")))
	want(f.Rename(in("a/b/link"), in("a/moved")), fs.ErrNotExist)
	must(f.SyncDir(in("a")))
	want(f.SyncDir(in("none")), fs.ErrNotExist)
	entries, err := f.ReadDir(in("a"))
	must(err)
	if len(entries) != 2 || entries[0].Name() != "b" || !entries[0].IsDir() || entries[1].Name() != "moved" {
		t.Fatalf("got %v", entries)
	}
	must(fsys.RemoveAll(f, in("a")))
	must(fsys.RemoveAll(f, in("a")))
	_, err = f.Stat(in("a"))
	want(err, fs.ErrNotExist)

	lock, err := f.Lock(in("LOCK"))
	must(err)
	_, err = f.Lock(in("LOCK"))
	want(err, fsys.ErrLocked)
	must(lock.Close())
	lock, err = f.Lock(in("LOCK"))
	must(err)
	must(lock.Close())
	if room, err := f.Available(root); err != nil || room <= 0 {
		t.Fatalf("got %d, %v", room, err)
	}
}

// TestRemoveAllStaysInside does not follow a symbolic link.
func TestRemoveAllStaysInside(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "keep")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "d", "link")); err != nil {
		t.Skip(err)
	}
	if err := fsys.RemoveAll(fsys.OS{}, filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Fatalf("a file outside was removed: %v", err)
	}
}

// TestCrash loses what was not synced, and only that.
func TestCrash(t *testing.T) {
	m := fsys.NewMem()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	create := func(name string) fsys.File {
		t.Helper()
		f, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		must(err)
		return f
	}
	synced := create("/synced")
	_, err := synced.WriteAt([]byte("old"), 0)
	must(err)
	must(synced.Sync())
	nameless := create("/nameless")
	must(nameless.Sync())
	must(m.Rename("/nameless", "/named"))
	must(m.SyncDir("/"))
	_, err = synced.WriteAt([]byte("new and longer"), 0)
	must(err)
	must(m.Remove("/named"))
	lost := create("/lost")
	_, err = lost.WriteAt([]byte("x"), 0)
	must(err)
	must(lost.Sync())
	_, err = m.Lock("/LOCK")
	must(err)

	m.Crash(nil)
	if err := synced.Sync(); !errors.Is(err, fsys.ErrCrashed) {
		t.Fatalf("a file from before the crash: got error %v", err)
	}
	if _, err := m.Stat("/lost"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a name that was not synced: got error %v", err)
	}
	if _, err := m.Stat("/named"); err != nil {
		t.Fatalf("a removal that was not synced: got error %v", err)
	}
	content, err := io.ReadAll(create("/synced"))
	if err != nil || string(content) != "old" {
		t.Fatalf("got %q, %v", content, err)
	}
	if _, err := m.Lock("/LOCK"); err != nil {
		t.Fatalf("a lock from before the crash: %v", err)
	}
}
