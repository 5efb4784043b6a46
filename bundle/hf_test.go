package bundle

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// folder is a copy of one that an exporter wrote, to be changed: "" takes a file
// away, a map changes fields of a file of JSON (nil takes one away).
func folder(t *testing.T, name string, changes map[string]any) fstest.MapFS {
	t.Helper()
	dir, from := fstest.MapFS{}, os.DirFS("testdata/hf/"+name)
	err := fs.WalkDir(from, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, name)
		dir[name] = &fstest.MapFile{Data: content, Mode: 0o444}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range changes {
		switch change := change.(type) {
		case string:
			if delete(dir, name); change != "" {
				dir[name] = &fstest.MapFile{Data: []byte(change), Mode: 0o444}
			}
		case map[string]any:
			fields := map[string]any{}
			if f := dir[name]; f != nil {
				if err := json.Unmarshal(f.Data, &fields); err != nil {
					t.Fatal(err)
				}
			}
			for field, value := range change {
				if fields[field] = value; value == nil {
					delete(fields, field)
				}
			}
			content, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			dir[name] = &fstest.MapFile{Data: content, Mode: 0o444}
		}
	}
	return dir
}

// refused prepares a folder and expects an error about a field that says all
// that is wanted.
func refused(t *testing.T, dir fs.FS, hints *bundlev1.Hints, field string, wants ...string) {
	t.Helper()
	_, err := Prepare(dir, hints)
	var about *FieldError
	if !errors.As(err, &about) || about.Field != field || !errors.Is(err, ErrInvalid) {
		t.Errorf("%v, want an error about %s", err, field)
		return
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

type fields = map[string]any

// The length is the smallest that the files give; 10^30 is none.
func TestHuggingFaceLength(t *testing.T) {
	for _, c := range []struct {
		folder  string
		changes fields
		want    int32
	}{
		{"bert", nil, 40}, // tokenizer_config.json has 10^30
		{"bert", fields{"tokenizer_config.json": fields{"model_max_length": 24}}, 24},
		{"bert", fields{"tokenizer_config.json": fields{"model_max_length": 64}}, 40},
		{"bert", fields{"tokenizer_config.json": fields{"model_max_length": 64}, "config.json": fields{"max_position_embeddings": nil}}, 64},
		{"bert", fields{"tokenizer_config.json": "", "config.json": fields{"max_position_embeddings": nil}}, 512},
		{"roberta", nil, 40}, // of 42, less pad_token_id + 1
		{"roberta", fields{"config.json": fields{"model_type": "xlm-roberta"}, "tokenizer_config.json": fields{"tokenizer_class": "RobertaTokenizer"}}, 40},
		{"roberta", fields{"config.json": fields{"pad_token_id": 3}}, 38},
		{"roberta", fields{"config.json": fields{"pad_token_id": nil}}, 40}, // RoBERTa's default is 1
		{"roberta", fields{"config.json": fields{"model_type": "bert"}}, 42},
		{"sentences", nil, 24},
		{"sentences", fields{"sentence_bert_config.json": ""}, 40},
	} {
		p := prepare(t, folder(t, c.folder, c.changes), nil)
		if got := p.Manifest.GetText().GetMaxLength(); got != c.want {
			t.Errorf("%s with %v: %d tokens, want %d", c.folder, c.changes, got, c.want)
		}
	}
}

// Graphs that compute positions from pad ids are padded with them.
func TestHuggingFacePadding(t *testing.T) {
	for name, want := range map[string]float64{"bert": 0, "roberta": 1} {
		g := prepare(t, folder(t, name, nil), nil).Manifest.GetGraphs()["model"]
		if ids, mask := g.GetInputs()["input_ids"], g.GetInputs()["attention_mask"]; ids.GetPadValue() != want || ids.GetSequenceAxis() != 1 || mask.GetPadValue() != 0 || mask.GetSequenceAxis() != 1 {
			t.Errorf("%s: inputs %v", name, g.GetInputs())
		}
	}
}

// A tokenizer.json is taken, or made of older files, or asked for.
func TestHuggingFaceTokenizer(t *testing.T) {
	model := func(p *Prepared) (kind string, lower any) {
		text, err := fs.ReadFile(p.FS, p.Manifest.GetText().GetTokenizer())
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Normalizer struct{ Lowercase any }
			Model      struct{ Type string }
		}
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		return file.Model.Type, file.Normalizer.Lowercase
	}
	for _, c := range []struct {
		folder  string
		changes fields
		kind    string
		lower   any
		made    bool
	}{
		{"bert", nil, "WordPiece", true, false},
		{"bert", fields{"tokenizer.json": ""}, "WordPiece", true, true},
		{"bert", fields{"tokenizer.json": "", "tokenizer_config.json": fields{"do_lower_case": false}}, "WordPiece", false, true},
		{"bert", fields{"tokenizer.json": "", "tokenizer_config.json": fields{"do_lower_case": nil, "tokenizer_class": nil}}, "WordPiece", true, true},
		{"bert", fields{"tokenizer.json": "", "tokenizer_config.json": ""}, "WordPiece", true, true},
		{"roberta", nil, "BPE", nil, true},
	} {
		p := prepare(t, folder(t, c.folder, c.changes), nil)
		kind, lower := model(p)
		if kind != c.kind || lower != c.lower {
			t.Errorf("%s with %v: %s, lower %v", c.folder, c.changes, kind, lower)
		}
		if made := slices.Contains(p.Changed, "tokenizer.json"); made != c.made || slices.Contains(p.Uploads(), "tokenizer.json") == c.made {
			t.Errorf("%s with %v: changed %q, to be sent %q", c.folder, c.changes, p.Changed, p.Uploads())
		}
		// The server, which has only what was sent, infers the same.
		sent := fstest.MapFS{}
		for _, name := range p.Uploads() {
			content, err := fs.ReadFile(p.FS, name)
			if err != nil {
				t.Fatal(err)
			}
			sent[name] = &fstest.MapFile{Data: content, Mode: 0o444}
		}
		again := prepare(t, sent, nil)
		want, _ := fs.ReadFile(p.FS, "tokenizer.json")
		if got, _ := fs.ReadFile(again.FS, "tokenizer.json"); again.Manifest.String() != p.Manifest.String() || string(got) != string(want) {
			t.Errorf("%s with %v: the server infers another manifest: %v", c.folder, c.changes, again.Manifest)
		}
	}

	const line = `AutoTokenizer as T; T.from_pretrained("DIR", use_fast=True).save_pretrained("DIR")`
	for _, name := range sentencePieces {
		refused(t, folder(t, "bert", fields{"tokenizer.json": "", "vocab.txt": "", name: "x"}), nil, "text.tokenizer", name, line)
	}
	refused(t, folder(t, "bert", fields{"tokenizer.json": "", "tokenizer_config.json": fields{"tokenizer_class": "BertJapaneseTokenizer"}}), nil,
		"text.tokenizer", "BertJapaneseTokenizer", line)
	refused(t, folder(t, "roberta", fields{"tokenizer_config.json": fields{"tokenizer_class": "CLIPTokenizer"}}), nil, "text.tokenizer", "CLIPTokenizer", line)
	refused(t, folder(t, "bert", fields{"tokenizer.json": "", "tokenizer_config.json": fields{"never_split": []string{"x"}}}), nil, "tokenizer_config.json", "never_split")
	refused(t, folder(t, "bert", fields{"tokenizer.json": "", "vocab.txt": "good\nbad\n"}), nil, "vocab.txt", "lacks the special token")
	refused(t, folder(t, "bert", fields{"tokenizer.json": "", "added_tokens.json": `{"<x>": 90}`}), nil, "added_tokens.json", `"<x>"`)
	refused(t, folder(t, "roberta", fields{"merges.txt": "#version: 0.2\na b c\n"}), nil, "merges.txt", "line 2")
	refused(t, folder(t, "bert", fields{"tokenizer_config.json": "{"}), nil, "tokenizer_config.json", "JSON")
}

// Type ids other than 0 would be fed wrongly; a text that loses its beginning is
// told to the tokenizer.
func TestHuggingFaceTypesAndSides(t *testing.T) {
	xlnet := fields{"tokenizer.json": fields{"post_processor": fields{"type": "TemplateProcessing", "single": []any{
		fields{"Sequence": fields{"id": "A", "type_id": 0}}, fields{"SpecialToken": fields{"id": "[CLS]", "type_id": 2}},
	}}}}
	refused(t, folder(t, "bert", xlnet), nil, "text.token_type_ids", "export the graph without token_type_ids")
	if _, err := Prepare(folder(t, "distilbert", fields{"tokenizer_config.json": fields{"tokenizer_class": "DistilBertTokenizer"}}), nil); err != nil {
		t.Errorf("a graph without token_type_ids: %v", err)
	}
	for _, name := range []string{"bert", "distilbert"} {
		p := prepare(t, folder(t, name, fields{"tokenizer_config.json": fields{"truncation_side": "left"}}), nil)
		if text, err := fs.ReadFile(p.FS, "tokenizer.json"); err != nil || !strings.Contains(string(text), `"direction":"Left"`) && !strings.Contains(string(text), `"direction": "Left"`) {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Contains(p.Changed, "tokenizer.json") {
			t.Errorf("%s: changed %q", name, p.Changed)
		}
	}
}

// Labels come from config.json, whose defaults are left out, or from the hints.
func TestHuggingFaceLabels(t *testing.T) {
	two := fields{"config.json": fields{"id2label": nil, "label2id": nil}}
	refused(t, folder(t, "bert", two), nil, "config.json", "there are 2 by default", "3 columns")
	p := prepare(t, folder(t, "bert", fields{"config.json": fields{"id2label": nil, "num_labels": 3}}), nil)
	if got := p.Labels["classes"]; !slices.Equal(got, []string{"LABEL_0", "LABEL_1", "LABEL_2"}) || p.Manifest.GetHeads()["sentiment"] != nil {
		t.Errorf("labels %q, heads %v", got, p.Manifest.GetHeads())
	}
	refused(t, folder(t, "bert", fields{"config.json": fields{"id2label": fields{"0": "a", "1": "b", "3": "c"}}}), nil, "config.json", "none for 2")
	refused(t, folder(t, "bert", fields{"config.json": fields{"id2label": fields{"0": "a", "1": "b"}}}), nil, "config.json", "2 entries", "3 columns")

	p = prepare(t, folder(t, "bert", nil), &bundlev1.Hints{Labels: []string{"neg", "neu", "pos"}})
	want := []bundlev1.Polarity{bundlev1.Polarity_POLARITY_NEGATIVE, bundlev1.Polarity_POLARITY_NEUTRAL, bundlev1.Polarity_POLARITY_POSITIVE}
	if got := p.Manifest.GetHeads()["sentiment"].GetSentiment(); !slices.Equal(got.GetColumns(), want) || got.GetActivation() != bundlev1.Activation_ACTIVATION_SOFTMAX {
		t.Errorf("polarity %v", got)
	}
	refused(t, folder(t, "bert", nil), &bundlev1.Hints{Labels: []string{"neg", "pos"}}, "hints.labels", "2 labels for 3 columns")

	// Without config.json nothing names the columns.
	p = prepare(t, folder(t, "bert", fields{"config.json": ""}), nil)
	if len(p.Manifest.GetHeads()) > 0 || !strings.Contains(p.Manifest.String(), "nothing names the columns") {
		t.Errorf("heads without config.json: %v", p.Manifest)
	}
}

// What is applied to the graph's numbers is what transformers applies.
func TestHuggingFaceActivation(t *testing.T) {
	const none, soft, sigmoid, raw = bundlev1.Activation_ACTIVATION_UNSPECIFIED, bundlev1.Activation_ACTIVATION_SOFTMAX, bundlev1.Activation_ACTIVATION_SIGMOID, bundlev1.Activation_ACTIVATION_NONE
	for _, c := range []struct {
		problem string
		by      string
		labels  int
		want    bundlev1.Activation
	}{
		{"", "", 3, soft},
		{"single_label_classification", "", 2, soft},
		{"multi_label_classification", "", 3, sigmoid},
		{"", "", 1, sigmoid},
		{"regression", "", 1, raw},
		{"regression", "", 2, raw},
		{"", "Softmax", 3, none},
		{"multi_label_classification", "Sigmoid", 3, none},
		{"regression", "Sigmoid", 1, none},
	} {
		i := hfInference{manifest: &bundlev1.Manifest{Preprocessing: &bundlev1.Manifest_Text{Text: &bundlev1.Text{}}}, config: hfConfig{ProblemType: c.problem}}
		if got, _ := i.activation(Value{Name: "logits", made: made{by: Operator{Type: c.by}}}, c.labels); got != c.want {
			t.Errorf("%q after %q with %d labels: %v, want %v", c.problem, c.by, c.labels, got, c.want)
		}
	}
	p := prepare(t, folder(t, "bert", fields{"config.json": fields{"problem_type": "regression"}}), nil)
	if h := p.Manifest.GetHeads()["values"].GetLabels(); h.GetActivation() != raw || len(p.Manifest.GetHeads()) != 1 {
		t.Errorf("heads of a regression: %v", p.Manifest.GetHeads())
	}
}

// Polarity is taken from labels that say it, and never guessed.
func TestPolarities(t *testing.T) {
	const n, z, p = bundlev1.Polarity_POLARITY_NEGATIVE, bundlev1.Polarity_POLARITY_NEUTRAL, bundlev1.Polarity_POLARITY_POSITIVE
	for _, c := range []struct {
		labels string
		want   []bundlev1.Polarity
	}{
		{"negative neutral positive", []bundlev1.Polarity{n, z, p}},
		{"POS NEG", []bundlev1.Polarity{p, n}},
		{"Very_Negative Negative neutral Positive very-positive", []bundlev1.Polarity{n, n, z, p, p}},
		{"1_star 2_stars 3_stars 4_stars 5_stars", []bundlev1.Polarity{n, n, z, p, p}},
		{"5_звёзд 4_звезды 3_звезды 2_звезды 1_звезда", []bundlev1.Polarity{p, p, z, n, n}},
		{"нейтрально положительно отрицательно", []bundlev1.Polarity{z, p, n}},
		{"NEUTRAL Позитивный НЕГАТИВ", []bundlev1.Polarity{z, p, n}},
		{"LABEL_0 LABEL_1 LABEL_2", nil},
		{"negative positive spam", nil},
		{"positive neutral", nil},
		{"1 2 3 4 5", nil},
		{"1_star 2_stars 3_stars 4_stars", nil},
		{"1_star 1_star 3_stars 4_stars 5_stars", nil},
		{"1_star 2_stars neutral 4_stars 5_stars", nil},
	} {
		labels := strings.Fields(c.labels)
		if got := polarities(labels); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.labels, got, c.want)
		}
	}
}

// One graph is taken whatever its name and wherever it lies; of several one is
// named.
func TestHuggingFaceGraphs(t *testing.T) {
	dir := folder(t, "bert", nil)
	dir["model_optimized.onnx"] = dir["model.onnx"]
	refused(t, dir, nil, "graphs", "model.onnx, model_optimized.onnx")
	p := prepare(t, dir, &bundlev1.Hints{Graph: "model_optimized.onnx"})
	if got := p.Manifest.GetGraphs()["model"].GetFile(); got != "model_optimized.onnx" || slices.Contains(p.Uploads(), "model.onnx") {
		t.Errorf("the graph is %s, to be sent are %q", got, p.Uploads())
	}
	refused(t, dir, &bundlev1.Hints{Graph: "other.onnx"}, "hints.graph", `"model.onnx" and "model_optimized.onnx"`)
	delete(dir, "model.onnx")
	if got := prepare(t, dir, nil).Manifest.GetGraphs()["model"].GetFile(); got != "model_optimized.onnx" {
		t.Errorf("the only graph is %s", got)
	}
	dir["fp16/deep.onnx"] = dir["model_optimized.onnx"]
	if got := prepare(t, dir, &bundlev1.Hints{Graph: "fp16/deep.onnx"}).Manifest.GetGraphs()["model"].GetFile(); got != "fp16/deep.onnx" {
		t.Errorf("the named graph is %s", got)
	}
}

// Folders of sentence-transformers become embeddings, but where a module has no
// place.
func TestSentenceTransformers(t *testing.T) {
	module := func(kinds ...string) string {
		list := []fields{}
		for i, kind := range kinds {
			list = append(list, fields{"idx": i, "path": map[string]string{"Pooling": "1_Pooling"}[kind], "type": "sentence_transformers.models." + kind})
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const pooling = "1_Pooling/config.json"
	off := fields{"pooling_mode_mean_tokens": false}
	with := func(more fields) fields {
		out := fields{}
		maps.Copy(out, off)
		maps.Copy(out, more)
		return out
	}
	for _, c := range []struct {
		changes   fields
		pooling   bundlev1.Pooling
		normalize bool
		prefix    string
	}{
		{nil, bundlev1.Pooling_POOLING_MEAN, true, ""},
		{fields{"modules.json": module("Transformer", "Pooling")}, bundlev1.Pooling_POOLING_MEAN, false, ""},
		{fields{pooling: with(fields{"pooling_mode_cls_token": true})}, bundlev1.Pooling_POOLING_CLS, true, ""},
		{fields{pooling: `{"pooling_mode": "lasttoken"}`}, bundlev1.Pooling_POOLING_LAST, true, ""},
		{fields{"config_sentence_transformers.json": `{"prompts": {"query": "query: ", "doc": ""}, "default_prompt_name": "query"}`}, bundlev1.Pooling_POOLING_MEAN, true, "query: "},
		{fields{"config_sentence_transformers.json": `{"prompts": {"query": "query: "}, "default_prompt_name": null}`}, bundlev1.Pooling_POOLING_MEAN, true, ""},
	} {
		p := prepare(t, folder(t, "sentences", c.changes), nil)
		e := p.Manifest.GetHeads()["embedding"].GetEmbedding()
		if e.GetPooling() != c.pooling || e.GetNormalize() != c.normalize || p.Manifest.GetText().GetPrefix() != c.prefix {
			t.Errorf("%v: %v, prefix %q", c.changes, e, p.Manifest.GetText().GetPrefix())
		}
	}
	refused(t, folder(t, "sentences", fields{"modules.json": module("Transformer", "Pooling", "Dense")}), nil, "modules.json", "Dense", "sentence_embedding")
	refused(t, folder(t, "sentences", fields{pooling: fields{"pooling_mode_max_tokens": true}}), nil, pooling, `"max" and "mean"`)
	refused(t, folder(t, "sentences", fields{pooling: off}), nil, pooling)
	refused(t, folder(t, "sentences", fields{pooling: fields{"include_prompt": false}}), nil, pooling, "include_prompt")
	refused(t, folder(t, "sentences", fields{pooling: ""}), nil, "modules.json", "1_Pooling/config.json is missing")
	refused(t, folder(t, "sentences", fields{"config_sentence_transformers.json": `{"default_prompt_name": "query"}`}), nil, "config_sentence_transformers.json", `"query"`)
	refused(t, folder(t, "sentences", fields{"sentence_bert_config.json": fields{"do_lower_case": true}, "tokenizer_config.json": fields{"do_lower_case": false}}), nil,
		"sentence_bert_config.json", "do_lower_case")
	p := prepare(t, folder(t, "sentences", fields{"modules.json": ""}), nil)
	if len(p.Manifest.GetHeads()) > 0 {
		t.Errorf("without modules.json: %v", p.Manifest.GetHeads())
	}
}

// pictures is a folder of a graph of pictures of any size with that
// preprocessor_config.json.
func pictures(t *testing.T, config fields) fstest.MapFS {
	t.Helper()
	dir := folder(t, "vit", fields{"preprocessor_config.json": ""})
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	dir["preprocessor_config.json"] = &fstest.MapFile{Data: text, Mode: 0o444}
	return dir
}

// Every form of size, and what a type means where its file is silent.
func TestPreprocessor(t *testing.T) {
	const stretch, edge = bundlev1.ResizeMode_RESIZE_MODE_UNSPECIFIED, bundlev1.ResizeMode_RESIZE_MODE_SHORTEST_EDGE
	for _, c := range []struct {
		config fields
		want   *bundlev1.Resize
		crop   int32
	}{
		{fields{"image_processor_type": "ViTImageProcessor", "size": 16}, &bundlev1.Resize{Width: 16, Height: 16, Filter: bundlev1.Filter_FILTER_BILINEAR}, 0},
		{fields{"feature_extractor_type": "ViTFeatureExtractor", "size": []int{16, 16}, "resample": 3}, &bundlev1.Resize{Width: 16, Height: 16, Filter: bundlev1.Filter_FILTER_BICUBIC}, 0},
		{fields{"image_processor_type": "ViTImageProcessorFast", "size": fields{"height": 16, "width": 16}, "crop_size": nil, "do_center_crop": nil}, &bundlev1.Resize{Width: 16, Height: 16, Filter: bundlev1.Filter_FILTER_BILINEAR}, 0},
		{fields{"image_processor_type": "CLIPImageProcessor", "size": 20, "crop_size": 16}, &bundlev1.Resize{Mode: edge, Width: 20, Filter: bundlev1.Filter_FILTER_BICUBIC}, 16},
		{fields{"image_processor_type": "BitImageProcessor", "size": fields{"shortest_edge": 20, "longest_edge": 30}, "crop_size": fields{"height": 16, "width": 16}, "resample": 1}, &bundlev1.Resize{Mode: edge, Width: 20, MaxEdge: 30, Filter: bundlev1.Filter_FILTER_LANCZOS}, 16},
		{fields{"image_processor_type": "ConvNextImageProcessor", "size": 16, "crop_pct": 0.8}, &bundlev1.Resize{Mode: edge, Width: 20, Filter: bundlev1.Filter_FILTER_BILINEAR}, 16},
		{fields{"image_processor_type": "ConvNextFeatureExtractor", "size": fields{"shortest_edge": 16}}, &bundlev1.Resize{Mode: edge, Width: 18, Filter: bundlev1.Filter_FILTER_BILINEAR}, 16},
		{fields{"image_processor_type": "DeiTImageProcessor", "size": 20, "crop_size": 16, "resample": 0}, &bundlev1.Resize{Width: 20, Height: 20, Filter: bundlev1.Filter_FILTER_NEAREST}, 16},
		{fields{"image_processor_type": "DeiTImageProcessor", "size": 16, "do_center_crop": false, "resample": 5}, &bundlev1.Resize{Width: 16, Height: 16, Filter: bundlev1.Filter_FILTER_HAMMING}, 0},
	} {
		p := prepare(t, pictures(t, c.config), nil)
		m := p.Manifest.GetImage()
		if m.GetResize().String() != c.want.String() || m.GetCropWidth() != c.crop || m.GetCropHeight() != c.crop || m.GetCropFloor() != (c.crop > 0) || m.GetResize().GetMode() == stretch != (c.want.GetMode() == stretch) {
			t.Errorf("%v: %v", c.config, m)
		}
		if !slices.Equal(p.Labels["labels"], []string{"cat", "dog", "bird"}) || !slices.Contains(p.Uploads(), "preprocessor_config.json") || !slices.Contains(p.Uploads(), "config.json") {
			t.Errorf("%v: labels %q, to be sent %q", c.config, p.Labels, p.Uploads())
		}
	}

	vit := func(field string, value any) fields {
		return fields{"image_processor_type": "ViTImageProcessor", "size": 16, field: value}
	}
	numbers := func(config fields) (scale float64, mean, std []float64, channels bundlev1.Channels) {
		m := prepare(t, pictures(t, config), nil).Manifest.GetImage()
		return m.GetScale(), m.GetMean(), m.GetStd(), m.GetChannels()
	}
	if scale, mean, std, _ := numbers(vit("rescale_factor", 0.5)); scale != 0.5 || !slices.Equal(mean, halves) || !slices.Equal(std, halves) {
		t.Error("rescale_factor:", scale, mean, std)
	}
	if scale, _, _, _ := numbers(vit("do_rescale", false)); scale != 0 {
		t.Error("do_rescale:", scale)
	}
	if _, mean, std, _ := numbers(vit("do_normalize", false)); len(mean)+len(std) > 0 {
		t.Error("do_normalize:", mean, std)
	}
	if _, mean, _, _ := numbers(vit("image_mean", 0.25)); !slices.Equal(mean, []float64{0.25}) {
		t.Error("image_mean:", mean)
	}
	flip := fields{"image_processor_type": "MobileViTImageProcessor", "size": 20, "crop_size": 16}
	if _, mean, _, channels := numbers(flip); channels != bundlev1.Channels_CHANNELS_BGR || len(mean) > 0 {
		t.Error("do_flip_channel_order:", mean, channels)
	}
	offset := fields{"image_processor_type": "EfficientNetImageProcessor", "size": 16, "rescale_offset": true, "include_top": false, "image_mean": []float64{0.1, 0.2, 0.3}, "image_std": 0.5}
	if _, mean, std, _ := numbers(offset); !slices.EqualFunc(mean, []float64{1.1, 1.2, 1.3}, near) || !slices.Equal(std, []float64{0.5}) {
		t.Error("rescale_offset:", mean, std)
	}
	if _, mean, std, _ := numbers(fields{"image_processor_type": "EfficientNetImageProcessor", "size": 16}); !slices.EqualFunc(std, []float64{0.229 * 0.229, 0.224 * 0.224, 0.225 * 0.225}, near) || !slices.Equal(mean, imagenetMean) {
		t.Error("include_top:", mean, std)
	}

	const file = "preprocessor_config.json"
	refused(t, pictures(t, fields{"size": 16}), nil, file, "image_processor_type", "missing")
	refused(t, pictures(t, fields{"image_processor_type": "DonutImageProcessor"}), nil, file, `"DonutImageProcessor" is not known`, "ViT")
	for field, value := range map[string]any{
		"do_pad": true, "pad_size": 3, "do_thumbnail": true, "size_divisor": 32, "crop_pct": 0.9, "auto_map": fields{"AutoImageProcessor": "x"}, "do_resize": false,
		"resample": 9, "size": "large", "image_mean": []float64{1, 2}, "do_normalize": "yes", "data_format": "channels_last", "do_flip_channel_order": true,
	} {
		refused(t, pictures(t, vit(field, value)), nil, file, field)
	}
	refused(t, pictures(t, vit("size", fields{"height": 16})), nil, file, "size")
	refused(t, pictures(t, vit("size", fields{"height": 16, "width": 16, "depth": 3})), nil, file, "size.depth")
	refused(t, pictures(t, vit("size", 0)), nil, file, "size")
	for field, value := range map[string]any{"do_pad": false, "pad_size": nil, "do_convert_rgb": true, "processor_class": "CLIPProcessor", "do_reduce_labels": false, "auto_map": fields{}} {
		if _, err := Prepare(pictures(t, vit(field, value)), nil); err != nil {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 }

// A bare file of PyTorch is told what pictures are to it.
func TestPresets(t *testing.T) {
	bare := folder(t, "vit", fields{"preprocessor_config.json": "", "config.json": ""})
	labels := []string{"cat", "dog", "bird"}
	for _, c := range []struct {
		how          string
		resize, crop int32
		filter       bundlev1.Filter
		mean         float64
	}{
		{how: "imagenet", resize: 256, crop: 224, filter: bundlev1.Filter_FILTER_BILINEAR, mean: 0.485},
		{how: "torchvision:resnet50", resize: 232, crop: 224, filter: bundlev1.Filter_FILTER_BILINEAR, mean: 0.485},
		{how: "torchvision:ResNet50_Weights.IMAGENET1K_V1", resize: 256, crop: 224, filter: bundlev1.Filter_FILTER_BILINEAR, mean: 0.485},
		{how: "torchvision:swin_t", resize: 232, crop: 224, filter: bundlev1.Filter_FILTER_BICUBIC, mean: 0.485},
		{how: "torchvision:efficientnet_v2_l", resize: 480, crop: 480, filter: bundlev1.Filter_FILTER_BICUBIC, mean: 0.5},
	} {
		i := hfInference{hints: &bundlev1.Hints{Preprocess: c.how}}
		m := &bundlev1.Image{}
		if err := i.preset(m); err != nil {
			t.Fatal(err)
		}
		if r := m.GetResize(); r.GetWidth() != c.resize || m.GetCropWidth() != c.crop || m.GetCropHeight() != c.crop || r.GetFilter() != c.filter || m.GetMean()[0] != c.mean ||
			r.GetMode() != bundlev1.ResizeMode_RESIZE_MODE_SHORTEST_EDGE || m.GetCropFloor() {
			t.Errorf("%s: %v", c.how, m)
		}
	}
	if p := prepare(t, bare, &bundlev1.Hints{Task: "image", Preprocess: "imagenet", Labels: labels}); !slices.Equal(p.Labels["labels"], labels) || p.Manifest.GetImage().GetCropWidth() != 224 {
		t.Errorf("labels %q, %v", p.Labels, p.Manifest.GetImage())
	}
	refused(t, bare, &bundlev1.Hints{Preprocess: "torchvision:resnet49"}, "hints.preprocess", `"resnet49"`)
	refused(t, bare, &bundlev1.Hints{Preprocess: "inception"}, "hints.preprocess", `"inception"`)
	refused(t, bare, &bundlev1.Hints{Task: "image"}, "hints.task", "preprocessor_config.json")
	refused(t, folder(t, "bert", nil), &bundlev1.Hints{Task: "image", Preprocess: "imagenet"}, "hints.task", "input_ids")
	refused(t, bare, &bundlev1.Hints{Task: "text"}, "hints.task", "pixel_values")
	// A hint that has no place is refused, and not left out.
	refused(t, exported(t, "lightgbm"), &bundlev1.Hints{Labels: labels}, "hints.labels")
	refused(t, exported(t, "lightgbm"), &bundlev1.Hints{Preprocess: "imagenet"}, "hints.preprocess")
	refused(t, folder(t, "bert", nil), &bundlev1.Hints{Preprocess: "imagenet"}, "hints.preprocess", "takes texts")
	refused(t, folder(t, "sentences", nil), &bundlev1.Hints{Labels: labels}, "hints.labels", "vectors")
	for field, hints := range map[string]*bundlev1.Hints{
		"hints.columns": {Columns: []*bundlev1.Column{{Name: "age"}}}, "hints.target": {Target: &bundlev1.Column{Name: "churn"}}, "hints.positive": {Positive: "yes"},
	} {
		refused(t, folder(t, "bert", nil), hints, field, "takes texts")
		refused(t, bare, hints, field, "pixel_values") // bare tensors
		hints.Preprocess = "imagenet"
		refused(t, bare, hints, field, "takes pictures")
	}
	if len(torchvisionDefaults) < 70 {
		t.Errorf("%d models", len(torchvisionDefaults))
	}
	for model, weights := range torchvisionDefaults {
		if _, ok := torchvisionPresets[weights]; !ok || path.Base(model) != model {
			t.Errorf("%s: no preset of %s", model, weights)
		}
	}
}

// A manifest's own polarity and pooling are checked.
func TestPolarityAndPoolingChecks(t *testing.T) {
	dir := folder(t, "bert", nil)
	manifest := func(head string) fstest.MapFS {
		out := fstest.MapFS{}
		maps.Copy(out, dir)
		out[ManifestFile] = &fstest.MapFile{Data: []byte("graphs: {model: {file: model.onnx}}\ntext: {tokenizer: tokenizer.json, max_length: 40}\nheads: {h: {source: model.logits, " + head + "}}\n"), Mode: 0o444}
		return out
	}
	const negative, positive, neutral = "POLARITY_NEGATIVE", "POLARITY_POSITIVE", "POLARITY_NEUTRAL"
	if _, err := Open(manifest("sentiment: {columns: [" + positive + ", " + neutral + ", " + negative + "]}")); err != nil {
		t.Error(err)
	}
	for head, field := range map[string]string{
		"sentiment: {columns: [" + positive + ", " + negative + "]}":                               `heads["h"].sentiment.columns`,
		"sentiment: {columns: [" + positive + ", " + neutral + ", " + neutral + "]}":               `heads["h"].sentiment.columns`,
		"sentiment: {positive: 1, columns: [" + positive + ", " + neutral + ", " + negative + "]}": `heads["h"].sentiment.columns`,
		"embedding: {pooling: POOLING_MEAN}":                                                       `heads["h"].embedding.pooling`,
		"sentiment: {negative: 0, neutral: 1, positive: 1}":                                        `heads["h"].sentiment`,
		"sentiment: {columns: [POLARITY_UNSPECIFIED, " + positive + ", " + negative + "]}":         ManifestFile,
	} {
		_, err := Open(manifest(head))
		var about *FieldError
		if !errors.As(err, &about) || about.Field != field {
			t.Errorf("%s: %v", head, err)
		}
	}
}
