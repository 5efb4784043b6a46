//go:build !race

package batch

import (
	"context"
	"testing"
	"time"
)

// TestAllocations bounds the garbage of a request to the results that Do
// returns. (The race detector allocates, too.)
func TestAllocations(t *testing.T) {
	for name, cfg := range map[string]Config{
		"inline": {Costs: []Cost{{Shape{Rows: 1}, time.Microsecond}}},
		"queued": {Inline: -1},
		"shared": {Inline: -1, Device: NewDevice(1, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := New(cfg, echo)
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			items := []Item[int]{{Value: 7}}
			got := testing.AllocsPerRun(1000, func() {
				if r := q.Do(ctx, Call{}, items); r[0].Err != nil || r[0].Value != 7 || r[0].Inline != (name == "inline") {
					t.Fatal(r)
				}
			})
			if got > 1 {
				t.Errorf("%v allocations per Do, want 1", got)
			}
		})
	}
}
