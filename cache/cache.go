// Package cache keeps answers by a digest of what was asked, within a bound of
// bytes, and lets those who ask the same at the same time wait for one answer.
// It knows neither tensors nor models, and never keeps an error.
package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// Key is a digest of everything that an answer depends on, and of whoever may
// not learn what others asked.
type Key [sha256.Size]byte

// Cache holds values of at most so many bytes, those used last. It is safe for
// concurrent use. A value is shared by all who get it: nobody may change it.
type Cache[V any] struct {
	most int64

	mu      sync.Mutex // guards what follows
	bytes   int64
	entries map[Key]*entry[V]
	recent  entry[V] // head of the ring, the one used last next to it
	flights map[Key]*Flight[V]
}

type entry[V any] struct {
	key        Key
	value      V
	bytes      int64
	prev, next *entry[V]
}

// overhead is what an entry takes beside its value: key, links and a place in
// the map.
const overhead = 192

// New makes a cache of so many bytes.
func New[V any](bytes int64) *Cache[V] {
	c := &Cache[V]{most: bytes, entries: map[Key]*entry[V]{}, flights: map[Key]*Flight[V]{}}
	c.recent.prev, c.recent.next = &c.recent, &c.recent
	return c
}

// Asker says how urgent a question is.
type Asker struct {
	Priority int
	Deadline time.Time // zero when there is none
}

// waitsFor reports that the answer to another question is as urgent as this.
func (a Asker) waitsFor(o Asker) bool {
	return o.Priority >= a.Priority && (a.Deadline.IsZero() || !o.Deadline.IsZero() && !o.Deadline.After(a.Deadline))
}

// Role is what has to be done about a question.
type Role int

// The roles.
const (
	// Hit: the value is there.
	Hit Role = iota
	// Lead: find the answer and call End, whatever happens.
	Lead
	// Join: somebody else is finding it, call Wait.
	Join
	// Alone: somebody else is finding it, but with less urgency; find it, and
	// do not call End.
	Alone
)

// Flight is an answer that is being found.
type Flight[V any] struct {
	key   Key
	asker Asker
	done  chan struct{} // closed by End
	value V             // set before
	err   error
}

// ErrAgain tells who waited that the one who was to find the answer has left
// without, for reasons of his own: begin again.
var ErrAgain = errors.New("no answer yet")

// Begin looks a question up. The flight is set for Lead and Join.
func (c *Cache[V]) Begin(k Key, a Asker) (value V, f *Flight[V], role Role) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[k]; e != nil {
		e.unlink()
		c.link(e)
		return e.value, nil, Hit
	}
	switch f = c.flights[k]; {
	case f == nil:
		f = &Flight[V]{key: k, asker: a, done: make(chan struct{})}
		c.flights[k] = f
		return value, f, Lead
	case a.waitsFor(f.asker):
		return value, f, Join
	}
	return value, nil, Alone
}

// End gives those who wait a leader's answer of so many bytes, and keeps it. An
// error is passed on as it is: ErrAgain if it is only the leader's.
func (c *Cache[V]) End(f *Flight[V], value V, bytes int64, err error) {
	f.value, f.err = value, err
	defer close(f.done)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, f.key)
	bytes += overhead
	if err != nil || bytes > c.most {
		return
	}
	e := &entry[V]{key: f.key, value: value, bytes: bytes}
	c.entries[f.key] = e
	c.link(e)
	for c.bytes += bytes; c.bytes > c.most; {
		old := c.recent.prev
		old.unlink()
		delete(c.entries, old.key)
		c.bytes -= old.bytes
	}
}

// Wait returns the leader's answer, or the context's error if that ends first.
func (f *Flight[V]) Wait(ctx context.Context) (V, error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

func (c *Cache[V]) link(e *entry[V]) {
	e.prev, e.next = &c.recent, c.recent.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry[V]) unlink() { e.prev.next, e.next.prev = e.next, e.prev }
