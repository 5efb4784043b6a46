package sentiment_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/pipeline/pipelinetest"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
	"github.com/scry-ml/scry/sentiment"
	"github.com/scry-ml/scry/tensor"
)

const (
	sentences = sentimentv1.TextFeature_TEXT_FEATURE_SENTENCES
	classes   = sentimentv1.TextFeature_TEXT_FEATURE_CLASSES
	personal  = sentimentv1.TextFeature_TEXT_FEATURE_PERSONAL_DATA
)

// moody answers by the words of a row: 0.8 for "fine" or "bad" where only one of
// them is there, else 0.8 for neutral. Its vector is the first word's place in a
// circle. It keeps the ids of every row.
func moody(t testing.TB, manifest string, rows *[][]int64) *pipelinetest.Model {
	t.Helper()
	graph := pipelinetest.Graph([]bundle.Value{pipelinetest.Value("input_ids", tensor.Int64, -1, -1)}, []bundle.Value{
		pipelinetest.Value("scores", tensor.Float32, -1, 3), pipelinetest.Value("vector", tensor.Float32, -1, 2),
	})
	return pipelinetest.NewModel(t, pipelinetest.Files(graph, manifest, map[string]string{"tokenizer.json": pipelinetest.Tokenizer}), func(_ context.Context, in []tensor.Tensor) ([]tensor.Tensor, error) {
		ids := tensor.View[int64](in[0])
		if rows != nil {
			*rows = append(*rows, slices.Clone(ids))
		}
		scores := []float32{0.8, 0.1, 0.1}
		switch fine, bad := slices.Contains(ids, 7), slices.Contains(ids, 8); {
		case fine && !bad:
			scores = []float32{0.1, 0.8, 0.1}
		case bad && !fine:
			scores = []float32{0.1, 0.1, 0.8}
		}
		out := make([]tensor.Tensor, 2)
		out[0], _ = tensor.From(scores, 1, 3)
		angle := float64(ids[1])
		out[1], _ = tensor.From([]float32{float32(math.Cos(angle)), float32(math.Sin(angle))}, 1, 2)
		return out, nil
	})
}

const moods = `
heads:
  mood: {source: model.scores, sentiment: {negative: 2, neutral: 0, positive: 1}}
  vector: {source: model.vector, embedding: {}}
  what: {source: model.scores, classes: {names: [chat, praise, complaint]}}
  tags: {source: model.scores, labels: {names: [a, b, c], activation: ACTIVATION_SIGMOID}}
text: {tokenizer: tokenizer.json, max_length: 12%s}
`

func ask(t testing.TB, m sentiment.Model, options *sentimentv1.TextOptions, texts []*sentimentv1.TextItem, features ...sentimentv1.TextFeature) []*sentimentv1.TextResult {
	t.Helper()
	call := sentiment.NewCall(texts, features, options, 0, 1<<20)
	if features = slices.DeleteFunc(slices.Clone(features), func(f sentimentv1.TextFeature) bool { return !sentiment.NeedsModel(f) }); len(features) > 0 {
		if err := call.Analyze(t.Context(), m, features); err != nil {
			t.Fatal(err)
		}
	}
	results, errs := call.Results()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("text %d: %v", i, err)
		}
	}
	return results
}

// parts are the pieces of a text that answers point at, with their polarities.
func parts(text string, r *sentimentv1.TextResult) string {
	var out []string
	for _, s := range r.GetSentences() {
		out = append(out, fmt.Sprintf("%s=%s", text[s.GetSpan().GetBegin():s.GetSpan().GetEnd()], short(s.GetSentiment())))
	}
	return strings.Join(out, " | ")
}

func short(s *sentimentv1.Sentiment) string {
	return fmt.Sprintf("%.3s%+.1f", strings.TrimPrefix(s.GetPolarity().String(), "POLARITY_"), s.GetScore())
}

// TestSentences wants the polarity of each, and what they make of the whole.
func TestSentences(t *testing.T) {
	m := moody(t, fmt.Sprintf(moods, ""), nil)
	for _, c := range []struct{ text, parts, whole string }{
		{"  Hello. All is fine! \n Hello?", "Hello.=NEU+0.0 | All is fine!=POS+0.7 | Hello?=NEU+0.0", "POS+0.7 0.7"},
		{"All is fine. All is bad.", "All is fine.=POS+0.7 | All is bad.=NEG-0.7", "MIX+0.0 1.4"},
		{"Fine", "Fine=POS+0.7", "POS+0.7 0.7"},
		{" \n\t", "", "NEU+0.0 0.0"},
	} {
		r := ask(t, m, nil, []*sentimentv1.TextItem{text(c.text)}, polarity, sentences)[0]
		whole := fmt.Sprintf("%s %.1f", short(r.GetSentiment()), r.GetSentiment().GetMagnitude())
		if got := parts(c.text, r); got != c.parts || whole != c.whole {
			t.Errorf("%q: %s; %s", c.text, got, whole)
		}
	}
	alone := ask(t, m, nil, []*sentimentv1.TextItem{text("All is fine. All is bad.")}, polarity)[0]
	if s := alone.GetSentiment(); short(s) != "NEU+0.0" || s.GetMagnitude() != 0 || alone.GetSentences() != nil {
		t.Errorf("without sentences: %v", alone)
	}
}

// TestRowsShared wants each part of a text read once, whatever is asked of it.
func TestRowsShared(t *testing.T) {
	m := moody(t, fmt.Sprintf(moods, ""), nil)
	texts := []*sentimentv1.TextItem{text("Fine."), text("Fine. Bad. Hello.")}
	r := ask(t, m, nil, texts, polarity, embedding, classes, sentences)
	if m.Items.Load() != 1+1+3 {
		t.Errorf("%d rows were read", m.Items.Load())
	}
	if got := r[1].GetServedBy(); len(got) != 1 || fmt.Sprint(got[0].GetHeads()) != "[mood vector tags what]" {
		t.Errorf("served by %v", got)
	}
	if r[1].GetTokens() != 8+3*4 || r[1].GetChunks() != 1 {
		t.Errorf("%d tokens, %d chunks", r[1].GetTokens(), r[1].GetChunks())
	}
}

// TestClasses wants every head's own labels by score.
func TestClasses(t *testing.T) {
	m := moody(t, fmt.Sprintf(moods, ""), nil)
	r := ask(t, m, nil, []*sentimentv1.TextItem{text("bad")}, classes)[0]
	var got []string
	for _, set := range r.GetClasses() {
		for _, c := range set.GetClasses() {
			got = append(got, fmt.Sprintf("%s.%s %.2f", set.GetHead(), c.GetName(), c.GetScore()))
		}
	}
	if want := "[tags.c 0.69 tags.a 0.52 tags.b 0.52 what.complaint 0.80 what.chat 0.10 what.praise 0.10]"; fmt.Sprint(got) != want || r.GetSentiment() != nil {
		t.Errorf("%v, %v", got, r.GetSentiment())
	}
	bare := model(t, manifest, always(0.1, 0.8, 0.1))
	if err := sentiment.NewCall([]*sentimentv1.TextItem{text("x")}, nil, nil, 0, 10).Analyze(t.Context(), bare, []sentimentv1.TextFeature{classes}); !errors.Is(err, sentiment.ErrUnsupported) {
		t.Errorf("no labels: %v", err)
	}
}

// TestLongTexts wants a text of many tokens read to its end, its answer weighted
// by tokens, and its vectors of unit length.
func TestLongTexts(t *testing.T) {
	var rows [][]int64
	m := moody(t, fmt.Sprintf(moods, ", stride: 2, prefix: 'hello '"), &rows)
	// 9 tokens of a text fit beside [CLS], "hello" and [SEP].
	long := strings.Repeat("world ", 17) + "fine"
	r := ask(t, m, nil, []*sentimentv1.TextItem{text(long)}, polarity, embedding)[0]
	if len(rows) != 3 || r.GetChunks() != 3 || len(r.GetWarnings()) != 0 {
		t.Fatalf("rows %v, %v", rows, r)
	}
	weight, fine, total := 0.0, 0.0, 0
	for _, ids := range rows {
		if len(ids) > 12 || fmt.Sprint(ids[:2]) != "[2 4]" || ids[len(ids)-1] != 3 {
			t.Errorf("row %v", ids)
		}
		if slices.Contains(ids, 7) {
			fine += float64(len(ids))
		}
		weight += float64(len(ids))
		total += len(ids)
	}
	if want := (0.8*fine + 0.1*(weight-fine)) / weight; math.Abs(r.GetSentiment().GetPositive()-want) > 1e-6 || fine == 0 {
		t.Errorf("positive %v, want %v", r.GetSentiment().GetPositive(), want)
	}
	if v := r.GetEmbedding().GetValues(); math.Abs(math.Hypot(float64(v[0]), float64(v[1]))-1) > 1e-6 {
		t.Errorf("the mean vector is %v", v)
	}
	if int(r.GetTokens()) != total {
		t.Errorf("%d tokens, want %d", r.GetTokens(), total)
	}

	cut := ask(t, moody(t, fmt.Sprintf(moods, ""), nil), nil, []*sentimentv1.TextItem{text(long)}, polarity)[0]
	if w := cut.GetWarnings(); len(w) != 1 || w[0].GetCode() != servingv1.WarningCode_WARNING_CODE_TRUNCATED || cut.GetChunks() != 1 {
		t.Errorf("without a stride: %v", cut)
	}
}

// TestManyRows wants one text of more sentences than a queue takes at once
// answered, in runs.
func TestManyRows(t *testing.T) {
	m := moody(t, fmt.Sprintf(moods, ""), nil)
	long := strings.Repeat("Fine. Bad. ", 3000)
	r := ask(t, m, nil, []*sentimentv1.TextItem{text(long), text("Fine.")}, sentences, polarity)
	if len(r[0].GetSentences()) != 6000 || r[0].GetSentiment().GetPolarity() != sentimentv1.Polarity_POLARITY_MIXED ||
		r[1].GetSentiment().GetPolarity() != sentimentv1.Polarity_POLARITY_POSITIVE {
		t.Errorf("%d sentences, %v, %v", len(r[0].GetSentences()), r[0].GetSentiment(), r[1])
	}
	if m.MostAtOnce.Load() > pipeline.WaveItems {
		t.Errorf("%d rows in one run", m.MostAtOnce.Load())
	}
	full := moody(t, fmt.Sprintf(moods, ""), nil)
	full.Compute = func(context.Context, []tensor.Tensor) ([]tensor.Tensor, error) { return nil, &batch.FullError{} }
	err := sentiment.NewCall([]*sentimentv1.TextItem{text(long)}, nil, nil, 0, 1<<20).Analyze(t.Context(), full, []sentimentv1.TextFeature{sentences})
	if !errors.Is(err, batch.ErrFull) {
		t.Errorf("a full queue: %v", err)
	}
}

// TestPersonalData wants it found where the text was sent, without a model, and
// replaced before a model reads it.
func TestPersonalData(t *testing.T) {
	const sent = "Ёжик, пишите: a.b@example.com. Fine. Или +7 (912) 345-67-89!"
	units := map[sentimentv1.OffsetUnit]func(b, e int64) string{
		sentimentv1.OffsetUnit_OFFSET_UNIT_UTF8_BYTES:  func(b, e int64) string { return sent[b:e] },
		sentimentv1.OffsetUnit_OFFSET_UNIT_CODE_POINTS: func(b, e int64) string { return string([]rune(sent)[b:e]) },
	}
	for unit, cut := range units {
		r := ask(t, nil, &sentimentv1.TextOptions{Offsets: unit}, []*sentimentv1.TextItem{text(sent)}, personal)[0]
		var got []string
		for _, p := range r.GetPersonalData() {
			got = append(got, fmt.Sprintf("%s %s", strings.TrimPrefix(p.GetType().String(), "PERSONAL_DATA_TYPE_"), cut(p.GetSpan().GetBegin(), p.GetSpan().GetEnd())))
		}
		if fmt.Sprint(got) != "[EMAIL a.b@example.com PHONE +7 (912) 345-67-89]" || r.GetRedactedText() != "" || len(r.GetPredictionId()) != 36 || r.GetServedBy() != nil {
			t.Errorf("%v: %v, %v", unit, got, r)
		}
	}

	var rows [][]int64
	m := moody(t, fmt.Sprintf(moods, ""), &rows)
	redact := &sentimentv1.TextOptions{Redact: true, PersonalData: []sentimentv1.PersonalDataType{sentimentv1.PersonalDataType_PERSONAL_DATA_TYPE_EMAIL}}
	r := ask(t, m, redact, []*sentimentv1.TextItem{text("Mail fine@bad.com now. Fine.")}, sentences)[0]
	if want := "Mail [EMAIL] now. Fine."; r.GetRedactedText() != want || parts(want, r) != "Mail [EMAIL] now.=NEU+0.0 | Fine.=POS+0.7" || r.GetPersonalData() != nil {
		t.Errorf("%v", r)
	}
	for _, ids := range rows {
		if slices.Contains(ids, 8) {
			t.Errorf("the model read the address: %v", ids)
		}
	}
}

// TestHostileTexts wants each answered, with every offset on a character and the
// sentences covering all but white space.
func TestHostileTexts(t *testing.T) {
	m := moody(t, fmt.Sprintf(moods, ", stride: 2"), nil)
	for name, c := range map[string]struct {
		text            string
		sentences, most int // most: rows that it may take
	}{
		"one word of 1 MiB":      {strings.Repeat("a", 1<<20), 1, 1}, // one unknown word is one token
		"1 MiB of signs":         {strings.Repeat(",", 1<<20), 1, 1 << 18},
		"100,000 accents":        {"a" + strings.Repeat("\u0301", 100_000), 1, 1},
		"zero-width joiners":     {strings.Repeat("👩\u200d👩\u200d👧 ", 2000), 1, 2000},
		"mixed scripts":          {"Хорошо. It is fine! 我很高兴。真的。 Ἀγαθόν.", 5, 7},
		"right to left":          {"\u200fשלום, זה טוב. هذا جيد. Fine.", 3, 4},
		"nothing but full stops": {strings.Repeat(".", 50_000), 1, 1 << 14},
		"nothing but spaces":     {strings.Repeat(" ", 50_000), 0, 1},
		"a byte order mark":      {"\ufeffFine. Bad.", 2, 3},
		"NUL":                    {"Fine.\x00 Bad.\x00", 1, 1},
	} {
		before := m.Items.Load()
		r := ask(t, m, &sentimentv1.TextOptions{Offsets: sentimentv1.OffsetUnit_OFFSET_UNIT_CODE_POINTS}, []*sentimentv1.TextItem{text(c.text)}, polarity, sentences, embedding, personal)[0]
		runes, at := []rune(c.text), int64(0)
		for _, s := range r.GetSentences() {
			if b, e := s.GetSpan().GetBegin(), s.GetSpan().GetEnd(); b < at || e <= b || strings.TrimSpace(string(runes[at:b])) != "" {
				t.Fatalf("%s: sentence [%d, %d) after %d", name, b, e, at)
			}
			at = s.GetSpan().GetEnd()
		}
		if rows := int(m.Items.Load() - before); len(r.GetSentences()) != c.sentences || rows > c.most || rows < 1 || r.GetSentiment() == nil {
			t.Errorf("%s: %d sentences, %d rows, %d chunks", name, len(r.GetSentences()), rows, r.GetChunks())
		}
		if strings.TrimSpace(string(runes[at:])) != "" {
			t.Errorf("%s: %d characters after the last sentence", name, len(runes)-int(at))
		}
	}
}

// TestRepairedOffsets wants the offsets of bytes that are no UTF-8 to be those of
// the repaired text.
func TestRepairedOffsets(t *testing.T) {
	m := moody(t, fmt.Sprintf(moods, ""), nil)
	r := ask(t, m, nil, []*sentimentv1.TextItem{{Content: &sentimentv1.TextItem_TextBytes{TextBytes: []byte("caf\xe9 \xe2\x82. Fine.")}}}, sentences)[0]
	if got := parts("caf\ufffd \ufffd. Fine.", r); got != "caf\ufffd \ufffd.=NEU+0.0 | Fine.=POS+0.7" {
		t.Errorf("%s, %v", got, r.GetWarnings())
	}
}

// TestLanguage wants it told without a model, and a warning from a model that
// does not read it.
func TestLanguage(t *testing.T) {
	told := sentimentv1.TextFeature_TEXT_FEATURE_LANGUAGE
	russian := text("Этот чайник мне очень понравился, рекомендую его всем друзьям.")
	german := text("Dieser Wasserkocher gefällt mir überhaupt nicht, ich schicke ihn zurück.")
	texts := []*sentimentv1.TextItem{russian, german, text("12 34")}
	r := ask(t, nil, nil, texts, told)
	for i, want := range []string{"ru", "de", "und"} {
		if l := r[i].GetLanguage(); l.GetCode() != want || l.GetSupported() || (want != "und") != (l.GetProbability() > 0.9) {
			t.Errorf("text %d: %v", i, l)
		}
	}
	for languages, want := range map[string]string{
		"":                       "false 0, false 0, false 0", // the model does not tell
		", languages: [ru, en]":  "true 0, false 1, false 0",
		", languages: [de]":      "false 1, true 0, false 0",
		", languages: [ru, de]":  "true 0, true 0, false 0",
		", languages: ['fr,no']": "",
	} {
		if want == "" {
			if _, err := pipelinetest.Open(pipelinetest.Files(pipelinetest.Graph(nil, nil), fmt.Sprintf(moods, languages), nil), pipeline.Limits{}); err == nil {
				t.Errorf("languages that are no codes are accepted")
			}
			continue
		}
		var got []string
		for _, r := range ask(t, moody(t, fmt.Sprintf(moods, languages), nil), nil, texts, polarity, told) {
			warned := 0
			for _, w := range r.GetWarnings() {
				if w.GetCode() == servingv1.WarningCode_WARNING_CODE_UNSUPPORTED_LANGUAGE && w.GetField() == fmt.Sprintf("texts[%d].text", r.GetIndex()) {
					warned++
				}
			}
			got = append(got, fmt.Sprintf("%v %d", r.GetLanguage().GetSupported(), warned))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %s", languages, strings.Join(got, ", "))
		}
	}
	if r := ask(t, moody(t, fmt.Sprintf(moods, ", languages: [ru]"), nil), nil, texts[1:2], polarity); len(r[0].GetWarnings()) != 2 || r[0].GetLanguage() != nil { // and that it was cut
		t.Errorf("a warning without the feature: %v", r[0])
	}
}
