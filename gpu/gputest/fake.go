package gputest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/tensor"
)

// Fake is a gpu.Loader that evaluates small graphs in plain Go: those of the
// suite and others of the same operators (eval.go lists them). It passes the
// conformance suite. The zero value has one device, "cpu".
type Fake struct {
	// Machine is what Devices returns; nil means an available CPU.
	Machine []gpu.Device
	// OnLoad is called for every device that is tried; its error is what the
	// device answers. May be nil.
	OnLoad func(d gpu.Device, spec gpu.Spec) error
	// OnRun is called in every run, after the inputs are checked; its error ends
	// the run. It may block, and should heed ctx. May be nil.
	OnRun func(ctx context.Context, path string, in []tensor.Tensor) error

	open atomic.Int64
}

// Open returns how many sessions are loaded and not closed.
func (f *Fake) Open() int { return int(f.open.Load()) }

// Devices implements gpu.Loader.
func (f *Fake) Devices() []gpu.Device {
	if f.Machine == nil {
		return []gpu.Device{{
			ID: gpu.CPU, Provider: gpu.CPU, Name: "fake", MemoryTotal: 1 << 30, MemoryFree: 1 << 30,
			Available: true, Precisions: []gpu.Precision{gpu.F32},
		}}
	}
	return slices.Clone(f.Machine)
}

// Load implements gpu.Loader.
func (f *Fake) Load(ctx context.Context, spec gpu.Spec) (gpu.Session, error) {
	start := time.Now()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	need, err := gpu.EstimateBytes(spec.Path)
	if err != nil {
		return nil, err
	}
	candidates, unknown := spec.Candidates(f.Devices())
	var skipped []string
	if len(unknown) > 0 {
		skipped = append(skipped, "no device "+strings.Join(unknown, ", "))
	}
	var last error
	for _, d := range candidates {
		if !d.Available {
			skipped = append(skipped, d.ID+": "+d.Reason)
			continue
		}
		s, err := f.loadOn(d, spec, need)
		if err == nil {
			s.placement.FallbackReason = strings.Join(skipped, "; ")
			s.placement.LoadTime = time.Since(start)
			f.open.Add(1)
			return s, nil
		}
		last = err
		skipped = append(skipped, d.ID+": "+err.Error())
	}
	if last != nil {
		return nil, last
	}
	return nil, fmt.Errorf("%w: %s", gpu.ErrNoDevice, strings.Join(skipped, "; "))
}

func (f *Fake) loadOn(d gpu.Device, spec gpu.Spec, need int64) (*fakeSession, error) {
	if d.MemoryFree > 0 && need > d.MemoryFree {
		return nil, &gpu.MemoryError{Device: d.ID, Needed: need, Available: d.MemoryFree}
	}
	if f.OnLoad != nil {
		if err := f.OnLoad(d, spec); err != nil {
			return nil, err
		}
	}
	g, err := readGraph(spec.Path)
	if err != nil {
		return nil, err
	}
	s := &fakeSession{fake: f, path: spec.Path, graph: g}
	s.placement = gpu.Placement{Provider: d.Provider, Device: d.ID, Precision: d.Coarsest(spec.Precision)}
	if d.Provider != gpu.CUDA {
		s.placement.Threads = max(spec.Threads, 1)
	}
	if s.sig, err = g.signature(spec.Outputs); err != nil {
		return nil, err
	}
	s.steps, err = g.stepsFor(s.sig.Outputs)
	return s, err
}

type fakeSession struct {
	fake      *Fake
	path      string
	graph     *graph
	sig       gpu.Signature
	steps     []node // that the outputs need
	placement gpu.Placement

	live   sync.RWMutex // read-locked by runs
	closed bool
}

func (s *fakeSession) Signature() gpu.Signature { return s.sig }
func (s *fakeSession) Placement() gpu.Placement { return s.placement }

func (s *fakeSession) Run(ctx context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
	if err := s.sig.Check(in); err != nil {
		return nil, err
	}
	s.live.RLock()
	defer s.live.RUnlock()
	if s.closed {
		return nil, fmt.Errorf("session: %w", gpu.ErrClosed)
	}
	if ctx.Err() != nil {
		return nil, terminated(ctx)
	}
	if s.fake.OnRun != nil {
		if err := s.fake.OnRun(ctx, s.path, in); err != nil {
			if ctx.Err() != nil {
				return nil, terminated(ctx)
			}
			return nil, err
		}
	}
	values := map[string]tensor.Tensor{}
	for i, v := range s.sig.Inputs {
		values[v.Name] = in[i]
	}
	if err := s.graph.evaluate(ctx, s.steps, values); err != nil {
		return nil, err
	}
	out := make([]tensor.Tensor, len(s.sig.Outputs))
	for i, v := range s.sig.Outputs {
		// An output may be an input passed on: the caller owns its outputs.
		out[i] = clone(values[v.Name])
	}
	return out, nil
}

func (s *fakeSession) Close() error {
	s.live.Lock()
	defer s.live.Unlock()
	if !s.closed {
		s.closed = true
		s.fake.open.Add(-1)
	}
	return nil
}

func terminated(ctx context.Context) error {
	return fmt.Errorf("%w: %w", gpu.ErrTerminated, context.Cause(ctx))
}

func clone(t tensor.Tensor) tensor.Tensor {
	t = t.Plain()
	t.Shape = slices.Clone(t.Shape)
	t.Strings = slices.Clone(t.Strings)
	if t.Data != nil {
		t.Data = append(make([]byte, 0, len(t.Data)), t.Data...)
	}
	return t
}
