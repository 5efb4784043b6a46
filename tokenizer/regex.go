package tokenizer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The regular expressions of tokenizer files are written for Oniguruma (Ruby syntax). Go's regexp has neither their
// look-ahead nor their Unicode tables, so the part of the syntax that tokenizers use is read here: characters, classes
// (also \s \d \w \h \p{..} and nested), groups, alternatives, greedy, lazy and possessive repetition, (?i:…) over ASCII
// letters, and look-ahead over one character. Anything else is refused by name.

// charset is a set of characters.
type charset struct {
	u       *charTables
	ascii   [2]uint64
	groups  uint32 // general categories, a bit each
	props   uint32 // properties of the table
	ranges  []rune // pairs: first, last
	nested  []*charset
	negated bool
}

// has says whether r is in the set.
func (s *charset) has(r rune) bool {
	if r < utf8.RuneSelf {
		return s.ascii[r>>6]>>(r&63)&1 != 0
	}
	return s.search(r)
}

func (s *charset) search(r rune) bool {
	p := s.u.props(r)
	in := s.groups>>(p&propCategory)&1 != 0 || p&s.props != 0
	for i := 0; i < len(s.ranges) && !in; i += 2 {
		in = s.ranges[i] <= r && r <= s.ranges[i+1]
	}
	for i := 0; i < len(s.nested) && !in; i++ {
		in = s.nested[i].has(r)
	}
	return in != s.negated
}

// seal fills the table of ASCII characters once the set is complete.
func (s *charset) seal() *charset {
	for r := range rune(utf8.RuneSelf) {
		if s.search(r) {
			s.ascii[r>>6] |= 1 << (r & 63)
		}
	}
	return s
}

// fold adds the other cases of the ASCII letters of the set, as Oniguruma has them, which is more than ASCII.
func (s *charset) fold() {
	for r := 'a'; r <= 'z'; r++ {
		if R := r - 'a' + 'A'; s.search(r) != s.negated || s.search(R) != s.negated {
			s.ranges = append(s.ranges, r, r, R, R)
			switch r {
			case 's':
				s.ranges = append(s.ranges, 'ſ', 'ſ')
			case 'k':
				s.ranges = append(s.ranges, '\u212A', '\u212A')
			}
		}
	}
}

// expr is a node of a parsed expression.
type expr struct {
	kind       exprKind
	set        *charset // kindSet, kindAhead
	parts      []*expr  // kindSequence, kindChoice; one for kindRepeat
	min, max   int      // kindRepeat; max −1: no limit
	lazy       bool
	possessive bool
	negated    bool // kindAhead
}

type exprKind int

const (
	kindSet exprKind = iota
	kindSequence
	kindChoice
	kindRepeat
	kindAhead
)

// maxRepeat and maxProgram bound what an expression may cost.
const (
	maxRepeat  = 100
	maxProgram = 512
	maxNesting = 100
)

// nullable says whether x can match the empty string.
func (x *expr) nullable() bool {
	switch x.kind {
	case kindSet:
		return false
	case kindSequence:
		return !slices.ContainsFunc(x.parts, func(p *expr) bool { return !p.nullable() })
	case kindChoice:
		return slices.ContainsFunc(x.parts, (*expr).nullable)
	case kindRepeat:
		return x.min == 0 || x.parts[0].nullable()
	}
	return true
}

// regexParser reads an expression.
type regexParser struct {
	u       *charTables
	source  string
	at      int
	folding bool
	depth   int
}

// syntaxError is how a regexParser gives up; compileRegex recovers it.
type syntaxError string

func (p *regexParser) fail(format string, args ...any) {
	panic(syntaxError(fmt.Sprintf(format, args...) + fmt.Sprintf(" at byte %d", p.at)))
}

func (p *regexParser) more() bool { return p.at < len(p.source) }

func (p *regexParser) next() rune {
	if !p.more() {
		p.fail("it ends too early")
	}
	r, n := utf8.DecodeRuneInString(p.source[p.at:])
	p.at += n
	return r
}

func (p *regexParser) accept(s string) bool {
	if strings.HasPrefix(p.source[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

func (p *regexParser) expect(s string) {
	if !p.accept(s) {
		p.fail("no %q", s)
	}
}

// choice reads alternatives up to a closing parenthesis or the end.
func (p *regexParser) choice() *expr {
	if p.depth++; p.depth > maxNesting {
		p.fail("nested too deep")
	}
	defer func() { p.depth-- }()
	x := &expr{kind: kindChoice}
	for {
		x.parts = append(x.parts, p.sequence())
		if !p.accept("|") {
			break
		}
	}
	if len(x.parts) == 1 {
		return x.parts[0]
	}
	return x
}

func (p *regexParser) sequence() *expr {
	x := &expr{kind: kindSequence}
	start := p.at
	for p.more() && p.source[p.at] != '|' && p.source[p.at] != ')' {
		atom := p.atom()
		if letters := p.source[start:p.at]; p.folding && foldsTogether(letters) {
			p.fail("case-insensitive %q, which also matches single characters", letters)
		}
		x.parts = append(x.parts, p.repeated(atom))
	}
	return x
}

// foldsTogether says whether s ends in letters that a single character, such as the ligature ﬁ, folds to.
func foldsTogether(s string) bool {
	s = strings.ToLower(s)
	for _, pair := range []string{"ff", "fi", "fl", "ss", "st"} {
		if strings.HasSuffix(s, pair) {
			return true
		}
	}
	return false
}

func (p *regexParser) repeated(x *expr) *expr {
	for p.more() {
		r := &expr{kind: kindRepeat, parts: []*expr{x}, max: -1}
		counted := false
		switch {
		case p.accept("*"):
		case p.accept("+"):
			r.min = 1
		case p.accept("?"):
			r.max = 1
		case p.accept("{"):
			counted = true
			r.min, r.max = p.bounds()
		default:
			return x
		}
		switch {
		case x.kind == kindRepeat:
			p.fail("repetition of a repetition")
		case x.nullable():
			p.fail("repetition of something that may be empty")
		case p.accept("?"):
			r.lazy = true
		case p.accept("+"):
			if r.possessive = true; counted || x.kind != kindSet {
				p.fail("possessive repetition of other than one character")
			}
		}
		if counted && r.lazy {
			p.fail("lazy counted repetition")
		}
		x = r
	}
	return x
}

func (p *regexParser) bounds() (low, high int) {
	number := func() (int, bool) {
		start := p.at
		for p.more() && p.source[p.at] >= '0' && p.source[p.at] <= '9' {
			p.at++
		}
		n, err := strconv.Atoi(p.source[start:p.at])
		if p.at > start && (err != nil || n > maxRepeat) {
			p.fail("more than %d repetitions", maxRepeat)
		}
		return n, p.at > start
	}
	low, someLow := number()
	high = low
	someHigh := someLow
	if p.accept(",") {
		if high, someHigh = number(); !someHigh {
			high = -1
		}
	}
	p.expect("}")
	if !someLow && !someHigh || high >= 0 && high < low || high == 0 {
		p.fail("bad repetition")
	}
	return low, high
}

func (p *regexParser) atom() *expr {
	set := &charset{u: p.u}
	switch {
	case p.accept("(?="), p.accept("(?!"):
		negated := p.source[p.at-1] == '!'
		body := p.choice()
		p.expect(")")
		for body.kind == kindSequence && len(body.parts) == 1 {
			body = body.parts[0]
		}
		if body.kind != kindSet {
			p.fail("look-ahead over other than one character")
		}
		return &expr{kind: kindAhead, set: body.set, negated: negated}
	case p.accept("(?i:"):
		return p.group(true)
	case p.accept("(?:"):
		return p.group(p.folding)
	case p.accept("(?"):
		p.fail("group %q", "(?"+p.source[p.at:min(p.at+1, len(p.source))])
	case p.accept("("):
		return p.group(p.folding) // a capture: nothing refers to it
	case p.accept("["):
		set = p.class()
	case p.accept("."):
		set.ranges, set.negated = []rune{'\n', '\n'}, true
	case p.accept(`\`):
		p.escape(set, propRegexWord)
	default:
		r := p.next()
		if strings.ContainsRune("*+?{}^$", r) {
			p.fail("%q", r)
		}
		set.ranges = []rune{r, r}
	}
	if p.folding {
		p.foldable(set)
		set.fold()
	}
	return &expr{kind: kindSet, set: set.seal()}
}

// foldable refuses sets whose other cases are not only those of ASCII letters.
func (p *regexParser) foldable(s *charset) {
	if s.groups != 0 || len(s.nested) > 0 || s.negated {
		p.fail("case-insensitive class")
	}
	for _, r := range s.ranges {
		if r >= utf8.RuneSelf {
			p.fail("case-insensitive %q", r)
		}
	}
}

func (p *regexParser) group(folding bool) *expr {
	outer := p.folding
	p.folding = folding
	x := p.choice()
	p.folding = outer
	p.expect(")")
	return x
}

// class reads a bracketed class after its opening bracket.
func (p *regexParser) class() *charset {
	if p.depth++; p.depth > maxNesting {
		p.fail("nested too deep")
	}
	defer func() { p.depth-- }()
	s := &charset{u: p.u, negated: p.accept("^")}
	for first := true; ; first = false {
		switch {
		case !first && p.accept("]"):
			return s.seal()
		case strings.HasPrefix(p.source[p.at:], "[:"), strings.HasPrefix(p.source[p.at:], "&&"):
			p.fail("%q in a class", p.source[p.at:p.at+2])
		case p.accept("["):
			s.nested = append(s.nested, p.class())
			continue
		}
		low, single := p.member(s)
		if !single {
			continue
		}
		high := low
		if rest := p.source[p.at:]; strings.HasPrefix(rest, "-") && !strings.HasPrefix(rest, "-]") {
			p.at++
			if strings.HasPrefix(p.source[p.at:], "[") {
				p.fail("a range to a class")
			}
			if high, single = p.member(s); !single || high < low {
				p.fail("bad range")
			}
		}
		s.ranges = append(s.ranges, low, high)
	}
}

// member reads one character of a class, or adds an escaped class to it.
func (p *regexParser) member(s *charset) (r rune, single bool) {
	if !p.accept(`\`) {
		return p.next(), true
	}
	part := &charset{u: p.u}
	p.escape(part, propClassWord)
	if len(part.ranges) == 2 && part.ranges[0] == part.ranges[1] && !part.negated {
		return part.ranges[0], true
	}
	s.nested = append(s.nested, part.seal())
	return 0, false
}

// escape reads what follows a backslash into an empty set; word is the property of \w.
func (p *regexParser) escape(s *charset, word uint32) {
	r := p.next()
	one := func(r rune) { s.ranges = []rune{r, r} }
	switch r {
	case 'n':
		one('\n')
	case 'r':
		one('\r')
	case 't':
		one('\t')
	case 'f':
		one('\f')
	case 'v':
		one('\v')
	case 's', 'S':
		s.props, s.negated = propRegexSpace, r == 'S'
	case 'd', 'D':
		s.props, s.negated = propRegexDigit, r == 'D'
	case 'w', 'W':
		s.props, s.negated = word, r == 'W'
	case 'h', 'H':
		s.ranges, s.negated = []rune{'0', '9', 'a', 'f', 'A', 'F'}, r == 'H'
	case 'p', 'P':
		p.expect("{")
		s.negated = (r == 'P') != p.accept("^")
		end := strings.IndexByte(p.source[p.at:], '}')
		if end < 0 {
			p.fail("no %q", "}")
		}
		p.property(s, p.source[p.at:p.at+end])
		p.at += end + 1
	case 'u':
		if len(p.source) < p.at+4 {
			p.fail("bad escape")
		}
		n, err := strconv.ParseUint(p.source[p.at:p.at+4], 16, 16)
		if err != nil {
			p.fail("bad escape")
		}
		p.at += 4
		one(rune(n))
	case 'x':
		digits := ""
		if p.accept("{") {
			end := strings.IndexByte(p.source[p.at:], '}')
			if end < 0 {
				p.fail("no %q", "}")
			}
			digits = p.source[p.at : p.at+end]
			p.at += end + 1
		} else if p.at+2 <= len(p.source) {
			digits = p.source[p.at : p.at+2]
			p.at += 2
		}
		n, err := strconv.ParseUint(digits, 16, 21)
		if err != nil || n > 0x10FFFF || n >= 0x80 && len(digits) == 2 {
			p.fail("bad escape")
		}
		one(rune(n))
	default:
		if r == '_' || r >= utf8.RuneSelf || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			p.fail("escape %q", `\`+string(r))
		}
		one(r)
	}
}

// property adds the characters of \p{name}: a general category, a group of them, or Han.
func (p *regexParser) property(s *charset, name string) {
	if name == "Han" {
		s.props = propRegexHan
		return
	}
	for i, c := range categories {
		if c == name || len(name) == 1 && c[:1] == name {
			s.groups |= 1 << i
		}
	}
	if s.groups == 0 {
		p.fail("property %q", name)
	}
}
