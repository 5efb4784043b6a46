package modelstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
)

// CommitUpload makes an upload a version. It is idempotent: a second commit of
// the upload, also one that runs at the same time, answers as the first did.
// If the model already holds the same files under the same paths, that version
// is the answer and created is false. When it returns, the version is on the
// disk. ErrNotFound, ErrExpired, ErrIncomplete, ErrDigestMismatch, ErrRejected;
// after each of these, and after ErrDiskFull, no version was made and the
// upload is as it was.
func (s *Store) CommitUpload(ctx context.Context, id string) (v Version, created bool, err error) {
	return s.CommitWithHints(ctx, id, nil)
}

// CommitWithHints is CommitUpload with hints for Config.Prepare.
func (s *Store) CommitWithHints(ctx context.Context, id string, hints []byte) (v Version, created bool, err error) {
	unlock, err := s.keys.lock(ctx, "upload/"+id)
	if err != nil {
		return Version{}, false, err
	}
	defer unlock()
	u, err := s.upload(ctx, id)
	if err != nil {
		return Version{}, false, err
	}
	if u.Version == 0 {
		if err := s.complete(ctx, u); err != nil {
			return Version{}, false, err
		}
		if err := s.makeVersion(ctx, &u, hints); err != nil {
			return Version{}, false, err
		}
		s.endUpload(ctx, id)
		s.notify(u.Model)
	}
	v, err = s.GetVersion(ctx, u.Model, u.Version)
	return v, u.created, err
}

// complete sees to it that every file of an upload is a durable blob with the
// right bytes.
func (s *Store) complete(ctx context.Context, u uploadRow) error {
	var missing []string
	checked := map[string]bool{} // digest → it is a good blob
	for _, f := range u.Files {
		good, done := checked[f.SHA256]
		if !done {
			err := s.completeFile(ctx, u.ID, f)
			if err != nil && !errors.Is(err, ErrIncomplete) {
				return err
			}
			good = err == nil
			checked[f.SHA256] = good
		}
		if !good {
			missing = append(missing, f.Path)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return &IncompleteError{Paths: missing}
	}
	// A blob may have come from another upload a moment ago: this commit relies
	// on nobody else's sync.
	return s.blobs.sync()
}

func (s *Store) completeFile(ctx context.Context, id string, f FileProgress) error {
	unlock, err := s.keys.lock(ctx, "file/"+f.SHA256)
	if err != nil {
		return err
	}
	defer unlock()
	stored, err := s.blobs.stored(f.SHA256, f.Size)
	if err != nil {
		return err
	}
	if stored {
		err := s.blobs.verify(ctx, f.SHA256, f.Size)
		if errors.Is(err, ErrCorrupt) {
			s.cfg.Logger.Error("a stored blob is corrupt and must be sent again", "sha256", f.SHA256)
			return ErrIncomplete
		}
		return err
	}
	if w := s.writerOf(f.SHA256); w != nil && w.upload == id {
		w.flush(ErrSuperseded)
		f.Offset = w.durable
	}
	if f.Offset < f.Size {
		return ErrIncomplete
	}
	return s.adopt(ctx, id, f.File)
}

// makeVersion prepares and probes the files and writes the version into the
// catalogue. It sets u.Version and u.created.
func (s *Store) makeVersion(ctx context.Context, u *uploadRow, hints []byte) error {
	if s.cfg.Prepare == nil && s.cfg.Probe == nil {
		return s.writeVersion(ctx, u, content{files: u.files(), digest: u.digest})
	}
	dir, err := s.blobs.layOut(ctx, u.files(), false) // complete has just read every byte
	if err != nil {
		return err
	}
	defer func() {
		if err := s.blobs.removeLive(dir); err != nil {
			s.cfg.Logger.Warn("a probe's directory could not be removed", "error", err)
		}
	}()
	c, err := s.prepare(ctx, u, dir, hints)
	if err != nil {
		return err
	}
	if c.probed, err = s.probe(ctx, u.Model, c.digest, dir); err != nil {
		return err
	}
	return s.writeVersion(ctx, u, c)
}

// content is what a version is to hold.
type content struct {
	files  []File
	digest string
	made   []made
	probed Probed
}

// made is a file that was not uploaded.
type made struct {
	File
	at string // where it lies until it is a blob
}

// prepare asks Config.Prepare about an upload's files and puts those that it
// changes into dir.
func (s *Store) prepare(ctx context.Context, u *uploadRow, dir string, hints []byte) (content, error) {
	c := content{files: u.files(), digest: u.digest}
	if s.cfg.Prepare == nil {
		return c, nil
	}
	prepared, err := s.cfg.Prepare(ctx, dir, hints)
	switch {
	case ctx.Err() != nil:
		return c, ctx.Err()
	case err != nil:
		return c, &rejection{dir: dir, cause: err}
	}
	for i, path := range prepared.Changed {
		// The name is in nobody's way, for it stands beside the directory's files.
		at := fmt.Sprintf("%s.made%d", dir, i)
		defer s.cfg.FS.Remove(at) //nolint:errcheck // nothing is there any more, or Open removes it
		f, err := s.blobs.write(ctx, prepared.Files, path, at)
		if err != nil {
			return c, err
		}
		c.made = append(c.made, made{f, filepath.Join(dir, filepath.FromSlash(path))})
	}
	for _, m := range c.made {
		if i := slices.IndexFunc(c.files, func(f File) bool { return f.Path == m.Path }); i >= 0 {
			c.files[i] = m.File
		} else {
			c.files = append(c.files, m.File)
		}
	}
	for i, m := range c.made { // all were read, which may have needed what is replaced
		if err := s.cfg.FS.Rename(fmt.Sprintf("%s.made%d", dir, i), m.at); err != nil {
			return c, ioError("preparing a version", err)
		}
	}
	if err := validateFiles(c.files, s.cfg.MaxVersionBytes); err != nil {
		return c, err
	}
	c.digest = versionDigest(c.files)
	return c, nil
}

// writeVersion writes a version into the catalogue, with the blobs that were
// made for it.
func (s *Store) writeVersion(ctx context.Context, u *uploadRow, c content) error {
	// A sweep must not come between the blobs and what refers to them.
	s.claims.RLock()
	defer s.claims.RUnlock()
	for _, m := range c.made {
		if err := s.blobs.keep(ctx, m); err != nil {
			return err
		}
	}
	return s.update(ctx, "committing an upload", func(q *sql.Tx) error {
		now := s.now()
		u.created = false
		var err error
		u.Version, err = versionWithDigest(ctx, q, u.Model, c.digest)
		if errors.Is(err, ErrNotFound) {
			u.created = true
			u.Version, err = s.insertVersion(ctx, q, u, c, now)
		}
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE uploads SET number = ?, created = ?, expires_at = ? WHERE id = ?`,
			u.Version, u.created, s.expiry(), u.ID)
		return err
	})
}

// probe asks Config.Probe about a version's files, unless the same content is
// a version already.
func (s *Store) probe(ctx context.Context, model, digest, dir string) (Probed, error) {
	if s.cfg.Probe == nil {
		return Probed{}, nil
	}
	err := s.view(ctx, "committing an upload", func(q *sql.Tx) error {
		_, err := versionWithDigest(ctx, q, model, digest)
		return err
	})
	if !errors.Is(err, ErrNotFound) {
		return Probed{}, err
	}
	probed, err := s.cfg.Probe(ctx, dir)
	switch {
	case err == nil:
		return probed, nil
	case ctx.Err() != nil: // the probe was cut short, which says nothing of the bundle
		return Probed{}, ctx.Err()
	}
	return Probed{}, &rejection{dir: dir, cause: err}
}

// rejection is an ErrRejected with the probe's reason, in which the files have
// their names in the bundle instead of those in the working directory.
type rejection struct {
	dir   string
	cause error
}

func (r *rejection) Error() string {
	reason := strings.ReplaceAll(r.cause.Error(), r.dir+string(filepath.Separator), "")
	return ErrRejected.Error() + ": " + strings.ReplaceAll(reason, r.dir, ".")
}

func (r *rejection) Unwrap() []error { return []error{ErrRejected, r.cause} }

func versionWithDigest(ctx context.Context, q *sql.Tx, model, digest string) (number int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT number FROM versions WHERE model = ? AND digest = ?`, model, digest).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return number, err
}

func (s *Store) insertVersion(ctx context.Context, q *sql.Tx, u *uploadRow, c content, now int64) (number int64, err error) {
	var known bool
	if err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM models WHERE name = ?)`, u.Model).Scan(&known); err != nil {
		return 0, err
	}
	if !known {
		etag, err := next(ctx, q, u.Model, "model")
		if err != nil {
			return 0, err
		}
		if _, err := q.ExecContext(ctx, `
			INSERT INTO models (name, description, labels, etag, created_at, updated_at)
			VALUES (?, '', '{}', ?, ?, ?)`, u.Model, etag, now, now); err != nil {
			return 0, err
		}
	}
	if number, err = next(ctx, q, u.Model, "version"); err != nil {
		return 0, err
	}
	var size int64
	for _, f := range c.files {
		size += f.Size
	}
	found := c.probed.Verification
	if math.IsNaN(found.MaxDifference) { // the database would read it as NULL
		found.MaxDifference = math.Inf(1)
	}
	manifest := c.probed.Manifest
	if manifest == nil {
		manifest = []byte{}
	}
	if _, err := q.ExecContext(ctx, `
		INSERT INTO versions (model, number, digest, size, manifest, samples, max_difference, output, precision_name, created_at, created_by)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		u.Model, number, c.digest, size, manifest, found.Samples, found.MaxDifference, found.Output, found.Precision, now, u.CreatedBy); err != nil {
		return 0, err
	}
	insert, err := q.PrepareContext(ctx, `INSERT INTO version_files (model, number, path, sha256, size) VALUES (?, ?, ?, ?, ?)`)
	if err != nil {
		return 0, err
	}
	defer insert.Close() //nolint:errcheck // the transaction tells
	for _, f := range c.files {
		if _, err := insert.ExecContext(ctx, u.Model, number, f.Path, f.SHA256, f.Size); err != nil {
			return 0, err
		}
	}
	for _, m := range c.made {
		if _, err := q.ExecContext(ctx, `DELETE FROM condemned WHERE sha256 = ?`, m.SHA256); err != nil {
			return 0, err
		}
	}
	return number, nil
}
