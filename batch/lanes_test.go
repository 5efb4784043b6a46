package batch

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func newLanes(weights map[string]float64) *lanes {
	return &lanes{weights: weights, seed: maphash.MakeSeed()}
}

// take removes the n most urgent tickets.
func (ls *lanes) take(n int) (out []*ticket) {
	ls.rewind()
	for range n {
		t := ls.next()
		if t == nil {
			break
		}
		ls.pick(t, true)
		out = append(out, t)
	}
	ls.commit()
	return out
}

// TestLanesKeepOrder adds, removes and takes at random and compares with a
// plain sorted list.
func TestLanesKeepOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ls := newLanes(nil)
		var model []*ticket
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				tk := &ticket{rows: 1, cost: int64(rapid.IntRange(1, 9).Draw(rt, "cost")),
					due: instant(rapid.IntRange(0, 50).Draw(rt, "due")), priority: rapid.IntRange(0, 2).Draw(rt, "priority")}
				ls.add(tk, "")
				model = append(model, tk)
				slices.SortStableFunc(model, func(a, b *ticket) int {
					return cmp.Or(cmp.Compare(b.priority, a.priority), byUrgency(a, b))
				})
			},
			"remove": func(rt *rapid.T) {
				if len(model) == 0 {
					return
				}
				i := rapid.IntRange(0, len(model)-1).Draw(rt, "which")
				ls.remove(model[i])
				model = slices.Delete(model, i, i+1)
			},
			"take": func(rt *rapid.T) {
				// Look at some, take every second one of these.
				n := rapid.IntRange(0, 8).Draw(rt, "n")
				ls.rewind()
				var rest []*ticket
				for i := range min(n, len(model)) {
					tk := ls.next()
					if tk != model[i] {
						rt.Fatalf("ticket %d is out of order", i)
					}
					if i%2 == 0 {
						ls.pick(tk, true)
					} else {
						rest = append(rest, tk)
					}
				}
				ls.commit()
				model = append(rest, model[min(n, len(model)):]...)
			},
			"": func(rt *rapid.T) {
				cost := int64(0)
				for _, tk := range model {
					cost += tk.cost
					if tk.lane == nil || tk.picked {
						rt.Fatal("a waiting ticket has no lane")
					}
				}
				if ls.tickets != len(model) || ls.rows != len(model) || ls.cost != cost {
					rt.Fatalf("counts %d, %d, %d, want %d, %d", ls.tickets, ls.rows, ls.cost, len(model), cost)
				}
			},
		})
	})
}

func TestSharesFollowWeights(t *testing.T) {
	ls := newLanes(map[string]float64{"big": 3})
	tenant := map[*ticket]string{}
	add := func(name string, n int) {
		for range n {
			tk := &ticket{rows: 1, cost: 2}
			tenant[tk] = name
			ls.add(tk, name)
		}
	}
	add("big", 100)
	add("a", 100)
	add("b", 100)
	count := map[string]int{}
	for _, tk := range ls.take(50) {
		count[tenant[tk]]++
	}
	if count["big"] != 30 || count["a"] != 10 || count["b"] != 10 {
		t.Errorf("of 50: %v", count)
	}
}

// TestManyTenantsStayBounded invents a tenant per item.
func TestManyTenantsStayBounded(t *testing.T) {
	ls := newLanes(map[string]float64{"named": 5})
	for i := range 5000 {
		ls.add(&ticket{rows: 1, cost: 1, priority: i % 100}, fmt.Sprint(i))
		ls.add(&ticket{rows: 1, cost: 1}, fmt.Sprint(i))
		if i%2 == 1 {
			ls.take(3)
		}
		for _, lv := range ls.levels {
			if len(lv.lanes) > maxLanes+1 {
				t.Fatalf("%d lanes", len(lv.lanes))
			}
		}
	}
	ls.add(&ticket{rows: 1, cost: 1, due: time.Hour}, "named")
	if l := ls.lane(0, "named"); len(l.waiting()) != 1 || l.weight != 5 {
		t.Error("a named tenant has no lane of its own")
	}
	for ls.tickets > 0 {
		ls.take(100)
	}
	ls.add(&ticket{rows: 1, cost: 1}, "")
	if len(ls.levels) != 1 || len(ls.levels[0].lanes) != 1 {
		t.Error("an empty queue remembers its tenants")
	}
}

func TestAheadCountsOnlyTheShareOfOthers(t *testing.T) {
	ls := newLanes(nil)
	for range 10 {
		ls.add(&ticket{rows: 1, cost: 10, due: 100}, "x")
		ls.add(&ticket{rows: 1, cost: 10, due: 100, priority: -1}, "x")
	}
	ls.add(&ticket{rows: 1, cost: 7, due: 500, priority: 1}, "y")
	for _, c := range []struct {
		tenant   string
		priority int
		due      instant
		want     int64
	}{
		{"x", 0, 100, 107},  // its own, and the higher priority
		{"x", 0, 99, 7},     // its own are less urgent
		{"z", 0, 500, 12},   // x takes turns with it: as much as its own 5
		{"x", 1, 499, 5},    // y in the same level, one turn
		{"y", 1, 499, 0},    // its own is less urgent
		{"z", -1, 500, 112}, // everything above, and a turn
	} {
		if got := ls.ahead(5, c.priority, c.tenant, c.due); got != c.want {
			t.Errorf("ahead of %s at priority %d due %d: %d, want %d", c.tenant, c.priority, c.due, got, c.want)
		}
	}
}
