package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStreamHoldsFewFiles: appends that are gathered on disk hold a stream up as well, though they take no memory.
func TestStreamHoldsFewFiles(t *testing.T) {
	s := &appendStream{broker: &Broker{cfg: Config{GatherMemory: 4}, gatherDir: t.TempDir(), gather: newBudget(1 << 20)}}
	var appends []*streamAppend
	for !s.full() {
		a := new(streamAppend)
		require.NoError(t, s.gather(a, []byte("more than four")))
		s.admit(a)
		require.NotNil(t, a.content, "it is on disk")
		appends = append(appends, a)
		require.LessOrEqual(t, len(appends), 64)
	}
	require.Len(t, appends, 64)
	for _, a := range appends {
		a.body.close()
	}
}
