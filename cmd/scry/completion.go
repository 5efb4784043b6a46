package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/scry-ml/scry/client"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// completionCmd prints a shell's completion script.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// completeVerb is how the scripts call this program: the words of the line up to
// the cursor follow. It is no verb of the grammar, which people read.
const completeVerb = "__complete"

// The scripts hand the words over and take one candidate a line; nothing means
// that the shell completes file names.
var completionScripts = map[string]string{
	"bash": `_scry() {
    local IFS=$'\n'
    COMPREPLY=($("${COMP_WORDS[0]}" ` + completeVerb + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _scry scry
`,
	"zsh": `#compdef scry
_scry() {
    local -a found
    found=("${(@f)$("${words[1]}" ` + completeVerb + ` "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -a found; else _files; fi
}
compdef _scry scry
`,
	"fish": `function __scry_complete
    set -l words (commandline -opc) (commandline -ct)
    scry ` + completeVerb + ` $words[2..-1] 2>/dev/null
end
complete -c scry -a '(__scry_complete)'
`,
}

func (c *completionCmd) Run(app *app) error {
	_, err := io.WriteString(app.output.out, completionScripts[c.Shell])
	return err
}

// complete prints the candidates for the last of the words.
func complete(words []string, out io.Writer) int {
	var grammar cli
	parser, err := newParser(&grammar, io.Discard, io.Discard)
	if err != nil || len(words) == 0 {
		return exitFailure
	}
	for _, candidate := range candidates(parser.Model.Node, words, modelNames) {
		fmt.Fprintln(out, candidate)
	}
	return exitOK
}

// candidates walks the grammar along the words and returns what the last may
// become. models returns the names of the server's models.
func candidates(node *kong.Node, words []string, models func() []string) []string {
	flags := make(map[string]*kong.Flag)
	learn := func(n *kong.Node) {
		for _, f := range n.Flags {
			flags["--"+f.Name] = f
			if f.Short != 0 {
				flags["-"+string(f.Short)] = f
			}
		}
	}
	learn(node)
	var waiting *kong.Flag // the flag whose value comes next
	place := 0             // positional arguments so far
	for _, word := range words[:len(words)-1] {
		switch {
		case waiting != nil:
			waiting = nil
		case strings.HasPrefix(word, "-"):
			name, _, hasValue := strings.Cut(word, "=")
			if f := flags[name]; f != nil && !f.IsBool() && !hasValue {
				waiting = f
			}
		default:
			child := childOf(node, word)
			if child == nil {
				place++
				continue
			}
			node = child
			learn(node)
		}
	}
	last := words[len(words)-1]
	var found []string
	switch {
	case waiting != nil:
		found = flagValues(waiting, models)
	case strings.HasPrefix(last, "-"):
		for name, f := range flags {
			if !f.Hidden && strings.HasPrefix(name, "--") {
				found = append(found, name)
			}
		}
	case place == 0:
		for _, child := range node.Children {
			if !child.Hidden {
				found = append(found, child.Name)
			}
		}
		if len(node.Positional) > 0 {
			found = append(found, positionalValues(node.Positional[0], models)...)
		}
	}
	found = slices.DeleteFunc(found, func(s string) bool { return !strings.HasPrefix(s, last) })
	slices.Sort(found)
	return slices.Compact(found)
}

func childOf(node *kong.Node, word string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == word || slices.Contains(child.Aliases, word) {
			return child
		}
	}
	return nil
}

func flagValues(f *kong.Flag, models func() []string) []string {
	switch f.Name {
	case "model":
		return models()
	case "context":
		return contextNames()
	}
	return enumOf(f.Value)
}

func positionalValues(p *kong.Positional, models func() []string) []string {
	if p.Name == "model" {
		return models()
	}
	return enumOf(p)
}

func enumOf(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

func contextNames() []string {
	kept, err := readContexts()
	if err != nil {
		return nil
	}
	return slices.Collect(maps.Keys(kept.Contexts))
}

// modelNames asks the server, briefly: a key was pressed.
func modelNames() []string {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	var c connection
	s, err := c.settle()
	if err != nil {
		return nil
	}
	opts, err := c.options(s)
	if err != nil {
		return nil
	}
	server, err := client.Dial(ctx, s.Server, opts...)
	if err != nil {
		return nil
	}
	defer server.Close()
	r, err := server.ModelStore().ListModels(ctx, &modelstorev1.ListModelsRequest{PageSize: pageSize})
	if err != nil {
		return nil
	}
	names := make([]string, len(r.GetModels()))
	for i, m := range r.GetModels() {
		names[i] = m.GetName()
	}
	return names
}
