package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

// matched returns what a pattern matches in a text.
func matched(re *regex, text string, budget int) []string {
	var out []string
	for _, m := range re.scan(&matcher{}, []byte(text), nil, budget) {
		if m.hit {
			out = append(out, text[m.start:m.end])
		}
	}
	return out
}

const plenty = 1 << 30

func mustCompile(t testing.TB, source string) *regex {
	t.Helper()
	re, err := compileRegex(source)
	if err != nil {
		t.Fatal(err)
	}
	return re
}

func TestRegex(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		{`a`, "banana", "a a a"},
		{`an|a|n`, "banana", "an an a"},
		{`a|an`, "banana", "a a a"},
		{`a+?n`, "aaan", "aaan"},
		{`a{2}`, "aaaaa", "aa aa"},
		{`a{2,3}`, "aaaaaaa", "aaa aaa"},
		{`a{2,}b`, "aab ab aaab", "aab aaab"},
		{`a{,2}b`, "aaab", "aab"},
		{`(?:ab)+`, "ababxab", "abab ab"},
		{`(ab|c)*d`, "abcabd", "abcabd"},
		{`a++b`, "aaab", "aaab"},
		{`a++ab`, "aaab", ""},
		{`a+ab`, "aaab", "aaab"},
		{`x?+y`, "xy y", "xy y"},
		{`[^a-c]+`, "abcde", "de"},
		{`[a\-\]]+`, "a-]b", "a-]"},
		{`[\p{L}\d_]+`, "aЖ9_ !", "aЖ9_"},
		{`[^\P{L}x]+`, "axЖ", "a Ж"},
		{`[[ab][cd]]+`, "abcdx", "abcd"},
		{`\p{^L}+`, "a12b", "12"},
		{`\s+(?!\S)`, "a   b  ", "   "},
		{`\d(?=x)`, "1x2y", "1"},
		{`(?i:sk)`, "SK ſK", "SK ſK"},
		{`.`, "a\nb", "a b"},
		{`\u0416\x41\x{42}`, "ЖAB", "ЖAB"},
	} {
		re := mustCompile(t, c.pattern)
		want := strings.Fields(c.want)
		if strings.TrimSpace(c.want) == "" && c.want != "" {
			want = []string{"  ", "  "} // of "   b  ": all blanks but the one before b, and the last two
		}
		for _, budget := range []int{plenty, -1} {
			if got := matched(re, c.text, budget); !slices.Equal(got, want) {
				t.Errorf("%s in %q, budget %d: %q, want %q", c.pattern, c.text, budget, got, want)
			}
		}
	}
}

func TestRegexRefuses(t *testing.T) {
	for pattern, why := range map[string]string{
		`a*`:            "may match nothing",
		``:              "may match nothing",
		`(?=a)`:         "may match nothing",
		`(?<=a)b`:       `group "(?<"`,
		`(?=ab)c`:       "look-ahead over other than one character",
		`(?i)a`:         `group "(?i"`,
		`^a`:            `'^'`,
		`a$`:            `'$'`,
		`\bword`:        `escape "\\b"`,
		`\1`:            `escape "\\1"`,
		`[[:alpha:]]`:   `"[:" in a class`,
		`[a&&b]`:        `"&&" in a class`,
		`\p{Greek}`:     `property "Greek"`,
		`(?i:straße)`:   "case-insensitive",
		`(?i:fix)`:      "case-insensitive",
		`(?i:\p{L})`:    "case-insensitive class",
		`a**`:           "repetition of a repetition",
		`(?:a?)+b`:      "repetition of something that may be empty",
		`a{3,2}`:        "bad repetition",
		`a{200}`:        "more than 100 repetitions",
		`(?:a{90}){90}`: "too large",
		`(a`:            `no ")"`,
		`[a`:            "ends too early",
		`a)`:            `")"`,
		strings.Repeat("(", 200) + "a" + strings.Repeat(")", 200): "nested too deep",
	} {
		_, err := compileRegex(pattern)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", pattern, err, why)
		}
	}
}

// TestRegexCareful compares the two programs: careful must find what quick finds.
func TestRegexCareful(t *testing.T) {
	strs := hardStrings(t)
	for _, pattern := range []string{
		byteLevelPattern,
		`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
		`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
		`(?:\p{L}+\s?){2,5}\d|[a-z]+?\s|(?:x+y?)+z|\S\S`,
	} {
		re := mustCompile(t, pattern)
		for i := 0; i < len(strs); i += 5 * sample(8) {
			quick, careful := matched(re, strs[i], 100_000), matched(re, strs[i], -1)
			if !slices.Equal(quick, careful) {
				t.Fatalf("%s in %q: quick %q, careful %q", pattern, strs[i], quick, careful)
			}
		}
	}
}

// TestRegexBounded gives patterns that make other engines run for ages texts that do so.
func TestRegexBounded(t *testing.T) {
	const n = 50_000
	for _, pattern := range []string{`(?:x+y?)+z`, `(?:x|xx|xxx)+z`, `x++z`, `x+x+x+x+z`, `\s*z|\s`, `(?:x?x)+?z|x{1,50}z`} {
		for _, text := range []string{strings.Repeat("x", n), strings.Repeat("xxy", n/3), strings.Repeat(" ", n)} {
			re := mustCompile(t, pattern)
			m := &matcher{}
			re.find(m, []byte(text), nil)
			if spent := 64*n + 1024 - m.budget; spent > 200*n*len(re.careful) {
				t.Errorf("%s: %d steps", pattern, spent)
			}
		}
	}
}
