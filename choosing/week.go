package choosing

import (
	"math"
	"time"
)

// weekHours is the number of slots: an hour of the week each, Monday 0 o'clock
// first.
const weekHours = 7 * 24

// slotOf is the hour of the week of a time in its zone.
func slotOf(local time.Time) int {
	return (int(local.Weekday())+6)%7*24 + local.Hour()
}

// nextHour is when the hour of the clock that holds a time ends: at the next
// full hour, or when the clock is put forward or back.
func nextHour(local time.Time) time.Time {
	gone := time.Duration(local.Minute())*time.Minute + time.Duration(local.Second())*time.Second + time.Duration(local.Nanosecond())
	next := local.Add(time.Hour - gone)
	if _, change := local.ZoneBounds(); !change.IsZero() && change.Before(next) {
		return change.In(local.Location())
	}
	return next
}

// hour is one in which may be sent.
type hour struct {
	slot   int
	begins time.Time // or the earliest time in it
}

// hoursBetween returns each hour of the week that is not quiet as it comes first
// in [from, to), in order of time. An hour that the clock leaves out does not
// come, one that it shows twice comes once.
func hoursBetween(from, to time.Time, zone *time.Location, quiet *[24]bool) []hour {
	hours := make([]hour, 0, weekHours)
	var seen [weekHours]bool
	for t := from.In(zone); t.Before(to) && len(hours) < weekHours; t = nextHour(t) {
		slot := slotOf(t)
		if seen[slot] || quiet[slot%24] {
			continue
		}
		seen[slot] = true
		hours = append(hours, hour{slot: slot, begins: t})
	}
	return hours
}

// kernel is how much a message speaks for the hours around its own: k[i] for the
// two hours that are i away, round the week. It is normal with the standard
// deviation bandwidth, and 1 at its own hour.
func kernel(bandwidth time.Duration) []float64 {
	k := []float64{1}
	if bandwidth <= 0 {
		return k
	}
	for i := 1; i <= weekHours/2; i++ {
		z := float64(i) / bandwidth.Hours()
		w := math.Exp(-z * z / 2)
		if w < 1e-6 { // changes nothing
			break
		}
		if i == weekHours/2 {
			w /= 2 // both are the same hour
		}
		k = append(k, w)
	}
	return k
}
