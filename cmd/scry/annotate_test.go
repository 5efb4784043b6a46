package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestNewFiles: no file is written over, whatever the inputs are called.
func TestNewFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	whole, err := filepath.Abs("out/b.png")
	if err != nil {
		t.Fatal(err)
	}
	inputs := []string{"in/a.jpg", "in/a-2.jpg", "other/a.png", "other/A.webp", "-", whole, "out/./B.heat.png"}
	files := newFilesIn("out", inputs)
	want := []string{"a.heat.png", "a-2.heat.png", "a-3.heat.png", "A-4.heat.png", "stdin.heat.png", "b-2.heat.png", "B.heat.heat.png"}
	for i, input := range inputs {
		got, err := files.write(input, ".heat.png", []byte(input))
		if err != nil || got != filepath.Join("out", want[i]) {
			t.Errorf("%s becomes %s, %v, not %s", input, got, err, want[i])
		}
	}
	for i, name := range want {
		if content, err := os.ReadFile(filepath.Join("out", name)); err != nil || string(content) != inputs[i] {
			t.Errorf("%s is of %q, %v, not of %s", name, content, err, inputs[i])
		}
	}
}
