package pipeline

import (
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// Player is what an explanation gives one number to: a feature, or a group of
// features that are explained as one.
type Player struct {
	// Name is the feature's or the group's.
	Name string
	// Members are the features of a group; nil for a single feature.
	Members []string

	places []cellPlace
}

// cellPlace is a part of every row of an input: one column, or all.
type cellPlace struct {
	input  int
	column int // -1 for all
}

// playersOf lists the players in the order of their first features.
func playersOf(p *rowPlan, row *bundlev1.Row) []Player {
	groupOf := map[string]*bundlev1.FeatureGroup{}
	for _, g := range row.GetGroups() {
		for _, name := range g.GetFeatures() {
			groupOf[name] = g
		}
	}
	var players []Player
	at := map[*bundlev1.FeatureGroup]int{}
	for i := range p.features {
		f := &p.features[i]
		g := groupOf[f.name]
		k, have := at[g]
		if g == nil || !have {
			k = len(players)
			players = append(players, Player{Name: f.name})
			if g != nil {
				at[g] = k
				players[k] = Player{Name: g.GetName(), Members: slices.Clone(g.GetFeatures())}
			}
		}
		players[k].places = append(players[k].places, f.places()...)
	}
	return players
}

// places are what the feature fills of a row.
func (f *feature) places() []cellPlace {
	if !f.isSequence() {
		if f.width > 1 {
			return []cellPlace{{f.input, f.column}}
		}
		return []cellPlace{{f.input, -1}}
	}
	var out []cellPlace
	for k := range f.fields {
		out = append(out, cellPlace{f.fields[k].input, -1})
	}
	for _, input := range []int{f.length, f.mask} {
		if input >= 0 {
			out = append(out, cellPlace{input, -1})
		}
	}
	return out
}

// newBackground maps the bundle's typical rows; nil when it has none.
func (p *Pipeline) newBackground() (*Item, error) {
	rows, err := p.bundle.Background()
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	name := p.bundle.Manifest.GetRow().GetBackground()
	if waves := p.RowWaves(rows); len(waves) > 1 {
		return nil, fmt.Errorf("%w: %s: %d rows take too much memory: fewer rows or events would do", bundle.ErrInvalid, name, len(rows))
	}
	item, reports, err := p.Rows(rows)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", bundle.ErrInvalid, name, err)
	}
	for i, r := range reports {
		if r.Err != nil {
			return nil, fmt.Errorf("%w: %s: row %d: %v", bundle.ErrInvalid, name, i+1, r.Err)
		}
	}
	typical := coded(item)
	p.typical = &typical
	return &item, nil
}

// Background returns the number of the bundle's typical rows, with which
// explanations compare.
func (p *Pipeline) Background() int {
	if p.background == nil {
		return 0
	}
	return p.background.Rows
}

// Players are what explanations give numbers to, in the order of the features.
func (p *Pipeline) Players() []Player {
	if p.row == nil {
		return nil
	}
	return p.row.players
}

// Mixer makes rows that have some features of one row, and the others of a
// typical one.
type Mixer struct {
	// Players are what is mixed.
	Players []Player

	plan        *rowPlan
	row, others Item // as wide as each other
}

// Mixer returns what mixes a row of an item with the background's.
func (p *Pipeline) Mixer(item Item, row int) (*Mixer, error) {
	if p.background == nil {
		return nil, fmt.Errorf("%w: the model has no rows to compare with (row.background)", ErrInput)
	}
	one, err := item.Row(row)
	if err != nil {
		return nil, err
	}
	for i := range one.Inputs {
		one.Inputs[i] = one.Inputs[i].Plain()
	}
	m := &Mixer{Players: p.row.players, plan: p.row, others: *p.typical}
	length := max(one.Length, p.background.Length)
	if m.row, err = p.row.widen(one, length); err != nil {
		return nil, err
	}
	if length > p.background.Length {
		if m.others, err = p.row.widen(*p.background, length); err != nil {
			return nil, err
		}
		m.others = coded(m.others)
	}
	m.row.Inputs = slices.Clone(m.row.Inputs)
	for i, t := range m.row.Inputs {
		if t.DType == tensor.String {
			m.row.Inputs[i] = beside(m.others.Inputs[i].Strings, t)
		}
	}
	return m, nil
}

// coded returns an item whose strings are dictionaries: rows are mixed by
// copying places in them, and handed over faster.
func coded(item Item) Item {
	item.Inputs = slices.Clone(item.Inputs)
	for i, t := range item.Inputs {
		if t.DType != tensor.String {
			continue
		}
		at := map[string]uint32{}
		var dictionary []string
		codes := make([]uint32, len(t.Strings))
		for k, s := range t.Strings {
			place, have := at[s]
			if !have {
				place = uint32(len(dictionary))
				at[s] = place
				dictionary = append(dictionary, s)
			}
			codes[k] = place
		}
		item.Inputs[i].Strings, item.Inputs[i].Codes = dictionary, codes
	}
	return item
}

// beside returns a tensor whose strings stand behind those of a dictionary.
func beside(dictionary []string, t tensor.Tensor) tensor.Tensor {
	t.Codes = make([]uint32, len(t.Strings))
	for k := range t.Codes {
		t.Codes[k] = uint32(len(dictionary) + k)
	}
	t.Strings = slices.Concat(dictionary, t.Strings)
	return t
}

// widen pads the sequence axis of an item to a length.
func (p *rowPlan) widen(item Item, length int) (Item, error) {
	if item.Length == length {
		return item, nil
	}
	out, into, err := p.empty(item.Rows, length, nil)
	if err != nil {
		return Item{}, err
	}
	for i, t := range item.Inputs {
		wide, narrow := length, item.Length
		if !p.axes[i].sequence {
			wide = max(p.axes[i].columns, 1)
			narrow = wide
		}
		for r := range item.Rows {
			copyCells(out.Inputs[i], r*wide, t, r*narrow, narrow)
		}
	}
	for _, k := range p.sequences {
		for r := range item.Rows {
			p.features[k].pad(into, r*length+item.Length, (r+1)*length)
		}
	}
	return out, nil
}

// copyCells copies n elements between tensors of one type, by flat places.
func copyCells(dst tensor.Tensor, to int, src tensor.Tensor, from, n int) {
	switch {
	case dst.Codes != nil:
		copy(dst.Codes[to:to+n], src.Codes[from:from+n])
		return
	case dst.DType == tensor.String:
		copy(dst.Strings[to:to+n], src.Strings[from:from+n])
		return
	}
	size := dst.DType.Size()
	copy(dst.Data[to*size:(to+n)*size], src.Data[from*size:(from+n)*size])
}

// Sum returns a number that is the same for equal rows (FNV-1a of the inputs).
func (m *Mixer) Sum() uint64 {
	h := fnv.New64a()
	for _, t := range m.row.Inputs {
		h.Write(t.Data)
		for _, s := range t.Plain().Strings {
			h.Write([]byte(s))
			h.Write([]byte{0})
		}
	}
	return h.Sum64()
}

// RoomRows is how many rows an item of Room should hold at most.
func (m *Mixer) RoomRows() int {
	bytes := m.plan.rowBytes + m.plan.eventBytes*int64(m.row.Length)
	return int(min(WaveItems, max(1, WaveBytes/max(bytes, 1))))
}

// Others returns the number of typical rows.
func (m *Mixer) Others() int { return m.others.Rows }

// Room returns an item for so many mixed rows.
func (m *Mixer) Room(rows int) (Item, error) {
	given := make([]tensor.Tensor, len(m.row.Inputs))
	for i, t := range m.row.Inputs {
		if t.DType == tensor.String {
			given[i] = tensor.Tensor{DType: t.DType, Strings: t.Strings, Codes: make([]uint32, rows*m.width(i))}
		}
	}
	item, _, err := m.plan.empty(rows, m.row.Length, given)
	return item, err
}

// PutRow writes the explained row to a row of an item of Room.
func (m *Mixer) PutRow(into Item, at int) { m.put(into, at, m.row, 0) }

// PutMixed writes a typical row in which some players are the explained row's.
func (m *Mixer) PutMixed(into Item, at, other int, players []int) {
	m.put(into, at, m.others, other)
	for _, player := range players {
		m.putPlayer(into, at, player)
	}
}

// PutNext writes the row before with one player more of the explained row.
func (m *Mixer) PutNext(into Item, at, player int) {
	m.put(into, at, into, at-1)
	m.putPlayer(into, at, player)
}

func (m *Mixer) putPlayer(into Item, at, player int) {
	for _, p := range m.Players[player].places {
		n := m.width(p.input)
		if p.column >= 0 {
			copyCells(into.Inputs[p.input], at*n+p.column, m.row.Inputs[p.input], p.column, 1)
		} else {
			copyCells(into.Inputs[p.input], at*n, m.row.Inputs[p.input], 0, n)
		}
	}
}

func (m *Mixer) put(into Item, at int, src Item, from int) {
	for i := range into.Inputs {
		n := m.width(i)
		copyCells(into.Inputs[i], at*n, src.Inputs[i], from*n, n)
	}
}

// width is the number of an input's elements in one row.
func (m *Mixer) width(input int) int {
	if m.plan.axes[input].sequence {
		return m.row.Length
	}
	return max(m.plan.axes[input].columns, 1)
}
