package views

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw"
	"broadsheet.dev/broadsheet/views"
)

// stuck waits until a view tells the statement by which it goes on, and returns it.
func (w *hosted) stuck(c *pgx.Conn, view string) string {
	w.t.Helper()
	var statement string
	require.Eventually(w.t, func() bool {
		told := w.rows(c, "select status || ': ' || error from bs_catalog.materialized_views where view_name = '"+view+"'")
		if len(told) != 1 || !strings.HasPrefix(told[0], "not ready: ") {
			return false
		}
		_, after, found := strings.Cut(told[0], "goes on without the row by: ")
		statement = after
		return found
	}, time.Minute, 10*time.Millisecond)
	return statement
}

// TestSkip holds that a view which fails on a row of its table says how it goes on without it; that it does so, whoever keeps it from then
// on; and that VERIFY compares it with its query over all other rows.
func TestSkip(t *testing.T) {
	w := &hosted{world: newStores(t)}
	host := w.add()
	w.serve(sqlgw.ViewsBy(views.NewClient(w)))
	c := w.connect()
	w.run(c, `create schema "S"`, "create table t (k int8, s text) with (journals = 2)",
		`create materialized view "S"."it" as select k, sum(s::int8) as n from t group by k`,
		"create materialized view lines as select s::int8 * 2 as n from t where k < 10",
		"insert into t values (1, '10'), (2, '20'), (1, 'bad'), (2, '30')")
	for _, view := range []string{"it", "lines"} {
		w.run(c, w.stuck(c, view))
	}
	require.Equal(t, []string{"1|10", "2|50"}, w.rows(c, `select * from "S".it`))
	require.Equal(t, []string{"20", "40", "60"}, w.rows(c, "select * from lines"))
	w.fails(c, "22P02", "select s::int8 from t")
	w.run(c, "insert into t values (3, '5'), (4, 'worse'), (4, '7')")
	second := w.stuck(c, "it")
	w.run(c, second, second, w.stuck(c, "lines"))
	same := func(c *pgx.Conn) {
		require.Equal(t, []string{"1|10", "2|50", "3|5", "4|7"}, w.rows(c, `select * from "S".it`))
		require.Empty(t, w.rows(c, `verify materialized view "S".it`))
		require.Empty(t, w.rows(c, "verify materialized view lines"))
		list := w.rows(c, "select skipped from bs_catalog.materialized_views where view_name = 'it'")[0]
		require.Len(t, strings.Split(list, ", "), 2)
	}
	same(c)
	w.add()
	require.NoError(t, host.Kill(t.Context()))
	same(w.connect())
	w.run(c, `alter materialized view "S".it rename to sums`, "insert into t values (5, 'x')")
	require.Contains(t, w.stuck(c, "sums"), `ALTER MATERIALIZED VIEW "S".sums SKIP (journal = 'public/`)
	w.refusesSkips(c)
}

// refusesSkips of what isn't a row that a view may do without.
func (w *hosted) refusesSkips(c *pgx.Conn) {
	t := w.t
	w.run(c, "create table u (s text)", "insert into u values ('1'), ('2')", "create materialized view m as select s::int8 as n from u")
	require.Equal(t, []string{"1", "2"}, w.rows(c, "select * from m"))
	journal := w.rows(c, "select journal from bs_catalog.journals where table_name = 'u'")[0]
	require.Contains(t, w.fails(c, "55000", "alter materialized view m skip (journal = '"+journal+"', offset = 0)"), "has read the row at "+journal+"@0 already")
	require.Contains(t, w.fails(c, "22023", "alter materialized view m skip (journal = 'other', offset = 0)"), `has no journal "other"`)
	w.fails(c, "42P01", "alter materialized view nosuch skip (journal = 'other', offset = 0)")
	w.run(c, "alter materialized view if exists nosuch skip (journal = 'other', offset = 0)", "create role reader login", "grant select on m to reader", "set role reader")
	w.fails(c, "42501", "alter materialized view m skip (journal = '"+journal+"', offset = 0)")
	w.run(c, "reset role")
	require.Equal(t, []string{"NULL"}, w.rows(c, "select coalesce(skipped, 'NULL') from bs_catalog.materialized_views where view_name = 'm'"))
	require.Contains(t, w.fails(c, "42883", "create materialized view no as select nosuch(s) as n from u"), "function nosuch(unknown) does not exist")
	require.Contains(t, w.fails(c, "2BP01", "alter table u add column more int8"), "cannot alter table u because other objects depend on it")
	m, ok := w.tables.Latest().View("public", "m")
	require.True(t, ok)
	_, err := w.tables.ChangeView(t.Context(), m, func(o *catalog.Object) error {
		for i := range catalog.MaxSkipped {
			o.View.Materialized.Skipped = append(o.View.Materialized.Skipped, catalog.RowPlace{Journal: journal, Offset: int64(1000 + i)})
		}
		return nil
	})
	require.NoError(t, err)
	w.fails(c, "54000", "alter materialized view m skip (journal = '"+journal+"', offset = 5000)")
	w.run(c, "alter materialized view m skip (journal = '"+journal+"', offset = 1000)") // which it does already
	require.Equal(t, []string{"1", "2"}, w.rows(c, "select * from m"))
}
