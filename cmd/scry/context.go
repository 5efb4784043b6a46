package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// contextCmd keeps servers by name in a file of the user.
type contextCmd struct {
	Add contextAddCmd `cmd:"" help:"Keep the server that the connection flags describe, and use it."`
	Use contextUseCmd `cmd:"" help:"Use a kept server by default."`
	Ls  contextLsCmd  `cmd:"" aliases:"list" help:"List the kept servers."`
	Rm  contextRmCmd  `cmd:"" help:"Forget a server."`
}

// contexts is the file's content.
type contexts struct {
	Current  string            `json:"current,omitempty"`
	Contexts map[string]server `json:"contexts"`
}

// server is how one server is reached.
type server struct {
	Server    string `json:"server"`
	TokenFile string `json:"token_file,omitempty"`
	CA        string `json:"ca,omitempty"`
	TLS       bool   `json:"tls,omitempty"`
	Plaintext bool   `json:"plaintext,omitempty"`
	Tenant    string `json:"tenant,omitempty"`
}

// or fills what s leaves open.
func (s server) or(other server) server {
	fill := func(into *string, from string) {
		if *into == "" {
			*into = from
		}
	}
	fill(&s.Server, other.Server)
	fill(&s.TokenFile, other.TokenFile)
	fill(&s.CA, other.CA)
	fill(&s.Tenant, other.Tenant)
	if !s.TLS && !s.Plaintext {
		s.TLS, s.Plaintext = other.TLS, other.Plaintext
	}
	return s
}

// contextsFile is the file's path.
func contextsFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "scry", "contexts.json"), nil
}

func readContexts() (*contexts, error) {
	c := &contexts{Contexts: make(map[string]server)}
	path, err := contextsFile()
	if err != nil { // no home: nothing can have been kept
		return c, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	} else if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// write replaces the file at once, so that it is never half there.
func (c *contexts) write() error {
	path, err := contextsFile()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "contexts-*.json")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

type contextAddCmd struct {
	Name string `arg:"" help:"The name to keep it under."`
}

func (c *contextAddCmd) Run(app *app) error {
	flags := app.connection
	if flags.Server == "" {
		return wrongUse("which server? For example: scry context add %s --server scry.example.com:8001", c.Name)
	}
	kept, err := readContexts()
	if err != nil {
		return err
	}
	kept.Contexts[c.Name] = server{
		Server: flags.Server, TokenFile: flags.TokenFile, CA: flags.CA, TLS: flags.TLS, Plaintext: flags.Plaintext, Tenant: flags.Tenant,
	}
	kept.Current = c.Name
	if err := kept.write(); err != nil {
		return err
	}
	return app.output.done(map[string]any{"context": c.Name, "server": kept.Contexts[c.Name], "current": c.Name}, "%s is in use from now on", c.Name)
}

type contextUseCmd struct {
	Name string `arg:"" help:"The server's name."`
}

func (c *contextUseCmd) Run(app *app) error {
	kept, err := readContexts()
	if err != nil {
		return err
	}
	if _, ok := kept.Contexts[c.Name]; !ok {
		return fmt.Errorf("there is no context %q", c.Name)
	}
	kept.Current = c.Name
	if err := kept.write(); err != nil {
		return err
	}
	return app.output.done(map[string]any{"context": c.Name, "current": c.Name}, "%s is in use from now on", c.Name)
}

type contextLsCmd struct{}

func (*contextLsCmd) Run(app *app) error {
	kept, err := readContexts()
	if err != nil {
		return err
	}
	if app.output.json() {
		return app.output.writeJSON(kept)
	}
	t := app.output.table("", "NAME", "SERVER", "TLS", "TOKEN FILE", "TENANT")
	for _, name := range slices.Sorted(maps.Keys(kept.Contexts)) {
		s := kept.Contexts[name]
		mark, tls := "", "auto"
		if name == kept.Current {
			mark = "*"
		}
		switch {
		case s.Plaintext:
			tls = "no"
		case s.TLS || s.CA != "":
			tls = "yes"
		}
		t.row(mark, name, s.Server, tls, s.TokenFile, s.Tenant)
	}
	return t.flush()
}

type contextRmCmd struct {
	Name string `arg:"" help:"The server's name."`
}

func (c *contextRmCmd) Run(app *app) error {
	kept, err := readContexts()
	if err != nil {
		return err
	}
	if _, ok := kept.Contexts[c.Name]; !ok {
		return fmt.Errorf("there is no context %q", c.Name)
	}
	delete(kept.Contexts, c.Name)
	if kept.Current == c.Name {
		kept.Current = ""
	}
	if err := kept.write(); err != nil {
		return err
	}
	return app.output.done(map[string]any{"context": c.Name, "deleted": true, "current": kept.Current}, "%s is forgotten", c.Name)
}
