package recommend_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/recommend"
	"github.com/scry-ml/scry/tensor"
)

// Six items on a plane. The query of a history is the sum of the one-hot places
// that the items' numbers stand for: element 0 for even ones, element 1 for odd.
const manifest = `
heads: {query: {source: model.query, embedding: {}}}
row:
  features:
    - name: history
      type: FEATURE_TYPE_SEQUENCE
      max_events: 4
      mask_input: mask
      fields: [{name: item, type: FEATURE_TYPE_STRING, index: {unknown: -1}}]
    - {name: luck, type: FEATURE_TYPE_FLOAT, default: 0}
catalogue:
  items:
    file: items.jsonl
    attributes:
      - {name: category, type: ATTRIBUTE_TYPE_STRING}
      - {name: price, type: ATTRIBUTE_TYPE_NUMBER}
      - {name: sale, type: ATTRIBUTE_TYPE_BOOL}
      - {name: until, type: ATTRIBUTE_TYPE_TIMESTAMP}
      - {name: tags, type: ATTRIBUTE_TYPE_STRINGS}
    vectors: vectors.npy
    biases: biases.npy
    query_head: query
    history_feature: history
    history_item_field: item
    popularity: price
    expiry: until
    repeat_weight: 10
`

const lines = `{"id": "a", "category": "lamps", "price": 1, "tags": ["red", "warm"]}
{"id": "b", "category": "vases", "price": 2, "sale": true}

{"id": "c", "category": "lamps", "price": 3, "until": "2026-06-01"}
{"id": "d", "category": "vases", "price": 4, "tags": []}
{"id": "e", "category": "lamps", "price": 5.5, "sale": false, "tags": null}
{"id": "f", "price": 0}
`

var (
	graph = pipelinetest.Graph(
		[]bundle.Value{pipelinetest.Value("item", tensor.Int64, -1, -1), pipelinetest.Value("mask", tensor.Float32, -1, -1), pipelinetest.Value("luck", tensor.Float32, -1)},
		[]bundle.Value{pipelinetest.Value("query", tensor.Float32, -1, 2)})
	vectors = []float32{1, 0, 0, 1, 0.9, 0, 0, 0.9, 0.8, 0.1, 0.1, 0.8}
	biases  = []float32{0, 0, 0, 0, 0.01, 0.02}
	now     = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
)

func compute(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
	items, mask, luck := tensor.View[int64](in[0]), tensor.View[float32](in[1]), tensor.View[float32](in[2])
	switch luck[0] {
	case 13:
		return nil, errors.New("unlucky")
	case 14:
		return nil, batch.ErrFull
	}
	q := []float32{luck[0], 0}
	for k, item := range items {
		if mask[k] > 0 && item >= 0 {
			q[item%2]++
		}
	}
	out, _ := tensor.From(q, 1, 2)
	return []tensor.Tensor{out}, nil
}

func files() map[string]string {
	return map[string]string{
		"items.jsonl": lines, "vectors.npy": pipelinetest.NPY(vectors, 6, 2), "biases.npy": pipelinetest.NPY(biases, 6),
	}
}

func model(t testing.TB) *pipelinetest.Model {
	t.Helper()
	return pipelinetest.NewModel(t, pipelinetest.Files(graph, manifest, files()), compute)
}

type (
	request = scoringv1.RecommendItemsRequest
	subject = scoringv1.RecommendSubject
	options = scoringv1.RecommendOptions
)

func ask(t *testing.T, m recommend.Model, req *request) (*scoringv1.RecommendItemsResponse, []error) {
	t.Helper()
	resp, errs, err := recommend.Items(t.Context(), m, req, 5, now)
	if err != nil {
		t.Fatal(err)
	}
	return resp, errs
}

// ids are the items of a list in one word.
func ids(r *scoringv1.Recommendation) string {
	var s strings.Builder
	for _, it := range r.GetItems() {
		s.WriteString(it.GetItem())
	}
	return s.String()
}

func codes(r *scoringv1.Recommendation) string {
	var out []string
	for _, w := range r.GetWarnings() {
		if w.GetCode() == servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED { // luck
			continue
		}
		out = append(out, strings.TrimPrefix(w.GetCode().String(), "WARNING_CODE_")+" "+w.GetField())
	}
	return strings.Join(out, ", ")
}

func features(t *testing.T, m map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestItems(t *testing.T) {
	m := model(t)
	expired := timestamppb.New(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
	for name, c := range map[string]struct {
		subject  *subject
		options  *options
		want     string
		warnings string
	}{
		"history":           {subject: &subject{History: []string{"a"}}, want: "cefbd"},
		"odd history":       {subject: &subject{History: []string{"b"}}, want: "dfeac"},
		"repeats":           {subject: &subject{History: []string{"a", "e", "e"}}, options: &options{IncludeHistory: true}, want: "eacfbd"},
		"anchor":            {subject: &subject{AnchorItem: "a"}, want: "cefbd"},
		"anchor itself":     {subject: &subject{AnchorItem: "a"}, options: &options{IncludeHistory: true}, want: "cefbd"},
		"cold":              {subject: &subject{Id: "x"}, want: "edcbaf", warnings: "COLD_START subjects[0].history"},
		"unknown history":   {subject: &subject{History: []string{"zz", "zy"}}, want: "edcbaf", warnings: "UNKNOWN_ITEM subjects[0].history[0], COLD_START subjects[0].history"},
		"partly unknown":    {subject: &subject{History: []string{"zz", "a"}}, want: "cefbd", warnings: "UNKNOWN_ITEM subjects[0].history[0]"},
		"truncated":         {subject: &subject{History: []string{"b", "b", "a", "a", "a", "c"}}, want: "efd", warnings: "TRUNCATED subjects[0].history", options: &options{Filter: "NOT id=b"}},
		"features":          {subject: &subject{Features: features(t, map[string]any{"luck": 2})}, want: "acefbd", warnings: "COLD_START subjects[0].features"},
		"history of events": {subject: &subject{Features: features(t, map[string]any{"history": []any{map[string]any{"item": "a"}}})}, want: "cefbd"},
		"candidates":        {subject: &subject{History: []string{"a"}, Candidates: []string{"f", "e", "nope", "a", "f"}}, want: "ef", warnings: "UNKNOWN_ITEM subjects[0].candidates[2]"},
		"no candidates":     {subject: &subject{History: []string{"a"}, Candidates: []string{"nope"}}, want: "", warnings: "UNKNOWN_ITEM subjects[0].candidates[0]"},
		"seen":              {subject: &subject{History: []string{"a"}, Seen: []*scoringv1.SeenItem{{Item: "c"}, {Item: "zz"}}}, want: "efbd"},
		"seen twice":        {subject: &subject{History: []string{"a"}, Seen: []*scoringv1.SeenItem{{Item: "c"}, {Item: "e", Count: 1}, {Item: "e"}}}, options: &options{MaxSeen: 1}, want: "cfbd"},
		"filter":            {subject: &subject{History: []string{"a"}}, options: &options{Filter: `category = "lamps"`}, want: "ce"},
		"filter on tags":    {subject: &subject{}, options: &options{Filter: `tags:warm OR id = "f"`}, want: "af", warnings: "COLD_START subjects[0].history"},
		"expired":           {subject: &subject{History: []string{"a"}}, options: &options{Time: expired}, want: "efbd"},
		"promotion":         {subject: &subject{History: []string{"a"}}, options: &options{Promotions: []*scoringv1.Promotion{{Name: "vases", Filter: "category=vases", Percent: 15}}}, want: "cefbd"},
		"diversity":         {subject: &subject{History: []string{"a"}}, options: &options{Diversity: 1}, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			resp, errs := ask(t, m, &request{Subjects: []*subject{c.subject}, Options: c.options})
			if errs[0] != nil {
				t.Fatal(errs[0])
			}
			r := resp.GetResults()[0]
			if name == "diversity" { // the best first, then what is least like it
				if got := ids(r); len(got) != 5 || got[0] != 'c' || strings.IndexByte("bd", got[1]) < 0 {
					t.Errorf("%s", got)
				}
				return
			}
			if got := ids(r); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if got := codes(r); got != c.warnings {
				t.Errorf("warnings %s, want %s", got, c.warnings)
			}
			if r.GetPredictionId() == "" || len(r.GetServedBy()) != 1 || r.GetServedBy()[0].GetVersion() != 7 {
				t.Errorf("%v", r)
			}
			for k, it := range r.GetItems() {
				if it.GetRank() != int32(k+1) {
					t.Errorf("place %d has rank %d", k, it.GetRank())
				}
			}
		})
	}
}

func TestScoresAndAttributes(t *testing.T) {
	m := model(t)
	resp, _ := ask(t, m, &request{
		Subjects: []*subject{{Id: "me", History: []string{"a", "b", "e"}}}, PageSize: 2, Options: &options{Attributes: []string{"*"}, IncludeHistory: true},
	})
	r := resp.GetResults()[0]
	first := r.GetItems()[0]
	// The query is (2, 1): e has 1.6 + 0.1 + 0.01, and is in the history once.
	if r.GetId() != "me" || first.GetItem() != "a" || math.Abs(first.GetScore()-12) > 1e-5 {
		t.Errorf("%v", r)
	}
	second := r.GetItems()[1]
	if second.GetItem() != "e" || math.Abs(second.GetScore()-11.71) > 1e-5 {
		t.Errorf("%v", second)
	}
	if got := first.GetAttributes().AsMap(); fmt.Sprint(got) != "map[category:lamps price:1 tags:[red warm]]" {
		t.Errorf("%v", got)
	}
	if got := second.GetAttributes().AsMap(); fmt.Sprint(got) != "map[category:lamps price:5.5 sale:false]" {
		t.Errorf("%v", got)
	}
	resp, _ = ask(t, m, &request{Subjects: []*subject{{AnchorItem: "a"}}, PageSize: 1, Options: &options{Attributes: []string{"until"}}})
	if got := resp.GetResults()[0].GetItems()[0].GetAttributes().AsMap(); fmt.Sprint(got) != "map[until:2026-06-01T00:00:00Z]" {
		t.Errorf("%v", got)
	}
}

// TestSubjectsFailAlone wants each subject's error to leave the others alone.
func TestSubjectsFailAlone(t *testing.T) {
	m := model(t)
	resp, errs := ask(t, m, &request{Subjects: []*subject{
		{Id: "0", History: []string{"a"}},
		{Id: "1", AnchorItem: "nope"},
		{Id: "2", AnchorItem: "a", History: []string{"a"}},
		{Id: "3", Features: features(t, map[string]any{"luck": "much"})},
		{Id: "4", Features: features(t, map[string]any{"luck": 13})},
		{Id: "5", History: []string{"a"}, Features: features(t, map[string]any{"history": []any{}})},
		{Id: "6", Features: features(t, map[string]any{"history": []any{"a"}, "luck": 1})},
		{Id: "7", Features: features(t, map[string]any{"history": "a"})},
		{Id: "8", Features: features(t, map[string]any{"history": nil}), History: []string{"b"}},
	}})
	for i, want := range []string{"", "ITEM_UNKNOWN anchor_item", "FIELD_INVALID anchor_item", `FEATURE_TYPE features["luck"]`, "unlucky",
		"FEATURE_TWICE history", `FEATURE_TYPE features["history"][0]`, `FEATURE_TYPE features["history"]`, ""} {
		got := ""
		if in, ok := errors.AsType[*pipeline.InputError](errs[i]); ok {
			got = in.Reason + " " + in.Field
		} else if errs[i] != nil {
			got = errs[i].Error()
		}
		r := resp.GetResults()[i]
		if got != want || r.GetId() != fmt.Sprint(i) || r.GetIndex() != int64(i) || (want != "") != (len(r.GetItems()) == 0) {
			t.Errorf("subject %d: %q, want %q; %v", i, got, want, r)
		}
		if want != "" && (r.GetPredictionId() != "" || len(r.GetWarnings()) > 0) {
			t.Errorf("subject %d has more than its error: %v", i, r)
		}
	}
}

func TestCallsThatFail(t *testing.T) {
	m := model(t)
	me := []*subject{{History: []string{"a"}}}
	page, _ := ask(t, m, &request{Subjects: me, PageSize: 2})
	token := page.GetNextPageToken()
	for want, req := range map[string]*request{
		"FILTER_INVALID options.filter":               {Subjects: me, Options: &options{Filter: "colour = red"}},
		"FILTER_INVALID options.promotions[1].filter": {Subjects: me, Options: &options{Promotions: []*scoringv1.Promotion{{Name: "x", Filter: "price<1", Percent: 10}, {Name: "y", Filter: "price <", Percent: 10}}}},
		"FIELD_INVALID options.promotions[1].percent": {Subjects: me, Options: &options{Promotions: []*scoringv1.Promotion{{Name: "x", Filter: "price<1", Percent: 60}, {Name: "y", Filter: "price<1", Percent: 60}}}},
		"FIELD_INVALID options.promotions[1].name":    {Subjects: me, Options: &options{Promotions: []*scoringv1.Promotion{{Name: "x", Filter: "price<1", Percent: 6}, {Name: "x", Filter: "price<1", Percent: 6}}}},
		"ATTRIBUTE_UNKNOWN options.attributes[1]":     {Subjects: me, Options: &options{Attributes: []string{"price", "colour"}}},
		"TIME_INVALID options.time":                   {Subjects: me, Options: &options{Time: &timestamppb.Timestamp{Seconds: math.MaxInt64}}},
		"TOO_MANY_ITEMS page_size":                    {Subjects: slices.Repeat(me, 101), PageSize: 1000},
		"TOO_MUCH_WORK page_size":                     {Subjects: slices.Repeat(me, 100), PageSize: 1000, Options: &options{Exploration: &scoringv1.Exploration{Temperature: 1, Candidates: 10_000}}},
		"PAGE_TOKEN_INVALID page_token":               {Subjects: me, PageSize: 2, PageToken: "nonsense"},
		"PAGE_TOKEN_INVALID page_token ":              {Subjects: me, PageSize: 3, PageToken: token},
		"PAGE_TOKEN_INVALID page_token  ":             {Subjects: []*subject{{History: []string{"b"}}}, PageSize: 2, PageToken: token},
		"PAGE_TOKEN_INVALID page_token   ":            {Subjects: slices.Repeat(me, 2), PageSize: 2, PageToken: token},
		"PAGE_TOKEN_INVALID page_token    ":           {Subjects: me, PageSize: 2, PageToken: token[:len(token)-2]},
	} {
		_, _, err := recommend.Items(t.Context(), m, req, 0, now)
		in, ok := errors.AsType[*pipeline.InputError](err)
		if !ok || in.Reason+" "+in.Field != strings.TrimSpace(want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	_, _, err := recommend.Items(t.Context(), m, &request{Subjects: me, Options: &options{Filter: `price < 3 AND category ~ "x"`}}, 0, now)
	if err == nil || !strings.Contains(err.Error(), "line 1, column 24") {
		t.Errorf("the error does not say where: %v", err)
	}
	_, _, err = recommend.Items(t.Context(), other{m}, &request{Subjects: me, PageSize: 2, PageToken: token}, 0, now)
	if in, ok := errors.AsType[*pipeline.InputError](err); !ok || !strings.Contains(in.Message, "version 8 answers now") {
		t.Errorf("another version: %v", err)
	}
	_, _, err = recommend.Items(t.Context(), m, &request{Subjects: []*subject{me[0], {Features: features(t, map[string]any{"luck": 14})}}}, 0, now)
	if !errors.Is(err, batch.ErrFull) {
		t.Errorf("overload: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err = recommend.Items(ctx, m, &request{Subjects: me}, 0, now); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// other is the next version of a model.
type other struct{ *pipelinetest.Model }

func (o other) Identity() pipeline.Identity {
	id := o.Model.Identity()
	id.Version++
	return id
}

// TestPages wants pages to be parts of one list, however it is mixed.
func TestPages(t *testing.T) {
	m := model(t)
	for name, opts := range map[string]*options{
		"plain":     nil,
		"diverse":   {Diversity: 0.5},
		"explored":  {Exploration: &scoringv1.Exploration{Temperature: 0.5}},
		"promoted":  {Promotions: []*scoringv1.Promotion{{Name: "v", Filter: "category=vases", Percent: 50}}},
		"by seed":   {Exploration: &scoringv1.Exploration{Temperature: 0.5, Seed: proto.Uint64(3)}},
		"all mixed": {Diversity: 0.3, Exploration: &scoringv1.Exploration{Temperature: 0.5}, Promotions: []*scoringv1.Promotion{{Name: "v", Filter: "category=vases", Percent: 30}}},
	} {
		t.Run(name, func(t *testing.T) {
			req := &request{Subjects: []*subject{{History: []string{"a"}}}, PageSize: 2, Options: opts}
			got, pages, seed := "", 0, uint64(0)
			// The seed and the time of later pages are the first page's.
			for later := now; ; later = later.Add(100 * 24 * time.Hour) {
				resp, _, err := recommend.Items(t.Context(), m, req, uint64(later.Unix()), later)
				if err != nil {
					t.Fatal(err)
				}
				if pages > 0 && resp.GetSeed() != seed {
					t.Errorf("page %d has the seed %d, the first %d", pages, resp.GetSeed(), seed)
				}
				seed = resp.GetSeed()
				got += ids(resp.GetResults()[0])
				pages++
				if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
					break
				}
			}
			sorted := []byte(got)
			slices.Sort(sorted)
			if pages != 3 || string(sorted) != "bcdef" {
				t.Errorf("%d pages: %s", pages, got)
			}
			if name == "plain" && got != "cefbd" || name == "promoted" && got != "cdebf" && got != "cbedf" {
				t.Errorf("%s", got)
			}
			if (opts.GetExploration() != nil) != (seed != 0) {
				t.Errorf("seed %d", seed)
			}
		})
	}
}

func TestExplorationIsOfItsSeed(t *testing.T) {
	m := model(t)
	lists := map[string]bool{}
	for seed := range uint64(30) {
		req := &request{Subjects: []*subject{{History: []string{"a"}}}, PageSize: 3, Options: &options{Exploration: &scoringv1.Exploration{Temperature: 1, Candidates: 4, Seed: &seed}}}
		first, _ := ask(t, m, req)
		again, _ := ask(t, m, req)
		list := ids(first.GetResults()[0])
		if list != ids(again.GetResults()[0]) || first.GetSeed() != seed {
			t.Fatalf("seed %d: %s and %s", seed, list, ids(again.GetResults()[0]))
		}
		if strings.ContainsAny(list, "ad") { // the history, and the fifth
			t.Errorf("seed %d: %s", seed, list)
		}
		for _, it := range first.GetResults()[0].GetItems() {
			if it.Propensity == nil || it.GetPropensity() <= 0 || it.GetPropensity() > 1 {
				t.Errorf("%v", it)
			}
		}
		lists[list] = true
	}
	if len(lists) < 5 {
		t.Errorf("30 seeds gave %d lists", len(lists))
	}
}

// TestItemsAlone has a model that makes no queries.
func TestItemsAlone(t *testing.T) {
	text := manifest
	for _, cut := range []string{"    query_head: query\n", "    history_feature: history\n", "    history_item_field: item\n", "    popularity: price\n", "    biases: biases.npy\n"} {
		text = strings.Replace(text, cut, "", 1)
	}
	text = strings.Replace(text, "index: {unknown: -1}", "index: {unknown: -1}, categories: [a]", 1)
	m := pipelinetest.NewModel(t, pipelinetest.Files(graph, text, files()), compute)
	resp, errs := ask(t, m, &request{Subjects: []*subject{
		{History: []string{"b", "d"}}, {AnchorItem: "b"}, {}, {History: []string{"a"}, Features: features(t, map[string]any{"luck": 1})},
	}})
	if got := ids(resp.GetResults()[0]); got != "feac" {
		t.Errorf("history: %s", got)
	}
	if got := ids(resp.GetResults()[1]); got != "dfeac" {
		t.Errorf("anchor: %s", got)
	}
	if in, ok := errors.AsType[*pipeline.InputError](errs[2]); !ok || in.Reason != "NOTHING_KNOWN" {
		t.Errorf("nothing known: %v", errs[2])
	}
	if got := codes(resp.GetResults()[3]); got != "UNKNOWN_FEATURE subjects[3].features" {
		t.Errorf("features: %s", got)
	}
	if m.Items.Load() != 0 {
		t.Errorf("%d runs of the graph", m.Items.Load())
	}
}

func TestModelWithoutItems(t *testing.T) {
	text, _, _ := strings.Cut(strings.Replace(manifest, "index: {unknown: -1}", "index: {unknown: -1}, categories: [a]", 1), "catalogue:")
	m := pipelinetest.NewModel(t, pipelinetest.Files(graph, text, nil), compute)
	if _, _, err := recommend.Items(t.Context(), m, &request{Subjects: []*subject{{}}}, 0, now); !errors.Is(err, recommend.ErrUnsupported) {
		t.Error(err)
	}
}
