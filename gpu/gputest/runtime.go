package gputest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/scry-ml/scry/gpu"
)

// RuntimeConfig finds ONNX Runtime for a test: in the folder .runtime of the
// repository, where set-up unpacks it, or SCRY_RUNTIME_DIR; SCRY_ORT_LIBRARY
// names another library. Without one the test is skipped, or fails where
// SCRY_REQUIRE_ORT=1.
func RuntimeConfig(t testing.TB) gpu.Config {
	t.Helper()
	dir := os.Getenv("SCRY_RUNTIME_DIR")
	if dir == "" {
		dir = filepath.Join(repository(t), ".runtime")
	}
	c := gpu.FindRuntime(dir)
	if library := os.Getenv("SCRY_ORT_LIBRARY"); library != "" {
		c.Library = library
	}
	if c.Library == "" {
		const why = "ONNX Runtime is not there: run `make setup` or set SCRY_ORT_LIBRARY"
		if os.Getenv("SCRY_REQUIRE_ORT") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	return c
}

// OpenRuntime opens the real ONNX Runtime and closes it after the test. There
// is one in a process: such tests do not run in parallel.
func OpenRuntime(t testing.TB) *gpu.Runtime {
	t.Helper()
	r, err := gpu.Open(RuntimeConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// repository is the nearest folder above that has a go.mod.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = parent
	}
}
