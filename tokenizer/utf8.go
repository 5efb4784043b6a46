package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Repair returns text as valid UTF-8: each maximal subpart of an ill-formed sequence becomes one U+FFFD, the rule of
// the WHATWG encoding standard that browsers and Rust follow. It tells whether anything had to be replaced.
func Repair(text string) (valid string, repaired bool) {
	if utf8.ValidString(text) {
		return text, false
	}
	var b strings.Builder
	b.Grow(len(text) + 16)
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n <= 1 {
			n = subpart(text[i:])
		}
		b.WriteRune(r)
		i += n
	}
	return b.String(), true
}

// subpart returns the length of the longest prefix of s, which begins with an ill-formed sequence, that could begin a
// well-formed one; at least 1.
func subpart(s string) int {
	low, high, want := byte(0x80), byte(0xBF), 0
	switch c := s[0]; {
	case c >= 0xC2 && c <= 0xDF:
		want = 2
	case c == 0xE0:
		low, want = 0xA0, 3
	case c == 0xED:
		high, want = 0x9F, 3
	case c >= 0xE1 && c <= 0xEF:
		want = 3
	case c == 0xF0:
		low, want = 0x90, 4
	case c >= 0xF1 && c <= 0xF3:
		want = 4
	case c == 0xF4:
		high, want = 0x8F, 4
	}
	n := 1
	for n < want && n < len(s) && s[n] >= low && s[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}
