package modelstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Version is one immutable content of a model.
type Version struct {
	Model        string
	Number       int64  // from 1, never used again
	Digest       string // sha256 over the sorted paths, digests and sizes
	Files        []File // by path
	Size         int64  // bytes of all files
	Manifest     []byte // as the probe gave it; ListVersions leaves it out
	Verification Verification
	CreatedAt    time.Time
	CreatedBy    string
	Aliases      []string // that point here, by name
	Routed       bool     // whether the model's route names it
}

// GetVersion returns one version. ErrNotFound.
func (s *Store) GetVersion(ctx context.Context, model string, number int64) (v Version, err error) {
	err = s.view(ctx, "reading a version", func(q *sql.Tx) error {
		if err := hasVersion(ctx, q, model, number); err != nil {
			return err
		}
		found, err := rows(ctx, q, scanVersion, `SELECT `+versionColumns+` FROM versions WHERE model = ? AND number = ?`, model, number)
		if err != nil {
			return err
		}
		v = found[0]
		if err := q.QueryRowContext(ctx, `SELECT manifest FROM versions WHERE model = ? AND number = ?`, model, number).Scan(&v.Manifest); err != nil {
			return err
		}
		return describeVersion(ctx, q, &v)
	})
	return v, err
}

// ListVersions returns a model's versions, newest first, without their
// manifests. ErrNotFound if there is no such model.
func (s *Store) ListVersions(ctx context.Context, model string, page Page) (versions []Version, nextToken string, err error) {
	before, err := beforeNumber(page, "versions/"+model)
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, "listing versions", func(q *sql.Tx) error {
		if err := hasModel(ctx, q, model); err != nil {
			return err
		}
		all, err := rows(ctx, q, scanVersion, `
			SELECT `+versionColumns+` FROM versions WHERE model = ? AND number < ?
			ORDER BY number DESC LIMIT ?`, model, before, page.limit())
		if err != nil {
			return err
		}
		versions, nextToken = cut(page, "versions/"+model, all, func(v Version) string { return strconv.FormatInt(v.Number, 10) })
		for i := range versions {
			if err := describeVersion(ctx, q, &versions[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return versions, nextToken, err
}

// beforeNumber is the number that a list of falling numbers goes on below.
func beforeNumber(page Page, list string) (int64, error) {
	key, err := page.after(list)
	if err != nil || key == "" {
		return math.MaxInt64, err
	}
	n, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, invalid("page_token", "is not one that this list gave")
	}
	return n, nil
}

// Resolve finds the version that a request means: a number in decimal, an
// alias, "latest", or with an empty reference the route's version of the
// greatest weight. ErrNotFound, ErrNoRoute.
func (s *Store) Resolve(ctx context.Context, model, reference string) (number int64, err error) {
	err = s.view(ctx, "resolving a version", func(q *sql.Tx) error {
		if err := hasModel(ctx, q, model); err != nil {
			return err
		}
		if n, err := strconv.ParseInt(reference, 10, 64); err == nil {
			number = n
			return hasVersion(ctx, q, model, n)
		}
		switch reference {
		case "":
			route, err := currentRoute(ctx, q, model)
			if err != nil {
				return err
			}
			if route.Revision == 0 {
				return fmt.Errorf("model %s: %w", model, ErrNoRoute)
			}
			best := route.Entries[0]
			for _, e := range route.Entries[1:] {
				if e.Weight > best.Weight {
					best = e
				}
			}
			number = best.Version
			return nil
		case Latest:
			if number, err = latestVersion(ctx, q, model); err == nil && number == 0 {
				err = fmt.Errorf("model %s has no version: %w", model, ErrNotFound)
			}
			return err
		}
		err := q.QueryRowContext(ctx, `SELECT number FROM aliases WHERE model = ? AND alias = ?`, model, reference).Scan(&number)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("model %s version or alias %q: %w", model, reference, ErrNotFound)
		}
		return err
	})
	return number, err
}

// DeleteVersion removes a version. Its blobs go with a later sweep. ErrNotFound,
// ErrRouted, ErrAliased.
func (s *Store) DeleteVersion(ctx context.Context, model string, number int64) error {
	err := s.update(ctx, "deleting a version", func(q *sql.Tx) error {
		if err := hasVersion(ctx, q, model, number); err != nil {
			return err
		}
		routed, err := isRouted(ctx, q, model, number)
		if err != nil {
			return err
		}
		if routed {
			return fmt.Errorf("model %s version %d: %w", model, number, ErrRouted)
		}
		aliases, err := aliasesOf(ctx, q, model, number)
		if err != nil {
			return err
		}
		if len(aliases) > 0 {
			return fmt.Errorf("model %s version %d: %w as %q", model, number, ErrAliased, aliases[0])
		}
		_, err = q.ExecContext(ctx, `DELETE FROM versions WHERE model = ? AND number = ?`, model, number)
		return err
	})
	if err == nil {
		s.notify(model)
	}
	return err
}

const versionColumns = `model, number, digest, size, samples, max_difference, output, precision_name, created_at, created_by`

func scanVersion(r *sql.Rows) (v Version, err error) {
	var created int64
	found := &v.Verification
	err = r.Scan(&v.Model, &v.Number, &v.Digest, &v.Size, &found.Samples, &found.MaxDifference, &found.Output, &found.Precision, &created, &v.CreatedBy)
	v.CreatedAt = timeOf(created)
	return v, err
}

// describeVersion fills in what lies in other tables.
func describeVersion(ctx context.Context, q *sql.Tx, v *Version) (err error) {
	v.Files, err = rows(ctx, q, func(r *sql.Rows) (f File, err error) {
		err = r.Scan(&f.Path, &f.SHA256, &f.Size)
		return f, err
	}, `SELECT path, sha256, size FROM version_files WHERE model = ? AND number = ? ORDER BY path`, v.Model, v.Number)
	if err != nil {
		return err
	}
	if v.Aliases, err = aliasesOf(ctx, q, v.Model, v.Number); err != nil {
		return err
	}
	v.Routed, err = isRouted(ctx, q, v.Model, v.Number)
	return err
}

func aliasesOf(ctx context.Context, q *sql.Tx, model string, number int64) ([]string, error) {
	return rows(ctx, q, text, `SELECT alias FROM aliases WHERE model = ? AND number = ? ORDER BY alias`, model, number)
}

func isRouted(ctx context.Context, q *sql.Tx, model string, number int64) (routed bool, err error) {
	err = q.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM route_entries WHERE model = ? AND number = ?
			AND revision = (SELECT MAX(revision) FROM routes WHERE model = ?))`, model, number, model).Scan(&routed)
	return routed, err
}

func latestVersion(ctx context.Context, q *sql.Tx, model string) (number int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(number), 0) FROM versions WHERE model = ?`, model).Scan(&number)
	return number, err
}

func hasModel(ctx context.Context, q *sql.Tx, model string) error {
	var there bool
	err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM models WHERE name = ?)`, model).Scan(&there)
	if err == nil && !there {
		err = fmt.Errorf("model %q: %w", model, ErrNotFound)
	}
	return err
}

// hasVersion tells a missing model from a missing version.
func hasVersion(ctx context.Context, q *sql.Tx, model string, number int64) error {
	var there bool
	err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM versions WHERE model = ? AND number = ?)`, model, number).Scan(&there)
	if err != nil || there {
		return err
	}
	if err := hasModel(ctx, q, model); err != nil {
		return err
	}
	return fmt.Errorf("model %s version %d: %w", model, number, ErrNotFound)
}
