package bundle

import (
	"fmt"
	"math"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

const maxLabels = 65536

// checkPreprocessing checks that the inputs that callers feed can be fed.
func (b *Bundle) checkPreprocessing() error {
	switch p := b.Manifest.GetPreprocessing().(type) {
	case *bundlev1.Manifest_Text:
		return b.checkText(p.Text)
	case *bundlev1.Manifest_Image:
		return b.checkImage(p.Image)
	case *bundlev1.Manifest_Row:
		return b.checkRow(p.Row)
	}
	return nil
}

// TextInputs returns the names of the inputs that take ids, mask and segment
// ids; a name is empty when the graph has no such input.
func (b *Bundle) TextInputs() (ids, mask, types string) {
	t := b.Manifest.GetText()
	has := func(name, fallback string) string {
		if name == "" {
			name = fallback
		}
		if _, ok := find(b.Inputs(), name); ok {
			return name
		}
		return ""
	}
	return has(t.GetInputIds(), "input_ids"), has(t.GetAttentionMask(), "attention_mask"), has(t.GetTokenTypeIds(), "token_type_ids")
}

func (b *Bundle) checkText(t *bundlev1.Text) error {
	if err := b.checkFile("text.tokenizer", t.GetTokenizer()); err != nil {
		return err
	}
	if t.GetStride() >= t.GetMaxLength() {
		return invalid("text.stride", "must be less than max_length")
	}
	ids, mask, types := b.TextInputs()
	if ids == "" {
		return invalid("text.input_ids", "no graph has an input for token ids; fed inputs are %s", list(b.Inputs()))
	}
	for _, v := range b.Inputs() {
		if v.Name != ids && v.Name != mask && v.Name != types {
			return invalid("text", "nothing feeds the input %q", v.Name)
		}
		if v.DType != tensor.Int64 && v.DType != tensor.Int32 {
			return invalid("text", "the input %q is %v, want int64 or int32", v.Name, v.DType)
		}
	}
	return nil
}

func (b *Bundle) checkImage(m *bundlev1.Image) error {
	inputs := b.Inputs()
	if len(inputs) != 1 || (m.GetInput() != "" && inputs[0].Name != m.GetInput()) {
		return invalid("image.input", "a picture feeds one input; the graphs want %s", list(inputs))
	}
	in := inputs[0]
	if !in.DType.IsFloat() && in.DType != tensor.Uint8 {
		return invalid("image.input", "the input %q is %v", in.Name, in.DType)
	}
	channels := 3
	if m.GetChannels() == bundlev1.Channels_CHANNELS_GRAY {
		channels = 1
	}
	for field, n := range map[string]int{"image.mean": len(m.GetMean()), "image.std": len(m.GetStd())} {
		if n > 1 && n != channels {
			return invalid(field, "%d values for %d channels", n, channels)
		}
	}
	for _, s := range m.GetStd() {
		if s == 0 || math.IsNaN(s) || math.IsInf(s, 0) {
			return invalid("image.std", "must be finite and not 0")
		}
	}
	if (m.GetCropWidth() == 0) != (m.GetCropHeight() == 0) {
		return invalid("image.crop_height", "crop_width and crop_height are given together")
	}
	r := m.GetResize()
	shortest := r.GetMode() == bundlev1.ResizeMode_RESIZE_MODE_SHORTEST_EDGE
	if !shortest && r.GetHeight() == 0 {
		return invalid("image.resize.height", "must be at least 1")
	}
	if shortest && m.GetCropWidth() == 0 {
		return invalid("image.crop_width", "with SHORTEST_EDGE a crop must make all pictures one size")
	}
	w, h := m.GetCropWidth(), m.GetCropHeight()
	if w == 0 {
		w, h = r.GetWidth(), r.GetHeight()
	}
	want := tensor.Shape{-1, int64(channels), int64(h), int64(w)}
	if m.GetLayout() == bundlev1.Layout_LAYOUT_NHWC {
		want = tensor.Shape{-1, int64(h), int64(w), int64(channels)}
	}
	if in.Shape != nil && !fits(in.Shape, want) {
		return invalid("image", "pictures become %v, the input %q takes %v", want, in.Name, in.Shape)
	}
	return nil
}

// fits compares shapes where both are known, the batch axis aside.
func fits(a, b tensor.Shape) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 1; i < len(a); i++ {
		if a[i] >= 0 && b[i] >= 0 && a[i] != b[i] {
			return false
		}
	}
	return true
}

// InputOf returns the graph input that a feature feeds.
func InputOf(f *bundlev1.Feature) string {
	if f.GetInput() != "" {
		return f.GetInput()
	}
	return f.GetName()
}

func (b *Bundle) checkRow(r *bundlev1.Row) error {
	inputs := b.Inputs()
	fed := map[string]bool{}
	names := map[string]bool{}
	matrix := r.GetMatrixInput()
	if matrix != "" {
		v, ok := find(inputs, matrix)
		if !ok {
			return invalid("row.matrix_input", "no graph takes the input %q; fed inputs are %s", matrix, list(inputs))
		}
		if len(v.Shape) == 2 && v.Shape[1] >= 0 && v.Shape[1] != int64(len(r.GetFeatures())) {
			return invalid("row.features", "%d features for a matrix of %d columns", len(r.GetFeatures()), v.Shape[1])
		}
		fed[matrix] = true
	}
	for i, f := range r.GetFeatures() {
		field := fmt.Sprintf("row.features[%d]", i)
		for _, name := range append([]string{f.GetName()}, f.GetAliases()...) {
			if names[name] {
				return invalid(field, "the name %q is taken", name)
			}
			names[name] = true
		}
		if f.GetType() == bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE {
			if matrix != "" {
				return invalid(field+".type", "a sequence is no column of a matrix")
			}
			if err := checkSequence(field, f, inputs, fed); err != nil {
				return err
			}
			continue
		}
		if matrix != "" {
			if f.GetType() == bundlev1.FeatureType_FEATURE_TYPE_STRING {
				v, _ := find(inputs, matrix)
				if v.DType != tensor.String {
					return invalid(field+".type", "a string is no column of a %v matrix", v.DType)
				}
			}
			continue
		}
		if err := checkFeature(field, f, inputs, fed); err != nil {
			return err
		}
		v, _ := find(inputs, InputOf(f))
		if v.Shape != nil && (len(v.Shape) > 2 || len(v.Shape) == 0 || (len(v.Shape) == 2 && v.Shape[1] > 1)) {
			return invalid(field+".input", "the input %q takes %v, want [N] or [N,1]", v.Name, v.Shape)
		}
	}
	for _, v := range inputs {
		if !fed[v.Name] {
			return invalid("row.features", "no feature feeds the input %q", v.Name)
		}
	}
	return nil
}

func checkSequence(field string, f *bundlev1.Feature, inputs []Value, fed map[string]bool) error {
	if len(f.GetFields()) == 0 || f.GetMaxEvents() == 0 {
		return invalid(field, "a sequence needs fields and max_events")
	}
	if f.GetDefault() != nil {
		return invalid(field+".default", "a sequence has no default; a missing one is empty")
	}
	if name := f.GetLengthInput(); name != "" {
		v, ok := find(inputs, name)
		if !ok || v.DType != tensor.Int64 {
			return invalid(field+".length_input", "no graph takes an int64 input %q", name)
		}
		fed[name] = true
	}
	for j, sub := range f.GetFields() {
		at := fmt.Sprintf("%s.fields[%d]", field, j)
		if sub.GetType() == bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE {
			return invalid(at+".type", "sequences do not nest")
		}
		if err := checkFeature(at, sub, inputs, fed); err != nil {
			return err
		}
		v, _ := find(inputs, InputOf(sub))
		if v.Shape != nil && len(v.Shape) != 2 {
			return invalid(at+".input", "the input %q takes %v, want [N,events]", v.Name, v.Shape)
		}
	}
	return nil
}

func checkFeature(field string, f *bundlev1.Feature, inputs []Value, fed map[string]bool) error {
	v, ok := find(inputs, InputOf(f))
	if !ok {
		return invalid(field+".input", "no graph takes the input %q; fed inputs are %s", InputOf(f), list(inputs))
	}
	if fed[v.Name] {
		return invalid(field+".input", "the input %q is fed twice", v.Name)
	}
	fed[v.Name] = true
	if !accepts(f.GetType(), v.DType) {
		return invalid(field+".type", "%v does not fit the input %q of %v", f.GetType(), v.Name, v.DType)
	}
	return nil
}

// accepts tells whether a feature of type t can be written to elements of d.
func accepts(t bundlev1.FeatureType, d tensor.DType) bool {
	switch t {
	case bundlev1.FeatureType_FEATURE_TYPE_FLOAT:
		return d.IsFloat()
	case bundlev1.FeatureType_FEATURE_TYPE_INT:
		return d != tensor.String && d != tensor.Bool && d != tensor.Invalid
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		return d != tensor.String && d != tensor.Invalid
	case bundlev1.FeatureType_FEATURE_TYPE_STRING:
		return d == tensor.String
	case bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
		return d == tensor.Int64 || d == tensor.Float64
	}
	return false
}

func (b *Bundle) checkHead(name string, h *bundlev1.Head) error {
	field := fmt.Sprintf("heads[%q]", name)
	src, err := ParseSource(h.GetSource())
	if err != nil {
		return within(field+".source", err)
	}
	v, err := b.value(src)
	if err != nil {
		return within(field+".source", err)
	}
	if !v.DType.IsFloat() {
		return invalid(field+".source", "%s is %v, want floats", src, v.DType)
	}
	columns := int64(-1) // unknown
	switch {
	case len(v.Shape) == 1:
		columns = 1
	case len(v.Shape) == 2:
		columns = v.Shape[1]
	}
	column := func(at string, c int32) error {
		if columns >= 0 && int64(c) >= columns {
			return invalid(field+at, "%s has %d columns", src, columns)
		}
		return nil
	}
	switch k := h.GetKind().(type) {
	case *bundlev1.Head_Probability:
		if err := column(".probability.column", k.Probability.GetColumn()); err != nil {
			return err
		}
		return b.checkProbability(field+".probability", k.Probability)
	case *bundlev1.Head_Value:
		return column(".value.column", k.Value.GetColumn())
	case *bundlev1.Head_Sentiment:
		s := k.Sentiment
		for at, c := range map[string]int32{".sentiment.negative": s.GetNegative(), ".sentiment.neutral": s.GetNeutral(), ".sentiment.positive": s.GetPositive()} {
			if err := column(at, c); err != nil {
				return err
			}
		}
		if s.GetNegative() == s.GetNeutral() || s.GetNeutral() == s.GetPositive() || s.GetNegative() == s.GetPositive() {
			return invalid(field+".sentiment", "negative, neutral and positive must be three columns")
		}
	case *bundlev1.Head_Classes:
		return b.readLabels(name, field+".classes", k.Classes.GetNames(), k.Classes.GetNamesFile(), columns)
	case *bundlev1.Head_Labels:
		return b.readLabels(name, field+".labels", k.Labels.GetNames(), k.Labels.GetNamesFile(), columns)
	}
	return nil
}

func (b *Bundle) readLabels(head, field string, names []string, file string, columns int64) error {
	if (len(names) > 0) == (file != "") {
		return invalid(field, "exactly one of names and names_file must be given")
	}
	if file != "" {
		if err := b.checkFile(field+".names_file", file); err != nil {
			return err
		}
		f, err := b.FS.Open(file)
		if err != nil {
			return invalid(field+".names_file", "%v", cause(err))
		}
		defer f.Close()
		if names, err = readLines(f, maxLabels); err != nil {
			return invalid(field+".names_file", "%v", cause(err))
		}
	}
	if columns >= 0 && int64(len(names)) != columns {
		return invalid(field, "%d names for %d columns", len(names), columns)
	}
	b.Labels[head] = names
	return nil
}

func (b *Bundle) checkProbability(field string, p *bundlev1.Probability) error {
	for at, s := range map[string]string{".raw_score": p.GetRawScore(), ".reasons.contributions": p.GetReasons().GetContributions()} {
		if s == "" {
			continue
		}
		src, err := ParseSource(s)
		if err == nil {
			_, err = b.value(src)
		}
		if err != nil {
			return within(field+at, err)
		}
	}
	if err := ascending(field+".quantiles", p.GetQuantiles(), false); err != nil {
		return err
	}
	if n := len(p.GetQuantiles()); n == 1 {
		return invalid(field+".quantiles", "one value is no table")
	}
	bands := make([]float64, len(p.GetBands()))
	for i, band := range p.GetBands() {
		bands[i] = band.GetMinProbability()
	}
	if err := ascending(field+".bands", bands, true); err != nil {
		return err
	}
	if len(bands) > 0 && bands[0] != 0 {
		return invalid(field+".bands[0].min_probability", "the first band begins at 0")
	}
	if pts := p.GetCalibration().GetPoints(); pts != nil {
		if len(pts.GetScores()) != len(pts.GetProbabilities()) {
			return invalid(field+".calibration.points", "%d scores and %d probabilities", len(pts.GetScores()), len(pts.GetProbabilities()))
		}
		if err := ascending(field+".calibration.points.scores", pts.GetScores(), true); err != nil {
			return err
		}
		if err := ascending(field+".calibration.points.probabilities", pts.GetProbabilities(), false); err != nil {
			return err
		}
	}
	if r := p.GetReasons(); r != nil {
		row := b.Manifest.GetRow()
		if row == nil {
			return invalid(field+".reasons", "reasons need the features of a row")
		}
		src, _ := ParseSource(r.GetContributions())
		if v, err := b.value(src); err == nil && len(v.Shape) == 2 && v.Shape[1] >= 0 && v.Shape[1] != int64(len(row.GetFeatures())) {
			return invalid(field+".reasons.contributions", "%d columns for %d features", v.Shape[1], len(row.GetFeatures()))
		}
		known := map[string]bool{}
		for _, f := range row.GetFeatures() {
			known[f.GetName()] = true
		}
		for i, c := range r.GetCodes() {
			if !known[c.GetFeature()] {
				return invalid(fmt.Sprintf("%s.reasons.codes[%d].feature", field, i), "there is no feature %q", c.GetFeature())
			}
		}
	}
	return nil
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
