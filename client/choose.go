package client

import (
	"context"
	"math/rand/v2"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// ChooseAction chooses an action for each of the request's customers: one result
// per instance, in their order. More instances than the server takes at once are
// sent in several calls of the same time and seed: draws depend on the seed and on
// the instances' ids.
func (c *Client) ChooseAction(ctx context.Context, req *scoringv1.ChooseActionRequest) (*scoringv1.ChooseActionResponse, error) {
	if len(req.GetInstances()) == 0 {
		return c.Scoring().ChooseAction(ctx, req)
	}
	limits, err := c.limits(ctx)
	if err != nil {
		return nil, err
	}
	part := &scoringv1.ChooseActionRequest{Model: req.GetModel(), Version: req.GetVersion(), Options: &scoringv1.ChooseActionOptions{}}
	proto.Merge(part.Options, req.GetOptions())
	if part.Options.Time == nil { // now is the same for all
		part.Options.Time = timestamppb.Now()
	}
	if t := part.Options.Thompson; t != nil && t.Seed == nil {
		t.Seed = new(rand.Uint64())
	}
	results, err := inParts(ctx, req.GetInstances(), newBudget(limits.GetMaxInstances(), limits.GetMaxMessageBytes(), part),
		kind[*scoringv1.Instance, *scoringv1.ActionChoice]{
			call: func(ctx context.Context, instances []*scoringv1.Instance) ([]*scoringv1.ActionChoice, error) {
				r, err := c.Scoring().ChooseAction(ctx, &scoringv1.ChooseActionRequest{
					Model: part.Model, Version: part.Version, Options: part.Options, Instances: instances,
				})
				return r.GetResults(), err
			},
			failed: func(i *scoringv1.Instance, err *spb.Status) *scoringv1.ActionChoice {
				return &scoringv1.ActionChoice{Id: i.GetId(), Error: err}
			},
			place: func(r *scoringv1.ActionChoice, index int64) { r.Index = index },
		})
	if err != nil {
		return nil, err
	}
	return &scoringv1.ChooseActionResponse{Results: results, Seed: part.GetOptions().GetThompson().GetSeed()}, nil
}

// ChooseSendTime chooses when to send to each of the request's recipients: one
// result per recipient, in their order. More recipients than the server takes at
// once are sent in several calls.
func (c *Client) ChooseSendTime(ctx context.Context, req *scoringv1.ChooseSendTimeRequest) (*scoringv1.ChooseSendTimeResponse, error) {
	if len(req.GetRecipients()) == 0 {
		return c.Scoring().ChooseSendTime(ctx, req)
	}
	limits, err := c.limits(ctx)
	if err != nil {
		return nil, err
	}
	part := &scoringv1.ChooseSendTimeRequest{Model: req.GetModel(), Version: req.GetVersion(), Options: &scoringv1.ChooseSendTimeOptions{}}
	proto.Merge(part.Options, req.GetOptions())
	if part.Options.Earliest == nil { // now is the same for all
		part.Options.Earliest = timestamppb.Now()
	}
	results, err := inParts(ctx, req.GetRecipients(), newBudget(limits.GetMaxInstances(), limits.GetMaxMessageBytes(), part),
		kind[*scoringv1.Recipient, *scoringv1.SendTimeChoice]{
			call: func(ctx context.Context, recipients []*scoringv1.Recipient) ([]*scoringv1.SendTimeChoice, error) {
				r, err := c.Scoring().ChooseSendTime(ctx, &scoringv1.ChooseSendTimeRequest{
					Model: part.Model, Version: part.Version, Options: part.Options, Recipients: recipients,
				})
				return r.GetResults(), err
			},
			failed: func(r *scoringv1.Recipient, err *spb.Status) *scoringv1.SendTimeChoice {
				return &scoringv1.SendTimeChoice{Id: r.GetId(), Error: err}
			},
			place: func(r *scoringv1.SendTimeChoice, index int64) { r.Index = index },
		})
	if err != nil {
		return nil, err
	}
	return &scoringv1.ChooseSendTimeResponse{Results: results}, nil
}
