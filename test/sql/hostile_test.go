package sql_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// hostileDeadline is the statement_timeout of the hostile queries.
const hostileDeadline = time.Second

// unending are queries that would never end, or take all memory there is.
func unending() []string {
	const all = "generate_series(1, 1000000000)"
	return []string{
		"SELECT count(*) FROM range(200000000)", "SELECT range(200000000)",
		"SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b, generate_series(1, 100000) c",
		"SELECT count(*) FROM generate_series(1, 9223372036854775807)", "SELECT generate_series(1, 1000000000)",
		"SELECT generate_series(1, 10000) FROM generate_series(1, 100000000)",
		"SELECT count(*) FROM generate_series('2000-01-01'::timestamp, '9999-01-01'::timestamp, '1 microsecond') t",
		"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
		"WITH RECURSIVE r(n) AS (SELECT 1 UNION SELECT n + 1 FROM r) SELECT count(*) FROM r",
		"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT a.n FROM r a, r b) SELECT count(*) FROM r",
		"SELECT i.*, j.* FROM generate_series(1, 1000000) i JOIN generate_series(1, 1000000) j ON i < j",
		"SELECT count(*) FROM generate_series(1, 10000000) i FULL JOIN generate_series(1, 10000000) j ON i % 2 = j % 2",
		"SELECT (SELECT count(*) FROM " + all + " b WHERE b > a) FROM " + all + " a",
		"SELECT repeat('x', 1000000000)", "SELECT lpad('x', 1000000000, 'y')", "SELECT rpad('x', 1000000000, 'y')", "SELECT lpad('x', 1000000, 'y') FROM generate_series(1, 100000)",
		"SELECT length(replace(repeat('x', 1000000), 'x', repeat('y', 1000000)))",
		"SELECT replace(replace(repeat('x', 16000), 'x', repeat('y', 1000)), 'y', repeat('z', 1000))",
		"SELECT string_agg(repeat('x', 16384), '') FROM generate_series(1, 10000000)", "SELECT md5(string_agg(i::text, ',')) FROM " + all + " i",
		"SELECT array_agg(i) FROM " + all + " i", "SELECT json_agg(i) FROM " + all + " i", "SELECT json_object_agg(i::text, i) FROM " + all + " i",
		"SELECT length(array_to_string(array_agg(i), repeat('y', 1000000))) FROM generate_series(1, 1000000) i",
		"SELECT array_cat(array_agg(i), array_agg(i)) FROM generate_series(1, 100000000) i", "SELECT unnest(array_agg(i)) FROM generate_series(1, 100000000) i",
		"SELECT count(DISTINCT i) FROM " + all + " i", "SELECT * FROM " + all + " i ORDER BY i DESC", "SELECT random() FROM " + all + " ORDER BY 1",
		"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY i) FROM " + all + " i", "SELECT mode() WITHIN GROUP (ORDER BY i) FROM " + all + " i",
		"SELECT sum(i) OVER (ORDER BY i ROWS BETWEEN 1000000 PRECEDING AND 1000000 FOLLOWING), rank() OVER (ORDER BY -i), lag(i) OVER (PARTITION BY i % 3 ORDER BY i) FROM " + all + " i",
		"SELECT a, b, c, d, e, f, count(*) FROM (SELECT i a, i + 1 b, i + 2 c, i + 3 d, i + 4 e, i + 5 f FROM generate_series(1, 1000000) i) x GROUP BY CUBE (a, b, c, d, e, f)",
		"SELECT max(repeat(i::text, 10000)) FROM " + all + " i", "SELECT DISTINCT repeat(i::text, 10000) FROM " + all + " i",
		"SELECT count(*) FROM generate_series(1, 100000000) WHERE regexp_replace(repeat('a', 10000) || random()::text, '(a+)+', 'bb', 'g') = ''",
		"SELECT repeat('ab', 500000) ~ '((a|b)*){0,1000}c'", "SELECT 'x' ~ repeat('(a|b|c){1,100}', 1000)", "SELECT 'x' ~ '((((a{1,100}){1,100}){1,100}){1,100})'",
		"SELECT (repeat('[', 500000) || repeat(']', 500000))::jsonb", `SELECT (repeat('{"a":', 200000) || '1' || repeat('}', 200000))::jsonb`,
		`SELECT (repeat('{"a":', 200000) || '1' || repeat('}', 200000))::json -> 'a'`, "SELECT factorial(1000000000)", "SELECT 10::numeric ^ 1000000",
		"COPY (SELECT * FROM generate_series(1, 9223372036854775807)) TO STDOUT", "SELECT format('%1000000000s', 'x')",
	}
}

// heavy are statements that are long or deep.
func heavy() []string {
	repeat := strings.Repeat
	nested := func(before, open, middle, closing string, n int) string {
		return before + repeat(open, n) + middle + repeat(closing, n)
	}
	var list []string
	for _, n := range []int{240, 900, 50_000} {
		list = append(list,
			nested("SELECT ", "(", "1", ")", n), nested("SELECT ", "abs(", "1", ")", n), nested("SELECT ", "array[", "1", "]", n), nested("SELECT ", "(SELECT ", "1", ")", n),
			nested("SELECT 1", " FROM (SELECT 1", "", ") x", n), nested("SELECT 1", " WHERE EXISTS (SELECT 1", "", ")", n), nested("", "WITH a AS (", "SELECT 1", ") SELECT 1", n),
			nested("SELECT ", "CASE WHEN true THEN ", "1", " END", n), nested("SELECT ", "NOT ", "true", "", n), nested("SELECT 1", "", "", "+1", n),
			nested("SELECT 1", "", "", "::int", n), nested("SELECT 1", "", "", " UNION SELECT 1", n), nested("SELECT ", "coalesce(NULL, ", "1", ")", n),
			nested("SELECT 'a'", "", "", " || 'b'", n), nested("SELECT ", `'{"a":`, "1", "}'", 1),
		)
	}
	var lateral, chained strings.Builder
	lateral.WriteString("SELECT 1 FROM generate_series(1, 1) t0")
	chained.WriteString("WITH c0 AS (SELECT 1 AS x)")
	for i := range 240 {
		fmt.Fprintf(&lateral, ", LATERAL (SELECT t%d + 1 AS t%d) x%d", i, i+1, i)
		fmt.Fprintf(&chained, ", c%d AS (SELECT a.x FROM c%d a, c%d b)", i+1, i, i)
	}
	chain := chained.String()
	return append(list, lateral.String(), chain+" SELECT count(*) FROM c240", chain+" SELECT 1",
		"SELECT 1 WHERE 1 IN (2"+repeat(", 3", 100_000)+")", "SELECT 1 WHERE 1 = 2"+repeat(" OR random() = 3", 20_000), "SELECT 1"+repeat(", 1", 1700),
		"CREATE TABLE hostile_wide (a0 INT"+repeat(", a INT", 2000)+")", "VALUES (1)"+repeat(", (2)", 100_000), "SELECT '"+repeat("x", 10<<20)+"'",
		"SELECT "+repeat("sum(1) OVER (ORDER BY random()), ", 300)+"1 FROM generate_series(1, 100000)", repeat("SELECT 1;", 20_000), "SELECT '"+repeat("[", 100_000)+"'::jsonb",
		"INSERT INTO hostile (v) VALUES ('"+repeat("x", 15<<20)+"')", "SELECT "+repeat("1,", 1_100_000)+"1",
		"SELECT array_length('{1"+repeat(",1", 8_000_000)+"}'::int[], 1)", "SELECT 1 = ANY ('{1"+repeat(",1", 8_000_000)+"}')",
	)
}

// TestHostileQueries: whatever the statement, it is bounded before it runs, or ends at its deadline, while other sessions go on, and
// the process is the same one afterwards.
func TestHostileQueries(t *testing.T) {
	t.Parallel()
	s, err := system.Start(t.Context(), t.TempDir()+"/data", "--gateway.memory", "1GiB")
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	h := &hostility{server: s, ends: map[string]int{}}
	conn := h.connect(t)
	exec(t, conn, "CREATE TABLE hostile (id BIGINT, v TEXT)")
	exec(t, conn, "INSERT INTO hostile (id, v) SELECT i, 'x' FROM generate_series(1, 100) i")
	gateway, err := s.GatewayPID()
	require.NoError(t, err)

	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	var latencies []time.Duration
	var othersFailed error
	others.Go(func() { latencies, othersFailed = h.others(ctx) })

	t.Run("statements", func(t *testing.T) { h.statements(t) })
	t.Run("crowds", func(t *testing.T) { h.crowds(t) })
	stop()
	others.Wait()
	require.NoError(t, othersFailed)
	slices.Sort(latencies)
	require.Greater(t, len(latencies), 100)
	// A refusal is quick: there may be more of them than answers. What counts is how long they last: a call of the engine that goes on
	// after its deadline has its memory until it ends.
	require.Less(t, h.without, 5*time.Second, "%d small queries were answered, %d had no memory", len(latencies), h.short)
	t.Logf("ends: %v", h.ends)
	slices.SortFunc(h.late, func(a, b lateEnd) int { return cmp.Compare(b.after, a.after) })
	for _, l := range h.late[:10] {
		t.Logf("%v after its deadline ended %s", l.after, l.sql)
	}
	t.Logf("%d small queries of another session were answered meanwhile, %d had no memory (for %v at most): half within %v, 99 of 100 within %v, all within %v", len(latencies), h.short, h.without,
		latencies[len(latencies)/2], latencies[len(latencies)*99/100], latencies[len(latencies)-1])
	now, err := s.GatewayPID()
	require.NoError(t, err)
	require.Equal(t, gateway, now, "the gateway was started anew")
	require.Less(t, latencies[len(latencies)/2], 5*time.Second)
}

// hostility is one run of the hostile list.
type hostility struct {
	server *system.Server

	mu      sync.Mutex
	ends    map[string]int // how often each SQLSTATE was an end
	late    []lateEnd
	short   int           // queries of others that got no memory
	without time.Duration // the longest that others were refused memory
}

func (h *hostility) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := h.server.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// others asks small queries until ctx is done, and returns how long each took.
func (h *hostility) others(ctx context.Context) ([]time.Duration, error) {
	conn, err := h.server.Connect(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var out []time.Duration
	without := time.Now() // from the last answer on
	for ctx.Err() == nil {
		began := time.Now()
		var n int
		err := conn.QueryRow(context.WithoutCancel(ctx), "SELECT count(*) FROM hostile WHERE id <= 7").Scan(&n)
		if e := new(pgconn.PgError); errors.As(err, &e) && e.Code == "53200" {
			h.short++ // it is the memory of all, and was all taken for a moment
			h.without = max(h.without, time.Since(without))
			continue
		}
		if err != nil || n != 7 {
			return out, fmt.Errorf("another session's query: %d rows, %w", n, err)
		}
		without = time.Now()
		out = append(out, without.Sub(began))
	}
	return out, nil
}

// statements runs the lists, by a few sessions at a time.
func (h *hostility) statements(t *testing.T) {
	t.Helper()
	work := make(chan string)
	var workers sync.WaitGroup
	failed := make(chan error, 4)
	for range 4 {
		workers.Go(func() {
			var err error
			for sql := range work {
				if err == nil {
					err = h.run(t.Context(), sql)
				}
			}
			failed <- err
		})
	}
	for _, sql := range append(unending(), heavy()...) {
		work <- sql
	}
	close(work)
	workers.Wait()
	for range 4 {
		require.NoError(t, <-failed)
	}
}

// ends are the SQLSTATEs with which a hostile statement may end; "" is success.
func hostileEnds() []string {
	return []string{"", "57014", "53200", "53100", "54000", "54001", "54023", "54011", "0A000", "22003", "22P02", "22023", "2201B", "22001", "42701", "42601", "42883"}
}

// run a statement on a session of its own, and reads all of its answer.
func (h *hostility) run(ctx context.Context, sql string) error {
	short := sql[:min(len(sql), 100)]
	conn, err := h.server.Connect(ctx)
	if err != nil {
		return fmt.Errorf("connect for %s: %w", short, err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET statement_timeout = %d", hostileDeadline.Milliseconds())); err != nil {
		return err
	}
	began := time.Now()
	if strings.HasPrefix(sql, "COPY") {
		_, err = conn.PgConn().CopyTo(ctx, io.Discard, sql)
	} else {
		err = drain(conn.PgConn().Exec(ctx, sql))
	}
	took := time.Since(began)
	code := ""
	if e := new(pgconn.PgError); errors.As(err, &e) {
		code = e.Code
	} else if err != nil {
		return fmt.Errorf("%s: %w", short, err)
	}
	const unknown = "40003" // a write whose deadline came while it was appended
	if !slices.Contains(hostileEnds(), code) && (code != unknown || !strings.HasPrefix(sql, "INSERT")) {
		return fmt.Errorf("%s: %w", short, err)
	}
	if err := h.goesOn(ctx, conn); err != nil {
		return fmt.Errorf("after %s: %w", short, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends[code]++
	h.late = append(h.late, lateEnd{took - hostileDeadline, code + " " + short})
	return nil
}

// goesOn tells whether a session can be used still. Others may have taken all memory, for a moment.
func (h *hostility) goesOn(ctx context.Context, conn *pgx.Conn) error {
	for began := time.Now(); ; {
		var one int
		err := conn.QueryRow(ctx, "SELECT 1").Scan(&one)
		if e := new(pgconn.PgError); !errors.As(err, &e) || e.Code != "53200" || time.Since(began) > 5*hostileDeadline {
			return err
		}
	}
}

// lateEnd is how long after its deadline a statement ended.
type lateEnd struct {
	after time.Duration
	sql   string
}

func (h *hostility) ended(took time.Duration, what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.late = append(h.late, lateEnd{took - hostileDeadline, what})
}

// drain reads results and drops their rows.
func drain(results *pgconn.MultiResultReader) error {
	for results.NextResult() {
		r := results.ResultReader()
		for r.NextRow() {
			continue
		}
		_, _ = r.Close() // results has the error, too
	}
	return results.Close()
}

// crowds are hostile by their number.
func (h *hostility) crowds(t *testing.T) {
	t.Helper()
	t.Run("cursors", func(t *testing.T) {
		conn := h.connect(t)
		exec(t, conn, "BEGIN")
		var err error
		n := 0
		for ; n < 4200 && err == nil; n++ {
			_, err = conn.Exec(t.Context(), fmt.Sprintf("DECLARE c%d CURSOR FOR SELECT * FROM hostile, generate_series(1, 1000000)", n))
		}
		var e *pgconn.PgError
		require.ErrorAs(t, err, &e, "%d cursors", n)
		require.Contains(t, []string{"53400", "54000", "53000", "53200"}, e.Code) // what others left may have the memory yet
		t.Logf("%d cursors: %s", n, e.Message)
	})
	t.Run("prepared statements", func(t *testing.T) {
		conn := h.connect(t)
		var err error
		n := 0
		for ; n < 5000 && err == nil; n++ {
			_, err = conn.Exec(t.Context(), fmt.Sprintf("PREPARE p%d AS SELECT %d", n, n))
		}
		var e *pgconn.PgError
		require.ErrorAs(t, err, &e)
		require.Equal(t, "53400", e.Code)
	})
	t.Run("parameters", func(t *testing.T) {
		conn := h.connect(t)
		values, args := make([]string, 65535), make([][]byte, 65535)
		for i := range values {
			values[i], args[i] = fmt.Sprintf("($%d::int)", i+1), []byte("1")
		}
		exec(t, conn, fmt.Sprintf("SET statement_timeout = %d", hostileDeadline.Milliseconds()))
		began := time.Now()
		err := conn.PgConn().ExecParams(t.Context(), "SELECT count(*) FROM (VALUES "+strings.Join(values, ",")+") v(x)", args, nil, nil, nil).Read().Err
		h.ended(time.Since(began), "VALUES of 65,535 parameters")
		if e := new(pgconn.PgError); errors.As(err, &e) {
			require.Contains(t, hostileEnds(), e.Code)
		} else {
			require.NoError(t, err)
		}
	})
	t.Run("a long line of COPY", func(t *testing.T) {
		conn := h.connect(t)
		_, err := conn.PgConn().CopyFrom(t.Context(), &long{piece: strings.Repeat("x", 1<<20), n: 200 << 20, end: strings.NewReader("")}, "COPY hostile (v) FROM STDIN")
		var e *pgconn.PgError
		require.ErrorAs(t, err, &e)
		require.Equal(t, "54000", e.Code)
	})
	t.Run("subscriptions", func(t *testing.T) {
		conn := h.connect(t)
		var e *pgconn.PgError
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			var storm sync.WaitGroup
			for range 20 {
				storm.Go(func() {
					c, err := h.server.Connect(ctx)
					if err != nil {
						return
					}
					defer func() { _ = c.Close(context.Background()) }()
					_ = drain(c.PgConn().Exec(ctx, "SUBSCRIBE TO hostile"))
				})
			}
			exec(t, conn, "INSERT INTO hostile (id, v) VALUES (1000, 'y')")
			cancel()
			storm.Wait()
		}
		_, err := conn.Exec(t.Context(), "SELECT FROM nowhere")
		require.ErrorAs(t, err, &e)
	})
	t.Run("sessions", func(t *testing.T) {
		var all sync.WaitGroup
		failed := make(chan error, 24)
		for range 24 {
			all.Go(func() {
				failed <- h.run(t.Context(), "SELECT count(*) FROM hostile h, generate_series(1, 1000000000) i WHERE i % 7 = h.id")
			})
		}
		all.Wait()
		for range 24 {
			require.NoError(t, <-failed)
		}
	})
}
