package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/scry-ml/scry/bundle"
)

// initCmd writes what the server would infer.
type initCmd struct {
	Path  string `arg:"" default:"." help:"A directory, or an .onnx file."`
	Print bool   `help:"Print the manifest instead of writing bundle.yaml."`
	Force bool   `help:"Replace a bundle.yaml that is there."`
}

func (c *initCmd) Run(app *app) error {
	s, err := openSource(c.Path)
	if err != nil {
		return err
	}
	s.hide = bundle.ManifestFile // what is inferred must not rest on an older one
	b, err := s.open(c.Path)
	if err != nil {
		return err
	}
	text, err := bundle.Marshal(b.Manifest, b.Guesses)
	if err != nil {
		return err
	}
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
	return app.output.done(map[string]any{"file": target}, "%s is written; each guess has a comment that says what it rests on", target)
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

// tellGuesses says what was inferred.
func tellGuesses(o *output, b *bundle.Bundle) {
	for _, g := range b.Guesses {
		o.remark("inferred %s: %s", g.Field, g.Why)
	}
}
