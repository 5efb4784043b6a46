package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/proto/inference"
	"github.com/scry-ml/scry/serving"
	"github.com/scry-ml/scry/tensor"
)

// What Triton calls its ONNX Runtime backend: its clients look for it.
const (
	inferencePlatform = "onnxruntime_onnx"
	inferenceBackend  = "onnxruntime"
)

// inferenceExtensions are those that are offered.
var inferenceExtensions = []string{"model_configuration", "model_repository", "schedule_policy", "statistics"}

// ServerLive implements the RPC of that name.
func (s *inferenceService) ServerLive(context.Context, *inference.ServerLiveRequest) (*inference.ServerLiveResponse, error) {
	return &inference.ServerLiveResponse{Live: true}, nil
}

// ServerReady implements the RPC of that name.
func (s *inferenceService) ServerReady(context.Context, *inference.ServerReadyRequest) (*inference.ServerReadyResponse, error) {
	return &inference.ServerReadyResponse{Ready: s.server.Ready() == nil}, nil
}

// ModelReady implements the RPC of that name. A model is ready without naming
// one of its graphs.
func (s *inferenceService) ModelReady(ctx context.Context, req *inference.ModelReadyRequest) (*inference.ModelReadyResponse, error) {
	model, graph, _ := strings.Cut(req.GetName(), ".")
	if model == "" {
		return nil, failed(codes.InvalidArgument, "MODEL_REQUIRED", "name", "the call names no model")
	}
	v := s.server.cfg.Manager.Loaded(ctx, model, req.GetVersion())
	ready := v != nil
	if ready && graph != "" {
		_, err := v.Graph(graph)
		ready = err == nil
	}
	return &inference.ModelReadyResponse{Ready: ready}, nil
}

// ServerMetadata implements the RPC of that name.
func (s *inferenceService) ServerMetadata(context.Context, *inference.ServerMetadataRequest) (*inference.ServerMetadataResponse, error) {
	return &inference.ServerMetadataResponse{Name: "scry", Version: s.server.cfg.Info.Version, Extensions: inferenceExtensions}, nil
}

// ModelMetadata implements the RPC of that name.
func (s *inferenceService) ModelMetadata(ctx context.Context, req *inference.ModelMetadataRequest) (*inference.ModelMetadataResponse, error) {
	g, v, release, err := s.acquire(ctx, "name", req.GetName(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	defer release()
	resp := &inference.ModelMetadataResponse{Name: req.GetName(), Platform: inferencePlatform}
	for _, other := range s.server.cfg.Manager.Versions() {
		if other.Identity().Model == v.Identity().Model {
			resp.Versions = append(resp.Versions, strconv.FormatInt(other.Identity().Version, 10))
		}
	}
	describe := func(values []gpu.Value) []*inference.ModelMetadataResponse_TensorMetadata {
		return messages(values, func(v gpu.Value) *inference.ModelMetadataResponse_TensorMetadata {
			return &inference.ModelMetadataResponse_TensorMetadata{Name: v.Name, Datatype: datatypeNames[v.DType], Shape: declaredShape(v)}
		})
	}
	resp.Inputs, resp.Outputs = describe(g.Signature().Inputs), describe(g.Signature().Outputs)
	return resp, nil
}

// declaredShape is a value's shape, [-1] where the graph does not tell.
func declaredShape(v gpu.Value) tensor.Shape {
	if v.Shape == nil {
		return tensor.Shape{-1}
	}
	return v.Shape
}

// ModelConfig implements the RPC of that name.
func (s *inferenceService) ModelConfig(ctx context.Context, req *inference.ModelConfigRequest) (*inference.ModelConfigResponse, error) {
	g, _, release, err := s.acquire(ctx, "name", req.GetName(), req.GetVersion())
	if err != nil {
		return nil, err
	}
	defer release()
	rows := g.MaxRows()
	if slices.ContainsFunc(g.Signature().Inputs, func(v gpu.Value) bool { return len(v.Shape) < 2 }) {
		// Clients leave the batch axis of a batched model out, and perf_analyzer
		// cannot send a tensor that has no other. Its calls are joined all the same.
		rows = 0
	}
	dims := func(v gpu.Value) tensor.Shape {
		if rows > 0 && len(v.Shape) > 0 {
			return v.Shape[1:]
		}
		return declaredShape(v)
	}
	config := &inference.ModelConfig{
		Name: req.GetName(), Platform: inferencePlatform, Backend: inferenceBackend, MaxBatchSize: rowsAsInt32(rows),
		InstanceGroup: []*inference.ModelInstanceGroup{instanceGroup(g)},
		Input: messages(g.Signature().Inputs, func(v gpu.Value) *inference.ModelInput {
			return &inference.ModelInput{Name: v.Name, DataType: dataTypes[v.DType], Dims: dims(v)}
		}),
		Output: messages(g.Signature().Outputs, func(v gpu.Value) *inference.ModelOutput {
			return &inference.ModelOutput{Name: v.Name, DataType: dataTypes[v.DType], Dims: dims(v)}
		}),
	}
	if rows > 0 {
		config.SchedulingChoice = &inference.ModelConfig_DynamicBatching{DynamicBatching: &inference.ModelDynamicBatching{
			MaxQueueDelayMicroseconds: uint64(g.Window().Microseconds()),
			PriorityLevels:            priorityLevels, DefaultPriorityLevel: defaultPriority,
			DefaultQueuePolicy: &inference.ModelQueuePolicy{
				DefaultTimeoutMicroseconds: uint64(max(s.server.cfg.DefaultDeadline, 0).Microseconds()),
				AllowTimeoutOverride:       true, MaxQueueSize: uint32(g.MaxQueuedRows()),
			},
		}}
	}
	return &inference.ModelConfigResponse{Config: config}, nil
}

// instanceGroup tells where a graph runs.
func instanceGroup(g serving.Graph) *inference.ModelInstanceGroup {
	place := g.Placement()
	group := &inference.ModelInstanceGroup{Name: place.Device, Count: rowsAsInt32(g.Slots()), Kind: inference.ModelInstanceGroup_KIND_CPU}
	if place.Provider == gpu.CUDA {
		group.Kind = inference.ModelInstanceGroup_KIND_GPU
		_, number, _ := strings.Cut(place.Device, ":")
		if n, err := strconv.ParseInt(number, 10, 32); err == nil {
			group.Gpus = []int32{int32(n)}
		}
	}
	return group
}

// ModelStatistics implements the RPC of that name.
func (s *inferenceService) ModelStatistics(ctx context.Context, req *inference.ModelStatisticsRequest) (*inference.ModelStatisticsResponse, error) {
	model, graph, _ := strings.Cut(req.GetName(), ".")
	var versions []*serving.Version
	switch {
	case req.GetName() == "":
		versions = s.server.cfg.Manager.Versions()
	case req.GetVersion() == "":
		for _, v := range s.server.cfg.Manager.Versions() {
			if v.Identity().Model == model {
				versions = append(versions, v)
			}
		}
	}
	if len(versions) == 0 && req.GetName() != "" {
		// It loads what is not loaded, as any call that names a model does,
		// and knows why that is not possible.
		v, release, err := s.server.cfg.Manager.Acquire(ctx, model, req.GetVersion())
		if err != nil {
			return nil, err
		}
		defer release()
		versions = []*serving.Version{v}
	}
	resp := &inference.ModelStatisticsResponse{}
	for _, v := range versions {
		graphs := v.TensorGraphs()
		if graph != "" {
			g, err := v.Graph(graph)
			if err != nil {
				return nil, err
			}
			graphs = []serving.Graph{g}
		}
		for _, g := range graphs {
			name := v.Identity().Model
			if graph != "" || len(graphs) > 1 {
				name += "." + g.Name()
			}
			resp.ModelStats = append(resp.ModelStats, statistics(name, v.Identity().Version, g.Tally()))
		}
	}
	return resp, nil
}

// statistics puts a tally into the protocol's words. All counts of parts are
// those of success: every request that succeeded went through every part.
func statistics(name string, version int64, t serving.Tally) *inference.ModelStatistics {
	total := func(count int64, took interface{ Nanoseconds() int64 }) *inference.StatisticDuration {
		return &inference.StatisticDuration{Count: uint64(count), Ns: uint64(took.Nanoseconds())}
	}
	out := &inference.ModelStatistics{
		Name: name, Version: strconv.FormatInt(version, 10), InferenceCount: uint64(t.Rows),
		InferenceStats: &inference.InferStatistics{
			Success: total(t.Succeeded, t.Success), Fail: total(t.Failed, t.Failure), Queue: total(t.Succeeded, t.Queue),
			ComputeInput: total(t.Succeeded, t.Times.Input), ComputeInfer: total(t.Succeeded, t.Times.Infer),
			ComputeOutput: total(t.Succeeded, t.Times.Output),
			CacheHit:      &inference.StatisticDuration{Count: uint64(t.Hits)}, CacheMiss: &inference.StatisticDuration{},
		},
	}
	if !t.Last.IsZero() {
		out.LastInference = uint64(t.Last.UnixMilli())
	}
	for _, rows := range t.Sizes() {
		r := t.Runs[rows]
		out.ExecutionCount += uint64(r.Runs)
		out.BatchStats = append(out.BatchStats, &inference.InferBatchStatistics{
			BatchSize: uint64(rows), ComputeInput: total(r.Runs, r.Times.Input),
			ComputeInfer: total(r.Runs, r.Times.Infer), ComputeOutput: total(r.Runs, r.Times.Output),
		})
	}
	return out
}

// RepositoryIndex implements the RPC of that name.
func (s *inferenceService) RepositoryIndex(ctx context.Context, req *inference.RepositoryIndexRequest) (*inference.RepositoryIndexResponse, error) {
	if err := onlyRepository(req.GetRepositoryName()); err != nil {
		return nil, err
	}
	resp := &inference.RepositoryIndexResponse{}
	known := map[string]*inference.RepositoryIndexResponse_ModelIndex{}
	for _, st := range s.server.cfg.Manager.Statuses() {
		entry := &inference.RepositoryIndexResponse_ModelIndex{
			Name: st.Identity.Model, Version: strconv.FormatInt(st.Identity.Version, 10), State: "LOADING",
		}
		switch st.Progress.Stage {
		case serving.Ready:
			entry.State = "READY"
		case serving.Failed, serving.Unloaded:
			entry.State = "UNAVAILABLE"
			if st.Error != nil {
				entry.Reason = toStatus(st.Error, "").Message()
			}
		}
		known[entry.Name+"."+entry.Version] = entry
		if req.GetReady() && entry.State == "READY" {
			resp.Models = append(resp.Models, entry) // statuses are in order
		}
	}
	if req.GetReady() {
		return resp, nil
	}
	models, err := all(func(p modelstore.Page) ([]modelstore.Model, string, error) {
		return s.server.cfg.Store.ListModels(ctx, p)
	})
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		versions, err := all(func(p modelstore.Page) ([]modelstore.Version, string, error) {
			return s.server.cfg.Store.ListVersions(ctx, m.Name, p)
		})
		if errors.Is(err, modelstore.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		slices.SortFunc(versions, func(a, b modelstore.Version) int { return cmp.Compare(a.Number, b.Number) })
		for _, v := range versions {
			number := strconv.FormatInt(v.Number, 10)
			entry := known[m.Name+"."+number]
			if entry == nil {
				entry = &inference.RepositoryIndexResponse_ModelIndex{Name: m.Name, Version: number, State: "UNAVAILABLE", Reason: "not loaded"}
			}
			resp.Models = append(resp.Models, entry)
		}
		if len(versions) == 0 {
			resp.Models = append(resp.Models, &inference.RepositoryIndexResponse_ModelIndex{Name: m.Name, State: "UNAVAILABLE", Reason: "no version"})
		}
	}
	return resp, nil
}

// all reads a list page by page.
func all[T any](list func(modelstore.Page) ([]T, string, error)) ([]T, error) {
	page := modelstore.Page{Size: modelstore.MaxPageSize}
	var out []T
	for {
		entries, next, err := list(page)
		if err != nil {
			return nil, err
		}
		out = append(out, entries...)
		if next == "" {
			return out, nil
		}
		page.Token = next
	}
}

// RepositoryModelLoad implements the RPC of that name.
func (s *inferenceService) RepositoryModelLoad(ctx context.Context, req *inference.RepositoryModelLoadRequest) (*inference.RepositoryModelLoadResponse, error) {
	number, _, err := s.repositoryVersion(ctx, req.GetRepositoryName(), req.GetModelName(), req.GetParameters())
	if err != nil {
		return nil, err
	}
	if err := s.server.cfg.Manager.Warm(ctx, req.GetModelName(), number); err != nil {
		return nil, err
	}
	return &inference.RepositoryModelLoadResponse{}, nil
}

// RepositoryModelUnload implements the RPC of that name.
func (s *inferenceService) RepositoryModelUnload(ctx context.Context, req *inference.RepositoryModelUnloadRequest) (*inference.RepositoryModelUnloadResponse, error) {
	number, named, err := s.repositoryVersion(ctx, req.GetRepositoryName(), req.GetModelName(), req.GetParameters())
	if err != nil {
		return nil, err
	}
	if !named {
		number = 0 // all of the model's
	}
	if err := s.server.cfg.Manager.Unload(req.GetModelName(), number); err != nil {
		return nil, err
	}
	return &inference.RepositoryModelUnloadResponse{}, nil
}

// repositoryVersion finds the version that a load or unload is about: the one
// that the "version" parameter names, else the routed or the latest one.
func (s *inferenceService) repositoryVersion(ctx context.Context, repository, model string, params map[string]*inference.ModelRepositoryParameter) (number int64, named bool, err error) {
	if err := onlyRepository(repository); err != nil {
		return 0, false, err
	}
	if model == "" {
		return 0, false, failed(codes.InvalidArgument, "MODEL_REQUIRED", "model_name", "the call names no model")
	}
	version := ""
	for name, p := range params {
		field := "parameters[" + strconv.Quote(name) + "]"
		switch name {
		case "version":
			version = p.GetStringParam()
			if n := p.GetInt64Param(); n > 0 {
				version = strconv.FormatInt(n, 10)
			}
			if version == "" {
				return 0, false, failed(codes.InvalidArgument, "PARAMETER_INVALID", field, "names no version")
			}
		case "unload_dependents": // a version has none
		default:
			return 0, false, failed(codes.InvalidArgument, "PARAMETER_INVALID", field, "models come from the model store as they were pushed, without a configuration or files of the call")
		}
	}
	store := s.server.cfg.Store
	number, err = store.Resolve(ctx, model, version)
	if errors.Is(err, modelstore.ErrNoRoute) && version == "" {
		number, err = store.Resolve(ctx, model, modelstore.Latest)
	}
	return number, version != "", err
}

func onlyRepository(name string) error {
	if name != "" {
		return failed(codes.InvalidArgument, "REPOSITORY_UNKNOWN", "repository_name", "must be empty: there is one model store")
	}
	return nil
}
