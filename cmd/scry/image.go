package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/scry-ml/scry/client"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// imageCmd finds what pictures show.
type imageCmd struct {
	Files       []string `arg:"" help:"JPEG, PNG, WebP or GIF files; \"-\" for one on standard input."`
	Features    []string `default:"labels" enum:"labels,colors,quality,faces,safe_search,text,embedding" placeholder:"NAME" help:"What to find: labels, colors, quality, faces, safe_search, text, embedding, which is printed as JSON only (default: labels). Colors and quality need no model."`
	Top         int      `short:"n" default:"5" help:"Labels of each kind, colours or similar items."`
	MinScore    float64  `placeholder:"NUMBER" help:"Leave out labels and items with a lower score."`
	Heads       []string `placeholder:"HEAD" help:"Kinds of labels to ask for, such as clothing, as \"scry show\" lists them (default: all)."`
	Expressions bool     `help:"With the feature faces: read their expressions too. The law may ask for notice to the people shown."`
	Annotate    string   `type:"path" placeholder:"DIR" help:"Write each picture there as a PNG, with boxes around faces and text."`
	Similar     bool     `help:"Find the items of the model's catalogue that look like each picture."`
	Filter      string   `placeholder:"FILTER" help:"With --similar: which items, as an AIP-160 filter over their attributes."`
	Attributes  []string `placeholder:"NAME" help:"With --similar: attributes to print; '*' for all."`
	Model       modelRef `short:"m" placeholder:"MODEL[@VERSION]" help:"The model (default: the server's default for each feature)."`
	explainImageFlags
	servedFlag
}

// modelless are the features that no model answers.
var modelless = []string{"colors", "quality"}

func (c *imageCmd) Run(ctx context.Context, app *app) error {
	if !c.Similar && (c.Filter != "" || len(c.Attributes) > 0) {
		return wrongUse("--filter and --attributes are for --similar")
	}
	if c.Similar && c.Annotate != "" {
		return wrongUse("--annotate and --similar exclude each other")
	}
	if c.Explain != "" && (c.Similar || c.Annotate != "") {
		return wrongUse("--explain excludes --annotate and --similar")
	}
	if c.Explain == "" && (c.Label != "" || c.Evaluations != 0) {
		return wrongUse("--label and --evaluations are for --explain")
	}
	if (c.Similar || c.Explain != "") && !slices.Equal(c.Features, []string{"labels"}) {
		return wrongUse("--similar and --explain exclude --features")
	}
	if c.Similar && len(c.Heads) > 0 {
		return wrongUse("--similar and --heads exclude each other")
	}
	if c.Expressions && !slices.Contains(c.Features, "faces") {
		return wrongUse("--expressions is for --features faces")
	}
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	info, err := server.ServerInfo(ctx)
	if err != nil {
		return err
	}
	names, err := expand(c.Files)
	if err != nil {
		return err
	}
	t := &tally{items: "pictures"}
	unread := 0
	images := readImages(app.output, names, func(name string) string { return name }, info.GetLimits().GetMaxImageBytes(), &unread)
	switch {
	case c.Explain != "":
		err = c.explain(ctx, app.output, server, names, images, t)
	case c.Similar:
		err = c.similar(ctx, app, server, images, t)
	default:
		err = c.analyze(ctx, app, server, names, images, t)
	}
	t.failed += unread
	if err != nil {
		return err
	}
	return t.close(app.output)
}

func (c *imageCmd) analyze(ctx context.Context, app *app, server *client.Client, files []string, images iter.Seq[*imageanalysisv1.ImageItem], t *tally) error {
	req := &imageanalysisv1.AnalyzeImagesRequest{
		Options: &imageanalysisv1.ImageOptions{MaxLabels: int32(c.Top), MaxColors: int32(min(c.Top, 16)), MinScore: c.MinScore, Heads: c.Heads, Expressions: c.Expressions},
	}
	for _, name := range c.Features {
		f := imageanalysisv1.ImageFeature(imageanalysisv1.ImageFeature_value["IMAGE_FEATURE_"+strings.ToUpper(name)])
		if slices.Contains(req.Features, f) {
			return wrongUse("--features names %s twice", name)
		}
		req.Features = append(req.Features, f)
		if c.Model.Model != "" && !slices.Contains(modelless, name) {
			req.Models = append(req.Models, &imageanalysisv1.FeatureModel{Feature: f, Model: c.Model.Model, Version: c.Model.Version})
		}
	}
	found := "LABELS"
	if !slices.Equal(c.Features, []string{"labels"}) {
		found = "FOUND"
	}
	write, flush, err := imagePrinter(app.output, found, c.servedFlag)
	if err != nil {
		return err
	}
	if c.Annotate != "" {
		images, write = (&annotator{files: newFilesIn(c.Annotate, files)}).around(images, write)
	}
	err = each(io.NopCloser(nil), server.StreamAnalyzeImages(ctx, req, images), t, write)
	if t.answered+t.failed > 0 { // no file could be read otherwise, or the call failed
		err = errors.Join(err, flush())
	}
	return err
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

// readImages reads the pictures of these names from files. Those that cannot be
// read are left out, told of and counted; unread is settled when the loop over the
// pictures has ended, which may be on another goroutine.
func readImages(o *output, names []string, file func(name string) string, limit int64, unread *int) iter.Seq[*imageanalysisv1.ImageItem] {
	return func(yield func(*imageanalysisv1.ImageItem) bool) {
		for _, name := range names {
			content, err := readImage(o, file(name), limit)
			if err != nil {
				o.complain("%v", err)
				*unread++
				continue
			}
			if !yield(&imageanalysisv1.ImageItem{Id: name, Content: content}) {
				return
			}
		}
	}
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

// finding is one thing that was found in a picture.
type finding struct {
	head  string // or the feature
	label string
	score float64
}

// findings lists what an answer holds, the vector aside.
func findings(r *imageanalysisv1.ImageResult) []finding {
	var out []finding
	for _, set := range r.GetLabels() {
		for _, l := range set.GetLabels() {
			out = append(out, finding{set.GetHead(), l.GetName(), l.GetScore()})
		}
	}
	for _, c := range r.GetColors() {
		out = append(out, finding{"colors", c.GetHex() + " " + c.GetNameEn(), c.GetFraction()})
	}
	if q := r.GetQuality(); q != nil {
		out = append(out,
			finding{"quality", "sharpness", q.GetSharpness()}, finding{"quality", "brightness", q.GetBrightness()},
			finding{"quality", "contrast", q.GetContrast()}, finding{"quality", "underexposed", q.GetUnderexposed()},
			finding{"quality", "overexposed", q.GetOverexposed()}, finding{"quality", "megapixels", q.GetMegapixels()})
	}
	for _, f := range r.GetFaces() {
		b := f.GetBox()
		var label strings.Builder
		label.WriteString(fmt.Sprintf("%.0f×%.0f at %.0f,%.0f", b.GetWidth(), b.GetHeight(), b.GetLeft(), b.GetTop()))
		for _, e := range f.GetExpressions()[:min(1, len(f.GetExpressions()))] {
			label.WriteString(" " + e.GetName())
		}
		out = append(out, finding{"faces", label.String(), f.GetScore()})
	}
	if s := r.GetSafeSearch(); s != nil {
		out = append(out, finding{"safe_search", "adult", s.GetAdult()})
	}
	for _, l := range r.GetText() {
		out = append(out, finding{"text", l.GetText(), l.GetScore()})
	}
	return out
}

func imagePrinter(o *output, title string, served servedFlag) (func(*imageanalysisv1.ImageResult, error) error, func() error, error) {
	switch o.format {
	case "json", "jsonl":
		return jsonPrinter[*imageanalysisv1.ImageResult](o)
	case "csv": // one line a finding
		w, err := o.csv(served.titles(o, "file", "head", "rank", "label", "score", "prediction_id", "error")...)
		if err != nil {
			return nil, nil, err
		}
		return func(r *imageanalysisv1.ImageResult, failed error) error {
			if failed != nil {
				return w.failed(r.GetId(), failed)
			}
			rank, head := 0, ""
			for _, f := range findings(r) {
				if rank++; f.head != head {
					rank, head = 1, f.head
				}
				row := []string{r.GetId(), head, strconv.Itoa(rank), f.label, exact(f.score), r.GetPredictionId(), ""}
				if err := w.row(append(row, served.cells(r.GetServedBy())...)...); err != nil {
					return err
				}
			}
			return nil
		}, w.flush, nil
	}
	t := o.table(served.titles(o, "FILE", "PICTURE", "HEAD", title)...)
	return func(r *imageanalysisv1.ImageResult, failed error) error {
		if failed != nil {
			return t.failed(r.GetId(), failed)
		}
		name, by := r.GetId(), served.cells(r.GetServedBy())
		about := fmt.Sprintf("%s %d×%d", r.GetInfo().GetFormat(), r.GetInfo().GetWidth(), r.GetInfo().GetHeight())
		all, before := findings(r), ""
		for first := true; first || len(all) > 0; first = false {
			n := 0
			var texts []string
			for ; n < len(all) && all[n].head == all[0].head && (n == 0 || all[0].head != "text"); n++ { // a line of text has a row
				texts = append(texts, fmt.Sprintf("%s %.3f", all[n].label, all[n].score))
			}
			var head string
			found := cell{strings.Join(texts, ", "), o.plain}
			if n > 0 && all[0].head != before {
				if head = all[0].head; head == "colors" {
					found = o.swatches(r.GetColors())
				}
				before = head
			}
			t.row(append([]any{name, about, head, found}, values(by)...)...)
			all = all[n:]
			name, about = "", "" // another head of the same picture
			clear(by)
		}
		return t.err
	}, t.flush, nil
}

// swatch stands for a colour, and is painted in it on a terminal.
const swatch = "■"

// swatches is a cell of colours.
func (o *output) swatches(colors []*imageanalysisv1.Color) cell {
	painted := o.bold.Render(swatch) != swatch
	texts := make([]string, len(colors))
	for i, c := range colors {
		texts[i] = fmt.Sprintf("%s %s %.3f", c.GetHex(), c.GetNameEn(), c.GetFraction())
		if painted {
			texts[i] = swatch + " " + texts[i]
		}
	}
	// The text is cleaned and measured before its swatches are painted.
	return cell{strings.Join(texts, ", "), o.plain.Transform(func(text string) string {
		for _, c := range colors {
			paint := o.plain.Foreground(lipgloss.Color(c.GetHex())).Render("●")
			text = strings.Replace(text, swatch, paint, 1)
		}
		return text
	})}
}
