package pipeline

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/tensor"
	"github.com/scry-ml/scry/tokenizer"
)

// textPlan is the preprocessing of texts.
type textPlan struct {
	tok    *tokenizer.Tokenizer
	prefix string
	max    int                  // tokens, special ones included
	stride int                  // tokens that chunks share; 0 = long texts are truncated
	room   int                  // tokens of a text that a row holds beside its prefix and the special ones
	limit  tokenizer.Truncation // to one token more than the model takes
	extra  int                  // where that token is: after so many from the beginning, or before so many at the end
	inputs []bundle.Value
	ids    string // names of the inputs; empty = none
	mask   string
	types  string
	padID  int32

	density density
}

func newTextPlan(b *bundle.Bundle) (*textPlan, error) {
	t := b.Manifest.GetText()
	f, err := b.FS.Open(t.GetTokenizer())
	if err != nil {
		return nil, fmt.Errorf("%w: text.tokenizer: it cannot be read", bundle.ErrInvalid)
	}
	defer f.Close()
	p := &textPlan{prefix: t.GetPrefix(), max: int(t.GetMaxLength()), inputs: b.Inputs()}
	if p.tok, err = tokenizer.Load(f); err != nil {
		return nil, fmt.Errorf("%w: text.tokenizer: %w", bundle.ErrInvalid, err)
	}
	p.ids, p.mask, p.types = b.TextInputs()
	if pad, ok := p.tok.Padding(); ok {
		p.padID = pad.ID
	} else {
		for _, name := range []string{"[PAD]", "<pad>"} {
			if id, ok := p.tok.TokenToID(name); ok {
				p.padID = id
				break
			}
		}
	}
	if special := p.tok.SpecialTokens(false); p.max <= special {
		return nil, fmt.Errorf("%w: text.max_length: %d leaves no room beside %d special tokens", bundle.ErrInvalid, p.max, special)
	}
	p.limit, _ = p.tok.Truncation()
	p.limit.MaxLength = p.max + 1
	if around := p.tok.AppendAround(nil, []int32{-1}); p.limit.Left {
		p.extra = slices.Index(around, -1)
	} else {
		p.extra = len(around) - 1 - slices.Index(around, -1)
	}
	if p.stride = int(t.GetStride()); p.stride > 0 {
		taken, err := p.tok.Count(p.prefix)
		if err != nil {
			return nil, fmt.Errorf("%w: text.prefix: %w", bundle.ErrInvalid, err)
		}
		if p.prefix != "" {
			taken++ // where the text follows, the prefix may have a token more
		}
		if p.room = p.max - taken; p.stride > p.room/2 {
			return nil, fmt.Errorf("%w: text.stride: %d is more than half of the %d tokens of a text that a chunk holds", bundle.ErrInvalid, p.stride, p.room)
		}
	}
	return p, nil
}

// Text tokenises a text into one row, its prefix put before it, as golden samples
// are. Invalid UTF-8 is replaced by U+FFFD by the WHATWG rules; a text of more
// tokens than the model takes loses its end. An empty text and one beyond
// Limits.TextBytes are an *InputError.
func (p *Pipeline) Text(text string) (Item, error) {
	if err := p.CheckText("text", len(text)); err != nil {
		return Item{}, err
	}
	start, size := time.Now(), len(text)
	text, _ = tokenizer.Repair(text)
	ids, _, err := p.text.read(text)
	if err != nil {
		return Item{}, unreadable("text", err)
	}
	if len(ids) < p.text.max { // one that was cut says nothing of its length
		p.text.density.observe(len(ids), size)
	}
	item, err := p.text.item(ids, 1)
	item.Prepared = time.Since(start)
	return item, err
}

// CheckText refuses an empty text, and one beyond Limits.TextBytes, with an
// *InputError of that field.
func (p *Pipeline) CheckText(field string, size int) error {
	if p.text == nil {
		return fmt.Errorf("%w: the model takes no texts", ErrInput)
	}
	return CheckTextSize(field, size, p.limits.TextBytes)
}

// CheckTextSize refuses an empty text, and one of more bytes than limit, with an
// *InputError of that field.
func CheckTextSize(field string, size, limit int) error {
	switch {
	case size == 0:
		return &InputError{Field: field, Reason: "TEXT_EMPTY", Message: "is empty"}
	case size > limit:
		return &InputError{Field: field, Reason: "TEXT_TOO_LONG", Message: fmt.Sprintf("has %d bytes, the limit is %d", size, limit)}
	}
	return nil
}

// read tokenises what the model takes of a text in valid UTF-8, its prefix put
// before it; cut tells that there is more.
func (t *textPlan) read(text string) (ids []int32, cut bool, err error) {
	text = t.prefix + text
	// One token more than the model takes tells a text that fits from one that
	// does not.
	ids, err = t.tok.AppendIDs(make([]int32, 0, min(len(text)/3+8, t.max+1)), text, tokenizer.Options{Truncation: &t.limit})
	if cut = len(ids) > t.max; cut {
		at := t.extra
		if !t.limit.Left {
			at = t.max - t.extra
		}
		ids = slices.Delete(ids, at, at+1)
	}
	return ids, cut, err
}

// unreadable blames a text for what its tokenizer cannot take.
func unreadable(field string, err error) error {
	if errors.Is(err, tokenizer.ErrUnknownToken) || errors.Is(err, tokenizer.ErrTooLong) {
		return &InputError{Field: field, Reason: "TEXT_UNREADABLE", Message: err.Error()}
	}
	return err
}

// AppendText tokenises a part of a text, in valid UTF-8 and its prefix put before
// it, and appends it to items: as one row, or as several that share tokens where
// it is longer than the model takes at once and the manifest has a stride.
// Without one it loses its end, and cut says so. An item's Length is its tokens.
// A text that the tokenizer cannot take is an *InputError of that field.
func (p *Pipeline) AppendText(items []Item, field, text string) (_ []Item, cut bool, err error) {
	if p.text == nil {
		return items, false, fmt.Errorf("%w: the model takes no texts", ErrInput)
	}
	t, start, first := p.text, time.Now(), len(items)
	// What is probably long is tokenised as chunks need it, and not twice.
	chunked := t.stride > 0 && t.density.tokens(len(text)) > t.max
	if !chunked {
		ids, more, err := t.read(text)
		if err != nil {
			return items, false, unreadable(field, err)
		}
		cut, chunked = more && t.stride == 0, more && t.stride > 0
		if !more {
			t.density.observe(len(ids), len(text))
		}
		if !chunked {
			if items, err = t.appendRow(items, ids); err != nil {
				return items, false, err
			}
		}
	}
	if chunked {
		if items, err = t.appendChunks(items, text); err != nil {
			return items[:first], false, unreadable(field, err)
		}
	}
	items[first].Prepared = time.Since(start)
	return items, cut, nil
}

// appendRow appends ids as an item of one row.
func (t *textPlan) appendRow(items []Item, ids []int32) ([]Item, error) {
	item, err := t.item(ids, 1)
	if err != nil {
		return items, err
	}
	return append(items, item), nil
}

// appendChunks appends all of a text as one item, or as several that share tokens.
func (t *textPlan) appendChunks(items []Item, text string) ([]Item, error) {
	e, err := t.tok.Encode(t.prefix+text, tokenizer.Options{NoSpecial: true, NoTruncation: true, NoPadding: true})
	if err != nil {
		return items, err
	}
	t.density.observe(e.Len(), len(text))
	prefix, most := 0, int32(utf8.RuneCountInString(t.prefix))
	for prefix < e.Len() && e.Offsets[prefix].End <= most && most > 0 {
		prefix++
	}
	words := e.WordIDs[prefix:]
	ids := make([]int32, 0, t.max)
	row := make([]int32, 0, t.max)
	for _, c := range chunks(len(words), t.max-t.tok.SpecialTokens(false)-prefix, t.stride, func(i int) bool { return words[i] != words[i-1] }) {
		ids = append(append(ids[:0], e.IDs[:prefix]...), e.IDs[prefix+c.from:prefix+c.to]...)
		row = t.tok.AppendAround(row[:0], ids)
		if items, err = t.appendRow(items, row); err != nil {
			return items, err
		}
	}
	return items, nil
}

// TokenSpan is where a token stands in a text, in bytes: [Begin, End), empty for
// one of the prefix and for a special one.
type TokenSpan struct{ Begin, End int }

// TokenSpans returns where the tokens of a text in valid UTF-8 stand, in the order
// in which AppendText lays them out as one row; false when the model does not take
// them all at once. A text that the tokenizer cannot take is an *InputError of
// that field.
func (p *Pipeline) TokenSpans(field, text string) ([]TokenSpan, bool, error) {
	if p.text == nil {
		return nil, false, fmt.Errorf("%w: the model takes no texts", ErrInput)
	}
	t := p.text
	e, err := t.tok.Encode(t.prefix+text, tokenizer.Options{MaxLength: t.max + 1, NoPadding: true})
	if err != nil {
		return nil, false, unreadable(field, err)
	}
	if e.Len() > t.max {
		return nil, false, nil
	}
	// Offsets are code points of the prefix and the text; byte i of the text begins
	// starts[i's code point].
	before := utf8.RuneCountInString(t.prefix)
	starts := make([]int, 0, len(text)+1)
	for i := range text {
		starts = append(starts, i)
	}
	starts = append(starts, len(text))
	at := func(offset int32) int { return starts[min(max(int(offset)-before, 0), len(starts)-1)] }
	out := make([]TokenSpan, e.Len())
	for i, o := range e.Offsets {
		out[i] = TokenSpan{at(o.Start), at(o.End)}
	}
	return out, true, nil
}

// chunk is the tokens [from, to) of a text.
type chunk struct{ from, to int }

// chunkCount is how many chunks of at most room tokens n tokens take, each of which
// shares stride tokens with the one before.
func chunkCount(n, room, stride int) int {
	if n <= room {
		return 1
	}
	return 1 + (n-stride-1)/(room-stride)
}

// chunks divides n tokens into chunks of at most room tokens, of about equal length. Each shares about stride tokens, at most half of room, with
// the one before. word says whether a word begins at token i > 0; where one does
// nearby, chunks begin and end there.
func chunks(n, room, stride int, word func(i int) bool) []chunk {
	var out []chunk
	for from := 0; ; {
		left := n - from
		if left <= room {
			return append(out, chunk{from, n})
		}
		k := chunkCount(left, room, stride)
		size := min((left+(k-1)*stride+k-1)/k, room)
		to := from + size
		for at, least := to, from+max(size*3/4, (size+stride)/2); at > least; at-- {
			if word(at) {
				to = at
				break
			}
		}
		out = append(out, chunk{from, to})
		from = to - stride
		for at := from; at < to-stride/2; at++ {
			if word(at) {
				from = at
				break
			}
		}
	}
}

// density is the measured number of tokens per byte of a model's texts: tokens
// in the upper half, bytes in the lower one.
type density struct{ sums atomic.Uint64 }

func (d *density) observe(tokens, bytes int) {
	const much = 1 << 20 // older texts fade
	for {
		old := d.sums.Load()
		t, b := old>>32+uint64(tokens), old&math.MaxUint32+uint64(bytes)
		if b >= much {
			t, b = t/2, b/2
		}
		if t > math.MaxUint32 || d.sums.CompareAndSwap(old, t<<32|b) {
			return
		}
	}
}

// tokens estimates a text's tokens. Before any was measured a token is taken
// for five bytes: too few tokens refuse nothing.
func (d *density) tokens(bytes int) int {
	sums := d.sums.Load()
	if sums&math.MaxUint32 == 0 {
		return bytes / 5
	}
	return int(float64(bytes) * float64(sums>>32) / float64(sums&math.MaxUint32))
}

// EstimateTokens returns about how many tokens the model reads of a text of so
// many bytes, by the texts that were tokenised so far, and in how many rows.
func (p *Pipeline) EstimateTokens(bytes int) (tokens, rows int) {
	if p.text == nil {
		return 0, 1
	}
	tokens = max(p.text.density.tokens(bytes), p.text.tok.SpecialTokens(false)+1)
	if p.text.stride == 0 || tokens <= p.text.max {
		return min(tokens, p.text.max), 1
	}
	// Each row has its own prefix and special tokens, and repeats some of the text.
	around := p.text.max - p.text.room
	rows = chunkCount(tokens-around, p.text.room, p.text.stride)
	return tokens + (rows-1)*(p.text.stride+around), rows
}

// item lays ids out as inputs of so many equal rows.
func (t *textPlan) item(ids []int32, rows int) (Item, error) {
	item := Item{Inputs: make([]tensor.Tensor, len(t.inputs)), Rows: rows, Length: len(ids)}
	for i, v := range t.inputs {
		out, err := tensor.New(v.DType, int64(rows), int64(len(ids)))
		if err != nil {
			return Item{}, err
		}
		for row := range rows {
			at := row * len(ids)
			switch v.Name {
			case t.ids:
				putInts(out, at, ids)
			case t.mask:
				putOnes(out, at, len(ids))
			}
		}
		item.Inputs[i] = out
	}
	return item, nil
}

func putInts(t tensor.Tensor, at int, values []int32) {
	if t.DType == tensor.Int32 {
		copy(tensor.View[int32](t)[at:], values)
		return
	}
	out := tensor.View[int64](t)[at : at+len(values)]
	for i, v := range values {
		out[i] = int64(v)
	}
}

func putOnes(t tensor.Tensor, at, n int) {
	c := cellsOf(t)
	for i := range n {
		c.int(at+i, 1)
	}
}

// synthetic makes up texts of so many tokens, of ids within the vocabulary.
func (t *textPlan) synthetic(rows, length int) (Item, error) {
	ids := make([]int32, min(length, t.max))
	size := max(t.tok.VocabSize(), 1)
	for i := range ids {
		// A stride that shares no factor with a usual vocabulary visits it all.
		ids[i] = int32((i*7919 + 101) % size)
	}
	return t.item(ids, rows)
}

// Vocabulary returns the number of token ids, 0 for a bundle without
// tokenizer.
func (p *Pipeline) Vocabulary() int {
	if p.text == nil {
		return 0
	}
	return p.text.tok.VocabSize()
}

// TextWaves cuts n texts, text i of so many bytes, into waves.
func (p *Pipeline) TextWaves(n int, bytes func(i int) int) []Wave {
	const perToken = 8 * 3 // three inputs of int64 at most
	return Cut(n, WaveItems, func(i int) int64 {
		tokens := bytes(i) + 8
		if p.text != nil && p.text.stride == 0 {
			tokens = min(tokens, p.text.max)
		}
		return int64(bytes(i) + tokens*perToken)
	})
}
