package imageanalysis

import (
	"bytes"
	"image"
	"image/png"
	"math"

	"github.com/scry-ml/scry/pixel"
)

// The colours of what speaks for a label and against it, and how much of them
// the strongest part has.
var (
	pro    = [3]float64{226, 26, 28}
	contra = [3]float64{31, 90, 220}
)

const strongest = 0.7

// heatMap draws a map of rows × columns parts over the view of a picture, which
// is made grey, and returns it as a PNG. The strongest part has the full colour.
func heatMap(picture *pixel.RGB, view pixel.View, heat []float64, rows, columns int) ([]byte, error) {
	most := 0.0
	for _, v := range heat {
		most = max(most, math.Abs(v))
	}
	across, acrossIn := positions(picture.W, view.X0, view.X1, columns)
	down, downIn := positions(picture.H, view.Y0, view.Y1, rows)
	out := image.NewNRGBA(image.Rect(0, 0, picture.W, picture.H))
	for y := range picture.H {
		for x := range picture.W {
			p := picture.Pix[3*(y*picture.W+x):][:3]
			grey := float64(pixel.Luma(p[0], p[1], p[2]))
			share, colour := 0.0, &pro
			if most > 0 && acrossIn[x] && downIn[y] {
				if share = strongest * between(heat, columns, down[y], across[x]) / most; share < 0 {
					share, colour = -share, &contra
				}
			}
			o := out.Pix[out.PixOffset(x, y):][:4]
			for c := range 3 {
				o[c] = uint8(math.Round(grey + share*(colour[c]-grey)))
			}
			o[3] = 255
		}
	}
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&file, out); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}

// position is a place between the middles of two neighbouring parts.
type position struct {
	from, to int
	share    float64 // of to
}

// positions says where n pixels lie among the parts of [from, to), and which lie
// within.
func positions(n int, from, to float64, parts int) (at []position, within []bool) {
	at, within = make([]position, n), make([]bool, n)
	for i := range at {
		middle := float64(i) + 0.5
		within[i] = middle >= from && middle < to
		v := min(max((middle-from)/(to-from)*float64(parts)-0.5, 0), float64(parts-1))
		at[i] = position{int(v), min(int(v)+1, parts-1), v - math.Floor(v)}
	}
	return at, within
}

// between interpolates.
func between(heat []float64, columns int, y, x position) float64 {
	row := func(r int) float64 {
		return heat[r*columns+x.from] + x.share*(heat[r*columns+x.to]-heat[r*columns+x.from])
	}
	top := row(y.from)
	return top + y.share*(row(y.to)-top)
}
