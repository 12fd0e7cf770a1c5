package broker

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStreamLimit(t *testing.T) {
	for journals, want := range map[int]uint32{0: 1 << 16, 1024: 1 << 16, 1 << 14: 1 << 16, 100_000: 400_000, math.MaxInt32: math.MaxInt32} {
		require.Equal(t, want, streamLimit(journals), "%d journals", journals)
	}
}
