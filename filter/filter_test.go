package filter_test

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/scry-ml/scry/filter"
)

var attributes = []filter.Attribute{
	{Name: "category", Kind: filter.String},
	{Name: "price", Kind: filter.Number},
	{Name: "active", Kind: filter.Bool},
	{Name: "sold", Kind: filter.Timestamp},
	{Name: "tags", Kind: filter.Strings},
	{Name: "attributes", Kind: filter.Map},
	{Name: "Monthly Charges", Kind: filter.Number},
	{Name: "a.b", Kind: filter.Number},
}

// row has its values in the order of attributes; nil is missing.
type row []any

func value[T any](r row, i int) (T, bool) {
	v, ok := r[i].(T)
	return v, ok
}

func (r row) String(i int) (string, bool)    { return value[string](r, i) }
func (r row) Number(i int) (float64, bool)   { return value[float64](r, i) }
func (r row) Bool(i int) (v, ok bool)        { return value[bool](r, i) }
func (r row) Timestamp(i int) (int64, bool)  { return value[int64](r, i) }
func (r row) Strings(i int) ([]string, bool) { return value[[]string](r, i) }

func (r row) Entry(i int, key string) (string, bool) {
	m, _ := value[map[string]string](r, i)
	if key == "" {
		return "", len(m) > 0
	}
	v, ok := m[key]
	return v, ok
}

func micros(s string) int64 {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UnixMicro()
}

var lamp = row{
	"Lamps", 19.5, true, micros("2026-05-01T10:00:00Z"), []string{"summer", "blue light"},
	map[string]string{"channel": "email", "two words": "x"}, 70.0, 3.0,
}

func TestMatch(t *testing.T) {
	empty := make(row, len(attributes))
	empty[1] = math.NaN()
	for text, want := range map[string]struct{ lamp, empty bool }{
		``:                                   {true, true},
		`  `:                                 {true, true},
		`category = "Lamps"`:                 {lamp: true},
		`category = Lamps`:                   {lamp: true},
		`category = lamps`:                   {},
		`category != "Vases"`:                {lamp: true},
		`NOT category = "Vases"`:             {true, true},
		`-category = "Lamps"`:                {empty: true},
		`category = "La*"`:                   {lamp: true},
		`category = "*mps"`:                  {lamp: true},
		`category = "*am*"`:                  {lamp: true},
		`category = "*ap*"`:                  {},
		`category != "La*"`:                  {},
		`category:"AMP"`:                     {lamp: true},
		`category:ampx`:                      {},
		`category:""`:                        {lamp: true},
		`category:*`:                         {lamp: true},
		`category:"*"`:                       {lamp: true},
		`category < "M"`:                     {lamp: true},
		`category >= "M"`:                    {},
		`price < 20`:                         {lamp: true},
		`price < 19.5`:                       {},
		`price <= 19.5`:                      {lamp: true},
		`price > -1`:                         {lamp: true},
		`price >= 0x13`:                      {lamp: true},
		`price = "1.95e1"`:                   {lamp: true},
		`price != 3`:                         {lamp: true},
		`price:"*"`:                          {lamp: true},
		`active`:                             {lamp: true},
		`NOT active`:                         {empty: true},
		`active = false`:                     {},
		`active != false`:                    {lamp: true},
		`true`:                               {true, true},
		`false OR active`:                    {lamp: true},
		`sold > "2026-05-01"`:                {lamp: true},
		`sold < "2026-05-01"`:                {},
		`sold = "2026-05-01T13:00:00+03:00"`: {lamp: true},
		`sold <= timestamp("2026-05-01T10:00:00Z")`: {lamp: true},
		`tags:summer`:                                    {lamp: true},
		`tags:"blue light"`:                              {lamp: true},
		`tags:"blue"`:                                    {},
		`tags:"*"`:                                       {lamp: true},
		`attributes.channel = "email"`:                   {lamp: true},
		`attributes.channel:MAI`:                         {lamp: true},
		`attributes.other = "email"`:                     {},
		`attributes."two words" = x`:                     {lamp: true},
		`attributes:channel`:                             {lamp: true},
		`attributes:other`:                               {},
		`attributes:"*"`:                                 {lamp: true},
		`attributes.channel:"*"`:                         {lamp: true},
		`"Monthly Charges" > 60`:                         {lamp: true},
		`a.b = 3`:                                        {lamp: true},
		`price < 1 OR price > 10 AND active`:             {lamp: true}, // OR binds tighter
		`price > 10 AND active = false OR tags:summer`:   {lamp: true},
		`(price > 10 AND active = false) OR tags:winter`: {},
		"price > 10\n AND (NOT (category = \"Vases\"))":  {lamp: true},
	} {
		p, err := filter.Compile(text, attributes)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := p.Match(lamp); got != want.lamp {
			t.Errorf("%s: the lamp gives %v", text, got)
		}
		if got := p.Match(empty); got != want.empty {
			t.Errorf("%s: the empty row gives %v", text, got)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for text, want := range map[string]string{
		`colour = "red"`:                  `line 1, column 1: there is no attribute "colour"`,
		"price < 20 AND\n  size > 3":      `line 2, column 3: there is no attribute "size"`,
		`price < "much"`:                  `column 9: expected a number`,
		`price < 20 tags:summer`:          `column 12: expected AND, OR or a comparison`,
		`category ~ "x" AND active`:       `column 10: expected AND, OR or a comparison`,
		`price`:                           `column 1: price is a number, expected a comparison`,
		`price <`:                         `column 8: the filter ends too early, expected an attribute or a value`,
		`(price < 3`:                      `column 11: expected a closing parenthesis`,
		`price = = 3`:                     `column 9: unexpected =, expected an attribute or a value`,
		`category = "lamps`:               `column 12: unterminated string`,
		`active > true`:                   `column 1: active is a bool, expected = or != instead of ">"`,
		`active = 1`:                      `column 10: expected true or false`,
		`sold > "yesterday"`:              `column 8: expected a time in quotes`,
		`tags = "summer"`:                 `column 1: tags is a list of strings, expected ":" instead of "="`,
		`attributes = "x"`:                `column 1: attributes is a map of strings, expected ":"`,
		`category.x = "y"`:                `column 1: category is a string, which has no entries`,
		`price:3`:                         `column 1: price is a number, of which ":" asks for "*" only`,
		`regex(category)`:                 `column 1: there is no function "regex"`,
		`category = 3`:                    `column 12: expected a text in quotes`,
		`3 = category`:                    `column 1: expected an attribute's name`,
		`  price < x`:                     `column 11: expected a number`,
		`category = "ламп" AND prise < 3`: `column 23: there is no attribute "prise"`,
		`price < 3 )`:                     `column 11: unexpected )`,
		strings.Repeat("(", 33) + "active" + strings.Repeat(")", 33): `column 33: parentheses are nested deeper than 32`,
		strings.Repeat("x", 4097):                                    `the filter has 4097 bytes, the limit is 4096`,
		"category = \"\xff\"":                                        `invalid UTF-8`,
	} {
		_, err := filter.Compile(text, attributes)
		if e, ok := errors.AsType[*filter.Error](err); !ok || !strings.Contains(e.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
}

func TestNoGarbage(t *testing.T) {
	p, err := filter.Compile(`category:"AMP" AND price < 20 AND (active OR tags:winter) AND attributes.channel = "email" AND sold > "2026-01-01"`, attributes)
	if err != nil {
		t.Fatal(err)
	}
	var r filter.Row = lamp
	if n := testing.AllocsPerRun(100, func() {
		if !p.Match(r) {
			t.Fatal("no match")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a row", n)
	}
}

// TestAlgebra holds compiled conditions against Go's own logic.
func TestAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := rapid.Float64Range(-5, 5).Draw(t, "price")
		r := make(row, len(attributes))
		r[1] = price
		text, want := draw(t, price, 4)
		p, err := filter.Compile(text, attributes)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := p.Match(r); got != want {
			t.Fatalf("%s with %v: %v", text, price, got)
		}
	})
}

func draw(t *rapid.T, price float64, depth int) (string, bool) {
	if depth == 0 || rapid.Bool().Draw(t, "leaf") {
		at := rapid.IntRange(-5, 5).Draw(t, "at")
		number := strconv.Itoa(at)
		switch rapid.IntRange(0, 3).Draw(t, "op") {
		case 0:
			return "price < " + number, price < float64(at)
		case 1:
			return "price >= " + number, price >= float64(at)
		case 2:
			return "price != " + number, price != float64(at)
		}
		return "NOT price > " + number, !(price > float64(at))
	}
	a, x := draw(t, price, depth-1)
	b, y := draw(t, price, depth-1)
	switch rapid.IntRange(0, 2).Draw(t, "join") {
	case 0:
		return "(" + a + ") AND (" + b + ")", x && y
	case 1:
		return "(" + a + ") OR (" + b + ")", x || y
	}
	return "NOT ((" + a + ") AND (" + b + "))", !(x && y)
}

func FuzzCompile(f *testing.F) {
	for _, text := range []string{`category = "x" AND price < 20`, `NOT (a.b:* OR tags:x)`, `-attributes."k k" != 'v'`, "price<-0x1F\nAND sold > timestamp(\"2026-01-01\")", `((`} {
		f.Add(text)
	}
	empty := make(row, len(attributes))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := filter.Compile(text, attributes)
		if e, ok := errors.AsType[*filter.Error](err); ok {
			if e.Offset < 0 || e.Offset > len(text) || e.Line < 1 || e.Column < 1 || e.Message == "" || e.Column > 1+utf8.RuneCountInString(text) {
				t.Errorf("%q: %+v", text, e)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: an error of another type: %v", text, err)
		}
		p.Match(lamp)
		p.Match(empty)
	})
}
