package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// chunkBytes is what one message of an upload carries; the contract allows 1 MiB.
const chunkBytes = 512 << 10

// send brings the store every byte that it lacks and returns how many it sent.
func (c *Client) send(ctx context.Context, fsys fs.FS, upload *modelstorev1.Upload, o *PushOptions) (int64, error) {
	u := &uploader{store: c.ModelStore(), fsys: fsys, id: upload.GetUploadId(), patience: o.Patience}
	if u.patience <= 0 {
		u.patience = time.Minute
	}
	u.meter = meter{phase: PhaseTransfer, report: o.report}
	missing := make(map[string]*modelstorev1.FileProgress) // by digest: equal files are sent once
	var order []string
	for _, p := range upload.GetFiles() {
		u.meter.total += p.GetFile().GetSize()
		u.meter.done += p.GetOffset()
		digest := p.GetFile().GetSha256()
		switch {
		case p.GetOffset() >= p.GetFile().GetSize():
		case missing[digest] != nil:
			u.meter.done += p.GetFile().GetSize() - p.GetOffset()
		default:
			missing[digest] = p
			order = append(order, digest)
		}
	}
	u.meter.add("", 0)
	before := u.meter.done
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel(o.Parallel))
	for _, digest := range order {
		g.Go(func() error {
			p := missing[digest]
			if err := u.file(ctx, p.GetFile(), p.GetOffset()); err != nil {
				return fmt.Errorf("%s: %w", p.GetFile().GetPath(), err)
			}
			return nil
		})
	}
	err := g.Wait()
	return u.meter.done - before, err
}

// uploader sends the files of one upload.
type uploader struct {
	store    modelstorev1.ModelStoreServiceClient
	fsys     fs.FS
	id       string
	patience time.Duration
	meter    meter
}

// file sends one file from an offset on. After a loss it asks how much has
// arrived and goes on from there, until nothing has moved for u.patience.
func (u *uploader) file(ctx context.Context, file *modelstorev1.File, offset int64) error {
	moved := time.Now()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		reached, err := u.stream(ctx, file, offset)
		if err == nil {
			return nil
		}
		if !resumable(err) || time.Since(moved) > u.patience {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
		stored, askErr := u.stored(ctx, file)
		switch {
		case askErr != nil && !resumable(askErr):
			return askErr
		case askErr != nil:
			stored = offset
		}
		if stored > offset {
			moved, pause = time.Now(), 100*time.Millisecond
		}
		u.meter.add(file.GetPath(), stored-reached) // what was sent and did not arrive
		offset = stored
		if offset >= file.GetSize() {
			return nil
		}
	}
}

// stored asks how much of a file the store has.
func (u *uploader) stored(ctx context.Context, file *modelstorev1.File) (int64, error) {
	r, err := u.store.GetUpload(ctx, &modelstorev1.GetUploadRequest{UploadId: u.id})
	if err != nil {
		return 0, err
	}
	for _, p := range r.GetUpload().GetFiles() {
		if p.GetFile().GetSha256() == file.GetSha256() {
			return p.GetOffset(), nil
		}
	}
	return 0, fmt.Errorf("client: the upload no longer holds %s", file.GetPath())
}

// stream sends a file from an offset to its end in one call. It returns the
// offset up to which it has counted.
func (u *uploader) stream(ctx context.Context, file *modelstorev1.File, offset int64) (int64, error) {
	f, err := u.fsys.Open(file.GetPath())
	if err != nil {
		return offset, err
	}
	defer f.Close()
	if err := skip(f, offset); err != nil {
		return offset, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := u.store.UploadFile(ctx)
	if err != nil {
		return offset, err
	}
	message := &modelstorev1.UploadFileRequest{UploadId: u.id, Sha256: file.GetSha256(), Offset: offset}
	for offset < file.GetSize() {
		message.Chunk = make([]byte, min(chunkBytes, file.GetSize()-offset)) // gRPC may keep the last one
		if _, err := io.ReadFull(f, message.Chunk); err != nil {
			return offset, fmt.Errorf("client: the file changed while it was sent: %w", err)
		}
		if err := call.Send(message); err == io.EOF {
			break // the server ended the call; its answer says why
		} else if err != nil {
			return offset, err
		}
		offset += int64(len(message.Chunk))
		u.meter.add(file.GetPath(), int64(len(message.Chunk)))
		message = &modelstorev1.UploadFileRequest{}
	}
	answer, err := call.CloseAndRecv()
	if err != nil {
		return offset, err
	}
	if !answer.GetComplete() {
		return offset, errCutShort
	}
	return offset, nil
}

// errCutShort is resumable: the server took a part and ended the call.
var errCutShort = errors.New("client: the server ended the upload before the file's end")

// resumable tells errors that say nothing against the file: the connection was
// lost, another stream took the file over, or the offset was not the stored one.
func resumable(err error) bool {
	if errors.Is(err, errCutShort) || errors.Is(err, errEndedEarly) {
		return true
	}
	switch CodeOf(err) {
	case codes.Unavailable, codes.Aborted:
		return true
	}
	return ReasonOf(err) == "OFFSET_MISMATCH"
}

// skip moves a file to an offset.
func skip(f fs.File, offset int64) error {
	if offset == 0 {
		return nil
	}
	if s, ok := f.(io.Seeker); ok {
		_, err := s.Seek(offset, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, f, offset)
	return err
}
