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

	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/test/system"
)

// viewed is a server with a table that views are of.
type viewed struct {
	server  *system.Server
	conn    *pgx.Conn
	brokers *client.Client
	journal string
	rows    int // of the table
}

// views is how fast a materialized view gets over the table's JSON, per second of processor time of the gateway that keeps it, and
// how soon it shows a row that was appended.
func (b *bench) views(ctx context.Context) error {
	s, err := system.Start(ctx, b.dir+"/views")
	if err != nil {
		return err
	}
	defer s.Kill()
	v, err := openViewed(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _, _ = v.brokers.Close(), v.conn.Close(ctx) }()
	b.Section("Views of rows that are there, JSON", "rows per second", "per core", "of the filter's")
	var first float64
	for i, keys := range append([]int{0}, b.keys...) {
		if err := v.fill(ctx, fmt.Sprintf("t%d", i), b.rows, max(keys, 1)); err != nil {
			return err
		}
		name, query := "filter", fmt.Sprintf("SELECT k, v + 1 AS v, upper(s) AS s FROM t%d WHERE v > 900", i)
		if keys > 0 {
			name = fmt.Sprintf("GROUP BY, %d keys", keys)
			query = fmt.Sprintf("SELECT k, count(*) AS n, sum(v) AS v, max(s) AS s FROM t%d GROUP BY k", i)
		}
		wall, core, err := b.maintained(ctx, v, query)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if keys == 0 {
			first = core
		}
		b.Add(name, wall, core, core/first)
	}
	return b.fresh(ctx, v)
}

func openViewed(ctx context.Context, s *system.Server) (*viewed, error) {
	v := &viewed{server: s}
	var err error
	if v.conn, err = s.Connect(ctx); err != nil {
		return nil, err
	}
	v.brokers, err = client.Dial(ctx, client.Config{Endpoint: "http://" + s.Broker, AppendStreams: true})
	if err != nil {
		return nil, errors.Join(err, v.conn.Close(ctx))
	}
	return v, nil
}

// fill a new table with rows of so many keys.
func (v *viewed) fill(ctx context.Context, table string, rows, keys int) error {
	if _, err := v.conn.Exec(ctx, "CREATE TABLE "+table+" (k BIGINT, v BIGINT, s TEXT)"); err != nil {
		return err
	}
	err := v.conn.QueryRow(ctx, "SELECT min(journal) FROM bs_catalog.journals WHERE table_name = $1", table).Scan(&v.journal)
	if err != nil {
		return err
	}
	v.rows = rows
	var text bytes.Buffer
	for i := range rows {
		fmt.Fprintf(&text, "{\"k\":%d,\"v\":%d,\"s\":\"some text\"}\n", i*7919%keys, i%1000)
		if text.Len() < 1<<20 && i < rows-1 {
			continue
		}
		if _, err := v.brokers.Append(ctx, client.AppendParams{Journal: v.journal}, bytes.NewReader(text.Bytes())); err != nil {
			return err
		}
		text.Reset()
	}
	return nil
}

// maintained makes a view, again and again, and waits until it has all rows: how many a second, and a second of processor time.
func (b *bench) maintained(ctx context.Context, v *viewed, query string) (wall, core float64, failed error) { //nolint:nonamedreturns // two of a type
	var walls, cores []float64
	for range b.repeat {
		gateway, err := v.server.GatewayPID()
		if err != nil {
			return 0, 0, err
		}
		began, used := time.Now(), cpuOf(gateway)
		if _, err := v.conn.Exec(ctx, "CREATE MATERIALIZED VIEW kept WITH (standbys = 0) AS "+query); err != nil {
			return 0, 0, err
		}
		var n int
		if err := v.conn.QueryRow(ctx, "SELECT count(*) FROM kept").Scan(&n); err != nil {
			return 0, 0, err
		}
		walls = append(walls, float64(v.rows)/time.Since(began).Seconds())
		cores = append(cores, float64(v.rows)/(cpuOf(gateway)-used).Seconds())
		if n == 0 {
			return 0, 0, errors.New("the view has no rows")
		}
		if _, err := v.conn.Exec(ctx, "DROP MATERIALIZED VIEW kept"); err != nil {
			return 0, 0, err
		}
	}
	return figures.Median(walls), figures.Median(cores), nil
}

// fresh is how long it takes from the begin of an append until a SELECT from the view has answered with it, with one row at a time.
func (b *bench) fresh(ctx context.Context, v *viewed) error {
	b.Section("From the begin of an append until a view has it, ms", "p50", "p99")
	if err := v.fill(ctx, "fresh", 1, 1); err != nil {
		return err
	}
	if _, err := v.conn.Exec(ctx, "CREATE MATERIALIZED VIEW kept AS SELECT k, count(*) AS n, sum(v) AS v FROM fresh GROUP BY k"); err != nil {
		return err
	}
	var took []float64
	for begun, id := time.Now(), 1; time.Since(begun) < b.duration || id <= 5; id++ {
		at := time.Now()
		line := `{"k":` + strconv.Itoa(id) + `,"v":1}` + "\n"
		if _, err := v.brokers.Append(ctx, client.AppendParams{Journal: v.journal}, strings.NewReader(line)); err != nil {
			return err
		}
		var n int
		if err := v.conn.QueryRow(ctx, "SELECT n FROM kept WHERE k = $1", id).Scan(&n); err != nil {
			return fmt.Errorf("row %d: %w", id, err)
		}
		took = append(took, float64(time.Since(at).Microseconds())/1000)
	}
	slices.Sort(took)
	b.Add("append, then SELECT of its group", figures.Percentile(took, 0.5), figures.Percentile(took, 0.99))
	return nil
}
