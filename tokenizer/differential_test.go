package tokenizer

import (
	"encoding/json"
	"os"
	"testing"
)

// TestDifferential compares with what the Python package makes of random texts.
// `make differential` writes the file that SCRY_TOKENIZER_TEXTS names.
func TestDifferential(t *testing.T) {
	path := os.Getenv("SCRY_TOKENIZER_TEXTS")
	if path == "" {
		t.Skip("no SCRY_TOKENIZER_TEXTS: make differential")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Texts []string
		Sums  map[string]sums
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Texts) < 100 || len(file.Sums) < 5 {
		t.Fatalf("%d texts for %d tokenizers", len(file.Texts), len(file.Sums))
	}
	for name, want := range file.Sums {
		t.Run(name, func(t *testing.T) {
			tok := loadTokenizer(t, name)
			m := mismatches{t: t}
			for i, text := range file.Texts {
				got := uint32(0) // where the reference fails
				if e, err := tok.Encode(text, plainOptions); err == nil {
					if got = checksum(0, e); got == 0 {
						got = 1
					}
				}
				if got != want[i] {
					m.add("%q differs", text)
				}
			}
			if m.count > 0 {
				t.Errorf("%d of %d texts differ", m.count, len(file.Texts))
			}
		})
	}
}
