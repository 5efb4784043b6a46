package modelstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/scry-ml/scry/modelstore/fsys"
)

// Directory is a version's files under their names, in a directory that nobody
// else uses. It must be closed.
type Directory struct {
	Version Version
	Path    string // of the directory on this host

	close func() error
}

// Close removes the directory. Files that are open or mapped stay readable.
// Closing twice does nothing.
func (d *Directory) Close() error { return d.close() }

// Materialize lays a version's files out in a directory of its own, with their
// subfolders, after checking every digest. The files are hard links to the
// blobs where the file system can, else copies: they must not be written to.
// (Never symbolic links: ONNX Runtime refuses external data behind them.)
// ErrNotFound, ErrCorrupt, ErrDiskFull.
func (s *Store) Materialize(ctx context.Context, model string, version int64) (*Directory, error) {
	v, err := s.GetVersion(ctx, model, version)
	if err != nil {
		return nil, err
	}
	path, err := s.blobs.layOut(ctx, v.Files, true)
	if errors.Is(err, ErrCorrupt) {
		// The version may have been deleted and swept since it was read.
		if _, gone := s.GetVersion(ctx, model, version); gone != nil {
			return nil, gone
		}
		s.cfg.Logger.Error("a version is corrupt: push its content again", "model", model, "version", version, "error", err)
		return nil, fmt.Errorf("model %s version %d: %w", model, version, err)
	}
	if err != nil {
		return nil, err
	}
	return &Directory{Version: v, Path: path, close: sync.OnceValue(func() error {
		return s.blobs.removeLive(path)
	})}, nil
}

// OpenFile opens one file of a version for reading from an offset in bytes. The
// bytes are not checked: the reader has the digest. ErrNotFound, ErrCorrupt if
// the blob is gone, ErrInvalid if the offset lies behind the end.
func (s *Store) OpenFile(ctx context.Context, model string, version int64, path string, offset int64) (File, io.ReadCloser, error) {
	v, err := s.GetVersion(ctx, model, version)
	if err != nil {
		return File{}, nil, err
	}
	for _, f := range v.Files {
		if f.Path != path {
			continue
		}
		if offset < 0 || offset > f.Size {
			return File{}, nil, invalid("offset", "must be 0 to %d", f.Size)
		}
		r, err := s.cfg.FS.OpenFile(s.blobs.blob(f.SHA256), os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return File{}, nil, fmt.Errorf("blob %s is missing: %w", f.SHA256, ErrCorrupt)
		}
		if err == nil {
			_, err = r.Seek(offset, io.SeekStart)
		}
		if err != nil {
			return File{}, nil, ioError("opening a blob", err)
		}
		return f, r, nil
	}
	return File{}, nil, fmt.Errorf("model %s version %d: file %q: %w", model, version, path, ErrNotFound)
}

// layOut makes a working directory of files. With verify every blob is read
// against its digest first.
func (b blobDir) layOut(ctx context.Context, files []File, verify bool) (_ string, err error) {
	dir := filepath.Join(b.live(), newID())
	if err := b.fs.Mkdir(dir, 0o700); err != nil {
		return "", ioError("making a working directory", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.removeLive(dir))
		}
	}()
	made := map[string]bool{dir: true}
	checked := map[string]bool{}
	for _, f := range files {
		if verify && !checked[f.SHA256] {
			if err := b.verify(ctx, f.SHA256, f.Size); err != nil {
				return "", err
			}
			checked[f.SHA256] = true
		}
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := b.mkdirs(made, filepath.Dir(name)); err != nil {
			return "", ioError("making a working directory", err)
		}
		if err := b.place(ctx, f, name); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (b blobDir) mkdirs(made map[string]bool, dir string) error {
	if made[dir] {
		return nil
	}
	if err := b.mkdirs(made, filepath.Dir(dir)); err != nil {
		return err
	}
	made[dir] = true
	return b.fs.Mkdir(dir, 0o700)
}

// place puts a blob under a name: as a hard link, or as a copy where there can
// be none (another device, no more links to the file, no links at all).
func (b blobDir) place(ctx context.Context, f File, name string) error {
	err := b.fs.Link(b.blob(f.SHA256), name)
	for _, cannot := range []error{syscall.EXDEV, syscall.EMLINK, syscall.EPERM, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		if errors.Is(err, cannot) {
			return b.copy(ctx, f, name)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %s is missing: %w", f.SHA256, ErrCorrupt)
	}
	return ioError("filling a working directory", err)
}

// copy writes a blob's bytes under a name and checks what it wrote.
func (b blobDir) copy(ctx context.Context, f File, name string) error {
	from, err := b.fs.OpenFile(b.blob(f.SHA256), os.O_RDONLY, 0)
	if err != nil {
		return ioError("filling a working directory", err)
	}
	defer from.Close() //nolint:errcheck // only read
	to, err := b.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return ioError("filling a working directory", err)
	}
	_, err = copyContext(ctx, io.NewOffsetWriter(to, 0), from)
	if err == nil {
		err = check(ctx, to, f.SHA256, f.Size)
	}
	if errors.Is(err, ErrDigestMismatch) {
		err = fmt.Errorf("blob %s: %w", f.SHA256, ErrCorrupt)
	}
	return ioError("filling a working directory", errors.Join(err, to.Close()))
}

func (b blobDir) removeLive(dir string) error {
	return ioError("removing a working directory", fsys.RemoveAll(b.fs, dir))
}
