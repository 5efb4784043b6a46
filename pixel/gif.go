package pixel

import (
	"compress/lzw"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// gifFile is a GIF file read up to the pixels of its first frame; nothing
// behind them is looked at, so it does not matter how many frames follow.
// image/gif is not used because it forgets the colour of transparent pixels,
// which convert("RGB") shows.
type gifFile struct {
	w, h        int // of the screen, enlarged where the frame sticks out
	x, y        int // of the frame on the screen
	fw, fh      int // of the frame
	interlaced  bool
	palette     [256][3]byte
	transparent int    // palette index, -1 without one
	litWidth    int    // bits of a pixel in the LZW stream
	blocks      []byte // data sub-blocks: length, bytes, …, 0
}

func openGIF(data []byte) (container, error) {
	f := &gifFile{transparent: -1}
	for i := range f.palette { // without a table, indices are shades of grey
		f.palette[i] = [3]byte{byte(i), byte(i), byte(i)}
	}
	truncated := fmt.Errorf("%w: GIF ends before its first frame", ErrTruncated)
	if len(data) < 13 {
		return nil, truncated
	}
	f.w, f.h = int(binary.LittleEndian.Uint16(data[6:])), int(binary.LittleEndian.Uint16(data[8:]))
	flags := data[10]
	rest, ok := f.readPalette(data[13:], flags)
	if !ok {
		return nil, truncated
	}
	for len(rest) > 0 {
		kind := rest[0]
		rest = rest[1:]
		switch kind {
		case 0: // padding that some writers leave
		case 0x3b: // trailer
			return nil, fmt.Errorf("%w: GIF without a frame", ErrCorrupt)
		case 0x21: // extension: label, sub-blocks
			if len(rest) < 2 {
				return nil, truncated
			}
			const graphicControl = 0xf9
			if rest[0] == graphicControl && rest[1] >= 4 && len(rest) >= 6 && rest[2]&1 != 0 {
				f.transparent = int(rest[5])
			}
			for rest = rest[1:]; len(rest) > 0 && rest[0] != 0; {
				rest = rest[min(1+int(rest[0]), len(rest)):]
			}
			if len(rest) == 0 {
				return nil, truncated
			}
			rest = rest[1:]
		case 0x2c: // frame
			if len(rest) < 10 {
				return nil, truncated
			}
			f.x, f.y = int(binary.LittleEndian.Uint16(rest)), int(binary.LittleEndian.Uint16(rest[2:]))
			f.fw, f.fh = int(binary.LittleEndian.Uint16(rest[4:])), int(binary.LittleEndian.Uint16(rest[6:]))
			flags := rest[8]
			f.interlaced = flags&0x40 != 0
			if rest, ok = f.readPalette(rest[9:], flags); !ok || len(rest) == 0 {
				return nil, truncated
			}
			f.litWidth, f.blocks = int(rest[0]), rest[1:]
			return f, f.validate()
		default:
			return nil, fmt.Errorf("%w: GIF block of type %#x", ErrCorrupt, kind)
		}
	}
	return nil, truncated
}

// readPalette reads a colour table where the flags announce one; colours beyond
// it are black.
func (f *gifFile) readPalette(b []byte, flags byte) (rest []byte, ok bool) {
	if flags&0x80 == 0 {
		return b, true
	}
	n := 2 << (flags & 7)
	if len(b) < 3*n {
		return nil, false
	}
	f.palette = [256][3]byte{}
	for i := range n {
		copy(f.palette[i][:], b[3*i:])
	}
	return b[3*n:], true
}

func (f *gifFile) validate() error {
	f.w, f.h = max(f.w, f.x+f.fw), max(f.h, f.y+f.fh)
	if f.fw == 0 || f.fh == 0 {
		return fmt.Errorf("%w: GIF frame of %d×%d pixels", ErrCorrupt, f.fw, f.fh)
	}
	if f.litWidth < 2 || f.litWidth > 8 {
		return fmt.Errorf("%w: GIF pixels of %d bits", ErrCorrupt, f.litWidth)
	}
	return nil
}

func (f *gifFile) info() Info {
	pixels := int64(f.w) * int64(f.h)
	info := Info{Format: GIF, Width: f.w, Height: f.h, Orientation: 1, Memory: rgbMemory(pixels, 1) + 64*int64(f.w)}
	if f.transparent >= 0 {
		info.AlphaMemory = pixels
	}
	return info
}

func (f *gifFile) decode(ctx context.Context, buf *buffer) (*RGB, error) {
	dst := buf.rgb(f.w, f.h)
	opacity := opaque
	if f.transparent >= 0 {
		buf.alphaOf(dst, 0)
		opacity[f.transparent] = 0
	}
	// Around the frame the screen shows the transparent colour, or colour 0.
	if f.fw != f.w || f.fh != f.h {
		ground := f.palette[max(f.transparent, 0)]
		for p := dst.Pix; len(p) >= 3; p = p[3:] {
			copy(p, ground[:])
		}
	}
	r := lzw.NewReader(&gifReader{ctx: ctx, b: f.blocks}, lzw.LSB, f.litWidth)
	defer r.Close()
	indices := make([]byte, f.fw)
	readRow := func(y int) error {
		if _, err := io.ReadFull(r, indices); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		paletteRow(dst.row(f.y + y)[3*f.x:], indices, &f.palette)
		if dst.A != nil {
			opacityRow(dst.alphaRow(f.y + y)[f.x:][:f.fw], indices, &opacity)
		}
		return nil
	}
	passes := [][2]int{{0, 1}}
	if f.interlaced {
		passes = [][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}}
	}
	for _, pass := range passes {
		for y := pass[0]; y < f.fh; y += pass[1] {
			if err := readRow(y); err != nil {
				return nil, err
			}
		}
	}
	return dst, nil
}

// gifReader joins the bodies of the sub-blocks in b, up to the empty one that
// ends them. It lives as long as the decode whose context it asks.
type gifReader struct {
	ctx  context.Context
	b    []byte
	left int // bytes left of the current sub-block
}

func (r *gifReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n := 0
	for n < len(p) {
		if r.left == 0 {
			if len(r.b) == 0 || r.b[0] == 0 {
				break
			}
			r.left, r.b = int(r.b[0]), r.b[1:]
		}
		m := copy(p[n:], r.b[:min(r.left, len(r.b))])
		if m == 0 {
			break
		}
		n, r.left, r.b = n+m, r.left-m, r.b[m:]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
