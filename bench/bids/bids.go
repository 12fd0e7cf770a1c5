// Package bids makes a table of bids, whose fragments DuckDB reads too, and has questions about them.
//
// # What
//
// Fill makes the table, Settled waits until all of it is stored and read in place, and Alone is DuckDB in this process
// without anything of ours around it but the door.
//
// # Invariants
//
//   - What DuckDB reads are the files that the gateway reads, with the columns that it gives DuckDB.
//
// # Goroutines
//
// None but those of the servers, and of Fill, which awaits them.
//
// # Testing
//
// By bench/sql, whose short run is a test.
package bids

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/examples/nexmark/auction"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/test/system"
)

// Columns of the table, as SQL.
const Columns = `auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, url TEXT, date_time TIMESTAMPTZ, extra TEXT`

// Query is a question, with TABLE where the rows are.
type Query struct{ Name, SQL string }

// Of is the question about a table.
func (q Query) Of(table string) string { return strings.Replace(q.SQL, "TABLE", table, 1) }

// Queries about bids.
func Queries() []Query {
	return []Query{
		{"count(*)", "SELECT count(*) FROM TABLE"},
		{"sum(1 column)", "SELECT sum(price) FROM TABLE"},
		{"filter + group by", "SELECT channel, count(*), max(price) FROM TABLE WHERE price > 10000 GROUP BY channel ORDER BY 2 DESC LIMIT 10"},
		{"top-k", "SELECT auction, price FROM TABLE ORDER BY price DESC LIMIT 10"},
	}
}

// Timed is how many milliseconds something took.
func Timed(fn func() error) (float64, error) {
	at := time.Now()
	err := fn()
	return float64(time.Since(at).Microseconds()) / 1000, err
}

// Fill makes the table bid and appends bids of the auction in batches, so that fragments close by their length.
func Fill(ctx context.Context, s *system.Server, rows int64) error {
	journal, err := MakeTable(ctx, s, "CREATE TABLE bid ("+Columns+") WITH (fragment_length = '32MiB')", "bid")
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

// MakeTable makes a table and returns the name of its first journal.
func MakeTable(ctx context.Context, s *system.Server, sql, name string) (string, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return "", err
	}
	var journal string
	err = conn.QueryRow(ctx, "SELECT min(journal) FROM bs_catalog.journals WHERE table_name = $1", name).Scan(&journal)
	return journal, err
}

// Settled waits until the table's fragments are stored and proven, and returns their files.
func Settled(ctx context.Context, s *system.Server, rows int64) ([]string, error) {
	files, err := awaitStored(ctx, s)
	if err != nil {
		return nil, err
	}
	return files, awaitInPlace(ctx, s, rows)
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
		took, err := Timed(func() error {
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

// Alone is DuckDB in this process, without anything of ours around it but the door.
type Alone struct {
	db   *duck.DB
	conn *duck.Conn
}

// OpenAlone opens it over the files of a server.
func OpenAlone(ctx context.Context, s *system.Server, dir string) (*Alone, error) {
	db, err := duck.Open(ctx, duck.Config{MemoryLimit: 2 << 30, Threads: 2, TempDir: filepath.Join(dir, "alone"), FragmentRoot: filepath.Join(s.Dir, "fragments")})
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Alone{db: db, conn: conn}, nil
}

// Close it.
func (a *Alone) Close() error { return errors.Join(a.conn.Close(), a.db.Close()) }

// Source is DuckDB's SQL of the files with explicit columns.
func (a *Alone) Source(files []string) (string, error) {
	var schema columnar.Schema
	for column := range strings.SplitSeq(Columns, ", ") {
		name, ty, _ := strings.Cut(column, " ")
		t, err := columnar.TypeFromSQL(strings.ToLower(ty), nil)
		if err != nil {
			return "", err
		}
		schema.Columns = append(schema.Columns, columnar.Column{Name: name, Type: t})
	}
	return duck.ReadJSON(files, schema)
}

// Ask a query and drop its rows.
func (a *Alone) Ask(ctx context.Context, sql string) error {
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
