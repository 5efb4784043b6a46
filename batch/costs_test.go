package batch

import (
	"context"
	"math"
	"testing"
	"time"
)

func TestCostsPredictUnseenShapes(t *testing.T) {
	cfg := Config{MaxRows: 64}.withDefaults()
	costs := newCostTable(&cfg)
	if costs.predict(Shape{Rows: 1}) != 0 {
		t.Error("an empty table predicts")
	}
	for _, s := range []Shape{{1, 16}, {4, 32}, {16, 64}, {2, 128}} {
		costs.observe(s, 1e6+1e4*float64(s.Rows*s.Length))
	}
	for _, s := range []Shape{{1, 128}, {8, 8}, {32, 64}, {64, 128}, {3, 20}} {
		want := 1e6 + 1e4*float64(s.Rows*s.Length)
		if got := float64(costs.predict(s)); math.Abs(got-want) > 0.05*want {
			t.Errorf("%v: %.0f, want %.0f", s, got, want)
		}
	}
}

// TestCostsFromOneShape: with a single shape seen, a bigger one is dearer and
// a smaller one cheaper, but neither by more than its cells.
func TestCostsFromOneShape(t *testing.T) {
	cfg := Config{MaxRows: 64}.withDefaults()
	costs := newCostTable(&cfg)
	costs.observe(Shape{8, 16}, 1e6)
	small, same, big := costs.predict(Shape{1, 16}), costs.predict(Shape{8, 16}), costs.predict(Shape{32, 16})
	if same != time.Millisecond || small >= same || small < same/8 || big <= same || big > 4*same {
		t.Errorf("%v, %v, %v", small, same, big)
	}
}

func TestCostsFollowAChange(t *testing.T) {
	cfg := Config{}.withDefaults()
	costs := newCostTable(&cfg)
	costs.observe(Shape{Rows: 1}, 1e6)
	costs.observe(Shape{Rows: 1}, 9e6) // a stall
	if got := costs.predict(Shape{Rows: 1}); got > 2*time.Millisecond {
		t.Errorf("one stall makes it %v", got)
	}
	for range 40 {
		costs.observe(Shape{Rows: 1}, 3e6)
	}
	if got := costs.predict(Shape{Rows: 1}); got < 2900*time.Microsecond || got > 3100*time.Microsecond {
		t.Errorf("%v after a lasting change to 3ms", got)
	}
	for range 25 {
		costs.observe(Shape{Rows: 1}, 1e6)
	}
	if got := costs.predict(Shape{Rows: 1}); got > 1100*time.Microsecond {
		t.Errorf("%v after a lasting change to 1ms", got)
	}
}

// TestCostsAreCarriedOver gives a queue what another one measured.
func TestCostsAreCarriedOver(t *testing.T) {
	cfg := Config{RowSteps: []int{1, 8}, LengthSteps: []int{16, 32}}
	cfg.Costs = []Cost{{Shape{1, 16}, time.Millisecond}, {Shape{8, 32}, 4 * time.Millisecond}, {Shape{64, 32}, time.Second}}
	q, err := New(cfg, func(context.Context, *Batch[int, int]) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	got := q.Costs()
	if len(got) != 2 || got[0] != cfg.Costs[0] || got[1] != cfg.Costs[1] {
		t.Errorf("%v", got)
	}
}

func TestConfigValidate(t *testing.T) {
	for _, c := range []Config{
		{Slots: -1}, {MaxRows: -1}, {MaxItems: -1}, {MaxCost: -1}, {MaxPadding: 1}, {MaxPadding: math.NaN()},
		{RowSteps: []int{2, 2}}, {LengthSteps: []int{0, 1}}, {MaxQueuedRows: -1}, {MaxQueuedCost: -1},
		{Window: -1}, {Patience: -1}, {Lookahead: -1}, {Weights: map[string]float64{"x": 0}},
		{Weights: map[string]float64{"x": math.Inf(1)}}, {Costs: []Cost{{Shape{0, 1}, 1}}}, {Costs: []Cost{{Shape{1, 1}, 0}}},
	} {
		if _, err := New[int, int](c, nil); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestBetweenMeasuredRows: a shape that was never run takes no less than one of
// fewer rows, whatever the line through everything seen says.
func TestBetweenMeasuredRows(t *testing.T) {
	cfg := Config{MaxRows: 1024, RowSteps: []int{1, 2, 8, 512, 1024}, Costs: []Cost{
		{Shape{Rows: 1}, 3 * msec}, {Shape{Rows: 8}, 9 * msec}, {Shape{Rows: 512}, 10 * msec},
	}}.withDefaults()
	table := newCostTable(&cfg)
	for rows, want := range map[int][2]time.Duration{
		1: {3 * msec, 3 * msec}, 2: {3857 * time.Microsecond, 3858 * time.Microsecond},
		512: {10 * msec, 10 * msec}, 1024: {10 * msec, time.Hour},
	} {
		if got := table.predict(Shape{Rows: rows}); got < want[0] || got > want[1] {
			t.Errorf("%d rows: %v, want %v", rows, got, want)
		}
	}
}
