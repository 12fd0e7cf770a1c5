// Command bench measures Broadsheet beside its limits, in one run on one machine: appends
// by the journal protocol beside a bare gRPC server in another process that takes the same
// messages and discards them, beside writing and syncing a file; and SQL over fragments
// beside DuckDB alone on the same files. It prints a table and, with --json, writes the
// figures. docs/performance.md keeps them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/bench/figures"
)

// options of a run.
type options struct {
	what     string
	duration time.Duration
	repeat   int
	broker   string
	rows     int64
	json     string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "discard" {
		if err := serveDiscard(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: discard:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.what, "what", "append,limits,scan", "what to measure")
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "how long each load lasts")
	flag.IntVar(&o.repeat, "repeat", 3, "how often each is repeated; medians are shown")
	flag.StringVar(&o.broker, "broker", "", "URL of a running broker to load, in place of servers that are started: --journal names what to append to")
	flag.Int64Var(&o.rows, "rows", 2_000_000, "rows of the scan")
	flag.StringVar(&o.json, "json", "", "file to write the figures to")
	journal := flag.String("journal", "", "journal of --broker")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o, *journal); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func run(ctx context.Context, o *options, journal string) error {
	var r figures.Report
	for what := range strings.SplitSeq(o.what, ",") {
		var err error
		switch what {
		case "append":
			err = benchAppend(ctx, o, journal, &r)
		case "limits":
			err = benchLimits(o, &r)
		case "scan":
			err = benchScan(ctx, o, &r)
		default:
			err = errors.New("it is append, limits or scan")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return r.Write(o.json)
}
