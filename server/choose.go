package server

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/choosing"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// ChooseAction implements the RPC of that name.
func (s *scoringService) ChooseAction(ctx context.Context, req *scoringv1.ChooseActionRequest) (*scoringv1.ChooseActionResponse, error) {
	if n, most := len(req.GetInstances()), s.server.cfg.Limits.Instances; n > most {
		return nil, failed(codes.InvalidArgument, "TOO_MANY_ITEMS", "instances", "%d rows, the limit is %d", n, most)
	}
	model, err := pick(req.GetModel(), s.server.cfg.Models.Scoring, "model")
	if err != nil {
		return nil, err
	}
	v, release, err := s.server.cfg.Manager.Acquire(ctx, model, req.GetVersion())
	if err != nil {
		return nil, err
	}
	defer release()
	resp, errs, err := choosing.ChooseAction(ctx, v, req.GetInstances(), req.GetOptions(), time.Now())
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			resp.Results[i].Error = itemStatus(err, "instances", i)
		}
	}
	return resp, nil
}

// ChooseSendTime implements the RPC of that name.
func (s *scoringService) ChooseSendTime(ctx context.Context, req *scoringv1.ChooseSendTimeRequest) (*scoringv1.ChooseSendTimeResponse, error) {
	if n, most := len(req.GetRecipients()), s.server.cfg.Limits.Instances; n > most {
		return nil, failed(codes.InvalidArgument, "TOO_MANY_ITEMS", "recipients", "%d recipients, the limit is %d", n, most)
	}
	model, err := pick(req.GetModel(), s.server.cfg.Models.Scoring, "model")
	if err != nil {
		return nil, err
	}
	v, release, err := s.server.cfg.Manager.Acquire(ctx, model, req.GetVersion())
	if err != nil {
		return nil, err
	}
	defer release()
	results, errs, err := choosing.ChooseSendTime(ctx, v, req.GetRecipients(), req.GetOptions(), time.Now())
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			results[i].Error = itemStatus(err, "recipients", i)
		}
	}
	return &scoringv1.ChooseSendTimeResponse{Results: results}, nil
}
