package main

import (
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// TestForecastIsTold serves the hourly starter model, which is told the weather
// ahead: rain lowers the forecast, a step beyond the horizon changes nothing, of
// fewer steps those that are told count, and rows of different length do not
// touch each other.
func TestForecastIsTold(t *testing.T) {
	d := start(t)
	f := readFiles(t, "../../models/demand_hourly")
	d.deploy("demand_hourly", f)
	fair := goldens(t, f)[0].GetFeatures()  // a week of hours, a day told
	short := goldens(t, f)[2].GetFeatures() // two days, six hours told
	ahead := func(row *structpb.Struct) *structpb.ListValue { return row.GetFields()["ahead"].GetListValue() }
	change := func(do func(steps *structpb.ListValue)) *structpb.Struct {
		row := proto.Clone(fair).(*structpb.Struct)
		do(ahead(row))
		return row
	}
	rain := change(func(steps *structpb.ListValue) {
		for _, step := range steps.GetValues() {
			step.GetStructValue().GetFields()["weather"] = structpb.NewStringValue("rain")
		}
	})
	more := change(func(steps *structpb.ListValue) {
		last := proto.Clone(steps.GetValues()[23]).(*structpb.Value)
		last.GetStructValue().GetFields()["weather"] = structpb.NewStringValue("rain")
		steps.Values = append(steps.Values, last)
	})
	fewer := change(func(steps *structpb.ListValue) { steps.Values = steps.GetValues()[:6] })

	score := func(opts *scoringv1.ScoreOptions, rows ...*structpb.Struct) []*scoringv1.ScoreResult {
		t.Helper()
		req := &scoringv1.ScoreRequest{Model: "demand_hourly", Options: opts}
		for _, row := range rows {
			req.Instances = append(req.Instances, &scoringv1.Instance{Features: row})
		}
		resp, err := d.scorer.Score(d.ctx(), req)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range resp.GetResults() {
			if r.GetError() != nil {
				t.Fatalf("row %d: %v", i, r.GetError())
			}
		}
		return resp.GetResults()
	}
	forecast := func(r *scoringv1.ScoreResult) *scoringv1.Forecast { return r.GetHeads()["demand"].GetForecast() }
	total := func(r *scoringv1.ScoreResult, points int) (sum float64) {
		for _, p := range forecast(r).GetPoints()[:points] {
			sum += p.GetValue()
		}
		return sum
	}
	warned := func(r *scoringv1.ScoreResult, code servingv1.WarningCode) bool {
		return slices.ContainsFunc(r.GetWarnings(), func(w *servingv1.Warning) bool {
			return w.GetCode() == code && strings.HasSuffix(w.GetField(), `features["ahead"]`)
		})
	}

	all := score(nil, fair, rain, more, fewer, short)
	for i, r := range all {
		if n := len(forecast(r).GetPoints()); n != 24 || forecast(r).GetStep().GetSeconds() != 3600 {
			t.Errorf("row %d: %d points, step %v", i, n, forecast(r).GetStep())
		}
		for _, p := range forecast(r).GetPoints() {
			if len(p.GetQuantiles()) != 7 || !slices.IsSorted(p.GetQuantiles()) || p.GetValue() != p.GetQuantiles()[3] {
				t.Errorf("row %d: %v", i, p)
			}
		}
	}
	if dry, wet := total(all[0], 24), total(all[1], 24); wet > 0.9*dry {
		t.Errorf("%g rentals in rain, %g without", wet, dry)
	}
	if !proto.Equal(forecast(all[0]), forecast(all[2])) || !warned(all[2], servingv1.WarningCode_WARNING_CODE_TRUNCATED) {
		t.Errorf("25 hours told come to %g, 24 to %g; warnings %v", total(all[2], 24), total(all[0], 24), all[2].GetWarnings())
	}
	if a, b := total(all[0], 6), total(all[3], 6); math.Abs(a-b) > 1e-3 || !warned(all[3], servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED) {
		t.Errorf("the first 6 hours come to %g where 24 are told, to %g where 6 are: %v", a, b, all[3].GetWarnings())
	}
	alone := score(nil, short)[0]
	for i, p := range forecast(alone).GetPoints() {
		if other := forecast(all[4]).GetPoints()[i].GetValue(); math.Abs(p.GetValue()-other) > 1e-3 {
			t.Errorf("point %d is %g alone, %g among longer rows", i, p.GetValue(), other)
		}
	}
	near := forecast(score(&scoringv1.ScoreOptions{Horizon: 3, Quantiles: []float64{0.1, 0.9}}, fair)[0])
	if len(near.GetPoints()) != 3 || !slices.Equal(near.GetLevels(), []float64{0.1, 0.9}) || near.GetPoints()[2].GetValue() != forecast(all[0]).GetPoints()[2].GetValue() {
		t.Errorf("a horizon of 3: %v", near)
	}
}
