// Package tokenizer turns text into the token ids that a model was trained on. It reads the tokenizer.json files of
// Hugging Face and gives, for every text, what the Python package tokenizers gives: ids, tokens, offsets, word ids.
//
// A text goes through five stages. Added tokens (such as "[MASK]") are cut out of it; a normalizer changes the
// characters; a preTokenizer cuts the rest into words; a model makes tokens of each word; a postProcessor puts special
// tokens around them and joins two texts. The stages work on one shared state, see work. A file with a component or an
// option that is not known here is refused, since leaving it out would give wrong ids without a sign.
//
// The behaviour is that of tokenizers 0.23.3, and for truncation that of 0.22.2, because 0.23 gives other results for
// pairs of texts and loses windows.
package tokenizer

import (
	"fmt"
	"io"
	"sync"
	"unicode/utf8"
)

// Tokenizer is a loaded tokenizer.json. It does not change and may be used by many goroutines at once.
type Tokenizer struct {
	added        addedTokens
	normalizer   normalizer   // nil: none
	preTokenizer preTokenizer // nil: none
	model        model
	post         postProcessor
	decoder      decoder // nil: tokens are joined by blanks
	truncation   *Truncation
	padding      *Padding

	// tracksIDs says that ids depend on where pieces come from (Metaspace with scheme "first"), so that even a text
	// of which only ids are wanted has to be tracked.
	tracksIDs bool
	pool      *sync.Pool // of *work
}

// Options says how to encode. The zero value does what the file says, as Python's encode does.
type Options struct {
	NoSpecial    bool        // leave out the special tokens around a text
	MaxLength    int         // above 0: truncate to so many tokens, whatever Truncation or the file say
	Truncation   *Truncation // instead of the file's
	NoTruncation bool        // ignore the file's truncation, Truncation and MaxLength
	Overflow     bool        // keep what truncation cuts off, as Encoding.Overflowing
	Padding      *Padding    // instead of the file's
	NoPadding    bool        // ignore the file's padding and Padding
}

// Load reads a tokenizer.json.
func Load(r io.Reader) (*Tokenizer, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return Parse(data)
}

// Encode encodes one text. Text that is not valid UTF-8 is repaired first, see Encoding.Repaired.
func (t *Tokenizer) Encode(text string, o Options) (*Encoding, error) {
	return t.encode(o, text)
}

// EncodePair encodes two texts that belong together, such as a question and a passage.
func (t *Tokenizer) EncodePair(a, b string, o Options) (*Encoding, error) {
	return t.encode(o, a, b)
}

// EncodeBytes is Encode for bytes that are probably UTF-8.
func (t *Tokenizer) EncodeBytes(text []byte, o Options) (*Encoding, error) {
	return t.encode(o, string(text))
}

// AppendIDs appends the ids of one text to dst: those that Encode gives, without padding. It is the fast way to
// encode: for a text of usual length it allocates nothing but dst.
func (t *Tokenizer) AppendIDs(dst []int32, text string, o Options) ([]int32, error) {
	text, _ = Repair(text)
	w := t.pool.Get().(*work)
	defer t.put(w)
	special := 0
	if !o.NoSpecial {
		special = t.post.special(false)
	}
	trunc := t.truncationFor(o)
	if err := t.tokenize(w, text, t.tracksIDs, limitFor(trunc, special)); err != nil {
		return dst, err
	}
	if t.tracksIDs {
		for _, token := range w.tokens {
			w.ids = append(w.ids, token.id)
		}
	}
	ids := w.ids
	if trunc != nil && len(ids)+special > trunc.MaxLength {
		keep := trunc.MaxLength - special
		switch {
		case keep < 0:
			return dst, fmt.Errorf("%w: %d tokens leave no room for %d special ones", ErrTruncation, trunc.MaxLength, special)
		case trunc.Strategy == OnlySecond && keep > 0:
			return dst, fmt.Errorf("%w: there is no second text to shorten", ErrTruncation)
		case trunc.Left:
			ids = ids[len(ids)-keep:]
		default:
			ids = ids[:keep]
		}
	}
	for _, part := range t.post.single {
		switch {
		case part.text >= 0:
			dst = append(dst, ids...)
		case !o.NoSpecial:
			dst = append(dst, part.ids...)
		}
	}
	return dst, nil
}

// AppendAround appends ids of one text to dst, with the special tokens around them.
func (t *Tokenizer) AppendAround(dst, ids []int32) []int32 {
	for _, part := range t.post.single {
		if part.text >= 0 {
			dst = append(dst, ids...)
		} else {
			dst = append(dst, part.ids...)
		}
	}
	return dst
}

// Count returns how many tokens a text has, special ones included, before truncation. It costs what AppendIDs costs.
func (t *Tokenizer) Count(text string) (int, error) {
	text, _ = Repair(text)
	w := t.pool.Get().(*work)
	defer t.put(w)
	if err := t.tokenize(w, text, t.tracksIDs, -1); err != nil {
		return 0, err
	}
	return len(w.ids) + len(w.tokens) + t.post.special(false), nil
}

func (t *Tokenizer) encode(o Options, texts ...string) (*Encoding, error) {
	pair := len(texts) > 1
	special := 0
	if !o.NoSpecial {
		special = t.post.special(pair)
	}
	trunc := t.truncationFor(o)
	limit := limitFor(trunc, special)
	if pair || o.Overflow {
		limit = -1
	}
	encodings := make([]*Encoding, 2)
	for i, text := range texts {
		e, err := t.one(text, int32(i), limit)
		if err != nil {
			return nil, err
		}
		encodings[i] = e
	}
	if trunc != nil {
		a, b, err := trunc.shorten(encodings[0], encodings[1], special, o.Overflow)
		if err != nil {
			return nil, err
		}
		encodings[0], encodings[1] = a, b
	}
	e, err := t.post.process(encodings[:len(texts)], !o.NoSpecial)
	if err != nil {
		return nil, err
	}
	if p := t.paddingFor(o); p != nil {
		p.Pad(e)
	}
	return e, nil
}

// limitFor returns how many tokens of a text are needed to truncate it, −1 for all.
func limitFor(trunc *Truncation, special int) int {
	if trunc == nil || trunc.Left || trunc.MaxLength < special {
		return -1
	}
	return trunc.MaxLength - special + 1 // one more tells that there is something to cut
}

func (t *Tokenizer) truncationFor(o Options) *Truncation {
	if o.NoTruncation {
		return nil
	}
	trunc := t.truncation
	if o.Truncation != nil {
		trunc = o.Truncation
	}
	if o.MaxLength > 0 {
		limited := Truncation{}
		if trunc != nil {
			limited = *trunc
		}
		limited.MaxLength = o.MaxLength
		trunc = &limited
	}
	return trunc
}

func (t *Tokenizer) paddingFor(o Options) *Padding {
	switch {
	case o.NoPadding:
		return nil
	case o.Padding != nil:
		return o.Padding
	}
	return t.padding
}

// one encodes a text without special tokens; from limit tokens on it may stop.
func (t *Tokenizer) one(text string, number int32, limit int) (*Encoding, error) {
	text, repaired := Repair(text)
	w := t.pool.Get().(*work)
	defer t.put(w)
	if err := t.tokenize(w, text, true, limit); err != nil {
		return nil, err
	}
	n := len(w.tokens)
	e := &Encoding{Repaired: repaired}
	e.grow(n)
	index := w.charIndex()
	for i := range w.tokens {
		token := &w.tokens[i]
		if !token.literal {
			token.text, _ = t.model.token(token.id)
		}
		e.IDs = append(e.IDs, token.id)
		e.TypeIDs = append(e.TypeIDs, number)
		e.AttentionMask = append(e.AttentionMask, 1)
		e.SpecialMask = append(e.SpecialMask, 0)
		e.Tokens = append(e.Tokens, token.text)
		e.Offsets = append(e.Offsets, index.offset(token.from))
		e.WordIDs = append(e.WordIDs, token.piece)
	}
	return e, nil
}

// tokenize takes a text through all stages but the last.
func (t *Tokenizer) tokenize(w *work, text string, track bool, limit int) error {
	if len(text) > maxText {
		return fmt.Errorf("%w: %d bytes, more than %d", ErrTooLong, len(text), maxText)
	}
	w.reset(text, track)
	t.added.raw.cut(w)
	if t.normalizer != nil {
		t.normalizer.normalize(w)
	}
	t.added.normalized.cut(w)
	if t.preTokenizer != nil {
		t.preTokenizer.preTokenize(w)
	}
	if w.err != nil {
		return w.err
	}
	for i := range w.pieces {
		if limit >= 0 && len(w.ids)+len(w.tokens) >= limit {
			break
		}
		p := &w.pieces[i]
		w.current = int32(i)
		if p.added >= 0 {
			w.add(p.added, 0, int(p.end-p.start), true)
			continue
		}
		if err := t.model.tokenize(w, w.bytes(p)); err != nil {
			return err
		}
	}
	return nil
}

// keptMemory is how long a text may be for its working memory to be kept for the next one.
const keptMemory = 1 << 16

func (t *Tokenizer) put(w *work) {
	if cap(w.text) <= keptMemory && cap(w.spareText) <= keptMemory {
		clear(w.tokens) // lets go of strings
		w.original = ""
		t.pool.Put(w)
	}
}

// charIndex converts byte offsets of the original text into code points.
type charIndex struct {
	chars []int32 // the number of the code point that a byte belongs to; nil for ASCII, where it is the byte's own
	size  int32   // bytes of the text
}

func (w *work) charIndex() charIndex {
	c := charIndex{size: int32(len(w.original))}
	ascii := true
	for i := 0; i < len(w.original) && ascii; i++ {
		ascii = w.original[i] < utf8.RuneSelf
	}
	if ascii {
		return c
	}
	w.chars = w.chars[:0]
	n := int32(-1)
	for i := range len(w.original) {
		if utf8.RuneStart(w.original[i]) {
			n++
		}
		w.chars = append(w.chars, n)
	}
	c.chars = w.chars
	return c
}

func (c charIndex) offset(s span) Offset {
	switch {
	case c.chars == nil || s.start >= c.size:
		return Offset{s.start, s.end}
	case s.end < c.size:
		return Offset{c.chars[s.start], c.chars[s.end]}
	case s.end-1 < c.size && s.end > 0:
		return Offset{c.chars[s.start], c.chars[s.end-1] + 1}
	}
	return Offset{c.chars[s.start], c.chars[s.start] + 2}
}

// VocabSize returns the number of tokens, added ones included.
func (t *Tokenizer) VocabSize() int {
	n := t.model.size()
	for content := range t.added.ids {
		if _, ok := t.model.tokenID(content); !ok {
			n++
		}
	}
	return n
}

// TokenToID returns the id of a token.
func (t *Tokenizer) TokenToID(token string) (int32, bool) {
	if id, ok := t.added.ids[token]; ok {
		return id, true
	}
	return t.model.tokenID(token)
}

// IDToToken returns the token of an id.
func (t *Tokenizer) IDToToken(id int32) (string, bool) {
	if token, ok := t.added.byID[id]; ok {
		return token.shown(), true
	}
	return t.model.token(id)
}

// Padding returns the file's padding. A file without one gives a policy that pads to the longest text with the first
// of the usual padding tokens that the vocabulary has; found is false if it has none.
func (t *Tokenizer) Padding() (p Padding, found bool) {
	if t.padding != nil {
		return *t.padding, true
	}
	for _, token := range []string{"[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "<|end_of_text|>"} {
		if id, ok := t.TokenToID(token); ok {
			return Padding{ID: id, Token: token}, true
		}
	}
	return Padding{}, false
}

// Truncation returns the file's truncation; found is false if it has none.
func (t *Tokenizer) Truncation() (tr Truncation, found bool) {
	if t.truncation == nil {
		return Truncation{}, false
	}
	return *t.truncation, true
}

// SpecialTokens returns how many special tokens are put around one text, or around two.
func (t *Tokenizer) SpecialTokens(pair bool) int { return t.post.special(pair) }
