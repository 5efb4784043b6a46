// Package pipeline is an item's way through a bundle: what a caller sends
// becomes the graphs' inputs here, by the same code for requests, golden
// samples and `scry prepare`.
package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/tensor"
)

// ErrInput is wrapped by every error about an item that the model cannot take.
// The error is an *InputError where a field is to blame.
var ErrInput = errors.New("invalid input")

// ErrOutput is wrapped by every error about a model's output that cannot be
// answered, such as NaN where a probability should be.
var ErrOutput = errors.New("unusable model output")

// InputError names the part of the item that is to blame.
type InputError struct {
	// Field is the path within the item, such as `features["age"]`, "text" or
	// "content".
	Field string
	// Reason is a stable upper-case code, such as "FEATURE_MISSING".
	Reason string
	// Message is for people. It never holds the payload.
	Message string
}

func (e *InputError) Error() string { return e.Field + ": " + e.Message }

// Is makes errors.Is(err, ErrInput) true.
func (e *InputError) Is(target error) bool { return target == ErrInput }

// Item is what preprocessing made of one text, picture, row or table: the
// inputs of a bundle's graphs.
type Item struct {
	// Inputs are tensors in the order of Bundle.Inputs(); axis 0 of each has
	// Rows elements.
	Inputs []tensor.Tensor
	// Rows is 1 but for tables.
	Rows int
	// Length is the extent of the sequence axis, 0 when there is none.
	Length int
	// Crops is what parts of a picture are cut from, where a head finds any or a graph takes any.
	Crops *Crops
	// Prepared is the time that preprocessing took: tokenising, decoding (and
	// waiting for room to decode), mapping of rows.
	Prepared time.Duration
}

// Answer is what the graphs made of one item.
type Answer struct {
	// Outputs holds every tensor that the manifest's heads name; axis 0 has the
	// item's rows.
	Outputs Outputs
	// Err is set when the item failed; there are no outputs then.
	Err error
	// Stats tells how it was served.
	Stats Stats
}

// Outputs are tensors by where they come from. The index is shared by all
// items of a version, so that an item costs one slice and no map.
type Outputs struct {
	Index  map[bundle.Source]int
	Values []tensor.Tensor
}

// Get returns the tensor of a source; false when the graphs did not give it.
func (o Outputs) Get(s bundle.Source) (tensor.Tensor, bool) {
	i, ok := o.Index[s]
	if !ok || i >= len(o.Values) || o.Values[i].DType == tensor.Invalid {
		return tensor.Tensor{}, false
	}
	return o.Values[i], true
}

// Stats tells how an item was served.
type Stats struct {
	// Queue is the time that it waited for devices, Compute the time of the
	// runs that it was part of.
	Queue, Compute time.Duration
	// BatchRows are the rows of the largest run that it was part of.
	BatchRows int
	// Device, Provider, Precision and Fallback are those of the graph with the
	// most weights.
	Device, Provider, Precision, Fallback string
}

// Merge adds what another item of the same call cost.
func (s *Stats) Merge(o Stats) {
	if s.Device == "" {
		s.Device, s.Provider, s.Precision, s.Fallback = o.Device, o.Provider, o.Precision, o.Fallback
	}
	s.Queue = max(s.Queue, o.Queue)
	s.Compute += o.Compute
	s.BatchRows = max(s.BatchRows, o.BatchRows)
}

// Identity is the version that answers.
type Identity struct {
	Model   string
	Version int64
}

// ServedBy names the version where nothing was run.
func (id Identity) ServedBy() *servingv1.ServedBy {
	return &servingv1.ServedBy{Model: id.Model, Version: id.Version}
}

// Warning is a remark on an item.
type Warning = servingv1.Warning

// Within puts the path of the item before the fields of its warnings.
func Within(at string, warnings []*Warning) []*Warning {
	for _, w := range warnings {
		w.Field = at + "." + w.Field
	}
	return warnings
}

// Row returns one row of a table as an item of its own, sharing memory.
func (it Item) Row(row int) (Item, error) {
	out := Item{Inputs: make([]tensor.Tensor, len(it.Inputs)), Rows: 1, Length: it.Length}
	for i, t := range it.Inputs {
		var err error
		if out.Inputs[i], err = t.Slice(int64(row), int64(row+1)); err != nil {
			return Item{}, err
		}
	}
	return out, nil
}

// Overload tells an error that concerns the whole call, because the server has
// no room or no time for it, from one that concerns an item.
func Overload(err error) bool {
	for _, is := range []error{
		batch.ErrFull, batch.ErrDeadline, batch.ErrClosed,
		context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}
