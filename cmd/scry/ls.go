package main

import (
	"context"
	"fmt"
	"strings"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// lsCmd lists models or versions.
type lsCmd struct {
	Model string `arg:"" optional:"" help:"Whose versions to list; without it the models are listed."`
}

// pageSize is how much one call of a listing asks for.
const pageSize = 200

func (c *lsCmd) Run(ctx context.Context, app *app) error {
	if err := app.output.noCSV(); err != nil {
		return err
	}
	if c.Model != "" {
		return c.versions(ctx, app)
	}
	client, err := app.dial(ctx)
	if err != nil {
		return err
	}
	all := &modelstorev1.ListModelsResponse{}
	for req := (&modelstorev1.ListModelsRequest{PageSize: pageSize}); ; {
		page, err := client.ModelStore().ListModels(ctx, req)
		if err != nil {
			return err
		}
		all.Models = append(all.Models, page.GetModels()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if app.output.json() {
		return app.output.message(all)
	}
	t := app.output.table("MODEL", "ROUTED", "LATEST", "SINCE", "DESCRIPTION")
	for _, m := range all.GetModels() {
		routed, since := cell{"none", app.output.strong}, ""
		if entries := m.GetRoute().GetEntries(); len(entries) > 0 {
			routed, since = cell{fmt.Sprint(entries[0].GetVersion()), app.output.good}, timeText(m.GetRoute().GetCreateTime().AsTime())
		}
		t.row(m.GetName(), routed, m.GetLatestVersion(), since, shorten(m.GetDescription(), maxCell))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if len(all.GetModels()) == 0 {
		app.output.remark("the store is empty; \"scry push DIR --name NAME --activate\" fills it")
	}
	return nil
}

func (c *lsCmd) versions(ctx context.Context, app *app) error {
	client, err := app.dial(ctx)
	if err != nil {
		return err
	}
	all := &modelstorev1.ListVersionsResponse{}
	for req := (&modelstorev1.ListVersionsRequest{Model: c.Model, PageSize: pageSize}); ; {
		page, err := client.ModelStore().ListVersions(ctx, req)
		if err != nil {
			return err
		}
		all.Versions = append(all.Versions, page.GetVersions()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if app.output.json() {
		return app.output.message(all)
	}
	t := app.output.table("VERSION", "ROUTED", "ALIASES", "SIZE", "CREATED", "BY", "CHECKED AGAINST TRAINING")
	for _, v := range all.GetVersions() {
		routed := cell{}
		if v.GetRouted() {
			routed = cell{"yes", app.output.good}
		}
		t.row(v.GetVersion(), routed, strings.Join(v.GetAliases(), " "), bytesText(v.GetSizeBytes()),
			timeText(v.GetCreateTime().AsTime()), v.GetCreatedBy(), verificationText(v.GetVerification()))
	}
	return t.flush()
}

// verificationText says what the golden samples found.
func verificationText(v *modelstorev1.Verification) string {
	if v.GetSamples() == 0 {
		return "unverified against training"
	}
	return fmt.Sprintf("%s, largest difference %.3g", counted(v.GetSamples(), "samples"), v.GetMaxDifference())
}
