package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Option changes how Dial connects.
type Option func(*settings)

type settings struct {
	tls          *tls.Config
	plain        bool
	token        string
	tenant       string
	timeout      time.Duration
	storeTimeout time.Duration
	wait         bool
	userAgent    string
	dial         []grpc.DialOption
}

// WithTLS speaks TLS with the given configuration, also to a loopback address.
// A nil config stands for the system's roots.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) {
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		s.tls, s.plain = config, false
	}
}

// WithRootCAs speaks TLS and trusts the given roots only.
func WithRootCAs(pool *x509.CertPool) Option {
	return WithTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
}

// WithInsecure speaks plain text, also to an address that is not loopback.
// Tokens and payloads can then be read on the way.
func WithInsecure() Option {
	return func(s *settings) { s.tls, s.plain = nil, true }
}

// WithToken sends a bearer token with every call.
func WithToken(token string) Option { return func(s *settings) { s.token = token } }

// WithTenant sends the scry-tenant header, by which the server counts quotas,
// with every call.
func WithTenant(name string) Option { return func(s *settings) { s.tenant = name } }

// WithTimeout is the deadline of a unary call whose context has none; 30 s by
// default. 0 sets none.
func WithTimeout(d time.Duration) Option { return func(s *settings) { s.timeout = d } }

// WithStoreTimeout is WithTimeout for CommitUpload, ActivateVersion and
// Rollback, which load a model before they answer; 15 min by default.
func WithStoreTimeout(d time.Duration) Option { return func(s *settings) { s.storeTimeout = d } }

// WithWait makes Dial wait until the server answers or its context ends.
func WithWait() Option { return func(s *settings) { s.wait = true } }

// WithUserAgent puts the program's own name before the client's.
func WithUserAgent(name string) Option { return func(s *settings) { s.userAgent = name } }

// WithDialOptions hands options to gRPC after the client's own.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, opts...) }
}

func (s *settings) dialOptions(target string) ([]grpc.DialOption, error) {
	secure := s.tls != nil || (!s.plain && !IsLoopback(target))
	transport := insecure.NewCredentials()
	if secure {
		config := s.tls
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		transport = credentials.NewTLS(config)
	}
	if strings.ContainsAny(s.token+s.tenant, "\r\n") {
		return nil, errors.New("client: a token or tenant must not hold line breaks")
	}
	retry := newRetrier()
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(headers{token: s.token, tenant: s.tenant, secure: secure}),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDisableServiceConfig(), // of the name service: ours is the contract
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes),
			grpc.MaxCallSendMsgSize(maxMessageBytes),
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithUserAgent(strings.TrimSpace(s.userAgent + " scry-go-client")),
		grpc.WithChainUnaryInterceptor(typedUnaryErrors, s.deadline, retry.unary),
		grpc.WithChainStreamInterceptor(typedStreamErrors),
	}
	return append(opts, s.dial...), nil
}

// deadline gives a unary call without a deadline the default one.
func (s *settings) deadline(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	timeout := s.timeout
	if loads(method) {
		timeout = s.storeTimeout
	}
	if _, has := ctx.Deadline(); !has && timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

// headers sends token and tenant with every call.
type headers struct {
	token, tenant string
	secure        bool
}

func (h headers) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	md := make(map[string]string, 2)
	if h.token != "" {
		md["authorization"] = "Bearer " + h.token
	}
	if h.tenant != "" {
		md["scry-tenant"] = h.tenant
	}
	return md, nil
}

// RequireTransportSecurity holds what Dial chose: plain text is spoken to
// loopback, or because the caller said so.
func (h headers) RequireTransportSecurity() bool { return h.secure }

// IsLoopback reports whether a target of Dial can only be this machine:
// localhost, a loopback address, or a Unix socket.
func IsLoopback(target string) bool {
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return true
	}
	if i := strings.Index(target, "://"); i >= 0 {
		target = target[i+len("://"):]
		target = target[strings.Index(target, "/")+1:] // the resolver's authority
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		host = strings.Trim(target, "[]")
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
