package client

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

// partsAtOnce bounds the calls that one split request makes at a time.
const partsAtOnce = 4

// budget is what one message may hold.
type budget struct {
	items int
	bytes int
}

func newBudget(items int32, messageBytes int64, envelope proto.Message) budget {
	return budget{items: int(items), bytes: int(messageBytes) - messageSlack - proto.Size(envelope)}
}

// itemBytes is an item's size inside a message, with its tag and length.
func itemBytes(item proto.Message) int { return proto.Size(item) + 8 }

// kind is what inParts must know of one kind of item and its result.
type kind[I proto.Message, R any] struct {
	call   func(ctx context.Context, part []I) ([]R, error)
	failed func(item I, err *spb.Status) R // the result of an item that was not sent
	place  func(r R, index int64)          // sets a result's index
}

// inParts sends items in as many calls as the budget asks for and returns their
// results in the items' order. An item that no message can hold gets a result
// with an error; a call that fails fails the whole.
func inParts[I proto.Message, R any](ctx context.Context, items []I, b budget, k kind[I, R]) ([]R, error) {
	results := make([]R, len(items))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(partsAtOnce)
	send := func(from, to int) {
		g.Go(func() error {
			rs, err := k.call(ctx, items[from:to])
			if err != nil {
				return err
			}
			if len(rs) != to-from {
				return fromStatus(status.Newf(codes.Internal, "the server answered %d items with %d results", to-from, len(rs)))
			}
			for i, r := range rs {
				k.place(r, int64(from+i))
				results[from+i] = r
			}
			return nil
		})
	}
	from, bytes := 0, 0
	for i, item := range items {
		size := itemBytes(item)
		if size > b.bytes {
			if from < i {
				send(from, i)
			}
			results[i] = k.failed(item, tooLarge(size, b.bytes))
			k.place(results[i], int64(i))
			from, bytes = i+1, 0
			continue
		}
		if i-from == b.items || bytes+size > b.bytes {
			send(from, i)
			from, bytes = i, 0
		}
		bytes += size
	}
	if from < len(items) {
		send(from, len(items))
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return results, nil
}

// ReasonItemTooLarge is the reason of an item that exceeds the message limit, so
// that the client did not send it.
const ReasonItemTooLarge = "ITEM_TOO_LARGE"

func tooLarge(size, limit int) *spb.Status {
	info, err := anypb.New(&errdetails.ErrorInfo{Reason: ReasonItemTooLarge, Domain: errorDomain})
	if err != nil {
		panic(err) // of a constant message
	}
	return &spb.Status{
		Code:    int32(codes.InvalidArgument),
		Message: fmt.Sprintf("the item has %d bytes; a message takes at most %d", size, limit),
		Details: []*anypb.Any{info},
	}
}
