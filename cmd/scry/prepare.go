package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/bundle"
	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	"github.com/scry-ml/scry/tensor"
	"github.com/scry-ml/scry/tokenizer"
)

// prepareCmd shows what a model sees.
type prepareCmd struct {
	Path   string   `arg:"" help:"A bundle's directory, an .onnx file, or a tokenizer.json."`
	Inputs []string `arg:"" optional:"" help:"Texts, picture files, or rows as JSON objects or as CSV or JSON Lines files. Without any, texts are read from standard input as JSON Lines {\"text\": …} or {\"base64\": …} (with \"pair\" or \"pair_base64\" for a second text), and rows as CSV or JSON Lines."`

	Pair         string `group:"Texts" placeholder:"TEXT" help:"A second text that belongs to each."`
	MaxLength    int    `group:"Texts" placeholder:"TOKENS" help:"Truncate to so many tokens, special ones included (default: what the bundle or the file says)."`
	NoTruncation bool   `group:"Texts" help:"Do not truncate."`
	NoPadding    bool   `group:"Texts" help:"Do not pad, whatever a tokenizer.json says. A bundle's texts are not padded here: that depends on their company in a batch."`

	Out string `group:"Pictures" type:"path" placeholder:"FILE|DIR" help:"Where the tensor goes as .npy: a file, a directory, or - for standard output (default: NAME.npy here)."`
}

func (c *prepareCmd) Run(ctx context.Context, app *app) error {
	if err := app.output.noCSV(); err != nil {
		return err
	}
	if strings.EqualFold(filepath.Ext(c.Path), ".json") {
		return c.bareTokenizer(ctx, app.output)
	}
	s, err := openSource(c.Path)
	if err != nil {
		return err
	}
	p, err := s.open(c.Path, nil)
	if err != nil {
		return err
	}
	b := p.Bundle
	tellInferred(app.output, b.Manifest)
	switch b.Manifest.GetPreprocessing().(type) {
	case *bundlev1.Manifest_Text:
		return c.bundleTexts(ctx, app.output, b)
	case *bundlev1.Manifest_Image:
		return c.pictures(ctx, app.output, b)
	case *bundlev1.Manifest_Row:
		return c.rows(ctx, app.output, b)
	}
	return fmt.Errorf("%s takes tensors as they are: there is nothing to prepare", c.Path)
}

// prepared is what one line of standard output holds for a text.
type prepared struct {
	IDs           []int32    `json:"ids"`
	Tokens        []string   `json:"tokens"`
	AttentionMask []int32    `json:"attention_mask"`
	TypeIDs       []int32    `json:"type_ids"`
	Offsets       [][2]int32 `json:"offsets"` // in code points
	Repaired      bool       `json:"repaired,omitempty"`
}

// preparedError stands for an item that cannot be prepared.
type preparedError struct {
	Error string `json:"error"`
}

func (c *prepareCmd) bareTokenizer(ctx context.Context, o *output) error {
	data, err := os.ReadFile(c.Path)
	if err != nil {
		return err
	}
	t, err := tokenizer.Parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	options := tokenizer.Options{MaxLength: c.MaxLength, NoTruncation: c.NoTruncation, NoPadding: c.NoPadding}
	return c.texts(ctx, o, t, "", options)
}

func (c *prepareCmd) bundleTexts(ctx context.Context, o *output, b *bundle.Bundle) error {
	m := b.Manifest.GetText()
	f, err := b.FS.Open(m.GetTokenizer())
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := tokenizer.Load(f)
	if err != nil {
		return fmt.Errorf("%s: %w", m.GetTokenizer(), err)
	}
	options := tokenizer.Options{MaxLength: int(m.GetMaxLength()), NoTruncation: c.NoTruncation, NoPadding: true}
	if c.MaxLength > 0 {
		options.MaxLength = c.MaxLength
	}
	return c.texts(ctx, o, t, m.GetPrefix(), options)
}

// text is one text, or two, as bytes that need not be UTF-8.
type text struct {
	first, second []byte
	pair          bool
}

// texts prints one line of JSON for each text.
func (c *prepareCmd) texts(ctx context.Context, o *output, t *tokenizer.Tokenizer, prefix string, options tokenizer.Options) error {
	out := bufio.NewWriter(o.out)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	total, failed := 0, 0
	err := c.eachText(ctx, o, out.Flush, func(x text, err error) error {
		total++
		var e *tokenizer.Encoding
		if err == nil {
			e, err = encode(t, x, prefix, options)
		}
		if err != nil {
			failed++
			return lines.Encode(preparedError{err.Error()})
		}
		p := prepared{
			IDs: notNil(e.IDs), Tokens: notNil(e.Tokens), AttentionMask: notNil(e.AttentionMask), TypeIDs: notNil(e.TypeIDs),
			Offsets: make([][2]int32, len(e.Offsets)), Repaired: e.Repaired,
		}
		for i, at := range e.Offsets {
			p.Offsets[i] = [2]int32{at.Start, at.End}
		}
		return lines.Encode(p)
	})
	if err = errors.Join(err, out.Flush()); err != nil {
		return err
	}
	return someFailedOf(failed, total, "texts")
}

func encode(t *tokenizer.Tokenizer, x text, prefix string, options tokenizer.Options) (*tokenizer.Encoding, error) {
	if !x.pair {
		if prefix == "" {
			return t.EncodeBytes(x.first, options)
		}
		return t.EncodeBytes(append([]byte(prefix), x.first...), options)
	}
	return t.EncodePair(prefix+string(x.first), string(x.second), options)
}

// eachText hands the arguments, or the lines of standard input, to do. A line
// that is wrong is handed over as an error: the others are still of use. idle is
// called before input is waited for, so that a program at the other end of the
// pipe can read each answer before it writes the next line.
func (c *prepareCmd) eachText(ctx context.Context, o *output, idle func() error, do func(text, error) error) error {
	pair := c.Pair != ""
	for _, argument := range c.Inputs {
		if err := do(text{[]byte(argument), []byte(c.Pair), pair}, nil); err != nil {
			return err
		}
	}
	if len(c.Inputs) > 0 {
		return nil
	}
	in, _, err := o.open(ctx, "", "jsonl")
	if err != nil {
		return err
	}
	defer in.Close()
	var wrong error
	err = readLines(bufio.NewReaderSize(beforeRead{in, idle}, 64<<10), func(line []byte, number int) (text, error) {
		x, err := readText(line)
		if err != nil {
			err = errLine(number, err)
		}
		if !x.pair && pair {
			x.second, x.pair = []byte(c.Pair), true
		}
		wrong = do(x, err)
		return x, nil
	}, func(text) bool { return wrong == nil })
	return cmp.Or(err, wrong)
}

// beforeRead calls something before input is waited for.
type beforeRead struct {
	io.Reader
	idle func() error
}

func (r beforeRead) Read(p []byte) (int, error) {
	if err := r.idle(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// readText reads {"text": …} or {"base64": …}, with "pair" or "pair_base64".
func readText(line []byte) (text, error) {
	var object struct {
		Text       *string `json:"text"`
		Base64     *[]byte `json:"base64"`
		Pair       *string `json:"pair"`
		PairBase64 *[]byte `json:"pair_base64"`
	}
	if err := json.Unmarshal(line, &object); err != nil {
		if _, ok := errors.AsType[base64.CorruptInputError](err); ok {
			return text{}, fmt.Errorf("base64: %w", err)
		}
		return text{}, fmt.Errorf("not an object with text or base64: %w", err)
	}
	var x text
	switch {
	case (object.Text == nil) == (object.Base64 == nil):
		return text{}, errors.New(`give either "text" or "base64"`)
	case object.Text != nil:
		x.first = []byte(*object.Text)
	default:
		x.first = *object.Base64
	}
	switch {
	case object.Pair != nil && object.PairBase64 != nil:
		return text{}, errors.New(`give either "pair" or "pair_base64"`)
	case object.Pair != nil:
		x.second, x.pair = []byte(*object.Pair), true
	case object.PairBase64 != nil:
		x.second, x.pair = *object.PairBase64, true
	}
	return x, nil
}

// pictures writes each picture's tensor as .npy and prints a line of JSON.
func (c *prepareCmd) pictures(ctx context.Context, o *output, b *bundle.Bundle) error {
	if len(c.Inputs) == 0 {
		return wrongUse("name the picture files")
	}
	p, err := pipeline.New(b, pipeline.Limits{})
	if err != nil {
		return err
	}
	if c.Out == "-" && len(c.Inputs) > 1 {
		return wrongUse("--out - is for one picture")
	}
	failed := 0
	for _, name := range c.Inputs {
		err := c.picture(ctx, o, p, name)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			failed++
			o.complain("%s: %v", name, err)
		}
	}
	return someFailedOf(failed, len(c.Inputs), "pictures")
}

func (c *prepareCmd) picture(ctx context.Context, o *output, p *pipeline.Pipeline, name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	picture, err := p.Image(ctx, data)
	if err != nil {
		return err
	}
	input, t := p.Bundle().Inputs()[0].Name, picture.Item.Inputs[0]
	if c.Out == "-" {
		return writeNPY(o.out, t)
	}
	target := c.Out
	if info, err := os.Stat(target); target == "" || (err == nil && info.IsDir()) || len(c.Inputs) > 1 {
		base := filepath.Base(name)
		target = filepath.Join(target, strings.TrimSuffix(base, filepath.Ext(base))+".npy")
	}
	f, err := os.Create(target)
	if err != nil {
		return err
	}
	if err := errors.Join(writeNPY(f, t), f.Close()); err != nil {
		return err
	}
	return o.writeCompact(map[string]any{
		"file": name, "format": picture.Info.Format.String(), "width": picture.Info.Width, "height": picture.Info.Height,
		"input": input, "dtype": t.DType.String(), "shape": t.Shape, "npy": target,
	})
}

// rows prints the named inputs of each row.
func (c *prepareCmd) rows(ctx context.Context, o *output, b *bundle.Bundle) error {
	p, err := pipeline.New(b, pipeline.Limits{})
	if err != nil {
		return err
	}
	total, failed := 0, 0
	one := func(row *structpb.Struct) error {
		total++
		item, warnings, err := p.Row(row)
		if err != nil {
			failed++
			return o.writeCompact(preparedError{err.Error()})
		}
		line := struct {
			Inputs   map[string]namedInput `json:"inputs"`
			Warnings []json.RawMessage     `json:"warnings,omitempty"`
		}{Inputs: make(map[string]namedInput)}
		for i, v := range b.Inputs() {
			t := item.Inputs[i]
			line.Inputs[v.Name] = namedInput{DType: t.DType.String(), Shape: t.Shape, Data: elements(t)}
		}
		for _, w := range warnings {
			raw, err := marshal(w)
			if err != nil {
				return err
			}
			line.Warnings = append(line.Warnings, raw)
		}
		return o.writeCompact(line)
	}
	if err := c.eachRow(ctx, o, b.Manifest.GetRow(), one); err != nil {
		return err
	}
	return someFailedOf(failed, total, "rows")
}

// namedInput is one input of a graph.
type namedInput struct {
	DType string       `json:"dtype"`
	Shape tensor.Shape `json:"shape"`
	Data  []any        `json:"data"` // row-major; NaN and infinities as strings
}

// eachRow hands the rows of the arguments, or of standard input, to do.
func (c *prepareCmd) eachRow(ctx context.Context, o *output, row *bundlev1.Row, do func(*structpb.Struct) error) error {
	inputs := c.Inputs
	if len(inputs) == 0 {
		inputs = []string{""}
	}
	for _, input := range inputs {
		reader := newRowReader(row, "", o.remark)
		var in io.ReadCloser
		var format string
		var err error
		if strings.HasPrefix(strings.TrimSpace(input), "{") {
			in, format = io.NopCloser(strings.NewReader(input)), "jsonl"
		} else if in, format, err = o.open(ctx, input, ""); err != nil {
			return err
		}
		for instance := range reader.instances(in, format) {
			if err = do(instance.GetFeatures()); err != nil {
				break
			}
		}
		in.Close()
		if err = endOf(err, reader.err); err != nil {
			return err
		}
	}
	return nil
}

func someFailedOf(failed, total int, items string) error {
	if failed == 0 {
		return nil
	}
	return &someFailed{failed, total, items}
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
