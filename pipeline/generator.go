package pipeline

import (
	"hash/fnv"
	"math/rand/v2"
)

// Generator is the source of what is drawn for one item. Draws depend on nothing
// but the seed and the item's id (its place in the request where it has none), so
// that it does not matter with which others an item is asked for.
func Generator(seed uint64, id string, index int64) *rand.Rand {
	key := uint64(index)
	if id != "" {
		h := fnv.New64a()
		h.Write([]byte(id))
		key = h.Sum64()
	}
	return rand.New(rand.NewPCG(seed, key))
}
