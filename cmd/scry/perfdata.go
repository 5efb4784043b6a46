package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
	"github.com/scry-ml/scry/tensor"
)

// perfDataCmd makes up requests for a load test.
type perfDataCmd struct {
	Model       modelRef         `arg:"" placeholder:"MODEL[@VERSION]" help:"MODEL for the routed version, MODEL@VERSION for a number, an alias or latest."`
	Graph       string           `placeholder:"NAME" help:"Of a bundle with several graphs: which one (default: the first that runs)."`
	To          string           `placeholder:"FILE" help:"Write to FILE instead of standard output."`
	Count       int              `placeholder:"N" help:"Requests (default: 1000, or as many as 64 MiB hold)."`
	Median      float64          `default:"24" help:"Median length of texts, in tokens; lengths are log-normal."`
	Sigma       float64          `default:"0.8" help:"Standard deviation of the logarithm of the length."`
	MinLength   int              `default:"4" help:"Shortest text."`
	MaxLength   int              `default:"128" help:"Longest text."`
	Vocabulary  int64            `placeholder:"N" help:"Token ids lie below N (default: what the model takes)."`
	Shape       map[string]shape `placeholder:"INPUT=D1,D2" help:"Extents of an input that the graph leaves open, without the batch axis."`
	Values      map[string]words `placeholder:"INPUT=A,B,…" help:"Take the elements of an input from these, such as a graph's categories."`
	Concurrency string           `default:"16" help:"For the command line that is printed: perf_analyzer's --concurrency-range."`
	Seed        uint64           `default:"1" help:"The same seed makes the same data."`
}

// shape is extents as they are written on a command line: 3,224,224.
type shape []int64

// UnmarshalText reads extents.
func (s *shape) UnmarshalText(text []byte) error {
	for part := range strings.SplitSeq(string(text), ",") {
		d, err := strconv.ParseInt(part, 10, 32)
		if err != nil || d < 1 {
			return fmt.Errorf("%q is no shape such as 3,224,224", text)
		}
		*s = append(*s, d)
	}
	return nil
}

// words are values as they are written on a command line: a,b,c.
type words []string

// UnmarshalText reads values.
func (w *words) UnmarshalText(text []byte) error {
	*w = strings.Split(string(text), ",")
	return nil
}

const (
	perfCount = 1000
	perfBytes = 64 << 20 // of tensors
	perfArray = 4096     // elements that are written as numbers; more are base64
)

func (c *perfDataCmd) Run(ctx context.Context, app *app) error {
	if err := app.output.noCSV(); err != nil {
		return err
	}
	if c.MinLength < 1 || c.MaxLength < c.MinLength || !(c.Median > 0) || !(c.Sigma >= 0) || c.Count < 0 {
		return wrongUse("lengths must be 1 or more, --min-length not above --max-length, --count and --sigma not negative")
	}
	g, manifest, name, err := c.find(ctx, app)
	if err != nil {
		return err
	}
	maker, err := newPerfMaker(c, g, manifest)
	if err != nil {
		return err
	}
	if err := c.write(app.output, maker); err != nil {
		return err
	}
	if len(maker.invented) > 0 {
		app.output.remark("%s: made-up words; --values INPUT=A,B names those that the graph knows", strings.Join(maker.invented, ", "))
	}
	app.output.remark("%s", c.commandLine(app.connection, name))
	return nil
}

// find returns the loaded graph, the manifest of its version and the name by
// which tensor calls know it.
func (c *perfDataCmd) find(ctx context.Context, app *app) (*serverv1.LoadedGraph, *bundlev1.Manifest, string, error) {
	server, err := app.dial(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	got, err := server.ModelStore().GetVersion(ctx, &modelstorev1.GetVersionRequest{Model: c.Model.Model, Version: c.Model.Version})
	if err != nil {
		return nil, nil, "", err
	}
	v := got.GetVersion()
	if err := server.WaitLoaded(ctx, v.GetModel(), fmt.Sprint(v.GetVersion()), func(*modelstorev1.WatchVersionResponse) {}); err != nil {
		return nil, nil, "", err
	}
	loaded, err := server.Server().ListLoadedVersions(ctx, &serverv1.ListLoadedVersionsRequest{})
	if err != nil {
		return nil, nil, "", err
	}
	var names []string
	for _, l := range loaded.GetVersions() {
		if l.GetModel() != v.GetModel() || l.GetVersion() != v.GetVersion() {
			continue
		}
		for _, g := range l.GetGraphs() {
			names = append(names, g.GetName())
			if c.Graph != "" && g.GetName() != c.Graph {
				continue
			}
			name := v.GetModel()
			if len(l.GetGraphs()) > 1 {
				name += "." + g.GetName()
			}
			if len(g.GetInputs()) == 0 {
				return nil, nil, "", errors.New("the server does not tell what the graph takes: it is older than this program")
			}
			return g, v.GetManifest(), name, nil
		}
	}
	if c.Graph != "" {
		return nil, nil, "", fmt.Errorf("%s has no graph %q; it has %s", modelRefText(v.GetModel(), v.GetVersion()), c.Graph, strings.Join(names, ", "))
	}
	return nil, nil, "", fmt.Errorf("%s was unloaded again: try once more", modelRefText(v.GetModel(), v.GetVersion()))
}

// write prints the data in perf_analyzer's format.
func (c *perfDataCmd) write(o *output, m *perfMaker) (err error) {
	out := o.out
	if c.To != "" {
		f, err2 := os.Create(c.To)
		if err2 != nil {
			return err2
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	w := bufio.NewWriter(out)
	n, total := c.Count, 0
	for i := 0; n == 0 || i < n; i++ {
		item, size := m.item()
		if total += size; n == 0 && i > 0 && (i == perfCount || total > perfBytes) {
			break
		}
		line, err := json.Marshal(item)
		if err != nil {
			return err
		}
		separator := ",\n"
		if i == 0 {
			separator = "{\"data\": [\n"
		}
		if _, err := io.WriteString(w, separator); err != nil {
			return err
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(w, "\n]}\n"); err != nil {
		return err
	}
	return w.Flush()
}

// commandLine is how perf_analyzer sends the data.
func (c *perfDataCmd) commandLine(server *connection, name string) string {
	file := c.To
	if file == "" {
		file = c.Model.Model + ".json" // where the reader is asked to put it
	}
	parts := []string{"perf_analyzer", "-m", name}
	if c.Model.Version != "" {
		parts = append(parts, "-x", c.Model.Version)
	}
	parts = append(parts, "-i", "grpc", "-u", server.target)
	if server.secure {
		parts = append(parts, "--ssl-grpc-use-ssl")
		if server.CA != "" {
			parts = append(parts, "--ssl-grpc-root-certifications-file", server.CA)
		}
	}
	parts = append(parts, "-b", "1", "--async", "--concurrency-range", c.Concurrency, "--input-data", file)
	for i, p := range parts {
		parts[i] = quoted(p)
	}
	return strings.Join(parts, " ")
}

// quoted writes a word as a shell reads it.
func quoted(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@=,") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// perfMaker makes requests of one item up.
type perfMaker struct {
	random        *rand.Rand
	inputs        []perfInput
	median, sigma float64
	low, high     int      // bounds of lengths
	invented      []string // inputs that get made-up words
}

// perfInput is one input and how its elements are made up.
type perfInput struct {
	name     string
	dtype    tensor.DType
	shape    tensor.Shape // with a batch axis of 1
	sequence int          // the axis that gets the item's length; -1 when there is none
	batched  bool         // the batch axis is perf_analyzer's to add
	// One of these makes element i of an item of that length.
	number func(i, length int) float64
	text   func(i int) string
}

// newPerfMaker finds out what each input of the graph means: from the manifest
// where preprocessing feeds it, else by its name and type.
func newPerfMaker(c *perfDataCmd, g *serverv1.LoadedGraph, manifest *bundlev1.Manifest) (*perfMaker, error) {
	m := &perfMaker{
		random: rand.New(rand.NewPCG(c.Seed, 0)), median: c.Median, sigma: c.Sigma, low: c.MinLength, high: c.MaxLength,
	}
	if longest := int(manifest.GetText().GetMaxLength()); longest > 0 {
		m.high = min(m.high, longest)
	}
	features := m.features(manifest.GetRow())
	has := func(name string) bool {
		return slices.ContainsFunc(g.GetInputs(), func(in *serverv1.LoadedInput) bool { return in.GetName() == name })
	}
	for name := range c.Shape {
		if !has(name) {
			return nil, wrongUse("--shape %s: the graph has no such input", name)
		}
	}
	for name, values := range c.Values {
		if !has(name) {
			return nil, wrongUse("--values %s: the graph has no such input", name)
		}
		features[name] = m.among(values)
	}
	// The server reports such graphs as batched, and perf_analyzer adds their
	// batch axis.
	batched := g.GetMaxRows() > 0 && !slices.ContainsFunc(g.GetInputs(), func(in *serverv1.LoadedInput) bool { return len(in.GetShape()) < 2 })
	for _, in := range g.GetInputs() {
		p := perfInput{name: in.GetName(), dtype: perfTypes[in.GetDatatype()], shape: slices.Clone(in.GetShape()), sequence: -1, batched: batched}
		if len(p.shape) == 0 {
			return nil, fmt.Errorf("the input %q is a scalar, which perf_analyzer cannot send", p.name)
		}
		if p.dtype == tensor.Invalid {
			return nil, fmt.Errorf("the input %q is %s, which this program does not know", p.name, in.GetDatatype())
		}
		if in.SequenceAxis != nil {
			p.sequence = int(in.GetSequenceAxis())
		}
		if err := p.settle(c.Shape[p.name], manifest.GetImage()); err != nil {
			return nil, err
		}
		limit := in.GetLimit()
		if c.Vocabulary > 0 && p.name == tokenIDs(manifest) {
			limit = c.Vocabulary
		}
		feature, ok := features[p.name]
		switch {
		case c.Values[p.name] != nil && p.dtype != tensor.String && feature.number == nil:
			return nil, wrongUse("--values %s: the input takes numbers", p.name)
		case ok && feature.text != nil && p.dtype == tensor.String:
			p.text = feature.text
			if feature.invented {
				m.invented = append(m.invented, p.name)
			}
		case ok && feature.number != nil && p.dtype != tensor.String:
			p.number = feature.number
		case p.dtype == tensor.String:
			p.text = func(int) string { return m.word() }
			m.invented = append(m.invented, p.name)
		case manifest.GetImage() != nil && len(p.shape) == 4:
			p.number = m.pixels(manifest.GetImage(), p)
		default:
			var err error
			if p.number, err = m.plain(manifest, p, limit); err != nil {
				return nil, err
			}
		}
		m.inputs = append(m.inputs, p)
	}
	m.low = min(m.low, m.high)
	return m, nil
}

// settle gives every axis but the sequence's an extent.
func (p *perfInput) settle(given shape, image *bundlev1.Image) error {
	if len(p.shape) > 0 && p.shape[0] < 0 {
		p.shape[0] = 1
	}
	if given != nil {
		if len(given) != len(p.shape)-1 {
			return wrongUse("--shape %s: the input has %d axes beside the batch axis, not %d", p.name, max(len(p.shape)-1, 0), len(given))
		}
		for i, d := range given {
			if have := p.shape[i+1]; have >= 0 && have != d {
				return wrongUse("--shape %s: the graph fixes axis %d at %d", p.name, i+1, have)
			}
			p.shape[i+1] = d
		}
		p.sequence = -1
		return nil
	}
	if image != nil && len(p.shape) == 4 {
		width, height := image.GetCropWidth(), image.GetCropHeight()
		if width == 0 {
			width, height = image.GetResize().GetWidth(), image.GetResize().GetHeight()
		}
		at := 2 // NCHW
		if image.GetLayout() == bundlev1.Layout_LAYOUT_NHWC {
			at = 1
		}
		p.shape[at], p.shape[at+1] = int64(height), int64(width)
	}
	// The second axis of Hugging Face's inputs is the sequence also where texts
	// of different length do not share a run.
	if p.sequence < 0 && len(p.shape) == 2 && p.shape[1] < 0 && p.dtype != tensor.String && !p.dtype.IsFloat() {
		p.sequence = 1
	}
	for axis, d := range p.shape {
		if d < 0 && axis != p.sequence {
			return wrongUse("the graph leaves axis %d of %q %v open: give its extents, such as --shape %s=3,224,224", axis, p.name, p.shape, p.name)
		}
	}
	return nil
}

// tokenIDs is the name of the input that takes token ids.
func tokenIDs(m *bundlev1.Manifest) string {
	if name := m.GetText().GetInputIds(); name != "" {
		return name
	}
	return "input_ids"
}

// plain makes the elements of an input that no feature or picture feeds.
func (m *perfMaker) plain(manifest *bundlev1.Manifest, p perfInput, limit int64) (func(i, length int) float64, error) {
	text := manifest.GetText()
	named := func(given, usual string) bool { return p.name == given || given == "" && p.name == usual }
	switch {
	case p.dtype.IsFloat():
		return func(int, int) float64 { return m.random.NormFloat64() }, nil
	case p.dtype == tensor.Bool:
		return func(int, int) float64 { return float64(m.random.IntN(2)) }, nil
	case named(text.GetAttentionMask(), "attention_mask"):
		return func(int, int) float64 { return 1 }, nil
	case named(text.GetTokenTypeIds(), "token_type_ids"):
		return func(int, int) float64 { return 0 }, nil
	case p.name == "position_ids":
		if limit > 0 {
			m.high = int(min(int64(m.high), limit))
		}
		return func(i, length int) float64 { return float64(i % max(length, 1)) }, nil
	case limit > 0:
		return func(int, int) float64 { return float64(m.random.Int64N(limit)) }, nil
	case named(text.GetInputIds(), "input_ids"):
		return nil, wrongUse("the graph does not tell how many token ids %q has: give --vocabulary N", p.name)
	}
	return func(int, int) float64 { return float64(m.random.IntN(2)) }, nil
}

// pixels makes a picture's values as preprocessing would.
func (m *perfMaker) pixels(image *bundlev1.Image, p perfInput) func(i, length int) float64 {
	of := func(values []float64, channel int, fallback float64) float64 {
		switch {
		case len(values) == 0:
			return fallback
		case len(values) == 1:
			return values[0]
		}
		return values[channel%len(values)]
	}
	scale := image.GetScale()
	if scale == 0 {
		scale = 1
	}
	return func(i, _ int) float64 {
		value := float64(m.random.IntN(256))
		if !p.dtype.IsFloat() {
			return value
		}
		channel := i % int(p.shape[3]) // NHWC
		if image.GetLayout() != bundlev1.Layout_LAYOUT_NHWC {
			channel = i / int(p.shape[2]*p.shape[3])
		}
		return (value*scale - of(image.GetMean(), channel, 0)) / of(image.GetStd(), channel, 1)
	}
}

// made is how the elements of one feature are made up.
type made struct {
	number   func(i, length int) float64
	text     func(i int) string
	invented bool // the words mean nothing to the graph
}

// features says how the inputs of rows are made up, by input.
func (m *perfMaker) features(row *bundlev1.Row) map[string]made {
	out := make(map[string]made)
	var columns []made
	for _, f := range row.GetFeatures() {
		if f.GetType() == bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE {
			m.high = min(m.high, max(int(f.GetMaxEvents()), 1))
			for _, field := range f.GetFields() {
				out[bundle.InputOf(field)] = m.feature(field)
			}
			if f.GetLengthInput() != "" {
				out[f.GetLengthInput()] = made{number: func(_, length int) float64 { return float64(length) }}
			}
			continue
		}
		columns = append(columns, m.feature(f))
		out[bundle.InputOf(f)] = columns[len(columns)-1]
	}
	if name := row.GetMatrixInput(); name != "" && len(columns) > 0 {
		out[name] = made{
			number: func(i, length int) float64 {
				if column := columns[i%len(columns)]; column.number != nil {
					return column.number(i, length)
				}
				return 0
			},
			text: func(i int) string {
				column := columns[i%len(columns)]
				if column.text != nil {
					return column.text(i)
				}
				return strconv.FormatFloat(column.number(i, 0), 'g', -1, 64)
			},
		}
	}
	return out
}

// feature makes values up that lie within what training saw.
func (m *perfMaker) feature(f *bundlev1.Feature) made {
	low, high := f.GetMin(), f.GetMax()
	switch {
	case f.Max == nil && f.Min == nil:
		low, high = 0, 100
	case f.Max == nil:
		high = low + 100
	case f.Min == nil:
		low = min(0, high-100)
	}
	switch f.GetType() {
	case bundlev1.FeatureType_FEATURE_TYPE_INT:
		low, high = math.Ceil(low), math.Floor(high)
		return made{number: func(int, int) float64 { return min(low+math.Floor(m.random.Float64()*(high-low+1)), max(low, high)) }}
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		return made{number: func(int, int) float64 { return float64(m.random.IntN(2)) }}
	case bundlev1.FeatureType_FEATURE_TYPE_STRING:
		if len(f.GetCategories()) > 0 {
			return m.among(f.GetCategories())
		}
		return made{text: func(int) string { return m.word() }, invented: true}
	case bundlev1.FeatureType_FEATURE_TYPE_TIMESTAMP:
		year := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
		return made{number: func(int, int) float64 {
			return float64(year.UnixMicro() + m.random.Int64N(365*24*time.Hour.Microseconds()))
		}}
	}
	return made{number: func(int, int) float64 { return low + m.random.Float64()*(high-low) }}
}

// among picks from values: strings, and numbers where all are numbers.
func (m *perfMaker) among(values []string) made {
	out := made{text: func(int) string { return values[m.random.IntN(len(values))] }}
	numbers := make([]float64, len(values))
	for i, v := range values {
		var err error
		if numbers[i], err = strconv.ParseFloat(v, 64); err != nil {
			return out
		}
	}
	out.number = func(int, int) float64 { return numbers[m.random.IntN(len(numbers))] }
	return out
}

// word makes a string up.
func (m *perfMaker) word() string {
	letters := make([]byte, 3+m.random.IntN(8))
	for i := range letters {
		letters[i] = byte('a' + m.random.IntN(26))
	}
	return string(letters)
}

// item makes one entry up and returns the bytes of its tensors.
func (m *perfMaker) item() (entry map[string]any, size int) {
	length := int(math.Round(m.median * math.Exp(m.sigma*m.random.NormFloat64())))
	length = min(max(length, m.low), m.high)
	entry = make(map[string]any, len(m.inputs))
	for _, p := range m.inputs {
		content, shape, bytes := p.tensor(length)
		entry[p.name] = map[string]any{"content": content, "shape": shape}
		size += bytes
	}
	return entry, size
}

// tensor makes an input's content and shape up as perf_analyzer reads them: in
// row-major order, the shape without the batch axis that it adds itself.
func (p *perfInput) tensor(length int) (content any, shape tensor.Shape, size int) {
	shape = slices.Clone(p.shape)
	if p.sequence >= 0 {
		shape[p.sequence] = int64(length)
	}
	n := 1
	for _, d := range shape {
		n *= int(d)
	}
	if p.batched {
		shape = shape[1:]
	}
	if p.text != nil {
		texts := make([]string, n)
		for i := range texts {
			texts[i] = p.text(i)
			size += 4 + len(texts[i])
		}
		return texts, shape, size
	}
	values := make([]float64, n)
	for i := range values {
		values[i] = p.number(i, length)
	}
	plain := p.dtype != tensor.Bool && (p.dtype.Size() > 2 || !p.dtype.IsFloat())
	if plain && n <= perfArray {
		if p.dtype == tensor.Float32 {
			short := make([]float32, n)
			for i, v := range values {
				short[i] = float32(v)
			}
			return short, shape, n * p.dtype.Size()
		}
		return values, shape, n * p.dtype.Size()
	}
	return map[string]string{"b64": base64.StdEncoding.EncodeToString(littleEndian(p.dtype, values))}, shape, n * p.dtype.Size()
}

// littleEndian writes numbers as elements of a type that can hold them.
func littleEndian(t tensor.DType, values []float64) []byte {
	out := make([]byte, 0, len(values)*t.Size())
	for _, v := range values {
		switch t {
		case tensor.Float16:
			out = binary.LittleEndian.AppendUint16(out, tensor.Float32ToFloat16(float32(v)))
		case tensor.BFloat16:
			out = binary.LittleEndian.AppendUint16(out, tensor.Float32ToBFloat16(float32(v)))
		case tensor.Float32:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		case tensor.Float64:
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		default: // whole numbers, which are cut to their size
			whole := binary.LittleEndian.AppendUint64(nil, uint64(int64(v)))
			out = append(out, whole[:t.Size()]...)
		}
	}
	return out
}

// perfTypes are the types as the tensor protocol names them.
var perfTypes = map[string]tensor.DType{
	"BOOL": tensor.Bool, "BYTES": tensor.String,
	"INT8": tensor.Int8, "INT16": tensor.Int16, "INT32": tensor.Int32, "INT64": tensor.Int64,
	"UINT8": tensor.Uint8, "UINT16": tensor.Uint16, "UINT32": tensor.Uint32, "UINT64": tensor.Uint64,
	"FP16": tensor.Float16, "BF16": tensor.BFloat16, "FP32": tensor.Float32, "FP64": tensor.Float64,
}
