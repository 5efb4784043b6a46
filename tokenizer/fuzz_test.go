package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// checkEncoding holds what is true of every encoding.
func checkEncoding(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	e, err := tok.Encode(text, plainOptions)
	if err != nil {
		return // the file's model has no token for it
	}
	n := len(e.IDs)
	for _, m := range []int{len(e.TypeIDs), len(e.AttentionMask), len(e.SpecialMask), len(e.Tokens), len(e.Offsets), len(e.WordIDs)} {
		if m != n {
			t.Fatalf("%q: slices of %d and %d", text, n, m)
		}
	}
	_, repaired := Repair(text)
	if repaired == utf8.ValidString(text) || repaired != e.Repaired {
		t.Fatalf("%q: repaired %v %v", text, repaired, e.Repaired)
	}
	ids, err := tok.AppendIDs(nil, text, plainOptions)
	if err != nil || fmt.Sprint(ids) != fmt.Sprint(e.IDs) {
		t.Fatalf("%q: AppendIDs %v %v, Encode %v", text, ids, err, e.IDs)
	}
	if count, err := tok.Count(text); err != nil || count != n {
		t.Fatalf("%q: Count %d %v, %d ids", text, count, err, n)
	}
	_ = tok.Decode(e.IDs, true)
}

// FuzzParse reads files made from small valid ones. A file is refused or works; it never panics.
func FuzzParse(f *testing.F) {
	var cases []struct{ Tokenizer json.RawMessage }
	readJSON(f, "components.json.gz", &cases)
	for _, c := range cases {
		if len(c.Tokenizer) < 20000 {
			f.Add([]byte(c.Tokenizer), "I've 12 naïve   кафе\u0301\n!!! [X] <s>")
		}
	}
	f.Add([]byte(tiny), "a b")
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		if len(text) > 2000 {
			return
		}
		tok, err := Parse(file)
		if err != nil {
			return
		}
		checkEncoding(t, tok, text)
		_, _ = tok.Encode(text, Options{MaxLength: 5, Overflow: true})
		_, _ = tok.EncodePair(text, "a", Options{MaxLength: 7, Overflow: true})
	})
}

// FuzzEncode gives any text to the real tokenizers.
func FuzzEncode(f *testing.F) {
	for i, s := range hardStrings(f) {
		if i%37 == 0 {
			f.Add(s)
		}
	}
	f.Add("\xf0\x9f\x98\xff")
	var toks []*Tokenizer
	for _, name := range names[:5] {
		toks = append(toks, loadTokenizer(f, name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		valid, _ := Repair(text)
		end := int32(utf8.RuneCountInString(valid))
		for _, tok := range toks {
			checkEncoding(t, tok, text)
			e, err := tok.Encode(text, plainOptions)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			for i, o := range e.Offsets {
				if o.Start < 0 || o.Start > o.End || o.End > end {
					t.Fatalf("%q: token %d at %v of %d", text, i, o, end)
				}
			}
		}
	})
}

// BenchmarkAppendIDs encodes short reviews, as a server does.
func BenchmarkAppendIDs(b *testing.B) {
	var ids []int32
	benchmark(b, func(tok *Tokenizer, text string) (n int, err error) {
		ids, err = tok.AppendIDs(ids[:0], text, plainOptions)
		return len(ids), err
	})
}

// BenchmarkEncode does so with tokens, offsets and word ids.
func BenchmarkEncode(b *testing.B) {
	benchmark(b, func(tok *Tokenizer, text string) (int, error) {
		e, err := tok.Encode(text, plainOptions)
		return e.Len(), err
	})
}

func benchmark(b *testing.B, encode func(*Tokenizer, string) (int, error)) {
	languages := map[string]string{
		"english": "So there is no way for me to plug it in here in the US unless I go by a converter.|Good case, Excellent value.|" +
			"The mic is great.|I have to jiggle the plug to get it to line up right, very disappointed!|What a waste of money and time.",
		"russian": "Вовремя, полковник, ваша очередь уже подходит.|Превосходно.|Отличный телефон, батарея держит два дня, всем советую!|" +
			"Ужасное обслуживание, деньги на ветер.|Фильм понравился, но конец слишком затянут.",
	}
	for _, name := range names {
		for _, language := range []string{"english", "russian"} {
			b.Run(name+"/"+language, func(b *testing.B) {
				tok := loadTokenizer(b, name)
				texts := strings.Split(languages[language], "|")
				b.ReportAllocs()
				i, tokens := 0, 0
				for b.Loop() {
					n, err := encode(tok, texts[i%len(texts)])
					if err != nil {
						b.Fatal(err)
					}
					tokens += n
					i++
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
				b.ReportMetric(float64(tokens)/float64(b.N), "tokens/text")
			})
		}
	}
}

// BenchmarkParse loads a file.
func BenchmarkParse(b *testing.B) {
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			data := tokenizerFile(b, name)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
