//go:build race

package tokenizer

// raceEnabled makes the longest tests smaller under the race detector.
const raceEnabled = true
