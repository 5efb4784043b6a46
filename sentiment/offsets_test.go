package sentiment

import (
	"math/rand/v2"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// TestOffsets wants the three units to name the same places, counted as Go's
// library counts them.
func TestOffsets(t *testing.T) {
	letters := []rune("a b.Яё\u0301\u200d\u200fשعक्👩🏽𐍈\ufffd\n")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		runes := make([]rune, rng.IntN(700))
		for i := range runes {
			runes[i] = letters[rng.IntN(len(letters))]
		}
		text := string(runes)
		bytes := newOffsets(text, sentimentv1.OffsetUnit_OFFSET_UNIT_UTF8_BYTES)
		units := newOffsets(text, sentimentv1.OffsetUnit_OFFSET_UNIT_UTF16)
		points := newOffsets(text, sentimentv1.OffsetUnit_OFFSET_UNIT_CODE_POINTS)
		for b := 0; b <= len(text); b++ {
			if b < len(text) && !utf8.RuneStart(text[b]) {
				continue
			}
			before := []rune(text[:b])
			if bytes.at(b) != int64(b) || points.at(b) != int64(len(before)) || units.at(b) != int64(len(utf16.Encode(before))) {
				t.Fatalf("byte %d of %q: %d, %d, %d", b, text, bytes.at(b), points.at(b), units.at(b))
			}
		}
	}
}

// TestNoOffsets wants bytes counted where no unit is named, and an empty text to
// have an end.
func TestNoOffsets(t *testing.T) {
	if o := newOffsets("Яя", sentimentv1.OffsetUnit_OFFSET_UNIT_UNSPECIFIED); o.at(4) != 4 {
		t.Errorf("the end of four bytes is %d", o.at(4))
	}
	if o := newOffsets("", sentimentv1.OffsetUnit_OFFSET_UNIT_UTF16); o.at(0) != 0 {
		t.Errorf("the end of nothing is %d", o.at(0))
	}
}
