package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// tolerance is --tolerance: 1e-4, or bf16=0.05.
type tolerance struct {
	precision bundlev1.Precision
	absolute  float64
}

// UnmarshalText reads a tolerance.
func (t *tolerance) UnmarshalText(text []byte) error {
	name, number, named := strings.Cut(string(text), "=")
	if !named {
		name, number = "fp32", string(text)
	}
	value, ok := bundlev1.Precision_value["PRECISION_"+strings.ToUpper(name)]
	if !ok || value == 0 {
		return fmt.Errorf("%q is none of fp32, tf32, bf16, fp16", name)
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f >= 0) {
		return fmt.Errorf("%q is not a number ≥ 0", number)
	}
	t.precision, t.absolute = bundlev1.Precision(value), f
	return nil
}

func precisionText(p bundlev1.Precision) string {
	return strings.ToLower(strings.TrimPrefix(p.String(), "PRECISION_"))
}

func toleranceText(t *bundlev1.Tolerance) string {
	text := exact(t.GetAbsolute())
	if t.GetRelative() > 0 {
		text += fmt.Sprintf(" + %g of the value", t.GetRelative())
	}
	return text
}

// goldensFile is where the samples of --expect lie in a bundle that has none.
const goldensFile = "goldens.jsonl"

// defaultTolerance is what float32 sums differ by between machines, and less
// than what anyone reads from a probability or a logit.
const defaultTolerance = 1e-4

// addGoldens puts the samples of a file behind the bundle's own golden samples
// and returns the bundle that is to be sent. The directory is not touched. Where
// there is no manifest the server is told of the samples by hints.
func addGoldens(s *source, p *bundle.Prepared, hints *bundlev1.Hints, file, target string, tolerances []tolerance) (*bundle.Prepared, *bundlev1.Hints, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	reader := expectReader{source: s, bundle: p.Bundle, dir: filepath.Dir(file), target: target}
	lines, err := reader.read(in)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	if _, err := fs.Stat(s, bundle.ManifestFile); err == nil {
		err = extend(s, p, lines, tolerances)
		if err != nil {
			return nil, nil, err
		}
	} else {
		if hints == nil {
			hints = &bundlev1.Hints{}
		}
		hints.Goldens = &bundlev1.Goldens{File: goldensFile}
		setTolerances(hints.GetGoldens(), tolerances)
		s.add(goldensFile, lines)
	}
	with, err := bundle.Prepare(s, hints)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	if _, err := with.Goldens(); err != nil { // every line against the graphs
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return with, hints, nil
}

// extend adds samples to a bundle that has a manifest.
func extend(s *source, p *bundle.Prepared, lines []byte, tolerances []tolerance) error {
	m := proto.CloneOf(p.Manifest)
	var err error
	if m.Goldens == nil {
		m.Goldens = &bundlev1.Goldens{File: goldensFile}
	} else if lines, err = appended(s, m.GetGoldens().GetFile(), lines); err != nil {
		return err
	}
	setTolerances(m.GetGoldens(), tolerances)
	text, err := bundle.Marshal(m, nil)
	if err != nil {
		return err
	}
	s.add(m.GetGoldens().GetFile(), lines)
	s.add(bundle.ManifestFile, text)
	return nil
}

// appended returns the content of a file of the bundle with lines behind it.
func appended(s *source, name string, lines []byte) ([]byte, error) {
	content, err := fs.ReadFile(s, name)
	if err != nil {
		return nil, err
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	return append(content, lines...), nil
}

// setTolerances sets those that were given, keeps the bundle's others and sees
// to it that fp32, which every device can compute in, has one.
func setTolerances(g *bundlev1.Goldens, given []tolerance) {
	at := func(p bundlev1.Precision) int {
		return slices.IndexFunc(g.GetTolerances(), func(t *bundlev1.Tolerance) bool { return t.GetPrecision() == p })
	}
	for _, t := range given {
		set := &bundlev1.Tolerance{Precision: t.precision, Absolute: t.absolute}
		if i := at(t.precision); i >= 0 {
			g.Tolerances[i] = set
		} else {
			g.Tolerances = append(g.Tolerances, set)
		}
	}
	if at(bundlev1.Precision_PRECISION_FP32) < 0 {
		g.Tolerances = append(g.Tolerances, &bundlev1.Tolerance{Precision: bundlev1.Precision_PRECISION_FP32, Absolute: defaultTolerance})
	}
}

// expectReader turns samples as people write them into golden samples.
type expectReader struct {
	source *source
	bundle *bundle.Bundle
	dir    string // of the samples; their pictures are named relative to it
	target string // a column of a table that is neither feature nor answer; "" = none
}

// read returns one golden sample a line.
func (e *expectReader) read(in io.Reader) ([]byte, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	if sniffFormat(buffered) == "csv" {
		return e.readTable(buffered)
	}
	var out bytes.Buffer
	err := readLines(buffered, func(text []byte, _ int) (struct{}, error) {
		golden, err := e.sample(text)
		if err == nil {
			err = writeGolden(&out, golden)
		}
		return struct{}{}, err
	}, func(struct{}) bool { return true })
	if err != nil {
		return nil, err
	}
	if out.Len() == 0 {
		return nil, errors.New("no sample in it")
	}
	return out.Bytes(), nil
}

func writeGolden(out *bytes.Buffer, g *bundlev1.Golden) error {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(g)
	if err != nil {
		return err
	}
	if err := json.Compact(out, raw); err != nil {
		return err
	}
	return out.WriteByte('\n')
}

// sample reads one line.
func (e *expectReader) sample(text []byte) (*bundlev1.Golden, error) {
	var line struct {
		Features json.RawMessage            `json:"features"`
		Text     *string                    `json:"text"`
		Image    *string                    `json:"image"`
		Tensors  json.RawMessage            `json:"tensors"`
		Outputs  map[string]json.RawMessage `json:"outputs"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&line); err != nil {
		return nil, err
	}
	if len(line.Outputs) == 0 {
		return nil, errors.New(`there is no answer; give {"outputs": {"GRAPH.OUTPUT": [numbers]}}`)
	}
	g := &bundlev1.Golden{Outputs: make(map[string]*bundlev1.Values)}
	switch {
	case line.Text != nil:
		g.Input = &bundlev1.Golden_Text{Text: *line.Text}
	case line.Image != nil:
		name, err := e.picture(*line.Image)
		if err != nil {
			return nil, err
		}
		g.Input = &bundlev1.Golden_Image{Image: name}
	case line.Features != nil:
		in := &bundlev1.Golden{}
		if err := protojson.Unmarshal([]byte(`{"features":`+string(line.Features)+`}`), in); err != nil {
			return nil, fmt.Errorf("features: %w", err)
		}
		g.Input = in.Input
	case line.Tensors != nil:
		tensors, err := readTensors(line.Tensors)
		if err != nil {
			return nil, err
		}
		g.Input = &bundlev1.Golden_Tensors{Tensors: tensors}
	default:
		return nil, errors.New("there is no input: features, text, image or tensors")
	}
	for _, name := range slices.Sorted(maps.Keys(line.Outputs)) {
		output, err := e.output(name)
		if err != nil {
			return nil, err
		}
		values, err := readValues(line.Outputs[name], false)
		if err != nil {
			return nil, fmt.Errorf("outputs[%q]: %w", name, err)
		}
		g.Outputs[output] = values
	}
	return g, nil
}

// output completes an output's name: the graph may be left out where only one
// graph has it.
func (e *expectReader) output(name string) (string, error) {
	if source, err := bundle.ParseSource(name); err == nil {
		if g := e.bundle.Graphs[source.Graph]; g != nil {
			if _, ok := g.Output(source.Output); ok {
				return name, nil
			}
		}
	}
	all := outputNames(e.bundle)
	var found []string
	for _, full := range all {
		if _, output, _ := strings.Cut(full, "."); output == name {
			found = append(found, full)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return "", fmt.Errorf("outputs[%q] is no output of the graphs, which have %s", name, strings.Join(all, ", "))
}

// picture makes a sample's picture a file of the bundle.
func (e *expectReader) picture(name string) (string, error) {
	if _, err := fs.Stat(e.source, name); err == nil {
		return name, nil
	}
	content, err := os.ReadFile(filepath.Join(e.dir, filepath.FromSlash(name)))
	if err != nil {
		return "", err
	}
	inside := "goldens/" + filepath.Base(name)
	if known, err := fs.ReadFile(e.source, inside); err == nil && !bytes.Equal(known, content) {
		return "", fmt.Errorf("two pictures are called %s", filepath.Base(name))
	}
	e.source.add(inside, content)
	return inside, nil
}

// readTensors reads {"x": [[1, 2]]} or the form of the golden samples.
func readTensors(raw json.RawMessage) (*bundlev1.Tensors, error) {
	var named map[string]json.RawMessage
	if err := json.Unmarshal(raw, &named); err != nil {
		return nil, fmt.Errorf("tensors: %w", err)
	}
	if inner, ok := named["inputs"]; ok && len(named) == 1 && bytes.HasPrefix(bytes.TrimSpace(inner), []byte("{")) {
		named = nil
		if err := json.Unmarshal(inner, &named); err != nil {
			return nil, fmt.Errorf("tensors: %w", err)
		}
	}
	t := &bundlev1.Tensors{Inputs: make(map[string]*bundlev1.Values)}
	for name, raw := range named {
		values, err := readValues(raw, true)
		if err != nil {
			return nil, fmt.Errorf("tensors[%q]: %w", name, err)
		}
		t.Inputs[name] = values
	}
	return t, nil
}

// readValues reads a number, a list, lists of lists, or the form of the golden
// samples. Of lists of lists the shape is kept where it is asked for.
func readValues(raw json.RawMessage, shaped bool) (*bundlev1.Values, error) {
	v := &bundlev1.Values{}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return v, protojson.Unmarshal(raw, v)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var nested any
	if err := decoder.Decode(&nested); err != nil {
		return nil, err
	}
	if err := flatten(nested, v); err != nil {
		return nil, err
	}
	if len(v.Values) > 0 && len(v.Strings) > 0 {
		return nil, errors.New("numbers and strings are mixed")
	}
	if shape := shapeOf(nested); shaped && len(shape) > 1 {
		v.Shape = shape
		if n := product(shape); n != int64(len(v.Values)+len(v.Strings)) {
			return nil, errors.New("the lists are of different lengths")
		}
	}
	return v, nil
}

func flatten(nested any, into *bundlev1.Values) error {
	switch x := nested.(type) {
	case []any:
		for _, e := range x {
			if err := flatten(e, into); err != nil {
				return err
			}
		}
	case json.Number:
		f, err := x.Float64()
		if err != nil {
			return fmt.Errorf("%s is beyond a double", x)
		}
		into.Values = append(into.Values, f)
	case bool:
		f := 0.0
		if x {
			f = 1
		}
		into.Values = append(into.Values, f)
	case string:
		if f, err := strconv.ParseFloat(x, 64); err == nil && (f != f || f-f != 0) { // NaN, Infinity, -Infinity
			into.Values = append(into.Values, f)
		} else {
			into.Strings = append(into.Strings, x)
		}
	default:
		return fmt.Errorf("%v is no value", nested)
	}
	return nil
}

func shapeOf(nested any) []int64 {
	list, ok := nested.([]any)
	if !ok {
		return nil
	}
	shape := []int64{int64(len(list))}
	if len(list) > 0 {
		shape = append(shape, shapeOf(list[0])...)
	}
	return shape
}

func product(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}
