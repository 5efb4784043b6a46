package pipeline_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	"github.com/scry-ml/scry/tensor"
)

// texts opens a model of texts; settings are lines of the manifest's text.
func texts(t testing.TB, limits pipeline.Limits, settings ...string) *pipeline.Pipeline {
	t.Helper()
	graph := pipelinetest.Graph([]bundle.Value{
		value("input_ids", tensor.Int64, -1, -1), value("attention_mask", tensor.Int64, -1, -1), value("token_type_ids", tensor.Int32, -1, -1),
	}, []bundle.Value{value("y", tensor.Float32, -1, 3)})
	manifest := "text: {tokenizer: tokenizer.json, " + strings.Join(settings, ", ") + "}\n"
	p, err := pipelinetest.Open(pipelinetest.Files(graph, manifest, map[string]string{"tokenizer.json": pipelinetest.Tokenizer}), limits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		name, prefix, text string
		ids                string
	}{
		{name: "words", text: "Hello, world", ids: "[2 4 6 5 3]"},
		{name: "prefix", prefix: "hello", text: " world", ids: "[2 4 5 3]"},
		{name: "white space", text: " \t\n\u00a0", ids: "[2 3]"},
		{name: "white space after a prefix", prefix: "hello", text: "  ", ids: "[2 4 3]"},
		{name: "as long as the model takes", text: strings.Repeat("hello ", 6), ids: "[2 4 4 4 4 4 4 3]"},
		{name: "a token too long", text: strings.Repeat("hello ", 7), ids: "[2 4 4 4 4 4 4 3]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := texts(t, pipeline.Limits{}, "max_length: 8", "prefix: '"+c.prefix+"'")
			got, err := p.Text(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if ids := show(p, got, "input_ids"); ids != c.ids {
				t.Errorf("ids %s, want %s", ids, c.ids)
			}
			n := strings.Count(c.ids, " ") + 1
			if ones := "[" + strings.TrimSpace(strings.Repeat("1 ", n)) + "]"; show(p, got, "attention_mask") != ones {
				t.Errorf("mask %s", show(p, got, "attention_mask"))
			}
			if got.Length != n || got.Rows != 1 {
				t.Errorf("item of %d × %d, want %d", got.Rows, got.Length, n)
			}
		})
	}
}

func TestTextRefused(t *testing.T) {
	p := texts(t, pipeline.Limits{TextBytes: 20}, "max_length: 8")
	for text, want := range map[string]string{
		"": "TEXT_EMPTY text", strings.Repeat("a", 21): "TEXT_TOO_LONG text",
	} {
		if _, err := p.Text(text); reasonOf(err) != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := p.Text(strings.Repeat("a", 20)); err != nil {
		t.Error(err)
	}
	if _, err := open(t).Text("hello"); !errors.Is(err, pipeline.ErrInput) {
		t.Errorf("a text for a model of rows: %v", err)
	}
	if _, err := p.Image(t.Context(), []byte("x")); !errors.Is(err, pipeline.ErrInput) {
		t.Errorf("a picture for a model of texts: %v", err)
	}
	if _, _, err := p.Row(nil); !errors.Is(err, pipeline.ErrInput) {
		t.Errorf("a row for a model of texts: %v", err)
	}
	if _, err := p.Table(tableOf(t, `{"rows": 1}`)); !errors.Is(err, pipeline.ErrInput) {
		t.Errorf("a table for a model of texts: %v", err)
	}
}

// TestTextRepaired wants invalid UTF-8 to give what U+FFFD gives.
func TestTextRepaired(t *testing.T) {
	p := texts(t, pipeline.Limits{}, "max_length: 16")
	want, err := p.Text("caf\ufffd \ufffd ok")
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Text("caf\xe9 \xe2\x82 ok")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := show(p, got, "input_ids"), show(p, want, "input_ids"); a != b {
		t.Errorf("ids %s, want %s", a, b)
	}
}

// TestTextOf10MB wants it refused by the default limit, and read within seconds
// and little memory by a greater one.
func TestTextOf10MB(t *testing.T) {
	text := strings.Repeat("lorem ipsum ", 10<<20/12)
	if _, err := texts(t, pipeline.Limits{}, "max_length: 512").Text(text); reasonOf(err) != "TEXT_TOO_LONG text" {
		t.Errorf("error %v", err)
	}
	p := texts(t, pipeline.Limits{TextBytes: 16 << 20}, "max_length: 512")
	start := time.Now()
	got, err := p.Text(text)
	if err != nil || got.Length != 512 {
		t.Fatalf("%d tokens, %v", got.Length, err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestTextSettings(t *testing.T) {
	if got := texts(t, pipeline.Limits{}, "max_length: 8").Vocabulary(); got != 9 {
		t.Errorf("a vocabulary of %d", got)
	}
	p := texts(t, pipeline.Limits{}, "max_length: 8")
	item, err := p.Synthetic(3, 100)
	if err != nil || item.Length != 8 || item.Rows != 3 {
		t.Fatalf("%d × %d, %v", item.Rows, item.Length, err)
	}
	for _, id := range tensor.View[int64](item.Inputs[0]) {
		if id < 0 || id >= 9 {
			t.Errorf("id %d", id)
		}
	}
	graph := pipelinetest.Graph([]bundle.Value{value("input_ids", tensor.Int64, -1, -1)}, []bundle.Value{value("y", tensor.Float32, -1, 3)})
	for name, files := range map[string]map[string]string{
		"no room for words": {"tokenizer.json": pipelinetest.Tokenizer},
		"no tokenizer":      {"tokenizer.json": `{"version": "1.0"}`},
	} {
		_, err := pipelinetest.Open(pipelinetest.Files(graph, "text: {tokenizer: tokenizer.json, max_length: 2}\n", files), pipeline.Limits{})
		if !errors.Is(err, bundle.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The manifest may narrow the server's limit, never widen it.
	narrow := pipelinetest.Files(graph, "text: {tokenizer: tokenizer.json, max_length: 9}\nlimits: {max_item_bytes: 5, max_items: 2}\n", map[string]string{"tokenizer.json": pipelinetest.Tokenizer})
	p, err = pipelinetest.Open(narrow, pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Text("123456"); reasonOf(err) != "TEXT_TOO_LONG text" {
		t.Errorf("error %v", err)
	}
	if err := p.CheckCount("texts", 2); err != nil {
		t.Error(err)
	}
	if err := p.CheckCount("texts", 3); reasonOf(err) != "TOO_MANY_ITEMS texts" {
		t.Errorf("error %v", err)
	}
}

func BenchmarkText(b *testing.B) {
	p := texts(b, pipeline.Limits{}, "max_length: 256")
	const text = "The room was clean and the staff were friendly, but breakfast started late on both days."
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Text(text); err != nil {
			b.Fatal(err)
		}
	}
}

// TestEstimateTokens follows what was tokenised, within the model's bounds.
func TestEstimateTokens(t *testing.T) {
	p := texts(t, pipeline.Limits{}, "max_length: 64")
	want := func(bytes, tokens int) {
		t.Helper()
		if got, rows := p.EstimateTokens(bytes); got != tokens || rows != 1 {
			t.Errorf("%d bytes are taken for %d tokens in %d rows, want %d in 1", bytes, got, rows, tokens)
		}
	}
	want(100, 20) // nothing is known
	want(1, 3)    // special ones and one more
	want(1<<20, 64)
	if _, err := p.Text(strings.Repeat("hello ", 18)); err != nil { // 108 bytes, 20 tokens
		t.Fatal(err)
	}
	want(108, 20)
	want(216, 40)
	if _, err := p.Text(strings.Repeat("hello ", 1000)); err != nil { // cut: it says nothing
		t.Fatal(err)
	}
	want(216, 40)
	dense := strings.Repeat("?", 30) // a token a byte
	for range 2 << 20 / len(dense) {
		if _, err := p.Text(dense); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := p.EstimateTokens(30); got < 30 || got > 33 {
		t.Errorf("30 dense bytes are taken for %d tokens", got)
	}
}

// TestEstimateOfChunks wants the estimate to be what AppendText makes, a row more in
// twenty at most, and that to be the same whether or not a long text was expected:
// nothing is known of the first.
func TestEstimateOfChunks(t *testing.T) {
	for _, prefix := range []string{"", "hello fine"} {
		p := texts(t, pipeline.Limits{}, "max_length: 64", "stride: 16", "prefix: '"+prefix+"'")
		first, _, err := p.AppendText(nil, "text", strings.Repeat(" ,", 70))
		if err != nil {
			t.Fatal(err)
		}
		if again, _, err := p.AppendText(nil, "text", strings.Repeat(" ,", 70)); err != nil || len(first) != 2 || !reflect.DeepEqual(inputs(again), inputs(first)) {
			t.Errorf("the same text has %d rows, then %d, %v", len(first), len(again), err)
		}
		for _, n := range []int{10, 59, 70, 105, 106, 107, 300, 1000} {
			items, cut, err := p.AppendText(nil, "text", strings.Repeat(" ,", n))
			if err != nil || cut {
				t.Fatal(cut, err)
			}
			read := 0
			for _, item := range items {
				read += item.Length
			}
			if tokens, rows := p.EstimateTokens(2 * n); rows > len(items)+len(items)/20 || rows < len(items) || tokens > read+read/10+4 || tokens < read-read/10-4 {
				t.Errorf("prefix %q, %d words: %d tokens in %d rows, estimated %d in %d", prefix, n, read, len(items), tokens, rows)
			}
		}
		// Expected to be long, and is not.
		fits := texts(t, pipeline.Limits{}, "max_length: 64", "stride: 16", "prefix: '"+prefix+"'")
		long := strings.Repeat("hello ", 55)
		want, _, err := fits.AppendText(nil, "text", long)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := p.AppendText(nil, "text", long); err != nil || len(got) != 1 || !reflect.DeepEqual(inputs(got), inputs(want)) {
			t.Errorf("prefix %q: %d rows, %v", prefix, len(got), err)
		}
	}
}

func inputs(items []pipeline.Item) (out [][]tensor.Tensor) {
	for _, item := range items {
		out = append(out, item.Inputs)
	}
	return out
}

// TestTextCutLeft: the tokenizer says which end is cut off.
func TestTextCutLeft(t *testing.T) {
	graph := pipelinetest.Graph([]bundle.Value{value("input_ids", tensor.Int64, -1, -1)}, []bundle.Value{value("y", tensor.Float32, -1, 3)})
	left := strings.Replace(pipelinetest.Tokenizer, `"stride": 0`, `"stride": 0, "direction": "Left"`, 1)
	p, err := pipelinetest.Open(pipelinetest.Files(graph, "text: {tokenizer: tokenizer.json, max_length: 6}\n", map[string]string{"tokenizer.json": left}), pipeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"hello fine world , bad":       "[2 7 5 6 8 3]",
		"hello hello fine world , bad": "[2 7 5 6 8 3]",
		"fine world , bad":             "[2 7 5 6 8 3]",
	} {
		got, err := p.Text(text)
		if err != nil {
			t.Fatal(err)
		}
		if ids := show(p, got, "input_ids"); ids != want {
			t.Errorf("%q: ids %s, want %s", text, ids, want)
		}
	}
}
