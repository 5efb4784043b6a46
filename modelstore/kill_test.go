package modelstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/modelstore/storetest"
)

const (
	childDir    = "SCRY_TEST_STORE"        // the store that a child works on
	childSeed   = "SCRY_TEST_STORE_SEED"   // of its contents
	childUpload = "SCRY_TEST_STORE_UPLOAD" // an upload that a killed child left, "ID SEED"
)

// killsVariable says how often a child is killed; 50 times without it.
const killsVariable = "SCRY_KILLS"

func killCount(t *testing.T) int {
	t.Helper()
	value := os.Getenv(killsVariable)
	if value == "" {
		return 50
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number of kills", killsVariable, value)
	}
	return n
}

// pushed are the files of a pushed version: one of its own, one that all share.
func pushed(seed uint64) storetest.Files {
	return storetest.Files{
		"own.onnx":        storetest.Random(seed, 20_000+int(seed%7)*30_000),
		"shared/data.bin": storetest.Random(0, 50_000),
	}
}

func childConfig(dir string) modelstore.Config {
	return modelstore.Config{
		Dir:           dir,
		SyncBytes:     32 << 10,
		BlobGrace:     time.Millisecond,
		SweepInterval: 5 * time.Millisecond,
		Probe: func(_ context.Context, dir string) (modelstore.Probed, error) {
			_, err := os.Stat(dir + "/shared/data.bin")
			return modelstore.Probed{Manifest: []byte("m")}, err
		},
	}
}

// child works on a store from three sides until it is killed, and prints a line
// for each acknowledgement, and before each deletion.
func child(ctx context.Context, dir string) error {
	seed, err := strconv.ParseUint(os.Getenv(childSeed), 10, 64)
	if err != nil {
		return err
	}
	s, err := modelstore.Open(ctx, childConfig(dir))
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) } // one write
	say("ready")
	push := func(u modelstore.Upload, seed uint64) error {
		files := pushed(seed)
		for _, f := range u.Files {
			for at := f.Offset; at < f.Size; {
				w, err := s.OpenUploadFile(ctx, u.ID, f.SHA256, at)
				if err != nil {
					return fmt.Errorf("going on at %d: %w", at, err)
				}
				for range 3 { // chunks a stream
					n := min(int64(10_000), f.Size-at)
					if _, err := w.Write(files[f.Path][at : at+n]); err != nil {
						return err
					}
					at += n
				}
				if err := w.Close(); err != nil {
					return err
				}
				say("offset %s %s %d", u.ID, f.Path, at)
			}
		}
		v, _, err := s.CommitUpload(ctx, u.ID)
		if err == nil {
			say("version %d %s", v.Number, v.Digest)
		}
		return err
	}
	var newest atomic.Int64
	if v, err := s.Resolve(ctx, "churn", modelstore.Latest); err == nil {
		newest.Store(v)
	}
	var g errgroup.Group
	g.Go(func() error { // pushes
		if id, left, ok := strings.Cut(os.Getenv(childUpload), " "); ok {
			seed, err := strconv.ParseUint(left, 10, 64)
			if err != nil {
				return err
			}
			u, err := s.GetUpload(ctx, id)
			if err != nil {
				return err
			}
			if err := push(u, seed); err != nil {
				return err
			}
		}
		for ; ; seed++ {
			u, err := s.CreateUpload(ctx, "churn", pushed(seed).List(), "child")
			if err != nil {
				return err
			}
			say("upload %s %d", u.ID, seed)
			if err := push(u, seed); err != nil {
				return err
			}
			v, err := s.Resolve(ctx, "churn", modelstore.Latest)
			if err != nil {
				return err
			}
			newest.Store(v)
		}
	})
	g.Go(func() error { // moves the route
		for i := 0; ; i++ {
			time.Sleep(time.Millisecond)
			var r modelstore.Route
			var err error
			if i%3 == 2 {
				r, err = s.Rollback(ctx, "churn", "", "child")
			} else {
				r, err = s.Activate(ctx, "churn", newest.Load(), "", "child")
			}
			switch {
			case err == nil:
				say("route %d %d", r.Revision, r.Entries[0].Version)
			case !errors.Is(err, modelstore.ErrNoEarlierRoute) && !errors.Is(err, modelstore.ErrNotFound):
				return err
			}
		}
	})
	g.Go(func() error { // deletes all but the newest five
		for {
			list, _, err := s.ListVersions(ctx, "churn", modelstore.Page{Size: 1000})
			if err != nil && !errors.Is(err, modelstore.ErrNotFound) {
				return err
			}
			for _, v := range list[min(5, len(list)):] {
				say("deleting %d", v.Number)
				err := s.DeleteVersion(ctx, "churn", v.Number)
				if err == nil {
					say("deleted %d", v.Number)
				} else if !errors.Is(err, modelstore.ErrRouted) {
					return err
				}
			}
			time.Sleep(3 * time.Millisecond)
		}
	})
	return g.Wait()
}

// acknowledged is what children said before they were killed.
type acknowledged struct {
	versions map[int64]string // number → digest, but for those that may be deleted
	deleted  map[int64]bool
	revision int64
	version  int64 // of the revision
	upload   string
	seed     string
	offsets  map[string]int64 // of the upload, by path
}

func (a *acknowledged) hear(line string) error {
	word := strings.Fields(line)
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(word[i], 10, 64)
		return n
	}
	switch word[0] {
	case "ready":
	case "version":
		a.versions[number(1)] = word[2]
		a.upload = ""
	case "deleting":
		delete(a.versions, number(1))
	case "deleted":
		a.deleted[number(1)] = true
	case "route":
		a.revision, a.version = number(1), number(2)
	case "upload":
		a.upload, a.seed, a.offsets = word[1], word[2], map[string]int64{}
	case "offset":
		a.offsets[word[2]] = number(3)
	default:
		return fmt.Errorf("a child said %q", line)
	}
	return nil
}

// TestKill kills a working process at random moments, and holds the store
// against what it had acknowledged.
func TestKill(t *testing.T) {
	dir, kills := t.TempDir(), killCount(t)
	a := &acknowledged{versions: map[int64]string{}, deleted: map[int64]bool{}, offsets: map[string]int64{}}
	resumed := 0
	for round := range kills {
		if a.upload != "" {
			resumed++
		}
		runAndKill(t, dir, round, a)
		checkAcknowledged(t, dir, a)
	}
	if a.revision < int64(kills) || len(a.deleted) < kills/5 || resumed < kills/5 {
		t.Fatalf("too little happened: %d route revisions, %d deletions, %d uploads resumed", a.revision, len(a.deleted), resumed)
	}
	t.Logf("%d kills, %d versions, %d route revisions, %d deletions, %d uploads resumed",
		kills, len(a.versions)+len(a.deleted), a.revision, len(a.deleted), resumed)
}

func runAndKill(t *testing.T, dir string, round int, a *acknowledged) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("%s=%d", childSeed, 1+1000*round))
	if a.upload != "" {
		cmd.Env = append(cmd.Env, childUpload+"="+a.upload+" "+a.seed)
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = cmd.Process.Kill() }
	lines := bufio.NewScanner(out)
	// The moment is counted in work done, not in time, for slow machines; routes
	// move all the time.
	for left := rand.IntN(30); lines.Scan(); {
		if err := a.hear(lines.Text()); err != nil {
			kill()
			t.Fatal(err)
		}
		if strings.HasPrefix(lines.Text(), "route") {
			continue
		}
		if left--; left == -1 {
			time.AfterFunc(time.Duration(rand.IntN(10_000))*time.Microsecond, kill)
		}
	}
	if err := cmd.Wait(); err == nil || complaint.Len() > 0 {
		t.Fatalf("round %d: the child was not killed: %v %s", round, err, complaint.String())
	}
}

func checkAcknowledged(t *testing.T, dir string, a *acknowledged) {
	t.Helper()
	ctx := t.Context()
	cfg := childConfig(dir)
	cfg.SweepInterval = -1
	s, err := modelstore.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	list, _, err := s.ListVersions(ctx, "churn", modelstore.Page{Size: 1000})
	if err != nil && !errors.Is(err, modelstore.ErrNotFound) {
		t.Fatal(err)
	}
	visible := map[int64]string{}
	for _, v := range list {
		visible[v.Number] = v.Digest
		if a.deleted[v.Number] {
			t.Fatalf("version %d was deleted and is there", v.Number)
		}
		if err := storetest.Check(ctx, s, "churn", v.Number); err != nil {
			t.Fatalf("a visible version is not whole: %v", err)
		}
	}
	for number, digest := range a.versions {
		if visible[number] != digest {
			t.Fatalf("acknowledged version %d: got digest %q, want %q", number, visible[number], digest)
		}
	}
	if a.revision > 0 {
		routes, _, err := s.ListRoutes(ctx, "churn", modelstore.Page{Size: 1000})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(routes, func(r modelstore.Route) bool { return r.Revision == a.revision })
		// One change after the acknowledged one may have been on its way.
		if i < 0 || i > 1 || routes[i].Entries[0].Version != a.version {
			t.Fatalf("acknowledged route revision %d to version %d is number %d in history", a.revision, a.version, i)
		}
		if _, err := s.GetVersion(ctx, "churn", routes[0].Entries[0].Version); err != nil {
			t.Fatalf("the routed version: %v", err)
		}
		// What has been seen must stay as well. The next child may be killed before it
		// acknowledges a change, so one change a child is counted from here.
		a.revision, a.version = routes[0].Revision, routes[0].Entries[0].Version
	}
	if a.upload != "" {
		u, err := s.GetUpload(ctx, a.upload)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range u.Files {
			if f.Offset < a.offsets[f.Path] {
				t.Fatalf("%s: %d bytes were acknowledged, %d are there", f.Path, a.offsets[f.Path], f.Offset)
			}
		}
	}
}
