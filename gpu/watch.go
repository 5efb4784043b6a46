package gpu

import (
	"context"
	"sync"
	"time"
)

// watchAfter is how long a run goes on before anybody looks whether its context
// has ended: most runs are shorter, and so cost a timer that is set back and
// nothing else.
const watchAfter = 2 * time.Millisecond

// watch terminates a run when its context ends. It belongs to a call and is used
// again by the call's next run.
type watch struct {
	terminate func()

	mu         sync.Mutex // guards what follows
	timer      *time.Timer
	ctx        context.Context // of the run under way; nil when there is none
	run        int             // counts the runs
	stop       func() bool     // ends the wait for ctx, once there is one
	terminated bool
}

// begin watches a run from now on.
func (w *watch) begin(ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ctx, w.terminated = ctx, false
	w.run++
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, w.look)
	} else {
		w.timer.Reset(watchAfter)
	}
}

// look is called by the timer: the run is a long one. A timer that fires late
// finds another run, which it may look at too, or none.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.stop != nil {
		return
	}
	run := w.run
	w.stop = context.AfterFunc(w.ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.ctx != nil && w.run == run {
			w.terminated = true
			w.terminate()
		}
	})
}

// end says that the run is over and tells whether it was terminated.
func (w *watch) end() (terminated bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil {
		return false
	}
	w.timer.Stop()
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
	w.ctx = nil
	terminated, w.terminated = w.terminated, false
	return terminated
}
