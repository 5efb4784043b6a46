package pixel

import "sync/atomic"

// JPEGLibrary decodes a JPEG picture of w × h pixels into red, green and blue
// bytes; false when it does not want to, with dst arbitrary.
type JPEGLibrary func(data []byte, w, h int, dst []byte) bool

var jpegLibrary atomic.Pointer[JPEGLibrary]

// UseJPEGLibrary has grey and YCbCr pictures decoded by a library, within the same
// Limits; all others, and those that it refuses, are decoded by this package, so
// that pixels and errors stay the same. The context is not asked meanwhile. nil
// ends it. It concerns the whole process.
func UseJPEGLibrary(l JPEGLibrary) {
	if l == nil {
		jpegLibrary.Store(nil)
		return
	}
	jpegLibrary.Store(&l)
}

// maxLibraryWork bounds pixels times scans of a picture that the library gets,
// since a context does not end its work: less than about a second.
const maxLibraryWork = 128 << 20

// byLibrary tells whether the library decoded the picture into dst.
func (f *jpegFile) byLibrary(dst *RGB) bool {
	l := jpegLibrary.Load()
	if l == nil || f.w*f.h > maxLibraryWork/f.scans {
		return false
	}
	for i, c := range f.components {
		plain := c.h == 1 && c.v == 1
		if i == 0 {
			plain = c.h <= 2 && c.v <= c.h // 4:4:4, 4:2:2, 4:2:0
		}
		if !plain {
			return false
		}
	}
	if len(f.components) != 1 && (len(f.components) != 3 || f.isRGB()) {
		return false
	}
	return (*l)(f.data, f.w, f.h, dst.Pix)
}
