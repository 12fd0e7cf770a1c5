package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDropsAreWhole: of several schemas, roles or objects all are dropped, or none.
func TestDropsAreWhole(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	ctx := t.Context()
	var schemas []Schema
	for _, name := range []string{"a", "b"} {
		s, err := c.CreateSchema(ctx, name)
		require.NoError(t, err)
		schemas = append(schemas, s)
	}
	q, err := c.CreateObject(ctx, schemas[1], Object{Kind: SequenceObject, Name: "q", Sequence: &Sequence{Type: "int8"}}, false)
	require.NoError(t, err)
	p, err := c.CreateObject(ctx, schemas[0], Object{Kind: SequenceObject, Name: "p", Sequence: &Sequence{Type: "int8"}}, false)
	require.NoError(t, err)
	gone := q
	gone.ID++
	require.ErrorIs(t, c.DropObject(ctx, p, gone), ErrNotFound)
	require.Len(t, w.snapshot(c).Objects(), 2)
	require.NoError(t, c.DropObject(ctx, p))

	require.ErrorIs(t, c.DropSchema(ctx, schemas...), ErrNotEmpty)
	require.Len(t, w.snapshot(c).Schemas(), 3)
	require.NoError(t, c.DropObject(ctx, q))
	require.NoError(t, c.DropSchema(ctx, schemas...))
	require.Len(t, w.snapshot(c).Schemas(), 1)
	require.ErrorIs(t, c.DropSchema(ctx, make([]Schema, maxSchemaDrops+1)...), ErrUnsupported)

	free, err := c.CreateRole(ctx, Role{Name: "free"})
	require.NoError(t, err)
	owner, err := c.CreateRole(ctx, Role{Name: "owner"})
	require.NoError(t, err)
	spec := testSpec("t")
	spec.Owner = owner.ID
	_, err = c.CreateTable(ctx, spec)
	require.NoError(t, err)
	require.ErrorIs(t, c.DropRole(ctx, free, owner), ErrNotEmpty)
	require.ErrorIs(t, c.DropRole(ctx, free, firstRole()), ErrReserved)
	_, ok := w.snapshot(c).Role("free")
	require.True(t, ok)
	other, err := c.CreateRole(ctx, Role{Name: "other"})
	require.NoError(t, err)
	require.NoError(t, c.DropRole(ctx, free, other))
	require.Len(t, w.snapshot(c).Roles(), 2)
}

// TestIndexNamesAreRelations: an index has a name that no table, sequence or view of its schema has.
func TestIndexNamesAreRelations(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	ctx := t.Context()
	table, err := c.CreateTable(ctx, testSpec("t"))
	require.NoError(t, err)
	_, err = c.CreateObject(ctx, publicSchema(t, c), Object{Kind: SequenceObject, Name: "q", Sequence: &Sequence{Type: "int8"}}, false)
	require.NoError(t, err)
	for _, name := range []string{"t", "q"} {
		_, err := c.ChangeTable(ctx, table, Change{Indexes: []Index{{Name: name, Columns: []int64{1}}}})
		require.ErrorIs(t, err, ErrExists, name)
	}
	_, err = c.ChangeTable(ctx, table, Change{Indexes: []Index{{Name: "i", Columns: []int64{1}}}})
	require.NoError(t, err)
}
