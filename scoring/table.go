package scoring

import (
	"context"
	"fmt"
	"sync"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// MaxRowErrors is the number of rows of one table that may fail by themselves.
const MaxRowErrors = 100_000

// ScoreTable answers a table by columns. errs holds the rows that could not be
// scored; they are zero in every column. err is set when the call as a whole
// cannot be answered: what Score names, a table that contradicts itself, more
// than MaxRowErrors rows that fail, or an answer of more than maxBytes bytes (0
// = no limit).
func ScoreTable(ctx context.Context, m Model, t *scoringv1.Table, opts *scoringv1.ScoreOptions, first int64, maxBytes int) (result *scoringv1.TableResult, errs map[int]error, err error) {
	heads, err := newHeads(m, opts)
	if err != nil {
		return nil, nil, err
	}
	table, err := m.Pipeline().Table(t)
	if err != nil {
		return nil, nil, err
	}
	if err := m.Pipeline().CheckCount("table.rows", table.Rows()); err != nil {
		return nil, nil, err
	}
	s := &tableScorer{model: m, heads: heads, table: table, left: int64(maxBytes), limited: maxBytes > 0}
	for _, id := range t.GetIds() {
		s.left -= int64(len(id)) + 2
	}
	result = &scoringv1.TableResult{
		Rows: t.GetRows(), Ids: t.GetIds(), FirstIndex: first, Heads: map[string]*scoringv1.HeadColumns{},
		PredictionId: pipeline.NewPredictionID(),
	}
	rowBytes := 0
	for _, h := range heads {
		rowBytes += h.rowBytes()
	}
	if err := s.take(rowBytes); err != nil {
		return nil, nil, err
	}
	for _, h := range heads {
		c := newColumns(h, table.Rows())
		s.columns = append(s.columns, c)
		result.Heads[h.name] = c.out
	}
	waves := table.Waves()
	s.reports = make([]*pipeline.TableReport, len(waves))
	if err := pipeline.Waves(ctx, waves, s.wave); err != nil {
		return nil, nil, err
	}
	report := s.reports[0]
	for _, r := range s.reports[1:] {
		report.Merge(r)
	}
	result.Warnings = report.Warnings()
	if s.ran {
		result.ServedBy = []*servingv1.ServedBy{s.stats.ServedBy(m.Identity(), names(heads))}
	}
	for row := range report.Errors {
		for _, c := range s.columns {
			c.clear(row)
		}
	}
	for _, c := range s.columns {
		if w := c.outliers(); w != nil {
			result.Warnings = append(result.Warnings, w)
		}
	}
	return result, report.Errors, nil
}

// outliers warns of the rows that belong to no segment; nil when all do.
func (c *columns) outliers() *scoringv1.TableWarning {
	w := &scoringv1.TableWarning{}
	for row, is := range c.out.GetSegment().GetOutlier() {
		if !is {
			continue
		}
		if w.Count++; w.Count <= pipeline.MaxWarnedRows {
			w.Rows = append(w.Rows, int64(row))
		}
	}
	if w.GetCount() == 0 {
		return nil
	}
	w.Warning = lowSupport(c.name, "table")
	return w
}

// tableScorer is one call.
type tableScorer struct {
	model   Model
	heads   []*head
	table   *pipeline.Table
	columns []*columns              // like heads; waves write different rows
	reports []*pipeline.TableReport // by wave

	mu      sync.Mutex
	stats   pipeline.Stats
	ran     bool
	failed  int
	left    int64 // bytes of the answer
	limited bool
}

// take notes that the answer holds so many bytes more a row.
func (s *tableScorer) take(rowBytes int) error {
	s.left -= int64(rowBytes) * int64(s.table.Rows())
	if s.limited && s.left < 0 {
		return &pipeline.InputError{
			Field: "table.rows", Reason: "TABLE_TOO_LARGE",
			Message: fmt.Sprintf("the answer would be %d bytes too large; fewer rows, heads or reasons would do", -s.left),
		}
	}
	return nil
}

// wave scores the rows of one wave.
func (s *tableScorer) wave(ctx context.Context, k int, w pipeline.Wave) error {
	item, report, err := s.table.Item(w)
	if err != nil {
		return err
	}
	s.reports[k] = report
	errs := make([]error, w.To-w.From)
	for row, err := range report.Errors {
		errs[row-w.From] = err
	}
	err = runRows(ctx, s.model, item, errs, func(answer *pipeline.Answer, from, to int) error {
		read, err := s.bind(answer)
		if err != nil {
			return err
		}
		if err := read.sample(ctx, s.model, item, from, errs[from:to]); err != nil {
			return err
		}
		for row := from; row < to; row++ {
			if errs[row] == nil {
				errs[row] = s.write(read, row-from, w.From+row)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	failed := 0
	var last error
	for i, err := range errs {
		if err != nil {
			report.Errors[w.From+i] = err
			failed++
			last = err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed += failed; s.failed > MaxRowErrors {
		return fmt.Errorf("more than %d rows cannot be scored, the last because: %w", MaxRowErrors, last)
	}
	return nil
}

// bind finds the tensors of an answer and makes room for what only they tell
// the size of.
func (s *tableScorer) bind(answer *pipeline.Answer) (*reader, error) {
	read, err := bind(s.heads, answer.Outputs)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Merge(answer.Stats)
	s.ran = true
	for i, c := range s.columns {
		e := c.out.GetEmbedding()
		if e == nil || int(e.GetSize()) == read.heads[i].source.Columns {
			continue
		}
		if e.GetSize() != 0 {
			return nil, fmt.Errorf("head %s: %w: vectors of %d and of %d numbers", c.name, pipeline.ErrOutput, e.GetSize(), read.heads[i].source.Columns)
		}
		if err := s.take(4 * read.heads[i].source.Columns); err != nil {
			return nil, err
		}
		e.Size = int32(read.heads[i].source.Columns)
		e.Values = make([]float32, s.table.Rows()*int(e.GetSize()))
	}
	return read, nil
}

// write reads every head of one row of an answer into row to of the table.
func (s *tableScorer) write(read *reader, row, to int) error {
	for i, c := range s.columns {
		if err := c.write(read, &read.heads[i], row, to); err != nil {
			return fmt.Errorf("head %s: %w", c.name, err)
		}
	}
	return nil
}

// columns are one head's answers.
type columns struct {
	*head
	out *scoringv1.HeadColumns
}

// rowBytes is what a row takes of the answer, embeddings aside.
func (h *head) rowBytes() int {
	const double, index = 8, 2
	switch k := h.spec.GetKind().(type) {
	case *bundlev1.Head_Probability:
		n := 2 * double
		if len(k.Probability.GetQuantiles()) > 1 {
			n += double
		}
		if len(k.Probability.GetBands()) > 0 {
			n++
		}
		return n + h.ranks()*(double+index)
	case *bundlev1.Head_Value:
		n := double
		if levelOf(k.Value) > 0 {
			n += 2 * double
		}
		if hasPositive(k.Value) {
			n += double
		}
		if len(k.Value.GetQuantiles()) > 1 {
			n += double
		}
		if len(k.Value.GetBands()) > 0 {
			n++
		}
		return n + h.ranks()*(double+index)
	case *bundlev1.Head_Classes:
		return double * len(h.labels)
	case *bundlev1.Head_Segment:
		return 1 + (1+min(alternatives, len(k.Segment.GetClusters())-1))*(2*double+index)
	case *bundlev1.Head_Uplift:
		return index + double + len(h.treatments)*4*double
	case *bundlev1.Head_Forecast:
		return h.horizon * (1 + len(h.levels)) * double
	}
	return 0
}

// newColumns makes the columns of a head, embeddings aside.
func newColumns(h *head, rows int) *columns {
	out := &scoringv1.HeadColumns{}
	switch k := h.spec.GetKind().(type) {
	case *bundlev1.Head_Probability:
		out.Kind = &scoringv1.HeadColumns_Probability{Probability: probabilityColumns(h, k.Probability, rows)}
	case *bundlev1.Head_Value:
		out.Kind = &scoringv1.HeadColumns_Value{Value: valueColumn(h, k.Value, rows)}
	case *bundlev1.Head_Classes:
		out.Kind = &scoringv1.HeadColumns_Classes{Classes: &scoringv1.ClassesColumns{Names: h.labels, Probabilities: make([]float64, rows*len(h.labels))}}
	case *bundlev1.Head_Embedding:
		out.Kind = &scoringv1.HeadColumns_Embedding{Embedding: &scoringv1.EmbeddingColumn{}}
	case *bundlev1.Head_Segment:
		out.Kind = &scoringv1.HeadColumns_Segment{Segment: segmentColumns(h, k.Segment, rows)}
	case *bundlev1.Head_Uplift:
		out.Kind = &scoringv1.HeadColumns_Uplift{Uplift: upliftColumns(h, k.Uplift, rows)}
	case *bundlev1.Head_Forecast:
		out.Kind = &scoringv1.HeadColumns_Forecast{Forecast: forecastColumns(h, k.Forecast, rows)}
	}
	return &columns{head: h, out: out}
}

func probabilityColumns(h *head, spec *bundlev1.Probability, rows int) *scoringv1.ProbabilityColumns {
	c := &scoringv1.ProbabilityColumns{
		Event: spec.GetEvent(), Threshold: threshold(spec),
		Probability: make([]float64, rows), RawScore: make([]float64, rows),
		BandNames: h.bands.names, Reasons: h.reasonColumns(rows),
	}
	if len(spec.GetQuantiles()) > 1 {
		c.Percentile = make([]float64, rows)
	}
	if len(spec.GetBands()) > 0 {
		c.Band = make([]uint32, rows)
	}
	return c
}

// write reads a row of an answer into row to of the columns.
func (c *columns) write(r *reader, b *boundHead, row, to int) error {
	switch k := c.out.GetKind().(type) {
	case *scoringv1.HeadColumns_Probability:
		return c.writeProbability(k.Probability, r, b, row, to)
	case *scoringv1.HeadColumns_Value:
		return c.writeValue(k.Value, r, b, row, to)
	case *scoringv1.HeadColumns_Segment:
		return r.writeSegment(b, row, k.Segment, to)
	case *scoringv1.HeadColumns_Uplift:
		return b.writeUplift(row, k.Uplift, to)
	case *scoringv1.HeadColumns_Forecast:
		return r.writeForecast(b, row, k.Forecast, to)
	case *scoringv1.HeadColumns_Classes:
		if err := r.classes(b, row, b.spec.GetClasses()); err != nil {
			return err
		}
		copy(k.Classes.GetProbabilities()[to*len(c.labels):], r.numbers)
	case *scoringv1.HeadColumns_Embedding:
		v, err := r.vector(b, row)
		if err != nil {
			return err
		}
		copy(k.Embedding.GetValues()[to*len(v):], v)
	}
	return nil
}

func (c *columns) writeProbability(out *scoringv1.ProbabilityColumns, r *reader, b *boundHead, row, to int) error {
	spec := b.spec.GetProbability()
	e, err := b.estimate(row, spec)
	if err != nil {
		return err
	}
	out.Probability[to], out.RawScore[to] = e.probability, e.raw
	if out.Percentile != nil {
		out.Percentile[to] = percentile(spec.GetQuantiles(), e.probability)
	}
	if out.Band != nil {
		out.Band[to] = uint32(c.bands.of(e.probability))
	}
	return r.writeReasons(b, row, out.GetReasons(), to)
}

// clear makes a row zero again: one of its other heads failed.
func (c *columns) clear(row int) {
	switch k := c.out.GetKind().(type) {
	case *scoringv1.HeadColumns_Probability:
		p := k.Probability
		p.Probability[row], p.RawScore[row] = 0, 0
		set(p.Percentile, row, 0)
		set(p.Band, row, 0)
		clearReasons(p.GetReasons(), row)
	case *scoringv1.HeadColumns_Value:
		clearValue(k.Value, row)
	case *scoringv1.HeadColumns_Segment:
		clearSegment(k.Segment, row)
	case *scoringv1.HeadColumns_Uplift:
		clearUplift(k.Uplift, row)
	case *scoringv1.HeadColumns_Forecast:
		clearForecast(k.Forecast, row)
	case *scoringv1.HeadColumns_Classes:
		clear(k.Classes.GetProbabilities()[row*len(c.labels):][:len(c.labels)])
	case *scoringv1.HeadColumns_Embedding:
		clear(k.Embedding.GetValues()[row*int(k.Embedding.GetSize()):][:k.Embedding.GetSize()])
	}
}
