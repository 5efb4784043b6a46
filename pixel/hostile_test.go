package pixel

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func testPicture(tb testing.TB, name string) []byte {
	tb.Helper()
	return readTestdata(tb, "pictures/"+name)
}

func pngChunk(kind string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, kind...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// pngHeader is the beginning of a PNG file of 8-bit RGB.
func pngHeader(w, h uint32) []byte {
	body := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	return append([]byte(pngSignature), pngChunk("IHDR", append(body, 8, 2, 0, 0, 0))...)
}

// jpegHeader is a JPEG file up to and with the header of its first scan. sof
// is the kind of frame.
func jpegHeader(sof byte, bits byte, w, h uint16, channels byte) []byte {
	b := []byte{0xff, 0xd8, 0xff, sof, 0, 8 + 3*channels, bits, byte(h >> 8), byte(h), byte(w >> 8), byte(w), channels}
	for i := range channels {
		b = append(b, i+1, 0x11, 0)
	}
	b = append(b, 0xff, 0xda, 0, 6+2*channels, channels)
	for i := range channels {
		b = append(b, i+1, 0)
	}
	return append(b, 0, 63, 0)
}

func gifHeader(w, h uint16) []byte {
	b := binary.LittleEndian.AppendUint16([]byte("GIF89a"), w)
	return append(binary.LittleEndian.AppendUint16(b, h), 0, 0, 0)
}

func gifFrame(w, h uint16) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{0x2c, 0, 0, 0, 0}, w)
	return append(binary.LittleEndian.AppendUint16(b, h), 0, 2, 2, 0x4c, 0x01, 0)
}

// webp is a RIFF container around chunks.
func webp(chunks ...[]byte) []byte {
	body := append([]byte("WEBP"), bytes.Join(chunks, nil)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func riffChunk(kind string, body ...byte) []byte {
	b := append(binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(body))), body...)
	return append(b, make([]byte, len(body)&1)...)
}

// repeatedScan returns a progressive JPEG whose last scan occurs n times more.
func repeatedScan(tb testing.TB, n int) []byte {
	data := testPicture(tb, "progressive-420.jpg")
	last := bytes.LastIndex(data, []byte{0xff, 0xda})
	end := len(data) - 2
	return bytes.Join([][]byte{data[:end], bytes.Repeat(data[last:end], n), data[end:]}, nil)
}

// bombs have headers that promise more than anybody wants to have decoded.
func bombs(tb testing.TB) map[string][]byte {
	// A PNG of 30,000 × 30,000 black pixels would be 2.6 MB of zlib; its header is enough.
	return map[string][]byte{
		"PNG 65535 × 65535":      pngHeader(65535, 65535),
		"PNG 2³¹-1 × 2³¹-1":      pngHeader(1<<31-1, 1<<31-1),
		"PNG long":               pngHeader(1<<20, 1),
		"PNG 8193 × 8192":        pngHeader(8193, 8192),
		"JPEG 60000 × 60000":     jpegHeader(0xc0, 8, 60000, 60000, 3),
		"JPEG 65535 × 65535":     jpegHeader(0xc2, 8, 65535, 65535, 4),
		"JPEG progressive 60 MP": jpegHeader(0xc2, 8, 8000, 7500, 3),
		"JPEG 1000 scans":        repeatedScan(tb, 1000),
		"GIF frame":              append(gifHeader(1, 1), gifFrame(65535, 65535)...),
		"GIF screen":             append(gifHeader(65535, 65535), gifFrame(1, 1)...),
		"WebP lossy":             webp(riffChunk("VP8 ", 0x10, 0, 0, 0x9d, 1, 0x2a, 0xff, 0x3f, 0xff, 0x3f)),
		"WebP lossless":          webp(riffChunk("VP8L", 0x2f, 0xff, 0xff, 0xff, 0x0f)),
		"WebP animation canvas": webp(riffChunk("VP8X", 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
			riffChunk("ANMF", append(make([]byte, 16), riffChunk("VP8L", 0x2f, 0, 0, 0, 0)...)...)),
	}
}

// Header bombs are refused before their pixels cost anything.
func TestBombs(t *testing.T) {
	for name, data := range bombs(t) {
		t.Run(name, func(t *testing.T) {
			var err error
			allocated := allocatedBytes(func() { _, _, err = Decode(context.Background(), data, Limits{}) })
			if !errors.Is(err, ErrTooLarge) {
				t.Errorf("got %v, want ErrTooLarge", err)
			}
			if allocated > 16<<10 {
				t.Errorf("%d bytes allocated", allocated)
			}
			if allocated := allocatedBytes(func() { DecodeConfig(data) }); allocated > 16<<10 {
				t.Errorf("DecodeConfig: %d bytes allocated", allocated)
			}
		})
	}
}

func allocatedBytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What decoding allocates stays below what Info.Memory announces.
func TestMemoryBound(t *testing.T) {
	check := func(name string, data []byte) {
		info, err := DecodeConfig(data)
		if err != nil {
			t.Fatal(name, err)
		}
		got := allocatedBytes(func() { _, _, err = Decode(context.Background(), data, Limits{}) })
		if err != nil {
			t.Fatal(name, err)
		}
		if int64(got) > info.Memory {
			t.Errorf("%s: %d bytes allocated, %d announced", name, got, info.Memory)
		}
	}
	for _, p := range pictures(t) {
		check(p.Name, p.data)
	}
	large := enlarged(t, 800, 600)
	check("large", large)
	if info, _ := DecodeConfig(large); info.Memory > 6*800*600 {
		t.Errorf("%d bytes announced for 800 × 600 of 4:2:0", info.Memory)
	}
}

func TestBadPictures(t *testing.T) {
	baseline, gif := testPicture(t, "baseline-420.jpg"), testPicture(t, "plain.gif")
	badChecksum := bytes.Clone(testPicture(t, "rgb.png"))
	badChecksum[len(badChecksum)-20] ^= 1
	lossy := testPicture(t, "lossy.webp")
	tests := []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, ErrFormat},
		{"one byte", []byte{0xff}, ErrFormat},
		{"text", []byte("hello, world"), ErrFormat},
		{"SVG", []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), ErrFormat},
		{"BMP", []byte("BM\x46\x00\x00\x00\x00\x00\x00\x00"), ErrFormat},
		{"RIFF that is no WebP", []byte("RIFF\x10\x00\x00\x00AVI LIST"), ErrFormat},
		{"JPEG behind text", append([]byte("GIF"), baseline...), ErrFormat},

		{"PNG signature", []byte(pngSignature), ErrTruncated},
		{"PNG 0 × 0", pngHeader(0, 0), ErrCorrupt},
		{"PNG 5 × 0", pngHeader(5, 0), ErrCorrupt},
		{"PNG without pixels", pngHeader(5, 5), ErrTruncated},
		{"PNG with an end but no pixels", append(pngHeader(5, 5), pngChunk("IEND", nil)...), ErrCorrupt},
		{"PNG without a header", append([]byte(pngSignature), pngChunk("IDAT", nil)...), ErrCorrupt},
		{"PNG checksum", badChecksum, ErrCorrupt},
		{"PNG of JPEG", append([]byte(pngSignature), baseline...), ErrCorrupt},

		{"JPEG markers only", []byte{0xff, 0xd8, 0xff, 0xd9}, ErrCorrupt},
		{"JPEG start", []byte{0xff, 0xd8, 0xff}, ErrTruncated},
		{"JPEG start and noise", append([]byte{0xff, 0xd8, 0xff, 0xe0}, make([]byte, 100)...), ErrCorrupt},
		{"JPEG 0 × 0", jpegHeader(0xc0, 8, 0, 0, 3), ErrCorrupt},
		{"JPEG 5 × 0", jpegHeader(0xc0, 8, 5, 0, 3), ErrCorrupt},
		{"JPEG of 12 bits", jpegHeader(0xc1, 12, 8, 8, 3), ErrUnsupported},
		{"JPEG of two channels", jpegHeader(0xc0, 8, 8, 8, 2), ErrUnsupported},
		{"JPEG lossless", jpegHeader(0xc3, 8, 8, 8, 3), ErrUnsupported},
		{"JPEG arithmetic", jpegHeader(0xc9, 8, 8, 8, 3), ErrUnsupported},
		{"JPEG header only", jpegHeader(0xc0, 8, 8, 8, 3), ErrTruncated},
		{"JPEG of two frames", append(jpegHeader(0xc0, 8, 8, 8, 3), jpegHeader(0xc0, 8, 8, 8, 3)...), ErrCorrupt},
		{"JPEG without an end", baseline[:len(baseline)-2], ErrTruncated},
		{"JPEG cut in half", baseline[:len(baseline)/2], ErrTruncated},
		{"JPEG progressive cut", testPicture(t, "progressive-420.jpg")[:3000], ErrTruncated},
		{"JPEG CMYK cut", testPicture(t, "ycck.jpg")[:3000], ErrTruncated},

		{"GIF header", []byte("GIF89a"), ErrTruncated},
		{"GIF of script", []byte("GIF89a/*\x00\x00*/=1;alert(1)"), ErrCorrupt},
		{"GIF without a frame", append(gifHeader(5, 5), 0x3b), ErrCorrupt},
		{"GIF frame of 0 × 0", append(gifHeader(5, 5), gifFrame(0, 0)...), ErrCorrupt},
		{"GIF with too few pixels", append(gifHeader(5, 5), gifFrame(5, 5)...), ErrTruncated},
		{"GIF cut in half", gif[:len(gif)/2], ErrTruncated},
		{"GIF cut in its palette", gif[:100], ErrTruncated},

		{"WebP header", webp(), ErrCorrupt},
		{"WebP cut before its frame", testPicture(t, "exif-8.webp")[:28], ErrTruncated},
		{"WebP cut in half", lossy[:len(lossy)/2], ErrTruncated},
		{"WebP lossless cut in half", testPicture(t, "lossless.webp")[:500], ErrTruncated},
		{"WebP animation cut", testPicture(t, "animated.webp")[:500], ErrTruncated},
		{"WebP 0 × 0", webp(riffChunk("VP8 ", 0x10, 0, 0, 0x9d, 1, 0x2a, 0, 0, 0, 0)), ErrCorrupt},
		{"WebP inter frame", webp(riffChunk("VP8 ", 0x11, 0, 0, 0x9d, 1, 0x2a, 9, 0, 9, 0)), ErrCorrupt},
		{"WebP of two sizes", webp(riffChunk("VP8X", make([]byte, 10)...), lossy[12:]), ErrCorrupt},
		{"WebP frame off its canvas", webp(riffChunk("VP8X", make([]byte, 10)...),
			riffChunk("ANMF", append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, riffChunk("VP8L", 0x2f, 0, 0, 0, 0)...)...)), ErrCorrupt},
		{"WebP header too short", webp(riffChunk("VP8X", 1, 2)), ErrCorrupt},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			img, _, err := Decode(context.Background(), test.data, Limits{})
			if !errors.Is(err, test.want) || img != nil {
				t.Errorf("got %v, %v, want %v", img, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "decoder failed") {
				t.Errorf("a panic: %v", err)
			}
		})
	}
}

// What follows a picture, or comes with it, does not change it.
func TestPolyglots(t *testing.T) {
	for _, name := range []string{"baseline-420.jpg", "rgb.png", "plain.gif", "lossy.webp", "lossless.webp"} {
		data := testPicture(t, name)
		want, _, err := Decode(context.Background(), data, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, tail := range [][]byte{[]byte("PK\x03\x04 and so on"), testPicture(t, "tiny-3x3.jpg"), make([]byte, 1000)} {
			got, _, err := Decode(context.Background(), append(bytes.Clone(data), tail...), Limits{})
			if err != nil || !bytes.Equal(got.Pix, want.Pix) {
				t.Errorf("%s with %q behind it: %v", name, tail[:4], err)
			}
		}
	}
}

// Of an animation only the first frame is read, however many there are.
func TestManyFrames(t *testing.T) {
	data := testPicture(t, "plain.gif")
	frame := data[bytes.IndexByte(data[13+384:], 0x2c)+13+384 : len(data)-1]
	many := bytes.Join([][]byte{data[:len(data)-1], bytes.Repeat(frame, 10_000)}, nil)
	if len(many) < 10_000_000 {
		t.Fatalf("%d bytes", len(many))
	}
	want, _, err := Decode(context.Background(), data, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	limits := Limits{MaxBytes: len(many)}
	var got *RGB
	allocated := allocatedBytes(func() { got, _, err = Decode(context.Background(), many, limits) })
	if err != nil || !bytes.Equal(got.Pix, want.Pix) {
		t.Fatalf("differs from a GIF of one frame: %v", err)
	}
	if allocated > 256<<10 {
		t.Errorf("%d bytes allocated", allocated)
	}
	if _, _, err := Decode(context.Background(), many, Limits{MaxBytes: len(many) - 1}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte beyond the limit: %v", err)
	}
}

func TestScansWithinLimit(t *testing.T) {
	if _, _, err := Decode(context.Background(), repeatedScan(t, 1000), Limits{MaxScans: 2000}); errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, _, err := Decode(context.Background(), testPicture(t, "progressive-420.jpg"), Limits{MaxScans: 9}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	info := Info{Width: 100, Height: 50, Memory: 1000}
	for _, l := range []Limits{{MaxSide: 99}, {MaxPixels: 4999}, {MaxMemory: 999}} {
		if err := l.Check(info); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if err := (Limits{MaxSide: 100, MaxPixels: 5000, MaxMemory: 1000}).Check(info); err != nil {
		t.Error(err)
	}
	// A photograph of 48 MP fits the defaults, but not with the coefficients of a
	// progressive one at full chroma.
	for _, sof := range []byte{0xc0, 0xc2} {
		if info, err := DecodeConfig(jpegHeader(sof, 8, 8064, 6048, 3)); err != nil || (sof == 0xc0) != ((Limits{}).Check(info) == nil) {
			t.Errorf("%x: %v, %v", sof, err, (Limits{}).Check(info))
		}
	}
}

// dyingContext is cancelled when it has been asked n times.
type dyingContext struct {
	context.Context
	n int
}

func (c *dyingContext) Err() error {
	if c.n--; c.n < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func TestCancel(t *testing.T) {
	for _, name := range []string{"baseline-420.jpg", "progressive-420.jpg", "ycck.jpg", "rgb-16.png", "plain.gif", "lossy.webp", "lossless.webp"} {
		data := testPicture(t, name)
		asked := 0
		for ; ; asked++ {
			_, _, err := Decode(&dyingContext{context.Background(), asked}, data, Limits{})
			if err == nil {
				break
			}
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s, cancelled at %d: %v", name, asked, err)
			}
		}
		if asked < 3 {
			t.Errorf("%s: the context was asked %d times", name, asked)
		}
	}
}

type fallingOver struct{ container }

func (fallingOver) decode(context.Context, *buffer) (*RGB, error) { panic("at the disco") }

func TestPanicIsContained(t *testing.T) {
	if img, err := render(context.Background(), fallingOver{}, new(buffer)); img != nil || !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v, %v", img, err)
	}
}

// Every prefix of a picture is refused or decoded, quickly and without a panic
// of our own.
func TestPrefixes(t *testing.T) {
	for _, name := range []string{"exif-6.jpg", "tiny-3x3.jpg", "interlaced-tiny.png", "offset-transparent.gif", "animated-offset.webp", "tiny-3x3.webp"} {
		data := testPicture(t, name)
		for n := range data {
			checkDecode(t, data[:n])
		}
	}
}

// checkDecode holds what is promised for any data at all.
func checkDecode(t *testing.T, data []byte) {
	t.Helper()
	limits := Limits{MaxPixels: 1 << 20, MaxMemory: 64 << 20}
	start := time.Now()
	info, configErr := DecodeConfig(data)
	img, got, err := Decode(context.Background(), data, limits)
	if m, _, err := decodeAlpha(context.Background(), data, limits); err == nil && m.A != nil && len(m.A) != m.W*m.H {
		t.Errorf("%d opacities of %d×%d pixels", len(m.A), m.W, m.H)
	}
	known := false
	for _, want := range []error{nil, ErrFormat, ErrUnsupported, ErrTruncated, ErrCorrupt, ErrTooLarge} {
		known = known || errors.Is(err, want)
	}
	if !known {
		t.Errorf("unclassified error %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "decoder failed") {
		t.Errorf("a panic: %v", err)
	}
	if err == nil && (configErr != nil || info != got || img.W != info.Width || img.H != info.Height || len(img.Pix) != 3*img.W*img.H) {
		t.Errorf("config %v %+v, decode %+v, picture %d×%d", configErr, info, got, img.W, img.H)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/pictures/*")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 6<<10 {
			f.Add(data)
		}
	}
	for _, data := range bombs(f) {
		if len(data) < 6<<10 {
			f.Add(data)
		}
	}
	f.Fuzz(checkDecode)
}

func FuzzOrientation(f *testing.F) {
	f.Add([]byte("Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"))
	f.Add([]byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x08\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o := exifOrientation(b); o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
	})
}

// Memory is reused between pictures; nothing of the last one may show.
func TestNothingShowsThrough(t *testing.T) {
	for _, p := range pictures(t) {
		dirty := func() *buffer { return &buffer{bytes: bytes.Repeat([]byte{0xa5}, 1<<20)} }
		for range 4 { // what planes and windows are taken from
			putBuffer(dirty())
		}
		c, err := open(p.data)
		if err != nil {
			t.Fatal(p.Name, err)
		}
		img, err := render(context.Background(), c, dirty())
		if err != nil || digest(img.Pix) != p.SHA256 {
			t.Errorf("%s: differs in used memory (%v)", p.Name, err)
		}
	}
}

// A channel that no scan brings must not be made up from what lay in memory.
func TestMissingChannel(t *testing.T) {
	data := testPicture(t, "own-rgb-ids.jpg")
	at := bytes.Index(data, []byte{0xff, 0xda})
	one := append([]byte{0xff, 0xda, 0, 8, 1, 'R', 0, 0, 63, 0}, data[at+14:]...)
	if _, _, err := Decode(context.Background(), append(bytes.Clone(data[:at]), one...), Limits{}); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}
