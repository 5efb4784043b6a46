package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/client"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// pushCmd sends a bundle.
type pushCmd struct {
	Path      string      `arg:"" help:"A bundle's directory, or an .onnx file."`
	Name      string      `short:"n" placeholder:"MODEL" help:"The model's name (default: that of the directory or file)."`
	Activate  bool        `short:"a" help:"Route the model's calls to the version once it is loaded and checked."`
	Wait      bool        `help:"Wait until the version is loaded and checked."`
	Expect    string      `type:"existingfile" placeholder:"FILE" help:"The trainer's own answers: a CSV file of up to 1,000 rows with a column of predictions, or JSON Lines {\"features\" | \"text\" | \"image\" | \"tensors\": …, \"outputs\": {\"GRAPH.OUTPUT\": [numbers]}}. The server runs them, beside the bundle's own samples, before anything is activated; they stay with the version."`
	Tolerance []tolerance `placeholder:"[PRECISION=]NUMBER" help:"How far an answer may be off from --expect (default: what the bundle says, else 1e-4 in fp32). Other precisions, such as bf16=0.05, admit devices that compute in them."`
	Parallel  int         `default:"4" help:"Files that are sent at once."`
	DryRun    bool        `help:"Check, list what would be sent, and send nothing."`
	Yes       bool        `short:"y" help:"Ask nothing: classes of which it is not known which one is the event are answered by name."`

	hintFlags
}

func (c *pushCmd) Run(ctx context.Context, app *app) error {
	if err := app.output.noCSV(); err != nil {
		return err
	}
	if c.Expect == "" && len(c.Tolerance) > 0 {
		return wrongUse("--tolerance is for the answers of --expect")
	}
	s, err := openSource(c.Path)
	if err != nil {
		return err
	}
	name, err := c.name()
	if err != nil {
		return err
	}
	p, hints, err := c.settle(app.output, s, c.Path, c.Yes)
	if err != nil {
		return err
	}
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	info, err := server.ServerInfo(ctx)
	if err != nil {
		return err
	}
	if err := checkGraphs(p.Bundle, info); err != nil {
		return err
	}
	if c.Expect != "" {
		if p, hints, err = addGoldens(s, p, hints, c.Expect, c.Target, c.Tolerance); err != nil {
			return err
		}
	}
	if c.DryRun {
		tellInferred(app.output, p.Manifest)
	}
	tellRemarks(app.output, p.Bundle)
	tellNoHeads(app.output, p.Manifest)
	if c.DryRun {
		return listFiles(app.output, s, p.Uploads())
	}
	result, err := c.push(ctx, app, server, s, name, client.PushOptions{Files: p.Uploads(), Hints: hints})
	if err != nil {
		return err
	}
	return c.report(app.output, result)
}

var modelName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$`)

// hubSnapshot is a folder of a cache of the Hugging Face hub, which is called by
// a revision.
var hubSnapshot = regexp.MustCompile(`/models--(?:.*--)?([^/]+)/snapshots/[0-9a-f]{40}$`)

// name is the model's: the given one, or what the path suggests.
func (c *pushCmd) name() (string, error) {
	name := c.Name
	if name == "" {
		path, err := filepath.Abs(c.Path)
		if err != nil {
			return "", err
		}
		name = strings.ToLower(strings.TrimSuffix(filepath.Base(path), ".onnx"))
		if m := hubSnapshot.FindStringSubmatch(filepath.ToSlash(path)); m != nil {
			name = strings.ToLower(m[1])
		}
		if !modelName.MatchString(name) {
			return "", wrongUse("what is the model's name? Say --name NAME")
		}
	}
	if !modelName.MatchString(name) {
		return "", wrongUse("%q is no model name: lower-case letters, digits, - and _, at most 64", name)
	}
	return name, nil
}

// checkGraphs refuses what the server cannot read before a byte is sent.
func checkGraphs(b *bundle.Bundle, info *serverv1.GetServerInfoResponse) error {
	for _, name := range slices.Sorted(maps.Keys(b.Graphs)) {
		g, file := b.Graphs[name], b.Manifest.GetGraphs()[name].GetFile()
		if opset, most := g.Opsets[""], int64(info.GetMaxOpset()); most > 0 && opset > most {
			return fmt.Errorf("%s: opset %d, this server reads ≤ %d: re-export with opset_version=%d (torch.onnx.export) or target_opset=%d (skl2onnx, onnxmltools)",
				file, opset, most, most, most)
		}
		if most := int64(info.GetMaxIrVersion()); most > 0 && g.IRVersion > most {
			return fmt.Errorf("%s: IR version %d, this server reads ≤ %d: set model.ir_version = %d and save it again with onnx.save, or re-export with an older onnx package",
				file, g.IRVersion, most, most)
		}
		if err := checkDomains(file, g, info.GetOperatorDomains()); err != nil {
			return err
		}
	}
	return nil
}

func checkDomains(file string, g *bundle.Graph, known []string) error {
	if len(known) == 0 {
		return nil
	}
	foreign := make(map[string][]string)
	for op := range g.Operators {
		domain := op.Domain
		if domain == "" || domain == "ai.onnx" || slices.Contains(known, domain) {
			continue
		}
		foreign[domain] = append(foreign[domain], op.Type)
	}
	for _, domain := range slices.Sorted(maps.Keys(foreign)) {
		slices.Sort(foreign[domain])
		return fmt.Errorf("%s: operators of domain %q (%s), which this server does not know; it knows %s: re-export without them",
			file, domain, shorten(strings.Join(foreign[domain], ", "), 100), strings.Join(namedDomains(known), ", "))
	}
	return nil
}

// namedDomains writes the default domain by its long name.
func namedDomains(known []string) []string {
	var names []string
	for _, domain := range known {
		if domain == "" {
			domain = "ai.onnx"
		}
		if !slices.Contains(names, domain) {
			names = append(names, domain)
		}
	}
	return names
}

// push sends the files and shows how far it is.
func (c *pushCmd) push(ctx context.Context, app *app, server *client.Client, s *source, name string, o client.PushOptions) (*client.PushResult, error) {
	memory := uploadMemory(app.connection.target, name, c.Path)
	bar := app.output.progress("reading", "")
	defer bar.end()
	phase, started := client.PhaseHash, false
	o.Model, o.Wait, o.Activate, o.Parallel, o.Resume, o.Begun = name, c.Wait, c.Activate, c.Parallel, memory.recall(), memory.keep
	o.Progress = func(p client.Progress) {
		if p.Phase != phase || !started {
			phase, started = p.Phase, true
			bar.what = map[client.Phase]string{client.PhaseHash: "reading", client.PhaseTransfer: "sending"}[p.Phase]
			bar.start(p.Done, p.Total)
		}
		switch p.Phase {
		case client.PhaseHash, client.PhaseTransfer:
			bar.set(p.Done)
		case client.PhaseCommit:
			bar.say("the server is checking %s", name)
		case client.PhaseLoad:
			bar.say("%s", loadText(name, p.Load))
		case client.PhaseActivate:
			bar.say("activating %s", name)
		}
	}
	result, err := server.Push(ctx, s, o)
	if result != nil {
		memory.forget()
	}
	if err != nil && result != nil { // the version is there, but it is not loaded
		err = fmt.Errorf("%s is stored, but not %s: %w", modelRefText(name, result.Version.GetVersion()),
			map[bool]string{true: "activated", false: "loaded"}[c.Activate], err)
	}
	return result, err
}

// report says what the server made of it.
func (c *pushCmd) report(o *output, r *client.PushResult) error {
	v := r.Version
	tellInferred(o, v.GetManifest())
	if o.json() {
		version, err := marshal(v)
		if err != nil {
			return err
		}
		all := map[string]any{"version": version, "created": r.Created, "sent_bytes": r.Sent}
		if r.Route != nil {
			if all["route"], err = marshal(r.Route); err != nil {
				return err
			}
		}
		return o.writeJSON(all)
	}
	is := "stored as"
	if !r.Created {
		is = "the same content as"
	}
	fmt.Fprintf(o.out, "%s %s: %s, %s, %s sent\n", is, modelRefText(v.GetModel(), v.GetVersion()), counted(len(v.GetFiles()), "files"), bytesText(v.GetSizeBytes()), bytesText(r.Sent))
	fmt.Fprintln(o.out, c.verification(v))
	switch {
	case r.Route != nil:
		fmt.Fprintf(o.out, "activated: %s answers calls of %s\n", modelRefText(v.GetModel(), v.GetVersion()), v.GetModel())
	case !v.GetRouted():
		fmt.Fprintf(o.out, "not activated; \"scry activate %s\" does it\n", modelRefText(v.GetModel(), v.GetVersion()))
	}
	return nil
}

func (c *pushCmd) verification(v *modelstorev1.Version) string {
	found := v.GetVerification()
	if graphless(v.GetManifest()) {
		return "checked: there is no graph to run"
	}
	if found.GetSamples() == 0 {
		return "unverified against training; --expect samples.jsonl checks it"
	}
	parts := []string{"checked against training: " + verificationText(found)}
	if found.GetOutput() != "" {
		parts[0] += " at " + found.GetOutput()
	}
	for _, t := range v.GetManifest().GetGoldens().GetTolerances() {
		if precisionText(t.GetPrecision()) == found.GetPrecision() {
			parts = append(parts, "admitted "+toleranceText(t))
		}
	}
	return strings.Join(parts, ", ")
}

// listFiles shows what would be sent.
func listFiles(o *output, s *source, files []string) error {
	type file struct {
		Path string `json:"path"`
		Size int64  `json:"size"`
	}
	var list []file
	for _, name := range files {
		f, err := s.Open(name)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		list = append(list, file{name, info.Size()})
	}
	if o.json() {
		return o.writeJSON(map[string]any{"files": list})
	}
	t := o.table("FILE", "SIZE")
	for _, f := range list {
		t.row(f.Path, bytesText(f.Size))
	}
	return t.flush()
}

// memory keeps the id of a push that is under way, so that the same command
// after a crash or a closed lid sends only the rest.
type memory struct{ file string }

func uploadMemory(server, model, path string) memory {
	dir, err := os.UserCacheDir()
	if err != nil {
		return memory{}
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	sum := sha256.Sum256([]byte(server + "\n" + model + "\n" + path))
	return memory{filepath.Join(dir, "scry", "uploads", hex.EncodeToString(sum[:16]))}
}

// recall returns the id that was kept, or "".
func (m memory) recall() string {
	id, err := os.ReadFile(m.file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// keep and forget do their best: without a memory a push begins anew.
func (m memory) keep(id string) {
	if m.file != "" && os.MkdirAll(filepath.Dir(m.file), 0o700) == nil {
		_ = os.WriteFile(m.file, []byte(id+"\n"), 0o600)
	}
}

func (m memory) forget() {
	if m.file != "" {
		_ = os.Remove(m.file)
	}
}
