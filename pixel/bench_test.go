package pixel

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"testing"
)

// enlarged returns one of the test pictures scaled to w × h as a JPEG file.
func enlarged(tb testing.TB, w, h int) []byte {
	tb.Helper()
	small, _, err := Decode(context.Background(), readTestdata(tb, "pictures/baseline-444.jpg"), Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	big := Resize(small, w, h, Lanczos)
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		copy(img.Pix[4*i:], big.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 88}); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

var imageNet = Preprocess{
	Resize: ShortestEdge, Width: 256, Filter: Bilinear, CropWidth: 224, CropHeight: 224,
	Scale: 1. / 255, Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225},
}

func benchmarkTensor(b *testing.B, w, h int) {
	data := enlarged(b, w, h)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := imageNet.Tensor(context.Background(), data, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
}

func BenchmarkTensor1080p(b *testing.B) { benchmarkTensor(b, 1920, 1080) }
func BenchmarkTensor480p(b *testing.B)  { benchmarkTensor(b, 854, 480) }

func BenchmarkDecode1080p(b *testing.B) {
	data := enlarged(b, 1920, 1080)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Decode(context.Background(), data, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResize1080p(b *testing.B) {
	src := &RGB{W: 1920, H: 1080, Pix: noise(1, 3*1920*1080)}
	for _, f := range []Filter{Nearest, Bilinear, Bicubic, Lanczos} {
		b.Run(f.String(), func(b *testing.B) {
			for b.Loop() {
				Resize(src, 398, 224, f)
			}
		})
	}
}
