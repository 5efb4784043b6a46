// Package fsys is the file-system seam of the model store: the few operations
// it needs, with durability in the open. Two implementations exist: [OS], the
// real thing, and [Mem], which forgets at a crash whatever was not synced and
// fails where a test wants it to.
//
// The rules are POSIX's, at their strictest. A file's bytes survive a power
// loss once File.Sync returned; a name (created, linked, renamed or removed)
// survives once SyncDir of its directory returned. Neither implies the other.
package fsys

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
)

// ErrLocked is returned by FS.Lock when somebody else holds the lock.
var ErrLocked = errors.New("file is locked by another process")

// FS is the set of operations. Names are paths of the operating system; errors
// satisfy errors.Is with fs.ErrNotExist, fs.ErrExist and the syscall errnos
// where those apply.
type FS interface {
	// OpenFile takes the flags of package os: one of O_RDONLY and O_RDWR, with
	// O_CREATE, and O_EXCL beside it.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Mkdir(name string, perm fs.FileMode) error
	// Rename replaces newName if it is there.
	Rename(oldName, newName string) error
	// Link makes newName a hard link to the file oldName.
	Link(oldName, newName string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// Lock takes an exclusive lock on a file, which it creates, and keeps it
	// until Close or the process's end; ErrLocked if it is taken.
	Lock(name string) (io.Closer, error)
	// Available is the number of bytes that may still be written beneath a
	// directory.
	Available(name string) (int64, error)
}

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.WriterAt
	io.Seeker
	io.Closer
	Stat() (fs.FileInfo, error)
	// Sync makes the file's bytes and size durable, not its name.
	Sync() error
}

// MkdirAll creates a directory and the parents that are missing, each durably.
// A directory that exists, or a symbolic link in its place, is left as it is.
func MkdirAll(fsys FS, name string, perm fs.FileMode) error {
	err := fsys.Mkdir(name, perm)
	parent := filepath.Dir(name)
	if errors.Is(err, fs.ErrNotExist) && parent != name {
		if err := MkdirAll(fsys, parent, perm); err != nil {
			return err
		}
		err = fsys.Mkdir(name, perm)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fsys.SyncDir(parent)
}

// RemoveAll removes a file, or a directory with all that is in it. A name that
// does not exist is no error.
func RemoveAll(fsys FS, name string) error {
	info, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := fsys.ReadDir(name)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := RemoveAll(fsys, filepath.Join(name, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
