package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/batch"
)

// pump answers a stream's messages, several at a time, in completion order. It
// answers at most ahead messages at once and has one more read, so that a reader
// who is slow slows the writer. handle gets the number of items that came before
// a message. The first error, or panic of handle, ends the stream at once, also
// while its caller sends nothing.
func pump[Req, Resp any](
	ctx context.Context, ahead int,
	recv func() (*Req, error), send func(*Resp) error,
	items func(*Req) int64,
	handle func(ctx context.Context, first int64, req *Req) (*Resp, error),
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type message struct {
		req *Req
		err error
	}
	messages := make(chan message)
	go func() { // ends with the stream: once its handler has returned, recv fails
		for {
			req, err := recv()
			select {
			case messages <- message{req, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	var (
		workers sync.WaitGroup
		sending sync.Mutex // one send at a time
		slots   = make(chan struct{}, ahead)
		at      int64
	)
	answer := func(first int64, req *Req) error {
		resp, err := contained(ctx, first, req, handle)
		answered(ctx, req) // its reader may be slow
		if err != nil {
			return err
		}
		sending.Lock()
		defer sending.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		return send(resp)
	}
	next := func() (message, bool) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return message{}, false
		}
		select {
		case m := <-messages:
			return m, !errors.Is(m.err, io.EOF)
		case <-ctx.Done():
			return message{}, false
		}
	}
	for m, ok := next(); ok; m, ok = next() {
		if m.err != nil {
			cancel(m.err)
			break
		}
		first := at
		at += items(m.req)
		workers.Go(func() {
			defer func() { <-slots }()
			if err := answer(first, m.req); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// headed reads a stream whose first message says what holds for all. inherit
// gives that to another, and is false for one that says it anew.
func headed[Req any](recv func() (*Req, error), what string, inherit func(head, req *Req) bool) func() (*Req, error) {
	var head *Req
	return func() (*Req, error) {
		req, err := recv()
		switch {
		case err != nil:
			return nil, err
		case head == nil:
			head = req
		case !inherit(head, req):
			return nil, failed(codes.InvalidArgument, "NOT_FIRST_MESSAGE", "", "%s belong to the first message of a stream", what)
		}
		return req, nil
	}
}

// patiently repeats a message that found the queue full: the bounded read-ahead
// has slowed the writer already, so the message waits instead of failing the
// stream. Only the stream's own deadline ends that; the default one, made for
// single answers, does not hold for streams.
func patiently[T any](ctx context.Context, attempt func() (T, error)) (T, error) {
	for {
		got, err := attempt()
		full, ok := errors.AsType[*batch.FullError](err)
		if !ok {
			return got, err
		}
		select {
		case <-time.After(min(max(full.RetryAfter, 5*time.Millisecond), time.Second)):
		case <-ctx.Done():
			return got, err
		}
	}
}

// contained calls handle and makes an error of its panic: it runs in a goroutine
// of pump, where the interceptor that recovers calls does not reach.
func contained[Req, Resp any](ctx context.Context, first int64, req *Req, handle func(context.Context, int64, *Req) (*Resp, error)) (resp *Resp, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a message of a stream panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return handle(ctx, first, req)
}
