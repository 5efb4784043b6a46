package batch

import (
	"fmt"
	"slices"
	"time"
)

// Config sizes a queue. The zero value is usable: every field says what 0 means.
type Config struct {
	// Slots is how many runs the device bears at once; 0 means 1.
	Slots int
	// Device is shared with other queues: a run waits for Width of its permits,
	// 0 meaning 1 and more than there are meaning all. nil means that this
	// queue has its slots to itself.
	Device *Device
	Width  int
	// MaxRows bounds the rows of a batch; 0 means 32.
	MaxRows int
	// MaxItems bounds the items of a batch; 0 means no bound, 1 that items are
	// never joined.
	MaxItems int
	// MaxCost bounds the sum of the items' costs in a batch; 0 means no bound.
	MaxCost int64
	// MaxCells bounds the cells (rows × length, after padding and steps) of a
	// batch of several items; 0 means no bound.
	MaxCells int
	// MaxPadding bounds the share of a batch's cells (rows × length) that is
	// padding because shorter items ride with longer ones, in (0, 1). 0 means
	// 0.5; negative means that only equal lengths join. What RowSteps and
	// LengthSteps add even to a lone item does not count.
	MaxPadding float64

	// RowSteps and LengthSteps are the extents, ascending, that runs are
	// padded to, so that few shapes occur; above the last step, and where
	// there are none, a run has the exact extent. A row step above MaxRows is
	// not used.
	RowSteps, LengthSteps []int

	// MaxQueuedRows and MaxQueuedCost bound what waits; 0 means 64 × MaxRows
	// rows and no bound by cost.
	MaxQueuedRows int
	MaxQueuedCost int64

	// Window is how long work may wait for company although a slot is free;
	// usually 0. It ends early when a batch is full or a deadline is near.
	Window time.Duration
	// Inline is the longest predicted run that a caller who finds a slot free
	// does in its own goroutine; longer ones, and those of unknown cost, run
	// in the slot's goroutine, so that the caller can still leave at its
	// deadline. 0 means 2ms, negative never.
	Inline time.Duration
	// Patience orders items without a deadline as if they had this one; 0
	// means 10s. They do not expire.
	Patience time.Duration
	// Lookahead is how many waiting items, most urgent first, are considered
	// for a batch; 0 means 128.
	Lookahead int
	// Weights are the tenants' shares relative to each other; a tenant that is
	// not named has weight 1.
	Weights map[string]float64

	// LockThreads runs every slot in a goroutine of its own that keeps its OS
	// thread; nothing runs inline then.
	LockThreads bool
	// NoRetry answers all items of a batch with the error of the whole batch,
	// instead of running them once more one by one.
	NoRetry bool
	// Costs are known run times, such as those measured while a model was
	// warmed. The queue goes on measuring; Queue.Costs returns what it knows.
	Costs []Cost
}

// Cost is the measured duration of a run.
type Cost struct {
	Shape Shape
	Time  time.Duration
}

// Validate reports the first field that has no meaning.
func (c Config) Validate() error {
	for _, f := range []struct {
		name string
		bad  bool
	}{
		{"Slots", c.Slots < 0},
		{"Width", c.Width < 0},
		{"MaxRows", c.MaxRows < 0 || c.MaxRows > 1<<20},
		{"MaxItems", c.MaxItems < 0},
		{"MaxCost", c.MaxCost < 0},
		{"MaxCells", c.MaxCells < 0},
		{"MaxPadding", !(c.MaxPadding < 1)},
		{"RowSteps", !ascending(c.RowSteps)},
		{"LengthSteps", !ascending(c.LengthSteps)},
		{"MaxQueuedRows", c.MaxQueuedRows < 0},
		{"MaxQueuedCost", c.MaxQueuedCost < 0},
		{"Window", c.Window < 0},
		{"Patience", c.Patience < 0},
		{"Lookahead", c.Lookahead < 0},
	} {
		if f.bad {
			return fmt.Errorf("batch: Config.%s is out of range", f.name)
		}
	}
	for tenant, w := range c.Weights {
		if !(w > 0 && w < 1e9) {
			return fmt.Errorf("batch: Config.Weights[%q] is out of range", tenant)
		}
	}
	for i, k := range c.Costs {
		if k.Shape.Rows < 1 || k.Shape.Length < 0 || k.Time <= 0 {
			return fmt.Errorf("batch: Config.Costs[%d] is out of range", i)
		}
	}
	return nil
}

func ascending(steps []int) bool {
	for i, s := range steps {
		if s < 1 || i > 0 && s <= steps[i-1] {
			return false
		}
	}
	return true
}

// withDefaults returns a copy in which every field has its effective value.
func (c Config) withDefaults() Config {
	c.Slots = orElse(c.Slots, 1)
	c.Width = orElse(c.Width, 1)
	c.MaxRows = orElse(c.MaxRows, 32)
	c.MaxItems = orElse(c.MaxItems, c.MaxRows) // an item has at least one row
	c.MaxQueuedRows = orElse(c.MaxQueuedRows, 64*c.MaxRows)
	c.Inline = orElse(c.Inline, 2*time.Millisecond)
	c.Patience = orElse(c.Patience, 10*time.Second)
	c.Lookahead = orElse(c.Lookahead, 128)
	c.MaxPadding = max(0, orElse(c.MaxPadding, 0.5))
	c.RowSteps = slices.DeleteFunc(slices.Clone(c.RowSteps), func(s int) bool { return s > c.MaxRows })
	c.LengthSteps = slices.Clone(c.LengthSteps)
	return c
}

func orElse[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// stepUp returns the first step that is at least n, or n above the last.
func stepUp(steps []int, n int) int {
	i, _ := slices.BinarySearch(steps, n)
	if i < len(steps) {
		return steps[i]
	}
	return n
}
