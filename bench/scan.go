package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"

	"broadsheet.dev/broadsheet/bench/bids"
	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/test/system"
)

// benchScan asks the gateway and DuckDB alone about the same files.
func benchScan(ctx context.Context, o *options, r *figures.Report) error {
	dir, err := os.MkdirTemp("", "broadsheet-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := system.Start(ctx, dir+"/data")
	if err != nil {
		return err
	}
	defer s.Kill()
	if err := bids.Fill(ctx, s, o.rows); err != nil {
		return err
	}
	files, err := bids.Settled(ctx, s, o.rows)
	if err != nil {
		return err
	}
	alone, err := bids.OpenAlone(ctx, s, dir)
	if err != nil {
		return err
	}
	defer func() { _ = alone.Close() }()
	from, err := alone.Source(files)
	if err != nil {
		return err
	}
	r.Section(fmt.Sprintf("SQL over %d rows in %d zstd fragments", o.rows, len(files)), "gateway ms", "DuckDB ms", "gateway/DuckDB")
	for _, q := range bids.Queries() {
		var ours, theirs []float64
		for range o.repeat {
			a, err := bids.Timed(func() error { return ask(ctx, s, q.Of("bid")) })
			if err != nil {
				return err
			}
			b, err := bids.Timed(func() error { return alone.Ask(ctx, q.Of("("+from+")")) })
			if err != nil {
				return err
			}
			ours, theirs = append(ours, a), append(theirs, b)
		}
		r.Add(q.Name, figures.Median(ours), figures.Median(theirs), figures.Median(ours)/figures.Median(theirs))
	}
	return nil
}

// ask runs a query by the wire and drops its rows.
func ask(ctx context.Context, s *system.Server, sql string) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return err
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	return err
}
