package tokenizer_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/scry-ml/scry/tokenizer"
)

const file = `{
	"version": "1.0",
	"normalizer": {"type": "Lowercase"},
	"pre_tokenizer": {"type": "BertPreTokenizer"},
	"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
		"vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "good": 4, "film": 5, "##s": 6, "!": 7}},
	"post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 1], "sep": ["[SEP]", 2]},
	"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true}
}`

func Example() {
	t, err := tokenizer.Load(strings.NewReader(file))
	if err != nil {
		log.Fatal(err)
	}
	e, err := t.Encode("Good films!", tokenizer.Options{MaxLength: 64})
	if err != nil {
		log.Fatal(err)
	}
	for i, id := range e.IDs {
		fmt.Println(id, e.Tokens[i], e.Offsets[i])
	}
	fmt.Println(t.Decode(e.IDs, true))
	// Output:
	// 1 [CLS] {0 0}
	// 4 good {0 4}
	// 5 film {5 9}
	// 6 ##s {9 10}
	// 7 ! {10 11}
	// 2 [SEP] {0 0}
	// [CLS] good films! [SEP]
}
