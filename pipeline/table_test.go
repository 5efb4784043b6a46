package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/tensor"
)

func tableOf(t testing.TB, text string) *scoringv1.Table {
	t.Helper()
	table := &scoringv1.Table{}
	if err := protojson.Unmarshal([]byte(text), table); err != nil {
		t.Fatal(err)
	}
	return table
}

// column prints one column in protobuf JSON.
func column(name, data string) string { return fmt.Sprintf(`{"name": %q, %s}`, name, data) }

// twoRows is a good table of two rows with columns put in place of its own, or
// added.
func twoRows(replaced ...string) string {
	columns := map[string]string{
		"age":    column("age", `"doubles": {"values": [40, 41]}`),
		"tenure": column("tenure", `"int64s": {"values": [1, 2]}`),
		"plan":   column("plan", `"strings": {"dictionary": ["gold", "basic"], "indices": [1, 0]}`),
		"visits": column("visits", `"int64s": {"values": [5, 6]}`),
	}
	order := []string{"age", "tenure", "plan", "visits"}
	for i := 0; i < len(replaced); i += 2 {
		if _, ok := columns[replaced[i]]; !ok {
			order = append(order, replaced[i])
		}
		columns[replaced[i]] = replaced[i+1]
	}
	var list []string
	for _, name := range order {
		if columns[name] != "" {
			list = append(list, columns[name])
		}
	}
	return `{"rows": 2, "columns": [` + strings.Join(list, ", ") + `]}`
}

// score runs a table through the pipeline in one wave.
func layOut(p *pipeline.Pipeline, table *scoringv1.Table) (pipeline.Item, *pipeline.TableReport, error) {
	t, err := p.Table(table)
	if err != nil {
		return pipeline.Item{}, nil, err
	}
	return t.Item(pipeline.Wave{To: t.Rows()})
}

// TestTable changes one column of a good table at a time.
func TestTable(t *testing.T) {
	p := open(t)
	for _, c := range []struct {
		name, table string
		input, want string
		warns       string // code field count
		rows        string // rows that fail: row reason field
		fails       string // the table fails
	}{
		{name: "good", table: twoRows(), input: "age", want: "[40 41]"},
		{name: "dictionary", table: twoRows(), input: "plan", want: "[basic gold]"},
		{name: "NaN and infinity", table: twoRows("age", column("age", `"doubles": {"values": ["NaN", "Infinity"]}`)), input: "age", want: "[NaN +Inf]",
			warns: "FEATURE_IMPUTED table.columns[0] 1, OUT_OF_RANGE table.columns[0] 1"},
		{name: "NaN of a whole number", table: twoRows("tenure", column("tenure", `"doubles": {"values": [7, "NaN"]}`)), input: "tenure", want: "[7 0]",
			rows: "1 FEATURE_MISSING table.columns[1]"},
		{name: "infinity of a whole number", table: twoRows("tenure", column("tenure", `"doubles": {"values": [7, "Infinity"]}`)), input: "tenure", want: "[7 0]",
			rows: "1 FEATURE_TYPE table.columns[1]"},
		{name: "NaN with a default", table: twoRows("small", column("small", `"doubles": {"values": [7, "NaN"]}`)), input: "small", want: "[7 3]",
			warns: "FEATURE_IMPUTED table.columns[4] 1"},
		{name: "gap", table: twoRows("age", column("age", `"doubles": {"values": [1, 41]}, "validity": "Ag=="`)), input: "age", want: "[NaN 41]",
			warns: "FEATURE_IMPUTED table.columns[0] 1"},
		{name: "gap without default", table: twoRows("tenure", column("tenure", `"int64s": {"values": [1, 2]}, "validity": "AQ=="`)), input: "tenure", want: "[1 0]",
			rows: "1 FEATURE_MISSING table.columns[1]"},
		{name: "all gaps", table: twoRows("tenure", column("tenure", `"int64s": {"values": [1, 2]}, "validity": "AA=="`)), input: "tenure", want: "[0 0]",
			rows: "0 FEATURE_MISSING table.columns[1], 1 FEATURE_MISSING table.columns[1]"},
		{name: "absent float", table: twoRows("age", ""), input: "age", want: "[NaN NaN]", warns: `FEATURE_IMPUTED table.columns["age"] 2`},
		{name: "absent int", table: twoRows("tenure", ""), fails: `FEATURE_MISSING table.columns["tenure"]`},
		{name: "alias", table: twoRows("age", column("Age in years", `"int64s": {"values": [50, 51]}`)), input: "age", want: "[50 51]"},
		{name: "twice", table: twoRows("more", column("Age in years", `"int64s": {"values": [50, 51]}`)), fails: "FEATURE_TWICE table.columns[4].name"},
		{name: "unknown", table: twoRows("tenur", column("tenur", `"bools": {"values": [true, true]}`)), input: "age", want: "[40 41]",
			warns: "UNKNOWN_FEATURE table.columns[4] 2"},
		{name: "unknown of another length", table: twoRows("x", column("x", `"bools": {"values": [true]}`)), fails: "TABLE_INVALID table.columns[4].bools"},
		{name: "too short", table: twoRows("age", column("age", `"doubles": {"values": [40]}`)), fails: "TABLE_INVALID table.columns[0].doubles"},
		{name: "too long", table: twoRows("age", column("age", `"doubles": {"values": [40, 41, 42]}`)), fails: "TABLE_INVALID table.columns[0].doubles"},
		{name: "bitmap too long", table: twoRows("age", column("age", `"doubles": {"values": [40, 41]}, "validity": "AwA="`)), fails: "TABLE_INVALID table.columns[0].validity"},
		{name: "no data", table: twoRows("age", `{"name": "age"}`), fails: "TABLE_INVALID table.columns[0]"},
		{name: "ids", table: strings.Replace(twoRows(), `"rows"`, `"ids": ["a"], "rows"`, 1), fails: "TABLE_INVALID table.ids"},
		{name: "other type", table: twoRows("age", column("age", `"bools": {"values": [true, true]}`)), fails: "FEATURE_TYPE table.columns[0]"},
		{name: "bool wants bools", table: twoRows("vip", column("vip", `"int64s": {"values": [1, 0]}`)), fails: "FEATURE_TYPE table.columns[4]"},
		{name: "bools", table: twoRows("vip", column("vip", `"bools": {"values": [false, true]}`)), input: "vip", want: "[0 1]"},
		{name: "whole doubles", table: twoRows("tenure", column("tenure", `"doubles": {"values": [12.0, -3]}`)), input: "tenure", want: "[12 -3]"},
		{name: "bad doubles", table: twoRows("tenure", column("tenure", `"doubles": {"values": [12.5, "NaN"]}`)), input: "tenure", want: "[0 0]",
			rows: "0 FEATURE_TYPE table.columns[1], 1 FEATURE_MISSING table.columns[1]"},
		{name: "beyond 2^53", table: twoRows("tenure", column("tenure", `"int64s": {"values": ["9007199254740993", "-9223372036854775808"]}`)),
			input: "tenure", want: "[9007199254740993 -9223372036854775808]"},
		{name: "beyond 2^53 as doubles", table: twoRows("tenure", column("tenure", `"doubles": {"values": [1e17, 1]}`)), input: "tenure", want: "[0 1]",
			rows: "0 FEATURE_RANGE table.columns[1]"},
		{name: "beyond int32", table: twoRows("small", column("small", `"int64s": {"values": ["2147483648", "7"]}`)), input: "small", want: "[0 7]",
			rows: "0 FEATURE_RANGE table.columns[4]"},
		{name: "beyond float32", table: twoRows("age", column("age", `"doubles": {"values": [40, 1e300]}`)), input: "tenure", want: "[1 2]",
			rows: "1 FEATURE_RANGE table.columns[0]"},
		{name: "unseen category", table: twoRows("plan", column("plan", `"strings": {"dictionary": ["gold", "iron"], "indices": [1, 0]}`)), input: "plan", want: "[iron gold]",
			warns: "UNSEEN_CATEGORY table.columns[2] 1"},
		{name: "refused category", table: twoRows("region", column("region", `"strings": {"dictionary": ["east"], "indices": [0, 0]}, "validity": "Ag=="`)),
			input: "tenure", want: "[1 2]", warns: "FEATURE_IMPUTED table.columns[4] 1", rows: "1 CATEGORY_UNKNOWN table.columns[4]"},
		{name: "beyond the dictionary", table: twoRows("plan", column("plan", `"strings": {"dictionary": ["gold"], "indices": [0, 1]}`)), fails: "TABLE_INVALID table.columns[2].strings.indices[1]"},
		{name: "beyond the dictionary in a gap", table: twoRows("plan", column("plan", `"strings": {"dictionary": ["gold"], "indices": [4294967295, 0]}, "validity": "Ag=="`)),
			input: "plan", want: "[basic gold]", warns: "FEATURE_IMPUTED table.columns[2] 1"},
		{name: "times", table: twoRows("since", column("since", `"strings": {"dictionary": ["2026-01-31T12:00:00+03:00", "x"], "indices": [0, 1]}`)), input: "since", want: "[1769850000000000 0]",
			rows: "1 FEATURE_TYPE table.columns[4]"},
		{name: "times in microseconds", table: twoRows("since", column("since", `"int64s": {"values": ["1", "2"]}`)), input: "since", want: "[1 2]"},
		{name: "events", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 1, 3], "fields": [
			{"name": "sum", "doubles": {"values": [7, 8, 9]}}, {"name": "item", "strings": {"dictionary": ["tea"], "indices": [0, 0, 0]}}]}`)),
			input: "amount", want: "[7 -1 8 9]"},
		{name: "number of events", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 1, 3], "fields": [
			{"name": "sum", "doubles": {"values": [7, 8, 9]}}, {"name": "item", "strings": {"dictionary": ["tea"], "indices": [0, 0, 0]}}]}`)),
			input: "orders_n", want: "[1 2]"},
		{name: "events of a gap", table: twoRows("orders", column("orders", `"validity": "Ag==", "sequences": {"offsets": [0, 1, 3], "fields": [
			{"name": "sum", "doubles": {"values": [7, 8, 9]}}, {"name": "item", "strings": {"dictionary": ["tea"], "indices": [0, 0, 0]}}]}`)),
			input: "amount", want: "[-1 -1 8 9]"},
		{name: "the last events", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 0, 5], "fields": [
			{"name": "sum", "doubles": {"values": [1, 2, 3, 4, 5]}, "validity": "Dw=="}, {"name": "item", "strings": {"dictionary": ["tea"], "indices": [0, 0, 0, 0, 0]}}]}`)),
			input: "amount", want: "[-1 -1 -1 3 4 -1]", warns: "TRUNCATED table.columns[4] 1, FEATURE_IMPUTED table.columns[4].sequences.fields[0] 1"},
		{name: "a bad event fails its row", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 1, 2], "fields": [
			{"name": "sum", "doubles": {"values": [1, 2]}}, {"name": "item", "strings": {"dictionary": ["tea"], "indices": [0, 0]}, "validity": "AQ=="}]}`)),
			input: "amount", want: "[1 2]", rows: "1 FEATURE_MISSING table.columns[4].sequences.fields[1]"},
		{name: "no events at all", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 0, 0]}`)), input: "orders_n", want: "[0 0]"},
		{name: "absent field", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 1, 2], "fields": [{"name": "sum", "doubles": {"values": [1, 2]}}]}`)),
			fails: `FEATURE_MISSING table.columns[4].sequences.fields["item"]`},
		{name: "fields too short", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 1, 2], "fields": [{"name": "sum", "doubles": {"values": [1]}}]}`)),
			fails: "TABLE_INVALID table.columns[4].sequences.fields[0].doubles"},
		{name: "claimed events", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 0, 4294967295]}`)), fails: "TABLE_INVALID table.columns[4].sequences.fields"},
		{name: "claimed events with a field", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 0, 4294967295], "fields": [{"name": "x", "bools": {"values": [true]}}]}`)),
			fails: "TABLE_INVALID table.columns[4].sequences.fields[0].bools"},
		{name: "offsets descend", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 2, 1]}`)), fails: "TABLE_INVALID table.columns[4].sequences.offsets[2]"},
		{name: "offsets start late", table: twoRows("orders", column("orders", `"sequences": {"offsets": [1, 1, 1]}`)), fails: "TABLE_INVALID table.columns[4].sequences.offsets[0]"},
		{name: "offsets too few", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 0]}`)), fails: "TABLE_INVALID table.columns[4].sequences"},
		{name: "no offsets", table: twoRows("orders", column("orders", `"sequences": {}`)), fails: "TABLE_INVALID table.columns[4].sequences"},
		{name: "nested sequences", table: twoRows("orders", column("orders", `"sequences": {"offsets": [0, 1, 2], "fields": [{"name": "sum", "sequences": {"offsets": [0, 0, 0]}}]}`)),
			fails: "FEATURE_TYPE table.columns[4].sequences.fields[0]"},
		{name: "sequence wants sequences", table: twoRows("orders", column("orders", `"bools": {"values": [true, true]}`)), fails: "FEATURE_TYPE table.columns[4]"},
		{name: "no rows", table: `{"rows": 0, "columns": [{"name": "age", "doubles": {}}]}`, fails: "TABLE_INVALID table.rows"},
		{name: "negative rows", table: `{"rows": -1, "columns": [{"name": "orders", "sequences": {}}]}`, fails: "TABLE_INVALID table.rows"},
		{name: "no columns", table: `{"rows": 1000000}`, fails: "TABLE_INVALID table.columns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			item, report, err := layOut(p, tableOf(t, c.table))
			if c.fails != "" {
				if reasonOf(err) != c.fails || !errors.Is(err, pipeline.ErrInput) {
					t.Fatalf("error %v (%s), want %s", err, reasonOf(err), c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := show(p, item, c.input); got != c.want {
				t.Errorf("%s is %s, want %s", c.input, got, c.want)
			}
			var rows, warns []string
			for row := range 2 {
				if err := report.Errors[row]; err != nil {
					rows = append(rows, fmt.Sprintf("%d %s", row, reasonOf(err)))
				}
			}
			for _, w := range report.Warnings() {
				if imputed := strings.HasPrefix(w.GetWarning().GetField(), `table.columns["`) && !strings.Contains(c.warns, `["`); imputed || w.GetWarning().GetField() == "table" {
					continue // columns that twoRows leaves out, events among them
				}
				warns = append(warns, fmt.Sprintf("%s %s %d", strings.TrimPrefix(w.GetWarning().GetCode().String(), "WARNING_CODE_"), w.GetWarning().GetField(), w.GetCount()))
			}
			if got := strings.Join(rows, ", "); got != c.rows {
				t.Errorf("failed rows %q, want %q", got, c.rows)
			}
			if got := strings.Join(warns, ", "); !strings.Contains(got, c.warns) || c.warns == "" && got != "" {
				t.Errorf("warnings %q, want %q", got, c.warns)
			}
		})
	}
}

// TestTableClaims wants a table that claims much and holds little refused
// before memory is taken for the claim.
func TestTableClaims(t *testing.T) {
	p := open(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, text := range []string{
		`{"rows": 1000000, "columns": [{"name": "nobody", "bools": {"values": [true]}}]}`,
		`{"rows": 1000000, "columns": [{"name": "age", "doubles": {"values": [1]}}]}`,
		`{"rows": "9223372036854775807", "columns": [{"name": "orders", "sequences": {"offsets": [0]}}]}`,
		`{"rows": 1, "columns": [{"name": "orders", "sequences": {"offsets": [0, 4294967295]}}]}`,
	} {
		if _, err := p.Table(tableOf(t, text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}

// TestTableWaves wants rows of very different length cut so that no wave's
// inputs take more than their bound.
func TestTableWaves(t *testing.T) {
	p := open(t)
	const rows = 5000
	table := &scoringv1.Table{Rows: rows}
	ints := make([]int64, rows)
	offsets := make([]uint32, rows+1)
	var amounts []float64
	for i := range rows {
		ints[i] = int64(i)
		if i%1000 == 500 {
			amounts = append(amounts, 1, 2, 3, 4)
		}
		offsets[i+1] = uint32(len(amounts))
	}
	numbers := func(name string) *scoringv1.Column {
		return &scoringv1.Column{Name: name, Data: &scoringv1.Column_Int64S{Int64S: &scoringv1.Int64S{Values: ints}}}
	}
	table.Columns = []*scoringv1.Column{numbers("tenure"), numbers("visits"), {Name: "orders", Data: &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{
		Offsets: offsets, Fields: []*scoringv1.Column{
			{Name: "amount", Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: amounts}}},
			{Name: "item", Data: &scoringv1.Column_Strings{Strings: &scoringv1.Strings{Dictionary: []string{"tea"}, Indices: make([]uint32, len(amounts))}}},
		}}}}}
	checked, err := p.Table(table)
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	var all *pipeline.TableReport
	for _, w := range checked.Waves() {
		if w.From != next || w.To <= w.From {
			t.Fatalf("wave %+v after row %d", w, next)
		}
		next = w.To
		item, report, err := checked.Item(w)
		if err != nil || item.Rows != w.To-w.From || len(report.Errors) > 0 {
			t.Fatal(err, report.Errors)
		}
		if tenure := tensor.View[int64](item.Inputs[1]); tenure[0] != int64(w.From) || tenure[item.Rows-1] != int64(w.To-1) {
			t.Errorf("wave %+v holds rows %d to %d", w, tenure[0], tenure[item.Rows-1])
		}
		if all == nil {
			all = report
		} else {
			all.Merge(report)
		}
		bytes := 0
		for _, in := range item.Inputs {
			bytes += len(in.Data) + 16*len(in.Strings)
		}
		if bytes > pipeline.WaveBytes {
			t.Errorf("wave %+v takes %d bytes", w, bytes)
		}
	}
	if next != rows {
		t.Errorf("waves end at %d", next)
	}
	for _, w := range all.Warnings() {
		want := int64(rows)
		if w.GetWarning().GetField() == "table.columns[2]" {
			want = 5
		}
		if w.GetWarning().GetField() == "table" { // no history
			want = rows - 5
		}
		if w.GetCount() != want || len(w.GetRows()) != int(min(want, 100)) {
			t.Errorf("%v holds for %d rows, %d named; want %d", w.GetWarning(), w.GetCount(), len(w.GetRows()), want)
		}
		if want == 5 && fmt.Sprint(w.GetRows()) != "[500 1500 2500 3500 4500]" {
			t.Errorf("rows %v", w.GetRows())
		}
	}
}

// TestLongSequences wants rows beside one of many events to be cut away from it,
// as instances and in a table.
func TestLongSequences(t *testing.T) {
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float64, -1, -1)}, []bundle.Value{value("y", tensor.Float32, -1)})
	const manifest = `row: {features: [{name: s, type: FEATURE_TYPE_SEQUENCE, max_events: 100000, fields: [{name: x, type: FEATURE_TYPE_FLOAT}]}]}`
	p, err := pipelinetest.Open(pipelinetest.Files(graph, manifest, nil), pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	const rows, long = 1000, 100_000
	offsets := make([]uint32, rows+1)
	instances := make([]*structpb.Struct, rows)
	for i := range rows {
		offsets[i+1] = offsets[i] + 1
		events := 1
		if i == 500 {
			offsets[i+1] = offsets[i] + long
			events = long
		}
		list := &structpb.ListValue{Values: make([]*structpb.Value, events)}
		instances[i] = &structpb.Struct{Fields: map[string]*structpb.Value{"s": structpb.NewListValue(list)}}
	}
	table := &scoringv1.Table{Rows: rows, Columns: []*scoringv1.Column{{Name: "s", Data: &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{
		Offsets: offsets, Fields: []*scoringv1.Column{{Name: "x", Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: make([]float64, rows-1+long)}},
			Validity: make([]byte, (rows-1+long+7)/8)}},
	}}}}}
	checked, err := p.Table(table)
	if err != nil {
		t.Fatal(err)
	}
	for name, waves := range map[string][]pipeline.Wave{"instances": p.RowWaves(instances), "table": checked.Waves()} {
		next := 0
		for _, w := range waves {
			widest := 1
			if w.From <= 500 && 500 < w.To {
				widest = long
			}
			if bytes := (w.To - w.From) * widest * 8; w.From != next || bytes > pipeline.WaveBytes {
				t.Errorf("%s: wave %+v after row %d takes %d bytes", name, w, next, bytes)
			}
			next = w.To
		}
		if next != rows || len(waves) > 60 {
			t.Errorf("%s: %d waves end at %d", name, len(waves), next)
		}
	}
	// Every event lacks its field: a row counts once.
	for _, w := range checked.Waves() {
		_, report, err := checked.Item(w)
		if err != nil {
			t.Fatal(err)
		}
		if got := report.Warnings(); len(got) != 1 || got[0].GetCount() != int64(w.To-w.From) {
			t.Errorf("wave %+v: %v", w, got)
		}
	}
}

// TestTableIsInstances wants the same rows to give the same inputs and fail
// alike, as instances and as a table.
func TestTableIsInstances(t *testing.T) {
	p := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(rt, "rows")
		rows := make([]*structpb.Struct, n)
		for i := range rows {
			rows[i] = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		}
		table := &scoringv1.Table{Rows: int64(n)}
		add := func(name string, make func(c *scoringv1.Column, i int) *structpb.Value) {
			c := &scoringv1.Column{Name: name, Validity: bytes.Repeat([]byte{0}, (n+7)/8)}
			for i := range rows {
				v := make(c, i)
				if rapid.IntRange(0, 5).Draw(rt, "gap") == 0 {
					if rapid.Bool().Draw(rt, "null") {
						rows[i].Fields[name] = structpb.NewNullValue()
					}
					continue
				}
				rows[i].Fields[name] = v
				c.Validity[i>>3] |= 1 << (i & 7)
			}
			table.Columns = append(table.Columns, c)
		}
		doubles := func(c *scoringv1.Column, x float64) *structpb.Value {
			if c.Data == nil {
				c.Data = &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{}}
			}
			c.GetDoubles().Values = append(c.GetDoubles().Values, x)
			return structpb.NewNumberValue(x)
		}
		stringsOf := func(c *scoringv1.Column, s string) *structpb.Value {
			if c.Data == nil {
				c.Data = &scoringv1.Column_Strings{Strings: &scoringv1.Strings{}}
			}
			d := c.GetStrings()
			d.Dictionary = append(d.Dictionary, s)
			d.Indices = append(d.Indices, uint32(len(d.Dictionary)-1))
			return structpb.NewStringValue(s)
		}
		add("age", func(c *scoringv1.Column, _ int) *structpb.Value {
			return doubles(c, rapid.Float64Range(-1e39, 1e39).Draw(rt, "age"))
		})
		add("tenure", func(c *scoringv1.Column, _ int) *structpb.Value {
			return doubles(c, rapid.SampledFrom([]float64{0, -1, 12, 12.5, maxExact, maxExact + 2}).Draw(rt, "tenure"))
		})
		add("small", func(c *scoringv1.Column, _ int) *structpb.Value {
			if c.Data == nil {
				c.Data = &scoringv1.Column_Int64S{Int64S: &scoringv1.Int64S{}}
			}
			x := rapid.SampledFrom([]int64{0, -5, math.MaxInt32, math.MaxInt32 + 1, math.MinInt32}).Draw(rt, "small")
			c.GetInt64S().Values = append(c.GetInt64S().Values, x)
			return structpb.NewNumberValue(float64(x))
		})
		add("vip", func(c *scoringv1.Column, _ int) *structpb.Value {
			if c.Data == nil {
				c.Data = &scoringv1.Column_Bools{Bools: &scoringv1.Bools{}}
			}
			x := rapid.Bool().Draw(rt, "vip")
			c.GetBools().Values = append(c.GetBools().Values, x)
			return structpb.NewBoolValue(x)
		})
		add("plan", func(c *scoringv1.Column, _ int) *structpb.Value {
			return stringsOf(c, rapid.SampledFrom([]string{"gold", "basic", "", "ещё"}).Draw(rt, "plan"))
		})
		add("region", func(c *scoringv1.Column, _ int) *structpb.Value {
			return stringsOf(c, rapid.SampledFrom([]string{"north", "south", "east"}).Draw(rt, "region"))
		})
		add("since", func(c *scoringv1.Column, _ int) *structpb.Value {
			return stringsOf(c, rapid.SampledFrom([]string{"2026-01-31T12:00:00Z", "1950-01-31T12:00:00.25+09:00", "soon"}).Draw(rt, "since"))
		})
		add("visits", func(c *scoringv1.Column, _ int) *structpb.Value {
			return doubles(c, float64(rapid.IntRange(-3, 3).Draw(rt, "visits")))
		})
		amount := &scoringv1.Column{Name: "sum", Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{}}}
		item := &scoringv1.Column{Name: "item", Data: &scoringv1.Column_Strings{Strings: &scoringv1.Strings{Dictionary: []string{"tea", "rum"}}}}
		offsets := []uint32{0}
		add("orders", func(c *scoringv1.Column, i int) *structpb.Value {
			if c.Data == nil {
				c.Data = &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{Fields: []*scoringv1.Column{amount, item}}}
			}
			list := &structpb.ListValue{}
			for range rapid.IntRange(0, 5).Draw(rt, "events") {
				x, k := float64(rapid.IntRange(0, 99).Draw(rt, "amount")), rapid.IntRange(0, 1).Draw(rt, "item")
				amount.GetDoubles().Values = append(amount.GetDoubles().Values, x)
				item.GetStrings().Indices = append(item.GetStrings().Indices, uint32(k))
				list.Values = append(list.Values, structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
					"amount": structpb.NewNumberValue(x), "item": structpb.NewStringValue(item.GetStrings().GetDictionary()[k]),
				}}))
			}
			offsets = append(offsets, uint32(len(amount.GetDoubles().GetValues())))
			return structpb.NewListValue(list)
		})
		table.GetColumns()[len(table.GetColumns())-1].GetSequences().Offsets = offsets

		one, reports, err := p.Rows(rows)
		if err != nil {
			rt.Fatal(err)
		}
		other, report, err := layOut(p, table)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range rows {
			a, b := reports[i].Err, report.Errors[i]
			if (a == nil) != (b == nil) {
				rt.Fatalf("row %d: %v as an instance, %v in a table", i, a, b)
			}
			if a != nil {
				x, _ := errors.AsType[*pipeline.InputError](a)
				y, _ := errors.AsType[*pipeline.InputError](b)
				if x.Reason != y.Reason {
					rt.Fatalf("row %d: %s as an instance, %s in a table", i, x.Reason, y.Reason)
				}
				continue
			}
			left, err := one.Row(i)
			if err != nil {
				rt.Fatal(err)
			}
			right, err := other.Row(i)
			if err != nil {
				rt.Fatal(err)
			}
			for k := range left.Inputs {
				if !bytes.Equal(left.Inputs[k].Data, right.Inputs[k].Data) || fmt.Sprint(left.Inputs[k]) != fmt.Sprint(right.Inputs[k]) {
					rt.Fatalf("row %d, input %d: %v as an instance, %v in a table", i, k, left.Inputs[k], right.Inputs[k])
				}
			}
		}
	})
}

const maxExact = 1 << 53

// FuzzTable wants no panic, and bounded items, for any table.
func FuzzTable(f *testing.F) {
	for _, text := range []string{
		twoRows(), twoRows("age", column("age", `"doubles": {"values": [1, 41]}, "validity": "Ag=="`)),
		twoRows("orders", column("orders", `"sequences": {"offsets": [0, 1, 3], "fields": [
			{"name": "sum", "doubles": {"values": [7, 8, 9]}, "validity": "BQ=="}, {"name": "item", "strings": {"dictionary": ["tea"], "indices": [0, 0, 0]}}]}`)),
		`{"rows": 1000000, "columns": [{"name": "age", "doubles": {}}]}`,
		twoRows("since", column("since", `"strings": {"dictionary": ["x"], "indices": [0, 0]}`)),
		`{"rows": 2, "columns": [` + column("plan", `"strings": {"dictionary": ["dear"], "indices": [0, 0]}`) + `, {"name": "path", "sequences": {"offsets": [0, 2, 3], "fields": [
			{"name": "kind", "strings": {"dictionary": ["buy", "x"], "indices": [0, 1, 0]}}, {"name": "at", "int64s": {"values": [5, 4, "-9223372036854775808"]}},
			{"name": "seen", "strings": {"dictionary": ["2026-01-01T00:00:00Z"], "indices": [0, 0, 0]}}]}}]}`,
	} {
		data, err := proto.Marshal(tableOf(f, text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	models := []*pipeline.Pipeline{open(f), openPath(f)}
	f.Fuzz(func(t *testing.T, data []byte) {
		table := &scoringv1.Table{}
		if proto.Unmarshal(data, table) != nil {
			return
		}
		for _, p := range models {
			layOutAll(t, p, table)
		}
	})
}

// layOutAll runs a table through the pipeline, whatever it holds.
func layOutAll(t *testing.T, p *pipeline.Pipeline, table *scoringv1.Table) {
	checked, err := p.Table(table)
	if err != nil {
		if !errors.Is(err, pipeline.ErrInput) {
			t.Fatal(err)
		}
		return
	}
	for _, w := range checked.Waves() {
		item, report, err := checked.Item(w)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range item.Inputs {
			if err := in.Validate(); err != nil || in.Rows() != int64(w.To-w.From) {
				t.Fatal(err, in.Shape)
			}
		}
		for row := range report.Errors {
			if row < w.From || row >= w.To {
				t.Fatalf("row %d of wave %+v", row, w)
			}
		}
		report.Warnings()
	}
}

func BenchmarkTable(b *testing.B) {
	p := open(b)
	const rows = 100_000
	ints, doubles, indices := make([]int64, rows), make([]float64, rows), make([]uint32, rows)
	for i := range rows {
		ints[i], doubles[i], indices[i] = int64(i%70), float64(18+i%80), uint32(i%2)
	}
	table := &scoringv1.Table{Rows: rows, Columns: []*scoringv1.Column{
		{Name: "age", Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: doubles}}},
		{Name: "tenure", Data: &scoringv1.Column_Int64S{Int64S: &scoringv1.Int64S{Values: ints}}},
		{Name: "visits", Data: &scoringv1.Column_Int64S{Int64S: &scoringv1.Int64S{Values: ints}}},
		{Name: "small", Data: &scoringv1.Column_Int64S{Int64S: &scoringv1.Int64S{Values: ints}}},
		{Name: "plan", Data: &scoringv1.Column_Strings{Strings: &scoringv1.Strings{Dictionary: []string{"gold", "basic"}, Indices: indices}}},
		{Name: "region", Data: &scoringv1.Column_Strings{Strings: &scoringv1.Strings{Dictionary: []string{"north", "south"}, Indices: indices}}},
	}}
	b.ReportAllocs()
	for b.Loop() {
		checked, err := p.Table(table)
		if err != nil {
			b.Fatal(err)
		}
		for _, w := range checked.Waves() {
			if _, _, err := checked.Item(w); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}

// TestNonFinite wants NaN to be a missing value and infinities to be treated as
// the manifest says, whether a column is copied as a whole or value by value.
func TestNonFinite(t *testing.T) {
	for _, c := range []struct{ spec, values, want, rows, warns string }{
		{"", `[1, "NaN", 3]`, "[1 NaN 3]", "", "FEATURE_IMPUTED 1"},
		{"default: 7", `[1, "NaN", 3]`, "[1 7 3]", "", "FEATURE_IMPUTED 1"},
		{"required: true", `[1, "NaN", 3]`, "[1 0 3]", "1 FEATURE_MISSING", ""},
		{"", `["Infinity", 2, "-Infinity"]`, "[+Inf 2 -Inf]", "", "OUT_OF_RANGE 2"},
		{"infinity: INFINITY_POLICY_ERROR", `["Infinity", 2, "-Infinity"]`, "[0 2 0]", "0 FEATURE_RANGE, 2 FEATURE_RANGE", ""},
		{"min: 0, max: 2, infinity: INFINITY_POLICY_ERROR", `["Infinity", 2, 3]`, "[0 2 3]", "0 FEATURE_RANGE", "OUT_OF_RANGE 1"},
		{"", `[1e300, 2, -1e300]`, "[+Inf 2 -Inf]", "0 FEATURE_RANGE, 2 FEATURE_RANGE", ""},
	} {
		g := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1)}, []bundle.Value{value("y", tensor.Float32, -1)})
		p, err := pipelinetest.Open(pipelinetest.Files(g, "row: {features: [{name: x, type: FEATURE_TYPE_FLOAT, "+c.spec+"}]}\n", nil), pipeline.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, validity := range []string{"", `, "validity": "Bw=="`} {
			item, report, err := layOut(p, tableOf(t, `{"rows": 3, "columns": [`+column("x", `"doubles": {"values": `+c.values+"}"+validity)+`]}`))
			if err != nil {
				t.Fatal(err)
			}
			var rows, warns []string
			for row := range 3 {
				if err := report.Errors[row]; err != nil {
					rows = append(rows, fmt.Sprintf("%d %s", row, strings.Fields(reasonOf(err))[0]))
				}
			}
			for _, w := range report.Warnings() {
				warns = append(warns, fmt.Sprintf("%s %d", strings.TrimPrefix(w.GetWarning().GetCode().String(), "WARNING_CODE_"), w.GetCount()))
			}
			if got := fmt.Sprintf("%s|%s|%s", show(p, item, "x"), strings.Join(rows, ", "), strings.Join(warns, ", ")); got != c.want+"|"+c.rows+"|"+c.warns {
				t.Errorf("{%s} of %s%s: %s, want %s|%s|%s", c.spec, c.values, validity, got, c.want, c.rows, c.warns)
			}
		}
	}
}
