package imageanalysis

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// DefaultFaces is the number of faces a picture answers at most unless the call
// says.
const DefaultFaces = 20

// maxBoxes of a picture are looked at more closely.
const maxBoxes = 100

// faces is a head that finds faces: boxes of a whole picture, of which a second
// graph looks at each, and a third, if asked, at those that are faces.
type faces struct {
	source      string
	spec        *bundlev1.Faces
	overlap     float64
	most        int
	expressions bool // asked for
}

func newFaces(h *bundlev1.Head, opts *imageanalysisv1.ImageOptions) *faces {
	f := &faces{
		source: h.GetSource(), spec: h.GetFaces(), overlap: h.GetFaces().GetMaxOverlap(),
		most: int(opts.GetMaxFaces()), expressions: opts.GetExpressions(),
	}
	if f.overlap == 0 {
		f.overlap = 0.5
	}
	if f.most == 0 {
		f.most = DefaultFaces
	}
	return f
}

type faceBox struct {
	rect  pipeline.Rect
	score float64
	face  *imageanalysisv1.Face
}

// find fills the faces of the pictures that have no error.
func (f *faces) find(ctx context.Context, m Model, pictures []*picture) error {
	found := make([][]faceBox, len(pictures))
	for i, p := range pictures {
		if *p.err == nil {
			found[i], *p.err = f.boxes(p.answer.Outputs, p.crops)
		}
	}
	if f.spec.GetCheck() != nil {
		if err := f.look(ctx, m, pictures, found, f.spec.GetCheck().GetSource(), f.check); err != nil {
			return err
		}
	}
	for i, p := range pictures {
		if *p.err != nil {
			continue
		}
		boxes := slices.DeleteFunc(found[i], func(b faceBox) bool { return b.face == nil })
		slices.SortStableFunc(boxes, func(a, b faceBox) int { return cmp.Compare(b.rect.Area(), a.rect.Area()) })
		found[i] = boxes[:min(len(boxes), f.most)]
	}
	if e := f.spec.GetExpressions(); f.expressions && e.GetAllowed() {
		if err := f.look(ctx, m, pictures, found, e.GetSource(), f.expression); err != nil {
			return err
		}
	}
	for i, p := range pictures {
		if *p.err != nil {
			continue
		}
		for _, b := range found[i] {
			p.result.Faces = append(p.result.Faces, b.face)
		}
		if f.expressions && !f.spec.GetExpressions().GetAllowed() {
			p.result.Warnings = append(p.result.Warnings, &servingv1.Warning{
				Code: servingv1.WarningCode_WARNING_CODE_NOT_ALLOWED, Field: "options.expressions",
				Message: "the model's manifest does not allow expressions to be read",
			})
		}
	}
	return nil
}

// boxes reads what the detector found, without boxes that others cover.
func (f *faces) boxes(out pipeline.Outputs, crops *pipeline.Crops) ([]faceBox, error) {
	places, err := out.Columns(f.source)
	if err != nil {
		return nil, err
	}
	columns, err := out.Columns(f.spec.GetScores())
	if err != nil {
		return nil, err
	}
	scores, err := columns.Row(nil, 0)
	if err != nil {
		return nil, err
	}
	if places.Columns != 4*len(scores) {
		return nil, fmt.Errorf("%w: %d numbers for %d boxes", pipeline.ErrOutput, places.Columns, len(scores))
	}
	// Boxes overlap in clusters, of which the best remains.
	var found []faceBox
	for _, i := range pipeline.Top(scores, 10*maxBoxes, f.spec.GetMinScore()) {
		var side [4]float64
		for k := range side {
			if side[k], err = places.At(0, 4*i+k); err != nil {
				return nil, err
			}
		}
		b := faceBox{rect: crops.Rect(side[0], side[1], side[2], side[3]), score: scores[i]}
		if !b.rect.Cuttable() || slices.ContainsFunc(found, func(better faceBox) bool { return better.rect.Overlap(b.rect) > f.overlap }) {
			continue
		}
		if b.score, err = pipeline.Unit(b.score); err != nil {
			return nil, err
		}
		b.face = &imageanalysisv1.Face{Score: b.score, Box: &imageanalysisv1.Box{
			Left: b.rect.Left, Top: b.rect.Top, Width: b.rect.Right - b.rect.Left, Height: b.rect.Bottom - b.rect.Top,
		}}
		if found = append(found, b); len(found) == maxBoxes {
			break
		}
	}
	return found, nil
}

// look runs the graph of a source on all boxes and hands each its answer, and what
// of the picture the graph saw.
func (f *faces) look(ctx context.Context, m Model, pictures []*picture, found [][]faceBox, source string, read func(*faceBox, pipeline.Outputs, pipeline.Rect) error) error {
	src, err := bundle.ParseSource(source)
	if err != nil {
		return err
	}
	var parts []part
	for i, p := range pictures {
		if *p.err != nil {
			continue
		}
		for k := range found[i] {
			box, at := &found[i][k], pipeline.Rect{}
			parts = append(parts, part{
				picture: p,
				bytes:   p.crops.Bytes(src.Graph),
				cut: func() (item pipeline.Item, err error) {
					item, at, err = p.crops.Cut(src.Graph, box.rect)
					return item, err
				},
				read: func(out pipeline.Outputs) error { return read(box, out, at) },
			})
		}
	}
	return look(ctx, m, src.Graph, parts)
}

// check drops a box that the second network takes for none.
func (f *faces) check(b *faceBox, out pipeline.Outputs, at pipeline.Rect) error {
	spec := f.spec.GetCheck()
	columns, err := out.Columns(spec.GetSource())
	if err != nil {
		return err
	}
	score, err := columns.At(0, int(spec.GetColumn()))
	if err != nil {
		return err
	}
	if score, err = pipeline.Unit(score); err != nil {
		return err
	}
	if score < spec.GetMinScore() {
		b.face = nil
		return nil
	}
	if spec.GetPoints() == "" {
		return nil
	}
	points, err := out.Columns(spec.GetPoints())
	if err != nil {
		return err
	}
	for k, name := range spec.GetNames() {
		x, err := points.At(0, 2*k)
		if err != nil {
			return err
		}
		y, err := points.At(0, 2*k+1)
		if err != nil {
			return err
		}
		b.face.Landmarks = append(b.face.Landmarks, &imageanalysisv1.Landmark{Name: name, Point: &imageanalysisv1.Point{
			X: at.Left + x*(at.Right-at.Left), Y: at.Top + y*(at.Bottom-at.Top),
		}})
	}
	return nil
}

func (f *faces) expression(b *faceBox, out pipeline.Outputs, _ pipeline.Rect) error {
	spec := f.spec.GetExpressions()
	columns, err := out.Columns(spec.GetSource())
	if err != nil {
		return err
	}
	scores, err := columns.Row(nil, 0)
	if err != nil {
		return err
	}
	if len(scores) != len(spec.GetNames()) {
		return fmt.Errorf("%w: %d columns for %d expressions", pipeline.ErrOutput, len(scores), len(spec.GetNames()))
	}
	if err := pipeline.Activate(scores, spec.GetActivation(), 0); err != nil {
		return err
	}
	for _, i := range pipeline.Top(scores, len(scores), math.Inf(-1)) {
		b.face.Expressions = append(b.face.Expressions, &imageanalysisv1.Label{Name: spec.GetNames()[i], Score: scores[i]})
	}
	return nil
}
