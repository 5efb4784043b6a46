package serving

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// planFormat is raised when a plan of an older program must not be used.
const planFormat = 2

// Planner measures plans and keeps them in a directory. Loads that share one
// come one after another, as a Manager's do: two would disturb each other.
type Planner struct {
	dir     string
	machine string
	quiet   func() bool // whether the machine has nothing else to do
	// How long a choice may take: of a graph of less than 1 MiB of weights, and of
	// another.
	small, large time.Duration
}

// NewPlanner makes a planner that keeps what it measures in dir, which need not
// exist; empty means nowhere. machine is a text that differs where measured
// figures no longer hold, such as gpu.Runtime.Fingerprint's.
func NewPlanner(dir, machine string) *Planner {
	return &Planner{dir: dir, machine: machine, quiet: quiet, small: 50 * time.Millisecond, large: 15 * time.Second}
}

// quiet reports whether threads of this process get the processors when they
// want them. It asks a few times: a provider's threads spin on for a while after
// a run.
func quiet() bool {
	for range 5 {
		if undisturbed() {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// undisturbed spins a thread for each processor for a moment and looks at how
// much of it each had. The moment is long enough for the system to spread them.
func undisturbed() bool {
	const moment, share = 15 * time.Millisecond, 0.75
	var all sync.WaitGroup
	var disturbed atomic.Bool
	for range processors() {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			start, had := time.Now(), threadTime()
			for time.Since(start) < moment {
			}
			had = threadTime() - had
			if float64(had) < share*float64(time.Since(start)) {
				disturbed.Store(true)
			}
		})
	}
	all.Wait()
	return !disturbed.Load()
}

// threadTime is the processor time of the calling thread. Getrusage tells it in
// ticks of some milliseconds.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// kept is the content of a plan's file.
type kept struct {
	Format  int
	Machine string // for people who look into the file
	Plan    Plan
}

// systemError is an error of the file system without the path, which is the
// host's own.
func systemError(err error) string {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	return "the file system failed"
}

func (p *Planner) file(key string) string { return filepath.Join(p.dir, key+".json") }

// recall returns the plan that was kept under a key, false when there is none
// that can be used.
func (p *Planner) recall(key string) (Plan, bool) {
	if p.dir == "" {
		return Plan{}, false
	}
	text, err := os.ReadFile(p.file(key))
	if err != nil {
		return Plan{}, false
	}
	var k kept
	if json.Unmarshal(text, &k) != nil || k.Format != planFormat || !k.Plan.sound() {
		return Plan{}, false
	}
	k.Plan.Source = ByCache
	return k.Plan, true
}

// sound reports whether a plan that was read from a file can be obeyed.
func (p *Plan) sound() bool {
	for _, c := range p.Costs {
		if c.Shape.Rows < 1 || c.Shape.Length < 0 || c.Time <= 0 {
			return false
		}
	}
	return p.Device != "" && p.Precision.Coarseness() >= 0 && p.Runs > 0 && p.Threads >= 0 && p.MaxRows > 0 && p.MaxRows <= 1<<20 &&
		p.MaxCells >= 0 && p.MaxLength >= 0 && ascending(p.RowSteps) && ascending(p.LengthSteps) && len(p.Costs) > 0
}

func ascending(steps []int) bool {
	for i, s := range steps {
		if s < 1 || i > 0 && s <= steps[i-1] {
			return false
		}
	}
	return true
}

// keep writes a plan. A reader sees the whole file or none; after a crash it may
// be missing, or empty, and is measured again.
func (p *Planner) keep(key string, plan Plan) error {
	if p.dir == "" {
		return nil
	}
	text, err := json.MarshalIndent(kept{planFormat, p.machine, plan}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(p.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), p.file(key))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// key names what a graph's plan depends on: the graph's bytes, what the manifest
// says of it and of tolerances, and the machine.
func (l *loading) key(name string) (string, error) {
	m := l.bundle.Manifest
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s\n%q\n", planFormat, l.opts.Planner.machine, wanted(l.bundle, l.goldens, name))
	part := &bundlev1.Manifest{
		Graphs: map[string]*bundlev1.Graph{name: m.GetGraphs()[name]}, Goldens: m.GetGoldens(), Preprocessing: m.GetPreprocessing(),
	}
	said, err := proto.MarshalOptions{Deterministic: true}.Marshal(part)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(h, "%d\n", len(said))
	h.Write(said)
	// An inferred axis is measured, one that somebody wrote is believed.
	fmt.Fprintf(h, "%t\n", len(l.bundle.Guesses) > 0)
	file := m.GetGraphs()[name].GetFile()
	files := []string{file}
	for _, external := range l.bundle.Graphs[name].ExternalData {
		files = append(files, path.Join(path.Dir(file), external))
	}
	if g := m.GetGoldens().GetFile(); g != "" {
		files = append(files, g)
	}
	for _, f := range files {
		if err := digest(h, filepath.Join(l.dir, filepath.FromSlash(f))); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digest writes the digest of a file.
func digest(to io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	_, err = to.Write(h.Sum(nil))
	return err
}
