package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/modelstore"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	"github.com/scry-ml/scry/serving"
)

// downloadChunk is how much of a file one message of a download holds.
const downloadChunk = 1 << 20

// liveVersions is what the model store service asks of serving.
type liveVersions interface {
	// Warm loads a version and returns when it is ready to answer.
	Warm(ctx context.Context, model string, version int64) error
	// SetRoute sends a model's calls to a version from now on.
	SetRoute(serving.Route)
	// Forget unloads a deleted version, or all of a model's when version is 0.
	Forget(model string, version int64)
	// Watch tells a version's progress until it is ready or has failed.
	Watch(ctx context.Context, model string, version int64, each func(serving.Progress) error) error
}

// modelStoreService answers scry.modelstore.v1.
type modelStoreService struct {
	modelstorev1.UnimplementedModelStoreServiceServer
	store *modelstore.Store
	live  liveVersions

	// swap is held while the catalogue and this process change together, so
	// that serving sees routes and deletions in the catalogue's order.
	swap sync.Mutex
}

func newModelStoreService(s *Server) *modelStoreService {
	return &modelStoreService{store: s.cfg.Store, live: s.cfg.Manager}
}

// CreateUpload implements the RPC of that name.
func (s *modelStoreService) CreateUpload(ctx context.Context, req *modelstorev1.CreateUploadRequest) (*modelstorev1.CreateUploadResponse, error) {
	files := make([]modelstore.File, len(req.GetFiles()))
	for i, f := range req.GetFiles() {
		files[i] = modelstore.File{Path: f.GetPath(), SHA256: f.GetSha256(), Size: f.GetSize()}
	}
	u, err := s.store.CreateUpload(ctx, req.GetModel(), files, caller(ctx))
	if err != nil {
		return nil, err
	}
	return &modelstorev1.CreateUploadResponse{Upload: uploadMessage(u)}, nil
}

// UploadFile implements the RPC of that name. What arrived before a stream
// broke off stays stored.
func (s *modelStoreService) UploadFile(stream grpc.ClientStreamingServer[modelstorev1.UploadFileRequest, modelstorev1.UploadFileResponse]) error {
	req, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return failed(codes.InvalidArgument, "FIELD_INVALID", "upload_id", "the stream holds no message")
	}
	if err != nil {
		return err
	}
	switch {
	case req.GetUploadId() == "":
		return failed(codes.InvalidArgument, "FIELD_INVALID", "upload_id", "must be set in the first message")
	case req.GetSha256() == "":
		return failed(codes.InvalidArgument, "FIELD_INVALID", "sha256", "must be set in the first message")
	}
	w, err := s.store.OpenUploadFile(stream.Context(), req.GetUploadId(), req.GetSha256(), req.GetOffset())
	if err != nil {
		return err
	}
	for {
		_, err = w.Write(req.GetChunk())
		answered(stream.Context(), req)
		if err != nil {
			_ = w.Close() // what it could not keep is sent again
			return err
		}
		req, err = stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && (req.GetUploadId() != "" || req.GetSha256() != "") {
			err = failed(codes.InvalidArgument, "FIELD_INVALID", "upload_id", "must be set in the first message only: one stream sends one file")
		}
		if err != nil {
			_ = w.Close() // what it could not keep is sent again
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return stream.SendAndClose(&modelstorev1.UploadFileResponse{Offset: w.Offset(), Complete: w.Offset() == w.File.Size})
}

// GetUpload implements the RPC of that name.
func (s *modelStoreService) GetUpload(ctx context.Context, req *modelstorev1.GetUploadRequest) (*modelstorev1.GetUploadResponse, error) {
	u, err := s.store.GetUpload(ctx, req.GetUploadId())
	if err != nil {
		return nil, err
	}
	return &modelstorev1.GetUploadResponse{Upload: uploadMessage(u)}, nil
}

// CommitUpload implements the RPC of that name.
func (s *modelStoreService) CommitUpload(ctx context.Context, req *modelstorev1.CommitUploadRequest) (*modelstorev1.CommitUploadResponse, error) {
	hints, err := proto.Marshal(req.GetHints())
	if err != nil {
		return nil, err
	}
	v, created, err := s.store.CommitWithHints(ctx, req.GetUploadId(), hints)
	if err != nil {
		return nil, err
	}
	message, err := versionMessage(v)
	if err != nil {
		return nil, err
	}
	return &modelstorev1.CommitUploadResponse{Version: message, Created: created}, nil
}

// CancelUpload implements the RPC of that name.
func (s *modelStoreService) CancelUpload(ctx context.Context, req *modelstorev1.CancelUploadRequest) (*modelstorev1.CancelUploadResponse, error) {
	if err := s.store.CancelUpload(ctx, req.GetUploadId()); err != nil {
		return nil, err
	}
	return &modelstorev1.CancelUploadResponse{}, nil
}

// GetModel implements the RPC of that name.
func (s *modelStoreService) GetModel(ctx context.Context, req *modelstorev1.GetModelRequest) (*modelstorev1.GetModelResponse, error) {
	m, err := s.store.GetModel(ctx, req.GetModel())
	if err != nil {
		return nil, err
	}
	return &modelstorev1.GetModelResponse{Model: modelMessage(m)}, nil
}

// ListModels implements the RPC of that name.
func (s *modelStoreService) ListModels(ctx context.Context, req *modelstorev1.ListModelsRequest) (*modelstorev1.ListModelsResponse, error) {
	models, next, err := s.store.ListModels(ctx, page(req))
	if err != nil {
		return nil, err
	}
	return &modelstorev1.ListModelsResponse{Models: messages(models, modelMessage), NextPageToken: next}, nil
}

// UpdateModel implements the RPC of that name.
func (s *modelStoreService) UpdateModel(ctx context.Context, req *modelstorev1.UpdateModelRequest) (*modelstorev1.UpdateModelResponse, error) {
	change := modelstore.ModelUpdate{Etag: req.GetModel().GetEtag()}
	paths := req.GetUpdateMask().GetPaths()
	if len(paths) == 0 {
		paths = []string{"description", "labels"}
	}
	for i, path := range paths {
		switch path {
		case "description":
			description := req.GetModel().GetDescription()
			change.Description = &description
		case "labels":
			labels := req.GetModel().GetLabels()
			if labels == nil {
				labels = map[string]string{}
			}
			change.Labels = &labels
		default:
			return nil, failed(codes.InvalidArgument, "FIELD_INVALID", fmt.Sprintf("update_mask.paths[%d]", i), `only "description" and "labels" can be changed`)
		}
	}
	m, err := s.store.UpdateModel(ctx, req.GetModel().GetName(), change)
	if bad, ok := errors.AsType[*modelstore.InvalidError](err); ok {
		return nil, &modelstore.InvalidError{Field: "model." + bad.Field, Detail: bad.Detail}
	}
	if err != nil {
		return nil, err
	}
	return &modelstorev1.UpdateModelResponse{Model: modelMessage(m)}, nil
}

// DeleteModel implements the RPC of that name.
func (s *modelStoreService) DeleteModel(ctx context.Context, req *modelstorev1.DeleteModelRequest) (*modelstorev1.DeleteModelResponse, error) {
	s.swap.Lock()
	defer s.swap.Unlock()
	if err := s.store.DeleteModel(ctx, req.GetModel(), req.GetForce()); err != nil {
		return nil, err
	}
	s.live.Forget(req.GetModel(), 0)
	return &modelstorev1.DeleteModelResponse{}, nil
}

// GetVersion implements the RPC of that name.
func (s *modelStoreService) GetVersion(ctx context.Context, req *modelstorev1.GetVersionRequest) (*modelstorev1.GetVersionResponse, error) {
	number, err := s.store.Resolve(ctx, req.GetModel(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	v, err := s.store.GetVersion(ctx, req.GetModel(), number)
	if err != nil {
		return nil, err
	}
	message, err := versionMessage(v)
	if err != nil {
		return nil, err
	}
	return &modelstorev1.GetVersionResponse{Version: message}, nil
}

// ListVersions implements the RPC of that name.
func (s *modelStoreService) ListVersions(ctx context.Context, req *modelstorev1.ListVersionsRequest) (*modelstorev1.ListVersionsResponse, error) {
	versions, next, err := s.store.ListVersions(ctx, req.GetModel(), page(req))
	if err != nil {
		return nil, err
	}
	resp := &modelstorev1.ListVersionsResponse{NextPageToken: next}
	for _, v := range versions {
		message, err := versionMessage(v)
		if err != nil {
			return nil, err
		}
		resp.Versions = append(resp.Versions, message)
	}
	return resp, nil
}

// WatchVersion implements the RPC of that name.
func (s *modelStoreService) WatchVersion(req *modelstorev1.WatchVersionRequest, stream grpc.ServerStreamingServer[modelstorev1.WatchVersionResponse]) error {
	number, err := s.store.Resolve(stream.Context(), req.GetModel(), req.GetVersion())
	if err != nil {
		return err
	}
	return s.live.Watch(stream.Context(), req.GetModel(), number, func(p serving.Progress) error {
		return stream.Send(&modelstorev1.WatchVersionResponse{
			State: loadState(p.Stage), Message: clean(p.Message), Progress: p.Fraction, Version: number,
		})
	})
}

// DeleteVersion implements the RPC of that name.
func (s *modelStoreService) DeleteVersion(ctx context.Context, req *modelstorev1.DeleteVersionRequest) (*modelstorev1.DeleteVersionResponse, error) {
	s.swap.Lock()
	defer s.swap.Unlock()
	if err := s.store.DeleteVersion(ctx, req.GetModel(), req.GetVersion()); err != nil {
		return nil, err
	}
	s.live.Forget(req.GetModel(), req.GetVersion())
	return &modelstorev1.DeleteVersionResponse{}, nil
}

// DownloadFile implements the RPC of that name.
func (s *modelStoreService) DownloadFile(req *modelstorev1.DownloadFileRequest, stream grpc.ServerStreamingServer[modelstorev1.DownloadFileResponse]) error {
	ctx := stream.Context()
	number, err := s.store.Resolve(ctx, req.GetModel(), req.GetVersion())
	if err != nil {
		return err
	}
	f, r, err := s.store.OpenFile(ctx, req.GetModel(), number, req.GetPath(), req.GetOffset())
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	resp := &modelstorev1.DownloadFileResponse{File: fileMessage(f)}
	chunk := make([]byte, min(downloadChunk, f.Size-req.GetOffset()))
	for left := f.Size - req.GetOffset(); ; {
		n, err := io.ReadFull(r, chunk[:min(int64(len(chunk)), left)])
		if err != nil {
			// A blob that is shorter than the catalogue says.
			return fmt.Errorf("%s: %w: %w", f.Path, modelstore.ErrCorrupt, err)
		}
		resp.Chunk = chunk[:n]
		if err := stream.Send(resp); err != nil {
			return err
		}
		if left -= int64(n); left == 0 {
			return nil
		}
		resp = &modelstorev1.DownloadFileResponse{}
	}
}

// SetAlias implements the RPC of that name.
func (s *modelStoreService) SetAlias(ctx context.Context, req *modelstorev1.SetAliasRequest) (*modelstorev1.SetAliasResponse, error) {
	a, err := s.store.SetAlias(ctx, req.GetModel(), req.GetAlias(), req.GetVersion(), req.GetEtag())
	if err != nil {
		return nil, err
	}
	return &modelstorev1.SetAliasResponse{Alias: aliasMessage(a)}, nil
}

// ListAliases implements the RPC of that name.
func (s *modelStoreService) ListAliases(ctx context.Context, req *modelstorev1.ListAliasesRequest) (*modelstorev1.ListAliasesResponse, error) {
	aliases, next, err := s.store.ListAliases(ctx, req.GetModel(), page(req))
	if err != nil {
		return nil, err
	}
	return &modelstorev1.ListAliasesResponse{Aliases: messages(aliases, aliasMessage), NextPageToken: next}, nil
}

// DeleteAlias implements the RPC of that name.
func (s *modelStoreService) DeleteAlias(ctx context.Context, req *modelstorev1.DeleteAliasRequest) (*modelstorev1.DeleteAliasResponse, error) {
	if err := s.store.DeleteAlias(ctx, req.GetModel(), req.GetAlias(), req.GetEtag()); err != nil {
		return nil, err
	}
	return &modelstorev1.DeleteAliasResponse{}, nil
}

// ActivateVersion implements the RPC of that name: warm, then compare and swap
// in the catalogue, then swap in this process, then answer.
func (s *modelStoreService) ActivateVersion(ctx context.Context, req *modelstorev1.ActivateVersionRequest) (*modelstorev1.ActivateVersionResponse, error) {
	number, err := s.store.Resolve(ctx, req.GetModel(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	if err := s.live.Warm(ctx, req.GetModel(), number); err != nil {
		return nil, err
	}
	route, err := s.swapRoute(func() (modelstore.Route, error) {
		return s.store.Activate(ctx, req.GetModel(), number, req.GetEtag(), caller(ctx))
	})
	if err != nil {
		return nil, err
	}
	return &modelstorev1.ActivateVersionResponse{Route: routeMessage(route)}, nil
}

// rollbackTries bounds how often a rollback without an etag is tried against
// others who move the route meanwhile.
const rollbackTries = 5

// Rollback implements the RPC of that name, in the steps of ActivateVersion.
func (s *modelStoreService) Rollback(ctx context.Context, req *modelstorev1.RollbackRequest) (*modelstorev1.RollbackResponse, error) {
	for try := 1; ; try++ {
		present, target, err := s.store.RollbackTarget(ctx, req.GetModel())
		if err != nil {
			return nil, err
		}
		if err := s.live.Warm(ctx, req.GetModel(), target.Entries[0].Version); err != nil {
			return nil, err
		}
		etag := req.GetEtag()
		if etag == "" {
			etag = present.Etag // what was warmed is what is swapped in
		}
		route, err := s.swapRoute(func() (modelstore.Route, error) {
			return s.store.Rollback(ctx, req.GetModel(), etag, caller(ctx))
		})
		if errors.Is(err, modelstore.ErrConflict) && req.GetEtag() == "" && try < rollbackTries {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &modelstorev1.RollbackResponse{Route: routeMessage(route)}, nil
	}
}

// swapRoute moves a route in the catalogue and then in this process.
func (s *modelStoreService) swapRoute(move func() (modelstore.Route, error)) (modelstore.Route, error) {
	s.swap.Lock()
	defer s.swap.Unlock()
	route, err := move()
	if err == nil {
		s.live.SetRoute(serving.Route{Model: route.Model, Version: route.Entries[0].Version, Revision: route.Revision})
	}
	return route, err
}

// ListRoutes implements the RPC of that name.
func (s *modelStoreService) ListRoutes(ctx context.Context, req *modelstorev1.ListRoutesRequest) (*modelstorev1.ListRoutesResponse, error) {
	routes, next, err := s.store.ListRoutes(ctx, req.GetModel(), page(req))
	if err != nil {
		return nil, err
	}
	return &modelstorev1.ListRoutesResponse{Routes: messages(routes, routeMessage), NextPageToken: next}, nil
}
