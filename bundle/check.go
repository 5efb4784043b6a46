package bundle

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// checkPreprocessing checks that the inputs that callers feed can be fed.
func (b *Bundle) checkPreprocessing() error {
	switch p := b.Manifest.GetPreprocessing().(type) {
	case *bundlev1.Manifest_Text:
		return b.checkText(p.Text)
	case *bundlev1.Manifest_Image:
		return checkImage("image", p.Image, b.Inputs())
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

// checkImage checks the preprocessing at a field, which feeds one of inputs.
func checkImage(at string, m *bundlev1.Image, inputs []Value) error {
	if len(inputs) != 1 || (m.GetInput() != "" && inputs[0].Name != m.GetInput()) {
		return invalid(at+".input", "a picture feeds one input; the graphs want %s", list(inputs))
	}
	in := inputs[0]
	if !in.DType.IsFloat() && in.DType != tensor.Uint8 {
		return invalid(at+".input", "the input %q is %v", in.Name, in.DType)
	}
	channels := 3
	if m.GetChannels() == bundlev1.Channels_CHANNELS_GRAY {
		channels = 1
	}
	for field, n := range map[string]int{at + ".mean": len(m.GetMean()), at + ".std": len(m.GetStd())} {
		if n > 1 && n != channels {
			return invalid(field, "%d values for %d channels", n, channels)
		}
	}
	for _, s := range m.GetStd() {
		if s == 0 || math.IsNaN(s) || math.IsInf(s, 0) {
			return invalid(at+".std", "must be finite and not 0")
		}
	}
	if (m.GetCropWidth() == 0) != (m.GetCropHeight() == 0) {
		return invalid(at+".crop_height", "crop_width and crop_height are given together")
	}
	r := m.GetResize()
	shortest := r.GetMode() == bundlev1.ResizeMode_RESIZE_MODE_SHORTEST_EDGE
	if !shortest && r.GetHeight() == 0 {
		return invalid(at+".resize.height", "must be at least 1")
	}
	if shortest && m.GetCropWidth() == 0 {
		return invalid(at+".crop_width", "with SHORTEST_EDGE a crop must make all pictures one size")
	}
	if r.GetMaxEdge() != 0 && (!shortest || r.GetMaxEdge() < r.GetWidth()) {
		return invalid(at+".resize.max_edge", "goes with SHORTEST_EDGE and is at least the width")
	}
	letterbox := r.GetMode() == bundlev1.ResizeMode_RESIZE_MODE_LETTERBOX
	if n := len(r.GetPadColor()); n != 0 && (!letterbox || n != 3) {
		return invalid(at+".resize.pad_color", "goes with LETTERBOX and has 3 values")
	}
	if letterbox && m.GetCropWidth() != 0 {
		return invalid(at+".crop_width", "a letterboxed picture is not cropped")
	}
	if m.GetCropFloor() && m.GetCropWidth() == 0 {
		return invalid(at+".crop_floor", "goes with crop_width")
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
		return invalid(at, "pictures become %v, the input %q takes %v", want, in.Name, in.Shape)
	}
	return nil
}

// checkLine checks how lines of text become an input, where they do.
func checkLine(at string, c *bundlev1.Crop, in Value) error {
	most := c.GetMaxLineWidth()
	if most == 0 {
		return nil
	}
	m, r := c.GetImage(), c.GetImage().GetResize()
	switch {
	case c.GetSquare() || c.GetMargin() != 0:
		return invalid(at+".max_line_width", "a line has neither margin nor square")
	case m.GetCropWidth() != 0 || r.GetMode() != 0 && r.GetMode() != bundlev1.ResizeMode_RESIZE_MODE_STRETCH:
		return invalid(at+".image", "lines are stretched, and not cropped")
	case most < r.GetWidth() || most%r.GetWidth() != 0:
		return invalid(at+".max_line_width", "is no multiple of the width, %d", r.GetWidth())
	}
	axis := 3
	if m.GetLayout() == bundlev1.Layout_LAYOUT_NHWC {
		axis = 2
	}
	if in.Shape != nil && in.Shape[axis] >= 0 && in.Shape[axis] != int64(most) {
		return invalid(at+".max_line_width", "the input %q takes the width %d only", in.Name, in.Shape[axis])
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
			if err := b.checkSequence(field, f, inputs, fed); err != nil {
				return err
			}
			continue
		}
		if f.GetAhead() {
			return invalid(field+".ahead", "is for sequences")
		}
		if matrix != "" {
			v, _ := find(inputs, matrix)
			if err := checkEncoding(field, f, v.DType); err != nil {
				return err
			}
			if f.GetTime() != 0 {
				return invalid(field+".time", "is for events of a sequence")
			}
			continue
		}
		if err := checkFeature(field, f, inputs, fed); err != nil {
			return err
		}
		if f.GetTime() != 0 {
			return invalid(field+".time", "is for events of a sequence")
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
	if err := checkGroups(r); err != nil {
		return err
	}
	if r.GetBackground() != "" {
		return b.checkFile("row.background", r.GetBackground())
	}
	return nil
}

func checkGroups(r *bundlev1.Row) error {
	free := map[string]bool{} // features that no group has yet
	for _, f := range r.GetFeatures() {
		free[f.GetName()] = true
	}
	names := map[string]bool{}
	for i, g := range r.GetGroups() {
		field := fmt.Sprintf("row.groups[%d]", i)
		if names[g.GetName()] {
			return invalid(field+".name", "the name %q is taken", g.GetName())
		}
		names[g.GetName()] = true
		for j, name := range g.GetFeatures() {
			if !free[name] {
				return invalid(fmt.Sprintf("%s.features[%d]", field, j), "there is no feature %q that is in no other group", name)
			}
			delete(free, name)
		}
	}
	for i, g := range r.GetGroups() {
		if free[g.GetName()] {
			return invalid(fmt.Sprintf("row.groups[%d].name", i), "the feature %q, which is in no group, has this name", g.GetName())
		}
	}
	return nil
}

func (b *Bundle) checkSequence(field string, f *bundlev1.Feature, inputs []Value, fed map[string]bool) error {
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
		if fed[name] {
			return invalid(field+".length_input", "the input %q is fed twice", name)
		}
		fed[name] = true
	}
	if name := f.GetMaskInput(); name != "" {
		v, ok := find(inputs, name)
		if !ok || v.DType == tensor.String || (v.Shape != nil && len(v.Shape) != 2) {
			return invalid(field+".mask_input", "no graph takes an input %q of numbers [N,events]", name)
		}
		if fed[name] {
			return invalid(field+".mask_input", "the input %q is fed twice", name)
		}
		fed[name] = true
	}
	for j, sub := range f.GetFields() {
		at := fmt.Sprintf("%s.fields[%d]", field, j)
		if sub.GetType() == bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE {
			return invalid(at+".type", "sequences do not nest")
		}
		if sub.GetAhead() {
			return invalid(at+".ahead", "is for sequences")
		}
		if sub == ItemField(b.Manifest) {
			if len(sub.GetCategories()) > 0 {
				return invalid(at+".categories", "are the items' ids, and not given here")
			}
			sub = proto.CloneOf(sub)
			sub.Categories = []string{""} // stands for them
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
	if err := checkEncoding(field, f, v.DType); err != nil {
		return err
	}
	if !Accepts(f, v.DType) {
		return invalid(field+".type", "%v does not fit the input %q of %v", f.GetType(), v.Name, v.DType)
	}
	return nil
}

// checkEncoding checks how a feature's values become the input's.
func checkEncoding(field string, f *bundlev1.Feature, d tensor.DType) error {
	isString := f.GetType() == bundlev1.FeatureType_FEATURE_TYPE_STRING
	switch {
	case f.GetIndex() != nil && !isString:
		return invalid(field+".index", "only a STRING has one")
	case f.GetIndex() != nil && len(f.GetCategories()) == 0:
		return invalid(field+".index", "needs categories")
	case f.GetIndex() == nil && isString && d != tensor.String && d != tensor.Invalid:
		return invalid(field+".index", "the input takes %v, so the categories need an index", d)
	case f.GetTime() != 0 && f.GetType() != bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
		return invalid(field+".time", "only a TIMESTAMP has one")
	case f.GetInfinity() != 0 && f.GetType() != bundlev1.FeatureType_FEATURE_TYPE_FLOAT:
		return invalid(field+".infinity", "only a FLOAT has one")
	case f.GetTime() != 0 && f.GetDefault() != nil:
		return invalid(field+".default", "a difference of times has none")
	}
	known := make(map[string]bool, len(f.GetCategories()))
	for _, c := range f.GetCategories() {
		if f.GetIndex() != nil && known[c] {
			return invalid(field+".categories", "%.80q stands twice, so its place is not clear", c)
		}
		known[c] = true
	}
	for i, c := range f.GetRareCategories() {
		if !known[c] {
			return invalid(fmt.Sprintf("%s.rare_categories[%d]", field, i), "is not one of the categories")
		}
	}
	return nil
}

// Accepts tells whether a feature's values can be written to elements of d.
func Accepts(f *bundlev1.Feature, d tensor.DType) bool {
	switch f.GetType() {
	case bundlev1.FeatureType_FEATURE_TYPE_FLOAT:
		return d.IsFloat()
	case bundlev1.FeatureType_FEATURE_TYPE_INT:
		return d != tensor.String && d != tensor.Bool && d != tensor.Invalid
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		return d != tensor.String && d != tensor.Invalid
	case bundlev1.FeatureType_FEATURE_TYPE_STRING:
		if f.GetIndex() != nil {
			return d != tensor.String && d != tensor.Bool && d != tensor.Invalid
		}
		return d == tensor.String
	case bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
		if f.GetTime() != 0 {
			return d.IsFloat() || d == tensor.Int64
		}
		return d == tensor.Int64 || d == tensor.Float64 // microseconds since 1970 need 51 bits
	}
	return false
}
