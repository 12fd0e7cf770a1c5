package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/bench/bids"
	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/client"
)

// What a dashboard does: it asks so often, of a table that grows by so much.
const (
	askEvery     = time.Second / 20
	writeEvery   = 100 * time.Millisecond
	bytesAWrite  = 500_000
	dashboardSQL = "SELECT channel, count(*), sum(price) FROM growing WHERE at > now() - interval '1 hour' GROUP BY channel ORDER BY 2 DESC LIMIT 10"
	dashboards   = 4 // connections
)

// dashboard asks 20 times a second over the last hour of a table that 5 MB a second are appended to.
func (b *bench) dashboard(ctx context.Context) error {
	const columns = "id bigint, channel text, price bigint, url text, at timestamptz"
	journal, err := bids.MakeTable(ctx, b.server, "CREATE TABLE growing ("+columns+")", "growing")
	if err != nil {
		return err
	}
	if err := b.peers[1].exec(ctx, "CREATE TABLE growing ("+columns+")"); err != nil {
		return err
	}
	brokers, err := client.Dial(ctx, client.Config{Endpoint: "http://" + b.server.Broker})
	if err != nil {
		return err
	}
	defer func() { _ = brokers.Close() }()
	copier, err := pgconn.Connect(ctx, b.peers[1].url)
	if err != nil {
		return err
	}
	defer func() { _ = copier.Close(ctx) }()
	b.Section(fmt.Sprintf("A dashboard, for %v: 20 queries a second, 5 MB a second appended", 10*b.duration), "answered/s", "p50 ms", "p99 ms", "MB/s written", "rows at the end")
	writes := []func(from int64) (int64, int, error){
		func(from int64) (int64, int, error) {
			text, next := growth(from, `{"id":%d,"channel":"channel %d","price":%d,"url":"https://example.com/%060d","at":"%s"}`+"\n")
			_, err := brokers.Append(ctx, client.AppendParams{Journal: journal}, bytes.NewReader(text))
			return next, len(text), err
		},
		func(from int64) (int64, int, error) {
			text, next := growth(from, "%d\tchannel %d\t%d\thttps://example.com/%060d\t%s\n")
			_, err := copier.CopyFrom(ctx, bytes.NewReader(text), "COPY growing FROM STDIN")
			return next, bytesAWrite, err // the same rows
		},
	}
	for i, p := range b.peers {
		if err := b.dashboardOf(ctx, p, writes[i]); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// growth are rows of the form from a number on: as many as make up a write as JSON.
func growth(from int64, form string) ([]byte, int64) {
	const line = 168 // bytes of one, as JSON
	var out []byte
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	next := from + bytesAWrite/line
	for id := from; id < next; id++ {
		out = fmt.Appendf(out, form, id, id%37, id%1000, id, now)
	}
	return out, next
}

// dashboardOf one peer. A query that finds all connections busy waits, which counts.
func (b *bench) dashboardOf(ctx context.Context, p peer, write func(int64) (int64, int, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 10*b.duration)
	defer cancel()
	begun := time.Now()
	var eg errgroup.Group
	rows, bytesWritten := int64(0), 0
	eg.Go(func() error {
		return every(ctx, writeEvery, func(time.Time) error {
			next, n, err := write(rows)
			rows, bytesWritten = next, bytesWritten+n
			return err
		})
	})
	asked := make(chan time.Time, 1<<16)
	eg.Go(func() error {
		defer close(asked)
		return every(ctx, askEvery, func(at time.Time) error { asked <- at; return nil })
	})
	var mu sync.Mutex
	var took []float64
	for range dashboards {
		eg.Go(func() error {
			conn, err := pgx.Connect(ctx, p.url)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			for at := range asked {
				rows, err := conn.Query(ctx, dashboardSQL)
				if err == nil {
					_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
				}
				if ctx.Err() != nil {
					return nil
				}
				if err != nil {
					return err
				}
				mu.Lock()
				took = append(took, float64(time.Since(at).Microseconds())/1000)
				mu.Unlock()
			}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		return err
	}
	if len(took) == 0 {
		return errors.New("nothing was answered in time")
	}
	slices.Sort(took)
	seconds := time.Since(begun).Seconds()
	b.Add(p.name, float64(len(took))/seconds, figures.Percentile(took, 0.5), figures.Percentile(took, 0.99), float64(bytesWritten)/seconds/1e6, float64(rows))
	return nil
}

// every so often do something until ctx is done. What takes longer isn't made up for.
func every(ctx context.Context, pause time.Duration, do func(time.Time) error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case at := <-tick.C:
			if err := do(at); err != nil && ctx.Err() == nil && !strings.Contains(err.Error(), "canceled") {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}
