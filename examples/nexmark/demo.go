package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"broadsheet.dev/broadsheet/examples/nexmark/auction"
)

// demo runs a server, streams the auction into it, shows a SELECT and a SUBSCRIBE, and stays
// up until it is interrupted.
type demo struct {
	server, dataDir   string
	listen, sqlListen string
	rate              float64
	watch             time.Duration
	once              bool
}

func (d *demo) flags(s *flag.FlagSet) {
	s.StringVar(&d.server, "server", "bin/broadsheet", "the server's program")
	s.StringVar(&d.dataDir, "data-dir", "./data", "directory that the server keeps everything in")
	s.StringVar(&d.listen, "listen", "127.0.0.1:8080", "address for gRPC and HTTP")
	s.StringVar(&d.sqlListen, "sql-listen", "127.0.0.1:5433", "address for Postgres clients")
	s.Float64Var(&d.rate, "rate", 1000, "events a second")
	s.DurationVar(&d.watch, "watch", 4*time.Second, "how long to show the subscription")
	s.BoolVar(&d.once, "once", false, "end after the show instead of staying up")
}

// running is a server that was started.
type running struct {
	cmd       *exec.Cmd
	broker    string
	sql       string
	exited    chan struct{}
	exitError error
}

func (d *demo) run(ctx context.Context) error {
	_, _ = fmt.Printf("Starting broadsheet serve, data under %s ...\n", d.dataDir)
	r, err := d.start(ctx)
	if err != nil {
		return err
	}
	err = d.show(ctx, r)
	_, _ = fmt.Println("\nStopping ...")
	return errors.Join(ignoreInterrupt(ctx, err), r.stop())
}

// ignoreInterrupt: what fails because we were interrupted isn't an error.
func ignoreInterrupt(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// start runs the server in a process group of its own, so that Ctrl-C reaches only us, who
// then end it in order.
func (d *demo) start(ctx context.Context) (*running, error) {
	cmd := exec.Command(d.server, "serve", "--data-dir", d.dataDir, "--listen", d.listen, "--sql-listen", d.sqlListen, "--log.level", "warn")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &running{cmd: cmd, exited: make(chan struct{})}
	ready := make(chan struct{})
	go func() { // ends with the server
		defer close(r.exited)
		r.read(out, sync.OnceFunc(func() { close(ready) }))
		r.exitError = cmd.Wait()
	}()
	select {
	case <-ready:
		return r, nil
	case <-r.exited:
		return nil, fmt.Errorf("the server ended before it was ready: %w", r.exitError)
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), r.stop())
	}
}

func (r *running) read(out io.Reader, ready func()) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), " "); name {
		case "broker":
			r.broker = value
		case "sql":
			r.sql = value
		case "ready":
			ready()
		}
	}
}

func (r *running) stop() error {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	<-r.exited
	return r.exitError
}

// show streams in the background while it asks and watches.
func (d *demo) show(ctx context.Context, r *running) error {
	f := feed{sql: "postgres://postgres@" + r.sql + "/postgres?sslmode=disable", broker: "http://" + r.broker, rate: d.rate}
	next, _, err := f.prepare(ctx)
	if err != nil {
		return err
	}
	if next > 0 {
		_, _ = fmt.Printf("Found %d events of an earlier run; the feed goes on after them.\n", next)
	}
	ctx, cancel := context.WithCancel(ctx)
	feeding := make(chan error, 1)
	go func() { feeding <- f.run(ctx) }()
	defer func() {
		cancel()
		if err := <-feeding; err != nil && !errors.Is(err, context.Canceled) {
			_, _ = fmt.Fprintln(os.Stderr, "nexmark: the feed ended:", err)
		}
	}()
	if err := d.acts(ctx, f.sql); err != nil {
		return err
	}
	d.invite(ctx, r, f.sql)
	if d.once {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-feeding:
		feeding <- nil
		return fmt.Errorf("the feed ended: %w", err)
	case <-r.exited:
		return fmt.Errorf("the server ended: %w", r.exitError)
	}
}

const question = `SELECT channel, count(*) AS bids, max(price) AS highest
  FROM bid GROUP BY channel ORDER BY bids DESC, channel LIMIT 5`

// answer is a row of the question's.
type answer struct {
	Channel       string
	Bids, Highest int64
}

func (d *demo) acts(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := awaitBids(ctx, conn); err != nil {
		return err
	}
	_, _ = fmt.Printf("\nA question about all bids up to this moment:\n\n%s;\n\n", question)
	began := time.Now()
	rows, err := conn.Query(ctx, question)
	if err != nil {
		return err
	}
	answers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[answer])
	if err != nil {
		return err
	}
	_, _ = fmt.Printf("  %-16s %8s %12s\n", "channel", "bids", "highest")
	for _, a := range answers {
		_, _ = fmt.Printf("  %-16s %8d %12d\n", a.Channel, a.Bids, a.Highest)
	}
	_, _ = fmt.Printf("  (%d rows, %.1f ms)\n", len(answers), float64(time.Since(began).Microseconds())/1000)
	_, _ = fmt.Printf("\nThe newest auctions, for %s:\n\nSUBSCRIBE TO auction;\n\n", d.watch)
	return d.subscribe(ctx, url)
}

// awaitBids waits until the feed has made some.
func awaitBids(ctx context.Context, conn *pgx.Conn) error {
	for {
		var n int64
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM bid").Scan(&n); err != nil {
			return err
		}
		if n >= 1000 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(tick):
		}
	}
}

// subscribe shows the rows that come within the time, after those that were there.
func (d *demo) subscribe(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var already int64
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM auction").Scan(&already); err != nil {
		return err
	}
	watching, cancel := context.WithTimeout(ctx, d.watch)
	defer cancel()
	w := &showWriter{skip: already}
	_, err = conn.PgConn().CopyTo(watching, w, "COPY (SUBSCRIBE TO auction) TO STDOUT")
	if watching.Err() == nil {
		return err
	}
	_, _ = fmt.Printf("  ... %d rows that were there before, and %d new ones\n", min(w.rows, already), max(w.rows-already, 0))
	return nil
}

// showWriter prints every tenth new row of a COPY, shortened.
type showWriter struct {
	skip, rows int64
	rest       string
}

func (w *showWriter) Write(p []byte) (int, error) {
	text := w.rest + string(p)
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			w.rest = text
			return len(p), nil
		}
		text = rest
		if w.rows++; w.rows > w.skip && (w.rows-w.skip)%10 == 1 {
			f := strings.Split(line, "\t")
			if len(f) >= 6 {
				_, _ = fmt.Printf("  %s  %-24s starts at %s\n", f[0], f[1], f[3])
			}
		}
	}
}

// invite prints how to go on.
func (d *demo) invite(ctx context.Context, r *running, url string) {
	journal := "JOURNAL"
	if conn, err := pgx.Connect(ctx, url); err == nil {
		_ = conn.QueryRow(ctx, "SELECT min(journal) FROM bs_catalog.journals WHERE table_name = 'bid'").Scan(&journal)
		_ = conn.Close(ctx)
	}
	host, port, _ := strings.Cut(r.sql, ":")
	event, _ := auction.New(auction.Config{}).AppendJSON(nil, 49)
	_, _ = fmt.Printf(`
The server stays up. Ask it anything:

  psql -h %s -p %s -U postgres postgres

Append a bid without SQL:

  curl -X PUT --data-binary '%s
' http://%s/%s

Ctrl-C stops everything; the data stays under %s.
`, host, port, strings.TrimSpace(string(event)), r.broker, journal, d.dataDir)
}
