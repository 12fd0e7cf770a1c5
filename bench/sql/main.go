// Command sql measures the gateway beside PostgreSQL 15, which it starts, and beside DuckDB alone on the same files, in one
// run on one machine: the rate of SELECT 1, connections, COPY, queries over raw fragments, rows over the wire, how soon
// a row is seen, memory of idle connections, and a dashboard over a table that grows. Each is measured in
// turns, and medians are printed. docs/performance.md keeps them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/test/system"
)

// options of a run.
type options struct {
	what     string
	duration time.Duration // of each load
	repeat   int
	rows     int64
	idle     int
	postgres string
	json     string
}

// whats are what can be measured, in the order in which it is: memory while the processes are small.
func whats() []string {
	return []string{"idle", "select1", "connect", "copy", "scan", "wire", "visible", "dashboard"}
}

func main() {
	o := options{}
	quick := flag.Bool("quick", false, "a short run, which shows that all can be measured and little more")
	flag.StringVar(&o.what, "what", strings.Join(whats(), ","), "what to measure")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "how long each load lasts; the dashboard lasts ten times as long")
	flag.IntVar(&o.repeat, "repeat", 3, "how often each is repeated; medians are shown")
	flag.Int64Var(&o.rows, "rows", 1_000_000, "rows of tables")
	flag.IntVar(&o.idle, "idle", 80, "idle connections; PostgreSQL takes a hundred")
	flag.StringVar(&o.postgres, "postgres", "/usr/lib/postgresql/15/bin", "directory of PostgreSQL's programs")
	flag.StringVar(&o.json, "json", "", "file to write the figures to")
	flag.Parse()
	if *quick {
		o.shorten()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/sql:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// shorten the run to less than a minute.
func (o *options) shorten() {
	o.duration, o.repeat, o.rows, o.idle = 200*time.Millisecond, 1, 20_000, 20
}

// peer is a server that speaks Postgres.
type peer struct {
	name, url string
	// pids are the processes that serve connections.
	pids func() []int
}

// as is the peer's URL for the user guarded, who proves a password.
func (p peer) as() string { return strings.Replace(p.url, "postgres@", guarded+":"+secret+"@", 1) }

// guarded is the user who has to prove a password, secret.
const guarded, secret = "guarded", "secret"

// bench has the servers.
type bench struct {
	*options
	figures.Report

	dir    string
	server *system.Server
	peers  []peer // ours first

	filled bool     // the table bid is there
	files  []string // its fragments
}

func run(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp("", "broadsheet-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{options: o, dir: dir}
	stop, err := b.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for what := range strings.SplitSeq(o.what, ",") {
		measure, ok := map[string]func(context.Context) error{
			"select1": b.select1, "connect": b.connect, "copy": b.copy, "scan": b.scan,
			"wire": b.wire, "visible": b.visible, "idle": b.idleMemory, "dashboard": b.dashboard,
		}[what]
		if !ok {
			return fmt.Errorf("%s: it is one of %v", what, whats())
		}
		if err := measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return b.Write(o.json)
}

// start both servers. What is returned stops them.
func (b *bench) start(ctx context.Context) (func(), error) {
	rules, password := filepath.Join(b.dir, "hba"), filepath.Join(b.dir, "password")
	err := errors.Join(
		os.WriteFile(rules, []byte("host postgres "+guarded+" samehost scram-sha-256\nhost postgres all samehost trust\n"), 0o600),
		os.WriteFile(password, []byte("admin\n"), 0o600))
	if err != nil {
		return nil, err
	}
	pg, err := system.StartPostgres(ctx, b.postgres, "shared_buffers=512MB")
	if err != nil {
		return nil, err
	}
	s, err := system.Start(ctx, filepath.Join(b.dir, "data"), "--sql-hba", rules, "--sql-password-file", password)
	stop := func() { s.Kill(); pg.Stop() }
	if err != nil {
		pg.Stop()
		return nil, err
	}
	b.server = s
	b.peers = []peer{
		{"broadsheet", s.URL(), func() []int { return system.Children(s.PID()) }},
		{"PostgreSQL 15", pg.URL, func() []int { return system.Children(pg.PID()) }},
	}
	if err := b.both(ctx, "CREATE ROLE "+guarded+" LOGIN PASSWORD '"+secret+"'"); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// both run a statement.
func (b *bench) both(ctx context.Context, sql string) error {
	for _, p := range b.peers {
		if err := p.exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (p peer) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %s: %w", p.name, sql, err)
	}
	return nil
}

// compare measures both peers in turns, and adds a line with the medians and their ratio.
func (b *bench) compare(name string, measure func(peer) (float64, error)) error {
	var all [2][]float64
	for range b.repeat {
		for i, p := range b.peers {
			v, err := measure(p)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", p.name, name, err)
			}
			all[i] = append(all[i], v)
		}
	}
	ours, theirs := figures.Median(all[0]), figures.Median(all[1])
	b.Add(name, ours, theirs, ours/theirs)
	return nil
}
