package client_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/scry-ml/scry/client"
	"github.com/scry-ml/scry/client/clienttest"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// TestChooseActionSplits: all parts draw from one seed and see one time, also where
// none was given.
func TestChooseActionSplits(t *testing.T) {
	s := clienttest.New()
	s.Info.Limits.MaxInstances = 10
	seen, option := timesSeen()
	c := s.Dial(t, option)
	withModels(t, c)
	rows := instances(t, 25)
	rows[17].Features.Fields["fail"] = nil
	req := &scoringv1.ChooseActionRequest{Instances: rows, Options: &scoringv1.ChooseActionOptions{Thompson: &scoringv1.ThompsonSampling{}}}
	resp, err := c.ChooseAction(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	sizes := s.Sizes("ChooseAction")
	slices.Sort(sizes)
	if want := []int{5, 10, 10}; !slices.Equal(sizes, want) {
		t.Errorf("calls of %v instances, want %v", sizes, want)
	}
	if req.GetOptions().GetThompson().Seed != nil || req.GetOptions().Time != nil {
		t.Error("the caller's request was changed")
	}
	checkTimes(t, seen(), 3)
	for i, r := range resp.GetResults() {
		if r.GetId() != rows[i].GetId() || r.GetIndex() != int64(i) || (i == 17) != (client.ItemError(r) != nil) {
			t.Errorf("result %d: %v", i, r)
		}
		for _, a := range r.GetActions() {
			if a.GetSampledProbability() != float64(resp.GetSeed())/1000 {
				t.Errorf("result %d was drawn from another seed than %d", i, resp.GetSeed())
			}
		}
	}
	if none, err := c.ChooseAction(t.Context(), &scoringv1.ChooseActionRequest{Instances: rows}); err != nil || none.GetSeed() != 0 {
		t.Errorf("without draws: seed %d, %v", none.GetSeed(), err)
	}
}

// timesSeen is an option of a client, and what its calls said that it is now.
func timesSeen() (func() []time.Time, client.Option) {
	var mu sync.Mutex
	var times []time.Time // guarded by mu
	seen := func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return times
	}
	return seen, client.WithDialOptions(grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			mu.Lock()
			switch r := req.(type) {
			case *scoringv1.ChooseActionRequest:
				times = append(times, r.GetOptions().GetTime().AsTime())
			case *scoringv1.RecommendItemsRequest:
				times = append(times, r.GetOptions().GetTime().AsTime())
			}
			mu.Unlock()
			return invoke(ctx, method, req, reply, cc, opts...)
		}))
}

// checkTimes wants so many times that are all the same and about now.
func checkTimes(t *testing.T, times []time.Time, want int) {
	t.Helper()
	if len(times) != want || time.Since(times[0]).Abs() > time.Minute || len(slices.Compact(times)) != 1 {
		t.Errorf("the parts saw the times %v", times)
	}
}

// TestChooseSendTimeSplits: "now" is the same for all parts.
func TestChooseSendTimeSplits(t *testing.T) {
	s := clienttest.New()
	s.Info.Limits.MaxInstances = 10
	c := s.Dial(t)
	withModels(t, c)
	var to []*scoringv1.Recipient
	for i := range 25 {
		to = append(to, &scoringv1.Recipient{Id: fmt.Sprint("c", i)})
	}
	to[11].TimeZone = "Mars"
	resp, err := c.ChooseSendTime(t.Context(), &scoringv1.ChooseSendTimeRequest{Recipients: to})
	if err != nil || len(s.Sizes("ChooseSendTime")) != 3 {
		t.Fatal(err, s.Sizes("ChooseSendTime"))
	}
	first := resp.GetResults()[0].GetTimes()[0].GetTime().AsTime()
	for i, r := range resp.GetResults() {
		if r.GetId() != to[i].GetId() || r.GetIndex() != int64(i) || (i == 11) != (client.ItemError(r) != nil) {
			t.Errorf("result %d: %v", i, r)
		}
		if i != 11 && (first.IsZero() || !r.GetTimes()[0].GetTime().AsTime().Equal(first)) {
			t.Errorf("result %d: now is %v, not %v", i, r.GetTimes()[0].GetTime().AsTime(), first)
		}
	}
}
