package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// One message of a stream holds at most this much, and so many messages are
// unanswered at most: enough to keep a fast server busy, and little enough that a
// slow one answers each message well within its deadline.
const (
	streamInstances = 256
	streamTexts     = 16
	streamImages    = 4
	streamBytes     = 4 << 20
	streamWindow    = 8
)

// StreamScore scores as many instances as the sequence gives, in bounded memory:
// the server takes no more than it can answer, and no more is answered than is
// read. Model, version and options are those of req, whose rows are ignored.
//
// Results come in completion order with the instance's place in the sequence as
// their Index. An error of the stream comes once, as the last pair. The sequence
// is read on another goroutine, which has ended when the loop over the results
// ends; a sequence that may block for long should watch ctx. Nothing is retried.
func (c *Client) StreamScore(ctx context.Context, req *scoringv1.ScoreRequest, instances iter.Seq[*scoringv1.Instance]) iter.Seq2[*scoringv1.ScoreResult, error] {
	return func(yield func(*scoringv1.ScoreResult, error) bool) {
		limits, err := c.limits(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		max := newBudget(min(streamInstances, limits.GetMaxInstances()), limits.GetMaxMessageBytes(), req.GetOptions())
		stream(ctx, c.Scoring().StreamScore, instances, max,
			func(first bool, instances []*scoringv1.Instance) *scoringv1.StreamScoreRequest {
				m := &scoringv1.StreamScoreRequest{Instances: instances}
				if first {
					m.Model, m.Version, m.Options = req.GetModel(), req.GetVersion(), req.GetOptions()
				}
				return m
			}, (*scoringv1.StreamScoreResponse).GetResults, yield)
	}
}

// StreamAnalyzeText is StreamScore for texts. Features, models and options are
// those of req, whose texts are ignored.
func (c *Client) StreamAnalyzeText(ctx context.Context, req *sentimentv1.AnalyzeTextRequest, texts iter.Seq[*sentimentv1.TextItem]) iter.Seq2[*sentimentv1.TextResult, error] {
	return func(yield func(*sentimentv1.TextResult, error) bool) {
		limits, err := c.limits(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		max := newBudget(min(streamTexts, limits.GetMaxTexts()), limits.GetMaxMessageBytes(), req.GetOptions())
		stream(ctx, c.Sentiment().StreamAnalyzeText, texts, max,
			func(first bool, texts []*sentimentv1.TextItem) *sentimentv1.StreamAnalyzeTextRequest {
				m := &sentimentv1.StreamAnalyzeTextRequest{Texts: texts}
				if first {
					m.Features, m.Models, m.Options = req.GetFeatures(), req.GetModels(), req.GetOptions()
				}
				return m
			}, (*sentimentv1.StreamAnalyzeTextResponse).GetResults, yield)
	}
}

// StreamAnalyzeImages is StreamScore for pictures. Features, models and options
// are those of req, whose pictures are ignored.
func (c *Client) StreamAnalyzeImages(ctx context.Context, req *imageanalysisv1.AnalyzeImagesRequest, images iter.Seq[*imageanalysisv1.ImageItem]) iter.Seq2[*imageanalysisv1.ImageResult, error] {
	return func(yield func(*imageanalysisv1.ImageResult, error) bool) {
		limits, err := c.limits(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		max := newBudget(min(streamImages, limits.GetMaxImages()), limits.GetMaxMessageBytes(), req.GetOptions())
		stream(ctx, c.ImageAnalysis().StreamAnalyzeImages, images, max,
			func(first bool, images []*imageanalysisv1.ImageItem) *imageanalysisv1.StreamAnalyzeImagesRequest {
				m := &imageanalysisv1.StreamAnalyzeImagesRequest{Images: images}
				if first {
					m.Features, m.Models, m.Options = req.GetFeatures(), req.GetModels(), req.GetOptions()
				}
				return m
			}, (*imageanalysisv1.StreamAnalyzeImagesResponse).GetResults, yield)
	}
}

// stream pumps items through one bidirectional call. It returns when both of its
// directions have ended.
func stream[I proto.Message, Req, Resp, R any](
	ctx context.Context,
	open func(context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[Req, Resp], error),
	items iter.Seq[I], max budget,
	request func(first bool, batch []I) *Req,
	results func(*Resp) []R,
	yield func(R, error) bool,
) {
	ctx, cancel := context.WithCancelCause(ctx)
	var pump sync.WaitGroup
	defer pump.Wait()
	defer cancel(nil)
	var none R
	call, err := open(ctx)
	if err != nil {
		yield(none, err)
		return
	}
	b := batcher[I]{
		queue: make(chan I),
		wake:  make(chan struct{}, 1),
		max:   budget{items: max.items, bytes: min(max.bytes, streamBytes)},
		item:  max.bytes,
	}
	pump.Go(func() { // reads the sequence until it or the call ends
		defer close(b.queue)
		for item := range items {
			select {
			case b.queue <- item:
			case <-ctx.Done():
				return
			}
		}
	})
	pump.Go(func() {
		first := true
		err := b.run(ctx, func(batch []I) error {
			m := request(first, batch)
			first = false
			return call.Send(m)
		})
		if err == nil {
			err = call.CloseSend()
		}
		if err != nil && err != io.EOF { // io.EOF: the call has ended, Recv tells why
			cancel(err)
		}
	})
	for {
		resp, err := call.Recv()
		if err == io.EOF {
			return
		}
		if err != nil {
			if own, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
				err = own // the sender gave up, which ended the call
			}
			yield(none, err)
			return
		}
		b.answered()
		for _, r := range results(resp) {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// batcher groups items into messages as Nagle's algorithm groups bytes: a full
// message goes while the window has room, a smaller one as soon as nothing that
// was sent is still unanswered. So an idle stream adds no delay, and a busy one
// fills its messages.
type batcher[I proto.Message] struct {
	queue chan I
	wake  chan struct{} // capacity 1: unanswered has changed
	max   budget        // of one message
	item  int           // bytes that one item may have

	unanswered atomic.Int64 // messages
}

// answered counts one answer. It never blocks.
func (b *batcher[I]) answered() {
	b.unanswered.Add(-1)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run sends until the queue is closed or ctx ends.
func (b *batcher[I]) run(ctx context.Context, send func([]I) error) error {
	var batch []I
	var next []I // an item that did not fit into the batch any more, or nothing
	bytes := 0
	flush := func() error {
		full := batch
		batch, next, bytes = next, nil, 0
		for _, item := range batch {
			bytes += itemBytes(item)
		}
		b.unanswered.Add(1)
		return send(full)
	}
	for {
		full := len(next) > 0 || len(batch) == b.max.items || bytes >= b.max.bytes
		if n := b.unanswered.Load(); len(batch) > 0 && (n <= 0 || full && n < streamWindow) {
			if err := flush(); err != nil {
				return err
			}
			continue
		}
		queue := b.queue
		if full {
			queue = nil // until something is answered
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		case item, ok := <-queue:
			if !ok {
				if len(batch) == 0 {
					return nil
				}
				return flush()
			}
			size := itemBytes(item)
			switch {
			case size > b.item:
				return fromStatus(status.FromProto(tooLarge(size, b.item)))
			case len(batch) > 0 && bytes+size > b.max.bytes:
				next = []I{item}
			default:
				batch, bytes = append(batch, item), bytes+size
			}
		}
	}
}
