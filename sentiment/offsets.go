package sentiment

import (
	"unicode/utf8"

	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// offsets converts places in a text from bytes to the unit that was asked for. It
// reads the text once.
type offsets struct {
	text  string
	utf16 bool
	marks []int // the offset of the first character that begins at or after byte k × markEvery; nil where bytes are the answer
}

// markEvery is how many bytes are read at most to tell an offset.
const markEvery = 256

// newOffsets reads a text in valid UTF-8.
func newOffsets(text string, unit sentimentv1.OffsetUnit) *offsets {
	o := &offsets{text: text, utf16: unit == sentimentv1.OffsetUnit_OFFSET_UNIT_UTF16}
	if unit != sentimentv1.OffsetUnit_OFFSET_UNIT_UTF16 && unit != sentimentv1.OffsetUnit_OFFSET_UNIT_CODE_POINTS || ascii(text) {
		return o
	}
	o.marks = make([]int, 0, len(text)/markEvery+1)
	n := 0
	for i, r := range text {
		for len(o.marks)*markEvery <= i {
			o.marks = append(o.marks, n)
		}
		n += o.units(r)
	}
	return o
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// units are those of one character.
func (o *offsets) units(r rune) int {
	if o.utf16 && r > 0xFFFF {
		return 2
	}
	return 1
}

// at returns the offset of a byte that begins a character, or of the text's end.
func (o *offsets) at(b int) int64 {
	if o.marks == nil {
		return int64(b)
	}
	k := min(b/markEvery, len(o.marks)-1)
	n, from := o.marks[k], k*markEvery
	for from < b && !utf8.RuneStart(o.text[from]) { // the mark counts from the next character on
		from++
	}
	for _, r := range o.text[from:b] {
		n += o.units(r)
	}
	return int64(n)
}

// span converts [begin, end).
func (o *offsets) span(begin, end int) *sentimentv1.Span {
	return &sentimentv1.Span{Begin: o.at(begin), End: o.at(end)}
}
