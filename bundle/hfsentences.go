package bundle

import (
	"path"
	"slices"
	"strings"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// What sentence-transformers writes beside what transformers does.
const (
	modulesFile      = "modules.json"
	sentencesFile    = "config_sentence_transformers.json"
	sentenceBertFile = "sentence_bert_config.json"
)

// sentences is what a folder of sentence-transformers does with a model's
// output.
type sentences struct {
	pooling     bundlev1.Pooling
	poolingFile string
	normalize   bool
	maxLength   float64
	prompt      string
}

var poolingText = map[bundlev1.Pooling]string{
	bundlev1.Pooling_POOLING_MEAN: "the mean", bundlev1.Pooling_POOLING_CLS: "the first", bundlev1.Pooling_POOLING_MAX: "the largest",
	bundlev1.Pooling_POOLING_MEAN_SQRT_LEN: "the mean by the root of the length", bundlev1.Pooling_POOLING_LAST: "the last",
	bundlev1.Pooling_POOLING_WEIGHTED_MEAN: "the weighted mean",
}

// poolings are the names of a pooling's mode; older files have a switch each.
var poolings = map[string]bundlev1.Pooling{
	"mean": bundlev1.Pooling_POOLING_MEAN, "cls": bundlev1.Pooling_POOLING_CLS, "max": bundlev1.Pooling_POOLING_MAX,
	"mean_sqrt_len_tokens": bundlev1.Pooling_POOLING_MEAN_SQRT_LEN, "lasttoken": bundlev1.Pooling_POOLING_LAST, "weightedmean": bundlev1.Pooling_POOLING_WEIGHTED_MEAN,
}

var poolingSwitches = map[string]string{
	"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max",
	"pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "pooling_mode_lasttoken": "lasttoken", "pooling_mode_weightedmean_tokens": "weightedmean",
}

// sentences reads modules.json and what it names; nil when there is none.
func (i *hfInference) sentences() (*sentences, error) {
	var modules []struct {
		Path string `json:"path"`
		Type string `json:"type"`
	}
	there, err := readConfig(i.dir, modulesFile, &modules)
	if err != nil || !there {
		return nil, err
	}
	i.guess("text", "%s: the folder is one of sentence-transformers", modulesFile)
	i.reads(modulesFile)
	s := &sentences{}
	_, pooled := i.graph.Output("sentence_embedding") // the graph does it all
	for k, m := range modules {
		kind := m.Type[strings.LastIndex(m.Type, ".")+1:]
		switch {
		case kind == "Transformer" && k == 0:
		case kind == "Normalize":
			s.normalize = true
		case kind == "Pooling" && !pooled:
			if err := i.pooling(s, path.Join(m.Path, "config.json")); err != nil {
				return nil, err
			}
		case pooled:
		default:
			return nil, invalid(modulesFile, "the module %q has no place in a manifest: export the model with it inside, so that the graph has an output sentence_embedding (optimum-cli export onnx --library sentence_transformers)", m.Type)
		}
	}
	var bert struct {
		MaxLength float64 `json:"max_seq_length"`
		Lower     bool    `json:"do_lower_case"`
	}
	if _, err := readConfig(i.dir, sentenceBertFile, &bert); err != nil {
		return nil, err
	}
	if s.maxLength = bert.MaxLength; bert.Lower && !i.tokenizer.lower() {
		return nil, invalid(sentenceBertFile, "do_lower_case is set, but the tokenizer does not lower: add a Lowercase normalizer to tokenizer.json and unset it")
	}
	var config struct {
		Prompts map[string]string `json:"prompts"`
		Default *string           `json:"default_prompt_name"`
	}
	if _, err := readConfig(i.dir, sentencesFile, &config); err != nil {
		return nil, err
	}
	if config.Default != nil {
		prompt, ok := config.Prompts[*config.Default]
		if !ok {
			return nil, invalid(sentencesFile, "default_prompt_name is %q, which is not among the prompts", *config.Default)
		}
		s.prompt = prompt
	}
	return s, nil
}

func (i *hfInference) pooling(s *sentences, file string) error {
	var config map[string]any
	there, err := readConfig(i.dir, file, &config)
	if err != nil {
		return err
	}
	if !there {
		return invalid(modulesFile, "%s is missing", file)
	}
	var modes []string
	switch mode := config["pooling_mode"].(type) {
	case string:
		modes = []string{mode}
	case []any:
		for _, m := range mode {
			name, _ := m.(string)
			modes = append(modes, name)
		}
	case nil:
		for name, mode := range poolingSwitches {
			if on, _ := config[name].(bool); on {
				modes = append(modes, mode)
			}
		}
		slices.Sort(modes)
	}
	if len(modes) != 1 || poolings[modes[0]] == 0 {
		return invalid(file, "the pooling %s is not served; one of mean, cls, max, mean_sqrt_len_tokens, lasttoken, weightedmean is", quotedList(modes))
	}
	if include, ok := config["include_prompt"].(bool); ok && !include {
		return invalid(file, "include_prompt is false: pooling without the prompt's tokens is not served")
	}
	s.pooling, s.poolingFile = poolings[modes[0]], file
	return nil
}
