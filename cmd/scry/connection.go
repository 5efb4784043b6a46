package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/scry-ml/scry/client"
)

// defaultServer is where scryd listens unless it is told otherwise.
const defaultServer = "localhost:8001"

// connection holds the flags that say how the server is reached. What is not
// given comes from the context in use, unless another server is named: a token
// must not go to a server that it was not made for.
type connection struct {
	Server    string        `env:"SCRY_SERVER" placeholder:"HOST:PORT" help:"The server's address (default: that of the context in use, else ${defaultServer})."`
	Context   string        `name:"context" env:"SCRY_CONTEXT" placeholder:"NAME" help:"Use a server kept by \"scry context add\"."`
	TokenFile string        `env:"SCRY_TOKEN_FILE" type:"path" placeholder:"FILE" help:"File with the bearer token."`
	CA        string        `name:"ca" env:"SCRY_CA" type:"path" placeholder:"FILE" help:"PEM file with the authorities to trust, instead of the system's."`
	TLS       bool          `name:"tls" help:"Speak TLS to a loopback address too."`
	Plaintext bool          `name:"plaintext" aliases:"insecure" help:"Speak plain text to any address. Loopback addresses are spoken to so by default."`
	Tenant    string        `env:"SCRY_TENANT" placeholder:"NAME" help:"Whose quota the calls count against."`
	Timeout   time.Duration `env:"SCRY_TIMEOUT" placeholder:"DURATION" help:"Longest time of one call, such as 10s (default: 30s, 15m for what loads a model)."`

	target string // the address that was settled on, for messages
	secure bool   // TLS was asked for
}

// settle fills what the flags leave open from the context in use.
func (c *connection) settle() (server, error) {
	s := server{Server: c.Server, TokenFile: c.TokenFile, CA: c.CA, TLS: c.TLS, Plaintext: c.Plaintext, Tenant: c.Tenant}
	if c.Server == "" || c.Context != "" {
		kept, err := readContexts()
		if err != nil {
			return server{}, err
		}
		name := c.Context
		if name == "" {
			name = kept.Current
		}
		known, ok := kept.Contexts[name]
		if !ok && name != "" {
			return server{}, wrongUse("there is no context %q; \"scry context ls\" lists them", name)
		}
		s = s.or(known)
	}
	if s.Server == "" {
		s.Server = defaultServer
	}
	if s.TLS && s.Plaintext {
		return server{}, wrongUse("--tls and --plaintext exclude each other")
	}
	c.target, c.secure = s.Server, s.TLS || (s.CA != "" && !s.Plaintext)
	return s, nil
}

// options are the client's for a server.
func (c *connection) options(s server) ([]client.Option, error) {
	opts := []client.Option{client.WithUserAgent("scry/" + buildVersion()), client.WithTenant(s.Tenant)}
	if c.Timeout > 0 {
		opts = append(opts, client.WithTimeout(c.Timeout), client.WithStoreTimeout(c.Timeout))
	}
	if s.TokenFile != "" {
		token, err := os.ReadFile(s.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("the token: %w", err)
		}
		opts = append(opts, client.WithToken(strings.TrimSpace(string(token))))
	}
	switch {
	case s.Plaintext:
		opts = append(opts, client.WithInsecure())
	case s.CA != "":
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", s.CA)
		}
		opts = append(opts, client.WithRootCAs(roots))
	case s.TLS:
		opts = append(opts, client.WithTLS(nil))
	}
	return opts, nil
}

// dial returns the client, which is made at the first call.
func (a *app) dial(ctx context.Context) (*client.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	s, err := a.connection.settle()
	if err != nil {
		return nil, err
	}
	opts, err := a.connection.options(s)
	if err != nil {
		return nil, err
	}
	a.client, err = client.Dial(ctx, s.Server, opts...)
	return a.client, err
}

// mismatch tells from what gRPC says of a connection that the two ends do not
// agree on TLS, which no later try mends, and what to do about it.
func (c *connection) mismatch(message string) (hint string, ok bool) {
	switch {
	case strings.Contains(message, "error reading server preface") && !c.secure:
		return "the server speaks TLS: give --tls (and --ca FILE)", true
	case strings.Contains(message, "first record does not look like a TLS handshake"):
		return "the server speaks plain text: drop --tls or give --plaintext", true
	case strings.Contains(message, "certificate signed by unknown authority"), strings.Contains(message, "certificate is not trusted"):
		return "give --ca FILE with the authority that signed the server's certificate", true
	case strings.Contains(message, "x509: "): // expired, or for another name
		return "the server's certificate was refused: --server must name it as the certificate does, while it is valid", true
	}
	return "", false
}

// modelRef is MODEL or MODEL@VERSION, as people write it.
type modelRef struct {
	Model   string
	Version string // a number, an alias, "latest", or empty for the routed one
}

// UnmarshalText reads a reference.
func (r *modelRef) UnmarshalText(text []byte) error {
	model, version, cut := strings.Cut(string(text), "@")
	if model == "" || (cut && version == "") {
		return fmt.Errorf("%q is not MODEL or MODEL@VERSION", text)
	}
	r.Model, r.Version = model, version
	return nil
}

// String writes the reference as it was read.
func (r modelRef) String() string {
	if r.Version == "" {
		return r.Model
	}
	return r.Model + "@" + r.Version
}
