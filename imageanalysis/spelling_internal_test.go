package imageanalysis

import "testing"

func TestSpell(t *testing.T) {
	for _, c := range []struct {
		line, want string
		cyrillic   bool
	}{
		{"Скидкa 20% нa iРhоnе 15", "Скидка 20% на iPhone 15", true},
		{"MTC и VISА", "МТС и VISA", true}, // МТС has no letter of its own
		{"Досmавка Starbиcks", "Доставка Starbucks", true},
		{"СОСОА", "COCOA", false},          // neither has the line
		{"пpивeтs", "приветs", true},       // the more letters count
		{"Ое́Ж", "Ое́Ж", true},             // a combining mark parts a word
		{"-30% №7", "-30% №7", false},      // no letters
		{"Ёлка crème", "Ёлка crème", true}, // letters with accents have no twin
		{"  Y у  Х х  ", "  Y y  X x  ", false},
		{"", "", false},
	} {
		if got, cyrillic := spell(c.line); got != c.want || cyrillic != c.cyrillic {
			t.Errorf("%q is spelled %q, %v", c.line, got, cyrillic)
		}
	}
}
