package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/client"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// rowReader reads rows as a model's features. Whatever the model has no feature
// for, such as the target of a training file, is left out and named once.
type rowReader struct {
	features map[string]*bundlev1.Feature // by name and alias
	id       string                       // the column that names the rows; "" = the one that looks like it
	also     []string                     // columns that are wanted beside the features, which they may be too
	remark   func(format string, args ...any)

	cells   []string // those of also in the row that was yielded last; "" where there is none
	skipped []string // names that were left out
	absent  []string // features without a column
	rows    int
	err     error // why reading ended early
}

// rowsFlags say how a file's rows are read.
type rowsFlags struct {
	Format string `enum:",csv,jsonl" default:"" placeholder:"csv|jsonl" help:"The input's format, where its name does not tell."`
	ID     string `name:"id" placeholder:"COLUMN" help:"The column that names the rows (default: one that is called like an id)."`
}

// rowFile is an open file of rows.
type rowFile struct {
	io.ReadCloser
	*rowReader
	format string
}

// open opens a file of rows with these features.
func (f rowsFlags) open(ctx context.Context, o *output, name string, row *bundlev1.Row) (*rowFile, error) {
	in, format, err := o.open(ctx, name, f.Format)
	if err != nil {
		return nil, err
	}
	return &rowFile{in, newRowReader(row, f.ID, o.remark), format}, nil
}

// rows finds the version that is asked, and opens a file of rows that it takes.
func (f rowsFlags) rows(ctx context.Context, app *app, ref modelRef, name string) (*client.Client, *modelstorev1.Version, *rowFile, error) {
	server, err := app.dial(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	version, row, err := rowModel(ctx, server, ref)
	if err != nil {
		return nil, nil, nil, err
	}
	file, err := f.open(ctx, app.output, name, row)
	return server, version, file, err
}

// all reads the rows once.
func (f *rowFile) all() iter.Seq[*scoringv1.Instance] { return f.instances(f.ReadCloser, f.format) }

func newRowReader(row *bundlev1.Row, id string, remark func(string, ...any)) *rowReader {
	r := &rowReader{features: make(map[string]*bundlev1.Feature), id: id, remark: remark}
	for _, f := range row.GetFeatures() {
		r.features[f.GetName()] = f
		for _, alias := range f.GetAliases() {
			r.features[alias] = f
		}
	}
	return r
}

// instances reads rows until the input or the loop ends; r.err tells then whether
// the input was wrong. Memory does not grow with the input.
func (r *rowReader) instances(in io.Reader, format string) iter.Seq[*scoringv1.Instance] {
	return func(yield func(*scoringv1.Instance) bool) {
		r.err = readRows(in, format, r.readCSV, r.readJSON, yield)
	}
}

// looksLikeID matches names such as id, user_id and customerID.
var looksLikeID = regexp.MustCompile(`^(?i:id)$|_(?i:id)$|[a-z]I[Dd]$`)

func (r *rowReader) readCSV(in *bufio.Reader, yield func(*scoringv1.Instance) bool) error {
	records, header, err := openCSV(in)
	if err != nil {
		return err
	}
	columns, id, err := r.columns(header)
	if err != nil {
		return err
	}
	also, err := r.places(header)
	if err != nil {
		return err
	}
	for {
		record, err := records.Read()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		instance := &scoringv1.Instance{Features: &structpb.Struct{Fields: make(map[string]*structpb.Value, len(columns))}}
		for i, f := range columns {
			if f != nil {
				instance.Features.Fields[f.GetName()] = cellValue(f, record[i])
			}
		}
		if id >= 0 {
			instance.Id = strings.Clone(record[id])
		}
		for i, at := range also {
			r.cells[i] = strings.TrimSpace(strings.Clone(record[at]))
		}
		r.rows++
		if instance.Id == "" {
			instance.Id = strconv.Itoa(r.rows)
		}
		if !yield(instance) {
			return nil
		}
	}
}

// places finds the columns that are wanted beside the features.
func (r *rowReader) places(header []string) ([]int, error) {
	r.cells = make([]string, len(r.also))
	places := make([]int, len(r.also))
	for i, name := range r.also {
		var err error
		if places[i], err = placeOf(header, name); err != nil {
			return nil, usageError{err}
		}
	}
	return places, nil
}

// columns finds the feature of each column (nil for none) and the id's column
// (−1 for none), and says what is left out.
func (r *rowReader) columns(header []string) ([]*bundlev1.Feature, int, error) {
	columns := make([]*bundlev1.Feature, len(header))
	id, found := -1, make(map[string]bool)
	for i, name := range header {
		f := r.features[name]
		switch {
		case r.id != "" && name == r.id:
			id = i
			columns[i] = f // it may be both
		case f == nil && r.id == "" && id < 0 && looksLikeID.MatchString(name):
			id = i
		case f == nil && slices.Contains(r.also, name):
		case f == nil:
			r.skipped = append(r.skipped, name)
		default:
			columns[i] = f
		}
		if columns[i] != nil {
			if found[f.GetName()] {
				return nil, 0, fmt.Errorf("two columns hold the feature %q", f.GetName())
			}
			found[f.GetName()] = true
		}
	}
	if r.id != "" && id < 0 {
		_, err := placeOf(header, r.id)
		return nil, 0, usageError{err}
	}
	if len(found) == 0 && len(r.features) > 0 {
		return nil, 0, fmt.Errorf("no column is a feature of the model, which takes %s", shorten(strings.Join(r.names(), ", "), 200))
	}
	if id >= 0 && r.id == "" {
		r.remark("rows are named by column %s", header[id])
	}
	if len(r.skipped) > 0 {
		r.remark("skipped, the model has no such feature: %s", strings.Join(r.skipped, ", "))
	}
	for _, name := range r.names() {
		if !found[name] {
			r.absent = append(r.absent, name)
		}
	}
	if len(r.absent) > 0 {
		r.remark("no column for: %s", strings.Join(r.absent, ", "))
	}
	return columns, id, nil
}

// names lists the features' own names.
func (r *rowReader) names() []string {
	var names []string
	for name, f := range r.features {
		if name == f.GetName() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// cellValue reads a CSV cell as the feature's type. A text that does not fit is
// sent as it is, so that the server's error names row and feature.
func cellValue(f *bundlev1.Feature, text string) *structpb.Value {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return structpb.NewNullValue()
	}
	switch f.GetType() {
	case bundlev1.FeatureType_FEATURE_TYPE_FLOAT, bundlev1.FeatureType_FEATURE_TYPE_INT:
		n, err := strconv.ParseFloat(trimmed, 64)
		if err != nil || math.IsInf(n, 0) {
			break
		}
		if math.IsNaN(n) {
			return structpb.NewNullValue()
		}
		return structpb.NewNumberValue(n)
	case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
		switch strings.ToLower(trimmed) {
		case "true", "yes", "1", "t", "y":
			return structpb.NewBoolValue(true)
		case "false", "no", "0", "f", "n":
			return structpb.NewBoolValue(false)
		}
	case bundlev1.FeatureType_FEATURE_TYPE_SEQUENCE:
		v := &structpb.Value{}
		if err := v.UnmarshalJSON([]byte(trimmed)); err == nil {
			return v
		}
	}
	return structpb.NewStringValue(strings.Clone(text))
}

// readJSON reads one object a line: {"id": …, "features": {…}} or the features
// themselves.
func (r *rowReader) readJSON(in *bufio.Reader, yield func(*scoringv1.Instance) bool) error {
	return readLines(in, r.jsonRow, yield)
}

func (r *rowReader) jsonRow(text []byte, _ int) (*scoringv1.Instance, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var row map[string]any
	if err := decoder.Decode(&row); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, fmt.Errorf("not a JSON object, but a JSON %s", wrong.Value)
		}
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value in a line")
	}
	id := ""
	if nested, ok := row["features"].(map[string]any); ok && r.features["features"] == nil {
		id = jsonText(row["id"])
		row = nested
	}
	r.cells = make([]string, len(r.also))
	for i, name := range r.also {
		r.cells[i] = jsonCell(row[name])
	}
	for name, value := range row {
		f := r.features[name]
		switch {
		case r.id != "" && name == r.id, f == nil && r.id == "" && id == "" && looksLikeID.MatchString(name):
			id = jsonText(value)
			if f == nil {
				delete(row, name)
			}
		case f == nil:
			delete(row, name)
			if !slices.Contains(r.also, name) && !slices.Contains(r.skipped, name) {
				r.skipped = append(r.skipped, name)
				r.remark("skipped, the model has no such feature: %s", name)
			}
		}
	}
	r.rows++
	if id == "" {
		id = strconv.Itoa(r.rows)
	}
	return client.Instance(id, row)
}

// jsonCell gives a JSON value as the text of a cell; "" for null.
func jsonCell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return strconv.FormatBool(v)
	case []any, map[string]any:
		text, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(text)
	}
	return strings.TrimSpace(jsonText(v))
}

// jsonText gives a JSON string or number as text.
func jsonText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}
