package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/modelstore"
)

// importBundles makes a version of every bundle in dir whose model the store
// does not have, and activates it. A model that is there is left as it is.
func importBundles(ctx context.Context, store *modelstore.Store, dir string, log *slog.Logger) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if _, err := os.Stat(filepath.Join(path, bundle.ManifestFile)); err != nil {
			continue // a README or a go.mod
		}
		m, err := store.GetModel(ctx, e.Name())
		if err == nil {
			if err := finishImport(ctx, store, m); err != nil {
				return fmt.Errorf("%s: %w", e.Name(), err)
			}
			continue
		}
		if !errors.Is(err, modelstore.ErrNotFound) {
			return err
		}
		if how, err := os.ReadFile(filepath.Join(path, fetchFile)); err == nil {
			if file := missingGraph(os.DirFS(path)); file != "" {
				log.Warn("not imported: its weights have not been fetched", "model", e.Name(), "missing", file, "fetch", strings.TrimSpace(string(how)))
				continue
			}
		}
		if err := importBundle(ctx, store, e.Name(), os.DirFS(path)); err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
		log.Info("imported", "model", e.Name())
	}
	return nil
}

// fetchFile lies in a bundle whose weights not everybody fetches, and holds the
// command that does.
const fetchFile = "FETCH"

// missingGraph names a graph's file that a bundle's manifest has and its
// directory has not; empty when there is none, or when the manifest cannot be
// read, of which importBundle tells more.
func missingGraph(dir fs.FS) string {
	text, err := fs.ReadFile(dir, bundle.ManifestFile)
	if err != nil {
		return ""
	}
	m, err := bundle.ParseManifest(text)
	if err != nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetGraphs())) {
		if _, err := fs.Stat(dir, m.GetGraphs()[name].GetFile()); errors.Is(err, fs.ErrNotExist) {
			return m.GetGraphs()[name].GetFile()
		}
	}
	return ""
}

// finishImport activates what an import that was cut short had committed.
func finishImport(ctx context.Context, store *modelstore.Store, m modelstore.Model) error {
	if m.Route.Revision != 0 || m.LatestVersion == 0 {
		return nil
	}
	v, err := store.GetVersion(ctx, m.Name, m.LatestVersion)
	if err != nil || v.CreatedBy != importer {
		return err
	}
	_, err = store.Activate(ctx, m.Name, v.Number, "", importer)
	return err
}

// importer is who creates and activates imported versions.
const importer = "import"

func importBundle(ctx context.Context, store *modelstore.Store, model string, dir fs.FS) error {
	v, err := importVersion(ctx, store, model, dir)
	if err != nil {
		return err
	}
	_, err = store.Activate(ctx, model, v.Number, "", importer)
	return err
}

func importVersion(ctx context.Context, store *modelstore.Store, model string, dir fs.FS) (modelstore.Version, error) {
	b, err := bundle.Prepare(dir, nil)
	if err != nil {
		return modelstore.Version{}, err
	}
	var files []modelstore.File
	for _, name := range b.Uploads() {
		f, err := digest(dir, name)
		if err != nil {
			return modelstore.Version{}, err
		}
		files = append(files, f)
	}
	upload, err := store.CreateUpload(ctx, model, files, importer)
	if err != nil {
		return modelstore.Version{}, err
	}
	for _, f := range upload.Files {
		if f.Offset < f.Size {
			if err := sendFile(ctx, store, upload.ID, dir, f); err != nil {
				return modelstore.Version{}, err
			}
		}
	}
	v, _, err := store.CommitUpload(ctx, upload.ID)
	return v, err
}

func digest(dir fs.FS, name string) (modelstore.File, error) {
	f, err := dir.Open(name)
	if err != nil {
		return modelstore.File{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return modelstore.File{Path: name, SHA256: hex.EncodeToString(h.Sum(nil)), Size: n}, err
}

func sendFile(ctx context.Context, store *modelstore.Store, upload string, dir fs.FS, p modelstore.FileProgress) error {
	f, err := dir.Open(p.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(io.Discard, f, p.Offset); err != nil {
		return err
	}
	w, err := store.OpenUploadFile(ctx, upload, p.SHA256, p.Offset)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, w.Close())
}
