package bundle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// npy writes a .npy file: version, the header's text, and the elements.
func npy(major byte, header string, data []byte) string {
	out := append([]byte("\x93NUMPY"), major, 0)
	if major == 1 {
		out = binary.LittleEndian.AppendUint16(out, uint16(len(header)))
	} else {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(header)))
	}
	return string(append(append(out, header...), data...))
}

func floats(values ...float32) []byte {
	var out []byte
	for _, x := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

func described(descr, order, shape string) string {
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }   \n", descr, order, shape)
}

const itemsManifest = `graphs:
  model: {file: m.onnx}
heads: {query: {source: model.p, embedding: {}}}
row:
  features:
    - {name: age, type: FEATURE_TYPE_FLOAT}
    - {name: plan, type: FEATURE_TYPE_STRING}
catalogue:
  items:
    file: items.jsonl
    attributes:
      - {name: name, type: ATTRIBUTE_TYPE_STRING}
      - {name: price, type: ATTRIBUTE_TYPE_NUMBER}
      - {name: sale, type: ATTRIBUTE_TYPE_BOOL}
      - {name: until, type: ATTRIBUTE_TYPE_TIMESTAMP}
      - {name: tags, type: ATTRIBUTE_TYPE_STRINGS}
    vectors: v.npy
    biases: b.npy
    query_head: query
    popularity: price
    expiry: until
`

const itemLines = `{"id": "x", "name": "X", "price": 1.5, "sale": true, "until": "2026-01-02", "tags": ["a", "b"]}

{"id": "y", "name": null}
{"id": "z", "until": "2026-01-02T03:04:05.5+01:00"}
`

func itemFiles() fstest.MapFS {
	return dir(itemsManifest, map[string]string{
		"items.jsonl": itemLines,
		"v.npy":       npy(1, described("<f4", "False", "3, 2"), floats(1, 2, 3, 4, 5, 6)),
		"b.npy":       npy(2, described("<f2", "False", "3,"), []byte{0, 0x3c, 0, 0xc0, 0, 0}), // 1, -2, 0
	})
}

func TestReadItems(t *testing.T) {
	b, err := Open(itemFiles())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.Files(), " "); got != "b.npy bundle.yaml items.jsonl m.onnx v.npy" {
		t.Errorf("files: %s", got)
	}
	it, err := b.ReadItems()
	if err != nil {
		t.Fatal(err)
	}
	if it.Len() != 3 || it.Size != 2 || !slices.Equal(it.Vector(1), []float32{3, 4}) || it.Biases[1] != -2 {
		t.Errorf("%+v", it)
	}
	if place, ok := it.Place("z"); !ok || place != 2 {
		t.Errorf("z is item %d", place)
	}
	if _, ok := it.Place("w"); ok {
		t.Error("w is an item")
	}
	for name, has := range map[string][3]bool{"name": {true}, "price": {true}, "sale": {true}, "until": {true, false, true}, "tags": {true}} {
		c := &it.Columns[it.Column(name)]
		if got := [3]bool{c.Has(0), c.Has(1), c.Has(2)}; got != has {
			t.Errorf("%s: %v", name, got)
		}
	}
	if c := it.Columns[3]; c.Timestamps[2]-c.Timestamps[0] != (2*3600+4*60+5)*1e6+5e5 {
		t.Errorf("times %v", c.Timestamps)
	}
	if c := it.Columns[4]; !slices.Equal(c.Lists[0], []string{"a", "b"}) {
		t.Errorf("tags %v", c.Lists)
	}
}

// TestItemsRefused changes one thing at a time and wants the place to be named.
func TestItemsRefused(t *testing.T) {
	type files = map[string]string
	vectors := func(header string, values ...float32) files { return files{"v.npy": npy(1, header, floats(values...))} }
	line := func(s string) files {
		return files{"items.jsonl": strings.Replace(itemLines, `{"id": "y", "name": null}`, s, 1)}
	}
	for name, c := range map[string]struct {
		old, new string // of the manifest
		files    files
		want     string
	}{
		"no file":           {old: "items.jsonl", new: "gone.jsonl", want: "catalogue.items.file"},
		"no vectors":        {old: "v.npy", new: "gone.npy", want: "catalogue.items.vectors"},
		"outside":           {old: "v.npy", new: "../v.npy", want: "catalogue.items.vectors"},
		"name twice":        {old: "name: sale", new: "name: price", want: "catalogue.items.attributes[2].name"},
		"popularity":        {old: "popularity: price", new: "popularity: name", want: "catalogue.items.popularity"},
		"expiry":            {old: "expiry: until", new: "expiry: price", want: "catalogue.items.expiry"},
		"no head":           {old: "query_head: query", new: "query_head: nope", want: "catalogue.items.query_head"},
		"no embedding":      {old: "embedding: {}", new: "value: {}", want: "catalogue.items.query_head"},
		"history alone":     {old: "expiry: until", new: "history_feature: plan", want: "catalogue.items.history_item_field"},
		"no such history":   {old: "expiry: until", new: "history_feature: plan\n    history_item_field: item", want: "catalogue.items.history_item_field"},
		"large weight":      {old: "expiry: until", new: "repeat_weight: 1e30", want: "catalogue.items.repeat_weight"},
		"not npy":           {files: files{"v.npy": "hello, this is text"}, want: "v.npy: is not a .npy file"},
		"short":             {files: files{"v.npy": "\x93NUMPY\x01\x00\x99\x00{"}, want: "v.npy: ends within its header"},
		"long header":       {files: files{"v.npy": "\x93NUMPY\x02\x00\x00\x00\x00\x99"}, want: "the limit is 65536"},
		"format 3":          {files: files{"v.npy": npy(3, described("<f4", "False", "3, 2"), nil)}, want: "format 3"},
		"float64":           {files: vectors(described("<f8", "False", "3, 2")), want: "type <f8"},
		"big endian":        {files: vectors(described(">f4", "False", "3, 2")), want: "type >f4"},
		"objects":           {files: vectors(described("|O", "False", "3, 2")), want: "not understood"},
		"Fortran":           {files: vectors(described("<f4", "True", "3, 2")), want: "Fortran order"},
		"one axis":          {files: vectors(described("<f4", "False", "6,")), want: "the shape is [6]"},
		"size 0":            {files: vectors(described("<f4", "False", "3, 0")), want: "the shape is [3,0]"},
		"too many":          {files: vectors(described("<f4", "False", "1000001, 1")), want: "the shape is"},
		"huge":              {files: vectors(described("<f4", "False", "99999999999999999999, 2")), want: "not understood"},
		"other size":        {files: vectors(described("<f4", "False", "3, 3"), 1, 2, 3, 4, 5, 6, 7, 8, 9), want: "the items' vectors have 3"},
		"cut":               {files: vectors(described("<f4", "False", "3, 2"), 1, 2, 3), want: "want "},
		"NaN":               {files: vectors(described("<f4", "False", "3, 2"), 1, 2, 3, 4, 5, float32(math.NaN())), want: "element 5"},
		"infinite":          {files: vectors(described("<f4", "False", "3, 2"), float32(math.Inf(-1)), 2, 3, 4, 5, 6), want: "element 0"},
		"too large":         {files: vectors(described("<f4", "False", "3, 2"), 1, 1e16, 3, 4, 5, 6), want: "element 1"},
		"biases of others":  {files: files{"b.npy": npy(1, described("<f4", "False", "2,"), floats(1, 2))}, want: "catalogue.items.biases"},
		"fewer items":       {files: files{"items.jsonl": `{"id":"x"}`}, want: "items.jsonl: 1 items for 3 vectors"},
		"more items":        {files: files{"items.jsonl": itemLines + `{"id":"w"}`}, want: "items.jsonl:5"},
		"no JSON":           {files: line(`{"id": "y"`), want: "items.jsonl:3"},
		"no object":         {files: line(`["y"]`), want: "items.jsonl:3"},
		"no id":             {files: line(`{"name": "y"}`), want: "items.jsonl:3"},
		"id of a number":    {files: line(`{"id": 3}`), want: "items.jsonl:3"},
		"id twice":          {files: line(`{"id": "x"}`), want: `"x" is that of item 1`},
		"not declared":      {files: line(`{"id": "y", "colour": "red"}`), want: `"colour" is not declared`},
		"string for number": {files: line(`{"id": "y", "price": "1"}`), want: `items.jsonl:3: "price"`},
		"number for string": {files: line(`{"id": "y", "name": 1}`), want: `"name"`},
		"string for list":   {files: line(`{"id": "y", "tags": "a"}`), want: `"tags"`},
		"list of numbers":   {files: line(`{"id": "y", "tags": ["a", 1]}`), want: `"tags"`},
		"no time":           {files: line(`{"id": "y", "until": "soon"}`), want: `"until" is not a time`},
		"number for bool":   {files: line(`{"id": "y", "sale": 1}`), want: `"sale"`},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := itemFiles()
			if c.old != "" {
				if !strings.Contains(itemsManifest, c.old) {
					t.Fatalf("the manifest has no %q", c.old)
				}
				fsys[ManifestFile] = &fstest.MapFile{Data: []byte(strings.Replace(itemsManifest, c.old, c.new, 1))}
			}
			for name, text := range c.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			b, err := Open(fsys)
			if err == nil {
				_, err = b.ReadItems()
			}
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func FuzzNPYHeader(f *testing.F) {
	f.Add([]byte(npy(1, described("<f4", "False", "3, 2"), floats(1))))
	f.Add([]byte(npy(2, described("<f2", "True", "3,"), nil)))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, shape, begins, err := npyHeader(strings.NewReader(string(data)))
		if err == nil && (begins > int64(len(data)) || len(shape) > len(data)) {
			t.Errorf("%d axes, elements from byte %d of %d", len(shape), begins, len(data))
		}
	})
}
