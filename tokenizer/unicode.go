package tokenizer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The tables of Go's unicode package change with each release of Go, and the reference mixes tables of several ages:
// both would change token ids. These are the reference's own, see scripts/tokenizer/unicode_tables.py.
//
//go:embed unicode.txt.gz
var unicodeFile []byte

// Properties of a code point, as the script packs them: bits 0-4 hold the general category as an index into
// categories, 16-19 the grapheme class, 20-21 the Indic conjunct class, 24-31 the canonical combining class.
const (
	propCategory     = 31
	propWhite        = 1 << 5  // Rust's char::is_whitespace
	propControl      = 1 << 6  // what BertNormalizer's clean_text drops
	propPunctuation  = 1 << 7  // BertPreTokenizer and Punctuation
	propNonspacing   = 1 << 8  // what BertNormalizer's strip_accents drops
	propMark         = 1 << 9  // what StripAccents drops
	propNumeric      = 1 << 10 // Digits
	propWord         = 1 << 11 // \w of the Whitespace pre-tokenizer and around single-word tokens
	propRegexSpace   = 1 << 12 // \s of a regular expression
	propRegexWord    = 1 << 13
	propRegexDigit   = 1 << 14
	propRegexHan     = 1 << 15
	propPictographic = 1 << 22
	propClassWord    = 1 << 23 // \w inside a bracketed class, where the reference leaves six characters out

	graphemeShift = 16
	conjunctShift = 20
	classShift    = 24
)

// categories names the general categories in the order of the table's numbers; number 0 stands for surrogates.
var categories = []string{"Cs", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe",
	"Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cn"}

// charTables holds the reference's Unicode data. It does not change after it was made.
type charTables struct {
	pages    [][256]uint32
	page     [0x110000 >> 8]uint16
	lower    charMap
	canon    charMap // full canonical decompositions, Hangul excepted
	compat   charMap // full compatibility decompositions that differ from the canonical ones
	composed map[[2]rune]rune
}

// tables parses the embedded file on first use. The file is part of the program, so a fault in it is a panic.
var tables = sync.OnceValue(func() *charTables {
	t, err := readTables(unicodeFile)
	if err != nil {
		panic(fmt.Sprintf("tokenizer: embedded unicode.txt.gz: %v", err))
	}
	return t
})

// props returns the properties of r, those of an unassigned code point if r is out of range.
func (t *charTables) props(r rune) uint32 {
	return t.pages[t.page[uint32(r)>>8]][r&255]
}

// combiningClass returns the canonical combining class of r.
func (t *charTables) combiningClass(r rune) uint8 { return uint8(t.props(r) >> classShift) }

// charMap maps code points to one or more code points in two stages: 0 says that a code point stays as it is, a
// positive number is its single replacement, a negative one −n the place n of its replacements in many.
type charMap struct {
	pages [][256]int32
	page  [0x110000 >> 8]uint16
	many  [][]rune
}

// get returns the replacement of r: (to, nil), or (0, list), or (r, nil) if it has none.
func (m *charMap) get(r rune) (rune, []rune) {
	switch v := m.pages[m.page[uint32(r)>>8]][r&255]; {
	case v > 0:
		return v, nil
	case v < 0:
		return 0, m.many[-v]
	}
	return r, nil
}

func (m *charMap) set(r rune, to []rune) {
	if m.pages == nil {
		m.pages = make([][256]int32, 1) // page 0 is shared by all that map nothing
		m.many = make([][]rune, 1)
	}
	p := &m.page[r>>8]
	if *p == 0 {
		*p = uint16(len(m.pages))
		m.pages = append(m.pages, [256]int32{})
	}
	v := to[0]
	if len(to) > 1 {
		v = -rune(len(m.many))
		m.many = append(m.many, slices.Clone(to))
	}
	m.pages[*p][r&255] = v
}

func readTables(file []byte) (*charTables, error) {
	zr, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	t := &charTables{composed: map[[2]rune]rune{}}
	flat := make([]uint32, 0x110000)
	last, mask := rune(0), uint32(0)
	fill := func(to rune) {
		for ; last < to; last++ {
			flat[last] |= mask
		}
	}
	var args []rune
	lines := bufio.NewScanner(zr)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		kind, fields := fields[0], fields[1:]
		if kind == "M" {
			kind, fields = fields[0], fields[1:]
		}
		args = args[:0]
		for _, f := range fields {
			n, err := strconv.ParseUint(f, 16, 32)
			if err != nil {
				return nil, err
			}
			args = append(args, rune(n))
		}
		switch kind {
		case "P":
			fill(args[0])
			mask = uint32(args[1])
		case "l":
			t.lower.set(args[0], args[1:])
		case "d":
			t.canon.set(args[0], args[1:])
		case "k":
			t.compat.set(args[0], args[1:])
		case "C":
			for r := args[1]; r <= args[2]; r++ {
				flat[r] |= uint32(args[0]) << classShift
			}
		case "X":
			t.composed[[2]rune{args[0], args[1]}] = args[2]
		default:
			return nil, fmt.Errorf("unknown line %q", lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	fill(0x110000)
	seen := map[[256]uint32]uint16{}
	for p := range t.page {
		page := [256]uint32(flat[p<<8 : (p+1)<<8])
		n, ok := seen[page]
		if !ok {
			n = uint16(len(t.pages))
			seen[page] = n
			t.pages = append(t.pages, page)
		}
		t.page[p] = n
	}
	return t, nil
}

// Hangul syllables decompose and compose by arithmetic (Unicode 3.12).
const (
	hangulS, hangulL, hangulV, hangulT = 0xAC00, 0x1100, 0x1161, 0x11A7
	hangulLs, hangulVs, hangulTs       = 19, 21, 28
	hangulCount                        = hangulLs * hangulVs * hangulTs
)

// decompose appends the full decomposition of r to dst.
func (t *charTables) decompose(dst []rune, r rune, compatible bool) []rune {
	if s := r - hangulS; s >= 0 && s < hangulCount {
		dst = append(dst, hangulL+s/(hangulVs*hangulTs), hangulV+s%(hangulVs*hangulTs)/hangulTs)
		if final := s % hangulTs; final > 0 {
			dst = append(dst, hangulT+final)
		}
		return dst
	}
	to, list := r, []rune(nil)
	if compatible {
		to, list = t.compat.get(r)
	}
	if to == r && list == nil {
		to, list = t.canon.get(r)
	}
	if list != nil {
		return append(dst, list...)
	}
	return append(dst, to)
}

// compose returns the primary composite of a followed by b, or 0.
func (t *charTables) compose(a, b rune) rune {
	if l, v := a-hangulL, b-hangulV; l >= 0 && l < hangulLs && v >= 0 && v < hangulVs {
		return hangulS + (l*hangulVs+v)*hangulTs
	}
	if s, f := a-hangulS, b-hangulT; s >= 0 && s < hangulCount && s%hangulTs == 0 && f > 0 && f < hangulTs {
		return a + f
	}
	return t.composed[[2]rune{a, b}]
}
