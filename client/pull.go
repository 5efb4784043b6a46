package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// PullOptions says what Pull does.
type PullOptions struct {
	// Model is the model's name. Required.
	Model string
	// Version is a number, an alias, "latest", or empty for the routed version.
	Version string
	// Parallel is the number of files that are received at once; 0 = 4.
	Parallel int
	// Patience is how long Pull tries to go on after the connection is lost
	// before it gives up; 0 = 1 min.
	Patience time.Duration
	// Progress is told what is being done, by one goroutine at a time.
	Progress func(Progress)
}

// Pull writes a version's files into dir, which is made if it is missing. A file
// appears under its name only when its digest was found right; one that is there
// already with the right digest is left alone, and one that was received in part
// is taken up again.
func (c *Client) Pull(ctx context.Context, dir string, o PullOptions) (*modelstorev1.Version, error) {
	got, err := c.ModelStore().GetVersion(ctx, &modelstorev1.GetVersionRequest{Model: o.Model, Version: o.Version})
	if err != nil {
		return nil, err
	}
	version := got.GetVersion()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir) // a path of the server's must not lead out of dir
	if err != nil {
		return nil, err
	}
	defer root.Close()
	d := &downloader{
		store: c.ModelStore(), root: root, model: o.Model, version: fmt.Sprint(version.GetVersion()), patience: o.Patience,
	}
	if d.patience <= 0 {
		d.patience = time.Minute
	}
	d.meter = meter{phase: PhaseTransfer, total: version.GetSizeBytes(), report: func(p Progress) {
		if o.Progress != nil {
			o.Progress(p)
		}
	}}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel(o.Parallel))
	for _, file := range version.GetFiles() {
		g.Go(func() error {
			if err := d.file(ctx, file); err != nil {
				return fmt.Errorf("%s: %w", file.GetPath(), err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return version, nil
}

// downloader receives the files of one version.
type downloader struct {
	store          modelstorev1.ModelStoreServiceClient
	root           *os.Root
	model, version string
	patience       time.Duration
	meter          meter
}

func (d *downloader) file(ctx context.Context, file *modelstorev1.File) error {
	name, err := filepath.Localize(file.GetPath())
	if err != nil {
		return fmt.Errorf("client: the path cannot be written on this system: %w", err)
	}
	if parent := path.Dir(file.GetPath()); parent != "." {
		if err := d.root.MkdirAll(filepath.FromSlash(parent), 0o755); err != nil {
			return err
		}
	}
	if d.has(name, file) {
		d.meter.add(file.GetPath(), file.GetSize())
		return nil
	}
	part := name + ".part"
	f, err := d.root.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	digest, err := d.receive(ctx, f, file)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if digest != file.GetSha256() {
		return errors.Join(errors.New("client: what was received does not match its sha256"), d.root.Remove(part))
	}
	return d.root.Rename(part, name)
}

// has reports whether a file is there already, byte by byte.
func (d *downloader) has(name string, file *modelstorev1.File) bool {
	f, err := d.root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != file.GetSize() {
		return false
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return false
	}
	return hex.EncodeToString(sum.Sum(nil)) == file.GetSha256()
}

// receive fills f, which may hold the beginning already, and returns the digest
// of the whole.
func (d *downloader) receive(ctx context.Context, f *os.File, file *modelstorev1.File) (string, error) {
	sum := sha256.New()
	offset, err := io.Copy(sum, f)
	if err != nil {
		return "", err
	}
	if offset > file.GetSize() { // of some other file
		if err := f.Truncate(0); err != nil {
			return "", err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
		sum.Reset()
		offset = 0
	}
	d.meter.add(file.GetPath(), offset)
	moved := time.Now()
	for pause := 100 * time.Millisecond; offset < file.GetSize(); pause = min(2*pause, 5*time.Second) {
		n, err := d.stream(ctx, f, sum, file, offset)
		offset += n
		if n > 0 {
			moved, pause = time.Now(), 100*time.Millisecond
		}
		if err == nil {
			continue
		}
		if !resumable(err) || time.Since(moved) > d.patience {
			return "", err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// stream receives from an offset on and returns how many bytes it got.
func (d *downloader) stream(ctx context.Context, f *os.File, sum hash.Hash, file *modelstorev1.File, offset int64) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := d.store.DownloadFile(ctx, &modelstorev1.DownloadFileRequest{
		Model: d.model, Version: d.version, Path: file.GetPath(), Offset: offset,
	})
	if err != nil {
		return 0, err
	}
	got := int64(0)
	for {
		m, err := call.Recv()
		if err == io.EOF {
			if offset+got < file.GetSize() {
				return got, fmt.Errorf("%w: %d of %d bytes", errEndedEarly, offset+got, file.GetSize())
			}
			return got, nil
		}
		if err != nil {
			return got, err
		}
		if offset+got+int64(len(m.GetChunk())) > file.GetSize() {
			return got, errors.New("client: the server sent more than the file's size")
		}
		if _, err := f.Write(m.GetChunk()); err != nil {
			return got, err
		}
		sum.Write(m.GetChunk())
		got += int64(len(m.GetChunk()))
		d.meter.add(file.GetPath(), int64(len(m.GetChunk())))
	}
}

// errEndedEarly is resumable: the server ended a file before its end.
var errEndedEarly = errors.New("client: the server ended the file early")
