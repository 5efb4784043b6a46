package tokenizer

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// unigram finds the most probable cut of a word into pieces (Viterbi; Kudo 2018). Scores are added in the reference's
// order, in float64, and a later candidate must be better, not equal: ties are common in runs such as "!!!!!".
type unigram struct {
	pieces       []string
	scores       []float64
	ids          map[string]int32
	trie         *trie
	unknown      int32 // -1: none
	unknownScore float64
	byteIDs      *[256]int32 // byte fallback; nil if off or a byte has no token
}

// unknownPenalty is how much worse an unknown character is than the worst piece.
const unknownPenalty = 10

// step is the best way to a place of a text: the last piece of it.
type step struct {
	score float64
	start int32 // where it begins; −1: no way yet
	id    int32

	next, nextID int32 // the token that begins here, once the best path is known
}

func newUnigram(pieces []string, scores []float64, unknown int32, byteFallback bool) (*unigram, error) {
	m := &unigram{pieces: pieces, scores: scores, unknown: unknown, ids: make(map[string]int32, len(pieces))}
	if int(unknown) >= len(pieces) {
		return nil, fmt.Errorf("unk_id %d in a vocabulary of %d", unknown, len(pieces))
	}
	values := make([]int32, len(pieces))
	worst := math.Inf(1)
	for i, piece := range pieces {
		m.ids[piece] = int32(i)
		values[i] = int32(i)
		worst = min(worst, scores[i])
	}
	m.unknownScore = worst - unknownPenalty
	if byteFallback {
		m.byteIDs = byteTokens(m.ids)
	}
	var err error
	m.trie, err = newTrie(pieces, values)
	return m, err
}

// byteTokens returns the ids of <0x00> to <0xFF>, −1 for those that are missing, or nil if all are.
func byteTokens(ids map[string]int32) *[256]int32 {
	var table [256]int32
	some := false
	for b := range table {
		id, ok := ids[fmt.Sprintf("<0x%02X>", b)]
		if !ok {
			id = -1
		}
		table[b], some = id, some || ok
	}
	if !some {
		return nil
	}
	return &table
}

func (m *unigram) tokenID(token string) (int32, bool) {
	id, ok := m.ids[token]
	return id, ok
}

func (m *unigram) token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(m.pieces) {
		return "", false
	}
	return m.pieces[id], true
}

func (m *unigram) size() int { return len(m.pieces) }

func (m *unigram) tokenize(w *work, text []byte) error {
	path := w.path[:0]
	for range len(text) + 1 {
		path = append(path, step{start: -1})
	}
	w.path = path
	nodes := m.trie.nodes
	for start := 0; start < len(text); {
		till := path[start].score
		char := 1
		if text[start] >= utf8.RuneSelf {
			_, char = utf8.DecodeRune(text[start:])
		}
		single := false
		node := uint32(trieRoot)
		for end := start; end < len(text); {
			child := nodes[node].base ^ uint32(text[end])
			if nodes[child].parent != node || child == trieRoot {
				break
			}
			node = child
			end++
			id := nodes[node].value
			if id < 0 {
				continue
			}
			single = single || end-start == char
			if to, score := &path[end], m.scores[id]+till; to.start < 0 || score > to.score {
				to.score, to.start, to.id = score, int32(start), id
			}
		}
		if !single {
			if to, score := &path[start+char], m.unknownScore+till; to.start < 0 || score > to.score {
				if m.unknown < 0 {
					return fmt.Errorf("%w: %q, and the file has no unk_id", ErrUnknownToken, text[start:start+char])
				}
				to.score, to.start, to.id = score, int32(start), m.unknown
			}
		}
		start += char
	}
	m.emit(w, text, path)
	return nil
}

// emit adds the tokens of the best path. Unknown neighbours become one.
func (m *unigram) emit(w *work, text []byte, path []step) {
	// Turn the links around: start becomes the place where the token ends that begins at the index.
	for end := int32(len(text)); end > 0; {
		from := path[end].start
		for path[end].id == m.unknown && from > 0 && path[from].id == m.unknown {
			from = path[from].start
		}
		path[from].next, path[from].nextID = end, path[end].id
		end = from
	}
	for start := 0; start < len(text); {
		end, id := int(path[start].next), path[start].nextID
		if id != m.unknown {
			w.add(id, start, end, false)
		} else {
			m.addUnknown(w, text, start, end)
		}
		start = end
	}
}

// addUnknown adds text[start:end], which no piece covers: by its bytes, or as the unknown token.
func (m *unigram) addUnknown(w *work, text []byte, start, end int) {
	unknown := text[start:end]
	if id, ok := m.ids[string(unknown)]; ok { // fused unknowns, or the unknown token itself in a text
		w.add(id, start, end, false)
		return
	}
	if m.byteIDs != nil && !slices.ContainsFunc(unknown, func(b byte) bool { return m.byteIDs[b] < 0 }) {
		for _, b := range unknown {
			w.add(m.byteIDs[b], start, end, false)
		}
		return
	}
	w.add(m.unknown, start, end, true)
}
