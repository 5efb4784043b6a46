package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func put(t *testing.T, c *Cache[int], k byte, bytes int64) {
	t.Helper()
	_, f, role := c.Begin(Key{k}, Asker{})
	if role != Lead {
		t.Fatalf("%d: role %v", k, role)
	}
	c.End(f, int(k), bytes-overhead, nil)
}

func has(c *Cache[int], k byte) bool {
	v, f, role := c.Begin(Key{k}, Asker{})
	if role == Lead {
		c.End(f, 0, 0, ErrAgain)
	}
	return role == Hit && v == int(k)
}

// TestBound: what was used longest ago leaves first, and nothing that is too
// large comes in.
func TestBound(t *testing.T) {
	c := New[int](1000)
	for k := range byte(4) {
		put(t, c, k, 250)
	}
	if !has(c, 0) {
		t.Fatal("0 has left")
	}
	put(t, c, 4, 400) // in place of 1 and 2
	for k, want := range []bool{true, false, false, true, true} {
		if has(c, byte(k)) != want {
			t.Errorf("%d: kept is %v, want %v", k, !want, want)
		}
	}
	put(t, c, 5, 1001)
	if has(c, 5) || c.bytes != 900 || len(c.entries) != 3 || len(c.flights) != 0 {
		t.Errorf("%d bytes, %d entries, %d flights", c.bytes, len(c.entries), len(c.flights))
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	c := New[int](1000)
	_, lead, _ := c.Begin(Key{1}, Asker{})
	_, joined, role := c.Begin(Key{1}, Asker{})
	if role != Join {
		t.Fatal(role)
	}
	bad := errors.New("bad item")
	c.End(lead, 7, 8, bad)
	if _, err := joined.Wait(t.Context()); err != bad {
		t.Errorf("who joined got %v", err)
	}
	if has(c, 1) {
		t.Error("an error is kept")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	c := New[int](1000)
	_, lead, _ := c.Begin(Key{1}, Asker{})
	_, joined, _ := c.Begin(Key{1}, Asker{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := joined.Wait(ctx); err != context.Canceled {
		t.Error(err)
	}
	c.End(lead, 1, 8, nil)
	if !has(c, 1) {
		t.Error("the answer is lost with one who waited for it")
	}
}

// TestUrgency: nobody waits for the answer to a less urgent question.
func TestUrgency(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name         string
		first, later Asker
		want         Role
	}{
		{"alike", Asker{}, Asker{}, Join},
		{"lower priority", Asker{Priority: 1}, Asker{}, Join},
		{"higher priority", Asker{}, Asker{Priority: 1}, Alone},
		{"later deadline", Asker{Deadline: now}, Asker{Deadline: now.Add(1)}, Join},
		{"no deadline", Asker{Deadline: now}, Asker{}, Join},
		{"earlier deadline", Asker{Deadline: now}, Asker{Deadline: now.Add(-1)}, Alone},
		{"a deadline", Asker{}, Asker{Deadline: now}, Alone},
	} {
		cache := New[int](1000)
		cache.Begin(Key{}, c.first)
		if _, _, role := cache.Begin(Key{}, c.later); role != c.want {
			t.Errorf("%s: %v, want %v", c.name, role, c.want)
		}
	}
}

// TestConcurrent is for the race detector: whatever leaders do, everybody gets
// the answer to his own question.
func TestConcurrent(t *testing.T) {
	c := New[int](20 * 250)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(g)))
			for range 2000 {
				k := byte(rng.IntN(40))
				for again := true; again; {
					v, f, role := c.Begin(Key{k}, Asker{Priority: rng.IntN(2)})
					again = false
					switch role {
					case Lead:
						if rng.IntN(4) == 0 {
							c.End(f, -1, 0, ErrAgain)
							continue
						}
						c.End(f, int(k), 250-overhead, nil)
						v = int(k)
					case Join:
						var err error
						if v, err = f.Wait(t.Context()); err != nil {
							again = true
							continue
						}
					case Alone:
						v = int(k)
					case Hit:
					}
					if v != int(k) {
						t.Errorf("%d got %d", k, v)
					}
				}
			}
		})
	}
	wg.Wait()
	if c.bytes > c.most || len(c.flights) != 0 || c.bytes != int64(250*len(c.entries)) {
		t.Errorf("%d bytes in %d entries, %d flights", c.bytes, len(c.entries), len(c.flights))
	}
}
