// Package choosing decides for customers: what to do, from a model's catalogue of
// actions, and when to send. It knows neither gRPC nor ONNX Runtime.
package choosing

import "errors"

// ErrUnsupported is wrapped by the error of a call to a model whose catalogue
// has nothing to choose from.
var ErrUnsupported = errors.New("the model has nothing to choose from")
