package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/serving"
)

// TestStatusTable maps every error of the table, bare and wrapped, and finds its
// code and reason fit for callers.
func TestStatusTable(t *testing.T) {
	reasons := map[string]codes.Code{}
	for _, row := range table {
		for _, err := range []error{row.is, fmt.Errorf("while serving: %w", row.is)} {
			st := toStatus(err, "")
			// An earlier row may be wrapped by this one, as ErrInUse by ErrRouted.
			earlier := false
			for _, other := range table {
				if other.is == row.is {
					break
				}
				earlier = earlier || errors.Is(row.is, other.is)
			}
			if earlier {
				t.Errorf("the row of %v is never reached", row.is)
			}
			if st.Code() != row.code || reasonOf(st) != row.reason {
				t.Errorf("%v is %v %s, want %v %s", err, st.Code(), reasonOf(st), row.code, row.reason)
			}
		}
		if row.reason != strings.ToUpper(row.reason) || strings.ContainsAny(row.reason, " -") {
			t.Errorf("reason %q is not UPPER_SNAKE_CASE", row.reason)
		}
		if code, ok := reasons[row.reason]; ok && code != row.code {
			t.Errorf("reason %s has codes %v and %v", row.reason, code, row.code)
		}
		reasons[row.reason] = row.code
	}
}

func reasonOf(st *status.Status) string {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "scry" {
			return info.GetReason()
		}
	}
	return ""
}

// TestStatusHides keeps what callers must not know to the log.
func TestStatusHides(t *testing.T) {
	secret := &fs.PathError{Op: "open", Path: "/home/someone/store", Err: errors.New("denied")}
	st := toStatus(fmt.Errorf("reading: %w", secret), "instances[3]")
	if st.Code() != codes.Internal || strings.Contains(st.String(), "someone") || strings.Contains(fmt.Sprint(st.Details()), "someone") {
		t.Errorf("%v %v", st, st.Details())
	}
	// A long message, a broken one, one of many lines.
	for _, text := range []string{strings.Repeat("я", 5000), "a\xff\xfeb", "one\ntwo\r\nthree\tfour"} {
		m := toStatus(fmt.Errorf("%w: %s", modelstore.ErrNotFound, text), "").Message()
		if len(m) > 1100 || strings.ContainsAny(m, "\n\r\t") || strings.ToValidUTF8(m, "!") != m {
			t.Errorf("message of %d bytes: %.100q", len(m), m)
		}
	}
}

// TestStatusDetails checks what goes with a status beside code and reason.
func TestStatusDetails(t *testing.T) {
	details := func(err error, at string) (info *errdetails.ErrorInfo, bad *errdetails.BadRequest, retry *errdetails.RetryInfo) {
		for _, d := range toStatus(err, at).Details() {
			switch d := d.(type) {
			case *errdetails.ErrorInfo:
				info = d
			case *errdetails.BadRequest:
				bad = d
			case *errdetails.RetryInfo:
				retry = d
			}
		}
		return info, bad, retry
	}
	info, bad, _ := details(&pipeline.InputError{Field: `features["age"]`, Reason: "FEATURE_TYPE", Message: "is text"}, "instances[3]")
	if info.GetReason() != "FEATURE_TYPE" || bad.GetFieldViolations()[0].GetField() != `instances[3].features["age"]` {
		t.Errorf("%v %v", info, bad)
	}
	info, _, _ = details(fmt.Errorf("x: %w", &gpu.MemoryError{Device: "cuda:0", Needed: 7e9, Available: 5e9}), "")
	if info.GetMetadata()["needed_bytes"] != "7000000000" || info.GetMetadata()["available_bytes"] != "5000000000" {
		t.Errorf("%v", info)
	}
	info, _, _ = details(fmt.Errorf("%w: %w", serving.ErrNoRoom, &gpu.MemoryError{Device: "cuda:0", Held: []gpu.Holding{{Owner: "a@1 model", Bytes: 5}, {Owner: "b@2 model", Bytes: 4}}}), "")
	if info.GetMetadata()["held_by"] != "a@1 model: 5 bytes, b@2 model: 4 bytes" {
		t.Errorf("%v", info)
	}
	info, _, _ = details(fmt.Errorf("x: %w", &modelstore.OffsetError{Stored: 42}), "")
	if info.GetMetadata()["stored_bytes"] != "42" {
		t.Errorf("%v", info)
	}
	_, bad, _ = details(&modelstore.InvalidError{Field: "files[1].path", Detail: "is bad"}, "")
	if bad.GetFieldViolations()[0].GetField() != "files[1].path" {
		t.Errorf("%v", bad)
	}
	_, _, retry := details(fmt.Errorf("x: %w", &batch.FullError{RetryAfter: 3 * time.Second}), "")
	if retry.GetRetryDelay().AsDuration() != 3*time.Second {
		t.Errorf("%v", retry)
	}
	info, _, retry = details(fmt.Errorf("x: %w", &batch.DeadlineError{Predicted: time.Second, Remaining: time.Millisecond}), "")
	if retry == nil || info.GetMetadata()["predicted"] != "1s" || info.GetMetadata()["remaining"] != "1ms" {
		t.Errorf("%v %v", info, retry)
	}
}

// TestStatusOfLoads tells the caller's mistakes, the model's and the server's
// apart.
func TestStatusOfLoads(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   codes.Code
		reason string
	}{
		{fmt.Errorf("%w: %w", serving.ErrLoad, gpu.ErrOutOfMemory), codes.ResourceExhausted, "OUT_OF_MEMORY"},
		{fmt.Errorf("%w: %w", serving.ErrNoRoom, gpu.ErrOutOfMemory), codes.FailedPrecondition, "RUN_OUT_OF_MEMORY"},
		{fmt.Errorf("%w: %w", serving.ErrLoad, modelstore.ErrCorrupt), codes.DataLoss, "STORED_DATA_CORRUPT"},
		{fmt.Errorf("%w: %w", serving.ErrLoad, serving.ErrGolden), codes.FailedPrecondition, "GOLDEN_MISMATCH"},
		{fmt.Errorf("%w: %w", serving.ErrLoad, errors.New("else")), codes.FailedPrecondition, "LOAD_FAILED"},
		{fmt.Errorf("%w: %w", modelstore.ErrRejected, serving.ErrProbeKilled), codes.InvalidArgument, "PROBE_KILLED"},
		{fmt.Errorf("%w: %w", modelstore.ErrRejected, gpu.ErrNoDevice), codes.FailedPrecondition, "NO_DEVICE"},
		{fmt.Errorf("%w: %w", modelstore.ErrRejected, errors.New("else")), codes.InvalidArgument, "BUNDLE_REJECTED"},
		{fmt.Errorf("%w: %w", gpu.ErrRun, context.DeadlineExceeded), codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
	} {
		st := toStatus(c.err, "")
		if st.Code() != c.code || reasonOf(st) != c.reason {
			t.Errorf("%v is %v %s, want %v %s", c.err, st.Code(), reasonOf(st), c.code, c.reason)
		}
	}
}
