package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// maxExpectRows bounds the samples of a table: each is run by itself at every
// load.
const maxExpectRows = 1000

// tableAnswer says how the answers of a table's rows become an output's values.
type tableAnswer struct {
	output string // GRAPH.OUTPUT
	// columns are the places of the answers in a record: one for an event or a
	// number, else one for each class.
	columns []int
	// complement says that the output has the probability of the other class
	// before, or after, the event's.
	complement bool
	event      int32 // the event's column of the output
}

// readTable reads rows with their predictions: the features' columns and one with
// the prediction, or one for each class.
func (e *expectReader) readTable(in *bufio.Reader) ([]byte, error) {
	row := e.bundle.Manifest.GetRow()
	if row == nil {
		return nil, errors.New("the model takes no rows, so a table cannot hold its samples; give JSON Lines")
	}
	records, header, err := openCSV(in)
	if err != nil {
		return nil, err
	}
	features := newRowReader(row, "", nil).features
	columns := make([]*bundlev1.Feature, len(header))
	var others []int
	for i, name := range header {
		if columns[i] = features[name]; columns[i] == nil && name != e.target && name != "" && !looksLikeID.MatchString(name) {
			others = append(others, i)
		}
	}
	answer, err := e.tableAnswer(header, others)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for range maxExpectRows {
		record, err := records.Read()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		line, _ := records.FieldPos(0)
		g := &bundlev1.Golden{Outputs: map[string]*bundlev1.Values{}}
		fields := make(map[string]*structpb.Value, len(columns))
		for i, f := range columns {
			if f != nil {
				fields[f.GetName()] = cellValue(f, record[i])
			}
		}
		g.Input = &bundlev1.Golden_Features{Features: &structpb.Struct{Fields: fields}}
		values, err := answer.values(header, record)
		if err != nil {
			return nil, errLine(line, err)
		}
		g.Outputs[answer.output] = &bundlev1.Values{Values: values}
		if err := writeGolden(&out, g); err != nil {
			return nil, errLine(line, err)
		}
	}
	if out.Len() == 0 {
		return nil, errors.New("no row in it")
	}
	return out.Bytes(), nil
}

// tableAnswer finds the columns with the predictions of the only head.
func (e *expectReader) tableAnswer(header []string, others []int) (*tableAnswer, error) {
	heads := e.bundle.Manifest.GetHeads()
	if len(heads) != 1 {
		return nil, fmt.Errorf("a table holds the answers of one head, but the model has %s; give JSON Lines", counted(len(heads), "heads"))
	}
	var head *bundlev1.Head
	for _, h := range heads {
		head = h
	}
	a := &tableAnswer{output: head.GetSource()}
	width := int64(1)
	if source, err := bundle.ParseSource(a.output); err == nil {
		if v, _ := e.bundle.Graphs[source.Graph].Output(source.Output); len(v.Shape) == 2 {
			width = v.Shape[1]
		}
	}
	if names := head.GetClasses().GetNames(); len(names) > 0 {
		for _, name := range names {
			i := slices.Index(header, name)
			if i < 0 {
				return nil, fmt.Errorf("there is no column %q; of classes each has a column with its probability", name)
			}
			a.columns = append(a.columns, i)
		}
		return a, nil
	}
	p := head.GetProbability()
	switch {
	case p.GetCalibration() != nil:
		return nil, errors.New("the head's probability is calibrated from another output, of which a table does not tell; give JSON Lines")
	case p != nil && width == 2:
		a.complement, a.event = true, p.GetColumn()
	case p == nil && head.GetValue() == nil, width != 1:
		return nil, fmt.Errorf("a table cannot hold the answers %s; give JSON Lines", a.output)
	}
	if i := slices.Index(header, "prediction"); i >= 0 && slices.Contains(others, i) {
		others = []int{i}
	}
	switch {
	case len(others) == 0:
		return nil, errors.New(`no column has the predictions; call it "prediction"`)
	case len(others) > 1:
		names := make([]string, len(others))
		for k, i := range others {
			names[k] = strconv.Quote(header[i])
		}
		return nil, fmt.Errorf(`which column is the prediction? Call it "prediction"; columns that are no features are %s`, strings.Join(names, ", "))
	}
	a.columns = others
	return a, nil
}

// values are the output's for one record.
func (a *tableAnswer) values(header, record []string) ([]float64, error) {
	var out []float64
	for _, i := range a.columns {
		x, err := strconv.ParseFloat(strings.TrimSpace(record[i]), 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a number", header[i], record[i])
		}
		out = append(out, x)
	}
	if a.complement {
		p := out[0]
		out = []float64{1 - p, 1 - p}
		out[a.event] = p
	}
	return out, nil
}
