package modelstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"

	"github.com/pressly/goose/v3"

	"github.com/scry-ml/scry/modelstore/fsys"
)

//go:embed migrations/*.sql
var migrations embed.FS

// catalogue is the database. SQLite has one writer at a time, so there is one
// connection for writing, whose transactions queue in Go instead of failing
// with SQLITE_BUSY, and a few for reading, which a writer does not block.
type catalogue struct {
	write, read *sql.DB
}

const readers = 4

func openCatalogue(ctx context.Context, path string) (_ *catalogue, err error) {
	c := &catalogue{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.write, err = openDatabase(path, url.Values{"_txlock": {"immediate"}}); err != nil {
		return nil, err
	}
	c.write.SetMaxOpenConns(1)
	if err := migrate(ctx, c.write); err != nil {
		return nil, err
	}
	// SQLite syncs its own files, and the directory after making a WAL, but
	// not the directory after making the database.
	if err := (fsys.OS{}).SyncDir(filepath.Dir(path)); err != nil {
		return nil, ioError("opening the catalogue", err)
	}
	if c.read, err = openDatabase(path, url.Values{"_pragma": {"query_only(1)"}}); err != nil {
		return nil, err
	}
	c.read.SetMaxOpenConns(readers)
	c.read.SetMaxIdleConns(readers)
	return c, nil
}

func openDatabase(path string, options url.Values) (*sql.DB, error) {
	options["_pragma"] = append([]string{
		"busy_timeout(10000)",
		"journal_mode(WAL)",
		"synchronous(FULL)", // an acknowledged transaction survives a power loss
		"foreign_keys(1)",
	}, options["_pragma"]...)
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", name.String())
	return db, sqlError("opening the catalogue", err)
}

// migrate brings the schema up to this binary's; it refuses a newer one.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return sqlError("reading the catalogue's migrations", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return sqlError("reading the catalogue's schema version", err)
	}
	if current > target {
		return fmt.Errorf("%w: %d, this binary reads up to %d", ErrNewerSchema, current, target)
	}
	if current == target {
		return nil
	}
	_, err = provider.Up(ctx)
	return sqlError("migrating the catalogue", err)
}

func (c *catalogue) close() error {
	var errs []error
	for _, db := range []*sql.DB{c.read, c.write} { // the last connection writes the WAL back
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// run runs a transaction and commits it if f returns nil.
func (c *catalogue) run(ctx context.Context, db *sql.DB, doing string, f func(q *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return sqlError(doing, err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says so, otherwise f's error counts
	if err := f(tx); err != nil {
		return sqlError(doing, err)
	}
	return sqlError(doing, tx.Commit())
}

// next gives out a number of a model's sequence.
func next(ctx context.Context, q *sql.Tx, model, kind string) (n int64, err error) {
	err = q.QueryRowContext(ctx, `
		INSERT INTO sequences (model, kind, last) VALUES (?, ?, 1)
		ON CONFLICT (model, kind) DO UPDATE SET last = sequences.last + 1
		RETURNING last`, model, kind).Scan(&n)
	return n, err
}

// rows scans every row of a query.
func rows[T any](ctx context.Context, q *sql.Tx, scan func(*sql.Rows) (T, error), query string, args ...any) (all []T, err error) {
	r, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for r.Next() {
		one, err := scan(r)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, r.Err()
}

// text scans a row of one string.
func text(r *sql.Rows) (s string, err error) {
	err = r.Scan(&s)
	return s, err
}
