package sqlgw

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

func split(t *testing.T, sql string) []parse.Piece {
	t.Helper()
	pieces, err := parse.Split(sql)
	require.NoError(t, err)
	return pieces
}

// TestMemoryOfStatements: what is parsed and kept is bounded, and given back when nothing has it any more.
func TestMemoryOfStatements(t *testing.T) {
	long := "SELECT 1" + strings.Repeat(", 1", 1000)
	during, after := split(t, long)[0].Memory()
	require.Greater(t, during, int64(2000*300))
	require.Less(t, after, during)
	p := newParsing(during+3*after, func(err error) { t.Error(err) })
	var kept [][]parse.Statement
	for range 2 {
		statements, err := p.parse(t.Context(), split(t, long))
		require.NoError(t, err)
		kept = append(kept, statements)
	}
	_, err := p.parse(t.Context(), split(t, long+"; "+long+"; "+long+"; "+long))
	require.ErrorContains(t, err, "SQLSTATE 54000")

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = p.parse(ctx, split(t, long+"; "+long))
	require.ErrorIs(t, err, context.DeadlineExceeded, "who holds two of three leaves no room for two")
	_, err = p.parse(t.Context(), split(t, "SELECT 1"))
	require.NoError(t, err, "little ones find theirs")
	require.Len(t, kept, 2)
	for _, statements := range kept {
		require.IsType(t, &parse.Select{}, statements[0])
	}
	kept = nil //nolint:wastedassign,ineffassign // nothing has them now
	require.Eventually(t, func() bool {
		_, err := p.parse(t.Context(), split(t, long+"; "+long))
		return err == nil
	}, time.Minute, time.Millisecond)
}

// TestNoMemoryToParse: a text that there is no memory to parse is refused within the patience, before the grammar asks for it.
func TestNoMemoryToParse(t *testing.T) {
	const tooMuch = 1 << 46
	require.NoError(t, awaitMappable(t.Context(), 1))
	p := newParsing(tooMuch, func(err error) { t.Error(err) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.ErrorContains(t, p.take(ctx, tooMuch), "SQLSTATE 53200")
	require.True(t, p.memory.TryAcquire(tooMuch), "it is given back")
	require.NoError(t, ctx.Err())
}
