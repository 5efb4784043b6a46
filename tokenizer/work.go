package tokenizer

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// span is a range of bytes of the original text.
type span struct{ start, end int32 }

// piece is a part of the working text: at first all of it, after the pre-tokenizer a word.
type piece struct {
	start, end int32 // bytes of work.text
	from       span  // the original bytes that it stands for, kept only while work.track
	added      int32 // the id of the added token that the piece is, or -1
}

// token is what a model makes of a part of the working text.
type token struct {
	id      int32
	piece   int32 // index into work.pieces: the word
	from    span  // original bytes
	literal bool  // the token's string is the text that it stands for, not the vocabulary's
	text    string
}

// work is the state of one text on its way through the tokenizer, reused between texts. Normalisers and
// pre-tokenizers rewrite the text piece by piece or cut the pieces finer. With track on, each byte of the text keeps
// the original bytes that it came from, and the model writes tokens; without, it writes ids only, which is faster.
type work struct {
	track    bool
	original string
	text     []byte
	align    []span // per byte of text, if track
	pieces   []piece

	err     error   // set if a normaliser made the text too long
	tokens  []token // if track
	ids     []int32 // if not track
	current int32   // index of the piece that the model works on

	spareText   []byte
	spareAlign  []span
	sparePieces []piece
	chars       []int32 // byte → code point of the original, see charIndex

	edit    editor
	matches []match
	match   matcher
	marks   []mark
	symbols []symbol
	heap    []merge
	path    []step
	key     []byte
}

// maxGrowth is how many times longer normalisation may make a text. The compatibility decompositions of Unicode make
// some texts 11 times longer, and letters for bytes twice that; a file could ask for any growth.
const maxGrowth = 64

// reset begins a new text.
func (w *work) reset(text string, track bool) {
	w.track, w.original, w.err = track, text, nil
	w.edit.limit = min(maxGrowth*len(text)+4096, 1<<30)
	w.text = append(w.text[:0], text...)
	w.tokens, w.ids, w.align = w.tokens[:0], w.ids[:0], w.align[:0]
	w.pieces = append(w.pieces[:0], piece{end: int32(len(text)), from: span{0, int32(len(text))}, added: -1})
	if len(text) == 0 {
		w.pieces = w.pieces[:0]
	}
	if !track {
		return
	}
	w.align = slices.Grow(w.align, len(text))
	for i, r := range text {
		n := int32(utf8.RuneLen(r))
		for range n {
			w.align = append(w.align, span{int32(i), int32(i) + n})
		}
	}
}

// bytes returns the text of p.
func (w *work) bytes(p *piece) []byte { return w.text[p.start:p.end] }

// add appends a token that stands for text[start:end] of the current piece.
func (w *work) add(id int32, start, end int, literal bool) {
	if !w.track {
		w.ids = append(w.ids, id)
		return
	}
	p := &w.pieces[w.current]
	t := token{id: id, piece: w.current, literal: literal}
	if lo, hi := p.start+int32(start), p.start+int32(end); start < end && hi <= p.end {
		t.from = span{w.align[lo].start, w.align[hi-1].end}
		if literal {
			t.text = string(w.text[lo:hi])
		}
	} else {
		t.from = span{int32(start), int32(end)} // as the reference does for ranges that it cannot convert
	}
	w.tokens = append(w.tokens, t)
}

// cut replaces each piece of text by the parts that f appends to w.matches, in order, leaving out those to remove and
// empty ones.
func (w *work) cut(f func(text []byte)) {
	out := w.sparePieces[:0]
	for i := range w.pieces {
		p := &w.pieces[i]
		if p.added >= 0 {
			out = append(out, *p)
			continue
		}
		w.matches = w.matches[:0]
		f(w.bytes(p))
		for _, m := range w.matches {
			if !m.remove && m.start < m.end {
				out = append(out, w.slice(p, m.start, m.end))
			}
		}
	}
	w.pieces, w.sparePieces = out, w.pieces
}

// slice returns the part [start, end) of p, not empty.
func (w *work) slice(p *piece, start, end int32) piece {
	q := piece{start: p.start + start, end: p.start + end, added: -1}
	if w.track {
		q.from = span{w.align[q.start].start, w.align[q.end-1].end}
	}
	return q
}

// rewrite replaces the text of each piece by what f pushes into the editor. Pieces that become empty are dropped.
func (w *work) rewrite(f func(e *editor, text []byte)) {
	e := &w.edit
	e.track, e.dst, e.dstAlign = w.track, w.spareText[:0], w.spareAlign[:0]
	out := w.sparePieces[:0]
	for i := range w.pieces {
		p := w.pieces[i]
		start := int32(len(e.dst))
		e.open(w, &p)
		if p.added >= 0 {
			e.keep(0, int(p.end-p.start))
		} else {
			f(e, w.bytes(&p))
		}
		e.flush()
		p.start, p.end = start, int32(len(e.dst))
		if p.start < p.end {
			out = append(out, p)
		}
	}
	w.text, w.spareText = e.dst, w.text
	w.align, w.spareAlign = e.dstAlign, w.align
	w.pieces, w.sparePieces = out, w.pieces
	if e.full {
		e.full, w.err = false, fmt.Errorf("%w: normalised, it has more than %d bytes", ErrTooLong, e.limit)
	}
}

// editor writes the new text of a piece and keeps the alignment. A cursor stands in the old text; each pushed
// character takes its alignment from there, by the reference's rule for a "change": 0 replaces the character under
// the cursor, 1 inserts after the character before it, −n replaces and removes n more.
type editor struct {
	track    bool
	src      []byte
	srcAlign []span
	from     span
	at       int // cursor

	dst      []byte
	dstAlign []span
	limit    int  // of dst
	full     bool // something was not written

	held    bool // one character is held back: amend may still change it
	char    rune
	changed int
}

func (e *editor) open(w *work, p *piece) {
	e.src, e.from, e.at = w.bytes(p), p.from, 0
	if w.track {
		e.srcAlign = w.align[p.start:p.end]
	}
}

// push writes a character.
func (e *editor) push(r rune, change int) {
	if len(e.dst) > e.limit {
		e.full = true
		return
	}
	if !e.track {
		e.dst = utf8.AppendRune(e.dst, r)
		return
	}
	e.flush()
	e.held, e.char, e.changed = true, r, change
}

// amend adds to the change of the character pushed last in this piece, if any.
func (e *editor) amend(change int) {
	if e.held {
		e.changed += change
	}
}

// write writes a character that stands for the one at byte i of the old text. It needs no cursor: an editor is used
// either with push and amend, or with write and keep.
func (e *editor) write(i int, r rune) {
	if len(e.dst) > e.limit {
		e.full = true
		return
	}
	n := len(e.dst)
	e.dst = utf8.AppendRune(e.dst, r)
	if e.track {
		for range len(e.dst) - n {
			e.dstAlign = append(e.dstAlign, e.srcAlign[i])
		}
	}
}

// keep copies bytes [i, j) of the old text.
func (e *editor) keep(i, j int) {
	e.dst = append(e.dst, e.src[i:j]...)
	if e.track {
		e.dstAlign = append(e.dstAlign, e.srcAlign[i:j]...)
	}
}

// flush writes the character held back.
func (e *editor) flush() {
	if !e.held {
		return
	}
	e.held = false
	var a span
	switch {
	case e.changed > 0 && e.at < 1:
		a = span{e.from.start, e.from.start}
	case e.changed > 0:
		a = e.srcAlign[e.at-1]
	case e.at < len(e.src):
		a = e.srcAlign[e.at]
	default:
		a = span{e.from.end, e.from.end}
	}
	for ; e.changed <= 0; e.changed++ {
		e.at += e.size()
	}
	n := len(e.dst)
	e.dst = utf8.AppendRune(e.dst, e.char)
	for range len(e.dst) - n {
		e.dstAlign = append(e.dstAlign, a)
	}
}

// size returns the length of the character under the cursor, 0 at the end.
func (e *editor) size() int {
	if e.at >= len(e.src) {
		return 0
	}
	_, n := utf8.DecodeRune(e.src[e.at:])
	return n
}

// isASCII says whether b has no byte above 0x7F.
func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
