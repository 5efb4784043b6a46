package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"golang.org/x/term"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// output is where a verb prints: results to out, remarks and progress to err.
type output struct {
	in       io.Reader
	out, err io.Writer
	target   *target // the file that out is, nil without one
	format   string  // table, json, jsonl, csv
	quiet    bool
	terminal bool // err is a terminal that a person watches

	plain, good, bad, faint, bold, strong lipgloss.Style // of out
	errBad, errFaint                      lipgloss.Style // of err

	renderers [2]*lipgloss.Renderer // of out and err
}

func newOutput(in io.Reader, out, errOut io.Writer, format string, quiet bool) *output {
	// The renderers find out about colours: none where out is no terminal or
	// NO_COLOR is set.
	r, e := lipgloss.NewRenderer(out), lipgloss.NewRenderer(errOut)
	return &output{
		in: in, out: out, err: errOut, format: format, quiet: quiet,
		terminal: isTerminal(errOut) && os.Getenv("TERM") != "dumb",
		plain:    r.NewStyle(),
		good:     r.NewStyle().Foreground(lipgloss.Color("2")),
		bad:      r.NewStyle().Foreground(lipgloss.Color("1")),
		faint:    r.NewStyle().Faint(true),
		bold:     r.NewStyle().Bold(true),
		strong:   r.NewStyle().Foreground(lipgloss.Color("3")),
		errBad:   e.NewStyle().Foreground(lipgloss.Color("1")).Bold(true),
		errFaint: e.NewStyle().Faint(true),

		renderers: [2]*lipgloss.Renderer{r, e},
	}
}

// color overrules what the renderers found out: always or never, else nothing.
func (o *output) color(when string) {
	for _, r := range o.renderers {
		switch when {
		case "always":
			r.SetColorProfile(termenv.ANSI)
		case "never":
			r.SetColorProfile(termenv.Ascii)
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// complain tells of an error.
func (o *output) complain(format string, args ...any) {
	lines := strings.Split(fmt.Sprintf(format, args...), "\n") // a wrong bundle.yaml is shown with the place
	for i, line := range lines {
		lines[i] = clean(line)
	}
	fmt.Fprintln(o.err, o.errBad.Render("scry:"), strings.Join(lines, "\n"))
}

// hint says what may help.
func (o *output) hint(format string, args ...any) {
	fmt.Fprintln(o.err, o.errFaint.Render(clean(fmt.Sprintf(format, args...))))
}

// remark tells of something that is not the result, unless it is not wanted.
func (o *output) remark(format string, args ...any) {
	if !o.quiet {
		fmt.Fprintln(o.err, clean(fmt.Sprintf(format, args...)))
	}
}

// json tells whether the result is to be JSON.
func (o *output) json() bool { return o.format == "json" || o.format == "jsonl" }

// noCSV refuses -o csv for what is not rows.
func (o *output) noCSV() error {
	if o.format == "csv" {
		return wrongUse("-o csv is for score, recommend, explain, choose, sendtime, eval, sentiment and image")
	}
	return nil
}

// message prints one protobuf message as JSON, its fields named as in the proto.
func (o *output) message(m proto.Message) error {
	raw, err := marshal(m)
	if err != nil {
		return err
	}
	return o.writeJSON(raw)
}

// marshal gives a message as JSON that is the same at every call: protojson
// varies its white space on purpose, and writeJSON lays it out anew.
func marshal(m proto.Message) (json.RawMessage, error) {
	return protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
}

// done ends a verb that answers nothing but that it did it: with a remark, or
// as JSON with an object that says what was done.
func (o *output) done(object map[string]any, format string, args ...any) error {
	if o.json() {
		return o.writeJSON(object)
	}
	o.remark(format, args...)
	return nil
}

// writeJSON prints a value: indented as json, on one line as jsonl.
func (o *output) writeJSON(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return o.writeRaw(raw, o.format == "json")
}

// writeCompact prints a value on one line, whatever the format.
func (o *output) writeCompact(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return o.writeRaw(raw, false)
}

// jsonPrinter returns what writes one result as a line of JSON, however many they
// are, and what ends the writing.
func jsonPrinter[R proto.Message](o *output) (func(R, error) error, func() error, error) {
	return func(r R, _ error) error {
		raw, err := marshal(r)
		if err != nil {
			return err
		}
		return o.writeRaw(raw, false)
	}, func() error { return nil }, nil
}

func (o *output) writeRaw(raw []byte, indent bool) error {
	var b bytes.Buffer
	var err error
	if indent {
		err = json.Indent(&b, raw, "", "  ")
	} else {
		err = json.Compact(&b, raw)
	}
	if err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = o.out.Write(b.Bytes())
	return err
}

// cell is a table's cell with a style.
type cell struct {
	text  string
	style lipgloss.Style
}

// heldRows is how many rows of a table are looked at to find its widths; rows
// after them are printed as they come.
const heldRows = 200

// maxCell is the longest text of a cell that may widen its column.
const maxCell = 72

// table prints rows in columns, however many they are, in bounded memory.
type table struct {
	o      *output
	held   [][]cell
	widths []int
	began  bool
	err    error
}

// table begins a table with the given titles.
func (o *output) table(titles ...string) *table {
	t := &table{o: o, widths: make([]int, len(titles))}
	cells := make([]any, len(titles))
	for i, title := range titles {
		cells[i] = cell{title, o.bold}
	}
	t.row(cells...)
	return t
}

// row adds a row of cells and strings; anything else is printed by fmt.
func (t *table) row(values ...any) {
	cells := makeCells(values)
	if !t.began {
		for i, c := range cells {
			t.widths[i] = max(t.widths[i], min(maxCell, lipgloss.Width(c.text)))
		}
	}
	t.add(cells)
}

// line adds a row whose last cell runs over the columns after it.
func (t *table) line(values ...any) {
	cells := makeCells(values)
	if !t.began {
		for i, c := range cells[:len(cells)-1] {
			t.widths[i] = max(t.widths[i], min(maxCell, lipgloss.Width(c.text)))
		}
	}
	t.add(cells)
}

func makeCells(values []any) []cell {
	cells := make([]cell, len(values))
	for i, v := range values {
		c, ok := v.(cell)
		if !ok {
			c.text = fmt.Sprint(v)
		}
		c.text = clean(c.text)
		cells[i] = c
	}
	return cells
}

func (t *table) add(cells []cell) {
	if t.began {
		t.print(cells)
		return
	}
	if t.held = append(t.held, cells); len(t.held) > heldRows {
		t.begin()
	}
}

func (t *table) begin() {
	t.began = true
	for _, cells := range t.held {
		t.print(cells)
	}
	t.held = nil
}

func (t *table) print(cells []cell) {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		b.WriteString(c.style.Render(c.text))
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", max(0, t.widths[i]-lipgloss.Width(c.text))))
		}
	}
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.o.out, strings.TrimRight(b.String(), " "))
	}
}

// failed adds the row of an item that failed.
func (t *table) failed(id string, err error) error {
	t.line(id, cell{errText(err), t.o.bad})
	return t.err
}

// flush prints what is held and returns the first error of writing.
func (t *table) flush() error {
	if !t.began {
		t.begin()
	}
	return t.err
}

// clean makes a text harmless for a terminal: names and payloads come from
// others, and control characters could redraw the screen.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// fixed is a number for people, exact one that loses nothing.
func fixed(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
func exact(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// exactOrNone is "" where there is no number.
func exactOrNone(v *float64) string {
	if v == nil {
		return ""
	}
	return exact(*v)
}

// shorten cuts a text to width columns of a terminal.
func shorten(s string, width int) string {
	s = clean(s)
	if lipgloss.Width(s) <= width {
		return s
	}
	var b strings.Builder
	used := 0
	for _, r := range s {
		w := lipgloss.Width(string(r))
		if used+w > width-1 {
			break
		}
		b.WriteRune(r)
		used += w
	}
	return b.String() + "…"
}

// bytesText gives a number of bytes with a binary unit.
func bytesText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), -1
	for f >= 1024 && unit < 5 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTPE"[unit])
}

// timeText gives a time for people, in their zone.
func timeText(t time.Time) string {
	if t.Unix() <= 0 {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}
