package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSchemaInThePlaceOfAnother isn't the one in which a table may be made: who may do what was asked of the first.
func TestSchemaInThePlaceOfAnother(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	w.brokers.add(t, "logs/a")
	first, err := c.CreateSchema(t.Context(), "s")
	require.NoError(t, err)
	require.NoError(t, c.DropSchema(t.Context(), "s"))
	second, err := c.CreateSchema(t.Context(), "s")
	require.NoError(t, err)
	for _, on := range []string{"", "logs/"} {
		spec := testSpec("t")
		spec.Schema, spec.SchemaID, spec.OnJournals = "s", first.ID, on
		_, err = c.CreateTable(t.Context(), spec)
		require.Equal(t, &Error{Code: ErrNotFound, Kind: "schema", Name: "s"}, err)
		require.Empty(t, w.clean(c).Tables())
		spec.SchemaID = second.ID
		table, err := c.CreateTable(t.Context(), spec)
		require.NoError(t, err)
		require.NoError(t, c.DropTable(t.Context(), table.Schema, table.Name))
	}
}
