package tokenizer

import (
	"slices"
	"unicode/utf8"
)

// normalizer changes the text of the pieces that are not added tokens.
type normalizer interface {
	normalize(w *work)
}

// normalizers runs several in turn ("Sequence").
type normalizers []normalizer

func (s normalizers) normalize(w *work) {
	for _, n := range s {
		n.normalize(w)
	}
}

// runeMap is a normaliser that looks at one character at a time: emit writes what stands for r at byte i.
type runeMap struct {
	emit func(e *editor, i int, r rune)
}

func (m runeMap) normalize(w *work) {
	w.rewrite(func(e *editor, text []byte) {
		for i := 0; i < len(text); {
			r, n := utf8.DecodeRune(text[i:])
			m.emit(e, i, r)
			i += n
		}
	})
}

// lowercase is Rust's char::to_lowercase for each character, without regard to its place in a word.
func lowercase(u *charTables) runeMap {
	return runeMap{func(e *editor, i int, r rune) { u.writeLower(e, i, r) }}
}

func (t *charTables) writeLower(e *editor, i int, r rune) {
	to, list := t.lower.get(r)
	if list == nil {
		e.write(i, to)
		return
	}
	for _, r := range list {
		e.write(i, r)
	}
}

// stripAccents drops combining marks.
func stripAccents(u *charTables) runeMap {
	return runeMap{func(e *editor, i int, r rune) {
		if u.props(r)&propMark == 0 {
			e.write(i, r)
		}
	}}
}

// nmt is the clean-up of neural machine translation: no control characters, one kind of blank.
func nmt() runeMap {
	return runeMap{func(e *editor, i int, r rune) {
		switch {
		case r >= 1 && r <= 8, r == 0xB, r >= 0xE && r <= 0x1F && r != '\r', r == 0x7F, r == 0x8F, r == 0x9F:
			return
		case r == '\t', r == '\n', r == '\f', r == '\r', r == 0x1680, r >= 0x200B && r <= 0x200F, r == 0x2028,
			r == 0x2029, r == 0x2581, r == 0xFEFF, r == 0xFFFD:
			r = ' '
		}
		e.write(i, r)
	}}
}

// byteLetters gives each byte the printable character that byte-level BPE writes for it.
var byteLetters = func() (letters [256]rune) {
	next := rune(256)
	for b := range letters {
		switch {
		case b >= '!' && b <= '~', b >= 0xA1 && b <= 0xAC, b >= 0xAE:
			letters[b] = rune(b)
		default:
			letters[b] = next
			next++
		}
	}
	return letters
}()

// byteLevel writes every byte as its letter.
func byteLevel() runeMap {
	return runeMap{func(e *editor, i int, r rune) {
		for _, b := range e.src[i : i+utf8.RuneLen(r)] {
			e.write(i, byteLetters[b])
		}
	}}
}

// bertNormalizer is the clean-up of BERT.
type bertNormalizer struct {
	u                            *charTables
	clean, chinese, strip, lower bool
}

func (b *bertNormalizer) normalize(w *work) {
	if isASCII(w.text) {
		w.rewrite(b.ascii)
		return
	}
	if b.clean || b.chinese {
		runeMap{b.tidy}.normalize(w)
	}
	if b.strip {
		unicodeForm{u: b.u}.normalize(w)
		runeMap{b.unaccent}.normalize(w)
	} else if b.lower {
		lowercase(b.u).normalize(w)
	}
}

// ascii does all of it for a text of ASCII, which has neither accents nor Chinese characters.
func (b *bertNormalizer) ascii(e *editor, text []byte) {
	for i, c := range text {
		switch {
		case c >= 'A' && c <= 'Z':
			if b.lower {
				c += 'a' - 'A'
			}
		case c >= ' ' && c < 0x7F || !b.clean:
		case c == '\t' || c == '\n' || c == '\r':
			c = ' '
		default:
			continue
		}
		e.dst = append(e.dst, c)
		if e.track {
			e.dstAlign = append(e.dstAlign, e.srcAlign[i])
		}
	}
}

// tidy drops control characters, makes every blank a space and puts spaces around Chinese characters.
func (b *bertNormalizer) tidy(e *editor, i int, r rune) {
	if b.clean {
		p := b.u.props(r)
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			r = ' '
		case r == 0 || r == utf8.RuneError || p&propControl != 0:
			return
		case p&propWhite != 0:
			r = ' '
		}
	}
	if b.chinese && isChinese(r) {
		e.write(i, ' ')
		e.write(i, r)
		e.write(i, ' ')
		return
	}
	e.write(i, r)
}

// unaccent drops non-spacing marks and lowers the rest.
func (b *bertNormalizer) unaccent(e *editor, i int, r rune) {
	switch {
	case b.u.props(r)&propNonspacing != 0:
	case b.lower:
		b.u.writeLower(e, i, r)
	default:
		e.write(i, r)
	}
}

// isChinese is the reference's idea of the CJK ideographs. Its sixth range begins at 2B920 where Unicode has 2B820.
func isChinese(r rune) bool {
	return r >= 0x3400 && (r <= 0x4DBF ||
		r >= 0x4E00 && r <= 0x9FFF ||
		r >= 0xF900 && r <= 0xFAFF ||
		r >= 0x20000 && r <= 0x2A6DF ||
		r >= 0x2A700 && r <= 0x2B73F ||
		r >= 0x2B740 && r <= 0x2B81F ||
		r >= 0x2B920 && r <= 0x2CEAF ||
		r >= 0x2F800 && r <= 0x2FA1F)
}

// unicodeForm brings a text to NFD, or NFKD if compatible, and on to NFC or NFKC if compose.
type unicodeForm struct {
	u                   *charTables
	compatible, compose bool
}

// mark is a character of a decomposed text and its change, see editor.
type mark struct {
	r      rune
	change int32
	class  uint8
}

func (f unicodeForm) normalize(w *work) {
	w.rewrite(func(e *editor, text []byte) {
		if isASCII(text) {
			e.keep(0, len(text))
			return
		}
		marks := f.decompose(w, text)
		if f.compose {
			marks = f.composed(marks)
		}
		for _, m := range marks {
			e.push(m.r, int(m.change))
		}
	})
}

// decompose returns the decomposition of text in canonical order, valid until the next call.
func (f unicodeForm) decompose(w *work, text []byte) []mark {
	marks := w.marks[:0]
	var buffer [32]rune
	start := 0 // of the run of marks that may need sorting
	sort := func() {
		run := marks[start:]
		byClass := func(a, b mark) int { return int(a.class) - int(b.class) }
		if !slices.IsSortedFunc(run, byClass) {
			slices.SortStableFunc(run, byClass)
		}
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		i += n
		for j, d := range f.u.decompose(buffer[:0], r, f.compatible) {
			m := mark{r: d, class: f.u.combiningClass(d)}
			if j > 0 {
				m.change = 1
			}
			if m.class == 0 {
				sort()
				start = len(marks)
			}
			marks = append(marks, m)
		}
	}
	sort()
	w.marks = marks
	return marks
}

// composed replaces starters and the marks after them by primary composites, in place (Unicode 3.11, D117).
func (f unicodeForm) composed(marks []mark) []mark {
	out := marks[:0]
	starter, blocked := -1, -1 // blocked: the class of the last mark kept after the starter
	for _, m := range marks {
		if starter >= 0 && blocked < int(m.class) {
			if r := f.u.compose(out[starter].r, m.r); r != 0 {
				out[starter].r = r
				out[starter].change += m.change - 1
				continue
			}
		}
		switch {
		case m.class == 0:
			starter, blocked = len(out), -1
		case starter >= 0:
			blocked = int(m.class)
		}
		out = append(out, m)
	}
	return out
}

// strip drops blanks at the ends of a text.
type strip struct {
	u           *charTables
	left, right bool
}

func (s strip) normalize(w *work) {
	w.rewrite(func(e *editor, text []byte) {
		start, end := 0, len(text)
		for s.left && start < end {
			r, n := utf8.DecodeRune(text[start:])
			if s.u.props(r)&propWhite == 0 {
				break
			}
			start += n
		}
		for s.right && start < end {
			r, n := utf8.DecodeLastRune(text[start:end])
			if s.u.props(r)&propWhite == 0 {
				break
			}
			end -= n
		}
		e.keep(start, end)
	})
}

// replace puts content in the place of every match of a pattern.
type replace struct {
	pattern pattern
	content string
}

func (s replace) normalize(w *work) {
	w.rewrite(func(e *editor, text []byte) {
		w.matches = s.pattern.find(&w.match, text, w.matches[:0])
		for _, m := range w.matches {
			if !m.hit {
				e.keep(int(m.start), int(m.end))
				continue
			}
			for _, r := range s.content {
				e.write(int(m.end)-1, r)
			}
		}
	})
}

// prepend puts a text before one that is not empty.
type prepend string

func (s prepend) normalize(w *work) {
	w.rewrite(func(e *editor, text []byte) {
		for _, r := range string(s) {
			e.write(0, r)
		}
		e.keep(0, len(text))
	})
}
