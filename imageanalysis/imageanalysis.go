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
	"time"

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
	// RunCrops runs a graph that takes parts of pictures.
	RunCrops(ctx context.Context, graph string, items []pipeline.Item) []pipeline.Answer
}

// NewResults makes the results that Analyze fills, with ids and indices.
func NewResults(images []*imageanalysisv1.ImageItem, first int64) []*imageanalysisv1.ImageResult {
	results := make([]*imageanalysisv1.ImageResult, len(images))
	for i, image := range images {
		results[i] = &imageanalysisv1.ImageResult{Id: image.GetId(), Index: first + int64(i)}
	}
	return results
}

// Part is a model with the features that it answers.
type Part struct {
	Model    Model
	Features []imageanalysisv1.ImageFeature
}

// NeedsModel reports whether a model answers the feature; the others are read off
// the picture itself.
func NeedsModel(f imageanalysisv1.ImageFeature) bool {
	return f != imageanalysisv1.ImageFeature_IMAGE_FEATURE_COLORS && f != imageanalysisv1.ImageFeature_IMAGE_FEATURE_QUALITY
}

// Request is what Analyze is asked.
type Request struct {
	Images []*imageanalysisv1.ImageItem
	// Parts are the models; Features those that need none.
	Parts    []Part
	Features []imageanalysisv1.ImageFeature
	Options  *imageanalysisv1.ImageOptions
	// Limits bound the decoding.
	Limits pipeline.Limits
}

// Analyze fills the features that are asked for into results[i], or errs[i] where
// picture i failed; pictures whose error is set already are left out. A picture is
// decoded once, however many models read it. The error that it returns concerns
// the whole call: overload, an unknown head, or a feature that the model does not
// have.
func Analyze(ctx context.Context, req Request, results []*imageanalysisv1.ImageResult, errs []error) error {
	c := &call{Request: req, results: results, errs: errs}
	for _, p := range req.Parts {
		h, err := newLabelling(p.Model, p.Features, req.Options)
		if err != nil {
			return err
		}
		c.readers = append(c.readers, h)
	}
	for _, f := range req.Features {
		switch f {
		case imageanalysisv1.ImageFeature_IMAGE_FEATURE_COLORS:
			c.colors = true
		case imageanalysisv1.ImageFeature_IMAGE_FEATURE_QUALITY:
			c.quality = true
		default:
			return fmt.Errorf("%w: %v needs one", ErrUnsupported, f)
		}
	}
	return c.all(ctx)
}

// reader reads a model's outputs about one picture.
type reader interface {
	// fill adds what picture i's outputs say to its result.
	fill(i int, r *imageanalysisv1.ImageResult, out pipeline.Outputs) error
	// heads are the names of those that are read.
	heads() []string
}

// all answers all pictures.
func (c *call) all(ctx context.Context) error {
	pipelines := make([]*pipeline.Pipeline, len(c.Parts))
	for k, p := range c.Parts {
		pipelines[k] = p.Model.Pipeline()
		if err := pipelines[k].CheckCount("images", len(c.Images)); err != nil {
			return err
		}
	}
	waves := pipeline.ImageWaves(len(c.Images), pipelines...)
	for _, p := range c.Parts {
		if len(waves) == 0 {
			break
		}
		// What cannot be answered in time is refused before any picture is
		// decoded. The first wave must fit into the queue; the time is needed for
		// all.
		if err := p.Model.Admit(ctx, waves[0].To-waves[0].From, int64(len(c.Images))); err != nil {
			return err
		}
	}
	return pipeline.Waves(ctx, waves, func(ctx context.Context, _ int, w pipeline.Wave) error { return c.wave(ctx, w) })
}

// call is one call of Analyze.
type call struct {
	Request
	readers         []reader // of each part
	colors, quality bool
	results         []*imageanalysisv1.ImageResult
	errs            []error
}

// wave answers the pictures of one wave.
func (c *call) wave(ctx context.Context, w pipeline.Wave) error {
	prepared := make([][]pipeline.Item, len(c.Parts)) // by part and picture
	for k := range prepared {
		prepared[k] = make([]pipeline.Item, w.To-w.From)
	}
	pipeline.Parallel(runtime.GOMAXPROCS(0), w.To-w.From, func(k int) {
		if i := w.From + k; c.errs[i] == nil && ctx.Err() == nil {
			c.errs[i] = c.decode(ctx, i, func(part int, item pipeline.Item) { prepared[part][k] = item })
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	for part := range c.Parts {
		if err := c.run(ctx, part, w, prepared[part]); err != nil {
			return err
		}
	}
	return nil
}

// decode decodes picture i, once for all models, and reads off it what needs none.
func (c *call) decode(ctx context.Context, i int, keep func(part int, item pipeline.Item)) error {
	data, r, start := c.Images[i].GetContent(), c.results[i], time.Now()
	about, err := c.Limits.Decode(ctx, data, c.colors, func(img *pixel.RGB, _ pixel.Info) error {
		if c.colors {
			r.Colors = Colors(img, int(c.Options.GetMaxColors()))
		}
		if c.quality {
			r.Quality = MeasureQuality(img)
		}
		for part, p := range c.Parts {
			item, err := p.Model.Pipeline().Prepare(img, len(data))
			if err != nil {
				return err
			}
			item.Prepared = time.Since(start)
			keep(part, item)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.Info, r.PredictionId = info(about), pipeline.NewPredictionID()
	return nil
}

// run asks the model of one part about the pictures that are good so far.
func (c *call) run(ctx context.Context, part int, w pipeline.Wave, prepared []pipeline.Item) error {
	items := make([]pipeline.Item, 0, len(prepared))
	places := make([]int, 0, len(prepared))
	for k, item := range prepared {
		if c.errs[w.From+k] == nil {
			items, places = append(items, item), append(places, w.From+k)
		}
	}
	if len(items) == 0 {
		return nil
	}
	m, read := c.Parts[part].Model, c.readers[part]
	answers := m.Run(ctx, items)
	for k := range answers {
		a, i := &answers[k], places[k]
		if pipeline.Overload(a.Err) {
			return a.Err
		}
		if c.errs[i] = a.Err; a.Err == nil {
			c.errs[i] = read.fill(i, c.results[i], a.Outputs)
		}
	}
	if l, ok := read.(*labelling); ok && len(l.finders) > 0 {
		pictures := make([]*picture, len(answers))
		for k, i := range places {
			pictures[k] = &picture{answer: &answers[k], crops: items[k].Crops, result: c.results[i], err: &c.errs[i]}
		}
		for _, f := range l.finders {
			if err := f.find(ctx, m, pictures); err != nil {
				return err
			}
		}
	}
	for k, i := range places {
		if c.errs[i] == nil {
			c.results[i].ServedBy = append(c.results[i].ServedBy, answers[k].Stats.ServedBy(m.Identity(), read.heads()))
		}
	}
	return nil
}

func info(i pixel.Info) *imageanalysisv1.ImageInfo {
	return &imageanalysisv1.ImageInfo{Format: strings.ToLower(i.Format.String()), Width: int32(i.Width), Height: int32(i.Height)}
}

// labelling reads the manifest's heads that answer a call's features.
type labelling struct {
	names     []string
	labels    []string
	embedding string
	safe      string
	finders   []finder
	manifest  *bundlev1.Manifest
	classes   map[string][]string
	most      int
	least     float64
}

func newLabelling(m Model, features []imageanalysisv1.ImageFeature, opts *imageanalysisv1.ImageOptions) (*labelling, error) {
	manifest := m.Bundle().Manifest
	if manifest.GetImage() == nil {
		return nil, fmt.Errorf("%w: %s takes no pictures", ErrUnsupported, m.Identity().Model)
	}
	out := &labelling{manifest: manifest, classes: m.Bundle().Labels, most: int(opts.GetMaxLabels()), least: opts.GetMinScore()}
	if out.most == 0 {
		out.most = DefaultLabels
	}
	var labels, embeddings, safe, faces, lines []string
	for name, h := range manifest.GetHeads() {
		switch {
		case h.GetLabels() != nil:
			labels = append(labels, name)
		case h.GetEmbedding() != nil:
			embeddings = append(embeddings, name)
		case h.GetSafeSearch() != nil:
			safe = append(safe, name)
		case h.GetFaces() != nil:
			faces = append(faces, name)
		case h.GetTextLines() != nil:
			lines = append(lines, name)
		}
	}
	for _, names := range [][]string{labels, embeddings, safe, faces, lines} {
		slices.Sort(names)
	}
	for i, name := range opts.GetHeads() {
		if !slices.Contains(features, imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS) {
			break // another model's
		}
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
		case f == imageanalysisv1.ImageFeature_IMAGE_FEATURE_SAFE_SEARCH && len(safe) > 0:
			out.safe = safe[0]
			out.names = append(out.names, safe[0])
		case f == imageanalysisv1.ImageFeature_IMAGE_FEATURE_FACES && len(faces) > 0:
			out.finders = append(out.finders, newFaces(manifest.GetHeads()[faces[0]], opts))
			out.names = append(out.names, faces[0])
		case f == imageanalysisv1.ImageFeature_IMAGE_FEATURE_TEXT && len(lines) > 0:
			read, err := newTextLines(manifest.GetHeads()[lines[0]], m.Bundle().Alphabets)
			if err != nil {
				return nil, err
			}
			out.finders = append(out.finders, read)
			out.names = append(out.names, lines[0])
		default:
			return nil, fmt.Errorf("%w: %s has no head for %v", ErrUnsupported, m.Identity().Model, f)
		}
	}
	return out, nil
}

func (h *labelling) heads() []string { return h.names }

func (h *labelling) fill(_ int, r *imageanalysisv1.ImageResult, out pipeline.Outputs) error {
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
	if h.safe != "" {
		spec := h.manifest.GetHeads()[h.safe]
		row, err := rowOf(out, h.safe, spec)
		if err != nil {
			return err
		}
		if r.SafeSearch, err = safeSearch(row, spec.GetSafeSearch()); err != nil {
			return fmt.Errorf("head %s: %w", h.safe, err)
		}
	}
	r.Labels = append(r.Labels, sets...)
	return nil
}

func safeSearch(scores []float64, spec *bundlev1.SafeSearch) (*imageanalysisv1.SafeSearch, error) {
	at := int(spec.GetAdultColumn())
	if at >= len(scores) {
		return nil, fmt.Errorf("%w: %d columns, there is no column %d", pipeline.ErrOutput, len(scores), at)
	}
	if err := pipeline.Activate(scores, spec.GetActivation(), 0); err != nil {
		return nil, err
	}
	return &imageanalysisv1.SafeSearch{Adult: scores[at]}, nil
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
func (h *labelling) set(name string, scores []float64, spec *bundlev1.Labels) (*imageanalysisv1.LabelSet, error) {
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
