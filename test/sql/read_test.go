package sql_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func TestParameters(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT, v TEXT, at TIMESTAMPTZ, ok BOOLEAN, n NUMERIC(10,2))")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	exec(t, conn, "INSERT INTO "+name+" VALUES ($1, $2, $3, $4, $5)", 7, "x", at, true, "1.50")
	exec(t, conn, "INSERT INTO "+name+" (v, id) VALUES ($1, $2), ($3, $2)", nil, 8, "y")
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		var id int64
		var v *string
		var when *time.Time
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT id, v, at FROM "+name+" WHERE id = $1 AND ok", mode, int64(7)).Scan(&id, &v, &when), mode)
		require.Equal(t, int64(7), id)
		require.Equal(t, "x", *v)
		require.True(t, at.Equal(*when), mode)
	}
	var n int64
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM "+name+" WHERE v = $1 OR $2::text IS NULL", "zzz", nil).Scan(&n))
	require.Equal(t, int64(3), n)
}

func TestPreparedStatementAfterDrop(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT)")
	_, err := conn.Prepare(t.Context(), "q", "SELECT id FROM "+name)
	require.NoError(t, err)
	_, err = conn.Prepare(t.Context(), "s", "SUBSCRIBE TO "+name)
	require.NoError(t, err)
	exec(t, conn, "INSERT INTO "+name+" VALUES (1)")
	r, err := conn.Query(t.Context(), "q")
	require.NoError(t, err)
	_, err = pgx.CollectRows(r, pgx.RowTo[int64])
	require.NoError(t, err)
	fails := func(code string) {
		for _, prepared := range []string{"q", "s"} {
			_, err = conn.Exec(t.Context(), prepared)
			var e *pgconn.PgError
			require.ErrorAs(t, err, &e, prepared)
			require.Equal(t, code, e.Code, prepared)
		}
	}
	exec(t, conn, "DROP TABLE "+name)
	fails("42P01")
	exec(t, conn, "CREATE TABLE "+name+" (id TEXT)")
	fails("0A000")
}

func TestCancelAndTimeout(t *testing.T) {
	conn := connect(t)
	const long = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	exec(t, conn, "SET statement_timeout = '200ms'")
	_, err := conn.Exec(t.Context(), long)
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "57014", e.Code)
	require.Equal(t, "canceling statement due to statement timeout", e.Message)
	exec(t, conn, "RESET statement_timeout")
	<-ctx.Done()
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), long)
		done <- err
	}()
	require.Eventually(t, func() bool {
		require.NoError(t, conn.PgConn().CancelRequest(t.Context()))
		select {
		case err = <-done:
			return true
		default:
			return false
		}
	}, time.Minute, 20*time.Millisecond)
	require.ErrorAs(t, err, &e)
	require.Equal(t, "57014", e.Code)
	require.Equal(t, []string{"1"}, rows(t, conn, "SELECT 1"))
}

// TestManyRows: more rows than one chunk of the engine or one buffer of the wire holds.
func TestManyRows(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT)")
	exec(t, conn, "INSERT INTO "+name+" SELECT g FROM generate_series(1, 5000) AS s(g)")
	require.Equal(t, []string{"5000|12502500"}, rows(t, conn, "SELECT count(*), sum(id) FROM "+name))
	require.Len(t, rows(t, conn, "SELECT id FROM "+name), 5000)
}

// TestSubscribe: rows at the cut, then each new row as it comes, once, in both forms.
func TestSubscribe(t *testing.T) {
	for _, form := range []string{"plain", "copy"} {
		t.Run(form, func(t *testing.T) {
			conn := connect(t)
			name := table(t, conn, "(id BIGINT, v TEXT) WITH (journals = 3, fragment_length = '1KiB')")
			exec(t, conn, "INSERT INTO "+name+" VALUES (0, 'there before')")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			got := make(chan int64, 10_000)
			var eg errgroup.Group
			eg.Go(func() error { return subscribe(ctx, form, name, got) })
			const most = 300
			eg.Go(func() error {
				for i := 1; i < most; i++ {
					// Not ctx: the subscription may show a row before its writer has the answer.
					if _, err := conn.Exec(t.Context(), "INSERT INTO "+name+" VALUES ($1, $2)", i, strings.Repeat("x", i)); err != nil {
						return err
					}
				}
				return nil
			})
			seen := map[int64]bool{}
			deadline := time.After(2 * time.Minute)
			for len(seen) < most {
				select {
				case id := <-got:
					require.False(t, seen[id], "row %d came twice", id)
					seen[id] = true
				case <-deadline:
					t.Fatalf("%d of %d rows came", len(seen), most)
				}
			}
			cancel()
			require.NoError(t, eg.Wait())
			require.Empty(t, got)
		})
	}
}

func subscribe(ctx context.Context, form, name string, got chan<- int64) error {
	conn, err := server.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if form == "copy" {
		pr, pw := io.Pipe()
		var eg errgroup.Group
		eg.Go(func() error {
			_, err := conn.PgConn().CopyTo(ctx, pw, "COPY (SUBSCRIBE TO "+name+") TO STDOUT")
			return pw.CloseWithError(err)
		})
		eg.Go(func() error {
			lines := bufio.NewScanner(pr)
			for lines.Scan() {
				id, _, _ := strings.Cut(lines.Text(), "\t")
				n, err := strconv.ParseInt(id, 10, 64)
				if err != nil {
					return err
				}
				got <- n
			}
			return ignoreEnd(ctx, lines.Err())
		})
		return ignoreEnd(ctx, eg.Wait())
	}
	r, err := conn.Query(ctx, "SUBSCRIBE TO "+name)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	defer r.Close()
	for r.Next() {
		var id int64
		var v string
		if err := r.Scan(&id, &v); err != nil {
			return ignoreEnd(ctx, err)
		}
		got <- id
	}
	return ignoreEnd(ctx, r.Err())
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the test ended it
	}
	return err
}

// TestCutIsExact: while writers append to several journals, whose fragments are closed, stored
// and proven all the time, each statement sees every row that was acknowledged before it began,
// no row twice, of each writer a prefix, and the same for each mention of the table.
func TestCutIsExact(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(writer BIGINT, seq BIGINT, pad TEXT) WITH (journals = 2, fragment_length = '2KiB', refresh_interval = '1 second')")
	const writers = 4
	var acked [writers]atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	eg, ctx := errgroup.WithContext(ctx)
	for w := range writers {
		eg.Go(func() error { return write(ctx, name, w, &acked[w]) })
	}
	var checks sync.WaitGroup
	failed := make(chan error, 10)
	for range 2 {
		checks.Go(func() {
			for range 25 {
				if err := checkCut(t.Context(), name, acked[:]); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	checks.Wait()
	stop()
	require.NoError(t, ignoreEnd(ctx, eg.Wait()))
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	var stored int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM "+name).Scan(&stored))
	require.Positive(t, stored)
}

func write(ctx context.Context, name string, w int, acked *atomic.Int64) error {
	conn, err := server.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for i := int64(0); ctx.Err() == nil; i++ {
		_, err := conn.Exec(ctx, "INSERT INTO "+name+" VALUES ($1, $2, $3)", w, i, strings.Repeat("p", int(i%300)))
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		acked.Store(i + 1)
	}
	return nil
}

func checkCut(ctx context.Context, name string, acked []atomic.Int64) error {
	conn, err := server.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	before := make([]int64, len(acked))
	for i := range acked {
		before[i] = acked[i].Load()
	}
	r, err := conn.Query(ctx, `SELECT writer, count(*), count(DISTINCT seq), max(seq), (SELECT count(*) FROM `+name+` u WHERE u.writer = t.writer)
		FROM `+name+` t GROUP BY writer`)
	if err != nil {
		return err
	}
	have := map[int64]int64{}
	for r.Next() {
		var w, n, distinct, newest, again int64
		if err := r.Scan(&w, &n, &distinct, &newest, &again); err != nil {
			return err
		}
		if n != distinct || newest != n-1 || again != n {
			return errors.New("writer " + strconv.FormatInt(w, 10) + ": " + fmt.Sprint(n, " rows, ", distinct, " distinct, newest ", newest, ", other mention ", again))
		}
		have[w] = n
	}
	for w, n := range before {
		if have[int64(w)] < n {
			return fmt.Errorf("writer %d: %d rows were acknowledged before, %d are there", w, n, have[int64(w)])
		}
	}
	return r.Err()
}
