package modelstore

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The errors that callers tell apart with errors.Is. What wraps them names
// models, versions, digests and paths inside a bundle, never a path of the host.
var (
	// ErrNotFound: no such model, version, alias, upload or file.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the request cannot be right, whatever the store holds. Every
	// such error is an *InvalidError, which names the field.
	ErrInvalid = errors.New("invalid")
	// ErrConflict: the etag given is not the present one.
	ErrConflict = errors.New("etag does not match")
	// ErrInUse: what was to be deleted is routed or aliased. ErrRouted and
	// ErrAliased wrap it.
	ErrInUse = errors.New("in use")
	// ErrRouted: the route names the version.
	ErrRouted = fmt.Errorf("%w: routed", ErrInUse)
	// ErrAliased: an alias names the version.
	ErrAliased = fmt.Errorf("%w: aliased", ErrInUse)
	// ErrNoRoute: the model has no route, so a call must name a version.
	ErrNoRoute = errors.New("model has no route")
	// ErrNoEarlierRoute: there is nothing left to roll back to.
	ErrNoEarlierRoute = errors.New("no earlier route to roll back to")
	// ErrOffset: bytes were sent for another offset than the stored one. Every
	// such error is an *OffsetError, which holds the offset to go on from.
	ErrOffset = errors.New("offset does not match")
	// ErrDigestMismatch: a file's bytes are not those of its sha256. They were
	// dropped; the file starts again at offset 0.
	ErrDigestMismatch = errors.New("sha256 does not match")
	// ErrIncomplete: a commit before all bytes were there. Every such error is
	// an *IncompleteError, which lists the files.
	ErrIncomplete = errors.New("upload is incomplete")
	// ErrSuperseded: another writer took the file over.
	ErrSuperseded = errors.New("another upload stream took this file over")
	// ErrExpired: the upload was left alone for too long, or cancelled.
	ErrExpired = errors.New("upload expired")
	// ErrCommitted: the upload was committed, so it takes no bytes.
	ErrCommitted = errors.New("upload was committed")
	// ErrRejected: the probe refused the bundle; no version was made.
	ErrRejected = errors.New("bundle rejected")
	// ErrTooMany: the number of open uploads is at its limit.
	ErrTooMany = errors.New("too many open uploads")
	// ErrDiskFull: nothing was lost; the same call works once there is room.
	ErrDiskFull = errors.New("disk full")
	// ErrCorrupt: a blob's bytes no longer match their sha256, or are gone.
	// Pushing the same content again repairs the versions that hold it.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrNewerSchema: the store was written by a newer version of scry.
	ErrNewerSchema = errors.New("store has a newer schema")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("store is in use by another process")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store is closed")
)

// InvalidError is an ErrInvalid with the place of the mistake.
type InvalidError struct {
	Field  string // such as "model" or "files[3].path"
	Detail string
}

// Error implements error.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Detail }

// Unwrap returns ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Detail: fmt.Sprintf(format, args...)}
}

// OffsetError is an ErrOffset with the offset that the store has.
type OffsetError struct {
	Stored int64 // bytes
}

// Error implements error.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("%v: %d bytes are stored", ErrOffset, e.Stored)
}

// Unwrap returns ErrOffset.
func (e *OffsetError) Unwrap() error { return ErrOffset }

// IncompleteError is an ErrIncomplete with the files that lack bytes.
type IncompleteError struct {
	Paths []string // all of them, sorted
}

// Error implements error.
func (e *IncompleteError) Error() string {
	if len(e.Paths) == 1 {
		return fmt.Sprintf("%v: %s", ErrIncomplete, e.Paths[0])
	}
	return fmt.Sprintf("%v: %s and %d more", ErrIncomplete, e.Paths[0], len(e.Paths)-1)
}

// Unwrap returns ErrIncomplete.
func (e *IncompleteError) Unwrap() error { return ErrIncomplete }

// ioError hides the host's paths of a file-system error and tells a full disk
// from the rest.
func ioError(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%s: %w", doing, ErrDiskFull)
	}
	return fmt.Errorf("%s: %w", doing, withoutPath(err))
}

// sqlError is ioError for the catalogue. Errors that are not the database's,
// such as those of this package, pass through.
func sqlError(doing string, err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	switch {
	case !ok:
		return err
	case e.Code()&0xff == sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: %w", doing, ErrDiskFull)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
