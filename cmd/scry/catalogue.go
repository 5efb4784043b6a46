package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/client"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	"github.com/scry-ml/scry/tensor"
)

// catalogueCmd makes catalogues.
type catalogueCmd struct {
	Build catalogueBuildCmd `cmd:"" help:"Make a bundle of a model and a catalogue of pictures, for \"scry image --similar\"."`
}

// catalogueBuildCmd makes a bundle whose catalogue is a folder of pictures.
type catalogueBuildCmd struct {
	Dir   string   `arg:"" type:"existingdir" help:"A folder of JPEG, PNG, WebP and GIF files, and folders of such."`
	Model modelRef `short:"m" required:"" placeholder:"MODEL[@VERSION]" help:"The model, which has an embedding head for pictures."`
	Head  string   `placeholder:"HEAD" help:"The embedding head (default: the model's only one)."`
	To    string   `required:"" type:"path" placeholder:"DIR" help:"Where to write the bundle: the version's files, items.jsonl and vectors.npy."`
}

// The files that catalogue build writes.
const (
	itemsFile   = "items.jsonl"
	vectorsFile = "vectors.npy"
)

// pictureNames are the ends of files' names that are taken for pictures.
var pictureNames = []string{".jpg", ".jpeg", ".png", ".webp", ".gif"}

func (c *catalogueBuildCmd) Run(ctx context.Context, app *app) error {
	if err := app.output.noCSV(); err != nil {
		return err
	}
	names, err := picturesIn(c.Dir)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("%s: no %s files", c.Dir, strings.Join(pictureNames, ", "))
	}
	server, err := app.dial(ctx)
	if err != nil {
		return err
	}
	info, err := server.ServerInfo(ctx)
	if err != nil {
		return err
	}
	found, err := server.ModelStore().GetVersion(ctx, &modelstorev1.GetVersionRequest{Model: c.Model.Model, Version: c.Model.Version})
	if err != nil {
		return err
	}
	version := found.GetVersion()
	manifest := version.GetManifest()
	head, err := c.head(manifest)
	if err != nil {
		return err
	}
	// All vectors are of the version whose files these are.
	model := modelRef{Model: version.GetModel(), Version: fmt.Sprint(version.GetVersion())}
	t := &tally{items: "pictures"}
	items, vectors, err := c.embed(ctx, app, server, model, names, info.GetLimits().GetMaxImageBytes(), t)
	if err != nil {
		return err
	}
	if items.Len() == 0 {
		return errors.Join(t.close(app.output), errors.New("no picture has a vector"))
	}
	// Nothing is written before there is something to write beside it.
	if _, err := server.Pull(ctx, c.To, client.PullOptions{Model: model.Model, Version: model.Version}); err != nil {
		return err
	}
	manifest.Catalogue = cmp.Or(manifest.Catalogue, &bundlev1.Catalogue{})
	manifest.Catalogue.Items = &bundlev1.Items{
		File: itemsFile, Vectors: vectorsFile, QueryHead: head,
		Attributes: []*bundlev1.Attribute{{Name: "folder", Type: bundlev1.AttributeType_ATTRIBUTE_TYPE_STRING}},
	}
	if err := c.write(manifest, items.Bytes(), vectors); err != nil {
		return err
	}
	if err := t.close(app.output); err != nil {
		return err
	}
	return app.output.done(map[string]any{"directory": c.To, "items": vectors.Shape[0]},
		"%s: %s; \"scry push %s --name MODEL --activate\" serves them", c.To, counted(vectors.Shape[0], "items"), c.To)
}

// head is the embedding head that makes queries.
func (c *catalogueBuildCmd) head(m *bundlev1.Manifest) (string, error) {
	if m.GetImage() == nil {
		return "", fmt.Errorf("%s takes no pictures", c.Model)
	}
	var names []string
	for name, h := range m.GetHeads() {
		if h.GetEmbedding() != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return "", fmt.Errorf("%s has no embedding head", c.Model)
	case c.Head == "" || c.Head == names[0]: // the one that EMBEDDING answers
		return names[0], nil
	case slices.Contains(names, c.Head):
		return "", fmt.Errorf("--head: AnalyzeImages answers %s only", names[0])
	}
	return "", wrongUse("--head: %s has no embedding head %q; it has %s", c.Model, c.Head, strings.Join(names, ", "))
}

// picturesIn lists pictures below a folder by their paths, with slashes.
func picturesIn(dir string) ([]string, error) {
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".") && name != ".":
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir() && slices.Contains(pictureNames, strings.ToLower(filepath.Ext(name))):
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// embed asks for the vectors of pictures. Those that fail are left out.
func (c *catalogueBuildCmd) embed(ctx context.Context, app *app, server *client.Client, model modelRef, names []string, limit int64, t *tally) (*bytes.Buffer, tensor.Tensor, error) {
	const feature = imageanalysisv1.ImageFeature_IMAGE_FEATURE_EMBEDDING
	req := &imageanalysisv1.AnalyzeImagesRequest{
		Features: []imageanalysisv1.ImageFeature{feature},
		Models:   []*imageanalysisv1.FeatureModel{{Feature: feature, Model: model.Model, Version: model.Version}},
	}
	unread := 0
	images := readImages(app.output, names, func(name string) string { return filepath.Join(c.Dir, filepath.FromSlash(name)) }, limit, &unread)
	items := &bytes.Buffer{}
	encode := json.NewEncoder(items)
	encode.SetEscapeHTML(false)
	var values []float32
	count, size := int64(0), 0
	err := each(io.NopCloser(nil), server.StreamAnalyzeImages(ctx, req, images), t, func(r *imageanalysisv1.ImageResult, failed error) error {
		if failed != nil {
			app.output.complain("%s: %s", r.GetId(), errText(failed))
			return nil
		}
		v := r.GetEmbedding().GetValues()
		if size == 0 {
			size = len(v)
		}
		if len(v) == 0 || len(v) != size {
			return fmt.Errorf("%s: the server answered a vector of %d elements, and of %d before", r.GetId(), len(v), size)
		}
		values = append(values, v...)
		count++
		item := map[string]string{"id": r.GetId()}
		if folder := strings.TrimSuffix(strings.TrimSuffix(r.GetId(), filepath.Base(r.GetId())), "/"); folder != "" {
			item["folder"] = folder
		}
		return encode.Encode(item)
	})
	t.failed += unread
	if err != nil || count == 0 {
		return items, tensor.Tensor{}, err
	}
	vectors, err := tensor.From(values, count, int64(size))
	return items, vectors, err
}

// write adds the catalogue to the files of the version.
func (c *catalogueBuildCmd) write(m *bundlev1.Manifest, items []byte, vectors tensor.Tensor) error {
	text, err := bundle.Marshal(m, nil)
	if err != nil {
		return err
	}
	var npy bytes.Buffer
	if err := writeNPY(&npy, vectors); err != nil {
		return err
	}
	for name, content := range map[string][]byte{itemsFile: items, vectorsFile: npy.Bytes(), bundle.ManifestFile: text} {
		if err := os.WriteFile(filepath.Join(c.To, name), content, 0o666); err != nil {
			return err
		}
	}
	return nil
}
