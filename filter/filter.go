// Package filter compiles AIP-160 filters, such as `category = "lamps" AND
// price < 20`, against declared attributes, and evaluates them on rows of values
// without garbage.
//
// The grammar is https://google.aip.dev/160: OR binds tighter than AND, NOT and a
// leading - negate, parentheses group. What stands on the left names an attribute,
// in quotes where the name is not one word; what stands on the right is a value.
//
//   - STRING: = != < <= > >= compare whole texts by their bytes, * at the beginning or
//     the end of an = or != value stands for anything, and : asks for a part of the
//     text, letters of both cases alike.
//   - NUMBER: = != < <= > >=.
//   - BOOL: = != with true and false; the name alone is short for = true.
//   - TIMESTAMP: = != < <= > >= with an RFC 3339 time or a date in quotes, which is
//     its beginning in UTC.
//   - STRINGS: : asks whether the list holds the text.
//   - MAP: : asks whether it holds the key; its entries, as in attributes.channel, are
//     strings.
//   - All: `name:*` asks whether there is a value. A value that is missing, and a
//     number that is NaN, meets no comparison, != included; NOT turns that round.
package filter

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is what an attribute's values are.
type Kind uint8

// The kinds of attributes.
const (
	String    Kind = iota + 1 // a text
	Number                    // a float64
	Bool                      // true or false
	Timestamp                 // microseconds since 1970
	Strings                   // a list of texts
	Map                       // texts by name
)

var kinds = [...]string{String: "a string", Number: "a number", Bool: "a bool", Timestamp: "a timestamp", Strings: "a list of strings", Map: "a map of strings"}

// String names the kind, with its article.
func (k Kind) String() string {
	if int(k) < len(kinds) && kinds[k] != "" {
		return kinds[k]
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// Attribute is something that filters may ask.
type Attribute struct {
	// Name is how filters call it.
	Name string
	// Kind is what its values are.
	Kind Kind
}

// Row gives the values of one row; i is an attribute's place among those that the
// filter was compiled against. A method is called for attributes of its kind only,
// and answers false where the row has no such value.
type Row interface {
	String(i int) (string, bool)
	Number(i int) (float64, bool)
	Bool(i int) (value, ok bool)
	// Timestamp is in microseconds since 1970.
	Timestamp(i int) (int64, bool)
	Strings(i int) ([]string, bool)
	// Entry is the value of a MAP's key. An empty key asks whether there is a map with
	// any entry.
	Entry(i int, key string) (string, bool)
}

// Error says where a filter is wrong, and what was expected.
type Error struct {
	// Offset counts bytes from 0.
	Offset int
	// Line and Column count from 1, Column in characters.
	Line, Column int
	// Message is for people.
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// Program is a compiled filter. It may be evaluated by many goroutines at once.
type Program struct{ root node }

// Match tells whether the row meets the filter. A nil program is met by every row.
func (p *Program) Match(r Row) bool {
	return p == nil || p.root.match(r)
}

type operator uint8

const (
	opAnd operator = iota + 1
	opOr
	opNot
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opHas     // part of a text, member of a list, key of a map
	opPresent // name:*
	opConst
)

// pattern tells where the * of a text stood.
type pattern uint8

const (
	anyBefore pattern = 1 << iota
	anyAfter
)

// node is one operation of a program.
type node struct {
	op       operator
	kind     Kind
	wild     pattern
	truth    bool // of BOOL, and of opConst
	place    int
	key      string // of MAP
	text     string
	number   float64
	time     int64
	children []node // of AND, OR and NOT
}

func (n *node) match(r Row) bool {
	switch n.op {
	case opAnd:
		for i := range n.children {
			if !n.children[i].match(r) {
				return false
			}
		}
		return true
	case opOr:
		for i := range n.children {
			if n.children[i].match(r) {
				return true
			}
		}
		return false
	case opNot:
		return !n.children[0].match(r)
	case opConst:
		return n.truth
	}
	switch n.kind {
	case String:
		v, ok := r.String(n.place)
		return ok && n.holds(v)
	case Map:
		v, ok := r.Entry(n.place, n.key)
		return ok && (n.op == opPresent || n.holds(v))
	case Number:
		v, ok := r.Number(n.place)
		if !ok || math.IsNaN(v) {
			return false
		}
		return n.op == opPresent || ordered(n.op, v, n.number)
	case Timestamp:
		v, ok := r.Timestamp(n.place)
		return ok && (n.op == opPresent || ordered(n.op, v, n.time))
	case Bool:
		v, ok := r.Bool(n.place)
		return ok && (n.op == opPresent || (v == n.truth) == (n.op == opEqual))
	case Strings:
		list, ok := r.Strings(n.place)
		if !ok || n.op == opPresent {
			return ok && len(list) > 0
		}
		if slices.Contains(list, n.text) {
			return true
		}
	}
	return false
}

// holds compares one text.
func (n *node) holds(v string) bool {
	switch n.op {
	case opPresent:
		return true
	case opHas:
		return containsFold(v, n.text)
	case opEqual, opNotEqual:
		return n.like(v) == (n.op == opEqual)
	}
	return ordered(n.op, v, n.text)
}

// like tells whether a text is the node's, whose ends may be open.
func (n *node) like(v string) bool {
	switch n.wild {
	case anyBefore:
		return strings.HasSuffix(v, n.text)
	case anyAfter:
		return strings.HasPrefix(v, n.text)
	case anyBefore | anyAfter:
		return strings.Contains(v, n.text)
	}
	return v == n.text
}

func ordered[T int64 | float64 | string](op operator, a, b T) bool {
	switch op {
	case opEqual:
		return a == b
	case opNotEqual:
		return a != b
	case opLess:
		return a < b
	case opLessEqual:
		return a <= b
	case opGreater:
		return a > b
	case opGreaterEqual:
		return a >= b
	}
	return false
}

// containsFold tells whether s holds part, which is in lower case, letters of
// both cases alike. It makes no garbage.
func containsFold(s, part string) bool {
	if part == "" {
		return true
	}
	first, _ := utf8.DecodeRuneInString(part)
	for i, r := range s {
		if lower(r) == first && hasPrefixFold(s[i:], part) {
			return true
		}
	}
	return false
}

func hasPrefixFold(s, part string) bool {
	for _, want := range part {
		r, n := utf8.DecodeRuneInString(s)
		if n == 0 || lower(r) != want {
			return false
		}
		s = s[n:]
	}
	return true
}

func lower(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return unicode.ToLower(r)
}
