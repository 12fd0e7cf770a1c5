package duck_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// TestRunsAheadByAChunkOrTwo: of long texts, too, which DuckDB doesn't count.
func TestRunsAheadByAChunkOrTwo(t *testing.T) {
	db := open(t, duck.Config{})
	endless := numbers(2048, -1)
	register(t, db, "endless", endless)
	c := connect(t, db)
	stmt, err := c.Prepare(t.Context(), "SELECT n, repeat('x', 1000) FROM endless('t')")
	require.NoError(t, err)
	rows, err := stmt.Query(t.Context(), nil)
	require.NoError(t, err)
	for i := range int64(5) {
		_, err = rows.Next(t.Context())
		require.NoError(t, err)
		before := int64(-1)
		require.Eventually(t, func() bool { // it stopped
			was := before
			before = endless.nexts.Load()
			return was == before
		}, 10*time.Second, 50*time.Millisecond)
		require.LessOrEqual(t, before, i+6, "chunks that were made")
	}
	require.NoError(t, rows.Close())
}
