package bundle

import (
	"fmt"
	"io/fs"
	"sort"
	"strings"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// ErrNoGraph is wrapped by the error about a directory without a manifest and
// without a graph. It wraps ErrInvalid.
var ErrNoGraph = fmt.Errorf("%w: there is neither a %s nor an .onnx file, here or in a folder onnx", ErrInvalid, ManifestFile)

// Guess is one inferred part of a manifest, for people to check.
type Guess struct {
	// Field is the manifest's field, such as "graphs.model.file".
	Field string
	// Why tells what the guess rests on.
	Why string
	// Files are files that the guess read and the bundle must keep.
	Files []string
	// undecided are two classes of which it is not known which one is the event.
	undecided []string
}

// guesses are those of an inference under way.
type guesses []Guess

func (g *guesses) guess(field, format string, args ...any) {
	*g = append(*g, Guess{Field: field, Why: fmt.Sprintf(format, args...)})
}

// infer makes the manifest of a directory that has none: one ONNX file, with what
// Hugging Face's exporters leave beside it, with a row of features where its
// inputs are columns or one matrix, or with bare tensors. classes are those of a
// ZipMap that was cut from it. Files that are made are added to dir.
func infer(dir *overlay, file string, classes []string, hints *bundlev1.Hints) (*bundlev1.Manifest, []Guess, error) {
	g, err := openGraph(dir, file)
	if err != nil {
		return nil, nil, err
	}
	m := &bundlev1.Manifest{Graphs: map[string]*bundlev1.Graph{"model": {File: file}}, Goldens: hints.GetGoldens()}
	why := "the only .onnx file"
	if hints.GetGraph() != "" {
		why = "as was said"
	}
	said := guesses{{Field: "graphs.model.file", Why: why}}
	hf := hfInference{dir: dir, manifest: m, graph: g, hints: hints}
	if done, err := hf.run(); err != nil || done {
		return m, append(said, hf.guesses...), err
	}
	i := rowInference{manifest: m, graph: g, classes: classes, hints: hints}
	if err := i.run(); err != nil {
		return nil, nil, err
	}
	return m, append(said, i.guesses...), nil
}

// onlyGraph finds the .onnx file that is meant: the one of that name, or the only
// one.
func onlyGraph(dir fs.FS, name string) (string, error) {
	var found []string
	for _, pattern := range []string{"*.onnx", "onnx/*.onnx"} {
		names, err := fs.Glob(dir, pattern)
		if err != nil {
			return "", invalid("graphs", "%v", cause(err))
		}
		found = append(found, names...)
		if len(found) > 0 {
			break
		}
	}
	if name != "" {
		if exists(dir, name) {
			return name, (&Bundle{FS: dir}).checkFile("hints.graph", name)
		}
		return "", invalid("hints.graph", "there is no %q; there are %s", name, quotedList(found))
	}
	switch len(found) {
	case 0:
		return "", &FieldError{Field: "graphs", text: ErrNoGraph.Error(), err: ErrNoGraph}
	case 1:
		return found[0], (&Bundle{FS: dir}).checkFile("graphs", found[0])
	}
	sort.Strings(found)
	return "", invalid("graphs", "there is no %s and more than one graph: %s: say which one is meant (graph), or write a %s that says how they follow one another",
		ManifestFile, strings.Join(found, ", "), ManifestFile)
}

func exists(dir fs.FS, name string) bool {
	_, err := fs.Stat(dir, name)
	return err == nil
}

func hasInput(g *Graph, name string) bool {
	_, ok := g.Input(name)
	return ok
}

// inferAxes finds the axes of a Hugging Face style graph that differ in length
// from item to item: the second of its token inputs, and that of each output
// which has one. Nothing is padded that could not be cut off again, or that no
// mask hides. A manifest that gives the meaning of any axis is left alone.
func inferAxes(name string, m *bundlev1.Graph, g *Graph) []Guess {
	if says(m) || !takesTokens(g) || unpaddable(g) != "" {
		return nil
	}
	axis := int32(1)
	m.Inputs = map[string]*bundlev1.Port{}
	var guesses []Guess
	for _, v := range g.Inputs {
		if isSequence(v) {
			m.Inputs[v.Name] = &bundlev1.Port{SequenceAxis: &axis}
			guesses = append(guesses, Guess{Field: "graphs." + name + ".inputs." + v.Name, Why: "token inputs are [batch, sequence]"})
		}
	}
	for _, v := range g.Outputs {
		axes, why := sequenceAxes(g, v)
		if len(axes) == 0 {
			continue
		}
		if m.Outputs == nil {
			m.Outputs = map[string]*bundlev1.Port{}
		}
		m.Outputs[v.Name] = &bundlev1.Port{SequenceAxis: &axes[0]}
		guesses = append(guesses, Guess{Field: "graphs." + name + ".outputs." + v.Name, Why: why})
	}
	return guesses
}

// takesTokens tells whether a graph reads input_ids of any length.
func takesTokens(g *Graph) bool {
	ids, ok := g.Input("input_ids")
	return ok && isSequence(ids)
}

// unpaddable says why texts of different length cannot be padded to one
// another in a graph that takes tokens; empty when they can be.
func unpaddable(g *Graph) string {
	if mask, ok := g.Input("attention_mask"); !ok || !isSequence(mask) {
		return "it has no attention_mask of [batch, sequence], so padding would change the answers"
	}
	for _, v := range g.Inputs {
		for axis := 1; axis < len(v.Shape); axis++ {
			if v.Shape[axis] < 0 && !isSequence(v) {
				return fmt.Sprintf("the input %q has an open axis of which the meaning is not known", v.Name)
			}
		}
	}
	for _, v := range g.Outputs {
		if v.Shape == nil {
			return fmt.Sprintf("the graph declares no shape for the output %q, from which padding must be cut", v.Name)
		}
		if axes, _ := sequenceAxes(g, v); len(axes) > 1 {
			return fmt.Sprintf("the output %q has more than one open axis after the first", v.Name)
		}
	}
	return ""
}

// isSequence tells whether an input is one of Hugging Face's [batch, sequence].
func isSequence(v Value) bool {
	switch v.Name {
	case "input_ids", "attention_mask", "token_type_ids", "position_ids":
		return len(v.Shape) == 2 && v.Shape[0] < 0 && v.Shape[1] < 0
	}
	return false
}

// sequenceAxes returns the axes of an output that are as long as the token
// inputs: those of their symbol or, as exporters often name them anew, all
// that are open.
func sequenceAxes(g *Graph, v Value) (axes []int32, why string) {
	ids, _ := g.Input("input_ids")
	symbol := ids.Symbols[1]
	if symbol == ids.Symbols[0] {
		symbol = "" // both named "batch": it tells nothing
	}
	var open []int32
	for axis := 1; axis < len(v.Shape); axis++ {
		if v.Shape[axis] >= 0 {
			continue
		}
		open = append(open, int32(axis))
		if symbol != "" && v.Symbols[axis] == symbol {
			axes = append(axes, int32(axis))
		}
	}
	switch {
	case len(axes) == 1 && len(open) == 1:
		return axes, fmt.Sprintf("its axis %d has the inputs' symbol %q", axes[0], symbol)
	case len(open) == 1:
		return open, fmt.Sprintf("its axis %d is the only open one after the first", open[0])
	}
	return open, ""
}

func featureType(d tensor.DType) bundlev1.FeatureType {
	switch {
	case d.IsFloat():
		return bundlev1.FeatureType_FEATURE_TYPE_FLOAT
	case d == tensor.Bool:
		return bundlev1.FeatureType_FEATURE_TYPE_BOOL
	case d == tensor.String:
		return bundlev1.FeatureType_FEATURE_TYPE_STRING
	case d == tensor.Invalid:
		return bundlev1.FeatureType_FEATURE_TYPE_UNSPECIFIED
	}
	return bundlev1.FeatureType_FEATURE_TYPE_INT
}
