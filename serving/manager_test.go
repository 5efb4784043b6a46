package serving_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/serving"
	"github.com/scry-ml/scry/tensor"
)

// catalogue is a store in memory: directories by version.
type catalogue struct {
	mu     sync.Mutex
	dirs   map[int64]string
	routes []serving.Route
}

var errUnknown = errors.New("unknown")

func (c *catalogue) Resolve(_ context.Context, model, version string) (int64, error) {
	n, err := strconv.ParseInt(version, 10, 64)
	if version == "latest" {
		n, err = 1, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || model != "m" || c.dirs[n] == "" {
		return 0, errUnknown
	}
	return n, nil
}

func (c *catalogue) Routes(context.Context) ([]serving.Route, error) { return c.routes, nil }

func (c *catalogue) Materialize(_ context.Context, _ string, version int64) (string, func() error, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dirs[version], func() error { return nil }, nil
}

// newManager makes a manager over versions 1 and 2 of matmul, which answer
// alike, and a version 3 that cannot be loaded.
func newManager(t *testing.T, fake *gputest.Fake) (*serving.Manager, *catalogue) {
	t.Helper()
	c := &catalogue{dirs: map[int64]string{
		1: bundleDir(t, "matmul", "description: one\ngraphs: {model: {file: model.onnx}}\n", nil),
		2: bundleDir(t, "matmul", "description: two\ngraphs: {model: {file: model.onnx}}\n", nil),
		3: bundleDir(t, "zipmap", "", nil),
	}}
	m := serving.New(serving.Config{Catalogue: c, Loader: fake, Spare: 1, RetryAfter: time.Hour})
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if fake.Open() != 0 {
			t.Errorf("%d sessions are left after Close", fake.Open())
		}
		goleak.VerifyNone(t)
	})
	return m, c
}

// score runs one item and returns the version that answered.
func score(t *testing.T, m *serving.Manager, version string) (int64, error) {
	v, release, err := m.Acquire(context.Background(), "m", version)
	if err != nil {
		return 0, err
	}
	defer release()
	a := v.Run(context.Background(), []pipeline.Item{item[float32](t, 1, 2, 3)})[0]
	if a.Err != nil {
		return 0, a.Err
	}
	out, _ := a.Outputs.Get(bundle.Source{Graph: "model", Output: "y"})
	if got := tensor.View[float32](out); got[0] != 22.5 {
		return 0, fmt.Errorf("answer %v", got)
	}
	return v.Identity().Version, nil
}

// TestSwapUnderLoad moves the route back and forth while callers score: no call
// fails, and after SetRoute has returned no new call reaches the old version.
func TestSwapUnderLoad(t *testing.T) {
	m, _ := newManager(t, &gputest.Fake{})
	for _, v := range []int64{1, 2} {
		if err := m.Warm(context.Background(), "m", v); err != nil {
			t.Fatal(err)
		}
	}
	m.SetRoute(serving.Route{Model: "m", Version: 1, Revision: 1})
	var stop atomic.Bool
	var calls atomic.Int64
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for !stop.Load() {
				if _, err := score(t, m, ""); err != nil {
					t.Errorf("a call failed: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for revision := int64(2); revision < 60; revision++ {
		want := revision%2 + 1
		m.SetRoute(serving.Route{Model: "m", Version: want, Revision: revision})
		if got, err := score(t, m, ""); err != nil || got != want {
			t.Fatalf("after revision %d version %d answered, want %d (%v)", revision, got, want, err)
		}
	}
	// An acknowledgement that was overtaken changes nothing.
	m.SetRoute(serving.Route{Model: "m", Version: 1, Revision: 3})
	if got, err := score(t, m, ""); err != nil || got != 2 {
		t.Errorf("version %d answered after an old revision (%v)", got, err)
	}
	stop.Store(true)
	callers.Wait()
	if calls.Load() == 0 {
		t.Error("no call was made meanwhile")
	}
}

// TestFailedLoad leaves the routed version serving.
func TestFailedLoad(t *testing.T) {
	m, c := newManager(t, &gputest.Fake{})
	c.routes = []serving.Route{{Model: "m", Version: 1, Revision: 1}}
	if err := m.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := m.Warm(context.Background(), "m", 3); !errors.Is(err, serving.ErrLoad) || !errors.Is(err, bundle.ErrGraph) {
		t.Errorf("a bad version: %v, want ErrLoad and ErrGraph", err)
	}
	if got, err := score(t, m, ""); err != nil || got != 1 {
		t.Errorf("version %d, %v", got, err)
	}
	if ready, failed := m.Ready(); !ready || failed != 0 {
		t.Errorf("ready %v, failed %d", ready, failed)
	}
	// Mended, it loads when it is asked for by name, long before RetryAfter.
	c.mu.Lock()
	c.dirs[3] = c.dirs[2]
	c.mu.Unlock()
	if err := m.Warm(context.Background(), "m", 3); err != nil {
		t.Errorf("mended: %v", err)
	}
}

func TestAcquireRefuses(t *testing.T) {
	m, _ := newManager(t, &gputest.Fake{})
	if _, _, err := m.Acquire(context.Background(), "m", ""); !errors.Is(err, serving.ErrNoRoute) {
		t.Errorf("no route: %v", err)
	}
	if _, _, err := m.Acquire(context.Background(), "other", ""); !errors.Is(err, errUnknown) {
		t.Errorf("no model: %v", err)
	}
	if _, _, err := m.Acquire(context.Background(), "m", "9"); !errors.Is(err, errUnknown) {
		t.Errorf("no version: %v", err)
	}
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Acquire(context.Background(), "m", "1"); !errors.Is(err, serving.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestSpareVersionsAreFreed asks for more versions than may stay.
func TestSpareVersionsAreFreed(t *testing.T) {
	fake := &gputest.Fake{}
	m, c := newManager(t, fake)
	for v := int64(4); v < 10; v++ {
		c.mu.Lock()
		c.dirs[v] = c.dirs[1]
		c.mu.Unlock()
		if got, err := score(t, m, fmt.Sprint(v)); err != nil || got != v {
			t.Fatalf("version %d: %v", got, err)
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for fake.Open() > 1 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if fake.Open() > 1 {
		t.Errorf("%d versions are loaded, want 1", fake.Open())
	}
}

// TestForgottenVersionFinishesItsCalls deletes a version that is in use.
func TestForgottenVersionFinishesItsCalls(t *testing.T) {
	fake := &gputest.Fake{}
	m, _ := newManager(t, fake)
	v, release, err := m.Acquire(context.Background(), "m", "1")
	if err != nil {
		t.Fatal(err)
	}
	m.Forget("m", 1)
	if a := v.Run(context.Background(), []pipeline.Item{item[float32](t, 1, 2, 3)})[0]; a.Err != nil {
		t.Errorf("the call in progress: %v", a.Err)
	}
	release()
	deadline := time.Now().Add(5 * time.Second)
	for fake.Open() > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if fake.Open() != 0 {
		t.Error("the version was not freed")
	}
}

func TestWatch(t *testing.T) {
	m, _ := newManager(t, &gputest.Fake{})
	last := serving.Stage(0)
	err := m.Watch(context.Background(), "m", 1, func(p serving.Progress) error {
		if p.Stage < last {
			t.Errorf("stage %d after %d", p.Stage, last)
		}
		last = p.Stage
		return nil
	})
	if err != nil || last != serving.Ready {
		t.Errorf("stage %d, %v", last, err)
	}
	err = m.Watch(context.Background(), "m", 3, func(p serving.Progress) error { last = p.Stage; return nil })
	if err != nil || last != serving.Failed {
		t.Errorf("a bad version: stage %d, %v", last, err)
	}
}

// TestCloseWhileLoading ends a manager whose loads are under way.
func TestCloseWhileLoading(t *testing.T) {
	m, _ := newManager(t, &gputest.Fake{})
	var callers sync.WaitGroup
	for _, v := range []string{"1", "2"} {
		callers.Go(func() {
			if _, err := score(t, m, v); err != nil && !errors.Is(err, serving.ErrClosed) && !errors.Is(err, serving.ErrLoad) {
				t.Logf("version %s: %v", v, err) // whatever the moment of closing left it with
			}
		})
	}
	if err := m.Close(context.Background()); err != nil {
		t.Error(err)
	}
	callers.Wait()
}

func TestLoadErrorsNameNoPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "model.onnx"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := serving.Load(context.Background(), pipeline.Identity{}, dir, serving.LoadOptions{Loader: &gputest.Fake{}})
	if !errors.Is(err, bundle.ErrGraph) {
		t.Fatalf("an empty model: %v, want ErrGraph", err)
	}
	if text := err.Error(); filepath.Dir(dir) != "/" && strings.Contains(text, filepath.Dir(dir)) {
		t.Errorf("the error names a path of the host: %q", text)
	}
}

// TestVersionsShareTheProcessors: versions whose runs use all threads take
// turns, whichever model they are of.
func TestVersionsShareTheProcessors(t *testing.T) {
	var running, most, runs atomic.Int64
	fake := &gputest.Fake{OnRun: func(context.Context, string, []tensor.Tensor) error {
		runs.Add(1)
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(3 * time.Millisecond)
		running.Add(-1)
		return nil
	}}
	threads := runtime.GOMAXPROCS(0)
	manifest := fmt.Sprintf("graphs: {model: {file: model.onnx, execution: {threads: %d}}}\n", threads)
	dirs := map[int64]string{}
	for v := range int64(4) {
		dirs[v+1] = bundleDir(t, "matmul", fmt.Sprintf("description: %d\n%s", v, manifest), nil)
	}
	m := serving.New(serving.Config{Catalogue: &catalogue{dirs: dirs}, Loader: fake, Spare: 4})
	t.Cleanup(func() { _ = m.Close(context.Background()) })
	for v := range dirs {
		if err := m.Warm(t.Context(), "m", v); err != nil {
			t.Fatal(err)
		}
	}
	most.Store(0)
	runs.Store(0)
	var callers sync.WaitGroup
	for v := range dirs {
		for range 8 {
			callers.Go(func() {
				for range 5 {
					if got, err := score(t, m, fmt.Sprint(v)); err != nil || got != v {
						t.Errorf("version %d: %v, %v", v, got, err)
					}
				}
			})
		}
	}
	callers.Wait()
	if most.Load() != 1 {
		t.Errorf("%d runs of %d threads at once", most.Load(), threads)
	}
	t.Logf("%d items in %d runs", 4*8*5, runs.Load())
	if runs.Load() > 80 {
		t.Errorf("%d runs for 160 items: nothing gathers while others run", runs.Load())
	}
}
