package modelstore

import (
	"context"
	"slices"
	"sync"
)

// Watcher hears which models changed: a version came or went, an alias or the
// route moved, the model was updated or deleted. It tells the model's name
// only, each once however often it changed since the last look, so a slow
// reader misses nothing and nothing piles up.
type Watcher struct {
	store *Store
	wake  chan struct{} // holds one value when there may be something to read

	mu      sync.Mutex
	changed []string // guarded by mu
	ended   bool     // guarded by mu
}

// Watch starts to collect changes; the watcher must be closed.
func (s *Store) Watch() *Watcher {
	w := &Watcher{store: s, wake: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers == nil {
		w.end()
		return w
	}
	s.watchers[w] = struct{}{}
	return w
}

// Next waits for a model that changed. ErrClosed when the watcher or the store
// is closed. One goroutine at a time may wait.
func (w *Watcher) Next(ctx context.Context) (model string, err error) {
	for {
		w.mu.Lock()
		if len(w.changed) > 0 {
			model, w.changed = w.changed[0], w.changed[1:]
			w.mu.Unlock()
			return model, nil
		}
		ended := w.ended
		w.mu.Unlock()
		if ended {
			return "", ErrClosed
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// Close ends the watcher; a Next that waits returns.
func (w *Watcher) Close() {
	w.store.mu.Lock()
	delete(w.store.watchers, w)
	w.store.mu.Unlock()
	w.end()
}

func (w *Watcher) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.signal()
}

func (w *Watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// notify tells the watchers that a model changed.
func (s *Store) notify(model string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		w.mu.Lock()
		if !slices.Contains(w.changed, model) {
			w.changed = append(w.changed, model)
		}
		w.mu.Unlock()
		w.signal()
	}
}
