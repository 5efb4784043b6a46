package pixel

import (
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// pngFile is a PNG file whose header chunk has been read.
type pngFile struct {
	data        []byte
	w, h        int
	memory      int64
	orientation int
	alpha       bool
	complete    bool // the end chunk is there
}

func openPNG(data []byte) (container, error) {
	f := &pngFile{data: data, orientation: 1}
	rest := data[len(pngSignature):]
	for len(rest) >= 8 { // a chunk is length, type, body, checksum
		n, kind := int(binary.BigEndian.Uint32(rest)), string(rest[4:8])
		rest = rest[8:]
		if f.w == 0 && (kind != "IHDR" || n != 13) {
			return nil, fmt.Errorf("%w: PNG without a header", ErrCorrupt)
		}
		if n < 0 || len(rest)-4 < n {
			break
		}
		body := rest[:n]
		rest = rest[n+4:]
		switch {
		case f.w == 0:
			if err := f.readHeader(body); err != nil {
				return nil, err
			}
		case kind == "tRNS":
			f.alpha = true
		case kind == "eXIf":
			f.orientation = exifOrientation(body)
		case kind == "IEND":
			f.complete = true
			return f, nil
		}
	}
	if f.w == 0 {
		return nil, fmt.Errorf("%w: PNG ends within its header", ErrTruncated)
	}
	return f, nil
}

func (f *pngFile) readHeader(b []byte) error {
	w, h := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if w == 0 || h == 0 || w > 1<<31-1 || h > 1<<31-1 {
		return fmt.Errorf("%w: PNG of %d×%d pixels", ErrCorrupt, w, h)
	}
	f.w, f.h = int(w), int(h)
	// What image/png makes of it: at most four channels of this depth; when
	// interlaced there are parts of it beside the whole.
	bytesPerPixel := int64(4)
	if b[8] == 16 { // bits a channel
		bytesPerPixel = 8
	}
	if b[12] != 0 { // interlaced
		bytesPerPixel *= 2
	}
	pixels := int64(f.w) * int64(f.h)
	if pixels > 1<<40 { // no limit that anybody sets is beyond; keeps the sums in range
		return fmt.Errorf("%w: PNG of %d×%d pixels", ErrTooLarge, w, h)
	}
	f.memory = pixels * bytesPerPixel
	f.alpha = b[9]&4 != 0 // the colour type
	return nil
}

func (f *pngFile) info() Info {
	info := Info{Format: PNG, Width: f.w, Height: f.h, Orientation: f.orientation}
	if f.orientation >= 5 {
		info.Width, info.Height = f.h, f.w
	}
	small := 64*int64(f.w) + int64(len(f.data)) // rows, decompression tables
	info.Memory = f.memory + small + rgbMemory(int64(f.w)*int64(f.h), f.orientation)
	if f.alpha {
		info.AlphaMemory = alphaMemory(f.w, f.h, f.orientation)
	}
	return info
}

func (f *pngFile) decode(ctx context.Context, buf *buffer) (*RGB, error) {
	if !f.complete {
		return nil, fmt.Errorf("%w: PNG without its end", ErrTruncated)
	}
	img, err := png.Decode(&contextReader{ctx, f.data})
	if err != nil {
		return nil, err
	}
	if img.Bounds() != image.Rect(0, 0, f.w, f.h) {
		return nil, fmt.Errorf("%w: PNG changed its size", ErrCorrupt)
	}
	dst := buf.rgb(f.w, f.h)
	if f.alpha {
		buf.alphaOf(dst, 255)
	}
	for y := range dst.H {
		out, alpha := dst.row(y), dst.alphaRow(y)
		switch img := img.(type) {
		case *image.Gray:
			grayRow(out, img.Pix[y*img.Stride:][:dst.W])
		case *image.Gray16:
			takeChannels(out, img.Pix[y*img.Stride:], 2, 0, 0, 0)
		case *image.RGBA:
			takeChannels(out, img.Pix[y*img.Stride:], 4, 0, 1, 2)
		case *image.NRGBA:
			takeChannels(out, img.Pix[y*img.Stride:], 4, 0, 1, 2)
			takeAlpha(alpha, img.Pix[y*img.Stride:], 4, 3)
		case *image.RGBA64:
			takeChannels(out, img.Pix[y*img.Stride:], 8, 0, 2, 4)
		case *image.NRGBA64:
			takeChannels(out, img.Pix[y*img.Stride:], 8, 0, 2, 4)
			takeAlpha(alpha, img.Pix[y*img.Stride:], 8, 6)
		case *image.Paletted:
			var palette [256][3]byte
			opacity := opaque
			for i, c := range img.Palette[:min(len(img.Palette), 256)] {
				switch c := c.(type) { // alpha is dropped, the colour beneath it kept
				case color.RGBA:
					palette[i] = [3]byte{c.R, c.G, c.B}
				case color.NRGBA:
					palette[i], opacity[i] = [3]byte{c.R, c.G, c.B}, c.A
				}
			}
			paletteRow(out, img.Pix[y*img.Stride:][:dst.W], &palette)
			opacityRow(alpha, img.Pix[y*img.Stride:], &opacity)
		default:
			return nil, fmt.Errorf("%w: PNG decoded as %T", ErrUnsupported, img)
		}
	}
	return dst, nil
}

// takeChannels copies red, green and blue out of pixels of size bytes; of
// channels of 16 bits, stored high byte first, the high byte.
func takeChannels(dst, src []byte, size, r, g, b int) {
	src = src[:len(dst)/3*size]
	for len(dst) >= 3 && len(src) >= size {
		dst[0], dst[1], dst[2] = src[r], src[g], src[b]
		dst, src = dst[3:], src[size:]
	}
}

func paletteRow(dst, indices []byte, palette *[256][3]byte) {
	dst = dst[:3*len(indices)]
	for i, index := range indices {
		copy(dst[3*i:3*i+3], palette[index][:])
	}
}
