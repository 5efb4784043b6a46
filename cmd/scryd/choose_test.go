package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/proto/inference"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// clock is a bundle without graphs: a prior that is 0.1, and 0.4 on Fridays at 4.
func clock() files {
	rates := strings.Split(strings.Repeat("0.1 ", 168), " ")[:168]
	rates[100] = "0.4"
	return files{"bundle.yaml": []byte("catalogue: {send_times: {prior_strength: 2, rates: [" + strings.Join(rates, ",") + "]}}\n")}
}

// TestChooseSendTime asks a model that has nothing but a prior.
func TestChooseSendTime(t *testing.T) {
	d := start(t)
	d.deploy("clock", clock())
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	mornings := []*scoringv1.SentMessage{
		{Sent: timestamppb.New(monday.Add(-7*24*time.Hour + 6*time.Hour)), Answered: true}, // 9 o'clock in Moscow
		{Sent: timestamppb.New(monday.Add(-14*24*time.Hour + 6*time.Hour)), Answered: true},
		{Sent: timestamppb.New(monday.Add(-21*24*time.Hour + 6*time.Hour)), Answered: true},
	}
	resp, err := d.scorer.ChooseSendTime(d.ctx(), &scoringv1.ChooseSendTimeRequest{
		Model: "clock",
		Recipients: []*scoringv1.Recipient{
			{Id: "new", TimeZone: "Asia/Kathmandu"},
			{Id: "early", TimeZone: "Europe/Moscow", History: mornings},
			{Id: "lost", TimeZone: "Atlantis"},
		},
		Options: &scoringv1.ChooseSendTimeOptions{Earliest: timestamppb.New(monday), Count: 2, QuietHours: []int32{0, 1, 2, 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := resp.GetResults()
	if got := r[0].GetTimes()[0]; got.GetSlot() != 100 || got.GetTime().AsTime() != time.Date(2026, 3, 5, 22, 15, 0, 0, time.UTC) || got.GetRate() != 0.4 {
		t.Errorf("a new customer: %v", got)
	}
	if got := r[1].GetTimes()[0]; got.GetSlot() != 9 || got.GetTime().AsTime() != monday.Add(6*time.Hour) || math.Abs(got.GetRate()-3.2/5) > 1e-12 || got.GetObservations() != 3 {
		t.Errorf("an early one: %v", got)
	}
	if s := r[1].GetServedBy(); len(s) != 1 || s[0].GetModel() != "clock" || s[0].GetVersion() != 1 {
		t.Errorf("served by %v", s)
	}
	wantItemError(t, r[2].GetError(), codes.InvalidArgument, "TIME_ZONE_UNKNOWN", "recipients[2].time_zone")

	for name, c := range map[string]struct {
		req           *scoringv1.ChooseSendTimeRequest
		code          codes.Code
		reason, field string
	}{
		"nobody":    {&scoringv1.ChooseSendTimeRequest{Model: "clock"}, codes.InvalidArgument, "FIELD_INVALID", "recipients"},
		"all quiet": {&scoringv1.ChooseSendTimeRequest{Model: "clock", Recipients: []*scoringv1.Recipient{{}}, Options: &scoringv1.ChooseSendTimeOptions{QuietHours: []int32{24}}}, codes.InvalidArgument, "FIELD_INVALID", "options.quiet_hours[0]"},
		"no model":  {&scoringv1.ChooseSendTimeRequest{Model: "watch", Recipients: []*scoringv1.Recipient{{}}}, codes.NotFound, "NOT_FOUND", ""},
		"backwards": {&scoringv1.ChooseSendTimeRequest{Model: "clock", Recipients: []*scoringv1.Recipient{{}}, Options: &scoringv1.ChooseSendTimeOptions{Latest: timestamppb.New(monday.AddDate(-9, 0, 0))}}, codes.InvalidArgument, "TIME_RANGE", "options.latest"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.scorer.ChooseSendTime(d.ctx(), c.req)
			wantError(t, err, c.code, c.reason, c.field)
		})
	}
}

// TestStarterOffers chooses for the golden samples of models/offers, whose outputs
// are known.
func TestStarterOffers(t *testing.T) {
	d := start(t)
	f := readFiles(t, "../../models/offers")
	d.deploy("offers", f)
	manifest, err := bundle.ParseManifest(f["bundle.yaml"])
	if err != nil {
		t.Fatal(err)
	}
	req := &scoringv1.ChooseActionRequest{Model: "offers", Options: &scoringv1.ChooseActionOptions{Count: 10}}
	samples := goldens(t, f)
	for i, g := range samples {
		req.Instances = append(req.Instances, &scoringv1.Instance{Id: fmt.Sprint(i), Features: g.GetFeatures()})
	}
	resp, err := d.scorer.ChooseAction(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	chosen := map[string]int{}
	for i, r := range resp.GetResults() {
		profits := map[string]float64{}
		for name, head := range manifest.GetHeads() {
			p := samples[i].GetOutputs()["model."+name].GetValues()
			for _, treatment := range head.GetUplift().GetTreatments() {
				profits[treatment.GetName()] = (p[treatment.GetColumn()]-p[0])*head.GetUplift().GetValue() - treatment.GetCost()
			}
		}
		for _, e := range r.GetExcluded() {
			if e.GetReason() == scoringv1.ExclusionReason_EXCLUSION_REASON_UNPROFITABLE && profits[e.GetName()] > 1e-3 {
				t.Errorf("customer %d: %s would bring %v", i, e.GetName(), profits[e.GetName()])
			}
			delete(profits, e.GetName())
		}
		for k, a := range r.GetActions() {
			if math.Abs(a.GetExpectedProfit()-profits[a.GetName()]) > 1e-3 || k > 0 && a.GetExpectedProfit() > r.GetActions()[k-1].GetExpectedProfit() {
				t.Errorf("customer %d: %v, want a profit of %v", i, a, profits[a.GetName()])
			}
			delete(profits, a.GetName())
		}
		if len(profits) > 0 || r.GetError() != nil {
			t.Errorf("customer %d: neither chosen nor excluded: %v, %v", i, profits, r.GetError())
		}
		if len(r.GetActions()) > 0 {
			chosen[r.GetActions()[0].GetName()]++
		}
	}
	if len(chosen) < 2 {
		t.Errorf("all customers get the same: %v", chosen)
	}
}

// TestStarterSendTime asks models/sendtime for customers with and without history.
func TestStarterSendTime(t *testing.T) {
	d := start(t)
	d.deploy("sendtime", readFiles(t, "../../models/sendtime"))
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	lark := &scoringv1.Recipient{Id: "lark", TimeZone: "Asia/Tokyo"}
	for i := range 40 { // 8 o'clock in Tokyo is 23 o'clock of the day before
		lark.History = append(lark.History, &scoringv1.SentMessage{Sent: timestamppb.New(monday.AddDate(0, 0, -i).Add(-time.Hour)), Answered: true})
	}
	resp, err := d.scorer.ChooseSendTime(d.ctx(), &scoringv1.ChooseSendTimeRequest{
		Model: "sendtime", Recipients: []*scoringv1.Recipient{{Id: "new", TimeZone: "Asia/Tokyo"}, lark},
		Options: &scoringv1.ChooseSendTimeOptions{Earliest: timestamppb.New(monday), QuietHours: []int32{22, 23, 0, 1, 2, 3, 4, 5, 6}, Count: 168},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, times := range [][]*scoringv1.SendTime{resp.GetResults()[0].GetTimes(), resp.GetResults()[1].GetTimes()} {
		if len(times) != 7*15 {
			t.Errorf("%d times", len(times))
		}
		for k, s := range times {
			if k > 0 && s.GetRate() > times[k-1].GetRate() {
				t.Fatalf("not the best first: %v", times)
			}
			if i == 0 && s.GetRate() != s.GetPriorRate() {
				t.Errorf("a new customer: %v", s)
			}
		}
	}
	if s := resp.GetResults()[1].GetTimes()[0]; s.GetSlot()%24 != 8 || s.GetRate() < 0.8 || s.GetTime().AsTime().Hour() != 23 {
		t.Errorf("a lark: %v", s)
	}
}

// TestWithoutGraphs treats a bundle without graphs as any other: it is told of,
// it answers nothing that needs a graph, and it outlives a restart.
func TestWithoutGraphs(t *testing.T) {
	dir := t.TempDir()
	d := startAt(t, dir)
	d.deploy("clock", clock())
	loaded, err := serverv1.NewServerServiceClient(d.conn).ListLoadedVersions(d.ctx(), &serverv1.ListLoadedVersionsRequest{})
	if err != nil || len(loaded.GetVersions()) != 1 || len(loaded.GetVersions()[0].GetGraphs()) != 0 {
		t.Errorf("%v %v", loaded.GetVersions(), err)
	}
	_, err = d.scorer.Score(d.ctx(), &scoringv1.ScoreRequest{Model: "clock", Instances: []*scoringv1.Instance{{}}})
	wantError(t, err, codes.FailedPrecondition, "MODEL_UNSUITABLE", "")
	_, err = inference.NewGRPCInferenceServiceClient(d.conn).ModelInfer(d.ctx(), &inference.ModelInferRequest{ModelName: "clock"})
	wantError(t, err, codes.NotFound, "GRAPH_NOT_FOUND", "")
	if _, metrics := d.get("/metrics"); !strings.Contains(metrics, "scry_") {
		t.Error("no metrics")
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d = startAt(t, dir)
	resp, err := d.scorer.ChooseSendTime(d.ctx(), &scoringv1.ChooseSendTimeRequest{Model: "clock", Recipients: []*scoringv1.Recipient{{Id: "c1"}}})
	if err != nil || len(resp.GetResults()) != 1 || resp.GetResults()[0].GetTimes()[0].GetSlot() != 100 {
		t.Errorf("after a restart: %v %v", resp, err)
	}

	_, err = d.push("nothing", files{"bundle.yaml": []byte("description: nothing at all\n")})
	wantError(t, err, codes.InvalidArgument, "BUNDLE_INVALID", "graphs")
	d.deploy("churn", churn(t))
	_, err = d.scorer.ChooseSendTime(d.ctx(), &scoringv1.ChooseSendTimeRequest{Model: "churn", Recipients: []*scoringv1.Recipient{{}}})
	wantError(t, err, codes.FailedPrecondition, "MODEL_UNSUITABLE", "")
}

// TestChooseAction chooses by the churn model's probability and what the row
// says, through the real server.
func TestChooseAction(t *testing.T) {
	d := start(t)
	f := churn(t)
	manifest := string(f["bundle.yaml"]) + `catalogue:
  actions:
  - {name: contract, title: {en: A yearly contract, ru: Договор на год}, head: churn, value: 300, cost: 40, eligibility: 'Contract = "Month-to-month" AND tenure >= 6'}
  - {name: call, head: churn, value: 100, cost: 5, attributes: {channel: phone}, creatives: [{name: morning}, {name: evening}]}
  - {name: newsletter, constant: 0.02, value: 5, cost: 0.01, expires: '2026-06-01T00:00:00Z'}
`
	d.deploy("offers", f.with("bundle.yaml", manifest))
	rows := []*scoringv1.Instance{customer(t, "c1"), customer(t, "bad"), customer(t, "settled")}
	rows[1].Features.Fields["tenure"] = structpb.NewStringValue("long")
	rows[2].Features.Fields["Contract"] = structpb.NewStringValue("Two year")
	scored, err := d.scorer.Score(d.ctx(), &scoringv1.ScoreRequest{Model: "offers", Instances: []*scoringv1.Instance{rows[0], rows[2]}})
	if err != nil {
		t.Fatal(err)
	}
	req := &scoringv1.ChooseActionRequest{Model: "offers", Instances: rows, Options: &scoringv1.ChooseActionOptions{
		Count: 3, Language: "ru", Time: timestamppb.New(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)), IncludeUnprofitable: true,
	}}
	resp, err := d.scorer.ChooseAction(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	for place, i := range []int{0, 2} {
		r, p := resp.GetResults()[i], scored.GetResults()[place].GetHeads()["churn"].GetProbability().GetProbability()
		want := map[string]float64{"call": 100*p - 5, "newsletter": 0.02*5 - 0.01, "contract": 300*p - 40}
		if excluded := r.GetExcluded(); i == 2 || rows[0].GetFeatures().GetFields()["tenure"].GetNumberValue() < 6 {
			delete(want, "contract")
			if len(excluded) != 1 || excluded[0].GetName() != "contract" || excluded[0].GetReason() != scoringv1.ExclusionReason_EXCLUSION_REASON_NOT_ELIGIBLE {
				t.Errorf("%s: excluded %v", r.GetId(), excluded)
			}
		}
		if len(r.GetActions()) != len(want) {
			t.Errorf("%s: %v", r.GetId(), r)
		}
		for k, a := range r.GetActions() {
			if w, ok := want[a.GetName()]; !ok || math.Abs(a.GetExpectedProfit()-w) > 1e-4 {
				t.Errorf("%s: %v, want a profit of %v", r.GetId(), a, w)
			}
			if k > 0 && a.GetExpectedProfit() > r.GetActions()[k-1].GetExpectedProfit() {
				t.Errorf("%s: not the best first: %v", r.GetId(), r.GetActions())
			}
		}
		if s := r.GetServedBy(); len(s) != 1 || s[0].GetModel() != "offers" || s[0].GetDevice() != "cpu" || len(s[0].GetHeads()) != 1 || r.GetPredictionId() == "" {
			t.Errorf("served by %v", s)
		}
	}
	wantItemError(t, resp.GetResults()[1].GetError(), codes.InvalidArgument, "FEATURE_TYPE", `instances[1].features["tenure"]`)

	// Thompson sampling, the same twice.
	seed := uint64(7)
	req.Options.Thompson = &scoringv1.ThompsonSampling{Seed: &seed, Posteriors: []*scoringv1.Posterior{{Action: "call", Creative: "evening", Successes: 30, Failures: 10}}}
	first, err := d.scorer.ChooseAction(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.scorer.ChooseAction(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range first.GetResults() {
		total := 0.0
		for k, a := range r.GetActions() {
			total += a.GetPropensity()
			if !proto.Equal(a, again.GetResults()[i].GetActions()[k]) {
				t.Errorf("the same seed: %v and %v", a, again.GetResults()[i].GetActions()[k])
			}
		}
		if i != 1 && (total <= 0 || total > 1+1e-9) {
			t.Errorf("%s: propensities sum to %v", r.GetId(), total)
		}
	}

	for name, c := range map[string]struct {
		change        func(*scoringv1.ChooseActionRequest)
		code          codes.Code
		reason, field string
	}{
		"nobody":      {func(r *scoringv1.ChooseActionRequest) { r.Instances = nil }, codes.InvalidArgument, "FIELD_INVALID", "instances"},
		"no action":   {func(r *scoringv1.ChooseActionRequest) { r.Options.Actions = []string{"gift"} }, codes.InvalidArgument, "ACTION_UNKNOWN", "options.actions[0]"},
		"bad filter":  {func(r *scoringv1.ChooseActionRequest) { r.Options.Filter = "attributes.channel = " }, codes.InvalidArgument, "FILTER_INVALID", "options.filter"},
		"negative":    {func(r *scoringv1.ChooseActionRequest) { r.Options.Thompson.Posteriors[0].Failures = -1 }, codes.InvalidArgument, "FIELD_INVALID", "options.thompson.posteriors[0].failures"},
		"other model": {func(r *scoringv1.ChooseActionRequest) { r.Model = "churn" }, codes.NotFound, "NOT_FOUND", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := proto.Clone(req).(*scoringv1.ChooseActionRequest)
			c.change(r)
			_, err := d.scorer.ChooseAction(d.ctx(), r)
			wantError(t, err, c.code, c.reason, c.field)
		})
	}

	for name, c := range map[string]struct{ old, new, field string }{
		"head":        {"head: churn, value: 300", "head: chrn, value: 300", "catalogue.actions[0].head"},
		"eligibility": {"tenure >= 6", "tenure >= 6m", "catalogue.actions[0].eligibility"},
		"expiry":      {"2026-06-01T00:00:00Z", "June", "catalogue.actions[2].expires"},
	} {
		t.Run("pushing a wrong "+name, func(t *testing.T) {
			_, err := d.push("wrong", f.with("bundle.yaml", strings.Replace(manifest, c.old, c.new, 1)))
			wantError(t, err, codes.InvalidArgument, "BUNDLE_INVALID", c.field)
		})
	}
}
