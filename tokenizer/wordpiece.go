package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// wordPiece takes the longest token that a word begins with, then the longest continuation, and so on; a word for
// which this fails, or of too many characters, is one unknown token.
type wordPiece struct {
	*vocabulary
	trie      *trie
	inner     uint32 // node of the continuation prefix: where tokens inside a word begin
	continues bool   // some token begins with that prefix
	unknown   string
	maxChars  int
}

func newWordPiece(v *vocabulary, unknown, prefix string, maxChars int) (*wordPiece, error) {
	m := &wordPiece{vocabulary: v, unknown: unknown, maxChars: maxChars}
	var err error
	if m.trie, err = v.trie(); err != nil {
		return nil, err
	}
	m.inner, m.continues = m.trie.walk(trieRoot, prefix)
	return m, nil
}

func (m *wordPiece) tokenize(w *work, text []byte) error {
	if len(text) > m.maxChars && utf8.RuneCount(text) > m.maxChars {
		return m.addUnknown(w, len(text))
	}
	ids, tokens := len(w.ids), len(w.tokens)
	node, ok := uint32(trieRoot), true
	for start := 0; start < len(text); node, ok = m.inner, m.continues {
		id, n := int32(0), 0
		if ok {
			id, n = m.trie.longest(node, text[start:])
		}
		if n == 0 {
			w.ids, w.tokens = w.ids[:ids], w.tokens[:tokens]
			return m.addUnknown(w, len(text))
		}
		w.add(id, start, start+n, false)
		start += n
	}
	return nil
}

func (m *wordPiece) addUnknown(w *work, n int) error {
	id, ok := m.ids[m.unknown]
	if !ok {
		return fmt.Errorf("%w: the unknown token %q is not in the vocabulary", ErrUnknownToken, m.unknown)
	}
	w.add(id, 0, n, false)
	return nil
}

// wordLevel knows whole words only.
type wordLevel struct {
	*vocabulary
	unknown string
}

func (m *wordLevel) tokenize(w *work, text []byte) error {
	id, ok := m.ids[string(text)]
	if !ok {
		if id, ok = m.ids[m.unknown]; !ok {
			return fmt.Errorf("%w: the unknown token %q is not in the vocabulary", ErrUnknownToken, m.unknown)
		}
	}
	w.add(id, 0, len(text), false)
	return nil
}
