package views_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/views"
	"broadsheet.dev/broadsheet/views/keep"
)

// catalogWorld is a world whose table is one of a catalog, which has its views, too.
type catalogWorld struct {
	*world

	catalog *catalog.Catalog
	table   catalog.Table
}

func newCatalogWorld(t *testing.T, journals int) *catalogWorld {
	t.Helper()
	w := &catalogWorld{world: newWorld(t, 0)}
	var err error
	w.catalog, err = catalog.Open(t.Context(), catalog.Config{
		Etcd: w.broker.Etcd, Prefix: "/bs", Journals: w.client, Stores: []string{"file:///"}, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	tasks := task.New(context.WithoutCancel(t.Context()), "catalog")
	tasks.Go("catalog", func(ctx context.Context) error {
		if err := w.catalog.Run(ctx); ctx.Err() == nil {
			return err
		}
		return nil
	})
	t.Cleanup(func() {
		tasks.Cancel()
		require.NoError(t, tasks.Wait())
	})
	spec := catalog.TableSpec{Schema: "public", Name: "t", Options: catalog.Options{Journals: journals}}
	for _, c := range tableColumns() {
		spec.Columns = append(spec.Columns, catalog.Column{Name: c.Name, Type: c.Type})
	}
	w.table, err = w.catalog.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	w.journals, err = w.snapshot().Journals(t.Context(), w.table)
	require.NoError(t, err)
	w.source = views.NewCatalog(w.catalog)
	return w
}

func (w *catalogWorld) snapshot() *catalog.Snapshot {
	w.t.Helper()
	snap, err := w.catalog.Snapshot(w.t.Context())
	require.NoError(w.t, err)
	return snap
}

// query over the table, as the catalog keeps it.
func (w *catalogWorld) query(text string) string {
	w.t.Helper()
	resolved, err := parsed(w.t, text).Resolve(parse.Binding{Relation: func(parse.Relation) (parse.Target, error) {
		return parse.Target{SQL: "t", Schema: "public", Columns: []string{"k", "v", "s", "f"}, Types: []string{"int8", "int8", "text", "float8"}}, nil
	}})
	require.NoError(w.t, err, text)
	return resolved.Text
}

// create a view of a query.
func (w *catalogWorld) create(name, query string, columns ...string) catalog.Object {
	w.t.Helper()
	snap := w.snapshot()
	schema, ok := snap.Schema("public")
	require.True(w.t, ok)
	v := &catalog.View{
		Query: w.query(query), Reads: []catalog.Read{{ID: w.table.ID, Schema: "public", Name: "t"}}, Owner: catalog.SuperuserID,
		Materialized: &catalog.Materialized{},
	}
	for _, c := range columns {
		v.Columns = append(v.Columns, catalog.ViewColumn{Name: c, Type: "int8", TypMod: -1})
	}
	o, err := w.catalog.CreateView(w.t.Context(), schema, catalog.Object{Name: name, View: v}, nil)
	require.NoError(w.t, err)
	return o
}

// TestCatalog: views are what the catalog says of them, whatever their table and its columns are called by now.
func TestCatalog(t *testing.T) {
	w := newCatalogWorld(t, 2)
	h := w.host()
	plans := map[int64]views.Plan{}
	for name, query := range map[string]string{
		"groups": "SELECT k % 3 AS m, count(*) AS n, sum(v) AS s, avg(f) AS a, min(s) || max(s) AS e FROM t WHERE v > 1 GROUP BY 1 HAVING count(*) > 1",
		"rows":   "SELECT upper(s) AS m, v + k AS n FROM t WHERE k <> 2",
		"single": "SELECT count(*) AS m, avg(v) AS n FROM t",
	} {
		o := w.create(name, query, "m", "n", "s", "a", "e")
		plan, err := views.PlanOf(parsed(t, o.View.Query))
		require.NoError(t, err)
		plans[o.ID] = plan
		w.shard(h, o.ID, 0)
	}
	exact := func() {
		t.Helper()
		for id, plan := range plans {
			w.exact(h, id, plan, w.heads())
		}
	}
	for i := range 6 {
		w.append(i%2, line(i, 3*i, "a")+line(i, 1, "b")+line(-i, i, "c"))
		exact()
	}
	now, ok := w.snapshot().Table("public", "t")
	require.True(t, ok)
	_, err := w.catalog.AlterTable(t.Context(), now, func(a *catalog.Alteration) error {
		v, _ := a.Column("v")
		return a.RenameColumn(v.ID, "w")
	})
	require.NoError(t, err)
	w.append(0, line(7, 70, "d")+line(2, 70, "d"))
	exact() // lines call it v as before, and so does the query

	ids := slices.Sorted(maps.Keys(plans))
	gone, _ := w.snapshot().ViewRead(catalog.Read{ID: ids[0]})
	_, err = w.catalog.DropRelations(t.Context(), catalog.Drop{Views: []catalog.Read{{ID: gone.ID, Schema: "public", Name: gone.Name}}})
	require.NoError(t, err)
	_, err = w.source.View(t.Context(), gone.ID)
	require.ErrorIs(t, err, views.ErrNoView)
	w.append(0, line(7, 70, "d"))
	text := h.AwaitCode(keep.ShardID(gone.ID), shards.ReplicaStatus_FAILED).GetErrors()[0]
	require.Contains(t, text, "there is no such view")
	delete(plans, gone.ID)
	exact()
}

// TestRefused: what can't be taken apart is refused by its name.
func TestRefused(t *testing.T) {
	for query, says := range map[string]string{
		"SELECT DISTINCT k FROM public.t":          "DISTINCT",
		"SELECT k FROM public.t ORDER BY k":        "ORDER BY",
		"SELECT count(DISTINCT k) FROM public.t":   "DISTINCT",
		"SELECT a.k FROM public.t a, public.t b":   "join",
		"SELECT k, random() AS r FROM public.t":    "random",
		"SELECT string_agg(s, ',') FROM public.t":  "string_agg",
		"SELECT k, now() AS r FROM public.t":       "now",
		"SELECT (SELECT 1) AS one FROM public.t":   "subquery",
		"SELECT rank() OVER () AS r FROM public.t": "window",
	} {
		_, err := views.PlanOf(parsed(t, query))
		require.ErrorContains(t, err, says, query)
	}
}
