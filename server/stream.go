package server

import (
	"context"
	"errors"
	"io"
	"sync"
)

// pump answers a stream's messages, several at a time, in completion order. It
// reads at most ahead messages before the first of them is answered, so that a
// reader who is slow slows the writer. handle gets the number of items that
// came before a message. The first error ends the stream.
func pump[Req, Resp any](
	ctx context.Context, ahead int,
	recv func() (*Req, error), send func(*Resp) error,
	items func(*Req) int64,
	handle func(ctx context.Context, first int64, req *Req) (*Resp, error),
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		workers sync.WaitGroup
		sending sync.Mutex // one Send at a time
		slots   = make(chan struct{}, ahead)
		at      int64
	)
	fail := func(err error) {
		if err != nil {
			cancel(err)
		}
	}
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		req, err := recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fail(err)
			break
		}
		first := at
		at += items(req)
		workers.Go(func() {
			defer func() { <-slots }()
			resp, err := handle(ctx, first, req)
			if err != nil {
				fail(err)
				return
			}
			sending.Lock()
			defer sending.Unlock()
			if ctx.Err() == nil {
				fail(send(resp))
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
