package modelstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Alias is a name for a version.
type Alias struct {
	Model     string
	Name      string
	Version   int64
	UpdatedAt time.Time
	Etag      string // changes with every change
}

// SetAlias points a name at a version. With an etag the alias must be as that
// etag saw it; EtagAbsent if it must not be there yet. ErrInvalid, ErrNotFound,
// ErrConflict.
func (s *Store) SetAlias(ctx context.Context, model, name string, version int64, etag string) (a Alias, err error) {
	if err := ValidateAlias("alias", name); err != nil {
		return Alias{}, err
	}
	err = s.update(ctx, "setting an alias", func(q *sql.Tx) error {
		if err := hasVersion(ctx, q, model, version); err != nil {
			return err
		}
		if err := matchAlias(ctx, q, model, name, etag); err != nil {
			return err
		}
		n, err := next(ctx, q, model, "alias")
		if err != nil {
			return err
		}
		now := s.now()
		a = Alias{Model: model, Name: name, Version: version, UpdatedAt: timeOf(now), Etag: etagOf("alias", n)}
		_, err = q.ExecContext(ctx, `
			INSERT INTO aliases (model, alias, number, etag, updated_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (model, alias) DO UPDATE
			SET number = excluded.number, etag = excluded.etag, updated_at = excluded.updated_at`,
			model, name, version, n, now)
		return err
	})
	if err != nil {
		return Alias{}, err
	}
	s.notify(model)
	return a, nil
}

func matchAlias(ctx context.Context, q *sql.Tx, model, name, etag string) error {
	var present int64
	err := q.QueryRowContext(ctx, `SELECT etag FROM aliases WHERE model = ? AND alias = ?`, model, name).Scan(&present)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err := matchEtag(etag, etagOf("alias", present)); err != nil {
		return fmt.Errorf("model %s alias %s: %w", model, name, err)
	}
	return nil
}

// ListAliases returns a model's aliases by name, without "latest". ErrNotFound
// if there is no such model.
func (s *Store) ListAliases(ctx context.Context, model string, page Page) (aliases []Alias, nextToken string, err error) {
	after, err := page.after("aliases/" + model)
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, "listing aliases", func(q *sql.Tx) error {
		if err := hasModel(ctx, q, model); err != nil {
			return err
		}
		all, err := rows(ctx, q, func(r *sql.Rows) (a Alias, err error) {
			var etag, updated int64
			err = r.Scan(&a.Model, &a.Name, &a.Version, &etag, &updated)
			a.Etag, a.UpdatedAt = etagOf("alias", etag), timeOf(updated)
			return a, err
		}, `SELECT model, alias, number, etag, updated_at FROM aliases WHERE model = ? AND alias > ? ORDER BY alias LIMIT ?`, model, after, page.limit())
		aliases, nextToken = cut(page, "aliases/"+model, all, func(a Alias) string { return a.Name })
		return err
	})
	return aliases, nextToken, err
}

// DeleteAlias removes an alias; with an etag only if it is as that etag saw it.
// ErrNotFound, ErrConflict.
func (s *Store) DeleteAlias(ctx context.Context, model, name, etag string) error {
	err := s.update(ctx, "deleting an alias", func(q *sql.Tx) error {
		if err := hasModel(ctx, q, model); err != nil {
			return err
		}
		if err := matchAlias(ctx, q, model, name, etag); err != nil {
			return err
		}
		done, err := q.ExecContext(ctx, `DELETE FROM aliases WHERE model = ? AND alias = ?`, model, name)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fmt.Errorf("model %s alias %q: %w", model, name, ErrNotFound))
		}
		return nil
	})
	if err == nil {
		s.notify(model)
	}
	return err
}
