package choosing

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/tensor"
)

// heads echo the row: x is (a, b, c).
const heads = `
heads:
  buy: {source: model.x, probability: {column: 0}}
  colour: {source: model.x, classes: {names: [red, green, blue.dark]}}
  offers: {source: model.x, uplift: {control_column: 0, treatments: [{name: call, column: 1}, {name: mail, column: 2}]}}
  visits: {source: model.x, uplift: {unit: visits, treatments: [{name: mail, column: 1}]}}
row:
  features:
  - {name: a, type: FEATURE_TYPE_FLOAT}
  - {name: b, type: FEATURE_TYPE_FLOAT}
  - {name: c, type: FEATURE_TYPE_FLOAT}
  - {name: tenure, type: FEATURE_TYPE_INT, default: 3}
  - {name: plan, aliases: [Plan type], type: FEATURE_TYPE_STRING, default: ''}
  - {name: vip, type: FEATURE_TYPE_BOOL, default: false}
  - {name: since, type: FEATURE_TYPE_TIMESTAMP, default: '2020-01-01T00:00:00Z'}
`

var headGraph = pipelinetest.Graph([]bundle.Value{
	pipelinetest.Value("a", tensor.Float64, -1, 1), pipelinetest.Value("b", tensor.Float64, -1, 1), pipelinetest.Value("c", tensor.Float64, -1, 1),
	pipelinetest.Value("tenure", tensor.Int64, -1, 1), pipelinetest.Value("plan", tensor.String, -1, 1),
	pipelinetest.Value("vip", tensor.Bool, -1, 1), pipelinetest.Value("since", tensor.Int64, -1, 1),
}, []bundle.Value{pipelinetest.Value("x", tensor.Float64, -1, 3)})

func echo(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
	var x []float64
	for row := range int(in[0].Shape[0]) {
		for k := range 3 {
			x = append(x, tensor.View[float64](in[k])[row])
		}
	}
	out, err := tensor.From(x, in[0].Shape[0], 3)
	return []tensor.Tensor{out}, err
}

// shop is a model with actions, in YAML.
func shop(t testing.TB, actions string) *pipelinetest.Model {
	t.Helper()
	return pipelinetest.NewModel(t, pipelinetest.Files(headGraph, heads+"catalogue:\n  actions:\n"+actions, nil), echo)
}

func customer(t testing.TB, features map[string]any) *scoringv1.Instance {
	t.Helper()
	for k, v := range map[string]any{"a": 0.5, "b": 0.25, "c": 0.125} {
		if _, ok := features[k]; !ok {
			features[k] = v
		}
	}
	f, err := structpb.NewStruct(features)
	if err != nil {
		t.Fatal(err)
	}
	return &scoringv1.Instance{Id: "c", Features: f}
}

// today is the time of the tests' calls.
var today = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func act(t testing.TB, m *pipelinetest.Model, opts *scoringv1.ChooseActionOptions, customers ...*scoringv1.Instance) *scoringv1.ChooseActionResponse {
	t.Helper()
	resp, errs, err := ChooseAction(t.Context(), m, customers, opts, today)
	if err = errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	return resp
}

// told is a choice in words.
func told(c *scoringv1.ActionChoice) string {
	var out []string
	for _, a := range c.GetActions() {
		s := fmt.Sprintf("%s %.6g %.6g", a.GetName(), a.GetProbability(), a.GetExpectedProfit())
		if a.GetCreative() != "" {
			s += " " + a.GetCreative()
		}
		out = append(out, s)
	}
	for _, e := range c.GetExcluded() {
		out = append(out, e.GetName()+" "+strings.TrimPrefix(e.GetReason().String(), "EXCLUSION_REASON_"))
	}
	return strings.Join(out, ", ")
}

// TestExpectedProfit reads each kind of probability.
func TestExpectedProfit(t *testing.T) {
	m := shop(t, `
  - {name: offer, head: buy, value: 10, cost: 1, title: {en: An offer, ru: Предложение}}
  - {name: green, class: colour.green, value: 8}
  - {name: dark, class: colour.blue.dark, value: 100, cost: 12}
  - {name: call, treatment: offers.call, value: -40, cost: 2}
  - {name: mail, treatment: visits.mail, value: 20, cost: 2}
  - {name: gift, constant: 0.5, value: 3, cost: 1}
  - {name: dear, constant: 0.1, value: 3, cost: 1}
`)
	resp := act(t, m, &scoringv1.ChooseActionOptions{Count: 10, Language: "ru-RU"}, customer(t, map[string]any{}), customer(t, map[string]any{"a": 0.1, "b": 0.9}))
	if got, want := told(resp.GetResults()[0]), "call -0.25 8, offer 0.5 4, mail 0.25 3, green 0.25 2, dark 0.125 0.5, gift 0.5 0.5, dear UNPROFITABLE"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got, want := told(resp.GetResults()[1]), "mail 0.9 16, green 0.9 7.2, dark 0.125 0.5, gift 0.5 0.5, offer UNPROFITABLE, call UNPROFITABLE, dear UNPROFITABLE"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	first := resp.GetResults()[0].GetActions()
	if first[1].GetTitle() != "Предложение" || first[0].GetTitle() != "call" || first[1].GetValue() != 10 || first[1].GetCost() != 1 || first[1].Propensity != nil || first[1].SampledProbability != nil {
		t.Errorf("%v", first[1])
	}
	if m.Items.Load() != 1 || m.Rows.Load() != 2 {
		t.Errorf("%d runs of %d rows, want one of two", m.Items.Load(), m.Rows.Load())
	}
	// Only the best, and nothing where nothing pays.
	if got := told(act(t, m, nil, customer(t, map[string]any{})).GetResults()[0]); got != "call -0.25 8, dear UNPROFITABLE" {
		t.Errorf("by default: %s", got)
	}
	none := act(t, m, &scoringv1.ChooseActionOptions{Actions: []string{"dear", "offer"}}, customer(t, map[string]any{"a": 0})).GetResults()[0]
	if told(none) != "offer UNPROFITABLE, dear UNPROFITABLE" || none.GetPredictionId() == "" {
		t.Errorf("nothing pays: %v", none)
	}
	if got := told(act(t, m, &scoringv1.ChooseActionOptions{Actions: []string{"dear"}, IncludeUnprofitable: true}, customer(t, map[string]any{})).GetResults()[0]); got != "dear 0.1 -0.7" {
		t.Errorf("unprofitable too: %s", got)
	}
}

// TestNoRun asks for actions whose probability no head gives.
func TestNoRun(t *testing.T) {
	m := shop(t, "  - {name: gift, constant: 0.5, value: 3, cost: 1, eligibility: vip}\n  - {name: offer, head: buy, value: 1, expires: '2026-01-01T00:00:00Z'}\n")
	r := act(t, m, nil, customer(t, map[string]any{"vip": true})).GetResults()[0]
	if told(r) != "gift 0.5 0.5, offer EXPIRED" || m.Items.Load() != 0 {
		t.Errorf("%s after %d runs", told(r), m.Items.Load())
	}
	if s := r.GetServedBy(); len(s) != 1 || s[0].GetModel() != "test" || s[0].GetVersion() != 7 || s[0].GetDevice() != "" {
		t.Errorf("served by %v", s)
	}
}

func TestEligibilityAndDates(t *testing.T) {
	m := shop(t, `
  - {name: loyal, constant: 1, value: 5, eligibility: 'tenure >= 12 AND plan != "free"'}
  - {name: newcomer, constant: 1, value: 4, eligibility: 'tenure < 12'}
  - {name: vips, constant: 1, value: 3, eligibility: 'vip OR since < "2010-01-01T00:00:00Z"', attributes: {channel: phone}}
  - {name: spring, constant: 1, value: 2, starts: '2026-03-02T12:00:00Z', expires: '2026-06-01T00:00:00+03:00', attributes: {channel: email}}
  - {name: winter, constant: 1, value: 1, expires: '2026-03-02T12:00:00Z', attributes: {channel: email}}
`)
	for _, c := range []struct {
		name     string
		features map[string]any
		opts     *scoringv1.ChooseActionOptions
		want     string
	}{
		{"loyal", map[string]any{"tenure": 12, "Plan type": "paid"}, nil, "loyal 1 5, spring 1 2, newcomer NOT_ELIGIBLE, vips NOT_ELIGIBLE, winter EXPIRED"},
		{"default of the manifest", map[string]any{"plan": "paid"}, nil, "newcomer 1 4, spring 1 2, loyal NOT_ELIGIBLE, vips NOT_ELIGIBLE, winter EXPIRED"},
		{"not on the free plan", map[string]any{"tenure": 40, "plan": "free", "vip": true}, nil, "vips 1 3, spring 1 2, loyal NOT_ELIGIBLE, newcomer NOT_ELIGIBLE, winter EXPIRED"},
		{"since long ago", map[string]any{"since": "2009-12-31T23:59:59Z", "tenure": nil}, nil, "newcomer 1 4, vips 1 3, spring 1 2, loyal NOT_ELIGIBLE, winter EXPIRED"},
		{"earlier", map[string]any{}, &scoringv1.ChooseActionOptions{Time: timestamppb.New(today.Add(-time.Second)), Filter: `attributes.channel = "email"`}, "winter 1 1, loyal FILTERED, newcomer FILTERED, vips FILTERED, spring NOT_STARTED"},
		{"at its end", map[string]any{}, &scoringv1.ChooseActionOptions{Time: timestamppb.New(time.Date(2026, 5, 31, 21, 0, 0, 0, time.UTC)), Actions: []string{"spring"}}, "spring EXPIRED"},
		{"by value and name", map[string]any{"vip": true}, &scoringv1.ChooseActionOptions{Filter: `value >= 2 AND cost = 0 AND name != "newcomer" AND attributes:*`}, "vips 1 3, spring 1 2, loyal FILTERED, newcomer FILTERED, winter FILTERED"},
	} {
		if c.opts == nil {
			c.opts = &scoringv1.ChooseActionOptions{}
		}
		c.opts.Count = 10
		if got := told(act(t, m, c.opts, customer(t, c.features)).GetResults()[0]); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestManyExclusions(t *testing.T) {
	var actions strings.Builder
	for i := range 150 {
		fmt.Fprintf(&actions, "  - {name: a%d, constant: 0, value: 1}\n", i)
	}
	if n := len(act(t, shop(t, actions.String()), nil, customer(t, map[string]any{})).GetResults()[0].GetExcluded()); n != 100 {
		t.Errorf("%d exclusions", n)
	}
}

// TestCreatives: without draws the best prior is chosen.
func TestCreatives(t *testing.T) {
	m := shop(t, "  - {name: mail, head: buy, value: 1, creatives: [{name: plain}, {name: bold, prior: {alpha: 6, beta: 4}}, {name: shy, prior: {alpha: 1, beta: 9}}]}\n")
	if got := told(act(t, m, nil, customer(t, map[string]any{})).GetResults()[0]); got != "mail 0.5 0.5 bold" {
		t.Error(got)
	}
}

// TestPropensitiesMatchFrequencies chooses for many alike customers, each with
// draws of its own, and counts what they got.
func TestPropensitiesMatchFrequencies(t *testing.T) {
	m := shop(t, `
  - {name: offer, head: buy, value: 10, cost: 4, creatives: [{name: red}, {name: blue, prior: {alpha: 2, beta: 1}}]}
  - {name: call, treatment: offers.call, value: 12, cost: 1}
  - {name: mail, treatment: offers.mail, value: 16, cost: 0}
`)
	const customers = 2000
	var rows []*scoringv1.Instance
	for i := range customers {
		rows = append(rows, customer(t, map[string]any{"a": 0.3, "b": 0.35, "c": 0.25}))
		rows[i].Id = fmt.Sprint(i)
	}
	seed := uint64(5)
	opts := &scoringv1.ChooseActionOptions{Thompson: &scoringv1.ThompsonSampling{
		Seed: &seed, ModelWeight: 20,
		Posteriors: []*scoringv1.Posterior{{Action: "offer", Successes: 6, Failures: 8}, {Action: "offer", Creative: "red", Successes: 2, Failures: 1}, {Action: "call", Successes: 1, Failures: 2}},
	}}
	resp := act(t, m, opts, rows...)
	counted, propensity, nothing := map[string]float64{}, map[string]float64{}, 0.0
	for _, r := range resp.GetResults() {
		if len(r.GetActions()) == 0 {
			nothing++
			continue
		}
		a := r.GetActions()[0]
		key := a.GetName() + a.GetCreative()
		counted[key]++
		propensity[key] += a.GetPropensity()
		if a.GetPropensity() < 0.001 || a.GetSampledProbability()*a.GetValue()-a.GetCost() <= 0 {
			t.Fatalf("%v", a)
		}
	}
	if resp.GetSeed() != 5 || len(counted) != 4 {
		t.Errorf("seed %d, chosen %v", resp.GetSeed(), counted)
	}
	total := 0.0
	for key, n := range counted {
		mean := propensity[key] / n // all customers are alike, so all propensities are
		if off := math.Abs(n/customers - mean); off > 4*math.Sqrt(mean*(1-mean)/customers) {
			t.Errorf("%s: frequency %v, propensity %v", key, n/customers, mean)
		}
		total += mean
	}
	if off := math.Abs(total + nothing/customers - 1); nothing == 0 || off > 0.05 {
		t.Errorf("propensities sum to %v, and nothing was best for %v of %d", total, nothing, customers)
	}

	// What a posterior lets expect, against its definition.
	opts.Count, opts.IncludeUnprofitable = 3, true
	for _, a := range act(t, m, opts, rows[0]).GetResults()[0].GetActions() {
		want := map[string]float64{"offer": (20*0.3 + 6) / 34, "call": (20*0.35+1)/23 - 0.3, "mail": 0.25 - 0.3}[a.GetName()]
		if math.Abs(a.GetProbability()-want) > 1e-12 || math.Abs(a.GetExpectedProfit()-(want*a.GetValue()-a.GetCost())) > 1e-12 {
			t.Errorf("%v, want a probability of %v", a, want)
		}
	}
}

// TestExactPropensity compares with P(X > Y) of two Beta distributions in closed
// form: of Beta(a, 1) and Beta(b, 1) it is a / (a + b).
func TestExactPropensity(t *testing.T) {
	m := shop(t, "  - {name: x, constant: 1, value: 1}\n  - {name: y, constant: 1, value: 1}\n")
	rapid.Check(t, func(rt *rapid.T) {
		a, b := rapid.Float64Range(0, 20).Draw(rt, "a"), rapid.Float64Range(0, 20).Draw(rt, "b")
		seed := rapid.Uint64().Draw(rt, "seed")
		opts := &scoringv1.ChooseActionOptions{Count: 2, Thompson: &scoringv1.ThompsonSampling{
			Seed: &seed, ModelWeight: 1, Draws: 10_000,
			Posteriors: []*scoringv1.Posterior{{Action: "x", Successes: a, Failures: 1}, {Action: "y", Successes: b, Failures: 1}},
		}}
		want := map[string]float64{"x": (a + 1) / (a + b + 2), "y": (b + 1) / (a + b + 2)}
		for _, c := range act(t, m, opts, customer(t, map[string]any{})).GetResults()[0].GetActions() {
			p := want[c.GetName()]
			if math.Abs(c.GetPropensity()-p) > 6*math.Sqrt(p*(1-p)/10_000) {
				rt.Fatalf("%s: %v, want %v", c.GetName(), c.GetPropensity(), p)
			}
		}
	})
}

// TestThompsonDegenerate draws where there is nothing to draw.
func TestThompsonDegenerate(t *testing.T) {
	m := shop(t, `
  - {name: sure, constant: 1, value: 1}
  - {name: never, constant: 0, value: 100}
  - {name: visits, treatment: visits.mail, value: 2}
`)
	seed := uint64(0)
	opts := &scoringv1.ChooseActionOptions{Count: 3, Thompson: &scoringv1.ThompsonSampling{Seed: &seed}}
	r := act(t, m, opts, customer(t, map[string]any{"b": 0.75})).GetResults()[0]
	if got := told(r); got != "visits 0.75 1.5, sure 1 1, never UNPROFITABLE" {
		t.Error(got)
	}
	for i, want := range []float64{1, 0} {
		if a := r.GetActions()[i]; a.GetPropensity() != want || a.GetSampledProbability() != a.GetProbability() {
			t.Errorf("%v", a)
		}
	}
}

// TestSeed: the same seed and request have the same answer, another seed or none
// another.
func TestSeed(t *testing.T) {
	m := shop(t, "  - {name: offer, head: buy, value: 10, creatives: [{name: red}, {name: blue}]}\n  - {name: gift, constant: 0.5, value: 10}\n")
	var rows []*scoringv1.Instance
	for i := range 20 {
		rows = append(rows, customer(t, map[string]any{}))
		if rows[i].Id = ""; i >= 10 {
			rows[i].Id = fmt.Sprint(i)
		}
	}
	ask := func(seed *uint64) (string, uint64) {
		resp := act(t, m, &scoringv1.ChooseActionOptions{Count: 2, Thompson: &scoringv1.ThompsonSampling{Seed: seed, Draws: 50}}, rows...)
		var out strings.Builder
		for _, r := range resp.GetResults() {
			for _, a := range r.GetActions() {
				fmt.Fprintln(&out, a.GetName(), a.GetCreative(), a.GetSampledProbability(), a.GetPropensity())
			}
		}
		return out.String(), resp.GetSeed()
	}
	one, two := uint64(1), uint64(2)
	first, _ := ask(&one)
	if again, seed := ask(&one); again != first || seed != 1 {
		t.Error("the same seed has another answer")
	}
	if other, _ := ask(&two); other == first {
		t.Error("another seed has the same answer")
	}
	drawn, seed := ask(nil)
	if again, _ := ask(&seed); again != drawn {
		t.Error("the answered seed has another answer")
	}
	lines := strings.Split(strings.TrimSpace(first), "\n")
	if len(lines) != 40 {
		t.Fatalf("%d actions", len(lines))
	}
	seen := map[string]bool{}
	for _, l := range lines {
		if seen[l] {
			t.Errorf("two customers share their draws: %s", l)
		}
		seen[l] = true
	}
	// One with an id gets the same, with whomever it is asked for.
	rows = rows[15:]
	if alone, _ := ask(&one); alone != strings.Join(lines[30:], "\n")+"\n" {
		t.Errorf("asked for with fewer:\n%s\nwant\n%s", alone, strings.Join(lines[30:], "\n"))
	}
}

// TestGraphlessActions chooses by constants and posteriors alone.
func TestGraphlessActions(t *testing.T) {
	dir := pipelinetest.Files(nil, "", nil)
	delete(dir, "model.onnx")
	dir[bundle.ManifestFile].Data = []byte("catalogue: {actions: [{name: a, constant: 0.2, value: 10, cost: 1}, {name: b, constant: 0.3, value: 10, cost: 1}]}\n")
	p, err := pipelinetest.Open(dir, pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	m := &graphless{p}
	resp, errs, err := ChooseAction(t.Context(), m, []*scoringv1.Instance{{Id: "x"}, customer(t, map[string]any{})}, nil, today)
	if err != nil || errs[0] != nil || errs[1] != nil {
		t.Fatal(err, errs)
	}
	if got := told(resp.GetResults()[0]); got != "b 0.3 2" {
		t.Error(got)
	}
	if w := resp.GetResults()[1].GetWarnings(); len(w) != 1 || w[0].GetField() != "instances[1].features" || len(resp.GetResults()[0].GetWarnings()) != 0 {
		t.Errorf("warnings %v", w)
	}
}

// graphless is a model that is never run.
type graphless struct{ pipeline *pipeline.Pipeline }

func (g graphless) Bundle() *bundle.Bundle                       { return g.pipeline.Bundle() }
func (g graphless) Pipeline() *pipeline.Pipeline                 { return g.pipeline }
func (g graphless) Identity() pipeline.Identity                  { return pipeline.Identity{Model: "graphless"} }
func (g graphless) Yielding(ctx context.Context) context.Context { return ctx }
func (g graphless) Run(context.Context, []pipeline.Item) []pipeline.Answer {
	panic("it has nothing to run")
}

func TestChooseActionRefuses(t *testing.T) {
	m := shop(t, "  - {name: offer, head: buy, value: 10, creatives: [{name: red}]}\n  - {name: mail, treatment: visits.mail, value: 2}\n")
	for name, c := range map[string]struct {
		opts          *scoringv1.ChooseActionOptions
		field, reason string
	}{
		"unknown action":  {&scoringv1.ChooseActionOptions{Actions: []string{"offer", "offr"}}, "options.actions[1]", "ACTION_UNKNOWN"},
		"bad filter":      {&scoringv1.ChooseActionOptions{Filter: "value >"}, "options.filter", "FILTER_INVALID"},
		"unknown name":    {&scoringv1.ChooseActionOptions{Filter: "price > 3"}, "options.filter", "FILTER_INVALID"},
		"year":            {&scoringv1.ChooseActionOptions{Time: &timestamppb.Timestamp{Seconds: 1 << 60}}, "options.time", "TIME_INVALID"},
		"counts of what":  {thompson(&scoringv1.Posterior{Action: "offr"}), "options.thompson.posteriors[0].action", "ACTION_UNKNOWN"},
		"which creative":  {thompson(&scoringv1.Posterior{Action: "offer"}, &scoringv1.Posterior{Action: "offer", Creative: "read"}), "options.thompson.posteriors[1].creative", "CREATIVE_UNKNOWN"},
		"counted twice":   {thompson(&scoringv1.Posterior{Action: "offer"}, &scoringv1.Posterior{Action: "offer"}), "options.thompson.posteriors[1]", "POSTERIOR_TWICE"},
		"counted effects": {thompson(&scoringv1.Posterior{Action: "mail"}), "options.thompson.posteriors[0]", "POSTERIOR_UNUSABLE"},
	} {
		_, _, err := ChooseAction(t.Context(), m, []*scoringv1.Instance{customer(t, map[string]any{})}, c.opts, today)
		wantInput(t, name, err, c.field, c.reason)
	}
	many := make([]*scoringv1.Instance, 1000)
	for i := range many {
		many[i] = customer(t, map[string]any{})
	}
	_, _, err := ChooseAction(t.Context(), m, many, &scoringv1.ChooseActionOptions{Thompson: &scoringv1.ThompsonSampling{Draws: 100_000}}, today)
	wantInput(t, "too many draws", err, "options.thompson.draws", "TOO_MANY_DRAWS")

	bad := customer(t, map[string]any{"tenure": "long"})
	late := customer(t, map[string]any{"a": 7.0})
	resp, errs, err := ChooseAction(t.Context(), m, []*scoringv1.Instance{customer(t, map[string]any{}), bad, late}, nil, today)
	if err != nil || errs[0] != nil || len(resp.GetResults()[0].GetActions()) != 1 {
		t.Fatalf("%v %v %v", resp, errs, err)
	}
	wantInput(t, "a string", errs[1], `features["tenure"]`, "FEATURE_TYPE")
	if errs[2] == nil || !strings.Contains(errs[2].Error(), "unusable model output") {
		t.Errorf("a probability of 7: %v", errs[2])
	}
	for _, r := range resp.GetResults()[1:] {
		if len(r.GetActions()) != 0 || r.GetPredictionId() != "" {
			t.Errorf("%v has an error", r)
		}
	}
	plain := pipelinetest.NewModel(t, pipelinetest.Files(headGraph, heads, nil), echo)
	if _, _, err := ChooseAction(t.Context(), plain, many[:1], nil, today); !errors.Is(err, ErrUnsupported) {
		t.Errorf("no actions: %v", err)
	}
}

func thompson(p ...*scoringv1.Posterior) *scoringv1.ChooseActionOptions {
	return &scoringv1.ChooseActionOptions{Thompson: &scoringv1.ThompsonSampling{Posteriors: p, Seed: proto.Uint64(1)}}
}

func TestCancelledDraws(t *testing.T) {
	m := shop(t, "  - {name: gift, constant: 0.5, value: 3}\n")
	ctx, cancel := context.WithCancel(t.Context())
	m.Compute = func(context.Context, []tensor.Tensor) ([]tensor.Tensor, error) { return nil, nil }
	opts := &scoringv1.ChooseActionOptions{Thompson: &scoringv1.ThompsonSampling{Draws: 100_000}}
	c, err := newChooser(m, opts, today)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	c.ranked = []int{0}
	if err := c.thompson.draw(ctx, c, pipeline.Generator(0, "", 0), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func BenchmarkThompson(b *testing.B) {
	var actions strings.Builder
	for i := range 10 {
		fmt.Fprintf(&actions, "  - {name: a%d, constant: 0.%d, value: 1}\n", i, i+1)
	}
	m := shop(b, actions.String())
	row := customer(b, map[string]any{})
	b.ReportAllocs()
	for b.Loop() {
		act(b, m, &scoringv1.ChooseActionOptions{Thompson: &scoringv1.ThompsonSampling{}}, row)
	}
}
