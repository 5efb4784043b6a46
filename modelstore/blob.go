package modelstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/scry-ml/scry/modelstore/fsys"
)

// blobDir is the part of the store that is files: blobs, partial files, working
// directories. It knows nothing of the catalogue.
type blobDir struct {
	fs  fsys.FS
	dir string
}

// hashBuffer is how much is read at a time while hashing and copying.
const hashBuffer = 1 << 20

func (b blobDir) blobs() string                { return filepath.Join(b.dir, "blobs", "sha256") }
func (b blobDir) blob(digest string) string    { return filepath.Join(b.blobs(), digest) }
func (b blobDir) partials() string             { return filepath.Join(b.dir, "partial") }
func (b blobDir) partial(digest string) string { return filepath.Join(b.partials(), digest) }
func (b blobDir) quarantined() string          { return filepath.Join(b.dir, "quarantine") }
func (b blobDir) live() string                 { return filepath.Join(b.dir, "live") }

// make makes the store's directories, durably, also those of an Open that was
// cut short.
func (b blobDir) make() error {
	for _, dir := range []string{b.blobs(), b.partials(), b.live(), b.quarantined()} {
		if err := fsys.MkdirAll(b.fs, dir, 0o700); err != nil {
			return ioError("opening the store's directory", err)
		}
	}
	for _, dir := range []string{filepath.Dir(b.blobs()), b.dir} {
		if err := b.fs.SyncDir(dir); err != nil {
			return ioError("opening the store's directory", err)
		}
	}
	return nil
}

// stored tells whether a blob of the size is there. It does not read it.
func (b blobDir) stored(digest string, size int64) (bool, error) {
	info, err := b.fs.Stat(b.blob(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, ioError("looking for a blob", err)
	}
	return info.Mode().IsRegular() && info.Size() == size, nil
}

// durable is how much of a partial file is on the disk, of which the catalogue
// says how much was synced: the file may be gone since, as a blob that was
// swept.
func (b blobDir) durable(digest string, synced int64) (int64, error) {
	info, err := b.fs.Stat(b.partial(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, ioError("looking for a partial file", err)
	}
	return min(synced, info.Size()), nil
}

// adopt makes a whole partial file a blob. When it returns nil the blob is
// durable. ErrDigestMismatch leaves the partial file where it is, as every
// other error does.
func (b blobDir) adopt(ctx context.Context, digest string, size int64) error {
	name := b.partial(digest)
	f, err := b.fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) // created if it has no bytes
	if err != nil {
		return ioError("storing a blob", err)
	}
	defer f.Close() //nolint:errcheck // synced below
	if err := f.Sync(); err != nil {
		return ioError("storing a blob", err)
	}
	if err := check(ctx, f, digest, size); err != nil {
		return err
	}
	if err := b.fs.Rename(name, b.blob(digest)); err != nil {
		return ioError("storing a blob", err)
	}
	return b.sync()
}

// write copies a file of from to a new file at, durably but for its name.
func (b blobDir) write(ctx context.Context, from fs.FS, path, at string) (File, error) {
	in, err := from.Open(path)
	if err != nil {
		return File{}, ioError("preparing a version", err)
	}
	defer in.Close() //nolint:errcheck // only read
	out, err := b.fs.OpenFile(at, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return File{}, ioError("preparing a version", err)
	}
	h := sha256.New()
	n, err := copyContext(ctx, io.MultiWriter(h, io.NewOffsetWriter(out, 0)), in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return File{}, ioError("preparing a version", err)
	}
	return File{Path: path, SHA256: hex.EncodeToString(h.Sum(nil)), Size: n}, nil
}

// keep makes a synced file of a working directory a blob. When it returns nil the
// blob is durable.
func (b blobDir) keep(ctx context.Context, m made) error {
	stored, err := b.stored(m.SHA256, m.Size)
	if err == nil && stored {
		if err = b.verify(ctx, m.SHA256, m.Size); errors.Is(err, ErrCorrupt) { // it is in quarantine now
			stored, err = false, nil
		}
	}
	if err != nil {
		return err
	}
	if !stored {
		if err := b.fs.Rename(m.at, b.blob(m.SHA256)); err != nil {
			return ioError("storing a blob", err)
		}
	}
	return b.sync()
}

// sync makes the names of all blobs durable.
func (b blobDir) sync() error {
	return ioError("storing blobs", b.fs.SyncDir(b.blobs()))
}

// verify reads a blob against its digest. A blob that is not as it should be is
// put into quarantine, so that the next upload of the content replaces it, and
// the error is ErrCorrupt.
func (b blobDir) verify(ctx context.Context, digest string, size int64) error {
	f, err := b.fs.OpenFile(b.blob(digest), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %s is missing: %w", digest, ErrCorrupt)
	}
	if err != nil {
		return ioError("reading a blob", err)
	}
	defer f.Close() //nolint:errcheck // only read
	err = check(ctx, f, digest, size)
	if errors.Is(err, ErrDigestMismatch) {
		if err := b.quarantine(digest); err != nil {
			return err
		}
		return fmt.Errorf("blob %s: %w", digest, ErrCorrupt)
	}
	return err
}

func (b blobDir) quarantine(digest string) error {
	if err := b.fs.Rename(b.blob(digest), filepath.Join(b.quarantined(), digest)); err != nil {
		return ioError("putting a blob into quarantine", err)
	}
	return b.sync()
}

// check reads a file from its start and compares size and digest.
func check(ctx context.Context, f fsys.File, digest string, size int64) error {
	h := sha256.New()
	n, err := copyContext(ctx, h, io.NewSectionReader(f, 0, size+1))
	if err != nil {
		return ioError("reading a blob", err)
	}
	if n != size || hex.EncodeToString(h.Sum(nil)) != digest {
		return ErrDigestMismatch
	}
	return nil
}

// copyContext copies until the end of r or of the context.
func copyContext(ctx context.Context, w io.Writer, r io.Reader) (n int64, err error) {
	buffer := make([]byte, hashBuffer)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		read, err := r.Read(buffer)
		if read > 0 {
			if _, err := w.Write(buffer[:read]); err != nil {
				return n, err
			}
			n += int64(read)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// clearLive removes the working directories that an earlier process left.
func (b blobDir) clearLive() error {
	entries, err := b.fs.ReadDir(b.live())
	if err != nil {
		return ioError("clearing working directories", err)
	}
	for _, e := range entries {
		if err := fsys.RemoveAll(b.fs, filepath.Join(b.live(), e.Name())); err != nil {
			return ioError("clearing working directories", err)
		}
	}
	return nil
}
