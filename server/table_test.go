package server

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/gpu"
	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	"github.com/scry-ml/scry/scoring"
	"github.com/scry-ml/scry/tensor"
)

// churnTable makes rows up from the manifest's own categories and ranges.
func churnTable(features []*bundlev1.Feature, rows int) *scoringv1.Table {
	rng := rand.New(rand.NewPCG(17, 19))
	t := &scoringv1.Table{Rows: int64(rows)}
	for _, f := range features {
		c := &scoringv1.Column{Name: f.GetName()}
		switch f.GetType() {
		case bundlev1.FeatureType_FEATURE_TYPE_STRING:
			s := &scoringv1.Strings{Dictionary: f.GetCategories()}
			for range rows {
				s.Indices = append(s.Indices, uint32(rng.IntN(len(s.GetDictionary()))))
			}
			c.Data = &scoringv1.Column_Strings{Strings: s}
		case bundlev1.FeatureType_FEATURE_TYPE_INT:
			n := &scoringv1.Int64S{}
			for range rows {
				n.Values = append(n.Values, int64(f.GetMin()+rng.Float64()*(f.GetMax()-f.GetMin())))
			}
			c.Data = &scoringv1.Column_Int64S{Int64S: n}
		default:
			d := &scoringv1.Doubles{}
			for range rows {
				d.Values = append(d.Values, f.GetMin()+rng.Float64()*(f.GetMax()-f.GetMin()))
			}
			c.Data = &scoringv1.Column_Doubles{Doubles: d}
		}
		t.Columns = append(t.Columns, c)
	}
	return t
}

// BenchmarkTable is what a table of 1,000 rows costs in processor time: of a
// bare session that is given strings, or dictionaries as the server gives them,
// of the task, and of the call with what is decoded and encoded.
func BenchmarkTable(b *testing.B) {
	rt := gputest.OpenRuntime(b)
	s := newLiveServer(b, rt, Config{Trusted: true})
	s.serveBundle("churn")
	parsed, err := bundle.Open(os.DirFS("../models/churn"))
	if err != nil {
		b.Fatal(err)
	}
	table := churnTable(parsed.Manifest.GetRow().GetFeatures(), 1000)
	req := &scoringv1.ScoreRequest{Model: "churn", Table: table}
	service := &scoringService{server: s.server}
	call := direct(b, s, scoringv1.ScoringService_Score_FullMethodName, req, service.Score)
	p, err := pipeline.New(parsed, pipeline.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	session, err := rt.Load(b.Context(), gpu.Spec{Path: filepath.Join("..", "models", "churn", "model.onnx"), Precision: gpu.F32, Devices: []string{gpu.CPU}, Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()
	t, err := p.Table(table)
	if err != nil {
		b.Fatal(err)
	}
	item, _, err := t.Item(pipeline.Wave{To: 1000})
	if err != nil {
		b.Fatal(err)
	}
	plain := slices.Clone(item.Inputs)
	for i := range plain {
		plain[i] = plain[i].Plain()
	}
	run := func(in []tensor.Tensor) func() {
		return func() {
			if _, err := session.Run(context.Background(), in); err != nil {
				b.Fatal(err)
			}
		}
	}
	v, release, err := s.manager.Acquire(b.Context(), "churn", "")
	if err != nil {
		b.Fatal(err)
	}
	defer release()
	task := func() {
		if _, errs, err := scoring.ScoreTable(context.Background(), v, table, nil, 0, 0); err != nil || len(errs) > 0 {
			b.Fatal(err, len(errs))
		}
	}
	for _, c := range []struct {
		name string
		call func()
	}{{"bare", run(plain)}, {"bare by dictionary", run(item.Inputs)}, {"task", task}, {"direct", call}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			from := processTime(b)
			for b.Loop() {
				c.call()
			}
			b.ReportMetric(float64((processTime(b)-from)/time.Microsecond)/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkRows is what a call of 100 rows as people write them costs.
func BenchmarkRows(b *testing.B) {
	s := newLiveServer(b, gputest.OpenRuntime(b), Config{Trusted: true})
	s.serveBundle("churn")
	req := churnRow(b)
	for range 99 {
		req.Instances = append(req.GetInstances(), req.GetInstances()[0])
	}
	service := &scoringService{server: s.server}
	call := direct(b, s, scoringv1.ScoringService_Score_FullMethodName, req, service.Score)
	b.ReportAllocs()
	from := processTime(b)
	for b.Loop() {
		call()
	}
	b.ReportMetric(float64((processTime(b)-from)/time.Microsecond)/float64(b.N), "cpu-µs/op")
}

// serveSampled routes "sampled" to churn without the contributions that its graph
// computes, so that reasons are found by asking the model, with typical rows
// made up from the manifest's categories and ranges.
func (s *liveServer) serveSampled(parsed *bundle.Bundle) {
	s.t.Helper()
	graph, err := os.ReadFile("../models/churn/model.onnx")
	if err != nil {
		s.t.Fatal(err)
	}
	m := proto.CloneOf(parsed.Manifest)
	m.GetHeads()["churn"].GetProbability().GetReasons().Contributions = ""
	m.GetRow().Background, m.Goldens = "typical.jsonl", nil
	manifest, err := protojson.Marshal(m) // JSON is YAML
	if err != nil {
		s.t.Fatal(err)
	}
	files := map[string]string{"model.onnx": string(graph), "bundle.yaml": string(manifest)}
	rng := rand.New(rand.NewPCG(3, 5))
	var rows strings.Builder
	for range 100 {
		row := map[string]any{}
		for _, f := range m.GetRow().GetFeatures() {
			switch {
			case len(f.GetCategories()) > 0:
				row[f.GetName()] = f.GetCategories()[rng.IntN(len(f.GetCategories()))]
			default:
				row[f.GetName()] = math.Trunc(f.GetMin() + rng.Float64()*(f.GetMax()-f.GetMin()))
			}
		}
		line, err := json.Marshal(row)
		if err != nil {
			s.t.Fatal(err)
		}
		rows.Write(append(line, '\n'))
	}
	files["typical.jsonl"] = rows.String()
	s.route("sampled", s.push("sampled", files))
}

// BenchmarkReasons is a row's score beside the same with reasons: those that the
// graph computes, and those that are sampled.
func BenchmarkReasons(b *testing.B) {
	s := newLiveServer(b, gputest.OpenRuntime(b), Config{Trusted: true})
	s.serveBundle("churn")
	parsed, err := bundle.Open(os.DirFS("../models/churn"))
	if err != nil {
		b.Fatal(err)
	}
	s.serveSampled(parsed)
	service := &scoringService{server: s.server}
	for _, c := range []struct {
		name, model string
		reasons     int32
	}{{"none", "churn", 0}, {"of the graph", "churn", 3}, {"sampled", "sampled", 3}} {
		b.Run(c.name, func(b *testing.B) {
			req := churnRow(b)
			req.Model, req.Options = c.model, &scoringv1.ScoreOptions{Reasons: c.reasons}
			call := direct(b, s, scoringv1.ScoringService_Score_FullMethodName, req, service.Score)
			b.ReportAllocs()
			from := processTime(b)
			for b.Loop() {
				call()
			}
			b.ReportMetric(float64((processTime(b)-from)/time.Microsecond)/float64(b.N), "cpu-µs/op")
		})
	}
}

// TestCodec wants messages of every size to come back, whatever a buffer held
// before.
func TestCodec(t *testing.T) {
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, n := range []int{0, 1, 1 << 9, 1 << 12, 33 << 10, 100 << 10, 1 << 20, 3<<20 + 1} {
			want := &scoringv1.Table{Rows: int64(n), Ids: []string{strings.Repeat("x", n)}}
			data, err := c.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			whole := data.Materialize()
			data.Free()
			var parts mem.BufferSlice // as the transport gives them
			for part := range slices.Chunk(whole, 16<<10) {
				parts = append(parts, mem.SliceBuffer(part))
			}
			got := &scoringv1.Table{}
			if err := c.Unmarshal(parts, got); err != nil || !proto.Equal(want, got) {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
	}
	if _, err := c.Marshal("no message"); err == nil {
		t.Error("a string was encoded")
	}
	if err := c.Unmarshal(nil, 1); err == nil {
		t.Error("a number was decoded")
	}
}
