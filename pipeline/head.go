package pipeline

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/google/uuid"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tensor"
)

// Widen turns floating outputs of other widths into float32, once for all rows
// that are read after.
func (o Outputs) Widen() error {
	for i, t := range o.Values {
		if t.DType != tensor.Float32 && t.DType.IsFloat() {
			wide, err := tensor.From(t.Float32s(), t.Shape...)
			if err != nil {
				return err
			}
			o.Values[i] = wide
		}
	}
	return nil
}

// Columns reads a head's source as rows × columns of float32. A source of one
// axis has one column. Errors wrap ErrOutput.
func (o Outputs) Columns(source string) (values []float32, columns int, err error) {
	src, err := bundle.ParseSource(source)
	if err != nil {
		return nil, 0, err
	}
	t, ok := o.Get(src)
	if !ok {
		return nil, 0, fmt.Errorf("%w: %s is not computed", ErrOutput, source)
	}
	columns = 1
	for _, d := range t.Shape[min(1, len(t.Shape)):] {
		columns *= int(d)
	}
	values = t.Float32s()
	if values == nil || columns == 0 {
		return nil, 0, fmt.Errorf("%w: %s is %v%v", ErrOutput, source, t.DType, t.Shape)
	}
	return values, columns, nil
}

// Activate turns a row of a graph's output into scores in [0, 1], written to
// dst. temperature divides logits; 0 stands for 1. Errors wrap ErrOutput.
func Activate(dst []float64, row []float32, a bundlev1.Activation, temperature float64) error {
	if temperature == 0 {
		temperature = 1
	}
	for _, x := range row {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("%w: it holds NaN or an infinity", ErrOutput)
		}
	}
	switch a {
	case bundlev1.Activation_ACTIVATION_SOFTMAX:
		top := math.Inf(-1)
		for _, x := range row {
			top = math.Max(top, float64(x)/temperature)
		}
		sum := 0.0
		for i, x := range row {
			dst[i] = math.Exp(float64(x)/temperature - top)
			sum += dst[i]
		}
		for i := range row {
			dst[i] /= sum
		}
	case bundlev1.Activation_ACTIVATION_SIGMOID:
		for i, x := range row {
			dst[i] = Logistic(float64(x) / temperature)
		}
	default:
		for i, x := range row {
			// Rounding may leave a softmax a hair above 1.
			dst[i] = math.Min(math.Max(float64(x), 0), 1)
		}
	}
	return nil
}

// Logistic is 1 / (1 + exp(-x)).
func Logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// Vector copies a row, divided by its Euclidean norm if asked. Errors wrap
// ErrOutput.
func Vector(row []float32, normalize bool) ([]float32, error) {
	norm := 0.0
	for _, x := range row {
		norm += float64(x) * float64(x)
	}
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return nil, fmt.Errorf("%w: it holds NaN or an infinity", ErrOutput)
	}
	scale := 1.0
	if normalize && norm > 0 {
		scale = 1 / math.Sqrt(norm)
	}
	out := make([]float32, len(row))
	for i, x := range row {
		out[i] = float32(float64(x) * scale)
	}
	return out, nil
}

// ServedBy tells how heads were answered.
func (s Stats) ServedBy(id Identity, heads []string) *servingv1.ServedBy {
	return &servingv1.ServedBy{
		Heads: heads, Model: id.Model, Version: id.Version,
		Device: s.Device, Provider: s.Provider, Precision: s.Precision, FallbackReason: s.Fallback,
		QueueTime: durationpb.New(s.Queue.Round(time.Microsecond)), ComputeTime: durationpb.New(s.Compute.Round(time.Microsecond)),
		BatchSize: int32(s.BatchRows),
	}
}

// NewPredictionID returns a name for an answer: a UUID of version 7 (RFC 9562),
// which sorts by time.
func NewPredictionID() string {
	id, err := uuid.NewV7()
	if err != nil {
		// The system's random source is gone; nothing else would work either.
		return uuid.NewString()
	}
	return id.String()
}
