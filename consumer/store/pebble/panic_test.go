package pebblestore

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer/shards"
)

// TestPanicOfAReader: whoever panics in a Scan leaves nothing that Close waits for.
func TestPanicOfAReader(t *testing.T) {
	s, err := Open(Config{FS: vfs.NewMem(), Dir: "state"})
	require.NoError(t, err)
	for _, key := range []string{"a", "b", "c"} {
		require.NoError(t, s.Set([]byte(key), nil))
	}
	require.NoError(t, s.StartCommit(t.Context(), new(shards.Checkpoint)).Err())
	snapshot, err := s.Snapshot()
	require.NoError(t, err)
	require.PanicsWithValue(t, "a reader's", func() {
		_ = snapshot.Scan(nil, nil, func(_, _ []byte) error { panic("a reader's") })
	})
	n := 0
	require.NoError(t, snapshot.Scan([]byte{}, nil, func(_, _ []byte) error { n++; return nil }))
	require.Equal(t, 3, n)
	require.NoError(t, snapshot.Close())
	require.NoError(t, s.Close())
}
