package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errorDomain is the ErrorInfo.domain of scry's own reasons.
const errorDomain = "scry"

// Error is what a call or an item failed with. Get it by errors.As, or ask by
// CodeOf, ReasonOf and RetryAfterOf.
type Error struct {
	// Code is the canonical code.
	Code codes.Code
	// Message is for people.
	Message string
	// Reason is the stable name of what went wrong, such as "OFFSET_MISMATCH";
	// empty when the server gave none.
	Reason string
	// Metadata belongs to the reason.
	Metadata map[string]string
	// Violations name the request's fields that are wrong.
	Violations []FieldViolation
	// RetryAfter is how long to wait before the same call can succeed; 0 when
	// the server gave no hint.
	RetryAfter time.Duration

	status *status.Status
}

// FieldViolation is one wrong field of a request.
type FieldViolation struct {
	// Field is its path, such as `instances[3].features["age"]`.
	Field string
	// Description says what is wrong with it.
	Description string
	// Reason is the stable name of the rule; may be empty.
	Reason string
}

// Error says what went wrong in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(codeName(e.Code))
	if e.Reason != "" && e.Reason != codeName(e.Code) {
		fmt.Fprintf(&b, " (%s)", e.Reason)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	for _, v := range e.Violations {
		if !strings.Contains(e.Message, v.Description) || !strings.Contains(e.Message, v.Field) {
			fmt.Fprintf(&b, "; %s: %s", v.Field, v.Description)
		}
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "; try again in %v", e.RetryAfter)
	}
	return b.String()
}

// GRPCStatus makes status.FromError and status.Code work on an Error.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Is reports an Error that a deadline or a cancellation ended as the context
// package's error too.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == codes.DeadlineExceeded
	case context.Canceled:
		return e.Code == codes.Canceled
	}
	return false
}

// CodeOf returns the canonical code of a call's or an item's error: OK for nil,
// UNKNOWN for an error that does not come from a call.
func CodeOf(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return codes.Unknown
}

// ReasonOf returns scry's own reason of an error, or "".
func ReasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// RetryAfterOf returns how long the server asks to wait, or 0.
func RetryAfterOf(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// ItemError returns the error of one result, or nil when the item was answered.
// Every result of the API fits: ScoreResult, RowError, TextResult, ImageResult.
func ItemError(result interface{ GetError() *spb.Status }) error {
	if s := result.GetError(); s != nil && s.GetCode() != int32(codes.OK) {
		return fromStatus(status.FromProto(s))
	}
	return nil
}

func fromStatus(s *status.Status) *Error {
	e := &Error{Code: s.Code(), Message: plainMessage(s.Message()), status: s}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == errorDomain {
				e.Reason, e.Metadata = d.GetReason(), d.GetMetadata()
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Violations = append(e.Violations, FieldViolation{
					Field: v.GetField(), Description: v.GetDescription(), Reason: v.GetReason(),
				})
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	return e
}

// grpcWrapping is what gRPC puts before the message of the last attempt.
var grpcWrapping = regexp.MustCompile(`^max retries exhausted: failed after \d+ attempts: (rpc error: code = \w+ desc = )?`)

// plainMessage takes away what says nothing to people.
func plainMessage(message string) string {
	message = grpcWrapping.ReplaceAllString(message, "")
	if message == "no children to pick from" {
		return "the server's name cannot be resolved to an address"
	}
	return message
}

// typed turns what gRPC returns into an *Error; nil and io.EOF stay.
func typed(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return fromStatus(status.Convert(contextStatus(err)))
}

// contextStatus gives a context's error its code; gRPC itself does so for most.
func contextStatus(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return status.FromContextError(err).Err()
	}
	return err
}

func typedUnaryErrors(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return typed(invoke(ctx, method, req, reply, cc, opts...))
}

func typedStreamErrors(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, typed(err)
	}
	return typedStream{s}, nil
}

type typedStream struct{ grpc.ClientStream }

func (s typedStream) SendMsg(m any) error { return typed(s.ClientStream.SendMsg(m)) }
func (s typedStream) RecvMsg(m any) error { return typed(s.ClientStream.RecvMsg(m)) }
func (s typedStream) CloseSend() error    { return typed(s.ClientStream.CloseSend()) }

// codeName is the code as gRPC's specification writes it: NOT_FOUND.
func codeName(c codes.Code) string {
	name := c.String()
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' && name[i-1] >= 'a' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}
