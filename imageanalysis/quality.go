package imageanalysis

import (
	"math"

	"github.com/scry-ml/scry/pixel"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

const (
	// sharpSide is the longer side at which sharpness is measured, so that it does
	// not depend on the camera's number of pixels.
	sharpSide = 512
	// Luma that tells no detail.
	blackLuma, whiteLuma = 5, 250
)

// MeasureQuality answers how good a picture is, technically.
func MeasureQuality(img *pixel.RGB) *imageanalysisv1.Quality {
	var counts [256]int
	for p := img.Pix; len(p) >= 3; p = p[3:] {
		counts[pixel.Luma(p[0], p[1], p[2])]++
	}
	n, sum, squares := float64(img.W*img.H), 0.0, 0.0
	under, over := 0, 0
	for l, count := range counts {
		sum += float64(l * count)
		squares += float64(l * l * count)
		if l <= blackLuma {
			under += count
		}
		if l >= whiteLuma {
			over += count
		}
	}
	mean := sum / n
	return &imageanalysisv1.Quality{
		Sharpness: sharpness(img), Brightness: mean / 255, Contrast: math.Sqrt(max(0, squares/n-mean*mean)) / 255,
		Underexposed: float64(under) / n, Overexposed: float64(over) / n, Megapixels: n / 1e6,
	}
}

// sharpness is the variance of the Laplacian; 0 for a picture that is too small
// to have one.
func sharpness(img *pixel.RGB) float64 {
	if long := max(img.W, img.H); long > sharpSide {
		side := func(n int) int { return max(1, int(math.Floor(float64(n)*(float64(sharpSide)/float64(long))+0.5))) }
		img = pixel.Resize(img, side(img.W), side(img.H), pixel.Bilinear)
	}
	if img.W < 3 || img.H < 3 {
		return 0
	}
	lumas := make([]int, img.W*img.H)
	for i := range lumas {
		p := img.Pix[3*i:]
		lumas[i] = int(pixel.Luma(p[0], p[1], p[2]))
	}
	var sum, squares int
	for y := 1; y < img.H-1; y++ {
		up, row, down := lumas[(y-1)*img.W:], lumas[y*img.W:], lumas[(y+1)*img.W:]
		for x := 1; x < img.W-1; x++ {
			d := up[x] + down[x] + row[x-1] + row[x+1] - 4*row[x]
			sum += d
			squares += d * d
		}
	}
	n := float64((img.W - 2) * (img.H - 2))
	mean := float64(sum) / n
	return float64(squares)/n - mean*mean
}
