package pixel

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
)

// jpegFile is a JPEG file whose markers have been read. The entropy-coded data
// is image/jpeg's work; what to make of the planes that come out (upsampling,
// colour, inversion) follows libjpeg and Pillow and is ours.
type jpegFile struct {
	data        []byte
	w, h        int
	progressive bool
	components  []jpegComponent
	jfif        bool
	adobe       int // transform of the Adobe marker, -1 without one
	orientation int
	scans       int
	firstScan   int  // offset of the first SOS marker
	complete    bool // the end marker is there
}

// jpegComponent is one channel of the frame: its identifier and its sampling
// factors.
type jpegComponent struct {
	id   byte
	h, v int
}

const adobeUnknown, adobeNone = 0, -1

// adobeRaw is an Adobe marker that says "no colour transform".
var adobeRaw = []byte("\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00")

// openJPEG walks over all markers up to the end of the picture, so that the
// number of scans is known before the first is decoded.
func openJPEG(data []byte) (container, error) {
	f := &jpegFile{data: data, adobe: adobeNone, orientation: 1}
	exifSeen := false
	at := 2 // behind SOI
	for {
		next := bytes.IndexByte(data[at:], 0xff)
		if next < 0 {
			break
		}
		start := at + next
		for at = start + 1; at < len(data) && data[at] == 0xff; at++ { // fill bytes
		}
		if at == len(data) {
			break
		}
		marker := data[at]
		at++
		if marker == 0xd9 { // EOI
			if f.scans == 0 {
				return nil, fmt.Errorf("%w: JPEG without a scan", ErrCorrupt)
			}
			f.complete = true
			return f, nil
		}
		if marker <= 0x01 || marker >= 0xd0 && marker <= 0xd8 { // stuffed zero, TEM, RST, SOI: no segment
			continue
		}
		if at+2 > len(data) {
			break
		}
		n := int(binary.BigEndian.Uint16(data[at:]))
		if n < 2 {
			return nil, fmt.Errorf("%w: JPEG segment of length %d", ErrCorrupt, n)
		}
		if at+n > len(data) {
			at = len(data)
			break
		}
		segment := data[at+2 : at+n]
		at += n
		switch {
		case marker == 0xda: // SOS
			if f.components == nil {
				return nil, fmt.Errorf("%w: JPEG scan before its frame", ErrCorrupt)
			}
			if f.scans == 0 {
				f.firstScan = start
			}
			f.scans++
		case marker >= 0xc0 && marker <= 0xc2: // SOF: baseline, extended, progressive
			if err := f.readFrame(segment); err != nil {
				return nil, err
			}
			f.progressive = marker == 0xc2
		case marker >= 0xc3 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
			return nil, fmt.Errorf("%w: lossless, hierarchical or arithmetic-coded JPEG", ErrUnsupported)
		case marker == 0xe0 && bytes.HasPrefix(segment, []byte("JFIF\x00")):
			f.jfif = true
		case marker == 0xe1 && bytes.HasPrefix(segment, []byte("Exif\x00")) && !exifSeen:
			exifSeen = true
			f.orientation = exifOrientation(segment)
		case marker == 0xee && len(segment) >= 12 && bytes.HasPrefix(segment, []byte("Adobe")):
			f.adobe = int(segment[11])
		}
	}
	if f.scans == 0 {
		return nil, fmt.Errorf("%w: JPEG ends before its first scan", ErrTruncated)
	}
	return f, nil
}

func (f *jpegFile) readFrame(b []byte) error {
	if f.components != nil {
		return fmt.Errorf("%w: JPEG with two frames", ErrCorrupt)
	}
	if len(b) < 6 || len(b) < 6+3*int(b[5]) {
		return fmt.Errorf("%w: short JPEG frame header", ErrCorrupt)
	}
	if b[0] != 8 {
		return fmt.Errorf("%w: JPEG of %d bits", ErrUnsupported, b[0])
	}
	f.h, f.w = int(binary.BigEndian.Uint16(b[1:])), int(binary.BigEndian.Uint16(b[3:]))
	if f.w == 0 || f.h == 0 {
		return fmt.Errorf("%w: JPEG of %d×%d pixels", ErrCorrupt, f.w, f.h)
	}
	n := int(b[5])
	if n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("%w: JPEG of %d channels", ErrUnsupported, n)
	}
	for c := b[6:]; n > 0; n, c = n-1, c[3:] {
		comp := jpegComponent{id: c[0], h: int(c[1] >> 4), v: int(c[1] & 15)}
		if comp.h < 1 || comp.h > 4 || comp.v < 1 || comp.v > 4 {
			return fmt.Errorf("%w: JPEG sampling factor %d×%d", ErrCorrupt, comp.h, comp.v)
		}
		f.components = append(f.components, comp)
	}
	if len(f.components) == 1 { // a single channel has nothing to be relative to
		f.components[0].h, f.components[0].v = 1, 1
	}
	return nil
}

// maxSampling returns the largest sampling factors of the frame.
func (f *jpegFile) maxSampling() (h, v int) {
	for _, c := range f.components {
		h, v = max(h, c.h), max(v, c.v)
	}
	return h, v
}

func (f *jpegFile) info() Info {
	info := Info{Format: JPEG, Width: f.w, Height: f.h, Orientation: f.orientation, scans: f.scans}
	if f.orientation >= 5 {
		info.Width, info.Height = f.h, f.w
	}
	hMax, vMax := f.maxSampling()
	mcus := int64(ceilDiv(f.w, 8*hMax)) * int64(ceilDiv(f.h, 8*vMax))
	var samples int64
	for _, c := range f.components {
		samples += mcus * int64(64*c.h*c.v)
	}
	pixels := int64(f.w) * int64(f.h)
	info.Memory = samples + rgbMemory(pixels, f.orientation)
	if f.progressive {
		info.Memory += 4 * samples // image/jpeg keeps coefficients as int32
	}
	if len(f.components) == 4 || f.isRGB() {
		info.Memory += 4*pixels + samples // image/jpeg interleaves, planes takes apart
	}
	return info
}

// rgbMemory bounds what the result takes, a turned copy and small change
// included.
func rgbMemory(pixels int64, orientation int) int64 {
	n := 3*pixels + 256<<10
	if orientation >= 5 {
		n += 3 * pixels
	}
	return n
}

// isRGB tells whether three channels are red, green and blue: libjpeg's rule.
func (f *jpegFile) isRGB() bool {
	if len(f.components) != 3 || f.jfif {
		return false
	}
	if f.adobe != adobeNone {
		return f.adobe == adobeUnknown
	}
	c := f.components
	return c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B'
}

func (f *jpegFile) decode(ctx context.Context, dst *RGB) error {
	r := newReader(ctx, f.data)
	if len(f.components) == 4 {
		// image/jpeg converts four channels by the Adobe marker and with the
		// nearest chroma sample, and refuses them without one. Told that there
		// is no transform, it hands them out as they are.
		r = newReader(ctx, f.data[:f.firstScan], adobeRaw, f.data[f.firstScan:])
	}
	img, err := jpeg.Decode(r)
	if err != nil && !f.complete {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	planes, err := f.planes(img)
	if err != nil {
		return err
	}
	return f.convert(ctx, dst, planes)
}

// plane is one channel at its own resolution: of w × h samples, each of which
// covers xRatio × yRatio pixels.
type plane struct {
	pix            []byte
	stride         int
	w, h           int
	xRatio, yRatio int
}

func (p *plane) row(y int) []byte {
	return p.pix[y*p.stride:][:p.w]
}

// planes returns the channels of a decoded picture before any upsampling.
func (f *jpegFile) planes(img image.Image) ([]plane, error) {
	hMax, vMax := f.maxSampling()
	planes := make([]plane, len(f.components))
	for i, c := range f.components {
		if hMax%c.h != 0 || vMax%c.v != 0 {
			return nil, fmt.Errorf("%w: JPEG sampling ratio", ErrUnsupported)
		}
		planes[i] = plane{
			w: ceilDiv(f.w*c.h, hMax), h: ceilDiv(f.h*c.v, vMax),
			xRatio: hMax / c.h, yRatio: vMax / c.v,
		}
	}
	if b := img.Bounds(); b.Dx() != f.w || b.Dy() != f.h {
		return nil, fmt.Errorf("%w: JPEG frame changed its size", ErrCorrupt)
	}
	n := 0
	switch img := img.(type) {
	case *image.Gray:
		planes[0].pix, planes[0].stride = img.Pix, img.Stride
		n = 1
	case *image.YCbCr:
		if len(planes) == 3 {
			planes[0].pix, planes[0].stride = img.Y, img.YStride
			planes[1].pix, planes[1].stride = img.Cb, img.CStride
			planes[2].pix, planes[2].stride = img.Cr, img.CStride
		}
		n = 3
	case *image.RGBA:
		n = 3
		for i := range min(n, len(planes)) {
			planes[i].gather(img.Pix[i:], img.Stride, 0)
		}
	case *image.CMYK:
		n = 4
		for i := range min(n, len(planes)) {
			planes[i].gather(img.Pix[i:], img.Stride, 0xff) // image/jpeg inverted them
		}
	}
	if n != len(planes) {
		return nil, fmt.Errorf("%w: JPEG of %d channels decoded as %T", ErrCorrupt, len(planes), img)
	}
	return planes, nil
}

// gather takes a channel out of interleaved pixels of four bytes. Subsampled
// channels have been repeated there, so taking every xRatio-th sample of every
// yRatio-th row gives back the original.
func (p *plane) gather(pix []byte, stride int, invert byte) {
	p.pix, p.stride = make([]byte, p.w*p.h), p.w
	for y := range p.h {
		src := pix[y*p.yRatio*stride:]
		row := p.row(y)
		for x := range row {
			row[x] = src[4*x*p.xRatio] ^ invert
		}
	}
}

// convert upsamples the channels row by row and converts them to RGB.
func (f *jpegFile) convert(ctx context.Context, dst *RGB, planes []plane) error {
	// Rows that need no upsampling are used where they lie.
	var rows, scratch [4][]byte
	for i := range planes {
		if planes[i].xRatio > 1 || planes[i].yRatio > 1 {
			scratch[i] = make([]byte, planes[i].w*planes[i].xRatio)
		}
	}
	isRGB := f.isRGB()
	for y := range dst.H {
		if y%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for i := range planes {
			rows[i] = planes[i].upsampledRow(y, scratch[i])[:dst.W]
		}
		out := dst.row(y)
		switch {
		case len(planes) == 1:
			grayRow(out, rows[0])
		case len(planes) == 4:
			if f.adobe > adobeUnknown {
				ycckRow(out, rows[0], rows[1], rows[2], rows[3])
			} else {
				cmykRow(out, rows[0], rows[1], rows[2], rows[3])
			}
		case isRGB:
			rgbRow(out, rows[0], rows[1], rows[2])
		default:
			ycbcrRow(out, rows[0], rows[1], rows[2])
		}
	}
	return nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
