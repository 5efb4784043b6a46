package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

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
