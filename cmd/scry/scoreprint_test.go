package main

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/scry-ml/scry/bundle"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// TestNewHeadsPrinted prints a row of every kind of head for people and as CSV.
func TestNewHeadsPrinted(t *testing.T) {
	m, err := bundle.ParseManifest([]byte(`
graphs: {model: {file: m.onnx}}
heads:
  a_value: {source: model.x, value: {unit: EUR, log_normal: {mu_column: 0, sigma_column: 1, probability_column: 2}, quantiles: [0, 1], bands: [{name: low}], reasons: {}}}
  b_plain: {source: model.x, value: {}}
  c_group: {source: model.x, segment: {nearest: {}, clusters: [{name: near, centroid: [0]}]}}
  d_cell: {source: model.x, segment: {nearest: {}, grid_columns: 1, clusters: [{name: x, centroid: [0]}]}}
  e_offer: {source: model.x, uplift: {treatments: [{name: call}, {name: mail}, {name: gift}]}}
  f_weeks: {source: model.x, forecast: {horizon: 3, quantiles: [0.1, 0.9], mean: model.y}}
`))
	if err != nil {
		t.Fatal(err)
	}
	answered := &scoringv1.ScoreResult{}
	if err := protojson.Unmarshal([]byte(`{"id": "c1", "predictionId": "p", "heads": {
		"a_value": {"value": {"value": 12.5, "unit": "EUR", "interval": {"lower": 0, "upper": 30.25, "level": 0.8}, "positiveProbability": 0.75, "percentile": 60, "band": "low",
			"reasons": [{"feature": "tenure", "text": "How long", "contribution": -2.5}]}},
		"b_plain": {"value": {"value": 3}},
		"c_group": {"segment": {"name": "near", "title": "Near ones", "membership": 0.9, "distance": 1.5, "outlier": true}},
		"d_cell": {"segment": {"name": "x", "title": "x", "membership": 1, "cell": {"row": 2, "column": 3}}},
		"e_offer": {"uplift": {"best": "mail", "treatments": [{"name": "mail", "effect": 0.5, "expectedProfit": 7}, {"name": "call", "effect": 0.25, "expectedProfit": -1}]}},
		"f_weeks": {"forecast": {"unit": "orders", "levels": [0.5], "points": [{"value": 10, "quantiles": [9]}, {"value": 12.5, "quantiles": [11]}]}}}}`), answered); err != nil {
		t.Fatal(err)
	}
	opts := &scoringv1.ScoreOptions{
		Reasons: 2, Horizon: 2, Quantiles: []float64{0.5}, Treatments: []*scoringv1.TreatmentOption{{Name: "call"}, {Name: "mail"}},
	}
	for format, want := range map[string]string{
		"csv": `id,a_value,a_value_lower,a_value_upper,a_value_positive,a_value_percentile,a_value_band,a_value_reason_1,a_value_contribution_1,a_value_reason_2,a_value_contribution_2,` +
			`b_plain,c_group,c_group_membership,c_group_distance,c_group_outlier,d_cell,d_cell_membership,d_cell_distance,d_cell_outlier,` +
			`e_offer,e_offer_call_effect,e_offer_call_profit,e_offer_mail_effect,e_offer_mail_profit,f_weeks_1,f_weeks_1_q0.5,f_weeks_2,f_weeks_2_q0.5,prediction_id,model,version,error
c1,12.5,0,30.25,0.75,60,low,How long,-2.5,,,3,near,0.9,1.5,true,"x (2, 3)",1,0,false,mail,0.25,-1,0.5,7,10,9,12.5,11,p,,,
`,
		"table": `c1  12.500 EUR  0.000  30.250  0.750  60.0  low  How long (-2.50)  3.000  Near ones  0.900  1.500  yes  x (2, 3)  1.000  0.000  no  mail  0.250  -1.000  0.500  7.000  10 12.5 orders`,
	} {
		var out bytes.Buffer
		write, flush, err := scorePrinter(newOutput(nil, &out, &out, format, true), m, opts, servedFlag{})
		if err != nil {
			t.Fatal(err)
		}
		if err := write(answered, nil); err != nil {
			t.Fatal(err)
		}
		if err := flush(); err != nil {
			t.Fatal(err)
		}
		got := out.String()
		if format == "table" { // the titles and the widths are the table's business
			got = strings.Join(strings.Fields(strings.Split(got, "\n")[1]), " ")
			want = strings.Join(strings.Fields(want), " ")
		}
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", format, got, want)
		}
		// A head that the answer lacks is an empty cell, and nothing panics.
		if err := write(&scoringv1.ScoreResult{Id: "bare"}, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		x, most float64
		want    string
	}{
		{2, 2, "                │████████████████"},
		{1, 2, "                │████████"},
		{-1, 2, "        ████████│"},
		{0.001, 2, "                │█"},
		{0, 0, "                │"},
	} {
		if got := bar(c.x, c.most); got != c.want {
			t.Errorf("bar(%v, %v) is %q", c.x, c.most, got)
		}
	}
}
