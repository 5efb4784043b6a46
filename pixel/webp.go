package pixel

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"
)

// webpFile is a WebP file whose chunks have been found; of an animation the first
// frame is taken.
type webpFile struct {
	w, h        int    // of the canvas
	x, y        int    // of the frame on the canvas
	frame       []byte // the bitstream
	cut         bool   // it is incomplete
	fw, fh      int    // its size
	lossless    bool
	extended    bool   // there is a VP8X chunk
	alpha       bool   // the file says that it has opacities
	frameAlpha  bool   // the frame has them
	alph        []byte // those of a lossy frame
	orientation int
}

// openWebP walks over the chunks of the RIFF container. x/image/webp is not
// used because it reads no animations and decodes alpha that nobody asks
// for; its bitstream decoders are.
func openWebP(data []byte) (container, error) {
	f := &webpFile{orientation: 1}
	chunks := riffChunks{rest: data[12:]}
	if n := int64(binary.LittleEndian.Uint32(data[4:])) + 8; n < int64(len(data)) {
		chunks.rest = data[12:max(n, 12)] // what follows is not of the picture
	} else {
		chunks.cut = n > int64(len(data))
	}
	for chunks.next() {
		var err error
		switch body := chunks.body; {
		case chunks.kind == "EXIF": // usually behind the pixels
			f.orientation = exifOrientation(body)
		case f.frame != nil: // further frames
		case chunks.kind == "VP8X":
			if chunks.cut {
				return nil, fmt.Errorf("%w: WebP ends within its header", ErrTruncated)
			}
			if len(body) < 10 {
				return nil, fmt.Errorf("%w: short WebP header", ErrCorrupt)
			}
			f.w, f.h = 1+uint24(body[4:]), 1+uint24(body[7:])
			f.extended, f.alpha = true, body[0]&0x10 != 0
		case chunks.kind == "ALPH":
			f.alph = body
		case chunks.kind == "VP8 " || chunks.kind == "VP8L":
			err = f.readFrame(chunks)
		case chunks.kind == "ANMF":
			err = f.readAnimationFrame(chunks)
		}
		if err != nil {
			return nil, err
		}
	}
	if f.frame == nil {
		if chunks.cut {
			return nil, fmt.Errorf("%w: WebP ends before its first frame", ErrTruncated)
		}
		return nil, fmt.Errorf("%w: WebP without a frame", ErrCorrupt)
	}
	if f.x+f.fw > f.w || f.y+f.fh > f.h {
		return nil, fmt.Errorf("%w: WebP frame of %d×%d pixels on a canvas of %d×%d", ErrCorrupt, f.fw, f.fh, f.w, f.h)
	}
	return f, nil
}

// readAnimationFrame reads a frame of an animation: its place, then chunks as
// in a file of one picture.
func (f *webpFile) readAnimationFrame(chunk riffChunks) error {
	const headerSize = 16
	body := chunk.body
	if len(body) < headerSize {
		return fmt.Errorf("%w: short WebP frame", ErrCorrupt)
	}
	x, y := 2*uint24(body), 2*uint24(body[3:])
	w, h := 1+uint24(body[6:]), 1+uint24(body[9:])
	canvasW, canvasH := f.w, f.h
	for chunks := (riffChunks{rest: body[headerSize:]}); f.frame == nil && chunks.next(); {
		switch chunks.kind {
		case "ALPH":
			f.alph = chunks.body
		case "VP8 ", "VP8L":
			f.w, f.h = w, h // what the bitstream must agree with
			if err := f.readFrame(chunks); err != nil {
				return err
			}
		}
	}
	if f.frame == nil {
		return fmt.Errorf("%w: WebP frame without pixels", ErrCorrupt)
	}
	f.x, f.y, f.w, f.h = x, y, canvasW, canvasH
	return nil
}

// readFrame reads the size from a bitstream's header. Where the container told
// one (f.w is set), both must agree.
func (f *webpFile) readFrame(chunk riffChunks) error {
	b := chunk.body
	if chunk.kind == "VP8 " {
		if len(b) < 10 {
			return fmt.Errorf("%w: WebP ends within a frame header", ErrTruncated)
		}
		const keyFrame, startCode = 0, "\x9d\x01\x2a"
		if b[0]&1 != keyFrame || string(b[3:6]) != startCode {
			return fmt.Errorf("%w: WebP frame header", ErrCorrupt)
		}
		f.fw, f.fh = int(binary.LittleEndian.Uint16(b[6:])&0x3fff), int(binary.LittleEndian.Uint16(b[8:])&0x3fff)
		f.frameAlpha = f.alph != nil
	} else {
		if len(b) < 5 {
			return fmt.Errorf("%w: WebP ends within a frame header", ErrTruncated)
		}
		if b[0] != 0x2f {
			return fmt.Errorf("%w: WebP frame header", ErrCorrupt)
		}
		bits := binary.LittleEndian.Uint32(b[1:])
		f.fw, f.fh = 1+int(bits&0x3fff), 1+int(bits>>14&0x3fff)
		f.lossless = true
		f.frameAlpha = bits>>28&1 != 0
	}
	if f.fw == 0 || f.fh == 0 {
		return fmt.Errorf("%w: WebP of %d×%d pixels", ErrCorrupt, f.fw, f.fh)
	}
	if f.w == 0 {
		f.w, f.h = f.fw, f.fh
	}
	if f.w != f.fw || f.h != f.fh {
		return fmt.Errorf("%w: WebP frame of %d×%d pixels announced as %d×%d", ErrCorrupt, f.fw, f.fh, f.w, f.h)
	}
	if !f.extended {
		f.alpha = f.frameAlpha
	}
	f.frame, f.cut = b, chunk.cut
	return nil
}

func (f *webpFile) info() Info {
	info := Info{Format: WebP, Width: f.w, Height: f.h, Orientation: f.orientation}
	if f.orientation >= 5 {
		info.Width, info.Height = f.h, f.w
	}
	blocks := int64(ceilDiv(f.fw, 16)) * int64(ceilDiv(f.fh, 16))
	memory := 16*16*blocks*3/2 + 16*blocks + int64(len(f.frame)) // planes, filter strengths, partitions
	if f.lossless {
		// Four bytes a pixel, once more for the colour-indexing transform, and
		// smaller images of transforms and code groups. The codes themselves
		// are left out: they take little, but a file made to harm can define
		// 65,536 groups of 3 KB at 2.5 bytes each.
		memory = 12*int64(f.fw)*int64(f.fh) + 1<<20
	}
	info.Memory = memory + rgbMemory(int64(f.w)*int64(f.h), f.orientation)
	if f.alpha {
		info.AlphaMemory = alphaMemory(f.w, f.h, f.orientation)
	}
	if f.alpha && f.alph != nil { // a lossless picture, and a copy of its green
		info.AlphaMemory += 13*int64(f.fw)*int64(f.fh) + 1<<20
	}
	return info
}

func (f *webpFile) decode(ctx context.Context, buf *buffer) (*RGB, error) {
	if f.cut {
		return nil, fmt.Errorf("%w: WebP ends within its first frame", ErrTruncated)
	}
	dst := buf.rgb(f.w, f.h)
	if f.fw != f.w || f.fh != f.h {
		clear(dst.Pix) // the canvas around the frame is transparent black
	}
	if f.alpha {
		buf.alphaOf(dst, 0)
	}
	if dst.A != nil && !f.frameAlpha {
		for y := range f.fh {
			copy(f.alphaRow(dst, y), bytes.Repeat([]byte{255}, f.fw))
		}
	}
	if f.lossless {
		return dst, f.decodeLossless(ctx, dst)
	}
	return dst, f.decodeLossy(ctx, dst)
}

func (f *webpFile) decodeLossless(ctx context.Context, dst *RGB) error {
	img, err := vp8l.Decode(&contextReader{ctx, f.frame})
	if err != nil {
		return err
	}
	m, ok := img.(*image.NRGBA)
	if !ok || m.Rect.Dx() != f.fw || m.Rect.Dy() != f.fh {
		return fmt.Errorf("%w: WebP decoded as %T", ErrCorrupt, img)
	}
	for y := range f.fh {
		takeChannels(f.frameRow(dst, y), m.Pix[y*m.Stride:], 4, 0, 1, 2)
		if dst.A != nil && f.frameAlpha {
			takeAlpha(f.alphaRow(dst, y), m.Pix[y*m.Stride:], 4, 3)
		}
	}
	return nil
}

func (f *webpFile) decodeLossy(ctx context.Context, dst *RGB) error {
	d := vp8.NewDecoder()
	d.Init(&contextReader{ctx, f.frame}, len(f.frame))
	if _, err := d.DecodeFrameHeader(); err != nil {
		return err
	}
	m, err := d.DecodeFrame()
	if err != nil {
		return err
	}
	cb := plane{pix: m.Cb, stride: m.CStride, w: ceilDiv(f.fw, 2), h: ceilDiv(f.fh, 2), xRatio: 2, yRatio: 2}
	cr := cb
	cr.pix = m.Cr
	u, v := make([]byte, f.fw), make([]byte, f.fw)
	for y := range f.fh {
		upsampleVP8(u, cb.row(y/2), cb.far(y), f.fw)
		upsampleVP8(v, cr.row(y/2), cr.far(y), f.fw)
		vp8Row(f.frameRow(dst, y), m.Y[y*m.YStride:][:f.fw], u, v)
	}
	if dst.A == nil || !f.frameAlpha {
		return nil
	}
	alpha, err := decodeALPH(ctx, f.alph, f.fw, f.fh)
	if err != nil {
		return err
	}
	for y := range f.fh {
		copy(f.alphaRow(dst, y), alpha[y*f.fw:])
	}
	return nil
}

// frameRow returns the part of the canvas that row y of the frame covers.
func (f *webpFile) frameRow(dst *RGB, y int) []byte {
	return dst.row(f.y + y)[3*f.x:][:3*f.fw]
}

// alphaRow is frameRow for the opacities.
func (f *webpFile) alphaRow(dst *RGB, y int) []byte {
	return dst.alphaRow(f.y + y)[f.x:][:f.fw]
}

// riffChunks iterates over chunks: kind, length, body, padding to even.
type riffChunks struct {
	rest []byte
	kind string
	body []byte
	cut  bool // the last body is shorter than announced
}

func (c *riffChunks) next() bool {
	if len(c.rest) < 8 {
		return false
	}
	n := int64(binary.LittleEndian.Uint32(c.rest[4:]))
	c.kind, c.rest = string(c.rest[:4]), c.rest[8:]
	if n > int64(len(c.rest)) {
		c.cut = true
		n = int64(len(c.rest))
	}
	c.body = c.rest[:n]
	c.rest = c.rest[min(n+n&1, int64(len(c.rest))):]
	return true
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
