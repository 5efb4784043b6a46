package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/scry-ml/scry/client"
	"github.com/scry-ml/scry/client/clienttest"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// withModels pushes a model for each of the default names.
func withModels(t *testing.T, c *client.Client) {
	t.Helper()
	for _, name := range []string{"churn", "sentiment", "products"} {
		if _, err := c.Push(t.Context(), files{"model.onnx": name}.fs(), client.PushOptions{Model: name, Activate: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func instances(t *testing.T, n int) []*scoringv1.Instance {
	t.Helper()
	all := make([]*scoringv1.Instance, n)
	for i := range all {
		instance, err := client.Instance(fmt.Sprint("c", i), map[string]any{"tenure": i})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = instance
	}
	return all
}

func TestScoreSplitsByItems(t *testing.T) {
	s := clienttest.New()
	s.Info.Limits.MaxInstances = 10
	c := s.Dial(t)
	withModels(t, c)
	rows := instances(t, 25)
	rows[17].Features.Fields["fail"] = nil
	resp, err := c.Score(t.Context(), &scoringv1.ScoreRequest{Instances: rows})
	if err != nil {
		t.Fatal(err)
	}
	sizes := s.Sizes("Score")
	slices.Sort(sizes)
	if want := []int{5, 10, 10}; !slices.Equal(sizes, want) {
		t.Errorf("calls of %v instances, want %v", sizes, want)
	}
	if len(resp.GetResults()) != len(rows) {
		t.Fatalf("%d results for %d rows", len(resp.GetResults()), len(rows))
	}
	for i, r := range resp.GetResults() {
		if r.GetId() != rows[i].GetId() || r.GetIndex() != int64(i) {
			t.Errorf("result %d is that of %s at %d", i, r.GetId(), r.GetIndex())
		}
		err := client.ItemError(r)
		if failed := i == 17; failed != (err != nil) {
			t.Errorf("result %d: error %v", i, err)
		} else if failed && (client.CodeOf(err) != codes.InvalidArgument || client.ReasonOf(err) != "FEATURE_INVALID") {
			t.Errorf("result %d: error %v", i, err)
		}
	}
}

// TestRecommendItemsSplits: all parts draw from one seed and see one time, also
// where none was given.
func TestRecommendItemsSplits(t *testing.T) {
	s := clienttest.New()
	seen, option := timesSeen()
	c := s.Dial(t, option)
	withModels(t, c)
	req := &scoringv1.RecommendItemsRequest{PageSize: 250, Options: &scoringv1.RecommendOptions{
		Exploration: &scoringv1.Exploration{Temperature: 0.1},
	}}
	for i := range 900 {
		req.Subjects = append(req.Subjects, &scoringv1.RecommendSubject{Id: fmt.Sprint("c", i)})
	}
	req.Subjects[500].AnchorItem = "fail"
	resp, err := c.RecommendItems(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	sizes := s.Sizes("RecommendItems")
	slices.Sort(sizes)
	if want := []int{100, 400, 400}; !slices.Equal(sizes, want) {
		t.Errorf("calls of %v subjects, want %v", sizes, want)
	}
	for i, r := range resp.GetResults() {
		if r.GetId() != fmt.Sprint("c", i) || r.GetIndex() != int64(i) || (client.ReasonOf(client.ItemError(r)) == "ITEM_UNKNOWN") != (i == 500) {
			t.Errorf("result %d: %s at %d, %v", i, r.GetId(), r.GetIndex(), r.GetError())
		}
		if i != 500 && r.GetItems()[0].GetPropensity() != float64(resp.GetSeed()) {
			t.Errorf("result %d is drawn with seed %g, the answer says %d", i, r.GetItems()[0].GetPropensity(), resp.GetSeed())
		}
	}
	if resp.GetSeed() == 0 {
		t.Error("no seed")
	}
	if req.GetOptions().GetExploration().Seed != nil || req.GetOptions().Time != nil {
		t.Error("the caller's request is changed")
	}
	checkTimes(t, seen(), 3)
	// One subject has pages.
	one, err := c.RecommendItems(t.Context(), &scoringv1.RecommendItemsRequest{PageSize: 2, Subjects: req.Subjects[:1]})
	if err != nil || one.GetNextPageToken() != "+" || len(one.GetResults()[0].GetItems()) != 2 {
		t.Errorf("%v, %v", one, err)
	}
}

func TestFindSimilarSplits(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	withModels(t, c)
	req := &imageanalysisv1.FindSimilarRequest{Count: 1000}
	for i := range 150 {
		req.Images = append(req.Images, &imageanalysisv1.ImageItem{Id: fmt.Sprint("p", i), Content: []byte("\x89PNG")})
	}
	req.Images[120].Content = nil
	resp, err := c.FindSimilar(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	sizes := s.Sizes("FindSimilar")
	slices.Sort(sizes)
	if sum := sizes[0] + sizes[1]; sum != 150 || sizes[1] > 100 {
		t.Errorf("calls of %v pictures, want at most 100", sizes)
	}
	for i, r := range resp.GetResults() {
		if r.GetId() != fmt.Sprint("p", i) || r.GetIndex() != int64(i) || (client.ItemError(r) != nil) != (i == 120) || (len(r.GetItems()) == 1000) != (i != 120) {
			t.Errorf("result %d: %s at %d, %v, %d items", i, r.GetId(), r.GetIndex(), r.GetError(), len(r.GetItems()))
		}
	}
	if resp, err := c.FindSimilar(t.Context(), &imageanalysisv1.FindSimilarRequest{}); err != nil || len(resp.GetResults()) != 0 {
		t.Errorf("no pictures: %v, %v", resp, err)
	}
}

func TestAnalyzeImagesSplitsByBytes(t *testing.T) {
	s := clienttest.New()
	s.Info.Limits.MaxMessageBytes = 1 << 20
	c := s.Dial(t)
	withModels(t, c)
	png := append([]byte("\x89PNG"), make([]byte, 400<<10)...)
	huge := append([]byte("\x89PNG"), make([]byte, 2<<20)...)
	req := &imageanalysisv1.AnalyzeImagesRequest{Images: []*imageanalysisv1.ImageItem{
		{Id: "a", Content: png}, {Id: "b", Content: png}, {Id: "c", Content: png}, {Id: "huge", Content: huge}, {Id: "d", Content: png},
	}}
	resp, err := c.AnalyzeImages(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	sizes := s.Sizes("AnalyzeImages")
	slices.Sort(sizes)
	if want := []int{1, 1, 2}; !slices.Equal(sizes, want) {
		t.Errorf("calls of %v pictures, want %v", sizes, want)
	}
	for i, r := range resp.GetResults() {
		if r.GetId() != req.GetImages()[i].GetId() || r.GetIndex() != int64(i) {
			t.Errorf("result %d is that of %q at %d", i, r.GetId(), r.GetIndex())
		}
		reason := client.ReasonOf(client.ItemError(r))
		if want := map[string]string{"huge": client.ReasonItemTooLarge}[r.GetId()]; reason != want {
			t.Errorf("%s: reason %q, want %q", r.GetId(), reason, want)
		}
	}
}

func TestScoreTable(t *testing.T) {
	s := clienttest.New()
	s.Info.Limits.MaxTableRows = 4
	c := s.Dial(t)
	withModels(t, c)
	table := &scoringv1.Table{Rows: 10, Columns: []*scoringv1.Column{
		{Name: "x", Data: &scoringv1.Column_Doubles{Doubles: &scoringv1.Doubles{}}},
	}}
	var want []float64
	for i := range 10 {
		want = append(want, float64(i))
		table.Ids = append(table.Ids, fmt.Sprint(i))
	}
	table.Columns[0].GetDoubles().Values = want
	results, err := c.ScoreTable(t.Context(), &scoringv1.ScoreRequest{Table: table})
	if err != nil {
		t.Fatal(err)
	}
	var got []float64
	for _, r := range results {
		if r.GetFirstIndex() != int64(len(got)) || r.GetIds()[0] != fmt.Sprint(len(got)) {
			t.Errorf("a part begins at row %d with id %s, want %d", r.GetFirstIndex(), r.GetIds()[0], len(got))
		}
		got = append(got, r.GetHeads()["churn"].GetProbability().GetProbability()...)
	}
	if !slices.Equal(got, want) || len(results) != 3 {
		t.Errorf("%d parts with %v", len(results), got)
	}
	table.Ids = table.Ids[:3]
	if _, err := c.ScoreTable(t.Context(), &scoringv1.ScoreRequest{Table: table}); err == nil {
		t.Error("a table of 10 rows and 3 ids was cut")
	}
}

func TestServerInfoIsKept(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	withModels(t, c)
	for range 3 {
		if _, err := c.AnalyzeText(t.Context(), &sentimentv1.AnalyzeTextRequest{Texts: []*sentimentv1.TextItem{{}}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Sizes("GetServerInfo")); n != 1 {
		t.Errorf("the limits were asked for %d times", n)
	}
}

func TestErrors(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	s.Fail("GetModel", clienttest.Error(codes.InvalidArgument, "MODEL_NAME_INVALID", "model: wrong",
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "model", Description: "must be lower case"}}}))
	_, err := c.ModelStore().GetModel(t.Context(), &modelstorev1.GetModelRequest{Model: "X"})
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("the error is a %T", err)
	}
	if e.Code != codes.InvalidArgument || e.Reason != "MODEL_NAME_INVALID" || len(e.Violations) != 1 || e.Violations[0].Field != "model" {
		t.Errorf("got %+v", e)
	}
	const text = "INVALID_ARGUMENT (MODEL_NAME_INVALID): model: wrong; model: must be lower case"
	if err.Error() != text {
		t.Errorf("error reads %q, want %q", err, text)
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("status.Code gives %v", status.Code(err))
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.ModelStore().GetModel(ctx, &modelstorev1.GetModelRequest{Model: "x"})
	if !errors.Is(err, context.Canceled) || client.CodeOf(err) != codes.Canceled {
		t.Errorf("a cancelled call gives %v", err)
	}
	// Streams give the same errors.
	call, err := c.ModelStore().DownloadFile(t.Context(), &modelstorev1.DownloadFileRequest{Model: "none", Path: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call.Recv(); client.ReasonOf(err) != "NOT_FOUND" {
		t.Errorf("a stream gives %v", err)
	}
}

func TestRetries(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "going away")
	busy := func(d time.Duration) error {
		return clienttest.Error(codes.ResourceExhausted, "QUEUE_FULL", "queue is full", &errdetails.RetryInfo{RetryDelay: durationpb.New(d)})
	}
	info := func(c *client.Client) error {
		_, err := c.Server().GetServerInfo(t.Context(), &serverv1.GetServerInfoRequest{})
		return err
	}
	for _, test := range []struct {
		name   string
		method string
		faults []error
		call   func(c *client.Client) error
		want   codes.Code
	}{
		{"unavailable, idempotent", "GetServerInfo", []error{unavailable, unavailable}, info, codes.OK},
		{"unavailable for too long", "GetServerInfo", slices.Repeat([]error{unavailable}, 10), info, codes.Unavailable},
		{"unavailable, changes the store", "Rollback", []error{unavailable}, func(c *client.Client) error {
			_, err := c.ModelStore().Rollback(t.Context(), &modelstorev1.RollbackRequest{Model: "m"})
			return err
		}, codes.Unavailable},
		{"busy with a hint", "GetServerInfo", []error{busy(time.Millisecond), busy(time.Millisecond)}, info, codes.OK},
		{"busy without a hint", "GetServerInfo", []error{clienttest.Error(codes.ResourceExhausted, "TOO_LARGE", "no memory")}, info, codes.ResourceExhausted},
		{"busy beyond the deadline", "GetServerInfo", []error{busy(time.Hour)}, info, codes.ResourceExhausted},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := clienttest.New()
			c := s.Dial(t)
			s.Fail(test.method, test.faults...)
			if err := test.call(c); client.CodeOf(err) != test.want {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestRetryBudget(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t)
	busy := clienttest.Error(codes.ResourceExhausted, "QUEUE_FULL", "queue is full", &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Microsecond)})
	s.Fail("GetServerInfo", slices.Repeat([]error{busy}, 1000)...)
	for range 20 {
		if _, err := c.ServerInfo(t.Context()); client.RetryAfterOf(err) != time.Microsecond {
			t.Fatalf("got %v", err)
		}
	}
	// Without a budget 20 calls would make 80 attempts.
	if got := 1000 - s.Waiting("GetServerInfo"); got > 35 {
		t.Errorf("20 calls to a busy server made %d attempts", got)
	}
}

func TestHeadersAndDeadline(t *testing.T) {
	s := clienttest.New()
	c := s.Dial(t, client.WithToken("secret"), client.WithTenant("shop"), client.WithTimeout(50*time.Millisecond), client.WithUserAgent("test/1"))
	if _, err := c.ServerInfo(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"authorization": "Bearer secret", "scry-tenant": "shop"} {
		if got := s.Header("GetServerInfo", name); !slices.Equal(got, []string{want}) {
			t.Errorf("header %s is %q", name, got)
		}
	}
	if got := s.Header("GetServerInfo", "user-agent"); len(got) != 1 || !strings.HasPrefix(got[0], "test/1 scry-go-client") {
		t.Errorf("user agent is %q", got)
	}
	s.Hang("ListDevices")
	if _, err := c.Server().ListDevices(t.Context(), &serverv1.ListDevicesRequest{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that hangs gives %v", err)
	}
	if _, err := client.Dial(t.Context(), "localhost:1", client.WithToken("a\nb")); err == nil {
		t.Error("a token with a line break was taken")
	}
}

func TestIsLoopback(t *testing.T) {
	for target, want := range map[string]bool{
		"localhost:8001": true, "127.0.0.1:8001": true, "[::1]:8001": true, "dns:///localhost:8001": true,
		"unix:/run/scry.sock": true, "passthrough:///127.0.0.2:1": true, "::1": true,
		"scry.internal:8001": false, "10.0.0.1:8001": false, "0.0.0.0:8001": false, "localhost.example.com:1": false,
		"dns:///scry:8001": false, "dns://localhost/scry:8001": false,
	} {
		if got := client.IsLoopback(target); got != want {
			t.Errorf("IsLoopback(%q) = %v", target, got)
		}
	}
}

// TestTextOptions wants the options of texts sent with every part and with the
// first message of a stream.
func TestTextOptions(t *testing.T) {
	s := clienttest.New()
	s.Info.Limits.MaxTexts = 2
	c := s.Dial(t)
	withModels(t, c)
	text := &sentimentv1.TextItem{Content: &sentimentv1.TextItem_Text{Text: "good"}}
	req := &sentimentv1.AnalyzeTextRequest{Texts: []*sentimentv1.TextItem{text, text, text}, Options: &sentimentv1.TextOptions{Redact: true}}
	resp, err := c.AnalyzeText(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	results := resp.GetResults()
	for r, err := range c.StreamAnalyzeText(t.Context(), req, slices.Values(req.GetTexts())) {
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	if len(results) != 6 {
		t.Errorf("%d results", len(results))
	}
	for i, r := range results {
		if r.GetRedactedText() != "[REDACTED]" {
			t.Errorf("result %d: %v", i, r)
		}
	}
}
