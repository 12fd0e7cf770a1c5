package catalog

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/internal/task"
)

// viewOf is a view of one column that reads relations.
func viewOf(name string, reads ...Read) Object {
	return Object{Schema: "public", Name: name, View: &View{
		Query: "SELECT 1 AS a", Reads: reads, Columns: []ViewColumn{{Name: "a", Type: "int4", TypMod: -1}}, Owner: SuperuserID,
	}}
}

func readOf(o Object) Read { return Read{ID: o.ID, Schema: o.Schema, Name: o.Name} }

func tableRead(t Table) Read { return Read{ID: t.ID, Schema: t.Schema, Name: t.Name} }

func smallTable(name string) TableSpec {
	return TableSpec{Schema: "public", Name: name, Columns: []Column{{Name: "a", Type: columnar.Type{Kind: columnar.Int64}}}, Options: Options{Journals: 1}}
}

func publicSchema(t *testing.T, c *Catalog) Schema {
	t.Helper()
	s, err := c.Snapshot(t.Context())
	require.NoError(t, err)
	schema, ok := s.Schema("public")
	require.True(t, ok)
	return schema
}

func anyReplaced(Object) error { return nil }

func TestViewIsKept(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	table, err := c.CreateTable(t.Context(), smallTable("t"))
	require.NoError(t, err)
	v, err := c.CreateView(t.Context(), publicSchema(t, c), viewOf("v", tableRead(table)), nil)
	require.NoError(t, err)
	got, ok := w.snapshot(c).View("public", "v")
	require.True(t, ok)
	require.Equal(t, v, got)

	_, err = c.CreateView(t.Context(), publicSchema(t, c), viewOf("v"), nil)
	require.ErrorIs(t, err, ErrExists)
	require.NoError(t, c.Grant(t.Context(), Thing{Schema: "public", View: "v", ID: v.ID}, []Grant{{Role: PublicID, Privileges: "r"}}, false))
	_, err = c.CommentObject(t.Context(), v, "said")
	require.NoError(t, err)
	changed := viewOf("v", tableRead(table))
	changed.View.Query, changed.View.Owner = "SELECT 2 AS a", 17000
	changed, err = c.CreateView(t.Context(), publicSchema(t, c), changed, anyReplaced)
	require.NoError(t, err)
	require.Equal(t, v.ID, changed.ID)
	require.Equal(t, "SELECT 2 AS a", changed.View.Query)
	require.Equal(t, "said", changed.Comment)
	require.Equal(t, Access{Owner: SuperuserID, Grants: []Grant{{Role: PublicID, Privileges: "r"}}}, changed.View.Access())
	refused := errors.New("other columns")
	_, err = c.CreateView(t.Context(), publicSchema(t, c), viewOf("v"), func(old Object) error {
		require.Equal(t, changed, old)
		return refused
	})
	require.ErrorIs(t, err, refused)

	renamed, err := c.ChangeView(t.Context(), changed, func(o *Object) error { o.Name = "w"; return nil })
	require.NoError(t, err)
	_, ok = w.snapshot(c).View("public", "v")
	require.False(t, ok)
	got, ok = w.snapshot(c).ViewRead(Read{ID: v.ID, Schema: "public", Name: "v"})
	require.True(t, ok, "by its id, whatever it is called")
	require.Equal(t, renamed, got)
	_, err = c.ChangeView(t.Context(), renamed, func(o *Object) error { o.Name = "t"; return nil })
	require.ErrorIs(t, err, ErrExists)
	_, err = c.ChangeView(t.Context(), renamed, func(o *Object) error { o.Schema = "nowhere"; return nil })
	require.ErrorIs(t, err, ErrNotFound)
}

// TestRelationsShareNames holds that a name is one relation's, of whatever kind.
func TestRelationsShareNames(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	spec := smallTable("t")
	spec.Indexes = []Index{{Name: "i", Method: "btree", Columns: []int64{1}}}
	table, err := c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	sequence := Object{Kind: SequenceObject, Schema: "public", Sequence: &Sequence{Type: "int8", Increment: 1, Max: 9, Cache: 1}}
	sequence.Name = "s"
	_, err = c.CreateObject(t.Context(), publicSchema(t, c), sequence, false)
	require.NoError(t, err)
	_, err = c.CreateView(t.Context(), publicSchema(t, c), viewOf("v"), nil)
	require.NoError(t, err)
	for _, name := range []string{"t", "i", "s", "v"} {
		_, err = c.CreateView(t.Context(), publicSchema(t, c), viewOf(name), nil)
		require.ErrorIs(t, err, ErrExists, name)
	}
	for _, name := range []string{"t", "s", "v"} {
		_, err = c.CreateTable(t.Context(), smallTable(name))
		require.ErrorIs(t, err, ErrExists, name)
		sequence.Name = name
		_, err = c.CreateObject(t.Context(), publicSchema(t, c), sequence, false)
		require.ErrorIs(t, err, ErrExists, name)
	}
	_, err = c.ChangeTable(t.Context(), table, Change{Indexes: []Index{{Name: "v", Method: "btree", Columns: []int64{1}}}})
	require.ErrorIs(t, err, ErrExists)
	w.clean(c)
}

func TestViewNeverReadsItself(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	v, err := c.CreateView(t.Context(), publicSchema(t, c), viewOf("v"), nil)
	require.NoError(t, err)
	u, err := c.CreateView(t.Context(), publicSchema(t, c), viewOf("u", readOf(v)), nil)
	require.NoError(t, err)
	for _, reads := range []Read{readOf(v), readOf(u)} {
		_, err = c.CreateView(t.Context(), publicSchema(t, c), viewOf("v", reads), anyReplaced)
		require.ErrorIs(t, err, ErrInvalid)
	}
	_, err = c.CreateView(t.Context(), publicSchema(t, c), viewOf("x", Read{ID: 99999, Schema: "public", Name: "gone"}), nil)
	require.ErrorIs(t, err, ErrNotFound)
}

// sumsOf is a materialized view of a relation.
func sumsOf(name string, read Read) Object {
	o := viewOf(name, read)
	o.View.Materialized = &Materialized{Standbys: 1}
	return o
}

// TestMaterializedViewIsKept holds that such a view is made, changed and dropped as others are, and is never one of them.
func TestMaterializedViewIsKept(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	table, err := c.CreateTable(t.Context(), smallTable("t"))
	require.NoError(t, err)
	m, err := c.CreateView(t.Context(), publicSchema(t, c), sumsOf("m", tableRead(table)), nil)
	require.NoError(t, err)
	require.Equal(t, "materialized view", m.KindName())
	got, ok := w.snapshot(c).View("public", "m")
	require.True(t, ok)
	require.Equal(t, m, got)
	v, err := c.CreateView(t.Context(), publicSchema(t, c), viewOf("v", readOf(m)), nil)
	require.NoError(t, err)

	_, err = c.CreateView(t.Context(), publicSchema(t, c), viewOf("m", tableRead(table)), anyReplaced)
	require.ErrorIs(t, err, ErrExists, "a view never takes its place")
	_, err = c.CreateView(t.Context(), publicSchema(t, c), sumsOf("v", tableRead(table)), anyReplaced)
	require.ErrorIs(t, err, ErrExists, "nor it that of a view")
	for _, below := range []Object{v, m} {
		_, err = c.CreateView(t.Context(), publicSchema(t, c), sumsOf("n", readOf(below)), nil)
		require.ErrorIs(t, err, ErrUnsupported)
	}
	for _, bad := range []func(*View){
		func(v *View) { v.Materialized.Standbys = MaxStandbys + 1 },
		func(v *View) { v.Materialized.Standbys = -1 },
		func(v *View) { v.Materialized.Skipped = make([]RowPlace, MaxSkipped+1) },
		func(v *View) { v.Materialized.Skipped = []RowPlace{{Journal: "j", Offset: -1}} },
		func(v *View) { v.Materialized.Skipped = []RowPlace{{Offset: 1}} },
		func(v *View) { v.SecurityInvoker = true },
		func(v *View) { v.Reads = nil },
		func(v *View) { v.Reads = []Read{{Schema: "pg_catalog", Name: "pg_class"}} },
	} {
		o := sumsOf("n", tableRead(table))
		bad(o.View)
		_, err = c.CreateView(t.Context(), publicSchema(t, c), o, nil)
		require.ErrorIs(t, err, ErrInvalid)
	}

	_, err = c.DropRelations(t.Context(), Drop{Tables: []Read{tableRead(table)}})
	e, ok := errors.AsType[*DependentsError](err)
	require.True(t, ok)
	require.Equal(t, []Dependent{{View: m, Kind: "table", On: tableRead(table)}, {View: v, Kind: "materialized view", On: readOf(m)}}, e.Dependents)
	gone, err := c.DropRelations(t.Context(), Drop{Tables: []Read{tableRead(table)}, Cascade: true})
	require.NoError(t, err)
	require.Len(t, gone, 2)
	require.Empty(t, w.snapshot(c).Objects())
	w.clean(c)
}

// TestSkippedRows holds that the rows that a view does without are in its entry, and that who changes them changes no other's.
func TestSkippedRows(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	table, err := c.CreateTable(t.Context(), smallTable("t"))
	require.NoError(t, err)
	m, err := c.CreateView(t.Context(), publicSchema(t, c), sumsOf("m", tableRead(table)), nil)
	require.NoError(t, err)
	one, two := RowPlace{Journal: "j", Offset: 7}, RowPlace{Journal: "j", Offset: 0}
	skip := func(o Object, p RowPlace) Object {
		o, err := c.ChangeView(t.Context(), o, func(v *Object) error {
			v.View.Materialized.Skipped = append(v.View.Materialized.Skipped, p)
			return nil
		})
		require.NoError(t, err)
		return o
	}
	first := skip(m, one)
	skip(first, two)
	require.Empty(t, m.View.Materialized.Skipped)
	require.Equal(t, []RowPlace{one}, first.View.Materialized.Skipped)
	got, ok := w.snapshot(c).View("public", "m")
	require.True(t, ok)
	require.Equal(t, []RowPlace{one, two}, got.View.Materialized.Skipped)
	require.Equal(t, "j@7", one.String())
	_, err = c.DropRelations(t.Context(), Drop{Tables: []Read{tableRead(table)}, Cascade: true})
	require.NoError(t, err)
	w.clean(c)
}

// TestMaterializedViewHoldsItsTable holds that a table's lines go on to mean the rows that such a view has of them.
func TestMaterializedViewHoldsItsTable(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	table, err := c.CreateTable(t.Context(), smallTable("t"))
	require.NoError(t, err)
	m, err := c.CreateView(t.Context(), publicSchema(t, c), sumsOf("m", tableRead(table)), nil)
	require.NoError(t, err)
	change := func(alter func(*Alteration) error) error {
		altered, err := c.AlterTable(t.Context(), table, alter)
		if err == nil {
			table = altered.Table
		}
		return err
	}
	note := textColumn("note")
	require.ErrorIs(t, change(func(a *Alteration) error { return a.AddColumn(note) }), ErrNotEmpty)
	require.NoError(t, change(func(a *Alteration) error { return a.RenameColumn(1, "b") }))
	o, ok := w.snapshot(c).View("public", "m")
	require.True(t, ok)
	read, ok := w.snapshot(c).TableRead(o.View.Reads[0])
	require.True(t, ok)
	require.Equal(t, "a", read.Columns[0].Name, "as the view calls it")
	require.NoError(t, change(func(a *Alteration) error { a.DropViews = []Object{m}; return a.AddColumn(note) }), "the view goes with it")
	require.Empty(t, w.snapshot(c).Objects())
}

// TestDropOfWhatViewsRead holds that what is read stays, unless what reads it goes too.
func TestDropOfWhatViewsRead(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	table, err := c.CreateTable(t.Context(), smallTable("t"))
	require.NoError(t, err)
	v, err := c.CreateView(t.Context(), publicSchema(t, c), viewOf("v", tableRead(table)), nil)
	require.NoError(t, err)
	u, err := c.CreateView(t.Context(), publicSchema(t, c), viewOf("u", readOf(v), tableRead(table)), nil)
	require.NoError(t, err)
	want := []Dependent{{View: v, Kind: "table", On: tableRead(table)}, {View: u, Kind: "table", On: tableRead(table)}}
	err = c.DropTable(t.Context(), table)
	require.ErrorIs(t, err, ErrNotEmpty)
	var refused *DependentsError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, want, refused.Dependents)
	_, err = c.DropRelations(t.Context(), Drop{Views: []Read{readOf(v)}})
	require.ErrorIs(t, err, ErrNotEmpty)
	require.Len(t, w.snapshot(c).Objects(), 2)

	other := readOf(u)
	other.ID++
	_, err = c.DropRelations(t.Context(), Drop{Views: []Read{other}})
	require.ErrorIs(t, err, ErrNotFound, "another of its name isn't meant")
	got, err := c.DropRelations(t.Context(), Drop{Tables: []Read{tableRead(table)}, Cascade: true})
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Empty(t, w.snapshot(c).Objects())
	require.Empty(t, w.clean(c).Tables())

	again, err := c.CreateTable(t.Context(), smallTable("t"))
	require.NoError(t, err)
	v, err = c.CreateView(t.Context(), publicSchema(t, c), viewOf("v", tableRead(again)), nil)
	require.NoError(t, err)
	require.Greater(t, v.ID, u.ID, "an id never comes back")
	got, err = c.DropRelations(t.Context(), Drop{Tables: []Read{tableRead(again)}, Views: []Read{readOf(v)}})
	require.NoError(t, err, "all that reads it goes with it")
	require.Empty(t, got)
	w.clean(c)
}

// TestViewAndDropAtOnce holds that of a view that is made and a table that is dropped at the same time one fails.
func TestViewAndDropAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	for i := range 10 {
		table, err := c.CreateTable(t.Context(), smallTable(fmt.Sprintf("t%d", i)))
		require.NoError(t, err)
		var made, dropped error
		g := task.New(context.Background(), "test")
		g.Go("create", func(ctx context.Context) error {
			_, made = c.CreateView(ctx, publicSchema(t, c), viewOf(fmt.Sprintf("v%d", i), tableRead(table)), nil)
			return nil
		})
		g.Go("drop", func(ctx context.Context) error {
			dropped = c.DropTable(ctx, table)
			return nil
		})
		require.NoError(t, g.Wait())
		if made == nil {
			require.ErrorIs(t, dropped, ErrNotEmpty)
		} else {
			require.ErrorIs(t, made, ErrNotFound)
			require.NoError(t, dropped)
		}
	}
	for _, o := range w.clean(c).Objects() {
		_, ok := w.snapshot(c).TableRead(o.View.Reads[0])
		require.True(t, ok)
	}
}

func TestRoleOfViewStays(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	r, err := c.CreateRole(t.Context(), Role{Name: "alice"})
	require.NoError(t, err)
	o := viewOf("v")
	o.View.Owner = r.ID
	v, err := c.CreateView(t.Context(), publicSchema(t, c), o, nil)
	require.NoError(t, err)
	require.ErrorIs(t, c.DropRole(t.Context(), r), ErrNotEmpty)
	_, err = c.DropRelations(t.Context(), Drop{Views: []Read{readOf(v)}})
	require.NoError(t, err)
	require.NoError(t, c.DropRole(t.Context(), r))
}
