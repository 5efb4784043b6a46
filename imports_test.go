// Package scry_test holds the rule of who may import whom; docs/ARCHITECTURE.md
// says why.
package scry_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/scry-ml/scry/"

// allowed lists, for each part, the parts that it may import (tests aside).
// proto is open to all but tensor, batch and cache.
var allowed = map[string][]string{
	"tensor":        {},
	"batch":         {},
	"cache":         {},
	"evaluate":      {},
	"explain":       {},
	"filter":        {},
	"tokenizer":     {},
	"personal":      {},
	"sentence":      {},
	"language":      {},
	"pixel":         {"tensor"},
	"turbojpeg":     {},
	"bundle":        {"filter", "tensor"},
	"gpu":           {"tensor"},
	"pipeline":      {"batch", "bundle", "pixel", "tensor", "tokenizer"},
	"modelstore":    {},
	"serving":       {"batch", "bundle", "cache", "gpu", "pipeline", "tensor"},
	"scoring":       {"bundle", "explain", "pipeline"},
	"choosing":      {"bundle", "filter", "pipeline", "scoring"},
	"recommend":     {"bundle", "filter", "pipeline"},
	"sentiment":     {"bundle", "language", "personal", "pipeline", "sentence", "tokenizer"},
	"imageanalysis": {"bundle", "pipeline", "pixel", "recommend"},
	"server":        {"batch", "bundle", "choosing", "gpu", "imageanalysis", "modelstore", "pipeline", "recommend", "scoring", "sentiment", "serving", "tensor"},
	"client":        {},
	"cmd/scry":      {"bundle", "client", "evaluate", "pipeline", "pixel", "tensor", "tokenizer"},
	"cmd/scryd":     {"bundle", "gpu", "modelstore", "pipeline", "pixel", "server", "serving", "turbojpeg"},
}

// standardOnly may import the standard library only.
var standardOnly = []string{"tensor", "batch", "cache", "evaluate", "explain", "personal", "sentence", "language"}

type goPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string
	CgoFiles   []string
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(path, "proto/") || strings.HasPrefix(path, "scripts/") || p.ImportPath+"/" == module {
			continue
		}
		if strings.HasSuffix(path, "test") {
			continue // conformance suites and fakes are test code
		}
		part := partOf(path)
		rule, ok := allowed[part]
		if !ok {
			t.Errorf("%s: no rule for this part: add it to the table", path)
			continue
		}
		seen[part] = true
		if len(p.CgoFiles) > 0 && part != "gpu" {
			t.Errorf("%s uses cgo, which belongs under gpu", path)
		}
		for _, imported := range p.Imports {
			if imported == "github.com/yalue/onnxruntime_go" && part != "gpu" {
				t.Errorf("%s imports ONNX Runtime's binding, which belongs under gpu", path)
			}
			rest, ours := strings.CutPrefix(imported, module)
			if slices.Contains(standardOnly, part) && strings.Contains(strings.Split(imported, "/")[0], ".") && partOf(rest) != part {
				t.Errorf("%s imports %s: only the standard library is allowed", path, imported)
				continue
			}
			if rest == "proto/inference" && part != "server" {
				t.Errorf("%s imports %s, which is the server's alone", path, rest)
			}
			if !ours || strings.HasPrefix(rest, "proto/") || partOf(rest) == part {
				continue
			}
			if !slices.Contains(rule, partOf(rest)) {
				t.Errorf("%s imports %s, which %s may not", path, rest, part)
			}
		}
	}
	for part := range allowed {
		if !seen[part] {
			t.Errorf("the table has a rule for %s, which does not exist", part)
		}
	}
}

// partOf is the first folder of a path, two under cmd.
func partOf(path string) string {
	folders := strings.SplitN(path, "/", 3)
	if folders[0] == "cmd" && len(folders) > 1 {
		return folders[0] + "/" + folders[1]
	}
	return folders[0]
}

func list(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Standard,Imports,CgoFiles", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
