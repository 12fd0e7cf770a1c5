package sql_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/test/system"
)

// marked waits until all rows of a table have a time, and returns those that differ, in order.
func marked(t *testing.T, conn *pgx.Conn, table string) []string {
	t.Helper()
	for {
		if rows(t, conn, "SELECT count(*) FROM "+table+" WHERE _timestamp IS NULL")[0] == "0" {
			return rows(t, conn, "SELECT DISTINCT _timestamp FROM "+table+" ORDER BY 1")
		}
	}
}

// TestAsOfTimestamp: a table as of a time has the rows whose _timestamp is that time or earlier, now and
// later, while others append, and fragments are closed and stored.
func TestAsOfTimestamp(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(writer BIGINT, seq BIGINT, pad TEXT) WITH (journals = 2, fragment_length = '2KiB', refresh_interval = '1 second')")
	exec(t, conn, "INSERT INTO "+name+" VALUES (-1, -1, '')")
	require.Len(t, marked(t, conn, name), 1)
	stop := keepInserting(t, name)
	sums := "SELECT writer, count(*), sum(seq) FROM " + name + "%s GROUP BY writer ORDER BY writer"
	was := map[string][]string{}
	for len(was) < 8 {
		now := rows(t, conn, "SELECT now()")[0]
		was[now] = rows(t, conn, fmt.Sprintf(sums, " AS OF TIMESTAMP '"+now+"'"))
		if times := rows(t, conn, "SELECT max(_timestamp) FROM "+name); times[0] != "NULL" {
			was[times[0]] = rows(t, conn, fmt.Sprintf(sums, " AS OF TIMESTAMP '"+times[0]+"'"))
		}
	}
	stop()
	times := marked(t, conn, name)
	require.NotEmpty(t, times)
	some := false
	for at, want := range was {
		require.Equal(t, want, rows(t, conn, fmt.Sprintf(sums, " AS OF TIMESTAMP '"+at+"'")), at)
		require.Equal(t, want, rows(t, conn, fmt.Sprintf(sums, " WHERE _timestamp <= '"+at+"'")), at)
		some = some || len(want) > 0
	}
	require.True(t, some)
	last := times[len(times)-1]
	require.Equal(t, rows(t, conn, fmt.Sprintf(sums, "")), rows(t, conn, fmt.Sprintf(sums, " AS OF TIMESTAMP '"+last+"'")))
}

// TestAsOfTimestampForms: constants, parameters and intervals; what can't be answered is refused.
func TestAsOfTimestampForms(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT)")
	exec(t, conn, "INSERT INTO "+name+" VALUES (1)")
	first := marked(t, conn, name)[0]
	exec(t, conn, "INSERT INTO "+name+" VALUES (2)")
	second := marked(t, conn, name)[1]
	count := func(clause string, args ...any) string {
		t.Helper()
		return rows(t, conn, "SELECT count(*) FROM "+name+" AS OF TIMESTAMP "+clause, args...)[0]
	}
	require.Equal(t, "1", count("'"+first+"'"))
	require.Equal(t, "0", count("'"+first+"' - INTERVAL '1 microsecond'"))
	require.Equal(t, "2", count("TIMESTAMPTZ '"+second+"'::timestamptz"))
	require.Equal(t, "1", count("'"+second+"' - INTERVAL '1 us'"))
	require.Equal(t, "2", count("now()"))
	require.Equal(t, "2", count("CURRENT_TIMESTAMP - INTERVAL '1 us' + INTERVAL '1 us'"))
	at, err := time.Parse("2006-01-02 15:04:05.999999-07", first)
	require.NoError(t, err)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		var then, id int64
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM "+name+" AS OF TIMESTAMP $1), count(*) FROM "+name+" WHERE id < $2", mode, at, int64(9)).Scan(&then, &id))
		require.Equal(t, [2]int64{1, 2}, [2]int64{then, id})
	}
	for clause, want := range map[string]struct{ code, message string }{
		"'2001-01-01'":                    {"22023", "before the first mark of the clock journal, at "},
		"now() - INTERVAL '100 years'":    {"22023", "before the first mark"},
		"now() + INTERVAL '1 day'":        {"22023", "is in the future"},
		"'infinity'":                      {"22023", "can't be infinite"},
		"'some day'":                      {"22007", "some day"},
		"now() - INTERVAL 'a fortnight '": {"22007", "a fortnight"},
	} {
		_, err := conn.Exec(t.Context(), "SELECT count(*) FROM "+name+" AS OF TIMESTAMP "+clause)
		var e *pgconn.PgError
		require.ErrorAs(t, err, &e, clause)
		require.Equal(t, want.code, e.Code, "%s: %s", clause, e.Message)
		require.Contains(t, e.Message, want.message)
	}
	other := name + "_other"
	exec(t, conn, "CREATE TABLE "+other+" (id BIGINT)")
	defer exec(t, conn, "DROP TABLE "+other)
	exec(t, conn, "INSERT INTO "+other+" VALUES (1)")
	require.Equal(t, []string{"0"}, rows(t, conn, "SELECT count(*) FROM "+other+" AS OF TIMESTAMP '"+second+"'"), "it had no rows then")
}

// TestTimesOfLines: a row has the time of the mark that reaches its newline, also if its line was appended in parts; what
// others append past the gateway gets times too; what isn't committed has none.
func TestTimesOfLines(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT)")
	journal := journal(t, conn, name)
	appendDirectly(t, journal, `{"id":1}`+"\n"+`not a row`+"\n"+`{"id":`)
	for len(rows(t, conn, "SELECT id FROM "+name+" WHERE _timestamp IS NOT NULL")) == 0 {
		require.NoError(t, t.Context().Err())
	}
	between := rows(t, conn, "SELECT now()")[0]
	require.Equal(t, []string{"1"}, rows(t, conn, "SELECT id FROM "+name+" AS OF TIMESTAMP '"+between+"'"))
	appendDirectly(t, journal, `2}`+"\n")
	require.Len(t, marked(t, conn, name), 2)
	require.Equal(t, []string{"1"}, rows(t, conn, "SELECT id FROM "+name+" WHERE _timestamp <= '"+between+"'"))
	exec(t, conn, "BEGIN")
	exec(t, conn, "INSERT INTO "+name+" VALUES (3)")
	require.Equal(t, []string{"3"}, rows(t, conn, "SELECT id FROM "+name+" WHERE _timestamp IS NULL"))
	exec(t, conn, "ROLLBACK")
	require.Equal(t, []string{"f|t"}, rows(t, conn, "SELECT bool_or(a._timestamp <> b._timestamp), bool_and(b._timestamp <= now()) FROM "+name+" a JOIN "+name+" b ON a.id = b.id"))
}

// TestMarksSurvive: after kill -9 of the server times are what they were, go on ascending, and cuts are good; once
// nothing moves nothing is written.
func TestMarksSurvive(t *testing.T) {
	t.Parallel()
	s, err := system.Start(t.Context(), t.TempDir()+"/data")
	require.NoError(t, err)
	defer s.Kill()
	conn, err := s.Connect(t.Context())
	require.NoError(t, err)
	exec(t, conn, "CREATE TABLE t (id BIGINT)")
	exec(t, conn, "INSERT INTO t VALUES (1)")
	one := lastCut(t, conn)
	first := marked(t, conn, "t")
	for i := range 3 {
		s.Kill()
		require.NoError(t, s.Restart(t.Context()))
		conn, err = s.Connect(t.Context())
		require.NoError(t, err)
		require.Equal(t, first, rows(t, conn, "SELECT DISTINCT _timestamp FROM t ORDER BY 1"))
		exec(t, conn, "INSERT INTO t VALUES ($1)", i+2)
		all := marked(t, conn, "t")
		require.Equal(t, first, all[:len(all)-1])
		first = all
	}
	require.Equal(t, []string{"1"}, rows(t, conn, "SELECT id FROM t AS OF CUT '"+one+"'"))
	require.Equal(t, []string{"1", "2"}, rows(t, conn, "SELECT id FROM t AS OF TIMESTAMP '"+first[1]+"' ORDER BY id"))
	_ = conn.Close(t.Context())
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + s.Broker})
	require.NoError(t, err)
	defer brokers.Close()
	var marks int
	require.Eventually(t, func() bool {
		b, err := brokers.Barrier(t.Context(), "broadsheet/clock")
		require.NoError(t, err)
		again := marks
		marks = int(b.Head)
		return again == marks
	}, time.Minute, 3*time.Second, "nothing moves: nothing is written")
}
