package scoring_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"pgregory.net/rapid"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/scoring"
	"github.com/scry-ml/scry/tensor"
)

// marketing has the heads that echo the row: x is its features.
const marketing = `
heads:
  ltv: {source: model.x, value: {unit: EUR, log_normal: {probability_column: 0, mu_column: 1, sigma_column: 2, level: 0.5},
    quantiles: [0, 10, 20], bands: [{name: low, min_value: 5}, {name: high, min_value: 50}]}}
  logit: {source: model.x, value: {log_normal: {probability_column: 0, mu_column: 1, sigma_column: 2, probability_activation: ACTIVATION_SIGMOID, softplus_sigma: true}}}
  orders: {source: model.x, value: {column: 0, quantile_interval: {lower_column: 1, upper_column: 2, level: 0.9}}}
  group:
    source: model.x
    segment:
      nearest: {temperature: 0.5}
      outlier_distance: 2
      clusters:
      - {name: near, centroid: [0, 0, 0], title: {en: Near ones, ru: Близкие}, description: {en: At home}}
      - {name: far, centroid: [3, 0, 0]}
      - {name: up, centroid: [0, 3, 0]}
      - {name: down, centroid: [0, -4, 0]}
      - {name: away, centroid: [0, 0, 9]}
  mixed: {source: model.x, segment: {mixture: {}, clusters: [
    {name: wide, centroid: [0, 0, 0], variance: [4, 4, 4], weight: 0.25}, {name: narrow, centroid: [1, 0, 0], variance: [0.25], weight: 0.75}]}}
  map: {source: model.x, segment: {nearest: {}, grid_columns: 2, clusters: [
    {name: a, centroid: [0, 0, 0]}, {name: a, centroid: [1, 0, 0]}, {name: b, centroid: [0, 1, 0]}, {name: c, centroid: [1, 1, 0]}]}}
  offers:
    source: model.x
    uplift:
      control_column: 0
      level: 0.8
      value: -100
      currency: EUR
      treatments:
      - {name: call, column: 1, cost: 10, title: {en: A call}}
      - {name: mail, column: 2, cost: 1, lower_column: 0, upper_column: 1}
  effects: {source: model.x, uplift: {unit: visits, treatments: [{name: mail, column: 1}, {name: gift, column: 2, cost: 0.5}]}}
  weeks: {source: model.series, forecast: {unit: orders, horizon: 3, quantiles: [0.1, 0.5, 0.9], step: 604800s}}
  days: {source: model.series, forecast: {horizon: 3, quantiles: [0.1, 0.5, 0.9], mean: model.x}}
  plain: {source: model.x, forecast: {horizon: 3}}
row:
  features: [{name: a, type: FEATURE_TYPE_FLOAT}, {name: b, type: FEATURE_TYPE_FLOAT}, {name: c, type: FEATURE_TYPE_FLOAT}]
  matrix_input: in
`

var marketingGraph = pipelinetest.Graph([]bundle.Value{value("in", tensor.Float64, -1, 3)}, []bundle.Value{
	value("x", tensor.Float64, -1, 3), value("series", tensor.Float64, -1, 3, 3),
})

// echo gives x = (a, b, c) and series[t][q] = x[t] + (1, 0, -1)[q], whose
// quantiles stand in the wrong order.
func echo(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
	x := tensor.View[float64](in[0])
	n := int64(len(x) / 3)
	var series []float64
	for _, v := range x {
		series = append(series, v+1, v, v-1)
	}
	out := make([]tensor.Tensor, 2)
	out[0], _ = tensor.From(x, n, 3)
	out[1], _ = tensor.From(series, n, 3, 3)
	return out, nil
}

func marketer(t testing.TB, rest string) *pipelinetest.Model {
	t.Helper()
	return pipelinetest.NewModel(t, pipelinetest.Files(marketingGraph, marketing+rest, nil), echo)
}

// sigma is a standard deviation's graph output whose softplus is 0.5.
var sigma = math.Log(math.Expm1(0.5))

func TestValues(t *testing.T) {
	m := marketer(t, "")
	const z75, z90 = 0.674489750196082, 1.2815515655446004 // of the standard normal distribution
	for _, c := range []struct {
		name, head   string
		a, b, c      float64
		value        float64
		lower, upper float64
		level        float64
		positive     float64 // -1 = unset
		percentile   float64 // -1 = unset
		band         string
	}{
		{"never zero", "ltv", 1, 2, 0.5, math.Exp(2 + 0.125), math.Exp(2 - 0.5*z75), math.Exp(2 + 0.5*z75), 0.5, 1, 41.86, "low"},
		{"surely zero", "ltv", 0, 2, 0.5, 0, 0, 0, 0.5, 0, 0, "low"},
		// Half are zero: the upper quarter is the upper half of the others.
		{"half zero", "ltv", 0.5, 5, 0.5, math.Exp(5+0.125) / 2, 0, math.Exp(5), 0.5, 0.5, 100, "high"},
		{"log-odds and softplus", "logit", 0, 1, sigma, math.Exp(1+0.125) / 2, 0, math.Exp(1 + 0.5*0.8416212335729143), 0.8, 0.5, -1, ""},
		{"surely above zero", "logit", 800, 1, sigma, math.Exp(1 + 0.125), math.Exp(1 - 0.5*z90), math.Exp(1 + 0.5*z90), 0.8, 1, -1, ""},
		{"columns", "orders", 4, 1, 6, 4, 1, 6, 0.9, -1, -1, ""},
		{"ends in the wrong order", "orders", 4, 6, 1, 4, 1, 6, 0.9, -1, -1, ""},
	} {
		v := one(t, m, abc(c.a, c.b, c.c), &scoringv1.ScoreOptions{Heads: []string{c.head}}).GetHeads()[c.head].GetValue()
		if !near(v.GetValue(), c.value) || !near(v.GetInterval().GetLower(), c.lower) || !near(v.GetInterval().GetUpper(), c.upper) || v.GetInterval().GetLevel() != c.level {
			t.Errorf("%s: %v, want %v in %v to %v", c.name, v, c.value, c.lower, c.upper)
		}
		if (v.PositiveProbability == nil) != (c.positive < 0) || c.positive >= 0 && !near(v.GetPositiveProbability(), c.positive) {
			t.Errorf("%s: above zero with %v, want %v", c.name, v.PositiveProbability, c.positive)
		}
		if (v.Percentile == nil) != (c.percentile < 0) || c.percentile >= 0 && math.Abs(v.GetPercentile()-c.percentile) > 0.01 {
			t.Errorf("%s: percentile %v, want %v", c.name, v.GetPercentile(), c.percentile)
		}
		if v.GetBand() != c.band {
			t.Errorf("%s: band %q, want %q", c.name, v.GetBand(), c.band)
		}
	}
	for name, row := range map[string]*scoringv1.Instance{"negative sigma": abc(1, 0, -1), "no probability": abc(1.5, 0, 1), "beyond all numbers": abc(1, 1000, 1)} {
		_, errs, err := scoring.Score(t.Context(), m, []*scoringv1.Instance{row}, &scoringv1.ScoreOptions{Heads: []string{"ltv"}}, 0)
		if err != nil || errs[0] == nil || !strings.Contains(errs[0].Error(), "unusable model output") {
			t.Errorf("%s: %v %v", name, errs, err)
		}
	}
}

func TestSegments(t *testing.T) {
	m := marketer(t, "")
	opts := &scoringv1.ScoreOptions{Heads: []string{"group", "mixed", "map"}, Language: "ru"}
	r := one(t, m, abc(1, 0, 0), opts)
	g := r.GetHeads()["group"].GetSegment()
	// Squared distances 1, 4, 10, 17, 82 at a temperature of 0.5.
	sum := math.Exp(-2) + math.Exp(-8) + math.Exp(-20) + math.Exp(-34) + math.Exp(-164)
	if g.GetName() != "near" || g.GetTitle() != "Близкие" || g.GetDescription() != "At home" || g.GetOutlier() || g.GetCell() != nil ||
		!near(g.GetDistance(), 1) || !near(g.GetMembership(), math.Exp(-2)/sum) {
		t.Errorf("segment %v", g)
	}
	var others []string
	for _, a := range g.GetAlternatives() {
		others = append(others, fmt.Sprintf("%s %s %.4f %.2g", a.GetName(), a.GetTitle(), a.GetDistance(), a.GetMembership()*sum))
	}
	if got := strings.Join(others, ", "); got != "far far 2.0000 0.00034, up up 3.1623 2.1e-09, down down 4.1231 1.7e-15" {
		t.Errorf("alternatives %s", got)
	}
	if len(r.GetWarnings()) != 0 {
		t.Errorf("warnings %v", r.GetWarnings())
	}
	// Densities without their common factor: 0.25/8 exp(-1/8) and 0.75/0.125.
	wide, narrow := 0.25/8*math.Exp(-1.0/8), 0.75/0.125
	x := r.GetHeads()["mixed"].GetSegment()
	if x.GetName() != "narrow" || !near(x.GetMembership(), narrow/(wide+narrow)) || !near(x.GetDistance(), 0) || !near(x.GetAlternatives()[0].GetDistance(), 0.5) {
		t.Errorf("mixture %v", x)
	}
	// Far out the wide one is likelier, though the narrow one's centre is nearer.
	if x := one(t, m, abc(5, 0, 0), opts).GetHeads()["mixed"].GetSegment(); x.GetName() != "wide" || !near(x.GetDistance(), 2.5) {
		t.Errorf("mixture %v", x)
	}
	c := one(t, m, abc(0, 0.9, 0), opts).GetHeads()["map"].GetSegment()
	if c.GetName() != "b" || c.GetCell().GetRow() != 1 || c.GetCell().GetColumn() != 0 || c.GetAlternatives()[1].GetCell() == nil {
		t.Errorf("cell %v", c)
	}
	// Beyond all numbers of exp, the nearest is still the nearest.
	out := one(t, m, abc(0, 0, 1e6), opts)
	if g := out.GetHeads()["group"].GetSegment(); g.GetName() != "away" || !g.GetOutlier() || g.GetMembership() != 1 {
		t.Errorf("segment %v", g)
	}
	if w := out.GetWarnings(); len(w) != 1 || w[0].GetCode().String() != "WARNING_CODE_LOW_SUPPORT" || w[0].GetField() != "instances[0]" {
		t.Errorf("warnings %v", w)
	}
}

func TestUplift(t *testing.T) {
	m := marketer(t, "")
	f := func(x float64) *float64 { return &x }
	for _, c := range []struct {
		name       string
		head       string
		row        *scoringv1.Instance
		treatments []*scoringv1.TreatmentOption
		want       string // best: name effect profit interval, …
	}{
		{"a call is worth it", "offers", abc(0.5, 0.25, 0.375), nil, "call: call -0.25 15 -; mail -0.125 11.5 0.25..0.5 of 0.8; baseline 0.5 EUR"},
		{"nothing is", "offers", abc(0.5, 0.5, 0.5), nil, ": mail 0 -1 0.5..0.5 of 0.8; call 0 -10 -; baseline 0.5 EUR"},
		{"a dear call", "offers", abc(0.5, 0.25, 0.375), []*scoringv1.TreatmentOption{{Name: "call", Cost: f(20)}, {Name: "mail"}}, "mail: mail -0.125 11.5 0.25..0.5 of 0.8; call -0.25 5 -; baseline 0.5 EUR"},
		{"a dear customer", "offers", abc(0.5, 0.25, 0.375), []*scoringv1.TreatmentOption{{Name: "call", Value: f(-1000)}}, "call: call -0.25 240 -; baseline 0.5 EUR"},
		{"effects as they are", "effects", abc(9, 0.25, 1), nil, "gift: gift 1 0.5 -; mail 0.25 0.25 -; "},
	} {
		u := one(t, m, c.row, &scoringv1.ScoreOptions{Heads: []string{c.head}, Treatments: c.treatments}).GetHeads()[c.head].GetUplift()
		var got strings.Builder
		got.WriteString(u.GetBest() + ": ")
		for _, e := range u.GetTreatments() {
			interval := "-"
			if i := e.GetInterval(); i != nil {
				interval = fmt.Sprintf("%v..%v of %v", i.GetLower(), i.GetUpper(), i.GetLevel())
			}
			got.WriteString(fmt.Sprintf("%s %v %v %s; ", e.GetName(), e.GetEffect(), e.GetExpectedProfit(), interval))
		}
		if u.Baseline != nil {
			got.WriteString(fmt.Sprintf("baseline %v %s", u.GetBaseline(), u.GetCurrency()))
		}
		if got.String() != c.want {
			t.Errorf("%s: %q, want %q", c.name, got.String(), c.want)
		}
	}
	if e := one(t, m, abc(0, 0, 0), nil).GetHeads()["offers"].GetUplift().GetTreatments(); e[1].GetTitle() != "A call" || e[0].GetTitle() != "mail" || e[1].GetCost() != 10 {
		t.Errorf("treatments %v", e)
	}
}

func TestForecasts(t *testing.T) {
	m := marketer(t, "")
	for _, c := range []struct {
		name, head string
		opts       *scoringv1.ScoreOptions
		want       string
	}{
		{"sorted", "weeks", &scoringv1.ScoreOptions{}, "10 [9 10 11], 20 [19 20 21], 30 [29 30 31] at [0.1 0.5 0.9] orders 168h0m0s"},
		{"horizon", "weeks", &scoringv1.ScoreOptions{Horizon: 2}, "10 [9 10 11], 20 [19 20 21] at [0.1 0.5 0.9] orders 168h0m0s"},
		{"other quantiles", "weeks", &scoringv1.ScoreOptions{Horizon: 1, Quantiles: []float64{0.3, 0.9}}, "10 [9.5 11] at [0.3 0.9] orders 168h0m0s"},
		{"a mean of its own", "days", &scoringv1.ScoreOptions{Horizon: 1, Quantiles: []float64{0.1}}, "10 [9] at [0.1]  0s"},
		{"points alone", "plain", &scoringv1.ScoreOptions{}, "10 [], 20 [], 30 [] at []  0s"},
	} {
		c.opts.Heads = []string{c.head}
		f := one(t, m, abc(10, 20, 30), c.opts).GetHeads()[c.head].GetForecast()
		var points []string
		for _, p := range f.GetPoints() {
			points = append(points, fmt.Sprint(p.GetValue(), " ", p.GetQuantiles()))
		}
		if got := fmt.Sprintf("%s at %v %s %v", strings.Join(points, ", "), f.GetLevels(), f.GetUnit(), f.GetStep().AsDuration()); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	m := marketer(t, "")
	for want, opts := range map[string]*scoringv1.ScoreOptions{
		"HORIZON_TOO_LONG options.horizon":             {Horizon: 4},
		"QUANTILE_UNKNOWN options.quantiles[1]":        {Heads: []string{"weeks"}, Quantiles: []float64{0.5, 0.95}},
		"QUANTILE_UNKNOWN options.quantiles":           {Heads: []string{"plain"}, Quantiles: []float64{0.5}},
		"FIELD_INVALID options.quantiles[1]":           {Heads: []string{"weeks"}, Quantiles: []float64{0.5, 0.5}},
		"TREATMENT_UNKNOWN options.treatments[1].name": {Treatments: []*scoringv1.TreatmentOption{{Name: "gift"}, {Name: "yacht"}}},
		"FEATURE_TWICE options.treatments[1].name":     {Treatments: []*scoringv1.TreatmentOption{{Name: "gift"}, {Name: "gift"}}},
	} {
		if _, _, err := scoring.Score(t.Context(), m, []*scoringv1.Instance{abc(0, 0, 0)}, opts, 0); reasonOf(err) != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if _, _, err := scoring.ScoreTable(t.Context(), m, table([]float64{1}, []float64{1}, []float64{1}), opts, 0, 0); reasonOf(err) != want {
			t.Errorf("table: error %v, want %s", err, want)
		}
	}
}

// TestNewHeadsOfATable wants every number of a table's answer to be that of the
// same rows sent as instances.
func TestNewHeadsOfATable(t *testing.T) {
	m := marketer(t, "")
	opts := &scoringv1.ScoreOptions{Horizon: 2, Quantiles: []float64{0.25, 0.5}, Treatments: []*scoringv1.TreatmentOption{{Name: "mail"}, {Name: "gift"}, {Name: "call"}}}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(rt, "rows")
		var a, b, c []float64
		var rows []*scoringv1.Instance
		for range n {
			x := rapid.SampledFrom([]float64{0, 0.25, 1, 3, math.NaN()}).Draw(rt, "a")
			y, z := rapid.Float64Range(-5, 5).Draw(rt, "b"), rapid.Float64Range(-1, 9).Draw(rt, "c")
			a, b, c = append(a, x), append(b, y), append(c, z)
			row := abc(x, y, z)
			if math.IsNaN(x) {
				delete(row.Features.Fields, "a")
			}
			rows = append(rows, row)
		}
		results, errs, err := scoring.Score(t.Context(), m, rows, opts, 0)
		if err != nil {
			rt.Fatal(err)
		}
		got, failed, err := scoring.ScoreTable(t.Context(), m, table(a, b, c), opts, 0, 0)
		if err != nil {
			rt.Fatal(err)
		}
		outliers := int64(0)
		for i := range rows {
			if (errs[i] == nil) != (failed[i] == nil) {
				rt.Fatalf("row %d: %v as an instance, %v in a table", i, errs[i], failed[i])
			}
			for name, h := range got.GetHeads() {
				want := results[i].GetHeads()[name]
				if w := want.GetSegment(); w.GetOutlier() {
					outliers++
				}
				mine := rowOf(h, i, want == nil)
				if x, y := protojson.Format(mine), protojson.Format(want); want != nil && x != y {
					rt.Fatalf("row %d of %s: %s in a table, %s as an instance", i, name, x, y)
				}
				if want == nil && strings.ContainsAny(fmt.Sprint(mine), "123456789") {
					rt.Fatalf("row %d of %s failed and holds %v", i, name, mine)
				}
			}
		}
		found := int64(0)
		for _, w := range got.GetWarnings() {
			if w.GetWarning().GetCode().String() == "WARNING_CODE_LOW_SUPPORT" {
				found += w.GetCount()
			}
		}
		if found != outliers {
			rt.Fatalf("%d outliers in a table, %d as instances", found, outliers)
		}
	})
}

// rowOf is a row of a table's head as it would be answered alone. A bare one has
// only what a failed row may hold: zeros.
func rowOf(h *scoringv1.HeadColumns, i int, bare bool) *scoringv1.Head {
	at := func(c []float64, i int) *float64 {
		if c == nil {
			return nil
		}
		return &c[i]
	}
	switch k := h.GetKind().(type) {
	case *scoringv1.HeadColumns_Value:
		v := k.Value
		out := &scoringv1.Value{Value: v.GetValues()[i], Unit: v.GetUnit(), Percentile: at(v.GetPercentile(), i), PositiveProbability: at(v.GetPositiveProbability(), i)}
		if v.Lower != nil {
			out.Interval = &scoringv1.Interval{Lower: v.GetLower()[i], Upper: v.GetUpper()[i], Level: v.GetLevel()}
		}
		if v.Band != nil {
			out.Band = v.GetBandNames()[v.GetBand()[i]]
		}
		if bare {
			out.Interval.Level = 0
		}
		return &scoringv1.Head{Kind: &scoringv1.Head_Value{Value: out}}
	case *scoringv1.HeadColumns_Segment:
		s := k.Segment
		cell := func(i uint32) *scoringv1.Cell {
			if s.GetGridColumns() == 0 {
				return nil
			}
			return &scoringv1.Cell{Row: int32(i) / s.GetGridColumns(), Column: int32(i) % s.GetGridColumns()}
		}
		out := &scoringv1.Segment{
			Name: s.GetNames()[s.GetSegment()[i]], Title: s.GetTitles()[s.GetSegment()[i]], Membership: s.GetMembership()[i],
			Distance: s.GetDistance()[i], Outlier: s.GetOutlier()[i], Cell: cell(s.GetSegment()[i]),
		}
		if out.GetName() == "near" && !bare {
			out.Description = "At home"
		}
		for _, a := range s.GetAlternatives() {
			out.Alternatives = append(out.Alternatives, &scoringv1.SegmentAlternative{
				Name: s.GetNames()[a.GetSegment()[i]], Title: s.GetTitles()[a.GetSegment()[i]], Membership: a.GetMembership()[i],
				Distance: a.GetDistance()[i], Cell: cell(a.GetSegment()[i]),
			})
		}
		return &scoringv1.Head{Kind: &scoringv1.Head_Segment{Segment: out}}
	case *scoringv1.HeadColumns_Uplift:
		u := k.Uplift
		out := &scoringv1.Uplift{Unit: u.GetUnit(), Currency: u.GetCurrency(), Baseline: at(u.GetBaseline(), i)}
		n := len(u.GetNames())
		for j, name := range u.GetNames() {
			e := &scoringv1.TreatmentEffect{Name: name, Title: strings.Replace(name, "call", "A call", 1), Effect: u.GetEffects()[i*n+j], ExpectedProfit: u.GetExpectedProfit()[i*n+j]}
			if !bare {
				e.Cost = u.GetCosts()[j]
				if name == "mail" && u.Lower != nil {
					e.Interval = &scoringv1.Interval{Lower: u.GetLower()[i*n+j], Upper: u.GetUpper()[i*n+j], Level: u.GetLevel()}
				}
			}
			out.Treatments = append(out.Treatments, e)
		}
		slices.SortStableFunc(out.Treatments, func(a, b *scoringv1.TreatmentEffect) int {
			return cmp.Compare(b.GetExpectedProfit(), a.GetExpectedProfit())
		})
		if best := u.GetBest()[i]; best >= 0 && !bare {
			out.Best = u.GetNames()[best]
		}
		return &scoringv1.Head{Kind: &scoringv1.Head_Uplift{Uplift: out}}
	}
	f := h.GetForecast()
	out := &scoringv1.Forecast{Unit: f.GetUnit()}
	if !bare {
		out.Levels, out.Step = f.GetLevels(), f.GetStep()
	}
	n, q := int(f.GetHorizon()), len(f.GetLevels())
	for t := i * n; t < (i+1)*n; t++ {
		out.Points = append(out.Points, &scoringv1.ForecastPoint{Value: f.GetValues()[t], Quantiles: f.GetQuantiles()[t*q : (t+1)*q]})
	}
	return &scoringv1.Head{Kind: &scoringv1.Head_Forecast{Forecast: out}}
}
