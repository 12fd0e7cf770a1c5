package sql_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// explained is what an EXPLAIN prints, without times.
func explained(t *testing.T, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	text := strings.Join(rows(t, conn, sql, args...), "\n")
	return regexp.MustCompile(`time=[0-9.]+|[0-9.]+ ms`).ReplaceAllString(text, "*")
}

// TestExplain: the plan is told in PostgreSQL's shape, and nothing is run.
func TestExplain(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT, v TEXT)")
	exec(t, conn, "INSERT INTO "+name+" SELECT i, 'x' FROM generate_series(1, 100) i")

	r, err := conn.Query(t.Context(), "EXPLAIN SELECT count(*) FROM "+name+" WHERE id > $1", 7)
	require.NoError(t, err)
	require.Equal(t, "QUERY PLAN", r.FieldDescriptions()[0].Name)
	require.EqualValues(t, 25, r.FieldDescriptions()[0].DataTypeOID)
	r.Close()
	require.NoError(t, r.Err())
	require.Equal(t, "EXPLAIN", r.CommandTag().String())

	plan := explained(t, conn, "EXPLAIN (COSTS off) SELECT v, count(*) FROM "+name+" WHERE id > 7 GROUP BY v")
	require.Regexp(t, `^Read of public\.`+name+`
  Journals: 1, with \d+ bytes below the cut
  Fragments: \d of \d chosen, 0 held by others, 0 pruned
  To read: \d+ bytes of .*
(Projection|Hash Aggregate)
(.*\n)*.*Filter: \(id > 7\)
.*->  Read Decoded$`, plan)
	require.NotContains(t, plan, "rows=", "nothing is expected, and nothing ran")

	plan = explained(t, conn, "EXPLAIN ANALYZE SELECT v, count(*) FROM "+name+" WHERE id > 7 GROUP BY v")
	require.Contains(t, plan, "Read in place: rows=0, of at most 0 bytes\n")
	require.Regexp(t, `Decoded: rows=0 bytes=0\n  Head: rows=100 bytes=\d+\n`, plan)
	require.Regexp(t, `Filter +\(rows=\d+\) \(actual \* rows=93\)`, plan)
	require.Contains(t, plan, "Planning Time: *\nExecution Time: *")
	require.Regexp(t, `Head cache: hit=[1-9]\d* read=0`, explained(t, conn, "EXPLAIN (ANALYZE, BUFFERS) SELECT id FROM "+name))

	// What is in the transaction only is told of as such.
	exec(t, conn, "BEGIN")
	exec(t, conn, "INSERT INTO "+name+" VALUES (1, 'mine')")
	require.Regexp(t, `This transaction: rows=1 bytes=[1-9]`, explained(t, conn, "EXPLAIN ANALYZE SELECT id FROM "+name))
	exec(t, conn, "ROLLBACK")

	plan = explained(t, conn, "EXPLAIN INSERT INTO "+name+" SELECT id + 1, v FROM "+name)
	require.Regexp(t, `\nInsert on `+name+"\n  ->  Projection", plan)
	require.Equal(t, "Insert on "+name, explained(t, conn, "EXPLAIN INSERT INTO "+name+" VALUES ($1, 'x')", 5))
	require.Equal(t, []string{"100"}, rows(t, conn, "SELECT count(*) FROM "+name), "nothing was inserted")
	require.Equal(t, "0A000", code(t, conn, "EXPLAIN ANALYZE INSERT INTO "+name+" VALUES (1, 'x')"))
	require.Equal(t, "42P01", code(t, conn, "EXPLAIN SELECT * FROM nosuch"))
	require.Equal(t, "42703", code(t, conn, "EXPLAIN SELECT nosuch FROM "+name))
	require.Equal(t, "22012", code(t, conn, "EXPLAIN ANALYZE SELECT 1 / (id - id) FROM "+name))
	require.NotEmpty(t, explained(t, conn, "EXPLAIN SELECT 1 / (id - id) FROM "+name))
	require.Contains(t, explained(t, conn, "EXPLAIN DECLARE c CURSOR FOR SELECT id FROM "+name), "Read Decoded")
	require.Equal(t, "57014", timedOut(t, conn, "EXPLAIN ANALYZE SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"))
}

// timedOut is the SQLSTATE of a statement that takes longer than it may.
func timedOut(t *testing.T, conn *pgx.Conn, sql string) string {
	t.Helper()
	exec(t, conn, "SET statement_timeout = '200ms'")
	defer exec(t, conn, "RESET statement_timeout")
	return code(t, conn, sql)
}

// TestExplainJSON: one row of one document, whose tree is where tools look for it.
func TestExplainJSON(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT, v TEXT) WITH (journals = 2, partition_by = 'id')")
	exec(t, conn, "INSERT INTO "+name+" SELECT i, 'x' FROM generate_series(1, 100) i")
	type plan struct {
		Type  string `json:"Node Type"`
		Rows  *int64 `json:"Actual Rows"`
		Time  *float64
		Plans []plan
	}
	var told []struct {
		Plan      plan
		Reads     []map[string]string
		InPlace   map[string]int64 `json:"Read in Place"`
		Execution float64          `json:"Execution Time"`
	}
	var oid uint32
	ask := func(options string) {
		r, err := conn.Query(t.Context(), "EXPLAIN ("+options+", FORMAT JSON) SELECT id FROM "+name+" ORDER BY id LIMIT 3")
		require.NoError(t, err)
		oid = r.FieldDescriptions()[0].DataTypeOID
		all, err := pgx.CollectRows(r, pgx.RowTo[string])
		require.NoError(t, err)
		require.Len(t, all, 1)
		told = nil
		require.NoError(t, json.Unmarshal([]byte(all[0]), &told))
		require.Len(t, told, 1)
	}
	ask("ANALYZE, VERBOSE")
	require.EqualValues(t, 114, oid)
	require.NotNil(t, told[0].Plan.Rows)
	require.EqualValues(t, 3, *told[0].Plan.Rows)
	require.NotEmpty(t, told[0].Plan.Plans)
	require.Len(t, told[0].Reads, 1)
	require.Equal(t, name, told[0].Reads[0]["Relation Name"])
	require.Contains(t, told[0].Reads[0], "Journal "+journal(t, conn, name))
	require.Positive(t, told[0].Execution)
	ask("ANALYZE off")
	require.Nil(t, told[0].Plan.Rows)
	require.Nil(t, told[0].InPlace)
}

// TestExplainTellsWhoMayRead: it takes the rights that its statement does, and shows no files.
func TestExplainTellsWhoMayRead(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT)")
	exec(t, conn, "CREATE ROLE explainer LOGIN")
	defer exec(t, conn, "DROP ROLE explainer")
	config := conn.Config().Copy()
	config.User = "explainer"
	other, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer func() { _ = other.Close(t.Context()) }()
	require.Equal(t, "42501", code(t, other, "EXPLAIN SELECT * FROM "+name))
	require.Equal(t, "42501", code(t, other, "EXPLAIN INSERT INTO "+name+" VALUES (1)"))
	exec(t, conn, "GRANT SELECT ON "+name+" TO explainer")
	defer exec(t, conn, "REVOKE SELECT ON "+name+" FROM explainer")
	require.Contains(t, explained(t, other, "EXPLAIN SELECT * FROM "+name), "Read of")
	require.Equal(t, "42501", code(t, other, "EXPLAIN INSERT INTO "+name+" VALUES (1)"))
}

// prunedBytes is what an EXPLAIN says is left out.
func prunedBytes(t *testing.T, plan string) int64 {
	t.Helper()
	m := regexp.MustCompile(`Pruned: (\d+) bytes`).FindStringSubmatch(plan)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	require.NoError(t, err)
	return n
}

// TestStoredFragmentsArePlanned: what is stored is read in place by the engine, which counts it; a codec that it can't
// read is decoded.
func TestStoredFragmentsArePlanned(t *testing.T) {
	conn := connect(t)
	for codec, inPlace := range map[string]bool{"none": true, "gzip": true, "zstd": true, "snappy": false} {
		name := "planned_" + codec
		exec(t, conn, "CREATE TABLE "+name+" (id BIGINT, pad TEXT) WITH (codec = '"+codec+"', fragment_length = '2KiB', refresh_interval = '1 second')")
		defer exec(t, conn, "DROP TABLE "+name)
		for range 20 {
			exec(t, conn, "INSERT INTO "+name+" SELECT i, repeat('x', 100) FROM generate_series(1, 30) i")
		}
		want := []string{"600|9300"}
		sum := "SELECT count(*), sum(id) FROM " + name
		for {
			require.Equal(t, want, rows(t, conn, sum))
			plan := explained(t, conn, "EXPLAIN ANALYZE "+sum)
			require.NotContains(t, plan, "file://")
			require.NotContains(t, plan, "/planned_"+codec+"/")
			stored := strings.Contains(plan, "bytes of stored files")
			decoded := strings.Contains(plan, "bytes of stored fragments, decoded")
			if inPlace && stored {
				m := regexp.MustCompile(`Read in place: rows=(\d+), of at most (\d+) bytes`).FindStringSubmatch(plan)
				require.NotNil(t, m, plan)
				require.NotEqual(t, "0", m[1])
				require.NotEqual(t, "0", m[2])
				require.Contains(t, plan, "Read in Place")
				break
			}
			if !inPlace && decoded {
				require.False(t, stored, plan)
				require.Contains(t, plan, "Read in place: rows=0, of at most 0 bytes")
				break
			}
		}
	}
}

// TestPrunedReadsAreExact: bounds on the metadata columns leave out what can't matter, and never a row that does.
func TestPrunedReadsAreExact(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT, pad TEXT) WITH (journals = 2, fragment_length = '2KiB', refresh_interval = '1 second')")
	for i := range 30 {
		exec(t, conn, fmt.Sprintf("INSERT INTO %s SELECT %d * 100 + i, repeat('x', 50) FROM generate_series(1, 20) i", name, i))
		if i%10 == 9 && i < 29 {
			marked(t, conn, name) // so that there are rows of several times
		}
	}
	times := marked(t, conn, name)
	require.Greater(t, len(times), 2)
	places := rows(t, conn, "SELECT _journal, _offset FROM "+name+" ORDER BY 1, 2")
	some := map[string]bool{}
	check := func(kind, where string) {
		t.Helper()
		// A bound that is no comparison of its own isn't used: both read the same rows.
		whole := rows(t, conn, "SELECT id, _journal, _offset FROM "+name+" WHERE ("+where+") IS TRUE ORDER BY id")
		require.Equal(t, whole, rows(t, conn, "SELECT id, _journal, _offset FROM "+name+" WHERE "+where+" ORDER BY id"), where)
		require.Zero(t, prunedBytes(t, explained(t, conn, "EXPLAIN SELECT id, _journal, _offset, _timestamp FROM "+name+" WHERE ("+where+") IS TRUE")))
		if prunedBytes(t, explained(t, conn, "EXPLAIN SELECT id FROM "+name+" WHERE "+where)) > 0 {
			some[kind] = true
		}
	}
	for _, op := range []string{"<", "<=", "=", ">=", ">"} {
		for _, at := range times {
			check("time "+op, "_timestamp "+op+" '"+at+"'")
			check("time moved "+op, "_timestamp "+op+" timestamptz '"+at+"' - interval '1 millisecond'")
		}
		for i := 5; i < len(places); i += 170 {
			j, offset, _ := strings.Cut(places[i], "|")
			check("offset "+op, "_offset "+op+" "+offset)
			check("place "+op, "_journal = '"+j+"' AND "+offset+" "+op+" _offset")
			check("inside "+op, "_offset "+op+" "+offset+" + 1")
			n, err := strconv.Atoi(offset)
			require.NoError(t, err)
			check("within a line "+op, "_offset "+op+" "+strconv.Itoa(n+1))
		}
	}
	for _, kind := range []string{"time <", "time <=", "time =", "time >=", "time >", "offset >", "offset >=", "offset =", "place <", "place >"} {
		require.True(t, some[kind], "%s left nothing out", kind)
	}
	require.False(t, some["inside >"], "that is no constant")
	check("now", "_timestamp > now() - interval '1 hour'")
	check("null", "_timestamp > NULL")
	check("never", "_journal = 'a' AND _journal = 'b'")
	check("nobody", "_journal = 'no/such/journal'")

	// The bound may be a parameter, in prepared statements too.
	last := strings.Split(places[len(places)-1], "|")
	offset, err := strconv.ParseInt(last[1], 10, 64)
	require.NoError(t, err)
	var n int64
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM "+name+" WHERE _journal = $1 AND _offset >= $2", last[0], offset).Scan(&n))
	require.Equal(t, int64(1), n)
}
