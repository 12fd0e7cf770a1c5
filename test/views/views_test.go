package views

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/sqlgw"
	"broadsheet.dev/broadsheet/views"
)

// made is a world with a table of three rows, and a view of it whose host has them.
func made(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	c := w.connect()
	w.run(c, "create table t (k int8, v int8)", "insert into t values (1, 10), (1, 20), (2, 30)",
		"create materialized view m as select k, count(*) as n from t group by k")
	w.host.read = func(_ context.Context, atLeast map[string]int64) (state, error) {
		return state{cut: atLeast, rows: [][2]int64{{1, 2}, {2, 1}}}, nil
	}
	return w
}

// TestSelect holds that a view is read as any other relation, by itself and with others.
func TestSelect(t *testing.T) {
	w := made(t)
	c := w.connect()
	require.Equal(t, []string{"1|2", "2|1"}, w.rows(c, "select * from m"))
	require.Equal(t, []string{"1|20|2", "2|10|1"}, w.rows(c, "select m.k, m.n * 10, m.n from m where m.n > 0"))
	require.Equal(t, []string{"1|10|2", "1|20|2", "2|30|1"}, w.rows(c, "select t.k, t.v, m.n from t join m on t.k = m.k"))
	require.Equal(t, []string{"1|1", "2|2"}, w.rows(c, "select a.k, b.k from m a join m b on a.k = b.k"))
	for _, again := range []string{ // what is named once, and read more often
		"with c as not materialized (select * from m) select a.k, b.n from c a join c b using (k)",
		"with recursive r(k) as (select 1::int8 union all select r.k + 1 from r join m on m.k = r.k) select m.k, m.n from r join m using (k)",
	} {
		require.Equal(t, []string{"1|2", "2|1"}, w.rows(c, again))
	}
	w.run(c, "create view often as with c as not materialized (select * from m) select a.k, b.n from c a join c b using (k)")
	require.Equal(t, []string{"1|2", "2|1"}, w.rows(c, "select * from often"))
	w.run(c, "create view above as select n from m where k = 1")
	require.Equal(t, []string{"2"}, w.rows(c, "select * from above"))
	require.Equal(t, []string{"k|bigint", "n|bigint"}, w.rows(c, "select column_name, data_type from (select attname as column_name, format_type(atttypid, -1) as data_type from pg_attribute where attrelid = 'm'::regclass) x"))
	require.Equal(t, []string{"m"}, w.rows(c, "select relkind from pg_class where relname = 'm'"))
	require.Equal(t, []string{"public|m|postgres|t"}, w.rows(c, "select schemaname, matviewname, matviewowner, ispopulated from pg_matviews"))
	require.Empty(t, w.rows(c, "select viewname from pg_views where viewname = 'm'"))
}

// TestTablesAreReadWhereTheViewIs holds that what is read beside a view has just the rows that the view knows of.
func TestTablesAreReadWhereTheViewIs(t *testing.T) {
	w := made(t)
	c, other := w.connect(), w.connect()
	w.run(c, "create table u (a int8)", "insert into u values (7)")
	w.host.read = func(ctx context.Context, atLeast map[string]int64) (state, error) {
		if _, err := other.Exec(ctx, "insert into t values (3, 40)"); err != nil { // once the statement's cut is fixed
			return state{}, err
		}
		at := map[string]int64{}
		for j := range atLeast {
			b, err := w.brokers.Barrier(ctx, j)
			if err != nil {
				return state{}, err
			}
			at[j] = b.Head
		}
		return state{cut: at, rows: [][2]int64{{1, 2}, {2, 1}, {3, 1}}}, nil
	}
	require.Equal(t, []string{"3|4|4|1"}, w.rows(c, "select (select count(*) from m), (select sum(n) from m), (select count(*) from t), (select count(*) from u)"))
}

// TestVerify holds that it tells of each row which the view has more, or lacks.
func TestVerify(t *testing.T) {
	w := made(t)
	c := w.connect()
	require.Empty(t, w.rows(c, "verify materialized view m"))
	w.host.read = func(_ context.Context, atLeast map[string]int64) (state, error) {
		return state{cut: atLeast, rows: [][2]int64{{1, 3}, {2, 1}, {2, 1}}}, nil
	}
	require.Equal(t, []string{"extra|1|3", "extra|2|1", "missing|1|2"}, w.rows(c, "verify materialized view public.m"))
	w.fails(c, "42809", "verify materialized view t")
	_, err := rowsOf(t.Context(), c, "verify materialized view t")
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Hint, "of nothing else are any kept")
	w.fails(c, "42P01", "verify materialized view nosuch")
	w.fails(c, "42601", "verify materialized view")
}

// TestViewsAreReadAtOneCut holds that rows of two cuts are never in one answer.
func TestViewsAreReadAtOneCut(t *testing.T) {
	w := made(t)
	c := w.connect()
	w.run(c, "create materialized view m2 as select k, count(*) as n from t group by k")
	ahead := int64(0)
	w.host.read = func(_ context.Context, atLeast map[string]int64) (state, error) {
		at := maps.Clone(atLeast)
		ahead++
		if ahead == 2 { // the second view is ahead once
			w.run(w.connect(), "insert into t values (9, 9)")
			for j := range at {
				b, err := w.brokers.Barrier(t.Context(), j)
				require.NoError(t, err)
				at[j] = b.Head
			}
		}
		return state{cut: at, rows: [][2]int64{{int64(len(at)), ahead}}}, nil
	}
	require.Equal(t, []string{"4"}, w.rows(c, "select (select count(*) from t) from m, m2"))
	require.EqualValues(t, 3, ahead, "the first one was read again")
	w.host.read = func(_ context.Context, atLeast map[string]int64) (state, error) {
		at := map[string]int64{}
		for j, offset := range atLeast {
			at[j] = offset + 1 // never where the other one is
		}
		return state{cut: at}, nil
	}
	w.fails(c, "40001", "select 1 from m, m2")
}

// TestRefused holds that what isn't supported is refused by its name.
func TestRefused(t *testing.T) {
	w := made(t)
	c := w.connect()
	for sql, code := range map[string]string{
		"create materialized view x as select k from m":                        "0A000",
		"create materialized view x as select 1 from pg_class":                 "0A000",
		"create materialized view x as select a.k from t a, t b":               "0A000",
		"create materialized view x as select k from t with no data":           "0A000",
		"create materialized view x with (fillfactor = 70) as select k from t": "0A000",
		"create materialized view x with (standbys = 9) as select k from t":    "22023",
		"create materialized view x (a, b, c) as select k from t":              "42601",
		"create materialized view m as select k from t":                        "42P07",
		"create or replace view m as select 1":                                 "42809",
		"drop view m":                                                          "42809",
		"drop materialized view t":                                             "42809",
		"drop materialized view nosuch":                                        "42P01",
		"drop table m":                                                         "42809",
		"drop table t":                                                         "2BP01",
		"alter view m rename to n":                                             "42809",
		"alter materialized view m set (a = 1)":                                "0A000",
		"alter table t add column w int8":                                      "2BP01",
		"create materialized view x as select nosuch(k) from t":                "42883",
		"insert into m values (1, 1)":                                          "42809",
		"comment on view m is 'x'":                                             "42809",
		"select * from m as of timestamp now()":                                "0A000",
		"refresh materialized view t":                                          "42809",
		"begin isolation level repeatable read; select * from m; commit":       "0A000",
		"begin; insert into t values (5, 5); select * from m; commit":          "0A000",
	} {
		w.fails(c, code, sql)
		w.run(c, "rollback")
	}
	w.run(c, "create temp table tt (a int8)")
	w.fails(c, "0A000", "create materialized view x as select a from tt")
	w.host.read = func(context.Context, map[string]int64) (state, error) { return state{}, errors.New("no host has it") }
	require.Equal(t, `materialized view "m" can't be read: no host has it`, w.fails(c, "55000", "select * from m"))
	w.host.read = func(context.Context, map[string]int64) (state, error) {
		return state{}, errors.New("a row" + views.WayOut + "SKIP")
	}
	_, err := rowsOf(t.Context(), c, "select * from m")
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Equal(t, `materialized view "m" can't be read: a row`, e.Message)
	require.Equal(t, "The view goes on without the row by: SKIP", e.Hint)
}

// TestDDL holds that a view is made, changed and dropped as PostgreSQL does.
func TestDDL(t *testing.T) {
	w := made(t)
	c := w.connect()
	w.run(c, "create materialized view if not exists m as select k, count(*) as n from t group by k", "refresh materialized view concurrently m",
		"comment on materialized view m is 'counts'", "alter materialized view m rename to counts", "create schema other", "alter materialized view counts set schema other")
	require.Equal(t, []string{"counts"}, w.rows(c, "select obj_description('other.counts'::regclass)"))
	w.run(c, "create role reader login", "grant usage on schema other to reader")
	w.run(c, "set role reader")
	require.Equal(t, "permission denied for materialized view counts", w.fails(c, "42501", "select * from other.counts"))
	w.run(c, "reset role", "grant select on other.counts to reader", "set role reader")
	require.Equal(t, []string{"1|2", "2|1"}, w.rows(c, "select * from other.counts"), "though it may not read the table")
	require.Equal(t, "must be owner of materialized view counts", w.fails(c, "42501", "verify materialized view other.counts"))
	w.run(c, "reset role", "drop table t cascade")
	w.fails(c, "42P01", "select * from other.counts")
	w.run(c, "drop materialized view if exists other.counts")
}

// changes are the next n rows of the subscription of a cursor without their cuts, each of which is one.
func (w *world) changes(c *pgx.Conn, n int) []string {
	w.t.Helper()
	var out []string
	for len(out) < n {
		for _, row := range w.rows(c, "fetch 1 from s") {
			parts := strings.Split(row, "|")
			require.True(w.t, strings.HasPrefix(parts[1], "cut:1:"), row)
			out = append(out, strings.Join(slices.Delete(parts, 1, 2), "|"))
		}
	}
	return out
}

// TestSubscribe holds that a subscription begins with what there is, and tells then what is removed and added, whoever asks for it how.
func TestSubscribe(t *testing.T) {
	w := made(t)
	c := w.connect()
	w.run(c, "begin", "declare s cursor for subscribe to m")
	send := func(p sqlgw.ViewPart) { w.host.changes <- p }
	at := map[string]int64{w.rows(c, "select journal from bs_catalog.journals where table_name = 't'")[0]: 9}
	go func() {
		send(sqlgw.ViewPart{Epoch: 3, Cut: at, Snapshot: true, Added: batchOf([2]int64{1, 2})})
		send(sqlgw.ViewPart{Epoch: 3, Cut: at, Snapshot: true, Added: batchOf([2]int64{2, 1}), End: true})
		send(sqlgw.ViewPart{Epoch: 4, Cut: at, Removed: batchOf([2]int64{2, 1}, [2]int64{5, 5})})
		send(sqlgw.ViewPart{Epoch: 4, Cut: at, Added: batchOf([2]int64{2, 2}, [2]int64{5, 5}), End: true})
		send(sqlgw.ViewPart{Epoch: 5, Cut: at, End: true})
		send(sqlgw.ViewPart{Epoch: 6, Cut: at, Added: batchOf([2]int64{3, 1}), End: true})
	}()
	require.Equal(t, []string{"3|1|1|2", "3|1|2|1"}, w.changes(c, 2))
	require.Equal(t, []string{"4|-1|2|1", "4|1|2|2"}, w.changes(c, 2))
	require.Equal(t, []string{"6|1|3|1"}, w.changes(c, 1))
	require.Equal(t, []string{"m|cursor|9|5"}, w.rows(c, `select table_name, kind, "offset", rows_sent from bs_catalog.subscriptions`))
	w.run(c, "commit")

	done := make(chan error, 1)
	go func() {
		_, err := rowsOf(t.Context(), w.connect(), "copy (subscribe to m) to stdout")
		done <- err
	}()
	send(sqlgw.ViewPart{Epoch: 7, Cut: at, Snapshot: true, Added: batchOf([2]int64{1, 2}), End: true})
	send(sqlgw.ViewPart{Epoch: 9, Cut: at, Snapshot: true, End: true})
	require.ErrorContains(t, <-done, "has lost its place")
}
