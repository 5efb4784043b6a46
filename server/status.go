package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/choosing"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/imageanalysis"
	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/recommend"
	"github.com/scry-ml/scry/scoring"
	"github.com/scry-ml/scry/sentiment"
	"github.com/scry-ml/scry/serving"
)

// domain is the ErrorInfo domain of every reason that scry gives.
const domain = "scry"

// table maps the sentinel errors of all packages to what callers see. The
// first row that matches counts, so wrapped causes stand before what wraps
// them.
var table = []struct {
	is     error
	code   codes.Code
	reason string
}{
	// Whose deadline it was or who left.
	{context.DeadlineExceeded, codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
	{context.Canceled, codes.Canceled, "CANCELLED"},
	// Overload and shutdown.
	{batch.ErrFull, codes.ResourceExhausted, "QUEUE_FULL"},
	{errRequestsFull, codes.ResourceExhausted, "REQUESTS_FULL"},
	{batch.ErrDeadline, codes.ResourceExhausted, "DEADLINE_UNREACHABLE"},
	{batch.ErrTooLarge, codes.InvalidArgument, "ITEM_TOO_LARGE"},
	{batch.ErrClosed, codes.Unavailable, "SHUTTING_DOWN"},
	{serving.ErrClosed, codes.Unavailable, "SHUTTING_DOWN"},
	{serving.ErrLoading, codes.Unavailable, "MODEL_LOADING"},
	{modelstore.ErrClosed, codes.Unavailable, "SHUTTING_DOWN"},
	// The store.
	{modelstore.ErrDiskFull, codes.ResourceExhausted, "DISK_FULL"},
	{modelstore.ErrTooMany, codes.ResourceExhausted, "TOO_MANY_UPLOADS"},
	{modelstore.ErrCorrupt, codes.DataLoss, "STORED_DATA_CORRUPT"},
	{modelstore.ErrDigestMismatch, codes.InvalidArgument, "DIGEST_MISMATCH"},
	{modelstore.ErrOffset, codes.FailedPrecondition, "OFFSET_MISMATCH"},
	{modelstore.ErrIncomplete, codes.FailedPrecondition, "UPLOAD_INCOMPLETE"},
	{modelstore.ErrSuperseded, codes.Aborted, "UPLOAD_SUPERSEDED"},
	{modelstore.ErrExpired, codes.NotFound, "UPLOAD_EXPIRED"},
	{modelstore.ErrCommitted, codes.FailedPrecondition, "UPLOAD_COMMITTED"},
	{modelstore.ErrConflict, codes.Aborted, "ETAG_MISMATCH"},
	{modelstore.ErrRouted, codes.FailedPrecondition, "VERSION_ROUTED"},
	{modelstore.ErrAliased, codes.FailedPrecondition, "VERSION_ALIASED"},
	{modelstore.ErrInUse, codes.FailedPrecondition, "IN_USE"},
	{modelstore.ErrNoEarlierRoute, codes.FailedPrecondition, "NO_EARLIER_ROUTE"},
	{modelstore.ErrNoRoute, codes.FailedPrecondition, "NO_ACTIVE_VERSION"},
	{serving.ErrNoRoute, codes.FailedPrecondition, "NO_ACTIVE_VERSION"},
	{serving.ErrRouted, codes.FailedPrecondition, "VERSION_ROUTED"},
	{serving.ErrNoGraph, codes.NotFound, "GRAPH_NOT_FOUND"},
	{serving.ErrManyGraphs, codes.InvalidArgument, "GRAPH_REQUIRED"},
	{modelstore.ErrNotFound, codes.NotFound, "NOT_FOUND"},
	{modelstore.ErrNewerSchema, codes.FailedPrecondition, "STORE_SCHEMA_NEWER"},
	// Models.
	{serving.ErrNoRoom, codes.FailedPrecondition, "RUN_OUT_OF_MEMORY"},
	{gpu.ErrOutOfMemory, codes.ResourceExhausted, "OUT_OF_MEMORY"},
	{serving.ErrProbeKilled, codes.InvalidArgument, "PROBE_KILLED"},
	{serving.ErrGolden, codes.FailedPrecondition, "GOLDEN_MISMATCH"},
	{bundle.ErrGraph, codes.InvalidArgument, "GRAPH_INVALID"},
	{bundle.ErrInvalid, codes.InvalidArgument, "BUNDLE_INVALID"},
	{gpu.ErrModel, codes.InvalidArgument, "MODEL_INVALID"},
	{gpu.ErrNoDevice, codes.FailedPrecondition, "NO_DEVICE"},
	{gpu.ErrInput, codes.InvalidArgument, "INPUT_INVALID"},
	{gpu.ErrRun, codes.Internal, "MODEL_RUN_FAILED"},
	{gpu.ErrTerminated, codes.Canceled, "RUN_TERMINATED"},
	{gpu.ErrClosed, codes.Unavailable, "SHUTTING_DOWN"},
	{modelstore.ErrRejected, codes.InvalidArgument, "BUNDLE_REJECTED"},
	{serving.ErrLoad, codes.FailedPrecondition, "LOAD_FAILED"},
	// Tasks.
	{scoring.ErrUnsupported, codes.FailedPrecondition, "MODEL_UNSUITABLE"},
	{scoring.ErrUnexplained, codes.FailedPrecondition, "MODEL_UNSUITABLE"},
	{choosing.ErrUnsupported, codes.FailedPrecondition, "MODEL_UNSUITABLE"},
	{recommend.ErrUnsupported, codes.FailedPrecondition, "MODEL_UNSUITABLE"},
	{sentiment.ErrUnsupported, codes.FailedPrecondition, "MODEL_UNSUITABLE"},
	{imageanalysis.ErrUnsupported, codes.FailedPrecondition, "MODEL_UNSUITABLE"},
	{pipeline.ErrOutput, codes.Internal, "OUTPUT_INVALID"},
	{pipeline.ErrInput, codes.InvalidArgument, "INPUT_INVALID"},
	{modelstore.ErrInvalid, codes.InvalidArgument, "ARGUMENT_INVALID"},
}

// toStatus is the one place where errors become gRPC statuses. at is the path
// of the item that failed, such as "instances[3]"; empty for a whole call. An
// error that no table row knows is INTERNAL and keeps its text to itself.
func toStatus(err error, at string) *status.Status {
	if err == nil {
		return status.New(codes.OK, "")
	}
	if s, ok := status.FromError(err); ok {
		return s
	}
	if v, ok := errors.AsType[*protovalidate.ValidationError](err); ok {
		return invalidRequest(v)
	}
	code, reason, message := codes.Internal, "INTERNAL", "internal error; the server's log has more"
	for _, row := range table {
		if errors.Is(err, row.is) {
			code, reason, message = row.code, row.reason, err.Error()
			break
		}
	}
	info := &errdetails.ErrorInfo{Reason: reason, Domain: domain, Metadata: map[string]string{}}
	details := []protoadapt.MessageV1{info}
	if in, ok := errors.AsType[*pipeline.InputError](err); ok {
		info.Reason = in.Reason
		field := join(at, in.Field)
		message = field + ": " + in.Message
		details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: in.Message, Reason: in.Reason}}})
	} else if in, ok := errors.AsType[*modelstore.InvalidError](err); ok {
		details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: in.Field, Description: in.Detail, Reason: reason}}})
	} else if part := bundlePart(err); part != "" {
		details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: part, Description: clean(message), Reason: reason}}})
	} else if at != "" {
		message = at + ": " + message
		if code == codes.InvalidArgument {
			details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: at, Description: err.Error(), Reason: reason}}})
		}
	}
	if m, ok := errors.AsType[*gpu.MemoryError](err); ok {
		if m.Needed > 0 {
			info.Metadata["needed_bytes"] = strconv.FormatInt(m.Needed, 10)
		}
		if m.Available > 0 {
			info.Metadata["available_bytes"] = strconv.FormatInt(m.Available, 10)
		}
		var held []string
		for _, h := range m.Held[:min(5, len(m.Held))] { // those that hold most
			held = append(held, fmt.Sprintf("%s: %d bytes", h.Owner, h.Bytes))
		}
		if len(held) > 0 {
			info.Metadata["held_by"] = strings.Join(held, ", ")
		}
	}
	if o, ok := errors.AsType[*modelstore.OffsetError](err); ok {
		info.Metadata["stored_bytes"] = strconv.FormatInt(o.Stored, 10)
	}
	retry := time.Duration(-1)
	// The numbers of an overload travel as metadata: a text that differs with
	// every refusal fills logs and load testers' reports.
	if f, ok := errors.AsType[*batch.FullError](err); ok {
		message = batch.ErrFull.Error()
		retry = f.RetryAfter
		info.Metadata["queued_rows"] = strconv.Itoa(f.QueuedRows)
		info.Metadata["max_queued_rows"] = strconv.Itoa(f.MaxQueuedRows)
	}
	if d, ok := errors.AsType[*batch.DeadlineError](err); ok {
		message = batch.ErrDeadline.Error()
		retry = d.RetryAfter()
		info.Metadata["predicted"] = d.Predicted.String()
		info.Metadata["remaining"] = d.Remaining.String()
	}
	if errors.Is(err, errRequestsFull) {
		retry = requestWait
	}
	if retry >= 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	}
	return withDetails(code, message, details)
}

// bundlePart is the part of a bundle that an error is about; empty for others.
func bundlePart(err error) string {
	if f, ok := errors.AsType[*bundle.FieldError](err); ok {
		return f.Field
	}
	if p, ok := errors.AsType[*serving.ProbeError](err); ok {
		return p.Field
	}
	return ""
}

func withDetails(code codes.Code, message string, details []protoadapt.MessageV1) *status.Status {
	s := status.New(code, clean(message))
	if d, err := s.WithDetails(details...); err == nil {
		return d
	}
	return s
}

// clean keeps a message within bounds and one line.
func clean(s string) string {
	const limit = 1024
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\ufffd")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

func join(at, field string) string {
	switch {
	case at == "":
		return field
	case field == "":
		return at
	}
	return at + "." + field
}

// itemStatus is an item's error as it travels in its answer.
func itemStatus(err error, list string, index int) *spb.Status {
	return toStatus(err, fmt.Sprintf("%s[%d]", list, index)).Proto()
}

// failedItems sets the errors of a list's items that have one.
func failedItems(errs []error, list string, set func(i int, st *spb.Status)) {
	for i, err := range errs {
		if err != nil {
			set(i, itemStatus(err, list, i))
		}
	}
}

// invalidRequest translates protovalidate's findings.
func invalidRequest(v *protovalidate.ValidationError) *status.Status {
	bad := &errdetails.BadRequest{}
	first := ""
	for i, violation := range v.Violations {
		if i == 32 {
			break
		}
		field := protovalidate.FieldPathString(violation.Proto.GetField())
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: field, Description: violation.Proto.GetMessage(), Reason: "FIELD_INVALID",
		})
		if i == 0 {
			first = join(field, "")
			if first != "" {
				first += ": "
			}
			first += violation.Proto.GetMessage()
		}
	}
	info := &errdetails.ErrorInfo{Reason: "FIELD_INVALID", Domain: domain}
	return withDetails(codes.InvalidArgument, first, []protoadapt.MessageV1{info, bad})
}

// failed returns a status error with a reason of the server's own.
func failed(code codes.Code, reason, field, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: domain}}
	if field != "" {
		details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: message, Reason: reason}}})
		message = field + ": " + message
	}
	return withDetails(code, message, details).Err()
}
