// Package modelstore keeps models as numbered, immutable versions: their files
// as blobs named by sha256 in a directory, everything else in a catalogue
// (SQLite). What a method acknowledged survives a power loss; what it did not
// acknowledge is wholly there or not at all.
//
// A version is made by an upload: [Store.CreateUpload] announces the files,
// [Store.OpenUploadFile] takes the bytes that the store lacks, and
// [Store.CommitUpload] makes the version, in this order: file synced, digest
// checked, renamed to its blob's name, directory synced, catalogue transaction.
// A route says which version answers calls that name none ([Store.Activate],
// [Store.Rollback]); an alias is a name for a version; [Store.Sweep] removes
// blobs that nothing refers to.
//
// The directory:
//
//	LOCK            held by the one process that has the store open
//	catalogue.db    SQLite, with its -wal and -shm files
//	blobs/sha256/   one file per content, named by its digest
//	partial/        what open uploads have sent of a content, named by its digest
//	live/           working directories of loaded versions, emptied by Open
//	quarantine/     blobs whose bytes changed; nothing reads them, delete at will
//
// The package knows no gRPC and no ONNX Runtime: a manifest is bytes to it.
package modelstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scry-ml/scry/modelstore/fsys"
)

// Config is what Open needs. Only Dir is required.
type Config struct {
	// Dir is the store's directory; it is created.
	Dir string
	// Catalogue is the database file; default Dir/catalogue.db. It must lie on a
	// local disk.
	Catalogue string
	// FS is the file system of everything but the catalogue; default fsys.OS.
	FS fsys.FS
	// Prepare, if set, is asked before Probe what a version is to hold instead of
	// some of an upload's files, or besides them: dir holds the files under their
	// names and must not be written to, hints are those of CommitWithHints. An
	// error refuses the bundle.
	Prepare func(ctx context.Context, dir string, hints []byte) (Prepared, error)
	// Probe, if set, is asked before a version is made: dir holds the files
	// under their names. An error refuses the bundle: the commit fails with
	// ErrRejected and no version is made. dir is gone when Probe has returned.
	Probe func(ctx context.Context, dir string) (Probed, error)
	// UploadExpiry is how long an upload lives after its last written or
	// committed byte; default 24 h.
	UploadExpiry time.Duration
	// MaxUploads bounds the open uploads; default 1000.
	MaxUploads int
	// MaxVersionBytes bounds the sum of one version's files; default 64 GiB.
	MaxVersionBytes int64
	// SyncBytes is how much of a file may be written before it is synced, and
	// so how much a crash can make a client send again; default 16 MiB.
	SyncBytes int64
	// BlobGrace is how long an unreferenced blob is kept; default 1 h.
	BlobGrace time.Duration
	// SweepInterval is the time between sweeps in the background; default 10
	// min, negative for none.
	SweepInterval time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Logger hears of sweeps and repairs; default none.
	Logger *slog.Logger
}

// Prepared is what a version is to hold that was not uploaded.
type Prepared struct {
	// Files is where the changed files are read from, while Prepare's directory
	// stands.
	Files fs.FS
	// Changed are the paths of the files that are new or replaced.
	Changed []string
}

// Probed is what a probe found out about a bundle. It is kept with the version.
type Probed struct {
	// Manifest is the effective manifest, serialised; the store does not read it.
	Manifest []byte
	// Verification is the result of the golden samples.
	Verification Verification
}

// Verification is the result of running a bundle's golden samples.
type Verification struct {
	Samples       int     // that were run; 0 = unverified
	MaxDifference float64 // the largest |answer − golden| over all outputs
	Output        string  // where it was, as "GRAPH.OUTPUT"
	Precision     string  // that answered, such as "fp32"
}

func (c Config) withDefaults() Config {
	if c.Catalogue == "" {
		c.Catalogue = filepath.Join(c.Dir, "catalogue.db")
	}
	if c.FS == nil {
		c.FS = fsys.OS{}
	}
	if c.UploadExpiry == 0 {
		c.UploadExpiry = 24 * time.Hour
	}
	if c.MaxUploads == 0 {
		c.MaxUploads = 1000
	}
	if c.MaxVersionBytes == 0 {
		c.MaxVersionBytes = 64 << 30
	}
	if c.SyncBytes == 0 {
		c.SyncBytes = 16 << 20
	}
	if c.BlobGrace == 0 {
		c.BlobGrace = time.Hour
	}
	if c.SweepInterval == 0 {
		c.SweepInterval = 10 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate tells what is wrong with a configuration.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("modelstore: Dir is empty")
	case c.UploadExpiry < 0 || c.MaxUploads < 0 || c.MaxVersionBytes < 0 || c.SyncBytes < 0 || c.BlobGrace < 0:
		return errors.New("modelstore: a limit is negative")
	}
	return nil
}

// Store is an open model store. Its methods may be called at once.
type Store struct {
	cfg   Config
	blobs blobDir
	lock  io.Closer
	db    *catalogue
	keys  keyLocks // "upload/ID" and "file/DIGEST"

	// claims is held for reading while an upload looks at which blobs exist and
	// refers to them, for writing while the sweep removes one: what a client
	// was told is stored stays stored.
	claims sync.RWMutex

	mu       sync.Mutex
	writers  map[string]*FileWriter // by digest: the one that may write; guarded by mu
	watchers map[*Watcher]struct{}  // guarded by mu

	once     sync.Once
	closeErr error // of the first Close
	closed   atomic.Bool
	stop     context.CancelFunc // ends the sweeper
	done     sync.WaitGroup     // the sweeper; Close waits for it
}

// Open opens the store of a directory, or makes one. ErrLocked if another
// process has it, ErrNewerSchema if a newer scry wrote it. It removes what a
// crash left in live/ and partial/.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	blobs := blobDir{fs: cfg.FS, dir: cfg.Dir}
	if err := blobs.make(); err != nil {
		return nil, err
	}
	lock, err := cfg.FS.Lock(filepath.Join(cfg.Dir, "LOCK"))
	if errors.Is(err, fsys.ErrLocked) {
		return nil, fmt.Errorf("%w (its directory's LOCK file is held)", ErrLocked)
	}
	if err != nil {
		return nil, ioError("locking the store", err)
	}
	s := &Store{
		cfg:      cfg,
		blobs:    blobs,
		lock:     lock,
		writers:  map[string]*FileWriter{},
		watchers: map[*Watcher]struct{}{},
		stop:     func() {},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.db, err = openCatalogue(ctx, cfg.Catalogue); err != nil {
		return nil, err
	}
	if err := s.blobs.clearLive(); err != nil {
		return nil, err
	}
	if err := s.sweepUploads(ctx, new(Swept)); err != nil {
		return nil, err
	}
	if cfg.SweepInterval > 0 {
		ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		s.stop = stop
		s.done.Go(func() { s.sweepLoop(ctx) })
	}
	return s, nil
}

// Close syncs the files that are being written, ends the sweeper and releases
// the lock. Working directories that are still open stay on the disk until the
// next Open.
func (s *Store) Close() error {
	s.once.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	s.stop()
	s.done.Wait()
	var errs []error
	for _, w := range s.openWriters() {
		errs = append(errs, w.Close())
	}
	s.closed.Store(true)
	s.mu.Lock()
	for w := range s.watchers {
		w.end()
	}
	s.watchers = nil
	s.mu.Unlock()
	if s.db != nil {
		errs = append(errs, s.db.close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// view runs reads on one snapshot of the catalogue.
func (s *Store) view(ctx context.Context, doing string, f func(q *sql.Tx) error) error {
	if s.closed.Load() {
		return ErrClosed
	}
	return s.db.run(ctx, s.db.read, doing, f)
}

// update runs a transaction of the catalogue. When it returns nil the changes
// are on the disk.
func (s *Store) update(ctx context.Context, doing string, f func(q *sql.Tx) error) error {
	if s.closed.Load() {
		return ErrClosed
	}
	return s.db.run(ctx, s.db.write, doing, f)
}

// now is the time as the catalogue keeps it.
func (s *Store) now() int64 { return s.cfg.Now().UnixMicro() }

func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// newID is a name that nobody can guess, fit for a directory.
func newID() string { return strings.ToLower(rand.Text()) }

// withoutPath takes the host's path out of a file-system error.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok { // of a rename too
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return err
}
