package main

import (
	"context"
	"strconv"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// aliasCmd names versions.
type aliasCmd struct {
	Set aliasSetCmd `cmd:"" help:"Point an alias at a version."`
	Ls  aliasLsCmd  `cmd:"" aliases:"list" help:"List a model's aliases."`
	Rm  aliasRmCmd  `cmd:"" help:"Remove an alias."`
}

type aliasSetCmd struct {
	Model modelRef `arg:"" placeholder:"MODEL@VERSION" help:"MODEL@VERSION, where VERSION is a number, another alias or latest."`
	Alias string   `arg:"" help:"The alias, such as candidate."`
}

func (c *aliasSetCmd) Run(ctx context.Context, app *app) error {
	client, err := app.dial(ctx)
	if err != nil {
		return err
	}
	number, err := resolve(ctx, client.ModelStore(), c.Model)
	if err != nil {
		return err
	}
	r, err := client.ModelStore().SetAlias(ctx, &modelstorev1.SetAliasRequest{Model: c.Model.Model, Alias: c.Alias, Version: number})
	if err != nil {
		return err
	}
	if app.output.json() {
		return app.output.message(r.GetAlias())
	}
	app.output.remark("%s@%s is version %d", c.Model.Model, r.GetAlias().GetAlias(), r.GetAlias().GetVersion())
	return nil
}

// resolve gives the number of a version; the routed one's without a version.
func resolve(ctx context.Context, store modelstorev1.ModelStoreServiceClient, ref modelRef) (int64, error) {
	if n, err := strconv.ParseInt(ref.Version, 10, 64); err == nil {
		return n, nil
	}
	v, err := store.GetVersion(ctx, &modelstorev1.GetVersionRequest{Model: ref.Model, Version: ref.Version})
	return v.GetVersion().GetVersion(), err
}

type aliasLsCmd struct {
	Model string `arg:"" help:"The model's name."`
}

func (c *aliasLsCmd) Run(ctx context.Context, app *app) error {
	client, err := app.dial(ctx)
	if err != nil {
		return err
	}
	all := &modelstorev1.ListAliasesResponse{}
	for req := (&modelstorev1.ListAliasesRequest{Model: c.Model, PageSize: pageSize}); ; {
		page, err := client.ModelStore().ListAliases(ctx, req)
		if err != nil {
			return err
		}
		all.Aliases = append(all.Aliases, page.GetAliases()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if app.output.json() {
		return app.output.message(all)
	}
	t := app.output.table("ALIAS", "VERSION", "SET")
	for _, a := range all.GetAliases() {
		t.row(a.GetAlias(), a.GetVersion(), timeText(a.GetUpdateTime().AsTime()))
	}
	return t.flush()
}

type aliasRmCmd struct {
	Model string `arg:"" help:"The model's name."`
	Alias string `arg:"" help:"The alias."`
}

func (c *aliasRmCmd) Run(ctx context.Context, app *app) error {
	client, err := app.dial(ctx)
	if err != nil {
		return err
	}
	if _, err = client.ModelStore().DeleteAlias(ctx, &modelstorev1.DeleteAliasRequest{Model: c.Model, Alias: c.Alias}); err != nil {
		return err
	}
	return app.output.done(map[string]any{"model": c.Model, "alias": c.Alias, "deleted": true}, "%s@%s is removed", c.Model, c.Alias)
}
