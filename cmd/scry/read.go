package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

var bom = []byte("\xef\xbb\xbf")

// sniffFormat tells JSON Lines, which begin with a brace, from CSV.
func sniffFormat(in *bufio.Reader) string {
	start, _ := in.Peek(512)
	if bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(start, bom), " \t\r\n"), []byte("{")) {
		return "jsonl"
	}
	return "csv"
}

// rowsReader yields what the rows of an input are, until yield wants no more.
type rowsReader[T any] func(in *bufio.Reader, yield func(T) bool) error

// readRows reads CSV or JSON Lines, "" standing for what it looks like.
func readRows[T any](in io.Reader, format string, csv, json rowsReader[T], yield func(T) bool) error {
	buffered := bufio.NewReaderSize(in, 64<<10)
	if format == "jsonl" || format == "" && sniffFormat(buffered) == "jsonl" {
		return json(buffered, yield)
	}
	return csv(buffered, yield)
}

// readLines yields what read makes of each line that is not blank, however long it
// is, until yield wants no more. An error of read says in which line it is.
func readLines[T any](in *bufio.Reader, read func(text []byte, line int) (T, error), yield func(T) bool) error {
	for line := 1; ; line++ {
		text, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		last := err == io.EOF
		if line == 1 {
			text = bytes.TrimPrefix(text, bom)
		}
		if text = bytes.TrimRight(text, "\r\n"); len(bytes.TrimSpace(text)) > 0 {
			item, err := read(text, line)
			if err != nil {
				return errLine(line, err)
			}
			if !yield(item) {
				return nil
			}
		}
		if last {
			return nil
		}
	}
}

// openCSV reads the columns' names of a CSV file, whatever separates them, and
// returns them with what reads the rows, each into the same slice.
func openCSV(in *bufio.Reader) (*csv.Reader, []string, error) {
	if start, _ := in.Peek(len(bom)); bytes.Equal(start, bom) {
		if _, err := in.Discard(len(bom)); err != nil {
			return nil, nil, err
		}
	}
	records := csv.NewReader(in)
	records.Comma = sniffComma(in)
	records.ReuseRecord = true
	header, err := records.Read()
	if err == io.EOF {
		return nil, nil, errors.New("the input is empty; a CSV file begins with the columns' names")
	} else if err != nil {
		return nil, nil, err
	}
	header = slices.Clone(header)
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
	}
	return records, header, nil
}

// sniffComma finds what separates the columns: the most frequent of the usual
// separators in the first line.
func sniffComma(in *bufio.Reader) rune {
	start, _ := in.Peek(8 << 10)
	line, _, _ := bytes.Cut(start, []byte("\n"))
	best, most := ',', 0
	for _, comma := range []rune{',', ';', '\t'} {
		if n := bytes.Count(line, []byte(string(comma))); n > most {
			best, most = comma, n
		}
	}
	return best
}

// placeOf is the place of a column.
func placeOf(header []string, name string) (int, error) {
	i := slices.Index(header, name)
	if i < 0 {
		return i, fmt.Errorf("there is no column %q; there are %s", name, shorten(strings.Join(header, ", "), 200))
	}
	return i, nil
}
