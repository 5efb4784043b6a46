package bundle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// wireReader walks the wire format of protobuf. Reading it by hand keeps weights
// out of memory, which no generated type can do.
type wireReader struct {
	in    *bufio.Reader
	pos   int64
	depth int // messages
}

// The wire types of protobuf.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

func (s *wireReader) byte() (byte, error) {
	b, err := s.in.ReadByte()
	if err == nil {
		s.pos++
	}
	return b, err
}

func (s *wireReader) varint() (uint64, error) {
	var v uint64
	for shift := uint(0); shift < 64; shift += 7 {
		b, err := s.byte()
		if err != nil {
			return 0, err
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, errors.New("not a protobuf message")
}

func (s *wireReader) skip(n int64) error {
	for n > 0 {
		step := min(n, 1<<30)
		k, err := s.in.Discard(int(step))
		s.pos += int64(k)
		n -= int64(k)
		if err != nil {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

func (s *wireReader) text(n int64) (string, error) {
	if n > maxName {
		return "", fmt.Errorf("a name of %d bytes", n)
	}
	b := make([]byte, n)
	k, err := io.ReadFull(s.in, b)
	s.pos += int64(k)
	return string(b), err
}

// field is one field of a message: a number or a length-delimited value of n
// bytes that the handler must read or skip entirely.
type field struct {
	start  int64 // where its key stands in the file
	number int
	wire   int
	value  uint64 // varint
	n      int64  // bytes
}

// message reads fields until end (exclusive position; -1 = end of file). The
// handler reads a bytes field and returns true, or returns false to have it
// skipped.
func (s *wireReader) message(end int64, handle func(field) (bool, error)) error {
	s.depth++
	defer func() { s.depth-- }()
	if s.depth > maxNestedLen {
		return errors.New("nested too deeply")
	}
	for end < 0 || s.pos < end {
		if end < 0 {
			if _, err := s.in.Peek(1); err == io.EOF {
				return nil
			}
		}
		start := s.pos
		key, err := s.varint()
		if err != nil {
			return err
		}
		f := field{start: start, number: int(key >> 3), wire: int(key & 7)}
		if f.number == 0 {
			return errors.New("not a protobuf message")
		}
		switch f.wire {
		case wireVarint:
			if f.value, err = s.varint(); err != nil {
				return err
			}
			if _, err = handle(f); err != nil {
				return err
			}
		case wire64:
			if err = s.skip(8); err != nil {
				return err
			}
		case wire32:
			if err = s.skip(4); err != nil {
				return err
			}
		case wireBytes:
			n, err := s.varint()
			if err != nil {
				return err
			}
			f.n = int64(n)
			if f.n < 0 || (end >= 0 && f.n > end-s.pos) {
				return errors.New("a field is longer than its message")
			}
			stop := s.pos + f.n
			done, err := handle(f)
			if err != nil {
				return err
			}
			if !done {
				if err := s.skip(f.n); err != nil {
					return err
				}
			}
			if s.pos != stop {
				return errors.New("a field does not end where it should")
			}
		default:
			return errors.New("not a protobuf message")
		}
	}
	if s.pos != end {
		return errors.New("a message does not end where it should")
	}
	return nil
}

// str reads a bytes field as a string.
func (s *wireReader) str(f field, to *string) (bool, error) {
	if f.wire != wireBytes {
		return false, errors.New("not an ONNX model")
	}
	var err error
	*to, err = s.text(f.n)
	return true, err
}

// sub reads a bytes field as a message.
func (s *wireReader) sub(f field, handle func(field) (bool, error)) (bool, error) {
	if f.wire != wireBytes {
		return false, errors.New("not an ONNX model")
	}
	return true, s.message(s.pos+f.n, handle)
}

// ints reads a repeated integer, packed or not.
func (s *wireReader) ints(f field, each func(uint64)) (bool, error) {
	if f.wire == wireVarint {
		each(f.value)
		return false, nil
	}
	end := s.pos + f.n
	for s.pos < end {
		v, err := s.varint()
		if err != nil {
			return true, err
		}
		each(v)
	}
	return true, nil
}
