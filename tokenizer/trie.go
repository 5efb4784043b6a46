package tokenizer

import (
	"fmt"
	"slices"
)

// trie maps byte strings to numbers in a double array: the child of node n for byte c is at base(n) XOR c, if that
// place says that n is its parent. Looking up or walking it allocates nothing.
type trie struct {
	nodes []trieNode
}

type trieNode struct {
	base   uint32
	parent uint32
	value  int32 // -1: no key ends here
}

const (
	trieRoot = 0
	noParent = ^uint32(0)
	// longestKey bounds the work of a walk, and so the time of a text for any file. The longest entries of published
	// vocabularies are runs of some hundred blanks.
	longestKey = 1024
)

// newTrie builds a trie of keys; equal keys take the last value. Values are not negative.
func newTrie(keys []string, values []int32) (*trie, error) {
	order := make([]int32, 0, len(keys))
	for i, k := range keys {
		if len(k) > longestKey {
			return nil, fmt.Errorf("a token of %d bytes, more than %d", len(k), longestKey)
		}
		order = append(order, int32(i))
	}
	slices.SortFunc(order, func(a, b int32) int {
		if keys[a] != keys[b] {
			if keys[a] < keys[b] {
				return -1
			}
			return 1
		}
		return int(a - b)
	})
	t := &trie{}
	t.grow()
	t.nodes[trieRoot].parent = trieRoot
	type job struct {
		node        uint32
		from, until int // keys[order[from:until]] share the first depth bytes
		depth       int
	}
	jobs := []job{{trieRoot, 0, len(order), 0}}
	free := uint32(1) // no free place lies before this one
	var labels []byte
	var starts []int
	for len(jobs) > 0 {
		j := jobs[len(jobs)-1]
		jobs = jobs[:len(jobs)-1]
		for j.from < j.until && len(keys[order[j.from]]) == j.depth {
			t.nodes[j.node].value = values[order[j.from]]
			j.from++
		}
		if j.from == j.until {
			continue
		}
		labels, starts = labels[:0], starts[:0]
		for i := j.from; i < j.until; i++ {
			if c := keys[order[i]][j.depth]; len(labels) == 0 || labels[len(labels)-1] != c {
				labels = append(labels, c)
				starts = append(starts, i)
			}
		}
		starts = append(starts, j.until)
		base := t.place(labels, &free)
		t.nodes[j.node].base = base
		for i, c := range labels {
			t.nodes[base^uint32(c)].parent = j.node
			jobs = append(jobs, job{base ^ uint32(c), starts[i], starts[i+1], j.depth + 1})
		}
	}
	return t, nil
}

// place finds a base at which all labels fall on free places. It looks at a bounded number of places, so that no set
// of keys makes building slow.
func (t *trie) place(labels []byte, free *uint32) uint32 {
	for int(*free) < len(t.nodes) && t.nodes[*free].parent != noParent {
		*free++
	}
	at := *free
	for range 512 {
		for int(at) < len(t.nodes) && t.nodes[at].parent != noParent {
			at++
		}
		if int(at) >= len(t.nodes) {
			break
		}
		base := at ^ uint32(labels[0])
		if !slices.ContainsFunc(labels, func(c byte) bool { return t.nodes[base^uint32(c)].parent != noParent }) {
			return base
		}
		at++
	}
	base := uint32(len(t.nodes))
	t.grow()
	return base
}

// grow adds a block of 256 free places: every XOR of a base in it with a byte stays inside.
func (t *trie) grow() {
	for range 256 {
		t.nodes = append(t.nodes, trieNode{parent: noParent, value: -1})
	}
}

// step returns the child of node for c.
func (t *trie) step(node uint32, c byte) (uint32, bool) {
	child := t.nodes[node].base ^ uint32(c)
	return child, t.nodes[child].parent == node && child != trieRoot
}

// walk follows key from node and returns the node that it leads to.
func (t *trie) walk(node uint32, key string) (uint32, bool) {
	for i := range len(key) {
		next, ok := t.step(node, key[i])
		if !ok {
			return 0, false
		}
		node = next
	}
	return node, true
}

// get returns the value of a key.
func (t *trie) get(key []byte) (int32, bool) {
	node := uint32(trieRoot)
	for _, c := range key {
		next, ok := t.step(node, c)
		if !ok {
			return 0, false
		}
		node = next
	}
	v := t.nodes[node].value
	return v, v >= 0
}

// longest returns the value and length of the longest key that text begins with, walking from node; length 0 if none.
func (t *trie) longest(node uint32, text []byte) (value int32, length int) {
	for i, c := range text {
		next, ok := t.step(node, c)
		if !ok {
			break
		}
		node = next
		if v := t.nodes[node].value; v >= 0 {
			value, length = v, i+1
		}
	}
	return value, length
}
