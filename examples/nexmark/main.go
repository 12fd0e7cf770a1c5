// Command nexmark streams a live auction into tables, or shows the whole system doing so.
//
//	nexmark feed --sql postgres://... --broker http://... --rate 1000
//	nexmark demo --server bin/broadsheet --data-dir ./data
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "nexmark:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say what to do: feed or demo (each has --help)")
	}
	flags := flag.NewFlagSet("nexmark "+args[0], flag.ContinueOnError)
	switch args[0] {
	case "feed":
		var f feed
		f.flags(flags)
		if err := parse(flags, args[1:]); err != nil {
			return err
		}
		return f.run(ctx)
	case "demo":
		var d demo
		d.flags(flags)
		if err := parse(flags, args[1:]); err != nil {
			return err
		}
		return d.run(ctx)
	default:
		return fmt.Errorf("unknown command %q: say feed or demo", args[0])
	}
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return nil
}
