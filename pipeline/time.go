package pipeline

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// TimeOr is a time of a request, or what stands for an unset one. A time that
// cannot be is an *InputError of that field.
func TimeOr(t *timestamppb.Timestamp, field string, unset time.Time) (time.Time, error) {
	if t == nil {
		return unset, nil
	}
	if t.CheckValid() != nil {
		return time.Time{}, &InputError{Field: field, Reason: "TIME_INVALID", Message: "is no time between the years 1 and 9999"}
	}
	return t.AsTime(), nil
}

// parseTime returns microseconds since 1970.
func parseTime(s string) (int64, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UnixMicro(), err == nil
}

func notATime() *InputError {
	return &InputError{Reason: "FEATURE_TYPE", Message: "is not a time in RFC 3339, such as 2026-01-31T12:00:00Z"}
}
