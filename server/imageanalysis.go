package server

import (
	"context"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/imageanalysis"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// imageAnalysisService implements scry.imageanalysis.v1.ImageAnalysisService.
type imageAnalysisService struct {
	imageanalysisv1.UnimplementedImageAnalysisServiceServer
	server *Server
}

// AnalyzeImages implements the RPC of that name.
func (s *imageAnalysisService) AnalyzeImages(ctx context.Context, req *imageanalysisv1.AnalyzeImagesRequest) (*imageanalysisv1.AnalyzeImagesResponse, error) {
	results, err := s.analyze(ctx, req, 0)
	return &imageanalysisv1.AnalyzeImagesResponse{Results: results}, err
}

// analyze answers the features of all models together.
func (s *imageAnalysisService) analyze(ctx context.Context, req *imageanalysisv1.AnalyzeImagesRequest, first int64) ([]*imageanalysisv1.ImageResult, error) {
	limits := s.server.cfg.Limits
	if n := len(req.GetImages()); n > limits.Images {
		return nil, failed(codes.InvalidArgument, "TOO_MANY_ITEMS", "images", "%d pictures, the limit is %d; a stream takes more", n, limits.Images)
	}
	ask := imageanalysis.Request{Images: req.GetImages(), Options: req.GetOptions(), Limits: s.server.cfg.Items}
	features := req.GetFeatures()
	if len(features) == 0 {
		features = []imageanalysisv1.ImageFeature{imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS}
	}
	models := s.server.cfg.Models
	for _, f := range features {
		if !imageanalysis.NeedsModel(f) {
			ask.Features = append(ask.Features, f)
		}
	}
	groups := grouping[imageanalysisv1.ImageFeature]{
		needsModel: imageanalysis.NeedsModel,
		defaults: map[imageanalysisv1.ImageFeature]string{
			imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS:      models.ImageLabels,
			imageanalysisv1.ImageFeature_IMAGE_FEATURE_EMBEDDING:   models.ImageEmbedding,
			imageanalysisv1.ImageFeature_IMAGE_FEATURE_SAFE_SEARCH: models.SafeSearch,
			imageanalysisv1.ImageFeature_IMAGE_FEATURE_FACES:       models.Faces,
			imageanalysisv1.ImageFeature_IMAGE_FEATURE_TEXT:        models.ImageText,
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
	for _, p := range parts {
		v, release, err := s.server.cfg.Manager.Acquire(ctx, p.model, p.version)
		if err != nil {
			return nil, err
		}
		defer release()
		ask.Parts = append(ask.Parts, imageanalysis.Part{Model: v, Features: p.features})
	}
	results := imageanalysis.NewResults(req.GetImages(), first)
	errs := make([]error, len(results))
	if err := imageanalysis.Analyze(ctx, ask, results, errs); err != nil {
		return nil, err
	}
	failedItems(errs, "images", func(i int, st *spb.Status) {
		results[i] = &imageanalysisv1.ImageResult{Id: results[i].GetId(), Index: results[i].GetIndex(), Error: st}
	})
	return results, nil
}

// FindSimilar implements the RPC of that name.
func (s *imageAnalysisService) FindSimilar(ctx context.Context, req *imageanalysisv1.FindSimilarRequest) (*imageanalysisv1.FindSimilarResponse, error) {
	cfg := &s.server.cfg
	if n := len(req.GetImages()); n > cfg.Limits.Images {
		return nil, failed(codes.InvalidArgument, "TOO_MANY_ITEMS", "images", "%d pictures, the limit is %d", n, cfg.Limits.Images)
	}
	v, release, err := s.server.acquire(ctx, req, cfg.Models.ImageEmbedding)
	if err != nil {
		return nil, err
	}
	defer release()
	resp, errs, err := imageanalysis.Similar(ctx, v, req, cfg.Items, time.Now())
	if err != nil {
		return nil, err
	}
	failedItems(errs, "images", func(i int, st *spb.Status) { resp.GetResults()[i].Error = st })
	return resp, nil
}

// StreamAnalyzeImages implements the RPC of that name.
func (s *imageAnalysisService) StreamAnalyzeImages(stream imageanalysisv1.ImageAnalysisService_StreamAnalyzeImagesServer) error {
	return pump(stream.Context(), s.server.cfg.Limits.ReadAhead,
		headed(stream.Recv, "features, models and options", func(head, req *imageanalysisv1.StreamAnalyzeImagesRequest) bool {
			if len(req.GetFeatures()) > 0 || len(req.GetModels()) > 0 || req.GetOptions() != nil {
				return false
			}
			req.Features, req.Models, req.Options = head.GetFeatures(), head.GetModels(), head.GetOptions()
			return true
		}),
		stream.Send,
		func(req *imageanalysisv1.StreamAnalyzeImagesRequest) int64 { return int64(len(req.GetImages())) },
		func(ctx context.Context, first int64, req *imageanalysisv1.StreamAnalyzeImagesRequest) (*imageanalysisv1.StreamAnalyzeImagesResponse, error) {
			results, err := patiently(ctx, func() ([]*imageanalysisv1.ImageResult, error) {
				return s.analyze(ctx, &imageanalysisv1.AnalyzeImagesRequest{Images: req.GetImages(), Features: req.GetFeatures(), Models: req.GetModels(), Options: req.GetOptions()}, first)
			})
			return &imageanalysisv1.StreamAnalyzeImagesResponse{Results: results}, err
		})
}
