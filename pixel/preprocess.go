package pixel

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/scry-ml/scry/tensor"
)

// ErrPreprocess is wrapped by Preprocess.Validate, and by the methods of a
// Preprocess that does not pass it.
var ErrPreprocess = errors.New("invalid picture preprocessing")

// ResizeMode says what a resize keeps.
type ResizeMode uint8

// The ways to bring a picture to size.
const (
	// Stretch: to exactly Width × Height; the aspect ratio is not kept.
	Stretch ResizeMode = iota
	// ShortestEdge: the shorter side gets Width pixels, the longer one follows,
	// rounded down, as torchvision's and Hugging Face's Resize(int) do.
	ShortestEdge
	// Letterbox: the picture is fitted into Width × Height and centred on
	// PadColor, as Pillow's ImageOps.pad does.
	Letterbox
	// KeepSize: no resize.
	KeepSize
)

// Layout is the order of a tensor's axes.
type Layout uint8

// The layouts.
const (
	NCHW Layout = iota // batch, channel, row, column
	NHWC               // batch, row, column, channel
)

// Channels says which channels a tensor has, in order.
type Channels uint8

// The channel orders.
const (
	ChannelsRGB  Channels = iota
	ChannelsBGR           // blue first, as in OpenCV and Caffe
	ChannelsGray          // one channel, Pillow's convert("L") before the resize
)

func (c Channels) count() int {
	if c == ChannelsGray {
		return 1
	}
	return 3
}

// MaxSize is the largest side that a Preprocess may ask for, in pixels.
const MaxSize = 8192

// Preprocess says what becomes of a picture before a model sees it: resize,
// centre crop, then (pixel × Scale - Mean) / Std for each channel. Fields left
// at zero do nothing, so the zero value but for Width and Height gives the
// pixels as they are, 0 to 255, as float32 in NCHW.
type Preprocess struct {
	Resize        ResizeMode
	Width, Height int // of the resize; with ShortestEdge Width alone counts
	// MaxEdge bounds the longer side that ShortestEdge leads to; the shorter
	// one shrinks with it. 0 = no bound.
	MaxEdge  int
	Filter   Filter
	PadColor [3]uint8 // red, green, blue beside a letterboxed picture

	// CropWidth and CropHeight cut the middle out after the resize, both or
	// none. A picture that is too small gets a black border.
	CropWidth, CropHeight int
	// CropFloor rounds the crop's offset down, as Hugging Face's image
	// processors do; otherwise it is rounded half to even, as torchvision's.
	CropFloor bool

	Scale     float32    // 0 stands for 1
	Mean, Std [3]float32 // by the tensor's channels; a Std of 0 stands for 1
	Layout    Layout
	Channels  Channels
	DType     tensor.DType // Float32 (also when zero), Float16 or, without Scale, Mean and Std, Uint8
}

// Validate returns an error wrapping ErrPreprocess when the fields do not make
// sense.
func (p Preprocess) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrPreprocess, fmt.Sprintf(format, args...))
	}
	inRange := func(n, least int) bool { return n >= least && n <= MaxSize }
	switch p.Resize {
	case Stretch, Letterbox:
		if !inRange(p.Width, 1) || !inRange(p.Height, 1) {
			return bad("resize to %d×%d, sides are 1 to %d", p.Width, p.Height, MaxSize)
		}
	case ShortestEdge:
		if !inRange(p.Width, 1) {
			return bad("resize to a shortest edge of %d, it is 1 to %d", p.Width, MaxSize)
		}
	case KeepSize:
	default:
		return bad("resize mode %d", p.Resize)
	}
	if p.MaxEdge != 0 && (p.Resize != ShortestEdge || !inRange(p.MaxEdge, p.Width)) {
		return bad("a longest edge of %d: it goes with ShortestEdge only and is %d to %d", p.MaxEdge, p.Width, MaxSize)
	}
	if int(p.Filter) >= len(filterNames) {
		return bad("filter %d", p.Filter)
	}
	if (p.CropWidth == 0) != (p.CropHeight == 0) || !inRange(p.CropWidth, 0) || !inRange(p.CropHeight, 0) {
		return bad("crop to %d×%d, sides are 1 to %d", p.CropWidth, p.CropHeight, MaxSize)
	}
	if p.CropWidth != 0 && p.Resize == Letterbox {
		return bad("a letterboxed picture is not cropped")
	}
	if p.Layout > NHWC {
		return bad("layout %d", p.Layout)
	}
	if p.Channels > ChannelsGray {
		return bad("channels %d", p.Channels)
	}
	numbers := append([]float32{p.Scale}, append(p.Mean[:], p.Std[:]...)...)
	for _, v := range numbers {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return bad("scale, mean or std is not finite")
		}
	}
	switch p.DType {
	case tensor.Invalid, tensor.Float32, tensor.Float16:
	case tensor.Uint8:
		if p.scale() != 1 || p.Mean != [3]float32{} || p.std() != [3]float32{1, 1, 1} {
			return bad("uint8 takes no scale, mean or std")
		}
	default:
		return bad("element type %v", p.DType)
	}
	return nil
}

func (p Preprocess) scale() float32 {
	if p.Scale == 0 {
		return 1
	}
	return p.Scale
}

func (p Preprocess) std() [3]float32 {
	std := p.Std
	for i, v := range std {
		if v == 0 {
			std[i] = 1
		}
	}
	return std
}

func (p Preprocess) dtype() tensor.DType {
	if p.DType == tensor.Invalid {
		return tensor.Float32
	}
	return p.DType
}

// Shape returns the shape of the tensor, such as [1,3,224,224]; sides that
// depend on the picture are -1.
func (p Preprocess) Shape() tensor.Shape {
	w, h := -1, -1
	switch {
	case p.CropWidth > 0:
		w, h = p.CropWidth, p.CropHeight
	case p.Resize == Stretch || p.Resize == Letterbox:
		w, h = p.Width, p.Height
	}
	return p.shape(w, h)
}

func (p Preprocess) shape(w, h int) tensor.Shape {
	c := int64(p.Channels.count())
	if p.Layout == NHWC {
		return tensor.Shape{1, int64(h), int64(w), c}
	}
	return tensor.Shape{1, c, int64(h), int64(w)}
}

// Tensor decodes a picture and returns what the model sees: a tensor of one
// row, of Shape (with the sides that were open filled in). Info and errors are
// those of Decode.
func (p Preprocess) Tensor(ctx context.Context, data []byte, limits Limits) (tensor.Tensor, Info, error) {
	if err := p.Validate(); err != nil {
		return tensor.Tensor{}, Info{}, err
	}
	var t tensor.Tensor
	info, err := Lend(ctx, data, limits, false, func(img *RGB, _ Info) (err error) {
		if p.Channels == ChannelsGray {
			img.gray()
		}
		t, err = p.apply(img, limits)
		return err
	})
	return t, info, err
}

// Apply is Tensor for a picture that is decoded already. The default Limits
// bound the result.
func (p Preprocess) Apply(src *RGB) (tensor.Tensor, error) {
	src, err := p.check(src)
	if err != nil {
		return tensor.Tensor{}, err
	}
	return p.apply(src, Limits{})
}

func (p Preprocess) check(src *RGB) (*RGB, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if src.W < 1 || src.H < 1 || len(src.Pix) != 3*src.W*src.H {
		return nil, fmt.Errorf("%w: %d bytes for %d×%d pixels", ErrCorrupt, len(src.Pix), src.W, src.H)
	}
	if p.Channels == ChannelsGray {
		src = &RGB{W: src.W, H: src.H, Pix: append([]byte(nil), src.Pix...)}
		src.gray()
	}
	return src, nil
}

func (p Preprocess) apply(src *RGB, limits Limits) (tensor.Tensor, error) {
	win, err := p.window(src.W, src.H, limits)
	if err != nil {
		return tensor.Tensor{}, err
	}
	t, err := tensor.New(p.dtype(), p.shape(win.w, win.h)...)
	if err != nil {
		return tensor.Tensor{}, err
	}
	p.fill(t, src, win)
	return t, nil
}

// window is what a tensor shows: w × h pixels whose first is pixel (x, y) of
// the picture after its resize to fullW × fullH. x and y are negative where
// there is a border.
type window struct {
	fullW, fullH int
	x, y, w, h   int
}

func (p Preprocess) window(srcW, srcH int, limits Limits) (window, error) {
	win := window{fullW: srcW, fullH: srcH}
	switch p.Resize {
	case Stretch:
		win.fullW, win.fullH = p.Width, p.Height
	case ShortestEdge:
		win.fullW, win.fullH = shortestEdge(srcW, srcH, p.Width, p.MaxEdge)
	case Letterbox:
		win.fullW, win.fullH = contain(srcW, srcH, p.Width, p.Height)
	}
	win.w, win.h = win.fullW, win.fullH
	switch {
	case p.Resize == Letterbox:
		win.w, win.h = p.Width, p.Height
		win.x = -int(math.RoundToEven(float64(p.Width-win.fullW) * 0.5))
		win.y = -int(math.RoundToEven(float64(p.Height-win.fullH) * 0.5))
	case p.CropWidth > 0:
		win.w, win.h = p.CropWidth, p.CropHeight
		win.x = cropOrigin(win.fullW, win.w, p.CropFloor)
		win.y = cropOrigin(win.fullH, win.h, p.CropFloor)
	}
	if max(win.fullW, win.fullH) > 1<<31-1 || win.w*win.h > limits.withDefaults().MaxPixels {
		return window{}, fmt.Errorf("%w: %d×%d pixels become %d×%d", ErrTooLarge, srcW, srcH, win.fullW, win.fullH)
	}
	return win, nil
}

// shortestEdge returns the size whose shorter side is edge. A side never
// vanishes, however long and thin the picture is.
func shortestEdge(w, h, edge, maxEdge int) (int, int) {
	short, long := min(w, h), max(w, h)
	newShort, newLong := edge, int(float64(edge*long)/float64(short))
	if maxEdge > 0 && newLong > maxEdge {
		newShort, newLong = max(1, int(float64(maxEdge*newShort)/float64(newLong))), maxEdge
	}
	if w <= h {
		return newShort, newLong
	}
	return newLong, newShort
}

// contain returns the largest size of the picture's aspect ratio that fits
// into maxW × maxH.
func contain(w, h, maxW, maxH int) (int, int) {
	ratio, want := float64(w)/float64(h), float64(maxW)/float64(maxH)
	switch {
	case ratio > want:
		return maxW, max(1, int(math.RoundToEven(float64(float64(h)/float64(w)*float64(maxW)))))
	case ratio < want:
		return max(1, int(math.RoundToEven(float64(float64(w)/float64(h)*float64(maxH))))), maxH
	}
	return maxW, maxH
}

// cropOrigin returns where a centred crop of n of size pixels begins; below 0
// where the crop is larger. The two ways of rounding are those of Hugging Face
// (floor) and of torchvision.
func cropOrigin(size, n int, floor bool) int {
	half := float64(size-n) / 2
	switch {
	case floor:
		return int(math.Floor(half))
	case half < 0:
		return int(half)
	}
	return int(math.RoundToEven(half))
}

// fill resamples the window and writes it, normalised, to t.
func (p Preprocess) fill(t tensor.Tensor, src *RGB, win window) {
	// The part of the window that the picture covers.
	x0, x1 := max(0, -win.x), min(win.w, win.fullW-win.x)
	y0, y1 := max(0, -win.y), min(win.h, win.fullH-win.y)
	buf := getBuffer()
	defer putBuffer(buf)
	img := buf.rgb(win.w, win.h)
	if x1-x0 == win.w && y1-y0 == win.h {
		resizeWindow(img, src, win.fullW, win.fullH, win.x, win.y, p.Filter)
	} else {
		border := [3]byte{}
		if p.Resize == Letterbox {
			border = p.PadColor
		}
		for pix := img.Pix; len(pix) >= 3; pix = pix[3:] {
			copy(pix, border[:])
		}
		part := NewRGB(x1-x0, y1-y0)
		resizeWindow(part, src, win.fullW, win.fullH, win.x+x0, win.y+y0, p.Filter)
		for y := range part.H {
			copy(img.row(y0 + y)[3*x0:], part.row(y))
		}
	}
	switch t.DType {
	case tensor.Float32:
		write(p, tensor.View[float32](t), img, func(v float32) float32 { return v })
	case tensor.Float16:
		write(p, tensor.View[uint16](t), img, tensor.Float32ToFloat16)
	case tensor.Uint8:
		write(p, t.Data, img, func(v float32) uint8 { return uint8(v) })
	}
}

// write stores the normalised pixels. There are only 256 values a channel, so
// the arithmetic is done once for each.
func write[T any](p Preprocess, dst []T, img *RGB, convert func(float32) T) {
	channels, std := p.Channels.count(), p.std()
	for c := range channels {
		var values [256]T
		for v := range values {
			scaled := float32(float32(v) * p.scale())
			values[v] = convert((scaled - p.Mean[c]) / std[c])
		}
		source := c
		if p.Channels == ChannelsBGR {
			source = 2 - c
		}
		out, step := dst[c:], channels
		if p.Layout == NCHW {
			n := img.W * img.H
			out, step = dst[c*n:(c+1)*n], 1
		}
		pix := img.Pix
		for i := 0; len(pix) >= 3; i, pix = i+step, pix[3:] {
			out[i] = values[pix[source]]
		}
	}
}
