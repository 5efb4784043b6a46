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

	"github.com/scry-ml/scry/pixel"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// annotator writes pictures with what was found in them.
type annotator struct {
	files *newFiles
	sent  pending[[]byte] // pictures whose answers are still to come
}

// around keeps the pictures that are sent until they are answered, and draws on
// them then. The server reads ahead by a bounded number.
func (a *annotator) around(images iter.Seq[*imageanalysisv1.ImageItem], write func(*imageanalysisv1.ImageResult, error) error) (iter.Seq[*imageanalysisv1.ImageItem], func(*imageanalysisv1.ImageResult, error) error) {
	sent := func(yield func(*imageanalysisv1.ImageItem) bool) {
		for item := range images {
			a.sent.put(item.GetContent())
			if !yield(item) {
				return
			}
		}
	}
	return sent, func(r *imageanalysisv1.ImageResult, failed error) error {
		content := a.sent.take(r.GetIndex())
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
	_, err = a.files.write(r.GetId(), ".png", out.Bytes())
	return err
}

// newFiles writes files about others into a folder, which the first one makes. No
// file gets the name of another, on no system, or that of one that is read.
type newFiles struct {
	dir   string
	taken map[string]bool // names in small letters
}

func newFilesIn(dir string, inputs []string) *newFiles {
	n := &newFiles{dir: dir, taken: make(map[string]bool)}
	whole, _ := filepath.Abs(dir) // fails where there is no working directory
	for _, input := range inputs {
		if name, err := filepath.Abs(input); err == nil && filepath.Dir(name) == whole {
			n.taken[strings.ToLower(filepath.Base(name))] = true
		}
	}
	return n
}

// write writes a file that is called as the input is, with another ending and a
// number where that name is taken, and returns its path.
func (n *newFiles) write(input, ending string, content []byte) (string, error) {
	base := strings.TrimSuffix(filepath.Base(input), filepath.Ext(input))
	if input == "-" {
		base = "stdin"
	}
	name := base + ending
	for i := 2; n.taken[strings.ToLower(name)]; i++ {
		name = fmt.Sprintf("%s-%d%s", base, i, ending)
	}
	n.taken[strings.ToLower(name)] = true
	path := filepath.Join(n.dir, name)
	if err := os.MkdirAll(n.dir, 0o777); err != nil {
		return path, err
	}
	return path, os.WriteFile(path, content, 0o666)
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
