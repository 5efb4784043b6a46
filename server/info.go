package server

import (
	"context"
	"runtime"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
	"github.com/scry-ml/scry/serving"
)

// What ONNX Runtime 1.31 reads; the daemon refuses to start with another
// release, so these are constants.
const (
	maxOpset     = 26
	maxIRVersion = 13
)

// operatorDomains are those that the ONNX Runtime build implements.
var operatorDomains = []string{"ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}

// serverService implements scry.server.v1.ServerService.
type serverService struct {
	serverv1.UnimplementedServerServiceServer
	server *Server
}

// GetServerInfo implements the RPC of that name.
func (s *serverService) GetServerInfo(context.Context, *serverv1.GetServerInfoRequest) (*serverv1.GetServerInfoResponse, error) {
	cfg := &s.server.cfg
	l := cfg.Limits
	resp := &serverv1.GetServerInfoResponse{
		Version: cfg.Info.Version, Commit: cfg.Info.Commit, GoVersion: runtime.Version(),
		OnnxruntimeVersion: cfg.Info.ONNXRuntime, MaxOpset: maxOpset, MaxIrVersion: maxIRVersion,
		OperatorDomains: operatorDomains, StartTime: timestamppb.New(s.server.started),
		Limits: &serverv1.Limits{
			MaxMessageBytes: int64(l.MessageBytes), MaxInstances: int32(l.Instances), MaxTableRows: l.TableRows,
			MaxTexts: int32(l.Texts), MaxTextBytes: int64(l.TextBytes), MaxImages: int32(l.Images),
			MaxImageBytes: int64(l.ImageBytes), MaxImagePixels: int64(l.ImagePixels),
			MaxUploadBytes: l.UploadBytes, MaxUploadFiles: int32(l.UploadFiles),
		},
		DefaultModels: map[string]string{},
	}
	for feature, model := range map[string]string{
		"scoring": cfg.Models.Scoring, "recommendation": cfg.Models.Recommendation, "sentiment": cfg.Models.Sentiment, "text_embedding": cfg.Models.TextEmbedding,
		"image_labels": cfg.Models.ImageLabels, "image_embedding": cfg.Models.ImageEmbedding,
		"safe_search": cfg.Models.SafeSearch, "faces": cfg.Models.Faces, "image_text": cfg.Models.ImageText,
	} {
		if model != "" {
			resp.DefaultModels[feature] = model
		}
	}
	return resp, nil
}

// ListDevices implements the RPC of that name.
func (s *serverService) ListDevices(context.Context, *serverv1.ListDevicesRequest) (*serverv1.ListDevicesResponse, error) {
	resp := &serverv1.ListDevicesResponse{}
	for _, d := range s.server.cfg.Devices.Devices() {
		resp.Devices = append(resp.Devices, &serverv1.Device{
			Id: d.ID, Provider: d.Provider, Name: d.Name, MemoryTotalBytes: d.MemoryTotal, MemoryFreeBytes: d.MemoryFree,
			Available: d.Available, Reason: d.Reason,
		})
	}
	return resp, nil
}

// ListLoadedVersions implements the RPC of that name.
func (s *serverService) ListLoadedVersions(context.Context, *serverv1.ListLoadedVersionsRequest) (*serverv1.ListLoadedVersionsResponse, error) {
	resp := &serverv1.ListLoadedVersionsResponse{}
	for _, v := range s.server.cfg.Manager.Statuses() {
		out := &serverv1.LoadedVersion{
			Model: v.Identity.Model, Version: v.Identity.Version, Routed: v.Routed, State: loadState(v.Progress.Stage),
			Verification: &modelstorev1.Verification{
				Samples: int32(v.Verification.Samples), MaxDifference: v.Verification.MaxDifference,
				Output: v.Verification.Output, Precision: v.Verification.Precision,
			},
		}
		if v.Error != nil {
			out.Error = toStatus(v.Error, "").Message()
		}
		if !v.Loaded.IsZero() {
			out.LoadTime = timestamppb.New(v.Loaded)
		}
		for _, g := range v.Graphs {
			batching := "items are joined"
			switch {
			case g.Apart != "":
				batching = "items run alone: " + g.Apart
			case g.Plan.Unpadded != "":
				batching = "items of equal length are joined: " + g.Plan.Unpadded
			}
			out.Graphs = append(out.Graphs, &serverv1.LoadedGraph{
				Name: g.Name, Device: g.Device, Provider: g.Provider, Precision: g.Precision, FallbackReason: g.Fallback,
				QueuedRows: g.QueuedRows, ComputedRows: g.ComputedRows, Runs: g.Runs, Batching: batching,
				MaxRows: rowsAsInt32(g.MaxRows), Inputs: messages(g.Inputs, loadedInput), Plan: planMessage(&g.Plan),
			})
		}
		resp.Versions = append(resp.Versions, out)
	}
	return resp, nil
}

func loadedInput(in serving.InputStatus) *serverv1.LoadedInput {
	out := &serverv1.LoadedInput{Name: in.Name, Datatype: datatypeNames[in.DType], Shape: declaredShape(in.Value), Limit: in.Limit}
	if in.Sequence >= 0 {
		axis := int32(in.Sequence)
		out.SequenceAxis = &axis
	}
	return out
}

// planMessage is a plan as the contract names it.
func planMessage(p *serving.Plan) *serverv1.Plan {
	out := &serverv1.Plan{
		Source: string(p.Source), Device: p.Device, Precision: serving.PrecisionName(p.Precision),
		Threads: int32(p.Threads), ParallelRuns: int32(p.Runs), MaxRows: int32(p.MaxRows), MaxCells: int32(p.MaxCells),
		RowSteps: int32s(p.RowSteps), LengthSteps: int32s(p.LengthSteps), MaxLength: int32(p.MaxLength),
		NotJoined: p.Apart, NotPadded: p.Unpadded, ItemsPerSecond: p.Rate, SmallestDeadline: durationpb.New(p.Deadline),
		TypicalItems: p.Typical, Note: p.Note,
	}
	for _, c := range p.Costs {
		out.Costs = append(out.Costs, &serverv1.RunCost{Rows: int32(c.Shape.Rows), Length: int32(c.Shape.Length), Time: durationpb.New(c.Time)})
	}
	for _, c := range p.Candidates {
		precision := ""
		if c.Precision != "" {
			precision = serving.PrecisionName(c.Precision)
		}
		out.Candidates = append(out.Candidates, &serverv1.PlanCandidate{
			Device: c.Device, Precision: precision, Threads: int32(c.Threads), ParallelRuns: int32(c.Runs),
			ItemsPerSecond: c.Rate, SmallestDeadline: durationpb.New(c.Deadline), Difference: c.Difference, Rejected: clean(c.Rejected),
		})
	}
	if !p.Measured.IsZero() {
		out.MeasureTime, out.MeasureDuration = timestamppb.New(p.Measured), durationpb.New(p.Took)
	}
	return out
}

func int32s(in []int) []int32 {
	out := make([]int32, len(in))
	for i, n := range in {
		out[i] = int32(n)
	}
	return out
}

// loadState is a stage as the contract names it.
func loadState(s serving.Stage) modelstorev1.LoadState {
	switch s {
	case serving.Preparing:
		return modelstorev1.LoadState_LOAD_STATE_PREPARING
	case serving.Loading:
		return modelstorev1.LoadState_LOAD_STATE_LOADING
	case serving.Checking:
		return modelstorev1.LoadState_LOAD_STATE_CHECKING
	case serving.Ready:
		return modelstorev1.LoadState_LOAD_STATE_READY
	case serving.Failed:
		return modelstorev1.LoadState_LOAD_STATE_FAILED
	}
	return modelstorev1.LoadState_LOAD_STATE_UNLOADED
}
