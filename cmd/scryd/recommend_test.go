package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// recommender is the starter bundle of that name.
func recommender(t *testing.T) files { return readFiles(t, "../../models/recommend") }

func recommended(r *scoringv1.Recommendation) []string {
	var out []string
	for _, it := range r.GetItems() {
		out = append(out, it.GetItem())
	}
	return out
}

// TestRecommend asks the starter model and holds its lists against a ranking of
// all items by what the bundle's files and its golden queries say.
func TestRecommend(t *testing.T) {
	d := start(t)
	f := recommender(t)
	d.deploy("recommend", f)
	b, err := bundle.Open(os.DirFS("../../models/recommend"))
	if err != nil {
		t.Fatal(err)
	}
	items, err := b.ReadItems()
	if err != nil {
		t.Fatal(err)
	}
	req := &scoringv1.RecommendItemsRequest{PageSize: 20, Options: &scoringv1.RecommendOptions{Attributes: []string{"title", "price"}}}
	var wants [][]string
	for i, g := range goldens(t, f) {
		subject := &scoringv1.RecommendSubject{Id: fmt.Sprint(i)}
		for _, e := range g.GetFeatures().GetFields()["history"].GetListValue().GetValues() {
			subject.History = append(subject.History, e.GetStructValue().GetFields()["item"].GetStringValue())
		}
		req.Subjects = append(req.Subjects, subject)
		query := g.GetOutputs()["model.query"].GetValues()
		score := make([]float64, items.Len())
		places := make([]int, items.Len())
		for k := range score {
			places[k] = k
			for j, x := range query {
				score[k] += x * float64(items.Vector(k)[j])
			}
			score[k] += float64(items.Biases[k])
		}
		slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
		var want []string
		for _, k := range places {
			if !slices.Contains(subject.History, items.IDs[k]) {
				want = append(want, items.IDs[k])
			}
		}
		wants = append(wants, want[:20])
	}
	resp, err := d.scorer.RecommendItems(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range resp.GetResults() {
		// Scores that differ by less than rounding may change places.
		got := recommended(r)
		off := 0
		for k := range got {
			if got[k] != wants[i][k] {
				off++
			}
		}
		if r.GetError() != nil || len(got) != 20 || off > 2 {
			t.Errorf("subject %d: %d places are off: %v\nwant %v", i, off, got, wants[i])
		}
		first := r.GetItems()[0]
		k, _ := items.Place(first.GetItem())
		if a := first.GetAttributes().GetFields(); len(a) != 2 || a["title"].GetStringValue() != items.Columns[items.Column("title")].Strings[k] {
			t.Errorf("attributes %v", a)
		}
		if s := r.GetServedBy()[0]; s.GetModel() != "recommend" || s.GetVersion() != 1 || s.GetDevice() != "cpu" {
			t.Errorf("served by %v", s)
		}
	}

	// Pages, a draw, and a subject of whom nothing is known.
	page := &scoringv1.RecommendItemsRequest{Model: "recommend", PageSize: 5, Subjects: req.GetSubjects()[:1]}
	var all []string
	for range 4 {
		resp, err := d.scorer.RecommendItems(d.ctx(), page)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, recommended(resp.GetResults()[0])...)
		page.PageToken = resp.GetNextPageToken()
	}
	if want := recommended(resp.GetResults()[0]); !slices.Equal(all, want) {
		t.Errorf("four pages have %v, one has %v", all, want)
	}
	draw, err := d.scorer.RecommendItems(d.ctx(), &scoringv1.RecommendItemsRequest{
		Subjects: []*scoringv1.RecommendSubject{{Id: "new"}}, Options: &scoringv1.RecommendOptions{Exploration: &scoringv1.Exploration{Temperature: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := draw.GetResults()[0]
	if len(r.GetWarnings()) != 1 || r.GetWarnings()[0].GetCode() != servingv1.WarningCode_WARNING_CODE_COLD_START || len(r.GetItems()) != 10 || draw.GetSeed() == 0 {
		t.Errorf("%v", draw)
	}
	for _, it := range r.GetItems() {
		if it.Propensity == nil || it.GetPropensity() <= 0 || it.GetPropensity() > 1 {
			t.Errorf("%v", it)
		}
	}

	// The same list twice, and of a newer version none of its pages.
	page.PageToken = resp.GetNextPageToken()
	if page.PageToken != "" {
		t.Errorf("several subjects have a next page")
	}
	first, err := d.scorer.RecommendItems(d.ctx(), page)
	if err != nil {
		t.Fatal(err)
	}
	d.deploy("recommend", f.with("README.md", "newer"))
	page.PageToken = first.GetNextPageToken()
	_, err = d.scorer.RecommendItems(d.ctx(), page)
	wantError(t, err, codes.InvalidArgument, "PAGE_TOKEN_INVALID", "page_token")
	page.Version = "1"
	if _, err = d.scorer.RecommendItems(d.ctx(), page); err != nil {
		t.Errorf("the named version: %v", err)
	}
}

func TestRecommendBadInput(t *testing.T) {
	d := start(t, "--model-recommendation", "shop")
	d.deploy("shop", recommender(t))
	d.deploy("churn", churn(t))
	someone := []*scoringv1.RecommendSubject{{History: []string{"85123A"}}}
	for name, c := range map[string]struct {
		req           *scoringv1.RecommendItemsRequest
		code          codes.Code
		reason, field string
	}{
		"no subject":       {&scoringv1.RecommendItemsRequest{}, codes.InvalidArgument, "FIELD_INVALID", "subjects"},
		"another model":    {&scoringv1.RecommendItemsRequest{Model: "churn", Subjects: someone}, codes.FailedPrecondition, "MODEL_UNSUITABLE", ""},
		"no such model":    {&scoringv1.RecommendItemsRequest{Model: "nope", Subjects: someone}, codes.NotFound, "NOT_FOUND", ""},
		"page size":        {&scoringv1.RecommendItemsRequest{Subjects: someone, PageSize: 1001}, codes.InvalidArgument, "FIELD_INVALID", "page_size"},
		"diversity":        {&scoringv1.RecommendItemsRequest{Subjects: someone, Options: &scoringv1.RecommendOptions{Diversity: math.NaN()}}, codes.InvalidArgument, "FIELD_INVALID", "options.diversity"},
		"temperature":      {&scoringv1.RecommendItemsRequest{Subjects: someone, Options: &scoringv1.RecommendOptions{Exploration: &scoringv1.Exploration{}}}, codes.InvalidArgument, "FIELD_INVALID", "options.exploration.temperature"},
		"filter":           {&scoringv1.RecommendItemsRequest{Subjects: someone, Options: &scoringv1.RecommendOptions{Filter: "price < cheap"}}, codes.InvalidArgument, "FILTER_INVALID", "options.filter"},
		"promotion filter": {&scoringv1.RecommendItemsRequest{Subjects: someone, Options: &scoringv1.RecommendOptions{Promotions: []*scoringv1.Promotion{{Name: "x", Percent: 10, Filter: "prise < 3"}}}}, codes.InvalidArgument, "FILTER_INVALID", "options.promotions[0].filter"},
		"token":            {&scoringv1.RecommendItemsRequest{Subjects: someone, PageToken: "AAAA"}, codes.InvalidArgument, "PAGE_TOKEN_INVALID", "page_token"},
		"seen nothing":     {&scoringv1.RecommendItemsRequest{Subjects: []*scoringv1.RecommendSubject{{Seen: []*scoringv1.SeenItem{{}}}}}, codes.InvalidArgument, "FIELD_INVALID", "subjects[0].seen[0].item"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.scorer.RecommendItems(d.ctx(), c.req)
			wantError(t, err, c.code, c.reason, c.field)
		})
	}
	_, err := d.scorer.RecommendItems(d.ctx(), &scoringv1.RecommendItemsRequest{Subjects: someone, Options: &scoringv1.RecommendOptions{Filter: "price <\n  cheap"}})
	if err == nil || !strings.Contains(err.Error(), "line 2, column 3: expected a number") {
		t.Errorf("the error does not say where: %v", err)
	}
	// A subject that fails leaves the others alone.
	history, err := structpb.NewStruct(map[string]any{"history": "85123A"})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.scorer.RecommendItems(d.ctx(), &scoringv1.RecommendItemsRequest{Subjects: append([]*scoringv1.RecommendSubject{{AnchorItem: "nope"}, {Features: history}}, someone...)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"subjects[0].anchor_item: the model's catalogue has no such item", `subjects[1].features["history"]: is a string, want a list of events`, ""} {
		if got := resp.GetResults()[i].GetError().GetMessage(); got != want {
			t.Errorf("subject %d: %q, want %q", i, got, want)
		}
	}
}

// TestRecommendWithoutGraph serves a catalogue that is nothing but items.
func TestRecommendWithoutGraph(t *testing.T) {
	d := start(t)
	d.deploy("shop", files{
		"bundle.yaml": []byte("catalogue: {items: {file: items.jsonl, vectors: vectors.npy}}\n"),
		"items.jsonl": []byte("{\"id\": \"a\"}\n{\"id\": \"b\"}\n{\"id\": \"c\"}\n"),
		"vectors.npy": []byte(pipelinetest.NPY([]float32{1, 0, 0, 1, 0.5, 0.25}, 3, 2)),
	})
	resp, err := d.scorer.RecommendItems(d.ctx(), &scoringv1.RecommendItemsRequest{
		Model: "shop", Subjects: []*scoringv1.RecommendSubject{{AnchorItem: "a"}, {History: []string{"b"}}, {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"[c b]", "[c a]", "[]"} {
		if got := fmt.Sprint(recommended(resp.GetResults()[i])); got != want {
			t.Errorf("subject %d: %s, want %s", i, got, want)
		}
	}
	if got := resp.GetResults()[2].GetError().GetMessage(); got != "subjects[2]: nothing is known of the subject, and the model does not tell which items are popular" {
		t.Errorf("nothing known: %s", got)
	}
}

// TestRecommendRefusesBundles pushes catalogues that are wrong.
func TestRecommendRefusesBundles(t *testing.T) {
	d := start(t)
	f := recommender(t)
	cut := func(name string) files {
		lines := strings.SplitN(string(f[name]), "\n", 2)
		return f.with(name, lines[1])
	}
	vectors := slices.Clone(f["vectors.npy"])
	binary.LittleEndian.PutUint16(vectors[len(vectors)-2:], 0x7e00) // NaN
	for want, bad := range map[string]files{
		"items.jsonl": cut("items.jsonl"),
		"catalogue.items.vectors: vectors.npy: element": f.with("vectors.npy", string(vectors)),
		"catalogue.items.biases":                        f.with("biases.npy", string(f["vectors.npy"])+" "),
		"catalogue.items.popularity":                    f.with("bundle.yaml", strings.Replace(string(f["bundle.yaml"]), "popularity: buyers", "popularity: title", 1)),
	} {
		_, err := d.push("bad", bad)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
