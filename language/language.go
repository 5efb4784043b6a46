// Package language tells the language of a text from its script and from pieces of
// its words.
package language

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Undetermined is the code for a text that tells no language.
const Undetermined = "und"

// limit is how much of a text is read, in bytes.
const limit = 4 << 10

// Detect returns the language that text is most probably in, an ISO 639-1 code, and
// the probability. It tells apart the languages of the package's README and no
// others: a text in another one is taken for one of them. Beforehand Russian and
// English are four times as probable as another language of their script. Without
// a letter of a known script it is Undetermined with probability 0. Of a text with
// several scripts the one with most letters counts, and the probability is lower
// by the share of the others. The first 4 KiB are read; text need not be valid
// UTF-8.
func Detect(text string) (code string, probability float64) {
	if len(text) > limit {
		end := limit
		for end > limit-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	var letters [scripts]int
	for _, r := range text {
		if s := scriptOf(r); s != unknown {
			letters[s]++
		}
	}
	best, all := unknown, 0
	for s, n := range letters {
		if n > letters[best] {
			best = script(s)
		}
		all += n
	}
	if best == unknown {
		return Undetermined, 0
	}
	share := float64(letters[best]) / float64(all)
	switch best {
	case han, kana:
		// Japanese writes Chinese characters between its own; Chinese has none of these.
		share = float64(letters[han]+letters[kana]) / float64(all)
		if letters[kana] > 0 && 10*letters[kana] >= letters[han] {
			return "ja", share
		}
		return "zh", share
	case latin, cyrillic, arabic:
		g := groups()
		code, probability = g[best].detect(text, best)
		return code, probability * share
	}
	return byScript[best], share
}

// script is one that the package knows.
type script uint8

const (
	unknown script = iota
	latin          // the first three are groups of the model, in its order
	cyrillic
	arabic
	han
	kana
	hangul
	greek
	hebrew
	devanagari
	thai
	georgian
	armenian
	bengali
	tamil
	telugu
	scripts
)

// byScript are the languages of scripts that stand for one.
var byScript = [scripts]string{
	hangul: "ko", greek: "el", hebrew: "he", devanagari: "hi", thai: "th", georgian: "ka", armenian: "hy",
	bengali: "bn", tamil: "ta", telugu: "te",
}

// scriptOf returns the script of a letter or a mark.
func scriptOf(r rune) script {
	switch {
	case r < utf8.RuneSelf:
		if c := r | 0x20; c >= 'a' && c <= 'z' {
			return latin
		}
		return unknown
	case !unicode.IsLetter(r) && !unicode.IsMark(r):
		return unknown
	case r < 0x370, r >= 0x1E00 && r < 0x1F00:
		return latin
	case r < 0x400, r >= 0x1F00 && r < 0x2000:
		return greek
	case r < 0x530:
		return cyrillic
	case r < 0x590:
		return armenian
	case r < 0x600:
		return hebrew
	case r < 0x780, r >= 0xFB50 && r < 0xFE00, r >= 0xFE70 && r < 0xFF00:
		return arabic
	case r >= 0x900 && r < 0x980:
		return devanagari
	case r >= 0x980 && r < 0xA00:
		return bengali
	case r >= 0xB80 && r < 0xC00:
		return tamil
	case r >= 0xC00 && r < 0xC80:
		return telugu
	case r >= 0xE00 && r < 0xE80:
		return thai
	case r >= 0x10A0 && r < 0x1100, r >= 0x1C90 && r < 0x1CC0:
		return georgian
	case r >= 0x3040 && r < 0x3100, r >= 0xFF66 && r < 0xFFA0:
		return kana
	case r >= 0x1100 && r < 0x1200, r >= 0x3130 && r < 0x3190, r >= 0xAC00 && r < 0xD7B0:
		return hangul
	case r >= 0x3400 && r < 0xA000, r >= 0xF900 && r < 0xFB00, r >= 0x20000 && r < 0x32000:
		return han
	}
	return unknown
}

// group tells apart the languages of one script by a softmax regression over
// hashed pieces of words.
type group struct {
	codes   []string
	common  int // the code that prior favours; -1 = none
	buckets uint32
	scale   float32 // of a weight
	weights []int8  // [buckets][codes]
}

// prior is how much more probable Russian and English are beforehand than another
// language of their script, as a logarithm: most texts of this package's users are
// in these. It decides where a few words, such as names, are spelled alike.
const prior = 2 * math.Ln2

// most is the number of languages that a group may have.
const most = 32

// model is written by scripts/models/language.py, which tells its layout.
//
//go:embed model.bin.gz
var model []byte

// groups unpacks the model at the first call.
var groups = sync.OnceValue(func() (g [arabic + 1]*group) {
	z, err := gzip.NewReader(bytes.NewReader(model))
	if err != nil {
		panic(err) // the file is part of the program
	}
	data, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	for s := latin; s <= arabic; s++ {
		codes := make([]string, data[0])
		g[s] = &group{}
		g[s].buckets = binary.LittleEndian.Uint32(data[1:])
		g[s].scale = math.Float32frombits(binary.LittleEndian.Uint32(data[5:]))
		data = data[9:]
		for i := range codes {
			codes[i] = string(data[1 : 1+data[0]])
			data = data[1+data[0]:]
		}
		g[s].codes = codes
		g[s].common = slices.IndexFunc(codes, func(code string) bool { return code == "ru" || code == "en" })
		g[s].weights = make([]int8, int(g[s].buckets)*len(codes))
		for i := range g[s].weights {
			g[s].weights[i] = int8(data[i])
		}
		data = data[len(g[s].weights):]
	}
	return g
})

// detect returns the language of text's words in the group's script.
func (g *group) detect(text string, s script) (string, float64) {
	var (
		sums  [most]int32
		n     int
		runes [32]rune // a word between spaces
	)
	end := 0
	flush := func() {
		if end > 1 && scriptOf(runes[1]) == s {
			runes[end] = ' '
			n += g.add(runes[:end+1], &sums)
		}
		end = 0
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) {
			flush()
			continue
		}
		if end == 0 {
			runes[0], end = ' ', 1
		}
		if end < len(runes)-1 {
			runes[end] = unicode.ToLower(r)
			end++
		}
	}
	flush()
	if n == 0 {
		return Undetermined, 0
	}
	scale := float64(g.scale) / math.Sqrt(float64(n))
	var scores [most]float64
	best := 0
	for i := range g.codes {
		if scores[i] = scale * float64(sums[i]); i == g.common {
			scores[i] += prior
		}
		if scores[i] > scores[best] {
			best = i
		}
	}
	total := 0.0
	for _, x := range scores[:len(g.codes)] {
		total += math.Exp(x - scores[best])
	}
	return g.codes[best], 1 / total
}

// add adds the weights of a word's pieces, every run of one to four characters and
// the word as a whole, and returns how many they are.
func (g *group) add(word []rune, sums *[most]int32) (n int) {
	const basis, prime = 2166136261, 16777619 // FNV-1a
	piece := func(h uint32) {
		at := int((h^h>>15)%g.buckets) * len(g.codes)
		for i, w := range g.weights[at : at+len(g.codes)] {
			sums[i] += int32(w)
		}
		n++
	}
	for i := range word {
		h := uint32(basis)
		for j, r := range word[i:min(i+4, len(word))] {
			h = (h ^ uint32(r)) * prime
			if j > 0 || r != ' ' {
				piece(h)
			}
		}
	}
	h := uint32(basis ^ 1)
	for _, r := range word {
		h = (h ^ uint32(r)) * prime
	}
	piece(h)
	return n
}
