package broker

import (
	"crypto/sha1"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestBodyModel gathers random chunks under random bounds: what comes out is what
// went in, memory is bounded, and everything is given back.
func TestBodyModel(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, 200).Draw(t, "total")
		budget := newBudget(total)
		b := body{dir: dir, limit: rapid.Int64Range(0, 100).Draw(t, "limit"), budget: budget}
		var want []byte
		for range rapid.IntRange(0, 20).Draw(t, "chunks") {
			chunk := rapid.SliceOfN(rapid.Byte(), 1, 60).Draw(t, "chunk")
			want = append(want, chunk...)
			keep := rapid.Bool().Draw(t, "keep")
			require.NoError(t, b.write(chunk, keep))
			if !keep {
				clear(chunk) // The body has its own copy.
			}
			require.LessOrEqual(t, int64(len(b.mem)), b.held)
			require.LessOrEqual(t, b.held, b.limit)
			require.Equal(t, total-b.held, budget.free.Load())
			require.True(t, b.file == nil || b.mem == nil, "content is in one place")
		}
		require.EqualValues(t, len(want), b.size)
		for range 2 { // It can be read again.
			got, r := b.content()
			if r != nil {
				var err error
				got, err = io.ReadAll(r)
				require.NoError(t, err)
			}
			require.Equal(t, want, append([]byte(nil), got...))
			require.Equal(t, sha1.Sum(want), b.digest())
		}
		b.close()
		require.Equal(t, total, budget.free.Load())
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left, "files have no names")
	})
}

// TestBodyWithoutRoom tells the client so, and gives back what it had.
func TestBodyWithoutRoom(t *testing.T) {
	budget := newBudget(10)
	b := body{dir: filepath.Join(t.TempDir(), "missing"), limit: 10, budget: budget}
	require.NoError(t, b.write([]byte("12345678"), true))
	require.ErrorIs(t, b.write([]byte("90123"), true), os.ErrNotExist)
	b.close()
	require.EqualValues(t, 10, budget.free.Load())
}

// TestBudgetIsNeverWaitedFor: who finds it taken goes to a file at once.
func TestBudgetIsNeverWaitedFor(t *testing.T) {
	budget := newBudget(10)
	hoarder := body{dir: t.TempDir(), limit: 10, budget: budget}
	require.NoError(t, hoarder.write([]byte("1234567890"), true))
	other := body{dir: t.TempDir(), limit: 10, budget: budget}
	require.NoError(t, other.write([]byte("x"), true))
	require.NotNil(t, other.file)
	hoarder.close()
	third := body{dir: t.TempDir(), limit: 10, budget: budget}
	require.NoError(t, third.write([]byte("x"), true))
	require.Nil(t, third.file)
	other.close()
	third.close()
}
