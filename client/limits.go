package client

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

const (
	// maxMessageBytes is the contract's limit of one message, both ways.
	maxMessageBytes = 64 << 20
	// messageSlack is kept free for what is not counted: frames and headers.
	messageSlack = 64 << 10
	// The contract's limits of one call, which a server may lower.
	maxInstances = 10_000
	maxTableRows = 1_000_000
	maxTexts     = 10_000
	maxImages    = 1_000
	// infoAge is how long the server's limits are taken for granted.
	infoAge = 5 * time.Minute
)

// ServerInfo returns what the server says about itself: versions, limits and
// default models. The answer is kept for five minutes. It must not be changed.
func (c *Client) ServerInfo(ctx context.Context) (*serverv1.GetServerInfoResponse, error) {
	c.infoMu.Lock()
	known := c.info
	fresh := known != nil && time.Since(c.infoTime) < infoAge
	c.infoMu.Unlock()
	if fresh {
		return known, nil
	}
	info, err := c.Server().GetServerInfo(ctx, &serverv1.GetServerInfoRequest{})
	if err != nil {
		return nil, err
	}
	c.infoMu.Lock()
	c.info, c.infoTime = info, time.Now()
	c.infoMu.Unlock()
	return info, nil
}

// limits returns the server's operating limits, each within the contract's. A
// server that is up but will not tell them has the contract's.
func (c *Client) limits(ctx context.Context) (*serverv1.Limits, error) {
	info, err := c.ServerInfo(ctx)
	switch CodeOf(err) {
	case codes.OK, codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
	default:
		return nil, err
	}
	l := info.GetLimits()
	return &serverv1.Limits{
		MaxMessageBytes: within(l.GetMaxMessageBytes(), maxMessageBytes),
		MaxInstances:    within(l.GetMaxInstances(), maxInstances),
		MaxTableRows:    within(l.GetMaxTableRows(), maxTableRows),
		MaxTexts:        within(l.GetMaxTexts(), maxTexts),
		MaxImages:       within(l.GetMaxImages(), maxImages),
	}, nil
}

func within[T int32 | int64](told, contract T) T {
	if told <= 0 {
		return contract
	}
	return min(told, contract)
}
