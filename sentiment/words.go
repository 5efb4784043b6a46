package sentiment

import (
	"unicode"
	"unicode/utf8"
)

// wordSpan is the bytes [begin, end) of a word.
type wordSpan struct{ begin, end int }

// What a character may be part of.
const (
	space  = iota // nothing: white space and control characters
	letter        // a run of letters, digits and low lines
	single        // itself: ideographs, emoji
	flag          // a pair of regional indicators
	other         // a run of punctuation and the like
)

// words divides a text into its words, all of it but white space, by rules that
// are simpler than those of UAX #29 and suit leaving words out: a word is a run of
// letters, digits and low lines, of whatever scripts, with the marks on them; so
// are parts that a hyphen, an apostrophe or a dot joins, digits that a comma or a
// semicolon joins, and a run of punctuation such as "!!!" or ":)". Ideographs,
// hiragana, emoji and flags stand for themselves; Thai and its like, which take a
// dictionary to divide, are one word between blanks. Its time is linear in the
// length of the text, which is valid UTF-8.
func words(text string) []wordSpan {
	var out []wordSpan
	open := space         // what the last word is, if it may go on
	var before, last rune // the characters before this one, marks left out
	glued := false        // a zero-width joiner came last
	for i, r := range text {
		end := i + utf8.RuneLen(r)
		if extends(r) && open != space {
			out[len(out)-1].end = end
			glued = r == '\u200d'
			continue
		}
		kind := kindOf(r)
		joins := false
		switch {
		case kind == space || open == space:
		case glued && open == single && kind == single: // such as a family of emoji
			joins = true
		case kind == letter && open == letter, kind == other && open == other:
			joins = true
		case kind == flag && open == flag:
			joins = true
			kind = single // a third begins another pair
		case kind == letter && open == other && joiner(before, last, r) && out[len(out)-1].end-out[len(out)-1].begin == utf8.RuneLen(last):
			// The word before, what joins, and this letter are one word.
			out = out[:len(out)-1]
			joins = true
		}
		switch {
		case kind == space:
		case joins:
			out[len(out)-1].end = end
		default:
			out = append(out, wordSpan{i, end})
		}
		open, before, last, glued = kind, last, r, false
	}
	return out
}

// joiner tells whether a character stands within a word or a number, by its
// neighbours: l'eau, что-то, 3.14, 10,000, example.com.
func joiner(before, r, after rune) bool {
	if kindOf(before) != letter {
		return false
	}
	switch r {
	case '\'', '’', '.', '·', '-', '\u2010', '\u2011':
		return true
	case ',', ';':
		return unicode.IsDigit(before) && unicode.IsDigit(after)
	}
	return false
}

// extends tells whether a character belongs to the one before.
func extends(r rune) bool {
	if r < 0x300 {
		return r == 0xAD // soft hyphen
	}
	return r != '\u200b' && unicode.In(r, unicode.M, unicode.Cf) || r >= 0x1F3FB && r <= 0x1F3FF // tones of skin
}

func kindOf(r rune) int {
	switch {
	case r < 0x80:
		switch {
		case r <= ' ' || r == 0x7F:
			return space
		case r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '_':
			return letter
		}
		return other
	case unicode.IsSpace(r), unicode.IsControl(r), r == '\u200b':
		return space
	case r >= 0x1F1E6 && r <= 0x1F1FF:
		return flag
	case unicode.In(r, unicode.Han, unicode.Hiragana), unicode.Is(unicode.So, r):
		return single
	case unicode.IsLetter(r), unicode.IsNumber(r):
		return letter
	}
	return other
}
