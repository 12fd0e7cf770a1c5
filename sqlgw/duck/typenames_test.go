package duck_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// TestTypeNames: what is handed on as one type keeps its own name, and casts to that name bring it back.
func TestTypeNames(t *testing.T) {
	c := connect(t, open(t, duck.Config{}))
	stmt, err := c.Prepare(t.Context(), "SELECT 1::HUGEINT a, 1::DECIMAL(38,0) b, 1::TINYINT c, 1::UBIGINT d, '1'::JSON e, [1::DECIMAL(4,1)] f, 'x' g, {'x': 1} h")
	require.NoError(t, err)
	names := stmt.TypeNames()
	require.NoError(t, stmt.Close())
	require.Equal(t, []string{"HUGEINT", "DECIMAL(38,0)", "TINYINT", "UBIGINT", "JSON", "DECIMAL(4,1)[]", "VARCHAR", `STRUCT("x" INTEGER)`}, names)
	for _, name := range names {
		stmt, err := c.Prepare(t.Context(), "SELECT NULL::"+name)
		require.NoError(t, err)
		require.Equal(t, []string{name}, stmt.TypeNames())
		require.NoError(t, stmt.Close())
	}
	stmt, err = c.Prepare(t.Context(), "SELECT $1")
	require.NoError(t, err)
	require.Len(t, stmt.TypeNames(), len(stmt.Columns()))
	require.NoError(t, stmt.Close())
}
