// Command scryd is the daemon: it serves the models of a store over gRPC.
//
//	scryd [flags]         serve until SIGINT or SIGTERM, then drain
//	scryd config [flags]  print the effective configuration
//	scryd doctor [flags]  tell which devices are used, and why others are not
//	scryd version         print the version
//	scryd probe DIR       load a bundle and print what was found (scryd itself
//	                      calls this, in a child process, before a commit)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	_ "time/tzdata" // customers' time zones, where the machine has no list of them
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "scryd:", err)
		os.Exit(1)
	}
}

// run dispatches on the first argument.
func run(ctx context.Context, args []string) error {
	verb := "serve"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		verb, args = args[0], args[1:]
	}
	switch verb {
	case "version":
		fmt.Println(buildVersion())
		return nil
	case "serve", "config", "doctor", "probe":
	default:
		return fmt.Errorf("unknown command %q: want serve, config, doctor, version or probe", verb)
	}
	cfg, rest, err := loadConfig("scryd "+verb, args, os.Getenv, os.Stderr)
	if err != nil {
		return err
	}
	if verb == "probe" {
		if len(rest) != 1 {
			return errors.New("probe: want one directory")
		}
		return probe(ctx, cfg, rest[0])
	}
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	switch verb {
	case "config":
		return cfg.print(os.Stdout)
	case "doctor":
		return doctor(ctx, cfg, os.Stdout)
	}
	floor := reserveHeap()
	defer runtime.KeepAlive(floor)
	app, err := NewApp(ctx, cfg, os.Stderr)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}
