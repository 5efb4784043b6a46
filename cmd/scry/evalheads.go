package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/scry-ml/scry/evaluate"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// measuredHead keeps what versions answered to the rows, and what came to pass:
// a few numbers a row.
type measuredHead interface {
	// add keeps one row's answer by a version (0, or 1 for the one beside it): value
	// i of columns that are nil where the row was not answered. Rows come in order.
	// It returns why the row is to be left out, or "".
	add(version, row int, cells []string, answer *scoringv1.HeadColumns, i int) string
	// check fails when the rows cannot tell anything.
	check(rows []int32) error
	// samples are those rows as one version answered them, by what they are about:
	// "", or a treatment.
	samples(version int, rows []int32) []sampleOf
}

// sampleOf is a sample of something.
type sampleOf struct {
	about string
	evaluate.Sample
}

// newHead makes what keeps the answers of a head.
func (c *evalCmd) newHead(h *bundlev1.Head) (measuredHead, error) {
	kind := kindOf(h)
	if len(c.Target) > 1 && kind != "forecast" {
		return nil, wrongUse("a %s has one target, not %d", kind, len(c.Target))
	}
	if c.Positive != "" && kind != "probability" {
		return nil, wrongUse("--positive is for a probability, not for %s", kind)
	}
	if (c.Treatment != "") != (kind == "uplift") {
		if kind == "uplift" {
			return nil, wrongUse("an uplift needs --treatment, the column with the treatment that each row had")
		}
		return nil, wrongUse("--treatment is for an uplift, not for %s", kind)
	}
	switch kind {
	case "probability":
		return &measuredProbability{column: c.Target[0], positive: c.Positive}, nil
	case "value":
		return &measuredValue{}, nil
	case "classes":
		return &measuredClasses{}, nil
	case "forecast":
		return &measuredForecast{horizon: int(h.GetForecast().GetHorizon()), columns: len(c.Target)}, nil
	}
	u := h.GetUplift()
	m := &measuredUplift{sign: 1}
	if u.GetValue() < 0 { // the outcome is a loss
		m.sign = -1
	}
	for _, t := range u.GetTreatments() {
		m.names = append(m.names, t.GetName())
	}
	return m, nil
}

// measuredProbability keeps 9 bytes a row and 8 for another version.
type measuredProbability struct {
	column   string
	positive string
	scored   bool // keep raw scores, for a calibration

	p      [2][]float64
	raw    []float64
	events []bool
	seen   []string // values, the first few
}

func (m *measuredProbability) add(version, _ int, cells []string, answer *scoringv1.HeadColumns, i int) string {
	p, raw := 0.0, 0.0
	if c := answer.GetProbability(); c != nil {
		p = c.GetProbability()[i]
		if m.scored {
			raw = c.GetRawScore()[i]
		}
	}
	m.p[version] = append(m.p[version], p)
	if version > 0 {
		return ""
	}
	if m.scored {
		m.raw = append(m.raw, raw)
	}
	event, known := m.event(cells[0])
	m.events = append(m.events, event)
	switch {
	case cells[0] == "":
		return noTarget
	case !known:
		return fmt.Sprintf("target is neither the event nor its absence: %q", cells[0])
	}
	return ""
}

// event tells whether a target's value is the event, and whether it can be told.
func (m *measuredProbability) event(cell string) (event, known bool) {
	if cell != "" && len(m.seen) < 10 && !slices.Contains(m.seen, cell) {
		m.seen = append(m.seen, cell)
	}
	if m.positive != "" {
		return cell == m.positive, true
	}
	switch strings.ToLower(cell) {
	case "yes", "true":
		return true, true
	case "no", "false":
		return false, true
	}
	x, ok := number(cell)
	return x == 1, ok && (x == 0 || x == 1)
}

// unknown is the error about a target that is no event, as soon as one is seen:
// rows of a third class cannot be left out silently.
func (m *measuredProbability) unknown() error {
	for _, cell := range m.seen {
		if _, known := m.event(cell); !known {
			return fmt.Errorf("column %q holds %s, which is none of 0/1, no/yes and false/true; --positive names the value that is the event",
				m.column, strings.Join(quotedAll(m.seen), ", "))
		}
	}
	return nil
}

func quotedAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = fmt.Sprintf("%q", shorten(t, 40))
	}
	return out
}

func (m *measuredProbability) check(rows []int32) error {
	if err := m.unknown(); err != nil {
		return err
	}
	events := 0
	for _, row := range rows {
		if m.events[row] {
			events++
		}
	}
	if events == 0 || events == len(rows) {
		return fmt.Errorf("%d of %s have the event: with one class there is nothing to measure (column %q holds %s)",
			events, counted(len(rows), "rows"), m.column, strings.Join(quotedAll(m.seen), ", "))
	}
	return nil
}

func (m *measuredProbability) binary(version int, rows []int32) *evaluate.Binary {
	return evaluate.NewBinary(rows, m.p[version], m.events)
}

func (m *measuredProbability) samples(version int, rows []int32) []sampleOf {
	return []sampleOf{{"", m.binary(version, rows)}}
}

// measuredValue keeps 17 bytes a row and 9 for another version.
type measuredValue struct {
	predicted [2][]float64
	inside    [2][]bool
	truth     []float64
	interval  [2]bool
}

func (m *measuredValue) add(version, row int, cells []string, answer *scoringv1.HeadColumns, i int) string {
	left := ""
	if version == 0 {
		x, ok := number(cells[0])
		if cells[0] == "" {
			left = noTarget
		} else if !ok {
			left = fmt.Sprintf("target is no number: %q", cells[0])
		}
		m.truth = append(m.truth, x)
	}
	predicted, inside := 0.0, false
	if c := answer.GetValue(); c != nil {
		predicted = c.GetValues()[i]
		if len(c.GetLower()) > 0 {
			m.interval[version] = true
			inside = m.truth[row] >= c.GetLower()[i] && m.truth[row] <= c.GetUpper()[i]
		}
	}
	m.predicted[version] = append(m.predicted[version], predicted)
	m.inside[version] = append(m.inside[version], inside)
	return left
}

func (m *measuredValue) check([]int32) error { return nil }

func (m *measuredValue) values(version int, rows []int32) *evaluate.Values {
	inside := m.inside[version]
	if !m.interval[version] {
		inside = nil
	}
	return evaluate.NewValues(rows, m.predicted[version], m.truth, inside)
}

func (m *measuredValue) samples(version int, rows []int32) []sampleOf {
	return []sampleOf{{"", m.values(version, rows)}}
}

// measuredClasses keeps 25 bytes a row and 21 for another version.
type measuredClasses struct {
	names     []string
	place     map[string]int32
	truth     []int32
	predicted [2][]int32
	losses    [2][]float64
	sure      [2][]float64 // the likeliest class's probability
	wrong     error
}

func (m *measuredClasses) add(version, row int, cells []string, answer *scoringv1.HeadColumns, i int) string {
	c := answer.GetClasses()
	if m.names == nil && c != nil {
		m.names, m.place = c.GetNames(), make(map[string]int32)
		for k, name := range m.names {
			m.place[name] = int32(k)
		}
	}
	left := ""
	if version == 0 {
		k, ok := m.place[cells[0]]
		if cells[0] == "" {
			left = noTarget
		} else if !ok {
			left = fmt.Sprintf("target is no class of the model: %q", cells[0])
		}
		m.truth = append(m.truth, k)
	}
	predicted, loss, sure := int32(0), 0.0, 0.0
	if c != nil {
		n := len(c.GetNames())
		p := c.GetProbabilities()[i*n : (i+1)*n]
		best := 0
		for k := range p {
			if p[k] > p[best] {
				best = k
			}
		}
		sure = p[best]
		if version == 0 {
			predicted = int32(best)
			loss = evaluate.Loss(p[m.truth[row]], true)
		} else {
			k, ok := m.place[c.GetNames()[best]]
			at := slices.Index(c.GetNames(), m.names[m.truth[row]])
			if !ok || at < 0 || n != len(m.names) {
				m.wrong = errors.New("the two versions have other classes; say --alone")
				return ""
			}
			predicted, loss = k, evaluate.Loss(p[at], true)
		}
	}
	m.predicted[version] = append(m.predicted[version], predicted)
	m.losses[version] = append(m.losses[version], loss)
	m.sure[version] = append(m.sure[version], sure)
	return left
}

func (m *measuredClasses) check([]int32) error { return m.wrong }

func (m *measuredClasses) classes(version int, rows []int32) *evaluate.Classes {
	return evaluate.NewClasses(rows, m.truth, m.predicted[version], m.losses[version], len(m.names))
}

// certainty is how sure the version was of its likeliest class, and whether it
// was the true one.
func (m *measuredClasses) certainty(version int, rows []int32) *evaluate.Binary {
	right := make([]bool, len(m.truth))
	for i := range right {
		right[i] = m.predicted[version][i] == m.truth[i]
	}
	return evaluate.NewBinary(rows, m.sure[version], right)
}

func (m *measuredClasses) samples(version int, rows []int32) []sampleOf {
	return []sampleOf{{"", m.classes(version, rows)}}
}

// measuredForecast keeps 32 bytes a row for each version, however many points a
// forecast has.
type measuredForecast struct {
	horizon int
	columns int // of the target

	errors, truths, losses, points [2][]float64
	quantiles                      [2]bool
	steps                          [2][]evaluate.Point // by point: sums of absolute errors (Y) and of absolute truths (X)
}

func (m *measuredForecast) add(version, _ int, cells []string, answer *scoringv1.HeadColumns, i int) string {
	truth, left := m.truth(cells[:m.columns])
	var e, t, l, n float64
	if c := answer.GetForecast(); c != nil && left == "" {
		h, k := int(c.GetHorizon()), len(c.GetLevels())
		if len(truth) > h {
			left = fmt.Sprintf("target has more points than the forecast: %d, and %d", len(truth), h)
			truth = nil
		}
		values := c.GetValues()[i*h : (i+1)*h]
		m.quantiles[version] = k > 0
		e, t, l, n = evaluate.SeriesErrors(truth, values, c.GetQuantiles()[i*h*k:(i+1)*h*k], c.GetLevels())
		for len(m.steps[version]) < len(truth) {
			m.steps[version] = append(m.steps[version], evaluate.Point{})
		}
		for s, y := range truth {
			if !math.IsNaN(y) {
				m.steps[version][s].X += math.Abs(y)
				m.steps[version][s].Y += math.Abs(y - values[s])
			}
		}
	}
	m.errors[version] = append(m.errors[version], e)
	m.truths[version] = append(m.truths[version], t)
	m.losses[version] = append(m.losses[version], l)
	m.points[version] = append(m.points[version], n)
	return left
}

// truth reads the points: one cell each, or one cell with a JSON list. A point
// may be missing, all may not.
func (m *measuredForecast) truth(cells []string) (truth []float64, left string) {
	var list []*float64
	if len(cells) == 1 && strings.HasPrefix(cells[0], "[") {
		if err := json.Unmarshal([]byte(cells[0]), &list); err != nil {
			return nil, fmt.Sprintf("target is no list of numbers: %v", err)
		}
	} else {
		for _, cell := range cells {
			x, ok := number(cell)
			switch {
			case ok:
				list = append(list, &x)
			case cell == "":
				list = append(list, nil)
			default:
				return nil, fmt.Sprintf("target is no number: %q", cell)
			}
		}
	}
	known := false
	for _, x := range list {
		if x == nil {
			truth = append(truth, math.NaN())
		} else {
			truth = append(truth, *x)
			known = true
		}
	}
	if !known {
		return nil, noTarget
	}
	return truth, ""
}

func (m *measuredForecast) check([]int32) error { return nil }

func (m *measuredForecast) samples(version int, rows []int32) []sampleOf {
	losses := m.losses[version]
	if !m.quantiles[version] {
		losses = nil
	}
	return []sampleOf{{"", evaluate.NewForecasts(rows, m.errors[version], m.truths[version], losses, m.points[version])}}
}

// measuredUplift keeps 12 bytes a row and 8 for each treatment and version.
type measuredUplift struct {
	names []string
	sign  float64 // -1 where a lower outcome is better

	effects  [2][][]float64 // by treatment
	outcomes []float64
	had      []int32 // the treatment of each row, -1 for none
}

func (m *measuredUplift) add(version, _ int, cells []string, answer *scoringv1.HeadColumns, i int) string {
	left := ""
	if version == 0 {
		x, ok := m.outcome(cells[0])
		had, known := m.treatment(cells[1])
		switch {
		case cells[0] == "":
			left = noTarget
		case !ok:
			left = fmt.Sprintf("target is no number: %q", cells[0])
		case !known:
			left = fmt.Sprintf("treatment is none of the model's: %q", cells[1])
		}
		m.outcomes, m.had = append(m.outcomes, m.sign*x), append(m.had, had)
	}
	c := answer.GetUplift()
	if m.effects[version] == nil {
		m.effects[version] = make([][]float64, len(m.names))
	}
	for k, name := range m.names {
		effect := math.NaN()
		if c != nil {
			if at := slices.Index(c.GetNames(), name); at >= 0 {
				effect = m.sign * c.GetEffects()[i*len(c.GetNames())+at]
			} else {
				left = "treatment is not answered: " + name
			}
		}
		m.effects[version][k] = append(m.effects[version][k], effect)
	}
	return left
}

func (m *measuredUplift) outcome(cell string) (float64, bool) {
	switch strings.ToLower(cell) {
	case "yes", "true":
		return 1, true
	case "no", "false":
		return 0, true
	}
	return number(cell)
}

func (m *measuredUplift) treatment(cell string) (int32, bool) {
	if k := slices.Index(m.names, cell); k >= 0 {
		return int32(k), true
	}
	switch strings.ToLower(cell) {
	case "", "0", "none", "control", "no", "false":
		return -1, true
	case "1", "yes", "true":
		return 0, len(m.names) == 1
	}
	return 0, false
}

func (m *measuredUplift) check(rows []int32) error {
	by := make(map[int32]int)
	for _, row := range rows {
		by[m.had[row]]++
	}
	if by[-1] == 0 || len(by) == 1 {
		return fmt.Errorf("%d of %s had no treatment and %d had one: an effect is a difference between both", by[-1], counted(len(rows), "rows"), len(rows)-by[-1])
	}
	return nil
}

// uplift is one treatment beside none, on the rows that had either.
func (m *measuredUplift) uplift(version, treatment int, rows []int32) *evaluate.Uplift {
	treated := make([]bool, len(m.had))
	var either []int32
	for _, row := range rows {
		if had := int(m.had[row]); had == treatment || had < 0 {
			either = append(either, row)
			treated[row] = had == treatment
		}
	}
	return evaluate.NewUplift(either, m.effects[version][treatment], m.outcomes, treated)
}

func (m *measuredUplift) samples(version int, rows []int32) []sampleOf {
	tried := make(map[int]bool)
	for _, row := range rows {
		if m.had[row] >= 0 {
			tried[int(m.had[row])] = true
		}
	}
	var out []sampleOf
	for _, k := range slices.Sorted(maps.Keys(tried)) {
		about := m.names[k]
		if len(m.names) == 1 {
			about = ""
		}
		out = append(out, sampleOf{about, m.uplift(version, k, rows)})
	}
	return out
}
