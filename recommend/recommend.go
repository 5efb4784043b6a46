// Package recommend ranks the items of a model's catalogue for subjects: exactly,
// by the product of a query's vector with each item's. It knows neither gRPC nor
// ONNX Runtime.
package recommend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/filter"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// ErrUnsupported is wrapped by the error of a call to a model that has no items.
var ErrUnsupported = errors.New("the model has no catalogue of items")

const (
	defaultPage       = 10
	defaultCandidates = 100
	// maxPlaces bounds how far a list can be paged.
	maxPlaces = 10_000
	// maxAnswers bounds the items of one answer.
	maxAnswers = 100_000
	// The candidates of a list that is made with diversity.
	leastDiverse, mostDiverse = 100, 2_000
	// maxComparisons bounds the looks at candidates, for each place of each list,
	// and maxMultiplications those of their vectors' elements.
	maxComparisons, maxMultiplications = 200_000_000, 2_000_000_000
)

// Model is what recommending needs of a loaded version.
type Model interface {
	Bundle() *bundle.Bundle
	Pipeline() *pipeline.Pipeline
	Identity() pipeline.Identity
	Run(ctx context.Context, items []pipeline.Item) []pipeline.Answer
}

func invalid(field, reason, format string, args ...any) error {
	return &pipeline.InputError{Field: field, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Items answers a request. results[i] and errs[i] of the response's subjects
// belong together; a result whose error is set holds id and index only. seed is
// that of an exploration that names none. err is set when the call as a whole
// cannot be answered.
func Items(ctx context.Context, m Model, req *scoringv1.RecommendItemsRequest, seed uint64, now time.Time) (resp *scoringv1.RecommendItemsResponse, errs []error, err error) {
	c, err := newCall(ctx, m, req, seed, now)
	if err != nil {
		return nil, nil, err
	}
	if err := c.queries(ctx); err != nil {
		return nil, nil, err
	}
	if err := c.rank(ctx); err != nil {
		return nil, nil, err
	}
	resp = &scoringv1.RecommendItemsResponse{Results: c.results}
	if c.more && hasPages(req) && c.token.offset+uint32(c.page) < maxPlaces {
		next := c.token
		next.offset += uint32(c.page)
		resp.NextPageToken = next.String()
	}
	if req.GetOptions().GetExploration() != nil {
		resp.Seed = c.token.seed
	}
	return resp, c.errs, nil
}

// call is one call of Items.
type call struct {
	model    Model
	items    *bundle.Items
	spec     *bundlev1.Items
	opts     *scoringv1.RecommendOptions
	subjects []*scoringv1.RecommendSubject
	page     int
	token    token
	search   search
	mixing   mixing
	columns  []int // attributes to answer

	popular []float32 // made when it is needed
	known   []subject
	results []*scoringv1.Recommendation
	errs    []error
	more    bool // the first list goes on
}

// subject is what is known of one subject.
type subject struct {
	query
	history []int32          // known items, the oldest first
	row     *structpb.Struct // of the model's features; nil = it needs no run
	served  *servingv1.ServedBy
}

func newCall(ctx context.Context, m Model, req *scoringv1.RecommendItemsRequest, seed uint64, now time.Time) (*call, error) {
	items := m.Pipeline().Items()
	if items == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnsupported, m.Identity().Model)
	}
	if err := m.Pipeline().CheckCount("subjects", len(req.GetSubjects())); err != nil {
		return nil, err
	}
	c := &call{
		model: m, items: items, spec: m.Bundle().Manifest.GetCatalogue().GetItems(), opts: req.GetOptions(),
		subjects: req.GetSubjects(), page: int(req.GetPageSize()),
	}
	if c.page == 0 {
		c.page = defaultPage
	}
	if n := c.page * len(c.subjects); n > maxAnswers {
		return nil, invalid("page_size", "TOO_MANY_ITEMS", "%d items for all subjects together, the limit is %d", n, maxAnswers)
	}
	var err error
	if c.token, err = readToken(req, m.Identity(), seed, now); err != nil {
		return nil, err
	}
	if c.columns, err = columnsFor("options.attributes", items, c.opts.GetAttributes()); err != nil {
		return nil, err
	}
	if err := c.filters(ctx); err != nil {
		return nil, err
	}
	if err := c.sizes(); err != nil {
		return nil, err
	}
	c.known = make([]subject, len(c.subjects))
	c.results = make([]*scoringv1.Recommendation, len(c.subjects))
	c.errs = make([]error, len(c.subjects))
	for i, s := range c.subjects {
		c.results[i] = &scoringv1.Recommendation{Id: s.GetId(), Index: int64(i)}
	}
	return c, nil
}

// filters finds which items may be recommended, and which are promoted.
func (c *call) filters(ctx context.Context) error {
	declared := attributesOf(c.items)
	admitted, err := compile("options.filter", c.opts.GetFilter(), declared)
	if err != nil {
		return err
	}
	programs := make([]*filter.Program, len(c.opts.GetPromotions()))
	percents := 0.0
	names := map[string]bool{}
	for i, p := range c.opts.GetPromotions() {
		field := fmt.Sprintf("options.promotions[%d]", i)
		if programs[i], err = compile(field+".filter", p.GetFilter(), declared); err != nil {
			return err
		}
		if names[p.GetName()] {
			return invalid(field+".name", "FIELD_INVALID", "the name is taken")
		}
		names[p.GetName()] = true
		if percents += p.GetPercent(); percents > 100+1e-9 {
			return invalid(field+".percent", "FIELD_INVALID", "the promotions have %g percent together, more than all", percents)
		}
	}
	expiry := c.items.Column(c.spec.GetExpiry())
	c.search = search{items: c.items, admitted: matching(ctx, c.items, admitted, expiry, c.token.time)}
	for _, p := range programs {
		b := matching(ctx, c.items, p, -1, 0)
		if b == nil { // a blank filter promotes all
			b = newBitmap(c.items.Len())
			for i := range c.items.Len() {
				b.set(i)
			}
		}
		c.search.promoted = append(c.search.promoted, b)
	}
	return ctx.Err()
}

// sizes finds how many items must be ranked to fill the pages up to the wanted
// one.
func (c *call) sizes() error {
	places := min(int(c.token.offset)+c.page, maxPlaces)
	c.mixing = mixing{page: c.page, diversity: c.opts.GetDiversity(), temperature: c.opts.GetExploration().GetTemperature()}
	c.mixing.vector = func(place int32) []float32 { return c.items.Vector(int(place)) }
	c.search.k = places + 1 // one more tells whether there is another page
	// A list that is reordered is made of the same candidates for all its pages.
	if c.mixing.diversity > 0 {
		c.search.k = max(leastDiverse, min(10*c.page, mostDiverse))
	}
	if x := c.opts.GetExploration(); x != nil {
		c.search.k = int(x.GetCandidates())
		if c.search.k == 0 {
			c.search.k = defaultCandidates
		}
	}
	if c.mixing.diversity > 0 || c.mixing.temperature > 0 {
		looks := len(c.subjects) * min(places, c.search.k) * c.search.k
		if looks > maxComparisons || c.mixing.diversity > 0 && looks > maxMultiplications/c.items.Size {
			return invalid("page_size", "TOO_MUCH_WORK", "a diverse or drawn list costs places × candidates for each subject: fewer subjects, places or candidates would do")
		}
	}
	pages := (places + c.page - 1) / c.page
	if c.mixing.diversity > 0 || c.mixing.temperature > 0 {
		pages = (c.search.k + c.page - 1) / c.page
	}
	for _, p := range c.opts.GetPromotions() {
		quota := min(int(math.Ceil(p.GetPercent()*float64(c.page)/100-1e-9)), c.page)
		c.mixing.quotas = append(c.mixing.quotas, quota)
		c.search.promoK = append(c.search.promoK, quota*pages)
	}
	return nil
}

// queries finds what is known of each subject, and runs the model for those of
// whom it makes a query.
func (c *call) queries(ctx context.Context) error {
	var rows []*structpb.Struct
	var which []int // subjects of the rows
	for i := range c.subjects {
		c.errs[i] = c.prepare(i)
		if row := c.known[i].row; c.errs[i] == nil && row != nil {
			rows, which = append(rows, row), append(which, i)
		}
	}
	if len(rows) == 0 {
		return ctx.Err()
	}
	return pipeline.Waves(ctx, c.model.Pipeline().RowWaves(rows), func(ctx context.Context, _ int, w pipeline.Wave) error {
		return c.run(ctx, rows[w.From:w.To], which[w.From:w.To])
	})
}

func at(i int, field string) string { return fmt.Sprintf("subjects[%d].%s", i, field) }

func (c *call) warn(i int, code servingv1.WarningCode, field, format string, args ...any) {
	r := c.results[i]
	r.Warnings = append(r.Warnings, &servingv1.Warning{Code: code, Field: at(i, field), Message: fmt.Sprintf(format, args...)})
}

// prepare reads one subject. Errors name the field within it.
func (c *call) prepare(i int) error {
	in, s := c.subjects[i], &c.known[i]
	feature := c.spec.GetHistoryFeature()
	history, path := in.GetHistory(), "history"
	features := in.GetFeatures().GetFields()
	malformed := false // the pipeline tells how
	if given := features[feature]; feature != "" && given.GetListValue() != nil {
		if len(history) > 0 {
			return invalid("history", "FEATURE_TWICE", "the history is given in features[%q] too", feature)
		}
		history, path = c.itemsOf(given.GetListValue()), fmt.Sprintf("features[%q]", feature)
		malformed = len(history) < len(given.GetListValue().GetValues())
	} else if _, null := given.GetKind().(*structpb.Value_NullValue); feature != "" && given != nil && !null {
		malformed = true
	}
	if anchor := in.GetAnchorItem(); anchor != "" {
		if len(in.GetHistory()) > 0 || len(features) > 0 {
			return invalid("anchor_item", "FIELD_INVALID", "is given instead of a history and features")
		}
		if _, ok := c.items.Place(anchor); !ok {
			return invalid("anchor_item", "ITEM_UNKNOWN", "the model's catalogue has no such item")
		}
		history, path = []string{anchor}, "anchor_item"
	}
	s.history = c.placesOf(i, path, history)
	c.exclude(i, s)
	if len(in.GetCandidates()) > 0 {
		s.only = c.placesOf(i, "candidates", in.GetCandidates())
		slices.Sort(s.only)
		s.only = slices.Compact(s.only)
		if s.only == nil {
			s.only = []int32{} // none, not all
		}
	}
	others := len(features)
	if _, ok := features[feature]; ok && feature != "" {
		others--
	}
	queried := c.spec.GetQueryHead() != "" && c.model.Bundle().Manifest.GetRow() != nil // a picture is FindSimilar's
	switch {
	case queried && (malformed || others > 0 || len(s.history) > 0 && feature != ""):
		s.row = in.GetFeatures()
		if path != "history" && path != "anchor_item" {
			return nil // as it was given, with types and times
		}
		if feature != "" && len(s.history) > 0 {
			s.row = c.withHistory(in.GetFeatures(), s.history)
		}
		return nil
	case len(s.history) > 0:
		s.vector = c.mean(s.history)
	default:
		c.warn(i, servingv1.WarningCode_WARNING_CODE_COLD_START, path, "nothing is known of the subject: the popular items are answered")
		if c.popular == nil {
			if c.popular = popularity(c.items, c.spec); c.popular == nil {
				return invalid("", "NOTHING_KNOWN", "nothing is known of the subject, and the model does not tell which items are popular")
			}
		}
		s.fixed = c.popular
	}
	if !queried && others > 0 {
		c.warn(i, servingv1.WarningCode_WARNING_CODE_UNKNOWN_FEATURE, "features", "the model knows items alone and reads no features")
	}
	return nil
}

// itemsOf reads the items of a history that is given as events.
func (c *call) itemsOf(events *structpb.ListValue) []string {
	var ids []string
	for _, e := range events.GetValues() {
		if id := e.GetStructValue().GetFields()[c.spec.GetHistoryItemField()].GetStringValue(); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// placesOf finds items. One warning tells of all that there are not.
func (c *call) placesOf(i int, field string, ids []string) []int32 {
	var out []int32
	first, unknown := 0, 0
	for k, id := range ids {
		place, ok := c.items.Place(id)
		if ok {
			out = append(out, int32(place))
			continue
		}
		if unknown++; unknown == 1 {
			first = k
		}
	}
	if unknown > 0 {
		c.warn(i, servingv1.WarningCode_WARNING_CODE_UNKNOWN_ITEM, fmt.Sprintf("%s[%d]", field, first),
			"the model's catalogue has no such item; of %d, %d are unknown", len(ids), unknown)
	}
	return out
}

// exclude finds which items the subject is not to get, and whose score is raised.
func (c *call) exclude(i int, s *subject) {
	s.out = map[int32]struct{}{}
	in := c.subjects[i]
	anchored := in.GetAnchorItem() != ""
	switch weight := c.spec.GetRepeatWeight(); {
	case anchored || !c.opts.GetIncludeHistory():
		for _, place := range s.history {
			s.out[place] = struct{}{}
		}
	case weight != 0:
		s.bonus = make(map[int32]float32, len(s.history))
		for _, place := range s.history {
			s.bonus[place] += float32(weight)
		}
	}
	seen := make(map[int32]int64, len(in.GetSeen()))
	for _, x := range in.GetSeen() {
		if place, ok := c.items.Place(x.GetItem()); ok {
			seen[int32(place)] += int64(max(x.GetCount(), 1))
		}
	}
	for place, n := range seen {
		if n > int64(c.opts.GetMaxSeen()) {
			s.out[place] = struct{}{}
		}
	}
}

// withHistory puts a history into a row as the model's feature.
func (c *call) withHistory(features *structpb.Struct, history []int32) *structpb.Struct {
	row := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(features.GetFields())+1)}
	maps.Copy(row.Fields, features.GetFields())
	field := c.spec.GetHistoryItemField()
	events := &structpb.ListValue{Values: make([]*structpb.Value, len(history))}
	for k, place := range history {
		events.Values[k] = structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
			field: structpb.NewStringValue(c.items.IDs[place]),
		}})
	}
	row.Fields[c.spec.GetHistoryFeature()] = structpb.NewListValue(events)
	return row
}

// mean is the mean of items' vectors.
func (c *call) mean(places []int32) []float32 {
	sum := make([]float64, c.items.Size)
	for _, place := range places {
		for k, x := range c.items.Vector(int(place)) {
			sum[k] += float64(x)
		}
	}
	out := make([]float32, len(sum))
	for k, x := range sum {
		out[k] = float32(x / float64(len(places)))
	}
	return out
}

// run makes the queries of some subjects, whose rows are one wave.
func (c *call) run(ctx context.Context, rows []*structpb.Struct, which []int) error {
	item, reports, err := c.model.Pipeline().Rows(rows)
	if err != nil {
		return err
	}
	var alone []pipeline.Item
	var live []int // places in which
	for k, r := range reports {
		i := which[k]
		if c.errs[i] = r.Err; r.Err != nil {
			continue
		}
		prefix := fmt.Sprintf("features[%q]", c.spec.GetHistoryFeature())
		for _, w := range r.Warnings {
			if len(c.subjects[i].GetHistory()) > 0 && strings.HasPrefix(w.Field, prefix) {
				w.Field = "history" + strings.TrimPrefix(w.Field, prefix)
			}
			w.Field = at(i, w.Field)
			c.results[i].Warnings = append(c.results[i].Warnings, w)
		}
		one, err := item.Row(k)
		if err != nil {
			return err
		}
		alone, live = append(alone, one), append(live, i)
	}
	if len(alone) == 0 {
		return ctx.Err()
	}
	for k, a := range c.model.Run(ctx, alone) {
		i := live[k]
		switch {
		case a.Err == nil:
			c.known[i].served = a.Stats.ServedBy(c.model.Identity(), []string{c.spec.GetQueryHead()})
			c.known[i].vector, c.errs[i] = QueryVector(c.model.Bundle().Manifest, c.items, a.Outputs)
		case pipeline.Overload(a.Err):
			return a.Err
		default:
			c.errs[i] = a.Err
		}
	}
	return nil
}

// rank ranks the items for all subjects and makes their lists.
func (c *call) rank(ctx context.Context) error {
	var which []int
	var queries []query
	for i := range c.known {
		if c.errs[i] == nil {
			which, queries = append(which, i), append(queries, c.known[i].query)
		}
	}
	found, err := c.search.run(ctx, queries)
	if err != nil {
		return err
	}
	for k, i := range which {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.answer(i, c.search.candidates(&found[k]))
	}
	for i, err := range c.errs {
		if err != nil { // nothing else is set then
			c.results[i] = &scoringv1.Recommendation{Id: c.subjects[i].GetId(), Index: int64(i)}
		}
	}
	return nil
}

// answer makes one subject's list.
func (c *call) answer(i int, candidates []candidate) {
	m := c.mixing
	if m.temperature > 0 {
		m.rng = pipeline.Generator(c.token.seed, c.subjects[i].GetId(), int64(i))
	}
	offset := int(c.token.offset)
	list := m.list(candidates, offset+c.page)
	if i == 0 {
		c.more = len(list) == offset+c.page && len(candidates) > len(list)
	}
	r, s := c.results[i], &c.known[i]
	for k := offset; k < len(list); k++ {
		p := list[k]
		out := &scoringv1.RecommendedItem{
			Item: c.items.IDs[p.place], Score: float64(p.score), Rank: int32(k + 1),
			Attributes: attributes(c.items, c.columns, int(p.place)),
		}
		if m.temperature > 0 {
			out.Propensity = &p.propensity
		}
		if p.promotion >= 0 {
			out.Promotion = c.opts.GetPromotions()[p.promotion].GetName()
		}
		r.Items = append(r.Items, out)
	}
	r.PredictionId = pipeline.NewPredictionID()
	if s.served == nil {
		s.served = c.model.Identity().ServedBy()
	}
	r.ServedBy = []*servingv1.ServedBy{s.served}
}
