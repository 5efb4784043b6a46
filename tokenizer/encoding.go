package tokenizer

import (
	"errors"
	"fmt"
	"slices"
)

// Encoding is a text as a model takes it in: one entry a token in each slice.
type Encoding struct {
	IDs           []int32
	TypeIDs       []int32  // which of two texts, as the file numbers them
	AttentionMask []int32  // 1, or 0 for padding
	SpecialMask   []int32  // 1 for tokens that were put around the text, and for padding
	Tokens        []string // the vocabulary's strings; for an unknown piece of a Unigram model the text itself
	Offsets       []Offset // where in the text; {0, 0} for tokens that were put around it
	WordIDs       []int32  // the word that a token belongs to, counted per text; −1 for none

	// Overflowing holds the windows that truncation cut off, if Options.Overflow asked for them; they have none of
	// their own. For a pair of texts each window of one comes with each of the other.
	Overflowing []*Encoding

	// Repaired says that the text was not valid UTF-8, and that the rest, offsets too, is about Repair(text).
	Repaired bool

	further bool // a window, but not the first one, of a text
}

// Offset is a half-open range of code points (not bytes) of a text.
type Offset struct{ Start, End int32 }

// Len returns the number of tokens.
func (e *Encoding) Len() int { return len(e.IDs) }

// Strategy says which of two texts truncation shortens.
type Strategy int

// The strategies of truncation. A single text is shortened by LongestFirst and OnlyFirst.
const (
	LongestFirst Strategy = iota
	OnlyFirst
	OnlySecond
)

// Truncation shortens texts of too many tokens.
type Truncation struct {
	MaxLength int // tokens, special ones included
	Stride    int // tokens that a window of Overflowing shares with the one before
	Strategy  Strategy
	Left      bool // cut off the beginning instead of the end
}

// Padding lengthens encodings to a common length.
type Padding struct {
	Length     int // 0: the longest of those padded together
	MultipleOf int // 0 or 1: no rounding up
	Left       bool
	ID         int32
	TypeID     int32
	Token      string
}

var (
	// ErrTruncation reports that a text cannot be shortened as asked.
	ErrTruncation = errors.New("tokenizer: cannot truncate")
	// ErrUnknownToken reports a text that the vocabulary cannot express, not even by an unknown token.
	ErrUnknownToken = errors.New("tokenizer: no token")
	// ErrTooLong reports a text beyond what the package can count.
	ErrTooLong = errors.New("tokenizer: text too long")
)

// maxText bounds a text in bytes: alignments are 32 bits wide, and a character may grow when it is normalised.
const maxText = 1 << 24

// maxWindows bounds the windows of a pair, of which there are as many as products of two numbers.
const maxWindows = 1 << 14

// Pad lengthens encodings in place, windows in Overflowing too.
func (p Padding) Pad(encodings ...*Encoding) {
	n := p.Length
	if n <= 0 {
		for _, e := range encodings {
			n = max(n, e.Len())
		}
	}
	if p.MultipleOf > 1 && n%p.MultipleOf > 0 {
		n += p.MultipleOf - n%p.MultipleOf
	}
	for _, e := range encodings {
		e.pad(n, p)
	}
}

func (e *Encoding) pad(n int, p Padding) {
	for _, o := range e.Overflowing {
		o.pad(n, p)
	}
	more := n - e.Len()
	if more <= 0 {
		return
	}
	e.IDs = padded(e.IDs, more, p.ID, p.Left)
	e.TypeIDs = padded(e.TypeIDs, more, p.TypeID, p.Left)
	e.AttentionMask = padded(e.AttentionMask, more, 0, p.Left)
	e.SpecialMask = padded(e.SpecialMask, more, 1, p.Left)
	e.Tokens = padded(e.Tokens, more, p.Token, p.Left)
	e.Offsets = padded(e.Offsets, more, Offset{}, p.Left)
	e.WordIDs = padded(e.WordIDs, more, -1, p.Left)
}

func padded[T any](s []T, n int, with T, left bool) []T {
	padding := slices.Repeat([]T{with}, n)
	if left {
		return append(padding, s...)
	}
	return append(s, padding...)
}

// window returns the entries [from, to) of e, sharing its memory.
func (e *Encoding) window(from, to int) *Encoding {
	return &Encoding{
		IDs:           e.IDs[from:to:to],
		TypeIDs:       e.TypeIDs[from:to:to],
		AttentionMask: e.AttentionMask[from:to:to],
		SpecialMask:   e.SpecialMask[from:to:to],
		Tokens:        e.Tokens[from:to:to],
		Offsets:       e.Offsets[from:to:to],
		WordIDs:       e.WordIDs[from:to:to],
		Repaired:      e.Repaired,
	}
}

// truncate shortens e to n tokens.
func (e *Encoding) truncate(n int, t *Truncation, overflow bool) (*Encoding, error) {
	switch {
	case n >= e.Len():
		return e, nil
	case !overflow && t.Left:
		return e.window(e.Len()-n, e.Len()), nil
	case !overflow:
		return e.window(0, n), nil
	case n == 0:
		empty := e.window(0, 0)
		e.further = true
		empty.Overflowing = []*Encoding{e}
		return empty, nil
	case t.Stride >= n:
		return nil, fmt.Errorf("%w: a stride of %d in windows of %d tokens", ErrTruncation, t.Stride, n)
	}
	var windows []*Encoding
	for at := 0; ; at += n - t.Stride {
		from, to := at, min(at+n, e.Len())
		if t.Left {
			from, to = max(0, e.Len()-at-n), e.Len()-at
		}
		window := e.window(from, to)
		window.Offsets = slices.Clone(window.Offsets) // windows overlap, and offsets may be trimmed
		window.further = at > 0
		windows = append(windows, window)
		if t.Left && from == 0 || !t.Left && to == e.Len() {
			break
		}
	}
	windows[0].Overflowing = windows[1:]
	return windows[0], nil
}

// shorten truncates one text, or two if b is not nil, to t.MaxLength less the special tokens to come.
func (t *Truncation) shorten(a, b *Encoding, special int, overflow bool) (*Encoding, *Encoding, error) {
	limit := t.MaxLength - special
	if limit < 0 {
		return nil, nil, fmt.Errorf("%w: %d tokens leave no room for %d special ones", ErrTruncation, t.MaxLength, special)
	}
	lenA, lenB := a.Len(), 0
	if b != nil {
		lenB = b.Len()
	}
	excess := lenA + lenB - limit
	if excess <= 0 {
		return a, b, nil
	}
	keepA, keepB := lenA, lenB
	switch {
	case limit == 0:
		keepA, keepB = 0, 0
	case t.Strategy == OnlySecond && b == nil:
		return nil, nil, fmt.Errorf("%w: there is no second text to shorten", ErrTruncation)
	case t.Strategy == OnlySecond:
		keepB -= excess
	case t.Strategy == OnlyFirst || b == nil:
		keepA -= excess
	default:
		keepA, keepB = longestFirst(lenA, lenB, limit)
	}
	if t.Strategy != LongestFirst && limit > 0 && (keepA <= 0 && keepA < lenA || keepB <= 0 && keepB < lenB) {
		return nil, nil, fmt.Errorf("%w: %d tokens are too many, and the text to shorten has no more", ErrTruncation, excess)
	}
	a, err := a.truncate(keepA, t, overflow)
	if err == nil && b != nil {
		b, err = b.truncate(keepB, t, overflow)
	}
	return a, b, err
}

// longestFirst returns how many tokens two texts of a and b tokens keep: the shorter one as many as it has, if half of
// the limit holds them.
func longestFirst(a, b, limit int) (int, int) {
	short := min(a, b)
	if 2*short > limit {
		short = limit / 2
	}
	long := limit - short
	if a > b {
		return long, short
	}
	return short, long
}

// extend appends the entries of next to e.
func (e *Encoding) extend(next *Encoding) {
	e.IDs = append(e.IDs, next.IDs...)
	e.TypeIDs = append(e.TypeIDs, next.TypeIDs...)
	e.AttentionMask = append(e.AttentionMask, next.AttentionMask...)
	e.SpecialMask = append(e.SpecialMask, next.SpecialMask...)
	e.Tokens = append(e.Tokens, next.Tokens...)
	e.Offsets = append(e.Offsets, next.Offsets...)
	e.WordIDs = append(e.WordIDs, next.WordIDs...)
	e.Repaired = e.Repaired || next.Repaired
}

// grow makes room for n tokens in an empty encoding.
func (e *Encoding) grow(n int) {
	numbers := make([]int32, 5*n)
	room := func(i int) []int32 { return numbers[i*n : i*n : (i+1)*n] }
	e.IDs, e.TypeIDs, e.AttentionMask, e.SpecialMask, e.WordIDs = room(0), room(1), room(2), room(3), room(4)
	e.Tokens, e.Offsets = make([]string, 0, n), make([]Offset, 0, n)
}
