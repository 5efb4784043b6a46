package client_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/scry-ml/scry/client"
	"github.com/scry-ml/scry/client/clienttest"
)

// TestWithWait dials a server that accepts connections later, and one that never
// does.
func TestWithWait(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := lis.Addr().String()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	// The connection is queued by the kernel, and nobody answers it.
	if c, err := client.Dial(short, target, client.WithWait()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("nobody answers: %v, %v; want the context's error", c, err)
	}

	fake := clienttest.New()
	served := make(chan error, 1)
	go func() { served <- fake.Serve(lis) }()
	defer func() {
		fake.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, target, client.WithWait())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
