package pixel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/scry-ml/scry/tensor"
)

// A Preprocess shows a model the pixels that the image processors of
// transformers, torchvision's transforms and ImageOps.pad do.
func TestPreprocessAgainstPython(t *testing.T) {
	var cases []struct {
		Name, Resize  string
		Width, Height int
		MaxEdge       int `json:"max_edge"`
		Filter        string
		Crop          [2]int
		CropFloor     bool `json:"crop_floor"`
		Pad           [3]uint8
		Seed          uint64
		From, To      [2]int
		SHA256        string
	}
	if err := json.Unmarshal(readTestdata(t, "preprocess.json"), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 50 {
		t.Fatalf("%d cases", len(cases))
	}
	modes := map[string]ResizeMode{"stretch": Stretch, "shortest": ShortestEdge, "letterbox": Letterbox}
	for _, c := range cases {
		filter, err := parseFilter(c.Filter)
		if err != nil {
			t.Fatal(err)
		}
		p := Preprocess{
			Resize: modes[c.Resize], Width: c.Width, Height: c.Height, MaxEdge: c.MaxEdge, Filter: filter,
			CropWidth: c.Crop[0], CropHeight: c.Crop[1], CropFloor: c.CropFloor, PadColor: c.Pad,
			Layout: NHWC, DType: tensor.Uint8,
		}
		out, err := p.Apply(&RGB{W: c.From[0], H: c.From[1], Pix: noise(c.Seed, 3*c.From[0]*c.From[1])})
		if err != nil {
			t.Fatal(c.Name, err)
		}
		if want := (tensor.Shape{1, int64(c.To[1]), int64(c.To[0]), 3}); !out.Shape.Equal(want) {
			t.Errorf("%s of %v: shape %v, want %v", c.Name, c.From, out.Shape, want)
		} else if digest(out.Data) != c.SHA256 {
			t.Errorf("%s of %v: pixels differ", c.Name, c.From)
		}
	}
}

func TestGeometry(t *testing.T) {
	for _, c := range []struct{ size, n, even, floor int }{
		{256, 224, 16, 16}, {455, 224, 116, 115}, {457, 224, 116, 116}, {9, 4, 2, 2}, {7, 4, 2, 1},
		{4, 4, 0, 0}, {3, 6, -1, -2}, {4, 7, -1, -2}, {2, 6, -2, -2},
	} {
		if even, floor := cropOrigin(c.size, c.n, false), cropOrigin(c.size, c.n, true); even != c.even || floor != c.floor {
			t.Errorf("crop of %d of %d: %d and %d, want %d and %d", c.n, c.size, even, floor, c.even, c.floor)
		}
	}
	if w, h := shortestEdge(60000, 1, 224, 0); w != 60000*224 || h != 224 {
		t.Errorf("%d×%d", w, h)
	}
}

func TestTensorValues(t *testing.T) {
	src := &RGB{W: 2, H: 1, Pix: []byte{0, 51, 255, 10, 20, 30}}
	base := Preprocess{Resize: KeepSize}
	normal := base
	normal.Scale, normal.Mean, normal.Std = 1./255, [3]float32{0.5, 0.1, 0}, [3]float32{0.25, 0.5, 0}
	with := func(p Preprocess, change func(*Preprocess)) Preprocess { change(&p); return p }
	tests := []struct {
		name  string
		p     Preprocess
		shape tensor.Shape
		want  []float32
	}{
		{"zero value", base, tensor.Shape{1, 3, 1, 2}, []float32{0, 10, 51, 20, 255, 30}},
		{"NHWC", with(base, func(p *Preprocess) { p.Layout = NHWC }), tensor.Shape{1, 1, 2, 3}, []float32{0, 51, 255, 10, 20, 30}},
		{"BGR", with(base, func(p *Preprocess) { p.Channels = ChannelsBGR }), tensor.Shape{1, 3, 1, 2}, []float32{255, 30, 51, 20, 0, 10}},
		{"grey", with(base, func(p *Preprocess) { p.Channels = ChannelsGray }), tensor.Shape{1, 1, 1, 2}, []float32{59, 18}},
		{"normalised", normal, tensor.Shape{1, 3, 1, 2}, []float32{-2, -1.8431373, 0.2, -0.04313725, 1, 0.11764706}},
		{"normalised BGR", with(normal, func(p *Preprocess) { p.Channels = ChannelsBGR }), tensor.Shape{1, 3, 1, 2},
			[]float32{2, -1.5294118, 0.2, -0.04313725, 0, 0.039215688}},
		{"float16", with(normal, func(p *Preprocess) { p.DType = tensor.Float16 }), tensor.Shape{1, 3, 1, 2},
			[]float32{-2, -1.8427734, 0.19995117, -0.043151855, 1, 0.11767578}},
		{"uint8", with(base, func(p *Preprocess) { p.DType = tensor.Uint8 }), tensor.Shape{1, 3, 1, 2}, []float32{0, 10, 51, 20, 255, 30}},
		{"border", with(base, func(p *Preprocess) { p.CropWidth, p.CropHeight, p.DType = 4, 1, tensor.Uint8 }), tensor.Shape{1, 3, 1, 4},
			[]float32{0, 0, 10, 0, 0, 51, 20, 0, 0, 255, 30, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := bytes.Clone(src.Pix)
			got, err := test.p.Apply(src)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Shape.Equal(test.shape) {
				t.Fatalf("shape %v, want %v", got.Shape, test.shape)
			}
			for i, v := range got.Float32s() {
				if math.Abs(float64(v-test.want[i])) > 1e-6 {
					t.Fatalf("values %v, want %v", got.Float32s(), test.want)
				}
			}
			if !bytes.Equal(src.Pix, before) {
				t.Error("the source was written to")
			}
		})
	}
}

// The fast way (window of a resize, pooled memory) gives what the plain functions
// in a row give.
func TestTensorSteps(t *testing.T) {
	names := []string{"baseline-420.jpg", "exif-6.jpg", "palette.png", "lossy.webp", "plain.gif"}
	p := imageNet
	p.Width, p.CropWidth, p.CropHeight = 72, 64, 60
	for _, name := range names {
		data := testPicture(t, name)
		fast, again, err := p.Tensor(context.Background(), data, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		img, info, err := Decode(context.Background(), data, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		w, h := shortestEdge(info.Width, info.Height, 72, 0)
		img = Crop(Resize(img, w, h, Bilinear), cropOrigin(w, 64, false), cropOrigin(h, 60, false), 64, 60)
		got := tensor.View[float32](fast)
		for y := range 60 {
			for x := range 64 {
				for c := range 3 {
					want := (float32(img.Pix[3*(64*y+x)+c])*p.Scale - p.Mean[c]) / p.Std[c]
					if v := got[(c*60+y)*64+x]; math.Abs(float64(v-want)) > 1e-6 {
						t.Fatalf("%s (%d, %d, %d): %v, want %v", name, x, y, c, v, want)
					}
				}
			}
		}
		if again != info {
			t.Errorf("%s: %v, want %v", name, again, info)
		}
	}
}

func TestTensorRefuses(t *testing.T) {
	if _, _, err := imageNet.Tensor(context.Background(), testPicture(t, "tiny-3x3.jpg")[:50], Limits{}); !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
	if _, err := imageNet.Apply(&RGB{W: 5, H: 5}); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

func TestOpenShapes(t *testing.T) {
	p := Preprocess{Resize: ShortestEdge, Width: 64, Layout: NHWC, Channels: ChannelsGray}
	if s := p.Shape(); !s.Equal(tensor.Shape{1, -1, -1, 1}) {
		t.Error(s)
	}
	if s := (Preprocess{Resize: KeepSize}).Shape(); !s.Equal(tensor.Shape{1, 3, -1, -1}) {
		t.Error(s)
	}
}

// A line of pixels would become a plane of gigabytes.
func TestExtremeAspect(t *testing.T) {
	line := NewRGB(30000, 1)
	for i := range line.Pix {
		line.Pix[i] = 7
	}
	p := Preprocess{Resize: ShortestEdge, Width: 256, Filter: Bicubic}
	if _, err := p.Apply(line); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
	p.CropWidth, p.CropHeight = 224, 224 // only this window is computed
	out, err := p.Apply(line)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range out.Float32s() {
		if v != 7 {
			t.Fatal(v)
		}
	}
	p = Preprocess{Resize: Letterbox, Width: 64, Height: 64}
	if _, err := p.Apply(line); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	good := imageNet
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for name, change := range map[string]func(*Preprocess){
		"no size":           func(p *Preprocess) { *p = Preprocess{} },
		"huge size":         func(p *Preprocess) { p.Width = MaxSize + 1 },
		"negative size":     func(p *Preprocess) { p.Width = -1 },
		"no height":         func(p *Preprocess) { p.Resize = Letterbox },
		"mode":              func(p *Preprocess) { p.Resize = 9 },
		"filter":            func(p *Preprocess) { p.Filter = 6 },
		"half a crop":       func(p *Preprocess) { p.CropWidth = 0 },
		"negative crop":     func(p *Preprocess) { p.CropWidth, p.CropHeight = -1, -1 },
		"cropped letterbox": func(p *Preprocess) { p.Resize, p.Height = Letterbox, 5 },
		"edge of a stretch": func(p *Preprocess) { p.Resize, p.Height, p.MaxEdge = Stretch, 5, 300 },
		"edge below":        func(p *Preprocess) { p.MaxEdge = 100 },
		"layout":            func(p *Preprocess) { p.Layout = 2 },
		"channels":          func(p *Preprocess) { p.Channels = 3 },
		"NaN":               func(p *Preprocess) { p.Mean[1] = nan },
		"infinite":          func(p *Preprocess) { p.Scale = float32(math.Inf(1)) },
		"normalised uint8":  func(p *Preprocess) { p.DType = tensor.Uint8 },
		"integers":          func(p *Preprocess) { p.DType = tensor.Int64 },
	} {
		p := good
		change(&p)
		if err := p.Validate(); !errors.Is(err, ErrPreprocess) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := p.Tensor(context.Background(), testPicture(t, "gray.jpg"), Limits{}); !errors.Is(err, ErrPreprocess) {
			t.Errorf("%s: Tensor: %v", name, err)
		}
	}
}

func TestCrop(t *testing.T) {
	src := &RGB{W: 3, H: 2, Pix: []byte{1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6}}
	for _, c := range []struct {
		x, y, w, h int
		want       []byte // one channel
	}{
		{0, 0, 3, 2, []byte{1, 2, 3, 4, 5, 6}},
		{1, 1, 2, 1, []byte{5, 6}},
		{-1, -1, 2, 2, []byte{0, 0, 0, 1}},
		{2, 1, 2, 2, []byte{6, 0, 0, 0}},
		{5, 5, 1, 1, []byte{0}},
		{-7, 0, 2, 1, []byte{0, 0}},
	} {
		got := Crop(src, c.x, c.y, c.w, c.h)
		if got.W != c.w || got.H != c.h {
			t.Fatalf("%+v: %d×%d", c, got.W, got.H)
		}
		for i, v := range c.want {
			if got.Pix[3*i] != v || got.Pix[3*i+2] != v {
				t.Errorf("%+v: %v", c, got.Pix)
				break
			}
		}
	}
}

func TestNames(t *testing.T) {
	for format, want := range map[Format]string{JPEG: "JPEG", PNG: "PNG", WebP: "WebP", GIF: "GIF", 0: "unknown"} {
		if format.String() != want {
			t.Errorf("%v", format)
		}
	}
}
