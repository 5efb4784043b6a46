package scry_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// reason is the form of an error's reason that no other text in these packages
// has: words in capitals, joined.
var reason = regexp.MustCompile(`\b[A-Z]+(_[A-Z]+)+\b`)

// TestReasonsAreDocumented holds the table of docs/operations.md against the
// reasons that stand in the source.
func TestReasonsAreDocumented(t *testing.T) {
	given := map[string]string{} // and the file
	for _, folder := range []string{"server", "serving", "pipeline", "scoring", "choosing", "recommend", "sentiment", "imageanalysis"} {
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(folder, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if text := strings.Trim(lit.Value, `"`); reason.FindString(text) == text && text != "" {
						given[text] = name
					}
				}
				return true
			})
		}
	}

	page, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "## What errors mean")
	if !ok {
		t.Fatal("docs/operations.md has lost its table of reasons")
	}
	told := map[string]bool{}
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) > 2 {
			for _, name := range reason.FindAllString(cells[1], -1) {
				told[name] = true
			}
		}
	}
	for name, file := range given {
		if !told[name] {
			t.Errorf("%s of %s is not in the table of docs/operations.md", name, file)
		}
	}
	for name := range told {
		if given[name] == "" {
			t.Errorf("docs/operations.md explains %s, which no error has", name)
		}
	}
}
