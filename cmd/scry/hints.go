package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/evaluate"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// hintFlags say of a model what its exporter did not write down.
type hintFlags struct {
	Features []string `group:"Without a bundle.yaml" placeholder:"NAME" help:"The features in the order of the matrix's columns, or the names that they had before the exporter changed them."`
	Sample   string   `group:"Without a bundle.yaml" type:"existingfile" placeholder:"FILE" help:"A CSV file of training data: the features' names, types, ranges and categories are taken from it. It is read here and not sent."`
	Target   string   `group:"Without a bundle.yaml" placeholder:"NAME" help:"What the model predicts, and with --sample its column: the head's name, and a number's percentiles."`
	Positive string   `group:"Without a bundle.yaml" placeholder:"CLASS" help:"The class of a classifier that is the event whose probability is answered."`

	Onnx       string `group:"Without a bundle.yaml" name:"onnx" placeholder:"PATH" help:"The graph that is meant, where the directory has several."`
	Labels     string `group:"Without a bundle.yaml" placeholder:"NAME,…|FILE" help:"The classes of a model of texts or pictures in the order of its columns, instead of config.json's: names, or a file with one a line (.json: a list, or id2label). Names such as positive, neutral and negative make polarity of them."`
	Task       string `group:"Without a bundle.yaml" enum:",text,image" default:"" placeholder:"text|image" help:"What the model reads."`
	Preprocess string `group:"Without a bundle.yaml" placeholder:"HOW" help:"How pictures become the input: imagenet, torchvision:NAME (a model or its weights), or a preprocessor_config.json."`
}

// hints are what the flags say; nil when they say nothing.
func (f *hintFlags) hints(o *output, s *source, path string) (*bundlev1.Hints, error) {
	h := &bundlev1.Hints{Positive: f.Positive, Task: f.Task}
	if err := f.exported(h, s, path); err != nil {
		return nil, err
	}
	if len(f.Features) == 0 && f.Sample == "" && f.Target == "" && proto.Size(h) == 0 {
		return nil, nil
	}
	if f.Target != "" {
		h.Target = &bundlev1.Column{Name: f.Target}
	}
	if f.Sample != "" {
		return h, f.sample(o, h)
	}
	for _, name := range f.Features {
		h.Columns = append(h.Columns, &bundlev1.Column{Name: strings.TrimSpace(name)})
	}
	if len(f.Features) > 0 {
		h.Source = "--features"
	}
	return h, nil
}

// exported adds what the flags say of texts and pictures. A preprocessor_config.json
// of another place becomes a file of the bundle.
func (f *hintFlags) exported(h *bundlev1.Hints, s *source, path string) error {
	if f.Onnx != "" {
		h.Graph = filepath.ToSlash(filepath.Clean(f.Onnx))
		if within, err := filepath.Rel(path, f.Onnx); err == nil && filepath.IsLocal(within) {
			h.Graph = filepath.ToSlash(within)
		}
	}
	if f.Labels != "" {
		labels, err := readLabels(f.Labels)
		if err != nil {
			return err
		}
		h.Labels = labels
	}
	switch how := f.Preprocess; {
	case how == "":
	case how == "imagenet" || strings.HasPrefix(how, "torchvision:"):
		h.Preprocess = how
	default:
		content, err := os.ReadFile(how)
		if errors.Is(err, fs.ErrNotExist) {
			return wrongUse("--preprocess is imagenet, torchvision:NAME or a file; there is no file %s", how)
		} else if err != nil {
			return err
		}
		s.add("preprocessor_config.json", content)
	}
	return nil
}

// readLabels reads names between commas, or those of a file.
func readLabels(what string) ([]string, error) {
	text, err := os.ReadFile(what)
	var labels []string
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.Contains(what, ","):
		labels = strings.Split(what, ",")
	case errors.Is(err, fs.ErrNotExist):
		return nil, wrongUse("--labels is a list of names with commas, or a file; there is no file %s", what)
	case err != nil:
		return nil, err
	case strings.EqualFold(filepath.Ext(what), ".json"):
		if labels, err = jsonLabels(text); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	default:
		labels = strings.Split(strings.TrimRight(strings.TrimPrefix(string(text), string(bom)), "\r\n"), "\n")
	}
	for i := range labels {
		if labels[i] = strings.TrimSpace(labels[i]); labels[i] == "" {
			return nil, wrongUse("label %d of --labels %s is empty", i, what)
		}
	}
	return labels, nil
}

// jsonLabels reads a list of names, or an object from the column's number to the
// name, as id2label is one.
func jsonLabels(text []byte) ([]string, error) {
	var list []string
	if json.Unmarshal(text, &list) == nil && len(list) > 0 {
		return list, nil
	}
	var byID map[string]string
	if err := json.Unmarshal(text, &byID); err != nil || len(byID) == 0 {
		return nil, errors.New("it is neither a list of names nor an object such as {\"0\": \"cat\", \"1\": \"dog\"}")
	}
	list = make([]string, len(byID))
	for i := range list {
		name, ok := byID[strconv.Itoa(i)]
		if !ok {
			return nil, fmt.Errorf("it has %d names and none for %d", len(byID), i)
		}
		list[i] = name
	}
	return list, nil
}

// sample reads the columns of a CSV file, one row at a time.
func (f *hintFlags) sample(o *output, h *bundlev1.Hints) error {
	file, err := os.Open(f.Sample)
	if err != nil {
		return err
	}
	defer file.Close()
	h.Source = filepath.Base(f.Sample)
	columns, err := readColumns(file, f.Target)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Sample, err)
	}
	find := func(name string) (*sampleColumn, error) {
		if i := slices.IndexFunc(columns, func(c *sampleColumn) bool { return c.name == name }); i >= 0 {
			return columns[i], nil
		}
		names := make([]string, len(columns))
		for i, c := range columns {
			names[i] = c.name
		}
		return nil, wrongUse("%s has no column %q; it has %s", f.Sample, name, shorten(strings.Join(names, ", "), 300))
	}
	if f.Target != "" {
		target, err := find(f.Target)
		if err != nil {
			return err
		}
		h.Target = target.message()
		h.Target.Quantiles = target.quantiles()
	}
	for _, name := range f.Features {
		c, err := find(strings.TrimSpace(name))
		if err != nil {
			return err
		}
		h.Columns = append(h.Columns, c.message())
	}
	if len(f.Features) > 0 {
		return nil
	}
	for _, c := range columns {
		switch {
		case c.name == f.Target:
		case c.name == "" || looksLikeID.MatchString(c.name):
			o.remark("column %q of %s is taken for the rows' names, not for a feature; --features says otherwise", c.name, h.Source)
		default:
			h.Columns = append(h.Columns, c.message())
		}
	}
	return nil
}

// Bounds of what is kept of a column.
const (
	maxSampleCategories = 1000
	maxSampleNumbers    = 10_000_000 // of a target
)

// sampleColumn is what is known of a column.
type sampleColumn struct {
	name                   string
	values                 int // that are not missing
	text, fraction, notBit bool
	min, max               float64
	categories             map[string]bool // nil when there are too many
	keep                   bool
	numbers                []float64 // of a column that is kept
}

func readColumns(in io.Reader, target string) ([]*sampleColumn, error) {
	records, header, err := openCSV(bufio.NewReaderSize(in, 64<<10))
	if err != nil {
		return nil, err
	}
	columns := make([]*sampleColumn, len(header))
	for i, name := range header {
		if slices.ContainsFunc(columns[:i], func(c *sampleColumn) bool { return c.name == name }) {
			return nil, fmt.Errorf("two columns are called %q", name)
		}
		columns[i] = &sampleColumn{name: name, min: math.Inf(1), max: math.Inf(-1), categories: map[string]bool{}, keep: name == target && target != ""}
	}
	for {
		record, err := records.Read()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		for i, cell := range record {
			columns[i].add(cell)
		}
	}
	if columns[0].values == 0 && !slices.ContainsFunc(columns, func(c *sampleColumn) bool { return c.values > 0 }) {
		return nil, errors.New("there are no rows")
	}
	return columns, nil
}

// add takes a cell in; empty cells and NaN are missing.
func (c *sampleColumn) add(cell string) {
	trimmed := strings.TrimSpace(cell)
	if trimmed == "" || strings.EqualFold(trimmed, "nan") {
		return
	}
	c.values++
	if c.categories != nil && !c.categories[cell] {
		c.categories[strings.Clone(cell)] = true
		if len(c.categories) > maxSampleCategories {
			c.categories = nil
		}
	}
	if !strings.EqualFold(trimmed, "true") && !strings.EqualFold(trimmed, "false") {
		c.notBit = true
	}
	x, err := strconv.ParseFloat(trimmed, 64)
	if err != nil {
		c.text = true
		return
	}
	c.fraction = c.fraction || x != math.Trunc(x)
	if math.IsInf(x, 0) {
		return
	}
	c.min, c.max = min(c.min, x), max(c.max, x)
	if c.keep && len(c.numbers) < maxSampleNumbers {
		c.numbers = append(c.numbers, x)
	}
}

func (c *sampleColumn) message() *bundlev1.Column {
	m := &bundlev1.Column{Name: c.name}
	switch {
	case c.values == 0:
		return m
	case !c.notBit:
		m.Type = bundlev1.FeatureType_FEATURE_TYPE_BOOL
	case c.text:
		m.Type = bundlev1.FeatureType_FEATURE_TYPE_STRING
	case c.fraction:
		m.Type = bundlev1.FeatureType_FEATURE_TYPE_FLOAT
	default:
		m.Type = bundlev1.FeatureType_FEATURE_TYPE_INT
	}
	if !c.text && c.min <= c.max {
		m.Min, m.Max = &c.min, &c.max
	}
	for category := range c.categories {
		m.Categories = append(m.Categories, category)
	}
	slices.SortFunc(m.Categories, func(a, b string) int {
		x, errX := strconv.ParseFloat(a, 64)
		y, errY := strconv.ParseFloat(b, 64)
		if errX == nil && errY == nil && x != y {
			return int(math.Copysign(1, x-y))
		}
		return strings.Compare(a, b)
	})
	return m
}

// quantiles are the percentiles of a column of numbers, interpolated; nil for
// others, two-valued ones among them.
func (c *sampleColumn) quantiles() []float64 {
	if c.text || len(c.numbers) == 0 || c.categories != nil && len(c.categories) <= 2 {
		return nil
	}
	out := evaluate.Quantiles(c.numbers, 101)
	for i := range out {
		out[i] = short(out[i])
	}
	return out
}

// short leaves a number the digits that a float32 tells apart.
func short(x float64) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 8, 64), 64)
	if err != nil {
		return x
	}
	return y
}

// settle opens a bundle and sees to it that the event is known where there is
// one: it asks on a terminal, and refuses where nobody can answer. With yes it
// leaves the classes as they are.
func (f *hintFlags) settle(o *output, s *source, path string, yes bool) (*bundle.Prepared, *bundlev1.Hints, error) {
	h, err := f.hints(o, s, path)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.open(path, h)
	if err != nil {
		return nil, nil, f.advise(err)
	}
	classes, named := p.Undecided()
	if classes == nil || yes {
		return p, h, nil
	}
	what, otherwise := fmt.Sprintf("the classes are %q and %q", classes[0], classes[1]), "both are answered by name"
	if !named {
		what, otherwise = "the graph does not name its two classes, whose columns are 0 and 1", "the model gets no head"
	}
	if in, ok := o.in.(*os.File); !ok || !isTerminal(in) {
		return nil, nil, wrongUse("%s: which one is the event? Say --positive %s or --positive %s; with --yes %s",
			what, strconv.Quote(classes[0]), strconv.Quote(classes[1]), otherwise)
	}
	positive, err := o.ask(fmt.Sprintf("%s. Which one is the event? (empty: %s)", upperFirst(what), otherwise), classes)
	if err != nil || positive == "" {
		return p, h, err
	}
	if h == nil {
		h = &bundlev1.Hints{}
	}
	h.Positive = positive
	p, err = s.open(path, h)
	return p, h, err
}

// advise adds to an error about the hints which flag helps.
func (f *hintFlags) advise(err error) error {
	about, ok := errors.AsType[*bundle.FieldError](err)
	switch {
	case !ok:
	case about.Field == "hints.columns" && f.Sample != "" && f.Target == "":
		return fmt.Errorf("%w (--target NAME takes out what is predicted, --features NAME,… says which columns are features)", err)
	case about.Field == "hints.columns" && f.Sample != "":
		return fmt.Errorf("%w (--features NAME,… says which columns are features, and in which order)", err)
	case about.Field == "graphs" && !errors.Is(err, bundle.ErrNoGraph):
		return fmt.Errorf("%w (--onnx PATH says it)", err)
	case about.Field == "config.json" && f.Labels == "":
		return fmt.Errorf("%w (--labels NAME,… does)", err)
	}
	return err
}

// ask asks until the answer is empty or one of those possible.
func (o *output) ask(question string, possible []string) (string, error) {
	in := bufio.NewReader(o.in)
	for {
		fmt.Fprintf(o.err, "%s ", clean(question))
		answer, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if answer = strings.TrimSpace(answer); answer == "" || slices.Contains(possible, answer) {
			return answer, nil
		}
		o.remark("%q is neither %q nor %q", answer, possible[0], possible[1])
	}
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
