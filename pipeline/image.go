package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pixel"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// imagePlan is the preprocessing of pictures.
type imagePlan struct {
	prepare pixel.Preprocess
	dtype   tensor.DType
}

// newImagePlan is the plan of the preprocessing of an input.
func newImagePlan(m *bundlev1.Image, input bundle.Value) (*imagePlan, error) {
	p := &imagePlan{dtype: input.DType}
	p.prepare = pixel.Preprocess{
		Width: int(m.GetResize().GetWidth()), Height: int(m.GetResize().GetHeight()),
		CropWidth: int(m.GetCropWidth()), CropHeight: int(m.GetCropHeight()),
		MaxEdge: int(m.GetResize().GetMaxEdge()), CropFloor: m.GetCropFloor(),
		Scale: float32(m.GetScale()), Mean: spread(m.GetMean()), Std: spread(m.GetStd()),
		DType: p.dtype,
	}
	for i, v := range m.GetResize().GetPadColor() {
		p.prepare.PadColor[i] = uint8(v)
	}
	switch m.GetResize().GetMode() {
	case bundlev1.ResizeMode_RESIZE_MODE_SHORTEST_EDGE:
		p.prepare.Resize = pixel.ShortestEdge
	case bundlev1.ResizeMode_RESIZE_MODE_LETTERBOX:
		p.prepare.Resize = pixel.Letterbox
	default:
		p.prepare.Resize = pixel.Stretch
	}
	switch m.GetResize().GetFilter() {
	case bundlev1.Filter_FILTER_NEAREST:
		p.prepare.Filter = pixel.Nearest
	case bundlev1.Filter_FILTER_BOX:
		p.prepare.Filter = pixel.Box
	case bundlev1.Filter_FILTER_HAMMING:
		p.prepare.Filter = pixel.Hamming
	case bundlev1.Filter_FILTER_BICUBIC:
		p.prepare.Filter = pixel.Bicubic
	case bundlev1.Filter_FILTER_LANCZOS:
		p.prepare.Filter = pixel.Lanczos
	default:
		p.prepare.Filter = pixel.Bilinear
	}
	if m.GetLayout() == bundlev1.Layout_LAYOUT_NHWC {
		p.prepare.Layout = pixel.NHWC
	}
	switch m.GetChannels() {
	case bundlev1.Channels_CHANNELS_BGR:
		p.prepare.Channels = pixel.ChannelsBGR
	case bundlev1.Channels_CHANNELS_GRAY:
		p.prepare.Channels = pixel.ChannelsGray
	}
	if err := p.prepare.Validate(); err != nil {
		return nil, fmt.Errorf("%w: image: %w", bundle.ErrInvalid, err)
	}
	return p, nil
}

// bytes is the size of a prepared picture.
func (p *imagePlan) bytes() int64 {
	elements, _ := p.prepare.Shape().Elements()
	return int64(elements * p.dtype.Size())
}

// spread repeats a single value for every channel.
func spread(values []float64) (out [3]float32) {
	for i := range out {
		switch {
		case i < len(values):
			out[i] = float32(values[i])
		case len(values) > 0:
			out[i] = float32(values[0])
		}
	}
	return out
}

// Picture is a prepared picture.
type Picture struct {
	Item Item
	// Info is what the file's headers say.
	Info pixel.Info
}

// Decode decodes a JPEG, PNG, WebP or GIF picture and lends it to use, which must
// keep nothing of it; with its opacities where these are asked for. Errors are an
// *InputError, the context's, or those of use, which package pixel's may be.
func (l Limits) Decode(ctx context.Context, data []byte, alpha bool, use func(*pixel.RGB, pixel.Info) error) (pixel.Info, error) {
	if len(data) == 0 {
		return pixel.Info{}, &InputError{Field: "content", Reason: "IMAGE_EMPTY", Message: "there are no bytes"}
	}
	if l.Decoding != nil {
		// A header that cannot be read costs nothing; Lend says what is wrong.
		info, err := pixel.DecodeConfig(data)
		if err == nil {
			if err := l.Image.Check(info); err != nil {
				return info, imageError(err) // without waiting for room
			}
		}
		memory := info.Memory
		if alpha {
			memory += info.AlphaMemory
		}
		release, err := l.Decoding.take(ctx, memory)
		if err != nil {
			return info, err
		}
		defer release()
	}
	info, err := pixel.Lend(ctx, data, l.Image, alpha, use)
	if err != nil {
		return info, imageError(err)
	}
	return info, nil
}

// Prepare brings a picture, decoded from so many bytes, to the model's size and
// range. Errors are an *InputError.
func (p *Pipeline) Prepare(img *pixel.RGB, bytes int) (Item, error) {
	start := time.Now()
	if p.image == nil {
		return Item{}, fmt.Errorf("%w: the model takes no pictures", ErrInput)
	}
	if limit := p.limits.Image.MaxBytes; limit > 0 && bytes > limit {
		return Item{}, imageError(fmt.Errorf("%w: %d bytes of data, the limit is %d", pixel.ErrTooLarge, bytes, limit))
	}
	t, err := p.image.prepare.Apply(img)
	if err != nil {
		return Item{}, imageError(err)
	}
	item := Item{Inputs: []tensor.Tensor{t}, Rows: 1}
	if p.parts {
		if item.Crops, err = p.newCrops(img); err != nil {
			return Item{}, err
		}
	}
	item.Prepared = time.Since(start)
	return item, nil
}

// Image decodes a JPEG, PNG, WebP or GIF picture and brings it to the model's
// size and range. Errors are an *InputError or the context's.
func (p *Pipeline) Image(ctx context.Context, data []byte) (Picture, error) {
	start := time.Now()
	if p.image == nil {
		return Picture{}, fmt.Errorf("%w: the model takes no pictures", ErrInput)
	}
	var item Item
	info, err := p.limits.Decode(ctx, data, false, func(img *pixel.RGB, _ pixel.Info) (err error) {
		item, err = p.Prepare(img, len(data))
		return err
	})
	if err != nil {
		return Picture{Info: info}, err
	}
	item.Prepared = time.Since(start)
	return Picture{Item: item, Info: info}, nil
}

// Decoding bounds what the decoding of all pictures of a process holds at a
// time. A picture waits for its turn until its context ends.
type Decoding struct {
	budget int64
	free   *semaphore.Weighted
}

// NewDecoding makes a bound of so many bytes.
func NewDecoding(budget int64) *Decoding {
	return &Decoding{budget: budget, free: semaphore.NewWeighted(budget)}
}

func (d *Decoding) take(ctx context.Context, bytes int64) (release func(), err error) {
	// A picture beyond the whole budget runs alone; pixel.Limits may refuse it.
	bytes = min(max(bytes, 1), d.budget)
	if err := d.free.Acquire(ctx, bytes); err != nil {
		return nil, err
	}
	return func() { d.free.Release(bytes) }, nil
}

func imageError(err error) error {
	reason := ""
	switch {
	case errors.Is(err, pixel.ErrFormat):
		reason = "IMAGE_FORMAT"
	case errors.Is(err, pixel.ErrUnsupported):
		reason = "IMAGE_UNSUPPORTED"
	case errors.Is(err, pixel.ErrTruncated):
		reason = "IMAGE_TRUNCATED"
	case errors.Is(err, pixel.ErrCorrupt):
		reason = "IMAGE_CORRUPT"
	case errors.Is(err, pixel.ErrTooLarge):
		reason = "IMAGE_TOO_LARGE"
	default:
		return err
	}
	return &InputError{Field: "content", Reason: reason, Message: err.Error()}
}

// wavePictures keeps decoding and computing apart by so little that neither
// waits long for the other.
const wavePictures = 64

// ImageWaves cuts n pictures for some models into waves.
func ImageWaves(n int, models ...*Pipeline) []Wave {
	size := int64(0)
	for _, p := range models {
		if p.image != nil {
			size += p.image.bytes()
		}
		if p.parts {
			size += 3 * cropEdge * cropEdge
		}
	}
	return Cut(n, wavePictures, func(int) int64 { return size })
}
