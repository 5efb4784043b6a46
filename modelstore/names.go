package modelstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Limits of names and of a version's files.
const (
	MaxFiles       = 10_000
	MaxPathBytes   = 512
	MaxPathDepth   = 16
	maxSegment     = 200 // bytes; file systems allow 255
	maxCreator     = 256 // bytes
	maxDescription = 16 << 10
	maxLabels      = 64
	maxLabelKey    = 63
	maxLabelValue  = 1 << 10
)

var (
	modelName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$`)
	aliasName = regexp.MustCompile(`^[a-z]([a-z0-9_-]{0,62}[a-z0-9])?$`)
	labelKey  = regexp.MustCompile(`^[a-z][a-z0-9._/-]*$`)
	digestHex = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// device matches the names that Windows takes for devices, with any
	// extension, so that every version can be pulled onto every laptop.
	device = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)`)
)

// Latest is the alias that is computed: the model's newest version. It cannot
// be set.
const Latest = "latest"

// ValidateModelName checks a model's name: 1 to 64 of a–z, 0–9, "_" and "-",
// beginning and ending with a letter or digit. There is no dot, because
// NAME.GRAPH is how a tensor call names one graph of a model.
func ValidateModelName(field, name string) error {
	if !modelName.MatchString(name) {
		return invalid(field, "must be 1 to 64 of a-z, 0-9, '_' and '-', beginning and ending with a letter or digit")
	}
	return nil
}

// ValidateAlias checks an alias: 1 to 64 of a–z, 0–9, "_" and "-", beginning
// with a letter and ending with a letter or digit, so that no alias looks like a version's number.
func ValidateAlias(field, name string) error {
	if name == Latest {
		return invalid(field, "%q is reserved: it always means the newest version", Latest)
	}
	if !aliasName.MatchString(name) {
		return invalid(field, "must be 1 to 64 of a-z, 0-9, '_' and '-', beginning with a letter and ending with a letter or digit")
	}
	return nil
}

// ValidatePath checks a path inside a version: relative, "/" between segments,
// clean, and a name that Linux, macOS and Windows can all hold.
func ValidatePath(field, path string) error {
	switch {
	case path == "":
		return invalid(field, "must not be empty")
	case len(path) > MaxPathBytes:
		return invalid(field, "is %d bytes long, at most %d are allowed", len(path), MaxPathBytes)
	case !utf8.ValidString(path):
		return invalid(field, "is not valid UTF-8")
	case strings.HasPrefix(path, "/"):
		return invalid(field, "%q is absolute", path)
	}
	for _, r := range path {
		if unicode.IsControl(r) || !unicode.IsPrint(r) || strings.ContainsRune(`\:*?"<>|`, r) {
			return invalid(field, "%q holds the character %q, which not every system allows", path, r)
		}
	}
	segments := strings.Split(path, "/")
	if len(segments) > MaxPathDepth {
		return invalid(field, "%q has %d levels, at most %d are allowed", path, len(segments), MaxPathDepth)
	}
	for _, s := range segments {
		switch {
		case s == "" || s == "." || s == "..":
			return invalid(field, "%q is not a clean path", path)
		case len(s) > maxSegment:
			return invalid(field, "%q has a name longer than %d bytes", path, maxSegment)
		case strings.HasSuffix(s, ".") || strings.HasSuffix(s, " ") || strings.HasPrefix(s, " "):
			return invalid(field, "%q has a name that begins with a space or ends with a space or dot", path)
		case device.MatchString(s):
			return invalid(field, "%q has a name that Windows keeps for a device", path)
		}
	}
	return nil
}

// validateFiles checks a list of files as one version: each alone, and that no
// two names meet on a file system that ignores case, and none is a directory of
// another.
func validateFiles(files []File, maxBytes int64) error {
	if len(files) == 0 {
		return invalid("files", "must not be empty")
	}
	if len(files) > MaxFiles {
		return invalid("files", "are %d, at most %d are allowed", len(files), MaxFiles)
	}
	fold := cases.Fold()
	key := func(path string) string { return norm.NFC.String(fold.String(path)) }
	seen := make(map[string]string, len(files)) // folded path → the path
	dirs := make(map[string]string)             // folded directory → a path below it
	sizes := make(map[string]int64, len(files)) // digest → size
	var total int64
	for i, f := range files {
		field := fmt.Sprintf("files[%d]", i)
		if err := ValidatePath(field+".path", f.Path); err != nil {
			return err
		}
		if !digestHex.MatchString(f.SHA256) {
			return invalid(field+".sha256", "must be 64 lower-case hexadecimal digits")
		}
		if f.Size < 0 {
			return invalid(field+".size", "must not be negative")
		}
		if size, ok := sizes[f.SHA256]; ok && size != f.Size {
			return invalid(field+".size", "differs from that of another file with the same sha256")
		}
		if total += f.Size; f.Size > maxBytes || total > maxBytes {
			return invalid("files", "hold more than %d bytes together", maxBytes)
		}
		sizes[f.SHA256] = f.Size
		k := key(f.Path)
		if other, ok := seen[k]; ok {
			return invalid(field+".path", "%q clashes with %q on systems that ignore case", f.Path, other)
		}
		seen[k] = f.Path
		for at := strings.LastIndexByte(k, '/'); at > 0; at = strings.LastIndexByte(k[:at], '/') {
			dirs[k[:at]] = f.Path
		}
	}
	for i, f := range files {
		if below, ok := dirs[key(f.Path)]; ok {
			return invalid(fmt.Sprintf("files[%d].path", i), "%q is also the directory of %q", f.Path, below)
		}
	}
	return nil
}

func validateLabels(field string, labels map[string]string) error {
	if len(labels) > maxLabels {
		return invalid(field, "are %d, at most %d are allowed", len(labels), maxLabels)
	}
	for k, v := range labels {
		if len(k) > maxLabelKey || !labelKey.MatchString(k) {
			return invalid(fmt.Sprintf("%s[%q]", field, k), "key must be 1 to %d of a-z, 0-9, '.', '_', '/' and '-', beginning with a letter", maxLabelKey)
		}
		if len(v) > maxLabelValue || !utf8.ValidString(v) {
			return invalid(fmt.Sprintf("%s[%q]", field, k), "value must be at most %d bytes of UTF-8", maxLabelValue)
		}
	}
	return nil
}

func validateText(field, text string, limit int) error {
	if len(text) > limit || !utf8.ValidString(text) {
		return invalid(field, "must be at most %d bytes of UTF-8", limit)
	}
	return nil
}

// versionDigest names a version's content: the sha256 of its files' lines
// "sha256 size path\n" in the order of the paths' bytes.
func versionDigest(files []File) string {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s %d %s\n", f.SHA256, f.Size, f.Path)
	}
	return hex.EncodeToString(h.Sum(nil))
}
