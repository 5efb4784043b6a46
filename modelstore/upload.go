package modelstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// File is one file of a version or of an upload.
type File struct {
	Path   string // relative, with forward slashes
	SHA256 string // of the content, 64 lower-case hexadecimal digits
	Size   int64  // bytes
}

// Upload is a version in the making.
type Upload struct {
	ID        string
	Model     string
	Files     []FileProgress // by path
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt time.Time // moves on while bytes come in
	Version   int64     // that it became; 0 before the commit
}

// FileProgress is how much of an upload's file is stored.
type FileProgress struct {
	File
	// Offset is the number of bytes that are on the disk for certain, and so the
	// next one to send; Size if nothing is to be sent.
	Offset int64
}

// CreateUpload announces the files of a new version and tells which bytes the
// store lacks; what another upload has sent of the same content counts. The
// model need not exist; it is made by the first commit.
// ErrInvalid, ErrTooMany, and ErrDiskFull if the bytes to come do not fit.
func (s *Store) CreateUpload(ctx context.Context, model string, files []File, creator string) (Upload, error) {
	if err := ValidateModelName("model", model); err != nil {
		return Upload{}, err
	}
	if err := validateFiles(files, s.cfg.MaxVersionBytes); err != nil {
		return Upload{}, err
	}
	if err := validateText("creator", creator, maxCreator); err != nil {
		return Upload{}, err
	}
	if err := s.roomFor(files); err != nil {
		return Upload{}, err
	}
	id, now := newID(), s.now()
	s.claims.RLock()
	defer s.claims.RUnlock()
	err := s.update(ctx, "creating an upload", func(q *sql.Tx) error {
		var open int
		if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM uploads WHERE number = 0 AND expires_at > ?`, now).Scan(&open); err != nil {
			return err
		}
		if open >= s.cfg.MaxUploads {
			return fmt.Errorf("%w: %d", ErrTooMany, open)
		}
		if _, err := q.ExecContext(ctx, `
			INSERT INTO uploads (id, model, digest, created_at, created_by, expires_at, number, created)
			VALUES (?, ?, ?, ?, ?, ?, 0, 0)`,
			id, model, versionDigest(files), now, creator, s.expiry()); err != nil {
			return err
		}
		insert, err := q.PrepareContext(ctx, `INSERT INTO upload_files (upload, path, sha256, size) VALUES (?, ?, ?, ?)`)
		if err != nil {
			return err
		}
		defer insert.Close() //nolint:errcheck // the transaction tells
		for _, f := range files {
			if _, err := insert.ExecContext(ctx, id, f.Path, f.SHA256, f.Size); err != nil {
				return err
			}
		}
		_, err = q.ExecContext(ctx, `DELETE FROM condemned WHERE sha256 IN (SELECT sha256 FROM upload_files WHERE upload = ?)`, id)
		return err
	})
	if err != nil {
		return Upload{}, err
	}
	return s.GetUpload(ctx, id)
}

// roomFor refuses an upload that the disk cannot hold now, before a byte is
// sent. It promises nothing: others write to the disk too.
func (s *Store) roomFor(files []File) error {
	room, err := s.cfg.FS.Available(s.cfg.Dir)
	if err != nil {
		return ioError("asking for the disk's room", err)
	}
	var need int64
	seen := map[string]bool{}
	for _, f := range files {
		stored, err := s.blobs.stored(f.SHA256, f.Size)
		if err != nil {
			return err
		}
		if !stored && !seen[f.SHA256] {
			need += f.Size
			seen[f.SHA256] = true
		}
	}
	if need > room {
		return fmt.Errorf("%d bytes are to be stored, %d are free: %w", need, room, ErrDiskFull)
	}
	return nil
}

func (s *Store) expiry() int64 { return s.cfg.Now().Add(s.cfg.UploadExpiry).UnixMicro() }

// GetUpload tells how far an upload is; it can be asked until the upload
// expires, also after the commit. ErrNotFound, ErrExpired.
func (s *Store) GetUpload(ctx context.Context, id string) (Upload, error) {
	u, err := s.upload(ctx, id)
	if err != nil {
		return Upload{}, err
	}
	for i := range u.Files {
		f := &u.Files[i]
		stored, err := s.blobs.stored(f.SHA256, f.Size)
		if err != nil {
			return Upload{}, err
		}
		if stored {
			f.Offset = f.Size
		} else if f.Offset > 0 {
			if f.Offset, err = s.blobs.durable(f.SHA256, f.Offset); err != nil {
				return Upload{}, err
			}
		}
	}
	return u.Upload, nil
}

// uploadRow is an Upload as the catalogue has it: the offsets are those of the
// partial files.
type uploadRow struct {
	Upload
	digest  string
	created bool
}

func (u uploadRow) files() []File {
	files := make([]File, len(u.Files))
	for i, f := range u.Files {
		files[i] = f.File
	}
	return files
}

func (s *Store) upload(ctx context.Context, id string) (u uploadRow, err error) {
	err = s.view(ctx, "reading an upload", func(q *sql.Tx) error {
		var created, expires int64
		err := q.QueryRowContext(ctx, `SELECT id, model, digest, created_at, created_by, expires_at, number, created FROM uploads WHERE id = ?`, id).
			Scan(&u.ID, &u.Model, &u.digest, &created, &u.CreatedBy, &expires, &u.Version, &u.created)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("upload: %w", ErrNotFound)
		}
		if err != nil {
			return err
		}
		u.CreatedAt, u.ExpiresAt = timeOf(created), timeOf(expires)
		u.Files, err = rows(ctx, q, func(r *sql.Rows) (f FileProgress, err error) {
			err = r.Scan(&f.Path, &f.SHA256, &f.Size, &f.Offset)
			return f, err
		}, `
			SELECT f.path, f.sha256, f.size, COALESCE(p.durable, 0)
			FROM upload_files f LEFT JOIN partials p ON p.sha256 = f.sha256
			WHERE f.upload = ? ORDER BY f.path`, id)
		return err
	})
	if err == nil && u.ExpiresAt.UnixMicro() <= s.now() {
		err = ErrExpired
	}
	return u, err
}

// CancelUpload forgets an upload. ErrNotFound, ErrCommitted.
func (s *Store) CancelUpload(ctx context.Context, id string) error {
	unlock, err := s.keys.lock(ctx, "upload/"+id)
	if err != nil {
		return err
	}
	defer unlock()
	err = s.update(ctx, "cancelling an upload", func(q *sql.Tx) error {
		var version int64
		err := q.QueryRowContext(ctx, `SELECT number FROM uploads WHERE id = ?`, id).Scan(&version)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("upload: %w", ErrNotFound)
		case err != nil:
			return err
		case version != 0:
			return fmt.Errorf("%w as version %d", ErrCommitted, version)
		}
		_, err = q.ExecContext(ctx, `DELETE FROM uploads WHERE id = ?`, id)
		return err
	})
	if err != nil {
		return err
	}
	s.endUpload(ctx, id)
	return nil
}

// endUpload ends the writers of an upload that is no longer open, and removes
// the partial files that were its alone. What cannot be removed now is removed
// by the next sweep.
func (s *Store) endUpload(ctx context.Context, id string) {
	s.mu.Lock()
	for digest, w := range s.writers {
		if w.upload == id {
			delete(s.writers, digest)
		}
	}
	s.mu.Unlock()
	if err := s.sweepPartials(ctx); err != nil {
		s.cfg.Logger.Warn("partial files could not be removed", "error", err)
	}
}
