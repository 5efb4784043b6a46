package pixel

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

// JPEG (ITU-T T.81), as libjpeg decodes it: its integer inverse transform, its
// upsampling and its colours, so that the pixels are those that models were
// trained on. image/jpeg is not used: its transform and its nearest-neighbour
// chroma give other pixels, and it does not read restart markers in scans of a
// single subsampled channel.
//
//	jpeg.go         markers, the frame, from planes to RGB
//	jpeg_scan.go    scans: entropy-coded data to coefficients
//	jpeg_bits.go    bits and Huffman codes
//	jpeg_idct.go    coefficients to samples

// The markers that matter.
const (
	markerSOF0 = 0xc0 // baseline
	markerSOF2 = 0xc2 // progressive
	markerDHT  = 0xc4
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerDQT  = 0xdb
	markerDRI  = 0xdd
	markerAPP0 = 0xe0
)

// jpegMarkers walks over the markers of a file.
type jpegMarkers struct {
	data []byte
	at   int
}

// next returns the next marker and its segment. It passes over entropy-coded
// data and, like libjpeg, over bytes that belong to nothing.
func (m *jpegMarkers) next() (marker byte, segment []byte, err error) {
	for {
		skip := bytes.IndexByte(m.data[m.at:], 0xff)
		if skip < 0 {
			break
		}
		for m.at += skip + 1; m.at < len(m.data) && m.data[m.at] == 0xff; m.at++ { // fill bytes
		}
		if m.at == len(m.data) {
			break
		}
		marker := m.data[m.at]
		m.at++
		if marker == markerEOI {
			return marker, nil, nil
		}
		if marker <= 0x01 || marker >= 0xd0 && marker <= markerSOI { // stuffed zero, TEM, RST, SOI: no segment
			continue
		}
		if len(m.data)-m.at < 2 {
			break
		}
		n := int(binary.BigEndian.Uint16(m.data[m.at:]))
		if n < 2 {
			return 0, nil, fmt.Errorf("%w: JPEG segment of length %d", ErrCorrupt, n)
		}
		if len(m.data)-m.at < n {
			break
		}
		segment := m.data[m.at+2 : m.at+n]
		m.at += n
		return marker, segment, nil
	}
	m.at = len(m.data)
	return 0, nil, fmt.Errorf("%w: JPEG without its end", ErrTruncated)
}

// scanData returns the entropy-coded data that follows a scan's header, restart
// markers included.
func (m *jpegMarkers) scanData() []byte {
	start := m.at
	for {
		skip := bytes.IndexByte(m.data[m.at:], 0xff)
		if skip < 0 || m.at+skip+1 == len(m.data) {
			m.at = len(m.data)
			break
		}
		m.at += skip
		if b := m.data[m.at+1]; b != 0 && b != 0xff && (b < 0xd0 || b > 0xd7) {
			break
		}
		m.at++
	}
	return m.data[start:m.at]
}

// jpegFile is a JPEG file whose markers have been read.
type jpegFile struct {
	data        []byte
	w, h        int
	progressive bool
	components  []jpegComponent
	hMax, vMax  int // largest sampling factors
	jfif        bool
	adobe       int // transform of the Adobe marker, -1 without one
	orientation int
	scans       int
	complete    bool // the end marker is there
}

// jpegComponent is one channel of the frame.
type jpegComponent struct {
	id    byte
	h, v  int // sampling factors
	quant int // number of its quantisation table
}

const adobeUnknown, adobeNone = 0, -1

// openJPEG walks over all markers up to the end of the picture, so that the
// number of scans is known before the first is decoded.
func openJPEG(data []byte) (container, error) {
	f := &jpegFile{data: data, adobe: adobeNone, orientation: 1}
	exifSeen := false
	for markers := (jpegMarkers{data: data, at: 2}); ; {
		marker, segment, err := markers.next()
		if err != nil {
			if markers.at == len(data) && f.scans > 0 {
				return f, nil // the headers are whole; decode says that the rest is not
			}
			return nil, err
		}
		switch {
		case marker == markerEOI:
			if f.scans == 0 {
				return nil, fmt.Errorf("%w: JPEG without a scan", ErrCorrupt)
			}
			f.complete = true
			return f, nil
		case marker == markerSOS:
			if f.components == nil {
				return nil, fmt.Errorf("%w: JPEG scan before its frame", ErrCorrupt)
			}
			f.scans++
		case marker >= markerSOF0 && marker <= markerSOF2:
			if err := f.readFrame(segment); err != nil {
				return nil, err
			}
			f.progressive = marker == markerSOF2
		case marker > markerSOF2 && marker <= 0xcf && marker != markerDHT && marker != 0xc8 && marker != 0xcc:
			return nil, fmt.Errorf("%w: lossless, hierarchical or arithmetic-coded JPEG", ErrUnsupported)
		case marker == markerAPP0 && bytes.HasPrefix(segment, []byte("JFIF\x00")):
			f.jfif = true
		case marker == markerAPP0+1 && bytes.HasPrefix(segment, []byte("Exif\x00")) && !exifSeen:
			exifSeen = true
			f.orientation = exifOrientation(segment)
		case marker == markerAPP0+14 && len(segment) >= 12 && bytes.HasPrefix(segment, []byte("Adobe")):
			f.adobe = int(segment[11])
		}
	}
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
	for b = b[6:]; n > 0; n, b = n-1, b[3:] {
		c := jpegComponent{id: b[0], h: int(b[1] >> 4), v: int(b[1] & 15), quant: int(b[2])}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quant > 3 {
			return fmt.Errorf("%w: JPEG channel with sampling %d×%d, quantisation table %d", ErrCorrupt, c.h, c.v, c.quant)
		}
		if slices.ContainsFunc(f.components, func(o jpegComponent) bool { return o.id == c.id }) {
			return fmt.Errorf("%w: JPEG channel %d occurs twice", ErrCorrupt, c.id)
		}
		f.components = append(f.components, c)
	}
	if len(f.components) == 1 { // a single channel has nothing to be relative to
		f.components[0].h, f.components[0].v = 1, 1
	}
	for _, c := range f.components {
		f.hMax, f.vMax = max(f.hMax, c.h), max(f.vMax, c.v)
	}
	for _, c := range f.components {
		if f.hMax%c.h != 0 || f.vMax%c.v != 0 {
			return fmt.Errorf("%w: JPEG sampling %d×%d of %d×%d", ErrUnsupported, c.h, c.v, f.hMax, f.vMax)
		}
	}
	return nil
}

// mcus returns the size of the picture in minimum coded units: the rectangles
// that hold a whole number of 8 × 8 blocks of every channel.
func (f *jpegFile) mcus() (w, h int) {
	return ceilDiv(f.w, 8*f.hMax), ceilDiv(f.h, 8*f.vMax)
}

// samples returns the bytes of all planes together.
func (f *jpegFile) samples() int {
	w, h := f.mcus()
	n := 0
	for _, c := range f.components {
		n += w * h * 64 * c.h * c.v
	}
	return n
}

func (f *jpegFile) info() Info {
	info := Info{Format: JPEG, Width: f.w, Height: f.h, Orientation: f.orientation, scans: f.scans}
	if f.orientation >= 5 {
		info.Width, info.Height = f.h, f.w
	}
	samples := int64(f.samples())
	info.Memory = samples + rgbMemory(int64(f.w)*int64(f.h), f.orientation)
	if f.progressive {
		info.Memory += 2 * samples // coefficients
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

func (f *jpegFile) decode(ctx context.Context, buf *buffer) (*RGB, error) {
	if !f.complete {
		return nil, fmt.Errorf("%w: JPEG without its end", ErrTruncated)
	}
	dst := buf.rgb(f.w, f.h)
	if f.byLibrary(dst) {
		return dst, nil
	}
	memory := getBuffer()
	defer putBuffer(memory)
	planes := f.planes(memory.grow(f.samples()))
	if err := decodeScans(ctx, f, planes); err != nil {
		return nil, err
	}
	f.convert(dst, planes)
	return dst, nil
}

// plane is one channel at its own resolution: w × h samples, each of which
// covers xRatio × yRatio pixels. The memory holds whole blocks beyond that.
type plane struct {
	pix            []byte
	stride         int
	w, h           int
	xRatio, yRatio int
}

func (p *plane) row(y int) []byte {
	return p.pix[y*p.stride:][:p.w]
}

// planes cuts the memory of all samples into planes.
func (f *jpegFile) planes(memory []byte) []plane {
	mcusX, mcusY := f.mcus()
	planes := make([]plane, len(f.components))
	for i, c := range f.components {
		stride, rows := mcusX*c.h*8, mcusY*c.v*8
		planes[i] = plane{
			pix: memory[:stride*rows], stride: stride,
			w: ceilDiv(f.w*c.h, f.hMax), h: ceilDiv(f.h*c.v, f.vMax),
			xRatio: f.hMax / c.h, yRatio: f.vMax / c.v,
		}
		memory = memory[stride*rows:]
	}
	return planes
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

// convert upsamples the channels row by row and converts them to RGB.
func (f *jpegFile) convert(dst *RGB, planes []plane) {
	// Rows that need no upsampling are used where they lie.
	var rows, scratch [4][]byte
	for i := range planes {
		if planes[i].xRatio > 1 || planes[i].yRatio > 1 {
			scratch[i] = make([]byte, planes[i].w*planes[i].xRatio)
		}
	}
	isRGB := f.isRGB()
	for y := range dst.H {
		for i := range planes {
			rows[i] = planes[i].upsampledRow(y, scratch[i])[:dst.W]
		}
		out := dst.row(y)
		switch {
		case len(planes) == 1:
			grayRow(out, rows[0])
		case len(planes) == 4 && f.adobe > adobeUnknown:
			ycckRow(out, rows[0], rows[1], rows[2], rows[3])
		case len(planes) == 4:
			cmykRow(out, rows[0], rows[1], rows[2], rows[3])
		case isRGB:
			rgbRow(out, rows[0], rows[1], rows[2])
		default:
			ycbcrRow(out, rows[0], rows[1], rows[2])
		}
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
