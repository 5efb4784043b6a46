package sentiment

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func split(text string) []string {
	var out []string
	for _, w := range words(text) {
		out = append(out, text[w.begin:w.end])
	}
	return out
}

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		" \n\t\u00a0\u200b":       "",
		"Всё было отлично!!!":     "Всё|было|отлично|!!!",
		"I can't, l'eau":          "I|can't|,|l'eau",
		"что-то по-русски -5":     "что-то|по-русски|-|5",
		"3.14 и 10,000; v2.0.":    "3.14|и|10,000|;|v2.0|.",
		"a,b 1,b":                 "a|,|b|1|,|b",
		"почта: ivan@example.com": "почта|:|ivan|@|example.com",
		"(хорошо)... «да»":        "(|хорошо|)...|«|да|»",
		"ok :) :-(":               "ok|:)|:-(",
		"e\u0301tude naïve":       "e\u0301tude|naïve",
		"\u0301a":                 "\u0301|a",
		"a \u0301b":               "a|\u0301|b",
		"日本語です":                   "日|本|語|で|す",
		"カタカナ ไทยนี้":             "カタカナ|ไทยนี้",
		"שלום עולם مرحبا":         "שלום|עולם|مرحبا",
		"👨\u200d👩\u200d👧👍🏽😀":      "👨\u200d👩\u200d👧|👍🏽|😀",
		"🇷🇺🇬🇧🇫":                   "🇷🇺|🇬🇧|🇫",
		"❤\ufe0f❤":                "❤\ufe0f|❤",
		"snake_case a--b a-":      "snake_case|a|--|b|a|-",
		"ab\u200dcd soft\u00adly": "ab\u200dcd|soft\u00adly",
		"\ufffdx":                 "\ufffd|x",
	} {
		if got := strings.Join(split(text), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Whatever the text, words are whole characters in order, hold all but white
// space, and take time in proportion.
func checkWords(t *testing.T, text string) {
	t.Helper()
	end := 0
	for _, w := range words(text) {
		if w.begin < end || w.end <= w.begin || w.end > len(text) || !utf8.ValidString(text[w.begin:w.end]) {
			t.Fatalf("%q: [%d, %d) after %d", text, w.begin, w.end, end)
		}
		if left := strings.Map(keepVisible, text[end:w.begin]); left != "" {
			t.Fatalf("%q: %q is in no word", text, left)
		}
		end = w.end
	}
	if left := strings.Map(keepVisible, text[end:]); left != "" {
		t.Fatalf("%q: %q is in no word", text, left)
	}
}

func keepVisible(r rune) rune {
	if kindOf(r) == space {
		return -1
	}
	return r
}

func TestHostileWords(t *testing.T) {
	start := time.Now()
	for _, text := range []string{
		strings.Repeat("я", 1<<20), "a" + strings.Repeat("\u0301", 100_000), strings.Repeat("a\u200d", 100_000),
		strings.Repeat("a-", 100_000), strings.Repeat("👨\u200d", 100_000), strings.Repeat("🇷", 100_001), strings.Repeat("1,", 100_000),
	} {
		checkWords(t, text)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if n := len(words("a" + strings.Repeat("\u0301", 100_000))); n != 1 {
		t.Errorf("%d words in one letter with many marks", n)
	}
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"I can't, 3.14 что-то!!!", "👨\u200d👩\u200d👧🇷🇺\u0301", "日本語 ไทย \u200b\u00ad", "a-\u0301b"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, text string, most int) {
		if text = strings.ToValidUTF8(text, "\ufffd"); len(text) > 1<<16 {
			return
		}
		checkWords(t, text)
		all := words(text)
		most = 1 + (most&0xffff)%300
		groups := grouped(all, most)
		if len(groups) != min(len(all), most) {
			t.Fatalf("%d groups of %d words, at most %d", len(groups), len(all), most)
		}
		for _, g := range groups {
			if rest := without(text, g); rest == "" || !utf8.ValidString(rest) || len(rest) > len(text) {
				t.Fatalf("%q without %v: %q", text, g, rest)
			}
		}
	})
}
