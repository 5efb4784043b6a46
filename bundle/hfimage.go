package bundle

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// preprocessorFile says how pictures become a model's input.
const preprocessorFile = "preprocessor_config.json"

// processor is what an image processor of transformers does with fields that
// its file leaves out.
type processor struct {
	// edge tells that a size of one number is that of the shorter side.
	edge bool
	// size is the default one.
	size map[string]any
	// crop tells that it cuts the middle out, and to what by default; nil = it
	// has no crop.
	crop     map[string]any
	cropped  bool
	resample int
	normal   bool // normalises by default
	mean     []float64
	std      []float64
	pct      bool // has crop_pct
	offset   bool // has rescale_offset and include_top
	flip     bool // has do_flip_channel_order
}

var (
	imagenetMean = []float64{0.485, 0.456, 0.406}
	imagenetStd  = []float64{0.229, 0.224, 0.225}
	halves       = []float64{0.5, 0.5, 0.5}
	clipMean     = []float64{0.48145466, 0.4578275, 0.40821073}
	clipStd      = []float64{0.26862954, 0.26130258, 0.27577711}
)

func square(n float64) map[string]any   { return map[string]any{"height": n, "width": n} }
func shortest(n float64) map[string]any { return map[string]any{"shortest_edge": n} }

// Codes of Pillow's filters.
const (
	pilBilinear = 2
	pilBicubic  = 3
)

// processors are those known, without the ending ImageProcessor,
// ImageProcessorFast, ImageProcessorPil or FeatureExtractor.
var processors = map[string]processor{
	"ViT":          {size: square(224), resample: pilBilinear, normal: true, mean: halves, std: halves},
	"Siglip":       {size: square(224), resample: pilBicubic, normal: true, mean: halves, std: halves},
	"DeiT":         {size: square(256), crop: square(224), cropped: true, resample: pilBicubic, normal: true, mean: imagenetMean, std: imagenetStd},
	"Beit":         {size: square(256), crop: square(224), cropped: true, resample: pilBicubic, normal: true, mean: halves, std: halves},
	"CLIP":         {edge: true, size: shortest(224), crop: square(224), cropped: true, resample: pilBicubic, normal: true, mean: clipMean, std: clipStd},
	"Bit":          {edge: true, size: shortest(224), crop: square(224), cropped: true, resample: pilBicubic, normal: true, mean: clipMean, std: clipStd},
	"ConvNext":     {edge: true, size: shortest(384), resample: pilBilinear, normal: true, mean: imagenetMean, std: imagenetStd, pct: true},
	"EfficientNet": {size: square(346), crop: square(289), resample: 0, normal: true, mean: imagenetMean, std: imagenetStd, offset: true},
	"MobileViT":    {edge: true, size: shortest(224), crop: square(256), cropped: true, resample: pilBilinear, flip: true},
	"MobileNetV1":  {edge: true, size: shortest(256), crop: square(224), cropped: true, resample: pilBilinear, normal: true, mean: halves, std: halves},
	"MobileNetV2":  {edge: true, size: shortest(256), crop: square(224), cropped: true, resample: pilBilinear, normal: true, mean: halves, std: halves},
}

// filters are Pillow's by their codes.
var filters = []bundlev1.Filter{bundlev1.Filter_FILTER_NEAREST, bundlev1.Filter_FILTER_LANCZOS, bundlev1.Filter_FILTER_BILINEAR,
	bundlev1.Filter_FILTER_BICUBIC, bundlev1.Filter_FILTER_BOX, bundlev1.Filter_FILTER_HAMMING}

// image infers preprocessing and the head of a model of pictures.
func (i *hfInference) image() (err error) {
	if err = i.configured(); err != nil {
		return err
	}
	m := &bundlev1.Image{}
	if i.hints.GetPreprocess() != "" {
		err = i.preset(m)
	} else {
		err = i.preprocessor(m)
	}
	if err != nil {
		return err
	}
	in := i.graph.Inputs[0]
	if last := in.Shape[3]; (last == 3 || last == 1) && in.Shape[1] != last {
		m.Layout = bundlev1.Layout_LAYOUT_NHWC
		i.guess("image.layout", "the input %q takes %s", in.Name, shapeText(in.Shape))
	}
	i.manifest.Preprocessing = &bundlev1.Manifest_Image{Image: m}
	v, ok := i.scores()
	if !ok {
		return i.headless("the graph's outputs are %s, of which none is known to hold scores of classes", list(i.graph.Outputs))
	}
	names, err := i.labels(v)
	if err != nil || names == nil {
		return err
	}
	activation, why := i.activation(v, len(names))
	i.setHead("labels", v).Kind = &bundlev1.Head_Labels{Labels: &bundlev1.Labels{Names: names, Activation: activation}}
	i.guess("heads.labels", "%s: the labels are %s", why, quotedList(names))
	if i.hasConfig {
		i.reads("config.json")
	}
	return nil
}

// preprocessorFields reads a preprocessor_config.json: what was read is taken
// out, so that what is left is what nobody knows.
type preprocessorFields struct {
	left map[string]any
	err  error
}

func (f *preprocessorFields) fail(field, format string, args ...any) {
	if f.err == nil {
		f.err = invalid(preprocessorFile, "%s: %s", field, fmt.Sprintf(format, args...))
	}
}

// take returns a field's value, nil when it is missing or null.
func (f *preprocessorFields) take(field string) any {
	v := f.left[field]
	delete(f.left, field)
	return v
}

func (f *preprocessorFields) text(field string) string {
	return taken(f, field, "", "is no text")
}

func (f *preprocessorFields) bool(field string, instead bool) bool {
	return taken(f, field, instead, "is neither true nor false")
}

func (f *preprocessorFields) number(field string, instead float64) float64 {
	return taken(f, field, instead, "is no number")
}

func taken[T any](f *preprocessorFields, field string, instead T, otherwise string) T {
	switch v := f.take(field).(type) {
	case nil:
	case T:
		return v
	default:
		f.fail(field, "%s", otherwise)
	}
	return instead
}

// numbers reads one number for all channels, or one for each.
func (f *preprocessorFields) numbers(field string, instead []float64) []float64 {
	switch v := f.take(field).(type) {
	case nil:
		return instead
	case float64:
		return []float64{v}
	case []any:
		var out []float64
		for _, x := range v {
			n, ok := x.(float64)
			if !ok {
				f.fail(field, "does not hold numbers")
			}
			out = append(out, n)
		}
		if len(out) != 1 && len(out) != 3 {
			f.fail(field, "holds %d numbers", len(out))
		}
		return out
	}
	f.fail(field, "is neither a number nor a list of numbers")
	return instead
}

// sides is a size in one of its forms: a height and a width, or a shortest edge
// with or without a longest one.
type sides struct{ height, width, shortest, longest int32 }

// size reads a number, [height, width], or an object.
func (f *preprocessorFields) size(field string, edge bool, instead map[string]any) sides {
	v := f.take(field)
	if v == nil {
		v = instead
	}
	pixels := func(name string, v any) int32 {
		n, ok := v.(float64)
		if !ok || n < 1 || n > 8192 || n != math.Trunc(n) {
			f.fail(name, "%v is no number of pixels, which are 1 to 8192", v)
			return 1
		}
		return int32(n)
	}
	switch v := v.(type) {
	case float64:
		if edge {
			return sides{shortest: pixels(field, v)}
		}
		return sides{height: pixels(field, v), width: pixels(field, v)}
	case []any:
		if len(v) == 2 {
			return sides{height: pixels(field, v[0]), width: pixels(field, v[1])}
		}
	case map[string]any:
		var s sides
		known := map[string]*int32{"height": &s.height, "width": &s.width, "shortest_edge": &s.shortest, "longest_edge": &s.longest}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			to, ok := known[name]
			switch {
			case !ok:
				f.fail(field+"."+name, "is not known")
			case v[name] != nil:
				*to = pixels(field+"."+name, v[name])
			}
		}
		whole, short := s.height > 0 && s.width > 0 && s.shortest+s.longest == 0, s.shortest > 0 && s.height+s.width == 0
		if !whole && !short {
			f.fail(field, "is neither {height, width} nor {shortest_edge} with or without longest_edge")
		}
		return s
	}
	f.fail(field, "%v is no size: a number, [height, width], {height, width} or {shortest_edge}", v)
	return sides{}
}

// preprocessor reads a preprocessor_config.json.
func (i *hfInference) preprocessor(m *bundlev1.Image) error {
	f := &preprocessorFields{}
	if _, err := readConfig(i.dir, preprocessorFile, &f.left); err != nil {
		return err
	}
	kind := f.text("image_processor_type")
	if old := f.text("feature_extractor_type"); kind == "" {
		kind = old
	}
	p, ok := processors[processorName(kind)]
	switch {
	case kind == "":
		f.fail("image_processor_type", "is missing: nothing says what the other fields mean")
	case !ok:
		f.fail("image_processor_type", "%q is not known; known are %sImageProcessor: write a %s instead", kind,
			strings.Join(slices.Sorted(maps.Keys(processors)), "ImageProcessor, "), ManifestFile)
	}
	if f.err != nil {
		return f.err
	}
	m.Resize = &bundlev1.Resize{Filter: bundlev1.Filter_FILTER_BILINEAR}
	size := f.size("size", p.edge, p.size)
	if resample := f.number("resample", float64(p.resample)); resample != math.Trunc(resample) || resample < 0 || int(resample) >= len(filters) {
		f.fail("resample", "%v is none of Pillow's filters, which are 0 to %d", resample, len(filters)-1)
	} else {
		m.Resize.Filter = filters[int(resample)]
	}
	if !f.bool("do_resize", true) {
		f.fail("do_resize", "is false, so that pictures keep their sizes and cannot share a tensor's: set it, or write a %s", ManifestFile)
	}
	if p.pct {
		pct := f.number("crop_pct", 224.0/256)
		if pct <= 0 || pct > 1 {
			f.fail("crop_pct", "%v is not above 0 and at most 1", pct)
			pct = 1
		}
		if size.shortest == 0 || size.longest != 0 {
			f.fail("size", "has no shortest_edge alone, which a %s wants", kind)
		}
		m.Resize.Width, m.Resize.Height = size.shortest, size.shortest
		if size.shortest < 384 {
			m.CropWidth, m.CropHeight = size.shortest, size.shortest
			m.Resize.Mode, m.Resize.Width, m.Resize.Height = bundlev1.ResizeMode_RESIZE_MODE_SHORTEST_EDGE, int32(float64(size.shortest)/pct), 0
		}
	} else {
		m.Resize.Width, m.Resize.Height = size.width, size.height
		if size.shortest > 0 {
			m.Resize.Mode, m.Resize.Width, m.Resize.MaxEdge = bundlev1.ResizeMode_RESIZE_MODE_SHORTEST_EDGE, size.shortest, size.longest
		}
	}
	if p.crop != nil {
		crop := f.size("crop_size", false, p.crop)
		if f.bool("do_center_crop", p.cropped) {
			if crop.width == 0 {
				f.fail("crop_size", "is no {height, width}")
			}
			m.CropWidth, m.CropHeight = crop.width, crop.height
		}
	}
	m.CropFloor = m.CropWidth > 0
	if factor := f.number("rescale_factor", 1.0/255); f.bool("do_rescale", true) {
		m.Scale = factor
	}
	mean, std := f.numbers("image_mean", p.mean), f.numbers("image_std", p.std)
	if f.bool("do_normalize", p.normal) {
		if len(mean) == 0 || len(std) == 0 {
			f.fail("do_normalize", "is set, without image_mean and image_std")
		}
		m.Mean, m.Std = slices.Clone(mean), slices.Clone(std)
	}
	if p.offset {
		// EfficientNet takes 1 off after scaling, and divides by std again after all.
		if f.bool("rescale_offset", false) && m.Scale != 0 {
			m.Mean = spread(m.Mean, 0)
			for c := range m.Mean {
				m.Mean[c]++
			}
		}
		if f.bool("include_top", true) {
			if len(std) == 0 {
				f.fail("include_top", "is set, without image_std")
			}
			m.Mean, m.Std = twice(m.Mean, m.Std, std)
		}
	}
	if p.flip && f.bool("do_flip_channel_order", true) {
		m.Channels = bundlev1.Channels_CHANNELS_BGR
	}
	f.harmless()
	if f.err != nil {
		return f.err
	}
	i.guess("image", "as the %s of %s prepares pictures", kind, preprocessorFile)
	i.reads(preprocessorFile)
	return nil
}

// twice are mean and std of a normalisation by mean and std followed by a
// division by again.
func twice(mean, std, again []float64) (means, stds []float64) {
	stds = spread(std, 1)
	for c, s := range spread(again, 1) {
		stds[c] *= s
	}
	return mean, stds
}

// spread repeats a single number, or the one instead of none, for each channel.
func spread(values []float64, instead float64) []float64 {
	out := []float64{instead, instead, instead}
	for c := range out {
		switch {
		case c < len(values):
			out[c] = values[c]
		case len(values) > 0:
			out[c] = values[0]
		}
	}
	return out
}

func processorName(kind string) string {
	for _, ending := range []string{"ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor"} {
		if name, ok := strings.CutSuffix(kind, ending); ok {
			return name
		}
	}
	return kind
}

// harmless refuses every field that is left and set: to leave one out that
// changes the picture would give wrong answers without a sign.
func (f *preprocessorFields) harmless() {
	for _, name := range []string{"processor_class", "_processor_class", "_valid_processor_keys", "return_tensors", "do_convert_rgb", "do_reduce_labels",
		"default_to_square", "disable_grouping"} {
		delete(f.left, name) // pictures are RGB here; the others are not about them
	}
	if format := f.text("data_format"); format != "" && format != "channels_first" {
		f.fail("data_format", "%q is not channels_first", format)
	}
	for _, name := range slices.Sorted(maps.Keys(f.left)) {
		switch v := f.left[name].(type) {
		case nil:
			continue
		case bool:
			if !v {
				continue
			}
		case string:
			if v == "" {
				continue
			}
		case []any:
			if len(v) == 0 {
				continue
			}
		case map[string]any:
			if len(v) == 0 {
				continue
			}
		}
		f.fail(name, "is set and not known")
	}
}

// preset is the preprocessing that torchvision's weights of a name go with.
func (i *hfInference) preset(m *bundlev1.Image) error {
	name := i.hints.GetPreprocess()
	p, why := preset{256, 224, pilBilinear, false}, "as usual for ImageNet: the shorter side to 256, of it 224 × 224"
	if model, ok := strings.CutPrefix(name, "torchvision:"); ok {
		weights := model
		if w, ok := torchvisionDefaults[strings.ToLower(model)]; ok {
			weights = w
		}
		if p, ok = torchvisionPresets[weights]; !ok {
			return invalid("hints.preprocess", "torchvision has no weights %q here; give a model, such as torchvision:resnet50, or its weights, such as torchvision:ResNet50_Weights.IMAGENET1K_V1", model)
		}
		why = fmt.Sprintf("as %s of torchvision: the shorter side to %d, of it %d × %d", weights, p.resize, p.crop, p.crop)
	} else if name != "imagenet" {
		return invalid("hints.preprocess", "%q is neither imagenet nor torchvision:NAME", name)
	}
	m.Resize = &bundlev1.Resize{Mode: bundlev1.ResizeMode_RESIZE_MODE_SHORTEST_EDGE, Width: p.resize, Filter: filters[p.filter]}
	m.CropWidth, m.CropHeight = p.crop, p.crop
	m.Scale, m.Mean, m.Std = 1.0/255, imagenetMean, imagenetStd
	if p.halves {
		m.Mean, m.Std = halves, halves
	}
	i.guess("image", "%s", why)
	return nil
}
