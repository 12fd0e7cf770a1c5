// Command consumer measures hosts of shards: messages per second per core with each store beside a consumer that does nothing,
// the latency of transactions, recovery, the time without a primary, the memory of idle shards, and materialized views.
// etcd, brokers and gateways are processes of their own: what this process uses is what a host of shards uses. Medians are printed.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the remote store

	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/consumer/store/remote"
	"broadsheet.dev/broadsheet/test/system"
)

// options of a run.
type options struct {
	only     string
	duration time.Duration // of each load
	repeat   int
	messages int           // of each run for the rate
	logged   int           // messages of 1 kB of a shard that is recovered
	shards   int           // idle ones
	lease    time.Duration // of hosts that are killed
	rows     int           // of the table that views are of
	keys     []int         // of views with GROUP BY
	postgres string
	json     string
}

// parts are what can be measured, in the order in which it is: memory while the process is small.
func parts() []string {
	return []string{"memory", "rate", "latency", "recovery", "failover", "views"}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == roleEtcd {
		exitOn(serveEtcd(os.Args[2]))
		return
	}
	o := options{keys: []int{10_000, 1_000_000}}
	quick := flag.Bool("quick", false, "a short run, which shows that all can be measured and little more")
	flag.StringVar(&o.only, "only", strings.Join(parts(), ","), "what to measure")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "how long each load of single messages lasts")
	flag.IntVar(&o.repeat, "repeat", 3, "how often each is repeated; medians are shown")
	flag.IntVar(&o.messages, "messages", 400_000, "messages of each run for the rate")
	flag.IntVar(&o.logged, "logged", 200_000, "messages of 1 kB of a shard that is recovered")
	flag.IntVar(&o.shards, "shards", 100, "idle shards of each store")
	flag.DurationVar(&o.lease, "lease", 5*time.Second, "lease of hosts that are killed")
	flag.IntVar(&o.rows, "rows", 1_000_000, "rows of the table that views are of")
	flag.StringVar(&o.postgres, "postgres", "/usr/lib/postgresql/15/bin", "directory of PostgreSQL's programs")
	flag.StringVar(&o.json, "json", "", "file to write the figures to")
	flag.Parse()
	if *quick {
		o.shorten()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	_, err := run(ctx, &o)
	exitOn(err)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/consumer:", err)
		os.Exit(1)
	}
}

// shorten the run to less than a minute.
func (o *options) shorten() {
	o.duration, o.repeat, o.messages, o.logged, o.shards = 200*time.Millisecond, 1, 2000, 2000, 5
	o.lease, o.rows, o.keys = 2*time.Second, 2000, []int{10, 1000}
}

// bench has what all parts need.
type bench struct {
	*options
	figures.Report

	dir      string
	database *sql.DB  // nil if there is no PostgreSQL
	notRun   []string // what wasn't, and why
}

// run what is to be measured, and return the figures.
func run(ctx context.Context, o *options) (*bench, error) {
	dir, err := os.MkdirTemp("", "bsc")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{options: o, dir: dir}
	stop, err := b.openDatabase(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	for part := range strings.SplitSeq(o.only, ",") {
		measure, ok := map[string]func(context.Context) error{
			"memory": b.memory, "rate": b.rate, "latency": b.latency, "recovery": b.recovery, "failover": b.failover, "views": b.views,
		}[part]
		if !ok {
			return nil, fmt.Errorf("%s: it is one of %v", part, parts())
		}
		if err := measure(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", part, err)
		}
	}
	return b, b.Write(o.json)
}

// uses tells whether one of these parts is measured.
func (b *bench) uses(some ...string) bool {
	return slices.ContainsFunc(strings.Split(b.only, ","), func(part string) bool { return slices.Contains(some, part) })
}

// leaveOut says what isn't measured, and why.
func (b *bench) leaveOut(what string) {
	b.notRun = append(b.notRun, what)
	fmt.Println("not run:", what)
}

// openDatabase starts PostgreSQL, if it is needed and there is one. What is returned stops it.
func (b *bench) openDatabase(ctx context.Context) (func(), error) {
	if !b.uses("memory", "rate", "latency") {
		return func() {}, nil
	}
	if _, err := os.Stat(filepath.Join(b.postgres, "initdb")); errors.Is(err, os.ErrNotExist) {
		b.leaveOut("PostgreSQL: " + b.postgres + " has no initdb")
		return func() {}, nil
	}
	pg, err := system.StartPostgres(ctx, b.postgres, "max_connections=300")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("pgx", pg.URL)
	if err == nil {
		for _, statement := range []string{
			remote.CreateTable(remote.PostgreSQL, ""),
			"CREATE TABLE counts (shard text, key text, n bigint, PRIMARY KEY (shard, key))",
		} {
			_, failed := db.ExecContext(ctx, statement)
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		pg.Stop()
		return nil, fmt.Errorf("PostgreSQL: %w", err)
	}
	b.database = db
	return func() { _ = db.Close(); pg.Stop() }, nil
}
