package serving_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/serving"
)

// TestStarterBundles loads every bundle under models/ as the daemon does:
// placed, checked against its golden samples, and warmed.
func TestStarterBundles(t *testing.T) {
	runtime := gputest.OpenRuntime(t)
	for _, name := range []string{"churn", "ltv", "segments", "sentiment", "products"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("..", "models", name)
			if _, err := os.Stat(filepath.Join(dir, "bundle.yaml")); err != nil {
				t.Skip("the bundle is not there")
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
			item, err := v.Pipeline().Synthetic(1, 0)
			if err != nil {
				t.Fatal(err)
			}
			a := v.Run(context.Background(), []pipeline.Item{item})[0]
			t.Logf("%+v %v", a.Stats, a.Err)
		})
	}
}
