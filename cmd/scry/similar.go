package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/scry-ml/scry/client"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// similarPart is how many pictures one call of FindSimilar takes.
const similarPart = 64

// similar prints the items of the model's catalogue that look like each picture.
func (c *imageCmd) similar(ctx context.Context, app *app, server *client.Client, images iter.Seq[*imageanalysisv1.ImageItem], t *tally) error {
	write, flush, err := c.similarPrinter(app.output)
	if err != nil {
		return err
	}
	req := &imageanalysisv1.FindSimilarRequest{
		Model: c.Model.Model, Version: c.Model.Version, Filter: c.Filter, Count: int32(c.Top), Attributes: c.Attributes,
	}
	if c.MinScore != 0 {
		req.MinScore = &c.MinScore
	}
	results := inParts(images, similarPart, func(part []*imageanalysisv1.ImageItem) ([]*imageanalysisv1.SimilarResult, error) {
		req.Images = part
		resp, err := server.FindSimilar(ctx, req)
		return resp.GetResults(), err
	}, func(r *imageanalysisv1.SimilarResult, place int64) { r.Index = place })
	err = each(io.NopCloser(nil), results, t, write)
	if t.answered+t.failed > 0 { // else no file could be read, or the call failed
		err = errors.Join(err, flush())
	}
	return err
}

func (c *imageCmd) similarPrinter(o *output) (func(*imageanalysisv1.SimilarResult, error) error, func() error, error) {
	if o.json() {
		return jsonPrinter[*imageanalysisv1.SimilarResult](o)
	}
	about := func(item *imageanalysisv1.SimilarItem) (string, error) {
		if len(item.GetAttributes().GetFields()) == 0 {
			return "", nil
		}
		raw, err := json.Marshal(item.GetAttributes().AsMap())
		return string(raw), err
	}
	if o.format == "csv" {
		w, err := o.csv(c.titles(o, "file", "rank", "item", "score", "attributes", "prediction_id", "error")...)
		if err != nil {
			return nil, nil, err
		}
		return func(r *imageanalysisv1.SimilarResult, failed error) error {
			by := c.cells(r.GetServedBy())
			if failed != nil {
				return w.failed(r.GetId(), failed)
			}
			for i, item := range r.GetItems() {
				attributes, err := about(item)
				if err != nil {
					return err
				}
				row := []string{r.GetId(), strconv.Itoa(i + 1), item.GetItem(), exact(item.GetScore()), attributes, r.GetPredictionId(), ""}
				if err := w.row(append(row, by...)...); err != nil {
					return err
				}
			}
			return nil
		}, w.flush, nil
	}
	t := o.table(c.titles(o, "FILE", "ITEM", "SCORE", "ATTRIBUTES")...)
	return func(r *imageanalysisv1.SimilarResult, failed error) error {
		if failed != nil {
			return t.failed(r.GetId(), failed)
		}
		name, by := r.GetId(), c.cells(r.GetServedBy())
		if len(r.GetItems()) == 0 {
			t.line(name, cell{"nothing looks like it", o.faint})
		}
		for _, item := range r.GetItems() {
			fields := item.GetAttributes().AsMap()
			var texts []string
			for _, key := range slices.Sorted(maps.Keys(fields)) {
				texts = append(texts, fmt.Sprintf("%s=%v", key, fields[key]))
			}
			t.row(append([]any{name, item.GetItem(), fmt.Sprintf("%.3f", item.GetScore()), strings.Join(texts, " ")}, values(by)...)...)
			name = ""
			clear(by)
		}
		return t.err
	}, t.flush, nil
}
