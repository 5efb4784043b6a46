package bundle

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"time"
)

// overlay is a directory in which some files are new or changed.
type overlay struct {
	fs.FS
	added  map[string][]byte
	edited map[string][]edit
}

func newOverlay(dir fs.FS) *overlay {
	return &overlay{FS: dir, added: map[string][]byte{}, edited: map[string][]edit{}}
}

// Open implements fs.FS.
func (o *overlay) Open(name string) (fs.File, error) {
	if content, ok := o.added[name]; ok {
		return &overlaid{Reader: bytes.NewReader(content), name: path.Base(name), size: int64(len(content))}, nil
	}
	f, err := o.FS.Open(name)
	edits, ok := o.edited[name]
	if err != nil || !ok {
		return f, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	size := info.Size()
	for _, e := range edits {
		size += int64(len(e.with)) - (e.to - e.from)
	}
	return &overlaid{Reader: &splice{in: f, edits: edits}, name: path.Base(name), size: size, under: f}, nil
}

// Stat implements fs.StatFS: a pipe is not opened to be told from a file.
func (o *overlay) Stat(name string) (fs.FileInfo, error) {
	_, edited := o.edited[name]
	if _, added := o.added[name]; !added && !edited {
		return fs.Stat(o.FS, name)
	}
	f, err := o.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// overlaid is a file that is new or changed.
type overlaid struct {
	io.Reader
	name  string
	size  int64
	under fs.File // nil for a new one
}

func (f *overlaid) Close() error {
	if f.under == nil {
		return nil
	}
	return f.under.Close()
}

func (f *overlaid) Stat() (fs.FileInfo, error) { return f, nil }
func (f *overlaid) Name() string               { return f.name }
func (f *overlaid) Size() int64                { return f.size }
func (f *overlaid) Mode() fs.FileMode          { return 0o444 }
func (f *overlaid) ModTime() time.Time         { return time.Time{} }
func (f *overlaid) IsDir() bool                { return false }
func (f *overlaid) Sys() any                   { return nil }

// splice reads a file with edits, which are in order and do not overlap.
type splice struct {
	in    io.Reader
	at    int64 // in the file
	edits []edit
	with  []byte // of the edit under way
}

// Read implements io.Reader.
func (s *splice) Read(p []byte) (int, error) {
	for len(s.with) == 0 && len(s.edits) > 0 && s.at == s.edits[0].from {
		e := s.edits[0]
		if _, err := io.CopyN(io.Discard, s.in, e.to-e.from); err != nil {
			return 0, err
		}
		s.at, s.with, s.edits = e.to, e.with, s.edits[1:]
	}
	if len(s.with) > 0 {
		n := copy(p, s.with)
		s.with = s.with[n:]
		return n, nil
	}
	if len(s.edits) > 0 {
		p = p[:min(int64(len(p)), s.edits[0].from-s.at)]
	}
	n, err := s.in.Read(p)
	s.at += int64(n)
	if err == io.EOF && len(s.edits) > 0 { // what is to be put at the end, or the file is shorter than it was
		if err = nil; s.at < s.edits[0].from {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}
