package imageanalysis

import (
	"math"
	"testing"
)

// TestCIEDE2000 compares with the pairs that Sharma, Wu and Dalal published.
func TestCIEDE2000(t *testing.T) {
	for _, c := range []struct {
		p, q lab
		want float64
	}{
		{lab{50, 2.6772, -79.7751}, lab{50, 0, -82.7485}, 2.0425},
		{lab{50, 3.1571, -77.2803}, lab{50, 0, -82.7485}, 2.8615},
		{lab{50, 2.8361, -74.0200}, lab{50, 0, -82.7485}, 3.4412},
		{lab{50, -1.3802, -84.2814}, lab{50, 0, -82.7485}, 1.0000},
		{lab{50, -1.1848, -84.8006}, lab{50, 0, -82.7485}, 1.0000},
		{lab{50, -0.9009, -85.5211}, lab{50, 0, -82.7485}, 1.0000},
		{lab{50, 0, 0}, lab{50, -1, 2}, 2.3669},
		{lab{50, -1, 2}, lab{50, 0, 0}, 2.3669},
		{lab{50, 2.4900, -0.0010}, lab{50, -2.4900, 0.0009}, 7.1792},
		{lab{50, 2.4900, -0.0010}, lab{50, -2.4900, 0.0010}, 7.1792},
		{lab{50, 2.4900, -0.0010}, lab{50, -2.4900, 0.0011}, 7.2195},
		{lab{50, 2.4900, -0.0010}, lab{50, -2.4900, 0.0012}, 7.2195},
		{lab{50, -0.0010, 2.4900}, lab{50, 0.0009, -2.4900}, 4.8045},
		{lab{50, -0.0010, 2.4900}, lab{50, 0.0010, -2.4900}, 4.8045},
		{lab{50, -0.0010, 2.4900}, lab{50, 0.0011, -2.4900}, 4.7461},
		{lab{50, 2.5, 0}, lab{50, 0, -2.5}, 4.3065},
		{lab{50, 2.5, 0}, lab{73, 25, -18}, 27.1492},
		{lab{50, 2.5, 0}, lab{61, -5, 29}, 22.8977},
		{lab{50, 2.5, 0}, lab{56, -27, -3}, 31.9030},
		{lab{50, 2.5, 0}, lab{58, 24, 15}, 19.4535},
		{lab{50, 2.5, 0}, lab{50, 3.1736, 0.5854}, 1.0000},
		{lab{50, 2.5, 0}, lab{50, 3.2972, 0}, 1.0000},
		{lab{50, 2.5, 0}, lab{50, 1.8634, 0.5757}, 1.0000},
		{lab{50, 2.5, 0}, lab{50, 3.2592, 0.3350}, 1.0000},
		{lab{60.2574, -34.0099, 36.2677}, lab{60.4626, -34.1751, 39.4387}, 1.2644},
		{lab{63.0109, -31.0961, -5.8663}, lab{62.8187, -29.7946, -4.0864}, 1.2630},
		{lab{61.2901, 3.7196, -5.3901}, lab{61.4292, 2.2480, -4.9620}, 1.8731},
		{lab{35.0831, -44.1164, 3.7933}, lab{35.0232, -40.0716, 1.5901}, 1.8645},
		{lab{22.7233, 20.0904, -46.6940}, lab{23.0331, 14.9730, -42.5619}, 2.0373},
		{lab{36.4612, 47.8580, 18.3852}, lab{36.2715, 50.5065, 21.2231}, 1.4146},
		{lab{90.8027, -2.0831, 1.4410}, lab{91.1528, -1.6435, 0.0447}, 1.4441},
		{lab{90.9257, -0.5406, -0.9208}, lab{88.6381, -0.8985, -0.7239}, 1.5381},
		{lab{6.7747, -0.2908, -2.4247}, lab{5.8714, -0.0985, -2.2286}, 0.6377},
		{lab{2.0776, 0.0795, -1.1350}, lab{0.9033, -0.0636, -0.5514}, 0.9082},
	} {
		if got, back := ciede2000(c.p, c.q), ciede2000(c.q, c.p); math.Abs(got-c.want) > 5e-5 || math.Abs(got-back) > 1e-9 {
			t.Errorf("%v, %v: %v and %v, want %v", c.p, c.q, got, back, c.want)
		}
	}
}

// TestLab compares with published values of sRGB's corners, and every colour of
// a grid with itself after there and back.
func TestLab(t *testing.T) {
	for rgb, want := range map[[3]byte]lab{
		{255, 255, 255}: {100, 0, 0}, {0, 0, 0}: {}, {255, 0, 0}: {53.24, 80.09, 67.20},
		{0, 255, 0}: {87.73, -86.18, 83.18}, {0, 0, 255}: {32.30, 79.19, -107.86}, {119, 119, 119}: {50.03, 0, 0},
	} {
		if got := labOf(rgb[0], rgb[1], rgb[2]); math.Sqrt(got.distance(want)) > 0.02 {
			t.Errorf("%v: %v, want %v", rgb, got, want)
		}
	}
	for r := 0; r < 256; r += 15 {
		for g := 0; g < 256; g += 15 {
			for b := 0; b < 256; b += 15 {
				in := [3]byte{byte(r), byte(g), byte(b)}
				if out := labOf(in[0], in[1], in[2]).srgb(); out != in {
					t.Errorf("%v comes back as %v", in, out)
				}
			}
		}
	}
}

// TestColorNames: every swatch has its own name, and colours that are known by a
// word have it.
func TestColorNames(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range colorNames {
		if seen[n.en] || n.ru == "" {
			t.Errorf("%q occurs twice, or lacks its Russian name", n.en)
		}
		seen[n.en] = true
		if en, _ := nameOf([3]byte{byte(n.rgb >> 16), byte(n.rgb >> 8), byte(n.rgb)}); en != n.en {
			t.Errorf("%06X is %s, want %s", n.rgb, en, n.en)
		}
	}
	for rgb, want := range map[[3]byte]string{
		{250, 5, 5}: "red", {3, 2, 4}: "black", {252, 253, 252}: "white", {5, 5, 125}: "navy", {128, 126, 129}: "gray",
		{255, 190, 200}: "pink", {128, 0, 35}: "burgundy", {10, 125, 8}: "green", {62, 222, 207}: "turquoise", {228, 210, 180}: "beige",
	} {
		if en, _ := nameOf(rgb); en != want {
			t.Errorf("%v is %s, want %s", rgb, en, want)
		}
	}
}
