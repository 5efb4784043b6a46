package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/scry-ml/scry/client"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// Pictures that are sent in one call of FindSimilar, and their bytes.
const (
	similarAtOnce = 64
	similarBytes  = 32 << 20
)

// similar prints the items of the model's catalogue that look like each picture.
func (c *imageCmd) similar(ctx context.Context, app *app, server *client.Client, images iter.Seq[*imageanalysisv1.ImageItem], t *tally) error {
	write, flush, err := c.similarPrinter(app.output)
	if err != nil {
		return err
	}
	sent := int64(0)
	send := func(part []*imageanalysisv1.ImageItem) error {
		req := &imageanalysisv1.FindSimilarRequest{
			Model: c.Model.Model, Version: c.Model.Version, Images: part, Filter: c.Filter, Count: int32(c.Top), Attributes: c.Attributes,
		}
		if c.MinScore != 0 {
			req.MinScore = &c.MinScore
		}
		resp, err := server.FindSimilar(ctx, req)
		if err != nil {
			return err
		}
		for _, r := range resp.GetResults() {
			r.Index = sent
			sent++
			failed := client.ItemError(r)
			t.count(failed, r.GetWarnings(), r.GetServedBy())
			if err := write(r, failed); err != nil {
				return err
			}
		}
		return nil
	}
	t.warnings = map[string]int{}
	var part []*imageanalysisv1.ImageItem
	size := 0
	for image := range images {
		if len(part) > 0 && (len(part) == similarAtOnce || size+len(image.GetContent()) > similarBytes) {
			if err := send(part); err != nil {
				return err
			}
			part, size = nil, 0
		}
		part, size = append(part, image), size+len(image.GetContent())
	}
	if len(part) > 0 {
		if err := send(part); err != nil {
			return err
		}
	}
	if sent == 0 {
		return nil
	}
	return flush()
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
