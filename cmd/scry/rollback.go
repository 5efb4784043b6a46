package main

import (
	"context"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// rollbackCmd goes back one route.
type rollbackCmd struct {
	Model string `arg:"" help:"The model's name."`
	Etag  string `help:"Roll back only if the model's route still has this etag."`
}

func (c *rollbackCmd) Run(ctx context.Context, app *app) error {
	client, err := app.dial(ctx)
	if err != nil {
		return err
	}
	r, err := client.ModelStore().Rollback(ctx, &modelstorev1.RollbackRequest{Model: c.Model, Etag: c.Etag})
	if err != nil {
		return err
	}
	return writeRoute(app.output, r.GetRoute())
}
