package imageanalysis

import (
	"context"
	"fmt"
	"time"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	"github.com/scry-ml/scry/recommend"
)

const (
	defaultSimilar = 10
	// maxSimilar bounds the items of one answer.
	maxSimilar = 100_000
)

// Similar answers which items of the model's catalogue look most like each
// picture. errs[i] is picture i's, whose result then holds id and index only; err
// is set when the call as a whole cannot be answered.
func Similar(ctx context.Context, m Model, req *imageanalysisv1.FindSimilarRequest, limits pipeline.Limits, now time.Time) (resp *imageanalysisv1.FindSimilarResponse, errs []error, err error) {
	items, manifest := m.Pipeline().Items(), m.Bundle().Manifest
	switch {
	case manifest.GetImage() == nil:
		return nil, nil, fmt.Errorf("%w: %s takes no pictures", ErrUnsupported, m.Identity().Model)
	case items == nil:
		return nil, nil, fmt.Errorf("%w: %s has no catalogue of items", ErrUnsupported, m.Identity().Model)
	case manifest.GetCatalogue().GetItems().GetQueryHead() == "":
		return nil, nil, fmt.Errorf("%w: the catalogue of %s has no query_head", ErrUnsupported, m.Identity().Model)
	}
	count := int(req.GetCount())
	if count == 0 {
		count = defaultSimilar
	}
	if n := count * len(req.GetImages()); n > maxSimilar {
		return nil, nil, &pipeline.InputError{
			Field: "count", Reason: "TOO_MANY_ITEMS", Message: fmt.Sprintf("%d items for all pictures together, the limit is %d", n, maxSimilar),
		}
	}
	nearest, err := recommend.NewNearest(ctx, items, manifest.GetCatalogue().GetItems(), req.GetFilter(), count, req.MinScore, req.GetAttributes(), now)
	if err != nil {
		return nil, nil, err
	}
	q := &querying{model: m, items: items, vectors: make([][]float32, len(req.GetImages()))}
	c := &call{
		Request: Request{Images: req.GetImages(), Parts: []Part{{Model: m}}, Limits: limits},
		readers: []reader{q}, results: NewResults(req.GetImages(), 0), errs: make([]error, len(req.GetImages())),
	}
	if err := c.all(ctx); err != nil {
		return nil, nil, err
	}
	var which []int
	var vectors [][]float32
	for i, v := range q.vectors {
		if c.errs[i] == nil {
			which, vectors = append(which, i), append(vectors, v)
		}
	}
	found, err := nearest.Find(ctx, vectors)
	if err != nil {
		return nil, nil, err
	}
	resp = &imageanalysisv1.FindSimilarResponse{Results: make([]*imageanalysisv1.SimilarResult, len(c.results))}
	for i, r := range c.results {
		resp.Results[i] = &imageanalysisv1.SimilarResult{Id: r.GetId(), Index: r.GetIndex()}
	}
	for k, i := range which {
		r := resp.GetResults()[i]
		r.PredictionId, r.ServedBy = c.results[i].GetPredictionId(), c.results[i].GetServedBy()
		for _, n := range found[k] {
			r.Items = append(r.Items, &imageanalysisv1.SimilarItem{Item: n.Item, Score: n.Score, Attributes: n.Attributes})
		}
	}
	return resp, c.errs, nil
}

// querying reads the vectors that a catalogue is asked with.
type querying struct {
	model   Model
	items   *bundle.Items
	vectors [][]float32
}

func (q *querying) fill(i int, _ *imageanalysisv1.ImageResult, out pipeline.Outputs) (err error) {
	q.vectors[i], err = recommend.QueryVector(q.model.Bundle().Manifest, q.items, out)
	return err
}

func (q *querying) heads() []string {
	return []string{q.model.Bundle().Manifest.GetCatalogue().GetItems().GetQueryHead()}
}
