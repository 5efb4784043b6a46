package modelstore

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzValidatePath: what is accepted stays inside a directory, on every system.
func FuzzValidatePath(f *testing.F) {
	for _, path := range []string{
		"model.onnx", "a/b/c.bin", "метки.txt", "a b.txt", ".hidden", "a..b", "weights.onnx.data",
		"../x", "/x", "a//b", "C:\\x", "con.txt", "a/.", "a\u202eb", "\xff", "é", "aux", "x/", "..", "...",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if ValidatePath("path", path) != nil {
			return
		}
		if !fs.ValidPath(path) || !filepath.IsLocal(path) || path == "." {
			t.Errorf("%q is accepted", path)
		}
		joined := filepath.Join("/root", filepath.FromSlash(path))
		if !strings.HasPrefix(joined, "/root/") || joined != "/root/"+path {
			t.Errorf("%q becomes %q", path, joined)
		}
		if strings.ContainsAny(path, `\:*?"<>|`) || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q cannot be a name on Windows", path)
		}
	})
}

func TestGoodNames(t *testing.T) {
	for _, path := range []string{"model.onnx", "a/b/c.bin", "метки.txt", "a b.txt", ".gitattributes", "a..b", "weights.onnx_data", "console", "com10"} {
		if err := ValidatePath("path", path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, name := range []string{"a", "7", "churn", "churn-2", "a_b", strings.Repeat("a", 64)} {
		if err := ValidateModelName("model", name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestVersionDigest pins the digest: it names versions in catalogues that exist.
func TestVersionDigest(t *testing.T) {
	a := File{Path: "a", SHA256: sum("1"), Size: 1}
	b := File{Path: "b", SHA256: sum("2"), Size: 1}
	const want = "545fe9e9edc249463c8343ebafd26373b624be320a4114ba4d53162e817bd1a1"
	if got := versionDigest([]File{b, a}); got != want || got != versionDigest([]File{a, b}) {
		t.Errorf("got %s, want %s in any order", got, want)
	}
	moved := File{Path: "c", SHA256: b.SHA256, Size: 1}
	if versionDigest([]File{a, moved}) == want {
		t.Error("another path has the same digest")
	}
}
