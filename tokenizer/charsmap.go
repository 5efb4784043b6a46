package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// charsmap is the normaliser that SentencePiece compiles into its models ("Precompiled"): a darts double array of
// UTF-8 keys whose values are places in a blob of zero-terminated replacements.
type charsmap struct {
	u      *charTables
	units  []uint32
	blob   []byte
	single [utf8.RuneSelf]int32 // ASCII characters: place of the replacement, or -1
}

func newCharsmap(encoded string) (*charsmap, error) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	if len(raw) < 4 {
		return nil, errors.New("too short")
	}
	n := uint64(binary.LittleEndian.Uint32(raw))
	raw = raw[4:]
	if n > uint64(len(raw)) || n%4 != 0 || n == 0 {
		return nil, errors.New("the trie does not fit")
	}
	c := &charsmap{u: tables(), blob: raw[n:]}
	if !utf8.Valid(c.blob) {
		return nil, errors.New("replacements are not UTF-8")
	}
	for i := uint64(0); i < n; i += 4 {
		c.units = append(c.units, binary.LittleEndian.Uint32(raw[i:]))
	}
	for i := range c.single {
		c.single[i] = int32(c.search([]byte{byte(i)}))
	}
	return c, nil
}

// search returns the place of the replacement of the shortest key that text begins with, or -1.
func (c *charsmap) search(text []byte) int {
	at := unitOffset(c.units[0])
	for _, b := range text {
		at ^= uint32(b)
		if b == 0 || int(at) >= len(c.units) {
			return -1
		}
		u := c.units[at]
		if u&(1<<31|0xFF) != uint32(b) {
			return -1
		}
		at ^= unitOffset(u)
		if u&(1<<8) != 0 {
			if int(at) >= len(c.units) {
				return -1
			}
			place := int(c.units[at] & (1<<31 - 1))
			if place > len(c.blob) || place < len(c.blob) && !utf8.RuneStart(c.blob[place]) {
				return -1
			}
			return place
		}
	}
	return -1
}

func unitOffset(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }

func (c *charsmap) normalize(w *work) {
	w.rewrite(func(e *editor, text []byte) {
		if !e.track {
			c.plain(e, text)
			return
		}
		for i := 0; i < len(text); {
			n := c.u.grapheme(text[i:])
			c.cluster(e, text[i:i+n])
			i += n
		}
	})
}

// plain is normalize without alignments, with a short way for runs of ASCII.
func (c *charsmap) plain(e *editor, text []byte) {
	for i := 0; i < len(text); {
		b := text[i]
		// An ASCII character before another one is a grapheme, CR LF excepted.
		if b < utf8.RuneSelf && b != '\r' && (i+1 == len(text) || text[i+1] < utf8.RuneSelf) {
			if place := c.single[b]; place < 0 {
				e.dst = append(e.dst, b)
			} else {
				c.replace(e, 1, c.at(int(place)))
			}
			i++
			continue
		}
		n := c.u.grapheme(text[i:])
		c.cluster(e, text[i:i+n])
		i += n
	}
}

// cluster writes the replacement of a grapheme: looked up whole by its shortest prefix if it is shorter than 6 bytes,
// else character by character.
func (c *charsmap) cluster(e *editor, text []byte) {
	if len(text) < 6 {
		if place := c.search(text); place >= 0 {
			c.replace(e, utf8.RuneCount(text), c.at(place))
			return
		}
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if place := c.search(text[:n]); place >= 0 {
			c.replace(e, 1, c.at(place))
		} else {
			e.push(r, 0)
		}
		text = text[n:]
	}
}

// at returns the zero-terminated replacement at place.
func (c *charsmap) at(place int) []byte {
	end := place
	for end < len(c.blob) && c.blob[end] != 0 {
		end++
	}
	return c.blob[place:end]
}

// replace pushes new for old characters: surplus new ones are insertions, surplus old ones are removed after the last
// character pushed, even one of an earlier grapheme.
func (c *charsmap) replace(e *editor, old int, new []byte) {
	count := utf8.RuneCount(new)
	i := 0
	for _, r := range string(new) {
		change := 0
		if i >= old {
			change = 1
		}
		e.push(r, change)
		i++
	}
	if count < old {
		e.amend(count - old)
	}
}
