package serving_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/serving"
)

// TestStarterBundles loads every bundle under models/ as the daemon does:
// placed, checked against its golden samples, and warmed.
func TestStarterBundles(t *testing.T) {
	runtime := gputest.OpenRuntime(t)
	bundles, err := filepath.Glob(filepath.Join("..", "models", "*", "bundle.yaml"))
	if err != nil || len(bundles) < 3 {
		t.Fatalf("%d bundles under models/: %v", len(bundles), err)
	}
	for _, manifest := range bundles {
		dir := filepath.Dir(manifest)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			if _, err := bundle.Open(os.DirFS(dir)); errors.Is(err, bundle.ErrInvalid) && slices.Contains([]string{"faces", "ocr", "safesearch"}, name) {
				t.Skipf("make setup-extra has not been run: %v", err)
			}
			var stages []serving.Progress
			v, err := serving.Load(context.Background(), pipeline.Identity{Model: name, Version: 1}, dir, serving.LoadOptions{
				Loader: runtime, Progress: func(p serving.Progress) { stages = append(stages, p) },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			t.Log(v.Verification(), stages[len(stages)-1])
			if len(v.Bundle().Graphs) == 0 {
				return // a catalogue alone
			}
			item, err := v.Pipeline().Synthetic(1, 0)
			if err != nil {
				t.Fatal(err)
			}
			a := v.Run(context.Background(), []pipeline.Item{item})[0]
			t.Logf("%+v %v", a.Stats, a.Err)
		})
	}
}
