package pipeline

import (
	"math/rand/v2"
	"testing"
)

// TestChunks wants every token read, no chunk too long, neighbours to share what
// they should, and their number bounded.
func TestChunks(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		room := 2 + rng.IntN(600)
		stride := 1 + rng.IntN(max(room/2, 1))
		n := room + 1 + rng.IntN(20*room)
		words, every := make([]bool, n), 1+rng.IntN(50)
		for i := range words {
			words[i] = rng.IntN(every) == 0
		}
		got := chunks(n, room, stride, func(i int) bool { return words[i] })
		end := 0
		for k, c := range got {
			switch {
			case c.to-c.from > room || c.to <= end:
				t.Fatalf("n %d, room %d, stride %d: chunk %d is %v", n, room, stride, k, c)
			case k == 0 && c.from != 0:
				t.Fatalf("the first chunk begins at %d", c.from)
			case k > 0 && (end-c.from > stride || end-c.from < stride-stride/2):
				t.Fatalf("n %d, room %d, stride %d: chunk %d shares %d tokens", n, room, stride, k, end-c.from)
			}
			end = c.to
		}
		if most := 2 + 8*n/room; end != n || len(got) < 2 || len(got) > most {
			t.Fatalf("n %d, room %d, stride %d: %d chunks to %d", n, room, stride, len(got), end)
		}
	}
}

// TestChunksAtWords wants cuts between words where there are any, and equal
// lengths.
func TestChunksAtWords(t *testing.T) {
	got := chunks(600, 512, 64, func(i int) bool { return i%7 == 0 })
	if len(got) != 2 || got[0].to%7 != 0 || got[1].from%7 != 0 || got[0].to-got[0].from > 340 {
		t.Errorf("chunks %v", got)
	}
	if got := chunks(1000, 512, 64, func(int) bool { return false }); len(got) != 3 && len(got) != 2 || got[0].to-got[0].from < 300 {
		t.Errorf("chunks of one long word: %v", got)
	}
}
