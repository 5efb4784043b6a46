package pixel

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
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

	data []byte
}

func readTestdata(tb testing.TB, name string) []byte {
	tb.Helper()
	return readFile(tb, "testdata", name)
}

func readFile(tb testing.TB, path ...string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func pictures(tb testing.TB) []picture { return picturesIn(tb, "testdata") }

func picturesIn(tb testing.TB, dir string) []picture {
	tb.Helper()
	var list []picture
	if err := json.Unmarshal(readFile(tb, dir, "pictures.json"), &list); err != nil {
		tb.Fatal(err)
	}
	for i := range list {
		list[i].data = readFile(tb, dir, "pictures", list[i].Name)
	}
	return list
}

func digest(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// Every kind of picture, decoded and oriented, equals Pillow's in every pixel.
// SCRY_PIXEL_PICTURES may name a folder of other pictures to compare on, such as
// scripts/pixel/random_pictures.py makes.
func TestDecodeAgainstPillow(t *testing.T) {
	list := picturesIn(t, cmp.Or(os.Getenv("SCRY_PIXEL_PICTURES"), "testdata"))
	if len(list) < 50 {
		t.Fatalf("%d pictures", len(list))
	}
	for _, p := range list {
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
			if digest(img.Pix) != p.SHA256 {
				t.Error("pixels differ from Pillow's")
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

// SCRY_PIXEL_RESIZES may name a file of other cases, such as
// scripts/differential/resizes.py makes.
func TestResizeEqualsPillow(t *testing.T) {
	var cases []struct {
		Seed     uint64
		From, To [2]int
		Filter   string
		SHA256   string
	}
	if err := json.Unmarshal(readFile(t, cmp.Or(os.Getenv("SCRY_PIXEL_RESIZES"), filepath.Join("testdata", "resize.json"))), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 100 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		f, err := parseFilter(c.Filter)
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

// A pixel that Pillow's constants of single precision decide; `make
// differential` found it.
func TestResizeHamming(t *testing.T) {
	src := &RGB{W: 50, H: 50, Pix: noise(4115439880, 3*50*50)}
	if got := digest(Resize(src, 372, 5, Hamming).Pix); got != "9e4b752ce4be37dff90570c0cd3864b8f6e04dbdf4d04495575de5f23341fa6a" {
		t.Error("differs from Pillow")
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

// parseFilter is the inverse of Filter.String.
func parseFilter(name string) (Filter, error) {
	for f := Nearest; f <= Hamming; f++ {
		if f.String() == name {
			return f, nil
		}
	}
	return 0, fmt.Errorf("unknown resampling filter %q", name)
}
