package serving

import (
	"sort"
	"time"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/pipeline"
)

// Status describes a version that is loaded or on its way.
type Status struct {
	Identity     pipeline.Identity
	Routed       bool
	Progress     Progress
	Error        error // why loading failed
	Loaded       time.Time
	Graphs       []GraphStatus
	Verification Verification
}

// GraphStatus describes one graph of a loaded version.
type GraphStatus struct {
	Name, Device, Provider, Precision, Fallback string
	// Threads of one run on a CPU, 0 elsewhere; Slots runs go side by side.
	Threads, Slots int
	// QueuedRows wait now; ComputedRows and Runs count since the load.
	QueuedRows, ComputedRows, Runs int64
	// Items refused because the queue was full, or their deadline hopeless;
	// Expired ones ran out of time in the queue, the callers of Cancelled ones
	// left.
	RefusedFull, RefusedDeadline, Expired, Cancelled int64
	// Tally counts since the version was ready.
	Tally Tally
	// Apart says why items are not joined; empty when they are.
	Apart string
	// MaxRows is how many rows one run takes, 0 when items are not joined.
	MaxRows int
	// Plan says how the graph is run, and why so.
	Plan Plan
	// Inputs are what the graph takes, in its order.
	Inputs []InputStatus
}

// InputStatus describes one input of a loaded graph.
type InputStatus struct {
	gpu.Value
	// Sequence is the axis that differs from item to item, -1 when there is none.
	Sequence int
	// Limit bounds the elements of an integer input: they lie in [0, Limit). 0 =
	// no such bound.
	Limit int64
}

// Statuses returns every version that is loaded or on its way, by model and
// version.
func (m *Manager) Statuses() []Status {
	m.mu.Lock()
	out := make([]Status, 0, len(m.loaded))
	versions := make([]*Version, 0, len(m.loaded))
	for k, e := range m.loaded {
		s := Status{
			Identity: pipeline.Identity{Model: k.model, Version: k.version},
			Routed:   m.routes[k.model].Version == k.version,
			Progress: e.progress,
			Error:    e.err,
		}
		out = append(out, s)
		versions = append(versions, e.version)
	}
	m.mu.Unlock()
	for i, v := range versions {
		if v != nil {
			out[i].Loaded = v.loaded
			out[i].Verification = v.verified
			out[i].Graphs = v.Graphs()
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i].Identity, out[j].Identity
		return a.Model < b.Model || a.Model == b.Model && a.Version < b.Version
	})
	return out
}

// Plans returns the plans of the version's graphs in the order in which they
// run.
func (v *Version) Plans() []Plan {
	out := make([]Plan, len(v.steps))
	for i, s := range v.steps {
		out[i] = s.graph.plan
	}
	return out
}

// Graphs describes the version's graphs in the order in which they run.
func (v *Version) Graphs() []GraphStatus {
	out := make([]GraphStatus, 0, len(v.steps))
	for _, s := range v.steps {
		g := s.graph
		st := g.queue.Stats()
		out = append(out, GraphStatus{
			Name: g.name, Device: g.place.Device, Provider: g.place.Provider,
			Precision: PrecisionName(g.place.Precision), Fallback: g.place.FallbackReason,
			Threads: g.place.Threads, Slots: g.slots,
			QueuedRows: int64(st.QueuedRows), ComputedRows: int64(st.Rows), Runs: int64(st.Runs),
			RefusedFull: int64(st.RefusedFull), RefusedDeadline: int64(st.RefusedDeadline),
			Expired: int64(st.Expired), Cancelled: int64(st.Cancelled), Tally: g.tally.read(),
			Apart: g.apart, Plan: g.plan, MaxRows: Graph{v, g}.MaxRows(), Inputs: g.inputStatus(),
		})
	}
	return out
}

func (g *graph) inputStatus() []InputStatus {
	out := make([]InputStatus, len(g.inputs))
	for i, a := range g.inputs {
		out[i] = InputStatus{Value: g.sig.Inputs[i], Sequence: a.sequence, Limit: g.limits[i]}
	}
	return out
}
