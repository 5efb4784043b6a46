package tokenizer

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"unicode/utf8"
)

// bpe starts from characters and joins, again and again, the pair of neighbours that was learnt first (byte-pair
// encoding; Sennrich 2016).
type bpe struct {
	*vocabulary
	merges        mergeTable
	unknown       string
	hasUnknown    bool
	fuseUnknown   bool
	prefix        string // of a character inside a word
	suffix        string // of the last character of a word
	byteIDs       *[256]int32
	ignoreMerges  bool // a word that is a token is that token
	rawBytes      bool // pieces hold bytes, not the letters that byte-level BPE writes for them
	letterIDs     [256]int32
	wholeRawWords *trie // rawBytes and ignoreMerges: tokens by the bytes that they stand for
}

// pair is what joining two neighbours gives.
type pair struct{ rank, id int32 }

// mergeTable maps two ids to a pair. It hashes by a random odd factor, so that no file can make it slow.
type mergeTable struct {
	slots  []mergeSlot
	factor uint64
	shift  int
}

type mergeSlot struct {
	key  uint64
	pair pair
}

const emptySlot = math.MaxUint64

func newMergeTable(n int) mergeTable {
	log := bits.Len(uint(2*n + 1))
	t := mergeTable{slots: make([]mergeSlot, 1<<log), factor: rand.Uint64() | 1, shift: 64 - log}
	for i := range t.slots {
		t.slots[i].key = emptySlot
	}
	return t
}

func (t *mergeTable) slot(a, b int32) *mergeSlot {
	key := uint64(uint32(a))<<32 | uint64(uint32(b))
	for i := key * t.factor >> t.shift; ; i = (i + 1) & uint64(len(t.slots)-1) {
		if s := &t.slots[i]; s.key == key || s.key == emptySlot {
			return s
		}
	}
}

// get returns what a and b join to.
func (t *mergeTable) get(a, b int32) (pair, bool) {
	s := t.slot(a, b)
	return s.pair, s.key != emptySlot
}

// set keeps the last rank of a pair that is listed twice, as the reference does.
func (t *mergeTable) set(a, b int32, p pair) {
	*t.slot(a, b) = mergeSlot{uint64(uint32(a))<<32 | uint64(uint32(b)), p}
}

// readBytes makes the model read bytes instead of letters, if each byte has a token. It says whether it does.
func (m *bpe) readBytes() (bool, error) {
	if m.prefix != "" || m.suffix != "" {
		return false, nil
	}
	for b, letter := range byteLetters {
		id, ok := m.ids[string(letter)]
		if !ok {
			return false, nil
		}
		m.letterIDs[b] = id
	}
	if m.ignoreMerges {
		var keys []string
		var ids []int32
		for token, id := range m.ids {
			if raw, ok := lettersToBytes(nil, token); ok && len(raw) > 0 {
				keys, ids = append(keys, string(raw)), append(ids, id)
			}
		}
		var err error
		if m.wholeRawWords, err = newTrie(keys, ids); err != nil {
			return false, err
		}
	}
	m.rawBytes = true
	return true, nil
}

// symbol is a part of a word that has not been joined further.
type symbol struct {
	id, length int32
	prev, next int32 // neighbours, for long words
	join       pair  // what joining with the right neighbour gives, for short words
}

// shortWord is the number of symbols up to which looking through all pairs beats a heap.
const shortWord = 48

func (m *bpe) tokenize(w *work, text []byte) error {
	if m.ignoreMerges {
		id, ok := int32(0), false
		if m.rawBytes {
			id, ok = m.wholeRawWords.get(text)
		} else {
			id, ok = m.ids[string(text)]
		}
		if ok {
			w.add(id, 0, len(text), false)
			return nil
		}
	}
	if m.rawBytes {
		w.symbols = w.symbols[:0]
		for _, b := range text {
			w.symbols = append(w.symbols, symbol{id: m.letterIDs[b], length: 1})
		}
	} else if err := m.spell(w, text); err != nil {
		return err
	}
	if len(w.symbols) <= shortWord {
		m.joinShort(w)
	} else {
		m.joinLong(w)
	}
	at := 0
	for _, s := range w.symbols {
		w.add(s.id, at, at+int(s.length), false)
		at += int(s.length)
	}
	return nil
}

// spell makes a symbol of each character. Characters that are not in the vocabulary become byte tokens, unknown
// tokens, or nothing at all.
func (m *bpe) spell(w *work, text []byte) error {
	w.symbols = w.symbols[:0]
	pending := symbol{length: -1} // an unknown token that may still grow
	for i := 0; i < len(text); {
		_, n := utf8.DecodeRune(text[i:])
		char := text[i : i+n]
		w.key = w.key[:0]
		if i > 0 {
			w.key = append(w.key, m.prefix...)
		}
		w.key = append(w.key, char...)
		if i += n; i == len(text) {
			w.key = append(w.key, m.suffix...)
		}
		if id, ok := m.ids[string(w.key)]; ok {
			if pending.length >= 0 {
				w.symbols = append(w.symbols, pending)
				pending.length = -1
			}
			w.symbols = append(w.symbols, symbol{id: id, length: int32(n)})
			continue
		}
		if m.spellBytes(w) || !m.hasUnknown {
			continue
		}
		id, ok := m.ids[m.unknown]
		if !ok {
			return fmt.Errorf("%w: the unknown token %q is not in the vocabulary", ErrUnknownToken, m.unknown)
		}
		switch {
		case pending.length < 0:
			pending = symbol{id: id, length: int32(n)}
		case m.fuseUnknown:
			pending.length += int32(n)
		default:
			w.symbols = append(w.symbols, pending)
			pending = symbol{id: id, length: int32(n)}
		}
	}
	if pending.length >= 0 {
		w.symbols = append(w.symbols, pending)
	}
	return nil
}

// spellBytes adds the byte tokens of w.key, unless one is missing.
func (m *bpe) spellBytes(w *work) bool {
	if m.byteIDs == nil {
		return false
	}
	for _, b := range w.key {
		if m.byteIDs[b] < 0 {
			return false
		}
	}
	for _, b := range w.key {
		w.symbols = append(w.symbols, symbol{id: m.byteIDs[b], length: 1})
	}
	return true
}

var noJoin = pair{rank: math.MaxInt32}

// joinShort joins the neighbours of lowest rank, leftmost first, until none are left.
func (m *bpe) joinShort(w *work) {
	s := w.symbols
	look := func(i int) {
		s[i].join = noJoin
		if i+1 < len(s) {
			if p, ok := m.merges.get(s[i].id, s[i+1].id); ok {
				s[i].join = p
			}
		}
	}
	for i := range s {
		look(i)
	}
	for {
		best := -1
		low := noJoin.rank
		for i := range s {
			if s[i].join.rank < low {
				best, low = i, s[i].join.rank
			}
		}
		if best < 0 {
			break
		}
		s[best].id = s[best].join.id
		s[best].length += s[best+1].length
		s = append(s[:best+1], s[best+2:]...)
		look(best)
		if best > 0 {
			look(best - 1)
		}
	}
	w.symbols = s
}

// merge is a pair of neighbours that waits to be joined.
type merge struct {
	pair
	at int32
}

func (a merge) before(b merge) bool { return a.rank < b.rank || a.rank == b.rank && a.at < b.at }

// joinLong does what joinShort does in time n log n.
func (m *bpe) joinLong(w *work) {
	s, heap := w.symbols, w.heap[:0]
	last := int32(len(s) - 1)
	for i := range s {
		s[i].prev, s[i].next = int32(i)-1, int32(i)+1
		if int32(i) < last {
			if p, ok := m.merges.get(s[i].id, s[i+1].id); ok {
				heap = push(heap, merge{p, int32(i)})
			}
		}
	}
	s[last].next = -1
	for len(heap) > 0 {
		var top merge
		top, heap = pop(heap)
		left := &s[top.at]
		if left.length < 0 || left.next < 0 {
			continue
		}
		right := &s[left.next]
		// The pair may have changed since it was put on the heap.
		if p, ok := m.merges.get(left.id, right.id); !ok || p.id != top.id {
			continue
		}
		left.id = top.id
		left.length += right.length
		left.next = right.next
		right.length = -1
		if left.next >= 0 {
			s[left.next].prev = top.at
			if p, ok := m.merges.get(left.id, s[left.next].id); ok {
				heap = push(heap, merge{p, top.at})
			}
		}
		if left.prev >= 0 {
			if p, ok := m.merges.get(s[left.prev].id, left.id); ok {
				heap = push(heap, merge{p, left.prev})
			}
		}
	}
	w.heap = heap
	out := s[:0]
	for _, x := range s {
		if x.length >= 0 {
			out = append(out, x)
		}
	}
	w.symbols = out
}

func push(heap []merge, m merge) []merge {
	heap = append(heap, m)
	i := len(heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !m.before(heap[up]) {
			break
		}
		heap[i] = heap[up]
		i = up
	}
	heap[i] = m
	return heap
}

func pop(heap []merge) (merge, []merge) {
	top := heap[0]
	m := heap[len(heap)-1]
	heap = heap[:len(heap)-1]
	i := 0
	for 2*i+1 < len(heap) {
		down := 2*i + 1
		if down+1 < len(heap) && heap[down+1].before(heap[down]) {
			down++
		}
		if !heap[down].before(m) {
			break
		}
		heap[i] = heap[down]
		i = down
	}
	if len(heap) > 0 {
		heap[i] = m
	}
	return top, heap
}

// letterBytes is the way back from byteLetters.
var letterBytes = func() map[rune]byte {
	m := make(map[rune]byte, 256)
	for b, letter := range byteLetters {
		m[letter] = byte(b)
	}
	return m
}()

// lettersToBytes appends the bytes that the letters of a byte-level token stand for, if it has only such letters.
func lettersToBytes(dst []byte, token string) ([]byte, bool) {
	for _, r := range token {
		b, ok := letterBytes[r]
		if !ok {
			return dst, false
		}
		dst = append(dst, b)
	}
	return dst, true
}
