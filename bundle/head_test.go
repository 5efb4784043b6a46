package bundle

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// headManifest has heads over p[N,2]; what TestHeadsThatCannotBeServed changes
// is one thing at a time.
const headManifest = `graphs: {model: {file: m.onnx}}
heads:
  spend:
    source: model.p
    value: {quantile_interval: {lower_column: 0, upper_column: 1, level: 0.8}, quantiles: [0, 1, 2], bands: [{name: low, min_value: 0}, {name: top, min_value: 9}],
      reasons: {codes: [{feature: both, code: BOTH}]}}
  ltv: {source: model.p, value: {log_normal: {mu_column: 0, sigma_column: 1}}}
  group: {source: model.p, segment: {nearest: {}, clusters: [{name: one, centroid: [0, 0]}, {name: two, centroid: [1, 1]}]}}
  mix: {source: model.p, segment: {mixture: {}, clusters: [{name: one, centroid: [0, 0], variance: [1]}, {name: two, centroid: [1, 1], variance: [2, 3]}]}}
  offers: {source: model.p, uplift: {level: 0.9, control_column: 0, treatments: [{name: mail, column: 1}, {name: call, column: 1, lower_column: 0, upper_column: 1}]}}
  weeks: {source: model.p, forecast: {horizon: 1, quantiles: [0.4, 0.6], step: 3600s}}
row:
  background: typical.jsonl
  groups: [{name: both, features: [plan, age]}]
  features:
    - {name: age, type: FEATURE_TYPE_FLOAT}
    - {name: plan, type: FEATURE_TYPE_STRING, categories: [a, b]}
`

func TestHeads(t *testing.T) {
	b, err := Open(dir(headManifest, map[string]string{"typical.jsonl": `{"age": 1}` + "\n\n" + `{"plan": "a"}`}))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.Files(), " "); got != "bundle.yaml m.onnx typical.jsonl" {
		t.Errorf("files: %s", got)
	}
	rows, err := b.Background()
	if err != nil || len(rows) != 2 || rows[1].GetFields()["plan"].GetStringValue() != "a" {
		t.Errorf("%v, %v", rows, err)
	}
	m := b.Manifest.GetHeads()["weeks"]
	m.GetForecast().Mean = "model.mean"
	if got := fmt.Sprint(Reads(m)); got != "[model.p model.mean]" {
		t.Errorf("reads %s", got)
	}
}

// TestHeadsThatCannotBeServed wants the field named.
func TestHeadsThatCannotBeServed(t *testing.T) {
	for _, c := range []struct{ old, new, field string }{
		{"upper_column: 1, level: 0.8", "upper_column: 2, level: 0.8", `heads["spend"].value.quantile_interval.upper_column`},
		{"level: 0.8", "level: 1", "level"},
		{"quantiles: [0, 1, 2]", "quantiles: [0]", `heads["spend"].value.quantiles`},
		{"min_value: 9", "min_value: -1", `heads["spend"].value.bands[1]`},
		{"{feature: both", "{feature: neither", `heads["spend"].value.reasons.codes[0].feature`},
		{"  background: typical.jsonl\n", "", `heads["spend"].value.reasons`},
		{"typical.jsonl", "typo.jsonl", "row.background"},
		{"features: [plan, age]", "features: [plan, plans]", "row.groups[0].features[1]"},
		{"name: both, features: [plan, age]", "name: age, features: [plan]", "row.groups[0].name"},
		{"{mu_column: 0, sigma_column: 1}", "{mu_column: 1, sigma_column: 1}", `heads["ltv"].value.log_normal`},
		{"{mu_column: 0, sigma_column: 1}", "{mu_column: 0, sigma_column: 2}", `heads["ltv"].value.log_normal.sigma_column`},
		{"{mu_column: 0, sigma_column: 1}", "{mu_column: 0, sigma_column: 1, probability_column: 7}", `heads["ltv"].value.log_normal.probability_column`},
		{"{name: two, centroid: [1, 1]}", "{name: one, centroid: [1, 1]}", `heads["group"].segment.clusters[1].name`},
		{"{name: two, centroid: [1, 1]}", "{name: two, centroid: [1]}", `heads["group"].segment.clusters[1].centroid`},
		{"{name: two, centroid: [1, 1]}", "{name: two, centroid: [1, 1], variance: [1]}", `heads["group"].segment.clusters[1]`},
		{"segment: {nearest: {}", "segment: {grid_columns: 3, nearest: {}", `heads["group"].segment.grid_columns`},
		{"variance: [2, 3]", "variance: [2, 3, 4]", `heads["mix"].segment.clusters[1].variance`},
		{"variance: [2, 3]", "variance: [2, 0]", "variance"},
		{"variance: [2, 3]", "variance: [2, 3], weight: 1", `heads["mix"].segment.clusters[1].weight`},
		{"control_column: 0", "control_column: 5", `heads["offers"].uplift.control_column`},
		{"{name: mail, column: 1}", "{name: call, column: 1}", `heads["offers"].uplift.treatments[1].name`},
		{"{name: mail, column: 1}", "{name: mail, column: 3}", `heads["offers"].uplift.treatments[0].column`},
		{"{name: mail, column: 1}", "{name: mail, lower_column: 1}", `heads["offers"].uplift.treatments[0]`},
		{"uplift: {level: 0.9, ", "uplift: {", `heads["offers"].uplift.level`},
		{"horizon: 1", "horizon: 2", `heads["weeks"].forecast`},
		{"[0.4, 0.6]", "[0.6, 0.4]", `heads["weeks"].forecast.quantiles[1]`},
		{"[0.4, 0.6]", "[0.6, 0.7]", `heads["weeks"].forecast.quantiles`},
		{"[0.4, 0.6]", "[0.4, 0.6], mean: model.nothing", `heads["weeks"].forecast.mean`},
		{"[0.4, 0.6]", "[0.4, 0.6], mean: model.p", `heads["weeks"].forecast.mean`},
		{"step: 3600s", "step: 0s", `heads["weeks"].forecast.step`},
	} {
		if !strings.Contains(headManifest, c.old) {
			t.Fatalf("the manifest has no %q", c.old)
		}
		_, err := Open(dir(strings.Replace(headManifest, c.old, c.new, 1), map[string]string{"typical.jsonl": "{}"}))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%q for %q: %v, want %s", c.new, c.old, err, c.field)
		}
	}
}

const targetsManifest = `graphs: {model: {file: m.onnx}}
heads:
  towards: {source: model.tokens, targets: {negative: 0, neutral: 1, positive: 2}}
text: {tokenizer: tokenizer.json, max_length: 16}
`

// TestTargetsHeads wants a head of token logits checked against its graph.
func TestTargetsHeads(t *testing.T) {
	for _, c := range []struct {
		old, new, field string
		axes            []int64
	}{
		{"", "", "", []int64{-1, -1, 3}},
		{"", "", `heads["towards"].source`, []int64{-1, 3}},
		{"positive: 2", "positive: 3", `heads["towards"].targets.positive`, []int64{-1, -1, 3}},
		{"positive: 2", "positive: 1", `heads["towards"].targets`, []int64{-1, -1, 3}},
		{"text: {tokenizer: tokenizer.json, max_length: 16}\n", "", `heads["towards"].targets`, []int64{-1, -1, 3}},
	} {
		graph := model(message{}.bytes(1, nodeOf("X")).bytes(11, value("input_ids", 7, -1, -1)).bytes(12, value("tokens", 1, c.axes...)))
		files := dir(strings.Replace(targetsManifest, c.old, c.new, 1), map[string]string{"m.onnx": string(graph), "tokenizer.json": "{}"})
		switch _, err := Open(files); {
		case c.field == "" && err != nil:
			t.Error(err)
		case c.field != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.field)):
			t.Errorf("%q for %q: %v, want %s", c.new, c.old, err, c.field)
		}
	}
}
