package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrUnsupported reports a tokenizer.json with a part that this package does not know, or that makes no sense.
var ErrUnsupported = errors.New("tokenizer: unsupported tokenizer.json")

// document reads a JSON value. The first fault is kept, names its place in the file, and makes all that follows read
// as zero values, so that readers need not check each step.
type document struct {
	err        error
	components int
}

// maxComponents bounds the steps of a text's way, and with them the time that a file may make it take.
const maxComponents = 64

// value is a place in a document.
type value struct {
	doc  *document
	path string
	v    any // as encoding/json gives it, numbers as json.Number
}

func readDocument(data []byte) (value, error) {
	if !utf8.Valid(data) {
		return value{}, fmt.Errorf("%w: not UTF-8", ErrUnsupported)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	root := value{doc: &document{}}
	if err := d.Decode(&root.v); err != nil {
		return value{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return value{}, fmt.Errorf("%w: more than one JSON value", ErrUnsupported)
	}
	return root, nil
}

func (x value) fail(format string, args ...any) {
	if x.doc.err == nil {
		path := x.path
		if path == "" {
			path = "the file"
		}
		x.doc.err = fmt.Errorf("%w: %s: %s", ErrUnsupported, path, fmt.Sprintf(format, args...))
	}
}

// check notes an error found elsewhere about this place.
func (x value) check(err error) {
	if err != nil {
		x.fail("%v", err)
	}
}

func (x value) null() bool { return x.v == nil }

// fields returns the fields of an object and refuses names that are not among known.
func (x value) fields(known ...string) map[string]value {
	object, ok := x.v.(map[string]any)
	if !ok {
		x.fail("not an object")
	}
	fields := make(map[string]value, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := value{x.doc, strings.TrimPrefix(x.path+"."+name, "."), object[name]}
		if !slices.Contains(known, name) {
			at.fail("not known")
		}
		fields[name] = at
	}
	// Fields that are missing read as null.
	for _, name := range known {
		if _, ok := fields[name]; !ok {
			fields[name] = value{x.doc, strings.TrimPrefix(x.path+"."+name, "."), nil}
		}
	}
	return fields
}

// kind returns the "type" of an object.
func (x value) kind() string {
	object, ok := x.v.(map[string]any)
	if !ok {
		x.fail("not an object")
		return ""
	}
	kind, ok := object["type"].(string)
	if !ok {
		x.fail("no type")
	}
	if x.doc.components++; x.doc.components > maxComponents {
		x.fail("more than %d components", maxComponents)
		return ""
	}
	return kind
}

func (x value) list() []value {
	list, ok := x.v.([]any)
	if !ok {
		x.fail("not a list")
		return nil
	}
	values := make([]value, len(list))
	for i, v := range list {
		values[i] = value{x.doc, fmt.Sprintf("%s[%d]", x.path, i), v}
	}
	return values
}

func (x value) str() string {
	s, ok := x.v.(string)
	if !ok {
		x.fail("not a string")
	}
	return s
}

// strOr returns a string, or instead if it is missing or null.
func (x value) strOr(instead string) string {
	if x.null() {
		return instead
	}
	return x.str()
}

// char returns a string of one character.
func (x value) char() rune {
	s := x.str()
	if utf8.RuneCountInString(s) != 1 {
		x.fail("%q is not one character", s)
		return ' '
	}
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

func (x value) boolean() bool {
	b, ok := x.v.(bool)
	if !ok {
		x.fail("not true or false")
	}
	return b
}

func (x value) booleanOr(instead bool) bool {
	if x.null() {
		return instead
	}
	return x.boolean()
}

// number returns an integer from 0 to 2^31−1.
func (x value) number() int32 {
	n, ok := x.v.(json.Number)
	if !ok {
		x.fail("not a number")
		return 0
	}
	i, err := n.Int64()
	if err != nil || i < 0 || i > math.MaxInt32 {
		x.fail("%s is not a number from 0 to 2^31-1", n)
		return 0
	}
	return int32(i)
}

func (x value) numberOr(instead int32) int32 {
	if x.null() {
		return instead
	}
	return x.number()
}

// float returns a number as the reference's JSON reader has it, see inexactFloat.
func (x value) float() float64 {
	n, ok := x.v.(json.Number)
	if !ok {
		x.fail("not a number")
		return 0
	}
	f, err := inexactFloat(string(n))
	x.check(err)
	return f
}

// inexactFloat reads a JSON number as Rust's serde_json does by default: up to 19 digits as an integer, then one
// division or multiplication by a power of ten. The last bit can differ from the nearest number, which decides ties
// between cuts of a word.
func inexactFloat(s string) (float64, error) {
	digits, negative := strings.CutPrefix(s, "-")
	var significand uint64
	exponent, full, fraction := 0, false, false
	i := 0
scan:
	for ; i < len(digits); i++ {
		switch c := digits[i]; {
		case c == '.':
			fraction = true
		case c < '0' || c > '9':
			break scan
		default:
			d := uint64(c - '0')
			if !full && significand > (math.MaxUint64-d)/10 {
				full = true
			}
			if !full {
				significand = significand*10 + d
			}
			switch {
			case full && !fraction:
				exponent++
			case !full && fraction:
				exponent--
			}
		}
	}
	if i < len(digits) { // an exponent follows
		e, err := strconv.Atoi(digits[i+1:])
		if err != nil || e > 1e6 || e < -1e6 {
			return 0, fmt.Errorf("number %s out of range", s)
		}
		exponent += e
	}
	f := float64(significand)
	for exponent < -308 && f != 0 {
		f /= 1e308
		exponent += 308
	}
	switch {
	case f == 0:
	case exponent > 308:
		f = math.Inf(1)
	case exponent >= 0:
		f *= powersOfTen[exponent]
	default:
		f /= powersOfTen[-exponent]
	}
	if math.IsInf(f, 0) {
		return 0, fmt.Errorf("number %s out of range", s)
	}
	if negative {
		f = -f
	}
	return f, nil
}

var powersOfTen = func() (powers [309]float64) {
	for i := range powers {
		powers[i], _ = strconv.ParseFloat("1e"+strconv.Itoa(i), 64)
	}
	return powers
}()
