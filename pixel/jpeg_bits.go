package pixel

import (
	"encoding/binary"
	"fmt"
)

// bitReader reads the entropy-coded data of a scan bit by bit, with stuffed
// zeros removed.
type bitReader struct {
	data   []byte
	at     int
	acc    uint64 // the bits that come next, at the top
	n      int    // how many there are
	padded int    // how many of them, the last, are not from the data
}

// need makes sure that 32 bits are there: a Huffman code and the number that
// follows it. Where the data end, at a marker, zeros follow.
func (r *bitReader) need() {
	if r.n < 32 {
		r.fill()
	}
}

func (r *bitReader) fill() {
	if r.padded == 0 && len(r.data)-r.at >= 8 {
		// Eight bytes without 0xff can be taken as they are. What does not fit
		// is or-ed in all the same; it will be once more, with the same bits.
		v := binary.BigEndian.Uint64(r.data[r.at:])
		if (^v-0x0101010101010101)&v&0x8080808080808080 == 0 {
			r.acc |= v >> r.n
			taken := (64 - r.n) / 8
			r.at += taken
			r.n += 8 * taken
			return
		}
	}
	for r.n <= 56 {
		b := r.nextByte()
		r.acc |= uint64(b) << (56 - r.n)
		r.n += 8
	}
}

// nextByte returns the next byte, or zero at a marker and at the end.
func (r *bitReader) nextByte() byte {
	if r.at < len(r.data) {
		b := r.data[r.at]
		if b != 0xff {
			r.at++
			return b
		}
		next := r.at + 1
		for next < len(r.data) && r.data[next] == 0xff { // fill bytes
			next++
		}
		if next < len(r.data) && r.data[next] == 0 {
			r.at = next + 1
			return b
		}
	}
	r.padded += 8
	return 0
}

// exhausted reports whether more bits were taken than there were.
func (r *bitReader) exhausted() bool { return r.n < r.padded }

// restart drops the bits up to the next marker and reports whether it is a
// restart marker.
func (r *bitReader) restart() bool {
	for ; r.at+1 < len(r.data); r.at++ {
		if b := r.data[r.at+1]; r.data[r.at] == 0xff && b >= 0xd0 && b <= 0xd7 {
			*r = bitReader{data: r.data, at: r.at + 2}
			return true
		}
	}
	return false
}

// take returns the next n bits, at most 16.
func (r *bitReader) take(n uint) int {
	v := int(r.acc >> (64 - n)) // a shift by 64 gives 0
	r.acc <<= n
	r.n -= int(n)
	return v
}

// number returns a signed number of n bits: those with a zero in front are the
// negative ones.
func (r *bitReader) number(n uint) int {
	v := r.take(n)
	if n > 0 && v < 1<<(n-1) {
		v -= 1<<n - 1
	}
	return v
}

// huffman decodes canonical Huffman codes of up to 16 bits.
type huffman struct {
	// Codes of up to lookupBits: symbol and length, by the bits that come
	// next; length 0 for longer codes.
	lookup [1 << lookupBits]struct{ symbol, length uint8 }
	// Longer codes: the first code beyond those of a length (of 16 bits, filled
	// up with zeros), and what to add to a code to get its symbol's index.
	limit   [17]uint32
	offset  [17]int32
	symbols []byte
}

const lookupBits = 9

// newHuffman builds a table from the numbers of codes of each length, and the
// symbols in the order of their codes.
func newHuffman(counts [16]byte, symbols []byte) (*huffman, error) {
	h := &huffman{symbols: symbols}
	code, index := uint32(0), 0
	for length := 1; length <= 16; length++ {
		n := int(counts[length-1])
		if code+uint32(n) > 1<<length {
			return nil, fmt.Errorf("%w: JPEG Huffman table with too many codes", ErrCorrupt)
		}
		h.offset[length] = int32(index) - int32(code)
		for range n {
			if length <= lookupBits {
				first := code << (lookupBits - length)
				for i := range uint32(1) << (lookupBits - length) {
					e := &h.lookup[first+i]
					e.symbol, e.length = symbols[index], uint8(length)
				}
			}
			code++
			index++
		}
		h.limit[length] = code << (16 - length)
		code <<= 1
	}
	return h, nil
}

// symbol decodes the next symbol. A code that stands for nothing ends the data
// (exhausted becomes true).
func (r *bitReader) symbol(h *huffman) uint8 {
	if e := h.lookup[r.acc>>(64-lookupBits)]; e.length > 0 {
		r.acc <<= e.length
		r.n -= int(e.length)
		return e.symbol
	}
	next := uint32(r.acc >> 48)
	for length := lookupBits + 1; length <= 16; length++ {
		if next < h.limit[length] {
			code := int32(next >> (16 - length))
			r.acc <<= length
			r.n -= length
			return h.symbols[code+h.offset[length]]
		}
	}
	r.padded = 1 << 30
	return 0
}
