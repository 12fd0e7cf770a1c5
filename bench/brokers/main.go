// Command brokers measures the brokers beside their limits and their peers, in one run on
// one machine: appends of four sizes from 1, 8 and 64 writers, to one journal and to a
// thousand, with one replica and with three, acknowledged when they are replicated and when
// they are synced; reads of a backlog; how long an append takes to reach a reader that
// waits; and what an idle journal costs. Beside each stands a bare gRPC server in another
// process that takes the same messages and discards them, and with --nats NATS JetStream.
// Each server is a process; its processor time counts, as it wobbles less than the clock.
// docs/performance.md keeps the figures.
package main

import (
	"context"
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
	sizes    string
	writers  string
	replicas string
	nats     string
	profile  string
	json     string
}

func main() {
	if err := play(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench/brokers:", err)
		os.Exit(1)
	}
}

// play a role of a child, or the benchmark.
func play(args []string) error {
	if len(args) > 0 && args[0] == "discard" {
		return serveDiscard()
	}
	if len(args) > 0 && args[0] == "broker" {
		return serveBroker(args[1:])
	}
	var o options
	flag.StringVar(&o.what, "what", "append,read,deliver,idle", "what to measure")
	flag.DurationVar(&o.duration, "duration", time.Second, "how long each load lasts")
	flag.IntVar(&o.repeat, "repeat", 3, "how often each is repeated, in turns; medians are shown")
	flag.StringVar(&o.sizes, "sizes", "256,4096,65536,1048576", "sizes of appends")
	flag.StringVar(&o.writers, "writers", "1,8,64", "numbers of writers")
	flag.StringVar(&o.replicas, "replicas", "1,3", "numbers of replicas, each with a fleet of as many brokers")
	flag.StringVar(&o.nats, "nats", "", "program of bench/peers/nats, which then stands beside")
	flag.StringVar(&o.profile, "profile", "", "directory for profiles of the first broker, one for each load")
	flag.StringVar(&o.json, "json", "", "file to write the figures to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return run(ctx, &o)
}

func run(ctx context.Context, o *options) error {
	measures := map[string]func(context.Context, *options, *figures.Report) error{
		"append": benchAppend, "read": benchRead, "deliver": benchDeliver, "idle": benchIdle,
	}
	var r figures.Report
	for what := range strings.SplitSeq(o.what, ",") {
		measure := measures[what]
		if measure == nil {
			return fmt.Errorf("--what: %q is none of append, read, deliver and idle", what)
		}
		if err := measure(ctx, o, &r); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return r.Write(o.json)
}
