package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/scry-ml/scry/client"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// explainImageFlags are what `scry image` takes to tell why.
type explainImageFlags struct {
	Explain     string `placeholder:"DIR" help:"Write a picture for each file that shows which parts speak for its best label, in red, and against it, in blue."`
	Label       string `placeholder:"NAME" help:"With --explain: explain this label instead."`
	Evaluations int    `placeholder:"N" help:"With --explain: pictures that the model may be asked for each file (default: 197)."`
}

// explain writes a heat map for each picture, one picture after the other: each
// takes the model a while.
func (c *imageCmd) explain(ctx context.Context, o *output, server *client.Client, files []string, images iter.Seq[*imageanalysisv1.ImageItem], t *tally) error {
	if len(c.Heads) > 1 {
		return wrongUse("--explain takes one of --heads")
	}
	req := &imageanalysisv1.ExplainImageRequest{Model: c.Model.Model, Version: c.Model.Version, Label: c.Label, MaxEvaluations: int32(c.Evaluations)}
	if len(c.Heads) == 1 {
		req.Head = c.Heads[0]
	}
	maps := newFilesIn(c.Explain, files)
	results := inParts(images, 1, func(image []*imageanalysisv1.ImageItem) ([]*imageanalysisv1.ImageExplanation, error) {
		req.Images = image
		resp, err := server.ImageAnalysis().ExplainImage(ctx, req)
		return resp.GetResults(), err
	}, func(r *imageanalysisv1.ImageExplanation, place int64) { r.Index = place })
	write, flush, err := c.explanationPrinter(o)
	if err != nil {
		return err
	}
	err = each(io.NopCloser(nil), results, t, func(r *imageanalysisv1.ImageExplanation, failed error) error {
		name := ""
		if failed == nil {
			var err error
			if name, err = maps.write(r.GetId(), ".heat.png", r.GetPng()); err != nil {
				return err
			}
		}
		return write(r, name, failed)
	})
	if t.answered+t.failed > 0 { // else no file could be read, or the call failed
		err = errors.Join(err, flush())
	}
	return err
}

// explanationPrinter returns what writes one line a picture; the map is the file
// that it names.
func (c *imageCmd) explanationPrinter(o *output) (func(r *imageanalysisv1.ImageExplanation, file string, failed error) error, func() error, error) {
	switch {
	case o.json():
		write, flush, err := jsonPrinter[*imageanalysisv1.ImageExplanation](o)
		return func(r *imageanalysisv1.ImageExplanation, _ string, failed error) error {
			r.Png = nil // it is in the file
			return write(r, failed)
		}, flush, err
	case o.format == "csv":
		w, err := o.csv(c.titles(o, "file", "head", "label", "score", "map", "prediction_id", "error")...)
		if err != nil {
			return nil, nil, err
		}
		return func(r *imageanalysisv1.ImageExplanation, file string, failed error) error {
			if failed != nil {
				return w.failed(r.GetId(), failed)
			}
			row := []string{r.GetId(), r.GetHead(), r.GetLabel(), exact(r.GetScore()), file, r.GetPredictionId(), ""}
			return w.row(append(row, c.cells(r.GetServedBy())...)...)
		}, w.flush, nil
	}
	t := o.table(c.titles(o, "FILE", "HEAD", "LABEL", "SCORE", "MAP")...)
	return func(r *imageanalysisv1.ImageExplanation, file string, failed error) error {
		if failed != nil {
			return t.failed(r.GetId(), failed)
		}
		t.row(append([]any{r.GetId(), r.GetHead(), r.GetLabel(), fmt.Sprintf("%.3f", r.GetScore()), file}, values(c.cells(r.GetServedBy()))...)...)
		return t.err
	}, t.flush, nil
}
