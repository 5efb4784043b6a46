package client

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// A table that is cut by any limits and read row by row gives the rows of the
// whole.
func TestTablePartsKeepRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(1, 40).Draw(t, "rows")
		table := &scoringv1.Table{Rows: int64(rows), Columns: drawColumns(t, rows, true)}
		if rapid.Bool().Draw(t, "ids") {
			table.Ids = rapid.SliceOfN(rapid.StringN(0, 4, 8), rows, rows).Draw(t, "names")
		}
		maxRows := int64(rapid.IntRange(1, 50).Draw(t, "max rows"))
		maxBytes := rapid.IntRange(1, 4000).Draw(t, "max bytes")
		var got [][]any
		err := tableParts(table, maxRows, maxBytes, func(first int64, part *scoringv1.Table) error {
			if first != int64(len(got)) {
				t.Fatalf("a part begins at %d after %d rows", first, len(got))
			}
			if part.GetRows() > maxRows || (part.GetRows() > 1 && proto.Size(part)+8 > maxBytes) {
				t.Fatalf("a part of %d rows and %d bytes", part.GetRows(), proto.Size(part))
			}
			if err := checkTable(part); err != nil {
				t.Fatal(err)
			}
			got = append(got, readRows(part)...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := readRows(table); !slices.EqualFunc(got, want, func(a, b []any) bool { return slices.EqualFunc(a, b, sameValue) }) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func drawColumns(t *rapid.T, rows int, nested bool) []*scoringv1.Column {
	doubles := rapid.SliceOfN(rapid.Float64Range(-1, 1), rows, rows).Draw(t, "doubles")
	ints := rapid.SliceOfN(rapid.Int64(), rows, rows).Draw(t, "ints")
	bools := rapid.SliceOfN(rapid.Bool(), rows, rows).Draw(t, "bools")
	indices := rapid.SliceOfN(rapid.Uint32Range(0, 2), rows, rows).Draw(t, "indices")
	columns := []*scoringv1.Column{
		{Name: "d", Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: doubles}},
			Validity: rapid.SliceOfN(rapid.Byte(), (rows+7)/8, (rows+7)/8).Draw(t, "validity")},
		{Name: "i", Data: &scoringv1.Column_Int64S{Int64S: &scoringv1.Int64S{Values: ints}}},
		{Name: "b", Data: &scoringv1.Column_Bools{Bools: &scoringv1.Bools{Values: bools}}},
		{Name: "s", Data: &scoringv1.Column_Strings{Strings: &scoringv1.Strings{Dictionary: []string{"x", "y", "z"}, Indices: indices}}},
	}
	if nested {
		offsets := make([]uint32, rows+1)
		for i := range rows {
			offsets[i+1] = offsets[i] + rapid.Uint32Range(0, 3).Draw(t, "events")
		}
		columns = append(columns, &scoringv1.Column{Name: "e", Data: &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{
			Offsets: offsets, Fields: drawColumns(t, int(offsets[rows]), false),
		}}})
	}
	return columns
}

// readRows gives each row as its id and values; nil for a missing one.
func readRows(table *scoringv1.Table) [][]any {
	rows := make([][]any, table.GetRows())
	for i := range rows {
		if ids := table.GetIds(); len(ids) > 0 {
			rows[i] = append(rows[i], ids[i])
		}
		rows[i] = append(rows[i], readRow(table.GetColumns(), i)...)
	}
	return rows
}

func readRow(columns []*scoringv1.Column, i int) []any {
	var values []any
	for _, c := range columns {
		if v := c.GetValidity(); len(v) > 0 && v[i/8]>>(i%8)&1 == 0 {
			values = append(values, nil)
			continue
		}
		switch d := c.GetData().(type) {
		case *scoringv1.Column_Doubles:
			values = append(values, d.Doubles.GetValues()[i])
		case *scoringv1.Column_Int64S:
			values = append(values, d.Int64S.GetValues()[i])
		case *scoringv1.Column_Bools:
			values = append(values, d.Bools.GetValues()[i])
		case *scoringv1.Column_Strings:
			values = append(values, d.Strings.GetDictionary()[d.Strings.GetIndices()[i]])
		case *scoringv1.Column_Sequences:
			var events []any
			for j := d.Sequences.GetOffsets()[i]; j < d.Sequences.GetOffsets()[i+1]; j++ {
				events = append(events, readRow(d.Sequences.GetFields(), int(j)))
			}
			values = append(values, events)
		}
	}
	return values
}

func sameValue(a, b any) bool {
	as, aok := a.([]any)
	bs, bok := b.([]any)
	if aok && bok {
		return slices.EqualFunc(as, bs, sameValue)
	}
	return !aok && !bok && a == b
}
