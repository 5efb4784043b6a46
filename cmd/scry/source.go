package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/scry-ml/scry/bundle"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
)

// source is the files of a bundle: a directory, or one .onnx file with the
// external data that lies beside it. Files can be added in memory and hidden.
type source struct {
	dir   fs.FS
	only  []string          // the names that exist; nil = all
	extra map[string][]byte // instead of, or beside, those of dir
	hide  string            // a name that does not exist; "" = none
}

// openSource opens what people call a model: a directory or an .onnx file.
func openSource(name string) (*source, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &source{dir: os.DirFS(name)}, nil
	}
	if filepath.Base(name) == bundle.ManifestFile {
		return nil, wrongUse("%s is a part of a bundle: name its directory", name)
	}
	// The links of a path are resolved by opening it; external data has its name
	// from the graph and is looked for beside the name that was given.
	s := &source{dir: os.DirFS(filepath.Dir(name)), only: []string{filepath.Base(name)}}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	graph, err := bundle.ReadGraph(f)
	if err != nil {
		if what := foreign(f, name); what != "" {
			return nil, fmt.Errorf("%s: %s", name, what)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.only = append(s.only, graph.ExternalData...)
	return s, nil
}

// How a file of another kind becomes a graph.
const (
	fromTorch   = "load it in Python and torch.onnx.export(model, example, \"model.onnx\", dynamic_axes=…)"
	fromSafe    = "export the model: optimum-cli export onnx --model DIR OUT, then push OUT"
	fromPickle  = "load it in Python and export it: skl2onnx.to_onnx(model, …), onnxmltools or torch.onnx.export"
	fromArchive = "unpack it and push the directory"
)

// foreign says what a file is that is no ONNX model, "" when it does not show.
func foreign(f io.ReadSeeker, name string) string {
	var head [512]byte
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return ""
	}
	n, _ := io.ReadFull(f, head[:])
	is := func(magic string) bool { return strings.HasPrefix(string(head[:n]), magic) }
	ext := strings.ToLower(filepath.Ext(name))
	switch {
	case n == 0:
		return "the file is empty"
	case is("version https://git-lfs"):
		return "this is a Git LFS pointer, not the model: \"git lfs pull\" fetches it"
	case ext == ".safetensors" || n > 9 && head[8] == '{' && head[9] == '"':
		return "safetensors hold weights without a graph: " + fromSafe
	case ext == ".pt" || ext == ".pth" || ext == ".ckpt" || ext == ".bin":
		return "this is a PyTorch file, not ONNX: " + fromTorch
	case ext == ".h5" || ext == ".keras" || ext == ".tflite" || ext == ".pb" || is("\x89HDF"):
		return "this is a TensorFlow file, not ONNX: tf2onnx converts it"
	case ext == ".pkl" || ext == ".joblib" || ext == ".pickle" || is("\x80"):
		return "this is a pickle, not ONNX: " + fromPickle
	case ext == ".json" || ext == ".ubj" || ext == ".cbm":
		return "this is no ONNX model; of a boosting model onnxmltools makes one"
	case is("PK\x03\x04"), is("\x1f\x8b"), is("7z\xbc\xaf"), is("\x28\xb5\x2f\xfd"):
		return "this is an archive: " + fromArchive
	}
	return ""
}

// foreignIn says what a directory without a graph holds instead, "" when it
// does not show.
func (s *source) foreignIn() string {
	entries, err := s.ReadDir(".")
	if err != nil {
		return ""
	}
	if len(entries) == 0 {
		return "the directory is empty"
	}
	for _, e := range entries {
		switch strings.ToLower(path.Ext(e.Name())) {
		case ".safetensors":
			return fmt.Sprintf("there is %s, which holds weights without a graph: %s", e.Name(), fromSafe)
		case ".pt", ".pth", ".ckpt":
			return fmt.Sprintf("there is %s, a PyTorch file: %s", e.Name(), fromTorch)
		case ".pkl", ".joblib", ".pickle":
			return fmt.Sprintf("there is %s, a pickle: %s", e.Name(), fromPickle)
		}
	}
	return ""
}

// open reads the bundle as the server will have it; hints may be nil.
func (s *source) open(name string, hints *bundlev1.Hints) (*bundle.Prepared, error) {
	p, err := bundle.Prepare(s, hints)
	if err != nil {
		if what := s.foreignIn(); what != "" && errors.Is(err, bundle.ErrNoGraph) {
			err = fmt.Errorf("%w: %s", err, what)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// add puts a file into the bundle without touching the directory.
func (s *source) add(name string, content []byte) {
	if s.extra == nil {
		s.extra = make(map[string][]byte)
	}
	s.extra[name] = content
}

func (s *source) has(name string) bool {
	return name != s.hide && (s.only == nil || slices.Contains(s.only, name))
}

// Open implements fs.FS.
func (s *source) Open(name string) (fs.File, error) {
	if content, ok := s.extra[name]; ok {
		return &memoryFile{Reader: bytes.NewReader(content), name: path.Base(name), size: int64(len(content))}, nil
	}
	if name != "." && !s.has(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := s.dir.Open(name)
	return f, s.dangling(name, err)
}

// dangling tells a file that is missing from a link, as caches of the Hugging
// Face hub are full of, to one: without config.json a model has no labels.
func (s *source) dangling(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := fs.Lstat(s.dir, name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return &fs.PathError{Op: "open", Path: name, Err: errors.New("it is a link to a file that is not there")}
		}
	}
	return err
}

// Stat implements fs.StatFS: a pipe can be told from a file without opening it,
// which would wait for a writer.
func (s *source) Stat(name string) (fs.FileInfo, error) {
	if content, ok := s.extra[name]; ok {
		return &memoryFile{Reader: bytes.NewReader(content), name: path.Base(name), size: int64(len(content))}, nil
	}
	if name != "." && !s.has(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	info, err := fs.Stat(s.dir, name)
	return info, s.dangling(name, err)
}

// ReadDir implements fs.ReadDirFS. It lists what dir has; files that were added
// are found by their names.
func (s *source) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.dir, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !s.has(path.Join(name, e.Name())) }), err
}

// memoryFile is a file that was added.
type memoryFile struct {
	*bytes.Reader
	name string
	size int64
}

func (f *memoryFile) Close() error               { return nil }
func (f *memoryFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *memoryFile) Name() string               { return f.name }
func (f *memoryFile) Size() int64                { return f.size }
func (f *memoryFile) Mode() fs.FileMode          { return 0o444 }
func (f *memoryFile) ModTime() time.Time         { return time.Time{} }
func (f *memoryFile) IsDir() bool                { return false }
func (f *memoryFile) Sys() any                   { return nil }

var _ io.Seeker = (*memoryFile)(nil) // so that an upload can go on in the middle
