package modelstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/scry-ml/scry/modelstore/fsys"
)

// syncEvery is the longest time that written bytes of a slow upload stay
// unsynced, so that it does not expire under its writer either.
const syncEvery = 30 * time.Second

// idleStream is how long a stream may write nothing before one of another
// upload takes its file over.
const idleStream = 15 * time.Second

// FileWriter takes the bytes of one file of an upload. Its methods must not be
// called at once.
type FileWriter struct {
	store  *Store
	upload string
	File   File // the path is that of one of the files with this content

	// The rest is guarded by the store's lock of the file.
	file    fsys.File // nil when the content is stored, or the writer has ended
	offset  int64     // bytes written
	durable int64     // bytes synced, as the catalogue has it
	synced  time.Time // when
	wrote   time.Time // when the last bytes came
	err     error     // why it ended
}

// OpenUploadFile opens one file of an upload, named by its digest, to go on at
// an offset, which must be the stored one. One writer at a time may have a
// content: a writer of the same upload, or one that has been idle for a while,
// is taken over and gets ErrSuperseded; while one of another upload is at work,
// ErrSuperseded is the answer here, and its bytes count for this upload too.
// ErrNotFound, ErrExpired, ErrCommitted, ErrOffset.
func (s *Store) OpenUploadFile(ctx context.Context, upload, digest string, offset int64) (*FileWriter, error) {
	unlock, err := s.keys.lock(ctx, "file/"+digest)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if old := s.writerOf(digest); old != nil {
		if old.upload != upload && s.cfg.Now().Sub(old.wrote) < idleStream {
			return nil, fmt.Errorf("%w: it belongs to another upload", ErrSuperseded)
		}
		old.flush(ErrSuperseded)
	}
	u, err := s.upload(ctx, upload)
	if err != nil {
		return nil, err
	}
	if u.Version != 0 {
		return nil, fmt.Errorf("%w as version %d", ErrCommitted, u.Version)
	}
	now := s.cfg.Now()
	w := &FileWriter{store: s, upload: upload, synced: now, wrote: now}
	for _, f := range u.Files {
		if f.SHA256 == digest {
			w.File, w.durable = f.File, f.Offset
		}
	}
	if w.File.SHA256 == "" {
		return nil, fmt.Errorf("file with this sha256 in the upload: %w", ErrNotFound)
	}
	stored, err := s.blobs.stored(digest, w.File.Size)
	if err != nil {
		return nil, err
	}
	if stored {
		w.offset, w.durable = w.File.Size, w.File.Size
	} else if err := w.open(ctx); err != nil {
		return nil, err
	}
	if offset != w.offset {
		if w.file != nil {
			_ = w.file.Close()
		}
		return nil, &OffsetError{Stored: w.offset}
	}
	s.mu.Lock()
	s.writers[digest] = w
	s.mu.Unlock()
	return w, nil
}

// open opens the partial file, to go on behind what is known to be durable;
// what lies there will be written over.
func (w *FileWriter) open(ctx context.Context) error {
	b, digest := w.store.blobs, w.File.SHA256
	synced := w.durable
	var err error
	if w.durable, err = b.durable(digest, synced); err != nil {
		return err
	}
	if w.durable != synced { // the file that the catalogue means is gone
		if err := w.store.recordDurable(ctx, w.upload, digest, w.durable); err != nil {
			return err
		}
	}
	w.offset = w.durable
	f, err := b.fs.OpenFile(b.partial(digest), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return ioError("opening a partial file", err)
	}
	if err := b.fs.SyncDir(b.partials()); err != nil {
		_ = f.Close()
		return ioError("opening a partial file", err)
	}
	w.file = f
	return nil
}

// writerOf returns the writer that a content has, or nil.
func (s *Store) writerOf(digest string) *FileWriter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writers[digest]
}

func (s *Store) openWriters() []*FileWriter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.writers))
}

func (w *FileWriter) active() bool { return w.store.writerOf(w.File.SHA256) == w }

// lock takes the store's lock of the file.
func (w *FileWriter) lock() (unlock func(), err error) {
	return w.store.keys.lock(context.Background(), "file/"+w.File.SHA256)
}

// Offset is the number of bytes that are written. After Close it is the number
// that is on the disk.
func (w *FileWriter) Offset() int64 { return w.offset }

// Write appends bytes. Bytes beyond the file's announced size are refused.
// After an error the writer only takes Close; ErrDiskFull leaves what was
// written before.
func (w *FileWriter) Write(p []byte) (int, error) {
	unlock, err := w.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	if w.err == nil && !w.active() {
		w.end(ErrExpired)
	}
	if w.err != nil {
		return 0, w.err
	}
	if int64(len(p)) > w.File.Size-w.offset {
		return 0, invalid("chunk", "goes beyond the file's %d bytes", w.File.Size)
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := w.file.WriteAt(p, w.offset)
	w.offset += int64(n)
	w.wrote = w.store.cfg.Now()
	if err != nil {
		err = ioError("writing a partial file", err)
		w.flush(err)
		return n, err
	}
	if w.offset-w.durable >= w.store.cfg.SyncBytes || w.wrote.Sub(w.synced) >= syncEvery {
		if err := w.sync(); err != nil {
			w.end(err)
			return n, err
		}
	}
	return n, nil
}

// Close makes the written bytes durable. If the file is whole its digest is
// checked and the blob stored, so that it can be a second or two for a large
// file; ErrDigestMismatch drops the bytes. It returns why the writer ended
// early, if it did. Closing twice does nothing.
func (w *FileWriter) Close() error {
	unlock, err := w.lock()
	if err != nil {
		return err
	}
	defer unlock()
	switch {
	case errors.Is(w.err, fs.ErrClosed):
		return nil
	case w.err != nil:
		return w.err
	case w.file == nil: // the content was stored before
		w.end(fs.ErrClosed)
		return nil
	case !w.active():
		w.end(ErrExpired)
		return w.err
	}
	if err := w.sync(); err != nil {
		w.end(err)
		return err
	}
	w.end(fs.ErrClosed)
	if w.offset < w.File.Size {
		return nil
	}
	err = w.store.adopt(context.Background(), w.upload, w.File)
	if errors.Is(err, ErrDigestMismatch) {
		w.offset, w.durable = 0, 0
	}
	return err
}

// sync makes the written bytes durable, then says so in the catalogue.
func (w *FileWriter) sync() error {
	if err := w.file.Sync(); err != nil {
		// The kernel may have dropped the bytes, and a second sync would not
		// tell: only what was synced before counts.
		return ioError("syncing a partial file", err)
	}
	if err := w.store.recordDurable(context.Background(), w.upload, w.File.SHA256, w.offset); err != nil {
		return err
	}
	w.durable, w.synced = w.offset, w.store.cfg.Now()
	return nil
}

// end closes the file; what was not synced does not count.
func (w *FileWriter) end(why error) {
	if w.err != nil {
		return
	}
	w.err = why
	w.offset = w.durable
	if w.file != nil {
		_ = w.file.Close() // synced, or of no use
		w.file = nil
	}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if w.store.writers[w.File.SHA256] == w {
		delete(w.store.writers, w.File.SHA256)
	}
}

// flush is end, but saves what can be saved.
func (w *FileWriter) flush(why error) {
	if w.err == nil && w.file != nil {
		_ = w.sync() // failing, the offset stays at the last sync
	}
	w.end(why)
}

// recordDurable notes how much of a partial file is on the disk, and puts off
// the upload's expiry.
func (s *Store) recordDurable(ctx context.Context, upload, digest string, durable int64) error {
	return s.update(ctx, "noting an upload's progress", func(q *sql.Tx) error {
		done, err := q.ExecContext(ctx, `UPDATE uploads SET expires_at = ? WHERE id = ? AND number = 0`, s.expiry(), upload)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrExpired)
		}
		_, err = q.ExecContext(ctx, `
			INSERT INTO partials (sha256, durable) VALUES (?, ?)
			ON CONFLICT (sha256) DO UPDATE SET durable = excluded.durable`, digest, durable)
		return err
	})
}

// adopt makes a whole partial file a blob; its key is held. Bytes with another
// digest are dropped, and the file starts again.
func (s *Store) adopt(ctx context.Context, upload string, f File) error {
	if stored, err := s.blobs.stored(f.SHA256, f.Size); err != nil || stored {
		return err // a commit of another upload was quicker
	}
	err := s.blobs.adopt(ctx, f.SHA256, f.Size)
	if !errors.Is(err, ErrDigestMismatch) {
		return err
	}
	if err := s.recordDurable(ctx, upload, f.SHA256, 0); err != nil {
		return err
	}
	if err := s.cfg.FS.Remove(s.blobs.partial(f.SHA256)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ioError("dropping a partial file", err)
	}
	return fmt.Errorf("%s: %w", f.Path, ErrDigestMismatch)
}
