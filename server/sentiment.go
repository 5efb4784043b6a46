package server

import (
	"context"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	"github.com/scry-ml/scry/sentiment"
)

// sentimentService implements scry.sentiment.v1.SentimentService.
type sentimentService struct {
	sentimentv1.UnimplementedSentimentServiceServer
	server *Server
	labels sentiment.Labels
}

// AnalyzeText implements the RPC of that name.
func (s *sentimentService) AnalyzeText(ctx context.Context, req *sentimentv1.AnalyzeTextRequest) (*sentimentv1.AnalyzeTextResponse, error) {
	results, err := s.analyze(ctx, req, 0)
	return &sentimentv1.AnalyzeTextResponse{Results: results}, err
}

// analyze runs the features of each model together, model by model.
func (s *sentimentService) analyze(ctx context.Context, req *sentimentv1.AnalyzeTextRequest, first int64) ([]*sentimentv1.TextResult, error) {
	limits := s.server.cfg.Limits
	if n := len(req.GetTexts()); n > limits.Texts {
		return nil, failed(codes.InvalidArgument, "TOO_MANY_ITEMS", "texts", "%d texts, the limit is %d; a stream takes more", n, limits.Texts)
	}
	features := req.GetFeatures()
	if len(features) == 0 {
		features = []sentimentv1.TextFeature{sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT}
	}
	models := s.server.cfg.Models
	groups := grouping[sentimentv1.TextFeature]{
		needsModel: sentiment.NeedsModel,
		defaults: map[sentimentv1.TextFeature]string{
			sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT: models.Sentiment,
			sentimentv1.TextFeature_TEXT_FEATURE_SENTENCES: models.Sentiment,
			sentimentv1.TextFeature_TEXT_FEATURE_EMOTIONS:  models.Sentiment,
			sentimentv1.TextFeature_TEXT_FEATURE_TARGETS:   models.Sentiment,
			sentimentv1.TextFeature_TEXT_FEATURE_CLASSES:   models.Sentiment,
			sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING: models.TextEmbedding,
			sentimentv1.TextFeature_TEXT_FEATURE_TOPICS:    models.TextEmbedding,
			sentimentv1.TextFeature_TEXT_FEATURE_TOXICITY:  models.TextEmbedding,
			sentimentv1.TextFeature_TEXT_FEATURE_INTENT:    models.TextEmbedding,
		},
	}
	for i, m := range req.GetModels() {
		if err := groups.name(i, m.GetFeature(), features, m.GetModel(), m.GetVersion()); err != nil {
			return nil, err
		}
	}
	parts, err := groups.split(features)
	if err != nil {
		return nil, err
	}
	call := sentiment.NewCall(req.GetTexts(), features, req.GetOptions(), first, limits.TextBytes)
	call.Labels = &s.labels
	for _, p := range parts {
		v, release, err := s.server.cfg.Manager.Acquire(ctx, p.model, p.version)
		if err != nil {
			return nil, err
		}
		err = call.Analyze(ctx, v, p.features)
		release()
		if err != nil {
			return nil, err
		}
	}
	if len(parts) == 0 { // nobody but the language says what the models read
		if v := s.server.cfg.Manager.Loaded(ctx, models.Sentiment, ""); v != nil {
			call.Reads(v.Bundle().Manifest.GetText().GetLanguages())
		}
	}
	results, errs := call.Results()
	failedItems(errs, "texts", func(i int, st *spb.Status) {
		results[i] = &sentimentv1.TextResult{Id: results[i].GetId(), Index: results[i].GetIndex(), Error: st}
	})
	return results, nil
}

// StreamAnalyzeText implements the RPC of that name.
func (s *sentimentService) StreamAnalyzeText(stream sentimentv1.SentimentService_StreamAnalyzeTextServer) error {
	return pump(stream.Context(), s.server.cfg.Limits.ReadAhead,
		headed(stream.Recv, "features, models and options", func(head, req *sentimentv1.StreamAnalyzeTextRequest) bool {
			if len(req.GetFeatures()) > 0 || len(req.GetModels()) > 0 || req.GetOptions() != nil {
				return false
			}
			req.Features, req.Models, req.Options = head.GetFeatures(), head.GetModels(), head.GetOptions()
			return true
		}),
		stream.Send,
		func(req *sentimentv1.StreamAnalyzeTextRequest) int64 { return int64(len(req.GetTexts())) },
		func(ctx context.Context, first int64, req *sentimentv1.StreamAnalyzeTextRequest) (*sentimentv1.StreamAnalyzeTextResponse, error) {
			results, err := patiently(ctx, func() ([]*sentimentv1.TextResult, error) {
				return s.analyze(ctx, &sentimentv1.AnalyzeTextRequest{Texts: req.GetTexts(), Features: req.GetFeatures(), Models: req.GetModels(), Options: req.GetOptions()}, first)
			})
			return &sentimentv1.StreamAnalyzeTextResponse{Results: results}, err
		})
}
