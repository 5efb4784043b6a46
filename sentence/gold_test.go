package sentence

import (
	"os"
	"strings"
	"testing"
)

// TestGold measures the rules on cases that somebody else wrote before them and
// that nobody tunes to: sentences parted by " || ", joined by one space. Some are
// matters of taste, and stay as they were written.
func TestGold(t *testing.T) {
	for _, lang := range []string{"ru", "en"} {
		data, err := os.ReadFile("testdata/gold_" + lang + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		var found, wrong, missed, exact, cases int
		for line := range strings.Lines(string(data)) {
			parts := strings.Split(strings.TrimSpace(line), " || ")
			want, at := map[int]bool{}, 0
			for _, p := range parts[:len(parts)-1] {
				at += len(p)
				want[at] = true
				at++
			}
			spans := Split(strings.Join(parts, " "))
			errors := wrong + missed
			for _, s := range spans[:len(spans)-1] {
				if want[s.End] {
					found++
					delete(want, s.End)
				} else {
					wrong++
				}
			}
			missed += len(want)
			cases++
			if wrong+missed == errors {
				exact++
			}
		}
		precision, recall := float64(found)/float64(found+wrong), float64(found)/float64(found+missed)
		f1 := 2 * precision * recall / (precision + recall)
		t.Logf("%s: %d of %d cases exact; boundaries: precision %.3f, recall %.3f, F1 %.3f", lang, exact, cases, precision, recall, f1)
		if f1 < 0.9 {
			t.Errorf("%s: F1 is %.3f, it was above 0.92", lang, f1)
		}
	}
}
