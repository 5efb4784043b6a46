package server

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/serving"
)

// pick returns the model that a call names, or the server's default.
func pick(named, fallback, field string) (string, error) {
	switch {
	case named != "":
		return named, nil
	case fallback != "":
		return fallback, nil
	}
	return "", failed(codes.InvalidArgument, "MODEL_REQUIRED", field, "the call names no model, and the server has no default for this feature")
}

// acquire returns the version that a call names, by default that of the model
// which the server has for it. The caller must call release when it is done.
func (s *Server) acquire(ctx context.Context, req interface {
	GetModel() string
	GetVersion() string
}, fallback string) (v *serving.Version, release func(), err error) {
	model, err := pick(req.GetModel(), fallback, "model")
	if err != nil {
		return nil, nil, err
	}
	return s.cfg.Manager.Acquire(ctx, model, req.GetVersion())
}

// grouping says which model answers which feature of a call.
type grouping[F comparable] struct {
	defaults   map[F]string
	named      map[F]part[F]
	needsModel func(F) bool // nil: all do
}

// part is one model's features of a call.
type part[F comparable] struct {
	model, version string
	features       []F
}

// name notes entry i of a request's models.
func (g *grouping[F]) name(i int, feature F, asked []F, model, version string) error {
	field := fmt.Sprintf("models[%d].feature", i)
	if !slices.Contains(asked, feature) {
		return failed(codes.InvalidArgument, "FEATURE_NOT_ASKED", field, "names a model for a feature that the call does not ask for")
	}
	if g.needsModel != nil && !g.needsModel(feature) {
		return failed(codes.InvalidArgument, "FEATURE_NEEDS_NO_MODEL", field, "names a model for a feature that needs none")
	}
	if _, twice := g.named[feature]; twice {
		return failed(codes.InvalidArgument, "FEATURE_TWICE", field, "names a second model for the feature")
	}
	if g.named == nil {
		g.named = map[F]part[F]{}
	}
	g.named[feature] = part[F]{model: model, version: version}
	return nil
}

// split joins the features that one model version answers; those that need none
// are left out.
func (g *grouping[F]) split(features []F) ([]part[F], error) {
	var parts []part[F]
	for i, f := range features {
		if g.needsModel != nil && !g.needsModel(f) {
			continue
		}
		p, ok := g.named[f]
		if !ok {
			model, err := pick("", g.defaults[f], fmt.Sprintf("features[%d]", i))
			if err != nil {
				return nil, err
			}
			p = part[F]{model: model}
		}
		at := slices.IndexFunc(parts, func(q part[F]) bool { return q.model == p.model && q.version == p.version })
		if at < 0 {
			parts = append(parts, p)
			at = len(parts) - 1
		}
		parts[at].features = append(parts[at].features, f)
	}
	return parts, nil
}
