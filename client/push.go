package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// PushOptions says what Push does.
type PushOptions struct {
	// Model is the name under which the version is kept. Required.
	Model string
	// Files are the paths to send; empty = every file of the file system.
	Files []string
	// Stored are further files of the new version, which the store has from another
	// one: only their digests are sent.
	Stored []*modelstorev1.File
	// Hints tell what the files do not, where none of them is a bundle.yaml.
	Hints *bundlev1.Hints
	// Wait makes Push wait until the version is loaded and checked.
	Wait bool
	// Activate routes the model's calls to the version once it is loaded.
	Activate bool
	// Parallel is the number of files that are read or sent at once; 0 = 4.
	Parallel int
	// Patience is how long Push tries to go on after the connection is lost
	// before it gives up; 0 = 1 min.
	Patience time.Duration
	// Resume is the id of an upload that was begun before and not committed. It
	// is taken up if the store still has it and it is of the same files; else a
	// new one is begun.
	Resume string
	// Begun is told the upload's id before the first byte is sent, for Resume.
	Begun func(uploadID string)
	// Progress is told what is being done, by one goroutine at a time. It should
	// return soon.
	Progress func(Progress)
}

// PushResult is what Push did.
type PushResult struct {
	// Version is the version as the store has it.
	Version *modelstorev1.Version
	// Created is false when the store had the same content already.
	Created bool
	// Sent are the bytes that went over the wire; the store had the others.
	Sent int64
	// Route is the new route; nil without Activate.
	Route *modelstorev1.Route
}

// Phase is a part of the work of Push and Pull.
type Phase int

// The phases, in their order.
const (
	PhaseHash     Phase = iota // files are read and their digests computed
	PhaseTransfer              // bytes are sent or received
	PhaseCommit                // the server checks the whole
	PhaseLoad                  // the server loads the version
	PhaseActivate              // the server swaps the route
)

// Progress is one step of Push or Pull.
type Progress struct {
	Phase Phase
	// File is the file that moved on; empty where the phase is not about files.
	File string
	// Done and Total are bytes over all files. In PhaseTransfer, Done begins
	// with what the other side had already.
	Done, Total int64
	// Load is what the server reports in PhaseLoad.
	Load *modelstorev1.WatchVersionResponse
}

// Push makes the files of fsys a new version of a model. It computes their
// digests, sends the bytes that the store lacks, and commits. A lost connection
// is taken up where it broke off. A Push that was given up can be taken up by
// another, see Resume; files that were sent as a whole are not sent again in any
// case. The same content again is the same version.
func (c *Client) Push(ctx context.Context, fsys fs.FS, o PushOptions) (*PushResult, error) {
	if o.Model == "" {
		return nil, errors.New("client: push without a model's name")
	}
	files, err := c.describe(ctx, fsys, &o)
	if err != nil {
		return nil, err
	}
	files = append(files, o.Stored...)
	upload, err := c.begin(ctx, files, &o)
	if err != nil {
		return nil, err
	}
	sent, err := c.send(ctx, fsys, upload, &o)
	if err != nil {
		return nil, err
	}
	o.report(Progress{Phase: PhaseCommit})
	committed, err := c.ModelStore().CommitUpload(ctx, &modelstorev1.CommitUploadRequest{UploadId: upload.GetUploadId(), Hints: o.Hints})
	if err != nil {
		return nil, err
	}
	result := &PushResult{Version: committed.GetVersion(), Created: committed.GetCreated(), Sent: sent}
	version := fmt.Sprint(result.Version.GetVersion())
	if o.Wait || o.Activate {
		err := c.WaitLoaded(ctx, o.Model, version, func(step *modelstorev1.WatchVersionResponse) {
			o.report(Progress{Phase: PhaseLoad, Load: step})
		})
		if err != nil {
			return result, err
		}
	}
	if o.Activate {
		o.report(Progress{Phase: PhaseActivate})
		activated, err := c.ModelStore().ActivateVersion(ctx, &modelstorev1.ActivateVersionRequest{Model: o.Model, Version: version})
		if err != nil {
			return result, err
		}
		result.Route = activated.GetRoute()
	}
	return result, nil
}

// begin takes an upload up, or creates one.
func (c *Client) begin(ctx context.Context, files []*modelstorev1.File, o *PushOptions) (*modelstorev1.Upload, error) {
	if o.Resume != "" {
		known, err := c.ModelStore().GetUpload(ctx, &modelstorev1.GetUploadRequest{UploadId: o.Resume})
		switch {
		case err == nil && known.GetUpload().GetVersion() == 0 && sameFiles(known.GetUpload(), o.Model, files):
			return known.GetUpload(), nil
		case err != nil && CodeOf(err) != codes.NotFound:
			return nil, err
		}
	}
	created, err := c.ModelStore().CreateUpload(ctx, &modelstorev1.CreateUploadRequest{Model: o.Model, Files: files})
	if err != nil {
		return nil, err
	}
	if o.Begun != nil {
		o.Begun(created.GetUpload().GetUploadId())
	}
	return created.GetUpload(), nil
}

func sameFiles(u *modelstorev1.Upload, model string, files []*modelstorev1.File) bool {
	if u.GetModel() != model || len(u.GetFiles()) != len(files) {
		return false
	}
	digests := make(map[string]string, len(files))
	for _, f := range files {
		digests[f.GetPath()] = f.GetSha256()
	}
	for _, p := range u.GetFiles() {
		if digests[p.GetFile().GetPath()] != p.GetFile().GetSha256() {
			return false
		}
	}
	return true
}

// WaitLoaded waits until a version (a number, an alias, "latest", or empty for
// the routed one) answers calls, and starts its loading when nothing else has.
// report, which may be nil, is told each step. A version that cannot be loaded
// is an *Error with FAILED_PRECONDITION.
func (c *Client) WaitLoaded(ctx context.Context, model, version string, report func(*modelstorev1.WatchVersionResponse)) error {
	steps, err := c.ModelStore().WatchVersion(ctx, &modelstorev1.WatchVersionRequest{Model: model, Version: version})
	if err != nil {
		return err
	}
	var last *modelstorev1.WatchVersionResponse
	for {
		step, err := steps.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		last = step
		if report != nil {
			report(step)
		}
	}
	switch last.GetState() {
	case modelstorev1.LoadState_LOAD_STATE_READY:
		return nil
	case modelstorev1.LoadState_LOAD_STATE_FAILED:
		return fromStatus(status.Newf(codes.FailedPrecondition, "version %d cannot be loaded: %s", last.GetVersion(), last.GetMessage()))
	}
	return fromStatus(status.Newf(codes.Unavailable, "the server stopped reporting on the loading of %s", model))
}

func (o *PushOptions) report(p Progress) {
	if o.Progress != nil {
		o.Progress(p)
	}
}

func parallel(n int) int {
	if n <= 0 {
		return 4
	}
	return n
}

// describe lists the files with digest and size.
func (c *Client) describe(ctx context.Context, fsys fs.FS, o *PushOptions) ([]*modelstorev1.File, error) {
	paths := o.Files
	if len(paths) == 0 {
		var err error
		if paths, err = listFiles(fsys); err != nil {
			return nil, err
		}
	}
	files := make([]*modelstorev1.File, len(paths))
	m := meter{phase: PhaseHash, report: o.report}
	for i, path := range paths {
		info, err := fs.Stat(fsys, path)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("client: %s is not a regular file", path)
		}
		files[i] = &modelstorev1.File{Path: path, Size: info.Size()}
		m.total += info.Size()
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel(o.Parallel))
	for _, file := range files {
		g.Go(func() error {
			f, err := fsys.Open(file.Path)
			if err != nil {
				return err
			}
			defer f.Close()
			hash := sha256.New()
			n, err := io.Copy(io.MultiWriter(hash, &meterWriter{ctx, &m, file.Path}), f)
			if err != nil {
				return err
			}
			file.Size, file.Sha256 = n, hex.EncodeToString(hash.Sum(nil))
			return nil
		})
	}
	return files, g.Wait()
}

// listFiles returns the regular files, symbolic links to such included.
func listFiles(fsys fs.FS) ([]string, error) {
	var paths []string
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := fs.Stat(fsys, path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("client: %s is not a regular file", path)
		}
		paths = append(paths, path)
		return nil
	})
	if err == nil && len(paths) == 0 {
		err = errors.New("client: there is no file to push")
	}
	return paths, err
}

// meter counts bytes over several files and reports them, one at a time.
type meter struct {
	phase  Phase
	total  int64
	report func(Progress)

	mu   sync.Mutex // held while reporting
	done int64      // guarded by mu
}

func (m *meter) add(file string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	m.report(Progress{Phase: m.phase, File: file, Done: m.done, Total: m.total})
}

// meterWriter counts what is written to it and stops when its context ends.
type meterWriter struct {
	ctx  context.Context // of the copy that writes
	m    *meter
	file string
}

func (w *meterWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	w.m.add(w.file, int64(len(p)))
	return len(p), nil
}
