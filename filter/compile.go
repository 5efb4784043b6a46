package filter

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.einride.tech/aip/filtering"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
)

const (
	// maxLength is how long a filter may be, in bytes.
	maxLength = 4096
	// maxDepth is how deep parentheses may be nested.
	maxDepth = 32
)

// Compile compiles a filter; nil for one that is empty or blank. Its errors are of
// type *Error. The library parses; types are checked here, because its checker does
// not say where.
func Compile(text string, attributes []Attribute) (*Program, error) {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return nil, nil
	}
	c := &compiler{text: text, start: strings.Index(text, trimmed), attributes: attributes}
	if len(text) > maxLength {
		return nil, c.errorf(0, "the filter has %d bytes, the limit is %d", len(text), maxLength)
	}
	if err := c.lex(trimmed); err != nil {
		return nil, err
	}
	var parser filtering.Parser
	parser.Init(trimmed)
	parsed, err := parser.Parse()
	if err != nil {
		return nil, c.parseError(err)
	}
	c.positions = parsed.GetSourceInfo().GetPositions()
	root, err := c.condition(parsed.GetExpr())
	if err != nil {
		return nil, err
	}
	return &Program{root}, nil
}

type compiler struct {
	text       string
	start      int // of the text without the blanks before it
	attributes []Attribute
	positions  map[int64]int32
}

// lex bounds the nesting before the parser, which recurses, sees it, and tells
// what no parser can read.
func (c *compiler) lex(text string) error {
	var lexer filtering.Lexer
	lexer.Init(text)
	depth := 0
	for {
		token, err := lexer.Lex()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.parseError(err)
		}
		switch token.Type {
		case filtering.TokenTypeLeftParen:
			if depth++; depth > maxDepth {
				return c.errorf(int(token.Position.Offset), "parentheses are nested deeper than %d", maxDepth)
			}
		case filtering.TokenTypeRightParen:
			depth--
		}
	}
}

// errorf makes an error at a byte of the trimmed text.
func (c *compiler) errorf(at int, format string, args ...any) error {
	at = min(c.start+at, len(c.text))
	before := c.text[:at]
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return &Error{
		Offset: at, Line: 1 + strings.Count(before, "\n"), Column: 1 + utf8.RuneCountInString(line),
		Message: fmt.Sprintf(format, args...),
	}
}

// at is errorf at an expression.
func (c *compiler) at(e *expr.Expr, format string, args ...any) error {
	return c.errorf(int(c.positions[e.GetId()]), format, args...)
}

// wanted says what each part of the grammar that can fail stands for.
var wanted = map[string]string{
	"member":    "an attribute or a value",
	"int":       "a number",
	"composite": "a closing parenthesis",
}

// parseError turns the parser's chain of errors into one: where the innermost
// stopped, and what the part that it belongs to wanted.
func (c *compiler) parseError(err error) error {
	type located interface {
		Position() filtering.Position
		Message() string
	}
	var at int
	message, part, cause := "", "", err
	for e := err; e != nil; e = errors.Unwrap(e) {
		if l, ok := e.(located); ok {
			if w := wanted[message]; w != "" {
				part = w
			}
			message, at = l.Message(), int(l.Position().Offset)
		}
		cause = e
	}
	if w := wanted[message]; w != "" {
		part = w
	}
	switch {
	case errors.Is(cause, io.EOF):
		at, message = len(strings.TrimSpace(c.text)), "the filter ends too early"
	case message == "parse token":
		message = cause.Error()
	case !isLocated(cause):
		message = cause.Error()
	}
	message = strings.NewReplacer("unexpected trailing token ", "unexpected ", "unexpected token ", "unexpected ").Replace(message)
	switch message {
	case "unexpected WS", "unexpected TEXT", "unexpected STRING", "unexpected NUM":
		part = "AND, OR or a comparison"
	}
	switch {
	case part != "" && strings.HasPrefix(message, "expected "):
		message = "expected " + part
	case part != "":
		message += ", expected " + part
	}
	return c.errorf(at, "%s", message)
}

func isLocated(err error) bool {
	_, ok := err.(interface{ Position() filtering.Position })
	return ok
}

var operators = map[string]operator{
	filtering.FunctionEquals: opEqual, filtering.FunctionNotEquals: opNotEqual,
	filtering.FunctionLessThan: opLess, filtering.FunctionLessEquals: opLessEqual,
	filtering.FunctionGreaterThan: opGreater, filtering.FunctionGreaterEquals: opGreaterEqual,
	filtering.FunctionHas: opHas,
}

// condition compiles what is true or false.
func (c *compiler) condition(e *expr.Expr) (node, error) {
	call := e.GetCallExpr()
	if call == nil {
		return c.bare(e)
	}
	switch name := call.GetFunction(); name {
	case filtering.FunctionAnd:
		return c.joined(opAnd, name, e)
	case filtering.FunctionOr:
		return c.joined(opOr, name, e)
	case filtering.FunctionNot:
		n, err := c.condition(call.GetArgs()[0])
		return node{op: opNot, children: []node{n}}, err
	case filtering.FunctionFuzzyAnd:
		for call.GetArgs()[0].GetCallExpr().GetFunction() == name { // the first of several
			call = call.GetArgs()[0].GetCallExpr()
		}
		return node{}, c.at(call.GetArgs()[1], "expected AND, OR or a comparison")
	default:
		op, ok := operators[name]
		if !ok {
			return node{}, c.at(e, "there is no function %q", name)
		}
		return c.comparison(op, name, call.GetArgs()[0], call.GetArgs()[1])
	}
}

// joined compiles a chain of ANDs or ORs, which the parser nests to the left, as
// one node.
func (c *compiler) joined(op operator, function string, e *expr.Expr) (node, error) {
	var parts []*expr.Expr
	for e.GetCallExpr().GetFunction() == function {
		args := e.GetCallExpr().GetArgs()
		parts = append(parts, args[1])
		e = args[0]
	}
	parts = append(parts, e)
	slices.Reverse(parts)
	n := node{op: op, children: make([]node, len(parts))}
	for i, p := range parts {
		var err error
		if n.children[i], err = c.condition(p); err != nil {
			return node{}, err
		}
	}
	return n, nil
}

// bare compiles a condition without a comparison: a bool.
func (c *compiler) bare(e *expr.Expr) (node, error) {
	if name := e.GetIdentExpr().GetName(); name == "true" || name == "false" {
		if _, err := c.attribute(e); err != nil {
			return node{op: opConst, truth: name == "true"}, nil
		}
	}
	n, err := c.attribute(e)
	if err != nil {
		return n, err
	}
	if n.kind != Bool {
		return n, c.at(e, "%s is %v, expected a comparison", n.name(c), n.kind)
	}
	n.op, n.truth = opEqual, true
	return n, nil
}

// name is how an attribute's node is called in messages.
func (n *node) name(c *compiler) string {
	name := c.attributes[n.place].Name
	if n.key != "" {
		name += "." + n.key
	}
	return name
}

// attribute finds the attribute that an expression names: a word, a text in
// quotes, or a map's entry. The longest name that is declared counts.
func (c *compiler) attribute(e *expr.Expr) (node, error) {
	var path []string
	head := e
	for head.GetSelectExpr() != nil {
		path = append(path, head.GetSelectExpr().GetField())
		head = head.GetSelectExpr().GetOperand()
	}
	switch {
	case head.GetIdentExpr() != nil:
		path = append(path, head.GetIdentExpr().GetName())
	case isText(head):
		path = append(path, head.GetConstExpr().GetStringValue())
	default:
		return node{}, c.at(e, "expected an attribute's name")
	}
	slices.Reverse(path)
	whole := strings.Join(path, ".")
	if i := slices.IndexFunc(c.attributes, func(a Attribute) bool { return a.Name == whole }); i >= 0 {
		return node{kind: c.attributes[i].Kind, place: i}, nil
	}
	for k := len(path) - 1; k > 0; k-- {
		name := strings.Join(path[:k], ".")
		i := slices.IndexFunc(c.attributes, func(a Attribute) bool { return a.Name == name })
		if i < 0 {
			continue
		}
		if kind := c.attributes[i].Kind; kind != Map {
			return node{}, c.at(e, "%s is %v, which has no entries", name, kind)
		}
		return node{kind: Map, place: i, key: strings.Join(path[k:], ".")}, nil
	}
	return node{}, c.at(e, "there is no attribute %.80q%s", whole, c.known())
}

// known lists the attributes, for messages.
func (c *compiler) known() string {
	if len(c.attributes) == 0 {
		return "; there are none"
	}
	var names []string
	for _, a := range c.attributes[:min(len(c.attributes), 12)] {
		names = append(names, a.Name)
	}
	more := ""
	if len(c.attributes) > len(names) {
		more = ", …"
	}
	return "; there are " + strings.Join(names, ", ") + more
}

func isText(e *expr.Expr) bool {
	_, ok := e.GetConstExpr().GetConstantKind().(*expr.Constant_StringValue)
	return ok
}

// comparison compiles `attribute operator value`.
func (c *compiler) comparison(op operator, sign string, left, right *expr.Expr) (node, error) {
	n, err := c.attribute(left)
	if err != nil {
		return n, err
	}
	n.op = op
	if op == opHas && isText(right) && right.GetConstExpr().GetStringValue() == "*" {
		n.op = opPresent
		return n, nil
	}
	whole := n.kind == Map && n.key == ""
	switch {
	case op == opHas && (n.kind == Number || n.kind == Bool || n.kind == Timestamp):
		return n, c.at(left, "%s is %v, of which \":\" asks for \"*\" only", n.name(c), n.kind)
	case op != opHas && (n.kind == Strings || whole):
		return n, c.at(left, "%s is %v, expected \":\" instead of %q", n.name(c), n.kind, sign)
	case (op != opEqual && op != opNotEqual && op != opHas) && n.kind == Bool:
		return n, c.at(left, "%s is a bool, expected = or != instead of %q", n.name(c), sign)
	}
	switch n.kind {
	case Number:
		n.number, err = c.number(right)
	case Bool:
		n.truth, err = c.truth(right)
	case Timestamp:
		n.time, err = c.timestamp(right)
	default:
		if n.text, err = c.textOf(right); err != nil {
			return n, err
		}
		switch {
		case whole: // a key
			n.op, n.key, n.text = opPresent, n.text, ""
			if n.key == "" {
				return n, c.at(right, "expected a key")
			}
		case op == opEqual || op == opNotEqual:
			n.cutWild()
		case op == opHas && n.kind != Strings:
			n.text = strings.Map(lower, n.text)
		}
	}
	return n, err
}

// cutWild takes the * at the ends of a text.
func (n *node) cutWild() {
	if rest, ok := strings.CutSuffix(n.text, "*"); ok {
		n.text, n.wild = rest, n.wild|anyAfter
	}
	if rest, ok := strings.CutPrefix(n.text, "*"); ok {
		n.text, n.wild = rest, n.wild|anyBefore
	}
}

// textOf reads a text, in quotes or, as AIP-160 has it, a word without.
func (c *compiler) textOf(e *expr.Expr) (string, error) {
	switch {
	case isText(e):
		return e.GetConstExpr().GetStringValue(), nil
	case e.GetIdentExpr() != nil:
		return e.GetIdentExpr().GetName(), nil
	}
	return "", c.at(e, "expected a text in quotes")
}

func (c *compiler) number(e *expr.Expr) (float64, error) {
	switch k := e.GetConstExpr().GetConstantKind().(type) {
	case *expr.Constant_Int64Value:
		return float64(k.Int64Value), nil
	case *expr.Constant_DoubleValue:
		return k.DoubleValue, nil
	case *expr.Constant_StringValue: // the grammar has no exponents: "1e6"
		if x, err := strconv.ParseFloat(k.StringValue, 64); err == nil && x-x == 0 {
			return x, nil
		}
	}
	return 0, c.at(e, "expected a number")
}

func (c *compiler) truth(e *expr.Expr) (bool, error) {
	switch name, _ := c.textOf(e); name {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, c.at(e, "expected true or false")
}

func (c *compiler) timestamp(e *expr.Expr) (int64, error) {
	if call := e.GetCallExpr(); call.GetFunction() == filtering.FunctionTimestamp && len(call.GetArgs()) == 1 {
		e = call.GetArgs()[0]
	}
	if isText(e) {
		text := e.GetConstExpr().GetStringValue()
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if t, err := time.Parse(layout, text); err == nil {
				return t.UnixMicro(), nil
			}
		}
	}
	return 0, c.at(e, `expected a time in quotes, such as "2026-05-01T10:00:00Z" or "2026-05-01"`)
}
