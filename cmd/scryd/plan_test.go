package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// plans returns the plans of a model's first graph, by the model's name.
func (d *daemon) plans() map[string]*serverv1.Plan {
	d.t.Helper()
	loaded, err := serverv1.NewServerServiceClient(d.conn).ListLoadedVersions(d.ctx(), &serverv1.ListLoadedVersionsRequest{})
	if err != nil {
		d.t.Fatal(err)
	}
	out := map[string]*serverv1.Plan{}
	for _, v := range loaded.GetVersions() {
		for _, g := range v.GetGraphs() {
			out[v.GetModel()] = g.GetPlan()
		}
	}
	return out
}

// TestPlansAreMeasured serves plain graphs: what may be joined is measured, told,
// and kept over a restart where nothing disturbed it.
func TestPlansAreMeasured(t *testing.T) {
	d := start(t)
	d.deploy("neighbours", graph(t, "centred"))
	d.deploy("padding", graph(t, "leaky").with("bundle.yaml", "graphs: {model: {file: model.onnx, inputs: {input_ids: {sequence_axis: 1}}}}\n"))
	d.deploy("pinned", graph(t, "matmul").with("bundle.yaml", "graphs: {model: {file: model.onnx, execution: {devices: [cpu], threads: 1}}}\n"))
	plans := d.plans()
	if p := plans["neighbours"]; !strings.Contains(p.GetNotJoined(), "depends on its neighbours") || p.GetMaxRows() != 1 {
		t.Errorf("neighbours: %v", p)
	}
	if p := plans["padding"]; !strings.Contains(p.GetNotPadded(), "depends on its padding") || p.GetMaxLength() != 512 {
		t.Errorf("padding: %v", p)
	}
	p := plans["pinned"]
	if p.GetSource() != "pinned" || p.GetDevice() != "cpu" || p.GetThreads() != 1 || p.GetItemsPerSecond() <= 0 ||
		p.GetSmallestDeadline().AsDuration() <= 0 || len(p.GetCosts()) == 0 || p.GetMeasureTime() == nil {
		t.Errorf("pinned: %v", p)
	}
	kept := p.GetNote() == "" // other work on the machine may have prevented it
	files, err := filepath.Glob(filepath.Join(d.dir, "plans", "*.json"))
	if err != nil || kept && len(files) == 0 {
		t.Errorf("kept plans: %v %v", files, err)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	again := startAt(t, d.dir)
	eventually(t, "the model is loaded again", func() bool { return again.plans()["pinned"] != nil })
	if source := again.plans()["pinned"].GetSource(); kept && source != "cached" || !kept && source != "pinned" {
		t.Errorf("after a restart the plan is %q, kept %t", source, kept)
	}
}

// TestPlansByRules measures nothing where the daemon is told so.
func TestPlansByRules(t *testing.T) {
	d := start(t, "--plan", "rules")
	d.deploy("neighbours", graph(t, "centred"))
	if p := d.plans()["neighbours"]; p.GetSource() != "rules" || p.GetNotJoined() != "" || len(p.GetCandidates()) > 0 || p.GetMeasureTime() != nil {
		t.Errorf("plan: %v", p)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "plans")); err == nil {
		t.Error("plans are kept")
	}
}
