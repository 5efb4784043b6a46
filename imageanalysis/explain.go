package imageanalysis

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

const (
	// defaultEvaluations is how many pictures the model is asked for one picture,
	// unless the call says: itself, and a map of 14 × 14 parts.
	defaultEvaluations = 197
	// waveVariants are so few that others' pictures wait for one run at most, and
	// so many that a run is worth it.
	waveVariants = 32
	// mapSide is the longest side of a map's PNG, in pixels.
	mapSide = 1024
)

// Explainable is what Explain needs of a loaded version.
type Explainable interface {
	Model
	// Yielding returns a context whose runs give way to those of other calls.
	Yielding(ctx context.Context) context.Context
}

// Explain tells which parts of a picture speak for a label: by how much its score
// falls when a part is covered. results[i] and errs[i] belong to the request's
// images[i]; a result whose error is set holds id and index only. err is set when
// the call as a whole cannot be answered: overload, or a head or label that the
// model does not have.
func Explain(ctx context.Context, m Explainable, req *imageanalysisv1.ExplainImageRequest) (results []*imageanalysisv1.ImageExplanation, errs []error, err error) {
	x, err := newExplainer(m, req)
	if err != nil {
		return nil, nil, err
	}
	if err := m.Pipeline().CheckCount("images", len(req.GetImages())); err != nil {
		return nil, nil, err
	}
	ctx = m.Yielding(ctx)
	results, errs = make([]*imageanalysisv1.ImageExplanation, len(req.GetImages())), make([]error, len(req.GetImages()))
	for i, image := range req.GetImages() {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		r := &imageanalysisv1.ImageExplanation{}
		err := x.explain(ctx, r, image.GetContent())
		if pipeline.Overload(err) {
			return nil, nil, err
		}
		if errs[i] = err; err != nil {
			r = &imageanalysisv1.ImageExplanation{}
		}
		r.Id, r.Index = image.GetId(), int64(i)
		results[i] = r
	}
	return results, errs, nil
}

// explainer is one call of Explain.
type explainer struct {
	model  Explainable
	head   string
	spec   *bundlev1.Head
	labels []string
	label  int // -1 = the picture's best
	parts  int // of a map, at most
}

func newExplainer(m Explainable, req *imageanalysisv1.ExplainImageRequest) (*explainer, error) {
	heads, err := newLabelling(m, []imageanalysisv1.ImageFeature{imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS}, nil)
	if err != nil {
		return nil, err
	}
	x := &explainer{model: m, head: heads.labels[0], label: -1, parts: defaultEvaluations - 1}
	if req.GetHead() != "" {
		if x.head = req.GetHead(); !slices.Contains(heads.labels, x.head) {
			return nil, &pipeline.InputError{Field: "head", Reason: "HEAD_UNKNOWN", Message: "the model has no such label head; it has " + strings.Join(heads.labels, ", ")}
		}
	}
	x.spec, x.labels = heads.manifest.GetHeads()[x.head], heads.classes[x.head]
	if name := req.GetLabel(); name != "" {
		if x.label = slices.Index(x.labels, name); x.label < 0 {
			return nil, &pipeline.InputError{Field: "label", Reason: "TARGET_UNKNOWN", Message: fmt.Sprintf("the head %s has no such label; it has %s", x.head, some(x.labels))}
		}
	}
	switch n := int(req.GetMaxEvaluations()); n {
	case 0:
	case 1:
		return nil, &pipeline.InputError{Field: "max_evaluations", Reason: "TOO_FEW_EVALUATIONS", Message: "the picture itself and one with a part covered are 2 at least"}
	default:
		x.parts = n - 1
	}
	return x, nil
}

// some lists the first names.
func some(names []string) string {
	const most = 12
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// explain fills r.
func (x *explainer) explain(ctx context.Context, r *imageanalysisv1.ImageExplanation, content []byte) error {
	picture, err := x.model.Pipeline().Coverable(ctx, content, mapSide)
	if err != nil {
		return err
	}
	rows, columns := grid(picture.Width, picture.Height, x.parts)
	n := rows * columns
	if err := x.model.Admit(ctx, min(n, waveVariants), int64(n+1)); err != nil {
		return err
	}

	// The picture itself tells the label.
	label, stats := x.label, pipeline.Stats{}
	whole := 0.0
	err = x.ask(ctx, []pipeline.Item{picture.Item}, &stats, func(_ int, scores []float64) {
		if label < 0 {
			label = pipeline.Top(scores, 1, 0)[0]
		}
		whole = scores[label]
	})
	if err != nil {
		return err
	}
	size := int64(len(picture.Item.Inputs[0].Data))
	waves := pipeline.Cut(n, waveVariants, func(int) int64 { return size })
	heat, spent := make([]float64, n), make([]pipeline.Stats, len(waves))
	err = pipeline.Waves(ctx, waves, func(ctx context.Context, k int, w pipeline.Wave) error {
		items := make([]pipeline.Item, w.To-w.From)
		for i := range items {
			row, column := (w.From+i)/columns, (w.From+i)%columns
			var err error
			items[i], err = picture.Cover(column*picture.Width/columns, row*picture.Height/rows, (column+1)*picture.Width/columns, (row+1)*picture.Height/rows)
			if err != nil {
				return err
			}
		}
		return x.ask(ctx, items, &spent[k], func(i int, scores []float64) { heat[w.From+i] = whole - scores[label] })
	})
	if err != nil {
		return err
	}
	for _, s := range spent {
		stats.Merge(s)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.Png, err = heatMap(picture.Small, picture.View, heat, rows, columns); err != nil {
		return err
	}
	r.Head, r.Label, r.Score = x.head, x.labels[label], whole
	r.Heat, r.Rows, r.Columns, r.Evaluations = heat, int32(rows), int32(columns), int32(n+1)
	r.PredictionId = pipeline.NewPredictionID()
	r.ServedBy = append(r.ServedBy, stats.ServedBy(x.model.Identity(), []string{x.head}))
	return nil
}

// ask runs pictures and hands out each one's scores, a score a label.
func (x *explainer) ask(ctx context.Context, items []pipeline.Item, stats *pipeline.Stats, use func(i int, scores []float64)) error {
	for i, answer := range x.model.Run(ctx, items) {
		if answer.Err != nil {
			return answer.Err
		}
		stats.Merge(answer.Stats)
		scores, err := rowOf(answer.Outputs, x.head, x.spec)
		if err != nil {
			return err
		}
		if len(scores) != len(x.labels) {
			return fmt.Errorf("head %s: %w: %d columns for %d labels", x.head, pipeline.ErrOutput, len(scores), len(x.labels))
		}
		if err := pipeline.Activate(scores, x.spec.GetLabels().GetActivation(), 0); err != nil {
			return fmt.Errorf("head %s: %w", x.head, err)
		}
		use(i, scores)
	}
	return nil
}

// grid divides w × h pixels into at most most parts, as square as that many
// allow.
func grid(w, h, most int) (rows, columns int) {
	side := math.Sqrt(float64(w) * float64(h) / float64(most))
	rows = min(max(1, int(float64(h)/side)), h, most)
	columns = min(max(1, int(float64(w)/side)), w, most/rows)
	rows = min(rows, most/columns)
	return rows, columns
}
