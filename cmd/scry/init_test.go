package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scry-ml/scry/bundle"
)

// What init suggests for heads is a bundle once it is uncommented.
func TestHeadsHint(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "model.onnx"), testGraph{opset: 21, ir: 10}.bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if code := run([]string{"init", dir}, strings.NewReader(""), io.Discard, io.Discard); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	file := filepath.Join(dir, bundle.ManifestFile)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, hint, ok := strings.Cut(string(text), "#\n")
	if !ok {
		t.Fatalf("no hint in\n%s", text)
	}
	hint = strings.ReplaceAll("\n"+hint, "\n# ", "\n")
	if err := os.WriteFile(file, []byte(before+hint), 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if head := b.Manifest.GetHeads()["answer"]; head.GetSource() != "model.probability" || head.GetProbability() == nil {
		t.Errorf("the head is %v", head)
	}
}
