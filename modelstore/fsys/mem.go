package fsys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrCrashed is returned by a file that was open when its file system crashed.
var ErrCrashed = errors.New("file system crashed")

// Mem is a file system in memory for tests of durability. Every node has two
// states: what a reader sees now, and what is on the disk. Crash goes back to
// the second.
type Mem struct {
	mu       sync.Mutex
	root     *node
	locks    map[string]bool
	epoch    int // counts crashes; files of an earlier epoch are dead
	ops      int
	capacity int64
	fault    func(Op) error
}

// Op describes an operation that changes something, as a fault sees it.
type Op struct {
	Index int    // from 1, since the file system was made
	Kind  string // "create", "write", "sync", "mkdir", "rename", "link", "remove", "syncdir"
	Name  string
	Size  int // bytes, of a write
}

// ShortWrite is a fault that lets the first N bytes of a write through and
// fails the rest with Err.
type ShortWrite struct {
	N   int
	Err error
}

// Error implements error.
func (s *ShortWrite) Error() string { return fmt.Sprintf("short write: %v", s.Err) }

// Unwrap returns Err.
func (s *ShortWrite) Unwrap() error { return s.Err }

type node struct {
	dir         bool
	mode        fs.FileMode
	modified    time.Time
	data, disk  []byte           // a file's bytes: seen, durable
	names, kept map[string]*node // a directory's entries: seen, durable
}

// NewMem returns an empty file system that has a root directory.
func NewMem() *Mem {
	return &Mem{root: newDir(0o755), locks: map[string]bool{}, capacity: math.MaxInt64}
}

func newDir(perm fs.FileMode) *node {
	return &node{dir: true, mode: fs.ModeDir | perm, modified: time.Now(), names: map[string]*node{}, kept: map[string]*node{}}
}

// Inject sets a function that is called before every operation that changes
// something. Its error fails the operation, which then does nothing (but see
// ShortWrite); a panic leaves the file system as it is. nil removes it.
func (m *Mem) Inject(fault func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
}

// SetCapacity bounds the bytes of all files; a write beyond is cut short with
// ENOSPC.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Ops counts the operations that changed something so far.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// Crash is a power loss: what was not synced is lost, locks are free and open
// files are dead. With a random source each directory and each file may instead
// keep what was not synced, and a file may keep its new length with zeros in
// place of bytes: a kernel promises neither loss nor survival.
func (m *Mem) Crash(random *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	m.locks = map[string]bool{}
	m.root.crash(random, map[*node]bool{})
}

func (n *node) crash(random *rand.Rand, seen map[*node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	survives := 0
	if random != nil {
		survives = random.IntN(3)
	}
	if !n.dir {
		switch survives {
		case 1:
			n.disk = n.data
		case 2:
			if len(n.data) > len(n.disk) {
				torn := make([]byte, len(n.data))
				copy(torn, n.disk)
				upTo := len(n.disk) + random.IntN(len(n.data)-len(n.disk)+1)
				copy(torn[len(n.disk):upTo], n.data[len(n.disk):upTo])
				n.disk = torn
			}
		}
		n.data = bytes.Clone(n.disk)
		return
	}
	if survives != 0 {
		n.kept = n.names
	}
	n.names = maps.Clone(n.kept)
	// In order, so that a seed gives the same crash again.
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		n.names[name].crash(random, seen)
	}
}

// begin counts an operation and asks the fault. It is called without the mutex,
// so that a fault may panic or look at the file system.
func (m *Mem) begin(kind, name string, size int) error {
	m.mu.Lock()
	m.ops++
	op, fault := Op{Index: m.ops, Kind: kind, Name: name, Size: size}, m.fault
	m.mu.Unlock()
	if fault == nil {
		return nil
	}
	if err := fault(op); err != nil {
		return &fs.PathError{Op: kind, Path: name, Err: err}
	}
	return nil
}

func split(name string) []string {
	name = filepath.ToSlash(filepath.Clean("/" + name))
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

// find walks to a node; m.mu is held.
func (m *Mem) find(name string) (*node, error) {
	n := m.root
	for _, part := range split(name) {
		if n == nil || !n.dir {
			return nil, syscall.ENOTDIR
		}
		if n = n.names[part]; n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

// parent walks to the directory of a name; m.mu is held.
func (m *Mem) parent(name string) (dir *node, base string, err error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", fs.ErrInvalid
	}
	dir, err = m.find(strings.Join(parts[:len(parts)-1], "/"))
	if err == nil && !dir.dir {
		err = syscall.ENOTDIR
	}
	return dir, parts[len(parts)-1], err
}

// used is the sum of all files' sizes; m.mu is held.
func (n *node) used(seen map[*node]bool) (total int64) {
	if seen[n] {
		return 0
	}
	seen[n] = true
	for _, child := range n.names {
		total += child.used(seen)
	}
	return total + int64(len(n.data))
}

// OpenFile implements FS.
func (m *Mem) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	n, err := m.find(name)
	m.mu.Unlock()
	creates := errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0
	switch {
	case err == nil && flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case err == nil && n.dir:
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	case creates:
		if err := m.begin("create", name, 0); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if creates {
		dir, base, err := m.parent(name)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		n = &node{mode: perm, modified: time.Now()}
		dir.names[base] = n
	}
	return &memFile{fs: m, node: n, name: name, epoch: m.epoch, writable: flag&os.O_RDWR != 0}, nil
}

// Mkdir implements FS.
func (m *Mem) Mkdir(name string, perm fs.FileMode) error {
	if err := m.begin("mkdir", name, 0); err != nil {
		return err
	}
	return m.change("mkdir", name, func(dir *node, base string) error {
		if dir.names[base] != nil {
			return fs.ErrExist
		}
		dir.names[base] = newDir(perm)
		return nil
	})
}

func (m *Mem) change(kind, name string, edit func(dir *node, base string) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent(name)
	if err == nil {
		err = edit(dir, base)
	}
	if err != nil {
		return &fs.PathError{Op: kind, Path: name, Err: err}
	}
	return nil
}

// Rename implements FS.
func (m *Mem) Rename(oldName, newName string) error {
	if err := m.begin("rename", oldName, 0); err != nil {
		return err
	}
	return m.change("rename", oldName, func(from *node, oldBase string) error {
		to, newBase, err := m.parent(newName)
		if err != nil {
			return err
		}
		n := from.names[oldBase]
		if n == nil {
			return fs.ErrNotExist
		}
		delete(from.names, oldBase)
		to.names[newBase] = n
		return nil
	})
}

// Link implements FS.
func (m *Mem) Link(oldName, newName string) error {
	if err := m.begin("link", newName, 0); err != nil {
		return err
	}
	return m.change("link", newName, func(to *node, newBase string) error {
		n, err := m.find(oldName)
		if err != nil {
			return err
		}
		if to.names[newBase] != nil {
			return fs.ErrExist
		}
		to.names[newBase] = n
		return nil
	})
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	if err := m.begin("remove", name, 0); err != nil {
		return err
	}
	return m.change("remove", name, func(dir *node, base string) error {
		n := dir.names[base]
		if n == nil {
			return fs.ErrNotExist
		}
		if len(n.names) > 0 {
			return syscall.ENOTEMPTY
		}
		delete(dir.names, base)
		return nil
	})
}

func (m *Mem) findDir(op, name string) (*node, error) {
	n, err := m.find(name)
	if err == nil && !n.dir {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return n, nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findDir("readdir", name)
	if err != nil {
		return nil, err
	}
	var entries []fs.DirEntry
	for _, base := range slices.Sorted(maps.Keys(n.names)) {
		entries = append(entries, fs.FileInfoToDirEntry(n.names[base].info(base)))
	}
	return entries, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return n.info(filepath.Base(name)), nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	if err := m.begin("syncdir", name, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findDir("syncdir", name)
	if err != nil {
		return err
	}
	n.kept = maps.Clone(n.names)
	return nil
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	m.locks[name] = true
	return &memLock{fs: m, name: name, epoch: m.epoch}, nil
}

// Available implements FS.
func (m *Mem) Available(string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(0, m.capacity-m.root.used(map[*node]bool{})), nil
}

type memLock struct {
	fs    *Mem
	name  string
	epoch int
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.epoch == l.fs.epoch {
		delete(l.fs.locks, l.name)
	}
	return nil
}
