package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/scry-ml/scry/client"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// loadedGraphs returns the graphs of a version as the server runs them; none
// where it is not loaded.
func loadedGraphs(ctx context.Context, server *client.Client, v *modelstorev1.Version) ([]*serverv1.LoadedGraph, error) {
	loaded, err := server.Server().ListLoadedVersions(ctx, &serverv1.ListLoadedVersionsRequest{})
	if err != nil {
		return nil, err
	}
	for _, l := range loaded.GetVersions() {
		if l.GetModel() == v.GetModel() && l.GetVersion() == v.GetVersion() {
			return l.GetGraphs(), nil
		}
	}
	return nil, nil
}

// planText says in one line how a graph is run.
func planText(g *serverv1.LoadedGraph) string {
	p := g.GetPlan()
	text := fmt.Sprintf("%s: %s %s, %s (%s)", g.GetName(), p.GetDevice(), p.GetPrecision(), runsText(p.GetParallelRuns(), p.GetThreads()), p.GetSource())
	if p.GetItemsPerSecond() > 0 {
		text += fmt.Sprintf(", %s items/s, deadlines from %s", rateText(p.GetItemsPerSecond()), shortTime(p.GetSmallestDeadline().AsDuration()))
	}
	return text
}

// runsText says how many runs there are side by side, of how many threads.
func runsText(runs, threads int32) string {
	if threads == 0 {
		return counted(int(runs), "runs")
	}
	return fmt.Sprintf("%d × %s", runs, counted(int(threads), "threads"))
}

func rateText(rate float64) string {
	switch {
	case rate == 0:
		return ""
	case rate < 100:
		return fmt.Sprintf("%.3g", rate)
	}
	return fmt.Sprintf("%.0f", rate)
}

// writePlansJSON prints the plans by graph.
func writePlansJSON(o *output, graphs []*serverv1.LoadedGraph) error {
	plans := map[string]json.RawMessage{}
	for _, g := range graphs {
		raw, err := marshal(g.GetPlan())
		if err != nil {
			return err
		}
		plans[g.GetName()] = raw
	}
	return o.writeJSON(plans)
}

// writePlan prints a graph's plan and what it was chosen from.
func writePlan(o *output, g *serverv1.LoadedGraph) error {
	p := g.GetPlan()
	t := o.table("", "")
	t.held = nil // no titles: the first column is one
	line := func(name string, value string) {
		if value != "" {
			t.row(cell{name, o.faint}, value)
		}
	}
	t.row(cell{"graph", o.faint}, cell{g.GetName(), o.bold})
	line("plan", p.GetSource())
	if p.GetMeasureTime() != nil {
		line("measured", fmt.Sprintf("%s, in %s", timeText(p.GetMeasureTime().AsTime()), shortTime(p.GetMeasureDuration().AsDuration())))
	}
	line("remark", p.GetNote())
	line("runs on", fmt.Sprintf("%s %s, %s", p.GetDevice(), p.GetPrecision(), runsText(p.GetParallelRuns(), p.GetThreads())))
	line("fell back", g.GetFallbackReason())
	if p.GetItemsPerSecond() > 0 {
		line("sustains", rateText(p.GetItemsPerSecond())+" items/s")
		line("deadlines", "from "+shortTime(p.GetSmallestDeadline().AsDuration())+" at 0.7 of that")
		line("for", p.GetTypicalItems())
	}
	joined := fmt.Sprintf("up to %d rows", p.GetMaxRows())
	if p.GetMaxCells() > 0 {
		joined += fmt.Sprintf(", %d cells", p.GetMaxCells())
	}
	if p.GetNotJoined() != "" {
		joined = "no: " + p.GetNotJoined()
	}
	line("joined", joined)
	if p.GetNotPadded() != "" {
		line("padded", "no: "+p.GetNotPadded())
	}
	line("rows", steps(p.GetRowSteps()))
	line("lengths", steps(p.GetLengthSteps()))
	if p.GetMaxLength() > 0 {
		line("longest", fmt.Sprint(p.GetMaxLength()))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if len(p.GetCandidates()) > 0 {
		fmt.Fprintln(o.out)
		t = o.table("CANDIDATE", "PRECISION", "RUNS × THREADS", "ITEMS/S", "DEADLINE", "DIFFERENCE", "REMARK")
		for _, c := range p.GetCandidates() {
			runs, deadline, difference, remark := "", "", "", cell{c.GetRejected(), o.bad}
			if c.GetParallelRuns() > 0 {
				runs = fmt.Sprintf("%d × %d", c.GetParallelRuns(), c.GetThreads())
			}
			if c.GetItemsPerSecond() > 0 {
				deadline, difference = shortTime(c.GetSmallestDeadline().AsDuration()), fmt.Sprintf("%.2g", c.GetDifference())
			}
			if c.GetRejected() == "" && c.GetDevice() == p.GetDevice() && c.GetPrecision() == p.GetPrecision() &&
				c.GetThreads() == p.GetThreads() && c.GetParallelRuns() == p.GetParallelRuns() {
				remark = cell{"chosen", o.good}
			}
			t.row(c.GetDevice(), c.GetPrecision(), runs, rateText(c.GetItemsPerSecond()), deadline, difference, remark)
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	return writeCosts(o, p.GetCosts())
}

func steps(in []int32) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(in), " ", ", "), "[]")
}

// writeCosts prints run times: a line for each length, a column for each number
// of rows.
func writeCosts(o *output, costs []*serverv1.RunCost) error {
	if len(costs) == 0 {
		return nil
	}
	type shape struct{ rows, length int32 }
	var rows, lengths []int32
	times := map[shape]string{}
	for _, c := range costs {
		if !slices.Contains(rows, c.GetRows()) {
			rows = append(rows, c.GetRows())
		}
		if !slices.Contains(lengths, c.GetLength()) {
			lengths = append(lengths, c.GetLength())
		}
		times[shape{c.GetRows(), c.GetLength()}] = shortTime(c.GetTime().AsDuration())
	}
	slices.Sort(rows)
	slices.Sort(lengths)
	titles := []string{"LENGTH"}
	for _, n := range rows {
		titles = append(titles, strings.ToUpper(counted(n, "rows")))
	}
	fmt.Fprintln(o.out)
	t := o.table(titles...)
	for _, length := range lengths {
		line := []any{fmt.Sprint(length)}
		if length == 0 {
			line[0] = "any"
		}
		for _, n := range rows {
			line = append(line, times[shape{n, length}])
		}
		t.row(line...)
	}
	return t.flush()
}
