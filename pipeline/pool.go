package pipeline

import (
	"fmt"
	"math"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// Pooled reads the numbers of a row that a head reads; those of an embedding that
// says how are pooled over the text's tokens. Errors wrap ErrOutput.
func (o Outputs) Pooled(h *bundlev1.Head, row int) ([]float64, error) {
	c, err := o.Columns(h.GetSource())
	if err != nil {
		return nil, err
	}
	numbers, err := c.Row(nil, row)
	if err != nil {
		return nil, err
	}
	if p := h.GetEmbedding().GetPooling(); p != bundlev1.Pooling_POOLING_UNSPECIFIED {
		src, err := bundle.ParseSource(h.GetSource())
		if err != nil {
			return nil, err
		}
		t, _ := o.Get(src)
		if len(t.Shape) != 3 || t.Shape[1] < 1 {
			return nil, fmt.Errorf("%w: %s is %v, which holds no vectors of tokens", ErrOutput, h.GetSource(), t.Shape)
		}
		numbers = pool(numbers, int(t.Shape[2]), p)
	}
	return numbers, nil
}

// pool makes one vector of size numbers of those of the tokens, which it
// changes. Padding is none of them: an item's outputs end where its text does.
func pool(numbers []float64, size int, p bundlev1.Pooling) []float64 {
	out, tokens := numbers[:size], len(numbers)/size
	switch p {
	case bundlev1.Pooling_POOLING_CLS:
		return out
	case bundlev1.Pooling_POOLING_LAST:
		return numbers[len(numbers)-size:]
	}
	total := float64(tokens)
	switch p {
	case bundlev1.Pooling_POOLING_MAX:
		total = 1
	case bundlev1.Pooling_POOLING_MEAN_SQRT_LEN:
		total = math.Sqrt(total)
	case bundlev1.Pooling_POOLING_WEIGHTED_MEAN:
		total = float64(tokens) * float64(tokens+1) / 2
	}
	for t := 1; t < tokens; t++ {
		weight := 1.0
		if p == bundlev1.Pooling_POOLING_WEIGHTED_MEAN {
			weight = float64(t + 1)
		}
		for i, x := range numbers[t*size : (t+1)*size] {
			if p == bundlev1.Pooling_POOLING_MAX {
				out[i] = max(out[i], x)
			} else {
				out[i] += weight * x
			}
		}
	}
	for i := range out {
		out[i] /= total
	}
	return out
}
