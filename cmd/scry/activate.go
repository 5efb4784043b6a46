package main

import (
	"context"
	"strings"

	"github.com/scry-ml/scry/client"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// activateCmd routes a model to a version.
type activateCmd struct {
	Model modelRef `arg:"" placeholder:"MODEL@VERSION" help:"MODEL@VERSION, where VERSION is a number, an alias or latest."`
	Etag  string   `help:"Activate only if the model's route still has this etag."`
}

func (c *activateCmd) Run(ctx context.Context, app *app) error {
	if c.Model.Version == "" {
		return wrongUse("which version? For example: scry activate %s@latest", c.Model.Model)
	}
	client, err := app.dial(ctx)
	if err != nil {
		return err
	}
	if err := waitLoaded(ctx, app, client, c.Model); err != nil {
		return err
	}
	version, err := client.ModelStore().GetVersion(ctx, &modelstorev1.GetVersionRequest{Model: c.Model.Model, Version: c.Model.Version})
	if err != nil {
		return err
	}
	r, err := client.ModelStore().ActivateVersion(ctx, &modelstorev1.ActivateVersionRequest{
		Model: c.Model.Model, Version: c.Model.Version, Etag: c.Etag,
	})
	if err != nil {
		return err
	}
	tellNoHeads(app.output, version.GetVersion().GetManifest())
	return writeRoute(app.output, r.GetRoute())
}

// waitLoaded shows a version's way into memory.
func waitLoaded(ctx context.Context, app *app, c *client.Client, ref modelRef) error {
	p := app.output.progress("loading", "")
	defer p.end()
	return c.WaitLoaded(ctx, ref.Model, ref.Version, func(step *modelstorev1.WatchVersionResponse) { p.say("%s", loadText(ref.Model, step)) })
}

// loadText says what is being done to load a version.
func loadText(model string, step *modelstorev1.WatchVersionResponse) string {
	state := strings.ToLower(strings.TrimPrefix(step.GetState().String(), "LOAD_STATE_"))
	text := state + " " + model
	if m := step.GetMessage(); m != "" {
		text += ": " + m
	}
	return text
}

// writeRoute tells which version answers from now on.
func writeRoute(o *output, r *modelstorev1.Route) error {
	if o.json() {
		return o.message(r)
	}
	t := o.table("MODEL", "ROUTED", "REVISION", "ROLLED BACK TO", "ETAG")
	for _, e := range r.GetEntries() {
		back := any("")
		if r.GetRolledBackTo() > 0 {
			back = r.GetRolledBackTo()
		}
		t.row(r.GetModel(), cell{modelRefText(r.GetModel(), e.GetVersion()), o.good}, r.GetRevision(), back, r.GetEtag())
	}
	return t.flush()
}
