package tokenizer

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// Parse reads a tokenizer.json held in memory. Whatever it does not know is an error that wraps ErrUnsupported and
// names the place in the file.
func Parse(data []byte) (*Tokenizer, error) {
	root, err := readDocument(data)
	if err != nil {
		return nil, err
	}
	f := root.fields("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "model",
		"post_processor", "decoder")
	if v := f["version"]; v.strOr("1.0") != "1.0" {
		v.fail("version %q is not known", v.str())
	}
	t := &Tokenizer{
		truncation: readTruncation(f["truncation"]),
		padding:    readPadding(f["padding"]),
		post:       plainPost(),
		pool:       &sync.Pool{New: func() any { return new(work) }},
	}
	if n := f["normalizer"]; !n.null() {
		t.normalizer = readNormalizer(n)
	}
	t.model = readModel(f["model"])
	if root.doc.err != nil {
		return nil, root.doc.err
	}
	if p := f["pre_tokenizer"]; !p.null() {
		var list preTokenizers
		t.readPreTokenizers(p, &list)
		if err := t.shareBytes(list); err != nil {
			p.check(err)
		}
		if t.preTokenizer = list; len(list) == 1 {
			t.preTokenizer = list[0]
		}
	}
	if p := f["post_processor"]; !p.null() {
		t.readPostProcessor(p)
	}
	if d := f["decoder"]; !d.null() {
		t.decoder = readDecoder(d)
	}
	if root.doc.err == nil {
		t.readAdded(f["added_tokens"])
	}
	if root.doc.err != nil {
		return nil, root.doc.err
	}
	return t, nil
}

// shareBytes lets a BPE model read bytes where the last pre-tokenizer would only write them as letters.
func (t *Tokenizer) shareBytes(list preTokenizers) error {
	if len(list) == 0 {
		return nil
	}
	last, ok := list[len(list)-1].(*byteLevelSplit)
	m, isBPE := t.model.(*bpe)
	if !ok || !isBPE {
		return nil
	}
	reads, err := m.readBytes()
	last.letters = !reads
	return err
}

func readTruncation(x value) *Truncation {
	if x.null() {
		return nil
	}
	f := x.fields("direction", "max_length", "strategy", "stride")
	strategies := map[string]Strategy{"LongestFirst": LongestFirst, "OnlyFirst": OnlyFirst, "OnlySecond": OnlySecond}
	strategy, ok := strategies[f["strategy"].str()]
	if !ok {
		f["strategy"].fail("not known")
	}
	return &Truncation{
		MaxLength: int(f["max_length"].number()),
		Stride:    int(f["stride"].number()),
		Strategy:  strategy,
		Left:      left(f["direction"]),
	}
}

func left(x value) bool {
	side := x.strOr("Right")
	if side != "Left" && side != "Right" {
		x.fail("not known")
	}
	return side == "Left"
}

// maxPadding bounds the length to which a file may ask to pad every text.
const maxPadding = 1 << 20

func readPadding(x value) *Padding {
	if x.null() {
		return nil
	}
	f := x.fields("strategy", "direction", "pad_to_multiple_of", "pad_id", "pad_type_id", "pad_token")
	p := &Padding{
		MultipleOf: int(f["pad_to_multiple_of"].numberOr(0)),
		Left:       left(f["direction"]),
		ID:         f["pad_id"].number(),
		TypeID:     f["pad_type_id"].number(),
		Token:      f["pad_token"].str(),
	}
	if s := f["strategy"]; s.v != "BatchLongest" {
		p.Length = int(s.fields("Fixed")["Fixed"].number())
	}
	if max(p.Length, p.MultipleOf) > maxPadding {
		x.fail("more than %d tokens", maxPadding)
	}
	return p
}

func readNormalizer(x value) normalizer {
	u := tables()
	switch kind := x.kind(); kind {
	case "Sequence":
		var list normalizers
		for _, n := range x.fields("type", "normalizers")["normalizers"].list() {
			list = append(list, readNormalizer(n))
		}
		return list
	case "BertNormalizer":
		f := x.fields("type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
		lower := f["lowercase"].boolean()
		return &bertNormalizer{u: u, lower: lower, clean: f["clean_text"].boolean(),
			chinese: f["handle_chinese_chars"].boolean(), strip: f["strip_accents"].booleanOr(lower)}
	case "Strip":
		f := x.fields("type", "strip_left", "strip_right")
		return strip{u, f["strip_left"].boolean(), f["strip_right"].boolean()}
	case "Precompiled":
		f := x.fields("type", "precompiled_charsmap")
		c, err := newCharsmap(f["precompiled_charsmap"].str())
		f["precompiled_charsmap"].check(err)
		return c
	case "Replace":
		return readReplace(x)
	case "Prepend":
		return prepend(x.fields("type", "prepend")["prepend"].str())
	default:
		x.fields("type")
		switch kind {
		case "NFC":
			return unicodeForm{u: u, compose: true}
		case "NFD":
			return unicodeForm{u: u}
		case "NFKC":
			return unicodeForm{u: u, compatible: true, compose: true}
		case "NFKD":
			return unicodeForm{u: u, compatible: true}
		case "Lowercase":
			return lowercase(u)
		case "StripAccents":
			return stripAccents(u)
		case "Nmt":
			return nmt()
		case "ByteLevel":
			return byteLevel()
		}
		x.fail("normalizer %q is not known", kind)
		return nil
	}
}

func readReplace(x value) replace {
	f := x.fields("type", "pattern", "content")
	return replace{readPattern(f["pattern"]), f["content"].str()}
}

func readPattern(x value) pattern {
	f := x.fields("String", "Regex")
	if f["Regex"].null() {
		s := f["String"].str()
		if s == "" {
			x.fail("an empty pattern")
		}
		return literal(s)
	}
	re, err := compileRegex(f["Regex"].str())
	x.check(err)
	return re
}

// byteLevelPattern cuts as GPT-2 does.
const byteLevelPattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// readPreTokenizers appends what x says, sequences taken apart.
func (t *Tokenizer) readPreTokenizers(x value, list *preTokenizers) {
	u := tables()
	add := func(p preTokenizer) { *list = append(*list, p) }
	switch kind := x.kind(); kind {
	case "Sequence":
		for _, p := range x.fields("type", "pretokenizers")["pretokenizers"].list() {
			t.readPreTokenizers(p, list)
		}
	case "BertPreTokenizer":
		x.fields("type")
		add(bertPreTokenizer{u})
	case "WhitespaceSplit":
		x.fields("type")
		add(&splitter{u, propWhite, removed})
	case "Whitespace":
		x.fields("type")
		add(words{u})
	case "Punctuation":
		add(&splitter{u, propPunctuation, readBehavior(x.fields("type", "behavior")["behavior"], "Isolated")})
	case "Digits":
		b := contiguous
		if x.fields("type", "individual_digits")["individual_digits"].boolean() {
			b = isolated
		}
		add(&splitter{u, propNumeric, b})
	case "CharDelimiterSplit":
		add(&patternSplit{literal(x.fields("type", "delimiter")["delimiter"].char()), removed, false})
	case "Split":
		f := x.fields("type", "pattern", "behavior", "invert")
		add(&patternSplit{readPattern(f["pattern"]), readBehavior(f["behavior"], ""), f["invert"].boolean()})
	case "FixedLength":
		n := x.fields("type", "length")["length"]
		if n.numberOr(5) < 1 {
			n.fail("not above 0")
		}
		add(fixedLength(n.numberOr(5)))
	case "ByteLevel":
		f := x.fields("type", "add_prefix_space", "trim_offsets", "use_regex")
		f["trim_offsets"].booleanOr(true) // is about post-processing
		p := &byteLevelSplit{prefixSpace: f["add_prefix_space"].boolean(), letters: true}
		if f["use_regex"].booleanOr(true) {
			re, err := compileRegex(byteLevelPattern)
			x.check(err)
			p.pattern = &patternSplit{re, isolated, false}
		}
		add(p)
	case "Metaspace":
		m := readMetaspace(x)
		t.tracksIDs = t.tracksIDs || m.scheme == "first"
		add(m)
	default:
		x.fail("pre-tokenizer %q is not known", kind)
	}
}

func readBehavior(x value, instead string) behavior {
	b, ok := behaviors[x.strOr(instead)]
	if !ok {
		x.fail("not known")
	}
	return b
}

func readMetaspace(x value) *metaspace {
	f := x.fields("type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep")
	m := &metaspace{f["replacement"].char(), f["prepend_scheme"].strOr("always"), f["split"].booleanOr(true)}
	switch m.scheme {
	case "always", "first", "never":
	default:
		f["prepend_scheme"].fail("not known")
	}
	// Older files say add_prefix_space instead, and have str_rep, which repeats the replacement.
	if !f["add_prefix_space"].booleanOr(true) && m.scheme != "never" {
		f["add_prefix_space"].fail("contradicts prepend_scheme %q", m.scheme)
	}
	return m
}

func (t *Tokenizer) readPostProcessor(x value) {
	switch kind := x.kind(); kind {
	case "Sequence":
		for _, p := range x.fields("type", "processors")["processors"].list() {
			t.readPostProcessor(p)
		}
	case "ByteLevel":
		f := x.fields("type", "add_prefix_space", "trim_offsets", "use_regex")
		f["use_regex"].booleanOr(true)
		if prefix := f["add_prefix_space"].boolean(); f["trim_offsets"].boolean() {
			t.post.trims = append(t.post.trims, trim{tables(), prefix})
		}
	case "TemplateProcessing", "BertProcessing", "RobertaProcessing":
		if len(t.post.single) != 1 || t.post.single[0].typeID >= 0 {
			x.fail("a second post-processor that adds special tokens")
			return
		}
		t.readTemplate(x, kind)
	default:
		x.fail("post-processor %q is not known", kind)
	}
}

func (t *Tokenizer) readTemplate(x value, kind string) {
	text := func(number int, typeID int32) part { return part{text: number, typeID: typeID} }
	if kind == "TemplateProcessing" {
		f := x.fields("type", "single", "pair", "special_tokens")
		tokens, ok := f["special_tokens"].v.(map[string]any)
		if !ok {
			f["special_tokens"].fail("not an object")
		}
		special := map[string]part{}
		for id, token := range tokens {
			special[id] = readSpecial(value{x.doc, f["special_tokens"].path + "." + id, token})
		}
		t.post.single = readParts(f["single"], special, 1)
		t.post.pair = readParts(f["pair"], special, 2)
		return
	}
	special := func(x value, typeID int32) part {
		pair := x.list()
		if len(pair) != 2 {
			x.fail("not a token and its id")
			return part{}
		}
		return part{text: -1, typeID: typeID, ids: []int32{pair[1].number()}, tokens: []string{pair[0].str()}}
	}
	if kind == "BertProcessing" {
		f := x.fields("type", "sep", "cls")
		cls, sep := special(f["cls"], 0), special(f["sep"], 0)
		t.post.single = []part{cls, text(0, 0), sep}
		t.post.pair = []part{cls, text(0, 0), sep, text(1, 1), special(f["sep"], 1)}
		return
	}
	f := x.fields("type", "sep", "cls", "trim_offsets", "add_prefix_space")
	cls, sep := special(f["cls"], 0), special(f["sep"], 0)
	if prefix := f["add_prefix_space"].boolean(); f["trim_offsets"].boolean() {
		t.post.trims = append(t.post.trims, trim{tables(), prefix})
	}
	t.post.single = []part{cls, text(0, 0), sep}
	t.post.pair = []part{cls, text(0, 0), sep, sep, text(1, 0), sep}
	t.post.zeroTypes = true
}

func readSpecial(x value) part {
	f := x.fields("id", "ids", "tokens")
	p := part{text: -1}
	for _, id := range f["ids"].list() {
		p.ids = append(p.ids, id.number())
	}
	for _, token := range f["tokens"].list() {
		p.tokens = append(p.tokens, token.str())
	}
	if len(p.ids) != len(p.tokens) {
		x.fail("%d ids and %d tokens", len(p.ids), len(p.tokens))
	}
	return p
}

func readParts(x value, special map[string]part, texts int) []part {
	parts := []part{}
	for _, piece := range x.list() {
		f := piece.fields("Sequence", "SpecialToken")
		if s := f["Sequence"]; !s.null() {
			f := s.fields("id", "type_id")
			number := strings.Index("AB", f["id"].str())
			if len(f["id"].str()) != 1 || number < 0 || number >= texts {
				f["id"].fail("no such text")
			}
			parts = append(parts, part{text: number, typeID: f["type_id"].number()})
			continue
		}
		f = f["SpecialToken"].fields("id", "type_id")
		p, ok := special[f["id"].str()]
		if !ok {
			f["id"].fail("not among special_tokens")
		}
		p.typeID = f["type_id"].number()
		parts = append(parts, p)
	}
	return parts
}

func readDecoder(x value) decoder {
	switch kind := x.kind(); kind {
	case "Sequence":
		var list decoders
		for _, d := range x.fields("type", "decoders")["decoders"].list() {
			list = append(list, readDecoder(d))
		}
		return list
	case "ByteLevel":
		f := x.fields("type", "add_prefix_space", "trim_offsets", "use_regex") // none of them is about decoding
		for _, name := range []string{"add_prefix_space", "trim_offsets", "use_regex"} {
			f[name].booleanOr(true)
		}
		return byteLevelDecoder{}
	case "WordPiece":
		f := x.fields("type", "prefix", "cleanup")
		return wordPieceDecoder(f["prefix"].str(), f["cleanup"].boolean())
	case "Metaspace":
		m := readMetaspace(x)
		return metaspaceDecoder(m.replacement, m.scheme)
	case "BPEDecoder":
		return bpeDecoder(x.fields("type", "suffix")["suffix"].str())
	case "ByteFallback":
		x.fields("type")
		return byteFallback{}
	case "Fuse":
		x.fields("type")
		return fuse{}
	case "Strip":
		f := x.fields("type", "content", "start", "stop")
		return stripDecoder(f["content"].char(), int(f["start"].number()), int(f["stop"].number()))
	case "CTC":
		f := x.fields("type", "pad_token", "word_delimiter_token", "cleanup")
		return ctc{f["pad_token"].str(), f["word_delimiter_token"].str(), f["cleanup"].boolean()}
	case "Replace":
		return replaceDecoder(readReplace(x))
	default:
		x.fail("decoder %q is not known", kind)
		return nil
	}
}

// readAdded reads the added tokens. A token takes the id that the model has for it, else the next free one: the
// reference pays no heed to the ids of the file.
func (t *Tokenizer) readAdded(x value) {
	t.added.ids, t.added.byID, t.added.special = map[string]int32{}, map[int32]*addedToken{}, map[string]bool{}
	var list []value
	if !x.null() {
		list = x.list()
	}
	next := int32(t.model.size())
	for _, entry := range list {
		f := entry.fields("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special")
		f["id"].number()
		a := &addedToken{
			content:    f["content"].str(),
			singleWord: f["single_word"].boolean(),
			lstrip:     f["lstrip"].boolean(),
			rstrip:     f["rstrip"].boolean(),
			normalized: f["normalized"].boolean(),
			special:    f["special"].boolean(),
		}
		if x.doc.err != nil {
			return
		}
		if a.content == "" {
			continue
		}
		id, ok := t.TokenToID(a.content)
		if !ok {
			id = next
			next++
		}
		a.id = id
		a.normal = a.content
		if a.normalized && t.normalizer != nil {
			w := &work{}
			w.reset(a.content, false)
			t.normalizer.normalize(w)
			a.normal = string(w.text)
		}
		t.added.ids[a.content], t.added.byID[id] = id, a
		if a.special {
			t.added.special[a.content] = true
		}
	}
	var raw, normalized []*addedToken
	for _, id := range slices.Sorted(maps.Keys(t.added.byID)) {
		a := t.added.byID[id]
		if a.normalized {
			normalized = append(normalized, a)
		} else {
			raw = append(raw, a)
		}
	}
	var err error
	t.added.raw, err = newAddedSet(raw, func(a *addedToken) string { return a.content })
	x.check(err)
	t.added.normalized, err = newAddedSet(normalized, func(a *addedToken) string { return a.normal })
	x.check(err)
}
