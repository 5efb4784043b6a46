package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/evaluate"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// commandLine builds the command line once a run and returns what calls it.
func commandLine(t *testing.T, d *daemon) func(exit int, args ...string) (stdout, stderr string) {
	t.Helper()
	program := filepath.Join(scratch, "scry")
	if out, err := exec.Command("go", "build", "-o", program, "../scry").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return func(exit int, args ...string) (string, string) {
		t.Helper()
		cmd := exec.Command(program, append(args, "--server", d.app.GRPCAddr())...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		code := 0
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			code = failed.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != exit {
			t.Fatalf("scry %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, exit, out, &stderr)
		}
		return string(out), stderr.String()
	}
}

// csvFile writes rows into a file and returns its name.
func csvFile(t *testing.T, name string, rows [][]string) string {
	t.Helper()
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// evaluation is what the tests read of `scry eval -o json`.
type evaluation struct {
	Versions  []string
	Kind      string
	Rows      int
	Evaluated int
	LeftOut   []struct {
		Reason string
		Count  int
		First  []struct{ ID, Why string }
	} `json:"left_out"`
	Overall struct {
		Metrics []struct {
			Name, About string
			Values      []struct{ Value, Low, High *float64 }
			Difference  *struct{ Value, Low, High *float64 }
		}
		Calibration []struct {
			Error, Chance float64
			ChanceHigh    float64 `json:"chance_high"`
		}
	}
	Slices []struct {
		Column, Value string
		Rows          int
	}
}

func (e *evaluation) metric(t *testing.T, name, about string, version int) float64 {
	t.Helper()
	for _, m := range e.Overall.Metrics {
		if m.Name == name && m.About == about {
			if v := m.Values[version]; v.Value != nil {
				return *v.Value
			}
		}
	}
	t.Fatalf("no %s %s among %+v", name, about, e.Overall.Metrics)
	return 0
}

func readJSON(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// manyHeads reads a graph that multiplies four numbers by 1, 2, 3 and 4 as heads
// of every kind that can be measured.
const manyHeads = `
graphs: {model: {file: model.onnx}}
heads:
  spend: {source: model.y, value: {unit: EUR, quantile_interval: {lower_column: 1, upper_column: 2, level: 0.8}}}
  kind: {source: model.y, classes: {names: [w, x, y, z], activation: ACTIVATION_SOFTMAX}}
  weeks: {source: model.y, forecast: {unit: orders, horizon: 2, quantiles: [0.1, 0.5]}}
  offer: {source: model.y, uplift: {value: %s, treatments: [{name: call, column: 0}, {name: mail, column: 1}]}}
  group: {source: model.y, segment: {nearest: {}, clusters: [{name: a, centroid: [0, 0, 0, 0]}]}}
row:
  matrix_input: x
  features: [{name: a, type: FEATURE_TYPE_FLOAT}, {name: b, type: FEATURE_TYPE_FLOAT}, {name: c, type: FEATURE_TYPE_FLOAT}, {name: d, type: FEATURE_TYPE_FLOAT, required: true}]
`

// TestEval has the built command line measure heads of every kind on a served
// model whose answers are known, and compares with what they should measure.
func TestEval(t *testing.T) {
	d := start(t)
	scry := commandLine(t, d)
	d.deploy("many", graph(t, "external").with("external.bin", string(readBinary(t, "../../gpu/gputest/testdata/external.bin"))).with("bundle.yaml", fmt.Sprintf(manyHeads, "1")))

	random := rand.New(rand.NewPCG(1, 1))
	const n = 3000 // more than one call holds
	rows := [][]string{{"id", "a", "b", "c", "d", "spent", "was", "next", "bought", "treatment", "region"}}
	y := make([][]float64, n)
	spent, bought, was := make([]float64, n), make([]float64, n), make([]int32, n)
	treated := make([]int, n)
	next := make([][]float64, n)
	classes := []string{"w", "x", "y", "z"}
	for i := range n {
		x := [4]float64{}
		y[i] = make([]float64, 4)
		for k := range x {
			x[k] = float64(float32(math.Round(100*random.NormFloat64()) / 64)) // exact in float32, also times 4
			y[i][k] = x[k] * float64(k+1)
		}
		spent[i] = math.Round(100*(y[i][0]+random.NormFloat64())) / 100
		was[i] = int32(random.IntN(4))
		next[i] = []float64{math.Round(10 * random.Float64()), math.NaN()}
		text := fmt.Sprintf("[%g, null]", next[i][0])
		treated[i] = random.IntN(3) - 1
		if random.Float64() < 0.3 {
			bought[i] = 1
		}
		rows = append(rows, []string{
			fmt.Sprintf("r%d", i), fmt.Sprint(x[0]), fmt.Sprint(x[1]), fmt.Sprint(x[2]), fmt.Sprint(x[3]), fmt.Sprint(spent[i]), classes[was[i]], text,
			fmt.Sprint(bought[i]), []string{"none", "call", "mail"}[treated[i]+1], []string{"north", "south"}[i%2],
		})
	}
	good := csvFile(t, "good.csv", rows)
	all := evaluate.All(n)
	column := func(k int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = y[i][k]
		}
		return out
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if !(math.Abs(got-want) <= 1e-6*max(1, math.Abs(want))) {
			t.Errorf("%s: %g, want %g", what, got, want)
		}
	}
	run := func(exit int, args ...string) (e evaluation) {
		t.Helper()
		out, _ := scry(exit, append([]string{"eval", "many", "-o", "json", "--resamples", "20"}, args...)...)
		readJSON(t, out, &e)
		return e
	}

	inside := make([]bool, n)
	for i := range inside {
		lower, upper := min(y[i][1], y[i][2]), max(y[i][1], y[i][2])
		inside[i] = lower <= spent[i] && spent[i] <= upper
	}
	values := evaluate.NewValues(all, column(0), spent, inside)
	e := run(0, good, "--head", "spend", "--target", "spent", "--slice", "region")
	for j, want := range values.Measure(nil) {
		near(values.Metrics()[j], e.metric(t, values.Metrics()[j], "", 0), want)
	}
	if e.Evaluated != n || len(e.Slices) != 2 || e.Slices[0].Rows != n/2 || e.Kind != "value" {
		t.Errorf("%+v", e)
	}

	predicted, losses := make([]int32, n), make([]float64, n)
	for i := range n {
		sum := 0.0
		for k, z := range y[i] {
			sum += math.Exp(z)
			if z > y[i][predicted[i]] {
				predicted[i] = int32(k)
			}
		}
		losses[i] = evaluate.Loss(math.Exp(y[i][was[i]])/sum, true)
	}
	measured := evaluate.NewClasses(all, was, predicted, losses, 4)
	e = run(0, good, "--head", "kind", "--target", "was")
	for j, want := range measured.Measure(nil) {
		near(measured.Metrics()[j], e.metric(t, measured.Metrics()[j], "", 0), want)
	}

	var errorSum, truthSum, pinball float64
	for i := range n {
		low, middle := y[i][0], max(y[i][0], y[i][1]) // quantiles are put in order
		low = min(low, y[i][1])
		errorSum += math.Abs(next[i][0] - middle)
		truthSum += next[i][0]
		pinball += (evaluate.PinballLoss(next[i][0], low, 0.1) + evaluate.PinballLoss(next[i][0], middle, 0.5)) / 2
	}
	e = run(0, good, "--head", "weeks", "--target", "next")
	near("WAPE", e.metric(t, "WAPE", "", 0), errorSum/truthSum)
	near("pinball", e.metric(t, "pinball loss", "", 0), pinball/n)
	// One column a point says the same.
	e = run(0, good, "--head", "weeks", "--target", "spent,bought")
	wide := 0.0
	for i := range n {
		wide += math.Abs(spent[i]-max(y[i][0], y[i][1])) + math.Abs(bought[i]-max(y[i][2], y[i][3]))
	}
	near("MAE", e.metric(t, "MAE", "", 0), wide/(2*n))

	qini := func(treatment int, sign float64) float64 {
		var part []int32
		had, effects, outcomes := make([]bool, n), make([]float64, n), make([]float64, n)
		for i := range n {
			had[i], effects[i], outcomes[i] = treated[i] == treatment, sign*y[i][treatment], sign*bought[i]
			if treated[i] == treatment || treated[i] < 0 {
				part = append(part, int32(i))
			}
		}
		return evaluate.NewUplift(part, effects, outcomes, had).Measure(nil)[0]
	}
	e = run(0, good, "--head", "offer", "--target", "bought", "--treatment", "treatment")
	near("Qini of call", e.metric(t, "Qini", "call", 0), qini(0, 1))
	near("Qini of mail", e.metric(t, "Qini", "mail", 0), qini(1, 1))

	// A second version stands beside the routed one. Where outcomes are losses the
	// best effects are the lowest.
	second, err := d.push("many", graph(t, "external").with("external.bin", string(readBinary(t, "../../gpu/gputest/testdata/external.bin"))).with("bundle.yaml", fmt.Sprintf(manyHeads, "-1")))
	if err != nil {
		t.Fatal(err)
	}
	out, _ := scry(0, "eval", fmt.Sprintf("many@%d", second), good, "--head", "offer", "--target", "bought", "--treatment", "treatment", "-o", "json", "--resamples", "0")
	e = evaluation{}
	readJSON(t, out, &e)
	near("Qini of call", e.metric(t, "Qini", "call", 0), qini(0, -1))
	if len(e.Versions) != 2 || e.Versions[1] != "many@1" {
		t.Errorf("versions %v", e.Versions)
	}

	// Every kind has a plot.
	for head, args := range map[string][]string{"spend": {"--target", "spent"}, "kind": {"--target", "was"}, "weeks": {"--target", "next"}, "offer": {"--target", "bought", "--treatment", "treatment"}} {
		file := filepath.Join(t.TempDir(), head+".svg")
		printed, _ := scry(0, append([]string{"eval", fmt.Sprintf("many@%d", second), good, "--head", head, "--plot", file, "--resamples", "10", "--slice", "region,a"}, args...)...)
		svg, err := os.ReadFile(file)
		if err != nil || !bytes.HasSuffix(svg, []byte("</svg>\n")) || bytes.Contains(svg, []byte("NaN")) || !bytes.Contains(svg, []byte("line1")) {
			t.Errorf("%s: %v\n%s", head, err, svg)
		}
		if !strings.Contains(printed, "region north") || !strings.Contains(printed, "a over") {
			t.Errorf("%s:\n%s", head, printed)
		}
	}

	// Rows that fail are named by both sides: what the command line cannot send, and
	// what the server refuses.
	bad := append([][]string{}, rows[:8]...)
	for i := range bad {
		bad[i] = append([]string{}, bad[i]...)
	}
	bad[1][1] = "many"
	bad[2][4] = ""
	bad[3][5] = ""
	bad[4][5] = "much"
	file := csvFile(t, "bad.csv", bad)
	e = run(3, file, "--head", "spend", "--target", "spent", "--alone")
	if e.Rows != 7 || e.Evaluated != 3 || len(e.LeftOut) != 3 {
		t.Fatalf("%+v", e)
	}
	_, said := scry(3, "eval", "many", file, "--head", "spend", "--target", "spent")
	for _, want := range []string{
		`left out, failed with many@1: 2 rows: r0 (features["a"]: "many" is not a number); r1 (`, "left out, no target: 1 row: r2", `left out, target is no number: 1 row: r3 ("much")`,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	for want, args := range map[string][]string{
		"is one of 1 segment: there is no truth":      {"--head", "group", "--target", "was"},
		"which answer? Say --head kind or --head":     {"--target", "was"},
		"an uplift needs --treatment":                 {"--head", "offer", "--target", "bought"},
		`there is no column "nowhere"`:                {"--head", "kind", "--target", "was", "--slice", "nowhere"},
		"a value has one target, not 2":               {"--head", "spend", "--target", "spent,was"},
		"--positive is for a probability, not for va": {"--head", "spend", "--target", "spent", "--positive", "1"},
	} {
		if _, said := scry(2, append([]string{"eval", "many", good}, args...)...); !strings.Contains(said, want) {
			t.Errorf("%v: %s", args, said)
		}
	}
	none := csvFile(t, "none.csv", [][]string{{"a", "b", "c", "d", "bought", "treatment"}, {"1", "1", "1", "1", "1", "call"}, {"1", "1", "1", "1", "0", "call"}})
	if _, said := scry(1, "eval", "many", none, "--head", "offer", "--target", "bought", "--treatment", "treatment"); !strings.Contains(said, "0 of 2 rows had no treatment and 2 had one") {
		t.Error(said)
	}

	// A value has percentiles only, and needs no target for them.
	out, _ = scry(0, "calibrate", "many", good, "--head", "spend", "-o", "json")
	var made struct{ To string }
	readJSON(t, out, &made)
	got, err := d.store.GetVersion(d.ctx(), &modelstorev1.GetVersionRequest{Model: "many", Version: strings.TrimPrefix(made.To, "many@")})
	if err != nil {
		t.Fatal(err)
	}
	table := got.GetVersion().GetManifest().GetHeads()["spend"].GetValue().GetQuantiles()
	want := evaluate.Quantiles(column(0), 101)
	for i := range want {
		near(fmt.Sprintf("quantile %d", i), table[i], want[i])
	}
}

func readBinary(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// madeUp returns rows within what a model saw in training, as CSV with a header.
func madeUp(features []*bundlev1.Feature, n int, seed uint64) [][]string {
	random := rand.New(rand.NewPCG(seed, 0))
	rows := [][]string{nil}
	for _, f := range features {
		rows[0] = append(rows[0], f.GetName())
	}
	for range n {
		var row []string
		for _, f := range features {
			x := f.GetMin() + random.Float64()*(f.GetMax()-f.GetMin())
			switch {
			case len(f.GetCategories()) > 0:
				row = append(row, f.GetCategories()[random.IntN(len(f.GetCategories()))])
			case f.GetType() == bundlev1.FeatureType_FEATURE_TYPE_INT:
				row = append(row, fmt.Sprintf("%.0f", x))
			default:
				row = append(row, fmt.Sprintf("%.2f", x))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// TestCalibrate draws outcomes that are off from what the churn model says by a
// line in log-odds: calibrating must find the line, send the manifest alone, and
// make a version that is about as good as a perfect one on other rows.
func TestCalibrate(t *testing.T) {
	d := start(t)
	scry := commandLine(t, d)
	f := churn(t)
	d.deploy("churn", f)
	manifest, err := bundle.ParseManifest(f["bundle.yaml"])
	if err != nil {
		t.Fatal(err)
	}
	const slope, intercept = 0.5, -0.7
	file := func(n int, seed uint64) string {
		rows := madeUp(manifest.GetRow().GetFeatures(), n, seed)
		var instances []*scoringv1.Instance
		for _, row := range rows[1:] {
			fields := make(map[string]any)
			for k, cell := range row {
				fields[rows[0][k]] = cell
				if len(manifest.GetRow().GetFeatures()[k].GetCategories()) == 0 {
					fields[rows[0][k]] = json.Number(cell)
				}
			}
			s, err := structpb.NewStruct(numbered(fields))
			if err != nil {
				t.Fatal(err)
			}
			instances = append(instances, &scoringv1.Instance{Features: s})
		}
		resp, err := d.scorer.Score(d.ctx(), &scoringv1.ScoreRequest{Model: "churn", Version: "1", Instances: instances})
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(seed, 1))
		rows[0] = append(rows[0], "Churn")
		for i, r := range resp.GetResults() {
			p := 1 / (1 + math.Exp(-(slope*r.GetHeads()["churn"].GetProbability().GetRawScore() + intercept)))
			rows[i+1] = append(rows[i+1], map[bool]string{true: "Yes", false: "No"}[random.Float64() < p])
		}
		return csvFile(t, "customers.csv", rows)
	}
	training, fresh := file(5000, 1), file(5000, 2)

	out, _ := scry(0, "calibrate", "churn", training, "--target", "Churn", "-o", "json")
	var report struct {
		To, Method string
		Created    bool
		Sent       int `json:"sent_bytes"`
		Maps       []struct {
			Name    string
			LogLoss float64 `json:"log_loss"`
		}
	}
	readJSON(t, out, &report)
	if report.To != "churn@2" || report.Method != "platt" || !report.Created || report.Maps[1].LogLoss >= report.Maps[0].LogLoss {
		t.Errorf("%+v", report)
	}
	got, err := d.store.GetVersion(d.ctx(), &modelstorev1.GetVersionRequest{Model: "churn", Version: "2"})
	if err != nil {
		t.Fatal(err)
	}
	head := got.GetVersion().GetManifest().GetHeads()["churn"]
	line := head.GetProbability().GetCalibration().GetLogistic()
	if math.Abs(line.GetSlope()-slope) > 0.06 || math.Abs(line.GetIntercept()-intercept) > 0.1 || head.GetSource() != "model.log_odds" || got.GetVersion().GetRouted() {
		t.Errorf("%v, routed %v", head.GetProbability().GetCalibration(), got.GetVersion().GetRouted())
	}
	for _, file := range got.GetVersion().GetFiles() {
		if file.GetPath() == bundle.ManifestFile && int64(report.Sent) != file.GetSize() {
			t.Errorf("%d bytes were sent; the manifest has %d", report.Sent, file.GetSize())
		}
	}

	// On rows that it has not seen the new version is calibrated, and the old not.
	var e evaluation
	out, _ = scry(0, "eval", "churn@2", fresh, "--target", "Churn", "-o", "json")
	readJSON(t, out, &e)
	if c := e.Overall.Calibration; len(c) != 2 || c[0].Error > 1.3*c[0].ChanceHigh || c[1].Error < 2*c[1].ChanceHigh {
		t.Errorf("calibration %+v", c)
	}
	if a, b := e.metric(t, "AUC", "", 0), e.metric(t, "AUC", "", 1); math.Abs(a-b) > 1e-9 { // a map keeps the order
		t.Errorf("AUC %g and %g", a, b)
	}
	for _, m := range e.Overall.Metrics {
		if m.Name == "log-loss" && !(*m.Difference.High < 0) {
			t.Errorf("the log-loss differs by %g, %g to %g", *m.Difference.Value, *m.Difference.Low, *m.Difference.High)
		}
	}

	// The percentile of a row is its place among the rows.
	resp, err := d.scorer.Score(d.ctx(), &scoringv1.ScoreRequest{Model: "churn", Version: "2", Instances: []*scoringv1.Instance{customer(t, "c")}})
	if err != nil {
		t.Fatal(err)
	}
	p := resp.GetResults()[0].GetHeads()["churn"].GetProbability()
	if want := 1 / (1 + math.Exp(-(line.GetSlope()*p.GetRawScore() + line.GetIntercept()))); math.Abs(p.GetProbability()-want) > 1e-9 || p.Percentile == nil || p.GetBand() == "" {
		t.Errorf("%v, want %g", p, want)
	}

	// Isotonic regression, activated: the graph's probability is no source any more,
	// and a version of a version is made in the same way.
	out, _ = scry(0, "calibrate", "churn@2", training, "--target", "Churn", "--method", "isotonic", "--activate", "-o", "json")
	var second struct {
		To        string
		Activated bool
	}
	readJSON(t, out, &second)
	if second.To != "churn@3" || !second.Activated {
		t.Errorf("%+v", second)
	}
	out, _ = scry(0, "eval", "churn", fresh, "--target", "Churn", "-o", "json", "--resamples", "0")
	e = evaluation{}
	readJSON(t, out, &e)
	if c := e.Overall.Calibration; len(e.Versions) != 1 || e.Versions[0] != "churn@3" || c[0].Error > 1.5*c[0].ChanceHigh {
		t.Errorf("%v: %+v", e.Versions, c)
	}

	// A source that is a probability, without another score, is mapped by points.
	plain := strings.Replace(string(f["bundle.yaml"]), "raw_score: model.log_odds", "", 1)
	d.deploy("plain", f.with("bundle.yaml", plain))
	scry(0, "calibrate", "plain", training, "--target", "Churn", "--activate")
	out, _ = scry(0, "eval", "plain", fresh, "--target", "Churn", "-o", "json", "--resamples", "0")
	var points evaluation
	readJSON(t, out, &points)
	if c := points.Overall.Calibration; c[0].Error > 1.3*c[0].ChanceHigh {
		t.Errorf("%+v", c)
	}
}

// numbered makes Go numbers of JSON ones.
func numbered(fields map[string]any) map[string]any {
	for name, v := range fields {
		if n, ok := v.(json.Number); ok {
			x, _ := n.Float64()
			fields[name] = x
		}
	}
	return fields
}
