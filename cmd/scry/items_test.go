package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/scry-ml/scry/client"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

func results(order []int64, end error) func(func(*scoringv1.ScoreResult, error) bool) {
	return func(yield func(*scoringv1.ScoreResult, error) bool) {
		for _, i := range order {
			r := &scoringv1.ScoreResult{Index: i}
			if i == 3 {
				r.Error = &spb.Status{Code: 3, Message: "bad"}
			}
			if !yield(r, nil) {
				return
			}
		}
		if end != nil {
			yield(nil, end)
		}
	}
}

type closer bool

func (c *closer) Close() error { *c = true; return nil }

func TestEachKeepsTheOrder(t *testing.T) {
	var got []int64
	tally := &tally{items: "rows"}
	err := each(io.NopCloser(nil), results([]int64{2, 0, 1, 4, 5, 3}, nil), tally, func(r *scoringv1.ScoreResult, failed error) error {
		if (r.GetIndex() == 3) != (failed != nil) {
			t.Errorf("row %d: %v", r.GetIndex(), failed)
		}
		got = append(got, r.GetIndex())
		return nil
	})
	if err != nil || !slices.Equal(got, []int64{0, 1, 2, 3, 4, 5}) {
		t.Errorf("%v, %v", got, err)
	}
	if tally.answered != 5 || tally.failed != 1 {
		t.Errorf("%d answered, %d failed", tally.answered, tally.failed)
	}
	if err := each(io.NopCloser(nil), results([]int64{0, 2}, nil), tally, func(*scoringv1.ScoreResult, error) error { return nil }); err == nil {
		t.Error("a row without an answer was passed over")
	}
	var closed closer
	lost := errors.New("lost")
	if err := each(&closed, results([]int64{0}, lost), tally, func(*scoringv1.ScoreResult, error) error { return nil }); err != lost || !bool(closed) {
		t.Errorf("a lost stream gives %v, input closed: %v", err, closed)
	}
}

// A feature without a column is told of once, not once more for the rows.
func TestAbsentFeaturesAreToldOnce(t *testing.T) {
	var out bytes.Buffer
	tally := &tally{items: "rows", absent: []string{`a"b`, "age"}, warnings: make(map[string]int)}
	var warnings []*servingv1.Warning
	for _, name := range []string{`a"b`, "age", "wage"} {
		warnings = append(warnings, &servingv1.Warning{
			Code: servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, Field: "instances[7].features[" + strconv.Quote(name) + "]",
		})
	}
	tally.count(nil, warnings, nil)
	if err := tally.close(&output{err: &out}); err != nil {
		t.Fatal(err)
	}
	if want := "warning: feature imputed features[\"wage\"]: 1 of 1 row\n1 row answered\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// Reading ends with the context although standard input says nothing more.
func TestInterruptible(t *testing.T) {
	silent, talk := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	in := interruptible(ctx, silent)
	go talk.Write([]byte("one")) //nolint:errcheck // the reader sees what came
	got := make([]byte, 3)
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "one" {
		t.Errorf("%q, %v", got, err)
	}
	cancel()
	if _, err := in.Read(got); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	talk.Close()
}

func TestCellValue(t *testing.T) {
	for _, test := range []struct {
		kind bundlev1.FeatureType
		cell string
		want string
	}{
		{bundlev1.FeatureType_FEATURE_TYPE_FLOAT, " 1.5 ", "1.5"},
		{bundlev1.FeatureType_FEATURE_TYPE_FLOAT, "", "null"},
		{bundlev1.FeatureType_FEATURE_TYPE_FLOAT, " ", "null"},
		{bundlev1.FeatureType_FEATURE_TYPE_FLOAT, "NaN", "null"},
		{bundlev1.FeatureType_FEATURE_TYPE_FLOAT, "inf", `"inf"`},
		{bundlev1.FeatureType_FEATURE_TYPE_FLOAT, "1,5", `"1,5"`},
		{bundlev1.FeatureType_FEATURE_TYPE_INT, "12", "12"},
		{bundlev1.FeatureType_FEATURE_TYPE_BOOL, "Yes", "true"},
		{bundlev1.FeatureType_FEATURE_TYPE_BOOL, "0", "false"},
		{bundlev1.FeatureType_FEATURE_TYPE_BOOL, "maybe", `"maybe"`},
		{bundlev1.FeatureType_FEATURE_TYPE_STRING, "0", `"0"`},
		{bundlev1.FeatureType_FEATURE_TYPE_STRING, "", "null"},
		{bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP, "2026-01-02T03:04:05Z", `"2026-01-02T03:04:05Z"`},
		{bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE, `[{"a":1}]`, `[{"a":1}]`},
	} {
		got, err := cellValue(&bundlev1.Feature{Type: test.kind}, test.cell).MarshalJSON()
		if compact := strings.ReplaceAll(string(got), " ", ""); err != nil || compact != strings.ReplaceAll(test.want, " ", "") {
			t.Errorf("%v %q: %s, want %s; %v", test.kind, test.cell, got, test.want, err)
		}
	}
}

func TestLooksLikeID(t *testing.T) {
	for name, want := range map[string]bool{
		"id": true, "ID": true, "customerID": true, "user_id": true, "CustomerId": true, "order_ID": true,
		"paid": false, "Churn": false, "PaymentMethod": false, "identity": false, "valid": false, "GRID": false,
	} {
		if got := looksLikeID.MatchString(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// Reading rows takes no memory that grows with their number.
func TestRowsAreStreamed(t *testing.T) {
	row := &bundlev1.Row{Features: []*bundlev1.Feature{{Name: "x", Type: bundlev1.FeatureType_FEATURE_TYPE_FLOAT}}}
	r := newRowReader(row, "", func(string, ...any) {})
	endless := io.MultiReader(strings.NewReader("id,x\n"), repeat("a,1\n"))
	n := 0
	for instance := range r.instances(endless, "csv") {
		if instance.GetFeatures().GetFields()["x"].GetNumberValue() != 1 || instance.GetId() != "a" {
			t.Fatalf("row %d is %v", n, instance)
		}
		if n++; n == 100_000 {
			break
		}
	}
	if n != 100_000 || r.err != nil {
		t.Errorf("%d rows, %v", n, r.err)
	}
}

// repeat is a text without end.
type repeat string

func (r repeat) Read(p []byte) (int, error) {
	n := 0
	for n+len(r) <= len(p) {
		n += copy(p[n:], r)
	}
	return n, nil
}

func TestProgress(t *testing.T) {
	var err bytes.Buffer
	now := time.Unix(0, 0)
	p := (&output{err: &err}).progress("sending", "")
	p.now = func() time.Time { return now }
	p.start(25<<20, 100<<20) // a quarter was there before
	now = now.Add(5 * time.Second)
	p.set(50 << 20)
	const want = "sending [============            ]  50%  50.0 MiB of 100.0 MiB  5.0 MiB/s  10s left\n"
	if err.String() != want {
		t.Errorf("got %q, want %q", err.String(), want)
	}
	now = now.Add(time.Second)
	p.set(60 << 20) // too soon for another line
	if err.String() != want {
		t.Errorf("got %q after a second", err.String())
	}
	p.end()

	err.Reset()
	p = (&output{err: &err, terminal: true}).progress("scoring", "rows")
	p.now = func() time.Time { return now }
	p.start(0, 0)
	now = now.Add(time.Second)
	p.set(500)
	p.end()
	if want := "\r\x1b[Kscoring 500 rows  500 rows/s\r\x1b[K"; err.String() != want {
		t.Errorf("got %q, want %q", err.String(), want)
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	o := newOutput(strings.NewReader(""), &out, io.Discard, "table", false)
	table := o.table("NAME", "N")
	table.row("плохо", 1)
	table.row("a\x1b[31mb\u202e", 2)
	table.line("x", "runs over the columns after it")
	if err := table.flush(); err != nil {
		t.Fatal(err)
	}
	const want = "NAME      N\nплохо     1\na\ufffd[31mb\ufffd  2\nx         runs over the columns after it\n"
	if out.String() != want {
		t.Errorf("got\n%s, want\n%s", out.String(), want)
	}
	out.Reset()
	table = o.table("N")
	for i := range heldRows + 10 {
		table.row(i)
	}
	if n := strings.Count(out.String(), "\n"); n < heldRows {
		t.Errorf("%d lines are out before the end", n)
	}
	if table.flush() != nil || strings.Count(out.String(), "\n") != heldRows+11 {
		t.Errorf("%d lines in the end", strings.Count(out.String(), "\n"))
	}
}

func TestShorten(t *testing.T) {
	for in, want := range map[string]string{"short": "short", "плохо очень": "плохо о…", "多語言文字列": "多語言…"} {
		if got := shorten(in, 8); got != want {
			t.Errorf("shorten(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestErrText(t *testing.T) {
	for _, test := range []struct{ message, want string }{
		{`instances[12].features["a[0].b"]: not a number`, `features["a[0].b"]: not a number`},
		{"texts[0]: no room", "no room"},
		{"images[3].content: texts[1].x", "content: texts[1].x"},
		{"outputs[1].x", "outputs[1].x"},
	} {
		if got := errText(&client.Error{Message: test.message}); got != test.want {
			t.Errorf("errText of %q is %q, want %q", test.message, got, test.want)
		}
	}
}
