package server

import (
	"context"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/choosing"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// ChooseAction implements the RPC of that name.
func (s *scoringService) ChooseAction(ctx context.Context, req *scoringv1.ChooseActionRequest) (*scoringv1.ChooseActionResponse, error) {
	if n, most := len(req.GetInstances()), s.server.cfg.Limits.Instances; n > most {
		return nil, failed(codes.InvalidArgument, "TOO_MANY_ITEMS", "instances", "%d rows, the limit is %d", n, most)
	}
	v, release, err := s.server.acquire(ctx, req, s.server.cfg.Models.Scoring)
	if err != nil {
		return nil, err
	}
	defer release()
	resp, errs, err := choosing.ChooseAction(ctx, v, req.GetInstances(), req.GetOptions(), time.Now())
	if err != nil {
		return nil, err
	}
	failedItems(errs, "instances", func(i int, st *spb.Status) { resp.Results[i].Error = st })
	return resp, nil
}

// ChooseSendTime implements the RPC of that name.
func (s *scoringService) ChooseSendTime(ctx context.Context, req *scoringv1.ChooseSendTimeRequest) (*scoringv1.ChooseSendTimeResponse, error) {
	if n, most := len(req.GetRecipients()), s.server.cfg.Limits.Instances; n > most {
		return nil, failed(codes.InvalidArgument, "TOO_MANY_ITEMS", "recipients", "%d recipients, the limit is %d", n, most)
	}
	v, release, err := s.server.acquire(ctx, req, s.server.cfg.Models.Scoring)
	if err != nil {
		return nil, err
	}
	defer release()
	results, errs, err := choosing.ChooseSendTime(ctx, v, req.GetRecipients(), req.GetOptions(), time.Now())
	if err != nil {
		return nil, err
	}
	failedItems(errs, "recipients", func(i int, st *spb.Status) { results[i].Error = st })
	return &scoringv1.ChooseSendTimeResponse{Results: results}, nil
}
