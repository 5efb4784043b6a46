package pipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tensor"
)

var value = pipelinetest.Value

// everyKind takes a feature of every kind.
var everyKind = pipelinetest.Files(pipelinetest.Graph([]bundle.Value{
	value("age", tensor.Float32, -1, 1), value("tenure", tensor.Int64, -1), value("small", tensor.Int32, -1, 1),
	value("vip", tensor.Bool, -1), value("plan", tensor.String, -1, 1), value("region", tensor.String, -1),
	value("since", tensor.Int64, -1), value("visits", tensor.Float64, -1),
	value("amount", tensor.Float32, -1, -1), value("item", tensor.String, -1, -1), value("orders_n", tensor.Int64, -1),
}, []bundle.Value{value("y", tensor.Float32, -1, 1)}), `
row:
  features:
  - {name: age, type: FEATURE_TYPE_FLOAT, aliases: [Age in years], min: 18, max: 99}
  - {name: tenure, type: FEATURE_TYPE_INT}
  - {name: small, type: FEATURE_TYPE_INT, default: 3}
  - {name: vip, type: FEATURE_TYPE_BOOL, default: true}
  - {name: plan, type: FEATURE_TYPE_STRING, categories: [basic, gold], default: basic}
  - {name: region, type: FEATURE_TYPE_STRING, categories: [north, south], unknown: UNKNOWN_POLICY_ERROR, default: north}
  - {name: since, type: FEATURE_TYPE_TIMESTAMP, default: "2020-01-01T00:00:00Z"}
  - {name: visits, type: FEATURE_TYPE_INT}
  - name: orders
    type: FEATURE_TYPE_SEQUENCE
    max_events: 3
    length_input: orders_n
    fields:
    - {name: amount, type: FEATURE_TYPE_FLOAT, default: -1, aliases: [sum]}
    - {name: item, type: FEATURE_TYPE_STRING, categories: [tea, milk]}
`, nil)

func open(t testing.TB) *pipeline.Pipeline {
	t.Helper()
	p, err := pipelinetest.Open(everyKind, pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func row(t testing.TB, text string) *structpb.Struct {
	t.Helper()
	s := &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// show prints an input of a one-row item.
func show(p *pipeline.Pipeline, item pipeline.Item, name string) string {
	i := slices.IndexFunc(p.Bundle().Inputs(), func(v bundle.Value) bool { return v.Name == name })
	t := item.Inputs[i]
	switch t.DType {
	case tensor.String:
		return fmt.Sprint(t.Plain().Strings)
	case tensor.Int64:
		return fmt.Sprint(tensor.View[int64](t))
	}
	return fmt.Sprint(t.Float32s())
}

func codesOf(warnings []*pipeline.Warning) string {
	var out []string
	for _, w := range warnings {
		out = append(out, strings.ToLower(strings.TrimPrefix(w.GetCode().String(), "WARNING_CODE_"))+" "+w.GetField())
	}
	return strings.Join(out, ", ")
}

func reasonOf(err error) string {
	in, ok := errors.AsType[*pipeline.InputError](err)
	if !ok {
		return fmt.Sprint(err)
	}
	return in.Reason + " " + in.Field
}

// TestRow changes one feature of a good row at a time.
func TestRow(t *testing.T) {
	p := open(t)
	const good = `{"age": 40, "tenure": 12, "small": 1, "vip": false, "plan": "gold", "region": "south",
		"since": "2026-01-31T12:00:00+03:00", "visits": 5, "orders": [{"amount": 0, "item": "tea"}]}`
	for _, c := range []struct {
		name, set string // JSON of what is changed; a key of null value is null, "-" removes
		input     string
		want      string // the input's values
		warns     string
		fails     string
	}{
		{name: "good", set: `{}`, input: "age", want: "[40]"},
		{name: "null float", set: `{"age": null}`, input: "age", want: "[NaN]", warns: `feature_imputed features["age"]`},
		{name: "absent float", set: `{"age": "-"}`, input: "age", want: "[NaN]", warns: `feature_imputed features["age"]`},
		{name: "alias", set: `{"age": "-", "Age in years": 41}`, input: "age", want: "[41]"},
		{name: "alias beside null", set: `{"age": null, "Age in years": 41}`, input: "age", want: "[41]"},
		{name: "null alias", set: `{"Age in years": null}`, input: "age", want: "[40]"},
		{name: "twice", set: `{"Age in years": 41}`, fails: `FEATURE_TWICE features["age"]`},
		{name: "below", set: `{"age": 17}`, input: "age", want: "[17]", warns: `out_of_range features["age"]`},
		{name: "above", set: `{"age": 100}`, input: "age", want: "[100]", warns: `out_of_range features["age"]`},
		{name: "too large for float32", set: `{"age": 1e300}`, fails: `FEATURE_RANGE features["age"]`},
		{name: "float wants number", set: `{"age": "40"}`, fails: `FEATURE_TYPE features["age"]`},
		{name: "integer as float", set: `{"tenure": 12.0}`, input: "tenure", want: "[12]"},
		{name: "fraction", set: `{"tenure": 12.5}`, fails: `FEATURE_TYPE features["tenure"]`},
		{name: "2^53", set: `{"tenure": 9007199254740992}`, input: "tenure", want: "[9007199254740992]"},
		{name: "-2^53", set: `{"tenure": -9007199254740992}`, input: "tenure", want: "[-9007199254740992]"},
		{name: "beyond 2^53", set: `{"tenure": 9007199254740994}`, fails: `FEATURE_RANGE features["tenure"]`},
		{name: "missing int", set: `{"tenure": null}`, fails: `FEATURE_MISSING features["tenure"]`},
		{name: "missing int of a float input", set: `{"visits": null}`, input: "visits", want: "[NaN]", warns: `feature_imputed features["visits"]`},
		{name: "int32 max", set: `{"small": 2147483647}`, input: "small", want: "[2.1474836e+09]"},
		{name: "beyond int32", set: `{"small": 2147483648}`, fails: `FEATURE_RANGE features["small"]`},
		{name: "below int32", set: `{"small": -2147483649}`, fails: `FEATURE_RANGE features["small"]`},
		{name: "default int", set: `{"small": null}`, input: "small", want: "[3]", warns: `feature_imputed features["small"]`},
		{name: "default bool", set: `{"vip": "-"}`, input: "vip", want: "[1]", warns: `feature_imputed features["vip"]`},
		{name: "bool wants bool", set: `{"vip": 1}`, fails: `FEATURE_TYPE features["vip"]`},
		{name: "unseen category", set: `{"plan": "iron"}`, input: "plan", want: "[iron]", warns: `unseen_category features["plan"]`},
		{name: "refused category", set: `{"region": "east"}`, fails: `CATEGORY_UNKNOWN features["region"]`},
		{name: "string wants string", set: `{"plan": {"a": 1}}`, fails: `FEATURE_TYPE features["plan"]`},
		{name: "time", set: `{}`, input: "since", want: "[1769850000000000]"},
		{name: "no time", set: `{"since": "yesterday"}`, fails: `FEATURE_TYPE features["since"]`},
		{name: "time as number", set: `{"since": 1}`, fails: `FEATURE_TYPE features["since"]`},
		{name: "default time", set: `{"since": null}`, input: "since", want: "[1577836800000000]", warns: `feature_imputed features["since"]`},
		{name: "unknown", set: `{"tenur": 1}`, input: "tenure", want: "[12]", warns: `unknown_feature features["tenur"]`},
		{name: "no events", set: `{"orders": null}`, input: "amount", want: "[-1]", warns: "cold_start features"},
		{name: "events", set: `{"orders": [{"amount": 5, "item": "tea"}, {"sum": 6, "item": "milk"}]}`, input: "amount", want: "[5 6]"},
		{name: "number of events", set: `{"orders": [{"amount": 5, "item": "tea"}, {"amount": 6, "item": "milk"}]}`, input: "orders_n", want: "[2]"},
		{name: "the last events", set: `{"orders": [{"amount": 1, "item": "tea"}, {"amount": 2, "item": "tea"}, {"amount": 3, "item": "tea"}, {"amount": 4, "item": "tea"}]}`,
			input: "amount", want: "[2 3 4]", warns: `truncated features["orders"]`},
		{name: "event's default", set: `{"orders": [{"item": "tea"}, {"item": "tea"}]}`, input: "amount", want: "[-1 -1]",
			warns: `feature_imputed features["orders"][0]["amount"]`},
		{name: "event's missing field", set: `{"orders": [{"amount": 1, "item": "tea"}, {"amount": 1}]}`, fails: `FEATURE_MISSING features["orders"][1]["item"]`},
		{name: "event's unseen category", set: `{"orders": [{"amount": 1, "item": "rum"}]}`, input: "item", want: "[rum]",
			warns: `unseen_category features["orders"][0]["item"]`},
		{name: "event's unknown field", set: `{"orders": [{"amount": 1, "item": "tea", "x": 1}]}`, input: "item", want: "[tea]",
			warns: `unknown_feature features["orders"][0]["x"]`},
		{name: "event twice", set: `{"orders": [{"amount": 1, "sum": 2, "item": "tea"}]}`, fails: `FEATURE_TWICE features["orders"][0]["amount"]`},
		{name: "event is no object", set: `{"orders": [{"amount": 1, "item": "tea"}, 7]}`, fails: `FEATURE_TYPE features["orders"][1]`},
		{name: "events are no list", set: `{"orders": "tea"}`, fails: `FEATURE_TYPE features["orders"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fields, set map[string]any
			if err := json.Unmarshal([]byte(good), &fields); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(c.set), &set); err != nil {
				t.Fatal(err)
			}
			for k, v := range set {
				fields[k] = v
				if v == "-" {
					delete(fields, k)
				}
			}
			s, err := structpb.NewStruct(fields)
			if err != nil {
				t.Fatal(err)
			}
			item, warnings, err := p.Row(s)
			if c.fails != "" {
				if reasonOf(err) != c.fails || !errors.Is(err, pipeline.ErrInput) {
					t.Fatalf("error %v (%s), want %s", err, reasonOf(err), c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := codesOf(warnings); got != c.warns {
				t.Errorf("warnings %q, want %q", got, c.warns)
			}
			if got := show(p, item, c.input); got != c.want {
				t.Errorf("%s is %s, want %s", c.input, got, c.want)
			}
		})
	}
}

// TestRowValueWithoutKind wants it to count as null, and NaN to be refused.
func TestRowValueWithoutKind(t *testing.T) {
	p := open(t)
	s := row(t, `{"tenure": 1, "visits": 1}`)
	s.Fields["age"] = &structpb.Value{}
	s.Fields["small"] = nil
	item, _, err := p.Row(s)
	if err != nil {
		t.Fatal(err)
	}
	if age, small := show(p, item, "age"), show(p, item, "small"); age != "[NaN]" || small != "[3]" {
		t.Errorf("age %s, small %s", age, small)
	}
	for _, x := range []float64{math.NaN(), math.Inf(1)} {
		s.Fields["age"] = structpb.NewNumberValue(x)
		if _, _, err := p.Row(s); reasonOf(err) != `FEATURE_RANGE features["age"]` {
			t.Errorf("%v: %v", x, err)
		}
	}
	if _, _, err := p.Row(nil); reasonOf(err) != `FEATURE_MISSING features["tenure"]` {
		t.Errorf("no features: %v", err)
	}
}

func TestRowsKeepTheirPlaces(t *testing.T) {
	p := open(t)
	item, reports, err := p.Rows([]*structpb.Struct{
		row(t, `{"tenure": 1, "visits": 1, "orders": [{"amount": 1, "item": "tea"}, {"amount": 2, "item": "tea"}]}`),
		row(t, `{"tenure": "x", "visits": 2}`),
		row(t, `{"tenure": 3, "visits": 3, "orders": [{"amount": 3, "item": "tea"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if reports[0].Err != nil || reports[1].Err == nil || reports[2].Err != nil {
		t.Fatalf("%+v", reports)
	}
	for name, want := range map[string]string{
		"tenure": "[1 0 3]", "visits": "[1 2 3]", "amount": "[1 2 -1 -1 3 -1]", "orders_n": "[2 0 1]", "item": "[tea tea   tea ]",
	} {
		if got := show(p, item, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	one, err := item.Row(2)
	if err != nil {
		t.Fatal(err)
	}
	if got := show(p, one, "amount"); got != "[3 -1]" {
		t.Errorf("amount of the third row is %s", got)
	}
	if p.PadValue("amount") != -1 || p.PadValue("item") != 0 || p.PadValue("age") != 0 {
		t.Error("padding is not the field's default")
	}
}

func TestUnknownFeatures(t *testing.T) {
	p := open(t)
	for name, want := range map[string]string{
		"Tenure": `did you mean "tenure"?`, "tenur": `did you mean "tenure"?`, "regoin": `did you mean "region"?`,
		"age_in_years": "no such feature", "x": "no such feature", "orderd": `did you mean "orders"?`, "AGE": `did you mean "age"?`,
	} {
		s := row(t, `{"tenure": 1, "visits": 1}`)
		s.Fields[name] = structpb.NewNumberValue(1)
		_, warnings, err := p.Row(s)
		if err != nil {
			t.Fatal(err)
		}
		last := warnings[len(warnings)-1]
		if last.GetCode() != servingv1.WarningCode_WARNING_CODE_UNKNOWN_FEATURE || !strings.HasSuffix(last.GetMessage(), want) {
			t.Errorf("%s: %v, want %s", name, last, want)
		}
	}
	s := row(t, `{"tenure": 1, "visits": 1}`)
	for i := range 5000 {
		s.Fields[strings.Repeat("é", 200)+fmt.Sprint(i)] = structpb.NewNullValue()
	}
	_, warnings, err := p.Row(s)
	if err != nil || len(warnings) > 32 {
		t.Errorf("%d warnings, error %v", len(warnings), err)
	}
	for _, w := range warnings {
		if len(w.GetField()) > 300 {
			t.Errorf("a field path of %d bytes", len(w.GetField()))
		}
	}
}

// TestEquallySimilar wants the first name in order, whatever order a map has.
func TestEquallySimilar(t *testing.T) {
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 5)}, []bundle.Value{value("y", tensor.Float32, -1)})
	const manifest = `row: {matrix_input: x, features: [{name: speed_e, type: FEATURE_TYPE_FLOAT}, {name: speed_c, type: FEATURE_TYPE_FLOAT},
  {name: speed_a, type: FEATURE_TYPE_FLOAT}, {name: speed_b, type: FEATURE_TYPE_FLOAT}, {name: speed_d, type: FEATURE_TYPE_FLOAT}]}`
	p, err := pipelinetest.Open(pipelinetest.Files(graph, manifest, nil), pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		_, warnings, err := p.Row(row(t, `{"speed_x": 1}`))
		if last := warnings[len(warnings)-1]; err != nil || !strings.Contains(last.GetMessage(), `"speed_a"`) {
			t.Fatal(err, last)
		}
	}
}

func TestMatrixInput(t *testing.T) {
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 3)}, []bundle.Value{value("y", tensor.Float32, -1)})
	const manifest = `
row:
  matrix_input: x
  features: [{name: a, type: FEATURE_TYPE_FLOAT}, {name: b, type: FEATURE_TYPE_INT}, {name: c, type: FEATURE_TYPE_BOOL}]
`
	p, err := pipelinetest.Open(pipelinetest.Files(graph, manifest, nil), pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	item, reports, err := p.Rows([]*structpb.Struct{row(t, `{"a": 1.5, "b": 2, "c": true}`), row(t, `{"a": 4}`)})
	if err != nil || reports[0].Err != nil || reports[1].Err != nil {
		t.Fatal(err, reports)
	}
	if got := show(p, item, "x"); got != "[1.5 2 1 4 NaN NaN]" || !item.Inputs[0].Shape.Equal(tensor.Shape{2, 3}) {
		t.Errorf("x is %s %v", got, item.Inputs[0].Shape)
	}
}

// TestManifestsThatCannotBeServed wants them refused when they are loaded.
func TestManifestsThatCannotBeServed(t *testing.T) {
	x := func(d tensor.DType) []bundle.Value { return []bundle.Value{value("x", d, -1, 1)} }
	events := []bundle.Value{}
	var fields strings.Builder
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		events = append(events, value(name, tensor.Float64, -1, -1))
		fields.WriteString("{name: " + name + ", type: FEATURE_TYPE_FLOAT}, ")
	}
	for name, c := range map[string]struct {
		inputs []bundle.Value
		row    string
		good   bool
	}{
		"good":                       {inputs: x(tensor.Float32), row: `features: [{name: x, type: FEATURE_TYPE_FLOAT, default: 1}]`, good: true},
		"default of another type":    {inputs: x(tensor.Float32), row: `features: [{name: x, type: FEATURE_TYPE_FLOAT, default: yes please}]`},
		"default beyond the input":   {inputs: x(tensor.Int8), row: `features: [{name: x, type: FEATURE_TYPE_INT, default: 128}]`},
		"default is no category":     {inputs: x(tensor.String), row: `features: [{name: x, type: FEATURE_TYPE_STRING, categories: [a], default: b, unknown: UNKNOWN_POLICY_ERROR}]`},
		"times in a float32 matrix":  {inputs: x(tensor.Float32), row: `matrix_input: x, features: [{name: a, type: FEATURE_TYPE_TIMESTAMP}]`},
		"fractions in an int matrix": {inputs: x(tensor.Int64), row: `matrix_input: x, features: [{name: a, type: FEATURE_TYPE_FLOAT}]`},
		"numbers in a text matrix":   {inputs: x(tensor.String), row: `matrix_input: x, features: [{name: a, type: FEATURE_TYPE_INT}]`},
		"a row of 4 kB":              {inputs: events, row: `features: [{name: s, type: FEATURE_TYPE_SEQUENCE, max_events: 100, fields: [` + fields.String() + `]}]`, good: true},
		"a row of 42 MB":             {inputs: events, row: `features: [{name: s, type: FEATURE_TYPE_SEQUENCE, max_events: 1048576, fields: [` + fields.String() + `]}]`},
	} {
		t.Run(name, func(t *testing.T) {
			graph := pipelinetest.Graph(c.inputs, []bundle.Value{value("y", tensor.Float32, -1)})
			_, err := pipelinetest.Open(pipelinetest.Files(graph, "row: {"+c.row+"}\n", nil), pipeline.Limits{})
			if c.good != (err == nil) || err != nil && !errors.Is(err, bundle.ErrInvalid) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSynthetic(t *testing.T) {
	p := open(t)
	for _, rows := range []int{1, 9} {
		item, err := p.Synthetic(rows, 0)
		if err != nil {
			t.Fatal(err)
		}
		if item.Rows != rows || item.Length != 3 {
			t.Errorf("%d rows of %d events", item.Rows, item.Length)
		}
		for i, in := range item.Inputs {
			if err := in.Validate(); err != nil || in.Shape[0] != int64(rows) {
				t.Errorf("input %d: %v%v %v", i, in.DType, in.Shape, err)
			}
		}
	}
}

// FuzzRow wants no panic, and an item of the right shape, for any JSON.
func FuzzRow(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"age": 1e308, "tenure": -9.3e18, "small": 1e10}`, `{"orders": [{}, null, 3, [[]], {"amount": null, "item": "x"}]}`,
		`{"orders": {"orders": []}, "since": "2026-13-01T00:00:00Z"}`, `{"plan": "\u0000", "": 1, "vip": null}`,
		`{"tenure": 1, "visits": 1, "orders": [{"item": "a"},{"item": "a"},{"item": "a"},{"item": "a"},{"item": "a"}]}`,
	} {
		f.Add(s)
	}
	p := open(f)
	f.Fuzz(func(t *testing.T, text string) {
		s := &structpb.Struct{}
		if protojson.Unmarshal([]byte(text), s) != nil {
			return
		}
		item, reports, err := p.Rows([]*structpb.Struct{s, s})
		if err != nil || len(reports) != 2 || fmt.Sprint(reports[0].Err) != fmt.Sprint(reports[1].Err) {
			t.Fatal(err, reports)
		}
		for i, in := range item.Inputs {
			if err := in.Validate(); err != nil || in.Rows() != 2 {
				t.Fatalf("input %d: %v", i, err)
			}
		}
		if reports[0].Err != nil && !errors.Is(reports[0].Err, pipeline.ErrInput) {
			t.Fatal(reports[0].Err)
		}
	})
}

func BenchmarkRows(b *testing.B) {
	p := open(b)
	rows := make([]*structpb.Struct, 1000)
	for i := range rows {
		rows[i] = row(b, fmt.Sprintf(`{"age": %d, "tenure": %d, "small": 1, "vip": true, "plan": "gold", "region": "north",
			"since": "2026-01-31T12:00:00Z", "visits": 3, "orders": [{"amount": 1, "item": "tea"}]}`, 18+i%80, i))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := p.Rows(rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "rows/s")
}
