// Package imageanalysis reads what pictures show: it decodes and prepares them
// and turns a model's outputs into labels and embeddings. It knows neither gRPC
// nor ONNX Runtime.
package imageanalysis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pixel"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// ErrUnsupported is wrapped by the error of a call that asks a model for a
// feature that it does not have.
var ErrUnsupported = errors.New("the model lacks the feature")

// DefaultLabels is the number of labels a head answers unless the call says.
const DefaultLabels = 5

// Model is what image analysis needs of a loaded version.
type Model interface {
	Bundle() *bundle.Bundle
	Pipeline() *pipeline.Pipeline
	Identity() pipeline.Identity
	// Admit returns the error with which so many rows of that cost in tokens (0:
	// rows) would be refused now.
	Admit(ctx context.Context, rows int, cost int64) error
	Run(ctx context.Context, items []pipeline.Item) []pipeline.Answer
}

// NewResults makes the results that Analyze fills, with ids and indices.
func NewResults(images []*imageanalysisv1.ImageItem, first int64) []*imageanalysisv1.ImageResult {
	results := make([]*imageanalysisv1.ImageResult, len(images))
	for i, image := range images {
		results[i] = &imageanalysisv1.ImageResult{Id: image.GetId(), Index: first + int64(i)}
	}
	return results
}

// Analyze fills features that one model answers into results[i], or errs[i]
// where picture i failed; pictures whose error is set already are left out. The
// error that it returns concerns the whole call: overload, an unknown head, or a
// feature that the model does not have.
func Analyze(ctx context.Context, m Model, images []*imageanalysisv1.ImageItem, features []imageanalysisv1.ImageFeature, opts *imageanalysisv1.ImageOptions, results []*imageanalysisv1.ImageResult, errs []error) error {
	heads, err := newHeads(m, features, opts)
	if err != nil {
		return err
	}
	if err := m.Pipeline().CheckCount("images", len(images)); err != nil {
		return err
	}
	waves := m.Pipeline().ImageWaves(len(images))
	if len(waves) > 0 {
		// What cannot be answered in time is refused before any picture is
		// decoded. The first wave must fit into the queue; the time is needed for
		// all.
		if err := m.Admit(ctx, waves[0].To-waves[0].From, int64(len(images))); err != nil {
			return err
		}
	}
	return pipeline.Waves(ctx, waves, func(ctx context.Context, _ int, w pipeline.Wave) error {
		return analyzeWave(ctx, m, heads, images, w, results, errs)
	})
}

// analyzeWave answers the pictures of one wave.
func analyzeWave(ctx context.Context, m Model, heads *heads, images []*imageanalysisv1.ImageItem, w pipeline.Wave, results []*imageanalysisv1.ImageResult, errs []error) error {
	pictures := decode(ctx, m.Pipeline(), images[w.From:w.To], errs[w.From:w.To])
	if err := ctx.Err(); err != nil {
		return err
	}
	items := make([]pipeline.Item, 0, len(pictures))
	places := make([]int, 0, len(pictures))
	for k, p := range pictures {
		if errs[w.From+k] == nil {
			items = append(items, p.Item)
			places = append(places, w.From+k)
		}
	}
	if len(items) == 0 {
		return nil
	}
	for k, answer := range m.Run(ctx, items) {
		i := places[k]
		if pipeline.Overload(answer.Err) {
			return answer.Err
		}
		if errs[i] = answer.Err; errs[i] != nil {
			continue
		}
		r := results[i]
		if errs[i] = heads.fill(r, answer.Outputs); errs[i] != nil {
			continue
		}
		if r.GetPredictionId() == "" {
			r.PredictionId = pipeline.NewPredictionID()
			r.Info = info(pictures[i-w.From].Info)
		}
		r.ServedBy = append(r.ServedBy, answer.Stats.ServedBy(m.Identity(), heads.names))
	}
	return nil
}

// decode prepares the pictures that have no error yet, as many at a time as
// there are processors.
func decode(ctx context.Context, p *pipeline.Pipeline, images []*imageanalysisv1.ImageItem, errs []error) []pipeline.Picture {
	pictures := make([]pipeline.Picture, len(images))
	pipeline.Parallel(runtime.GOMAXPROCS(0), len(images), func(i int) {
		if errs[i] == nil && ctx.Err() == nil {
			pictures[i], errs[i] = p.Image(ctx, images[i].GetContent())
		}
	})
	return pictures
}

func info(i pixel.Info) *imageanalysisv1.ImageInfo {
	return &imageanalysisv1.ImageInfo{Format: strings.ToLower(i.Format.String()), Width: int32(i.Width), Height: int32(i.Height)}
}

// heads are the manifest's heads that answer a call's features.
type heads struct {
	names     []string
	labels    []string
	embedding string
	manifest  *bundlev1.Manifest
	classes   map[string][]string
	most      int
	least     float64
}

func newHeads(m Model, features []imageanalysisv1.ImageFeature, opts *imageanalysisv1.ImageOptions) (*heads, error) {
	manifest := m.Bundle().Manifest
	if manifest.GetImage() == nil {
		return nil, fmt.Errorf("%w: %s takes no pictures", ErrUnsupported, m.Identity().Model)
	}
	out := &heads{manifest: manifest, classes: m.Bundle().Labels, most: int(opts.GetMaxLabels()), least: opts.GetMinScore()}
	if out.most == 0 {
		out.most = DefaultLabels
	}
	var labels, embeddings []string
	for name, h := range manifest.GetHeads() {
		switch {
		case h.GetLabels() != nil:
			labels = append(labels, name)
		case h.GetEmbedding() != nil:
			embeddings = append(embeddings, name)
		}
	}
	slices.Sort(labels)
	slices.Sort(embeddings)
	for i, name := range opts.GetHeads() {
		if !slices.Contains(labels, name) {
			return nil, &pipeline.InputError{
				Field: fmt.Sprintf("options.heads[%d]", i), Reason: "HEAD_UNKNOWN",
				Message: "the model has no such label head; it has " + strings.Join(labels, ", "),
			}
		}
	}
	if len(opts.GetHeads()) > 0 {
		labels = slices.DeleteFunc(labels, func(name string) bool { return !slices.Contains(opts.GetHeads(), name) })
	}
	for _, f := range features {
		switch {
		case f == imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS && len(labels) > 0:
			out.labels = labels
			out.names = append(out.names, labels...)
		case f == imageanalysisv1.ImageFeature_IMAGE_FEATURE_EMBEDDING && len(embeddings) > 0:
			out.embedding = embeddings[0]
			out.names = append(out.names, embeddings[0])
		default:
			return nil, fmt.Errorf("%w: %s has no head for %v", ErrUnsupported, m.Identity().Model, f)
		}
	}
	return out, nil
}

// fill reads the heads of one picture.
func (h *heads) fill(r *imageanalysisv1.ImageResult, out pipeline.Outputs) error {
	sets := make([]*imageanalysisv1.LabelSet, 0, len(h.labels))
	for _, name := range h.labels {
		spec := h.manifest.GetHeads()[name]
		row, err := rowOf(out, name, spec)
		if err != nil {
			return err
		}
		set, err := h.set(name, row, spec.GetLabels())
		if err != nil {
			return fmt.Errorf("head %s: %w", name, err)
		}
		sets = append(sets, set)
	}
	if h.embedding != "" {
		spec := h.manifest.GetHeads()[h.embedding]
		row, err := rowOf(out, h.embedding, spec)
		if err != nil {
			return err
		}
		r.Embedding = &imageanalysisv1.Embedding{Values: pipeline.Vector(row, spec.GetEmbedding().GetNormalize())}
	}
	r.Labels = append(r.Labels, sets...)
	return nil
}

func rowOf(out pipeline.Outputs, name string, spec *bundlev1.Head) (row []float64, err error) {
	c, err := out.Columns(spec.GetSource())
	if err == nil {
		row, err = c.Row(nil, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("head %s: %w", name, err)
	}
	return row, nil
}

// set returns the labels with the highest scores.
func (h *heads) set(name string, scores []float64, spec *bundlev1.Labels) (*imageanalysisv1.LabelSet, error) {
	names := h.classes[name]
	if len(scores) != len(names) {
		return nil, fmt.Errorf("%w: %d columns for %d labels", pipeline.ErrOutput, len(scores), len(names))
	}
	if err := pipeline.Activate(scores, spec.GetActivation(), 0); err != nil {
		return nil, err
	}
	set := &imageanalysisv1.LabelSet{Head: name}
	for _, i := range pipeline.Top(scores, h.most, h.least) {
		set.Labels = append(set.Labels, &imageanalysisv1.Label{Name: names[i], Score: scores[i]})
	}
	return set, nil
}
