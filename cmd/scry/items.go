package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/client"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// result is what the answers to rows, texts and pictures have in common.
type result interface {
	comparable
	GetIndex() int64
	GetError() *spb.Status
	GetWarnings() []*servingv1.Warning
	GetServedBy() []*servingv1.ServedBy
}

// counted writes a number of things: "2 rows" and, of the same word, "1 row".
func counted[N int | int32 | int64](n N, things string) string {
	if n == 1 {
		things = strings.TrimSuffix(things, "s")
	}
	return fmt.Sprintf("%d %s", n, things)
}

// tally counts what became of the items of one verb.
type tally struct {
	items    string // "rows"
	answered int
	failed   int
	served   string
	warnings map[string]int
	absent   []string // features that the input lacks, of which was told already
}

// someFailed is the error of a verb of which some items failed.
type someFailed struct {
	failed, total int
	items         string
}

func (e *someFailed) Error() string {
	return fmt.Sprintf("%d of %s failed", e.failed, counted(e.total, e.items))
}

func (e *someFailed) Is(target error) bool { return target == errSomeFailed }

// each hands the results of a stream to emit in the order in which the items
// were sent. It holds back what came early, which the server's bounded reading
// ahead keeps small. in is closed when the stream fails: the stream ends only
// after the input has, and that may be a pipe in which nothing comes any more.
func each[R result](in io.Closer, results iter.Seq2[R, error], t *tally, emit func(R, error) error) error {
	early := make(map[int64]R)
	next := int64(0)
	t.warnings = make(map[string]int)
	for r, err := range results {
		if err != nil {
			in.Close()
			return err
		}
		early[r.GetIndex()] = r
		for {
			r, ok := early[next]
			if !ok {
				break
			}
			delete(early, next)
			next++
			failed := client.ItemError(r)
			t.count(failed, r.GetWarnings(), r.GetServedBy())
			if err := emit(r, failed); err != nil {
				in.Close()
				return err
			}
		}
	}
	if len(early) > 0 {
		return fmt.Errorf("the server left item %d without an answer", next)
	}
	return nil
}

// partBytes is how much the items of one call may have together.
const partBytes = 32 << 20

// inParts asks for items in calls of at most so many, one call after the other.
// place sets a result's place among all items.
func inParts[I proto.Message, R any](items iter.Seq[I], most int, call func(part []I) ([]R, error), place func(R, int64)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		var part []I
		size, next := 0, int64(0)
		send := func() bool {
			results, err := call(part)
			if err == nil && len(results) != len(part) {
				err = fmt.Errorf("the server gave %d answers to %s", len(results), counted(len(part), "items"))
			}
			if err != nil {
				var none R
				yield(none, err)
				return false
			}
			for _, r := range results {
				place(r, next)
				next++
				if !yield(r, nil) {
					return false
				}
			}
			part, size = nil, 0
			return true
		}
		for item := range items {
			bytes := proto.Size(item)
			if len(part) > 0 && size+bytes > partBytes && !send() {
				return
			}
			part, size = append(part, item), size+bytes
			if len(part) == most && !send() {
				return
			}
		}
		if len(part) > 0 {
			send()
		}
	}
}

func (t *tally) count(failed error, warnings []*servingv1.Warning, served []*servingv1.ServedBy) {
	if failed != nil {
		t.failed++
		return
	}
	t.answered++
	for _, w := range warnings {
		field := itemPath.ReplaceAllString(w.GetField(), "")
		text := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(w.GetCode().String(), "WARNING_CODE_"), "_", " "))
		t.warnings[strings.TrimSpace(text+" "+field)]++
	}
	if t.served == "" && len(served) > 0 {
		s := served[0]
		t.served = " by " + modelRefText(s.GetModel(), s.GetVersion())
		if s.GetDevice() != "" { // a catalogue may answer without a run
			t.served += " on " + s.GetDevice()
		}
	}
}

// mostWarnings is how many kinds of warnings are listed.
const mostWarnings = 10

// close says what was done and gives the verb's error.
func (t *tally) close(o *output) error {
	for _, name := range t.absent {
		maps.DeleteFunc(t.warnings, func(kind string, _ int) bool {
			return strings.HasSuffix(kind, " features["+strconv.Quote(name)+"]")
		})
	}
	kinds := slices.SortedFunc(maps.Keys(t.warnings), func(a, b string) int {
		if t.warnings[a] != t.warnings[b] {
			return t.warnings[b] - t.warnings[a]
		}
		return strings.Compare(a, b)
	})
	for i, kind := range kinds {
		if i == mostWarnings {
			o.remark("and %d more kinds of warnings", len(kinds)-i)
			break
		}
		o.remark("warning: %s: %d of %s", kind, t.warnings[kind], counted(t.answered, t.items))
	}
	o.remark("%s answered%s", counted(t.answered, t.items), t.served)
	if t.failed > 0 {
		return &someFailed{t.failed, t.failed + t.answered, t.items}
	}
	return nil
}

// finish prints the rest of what was answered, and what was done, and chooses
// the verb's error among why the stream failed, why the input did and that some
// items failed. An empty table says nothing beside an error.
func (t *tally) finish(o *output, stream, input error, flush func() error) error {
	if t.answered+t.failed > 0 || (stream == nil && input == nil) {
		stream = errors.Join(stream, flush())
		if stream == nil {
			stream = t.close(o)
		}
	}
	return endOf(stream, input)
}

// pending holds what is still needed of an item when its answer comes.
type pending[T any] struct {
	mu    sync.Mutex
	items map[int64]T // guarded by mu
	next  int64       // guarded by mu
}

// put keeps the next item.
func (p *pending[T]) put(item T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.items == nil {
		p.items = make(map[int64]T)
	}
	p.items[p.next] = item
	p.next++
}

// take hands an item back and forgets it.
func (p *pending[T]) take(index int64) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	item := p.items[index]
	delete(p.items, index)
	return item
}

// open opens a file, or standard input for "" and "-", and tells its format by
// its name unless one is given: csv, jsonl or "" for anything else. What a .json
// file holds may be indented, or a list.
func (o *output) open(ctx context.Context, name, format string) (io.ReadCloser, string, error) {
	if name == "" || name == "-" {
		if f, ok := o.in.(*os.File); ok && isTerminal(f) && name == "" {
			return nil, "", wrongUse("name a file, or \"-\" to type the input")
		}
		return interruptible(ctx, o.in), format, nil
	}
	if format == "" {
		switch strings.ToLower(filepath.Ext(name)) {
		case ".csv", ".tsv":
			format = "csv"
		case ".jsonl", ".ndjson", ".json":
			format = "jsonl"
		}
	}
	f, err := os.Open(name)
	if err != nil || !strings.EqualFold(filepath.Ext(name), ".json") {
		return f, format, err
	}
	in, err := asLines(f)
	if err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{in, f}, format, nil
}

// asLines makes a line of one JSON object, and of each of a list. What is no
// single value is handed on as it is.
func asLines(in io.Reader) (io.Reader, error) {
	const most = 64 << 20 // a message of gRPC holds no more
	text, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return nil, err
	}
	value := json.RawMessage(bytes.TrimPrefix(text, bom))
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil {
		list = []json.RawMessage{value}
	}
	var lines bytes.Buffer
	for _, object := range list {
		if json.Compact(&lines, object) != nil {
			return io.MultiReader(bytes.NewReader(text), in), nil
		}
		lines.WriteByte('\n')
	}
	return &lines, nil
}

// interruptible reads what another reader gives until ctx ends or it is closed,
// even while the other reader blocks, as standard input may for ever.
func interruptible(ctx context.Context, from io.Reader) io.ReadCloser {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	go func() { // ends with the input or, at the latest, with the program
		_, err := io.Copy(w, from)
		w.CloseWithError(err)
	}()
	return r
}

// endOf chooses the error of a verb that reads and writes at once: why the
// stream failed, else why the input did, else that some items failed.
func endOf(stream, input error) error {
	if stream != nil && !errors.Is(stream, errSomeFailed) {
		return stream
	}
	if input != nil {
		return input
	}
	return stream
}

// csvWriter prints rows as CSV.
type csvWriter struct {
	w      *csv.Writer
	titles []string
}

func (o *output) csv(titles ...string) (*csvWriter, error) {
	w := &csvWriter{csv.NewWriter(o.out), titles}
	if o.target != nil && o.target.resume {
		if begun, err := o.target.readCSV(titles); begun || err != nil {
			return w, err
		}
	}
	return w, w.w.Write(titles)
}

func (w *csvWriter) row(values ...string) error { return w.w.Write(values) }

// failed writes the row of an item that failed: its name, which is the first
// column, and the error.
func (w *csvWriter) failed(id string, err error) error {
	row := make([]string, len(w.titles))
	row[0], row[slices.Index(w.titles, "error")] = id, errText(err)
	return w.row(row...)
}

func (w *csvWriter) flush() error {
	w.w.Flush()
	return w.w.Error()
}

// errLine places an error in the input.
func errLine(line int, err error) error { return fmt.Errorf("line %d: %w", line, err) }

// itemPath is the part of a field's path that numbers the item. The server
// counts inside one message of a stream, which is no place in the input.
var itemPath = regexp.MustCompile(`^(?:instances|recipients|subjects|texts|images)\[\d+\](?:\.|: |$)`)

// errText is an item's error as one cell, beside the item's name; "" for none.
func errText(err error) string {
	if err == nil {
		return ""
	}
	var e *client.Error
	if errors.As(err, &e) && e.Message != "" {
		return itemPath.ReplaceAllString(e.Message, "")
	}
	return err.Error()
}
