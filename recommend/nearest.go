package recommend

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// Nearest finds the items whose vectors make the largest products with given ones.
type Nearest struct {
	search  search
	columns []int
	least   *float64
}

// Neighbour is an item that Nearest found.
type Neighbour struct {
	Item       string
	Score      float64
	Attributes *structpb.Struct
}

// NewNearest prepares a search for count items that a filter admits, expired ones
// aside, whose score is at least least (nil = any), with some attributes. Errors
// are *pipeline.InputError that name "filter" or "attributes", or the context's.
func NewNearest(ctx context.Context, items *bundle.Items, spec *bundlev1.Items, filter string, count int, least *float64, names []string, now time.Time) (*Nearest, error) {
	n := &Nearest{least: least}
	var err error
	if n.columns, err = columnsFor("attributes", items, names); err != nil {
		return nil, err
	}
	program, err := compile("filter", filter, attributesOf(items))
	if err != nil {
		return nil, err
	}
	expiry := items.Column(spec.GetExpiry())
	n.search = search{items: items, k: count, admitted: matching(ctx, items, program, expiry, now.UnixMicro())}
	return n, ctx.Err()
}

// QueryVector reads what the catalogue's query head made of one subject or
// picture. Errors wrap pipeline.ErrOutput.
func QueryVector(m *bundlev1.Manifest, items *bundle.Items, out pipeline.Outputs) ([]float32, error) {
	head := m.GetHeads()[m.GetCatalogue().GetItems().GetQueryHead()]
	source, err := out.Columns(head.GetSource())
	if err != nil {
		return nil, err
	}
	if source.Columns != items.Size {
		return nil, fmt.Errorf("%w: the query has %d elements, the items' vectors have %d", pipeline.ErrOutput, source.Columns, items.Size)
	}
	numbers, err := source.Row(nil, 0)
	if err != nil {
		return nil, err
	}
	for _, x := range numbers {
		if math.Abs(x) > bundle.MaxElement {
			return nil, fmt.Errorf("%w: an element of the query lies beyond ±%g", pipeline.ErrOutput, float64(bundle.MaxElement))
		}
	}
	return pipeline.Vector(numbers, head.GetEmbedding().GetNormalize()), nil
}

// Find answers for each vector, all of the items' size, its items, the best first;
// of equals the first of the catalogue.
func (n *Nearest) Find(ctx context.Context, vectors [][]float32) ([][]Neighbour, error) {
	items, queries := n.search.items, make([]query, len(vectors))
	for i, v := range vectors {
		queries[i].vector = v
	}
	found, err := n.search.run(ctx, queries)
	if err != nil {
		return nil, err
	}
	out := make([][]Neighbour, len(found))
	for i := range found {
		best := found[i].best.heap
		slices.SortFunc(best, compare)
		for _, s := range best {
			if n.least != nil && cmp.Less(float64(s.score), *n.least) {
				break
			}
			out[i] = append(out[i], Neighbour{items.IDs[s.place], float64(s.score), attributes(items, n.columns, int(s.place))})
		}
	}
	return out, nil
}
