package serving

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"slices"
	"sync"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/cache"
	"github.com/scry-ml/scry/tensor"
)

// responses keeps what graphs of one model's versions answered.
type responses = cache.Cache[[]tensor.Tensor]

// question is an item on its way through the cache.
type question struct {
	item   int // place among the call's
	key    cache.Key
	flight *cache.Flight[[]tensor.Tensor]
}

// cached answers items from the responses kept, from runs under way for others
// who asked the same, and else by runs, as do does.
func (g *graph) cached(ctx context.Context, call batch.Call, inputs [][]tensor.Tensor) []batch.Result[[]tensor.Tensor] {
	start := time.Now()
	asker := cache.Asker{Priority: call.Priority}
	asker.Deadline, _ = ctx.Deadline()
	results := make([]batch.Result[[]tensor.Tensor], len(inputs))
	open := make([]question, len(inputs))
	for i, in := range inputs {
		open[i] = question{item: i, key: g.keyOf(call.Tenant, in)}
	}
	for len(open) > 0 {
		var ours, theirs []question
		for _, q := range open {
			value, flight, role := g.responses.Begin(q.key, asker)
			q.flight = flight
			switch role {
			case cache.Hit:
				g.kept(&results[q.item], inputs[q.item], value, start)
			case cache.Join:
				theirs = append(theirs, q)
			case cache.Lead, cache.Alone:
				ours = append(ours, q)
			}
		}
		// Ours come first, so that no two calls wait for each other.
		g.lead(ctx, call, ours, inputs, results)
		open = open[:0]
		for _, q := range theirs {
			switch value, err := q.flight.Wait(ctx); {
			case err == nil:
				g.kept(&results[q.item], inputs[q.item], value, start)
			case errors.Is(err, cache.ErrAgain):
				open = append(open, q)
			default:
				results[q.item].Err = err
				g.tally.answered(g, inputs[q.item:q.item+1], results[q.item:q.item+1], time.Since(start))
			}
		}
	}
	return results
}

// lead runs the items of questions and tells the answers to all who wait for
// them.
func (g *graph) lead(ctx context.Context, call batch.Call, questions []question, inputs [][]tensor.Tensor, results []batch.Result[[]tensor.Tensor]) {
	if len(questions) == 0 {
		return
	}
	ended := 0
	defer func() { // a panic must not leave anybody waiting
		for _, q := range questions[ended:] {
			if q.flight != nil {
				g.responses.End(q.flight, nil, 0, cache.ErrAgain)
			}
		}
	}()
	run := make([][]tensor.Tensor, len(questions))
	for k, q := range questions {
		run[k] = inputs[q.item]
	}
	for k, r := range g.compute(ctx, call, run) {
		q := questions[k]
		results[q.item] = r
		ended++
		if q.flight == nil {
			continue
		}
		var mine []tensor.Tensor
		switch {
		case r.Err == nil:
			// A copy: what the run gave is a part of its batch, and the caller's
			// from here on.
			mine = clone(r.Value)
		case !itemsFault(r.Err):
			r.Err = cache.ErrAgain // the deadline or the place in the queue was ours
		}
		g.responses.End(q.flight, mine, size(mine), r.Err)
	}
}

// kept answers an item with a response that others share.
func (g *graph) kept(r *batch.Result[[]tensor.Tensor], inputs []tensor.Tensor, value []tensor.Tensor, start time.Time) {
	r.Value = clone(value)
	r.Rows = g.requestRows(inputs)
	g.tally.answered(g, [][]tensor.Tensor{inputs}, []batch.Result[[]tensor.Tensor]{*r}, time.Since(start))
	g.tally.hit()
}

var digests = sync.Pool{New: func() any { return sha256.New() }}

// keyOf is the digest of all that an answer depends on, and of the tenant: who
// asks must not learn from a quick answer what others asked.
func (g *graph) keyOf(tenant string, inputs []tensor.Tensor) (k cache.Key) {
	h := digests.Get().(hash.Hash)
	defer digests.Put(h)
	h.Reset()
	var word [8]byte
	number := func(n int64) {
		_, _ = h.Write(binary.LittleEndian.AppendUint64(word[:0], uint64(n)))
	}
	text := func(s string) {
		number(int64(len(s)))
		_, _ = h.Write([]byte(s))
	}
	number(g.version)
	text(g.name)
	text(tenant)
	for _, t := range inputs {
		number(int64(t.DType))
		number(int64(len(t.Shape)))
		for _, d := range t.Shape {
			number(d)
		}
		number(int64(len(t.Data)))
		_, _ = h.Write(t.Data)
		for _, s := range t.Plain().Strings { // as many as the shape says
			text(s)
		}
	}
	h.Sum(k[:0])
	return k
}

func clone(values []tensor.Tensor) []tensor.Tensor {
	out := slices.Clone(values)
	for i := range out {
		t := &out[i]
		t.Shape, t.Data, t.Strings = slices.Clone(t.Shape), slices.Clone(t.Data), slices.Clone(t.Strings)
	}
	return out
}

// size is the bytes of values, with their headers.
func size(values []tensor.Tensor) int64 {
	const header = 96
	n := 0
	for _, t := range values {
		n += header + 8*len(t.Shape) + len(t.Data)
		for _, s := range t.Strings {
			n += 16 + len(s)
		}
	}
	return int64(n)
}
