package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// initCmd writes what the server would infer.
type initCmd struct {
	Path  string `arg:"" default:"." help:"A directory, or an .onnx file."`
	Print bool   `help:"Print the manifest instead of writing bundle.yaml."`
	Force bool   `help:"Replace a bundle.yaml that is there."`

	hintFlags
}

func (c *initCmd) Run(app *app) error {
	s, err := openSource(c.Path)
	if err != nil {
		return err
	}
	s.hide = bundle.ManifestFile // what is inferred must not rest on an older one
	p, _, err := c.settle(app.output, s, c.Path, true)
	if err != nil {
		return err
	}
	b := p.Bundle
	b.Manifest.Inferred = nil // the comments say it
	for _, g := range b.Manifest.GetGraphs() {
		g.Origin = nil // the file is as it was; the server changes it
	}
	text, err := bundle.Marshal(b.Manifest, b.Guesses)
	if err != nil {
		return err
	}
	text = append(text, headsHint(b)...)
	if c.Print && app.output.json() {
		return printInferred(app.output, b)
	}
	if c.Print {
		_, err := app.output.out.Write(text)
		return err
	}
	dir := c.Path
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	target := filepath.Join(dir, bundle.ManifestFile)
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(target, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; --force replaces it, --print shows what would be inferred", target)
	} else if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := writeMade(p, dir); err != nil {
		return err
	}
	return app.output.done(map[string]any{"file": target}, "%s is written; each guess has a comment that says what it rests on", target)
}

// writeMade writes the files that the manifest names and the directory lacks,
// such as a tokenizer.json that was made of a vocab.txt.
func writeMade(p *bundle.Prepared, dir string) error {
	there := p.Uploads()
	for _, name := range p.Changed {
		if name == bundle.ManifestFile || slices.Contains(there, name) {
			continue
		}
		content, err := fs.ReadFile(p.FS, name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// printInferred prints the manifest and what it rests on as JSON.
func printInferred(o *output, b *bundle.Bundle) error {
	manifest, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(b.Manifest) // what is not set has no place in a bundle.yaml either
	if err != nil {
		return err
	}
	type guess struct {
		Field string `json:"field"`
		Why   string `json:"why"`
	}
	guesses := make([]guess, len(b.Guesses))
	for i, g := range b.Guesses {
		guesses[i] = guess{g.Field, g.Why}
	}
	return o.writeJSON(map[string]any{"manifest": json.RawMessage(manifest), "guesses": guesses})
}

// headsHint is a comment for the end of a bundle.yaml that has no heads: what
// can be written there. The part after its empty line is valid once uncommented.
func headsHint(b *bundle.Bundle) string {
	outputs := outputNames(b)
	if len(b.Manifest.GetHeads()) > 0 || len(outputs) == 0 {
		return ""
	}
	head := "probability: {event: what_happens}"
	switch b.Manifest.GetPreprocessing().(type) {
	case *bundlev1.Manifest_Text:
		head = "sentiment: {negative: 0, neutral: 1, positive: 2, activation: ACTIVATION_SOFTMAX}"
	case *bundlev1.Manifest_Image:
		head = "labels: {names_file: labels.txt, activation: ACTIVATION_SOFTMAX}"
	}
	return fmt.Sprintf(`# Without heads the model is scored by tensor calls only. A head says what an
# output means: a probability, value, classes, segment, uplift, forecast,
# embedding, sentiment or labels.
# The outputs are %s. For example:
#
# heads:
#   answer:
#     source: %s
#     %s
`, clean(strings.Join(outputs, ", ")), strconv.Quote(outputs[0]), head)
}

// outputNames lists the outputs of the graphs as GRAPH.OUTPUT.
func outputNames(b *bundle.Bundle) []string {
	var names []string
	for _, graph := range slices.Sorted(maps.Keys(b.Graphs)) {
		for _, v := range b.Graphs[graph].Outputs {
			names = append(names, graph+"."+v.Name)
		}
	}
	return names
}

// tellNoHeads warns of a version that typed calls do not get an answer from.
func tellNoHeads(o *output, m *bundlev1.Manifest) {
	if len(m.GetHeads()) == 0 && !graphless(m) {
		o.remark("no heads: scored by tensor calls only (typed calls answer MODEL_UNSUITABLE); \"scry init\" writes a bundle.yaml in which to say what the outputs mean")
	}
}

// tellInferred says what the server inferred of a version.
func tellInferred(o *output, m *bundlev1.Manifest) {
	for _, i := range m.GetInferred() {
		o.remark("inferred %s: %s", i.GetField(), i.GetWhy())
	}
}

// tellRemarks says what keeps the graphs from being served in batches.
func tellRemarks(o *output, b *bundle.Bundle) {
	for _, r := range b.Remarks() {
		o.remark("%s", r)
	}
}
