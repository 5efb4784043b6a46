package server

import (
	"context"

	"github.com/scry-ml/scry/imageanalysis"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	"github.com/scry-ml/scry/sentiment"
)

// ExplainText implements the RPC of that name.
func (s *sentimentService) ExplainText(ctx context.Context, req *sentimentv1.ExplainTextRequest) (*sentimentv1.ExplainTextResponse, error) {
	model, err := pick(req.GetModel(), s.server.cfg.Models.Sentiment, "model")
	if err != nil {
		return nil, err
	}
	v, release, err := s.server.cfg.Manager.Acquire(ctx, model, req.GetVersion())
	if err != nil {
		return nil, err
	}
	defer release()
	results, errs, err := sentiment.Explain(ctx, v, req)
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			results[i].Error = itemStatus(err, "texts", i)
		}
	}
	return &sentimentv1.ExplainTextResponse{Results: results}, nil
}

// ExplainImage implements the RPC of that name.
func (s *imageAnalysisService) ExplainImage(ctx context.Context, req *imageanalysisv1.ExplainImageRequest) (*imageanalysisv1.ExplainImageResponse, error) {
	model, err := pick(req.GetModel(), s.server.cfg.Models.ImageLabels, "model")
	if err != nil {
		return nil, err
	}
	v, release, err := s.server.cfg.Manager.Acquire(ctx, model, req.GetVersion())
	if err != nil {
		return nil, err
	}
	defer release()
	results, errs, err := imageanalysis.Explain(ctx, v, req)
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			results[i].Error = itemStatus(err, "images", i)
		}
	}
	return &imageanalysisv1.ExplainImageResponse{Results: results}, nil
}
