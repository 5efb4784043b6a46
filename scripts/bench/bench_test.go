package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/proto/inference"
	"github.com/scry-ml/scry/tensor"
)

// The replay is an upper bound only if its cuts are the best ones.
func TestChooseIsBest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	cost := make([][]float64, 5)
	for n := range cost {
		cost[n] = make([]float64, longest+1)
		for l := range cost[n] {
			cost[n][l] = 3 + float64(n*l)*(1+0.3*math.Sin(float64(n)))
		}
	}
	// least is the least time over all cuts of s, found by trying every one.
	var least func(s []entry) float64
	least = func(s []entry) float64 {
		if len(s) == 0 {
			return 0
		}
		best := math.Inf(1)
		for k := 1; k <= min(len(s), len(cost)-1); k++ {
			best = min(best, cost[k][s[k-1].length]+least(s[k:]))
		}
		return best
	}
	var p packing
	for range 200 {
		var waiting []entry
		for i := range 1 + rng.IntN(9) {
			waiting = append(waiting, entry{uint64(i), shortest + rng.IntN(longest-shortest)})
		}
		total, left := 0.0, slices.Clone(waiting)
		for len(left) > 0 {
			batch := p.choose(left, cost)
			if !slices.Contains(batch, left[0]) {
				t.Fatalf("%v does not hold the first of %v", batch, left)
			}
			total += cost[len(batch)][batch[len(batch)-1].length]
			left = slices.DeleteFunc(left, func(e entry) bool { return slices.Contains(batch, e) })
		}
		sorted := slices.Clone(waiting)
		slices.SortStableFunc(sorted, func(a, b entry) int { return a.length - b.length })
		if want := least(sorted); total > want+1e-9 {
			t.Fatalf("%v takes %v, the best cuts %v", waiting, total, want)
		}
	}
}

func TestInterpolate(t *testing.T) {
	rows, lens := []int{1, 4}, []int{8, 16}
	grid := [][]float64{{10, 20}, {30, 60}}
	for _, c := range []struct {
		n, l int
		want float64
	}{{1, 8, 10}, {4, 16, 60}, {1, 12, 15}, {2, 8, 10 + 20./3}, {2, 12, 15 + 30./3}} {
		if got := interpolate(rows, lens, grid, c.n, c.l); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%d × %d: %v, want %v", c.n, c.l, got, c.want)
		}
	}
}

func TestHistogram(t *testing.T) {
	before := map[string]float64{`scry_refusal_seconds_bucket{queued="false",le="0.001"}`: 5, `scry_refusal_seconds_bucket{queued="false",le="0.005"}`: 5, `scry_refusal_seconds_bucket{queued="false",le="+Inf"}`: 5}
	after := map[string]float64{
		`scry_refusal_seconds_bucket{queued="false",le="0.001"}`: 95,
		`scry_refusal_seconds_bucket{queued="false",le="0.005"}`: 105,
		`scry_refusal_seconds_bucket{queued="false",le="+Inf"}`:  105,
		`scry_refusal_seconds_bucket{queued="true",le="+Inf"}`:   7,
	}
	var h histogram
	h.add(before, after, "scry_refusal_seconds", `queued="false"`)
	if h.count() != 100 {
		t.Errorf("%v observations, want 100", h.count())
	}
	// The 99th lies nine tenths into the bucket from 1 to 5 ms.
	if got := h.quantile(0.99); got != 4600*time.Microsecond {
		t.Errorf("p99 %v, want 4.6ms", got)
	}
}

func TestTinyONNX(t *testing.T) {
	g, err := bundle.ReadGraph(bytes.NewReader(tinyONNX(1)))
	if err != nil {
		t.Fatal(err)
	}
	if g.Operators[bundle.Operator{Type: "Gemm"}] != 3 || len(g.Inputs) != 1 || !g.Inputs[0].Shape.Equal(tensor.Shape{-1, tinyInputs}) {
		t.Errorf("%+v", g)
	}
	if bytes.Equal(tinyONNX(1), tinyONNX(2)) {
		t.Error("two seeds give the same weights")
	}
}

// Requests must be well-formed, of the length that is asked for, and unique.
func TestSources(t *testing.T) {
	for name, from := range map[string]source{"rows": tinySource("a", "b"), "texts": textSource("a", lengthAt)} {
		seen := map[string]bool{}
		for number := range uint64(2000) {
			r := from(number)
			req := &inference.ModelInferRequest{}
			if err := proto.Unmarshal(r.body, req); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(req.GetInputs()) != len(req.GetRawInputContents()) {
				t.Fatalf("%s: %d inputs, %d contents", name, len(req.GetInputs()), len(req.GetRawInputContents()))
			}
			for i, in := range req.GetInputs() {
				size := map[string]int{"FP32": 4, "INT64": 8}[in.GetDatatype()]
				if want := size * int(in.GetShape()[1]); len(req.GetRawInputContents()[i]) != want {
					t.Fatalf("%s: %s has %d bytes, want %d", name, in.GetName(), len(req.GetRawInputContents()[i]), want)
				}
			}
			content := string(req.GetRawInputContents()[0])
			if seen[content] {
				t.Fatalf("%s: the contents of %d were there before", name, number)
			}
			seen[content] = true
		}
	}
	if l := median(floats(lengths)); l < 22 || l > 26 {
		t.Errorf("median length %v", l)
	}
}

func floats(v []int) (out []float64) {
	for _, x := range v {
		out = append(out, float64(x))
	}
	return out
}

// A server that stands still must show in the open loop's latencies: those of
// the calls that were due meanwhile, not only of the one that was under way.
func TestOpenLoopHidesNoStall(t *testing.T) {
	const stall = 400 * time.Millisecond
	start := time.Now()
	begin := start.Add(leadIn + 200*time.Millisecond)
	to := serve(t, func() error {
		if now := time.Now(); now.After(begin) && now.Before(begin.Add(stall)) {
			time.Sleep(time.Until(begin.Add(stall)))
		}
		return nil
	})
	o, err := open(t.Context(), to, 500, time.Second, 2*time.Second, 1, tinySource("a"))
	if err != nil {
		t.Fatal(err)
	}
	counted, late := 0, 0
	for _, s := range o.samples {
		if !s.counted {
			continue
		}
		counted++
		if s.took > stall/4 {
			late++
		}
	}
	if counted < 350 || counted > 650 {
		t.Errorf("%d arrivals in a second, want about 500", counted)
	}
	if share := float64(late) / float64(counted); share < 0.2 || share > 0.6 {
		t.Errorf("%.0f %% of the calls were late by a stall of 40 %% of the time, want 30 %%", 100*share)
	}
}

func TestOpenLoopCountsRefusals(t *testing.T) {
	to := serve(t, func() error { return status.Error(codes.ResourceExhausted, "full") })
	o, err := open(t.Context(), to, 200, 200*time.Millisecond, time.Second, 1, tinySource("a"))
	if err != nil {
		t.Fatal(err)
	}
	if lost(o.samples) != 1 || len(o.times(accepted)) != 0 {
		t.Errorf("lost %v, accepted %d", lost(o.samples), len(o.times(accepted)))
	}
}

func TestClosedLoopFailsOnAnError(t *testing.T) {
	to := serve(t, func() error { return status.Error(codes.Internal, "broken") })
	if _, err := closed(t.Context(), to, 4, time.Second, 1, tinySource("a")); status.Code(err) != codes.Internal {
		t.Errorf("%v, want INTERNAL", err)
	}
}

// serve answers ModelInfer with nothing, after f.
func serve(t *testing.T, f func() error) conns {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	inference.RegisterGRPCInferenceServiceServer(s, stub{f: f})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	to, err := dial(l.Addr().String(), 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(to.close)
	return to
}

type stub struct {
	inference.UnimplementedGRPCInferenceServiceServer
	f func() error
}

func (s stub) ModelInfer(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	return &inference.ModelInferResponse{}, s.f()
}

func TestPlotIsXML(t *testing.T) {
	svg := plot([]point{{load: 0.5, goodput: 4000, p50: 20 * time.Millisecond, p99: 80 * time.Millisecond}, {load: 10, goodput: 7300, p50: 100 * time.Millisecond, p99: 240 * time.Millisecond}})
	d := xml.NewDecoder(bytes.NewReader(svg))
	curves := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			curves++
		}
	}
	if curves != 4 {
		t.Errorf("%d curves, want 4", curves)
	}
}
