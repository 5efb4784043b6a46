package main

import (
	"context"

	"github.com/scry-ml/scry/client"
)

// pullCmd fetches a version.
type pullCmd struct {
	Model modelRef `arg:"" placeholder:"MODEL[@VERSION]" help:"MODEL for the routed version, MODEL@VERSION for a number, an alias or latest."`
	Dir   string   `arg:"" optional:"" type:"path" help:"Where to write; by default a directory of the model's name."`
}

func (c *pullCmd) Run(ctx context.Context, app *app) error {
	if err := app.output.noCSV(); err != nil {
		return err
	}
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	dir := c.Dir
	if dir == "" {
		dir = c.Model.Model
	}
	bar := app.output.progress("receiving", "")
	defer bar.end()
	started := false
	v, err := server.Pull(ctx, dir, client.PullOptions{Model: c.Model.Model, Version: c.Model.Version, Progress: func(p client.Progress) {
		if !started {
			started = true
			bar.start(0, p.Total)
		}
		bar.set(p.Done)
	}})
	bar.end()
	if err != nil {
		return err
	}
	if app.output.json() {
		return app.output.message(v)
	}
	app.output.remark("%s: %s, %s in %s", modelRefText(v.GetModel(), v.GetVersion()), counted(len(v.GetFiles()), "files"), bytesText(v.GetSizeBytes()), dir)
	return nil
}
