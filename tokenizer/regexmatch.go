package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// pattern finds its matches in a text. find appends parts that cover the text without gaps: matches, and what lies
// between them.
type pattern interface {
	find(m *matcher, text []byte, out []match) []match
}

// literal is a pattern of a fixed string, not empty.
type literal string

func (l literal) find(_ *matcher, text []byte, out []match) []match {
	last := 0
	for {
		n := bytes.Index(text[last:], []byte(l))
		if n < 0 {
			break
		}
		if n > 0 {
			out = append(out, match{start: int32(last), end: int32(last + n)})
		}
		last += n + len(l)
		out = append(out, match{start: int32(last - len(l)), end: int32(last), hit: true})
	}
	if last < len(text) {
		out = append(out, match{start: int32(last), end: int32(len(text))})
	}
	return out
}

// regex is a compiled expression: a program for a backtracking matcher. In quick, the repetition of a set is one
// instruction that runs ahead. Where that would take too long, the matcher goes on with careful, in which every
// repetition is a loop, and remembers which (instruction, place) has failed: those fail for every match of the text,
// so the work is bounded by the size of the program times that of the text.
type regex struct {
	quick, careful []instruction
}

type instruction struct {
	op      opcode
	set     *charset
	next    int       // where to go on
	other   int       // opFork: where to go on if next fails
	least   int       // opRun
	most    int       // opRun; −1: no limit
	keep    bool      // opRun: possessive, gives nothing back
	negated bool      // opAhead
	first   [2]uint64 // opFork: ASCII characters that next may begin with
}

type opcode int

const (
	opSet   opcode = iota // one character of set
	opRun                 // as many of set as there are, least to most
	opFork                // next, or else other
	opAhead               // the next character is in set, or not
	opMatch
)

// compileRegex reads an expression. It must not match the empty string.
func compileRegex(source string) (re *regex, err error) {
	defer func() {
		if r := recover(); r != nil {
			fault, ok := r.(syntaxError)
			if !ok {
				panic(r)
			}
			re, err = nil, fmt.Errorf("regular expression %q: not understood: %s", source, string(fault))
		}
	}()
	p := &regexParser{u: tables(), source: source}
	x := p.choice()
	if p.more() {
		p.fail("%q", p.source[p.at:p.at+1])
	}
	if x.nullable() {
		return nil, fmt.Errorf("regular expression %q: may match nothing", source)
	}
	re = &regex{}
	for _, c := range []struct {
		program *[]instruction
		runs    bool
	}{{&re.quick, true}, {&re.careful, false}} {
		b := builder{runs: c.runs, program: []instruction{{op: opMatch}}}
		start := b.build(x, 0)
		if b.program[start].op == opMatch || len(b.program) >= maxProgram {
			return nil, fmt.Errorf("regular expression %q: %w", source, errRegexTooLarge)
		}
		*c.program = append(b.program, b.program[start]) // the program begins at its last instruction
	}
	return re, nil
}

var errRegexTooLarge = errors.New("too large")

// builder writes a program from its end: each part is told where to go on.
type builder struct {
	runs    bool
	program []instruction
}

func (b *builder) emit(i instruction) int {
	if len(b.program) >= maxProgram {
		return 0 // compileRegex refuses the program
	}
	b.program = append(b.program, i)
	return len(b.program) - 1
}

// build returns where x begins if next is where to go on after it.
func (b *builder) build(x *expr, next int) int {
	if len(b.program) >= maxProgram {
		return 0 // compileRegex refuses the program
	}
	switch x.kind {
	case kindSet:
		return b.emit(instruction{op: opSet, set: x.set, next: next})
	case kindAhead:
		return b.emit(instruction{op: opAhead, set: x.set, negated: x.negated, next: next})
	case kindSequence:
		for i := len(x.parts) - 1; i >= 0; i-- {
			next = b.build(x.parts[i], next)
		}
		return next
	case kindChoice:
		at := b.build(x.parts[len(x.parts)-1], next)
		for i := len(x.parts) - 2; i >= 0; i-- {
			at = b.fork(b.build(x.parts[i], next), at, x.parts[i])
		}
		return at
	}
	body := x.parts[0]
	if body.kind == kindSet && !x.lazy && (b.runs || x.possessive) {
		return b.emit(instruction{op: opRun, set: body.set, least: x.min, most: x.max, keep: x.possessive, next: next})
	}
	at := next
	if x.max < 0 {
		loop := b.emit(instruction{op: opFork})
		start := b.build(body, loop)
		fork := b.repeat(start, next, body, x.lazy)
		b.program[loop] = b.program[fork]
		at = loop
	}
	for i := x.min; i < x.max; i++ {
		at = b.repeat(b.build(body, at), next, body, x.lazy)
	}
	for range x.min {
		at = b.build(body, at)
	}
	return at
}

// repeat forks between once more and going on.
func (b *builder) repeat(more, next int, body *expr, lazy bool) int {
	if lazy {
		return b.emit(instruction{op: opFork, next: next, other: more, first: anyFirst})
	}
	return b.fork(more, next, body)
}

func (b *builder) fork(next, other int, x *expr) int {
	first, _ := firsts(x)
	return b.emit(instruction{op: opFork, next: next, other: other, first: first})
}

var anyFirst = [2]uint64{^uint64(0), ^uint64(0)}

// firsts returns the ASCII characters that a match of x may begin with; open says that x may match nothing, so that
// what follows it decides.
func firsts(x *expr) (first [2]uint64, open bool) {
	union := func(other [2]uint64) { first[0], first[1] = first[0]|other[0], first[1]|other[1] }
	switch x.kind {
	case kindSet:
		return x.set.ascii, false
	case kindChoice:
		for _, part := range x.parts {
			f, o := firsts(part)
			union(f)
			open = open || o
		}
	case kindSequence:
		open = true
		for i := 0; i < len(x.parts) && open; i++ {
			var f [2]uint64
			f, open = firsts(x.parts[i])
			union(f)
		}
	case kindRepeat:
		first, open = firsts(x.parts[0])
		open = open || x.min == 0
	default:
		open = true
	}
	if open {
		return anyFirst, true
	}
	return first, false
}

// matcher is the state of a search, kept between searches for its memory.
type matcher struct {
	stack  []retry
	budget int
	failed []uint64 // careful: a bit per instruction, m.words words per place
	words  int
}

// visit marks an instruction at a place and says whether it was marked before.
func (m *matcher) visit(pc, at int) bool {
	word, bit := &m.failed[at*m.words+pc>>6], uint64(1)<<(pc&63)
	seen := *word&bit != 0
	*word |= bit
	return seen
}

// retry is a choice to come back to: go on with an instruction at a place, or at any place back to low, character by
// character.
type retry struct {
	pc      int32
	at, low int32
}

func (re *regex) find(m *matcher, text []byte, out []match) []match {
	return re.scan(m, text, out, 64*len(text)+1024)
}

// scan is find with a budget of steps for the quick program.
func (re *regex) scan(m *matcher, text []byte, out []match, budget int) []match {
	m.budget = budget
	m.failed = m.failed[:0]
	program := re.quick
	last := 0
	for at := 0; at < len(text); {
		end := m.run(program, text, at)
		if end == overspent {
			program = re.careful
			m.words = (len(program) + 63) / 64
			size := m.words * (len(text) + 1)
			if cap(m.failed) < size {
				m.failed = make([]uint64, size)
			}
			m.failed = m.failed[:size]
			clear(m.failed)
			continue
		}
		if end < 0 {
			_, n := utf8.DecodeRune(text[at:])
			at += n
			continue
		}
		if last < at {
			out = append(out, match{start: int32(last), end: int32(at)})
		}
		out = append(out, match{start: int32(at), end: int32(end), hit: true})
		at, last = end, end
	}
	if last < len(text) {
		out = append(out, match{start: int32(last), end: int32(len(text))})
	}
	if cap(m.failed) > 1<<20 {
		m.failed = nil
	}
	return out
}

const overspent = -2

// run returns where the match ends that begins at a place, −1 if there is none, overspent if it takes too long.
func (m *matcher) run(program []instruction, text []byte, at int) int {
	m.stack = m.stack[:0]
	pc := len(program) - 1
	careful := len(m.failed) > 0
	for {
		i := &program[pc]
		ok := true
		switch i.op {
		case opMatch:
			if careful {
				// What led here has not failed. The next match begins here, so only this place matters.
				clear(m.failed[at*m.words : (at+1)*m.words])
			}
			return at
		case opSet:
			n := 0
			if ok, n = i.set.at(text, at); ok {
				at += n
			}
		case opAhead:
			ok, _ = i.set.at(text, at)
			ok = ok != i.negated
		case opRun:
			low, count, start := at, 0, at
			if careful && m.visit(pc, at) {
				ok = false
				break
			}
			for count != i.most {
				in, n := i.set.at(text, at)
				if !in {
					break
				}
				at += n
				if count++; count == i.least {
					low = at
				}
				if careful && i.most < 0 {
					m.visit(pc, at) // a run from here would end at the same place
				}
			}
			m.budget -= at - start
			ok = count >= i.least
			if ok && low < at && !i.keep {
				m.stack = append(m.stack, retry{int32(i.next), int32(at), int32(low)})
			}
		case opFork:
			if at < len(text) && text[at] < utf8.RuneSelf && i.first[text[at]>>6]>>(text[at]&63)&1 == 0 {
				pc = i.other
				continue
			}
			if careful && m.visit(pc, at) {
				ok = false
				break
			}
			m.stack = append(m.stack, retry{int32(i.other), int32(at), int32(at)})
		}
		if ok {
			pc = i.next
			continue
		}
		if m.budget--; m.budget < 0 && !careful {
			return overspent
		}
		if len(m.stack) == 0 {
			return -1
		}
		top := &m.stack[len(m.stack)-1]
		pc, at = int(top.pc), int(top.at)
		if top.low < top.at {
			// One character back from where the run ended; the run itself has been tried.
			_, n := utf8.DecodeLastRune(text[:top.at])
			at -= n
			top.at = int32(at)
		}
		if top.low == top.at {
			m.stack = m.stack[:len(m.stack)-1]
		}
	}
}

// at says whether the character of text at a place is in the set, and its length.
func (s *charset) at(text []byte, at int) (bool, int) {
	if at >= len(text) {
		return false, 0
	}
	if c := text[at]; c < utf8.RuneSelf {
		return s.ascii[c>>6]>>(c&63)&1 != 0, 1
	}
	r, n := utf8.DecodeRune(text[at:])
	return s.search(r), n
}
