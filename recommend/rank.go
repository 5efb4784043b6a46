package recommend

import (
	"context"
	"math"
	"math/bits"
	"runtime"
	"slices"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
)

const (
	// blockItems is how many items are multiplied before their scores are looked
	// at: their vectors stay in the cache for all queries.
	blockItems = 256
	// rangeProducts is how many multiplications are worth a goroutine.
	rangeProducts = 2 << 20
	// sparse is the share of items, 1 in so many, under which only those that may
	// be recommended are multiplied.
	sparse = 8
)

// bitmap holds a bit for each item.
type bitmap []uint64

func newBitmap(n int) bitmap { return make(bitmap, (n+63)/64) }

func (b bitmap) has(i int) bool { return b[i>>6]>>(i&63)&1 != 0 }

func (b bitmap) set(i int) { b[i>>6] |= 1 << (i & 63) }

func (b bitmap) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// places lists the items whose bit is set.
func (b bitmap) places() []int32 {
	out := make([]int32, 0, b.count())
	for k, w := range b {
		for ; w != 0; w &= w - 1 {
			out = append(out, int32(k*64+bits.TrailingZeros64(w)))
		}
	}
	return out
}

// scored is an item with its score.
type scored struct {
	score float32
	place int32
}

// before tells whether a ranks before b: by score, then by place in the catalogue.
func (a scored) before(b scored) bool {
	return a.score > b.score || a.score == b.score && a.place < b.place
}

func compare(a, b scored) int {
	switch {
	case a.before(b):
		return -1
	case b.before(a):
		return 1
	}
	return 0
}

// top keeps the k best of what it is offered, as a heap whose root is the worst.
type top struct {
	k    int
	heap []scored
}

// admits tells whether a score may be among the best; the place decides between
// equals.
func (t *top) admits(score float32) bool {
	return len(t.heap) < t.k || t.k > 0 && score >= t.heap[0].score
}

func (t *top) offer(s scored) {
	if len(t.heap) < t.k {
		t.heap = append(t.heap, s)
		for i := len(t.heap) - 1; i > 0; {
			up := (i - 1) / 2
			if !t.heap[up].before(t.heap[i]) {
				break
			}
			t.heap[up], t.heap[i] = t.heap[i], t.heap[up]
			i = up
		}
		return
	}
	if t.k == 0 || !s.before(t.heap[0]) {
		return
	}
	h := t.heap
	h[0] = s
	for i := 0; ; {
		worst := i
		for down := 2*i + 1; down <= 2*i+2 && down < len(h); down++ {
			if h[worst].before(h[down]) {
				worst = down
			}
		}
		if worst == i {
			return
		}
		h[i], h[worst] = h[worst], h[i]
		i = worst
	}
}

// query is what is ranked for one subject.
type query struct {
	// vector makes an item's score with the item's own; fixed are the scores
	// themselves where nothing is known of the subject.
	vector []float32
	fixed  []float32
	// Only are the places that may be recommended, ascending; nil = all.
	only []int32
	// out are places that may not, and bonus those whose score is raised: they are
	// scored apart.
	out   map[int32]struct{}
	bonus map[int32]float32
}

// search is a ranking of all items for some queries.
type search struct {
	items    *bundle.Items
	admitted bitmap   // nil = all
	promoted []bitmap // for each promotion, the items that it promotes
	k        int      // best items of each query
	promoK   []int    // best items of each promotion, for each query
}

// tops are the best items of one query, and of each promotion.
type tops struct {
	best     top
	promoted []top
}

func (s *search) newTops() tops {
	t := tops{best: top{k: s.k}}
	for _, k := range s.promoK {
		t.promoted = append(t.promoted, top{k: k})
	}
	return t
}

// offer gives an item that may be recommended to a query's tops.
func (s *search) offer(t *tops, x scored) {
	t.best.offer(x)
	for i := range t.promoted {
		if s.promoted[i].has(int(x.place)) {
			t.promoted[i].offer(x)
		}
	}
}

// admits tells whether a score may be among any of the best.
func (t *tops) admits(score float32) bool {
	if t.best.admits(score) {
		return true
	}
	for i := range t.promoted {
		if t.promoted[i].admits(score) {
			return true
		}
	}
	return false
}

// run ranks. The answer for a query does not depend on the others.
func (s *search) run(ctx context.Context, queries []query) ([]tops, error) {
	n := s.items.Len()
	var listed []int32 // those that may be recommended, where they are few
	if s.admitted != nil && s.admitted.count() < n/sparse {
		listed = s.admitted.places()
	}
	var dense, lists, raised []int // queries
	for i := range queries {
		if len(queries[i].bonus) > 0 {
			raised = append(raised, i)
		}
		if queries[i].only != nil || listed != nil {
			lists = append(lists, i)
		} else {
			dense = append(dense, i)
		}
	}
	out := make([]tops, len(queries))
	for i := range out {
		out[i] = s.newTops()
	}
	if err := s.runDense(ctx, queries, dense, out); err != nil {
		return nil, err
	}
	pipeline.Parallel(runtime.GOMAXPROCS(0), len(lists), func(k int) {
		if ctx.Err() == nil {
			q := &queries[lists[k]]
			s.list(q, listed, &out[lists[k]])
		}
	})
	pipeline.Parallel(runtime.GOMAXPROCS(0), len(raised), func(k int) {
		if ctx.Err() == nil {
			s.raised(&queries[raised[k]], &out[raised[k]])
		}
	})
	return out, ctx.Err()
}

// runDense ranks all items for the queries of which each may have any.
func (s *search) runDense(ctx context.Context, queries []query, dense []int, out []tops) error {
	if len(dense) == 0 {
		return ctx.Err()
	}
	n := s.items.Len()
	blocks := (n + blockItems - 1) / blockItems
	work := n * s.items.Size * len(dense)
	parts := min(runtime.GOMAXPROCS(0), blocks, 1+work/rangeProducts)
	found := make([][]tops, parts)
	pipeline.Parallel(parts, parts, func(part int) {
		mine := make([]tops, len(dense))
		for i := range mine {
			mine[i] = s.newTops()
		}
		found[part] = mine
		scores := make([]float32, 4*blockItems)
		for b := part * blocks / parts; b < (part+1)*blocks/parts && ctx.Err() == nil; b++ {
			from := b * blockItems
			s.block(queries, dense, mine, from, min(from+blockItems, n), scores)
		}
	})
	for _, mine := range found {
		for i, k := range dense {
			if mine == nil {
				break
			}
			for _, x := range mine[i].best.heap {
				out[k].best.offer(x)
			}
			for p := range mine[i].promoted {
				for _, x := range mine[i].promoted[p].heap {
					out[k].promoted[p].offer(x)
				}
			}
		}
	}
	return ctx.Err()
}

// block ranks the items [from, to) for some queries, four at a time.
func (s *search) block(queries []query, which []int, into []tops, from, to int, scores []float32) {
	if s.admitted != nil && s.none(from, to) {
		return
	}
	m, size := to-from, s.items.Size
	vectors := s.items.Vectors[from*size : to*size]
	for at := 0; at < len(which); {
		var four [4][]float32
		var outs [4][]float32
		n := 0
		for at+n < len(which) && n < 4 && queries[which[at+n]].vector != nil {
			four[n], outs[n] = queries[which[at+n]].vector, scores[n*blockItems:n*blockItems+m]
			n++
		}
		switch n {
		case 4:
			product4(&outs, &four, vectors)
		case 0: // fixed scores
			s.scan(&queries[which[at]], &into[at], from, queries[which[at]].fixed[from:to])
			at++
			continue
		default:
			for k := range n {
				product(outs[k], four[k], vectors)
			}
		}
		for k := range n {
			s.addBiases(outs[k], from)
			s.scan(&queries[which[at+k]], &into[at+k], from, outs[k])
		}
		at += n
	}
}

func (s *search) addBiases(scores []float32, from int) {
	if s.items.Biases == nil {
		return
	}
	biases := s.items.Biases[from : from+len(scores)]
	for i := range scores {
		scores[i] += biases[i]
	}
}

// none tells whether no item of [from, to) may be recommended; from is a
// multiple of 64.
func (s *search) none(from, to int) bool {
	for _, w := range s.admitted[from>>6 : (to+63)>>6] {
		if w != 0 {
			return false
		}
	}
	return true
}

// scan offers the scores of consecutive items.
func (s *search) scan(q *query, t *tops, from int, scores []float32) {
	// Most scores are below all that were kept.
	least := t.least()
	for i, x := range scores {
		if x < least {
			continue
		}
		if place := from + i; s.admitted == nil || s.admitted.has(place) {
			if q.skips(int32(place)) || !t.admits(x) {
				continue
			}
			s.offer(t, scored{x, int32(place)})
			least = t.least()
		}
	}
}

// least is a score below which nothing is kept.
func (t *tops) least() float32 {
	least := t.best.least()
	for i := range t.promoted {
		least = min(least, t.promoted[i].least())
	}
	return least
}

func (t *top) least() float32 {
	switch {
	case t.k == 0:
		return math.MaxFloat32
	case len(t.heap) < t.k:
		return -math.MaxFloat32
	}
	return t.heap[0].score
}

// skips tells whether an item is left out, or scored apart.
func (q *query) skips(place int32) bool {
	if _, ok := q.out[place]; ok {
		return true
	}
	_, ok := q.bonus[place]
	return ok
}

// list ranks some items for one query: its own, or those that are few.
func (s *search) list(q *query, few []int32, t *tops) {
	places := q.only
	if places == nil {
		places = few
	}
	var scores [blockItems]float32
	for part := range slices.Chunk(places, blockItems) {
		out := scores[:len(part)]
		s.scoresAt(q, out, part)
		for i, place := range part {
			if (s.admitted == nil || s.admitted.has(int(place))) && !q.skips(place) && t.admits(out[i]) {
				s.offer(t, scored{out[i], place})
			}
		}
	}
}

// scoresAt writes the scores of some items.
func (s *search) scoresAt(q *query, out []float32, places []int32) {
	if q.vector == nil {
		for i, p := range places {
			out[i] = q.fixed[p]
		}
		return
	}
	productAt(out, q.vector, s.items.Vectors, places)
	if s.items.Biases != nil {
		for i, p := range places {
			out[i] += s.items.Biases[p]
		}
	}
}

// raised ranks the items whose score is raised.
func (s *search) raised(q *query, t *tops) {
	for place, bonus := range q.bonus {
		if s.admitted != nil && !s.admitted.has(int(place)) {
			continue
		}
		if _, out := q.out[place]; out {
			continue
		}
		if q.only != nil {
			if _, ok := slices.BinarySearch(q.only, place); !ok {
				continue
			}
		}
		var score [1]float32
		s.scoresAt(q, score[:], []int32{place})
		s.offer(t, scored{score[0] + bonus, place})
	}
}
