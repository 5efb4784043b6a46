//go:build !(linux || darwin || freebsd)

package fsys

import (
	"errors"
	"io"
	"io/fs"
	"math"
)

// Lock implements FS. A store cannot be opened on this system: it would not be
// safe against a second process.
func (OS) Lock(name string) (io.Closer, error) {
	return nil, &fs.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
}

// Available implements FS. The room is unknown here, so nothing is refused
// ahead of the write that fails.
func (OS) Available(string) (int64, error) { return math.MaxInt64, nil }
