package imageanalysis

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/tensor"
)

// FuzzDecode: a line's steps are read as runs of the same character are, of which
// those of none are left out, or they are an error; nothing else.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 1, 0, 1, 2, 3}, []byte{50, 60, 70, 80, 90, 100})
	f.Add([]byte{0, 0}, []byte{1, 1})
	f.Add([]byte{3, 1, 3}, []byte{1, 255, 1})
	f.Add([]byte{4}, []byte{1})
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, steps, scores []byte) {
		const none = 5 // there are three characters
		l := &lineReader{steps: bundle.Source{Graph: "r", Output: "c"}, scores: "r.s", characters: []string{"a", "é", " "}}
		ids, likely := make([]int64, len(steps)), make([]float32, len(scores))
		for i, s := range steps {
			ids[i] = int64(s%none) - int64(s/200) // -1 to 4
		}
		for i, s := range scores {
			if likely[i] = float32(s) / 240; s == 255 {
				likely[i] = float32(math.NaN())
			}
		}
		want, sum, n, bad := "", 0.0, 0, len(steps) != len(scores) || len(steps) == 0
		for i, c := range ids {
			switch {
			case bad || c < 0 || c > 3:
				bad = true
			case c != 0 && (i == 0 || ids[i-1] != c):
				bad = math.IsNaN(float64(likely[i])) || likely[i] > 1.01
				want, sum, n = want+l.characters[c-1], sum+min(float64(likely[i]), 1), n+1
			}
		}
		a, err := tensor.From(ids, 1, int64(len(ids)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := tensor.From(likely, 1, int64(len(likely)))
		if err != nil {
			t.Fatal(err)
		}
		out := pipeline.Outputs{Index: map[bundle.Source]int{{Graph: "r", Output: "c"}: 0, {Graph: "r", Output: "s"}: 1}, Values: []tensor.Tensor{a, b}}
		text, score, err := l.decode(out)
		if bad != (err != nil) {
			t.Fatalf("%v %v: %v, an error: %v", ids, likely, err, bad)
		} else if bad {
			return
		}
		if text != strings.TrimSpace(want) || math.Abs(score-sum/float64(max(n, 1))) > 1e-9 {
			t.Errorf("%v %v: %q %v, want %q", ids, likely, text, score, want)
		}
		if slices.Equal(ids, make([]int64, len(ids))) && (text != "" || score != 0) {
			t.Errorf("a line of nothing reads %q, %v", text, score)
		}
	})
}
