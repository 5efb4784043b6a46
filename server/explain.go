package server

import (
	"context"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/scry-ml/scry/imageanalysis"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	"github.com/scry-ml/scry/sentiment"
)

// ExplainText implements the RPC of that name.
func (s *sentimentService) ExplainText(ctx context.Context, req *sentimentv1.ExplainTextRequest) (*sentimentv1.ExplainTextResponse, error) {
	v, release, err := s.server.acquire(ctx, req, s.server.cfg.Models.Sentiment)
	if err != nil {
		return nil, err
	}
	defer release()
	results, errs, err := sentiment.Explain(ctx, v, req)
	if err != nil {
		return nil, err
	}
	failedItems(errs, "texts", func(i int, st *spb.Status) { results[i].Error = st })
	return &sentimentv1.ExplainTextResponse{Results: results}, nil
}

// ExplainImage implements the RPC of that name.
func (s *imageAnalysisService) ExplainImage(ctx context.Context, req *imageanalysisv1.ExplainImageRequest) (*imageanalysisv1.ExplainImageResponse, error) {
	v, release, err := s.server.acquire(ctx, req, s.server.cfg.Models.ImageLabels)
	if err != nil {
		return nil, err
	}
	defer release()
	results, errs, err := imageanalysis.Explain(ctx, v, req)
	if err != nil {
		return nil, err
	}
	failedItems(errs, "images", func(i int, st *spb.Status) { results[i].Error = st })
	return &imageanalysisv1.ExplainImageResponse{Results: results}, nil
}
