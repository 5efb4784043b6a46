package modelstore

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"time"
)

// Swept is what a sweep did.
type Swept struct {
	Uploads   int   // expired and removed
	Condemned int   // blobs found without a reference for the first time
	Blobs     int   // removed
	Bytes     int64 // freed by the removed blobs
}

// sweepLoop sweeps at intervals until the context ends.
func (s *Store) sweepLoop(ctx context.Context) {
	ticker := time.NewTicker(s.cfg.SweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		swept, err := s.Sweep(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.cfg.Logger.Error("sweep failed", "error", err)
		case swept.Uploads > 0 || swept.Blobs > 0:
			s.cfg.Logger.Info("swept", "uploads", swept.Uploads, "blobs", swept.Blobs, "bytes", swept.Bytes)
		}
	}
}

// Sweep removes uploads that expired, partial files that no open upload refers
// to, and blobs that neither a version nor an open upload has referred to for
// Config.BlobGrace: mark and sweep, so a blob goes at the second sweep at the
// earliest. It may run beside everything else.
func (s *Store) Sweep(ctx context.Context) (swept Swept, err error) {
	if err := s.sweepUploads(ctx, &swept); err != nil {
		return swept, err
	}
	return swept, s.sweepBlobs(ctx, &swept)
}

// sweepUploads removes expired uploads, and partial files without an upload.
func (s *Store) sweepUploads(ctx context.Context, swept *Swept) error {
	var expired []string
	err := s.view(ctx, "listing uploads", func(q *sql.Tx) (err error) {
		expired, err = rows(ctx, q, text, `SELECT id FROM uploads WHERE expires_at <= ?`, s.now())
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range expired {
		if err := s.expire(ctx, id, swept); err != nil {
			return err
		}
	}
	return s.sweepPartials(ctx)
}

// expire removes an upload unless somebody is at work on it, or it came to life
// again.
func (s *Store) expire(ctx context.Context, id string, swept *Swept) error {
	unlock, ok := s.keys.tryLock("upload/" + id)
	if !ok {
		return nil
	}
	defer unlock()
	var removed int64
	err := s.update(ctx, "removing an expired upload", func(q *sql.Tx) error {
		done, err := q.ExecContext(ctx, `DELETE FROM uploads WHERE id = ? AND expires_at <= ?`, id, s.now())
		if err == nil {
			removed, err = done.RowsAffected()
		}
		return err
	})
	if err == nil && removed > 0 {
		swept.Uploads++
		s.endUpload(ctx, id)
	}
	return err
}

// sweepPartials removes partial files that no open upload refers to.
func (s *Store) sweepPartials(ctx context.Context) error {
	entries, err := s.cfg.FS.ReadDir(s.blobs.partials())
	if err != nil {
		return ioError("listing partial files", err)
	}
	for _, e := range entries {
		if err := s.removePartial(ctx, e.Name()); err != nil {
			return err
		}
	}
	return s.update(ctx, "removing partial files", func(q *sql.Tx) error {
		_, err := q.ExecContext(ctx, `DELETE FROM partials WHERE sha256 NOT IN (`+uploading+`)`)
		return err
	})
}

// removePartial removes a partial file unless an open upload refers to it: with
// the claim held, none can begin to.
func (s *Store) removePartial(ctx context.Context, digest string) error {
	s.claims.Lock()
	defer s.claims.Unlock()
	unlock, ok := s.keys.tryLock("file/" + digest)
	if !ok {
		return nil // somebody is at work on it
	}
	defer unlock()
	var wanted bool
	err := s.view(ctx, "removing a partial file", func(q *sql.Tx) error {
		return q.QueryRowContext(ctx, `SELECT EXISTS (`+uploading+` AND f.sha256 = ?)`, digest).Scan(&wanted)
	})
	if err != nil || wanted {
		return err
	}
	if err := s.cfg.FS.Remove(s.blobs.partial(digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ioError("removing a partial file", err)
	}
	return nil
}

const (
	// uploading are the digests that open uploads refer to.
	uploading = `SELECT f.sha256 FROM upload_files f JOIN uploads u ON u.id = f.upload WHERE u.number = 0`
	// referenced are the digests that keep a blob.
	referenced   = `SELECT sha256 FROM version_files UNION ` + uploading
	isReferenced = `SELECT EXISTS (SELECT 1 FROM version_files WHERE sha256 = ?) OR EXISTS (` + uploading + ` AND f.sha256 = ?)`
)

func (s *Store) sweepBlobs(ctx context.Context, swept *Swept) error {
	entries, err := s.cfg.FS.ReadDir(s.blobs.blobs())
	if err != nil {
		return ioError("listing blobs", err)
	}
	live := map[string]bool{}
	since := map[string]int64{} // of condemned blobs
	err = s.view(ctx, "listing blobs", func(q *sql.Tx) error {
		digests, err := rows(ctx, q, text, referenced)
		if err != nil {
			return err
		}
		for _, d := range digests {
			live[d] = true
		}
		_, err = rows(ctx, q, func(r *sql.Rows) (none struct{}, err error) {
			var digest string
			var at int64
			err = r.Scan(&digest, &at)
			since[digest] = at
			return none, err
		}, `SELECT sha256, since FROM condemned`)
		return err
	})
	if err != nil {
		return err
	}
	now := s.now()
	oldest := now - s.cfg.BlobGrace.Microseconds()
	var mark []string
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		digest := e.Name()
		there[digest] = true
		at, condemned := since[digest]
		switch {
		case live[digest] || !digestHex.MatchString(digest):
		case !condemned:
			mark = append(mark, digest)
		case at <= oldest:
			if err := s.removeBlob(ctx, digest, swept); err != nil {
				return err
			}
		}
	}
	var unmark []string // referred to again, or gone
	for digest := range since {
		if live[digest] || !there[digest] {
			unmark = append(unmark, digest)
		}
	}
	swept.Condemned += len(mark)
	if len(mark)+len(unmark) == 0 {
		return nil
	}
	return s.update(ctx, "marking blobs", func(q *sql.Tx) error {
		for _, digest := range mark {
			if _, err := q.ExecContext(ctx, `INSERT INTO condemned (sha256, since) VALUES (?, ?) ON CONFLICT (sha256) DO NOTHING`, digest, now); err != nil {
				return err
			}
		}
		for _, digest := range unmark {
			if _, err := q.ExecContext(ctx, `DELETE FROM condemned WHERE sha256 = ?`, digest); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeBlob removes a condemned blob unless an upload has referred to it since
// the sweep looked: with the claim held, none can begin to.
func (s *Store) removeBlob(ctx context.Context, digest string, swept *Swept) error {
	s.claims.Lock()
	defer s.claims.Unlock()
	var live, condemned bool
	err := s.view(ctx, "removing a blob", func(q *sql.Tx) error {
		if err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM condemned WHERE sha256 = ?)`, digest).Scan(&condemned); err != nil {
			return err
		}
		return q.QueryRowContext(ctx, isReferenced, digest, digest).Scan(&live)
	})
	if err != nil || live || !condemned {
		return err
	}
	name := s.blobs.blob(digest)
	info, err := s.cfg.FS.Stat(name)
	if err == nil {
		err = s.cfg.FS.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ioError("removing a blob", err)
	}
	swept.Blobs++
	swept.Bytes += info.Size()
	return s.update(ctx, "removing a blob", func(q *sql.Tx) error {
		_, err := q.ExecContext(ctx, `DELETE FROM condemned WHERE sha256 = ?`, digest)
		return err
	})
}
