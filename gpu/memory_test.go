package gpu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMeminfo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meminfo")
	write(t, path, "MemTotal:       1000 kB\nMemFree:         10 kB\nMemAvailable:    600 kB\n")
	total, available := meminfo(path)
	if total != 1000<<10 || available != 600<<10 {
		t.Errorf("total %d, available %d", total, available)
	}
}

func TestControlGroups(t *testing.T) {
	const max, used, cached = "memory.max", "memory.current", "inactive_file "
	root := t.TempDir()
	inner := filepath.Join(root, "a", "b")
	write(t, filepath.Join(inner, max), "max\n")
	write(t, filepath.Join(inner, used), "10\n")
	write(t, filepath.Join(root, "a", max), "1000\n")
	write(t, filepath.Join(root, "a", used), "700\n")
	write(t, filepath.Join(root, "a", "memory.stat"), "anon 600\ninactive_file 100\n")

	total, free := withGroups(5000, 4000, root, "/a/b", max, used, cached)
	if total != 1000 || free != 400 {
		t.Errorf("total %d, free %d; want the outer group's 1000 and 1000-(700-100)", total, free)
	}
	if total, free := withGroups(500, 300, root, "/a/b", max, used, cached); total != 500 || free != 300 {
		t.Errorf("total %d, free %d; want the machine's own", total, free)
	}
	write(t, filepath.Join(root, "a", used), "2000\n")
	if _, free := withGroups(5000, 4000, root, "/a/b", max, used, cached); free != 1 {
		t.Errorf("a full group has %d bytes free", free)
	}
	if total, free := withGroups(5000, 4000, root, "/absent", max, used, cached); total != 5000 || free != 4000 {
		t.Errorf("without a group: total %d, free %d", total, free)
	}
	if total, free := hostMemory(); total <= 0 || free <= 0 || free > total {
		t.Errorf("this machine has %d of %d bytes free", free, total)
	}
}

func TestEstimateBytes(t *testing.T) {
	dir := t.TempDir()
	external, err := os.ReadFile(graphPath("external"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "external.onnx")
	write(t, path, string(external))
	write(t, filepath.Join(dir, "external.bin"), strings.Repeat("x", 16))
	got, err := EstimateBytes(path)
	if want := int64(len(external)+16) * 5 / 4; err != nil || got != want {
		t.Errorf("%d bytes (%v), want %d", got, err, want)
	}

	if err := os.Remove(filepath.Join(dir, "external.bin")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "real.bin"), strings.Repeat("x", 16))
	if err := os.Symlink("real.bin", filepath.Join(dir, "external.bin")); err != nil {
		t.Fatal(err)
	}
	if _, err := EstimateBytes(path); !errors.Is(err, ErrModel) {
		t.Errorf("external data behind a symbolic link: %v, want ErrModel", err)
	}
}

func TestModelFile(t *testing.T) {
	for name, want := range map[string]modelFile{
		"matmul": {}, "loop": {loops: true}, "labels": {text: true}, "zipmap": {text: true},
		"types": {text: true}, "norank": {norank: true}, "scalars": {text: true},
	} {
		m, err := readModelFile(graphPath(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.loops != want.loops || m.text != want.text || m.norank != want.norank {
			t.Errorf("%s: loops %t, text %t, norank %t", name, m.loops, m.text, m.norank)
		}
	}
	// A graph in a graph in a graph, deeper than any model.
	nested := []byte{}
	for range 2 * maxDepth {
		attribute := protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), nested)
		node := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), attribute)
		nested = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), node)
	}
	path := filepath.Join(t.TempDir(), "deep.onnx")
	write(t, path, string(protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), nested)))
	if _, err := readModelFile(path); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "nested") {
		t.Errorf("deep nesting: %v", err)
	}
}

func FuzzModelFile(f *testing.F) {
	for _, name := range []string{"matmul", "external", "loop", "labels"} {
		data, err := os.ReadFile(graphPath(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "model.onnx")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := EstimateBytes(path)
		if err == nil && n < int64(len(data)) || err != nil && !errors.Is(err, ErrModel) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestHolders names what holds a device's memory, and keeps a CUDA device's
// sessions within its budget. The device is a made-up one: no GPU is needed.
func TestHolders(t *testing.T) {
	r := &Runtime{config: Config{CUDAMemory: 1000}, sessions: map[*session]struct{}{}}
	for owner, bytes := range map[string]int64{"a@1 model": 300, "b@2 model": 400} {
		r.sessions[&session{owner: owner, bytes: bytes, placement: Placement{Device: "cuda:0"}}] = struct{}{}
	}
	r.sessions[&session{owner: "c@1 model", bytes: 900, placement: Placement{Device: "cuda:1"}}] = struct{}{}
	held := r.held("cuda:0")
	if len(held) != 2 || held[0] != (Holding{"b@2 model", 400}) || held[1] != (Holding{"a@1 model", 300}) {
		t.Fatalf("held: %v", held)
	}
	for limit, want := range map[int64]int64{0: 300, 200: 200, 900: 300} {
		if got := r.budget(limit, held); got != want {
			t.Errorf("with a limit of %d another session may take %d, want %d", limit, got, want)
		}
	}
	if got := r.budget(0, r.held("cuda:1")); got != 100 {
		t.Errorf("on the other device %d, want 100", got)
	}
	if got := r.budget(0, []Holding{{"d", 2000}}); got != 1 {
		t.Errorf("a full device leaves %d, want as good as nothing", got)
	}
	if got := (&Runtime{}).budget(7, held); got != 7 {
		t.Errorf("without a budget the limit is %d", got)
	}
	err := r.blame(runError("cuda:0", 1, "Failed to allocate memory for requested buffer of size 4096"))
	want := "out of memory on cuda:0: needs 4096 bytes; held by b@2 model (400), a@1 model (300)"
	if !errors.Is(err, ErrOutOfMemory) || err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if err := r.blame(runError("cuda:0", 1, "else")); !errors.Is(err, ErrRun) {
		t.Errorf("%v", err)
	}
}
