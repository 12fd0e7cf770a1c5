package sql_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/test/system"
)

// lastCut is the session's.
func lastCut(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	cut := rows(t, conn, "SHOW broadsheet.last_cut")
	require.Len(t, cut, 1)
	return cut[0]
}

// TestAsOfCutIsExact: while others append, and fragments are closed, stored and proven, a statement at the
// cut of an earlier one has its rows, again and again, on both reading paths.
func TestAsOfCutIsExact(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(writer BIGINT, seq BIGINT, pad TEXT) WITH (journals = 2, fragment_length = '2KiB', refresh_interval = '1 second')")
	stop := keepInserting(t, name)
	was := map[string][]string{}
	sums := "SELECT writer, count(*), sum(seq) FROM " + name + "%s GROUP BY writer ORDER BY writer"
	for range 15 {
		now := rows(t, conn, fmt.Sprintf(sums, ""))
		cut := lastCut(t, conn)
		was[cut] = now
		for cut, want := range was {
			require.Equal(t, want, rows(t, conn, fmt.Sprintf(sums, " AS OF CUT '"+cut+"'")))
		}
		require.Equal(t, cut, lastCut(t, conn), "it is where the session has read, not where it looks back to")
	}
	stop()
	for cut, want := range was {
		require.Equal(t, want, rows(t, conn, fmt.Sprintf(sums, " AS OF CUT '"+cut+"'")))
		require.Equal(t, want, rows(t, conn, "SELECT writer, count(*), sum(seq) FROM "+name+" WHERE _offset >= 0 GROUP BY writer ORDER BY writer AS OF CUT '"+cut+"'"))
	}
}

// TestAsOfCutEverywhere: in joins with now and with other cuts, subqueries, prepared statements, cursors,
// INSERT ... SELECT and COPY.
func TestAsOfCutEverywhere(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT)")
	exec(t, conn, "INSERT INTO "+name+" VALUES (1)")
	one := lastCut(t, conn)
	exec(t, conn, "INSERT INTO "+name+" VALUES (2)")
	two := lastCut(t, conn)
	exec(t, conn, "INSERT INTO "+name+" VALUES (3)")
	asOf := func(cut string) string { return " AS OF CUT '" + cut + "' " }
	require.Equal(t, []string{"1|2|3"}, rows(t, conn, "SELECT (SELECT count(*) FROM "+name+asOf(one)+"), count(*), (SELECT max(id) FROM "+name+") FROM "+name+asOf(two)+"x"))
	require.Equal(t, []string{"1|1", "1|2", "1|3"}, rows(t, conn, "SELECT a.id, b.id FROM "+name+" a"+asOf(one)+"CROSS JOIN "+name+" b ORDER BY 2"))
	require.Equal(t, []string{"1", "2"}, rows(t, conn, "WITH w AS (SELECT * FROM "+name+") SELECT id FROM w ORDER BY id"+asOf(two)))
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec} {
		var n, id int64
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*), max(id) FROM "+name+" AS OF CUT $2 WHERE id < $1", mode, int64(10), two).Scan(&n, &id), mode)
		require.Equal(t, [2]int64{2, 2}, [2]int64{n, id})
	}
	exec(t, conn, "PREPARE asof AS SELECT count(*) FROM "+name+" AS OF CUT $1")
	require.Equal(t, []string{"1"}, rows(t, conn, "EXECUTE asof('"+one+"')"))
	require.Equal(t, []string{"2"}, rows(t, conn, "EXECUTE asof('"+two+"')"))
	require.Equal(t, "22004", code(t, conn, "EXECUTE asof(NULL)"))
	exec(t, conn, "DEALLOCATE asof")

	exec(t, conn, "CREATE VIEW "+name+"_view AS SELECT id * 2 AS twice FROM "+name)
	require.Equal(t, []string{"4|6"}, rows(t, conn, "SELECT (SELECT max(twice) FROM "+name+"_view"+asOf(two)+"), max(twice) FROM "+name+"_view"))
	require.Equal(t, []string{"2"}, rows(t, conn, "SELECT max(twice) FROM "+name+"_view WHERE twice > 0"+asOf(one)))
	exec(t, conn, "DROP VIEW "+name+"_view")

	exec(t, conn, "BEGIN")
	exec(t, conn, "INSERT INTO "+name+" VALUES (4)")
	require.Equal(t, []string{"2"}, rows(t, conn, "SELECT count(*) FROM "+name+asOf(two)), "what isn't committed has no cut")
	exec(t, conn, "DECLARE c CURSOR FOR SELECT id FROM "+name+" ORDER BY id"+asOf(two))
	require.Equal(t, []string{"1", "2"}, rows(t, conn, "FETCH ALL FROM c"))
	exec(t, conn, "ROLLBACK")

	var out bytes.Buffer
	_, err := conn.PgConn().CopyTo(t.Context(), &out, "COPY (SELECT id FROM "+name+" ORDER BY id"+asOf(two)+") TO STDOUT")
	require.NoError(t, err)
	require.Equal(t, "1\n2\n", out.String())
	exec(t, conn, "INSERT INTO "+name+" SELECT id + 10 FROM "+name+asOf(two))
	require.Equal(t, []string{"1", "2", "3", "11", "12"}, rows(t, conn, "SELECT id FROM "+name+" ORDER BY 1"))
}

// TestAsOfCutRefused: a cut that isn't one, or isn't of the table, is refused by what is wrong with it.
func TestAsOfCutRefused(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT)")
	exec(t, conn, "CREATE TABLE IF NOT EXISTS asof_other (id BIGINT)")
	defer exec(t, conn, "DROP TABLE asof_other")
	exec(t, conn, "INSERT INTO "+name+" VALUES (1)")
	text := lastCut(t, conn)
	cut, err := clock.ParseCut(text)
	require.NoError(t, err)
	require.Len(t, cut.Places, 1)
	refused := func(cut, from, want string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), "SELECT count(*) FROM "+from+" AS OF CUT '"+cut+"'")
		var e *pgconn.PgError
		require.ErrorAs(t, err, &e)
		require.Equal(t, "22023", e.Code, e.Message)
		require.Contains(t, e.Message, want)
		require.Equal(t, int32(len("SELECT count(*) FROM "+from+" ")+1), e.Position)
	}
	refused("yesterday", name, `a cut begins with "cut:1:"`)
	refused(text[:len(text)-1], name, "damaged")
	refused(text, "asof_other", `of table "asof_other" isn't in the cut`)
	above := clock.Place{Journal: cut.Places[0].Journal, Revision: cut.Places[0].Revision, Offset: cut.Places[0].Offset + 1}
	refused(clock.NewCut(cut.Revision, []clock.Place{above}).String(), name, "journal "+above.Journal+" ends at "+strconv.FormatInt(cut.Places[0].Offset, 10))
	other := clock.Place{Journal: above.Journal, Revision: above.Revision - 1}
	refused(clock.NewCut(cut.Revision, []clock.Place{other}).String(), name, "journal "+above.Journal+" isn't the one of that name")
	exec(t, conn, "DROP TABLE "+name)
	exec(t, conn, "CREATE TABLE "+name+" (id BIGINT)")
	refused(text, name, "isn't in the cut")
	require.Equal(t, "0A000", code(t, conn, "SELECT count(*) FROM pg_class AS OF CUT '"+text+"'"))
	require.Equal(t, "55P02", code(t, conn, "SET broadsheet.last_cut = ''"))
}

// appendDirectly appends lines past the gateway, and returns the cut that ends with them.
func appendDirectly(t *testing.T, journal, lines string) string {
	t.Helper()
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + server.Broker})
	require.NoError(t, err)
	defer brokers.Close()
	r, err := brokers.Append(t.Context(), client.AppendParams{Journal: journal}, strings.NewReader(lines))
	require.NoError(t, err)
	list, err := brokers.List(t.Context(), &protocol.LabelSelector{Include: protocol.MustLabelSet("name", journal)})
	require.NoError(t, err)
	require.Len(t, list, 1)
	return clock.NewCut(1<<40, []clock.Place{{Journal: journal, Revision: list[0].GetCreateRevision(), Offset: r.GetCommit().GetEnd()}}).String()
}

// TestFreshness: strict statements see all that was acknowledged; bounded ones may miss what is newer
// than the bound, but nothing that the gateway has shown or written, nor what min_cut has; sealed ones see
// what is stored, and wait for what min_cut has.
func TestFreshness(t *testing.T) {
	conn, strict := connect(t), connect(t)
	name := table(t, conn, "(id BIGINT)")
	journal := journal(t, conn, name)
	count := func(conn *pgx.Conn) string { return rows(t, conn, "SELECT count(*) FROM "+name)[0] }
	require.Equal(t, []string{"strict"}, rows(t, conn, "SHOW broadsheet.freshness"))
	for _, v := range []string{"", "fresh", "bounded", "bounded 0", "bounded -1s", "bounded 5 parsecs", "sealed 5s"} {
		require.Equal(t, "22023", code(t, conn, "SET broadsheet.freshness = '"+v+"'"), v)
	}
	exec(t, conn, "SET broadsheet.freshness = 'Bounded  60 min'")
	require.Equal(t, []string{"bounded 1h"}, rows(t, conn, "SHOW broadsheet.freshness"))
	require.Equal(t, "0", count(conn))

	appendDirectly(t, journal, `{"id":1}`+"\n")
	require.Equal(t, "0", count(conn), "it may use the cut again")
	require.Equal(t, "1", count(strict))
	require.Equal(t, "1", count(conn), "what one session of the gateway has seen all see")
	exec(t, strict, "INSERT INTO "+name+" VALUES (2)")
	require.Equal(t, "2", count(conn), "so with what one has written")
	exec(t, conn, "BEGIN; INSERT INTO "+name+" VALUES (3); COMMIT")
	require.Equal(t, "3", count(conn))

	cut := appendDirectly(t, journal, `{"id":4}`+"\n")
	require.Equal(t, "3", count(conn))
	require.Equal(t, "22023", code(t, conn, "SET broadsheet.min_cut = 'no cut'"))
	exec(t, conn, "SET broadsheet.min_cut = '"+cut+"'")
	require.Equal(t, "4", count(conn))

	exec(t, conn, "SET broadsheet.freshness = 'sealed'; SET statement_timeout = '300ms'")
	require.Equal(t, "57014", code(t, conn, "SELECT count(*) FROM "+name), "it is waited for")
	exec(t, conn, "RESET statement_timeout; RESET broadsheet.min_cut")
	require.NotEqual(t, "4", count(conn), "the last one isn't stored")

	far, err := clock.ParseCut(cut)
	require.NoError(t, err)
	far.Places[0].Offset += 1000
	exec(t, strict, "SET broadsheet.min_cut = '"+far.String()+"'")
	require.Equal(t, "22023", code(t, strict, "SELECT count(*) FROM "+name))
	far.Places[0].Revision--
	exec(t, strict, "SET broadsheet.min_cut = '"+far.String()+"'")
	require.Equal(t, "22023", code(t, strict, "SELECT count(*) FROM "+name))
}

// TestSealedWaits: a sealed statement waits until what min_cut has is stored, and then sees it, wherever
// it was written.
func TestSealedWaits(t *testing.T) {
	conn, writer := connect(t), connect(t)
	name := table(t, conn, "(id BIGINT, pad TEXT) WITH (fragment_length = '1KiB', refresh_interval = '1 second')")
	exec(t, writer, "INSERT INTO "+name+" VALUES (1, repeat('x', 2000))")
	cut := lastCut(t, writer)
	exec(t, conn, "SET broadsheet.freshness = 'sealed'; SET broadsheet.min_cut = '"+cut+"'")
	exec(t, writer, "INSERT INTO "+name+" VALUES (2, 'closes the fragment')")
	require.Equal(t, []string{"1"}, rows(t, conn, "SELECT id FROM "+name+" WHERE id = 1"))
	require.NotEmpty(t, lastCut(t, conn))
}

// TestWhereAStatementReadsIsDocumented runs the examples of docs/sql.md about cuts, with a cut of this
// server's in the place of theirs.
func TestWhereAStatementReadsIsDocumented(t *testing.T) {
	conn := connect(t)
	for _, sql := range []string{
		"CREATE SCHEMA shop", "CREATE TABLE shop.orders (id BIGINT, item TEXT)", "CREATE TABLE rides (bike TEXT)",
		"INSERT INTO shop.orders VALUES (1, 'a')", "INSERT INTO rides VALUES ('a')",
	} {
		exec(t, conn, sql)
	}
	defer func() {
		for _, sql := range []string{"DROP TABLE shop.orders", "DROP TABLE rides", "DROP SCHEMA shop"} {
			exec(t, conn, sql)
		}
	}()
	cut := lastCut(t, conn)
	before := rows(t, conn, "SELECT now() - INTERVAL '2 seconds'")[0]
	for marks := marked(t, conn, "rides"); marks[0] > before; marks = marks[:1] { // until the first mark is a second old
		before = rows(t, conn, "SELECT now() - INTERVAL '2 seconds'")[0]
	}
	ran := 0
	for _, example := range examples(t, "### Where a statement reads") {
		var args []any
		if strings.Contains(example, "$1") {
			args = append(args, cut)
		}
		example = strings.ReplaceAll(example, "cut:1:aq4qafy...", cut)
		_, err := conn.Exec(t.Context(), example, args...)
		require.NoError(t, err, example)
		ran++
	}
	require.GreaterOrEqual(t, ran, 8)
}

// examples are the statements of the blocks of SQL below a heading of docs/sql.md.
func examples(t *testing.T, heading string) []string {
	t.Helper()
	page, err := os.ReadFile(system.Root() + "/docs/sql.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), heading+"\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n#")
	var out []string
	for i, block := range strings.Split(section, "```") {
		if i%2 == 0 {
			continue
		}
		for line := range strings.Lines(strings.TrimPrefix(block, "sql\n")) {
			statement, _, _ := strings.Cut(line, ";")
			out = append(out, statement)
		}
	}
	return out
}

// keepInserting has two sessions insert rows into a table, one by one, until the function is called that it returns.
func keepInserting(t *testing.T, name string) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	eg, ctx := errgroup.WithContext(ctx)
	for w := range 2 {
		eg.Go(func() error {
			conn, err := server.Connect(ctx)
			if err != nil {
				return ignoreEnd(ctx, err)
			}
			defer func() { _ = conn.Close(context.Background()) }()
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := conn.Exec(ctx, "INSERT INTO "+name+" VALUES ($1, $2, $3)", w, i, strings.Repeat("x", 100)); err != nil {
					return ignoreEnd(ctx, err)
				}
			}
			return nil
		})
	}
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(t, eg.Wait())
	})
	t.Cleanup(stop)
	return stop
}
