package client

import (
	"context"
	"math/rand/v2"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// Score scores the request's instances: one result per instance, in their
// order. More instances than the server takes at once are sent in several calls.
// For a request with a table see ScoreTable.
func (c *Client) Score(ctx context.Context, req *scoringv1.ScoreRequest) (*scoringv1.ScoreResponse, error) {
	if req.GetTable() != nil || len(req.GetInstances()) == 0 {
		return c.Scoring().Score(ctx, req) // whole: the server says what is wrong with it
	}
	limits, err := c.limits(ctx)
	if err != nil {
		return nil, err
	}
	part := &scoringv1.ScoreRequest{Model: req.GetModel(), Version: req.GetVersion(), Options: req.GetOptions()}
	results, err := inParts(ctx, req.GetInstances(), newBudget(limits.GetMaxInstances(), limits.GetMaxMessageBytes(), part),
		kind[*scoringv1.Instance, *scoringv1.ScoreResult]{
			call: func(ctx context.Context, instances []*scoringv1.Instance) ([]*scoringv1.ScoreResult, error) {
				r, err := c.Scoring().Score(ctx, &scoringv1.ScoreRequest{
					Model: part.Model, Version: part.Version, Options: part.Options, Instances: instances,
				})
				return r.GetResults(), err
			},
			failed: func(i *scoringv1.Instance, err *spb.Status) *scoringv1.ScoreResult {
				return &scoringv1.ScoreResult{Id: i.GetId(), Error: err}
			},
			place: func(r *scoringv1.ScoreResult, index int64) { r.Index = index },
		})
	if err != nil {
		return nil, err
	}
	return &scoringv1.ScoreResponse{Results: results}, nil
}

// ScoreTable scores the request's table. A table that exceeds the server's
// limits is sent in several calls by ranges of rows, and every call's answer is
// returned as it came, in order; FirstIndex is the table's row at which it begins.
func (c *Client) ScoreTable(ctx context.Context, req *scoringv1.ScoreRequest) ([]*scoringv1.TableResult, error) {
	limits, err := c.limits(ctx)
	if err != nil {
		return nil, err
	}
	part := &scoringv1.ScoreRequest{Model: req.GetModel(), Version: req.GetVersion(), Options: req.GetOptions()}
	bytes := newBudget(0, limits.GetMaxMessageBytes(), part).bytes
	var results []*scoringv1.TableResult
	err = tableParts(req.GetTable(), limits.GetMaxTableRows(), bytes, func(first int64, t *scoringv1.Table) error {
		r, err := c.Scoring().Score(ctx, &scoringv1.ScoreRequest{
			Model: part.Model, Version: part.Version, Options: part.Options, Table: t,
		})
		if err != nil {
			return err
		}
		if result := r.GetTable(); result != nil {
			result.FirstIndex = first
			results = append(results, result)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// mostSubjects is how many subjects the contract allows in one call.
const mostSubjects = 1000

// RecommendItems ranks items for the request's subjects: one result per subject,
// in their order. More subjects than the server takes at once, and more items than
// it answers at once, are sent in several calls of the same time and seed: draws
// depend on the seed and on the subjects' ids. The answer has no token for a next
// page then.
func (c *Client) RecommendItems(ctx context.Context, req *scoringv1.RecommendItemsRequest) (*scoringv1.RecommendItemsResponse, error) {
	if len(req.GetSubjects()) <= 1 {
		return c.Scoring().RecommendItems(ctx, req)
	}
	limits, err := c.limits(ctx)
	if err != nil {
		return nil, err
	}
	const mostItems = 100_000
	most := int32(mostSubjects)
	if n := req.GetPageSize(); n > 0 {
		most = max(1, min(most, mostItems/n))
	}
	part := &scoringv1.RecommendItemsRequest{Model: req.GetModel(), Version: req.GetVersion(), Options: &scoringv1.RecommendOptions{}, PageSize: req.GetPageSize(), PageToken: req.GetPageToken()}
	proto.Merge(part.Options, req.GetOptions())
	if part.Options.Time == nil { // now is the same for all
		part.Options.Time = timestamppb.Now()
	}
	if e := part.Options.Exploration; e != nil && e.Seed == nil {
		e.Seed = new(rand.Uint64())
	}
	results, err := inParts(ctx, req.GetSubjects(), newBudget(most, limits.GetMaxMessageBytes(), part),
		kind[*scoringv1.RecommendSubject, *scoringv1.Recommendation]{
			call: func(ctx context.Context, subjects []*scoringv1.RecommendSubject) ([]*scoringv1.Recommendation, error) {
				r, err := c.Scoring().RecommendItems(ctx, &scoringv1.RecommendItemsRequest{
					Model: part.Model, Version: part.Version, Options: part.Options, PageSize: part.PageSize, PageToken: part.PageToken, Subjects: subjects,
				})
				return r.GetResults(), err
			},
			failed: func(s *scoringv1.RecommendSubject, err *spb.Status) *scoringv1.Recommendation {
				return &scoringv1.Recommendation{Id: s.GetId(), Error: err}
			},
			place: func(r *scoringv1.Recommendation, index int64) { r.Index = index },
		})
	if err != nil {
		return nil, err
	}
	return &scoringv1.RecommendItemsResponse{Results: results, Seed: part.GetOptions().GetExploration().GetSeed()}, nil
}

// AnalyzeText analyses the request's texts: one result per text, in their order.
// More texts than the server takes at once are sent in several calls.
func (c *Client) AnalyzeText(ctx context.Context, req *sentimentv1.AnalyzeTextRequest) (*sentimentv1.AnalyzeTextResponse, error) {
	if len(req.GetTexts()) == 0 {
		return c.Sentiment().AnalyzeText(ctx, req)
	}
	limits, err := c.limits(ctx)
	if err != nil {
		return nil, err
	}
	part := &sentimentv1.AnalyzeTextRequest{Features: req.GetFeatures(), Models: req.GetModels(), Options: req.GetOptions()}
	results, err := inParts(ctx, req.GetTexts(), newBudget(limits.GetMaxTexts(), limits.GetMaxMessageBytes(), part),
		kind[*sentimentv1.TextItem, *sentimentv1.TextResult]{
			call: func(ctx context.Context, texts []*sentimentv1.TextItem) ([]*sentimentv1.TextResult, error) {
				r, err := c.Sentiment().AnalyzeText(ctx, &sentimentv1.AnalyzeTextRequest{
					Features: part.Features, Models: part.Models, Options: part.Options, Texts: texts,
				})
				return r.GetResults(), err
			},
			failed: func(t *sentimentv1.TextItem, err *spb.Status) *sentimentv1.TextResult {
				return &sentimentv1.TextResult{Id: t.GetId(), Error: err}
			},
			place: func(r *sentimentv1.TextResult, index int64) { r.Index = index },
		})
	if err != nil {
		return nil, err
	}
	return &sentimentv1.AnalyzeTextResponse{Results: results}, nil
}

// AnalyzeImages analyses the request's pictures: one result per picture, in
// their order. More pictures than the server takes at once, or than fit into a
// message, are sent in several calls.
func (c *Client) AnalyzeImages(ctx context.Context, req *imageanalysisv1.AnalyzeImagesRequest) (*imageanalysisv1.AnalyzeImagesResponse, error) {
	if len(req.GetImages()) == 0 {
		return c.ImageAnalysis().AnalyzeImages(ctx, req)
	}
	limits, err := c.limits(ctx)
	if err != nil {
		return nil, err
	}
	part := &imageanalysisv1.AnalyzeImagesRequest{Features: req.GetFeatures(), Models: req.GetModels(), Options: req.GetOptions()}
	results, err := inParts(ctx, req.GetImages(), newBudget(limits.GetMaxImages(), limits.GetMaxMessageBytes(), part),
		kind[*imageanalysisv1.ImageItem, *imageanalysisv1.ImageResult]{
			call: func(ctx context.Context, images []*imageanalysisv1.ImageItem) ([]*imageanalysisv1.ImageResult, error) {
				r, err := c.ImageAnalysis().AnalyzeImages(ctx, &imageanalysisv1.AnalyzeImagesRequest{
					Features: part.Features, Models: part.Models, Options: part.Options, Images: images,
				})
				return r.GetResults(), err
			},
			failed: func(i *imageanalysisv1.ImageItem, err *spb.Status) *imageanalysisv1.ImageResult {
				return &imageanalysisv1.ImageResult{Id: i.GetId(), Error: err}
			},
			place: func(r *imageanalysisv1.ImageResult, index int64) { r.Index = index },
		})
	if err != nil {
		return nil, err
	}
	return &imageanalysisv1.AnalyzeImagesResponse{Results: results}, nil
}

// FindSimilar answers which items of a model's catalogue look like the request's
// pictures: one result per picture, in their order. More pictures than the server
// takes at once, than fit into a message, or for which it answers items at once,
// are sent in several calls.
func (c *Client) FindSimilar(ctx context.Context, req *imageanalysisv1.FindSimilarRequest) (*imageanalysisv1.FindSimilarResponse, error) {
	if len(req.GetImages()) == 0 {
		return c.ImageAnalysis().FindSimilar(ctx, req)
	}
	limits, err := c.limits(ctx)
	if err != nil {
		return nil, err
	}
	const mostItems = 100_000
	most := limits.GetMaxImages()
	if n := req.GetCount(); n > 0 {
		most = max(1, min(most, mostItems/n))
	}
	part := &imageanalysisv1.FindSimilarRequest{
		Model: req.GetModel(), Version: req.GetVersion(), Filter: req.GetFilter(), Count: req.GetCount(), MinScore: req.MinScore, Attributes: req.GetAttributes(),
	}
	results, err := inParts(ctx, req.GetImages(), newBudget(most, limits.GetMaxMessageBytes(), part),
		kind[*imageanalysisv1.ImageItem, *imageanalysisv1.SimilarResult]{
			call: func(ctx context.Context, images []*imageanalysisv1.ImageItem) ([]*imageanalysisv1.SimilarResult, error) {
				r, err := c.ImageAnalysis().FindSimilar(ctx, &imageanalysisv1.FindSimilarRequest{
					Model: part.Model, Version: part.Version, Filter: part.Filter, Count: part.Count, MinScore: part.MinScore, Attributes: part.Attributes, Images: images,
				})
				return r.GetResults(), err
			},
			failed: func(i *imageanalysisv1.ImageItem, err *spb.Status) *imageanalysisv1.SimilarResult {
				return &imageanalysisv1.SimilarResult{Id: i.GetId(), Error: err}
			},
			place: func(r *imageanalysisv1.SimilarResult, index int64) { r.Index = index },
		})
	if err != nil {
		return nil, err
	}
	return &imageanalysisv1.FindSimilarResponse{Results: results}, nil
}
