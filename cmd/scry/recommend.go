package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/scry-ml/scry/client"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// recommendCmd ranks items for subjects.
type recommendCmd struct {
	File       string   `arg:"" optional:"" help:"Subjects as JSON Lines, such as {\"id\": \"c1\", \"history\": [\"85123A\"]}, with features, anchor_item, candidates and seen beside or instead of the history; \"-\" or nothing for standard input, unless --history, --anchor or --nobody is given."`
	Model      modelRef `short:"m" placeholder:"MODEL[@VERSION]" help:"The model (default: the server's default for recommendations)."`
	History    []string `placeholder:"ITEM" help:"Recommend for one subject with this history, the oldest item first."`
	Anchor     string   `placeholder:"ITEM" help:"Recommend what goes with this item."`
	Nobody     bool     `help:"Recommend for one of whom nothing is known."`
	Candidates []string `placeholder:"ITEM" help:"Rank these items only; with --history, --anchor or --nobody."`
	Count      int32    `short:"n" default:"10" help:"Items for each subject."`
	Filter     string   `placeholder:"FILTER" help:"Which items, as an AIP-160 filter over their attributes, such as 'price < 20 AND title:\"LAMP\"'."`
	Promote    []string `sep:"none" placeholder:"NAME=PERCENT:FILTER" help:"Keep a share of the places for the items that a filter admits, such as 'new=20:first_sold > \"2011-10-01\"'. May be repeated."`
	Repeats    bool     `help:"Recommend items of the history too."`
	MaxSeen    int32    `placeholder:"N" help:"Leave out items that the subject has seen more often, as \"seen\" counts."`
	Diversity  float64  `placeholder:"NUMBER" help:"How much variety counts beside the scores, from 0 (not at all) to 1."`
	Explore    float64  `placeholder:"TEMPERATURE" help:"Draw the items at random instead of ranking them, and tell their propensities: the higher the temperature, in the unit of the scores, the more varied."`
	Seed       *uint64  `help:"With --explore: the same seed draws the same (default: one that is drawn, and told)."`
	Attributes []string `placeholder:"NAME" help:"Attributes to print; '*' for all."`
	PageToken  string   `placeholder:"TOKEN" help:"Print the next page: the token that the page before told, with all other flags as they were."`
	servedFlag
}

// subjectsAtOnce is how many subjects of a file are sent in one call.
const subjectsAtOnce = 100

func (c *recommendCmd) Run(ctx context.Context, app *app) error {
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	req, err := c.request()
	if err != nil {
		return err
	}
	write, flush, err := c.printer(app.output)
	if err != nil {
		return err
	}
	t := &tally{items: "subjects"}
	if one := c.subject(); one != nil {
		if c.File != "" {
			return wrongUse("give a file, or --history, --anchor or --nobody")
		}
		err := each(io.NopCloser(nil), c.ask(ctx, app.output, server, req, slices.Values([]*scoringv1.RecommendSubject{one})), t, write)
		return t.finish(app.output, err, nil, flush)
	}
	req.Options.Time = timestamppb.Now() // these are the same for all calls
	if e := req.GetOptions().GetExploration(); e != nil && e.Seed == nil {
		e.Seed = new(rand.Uint64())
	}
	in, _, err := app.output.open(ctx, c.File, "jsonl")
	if err != nil {
		return err
	}
	defer in.Close()
	reader := &subjectReader{}
	err = each(in, c.ask(ctx, app.output, server, req, reader.subjects(in)), t, write)
	return t.finish(app.output, err, reader.err, flush)
}

// request is what is the same for all subjects.
func (c *recommendCmd) request() (*scoringv1.RecommendItemsRequest, error) {
	opts := &scoringv1.RecommendOptions{
		Filter: c.Filter, MaxSeen: c.MaxSeen, IncludeHistory: c.Repeats, Diversity: c.Diversity, Attributes: c.Attributes,
	}
	for _, text := range c.Promote {
		name, rest, ok := strings.Cut(text, "=")
		percent, filter, ok2 := strings.Cut(rest, ":")
		x, err := strconv.ParseFloat(percent, 64)
		if !ok || !ok2 || err != nil {
			return nil, wrongUse("--promote %s: want NAME=PERCENT:FILTER", text)
		}
		opts.Promotions = append(opts.Promotions, &scoringv1.Promotion{Name: name, Percent: x, Filter: filter})
	}
	switch {
	case c.Explore != 0:
		opts.Exploration = &scoringv1.Exploration{Temperature: c.Explore, Seed: c.Seed}
	case c.Seed != nil:
		return nil, wrongUse("--seed is for --explore")
	}
	if len(c.Candidates) > 0 && c.subject() == nil {
		return nil, wrongUse("--candidates needs --history, --anchor or --nobody; subjects of a file have \"candidates\" of their own")
	}
	if c.Nobody && (c.Anchor != "" || len(c.History) > 0) {
		return nil, wrongUse("--nobody excludes --anchor and --history")
	}
	return &scoringv1.RecommendItemsRequest{
		Model: c.Model.Model, Version: c.Model.Version, Options: opts, PageSize: c.Count, PageToken: c.PageToken,
	}, nil
}

// subject is the one that the flags describe; nil when there is none.
func (c *recommendCmd) subject() *scoringv1.RecommendSubject {
	if len(c.History) == 0 && c.Anchor == "" && !c.Nobody {
		return nil
	}
	return &scoringv1.RecommendSubject{History: c.History, AnchorItem: c.Anchor, Candidates: c.Candidates}
}

// ask asks for so many subjects at a time.
func (c *recommendCmd) ask(ctx context.Context, o *output, server *client.Client, req *scoringv1.RecommendItemsRequest, subjects iter.Seq[*scoringv1.RecommendSubject]) iter.Seq2[*scoringv1.Recommendation, error] {
	told := c.Explore == 0
	return inParts(subjects, subjectsAtOnce, func(part []*scoringv1.RecommendSubject) ([]*scoringv1.Recommendation, error) {
		req.Subjects = part
		resp, err := server.RecommendItems(ctx, req)
		if resp.GetNextPageToken() != "" {
			o.remark("for the next page: --page-token %s", resp.GetNextPageToken())
		}
		if !told && err == nil {
			o.remark("drawn with --seed %d", resp.GetSeed())
			told = true
		}
		return resp.GetResults(), err
	}, func(r *scoringv1.Recommendation, place int64) { r.Index = place })
}

// subjectReader reads subjects as JSON Lines.
type subjectReader struct{ err error }

func (r *subjectReader) subjects(in io.Reader) iter.Seq[*scoringv1.RecommendSubject] {
	return func(yield func(*scoringv1.RecommendSubject) bool) {
		r.err = readLines(bufio.NewReader(in), func(text []byte, _ int) (*scoringv1.RecommendSubject, error) {
			s := &scoringv1.RecommendSubject{}
			return s, protojson.Unmarshal(text, s)
		}, yield)
	}
}

// printer returns what writes one subject's list, and what ends the writing.
func (c *recommendCmd) printer(o *output) (func(*scoringv1.Recommendation, error) error, func() error, error) {
	if o.json() {
		return jsonPrinter[*scoringv1.Recommendation](o)
	}
	titles := []string{"id", "rank", "item", "score"}
	if c.Explore != 0 {
		titles = append(titles, "propensity")
	}
	if len(c.Promote) > 0 {
		titles = append(titles, "promotion")
	}
	all := slices.Contains(c.Attributes, "*")
	if all {
		titles = append(titles, "attributes")
	} else {
		titles = append(titles, c.Attributes...)
	}
	// cells are those of one item, without the list's error.
	cells := func(r *scoringv1.Recommendation, it *scoringv1.RecommendedItem, number func(float64) string) []string {
		cells := []string{r.GetId(), fmt.Sprint(it.GetRank()), it.GetItem(), number(it.GetScore())}
		if c.Explore != 0 {
			cells = append(cells, number(it.GetPropensity()))
		}
		if len(c.Promote) > 0 {
			cells = append(cells, it.GetPromotion())
		}
		fields := it.GetAttributes().GetFields()
		if all {
			var texts []string
			for _, name := range slices.Sorted(maps.Keys(fields)) {
				texts = append(texts, name+"="+valueText(fields[name]))
			}
			return append(cells, strings.Join(texts, " "))
		}
		for _, name := range c.Attributes {
			cells = append(cells, valueText(fields[name]))
		}
		return cells
	}
	if o.format == "csv" {
		w, err := o.csv(c.titles(o, append(titles, "prediction_id", "error")...)...)
		if err != nil {
			return nil, nil, err
		}
		return func(r *scoringv1.Recommendation, failed error) error {
			if failed != nil {
				return w.failed(r.GetId(), failed)
			}
			for _, it := range r.GetItems() {
				row := append(cells(r, it, exact), r.GetPredictionId(), "")
				if err := w.row(append(row, c.cells(r.GetServedBy())...)...); err != nil {
					return err
				}
			}
			return nil
		}, w.flush, nil
	}
	for i, title := range titles {
		titles[i] = strings.ToUpper(title)
	}
	t := o.table(c.titles(o, titles...)...)
	return func(r *scoringv1.Recommendation, failed error) error {
		if failed != nil {
			return t.failed(r.GetId(), failed)
		}
		if len(r.GetItems()) == 0 {
			t.line(r.GetId(), cell{"nothing", o.faint})
		}
		for _, it := range r.GetItems() {
			row := cells(r, it, func(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) })
			t.row(values(append(row, c.cells(r.GetServedBy())...))...)
		}
		return t.err
	}, t.flush, nil
}

// valueText writes an attribute as a cell.
func valueText(v *structpb.Value) string {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return k.StringValue
	case *structpb.Value_NumberValue:
		return exact(k.NumberValue)
	case *structpb.Value_BoolValue:
		return strconv.FormatBool(k.BoolValue)
	case *structpb.Value_ListValue:
		var texts []string
		for _, x := range k.ListValue.GetValues() {
			texts = append(texts, valueText(x))
		}
		return strings.Join(texts, "; ")
	}
	return ""
}
