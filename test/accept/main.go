// Command accept is the acceptance run of first light: it appends ten million records by
// gRPC, HTTP and psql to a real server, counts them in SQL during and after the load, reads
// them by a subscription that was opened before it, kills the server with SIGKILL under
// load, starts it again and counts once more. It ends with 0 only if every count was exact.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/test/system"
)

func main() {
	records := flag.Int64("records", 10_000_000, "how many records to append in all")
	timeout := flag.Duration("timeout", 30*time.Minute, "end the run after this time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	err := run(ctx, *records)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "accept: FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("accept: passed")
}

// run is the whole of it, on a data directory of its own.
func run(ctx context.Context, records int64) error {
	dir, err := os.MkdirTemp("", "broadsheet-accept-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	say("building and starting the server")
	server, err := system.Start(ctx, dir+"/data")
	if err != nil {
		return err
	}
	defer server.Kill()
	// Shares of the doors: most by the protocol, as programs would; psql starts a process
	// for each batch.
	r := &acceptance{server: server, ledger: &ledger{}}
	r.ledger.target = [doors]int64{byGRPC: records * 6 / 10, byHTTP: records * 3 / 10, byPsql: records - records*6/10 - records*3/10}
	began := time.Now()
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"create the table", r.createTable},
		{"load half of it, watched by a subscription and counts", r.loadWatched},
		{"kill the server under load, and start it again", r.loadAndKill},
		{"load the rest", r.loadRest},
		{"count, and read everything once more by a new subscription", r.finish},
	} {
		at := time.Now()
		say("%s", step.name)
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w\n%s", step.name, err, lastLines(server.Log()))
		}
		say("  done in %.1f s: %d records acknowledged", time.Since(at).Seconds(), r.ledger.count())
	}
	stop, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := server.Stop(stop); err != nil {
		return err
	}
	say("%d records in %.0f s; %d counts were exact or within what was under way", r.ledger.count(), time.Since(began).Seconds(), r.counts.Load())
	return nil
}

func say(format string, args ...any) { fmt.Printf("accept: "+format+"\n", args...) }

func lastLines(log string) string {
	const most = 4000
	if len(log) > most {
		log = "..." + log[len(log)-most:]
	}
	return log
}

// workers of each door.
var workers = [doors]int{byGRPC: 3, byHTTP: 2, byPsql: 1}

// batchOf is how many records a door appends at once.
var batchOf = [doors]int64{byGRPC: 1000, byHTTP: 1000, byPsql: 20_000}

// load sends batches by every door until stop ends, or each door is at its target times
// share.
func (r *acceptance) load(ctx, stop context.Context, share float64) error {
	eg, ctx := errgroup.WithContext(ctx)
	for d := range doors {
		limit := int64(float64(r.ledger.target[d]) * share)
		for range workers[d] {
			eg.Go(func() error { return r.work(ctx, stop, d, limit) })
		}
	}
	return eg.Wait()
}

// work is one writer of one door. Once stop has ended a failed append is no error: its
// outcome is unknown, and looked up later.
func (r *acceptance) work(ctx, stop context.Context, d door, limit int64) error {
	w, err := r.writer(ctx, d)
	if err != nil {
		return err
	}
	defer w.close()
	for stop.Err() == nil {
		b, ok := r.ledger.take(d, min(batchOf[d], limit-r.ledger.position(d)))
		if !ok {
			return nil
		}
		err := w.send(ctx, b)
		r.ledger.done(b, err)
		if err != nil && stop.Err() == nil {
			return fmt.Errorf("append by %s: %w", d, err)
		}
	}
	return nil
}

func (r *acceptance) writer(ctx context.Context, d door) (writer, error) {
	switch d {
	case byGRPC:
		return newGRPCWriter(ctx, r.server, r.journals)
	case byHTTP:
		return newHTTPWriter(r.server, r.journals), nil
	case byPsql:
		return &psqlWriter{url: r.server.URL()}, nil
	default:
		return nil, errors.New("no such door")
	}
}
