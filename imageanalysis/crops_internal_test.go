package imageanalysis

import (
	"context"
	"errors"
	"testing"

	"github.com/scry-ml/scry/pipeline"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// crowd is a model that notes how many parts come together.
type crowd struct {
	Model
	together []int
}

func (c *crowd) RunCrops(_ context.Context, _ string, items []pipeline.Item) []pipeline.Answer {
	c.together = append(c.together, len(items))
	return make([]pipeline.Answer, len(items))
}

// TestLook: what is cut at a time is bounded, by bytes too; what failed is not cut;
// and nothing is when the time is over.
func TestLook(t *testing.T) {
	broken := errors.New("broken")
	good, bad := new(error), &broken
	cuts, most := 0, 0
	for _, c := range []struct {
		name  string
		bytes int64
		err   *error
		cuts  int
		most  int
	}{
		{"small", 1, good, 600, partsAtOnce},
		{"large", pipeline.WaveBytes / 3, good, 600, 3},
		{"larger than all", 2 * pipeline.WaveBytes, good, 600, 1},
		{"of a picture that failed", 1, bad, 0, 0},
	} {
		cuts, most = 0, 0
		p := &picture{answer: &pipeline.Answer{}, result: &imageanalysisv1.ImageResult{}, err: c.err}
		parts := make([]part, 600)
		for k := range parts {
			cut := 0
			parts[k] = part{
				picture: p, bytes: c.bytes,
				cut:  func() (pipeline.Item, error) { cut++; return pipeline.Item{}, nil },
				read: func(pipeline.Outputs) error { cuts += cut; return nil },
			}
		}
		m := &crowd{}
		if err := look(t.Context(), m, "", parts); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, n := range m.together {
			most = max(most, n)
		}
		if cuts != c.cuts || most != c.most {
			t.Errorf("%s: %d cuts, %d at a time, want %d and %d", c.name, cuts, most, c.cuts, c.most)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	m := &crowd{}
	late := part{
		picture: &picture{answer: &pipeline.Answer{}, err: good}, bytes: 1,
		cut:  func() (pipeline.Item, error) { cancel(); return pipeline.Item{}, nil },
		read: func(pipeline.Outputs) error { return nil },
	}
	if err := look(ctx, m, "", []part{late}); !errors.Is(err, context.Canceled) || len(m.together) > 0 {
		t.Errorf("%v, %v ran after the end of the call", err, m.together)
	}
	if err := look(ctx, m, "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v where nothing was found before the end of the call", err)
	}
}
