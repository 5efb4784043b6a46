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

// Sweep removes uploads that expired, partial files without an upload, and
// blobs that neither a version nor an open upload has referred to for
// Config.BlobGrace: mark and sweep, so a blob goes at the second sweep at the
// earliest. It may run beside everything else.
func (s *Store) Sweep(ctx context.Context) (swept Swept, err error) {
	if err := s.sweepUploads(ctx, &swept); err != nil {
		return swept, err
	}
	return swept, s.sweepBlobs(ctx, &swept)
}

// sweepUploads removes expired uploads, and directories of partial files that
// belong to no open upload.
func (s *Store) sweepUploads(ctx context.Context, swept *Swept) error {
	var expired, open []string
	entries, err := s.cfg.FS.ReadDir(s.blobs.uploads())
	if err != nil {
		return ioError("listing uploads", err)
	}
	err = s.view(ctx, "listing uploads", func(q *sql.Tx) (err error) {
		if expired, err = rows(ctx, q, text, `SELECT id FROM uploads WHERE expires_at <= ?`, s.now()); err != nil {
			return err
		}
		open, err = rows(ctx, q, text, `SELECT id FROM uploads WHERE number = 0`)
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
	known := make(map[string]bool, len(open))
	for _, id := range open {
		known[id] = true
	}
	// A directory is made after its upload's row, and the directories were
	// listed before the rows: one without a row has none any more.
	for _, e := range entries {
		if !known[e.Name()] {
			s.dropPartials(e.Name())
		}
	}
	return nil
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
		s.dropPartials(id)
	}
	return err
}

const (
	// referenced are the digests that keep a blob.
	referenced = `
		SELECT sha256 FROM version_files
		UNION
		SELECT f.sha256 FROM upload_files f JOIN uploads u ON u.id = f.upload WHERE u.number = 0`
	isReferenced = `
		SELECT EXISTS (SELECT 1 FROM version_files WHERE sha256 = ?)
		    OR EXISTS (SELECT 1 FROM upload_files f JOIN uploads u ON u.id = f.upload WHERE f.sha256 = ? AND u.number = 0)`
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
