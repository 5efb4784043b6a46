package sentiment_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	"github.com/scry-ml/scry/sentiment"
	"github.com/scry-ml/scry/tensor"
)

const (
	emotions = sentimentv1.TextFeature_TEXT_FEATURE_EMOTIONS
	targets  = sentimentv1.TextFeature_TEXT_FEATURE_TARGETS
	topics   = sentimentv1.TextFeature_TEXT_FEATURE_TOPICS
	intent   = sentimentv1.TextFeature_TEXT_FEATURE_INTENT
	toxicity = sentimentv1.TextFeature_TEXT_FEATURE_TOXICITY
)

const headed = `
heads:
  emotions: {source: model.scores, classes: {names: [calm, joy, anger], activation: ACTIVATION_SOFTMAX}}
  mood: {source: model.scores, sentiment: {negative: 2, neutral: 0, positive: 1, activation: ACTIVATION_SOFTMAX}}
  towards: {source: model.tokens, targets: {negative: 2, neutral: 0, positive: 1}}
  vector: {source: model.vector, embedding: {}}
text: {tokenizer: tokenizer.json, max_length: 16}
`

// reader thinks well of the token behind "fine" and ill of the one behind "bad".
// Its vector points to where the first word stands on a circle. It counts the
// rows and tokens that it reads.
func reader(t testing.TB, rows, tokens *int) *pipelinetest.Model {
	t.Helper()
	graph := pipelinetest.Graph([]bundle.Value{pipelinetest.Value("input_ids", tensor.Int64, -1, -1)}, []bundle.Value{
		pipelinetest.Value("scores", tensor.Float32, -1, 3), pipelinetest.Value("tokens", tensor.Float32, -1, -1, 3), pipelinetest.Value("vector", tensor.Float32, -1, 2),
	})
	return pipelinetest.NewModel(t, pipelinetest.Files(graph, headed, map[string]string{"tokenizer.json": pipelinetest.Tokenizer}), func(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		ids := tensor.View[int64](in[0])
		*rows++
		*tokens += len(ids)
		logits := make([]float32, 3*len(ids))
		for i := range ids[1:] {
			switch ids[i] {
			case 7:
				logits[3*(i+1)+1] = 6
			case 8:
				logits[3*(i+1)+2] = 6
			default:
				logits[3*(i+1)] = 6
			}
		}
		out := make([]tensor.Tensor, 3)
		out[0], _ = tensor.From([]float32{0, 2, 1}, 1, 3)
		out[1], _ = tensor.From(logits, 1, int64(len(ids)), 3)
		angle := float64(ids[1])
		out[2], _ = tensor.From([]float32{float32(math.Cos(angle)), float32(math.Sin(angle))}, 1, 2)
		return out, nil
	})
}

func named(names ...string) *sentimentv1.TextOptions {
	o := &sentimentv1.TextOptions{}
	for _, n := range names {
		words := strings.Split(n, "|")
		o.Targets = append(o.Targets, &sentimentv1.Target{Name: words[0], Aliases: words[1:]})
	}
	return o
}

// opinions are the targets of an answer, their mentions and what is thought of
// them.
func opinions(text string, r *sentimentv1.TextResult) string {
	var out []string
	for _, t := range r.GetTargets() {
		at := make([]string, len(t.GetMentions()))
		for i, m := range t.GetMentions() {
			at[i] = text[m.GetSpan().GetBegin():m.GetSpan().GetEnd()] + short(m.GetSentiment())[:3]
		}
		out = append(out, fmt.Sprintf("%s %.3s: %s", t.GetName(), short(t.GetSentiment()), strings.Join(at, " ")))
	}
	return strings.Join(out, "; ")
}

// TestTargets wants each mention judged by its own tokens in its own sentence, and
// nothing else read.
func TestTargets(t *testing.T) {
	rows, tokens := 0, 0
	m := reader(t, &rows, &tokens)
	for _, c := range []struct {
		text string
		want string
		rows int
	}{
		{"Fine hello, bad world", "Hello POS: helloPOS; World NEG: worldNEG", 1},
		{"Bad world. Fine, fine, fine. Hello!", "World NEG: worldNEG; Hello NEU: HelloNEU", 2},
		{"Fine hello! Bad hello. Hello?", "Hello MIX: helloPOS helloNEG HelloNEU", 3},
		{"Fine, bad.", "", 0},
		{" \t", "", 0},
		// Longer than the model takes: what stands around each mention is read.
		{strings.Repeat("fine, ", 40) + "hello " + strings.Repeat("bad, ", 40) + "bad world", "Hello NEU: helloNEU; World NEG: worldNEG", 2},
	} {
		rows = 0
		r := ask(t, m, named("Hello", "World"), []*sentimentv1.TextItem{text(c.text)}, targets)[0]
		if got := opinions(c.text, r); got != c.want || rows != c.rows {
			t.Errorf("%.40q: %s, %d rows; want %s, %d rows", c.text, got, rows, c.want, c.rows)
		}
	}
	// A sentence that others ask for too is read once.
	rows = 0
	r := ask(t, m, named("Hello"), []*sentimentv1.TextItem{text("Fine hello. Bad.")}, targets, sentences, polarity, emotions)[0]
	if rows != 3 || len(r.GetTargets()) != 1 || len(r.GetSentences()) != 2 {
		t.Errorf("%d rows, %v", rows, r)
	}
	// Offsets and redaction are those of the text that was read.
	o := named("Hello")
	o.Offsets = sentimentv1.OffsetUnit_OFFSET_UNIT_UTF16
	r = ask(t, m, o, []*sentimentv1.TextItem{text("🙂 fine Hello")}, targets)[0]
	if s := r.GetTargets()[0].GetMentions()[0].GetSpan(); s.GetBegin() != 8 || s.GetEnd() != 13 {
		t.Errorf("span %v", s)
	}
	if p := r.GetTargets()[0].GetSentiment(); math.Abs(p.GetPositive()+p.GetNeutral()+p.GetNegative()-1) > 1e-9 || p.GetMagnitude() == 0 {
		t.Errorf("%v", p)
	}
}

// TestMentions wants names found as the contract says.
func TestMentions(t *testing.T) {
	rows, tokens := 0, 0
	m := reader(t, &rows, &tokens)
	for _, c := range []struct{ names, text, want string }{
		{"Лента", "ЛЕНТА, Ленты, в Лентой лентами; лентяй, лент, Алента", "ЛЕНТА Ленты Лентой лентами"},
		{"Сбербанк", "Сбербанка Сбербанком сбербанки сбербанковский", "Сбербанка Сбербанком сбербанки"},
		{"Новая почта", "Новой почтой, новую почту, новая почтальонша", "Новой почтой|новую почту"},
		{"Ёлка", "елка ёлкой е\u0308лка", "елка ёлкой е\u0308лка"},
		{"МТС", "мтс МТСа МТС", "мтс МТС"},
		{"iPhone", "iPhones, iPhone's iphone-ом iPhonesque", "iPhones iPhone iphone"},
		{"М.Видео", "в М.Видео и М. Видео, М Видео", "М.Видео|М. Видео"},
		{"C++", "C и c++", "c++"},
		{"Nescafé", "nescafe NESCAFÉ Nescafe\u0301", "nescafe NESCAFÉ Nescafe\u0301"},
		{"Coca-Cola", "coca cola, Coca-Cola, cocacola", "coca cola|Coca-Cola"},
		{"Samsung,Samsung Galaxy", "Samsung Galaxy S24, samsung", "Samsung Galaxy|samsung"},
		{"Apple|яблочная компания", "Яблочной компании и Apple", "Яблочной компании|Apple"},
		{"ля", "ля\u200bля л\u00adя", "л\u00adя"},
	} {
		r := ask(t, m, named(strings.Split(c.names, ",")...), []*sentimentv1.TextItem{text(c.text)}, targets)[0]
		var got []string
		for _, target := range r.GetTargets() {
			for _, m := range target.GetMentions() {
				got = append(got, c.text[m.GetSpan().GetBegin():m.GetSpan().GetEnd()])
			}
		}
		want := strings.Split(c.want, "|")
		if len(want) == 1 && !strings.Contains(c.names, " ") {
			want = strings.Fields(c.want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s in %q: %q, want %q", c.names, c.text, got, want)
		}
	}
	// A text's own targets win over the call's.
	own := text("hello world")
	own.Targets = []*sentimentv1.Target{{Name: "mine", Aliases: []string{"hello"}}}
	r := ask(t, m, named("Hello world", "World"), []*sentimentv1.TextItem{own, text("hello world")}, targets)
	if got := opinions("hello world", r[0]) + "; " + opinions("hello world", r[1]); got != "mine NEU: helloNEU; Hello world NEU: hello worldNEU" {
		t.Error(got)
	}
}

// TestManyTargets holds that what is read is bounded by the text, whatever it
// mentions how often.
func TestManyTargets(t *testing.T) {
	rows, tokens := 0, 0
	m := reader(t, &rows, &tokens)
	names := []string{"hello"}
	for i := range 99 {
		names = append(names, strings.Repeat("hello ", 20+i/10)+strings.Repeat("x", 1+i%50))
	}
	const words = 8000
	for _, long := range []string{strings.Repeat("hello ", words), strings.Repeat("hello. ", words)} {
		rows, tokens = 0, 0
		r := ask(t, m, named(names...), []*sentimentv1.TextItem{text(long)}, targets)[0]
		if n := len(r.GetTargets()[0].GetMentions()); n != words || tokens > 8*words {
			t.Errorf("%d mentions, %d rows of %d tokens", n, rows, tokens)
		}
	}
	// A name that is longer than the model takes is judged by its beginning.
	name := strings.TrimSpace(strings.Repeat("hello ", 30))
	r := ask(t, m, named(name), []*sentimentv1.TextItem{text("bad " + name)}, targets)[0]
	if len(r.GetTargets()) != 1 || len(r.GetTargets()[0].GetMentions()) != 1 {
		t.Errorf("%v", r)
	}
	if r := ask(t, m, named("hello"), []*sentimentv1.TextItem{text(strings.Repeat("х", 1<<19-100) + " fine hello")}, targets)[0]; len(r.GetTargets()) != 1 {
		t.Errorf("behind a word of 1 MB: %v", r)
	}
}

func TestEmotions(t *testing.T) {
	rows, tokens := 0, 0
	r := ask(t, reader(t, &rows, &tokens), nil, []*sentimentv1.TextItem{text("hello")}, emotions)[0]
	got, sum := "", 0.0
	for _, s := range r.GetEmotions() {
		got += fmt.Sprintf("%s %.3f ", s.GetName(), s.GetScore())
		sum += s.GetScore()
	}
	if got != "joy 0.665 anger 0.245 calm 0.090 " || math.Abs(sum-1) > 1e-9 {
		t.Error(got, sum)
	}
}

func analyzeOnce(t *testing.T, m sentiment.Model, o *sentimentv1.TextOptions, f sentimentv1.TextFeature, items ...*sentimentv1.TextItem) ([]error, error) {
	t.Helper()
	call := sentiment.NewCall(items, []sentimentv1.TextFeature{f}, o, 0, 1<<20)
	err := call.Analyze(t.Context(), m, []sentimentv1.TextFeature{f})
	_, errs := call.Results()
	return errs, err
}

// TestHeadsBadInput wants the path of what is to blame.
func TestHeadsBadInput(t *testing.T) {
	rows, tokens := 0, 0
	m := reader(t, &rows, &tokens)
	hello := text("hello")
	for _, c := range []struct {
		name    string
		feature sentimentv1.TextFeature
		options *sentimentv1.TextOptions
		want    string
	}{
		{"no topics", topics, nil, "OPTION_MISSING options.topics"},
		{"no intents", intent, &sentimentv1.TextOptions{Topics: []string{"a"}}, "OPTION_MISSING options.intents"},
		{"no targets", targets, nil, "OPTION_MISSING options.targets"},
		{"blank topic", topics, &sentimentv1.TextOptions{Topics: []string{"a", " \t"}}, "LABEL_BLANK options.topics[1]"},
		{"target of hyphens", targets, named("a", "- –"), "TARGET_UNNAMED options.targets[1].name"},
		{"blank alias", targets, named("a", "b|c|\u200b"), "TARGET_UNNAMED options.targets[1].aliases[1]"},
	} {
		if _, err := analyzeOnce(t, m, c.options, c.feature, hello); reasonOf(err) != c.want || !errors.Is(err, pipeline.ErrInput) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	// A text's own bad target fails that text alone.
	own := text("hello")
	own.Targets = []*sentimentv1.Target{{Name: "-"}}
	errs, err := analyzeOnce(t, m, named("hello"), targets, own, hello)
	if err != nil || reasonOf(errs[0]) != "TARGET_UNNAMED targets[0].name" || errs[1] != nil {
		t.Errorf("%v, %v", errs, err)
	}
	plain := model(t, manifest, always(0.2, 0.7, 0.1))
	for _, f := range []sentimentv1.TextFeature{emotions, targets} {
		if _, err := analyzeOnce(t, plain, named("hello"), f, hello); !errors.Is(err, sentiment.ErrUnsupported) {
			t.Errorf("%v without its head: %v", f, err)
		}
	}
	if _, err := analyzeOnce(t, m, &sentimentv1.TextOptions{Topics: []string{strings.Repeat("ш", 200)}}, topics, hello); err != nil {
		t.Errorf("a label of 200 letters: %v", err)
	}
}

// TestZeroShot wants labels ordered by likeness, and read once for a version.
func TestZeroShot(t *testing.T) {
	rows, tokens := 0, 0
	m := reader(t, &rows, &tokens)
	labels := &sentiment.Labels{}
	run := func(o *sentimentv1.TextOptions, features ...sentimentv1.TextFeature) *sentimentv1.TextResult {
		t.Helper()
		rows = 0
		call := sentiment.NewCall([]*sentimentv1.TextItem{text("fine hello")}, features, o, 0, 1<<20)
		call.Labels = labels
		if err := call.Analyze(t.Context(), m, features); err != nil {
			t.Fatal(err)
		}
		results, errs := call.Results()
		if errs[0] != nil {
			t.Fatal(errs[0])
		}
		return results[0]
	}
	o := &sentimentv1.TextOptions{Topics: []string{"bad", "fine", "hello"}, Intents: []string{"bad", "fine"}}
	r := run(o, topics, intent, toxicity)
	if first := rows; first < 1+3+32 {
		t.Errorf("%d rows", first)
	}
	if len(r.GetTopics()) != 3 || r.GetTopics()[0].GetName() != "fine" || r.GetTopics()[0].GetScore() <= r.GetTopics()[2].GetScore() {
		t.Errorf("topics %v", r.GetTopics())
	}
	if len(r.GetIntents()) != 2 || r.GetIntents()[0].GetName() != "fine" || math.Abs(r.GetIntents()[0].GetScore()+r.GetIntents()[1].GetScore()-1) > 1e-9 {
		t.Errorf("intents %v", r.GetIntents())
	}
	if r.Toxicity == nil || r.GetToxicity() < 0 || r.GetToxicity() > 1 {
		t.Errorf("toxicity %v", r.Toxicity)
	}
	if run(o, topics, intent, toxicity); rows != 1 {
		t.Errorf("%d rows for labels that are kept", rows)
	}
	if r := run(nil, embedding); r.Toxicity != nil || r.GetTopics() != nil {
		t.Errorf("not asked for: %v", r)
	}
	many := &sentimentv1.TextOptions{}
	for i := range 4096 {
		many.Topics = append(many.Topics, fmt.Sprint("label ", i))
	}
	run(many, topics)
	if run(o, topics); rows == 1 {
		t.Error("labels are kept for ever")
	}
}
