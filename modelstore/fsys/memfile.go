package fsys

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

// memFile is an open file of a Mem.
type memFile struct {
	fs       *Mem
	node     *node
	name     string
	epoch    int
	writable bool
	closed   bool  // guarded by fs.mu
	at       int64 // guarded by fs.mu
}

// use runs f under the mutex unless the file is closed or dead.
func (f *memFile) use(op string, do func() error) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	switch {
	case f.closed:
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	case f.epoch != f.fs.epoch:
		return &fs.PathError{Op: op, Path: f.name, Err: ErrCrashed}
	}
	return do()
}

func (f *memFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.use("read", func() error {
		if off >= int64(len(f.node.data)) {
			return io.EOF
		}
		if n = copy(p, f.node.data[off:]); n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

func (f *memFile) Read(p []byte) (n int, err error) {
	err = f.use("read", func() error {
		if f.at >= int64(len(f.node.data)) {
			return io.EOF
		}
		n = copy(p, f.node.data[f.at:])
		f.at += int64(n)
		return nil
	})
	return n, err
}

func (f *memFile) Seek(offset int64, whence int) (at int64, err error) {
	err = f.use("seek", func() error {
		switch whence {
		case io.SeekCurrent:
			offset += f.at
		case io.SeekEnd:
			offset += int64(len(f.node.data))
		}
		if offset < 0 {
			return fs.ErrInvalid
		}
		f.at, at = offset, offset
		return nil
	})
	return at, err
}

func (f *memFile) WriteAt(p []byte, off int64) (n int, err error) {
	fault := f.fs.begin("write", f.name, len(p))
	if short, ok := errors.AsType[*ShortWrite](fault); ok {
		p = p[:min(short.N, len(p))]
	} else if fault != nil {
		return 0, fault
	}
	err = f.use("write", func() error {
		if !f.writable {
			return syscall.EBADF
		}
		grown := max(0, off+int64(len(p))-int64(len(f.node.data)))
		room := f.fs.capacity - f.fs.root.used(map[*node]bool{})
		full := grown > room
		if full {
			p = p[:max(0, int64(len(p))-(grown-max(0, room)))]
		}
		if end := off + int64(len(p)); end > int64(len(f.node.data)) {
			f.node.data = append(f.node.data, make([]byte, end-int64(len(f.node.data)))...)
		}
		n = copy(f.node.data[off:], p)
		f.node.modified = time.Now()
		if full {
			return &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
		}
		return nil
	})
	if err == nil {
		err = fault
	}
	return n, err
}

func (f *memFile) Sync() error {
	if err := f.fs.begin("sync", f.name, 0); err != nil {
		return err
	}
	return f.use("sync", func() error {
		f.node.disk = bytes.Clone(f.node.data)
		return nil
	})
}

func (f *memFile) Stat() (info fs.FileInfo, err error) {
	err = f.use("stat", func() error {
		info = f.node.info(filepath.Base(f.name))
		return nil
	})
	return info, err
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	return nil
}

type memInfo struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
}

func (n *node) info(name string) fs.FileInfo {
	return memInfo{name: name, size: int64(len(n.data)), mode: n.mode, modified: n.modified}
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return i.mode }
func (i memInfo) ModTime() time.Time { return i.modified }
func (i memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memInfo) Sys() any           { return nil }
