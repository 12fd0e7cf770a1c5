package sqlgw

import (
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
)

// TestDefaultsAreOneForEachRow: whatever the engine makes of an expression, no row goes without its value.
func TestDefaultsAreOneForEachRow(t *testing.T) {
	table := catalog.Table{Name: "t", Columns: []catalog.Column{{Name: "a", Type: columnar.Type{Kind: columnar.Int64}}}}
	for given, fine := range map[int]bool{0: false, 1: false, 2: true, 3: false} {
		b := columnar.NewVectorBuilder(table.Columns[0].Type)
		for i := range given {
			b.AppendInt64(int64(i))
		}
		values := newDefaultValues(table, []int{0}, 2)
		err := values.add(&columnar.Batch{Len: given, Cols: []columnar.Vector{b.Vector()}})
		if err == nil {
			_, err = values.vectors()
		}
		if fine {
			require.NoError(t, err)
			continue
		}
		var e *pgwire.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "42803", e.Code)
		require.Contains(t, e.Message, `"t"`)
	}
}
