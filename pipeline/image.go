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

func newImagePlan(b *bundle.Bundle) (*imagePlan, error) {
	m := b.Manifest.GetImage()
	p := &imagePlan{dtype: b.Inputs()[0].DType}
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

// Image decodes a JPEG, PNG, WebP or GIF picture and brings it to the model's
// size and range. Errors are an *InputError or the context's.
func (p *Pipeline) Image(ctx context.Context, data []byte) (Picture, error) {
	start := time.Now()
	if p.image == nil {
		return Picture{}, fmt.Errorf("%w: the model takes no pictures", ErrInput)
	}
	if len(data) == 0 {
		return Picture{}, &InputError{Field: "content", Reason: "IMAGE_EMPTY", Message: "there are no bytes"}
	}
	if p.limits.Decoding != nil {
		// A header that cannot be read costs nothing; Tensor says what is wrong.
		info, err := pixel.DecodeConfig(data)
		if err == nil {
			if err := p.limits.Image.Check(info); err != nil {
				return Picture{Info: info}, imageError(err) // without waiting for room
			}
		}
		release, err := p.limits.Decoding.take(ctx, info.Memory)
		if err != nil {
			return Picture{Info: info}, err
		}
		defer release()
	}
	t, info, err := p.image.prepare.Tensor(ctx, data, p.limits.Image)
	if err != nil {
		return Picture{Info: info}, imageError(err)
	}
	return Picture{Item: Item{Inputs: []tensor.Tensor{t}, Rows: 1, Prepared: time.Since(start)}, Info: info}, nil
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

// ImageWaves cuts n pictures into waves.
func (p *Pipeline) ImageWaves(n int) []Wave {
	size := int64(0)
	if p.image != nil {
		elements, _ := p.image.prepare.Shape().Elements()
		size = int64(elements * p.image.dtype.Size())
	}
	return Cut(n, wavePictures, func(int) int64 { return size })
}
