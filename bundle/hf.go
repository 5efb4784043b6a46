package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// hfInference infers the manifest of a directory as Hugging Face's optimum and
// sentence-transformers leave it, or of a picture model whose preprocessing the
// hints give.
type hfInference struct {
	dir      *overlay
	manifest *bundlev1.Manifest
	graph    *Graph
	hints    *bundlev1.Hints
	guesses

	config       hfConfig
	hasConfig    bool
	tokenizer    tokenizerConfig
	hasTokenizer bool // tokenizer_config.json
}

// hfConfig is what config.json says, as far as it matters.
type hfConfig struct {
	ModelType    string         `json:"model_type"`
	ID2Label     map[string]any `json:"id2label"`
	NumLabels    int            `json:"num_labels"`
	OldNumLabels int            `json:"_num_labels"`
	ProblemType  string         `json:"problem_type"`
	MaxPositions float64        `json:"max_position_embeddings"`
	PadID        *int64         `json:"pad_token_id"`
}

// run infers what it can; done is false for a graph that is none of its.
func (i *hfInference) run() (done bool, err error) {
	text, image := hasInput(i.graph, "input_ids") && i.hasTokens(), i.takesPictures()
	switch i.hints.GetTask() {
	case "text":
		if !text {
			return true, invalid("hints.task", "a model of texts reads input_ids, and a tokenizer.json lies beside it; the graph's inputs are %s", list(i.graph.Inputs))
		}
	case "image":
		if !image {
			return true, invalid("hints.task", "a model of pictures has one input [N,3,height,width] and its preprocessing in a %s or in the hints (preprocess); the graph's inputs are %s",
				preprocessorFile, list(i.graph.Inputs))
		}
	}
	switch {
	case text:
		if err = noRows(i.hints, "the graph takes texts"); err == nil && i.hints.GetPreprocess() != "" {
			err = invalid("hints.preprocess", "is for models of pictures; the graph takes texts")
		}
		if err == nil {
			err = i.text()
		}
	case image:
		if err = noRows(i.hints, "the graph takes pictures"); err == nil {
			err = i.image()
		}
	case i.hints.GetPreprocess() != "":
		err = invalid("hints.preprocess", "the graph takes no pictures: its inputs are %s", list(i.graph.Inputs))
	case len(i.hints.GetLabels()) > 0:
		err = invalid("hints.labels", "are for models of texts and pictures; the graph's inputs are %s", list(i.graph.Inputs))
	default:
		return false, nil
	}
	return true, err
}

// noRows refuses hints about rows, and says what the graph takes instead.
func noRows(h *bundlev1.Hints, format string, args ...any) error {
	field := ""
	switch {
	case len(h.GetColumns()) > 0:
		field = "hints.columns"
	case h.GetTarget() != nil:
		field = "hints.target"
	case h.GetPositive() != "":
		field = "hints.positive"
	default:
		return nil
	}
	return invalid(field, "is for models of rows; "+format, args...)
}

// reads notes that a file was read: the server must have it to infer the same.
func (i *hfInference) reads(name string) {
	if _, made := i.dir.added[name]; !made {
		i.guesses[len(i.guesses)-1].Files = append(i.guesses[len(i.guesses)-1].Files, name)
	}
}

// readJSON reads a file of JSON.
func readJSON(dir fs.FS, name string, into any) error {
	text, err := readFile(dir, name)
	if err != nil {
		return invalid(name, "%v", cause(err))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return invalid(name, "%v", err)
	}
	return nil
}

// readConfig reads a small file of JSON that may be missing.
func readConfig(dir fs.FS, name string, into any) (there bool, err error) {
	info, err := fs.Stat(dir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && info.Size() > maxManifest:
		return false, invalid(name, "is larger than %d bytes", maxManifest)
	}
	return true, readJSON(dir, name, into)
}

// configured reads config.json.
func (i *hfInference) configured() (err error) {
	i.hasConfig, err = readConfig(i.dir, "config.json", &i.config)
	return err
}

// text infers preprocessing, lengths and heads of a model of texts.
func (i *hfInference) text() (err error) {
	if err = i.configured(); err != nil {
		return err
	}
	if _, err = readConfig(i.dir, specialsFile, &i.tokenizer); err != nil {
		return err
	}
	if i.hasTokenizer, err = readConfig(i.dir, "tokenizer_config.json", &i.tokenizer); err != nil {
		return err
	}
	text := &bundlev1.Text{}
	i.manifest.Preprocessing = &bundlev1.Manifest_Text{Text: text}
	if err := i.tokens(text); err != nil {
		return err
	}
	s, err := i.sentences()
	if err != nil {
		return err
	}
	i.length(text, s)
	i.padding()
	if s != nil && s.prompt != "" {
		text.Prefix = s.prompt
		i.guess("text.prefix", "the default prompt of %s", sentencesFile)
		i.reads(sentencesFile)
	}
	return i.textHeads(s)
}

// offsetPositions are the types of models that count positions from
// pad_token_id + 1.
var offsetPositions = []string{"roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet", "longformer", "xmod",
	"data2vec-text", "ibert", "luke", "markuplm"}

// length takes the smallest of the lengths that the files give. What a
// tokenizer has where nobody set a length (1e30) is none.
func (i *hfInference) length(text *bundlev1.Text, s *sentences) {
	const usual, sane = 512, 1 << 20
	length, why, file := float64(usual), "usual, as no configuration gives a length", ""
	take := func(n float64, from, where string) {
		if n >= 2 && n <= sane && (file == "" || n < length) {
			length, why, file = n, from, where
		}
	}
	if i.hasConfig && i.config.MaxPositions > 1 {
		n, from := i.config.MaxPositions, "max_position_embeddings of config.json"
		if slices.Contains(offsetPositions, i.config.ModelType) {
			pad := int64(1)
			if i.config.PadID != nil {
				pad = *i.config.PadID
			}
			n, from = n-float64(pad+1), from+", less pad_token_id + 1"
		}
		take(n, from, "config.json")
	}
	take(i.tokenizer.MaxLength, "model_max_length of tokenizer_config.json", "tokenizer_config.json")
	if s != nil {
		take(s.maxLength, "max_seq_length of "+sentenceBertFile, sentenceBertFile)
	}
	text.MaxLength = int32(length)
	i.guess("text.max_length", "%s", why)
	if i.hasConfig {
		i.reads("config.json")
	}
	if s != nil && s.maxLength > 0 {
		i.reads(sentenceBertFile)
	}
}

// padding gives token inputs the model's pad id: some graphs compute positions
// from it.
func (i *hfInference) padding() {
	id := i.config.PadID
	if id == nil || *id <= 0 || i.manifest.GetGraphs()["model"].GetInputs() != nil {
		return
	}
	g := i.manifest.GetGraphs()["model"]
	guesses := inferAxes("model", g, i.graph)
	if ids := g.GetInputs()["input_ids"]; ids != nil {
		ids.PadValue = float64(*id)
		i.guess("graphs.model.inputs.input_ids.pad_value", "pad_token_id of config.json")
	}
	i.guesses = append(i.guesses, guesses...)
}

// textHeads infers what the graph answers.
func (i *hfInference) textHeads(s *sentences) error {
	if v, ok := i.graph.Output("sentence_embedding"); ok && len(v.Shape) == 2 {
		if err := i.noLabels(v); err != nil {
			return err
		}
		e := &bundlev1.Embedding{}
		why := "sentence_embedding holds one vector a text"
		if s != nil && s.normalize {
			e.Normalize = true
			why += ", to be normalised by " + modulesFile
		}
		i.setHead("embedding", v).Kind = &bundlev1.Head_Embedding{Embedding: e}
		i.guess("heads.embedding", "%s", why)
		return nil
	}
	if s != nil && s.pooling != 0 {
		for _, name := range []string{"last_hidden_state", "token_embeddings"} {
			if v, ok := i.graph.Output(name); ok && len(v.Shape) == 3 {
				if err := i.noLabels(v); err != nil {
					return err
				}
				i.setHead("embedding", v).Kind = &bundlev1.Head_Embedding{Embedding: &bundlev1.Embedding{Pooling: s.pooling, Normalize: s.normalize}}
				i.guess("heads.embedding", "%s of the tokens' vectors in %q, by %s%s", poolingText[s.pooling], name, s.poolingFile,
					map[bool]string{true: ", normalised"}[s.normalize])
				i.reads(s.poolingFile)
				return nil
			}
		}
	}
	v, ok := i.scores()
	if !ok {
		return i.headless("the graph's outputs are %s, of which none is known to hold scores of classes or one vector a text", list(i.graph.Outputs))
	}
	names, err := i.labels(v)
	if err != nil || names == nil {
		return err
	}
	activation, why := i.activation(v, len(names))
	switch activation {
	case bundlev1.Activation_ACTIVATION_NONE:
		i.setHead("values", v).Kind = &bundlev1.Head_Labels{Labels: &bundlev1.Labels{Names: names, Activation: activation}}
		i.guess("heads.values", "%s: numbers as they are for %s", why, quotedList(names))
		return nil
	case bundlev1.Activation_ACTIVATION_SIGMOID:
		i.setHead("labels", v).Kind = &bundlev1.Head_Labels{Labels: &bundlev1.Labels{Names: names, Activation: activation}}
		i.guess("heads.labels", "%s: a score for each of %s", why, quotedList(names))
		return nil
	}
	i.setHead("classes", v).Kind = &bundlev1.Head_Classes{Classes: &bundlev1.Classes{Names: names, Activation: activation}}
	i.guess("heads.classes", "%s: one of %s", why, quotedList(names))
	columns := polarities(names)
	if columns == nil {
		i.guess("heads", "the labels do not tell positive from negative, so there is no polarity")
		return nil
	}
	i.setHead("sentiment", v).Kind = &bundlev1.Head_Sentiment{Sentiment: &bundlev1.Sentiment{Columns: columns, Activation: activation}}
	i.guess("heads.sentiment", "polarity by the labels' names")
	return nil
}

// noLabels refuses names of classes where there are none.
func (i *hfInference) noLabels(v Value) error {
	if len(i.hints.GetLabels()) == 0 {
		return nil
	}
	return invalid("hints.labels", "%q holds vectors for an embedding and no scores of classes", v.Name)
}

// scores finds the output that holds a number for each class.
func (i *hfInference) scores() (Value, bool) {
	if v, ok := i.graph.Output("logits"); ok {
		return v, len(v.Shape) == 2 && v.DType.IsFloat()
	}
	var found []Value
	for _, v := range i.graph.Outputs {
		if v.Kind == "tensor" && v.DType.IsFloat() && len(v.Shape) == 2 {
			found = append(found, v)
		}
	}
	if len(found) != 1 || len(i.graph.Outputs) != 1 {
		return Value{}, false
	}
	return found[0], true
}

// labels are the names of the classes; nil, with a guess that says so, when
// there are none.
func (i *hfInference) labels(v Value) ([]string, error) {
	columns := columnsOf(v)
	if names := i.hints.GetLabels(); len(names) > 0 {
		if columns >= 0 && int64(len(names)) != columns {
			return nil, invalid("hints.labels", "%d labels for %d columns of %q", len(names), columns, v.Name)
		}
		return names, nil
	}
	if !i.hasConfig {
		return nil, i.headless("nothing names the columns of %q; labels do", v.Name)
	}
	n := len(i.config.ID2Label)
	if n == 0 { // transformers leaves out what is its default
		if n = max(i.config.NumLabels, i.config.OldNumLabels); n == 0 {
			n = 2
		}
		if columns >= 0 && int64(n) != columns {
			return nil, invalid("config.json", "names no labels, of which there are %d by default, but %q has %d columns: say them (labels)", n, v.Name, columns)
		}
		names := make([]string, n)
		for k := range names {
			names[k] = "LABEL_" + strconv.Itoa(k)
		}
		return names, nil
	}
	names := make([]string, n)
	for k := range names {
		name, ok := i.config.ID2Label[strconv.Itoa(k)]
		if !ok || name == nil {
			return nil, invalid("config.json", "id2label has %d entries and none for %d; its keys are %s", n, k, quotedList(slices.Sorted(maps.Keys(i.config.ID2Label))))
		}
		names[k] = fmt.Sprint(name)
	}
	if columns >= 0 && int64(n) != columns {
		return nil, invalid("config.json", "id2label has %d entries, %q has %d columns", n, v.Name, columns)
	}
	return names, nil
}

// activation is what transformers' pipelines apply, unless the graph does.
func (i *hfInference) activation(v Value, classes int) (bundlev1.Activation, string) {
	if (v.made.by.Type == "Softmax" || v.made.by.Type == "Sigmoid") && v.made.by.Domain == "" {
		return bundlev1.Activation_ACTIVATION_UNSPECIFIED, fmt.Sprintf("%q is a %s already", v.Name, strings.ToLower(v.made.by.Type))
	}
	problem := i.config.ProblemType
	switch {
	case problem == "regression" && i.manifest.GetText() != nil:
		return bundlev1.Activation_ACTIVATION_NONE, "problem_type of config.json is regression"
	case problem == "multi_label_classification":
		return bundlev1.Activation_ACTIVATION_SIGMOID, "problem_type of config.json is multi_label_classification"
	case classes == 1:
		return bundlev1.Activation_ACTIVATION_SIGMOID, "there is one label"
	}
	return bundlev1.Activation_ACTIVATION_SOFTMAX, fmt.Sprintf("%q holds logits", v.Name)
}

func (i *hfInference) setHead(name string, v Value) *bundlev1.Head {
	h := &bundlev1.Head{Source: Source{"model", v.Name}.String()}
	if i.manifest.Heads == nil {
		i.manifest.Heads = map[string]*bundlev1.Head{}
	}
	i.manifest.Heads[name] = h
	return h
}

// headless is for a graph without a head that could be inferred.
func (i *hfInference) headless(format string, args ...any) error {
	i.guess("heads", format+": no head is made", args...)
	if len(i.hints.GetLabels()) > 0 {
		return invalid("hints.labels", format, args...)
	}
	return nil
}

// polarityWords are labels that say a polarity, in lower case, with blanks for
// other characters than letters and digits.
var polarityWords = map[string]bundlev1.Polarity{
	"pos": bundlev1.Polarity_POLARITY_POSITIVE, "positive": bundlev1.Polarity_POLARITY_POSITIVE, "very positive": bundlev1.Polarity_POLARITY_POSITIVE,
	"положительный": bundlev1.Polarity_POLARITY_POSITIVE, "положительная": bundlev1.Polarity_POLARITY_POSITIVE, "положительное": bundlev1.Polarity_POLARITY_POSITIVE,
	"положительно": bundlev1.Polarity_POLARITY_POSITIVE, "позитив": bundlev1.Polarity_POLARITY_POSITIVE, "позитивный": bundlev1.Polarity_POLARITY_POSITIVE,
	"позитивная": bundlev1.Polarity_POLARITY_POSITIVE, "позитивное": bundlev1.Polarity_POLARITY_POSITIVE, "позитивно": bundlev1.Polarity_POLARITY_POSITIVE,
	"neg": bundlev1.Polarity_POLARITY_NEGATIVE, "negative": bundlev1.Polarity_POLARITY_NEGATIVE, "very negative": bundlev1.Polarity_POLARITY_NEGATIVE,
	"отрицательный": bundlev1.Polarity_POLARITY_NEGATIVE, "отрицательная": bundlev1.Polarity_POLARITY_NEGATIVE, "отрицательное": bundlev1.Polarity_POLARITY_NEGATIVE,
	"отрицательно": bundlev1.Polarity_POLARITY_NEGATIVE, "негатив": bundlev1.Polarity_POLARITY_NEGATIVE, "негативный": bundlev1.Polarity_POLARITY_NEGATIVE,
	"негативная": bundlev1.Polarity_POLARITY_NEGATIVE, "негативное": bundlev1.Polarity_POLARITY_NEGATIVE, "негативно": bundlev1.Polarity_POLARITY_NEGATIVE,
	"neu": bundlev1.Polarity_POLARITY_NEUTRAL, "neutral": bundlev1.Polarity_POLARITY_NEUTRAL,
	"нейтральный": bundlev1.Polarity_POLARITY_NEUTRAL, "нейтральная": bundlev1.Polarity_POLARITY_NEUTRAL, "нейтральное": bundlev1.Polarity_POLARITY_NEUTRAL,
	"нейтрально": bundlev1.Polarity_POLARITY_NEUTRAL, "нейтрал": bundlev1.Polarity_POLARITY_NEUTRAL,
}

// starWords follow the number in labels of one to five stars.
var starWords = []string{"star", "stars", "звезда", "звезды", "звёзды", "звезд", "звёзд"}

// polarities are those of the labels' columns; nil when one of them does not say
// it, or when they leave out an end of the scale.
func polarities(names []string) []bundlev1.Polarity {
	columns := make([]bundlev1.Polarity, len(names))
	seen := map[bundlev1.Polarity]bool{}
	stars := map[string]bool{}
	for k, name := range names {
		word := strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == ' ' || r == '_' || r == '-' || r == '\t' }), " ")
		columns[k] = polarityWords[word]
		if n, after, ok := strings.Cut(word, " "); ok && len(names) == 5 && slices.Contains(starWords, after) && len(n) == 1 && n >= "1" && n <= "5" {
			stars[n] = true
			switch {
			case n < "3":
				columns[k] = bundlev1.Polarity_POLARITY_NEGATIVE
			case n == "3":
				columns[k] = bundlev1.Polarity_POLARITY_NEUTRAL
			default:
				columns[k] = bundlev1.Polarity_POLARITY_POSITIVE
			}
		}
		if columns[k] == bundlev1.Polarity_POLARITY_UNSPECIFIED {
			return nil
		}
		seen[columns[k]] = true
	}
	if len(stars) > 0 && len(stars) < 5 || !seen[bundlev1.Polarity_POLARITY_POSITIVE] || !seen[bundlev1.Polarity_POLARITY_NEGATIVE] {
		return nil
	}
	return columns
}

// takesPictures tells whether the only input is a batch of pictures, and their
// preprocessing is known.
func (i *hfInference) takesPictures() bool {
	if len(i.graph.Inputs) != 1 {
		return false
	}
	v := i.graph.Inputs[0]
	if len(v.Shape) != 4 || !v.DType.IsFloat() && v.DType != tensor.Uint8 {
		return false
	}
	return i.hints.GetPreprocess() != "" || exists(i.dir, preprocessorFile)
}
