package pixel

import (
	"context"
	"encoding/binary"
	"fmt"
)

// zigzag gives the place (row × 8 + column) of the coefficients in the order in
// which they are coded: along the diagonals, low frequencies first.
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// block is 8 × 8 coefficients, row by row.
type block [64]int16

// jpegDecoder is the state that lasts from scan to scan.
type jpegDecoder struct {
	f        *jpegFile
	quants   [4]*[64]int32 // as defined last, row by row
	dcs, acs [4]*huffman
	restart  int // MCUs between restart markers, 0 = none
	channels []jpegChannel
}

// jpegChannel is a channel while it is decoded.
type jpegChannel struct {
	jpegComponent
	plane        plane
	table        *[64]int32 // its quantisation, as it was at its first scan
	blocksX      int        // blocks in a row of the plane
	coefficients []block    // of progressive pictures, kept between scans
}

// decodeScans decodes all scans of the file into the planes.
func decodeScans(ctx context.Context, f *jpegFile, planes []plane) error {
	d := &jpegDecoder{f: f, channels: make([]jpegChannel, len(planes))}
	for i, c := range f.components {
		d.channels[i] = jpegChannel{jpegComponent: c, plane: planes[i], blocksX: planes[i].stride / 8}
	}
	for markers := (jpegMarkers{data: f.data, at: 2}); ; {
		marker, segment, err := markers.next()
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		switch marker {
		case markerDQT:
			err = d.readQuants(segment)
		case markerDHT:
			err = d.readHuffman(segment)
		case markerDRI:
			if len(segment) < 2 {
				return fmt.Errorf("%w: JPEG restart interval", ErrCorrupt)
			}
			d.restart = int(binary.BigEndian.Uint16(segment))
		case markerSOS:
			err = d.readScan(ctx, segment, markers.scanData())
		case markerEOI:
			return d.finish(ctx)
		}
		if err != nil {
			return err
		}
	}
}

func (d *jpegDecoder) readQuants(b []byte) error {
	for len(b) > 0 {
		number, size := int(b[0]&15), 1+int(b[0]>>4) // bytes of an entry
		b = b[1:]
		if number > 3 || size > 2 || len(b) < 64*size {
			return fmt.Errorf("%w: JPEG quantisation table", ErrCorrupt)
		}
		table := new([64]int32)
		for i, place := range zigzag {
			if size == 1 {
				table[place] = int32(b[i])
			} else {
				table[place] = int32(binary.BigEndian.Uint16(b[2*i:]))
			}
		}
		d.quants[number] = table
		b = b[64*size:]
	}
	return nil
}

func (d *jpegDecoder) readHuffman(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 {
			return fmt.Errorf("%w: short JPEG Huffman table", ErrCorrupt)
		}
		class, number := b[0]>>4, b[0]&15
		symbols := 0
		for _, n := range b[1:17] {
			symbols += int(n)
		}
		if class > 1 || number > 3 || symbols > 256 || len(b) < 17+symbols {
			return fmt.Errorf("%w: JPEG Huffman table", ErrCorrupt)
		}
		h, err := newHuffman([16]byte(b[1:17]), b[17:17+symbols])
		if err != nil {
			return err
		}
		if class == 0 {
			d.dcs[number] = h
		} else {
			d.acs[number] = h
		}
		b = b[17+symbols:]
	}
	return nil
}

// jpegScan is one pass over one or more channels.
type jpegScan struct {
	bits     bitReader
	channels []scanChannel
	// Progressive only: the band of coefficients in zigzag order and the bits
	// of them: the scan adds bit low; what lies above was there before unless
	// first is set.
	from, to int
	low      uint
	first    bool
	eobRun   int // blocks to come without further coefficients in the band
}

// scanChannel is a channel in a scan.
type scanChannel struct {
	*jpegChannel
	dc, ac *huffman
	last   int // DC of the block before
}

// readScan decodes one scan: its header and the entropy-coded data behind it.
func (d *jpegDecoder) readScan(ctx context.Context, header, data []byte) error {
	bad := func(what string) error { return fmt.Errorf("%w: JPEG scan %s", ErrCorrupt, what) }
	if len(header) < 1 || len(header) < 4+2*int(header[0]) {
		return bad("with a short header")
	}
	n := int(header[0])
	if n < 1 || n > len(d.channels) {
		return bad("of no or too many channels")
	}
	s := &jpegScan{bits: bitReader{data: data}, channels: make([]scanChannel, n), to: 63, first: true}
	parameters := header[1+2*n:]
	if d.f.progressive {
		s.from, s.to, s.low, s.first = int(parameters[0]), int(parameters[1]), uint(parameters[2]&15), parameters[2]>>4 == 0
		if s.to > 63 || s.from > s.to || s.from == 0 && s.to != 0 || s.from > 0 && n > 1 || s.low > 13 {
			return bad("of a strange band")
		}
	}
	blocks := 0
	for i := range s.channels {
		c := &s.channels[i]
		id, tables := header[1+2*i], header[2+2*i]
		for j := range d.channels {
			if d.channels[j].id == id {
				c.jpegChannel = &d.channels[j]
			}
		}
		if c.jpegChannel == nil || tables>>4 > 3 || tables&15 > 3 {
			return bad("of an unknown channel or table")
		}
		for j := range i {
			if s.channels[j].id == id {
				return bad("that names a channel twice")
			}
		}
		c.dc, c.ac = d.dcs[tables>>4], d.acs[tables&15]
		needDC, needAC := s.from == 0 && s.first, s.to > 0
		if needDC && c.dc == nil || needAC && c.ac == nil {
			return bad("without a Huffman table")
		}
		if c.table == nil {
			if d.quants[c.quant] == nil {
				return bad("without a quantisation table")
			}
			c.table = d.quants[c.quant]
		}
		if d.f.progressive && c.coefficients == nil {
			c.coefficients = make([]block, len(c.plane.pix)/64)
		}
		blocks += c.h * c.v
	}
	if n > 1 && blocks > 10 {
		return bad("of too many blocks")
	}
	return d.decodeScan(ctx, s)
}

// decodeScan decodes the blocks of a scan in their order. With several
// channels they come interleaved, MCU by MCU; a channel on its own comes row by
// row, without the blocks that only fill up MCUs.
func (d *jpegDecoder) decodeScan(ctx context.Context, s *jpegScan) error {
	mcusX, mcusY := d.f.mcus()
	alone := len(s.channels) == 1
	if alone {
		p := s.channels[0].plane
		mcusX, mcusY = ceilDiv(p.w, 8), ceilDiv(p.h, 8)
	}
	left := d.restart // MCUs until the next restart marker
	for my := range mcusY {
		if err := ctx.Err(); err != nil {
			return err
		}
		for mx := range mcusX {
			if d.restart > 0 {
				if left == 0 {
					if !s.bits.restart() {
						return fmt.Errorf("%w: JPEG restart marker missing", ErrCorrupt)
					}
					s.eobRun, left = 0, d.restart
					for i := range s.channels {
						s.channels[i].last = 0
					}
				}
				left--
			}
			ok := true
			if alone {
				ok = d.decodeBlock(s, &s.channels[0], mx, my)
			} else {
				for i := range s.channels {
					c := &s.channels[i]
					for v := range c.v {
						for h := range c.h {
							ok = d.decodeBlock(s, c, mx*c.h+h, my*c.v+v) && ok
						}
					}
				}
			}
			if !ok || s.bits.exhausted() {
				return fmt.Errorf("%w: JPEG scan data", ErrCorrupt)
			}
		}
	}
	return nil
}

// decodeBlock decodes the block in column x and row y. It reports false where
// the data make no sense.
func (d *jpegDecoder) decodeBlock(s *jpegScan, c *scanChannel, x, y int) bool {
	if !d.f.progressive {
		var b block
		last, ok := s.sequential(c, &b)
		idct(c.plane.pix[8*(y*c.plane.stride+x):], c.plane.stride, &b, c.table, last)
		return ok
	}
	b := &c.coefficients[y*c.blocksX+x]
	switch {
	case s.from == 0 && s.first:
		return s.firstDC(c, b)
	case s.from == 0:
		s.bits.need()
		if s.bits.take(1) != 0 {
			b[0] |= 1 << s.low
		}
		return true
	case s.first:
		return s.firstAC(c, b)
	default:
		return s.refineAC(c, b)
	}
}

// finish transforms the coefficients of a progressive picture.
func (d *jpegDecoder) finish(ctx context.Context) error {
	for i := range d.channels {
		c := &d.channels[i]
		if c.table == nil {
			return fmt.Errorf("%w: JPEG without a scan of channel %d", ErrCorrupt, c.id)
		}
		for j := range c.coefficients {
			x, y := j%c.blocksX, j/c.blocksX
			if x == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			idct(c.plane.pix[8*(y*c.plane.stride+x):], c.plane.stride, &c.coefficients[j], c.table, 63)
		}
	}
	return nil
}

// sequential decodes a whole block (T.81 F.2.2) and returns the position of its
// last coefficient in zigzag order.
func (s *jpegScan) sequential(c *scanChannel, b *block) (last int, ok bool) {
	s.bits.need()
	size := s.bits.symbol(c.dc)
	if size > 15 {
		return 0, false
	}
	c.last += s.bits.number(uint(size))
	b[0] = int16(c.last)
	for k := 1; k < 64; k++ {
		s.bits.need()
		symbol := s.bits.symbol(c.ac)
		run, size := int(symbol>>4), uint(symbol&15)
		if size == 0 {
			if run < 15 { // end of block
				break
			}
			k += 15
			continue
		}
		k += run
		if k > 63 {
			return last, false
		}
		b[zigzag[k]] = int16(s.bits.number(size))
		last = k
	}
	return last, true
}

// firstDC decodes the upper bits of a block's mean (T.81 G.1.2.1).
func (s *jpegScan) firstDC(c *scanChannel, b *block) bool {
	s.bits.need()
	size := s.bits.symbol(c.dc)
	if size > 15 {
		return false
	}
	c.last += s.bits.number(uint(size))
	b[0] = int16(c.last << s.low)
	return true
}

// firstAC decodes the upper bits of a band of coefficients (T.81 G.1.2.2).
func (s *jpegScan) firstAC(c *scanChannel, b *block) bool {
	if s.eobRun > 0 {
		s.eobRun--
		return true
	}
	for k := s.from; k <= s.to; k++ {
		s.bits.need()
		symbol := s.bits.symbol(c.ac)
		run, size := int(symbol>>4), uint(symbol&15)
		if size == 0 {
			if run < 15 { // end of this and of further blocks
				s.eobRun = 1<<run + s.bits.take(uint(run)) - 1
				break
			}
			k += 15
			continue
		}
		k += run
		if k > 63 {
			return false
		}
		b[zigzag[k]] = int16(s.bits.number(size) << s.low)
	}
	return true
}

// refineAC adds one bit to a band of coefficients (T.81 G.1.2.3).
func (s *jpegScan) refineAC(c *scanChannel, b *block) bool {
	bit := int16(1) << s.low
	k := s.from
	if s.eobRun == 0 {
		for ; k <= s.to; k++ {
			s.bits.need()
			symbol := s.bits.symbol(c.ac)
			run, size := int(symbol>>4), symbol&15
			value := int16(0)
			if size != 0 { // a coefficient that becomes non-zero: its sign
				if value = bit; s.bits.take(1) == 0 {
					value = -bit
				}
			} else if run < 15 {
				s.eobRun = 1<<run + s.bits.take(uint(run))
				break
			}
			// The run counts zero coefficients; those passed on the way that
			// are not zero have a bit each.
			for ; k <= s.to; k++ {
				if p := &b[zigzag[k]]; *p != 0 {
					s.refine(p, bit)
				} else if run--; run < 0 {
					break
				}
			}
			if value != 0 {
				if k > 63 {
					return false
				}
				b[zigzag[k]] = value
			}
		}
	}
	if s.eobRun > 0 {
		for ; k <= s.to; k++ {
			if p := &b[zigzag[k]]; *p != 0 {
				s.refine(p, bit)
			}
		}
		s.eobRun--
	}
	return true
}

// refine reads one more bit of a coefficient that is not zero.
func (s *jpegScan) refine(p *int16, bit int16) {
	s.bits.need()
	if s.bits.take(1) != 0 && *p&bit == 0 {
		if *p >= 0 {
			*p += bit
		} else {
			*p -= bit
		}
	}
}
