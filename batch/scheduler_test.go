package batch

import (
	"errors"
	"testing"
	"time"
)

const msec = time.Millisecond

func waiting(s *scheduler, n int, deadline instant) {
	for range n {
		s.lanes.add(&ticket{rows: 1, cost: 1, due: deadline, deadline: deadline}, "")
	}
}

func TestExpiredIsRefusedWhateverItsCost(t *testing.T) {
	s := newScheduler(Config{}.withDefaults())
	waiting(s, 1, 10*msec)
	waiting(s, 1, never)
	batch, refused := s.next(10*msec, 1)
	if len(batch) != 1 || len(refused) != 1 || refused[0].deadline != 10*msec || s.lanes.tickets != 0 {
		t.Errorf("%d to run, %d refused, %d wait", len(batch), len(refused), s.lanes.tickets)
	}
}

// TestRetryHint comes from the measured rate: 8 rows in 4 ms are 0.5 ms a row.
func TestRetryHint(t *testing.T) {
	s := newScheduler(Config{MaxRows: 8, MaxQueuedRows: 100, Slots: 2}.withDefaults())
	s.learn(Shape{Rows: 8}, 8, 4*msec, true)
	waiting(s, 90, never)
	_, err := s.admit(demand{rows: 30, cost: 30, deadline: never}, 0, 0)
	full, ok := errors.AsType[*FullError](err)
	// 20 rows have to leave by two slots.
	if !ok || !errors.Is(err, ErrFull) || full.QueuedRows != 90 || full.RetryAfter != 5*msec {
		t.Errorf("%v", err)
	}
}

func TestPredictedAgainstRemaining(t *testing.T) {
	s := newScheduler(Config{MaxRows: 8}.withDefaults())
	s.learn(Shape{Rows: 8}, 8, 4*msec, true)
	s.lastRun = 0
	waiting(s, 80, never)
	// 40 ms ahead, 2 ms until the slot is free, the reserve of 6 runs.
	const predicted = (2 + 40 + reserveFirst*4) * msec
	d := demand{rows: 1, cost: 1, due: never, deadline: 10*msec + predicted}
	if _, err := s.admit(d, 10*msec, 2*msec); err != nil {
		t.Error(err)
	}
	d.deadline--
	_, err := s.admit(d, 10*msec, 2*msec)
	late, ok := errors.AsType[*DeadlineError](err)
	if !ok || !errors.Is(err, ErrDeadline) || late.Predicted != predicted || late.Remaining != predicted-1 || late.RetryAfter() != 1 {
		t.Errorf("%v", err)
	}
	d.due = 0 // more urgent than all that waits
	if _, err := s.admit(d, 10*msec, 2*msec); err != nil {
		t.Error(err)
	}
}

// TestRateHeals: a rate measured in a bad hour must not refuse work for ever
// when nothing waits long enough to measure a new one.
func TestRateHeals(t *testing.T) {
	s := newScheduler(Config{MaxRows: 8}.withDefaults())
	s.learn(Shape{Rows: 8}, 8, time.Second, true)
	for range 200 {
		s.learn(Shape{Rows: 1}, 1, msec, false)
	}
	if s.drainTime(10) > 15*msec || s.spell > float64(2*msec) {
		t.Errorf("%v for ten, runs of %v", s.drainTime(10), time.Duration(s.spell))
	}
	s = newScheduler(Config{MaxRows: 8}.withDefaults())
	s.learn(Shape{Rows: 8}, 8, msec, true)
	for range 200 { // lone runs are dearer by the row, which says nothing
		s.learn(Shape{Rows: 1}, 1, msec, false)
	}
	if s.drainTime(80) != 10*msec {
		t.Errorf("%v for eighty", s.drainTime(80))
	}
}
