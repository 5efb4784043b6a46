package bundle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

const tokenizerFile = "tokenizer.json"

// sentencePieces are the names under which models of SentencePiece are kept.
var sentencePieces = []string{"sentencepiece.bpe.model", "spiece.model", "sentencepiece.model", "spm.model", "tokenizer.model"}

// vocabularies are files of which a tokenizer.json can be made.
var vocabularies = []string{"vocab.txt", "vocab.json"}

// hasTokens tells whether there is any file of a tokenizer.
func (i *hfInference) hasTokens() bool {
	return exists(i.dir, tokenizerFile) || i.hints.GetTask() == "text" ||
		slices.ContainsFunc(slices.Concat(vocabularies, sentencePieces), func(name string) bool { return exists(i.dir, name) })
}

// tokenizerConfig is what tokenizer_config.json says, as far as it matters.
type tokenizerConfig struct {
	Class          string                `json:"tokenizer_class"`
	MaxLength      float64               `json:"model_max_length"` // 1e30 when unset
	Lower          *bool                 `json:"do_lower_case"`
	StripAccents   *bool                 `json:"strip_accents"`
	Chinese        *bool                 `json:"tokenize_chinese_chars"`
	Basic          *bool                 `json:"do_basic_tokenize"`
	NeverSplit     []string              `json:"never_split"`
	PrefixSpace    bool                  `json:"add_prefix_space"`
	TruncationSide string                `json:"truncation_side"`
	Added          map[string]addedToken `json:"added_tokens_decoder"`
	Unk            specialToken          `json:"unk_token"`
	Cls            specialToken          `json:"cls_token"`
	Sep            specialToken          `json:"sep_token"`
	Pad            specialToken          `json:"pad_token"`
	Mask           specialToken          `json:"mask_token"`
	Bos            specialToken          `json:"bos_token"`
	Eos            specialToken          `json:"eos_token"`
}

func (c tokenizerConfig) lower() bool { return c.Lower != nil && *c.Lower }

// addedToken is a token as tokenizer.json has it.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// specialToken is a token's text, written as a string or an object.
type specialToken string

// UnmarshalJSON implements json.Unmarshaler.
func (t *specialToken) UnmarshalJSON(text []byte) error {
	var object struct {
		Content string `json:"content"`
	}
	if len(text) > 0 && text[0] == '{' {
		err := json.Unmarshal(text, &object)
		*t = specialToken(object.Content)
		return err
	}
	var plain string // null leaves it empty
	err := json.Unmarshal(text, &plain)
	*t = specialToken(plain)
	return err
}

// tokens finds or makes the tokenizer.json.
func (i *hfInference) tokens(text *bundlev1.Text) error {
	text.Tokenizer = tokenizerFile
	switch {
	case exists(i.dir, tokenizerFile):
		i.guess("text.tokenizer", "a %s lies beside a graph that reads input_ids", tokenizerFile)
		i.readsTokenizerConfig()
		return i.checkTokenizer()
	case exists(i.dir, "vocab.txt"):
		return i.wordPiece()
	case exists(i.dir, "vocab.json") && exists(i.dir, "merges.txt"):
		return i.byteLevel()
	}
	for _, name := range sentencePieces {
		if exists(i.dir, name) {
			return invalid("text.tokenizer", "there is %s and no %s, which a line of Python makes of it: %s", name, tokenizerFile, convertLine)
		}
	}
	return invalid("text.tokenizer", "there is no %s", tokenizerFile)
}

// convertLine writes a tokenizer.json beside what a slow tokenizer has.
const convertLine = `python -c 'from transformers import AutoTokenizer as T; T.from_pretrained("DIR", use_fast=True).save_pretrained("DIR")'`

func (i *hfInference) readsTokenizerConfig() {
	if i.hasTokenizer {
		i.reads("tokenizer_config.json")
	}
}

// leftTruncation is a tokenizer.json's, of a text that loses its beginning. The
// manifest tells the length.
var leftTruncation = json.RawMessage(`{"direction": "Left", "max_length": 512, "strategy": "LongestFirst", "stride": 0}`)

// checkTokenizer refuses what a graph would be fed wrongly: type ids other than
// zero. It makes a copy that cuts off the beginning where the configuration says
// so, which transformers reads from there.
func (i *hfInference) checkTokenizer() error {
	var file map[string]json.RawMessage
	if err := readJSON(i.dir, tokenizerFile, &file); err != nil {
		return err
	}
	var post struct {
		Single []map[string]struct {
			Type int `json:"type_id"`
		} `json:"single"`
		Processors []json.RawMessage `json:"processors"`
	}
	nonZero := func(raw json.RawMessage) bool {
		post.Single = nil
		if json.Unmarshal(raw, &post) != nil {
			return false // the tokenizer's own reader says what is wrong
		}
		for _, part := range post.Single {
			for _, p := range part {
				if p.Type != 0 {
					return true
				}
			}
		}
		return false
	}
	wrong := nonZero(file["post_processor"])
	for _, p := range post.Processors {
		wrong = wrong || nonZero(p)
	}
	if wrong && hasInput(i.graph, "token_type_ids") {
		return invalid("text.token_type_ids", "the post_processor of %s gives a single text type ids other than 0, which are not served: export the graph without token_type_ids", tokenizerFile)
	}
	if i.tokenizer.TruncationSide != "left" {
		return nil
	}
	file["truncation"] = leftTruncation
	changed, err := json.Marshal(file)
	if err != nil {
		return invalid(tokenizerFile, "%v", err)
	}
	i.dir.added[tokenizerFile] = changed
	i.guess("text.tokenizer", "truncation_side of tokenizer_config.json is left: a long text loses its beginning")
	return nil
}

// wordPieceFamilies have the tokenizer of BERT.
var wordPieceFamilies = []string{"bert", "distilbert", "electra", "mobilebert", "convbert", "squeezebert"}

// wordPiece makes the tokenizer.json that transformers makes of a vocab.txt.
func (i *hfInference) wordPiece() error {
	c := i.tokenizer
	if !i.family(wordPieceFamilies) {
		return i.unmade("vocab.txt")
	}
	for field, set := range map[string]bool{"never_split": len(c.NeverSplit) > 0, "do_basic_tokenize": c.Basic != nil && !*c.Basic} {
		if set {
			return invalid("tokenizer_config.json", "%s is set, of which no %s can be made here; this line does: %s", field, tokenizerFile, convertLine)
		}
	}
	text, err := readFile(i.dir, "vocab.txt")
	if err != nil {
		return invalid("vocab.txt", "%v", cause(err))
	}
	vocab := map[string]int32{}
	for id, token := range strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), "\n") {
		vocab[token] = int32(id) // of a token that stands twice the last counts
	}
	special, err := i.specials("vocab.txt", vocab, map[*specialToken]string{&c.Unk: "[UNK]", &c.Cls: "[CLS]", &c.Sep: "[SEP]", &c.Pad: "[PAD]", &c.Mask: "[MASK]"}, "")
	if err != nil {
		return err
	}
	lower := c.Lower == nil || *c.Lower // as transformers' default is
	part := func(token specialToken, typeID int) map[string]any {
		return map[string]any{"SpecialToken": map[string]any{"id": token, "type_id": typeID}}
	}
	sequence := func(id string, typeID int) map[string]any {
		return map[string]any{"Sequence": map[string]any{"id": id, "type_id": typeID}}
	}
	token := func(t specialToken) map[string]any {
		return map[string]any{"id": t, "ids": []int32{vocab[string(t)]}, "tokens": []string{string(t)}}
	}
	err = i.make(map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": special,
		"normalizer": map[string]any{
			"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": c.Chinese == nil || *c.Chinese, "strip_accents": c.StripAccents, "lowercase": lower,
		},
		"pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"post_processor": map[string]any{
			"type": "TemplateProcessing", "single": []any{part(c.Cls, 0), sequence("A", 0), part(c.Sep, 0)},
			"pair":           []any{part(c.Cls, 0), sequence("A", 0), part(c.Sep, 0), sequence("B", 1), part(c.Sep, 1)},
			"special_tokens": map[string]any{string(c.Cls): token(c.Cls), string(c.Sep): token(c.Sep)},
		},
		"decoder": map[string]any{"type": "WordPiece", "prefix": "##", "cleanup": true},
		"model": map[string]any{
			"type": "WordPiece", "unk_token": c.Unk, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab,
		},
	})
	if err != nil {
		return err
	}
	i.guess("text.tokenizer", "made of vocab.txt, %s", map[bool]string{true: "in lower case", false: "case kept"}[lower])
	i.reads("vocab.txt")
	i.readsTokenizerConfig()
	i.readsSpecials()
	return nil
}

// byteLevelFamilies have the tokenizer of RoBERTa.
var byteLevelFamilies = []string{"roberta", "longformer"}

// byteLevel makes the tokenizer.json that transformers makes of a vocab.json and
// merges.txt of RoBERTa.
func (i *hfInference) byteLevel() error {
	c := i.tokenizer
	if !i.family(byteLevelFamilies) {
		return i.unmade("vocab.json")
	}
	vocab := map[string]int32{}
	if err := readJSON(i.dir, "vocab.json", &vocab); err != nil {
		return err
	}
	text, err := readFile(i.dir, "merges.txt")
	if err != nil {
		return invalid("merges.txt", "%v", cause(err))
	}
	merges := [][2]string{}
	for n, line := range strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") {
		if n == 0 && strings.HasPrefix(line, "#version") || line == "" {
			continue
		}
		a, b, ok := strings.Cut(line, " ")
		if !ok || a == "" || b == "" || strings.Contains(b, " ") {
			return invalid("merges.txt", "line %d is no pair of tokens", n+1)
		}
		merges = append(merges, [2]string{a, b})
	}
	special, err := i.specials("vocab.json", vocab, map[*specialToken]string{
		&c.Bos: "<s>", &c.Eos: "</s>", &c.Unk: "<unk>", &c.Cls: "<s>", &c.Sep: "</s>", &c.Pad: "<pad>", &c.Mask: "<mask>",
	}, "<mask>")
	if err != nil {
		return err
	}
	token := func(t specialToken) []any { return []any{t, vocab[string(t)]} }
	err = i.make(map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": special, "normalizer": nil,
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": c.PrefixSpace, "trim_offsets": true, "use_regex": true},
		"post_processor": map[string]any{
			"type": "RobertaProcessing", "sep": token(c.Sep), "cls": token(c.Cls), "trim_offsets": true, "add_prefix_space": c.PrefixSpace,
		},
		"decoder": map[string]any{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model": map[string]any{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false,
			"byte_fallback": false, "vocab": vocab, "merges": merges,
		},
	})
	if err != nil {
		return err
	}
	i.guess("text.tokenizer", "made of vocab.json and merges.txt")
	i.reads("vocab.json")
	i.reads("merges.txt")
	i.readsTokenizerConfig()
	i.readsSpecials()
	return nil
}

// family tells whether the tokenizer is one of these by its class or, where
// nothing names a class, by the model's type.
func (i *hfInference) family(known []string) bool {
	name := strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(i.tokenizer.Class, "Fast"), "Tokenizer"))
	if name == "" {
		name = i.config.ModelType
	}
	return slices.Contains(known, name)
}

func (i *hfInference) unmade(file string) error {
	what := "of which nothing names the tokenizer's class"
	if name := i.tokenizer.Class; name != "" {
		what = fmt.Sprintf("of a %s", name)
	} else if i.config.ModelType != "" {
		what = fmt.Sprintf("of a model of type %s", i.config.ModelType)
	}
	return invalid("text.tokenizer", "there is %s %s and no %s, which a line of Python makes of it: %s", file, what, tokenizerFile, convertLine)
}

// specialsFile names the special tokens, too.
const specialsFile = "special_tokens_map.json"

func (i *hfInference) readsSpecials() {
	if exists(i.dir, specialsFile) {
		i.reads(specialsFile)
	}
}

// specials fills in the special tokens that the configuration leaves out, and
// lists all added tokens by id. stripping is the one that takes the blanks
// before it unless the configuration describes it.
func (i *hfInference) specials(file string, vocab map[string]int32, tokens map[*specialToken]string, stripping string) ([]addedToken, error) {
	byID := map[int32]addedToken{}
	for id, t := range i.tokenizer.Added {
		n, err := strconv.ParseInt(id, 10, 32)
		if err != nil || n < 0 {
			return nil, invalid("tokenizer_config.json", "%q of added_tokens_decoder is no id", id)
		}
		t.ID = int32(n)
		byID[t.ID] = t
	}
	for token, usual := range tokens {
		if *token == "" {
			*token = specialToken(usual)
		}
		id, ok := vocab[string(*token)]
		if !ok {
			return nil, invalid(file, "lacks the special token %q", *token)
		}
		if _, ok := byID[id]; !ok {
			byID[id] = addedToken{ID: id, Content: string(*token), Special: true, LStrip: string(*token) == stripping}
		}
	}
	var others map[string]int32
	if _, err := readConfig(i.dir, "added_tokens.json", &others); err != nil {
		return nil, err
	}
	for token, id := range others {
		if byID[id].Content != token {
			return nil, invalid("added_tokens.json", "the token %q is not described in tokenizer_config.json; this line makes a %s: %s", token, tokenizerFile, convertLine)
		}
	}
	list := make([]addedToken, 0, len(byID))
	for _, t := range byID {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b addedToken) int { return int(a.ID) - int(b.ID) })
	next := int32(0)
	for _, id := range vocab {
		next = max(next, id+1)
	}
	for _, t := range list {
		id, ok := vocab[t.Content]
		if !ok {
			id, next = next, next+1
		}
		if id != t.ID {
			return nil, invalid("tokenizer_config.json", "the token %q has the id %d in added_tokens_decoder, but %d by %s", t.Content, t.ID, id, file)
		}
	}
	return list, nil
}

// make puts a tokenizer.json beside the uploaded files.
func (i *hfInference) make(file map[string]any) error {
	if i.tokenizer.TruncationSide == "left" {
		file["truncation"] = leftTruncation
	}
	text, err := json.Marshal(file)
	if err != nil {
		return invalid(tokenizerFile, "%v", err)
	}
	i.dir.added[tokenizerFile] = text
	return nil
}
