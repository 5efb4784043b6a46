package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/structpb"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// badBundleFields are the parts that the errors of TestBadBundles blame.
var badBundleFields = map[string]string{
	"0-byte model":               "model.onnx",
	"no model":                   "model.onnx",
	"cut model":                  "model.onnx",
	"nothing to serve":           "graphs",
	"unknown field":              "bundle.yaml",
	"graph missing":              `graphs["model"].file`,
	"input that the graph lacks": `graphs["model"].inputs`,
	"head that the graph lacks":  `heads["h"].source`,
	"sequences of maps":          `graphs["model"]`,
	"external data elsewhere":    `graphs["model"]`,
	"external data at the root":  `graphs["model"]`,
	"external data missing":      `graphs["model"] external data`,
	"golden answer differs":      "goldens.file",

	"golden output of another shape": "goldens.file",
}

// TestBadBundles pushes bundles that cannot be served. Each is refused at its
// commit, leaves no version, and harms nobody.
func TestBadBundles(t *testing.T) {
	d := start(t, "--probe-time", "8s", "--probe-memory", strconv.Itoa(1<<30))
	d.deploy("churn", churn(t))
	manifest := func(text string) func(files) files {
		return func(f files) files { return f.with("bundle.yaml", text) }
	}
	golden := func(sample, tolerance string) func(files) files {
		return func(f files) files {
			return f.with("goldens.jsonl", sample+"\n").with("bundle.yaml", "graphs: {model: {file: model.onnx}}\n"+
				"goldens: {file: goldens.jsonl, tolerances: [{precision: PRECISION_FP32, absolute: "+tolerance+"}]}\n")
		}
	}
	matmul := graph(t, "matmul")
	for _, c := range []struct {
		name   string
		files  files
		change func(files) files
		code   codes.Code
		reason string
		says   string
	}{
		{"0-byte model", files{"model.onnx": nil}, nil, codes.InvalidArgument, "GRAPH_INVALID", ""},
		{"no model", files{"model.onnx": []byte("MZ, a program")}, nil, codes.InvalidArgument, "GRAPH_INVALID", ""},
		{"cut model", files{"model.onnx": matmul["model.onnx"][:len(matmul["model.onnx"])*2/3]}, nil, codes.InvalidArgument, "GRAPH_INVALID", ""},
		{"nothing to serve", files{"README.md": []byte("# A model to come\n")}, nil, codes.InvalidArgument, "BUNDLE_INVALID", ""},
		{"graph missing", matmul, manifest("graphs: {model: {file: other.onnx}}\n"), codes.InvalidArgument, "BUNDLE_INVALID", "graphs"},
		{"unknown field", matmul, manifest("graphs: {model: {file: model.onnx}}\ncolour: red\n"), codes.InvalidArgument, "BUNDLE_INVALID", "colour"},
		{"input that the graph lacks", matmul, manifest("graphs: {model: {file: model.onnx, inputs: {z: {}}}}\n"), codes.InvalidArgument, "BUNDLE_INVALID", `"z"`},
		{"head that the graph lacks", matmul, manifest("graphs: {model: {file: model.onnx}}\nheads: {h: {source: model.z, value: {}}}\n"), codes.InvalidArgument, "BUNDLE_INVALID", "z"},
		{"sequences of maps", files{"model.onnx": bytes.ReplaceAll(graph(t, "zipmap")["model.onnx"], []byte("classlabels_"), []byte("nameless___x"))}, nil, // no ZipMap that could be cut
			codes.InvalidArgument, "GRAPH_INVALID", "ZipMap"},
		{"external data elsewhere", files{"model.onnx": external(matmul, "../../etc/passwd", 0, 1)}, nil, codes.InvalidArgument, "GRAPH_INVALID", "plain file name"},
		{"external data at the root", files{"model.onnx": external(matmul, "/etc/passwd", 0, 1)}, nil, codes.InvalidArgument, "GRAPH_INVALID", "plain file name"},
		{"external data missing", files{"model.onnx": external(matmul, "weights.bin", 0, 1)}, nil, codes.InvalidArgument, "BUNDLE_INVALID", "weights.bin"},
		{"golden answer differs", matmul, golden(`{"tensors": {"inputs": {"x": {"shape": [1, 3], "values": [1, 1, 1]}}}, "outputs": {"model.y": {"values": [9.5, 99]}}}`, "0.001"),
			codes.FailedPrecondition, "GOLDEN_MISMATCH", "model.y[1]"},
		{"golden input of another shape", matmul, golden(`{"tensors": {"inputs": {"x": {"shape": [1, 4], "values": [1, 1, 1, 1]}}}, "outputs": {"model.y": {"values": [1, 1]}}}`, "0.001"),
			codes.InvalidArgument, "INPUT_INVALID", ""},
		{"golden output of another shape", matmul, golden(`{"tensors": {"inputs": {"x": {"shape": [1, 3], "values": [1, 1, 1]}}}, "outputs": {"model.y": {"values": [9.5, 11.5, 1]}}}`, "0.001"),
			codes.FailedPrecondition, "GOLDEN_MISMATCH", "values, want 3"},
		{"endless", graph(t, "loop"), golden(`{"tensors": {"inputs": {"n": {"shape": [], "values": [9000000000000]}, "step": {"shape": [1], "values": [1]}}}, "outputs": {"model.v": {"values": [1]}}}`, "1"),
			codes.InvalidArgument, "PROBE_KILLED", "8s"},
		{"crashes ONNX Runtime", matmul.with(crashFile, "x"), nil, codes.InvalidArgument, "PROBE_KILLED", "SIGSEGV"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := c.files
			if c.change != nil {
				f = c.change(f)
			}
			_, err := d.push("bad", f)
			wantError(t, err, c.code, c.reason, badBundleFields[c.name])
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
		})
	}
	d.wantAlive(1)
	if _, err := d.score("churn", "", 1); err != nil {
		t.Error(err)
	}
}

// TestTooLargeForMemory pushes models that need more memory than there is: one
// whose weights alone do, one that grows as it runs.
func TestTooLargeForMemory(t *testing.T) {
	const limit = 1 << 30
	d := start(t, "--probe-memory", strconv.Itoa(limit))
	needed := func(err error) int64 {
		t.Helper()
		metadata := wantError(t, err, codes.ResourceExhausted, "OUT_OF_MEMORY", "")
		n, err := strconv.ParseInt(metadata["needed_bytes"], 10, 64)
		if err != nil {
			t.Fatalf("needed_bytes: %v", err)
		}
		return n
	}
	// A thousand tensors of one external file, which ONNX Runtime keeps a
	// thousand times: a gibibyte to send costs a mebibyte.
	weights := bytes.Repeat([]byte{1}, 1<<20)
	_, err := d.push("large", files{"model.onnx": external(graph(t, "matmul"), "weights.bin", len(weights), 1000), "weights.bin": weights})
	if n := needed(err); n < 1000<<20 || n > 2000<<20 {
		t.Errorf("needed_bytes is %d for weights of %d", n, 1000<<20)
	}
	_, err = d.push("grows", graph(t, "grow").with("goldens.jsonl",
		`{"tensors": {"inputs": {"shape": {"shape": [1], "values": [1500000000]}}}, "outputs": {"model.y": {"values": [0]}}}`+"\n").
		with("bundle.yaml", "graphs: {model: {file: model.onnx}}\ngoldens: {file: goldens.jsonl, tolerances: [{precision: PRECISION_FP32}]}\n"))
	if n := needed(err); n <= limit {
		t.Errorf("needed_bytes is %d, and %d were allowed", n, limit)
	}
	// No machine has as much as this one asks for.
	_, err = d.push("grows", graph(t, "grow").with("goldens.jsonl",
		`{"tensors": {"inputs": {"shape": {"shape": [1], "values": [1000000000000000]}}}, "outputs": {"model.y": {"values": [0]}}}`+"\n").
		with("bundle.yaml", "graphs: {model: {file: model.onnx}}\ngoldens: {file: goldens.jsonl, tolerances: [{precision: PRECISION_FP32}]}\n"))
	if n := needed(err); n < 4e15 {
		t.Errorf("needed_bytes is %d, want 4e15", n)
	}
	d.wantAlive(0)
}

// external adds unused tensors to a graph, n of them, whose size bytes of float32
// lie in a file beside it.
func external(model files, location string, size, n int) []byte {
	entry := func(key, value string) []byte {
		var e []byte
		e = protowire.AppendTag(e, 1, protowire.BytesType)
		e = protowire.AppendString(e, key)
		e = protowire.AppendTag(e, 2, protowire.BytesType)
		return protowire.AppendString(e, value)
	}
	var g []byte
	for i := range n {
		var w []byte
		w = protowire.AppendTag(w, 1, protowire.VarintType) // dims
		w = protowire.AppendVarint(w, uint64(max(size/4, 1)))
		w = protowire.AppendTag(w, 2, protowire.VarintType) // data_type
		w = protowire.AppendVarint(w, 1)
		w = protowire.AppendTag(w, 8, protowire.BytesType) // name
		w = protowire.AppendString(w, fmt.Sprint("weight", i))
		w = protowire.AppendTag(w, 13, protowire.BytesType) // external_data
		w = protowire.AppendBytes(w, entry("location", location))
		w = protowire.AppendTag(w, 13, protowire.BytesType)
		w = protowire.AppendBytes(w, entry("length", fmt.Sprint(max(size, 4))))
		w = protowire.AppendTag(w, 14, protowire.VarintType) // data_location
		w = protowire.AppendVarint(w, 1)
		g = protowire.AppendTag(g, 5, protowire.BytesType) // initializer
		g = protowire.AppendBytes(g, w)
	}
	// A second ModelProto.graph is merged into the first.
	m := protowire.AppendTag(bytes.Clone(model["model.onnx"]), 7, protowire.BytesType)
	return protowire.AppendBytes(m, g)
}

// TestBadUploads breaks uploads off, takes them up, and commits them twice.
func TestBadUploads(t *testing.T) {
	d := start(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 3<<16) // 3 MiB
	f := churn(t).with("data.bin", string(big))
	u, err := d.create("churn", f)
	if err != nil {
		t.Fatal(err)
	}
	id := u.GetUploadId()
	for _, p := range u.GetFiles() {
		if path := p.GetFile().GetPath(); path != "data.bin" {
			if _, err := d.send(id, f[path], 0, int64(len(f[path]))); err != nil {
				t.Fatal(err)
			}
		}
	}
	cut := int64(len(big)) * 99 / 100
	if r, err := d.send(id, big, 0, cut); err != nil || r.GetOffset() != cut || r.GetComplete() {
		t.Fatalf("%v, %v", r, err)
	}
	_, err = d.commit(id)
	wantError(t, err, codes.FailedPrecondition, "UPLOAD_INCOMPLETE", "")
	d.wantAlive(0)
	offset := func() int64 {
		got, err := d.store.GetUpload(d.ctx(), &modelstorev1.GetUploadRequest{UploadId: id})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range got.GetUpload().GetFiles() {
			if p.GetFile().GetPath() == "data.bin" {
				return p.GetOffset()
			}
		}
		return -1
	}
	if got := offset(); got != cut {
		t.Fatalf("the store has %d bytes, %d were acknowledged", got, cut)
	}
	_, err = d.send(id, big, 7, cut)
	if m := wantError(t, err, codes.FailedPrecondition, "OFFSET_MISMATCH", ""); m["stored_bytes"] != fmt.Sprint(cut) {
		t.Errorf("stored_bytes is %q, want %d", m["stored_bytes"], cut)
	}

	// The upload survives the server.
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d = startAt(t, d.dir)
	if got := offset(); got != cut {
		t.Fatalf("after a restart the store has %d bytes, %d were acknowledged", got, cut)
	}
	if r, err := d.send(id, big, cut, int64(len(big))); err != nil || !r.GetComplete() {
		t.Fatalf("%v, %v", r, err)
	}
	_, err = d.send(id, big, 0, 1)
	if err == nil {
		t.Error("a complete file took more bytes")
	}

	// Many commits at once make one version, and one of them made it.
	const commits = 8
	var all sync.WaitGroup
	var created, failures [commits]bool
	var versions [commits]int64
	for i := range commits {
		all.Go(func() {
			r, err := d.store.CommitUpload(d.t.Context(), &modelstorev1.CommitUploadRequest{UploadId: id})
			created[i], failures[i], versions[i] = r.GetCreated(), err != nil, r.GetVersion().GetVersion()
		})
	}
	all.Wait()
	for i := range commits {
		// Idempotent: each answers as the first did.
		if failures[i] || versions[i] != 1 || !created[i] {
			t.Errorf("commit %d: version %d, created %v, failed %v", i, versions[i], created[i], failures[i])
		}
	}
	list, err := d.store.ListVersions(d.ctx(), &modelstorev1.ListVersionsRequest{Model: "churn"})
	if err != nil || len(list.GetVersions()) != 1 {
		t.Fatalf("%d versions, %v", len(list.GetVersions()), err)
	}
	// The same content by another upload is the same version.
	again, err := d.create("churn", f)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := d.commit(again.GetUploadId()); err != nil || r.GetCreated() || r.GetVersion().GetVersion() != 1 {
		t.Errorf("the same content again: %v, %v", r, err)
	}
	_, err = d.create("churn", files{"../../etc/passwd": []byte("x")})
	wantError(t, err, codes.InvalidArgument, "ARGUMENT_INVALID", "files[0].path")
	_, err = d.create("Churn!", f)
	wantError(t, err, codes.InvalidArgument, "FIELD_INVALID", "model")
}

// TestBadRows sends rows that the model cannot take beside one that it can.
func TestBadRows(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	row := func(change map[string]any) *scoringv1.Instance {
		in := customer(t, "")
		for name, v := range change {
			value, err := structpb.NewValue(v)
			if err != nil {
				t.Fatal(err)
			}
			in.Features.Fields[name] = value
		}
		return in
	}
	bad := []struct {
		row    *scoringv1.Instance
		reason string
		field  string
	}{
		{row(map[string]any{"tenure": "long"}), "FEATURE_TYPE", `features["tenure"]`},
		{row(map[string]any{"tenure": 1.5}), "FEATURE_TYPE", `features["tenure"]`},
		{row(map[string]any{"Contract": 12}), "FEATURE_TYPE", `features["Contract"]`},
		{row(map[string]any{"Contract": []any{"a"}}), "FEATURE_TYPE", `features["Contract"]`},
		{&scoringv1.Instance{Id: "empty"}, "FEATURE_MISSING", ""},
	}
	req := &scoringv1.ScoreRequest{Instances: []*scoringv1.Instance{customer(t, "good")}}
	for _, b := range bad {
		req.Instances = append(req.Instances, b.row)
	}
	resp, err := d.scorer.Score(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkScore(resp.GetResults()[0]); err != nil {
		t.Error("the good row: ", err)
	}
	for i, b := range bad {
		r := resp.GetResults()[i+1]
		if r.GetError() == nil || len(r.GetHeads()) > 0 || r.GetIndex() != int64(i+1) || r.GetId() != b.row.GetId() {
			t.Errorf("row %d: %v", i+1, r)
			continue
		}
		field := fmt.Sprintf("instances[%d].%s", i+1, b.field)
		if b.field == "" {
			field = fmt.Sprintf("instances[%d].features[%q]", i+1, "tenure")
		}
		wantItemError(t, r.GetError(), codes.InvalidArgument, b.reason, field)
	}

	column := func(n int) *scoringv1.Column {
		return &scoringv1.Column{Name: "tenure", Data: &scoringv1.Column_Int64S{Int64S: &scoringv1.Int64S{Values: make([]int64, n)}}}
	}
	for _, c := range []struct {
		name   string
		req    *scoringv1.ScoreRequest
		code   codes.Code
		reason string
		field  string
	}{
		{"neither rows nor table", &scoringv1.ScoreRequest{}, codes.InvalidArgument, "FIELD_INVALID", ""},
		{"both", &scoringv1.ScoreRequest{Instances: req.GetInstances(), Table: &scoringv1.Table{Rows: 1, Columns: []*scoringv1.Column{column(1)}}}, codes.InvalidArgument, "FIELD_INVALID", ""},
		{"table without rows", &scoringv1.ScoreRequest{Table: &scoringv1.Table{Columns: []*scoringv1.Column{column(1)}}}, codes.InvalidArgument, "FIELD_INVALID", "table.rows"},
		{"column without data", &scoringv1.ScoreRequest{Table: &scoringv1.Table{Rows: 1, Columns: []*scoringv1.Column{{Name: "tenure"}}}}, codes.InvalidArgument, "FIELD_INVALID", "table.columns[0].data"},
		{"too many rows", &scoringv1.ScoreRequest{Instances: make([]*scoringv1.Instance, 10_001)}, codes.InvalidArgument, "FIELD_INVALID", "instances"},
		{"unknown head", &scoringv1.ScoreRequest{Instances: req.GetInstances()[:1], Options: &scoringv1.ScoreOptions{Heads: []string{"nothing"}}}, codes.InvalidArgument, "HEAD_UNKNOWN", "options.heads[0]"},
		{"unknown model", &scoringv1.ScoreRequest{Model: "nobody", Instances: req.GetInstances()[:1]}, codes.NotFound, "NOT_FOUND", ""},
		{"unknown version", &scoringv1.ScoreRequest{Version: "7", Instances: req.GetInstances()[:1]}, codes.NotFound, "NOT_FOUND", ""},
		{"version that is no name", &scoringv1.ScoreRequest{Version: "../1", Instances: req.GetInstances()[:1]}, codes.NotFound, "NOT_FOUND", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.req.GetInstances() {
				if c.req.Instances[i] == nil {
					c.req.Instances[i] = &scoringv1.Instance{}
				}
			}
			_, err := d.scorer.Score(d.ctx(), c.req)
			wantError(t, err, c.code, c.reason, c.field)
		})
	}
	// A short column is refused, whatever the answer's code is for.
	_, err = d.scorer.Score(d.ctx(), &scoringv1.ScoreRequest{Table: &scoringv1.Table{Rows: 3, Columns: []*scoringv1.Column{column(2)}}})
	wantError(t, err, codes.InvalidArgument, "TABLE_INVALID", "table.columns[0].int64s")

	// A model that has versions and no route.
	v, err := d.push("shadow", churn(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.score("shadow", "", 1)
	wantError(t, err, codes.FailedPrecondition, "NO_ACTIVE_VERSION", "")
	if got, err := d.score("shadow", fmt.Sprint(v), 1); err != nil || got != v {
		t.Errorf("by number: version %d, %v", got, err)
	}
	// A model of another kind.
	d.deploy("matmul", graph(t, "matmul"))
	_, err = d.score("matmul", "", 1)
	wantError(t, err, codes.FailedPrecondition, "MODEL_UNSUITABLE", "")
	_, err = d.texts.AnalyzeText(d.ctx(), &sentimentv1.AnalyzeTextRequest{
		Texts:  []*sentimentv1.TextItem{{Content: &sentimentv1.TextItem_Text{Text: "fine"}}},
		Models: []*sentimentv1.FeatureModel{{Feature: sentimentv1.TextFeature_TEXT_FEATURE_SENTIMENT, Model: "churn"}},
	})
	wantError(t, err, codes.FailedPrecondition, "MODEL_UNSUITABLE", "")
}

// TestBadTexts sends texts that cannot be read beside one that can.
func TestBadTexts(t *testing.T) {
	d := start(t)
	d.deploy("sentiment", textBundle(t))
	text := func(s string) *sentimentv1.TextItem {
		return &sentimentv1.TextItem{Content: &sentimentv1.TextItem_Text{Text: s}}
	}
	raw := func(b []byte) *sentimentv1.TextItem {
		return &sentimentv1.TextItem{Content: &sentimentv1.TextItem_TextBytes{TextBytes: b}}
	}
	features := []sentimentv1.TextFeature{sentimentv1.TextFeature_TEXT_FEATURE_EMBEDDING}
	resp, err := d.texts.AnalyzeText(d.ctx(), &sentimentv1.AnalyzeTextRequest{Features: features, Texts: []*sentimentv1.TextItem{
		text("good"), text(strings.Repeat("слово ", 10<<20/11)), text(""), {}, raw(nil), raw([]byte("caf\xe9 \xff")), text(" \t\n"), text(strings.Repeat("word ", 200_000)), raw(bytes.Repeat([]byte{0xff}, 2<<20)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := resp.GetResults()
	if r[0].GetError() != nil || len(r[0].GetWarnings()) != 0 || len(r[0].GetEmbedding().GetValues()) == 0 {
		t.Errorf("the good text: %v", r[0])
	}
	wantItemError(t, r[1].GetError(), codes.InvalidArgument, "TEXT_TOO_LONG", "texts[1].text")
	wantItemError(t, r[2].GetError(), codes.InvalidArgument, "TEXT_EMPTY", "texts[2].text")
	wantItemError(t, r[3].GetError(), codes.InvalidArgument, "TEXT_EMPTY", "texts[3].text")
	wantItemError(t, r[4].GetError(), codes.InvalidArgument, "TEXT_EMPTY", "texts[4].text_bytes")
	wantItemError(t, r[8].GetError(), codes.InvalidArgument, "TEXT_TOO_LONG", "texts[8].text_bytes")
	for i, c := range map[int]struct {
		code  servingv1.WarningCode
		field string
	}{
		5: {servingv1.WarningCode_WARNING_CODE_TEXT_REPAIRED, "texts[5].text_bytes"},
		6: {servingv1.WarningCode_WARNING_CODE_EMPTY_INPUT, "texts[6].text"},
		7: {servingv1.WarningCode_WARNING_CODE_TRUNCATED, "texts[7].text"},
	} {
		if w := r[i].GetWarnings(); r[i].GetError() != nil || len(w) != 1 || w[0].GetCode() != c.code || w[0].GetField() != c.field {
			t.Errorf("text %d: %v, warnings %v; want %v of %s", i, r[i].GetError(), w, c.code, c.field)
		}
	}

	// Invalid UTF-8 in a string is no protobuf. Go's client would not send it.
	var item, req []byte
	item = protowire.AppendTag(item, 2, protowire.BytesType)
	item = protowire.AppendBytes(item, []byte("caf\xe9"))
	req = protowire.AppendTag(req, 1, protowire.BytesType)
	req = protowire.AppendBytes(req, item)
	_, err = d.invoke("/scry.sentiment.v1.SentimentService/AnalyzeText", req)
	wantError(t, err, codes.Internal, "", "") // grpc-go's answer to what it cannot decode
	d.wantAlive(1)
}

// TestBadPictures sends files that are no pictures beside one that is.
func TestBadPictures(t *testing.T) {
	d := start(t)
	d.deploy("products", pictureBundle(t))
	var good bytes.Buffer
	if err := jpeg.Encode(&good, image.NewRGBA(image.Rect(0, 0, 60, 40)), nil); err != nil {
		t.Fatal(err)
	}
	bad := []struct {
		content []byte
		reason  string
	}{
		{pngHeader(65535, 65535), "IMAGE_TOO_LARGE"},
		{pngHeader(1<<31-1, 1<<31-1), "IMAGE_TOO_LARGE"},
		{pngHeader(0, 10), "IMAGE_CORRUPT"},
		{good.Bytes()[:good.Len()*2/3], "IMAGE_TRUNCATED"},
		{good.Bytes()[:3], "IMAGE_TRUNCATED"},
		{nil, "IMAGE_EMPTY"},
		{[]byte("%PDF-1.7"), "IMAGE_FORMAT"},
		{bytes.Repeat([]byte{0xff}, 21<<20), "IMAGE_TOO_LARGE"},
	}
	req := &imageanalysisv1.AnalyzeImagesRequest{
		Features: []imageanalysisv1.ImageFeature{imageanalysisv1.ImageFeature_IMAGE_FEATURE_EMBEDDING},
		Images:   []*imageanalysisv1.ImageItem{{Id: "good", Content: good.Bytes()}},
	}
	for _, b := range bad {
		req.Images = append(req.Images, &imageanalysisv1.ImageItem{Content: b.content})
	}
	start := time.Now()
	resp, err := d.images.AnalyzeImages(d.ctx(), req)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("refusing took %v", took)
	}
	r := resp.GetResults()
	if r[0].GetError() != nil || r[0].GetInfo().GetWidth() != 60 || len(r[0].GetEmbedding().GetValues()) == 0 {
		t.Errorf("the good picture: %v", r[0])
	}
	for i, b := range bad {
		wantItemError(t, r[i+1].GetError(), codes.InvalidArgument, b.reason, fmt.Sprintf("images[%d].content", i+1))
	}
	d.wantAlive(1)
}

// pngHeader is a PNG that ends after its header.
func pngHeader(width, height uint32) []byte {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, width)
	chunk = binary.BigEndian.AppendUint32(chunk, height)
	chunk = append(chunk, 8, 2, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	out = append(out, chunk...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(chunk))
}
