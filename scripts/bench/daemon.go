package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/scry-ml/scry/client"
)

// daemon is a scryd of this run's own, with the starter models in a store that
// goes with it.
type daemon struct {
	cmd     *exec.Cmd
	dir     string
	address string
}

var serving = regexp.MustCompile(`msg=serving grpc=(\S+)`)

func startDaemon(ctx context.Context, scryd, runtimeDir string) (*daemon, error) {
	dir, err := os.MkdirTemp("", "scry-bench-")
	if err != nil {
		return nil, err
	}
	d := &daemon{dir: dir}
	d.cmd = exec.Command(scryd, "--store", filepath.Join(dir, "store"), "--import", "models", "--grpc", "127.0.0.1:0", "--admin", "", "--runtime-dir", runtimeDir)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	logs, err := d.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (make build)", err)
	}
	lines := bufio.NewScanner(logs)
	var last []string
	for lines.Scan() {
		if m := serving.FindStringSubmatch(lines.Text()); m != nil {
			d.address = m[1]
			break
		}
		last = append(last, lines.Text())
	}
	if d.address == "" {
		d.stop()
		return nil, fmt.Errorf("scryd did not start:\n%s", strings.Join(last, "\n"))
	}
	go func() { // ends with the daemon
		for lines.Scan() { //nolint:revive // the pipe must be drained
		}
	}()
	if err := d.wait(ctx); err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

// wait returns when the starter models are warm.
func (d *daemon) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	c, err := client.Dial(ctx, d.address)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, model := range []string{"churn", "sentiment", "products"} {
		if err := c.WaitLoaded(ctx, model, "", nil); err != nil {
			return fmt.Errorf("%s: %w", model, err)
		}
	}
	return nil
}

func (d *daemon) stop() {
	if d.cmd.Process != nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		var exit *exec.ExitError
		if err := d.cmd.Wait(); err != nil && !errors.As(err, &exit) {
			fmt.Fprintln(os.Stderr, "bench: scryd:", err)
		}
	}
	_ = os.RemoveAll(d.dir)
}

// residentBytes is the daemon's resident memory.
func (d *daemon) residentBytes() int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(d.cmd.Process.Pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
