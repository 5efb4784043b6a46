package tokenizer

import (
	"encoding/json"
	"math"
	"strings"
)

// readModel reads the model. Old files do not say which it is, but each kind has fields of its own.
func readModel(x value) model {
	object, ok := x.v.(map[string]any)
	if !ok {
		x.fail("not an object")
		return nil
	}
	kind, ok := object["type"].(string)
	if !ok {
		_, merges := object["merges"]
		_, scores := object["vocab"].([]any)
		_, prefix := object["continuing_subword_prefix"]
		switch {
		case merges:
			kind = "BPE"
		case scores:
			kind = "Unigram"
		case prefix:
			kind = "WordPiece"
		}
	}
	switch kind {
	case "WordPiece":
		f := x.fields("type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab")
		unknown, prefix := f["unk_token"].str(), f["continuing_subword_prefix"].str()
		m, err := newWordPiece(readVocabulary(f["vocab"]), unknown, prefix, int(f["max_input_chars_per_word"].number()))
		x.check(err)
		return m
	case "WordLevel":
		f := x.fields("type", "unk_token", "vocab")
		return &wordLevel{readVocabulary(f["vocab"]), f["unk_token"].str()}
	case "BPE":
		return readBPE(x)
	case "Unigram":
		return readUnigram(x)
	}
	x.fail("model %q is not known", kind)
	return nil
}

func readVocabulary(x value) *vocabulary {
	object, ok := x.v.(map[string]any)
	if !ok {
		x.fail("not an object")
	}
	ids := make(map[string]int32, len(object))
	for token, id := range object {
		ids[token] = value{x.doc, x.path, id}.number()
	}
	v, err := newVocabulary(ids)
	x.check(err)
	if v == nil {
		v = &vocabulary{}
	}
	return v
}

func readBPE(x value) model {
	f := x.fields("type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
		"byte_fallback", "ignore_merges", "vocab", "merges")
	if d := f["dropout"]; !d.null() && d.float() != 0 {
		d.fail("ids would be random")
	}
	m := &bpe{
		vocabulary:   readVocabulary(f["vocab"]),
		unknown:      f["unk_token"].strOr(""),
		hasUnknown:   !f["unk_token"].null(),
		fuseUnknown:  f["fuse_unk"].booleanOr(false),
		prefix:       f["continuing_subword_prefix"].strOr(""),
		suffix:       f["end_of_word_suffix"].strOr(""),
		ignoreMerges: f["ignore_merges"].booleanOr(false),
	}
	if f["byte_fallback"].booleanOr(false) {
		m.byteIDs = byteTokens(m.ids)
	}
	merges := f["merges"]
	list, ok := merges.v.([]any)
	if !ok {
		merges.fail("not a list")
	}
	m.merges = newMergeTable(len(list))
	rank := int32(0)
	for i, entry := range list {
		a, b, ok := readMerge(entry)
		if line, isLine := entry.(string); isLine && strings.HasPrefix(line, "#version") {
			continue
		}
		if !ok || len(b) < len(m.prefix) {
			merges.fail("entry %d is not a pair of tokens", i)
			break
		}
		left, okA := m.ids[a]
		right, okB := m.ids[b]
		joined, okC := m.ids[a+b[len(m.prefix):]]
		if !okA || !okB || !okC {
			merges.fail("entry %d: %q and %q do not join two tokens to a third", i, a, b)
			break
		}
		m.merges.set(left, right, pair{rank, joined})
		rank++
	}
	return m
}

// readMerge reads ["a", "b"] or, in older files, "a b".
func readMerge(entry any) (a, b string, ok bool) {
	switch entry := entry.(type) {
	case string:
		a, b, ok = strings.Cut(entry, " ")
		return a, b, ok && !strings.Contains(b, " ")
	case []any:
		if len(entry) == 2 {
			a, okA := entry[0].(string)
			b, okB := entry[1].(string)
			return a, b, okA && okB
		}
	}
	return "", "", false
}

func readUnigram(x value) model {
	f := x.fields("type", "unk_id", "vocab", "byte_fallback")
	list, ok := f["vocab"].v.([]any)
	if !ok || len(list) > math.MaxInt32 {
		f["vocab"].fail("not a list")
	}
	pieces, scores := make([]string, len(list)), make([]float64, len(list))
	for i, entry := range list {
		pair, _ := entry.([]any)
		if len(pair) == 2 {
			piece, isString := pair[0].(string)
			_, isNumber := pair[1].(json.Number)
			if isString && isNumber {
				pieces[i], scores[i] = piece, value{x.doc, f["vocab"].path, pair[1]}.float()
				continue
			}
		}
		f["vocab"].fail("entry %d is not a piece and its score", i)
		break
	}
	m, err := newUnigram(pieces, scores, f["unk_id"].numberOr(-1), f["byte_fallback"].booleanOr(false))
	x.check(err)
	return m
}
