package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// Prepared is a bundle as it will be served.
type Prepared struct {
	// Bundle reads from a file system in which the changed files stand.
	*Bundle
	// Changed are the files that are new or differ from those of the directory.
	Changed []string
	dir     fs.FS
}

// Prepare reads the files of a bundle as an exporter left them. A bundle.yaml
// that is missing is inferred, with the help of hints, which may be nil; what
// cannot be served of a graph is changed: a ZipMap is cut, shapes that hold for
// one row only are opened. Nothing in dir is written to. Errors wrap ErrInvalid
// or ErrGraph.
func Prepare(dir fs.FS, hints *bundlev1.Hints) (*Prepared, error) {
	over := newOverlay(dir)
	p := &Prepared{dir: dir}
	text, err := readFile(dir, ManifestFile)
	switch {
	case err == nil:
		err = p.written(over, text, hints)
	case errors.Is(err, fs.ErrNotExist):
		err = p.inferred(over, hints)
	default:
		err = fmt.Errorf("%w: %s: %w", ErrInvalid, ManifestFile, cause(err))
	}
	if err != nil {
		return nil, err
	}
	p.Changed = slices.Sorted(maps.Keys(over.edited))
	for name := range over.added {
		p.Changed = append(p.Changed, name)
	}
	slices.Sort(p.Changed)
	return p, nil
}

// Uploads are the bundle's files that lie in the directory.
func (p *Prepared) Uploads() []string {
	return slices.DeleteFunc(p.Files(), func(name string) bool { return !exists(p.dir, name) })
}

// written prepares a bundle that has a manifest.
func (p *Prepared) written(over *overlay, text []byte, hints *bundlev1.Hints) error {
	if hints != nil && proto.Size(hints) > 0 {
		return invalid("hints", "there is a %s, which says it all: write into it what the hints say, or push without it", ManifestFile)
	}
	m, err := ParseManifest(text)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetGraphs())) {
		g := m.GetGraphs()[name]
		if err := (&Bundle{FS: over.FS}).checkFile(fmt.Sprintf("graphs[%q].file", name), g.GetFile()); err != nil {
			return err
		}
		found, err := toMend(over.FS, g.GetFile())
		if err != nil {
			return within(fmt.Sprintf("graphs[%q]", name), err)
		}
		if len(found.edits) == 0 {
			continue
		}
		over.edited[g.GetFile()] = found.edits
		origin, err := found.origin(over.FS, over, g.GetFile())
		if err != nil {
			return err
		}
		if text, err = amended(text, name, origin); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvalid, ManifestFile, err)
		}
		over.added[ManifestFile] = text
	}
	p.Bundle, err = Open(over)
	return err
}

// amended is a manifest's text with a graph's origin; comments stay.
func amended(text []byte, graph string, origin *bundlev1.Origin) ([]byte, error) {
	var doc, value yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if err := value.Encode(map[string]any{
		"pushed_sha256": origin.GetPushedSha256(), "kept_sha256": origin.GetKeptSha256(), "changes": origin.GetChanges(),
	}); err != nil {
		return nil, err
	}
	g := valueNode(&doc, []string{"graphs", graph})
	if g == nil || g.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("graphs.%s is no mapping of its own", graph)
	}
	if old := valueNode(g, []string{"origin"}); old != nil {
		*old = value
	} else {
		g.Content = append(g.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "origin"}, &value)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	err := enc.Encode(&doc)
	return out.Bytes(), err
}

// inferred prepares a bundle that has no manifest.
func (p *Prepared) inferred(over *overlay, hints *bundlev1.Hints) error {
	file, err := onlyGraph(over.FS, hints.GetGraph())
	if err != nil {
		return err
	}
	found, err := toMend(over.FS, file)
	if err != nil {
		return err
	}
	var origin *bundlev1.Origin
	if len(found.edits) > 0 {
		over.edited[file] = found.edits
		if origin, err = found.origin(over.FS, over, file); err != nil {
			return err
		}
	}
	b := &Bundle{FS: over, Graphs: map[string]*Graph{}, Labels: map[string][]string{}, Alphabets: map[string][]string{}}
	if b.Manifest, b.Guesses, err = infer(over, file, found.classes, hints); err != nil {
		return err
	}
	b.Manifest.GetGraphs()["model"].Origin = origin
	for _, change := range found.changes {
		b.Guesses = append(b.Guesses, Guess{Field: "graphs.model.origin", Why: change})
	}
	if err := b.resolve(); err != nil {
		return err
	}
	b.noteGuesses()
	text, err := Marshal(b.Manifest, nil)
	if err != nil {
		return err
	}
	over.added[ManifestFile] = text
	p.Bundle = b
	return nil
}
