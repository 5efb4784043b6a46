package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/scry-ml/scry/client"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// showCmd shows a version.
type showCmd struct {
	Model modelRef `arg:"" placeholder:"MODEL[@VERSION]" help:"MODEL for the routed version, or the latest where none is; MODEL@VERSION for a number, an alias or latest."`
	Files bool     `help:"List the files too."`
	Plan  bool     `help:"Tell how the server runs each graph, what it compared before, and what runs cost."`
}

func (c *showCmd) Run(ctx context.Context, app *app) error {
	if err := app.output.noCSV(); err != nil {
		return err
	}
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	req := &modelstorev1.GetVersionRequest{Model: c.Model.Model, Version: c.Model.Version}
	got, err := server.ModelStore().GetVersion(ctx, req)
	if req.Version == "" && isNotRouted(err) {
		req.Version = "latest"
		got, err = server.ModelStore().GetVersion(ctx, req)
	}
	if err != nil {
		return err
	}
	v := got.GetVersion()
	if app.output.json() && !c.Plan {
		return app.output.message(v)
	}
	graphs, err := loadedGraphs(ctx, server, v)
	if err != nil {
		return err
	}
	if !c.Plan {
		return c.write(app.output, v, graphs)
	}
	if len(graphs) == 0 {
		return fmt.Errorf("%s@%d is not loaded: a plan is made when it is", v.GetModel(), v.GetVersion())
	}
	if app.output.json() {
		return writePlansJSON(app.output, graphs)
	}
	for i, g := range graphs {
		if i > 0 {
			fmt.Fprintln(app.output.out)
		}
		if err := writePlan(app.output, g); err != nil {
			return err
		}
	}
	return nil
}

// batchingTexts says of every graph of a version whether its calls are joined,
// and if not, why. Only a loaded version can tell.
func batchingTexts(graphs []*serverv1.LoadedGraph) []string {
	var texts []string
	for _, g := range graphs {
		text := g.GetBatching()
		if most := g.GetMaxRows(); most > 0 {
			text += fmt.Sprintf(", up to %d rows a run", most)
			if slices.ContainsFunc(g.GetInputs(), func(in *serverv1.LoadedInput) bool { return in.SequenceAxis != nil }) {
				text += ", different lengths together"
			}
		}
		if len(graphs) > 1 {
			text = g.GetName() + ": " + text
		}
		texts = append(texts, text)
	}
	if texts == nil {
		texts = []string{"not known: the version is not loaded"}
	}
	return texts
}

// isNotRouted tells that a model exists and no version of it is activated.
func isNotRouted(err error) bool { return client.ReasonOf(err) == "NO_ACTIVE_VERSION" }

func (c *showCmd) write(o *output, v *modelstorev1.Version, graphs []*serverv1.LoadedGraph) error {
	m := v.GetManifest()
	t := o.table("", "")
	line := func(name string, value any) {
		if text, ok := value.(string); !ok || text != "" {
			t.row(cell{name, o.faint}, value)
		}
	}
	t.held = nil // no titles: the first column is one
	line("model", cell{fmt.Sprintf("%s@%d", v.GetModel(), v.GetVersion()), o.bold})
	line("description", shorten(m.GetDescription(), 160))
	line("licence", m.GetLicense())
	routed := cell{"no", o.strong}
	if v.GetRouted() {
		routed = cell{"yes", o.good}
	}
	line("routed", routed)
	line("aliases", strings.Join(v.GetAliases(), " "))
	line("digest", "sha256:"+v.GetDigest())
	line("size", bytesText(v.GetSizeBytes())+" in "+counted(len(v.GetFiles()), "files"))
	line("created", strings.TrimSpace(timeText(v.GetCreateTime().AsTime())+" "+v.GetCreatedBy()))
	if graphless(m) {
		line("checked", "there is no graph to run")
	} else if v.GetVerification().GetSamples() == 0 {
		line("checked", cell{"unverified against training", o.strong})
	} else {
		line("checked", fmt.Sprintf("%s at %s (%s)", verificationText(v.GetVerification()), v.GetVerification().GetOutput(), v.GetVerification().GetPrecision()))
	}
	for _, g := range graphs {
		if g.GetPlan() == nil {
			continue // an older server
		}
		line("runs", planText(g))
	}
	line("takes", takes(m))
	if !graphless(m) {
		for _, text := range batchingTexts(graphs) {
			line("batching", text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetGraphs())) {
		if g := m.GetGraphs()[name]; g.GetOrigin() != nil {
			line("changed", fmt.Sprintf("%s, pushed as sha256:%s, kept as sha256:%s", g.GetFile(), g.GetOrigin().GetPushedSha256(), g.GetOrigin().GetKeptSha256()))
			for _, change := range g.GetOrigin().GetChanges() {
				line("", change)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetHeads())) {
		line("answers", name+": "+headText(m.GetHeads()[name]))
	}
	for _, text := range catalogueTexts(m.GetCatalogue()) {
		line("chooses", text)
	}
	line("trained", timeText(m.GetLineage().GetTrainedAt().AsTime()))
	line("code", m.GetLineage().GetCode())
	for _, data := range m.GetLineage().GetData() {
		line("data", data)
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetLineage().GetMetrics())) {
		line("measured", fmt.Sprintf("%s %.4g", name, m.GetLineage().GetMetrics()[name]))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if features := m.GetRow().GetFeatures(); len(features) > 0 {
		fmt.Fprintln(o.out)
		if err := writeFeatures(o, features); err != nil {
			return err
		}
	}
	if !c.Files {
		return nil
	}
	fmt.Fprintln(o.out)
	t = o.table("FILE", "SIZE", "SHA256")
	for _, f := range v.GetFiles() {
		t.row(f.GetPath(), bytesText(f.GetSize()), f.GetSha256())
	}
	return t.flush()
}

func writeFeatures(o *output, features []*bundlev1.Feature) error {
	t := o.table("FEATURE", "TYPE", "REQUIRED", "SEEN IN TRAINING", "MEANING")
	for _, f := range features {
		seen, required := "", ""
		if len(f.GetCategories()) > 0 {
			seen = shorten(strings.Join(f.GetCategories(), ", "), 48)
		} else if f.Min != nil || f.Max != nil {
			seen = fmt.Sprintf("%.8g to %.8g", f.GetMin(), f.GetMax())
		}
		if f.GetRequired() {
			required = "yes"
		}
		t.row(f.GetName(), strings.ToLower(strings.TrimPrefix(f.GetType().String(), "FEATURE_TYPE_")), required, seen, f.GetDescription())
	}
	return t.flush()
}

// takes says what a caller sends.
func takes(m *bundlev1.Manifest) string {
	switch {
	case m.GetText() != nil:
		return fmt.Sprintf("texts of up to %d tokens", m.GetText().GetMaxLength())
	case m.GetImage() != nil:
		r := m.GetImage().GetResize()
		return fmt.Sprintf("pictures, resized to %d×%d", r.GetWidth(), max(r.GetHeight(), r.GetWidth()))
	case m.GetRow() != nil:
		return "rows of " + counted(len(m.GetRow().GetFeatures()), "features")
	case graphless(m):
		return "customers, of whom nothing is computed"
	}
	return "tensors"
}

// graphless tells that a model is a catalogue alone.
func graphless(m *bundlev1.Manifest) bool {
	return len(m.GetGraphs()) == 0 && m.GetCatalogue() != nil
}

// catalogueTexts say what a model chooses from, and what filters may ask of it.
func catalogueTexts(c *bundlev1.Catalogue) []string {
	var out []string
	if items := c.GetItems(); items != nil {
		text := "items of " + items.GetFile()
		if n := len(items.GetAttributes()); n > 0 {
			names := make([]string, n)
			for i, a := range items.GetAttributes() {
				names[i] = fmt.Sprintf("%s (%s)", a.GetName(), strings.ToLower(strings.TrimPrefix(a.GetType().String(), "ATTRIBUTE_TYPE_")))
			}
			text += " with " + strings.Join(names, ", ")
		}
		out = append(out, shorten(text, 160))
	}
	if n := len(c.GetActions()); n > 0 {
		names := make([]string, n)
		for i, a := range c.GetActions() {
			names[i] = a.GetName()
		}
		out = append(out, shorten("actions "+strings.Join(names, ", "), 120))
	}
	if s := c.GetSendTimes(); s != nil {
		best := 0
		for i, rate := range s.GetRates() {
			if rate > s.GetRates()[best] {
				best = i
			}
		}
		out = append(out, fmt.Sprintf("send times: at best %.3f, %s", s.GetRates()[best], slotText(int32(best))))
	}
	return out
}

// headText says what a head answers.
func headText(h *bundlev1.Head) string {
	switch {
	case h.GetProbability() != nil:
		p := h.GetProbability()
		text := "probability"
		if p.GetEvent() != "" {
			text += " of " + p.GetEvent()
		}
		if p.GetCalibration() != nil {
			text += ", calibrated"
		}
		if len(p.GetQuantiles()) > 0 {
			text += ", percentile"
		}
		if n := len(p.GetBands()); n > 0 {
			names := make([]string, n)
			for i, b := range p.GetBands() {
				names[i] = b.GetName()
			}
			text += ", band (" + strings.Join(names, ", ") + ")"
		}
		if p.GetReasons() != nil {
			text += ", reasons"
		}
		return text
	case h.GetValue() != nil:
		v := h.GetValue()
		text := strings.TrimSpace("value " + v.GetUnit())
		if v.GetInterval() != nil {
			text += ", interval"
		}
		if len(v.GetQuantiles()) > 0 {
			text += ", percentile"
		}
		if v.GetReasons() != nil {
			text += ", reasons"
		}
		return text
	case h.GetSegment() != nil:
		return "one of " + counted(len(h.GetSegment().GetClusters()), "segments")
	case h.GetUplift() != nil:
		var names []string
		for _, t := range h.GetUplift().GetTreatments() {
			names = append(names, t.GetName())
		}
		return shorten("uplift of "+strings.Join(names, ", "), 120)
	case h.GetForecast() != nil:
		return strings.TrimSpace("forecast of " + counted(h.GetForecast().GetHorizon(), "points") + " " + h.GetForecast().GetUnit())
	case h.GetClasses() != nil:
		return shorten("classes "+strings.Join(h.GetClasses().GetNames(), ", "), 120)
	case h.GetEmbedding() != nil:
		return "embedding"
	case h.GetSentiment() != nil:
		return "sentiment"
	case h.GetTargets() != nil:
		return "targets"
	case h.GetLabels() != nil:
		return shorten("labels "+strings.Join(h.GetLabels().GetNames(), ", "), 120)
	}
	return "an answer that this program does not know"
}
