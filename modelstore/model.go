package modelstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Model is a name under which versions are kept.
type Model struct {
	Name          string
	Description   string
	Labels        map[string]string
	CreatedAt     time.Time // of the first commit
	UpdatedAt     time.Time // of the last change of description or labels
	Etag          string    // changes with description and labels
	Route         Route     // Revision 0 if nothing was activated
	LatestVersion int64     // the highest number; 0 if all were deleted
}

// EtagAbsent is the etag of an alias, or of a model's route, that is not there:
// who hands it in wants to be the first.
const EtagAbsent = "0"

// matchEtag compares a caller's etag, where empty means any, with the present
// one.
func matchEtag(given, present string) error {
	if given != "" && given != present {
		return fmt.Errorf("%w: it is %q now", ErrConflict, present)
	}
	return nil
}

// etagOf makes an etag of a sequence's number, different per kind so that one
// is not taken for another.
func etagOf(kind string, n int64) string {
	if n == 0 {
		return EtagAbsent
	}
	return kind[:1] + strconv.FormatInt(n, 10)
}

// GetModel returns one model. ErrNotFound.
func (s *Store) GetModel(ctx context.Context, name string) (m Model, err error) {
	err = s.view(ctx, "reading a model", func(q *sql.Tx) error {
		m, err = getModel(ctx, q, name)
		return err
	})
	return m, err
}

func getModel(ctx context.Context, q *sql.Tx, name string) (m Model, err error) {
	found, err := rows(ctx, q, scanModel, `SELECT `+modelColumns+` FROM models WHERE name = ?`, name)
	if err != nil {
		return m, err
	}
	if len(found) == 0 {
		return m, fmt.Errorf("model %q: %w", name, ErrNotFound)
	}
	m = found[0]
	return m, describeModel(ctx, q, &m)
}

// ListModels returns the models by name.
func (s *Store) ListModels(ctx context.Context, page Page) (models []Model, nextToken string, err error) {
	after, err := page.after("models")
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, "listing models", func(q *sql.Tx) error {
		all, err := rows(ctx, q, scanModel, `SELECT `+modelColumns+` FROM models WHERE name > ? ORDER BY name LIMIT ?`, after, page.limit())
		if err != nil {
			return err
		}
		models, nextToken = cut(page, "models", all, func(m Model) string { return m.Name })
		for i := range models {
			if err := describeModel(ctx, q, &models[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return models, nextToken, err
}

// ModelUpdate is a change of a model. What is nil stays.
type ModelUpdate struct {
	Description *string
	Labels      *map[string]string
	Etag        string // of the model as the caller saw it; empty = any
}

// UpdateModel changes a model's description and labels. ErrNotFound,
// ErrInvalid, ErrConflict.
func (s *Store) UpdateModel(ctx context.Context, name string, change ModelUpdate) (m Model, err error) {
	if change.Description != nil {
		if err := validateText("description", *change.Description, maxDescription); err != nil {
			return Model{}, err
		}
	}
	if change.Labels != nil {
		if err := validateLabels("labels", *change.Labels); err != nil {
			return Model{}, err
		}
	}
	err = s.update(ctx, "updating a model", func(q *sql.Tx) error {
		if m, err = getModel(ctx, q, name); err != nil {
			return err
		}
		if err := matchEtag(change.Etag, m.Etag); err != nil {
			return fmt.Errorf("model %s: %w", name, err)
		}
		if change.Description != nil {
			m.Description = *change.Description
		}
		if change.Labels != nil {
			m.Labels = *change.Labels
		}
		labels, err := json.Marshal(m.Labels)
		if err != nil {
			return err
		}
		etag, err := next(ctx, q, name, "model")
		if err != nil {
			return err
		}
		if _, err = q.ExecContext(ctx, `UPDATE models SET description = ?, labels = ?, etag = ?, updated_at = ? WHERE name = ?`,
			m.Description, string(labels), etag, s.now(), name); err != nil {
			return err
		}
		m, err = getModel(ctx, q, name)
		return err
	})
	if err == nil {
		s.notify(name)
	}
	return m, err
}

// DeleteModel removes a model with its versions, aliases and routes. While a
// version is routed that takes force. The model's numbers are not given out
// again if the name comes back. ErrNotFound, ErrRouted.
func (s *Store) DeleteModel(ctx context.Context, name string, force bool) error {
	err := s.update(ctx, "deleting a model", func(q *sql.Tx) error {
		m, err := getModel(ctx, q, name)
		if err != nil {
			return err
		}
		if m.Route.Revision != 0 && !force {
			return fmt.Errorf("model %s: %w", name, ErrRouted)
		}
		_, err = q.ExecContext(ctx, `DELETE FROM aliases WHERE model = ?`, name)
		if err == nil {
			_, err = q.ExecContext(ctx, `DELETE FROM models WHERE name = ?`, name)
		}
		return err
	})
	if err == nil {
		s.notify(name)
	}
	return err
}

const modelColumns = `name, description, labels, etag, created_at, updated_at`

func scanModel(r *sql.Rows) (m Model, err error) {
	var labels string
	var etag, created, updated int64
	err = r.Scan(&m.Name, &m.Description, &labels, &etag, &created, &updated)
	m.Etag, m.CreatedAt, m.UpdatedAt = etagOf("model", etag), timeOf(created), timeOf(updated)
	return m, errors.Join(err, json.Unmarshal([]byte(labels), &m.Labels))
}

func describeModel(ctx context.Context, q *sql.Tx, m *Model) (err error) {
	if m.LatestVersion, err = latestVersion(ctx, q, m.Name); err != nil {
		return err
	}
	m.Route, err = currentRoute(ctx, q, m.Name)
	return err
}
