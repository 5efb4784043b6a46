package server

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/proto/inference"
	"github.com/scry-ml/scry/tensor"
)

// metricsOf reads a registry: values by name and labels, and histograms.
func metricsOf(t *testing.T, reg *prometheus.Registry) map[string]*dto.Metric {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dto.Metric{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			out[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m
		}
	}
	return out
}

// TestMetricsOfAGraph calls a graph and reads what is told of it.
func TestMetricsOfAGraph(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newLiveServer(t, &gputest.Fake{}, Config{Registry: reg, Trusted: true})
	s.serve("matmul", "matmul")
	three := &inference.ModelInferRequest{
		ModelName: "matmul", RawInputContents: [][]byte{raw(make([]float32, 9)...)},
		Inputs: []*inference.ModelInferRequest_InferInputTensor{input("x", "FP32", 3, 3)},
	}
	for _, req := range []*inference.ModelInferRequest{row(1, 2, 3), row(3, 2, 1), three} {
		if _, err := s.ModelInfer(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	got := metricsOf(t, reg)
	const graph = "device=cpu,graph=model,model=matmul,precision=fp32,"
	for name, want := range map[string]float64{
		"scry_items_total{model=matmul,outcome=ok,version=1}":                          5,
		"scry_items_total{model=matmul,outcome=error,version=1}":                       0,
		"scry_cells_total{" + graph + "version=1}":                                     5,
		"scry_padded_cells_total{" + graph + "version=1}":                              5,
		"scry_refused_items_total{" + graph + "reason=QUEUE_FULL,version=1}":           0,
		"scry_refused_items_total{" + graph + "reason=DEADLINE_UNREACHABLE,version=1}": 0,
	} {
		if m := got[name]; m == nil || m.GetCounter().GetValue() != want {
			t.Errorf("%s is %v, want %v", name, m, want)
		}
	}
	for name, want := range map[string]uint64{
		"scry_item_preprocess_seconds{model=matmul,version=1}":                                                             0, // tensors come prepared
		"scry_item_queue_seconds{model=matmul,version=1}":                                                                  3,
		"scry_item_compute_seconds{model=matmul,version=1}":                                                                3,
		"scry_item_total_seconds{model=matmul,version=1}":                                                                  3,
		"scry_batch_wait_seconds{" + graph + "version=1}":                                                                  3,
		"scry_batch_rows{" + graph + "version=1}":                                                                          3,
		"grpc_server_handling_seconds{grpc_method=ModelInfer,grpc_service=inference.GRPCInferenceService,grpc_type=unary}": 3,
		"scry_refusal_seconds{queued=false,reason=DEADLINE_UNREACHABLE}":                                                   0,
	} {
		m := got[name]
		if m == nil || m.GetHistogram().GetSampleCount() != want {
			t.Errorf("%s is %v, want %d", name, m, want)
			continue
		}
		if b := m.GetHistogram().GetBucket(); strings.Contains(name, "_seconds") && b[0].GetUpperBound() != 50e-6 {
			t.Errorf("%s begins at %v", name, b[0].GetUpperBound())
		}
	}
	rows := got["scry_batch_rows{"+graph+"version=1}"].GetHistogram()
	if rows.GetSampleSum() != 5 || rows.GetBucket()[0].GetCumulativeCount() != 2 || rows.GetBucket()[2].GetCumulativeCount() != 3 {
		t.Errorf("batch sizes: %v", rows)
	}
	const plan = "scry_graph_plan{device=cpu,graph=model,model=matmul,precision=fp32,provider=cpu,runs="
	found := false
	for name := range got {
		found = found || strings.HasPrefix(name, plan)
	}
	if !found {
		t.Error("no plan")
	}
}

// TestMetricsAreDocumented holds docs/metrics.md to what is exported, both ways.
func TestMetricsAreDocumented(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newLiveServer(t, &gputest.Fake{}, Config{Registry: reg, Trusted: true})
	s.serve("matmul", "matmul")
	if _, err := s.ModelInfer(t.Context(), row(1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, "| `") {
			cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
			for _, m := range regexp.MustCompile("`((?:scry|grpc)_[a-z_]+)`").FindAllStringSubmatch(cell, -1) {
				documented[m[1]] = true
			}
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !documented[f.GetName()] {
			t.Errorf("%s is not documented", f.GetName())
		}
		delete(documented, f.GetName())
	}
	for name := range documented {
		t.Errorf("%s is documented and not there", name)
	}
}

// TestRefusals overloads a slow graph: what cannot be answered in time is
// refused with its reason, the predicted and the remaining time, and counted
// with the time that the refusal took.
func TestRefusals(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newLiveServer(t, &gputest.Fake{OnRun: func(ctx context.Context, _ string, in []tensor.Tensor) error {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil
	}}, Config{Registry: reg, Trusted: true})
	s.route("matmul", s.push("matmul", map[string]string{
		"model.onnx":  graphFile(t, "matmul"),
		"bundle.yaml": "graphs: {model: {file: model.onnx, batching: {max_rows: 1}, execution: {threads: 2}}}\n",
	}))
	var (
		callers sync.WaitGroup
		mu      sync.Mutex
		count   = map[codes.Code]int{}
	)
	for range 40 {
		callers.Go(func() {
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				_, err := s.ModelInfer(ctx, row(1, 2, 3))
				cancel()
				if status.Code(err) == codes.ResourceExhausted {
					wantStatus(t, err, codes.ResourceExhausted, "DEADLINE_UNREACHABLE", "")
				}
				mu.Lock()
				count[status.Code(err)]++
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	refused := count[codes.ResourceExhausted]
	if refused == 0 || count[codes.OK] == 0 {
		t.Fatalf("answers: %v", count)
	}
	var counted uint64
	got := metricsOf(t, reg)
	for _, queued := range []string{"false", "true"} {
		counted += got[fmt.Sprintf("scry_refusal_seconds{queued=%s,reason=DEADLINE_UNREACHABLE}", queued)].GetHistogram().GetSampleCount()
	}
	// A caller whose own time has run out meanwhile does not hear of it.
	if int(counted) < refused {
		t.Errorf("%d refusals are counted, %d callers were refused", counted, refused)
	}
}
