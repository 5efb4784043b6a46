package modelstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/scry-ml/scry/modelstore/fsys"
)

// syncEvery is the longest time that written bytes of a slow upload stay
// unsynced, so that it does not expire under its writer either.
const syncEvery = 30 * time.Second

// FileWriter takes the bytes of one file of an upload. Its methods must not be
// called at once.
type FileWriter struct {
	store  *Store
	upload string
	File   File // the path is that of one of the files with this content
	key    string

	// The rest is guarded by the store's lock of key.
	file    fsys.File // nil when the content is stored, or the writer has ended
	offset  int64     // bytes written
	durable int64     // bytes synced, as the catalogue has it
	synced  time.Time // when
	err     error     // why it ended
}

// OpenUploadFile opens one file of an upload, named by its digest, to go on at
// an offset, which must be the stored one. A writer that another stream left
// open on the file is taken over: it gets ErrSuperseded. ErrNotFound,
// ErrExpired, ErrCommitted, ErrOffset.
func (s *Store) OpenUploadFile(ctx context.Context, upload, digest string, offset int64) (*FileWriter, error) {
	key := "file/" + upload + "/" + digest
	unlock, err := s.keys.lock(ctx, key)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if old := s.endWriter(key); old != nil {
		old.flush(ErrSuperseded)
	}
	u, err := s.upload(ctx, upload)
	if err != nil {
		return nil, err
	}
	if u.Version != 0 {
		return nil, fmt.Errorf("%w as version %d", ErrCommitted, u.Version)
	}
	w := &FileWriter{store: s, upload: upload, key: key, synced: s.cfg.Now()}
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
	} else if err := w.open(); err != nil {
		return nil, err
	}
	if offset != w.offset {
		if w.file != nil {
			_ = w.file.Close()
		}
		return nil, &OffsetError{Stored: w.offset}
	}
	s.mu.Lock()
	s.writers[key] = w
	s.mu.Unlock()
	return w, nil
}

// open opens the partial file, to go on behind what is known to be durable.
func (w *FileWriter) open() error {
	b := w.store.blobs
	if err := b.makeUploadDir(w.upload); err != nil {
		return err
	}
	name := b.partial(w.upload, w.File.SHA256)
	f, err := b.fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return ioError("opening a partial file", err)
	}
	info, err := f.Stat()
	if err == nil {
		w.durable = min(w.durable, info.Size())
		w.offset = w.durable // what lies behind will be written over
		err = b.fs.SyncDir(b.uploadDir(w.upload))
	}
	if err != nil {
		_ = f.Close()
		return ioError("opening a partial file", err)
	}
	w.file = f
	return nil
}

// endWriter takes the active writer off a file; its key is held.
func (s *Store) endWriter(key string) *FileWriter {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.writers[key]
	delete(s.writers, key)
	return w
}

func (w *FileWriter) active() bool {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.writers[w.key] == w
}

// Offset is the number of bytes that are written. After Close it is the number
// that is on the disk.
func (w *FileWriter) Offset() int64 { return w.offset }

// Write appends bytes. Bytes beyond the file's announced size are refused.
// After an error the writer only takes Close; ErrDiskFull leaves what was
// written before.
func (w *FileWriter) Write(p []byte) (int, error) {
	unlock, err := w.store.keys.lock(context.Background(), w.key)
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
	if err != nil {
		err = ioError("writing a partial file", err)
		w.flush(err)
		return n, err
	}
	if w.offset-w.durable >= w.store.cfg.SyncBytes || w.store.cfg.Now().Sub(w.synced) >= syncEvery {
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
	unlock, err := w.store.keys.lock(context.Background(), w.key)
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
	if w.active() {
		w.store.endWriter(w.key)
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
		_, err = q.ExecContext(ctx, `UPDATE upload_files SET durable = ? WHERE upload = ? AND sha256 = ?`, durable, upload, digest)
		return err
	})
}

// adopt makes a whole partial file a blob; its key is held. Bytes with another
// digest are dropped, and the file starts again.
func (s *Store) adopt(ctx context.Context, upload string, f File) error {
	err := s.blobs.adopt(ctx, upload, f.SHA256, f.Size)
	if !errors.Is(err, ErrDigestMismatch) {
		return err
	}
	if err := s.recordDurable(ctx, upload, f.SHA256, 0); err != nil {
		return err
	}
	if err := s.cfg.FS.Remove(s.blobs.partial(upload, f.SHA256)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ioError("dropping a partial file", err)
	}
	return fmt.Errorf("%s: %w", f.Path, ErrDigestMismatch)
}
