package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/scry-ml/scry/gpu"
)

// peersDir is where scripts/bench/peers/install.sh puts them.
const peersDir = ".bench/peers"

// peer is another server of the same file. It takes the model's path and a port
// and says "ready ADDRESS".
type peer struct {
	name    string
	command []string
}

var peerServers = []peer{
	{"pytriton", []string{peersDir + "/venv/bin/python", "scripts/bench/peers/triton.py"}},
	{"grpcio with ONNX Runtime", []string{peersDir + "/venv/bin/python", "scripts/bench/peers/plain.py"}},
	{"hugot", []string{peersDir + "/hugot"}},
}

// peers compares mixed texts on the CPU provider, and with the plan free, with
// what others make of the same file under the same load.
func peers(ctx context.Context, cfg *config, out *report) error {
	return withText(cfg, out, "peers", func(rt *gpu.Runtime) error {
		d, to, err := textDaemon(ctx, cfg, rt, gpu.CPU)
		if err != nil {
			return err
		}
		defer d.stop()
		defer to.close()
		free, freely, err := textDaemon(ctx, cfg, rt, "")
		if err != nil {
			return err
		}
		defer free.stop()
		defer freely.close()
		for _, p := range peerServers {
			if err := p.measure(ctx, cfg, out, to, freely); err != nil {
				if ctx.Err() != nil {
					return err
				}
				out.skip(p.name, "%v", err)
			}
		}
		return errors.Join(d.uncached(ctx), free.uncached(ctx))
	})
}

func (p peer) measure(ctx context.Context, cfg *config, out *report, onCPU, free conns) error {
	if _, err := os.Stat(p.command[0]); err != nil {
		return fmt.Errorf("it is not installed (make bench-peers)")
	}
	address, stop, err := p.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	to, err := dial(address, cfg.conns)
	if err != nil {
		return err
	}
	defer to.close()
	from := textSource("texts", lengthAt)
	for _, callers := range []int{16, 64} {
		sides := []conns{onCPU, free, to}
		rates, all := make([][]float64, len(sides)), make([][]sample, len(sides))
		for k := range cfg.rounds + 1 { // the first does not count
			first := cfg.fresh()
			for i, side := range sides {
				o, err := closed(ctx, side, callers, cfg.round, first, from)
				if err != nil {
					return err
				}
				if k > 0 {
					rates[i] = append(rates[i], o.perSecond())
					all[i] = append(all[i], o.samples...)
				}
			}
		}
		for i, where := range []string{"CPU provider", "plan free"} {
			out.add(line{
				work: fmt.Sprintf("mixed texts, %d callers", callers), where: where, served: fmt.Sprintf("%.0f/s", median(rates[i])),
				beside: fmt.Sprintf("%s %.0f/s, %s", p.name, median(rates[2]), summary(all[2])),
				ratio:  over(rates[i], rates[2]).String(), times: summary(all[i]),
			})
		}
	}
	return nil
}

// start runs the server until stop.
func (p peer) start(ctx context.Context) (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	model, err := filepath.Abs(miniLM)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.Command(p.command[0], append(p.command[1:], model, strconv.Itoa(port))...)
	cmd.Env = append(os.Environ(), "SCRY_ORT_LIBRARY="+peersDir+"/lib") // for hugot
	// Its own group: PyTriton starts processes of its own, which an interrupt
	// ends in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	var logs bytes.Buffer
	cmd.Stderr = &logs
	lines, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		kill := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_ = cmd.Wait()
		kill.Stop()
	}
	ready := make(chan string, 1)
	go func() { // ends with the process
		defer close(ready)
		for in := bufio.NewScanner(lines); in.Scan(); {
			if rest, ok := strings.CutPrefix(in.Text(), "ready "); ok {
				ready <- rest
			}
		}
	}()
	select {
	case address = <-ready:
	case <-ctx.Done():
	}
	if address == "" {
		stop()
		return "", nil, fmt.Errorf("it does not start: %s", lastWords(logs.String()))
	}
	return address, stop, nil
}

// lastWords is the last line of a log that says something.
func lastWords(log string) string {
	said := "it says nothing"
	for line := range strings.Lines(log) {
		if line = strings.TrimSpace(line); len(line) > 3 {
			said = line
		}
	}
	return said
}
