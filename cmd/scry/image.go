package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// imageCmd finds what pictures show.
type imageCmd struct {
	Files    []string `arg:"" help:"JPEG, PNG, WebP or GIF files; \"-\" for one on standard input."`
	Top      int      `short:"n" default:"5" help:"Labels of each kind."`
	MinScore float64  `help:"Leave out labels with a lower score."`
	Heads    []string `help:"Kinds of labels to ask for, such as clothing (default: all of the model)."`
	Model    modelRef `short:"m" placeholder:"MODEL[@VERSION]" help:"The model (default: the server's default for labels)."`
	servedFlag
}

func (c *imageCmd) Run(ctx context.Context, app *app) error {
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	info, err := server.ServerInfo(ctx)
	if err != nil {
		return err
	}
	req := &imageanalysisv1.AnalyzeImagesRequest{
		Features: []imageanalysisv1.ImageFeature{imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS},
		Options:  &imageanalysisv1.ImageOptions{MaxLabels: int32(c.Top), MinScore: c.MinScore, Heads: c.Heads},
	}
	if c.Model.Model != "" {
		req.Models = []*imageanalysisv1.FeatureModel{{
			Feature: imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS, Model: c.Model.Model, Version: c.Model.Version,
		}}
	}
	names, err := expand(c.Files)
	if err != nil {
		return err
	}
	t := &tally{items: "pictures"}
	unread := 0 // written while the stream runs, read after it
	images := func(yield func(*imageanalysisv1.ImageItem) bool) {
		for _, name := range names {
			content, err := readImage(app.output, name, info.GetLimits().GetMaxImageBytes())
			if err != nil {
				app.output.complain("%v", err)
				unread++
				continue
			}
			if !yield(&imageanalysisv1.ImageItem{Id: name, Content: content}) {
				return
			}
		}
	}
	err = printImages(app.output, server.StreamAnalyzeImages(ctx, req, images), t, c.servedFlag)
	t.failed += unread
	if err != nil {
		return err
	}
	return t.close(app.output)
}

// expand resolves patterns, which the shell of Windows leaves to the program.
func expand(patterns []string) ([]string, error) {
	var names []string
	for _, pattern := range patterns {
		if _, err := os.Stat(pattern); err == nil || !strings.ContainsAny(pattern, "*?[") {
			names = append(names, pattern)
			continue
		}
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return nil, wrongUse("%s: %v", pattern, err)
		}
		if len(matches) == 0 {
			return nil, fmt.Errorf("no file matches %s", pattern)
		}
		names = append(names, matches...)
	}
	return names, nil
}

// readImage reads a file that is within the server's limit.
func readImage(o *output, name string, limit int64) ([]byte, error) {
	in := o.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	if limit <= 0 {
		limit = 32 << 20
	}
	content, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s: larger than the server's limit of %s", name, bytesText(limit))
	}
	return content, nil
}

// printImages writes the answers as they come.
func printImages(o *output, results iter.Seq2[*imageanalysisv1.ImageResult, error], t *tally, served servedFlag) error {
	write, flush, err := imagePrinter(o, served)
	if err != nil {
		return err
	}
	err = each(io.NopCloser(nil), results, t, write)
	if t.answered+t.failed > 0 { // no file could be read otherwise, or the call failed
		err = errors.Join(err, flush())
	}
	return err
}

func imagePrinter(o *output, served servedFlag) (func(*imageanalysisv1.ImageResult, error) error, func() error, error) {
	switch o.format {
	case "json", "jsonl":
		return func(r *imageanalysisv1.ImageResult, _ error) error {
			raw, err := marshal(r)
			if err != nil {
				return err
			}
			return o.writeRaw(raw, false)
		}, func() error { return nil }, nil
	case "csv": // one line a label
		w, err := o.csv(served.titles(o, "file", "head", "rank", "label", "score", "prediction_id", "error")...)
		if err != nil {
			return nil, nil, err
		}
		return func(r *imageanalysisv1.ImageResult, failed error) error {
			if failed != nil {
				return w.row(append([]string{r.GetId(), "", "", "", "", "", errText(failed)}, served.cells(r.GetServedBy())...)...)
			}
			for _, set := range r.GetLabels() {
				for i, l := range set.GetLabels() {
					score := strconv.FormatFloat(l.GetScore(), 'g', -1, 64)
					row := []string{r.GetId(), set.GetHead(), strconv.Itoa(i + 1), l.GetName(), score, r.GetPredictionId(), ""}
					if err := w.row(append(row, served.cells(r.GetServedBy())...)...); err != nil {
						return err
					}
				}
			}
			return nil
		}, w.flush, nil
	}
	t := o.table(served.titles(o, "FILE", "PICTURE", "HEAD", "LABELS")...)
	return func(r *imageanalysisv1.ImageResult, failed error) error {
		if failed != nil {
			t.line(r.GetId(), cell{errText(failed), o.bad})
			return t.err
		}
		about := fmt.Sprintf("%s %d×%d", r.GetInfo().GetFormat(), r.GetInfo().GetWidth(), r.GetInfo().GetHeight())
		for i, set := range r.GetLabels() {
			labels := make([]string, len(set.GetLabels()))
			for j, l := range set.GetLabels() {
				labels[j] = fmt.Sprintf("%s %.3f", l.GetName(), l.GetScore())
			}
			name, by := r.GetId(), served.cells(r.GetServedBy())
			if i > 0 { // another head of the same picture
				name, about = "", ""
				clear(by)
			}
			t.row(append([]any{name, about, set.GetHead(), strings.Join(labels, ", ")}, values(by)...)...)
		}
		return t.err
	}, t.flush, nil
}
