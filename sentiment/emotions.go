package sentiment

import (
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// emotionsHead is the classes head that answers EMOTIONS.
const emotionsHead = "emotions"

// emotionsFeature answers EMOTIONS from the classes head of that name.
type emotionsFeature struct {
	*view
	names []string
}

func (q *question) emotions() (*emotionsFeature, error) {
	spec := q.model.Bundle().Manifest.GetHeads()[emotionsHead].GetClasses()
	if spec == nil {
		return nil, q.lacks(sentimentv1.TextFeature_TEXT_FEATURE_EMOTIONS)
	}
	return &emotionsFeature{names: q.model.Bundle().Labels[emotionsHead], view: q.view(emotionsHead, activated(spec))}, nil
}

// activated reads a row of classes.
func activated(spec *bundlev1.Classes) func(row []float64) ([]float64, error) {
	return func(row []float64) ([]float64, error) {
		return row, pipeline.Activate(row, spec.GetActivation(), 0)
	}
}

func (f *emotionsFeature) ask(s *subject) error {
	s.all(f.view)
	return nil
}

func (f *emotionsFeature) answer(s *subject, r *sentimentv1.TextResult) (err error) {
	r.Emotions, err = byScore(f.names, s.whole.of(f.view))
	return err
}
