package pipeline

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/scry-ml/scry/bundle"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tensor"
	"github.com/scry-ml/scry/tokenizer"
)

// textPlan is the preprocessing of texts.
type textPlan struct {
	tok    *tokenizer.Tokenizer
	prefix string
	max    int // tokens, special ones included
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
	return p, nil
}

// PreparedText is a tokenised text.
type PreparedText struct {
	Item Item
	// Tokens that the model reads, special ones included.
	Tokens   int
	Warnings []*Warning

	field string
}

// Text tokenises a text, its prefix put before it. Invalid UTF-8 is replaced by
// U+FFFD by the WHATWG rules, with a warning; a text of more tokens than the
// model takes loses its end, with a warning; one of white space only gets a
// warning. An empty text and one beyond Limits.TextBytes are an *InputError.
func (p *Pipeline) Text(text string) (PreparedText, error) {
	if err := p.checkText("text", len(text)); err != nil {
		return PreparedText{}, err
	}
	return p.prepareText("text", text)
}

// TextBytes is Text for bytes of doubtful encoding; the field of its errors and
// warnings is "text_bytes".
func (p *Pipeline) TextBytes(text []byte) (PreparedText, error) {
	if err := p.checkText("text_bytes", len(text)); err != nil {
		return PreparedText{}, err
	}
	return p.prepareText("text_bytes", string(text))
}

func (p *Pipeline) checkText(field string, size int) error {
	switch {
	case p.text == nil:
		return fmt.Errorf("%w: the model takes no texts", ErrInput)
	case size == 0:
		return &InputError{Field: field, Reason: "TEXT_EMPTY", Message: "is empty"}
	case size > p.limits.TextBytes:
		return &InputError{Field: field, Reason: "TEXT_TOO_LONG", Message: fmt.Sprintf("has %d bytes, the limit is %d", size, p.limits.TextBytes)}
	}
	return nil
}

func (p *Pipeline) prepareText(field, text string) (PreparedText, error) {
	out, start, size := PreparedText{field: field}, time.Now(), len(text)
	text, repaired := tokenizer.Repair(text)
	if repaired {
		out.warn(servingv1.WarningCode_WARNING_CODE_TEXT_REPAIRED, "invalid UTF-8 was replaced by U+FFFD")
	}
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsSpace(r) }) < 0 {
		out.warn(servingv1.WarningCode_WARNING_CODE_EMPTY_INPUT, "holds nothing but white space")
	}
	if p.text.prefix != "" {
		text = p.text.prefix + text
	}
	// One token more than the model takes tells a text that fits from one that
	// does not.
	ids, err := p.text.tok.AppendIDs(make([]int32, 0, min(len(text)/3+8, p.text.max+1)), text, tokenizer.Options{MaxLength: p.text.max + 1})
	if err == nil && len(ids) > p.text.max {
		out.warn(servingv1.WarningCode_WARNING_CODE_TRUNCATED, fmt.Sprintf("the model reads %d tokens of it", p.text.max))
		ids, err = p.text.tok.AppendIDs(ids[:0], text, tokenizer.Options{MaxLength: p.text.max})
	}
	switch {
	case errors.Is(err, tokenizer.ErrUnknownToken), errors.Is(err, tokenizer.ErrTooLong):
		return PreparedText{}, &InputError{Field: field, Reason: "TEXT_UNREADABLE", Message: err.Error()}
	case err != nil:
		return PreparedText{}, err
	}
	out.Tokens = len(ids)
	if out.Tokens < p.text.max { // one that was cut says nothing of its length
		p.text.density.observe(out.Tokens, size)
	}
	out.Item, err = p.text.item(ids, 1)
	out.Item.Prepared = time.Since(start)
	return out, err
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

// EstimateTokens returns about how many tokens a text of so many bytes has, by
// the texts that were tokenised so far, within what the model takes.
func (p *Pipeline) EstimateTokens(bytes int) int {
	if p.text == nil {
		return 0
	}
	return min(max(p.text.density.tokens(bytes), p.text.tok.SpecialTokens(false)+1), p.text.max)
}

func (t *PreparedText) warn(code servingv1.WarningCode, message string) {
	t.Warnings = append(t.Warnings, &Warning{Code: code, Field: t.field, Message: message})
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
		if p.text != nil {
			tokens = min(tokens, p.text.max)
		}
		return int64(bytes(i) + tokens*perToken)
	})
}
