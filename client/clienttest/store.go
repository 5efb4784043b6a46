package clienttest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing/fstest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// store keeps models in memory.
type store struct {
	modelstorev1.UnimplementedModelStoreServiceServer
	server *Server

	mu       sync.Mutex        // guards the rest
	blobs    map[string][]byte // by sha256
	parts    map[string][]byte // what is not complete, by upload and sha256
	uploads  map[string]*modelstorev1.Upload
	models   map[string]*model
	received int64
	drop     int64 // connections are dropped when received passes it; 0 = never
}

type model struct {
	about    *modelstorev1.Model
	versions []*modelstorev1.Version
	aliases  map[string]*modelstorev1.Alias
	routes   []*modelstorev1.Route // oldest first
}

func newStore(server *Server) *store {
	return &store{
		server: server, blobs: make(map[string][]byte), parts: make(map[string][]byte),
		uploads: make(map[string]*modelstorev1.Upload), models: make(map[string]*model),
	}
}

func (s *store) dropAfter(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop = s.received + bytes
}

func (s *store) CreateUpload(_ context.Context, r *modelstorev1.CreateUploadRequest) (*modelstorev1.CreateUploadResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &modelstorev1.Upload{UploadId: fmt.Sprintf("upload-%d", len(s.uploads)+1), Model: r.GetModel()}
	for _, f := range r.GetFiles() {
		u.Files = append(u.Files, &modelstorev1.FileProgress{File: f})
	}
	s.uploads[u.UploadId] = u
	s.refresh(u)
	return &modelstorev1.CreateUploadResponse{Upload: proto.CloneOf(u)}, nil
}

// refresh sets what is stored of an upload's files.
func (s *store) refresh(u *modelstorev1.Upload) {
	for _, p := range u.Files {
		if _, complete := s.blobs[p.GetFile().GetSha256()]; complete || p.GetFile().GetSize() == 0 {
			p.Offset = p.GetFile().GetSize()
		} else {
			p.Offset = int64(len(s.parts[partKey(u.GetUploadId(), p.GetFile().GetSha256())]))
		}
	}
}

func partKey(upload, digest string) string { return upload + "/" + digest }

func (s *store) UploadFile(call grpc.ClientStreamingServer[modelstorev1.UploadFileRequest, modelstorev1.UploadFileResponse]) error {
	first, err := call.Recv()
	if err != nil {
		return err
	}
	digest, key := first.GetSha256(), partKey(first.GetUploadId(), first.GetSha256())
	size, err := s.begin(first)
	if err != nil {
		return err
	}
	bytes := 0
	for m := first; ; {
		stored := s.write(key, m.GetChunk())
		bytes += len(m.GetChunk())
		if stored > size {
			return status.Error(codes.InvalidArgument, "more bytes than announced")
		}
		if m, err = call.Recv(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	s.server.count("UploadFile", bytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	content := s.parts[key]
	complete := int64(len(content)) == size
	if complete {
		delete(s.parts, key)
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest {
			return Error(codes.InvalidArgument, "DIGEST_MISMATCH", "sha256 does not match")
		}
		s.blobs[digest] = content
	}
	return call.SendAndClose(&modelstorev1.UploadFileResponse{Offset: int64(len(content)), Complete: complete})
}

// begin finds the file's size and checks the offset.
func (s *store) begin(first *modelstorev1.UploadFileRequest) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.uploads[first.GetUploadId()]
	if !ok {
		return 0, notFound("no upload %q", first.GetUploadId())
	}
	for _, p := range u.GetFiles() {
		if p.GetFile().GetSha256() == first.GetSha256() {
			if stored := int64(len(s.parts[partKey(u.GetUploadId(), first.GetSha256())])); stored != first.GetOffset() {
				return 0, Error(codes.FailedPrecondition, "OFFSET_MISMATCH", fmt.Sprintf("%d bytes are stored", stored))
			}
			return p.GetFile().GetSize(), nil
		}
	}
	return 0, notFound("no such file in the upload")
}

func (s *store) write(key string, chunk []byte) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[key] = append(s.parts[key], chunk...)
	s.received += int64(len(chunk))
	if s.drop > 0 && s.received >= s.drop {
		s.drop = 0
		s.server.DropConnections()
	}
	return int64(len(s.parts[key]))
}

func (s *store) GetUpload(_ context.Context, r *modelstorev1.GetUploadRequest) (*modelstorev1.GetUploadResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.uploads[r.GetUploadId()]
	if !ok {
		return nil, notFound("no upload %q", r.GetUploadId())
	}
	s.refresh(u)
	return &modelstorev1.GetUploadResponse{Upload: proto.CloneOf(u)}, nil
}

func (s *store) CommitUpload(_ context.Context, r *modelstorev1.CommitUploadRequest) (*modelstorev1.CommitUploadResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.uploads[r.GetUploadId()]
	if !ok {
		return nil, notFound("no upload %q", r.GetUploadId())
	}
	s.refresh(u)
	v := &modelstorev1.Version{Model: u.GetModel(), CreateTime: timestamppb.New(Epoch)}
	sum := sha256.New()
	files := u.GetFiles()
	slices.SortFunc(files, func(a, b *modelstorev1.FileProgress) int {
		return cmp.Compare(a.GetFile().GetPath(), b.GetFile().GetPath())
	})
	for _, p := range files {
		if p.GetOffset() != p.GetFile().GetSize() {
			return nil, Error(codes.FailedPrecondition, "UPLOAD_INCOMPLETE", "upload is incomplete: "+p.GetFile().GetPath())
		}
		v.Files = append(v.Files, p.GetFile())
	}
	if err := s.prepare(v, r.GetHints()); err != nil {
		return nil, err
	}
	for _, f := range v.GetFiles() {
		v.SizeBytes += f.GetSize()
		fmt.Fprintln(sum, f.GetPath(), f.GetSha256(), f.GetSize())
	}
	v.Digest = hex.EncodeToString(sum.Sum(nil))
	m := s.models[u.GetModel()]
	if m == nil {
		m = &model{about: &modelstorev1.Model{Name: u.GetModel(), CreateTime: timestamppb.New(Epoch)}, aliases: make(map[string]*modelstorev1.Alias)}
	}
	for _, known := range m.versions {
		if known.GetDigest() == v.GetDigest() {
			u.Version = known.GetVersion()
			return &modelstorev1.CommitUploadResponse{Version: proto.CloneOf(known)}, nil
		}
	}
	if err := s.check(v); err != nil {
		return nil, err
	}
	v.Version = m.about.GetLatestVersion() + 1
	m.about.LatestVersion = v.Version
	m.about.Description = v.GetManifest().GetDescription()
	m.versions = append(m.versions, v)
	s.models[u.GetModel()] = m
	u.Version = v.Version
	return &modelstorev1.CommitUploadResponse{Version: proto.CloneOf(v), Created: true}, nil
}

// prepare adds the files that a server makes of a graph; what is no bundle at all
// is kept as it is.
func (s *store) prepare(v *modelstorev1.Version, hints *bundlev1.Hints) error {
	dir := fstest.MapFS{}
	for _, f := range v.GetFiles() {
		dir[f.GetPath()] = &fstest.MapFile{Data: s.blobs[f.GetSha256()], Mode: 0o444}
	}
	p, err := bundle.Prepare(dir, hints)
	if err != nil {
		return nil
	}
	for _, name := range p.Changed {
		content, err := fs.ReadFile(p.FS, name)
		if err != nil {
			return err
		}
		digest := sha256.Sum256(content)
		f := &modelstorev1.File{Path: name, Size: int64(len(content)), Sha256: hex.EncodeToString(digest[:])}
		s.blobs[f.GetSha256()] = content
		v.Files = append(slices.DeleteFunc(v.GetFiles(), func(old *modelstorev1.File) bool { return old.GetPath() == name }), f)
	}
	slices.SortFunc(v.GetFiles(), func(a, b *modelstorev1.File) int { return cmp.Compare(a.GetPath(), b.GetPath()) })
	return nil
}

// check reads the manifest and holds GoldenDifference against its tolerance.
func (s *store) check(v *modelstorev1.Version) error {
	v.Manifest = &bundlev1.Manifest{}
	content := make(map[string][]byte)
	for _, f := range v.GetFiles() {
		content[f.GetPath()] = s.blobs[f.GetSha256()]
	}
	if text, ok := content[bundle.ManifestFile]; ok {
		m, err := bundle.ParseManifest(text)
		if err != nil {
			return Error(codes.InvalidArgument, "BUNDLE_INVALID", err.Error())
		}
		v.Manifest = m
	}
	v.Verification = &modelstorev1.Verification{Precision: "fp32"}
	goldens := v.GetManifest().GetGoldens()
	if goldens == nil {
		return nil
	}
	for _, b := range content[goldens.GetFile()] {
		if b == '\n' {
			v.Verification.Samples++
		}
	}
	v.Verification.MaxDifference = s.server.goldenDifference()
	v.Verification.Output = "model.probability"
	if tolerance := goldens.GetTolerances()[0]; v.Verification.MaxDifference > tolerance.GetAbsolute() {
		return Error(codes.FailedPrecondition, "GOLDEN_MISMATCH", fmt.Sprintf(
			"golden sample 0, %s: differs by %g, admitted are %g", v.Verification.Output, v.Verification.MaxDifference, tolerance.GetAbsolute()))
	}
	return nil
}

func (s *store) CancelUpload(_ context.Context, r *modelstorev1.CancelUploadRequest) (*modelstorev1.CancelUploadResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, r.GetUploadId())
	return &modelstorev1.CancelUploadResponse{}, nil
}

func (s *store) model(name string) (*model, error) {
	m, ok := s.models[name]
	if !ok {
		return nil, Error(codes.NotFound, "NOT_FOUND", fmt.Sprintf("no model %q", name))
	}
	return m, nil
}

func (m *model) route() *modelstorev1.Route {
	if len(m.routes) == 0 {
		return nil
	}
	return m.routes[len(m.routes)-1]
}

func (m *model) describe() *modelstorev1.Model {
	about := proto.CloneOf(m.about)
	about.Route = m.route()
	return about
}

func (m *model) describeVersion(v *modelstorev1.Version) *modelstorev1.Version {
	v = proto.CloneOf(v)
	for _, name := range slices.Sorted(maps.Keys(m.aliases)) {
		if m.aliases[name].GetVersion() == v.GetVersion() {
			v.Aliases = append(v.Aliases, name)
		}
	}
	v.Routed = m.route().GetEntries() != nil && m.route().GetEntries()[0].GetVersion() == v.GetVersion()
	return v
}

// find resolves a number, an alias, "latest", or empty for the routed version.
func (s *store) find(name, version string) (*model, *modelstorev1.Version, error) {
	m, err := s.model(name)
	if err != nil {
		return nil, nil, err
	}
	var number int64
	switch {
	case version == "" && m.route() == nil:
		return nil, nil, Error(codes.FailedPrecondition, "NO_ACTIVE_VERSION", fmt.Sprintf("model %q has no route, so a call must name a version", name))
	case version == "":
		number = m.route().GetEntries()[0].GetVersion()
	case version == "latest":
		number = m.about.GetLatestVersion()
	case m.aliases[version] != nil:
		number = m.aliases[version].GetVersion()
	default:
		number, _ = strconv.ParseInt(version, 10, 64)
	}
	for _, v := range m.versions {
		if v.GetVersion() == number {
			return m, v, nil
		}
	}
	return nil, nil, Error(codes.NotFound, "NOT_FOUND", fmt.Sprintf("model %q has no version %q", name, version))
}

func (s *store) GetModel(_ context.Context, r *modelstorev1.GetModelRequest) (*modelstorev1.GetModelResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.model(r.GetModel())
	if err != nil {
		return nil, err
	}
	return &modelstorev1.GetModelResponse{Model: m.describe()}, nil
}

// page cuts one page out of n rows.
func page(n int, size int32, token string) (from, to int, next string) {
	from, _ = strconv.Atoi(token)
	to = n
	if size > 0 {
		to = min(n, from+int(size))
	}
	if to < n {
		next = strconv.Itoa(to)
	}
	return from, to, next
}

func (s *store) ListModels(_ context.Context, r *modelstorev1.ListModelsRequest) (*modelstorev1.ListModelsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Sorted(maps.Keys(s.models))
	from, to, next := page(len(names), r.GetPageSize(), r.GetPageToken())
	resp := &modelstorev1.ListModelsResponse{NextPageToken: next}
	for _, name := range names[from:to] {
		resp.Models = append(resp.Models, s.models[name].describe())
	}
	return resp, nil
}

func (s *store) DeleteModel(_ context.Context, r *modelstorev1.DeleteModelRequest) (*modelstorev1.DeleteModelResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.model(r.GetModel())
	if err != nil {
		return nil, err
	}
	if m.route() != nil && !r.GetForce() {
		return nil, Error(codes.FailedPrecondition, "VERSION_ROUTED", "in use: routed")
	}
	delete(s.models, r.GetModel())
	return &modelstorev1.DeleteModelResponse{}, nil
}

func (s *store) GetVersion(_ context.Context, r *modelstorev1.GetVersionRequest) (*modelstorev1.GetVersionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, v, err := s.find(r.GetModel(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	return &modelstorev1.GetVersionResponse{Version: m.describeVersion(v)}, nil
}

func (s *store) ListVersions(_ context.Context, r *modelstorev1.ListVersionsRequest) (*modelstorev1.ListVersionsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.model(r.GetModel())
	if err != nil {
		return nil, err
	}
	from, to, next := page(len(m.versions), r.GetPageSize(), r.GetPageToken())
	resp := &modelstorev1.ListVersionsResponse{NextPageToken: next}
	for i := from; i < to; i++ {
		v := m.describeVersion(m.versions[len(m.versions)-1-i])
		v.Manifest = nil
		resp.Versions = append(resp.Versions, v)
	}
	return resp, nil
}

func (s *store) WatchVersion(r *modelstorev1.WatchVersionRequest, call grpc.ServerStreamingServer[modelstorev1.WatchVersionResponse]) error {
	s.mu.Lock()
	_, v, err := s.find(r.GetModel(), r.GetVersion())
	s.mu.Unlock()
	if err != nil {
		return err
	}
	for _, step := range []*modelstorev1.WatchVersionResponse{
		{State: modelstorev1.LoadState_LOAD_STATE_LOADING, Message: "loading on cpu", Progress: 0.5},
		{State: modelstorev1.LoadState_LOAD_STATE_READY, Progress: 1},
	} {
		step.Version = v.GetVersion()
		if err := call.Send(step); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) DeleteVersion(_ context.Context, r *modelstorev1.DeleteVersionRequest) (*modelstorev1.DeleteVersionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, v, err := s.find(r.GetModel(), fmt.Sprint(r.GetVersion()))
	if err != nil {
		return nil, err
	}
	if d := m.describeVersion(v); d.GetRouted() || len(d.GetAliases()) > 0 {
		return nil, Error(codes.FailedPrecondition, "VERSION_ROUTED", fmt.Sprintf("version %d is routed or aliased", v.GetVersion()))
	}
	m.versions = slices.DeleteFunc(m.versions, func(o *modelstorev1.Version) bool { return o == v })
	return &modelstorev1.DeleteVersionResponse{}, nil
}

func (s *store) DownloadFile(r *modelstorev1.DownloadFileRequest, call grpc.ServerStreamingServer[modelstorev1.DownloadFileResponse]) error {
	s.mu.Lock()
	_, v, err := s.find(r.GetModel(), r.GetVersion())
	var content []byte
	var file *modelstorev1.File
	if err == nil {
		for _, f := range v.GetFiles() {
			if f.GetPath() == r.GetPath() {
				file, content = f, s.blobs[f.GetSha256()]
			}
		}
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if file == nil {
		return notFound("version %d has no file %q", v.GetVersion(), r.GetPath())
	}
	s.server.count("DownloadFile", len(content)-int(r.GetOffset()))
	message := &modelstorev1.DownloadFileResponse{File: file}
	for chunk := range slices.Chunk(content[r.GetOffset():], 64<<10) {
		message.Chunk = chunk
		if err := call.Send(message); err != nil {
			return err
		}
		message = &modelstorev1.DownloadFileResponse{}
	}
	return nil
}

func (s *store) SetAlias(_ context.Context, r *modelstorev1.SetAliasRequest) (*modelstorev1.SetAliasResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, v, err := s.find(r.GetModel(), fmt.Sprint(r.GetVersion()))
	if err != nil {
		return nil, err
	}
	a := &modelstorev1.Alias{Model: r.GetModel(), Alias: r.GetAlias(), Version: v.GetVersion(), UpdateTime: timestamppb.New(Epoch), Etag: "a1"}
	m.aliases[r.GetAlias()] = a
	return &modelstorev1.SetAliasResponse{Alias: a}, nil
}

func (s *store) ListAliases(_ context.Context, r *modelstorev1.ListAliasesRequest) (*modelstorev1.ListAliasesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.model(r.GetModel())
	if err != nil {
		return nil, err
	}
	resp := &modelstorev1.ListAliasesResponse{}
	for _, name := range slices.Sorted(maps.Keys(m.aliases)) {
		resp.Aliases = append(resp.Aliases, m.aliases[name])
	}
	return resp, nil
}

func (s *store) DeleteAlias(_ context.Context, r *modelstorev1.DeleteAliasRequest) (*modelstorev1.DeleteAliasResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.model(r.GetModel())
	if err != nil {
		return nil, err
	}
	if m.aliases[r.GetAlias()] == nil {
		return nil, Error(codes.NotFound, "NOT_FOUND", fmt.Sprintf("no alias %q", r.GetAlias()))
	}
	delete(m.aliases, r.GetAlias())
	return &modelstorev1.DeleteAliasResponse{}, nil
}

func (m *model) setRoute(version, back int64) *modelstorev1.Route {
	r := &modelstorev1.Route{
		Model: m.about.GetName(), Revision: int64(len(m.routes) + 1), CreateTime: timestamppb.New(Epoch),
		Entries: []*modelstorev1.RouteEntry{{Version: version, Weight: 100}}, RolledBackTo: back,
	}
	r.Etag = fmt.Sprintf("r%d", r.Revision)
	m.routes = append(m.routes, r)
	return r
}

func (s *store) ActivateVersion(_ context.Context, r *modelstorev1.ActivateVersionRequest) (*modelstorev1.ActivateVersionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, v, err := s.find(r.GetModel(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	if r.GetEtag() != "" && r.GetEtag() != m.route().GetEtag() {
		return nil, Error(codes.Aborted, "ETAG_MISMATCH", "etag does not match")
	}
	return &modelstorev1.ActivateVersionResponse{Route: m.setRoute(v.GetVersion(), 0)}, nil
}

func (s *store) Rollback(_ context.Context, r *modelstorev1.RollbackRequest) (*modelstorev1.RollbackResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.model(r.GetModel())
	if err != nil {
		return nil, err
	}
	if len(m.routes) < 2 {
		return nil, Error(codes.FailedPrecondition, "NO_EARLIER_ROUTE", "no earlier route to roll back to")
	}
	before := m.routes[len(m.routes)-2]
	return &modelstorev1.RollbackResponse{Route: m.setRoute(before.GetEntries()[0].GetVersion(), before.GetRevision())}, nil
}

func (s *store) ListRoutes(_ context.Context, r *modelstorev1.ListRoutesRequest) (*modelstorev1.ListRoutesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.model(r.GetModel())
	if err != nil {
		return nil, err
	}
	routes := slices.Clone(m.routes)
	slices.Reverse(routes)
	from, to, next := page(len(routes), r.GetPageSize(), r.GetPageToken())
	return &modelstorev1.ListRoutesResponse{Routes: routes[from:to], NextPageToken: next}, nil
}

// loaded lists the routed versions.
func (s *store) loaded() []*serverv1.LoadedVersion {
	s.mu.Lock()
	defer s.mu.Unlock()
	var versions []*serverv1.LoadedVersion
	for _, name := range slices.Sorted(maps.Keys(s.models)) {
		m := s.models[name]
		if m.route() == nil {
			continue
		}
		_, v, err := s.find(name, "")
		if err != nil {
			continue
		}
		versions = append(versions, &serverv1.LoadedVersion{
			Model: name, Version: v.GetVersion(), State: modelstorev1.LoadState_LOAD_STATE_READY, Routed: true,
			LoadTime: timestamppb.New(Epoch), Verification: v.GetVerification(),
			Graphs: []*serverv1.LoadedGraph{{
				Name: "model", Device: "cpu", Provider: "CPUExecutionProvider", Precision: "fp32",
				FallbackReason: "no NVIDIA driver", ComputedRows: 120, Runs: 15, Plan: plan(),
				Batching: "items are joined", MaxRows: 1024,
				Inputs: []*serverv1.LoadedInput{{Name: "tenure", Datatype: "FP32", Shape: []int64{-1, 1}}},
			}},
		})
	}
	return versions
}

// plan is one of a small graph on a machine of two processors.
func plan() *serverv1.Plan {
	us := func(n int32) *durationpb.Duration { return &durationpb.Duration{Nanos: int32(n) * 1000} }
	return &serverv1.Plan{
		Source: "measured", Device: "cpu", Precision: "fp32", Threads: 1, ParallelRuns: 2, MaxRows: 1024,
		NotPadded: "an answer depends on its padding", ItemsPerSecond: 41230, SmallestDeadline: us(221),
		TypicalItems: "single rows, 64 callers", Costs: []*serverv1.RunCost{{Rows: 1, Time: us(6)}, {Rows: 8, Time: us(9)}},
		Candidates: []*serverv1.PlanCandidate{
			{Device: "cpu", Precision: "fp32", Threads: 1, ParallelRuns: 2, ItemsPerSecond: 41230, SmallestDeadline: us(221)},
			{Device: "cpu", Precision: "fp32", Threads: 2, ParallelRuns: 1, ItemsPerSecond: 23000, SmallestDeadline: us(400)},
			{Device: "cuda:0", Rejected: "no NVIDIA driver"},
		},
		MeasureTime: timestamppb.New(Epoch), MeasureDuration: us(41000),
	}
}

// route resolves the model of a call and says who served it.
func (s *store) route(feature, name, version string) (*modelstorev1.Version, *servingv1.ServedBy, error) {
	if name == "" {
		name = s.server.Info.GetDefaultModels()[feature]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, v, err := s.find(name, version)
	if err != nil {
		return nil, nil, err
	}
	return v, &servingv1.ServedBy{
		Model: name, Version: v.GetVersion(), Device: "cpu", Provider: "CPUExecutionProvider", Precision: "fp32",
		QueueTime: durationpb.New(120_000), ComputeTime: durationpb.New(1_500_000), BatchSize: 1,
	}, nil
}
