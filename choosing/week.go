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

// lag is how much a message speaks for the hour so many hours later, round the
// week.
type lag struct {
	hours  int
	weight float64
}

// kernel returns the lags of which the weight is not 0, the message's own hour
// among them. The weight is normal with the standard deviation bandwidth, and 1 at
// the hour itself; the same hours of other days count otherDays of that.
func kernel(bandwidth time.Duration, otherDays float64) []lag {
	var lags []lag
	for h := range weekHours {
		w := max(normal(min(h, weekHours-h), bandwidth), otherDays*normal(min(h%24, 24-h%24), bandwidth))
		if w > 1e-6 { // less changes nothing
			lags = append(lags, lag{h, w})
		}
	}
	return lags
}

// normal is the normal density of so many hours, 1 at 0.
func normal(hours int, deviation time.Duration) float64 {
	switch {
	case hours == 0:
		return 1
	case deviation <= 0:
		return 0
	}
	z := float64(hours) / deviation.Hours()
	return math.Exp(-z * z / 2)
}
