package tokenizer

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// These tests compare with answers of the Python package tokenizers, kept as checksums. They were written by
// scripts/tokenizer/expectations.py, which with --show prints an answer in full.

// names are the tokenizers under test. The last one is not in testdata: `make setup` builds it.
var names = []string{"minilm", "rubert", "bpe", "bpe3", "xlmr", "e5"}

const e5Path = "../models/sentiment/tokenizer.json"

func readGzip(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	if err := json.Unmarshal(readGzip(t, name), into); err != nil {
		t.Fatal(name, err)
	}
}

// tokenizerFile returns the tokenizer.json of one of names.
func tokenizerFile(t testing.TB, name string) []byte {
	t.Helper()
	if name != "e5" {
		return readGzip(t, name+".json.gz")
	}
	data, err := os.ReadFile(e5Path)
	if os.IsNotExist(err) {
		t.Skip("models/sentiment/tokenizer.json is not there: `make setup` builds it")
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// loaded keeps tokenizers by name between tests.
var loaded sync.Map

func loadTokenizer(t testing.TB, name string) *Tokenizer {
	t.Helper()
	if tok, ok := loaded.Load(name); ok {
		return tok.(*Tokenizer)
	}
	tok, err := Load(bytes.NewReader(tokenizerFile(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	loaded.Store(name, tok)
	return tok
}

func hardStrings(t testing.TB) []string {
	var s []string
	readJSON(t, "hard.json.gz", &s)
	return s
}

// sums are CRC-32 checksums, packed in base64.
type sums []uint32

func (s *sums) UnmarshalJSON(data []byte) error {
	var raw []byte
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	for ; len(raw) > 0; raw = raw[4:] {
		*s = append(*s, binary.LittleEndian.Uint32(raw))
	}
	return nil
}

// checksum goes on from crc with all that Python shows of an encoding.
func checksum(crc uint32, e *Encoding) uint32 {
	b := make([]byte, 0, 28*len(e.IDs)+64)
	number := func(list []int32) {
		for _, n := range list {
			b = binary.LittleEndian.AppendUint32(b, uint32(n))
		}
	}
	number(e.IDs)
	number(e.TypeIDs)
	number(e.AttentionMask)
	number(e.SpecialMask)
	for _, o := range e.Offsets {
		number([]int32{o.Start, o.End})
	}
	number(e.WordIDs)
	for i, token := range e.Tokens {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, token...)
	}
	return crc32.Update(crc, crc32.IEEETable, b)
}

// plainOptions leave a text whole, whatever the file says.
var plainOptions = Options{NoTruncation: true, NoPadding: true}

// mismatches counts differences and reports the first few.
type mismatches struct {
	t     *testing.T
	count int
}

func (m *mismatches) add(format string, args ...any) {
	m.t.Helper()
	if m.count++; m.count <= 5 {
		m.t.Errorf(format, args...)
	}
}

func (m *mismatches) done(checked int) {
	if m.count > 0 {
		m.t.Errorf("%d of %d differ from the reference", m.count, checked)
	}
}

type expectations struct {
	Version                                    string
	Size                                       int
	Hard, Pairs, Plain, Padding, Sweep, Coarse sums
	Decode                                     sums // of the ids of every third string
	IDs                                        [][]int32
	Random                                     sums // of IDs decoded
}

func forEach(t *testing.T, f func(t *testing.T, name string, tok *Tokenizer, want *expectations)) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := loadTokenizer(t, name)
			want := &expectations{}
			readJSON(t, name+".expect.gz", want)
			if want.Version != "0.23.3" {
				t.Fatalf("expectations of version %s", want.Version)
			}
			f(t, name, tok, want)
		})
	}
}

func show(e *Encoding) string {
	return fmt.Sprintf("ids %v tokens %q offsets %v words %v", e.IDs, e.Tokens, e.Offsets, e.WordIDs)
}

func TestHardStrings(t *testing.T) {
	strs := hardStrings(t)
	if len(strs) < 5000 {
		t.Fatalf("only %d strings", len(strs))
	}
	forEach(t, func(t *testing.T, _ string, tok *Tokenizer, want *expectations) {
		m := mismatches{t: t}
		if len(want.Hard) != len(strs) {
			t.Fatalf("%d expectations for %d strings", len(want.Hard), len(strs))
		}
		var ids []int32
		for i, s := range strs {
			e, err := tok.Encode(s, plainOptions)
			if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			if checksum(0, e) != want.Hard[i] {
				m.add("%q: %s", s, show(e))
			}
			ids, err = tok.AppendIDs(ids[:0], s, plainOptions)
			if err != nil || !slices.Equal(ids, e.IDs) {
				m.add("%q: AppendIDs gives %v, %v; Encode %v", s, ids, err, e.IDs)
			}
			if n, err := tok.Count(s); err != nil || n != e.Len() {
				m.add("%q: Count gives %d, %v; Encode %d", s, n, err, e.Len())
			}
		}
		m.done(len(strs))
		if got := tok.VocabSize(); got != want.Size {
			t.Errorf("vocabulary of %d, want %d", got, want.Size)
		}
	})
}

func TestPairs(t *testing.T) {
	strs := hardStrings(t)
	forEach(t, func(t *testing.T, _ string, tok *Tokenizer, want *expectations) {
		m := mismatches{t: t}
		noSpecial := plainOptions
		noSpecial.NoSpecial = true
		for i, sum := range want.Pairs {
			a, b := strs[5*i], strs[5*i+7]
			if e, err := tok.EncodePair(a, b, plainOptions); err != nil || checksum(0, e) != sum {
				m.add("%q %q: %v %s", a, b, err, show(e))
			}
		}
		for i, sum := range want.Plain {
			a, b := strs[9*i], strs[9*i+5]
			if e, err := tok.EncodePair(a, b, noSpecial); err != nil || checksum(0, e) != sum {
				m.add("%q %q without special tokens: %v %s", a, b, err, show(e))
			}
		}
		m.done(len(want.Pairs) + len(want.Plain))
	})
}

// TestCoarseSweep encodes every code point, 256 in one text: under the race detector only some of the planes in which
// none is assigned.
func TestCoarseSweep(t *testing.T) {
	forEach(t, func(t *testing.T, _ string, tok *Tokenizer, want *expectations) {
		m := mismatches{t: t}
		coarseSweep(t, &m, tok, want.Coarse, 1)
		m.done(len(want.Coarse))
	})
}

// sample is n, or 1 where the race detector is off and all is tested.
func sample(n int) int {
	if testing.Short() || raceEnabled {
		return n
	}
	return 1
}

// TestSweep encodes every code point: alone, and, where characters are or may be assigned, in two contexts.
func TestSweep(t *testing.T) {
	step := sample(32)
	forEach(t, func(t *testing.T, _ string, tok *Tokenizer, want *expectations) {
		m := mismatches{t: t}
		block := 0
		var buffer [1]uint32
		sum := func(s string) {
			e, err := tok.Encode(s, plainOptions)
			if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			buffer[0] = checksum(buffer[0], e)
		}
		for first := rune(0); first < 0x110000; first += 256 {
			if first >= 0xD800 && first < 0xE000 {
				continue
			}
			block++
			if block%step != 0 && first >= 0x400 {
				continue
			}
			buffer[0] = 0
			for c := first; c < first+256; c++ {
				sum(string(c))
				if first < 0x40000 || first>>16 == 0xE {
					sum("a" + string(c) + "b")
					sum("и " + string(c) + "\u0301 1")
				}
			}
			if buffer[0] != want.Sweep[block-1] {
				m.add("code points from U+%04X on", first)
			}
		}
		if block != len(want.Sweep) {
			t.Errorf("%d blocks, want %d", block, len(want.Sweep))
		}
		m.done(block)
	})
}

func TestDecode(t *testing.T) {
	strs := hardStrings(t)
	forEach(t, func(t *testing.T, _ string, tok *Tokenizer, want *expectations) {
		m := mismatches{t: t}
		check := func(ids []int32, sums []uint32) {
			for j, skip := range []bool{false, true} {
				if got := tok.Decode(ids, skip); crc32.ChecksumIEEE([]byte(got)) != sums[j] {
					m.add("%v, skip %v: %q", ids, skip, got)
				}
			}
		}
		for i := range len(want.Decode) / 2 {
			ids, err := tok.AppendIDs(nil, strs[3*i], plainOptions)
			if err != nil {
				t.Fatal(err)
			}
			check(ids, want.Decode[2*i:])
		}
		for i, ids := range want.IDs {
			check(ids, want.Random[2*i:])
		}
		m.done(len(want.Decode)/2 + len(want.IDs))
	})
}

func TestPadding(t *testing.T) {
	strs := hardStrings(t)
	forEach(t, func(t *testing.T, _ string, tok *Tokenizer, want *expectations) {
		m := mismatches{t: t}
		paddings := []Padding{
			{Length: 24, Token: "[PAD]"},
			{Length: 24, Left: true, Token: "[PAD]"},
			{MultipleOf: 8, Token: "[PAD]"},
			{Length: 20, MultipleOf: 16, Token: "[PAD]"},
			{Left: true, ID: 1, TypeID: 1, Token: "<p>"},
		}
		for i, sum := range want.Padding {
			from := i % 80 * 3 * 31 % 8000
			var batch []*Encoding
			for _, s := range strs[from : from+3] {
				e, err := tok.Encode(s, plainOptions)
				if err != nil {
					t.Fatal(err)
				}
				batch = append(batch, e)
			}
			paddings[i/80].Pad(batch...)
			crc := uint32(0)
			for _, e := range batch {
				crc = checksum(crc, e)
			}
			if crc != sum {
				m.add("%q with %+v", strs[from:from+3], paddings[i/80])
			}
		}
		m.done(len(want.Padding))
	})
}

func TestTruncation(t *testing.T) {
	strs := hardStrings(t)
	forEach(t, func(t *testing.T, name string, tok *Tokenizer, _ *expectations) {
		m := mismatches{t: t}
		var want struct {
			Version string
			Sums    sums
		}
		readJSON(t, name+".truncation.gz", &want)
		if want.Version != "0.22.2" {
			t.Fatalf("expectations of version %s", want.Version)
		}
		all, failures := want.Sums, 0
		check := func(o Options, texts ...string) {
			var e *Encoding
			var err error
			if len(texts) == 1 {
				e, err = tok.Encode(texts[0], o)
			} else {
				e, err = tok.EncodePair(texts[0], texts[1], o)
			}
			crc := uint32(0)
			if err == nil {
				crc = checksum(0, e)
				for _, window := range e.Overflowing {
					crc = checksum(crc, window)
				}
				crc = max(crc, 1)
			} else {
				failures++
			}
			if crc != all[0] {
				m.add("%q with %+v, want %x: %v %+v", texts, *o.Truncation, all[0], err, e)
			}
			all = all[1:]
			o.Overflow = false
			if len(texts) == 1 {
				short, errShort := tok.Encode(texts[0], o)
				ids, errIDs := tok.AppendIDs(nil, texts[0], o)
				if err == nil && (errShort != nil || errIDs != nil || fmt.Sprint(short.IDs, short.IDs) != fmt.Sprint(e.IDs, ids)) {
					m.add("%q with %+v: without windows %v %v %v", texts, *o.Truncation, errShort, errIDs, ids)
				}
			}
		}
		for _, size := range [][2]int{{8, 0}, {8, 2}, {5, 1}, {16, 4}, {9, 3}, {64, 7}, {4, 0}, {128, 0}} {
			for _, strategy := range []Strategy{LongestFirst, OnlyFirst, OnlySecond} {
				for _, left := range []bool{false, true} {
					o := Options{NoPadding: true, Overflow: true,
						Truncation: &Truncation{MaxLength: size[0], Stride: size[1], Strategy: strategy, Left: left}}
					for i := range 24 {
						a, b := strs[(i*211+1000)%len(strs)], strs[(i*337+2000)%len(strs)]
						check(o, a)
						check(o, a, b)
						o.NoSpecial = true
						check(o, a, b)
						o.NoSpecial = false
					}
				}
			}
		}
		if len(all) != 0 {
			t.Errorf("%d expectations left", len(all))
		}
		if failures == 0 {
			t.Error("no case in which truncation is impossible")
		}
		m.done(len(want.Sums))
	})
}

// TestComponents goes through small files, one for each component and option.
func TestComponents(t *testing.T) {
	const share = 11
	strs := hardStrings(t)
	var cases []struct {
		Name      string
		Tokenizer json.RawMessage
		Size      int
		Hard      sums
		Pairs     sums
		IDs       [][]int32
		Decode    sums
		Sweep     sums
	}
	readJSON(t, "components.json.gz", &cases)
	for i, c := range cases {
		t.Run(strings.ReplaceAll(c.Name, " ", "_"), func(t *testing.T) {
			tok, err := Parse(c.Tokenizer)
			if err != nil {
				t.Fatal(err)
			}
			m := mismatches{t: t}
			var mine []string
			for j := i % share; j < len(strs); j += share {
				mine = append(mine, strs[j])
			}
			for j, s := range mine {
				if j%sample(8) != 0 {
					continue
				}
				e, err := tok.Encode(s, Options{})
				if (err != nil) != (c.Hard[j] == 0) || err == nil && max(checksum(0, e), 1) != c.Hard[j] {
					m.add("%q: %v", s, err)
					if e != nil {
						t.Log(show(e))
					}
				}
				ids, err := tok.AppendIDs(nil, s, Options{})
				if err == nil && fmt.Sprint(ids) != fmt.Sprint(e.IDs) {
					m.add("%q: AppendIDs gives %v, Encode %v", s, ids, e.IDs)
				}
			}
			for j, sum := range c.Pairs {
				a, b := mine[10*j], mine[10*j+3]
				e, err := tok.EncodePair(a, b, Options{})
				if (err != nil) != (sum == 0) || err == nil && max(checksum(0, e), 1) != sum {
					m.add("%q %q: %v", a, b, err)
				}
			}
			for j, sum := range c.Decode {
				got := tok.Decode(c.IDs[j/2], j%2 == 1)
				if crc32.ChecksumIEEE([]byte(got)) != sum {
					m.add("decoding %v: %q", c.IDs[j/2], got)
				}
			}
			coarseSweep(t, &m, tok, c.Sweep, sample(16))
			m.done(len(c.Hard) + len(c.Pairs) + len(c.Decode) + len(c.Sweep))
			if got := tok.VocabSize(); got != c.Size {
				t.Errorf("vocabulary of %d, want %d", got, c.Size)
			}
		})
	}
}

// coarseSweep encodes all code points, or every step-th 4096 of them, 256 in one text. A sum is of 16 such texts.
func coarseSweep(t *testing.T, m *mismatches, tok *Tokenizer, want sums, step int) {
	for i := 0; i < len(want); i += step {
		if i >= 0x40 && i != 0xDF && i%sample(8) != 0 {
			continue // nothing is assigned there; 0xDF stands for U+DF800 to U+E07FF
		}
		crc := uint32(0)
		for block := 16 * i; block < 16*(i+1) && block < 0x1100-8; block++ {
			first := rune(block) << 8
			if block >= 0xD8 {
				first += 0x800 // there are no surrogates
			}
			var text strings.Builder
			for c := first; c < first+256; c++ {
				text.WriteString("a" + string(c) + " ")
			}
			e, err := tok.Encode(text.String(), plainOptions)
			if err != nil {
				t.Fatal(err)
			}
			crc = checksum(crc, e)
		}
		if crc != want[i] {
			m.add("code points from block %X00 on", 16*i)
		}
	}
}
