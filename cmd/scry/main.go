// Command scry is the tool of those who train, push, watch and call models on a
// scry server. It is pure Go and needs nothing of the server's machine.
//
// Exit codes: 0 all went well; 1 it failed; 2 it was called wrongly; 3 some
// items failed, the others were answered; 4 the server cannot be reached or has
// no room now, so that the same command may work later; 130 it was interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/client"
)

// The exit codes, as the package's comment lists them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitSomeFailed  = 3
	exitTryLater    = 4
	exitInterrupted = 130
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// cli is the grammar of the command line. Each verb has a file of its name.
type cli struct {
	Connection connection `embed:"" group:"Connection"`
	Output     string     `short:"o" enum:"table,json,jsonl,csv" default:"table" env:"SCRY_OUTPUT" help:"What to print: table, json, jsonl or, for what is asked of models, csv. What is answered to each row, text or picture is one line in json too."`
	Color      string     `enum:"auto,always,never" default:"auto" env:"SCRY_COLOR" help:"Colours: auto (on a terminal, unless NO_COLOR is set), always or never."`
	Quiet      bool       `short:"q" help:"Print no progress and no remarks."`

	Status    statusCmd    `cmd:"" group:"Look" help:"Show the server, its devices and what is loaded."`
	Ls        lsCmd        `cmd:"" group:"Look" help:"List models, or one model's versions."`
	Show      showCmd      `cmd:"" group:"Look" help:"Show a version: what it takes, what it answers, how it was checked."`
	Score     scoreCmd     `cmd:"" group:"Ask" help:"Score rows of a CSV or JSON Lines file."`
	Recommend recommendCmd `cmd:"" group:"Ask" help:"Recommend items to customers, or what goes with an item."`
	Explain   explainCmd   `cmd:"" group:"Ask" help:"Tell how each feature moved the scores of rows."`
	Choose    chooseCmd    `cmd:"" group:"Ask" help:"Choose the next best action for customers, from a model's catalogue."`
	SendTime  sendTimeCmd  `cmd:"" name:"sendtime" group:"Ask" help:"Choose when to send to customers, by what they answered before."`
	Calibrate calibrateCmd `cmd:"" group:"Models" help:"Make a version with new calibration and percentiles, from rows of which it is known what came to pass."`
	Eval      evalCmd      `cmd:"" group:"Ask" help:"Measure a version on rows of which it is known what came to pass, beside the routed one."`
	Sentiment sentimentCmd `cmd:"" group:"Ask" help:"Find what texts say: sentiment, emotions, topics, language, personal data and more."`
	Image     imageCmd     `cmd:"" group:"Ask" help:"Find what pictures show: labels, colours, faces, text and more, or what looks like them."`
	PerfData  perfDataCmd  `cmd:"" name:"perf-data" group:"Ask" help:"Make valid requests up for Triton's perf_analyzer, and print its command line."`

	Init    initCmd    `cmd:"" group:"Models" help:"Write the inferred bundle.yaml of a directory, for you to correct."`
	Prepare prepareCmd `cmd:"" group:"Models" help:"Show what a model sees of an input: token ids, picture tensors, named inputs."`

	Catalogue catalogueCmd `cmd:"" group:"Models" help:"Make a catalogue of pictures, for \"scry image --similar\"."`

	Push     pushCmd     `cmd:"" group:"Models" help:"Send a bundle or an ONNX file as a new version."`
	Pull     pullCmd     `cmd:"" group:"Models" help:"Fetch a version's files."`
	Activate activateCmd `cmd:"" group:"Models" help:"Route a model's calls to a version."`
	Rollback rollbackCmd `cmd:"" group:"Models" help:"Go back to the route before the present one."`
	Alias    aliasCmd    `cmd:"" group:"Models" help:"Name versions, such as \"candidate\"."`
	Rm       rmCmd       `cmd:"" group:"Models" help:"Delete a version, or a model with all its versions."`

	Context    contextCmd    `cmd:"" group:"This program" help:"Keep servers by name."`
	Completion completionCmd `cmd:"" group:"This program" help:"Print the completion script of a shell."`
	Version    versionCmd    `cmd:"" group:"This program" help:"Print this program's version."`
}

// run is the program: it returns the exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	if len(args) > 0 && args[0] == completeVerb {
		return complete(args[1:], out)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	var grammar cli
	parser, err := newParser(&grammar, out, errOut)
	if err != nil {
		fmt.Fprintln(errOut, "scry:", err)
		return exitFailure
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(errOut, "scry: %v\nTry \"scry --help\" or \"scry COMMAND --help\".\n", err)
		return exitUsage
	}
	app := &app{connection: &grammar.Connection, output: newOutput(in, out, errOut, grammar.Output, grammar.Quiet)}
	app.output.color(grammar.Color)
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run(app)
	err = errors.Join(err, app.close())
	return app.exit(ctx, err)
}

// newParser makes the parser of the grammar.
func newParser(grammar *cli, out, errOut io.Writer) (*kong.Kong, error) {
	return kong.New(grammar,
		kong.Name("scry"),
		kong.Description("Push, inspect and call models on a scry server.\n\n"+
			"Exit codes: 0 all went well, 1 failed, 2 called wrongly, 3 some items failed, 4 try again later."),
		kong.Writers(out, errOut),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"defaultServer": defaultServer},
	)
}

// app is what every verb is given.
type app struct {
	connection *connection
	output     *output
	client     *client.Client // dialled at first use; closed by close
}

func (a *app) close() error {
	if a.client == nil {
		return nil
	}
	return a.client.Close()
}

// errSomeFailed ends a verb that has reported the failed items itself.
var errSomeFailed = errors.New("some items failed")

// usageError is a wrong call that the grammar cannot see.
type usageError struct{ error }

func wrongUse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exit reports an error and returns the exit code.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		a.output.complain("interrupted")
		return exitInterrupted
	}
	if errors.Is(err, errSomeFailed) {
		a.output.complain("%v", err)
		return exitSomeFailed
	}
	a.output.complain("%v", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	switch client.CodeOf(err) {
	case codes.Unavailable:
		if hint, mismatch := a.connection.mismatch(err.Error()); mismatch {
			a.output.hint("%s", hint)
			return exitFailure
		}
		a.output.hint("is a scry server running at %s? --server, SCRY_SERVER or \"scry context\" name another", a.connection.target)
		return exitTryLater
	case codes.DeadlineExceeded:
		a.output.hint("a model may still be loading (\"scry status\" tells), or the server is slow; --timeout sets the time of one call")
		return exitTryLater
	case codes.ResourceExhausted:
		return exitTryLater
	case codes.NotFound:
		a.output.hint("\"scry ls\" lists the models, \"scry ls MODEL\" the versions of one")
	case codes.InvalidArgument:
		if client.ReasonOf(err) == "MODEL_REQUIRED" {
			a.output.hint("--model names one of those that \"scry ls\" lists; the server's operator may set defaults")
		}
	case codes.Unauthenticated, codes.PermissionDenied:
		a.output.hint("--token-file names a file with the bearer token that the server's operator gave out")
	}
	return exitFailure
}
