package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// rmCmd deletes.
type rmCmd struct {
	Model modelRef `arg:"" placeholder:"MODEL[@VERSION]" help:"MODEL@VERSION for one version, MODEL for the model with all its versions."`
	Force bool     `help:"Delete a model although a version of it is routed."`
	Yes   bool     `short:"y" help:"Delete a model without asking."`
}

func (c *rmCmd) Run(ctx context.Context, app *app) error {
	client, err := app.dial(ctx)
	if err != nil {
		return err
	}
	store := client.ModelStore()
	if c.Model.Version != "" {
		number, err := resolve(ctx, store, c.Model)
		if err != nil {
			return err
		}
		if _, err := store.DeleteVersion(ctx, &modelstorev1.DeleteVersionRequest{Model: c.Model.Model, Version: number}); err != nil {
			return err
		}
		return app.output.done(map[string]any{"model": c.Model.Model, "version": strconv.FormatInt(number, 10), "deleted": true},
			"%s is deleted", modelRefText(c.Model.Model, number))
	}
	if !c.Yes {
		if err := confirm(app.output, "Delete "+c.Model.Model+" with all its versions?"); err != nil {
			return err
		}
	}
	if _, err := store.DeleteModel(ctx, &modelstorev1.DeleteModelRequest{Model: c.Model.Model, Force: c.Force}); err != nil {
		return err
	}
	return app.output.done(map[string]any{"model": c.Model.Model, "deleted": true}, "%s is deleted with all its versions", c.Model.Model)
}

// confirm asks on a terminal, and refuses where nobody can answer.
func confirm(o *output, question string) error {
	if f, ok := o.in.(*os.File); !ok || !isTerminal(f) {
		return wrongUse("this deletes a whole model; say --yes")
	}
	fmt.Fprintf(o.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(o.in).ReadString('\n')
	if err != nil {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was deleted")
	}
	return nil
}

func modelRefText(model string, version int64) string { return fmt.Sprintf("%s@%d", model, version) }
