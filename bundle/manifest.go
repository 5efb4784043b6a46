package bundle

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"buf.build/go/protoyaml"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

const (
	maxManifest = 4 << 20
	maxGoldens  = 64 << 20
)

// ParseManifest reads a manifest in YAML. Unknown fields are refused; an error
// names line and field, and wraps ErrInvalid.
func ParseManifest(text []byte) (*bundlev1.Manifest, error) {
	if len(text) > maxManifest {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrInvalid, ManifestFile, maxManifest)
	}
	m := &bundlev1.Manifest{}
	if err := (protoyaml.UnmarshalOptions{Path: ManifestFile, Validator: rules{}}).Unmarshal(text, m); err != nil {
		if !strings.Contains(err.Error(), ManifestFile) {
			err = fmt.Errorf("%s: %w", ManifestFile, err)
		}
		return nil, &FieldError{Field: ManifestFile, text: fmt.Sprintf("%v: %v", ErrInvalid, err), err: ErrInvalid}
	}
	return m, nil
}

// rules checks the limits that the contract itself states.
type rules struct{}

func (rules) Validate(m proto.Message) error { return protovalidate.Validate(m) }

// Marshal writes a manifest as YAML, each guess as a comment at its field.
func Marshal(m *bundlev1.Manifest, guesses []Guess) ([]byte, error) {
	text, err := protoyaml.MarshalOptions{UseProtoNames: true, Indent: 2}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	for _, g := range guesses {
		if node := keyNode(&doc, strings.Split(g.Field, ".")); node != nil {
			comment := "# guessed: " + g.Why
			if node.HeadComment != "" {
				comment = node.HeadComment + "\n" + comment
			}
			node.HeadComment = comment
		}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// keyNode returns the key of a mapping by its path, such as graphs.model.file.
func keyNode(n *yaml.Node, at []string) *yaml.Node {
	key, _ := lookUp(n, at)
	return key
}

// valueNode returns what stands at that key.
func valueNode(n *yaml.Node, at []string) *yaml.Node {
	_, value := lookUp(n, at)
	return value
}

func lookUp(n *yaml.Node, at []string) (key, value *yaml.Node) {
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == at[0] {
			if len(at) == 1 {
				return n.Content[i], n.Content[i+1]
			}
			return lookUp(n.Content[i+1], at[1:])
		}
	}
	return nil, nil
}

// Goldens reads the golden samples; none when the manifest names no file.
// Errors wrap ErrInvalid and name the line.
func (b *Bundle) Goldens() ([]*bundlev1.Golden, error) {
	name := b.Manifest.GetGoldens().GetFile()
	if name == "" {
		return nil, nil
	}
	var goldens []*bundlev1.Golden
	err := b.jsonLines("goldens.file", name, maxGoldens, func(at string, line []byte) error {
		g := &bundlev1.Golden{}
		if err := protojson.Unmarshal(line, g); err != nil {
			return invalid(at, "%v", err)
		}
		if err := protovalidate.Validate(g); err != nil {
			return invalid(at, "%v", err)
		}
		for output := range g.GetOutputs() {
			src, err := ParseSource(output)
			if err == nil {
				_, err = b.value(src)
			}
			if err != nil {
				return within(fmt.Sprintf("%s: outputs[%q]", at, output), err)
			}
		}
		if g.GetImage() != "" {
			if err := b.checkFile(at, g.GetImage()); err != nil {
				return err
			}
		}
		if err := b.fitsPreprocessing(g); err != nil {
			return within(at, err)
		}
		goldens = append(goldens, g)
		return nil
	})
	if err == nil && len(goldens) == 0 {
		err = invalid(name, "holds no sample")
	}
	return goldens, err
}

// jsonLines reads a file with an object a line, which each gets with the place
// where it stands. field is the manifest's that names the file, most the bytes of a
// line.
func (b *Bundle) jsonLines(field, name string, most int, each func(at string, line []byte) error) error {
	f, err := b.FS.Open(name)
	if err != nil {
		return invalid(field, "%v", cause(err))
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, most)
	for n := 1; in.Scan(); n++ {
		if line := in.Bytes(); len(bytes.TrimSpace(line)) > 0 {
			if err := each(fmt.Sprintf("%s:%d", name, n), line); err != nil {
				return err
			}
		}
	}
	if err := in.Err(); err != nil {
		return invalid(name, "%v", cause(err))
	}
	return nil
}

func (b *Bundle) fitsPreprocessing(g *bundlev1.Golden) error {
	ok := false
	switch g.GetInput().(type) {
	case *bundlev1.Golden_Features:
		ok = b.Manifest.GetRow() != nil
	case *bundlev1.Golden_Text:
		ok = b.Manifest.GetText() != nil
	case *bundlev1.Golden_Image:
		ok = b.Manifest.GetImage() != nil
	case *bundlev1.Golden_Tensors:
		ok = true
	}
	if !ok {
		return fmt.Errorf("%w: %w", ErrInvalid, errors.New("the sample's input does not fit the manifest's preprocessing"))
	}
	return nil
}

// Tolerance returns how far an answer of that precision may be off, and
// whether the precision is admitted at all. A bundle without goldens admits
// fp32 only: nothing would show what a lower precision costs.
func (b *Bundle) Tolerance(p bundlev1.Precision) (absolute, relative float64, admitted bool) {
	g := b.Manifest.GetGoldens()
	if g == nil {
		return 0, 0, p == bundlev1.Precision_PRECISION_FP32
	}
	for _, t := range g.GetTolerances() {
		if t.GetPrecision() == p {
			return t.GetAbsolute(), t.GetRelative(), true
		}
	}
	return 0, 0, false
}
