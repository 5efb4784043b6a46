package choosing

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// clock is a model of send times alone.
type clock struct{ bundle *bundle.Bundle }

func (c clock) Bundle() *bundle.Bundle      { return c.bundle }
func (c clock) Identity() pipeline.Identity { return pipeline.Identity{Model: "clock", Version: 3} }

// timer is a model whose prior is 0.1, and higher in some slots.
func timer(t testing.TB, strength float64, bandwidth string, higher map[int]float64) clock {
	t.Helper()
	rates := make([]string, weekHours)
	for i := range rates {
		rates[i] = "0.1"
		if r, ok := higher[i]; ok {
			rates[i] = fmt.Sprint(r)
		}
	}
	manifest := fmt.Sprintf("catalogue: {send_times: {prior_strength: %g, rates: [%s]%s}}\n", strength, strings.Join(rates, ","), bandwidth)
	b, err := bundle.Open(fstest.MapFS{bundle.ManifestFile: {Data: []byte(manifest)}})
	if err != nil {
		t.Fatal(err)
	}
	return clock{b}
}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sent is a history from times, each with "+" when it was answered.
func sent(t testing.TB, times ...string) []*scoringv1.SentMessage {
	t.Helper()
	var out []*scoringv1.SentMessage
	for _, s := range times {
		s, answered := strings.CutSuffix(s, "+")
		out = append(out, &scoringv1.SentMessage{Sent: timestamppb.New(at(t, s)), Answered: answered})
	}
	return out
}

func choose(t testing.TB, m clock, r *scoringv1.Recipient, opts *scoringv1.ChooseSendTimeOptions) *scoringv1.SendTimeChoice {
	t.Helper()
	// A Monday.
	results, errs, err := ChooseSendTime(t.Context(), m, []*scoringv1.Recipient{r}, opts, at(t, "2026-03-02T00:00:00Z"))
	if err != nil || errs[0] != nil {
		t.Fatal(err, errs)
	}
	return results[0]
}

func TestColdStartAnswersThePrior(t *testing.T) {
	m := timer(t, 10, "", map[int]float64{8: 0.3, 34: 0.3, 100: 0.4})
	r := choose(t, m, &scoringv1.Recipient{Id: "new"}, &scoringv1.ChooseSendTimeOptions{Count: 3})
	var got []string
	for _, s := range r.GetTimes() {
		got = append(got, fmt.Sprintf("%s %d %g %g %g", s.GetTime().AsTime().Format(time.RFC3339), s.GetSlot(), s.GetRate(), s.GetPriorRate(), s.GetObservations()))
	}
	want := "2026-03-06T04:00:00Z 100 0.4 0.4 0, 2026-03-02T08:00:00Z 8 0.3 0.3 0, 2026-03-03T10:00:00Z 34 0.3 0.3 0"
	if strings.Join(got, ", ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, ", "), want)
	}
	if w := r.GetWarnings(); len(w) != 1 || w[0].GetCode() != servingv1.WarningCode_WARNING_CODE_COLD_START || w[0].GetField() != "recipients[0].history" {
		t.Errorf("warnings %v", w)
	}
	if r.GetId() != "new" || r.GetPredictionId() == "" || len(r.GetServedBy()) != 1 || r.GetServedBy()[0].GetVersion() != 3 {
		t.Errorf("%v", r)
	}
}

// TestPosteriorMean compares with the mean of the Beta posterior, computed from
// its definition.
func TestPosteriorMean(t *testing.T) {
	m := timer(t, 4, "", map[int]float64{50: 0.25})
	rapid.Check(t, func(rt *rapid.T) {
		successes, failures := rapid.IntRange(0, 30).Draw(rt, "successes"), rapid.IntRange(0, 30).Draw(rt, "failures")
		history := make([]*scoringv1.SentMessage, 0, successes+failures)
		for i := range successes + failures {
			// Wednesday, 2 o'clock, any week.
			when := at(t, "2026-02-25T02:00:00Z").Add(-time.Duration(rapid.IntRange(0, 50).Draw(rt, "weeks"))*week + time.Duration(rapid.IntRange(0, 3599).Draw(rt, "seconds"))*time.Second)
			history = append(history, &scoringv1.SentMessage{Sent: timestamppb.New(when), Answered: i < successes})
		}
		r := choose(t, m, &scoringv1.Recipient{History: history}, &scoringv1.ChooseSendTimeOptions{Count: weekHours})
		alpha, beta := 4*0.25+float64(successes), 4*0.75+float64(failures)
		for _, s := range r.GetTimes() {
			rate, observed := 0.1, 0.0
			if s.GetSlot() == 50 {
				rate, observed = alpha/(alpha+beta), float64(successes+failures)
			}
			if math.Abs(s.GetRate()-rate) > 1e-12 || s.GetObservations() != observed {
				rt.Fatalf("slot %d: rate %v of %v, want %v of %v", s.GetSlot(), s.GetRate(), s.GetObservations(), rate, observed)
			}
		}
		if len(r.GetTimes()) != weekHours {
			rt.Fatalf("%d times", len(r.GetTimes()))
		}
	})
}

// TestKernel checks what one answer on Sunday at 23 o'clock says of the hours
// around it, across the end of the week.
func TestKernel(t *testing.T) {
	m := timer(t, 5, ", bandwidth: 7200s", nil)
	r := choose(t, m, &scoringv1.Recipient{History: sent(t, "2026-03-01T23:30:00Z+")}, &scoringv1.ChooseSendTimeOptions{Count: weekHours})
	if r.GetTimes()[0].GetSlot() != 167 {
		t.Errorf("best %v", r.GetTimes()[0])
	}
	for _, s := range r.GetTimes() {
		d := float64(min((int(s.GetSlot())+1)%weekHours, weekHours-(int(s.GetSlot())+1)%weekHours))
		k := math.Exp(-d * d / 8)
		if want := 0.1 + k*0.9/(5+k); math.Abs(s.GetRate()-want) > 1e-6 || math.Abs(s.GetObservations()-k) > 1e-6 {
			t.Errorf("slot %d: %v of %v, want %v of %v", s.GetSlot(), s.GetRate(), s.GetObservations(), want, k)
		}
	}
	// The same hour of other days counts a quarter, and so do those around it.
	days := timer(t, 5, ", bandwidth: 7200s, other_days: 0.25", nil)
	for _, s := range choose(t, days, &scoringv1.Recipient{History: sent(t, "2026-03-01T23:30:00Z+")}, &scoringv1.ChooseSendTimeOptions{Count: weekHours}).GetTimes() {
		apart := (int(s.GetSlot()) + 1) % weekHours
		d, day := float64(min(apart, weekHours-apart)), float64(min(apart%24, 24-apart%24))
		k := max(math.Exp(-d*d/8), math.Exp(-day*day/8)/4)
		if math.Abs(s.GetObservations()-k) > 1e-6 || math.Abs(s.GetRate()-(0.1+k*0.9/(5+k))) > 1e-6 {
			t.Errorf("with other days, slot %d: %v of %v, want %v", s.GetSlot(), s.GetRate(), s.GetObservations(), k)
		}
	}
	hours := timer(t, 5, ", other_days: 1", nil)
	for _, s := range choose(t, hours, &scoringv1.Recipient{History: sent(t, "2026-03-01T23:30:00Z+")}, &scoringv1.ChooseSendTimeOptions{Count: weekHours}).GetTimes() {
		if want := map[bool]float64{true: 1}[s.GetSlot()%24 == 23]; s.GetObservations() != want {
			t.Errorf("the hour of all days, slot %d: %v", s.GetSlot(), s.GetObservations())
		}
	}
	// A kernel as wide as the week counts every message once in every slot.
	wide := timer(t, 5, ", bandwidth: 36000000s", nil)
	for _, s := range choose(t, wide, &scoringv1.Recipient{History: sent(t, "2026-03-01T23:30:00Z+", "2026-02-25T10:00:00Z")}, &scoringv1.ChooseSendTimeOptions{Count: weekHours}).GetTimes() {
		if math.Abs(s.GetObservations()-2) > 1e-4 || math.Abs(s.GetRate()-(0.1+0.8/7)) > 1e-4 {
			t.Fatalf("%v", s)
		}
	}
}

func TestHalfLife(t *testing.T) {
	m := timer(t, 1, "", nil)
	history := sent(t, "2026-03-02T10:00:00Z+", "2026-02-16T10:00:00Z+", "2026-02-02T10:00:00Z")
	opts := &scoringv1.ChooseSendTimeOptions{
		Earliest: timestamppb.New(at(t, "2026-03-02T10:00:00Z")), HalfLife: durationpb.New(14 * 24 * time.Hour),
	}
	s := choose(t, m, &scoringv1.Recipient{History: history}, opts).GetTimes()[0]
	weights := 1 + 0.5 + 0.25
	if want := (0.1 + 1.5) / (1 + weights); s.GetSlot() != 10 || math.Abs(s.GetObservations()-weights) > 1e-12 || math.Abs(s.GetRate()-want) > 1e-12 {
		t.Errorf("%v, want %v of %v", s, want, weights)
	}
	opts.HalfLife = nil
	if s := choose(t, m, &scoringv1.Recipient{History: history}, opts).GetTimes()[0]; s.GetObservations() != 3 {
		t.Errorf("without a half-life: %v", s)
	}
}

// TestTimeZones names the slots that a time in a zone belongs to.
func TestTimeZones(t *testing.T) {
	for _, c := range []struct {
		zone, time string
		slot       int
	}{
		{"", "2026-03-02T00:00:00Z", 0},
		{"UTC", "2026-03-08T23:59:59Z", 167},
		{"Europe/Moscow", "2026-03-02T00:00:00Z", 3},
		{"America/Los_Angeles", "2026-03-02T07:59:59Z", 167}, // Sunday, 23 o'clock
		{"Asia/Kathmandu", "2026-03-02T00:20:00Z", 6},        // + 5:45
		{"Europe/Berlin", "2026-03-29T00:59:00Z", 6*24 + 1},  // before the clock goes from 2 to 3
		{"Europe/Berlin", "2026-03-29T01:00:00Z", 6*24 + 3},
		{"Europe/Berlin", "2026-10-25T00:30:00Z", 6*24 + 2}, // the first 2:30, then the second
		{"Europe/Berlin", "2026-10-25T01:30:00Z", 6*24 + 2},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := slotOf(at(t, c.time).In(zone)); got != c.slot {
			t.Errorf("%s in %q: slot %d, want %d", c.time, c.zone, got, c.slot)
		}
	}
}

// TestClockChanges lists the hours of nights in which clocks change.
func TestClockChanges(t *testing.T) {
	for _, c := range []struct{ name, zone, from, to, want string }{
		{"put forward", "Europe/Berlin", "2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z", "00:30 01:00 03:00 04:00"},
		{"put back", "Europe/Berlin", "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z", "01:00 02:00 03:00"},
		{"put back within the second hour", "Europe/Berlin", "2026-10-25T01:20:00Z", "2026-10-25T03:00:00Z", "02:20 03:00"},
		{"half an hour forward", "Australia/Lord_Howe", "2026-10-03T14:30:00Z", "2026-10-03T17:00:00Z", "01:00 02:30 03:00"},
		{"half an hour back", "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "2026-04-04T17:00:00Z", "01:00 02:00 03:00"},
		{"a quarter off", "Asia/Kathmandu", "2026-03-02T00:00:00Z", "2026-03-02T02:15:00Z", "05:45 06:00 07:00"},
		{"a day that was left out", "Pacific/Apia", "2011-12-30T08:30:00Z", "2011-12-30T11:30:00Z", "22:30 23:00 00:00 01:00"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range hoursBetween(at(t, c.from), at(t, c.to), zone, new([24]bool)) {
			got = append(got, h.begins.Format("15:04"))
			if s := slotOf(h.begins); s != h.slot {
				t.Errorf("%s: %v is slot %d, not %d", c.name, h.begins, s, h.slot)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s, want %s", c.name, strings.Join(got, " "), c.want)
		}
	}
}

// TestHours checks what must hold of the hours of any zone and window.
func TestHours(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "Africa/Casablanca", "Pacific/Apia"}
	rapid.Check(t, func(rt *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(rt, "zone"))
		if err != nil {
			rt.Fatal(err)
		}
		from := time.Unix(rapid.Int64Range(0, 2_000_000_000).Draw(rt, "from"), rapid.Int64Range(0, 999_999_999).Draw(rt, "nanos"))
		to := from.Add(time.Duration(rapid.Int64Range(1, int64(90*24*time.Hour)).Draw(rt, "length")))
		var quiet [24]bool
		for _, h := range rapid.SliceOfN(rapid.IntRange(0, 23), 0, 23).Draw(rt, "quiet") {
			quiet[h] = true
		}
		hours := hoursBetween(from, to, zone, &quiet)
		first := map[int]time.Time{} // by brute force, minute by minute
		for at := from; at.Before(to) && at.Before(from.Add(8*24*time.Hour)); at = at.Truncate(time.Minute).Add(time.Minute) {
			local := at.In(zone)
			if slot := (int(local.Weekday())+6)%7*24 + local.Hour(); !quiet[local.Hour()] {
				if _, ok := first[slot]; !ok {
					first[slot] = at
				}
			}
		}
		seen := map[int]bool{}
		for i, h := range hours {
			if seen[h.slot] {
				rt.Fatalf("slot %d twice", h.slot)
			}
			seen[h.slot] = true
			if i > 0 && !h.begins.After(hours[i-1].begins) {
				rt.Fatalf("%v after %v", h.begins, hours[i-1].begins)
			}
			if want, ok := first[h.slot]; ok && !h.begins.Equal(want) {
				rt.Fatalf("slot %d begins at %v, want %v", h.slot, h.begins, want.In(zone))
			}
		}
		for slot, when := range first {
			if !seen[slot] {
				rt.Fatalf("slot %d, which comes at %v, is missing", slot, when.In(zone))
			}
		}
	})
}

func TestQuietHoursAndWindow(t *testing.T) {
	m := timer(t, 10, "", map[int]float64{0: 0.9, 5: 0.8, 20: 0.7})
	opts := &scoringv1.ChooseSendTimeOptions{
		Earliest: timestamppb.New(at(t, "2026-03-02T00:40:00Z")), Latest: timestamppb.New(at(t, "2026-03-02T20:00:01Z")),
		QuietHours: []int32{5, 6, 7}, Count: weekHours,
	}
	times := choose(t, m, &scoringv1.Recipient{}, opts).GetTimes()
	if len(times) != 18 { // 0 to 20 o'clock without three
		t.Fatalf("%d times", len(times))
	}
	if got := times[0].GetTime().AsTime(); !got.Equal(at(t, "2026-03-02T00:40:00Z")) {
		t.Errorf("best %v", got)
	}
	if times[1].GetSlot() != 20 {
		t.Errorf("second %v", times[1])
	}
	for _, s := range times {
		if h := s.GetSlot(); h >= 5 && h <= 7 {
			t.Errorf("quiet hour %d", h)
		}
	}
}

func TestChooseSendTimeRefuses(t *testing.T) {
	m := timer(t, 10, "", nil)
	now := at(t, "2026-03-02T00:00:00Z")
	stamp := func(s string) *timestamppb.Timestamp { return timestamppb.New(at(t, s)) }
	for name, c := range map[string]struct {
		opts          *scoringv1.ChooseSendTimeOptions
		field, reason string
	}{
		"latest first": {&scoringv1.ChooseSendTimeOptions{Latest: stamp("2026-03-01T00:00:00Z")}, "options.latest", "TIME_RANGE"},
		"no time":      {&scoringv1.ChooseSendTimeOptions{Latest: stamp("2026-03-02T00:00:00Z")}, "options.latest", "TIME_RANGE"},
		"too long":     {&scoringv1.ChooseSendTimeOptions{Latest: stamp("2026-05-31T00:00:01Z")}, "options.latest", "TIME_RANGE"},
		"year 10000":   {&scoringv1.ChooseSendTimeOptions{Earliest: &timestamppb.Timestamp{Seconds: 253402300800}}, "options.earliest", "TIME_INVALID"},
		"last moment":  {&scoringv1.ChooseSendTimeOptions{Earliest: stamp("9999-12-31T23:59:59Z")}, "options.latest", "TIME_RANGE"},
		"half-life":    {&scoringv1.ChooseSendTimeOptions{HalfLife: &durationpb.Duration{Seconds: 1, Nanos: -1}}, "options.half_life", "TIME_INVALID"},
		"nanos":        {&scoringv1.ChooseSendTimeOptions{Latest: &timestamppb.Timestamp{Seconds: 1, Nanos: -1}}, "options.latest", "TIME_INVALID"},
	} {
		_, _, err := ChooseSendTime(t.Context(), m, []*scoringv1.Recipient{{}}, c.opts, now)
		wantInput(t, name, err, c.field, c.reason)
	}
	recipients := []*scoringv1.Recipient{
		{Id: "good", TimeZone: "Europe/Moscow"},
		{Id: "martian", TimeZone: "Mars/Olympus_Mons"},
		{Id: "server", TimeZone: "Local"},
		{Id: "path", TimeZone: "../../etc/localtime"},
		{Id: "link", TimeZone: "localtime"},
		{Id: "leap seconds", TimeZone: "right/UTC"},
		{Id: "dot", TimeZone: "./UTC"},
		{Id: "unset", TimeZone: "Europe/Moscow", History: append(sent(t, "2026-03-01T00:00:00Z"), &scoringv1.SentMessage{})},
		{Id: "year", TimeZone: "Europe/Moscow", History: []*scoringv1.SentMessage{{Sent: &timestamppb.Timestamp{Seconds: -1 << 60}}}},
		{Id: "quiet", TimeZone: "UTC"},
		{Id: "loud", TimeZone: "Europe/Moscow"},
	}
	opts := &scoringv1.ChooseSendTimeOptions{Latest: stamp("2026-03-02T01:00:00Z"), QuietHours: []int32{0}}
	results, errs, err := ChooseSendTime(t.Context(), m, recipients, opts, now)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ field, reason string }{
		{}, {"time_zone", "TIME_ZONE_UNKNOWN"}, {"time_zone", "TIME_ZONE_UNKNOWN"}, {"time_zone", "TIME_ZONE_UNKNOWN"},
		{"time_zone", "TIME_ZONE_UNKNOWN"}, {"time_zone", "TIME_ZONE_UNKNOWN"}, {"time_zone", "TIME_ZONE_UNKNOWN"},
		{"history[1].sent", "TIME_INVALID"}, {"history[0].sent", "TIME_INVALID"}, {"time_zone", "NO_HOUR_LEFT"}, {},
	} {
		r := results[i]
		if r.GetId() != recipients[i].GetId() || r.GetIndex() != int64(i) {
			t.Errorf("%v", r)
		}
		if want.field == "" {
			if errs[i] != nil || len(r.GetTimes()) != 1 {
				t.Errorf("%s: %v %v", r.GetId(), r, errs[i])
			}
			continue
		}
		wantInput(t, r.GetId(), errs[i], want.field, want.reason)
		if len(r.GetTimes()) > 0 || r.GetPredictionId() != "" {
			t.Errorf("%s has an error and %v", r.GetId(), r)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := ChooseSendTime(ctx, m, recipients, opts, now); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func wantInput(t testing.TB, name string, err error, field, reason string) {
	t.Helper()
	in, ok := errors.AsType[*pipeline.InputError](err)
	if !ok || in.Field != field || in.Reason != reason {
		t.Errorf("%s: %v, want %s at %s", name, err, reason, field)
	}
}
