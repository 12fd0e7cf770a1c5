package allocator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestScale holds, on a tenth of the design's cluster, that plans take time in proportion
// to what they change, and that a member's share is moved and no more.
func TestScale(t *testing.T) {
	s, err := NewSimulation(SimulationConfig{Items: 10_000, Replicas: 3, Members: 100, Zones: 3})
	require.NoError(t, err)
	s.Settle()
	cold := s.Result()
	require.Equal(t, 30_000, cold.Added)
	require.LessOrEqual(t, cold.Deviation, 0.05)
	step := func(do func()) SimulationResult {
		s.Reset()
		do()
		s.Settle()
		require.LessOrEqual(t, s.Result().Deviation, 0.05)
		return s.Result()
	}
	lost := step(func() { s.Lose(1) })
	require.InDelta(t, 303, lost.Added, 20)
	require.Zero(t, lost.Removed)
	added := step(func() { s.Join(1) })
	require.InDelta(t, 303, added.Added, 20)
	require.Equal(t, added.Added, added.Removed)
	created := step(func() { s.Create() })
	require.Equal(t, 3, created.Added)
	require.Less(t, created.Processor, max(cold.Processor/10, 5*time.Millisecond), "one item costs one item")
	require.Zero(t, step(func() {}).Plans)
}
