package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// killsVariable says how often the process is killed. Without it 12 times here,
// beside the 50 of the store's own test, which makes more of each moment.
const killsVariable = "SCRY_KILLS"

func killCount(t *testing.T) int {
	t.Helper()
	value := os.Getenv(killsVariable)
	if value == "" {
		return 12
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number of kills", killsVariable, value)
	}
	return n
}

// process is scryd as it is built and started by its users.
type process struct {
	daemon // with a connection, but no App
	cmd    *exec.Cmd
	log    sync.WaitGroup
}

// built is the program, made once by the Go tool; TestMain removes it.
func built(t *testing.T) string {
	t.Helper()
	program, err := buildProgram()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var buildProgram = sync.OnceValues(func() (string, error) {
	program := filepath.Join(scratch, "scryd")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
})

// launch starts the built program and waits until it serves.
func launch(t *testing.T, program, dir string, args ...string) *process {
	t.Helper()
	p := &process{daemon: daemon{t: t, dir: dir, logs: &syncBuffer{}}}
	args = append([]string{"--store", dir, "--grpc", "127.0.0.1:0", "--admin", ""}, args...)
	p.cmd = exec.Command(program, args...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	p.log.Go(func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(p.logs, lines.Text())
			if _, rest, ok := strings.Cut(lines.Text(), "msg=serving grpc="); ok {
				address <- strings.Fields(rest)[0]
			}
		}
	})
	select {
	case a := <-address:
		p.conn = dial(t, a, grpc.WithTransportCredentials(insecure.NewCredentials()))
	case <-time.After(30 * time.Second):
		p.kill()
		t.Fatalf("the program does not serve:\n%s", p.logs)
	}
	p.store = modelstorev1.NewModelStoreServiceClient(p.conn)
	p.scorer = scoringv1.NewScoringServiceClient(p.conn)
	return p
}

// kill ends the process as a power cut does, the disk's cache aside.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	p.log.Wait()
	_ = p.cmd.Wait()
}

// acknowledged is what the server said before it was killed.
type acknowledged struct {
	versions map[int64]string // number → digest
	revision int64            // of the route
	version  int64            // of the revision
	upload   string           // that is not committed
	offset   int64            // of its data file
	trying   map[int64]bool   // versions whose activation was not answered
}

// TestKill kills the real program while it takes uploads, commits and activates,
// and holds what it finds after a start against what it had acknowledged.
func TestKill(t *testing.T) {
	program := built(t)
	flags, dir := runtimeFlags(t), t.TempDir()
	a := &acknowledged{versions: map[int64]string{}, trying: map[int64]bool{}}
	phases := []string{"upload", "commit", "activate"}
	during := map[string]int{}
	base := churn(t)
	for round := range killCount(t) {
		p := launch(t, program, dir, flags...)
		p.check(a)
		if t.Failed() {
			p.kill()
			t.FailNow()
		}
		// Work until the phase of this round is on, and a moment longer. In
		// every other round a version is made and activated before.
		target := phases[round%len(phases)]
		wait := time.Duration(rand.IntN(150)) * time.Millisecond
		if target != "commit" { // which takes longer, for the probe's child
			wait /= 10
		}
		killed := make(chan struct{})
		var now string
		seed := 0
		var once sync.Once
		enter := func(phase string) {
			now = phase
			if phase == target && seed >= round/len(phases)%2 {
				once.Do(func() {
					time.AfterFunc(wait, func() {
						p.kill()
						close(killed)
					})
				})
			}
		}
		for ; ; seed++ {
			f := base.with("data.bin", strings.Repeat(fmt.Sprintf("%d.%d.", round, seed), 100_000))
			if err := p.work(a, f, enter); err != nil {
				break
			}
		}
		during[now]++
		<-killed
		_ = p.conn.Close()
	}
	p := launch(t, program, dir, flags...)
	p.check(a)
	p.kill()
	if a.revision == 0 || len(a.versions) < len(phases) {
		t.Errorf("too little happened: %d versions, route revision %d", len(a.versions), a.revision)
	}
	t.Logf("killed during %v; %d versions, %d route revisions", during, len(a.versions), a.revision)
}

// work makes a version and activates it, and notes what was acknowledged. It
// ends with the error of the first call that was cut off.
func (p *process) work(a *acknowledged, f files, enter func(string)) error {
	enter("upload")
	u, err := p.create("churn", f)
	if err != nil {
		return err
	}
	a.upload, a.offset = u.GetUploadId(), 0
	data := f["data.bin"]
	for _, file := range u.GetFiles() {
		content := f[file.GetFile().GetPath()]
		for at := file.GetOffset(); at < int64(len(content)); {
			r, err := p.send(u.GetUploadId(), content, at, min(at+150_000, int64(len(content))))
			if err != nil {
				return err
			}
			at = r.GetOffset()
			if len(content) == len(data) {
				a.offset = at
			}
		}
	}
	enter("commit")
	c, err := p.commit(u.GetUploadId())
	if err != nil {
		return err
	}
	number := c.GetVersion().GetVersion()
	a.versions[number], a.upload = c.GetVersion().GetDigest(), ""
	enter("activate")
	a.trying[number] = true
	r, err := p.store.ActivateVersion(p.ctx(), &modelstorev1.ActivateVersionRequest{Model: "churn", Version: fmt.Sprint(number)})
	if err != nil {
		return err
	}
	a.revision, a.version = r.GetRoute().GetRevision(), number
	clear(a.trying)
	return nil
}

// check finds everything acknowledged, and nothing by half.
func (p *process) check(a *acknowledged) {
	p.t.Helper()
	list, err := p.store.ListVersions(p.ctx(), &modelstorev1.ListVersionsRequest{Model: "churn", PageSize: 1000})
	if err != nil && !(status.Code(err) == codes.NotFound && len(a.versions) == 0) {
		p.t.Fatal(err)
	}
	visible := map[int64]string{}
	for i, v := range list.GetVersions() {
		visible[v.GetVersion()] = v.GetDigest()
		if i > 2 && a.versions[v.GetVersion()] != "" {
			continue // read to the end after an earlier kill
		}
		for _, file := range v.GetFiles() {
			if err := p.verify("churn", v.GetVersion(), file); err != nil {
				p.t.Errorf("version %d is visible and not whole: %s: %v", v.GetVersion(), file.GetPath(), err)
			}
		}
	}
	for number, digest := range a.versions {
		if visible[number] != digest {
			p.t.Errorf("acknowledged version %d has digest %q, want %q", number, visible[number], digest)
		}
	}
	if a.revision > 0 {
		m, err := p.store.GetModel(p.ctx(), &modelstorev1.GetModelRequest{Model: "churn"})
		if err != nil {
			p.t.Fatal(err)
		}
		route := m.GetModel().GetRoute()
		number := route.GetEntries()[0].GetVersion()
		if same := route.GetRevision() == a.revision && number == a.version; !same && !(route.GetRevision() == a.revision+1 && a.trying[number]) {
			p.t.Errorf("the route is at revision %d, version %d; acknowledged were %d, %d", route.GetRevision(), number, a.revision, a.version)
		}
		if got, err := p.score("churn", "", 1); err != nil || got != number {
			p.t.Errorf("version %d answers instead of %d, %v", got, number, err)
		}
		a.revision, a.version = route.GetRevision(), number
		clear(a.trying)
	}
	if a.upload != "" {
		u, err := p.store.GetUpload(p.ctx(), &modelstorev1.GetUploadRequest{UploadId: a.upload})
		if err != nil {
			p.t.Fatalf("the upload that was begun: %v", err)
		}
		for _, file := range u.GetUpload().GetFiles() {
			if file.GetFile().GetPath() == "data.bin" && file.GetOffset() < a.offset {
				p.t.Errorf("%d bytes of %s are there, %d were acknowledged", file.GetOffset(), file.GetFile().GetPath(), a.offset)
			}
		}
		// It may have been committed without an answer; if not, let it go.
		if _, err := p.store.CancelUpload(p.ctx(), &modelstorev1.CancelUploadRequest{UploadId: a.upload}); err != nil && u.GetUpload().GetVersion() == 0 {
			p.t.Error(err)
		}
		a.upload = ""
	}
}

// verify downloads a file and compares its digest.
func (d *daemon) verify(model string, version int64, file *modelstorev1.File) error {
	ctx, cancel := context.WithCancel(d.ctx())
	defer cancel()
	stream, err := d.store.DownloadFile(ctx, &modelstorev1.DownloadFileRequest{Model: model, Version: fmt.Sprint(version), Path: file.GetPath()})
	if err != nil {
		return err
	}
	var content []byte
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		content = append(content, resp.GetChunk()...)
	}
	if got := digest256(content); got != file.GetSha256() {
		return fmt.Errorf("sha256 %s, want %s", got, file.GetSha256())
	}
	return nil
}

// TestSignal ends the built program by SIGTERM while a call is in flight: the
// call is answered to its end and the exit code is 0.
func TestSignal(t *testing.T) {
	p := launch(t, built(t), t.TempDir(), runtimeFlags(t)...)
	p.deploy("churn", churn(t))
	stream, err := p.scorer.StreamScore(p.ctx())
	if err != nil {
		t.Fatal(err)
	}
	req := &scoringv1.StreamScoreRequest{Instances: []*scoringv1.Instance{customer(t, "")}}
	call := func() error {
		if err := stream.Send(req); err != nil {
			return err
		}
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		return checkScore(resp.GetResults()[0])
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the drain begins", func() bool { return strings.Contains(p.logs.String(), "draining") })
	if err := call(); err != nil {
		t.Errorf("after the signal: %v", err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	p.log.Wait()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the exit: %v\n%s", err, p.logs)
	}
}
