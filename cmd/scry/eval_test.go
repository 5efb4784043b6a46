package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// TestEvalMemory reads many wide rows: what is kept of each must be
// a few numbers, and none of its features.
func TestEvalMemory(t *testing.T) {
	const rows, wide = 60_000, 40
	dir := t.TempDir()
	var manifest, data strings.Builder
	manifest.WriteString("graphs: {model: {file: model.onnx}}\nheads: {churn: {source: model.probability, probability: {}}}\nrow:\n  features:\n")
	g := testGraph{opset: 21, ir: 10}
	for k := range wide {
		name := fmt.Sprintf("p%d", k)
		g.inputs = append(g.inputs, name+":float:N,1")
		fmt.Fprintf(&manifest, "  - {name: %s, type: FEATURE_TYPE_FLOAT}\n", name)
		data.WriteString(name + ",")
	}
	data.WriteString("y\n")
	for i := range rows {
		data.WriteString(strings.Repeat(fmt.Sprintf("0.%05d,", i%99991), wide))
		fmt.Fprintln(&data, i%2)
	}
	for name, content := range map[string][]byte{"m/bundle.yaml": []byte(manifest.String()), "m/model.onnx": g.bytes(), "rows.csv": []byte(data.String())} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data.Reset()
	_, address, stop, err := serveFake()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if code := run([]string{"push", filepath.Join(dir, "m"), "-q", "--activate", "--server", address}, strings.NewReader(""), io.Discard, io.Discard); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	app := &app{connection: &connection{Server: address}, output: newOutput(strings.NewReader(""), io.Discard, io.Discard, "table", true)}
	defer app.close()
	server, err := app.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := server.ModelStore().GetVersion(context.Background(), &modelstorev1.GetVersionRequest{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	kept := &measuredProbability{column: "y"}
	table := &tableRun{head: "churn", file: filepath.Join(dir, "rows.csv"), also: []string{"y"}, output: app.output}
	live := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var early, late int64
	err = table.run(t.Context(), app, server, got.GetVersion(), func(row int, cells []string, answer *scoringv1.HeadColumns, i int) string {
		switch row {
		case 10_000:
			early = live()
		case 55_000:
			late = live()
		}
		return kept.add(0, row, cells, answer, i)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(kept.p[0]) != rows {
		t.Fatalf("%d rows were kept", len(kept.p[0]))
	}
	// 10 bytes a row are kept, in slices that grow by a quarter; frames on their way
	// vary by as much as they hold.
	const inFlight = 2 * framesAtOnce * frameRows * wide * 8
	if grown := late - early; grown > 45_000*40+inFlight {
		t.Errorf("45,000 rows more hold %d bytes more", grown)
	}
	if rowBytes := int64(wide * 8); 45_000*rowBytes < 2*(45_000*40+inFlight) {
		t.Fatal("the bound would not see the features")
	}
}

func TestPartition(t *testing.T) {
	all := func(n int) (rows []int32) {
		for i := range n {
			rows = append(rows, int32(i))
		}
		return rows
	}
	fill := func(cells ...string) *partition {
		t.Helper()
		p := newPartition("c")
		for _, cell := range cells {
			if err := p.add(cell); err != nil {
				t.Fatal(err)
			}
		}
		return p
	}
	text := func(parts []slice) string {
		var out []string
		for _, s := range parts {
			out = append(out, fmt.Sprintf("%s: %d", s.value, len(s.rows)))
		}
		return strings.Join(out, "; ")
	}
	if got := text(fill("a", "b", "b", "").slices(all(4))); got != "b: 2; a: 1; (none): 1" {
		t.Error(got)
	}
	if got := text(fill("1", "0", "1", "1").slices(all(4))); got != "1: 3; 0: 1" { // few numbers are values
		t.Error(got)
	}
	var many, texts []string
	for i := range 100 {
		many = append(many, fmt.Sprint(i))
		texts = append(texts, fmt.Sprintf("t%d", i))
	}
	if got := text(fill(append(many, "")...).slices(all(101))); got != "0 to 24.75: 25; over 24.75 to 49.5: 25; over 49.5 to 74.25: 25; over 74.25 to 99: 25; (none): 1" {
		t.Error(got)
	}
	zeros := slices.Repeat([]string{"0"}, 80)
	if got := text(fill(append(zeros, many[:20]...)...).slices(all(100))); got != "0 to 0: 81; over 0 to 19: 19" { // quartiles that are one
		t.Error(got)
	}
	if got := fill(texts...).slices(all(100)); len(got) != mostSlices || got[mostSlices-1].value != "(81 others)" || len(got[mostSlices-1].rows) != 81 {
		t.Error(text(got))
	}
	p := newPartition("c")
	var err error
	for i := 0; i <= mostValues && err == nil; i++ {
		err = p.add(fmt.Sprintf("t%d", i))
	}
	if err == nil {
		t.Error("any number of texts is divided by")
	}
	p = newPartition("c")
	for i := range 3 * mostValues {
		if err := p.add(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.slices(all(3 * mostValues)); len(got) != 4 {
		t.Error(text(got))
	}
	if p.add("word") == nil {
		t.Error("a text after many numbers is divided by")
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		ends [2]float64
		want []float64
	}{
		{[2]float64{0, 1}, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{[2]float64{0, 2.9}, []float64{0, 0.5, 1, 1.5, 2, 2.5}},
		{[2]float64{-0.004, 0.031}, []float64{0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03}},
		{[2]float64{0, 52000}, []float64{0, 10000, 20000, 30000, 40000, 50000}},
		{[2]float64{3, 3}, nil},
	} {
		got := ticks(c.ends)
		if len(got) != len(c.want) {
			t.Errorf("%v: %v, want %v", c.ends, got, c.want)
			continue
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-9*math.Abs(c.ends[1]) || math.Signbit(got[i]) {
				t.Errorf("%v: %v, want %v", c.ends, got, c.want)
			}
		}
	}
}

// A plot is XML, whatever the names are.
func TestPlotIsXML(t *testing.T) {
	m := &measuredProbability{column: "y"}
	var rows []int32
	for i := range 100 {
		rows = append(rows, int32(i))
		m.p[0] = append(m.p[0], float64(i)/100)
		m.events = append(m.events, i%3 == 0)
	}
	r := &evalReport{Versions: []string{`a<b>&"c"@1`}, Head: "x<y", Evaluated: 100, Deciles: [][]decile{{{Lift: 1}, {Lift: numeric(math.NaN())}}}}
	decoder := xml.NewDecoder(strings.NewReader(string(drawPlot(r, panelsOf(r, m, rows)))))
	texts := 0
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if c, ok := token.(xml.CharData); ok && strings.Contains(string(c), "NaN") {
			t.Errorf("%s", c)
		}
		if s, ok := token.(xml.StartElement); ok && s.Name.Local == "text" {
			texts++
		}
	}
	if texts < 20 {
		t.Errorf("%d texts", texts)
	}
}

func TestNumericText(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0.0000", 0.85449: "0.8545", 0.0083: "0.0083", 1: "1.000", 12.3456: "12.35", 999.96: "1000.0", 123456: "123456", -0.5: "-0.5000", 3.7e-6: "3.7e-06",
		math.Inf(1): "–", math.NaN(): "–",
	} {
		if got := numeric(x).text(); got != want {
			t.Errorf("%g: %s, want %s", x, got, want)
		}
	}
}

// Targets and treatments as people write them.
func TestTargets(t *testing.T) {
	p := &measuredProbability{}
	for cell, want := range map[string][2]bool{"1": {true, true}, "1.0": {true, true}, "YES": {true, true}, "True": {true, true}, "0": {false, true}, "no": {false, true}, "2": {false, false}, "maybe": {false, false}} {
		if event, known := p.event(cell); event != want[0] || known != want[1] {
			t.Errorf("%q: %v, %v", cell, event, known)
		}
	}
	one, two := &measuredUplift{names: []string{"call"}}, &measuredUplift{names: []string{"call", "mail"}}
	for cell, want := range map[string]int32{"call": 0, "": -1, "Control": -1, "0": -1} {
		if k, known := two.treatment(cell); k != want || !known {
			t.Errorf("%q: %d, %v", cell, k, known)
		}
	}
	if k, known := one.treatment("1"); k != 0 || !known {
		t.Error("1 is not the only treatment")
	}
	if _, known := two.treatment("1"); known {
		t.Error("1 is one of two treatments")
	}
	f := &measuredForecast{columns: 1}
	for cell, want := range map[string]int{"[1, 2.5, null]": 3, "4": 1, "[null]": -1, "": -1, "[1": -1, "x": -1} {
		truth, left := f.truth([]string{cell})
		if (left != "") != (want < 0) || want > 0 && len(truth) != want {
			t.Errorf("%q: %v, %q", cell, truth, left)
		}
	}
	if kindOf(&bundlev1.Head{Kind: &bundlev1.Head_Embedding{}}) != "" {
		t.Error("an embedding can be measured")
	}
}
