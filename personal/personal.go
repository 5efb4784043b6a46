// Package personal finds personal data in texts by its form: telephone numbers,
// addresses of mail, numbers of payment cards and of Russian documents. What has
// check digits is found only where they are right; what has none and could be any
// number is found only beside a word that says what it is.
package personal

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Type is a kind of personal data.
type Type uint8

// The kinds.
const (
	Phone    Type = iota // a telephone number
	Email                // an address of mail
	Card                 // a payment card's number (ISO/IEC 7812, Luhn)
	INN                  // a Russian taxpayer's number of 10 or 12 digits
	SNILS                // a Russian pension insurance number of 11 digits
	Passport             // series and number of a Russian passport
	types
)

// String is what stands for a redacted one, such as "PHONE".
func (t Type) String() string {
	return [...]string{"PHONE", "EMAIL", "CARD", "INN", "SNILS", "PASSPORT"}[t]
}

// All are all kinds.
func All() []Type {
	all := make([]Type, types)
	for i := range all {
		all[i] = Type(i)
	}
	return all
}

// Match is a place that holds personal data: text[Begin:End], in bytes.
type Match struct {
	Type       Type
	Begin, End int
}

// Find returns the places in text that hold one of the kinds, in their order and
// without overlap. Its time is linear in the length of text.
func Find(text string, kinds []Type) []Match {
	var wanted [types]bool
	for _, k := range kinds {
		wanted[k] = true
	}
	var found []Match
	if wanted[Email] {
		found = emails(text)
	}
	found = append(found, numbers(text, wanted)...)
	slices.SortFunc(found, func(a, b Match) int { return a.Begin - b.Begin })
	end := 0
	return slices.DeleteFunc(found, func(m Match) bool {
		if m.Begin < end {
			return true
		}
		end = m.End
		return false
	})
}

// Redact returns text with every match replaced by its kind in brackets, such as
// "[PHONE]". Matches are in their order and do not overlap.
func Redact(text string, matches []Match) string {
	if len(matches) == 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	at := 0
	for _, m := range matches {
		b.WriteString(text[at:m.Begin])
		b.WriteByte('[')
		b.WriteString(m.Type.String())
		b.WriteByte(']')
		at = m.End
	}
	b.WriteString(text[at:])
	return b.String()
}

// emails finds addresses of mail (RFC 5321's dot-string, letters of any script).
func emails(text string) []Match {
	var found []Match
	for at, from := strings.IndexByte(text, '@'), 0; at >= 0; {
		begin := at
		for begin > from && at-begin < 64 {
			r, n := utf8.DecodeLastRuneInString(text[from:begin])
			if !wordRune(r) && !strings.ContainsRune(".!#$%&'*+/=?^_`{|}~-", r) {
				break
			}
			begin -= n
		}
		for begin < at && strings.IndexByte(".'*/=`{|}~!?&-", text[begin]) >= 0 {
			begin++
		}
		end := domain(text, at+1)
		if begin < at && text[at-1] != '.' && end > 0 {
			found = append(found, Match{Email, begin, end})
			from = end
		} else {
			from = at + 1
		}
		next := strings.IndexByte(text[from:], '@')
		if next < 0 {
			break
		}
		at = from + next
	}
	return found
}

// domain returns where the domain name that begins at i ends, 0 if there is none:
// labels of letters, digits and hyphens, at least two, the last of two letters or
// more.
func domain(text string, i int) int {
	end, labels := 0, 0
	for i < len(text) {
		start, letters, last := i, 0, rune(0)
		for i < len(text) {
			r, n := utf8.DecodeRuneInString(text[i:])
			if !wordRune(r) && (r != '-' || i == start) {
				break
			}
			if unicode.IsLetter(r) {
				letters++
			}
			last = r
			i += n
		}
		// A hyphen at the end belongs to the sentence.
		stop := i
		if last == '-' {
			stop = start + len(strings.TrimRight(text[start:i], "-"))
		}
		if stop == start || i-start > 255 {
			break
		}
		labels++
		if labels > 1 && letters >= 2 {
			end = stop
		}
		if i >= len(text) || text[i] != '.' {
			break
		}
		i++
	}
	return end
}

// wordRune tells letters, with the marks of decomposed ones, and digits.
func wordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}

// run is some digits with at most one separator, or two, between groups of them.
type run struct {
	begin, end int      // with brackets and the plus
	digits     []byte   // '0' to '9'
	at         []int    // the digits' places
	groups     []int    // lengths of the groups that separators part
	plus       bool     // begins with +
	joints     []string // separators between groups
}

const (
	longest  = 20 // digits that are looked at in one run
	parts    = 7  // groups of them: +7 (916) 12-34-56-7 has six
	lookBack = 60 // bytes before a number in which a word may say what it is
)

// numbers finds what consists of digits.
func numbers(text string, wanted [types]bool) []Match {
	var found []Match
	last := Match{End: -1}
	for i := 0; i < len(text); {
		if !digit(text[i]) {
			i++
			continue
		}
		r := gather(text, i)
		m, ok := r.read(text, wanted, last)
		if ok {
			found = append(found, m)
			i, last = m.End, m
			continue
		}
		// Several numbers may stand in a row: try again after the first group.
		i = r.at[r.groups[0]-1] + 1
		for i < len(text) && digit(text[i]) { // a run that was cut
			i++
		}
	}
	return found
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// gather reads the run of digits that begins at i.
func gather(text string, i int) run {
	r := run{begin: i}
	// What belongs to the number although it stands before the first digit.
	if before := strings.TrimRight(text[:i], "( "); i-len(before) <= 2 && strings.HasSuffix(before, "+") {
		r.begin, r.plus = len(before)-1, true
	} else if strings.HasSuffix(text[:i], "(") {
		r.begin = i - 1
	}
	for len(r.digits) < longest && len(r.groups) < parts {
		n := 0
		for i < len(text) && digit(text[i]) && len(r.digits) < longest {
			r.digits, r.at = append(r.digits, text[i]), append(r.at, i)
			i++
			n++
		}
		r.groups = append(r.groups, n)
		j := separator(text, i)
		if j >= len(text) || j == i || !digit(text[j]) {
			break
		}
		r.joints = append(r.joints, text[i:j])
		i = j
	}
	r.end = i
	return r
}

// separator returns where what may stand between groups of digits ends: up to
// three of space, hyphen, dot, brackets and the sign for number.
func separator(text string, i int) int {
	for n := 0; n < 3 && i < len(text); n++ {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch r {
		case ' ', '\u00a0', '\u202f', '-', '‐', '‑', '–', '.', '(', ')', '№', '/':
			i += size
		default:
			return i
		}
	}
	return i
}

// read tells what the beginning of the run is. The longest reading wins. last is
// the match before.
func (r run) read(text string, wanted [types]bool, last Match) (Match, bool) {
	if !r.standsAlone(text, last.End) {
		return Match{}, false
	}
	for n := len(r.groups); n > 0; n-- {
		part := r.first(n)
		if len(part.digits) < 4 || !part.endsAlone(text) {
			continue
		}
		for _, k := range [...]Type{Card, SNILS, INN, Passport, Phone} {
			if wanted[k] && part.is(k, text, last) {
				return Match{k, part.begin, part.end}, true
			}
		}
	}
	return Match{}, false
}

// first is the run's first n groups.
func (r run) first(n int) run {
	if n == len(r.groups) {
		return r
	}
	digits := 0
	for _, g := range r.groups[:n] {
		digits += g
	}
	r.digits, r.at, r.groups, r.joints = r.digits[:digits], r.at[:digits], r.groups[:n], r.joints[:n-1]
	r.end = r.at[digits-1] + 1
	return r
}

// standsAlone reports whether no letter or digit touches the run's beginning, and
// it is not the fraction of a number such as 3,14159265. After a match, a plus or
// a number too long to have a fraction it is not.
func (r run) standsAlone(text string, last int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:r.begin])
	if before != ',' && before != '.' {
		return !wordRune(before) && before != '_'
	}
	if r.plus || text[r.begin] == '(' || last == r.begin-1 {
		return true
	}
	whole := text[:r.begin-1]
	digits := len(whole) - len(strings.TrimRightFunc(whole, unicode.IsDigit))
	return digits == 0 || digits > 3
}

// endsAlone reports whether no letter or digit touches the run's end, and every
// bracket in it is closed.
func (r run) endsAlone(text string) bool {
	if s := text[r.begin:r.end]; strings.Count(s, "(") != strings.Count(s, ")") {
		return false
	}
	after, _ := utf8.DecodeRuneInString(text[r.end:])
	return !wordRune(after) && after != '_' && after != '%'
}

func (r *run) is(k Type, text string, last Match) bool {
	switch k {
	case Card:
		return r.card()
	case SNILS:
		return r.snils(text)
	case INN:
		return r.inn(text)
	case Passport:
		return r.passport(text, last)
	default:
		return r.phone(text)
	}
}

// card admits what ISO/IEC 7812 and the Luhn check admit, written without
// separators or in the groups in which cards show it.
func (r run) card() bool {
	n := len(r.digits)
	if n < 13 || n > 19 || r.plus || r.digits[0] < '2' || r.digits[0] > '6' || !r.plain(" ", "-", "\u00a0") {
		return false
	}
	for i, g := range r.groups {
		fours := g == 4 || i == len(r.groups)-1 && g < 4
		amex := n == 15 && len(r.groups) == 3 && g == []int{4, 6, 5}[i]
		if len(r.groups) > 1 && !fours && !amex {
			return false
		}
	}
	sum := 0
	for i, c := range r.digits {
		d := int(c - '0')
		if (n-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// snils admits 123-456-789 01 with the right check number, and the bare digits
// beside the word.
func (r run) snils(text string) bool {
	if len(r.digits) != 11 || r.plus {
		return false
	}
	grouped := slices.Equal(r.groups, []int{3, 3, 3, 2}) && r.plain(" ", "-", "\u00a0")
	if !grouped && (len(r.groups) > 1 || !r.after(text, "снилс", "snils")) {
		return false
	}
	sum := 0
	for i, c := range r.digits[:9] {
		sum += int(c-'0') * (9 - i)
	}
	return sum%101%100 == int(r.digits[9]-'0')*10+int(r.digits[10]-'0')
}

// inn admits 12 digits with both check digits right, and 10 with the one right
// beside the word: one in ten numbers of 10 digits has it by chance.
func (r run) inn(text string) bool {
	if len(r.groups) > 1 || r.plus {
		return false
	}
	check := func(weights ...int) bool {
		sum := 0
		for i, w := range weights {
			sum += w * int(r.digits[i]-'0')
		}
		return sum%11%10 == int(r.digits[len(weights)]-'0')
	}
	switch len(r.digits) {
	case 10:
		return check(2, 4, 10, 3, 5, 9, 4, 6, 8) && r.after(text, "инн", "inn")
	case 12:
		return check(7, 2, 4, 10, 3, 5, 9, 4, 6, 8) && check(3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
	}
	return false
}

// passport admits four and six digits beside a word that says so, or next to
// another passport in a list.
func (r *run) passport(text string, last Match) bool {
	r.joinNumber(text)
	if len(r.digits) != 10 || r.plus || !r.after(text, "паспорт*", "passport*", "серия", "серии") && !r.listed(text, last) {
		return false
	}
	at := 0
	for _, g := range r.groups {
		if at += g; at == 4 {
			return true
		}
	}
	return len(r.groups) == 1
}

// listed reports whether nothing but a comma, a semicolon or an "and" parts the
// run from the passport before, and both are written with a separator or neither:
// ten digits alone may be any number.
func (r run) listed(text string, last Match) bool {
	const most = 16 // bytes between, so that the time stays linear
	if last.Type != Passport || r.begin-last.End > most || (last.End-last.Begin == 10) != (len(r.groups) == 1) {
		return false
	}
	switch strings.ToLower(strings.Join(strings.Fields(text[last.End:r.begin]), " ")) {
	case ",", ";", "и", ", и", "или", "and", ", and", "or":
		return true
	}
	return false
}

// joinNumber makes one run of "4506 номер 123456".
func (r *run) joinNumber(text string) {
	if len(r.digits) != 4 {
		return
	}
	rest := strings.TrimLeft(text[r.end:], " ,")
	for _, word := range [...]string{"номер", "Номер", "No", "no", "N", "number"} {
		if tail, ok := strings.CutPrefix(rest, word); ok {
			tail = strings.TrimLeft(tail, " .:")
			if tail == "" || !digit(tail[0]) {
				continue
			}
			if next := gather(text, len(text)-len(tail)); next.groups[0] == 6 {
				next = next.first(1)
				r.digits, r.at, r.groups = slices.Concat(r.digits, next.digits), slices.Concat(r.at, next.at), slices.Concat(r.groups, next.groups)
				r.joints = append(slices.Clone(r.joints), " ")
				r.end = next.end
			}
			return
		}
	}
}

// phone admits international numbers with a plus, Russian ones, North American
// ones in groups, and local ones beside a word that says so.
func (r run) phone(text string) bool {
	n := len(r.digits)
	for _, j := range r.joints {
		if strings.Contains(j, "№") || strings.Contains(j, "/") {
			return false
		}
	}
	switch {
	case r.plus:
		return n >= 8 && n <= 15 && r.digits[0] != '0'
	case n == 11 && (r.digits[0] == '8' || r.digits[0] == '7') && strings.IndexByte("34589", r.digits[1]) >= 0:
		// 8 (495) 123-45-67, 89161234567. Other groups are something else.
		return len(r.groups) == 1 || r.groups[0] == 1 || r.groups[0] == 4
	case n == 10 && slices.Equal(r.groups, []int{3, 3, 4}) && r.digits[0] >= '2' && r.digits[3] >= '2':
		return true
	case n == 10 && slices.Equal(r.groups, []int{3, 3, 2, 2}) && strings.IndexByte("3489", r.digits[0]) >= 0:
		return true
	case n >= 5 && n <= 11:
		return r.after(text, "тел", "телефон*", "моб", "мобильн*", "звон*", "позвон*", "whatsapp", "ватсап", "вотсап", "viber", "phone*", "mobile", "call", "tel", "cell")
	}
	return false
}

// plain reports whether every separator is one of those.
func (r run) plain(separators ...string) bool {
	for _, j := range r.joints {
		if !slices.Contains(separators, j) {
			return false
		}
	}
	return true
}

// after reports whether one of the words, or one with the beginning that stands
// before a *, is shortly before the run, with no number between.
func (r run) after(text string, words ...string) bool {
	before := text[max(0, r.begin-lookBack):r.begin]
	if i := strings.LastIndexFunc(before, unicode.IsDigit); i >= 0 {
		before = before[i+1:]
	}
	for _, w := range strings.FieldsFunc(before, func(c rune) bool { return !unicode.IsLetter(c) }) {
		w = strings.ToLower(w)
		for _, word := range words {
			if stem, ok := strings.CutSuffix(word, "*"); w == word || ok && strings.HasPrefix(w, stem) {
				return true
			}
		}
	}
	return false
}
