package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program runs on laptops: without cgo, and without what only the server's
// machine has.
func TestImports(t *testing.T) {
	for _, pkg := range []string{".", "../../client", "../../client/clienttest"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for dep := range strings.Lines(string(out)) {
			dep = strings.TrimSpace(dep)
			for _, never := range []string{"gpu", "serving", "server", "modelstore"} {
				if path := "github.com/scry-ml/scry/" + never; dep == path || strings.HasPrefix(dep, path+"/") {
					t.Errorf("%s imports %s", pkg, dep)
				}
			}
			if strings.Contains(dep, "onnxruntime") || dep == "runtime/cgo" && os.Getenv("CGO_ENABLED") == "0" {
				t.Errorf("%s imports %s", pkg, dep)
			}
		}
	}
}

func TestCrossCompiles(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program for two other systems")
	}
	for _, target := range []string{"darwin/arm64", "windows/amd64"} {
		t.Run(target, func(t *testing.T) {
			system, arch, _ := strings.Cut(target, "/")
			cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(t.TempDir(), "scry"), ".")
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
