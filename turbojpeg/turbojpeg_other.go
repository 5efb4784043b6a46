//go:build !unix

// Package turbojpeg decodes JPEG pictures by libturbojpeg, which is loaded when
// asked for.
package turbojpeg

import "errors"

// Library is never loaded on this system.
type Library struct{}

// Open returns an error on this system.
func Open(string) (*Library, error) { return nil, errors.New("libturbojpeg is loaded on Unix only") }

// Decode returns false.
func (*Library) Decode([]byte, int, int, []byte) bool { return false }
