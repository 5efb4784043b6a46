package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

func TestRepair(t *testing.T) {
	for in, want := range map[string]string{
		"ok":                    "ok",
		"a\xffb":                "a�b",
		"\x80\x80":              "��",
		"\xc0\x80":              "��",     // an overlong form: neither byte begins anything
		"\xc2":                  "�",      // cut short
		"\xe0\x80\x80":          "���",    // E0 must be followed by A0 to BF
		"\xe1\x80":              "�",      // a maximal subpart of two bytes
		"\xe1\x80\xe2\xf0\x91":  "���",    // Unicode 16, table 3-11
		"\xf0\x91\x92\xf1\xbf":  "��",     // subparts of three and of two bytes
		"\xed\xa0\x80":          "���",    // a surrogate
		"\xf4\x90\x80\x80":      "����",   // beyond U+10FFFF
		"\xf5\xff":              "��",     // never begin a character
		"\xf0\x9f\x98a\xd0":     "�a�",    //
		"\xf0\x9f\x98\x80\x98":  "😀�",     //
		"\xef\xbf\xbd":          "\ufffd", // a replacement character of the text's own
		"\xe2\x82\xac\xe2\x82я": "€�я",
	} {
		got, repaired := Repair(in)
		if got != want || repaired == utf8.ValidString(in) {
			t.Errorf("%q: %q, %v; want %q", in, got, repaired, want)
		}
	}
}

func TestEncodeBytes(t *testing.T) {
	tok := loadTokenizer(t, "minilm")
	e, err := tok.EncodeBytes([]byte("good\xff movie"), plainOptions)
	if err != nil || !e.Repaired {
		t.Fatalf("%v %+v", err, e)
	}
	same, err := tok.Encode("good� movie", plainOptions)
	if err != nil || same.Repaired || !slices.Equal(e.IDs, same.IDs) || !slices.Equal(e.Offsets, same.Offsets) {
		t.Errorf("%v: %s, not %s", err, show(e), show(same))
	}
	pair, err := tok.EncodePair("fine", "\xc3", plainOptions)
	if err != nil || !pair.Repaired {
		t.Errorf("a pair: %v %+v", err, pair)
	}
}

// TestOptions shows which of the file's settings and the caller's holds.
func TestOptions(t *testing.T) {
	tok := loadTokenizer(t, "minilm") // its file truncates to 128 and pads to 128
	text := strings.Repeat("word ", 300)
	for _, c := range []struct {
		name string
		o    Options
		want int
	}{
		{"as the file says", Options{}, 128},
		{"no truncation", Options{NoTruncation: true}, 302},
		{"shorter, padded by the file", Options{MaxLength: 16}, 128},
		{"shorter", Options{MaxLength: 16, NoPadding: true}, 16},
		{"longer than the file allows", Options{MaxLength: 256, NoPadding: true}, 256},
		{"no special tokens", Options{NoTruncation: true, NoSpecial: true}, 300},
		{"NoTruncation wins", Options{NoTruncation: true, MaxLength: 16, Truncation: &Truncation{MaxLength: 8}}, 302},
		{"MaxLength over Truncation", Options{MaxLength: 16, Truncation: &Truncation{MaxLength: 8}, NoPadding: true}, 16},
		{"padding", Options{MaxLength: 10, Padding: &Padding{MultipleOf: 16}}, 16},
	} {
		e, err := tok.Encode(text, c.o)
		if err != nil || e.Len() != c.want {
			t.Errorf("%s: %v, %d tokens, want %d", c.name, err, e.Len(), c.want)
		}
	}
	if p, ok := tok.Padding(); !ok || p != (Padding{Length: 128, Token: "[PAD]"}) {
		t.Errorf("the file's padding: %+v", p)
	}
	if tr, ok := tok.Truncation(); !ok || tr != (Truncation{MaxLength: 128}) {
		t.Errorf("the file's truncation: %+v", tr)
	}
	if p, ok := loadTokenizer(t, "bpe").Padding(); !ok || p.ID != 1 || p.Token != "<pad>" {
		t.Errorf("padding found in the vocabulary: %+v", p)
	}
	if n := tok.SpecialTokens(false); n != 2 {
		t.Errorf("%d special tokens", n)
	}
	if n := tok.SpecialTokens(true); n != 3 {
		t.Errorf("%d special tokens around a pair", n)
	}
	for _, o := range []Options{{MaxLength: 1}, {Truncation: &Truncation{MaxLength: 20, Strategy: OnlySecond}},
		{Truncation: &Truncation{MaxLength: 8, Stride: 6}, Overflow: true}} {
		if _, err := tok.Encode(text, o); !errors.Is(err, ErrTruncation) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := tok.AppendIDs(nil, text, Options{MaxLength: 1}); !errors.Is(err, ErrTruncation) {
		t.Error(err)
	}
}

func TestTooManyWindows(t *testing.T) {
	tok := loadTokenizer(t, "minilm")
	text := strings.Repeat("word ", 3000)
	_, err := tok.EncodePair(text, text, Options{MaxLength: 20, Overflow: true})
	if !errors.Is(err, ErrTruncation) {
		t.Error(err)
	}
	if _, err := tok.EncodePair(text, text, Options{MaxLength: 20}); err != nil {
		t.Error(err)
	}
}

func TestVocabulary(t *testing.T) {
	tok := loadTokenizer(t, "xlmr")
	for _, token := range []string{"<s>", "<mask>", "▁the", "."} {
		id, ok := tok.TokenToID(token)
		back, okBack := tok.IDToToken(id)
		if !ok || !okBack || back != token {
			t.Errorf("%q: id %d, %q", token, id, back)
		}
	}
	if _, ok := tok.TokenToID("no such token"); ok {
		t.Error("an id of no token")
	}
	for _, id := range []int32{-1, 1 << 30} {
		if token, ok := tok.IDToToken(id); ok {
			t.Errorf("id %d is %q", id, token)
		}
	}
	if got := tok.Decode([]int32{-5, 1 << 30}, false); got != "" {
		t.Errorf("unknown ids decode to %q", got)
	}
}

// TestE5 checks that the rebuilt file is the cut to Russian and English.
func TestE5(t *testing.T) {
	tok := loadTokenizer(t, "e5")
	if n := tok.VocabSize(); n != 111030 {
		t.Errorf("%d tokens, want 111030", n)
	}
	ids, err := tok.AppendIDs(nil, "query: Отличный фильм, I loved it", Options{})
	if err != nil || ids[0] != 0 || ids[len(ids)-1] != 2 || slices.Contains(ids, 3) {
		t.Errorf("%v %v", ids, err)
	}
}

// TestConcurrent uses one tokenizer from many goroutines; the race detector looks on.
func TestConcurrent(t *testing.T) {
	strs := hardStrings(t)[:400]
	for _, name := range []string{"minilm", "bpe3", "xlmr"} {
		tok := loadTokenizer(t, name)
		want := make([]string, len(strs))
		for i, s := range strs {
			ids, err := tok.AppendIDs(nil, s, plainOptions)
			if err != nil {
				t.Fatal(err)
			}
			want[i] = fmt.Sprint(ids)
		}
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range strs {
					i = (i*7 + g*101) % len(strs)
					e, err := tok.Encode(strs[i], plainOptions)
					if err != nil || fmt.Sprint(e.IDs) != want[i] {
						t.Errorf("%s %q: %v", name, strs[i], err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestNoAllocation holds what AppendIDs promises.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop items")
	}
	for _, name := range []string{"minilm", "rubert", "bpe", "bpe3", "xlmr"} {
		tok := loadTokenizer(t, name)
		dst := make([]int32, 0, 256)
		for _, text := range []string{"An excellent phone, I've never had a better one!", "Отличный фильм, всем советую: naïve café"} {
			n := testing.AllocsPerRun(200, func() {
				var err error
				if dst, err = tok.AppendIDs(dst[:0], text, Options{}); err != nil {
					t.Fatal(err)
				}
			})
			if n >= 1 {
				t.Errorf("%s: %v allocations for %q", name, n, text)
			}
		}
	}
}

// longTexts are texts of about n bytes that have made tokenizers quadratic.
func longTexts(n int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, n/len(s)) }
	return map[string]string{
		"one word":       fill("abcdefghijklmnopqrstuvwxyz"),
		"one letter":     fill("a"),
		"Russian word":   fill("превысокомногорассмотрительствующий"),
		"marks":          "a" + fill("\u0301"),
		"marks to sort":  "a" + fill("\u0301\u0323\u0345"),
		"blanks":         fill(" "),
		"blanks and end": fill(" ") + "x",
		"new lines":      fill("\n"),
		"tabs, new line": fill("\t \n"),
		"exclamation":    fill("!"),
		"apostrophes":    fill("'"),
		"digits":         fill("1234567890"),
		"emoji":          fill("👩‍👩‍👧‍👦"),
		"joiners":        "😀" + fill("\u200d"),
		"conjuncts":      fill("क्ष"),
		"Chinese":        fill("中文"),
		"words":          fill("the quick brown fox "),
		"brackets":       fill("["),
		"special tokens": fill("<s> [MASK]<mask> "),
		"masks, blanks":  fill(" ") + "<mask>" + fill(" "),
		"unknown":        fill("𓀀"),
		"invalid":        fill("\xf0\x9f\x98"),
		"controls":       fill("\x01\u00ad"),
	}
}

// TestLinear compares the processor time of texts of 1 and of 256 KiB. 256 times the text may take 16 times 256 times
// as long: joining a long word is n log n, memory for long texts is not kept, caches have ends, and the machine has
// other work. What is quadratic takes 65,536 times as long.
func TestLinear(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector is what takes the time")
	}
	const most = 16 * 256
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fastest := func(tok *Tokenizer, text string, times int) time.Duration {
		best := time.Duration(1 << 62)
		for range times {
			start := threadTime(t)
			if _, err := tok.Encode(text, plainOptions); err != nil {
				t.Fatal(err)
			}
			best = min(best, threadTime(t)-start)
		}
		return max(best, time.Microsecond)
	}
	short, long := longTexts(1<<10), longTexts(256<<10)
	for _, name := range names[:5] {
		tok := loadTokenizer(t, name)
		for _, kind := range slices.Sorted(maps.Keys(short)) {
			ratio := 0.0
			for range 3 {
				ratio = float64(fastest(tok, long[kind], 1)) / float64(fastest(tok, short[kind], 5))
				if ratio <= most {
					break
				}
			}
			if ratio > most {
				t.Errorf("%s, %s: 256 times the text takes %.0f times as long", name, kind, ratio)
			}
		}
	}
}

// TestLargeTexts encodes texts of a megabyte: one word, and marks without end.
func TestLargeTexts(t *testing.T) {
	n := 1 << 20
	if raceEnabled || testing.Short() {
		n = 1 << 17
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			tok := loadTokenizer(t, name)
			for kind, text := range map[string]string{
				"word": strings.Repeat("abcdefghijklmnopqrstuvwxyz", n/26), "marks": "a" + strings.Repeat("\u0301", n/2)} {
				start := time.Now()
				ids, err := tok.AppendIDs(nil, text, plainOptions)
				if took := time.Since(start); err != nil || took > 20*time.Second {
					t.Errorf("%s: %v, %d ids in %v", kind, err, len(ids), took)
				}
			}
		})
	}
	tok := loadTokenizer(t, "minilm")
	if _, err := tok.Encode(strings.Repeat("a", maxText+1), Options{}); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

// edited returns the xlmr file with changes applied to its JSON.
func edited(t *testing.T, data []byte, edit func(file map[string]any)) []byte {
	t.Helper()
	var file map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	edit(file)
	out, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const tiny = `{"version": "1.0", "model": {"type": "WordLevel", "unk_token": "u", "vocab": {"u": 0, "a": 1}}}`

func TestRefuses(t *testing.T) {
	if _, err := Parse([]byte(tiny)); err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	set := func(path string, v any) func(object) {
		return func(file object) {
			keys := strings.Split(path, ".")
			for _, k := range keys[:len(keys)-1] {
				if file[k] == nil {
					file[k] = object{}
				}
				file = file[k].(object)
			}
			file[keys[len(keys)-1]] = v
		}
	}
	bpe := func(merges any, more object) object {
		m := object{"type": "BPE", "vocab": object{"a": 0, "b": 1, "ab": 2}, "merges": merges}
		maps.Copy(m, more)
		return m
	}
	for _, c := range []struct {
		name string
		edit func(object)
		want string
	}{
		{"an unknown field", set("novelty", 1), "novelty: not known"},
		{"an unknown version", set("version", "2.0"), "version"},
		{"an unknown normalizer", set("normalizer", object{"type": "Magic"}), `normalizer "Magic" is not known`},
		{"an unknown option", set("normalizer", object{"type": "NFC", "magic": true}), "normalizer.magic: not known"},
		{"a normalizer without type", set("normalizer", object{}), "normalizer: no type"},
		{"an unknown pre-tokenizer", set("pre_tokenizer", object{"type": "UnicodeScripts"}), `"UnicodeScripts" is not known`},
		{"an unknown behavior", set("pre_tokenizer", object{"type": "Punctuation", "behavior": "Odd"}), "pre_tokenizer.behavior"},
		{"an unknown expression", set("pre_tokenizer", object{"type": "Split", "pattern": object{"Regex": `\Ka`}, "behavior": "Isolated", "invert": false}), `escape "\\K"`},
		{"an empty pattern", set("pre_tokenizer", object{"type": "Split", "pattern": object{"String": ""}, "behavior": "Isolated", "invert": false}), "an empty pattern"},
		{"contradicting metaspace", set("pre_tokenizer", object{"type": "Metaspace", "replacement": "_", "add_prefix_space": false}), "contradicts"},
		{"no replacement", set("pre_tokenizer", object{"type": "Metaspace", "replacement": "__"}), "not one character"},
		{"fixed length 0", set("pre_tokenizer", object{"type": "FixedLength", "length": 0}), "not above 0"},
		{"an unknown post-processor", set("post_processor", object{"type": "Magic"}), `post-processor "Magic"`},
		{"two templates", set("post_processor", object{"type": "Sequence", "processors": []any{
			object{"type": "BertProcessing", "sep": []any{"u", 0}, "cls": []any{"u", 0}},
			object{"type": "BertProcessing", "sep": []any{"u", 0}, "cls": []any{"u", 0}}}}), "a second post-processor"},
		{"a template for a missing token", set("post_processor", object{"type": "TemplateProcessing",
			"single": []any{object{"SpecialToken": object{"id": "x", "type_id": 0}}}, "pair": []any{}, "special_tokens": object{}}), "not among special_tokens"},
		{"text B alone", set("post_processor", object{"type": "TemplateProcessing",
			"single": []any{object{"Sequence": object{"id": "B", "type_id": 0}}}, "pair": []any{}, "special_tokens": object{}}), "no such text"},
		{"an unknown decoder", set("decoder", object{"type": "Magic"}), `decoder "Magic"`},
		{"an unknown model", set("model.type", "Magic"), `model "Magic"`},
		{"an unknown model option", set("model.magic", 1), "model.magic: not known"},
		{"no model", set("model", nil), "model: not an object"},
		{"two tokens of one id", set("model.vocab", object{"a": 1, "u": 1}), `tokens "a" and "u" share id 1`},
		{"an id far out", set("model.vocab", object{"a": 1, "u": 1 << 30}), "has id 1073741824"},
		{"an id that is none", set("model.vocab", object{"a": 1.5}), "1.5 is not a number"},
		{"a long token", set("model", object{"type": "WordPiece", "unk_token": "u", "continuing_subword_prefix": "#",
			"max_input_chars_per_word": 9, "vocab": object{strings.Repeat("x", 2000): 0}}), "a token of 2000 bytes"},
		{"dropout", set("model", bpe([]any{}, object{"dropout": 0.1})), "ids would be random"},
		{"a merge of no tokens", set("model", bpe([]any{"b a"}, nil)), "entry 0"},
		{"a merge that is none", set("model", bpe([]any{[]any{"a"}}, nil)), "entry 0 is not a pair"},
		{"pieces without scores", set("model", object{"type": "Unigram", "unk_id": 0, "vocab": []any{[]any{"a"}}}), "entry 0 is not a piece"},
		{"unk_id out of range", set("model", object{"type": "Unigram", "unk_id": 3, "vocab": []any{[]any{"a", 0.5}}}), "unk_id 3"},
		{"a bad charsmap", set("normalizer", object{"type": "Precompiled", "precompiled_charsmap": "!"}), "precompiled_charsmap"},
		{"a charsmap cut short", set("normalizer", object{"type": "Precompiled", "precompiled_charsmap": "/////w=="}), "does not fit"},
		{"an unknown strategy", set("truncation", object{"max_length": 1, "stride": 0, "strategy": "Odd"}), "truncation.strategy"},
		{"endless padding", set("padding", object{"strategy": object{"Fixed": 1 << 30}, "pad_id": 0, "pad_type_id": 0, "pad_token": ""}), "more than"},
		{"an added token without options", set("added_tokens", []any{object{"id": 0, "content": "x"}}), "added_tokens[0]"},
		{"too many components", set("normalizer", object{"type": "Sequence", "normalizers": slices.Repeat([]any{object{"type": "NFC"}}, 100)}), "more than 64 components"},
	} {
		_, err := Parse(edited(t, []byte(tiny), c.edit))
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for _, data := range []string{"", "{", "null", "[]", "7", tiny + tiny, "\xff" + tiny, `{"model": "x"}`} {
		if _, err := Parse([]byte(data)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// TestUnknown shows what happens to text that a model cannot express.
func TestUnknown(t *testing.T) {
	for name, file := range map[string]string{
		"wordlevel": `{"model": {"type": "WordLevel", "unk_token": "none", "vocab": {"a": 0}}}`,
		"wordpiece": `{"model": {"type": "WordPiece", "unk_token": "none", "continuing_subword_prefix": "##", "max_input_chars_per_word": 3, "vocab": {"a": 0}}}`,
		"bpe":       `{"model": {"type": "BPE", "unk_token": "none", "vocab": {"a": 0}, "merges": []}}`,
		"unigram":   `{"model": {"type": "Unigram", "vocab": [["a", -1]]}}`,
	} {
		tok, err := Parse([]byte(file))
		if err != nil {
			t.Fatal(name, err)
		}
		if ids, err := tok.AppendIDs(nil, "a", Options{}); err != nil || !slices.Equal(ids, []int32{0}) {
			t.Errorf("%s: %v %v", name, ids, err)
		}
		if _, err := tok.Encode("ab", Options{}); !errors.Is(err, ErrUnknownToken) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := tok.Count("b"); !errors.Is(err, ErrUnknownToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGrowth: a file cannot make a short text fill the memory.
func TestGrowth(t *testing.T) {
	double := `{"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaaaaaaaa"}`
	file := `{"normalizer": {"type": "Sequence", "normalizers": [` + strings.Repeat(double+",", 19) + double + `]},
		"model": {"type": "Unigram", "unk_id": 0, "vocab": [["u", 0]]}}`
	tok, err := Parse([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tok.Encode("aaa", Options{}); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if _, err := tok.Encode("bbb", Options{}); err != nil {
		t.Error(err)
	}
}

// TestInexactFloat holds numbers as Rust's serde_json reads them without its float_roundtrip feature.
func TestInexactFloat(t *testing.T) {
	for s, want := range map[string]float64{
		"0": 0, "-0.0": 0, "12": 12, "-3.5": -3.5, "1e2": 100, "25e-1": 2.5, "1E+3": 1000,
		"-9.3265876770019531":            -93265876770019531.0 / 1e16,
		"0.1":                            0.1,
		"1e-320":                         1.0 / 1e308 / 1e12,
		"123456789012345678901234567890": 12345678901234567890.0 * 1e10,
		"0.00000000000000000000000000000000000000000000000000000": 0,
	} {
		if got, err := inexactFloat(s); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", s, got, err, want)
		}
	}
	if _, err := inexactFloat("1e400"); err == nil {
		t.Error("1e400 is read")
	}
}
