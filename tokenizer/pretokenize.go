package tokenizer

import (
	"bytes"
	"unicode/utf8"
)

// preTokenizer cuts the pieces that are not added tokens into words, and may rewrite them.
type preTokenizer interface {
	preTokenize(w *work)
}

// preTokenizers runs several in turn ("Sequence").
type preTokenizers []preTokenizer

func (s preTokenizers) preTokenize(w *work) {
	for _, p := range s {
		p.preTokenize(w)
	}
}

// match is a part of a piece: one that a pattern matched (hit), or one between matches.
type match struct {
	start, end int32
	hit        bool
	remove     bool
}

// behavior says what becomes of the matches of a pattern that splits a text.
type behavior int

const (
	removed behavior = iota
	isolated
	mergedWithPrevious
	mergedWithNext
	contiguous
)

var behaviors = map[string]behavior{
	"Removed": removed, "Isolated": isolated, "MergedWithPrevious": mergedWithPrevious,
	"MergedWithNext": mergedWithNext, "Contiguous": contiguous,
}

// apply turns matches into the parts that remain, in place.
func (b behavior) apply(matches []match) []match {
	switch b {
	case removed:
		for i := range matches {
			matches[i].remove = matches[i].hit
		}
	case mergedWithPrevious, contiguous:
		out, previous := matches[:0], false
		for _, m := range matches {
			join := m.hit && !previous
			if b == contiguous {
				join = m.hit == previous
			}
			previous = m.hit
			if join && len(out) > 0 {
				out[len(out)-1].end = m.end
			} else {
				out = append(out, m)
			}
		}
		return out
	case mergedWithNext:
		out, previous := len(matches), false
		for i := len(matches) - 1; i >= 0; i-- {
			m := matches[i]
			if m.hit && !previous && out < len(matches) {
				matches[out].start = m.start
			} else {
				out--
				matches[out] = m
			}
			previous = m.hit
		}
		return matches[out:]
	}
	return matches
}

// splitter splits by single characters: the runs between those with one of the properties, and each of those.
type splitter struct {
	u        *charTables
	prop     uint32
	behavior behavior
}

func (s *splitter) preTokenize(w *work) {
	w.cut(func(text []byte) {
		last := 0
		for i := 0; i < len(text); {
			r, n := rune(text[i]), 1
			if r >= utf8.RuneSelf {
				r, n = utf8.DecodeRune(text[i:])
			}
			if s.u.props(r)&s.prop != 0 {
				if last < i {
					w.matches = append(w.matches, match{start: int32(last), end: int32(i)})
				}
				last = i + n
				w.matches = append(w.matches, match{start: int32(i), end: int32(last), hit: true})
			}
			i += n
		}
		if last < len(text) {
			w.matches = append(w.matches, match{start: int32(last), end: int32(len(text))})
		}
		w.matches = s.behavior.apply(w.matches)
	})
}

// bertPreTokenizer cuts at blanks and around punctuation.
type bertPreTokenizer struct{ u *charTables }

func (s bertPreTokenizer) preTokenize(w *work) {
	w.cut(func(text []byte) {
		last := 0
		for i := 0; i < len(text); {
			r, n := rune(text[i]), 1
			if r >= utf8.RuneSelf {
				r, n = utf8.DecodeRune(text[i:])
			}
			if p := s.u.props(r); p&(propWhite|propPunctuation) != 0 {
				if last < i {
					w.matches = append(w.matches, match{start: int32(last), end: int32(i)})
				}
				last = i + n
				if p&propWhite == 0 {
					w.matches = append(w.matches, match{start: int32(i), end: int32(last)})
				}
			}
			i += n
		}
		if last < len(text) {
			w.matches = append(w.matches, match{start: int32(last), end: int32(len(text))})
		}
	})
}

// words cuts into runs of word characters and runs of others that are not blank ("Whitespace").
type words struct{ u *charTables }

func (s words) preTokenize(w *work) {
	const kinds = propWord | propWhite
	w.cut(func(text []byte) {
		last, kind := 0, uint32(propWhite)
		for i := 0; i < len(text); {
			r, n := utf8.DecodeRune(text[i:])
			if k := s.u.props(r) & kinds; k != kind {
				w.matches = append(w.matches, match{start: int32(last), end: int32(i), remove: kind == propWhite})
				last, kind = i, k
			}
			i += n
		}
		w.matches = append(w.matches, match{start: int32(last), end: int32(len(text)), remove: kind == propWhite})
	})
}

// patternSplit splits by a regular expression or a fixed string; inverted, by what does not match.
type patternSplit struct {
	pattern  pattern
	behavior behavior
	invert   bool
}

func (s *patternSplit) preTokenize(w *work) {
	w.cut(func(text []byte) {
		w.matches = s.pattern.find(&w.match, text, w.matches)
		if s.invert {
			for i := range w.matches {
				w.matches[i].hit = !w.matches[i].hit
			}
		}
		w.matches = s.behavior.apply(w.matches)
	})
}

// fixedLength cuts into runs of so many characters.
type fixedLength int

func (s fixedLength) preTokenize(w *work) {
	w.cut(func(text []byte) {
		last, count := 0, 0
		for i := range string(text) {
			if count == int(s) {
				w.matches = append(w.matches, match{start: int32(last), end: int32(i)})
				last, count = i, 0
			}
			count++
		}
		w.matches = append(w.matches, match{start: int32(last), end: int32(len(text))})
	})
}

// byteLevelSplit is the pre-tokenizer of byte-level BPE. The letters that stand for bytes are written by the last
// step, which is left out where the model reads bytes itself (see bpe.rawBytes).
type byteLevelSplit struct {
	prefixSpace bool
	pattern     *patternSplit // nil: no splitting
	letters     bool
}

func (s *byteLevelSplit) preTokenize(w *work) {
	if s.prefixSpace {
		w.rewrite(func(e *editor, text []byte) {
			if text[0] != ' ' {
				e.write(0, ' ')
			}
			e.keep(0, len(text))
		})
	}
	if s.pattern != nil {
		s.pattern.preTokenize(w)
	}
	if s.letters {
		byteLevel().normalize(w)
	}
}

// metaspace writes blanks as a visible character, puts one before the text and cuts before each.
type metaspace struct {
	replacement rune
	scheme      string // always, first or never
	split       bool
}

func (s *metaspace) preTokenize(w *work) {
	blank := string(s.replacement)
	w.rewrite(func(e *editor, text []byte) {
		starts := text[0] == ' ' || bytes.HasPrefix(text, []byte(blank))
		if !starts && (s.scheme == "always" || s.scheme == "first" && e.from.start == 0) {
			e.write(0, s.replacement)
		}
		for i := 0; i < len(text); {
			n := bytes.IndexByte(text[i:], ' ')
			if n < 0 {
				n = len(text) - i
			}
			e.keep(i, i+n)
			if i += n; i < len(text) {
				e.write(i, s.replacement)
				i++
			}
		}
	})
	if !s.split {
		return
	}
	w.cut(func(text []byte) {
		// Merged with next: a part ends before each replacement character but one that begins the text.
		last := 0
		for i := 0; ; i += len(blank) {
			n := bytes.Index(text[i:], []byte(blank))
			if n < 0 {
				break
			}
			if i += n; i > 0 {
				w.matches = append(w.matches, match{start: int32(last), end: int32(i)})
				last = i
			}
		}
		w.matches = append(w.matches, match{start: int32(last), end: int32(len(text))})
	})
}
