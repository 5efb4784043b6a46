// Package pixel turns the bytes of a picture into the tensor that a model
// reads: decode, orient, resize, crop, normalise. The reference is Pillow: a
// picture goes the way of
//
//	ImageOps.exif_transpose(Image.open(f)).convert("RGB").resize(...)
//
// and comes out the same in every pixel, because models are trained on what
// Pillow shows them, and they do notice another filter or another chroma.
// (Pillow 13 with libjpeg-turbo 3 and libwebp 1; the tests hold the digests.)
//
// JPEG (baseline and progressive; grey, YCbCr, RGB, CMYK, YCCK), PNG, WebP
// (lossy, lossless) and GIF are read; of an animation the first frame. Alpha
// is dropped, as convert("RGB") does, unless Lend is asked for it. Two differences from Pillow are wanted: a
// grey PNG of 16 bits is reduced to its high byte, where Pillow clips every
// value above 255 to white; and data that break off or make no sense are an
// error, where libjpeg would paint the rest grey.
//
// Pictures come from strangers. The format is told from the first bytes, the
// size is read and held against Limits before memory is taken, a decoder's
// panic becomes ErrCorrupt, and a context ends a decode in the middle.
//
// All functions may be called from several goroutines at once.
package pixel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
)

// The errors of DecodeConfig, Decode and the tensor methods wrap one of these,
// or are the context's error.
var (
	// ErrFormat: the first bytes are of no known picture format.
	ErrFormat = errors.New("not a JPEG, PNG, WebP or GIF picture")
	// ErrUnsupported: a known format, but a rare kind of it that is not read,
	// such as an arithmetic-coded JPEG.
	ErrUnsupported = errors.New("unsupported kind of picture")
	// ErrTruncated: the data ends before the picture does.
	ErrTruncated = errors.New("truncated picture")
	// ErrCorrupt: the data breaks its format's rules.
	ErrCorrupt = errors.New("corrupt picture")
	// ErrTooLarge: the picture is beyond a limit, or what was asked to be made
	// of it is.
	ErrTooLarge = errors.New("picture too large")
)

// Format is a picture file format.
type Format uint8

// The formats that Decode reads.
const (
	JPEG Format = iota + 1
	PNG
	WebP
	GIF
)

// String returns the name of the format, such as "JPEG".
func (f Format) String() string {
	switch f {
	case JPEG:
		return "JPEG"
	case PNG:
		return "PNG"
	case WebP:
		return "WebP"
	case GIF:
		return "GIF"
	}
	return "unknown"
}

// Sniff tells the format from the first bytes; 0 when they are of none that
// is read. Whatever else a file pretends to be further on, the first bytes
// decide.
func Sniff(data []byte) Format {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return JPEG
	case bytes.HasPrefix(data, []byte(pngSignature)):
		return PNG
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return WebP
	case bytes.HasPrefix(data, []byte("GIF87a")), bytes.HasPrefix(data, []byte("GIF89a")):
		return GIF
	}
	return 0
}

// Info is what the headers say about a picture.
type Info struct {
	Format Format
	// Width and Height in pixels, as shown: after the orientation is applied.
	Width, Height int
	// Orientation as EXIF numbers it, 1 to 8; 1 = as stored.
	Orientation int
	// Memory is how many bytes Decode holds at most, the result included: what
	// an admission control would count. (Lossless WebP made to harm can take
	// up to 200 MB more.)
	Memory int64
	// AlphaMemory is what Lend holds beside when it is asked for opacities; 0 for a picture that has no
	// alpha.
	AlphaMemory int64

	// scans is the number of passes over the picture (progressive JPEG).
	scans int
}

// Limits bound what Decode takes on. A zero field stands for its default.
type Limits struct {
	MaxBytes  int   // of the encoded data; default 32 MiB
	MaxPixels int   // width times height; default 64 Mi (8192 × 8192)
	MaxSide   int   // width or height; default 32,767
	MaxMemory int64 // bytes allocated while decoding (Info.Memory); default 512 MiB
	MaxScans  int   // passes of a progressive JPEG; default 100 (encoders write about 10)
}

// The defaults of Limits.
const (
	DefaultMaxBytes  = 32 << 20
	DefaultMaxPixels = 64 << 20
	DefaultMaxSide   = 1<<15 - 1
	DefaultMaxMemory = 512 << 20
	DefaultMaxScans  = 100
)

func (l Limits) withDefaults() Limits {
	if l.MaxBytes == 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	if l.MaxPixels == 0 {
		l.MaxPixels = DefaultMaxPixels
	}
	if l.MaxSide == 0 {
		l.MaxSide = DefaultMaxSide
	}
	if l.MaxMemory == 0 {
		l.MaxMemory = DefaultMaxMemory
	}
	if l.MaxScans == 0 {
		l.MaxScans = DefaultMaxScans
	}
	return l
}

// Check returns an error wrapping ErrTooLarge when the picture is beyond a
// limit. Decode calls it; a server can call it early, with DecodeConfig.
func (l Limits) Check(info Info) error {
	l = l.withDefaults()
	switch {
	case info.Width > l.MaxSide || info.Height > l.MaxSide:
		return fmt.Errorf("%w: %d×%d, a side may have %d pixels", ErrTooLarge, info.Width, info.Height, l.MaxSide)
	case info.Width*info.Height > l.MaxPixels:
		return fmt.Errorf("%w: %d×%d, the limit is %d pixels", ErrTooLarge, info.Width, info.Height, l.MaxPixels)
	case info.Memory > l.MaxMemory:
		return fmt.Errorf("%w: %d×%d takes %d bytes to decode, the limit is %d", ErrTooLarge, info.Width, info.Height, info.Memory, l.MaxMemory)
	case info.scans > l.MaxScans:
		return fmt.Errorf("%w: %d scans, the limit is %d", ErrTooLarge, info.scans, l.MaxScans)
	}
	return nil
}

// container is a parsed file: its headers are read, its pixels are not.
type container interface {
	info() Info
	// decode returns the picture as it is stored, not yet oriented, in memory
	// of the buffer, of which it takes none before it knows that the data are
	// complete. A cancelled context ends it.
	decode(ctx context.Context, buf *buffer) (*RGB, error)
}

func open(data []byte) (container, error) {
	switch Sniff(data) {
	case JPEG:
		return openJPEG(data)
	case PNG:
		return openPNG(data)
	case WebP:
		return openWebP(data)
	case GIF:
		return openGIF(data)
	}
	return nil, ErrFormat
}

// DecodeConfig reads the headers only. It allocates next to nothing, whatever
// size they claim; ask Limits.Check before trusting it.
func DecodeConfig(data []byte) (info Info, err error) {
	defer recoverPanic(&err)
	c, err := open(data)
	if err != nil {
		return Info{}, err
	}
	return c.info(), nil
}

// Decode returns the picture as it is meant to be seen, orientation applied.
// Info is valid whenever the headers could be read, also beside an error.
func Decode(ctx context.Context, data []byte, limits Limits) (*RGB, Info, error) {
	return decodeInto(ctx, data, limits, new(buffer))
}

// decodeInto is Decode into a buffer.
func decodeInto(ctx context.Context, data []byte, limits Limits, buf *buffer) (_ *RGB, info Info, err error) {
	defer recoverPanic(&err)
	if limit := limits.withDefaults().MaxBytes; len(data) > limit {
		return nil, Info{}, fmt.Errorf("%w: %d bytes of data, the limit is %d", ErrTooLarge, len(data), limit)
	}
	c, err := open(data)
	if err != nil {
		return nil, Info{}, err
	}
	info = c.info()
	all := info
	if buf.alpha {
		all.Memory += info.AlphaMemory
	}
	if err := limits.Check(all); err != nil {
		return nil, info, err
	}
	img, err := render(ctx, c, buf)
	return img, info, err
}

// render decodes into a buffer and orients.
func render(ctx context.Context, c container, buf *buffer) (_ *RGB, err error) {
	defer recoverPanic(&err)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	img, err := c.decode(ctx, buf)
	if ctx.Err() != nil { // the cause of err, if there is one
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, classify(err)
	}
	return orient(img, c.info().Orientation), nil
}

// recoverPanic turns a panic into an error. The formats' decoders see hostile
// data all day; should one of them fall over, it costs this picture, no more.
func recoverPanic(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: decoder failed: %v", ErrCorrupt, r)
	}
}

// classify gives an error of a format's decoder its place among ours.
func classify(err error) error {
	for _, known := range []error{ErrUnsupported, ErrTruncated, ErrCorrupt, ErrTooLarge} {
		if errors.Is(err, known) {
			return err
		}
	}
	var unsupported png.UnsupportedError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	case errors.As(err, &unsupported):
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// contextReader reads data until the context ends. It lives as long as the
// decode whose context it asks. It has no ReadByte, so that decoders buffer it
// and the context is asked once a buffer.
type contextReader struct {
	ctx  context.Context
	data []byte
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}
