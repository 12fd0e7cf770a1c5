package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/examples/nexmark/auction"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/test/system"
)

// bidColumns of the table that is scanned, as SQL.
const bidColumns = `auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, url TEXT, date_time TIMESTAMPTZ, extra TEXT`

// scanQueries with TABLE where the rows are.
func scanQueries() []struct{ name, sql string } {
	return []struct{ name, sql string }{
		{"count(*)", "SELECT count(*) FROM TABLE"},
		{"sum(1 column)", "SELECT sum(price) FROM TABLE"},
		{"filter + group by", "SELECT channel, count(*), max(price) FROM TABLE WHERE price > 10000 GROUP BY channel ORDER BY 2 DESC LIMIT 10"},
		{"top-k", "SELECT auction, price FROM TABLE ORDER BY price DESC LIMIT 10"},
	}
}

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
	if err := fill(ctx, s, o.rows); err != nil {
		return err
	}
	files, err := awaitStored(ctx, s)
	if err != nil {
		return err
	}
	if err := awaitInPlace(ctx, s, o.rows); err != nil {
		return err
	}
	alone, err := openAlone(ctx, s, dir)
	if err != nil {
		return err
	}
	defer func() { _ = alone.close() }()
	from, err := alone.source(files)
	if err != nil {
		return err
	}
	r.Section(fmt.Sprintf("SQL over %d rows in %d zstd fragments", o.rows, len(files)), "gateway ms", "DuckDB ms", "gateway/DuckDB")
	for _, q := range scanQueries() {
		var ours, theirs []float64
		for range o.repeat {
			a, err := timed(func() error { return ask(ctx, s, strings.Replace(q.sql, "TABLE", "bid", 1)) })
			if err != nil {
				return err
			}
			b, err := timed(func() error { return alone.ask(ctx, strings.Replace(q.sql, "TABLE", "("+from+")", 1)) })
			if err != nil {
				return err
			}
			ours, theirs = append(ours, a), append(theirs, b)
		}
		r.Add(q.name, figures.Median(ours), figures.Median(theirs), figures.Median(ours)/figures.Median(theirs))
	}
	return nil
}

func timed(fn func() error) (float64, error) {
	at := time.Now()
	err := fn()
	return float64(time.Since(at).Microseconds()) / 1000, err
}

// fill appends bids of the auction in batches, so that fragments close by their length.
func fill(ctx context.Context, s *system.Server, rows int64) error {
	journal, err := makeTable(ctx, s, "CREATE TABLE bid ("+bidColumns+") WITH (fragment_length = '32MiB')", "bid")
	if err != nil {
		return err
	}
	c, err := client.Dial(ctx, client.Config{Endpoint: "http://" + s.Broker})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	gen := auction.New(auction.Config{})
	eg, ctx := errgroup.WithContext(ctx)
	eg.SetLimit(4)
	const batch = 20_000
	event := int64(0)
	for made := int64(0); made < rows; {
		var text []byte
		for n := 0; n < batch && made < rows; event++ {
			if auction.KindOf(event) == auction.Bid {
				text, _ = gen.AppendJSON(text, event)
				n++
				made++
			}
		}
		eg.Go(func() error {
			_, err := c.Append(ctx, client.AppendParams{Journal: journal}, bytes.NewReader(text))
			return err
		})
	}
	return eg.Wait()
}

// awaitStored waits until the number of stored files doesn't grow any more.
func awaitStored(ctx context.Context, s *system.Server) ([]string, error) {
	var last []string
	for same := 0; same < 10; {
		files, err := zstdFiles(filepath.Join(s.Dir, "fragments"))
		if err != nil {
			return nil, err
		}
		if len(files) > 0 && slices.Equal(files, last) {
			same++
		} else {
			same, last = 0, files
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
	return last, nil
}

func zstdFiles(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".zst") {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// awaitInPlace asks until the gateway has proven the fragments: until two answers take about
// the same time. Each must be right.
func awaitInPlace(ctx context.Context, s *system.Server, rows int64) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	last := 0.0
	for {
		took, err := timed(func() error {
			var n int64
			if err := conn.QueryRow(ctx, "SELECT count(*) FROM bid").Scan(&n); err != nil {
				return err
			}
			if n != rows {
				return fmt.Errorf("count(*) is %d of %d", n, rows)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if took > last*0.8 && took < last*1.2 {
			return nil
		}
		last = took
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
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

// aloneDuck is DuckDB in this process, without anything of ours around it but the door.
type aloneDuck struct {
	db   *duck.DB
	conn *duck.Conn
}

func openAlone(ctx context.Context, s *system.Server, dir string) (*aloneDuck, error) {
	db, err := duck.Open(ctx, duck.Config{MemoryLimit: 2 << 30, Threads: 2, TempDir: filepath.Join(dir, "alone"), FragmentRoot: filepath.Join(s.Dir, "fragments")})
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &aloneDuck{db: db, conn: conn}, nil
}

func (a *aloneDuck) close() error { return errors.Join(a.conn.Close(), a.db.Close()) }

// source is DuckDB's SQL of the files with explicit columns.
func (a *aloneDuck) source(files []string) (string, error) {
	var schema columnar.Schema
	for column := range strings.SplitSeq(bidColumns, ", ") {
		name, ty, _ := strings.Cut(column, " ")
		t, err := columnar.TypeFromSQL(strings.ToLower(ty), nil)
		if err != nil {
			return "", err
		}
		schema.Columns = append(schema.Columns, columnar.Column{Name: name, Type: t})
	}
	return duck.ReadJSON(files, schema)
}

func (a *aloneDuck) ask(ctx context.Context, sql string) error {
	stmt, err := a.conn.Prepare(ctx, sql)
	if err != nil {
		return err
	}
	rows, err := stmt.Query(ctx, nil)
	if err != nil {
		return errors.Join(err, stmt.Close())
	}
	for {
		if _, err := rows.Next(ctx); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, rows.Close(), stmt.Close())
		}
	}
}
