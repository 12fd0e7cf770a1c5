package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"broadsheet.dev/broadsheet/bench/bids"
	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/client"
)

// visible is how long it takes from the begin of an append until its row is answered by a new SELECT, and until a SUBSCRIBE
// has delivered it.
func (b *bench) visible(ctx context.Context) error {
	b.Section("From the begin of a write until its row is seen, ms", "p50", "p99")
	journal, err := bids.MakeTable(ctx, b.server, "CREATE TABLE seen (id bigint)", "seen")
	if err != nil {
		return err
	}
	if err := b.peers[1].exec(ctx, "CREATE TABLE seen (id bigint)"); err != nil {
		return err
	}
	brokers, err := client.Dial(ctx, client.Config{Endpoint: "http://" + b.server.Broker, AppendStreams: true})
	if err != nil {
		return err
	}
	defer func() { _ = brokers.Close() }()
	appendRow := func(id int64) error {
		_, err := brokers.Append(ctx, client.AppendParams{Journal: journal}, strings.NewReader(`{"id":`+strconv.FormatInt(id, 10)+"}\n"))
		return err
	}
	if err := b.selected(ctx, "append, then SELECT", b.peers[0], appendRow); err != nil {
		return err
	}
	for _, p := range b.peers {
		conn, err := pgx.Connect(ctx, p.url)
		if err != nil {
			return err
		}
		insert := func(id int64) error { _, err := conn.Exec(ctx, "INSERT INTO seen VALUES ($1)", id+1<<32); return err }
		err = b.selected(ctx, p.name+": INSERT, then SELECT", p, insert)
		if err = errors.Join(err, conn.Close(ctx)); err != nil {
			return err
		}
	}
	return b.subscribed(ctx, appendRow)
}

// selected writes rows and asks for each.
func (b *bench) selected(ctx context.Context, name string, p peer, write func(int64) error) error {
	conn, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var took []float64
	for begun, id := time.Now(), int64(0); time.Since(begun) < b.duration || id < 5; id++ {
		ms, err := bids.Timed(func() error {
			if err := write(id); err != nil {
				return err
			}
			var n int64
			if err := conn.QueryRow(ctx, "SELECT count(*) FROM seen WHERE id % 4294967296 = $1", id).Scan(&n); err != nil {
				return err
			}
			if n == 0 {
				return fmt.Errorf("row %d isn't there", id)
			}
			return nil
		})
		if err != nil {
			return err
		}
		took = append(took, ms)
	}
	slices.Sort(took)
	b.Add(name, figures.Percentile(took, 0.5), figures.Percentile(took, 0.99))
	return nil
}

// subscribed writes rows one after the other, each when the one before it was delivered.
func (b *bench) subscribed(ctx context.Context, write func(int64) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, ended := make(arrivals, 64), make(chan error, 1)
	go func() { // ends with ctx
		ended <- b.peers[0].with(ctx, func(conn *pgconn.PgConn) error {
			_, err := conn.CopyTo(ctx, rows, "COPY (SUBSCRIBE TO seen) TO STDOUT")
			return err
		})
	}()
	const first = int64(1) << 40
	var took []float64
	for begun, id := time.Now(), first; time.Since(begun) < b.duration || id < first+5; id++ {
		ms, err := bids.Timed(func() error {
			if err := write(id); err != nil {
				return err
			}
			return rows.await(id, ended)
		})
		if err != nil {
			return err
		}
		if id > first { // that one waited for the subscription to begin
			took = append(took, ms)
		}
	}
	cancel()
	<-ended //nolint:errcheck // it was canceled
	slices.Sort(took)
	b.Add("append, then SUBSCRIBE", figures.Percentile(took, 0.5), figures.Percentile(took, 0.99))
	return nil
}

// arrivals are rows as they come.
type arrivals chan int64

// Write takes whole lines of COPY.
func (a arrivals) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		id, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
		if err != nil {
			return 0, err
		}
		a <- id
	}
	return len(p), nil
}

// await a row; those before it are passed over.
func (a arrivals) await(id int64, ended <-chan error) error {
	for {
		select {
		case got := <-a:
			if got == id {
				return nil
			}
		case err := <-ended:
			return fmt.Errorf("the subscription has ended: %w", err)
		}
	}
}
