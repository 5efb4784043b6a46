package pipeline_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tensor"
)

// path takes a customer's path as a recurrent network or a transformer does:
// ids, gaps, a mask.
var path = pipelinetest.Files(pipelinetest.Graph([]bundle.Value{
	value("kind", tensor.Int64, -1, -1), value("gap", tensor.Float32, -1, -1), value("age", tensor.Int64, -1, -1), value("amount", tensor.Float32, -1, -1),
	value("mask", tensor.Bool, -1, -1), value("n", tensor.Int64, -1), value("plan", tensor.Float32, -1, 1),
}, []bundle.Value{value("y", tensor.Float32, -1, 1)}), pathManifest, nil)

const pathManifest = `
limits: {max_events: 6}
row:
  features:
  - {name: plan, type: FEATURE_TYPE_STRING, categories: [basic, gold, dear], rare_categories: [dear], index: {first: 10, unknown: -1}}
  - name: path
    type: FEATURE_TYPE_SEQUENCE
    max_events: 4
    length_input: n
    mask_input: mask
    fields:
    - {name: kind, type: FEATURE_TYPE_STRING, categories: [view, cart, buy], index: {first: 2, unknown: 1}}
    - {name: at, input: gap, type: FEATURE_TYPE_TIMESTAMP, time: TIME_ENCODING_SECONDS_SINCE_PREVIOUS}
    - {name: seen, input: age, type: FEATURE_TYPE_TIMESTAMP, time: TIME_ENCODING_SECONDS_TO_LAST}
    - {name: amount, type: FEATURE_TYPE_FLOAT, default: -1}
`

func openPath(t testing.TB) *pipeline.Pipeline {
	t.Helper()
	p, err := pipelinetest.Open(path, pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// events are so many events, 10, 20, 30, … seconds apart.
func events(n int, set ...string) string {
	var list []string
	at := 0
	for i := range n {
		at += 10 * i
		time := fmt.Sprintf("2026-01-01T00:%02d:%02d.5Z", at/60, at%60)
		list = append(list, fmt.Sprintf(`{"kind": "buy", "at": %q, "seen": %q, "amount": %d}`, time, time, i))
	}
	for i := 0; i < len(set); i += 2 {
		for k := range list {
			list[k] = strings.Replace(list[k], set[i], set[i+1], 1)
		}
	}
	return "[" + strings.Join(list, ", ") + "]"
}

func TestEvents(t *testing.T) {
	p := openPath(t)
	for _, c := range []struct {
		name, row   string
		input, want string
		warns       string
		fails       string
	}{
		{name: "categories", row: `{"plan": "gold", "path": ` + events(2, `"buy"`, `"cart"`) + `}`, input: "kind", want: "[3 3]"},
		{name: "unseen category", row: `{"plan": "gold", "path": ` + events(2, `"buy"`, `"leave"`) + `}`, input: "kind", want: "[1 1]",
			warns: `unseen_category features["path"][0]["kind"]`},
		{name: "missing category", row: `{"plan": "gold", "path": ` + events(1, `"kind"`, `"amount2"`) + `}`, input: "kind", want: "[1]",
			warns: `feature_imputed features["path"][0]["kind"], unknown_feature features["path"][0]["amount2"]`},
		{name: "plan", row: `{"plan": "gold", "path": ` + events(1) + `}`, input: "plan", want: "[11]"},
		{name: "rare", row: `{"plan": "dear", "path": ` + events(1) + `}`, input: "plan", want: "[12]", warns: `low_support features["plan"]`},
		{name: "unseen plan", row: `{"plan": "iron", "path": ` + events(1) + `}`, input: "plan", want: "[-1]", warns: `unseen_category features["plan"]`},
		{name: "no plan", row: `{"path": ` + events(1) + `}`, input: "plan", want: "[-1]", warns: `feature_imputed features["plan"]`},
		{name: "since the previous", row: `{"plan": "gold", "path": ` + events(3) + `}`, input: "gap", want: "[0 10 20]"},
		{name: "to the last", row: `{"plan": "gold", "path": ` + events(3) + `}`, input: "age", want: "[30 20 0]"},
		{name: "truncated", row: `{"plan": "gold", "path": ` + events(6) + `}`, input: "gap", want: "[0 30 40 50]", warns: `truncated features["path"]`},
		{name: "the last amounts", row: `{"plan": "gold", "path": ` + events(6) + `}`, input: "amount", want: "[2 3 4 5]", warns: `truncated features["path"]`},
		{name: "too many", row: `{"plan": "gold", "path": ` + events(7) + `}`, fails: `SEQUENCE_TOO_LONG features["path"]`},
		{name: "missing time", row: `{"plan": "gold", "path": ` + events(3, `"at": "2026-01-01T00:00:10.5Z"`, `"at": null`) + `}`, input: "gap", want: "[0 NaN 30]",
			warns: `feature_imputed features["path"][1]["at"]`},
		{name: "missing time of whole seconds", row: `{"plan": "gold", "path": ` + events(3, `"seen"`, `"amount2"`) + `}`, fails: `FEATURE_MISSING features["path"][0]["seen"]`},
		{name: "out of order", row: `{"plan": "gold", "path": ` + events(3, `"at": "2026-01-01T00:00:10.5Z"`, `"at": "2026-01-01T00:00:10.5+01:00"`) + `}`,
			fails: `SEQUENCE_ORDER features["path"][1]["at"]`},
		{name: "out of order after the cut", row: `{"plan": "gold", "path": ` + events(6, `"at": "2026-01-01T00:01:00.5Z"`, `"at": "2025-01-01T00:00:10.5+01:00"`) + `}`,
			fails: `SEQUENCE_ORDER features["path"][3]["at"]`},
		{name: "no time", row: `{"plan": "gold", "path": ` + events(1, `"at": "2026`, `"at": "soon`) + `}`, fails: `FEATURE_TYPE features["path"][0]["at"]`},
		{name: "no history", row: `{"plan": "gold"}`, input: "n", want: "[0]", warns: "cold_start features"},
		{name: "nothing", row: `{"plan": null, "path": null}`, input: "plan", want: "[-1]", warns: `feature_imputed features["plan"], cold_start features`},
	} {
		t.Run(c.name, func(t *testing.T) {
			item, warnings, err := p.Row(row(t, c.row))
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

// TestEventsArePadded wants a short path beside a long one masked and padded.
func TestEventsArePadded(t *testing.T) {
	p := openPath(t)
	item, reports, err := p.Rows([]*structpb.Struct{
		row(t, `{"plan": "gold", "path": `+events(1)+`}`), row(t, `{"plan": "gold", "path": `+events(3)+`}`),
	})
	if err != nil || reports[0].Err != nil || reports[1].Err != nil {
		t.Fatal(err, reports)
	}
	for input, want := range map[string]string{
		"kind": "[4 0 0 4 4 4]", "gap": "[0 0 0 0 10 20]", "age": "[0 0 0 30 20 0]", "amount": "[0 -1 -1 0 1 2]", "mask": "[1 0 0 1 1 1]", "n": "[1 3]",
	} {
		if got := show(p, item, input); got != want {
			t.Errorf("%s is %s, want %s", input, got, want)
		}
	}
}

// TestEventsOfATable wants paths in a table to become what they are as lists.
func TestEventsOfATable(t *testing.T) {
	p := openPath(t)
	kinds, plans := []string{"view", "cart", "leave", "buy"}, []string{"gold", "iron", "dear"}
	times := []string{"2026-01-01T00:00:00Z", "2026-01-01T00:00:01.25Z", "2026-01-03T00:00:00+03:00", "soon"}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(rt, "rows")
		rows := make([]*structpb.Struct, n)
		bit := func(of []byte, i int) []byte {
			for len(of) <= i>>3 {
				of = append(of, 0)
			}
			of[i>>3] |= 1 << (i & 7)
			return of
		}
		plan := &scoringv1.Column{Name: "plan", Validity: make([]byte, 1)}
		planIndex := &scoringv1.Strings{Dictionary: plans}
		plan.Data = &scoringv1.Column_Strings{Strings: planIndex}
		kind := &scoringv1.Strings{Dictionary: kinds}
		at, seen := &scoringv1.Strings{Dictionary: times}, &scoringv1.Strings{Dictionary: times}
		var amounts []float64
		var atValid []byte
		offsets := []uint32{0}
		total := 0
		for i := range rows {
			fields := map[string]*structpb.Value{}
			k := rapid.IntRange(0, 2).Draw(rt, "plan")
			planIndex.Indices = append(planIndex.Indices, uint32(k))
			if rapid.Bool().Draw(rt, "has plan") {
				fields["plan"] = structpb.NewStringValue(plans[k])
				plan.Validity = bit(plan.Validity, i)
			}
			list := &structpb.ListValue{}
			for range rapid.IntRange(0, 8).Draw(rt, "events") {
				e := map[string]*structpb.Value{}
				a, b, c := rapid.IntRange(0, 3).Draw(rt, "kind"), rapid.IntRange(0, 3).Draw(rt, "at"), rapid.IntRange(0, 2).Draw(rt, "seen")
				e["kind"], e["seen"], e["amount"] = structpb.NewStringValue(kinds[a]), structpb.NewStringValue(times[c]), structpb.NewNumberValue(float64(total))
				if rapid.Bool().Draw(rt, "has at") {
					e["at"] = structpb.NewStringValue(times[b])
					atValid = bit(atValid, total)
				}
				kind.Indices, at.Indices, seen.Indices = append(kind.Indices, uint32(a)), append(at.Indices, uint32(b)), append(seen.Indices, uint32(c))
				amounts = append(amounts, float64(total))
				total++
				list.Values = append(list.Values, structpb.NewStructValue(&structpb.Struct{Fields: e}))
			}
			offsets = append(offsets, uint32(total))
			fields["path"] = structpb.NewListValue(list)
			rows[i] = &structpb.Struct{Fields: fields}
		}
		if total > 0 {
			for len(atValid) < (total+7)/8 {
				atValid = append(atValid, 0)
			}
		}
		column := func(name string, s *scoringv1.Strings, valid []byte) *scoringv1.Column {
			return &scoringv1.Column{Name: name, Data: &scoringv1.Column_Strings{Strings: s}, Validity: valid}
		}
		table := &scoringv1.Table{Rows: int64(n), Columns: []*scoringv1.Column{plan, {Name: "path", Data: &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{
			Offsets: offsets, Fields: []*scoringv1.Column{column("kind", kind, nil), column("at", at, atValid), column("seen", seen, nil),
				{Name: "amount", Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: amounts}}}},
		}}}}}
		one, reports, err := p.Rows(rows)
		if err != nil {
			rt.Fatal(err)
		}
		other, report, err := layOut(p, table)
		if err != nil {
			rt.Fatal(err)
		}
		counts := map[servingv1.WarningCode]int64{}
		for i, r := range reports {
			if (r.Err == nil) != (report.Errors[i] == nil) {
				rt.Fatalf("row %d: %v as an instance, %v in a table", i, r.Err, report.Errors[i])
			}
			for _, w := range r.Warnings {
				if w.GetCode() == servingv1.WarningCode_WARNING_CODE_COLD_START || w.GetField() == `features["plan"]` {
					counts[w.GetCode()]++
				}
			}
			if r.Err != nil {
				continue
			}
			left, _ := one.Row(i)
			right, _ := other.Row(i)
			for k := range left.Inputs {
				if fmt.Sprint(left.Inputs[k]) != fmt.Sprint(right.Inputs[k]) {
					rt.Fatalf("row %d, input %d: %v as an instance, %v in a table", i, k, left.Inputs[k], right.Inputs[k])
				}
			}
		}
		for _, w := range report.Warnings() {
			if f := w.GetWarning().GetField(); f == "table" || f == "table.columns[0]" {
				if w.GetCount() != counts[w.GetWarning().GetCode()] {
					rt.Fatalf("%v for %d rows, %d as instances", w.GetWarning(), w.GetCount(), counts[w.GetWarning().GetCode()])
				}
				delete(counts, w.GetWarning().GetCode())
			}
		}
		if len(counts) > 0 {
			rt.Fatalf("a table does not warn of %v", counts)
		}
	})
}

// TestStepsAhead wants the first of the steps that a forecast is told, where a
// history gives its last, as a list and in a table.
func TestStepsAhead(t *testing.T) {
	graph := pipelinetest.Graph([]bundle.Value{
		value("sold", tensor.Float32, -1, -1), value("n", tensor.Int64, -1), value("price", tensor.Float32, -1, -1), value("ahead", tensor.Int64, -1),
	}, []bundle.Value{value("y", tensor.Float32, -1, 2)})
	const manifest = `
limits: {max_events: 4}
row:
  features:
  - {name: past, type: FEATURE_TYPE_SEQUENCE, max_events: 3, length_input: n, fields: [{name: sold, type: FEATURE_TYPE_FLOAT}]}
  - {name: days, type: FEATURE_TYPE_SEQUENCE, ahead: true, max_events: 2, length_input: ahead, fields: [{name: price, type: FEATURE_TYPE_FLOAT, default: 9}]}
`
	p, err := pipelinetest.Open(pipelinetest.Files(graph, manifest, nil), pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name                string
		past, days          int    // events: 1, 2, 3, …
		wantPast, wantPrice string // the inputs
		warns, fails        string
	}{
		{"as many as the model reads", 3, 2, "[1 2 3]", "[1 2 9]", "", ""},
		{"more", 4, 4, "[2 3 4]", "[1 2 9]", `truncated features["past"]: the model reads the last 3 events, truncated features["days"]: the model reads the first 2 events`, ""},
		{"fewer", 2, 1, "[1 2]", "[1 9]", `feature_imputed features["days"]: 1 of 2 steps to come are given`, ""},
		{"no step", 1, 0, "[1]", "[9]", `feature_imputed features["days"]: 0 of 2 steps to come are given`, ""},
		{"no history", 0, 2, "[0 0]", "[1 2]", `cold_start features: there is no history`, ""},
		{"too many", 0, 5, "", "", "", `features["days"]: 5 events, the limit is 4; the model reads the first 2 events`},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := func(field string, n int) *structpb.Value {
				l := &structpb.ListValue{}
				for i := range n {
					l.Values = append(l.Values, structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{field: structpb.NewNumberValue(float64(i + 1))}}))
				}
				return structpb.NewListValue(l)
			}
			item, warnings, err := p.Row(&structpb.Struct{Fields: map[string]*structpb.Value{"past": list("sold", c.past), "days": list("price", c.days)}})
			column := func(name, field string, n int) *scoringv1.Column {
				values := make([]float64, n)
				for i := range values {
					values[i] = float64(i + 1)
				}
				return &scoringv1.Column{Name: name, Data: &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{Offsets: []uint32{0, uint32(n)}, Fields: []*scoringv1.Column{
					{Name: field, Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: values}}},
				}}}}
			}
			other, report, tableErr := layOut(p, &scoringv1.Table{Rows: 1, Columns: []*scoringv1.Column{column("past", "sold", c.past), column("days", "price", c.days)}})
			if tableErr != nil {
				t.Fatal(tableErr)
			}
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || report.Errors[0] == nil || !strings.Contains(report.Errors[0].Error(), strings.TrimPrefix(c.fails, `features["days"]`)) {
					t.Fatalf("errors %v and %v, want %s", err, report.Errors, c.fails)
				}
				return
			}
			if err != nil || len(report.Errors) > 0 {
				t.Fatal(err, report.Errors)
			}
			var said []string
			for _, w := range warnings {
				said = append(said, codesOf([]*pipeline.Warning{w})+": "+w.GetMessage())
			}
			if got := strings.Join(said, ", "); got != c.warns {
				t.Errorf("warnings %q, want %q", got, c.warns)
			}
			if len(report.Warnings()) != len(warnings) {
				t.Errorf("%v in a table, %v as a list", report.Warnings(), warnings)
			}
			for _, it := range []pipeline.Item{item, other} {
				if got := show(p, it, "sold") + show(p, it, "price"); got != c.wantPast+c.wantPrice {
					t.Errorf("the inputs are %s, want %s%s", got, c.wantPast, c.wantPrice)
				}
				if got, want := show(p, it, "n")+show(p, it, "ahead"), fmt.Sprintf("[%d][%d]", min(c.past, 3), min(c.days, 2)); got != want {
					t.Errorf("the lengths are %s, want %s", got, want)
				}
			}
		})
	}
}

// TestMillionEvents wants a path of a million events refused, alone, as a list
// and in a table.
func TestMillionEvents(t *testing.T) {
	graph := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, -1)}, []bundle.Value{value("y", tensor.Float32, -1)})
	const manifest = `row: {features: [{name: s, type: FEATURE_TYPE_SEQUENCE, max_events: 50, fields: [{name: x, type: FEATURE_TYPE_FLOAT}]}]}`
	p, err := pipelinetest.Open(pipelinetest.Files(graph, manifest, nil), pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	const many = 1_000_000
	event := structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"x": structpb.NewNumberValue(1)}})
	list := func(n int) *structpb.Struct {
		l := &structpb.ListValue{Values: make([]*structpb.Value, n)}
		for i := range l.Values {
			l.Values[i] = event
		}
		return &structpb.Struct{Fields: map[string]*structpb.Value{"s": structpb.NewListValue(l)}}
	}
	item, reports, err := p.Rows([]*structpb.Struct{list(1), list(many), list(100_000), list(100_001)})
	if err != nil {
		t.Fatal(err)
	}
	if item.Length != 50 {
		t.Errorf("%d events wide", item.Length)
	}
	for i, want := range []string{"<nil>", `SEQUENCE_TOO_LONG features["s"]`, "<nil>", `SEQUENCE_TOO_LONG features["s"]`} {
		if got := reasonOf(reports[i].Err); got != want {
			t.Errorf("row %d: %s, want %s", i, got, want)
		}
	}
	table := &scoringv1.Table{Rows: 2, Columns: []*scoringv1.Column{{Name: "s", Data: &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{
		Offsets: []uint32{0, many, many + 1}, Fields: []*scoringv1.Column{{Name: "x", Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{Values: make([]float64, many+1)}}}},
	}}}}}
	if _, report, err := layOut(p, table); err != nil || len(report.Errors) != 1 || reasonOf(report.Errors[0]) != "SEQUENCE_TOO_LONG table.columns[0]" {
		t.Errorf("%v, %v", err, report.Errors)
	}
}

// TestEncodingsThatCannotBeServed wants manifests refused whose features do not
// fit their inputs.
func TestEncodingsThatCannotBeServed(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"good":                    {"", "", ""},
		"strings for numbers":     {", index: {first: 2, unknown: 1}", "", `row.features[1].fields[0].index`},
		"index without names":     {"categories: [view, cart, buy], ", "", "row.features[1].fields[0].index"},
		"a category twice":        {"[view, cart, buy]", "[view, cart, view]", "row.features[1].fields[0].categories"},
		"rare and unknown":        {"rare_categories: [dear]", "rare_categories: [cheap]", "row.features[0].rare_categories[0]"},
		"time of a number":        {"type: FEATURE_TYPE_FLOAT, default: -1", "type: FEATURE_TYPE_FLOAT, time: TIME_ENCODING_SECONDS_TO_LAST", "row.features[1].fields[3].time"},
		"default of a difference": {"time: TIME_ENCODING_SECONDS_TO_LAST", `time: TIME_ENCODING_SECONDS_TO_LAST, default: "2026-01-01T00:00:00Z"`, "row.features[1].fields[2].default"},
		"mask twice":              {"mask_input: mask", "mask_input: n", "row.features[1].mask_input"},
		"no mask":                 {"mask_input: mask", "mask_input: kask", "row.features[1].mask_input"},
		"a field to come":         {"default: -1", "ahead: true", "row.features[1].fields[3].ahead"},
		"a plan to come":          {"rare_categories: [dear]", "ahead: true", "row.features[0].ahead"},
		"index too large":         {"{first: 2, unknown: 1}", "{first: 9223372036854775807, unknown: 1}", "index"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := pipelinetest.Files(path["model.onnx"].Data, strings.Replace(pathManifest, c.old, c.new, 1), nil)
			_, err := pipelinetest.Open(dir, pipeline.Limits{})
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, bundle.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

// TestMixer wants mixed rows to have a feature's, a group's and a sequence's
// parts from one row, the others from a typical one.
func TestMixer(t *testing.T) {
	dir := pipelinetest.Files(path["model.onnx"].Data, pathManifest+"  background: typical.jsonl\n", map[string]string{
		"typical.jsonl": `{"plan": "basic", "path": ` + events(3) + "}\n\n" + `{"plan": "dear", "path": []}` + "\n",
	})
	p, err := pipelinetest.Open(dir, pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	item, _, err := p.Row(row(t, `{"plan": "gold", "path": `+events(2, `"buy"`, `"view"`)+`}`))
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Mixer(item, 0)
	if err != nil {
		t.Fatal(err)
	}
	if m.Others() != 2 || p.Background() != 2 || len(m.Players) != 2 || m.Players[0].Name != "plan" || m.Players[1].Name != "path" {
		t.Fatalf("%d rows, players %v", m.Others(), m.Players)
	}
	room, err := m.Room(4)
	if err != nil {
		t.Fatal(err)
	}
	m.PutMixed(room, 0, 0, []int{0})
	m.PutMixed(room, 1, 0, []int{1})
	m.PutMixed(room, 2, 1, nil)
	m.PutRow(room, 3)
	next, err := m.Room(2)
	if err != nil {
		t.Fatal(err)
	}
	m.PutMixed(next, 0, 1, []int{0})
	m.PutNext(next, 1, 1)
	for input, want := range map[string]string{"plan": "[11 11]", "kind": "[0 0 0 2 2 0]", "n": "[0 2]"} {
		if got := show(p, next, input); got != want {
			t.Errorf("%s is %s, want %s", input, got, want)
		}
	}
	for input, want := range map[string]string{
		"plan": "[11 10 12 11]", "kind": "[4 4 4 2 2 0 0 0 0 2 2 0]", "n": "[3 2 0 2]", "mask": "[1 1 1 1 1 0 0 0 0 1 1 0]",
		"amount": "[0 1 2 0 1 -1 -1 -1 -1 0 1 -1]", "gap": "[0 10 20 0 10 0 0 0 0 0 10 0]",
	} {
		if got := show(p, room, input); got != want {
			t.Errorf("%s is %s, want %s", input, got, want)
		}
	}
}

// TestBackgroundsThatCannotBeServed wants the line or the row named.
func TestBackgroundsThatCannotBeServed(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":      {"\n", "holds no row"},
		"no JSON":    {`{"plan": "gold"}` + "\n{", "typical.jsonl:2"},
		"a bad row":  {`{"plan": "gold"}` + "\n" + `{"plan": 7}`, `row 2: features["plan"]`},
		"1,001 rows": {strings.Repeat(`{"plan": "gold"}`+"\n", 1001), "more than 1000 rows"},
	} {
		dir := pipelinetest.Files(path["model.onnx"].Data, pathManifest+"  background: typical.jsonl\n", map[string]string{"typical.jsonl": c.text})
		if _, err := pipelinetest.Open(dir, pipeline.Limits{}); !errors.Is(err, bundle.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestCategoriesOfAMatrix wants categories as columns of a matrix of numbers.
func TestCategoriesOfAMatrix(t *testing.T) {
	g := pipelinetest.Graph([]bundle.Value{value("x", tensor.Float32, -1, 2)}, []bundle.Value{value("y", tensor.Float32, -1)})
	p, err := pipelinetest.Open(pipelinetest.Files(g, `row: {matrix_input: x, features: [{name: age, type: FEATURE_TYPE_FLOAT},
  {name: plan, type: FEATURE_TYPE_STRING, categories: [basic, gold], index: {first: 5, unknown: -1}}]}`, nil), pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	item, reports, err := p.Rows([]*structpb.Struct{row(t, `{"age": 30, "plan": "gold"}`), row(t, `{"age": 40, "plan": "iron"}`)})
	if err != nil || reports[0].Err != nil || codesOf(reports[1].Warnings) != `unseen_category features["plan"]` {
		t.Fatal(err, reports)
	}
	if got := show(p, item, "x"); got != "[30 6 40 -1]" {
		t.Errorf("matrix %s", got)
	}
}
