package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"broadsheet.dev/broadsheet/bench/bids"
	"broadsheet.dev/broadsheet/bench/figures"
)

// with a connection.
func (p peer) with(ctx context.Context, do func(*pgconn.PgConn) error) error {
	conn, err := pgconn.Connect(ctx, p.url)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

// read a query's rows in one format, and drop them. It returns how many there were.
func (p peer) read(ctx context.Context, sql string, format int16) (int64, error) {
	n := int64(0)
	err := p.with(ctx, func(conn *pgconn.PgConn) error {
		rows := conn.ExecParams(ctx, sql, nil, nil, nil, []int16{format})
		for rows.NextRow() {
			n++
		}
		_, err := rows.Close()
		return err
	})
	return n, err
}

// copy rows into a table by COPY, in text and in CSV.
func (b *bench) copy(ctx context.Context) error {
	b.Section(fmt.Sprintf("COPY FROM of %d rows of 4 columns, rows a second", b.rows), "broadsheet", "PostgreSQL", "of PostgreSQL")
	if err := b.both(ctx, "CREATE TABLE copied (id bigint, name text, price numeric(12,2), at timestamptz)"); err != nil {
		return err
	}
	for name, options := range map[string]string{"text": "", "csv": " (FORMAT csv)"} {
		comma := map[string]string{"text": "\t", "csv": ","}[name]
		err := b.compare(name, func(p peer) (float64, error) {
			ms, err := bids.Timed(func() error {
				return p.with(ctx, func(conn *pgconn.PgConn) error {
					_, err := conn.CopyFrom(ctx, &lines{left: b.rows, comma: comma}, "COPY copied FROM STDIN"+options)
					return err
				})
			})
			return float64(b.rows) / ms * 1000, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lines are rows for COPY.
type lines struct {
	left  int64
	comma string
	text  []byte
}

// Read as of io.Reader.
func (l *lines) Read(p []byte) (int, error) {
	for len(l.text) < len(p) && l.left > 0 {
		l.left--
		l.text = fmt.Appendf(l.text, "%d%sname %d%s%d.25%s2026-01-02 03:04:05.678901+00\n", l.left, l.comma, l.left%1000, l.comma, l.left%10000, l.comma)
	}
	n := copy(p, l.text)
	l.text = l.text[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// fill makes the table of bids in both, once: PostgreSQL's by COPY out of ours.
func (b *bench) fill(ctx context.Context) error {
	if b.filled {
		return nil
	}
	if err := bids.Fill(ctx, b.server, b.rows); err != nil {
		return err
	}
	var err error
	if b.files, err = bids.Settled(ctx, b.server, b.rows); err != nil {
		return err
	}
	pg := b.peers[1]
	if err := pg.exec(ctx, "CREATE TABLE bid ("+bids.Columns+")"); err != nil {
		return err
	}
	out, in := io.Pipe()
	sent := make(chan error, 1)
	go func() { // ends with the pipe
		err := b.peers[0].with(ctx, func(conn *pgconn.PgConn) error {
			_, err := conn.CopyTo(ctx, in, "COPY (SELECT * FROM bid) TO STDOUT")
			return err
		})
		sent <- err
		_ = in.CloseWithError(err)
	}()
	err = pg.with(ctx, func(conn *pgconn.PgConn) error {
		_, err := conn.CopyFrom(ctx, out, "COPY bid FROM STDIN")
		return err
	})
	_ = out.CloseWithError(err)
	if err := errors.Join(err, <-sent, pg.exec(ctx, "VACUUM ANALYZE bid")); err != nil {
		return err
	}
	b.filled = true
	return nil
}

// scan asks the gateway, DuckDB alone on the same files, and PostgreSQL about the same rows.
func (b *bench) scan(ctx context.Context) error {
	if err := b.fill(ctx); err != nil {
		return err
	}
	alone, err := bids.OpenAlone(ctx, b.server, b.dir)
	if err != nil {
		return err
	}
	defer func() { _ = alone.Close() }()
	from, err := alone.Source(b.files)
	if err != nil {
		return err
	}
	b.Section(fmt.Sprintf("Queries over %d rows in %d raw zstd fragments, ms", b.rows, len(b.files)), "broadsheet", "DuckDB", "of DuckDB", "PostgreSQL", "of PostgreSQL")
	for _, q := range bids.Queries() {
		var all [3][]float64
		for range b.repeat {
			for i, ask := range []func() error{
				func() error { _, err := b.peers[0].read(ctx, q.Of("bid"), 1); return err },
				func() error { return alone.Ask(ctx, q.Of("("+from+")")) },
				func() error { _, err := b.peers[1].read(ctx, q.Of("bid"), 1); return err },
			} {
				ms, err := bids.Timed(ask)
				if err != nil {
					return fmt.Errorf("%s: %w", q.Name, err)
				}
				all[i] = append(all[i], ms)
			}
		}
		ours, duck, pg := figures.Median(all[0]), figures.Median(all[1]), figures.Median(all[2])
		b.Add(q.Name, ours, duck, ours/duck, pg, ours/pg)
	}
	return nil
}

// wire reads many rows, which are made by the server or stand in the table.
func (b *bench) wire(ctx context.Context) error {
	if err := b.fill(ctx); err != nil {
		return err
	}
	b.Section("Result rows a second", "broadsheet", "PostgreSQL", "of PostgreSQL")
	for _, q := range []struct{ name, sql string }{
		{"generated, 3 columns", fmt.Sprintf("SELECT n, n * 0.5::float8 AS half, 'row ' || n AS name FROM generate_series(1, %d) s(n)", b.rows)},
		{"table of bids, 7 columns", "SELECT * FROM bid"},
	} {
		for format, name := range []string{"text", "binary"} {
			err := b.compare(q.name+", "+name, func(p peer) (float64, error) {
				n := int64(0)
				ms, err := bids.Timed(func() error {
					var err error
					n, err = p.read(ctx, q.sql, int16(format)) //nolint:gosec // 0 or 1
					return err
				})
				if err == nil && n != b.rows {
					err = fmt.Errorf("%s: %d rows of %d", strings.ToLower(q.name), n, b.rows)
				}
				return float64(n) / ms * 1000, err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
