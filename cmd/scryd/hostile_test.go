package main

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// under runs an attack, then waits until the server has no more goroutines than
// before and answers as ever. It returns the memory in use at the worst and in
// the end, in bytes above what it was before.
func (d *daemon) under(attack func()) (peak, left int64) {
	d.t.Helper()
	if _, err := d.score("churn", "", 1); err != nil {
		d.t.Fatal(err)
	}
	used := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	runtime.GC()
	goroutines, before := runtime.NumGoroutine(), used()
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				peak = max(peak, used()-before)
			}
		}
	}()
	attack()
	close(done)
	<-watched
	eventually(d.t, fmt.Sprintf("no more than %d goroutines", goroutines), func() bool { return runtime.NumGoroutine() <= goroutines+4 })
	if _, err := d.score("churn", "", 3); err != nil {
		d.t.Errorf("after the attack: %v", err)
	}
	for range 10 { // abandoned work ends, finalizers and pools let go
		runtime.GC()
		if left = used() - before; left < 32<<20 {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	return peak, left
}

// methods are all of the server's, with whether they are streams.
func methods() map[string]bool {
	out := map[string]bool{}
	for _, d := range []struct {
		name    string
		unary   []string
		streams []string
	}{
		describe(scoringv1.ScoringService_ServiceDesc), describe(sentimentv1.SentimentService_ServiceDesc),
		describe(imageanalysisv1.ImageAnalysisService_ServiceDesc), describe(modelstorev1.ModelStoreService_ServiceDesc),
		describe(serverv1.ServerService_ServiceDesc),
	} {
		for _, m := range d.unary {
			out["/"+d.name+"/"+m] = false
		}
		for _, m := range d.streams {
			out["/"+d.name+"/"+m] = true
		}
	}
	return out
}

// TestMalformedMessages sends every method bytes that are not its message.
func TestMalformedMessages(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	good, err := proto.Marshal(&scoringv1.ScoreRequest{Instances: []*scoringv1.Instance{customer(t, "x")}})
	if err != nil {
		t.Fatal(err)
	}
	// A value nested deeper than any decoder should follow.
	deep := []byte{0x08, 0x00}
	for range 20_000 {
		deep = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), deep)
		deep = protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), deep)
		if len(deep) > 1<<20 {
			break
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	messages := [][]byte{{0xff}, {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}, bytes.Repeat([]byte{0x0a, 0x00}, 100_000), deep, good[:len(good)/2], bytes.Repeat([]byte{0xff}, 10_000)}
	for range 4 {
		noise := make([]byte, random.IntN(300))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		messages = append(messages, noise)
		changed := bytes.Clone(good)
		for range 5 {
			changed[random.IntN(len(changed))] ^= byte(1 << random.IntN(8))
		}
		messages = append(messages, changed)
	}
	_, left := d.under(func() {
		for method, streams := range methods() {
			for i, m := range messages {
				if streams && i > 6 {
					break
				}
				_, err := d.invoke(method, m)
				if status.Code(err) == codes.Unavailable || status.Code(err) == codes.DeadlineExceeded {
					t.Fatalf("%s, message %d: %v", method, i, err)
				}
			}
		}
	})
	if left > 64<<20 {
		t.Errorf("%d MiB are left", left>>20)
	}
	d.wantAlive(1)
}

// TestDroppedStreams opens a thousand streams and calls and lets them go at
// any moment.
func TestDroppedStreams(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	row := []*scoringv1.Instance{customer(t, "")}
	peak, left := d.under(func() {
		var all sync.WaitGroup
		for worker := range 16 {
			all.Go(func() {
				for i := range 70 {
					ctx, cancel := context.WithCancel(t.Context())
					if worker%2 == 0 {
						time.AfterFunc(time.Duration(i%7)*time.Millisecond, cancel)
						_, err := d.scorer.Score(ctx, &scoringv1.ScoreRequest{Instances: slices.Repeat(row, 20)})
						if c := status.Code(err); c != codes.OK && c != codes.Canceled {
							t.Errorf("a cancelled call: %v", err)
						}
					} else if stream, err := d.scorer.StreamScore(ctx); err == nil {
						for range i % 4 {
							_ = stream.Send(&scoringv1.StreamScoreRequest{Instances: row})
						}
						if i%4 == 3 {
							_, _ = stream.Recv()
						}
					}
					cancel()
				}
			})
		}
		all.Wait()
	})
	t.Logf("1120 streams and calls: %d MiB at most, %d MiB left", peak>>20, left>>20)
	if left > 64<<20 {
		t.Errorf("%d MiB are left", left>>20)
	}
}

// TestSlowReader sends without reading: the server stops reading too, and holds
// no more than a few answers.
func TestSlowReader(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	table := customerTable(t, 50_000) // an answer takes about a MiB
	sent := 0
	peak, left := d.under(func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := d.scorer.StreamScore(ctx)
		if err != nil {
			t.Fatal(err)
		}
		progress := make(chan struct{}, 1000)
		go func() {
			for range 100 {
				if err := stream.Send(&scoringv1.StreamScoreRequest{Table: table}); err != nil {
					return
				}
				progress <- struct{}{}
			}
		}()
		for quiet := false; !quiet; {
			select {
			case <-progress:
				sent++
			case <-time.After(3 * time.Second):
				quiet = true
			}
		}
	})
	t.Logf("%d messages were taken from a sender who does not read; %d MiB at most", sent, peak>>20)
	if sent > 60 {
		t.Errorf("%d messages were taken from a sender who does not read", sent)
	}
	if left > 64<<20 {
		t.Errorf("%d MiB are left", left>>20)
	}
}

// TestGarbageConnections speaks no HTTP/2, or only begins to, to both listeners.
func TestGarbageConnections(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	d.under(func() {
		var open []net.Conn
		for i := range 200 {
			address := d.app.GRPCAddr()
			if i%4 == 3 {
				address = d.app.AdminAddr()
			}
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, conn)
			switch i % 4 {
			case 0: // says nothing
			case 1:
				_, _ = conn.Write([]byte(strings.Repeat("GET / HTTP/1.1\r\n", 100)))
			case 2: // the preface, then a frame of 16 MiB that never comes
				_, _ = conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x01"))
			case 3:
				_, _ = conn.Write([]byte("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx"))
			}
		}
		if _, err := d.score("churn", "", 1); err != nil {
			t.Errorf("meanwhile: %v", err)
		}
		for _, conn := range open {
			_ = conn.Close()
		}
	})
}

// TestPictureBombs sends small files that become large pictures.
func TestPictureBombs(t *testing.T) {
	d := start(t)
	d.deploy("churn", churn(t))
	d.deploy("products", pictureBundle(t))
	bomb := pngOf(8000, 2000) // 16 million pixels from 46 KB
	req := &imageanalysisv1.AnalyzeImagesRequest{}
	for range 40 {
		req.Images = append(req.Images, &imageanalysisv1.ImageItem{Content: bomb})
	}
	began := time.Now()
	peak, left := d.under(func() {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				_, err := d.images.AnalyzeImages(ctx, req)
				if c := status.Code(err); c != codes.OK && c != codes.DeadlineExceeded && c != codes.ResourceExhausted {
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
	})
	t.Logf("160 pictures of 16 million pixels in %d KiB each: %d MiB at most, %d MiB left, %v", len(bomb)>>10, peak>>20, left>>20, time.Since(began))
	if peak > 2<<30 || left > 64<<20 {
		t.Errorf("%d MiB at most, %d MiB left", peak>>20, left>>20)
	}
}

// pngOf is a black picture, compressed to a thousandth.
func pngOf(width, height int) []byte {
	out := bytes.NewBuffer([]byte("\x89PNG\r\n\x1a\n"))
	chunk := func(kind string, data []byte) {
		all := append([]byte(kind), data...)
		_ = binary.Write(out, binary.BigEndian, uint32(len(data)))
		out.Write(all)
		_ = binary.Write(out, binary.BigEndian, crc32.ChecksumIEEE(all))
	}
	header := binary.BigEndian.AppendUint32(nil, uint32(width))
	chunk("IHDR", append(binary.BigEndian.AppendUint32(header, uint32(height)), 8, 2, 0, 0, 0))
	var pixels bytes.Buffer
	z := zlib.NewWriter(&pixels)
	row := make([]byte, 1+3*width)
	for range height {
		_, _ = z.Write(row)
	}
	_ = z.Close()
	chunk("IDAT", pixels.Bytes())
	chunk("IEND", nil)
	return out.Bytes()
}

// TestManyVersionsAtOnce asks for many versions by number at the same time: all
// answer, and only the routed one and the spare ones stay loaded.
func TestManyVersionsAtOnce(t *testing.T) {
	const versions, spare = 6, 2
	d := start(t, "--spare-versions", fmt.Sprint(spare))
	d.deploy("churn", churn(t))
	for i := range versions - 1 {
		if _, err := d.push("churn", churn(t).with("note.md", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range 4 * versions {
		all.Go(func() {
			want := int64(i%versions + 1)
			if got, err := d.score("churn", fmt.Sprint(want), 1); err != nil || got != want {
				t.Errorf("version %d: %d answered, %v", want, got, err)
			}
		})
	}
	all.Wait()
	eventually(t, "only some stay loaded", func() bool {
		_, metrics := d.get("/metrics")
		return strings.Contains(metrics, fmt.Sprintf("scry_loaded_versions %d\n", spare+1))
	})
}

// TestCommitsAtOnce commits many bundles at the same time: each is probed, but
// never two at a time, as each may take half of the memory.
func TestCommitsAtOnce(t *testing.T) {
	d := start(t)
	var ids []string
	for i := range 6 {
		id, err := d.upload(fmt.Sprint("model", i), churn(t).with("note.md", fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() {
			if _, err := d.commit(id); err != nil {
				t.Errorf("model %d: %v", i, err)
			}
		})
	}
	most, stop := 0, make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				most = max(most, children(t))
			}
		}
	}()
	all.Wait()
	close(stop)
	<-watched
	if most > 1 {
		t.Errorf("%d probes ran at once", most)
	}
	d.wantAlive(6)
}

// TestLargeMessages go up to the limit and not beyond.
func TestLargeMessages(t *testing.T) {
	d := start(t, "--max-message-bytes", fmt.Sprint(1<<20))
	d.deploy("sentiment", textBundle(t))
	call := func(size int) error {
		_, err := d.texts.AnalyzeText(d.ctx(), &sentimentv1.AnalyzeTextRequest{Texts: []*sentimentv1.TextItem{{Content: &sentimentv1.TextItem_Text{Text: strings.Repeat("a ", size/2)}}}})
		return err
	}
	if err := call(1<<20 - 100); err != nil {
		t.Error(err)
	}
	if err := call(1<<20 + 100); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("beyond the limit: %v", err)
	}
	stream, err := d.texts.StreamAnalyzeText(d.ctx())
	if err == nil {
		err = stream.Send(&sentimentv1.StreamAnalyzeTextRequest{Texts: []*sentimentv1.TextItem{{Content: &sentimentv1.TextItem_TextBytes{TextBytes: make([]byte, 2<<20)}}}})
	}
	if err == nil || err == io.EOF {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("beyond the limit in a stream: %v", err)
	}
}
