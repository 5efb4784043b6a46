package choosing

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

const (
	week      = weekHours * time.Hour
	mostAhead = 90 * 24 * time.Hour
)

// SendTimeModel is what the choice of send times needs of a loaded version.
type SendTimeModel interface {
	Bundle() *bundle.Bundle
	Identity() pipeline.Identity
}

// ChooseSendTime answers when to send to recipients: the rates of the model's
// catalogue, moved by each recipient's own history. results[i] and errs[i] belong
// to recipients[i]; a result whose error is set holds id and index only. err is
// set when the call as a whole cannot be answered.
//
// The rate of a slot is the mean of a Beta posterior: the prior counts as strength
// messages, each message of the recipient's own as its weight, by its age and by
// how far its hour is from the slot.
func ChooseSendTime(ctx context.Context, m SendTimeModel, recipients []*scoringv1.Recipient, opts *scoringv1.ChooseSendTimeOptions, now time.Time) (results []*scoringv1.SendTimeChoice, errs []error, err error) {
	spec := m.Bundle().Manifest.GetCatalogue().GetSendTimes()
	if spec == nil {
		return nil, nil, fmt.Errorf("%w: %s has no send times in its catalogue", ErrUnsupported, m.Identity().Model)
	}
	p, err := newPlanner(spec, opts, now)
	if err != nil {
		return nil, nil, err
	}
	results, errs = make([]*scoringv1.SendTimeChoice, len(recipients)), make([]error, len(recipients))
	served := []*servingv1.ServedBy{m.Identity().ServedBy()}
	for i, r := range recipients {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		out := &scoringv1.SendTimeChoice{Id: r.GetId(), Index: int64(i)}
		results[i] = out
		times, err := p.choose(r)
		if err != nil {
			errs[i] = err
			continue
		}
		out.Times, out.PredictionId, out.ServedBy = times, pipeline.NewPredictionID(), served
		if len(r.GetHistory()) == 0 {
			out.Warnings = []*servingv1.Warning{{
				Code: servingv1.WarningCode_WARNING_CODE_COLD_START, Field: fmt.Sprintf("recipients[%d].history", i),
				Message: "there is no history; the general rates are answered",
			}}
		}
	}
	return results, errs, nil
}

// planner chooses the times of one call.
type planner struct {
	spec             *bundlev1.SendTimes
	earliest, latest time.Time
	quiet            [24]bool
	count            int
	halfLife         time.Duration
	kernel           []lag
	zones            map[string]*zone

	sent, answered [weekHours]float64 // of one recipient, by slot
	rates          []float64          // of one recipient, by hour of the zone
}

// zone is what recipients of one time zone share.
type zone struct {
	location *time.Location
	hours    []hour
	err      error
}

func newPlanner(spec *bundlev1.SendTimes, opts *scoringv1.ChooseSendTimeOptions, now time.Time) (*planner, error) {
	p := &planner{
		spec: spec, count: max(int(opts.GetCount()), 1), halfLife: opts.GetHalfLife().AsDuration(),
		kernel: kernel(spec.GetBandwidth().AsDuration(), spec.GetOtherDays()), zones: map[string]*zone{},
	}
	for _, h := range opts.GetQuietHours() {
		p.quiet[h] = true
	}
	var err error
	if p.earliest, err = pipeline.TimeOr(opts.GetEarliest(), "options.earliest", now); err != nil {
		return nil, err
	}
	unset := p.earliest.Add(week)
	if unset.After(lastTime) {
		unset = lastTime
	}
	if p.latest, err = pipeline.TimeOr(opts.GetLatest(), "options.latest", unset); err != nil {
		return nil, err
	}
	if h := opts.GetHalfLife(); h != nil && h.CheckValid() != nil {
		return nil, &pipeline.InputError{Field: "options.half_life", Reason: "TIME_INVALID", Message: "is no duration of at most 10,000 years"}
	}
	switch ahead := p.latest.Sub(p.earliest); {
	case ahead <= 0:
		return nil, &pipeline.InputError{Field: "options.latest", Reason: "TIME_RANGE", Message: "is not after the earliest time"}
	case ahead > mostAhead:
		return nil, &pipeline.InputError{Field: "options.latest", Reason: "TIME_RANGE", Message: "is more than 90 days after the earliest time"}
	}
	return p, nil
}

// lastTime is the last that a Timestamp holds.
var lastTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// zoneOf returns a time zone with its hours. Its error is an *InputError.
func (p *planner) zoneOf(name string) (*zone, error) {
	if z := p.zones[name]; z != nil {
		return z, z.err
	}
	z := &zone{}
	p.zones[name] = z
	var err error
	if z.location, err = time.LoadLocation(name); err != nil || !zoneName(name) {
		z.err = &pipeline.InputError{Field: "time_zone", Reason: "TIME_ZONE_UNKNOWN", Message: "is no IANA time zone, such as Europe/Moscow"}
		return z, z.err
	}
	if z.hours = hoursBetween(p.earliest, p.latest, z.location, &p.quiet); len(z.hours) == 0 {
		z.err = &pipeline.InputError{Field: "time_zone", Reason: "NO_HOUR_LEFT", Message: "in this zone every hour between the earliest and the latest time is quiet"}
	}
	return z, z.err
}

// zoneName tells names of time zones from what else is found under them: the
// server's own zone, files of an installation, and paths to zones.
func zoneName(name string) bool {
	switch name {
	case "Local", "localtime", "posixrules", "Factory":
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == ".." || part == "" && name != "" || part == "right" || part == "posix" {
			return false
		}
	}
	return true
}

// choose returns the best times for one recipient. Errors are *InputErrors.
func (p *planner) choose(r *scoringv1.Recipient) ([]*scoringv1.SendTime, error) {
	z, err := p.zoneOf(r.GetTimeZone())
	if err != nil {
		return nil, err
	}
	clear(p.sent[:])
	clear(p.answered[:])
	for i, message := range r.GetHistory() {
		field := fmt.Sprintf("history[%d].sent", i)
		if message.GetSent() == nil {
			return nil, &pipeline.InputError{Field: field, Reason: "TIME_INVALID", Message: "is missing"}
		}
		sent, err := pipeline.TimeOr(message.GetSent(), field, time.Time{})
		if err != nil {
			return nil, err
		}
		slot, weight := slotOf(sent.In(z.location)), p.weight(sent)
		p.sent[slot] += weight
		if message.GetAnswered() {
			p.answered[slot] += weight
		}
	}
	prior, strength := p.spec.GetRates(), p.spec.GetPriorStrength()
	p.rates = p.rates[:0]
	for _, h := range z.hours {
		sent, answered := p.around(h.slot)
		// (strength × prior + answered) / (strength + sent), exact without messages.
		p.rates = append(p.rates, prior[h.slot]+(answered-sent*prior[h.slot])/(strength+sent))
	}
	best := pipeline.Top(p.rates, p.count, 0) // of equal rates the earlier
	times := make([]*scoringv1.SendTime, len(best))
	for k, i := range best {
		h := z.hours[i]
		sent, _ := p.around(h.slot)
		times[k] = &scoringv1.SendTime{
			Time: timestamppb.New(h.begins), Slot: int32(h.slot), Rate: p.rates[i], PriorRate: prior[h.slot], Observations: sent,
		}
	}
	return times, nil
}

// weight is what a message counts by its age.
func (p *planner) weight(sent time.Time) float64 {
	age := p.earliest.Sub(sent)
	if p.halfLife <= 0 || age <= 0 {
		return 1
	}
	return math.Exp2(-float64(age) / float64(p.halfLife))
}

// around sums the messages that speak for a slot.
func (p *planner) around(slot int) (sent, answered float64) {
	for _, l := range p.kernel { // which is as wide to both sides
		from := (slot + l.hours) % weekHours
		sent += l.weight * p.sent[from]
		answered += l.weight * p.answered[from]
	}
	return sent, answered
}
