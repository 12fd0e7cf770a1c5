package testenv

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFreePorts: they differ, and are in no range that the kernel gives.
func TestFreePorts(t *testing.T) {
	ports, err := FreePorts(50)
	require.NoError(t, err)
	slices.Sort(ports)
	require.Len(t, slices.Compact(ports), 50)
	require.GreaterOrEqual(t, ports[0], firstPort)
	require.Less(t, ports[49], lastPort)
	none, err := FreePorts(0)
	require.NoError(t, err)
	require.Empty(t, none)
}
