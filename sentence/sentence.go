// Package sentence splits texts into sentences by rules, for Russian and English
// first and for the stops of other scripts. What a stop means is told by what
// stands on both sides of it: abbreviations, initials, numbers, quotes, brackets,
// smileys, dashes and the case of the next letter.
package sentence

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Span is a sentence: text[Begin:End], in bytes, without white space around it.
type Span struct {
	Begin, End int
}

// Split returns the sentences of text in their order. Together they hold all of
// text but white space. A blank line ends a sentence; a single line break does
// only after a stop or before an item of a list. Its time is linear in the length
// of text, which need not be valid UTF-8.
func Split(text string) []Span {
	text = strings.TrimRightFunc(text, unicode.IsSpace)
	s := splitter{text: text, bracket: -1, afterBreak: true}
	s.begin, _ = s.space(0)
	for i := s.begin; i < len(text); {
		if kinds[text[i]] == plain && s.words {
			i++
			continue
		}
		i = s.step(i)
	}
	s.cut(len(text))
	return s.spans
}

// splitter is at one place of a text.
type splitter struct {
	text  string
	spans []Span

	begin      int  // of the sentence at hand
	words      bool // it has a letter or a digit
	bracket    int  // where it opened a round bracket, or -1
	afterBreak bool // it begins a line
	small      bool // it begins with a small letter
	item       int  // the last number of a list

	address bool // the run without white space at hand looks like an address or a path
	closing int  // the first ')' at or behind the place where it was last looked for
}

// step looks at the character at i and returns where to go on.
func (s *splitter) step(i int) int {
	c := s.text[i]
	switch kinds[c] {
	case plain:
		s.word(c >= 'a')
		return i + 1
	case blank:
		end, breaks := s.space(i)
		s.address = false
		if breaks > 1 || breaks == 1 && s.bullet(end) {
			s.cutAt(i, end, true)
		}
		return end
	case stop:
		return s.stop(i)
	case open:
		end := run(s.text, i, c)
		if s.words && (end == len(s.text) || isSpace(s.text[end])) {
			return s.end(i, end, smiley) // "жаль((( "
		}
		if s.bracket < 0 {
			s.bracket = i
		}
		return end
	case shut:
		if s.bracket >= 0 || !s.words || s.label(i) {
			s.bracket = -1
			return i + 1
		}
		return s.end(i, run(s.text, i, c), smiley) // "спасибо))) "
	case eyes:
		if end := s.emoticon(i); end > i {
			return s.end(i, end, smiley)
		}
		if c == ':' && strings.HasPrefix(s.text[i:], "://") {
			s.address = true
		}
		return i + 1
	case path:
		s.address = true
		return i + 1
	case other:
		return i + 1
	}
	if s.words && (c < 0xC0 || c >= 0xC3 && c <= 0xD5) {
		return i + 1 // letters of Latin, Greek or Cyrillic, byte by byte
	}
	r, n := utf8.DecodeRuneInString(s.text[i:])
	switch {
	case unicode.IsLetter(r):
		s.word(unicode.IsLower(r))
	case unicode.IsDigit(r):
		s.word(false)
	case isStop(r):
		return s.stop(i)
	case unicode.IsSpace(r):
		end, breaks := s.space(i)
		s.address = false
		if breaks > 1 || breaks == 1 && s.bullet(end) {
			s.cutAt(i, end, true)
		}
		return end
	case isEmoji(r) && s.words && r != '❤' && r != '♥':
		return s.end(i, s.emojis(i), smiley)
	}
	return i + n
}

// word notes a letter or a digit.
func (s *splitter) word(small bool) {
	if !s.words {
		s.words, s.small = true, small
	}
}

// cut ends the sentence at i.
func (s *splitter) cut(i int) {
	end := len(strings.TrimRightFunc(s.text[s.begin:i], unicode.IsSpace)) + s.begin
	if end > s.begin {
		s.spans = append(s.spans, Span{s.begin, end})
	}
}

// cutAt ends the sentence at i; the next one begins at next.
func (s *splitter) cutAt(i, next int, line bool) {
	s.cut(i)
	s.begin = next
	s.words, s.bracket, s.afterBreak, s.address = false, -1, line, false
}

// ending is what may end a sentence.
type ending uint8

const (
	dot      ending = iota // one full stop
	ellipsis               // several, or "…"
	mark                   // with "!" or "?"
	wide                   // a stop of a script that writes no spaces
	smiley                 // an emoticon or emoji without a stop
)

// stop handles the run of stops that begins at i.
func (s *splitter) stop(i int) int {
	kind, j := dot, i
	for n := 0; j < len(s.text); n++ {
		r, size := utf8.DecodeRuneInString(s.text[j:])
		if !isStop(r) {
			break
		}
		switch {
		case isWide(r):
			kind = wide
		case r == '.' || r == '…':
			if kind == dot && (n > 0 || r == '…') {
				kind = ellipsis
			}
		case kind != wide && isMark(r):
			kind = mark
		}
		j += size
	}
	return s.end(i, j, kind)
}

// end decides whether the ending at text[i:j] ends the sentence, and returns where
// to go on.
func (s *splitter) end(i, j int, kind ending) int {
	text := s.text
	first := j
	inside, quoted := false, false // brackets opened within the sentence, or quotes, end behind the stop
	for j < len(text) {
		r, n := utf8.DecodeRuneInString(text[j:])
		switch {
		case r == ')' && s.bracket >= 0:
			inside = s.bracket > s.begin
			s.bracket = -1
		case isCloser(r):
			quoted = quoted || r != ')' && r != ']' && r != '*' && r != '_'
		case r == '[' && note(text[j:]) > 0:
			n = note(text[j:])
		case isStop(r): // "?!»."
			if j > first {
				kind, inside, quoted = max(kind, mark), false, false
			}
		default:
			n = 0
		}
		if n == 0 {
			break
		}
		j += n
	}
	next, breaks := s.space(j)
	spaced := next > j
	for breaks == 0 && next < len(text) {
		e := s.emojis(next)
		if e == next {
			e = s.emoticon(next)
		}
		if e == next && spaced && text[next] == ')' && s.bracket < 0 {
			e = run(text, next, ')')
		}
		if e == next {
			break
		}
		j, spaced = e, true
		next, breaks = s.space(j)
	}
	if next == len(text) {
		return next
	}
	ends := false
	switch {
	case breaks > 1:
		ends = true
	case !s.words:
	case kind == wide:
		ends = !isCloser(s.rune(next)) && !strings.ContainsRune("、，,;:", s.rune(next))
	case next == j && !spaced:
		ends = s.tight(i, j, kind)
	default:
		ends = s.ends(i, next, kind, breaks > 0, inside, quoted)
	}
	if ends {
		s.cutAt(j, next, breaks > 0)
		return next
	}
	if next > j {
		s.address = false
	}
	if spaced {
		return next
	}
	return j
}

// ends decides about an ending at i with white space behind it; next is where the
// text goes on.
func (s *splitter) ends(i, next int, kind ending, line, inside, quoted bool) bool {
	text := s.text
	if line && s.bullet(next) {
		return true
	}
	at := next
	r, n := utf8.DecodeRuneInString(text[at:])
	if isStop(r) && r != '.' || r == '.' && !s.dotted(at) || strings.ContainsRune(",;:)]}»%", r) {
		return false
	}
	if s.bracket > s.begin && s.closes(next) {
		return false // "(one. Two.)" within a sentence
	}
	dash := false
	for isOpener(r) || isDash(r) || r == ' ' {
		dash = dash || isDash(r)
		at += n
		if r, n = utf8.DecodeRuneInString(text[at:]); n == 0 {
			break
		}
	}
	if kind == dot && !inside {
		switch s.before(i, at, r) {
		case joins:
			return false
		case parts:
			return true
		}
	}
	small := unicode.IsLower(r) && !unicode.IsUpper(s.rune(at+n)) // "iPhone"
	switch {
	case small && (strings.HasPrefix(text[at:], "http") || strings.HasPrefix(text[at:], "www.")):
		return true
	case small && line:
		return !quoted && kind != smiley && !dash
	case small:
		// Who begins sentences with small letters may do it again.
		return s.small && (kind == dot || kind == mark) && !quoted && !inside && !dash && at == next
	case kind == smiley:
		return line || unicode.IsUpper(r) || isOpener(s.rune(next))
	case inside && kind != dot:
		return i-1 > s.begin && text[i-1] != '(' && starter(text[at:])
	case quoted && kind != dot && unicode.IsUpper(r):
		return !speech(text[at:])
	}
	return true
}

// tight decides about an ending that nothing separates from what follows at j.
func (s *splitter) tight(i, j int, kind ending) bool {
	text := s.text
	r, n := utf8.DecodeRuneInString(text[j:])
	if isOpener(r) && kind != smiley {
		r, _ = utf8.DecodeRuneInString(text[j+n:])
		return kind != dot && unicode.IsUpper(r)
	}
	if s.address || s.bracket > s.begin {
		return false
	}
	if !unicode.IsUpper(r) || kind == smiley {
		return false
	}
	end := j + n
	letters, small := 1, true
	for end < len(text) && letters < 24 {
		r, n := utf8.DecodeRuneInString(text[end:])
		if !unicode.IsLetter(r) {
			break
		}
		small = small && unicode.IsLower(r)
		letters++
		end += n
	}
	if end < len(text) && (strings.IndexByte("@/\\(_=", text[end]) >= 0 || text[end] >= '0' && text[end] <= '9' ||
		text[end] == '.' && end+1 < len(text) && text[end+1] >= 'a' && text[end+1] <= 'z') {
		return false
	}
	if kind != dot {
		return true
	}
	var buf, other [word]byte
	left, begin := wordBefore(text, i, &buf)
	right := wordAt(text[j:], &other)
	if len(left) == 0 || !small && letters > 1 || begin > s.begin && text[begin-1] == '.' {
		return false
	}
	if len(right) <= 6 && domains[string(right)] {
		return false
	}
	l, size := utf8.DecodeRuneInString(text[begin:])
	switch {
	case size == len(left) && unicode.IsLetter(l):
		return false // an initial, "т.Е"
	case abbreviations[string(left)] != none:
		return abbreviations[string(left)] == both && begin > 0 && numberBefore(text, begin)
	case letters == 1:
		return end == len(text) || text[end] != '.'
	case r < utf8.RuneSelf && unicode.IsUpper(l):
		return starters[string(right)] // "Ivan.Petrov" and "System.Out" are names
	case r < utf8.RuneSelf && unicode.IsDigit(l):
		return starters[string(right)]
	}
	return true
}

// verdict is what the word before a full stop says.
type verdict uint8

const (
	unsure verdict = iota
	joins          // the sentence goes on
	parts          // it ends
)

// before looks at the word before a full stop at i; the next word begins at next
// with r.
func (s *splitter) before(i, next int, r rune) verdict {
	text := s.text
	var buf [word]byte
	w, begin := wordBefore(text, i, &buf)
	if len(w) == 0 {
		return unsure
	}
	upper, digit := unicode.IsUpper(r), unicode.IsDigit(r)
	first, size := utf8.DecodeRuneInString(text[begin:])
	if unicode.IsDigit(first) {
		return s.number(begin, i, next)
	}
	// The parts of "т. д.", "e.g." and "А. С." before the last one.
	dotted := begin > s.begin && text[begin-1] == '.'
	gap := begin
	for gap > s.begin && gap > begin-3 && isSpace(text[gap-1]) {
		gap--
	}
	if gap > s.begin && text[gap-1] == '.' {
		var pair [2 * word]byte
		var other [word]byte
		if p, _ := wordBefore(text, gap-1, &other); len(p) > 0 && len(p) <= 8 {
			n := copy(pair[:], p)
			pair[n] = '.'
			n += 1 + copy(pair[n+1:], w)
			switch pairs[string(pair[:n])] {
			case head:
				return joins
			case tail:
				if upper || digit {
					return parts
				}
				return unsure
			case clock:
				if upper && !weekday(text[next:]) {
					return parts
				}
				return joins
			}
		}
	}
	single := size == i-begin
	class := abbreviations[string(w)]
	if single && (unicode.IsUpper(first) || dotted && class == none) {
		if single && !dotted && s.labelled(begin) && upper {
			return parts
		}
		if upper && starter(text[next:]) {
			return parts
		}
		if upper || unicode.IsLower(r) {
			return joins
		}
		return unsure
	}
	if class == none && single && unicode.Is(unicode.Cyrillic, first) {
		class = both
	}
	if class == both {
		class = head
		if numberBefore(text, begin) {
			class = tail
		}
	}
	switch class {
	case head:
		if upper || digit || unicode.IsLower(r) || r == '№' {
			return joins
		}
	case numbered:
		if digit || roman(text[next:]) {
			return joins
		}
	case name:
		if upper && starter(text[next:]) {
			return parts
		}
		if upper || digit {
			return joins
		}
	case tail:
		if digit && unit(text[next:]) {
			return joins
		}
	}
	if class != none && unicode.IsLower(r) {
		return joins
	}
	return unsure
}

// number is before for the number text[begin:i]: is it that of an item of a list?
func (s *splitter) number(begin, i, next int) verdict {
	n, level := 0, i-begin > 3
	for _, c := range []byte(s.text[begin:i]) {
		if c < '0' || c > '9' {
			level = true
			break
		}
		n = 10*n + int(c-'0')
		n = min(n, 10000)
	}
	at := begin
	for at > s.begin && at > begin-4 && (isSpace(s.text[at-1]) || strings.IndexByte("-*#(", s.text[at-1]) >= 0) {
		at--
	}
	starts := at == s.begin
	if !starts && s.text[at-1] == '.' && begin == at { // "2.1."
		starts, level = s.numeric(s.begin, at-1), false
		if starts {
			return joins
		}
	}
	if level {
		return unsure
	}
	follows := n == 1 || n == s.item+1
	if starts && (s.afterBreak || follows) || !starts && follows && strings.IndexByte(":;(", s.text[at-1]) >= 0 {
		s.item = n
		return joins
	}
	if !starts && n > 1 && n == s.item+1 { // "1. Bread 2. Milk"
		s.item = n
		return joins
	}
	return unsure
}

// numeric tells whether text[i:j] has digits and full stops only.
func (s *splitter) numeric(i, j int) bool {
	for _, c := range []byte(s.text[i:min(j, i+16)]) {
		if (c < '0' || c > '9') && c != '.' {
			return false
		}
	}
	return j-i <= 16
}

// labelled tells whether the word before begin is one that letters follow as
// names, such as "vitamin".
func (s *splitter) labelled(begin int) bool {
	for begin > s.begin && isSpace(s.text[begin-1]) {
		begin--
	}
	var buf [word]byte
	w, _ := wordBefore(s.text, begin, &buf)
	return labels[string(w)]
}

// label tells whether the bracket at i belongs to a label such as "1)" or "а)".
func (s *splitter) label(i int) bool {
	var buf [word]byte
	w, begin := wordBefore(s.text, i, &buf)
	if len(w) == 0 {
		return false
	}
	r, n := utf8.DecodeRuneInString(s.text[begin:])
	return unicode.IsDigit(r) || n == i-begin
}

// closes tells whether a round bracket closes soon behind i, in the same line.
func (s *splitter) closes(i int) bool {
	const far = 400
	if s.closing < i {
		n := strings.IndexByte(s.text[i:], ')')
		if n < 0 {
			n = len(s.text)
		}
		s.closing = i + n
	}
	return s.closing-i < far && s.closing < len(s.text) && strings.IndexByte(s.text[i:s.closing], '\n') < 0
}

// dotted tells whether the full stop at i begins a word, as in ".NET".
func (s *splitter) dotted(i int) bool {
	r := s.rune(i + 1)
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// bullet tells whether an item of a list or a reply begins at i, the begin of a line.
func (s *splitter) bullet(i int) bool {
	text := s.text
	r, n := utf8.DecodeRuneInString(text[i:])
	j := i + n
	switch {
	case isDash(r) && r != '-':
		end, _ := s.space(j)
		r := s.rune(end)
		return !unicode.IsLower(r)
	case strings.ContainsRune("-*+•●▪◦‣·■□○►➤→✓✔☑✗✘", r):
		return j < len(text) && isSpace(text[j])
	case r >= '0' && r <= '9':
		for digits := 1; j < len(text); j++ {
			c := text[j]
			if c >= '0' && c <= '9' {
				if digits++; digits > 3 {
					return false
				}
				continue
			}
			if c != '.' && c != ')' {
				return false
			}
			if j+1 < len(text) && isSpace(text[j+1]) {
				return true
			}
			if digits = 0; c == ')' || j-i > 12 {
				return false
			}
		}
	case unicode.IsLetter(r):
		return j+1 < len(text) && text[j] == ')' && isSpace(text[j+1])
	}
	return false
}

// space returns the end of the white space at i and the number of line breaks in
// it; a paragraph separator counts as two.
func (s *splitter) space(i int) (end, breaks int) {
	for i < len(s.text) {
		switch c := s.text[i]; {
		case c == '\n' || c == '\f':
			breaks++
		case c == '\r':
			if i+1 == len(s.text) || s.text[i+1] != '\n' {
				breaks++
			}
		case isSpace(c):
		case c < utf8.RuneSelf:
			return i, breaks
		default:
			r, n := utf8.DecodeRuneInString(s.text[i:])
			switch {
			case r == '\u2029':
				breaks += 2
			case r == '\u2028' || r == '\u0085':
				breaks++
			case !unicode.IsSpace(r):
				return i, breaks
			}
			i += n
			continue
		}
		i++
	}
	return i, breaks
}

// rune is the character at i, or utf8.RuneError at the end.
func (s *splitter) rune(i int) rune {
	if i >= len(s.text) {
		return utf8.RuneError
	}
	r, _ := utf8.DecodeRuneInString(s.text[i:])
	return r
}

// emojis returns the end of the emoji that begin at i.
func (s *splitter) emojis(i int) int {
	for i < len(s.text) && s.text[i] >= 0xE2 {
		r, n := utf8.DecodeRuneInString(s.text[i:])
		if !isEmoji(r) && r != '\uFE0F' && r != '\u200D' {
			break
		}
		i += n
	}
	return i
}

// emoticon returns the end of the emoticon, such as ":-)", that begins at i, or i.
func (s *splitter) emoticon(i int) int {
	text := s.text
	alone := i == 0 || kinds[text[i-1]] == blank || kinds[text[i-1]] == stop
	switch text[i] {
	case '<', '^', 'x', 'X':
		if alone {
			for _, face := range [...]string{"<3", "^_^", "^^", "xD", "XD"} {
				if strings.HasPrefix(text[i:], face) && !s.letter(i+len(face)) {
					return i + len(face)
				}
			}
		}
		return i
	case ':', ';', '=':
	default:
		return i
	}
	j := i + 1
	if j < len(text) && strings.IndexByte("-'^", text[j]) >= 0 {
		j++
	}
	if j == len(text) {
		return i
	}
	c := text[j]
	end := run(text, j, c)
	switch {
	case c == ')' || c == '(':
		if c == '(' && !alone && s.letter(end) || c == ')' && s.bracket >= 0 && !alone {
			return i // "см.:(текст)", "(as follows:)"
		}
		return end
	case alone && strings.IndexByte("DPpOo]/\\|3*", c) >= 0 && !s.letter(end) && end-j < 8:
		return end
	}
	return i
}

// letter tells whether a letter or a digit stands at i.
func (s *splitter) letter(i int) bool {
	r := s.rune(i)
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '/')
}

// run returns the end of the run of c that begins at i.
func run(text string, i int, c byte) int {
	for i < len(text) && text[i] == c {
		i++
	}
	return i
}

// note is the length of a footnote's number, such as "[12]", that text begins with.
func note(text string) int {
	for i := 1; i < len(text) && i < 6; i++ {
		if text[i] == ']' && i > 1 {
			return i + 1
		}
		if text[i] < '0' || text[i] > '9' {
			break
		}
	}
	return 0
}
