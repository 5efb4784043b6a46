package bundle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

const maxLabels = 65536

// Reads returns every tensor that a head reads, as GRAPH.OUTPUT.
func Reads(h *bundlev1.Head) []string {
	out := []string{h.GetSource()}
	read := []string{h.GetProbability().GetRawScore(), ReasonsOf(h).GetContributions(), h.GetForecast().GetMean(),
		h.GetFaces().GetScores(), h.GetFaces().GetCheck().GetSource(), h.GetFaces().GetCheck().GetPoints(), h.GetFaces().GetExpressions().GetSource(),
	}
	for _, r := range h.GetTextLines().GetReaders() {
		read = append(read, r.GetCharacters(), r.GetScores())
	}
	for _, s := range read {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// ReasonsOf returns a head's reasons; nil when it gives none.
func ReasonsOf(h *bundlev1.Head) *bundlev1.Reasons {
	if p := h.GetProbability(); p != nil {
		return p.GetReasons()
	}
	return h.GetValue().GetReasons()
}

// columnsOf is the number of columns of a head's source, axes after the second
// counted in; -1 when the graph does not tell.
func columnsOf(v Value) int64 {
	if len(v.Shape) == 0 {
		return -1
	}
	columns := int64(1)
	for _, d := range v.Shape[1:] {
		if d < 0 {
			return -1
		}
		columns *= d
	}
	return columns
}

// floats returns the declared output that a head reads, which holds floats.
func (b *Bundle) floats(field, source string) (Value, error) {
	src, err := ParseSource(source)
	if err != nil {
		return Value{}, within(field, err)
	}
	v, err := b.value(src)
	if err != nil {
		return Value{}, within(field, err)
	}
	if !v.DType.IsFloat() {
		return Value{}, invalid(field, "%s is %v, want floats", src, v.DType)
	}
	return v, nil
}

// headCheck checks one head.
type headCheck struct {
	*Bundle
	name    string
	field   string // `heads["churn"]`
	source  string
	columns int64 // of the source, -1 when unknown
}

func (b *Bundle) checkHead(name string, h *bundlev1.Head) error {
	field := fmt.Sprintf("heads[%q]", name)
	v, err := b.floats(field+".source", h.GetSource())
	if err != nil {
		return err
	}
	c := headCheck{Bundle: b, name: name, field: field, source: h.GetSource(), columns: columnsOf(v)}
	switch k := h.GetKind().(type) {
	case *bundlev1.Head_Probability:
		return c.probability(k.Probability)
	case *bundlev1.Head_Value:
		return c.value(k.Value)
	case *bundlev1.Head_Embedding:
		if k.Embedding.GetPooling() != 0 && (b.Manifest.GetText() == nil || v.Shape != nil && len(v.Shape) != 3) {
			return c.invalid(".embedding.pooling", "is for texts and a source [N, tokens, size]; %s is %s", c.source, shapeText(v.Shape))
		}
	case *bundlev1.Head_Sentiment:
		return c.sentiment(k.Sentiment)
	case *bundlev1.Head_Targets:
		return c.targets(k.Targets, v)
	case *bundlev1.Head_Classes:
		return c.labels(".classes", k.Classes.GetNames(), k.Classes.GetNamesFile())
	case *bundlev1.Head_Labels:
		return c.labels(".labels", k.Labels.GetNames(), k.Labels.GetNamesFile())
	case *bundlev1.Head_Segment:
		return c.segment(k.Segment)
	case *bundlev1.Head_Uplift:
		return c.uplift(k.Uplift)
	case *bundlev1.Head_Forecast:
		return c.forecast(k.Forecast)
	case *bundlev1.Head_SafeSearch:
		return c.column(".safe_search.adult_column", k.SafeSearch.GetAdultColumn())
	case *bundlev1.Head_Faces:
		return c.faces(k.Faces)
	case *bundlev1.Head_TextLines:
		return c.textLines(k.TextLines, v)
	}
	return nil
}

func (c headCheck) invalid(at, format string, args ...any) error {
	return invalid(c.field+at, format, args...)
}

// column checks that the source has a column.
func (c headCheck) column(at string, column int32) error {
	if c.columns >= 0 && int64(column) >= c.columns {
		return c.invalid(at, "%s has %d columns", c.source, c.columns)
	}
	return nil
}

// column is a column that a manifest names, and where.
type column struct {
	at     string
	column int32
}

func (c headCheck) inSource(columns ...column) error {
	for _, want := range columns {
		if err := c.column(want.at, want.column); err != nil {
			return err
		}
	}
	return nil
}

func (c headCheck) sentiment(s *bundlev1.Sentiment) error {
	if n := len(s.GetColumns()); n > 0 {
		switch {
		case s.GetNegative() != 0 || s.GetNeutral() != 0 || s.GetPositive() != 0:
			return c.invalid(".sentiment.columns", "are given instead of negative, neutral and positive")
		case c.columns >= 0 && c.columns != int64(n):
			return c.invalid(".sentiment.columns", "%d polarities for the %d columns of %s", n, c.columns, c.source)
		case !slices.Contains(s.GetColumns(), bundlev1.Polarity_POLARITY_NEGATIVE) || !slices.Contains(s.GetColumns(), bundlev1.Polarity_POLARITY_POSITIVE):
			return c.invalid(".sentiment.columns", "there must be a negative and a positive one")
		}
		return nil
	}
	if err := c.inSource(column{".sentiment.negative", s.GetNegative()}, column{".sentiment.neutral", s.GetNeutral()}, column{".sentiment.positive", s.GetPositive()}); err != nil {
		return err
	}
	if s.GetNegative() == s.GetNeutral() || s.GetNeutral() == s.GetPositive() || s.GetNegative() == s.GetPositive() {
		return c.invalid(".sentiment", "negative, neutral and positive must be three columns")
	}
	return nil
}

// targets checks a head that reads a row of logits for each token.
func (c headCheck) targets(t *bundlev1.Targets, v Value) error {
	const at = ".targets"
	if c.Manifest.GetText() == nil {
		return c.invalid(at, "needs texts")
	}
	if v.Shape != nil && len(v.Shape) != 3 {
		return c.invalid(".source", "%s has %d axes, want [N, tokens, 3]", c.source, len(v.Shape))
	}
	if c.columns = -1; v.Shape != nil {
		c.columns = v.Shape[2]
	}
	if err := c.inSource(column{at + ".negative", t.GetNegative()}, column{at + ".neutral", t.GetNeutral()}, column{at + ".positive", t.GetPositive()}); err != nil {
		return err
	}
	if t.GetNegative() == t.GetNeutral() || t.GetNeutral() == t.GetPositive() || t.GetNegative() == t.GetPositive() {
		return c.invalid(at, "negative, neutral and positive must be three columns")
	}
	return nil
}

// labels reads the names of classes.
func (c headCheck) labels(at string, names []string, file string) error {
	if (len(names) > 0) == (file != "") {
		return c.invalid(at, "exactly one of names and names_file must be given")
	}
	if file != "" {
		at += ".names_file"
		if err := c.checkFile(c.field+at, file); err != nil {
			return err
		}
		f, err := c.FS.Open(file)
		if err != nil {
			return c.invalid(at, "%v", cause(err))
		}
		defer f.Close()
		if names, err = readLines(f, maxLabels); err != nil {
			return c.invalid(at, "%v", cause(err))
		}
	}
	if c.columns >= 0 && int64(len(names)) != c.columns {
		return c.invalid(at, "%d names for %d columns", len(names), c.columns)
	}
	c.Labels[c.name] = names
	return nil
}

func (c headCheck) probability(p *bundlev1.Probability) error {
	const at = ".probability"
	if err := c.column(at+".column", p.GetColumn()); err != nil {
		return err
	}
	if p.GetRawScore() != "" {
		if _, err := c.floats(c.field+at+".raw_score", p.GetRawScore()); err != nil {
			return err
		}
	}
	if err := c.population(at, p.GetQuantiles()); err != nil {
		return err
	}
	bands := make([]float64, len(p.GetBands()))
	for i, band := range p.GetBands() {
		bands[i] = band.GetMinProbability()
	}
	if err := ascending(c.field+at+".bands", bands, true); err != nil {
		return err
	}
	if len(bands) > 0 && bands[0] != 0 {
		return c.invalid(at+".bands[0].min_probability", "the first band begins at 0")
	}
	if pts := p.GetCalibration().GetPoints(); pts != nil {
		if len(pts.GetScores()) != len(pts.GetProbabilities()) {
			return c.invalid(at+".calibration.points", "%d scores and %d probabilities", len(pts.GetScores()), len(pts.GetProbabilities()))
		}
		if err := ascending(c.field+at+".calibration.points.scores", pts.GetScores(), true); err != nil {
			return err
		}
		if err := ascending(c.field+at+".calibration.points.probabilities", pts.GetProbabilities(), false); err != nil {
			return err
		}
	}
	return c.reasons(at, p.GetReasons())
}

// population checks the quantiles of a training population.
func (c headCheck) population(at string, quantiles []float64) error {
	if len(quantiles) == 1 {
		return c.invalid(at+".quantiles", "one value is no table")
	}
	return ascending(c.field+at+".quantiles", quantiles, false)
}

func (c headCheck) reasons(at string, r *bundlev1.Reasons) error {
	if r == nil {
		return nil
	}
	at += ".reasons"
	row := c.Manifest.GetRow()
	if row == nil {
		return c.invalid(at, "reasons need the features of a row")
	}
	known := map[string]bool{}
	for _, f := range row.GetFeatures() {
		known[f.GetName()] = true
	}
	if r.GetContributions() == "" {
		if row.GetBackground() == "" {
			return c.invalid(at, "needs contributions, or rows to compare with in row.background")
		}
		for _, g := range row.GetGroups() {
			known[g.GetName()] = true
		}
	} else {
		v, err := c.floats(c.field+at+".contributions", r.GetContributions())
		if err != nil {
			return err
		}
		if n := columnsOf(v); n >= 0 && n != int64(len(row.GetFeatures())) {
			return c.invalid(at+".contributions", "%d columns for %d features", n, len(row.GetFeatures()))
		}
	}
	for i, code := range r.GetCodes() {
		if !known[code.GetFeature()] {
			return c.invalid(fmt.Sprintf("%s.codes[%d].feature", at, i), "there is no feature %q", code.GetFeature())
		}
	}
	return nil
}

func (c headCheck) value(v *bundlev1.Value) error {
	const at = ".value"
	var err error
	switch k := v.GetInterval().(type) {
	case *bundlev1.Value_QuantileInterval:
		q := k.QuantileInterval
		err = c.inSource(column{at + ".column", v.GetColumn()},
			column{at + ".quantile_interval.lower_column", q.GetLowerColumn()}, column{at + ".quantile_interval.upper_column", q.GetUpperColumn()})
	case *bundlev1.Value_LogNormal:
		n := k.LogNormal
		err = c.inSource(column{at + ".log_normal.mu_column", n.GetMuColumn()}, column{at + ".log_normal.sigma_column", n.GetSigmaColumn()},
			column{at + ".log_normal.probability_column", n.GetProbabilityColumn()})
		if err == nil && n.GetMuColumn() == n.GetSigmaColumn() {
			err = c.invalid(at+".log_normal", "mu and sigma must be two columns")
		}
	default:
		err = c.column(at+".column", v.GetColumn())
	}
	if err != nil {
		return err
	}
	if err := c.population(at, v.GetQuantiles()); err != nil {
		return err
	}
	bands := make([]float64, len(v.GetBands()))
	for i, band := range v.GetBands() {
		bands[i] = band.GetMinValue()
	}
	if err := ascending(c.field+at+".bands", bands, true); err != nil {
		return err
	}
	return c.reasons(at, v.GetReasons())
}

func (c headCheck) segment(s *bundlev1.Segment) error {
	const at = ".segment"
	columns := int(c.columns)
	if columns < 0 {
		columns = len(s.GetClusters()[0].GetCentroid())
	}
	seen := map[string]bool{}
	for i, k := range s.GetClusters() {
		at := fmt.Sprintf("%s.clusters[%d]", at, i)
		if n := len(k.GetCentroid()); n != columns {
			return c.invalid(at+".centroid", "%d numbers for %d columns", n, columns)
		}
		if seen[k.GetName()] && s.GetGridColumns() == 0 {
			return c.invalid(at+".name", "the name %q is taken", k.GetName())
		}
		seen[k.GetName()] = true
		n := len(k.GetVariance())
		switch {
		case s.GetMixture() == nil && (n > 0 || k.GetWeight() > 0):
			return c.invalid(at, "variance and weight belong to a mixture")
		case s.GetMixture() != nil && n != 1 && n != columns:
			return c.invalid(at+".variance", "%d numbers, want 1 or %d", n, columns)
		case (k.GetWeight() > 0) != (s.GetClusters()[0].GetWeight() > 0):
			return c.invalid(at+".weight", "all clusters have one, or none")
		}
	}
	if g := int(s.GetGridColumns()); g > 0 && len(s.GetClusters())%g != 0 {
		return c.invalid(at+".grid_columns", "%d clusters fill no grid of %d columns", len(s.GetClusters()), g)
	}
	return nil
}

func (c headCheck) uplift(u *bundlev1.Uplift) error {
	const at = ".uplift"
	if err := c.column(at+".control_column", u.GetControlColumn()); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, t := range u.GetTreatments() {
		at := fmt.Sprintf("%s.treatments[%d]", at, i)
		if seen[t.GetName()] {
			return c.invalid(at+".name", "the name %q is taken", t.GetName())
		}
		seen[t.GetName()] = true
		if (t.LowerColumn == nil) != (t.UpperColumn == nil) {
			return c.invalid(at, "lower_column and upper_column are given together")
		}
		if t.LowerColumn != nil && u.GetLevel() == 0 {
			return c.invalid(".uplift.level", "must say how many effects lie within the intervals")
		}
		if err := c.inSource(column{at + ".column", t.GetColumn()}, column{at + ".lower_column", t.GetLowerColumn()}, column{at + ".upper_column", t.GetUpperColumn()}); err != nil {
			return err
		}
	}
	return nil
}

func (c headCheck) forecast(f *bundlev1.Forecast) error {
	const at = ".forecast"
	points, levels := int64(f.GetHorizon()), int64(len(f.GetQuantiles()))
	if err := ascending(c.field+at+".quantiles", f.GetQuantiles(), true); err != nil {
		return err
	}
	if want := points * max(levels, 1); c.columns >= 0 && c.columns != want {
		return c.invalid(at, "%s has %d columns, want %d points × %d numbers", c.source, c.columns, points, max(levels, 1))
	}
	if step := f.GetStep(); step != nil && (step.CheckValid() != nil || step.AsDuration() <= 0) {
		return c.invalid(at+".step", "must be longer than 0")
	}
	if f.GetMean() == "" {
		if q := f.GetQuantiles(); levels > 0 && (q[0] > 0.5 || q[levels-1] < 0.5) {
			return c.invalid(at+".quantiles", "must reach the median, 0.5, or there must be a mean")
		}
		return nil
	}
	if levels == 0 {
		return c.invalid(at+".mean", "the source holds the points where there are no quantiles")
	}
	v, err := c.floats(c.field+at+".mean", f.GetMean())
	if err != nil {
		return err
	}
	if n := columnsOf(v); n >= 0 && n != points {
		return c.invalid(at+".mean", "%d columns for %d points", n, points)
	}
	return nil
}

func (c headCheck) faces(f *bundlev1.Faces) error {
	const at = ".faces"
	boxes, err := ParseSource(c.source)
	if err != nil {
		return err
	}
	if c.Manifest.GetImage() == nil || c.Crop(boxes.Graph) != nil {
		return c.invalid(".source", "faces are found in a whole picture")
	}
	scores, err := c.floats(c.field+at+".scores", f.GetScores())
	if err != nil {
		return err
	}
	if n := columnsOf(scores); c.columns >= 0 && (c.columns%4 != 0 || n >= 0 && c.columns != 4*n) {
		return c.invalid(at+".scores", "%d scores for %d numbers of boxes, 4 each", n, c.columns)
	}
	if k := f.GetCheck(); k != nil {
		n, err := c.ofCrops(at+".check.source", k.GetSource())
		if err != nil {
			return err
		}
		if n >= 0 && int64(k.GetColumn()) >= n {
			return c.invalid(at+".check.column", "%s has %d columns", k.GetSource(), n)
		}
		if (k.GetPoints() == "") != (len(k.GetNames()) == 0) {
			return c.invalid(at+".check.names", "points and names are given together")
		}
		if k.GetPoints() != "" {
			if n, err = c.ofCrops(at+".check.points", k.GetPoints()); err != nil {
				return err
			}
			if n >= 0 && n != 2*int64(len(k.GetNames())) {
				return c.invalid(at+".check.names", "%d names for %d coordinates", len(k.GetNames()), n)
			}
		}
	}
	if e := f.GetExpressions(); e != nil {
		n, err := c.ofCrops(at+".expressions.source", e.GetSource())
		if err != nil {
			return err
		}
		if n >= 0 && n != int64(len(e.GetNames())) {
			return c.invalid(at+".expressions.names", "%d names for %d columns", len(e.GetNames()), n)
		}
	}
	return nil
}

// textLines checks a head that reads a map of the picture, and what lines say.
func (c headCheck) textLines(l *bundlev1.TextLines, v Value) error {
	const at = ".text_lines"
	src, err := ParseSource(c.source)
	if err != nil {
		return err
	}
	if c.Manifest.GetImage() == nil || c.Crop(src.Graph) != nil {
		return c.invalid(".source", "text is found in a whole picture")
	}
	if v.Shape != nil && (len(v.Shape) != 4 || v.Shape[1] > 1) {
		return c.invalid(".source", "%s is %s, want [N, 1, rows, columns]", c.source, shapeText(v.Shape))
	}
	for i, r := range l.GetReaders() {
		if err := c.lineReader(fmt.Sprintf("%s.readers[%d]", at, i), r, l.GetReaders()[0]); err != nil {
			return err
		}
	}
	return nil
}

// lineReader checks what reads the lines, by outputs of the same graph as the first
// reader's.
func (c headCheck) lineReader(at string, l, first *bundlev1.LineReader) error {
	characters, err := ParseSource(l.GetCharacters())
	if err != nil {
		return within(c.field+at+".characters", err)
	}
	if of, _ := ParseSource(first.GetCharacters()); of.Graph != characters.Graph {
		return c.invalid(at+".characters", "is not of graph %q, which the first reader is of", of.Graph)
	}
	v, err := c.Bundle.value(characters)
	if err != nil {
		return within(c.field+at+".characters", err)
	}
	if v.DType != tensor.Int64 {
		return c.invalid(at+".characters", "%s is %v, want int64", characters, v.DType)
	}
	if v.Shape != nil && len(v.Shape) != 2 {
		return c.invalid(at+".characters", "%s is %s, want [N, steps]", characters, shapeText(v.Shape))
	}
	if c.Crop(characters.Graph).GetMaxLineWidth() == 0 {
		return c.invalid(at+".characters", "the step of graph %q has no crop with max_line_width", characters.Graph)
	}
	if scores, _ := ParseSource(l.GetScores()); scores.Graph != characters.Graph {
		return c.invalid(at+".scores", "is not of graph %q, which tells the characters", characters.Graph)
	}
	scores, err := c.floats(c.field+at+".scores", l.GetScores())
	if err != nil {
		return err
	}
	if scores.Shape != nil && len(scores.Shape) != 2 {
		return c.invalid(at+".scores", "%s is %s, want [N, steps]", l.GetScores(), shapeText(scores.Shape))
	}
	if err := c.checkFile(c.field+at+".characters_file", l.GetCharactersFile()); err != nil {
		return err
	}
	f, err := c.FS.Open(l.GetCharactersFile())
	if err != nil {
		return c.invalid(at+".characters_file", "%v", cause(err))
	}
	defer f.Close()
	if c.Alphabets[l.GetCharactersFile()], err = readCharacters(f); err != nil {
		return c.invalid(at+".characters_file", "%v", cause(err))
	}
	return nil
}

// maxCharacter is the most bytes of what a network takes for one character: what is
// longer would make texts that no answer holds.
const maxCharacter = 64

// readCharacters returns the lines of a text file, which are characters.
func readCharacters(r io.Reader) ([]string, error) {
	var characters []string
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		c := scanner.Text()
		if n := len(characters) + 1; n > maxLabels {
			return nil, fmt.Errorf("more than %d lines", maxLabels)
		} else if c == "" || len(c) > maxCharacter || !utf8.ValidString(c) || strings.ContainsFunc(c, unicode.IsControl) {
			return nil, fmt.Errorf("line %d is no character: want 1 to %d bytes of UTF-8 without control characters", n, maxCharacter)
		}
		characters = append(characters, c)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", len(characters)+1, err)
	}
	if len(characters) == 0 {
		return nil, errors.New("there are no characters")
	}
	return characters, nil
}

// ofCrops returns the columns of an output of a graph that takes crops, -1 when
// unknown.
func (c headCheck) ofCrops(at, source string) (int64, error) {
	v, err := c.floats(c.field+at, source)
	if err != nil {
		return 0, err
	}
	if src, _ := ParseSource(source); c.Crop(src.Graph) == nil {
		return 0, c.invalid(at, "the step of graph %q has no crop", src.Graph)
	}
	return columnsOf(v), nil
}

func ascending(field string, values []float64, strictly bool) error {
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return invalid(fmt.Sprintf("%s[%d]", field, i), "is not a finite number")
		}
		if i > 0 && (v < values[i-1] || (strictly && v == values[i-1])) {
			return invalid(fmt.Sprintf("%s[%d]", field, i), "is not above the one before")
		}
	}
	return nil
}
