package pixel

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// picture is one entry of testdata/pictures.json: a file and what Pillow
// makes of it (see scripts/pixel/make_testdata.py).
type picture struct {
	Name          string `json:"name"`
	Width, Height int
	Orientation   int    `json:"orientation"`
	SHA256        string `json:"sha256"`
	PixelsAt      *int   `json:"pixels_at"`
	ResizedAt     int    `json:"resized_at"`

	data            []byte
	pixels, resized []byte // expected; pixels of JPEG only
}

const resizedW, resizedH = 48, 40

func readTestdata(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func pictures(tb testing.TB) []picture {
	tb.Helper()
	var list []picture
	if err := json.Unmarshal(readTestdata(tb, "pictures.json"), &list); err != nil {
		tb.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(readTestdata(tb, "expected.bin.gz")))
	if err != nil {
		tb.Fatal(err)
	}
	expected, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range list {
		p := &list[i]
		p.data = readTestdata(tb, "pictures/"+p.Name)
		p.resized = expected[p.ResizedAt:][:3*resizedW*resizedH]
		if p.PixelsAt != nil {
			p.pixels = expected[*p.PixelsAt:][:3*p.Width*p.Height]
		}
	}
	return list
}

// deviation returns the mean and the largest difference of two pictures.
func deviation(got, want []byte) (mean float64, largest int) {
	sum := 0
	for i := range got {
		d := int(got[i]) - int(want[i])
		d = max(d, -d)
		sum += d
		largest = max(largest, d)
	}
	return float64(sum) / float64(len(got)), largest
}

func digest(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// Every kind of picture, decoded, oriented and resized, is within a mean of 0.1
// and a maximum of 3 of Pillow; PNG, WebP and GIF are equal.
func TestDecodeAgainstPillow(t *testing.T) {
	for _, p := range pictures(t) {
		t.Run(p.Name, func(t *testing.T) {
			img, info, err := Decode(context.Background(), p.data, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if info.Width != p.Width || info.Height != p.Height || img.W != p.Width || img.H != p.Height {
				t.Fatalf("size: info %d×%d, picture %d×%d, want %d×%d", info.Width, info.Height, img.W, img.H, p.Width, p.Height)
			}
			if info.Orientation != p.Orientation {
				t.Errorf("orientation %d, want %d", info.Orientation, p.Orientation)
			}
			resized := Resize(img, resizedW, resizedH, Bilinear)
			mean, largest := deviation(resized.Pix, p.resized)
			if info.Format != JPEG {
				if got := digest(img.Pix); got != p.SHA256 {
					t.Errorf("pixels differ from Pillow's (resized: mean %.3f, max %d)", mean, largest)
				}
				return
			}
			fullMean, fullLargest := deviation(img.Pix, p.pixels)
			t.Logf("decoded: mean %.3f, max %d; resized: mean %.3f, max %d", fullMean, fullLargest, mean, largest)
			if mean > 0.1 || largest > 3 {
				t.Errorf("resized: mean %.3f, max %d from Pillow", mean, largest)
			}
			if fullMean > 0.1 || fullLargest > 3 {
				t.Errorf("decoded: mean %.3f, max %d from Pillow", fullMean, fullLargest)
			}
		})
	}
}

// noise is the generator of make_testdata.py: splitmix64, little-endian.
func noise(seed uint64, n int) []byte {
	out := make([]byte, 0, n+7)
	for i := uint64(1); len(out) < n; i++ {
		z := seed + i*0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		out = binary.LittleEndian.AppendUint64(out, z^z>>31)
	}
	return out[:n]
}

func TestResizeEqualsPillow(t *testing.T) {
	var cases []struct {
		Seed     uint64
		From, To [2]int
		Filter   string
		SHA256   string
	}
	if err := json.Unmarshal(readTestdata(t, "resize.json"), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 100 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		f, err := ParseFilter(c.Filter)
		if err != nil {
			t.Fatal(err)
		}
		src := &RGB{W: c.From[0], H: c.From[1], Pix: noise(c.Seed, 3*c.From[0]*c.From[1])}
		dst := Resize(src, c.To[0], c.To[1], f)
		if digest(dst.Pix) != c.SHA256 {
			t.Errorf("%s %v to %v differs from Pillow", c.Filter, c.From, c.To)
		}
	}
}

// A window of a resize is what a crop of the whole resize would be.
func TestResizeWindow(t *testing.T) {
	src := &RGB{W: 61, H: 47, Pix: noise(1, 3*61*47)}
	for f := Nearest; f <= Hamming; f++ {
		for _, size := range [][2]int{{30, 20}, {61, 20}, {30, 47}, {61, 47}, {90, 100}} {
			w, h := size[0], size[1]
			whole := Resize(src, w, h, f)
			for _, win := range [][4]int{{0, 0, w, h}, {3, 2, 7, 9}, {w - 5, h - 4, 5, 4}, {w / 2, 0, 1, h}} {
				want := Crop(whole, win[0], win[1], win[2], win[3])
				got := NewRGB(win[2], win[3])
				resizeWindow(got, src, w, h, win[0], win[1], f)
				if !bytes.Equal(got.Pix, want.Pix) {
					t.Error(fmt.Sprint(f, size, win))
				}
			}
		}
	}
}
