package tokenizer

import "fmt"

// vocabulary is the two-way map between token strings and ids of a model.
type vocabulary struct {
	ids    map[string]int32
	tokens []string // by id
	known  []bool   // by id: vocabularies may have holes
}

// maxHoles is how far ids may exceed the number of tokens.
const maxHoles = 1 << 16

func newVocabulary(ids map[string]int32) (*vocabulary, error) {
	v := &vocabulary{ids: ids}
	top := int32(-1)
	for token, id := range ids {
		if id < 0 || int(id) > 2*len(ids)+maxHoles {
			return nil, fmt.Errorf("token %q has id %d in a vocabulary of %d", token, id, len(ids))
		}
		top = max(top, id)
	}
	v.tokens, v.known = make([]string, top+1), make([]bool, top+1)
	for token, id := range ids {
		if v.known[id] {
			return nil, fmt.Errorf("tokens %q and %q share id %d", min(token, v.tokens[id]), max(token, v.tokens[id]), id)
		}
		v.tokens[id], v.known[id] = token, true
	}
	return v, nil
}

func (v *vocabulary) tokenID(token string) (int32, bool) {
	id, ok := v.ids[token]
	return id, ok
}

func (v *vocabulary) token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(v.tokens) || !v.known[id] {
		return "", false
	}
	return v.tokens[id], true
}

func (v *vocabulary) size() int { return len(v.ids) }

// trie returns a trie of all tokens.
func (v *vocabulary) trie() (*trie, error) {
	keys, values := make([]string, 0, len(v.ids)), make([]int32, 0, len(v.ids))
	for token, id := range v.ids {
		keys, values = append(keys, token), append(values, id)
	}
	return newTrie(keys, values)
}

// model cuts the words of a text into tokens.
type model interface {
	// tokenize adds the tokens of text, a piece of w, which is not empty.
	tokenize(w *work, text []byte) error
	tokenID(token string) (int32, bool)
	token(id int32) (string, bool)
	size() int
}
