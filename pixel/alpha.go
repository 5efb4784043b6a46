package pixel

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"io"

	"golang.org/x/image/vp8l"
)

// Lend decodes a picture into memory that is used again, and lends it to use,
// which must keep nothing of it. With alpha it keeps the opacity of the pixels in
// A, and takes Info.AlphaMemory beside Info.Memory; the limit of memory is for both.
func Lend(ctx context.Context, data []byte, limits Limits, alpha bool, use func(*RGB, Info) error) (Info, error) {
	buf := getBuffer()
	defer putBuffer(buf)
	buf.alpha = alpha
	img, info, err := decodeInto(ctx, data, limits, buf)
	if err != nil {
		return info, err
	}
	return info, use(img, info)
}

// alphaOf gives a picture opacities to fill, all the same at first.
func (b *buffer) alphaOf(m *RGB, first byte) {
	if !b.alpha {
		return
	}
	m.A = make([]byte, m.W*m.H)
	for i := range m.A {
		m.A[i] = first
	}
}

// alphaMemory bounds what opacities take, a turned copy included.
func alphaMemory(w, h, orientation int) int64 {
	n := int64(w) * int64(h)
	if orientation >= 2 {
		n *= 2
	}
	return n
}

// alphaRow returns the opacities of row y; none where there are none.
func (m *RGB) alphaRow(y int) []byte {
	if m.A == nil {
		return nil
	}
	return m.A[y*m.W : (y+1)*m.W]
}

// opaque are the opacities of a palette without transparent colours.
var opaque = func() (all [256]byte) {
	for i := range all {
		all[i] = 255
	}
	return all
}()

func opacityRow(dst, indices []byte, opacity *[256]byte) {
	for i := range dst {
		dst[i] = opacity[indices[i]]
	}
}

// takeAlpha copies the opacities out of pixels of size bytes.
func takeAlpha(dst, src []byte, size, at int) {
	for i := range dst {
		dst[i] = src[i*size+at]
	}
}

// orientAlpha returns the opacities of a picture of w × h turned as EXIF
// orientation o asks for.
func orientAlpha(a []byte, w, h, o int) []byte {
	if a == nil || o <= 1 {
		return a
	}
	outW, outH := w, h
	if o >= 5 {
		outW, outH = h, w
	}
	out := make([]byte, len(a))
	for y := range outH {
		for x := range outW {
			sx, sy := x, y
			if o >= 5 {
				sx, sy = y, x
			}
			if o == 2 || o == 3 || o == 7 || o == 8 {
				sx = w - 1 - sx
			}
			if o == 3 || o == 4 || o == 6 || o == 7 {
				sy = h - 1 - sy
			}
			out[y*outW+x] = a[sy*w+sx]
		}
	}
	return out
}

// decodeALPH reads the opacities of a lossy WebP frame: a byte that tells how
// they are written, then a byte for each pixel, plain or as the green of a
// lossless picture.
func decodeALPH(ctx context.Context, b []byte, w, h int) ([]byte, error) {
	if len(b) < 1 {
		return nil, fmt.Errorf("%w: empty WebP alpha", ErrTruncated)
	}
	how, b := b[0], b[1:]
	alpha := make([]byte, w*h)
	switch how & 3 {
	case 0:
		if len(b) < len(alpha) {
			return nil, fmt.Errorf("%w: WebP alpha of %d bytes for %d×%d pixels", ErrTruncated, len(b), w, h)
		}
		copy(alpha, b)
	case 1:
		// The header that such data lack.
		bits := uint32(w-1) | uint32(h-1)<<14
		header := []byte{0x2f, byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)}
		img, err := vp8l.Decode(io.MultiReader(bytes.NewReader(header), &contextReader{ctx, b}))
		if err != nil {
			return nil, err
		}
		m, ok := img.(*image.NRGBA)
		if !ok || m.Rect.Dx() != w || m.Rect.Dy() != h {
			return nil, fmt.Errorf("%w: WebP alpha decoded as %T", ErrCorrupt, img)
		}
		for y := range h {
			takeAlpha(alpha[y*w:][:w], m.Pix[y*m.Stride:], 4, 1)
		}
	default:
		return nil, fmt.Errorf("%w: WebP alpha of compression %d", ErrCorrupt, how&3)
	}
	unfilterAlpha(alpha, w, int(how>>2&3))
	return alpha, nil
}

// unfilterAlpha adds what each pixel was predicted to be: by its left, its upper,
// or both neighbours; the first row by the left, the first column by the upper.
func unfilterAlpha(a []byte, w, filter int) {
	if filter == 0 {
		return
	}
	for x := 1; x < w; x++ {
		a[x] += a[x-1]
	}
	for at := w; at < len(a); at += w {
		up, row := a[at-w:at], a[at:at+w]
		row[0] += up[0]
		for x := 1; x < w; x++ {
			switch filter {
			case 1:
				row[x] += row[x-1]
			case 2:
				row[x] += up[x]
			case 3:
				row[x] += byte(max(0, min(255, int(row[x-1])+int(up[x])-int(up[x-1]))))
			}
		}
	}
}
