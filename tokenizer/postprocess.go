package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// postProcessor puts special tokens around texts and joins two of them.
type postProcessor struct {
	trims        []trim
	single, pair []part
	zeroTypes    bool // RobertaProcessing: windows have type 0 as well, if special tokens are added
}

// part is a part of the template of a result: one of the texts, or special tokens.
type part struct {
	text   int   // 0 or 1, −1 for special tokens
	typeID int32 // −1: the text keeps its own, its number
	ids    []int32
	tokens []string
}

// plainPost joins texts and adds nothing.
func plainPost() postProcessor {
	a, b := part{text: 0, typeID: -1}, part{text: 1, typeID: -1}
	return postProcessor{single: []part{a}, pair: []part{a, b}}
}

func (p *postProcessor) template(pair bool) []part {
	if pair {
		return p.pair
	}
	return p.single
}

// special returns the number of special tokens that are added to one text or two.
func (p *postProcessor) special(pair bool) int {
	n := 0
	for _, part := range p.template(pair) {
		n += len(part.ids)
	}
	return n
}

// process builds the result from one text or two.
func (p *postProcessor) process(texts []*Encoding, addSpecial bool) (*Encoding, error) {
	windows := 1
	for _, e := range texts {
		for _, t := range p.trims {
			t.trim(e)
			for _, o := range e.Overflowing {
				t.trim(o)
			}
		}
		windows *= 1 + len(e.Overflowing)
	}
	if len(texts) > 1 && windows > maxWindows {
		return nil, fmt.Errorf("%w: the texts make %d windows", ErrTruncation, windows)
	}
	parts := p.template(len(texts) > 1)
	result := p.assemble(parts, texts, addSpecial)
	// Windows in the reference's order: each further one of the first text with all of the second, then the first
	// window of the first text with the further ones of the second.
	var second []*Encoding
	if len(texts) > 1 {
		second = texts[1].Overflowing
	}
	for _, a := range texts[0].Overflowing {
		if len(texts) == 1 {
			result.Overflowing = append(result.Overflowing, p.assemble(parts, []*Encoding{a}, addSpecial))
			continue
		}
		result.Overflowing = append(result.Overflowing, p.assemble(parts, []*Encoding{a, texts[1]}, addSpecial))
		for _, b := range second {
			result.Overflowing = append(result.Overflowing, p.assemble(parts, []*Encoding{a, b}, addSpecial))
		}
	}
	for _, b := range second {
		result.Overflowing = append(result.Overflowing, p.assemble(parts, []*Encoding{texts[0], b}, addSpecial))
	}
	return result, nil
}

// assemble joins the parts. Only a text's first window takes the type ids of the template; that is how the reference
// has it.
func (p *postProcessor) assemble(parts []part, texts []*Encoding, addSpecial bool) *Encoding {
	n := 0
	for _, part := range parts {
		if part.text < 0 {
			n += len(part.ids)
		} else {
			n += texts[part.text].Len()
		}
	}
	out := &Encoding{}
	out.grow(n)
	for _, part := range parts {
		if part.text < 0 {
			if addSpecial {
				out.addSpecial(part)
			}
			continue
		}
		from := out.Len()
		text := texts[part.text]
		out.extend(text)
		switch {
		case !text.further && part.typeID >= 0:
			fill(out.TypeIDs[from:], part.typeID)
		case text.further && p.zeroTypes && addSpecial:
			fill(out.TypeIDs[from:], 0)
		}
	}
	return out
}

func fill(s []int32, v int32) {
	for i := range s {
		s[i] = v
	}
}

func (e *Encoding) addSpecial(p part) {
	e.IDs = append(e.IDs, p.ids...)
	e.Tokens = append(e.Tokens, p.tokens...)
	for range p.ids {
		e.TypeIDs = append(e.TypeIDs, p.typeID)
		e.AttentionMask = append(e.AttentionMask, 1)
		e.SpecialMask = append(e.SpecialMask, 1)
		e.Offsets = append(e.Offsets, Offset{})
		e.WordIDs = append(e.WordIDs, -1)
	}
}

// trim takes blanks out of the offsets of byte-level tokens.
type trim struct {
	u           *charTables
	prefixSpace bool // a single blank before the first token was added and stays out of the count
}

func (t trim) trim(e *Encoding) {
	for i, token := range e.Tokens {
		leading, trailing := int32(0), int32(0)
		for _, r := range token {
			if !t.blank(r) {
				break
			}
			leading++
		}
		for rest := token; len(rest) > 0; trailing++ {
			r, n := utf8.DecodeLastRuneInString(rest)
			if !t.blank(r) {
				break
			}
			rest = rest[:len(rest)-n]
		}
		o := &e.Offsets[i]
		if leading > 0 {
			if (i == 0 || o.Start == 0) && t.prefixSpace && leading == 1 {
				leading = 0
			}
			o.Start = min(o.Start+leading, o.End)
		}
		if trailing > 0 && o.End >= trailing {
			o.End = max(o.End-trailing, o.Start)
		}
	}
}

func (t trim) blank(r rune) bool { return r == byteLetters[' '] || t.u.props(r)&propWhite != 0 }
