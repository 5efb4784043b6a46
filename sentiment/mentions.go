package sentiment

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	unorm "golang.org/x/text/unicode/norm"

	"github.com/scry-ml/scry/pipeline"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// mention is a place where a text names a target: text[begin:end].
type mention struct {
	target     string
	begin, end int
}

// finder finds names in texts, word by word. A word is a run of letters, digits
// and marks; any other visible character stands for itself; white space and
// hyphens only divide. Case and accents do not count. A Russian word of four
// letters or more is found with any ending that nouns and adjectives take (Лента:
// Ленты, Лентой), an English one with a plural s. Of names that begin at one place
// the longest counts, and found names do not overlap.
type finder struct{ root name }

// name is a place in the tree of names, which branches at each word.
type name struct {
	target string // of the name that ends here; empty = none does
	words  map[string]*name
	stems  map[string]*name // by what is left of a word without its ending
}

// newFinder reads names; nil where there are none. field is their path.
func newFinder(field string, targets []*sentimentv1.Target) (*finder, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	f := &finder{}
	for i, t := range targets {
		if !f.add(t.GetName(), t.GetName()) {
			return nil, unnamed(fmt.Sprintf("%s[%d].name", field, i))
		}
		for k, alias := range t.GetAliases() {
			if !f.add(alias, t.GetName()) {
				return nil, unnamed(fmt.Sprintf("%s[%d].aliases[%d]", field, i, k))
			}
		}
	}
	return f, nil
}

func unnamed(field string) error {
	return &pipeline.InputError{Field: field, Reason: "TARGET_UNNAMED", Message: "holds nothing that could be found in a text"}
}

// add adds a name of a target; false where it has no words. The first target of a
// name keeps it.
func (f *finder) add(text, target string) bool {
	at, words := &f.root, foldedWords(text)
	for _, w := range words {
		next := at.words[w.key]
		if next == nil {
			next = &name{}
			if at.words == nil {
				at.words, at.stems = map[string]*name{}, map[string]*name{}
			}
			at.words[w.key] = next
			if stem, ok := stemOf(w.key); ok && at.stems[stem] == nil {
				at.stems[stem] = next
			}
		}
		at = next
	}
	if len(words) > 0 && at.target == "" {
		at.target = target
	}
	return len(words) > 0
}

// next is where a text's word leads.
func (n *name) next(word string) *name {
	if next := n.words[word]; next != nil || len(n.stems) == 0 {
		return next
	}
	if cyrillic(word) {
		for letters := 1; letters <= mostEnding; letters++ {
			cut := len(word) - 2*letters
			if cut < 2*leastStem {
				break
			}
			if next := n.stems[word[:cut]]; next != nil && endings[word[cut:]] {
				return next
			}
		}
		return nil
	}
	return n.stems[strings.TrimSuffix(word, "s")]
}

// find returns the mentions in a text, in their order.
func (f *finder) find(text []textWord) []mention {
	if f == nil {
		return nil
	}
	var out []mention
	for i := 0; i < len(text); i++ {
		at, last := &f.root, -1
		target := ""
		for k := i; k < len(text); k++ {
			if at = at.next(text[k].key); at == nil {
				break
			}
			if at.target != "" {
				target, last = at.target, k
			}
		}
		if last >= 0 {
			out = append(out, mention{target, text[i].begin, text[last].end})
			i = last
		}
	}
	return out
}

// merge joins two lists in their order; of mentions that overlap those of first
// count.
func merge(first, second []mention) []mention {
	if len(first) == 0 {
		return second
	}
	out, k := slices.Clone(first), 0
	for _, m := range second {
		for k < len(first) && first[k].end <= m.begin {
			k++
		}
		if k == len(first) || first[k].begin >= m.end {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b mention) int { return a.begin - b.begin })
	return out
}

// textWord is a word of a text, and how it is compared. No name is as long as a
// word without a key.
type textWord struct {
	begin, end int
	key        string
}

// longestWord is in bytes: a name has 200 characters.
const longestWord = 200 * utf8.UTFMax

// foldedWords cuts a text into words as names are compared.
func foldedWords(text string) []textWord {
	var out []textWord
	begin := -1
	close := func(end int) {
		if begin >= 0 {
			if w := (textWord{begin, end, ""}); end-begin <= longestWord {
				if w.key = fold(text[begin:end]); w.key != "" {
					out = append(out, w)
				}
			} else {
				out = append(out, w)
			}
		}
		begin = -1
	}
	for i, r := range text {
		switch {
		case unicode.In(r, unicode.L, unicode.N) || begin >= 0 && unicode.In(r, unicode.M, unicode.Cf):
			if begin < 0 {
				begin = i
			}
		case unicode.In(r, unicode.Z, unicode.Cc, unicode.Cf, unicode.Pd, unicode.M):
			close(i)
		default:
			close(i)
			end := i + utf8.RuneLen(r)
			if r == '’' {
				r = '\''
			}
			out = append(out, textWord{i, end, string(r)})
		}
	}
	close(len(text))
	return out
}

// fold brings words that differ in case, accents or invisible characters to one
// form. й and ё lose their marks as well.
func fold(word string) string {
	if ascii(word) {
		return strings.ToLower(word)
	}
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.M, unicode.Cf) {
			return -1
		}
		return unicode.ToLower(r)
	}, unorm.NFD.String(word))
}

const (
	leastStem  = 3 // letters
	leastWord  = 4 // of which other endings are looked for
	mostEnding = 4
)

// endings are those of Russian nouns and adjectives, folded.
var endings = set(`а я о е у ю ы и ь ои еи ом ем ам ям ах ях ов ев ами ями ою ею ью ья ье
	ии ия ие ию ием иеи иям иях иями ыи ая яя ое ее ые ого его ому ему ым им ую юю ых их ыми ими`)

// nominatives are the endings that a Russian name itself may have, the longest
// first.
var nominatives = strings.Fields("ыи ии ои ая яя ое ее ые ие ия а я о е ы и ь")

func set(list string) map[string]bool {
	out := map[string]bool{}
	for s := range strings.FieldsSeq(list) {
		out[s] = true
	}
	return out
}

// stemOf returns what stays when a name's word takes other endings; false for a
// word that takes none.
func stemOf(word string) (string, bool) {
	switch n := utf8.RuneCountInString(word); {
	case n < leastWord:
		return "", false
	case cyrillic(word):
		for _, ending := range nominatives {
			if stem, ok := strings.CutSuffix(word, ending); ok && len(stem) >= 2*leastStem {
				return stem, true
			}
		}
		return word, true
	}
	for i := range len(word) {
		if word[i] < 'a' || word[i] > 'z' {
			return "", false
		}
	}
	return word, true
}

// cyrillic tells whether a folded word is of Russian letters, which have two
// bytes each.
func cyrillic(word string) bool {
	for _, r := range word {
		if r < 'а' || r > 'я' {
			return false
		}
	}
	return true
}
