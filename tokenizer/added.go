package tokenizer

import (
	"bytes"
	"unicode/utf8"
)

// addedTokens are the tokens that a file lists beside the model's vocabulary. They are found in a text before the
// model sees it: some in the text as it came, some (normalized) after normalisation.
type addedTokens struct {
	raw, normalized addedSet
	ids             map[string]int32
	byID            map[int32]*addedToken
	special         map[string]bool // contents that decoding may skip
}

type addedToken struct {
	content    string
	normal     string // the content as the normalizer leaves it, if normalized
	id         int32
	singleWord bool // not inside a word
	lstrip     bool // takes the blanks before it
	rstrip     bool // takes the blanks after it
	normalized bool
	special    bool
}

// shown is what decoding makes of the token.
func (a *addedToken) shown() string {
	if a.normalized {
		return a.normal
	}
	return a.content
}

// addedSet finds tokens in a text: leftmost, and of those the longest.
type addedSet struct {
	u      *charTables
	tokens []*addedToken
	trie   *trie // values index tokens; nil: no tokens
	first  [256]bool
	only   int // the one byte that all tokens begin with, or −1
}

func newAddedSet(tokens []*addedToken, key func(*addedToken) string) (addedSet, error) {
	s := addedSet{u: tables(), only: -1}
	var keys []string
	var values []int32
	for _, a := range tokens {
		k := key(a)
		if k == "" {
			continue
		}
		keys, values = append(keys, k), append(values, int32(len(s.tokens)))
		s.tokens = append(s.tokens, a)
		if s.first[k[0]] = true; len(keys) == 1 {
			s.only = int(k[0])
		} else if s.only != int(k[0]) {
			s.only = -1
		}
	}
	if len(keys) == 0 {
		return s, nil
	}
	var err error
	s.trie, err = newTrie(keys, values)
	return s, err
}

// next returns the next place from at on where a token may begin.
func (s *addedSet) next(text []byte, at int) int {
	if s.only >= 0 {
		if n := bytes.IndexByte(text[at:], byte(s.only)); n >= 0 {
			return at + n
		}
		return len(text)
	}
	for at < len(text) && !s.first[text[at]] {
		at++
	}
	return at
}

// cut makes pieces of the tokens found in the other pieces.
func (s *addedSet) cut(w *work) {
	if s.trie == nil {
		return
	}
	out := w.sparePieces[:0]
	for i := range w.pieces {
		p := w.pieces[i]
		if p.added >= 0 {
			out = append(out, p)
			continue
		}
		out = s.cutPiece(w, &p, out)
	}
	w.pieces, w.sparePieces = out, w.pieces
}

func (s *addedSet) cutPiece(w *work, p *piece, out []piece) []piece {
	text := w.bytes(p)
	last := 0 // the text before it is in out
	for at := s.next(text, 0); at < len(text); at = s.next(text, at) {
		value, n := s.trie.longest(trieRoot, text[at:])
		if n == 0 {
			at++
			continue
		}
		token := s.tokens[value]
		start, stop := at, at+n
		at = stop
		if token.singleWord && (s.wordBefore(text[:start]) || s.wordAfter(text[stop:])) {
			continue
		}
		if token.lstrip {
			for start > last {
				r, n := utf8.DecodeLastRune(text[:start])
				if s.u.props(r)&propWhite == 0 {
					break
				}
				start -= n
			}
			start = max(start, last)
		}
		if token.rstrip {
			for stop < len(text) {
				r, n := utf8.DecodeRune(text[stop:])
				if s.u.props(r)&propWhite == 0 {
					break
				}
				stop += n
			}
		}
		if last < start {
			out = append(out, w.slice(p, int32(last), int32(start)))
		}
		if start < stop {
			found := w.slice(p, int32(start), int32(stop))
			found.added = token.id
			out = append(out, found)
		}
		last = stop
	}
	if last < len(text) {
		out = append(out, w.slice(p, int32(last), int32(len(text))))
	}
	return out
}

func (s *addedSet) wordBefore(text []byte) bool {
	r, _ := utf8.DecodeLastRune(text)
	return len(text) > 0 && s.u.props(r)&propWord != 0
}

func (s *addedSet) wordAfter(text []byte) bool {
	r, _ := utf8.DecodeRune(text)
	return len(text) > 0 && s.u.props(r)&propWord != 0
}
