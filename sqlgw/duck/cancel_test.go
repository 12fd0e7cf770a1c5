package duck_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

var errEnough = errors.New("enough")

// Statements that run far longer than the tests wait: each blocks in another part
// of DuckDB, the last in our own scan.
var endless = map[string]string{
	"sort":      "SELECT * FROM (SELECT hash(i) h FROM range(500000000) t(i)) ORDER BY h",
	"window":    "SELECT max(s) FROM (SELECT sum(i) OVER (PARTITION BY i % 1000 ORDER BY hash(i)) s FROM range(300000000) t(i))",
	"aggregate": "SELECT count(*) FROM (SELECT DISTINCT hash(i) FROM range(500000000) t(i))",
	"cross":     "SELECT count(*) FROM range(10000000) a(i), range(10000000) b(j) WHERE hash(i) = hash(j) + 1 OR i + j = -1",
	"recursive": "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r",
	"scan":      "SELECT sum(n) FROM numbers('t')",
	"rows":      "SELECT i FROM range(1000000000000) t(i) WHERE i % 1000003 = 7",
}

func TestInterrupt(t *testing.T) {
	db := open(t, duck.Config{MemoryLimit: 400 << 20, TempDir: t.TempDir()})
	tb := numbers(2048, -1)
	register(t, db, "numbers", tb)
	c := connect(t, db)
	for name, sql := range endless {
		t.Run(name, func(t *testing.T) {
			for range 6 {
				after := time.Duration(rand.Int64N(int64(60 * time.Millisecond)))
				ctx, cancel := context.WithCancelCause(t.Context())
				timer := time.AfterFunc(after, func() { cancel(errEnough) })
				began := time.Now()
				_, err := query(ctx, c, sql, nil)
				require.ErrorIs(t, err, errEnough)
				require.Less(t, time.Since(began), time.Minute)
				timer.Stop()
				require.EqualValues(t, 3, one(t, c, "SELECT 3::BIGINT"))
			}
		})
	}
	require.Equal(t, tb.opened.Load(), tb.closed.Load())
}

// TestInterruptLate ends the context deep inside a sort and a window.
func TestInterruptLate(t *testing.T) {
	c := connect(t, open(t, duck.Config{MemoryLimit: 200 << 20, TempDir: t.TempDir()}))
	for _, sql := range []string{
		"SELECT * FROM (SELECT hash(i) h, i FROM range(40000000) t(i)) ORDER BY h, i",
		"SELECT max(s) FROM (SELECT sum(i) OVER (PARTITION BY i % 100 ORDER BY hash(i)) s FROM range(20000000) t(i))",
	} {
		for _, after := range []time.Duration{300 * time.Millisecond, 900 * time.Millisecond} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), after, errEnough)
			began := time.Now()
			_, err := query(ctx, c, sql, nil)
			cancel()
			require.ErrorIs(t, err, errEnough)
			t.Logf("asked after %v, over after %v", after, time.Since(began))
			require.EqualValues(t, 3, one(t, c, "SELECT 3::BIGINT"))
		}
	}
}

// TestInterruptAtAnyMoment ends the context around the beginning and the end of a
// short statement, many times: it either returns its rows or the cause.
func TestInterruptAtAnyMoment(t *testing.T) {
	db := open(t, duck.Config{})
	tb := numbers(2048, 20)
	register(t, db, "numbers", tb)
	c := connect(t, db)
	ended, cancelled := 0, 0
	for i := range 1500 {
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(time.Duration(rand.Int64N(int64(1500*time.Microsecond))), func() { cancel(errEnough) })
		batches, err := query(ctx, c, "SELECT n FROM numbers('t') WHERE n % 3 = 0", nil)
		if err != nil {
			require.ErrorIs(t, err, errEnough, "round %d", i)
			cancelled++
		} else {
			require.Equal(t, (20*2048+2)/3, count(batches), "round %d", i)
			ended++
		}
		timer.Stop()
		cancel(nil)
		require.Equal(t, tb.opened.Load(), tb.closed.Load(), "round %d", i)
	}
	require.Positive(t, ended)
	require.Positive(t, cancelled)
}

// TestContextOfNext tells the context of one Next from that of the query.
func TestContextOfNext(t *testing.T) {
	db := open(t, duck.Config{})
	block := make(chan struct{})
	tb := numbers(2048, -1)
	plain := tb.next
	tb.next = func(ctx context.Context, project []int, n int) (*columnar.Batch, error) {
		if n == 300 {
			close(block)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		return plain(ctx, project, n)
	}
	register(t, db, "numbers", tb)
	c := connect(t, db)
	s, err := c.Prepare(t.Context(), "SELECT n FROM numbers('t')")
	require.NoError(t, err)
	rows, err := s.Query(t.Context(), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { // ends with the test's source
		<-block
		cancel(errEnough)
	}()
	for err == nil {
		_, err = rows.Next(ctx)
	}
	require.ErrorIs(t, err, errEnough)
	require.EqualValues(t, 1, tb.closed.Load(), "the source is closed once Next has returned")
	_, again := rows.Next(t.Context())
	require.ErrorIs(t, again, errEnough)
	require.NoError(t, rows.Close())
	_, again = rows.Next(t.Context())
	require.ErrorIs(t, again, errEnough, "closing doesn't change why the rows ended")
}

func TestContextThatHasEnded(t *testing.T) {
	db := open(t, duck.Config{})
	c := connect(t, db)
	s, err := c.Prepare(t.Context(), "SELECT 1")
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	_, err = db.Conn(ctx)
	require.ErrorIs(t, err, errEnough)
	_, err = c.Prepare(ctx, "SELECT 1")
	require.ErrorIs(t, err, errEnough)
	_, err = s.Query(ctx, nil)
	require.ErrorIs(t, err, errEnough)
	require.ErrorIs(t, c.Exec(ctx, "CREATE TABLE t (a INT)"), errEnough)
	require.EqualValues(t, 0, one(t, c, "SELECT count(*) FROM duckdb_tables()"))
}

// TestStreaming reads a little of an endless scan: DuckDB runs ahead by a bounded buffer.
func TestStreaming(t *testing.T) {
	db := open(t, duck.Config{MemoryLimit: 64 << 20})
	tb := numbers(2048, -1)
	register(t, db, "numbers", tb)
	c := connect(t, db)
	s, err := c.Prepare(t.Context(), "SELECT n, n::VARCHAR || repeat('x', 100) FROM numbers('t')")
	require.NoError(t, err)
	rows, err := s.Query(t.Context(), nil)
	require.NoError(t, err)
	for i := range 10 {
		b, err := rows.Next(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, i*2048, b.Cols[0].I64[0])
	}
	used, err := db.MemoryUsage(t.Context())
	require.NoError(t, err)
	require.Less(t, used.InMemory, int64(32<<20))
	require.NoError(t, rows.Close())
	require.EqualValues(t, 1, tb.opened.Load())
	require.EqualValues(t, 1, tb.closed.Load(), "the source is closed when Close returns")
	require.Less(t, tb.nexts.Load(), int64(200))
	_, err = rows.Next(t.Context())
	require.ErrorIs(t, err, duck.ErrClosed)
}

// TestEarlyEndInTransaction ends rows before their end inside a transaction, which goes on.
func TestEarlyEndInTransaction(t *testing.T) {
	db := open(t, duck.Config{})
	register(t, db, "numbers", numbers(2048, -1))
	c := connect(t, db)
	for _, sql := range []string{"BEGIN", "CREATE TABLE t (a BIGINT)", "INSERT INTO t VALUES (42)"} {
		require.NoError(t, c.Exec(t.Context(), sql))
	}
	s, err := c.Prepare(t.Context(), "SELECT n FROM numbers('t')")
	require.NoError(t, err)
	rows, err := s.Query(t.Context(), nil)
	require.NoError(t, err)
	_, err = rows.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, rows.Close())
	require.EqualValues(t, 42, one(t, c, "SELECT a FROM t"))
	require.NoError(t, c.Exec(t.Context(), "COMMIT"))
	require.EqualValues(t, 42, one(t, connect(t, db), "SELECT a FROM t"))
}

// TestCloseWhileRunning closes connections and the instance under running statements.
func TestCloseWhileRunning(t *testing.T) {
	for _, what := range []string{"connection", "instance", "rows"} {
		t.Run(what, func(t *testing.T) {
			db := open(t, duck.Config{})
			tb := numbers(2048, -1)
			register(t, db, "numbers", tb)
			c := connect(t, db)
			s, err := c.Prepare(t.Context(), "SELECT n FROM numbers('t')")
			require.NoError(t, err)
			rows, err := s.Query(t.Context(), nil)
			require.NoError(t, err)
			result := make(chan error, 1)
			go func() {
				for {
					if _, err := rows.Next(context.Background()); err != nil {
						result <- err
						return
					}
				}
			}()
			for range 5 {
				_, busy := c.Prepare(t.Context(), "SELECT 1")
				require.ErrorIs(t, busy, duck.ErrBusy)
			}
			switch what {
			case "connection":
				require.NoError(t, c.Close())
			case "instance":
				require.NoError(t, db.Close())
			default:
				require.NoError(t, rows.Close())
			}
			require.ErrorIs(t, <-result, duck.ErrClosed)
			require.Equal(t, tb.opened.Load(), tb.closed.Load())
			_, err = rows.Next(t.Context())
			require.ErrorIs(t, err, duck.ErrClosed)
			require.NoError(t, rows.Close())
			require.NoError(t, s.Close())
			if what != "rows" {
				_, err = c.Prepare(t.Context(), "SELECT 1")
				require.ErrorIs(t, err, duck.ErrClosed)
				_, err = s.Query(t.Context(), nil)
				require.ErrorIs(t, err, duck.ErrClosed)
			}
			if what == "instance" {
				_, err = db.Conn(t.Context())
				require.ErrorIs(t, err, duck.ErrClosed)
			}
		})
	}
}

// TestLeaks ends statements in every way and finds that nothing is held: what DuckDB
// still held at the end would fail the instance's Close.
func TestLeaks(t *testing.T) {
	db := open(t, duck.Config{})
	tb := numbers(5000, 3)
	plain := tb.next
	tb.next = func(ctx context.Context, project []int, n int) (*columnar.Batch, error) {
		if n == 2 && rand.IntN(4) == 0 {
			return nil, errEnough
		}
		return plain(ctx, project, n)
	}
	register(t, db, "numbers", tb)
	c := connect(t, db)
	for i := range 1000 {
		ctx, cancel := context.WithCancelCause(t.Context())
		s, err := c.Prepare(ctx, []string{
			"SELECT n FROM numbers('t')", "SELECT a.n FROM numbers('t') a JOIN numbers('t') b USING (n)",
			"SELECT sum(n) FROM numbers('t')", "SELECT n FROM numbers('t') LIMIT 1", "SELECT n::TINYINT FROM numbers('t')",
		}[i%5])
		require.NoError(t, err)
		if i%7 == 3 {
			time.AfterFunc(time.Duration(rand.IntN(900))*time.Microsecond, func() { cancel(errEnough) })
		}
		if rows, err := s.Query(ctx, nil); err == nil {
			for n := rand.IntN(12); n > 0 && err == nil; n-- {
				_, err = rows.Next(ctx)
			}
			if err != nil && !errors.Is(err, io.EOF) {
				var failed *duck.Error
				require.True(t, errors.Is(err, errEnough) || errors.As(err, &failed), "%v", err)
			}
			require.NoError(t, rows.Close())
		}
		require.NoError(t, s.Close())
		cancel(nil)
		require.Equal(t, tb.opened.Load(), tb.closed.Load(), "round %d", i)
	}
	require.Greater(t, tb.opened.Load(), int64(900))
}
