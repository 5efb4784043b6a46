package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// goldens are the golden samples of a bundle.
func goldens(t *testing.T, f files) []*bundlev1.Golden {
	t.Helper()
	var out []*bundlev1.Golden
	in := bufio.NewScanner(bytes.NewReader(f["goldens.jsonl"]))
	for in.Scan() {
		g := &bundlev1.Golden{}
		if err := protojson.Unmarshal(in.Bytes(), g); err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	return out
}

// explainableChurn is the churn bundle with its golden samples as typical rows,
// one group, and without the contributions that its graph gives.
func explainableChurn(t *testing.T) files {
	t.Helper()
	f := churn(t)
	var background bytes.Buffer
	for _, g := range goldens(t, f) {
		line, err := protojson.Marshal(g.GetFeatures())
		if err != nil {
			t.Fatal(err)
		}
		background.Write(append(line, '\n'))
	}
	manifest := string(f["bundle.yaml"])
	manifest = replaced(t, manifest, "\nrow:\n", "\nrow:\n  groups: [{name: bill, features: [tenure, MonthlyCharges, TotalCharges]}]\n")
	manifest = replaced(t, manifest, "        contributions: model.contributions\n", "")
	return f.with("bundle.yaml", manifest).with("background.jsonl", background.String())
}

// replaced is a manifest in which something that it must have is something else.
func replaced(t *testing.T, manifest, old, with string) string {
	t.Helper()
	if !strings.Contains(manifest, old) {
		t.Fatalf("the manifest has no %q", old)
	}
	return strings.Replace(manifest, old, with, 1)
}

// TestExplain explains rows of the churn model, whose log-odds are a sum of one
// term a feature (the graph imputes TotalCharges from two others, so these three
// are one group): a Shapley value is then the term less the mean of the typical
// rows' terms, in whatever order features join.
func TestExplain(t *testing.T) {
	d := start(t)
	f := explainableChurn(t)
	d.deploy("why", f)
	samples := goldens(t, f)
	terms := func(g *bundlev1.Golden) []float64 { return g.GetOutputs()["model.contributions"].GetValues() }
	var instances []*scoringv1.Instance
	for i, g := range samples {
		instances = append(instances, &scoringv1.Instance{Id: fmt.Sprint(i), Features: g.GetFeatures()})
	}
	bad := customer(t, "bad")
	bad.Features.Fields["tenure"] = structpb.NewStringValue("long")
	resp, err := d.scorer.Explain(d.ctx(), &scoringv1.ExplainRequest{Model: "why", Instances: append(instances, bad), Options: &scoringv1.ExplainOptions{Language: "ru"}})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := bundle.ParseManifest(f["bundle.yaml"])
	if err != nil {
		t.Fatal(err)
	}
	bill := map[string]bool{"tenure": true, "MonthlyCharges": true, "TotalCharges": true}
	want := make([]map[string]float64, len(samples)) // by the name of a feature or a group
	for i := range want {
		want[i] = map[string]float64{}
		for k, feature := range manifest.GetRow().GetFeatures() {
			name := feature.GetName()
			if bill[name] {
				name = "bill"
			}
			want[i][name] += terms(samples[i])[k]
			for _, g := range samples {
				want[i][name] -= terms(g)[k] / float64(len(samples))
			}
		}
	}
	for i, g := range samples {
		e := resp.GetResults()[i]
		if e.GetError() != nil || e.GetId() != fmt.Sprint(i) || e.GetHead() != "churn" || e.GetScale() != scoringv1.Scale_SCALE_RAW_SCORE || e.GetPredictionId() == "" {
			t.Fatalf("row %d: %v", i, e)
		}
		if math.Abs(e.GetValue()-g.GetOutputs()["model.log_odds"].GetValues()[0]) > 1e-4 || math.Abs(e.GetAdditivityError()) > 1e-4 || e.GetBackgroundRows() != int32(len(samples)) || e.GetEvaluations() > 4096 {
			t.Errorf("row %d: %v", i, e)
		}
		if len(e.GetContributions()) != len(want[i]) {
			t.Fatalf("row %d: %d contributions", i, len(e.GetContributions()))
		}
		for _, c := range e.GetContributions() {
			if w, ok := want[i][c.GetFeature()]; !ok || math.Abs(c.GetContribution()-w) > 1e-4 {
				t.Errorf("row %d: %v, want %v", i, c, w)
			}
		}
		if s := e.GetServedBy(); len(s) != 1 || s[0].GetModel() != "why" || s[0].GetDevice() != "cpu" {
			t.Errorf("served by %v", s)
		}
	}
	wantItemError(t, resp.GetResults()[len(samples)].GetError(), codes.InvalidArgument, "FEATURE_TYPE", fmt.Sprintf("instances[%d].features[%q]", len(samples), "tenure"))

	// The same numbers are a score's reasons.
	scored, err := d.scorer.Score(d.ctx(), &scoringv1.ScoreRequest{Model: "why", Instances: instances, Options: &scoringv1.ScoreOptions{Reasons: 1, Language: "ru"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range samples {
		reasons, first := scored.GetResults()[i].GetHeads()["churn"].GetProbability().GetReasons(), resp.GetResults()[i].GetContributions()[0]
		if len(reasons) != 1 || reasons[0].GetText() == "" || math.Abs(reasons[0].GetContribution()) < math.Abs(first.GetContribution())/2 {
			t.Errorf("row %d: reasons %v, explained by %v", i, reasons, first)
		}
	}

	// Mixed rows are nobody's items.
	if _, metrics := d.get("/metrics"); !strings.Contains(metrics, fmt.Sprintf(`scry_items_total{model="why",outcome="ok",version="1"} %d`, len(samples))) {
		t.Errorf("more items than rows were scored:\n%s", metrics)
	}

	for name, c := range map[string]struct {
		req           *scoringv1.ExplainRequest
		code          codes.Code
		reason, field string
	}{
		"no rows":            {&scoringv1.ExplainRequest{Model: "why"}, codes.InvalidArgument, "FIELD_INVALID", "instances"},
		"101 rows":           {&scoringv1.ExplainRequest{Model: "why", Instances: manyCustomers(t, 101)}, codes.InvalidArgument, "FIELD_INVALID", "instances"},
		"no such head":       {&scoringv1.ExplainRequest{Model: "why", Instances: instances, Options: &scoringv1.ExplainOptions{Head: "leave"}}, codes.InvalidArgument, "HEAD_UNKNOWN", "options.head"},
		"no such number":     {&scoringv1.ExplainRequest{Model: "why", Instances: instances, Options: &scoringv1.ExplainOptions{Target: "leave"}}, codes.InvalidArgument, "TARGET_UNKNOWN", "options.target"},
		"too few":            {&scoringv1.ExplainRequest{Model: "why", Instances: instances, Options: &scoringv1.ExplainOptions{MaxEvaluations: 2}}, codes.InvalidArgument, "TOO_FEW_EVALUATIONS", "options.max_evaluations"},
		"too many":           {&scoringv1.ExplainRequest{Model: "why", Instances: instances, Options: &scoringv1.ExplainOptions{MaxEvaluations: 1_000_001}}, codes.InvalidArgument, "FIELD_INVALID", "options.max_evaluations"},
		"nobody's model":     {&scoringv1.ExplainRequest{Model: "nobody", Instances: instances}, codes.NotFound, "NOT_FOUND", ""},
		"no background rows": {&scoringv1.ExplainRequest{Model: "churn", Instances: instances}, codes.FailedPrecondition, "MODEL_UNSUITABLE", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.req.GetModel() == "churn" {
				f := churn(t)
				d.deploy("churn", f.with("bundle.yaml", replaced(t, string(f["bundle.yaml"]), "  background: background.jsonl\n", "")))
			}
			_, err := d.scorer.Explain(d.ctx(), c.req)
			wantError(t, err, c.code, c.reason, c.field)
		})
	}
}

// TestExplainChurn explains rows of the churn model as it stands, whose graph
// tells the terms of every row: what sampling finds is a term less its mean over
// the typical rows.
func TestExplainChurn(t *testing.T) {
	d := start(t)
	f := churn(t)
	d.deploy("churn", f)
	typical := 0.0
	means := map[string]float64{}
	terms := func(features []*structpb.Struct) []map[string]float64 {
		t.Helper()
		req := &scoringv1.ScoreRequest{Options: &scoringv1.ScoreOptions{Reasons: 100}}
		for _, row := range features {
			req.Instances = append(req.Instances, &scoringv1.Instance{Features: row})
		}
		resp, err := d.scorer.Score(d.ctx(), req)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]map[string]float64, len(features))
		for i, r := range resp.GetResults() {
			p := r.GetHeads()["churn"].GetProbability()
			out[i] = map[string]float64{"": p.GetRawScore()}
			for _, reason := range p.GetReasons() {
				out[i][reason.GetFeature()] = reason.GetContribution()
			}
		}
		return out
	}
	b, err := bundle.Open(os.DirFS("../../models/churn"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := b.Background()
	if err != nil || len(rows) != 100 {
		t.Fatalf("%d typical rows, %v", len(rows), err)
	}
	for _, row := range terms(rows) {
		typical += row[""] / float64(len(rows))
		for name, x := range row {
			means[name] += x / float64(len(rows))
		}
	}
	var whole []*structpb.Struct // whose total is given; where it is not, it follows from two others
	for _, g := range goldens(t, f) {
		if total := g.GetFeatures().GetFields()["TotalCharges"]; total.GetNumberValue() != 0 {
			whole = append(whole, g.GetFeatures())
		}
	}
	want := terms(whole)
	var instances []*scoringv1.Instance
	for _, row := range whole {
		instances = append(instances, &scoringv1.Instance{Features: row})
	}
	resp, err := d.scorer.Explain(d.ctx(), &scoringv1.ExplainRequest{Instances: instances, Model: "churn"})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range resp.GetResults() {
		if e.GetError() != nil || e.GetBackgroundRows() != 100 || math.Abs(e.GetBaseValue()-typical) > 1e-4 || math.Abs(e.GetValue()-want[i][""]) > 1e-4 || len(e.GetContributions()) != 19 {
			t.Fatalf("row %d: %v, the mean score is %v", i, e, typical)
		}
		for _, c := range e.GetContributions() {
			if w := want[i][c.GetFeature()] - means[c.GetFeature()]; math.Abs(c.GetContribution()-w) > 1e-4 {
				t.Errorf("row %d: %v, want %v", i, c, w)
			}
		}
	}
}

func manyCustomers(t *testing.T, n int) []*scoringv1.Instance {
	t.Helper()
	out := make([]*scoringv1.Instance, n)
	for i := range out {
		out[i] = customer(t, fmt.Sprint(i))
	}
	return out
}

// TestThousandRows sends a thousand rows, ten of them bad in ten ways: 990 are
// scored.
func TestThousandRows(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	rows := manyCustomers(t, 1000)
	bad := map[int]struct {
		field  string
		value  *structpb.Value
		reason string
	}{
		0:   {"tenure", structpb.NewStringValue("long"), "FEATURE_TYPE"},
		99:  {"tenure", structpb.NewNumberValue(1.5), "FEATURE_TYPE"},
		100: {"tenure", structpb.NewNumberValue(math.NaN()), "FEATURE_RANGE"},
		250: {"MonthlyCharges", structpb.NewNumberValue(math.Inf(1)), "FEATURE_RANGE"},
		251: {"MonthlyCharges", structpb.NewNumberValue(1e300), "FEATURE_RANGE"},
		500: {"tenure", structpb.NewNumberValue(math.MaxInt64), "FEATURE_RANGE"},
		501: {"Contract", structpb.NewNumberValue(1), "FEATURE_TYPE"},
		502: {"Contract", structpb.NewListValue(&structpb.ListValue{}), "FEATURE_TYPE"},
		503: {"tenure", structpb.NewNullValue(), "FEATURE_MISSING"},
		999: {"tenure", structpb.NewBoolValue(true), "FEATURE_TYPE"},
	}
	for i, b := range bad {
		rows[i].Features.Fields[b.field] = b.value
	}
	resp, err := d.scorer.Score(d.ctx(), &scoringv1.ScoreRequest{Instances: rows})
	if err != nil {
		t.Fatal(err)
	}
	good := 0
	for i, r := range resp.GetResults() {
		if b, is := bad[i]; is {
			wantItemError(t, r.GetError(), codes.InvalidArgument, b.reason, fmt.Sprintf("instances[%d].features[%q]", i, b.field))
			continue
		}
		if err := checkScore(r); err != nil {
			t.Error(err)
			continue
		}
		good++
	}
	if good != 990 {
		t.Errorf("%d rows were scored", good)
	}
}

// TestEvents scores customers' paths by a graph that looks ids up, and sends one
// of a million events.
func TestEvents(t *testing.T) {
	d := start(t)
	f := graph(t, "gather").with("bundle.yaml", `
graphs:
  model:
    file: model.onnx
    inputs: {ids: {batch_axis: 0, sequence_axis: 1}}
    outputs: {y: {batch_axis: 0, sequence_axis: 1}}
heads: {first: {source: model.y, value: {column: 0}}}
row:
  features:
  - name: path
    type: FEATURE_TYPE_SEQUENCE
    max_events: 4
    fields: [{name: kind, input: ids, type: FEATURE_TYPE_STRING, categories: [view, buy], index: {first: 1, unknown: 0}}]
`)
	d.deploy("path", f)
	path := func(kinds ...string) *scoringv1.Instance {
		list := &structpb.ListValue{}
		for _, kind := range kinds {
			list.Values = append(list.Values, structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"kind": structpb.NewStringValue(kind)}}))
		}
		return &scoringv1.Instance{Features: &structpb.Struct{Fields: map[string]*structpb.Value{"path": structpb.NewListValue(list)}}}
	}
	score := func(in ...*scoringv1.Instance) []*scoringv1.ScoreResult {
		t.Helper()
		resp, err := d.scorer.Score(d.ctx(), &scoringv1.ScoreRequest{Model: "path", Instances: in})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetResults()
	}
	value := func(r *scoringv1.ScoreResult) float64 { return r.GetHeads()["first"].GetValue().GetValue() }
	alone := map[string]float64{}
	for _, kind := range []string{"view", "buy", "leave"} {
		alone[kind] = value(score(path(kind))[0])
	}
	if alone["view"] == alone["buy"] || alone["view"] == alone["leave"] {
		t.Fatalf("the graph gives %v", alone)
	}
	long := strings.Split(strings.Repeat("view,", 4)+"buy,view,leave,view", ",") // 8 events, of which the last 4 count
	results := score(path("buy"), path(long...), path("leave", "view", "view"), path())
	for i, want := range []struct {
		value float64
		warns []servingv1.WarningCode
	}{
		{alone["buy"], nil},
		{alone["buy"], []servingv1.WarningCode{servingv1.WarningCode_WARNING_CODE_TRUNCATED, servingv1.WarningCode_WARNING_CODE_UNSEEN_CATEGORY}},
		{alone["leave"], []servingv1.WarningCode{servingv1.WarningCode_WARNING_CODE_UNSEEN_CATEGORY}},
		{alone["leave"], []servingv1.WarningCode{servingv1.WarningCode_WARNING_CODE_COLD_START}}, // padding is 0, as the unknown is
	} {
		var codes []servingv1.WarningCode
		for _, w := range results[i].GetWarnings() {
			codes = append(codes, w.GetCode())
		}
		if results[i].GetError() != nil || value(results[i]) != want.value || fmt.Sprint(codes) != fmt.Sprint(want.warns) {
			t.Errorf("path %d: %v, want %v %v", i, results[i], want.value, want.warns)
		}
	}

	const many = 1_000_000
	table := &scoringv1.Table{Rows: 3, Columns: []*scoringv1.Column{{Name: "path", Data: &scoringv1.Column_Sequences{Sequences: &scoringv1.Sequences{
		Offsets: []uint32{0, 1, many + 1, many + 2},
		Fields: []*scoringv1.Column{{Name: "kind", Data: &scoringv1.Column_Strings{Strings: &scoringv1.Strings{
			Dictionary: []string{"view"}, Indices: make([]uint32, many+2),
		}}}},
	}}}}}
	resp, err := d.scorer.Score(d.ctx(), &scoringv1.ScoreRequest{Model: "path", Table: table})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(resp.GetTable().GetErrors()); n != 1 || resp.GetTable().GetErrors()[0].GetRow() != 1 {
		t.Fatalf("errors %v", resp.GetTable().GetErrors())
	}
	wantItemError(t, resp.GetTable().GetErrors()[0].GetError(), codes.InvalidArgument, "SEQUENCE_TOO_LONG", "table.rows[1].table.columns[0]")
	if v := resp.GetTable().GetHeads()["first"].GetValue().GetValues(); v[0] != alone["view"] || v[1] != 0 || v[2] != alone["view"] {
		t.Errorf("values %v", v)
	}
}
