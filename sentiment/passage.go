package sentiment

import (
	"context"
	"fmt"
	"slices"

	"github.com/scry-ml/scry/pipeline"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	"github.com/scry-ml/scry/sentence"
)

// subject is one text on its way through a call.
type subject struct {
	field string // "text" or "text_bytes"
	sent  int    // bytes as they were sent
	text  string // in valid UTF-8, without what is to be redacted: what models see

	targets []*sentimentv1.Target // of its own

	offsets   *offsets // of text; made when first asked for
	sentences []sentence.Span
	split     bool   // sentences are known
	language  string // empty until it was looked for
	sure      float64

	// What one model reads of it.
	whole *passage
	parts []*passage // by sentence; nil for one that nobody asked for
	asked []*passage // each once, in the order in which they were asked for
	found []place    // mentions of targets
	stats pipeline.Stats
}

// passage is a part of a text that the model reads: one row, or some where it is
// long. Views that are asked for the same passage share its rows.
type passage struct {
	begin, end int // text[begin:end]
	views      []*view
	values     [][]float64 // by view
	tokens     int
	rows       int
	cut        bool // its end was not read
}

// view is what a head says of a row, as numbers of which the mean over the rows
// of a long passage, weighted by their tokens, is what it says of the passage.
type view struct {
	read func(out pipeline.Outputs) ([]float64, error)
}

// spans returns the sentences of the text.
func (s *subject) spans() []sentence.Span {
	if !s.split {
		s.sentences, s.split = sentence.Split(s.text), true
	}
	return s.sentences
}

// all asks for a view of the whole text.
func (s *subject) all(v *view) *passage {
	if s.whole == nil {
		s.whole = s.ask(0, len(s.text))
	}
	s.whole.look(v)
	return s.whole
}

// part asks for a view of a sentence. The only sentence of a text is the text.
func (s *subject) part(k int, v *view) *passage {
	spans := s.spans()
	if len(spans) == 1 {
		return s.all(v)
	}
	if s.parts == nil {
		s.parts = make([]*passage, len(spans))
	}
	if s.parts[k] == nil {
		s.parts[k] = s.ask(spans[k].Begin, spans[k].End)
	}
	s.parts[k].look(v)
	return s.parts[k]
}

func (s *subject) ask(begin, end int) *passage {
	p := &passage{begin: begin, end: end}
	s.asked = append(s.asked, p)
	return p
}

// forget makes the subject ready for another model.
func (s *subject) forget() {
	s.whole, s.parts, s.asked, s.found, s.stats = nil, nil, nil, nil, pipeline.Stats{}
}

func (p *passage) look(v *view) {
	if !slices.Contains(p.views, v) {
		p.views = append(p.views, v)
	}
}

// add reads a row of so many tokens.
func (p *passage) add(out pipeline.Outputs, tokens int) error {
	if p.values == nil {
		p.values = make([][]float64, len(p.views))
	}
	for k, v := range p.views {
		row, err := v.read(out)
		if err != nil {
			return err
		}
		switch {
		case p.rows == 0:
			p.values[k] = row
		case len(p.values[k]) != len(row):
			return fmt.Errorf("%w: %d numbers after %d", pipeline.ErrOutput, len(row), len(p.values[k]))
		default: // the running mean
			share := float64(tokens) / float64(p.tokens+tokens)
			for i, x := range row {
				p.values[k][i] += share * (x - p.values[k][i])
			}
		}
	}
	p.tokens += tokens
	p.rows++
	return nil
}

// readAll reads a view of texts apart from those of a call; field(i) is the path
// of text i. The first error ends it.
func readAll(ctx context.Context, m Model, v *view, texts []string, field func(i int) string) ([]passage, pipeline.Stats, error) {
	var (
		items []pipeline.Item
		of    []int // the text of each
		stats pipeline.Stats
		err   error
	)
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, stats, err
		}
		if items, _, err = m.Pipeline().AppendText(items, field(i), text); err != nil {
			return nil, stats, err
		}
		for len(of) < len(items) {
			of = append(of, i)
		}
	}
	passages := make([]passage, len(texts))
	for from := 0; from < len(items); from += runRows {
		to := min(from+runRows, len(items))
		for k, a := range m.Run(ctx, items[from:to]) {
			if a.Err != nil {
				return nil, stats, a.Err
			}
			stats.Merge(a.Stats)
			p := &passages[of[from+k]]
			p.look(v)
			if err := p.add(a.Outputs, items[from+k].Length); err != nil {
				return nil, stats, err
			}
		}
	}
	return passages, stats, nil
}

// of returns what a view says of the passage, which may be changed no more than
// read: others look at it too.
func (p *passage) of(v *view) []float64 {
	return p.values[slices.Index(p.views, v)]
}
