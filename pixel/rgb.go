package pixel

// RGB is a picture of 8 bits a channel. Pixel (x, y) has its red, green and
// blue at Pix[3*(y*W+x):]; there is no padding between rows.
type RGB struct {
	W, H int
	Pix  []byte
	// A is the opacity of pixel (x, y) at A[y*W+x], 255 for opaque; nil where all
	// are, or where it was not asked for. Resizing and cropping drop it.
	A []byte
}

// NewRGB returns a black picture.
func NewRGB(w, h int) *RGB { return &RGB{W: w, H: h, Pix: make([]byte, 3*w*h)} }

// row returns the pixels of row y.
func (m *RGB) row(y int) []byte { return m.Pix[3*m.W*y : 3*m.W*(y+1)] }

// Crop copies the w × h pixels whose upper left corner is (x, y). What lies
// outside of the picture is black, as in Pillow.
func Crop(src *RGB, x, y, w, h int) *RGB {
	dst := NewRGB(w, h)
	x0, x1 := max(x, 0), min(x+w, src.W)
	if x0 >= x1 {
		return dst
	}
	for sy := max(y, 0); sy < min(y+h, src.H); sy++ {
		copy(dst.row(sy - y)[3*(x0-x):], src.row(sy)[3*x0:3*x1])
	}
	return dst
}

// Luma is the brightness of a pixel, 0 to 255, as Pillow's convert("L") has it:
// ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, rounded.
func Luma(r, g, b byte) byte {
	return byte((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 1<<15) >> 16)
}

// gray replaces each pixel by its luma, as Pillow's convert("L") does.
func (m *RGB) gray() {
	for p := m.Pix; len(p) >= 3; p = p[3:] {
		l := Luma(p[0], p[1], p[2])
		p[0], p[1], p[2] = l, l, l
	}
}

// orient returns the picture turned as EXIF orientation o asks for. Mirroring
// and half turns are done in place; the others need a second picture.
func orient(src *RGB, o int) *RGB {
	alpha := orientAlpha(src.A, src.W, src.H, o)
	dst := orientPixels(src, o)
	dst.A = alpha
	return dst
}

func orientPixels(src *RGB, o int) *RGB {
	switch o {
	case 2:
		for y := range src.H {
			reversePixels(src.row(y))
		}
	case 3:
		reversePixels(src.Pix)
	case 4:
		tmp := make([]byte, 3*src.W)
		for y := range src.H / 2 {
			a, b := src.row(y), src.row(src.H-1-y)
			copy(tmp, a)
			copy(a, b)
			copy(b, tmp)
		}
	case 5:
		return transpose(src, false, false)
	case 6:
		return transpose(src, true, false)
	case 7:
		return transpose(src, true, true)
	case 8:
		return transpose(src, false, true)
	}
	return src
}

func reversePixels(p []byte) {
	for i, j := 0, len(p)-3; i < j; i, j = i+3, j-3 {
		p[i], p[j] = p[j], p[i]
		p[i+1], p[j+1] = p[j+1], p[i+1]
		p[i+2], p[j+2] = p[j+2], p[i+2]
	}
}

// transpose makes rows of columns, in the reverse order where asked: mirrorX
// turns the result left to right, mirrorY upside down. Blocks of 16 × 16 keep
// both sides in the cache.
func transpose(src *RGB, mirrorX, mirrorY bool) *RGB {
	const block = 16
	dst := NewRGB(src.H, src.W)
	for by := 0; by < src.H; by += block {
		for bx := 0; bx < src.W; bx += block {
			for y := by; y < min(by+block, src.H); y++ {
				dx := y
				if mirrorX {
					dx = src.H - 1 - y
				}
				row := src.row(y)
				for x := bx; x < min(bx+block, src.W); x++ {
					dy := x
					if mirrorY {
						dy = src.W - 1 - x
					}
					copy(dst.Pix[3*(dy*dst.W+dx):][:3], row[3*x:])
				}
			}
		}
	}
	return dst
}
