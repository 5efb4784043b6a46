//go:build unix

// Package turbojpeg decodes JPEG pictures by libturbojpeg, which is loaded when
// asked for: docs/adr says what that risks.
package turbojpeg

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Library is a loaded libturbojpeg. It is safe for concurrent use, and stays
// loaded until the process ends.
type Library struct {
	open       func() uintptr
	decompress func(handle uintptr, data unsafe.Pointer, size uint, dst unsafe.Pointer, width, pitch, height, format, flags int32) int32
	close      func(handle uintptr) int32

	idle chan uintptr // decompressors between two pictures
}

// Open loads the library at a path, or one that the system's loader finds by
// name. It must be of version 2 or 3.
func Open(path string) (_ *Library, err error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	l := &Library{idle: make(chan uintptr, runtime.NumCPU())}
	for name, f := range map[string]any{"tjInitDecompress": &l.open, "tjDecompress2": &l.decompress, "tjDestroy": &l.close} {
		at, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("%s is no libturbojpeg: %w", path, err)
		}
		purego.RegisterFunc(f, at)
	}
	d := l.take()
	if d == 0 {
		return nil, errors.New("tjInitDecompress failed")
	}
	l.give(d)
	return l, nil
}

func (l *Library) take() uintptr {
	select {
	case d := <-l.idle:
		return d
	default:
		return l.open()
	}
}

func (l *Library) give(d uintptr) {
	select {
	case l.idle <- d:
	default:
		l.close(d)
	}
}

// Decode decodes a picture of w × h pixels, as its header says, into red, green
// and blue bytes, as Pillow does. It returns false when the library refuses or
// doubts anything of it; dst is arbitrary then.
func (l *Library) Decode(data []byte, w, h int, dst []byte) bool {
	const (
		formatRGB     = 0
		accurateDCT   = 4096 // the integer transform of Pillow
		stopOnWarning = 8192
		limitScans    = 32768
	)
	if len(data) == 0 || w < 1 || h < 1 || w > 65535 || h > 65535 || len(dst) < 3*w*h {
		return false
	}
	d := l.take()
	if d == 0 {
		return false
	}
	rc := l.decompress(d, unsafe.Pointer(&data[0]), uint(len(data)), unsafe.Pointer(&dst[0]), int32(w), int32(3*w), int32(h),
		formatRGB, accurateDCT|stopOnWarning|limitScans)
	runtime.KeepAlive(data)
	runtime.KeepAlive(dst)
	if rc != 0 { // its state is not to be trusted
		l.close(d)
		return false
	}
	l.give(d)
	return true
}
