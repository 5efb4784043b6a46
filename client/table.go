package client

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// tableParts hands a table to send in ranges of rows of at most maxRows rows and
// maxBytes bytes each, with the place of the first row. A table that is within
// both is handed over as it is.
func tableParts(t *scoringv1.Table, maxRows int64, maxBytes int, send func(first int64, part *scoringv1.Table) error) error {
	if t.GetRows() <= maxRows && proto.Size(t)+8 <= maxBytes {
		return send(0, t)
	}
	if err := checkTable(t); err != nil {
		return err
	}
	step := min(maxRows, max(1, t.GetRows()*int64(maxBytes)/int64(proto.Size(t)+8)))
	for from := int64(0); from < t.GetRows(); from += step {
		if err := tableRange(t, from, min(from+step, t.GetRows()), maxBytes, send); err != nil {
			return err
		}
	}
	return nil
}

// tableRange sends the rows [from, to), halved until they fit.
func tableRange(t *scoringv1.Table, from, to int64, maxBytes int, send func(int64, *scoringv1.Table) error) error {
	part := sliceTable(t, from, to)
	if to-from == 1 || proto.Size(part)+8 <= maxBytes {
		return send(from, part)
	}
	middle := from + (to-from)/2
	if err := tableRange(t, from, middle, maxBytes, send); err != nil {
		return err
	}
	return tableRange(t, middle, to, maxBytes, send)
}

// checkTable makes sure that a table can be cut: columns of equal length.
func checkTable(t *scoringv1.Table) error {
	if n := len(t.GetIds()); n != 0 && int64(n) != t.GetRows() {
		return fmt.Errorf("client: table has %d rows and %d ids", t.GetRows(), n)
	}
	return checkColumns(t.GetColumns(), t.GetRows(), "column")
}

func checkColumns(columns []*scoringv1.Column, rows int64, what string) error {
	for _, c := range columns {
		var n int
		switch d := c.GetData().(type) {
		case *scoringv1.Column_Doubles:
			n = len(d.Doubles.GetValues())
		case *scoringv1.Column_Int64S:
			n = len(d.Int64S.GetValues())
		case *scoringv1.Column_Bools:
			n = len(d.Bools.GetValues())
		case *scoringv1.Column_Strings:
			n = len(d.Strings.GetIndices())
			for _, i := range d.Strings.GetIndices() {
				if int(i) >= len(d.Strings.GetDictionary()) {
					return fmt.Errorf("client: %s %q: index %d is outside its dictionary", what, c.GetName(), i)
				}
			}
		case *scoringv1.Column_Sequences:
			offsets := d.Sequences.GetOffsets()
			n = len(offsets) - 1
			for i := 1; i < len(offsets); i++ {
				if offsets[i] < offsets[i-1] {
					return fmt.Errorf("client: %s %q: offsets descend at row %d", what, c.GetName(), i-1)
				}
			}
			if n >= 0 {
				if err := checkColumns(d.Sequences.GetFields(), int64(offsets[n]), "field"); err != nil {
					return err
				}
			}
		}
		if int64(n) != rows {
			return fmt.Errorf("client: %s %q has %d values for %d rows", what, c.GetName(), n, rows)
		}
		if v := c.GetValidity(); len(v) > 0 && int64(len(v)) < (rows+7)/8 {
			return fmt.Errorf("client: %s %q: validity is too short", what, c.GetName())
		}
	}
	return nil
}

func sliceTable(t *scoringv1.Table, from, to int64) *scoringv1.Table {
	part := &scoringv1.Table{Rows: to - from, Columns: sliceColumns(t.GetColumns(), from, to)}
	if len(t.GetIds()) > 0 {
		part.Ids = t.GetIds()[from:to]
	}
	return part
}

func sliceColumns(columns []*scoringv1.Column, from, to int64) []*scoringv1.Column {
	parts := make([]*scoringv1.Column, len(columns))
	for i, c := range columns {
		part := &scoringv1.Column{Name: c.GetName(), Validity: sliceBits(c.GetValidity(), from, to)}
		switch d := c.GetData().(type) {
		case *scoringv1.Column_Doubles:
			part.Data = &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: d.Doubles.GetValues()[from:to]}}
		case *scoringv1.Column_Int64S:
			part.Data = &scoringv1.Column_Int64S{Int64S: &scoringv1.Int64S{Values: d.Int64S.GetValues()[from:to]}}
		case *scoringv1.Column_Bools:
			part.Data = &scoringv1.Column_Bools{Bools: &scoringv1.Bools{Values: d.Bools.GetValues()[from:to]}}
		case *scoringv1.Column_Strings:
			part.Data = &scoringv1.Column_Strings{Strings: sliceStrings(d.Strings, from, to)}
		case *scoringv1.Column_Sequences:
			offsets := d.Sequences.GetOffsets()[from : to+1]
			first, last := offsets[0], offsets[len(offsets)-1]
			moved := make([]uint32, len(offsets))
			for j, o := range offsets {
				moved[j] = o - first
			}
			part.Data = &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{
				Offsets: moved,
				Fields:  sliceColumns(d.Sequences.GetFields(), int64(first), int64(last)),
			}}
		}
		parts[i] = part
	}
	return parts
}

// sliceStrings keeps of the dictionary what the rows use.
func sliceStrings(s *scoringv1.Strings, from, to int64) *scoringv1.Strings {
	part := &scoringv1.Strings{Indices: make([]uint32, 0, to-from)}
	place := make(map[uint32]uint32)
	for _, i := range s.GetIndices()[from:to] {
		at, known := place[i]
		if !known {
			at = uint32(len(part.Dictionary))
			place[i] = at
			part.Dictionary = append(part.Dictionary, s.GetDictionary()[i])
		}
		part.Indices = append(part.Indices, at)
	}
	return part
}

func sliceBits(bits []byte, from, to int64) []byte {
	if len(bits) == 0 {
		return nil
	}
	part := make([]byte, (to-from+7)/8)
	for i := from; i < to; i++ {
		if bits[i/8]>>(i%8)&1 == 1 {
			part[(i-from)/8] |= 1 << ((i - from) % 8)
		}
	}
	return part
}
