package tokenizer

import "unicode/utf8"

// Grapheme classes as the table numbers them. Regional indicators are missing: a grapheme of 6 bytes or more is looked
// up character by character, so whether two of them (4 bytes each) belong together changes nothing.
const (
	gOther = iota
	gCR
	gLF
	gControl
	gExtend
	gZWJ
	gSpacing
	gPrepend
	gL
	gV
	gT
	gLV
	gLVT
)

const (
	conjunctConsonant = 1
	conjunctLinker    = 2
	conjunctExtend    = 3
)

// grapheme returns the length in bytes of the extended grapheme cluster (UAX #29) that text begins with.
func (t *charTables) grapheme(text []byte) int {
	r, n := utf8.DecodeRune(text)
	p := t.props(r)
	picture := p&propPictographic != 0 // Pictographic Extend* so far
	joined := false                    // … and then ZWJ: GB11
	consonant := p>>conjunctShift&3 == conjunctConsonant
	linked := false // consonant, then conjunct extenders with a linker among them: GB9c
	for n < len(text) {
		before := p >> graphemeShift & 15
		next, size := utf8.DecodeRune(text[n:])
		p = t.props(next)
		class, conjunct := p>>graphemeShift&15, p>>conjunctShift&3
		if !joins(before, class) &&
			!(joined && p&propPictographic != 0) &&
			!(consonant && linked && conjunct == conjunctConsonant) {
			break
		}
		joined = picture && class == gZWJ
		picture = p&propPictographic != 0 || picture && class == gExtend
		switch conjunct {
		case conjunctConsonant:
			consonant, linked = true, false
		case conjunctLinker:
			linked = consonant
		case conjunctExtend:
		default:
			consonant, linked = false, false
		}
		n += size
	}
	return n
}

// joins says whether there is no boundary between two characters of these classes, by the rules that look at two.
func joins(a, b uint32) bool {
	switch {
	case a == gCR:
		return b == gLF
	case a == gLF || a == gControl || b == gCR || b == gLF || b == gControl:
		return false
	case b == gExtend || b == gZWJ || b == gSpacing || a == gPrepend:
		return true
	case a == gL:
		return b == gL || b == gV || b == gLV || b == gLVT
	case a == gV || a == gLV:
		return b == gV || b == gT
	case a == gT || a == gLVT:
		return b == gT
	}
	return false
}
