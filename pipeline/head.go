package pipeline

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/google/uuid"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tensor"
)

// Columns is a head's source as rows × columns of numbers.
type Columns struct {
	Rows, Columns int

	narrow []float32
	wide   []float64 // instead of narrow for a float64 source
}

// Columns reads the source of a head. One of a single axis has one column; axes
// after the second count as columns, row-major. Errors wrap ErrOutput.
func (o Outputs) Columns(source string) (Columns, error) {
	src, err := bundle.ParseSource(source)
	if err != nil {
		return Columns{}, err
	}
	t, ok := o.Get(src)
	if !ok {
		return Columns{}, fmt.Errorf("%w: %s is not computed", ErrOutput, source)
	}
	c := Columns{Rows: int(t.Rows()), Columns: 1}
	for _, d := range t.Shape[min(1, len(t.Shape)):] {
		c.Columns *= int(d)
	}
	if t.DType == tensor.Float64 {
		c.wide = tensor.View[float64](t)
	} else {
		c.narrow = t.Float32s()
	}
	if c.Columns == 0 || len(c.narrow)+len(c.wide) != c.Rows*c.Columns {
		return Columns{}, fmt.Errorf("%w: %s is %v%v", ErrOutput, source, t.DType, t.Shape)
	}
	return c, nil
}

// Integers reads a source of int64, row-major. They may be the runtime's memory.
// Errors wrap ErrOutput.
func (o Outputs) Integers(src bundle.Source) ([]int64, error) {
	t, ok := o.Get(src)
	if !ok || t.DType != tensor.Int64 {
		return nil, fmt.Errorf("%w: %v does not hold whole numbers", ErrOutput, src)
	}
	return tensor.View[int64](t), nil
}

// Map reads a source that has a number for each pixel of a map of one picture,
// [1, 1, h, w]. They may be the runtime's memory. Errors wrap ErrOutput.
func (o Outputs) Map(src bundle.Source) (values []float32, w, h int, err error) {
	t, ok := o.Get(src)
	if !ok || len(t.Shape) != 4 || t.Shape[0] != 1 || t.Shape[1] != 1 {
		return nil, 0, 0, fmt.Errorf("%w: %v is no map of a picture: %v", ErrOutput, src, t.Shape)
	}
	values, w, h = t.Float32s(), int(t.Shape[3]), int(t.Shape[2])
	if len(values) == 0 || len(values) != w*h {
		return nil, 0, 0, fmt.Errorf("%w: %v is %v%v", ErrOutput, src, t.DType, t.Shape)
	}
	return values, w, h, nil
}

// Row copies a row's numbers to dst, which it returns grown if need be. All are
// finite, or the error wraps ErrOutput.
func (c Columns) Row(dst []float64, row int) ([]float64, error) {
	if row >= c.Rows {
		return nil, fmt.Errorf("%w: there is no row %d", ErrOutput, row)
	}
	dst = dst[:0]
	if c.wide != nil {
		dst = append(dst, c.wide[row*c.Columns:(row+1)*c.Columns]...)
	} else {
		for _, x := range c.narrow[row*c.Columns : (row+1)*c.Columns] {
			dst = append(dst, float64(x))
		}
	}
	for _, x := range dst {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%w: it holds NaN or an infinity", ErrOutput)
		}
	}
	return dst, nil
}

// At returns one number, which is finite, or the error wraps ErrOutput.
func (c Columns) At(row, column int) (float64, error) {
	if row >= c.Rows || column >= c.Columns {
		return 0, fmt.Errorf("%w: there is no row %d with a column %d", ErrOutput, row, column)
	}
	var x float64
	if c.wide != nil {
		x = c.wide[row*c.Columns+column]
	} else {
		x = float64(c.narrow[row*c.Columns+column])
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("%w: it holds NaN or an infinity", ErrOutput)
	}
	return x, nil
}

// Activate turns a row of finite numbers into scores in [0, 1], in place; NONE
// leaves them as they are. temperature divides logits; 0 stands for 1. Errors wrap ErrOutput.
func Activate(row []float64, a bundlev1.Activation, temperature float64) error {
	if temperature == 0 {
		temperature = 1
	}
	switch a {
	case bundlev1.Activation_ACTIVATION_SOFTMAX:
		top := slices.Max(row)
		sum := 0.0
		for i, x := range row {
			row[i] = math.Exp((x - top) / temperature)
			sum += row[i]
		}
		for i := range row {
			row[i] /= sum
		}
	case bundlev1.Activation_ACTIVATION_SIGMOID:
		for i, x := range row {
			row[i] = Logistic(x / temperature)
		}
	case bundlev1.Activation_ACTIVATION_NONE:
	default:
		for i, x := range row {
			var err error
			if row[i], err = Unit(x); err != nil {
				return err
			}
		}
	}
	return nil
}

// Unit returns x as a score in [0, 1]. Rounding may leave a softmax a hair
// outside; what lies further out is no score, and an error wrapping ErrOutput.
func Unit(x float64) (float64, error) {
	const hair = 0.01
	if !(x >= -hair && x <= 1+hair) {
		return 0, fmt.Errorf("%w: it is %g where a score in [0, 1] should be; the head may lack an activation or a calibration", ErrOutput, x)
	}
	return math.Min(math.Max(x, 0), 1), nil
}

// Top returns the places of the k largest scores that are at least least, in
// descending order; of equal scores the first comes first.
func Top(scores []float64, k int, least float64) []int {
	top := make([]int, 0, min(k, len(scores)))
	for i, s := range scores {
		if s < least || (len(top) == cap(top) && (len(top) == 0 || s <= scores[top[len(top)-1]])) {
			continue
		}
		at := sort.Search(len(top), func(n int) bool { return scores[top[n]] < s })
		if len(top) == cap(top) {
			top = top[:len(top)-1]
		}
		top = slices.Insert(top, at, i)
	}
	return top
}

// Logistic is 1 / (1 + exp(-x)).
func Logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// Vector returns a row of finite numbers as float32, divided by its Euclidean
// norm if asked.
func Vector(row []float64, normalize bool) []float32 {
	scale := 1.0
	if normalize {
		sum := 0.0
		for _, x := range row {
			sum += x * x
		}
		if sum > 0 {
			scale = 1 / math.Sqrt(sum)
		}
	}
	out := make([]float32, len(row))
	for i, x := range row {
		out[i] = float32(x * scale)
	}
	return out
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
