package tokenizer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Decode turns ids back into text. Ids that are not in the vocabulary are left out, as are, if skipSpecial, the added
// tokens marked as special.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	tokens := make([]string, 0, len(ids))
	for _, id := range ids {
		token, ok := t.IDToToken(id)
		if ok && !(skipSpecial && t.added.special[token]) {
			tokens = append(tokens, token)
		}
	}
	if t.decoder == nil {
		return strings.Join(tokens, " ")
	}
	return strings.Join(t.decoder.decode(tokens), "")
}

// decoder changes tokens towards text, which is what they give when joined. It may change its argument.
type decoder interface {
	decode(tokens []string) []string
}

// decoders runs several in turn ("Sequence").
type decoders []decoder

func (s decoders) decode(tokens []string) []string {
	for _, d := range s {
		tokens = d.decode(tokens)
	}
	return tokens
}

// eachToken is a decoder that changes tokens one by one.
type eachToken func(i int, token string) string

func (f eachToken) decode(tokens []string) []string {
	for i, token := range tokens {
		tokens[i] = f(i, token)
	}
	return tokens
}

// byteLevelDecoder joins tokens and reads their letters as bytes; tokens with other characters are text.
type byteLevelDecoder struct{}

func (byteLevelDecoder) decode(tokens []string) []string {
	var text []byte
	for _, token := range tokens {
		n := len(text)
		var ok bool
		if text, ok = lettersToBytes(text, token); !ok {
			text = append(text[:n], token...)
		}
	}
	valid, _ := Repair(string(text))
	return []string{valid}
}

// wordPieceDecoder joins continuations to what they continue.
func wordPieceDecoder(prefix string, cleanup bool) eachToken {
	return func(i int, token string) string {
		if i > 0 {
			if rest, ok := strings.CutPrefix(token, prefix); ok {
				token = rest
			} else {
				token = " " + token
			}
		}
		if cleanup {
			token = cleanUp(token)
		}
		return token
	}
}

// cleanUp takes out blanks that English does not write. The replacements are made one after the other.
func cleanUp(s string) string {
	for _, r := range [][2]string{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"},
		{" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}} {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return s
}

// metaspaceDecoder turns the visible blanks back; those of the first token were put there.
func metaspaceDecoder(replacement rune, scheme string) eachToken {
	return func(i int, token string) string {
		with := " "
		if i == 0 && scheme != "never" {
			with = ""
		}
		return strings.ReplaceAll(token, string(replacement), with)
	}
}

// bpeDecoder turns the suffix of the last piece of a word into a blank, but not at the end.
type bpeDecoder string

func (s bpeDecoder) decode(tokens []string) []string {
	for i, token := range tokens {
		with := " "
		if i == len(tokens)-1 {
			with = ""
		}
		tokens[i] = strings.ReplaceAll(token, string(s), with)
	}
	return tokens
}

// byteFallback joins byte tokens such as <0xD0>, each as U+FFFD if they are not UTF-8 together.
type byteFallback struct{}

func (byteFallback) decode(tokens []string) []string {
	var out []string
	var run []byte
	flush := func() {
		if utf8.Valid(run) && len(run) > 0 {
			out = append(out, string(run))
		} else {
			for range run {
				out = append(out, "\uFFFD")
			}
		}
		run = run[:0]
	}
	for _, token := range tokens {
		if b, ok := byteToken(token); ok {
			run = append(run, b)
			continue
		}
		flush()
		out = append(out, token)
	}
	flush()
	return out
}

func byteToken(token string) (byte, bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	digits := token[3:5]
	if digits[0] == '+' { // Rust reads "+F" as a number
		digits = digits[1:]
	}
	b, err := strconv.ParseUint(digits, 16, 8)
	return byte(b), err == nil
}

// fuse joins all tokens.
type fuse struct{}

func (fuse) decode(tokens []string) []string { return []string{strings.Join(tokens, "")} }

// stripDecoder takes up to so many of a character off the ends of each token.
func stripDecoder(content rune, start, stop int) eachToken {
	return func(_ int, token string) string {
		c := string(content)
		for n := 0; n < start && strings.HasPrefix(token, c); n++ {
			token = token[len(c):]
		}
		for n := 0; n < stop && strings.HasSuffix(token, c); n++ {
			token = token[:len(token)-len(c)]
		}
		return token
	}
}

// ctc joins repetitions, as speech models write them.
type ctc struct {
	padding, delimiter string
	cleanup            bool
}

func (c ctc) decode(tokens []string) []string {
	var out []string
	for i, token := range tokens {
		if i > 0 && token == tokens[i-1] {
			continue
		}
		s := strings.ReplaceAll(token, c.padding, "")
		if c.cleanup {
			s = strings.ReplaceAll(cleanUp(s), c.delimiter, " ")
		}
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// maxDecoded is the length of a token beyond which it is not replaced in, so that a file cannot ask for any growth.
const maxDecoded = 1 << 20

// replaceDecoder replaces matches of a pattern in each token.
func replaceDecoder(r replace) eachToken {
	return func(_ int, token string) string {
		if len(token) > maxDecoded {
			return token
		}
		var out []byte
		for _, m := range r.pattern.find(&matcher{}, []byte(token), nil) {
			if m.hit {
				out = append(out, r.content...)
			} else {
				out = append(out, token[m.start:m.end]...)
			}
		}
		return string(out)
	}
}
