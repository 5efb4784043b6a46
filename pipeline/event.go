package pipeline

import (
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

func (f *feature) tooManyEvents(n int) *InputError {
	return &InputError{Reason: "SEQUENCE_TOO_LONG", Message: fmt.Sprintf("%d events, the limit is %d; the model reads %s", n, f.limit, f.kept())}
}

// cold remarks on a row of which nothing is known: no feature has a value, or
// the model reads histories and there is none.
func (p *rowPlan) cold(given, events bool) remark {
	switch {
	case !given:
		return remark{servingv1.WarningCode_WARNING_CODE_COLD_START, "every feature is missing"}
	case p.histories > 0 && !events:
		return remark{servingv1.WarningCode_WARNING_CODE_COLD_START, "there is no history"}
	}
	return remark{}
}

// fillTime reads the time of an event that writeTimes writes, notMicros for a
// missing one, for which it writes what stands for it.
func (f *feature) fillTime(c *cells, at int, v *structpb.Value) (int64, remark, *InputError) {
	if isNull(v) {
		note, err := f.fillMissing(c, at)
		return notMicros, note, err
	}
	s, ok := v.GetKind().(*structpb.Value_StringValue)
	if !ok {
		return notMicros, remark{}, f.wrongType(v)
	}
	micros, ok := parseTime(s.StringValue)
	if !ok {
		return notMicros, remark{}, notATime()
	}
	return micros, remark{}, nil
}

// writeTimes writes the times of one row's events from a flat place on, as the
// feature's encoding says. Missing ones, notMicros, are left as they are. An
// event that is older than the one before it is an error, and its place is
// returned.
func (f *feature) writeTimes(c *cells, at int, micros []int64) (int, *InputError) {
	last := int64(notMicros)
	for i := len(micros) - 1; i >= 0 && last == notMicros; i-- {
		last = micros[i]
	}
	previous := int64(notMicros)
	for i, t := range micros {
		if t == notMicros {
			continue
		}
		if previous == notMicros {
			previous = t
		}
		if t < previous {
			return i, &InputError{Reason: "SEQUENCE_ORDER", Message: "is older than the event before it; events stand oldest first"}
		}
		gap := t - previous
		if f.spec.GetTime() == bundlev1.TimeEncoding_TIME_ENCODING_SECONDS_TO_LAST {
			gap = last - t
		}
		if f.dtype.IsFloat() {
			c.float(at+i, float64(gap)/1e6)
		} else {
			c.int(at+i, gap/1e6)
		}
		previous = t
	}
	return 0, nil
}

// differences writes the times of a row's events, the values [from, to) of a
// column.
func (w *tableWriter) differences(f *feature, c *column, from, to, row, at int) {
	out := &w.into[f.input]
	w.times = w.times[:0]
	for i := from; i < to; i++ {
		micros := int64(notMicros)
		switch {
		case !c.have || !isValid(c.validity, i):
			w.cell(f, c, out, i, row, at+i-from)
		case c.ints != nil:
			micros = c.ints[i]
		default:
			if micros = c.micros[c.indices[i]]; micros == notMicros {
				w.report.fail(row, c.path, notATime())
				return
			}
		}
		w.times = append(w.times, micros)
	}
	if _, err := f.writeTimes(out, at, w.times); err != nil {
		w.report.fail(row, c.path, err)
	}
}
