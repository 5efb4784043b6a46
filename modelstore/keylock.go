package modelstore

import (
	"context"
	"sync"
)

// keyLocks is a mutex per key. The zero value is ready.
type keyLocks struct {
	mu   sync.Mutex
	keys map[string]*keyLock // guarded by mu
}

type keyLock struct {
	held  chan struct{} // holds one value while somebody has the key
	users int           // holders and waiters; guarded by keyLocks.mu
}

// lock waits for a key; unlock must be called once.
func (l *keyLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	k := l.use(key)
	select {
	case k.held <- struct{}{}:
		return func() { <-k.held; l.leave(key, k) }, nil
	case <-ctx.Done():
		l.leave(key, k)
		return nil, ctx.Err()
	}
}

// tryLock takes a key only if nobody has it.
func (l *keyLocks) tryLock(key string) (unlock func(), ok bool) {
	k := l.use(key)
	select {
	case k.held <- struct{}{}:
		return func() { <-k.held; l.leave(key, k) }, true
	default:
		l.leave(key, k)
		return nil, false
	}
}

func (l *keyLocks) use(key string) *keyLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[string]*keyLock{}
	}
	k := l.keys[key]
	if k == nil {
		k = &keyLock{held: make(chan struct{}, 1)}
		l.keys[key] = k
	}
	k.users++
	return k
}

func (l *keyLocks) leave(key string, k *keyLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.keys, key)
	}
}
