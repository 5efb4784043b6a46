package pipeline

import (
	"math"
	"slices"
	"testing"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// Two tokens and one, by hand.
func TestPool(t *testing.T) {
	root := math.Sqrt(2)
	for p, want := range map[bundlev1.Pooling][]float64{
		bundlev1.Pooling_POOLING_MEAN:          {2, -1},
		bundlev1.Pooling_POOLING_CLS:           {1, -4},
		bundlev1.Pooling_POOLING_LAST:          {3, 2},
		bundlev1.Pooling_POOLING_MAX:           {3, 2},
		bundlev1.Pooling_POOLING_MEAN_SQRT_LEN: {4 / root, -2 / root},
		bundlev1.Pooling_POOLING_WEIGHTED_MEAN: {7.0 / 3, 0},
	} {
		if got := pool([]float64{1, -4, 3, 2}, 2, p); !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }) {
			t.Errorf("%v: %v, want %v", p, got, want)
		}
		if got := pool([]float64{5, -6}, 2, p); !slices.Equal(got, []float64{5, -6}) {
			t.Errorf("%v of one token: %v", p, got)
		}
	}
}

// What a regression gives is left as it is.
func TestActivateNone(t *testing.T) {
	row := []float64{-3, 250}
	if err := Activate(row, bundlev1.Activation_ACTIVATION_NONE, 0); err != nil || !slices.Equal(row, []float64{-3, 250}) {
		t.Errorf("%v, %v", row, err)
	}
}
