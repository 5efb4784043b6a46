package server

import (
	"context"
	"sort"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/scoring"
)

// scoringService implements scry.scoring.v1.ScoringService.
type scoringService struct {
	scoringv1.UnimplementedScoringServiceServer
	server *Server
}

// Score implements the RPC of that name.
func (s *scoringService) Score(ctx context.Context, req *scoringv1.ScoreRequest) (*scoringv1.ScoreResponse, error) {
	return s.score(ctx, req, 0)
}

func (s *scoringService) score(ctx context.Context, req *scoringv1.ScoreRequest, first int64) (*scoringv1.ScoreResponse, error) {
	limits := s.server.cfg.Limits
	if n := len(req.GetInstances()); n > limits.Instances {
		return nil, failed(codes.InvalidArgument, "TOO_MANY_ITEMS", "instances", "%d rows, the limit is %d; a table or a stream takes more", n, limits.Instances)
	}
	if n := req.GetTable().GetRows(); n > limits.TableRows {
		return nil, failed(codes.InvalidArgument, "TOO_MANY_ITEMS", "table.rows", "%d rows, the limit is %d; a stream takes more", n, limits.TableRows)
	}
	v, release, err := s.server.acquire(ctx, req, s.server.cfg.Models.Scoring)
	if err != nil {
		return nil, err
	}
	defer release()
	if req.GetTable() != nil {
		table, rows, err := scoring.ScoreTable(ctx, v, req.GetTable(), req.GetOptions(), first, limits.MessageBytes)
		if err != nil {
			return nil, err
		}
		for row, err := range rows {
			table.Errors = append(table.Errors, &scoringv1.RowError{Row: int64(row), Error: itemStatus(err, "table.rows", row)})
		}
		sort.Slice(table.Errors, func(i, j int) bool { return table.Errors[i].GetRow() < table.Errors[j].GetRow() })
		return &scoringv1.ScoreResponse{Table: table}, nil
	}
	results, errs, err := scoring.Score(ctx, v, req.GetInstances(), req.GetOptions(), first)
	if err != nil {
		return nil, err
	}
	failedItems(errs, "instances", func(i int, st *spb.Status) { results[i].Error = st })
	return &scoringv1.ScoreResponse{Results: results}, nil
}

// StreamScore implements the RPC of that name.
func (s *scoringService) StreamScore(stream scoringv1.ScoringService_StreamScoreServer) error {
	return pump(stream.Context(), s.server.cfg.Limits.ReadAhead,
		headed(stream.Recv, "model, version and options", func(head, req *scoringv1.StreamScoreRequest) bool {
			if req.GetModel() != "" || req.GetVersion() != "" || req.GetOptions() != nil {
				return false
			}
			req.Model, req.Version, req.Options = head.GetModel(), head.GetVersion(), head.GetOptions()
			return true
		}),
		stream.Send,
		func(req *scoringv1.StreamScoreRequest) int64 {
			return int64(len(req.GetInstances())) + req.GetTable().GetRows()
		},
		func(ctx context.Context, first int64, req *scoringv1.StreamScoreRequest) (*scoringv1.StreamScoreResponse, error) {
			if len(req.GetInstances()) == 0 && req.GetTable() == nil {
				return &scoringv1.StreamScoreResponse{}, nil
			}
			if len(req.GetInstances()) > 0 && req.GetTable() != nil {
				return nil, failed(codes.InvalidArgument, "FIELD_INVALID", "table", "a message holds instances or a table, not both")
			}
			resp, err := patiently(ctx, func() (*scoringv1.ScoreResponse, error) {
				return s.score(ctx, &scoringv1.ScoreRequest{
					Model: req.GetModel(), Version: req.GetVersion(), Options: req.GetOptions(),
					Instances: req.GetInstances(), Table: req.GetTable(),
				}, first)
			})
			if err != nil {
				return nil, err
			}
			return &scoringv1.StreamScoreResponse{Results: resp.GetResults(), Table: resp.GetTable()}, nil
		})
}

// Explain implements the RPC of that name.
func (s *scoringService) Explain(ctx context.Context, req *scoringv1.ExplainRequest) (*scoringv1.ExplainResponse, error) {
	v, release, err := s.server.acquire(ctx, req, s.server.cfg.Models.Scoring)
	if err != nil {
		return nil, err
	}
	defer release()
	results, errs, err := scoring.Explain(ctx, v, req.GetInstances(), req.GetOptions())
	if err != nil {
		return nil, err
	}
	failedItems(errs, "instances", func(i int, st *spb.Status) { results[i].Error = st })
	return &scoringv1.ExplainResponse{Results: results}, nil
}
