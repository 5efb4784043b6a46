package modelstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Route says which versions answer the calls that name none. Every change makes
// a new revision.
type Route struct {
	Model        string
	Revision     int64 // from 1; 0 = the model has no route
	Entries      []RouteEntry
	CreatedAt    time.Time
	CreatedBy    string
	Etag         string // EtagAbsent for revision 0
	RolledBackTo int64  // the revision that a rollback restored; 0 = it was activated
}

// RouteEntry is one version's part of a model's calls.
type RouteEntry struct {
	Version int64
	Weight  int // its part, out of the sum of the weights
}

// fullWeight is the weight of the only entry of a route.
const fullWeight = 100

// keptRoutes bounds a model's route history.
const keptRoutes = 1000

// GetRoute returns a model's route; Revision 0 if nothing was activated.
// ErrNotFound if there is no such model.
func (s *Store) GetRoute(ctx context.Context, model string) (route Route, err error) {
	err = s.view(ctx, "reading a route", func(q *sql.Tx) error {
		if err := hasModel(ctx, q, model); err != nil {
			return err
		}
		route, err = currentRoute(ctx, q, model)
		return err
	})
	return route, err
}

// ListRoutes returns a model's route revisions, newest first; the last 1000 are
// kept. ErrNotFound if there is no such model.
func (s *Store) ListRoutes(ctx context.Context, model string, page Page) (routes []Route, nextToken string, err error) {
	before, err := beforeNumber(page, "routes/"+model)
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, "listing routes", func(q *sql.Tx) error {
		if err := hasModel(ctx, q, model); err != nil {
			return err
		}
		all, err := routesBefore(ctx, q, model, before, page.limit())
		if err != nil {
			return err
		}
		routes, nextToken = cut(page, "routes/"+model, all, func(r Route) string { return strconv.FormatInt(r.Revision, 10) })
		return nil
	})
	return routes, nextToken, err
}

// Activate routes all of a model's calls to one version, by compare-and-swap:
// with an etag the route must be as that etag saw it; EtagAbsent if there must
// be none yet. Activating the version that has the whole route already changes
// nothing. ErrNotFound, ErrConflict.
func (s *Store) Activate(ctx context.Context, model string, version int64, etag, creator string) (route Route, err error) {
	if err := validateText("creator", creator, maxCreator); err != nil {
		return Route{}, err
	}
	changed := false
	err = s.update(ctx, "activating a version", func(q *sql.Tx) error {
		if err := hasVersion(ctx, q, model, version); err != nil {
			return err
		}
		if route, err = currentRoute(ctx, q, model); err != nil {
			return err
		}
		if err := matchEtag(etag, route.Etag); err != nil {
			return fmt.Errorf("route of model %s: %w", model, err)
		}
		entries := []RouteEntry{{Version: version, Weight: fullWeight}}
		if slices.Equal(route.Entries, entries) {
			return nil
		}
		changed = true
		route, err = s.insertRoute(ctx, q, Route{Model: model, Entries: entries, CreatedBy: creator})
		return err
	})
	if err != nil {
		return Route{}, err
	}
	if changed {
		s.notify(model)
	}
	return route, nil
}

// RollbackTarget tells what Rollback would return to, so that it can be warmed
// first; hand the present route's etag to Rollback. ErrNotFound,
// ErrNoEarlierRoute.
func (s *Store) RollbackTarget(ctx context.Context, model string) (present, target Route, err error) {
	err = s.view(ctx, "reading a route", func(q *sql.Tx) error {
		if err := hasModel(ctx, q, model); err != nil {
			return err
		}
		present, target, err = rollbackTarget(ctx, q, model)
		return err
	})
	return present, target, err
}

// Rollback undoes the last activation: the route that was in force before it
// comes back, as a new revision. Rolling back again undoes the activation
// before that one, and so on: a rollback is never itself undone by a rollback
// (activate the version for that). Revisions that name a deleted version, or
// that route as the present one does, are passed over. ErrNotFound,
// ErrConflict, ErrNoEarlierRoute.
func (s *Store) Rollback(ctx context.Context, model, etag, creator string) (route Route, err error) {
	if err := validateText("creator", creator, maxCreator); err != nil {
		return Route{}, err
	}
	err = s.update(ctx, "rolling back", func(q *sql.Tx) error {
		if err := hasModel(ctx, q, model); err != nil {
			return err
		}
		present, target, err := rollbackTarget(ctx, q, model)
		if err != nil && !errors.Is(err, ErrNoEarlierRoute) {
			return err
		}
		if err := matchEtag(etag, present.Etag); err != nil {
			return fmt.Errorf("route of model %s: %w", model, err)
		}
		if err != nil {
			return err
		}
		route, err = s.insertRoute(ctx, q, Route{Model: model, Entries: target.Entries, CreatedBy: creator, RolledBackTo: target.Revision})
		return err
	})
	if err != nil {
		return Route{}, err
	}
	s.notify(model)
	return route, nil
}

// rollbackTarget walks the history as a stack: the origin of a revision is the
// activation that made its entries, and what to return to is the origin of the
// revision before the present one's origin. present is set also when the error
// is ErrNoEarlierRoute.
func rollbackTarget(ctx context.Context, q *sql.Tx, model string) (present, target Route, err error) {
	present, err = currentRoute(ctx, q, model)
	if err != nil {
		return present, target, err
	}
	origin := func(r Route) int64 {
		if r.RolledBackTo != 0 {
			return r.RolledBackTo
		}
		return r.Revision
	}
	for at := origin(present); ; at = origin(target) {
		before, err := routesBefore(ctx, q, model, at, 1)
		if err != nil {
			return present, target, err
		}
		if len(before) == 0 {
			return present, Route{}, fmt.Errorf("model %s: %w", model, ErrNoEarlierRoute)
		}
		target = before[0]
		if target.RolledBackTo != 0 {
			// Its entries are those of the revision that it restored.
			target.Revision, target.RolledBackTo = target.RolledBackTo, 0
		}
		if slices.Equal(target.Entries, present.Entries) {
			continue
		}
		alive := true
		for _, e := range target.Entries {
			err := hasVersion(ctx, q, model, e.Version)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return present, target, err
			}
			alive = alive && err == nil
		}
		if alive {
			return present, target, nil
		}
	}
}

// insertRoute makes a revision the one in force.
func (s *Store) insertRoute(ctx context.Context, q *sql.Tx, r Route) (Route, error) {
	revision, err := next(ctx, q, r.Model, "route")
	if err != nil {
		return r, err
	}
	now := s.now()
	if _, err := q.ExecContext(ctx, `
		INSERT INTO routes (model, revision, rolled_back_to, created_at, created_by) VALUES (?, ?, ?, ?, ?)`,
		r.Model, revision, r.RolledBackTo, now, r.CreatedBy); err != nil {
		return r, err
	}
	for _, e := range r.Entries {
		if _, err := q.ExecContext(ctx, `INSERT INTO route_entries (model, revision, number, weight) VALUES (?, ?, ?, ?)`,
			r.Model, revision, e.Version, e.Weight); err != nil {
			return r, err
		}
	}
	if _, err := q.ExecContext(ctx, `DELETE FROM routes WHERE model = ? AND revision <= ?`, r.Model, revision-keptRoutes); err != nil {
		return r, err
	}
	r.Revision, r.Etag, r.CreatedAt = revision, etagOf("route", revision), timeOf(now)
	return r, nil
}

func currentRoute(ctx context.Context, q *sql.Tx, model string) (Route, error) {
	found, err := routesBefore(ctx, q, model, 1<<62, 1)
	if err != nil || len(found) == 0 {
		return Route{Model: model, Etag: EtagAbsent}, err
	}
	return found[0], nil
}

// routesBefore returns the newest revisions below one, newest first.
func routesBefore(ctx context.Context, q *sql.Tx, model string, before int64, limit int) ([]Route, error) {
	routes, err := rows(ctx, q, func(r *sql.Rows) (route Route, err error) {
		var created int64
		err = r.Scan(&route.Model, &route.Revision, &route.RolledBackTo, &created, &route.CreatedBy)
		route.CreatedAt, route.Etag = timeOf(created), etagOf("route", route.Revision)
		return route, err
	}, `
		SELECT model, revision, rolled_back_to, created_at, created_by FROM routes
		WHERE model = ? AND revision < ? ORDER BY revision DESC LIMIT ?`, model, before, limit)
	if err != nil {
		return nil, err
	}
	for i := range routes {
		routes[i].Entries, err = rows(ctx, q, func(r *sql.Rows) (e RouteEntry, err error) {
			err = r.Scan(&e.Version, &e.Weight)
			return e, err
		}, `SELECT number, weight FROM route_entries WHERE model = ? AND revision = ? ORDER BY number`, model, routes[i].Revision)
		if err != nil {
			return nil, err
		}
	}
	return routes, nil
}
