//go:build !race

package server

import (
	"context"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/scry-ml/scry/gpu/gputest"
	"github.com/scry-ml/scry/proto/inference"
)

// TestAllocations bounds what a request allocates below gRPC, its decoding and
// encoding included, and through gRPC, both sides. (The race detector
// allocates, too.)
func TestAllocations(t *testing.T) {
	for name, most := range map[string]float64{"ModelInfer": 24, "Score": 240} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(200, directCalls(t, name)); n > most {
				t.Errorf("%v allocations a request, want at most %v", n, most)
			} else {
				t.Logf("%v allocations a request", n)
			}
		})
	}
	t.Run("gRPC", func(t *testing.T) {
		s := newLiveServer(t, gputest.OpenRuntime(t), Config{Trusted: true})
		s.serve("mlp", "mlp")
		pipe := bufconn.Listen(1 << 20)
		var serve sync.WaitGroup
		serve.Go(func() {
			if err := s.server.Serve(pipe); err != nil {
				t.Error(err)
			}
		})
		// The live server's own clean-up stops the server; this one waits for it.
		t.Cleanup(func() {
			s.server.Stop(context.Background())
			serve.Wait()
		})
		conn, err := grpc.NewClient("passthrough:///", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client, req := inference.NewGRPCInferenceServiceClient(conn), tinyRow()
		const most = 210
		n := testing.AllocsPerRun(200, func() {
			if _, err := client.ModelInfer(context.Background(), req); err != nil {
				t.Error(err)
			}
		})
		if n > most {
			t.Errorf("%v allocations a call on both sides, want at most %v", n, most)
		} else {
			t.Logf("%v allocations a call on both sides", n)
		}
	})
}
