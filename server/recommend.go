package server

import (
	"context"
	"math/rand/v2"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/recommend"
)

// RecommendItems implements the RPC of that name.
func (s *scoringService) RecommendItems(ctx context.Context, req *scoringv1.RecommendItemsRequest) (*scoringv1.RecommendItemsResponse, error) {
	v, release, err := s.server.acquire(ctx, req, s.server.cfg.Models.Recommendation)
	if err != nil {
		return nil, err
	}
	defer release()
	resp, errs, err := recommend.Items(ctx, v, req, rand.Uint64(), time.Now())
	if err != nil {
		return nil, err
	}
	failedItems(errs, "subjects", func(i int, st *spb.Status) { resp.GetResults()[i].Error = st })
	return resp, nil
}
