package pipeline

import (
	"fmt"
	"strings"
)

// suggestions proposes features for names that a model does not know. It
// answers a bounded number of names, so that a caller who sends thousands
// costs nothing.
type suggestions struct {
	byName map[string]int
	left   int
	made   map[string]string
}

const maxSuggestions = 16

func suggestionsFor(byName map[string]int) *suggestions {
	return &suggestions{byName: byName, left: maxSuggestions}
}

// unknown is what is said of a name that the model does not know.
func (s *suggestions) unknown(name string) string {
	const text = "the model has no such feature"
	made, ok := s.made[name]
	if !ok && s.left > 0 {
		s.left--
		made = similar(s.byName, name)
		if s.made == nil {
			s.made = map[string]string{}
		}
		s.made[name] = made
	}
	if made == "" {
		return text
	}
	return fmt.Sprintf("%s; did you mean %q?", text, made)
}

// similar returns the known name that differs least, "" when all differ in more
// than case and two letters (one in a short name, none in a very short one).
func similar(known map[string]int, name string) string {
	best, found := min(2, len(name)/3)+1, ""
	for k := range known {
		d := 0
		if !strings.EqualFold(k, name) {
			d = max(distance(k, name, best+1), 1)
		}
		if d < best || (d == best && found != "" && k < found) {
			best, found = d, k
		}
	}
	return found
}

// distance is the edit distance (Levenshtein, 1966) of short names, or limit
// when it is at least that.
func distance(a, b string, limit int) int {
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var rows [2][65]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		last, next := &rows[(i-1)%2], &rows[i%2]
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(last[j]+1, next[j-1]+1, last[j-1]+cost)
		}
	}
	return min(rows[len(a)%2][len(b)], limit)
}
