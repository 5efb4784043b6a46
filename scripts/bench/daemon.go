package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/scry-ml/scry/client"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// daemon is a scryd of this run's own, with a store that goes with it. Each
// kind of work gets its own, so that memory and counters are that work's.
type daemon struct {
	cmd     *exec.Cmd
	dir     string
	address string
	admin   string
	client  *client.Client
	raw     conns // for requests that are encoded already
}

var serving = regexp.MustCompile(`msg=serving grpc=(\S+)(?:.* admin=(\S+))?`)

// startDaemon starts one; models is a directory of bundles to import, or empty.
func startDaemon(ctx context.Context, cfg *config, models string) (_ *daemon, err error) {
	dir, err := os.MkdirTemp("", "scry-bench-")
	if err != nil {
		return nil, err
	}
	d := &daemon{dir: dir}
	defer func() {
		if err != nil {
			d.stop()
		}
	}()
	args := []string{"--store", filepath.Join(dir, "store"), "--import", models,
		"--grpc", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--runtime-dir", cfg.runtimeDir}
	if cfg.short {
		args = append(args, "--plan", "rules") // measuring takes longer than the rounds
	}
	d.cmd = exec.Command(cfg.scryd, args...)
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
			d.address, d.admin = m[1], m[2]
			break
		}
		last = append(last, lines.Text())
	}
	if d.address == "" {
		return nil, fmt.Errorf("scryd did not start:\n%s", strings.Join(last, "\n"))
	}
	go func() { // ends with the daemon
		for lines.Scan() { //nolint:revive // the pipe must be drained
		}
	}()
	if d.client, err = client.Dial(ctx, d.address); err != nil {
		return nil, err
	}
	d.raw, err = dial(d.address, cfg.conns)
	return d, err
}

// wait returns when the models are warm.
func (d *daemon) wait(ctx context.Context, models ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for _, model := range models {
		if err := d.client.WaitLoaded(ctx, model, "", nil); err != nil {
			return fmt.Errorf("%s: %w", model, err)
		}
	}
	return nil
}

// push makes a directory a model that answers.
func (d *daemon) push(ctx context.Context, model, dir string) error {
	_, err := d.client.Push(ctx, os.DirFS(dir), client.PushOptions{Model: model, Activate: true})
	if err != nil {
		return fmt.Errorf("push of %s: %w", model, err)
	}
	return nil
}

// pushTiny makes tiny networks of different weights models, without a manifest.
func (d *daemon) pushTiny(ctx context.Context, models ...string) error {
	for i, model := range models {
		dir := filepath.Join(d.dir, "bundles", model)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "tiny.onnx"), tinyONNX(uint64(i)), 0o644); err != nil {
			return err
		}
		if err := d.push(ctx, model, dir); err != nil {
			return err
		}
	}
	return nil
}

// graph tells where the first graph of a model runs.
func (d *daemon) graph(ctx context.Context, model string) (*serverv1.LoadedGraph, error) {
	loaded, err := d.client.Server().ListLoadedVersions(ctx, &serverv1.ListLoadedVersionsRequest{})
	if err != nil {
		return nil, err
	}
	for _, v := range loaded.GetVersions() {
		if v.GetModel() == model && len(v.GetGraphs()) > 0 {
			return v.GetGraphs()[0], nil
		}
	}
	return nil, fmt.Errorf("%s is not loaded", model)
}

func (d *daemon) stop() {
	if d.client != nil {
		_ = d.client.Close()
	}
	d.raw.close()
	if d.cmd != nil && d.cmd.Process != nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		var exit *exec.ExitError
		if err := d.cmd.Wait(); err != nil && !errors.As(err, &exit) {
			fmt.Fprintln(os.Stderr, "bench: scryd:", err)
		}
	}
	_ = os.RemoveAll(d.dir)
}

// memory returns what the daemon holds now and has held at most, in bytes.
func (d *daemon) memory() (now, most int64) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(d.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			now = kib << 10
		case "VmHWM:":
			most = kib << 10
		}
	}
	return now, most
}

// metrics are the values of the daemon's metrics by name and labels.
func (d *daemon) metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if i := strings.LastIndexByte(strings.TrimSpace(line), ' '); i > 0 && line[0] != '#' {
			if v, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64); err == nil {
				out[line[:i]] = v
			}
		}
	}
	return out, nil
}

// uncached fails when the daemon counts an answer from a cache: inputs are
// unique and caches off, so there is none.
func (d *daemon) uncached(ctx context.Context) error {
	all, err := d.metrics(ctx)
	if err != nil {
		return err
	}
	for name, v := range all {
		if strings.HasPrefix(name, "scry_response_hits_total") && v > 0 {
			return fmt.Errorf("%s is %v: an answer came from a cache", name, v)
		}
	}
	return nil
}

// meanBatch is how many items a run of the model had on average between two
// readings of the metrics.
func meanBatch(before, after map[string]float64, model string) float64 {
	sum := func(name string) (n float64) {
		for key, v := range after {
			if strings.HasPrefix(key, name+"{") && strings.Contains(key, `model="`+model+`"`) {
				n += v - before[key]
			}
		}
		return n
	}
	return sum("scry_computed_rows_total") / max(sum("scry_runs_total"), 1)
}
