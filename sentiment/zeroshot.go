package sentiment

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"unicode"
	"weak"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// TOPICS, INTENT and TOXICITY ask how near a text's embedding is to that of some
// words, the labels, without training on them. How near is near depends on the
// model, the label and the language of the text. So a similarity counts in
// standard deviations above its mean over general sentences of that language.

// general are sentences about nothing in particular, by language.
var general = [...][]string{
	english: {
		"Tomorrow morning we are driving to my parents' house.",
		"It rained in the city all day yesterday.",
		"I usually drink my coffee without sugar.",
		"The shop is open from nine to six.",
		"The meeting was moved to Thursday.",
		"He read the book in two evenings.",
		"I need to buy bread and milk.",
		"The children are playing in the yard.",
		"How long does it take to get to the station?",
		"Thanks, I understand it now.",
		"There is a new film on tonight.",
		"She works at a school as a teacher.",
		"Write to us if you have any questions.",
		"The train arrives at platform two.",
		"We have not seen each other for a long time.",
		"It happened last year.",
	},
	russian: {
		"Завтра утром мы едем на дачу к родителям.",
		"Вчера в городе весь день шёл дождь.",
		"Я обычно пью кофе без сахара.",
		"Магазин работает с девяти до шести.",
		"Собрание перенесли на четверг.",
		"Он прочитал эту книгу за два вечера.",
		"Мне нужно купить хлеб и молоко.",
		"Дети играют во дворе.",
		"Сколько времени займёт дорога до вокзала?",
		"Спасибо, я всё понял.",
		"Вечером покажут новый фильм.",
		"Она работает в школе учителем.",
		"Напишите нам, если появятся вопросы.",
		"Поезд прибывает на второй путь.",
		"Мы давно не виделись.",
		"Это было в прошлом году.",
	},
}

// abuse describes a toxic text in both languages.
var abuse = []string{
	"An insult: you are a stupid idiot, shut up.", "an abusive, hateful, threatening message",
	"Оскорбление: ты тупой идиот, заткнись.", "грубое сообщение с оскорблениями и угрозами",
}

// The languages of general.
const (
	english = iota
	russian
	languages
)

// written tells a text's language by its letters.
func written(text string) int {
	cyrillic, latin := 0, 0
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Cyrillic, r):
			cyrillic++
		case unicode.Is(unicode.Latin, r):
			latin++
		}
	}
	if cyrillic > latin {
		return russian
	}
	return english
}

// Where a score is 0.5, and how fast it rises there: so set that plain examples in
// both languages come out as a reader would say, not on labelled texts.
const (
	middle      = 2.0
	middleAbuse = 3.5
	slope       = 1.5
)

// Labels keeps what models make of labels, so that a label is read once for each
// loaded version and not at every call. It holds at most maxLabels and forgets
// the oldest first. The zero value is ready, a nil one keeps nothing; it is safe
// for concurrent use.
type Labels struct {
	mu    sync.Mutex
	kept  map[labelKey]*label
	order []labelKey // a ring once it is full
	next  int
}

const maxLabels = 4096

// labelKey is a label of a loaded version; it does not keep that in memory.
type labelKey struct {
	version weak.Pointer[bundle.Bundle]
	head    string
	text    string
}

// label is what a model makes of a label.
type label struct {
	vector []float64 // of norm 1
	// Of its similarity to general sentences.
	mean, deviation [languages]float64
}

func (l *Labels) get(key labelKey) *label {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept[key]
}

func (l *Labels) put(key labelKey, v *label) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil {
		l.kept = map[labelKey]*label{}
	}
	if _, ok := l.kept[key]; ok {
		return
	}
	if l.kept[key] = v; len(l.order) < maxLabels {
		l.order = append(l.order, key)
		return
	}
	delete(l.kept, l.order[l.next])
	l.order[l.next], l.next = key, (l.next+1)%maxLabels
}

// zeroShotFeature answers TOPICS, INTENT or TOXICITY.
type zeroShotFeature struct {
	*embeddingFeature
	kind   sentimentv1.TextFeature
	names  []string
	labels []*label
}

func (q *question) zeroShot(ctx context.Context, kind sentimentv1.TextFeature) (*zeroShotFeature, error) {
	f := &zeroShotFeature{kind: kind}
	field := ""
	switch kind {
	case sentimentv1.TextFeature_TEXT_FEATURE_TOPICS:
		field, f.names = "options.topics", q.call.options.GetTopics()
	case sentimentv1.TextFeature_TEXT_FEATURE_INTENT:
		field, f.names = "options.intents", q.call.options.GetIntents()
	default:
		f.names = abuse
	}
	if len(f.names) == 0 {
		return nil, missing(field, strings.TrimPrefix(kind.String(), "TEXT_FEATURE_"))
	}
	for i, name := range f.names {
		if blank(name) {
			return nil, &pipeline.InputError{Field: fmt.Sprintf("%s[%d]", field, i), Reason: "LABEL_BLANK", Message: "holds nothing but white space"}
		}
	}
	var err error
	if f.embeddingFeature, err = q.embedding(); err != nil {
		return nil, q.lacks(kind)
	}
	f.labels, err = q.labels(ctx, f.embeddingFeature, field, f.names)
	return f, err
}

// labels reads labels, those that are kept aside.
func (q *question) labels(ctx context.Context, e *embeddingFeature, field string, names []string) ([]*label, error) {
	out := make([]*label, len(names))
	version := weak.Make(q.model.Bundle())
	var unread []string
	var at []int
	for i, name := range names {
		if out[i] = q.call.Labels.get(labelKey{version, e.head, name}); out[i] == nil {
			unread, at = append(unread, name), append(at, i)
		}
	}
	if len(unread) == 0 {
		return out, nil
	}
	vectors, err := q.vectors(ctx, e, field, at, unread)
	if err != nil {
		return nil, err
	}
	sentences, err := q.general(ctx, e)
	if err != nil {
		return nil, err
	}
	for k, i := range at {
		l := &label{vector: vectors[k]}
		for language := range sentences {
			l.mean[language], l.deviation[language] = spread(l.vector, sentences[language])
		}
		out[i] = l
		q.call.Labels.put(labelKey{version, e.head, names[i]}, l)
	}
	return out, nil
}

// general reads the general sentences; they are kept like labels.
func (q *question) general(ctx context.Context, e *embeddingFeature) (out [languages][][]float64, err error) {
	version := weak.Make(q.model.Bundle())
	for language, texts := range general {
		out[language] = make([][]float64, len(texts))
		var unread []string
		for i, text := range texts {
			if l := q.call.Labels.get(labelKey{version, e.head, text}); l != nil {
				out[language][i] = l.vector
			} else {
				unread = append(unread, text)
			}
		}
		if len(unread) == 0 {
			continue
		}
		if out[language], err = q.vectors(ctx, e, "", nil, texts); err != nil {
			return out, err
		}
		for i, text := range texts {
			q.call.Labels.put(labelKey{version, e.head, text}, &label{vector: out[language][i]})
		}
	}
	return out, nil
}

// vectors reads texts; field[places[i]] is the path of text i.
func (q *question) vectors(ctx context.Context, e *embeddingFeature, field string, places []int, texts []string) ([][]float64, error) {
	passages, _, err := readAll(ctx, q.model, e.view, texts, func(i int) string {
		if places == nil {
			return field
		}
		return fmt.Sprintf("%s[%d]", field, places[i])
	})
	if err != nil {
		return nil, err
	}
	out := make([][]float64, len(texts))
	for i := range passages {
		out[i] = unit(e.vector(&passages[i]))
	}
	return out, nil
}

// unit returns a vector of norm 1; zeros stay.
func unit(v []float64) []float64 {
	long := norm(v)
	if long == 0 {
		long = 1
	}
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = x / long
	}
	return out
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

// spread is the mean and the standard deviation of a vector's similarities. The
// latter is no smaller than rounding may make it.
func spread(v []float64, to [][]float64) (mean, deviation float64) {
	squares := 0.0
	for _, u := range to {
		x := dot(v, u)
		mean += x / float64(len(to))
		squares += x * x / float64(len(to))
	}
	return mean, math.Max(math.Sqrt(math.Max(squares-mean*mean, 0)), 1e-3)
}

func (f *zeroShotFeature) answer(s *subject, r *sentimentv1.TextResult) error {
	text, language := unit(f.vector(s.whole)), written(s.text)
	scores := make([]float64, len(f.labels))
	for i, l := range f.labels {
		if len(l.vector) != len(text) {
			return fmt.Errorf("%w: %d numbers, but %d of a label", pipeline.ErrOutput, len(text), len(l.vector))
		}
		scores[i] = (dot(l.vector, text) - l.mean[language]) / l.deviation[language]
	}
	var err error
	switch f.kind {
	case sentimentv1.TextFeature_TEXT_FEATURE_TOPICS:
		for i, x := range scores {
			scores[i] = pipeline.Logistic(slope * (x - middle))
		}
		r.Topics, err = byScore(f.names, scores)
	case sentimentv1.TextFeature_TEXT_FEATURE_INTENT:
		if err = pipeline.Activate(scores, bundlev1.Activation_ACTIVATION_SOFTMAX, 1/slope); err == nil {
			r.Intents, err = byScore(f.names, scores)
		}
	default:
		mean := 0.0
		for _, x := range scores {
			mean += x / float64(len(scores))
		}
		toxicity := pipeline.Logistic(slope * (mean - middleAbuse))
		r.Toxicity = &toxicity
	}
	return err
}
