// Package client talks to a scry server.
//
// A Client is made by Dial and is safe for concurrent use. Score, AnalyzeText
// and AnalyzeImages take as many items as the caller has and split them under
// the server's limits; the Stream methods do the same for input that does not
// fit into memory. Push and Pull move models. Whatever has no method here is
// called on the generated stubs, which share the connection, the retries and the
// errors: see ModelStore and the methods beside it.
//
// A failed call returns an *Error. One item that fails does not fail its
// neighbours: its result carries the error, and ItemError converts it.
package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// Client is a connection to a scry server. Close it when it is done with.
type Client struct {
	conn *grpc.ClientConn

	infoMu   sync.Mutex // guards the two below
	info     *serverv1.GetServerInfoResponse
	infoTime time.Time
}

// Dial returns a client of the server at target, such as "localhost:8001" or
// "dns:///scry.internal:8001". It connects when the first call is made, unless
// WithWait is given: then it waits, until ctx ends at the latest, for the server
// to answer.
//
// A loopback address is spoken to in plain text and any other by TLS with the
// system's roots; WithTLS and WithInsecure say otherwise.
func Dial(ctx context.Context, target string, opts ...Option) (*Client, error) {
	s := settings{timeout: 30 * time.Second, storeTimeout: 15 * time.Minute}
	for _, opt := range opts {
		opt(&s)
	}
	dialOpts, err := s.dialOptions(target)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target, dialOpts...)
	if err != nil {
		return nil, fmt.Errorf("client: target %q: %w", target, err)
	}
	c := &Client{conn: conn}
	if s.wait {
		if err := c.waitReady(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("client: no answer from %s: %w", target, err)
		}
	}
	return c, nil
}

// Close ends the connection and fails the calls that are under way.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) waitReady(ctx context.Context) error {
	for c.conn.Connect(); ; {
		state := c.conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		if state == connectivity.Idle {
			c.conn.Connect()
		}
		if !c.conn.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
	}
}

// Conn is the connection under the client, for other services' stubs.
func (c *Client) Conn() *grpc.ClientConn { return c.conn }

// Scoring is the generated stub of the scoring service.
func (c *Client) Scoring() scoringv1.ScoringServiceClient {
	return scoringv1.NewScoringServiceClient(c.conn)
}

// Sentiment is the generated stub of the sentiment service.
func (c *Client) Sentiment() sentimentv1.SentimentServiceClient {
	return sentimentv1.NewSentimentServiceClient(c.conn)
}

// ImageAnalysis is the generated stub of the image analysis service.
func (c *Client) ImageAnalysis() imageanalysisv1.ImageAnalysisServiceClient {
	return imageanalysisv1.NewImageAnalysisServiceClient(c.conn)
}

// ModelStore is the generated stub of the model store.
func (c *Client) ModelStore() modelstorev1.ModelStoreServiceClient {
	return modelstorev1.NewModelStoreServiceClient(c.conn)
}

// Server is the generated stub of the service that tells about the server.
func (c *Client) Server() serverv1.ServerServiceClient {
	return serverv1.NewServerServiceClient(c.conn)
}

// Health is the generated stub of the standard health service.
func (c *Client) Health() healthpb.HealthClient { return healthpb.NewHealthClient(c.conn) }
