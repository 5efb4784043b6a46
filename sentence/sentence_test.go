package sentence

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// cases are texts with "|" where a sentence ends; "⏎" is a line break.
var cases = []string{
	"Пришёл вовремя.| Качество отличное!| Рекомендую?| Да.",
	"One sentence",
	"First one. |Second one! |Third one?",
	// Abbreviations.
	"Живёт на ул. Ленина, д. 5, кв. 7. |Там хорошо.",
	"Он родился в 1990 г. в Москве. |Потом уехал.",
	"Это было в 1812 г. |Наполеон отступил.",
	"Из г. Москвы выехали в XIX в. |Дорога была долгой.",
	"Купили хлеб, молоко и т. д. |Потом пошли домой.",
	"Купили хлеб, молоко и т.д. |Потом пошли домой.",
	"Т. е. Иванов прав, т. к. Петров ошибся.",
	"Это т.н. Большой взрыв. |Он был давно.",
	"Стоит 500 руб. |Доставка бесплатная.",
	"Стоит 5 руб. 20 коп. |Дёшево.",
	"Население 3 млн. человек. |Много.",
	"Площадь 50 кв. м. |Окна на юг.",
	"Иван Грозный и др. цари. |Все они правили Россией.",
	"Пришли Иванов, Петров и др. |Собрание началось.",
	"См. рис. 5 и табл. 3. |Там всё есть.",
	"Проф. Преображенский и акад. Павлов. |Учёные.",
	"Это было в 44 г. до н. э. |Цезарь погиб.",
	"Рим пал в V в. н. э. |Началось средневековье.",
	"Mr. Smith met Dr. Jones at 5 p.m. |They talked.",
	"We met at 5 p.m. Monday. |It rained.",
	"The U.S. Government said no. |He left the U.S. |The end.",
	"He works at Apple Inc. |He likes it.",
	"Apple Inc. Chief Tim Cook spoke.",
	"Bring apples, pears, etc. |Then go.",
	"Use it, e.g. Monday or i.e. never. |Fine.",
	"See Fig. 3 and No. 5. |No. |I don't.",
	"It was Jan. 5. |The snow fell.",
	"She moved to St. Petersburg. |He lives on Main St. |The house is old.",
	"He has a Ph.D. in physics. |She has a Ph.D. |They are smart.",
	"Smith et al. 2004 showed it. |It holds.",
	// Initials.
	"А. С. Пушкин родился в Москве. |Он поэт.",
	"Читали Пушкина А. С. |Он нам понравился.",
	"Иванов И.И. пришёл. |Петров П.П. ушёл.",
	"J. R. R. Tolkien wrote it. |I read it.",
	"George W. Bush won. |John F. Kennedy too.",
	"Много витамина С. |Вкусно.",
	"My plan B. |Then I left.",
	"That was you and I. |The others slept.",
	// Numbers and lists.
	"Цена 3.14 и 2.5 кг. |Дата 01.02.2020. |Версия 1.2.3 вышла.",
	"Плюсы: 1. Цена. |2. Качество. |3. Доставка.",
	"1. Купить хлеб.⏎|2. Купить молоко.⏎|10. Отдохнуть",
	"Плюсы:⏎|- цена⏎|- качество⏎|- доставка",
	"1) Цена 2) Качество",
	"а) Первое б) Второе",
	"Пришёл в 2010. |15 лет спустя ушёл.",
	"1.2. Предмет договора. |Стороны согласны.",
	"I got 5. |Then 7.",
	// Quotes and brackets.
	"«Привет!» — сказал он. |Она ушла.",
	"— Привет! — сказал он. |— Как дела? |— Хорошо.",
	"Он сказал: «Я ушёл.» |Она осталась.",
	"\"Why?\" he asked. |\"Go!\" John said. |She went.",
	"He said \"Stop.\" |Then he left.",
	"“Really?!” |“Yes.”",
	"(Он ушёл.) |Потом вернулся.",
	"Товар (отличный!) Samsung привезли. |Спасибо.",
	"Он (так и знал!) пришёл. |Хорошо (да?). |Плохо.",
	"He teaches (He worked for years. It was hard.) at the university. |Good.",
	"Это факт.[12] |Другой факт.",
	"Он сказал: „Ja.“ |Потом ушёл.",
	"**Важно.** |Читайте.",
	// Ellipses and runs.
	"Ну... не знаю. |Может быть…  |Посмотрим...",
	"...и он ушёл. |Всё.",
	"Что?! |Не может быть!!! |Да ну?..  |Вот так.",
	"Ну...|Я не знаю",
	"Wait... what? |OK... |Fine.",
	// Smileys.
	"Отлично :) |Спасибо!",
	"Отлично! :) |Спасибо))) |Всё пришло((( |Жаль",
	"Супер! 😀 |Беру ещё 🔥🔥 |Класс",
	"Great :-D |Thanks ;) |Bye",
	"Цвет (синий) Красивый",
	"Люблю ❤ Москву",
	"Плохо:( |Верну",
	// Dialogue.
	"— Ты где?⏎|— Дома.⏎|— Иду",
	"Москва⏎— столица России.",
	// Addresses.
	"Смотри на https://site.ru/a.b?Q=1.X. |Там всё.",
	"Пишите на Ivan.Petrov@mail.ru. |Ответим.",
	"Use Node.js and ASP.NET. |System.Out is bad.",
	"Сайт Yandex.Ru и mail.ru. |Хорошие.",
	"See readme.md or index.html. |https://example.com is there.",
	// Line breaks.
	"Первая строка⏎вторая строка.⏎|третья⏎⏎|четвёртая",
	"Title⏎⏎|Body text. |More",
	"a wrapped⏎line ends.⏎|Next",
	"живёт на ул.⏎Ленина",
	// A missing space.
	"Всё хорошо.|Спасибо!|Рекомендую.|Я рад",
	"Great phone.|The screen is good!|Buy it.",
	"Живу на ул.Ленина, г.Москва и т.п.",
	"Купил за 100.|Очень рад",
	// Small letters.
	"Вот это да! подумал он.",
	"привет! |как дела? |всё хорошо. |ну... ладно",
	"Yahoo! is old. |iPhones are new.",
	// Other scripts.
	"今天天气很好。|我们去公园吧！|好吗？|",
	"他说：“你好。”|然后走了。",
	"यह अच्छा है। |वह भी।",
	"كيف حالك؟ |أنا بخير.",
	"Guten Tag. |¿Qué tal? |¡Bien!",
}

func TestSplit(t *testing.T) {
	for _, c := range cases {
		c = strings.ReplaceAll(c, "⏎", "\n")
		var want []string
		for p := range strings.SplitSeq(c, "|") {
			if p = strings.TrimSpace(p); p != "" {
				want = append(want, p)
			}
		}
		text := strings.ReplaceAll(c, "|", "")
		if got := texts(text, Split(text)); !slices.Equal(got, want) {
			t.Errorf("%q\n got %q\nwant %q", text, got, want)
		}
	}
}

func texts(text string, spans []Span) []string {
	var out []string
	for _, s := range spans {
		out = append(out, text[s.Begin:s.End])
	}
	return out
}

// check tells what is wrong with spans as a split of text.
func check(t *testing.T, text string, spans []Span) {
	t.Helper()
	at := 0
	for _, s := range spans {
		if s.Begin < at || s.End <= s.Begin || s.End > len(text) {
			t.Fatalf("%q: %v is empty or out of order", text, s)
		}
		if strings.TrimSpace(text[at:s.Begin]) != "" {
			t.Fatalf("%q: %q is in no sentence", text, text[at:s.Begin])
		}
		if p := text[s.Begin:s.End]; strings.TrimSpace(p) != p {
			t.Fatalf("%q: white space around %q", text, p)
		}
		at = s.End
	}
	if strings.TrimSpace(text[at:]) != "" {
		t.Fatalf("%q: %q is in no sentence", text, text[at:])
	}
}

// hostile are texts that make a careless splitter look far, at every byte.
func hostile() map[string]string {
	const n = 512 << 10
	m := map[string]string{}
	for _, s := range []string{
		".", "!", "…", "。", "(", ")", ":)", "😀", "\n", "\r\n", " ", " .", ". ", "A.", "А. ", "a.A", "1. ", "1.1.", "\n- ", "«.»", "(a. ", "a (b. C ",
		". (", "т. ", "т.", "e.g. ", "\"", ".\"", "p.m. A", "[1", ".[1]", "a", "я", "@", "://", "\xff", ".\xff", "\u2029", "— ", ". — ", "<3", "* ", "I. ", "И! said ",
	} {
		m[s] = strings.Repeat(s, n/len(s))
	}
	return m
}

func TestHostile(t *testing.T) {
	for name, text := range hostile() {
		small, large := text[:len(text)/8], text
		best := func(text string) time.Duration {
			best := time.Hour
			for range 2 {
				start := time.Now()
				check(t, text, Split(text))
				best = min(best, time.Since(start))
			}
			return best
		}
		a, b := best(small), best(large)
		if b > 24*a+200*time.Millisecond {
			t.Errorf("%q: %v for %d bytes, %v for %d", name, a, len(small), b, len(large))
		}
	}
}

// No memory but that of the answer.
func TestAllocations(t *testing.T) {
	text := prose()
	spans := Split(text)
	n := testing.AllocsPerRun(10, func() { spans = Split(text) })
	if n > 20 {
		t.Errorf("%v allocations for %d sentences, want those of a growing slice", n, len(spans))
	}
	if n = testing.AllocsPerRun(10, func() { Split("Был у проф. А. Б. Иванова на ул. Ленина :) и т. д.") }); n != 1 {
		t.Errorf("%v allocations for one sentence, want 1", n)
	}
}

func prose() string {
	var b strings.Builder
	for b.Len() < 64<<10 {
		for _, c := range cases {
			b.WriteString(strings.NewReplacer("|", "", "⏎", "\n").Replace(c))
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func FuzzSplit(f *testing.F) {
	for _, c := range cases {
		f.Add(strings.NewReplacer("|", "", "⏎", "\n").Replace(c))
	}
	f.Add("\xff.\xfe A. \xc3(")
	f.Fuzz(func(t *testing.T, text string) {
		spans := Split(text)
		check(t, text, spans)
		// White space around a text changes nothing.
		wrapped := Split(" \n\n" + text + "\n ")
		if len(wrapped) != len(spans) {
			t.Fatalf("%q: %d sentences, %d with white space around", text, len(spans), len(wrapped))
		}
		for i, s := range wrapped {
			if s.Begin != spans[i].Begin+3 || s.End != spans[i].End+3 {
				t.Fatalf("%q: %v became %v", text, spans[i], s)
			}
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	text := prose()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		Split(text)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(text)), "ns/byte")
}
