package imageanalysis

import (
	"strings"
	"unicode"
)

// Letters of one look; the n-th of each are a pair.
const (
	latinAlike    = "ABCEHKMOPTXaceopxy"
	cyrillicAlike = "АВСЕНКМОРТХасеорху"
	// Of one look in some typefaces, so that they tell a word's script less surely
	// than its other letters, but do tell it.
	latinNear    = "ukmnY"
	cyrillicNear = "иктпУ"
)

var (
	toLatin    = strings.NewReplacer(pairs(cyrillicAlike+cyrillicNear, latinAlike+latinNear)...)
	toCyrillic = strings.NewReplacer(pairs(latinAlike+latinNear, cyrillicAlike+cyrillicNear)...)
)

func pairs(from, to string) (out []string) {
	a, b := []rune(from), []rune(to)
	for i := range a {
		out = append(out, string(a[i]), string(b[i]))
	}
	return out
}

// spell writes each word in one script, that of more of its letters that have no
// twin in the other; words without such letters are of the line's script, which is
// Cyrillic where any word is. It says whether one is.
func spell(line string) (spelled string, cyrillic bool) {
	type word struct {
		text  string
		score int // Cyrillic letters without a twin less Latin ones; 0 between words
	}
	var words []word
	inWord := false
	for _, c := range line {
		if letter := unicode.IsLetter(c); letter != inWord || len(words) == 0 {
			words = append(words, word{})
			inWord = letter
		}
		w := &words[len(words)-1]
		w.text += string(c)
		switch {
		case unicode.Is(unicode.Cyrillic, c) && !strings.ContainsRune(cyrillicAlike, c):
			w.score++
		case unicode.Is(unicode.Latin, c) && !strings.ContainsRune(latinAlike, c):
			w.score--
		}
	}
	for _, w := range words {
		cyrillic = cyrillic || w.score > 0
	}
	var out strings.Builder
	for _, w := range words {
		if w.score > 0 || w.score == 0 && cyrillic {
			out.WriteString(toCyrillic.Replace(w.text))
		} else {
			out.WriteString(toLatin.Replace(w.text))
		}
	}
	return out.String(), cyrillic
}
