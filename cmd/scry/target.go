package main

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strconv"
	"sync/atomic"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// target is a file that answers are written to, and what it holds of an earlier
// run that was interrupted.
type target struct {
	file   *os.File
	out    *bufio.Writer
	resume bool

	rows        int64  // whole ones
	id, version string // of the last one that has them
	err         error  // why the input does not go on where the file ends
}

// openTarget makes a file, or opens one to go on with it. A file that holds
// something is not written over.
func openTarget(name string, resume bool) (*target, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.Size() > 0 && !resume {
		return nil, errors.Join(cmp.Or(err, wrongUse("%s exists already; --resume goes on with what it lacks", name)), f.Close())
	}
	return &target{file: f, out: bufio.NewWriterSize(f, 64<<10), resume: resume}, nil
}

// into makes a file the place of the answers.
func (o *output) into(name string, resume bool) error {
	if o.format == "table" {
		o.format = "csv"
	}
	t, err := openTarget(name, resume)
	if err == nil {
		o.target, o.out = t, t.out
	}
	return err
}

// begin finds out what the file holds, once the titles are compared, and returns
// how many rows. They must be of the version that goes on.
func (t *target) begin(o *output, version *modelstorev1.Version) (int64, error) {
	if t == nil || !t.resume {
		return 0, nil
	}
	if o.json() {
		if err := t.readJSON(); err != nil {
			return 0, err
		}
	}
	if t.version != "" && t.version != strconv.FormatInt(version.GetVersion(), 10) {
		return 0, wrongUse("%s was scored by version %s; go on with --model %s@%s", t.file.Name(), t.version, version.GetModel(), t.version)
	}
	o.remark("%s has %s already", t.file.Name(), counted(t.rows, "rows"))
	return t.rows, nil
}

// close flushes what is still buffered.
func (t *target) close() error {
	if t == nil {
		return nil
	}
	return errors.Join(t.out.Flush(), t.file.Close())
}

// readCSV counts the whole rows of a CSV file that begins with these titles, and
// cuts off what a kill left of the last one. begun tells whether the titles are
// there.
func (t *target) readCSV(titles []string) (begun bool, err error) {
	size, ended, err := t.end()
	if err != nil {
		return false, err
	}
	records := csv.NewReader(bufio.NewReaderSize(t.file, 64<<10))
	records.ReuseRecord = true
	id, version := slices.Index(titles, "id"), slices.Index(titles, "version")
	whole := int64(0) // bytes
	for {
		record, err := records.Read()
		if err != nil || records.InputOffset() == size && !ended {
			break // torn, or the end
		}
		if !begun {
			if !slices.Equal(record, titles) {
				return false, wrongUse("%s has other columns; resume with the options that it was made with", t.file.Name())
			}
			begun = true
		} else {
			t.rows++
			t.note(record[id], record[version])
		}
		whole = records.InputOffset()
	}
	return begun, t.cut(whole)
}

// readJSON does so for JSON Lines.
func (t *target) readJSON() error {
	in := bufio.NewReaderSize(t.file, 64<<10)
	whole := int64(0)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		var row struct {
			ID       string `json:"id"`
			ServedBy []struct {
				Version string `json:"version"`
			} `json:"served_by"`
		}
		if err := json.Unmarshal(line, &row); err != nil {
			break
		}
		version := ""
		if len(row.ServedBy) > 0 {
			version = row.ServedBy[0].Version
		}
		t.rows++
		t.note(row.ID, version)
		whole += int64(len(line))
	}
	return t.cut(whole)
}

// note remembers the last row, and the version of the last that was answered.
func (t *target) note(id, version string) {
	t.id = id
	if version != "" {
		t.version = version
	}
}

// end returns the file's size, and whether its last byte ends a line.
func (t *target) end() (size int64, ended bool, err error) {
	info, err := t.file.Stat()
	if err != nil || info.Size() == 0 {
		return 0, true, err
	}
	var last [1]byte
	_, err = t.file.ReadAt(last[:], info.Size()-1)
	return info.Size(), last[0] == '\n', err
}

// longestRow is how much a torn row may have: more is no remainder of one, and
// the file not one that was written here.
const longestRow = 16 << 20

// cut makes the file end after so many bytes, and goes on there.
func (t *target) cut(whole int64) error {
	size, _, err := t.end()
	if err != nil {
		return err
	}
	if size-whole > longestRow {
		return fmt.Errorf("%s cannot be resumed: it is damaged after %s", t.file.Name(), counted(t.rows, "rows"))
	}
	if err := t.file.Truncate(whole); err != nil {
		return err
	}
	_, err = t.file.Seek(whole, io.SeekStart)
	return err
}

// rest leaves out the rows that are in the file already. Memory does not grow
// with them.
func (t *target) rest(rows iter.Seq[*scoringv1.Instance]) iter.Seq[*scoringv1.Instance] {
	if t == nil {
		return rows
	}
	return func(yield func(*scoringv1.Instance) bool) {
		at := int64(0)
		for row := range rows {
			if at++; at > t.rows {
				if !yield(row) {
					return
				}
				continue
			}
			if at == t.rows && row.GetId() != t.id {
				t.err = fmt.Errorf("%s is of another input: its row %d is %q, the input's %q", t.file.Name(), at, shorten(t.id, 64), shorten(row.GetId(), 64))
				return
			}
		}
		if at < t.rows {
			t.err = fmt.Errorf("%s has %s, the input only %d", t.file.Name(), counted(t.rows, "rows"), at)
		}
	}
}

// meter counts the bytes that are read of a file, to tell how many rows it has.
type meter struct {
	io.ReadCloser
	size int64 // 0 = not known
	read atomic.Int64
}

func newMeter(in io.ReadCloser) *meter {
	m := &meter{ReadCloser: in}
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			m.size = info.Size()
		}
	}
	return m
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.read.Add(int64(n))
	return n, err
}

// total estimates how many rows the file has from those that were read; 0 when
// nothing is known.
func (m *meter) total(rows int64) int64 {
	read := m.read.Load()
	if read == 0 {
		return 0
	}
	return int64(float64(rows) * float64(m.size) / float64(read))
}
