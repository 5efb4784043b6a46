// Package bundle is what a model is: a directory with a manifest
// (bundle.yaml), ONNX graphs, a tokenizer, labels and golden samples. It reads
// and checks bundles and infers the manifest of a plain upload. It runs
// nothing.
package bundle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// ManifestFile is the manifest's name in a bundle's directory.
const ManifestFile = "bundle.yaml"

// ErrInvalid is wrapped by every error about a bundle that cannot be served.
// The error's text names the manifest's field or the file.
var ErrInvalid = errors.New("invalid bundle")

// Bundle is a bundle whose parts fit each other.
type Bundle struct {
	// FS is the bundle's directory.
	FS fs.FS
	// Manifest is the written or the inferred manifest.
	Manifest *bundlev1.Manifest
	// Graphs are the ONNX files by the manifest's graph names.
	Graphs map[string]*Graph
	// Steps are the graphs in the order in which they run, with every input's
	// source resolved.
	Steps []Step
	// Labels are the class names of heads that have any, by head.
	Labels map[string][]string
	// Alphabets are the characters of what reads lines of text, by file.
	Alphabets map[string][]string
	// Actions are those of the catalogue, in its order.
	Actions []Action
	// Guesses tell what was inferred of the manifest.
	Guesses []Guess
}

// Step is one run of a graph.
type Step struct {
	// Graph is the graph's name.
	Graph string
	// Feeds says where each input comes from, in the order of the graph's
	// inputs.
	Feeds []Feed
	// Crop is set when the graph takes parts of a picture, by which its one input
	// is fed.
	Crop *bundlev1.Crop
}

// Feed is the source of one graph input: preprocessing (the zero Source), or
// an earlier step's output.
type Feed struct {
	Input  string
	Source Source
}

// Source names a tensor as GRAPH.OUTPUT.
type Source struct{ Graph, Output string }

// String returns "GRAPH.OUTPUT".
func (s Source) String() string { return s.Graph + "." + s.Output }

// ParseSource splits "GRAPH.OUTPUT" at the first dot: graph names have none,
// outputs may.
func ParseSource(s string) (Source, error) {
	graph, output, ok := strings.Cut(s, ".")
	if !ok || graph == "" || output == "" {
		return Source{}, fmt.Errorf("%w: %q is not GRAPH.OUTPUT", ErrInvalid, s)
	}
	return Source{graph, output}, nil
}

// Open reads the bundle in a directory and checks that its parts fit each
// other. Without a bundle.yaml the manifest is inferred; where one gives no axis
// of a Hugging Face style graph, its sequence axes are. Errors wrap ErrInvalid
// or ErrGraph.
func Open(dir fs.FS) (*Bundle, error) {
	b := &Bundle{FS: dir, Graphs: map[string]*Graph{}, Labels: map[string][]string{}, Alphabets: map[string][]string{}}
	text, err := readFile(dir, ManifestFile)
	switch {
	case err == nil:
		if b.Manifest, err = ParseManifest(text); err != nil {
			return nil, err
		}
	case errors.Is(err, fs.ErrNotExist):
		file, err := onlyGraph(dir, "")
		if err != nil {
			return nil, err
		}
		over := newOverlay(dir) // where a tokenizer.json is made
		b.FS = over
		if b.Manifest, b.Guesses, err = infer(over, file, nil, nil); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, ManifestFile, cause(err))
	}
	if err := b.resolve(); err != nil {
		return nil, err
	}
	b.noteGuesses()
	return b, nil
}

// noteGuesses writes what was inferred into the manifest, for people.
func (b *Bundle) noteGuesses() {
	for _, g := range b.Guesses {
		b.Manifest.Inferred = append(b.Manifest.Inferred, &bundlev1.Inference{Field: g.Field, Why: g.Why})
	}
}

// readFile is fs.ReadFile for regular files.
func readFile(dir fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(dir, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return fs.ReadFile(dir, name)
}

// cause strips the path from a file error: it may be a host's.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// FieldError is an error about one part of a bundle. It wraps ErrInvalid or
// ErrGraph.
type FieldError struct {
	// Field is the manifest's field, such as `heads["churn"].source`, or a file
	// with its line.
	Field string
	text  string
	err   error
}

func (e *FieldError) Error() string { return e.text }

// Unwrap returns the cause.
func (e *FieldError) Unwrap() error { return e.err }

func invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, text: fmt.Sprintf("%v: %s: %s", ErrInvalid, field, fmt.Sprintf(format, args...)), err: ErrInvalid}
}

// within says in which field an error is.
func within(field string, err error) error {
	return &FieldError{Field: field, text: fmt.Sprintf("%s: %v", field, err), err: err}
}

// resolve reads the graphs and checks every reference of the manifest.
func (b *Bundle) resolve() error {
	names := make([]string, 0, len(b.Manifest.GetGraphs()))
	for name := range b.Manifest.GetGraphs() {
		names = append(names, name)
	}
	sort.Strings(names)
	if len(names) == 0 {
		if err := b.checkGraphless(); err != nil {
			return err
		}
	}
	for _, name := range names {
		m := b.Manifest.GetGraphs()[name]
		if err := b.readGraph(name, m); err != nil {
			return err
		}
		b.Guesses = append(b.Guesses, inferAxes(name, m, b.Graphs[name])...)
	}
	if err := b.resolveSteps(names); err != nil {
		return err
	}
	if err := b.checkPreprocessing(); err != nil {
		return err
	}
	heads := make([]string, 0, len(b.Manifest.GetHeads()))
	for name := range b.Manifest.GetHeads() {
		heads = append(heads, name)
	}
	sort.Strings(heads)
	for _, name := range heads {
		if err := b.checkHead(name, b.Manifest.GetHeads()[name]); err != nil {
			return err
		}
	}
	if err := b.checkItems(); err != nil {
		return err
	}
	if err := b.resolveActions(); err != nil {
		return err
	}
	if g := b.Manifest.GetGoldens(); g != nil {
		if err := b.checkFile("goldens.file", g.GetFile()); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bundle) readGraph(name string, m *bundlev1.Graph) error {
	field := fmt.Sprintf("graphs[%q]", name)
	if err := b.checkFile(field+".file", m.GetFile()); err != nil {
		return err
	}
	f, err := b.FS.Open(m.GetFile())
	if err != nil {
		return invalid(field+".file", "%v", cause(err))
	}
	defer f.Close()
	g, err := ReadGraph(f)
	if err != nil {
		return within(field, err)
	}
	for _, location := range g.ExternalData {
		if err := checkExternal(location); err != nil {
			return within(field, err)
		}
		file := path.Join(path.Dir(m.GetFile()), location)
		if _, err := fs.Stat(b.FS, file); errors.Is(err, fs.ErrNotExist) {
			return invalid(field+" external data", "the weights of %s lie in %s, which is not beside it", m.GetFile(), location)
		}
		if err := b.checkFile(field+" external data", file); err != nil {
			return err
		}
	}
	for _, v := range append(append([]Value{}, g.Inputs...), g.Outputs...) {
		if v.Kind != "tensor" {
			return within(field, fmt.Errorf("%w: %q is a %s; only tensors are served: export it again without its ZipMap, with skl2onnx by options={\"zipmap\": False}", ErrGraph, v.Name, v.Kind))
		}
	}
	for input := range m.GetInputs() {
		if _, ok := g.Input(input); !ok {
			return invalid(field+".inputs", "the graph has no input %q; it has %s", input, list(g.Inputs))
		}
	}
	for output := range m.GetOutputs() {
		if _, ok := g.Output(output); !ok {
			return invalid(field+".outputs", "the graph has no output %q; it has %s", output, list(g.Outputs))
		}
	}
	b.Graphs[name] = g
	return nil
}

// checkExternal admits plain file names only: whatever else could reach a file
// outside the bundle.
func checkExternal(location string) error {
	if location == "" || location == "." || location == ".." || len(location) > 255 ||
		strings.ContainsAny(location, "/\\\x00:") {
		return fmt.Errorf("%w: external data %.80q is not a plain file name", ErrGraph, location)
	}
	return nil
}

// checkFile admits a relative path to a file that exists in the bundle.
func (b *Bundle) checkFile(field, name string) error {
	if !fs.ValidPath(name) || name == "." || strings.Contains(name, "\\") {
		return invalid(field, "%.80q is not a path within the bundle", name)
	}
	info, err := fs.Stat(b.FS, name)
	if err != nil {
		return invalid(field, "%s: %v", name, cause(err))
	}
	// A pipe would be waited for without end.
	if !info.Mode().IsRegular() {
		return invalid(field, "%s is not a regular file", name)
	}
	return nil
}

func (b *Bundle) resolveSteps(graphs []string) error {
	steps := b.Manifest.GetSteps()
	if len(steps) == 0 && len(graphs) > 0 {
		if len(graphs) != 1 {
			return invalid("steps", "there are %d graphs, so their order must be given", len(graphs))
		}
		steps = []*bundlev1.Step{{Graph: graphs[0]}}
	}
	done, cropped := map[string]bool{}, map[string]bool{}
	for i, step := range steps {
		field := fmt.Sprintf("steps[%d]", i)
		g := b.Graphs[step.GetGraph()]
		if g == nil {
			return invalid(field+".graph", "there is no graph %q", step.GetGraph())
		}
		if done[step.GetGraph()] {
			return invalid(field+".graph", "graph %q runs twice", step.GetGraph())
		}
		for input := range step.GetInputs() {
			if _, ok := g.Input(input); !ok {
				return invalid(field+".inputs", "graph %q has no input %q; it has %s", step.GetGraph(), input, list(g.Inputs))
			}
		}
		out := Step{Graph: step.GetGraph(), Crop: step.GetCrop()}
		if out.Crop != nil {
			switch {
			case b.Manifest.GetImage() == nil:
				return invalid(field+".crop", "there is no picture to cut")
			case len(step.GetInputs()) > 0 || len(g.Inputs) != 1:
				return invalid(field+".crop", "graph %q must have one input, fed by parts of a picture; it has %s", out.Graph, list(g.Inputs))
			}
			if err := checkImage(field+".crop.image", out.Crop.GetImage(), g.Inputs); err != nil {
				return err
			}
			if err := checkLine(field+".crop", out.Crop, g.Inputs[0]); err != nil {
				return err
			}
			cropped[out.Graph] = true
		}
		for _, input := range g.Inputs {
			feed := Feed{Input: input.Name}
			if from, ok := step.GetInputs()[input.Name]; ok {
				src, err := ParseSource(from)
				if err != nil {
					return within(fmt.Sprintf("%s.inputs[%q]", field, input.Name), err)
				}
				value, err := b.value(src)
				if err == nil && cropped[src.Graph] {
					err = invalid("source", "graph %q runs on parts of a picture, whose outputs only heads read", src.Graph)
				}
				if err == nil && !done[src.Graph] {
					err = invalid("source", "graph %q has not run yet", src.Graph)
				}
				if err != nil {
					return within(fmt.Sprintf("%s.inputs[%q]", field, input.Name), err)
				}
				if value.DType != input.DType {
					return invalid(fmt.Sprintf("%s.inputs[%q]", field, input.Name), "%s is %v, the input is %v", from, value.DType, input.DType)
				}
				feed.Source = src
			}
			out.Feeds = append(out.Feeds, feed)
		}
		done[step.GetGraph()] = true
		b.Steps = append(b.Steps, out)
	}
	for _, name := range graphs {
		if !done[name] {
			return invalid("steps", "graph %q never runs", name)
		}
	}
	return nil
}

// value returns the declared output that a source names.
func (b *Bundle) value(s Source) (Value, error) {
	g := b.Graphs[s.Graph]
	if g == nil {
		return Value{}, invalid("source", "there is no graph %q", s.Graph)
	}
	v, ok := g.Output(s.Output)
	if !ok {
		return Value{}, invalid("source", "graph %q has no output %q; it has %s", s.Graph, s.Output, list(g.Outputs))
	}
	return v, nil
}

// Inputs returns what preprocessing must feed: the inputs of all steps that no
// earlier step gives, in order.
func (b *Bundle) Inputs() []Value {
	var inputs []Value
	for _, step := range b.Steps {
		if step.Crop != nil {
			continue
		}
		for _, feed := range step.Feeds {
			if feed.Source == (Source{}) {
				v, _ := b.Graphs[step.Graph].Input(feed.Input)
				if _, have := find(inputs, v.Name); !have {
					inputs = append(inputs, v)
				}
			}
		}
	}
	return inputs
}

// Crop tells how a graph takes parts of a picture; nil when it does not.
func (b *Bundle) Crop(graph string) *bundlev1.Crop {
	for _, step := range b.Steps {
		if step.Graph == graph {
			return step.Crop
		}
	}
	return nil
}

// Files returns the files that the manifest and the graphs refer to, sorted,
// bundle.yaml and a README.md included when they exist. What else lies in the
// directory is no part of the bundle.
func (b *Bundle) Files() []string {
	seen := map[string]bool{}
	add := func(name string) {
		if name != "" {
			seen[name] = true
		}
	}
	for _, optional := range []string{ManifestFile, "README.md", "LICENSE"} {
		if _, err := fs.Stat(b.FS, optional); err == nil {
			add(optional)
		}
	}
	for name, m := range b.Manifest.GetGraphs() {
		add(m.GetFile())
		for _, location := range b.Graphs[name].ExternalData {
			add(path.Join(path.Dir(m.GetFile()), location))
		}
	}
	add(b.Manifest.GetText().GetTokenizer())
	add(b.Manifest.GetRow().GetBackground())
	for _, h := range b.Manifest.GetHeads() {
		add(h.GetClasses().GetNamesFile())
		add(h.GetLabels().GetNamesFile())
		for _, r := range h.GetTextLines().GetReaders() {
			add(r.GetCharactersFile())
		}
	}
	if it := b.Manifest.GetCatalogue().GetItems(); it != nil {
		add(it.GetFile())
		add(it.GetVectors())
		add(it.GetBiases())
	}
	if g := b.Manifest.GetGoldens(); g != nil {
		add(g.GetFile())
		if goldens, err := b.Goldens(); err == nil {
			for _, golden := range goldens {
				add(golden.GetImage())
			}
		}
	}
	for _, guess := range b.Guesses {
		for _, name := range guess.Files {
			add(name)
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// readLines returns the lines of a text file, white space trimmed, without a
// trailing empty one.
func readLines(r io.Reader, limit int) ([]string, error) {
	var lines []string
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		if len(lines) == limit {
			return nil, fmt.Errorf("more than %d lines", limit)
		}
		lines = append(lines, strings.TrimSpace(scanner.Text()))
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines, scanner.Err()
}

func list(values []Value) string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = fmt.Sprintf("%q", v.Name)
	}
	if len(names) > 12 {
		names = append(names[:12], fmt.Sprintf("and %d more", len(values)-12))
	}
	return strings.Join(names, ", ")
}
