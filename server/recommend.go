package server

import (
	"context"
	"math/rand/v2"
	"time"

	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/recommend"
)

// RecommendItems implements the RPC of that name.
func (s *scoringService) RecommendItems(ctx context.Context, req *scoringv1.RecommendItemsRequest) (*scoringv1.RecommendItemsResponse, error) {
	model, err := pick(req.GetModel(), s.server.cfg.Models.Recommendation, "model")
	if err != nil {
		return nil, err
	}
	v, release, err := s.server.cfg.Manager.Acquire(ctx, model, req.GetVersion())
	if err != nil {
		return nil, err
	}
	defer release()
	resp, errs, err := recommend.Items(ctx, v, req, rand.Uint64(), time.Now())
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			resp.GetResults()[i].Error = itemStatus(err, "subjects", i)
		}
	}
	return resp, nil
}
