package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/examples/nexmark/auction"
)

// tables of the feed, by the kind of event.
var tables = [...]struct{ name, columns string }{
	auction.Person: {"person", `id BIGINT NOT NULL, name TEXT, email TEXT, credit_card TEXT, city TEXT, state TEXT,
		date_time TIMESTAMPTZ, extra TEXT`},
	auction.Auction: {"auction", `id BIGINT NOT NULL, item_name TEXT, description TEXT, initial_bid BIGINT, reserve BIGINT,
		date_time TIMESTAMPTZ, expires TIMESTAMPTZ, seller BIGINT, category BIGINT, extra TEXT`},
	auction.Bid: {"bid", `auction BIGINT NOT NULL, bidder BIGINT NOT NULL, price BIGINT, channel TEXT, url TEXT,
		date_time TIMESTAMPTZ, extra TEXT`},
}

// tick is how often the feed appends what is due.
const tick = 50 * time.Millisecond

// feed streams events into the tables, at a rate.
type feed struct {
	sql, broker string
	rate        float64
	events      int64
	seed        uint64
}

func (f *feed) flags(s *flag.FlagSet) {
	s.StringVar(&f.sql, "sql", "postgres://postgres@127.0.0.1:5433/postgres", "URL of the Postgres port")
	s.StringVar(&f.broker, "broker", "http://127.0.0.1:8080", "URL of the broker")
	s.Float64Var(&f.rate, "rate", 1000, "events a second; 0 is as fast as it goes")
	s.Int64Var(&f.events, "events", 0, "how many events to append; 0 is without end")
	s.Uint64Var(&f.seed, "seed", 0, "makes different feeds of the same shape")
}

// run makes the tables if there are none, and goes on where the last feed ended.
func (f *feed) run(ctx context.Context) error {
	next, journals, err := f.prepare(ctx)
	if err != nil {
		return err
	}
	brokers, err := client.Dial(ctx, client.Config{Endpoint: f.broker, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { _ = brokers.Close() }()
	gen := auction.New(auction.Config{Seed: f.seed, Base: time.Now().Add(-time.Duration(next) * 100 * time.Microsecond)})
	if f.rate > 0 {
		gen = auction.New(auction.Config{
			Seed: f.seed, Interval: time.Duration(float64(time.Second) / f.rate),
			Base: time.Now().Add(-time.Duration(float64(next) / f.rate * float64(time.Second))),
		})
	}
	return f.stream(ctx, gen, next, func(ctx context.Context, kind auction.Kind, text []byte) error {
		_, err := brokers.Append(ctx, client.AppendParams{Journal: journals[kind]}, bytes.NewReader(text))
		return err
	})
}

// prepare returns the number of the next event, and the journal of each table.
func (f *feed) prepare(ctx context.Context) (int64, [len(tables)]string, error) {
	var journals [len(tables)]string
	conn, err := pgx.Connect(ctx, f.sql)
	if err != nil {
		return 0, journals, err
	}
	defer func() { _ = conn.Close(ctx) }()
	next := int64(0)
	for i, t := range tables {
		if _, err := conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+t.name+" ("+t.columns+")"); err != nil {
			return 0, journals, fmt.Errorf("table %s: %w", t.name, err)
		}
		var n int64
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+t.name).Scan(&n); err != nil {
			return 0, journals, fmt.Errorf("table %s: %w", t.name, err)
		}
		next += n
		err := conn.QueryRow(ctx, "SELECT min(journal) FROM bs_catalog.journals WHERE table_schema = 'public' AND table_name = $1", t.name).Scan(&journals[i])
		if err != nil {
			return 0, journals, fmt.Errorf("journals of table %s: %w", t.name, err)
		}
	}
	return next, journals, nil
}

// stream appends the events that are due, tick by tick.
func (f *feed) stream(ctx context.Context, gen *auction.Generator, next int64, send func(context.Context, auction.Kind, []byte) error) error {
	began, first := time.Now(), next
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var text [len(tables)][]byte
	for f.events == 0 || next-first < f.events {
		due := next + 10_000
		if f.rate > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-ticker.C:
			}
			due = first + int64(time.Since(began).Seconds()*f.rate)
		}
		if f.events > 0 {
			due = min(due, first+f.events)
		}
		for i := range text {
			text[i] = text[i][:0]
		}
		for ; next < due; next++ {
			kind := auction.KindOf(next)
			text[kind], _ = gen.AppendJSON(text[kind], next)
		}
		for kind := range text {
			if len(text[kind]) == 0 {
				continue
			}
			if err := send(ctx, auction.Kind(kind), text[kind]); err != nil {
				return fmt.Errorf("append to %s: %w", tables[kind].name, err)
			}
		}
	}
	return nil
}
