package bundle

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"time"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
)

// What a catalogue of items may hold.
const (
	maxItems      = 1_000_000
	maxItemLine   = 1 << 20 // bytes
	maxItemID     = 256     // bytes
	maxVectorSize = 4096
	maxNPYHeader  = 64 << 10
)

// MaxElement bounds the elements of vectors and biases, so that scores are finite.
const MaxElement = 1e15

// Items are the items of a catalogue, in the order of its file. They are read
// only.
type Items struct {
	// IDs are the items' names; all differ.
	IDs []string
	// Columns are the attributes, in the manifest's order.
	Columns []ItemColumn
	// Size is the length of a vector.
	Size int
	// Vectors are [items, Size], one item after the other.
	Vectors []float32
	// Biases are [items]; nil where there are none.
	Biases []float32

	places map[string]int32
}

// ItemColumn holds an attribute of all items. One slice is set, by the type of
// the attribute.
type ItemColumn struct {
	Spec       *bundlev1.Attribute
	Strings    []string
	Numbers    []float64
	Bools      []bool
	Timestamps []int64 // microseconds since 1970
	Lists      [][]string

	have []uint64 // a bit for each item that has a value
}

// Len is the number of items.
func (it *Items) Len() int { return len(it.IDs) }

// Place finds an item by its id; false when there is none.
func (it *Items) Place(id string) (int, bool) {
	i, ok := it.places[id]
	return int(i), ok
}

// Vector is the vector of an item.
func (it *Items) Vector(i int) []float32 {
	return it.Vectors[i*it.Size : (i+1)*it.Size : (i+1)*it.Size]
}

// Column finds an attribute by name; -1 when there is none.
func (it *Items) Column(name string) int {
	for i := range it.Columns {
		if it.Columns[i].Spec.GetName() == name {
			return i
		}
	}
	return -1
}

// Has tells whether an item has a value.
func (c *ItemColumn) Has(i int) bool { return c.have[i>>6]>>(i&63)&1 != 0 }

// ItemField is the field of a sequence that takes the items of a history; nil
// when the manifest names none. Its categories are the items' ids.
func ItemField(m *bundlev1.Manifest) *bundlev1.Feature {
	items := m.GetCatalogue().GetItems()
	if items.GetHistoryFeature() == "" {
		return nil
	}
	for _, f := range m.GetRow().GetFeatures() {
		if f.GetName() != items.GetHistoryFeature() {
			continue
		}
		for _, sub := range f.GetFields() {
			if sub.GetName() == items.GetHistoryItemField() {
				return sub
			}
		}
	}
	return nil
}

// checkItems checks all of a catalogue's items that their files' beginnings
// tell. ReadItems checks the rest.
func (b *Bundle) checkItems() error {
	items := b.Manifest.GetCatalogue().GetItems()
	if items == nil {
		return nil
	}
	const at = "catalogue.items"
	types := map[string]bundlev1.AttributeType{}
	for i, a := range items.GetAttributes() {
		if types[a.GetName()] != 0 {
			return invalid(fmt.Sprintf("%s.attributes[%d].name", at, i), "the name %q is taken", a.GetName())
		}
		types[a.GetName()] = a.GetType()
	}
	if name := items.GetPopularity(); name != "" && types[name] != bundlev1.AttributeType_ATTRIBUTE_TYPE_NUMBER {
		return invalid(at+".popularity", "there is no NUMBER attribute %q", name)
	}
	if name := items.GetExpiry(); name != "" && types[name] != bundlev1.AttributeType_ATTRIBUTE_TYPE_TIMESTAMP {
		return invalid(at+".expiry", "there is no TIMESTAMP attribute %q", name)
	}
	if (items.GetHistoryFeature() == "") != (items.GetHistoryItemField() == "") {
		return invalid(at+".history_item_field", "history_feature and history_item_field are given together")
	}
	if field := ItemField(b.Manifest); items.GetHistoryFeature() != "" && field.GetType() != bundlev1.FeatureType_FEATURE_TYPE_STRING {
		return invalid(at+".history_item_field", "there is no feature %q of type SEQUENCE with a STRING field %q", items.GetHistoryFeature(), items.GetHistoryItemField())
	}
	if math.Abs(items.GetRepeatWeight()) > MaxElement {
		return invalid(at+".repeat_weight", "must lie within ±%g", float64(MaxElement))
	}
	if err := b.checkFile(at+".file", items.GetFile()); err != nil {
		return err
	}
	shape, err := b.npyShape(at+".vectors", items.GetVectors())
	if err != nil {
		return err
	}
	if len(shape) != 2 || shape[0] < 1 || shape[1] < 1 || shape[0] > maxItems || shape[1] > maxVectorSize {
		return invalid(at+".vectors", "the shape is %v, want [items, size], at most [%d, %d]", shape, maxItems, maxVectorSize)
	}
	if items.GetBiases() != "" {
		biases, err := b.npyShape(at+".biases", items.GetBiases())
		if err != nil {
			return err
		}
		if len(biases) != 1 || biases[0] != shape[0] {
			return invalid(at+".biases", "the shape is %v, want [%d], as many as there are vectors", biases, shape[0])
		}
	}
	return b.checkQueryHead(at+".query_head", items.GetQueryHead(), shape[1])
}

// checkQueryHead checks that a head makes queries of the vectors' size.
func (b *Bundle) checkQueryHead(at, name string, size int64) error {
	if name == "" {
		return nil
	}
	h := b.Manifest.GetHeads()[name]
	if h.GetEmbedding() == nil {
		return invalid(at, "there is no embedding head %q", name)
	}
	if b.Manifest.GetRow() == nil && b.Manifest.GetImage() == nil {
		return invalid(at, "a query is made of a row's features or of a picture, and the model takes neither")
	}
	v, err := b.floats(at, h.GetSource())
	if err != nil {
		return err
	}
	if n := columnsOf(v); n >= 0 && n != size {
		return invalid(at, "%s has %d columns, the items' vectors have %d", h.GetSource(), n, size)
	}
	return nil
}

// npyShape reads the beginning of a .npy file.
func (b *Bundle) npyShape(field, name string) (tensor.Shape, error) {
	if err := b.checkFile(field, name); err != nil {
		return nil, err
	}
	f, err := b.FS.Open(name)
	if err != nil {
		return nil, invalid(field, "%v", cause(err))
	}
	defer f.Close()
	_, shape, _, err := npyHeader(f)
	if err != nil {
		return nil, invalid(field, "%s: %v", name, err)
	}
	return shape, nil
}

var npyFields = regexp.MustCompile(`^\s*\{\s*'descr':\s*'([<|>=]?[a-z][0-9]+)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([0-9, ]*)\),?\s*\}\s*$`)

// npyHeader reads the header of a .npy file of format 1 or 2: what the elements
// are, in C order, and where they begin.
func npyHeader(r io.Reader) (dtype tensor.DType, shape tensor.Shape, begins int64, err error) {
	var start [12]byte
	if _, err := io.ReadFull(r, start[:10]); err != nil || !bytes.Equal(start[:6], []byte("\x93NUMPY")) {
		return 0, nil, 0, errors.New("is not a .npy file")
	}
	begins = 10
	length := int64(binary.LittleEndian.Uint16(start[8:]))
	switch start[6] {
	case 1:
	case 2:
		if _, err := io.ReadFull(r, start[10:]); err != nil {
			return 0, nil, 0, errors.New("ends within its header")
		}
		length, begins = int64(binary.LittleEndian.Uint32(start[8:])), 12
	default:
		return 0, nil, 0, fmt.Errorf("is a .npy file of format %d, want 1 or 2", start[6])
	}
	if length > maxNPYHeader {
		return 0, nil, 0, fmt.Errorf("has a header of %d bytes, the limit is %d", length, maxNPYHeader)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return 0, nil, 0, errors.New("ends within its header")
	}
	m := npyFields.FindSubmatch(text)
	if m == nil {
		return 0, nil, 0, errors.New("has a header that is not understood")
	}
	switch string(m[1]) {
	case "<f4":
		dtype = tensor.Float32
	case "<f2":
		dtype = tensor.Float16
	default:
		return 0, nil, 0, fmt.Errorf("holds elements of type %s, want float32 (<f4) or float16 (<f2)", m[1])
	}
	if string(m[2]) == "True" {
		return 0, nil, 0, errors.New("is in Fortran order, want C order: numpy.ascontiguousarray makes it so")
	}
	for part := range bytes.SplitSeq(m[3], []byte(",")) {
		if part = bytes.TrimSpace(part); len(part) == 0 {
			continue
		}
		n, err := strconv.ParseInt(string(part), 10, 64)
		if err != nil {
			return 0, nil, 0, errors.New("has a shape that is not understood")
		}
		shape = append(shape, n)
	}
	return dtype, shape, begins + length, nil
}

// readNPY reads floats of the shape that checkItems has seen. NaN, infinities and
// numbers that would make them are refused.
func (b *Bundle) readNPY(field, name string) ([]float32, tensor.Shape, error) {
	f, err := b.FS.Open(name)
	if err != nil {
		return nil, nil, invalid(field, "%v", cause(err))
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	dtype, shape, begins, err := npyHeader(in)
	if err != nil {
		return nil, nil, invalid(field, "%s: %v", name, err)
	}
	n, err := shape.Elements()
	if err != nil {
		return nil, nil, invalid(field, "%s: %v", name, err)
	}
	// Before memory is taken for it.
	info, err := f.Stat()
	if err != nil {
		return nil, nil, invalid(field, "%v", cause(err))
	}
	if want := begins + int64(n)*int64(dtype.Size()); info.Size() != want {
		return nil, nil, invalid(field, "%s has %d bytes, want %d for %v of %v", name, info.Size(), want, shape, dtype)
	}
	t, err := tensor.New(dtype, shape...)
	if err != nil {
		return nil, nil, invalid(field, "%s: %v", name, err)
	}
	if _, err := io.ReadFull(in, t.Data); err != nil {
		return nil, nil, invalid(field, "%s: %v", name, cause(err))
	}
	values := t.Float32s()
	for i, x := range values {
		if !(x >= -MaxElement && x <= MaxElement) {
			return nil, nil, invalid(field, "%s: element %d is not a finite number within ±%g", name, i, float64(MaxElement))
		}
	}
	return values, shape, nil
}

// ReadItems reads the items of the catalogue; nil when there are none. Errors
// wrap ErrInvalid and name the field, or the file and the line.
func (b *Bundle) ReadItems() (*Items, error) {
	spec := b.Manifest.GetCatalogue().GetItems()
	if spec == nil {
		return nil, nil
	}
	const at = "catalogue.items"
	it := &Items{}
	var shape tensor.Shape
	var err error
	if it.Vectors, shape, err = b.readNPY(at+".vectors", spec.GetVectors()); err != nil {
		return nil, err
	}
	n := int(shape[0])
	it.Size = int(shape[1])
	if spec.GetBiases() != "" {
		if it.Biases, _, err = b.readNPY(at+".biases", spec.GetBiases()); err != nil {
			return nil, err
		}
	}
	if len(it.Vectors) != n*it.Size || (it.Biases != nil && len(it.Biases) != n) {
		return nil, invalid(at+".vectors", "the files changed while they were read")
	}
	if err := b.readItemLines(it, spec, n); err != nil {
		return nil, err
	}
	return it, nil
}

// readItemLines reads n items from their file.
func (b *Bundle) readItemLines(it *Items, spec *bundlev1.Items, n int) error {
	it.IDs = make([]string, 0, n)
	it.places = make(map[string]int32, n)
	it.Columns = make([]ItemColumn, len(spec.GetAttributes()))
	columns := make(map[string]*ItemColumn, len(it.Columns))
	for i, a := range spec.GetAttributes() {
		it.Columns[i].make(a, n)
		columns[a.GetName()] = &it.Columns[i]
	}
	known := interner{}
	err := b.jsonLines("catalogue.items.file", spec.GetFile(), maxItemLine, func(field string, line []byte) error {
		if len(it.IDs) == n {
			return invalid(field, "there are more items than the %d vectors", n)
		}
		var values map[string]any
		if err := json.Unmarshal(line, &values); err != nil {
			return invalid(field, "%v", err)
		}
		id, _ := values["id"].(string)
		if id == "" || len(id) > maxItemID {
			return invalid(field, `"id" must be a string of 1 to %d bytes`, maxItemID)
		}
		if other, taken := it.places[id]; taken {
			return invalid(field, "the id %.80q is that of item %d too", id, other+1)
		}
		place := len(it.IDs)
		it.places[id] = int32(place)
		it.IDs = append(it.IDs, id)
		for name, v := range values {
			if name == "id" || v == nil {
				continue
			}
			c := columns[name]
			if c == nil {
				return invalid(field, "the attribute %.80q is not declared in catalogue.items.attributes", name)
			}
			if err := c.put(place, v, known); err != nil {
				return invalid(field, "%q %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(it.IDs) != n {
		return invalid(spec.GetFile(), "%d items for %d vectors", len(it.IDs), n)
	}
	return nil
}

func (c *ItemColumn) make(spec *bundlev1.Attribute, n int) {
	c.Spec, c.have = spec, make([]uint64, (n+63)/64)
	switch spec.GetType() {
	case bundlev1.AttributeType_ATTRIBUTE_TYPE_STRING:
		c.Strings = make([]string, n)
	case bundlev1.AttributeType_ATTRIBUTE_TYPE_NUMBER:
		c.Numbers = make([]float64, n)
	case bundlev1.AttributeType_ATTRIBUTE_TYPE_BOOL:
		c.Bools = make([]bool, n)
	case bundlev1.AttributeType_ATTRIBUTE_TYPE_TIMESTAMP:
		c.Timestamps = make([]int64, n)
	case bundlev1.AttributeType_ATTRIBUTE_TYPE_STRINGS:
		c.Lists = make([][]string, n)
	}
}

// put stores a value as JSON gave it.
func (c *ItemColumn) put(i int, v any, known interner) error {
	ok := false
	switch c.Spec.GetType() {
	case bundlev1.AttributeType_ATTRIBUTE_TYPE_STRING:
		var s string
		if s, ok = v.(string); ok {
			c.Strings[i] = known.one(s)
		}
	case bundlev1.AttributeType_ATTRIBUTE_TYPE_NUMBER:
		var x float64
		if x, ok = v.(float64); ok {
			c.Numbers[i] = x
		}
	case bundlev1.AttributeType_ATTRIBUTE_TYPE_BOOL:
		c.Bools[i], ok = v.(bool)
	case bundlev1.AttributeType_ATTRIBUTE_TYPE_TIMESTAMP:
		var s string
		if s, ok = v.(string); ok {
			t, err := ParseTime(s)
			if err != nil {
				return err
			}
			c.Timestamps[i] = t.UnixMicro()
		}
	case bundlev1.AttributeType_ATTRIBUTE_TYPE_STRINGS:
		var list []any
		if list, ok = v.([]any); !ok {
			break
		}
		texts := make([]string, len(list))
		for k, x := range list {
			if texts[k], ok = x.(string); !ok {
				break
			}
			texts[k] = known.one(texts[k])
		}
		ok = ok || len(list) == 0
		c.Lists[i] = texts
	}
	if !ok {
		return fmt.Errorf("is of another type than %v", c.Spec.GetType())
	}
	c.have[i>>6] |= 1 << (i & 63)
	return nil
}

// ParseTime reads an RFC 3339 time, or a date, which is its beginning in UTC.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		if t, err = time.Parse(time.DateOnly, s); err != nil {
			return t, errors.New("is not a time in RFC 3339, such as 2026-01-31T12:00:00Z, nor a date")
		}
	}
	if t.Year() < 1 || t.UnixMicro() == math.MinInt64 {
		return t, errors.New("lies too far back")
	}
	return t, nil
}

// interner keeps one copy of texts that many items share, such as categories.
type interner map[string]string

func (in interner) one(s string) string {
	if had, ok := in[s]; ok {
		return had
	}
	if len(in) < 1<<16 {
		in[s] = s
	}
	return s
}
