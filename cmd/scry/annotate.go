package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/scry-ml/scry/pixel"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// annotator writes pictures with what was found in them.
type annotator struct {
	dir   string
	taken map[string]bool // names of files that were written

	mu       sync.Mutex
	contents [][]byte // of pictures whose answer has not come
}

// around keeps the pictures that are sent until they are answered, and draws on
// them then. The server reads ahead by a bounded number.
func (a *annotator) around(images iter.Seq[*imageanalysisv1.ImageItem], write func(*imageanalysisv1.ImageResult, error) error) (iter.Seq[*imageanalysisv1.ImageItem], func(*imageanalysisv1.ImageResult, error) error) {
	sent := func(yield func(*imageanalysisv1.ImageItem) bool) {
		for item := range images {
			a.mu.Lock()
			a.contents = append(a.contents, item.GetContent())
			a.mu.Unlock()
			if !yield(item) {
				return
			}
		}
	}
	return sent, func(r *imageanalysisv1.ImageResult, failed error) error {
		a.mu.Lock() // answers come in the order of the pictures
		content := a.contents[0]
		a.contents = a.contents[1:]
		a.mu.Unlock()
		if failed == nil {
			if err := a.draw(r, content); err != nil {
				return err
			}
		}
		return write(r, failed)
	}
}

// draw writes one picture.
func (a *annotator) draw(r *imageanalysisv1.ImageResult, content []byte) error {
	src, _, err := pixel.Decode(context.Background(), content, pixel.Limits{})
	if err != nil {
		return fmt.Errorf("%s: %w", r.GetId(), err)
	}
	img := image.NewRGBA(image.Rect(0, 0, src.W, src.H))
	for i := range src.W * src.H {
		copy(img.Pix[4*i:], src.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	thick := max(1, max(src.W, src.H)/300)
	for _, f := range r.GetFaces() {
		b := f.GetBox()
		right, bottom := b.GetLeft()+b.GetWidth(), b.GetTop()+b.GetHeight()
		polygon(img, thick, color.RGBA{R: 0xff, G: 0x40, B: 0x40, A: 0xff}, []*imageanalysisv1.Point{
			{X: b.GetLeft(), Y: b.GetTop()}, {X: right, Y: b.GetTop()}, {X: right, Y: bottom}, {X: b.GetLeft(), Y: bottom},
		})
		for _, l := range f.GetLandmarks() {
			dot(img, thick, color.RGBA{R: 0xff, G: 0xd0, A: 0xff}, l.GetPoint().GetX(), l.GetPoint().GetY())
		}
	}
	for _, l := range r.GetText() {
		polygon(img, thick, color.RGBA{R: 0x20, G: 0x80, B: 0xff, A: 0xff}, l.GetCorners())
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return err
	}
	if err := os.MkdirAll(a.dir, 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.dir, a.name(r.GetId())), out.Bytes(), 0o666)
}

// name is a file name that no other picture has.
func (a *annotator) name(file string) string {
	base := filepath.Base(file)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	if file == "-" {
		base = "stdin"
	}
	name := base + ".png"
	for n := 2; a.taken[name]; n++ {
		name = fmt.Sprintf("%s-%d.png", base, n)
	}
	a.taken[name] = true
	return name
}

// polygon draws a closed line. What lies outside of the picture is not drawn, and
// costs nothing.
func polygon(img *image.RGBA, thick int, c color.RGBA, corners []*imageanalysisv1.Point) {
	for i, p := range corners {
		q := corners[(i+1)%len(corners)]
		dx, dy := q.GetX()-p.GetX(), q.GetY()-p.GetY()
		steps := math.Ceil(max(math.Abs(dx), math.Abs(dy)))
		if !(steps <= float64(8*(img.Rect.Dx()+img.Rect.Dy()))) { // nonsense of a server
			continue
		}
		for k := range int(steps) + 1 {
			share := float64(k) / max(1, steps)
			dot(img, thick, c, p.GetX()+share*dx, p.GetY()+share*dy)
		}
	}
}

func dot(img *image.RGBA, thick int, c color.RGBA, x, y float64) {
	if !(math.Abs(x) < 1<<20 && math.Abs(y) < 1<<20) {
		return
	}
	left, top := int(x)-thick/2, int(y)-thick/2
	for dy := range thick {
		for dx := range thick {
			img.SetRGBA(left+dx, top+dy, c) // outside of the picture nothing happens
		}
	}
}
