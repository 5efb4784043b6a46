//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program runs scry as a process of its own.
func program(t *testing.T, server string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "SCRY_SERVER="+server, "HOME="+t.TempDir(), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = &bytes.Buffer{}
	return cmd
}

// TestResume scores many rows (SCRY_ROWS) by processes that are killed and
// interrupted midway, until one ends. The file must have every row once, in
// order, and no process may have held more memory than a few thousand rows take.
func TestResume(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	rows := 100_000
	if text := os.Getenv("SCRY_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	_, address, stop, err := serveFake()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	bundle := filepath.Join(dir, "churn")
	if err := os.Mkdir(bundle, 0o755); err != nil {
		t.Fatal(err)
	}
	graph := testGraph{opset: 21, ir: 10, inputs: []string{"tenure:float:N,1", "plan:string:N,1"}}
	for name, text := range map[string]string{
		"model.onnx": string(graph.bytes()),
		"bundle.yaml": "graphs: {model: {file: model.onnx}}\nheads: {churn: {source: model.probability, probability: {event: churn}}}\n" +
			"row: {features: [{name: tenure, type: FEATURE_TYPE_FLOAT}, {name: plan, type: FEATURE_TYPE_STRING}]}\n",
	} {
		if err := os.WriteFile(filepath.Join(bundle, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if push := program(t, address, "push", bundle, "--activate"); push.Run() != nil {
		t.Fatal(push.Stderr)
	}
	in := filepath.Join(dir, "customers.csv")
	writeRows(t, in, rows)
	to := filepath.Join(dir, "scores.csv")

	most, ends := int64(0), []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGKILL}
	for run := 0; ; run++ {
		cmd := program(t, address, "score", in, "--to", to, "--resume", "--reasons", "3")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		peak := make(chan int64, 1)
		stop := make(chan struct{})
		go func() { peak <- highWater(cmd.Process.Pid, stop) }()
		if run < len(ends) {
			// It is under way once the file has grown by another part of what it will be.
			for before := fileSize(to); fileSize(to) < before+int64(rows)*5 && len(ended) == 0; {
				time.Sleep(time.Millisecond)
			}
			_ = cmd.Process.Signal(ends[run]) // one that has ended is found below
		}
		err := <-ended
		close(stop)
		most = max(most, <-peak)
		if run < len(ends) {
			if err == nil {
				t.Fatalf("run %d ended before the signal: %s", run, cmd.Stderr)
			}
			if ends[run] == syscall.SIGINT && cmd.ProcessState.ExitCode() != exitInterrupted {
				t.Errorf("exit code %d after an interrupt: %s", cmd.ProcessState.ExitCode(), cmd.Stderr)
			}
			continue
		}
		if err != nil {
			t.Fatalf("the last run: %v: %s", err, cmd.Stderr)
		}
		break
	}
	checkRows(t, to, rows)
	t.Logf("%d rows, at most %d MiB", rows, most>>20)
	if runtime.GOOS == "linux" && most == 0 {
		t.Error("no process's memory was seen")
	}
	if limit := int64(96 << 20); runtime.GOOS == "linux" && !raceEnabled && most > limit {
		t.Errorf("a process held %d MiB, at most %d are needed however many rows there are", most>>20, limit>>20)
	}
}

// highWater is the most memory that a process has held until stop, in bytes; 0
// where there is no /proc. The usage that Wait returns would count what the
// process that started it held, too.
func highWater(pid int, stop <-chan struct{}) (most int64) {
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
			kib, _, _ := strings.Cut(strings.TrimSpace(after), " ")
			if n, err := strconv.ParseInt(kib, 10, 64); err == nil {
				most = max(most, n<<10)
			}
		}
		select {
		case <-stop:
			return most
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func fileSize(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}

// writeRows writes customers with ids, some with a line break in a cell.
func writeRows(t *testing.T, name string, rows int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	rng := rand.New(rand.NewPCG(1, 2))
	fmt.Fprintln(w, "id,tenure,plan")
	for i := range rows {
		plan := "Month-to-month"
		if i%1000 == 0 {
			plan = "\"two\nlines\""
		}
		fmt.Fprintf(w, "c%d,%d,%s\n", i, rng.IntN(72), plan)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkRows wants every customer once, in order, answered.
func checkRows(t *testing.T, name string, rows int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records := csv.NewReader(bufio.NewReader(f))
	records.ReuseRecord = true
	if head, err := records.Read(); err != nil || !strings.HasPrefix(strings.Join(head, ","), "id,churn,") {
		t.Fatalf("%v %v", head, err)
	}
	for i := range rows {
		record, err := records.Read()
		if err != nil || record[0] != fmt.Sprint("c", i) || record[1] == "" || record[len(record)-1] != "" {
			t.Fatalf("row %d: %q %v", i, record, err)
		}
	}
	if extra, err := records.Read(); err == nil {
		t.Fatalf("more rows than customers: %q", extra)
	}
}
