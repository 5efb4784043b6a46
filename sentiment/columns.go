package sentiment

import (
	"fmt"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// byPolarity adds up the columns of each polarity.
func byPolarity(scores []float64, spec *bundlev1.Sentiment) (positive, neutral, negative float64, err error) {
	if columns := spec.GetColumns(); len(columns) > 0 {
		if len(columns) != len(scores) {
			return 0, 0, 0, fmt.Errorf("%w: it has %d columns, the manifest tells the polarity of %d", pipeline.ErrOutput, len(scores), len(columns))
		}
		for i, polarity := range columns {
			switch polarity {
			case bundlev1.Polarity_POLARITY_POSITIVE:
				positive += scores[i]
			case bundlev1.Polarity_POLARITY_NEGATIVE:
				negative += scores[i]
			default:
				neutral += scores[i]
			}
		}
		return positive, neutral, negative, nil
	}
	if n := int32(len(scores)); spec.GetNegative() >= n || spec.GetNeutral() >= n || spec.GetPositive() >= n {
		return 0, 0, 0, fmt.Errorf("%w: it has %d columns", pipeline.ErrOutput, n)
	}
	return scores[spec.GetPositive()], scores[spec.GetNeutral()], scores[spec.GetNegative()], nil
}
