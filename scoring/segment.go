package scoring

import (
	"math"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// alternatives is how many further groups an answer names.
const alternatives = 3

// logWeights is what a mixture's log-densities have that no row changes: log
// weight - log sqrt(determinant). nil for other heads.
func logWeights(s *bundlev1.Segment) []float64 {
	if s.GetMixture() == nil {
		return nil
	}
	out := make([]float64, len(s.GetClusters()))
	for i, c := range s.GetClusters() {
		if c.GetWeight() > 0 {
			out[i] = math.Log(c.GetWeight())
		}
		for d := range c.GetCentroid() {
			out[i] -= math.Log(varianceOf(c, d)) / 2
		}
	}
	return out
}

// varianceOf is a cluster's variance along a column; 1 where it has none.
func varianceOf(c *bundlev1.Cluster, column int) float64 {
	switch v := c.GetVariance(); len(v) {
	case 0:
		return 1
	case 1:
		return v[0]
	default:
		return v[column]
	}
}

// memberships finds how near a row is to every cluster: it leaves memberships in
// r.numbers and distances in r.distances, and returns the clusters that the row
// belongs to most, the segment and its alternatives.
func (r *reader) memberships(b *boundHead, row int, spec *bundlev1.Segment) (_ []int, err error) {
	if r.numbers, err = b.source.Row(r.numbers, row); err != nil {
		return nil, err
	}
	temperature := spec.GetNearest().GetTemperature()
	if temperature == 0 {
		temperature = 1
	}
	r.distances, r.sizes = r.distances[:0], r.sizes[:0]
	for i, c := range spec.GetClusters() {
		square := 0.0
		for d, x := range r.numbers {
			off := x - c.GetCentroid()[d]
			square += off * off / varianceOf(c, d)
		}
		score := -square / temperature
		if b.clusters != nil {
			score = b.clusters[i] - square/2
		}
		r.distances = append(r.distances, math.Sqrt(square))
		r.sizes = append(r.sizes, score)
	}
	nearest := pipeline.Top(r.sizes, 1+alternatives, math.Inf(-1))
	r.numbers = append(r.numbers[:0], r.sizes...)
	return nearest, pipeline.Activate(r.numbers, bundlev1.Activation_ACTIVATION_SOFTMAX, 1)
}

// isOutlier tells whether a row lies too far from its segment's centre.
func isOutlier(spec *bundlev1.Segment, distance float64) bool {
	return spec.GetOutlierDistance() > 0 && distance > spec.GetOutlierDistance()
}

// cellOf is a cluster's place on a map; nil when there is none.
func cellOf(spec *bundlev1.Segment, cluster int) *scoringv1.Cell {
	columns := spec.GetGridColumns()
	if columns == 0 {
		return nil
	}
	return &scoringv1.Cell{Row: int32(cluster) / columns, Column: int32(cluster) % columns}
}

func (r *reader) segment(b *boundHead, row int, spec *bundlev1.Segment) (*scoringv1.Segment, error) {
	nearest, err := r.memberships(b, row, spec)
	if err != nil {
		return nil, err
	}
	of := func(i int) (string, string) {
		c := spec.GetClusters()[i]
		return c.GetName(), TextIn(b.opts.GetLanguage(), c.GetTitle(), c.GetName())
	}
	first := nearest[0]
	s := &scoringv1.Segment{
		Description: TextIn(b.opts.GetLanguage(), spec.GetClusters()[first].GetDescription(), ""),
		Membership:  r.numbers[first], Distance: r.distances[first], Outlier: isOutlier(spec, r.distances[first]), Cell: cellOf(spec, first),
	}
	s.Name, s.Title = of(first)
	for _, i := range nearest[1:] {
		a := &scoringv1.SegmentAlternative{Membership: r.numbers[i], Distance: r.distances[i], Cell: cellOf(spec, i)}
		a.Name, a.Title = of(i)
		s.Alternatives = append(s.Alternatives, a)
	}
	return s, nil
}

// lowSupport is the warning of a row that lies far from every segment.
func lowSupport(head, field string) *pipeline.Warning {
	return &pipeline.Warning{
		Code: servingv1.WarningCode_WARNING_CODE_LOW_SUPPORT, Field: field, Message: "lies far from every segment of the head " + head,
	}
}

func segmentColumns(h *head, spec *bundlev1.Segment, rows int) *scoringv1.SegmentColumns {
	out := &scoringv1.SegmentColumns{
		Segment: make([]uint32, rows), Membership: make([]float64, rows), Distance: make([]float64, rows), Outlier: make([]bool, rows),
		GridColumns: spec.GetGridColumns(),
	}
	for _, c := range spec.GetClusters() {
		out.Names = append(out.Names, c.GetName())
		out.Titles = append(out.Titles, TextIn(h.opts.GetLanguage(), c.GetTitle(), c.GetName()))
	}
	for range min(alternatives, len(spec.GetClusters())-1) {
		out.Alternatives = append(out.Alternatives, &scoringv1.SegmentRank{
			Segment: make([]uint32, rows), Membership: make([]float64, rows), Distance: make([]float64, rows),
		})
	}
	return out
}

func (r *reader) writeSegment(b *boundHead, row int, out *scoringv1.SegmentColumns, to int) error {
	spec := b.spec.GetSegment()
	nearest, err := r.memberships(b, row, spec)
	if err != nil {
		return err
	}
	first := nearest[0]
	out.Segment[to], out.Membership[to], out.Distance[to] = uint32(first), r.numbers[first], r.distances[first]
	out.Outlier[to] = isOutlier(spec, r.distances[first])
	for k, i := range nearest[1:] {
		a := out.GetAlternatives()[k]
		a.Segment[to], a.Membership[to], a.Distance[to] = uint32(i), r.numbers[i], r.distances[i]
	}
	return nil
}

func clearSegment(out *scoringv1.SegmentColumns, row int) {
	out.Segment[row], out.Membership[row], out.Distance[row], out.Outlier[row] = 0, 0, 0, false
	for _, a := range out.GetAlternatives() {
		a.Segment[row], a.Membership[row], a.Distance[row] = 0, 0, 0
	}
}
