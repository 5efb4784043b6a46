//go:build unix

package turbojpeg_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/scry-ml/scry/pixel"
	"github.com/scry-ml/scry/turbojpeg"
)

func library(t testing.TB) *turbojpeg.Library {
	t.Helper()
	l, err := turbojpeg.Open(cmp.Or(os.Getenv("SCRY_JPEG_LIBRARY"), "libturbojpeg.so.0"))
	if err != nil {
		t.Skipf("no libturbojpeg here (SCRY_JPEG_LIBRARY names one): %v", err)
	}
	return l
}

func jpegs(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("../pixel/testdata/pictures/*.jpg")
	if err != nil || len(names) < 30 {
		t.Fatal(names, err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		if out[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestEqualsOwn: pixels, orientation and errors are the same with the library,
// which does decode most; the own decoder's equal Pillow's.
func TestEqualsOwn(t *testing.T) {
	l := library(t)
	var decoded atomic.Int64
	t.Cleanup(func() { pixel.UseJPEGLibrary(nil) })
	same := func(name string, data []byte) {
		pixel.UseJPEGLibrary(nil)
		want, wantInfo, wantErr := pixel.Decode(context.Background(), data, pixel.Limits{})
		pixel.UseJPEGLibrary(func(data []byte, w, h int, dst []byte) bool {
			ok := l.Decode(data, w, h, dst)
			if ok {
				decoded.Add(1)
			}
			return ok
		})
		got, info, err := pixel.Decode(context.Background(), data, pixel.Limits{})
		if info != wantInfo || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Errorf("%s: %v %v, want %v %v", name, info, err, wantInfo, wantErr)
		} else if err == nil && !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("%s: pixels differ", name)
		}
	}
	for name, data := range jpegs(t) {
		same(name, data)
		if strings.HasPrefix(name, "tiny") {
			for n := range data {
				same(name+" cut", data[:n])
			}
		}
		same(name+" and more", append(bytes.Clone(data), "PK\x03\x04"...))
	}
	if decoded.Load() < 40 {
		t.Errorf("the library decoded %d pictures", decoded.Load())
	}
}

func TestTogether(t *testing.T) {
	l := library(t)
	data := jpegs(t)["baseline-420.jpg"]
	info, err := pixel.DecodeConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 3*info.Width*info.Height)
	if !l.Decode(data, info.Width, info.Height, want) {
		t.Fatal("refused")
	}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			dst := make([]byte, len(want))
			if !l.Decode(data, info.Width, info.Height, dst) || !bytes.Equal(dst, want) {
				t.Error("differs")
			}
		})
	}
	group.Wait()
}

// TestRefused: what does not fit is refused before the library sees it.
func TestRefused(t *testing.T) {
	l := library(t)
	data := jpegs(t)["baseline-420.jpg"]
	if l.Decode(nil, 1, 1, make([]byte, 3)) || l.Decode(data, 10, 10, make([]byte, 299)) || l.Decode(data, 0, 1, nil) || l.Decode(data[:40], 4, 4, make([]byte, 48)) {
		t.Error("decoded")
	}
	if _, err := turbojpeg.Open("/nowhere/libturbojpeg.so"); err == nil || errors.Is(err, os.ErrNotExist) && !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("%v", err)
	}
}

func BenchmarkDecode(b *testing.B) {
	l := library(b)
	data, err := os.ReadFile("../scripts/demo/coffee.jpg")
	if err != nil {
		b.Fatal(err)
	}
	for name, use := range map[string]pixel.JPEGLibrary{"own": nil, "library": l.Decode} {
		b.Run(name, func(b *testing.B) {
			pixel.UseJPEGLibrary(use)
			defer pixel.UseJPEGLibrary(nil)
			for b.Loop() {
				if _, _, err := pixel.Decode(b.Context(), data, pixel.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzLibrary: whatever the data, the library neither crashes nor changes a
// picture that the own decoder reads.
func FuzzLibrary(f *testing.F) {
	l := library(f)
	for _, data := range jpegs(f) {
		if len(data) < 4<<10 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		defer pixel.UseJPEGLibrary(nil)
		limits := pixel.Limits{MaxPixels: 1 << 20, MaxMemory: 64 << 20}
		pixel.UseJPEGLibrary(nil)
		want, _, wantErr := pixel.Decode(context.Background(), data, limits)
		pixel.UseJPEGLibrary(l.Decode)
		got, _, err := pixel.Decode(context.Background(), data, limits)
		if err == nil && wantErr == nil && !bytes.Equal(got.Pix, want.Pix) {
			t.Error("pixels differ")
		}
		if err != nil && wantErr == nil {
			t.Errorf("refused with the library only: %v", err)
		}
	})
}
