package personal

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFind(t *testing.T) {
	// What is found is in brackets, with its kind.
	for _, line := range []string{
		"Пишите на [EMAIL ivan.petrov+shop@mail.example.ru]. Жду.",
		"mail: <[EMAIL a_b@example.com]>, or [EMAIL x@y.io]",
		"[EMAIL почта@пример.рф] тоже адрес",
		"не адреса: @ivan, a@b, user@localhost, a..@, 5 @ 3.50 each",
		"[EMAIL o'neil@example.co.uk]!",
		"site example.com has no address",
		"карта [CARD 4111 1111 1111 1111], amex [CARD 3782 822463 10005]",
		"[CARD 5555555555554444]",
		"не карта: 4111 1111 1111 1112, 1234567812345678",
		"МИР [CARD 2200 0000 0000 0053]",
		"ИНН [INN 7707083893] Сбербанка, ИНН: [INN 500100732259]",
		"[INN 500100732259] без слова",
		"заказ 7707083893 без слова, ИНН 7707083894 неверен",
		"Иннокентий 7707083893",
		"СНИЛС [SNILS 112-233-445 95] и [SNILS 112 233 445 95]",
		"СНИЛС [SNILS 11223344595]",
		"не СНИЛС: 112-233-445 96",
		"паспорт [PASSPORT 4506 123456], паспорт: [PASSPORT 45 06 123456], серия [PASSPORT 4506 №123456]",
		"паспорт серия [PASSPORT 4506 номер 123456] выдан",
		"заказ 4506 123456",
		"паспорта [PASSPORT 4509 123456], [PASSPORT 4510 654321],[PASSPORT 45 11 111111]; [PASSPORT 4512-222222] и [PASSPORT 4513 333333]",
		"passports [PASSPORT 4509123456], [PASSPORT 4510654321] and [PASSPORT 4511111111]",
		"паспорта [PASSPORT 4509 номер 123456], [PASSPORT 4510 номер 654321]",
		"паспорт [PASSPORT 4509 123456], заказ 4510 654321, 4511 111111",
		"паспорт [PASSPORT 4509 123456]. 4510 654321",
		"паспорт [PASSPORT 4509 123456], 4510654321, 4510 65432, 4510 6543211",
		"паспорт [PASSPORT 4509 123456], 4510 шт, 4511 111111",
		"ИНН [INN 500100732259], 4510 654321",
		"тел. [PHONE +7 (916) 123-45-67], [PHONE 8 (495) 123-45-67], [PHONE 89161234567]",
		"[PHONE 8-916-123-45-67] [PHONE +49 30 901820] [PHONE (212) 555-0123] [PHONE 212-555-0123]",
		"Звоните [PHONE 123-45-67]! Размер 123-45-67",
		"call me at [PHONE 555-0123]",
		"без слова — [PHONE (916) 123-45-67]",
		"цена 1 234 567 руб., 100%, 3,14159265358, 2019-05-06 12:30:45",
		"2024 2025 2026",
		"[PHONE +79161234567],[PHONE +79161234567]",
		"[CARD 4111111111111111],[CARD 4111111111111111].[INN 500100732259],[INN 500100732259]",
		"[SNILS 112-233-445 95],[SNILS 112-233-445 95]",
		"[EMAIL иван@почта.рф],[PHONE 8(916)123-45-67],[PHONE 8(916)765-43-21]",
		"тел.[PHONE +7 916 123-45-67].[PHONE +7 916 123-45-68]",
		"1,4111111111111111 and 12.4111111111111111 are fractions",
		"[EMAIL и\u0306ван@почта.рф] decomposed",
		"ISBN 978-5-17-080115-2",
		"id a4111111111111111, 4111111111111111b",
		"+100500 и +5",
		"1234567890123456789012345678901234567890",
		"IP 192.168.100.200, версия 10.15.7",
		"",
		"5",
	} {
		text, want := parse(line)
		got := Find(text, All())
		if !equal(got, want) {
			t.Errorf("%s\n got %s\nwant %s", text, show(text, got), show(text, want))
		}
	}
}

func TestOnlyWhatIsAsked(t *testing.T) {
	text := "a@b.ru +7 916 123 45 67"
	if got := Find(text, []Type{Email}); !equal(got, []Match{{Email, 0, 6}}) {
		t.Errorf("got %v", got)
	}
	if got := Find(text, nil); len(got) != 0 {
		t.Errorf("nothing was asked for, got %v", got)
	}
}

func TestRedact(t *testing.T) {
	text := "Я Иван, тел. +7 916 123-45-67, почта a@b.ru."
	if got, want := Redact(text, Find(text, All())), "Я Иван, тел. [PHONE], почта [EMAIL]."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if Redact("nothing", nil) != "nothing" {
		t.Error("a text without matches changed")
	}
}

// Were the time not linear, megabytes of what nearly is something would not end
// before the test's own limit.
func TestHuge(t *testing.T) {
	for _, unit := range []string{"@", "a@", "a.", "a@a.", "1 ", "1-", "+", "(", "4111 1111 1111 1112 ", "паспорт ", "паспорт 4506 ", "тел 1"} {
		Find(strings.Repeat(unit, (1<<20)/len(unit)), All())
	}
	Find("паспорт 4509 123456 "+strings.Repeat("4510 654321 x ", 1<<16), All())
}

func FuzzFind(f *testing.F) {
	f.Add("тел. +7 (916) 123-45-67, a@b.ru, 4111 1111 1111 1111 паспорт 4506 номер 123456")
	f.Add("паспорта 4509 123456, (4510) 654321 и 4511 номер 111111")
	f.Add("\xff@\xff.ru 1\u00a02(((")
	f.Fuzz(func(t *testing.T, text string) {
		end := 0
		for _, m := range Find(text, All()) {
			if m.Begin < end || m.End <= m.Begin || m.End > len(text) {
				t.Fatalf("%v after %d in %q", m, end, text)
			}
			end = m.End
			if utf8.ValidString(text) && !utf8.ValidString(text[m.Begin:m.End]) {
				t.Fatalf("%v cuts a letter of %q", m, text)
			}
		}
	})
}

// parse reads "[KIND what]" as a match.
func parse(line string) (text string, want []Match) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(line, "[")
		b.WriteString(before)
		if !ok {
			return b.String(), want
		}
		inside, after, _ := strings.Cut(rest, "]")
		kind, what, _ := strings.Cut(inside, " ")
		for _, k := range All() {
			if k.String() == kind {
				want = append(want, Match{k, b.Len(), b.Len() + len(what)})
			}
		}
		b.WriteString(what)
		line = after
	}
}

func show(text string, found []Match) string {
	var b strings.Builder
	for _, m := range found {
		b.WriteString(m.Type.String() + " " + text[m.Begin:m.End] + "; ")
	}
	return b.String()
}

func equal(a, b []Match) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
